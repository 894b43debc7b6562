"""Chunks by batches of direct gets (ADR-31), from any chunk on.

The next batch is asked for while the last one arrives. What arrives is counted: the sequence and
the number of messages left, which every answer carries, say exactly which chunk it is. A chunk
in the middle is asked for where it must be if nothing was stored between the chunks; if another
one answers, its place bounds where the right one is, and the search narrows until it is found.

Where only the first of several answers arrives, each batch is of one chunk, and many are under way.
"""

from __future__ import annotations

import enum
import time
from collections import deque

import msgspec

from objstore.errors import (
    ConnectionClosedError,
    ConnectionLostError,
    ObjStoreError,
    PermissionDeniedError,
    RequestTimeoutError,
)
from objstore.get.integrity import Payload, check_count, why_incomplete
from objstore.get.layout import Layout
from objstore.get.whole_buffer import WholeObjectBuffer
from objstore.metadata.records import Records
from objstore.model.objects import ObjectInfo, chunk_subject
from objstore.wire.codec.protocol import Message
from objstore.wire.jetstream.answers import BATCH_END, NO_RESPONDERS, NOT_FOUND, direct_error
from objstore.wire.jetstream.api import ELECTION, PAUSE
from objstore.wire.jetstream.direct import BatchRequest, DirectGet, position
from objstore.wire.jetstream.read_limit import MOST
from objstore.wire.jetstream.reads import Way

__all__ = ["BatchedGets"]

#: What the server counts for a message beside its payload, in bytes, at most.
OVERHEAD = 512

#: Two batches are under way at once, each of half of what may be; of one chunk, so many more, and
#: so many where other messages may stand between the chunks.
BATCHES, SINGLE, GUESSES = 2, 32, 8

#: A batch that is silent for so long, in seconds, is asked for again: its server may be dead.
SILENCE = 1.0

#: How many batches may end without the chunk that is due, before the object counts as damaged:
#: of three replicas one may be. Silence does not count; it has its time-out.
TRIES = 4

#: How often a chunk is searched for. By halves any is found in 62 steps; a server whose answers
#: contradict each other is not asked for ever.
SEARCHES = 200

#: A chunk that is at most so many behind the one that came is read up to, not searched for.
NEAR = 2


class Places(enum.Enum):
    """How much is known of where the chunks of an object are."""

    SOUGHT = "the next one is searched for"
    DENSE = "they follow each other"
    SPARSE = "other messages stand between them"


class Sign(enum.Enum):
    """What a chunk that came says of where the chunks are."""

    FOUND = "it is the one that was searched for"
    GAP = "it is further on than right behind the last one"
    REPEAT = "it was handed out already: the batch began too early"


#: What follows. Only a seek, or a search that reads up to the chunk, begins anew.
TRANSITIONS: dict[Places, dict[Sign, Places]] = {
    Places.SOUGHT: {Sign.FOUND: Places.DENSE},
    Places.DENSE: {Sign.GAP: Places.SPARSE, Sign.REPEAT: Places.SPARSE},
    Places.SPARSE: {Sign.GAP: Places.SPARSE, Sign.REPEAT: Places.SPARSE},
}


class _Ended(msgspec.Struct, frozen=True):
    """The end of a batch: a good one, or one for the reason ``error``."""

    error: ObjStoreError | None


class _Batch:
    """One batch of direct gets that is under way.

    Attributes:
        get: the batch's messages.
        sequence: the first sequence that it was asked for.
        left: how many chunks it was asked for that have not come.
    """

    __slots__ = ("get", "left", "sequence")

    def __init__(self, get: DirectGet, sequence: int, count: int) -> None:
        self.get = get
        self.sequence = sequence
        self.left = count


