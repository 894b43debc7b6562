"""The commit: one metadata message, stored over exactly the revision that it replaces.

``Nats-Expected-Last-Subject-Sequence`` makes a writer know which record, and so which chunks, it
replaced; of two that race, one is refused and looks again. Where the answer is lost, the stream's
leader is asked what it holds before anything is decided: never is anything removed on a guess.
"""

from __future__ import annotations

import contextlib
import logging
import time
import weakref
from collections.abc import Callable
from datetime import datetime, timezone
from typing import TypeGuard

from objstore.errors import (
    APIError,
    BucketNotFoundError,
    ConnectionClosedError,
    ConnectionLostError,
    NoRespondersError,
    ObjStoreError,
    PermissionDeniedError,
    RequestTimeoutError,
    RevisionMismatchError,
    StorageFullError,
    is_transient,
)
from objstore.metadata.current import own_record
from objstore.metadata.records import Records
from objstore.metadata.tombstones import make_room
from objstore.model.objects import ObjectInfo, chunk_subject, meta_subject, stored_info
from objstore.wire.jetstream.api import PendingAck, PubAck
from objstore.wire.jetstream.stored_headers import stored_ttl

__all__ = ["OnConflict", "commit", "fence", "read_after_fence", "remove_chunks", "revision_of"]

LOG = logging.getLogger("objstore")

#: Between two looks at what is stored, in seconds.
_PAUSE = 0.1

#: How often somebody else may be faster. Sixteen writers of one name that never pause take some
#: hundred tries at the worst.
_TRIES = 1000

#: A revision that no stream reaches.
_IMPOSSIBLE = (1 << 63) - 1

#: Called with what is stored, when somebody else was faster: gives what to store now, or raises.
OnConflict = Callable[[ObjectInfo | None], ObjectInfo]

#: The same where an answer was lost; None: nobody can tell whether it was stored in between.
OnLostAck = Callable[[ObjectInfo | None], ObjectInfo | None]


def commit(
    records: Records,
    info: ObjectInfo,
    current: ObjectInfo | None,
    on_conflict: OnConflict | None,
    *,
    on_lost_ack: OnLostAck | None = None,
    published: PendingAck | None = None,
) -> tuple[ObjectInfo, ObjectInfo | None]:
    """Publish a record in place of the one that is stored.

    Arguments:
        records: the bucket's metadata.
        info: what to store.
        current: what is stored now, tombstones included; None: nothing.
        on_conflict: decides when somebody else was faster; None: RevisionMismatchError.
        after_loss: decides where an answer was lost and another's record is found; where there is
            no such function, or it gives None, the loss is raised.
        published: it was published already, by :meth:`Records.start_publish`; None: it was not.

    Where an answer was lost and another's record is found, this one may have been there in
    between. Nobody can tell, so ``on_conflict`` is not for that: its chunks may have been removed
    by who replaced it, and a change would be made twice, the second time to what was put since.

    Where the bucket is full, tombstones make room, and it is tried once more.

    Returns:
        The info with its revision and time, and what it replaced.

    Raises:
        RevisionMismatchError: somebody else was faster; or was so each time, for the connection's
            patience.
        BucketConfigError: the stream has come to store records elsewhere, or another takes them.
        BucketNotFoundError: there is no such bucket.
        RequestTimeoutError, ConnectionLostError: it is unknown whether it was stored, even
            after asking again for the connection's patience.
        ObjStoreError: it was not stored.
    """
    try:
        return _commit(records, info, current, on_conflict, on_lost_ack, published)
    except StorageFullError:
        if not make_room(records):
            raise
        return _commit(records, info, current, on_conflict, on_lost_ack, None)


def _commit(
    records: Records,
    info: ObjectInfo,
    current: ObjectInfo | None,
    on_conflict: OnConflict | None,
    on_lost_ack: OnLostAck | None,
    published: PendingAck | None,
) -> tuple[ObjectInfo, ObjectInfo | None]:
    """As :func:`commit`, in a bucket that is not full."""
    begun = time.monotonic()
    deadline = begun + records.jetstream.patience
    overtaken = 0
    lost: ObjStoreError | None = None  # it was published, and no answer came
    refused = False  # for now; a former leader says so too, of what its successor stores
    while True:
        expected = revision_of(current)
        try:
            pending, published = published or records.start_publish(info, expected), None
            return _as_stored(records, info, pending.result()), current
        except RevisionMismatchError:
            stored = _look(records, info.name, deadline)
        except (NoRespondersError, APIError) as error:
            # Refused for now, while a leader is elected.
            if not is_transient(error) or time.monotonic() + _PAUSE >= deadline:
                if lost is not None:  # what was sent before may be stored yet
                    raise lost from error
                raise
            if lost is None:
                records.known.check_after_fault()
            refused = True
            time.sleep(_PAUSE)
            continue
        except ConnectionClosedError:
            raise
        except (RequestTimeoutError, ConnectionLostError) as error:
            # Lost is not refused. The same revision is expected again, so that of two copies
            # under way at most one is stored.
            lost = error
            if time.monotonic() >= deadline:
                raise
            stored = _look(records, info.name, deadline)
            if revision_of(stored) == expected:
                continue
        if (refused or lost is not None) and _is_ours(stored, info):
            return stored, current
        overtaken += 1
        if overtaken == _TRIES or time.monotonic() >= begun + _longest(records):
            raise lost or _overtaken(info, expected, stored)
        if lost is not None:
            wanted = None if on_lost_ack is None else on_lost_ack(stored)
            if wanted is None:
                raise lost
            info, current = wanted, stored
            continue
        if on_conflict is None and not (_is_absent(current) and _is_absent(stored)):
            raise _overtaken(info, expected, stored)
        if revision_of(stored) == expected:
            _await_other(records)
        # Without ``on_conflict``: a marker has expired, or a tombstone was collected. Nothing was
        # there.
        info, current = info if on_conflict is None else on_conflict(stored), stored


