"""Reading for whoever asked for events: the functions of :mod:`objstore.store.read`, told of."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator

from objstore.get.observed import tell_got
from objstore.get.ranges import Range, check_ranges
from objstore.store import read
from objstore.store.handle import BucketHandle
from objstore.wire.connection.observer import Observer

__all__ = ["get_many", "read_part", "read_parts"]


def read_part(
    handle: BucketHandle, observer: Observer, name: str, start: int | None, end: int | None
) -> bytes:
    """Return the bytes of an object, or of a part of it, and tell the observer."""
    begun, size = time.monotonic(), 0
    error: BaseException | None = None
    try:
        data = read.read_part(handle, name, start, end)
        size = len(data)
        return data
    except BaseException as failure:
        error = failure
        raise
    finally:
        tell_got(observer, handle.name, name, size, begun, error)
        error = None  # else it would hold this frame, which holds it


def get_many(
    handle: BucketHandle, observer: Observer, names: Iterable[str]
) -> Iterator[tuple[str, bytes | None]]:
    """Read whole objects, in the order of their names, and tell the observer of each."""
    return _told(handle, observer, read.get_many(handle, names))


def _told(
    handle: BucketHandle, observer: Observer, found: Iterator[tuple[str, bytes | None]]
) -> Iterator[tuple[str, bytes | None]]:
    begun = time.monotonic()
    try:
        for name, data in found:
            if data is not None:
                tell_got(observer, handle.name, name, len(data), begun)
            yield name, data
            begun = time.monotonic()
    except Exception as error:
        tell_got(observer, handle.name, getattr(error, "name", None) or "", 0, begun, error)
        raise


def read_parts(
    handle: BucketHandle, observer: Observer, ranges: Iterable[Range]
) -> Iterator[bytes]:
    """Read parts of objects, in order, and tell the observer of each."""
    check_ranges(ranges)
    names: deque[str] = deque()
    parts = read.read_parts(handle, _noted(ranges, names))
    # The names and the parts go in step: each part is of the first name that is left.
    named = ((names.popleft(), part) for part in parts)
    return (part for _, part in _told(handle, observer, named) if part is not None)


def _noted(ranges: Iterable[Range], names: deque[str]) -> Iterator[Range]:
    """Pass parts on, and note their objects' names."""
    for each in ranges:
        names.append(each[0] if isinstance(each, tuple) and each else "")
        yield each
