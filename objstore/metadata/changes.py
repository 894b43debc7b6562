"""Changes of records alone: descriptions, names, links, tombstones. No chunk moves.

Two names can share one object's chunks: while it is being renamed, and for good if the rename
is interrupted. Our own renames leave a note in both records (:data:`MOVED_TO`,
:data:`MOVED_FROM`); for those of other clients a delete looks through the bucket. Chunks that a
live name still needs are never removed.

Other clients know no such care: they purge the chunks of the nuid that a name's last record has,
tombstone or not, when they put or delete that name. So each tombstone has a nuid of its own, that
no chunk has. Only between the second and the third step of a rename, and where it breaks off
there, two records have the nuid of the same chunks. (The other order would lose the object.)
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

from objstore.errors import (
    BucketNotFoundError,
    LinkError,
    ObjectChangedError,
    ObjectCorruptError,
    ObjectExistsError,
    ObjectNotFoundError,
    ObjStoreError,
    RevisionMismatchError,
    StorageFullError,
)
from objstore.metadata.commit import commit, remove_chunks
from objstore.metadata.current import find_current, fresh_record
from objstore.metadata.records import Records
from objstore.metadata.rights import check_rights_to_remove
from objstore.model.objects import (
    ObjectInfo,
    ObjectLink,
    check_bucket_name,
    is_free,
    meta_subject,
    stream_name,
)
from objstore.wire.connection.requests import next_nuid

__all__ = [
    "PublishedTombstone",
    "change",
    "delete_object",
    "is_shared",
    "link_to",
    "overwrite_link",
    "rename",
    "without_notes",
]

#: Notes in a record, of the name that an object is moving to or has moved from; a copy, which
#: has chunks of its own, has none.
MOVED_TO, MOVED_FROM = "objstore_moved_to", "objstore_moved_from"

_Make = Callable[[ObjectInfo | None], ObjectInfo]


class _Gone(Exception):  # noqa: N818 - not an error: it ends a retry
    """Raised when there is nothing to delete any more; the argument says whether there was."""


def change(
    records: Records, make: _Make, current: ObjectInfo | None, *, fail_on_conflict: bool
) -> ObjectInfo:
    """Replace a record by what ``make`` makes of it; of a newer one, if it was replaced meanwhile.

    Arguments:
        records: the bucket.
        make: returns the new record for the current one, or raises.
        current: the current record; None: there is none.
        fail_on_conflict: raise RevisionMismatchError where the record was replaced meanwhile.

    Returns:
        The record as stored.

    Raises:
        Exception: whatever ``make`` raises.
        ObjStoreError: as :func:`~objstore.metadata.commit.commit`.
    """
    stored, _ = commit(
        records, fresh_record(make(current)), current, None if fail_on_conflict else _fresh(make)
    )
    return stored


def _fresh(make: _Make) -> _Make:
    """Return a function that gives what ``make`` gives, to be stored as a new record."""
    return lambda found: fresh_record(make(found))


# --- delete


def delete_object(
    records: Records,
    name: str,
    current: ObjectInfo | None,
    *,
    fail_on_conflict: bool,
    published: PublishedTombstone | None = None,
    remove: Callable[[list[ObjectInfo]], object] | None = None,
) -> bool:
    """Put a tombstone in an object's place, then remove its chunks; False: it was not there.

    A full bucket takes no tombstone. There the record is purged, up to just the revision that
    was found, then the chunks, and the tombstone follows into the room that they leave, for
    watchers and mirrors. (nats.go and nats-py fail, and so a full bucket cannot be emptied.)

    Arguments:
        records: the bucket.
        name: of the object.
        current: the current record; None: there is none.
        fail_on_conflict: raise RevisionMismatchError where the record was replaced meanwhile.
        published: the tombstone, if it was published over the current record already.
        remove: called with what was deleted, to remove its chunks; None: they are removed here.

    Raises:
        PermissionDeniedError: the user may not remove the chunks; nothing has changed.
        StorageFullError: there is no room for the tombstone, and somebody else replaced the record
            at the same time.
        ObjStoreError: as :func:`~objstore.metadata.commit.commit`.
    """
    if current is not None:
        check_rights_to_remove(records, current)
    deletion = _Deletion(records)
    was_there, owed = True, None
    try:
        deletion.store_tombstone(current, published, fail_on_conflict=fail_on_conflict)
    except _Gone as gone:
        was_there = gone.args[0]
    except StorageFullError:
        owed = deletion.seen[-1]
        if not _purge_record(records, name, owed.revision):
            raise  # somebody else replaced it at this very moment
    if remove is None or owed is not None:
        _remove_deleted(records, deletion.seen)
    else:
        remove(deletion.seen)
    if owed is not None:
        with contextlib.suppress(ObjStoreError):  # it is deleted, whoever is told of it
            records.start_publish(_tombstone(owed), 0).result()
    return was_there


class _Deletion:
    """A tombstone on its way into an object's place.

    Attributes:
        seen: the records that it may have replaced; more than one where an answer was lost.
    """

    def __init__(self, records: Records) -> None:
        self._records = records
        self.seen: list[ObjectInfo] = []

    def store_tombstone(
        self,
        current: ObjectInfo | None,
        published: PublishedTombstone | None,
        *,
        fail_on_conflict: bool,
    ) -> None:
        """Store the tombstone; arguments as of :func:`delete_object`.

        Raises:
            _Gone: nothing is left to delete.
            And as :func:`~objstore.metadata.commit.commit`.
        """
        first, pending = self._on_conflict(current), None
        if fail_on_conflict:
            commit(self._records, first, current, None)
            return
        if published is not None:
            first, pending = published.tombstone, published.pending
        commit(
            self._records,
            first,
            current,
            self._on_conflict,
            on_lost_ack=self._on_lost_ack,
            published=pending,
        )

    def _on_conflict(self, found: ObjectInfo | None) -> ObjectInfo:
        if self.seen:
            _check_overwritten(self._records, found, self.seen[-1])
        if found is None or found.deleted:
            raise _Gone(False)
        self.seen[:] = [found]
        return _tombstone(found)

    def _on_lost_ack(self, found: ObjectInfo | None) -> ObjectInfo | None:
        last = self.seen[-1]
        _check_overwritten(self._records, found, last)
        if found is None or (found.deleted and _is_deletion_of(self._records, found, last)):
            raise _Gone(False)
        if found.deleted or found.nuid != last.nuid:
            # Put since, over this tombstone or over somebody else's. A second one would delete
            # what was stored after the first.
            _remove_deleted(self._records, self.seen)
            return None
        self.seen.append(found)
        return _tombstone(found)


def _purge_record(records: Records, name: str, revision: int) -> int:
    """Purge a record, which takes no room, where a tombstone would; return how many went."""
    subject = meta_subject(records.bucket, name)
    return records.jetstream.purge(records.stream, subject, revision)


class PublishedTombstone:
    """A tombstone in place of a live record, published together with what is sent next."""

    def __init__(self, records: Records, current: ObjectInfo) -> None:
        check_rights_to_remove(records, current)
        self.tombstone = _tombstone(current)
        self.pending = records.start_publish(self.tombstone, current.revision, piggyback=True)


def _remove_deleted(records: Records, deleted: Iterable[ObjectInfo]) -> None:
    """Remove the chunks of deleted objects, but for those that another name needs."""
    for info in deleted:
        # Thorough: another client's rename may have left a second name on these chunks, and no
        # note.
        if info.chunks and not info.deleted and not is_shared(records, info, thorough=True):
            remove_chunks(records, info.nuid)


def _check_overwritten(records: Records, found: ObjectInfo | None, seen: ObjectInfo) -> None:
    """End a delete where somebody else has stored an object right over the one to be deleted.

    It is then as if the delete had come first, and the new object stays. Where something else was
    stored in between, maybe somebody else's tombstone, nobody can say that.

    Raises:
        _Gone: the object was overwritten so.
    """
    if found is None or found.deleted or found.nuid == seen.nuid:
        return
    if records.replaced(found) == seen.revision:
        raise _Gone(True)


def _is_deletion_of(records: Records, tombstone: ObjectInfo, info: ObjectInfo) -> bool:
    """Tell whether a tombstone was stored right over an object.

    Other clients' tombstones keep the object's nuid; ours say which revision they replaced.
    """
    return tombstone.nuid == info.nuid or records.replaced(tombstone) == info.revision


def _tombstone(info: ObjectInfo) -> ObjectInfo:
    """Return the tombstone of an object; its description stays (ADR-20).

    Its nuid is new: other clients purge by the nuid, and the chunks may live under another name.
    Where an answer was lost, the nuid also tells this tombstone from somebody else's.
    """
    return without_notes(info).with_changes(
        deleted=True,
        nuid=next_nuid(),
        size=0,
        chunks=0,
        digest="",
        mtime=None,
        revision=0,
        ttl=None,
    )


def is_shared(records: Records, info: ObjectInfo, *, thorough: bool = False) -> bool:
    """Tell whether another live name needs the same chunks.

    A put over one of two names that *another client's* interrupted rename left is the one case
    that is not seen: only a look through all records stored since the chunks would find the
    other name, and nothing that the server tells without it, for the record that is replaced is
    the untouched first one, and the server knows subjects, not contents. That look costs 0.34 s
    in a bucket of 10,000 objects and 4.3 s in one of 100,000, once for each process, and 0.5 ms
    each time after it, where a put takes 1.1 ms. A delete pays it; ``verify`` names such objects.

    Arguments:
        records: the bucket.
        info: a record that was just replaced.
        thorough: look through the bucket for names that other clients left.
    """
    # Our own renames leave these notes, so that a put need not look through the bucket.
    names = {info.extra.get(MOVED_TO), info.extra.get(MOVED_FROM)}
    if thorough:
        names |= records.names_with(info.nuid)
    for name in names:
        if isinstance(name, str) and name and name != info.name:
            try:
                other = records.read(name, fresh=True)
            except ObjectCorruptError:
                return True  # it may; chunks that nobody needs are left to collect_garbage
            # The note may be old: only the same nuid says that the chunks are still needed.
            if other is not None and not other.deleted and other.nuid == info.nuid:
                return True
    return False


def without_notes(info: ObjectInfo) -> ObjectInfo:
    """Return a record without the notes of a rename."""
    notes = (MOVED_TO, MOVED_FROM)
    return info.with_changes(extra={k: v for k, v in info.extra.items() if k not in notes})


# --- rename


def rename(
    records: Records,
    make: _Make,
    current: ObjectInfo | None,
    new_name: str,
    *,
    fail_on_conflict: bool,
) -> ObjectInfo:
    """Give an object another name: a note in the old record, the new one, the old tombstone.

    Interrupted after the note, nothing has changed; after the new record, both names are there
    and know of each other.

    Arguments:
        records, make, current, fail_on_conflict: as of :func:`change`.
        new_name: the name that it gets.

    Returns:
        The record under the new name.

    Raises:
        InvalidNameError: the new name cannot be one.
        ObjectExistsError: a live object has it.
        ObjectChangedError: the object was overwritten or deleted while it was being renamed.
        And as :func:`change`.
    """
    meta_subject(records.bucket, new_name)  # checks the name
    # Refuses before anything is stored; the note is the first step that others see.
    make(current)
    there = _require_free(find_current(records, new_name), new_name)

    def noted(found: ObjectInfo | None) -> ObjectInfo:
        info = make(found)
        return info.with_changes(extra={**info.extra, MOVED_TO: new_name})

    def renamed(found: ObjectInfo | None) -> ObjectInfo:
        _require_free(found, new_name)
        return new

    # Three steps, since no server stores two records as one. In this order a crash leaves two
    # names, never none.
    old = change(records, noted, current, fail_on_conflict=fail_on_conflict)
    extra = {key: value for key, value in old.extra.items() if key != MOVED_TO}
    new = fresh_record(old.with_changes(name=new_name, extra={**extra, MOVED_FROM: old.name}))
    stored, _ = commit(records, new, there, renamed)
    try:
        commit(records, _tombstone(old), old, None)
    except RevisionMismatchError as error:
        # Somebody overwrote the old name in between, and may have removed the chunks. So the
        # object was replaced, not renamed. The new name goes, unless somebody has put there, too.
        with contextlib.suppress(RevisionMismatchError):
            delete_object(records, new_name, stored, fail_on_conflict=True)
        raise ObjectChangedError(
            f"{old.name!r} was overwritten or deleted while it was being renamed",
            bucket=records.bucket,
            name=old.name,
        ) from error
    return stored


def _require_free(found: ObjectInfo | None, name: str) -> ObjectInfo | None:
    """Return the record that a name has, if the name is free: none, a tombstone, an unreadable one.

    Raises:
        ObjectExistsError: a live object has it.
    """
    if found is not None and not is_free(found):
        raise ObjectExistsError(
            f"{name!r} exists already in bucket {found.bucket}", bucket=found.bucket, name=name
        )
    return found


# --- links


def link_to(records: Records, link: ObjectLink, name: str) -> None:
    """Check a link's target.

    Raises:
        InvalidNameError: the target cannot exist.
        ObjectNotFoundError, BucketNotFoundError: it does not.
        LinkError: it is itself a link.
    """
    check_bucket_name(link.bucket)
    if link.name is None:
        try:
            records.jetstream.stream_info(stream_name(link.bucket))
        except BucketNotFoundError as error:
            raise records.of(link.bucket).no_bucket() from error
        return
    target = records.of(link.bucket).read(link.name)
    if target is None or target.deleted:
        raise ObjectNotFoundError(
            f"there is no object {link.name!r} in bucket {link.bucket} to link to",
            bucket=link.bucket,
            name=link.name,
        )
    # Clients refuse links to links, as ADR-20 has it.
    if target.link is not None:
        raise LinkError(
            f"{link.name!r} in bucket {link.bucket} is itself a link; link to its target",
            bucket=records.bucket,
            name=name,
        )


def overwrite_link(
    records: Records, info: ObjectInfo, current: ObjectInfo | None, *, fail_on_conflict: bool
) -> ObjectInfo:
    """Store a link where nothing is, or a tombstone, or a link.

    Raises:
        ObjectExistsError: a live object is there.
        And as :func:`change`.
    """

    def make(found: ObjectInfo | None) -> ObjectInfo:
        if found is None or found.link is None:
            _require_free(found, info.name)
        return info

    return change(records, make, current, fail_on_conflict=fail_on_conflict)
