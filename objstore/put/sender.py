"""An object's chunks on their way into the stream: in order, each once, through faults.

A lost connection, a restarted server or a new leader is no failure. The chunks that are not known
to be stored are kept; when it is known what arrived, the rest is sent again. So payloads that
cannot be read a second time survive too.
"""

from __future__ import annotations

import contextlib
import enum
import logging
import time

from objstore.errors import (
    ObjectCorruptError,
    ObjStoreError,
    RequestTimeoutError,
    StorageFullError,
    is_transient,
)
from objstore.metadata.records import Records
from objstore.metadata.tombstones import make_room
from objstore.put.channel import ChunkChannel
from objstore.wire.codec.protocol import Buffer
from objstore.wire.jetstream.api import PAUSE
from objstore.wire.jetstream.pages import count_messages

__all__ = ["ChunkSender"]

LOG = logging.getLogger("objstore")

#: How long a put tries to go on after a fault without any progress, in seconds, where the
#: connection's ``reconnect_timeout`` is not shorter. A stream whose leader was killed has
#: another in 5 to 8 s.
PATIENCE = 30.0


#: An upload that takes longer is counted, in seconds; or that is larger, in bytes, where the round
#: trip is 2 % of its time. (Its settings were told within a second before it began.)
LONG, LARGE = 1.0, 8 << 20

#: How often chunks that came twice are looked for, after one fault.
RECOUNTS = 5


class State(enum.Enum):
    """How far the sending of an object's chunks has come."""

    SMOOTH = "nothing has failed"
    INTERRUPTED = "after a fault; no chunk has been stored since"
    RESUMED = "chunks have been stored since the last fault"
    GAVE_UP = "all patience has been used up"


class Event(enum.Enum):
    """What changes the state of the sending."""

    STORED = "a chunk is known to be stored"
    RECOVERY = "after a fault, what is stored is to be found out"
    OUT_OF_TIME = "and that took too long"


_INTERRUPTED = {Event.RECOVERY: State.INTERRUPTED, Event.OUT_OF_TIME: State.GAVE_UP}

#: What follows; an event that is not named changes nothing.
TRANSITIONS: dict[State, dict[Event, State]] = {
    State.SMOOTH: _INTERRUPTED,
    State.INTERRUPTED: {Event.STORED: State.RESUMED, Event.OUT_OF_TIME: State.GAVE_UP},
    State.RESUMED: _INTERRUPTED,
    State.GAVE_UP: {},
}


