"""A bucket's metadata messages: reading and writing one record (ADR-20)."""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator

from objstore.errors import (
    BucketNotFoundError,
    NoRespondersError,
    ObjectCorruptError,
    ObjStoreError,
    about,
    is_transient,
)
from objstore.metadata.known_stream import KnownStream
from objstore.metadata.pages import Page, Paging
from objstore.metadata.seen import NamesByNuid, TombstonesSeen
from objstore.model.objects import (
    ObjectInfo,
    all_meta_subject,
    meta_subject,
    stream_name,
)
from objstore.model.record_json import encode_info, parse_stored
from objstore.model.spellings import other_subjects
from objstore.wire.jetstream.access import Access, PendingRead
from objstore.wire.jetstream.answers import StoredMessage, mark_of
from objstore.wire.jetstream.api import JetStream, PendingAck
from objstore.wire.jetstream.direct import BatchRequest, DirectPage
from objstore.wire.jetstream.pages import all_subjects
from objstore.wire.jetstream.reads import Way
from objstore.wire.jetstream.stored_headers import parse_expected

__all__ = ["PendingElsewhere", "Records"]

#: Requests under way at once, where there are no batches.
AHEAD = 64

#: So many records stored since an earlier look are asked for one after the other.
FEW = 64

#: The most that one request for the records of a few subjects brings, in bytes.
FEW_BYTES = 4 << 20


