"""A bucket by folders: names in order, a page at a time, and all folders one after the other."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from objstore.errors import InvalidOptionError
from objstore.metadata.sorted_records import SortedRecords
from objstore.model.arguments import check_plain
from objstore.model.objects import ObjectInfo
from objstore.readable import counted
from objstore.store.handle import BucketHandle
from objstore.wire.connection.arguments import whole

__all__ = ["Folder", "ScanPage", "scan", "walk"]

#: Between the folders of a walk.
SLASH = "/"

#: What a walk gives of each folder: its path, the names of the folders in it, and its objects.
Folder = tuple[str, list[str], list[ObjectInfo]]


@dataclass(frozen=True)
class ScanPage:
    """What :meth:`objstore.ObjectStore.scan` found.

    Attributes:
        objects: in the order of their names; those in folders are not among them.
        prefixes: the folders, each up to the delimiter and with it, in order.
        next: what to give as ``after`` for the rest; None: there is none.
    """

    objects: list[ObjectInfo] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    next: str | None = None

    def _repr_html_(self) -> str:
        """Return the first folders and objects as a table for notebooks."""
        from objstore.model.objects_table import objects_table
        from objstore.notebook.html import record

        counts = (counted(len(self.prefixes), "folder"), counted(len(self.objects), "object"))
        title = ", ".join(each for each in counts if not each.startswith("0 ")) or "no objects"
        below = objects_table(self.objects, self.prefixes) if self.objects or self.prefixes else ""
        return record(title, "", {"next": self.next}, below)


def scan(
    handle: BucketHandle,
    prefix: str = "",
    *,
    delimiter: str | None = None,
    after: str | None = None,
    limit: int | None = None,
) -> ScanPage:
    """Return the objects and folders whose names begin with a prefix, in order."""
    check_plain("prefix", prefix)
    if delimiter is not None:
        check_plain("delimiter", delimiter)
        if not delimiter:
            raise InvalidOptionError("delimiter is empty; give one, such as '/', or None")
    if after is not None:
        check_plain("after", after)
    if limit is not None:
        limit = whole("limit", limit, "a number of objects and folders", least=1)
    return _page(handle.followed.look(handle.records), prefix, delimiter, after, limit)


def walk(handle: BucketHandle, folder: str = "") -> Iterator[Folder]:
    """Walk through a folder and all folders in it, as ``os.walk``."""
    check_plain("folder", folder)
    return _walk(handle, folder and folder.removesuffix(SLASH) + SLASH)


def _walk(handle: BucketHandle, top: str) -> Iterator[Folder]:
    # Once for the whole walk, which shows the bucket at one moment and costs one round trip.
    records = handle.followed.look(handle.records)
    # A list, not recursion: folders may be nested deeper than Python's stack.
    waiting = [top]
    while waiting:
        prefix = waiting.pop()
        page = _page(records, prefix, SLASH, None, None)
        if prefix and not page.objects and not page.prefixes:
            continue  # there is no such folder
        folders = [each[len(prefix) : -1] for each in page.prefixes]
        yield prefix[:-1], folders, page.objects
        # After the yield: who took names out of the list, or sorted it, decides where it goes on,
        # as with os.walk.
        waiting.extend(f"{prefix}{each}{SLASH}" for each in reversed(folders))


def _page(
    records: SortedRecords,
    prefix: str,
    delimiter: str | None,
    after: str | None,
    limit: int | None,
) -> ScanPage:
    names = records.names
    objects: list[ObjectInfo] = []
    prefixes: list[str] = []
    last: str | None = None
    at = _first(names, prefix, delimiter, after)
    while at < len(names) and names[at].startswith(prefix):
        folder = _folder(names[at], prefix, delimiter)
        info = records.live(at) if folder is None else None
        # A folder shows only if something lives in it: names of deleted objects stay as tombstones.
        if info is None and (folder is None or not records.is_live(at)):
            at += 1
            continue
        # Only when one more is found, so that next is None where nothing follows.
        if limit is not None and len(objects) + len(prefixes) == limit:
            return ScanPage(objects, prefixes, last)
        if info is not None:
            objects.append(info)
            last = info.name
            at += 1
        elif folder is not None:
            prefixes.append(folder)
            last = folder
            # Over all names in the folder at once, by halves: a folder of a million costs a few
            # comparisons.
            at = _behind(names, folder)
    return ScanPage(objects, prefixes)


def _first(names: list[str], prefix: str, delimiter: str | None, after: str | None) -> int:
    """Find the place of the first name that may be shown."""
    at = bisect_left(names, prefix)
    if after is None:
        return at
    if after.startswith(prefix) and _folder(after, prefix, delimiter) == after:
        return _behind(names, after)  # all of that folder is left out
    return max(at, bisect_right(names, after))


def _folder(name: str, prefix: str, delimiter: str | None) -> str | None:
    """Return the folder that a name is in, seen from its prefix; None: it is in none."""
    if delimiter is None:
        return None
    end = name.find(delimiter, len(prefix))
    return None if end < 0 else name[: end + len(delimiter)]


def _behind(names: list[str], prefix: str) -> int:
    """Find the place behind all names that begin with a prefix, which is not empty."""
    # The last code point has no successor.
    start = prefix.rstrip("\U0010ffff")
    if not start:
        return len(names)  # there is nothing behind the last character
    return bisect_left(names, start[:-1] + chr(ord(start[-1]) + 1))
