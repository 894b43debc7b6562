"""An ordered consumer: messages of a stream pushed to us, in order, each once, across failures.

The server numbers what a consumer sends. The reader thread checks the numbers and puts the
messages into a queue; the user's thread takes them out and does all the rest, step by step, so
that there is no thread more, and a stop is never kept waiting. Where a number is missing, where
nothing is heard for two and a half heartbeats, where the connection breaks or the server says
something else, the consumer is given up, and another one continues after the last message.

Where the last message of each subject is wanted and none has more than one, a consumer by number
does, and going on is simple. Else the server makes a list of the last ones first, and two things
need care. It waits for a new message, or a heartbeat's time, at each one on the list that has
been removed meanwhile (seen with 2.15.1), or forgets the rest of the list (2.10.26): a heartbeat
that comes before the list's end, or tells of a message that never came, is taken as a failure.
And going on by number would bring older messages of subjects that have several: the next consumer
makes a new list, what was received is left out, and at the first message that is newer than the
beginning another one takes over by number. So nothing comes twice, and only what was overwritten
before it was sent does not come.

Memory: the server sends at most 32 MiB (its window begins with 2) more than was answered for,
and a request for flow control is answered when the user comes to it: as Python objects at most
``32 MiB * (1 + 500 / s)`` for messages of ``s`` bytes, subject and headers included.

Sources: ADR-17 (ordered consumer), ADR-15 (its replies, heartbeats and flow control).
"""

from __future__ import annotations

import enum
import queue
import time
from collections import deque
from typing import Any

from objstore.errors import (
    APIError,
    AuthorizationError,
    BucketNotFoundError,
    ConnectionClosedError,
    ConnectionLostError,
    ObjStoreError,
    PermissionDeniedError,
    ProtocolError,
    RequestTimeoutError,
)
from objstore.wire.connection import forks
from objstore.wire.connection.dial import closed_error
from objstore.wire.jetstream.api import JetStream, parse_answer
from objstore.wire.jetstream.feed import (
    Beginning,
    Delivery,
    Feed,
    FlowControl,
    Idle,
    Item,
    Phase,
    size_of,
)
from objstore.wire.jetstream.nonblocking_api import NonblockingAPI
from objstore.wire.jetstream.times import exact_text

__all__ = ["OrderedConsumer", "Start"]

#: How often the server gives a sign of life when there is nothing to send, in seconds.
HEARTBEAT = 5.0

#: After how many heartbeats' time of silence a consumer counts as lost.
SILENCE = 2.5

#: After how many seconds the server deletes a consumer that nobody listens to any more.
INACTIVE = 30.0

#: Nothing is acknowledged; ADR-17 wants the limit for that to be long: 22 hours.
ACK_WAIT = 22 * 3600.0

#: The pause after an attempt that failed, doubled each time from the first to the last value.
PAUSES = 0.05, 1.0

#: How often in a row a cluster may not know yet who listens to a consumer.
UNBOUND = 5


class Start(enum.Enum):
    """What a consumer begins with, before it goes on with what is new."""

    LAST_PER_SUBJECT = "last_per_subject"
    ALL = "all"
    NEW = "new"


