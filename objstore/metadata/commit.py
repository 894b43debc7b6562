"""The commit: one metadata message, stored over exactly the revision that it replaces.

``Nats-Expected-Last-Subject-Sequence`` makes a writer know which record, and so which chunks, it
replaced; of two that race, one is refused and looks again. Where the answer is lost, the stream's
leader is asked what it holds before anything is decided: never is anything removed on a guess.
"""

from __future__ import annotations

import contextlib
import enum
import logging
import time
import weakref
from collections.abc import Callable
from datetime import datetime, timezone

from objstore.errors import (
    APIError,
    BucketNotFoundError,
    ConnectionClosedError,
    NoRespondersError,
    ObjStoreError,
    PermissionDeniedError,
    RequestTimeoutError,
    RevisionMismatchError,
    StorageFullError,
    is_transient,
)
from objstore.metadata.current import own_record, revision_of
from objstore.metadata.records import Records
from objstore.metadata.tombstones import make_room
from objstore.model.objects import ObjectInfo, chunk_subject, meta_subject, stored_info
from objstore.wire.jetstream.access import BEYOND
from objstore.wire.jetstream.api import PAUSE, PendingAck, PubAck
from objstore.wire.jetstream.stored_headers import stored_ttl

__all__ = [
    "OnConflict",
    "commit",
    "fence",
    "left_behind",
    "read_after_fence",
    "remove_chunks",
]

LOG = logging.getLogger("objstore")

#: How often somebody else may be faster. Sixteen writers of one name that never pause take some
#: hundred tries at the worst.
_TRIES = 1000

#: Called with what is stored, when somebody else was faster: gives what to store now, or raises.
OnConflict = Callable[[ObjectInfo | None], ObjectInfo]

#: The same where an answer was lost; None: nobody can tell whether it was stored in between.
OnLostAck = Callable[[ObjectInfo | None], ObjectInfo | None]


class Outcome(enum.Enum):
    """What became of one attempt to store a record."""

    STORED = "the stream acknowledged it"
    SUPERSEDED = "another revision is in its place, or on its way there"
    REFUSED = "not now: the stream has no leader at the moment"
    UNKNOWN = "no answer came: it may be stored, or be yet to be stored"


class Found(enum.Enum):
    """What is in the record's place, as the stream's leader says."""

    UNASKED = "nobody asked: the outcome says enough"
    EXPECTED = "still what was to be replaced"
    OURS = "what was to be stored"
    OTHER = "somebody else's record"


class Before(enum.Enum):
    """What became of the attempts before this one, at the worst."""

    NOTHING = "none of them can be stored"
    REFUSED = "one was refused, perhaps by a former leader whose successor has stored it"
    LOST = "the answer to one was lost"


class Step(enum.Enum):
    """What follows an attempt."""

    RETURN = "it is stored"
    REPEAT = "publish the same again, at once"
    WAIT = "publish the same again, in a moment"
    RESOLVE_CONFLICT = "ask the caller what to store over somebody else's record"
    RESOLVE_LOSS = "ask the caller whether to store anything: it may have been stored already"


_R, _W, _C, _L = Step.RETURN, Step.WAIT, Step.RESOLVE_CONFLICT, Step.RESOLVE_LOSS

#: What follows an attempt. To repeat is safe, since the same revision is expected again: of two
#: copies under way at most one is stored. Somebody else's record after a loss is no conflict:
#: ours may have been there in between, and its chunks removed by who replaced it; or a change
#: would be made twice, the second time to what was put since.
DECISIONS: dict[tuple[Outcome, Found], dict[Before, Step]] = {
    key: dict(zip(Before, steps, strict=True))
    for key, steps in {
        # ............................... before: nothing, refused, lost
        (Outcome.STORED, Found.UNASKED): (_R, _R, _R),
        (Outcome.REFUSED, Found.UNASKED): (_W, _W, _W),
        (Outcome.SUPERSEDED, Found.EXPECTED): (_W, _W, _W),  # the other write is in flight
        (Outcome.SUPERSEDED, Found.OURS): (_C, _R, _R),
        (Outcome.SUPERSEDED, Found.OTHER): (_C, _C, _L),
        (Outcome.UNKNOWN, Found.EXPECTED): (Step.REPEAT,) * 3,
        (Outcome.UNKNOWN, Found.OURS): (_R, _R, _R),
        (Outcome.UNKNOWN, Found.OTHER): (_L, _L, _L),
    }.items()
}


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

    Where the bucket is full, tombstones make room, and it is tried once more.

    Arguments:
        records: the bucket's metadata.
        info: what to store.
        current: what is stored now, tombstones included; None: nothing.
        on_conflict: decides when somebody else was faster; None: RevisionMismatchError.
        on_lost_ack: decides where an answer was lost and another's record is found; where there
            is no such function, or it gives None, the loss is raised.
        published: it was published already, by :meth:`Records.start_publish`; None: it was not.

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
    begun = time.monotonic()
    try:  # as nearly every commit ends, in few calls
        pending = published or records.start_publish(info, revision_of(current))
        return _as_stored(records, info, pending.result()), current
    except ObjStoreError as error:
        failed = error
    return _Attempts(records, info, current, on_conflict, on_lost_ack, begun).after(failed)