class Records:
    """The metadata of one bucket's objects.

    Arguments:
        jetstream: the account.
        bucket: the bucket's name, checked.
        eventual: read metadata from any replica, not from the leader.
        known: what is known of its stream; None: nothing.

    Attributes:
        known: what is known of the bucket's stream.
        has_older_spellings: whether a record was seen that an older client stored under another
            spelling of its subject.
    """

    def __init__(
        self,
        jetstream: JetStream,
        bucket: str,
        *,
        eventual: bool = False,
        known: KnownStream | None = None,
    ) -> None:
        self.jetstream = jetstream
        self.bucket = bucket
        self.known = KnownStream(jetstream, bucket) if known is None else known
        self.stream = stream_name(bucket)
        # Looked for in an answer's header as bytes: a record from a mirror that answers for the
        # bucket has another stream's name there.
        self._mark = mark_of(self.stream)
        self._eventual = eventual
        self._names = NamesByNuid()
        self.tombstones = TombstonesSeen()
        self.has_older_spellings = False
        self.access = Access(jetstream, self.stream, self.known.ask)

    def of(self, bucket: str) -> Records:
        """Return the metadata of another bucket of the account."""
        return Records(self.jetstream, bucket, eventual=self._eventual)

    def read(self, name: str, *, fresh: bool = False) -> ObjectInfo | None:
        """Return the last record of a name, tombstones included; None if there is none.

        Where there is none, or a tombstone, one that an older client stored under another subject
        is looked for: it counts if it is newer.

        Arguments:
            name: of the object.
            fresh: ask the leader, also where ``eventual`` was chosen.

        Raises:
            ObjStoreError: as :meth:`read_own`.
        """
        elsewhere = PendingElsewhere(self, name)
        try:
            info = self.read_own(name, fresh=fresh, elsewhere=elsewhere)
            if info is not None and info.name != name:
                info = None  # of a name that an older client stored under this one's subject
            if info is None or info.deleted:
                found = elsewhere.result(0 if info is None else info.revision)
                if found is not None:
                    return found[1]
            return info
        finally:
            elsewhere.close()

    def find_elsewhere(self, name: str, after: int = 0) -> tuple[str, ObjectInfo] | None:
        """Find the newest record of a name that an older client stored under another subject.

        Arguments:
            name: of the object.
            after: the revision that it must be newer than.

        Returns:
            The subject, and the record; None: there is none.

        Raises:
            ObjStoreError: as :meth:`read_own`.
        """
        return PendingElsewhere(self, name).result(after)

    def read_own(
        self, name: str, *, fresh: bool = False, elsewhere: PendingElsewhere | None = None
    ) -> ObjectInfo | None:
        """Return the last record under a name's own subject, tombstones included; None: none.

        From the leader, unless any server will do or there is but one. A direct get is the
        leader's answer on a server without a cluster, and costs less: 6,200 a second against
        4,100. In a cluster it is stale in 1 to 28 of 100 reads. A mirror that another tool made
        may answer too, and be behind: it says its own name.

        Arguments:
            name: of the object.
            fresh: ask the leader, also where ``eventual`` was chosen.
            elsewhere: the question for the name's other subjects, to be sent together with the
                leader's where a direct get found no record; None: there is none to send.

        Raises:
            InvalidNameError: the name cannot be one.
            BucketNotFoundError: there is no such bucket.
            ObjectCorruptError: the record is malformed.
            RequestTimeoutError, ConnectionLostError: no answer.
        """
        subject, access = meta_subject(self.bucket, name), self.access
        try:
            stored, is_newest = None, False
            if self.reads_direct and not fresh:
                try:
                    stored = access.last(subject, leader=False)
                    is_of_leader = stored is not None and self._mark in stored.header
                    # A mirror may lag, and "not found" carries no stream's name: such an answer is
                    # proved by the leader.
                    is_newest = self._eventual or is_of_leader or self._has_no_other_way
                except NoRespondersError:
                    stored, is_newest = self._last_without_direct(subject), True
                if stored is None and elsewhere is not None:
                    elsewhere.ask()
            if not is_newest:
                stored = access.last(subject, leader=True)
            return None if stored is None else parse_stored(stored, self.bucket)
        except BucketNotFoundError as error:
            raise self.no_bucket() from error
        except ObjectCorruptError as error:
            about(name=name).tell(error)
            raise

    @property
    def _has_no_other_way(self) -> bool:
        """Whether the leader cannot be asked, or was: a direct get was not allowed meanwhile."""
        return not self.access.allows(Way.LEADER) or not self.reads_direct

    def _last_without_direct(self, subject: str) -> StoredMessage | None:
        """Ask the leader for a subject's last message, and learn if direct gets are allowed."""
        # Until the leader has said it: 503 is the answer of a missing stream, of one without direct
        # gets, and of a cluster that elects a leader.
        self.access.direct = False
        stored = self.access.last(subject, leader=True)
        self.access.learn_direct()
        return stored

    def last_from_leader(self, subject: str) -> StoredMessage | None:
        """Return the last message of a subject; from the leader, if that may be asked."""
        try:
            return self.access.last(subject, leader=True)
        except BucketNotFoundError as error:
            raise self.no_bucket() from error

    @property
    def batches(self) -> bool:
        """Whether direct gets can come in batches."""
        return self.access.numbered and not self.access.single

    @property
    def reads_direct(self) -> bool:
        """Whether records are read by direct gets; else from the leader."""
        access, clustered = self.access, self.jetstream.is_clustered
        # In a cluster a direct get may come from a follower, which was up to 181 ms behind.
        if not access.direct or (clustered and not self._eventual):
            return False
        return not access.denied or access.choose_way(None, leader=False) is not Way.LEADER

    def start_read(self, name: str) -> PendingRead:
        """Ask for the last record of a name; the answer is to be taken later, and parsed.

        Raises:
            InvalidNameError: the name cannot be one.
            ConnectionLostError: there is no connection.
        """
        return self._start_last(meta_subject(self.bucket, name))

    def _start_last(self, subject: str) -> PendingRead:
        return self.access.start_last(subject, leader=not self.reads_direct)

    def start_next(self, subject: str, sequence: int, *, leader: bool = False) -> PendingRead:
        """Ask for the first message of a subject from a sequence on.

        Of any server; with ``leader``, of the stream's leader, if that may be asked.
        """
        return self.access.start_next(subject, sequence, leader=leader)

    def parse(self, stored: StoredMessage) -> ObjectInfo:
        """Read a stored record.

        Raises:
            ObjectCorruptError: it is malformed.
        """
        return parse_stored(stored, self.bucket)

    def replaced(self, info: ObjectInfo) -> int | None:
        """Return the revision that a record was stored over; None: unknown, or the record is gone.

        Raises:
            ObjStoreError: as :meth:`read`.
        """
        subject = meta_subject(self.bucket, info.name)
        stored = self.access.next(subject, info.revision, leader=True)
        if stored is None or stored.sequence != info.revision:
            return None
        return parse_expected(stored.header)

    def start_publish(
        self,
        info: ObjectInfo,
        expected: int,
        encoded: bytes | None = None,
        *,
        piggyback: bool = False,
    ) -> PendingAck:
        """Publish a record in place of the one with revision ``expected`` (0: none).

        Arguments:
            info: the record.
            expected: the revision to replace.
            encoded: the record in JSON, if it was encoded before; None: it was not.
            piggyback: whether it may wait for what is sent next.

        Returns:
            The pending acknowledgement, whose ``result()`` has the record's revision. That raises
            RevisionMismatchError where another record is stored, RequestTimeoutError and
            ConnectionLostError where it is unknown whether this one was, and other errors where it
            was not.

        Raises:
            InvalidOptionError: it is larger than a message may be.
            BucketConfigError: it is larger than the stream's own limit.
            ConnectionLostError: there is no connection.
        """
        what = f"storing the metadata of {info.name!r} in bucket {self.bucket}"
        encoded = encode_info(info) if encoded is None else encoded
        if self.known.max_msg_size is not None:
            self.known.check_record(info.name, len(encoded))
        facts = {"bucket": self.bucket, "name": info.name}
        try:
            return self.jetstream.start_publish(
                meta_subject(self.bucket, info.name),
                encoded,
                what,
                rollup=True,  # ADR-20: one record for each name; without it those before stay
                expected_sequence=expected,
                ttl=info.ttl,
                states_ttl=True,
                facts=facts,
                piggyback=piggyback,
            )
        except ObjStoreError as error:
            about(**facts).tell(error)
            raise

    def pages(self, subject: str, sequence: int = 1) -> Generator[Page, None, None]:
        """Yield the messages of a subject from a sequence on, in pages that are never empty."""
        if self.batches:
            pages = Paging(self.jetstream, self.access, self.stream, subject, sequence)
            try:
                with about(bucket=self.bucket):
                    yield from pages
            except NoRespondersError:
                if self.access.direct:
                    raise
            except BucketNotFoundError as error:
                raise self.no_bucket() from error
            finally:
                pages.close()
            sequence = pages.sequence
        if not self.batches:
            yield from self._one_by_one(subject, sequence)
        elif self.may_lag:
            yield from self._rest_from_leader(subject, sequence)

    @property
    def may_lag(self) -> bool:
        """Whether direct gets may miss what was stored last, though that is wanted."""
        return self.jetstream.is_clustered and not self._eventual

    def _rest_from_leader(self, subject: str, sequence: int) -> Iterator[Page]:
        """Yield the messages that followers did not have yet, up to the last one at this moment.

        A follower that lags gave what it had, so that what it lacks has higher sequences. Messages
        that are stored from now on are left out: a writer may be as fast as this reads.
        """
        last = int(self.known.ask()["state"]["last_seq"])
        while sequence <= last:
            found = self.access.next(subject, sequence, leader=True)
            if found is None:
                return
            yield Page([found], 1, 0)
            sequence = found.sequence + 1

    def _one_by_one(self, pattern: str, sequence: int) -> Iterator[Page]:
        """Yield the messages of a pattern from a sequence on, without batches.

        Up to :data:`FEW` messages since an earlier look are asked for one after the other. If there
        are more, or all are wanted, the last message of each subject is asked for, many at once.
        """
        for _ in range(FEW if sequence > 1 else 0):
            found = self.access.next(pattern, sequence, leader=True)
            if found is None:
                return
            yield Page([found], 1, 0)
            sequence = found.sequence + 1
        rest = self._all_by_name(pattern, sequence)
        if rest:
            yield rest

    def _all_by_name(self, pattern: str, sequence: int) -> Page:
        """Return the last message of each subject, from a sequence on.

        Memory: all records, since the subjects come in no order.
        """
        try:
            found = self._last_of_each(pattern)
        except NoRespondersError:
            self.access.learn_direct()
            if self.access.direct:
                raise
            found = self._last_of_each(pattern)
        found = [stored for stored in found if stored.sequence >= sequence]
        found.sort(key=lambda stored: stored.sequence)
        return Page(found, len(found), 0)

    def _last_of_each(self, pattern: str) -> list[StoredMessage]:
        """Return the last message of each subject, in no order."""
        subjects = all_subjects(self.jetstream, self.stream, pattern)
        return list(self._read_each(iter(subjects), self._start_last))

    def last_of(self, subjects: Iterable[str]) -> Iterator[StoredMessage]:
        """Return the last message of each of some subjects, from the leader."""

        def ask(subject: str) -> PendingRead:
            return self.access.start_last(subject, leader=True)

        return self._read_each(iter(subjects), ask)

    def _read_each(
        self, subjects: Iterator[str], ask: Callable[[str], PendingRead]
    ) -> Iterator[StoredMessage]:
        """Yield what each subject has, with several requests under way."""
        under_way: deque[tuple[str, PendingRead]] = deque()

        def ask_for(count: int) -> None:
            for subject in itertools.islice(subjects, count):
                under_way.append((subject, ask(subject)))

        try:
            ask_for(AHEAD)
            while under_way:
                stored = self._result_of(*under_way.popleft())
                if stored is not None:
                    yield stored
                ask_for(1)
        finally:
            for _, pending in under_way:
                pending.close()

    def _result_of(self, subject: str, pending: PendingRead) -> StoredMessage | None:
        """Return the last message of a subject; ask the leader where the answer did not come."""
        try:
            return pending.result()
        except NoRespondersError:
            raise  # it may be that there are no direct gets
        except ObjStoreError as error:
            if not is_transient(error):
                raise
            return self.last_from_leader(subject)

    def names_with(self, nuid: str) -> set[str]:
        """Return the names that have had a nuid; as :meth:`names_with_each`."""
        return self.names_with_each((nuid,))[nuid]

    def names_with_each(self, nuids: Iterable[str]) -> dict[str, set[str]]:
        """Return the names whose records had each nuid; some may be gone, or have another by now.

        The first call reads all records, later ones those stored since. Memory: 100 bytes for each.
        """
        with self._names.lock:
            pages = self.pages(all_meta_subject(self.bucket), self._names.next)
            for message in itertools.chain.from_iterable(pages):
                with contextlib.suppress(ObjectCorruptError):
                    record = self.parse(message)
                    # Another client's tombstone has the nuid of what it deleted.
                    if not record.deleted:
                        self._names.add(record.nuid, record.name)
                self._names.next = message.sequence + 1  # after it: it may be interrupted here
            return {nuid: self._names.of(nuid) for nuid in nuids}

    def no_bucket(self) -> BucketNotFoundError:
        """Return the error that says that there is no such bucket."""
        return self.known.missing()