def _as_stored(records: Records, info: ObjectInfo, ack: PubAck) -> ObjectInfo:
    """The record that an acknowledgement is of, as it will be read.

    Raises:
        BucketConfigError: another stream has stored it.
    """
    if ack.stream != records.stream:
        raise records.known.taken_by(ack.stream)
    if info.ttl is not None:
        info = info.with_changes(ttl=stored_ttl(info.ttl))
    revision = ack.sequence
    return stored_info(info, revision, _StoredTime(records, info.name, revision))


def _await_other(records: Records) -> None:
    """Another revision was said to be stored, and is not: its write is still in flight.

    Raises:
        BucketConfigError: or the stream stores records elsewhere.
    """
    records.known.check_after_fault()
    time.sleep(_PAUSE)


def _longest(records: Records) -> float:
    """How long somebody else may be faster, in seconds; also where no connection is awaited."""
    return max(records.jetstream.patience, records.jetstream.timeout)


class _StoredTime:
    """Finds out when a record was stored, which its acknowledgement does not tell.

    A request in each put would tell it, too, and take a fifth of its time, for what few look at.
    """

    __slots__ = ("_acked", "_bucket", "_jetstream", "_name", "_revision")

    def __init__(self, records: Records, name: str, revision: int) -> None:
        self._jetstream = weakref.ref(records.jetstream)  # a record keeps no connection open
        self._bucket, self._name, self._revision = records.bucket, name, revision
        self._acked = time.time()

    def __call__(self) -> datetime:
        """When the stream stored it; else, where it cannot be asked any more, when it said so."""
        jetstream = self._jetstream()
        if jetstream is not None and jetstream.connection.is_connected:
            with contextlib.suppress(ObjStoreError):
                stored = Records(jetstream, self._bucket).read(self._name)
                if stored is not None and stored.revision == self._revision and stored.mtime:
                    return stored.mtime
        return datetime.fromtimestamp(self._acked, timezone.utc)


def revision_of(current: ObjectInfo | None) -> int:
    """The revision that a record has, for its successor to expect; 0: there is none."""
    return 0 if current is None else current.revision


def _is_absent(found: ObjectInfo | None) -> bool:
    return found is None or found.deleted


def _look(records: Records, name: str, deadline: float) -> ObjectInfo | None:
    """What is stored, from a server that may be silent for a while."""
    while True:
        try:
            return own_record(records, name)
        except ObjStoreError as error:
            if not is_transient(error) or time.monotonic() + _PAUSE >= deadline:
                raise
            time.sleep(_PAUSE)  # the error may have come at once


def _is_ours(stored: ObjectInfo | None, info: ObjectInfo) -> TypeGuard[ObjectInfo]:
    """Whether what is stored is what we published, its answer having been lost."""
    neutral = {"revision": 0, "mtime": None, "ttl": None}
    return stored is not None and stored.with_changes(**neutral) == info.with_changes(**neutral)


def _overtaken(info: ObjectInfo, expected: int, stored: ObjectInfo | None) -> RevisionMismatchError:
    return RevisionMismatchError(
        f"{info.name!r} was changed by somebody else in the meantime",
        bucket=info.bucket,
        name=info.name,
        expected=expected,
        actual=stored.revision if stored is not None else 0,
    )


def read_after_fence(records: Records, info: ObjectInfo) -> ObjectInfo | None:
    """What is stored where the publication of ``info`` was interrupted.

    Raises:
        ObjStoreError: that could not be found out.
    """
    fence(records, meta_subject(records.bucket, info.name))
    return own_record(records, info.name)


def fence(records: Records, subject: str) -> None:
    """Wait until what was sent to a subject before is stored, or never will be.

    A stream stores what it is sent from a queue, in order. So something is sent that it must
    refuse, and the refusal waited for. (Ctrl-C breaks the connection when it comes in the midst
    of sending; so this is tried for one time-out.)

    Raises:
        BucketNotFoundError: there is no such bucket.
        ObjStoreError: no refusal came.
    """
    deadline = time.monotonic() + records.jetstream.timeout
    while True:
        try:
            records.jetstream.publish(subject, b"", "", expected_sequence=_IMPOSSIBLE)
        except RevisionMismatchError:
            return
        except RequestTimeoutError:
            raise
        except ObjStoreError as error:
            if not is_transient(error) or time.monotonic() >= deadline:
                raise
            if isinstance(error, NoRespondersError):
                records.known.check_after_fault()
            time.sleep(_PAUSE)


def remove_chunks(records: Records, nuid: str, *, unanswered: bool = False) -> None:
    """Remove the chunks of a nuid, after something else has succeeded or failed; never raises.

    What cannot be removed now is found later by ``collect_garbage``.

    Arguments:
        records: the bucket.
        nuid: of the chunks.
        unanswered: some were sent over a connection that was lost, and may yet be stored.
    """
    if not nuid:
        return
    subject = chunk_subject(records.bucket, nuid)
    try:
        if unanswered:
            with contextlib.suppress(ObjStoreError):  # the purge says why, if it fails too
                fence(records, subject)
        records.jetstream.purge(records.stream, subject)
    except BucketNotFoundError:
        pass
    except ObjStoreError as error:
        if isinstance(error, PermissionDeniedError):
            records.access.may_purge = False
        LOG.warning("chunks %s of bucket %s are left behind: %s", nuid, records.bucket, error)
