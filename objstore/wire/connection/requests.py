"""Requests and their replies, all over one subscription.

A session has one inbox, ``_INBOX.<nuid>.>``. Whoever expects replies takes a token and gets
what is published to ``_INBOX.<nuid>.<token>`` and below; a request costs one message out and
one in, and no subscription of its own.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable

from objstore.errors import (
    InvalidOptionError,
    NoRespondersError,
    ObjStoreError,
    RequestTimeoutError,
)
from objstore.wire.codec.commands import check_subject, encode_publish
from objstore.wire.codec.protocol import Buffer, Message
from objstore.wire.connection import forks
from objstore.wire.connection.session import Session
from objstore.wire.connection.subscriptions import Handler, PlaceOf, RunHandler, Subscription

__all__ = [
    "INBOX_PREFIX",
    "NO_RESPONDERS",
    "Inbox",
    "PendingReply",
    "check_size",
    "next_nuid",
]

#: What the subjects of replies begin with, unless another prefix is chosen.
INBOX_PREFIX = "_INBOX"

#: The status with which a server answers at once a request that nobody listens to, and how the
#: header block of that answer begins.
NO_RESPONDERS, _NO_RESPONDERS = 503, b"NATS/1.0 503"


_DIGITS = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

#: A digit for each byte. Eight of them stand for five bytes, the others for four: 5.950 bits are
#: left of a character's 5.954. By division of one number it is even, and takes 1.8 µs, not 0.5.
_DIGIT_OF = (_DIGITS * 5)[:256]


def next_nuid() -> str:
    """Return a new NUID: an identifier that NATS uses for inboxes and for an object's chunks.

    22 characters of base 62, from the operating system's randomness: 130 bits, so two never meet,
    in no thread and in no forked child.

    Rejected: pynats2's generator. Its sequence is divided as a float, and where the increment is
    62 every second identifier repeats (501 distinct ones of 1,000 measured).
    """
    return os.urandom(22).translate(_DIGIT_OF).decode()


NewReply = Callable[["Inbox", Session, str], "PendingReply"]


class Inbox:
    """Where the replies to a session's requests arrive.

    Arguments:
        session: carries the requests.
        prefix: what its subjects begin with, ``_INBOX`` unless the account demands another.
        new_reply: makes what waits for a reply; None: a :class:`PendingReply`.
    """

    def __init__(
        self, session: Session, prefix: str = INBOX_PREFIX, new_reply: NewReply | None = None
    ) -> None:
        check_subject(prefix, "inbox prefix")
        self._session = session
        self._prefix = prefix
        # Of another class where it is observed: who observes nothing does not even pay for a look.
        self._new_reply: NewReply = new_reply or PendingReply
        # In a forked child they go on: what is closed there of the parent's must not have the token
        # of a request of the child's own.
        self._tokens = itertools.count(1)
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """Begin anew; a forked child needs a prefix of its own, or it gets the parent's replies."""
        self._base = f"{self._prefix}.{next_nuid()}."
        self._skip = len(self._base)  # what is cut off a subject, which leaves the token
        self._subscription: Subscription | None = None
        # No lock: each step is one operation of a dict, which the interpreter does as a whole.
        self._begun: dict[int, Subscription] = {}  # each by the number of the one before
        self._handlers: dict[str, Handler] = {}
        self._places: dict[str, PlaceOf] = {}
        self._run_handlers: dict[str, RunHandler] = {}

    def open(
        self,
        handler: Handler,
        place: PlaceOf | None = None,
        run_handler: RunHandler | None = None,
    ) -> str:
        """Open a subject for replies; :meth:`close` closes it.

        Arguments:
            handler: called by the reader thread with each message to the subject, and to those
                below it; must not block.
            place: returns the memory to receive the payload of a large message into, if it is to
                just this subject; None: any memory.
            run_handler: called in place of ``handler`` with several messages in a row that are to
                just this subject; None: ``handler`` is called with each.

        Returns:
            The subject.
        """
        subscription = self._subscription
        if subscription is None or subscription.denied is not None:
            self._subscribe(subscription)
        token = str(next(self._tokens))
        self._handlers[token] = handler
        if place is not None:
            self._places[token] = place
        if run_handler is not None:
            self._run_handlers[token] = run_handler
        return self._base + token

    def _subscribe(self, old: Subscription | None) -> None:
        """Subscribe the inbox, once, however many threads and signal handlers come here at a time.

        Without a lock, which a handler that interrupts its holder would wait for for ever: of
        those who come with the same old one the first counts, and to begin twice is to begin once.

        Arguments:
            old: the one that was denied; None: there was none.
        """
        mine = self._session.new_subscription(
            f"{self._base}>",
            self._deliver,
            run_handler=self._deliver_run,
            replies=True,
            place=self._place,
        )
        new = self._begun.setdefault(0 if old is None else old.sid, mine)
        while later := self._begun.get(new.sid):  # this thread comes so late that more were denied
            new = later
        if old is not None and new is mine:
            self._session.unsubscribe(old)
        # Never blocks: the server hears of it before the first request.
        self._session.begin(new)
        self._subscription = new

    def new_subject(self) -> str:
        """Return a new subject beside this inbox, for a subscription of its own."""
        return f"{self._prefix}.{next_nuid()}"

    def close(self, subject: str) -> None:
        """Close a subject for replies; messages that still arrive are dropped."""
        token = subject[self._skip :]
        self._handlers.pop(token, None)
        self._places.pop(token, None)
        self._run_handlers.pop(token, None)

    def _place(self, subject: str, header: bytes, size: int) -> memoryview | None:
        place = self._places.get(subject[self._skip :])
        return None if place is None else place(subject, header, size)

    def _deliver(self, message: Message) -> None:
        token = message.subject[self._skip :]
        handler = self._handlers.get(token) or self._handlers.get(token.partition(".")[0])
        if handler is not None:
            handler(message)

    def _deliver_run(self, messages: list[Message]) -> None:
        handler = self._run_handlers.get(messages[0].subject[self._skip :])
        if handler is not None:
            handler(messages)
            return
        for message in messages:
            self._deliver(message)

    def request(
        self, subject: str, payload: Buffer, *, timeout: float, header: bytes = b""
    ) -> Message:
        """Publish a request, and wait for one reply.

        Raises:
            NoRespondersError: nobody listens there.
            RequestTimeoutError: no reply came in time.
            InvalidNameError: the subject is not one.
            InvalidOptionError: the message is larger than the server takes.
            ConnectionLostError: the connection broke; whether the request arrived is unknown.
            PermissionDeniedError: publishing there is not allowed.
            ReentrantCallError: as :meth:`start`.
        """
        return self.start(subject, payload, header=header).result(timeout)

    def start(self, subject: str, payload: Buffer, *, header: bytes = b"") -> PendingReply:
        """Publish a request, and wait later; to be closed, or its result taken, in any case.

        Raises:
            InvalidNameError, InvalidOptionError: as :meth:`request`.
            ConnectionLostError: there is no connection.
            ReentrantCallError: this is a signal handler or a finalizer that interrupts a call of
                the same connection.
        """
        raw, session = check_subject(subject), self._session
        # Checked here, too: most requests are spared the call.
        if len(payload) + len(header) > session.max_payload:
            check_size(session, len(payload) + len(header))
        reply = self._new_reply(self, session, subject)
        reply.address = self.open(reply.deliver)
        try:
            parts = encode_publish(raw, payload, reply.address.encode(), header)
            # The first step of transmit(), without its call: nearly all requests end here.
            link = session.out.link
            if link is None or not session.out.write(link, parts, reply):
                session.transmit(parts, reply)  # which waits for the next connection
        except BaseException:
            reply.close()
            raise
        return reply

    def start_piggybacked(
        self, subject: str, payload: Buffer, *, header: bytes = b""
    ) -> PendingReply:
        """Start a request, as :meth:`start`, that is sent together with whatever is sent next.

        That saves a system call and a change of threads. Something should be sent soon, by this
        thread; where it is not, :meth:`PendingReply.flush_piggybacked` sends the request. A request
        with a large payload is sent at once.

        Raises:
            As :meth:`start`.
        """
        raw, session = check_subject(subject), self._session
        if len(payload) + len(header) > session.max_payload:  # as in start
            check_size(session, len(payload) + len(header))
        reply = self._new_reply(self, session, subject)
        reply.address = self.open(reply.deliver)
        try:
            parts = encode_publish(raw, payload, reply.address.encode(), header)
            if len(parts) > 1 or not session.piggyback(parts[0], reply):
                session.transmit(parts, reply)
        except BaseException:
            reply.close()
            raise
        return reply


