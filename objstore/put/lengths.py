"""The length that a payload announces before it is read, and its comparison with what came.

Whoever reads until nothing comes takes a broken connection for the end of the file. So the length
that a payload announces, if it does, is compared in the end with the number of bytes read.
"""

from __future__ import annotations

import contextlib
import mmap
import operator
import os
from collections.abc import Callable
from typing import Any

from objstore.errors import IncompletePayloadError, InvalidPayloadError

__all__ = ["Length", "length_of_items", "length_of_reader"]

#: The modules of files that give other bytes than the file that they stand on, and another number
#: of them. Those that decompress find their end by decompressing all of it. (The last two have the
#: base of them, and of other packages' ones.)
_CONVERTERS = frozenset(
    {"gzip", "bz2", "lzma", "zipfile", "codecs", "_compression", "compression._common._streams"}
)

#: The attributes that tell how much is left: http.client's, requests-toolbelt's.
_LEFT = ("length", "len")

#: Those that tell how much there is in all.
_IN_ALL = ("content_length", "size")


class Length:
    """The number of bytes that a payload announces.

    Arguments:
        promised: the number of bytes announced; None: there is none.
        size: the number of bytes that reading will give; None: it is not known, as where
            reading decompresses.
        missing: returns at the end how many of the bytes announced did not come; None: the bytes
            read are counted.
        fileno: returns the file descriptor, if the payload is an open file.
        nothing: the error to raise where reading gives nothing; None: the object is empty then.

    Attributes:
        size: as given.
    """

    def __init__(
        self,
        promised: int | None = None,
        size: int | None = None,
        *,
        missing: Callable[[], int] | None = None,
        fileno: Callable[[], int] | None = None,
        nothing: InvalidPayloadError | None = None,
    ) -> None:
        self.size = size
        self._promised = promised
        self._missing = missing
        self._fileno = fileno
        self._nothing = nothing

    def check(self, count: int) -> None:
        """Compare the number of bytes announced with the number read. More is fine: files grow.

        Arguments:
            count: the number of bytes read before the end.

        Raises:
            IncompletePayloadError: fewer came than were announced.
            InvalidPayloadError: none came, since the payload had been read before.
        """
        promised = self._promised
        if promised is not None:
            came = count if self._missing is None else promised - self._missing()
            if came < promised and not self._is_of_sysfs():
                raise IncompletePayloadError(
                    f"the payload ended after {came:,} of the {promised:,} bytes that it "
                    "announced; nothing was stored",
                    expected=promised,
                    received=came,
                )
        if not count and self._nothing is not None:
            raise self._nothing

    def _is_of_sysfs(self) -> bool:
        """Tell whether the file is of Linux's sysfs: such files have a page's size, and a line."""
        if self._fileno is None:
            return False
        try:
            state = os.fstat(self._fileno())
        except (OSError, ValueError):
            return False
        return state.st_size == mmap.PAGESIZE and getattr(state, "st_blocks", 1) == 0


def length_of_reader(file: Any) -> Length:
    """Find out what a file-like says of its length, without reading it.

    Raises:
        InvalidPayloadError: it is not empty, and stands at its end.
    """
    place = _place(file)
    # The end of such a file is not asked for: that would decompress all of it.
    if any(kind.__module__ in _CONVERTERS for kind in type(file).__mro__):
        return Length(nothing=_at_its_end(place) if place else None)
    # A seek is the surest: it says what can be read, not what somebody announced.
    end = None if place is None else _end(file, place)
    if place is not None and end is not None:
        # Read to its end before, as after a write without a seek(0): nothing would be stored,
        # silently.
        if place >= end > 0:
            raise _at_its_end(place)
        left = max(0, end - place)
        return Length(left, left, fileno=getattr(file, "fileno", None))
    if hasattr(file, "length_remaining"):
        return _length_of_response(file, file, place)
    return _counted(_announced(file, place or 0))


def length_of_items(items: Any) -> Length:
    """Find out what an iterable says of the length of all its items together.

    That is not its ``__len__``, which counts the items.
    """
    raw = getattr(items, "raw", None)
    if hasattr(raw, "length_remaining"):  # a requests.Response
        return _length_of_response(raw, items, None)
    left = _number(getattr(items, "len", None))
    if left is None:
        left = _number(getattr(items, "content_length", None))
    return _counted(_content_length(items) if left is None else left)


def _counted(promised: int | None) -> Length:
    """Return the length of a payload whose bytes are counted as they are read."""
    return Length(promised, promised)


def _length_of_response(response: Any, owner: Any, place: int | None) -> Length:
    """Return the length of a urllib3 response, which counts what comes before decompression.

    Arguments:
        response: itself.
        owner: what has its headers.
        place: how much of it was read before.
    """
    # It counts the bytes of the connection, which are the ones that a broken connection lacks.
    left = _number(response.length_remaining)
    return Length(
        left,
        None if _is_encoded(owner) else left or None,
        missing=lambda: _number(response.length_remaining) or 0,
        nothing=_read_before(place) if place else None,
    )


def _place(file: Any) -> int | None:
    """Tell where a file stands; None: it does not say."""
    try:
        return _number(file.tell())
    except (AttributeError, OSError, ValueError, TypeError):
        return None


def _end(file: Any, place: int) -> int | None:
    """Tell where a file ends, and leave it where it was; None: it cannot be moved."""
    try:
        end = file.seek(0, os.SEEK_END)
    except (AttributeError, OSError, ValueError, TypeError):
        return None
    # Not in the try: one that cannot go back would be stored without its beginning.
    file.seek(place)
    return _number(end)


def _announced(file: Any, place: int) -> int | None:
    """Return what is left of a file-like that does not seek, by whatever it says."""
    for name in _LEFT:
        left = _number(getattr(file, name, None))
        if left is not None:
            return left
    total = None
    with contextlib.suppress(TypeError, ValueError, AttributeError, NotImplementedError):
        total = len(file)
    for name in _IN_ALL:
        if total is None:
            total = _number(getattr(file, name, None))
    if total is None:
        total = _content_length(file)
    return None if total is None else max(0, total - place)


def _content_length(response: Any) -> int | None:
    """Return what the headers say of the body of an HTTP or FTP response."""
    # With a Transfer-Encoding it says nothing (RFC 9112, 6.3), with a Content-Encoding something
    # of other bytes than reading gives.
    if _is_encoded(response) or _header(response, "Transfer-Encoding"):
        return None
    with contextlib.suppress(ValueError):
        return int(_header(response, "Content-Length"))
    return None


def _is_encoded(response: Any) -> bool:
    """Tell whether reading may give other bytes than were counted: decompressed ones."""
    return _header(response, "Content-Encoding").lower() not in ("", "identity")


def _header(response: Any, name: str) -> str:
    """Return a header, or an empty text."""
    headers: Any = getattr(response, "headers", None)
    try:
        value = headers.get(name) or headers.get(name.lower())
    except (AttributeError, TypeError):
        return ""
    return value if isinstance(value, str) else ""


def _number(value: object) -> int | None:
    """Return a number of bytes; None: the value is none."""
    # A flag of that name is no length.
    if isinstance(value, bool):
        return None
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None
    return number if number >= 0 else None


def _at_its_end(place: int) -> InvalidPayloadError:
    return InvalidPayloadError(
        f"the payload stands at its end, behind {place:,} bytes, and put reads from where it "
        "stands: call its seek(0) before"
    )


def _read_before(place: int) -> InvalidPayloadError:
    return InvalidPayloadError(
        f"the response was read before, all its {place:,} bytes: put its .data, or ask for it with "
        "preload_content=False"
    )
