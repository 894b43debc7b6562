"""What an observer is told of a get."""

from __future__ import annotations

import time
from typing import Any

from objstore.events import Chunk, GetDone
from objstore.get.readahead import Piece
from objstore.get.reader import ObjectResult
from objstore.wire.connection.observer import Observer

__all__ = ["observed_result", "tell_got"]


def observed_result(*what: Any, observer: Observer, begun: float) -> ObjectResult:
    """Open an object of which an observer is told: each chunk, and the end.

    Arguments:
        what: as of :class:`~objstore.get.reader.ObjectResult`.
        observer: is told.
        begun: when the call was that opens it, by ``time.monotonic``.
    """
    return _ObservedResult(observer, begun, *what)


class _ObservedResult(ObjectResult):
    """A class of its own, so that who observes nothing pays nothing, not even for a look."""

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
            tell_got(self._observer, info.bucket, info.name, self._given, self._begun, error)


def tell_got(
    observer: Observer,
    bucket: str,
    name: str,
    size: int,
    begun: float,
    error: BaseException | None = None,
) -> None:
    """Tell that an object was read.

    Arguments:
        observer: is told.
        bucket, name: of the object.
        size: how many bytes were handed out.
        begun: when the call was, by ``time.monotonic``.
        error: why not all were; None: they were.
    """
    seconds = time.monotonic() - begun
    observer.tell_from_anywhere(GetDone(bucket, name, size, seconds, observer.server, error))
