"""A bucket's objects as fsspec describes files: entries of folders, and walks through them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import objstore

__all__ = [
    "SLASH",
    "Entry",
    "Folder",
    "bottom_up",
    "by_bucket",
    "directory",
    "each_or_error",
    "file_entry",
    "folders_of",
]

#: What fsspec says of a file or folder: at least its ``name``, ``size`` and ``type``.
Entry = dict[str, Any]

#: A folder's path, and what is in it by its own name: the folders and the files.
Folder = tuple[str, dict[str, Entry], dict[str, Entry]]

SLASH = "/"

Wanted = TypeVar("Wanted")


def directory(path: str) -> Entry:
    """Return the entry of a folder or bucket."""
    return {"name": path, "size": 0, "type": "directory"}


def file_entry(store: objstore.ObjectStore, info: objstore.ObjectInfo) -> Entry:
    """Return the entry of an object; of a link, with what it leads to.

    A link that leads to no object is of the type ``"other"``.
    """
    target: objstore.ObjectInfo | None = info
    if info.link is not None:
        target = _follow(store, info)
    shown = info if target is None else target
    entry = {
        "name": f"{store.name}/{info.name}",
        "size": shown.size,
        "type": "other" if target is None else "file",
        # An object is stored as a whole: both are the same moment.
        "created": shown.mtime,
        "mtime": shown.mtime,
        "digest": shown.digest,
        "revision": shown.revision,
        "mimetype": shown.mime,
    }
    if info.link is not None:
        entry["islink"] = True
    return entry


def _follow(store: objstore.ObjectStore, info: objstore.ObjectInfo) -> objstore.ObjectInfo | None:
    try:
        return store.resolve(info.name)
    except (objstore.LinkError, objstore.BucketNotFoundError):
        return None


def _is_marker(info: objstore.ObjectInfo) -> bool:
    """Tell whether an object's name ends in a slash, as other tools' marks of empty folders do.

    fsspec's paths have no such end, so that it could neither be read nor deleted by its path.
    """
    return info.name.endswith(SLASH)


def folders_of(store: objstore.ObjectStore, name: str, maxdepth: int | None) -> Iterator[Folder]:
    """Yield a folder and all folders in it, as they were at one moment, by one look.

    Arguments:
        store: the bucket.
        name: of the folder; ``""``: the bucket itself. Of one that is not there nothing comes.
        maxdepth: how many levels, at least 1; None: all.

    Who takes folders out of what is yielded decides that they are not gone into.
    """
    # How deep a folder is counts from here: the first one is 1.
    level = name.count(SLASH) - (not name)
    for number, (folder, folders, objects) in enumerate(store.walk(name)):
        # The first may have the same name as another: where names begin with a slash.
        path = f"{store.name}/{folder}" if folder or number else store.name
        depth = 1 + folder.count(SLASH) - level if number else 1
        inside = {each: directory(f"{path}/{each}") for each in folders}
        # The length of what the names begin with: the folder and its slash; in the bucket 0.
        start = len(path) - len(store.name)
        files = {
            info.name[start:]: file_entry(store, info) for info in objects if not _is_marker(info)
        }
        yield path, inside, files
        # In place: store.walk goes into what is left in the list.
        folders[:] = [] if maxdepth is not None and depth >= maxdepth else inside


def bottom_up(folders: Iterable[Folder]) -> Iterator[Folder]:
    """Yield folders after all that are in them, of those that come before all that are in them."""
    waiting: list[Folder] = []
    for folder in folders:
        while waiting and not _is_in(folder[0], waiting[-1][0]):
            yield waiting.pop()
        waiting.append(folder)
    yield from reversed(waiting)


def _is_in(path: str, folder: str) -> bool:
    return not folder or path.startswith(f"{folder}/")


def each_or_error(
    read: Callable[[list[Wanted]], Iterator[bytes]], wanted: list[Wanted]
) -> Iterator[bytes | Exception]:
    """Yield what is read of each thing that is wanted, or the error in its place.

    Arguments:
        read: reads many, in order, and ends at the first that fails: then the rest is asked for
            anew, unless there is no connection, which all others would only wait for as well.
        wanted: what it shall read.
    """
    results = read(wanted)
    lost: Exception | None = None
    for number in range(1, len(wanted) + 1):
        result: bytes | Exception
        try:
            result = lost or next(results)
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to this one
            result = error
            if isinstance(error, (ConnectionError, TimeoutError)):
                lost = error
            else:
                results = read(wanted[number:])
        yield result


def by_bucket(paths: Iterable[tuple[str, str]]) -> dict[str, list[int]]:
    """Return the numbers of the paths that are in each bucket.

    Arguments:
        paths: pairs of a bucket and a name.
    """
    numbers: dict[str, list[int]] = {}
    for number, (bucket, _) in enumerate(paths):
        numbers.setdefault(bucket, []).append(number)
    return numbers
