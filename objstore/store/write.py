"""Changing a bucket's objects: the methods of :class:`objstore.ObjectStore`, one function each."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from objstore.get.chunks import chunk_payloads
from objstore.metadata.changes import change, delete_object, rename, without_notes
from objstore.metadata.current import check_readable
from objstore.metadata.links import follow
from objstore.metadata.records import Records
from objstore.metadata.rights import find_replaced
from objstore.model.arguments import check_revision, given, instance_of, redescribe
from objstore.model.objects import ObjectInfo, ObjectMeta, meta_subject
from objstore.progress import NO_PROGRESS, Bar
from objstore.put.one_object import begin_put, chunk_size_of
from objstore.put.source import Source
from objstore.put.upload import fill_put
from objstore.store.handle import BucketHandle

__all__ = ["copy", "delete", "described_as", "take_over", "update"]


def copy(handle: BucketHandle, name: str, into: BucketHandle, new_name: str) -> ObjectInfo:
    """Copy an object into a bucket, streamed, with all that describes it; links are followed."""
    meta_subject(into.name, new_name)  # checks the name, before anything is read
    found = follow(handle.records, name)
    if found is None:
        raise handle.not_found(name)
    records, info = found
    return take_over(into, records, info, new_name)


def described_as(info: ObjectInfo, bucket: str, name: str) -> ObjectInfo:
    """Return the record of a copy that is to be stored."""
    # Without a rename's notes: the copy has chunks of its own.
    return without_notes(info).with_changes(
        bucket=bucket, name=name, nuid="", revision=0, mtime=None, deleted=False
    )


def take_over(
    handle: BucketHandle, records: Records, info: ObjectInfo, name: str, bar: Bar = NO_PROGRESS
) -> ObjectInfo:
    """Store what another record describes, with the chunks that it names."""
    copy = described_as(info, handle.name, name)
    size = chunk_size_of(handle.records, copy, info.size)
    # Verified on the way: the last chunk comes only after the digest, so a damaged object is never
    # stored anew.
    with closing(chunk_payloads(records, info)) as payloads, Source(payloads) as source:
        put = begin_put(handle.records, copy, size, None, None, bar, expected_size=info.size)
        return fill_put(put, source, size)


def delete(handle: BucketHandle, name: str, *, if_revision: int | None = None) -> bool:
    """Delete an object: its record becomes a tombstone, then its chunks go."""
    if_revision = check_revision(if_revision)
    current = find_replaced(handle.records, name, if_revision)
    return delete_object(handle.records, name, current, fail_on_conflict=if_revision is not None)


def update(
    handle: BucketHandle,
    name: str,
    meta: ObjectMeta | None,
    new_name: str | None,
    if_revision: int | None,
    **changes: Any,
) -> ObjectInfo:
    """Change what describes an object, or its name. Only what is given changes.

    Arguments:
        handle, name, meta, new_name, if_revision: as of ``ObjectStore.update``.
        changes: as :func:`~objstore.model.arguments.redescribe` takes them.
    """
    if meta is not None:
        instance_of("meta", ObjectMeta, meta)
        new_name = meta.name if new_name is None else new_name
        changes = {said: given(value, getattr(meta, said)) for said, value in changes.items()}
    if_revision = check_revision(if_revision)

    def redescribed(found: ObjectInfo | None) -> ObjectInfo:
        if found is None or found.deleted:
            raise handle.not_found(name)
        check_readable(found)
        if found.ttl is not None:  # it came from a source; what is left of it goes on
            handle.known.allow_ttl()
        return redescribe(found, **changes)

    redescribe(ObjectInfo(handle.name, name), **changes)  # refuses bad input before all else
    if new_name is not None:
        meta_subject(handle.name, new_name)  # and so does this
    current = find_replaced(handle.records, name, if_revision)
    is_strict = if_revision is not None
    if new_name is None or new_name == name:
        return change(handle.records, redescribed, current, fail_on_conflict=is_strict)
    return rename(handle.records, redescribed, current, new_name, fail_on_conflict=is_strict)
