"""Reading a bucket's objects: the methods of :class:`objstore.ObjectStore`, one function each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial

from objstore.errors import (
    DigestMismatchError,
    InvalidOptionError,
    ObjectChangedError,
    ObjStoreError,
)
from objstore.get.chunks import only_chunk
from objstore.get.ranges import Range, check_ranges, read_ranges
from objstore.get.read_many import read_many
from objstore.get.reader import ObjectResult
from objstore.metadata.links import follow, follow_record
from objstore.metadata.records import Records
from objstore.model.arguments import check_range
from objstore.model.objects import ObjectInfo
from objstore.progress import ProgressOption, check_progress, start_progress
from objstore.store.handle import BucketHandle

__all__ = [
    "get",
    "get_many",
    "read_part",
    "read_parts",
    "resolve",
]

#: How often ``read_bytes`` begins again when the object was overwritten under it.
READ_TRIES = 10


def resolve(handle: BucketHandle, name: str) -> ObjectInfo | None:
    """Return the record of the object that a name leads to, through links."""
    found = follow(handle.records, name)
    return None if found is None else found[1]


def get(
    handle: BucketHandle,
    name: str,
    *,
    start: int | None = None,
    end: int | None = None,
    progress: ProgressOption = None,
) -> ObjectResult | None:
    """Open an object for reading; links are followed. None: there is none."""
    check_progress(progress)
    check_range(start, end)
    observer = handle.jetstream.observer
    begun = 0.0 if observer is None else time.monotonic()
    found = follow(handle.records, name)
    if found is None:
        return None
    if observer is None:
        return _open(*found, start, end, progress)
    # Imported here: most programs have no observer.
    from objstore.get.observed import observed_result

    opening = partial(observed_result, observer=observer, begun=begun)
    return _open(*found, start, end, progress, opening)


def read_part(handle: BucketHandle, name: str, start: int | None, end: int | None) -> bytes:
    """Return the bytes of an object, or of a part of it.

    If it is overwritten meanwhile, the new one is read; if the digest differs, it is read a second
    time.

    Raises:
        ObjectNotFoundError: there is no such object.
        ObjStoreError: as :func:`get`, and as reading the result.
    """
    check_range(start, end)
    # Nothing was handed out yet, so that it may begin anew; a file that is being read cannot.
    for attempt in range(READ_TRIES):
        try:
            info = handle.records.read(name)
            if info is None or info.deleted:
                break
            found = handle.records, info
            if info.options.link is not None:
                target = follow_record(handle.records, name, info)
                if target is None:
                    break
                found = target
            if found[1].chunks == 1 and start is None and end is None:
                return bytes(only_chunk(*found))  # no file around it: 5 % of a small read
            with _open(*found, start, end) as result:
                return result.read()
        except ObjectChangedError as error:
            if attempt == READ_TRIES - 1:
                raise
            _tell_retry(handle, name, error)
        except DigestMismatchError as error:
            if attempt:  # at first another server may have the bytes as they were stored
                raise
            _tell_retry(handle, name, error)
    raise handle.not_found(name)


def _tell_retry(handle: BucketHandle, name: str, error: ObjStoreError) -> None:
    """Tell the observer, if there is one, that an object is read again."""
    if (observer := handle.jetstream.observer) is not None:
        observer.retry("get", error, bucket=handle.name, name=name)


def get_many(handle: BucketHandle, names: Iterable[str]) -> Iterator[tuple[str, bytes | None]]:
    """Read whole objects, in the order of their names; links are followed."""
    # A name alone can be iterated, too: by letters.
    if isinstance(names, (str, bytes)) or not isinstance(names, Iterable):
        raise InvalidOptionError(f"names are an iterable of names, not {names!r} alone")
    return _each_content(handle, names)


def _each_content(handle: BucketHandle, names: Iterable[str]) -> Iterator[tuple[str, bytes | None]]:
    """Yield each name with its content."""
    with closing(read_many(handle.records, names)) as objects:
        for name, found in objects:
            yield name, _read_or_none(handle, name) if found is None else found.content


def read_parts(handle: BucketHandle, ranges: Iterable[Range]) -> Iterator[bytes]:
    """Read parts of objects, in order, with many requests under way at once; links are followed."""
    check_ranges(ranges)
    return read_ranges(handle.records, ranges, handle.not_found)


def _read_or_none(handle: BucketHandle, name: str) -> bytes | None:
    try:
        return read_part(handle, name, None, None)
    except FileNotFoundError as error:
        # ObjectNotFoundError is a FileNotFoundError with the object's name; another one is of a
        # file.
        if getattr(error, "name", None) is None:
            raise
        return None


def _open(
    records: Records,
    info: ObjectInfo,
    start: int | None,
    end: int | None,
    progress: ProgressOption = None,
    opening: Callable[..., ObjectResult] = ObjectResult,
) -> ObjectResult:
    """Open a part of an object for reading."""
    # Python's own rule for bounds: negative ones count from the end.
    first, last, _ = slice(start, end).indices(info.size)
    bar = start_progress(progress, info.name, max(0, last - first))
    return opening(records, info, bar, first, last)