class PendingElsewhere:
    """The records that older clients stored under a name's other subjects; to be closed.

    They are asked for by one request, of whichever server answers: every server has old records.
    Where one is found that may be gone by now, the leader is asked.

    Arguments:
        records: the bucket.
        name: of the object.
    """

    __slots__ = ("_name", "_page", "_records", "_subjects")

    def __init__(self, records: Records, name: str) -> None:
        self._records = records
        self._name = name
        self._subjects: tuple[str, ...] | None = None  # once they are asked for
        self._page: DirectPage | None = None

    def ask(self) -> None:
        """Send the request; :meth:`result` takes the answer.

        Raises:
            ConnectionLostError: there is no connection.
        """
        records = self._records
        self._subjects = other_subjects(records.bucket, self._name)
        if records.batches and self._subjects:
            request = BatchRequest(last_of=self._subjects, max_bytes=FEW_BYTES)
            self._page = records.jetstream.direct_page(records.stream, request)

    def result(self, after: int = 0) -> tuple[str, ObjectInfo] | None:
        """Return the newest record, as :meth:`Records.find_elsewhere`; ask first if need be."""
        records = self._records
        if self._subjects is None:
            self.ask()
        found: dict[int, tuple[str, ObjectInfo]] = {}
        for stored in self._messages():
            with contextlib.suppress(ObjectCorruptError):
                info = records.parse(stored)
                # Two names can have one spelling: older clients put "_" for "." and blanks.
                if info.name == self._name and info.revision > after:
                    found[info.revision] = stored.subject, info
        if not found:
            return None
        records.has_older_spellings = True
        return found[max(found)]

    def _messages(self) -> Iterable[StoredMessage]:
        records, subjects = self._records, self._subjects or ()
        page, self._page = self._page, None
        found = None if page is None else records.access.complete(page, FEW_BYTES)
        if found is not None:
            if not records.may_lag and all(stored.is_of(records.stream) for stored in found):
                return found
            subjects = tuple(stored.subject for stored in found)
        return records.last_of(subjects)

    def close(self) -> None:
        """Stop waiting for the answer. Never fails."""
        if self._page is not None:
            self._page.close()
