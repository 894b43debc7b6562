"""Publishing chunks: in order, many under way, each acknowledged.

Fast-ingest batches (ADR-50) were built too, and taken out again: beside these publishes they gave
0.96 to 1.04 of the speed (``benchmarks/README.rst``), and want a stream that other clients'
idempotent create calls refuse.
"""

from __future__ import annotations

from collections.abc import Mapping

from objstore.errors import ObjStoreError
from objstore.metadata.commit import fence
from objstore.metadata.records import Records
from objstore.put.ack_window import WINDOW, AckWindow, OutOfStepError
from objstore.wire.codec.commands import check_subject, encode_publish
from objstore.wire.codec.protocol import Buffer, Message
from objstore.wire.connection.requests import check_size
from objstore.wire.jetstream.api import parse_pub_ack

__all__ = ["ChunkChannel"]


class ChunkChannel:
    """Publishes chunks, up to :data:`~objstore.put.ack_window.WINDOW` bytes unacknowledged.

    Arguments:
        records: the bucket.
        subject: of the chunks.
        header: of each.
        stored: how many chunks are stored already.
        sequence: of the last of them.
        timeout: for one acknowledgement, in seconds.
        piggyback: whether a small chunk may wait for what is sent next.
    """

    def __init__(
        self,
        records: Records,
        subject: str,
        header: bytes,
        stored: int,
        sequence: int,
        timeout: float,
        *,
        piggyback: bool = False,
    ) -> None:
        self._records = records
        self._raw = check_subject(subject)
        self._base = stored
        self._header = header
        self._piggyback = piggyback
        self._window = AckWindow(subject, timeout, stored, sequence)
        connection = records.jetstream.connection
        self._session, self._inbox = connection.session, connection.inbox
        # One reply subject for all chunks, with the number as its last token: no subscription for
        # each.
        self._reply = self._inbox.open(self._deliver)

    def close(self) -> None:
        """Stop taking acknowledgements. Never fails."""
        self._session.forget(self._window)
        self._inbox.close(self._reply)

    def take_over(self, size: int, sequence: int, *, answered: bool) -> None:
        """Take note of a chunk that was sent by other means, whose answer does not come here.

        Arguments:
            size: of the chunk, in bytes.
            sequence: of the chunk in the stream; 0: it is not known to be stored.
            answered: whether the server has answered; if not, its answer is lost.
        """
        window = self._window
        window.add(size)
        if sequence:
            window.confirm(window.sent, sequence)
        elif answered:
            # Counted as an answer: settle waits for no other.
            window.answers += 1
        else:
            window.no_more_answers = True

    @property
    def position(self) -> tuple[int, int]:
        """The number of chunks known to be stored, and the sequence of the last one."""
        return self._window.position

    @property
    def may_have_stored(self) -> bool:
        """Whether any chunk was stored, or may have been."""
        return self._window.stored > 0 or not self._is_answered()

    @property
    def has_unanswered(self) -> bool:
        """Whether some chunks were sent and never answered."""
        return not self._is_answered()

    def _is_answered(self) -> bool:
        return self._window.answers >= self._window.sent - self._base

    def send(self, chunk: Buffer) -> None:
        """Send the next chunk, as soon as the window has room for it.

        Raises:
            ObjStoreError: an earlier chunk was not stored, or the connection was lost.
        """
        # The window is bounded in bytes, and a full one is waited for. (nats.go fails instead: a
        # put of 1 GB ends with "stalled with too many outstanding".)
        window, room = self._window, max(0, WINDOW - len(chunk))
        window.wait(lambda: window.outstanding <= room)
        reply = f"{self._reply}.{window.sent + 1}".encode()
        parts = encode_publish(self._raw, chunk, reply, self._header)
        # Before it is sent: the reader thread may have the answer before transmit returns.
        window.add(len(chunk))
        if self._piggyback and len(parts) == 1 and self._session.piggyback(parts[0], window):
            return
        self._session.transmit(parts, window)

    def finish(self) -> None:
        """Wait until all that was sent is stored.

        Raises:
            ObjStoreError: it is not.
        """
        window = self._window
        if window.stored < window.sent:
            self._flush()
        window.wait(lambda: window.stored == window.sent)

    def _flush(self) -> None:
        """Send the chunks that wait for what is sent next, since their answers are waited for."""
        if self._piggyback:
            self._session.flush_piggybacked()

    def _deliver(self, message: Message) -> None:
        """Take an acknowledgement; its subject ends in the chunk's number."""
        number = int(message.subject.rpartition(".")[2])
        try:
            bucket = self._records.bucket
            ack = parse_pub_ack(message, f"storing chunk {number} in bucket {bucket}")
        except ObjStoreError as refused:
            self._window.refuse(refused)
            return
        # Chunks in order, or not at all: a gap or a swap would be a corrupt object.
        stored, sequence = self._window.position
        # Another stream may have taken the subject over: it acknowledges what no reader of the
        # bucket finds.
        if ack.stream != self._records.stream:
            self._window.refuse(self._records.known.taken_by(ack.stream))
        elif number == stored + 1 and ack.sequence > sequence:
            self._window.confirm(number, ack.sequence)
        else:
            self._window.refuse(OutOfStepError(f"chunk {number} was acknowledged out of order"))

    def settle(self) -> None:
        """Wait after a failure for the answers to all that was sent, good or bad.

        The server stores from a queue, past which a purge would slip: chunks would be stored
        after they were to be removed.
        """
        self._flush()
        self._window.settle(self._is_answered)

    def recover(self, kept: Mapping[int, Buffer]) -> tuple[int, int]:
        """Find out after a failure what is stored, and leave no gap and nothing beyond it.

        What was stored after the last acknowledged chunk is compared with what was sent. What
        continues the object stays; behind a gap, which a change of the stream's leader makes,
        all is deleted.

        Arguments:
            kept: the chunks not known to be stored, by number.

        Returns:
            How many chunks are stored, and the sequence of the last one.

        Raises:
            InvalidOptionError: the server takes no chunks of that size any more.
            BucketNotFoundError: there is no such bucket any more.
            ObjStoreError: what is stored could not be found out, for now.
        """
        self.settle()
        jetstream, stream = self._records.jetstream, self._records.stream
        # The answers may have stopped before the server has: what it still has queued would come
        # after the look.
        fence(self._records, self._window.subject)
        number, last = self._window.position
        at = last
        while True:
            # At the leader: a follower that lags would hide stored chunks, which would then be sent
            # again.
            asked = self._records.start_next(self._window.subject, at + 1, leader=True)
            message = asked.result()
            if message is None:
                self._check_sizes(kept, number)
                return number, last
            at = message.sequence
            # Compared by content: stored messages do not tell their number. nats.go sends refused
            # chunks again after later ones, and so stores objects with swapped chunks.
            if number + 1 in kept and kept[number + 1] == message.payload:
                number, last = number + 1, at
            else:
                jetstream.delete_message(stream, at)

    def _check_sizes(self, kept: Mapping[int, Buffer], stored: int) -> None:
        """Check that the server still takes the chunks that are to be sent again.

        A server that is told to take less (``max_payload``) tells nobody, and ends the connection
        at each message that is larger; to the next one it says its new limit.
        """
        for number, chunk in kept.items():
            if number > stored:
                check_size(self._session, len(chunk) + len(self._header))
