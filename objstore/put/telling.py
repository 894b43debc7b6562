"""The events of a put, for the observer of a connection."""

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
    """Return a progress function that also tells the observer of each chunk."""

    def tell(size: int) -> None:
        observer.tell(Chunk("put", info.bucket, info.name, size))
        progress(size)

    return tell


def tell_stored(observer: Observer, info: ObjectInfo, begun: float) -> None:
    """Tell the observer that an object is stored.

    Arguments:
        observer: the observer.
        info: the object as stored.
        begun: when its put began, by ``time.monotonic``.
    """
    seconds = time.monotonic() - begun
    observer.tell(PutDone(info.bucket, info.name, info.size, seconds, observer.server))


def tell_stored_at_once(observer: Observer, info: ObjectInfo, begun: float) -> None:
    """Tell the observer of an object's only chunk, and that the object is stored."""
    observer.tell(Chunk("put", info.bucket, info.name, info.size))
    tell_stored(observer, info, begun)


def tell_failed(observer: Observer, info: ObjectInfo, size: int, begun: float) -> None:
    """Tell the observer that an object is not stored, because of the error being handled.

    Arguments:
        observer: the observer.
        info: what was known of the object.
        size: how many bytes were sent.
        begun: when the put began, by ``time.monotonic``.
    """
    error = sys.exc_info()[1]
    if error is not None:  # otherwise the user discarded it, or never closed it
        seconds = time.monotonic() - begun
        observer.tell(PutDone(info.bucket, info.name, size, seconds, observer.server, error))
