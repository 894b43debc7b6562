"""What one consumer of a stream sends, as the reader thread takes it in (ADR-15)."""

from __future__ import annotations

import enum
import queue
import time
from typing import NamedTuple

from objstore.errors import APIError, NoRespondersError, ObjStoreError, ProtocolError
from objstore.wire.codec.protocol import Message
from objstore.wire.connection.session import Session
from objstore.wire.connection.subscriptions import Subscription
from objstore.wire.jetstream.answers import NO_RESPONDERS, StoredMessage

__all__ = [
    "MOST_WAITING",
    "Beginning",
    "Delivery",
    "Feed",
    "FlowControl",
    "Idle",
    "Item",
    "Phase",
    "size_of",
]

#: Bytes that may wait for a user, each item counted with an overhead. A server stops at 32 MiB
#: (its flow control); one that does not is not to fill the memory.
MOST_WAITING, OVERHEAD = 96 << 20, 256

CONTROL = 100  # the status of heartbeats and of requests for flow control
ACK = "$JS.ACK."


class Delivery(StoredMessage, gc=False):
    """A message that a consumer sent.

    Attributes:
        consumer_sequence: its number among those that this consumer sent.
        pending: how many the consumer had left to send then.
    """

    consumer_sequence: int
    pending: int

    @classmethod
    def of(cls, message: Message) -> Delivery:
        """Make a delivery of a message as it came.

        Raises:
            APIError: its reply subject is none of a consumer's.
        """
        # ``$JS.ACK[.<domain>.<account>].<stream>.<consumer>.<numbers>[.<more>]`` (ADR-15): nine
        # tokens have no domain and no account; with both there are at least eleven.
        tokens = message.reply.split(".")
        first = 4 if len(tokens) == 9 else 6
        try:
            if len(tokens) == 10:
                raise ValueError(message.reply)
            _, sequence, consumer_sequence, stamp, pending = map(int, tokens[first : first + 5])
            if not 0 <= stamp < 1 << 63:  # as the server counts: until 2262
                raise ValueError(message.reply)
        except ValueError:
            raise APIError(
                f"a message of a consumer with the reply subject {message.reply!r}"
            ) from None
        return cls(
            message.subject,
            sequence,
            stamp,
            message.header,
            message.payload,
            consumer_sequence,
            pending,
        )


class FlowControl(NamedTuple):
    """A request of the server, which stops soon unless something is published to a subject.

    Attributes:
        subject: where the server expects that.
    """

    subject: str


class Idle(NamedTuple):
    """A heartbeat: the server has nothing to send, or believes so.

    Attributes:
        sequence: the stream's sequence up to which it has looked.
    """

    sequence: int


#: What the queue between the reader thread and the user's is of.
Item = Delivery | Message | FlowControl | Idle | ObjStoreError


class Phase(enum.Enum):
    """How far a consumer has come to be; the user's thread keeps count."""

    ASKED = "asked for the stream"
    CREATED = "the stream is there; asked for the consumer"
    LIVE = "the consumer is there"


#: What an answer of the API makes of each phase.
NEXT_PHASE = {Phase.ASKED: Phase.CREATED, Phase.CREATED: Phase.LIVE, Phase.LIVE: Phase.LIVE}


class Beginning(enum.Enum):
    """The messages that a consumer sends first."""

    BY_NUMBER = "the messages from a sequence, or a moment, on"
    SNAPSHOT = "the last message of each subject"
    SNAPSHOT_AGAIN = "the same, of which a part was received before"


