"""Requests and their replies, all over one subscription.

A session has one inbox, ``_INBOX.<nuid>.>``. Whoever expects replies takes a token and gets
what is published to ``_INBOX.<nuid>.<token>`` and below; a request costs one message out and
one in, and no subscription of its own.
"""

from __future__ import annotations

import itertools

from objstore.errors import (
    InvalidOptionError,
    NoRespondersError,
    ObjStoreError,
    RequestTimeoutError,
)
from objstore.wire.codec.commands import check_subject, encode_publish
from objstore.wire.codec.protocol import Buffer, Message
from objstore.wire.connection import forks
from objstore.wire.connection.nuid import next_nuid
from objstore.wire.connection.session import Session
from objstore.wire.connection.subscriptions import Handler, Latch, PlaceOf, Subscription

__all__ = ["Inbox", "Reply", "publish_parts"]

NO_RESPONDERS = 503

#: Payloads up to this size are joined with their command: one copy is cheaper than the
#: bookkeeping of several buffers.
_JOIN_LIMIT = 8 << 10

_CRLF = b"\r\n"


def publish_parts(
    subject: bytes, payload: Buffer, reply: bytes = b"", header: bytes = b""
) -> list[Buffer]:
    """The bytes of a PUB or HPUB, in as few pieces as is cheap, without copying a large payload."""
    head = encode_publish(subject, reply, len(payload), header)
    if len(payload) <= _JOIN_LIMIT:
        return [b"".join((head, payload, _CRLF))]
    return [head, payload, _CRLF]


class Reply:
    """One reply that a thread waits for.

    Attributes:
        subject: where the request went.
    """

    __slots__ = ("_error", "_latch", "_message", "subject")

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self._latch = Latch()
        self._message: Message | None = None
        self._error: ObjStoreError | None = None

    def deliver(self, message: Message) -> None:
        """Take the reply; later ones are ignored."""
        if self._message is None and self._error is None:
            self._message = message
            self._latch.open()

    def fail(self, error: ObjStoreError) -> None:
        """End the waiting with an error."""
        if self._message is None and self._error is None:
            self._error = error
            self._latch.open()

    @property
    def error(self) -> ObjStoreError | None:
        """Why no reply will come, as far as is known now."""
        return self._error

    def wait(self, timeout: float) -> Message:
        """The reply.

        Raises:
            RequestTimeoutError: none came within ``timeout`` seconds.
            ObjStoreError: what :meth:`fail` was given.
        """
        if not self._latch.wait(timeout):
            raise RequestTimeoutError(
                f"no reply from {self.subject} in {timeout:g} s",
                subject=self.subject,
                timeout=timeout,
            )
        if self._message is not None:
            return self._message
        assert self._error is not None  # noqa: S101 - the lock says so
        raise self._error


