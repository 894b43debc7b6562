"""A listing of a bucket, which a notebook shows by its first objects."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from itertools import islice

from objstore.errors import ObjStoreError
from objstore.metadata.listing import list_records
from objstore.model.objects import ObjectInfo
from objstore.readable import counted
from objstore.store.handle import BucketHandle

__all__ = ["Listing"]

#: How many objects a notebook shows, and how many records are looked at for them: where most are
#: tombstones, or of other prefixes, one look would else read all of a large bucket.
SHOWN, LOOKED_AT = 10, 1000


class Listing(Iterator[ObjectInfo]):
    """The objects of a bucket whose names begin with a prefix, in the order of storing.

    A notebook shows the first of them, by a listing of its own that takes nothing from this one.

    Arguments:
        handle: the bucket.
        prefix: of the names; None: any.
        include_deleted: tombstones too.
    """

    def __init__(self, handle: BucketHandle, prefix: str | None, include_deleted: bool) -> None:
        self._handle, self._prefix, self._include_deleted = handle, prefix, include_deleted
        # Nothing is asked before the first object is wanted: both are generators.
        self._objects = self._select(list_records(handle.records))

    def _select(self, records: Iterator[ObjectInfo]) -> Generator[ObjectInfo, None, None]:
        include_deleted, prefix = self._include_deleted, self._prefix
        return (
            info
            for info in records
            if (include_deleted or not info.deleted)
            and (prefix is None or info.name.startswith(prefix))
        )

    def __iter__(self) -> Iterator[ObjectInfo]:
        return self._objects  # a loop does without a call of this class for each object

    def __next__(self) -> ObjectInfo:
        return next(self._objects)

    def close(self) -> None:
        """End the listing; what was asked for ahead is let go. Its end does that, too."""
        self._objects.close()

    def __repr__(self) -> str:
        under = f" under {self._prefix!r}" if self._prefix else ""
        return f"<objstore listing of {self._handle.name!r}{under}>"

    def _repr_html_(self) -> str:
        """Return the first objects as a table for notebooks."""
        from objstore.model.objects_table import objects_table
        from objstore.notebook.html import muted, record

        name = self._handle.name
        # Nobody waits a minute for a connection to come back, only because something is shown.
        if not self._handle.jetstream.connection.is_connected:
            return record(name, "bucket, not connected", {})
        try:
            records = list(islice(list_records(self._handle.records), LOOKED_AT))
        except ObjStoreError as error:
            return record(name, f"bucket: {error}", {})
        found = list(self._select(iter(records)))
        has_more = len(records) == LOOKED_AT or len(found) > SHOWN
        under = f", under {self._prefix}" if self._prefix else ""
        count = f", the first {counted(len(found[:SHOWN]), 'object')}" if has_more else ""
        below = objects_table(found[:SHOWN]) if found else "" if has_more else muted("no objects")
        return record(name, f"bucket{under}{count}", {}, below)
