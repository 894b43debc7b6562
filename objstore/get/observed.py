"""The events of a get, for the observer of a connection."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from objstore.events import Chunk, GetDone
from objstore.get.ranges import Range, check_ranges
from objstore.get.readahead import Piece
from objstore.get.reader import ObjectResult
from objstore.wire.connection.observer import Observer

__all__ = ["observed_result", "told", "told_objects", "told_parts"]


def observed_result(*what: Any, observer: Observer, begun: float) -> ObjectResult:
    """Open an object, and tell an observer of each chunk and of the end.

    Arguments:
        what: the arguments of :class:`~objstore.get.reader.ObjectResult`.
        observer: the observer.
        begun: when the call that opens it began, by ``time.monotonic``.
    """
    return _ObservedResult(observer, begun, *what)


class _ObservedResult(ObjectResult):
    """A result that tells an observer of what is read.

    A class of its own, so that results without an observer do not even have to ask for one.
    """

    def __init__(self, observer: Observer, begun: float, *what: Any) -> None:
        super().__init__(*what)
        self._observer = observer
        self._begun = begun
        self._given = 0
        self._failure: BaseException | None = None

    def _advance(self, count: int) -> None:
        super()._advance(count)
        self._given += count

    def _fetch(self, position: int, wanted: int, limit: int) -> Piece:
        piece = super()._fetch(position, wanted, limit)
        # Once for each chunk, in however many small reads its bytes are handed out.
        size = len(piece.payload)
        self._observer.tell(Chunk("get", self.info.bucket, self.info.name, size))
        return piece

    def _fill(self, wanted: int, limit: int | None = None) -> bool:
        try:
            return super()._fill(wanted, limit)
        except BaseException as error:
            self._failure = error
            raise

    def close(self) -> None:
        """Drop what was read ahead, and tell that the reading is done."""
        is_first = not self.closed
        super().close()
        if is_first and "_failure" in self.__dict__:  # else it was never made
            info, error = self.info, self._failure
            _tell_got(self._observer, info.bucket, info.name, self._given, self._begun, error)


def told(observer: Observer, bucket: str, name: str, read: Callable[[], bytes]) -> bytes:
    """Read an object or a part of it, and tell the observer that this is done, or has failed."""
    begun, size = time.monotonic(), 0
    error: BaseException | None = None
    try:
        data = read()
        size = len(data)
        return data
    except BaseException as failure:
        error = failure
        raise
    finally:
        _tell_got(observer, bucket, name, size, begun, error)
        error = None  # no cycle: its traceback refers to this frame


def told_objects(
    observer: Observer, bucket: str, found: Iterator[tuple[str, bytes | None]]
) -> Iterator[tuple[str, bytes | None]]:
    """Yield the same objects, and tell the observer of each, and of an error that ends them."""
    begun = time.monotonic()
    try:
        for name, data in found:
            if data is not None:
                _tell_got(observer, bucket, name, len(data), begun)
            yield name, data
            begun = time.monotonic()
    except Exception as error:
        _tell_got(observer, bucket, getattr(error, "name", None) or "", 0, begun, error)
        raise


def told_parts(
    observer: Observer,
    bucket: str,
    ranges: Iterable[Range],
    read_parts: Callable[[Iterable[Range]], Iterator[bytes]],
) -> Iterator[bytes]:
    """Read parts of objects, in order, and tell the observer of each."""
    check_ranges(ranges)
    names: deque[str] = deque()
    parts = read_parts(_noted(ranges, names))
    # The names and the parts go in step: each part is of the first name that is left.
    named = ((names.popleft(), part) for part in parts)
    return (part for _, part in told_objects(observer, bucket, named) if part is not None)


def _noted(ranges: Iterable[Range], names: deque[str]) -> Iterator[Range]:
    """Yield the same parts, and append the name of each one's object."""
    for each in ranges:
        # What is not a part is refused by read_parts, in its turn.
        names.append(each[0] if isinstance(each, (tuple, list)) and each else "")
        yield each


def _tell_got(
    observer: Observer,
    bucket: str,
    name: str,
    size: int,
    begun: float,
    error: BaseException | None = None,
) -> None:
    """Tell the observer that an object was read.

    Arguments:
        observer: the observer.
        bucket, name: the bucket's name, and the object's.
        size: the number of bytes handed out.
        begun: when the call began, by ``time.monotonic``.
        error: the error that ended it; None: there was none.
    """
    seconds = time.monotonic() - begun
    observer.tell_from_anywhere(GetDone(bucket, name, size, seconds, observer.server, error))