class OrderedConsumer:
    """The messages of a stream, in order, as they are stored.

    Used by one thread at a time; only :meth:`close` may be called by any, at any moment.

    Arguments:
        jetstream: the account.
        stream: the stream.
        filter_subject: the subject of the messages wanted; may be a pattern.
        start: what to begin with.

    Attributes:
        caught_up: whether all that existed at the beginning was given, or is gone.
        end: the stream's last sequence at the beginning.
        position: up to where the user has dealt with everything: to be set by the user.
        closed: whether it was closed.
    """

    def __init__(
        self, jetstream: JetStream, stream: str, filter_subject: str, start: Start
    ) -> None:
        self.caught_up = False
        self.end = 0
        self.position = 0
        self.closed = False
        self._jetstream = jetstream
        self._asking = NonblockingAPI(jetstream)
        self._stream = stream
        self._filter = filter_subject
        self._start = start
        self._heartbeat = HEARTBEAT
        # A SimpleQueue: its put may be entered twice, as by a finalizer that strikes in there.
        self._items: queue.SimpleQueue[tuple[Feed | None, Item]] = queue.SimpleQueue()
        self._ready: deque[Delivery] = deque()
        self._feed: Feed | None = None  # None: another one is to be made
        self._begun = False  # there was a consumer
        self._single: bool | None = None  # whether no subject had several messages, once known
        self._subjects = 0  # how many there were
        self._received = 0  # the stream's sequence of the last message received
        self._time: str | int = ""  # when that was stored
        self._stream_created = ""
        self._failing = 0.0  # since when attempts have been failing, 0: they have not
        self._first_error: ObjStoreError | None = None
        self._pause = PAUSES[0]
        self._retry_at = 0.0
        self._unbound = 0  # consumers in a row whose messages nobody can hear
        forks.register(self)

    def open(self) -> None:
        """Have the server create the consumer.

        Raises:
            BucketNotFoundError: there is no such stream.
            ObjStoreError: as :meth:`next`.
        """
        self._jetstream.connection.session.start()  # in a forked child nobody has yet
        while not self.closed and (self._feed is None or self._feed.phase is not Phase.LIVE):
            self._step(None)

    def next(self, deadline: float | None) -> Delivery | None:
        """Wait for the next message, and return it.

        Arguments:
            deadline: until when to wait, by the monotonic clock; None: for ever.

        Returns:
            None when time is up, it was closed, or ``caught_up`` has become true without a
            message.

        Raises:
            BucketNotFoundError: there is no such stream any more, though perhaps another of its
                name.
            ConnectionLostError, RequestTimeoutError, AuthorizationError, APIError: for the
                account's patience no consumer could be created.
            ConnectionClosedError, PermissionDeniedError: none ever can.
        """
        was_behind = not self.caught_up
        while not self._ready:
            if self.closed or not self._step(deadline) or (was_behind and self.caught_up):
                break
        if self.closed:
            self._drop()
            return None
        if not self._ready:
            return None
        delivery = self._ready.popleft()
        # By its number as well: what is pending may all have been stored since.
        if not delivery.pending or delivery.sequence >= self.end:
            self.caught_up = True
        return delivery

    def rewind(self, caught_up: bool) -> None:
        """Forget what came after ``position``; it will come again.

        Arguments:
            caught_up: what that is to be then.
        """
        self._drop()
        self._ready.clear()
        self._received = self.position
        self.caught_up = caught_up

    def close(self) -> None:
        """End it, and wake who waits. Never blocks or fails, in a signal handler neither."""
        if not self.closed:
            self.closed = True
            feed = self._feed
            if feed is not None:
                self._release(feed)
            self._items.put((None, Idle(0)))

    def after_fork(self) -> None:
        """Be closed in a forked child: the server's consumer is the parent's."""
        self.closed = True

    # --- one step: wait for one thing to happen, and deal with it

    def _step(self, deadline: float | None) -> bool:
        """Take one step; return False when time is up."""
        feed = self._feed
        if feed is None and time.monotonic() >= self._retry_at:
            self._begin()
            return True
        try:
            # As long as there is something, no clock is looked at: a watch of what exists is long.
            source, item = self._items.get_nowait()
        except queue.Empty:
            limit = self._retry_at if feed is None else self._limit(feed)
            until = limit if deadline is None else min(limit, deadline)
            try:
                source, item = self._items.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                now = time.monotonic()
                if feed is not None and now >= self._limit(feed):
                    self._failed(self._silence(feed))
                    return True
                return deadline is None or now < deadline
        if source is not None and source is feed:
            feed.taken += size_of(item)
            self._take(feed, item)
        return True

    def _limit(self, feed: Feed) -> float:
        """Return until when the server may be silent, by the monotonic clock."""
        if feed.phase is Phase.LIVE:
            return feed.heard + SILENCE * self._heartbeat
        return feed.asked + self._jetstream.timeout

    def _silence(self, feed: Feed) -> ObjStoreError:
        """Make the error that says why nothing comes."""
        if feed.subscription is not None and feed.subscription.denied is not None:
            return feed.subscription.denied
        is_live = feed.phase is Phase.LIVE
        timeout = SILENCE * self._heartbeat if is_live else self._jetstream.timeout
        return RequestTimeoutError(
            f"watching stream {self._stream}: nothing from the server in {timeout:g} s",
            subject=feed.subject,
            timeout=timeout,
        )

    def _begin(self) -> None:
        """Begin to listen, and ask for the stream's state; :meth:`_take` deals with the answers."""
        connection = self._jetstream.connection
        session = connection.session
        if session.is_closed:
            raise closed_error()
        if self._single is None:  # what came before that was known is to come again
            self._ready.clear()
            self._received = 0
        feed = self._feed = Feed(session, self._items, connection.inbox.new_subject())
        feed.subscription = session.subscribe(feed.reply, feed.deliver, refused=feed.fail)
        count = self._filter if self._single is None else None
        if not self._asking.stream_info(self._stream, count, feed):
            self._failed(ConnectionLostError("there is no connection"))

    def _take(self, feed: Feed, item: Item) -> None:
        if isinstance(item, Delivery):
            self._receive(feed, item)
        elif isinstance(item, ObjStoreError):
            self._failed(item)
        elif isinstance(item, FlowControl):
            self._asking.answer_flow_control(item.subject, feed)
            feed.answered = item.subject
        elif isinstance(item, Idle):
            feed.idle = False
            # 2.10 skips what is left of the list, and says that it was sent.
            waits_or_skips = item.sequence < self.end or item.sequence > self._received
            is_list = feed.beginning is not Beginning.BY_NUMBER
            if is_list and not self.caught_up and waits_or_skips:
                self._failed(ProtocolError("the server stopped at a message that was removed"))
            else:
                self.caught_up = True
        else:
            try:
                answer = parse_answer(item, f"watching stream {self._stream}")
                if feed.phase is Phase.ASKED:
                    self._create(feed, answer)
                else:
                    self._confirmed(feed, answer)
            except ObjStoreError as error:
                self._failed(error)

    def _create(self, feed: Feed, info: dict[str, Any]) -> None:
        """Ask for the consumer, now that the stream's state is known."""
        last = int(info["state"]["last_seq"])
        if not self._stream_created:
            self._stream_created = info["created"]
            self._time = info.get("ts") or info["created"]
            self.end = last
            # Whether subjects have several matters for a list of the last ones alone.
            if self._start is not Start.LAST_PER_SUBJECT:
                self._single = False
            if self._start is Start.NEW:
                self._received = self.position = last
                self.caught_up = True
        elif info["created"] != self._stream_created:
            raise BucketNotFoundError(
                f"stream {self._stream} was deleted, and another of its name was created"
            )
        self._subjects = int(info.get("total") or 0)
        feed.advance()
        feed.asked = time.monotonic()
        config = {**self._start_of(feed, last), **self._config(feed)}
        self._asking.create_consumer(self._stream, config, feed)

    def _start_of(self, feed: Feed, last: int) -> dict[str, Any]:
        """Choose from where a consumer is to send.

        A stream can end before what was received: after a crash of the machine, a restore, or
        in memory. Then its numbers say nothing, and what was stored later is what is new.
        """
        if last < self._received:
            self.end = 0
            return {"deliver_policy": "by_start_time", "opt_start_time": exact_text(self._time)}
        behind = self._received < self.end and not self.caught_up
        if self._start is Start.LAST_PER_SUBJECT and behind and self._single is False:
            is_repeat = self._begun or self._received > 0
            feed.beginning = Beginning.SNAPSHOT_AGAIN if is_repeat else Beginning.SNAPSHOT
            return {"deliver_policy": "last_per_subject"}
        return {"deliver_policy": "by_start_sequence", "opt_start_seq": self._received + 1}

    def _config(self, feed: Feed) -> dict[str, Any]:
        """Return the rest of a consumer's configuration, as ADR-17 has it."""
        return {
            "name": feed.name,
            "deliver_subject": feed.reply,
            "ack_policy": "none",
            "ack_wait": int(ACK_WAIT * 1e9),
            "max_deliver": 1,
            "filter_subject": self._filter,
            "flow_control": True,
            "idle_heartbeat": int(self._heartbeat * 1e9),
            "inactive_threshold": int(INACTIVE * 1e9),
            # In memory, without replicas: a consumer that is lost is replaced by a new one.
            "mem_storage": True,
            "num_replicas": 1,
        }

    def _confirmed(self, feed: Feed, consumer: dict[str, Any]) -> None:
        # Not bound: the server sees nobody who listens to deliver_subject.
        if not consumer.get("push_bound"):
            self._unbound += 1
            raise self._unheard(feed)
        self._unbound = 0
        sent, pending = consumer["delivered"]["consumer_seq"], consumer.get("num_pending", 0)
        if self._single is None:
            # It sends by number, and so all messages: are they as many as the subjects?
            self._single = sent + pending == self._subjects
            # No: older ones are among them, so another consumer begins, with the list.
            if not self._single:
                self._drop()
                self._ready.clear()
                self._received = 0
                return
        feed.advance()
        self._begun = True
        if not sent + pending:
            self.caught_up = True

    def _unheard(self, feed: Feed) -> ObjStoreError:
        """Make the error of a consumer that nobody listens to, as the server sees it.

        In a cluster it may take a moment until it does. Else the consumer is another account's,
        and what it sends stays there.
        """
        what = (
            f"watching stream {self._stream}: what its consumer sends does not reach this account. "
            f"Where JetStream is imported from another account, that account has to export "
            f"the stream {feed.reply.rpartition('.')[0]}.>, and this one to import it "
            f"(and the service $JS.FC.{self._stream}.>)"
        )
        if self._jetstream.is_clustered and self._unbound < UNBOUND:
            return RequestTimeoutError(what, subject=feed.reply)
        return APIError(what, subject=feed.reply)

    def _receive(self, feed: Feed, delivery: Delivery) -> None:
        is_repeat = feed.beginning is Beginning.SNAPSHOT_AGAIN
        if is_repeat and delivery.sequence > self.end:
            self._received = max(self._received, self.end)  # and on from here by number
            self._drop()
            return
        if is_repeat and delivery.sequence <= self._received:
            self.caught_up = self.caught_up or not delivery.pending
            return
        self._received, self._time = delivery.sequence, delivery.time
        self._ready.append(delivery)

    # --- failures

    def _failed(self, error: ObjStoreError) -> None:
        """Give the consumer up, for the next step to begin anew: at once, if it had worked.

        Raises:
            ObjStoreError: the error, where trying again cannot help, or has not for too long.
        """
        feed = self._feed
        if feed is not None and isinstance(error, PermissionDeniedError):
            feed.refused = feed.phase is Phase.CREATED and error.subject == feed.subject
        self._drop()
        now = time.monotonic()
        if feed is not None and feed.phase is Phase.LIVE and feed.proved:
            # It had worked: patience begins anew, and the next is made at once.
            self._failing, self._first_error, self._pause = now, error, PAUSES[0]
            self._retry_at = now
            if not _is_final(error):
                return
        elif not self._failing:
            self._failing, self._first_error = now if feed is None else feed.asked, error
        if _is_final(error) or now - self._failing >= self._jetstream.patience:
            first, self._failing, self._first_error = self._first_error, 0.0, None
            raise error from (None if first is error else first)
        self._retry_at = now + self._pause
        self._pause = min(2 * self._pause, PAUSES[1])

    def _drop(self) -> None:
        """Give the consumer up, if there is one."""
        feed, self._feed = self._feed, None
        if feed is not None:
            self._release(feed)

    def _release(self, feed: Feed) -> None:
        feed.ended = True
        feed.session.forget(feed)
        if feed.subscription is not None:
            feed.session.unsubscribe(feed.subscription)
        # Who may not make one may not delete it either, as a rule: no warning of that.
        if feed.phase is not Phase.ASKED and not feed.refused:
            self._asking.delete_consumer(self._stream, feed.name)


def _is_final(error: ObjStoreError) -> bool:
    """Tell whether trying again cannot help."""
    if isinstance(error, (ConnectionLostError, RequestTimeoutError, AuthorizationError)):
        return isinstance(error, ConnectionClosedError)
    # Statuses from 500 on are the server's trouble, which may pass.
    return error.code is None or error.code < 500