def outcome_of(error: ObjStoreError) -> Outcome | None:
    """Name the outcome of an attempt; None: an error that another attempt cannot mend."""
    if isinstance(error, RevisionMismatchError):
        return Outcome.SUPERSEDED
    if not is_transient(error):
        return None
    refused = isinstance(error, (NoRespondersError, APIError))
    return Outcome.REFUSED if refused else Outcome.UNKNOWN


def found_of(stored: ObjectInfo | None, info: ObjectInfo, expected: int) -> Found:
    """Name what is in a record's place.

    Arguments:
        stored: the record that is there; None: there is none.
        info: the record that was to be stored.
        expected: the revision that it was to replace.
    """
    if revision_of(stored) == expected:
        return Found.EXPECTED
    neutral = {"revision": 0, "mtime": None, "ttl": None}
    if stored is not None and stored.with_changes(**neutral) == info.with_changes(**neutral):
        return Found.OURS
    return Found.OTHER


class _Attempts:
    """The attempts to store a record, after a first one that has failed.

    Arguments:
        records, info, current, on_conflict, on_lost_ack: as of :func:`commit`.
        begun: when the first one began, by ``time.monotonic``.
    """

    def __init__(
        self,
        records: Records,
        info: ObjectInfo,
        current: ObjectInfo | None,
        on_conflict: OnConflict | None,
        on_lost_ack: OnLostAck | None,
        begun: float,
    ) -> None:
        self._records = records
        self._info = info  # what is to be stored now,
        self._current = current  # over this
        self._on_conflict = on_conflict
        self._on_lost_ack = on_lost_ack
        patience = records.jetstream.patience
        self._deadline = begun + patience
        # How long others may be faster again and again; also where the patience is 0.
        self._overtaken_until = begun + max(patience, records.jetstream.timeout)
        self._overtaken = 0
        self._before = Before.NOTHING
        self._lost: ObjStoreError | None = None  # the last answer that did not come
        self._made_room = False
        self._stored: ObjectInfo | None = None  # what is in the record's place

    def after(self, failed: ObjStoreError) -> tuple[ObjectInfo, ObjectInfo | None]:
        """Go on until an attempt is stored; raises as :func:`commit`."""
        outcome, before = self._classify(failed), Before.NOTHING
        while True:
            found = self._look(outcome)
            step = DECISIONS[outcome, found][before]
            if step is Step.RETURN:
                assert self._stored is not None  # noqa: S101 - it is what was stored
                return self._stored, self._current
            self._take(step, outcome)
            if (observer := self._records.jetstream.observer) is not None:
                info = self._info
                observer.retry("commit", self._failed, bucket=info.bucket, name=info.name)
            before = self._before
            outcome = self._attempt()

    def _attempt(self) -> Outcome:
        """Publish the record, and name the attempt's outcome."""
        try:
            pending = self._records.start_publish(self._info, revision_of(self._current))
            self._stored = _as_stored(self._records, self._info, pending.result())
        except ObjStoreError as error:
            return self._classify(error)
        return Outcome.STORED

    def _classify(self, error: ObjStoreError) -> Outcome:
        """Name an attempt's outcome, and take note of it for the next attempt.

        Raises:
            ObjStoreError: the error, or the loss before it, where there is to be no next one.
        """
        self._failed = error
        if isinstance(error, StorageFullError) and not self._made_room:
            self._made_room = True
            if make_room(self._records):
                return self._attempt()
        outcome = outcome_of(error)
        if outcome is Outcome.UNKNOWN:
            self._before, self._lost = Before.LOST, error
            if time.monotonic() >= self._deadline:
                raise error
        elif outcome is Outcome.REFUSED and time.monotonic() + PAUSE < self._deadline:
            self._before = Before.LOST if self._lost else Before.REFUSED
        elif outcome is not Outcome.SUPERSEDED:
            if self._lost is None or isinstance(error, ConnectionClosedError):
                raise error
            raise self._lost from error  # what was sent before may be stored yet
        return outcome

    def _look(self, outcome: Outcome) -> Found:
        """Ask the leader what is in the record's place, if the outcome does not say it."""
        if outcome in (Outcome.STORED, Outcome.REFUSED):
            return Found.UNASKED
        self._stored = _look(self._records, self._info.name, self._deadline)
        return found_of(self._stored, self._info, revision_of(self._current))

    def _take(self, step: Step, outcome: Outcome) -> None:
        """Prepare the next attempt.

        Raises:
            ObjStoreError: there is to be none.
        """
        if outcome is Outcome.SUPERSEDED or step is Step.RESOLVE_LOSS:
            self._overtaken += 1
            if self._overtaken == _TRIES or time.monotonic() >= self._overtaken_until:
                raise self._lost or self._mismatch()
        if step is Step.WAIT:
            if self._lost is None:  # a stream that stores records elsewhere says such things, too
                self._records.known.check_after_fault()
            time.sleep(PAUSE)
        elif step is Step.RESOLVE_CONFLICT:
            self._resolve_conflict()
        elif step is Step.RESOLVE_LOSS:
            self._resolve_loss()

    def _resolve_conflict(self) -> None:
        """Store what the caller wants over somebody else's record.

        Without a caller who decides, only where nothing was there and nothing is: a marker has
        expired, or a tombstone was collected.

        Raises:
            RevisionMismatchError: it is not to be stored.
        """
        if self._on_conflict is not None:
            self._info = self._on_conflict(self._stored)
        elif not (_is_absent(self._current) and _is_absent(self._stored)):
            raise self._mismatch()
        self._current = self._stored

    def _resolve_loss(self) -> None:
        """Store what the caller wants over a record that has perhaps replaced ours.

        Raises:
            RequestTimeoutError, ConnectionLostError: nothing; nobody can tell.
        """
        assert self._lost is not None  # noqa: S101 - that is what led here
        wanted = None if self._on_lost_ack is None else self._on_lost_ack(self._stored)
        if wanted is None:
            raise self._lost
        self._info, self._current = wanted, self._stored

    def _mismatch(self) -> RevisionMismatchError:
        """Make the error that says that somebody else was faster."""
        return RevisionMismatchError(
            f"{self._info.name!r} was changed by somebody else in the meantime",
            bucket=self._info.bucket,
            name=self._info.name,
            expected=revision_of(self._current),
            actual=revision_of(self._stored),
        )