class PendingReply:
    """A request under way, whose reply one thread waits for, once; or it is to be closed.

    It waits behind a plain lock, which the reader thread releases. Rejected: ``threading.Event``
    and ``Condition``, see :class:`~objstore.wire.connection.subscriptions.Latch`; and that class
    itself, one object and three calls more in each request.

    Arguments:
        inbox: where the reply arrives.
        session: carries the request.
        subject: where that goes.

    Attributes:
        subject: where the request goes.
        address: where the reply goes, once that is open.
        error: why none will come, as far as is known now.
    """

    __slots__ = ("_inbox", "_lock", "_message", "_session", "address", "error", "subject")

    def __init__(self, inbox: Inbox, session: Session, subject: str) -> None:
        self.subject = subject
        self.error: ObjStoreError | None = None
        self._message: Message | None = None
        self._inbox, self._session = inbox, session
        self._lock = lock = threading.Lock()  # looked up each time: gevent may come late
        lock.acquire()
        self.address = ""

    def deliver(self, message: Message) -> None:
        """Take the reply; later ones are ignored."""
        if self._message is None and self.error is None:
            self._message = message
            # Two threads may come here at once, a reply with one and the end of the connection
            # with the other: the second finds the lock released. (suppress() would take 0.6 µs,
            # with the interpreter's lock held, while the thread that was woken waits for it.)
            try:  # noqa: SIM105
                self._lock.release()
            except RuntimeError:
                pass

    def fail(self, error: ObjStoreError) -> None:
        """End the waiting with an error."""
        if self._message is None and self.error is None:
            self.error = error
            try:  # noqa: SIM105 - as above
                self._lock.release()
            except RuntimeError:
                pass

    def result(self, timeout: float) -> Message:
        """Wait for the reply, and close it.

        Arguments:
            timeout: in seconds.

        Raises:
            NoRespondersError, RequestTimeoutError, ConnectionLostError, PermissionDeniedError:
                as :meth:`Inbox.request`.
        """
        try:
            if not self._lock.acquire(timeout=timeout):
                raise self._timed_out(timeout)
        finally:
            self.close()
        message = self._message
        if message is None:
            assert self.error is not None  # noqa: S101 - the lock says so
            raise self.error
        # The server's own 503 has no payload; an answer with one is somebody else's.
        if not message.payload and message.header.startswith(_NO_RESPONDERS):
            raise NoRespondersError(
                f"nobody answers requests to {self.subject}",
                subject=self.subject,
                code=NO_RESPONDERS,
                timeout=timeout,
            )
        return message

    def _timed_out(self, timeout: float) -> RequestTimeoutError:
        return RequestTimeoutError(
            f"no reply from {self.subject} in {timeout:g} s", subject=self.subject, timeout=timeout
        )

    def flush_piggybacked(self) -> None:
        """Send the request now, if it still waits for what is sent next. Never fails."""
        # Where it was answered, others may go on waiting.
        if self._session.out.handed_over and self._message is None and self.error is None:
            self._session.flush_piggybacked()

    def __enter__(self) -> PendingReply:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the reply up: nobody waits for it any more. Never fails."""
        self._session.waiting.discard(self)
        inbox = self._inbox
        # Not Inbox.close(): it looks into three tables, and a request is in this one only.
        inbox._handlers.pop(self.address[inbox._skip :], None)


def check_size(session: Session, size: int) -> None:
    """Refuse a message that the server would refuse by closing the connection.

    Raises:
        InvalidOptionError: header and payload together exceed the server's ``max_payload``.
    """
    if size > session.max_payload:
        raise InvalidOptionError(
            f"a message of {size:,} bytes, where the server takes {session.max_payload:,} "
            "(its max_payload)"
        )
