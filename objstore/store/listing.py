"""Listings of objects and of buckets, which a notebook shows by what comes first."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from objstore.errors import ObjStoreError
from objstore.metadata.listing import list_records
from objstore.model.arguments import check_plain
from objstore.model.bucket_config import bucket_of_config
from objstore.model.objects import ObjectInfo
from objstore.readable import counted
from objstore.store.handle import BucketHandle
from objstore.wire.jetstream.api import JetStream
from objstore.wire.jetstream.pages import all_streams

if TYPE_CHECKING:
    from objstore.model.bucket_status import ObjectStoreStatus

__all__ = ["BucketListing", "Listing", "list_objects"]

#: How many objects a notebook shows, and how many records are looked at for them: where most are
#: tombstones, or of other prefixes, one look would else read all of a large bucket.
SHOWN, LOOKED_AT = 10, 1000


def list_objects(
    handle: BucketHandle, *, prefix: str | None = None, include_deleted: bool = False
) -> Iterator[ObjectInfo]:
    """List the objects, in the order in which they were stored; links are among them."""
    if prefix is not None:
        check_plain("prefix", prefix)
    return Listing(handle, prefix, include_deleted)


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


class BucketListing(Iterator["ObjectStoreStatus"]):
    """The buckets of an account, in the order of their names.

    A notebook shows the first of them, by a listing of its own that takes nothing from this one.

    Arguments:
        jetstream: the account.
    """

    def __init__(self, jetstream: JetStream) -> None:
        self._jetstream = jetstream
        self._buckets = _buckets(all_streams(jetstream))

    def __iter__(self) -> Iterator[ObjectStoreStatus]:
        return self._buckets

    def __next__(self) -> ObjectStoreStatus:
        return next(self._buckets)

    def close(self) -> None:
        """End the listing."""
        self._buckets.close()

    def __repr__(self) -> str:
        return f"<objstore listing of the buckets on {self._jetstream.connection!r}>"

    def _repr_html_(self) -> str:
        """Return the first buckets as a table for notebooks."""
        from objstore.notebook.html import MAX_ROWS, Size, muted, record, table

        connection = self._jetstream.connection
        if not connection.is_connected:  # as of a bucket: nobody waits for it to come back
            return record("buckets", "not connected", {})
        try:
            title = connection.session.server_url or "buckets"
            streams = list(islice(all_streams(self._jetstream), LOOKED_AT))
        except ObjStoreError as error:
            return record("buckets", str(error), {})
        found = list(_buckets(iter(streams)))
        first = "the first " if len(streams) == LOOKED_AT or len(found) > MAX_ROWS else ""
        heads = ["bucket", "bytes", "storage", "replicas", "description"]
        rows = [
            (each.bucket, Size(each.bytes), each.storage, each.replicas, each.description)
            for each in found[:MAX_ROWS]
        ]
        below = table(heads, rows) if rows else muted("no buckets")
        return record(title, f"server, {first}{counted(len(rows), 'bucket')}", {}, below)


def _buckets(streams: Iterator[dict[str, Any]]) -> Generator[ObjectStoreStatus, None, None]:
    from objstore.model.bucket_status import status_of  # its classes take 5 ms to make

    # All streams, not those with a bucket's subjects: a mirror has no subjects.
    for stream in streams:
        bucket = bucket_of_config(stream["config"])
        if bucket is not None:
            yield status_of(bucket, stream)
