"""Copies of whole buckets."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from objstore.errors import ObjectChangedError
from objstore.metadata.changes import without_notes
from objstore.metadata.listing import list_records
from objstore.metadata.records import Records
from objstore.model.objects import ObjectInfo, ObjectLink
from objstore.put.links import store_link
from objstore.store.handle import BucketHandle
from objstore.store.write import take_over

__all__ = ["copy_objects"]

#: How often an object is copied that is overwritten meanwhile.
TRIES = 10


def copy_objects(source: Records, target: BucketHandle) -> None:
    """Copy every live object and link of a bucket into another, in their order, one at a time.

    Links inside the source lead into the target; others lead where they led.

    Raises:
        ObjStoreError: as reading and writing; the target then holds a part.
    """
    for info in list_records(source):
        # A new bucket needs no tombstones: nobody has seen the objects there.
        if not info.deleted:
            _copy(source, info, target)


def _copy(source: Records, info: ObjectInfo, target: BucketHandle) -> None:
    for attempt in range(TRIES):
        try:
            _copy_once(source, info, target)
        except ObjectChangedError:
            # From the leader: a follower may still have the record that was just outdated.
            now = source.read(info.name, fresh=True)
            if now is None or now.deleted:
                return
            if attempt == TRIES - 1:
                raise
            info = now
        else:
            return


def _copy_once(source: Records, info: ObjectInfo, target: BucketHandle) -> None:
    info = without_notes(info).with_changes(ttl=_ttl_left(info))
    if info.link is None:
        take_over(target, source, info, info.name)
        return
    link = info.link
    if link.bucket == source.bucket:
        link = ObjectLink(target.name, link.name)
    described = info.with_changes(bucket=target.name, revision=0)
    store_link(target.records, info.name, link, described, None)


def _ttl_left(info: ObjectInfo) -> timedelta | None:
    """Return what is left of an object's life time."""
    if info.ttl is None or info.mtime is None:
        return info.ttl
    # One second is the least that a server takes; what has expired in between goes in that time.
    return max(timedelta(seconds=1), info.ttl - (datetime.now(timezone.utc) - info.mtime))
