"""A bucket as a whole: its state, its end, what is damaged and what nobody owns."""

from __future__ import annotations

from datetime import timedelta

from objstore.care.garbage import GarbageReport
from objstore.care.garbage import collect_garbage as remove_garbage
from objstore.care.verify import VerifyReport, verify_bucket, verify_object
from objstore.errors import BucketNotFoundError, ObjStoreError
from objstore.model.arguments import garbage_age
from objstore.model.bucket_status import ObjectStoreStatus, status_of
from objstore.store.handle import BucketHandle
from objstore.store.listing import list_objects

__all__ = ["collect_garbage", "destroy", "seal", "status", "verify"]


def collect_garbage(
    handle: BucketHandle, *, min_age: timedelta | float = timedelta(hours=1), dry_run: bool = False
) -> GarbageReport:
    """Remove chunks that no object owns: a killed program's, another client's, a mirror's."""
    age = garbage_age(min_age)
    # A look removes nothing, whatever the settings are.
    if not dry_run:
        # Settings as they are now: in a stream that hides records every chunk would seem to have no
        # owner.
        handle.known.ask()
        handle.known.check_harmless()
    return remove_garbage(handle.records, age, dry_run=bool(dry_run))


def verify(handle: BucketHandle, name: str | None = None) -> VerifyReport:
    """Read everything, or one object, and compare it with what was stored."""
    if name is None:
        return verify_bucket(handle.records)
    return verify_object(handle.records, name)


def status(handle: BucketHandle) -> ObjectStoreStatus:
    """Return the bucket's settings and state."""
    info = handle.known.ask()
    size = total_size = 0
    # The server counts messages, not objects: only a listing knows which records are live.
    for each in list_objects(handle):
        size += 1
        total_size += each.size
    return status_of(handle.name, info, size=size, total_size=total_size)


def seal(handle: BucketHandle) -> ObjectStoreStatus:
    """Make the bucket unchangeable, for good."""
    config = handle.known.ask()["config"]
    handle.known.check_harmless()
    # On top of the settings of this moment, or the update would undo somebody else's.
    answer = handle.jetstream.stream_update({**config, "sealed": True})
    handle.known.learn(answer["config"])
    try:
        return status(handle)
    except ObjStoreError:
        # It is sealed, for good: that must not be told as a failure, for its objects cannot be
        # counted. Who may change a stream's settings need not be one who may read.
        return status_of(handle.name, answer)


def destroy(handle: BucketHandle) -> bool:
    """Delete the bucket with all its objects."""
    # First, for the records are of no use whatever becomes of the bucket.
    handle.followed.forget(handle.name)
    try:
        handle.jetstream.stream_delete(handle.records.stream)
    except BucketNotFoundError:
        return False
    return True
