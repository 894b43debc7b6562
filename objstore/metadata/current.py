"""The record that a write is going to replace.

A record that cannot be read does not take a name: it is overwritten, and ``collect_garbage`` finds
its chunks. A record that an older client stored under another subject is moved to the name's own
subject first, so that a name never has two records.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Protocol

from objstore.errors import (
    BucketNotFoundError,
    InvalidNameError,
    ObjectCorruptError,
    ObjStoreError,
    RevisionMismatchError,
    about,
    is_transient,
)
from objstore.metadata.records import PendingElsewhere, Records
from objstore.model.objects import ObjectInfo, Unreadable, is_free, meta_subject, unreadable
from objstore.model.record_json import parse_stored
from objstore.wire.jetstream.access import PendingRead

__all__ = [
    "Current",
    "Known",
    "PendingCurrent",
    "check_readable",
    "find_current",
    "fresh_record",
    "own_record",
    "revision_check",
    "revision_of",
]

#: Called with the record that a write is going to replace; raises where it must not.
Check = Callable[[ObjectInfo | None], object]

LOG = logging.getLogger("objstore")


class Current(Protocol):
    """The record that a name has, which was asked for, and maybe is not answered yet."""

    def result(self) -> ObjectInfo | None:
        """Return the record, tombstones included; None: there is none."""

    def close(self) -> None:
        """Stop waiting for the answer, which is not needed any more."""


class Known:
    """The record that a name has, where it is known already."""

    def __init__(self, info: ObjectInfo | None) -> None:
        self._info = info

    def result(self) -> ObjectInfo | None:
        """Return the record that was given."""
        return self._info

    def close(self) -> None:
        """Do nothing, since nothing was asked for."""


class PendingCurrent:
    """The record that a name has, asked for together with what is sent next.

    The stream's settings are asked for with it, if they are older than a second. To be closed, if
    the result is not taken.

    Arguments:
        records: the bucket.
        name: of the object.

    Raises:
        InvalidNameError: the name cannot be one.
        ConnectionLostError: there is no connection.
    """

    __slots__ = ("_name", "_pending", "_records", "_settings")

    def __init__(self, records: Records, name: str) -> None:
        known = records.known
        self._records = records
        self._name = name
        # Looked at here, too: nearly every put is spared the call.
        self._settings = None if time.monotonic() < known.fresh_until else known.start_check()
        subject = meta_subject(records.bucket, name)
        # As for any record: the leader's answer is needed, which a server that stands alone gives
        # by a direct get, too.
        self._pending = PendingRead(
            records.access,
            records.jetstream,
            subject,
            leader=not records.reads_direct,
            piggyback=True,
        )

    def result(self) -> ObjectInfo | None:
        """Return the record as :func:`find_current`, but do not look under other subjects.

        Raises:
            BucketReadOnlyError, BucketSealedError, BucketConfigError: it cannot be replaced.
            And as :func:`find_current`.
        """
        records, name = self._records, self._name
        try:
            # Where nothing else was sent since, the question goes now.
            self._pending.flush_piggybacked()
            stored = self._pending.result()
            info = None if stored is None else parse_stored(stored, records.bucket)
        except ObjectCorruptError as error:
            about(name=name).tell(error)
            info = _unread(records, name, error)
        except BucketNotFoundError as error:
            raise records.no_bucket() from error
        except ObjStoreError as error:
            if not is_transient(error):
                raise
            info = _read_place(records, name)  # asks again
        if self._settings is not None:
            self._settings.check()  # sent together: its answer has come by now, if it comes at all
        return info if info is None or info.name == name else _move_out(records, name, info)

    def close(self) -> None:
        """Stop waiting for the answer. Never fails."""
        self._pending.close()
        if self._settings is not None:
            self._settings.close()


def find_current(records: Records, name: str, check: Check | None = None) -> ObjectInfo | None:
    """Return the record that a write will replace, tombstones included; None: there is none.

    What cannot be read comes as :class:`~objstore.model.objects.Unreadable`, and a warning is
    logged.

    Arguments:
        records: the bucket.
        name: of the object.
        check: called with what was found; raises where it must not be replaced. Nothing has
            changed then.

    Raises:
        InvalidNameError: the name cannot be one.
        BucketNotFoundError: there is no such bucket.
        RequestTimeoutError, ConnectionLostError: no answer.
    """
    elsewhere = None
    with contextlib.closing(PendingElsewhere(records, name)) as pending:
        info = _read_place(records, name, pending)
        # Only then: a name with a record under its own subject hides whatever older clients stored
        # elsewhere.
        if info is None or info.deleted:
            elsewhere = pending.result(0 if info is None else info.revision)
    if check is not None:
        # Before the move, so that a refused write changes nothing.
        check(info if elsewhere is None else elsewhere[1])
    if elsewhere is not None:
        _move(records, *elsewhere)
        # Read again: whoever moved it, the revision that is to be replaced is a new one.
        info = own_record(records, name)
    return info


def revision_of(current: ObjectInfo | None) -> int:
    """Return the revision of a record; None, which is no record, has the revision 0."""
    return 0 if current is None else current.revision


def revision_check(bucket: str, name: str, if_revision: int) -> Check:
    """Return a check for :func:`find_current` that lets only one revision be replaced.

    Arguments:
        bucket: the bucket's name, for the error.
        name: of the object.
        if_revision: the revision; 0: there must be no object. A record that cannot be read counts
            as none, and may also be named by its revision.

    Returns:
        A function that raises RevisionMismatchError.
    """

    def check(found: ObjectInfo | None) -> None:
        # A tombstone counts as nothing: 0 stores a name that was deleted.
        live = 0 if found is None or found.deleted else found.revision
        if live == if_revision or (if_revision == 0 and is_free(found)):
            return
        raise RevisionMismatchError(
            f"{name!r} has the revision {live}, not {if_revision}"
            if live
            else f"{name!r} does not exist, so it has not the revision {if_revision}",
            bucket=bucket,
            name=name,
            expected=if_revision,
            actual=live,
        )

    return check


def check_readable(found: ObjectInfo) -> None:
    """Refuse to change a part of what cannot be read.

    Raises:
        ObjectCorruptError: the record cannot be read.
    """
    if isinstance(found, Unreadable):
        raise ObjectCorruptError(
            f"the metadata of {found.name!r} are malformed: they can be overwritten or deleted",
            bucket=found.bucket,
            name=found.name,
            revision=found.revision,
        )


def own_record(records: Records, name: str) -> ObjectInfo | None:
    """Read the record under a name's own subject from the stream's leader.

    What cannot be read comes as :class:`~objstore.model.objects.Unreadable`.
    """
    try:
        return records.read_own(name, fresh=True)
    except ObjectCorruptError as error:
        return _unread(records, name, error)


def _read_place(
    records: Records, name: str, elsewhere: PendingElsewhere | None = None
) -> ObjectInfo | None:
    """Read the record under the name's own subject; move another name's out of there."""
    try:
        info = records.read_own(name, elsewhere=elsewhere)
    except ObjectCorruptError as error:
        return _unread(records, name, error)
    return info if info is None or info.name == name else _move_out(records, name, info)


def _move_out(records: Records, name: str, info: ObjectInfo) -> ObjectInfo | None:
    """Make room for a name where an older client stored another one under its subject."""
    try:
        _move(records, meta_subject(records.bucket, name), info)
    except InvalidNameError:  # nor can it have another subject
        return unreadable(records.bucket, name, info.revision)
    return own_record(records, name)


def _unread(records: Records, name: str, error: ObjectCorruptError) -> ObjectInfo:
    # No revision, no expected sequence: it could not be replaced safely.
    if error.revision is None:
        raise error
    LOG.warning("%r is going to be overwritten: %s; collect_garbage finds its chunks", name, error)
    return unreadable(records.bucket, name, error.revision)


def _move(records: Records, subject: str, info: ObjectInfo) -> None:
    """Store a record of an older client under its own subject, and remove it where it was.

    Interrupted in between, both are there, with the same chunks; the one under its own subject
    counts.
    """
    there = own_record(records, info.name)
    is_newer = there is None or (there.deleted and there.revision < info.revision)
    if is_newer and not info.deleted:
        expected = 0 if there is None else there.revision
        LOG.info("%r of an older client moves from %s", info.name, subject)
        with contextlib.suppress(RevisionMismatchError):  # somebody else has put it there
            records.start_publish(fresh_record(info), expected).result()
    records.jetstream.purge(records.stream, subject, info.revision)


def fresh_record(info: ObjectInfo) -> ObjectInfo:
    """Return a record to be stored once more: the stream gives it a new time and revision.

    What is left of its life time goes on, rather than beginning anew.
    """
    ttl = info.ttl
    if ttl is not None and info.mtime is not None:
        # Else each update would prolong an object's life beyond that of its chunks.
        ttl = ttl - (datetime.now(timezone.utc) - info.mtime)
    return info.with_changes(mtime=None, revision=0, ttl=ttl)