def _as_stored(records: Records, info: ObjectInfo, ack: PubAck) -> ObjectInfo:
    """Return the record that an acknowledgement is of, as it will be read.

    Raises:
        BucketConfigError: another stream has stored it.
    """
    if ack.stream != records.stream:
        raise records.known.taken_by(ack.stream)
    if info.ttl is not None:
        info = info.with_changes(ttl=stored_ttl(info.ttl))
    revision = ack.sequence
    return stored_info(info, revision, _StoredTime(records, info.name, revision))


class _StoredTime:
    """The time at which a record was stored, which its acknowledgement does not tell.

    A request in each put would tell it, too, and take a fifth of its time, for what few look at.
    """

    __slots__ = ("_acked", "_bucket", "_jetstream", "_name", "_revision")

    def __init__(self, records: Records, name: str, revision: int) -> None:
        self._jetstream = weakref.ref(records.jetstream)  # a record keeps no connection open
        self._bucket, self._name, self._revision = records.bucket, name, revision
        self._acked = time.time()

    def __call__(self) -> datetime:
        """Return when the stream stored the record; if it cannot be asked, when it said so."""
        jetstream = self._jetstream()
        if jetstream is not None and jetstream.connection.is_connected:
            with contextlib.suppress(ObjStoreError):
                stored = Records(jetstream, self._bucket).read(self._name)
                if stored is not None and stored.revision == self._revision and stored.mtime:
                    return stored.mtime
        return datetime.fromtimestamp(self._acked, timezone.utc)


def _is_absent(found: ObjectInfo | None) -> bool:
    return found is None or found.deleted


def _look(records: Records, name: str, deadline: float) -> ObjectInfo | None:
    """Read what is stored, from a server that may be silent for a while."""
    while True:
        try:
            return own_record(records, name)
        except ObjStoreError as error:
            if not is_transient(error) or time.monotonic() + PAUSE >= deadline:
                raise
            time.sleep(PAUSE)  # the error may have come at once


def read_after_fence(records: Records, info: ObjectInfo) -> ObjectInfo | None:
    """Read what is stored where the publication of ``info`` was interrupted.

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
            records.jetstream.publish(subject, b"", "", expected_sequence=BEYOND)
        except RevisionMismatchError:
            return
        except RequestTimeoutError:
            raise
        except ObjStoreError as error:
            if not is_transient(error) or time.monotonic() >= deadline:
                raise
            if isinstance(error, NoRespondersError):
                records.known.check_after_fault()
            time.sleep(PAUSE)


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
    except ObjStoreError as error:
        left_behind(records, nuid, error)


def left_behind(records: Records, nuid: str, error: ObjStoreError) -> None:
    """Log that the chunks of a nuid could not be removed."""
    if isinstance(error, BucketNotFoundError):
        return
    if isinstance(error, PermissionDeniedError):
        records.access.may_purge = False
    LOG.warning(
        "chunks %s of bucket %s are left behind, collect_garbage removes them: %s",
        nuid,
        records.bucket,
        error,
    )
