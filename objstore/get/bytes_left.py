"""The values of ``ObjectResult.len`` and ``tell()``, for libraries that send a result over HTTP.

requests-toolbelt takes a file's ``len`` for the number of bytes left. requests takes it for the
whole size, and subtracts ``tell()``: with plain numbers it would announce too short a body where a
part was read before, and the server would take the rest for the next request. So subtracting a
:class:`Position` from :class:`BytesLeft` changes nothing.

Rejected: no ``len``, since requests-toolbelt then refuses files without a file descriptor; and
``__len__``, by which boto3 would announce too much, and ``list`` reserve memory for each byte.
"""

from __future__ import annotations

__all__ = ["BytesLeft", "Position"]


class Position(int):
    """A position in a result, in bytes, as ``tell`` returns it."""


class BytesLeft(int):
    """The number of bytes left; subtracting a :class:`Position` changes nothing."""

    def __sub__(self, other: int, /) -> int:
        return int(self) if isinstance(other, Position) else super().__sub__(other)
