"""A bucket's records, kept in memory from one look to the next, and exact at each.

A look asks the server for the stream's state, for the records stored since the last look, and for
the number of records. No record comes without a new sequence, so what is kept, with the new ones,
contains all that are there; where the numbers are equal, it is exactly these. Nothing is held on
the server, and no consumer is made.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from objstore.errors import BucketNotFoundError, ObjStoreError, PermissionDeniedError, is_transient
from objstore.metadata.records import Records
from objstore.metadata.sorted_records import Changes, SortedRecords
from objstore.model.objects import all_meta_subject, meta_subject
from objstore.wire.connection import forks
from objstore.wire.connection.requests import PendingReply
from objstore.wire.jetstream.access import PendingRead
from objstore.wire.jetstream.answers import StoredMessage
from objstore.wire.jetstream.api import parse_answer
from objstore.wire.jetstream.direct import BatchRequest, DirectPage, position
from objstore.wire.jetstream.pages import all_subjects, count_subjects

__all__ = ["FollowedRecords"]

#: How often it is looked again where somebody stored something in the midst of a look.
LOOKS = 3

#: Up to so many records the server counts in a few milliseconds, and is asked to in any case; of
#: more it is only where something was removed (it took 3.5 ms for 20,000 and 100 for 200,000).
COUNTED_ALWAYS = 50_000

#: What is new since the last look is asked for in one batch: so many messages, and their bytes.
NEW, NEW_BYTES = 256, 1 << 20


class Moment(msgspec.Struct, frozen=True):
    """What a stream says of itself at one moment.

    Attributes:
        server: the server that was asked, where there is but one: started anew, it may have lost
            what it had stored last.
        created: when the stream was created; another stream of its name begins anew.
        first, last: the first and the last sequence that it has.
        messages: the number of its messages.
    """

    server: str
    created: str
    first: int
    last: int
    messages: int

    def follows(self, earlier: Moment) -> bool:
        """Tell whether this is the same stream, later."""
        # A server that was killed may have lost its last messages, and given their numbers anew.
        same = (self.server, self.created) == (earlier.server, earlier.created)
        return same and self.last >= earlier.last and self.first >= earlier.first

    def removed_since(self, earlier: Moment) -> int:
        """Tell how many messages were removed in between."""
        # Each number that was given since is a message, unless it was removed.
        return earlier.messages + self.last - earlier.last - self.messages


class FollowedRecords:
    """The records of one bucket. Thread-safe."""

    def __init__(self) -> None:
        self.forget()
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """Begin with a free lock in a forked child; what is kept is as good there."""
        self._lock = threading.RLock()  # a signal handler may interrupt its holder

    def forget(self) -> None:
        """Drop the records that are kept."""
        self._kept: _Kept | None = None

    @property
    def count(self) -> int:
        """How many records are kept."""
        kept = self._kept
        return 0 if kept is None else len(kept.records.names)

    def look(self, records: Records) -> SortedRecords:
        """Return what the bucket holds now. The first time a listing, then one round trip.

        Where threads wait for each other here, one look serves all that waited before it began.

        Arguments:
            records: the way to them.

        Raises:
            BucketNotFoundError: there is no such bucket.
            PermissionDeniedError, RequestTimeoutError, ConnectionLostError: it cannot be found out.
        """
        came = time.monotonic()
        with self._lock:
            kept = self._kept
            # A look that began after this call came says all that the call may ask.
            if kept is not None and kept.begun >= came:
                return kept.records
            try:
                kept = self._kept = _Look(records, kept).result()
            except BucketNotFoundError as error:
                self.forget()
                raise records.no_bucket() from error
            return kept.records


class _Kept(msgspec.Struct, frozen=True):
    """What is known after a look.

    Attributes:
        records: the records.
        next: the first sequence that was not read yet.
        moment: the stream's state at which they were exact; None: they never were.
        begun: when the look began, by ``time.monotonic``.
        piled: whether a subject has several messages, as other clients leave them and mirrors
            keep them: then subjects are counted, which costs the server eight times as much.
    """

    records: SortedRecords
    next: int
    moment: Moment | None
    begun: float
    piled: bool = False


class _Look:
    """One look at a bucket.

    Arguments:
        records: the way to its records.
        before: what was known after the last one; None: nothing.
    """

    def __init__(self, records: Records, before: _Kept | None) -> None:
        self._records = records
        self._pattern = all_meta_subject(records.bucket)
        self._begun = time.monotonic()
        self._kept = before or self._nothing()

    def _nothing(self) -> _Kept:
        empty = SortedRecords(self._records.bucket, [], [], {})
        return _Kept(empty, 1, None, self._begun)

    def result(self) -> _Kept:
        """Return what is known now.

        Raises:
            ObjStoreError: as :meth:`FollowedRecords.look`.
        """
        for _ in range(LOOKS):
            asked = _Asked(self._records, self._pattern, self._kept)
            with contextlib.closing(asked):
                now = asked.moment()
                sure = self._kept.moment
                # Made anew, or restored: nothing that was known holds.
                if sure is not None and not now.follows(sure):
                    self._kept, sure, asked.is_good = self._nothing(), None, False
                # No message came or went: what is known is exact without a count.
                if now == sure:
                    return replace(self._kept, begun=self._begun)
                self._learn(asked.news(self._kept.next, now), now)
                # Without removals what was stored since is all that differs: no count is needed.
                nothing_removed = sure is not None and not now.removed_since(sure)
                if nothing_removed or self._counts(asked):
                    return replace(self._kept, moment=now, begun=self._begun)
        return self._compare(now)

    def _learn(self, news: Iterable[StoredMessage], now: Moment) -> None:
        """Take in what was stored since, and leave out what the stream no longer has."""
        kept, changes = self._kept, Changes(self._records.bucket)
        following, count = kept.next, 0
        for stored in news:
            changes.add(stored)
            following, count = max(following, stored.sequence + 1), count + 1
        if kept.moment is None or now.first > kept.moment.first:
            changes.leave_out_before(now.first, kept.records)
        records = kept.records.with_changes(changes)
        piled = kept.piled or (kept.next == 1 and count > records.subjects)
        self._kept = replace(kept, records=records, next=following, piled=piled)

    def _counts(self, asked: _Asked) -> bool:
        """Tell whether the stream has as many records as are known."""
        known = self._kept.records.subjects
        if not self._kept.piled:
            count = asked.count()
            if count is not None:
                return count == known
        records = self._records
        return count_subjects(records.jetstream, records.stream, self._pattern).subjects == known

    def _compare(self, now: Moment) -> _Kept:
        """Ask for the records by name: some were removed, or somebody writes all the time.

        In a bucket of 20,000 objects it takes 60 ms, where to list it anew takes 600.
        """
        records, kept = self._records, self._kept
        there = all_subjects(records.jetstream, records.stream, self._pattern)
        changes = Changes(records.bucket)
        known = {meta_subject(records.bucket, name): name for name, _ in kept.records.revisions()}
        changes.gone.update(name for subject, name in known.items() if subject not in there)
        changes.gone_others.update(kept.records.others.keys() - there.keys())
        unknown = there.keys() - known.keys() - kept.records.others.keys()
        # In the stream's order, as Changes wants it.
        for stored in sorted(records.last_of(unknown), key=lambda stored: stored.sequence):
            changes.add(stored)
        piled = any(count > 1 for count in there.values())
        return replace(
            kept,
            records=kept.records.with_changes(changes),
            moment=now,
            begun=self._begun,
            piled=piled,
        )


class _Asked:
    """The requests of one look, sent in one go; to be closed.

    Of a server alone, which answers in order, all at once. In a cluster, and where the stream is
    on another server, one thing after the other, so that what comes last is also what is newest.

    Arguments:
        records: the way to the records.
        pattern: their subjects.
        kept: what is known.

    Attributes:
        is_good: whether the answers can be taken.
    """

    def __init__(self, records: Records, pattern: str, kept: _Kept) -> None:
        self._records = records
        self._pattern = pattern
        self._info: PendingReply | None = None
        self._first: PendingRead | None = None
        self._page: DirectPage | None = None
        self._counted: DirectPage | None = None
        self.is_good = False
        if kept.moment is not None and _answers_in_order(records):
            try:
                self._ask(kept)
            except ObjStoreError as error:
                self.close()
                if not is_transient(error):
                    raise
            else:
                self.is_good = True

    def _ask(self, kept: _Kept) -> None:
        records = self._records
        self._info = records.jetstream.start_stream_info(records.stream)
        self._first = records.start_next(self._pattern, kept.next, leader=True)
        request = BatchRequest(
            subject=self._pattern, sequence=kept.next, count=NEW, max_bytes=NEW_BYTES
        )
        self._page = records.jetstream.direct_page(records.stream, request)
        if kept.records.subjects <= COUNTED_ALWAYS and not kept.piled:
            self._counted = self._start_counting()

    def _start_counting(self) -> DirectPage:
        """Ask for the first record, which comes with the number of those behind it."""
        request = BatchRequest(subject=self._pattern, sequence=1, count=1, max_bytes=NEW_BYTES)
        return self._records.jetstream.direct_page(self._records.stream, request)

    def moment(self) -> Moment:
        """Return what the stream says of itself."""
        records, info = self._records, None
        if self._info is not None:
            try:
                answer = self._info.result(records.jetstream.timeout)
                info = parse_answer(answer, f"stream {records.stream}")
            except ObjStoreError as error:
                self.is_good = False
                if not is_transient(error):
                    raise
        return _moment_of(records, records.known.ask() if info is None else info)

    def news(self, following: int, now: Moment) -> Iterator[StoredMessage]:
        """Yield the records that were stored since, from a sequence on."""
        if self.is_good and (found := self._complete()) is not None:
            yield from found
            return
        self._drop_count()  # it was counted before what comes now
        for page in self._records.pages(self._pattern, following):
            yield from page
            following = page[-1].sequence + 1
        # A mirror may have answered, or a replica, which may not have all of it yet.
        # Up to what the stream said of itself: a writer may be as fast as this reads.
        while following <= now.last:
            stored = self._records.access.next(self._pattern, following, leader=True)
            if stored is None:
                return
            yield stored
            following = stored.sequence + 1

    def _complete(self) -> list[StoredMessage] | None:
        """Return all that was asked for, by the stream itself; None: it did not come like that."""
        assert self._first is not None and self._page is not None  # noqa: S101, PT018 - asked
        try:
            if self._first.result() is None:
                return []
        except ObjStoreError as error:
            if not is_transient(error):
                raise
            return None
        found = self._records.access.complete(self._page, NEW_BYTES)
        stream = self._records.stream
        return found if found and all(stored.is_of(stream) for stored in found) else None

    def count(self) -> int | None:
        """Count the records, by the stream itself; None: that cannot be had."""
        records = self._records
        if not _answers_in_order(records):
            return None
        try:
            page = self._counted or self._start_counting()
            with contextlib.closing(page):
                found = records.access.take(page, records.jetstream.timeout)
        except ObjStoreError as error:
            if isinstance(error, PermissionDeniedError) or is_transient(error):
                return None
            raise
        if not found or found[0].status:
            return None
        if not StoredMessage.of_direct(found[0]).is_of(records.stream):
            return None  # a mirror, which may have more of them, or fewer
        return position(found[0], records.jetstream.pending_includes_self)[1] + 1

    def _drop_count(self) -> None:
        if self._counted is not None:
            self._counted.close()
            self._counted = None

    def close(self) -> None:
        """Stop waiting for answers. Never fails."""
        for pending in (self._info, self._first, self._page, self._counted):
            if pending is not None:
                pending.close()


def _answers_in_order(records: Records) -> bool:
    """Tell whether one server answers all requests, in the order in which they are sent."""
    jetstream = records.jetstream
    is_alone = jetstream.is_local and not jetstream.is_clustered
    return is_alone and records.batches and records.reads_direct


def _moment_of(records: Records, info: Mapping[str, Any]) -> Moment:
    """Read a moment out of a stream's description."""
    jetstream, state = records.jetstream, info["state"]
    server = "" if jetstream.is_clustered else jetstream.connection.session.info.get("server_id")
    first, last, messages = (int(state[key]) for key in ("first_seq", "last_seq", "messages"))
    return Moment(str(server), str(info.get("created")), first, last, messages)
