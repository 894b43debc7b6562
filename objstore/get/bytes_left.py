"""How far a result was read: two numbers that two libraries put together in two ways.

requests-toolbelt takes a file's ``len`` for the bytes that are left; requests itself takes it for
the whole size, and takes ``tell()`` off. With plain numbers a body that was read in part would be
announced too short by requests, and what is beyond would be taken for the connection's next
request. (Without ``len`` toolbelt takes no file that has no number of the system; with
``__len__`` boto3 would announce too much, and ``list`` set memory aside for each byte.)
"""

from __future__ import annotations

__all__ = ["BytesLeft", "Position"]


class Position(int):
    """A place in a result, in bytes, as ``tell`` gives it."""


class BytesLeft(int):
    """How many bytes there are behind a position, which is therefore not taken off once more."""

    def __sub__(self, other: int, /) -> int:
        return int(self) if isinstance(other, Position) else super().__sub__(other)
