"""What an observer is told of a put."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from objstore.events import Chunk, PutDone
from objstore.model.objects import ObjectInfo
from objstore.wire.connection.observer import Observer

__all__ = ["tell_chunks", "tell_failed", "tell_stored", "tell_stored_at_once"]


def tell_chunks(
    observer: Observer, info: ObjectInfo, progress: Callable[[int], object]
) -> Callable[[int], object]:
    """Make a progress function that also tells of each chunk."""

    def tell(size: int) -> None:
        observer.tell(Chunk("put", info.bucket, info.name, size))
        progress(size)

    return tell


def tell_stored(observer: Observer, info: ObjectInfo, begun: float) -> None:
    """Tell that an object is stored, whose put began at ``begun`` by ``time.monotonic``."""
    seconds = time.monotonic() - begun
    observer.tell(PutDone(info.bucket, info.name, info.size, seconds, observer.server))


def tell_stored_at_once(observer: Observer, info: ObjectInfo, begun: float) -> None:
    """Tell of an object's only chunk, and that it is stored."""
    observer.tell(Chunk("put", info.bucket, info.name, info.size))
    tell_stored(observer, info, begun)


def tell_failed(observer: Observer, info: ObjectInfo, size: int, begun: float) -> None:
    """Tell that an object is not stored, for the error that is being handled.

    Arguments:
        observer: is told.
        info: what was known of the object.
        size: how many bytes were sent.
        begun: when the put was.
    """
    error = sys.exc_info()[1]
    if error is not None:  # else it was discarded, or forgotten
        seconds = time.monotonic() - begun
        observer.tell(PutDone(info.bucket, info.name, size, seconds, observer.server, error))
