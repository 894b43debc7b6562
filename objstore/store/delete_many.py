"""Many objects deleted at once: records, tombstones and purges under way together."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator

from objstore.errors import InvalidOptionError, ObjStoreError, about
from objstore.metadata.changes import PublishedTombstone, delete_object, is_shared
from objstore.metadata.commit import remove_chunks
from objstore.metadata.current import PendingCurrent
from objstore.metadata.records import Records
from objstore.model.arguments import check_plain
from objstore.model.objects import ObjectInfo, chunk_subject, meta_subject
from objstore.store import write
from objstore.store.handle import BucketHandle
from objstore.store.listing import list_objects
from objstore.wire.jetstream.purges import purge_each

__all__ = ["GROUP", "delete_many", "delete_prefix"]

#: How many objects are under way at once.
GROUP = 64


def delete_many(handle: BucketHandle, names: Iterable[str]) -> int:
    """Delete objects, with many requests under way at once, and return how many there were."""
    if isinstance(names, (str, bytes)) or not isinstance(names, Iterable):
        raise InvalidOptionError(f"names are an iterable of names, not {names!r} alone")
    # Each name once, in order: of two deletes of one name under way the second would meet the
    # first.
    wanted = dict.fromkeys(names)
    for name in wanted:
        meta_subject(handle.name, name)  # checks it, before anything is sent
    left = iter(wanted)
    count = 0
    while group := list(itertools.islice(left, GROUP)):
        handle.known.check_writable()
        count += _delete_group(handle, group)
    return count


def delete_prefix(handle: BucketHandle, prefix: str) -> int:
    """Delete all objects whose names begin with a prefix, and return how many there were."""
    check_plain("prefix", prefix)  # None would be all of them
    # All names first: a listing that goes on while its objects go would be of no one moment.
    return delete_many(handle, [info.name for info in list_objects(handle, prefix=prefix)])


def _delete_group(handle: BucketHandle, names: list[str]) -> int:
    """Delete some objects; a failure is raised once all that are under way have ended."""
    records = handle.records
    deleted: list[ObjectInfo] = []
    count, failure = 0, None
    try:
        for name, current, tombstone in _publish_each(records, names):
            try:
                # By itself where anything is unusual: absent, malformed, a record of an older
                # client, few rights.
                if current is None or tombstone is None:
                    count += failure is None and write.delete(handle, name)
                else:
                    count += delete_object(
                        records,
                        name,
                        current,
                        fail_on_conflict=False,
                        published=tombstone,
                        remove=deleted.extend,
                    )
            except ObjStoreError as error:
                about(bucket=handle.name, name=name).tell(error)
                # The first one; the others of the group are under way, and are taken to their end.
                failure = failure or error
    finally:
        # Also after a failure or Ctrl-C: of what is deleted the chunks have no owner any more.
        _remove_chunks(records, deleted)
    if failure is not None:
        raise failure
    return count


def _publish_each(
    records: Records, names: list[str]
) -> Iterator[tuple[str, ObjectInfo | None, PublishedTombstone | None]]:
    """Yield each name with its record and the tombstone sent; None: it is to be deleted alone."""
    found = _read_each(records, names)
    sent: list[tuple[str, ObjectInfo | None, PublishedTombstone | None]] = []
    for name in names:
        current = found.get(name)
        tombstone = None
        if current is not None and not records.access.is_doubtful:
            with contextlib.suppress(ObjStoreError):  # deleted alone, it says why not
                tombstone = PublishedTombstone(records, current)
        sent.append((name, current, tombstone))
    # All are published before the first answer is waited for; and together, as in put_many.
    records.jetstream.connection.session.flush_piggybacked()
    yield from sent


def _read_each(records: Records, names: list[str]) -> dict[str, ObjectInfo]:
    """Read the record of each name that has a live one of its own."""
    found: dict[str, ObjectInfo] = {}
    with contextlib.ExitStack() as under_way:
        pending = [
            (name, under_way.enter_context(contextlib.closing(PendingCurrent(records, name))))
            for name in names
        ]
        for name, each in pending:
            with contextlib.suppress(ObjStoreError):  # asked for alone, it says what is wrong
                current = each.result()
                if current is not None and not current.deleted and current.name == name:
                    found[name] = current
    return found


def _remove_chunks(records: Records, deleted: list[ObjectInfo]) -> None:
    """Remove the chunks of what is gone, but for those that another name needs."""
    owners = [info for info in deleted if info.chunks and not info.deleted]
    if not owners:
        return
    # One look through the bucket for all of the group.
    names = records.names_with_each(info.nuid for info in owners)
    subjects = {
        chunk_subject(records.bucket, info.nuid): info.nuid
        for info in owners
        if names[info.nuid] == {info.name} or not is_shared(records, info, thorough=True)
    }
    for subject, error in purge_each(records.jetstream, records.stream, subjects):
        if error is not None:
            remove_chunks(records, subjects[subject])  # which tries again, or logs why not