class Inbox:
    """Where the replies to a session's requests arrive.

    Arguments:
        session: carries the requests.
        prefix: of the subjects, ``_INBOX`` unless the account demands another.
    """

    def __init__(self, session: Session, prefix: str = "_INBOX") -> None:
        check_subject(prefix, "inbox prefix")
        self._session = session
        self._prefix = prefix
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """Begin anew. A forked child takes another prefix, or it would get the parent's replies."""
        self._base = f"{self._prefix}.{next_nuid()}."
        self._subscription: Subscription | None = None
        self._begun: dict[int, Subscription] = {}  # each by the number of the one before
        self._handlers: dict[str, Handler] = {}
        self._places: dict[str, PlaceOf] = {}
        self._tokens = itertools.count(1)

    def open(self, handler: Handler, place: PlaceOf | None = None) -> str:
        """Take a token: messages to the subject returned, and below it, go to the handler.

        Arguments:
            handler: gets the messages.
            place: says where the payloads of large messages to just this subject shall land.

        The handler is called by the reader thread and must not block. Call :meth:`close` with
        the subject in the end.
        """
        subscription = self._subscription
        if subscription is None or subscription.denied is not None:
            self._subscribe(subscription)
        token = str(next(self._tokens))
        self._handlers[token] = handler
        if place is not None:
            self._places[token] = place
        return self._base + token

    def _subscribe(self, old: Subscription | None) -> None:
        """Subscribe, once, however many threads and signal handlers come here at a time.

        Without a lock, which a handler that interrupts its holder would wait for for ever: of
        those who come with the same old one the first counts, and to begin twice is to begin once.

        Arguments:
            old: the one that was denied; None: there was none.
        """
        mine = self._session.new_subscription(
            f"{self._base}>", self._deliver, replies=True, place=self._place
        )
        new = self._begun.setdefault(0 if old is None else old.sid, mine)
        if old is not None and new is mine:
            self._session.unsubscribe(old)
        # Never blocks: the server hears of it before the first request.
        self._session.begin(new)
        self._subscription = new

    def new_subject(self) -> str:
        """A subject beside this inbox, for a subscription of its own."""
        return f"{self._prefix}.{next_nuid()}"

    def close(self, subject: str) -> None:
        """Give a token back; what still arrives for it is dropped."""
        token = subject[len(self._base) :]
        self._handlers.pop(token, None)
        self._places.pop(token, None)

    def _place(self, subject: str, header: bytes, size: int) -> memoryview | None:
        place = self._places.get(subject[len(self._base) :])
        return None if place is None else place(subject, header, size)

    def _deliver(self, message: Message) -> None:
        token = message.subject[len(self._base) :]
        handler = self._handlers.get(token) or self._handlers.get(token.partition(".")[0])
        if handler is not None:
            handler(message)

    def request(
        self, subject: str, payload: Buffer, *, timeout: float, header: bytes = b""
    ) -> Message:
        """Publish, and wait for one reply.

        Raises:
            NoRespondersError: nobody listens there.
            RequestTimeoutError: no reply came in time.
            InvalidNameError: the subject is not one.
            InvalidOptionError: the message is larger than the server takes.
            ConnectionLostError: the connection broke; whether the request arrived is unknown.
            PermissionDeniedError: publishing there is not allowed.
        """
        with self.start(subject, payload, header=header) as pending:
            return pending.result(timeout)

    def start(self, subject: str, payload: Buffer, *, header: bytes = b"") -> PendingReply:
        """Publish a request, and wait later; to be closed in any case.

        Raises:
            InvalidNameError, InvalidOptionError, ConnectionLostError: as :meth:`request`.
        """
        raw = check_subject(subject)
        check_size(self._session, len(payload) + len(header))
        reply = PendingReply(self, self._session, subject)
        reply.send(raw, payload, header)
        return reply

    def start_piggybacked(self, subject: str, payload: bytes) -> PendingReply:
        """As :meth:`start`, for a short request that travels with whatever is sent next.

        A system call and a change of threads less. What is sent next should come soon, from this
        thread; :meth:`PendingReply.flush_piggybacked` is for the case that it does not.
        """
        raw = check_subject(subject)
        reply = PendingReply(self, self._session, subject)
        reply.piggyback(raw, payload)
        return reply


class PendingReply(Reply):
    """A request under way."""

    __slots__ = ("_address", "_inbox", "_session")

    def __init__(self, inbox: Inbox, session: Session, subject: str) -> None:
        super().__init__(subject)
        self._inbox = inbox
        self._session = session
        self._address = inbox.open(self.deliver)

    def send(self, raw: bytes, payload: Buffer, header: bytes = b"") -> None:
        """Publish the request to a subject, checked."""
        try:
            parts = publish_parts(raw, payload, self._address.encode(), header)
            self._session.transmit(parts, self)
        except BaseException:
            self.close()
            raise

    def piggyback(self, raw: bytes, payload: bytes) -> None:
        """As :meth:`send`, with whatever is sent next."""
        (command,) = publish_parts(raw, payload, self._address.encode())
        try:
            sent = self._session.piggyback(bytes(command), self)
        except BaseException:
            self.close()
            raise
        if not sent:
            self.send(raw, payload)

    def flush_piggybacked(self) -> None:
        """Send it now, if it was to go along with something else and has not yet."""
        self._session.flush_piggybacked()

    def __enter__(self) -> PendingReply:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Wait no longer. Never fails."""
        self._session.forget(self)
        self._inbox.close(self._address)

    def result(self, timeout: float) -> Message:
        """The reply.

        Raises:
            NoRespondersError, RequestTimeoutError, ConnectionLostError, PermissionDeniedError:
                as :meth:`Inbox.request`.
        """
        message = self.wait(timeout)
        if not message.payload and message.status == NO_RESPONDERS:
            raise NoRespondersError(
                f"nobody answers requests to {self.subject}",
                subject=self.subject,
                code=NO_RESPONDERS,
                timeout=timeout,
            )
        return message


def check_size(session: Session, size: int) -> None:
    """Refuse a message that the server would refuse by closing the connection.

    Raises:
        InvalidOptionError: header and payload together exceed the server's ``max_payload``.
    """
    limit = session.info.get("max_payload")
    if isinstance(limit, int) and size > limit:
        raise InvalidOptionError(
            f"a message of {size:,} bytes, where the server takes {limit:,} (its max_payload)"
        )