class Feed:
    """What one consumer sends, as the reader thread takes it in.

    The connection holds this, and not the :class:`OrderedConsumer`, which can so be forgotten.

    Attributes:
        session: carries it.
        reply: the subject that the consumer sends to.
        name: the consumer's name.
        subject: what was published to last.
        subscription: to ``reply``.
        asked: when the last question was asked.
        heard: when the server was last heard of.
        phase: how far it has come.
        beginning: what it sends first.
        proved: whether it has sent anything; it may do so before it is known to be live.
        refused: whether the server did not let it be made, so that there is none to delete.
        ended: whether it is over, so that nothing more is taken in; any thread may end it.
        answered: the last request for flow control that was answered.
        idle: whether there is an :class:`Idle` in the queue.
        taken: bytes of what was taken out of the queue; the user's thread counts.
    """

    def __init__(
        self, session: Session, items: queue.SimpleQueue[tuple[Feed | None, Item]], reply: str
    ) -> None:
        self.session = session
        self.reply = reply
        self.name = reply.rpartition(".")[2]
        self.subject = reply
        self.subscription: Subscription | None = None
        self.asked = self.heard = time.monotonic()
        self.phase = Phase.ASKED
        self.beginning = Beginning.BY_NUMBER
        self.proved = self.refused = self.ended = self.idle = False
        self.answered = ""
        self.taken = 0
        self._given = 0  # bytes of what was put into the queue
        self._items = items
        self._sequence = 0  # the consumer's number of the last message
        self._flow = ""  # the last request for flow control

    def advance(self) -> None:
        """Go on to the phase after an answer of the API."""
        self.phase = NEXT_PHASE[self.phase]

    def fail(self, error: ObjStoreError) -> None:
        """End the feed with an error, such as the end of the connection: no more is taken in."""
        self.ended = True
        self._items.put((self, error))

    def _put(self, item: Item) -> None:
        """Hand on what came, unless too much of it waits already."""
        self._given += size_of(item)
        if self._given - self.taken > MOST_WAITING:
            self.fail(ProtocolError("a consumer sends on, though nobody lets it"))
        else:
            self._items.put((self, item))

    def deliver(self, message: Message) -> None:
        """Take in a message that came; called by the reader thread."""
        if self.ended:
            return
        self.heard = time.monotonic()
        if message.reply.startswith(ACK):
            self._check(message)
        elif message.status == CONTROL:
            self._control(message)
        elif message.status == NO_RESPONDERS:
            self.fail(NoRespondersError("JetStream does not answer", code=NO_RESPONDERS))
        elif message.status:
            self.fail(ProtocolError(f"the consumer ended: {message.header!r}"))
        else:
            self._put(message)  # an answer of the API

    def _check(self, message: Message) -> None:
        try:
            delivery = Delivery.of(message)
        except APIError as error:
            self.fail(error)
            return
        sequence = delivery.consumer_sequence
        # A missing message is not sent again, since nothing is acknowledged: begin anew.
        if sequence != self._sequence + 1:
            self.fail(_missing(self._sequence + 1, sequence - 1))
            return
        self._sequence = sequence
        self.proved = True
        self._put(delivery)

    def _control(self, message: Message) -> None:
        if message.reply:
            self._request_flow(message.reply)
            return
        last = int(message.value(b"Nats-Last-Consumer") or self._sequence)
        stalled = (message.value(b"Nats-Consumer-Stalled") or b"").decode()
        if last != self._sequence:
            self.fail(_missing(self._sequence + 1, last))
        elif not stalled:
            self.proved = True
            # One is enough: heartbeats come for as long as the user is busy elsewhere.
            if not self.idle:
                self.idle = True
                looked_at = int(message.value(b"Nats-Last-Stream") or 0)
                self._put(Idle(looked_at))
        elif stalled != self._flow or stalled == self.answered:  # the request, or its answer,
            self._request_flow(stalled)  # was lost

    def _request_flow(self, subject: str) -> None:
        self._flow, self.answered = subject, ""
        self._put(FlowControl(subject))


def size_of(item: Item) -> int:
    """Return the size of something in the queue, in bytes."""
    if isinstance(item, (Delivery, Message)):
        return len(item.payload) + len(item.header) + OVERHEAD
    return OVERHEAD


def _missing(first: int, last: int) -> ProtocolError:
    return ProtocolError(f"messages {first} to {last} of a consumer did not come")