class ChunkSender:
    """Sends the chunks of one object.

    Memory: the chunks not known to be stored, :data:`~objstore.put.ack_window.WINDOW` bytes and
    one chunk.

    Arguments:
        records: the bucket.
        subject: of the chunks.
        header: of each.
        timeout: for one acknowledgement, in seconds.
        piggyback: whether small chunks may wait for what is sent next, see :class:`ChunkChannel`.
    """

    def __init__(
        self,
        records: Records,
        subject: str,
        header: bytes,
        timeout: float,
        *,
        piggyback: bool = False,
    ) -> None:
        self._records = records
        self._subject = subject
        self._header = header
        self._timeout = timeout
        self._kept: dict[int, Buffer] = {}  # by number, those not known to be stored
        self._stored = 0  # chunks 1 … this are
        self._sent = self._bytes = 0
        self._begun = time.monotonic()
        self._state = State.SMOOTH
        self._failing_since = 0.0  # when it last began to make no progress
        self._made_room = False  # in a bucket full of tombstones, once
        self._channel = self._new_channel(0, 0, piggyback=piggyback)

    def _new_channel(self, stored: int, sequence: int, *, piggyback: bool = False) -> ChunkChannel:
        """Open a channel that goes on after so many chunks."""
        return ChunkChannel(
            self._records,
            self._subject,
            self._header,
            stored,
            sequence,
            self._timeout,
            piggyback=piggyback,
        )

    @property
    def gave_up(self) -> bool:
        """Whether all patience has been used up."""
        return self._state is State.GAVE_UP

    def _note(self, event: Event) -> None:
        self._state = TRANSITIONS[self._state].get(event, self._state)

    @property
    def may_have_stored(self) -> bool:
        """Whether any chunk was stored, or may have been."""
        return self._stored > 0 or self._channel.may_have_stored

    @property
    def has_unanswered(self) -> bool:
        """Whether some chunks were sent and never answered."""
        return self._state is not State.SMOOTH or self._channel.has_unanswered

    def send(self, chunk: Buffer) -> None:
        """Send the next chunk; it may not be stored yet at return.

        Arguments:
            chunk: not to be changed as long as this object lives.

        Raises:
            ObjStoreError: an earlier chunk was not stored, and could not be later.
        """
        self._sent += 1
        self._bytes += len(chunk)
        # Kept before it is sent: whatever happens in there, it can be sent again.
        self._kept[self._sent] = chunk
        begun = time.monotonic()
        try:
            self._channel.send(chunk)
        except ObjStoreError as error:
            self._retry_after(error, begun)
        self._forget(self._channel.position[0])

    def take_over(self, chunk: Buffer, begun: float, sequence: int, *, answered: bool) -> None:
        """Take note of a first chunk that was sent by other means; as :meth:`Put.take_over`."""
        self._begun = begun
        self._sent, self._bytes = 1, len(chunk)
        self._kept[1] = chunk
        self._channel.take_over(len(chunk), sequence, answered=answered)
        self._forget(self._channel.position[0])

    def resume(self, error: ObjStoreError, begun: float) -> None:
        """Go on after a failure of the chunk that was taken over.

        Arguments:
            error: the failure.
            begun: when the chunk was sent, by ``time.monotonic``.

        Raises:
            ObjStoreError: the chunk was not stored, and could not be later.
        """
        self._retry_after(error, begun)

    def finish(self) -> None:
        """Wait until all chunks are stored.

        Raises:
            ObjStoreError: they are not, and could not be later.
        """
        while True:
            begun = time.monotonic()
            try:
                self._channel.finish()
                break
            except ObjStoreError as error:
                self._retry_after(error, begun)
        self._forget(self._sent)

    def check_count(self) -> None:
        """Check that the stream has exactly the chunks that were sent.

        It is asked only after faults, and where the upload was long or large, so that the
        stream's settings may have changed meanwhile: the question is a round trip, and a small put
        takes two in all.

        Raises:
            ObjectCorruptError: the stream has more or fewer chunks.
            BucketConfigError, BucketSealedError, BucketReadOnlyError: so it has, and its settings
                have changed to such as lose or refuse what is published.
            ObjStoreError: the stream's leader does not answer.
        """
        # An empty object has no chunks to be dropped.
        is_long = time.monotonic() >= self._begun + LONG and self._sent > 0
        if self._state is State.SMOOTH and not is_long and self._bytes < LARGE:
            return
        stored = self._count_stored()
        if stored != self._sent:
            self._records.known.check_after_fault()
            raise ObjectCorruptError(f"{stored} chunks are stored, of {self._sent} that were sent")

    def _count_stored(self) -> int:
        # The stream's leader counts, in one request, whatever the number of chunks.
        records = self._records
        return count_messages(records.jetstream, records.stream, self._subject)

    def settle(self) -> None:
        """Wait after a failure for what becomes of the chunks that were sent."""
        self._channel.settle()

    def close(self) -> None:
        """Stop sending. Never fails."""
        self._channel.close()
        self._kept.clear()

    def _forget(self, stored: int) -> None:
        """Drop the kept chunks up to a number, which are stored."""
        while self._stored < stored:
            self._stored += 1
            del self._kept[self._stored]
            if self._state is State.INTERRUPTED:
                self._note(Event.STORED)

    def _reopen_channel(self, stored: int, sequence: int) -> None:
        """Open a new channel in place of the present one, to go on after so many chunks."""
        self._channel.close()
        self._channel = self._new_channel(stored, sequence)

    def _retry_after(self, cause: ObjStoreError, begun: float) -> None:
        """Find out after a failure what is stored, and send the rest again.

        Arguments:
            cause: the failure.
            begun: when the call that failed began, by ``time.monotonic``; it may have waited for a
                connection ever since.

        Raises:
            ObjStoreError: the cause, where it does not pass, or has not passed in time.
        """
        # Patience begins with the first fault since the last progress, not anew with each attempt.
        if self._state is not State.INTERRUPTED:
            self._failing_since = begun
        deadline = self._failing_since + min(PATIENCE, self._records.jetstream.patience)
        error = cause
        LOG.info("an upload goes on after: %s", cause)
        while True:
            if isinstance(error, StorageFullError):
                # Once only: a bucket that is full of objects stays full.
                if self._made_room or not make_room(self._records):
                    raise error
                self._made_room = True
            elif not is_transient(error):
                raise error
            elif time.monotonic() >= deadline:
                self._note(Event.OUT_OF_TIME)
                # The first error, not the last: it says what went wrong, and the others what came
                # of it.
                raise cause
            if (observer := self._records.jetstream.observer) is not None:
                bucket = self._records.bucket
                observer.retry("put", error, bucket=bucket, subject=self._subject)
            try:
                if isinstance(error, RequestTimeoutError):  # or NoRespondersError
                    self._records.known.check_after_fault()
                self._recover()
                return
            except ObjStoreError as again:
                error = again
            time.sleep(PAUSE)

    def _recover(self) -> None:
        """Find out what is stored, and send the rest again.

        Then count. A server may still read what was sent over the connection that was lost, and
        store it in between; what came twice is deleted, as long as the chunks are here to be
        compared.
        """
        self._note(Event.RECOVERY)
        stored, sequence = self._channel.recover(self._kept)
        # A server that was killed and lost acknowledged chunks: there is no copy of them here any
        # more.
        if stored < self._stored:
            raise ObjectCorruptError(f"{stored} chunks are stored, of {self._stored} acknowledged")
        for _ in range(RECOUNTS):
            self._reopen_channel(stored, sequence)
            for number in range(stored + 1, self._sent + 1):
                self._channel.send(self._kept[number])
            self._channel.finish()
            if self._count_stored() <= self._sent:
                break
            with contextlib.closing(self._new_channel(stored, sequence)) as look:
                stored, sequence = look.recover(self._kept)
        self.check_count()
        self._reopen_channel(*self._channel.position)
        self._forget(self._sent)