class BatchedGets:
    """The chunks of an object from any one on, in order, each exactly once.

    Arguments:
        records: the bucket.
        info: the object, of more than one chunk.
        layout: what is known of its chunks' places.
        buffer: where they shall be received; None: anywhere.

    Attributes:
        index: the number of the chunk that comes next.
        asked: the number of the first chunk that is not under way.

    Memory: what may be under way (8 MiB), and the chunk handed out.
    """

    def __init__(
        self,
        records: Records,
        info: ObjectInfo,
        layout: Layout,
        buffer: WholeObjectBuffer | None = None,
    ) -> None:
        self._records = records
        self._jetstream = records.jetstream
        self._access = records.access
        self._info = info
        self._layout = layout
        self._place = None if buffer is None else buffer.place
        self._subject = chunk_subject(records.bucket, info.nuid)
        self._pending_includes_self = self._jetstream.pending_includes_self
        self._batches: deque[_Batch] = deque()
        self.index = self.asked = 0
        self._guesses = 1  # how many batches of one chunk may be under way on a guess
        self._resize()
        self._start(0, 0, 0)

    def _resize(self) -> None:
        """Choose how large batches are, and how many may be under way."""
        limit = self._jetstream.read_limit.bytes
        each = self._layout.typical + OVERHEAD
        self._max_bytes = max(limit // BATCHES, each)
        if self._access.single:
            self._per_batch, self._most = 1, max(1, min(SINGLE, limit // each))
        else:
            self._per_batch = max(1, limit // BATCHES // each)
            self._most = BATCHES if limit >= min(BATCHES * each, MOST) else 1

    def _start(self, target: int, index: int, last: int | None) -> None:
        """Begin with a chunk; ``last`` is the sequence of the chunk before it."""
        self.close()
        self._target = target  # the chunk to hand out next; those before are passed over
        self.index = self.asked = index
        self._places = Places.SOUGHT if last is None else Places.DENSE
        self._last = last or 0  # the sequence of the one before, where it is known
        self._searches = 0  # that brought another chunk than the first one wanted, or none
        self._voids = 0  # answers that there is nothing from there on
        self._ceiling = 1 << 62  # the chunk searched for has a sequence up to this one

    def seek(self, index: int) -> None:
        """Go on from another chunk. What is under way is dropped; nothing is asked for yet."""
        known = self._layout.sequence(index)
        last = known - 1 if known is not None else self._layout.sequence(index - 1)
        self._start(index, index, last if index else 0)

    def close(self) -> None:
        """Drop what is under way."""
        while self._batches:
            self._batches.popleft().get.close()
        self.asked = self.index

    def ask(self, ahead: int) -> None:
        """Ask for chunks until so many are under way, and never for more than may be.

        A batch begins at the lowest sequence that its first chunk can have: each chunk is at
        least one further on. Where other messages stand between, that is too early, and chunks
        come twice; then the next batch is asked for when the last one has ended.
        """
        while self._ask_once(ahead) and self._access.single:
            pass

    def _ask_once(self, ahead: int) -> bool:
        """Ask for one more batch; False: there is no room for it, or no need."""
        batches, chunks = self._batches, self._info.chunks
        ahead = min(ahead, self._most * self._per_batch)
        missing = min(self.index + ahead, chunks) - self.asked
        if not batches:
            sequence = self._guess() if self._places is Places.SOUGHT else self._last + 1
        elif (
            self._places is Places.SOUGHT
            or (self._places is Places.SPARSE and not self._access.single)
            or len(batches) >= self._most
            # Not a request for each chunk that was taken: half of what is ahead at least.
            or missing < min(ahead // 2, self._per_batch, chunks - self.asked)
            or missing <= 0
            or (self._access.single and not self._may_guess())
        ):
            return False
        else:
            sequence = self._last + 1 + self.asked - self.index
        count = min(max(missing, 1), self._per_batch)
        request = BatchRequest(
            subject=self._subject, sequence=sequence, count=count, max_bytes=self._max_bytes
        )
        get = self._jetstream.direct_batch(self._records.stream, request, self._place)
        batches.append(_Batch(get, sequence, count))
        self.asked += count
        return True

    def _may_guess(self) -> bool:
        """Tell whether one more chunk may be asked for before it is known where it is."""
        known = self._layout.sequence(self.asked) is not None
        return known or len(self._batches) < self._guesses

    def next(self, ahead: int) -> Payload | None:
        """Return the next chunk; None: the bucket turns out to have no direct gets.

        Arguments:
            ahead: how many chunks to have under way, this one included.

        Raises:
            ObjectChangedError, ObjectCorruptError, RequestTimeoutError, ConnectionLostError: it
                does not come.
        """
        ends = 0  # of batches, since the last chunk
        silent_since = time.monotonic()
        while self._access.numbered:
            self.ask(ahead + self._target - self.index)
            received = self._receive(silent_since)
            if isinstance(received, Message):
                self.index += 1
                if self.index > self._target:
                    self._target = self.index
                    return received.payload
                ends, silent_since = 0, time.monotonic()
            elif received is not None:
                ends += 1
                if ends > TRIES:
                    raise received.error or why_incomplete(self._records, self._info, self.index)
                silent_since = time.monotonic()
        return None

    def _receive(self, silent_since: float) -> Message | _Ended | None:
        """Return the next chunk, or the end of the batch in front.

        None: it was silent and is to be asked for again, or a chunk came that was not due.

        Raises:
            RequestTimeoutError: nothing has come for one time-out.
        """
        batch = self._batches[0]
        timeout = self._jetstream.timeout
        try:
            message = self._access.take(batch.get, min(SILENCE, timeout))
        except ConnectionClosedError:
            raise
        except ConnectionLostError as error:
            if (observer := self._jetstream.observer) is not None:
                observer.retry("get", error, bucket=self._info.bucket, name=self._info.name)
            self._broke()
            return _Ended(error)
        except PermissionDeniedError:
            self._access.deny(Way.BY_REQUEST)
            self.close()
            return None
        if message is None:
            self._ask_again(batch, time.monotonic() - silent_since)
            return None
        status = message.status
        if not status:
            return self._take(batch, message)
        if status in (BATCH_END, NOT_FOUND):
            return self._end(batch)
        if status == NO_RESPONDERS:
            self._records.access.learn_direct()  # a bucket that is gone is an error here
            self.close()
            if self._records.access.direct:
                if time.monotonic() - silent_since >= self._election:
                    raise direct_error(message, f"reading {self._info.name!r}")
                time.sleep(PAUSE)
            return None
        raise direct_error(message, f"reading {self._info.name!r}")

    def _ask_again(self, batch: _Batch, silence: float) -> None:
        """Drop what is under way, to be asked for again, since nothing has come for so long.

        Raises:
            RequestTimeoutError: for too long.
        """
        if (observer := self._jetstream.observer) is not None:
            observer.slow(batch.get.subject, silence)
        self.close()
        self._resize()  # maybe only one answer arrives
        longest = max(self._jetstream.timeout, self._election)
        if silence >= longest:
            raise RequestTimeoutError(
                f"no chunk of {self._info.name!r} for {longest:g} s",
                bucket=self._info.bucket,
                name=self._info.name,
                timeout=self._jetstream.timeout,
            )

    def _broke(self) -> None:
        """Drop all that was under way, since the connection is lost."""
        asked = sum(batch.left for batch in self._batches)
        self._jetstream.read_limit.broke(asked * self._layout.typical)
        self.close()
        self._resize()

    @property
    def _election(self) -> float:
        """How long a cluster may refuse to answer, or be silent, in seconds.

        Followers refuse while there is no leader, and a frozen server gets its share of requests.
        """
        return min(ELECTION, self._jetstream.patience) if self._jetstream.is_clustered else 0.0

    def _end(self, batch: _Batch) -> _Ended | None:
        """Decide what follows a batch that has ended before all that it was asked for came."""
        if self._places is Places.SOUGHT:  # there is nothing from where it was asked for
            self._searches += 1
            self._voids += 1
            # Counted once: now, or, where that was done before, at a second void, which puts it
            # in doubt.
            if self._voids == 1 + self._layout.counted:
                check_count(self._records, self._info, self.index)
            if self._jetstream.is_clustered:
                self._search_in_cluster()
            else:
                self._narrow(batch.sequence - 1)
            return None
        self._drop_first(self.index)
        return _Ended(None)

    def _drop_first(self, index: int) -> None:
        """Drop the batch in front, which is over; the chunk with an index comes next."""
        self._batches.popleft().get.close()
        if not self._batches:
            self.asked = index

    def _take(self, batch: _Batch, message: Message) -> Message | _Ended | None:
        """Place a chunk by its position; one that was handed out already is dropped.

        One that is not the next is too far on: the batch before ended early, since chunks are
        larger than stated, or a server lacks some. Then the next one is asked for by itself.
        """
        sequence, pending = position(message, self._pending_includes_self)
        index = self._info.chunks - 1 - pending
        batch.left -= 1
        if self._places is Places.SOUGHT:
            if not self._found(batch, index, sequence):
                return None
            self._note(Sign.FOUND)
        elif sequence <= self._last:
            self._note(Sign.REPEAT)
            if not batch.left:
                self._drop_first(self.index)
            return None
        elif index != self.index:
            self.close()
            return _Ended(None)
        elif self._last and sequence != self._last + 1:
            self._note(Sign.GAP)
        # A guess that was right allows twice as many; after a wrong one it is one again.
        self._guesses = min(2 * self._guesses, GUESSES) if sequence == batch.sequence else 1
        self._last = sequence
        self._layout.learn(index, sequence)
        if not batch.left:  # its end marker tells nothing more
            # The chunk counts as handed out already: next() counts it when this returns.
            self._drop_first(self.index + 1)
            self._drop_repeats(sequence)
        return message

    def _note(self, sign: Sign) -> None:
        self._places = TRANSITIONS[self._places][sign]

    def _drop_repeats(self, sequence: int) -> None:
        """Drop batches that would bring a chunk again: asked for from it on, or from before."""
        while self._access.single and self._batches and self._batches[0].sequence <= sequence:
            self.asked -= 1
            self._drop_first(self.index + 1)

    # --- the search for the first chunk

    def _guess(self) -> int:
        """Choose the sequence from which the chunk is looked for.

        At first where it is if nothing stands between it and the next place known; that a
        rename or an update has moved the metadata is so found out by one wrong answer. Then
        by interpolation and by halves in turn: the one is fast, the other sure to end.
        """
        if self._searches > SEARCHES:
            raise why_incomplete(self._records, self._info, self.index)
        bounds = self._layout.bounds(self.index)
        low, high = bounds.low, min(bounds.high, self._ceiling)
        # In a cluster no search by halves: a server that lags would lead it astray.
        if self._searches < 2 or low >= high or self._jetstream.is_clustered:
            return max(low, high)
        return (low + high) // 2 if self._searches % 2 else max(low, min(bounds.middle, high))

    def _found(self, batch: _Batch, index: int, sequence: int) -> bool:
        """Tell whether the chunk that is searched for has come; if another has, search on."""
        layout = self._layout
        self._searches += 1
        if not layout.is_sure(index, sequence):
            check_count(self._records, self._info, self.index)
            if self._jetstream.is_clustered:
                self._search_in_cluster()
                return False
            layout.counted = True
        if index == self.index:
            return True
        if layout.is_sure(index, sequence):
            layout.learn(index, sequence)
        if index > self.index:
            self._narrow(batch.sequence - 1 - (index - 1 - self.index))
        elif self.index - index <= NEAR:
            self._read_up_to()
        else:
            self.close()
        return False

    def _narrow(self, ceiling: int) -> None:
        """Note the highest sequence that the chunk can have; if none is left, count the chunks."""
        self.close()
        self._ceiling = min(self._ceiling, ceiling)
        if self._layout.bounds(self.index).low > self._ceiling:
            check_count(self._records, self._info, self.index)
            self._layout.forget_sequences()
            self._read_up_to()

    def _search_in_cluster(self) -> None:
        """Weigh what a server says of a chunk where the chunk's place does not prove it.

        Any server answers, and one that lags behind, or has lost chunks, says of a chunk that it
        is a later one. The leader tells where the last chunk is; if that proves nothing either,
        after some tries, chunks are counted from the nearest place that is sure.
        """
        if not self._layout.last_is_known:
            stored = self._jetstream.last_message(self._records.stream, self._subject)
            if stored is not None:
                self._layout.learn(self._info.chunks - 1, stored.sequence)
                self.seek(self._target)
                return
        if self._searches <= TRIES:
            self.close()
        else:
            self._read_up_to()

    def _read_up_to(self) -> None:
        """Read from the nearest place known, and pass over what comes before the chunk."""
        index, sequence = self._layout.known_before(self.index)
        self._start(self._target, index + 1, sequence)
