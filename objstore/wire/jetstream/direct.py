"""Direct gets (ADR-31): messages read from a stream by request, without a consumer."""

from __future__ import annotations

import queue
from collections.abc import Sequence

import msgspec

from objstore.errors import APIError, ObjStoreError, ProtocolError
from objstore.wire.codec.commands import check_subject, encode_publish
from objstore.wire.codec.protocol import Buffer, Message
from objstore.wire.connection.connection import Connection
from objstore.wire.connection.subscriptions import PlaceOf

__all__ = [
    "BatchRequest",
    "DirectGet",
    "DirectPage",
    "left_behind",
    "position",
]

#: The most bytes that are accepted of a batch: so many times its ``max_bytes``, and some more. Each
#: message counts with its headers and an overhead.
FACTOR, LEAST, OVERHEAD = 4, 256 << 10, 64
UNSAID = 64 << 20  # in place of max_bytes, where a request has none

#: How many messages of a page are handed on at once.
PART = 64

# The line break is part of it, or a header whose name only ends like this would be found.
_AT, _PENDING = b"\r\nNats-Sequence: ", b"\r\nNats-Num-Pending: "


class BatchRequest(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    rename={
        "subject": "next_by_subj",
        "last_of": "multi_last",
        "sequence": "seq",
        "count": "batch",
    },
):
    """What a batch of direct gets asks for (ADR-31): a subject's messages, or the last of several.

    Attributes:
        subject: whose messages are wanted, in order; may be a pattern.
        sequence: from which on.
        count: how many at most.
        last_of: the subjects whose last messages are wanted.
        max_bytes: how much at most, but for one message, in bytes; 0: the server's own limit.
    """

    subject: str = ""
    sequence: int = 0
    count: int = 0
    last_of: Sequence[str] = ()
    max_bytes: int = 0


_encode = msgspec.json.Encoder().encode


def _allowance(request: BatchRequest) -> int:
    """Return the most bytes that are accepted of a batch, lest a broken server fills the memory.

    It is generous: what servers count for ``max_bytes`` does not include the headers that they add.
    """
    return FACTOR * (request.max_bytes or UNSAID) + LEAST


def _too_long(subject: str) -> ProtocolError:
    return ProtocolError(f"the answer to {subject} is longer than was asked for")


class DirectGet:
    """A batch of direct gets under way: its messages as they come.

    The reader thread puts them into a queue; :meth:`next` takes them out. Nothing is held on
    the server. Memory: what the request allows (``max_bytes``) and one message; where the server
    does not keep to that, :data:`FACTOR` times as much.

    Arguments:
        connection: carries it.
        subject: the request's subject.
        request: what is asked for (ADR-31).
        place: where the payloads of large messages shall land; None: anywhere.

    Attributes:
        subject: the request's subject.
        count: how many messages have come.
    """

    def __init__(
        self,
        connection: Connection,
        subject: str,
        request: BatchRequest,
        place: PlaceOf | None = None,
    ) -> None:
        self.subject = subject
        self.count = 0
        self._connection = connection
        # Its put() may be entered twice: the garbage collector may close the connection meanwhile.
        self._queue: queue.SimpleQueue[Message | ObjStoreError] = queue.SimpleQueue()
        self._left = _allowance(request)
        # Before the request goes: answers may come before transmit() returns.
        self._reply = connection.inbox.open(self._deliver, place)
        try:
            connection.session.transmit(_request_parts(subject, request, self._reply), self)
        except BaseException:
            self.close()
            raise

    def _deliver(self, message: Message) -> None:
        self._left -= len(message.payload) + len(message.header) + OVERHEAD
        self.count += 1
        if self._left >= 0:
            self._queue.put(message)
        else:
            self.close()
            self.fail(_too_long(self.subject))

    def fail(self, error: ObjStoreError) -> None:
        """Note that the connection ended, or the permission is missing: :meth:`next` raises it."""
        self._queue.put(error)

    def next(self, timeout: float) -> Message | None:
        """Return the next message, its end marker (status 204) or an error status among them.

        Returns:
            None when nothing came within ``timeout`` seconds.

        Raises:
            ObjStoreError: the connection was lost, or the request is not allowed.
        """
        try:
            item = self._queue.get(timeout=timeout)
        except queue.Empty:
            return None
        if isinstance(item, ObjStoreError):
            raise item
        return item

    def close(self) -> None:
        """End the batch, and drop what still comes of it. Never fails."""
        self._connection.session.forget(self)
        self._connection.inbox.close(self._reply)


class DirectPage:
    """A batch of direct gets whose messages are taken many at a time.

    The reader thread wakes who waits once for :data:`PART` messages or more. Woken for each, as by
    :class:`DirectGet`, two threads hand the interpreter to and fro: that takes as long as reading
    the messages. Woken at the end alone, nothing is read while the batch comes: a listing of 1,000
    took 22 ms so, and 18 in parts. Memory: what the request allows.

    Attributes:
        subject: the request's subject.
        count: how many messages have come.
    """

    def __init__(self, connection: Connection, subject: str, request: BatchRequest) -> None:
        self.subject = subject
        self.count = 0
        self._connection = connection
        self._part: list[Message] = []  # has come since the last one was handed on
        self._parts: queue.SimpleQueue[list[Message] | ObjStoreError] = queue.SimpleQueue()
        self._left = _allowance(request)
        self._reply = connection.inbox.open(self._deliver, run_handler=self._deliver_run)
        try:
            connection.session.transmit(_request_parts(subject, request, self._reply), self)
        except BaseException:
            self.close()
            raise

    def _deliver(self, message: Message) -> None:
        self._deliver_run([message])

    def _deliver_run(self, messages: list[Message]) -> None:
        # Only the reader thread counts, so no lock is needed.
        for message in messages:
            self._left -= len(message.payload) + len(message.header) + OVERHEAD
        if self._left < 0:
            self.close()
            self.fail(_too_long(self.subject))
            return
        self.count += len(messages)
        part = self._part
        part += messages
        # A status is the last that comes, so nothing is kept back behind it.
        if len(part) >= PART or messages[-1].status:
            self._part = []
            self._parts.put(part)

    def fail(self, error: ObjStoreError) -> None:
        """Note that the connection ended, or the permission is missing: :meth:`next` raises it."""
        self._parts.put(error)

    def next(self, timeout: float) -> list[Message] | None:
        """Return the next messages; a status, the end (204) or another, is the last of them.

        Returns:
            None when nothing came for ``timeout`` seconds.

        Raises:
            ObjStoreError: the connection was lost, or the request is not allowed.
        """
        have = -1
        while True:
            try:
                part = self._parts.get(timeout=timeout)
            except queue.Empty:
                # No part is complete, but a few messages may have come: then the server is not
                # silent, and we wait on.
                if len(self._part) == have:
                    return None
                have = len(self._part)
                continue
            if isinstance(part, ObjStoreError):
                raise part
            return self._with_all_that_came(part)

    def _with_all_that_came(self, part: list[Message]) -> list[Message]:
        """Return a part and those behind it that are there by now.

        Whoever reads on then sees the end as soon as it has come, and not after all before it is
        read: the server prepares the next batch meanwhile.
        """
        while not part[-1].status:
            try:
                more = self._parts.get_nowait()
            except queue.Empty:
                break
            if isinstance(more, ObjStoreError):
                self._parts.put(more)  # nothing comes after it, so that it stays the last
                break
            part += more
        return part

    def close(self) -> None:
        """End the batch, and drop what still comes of it. Never fails."""
        self._connection.session.forget(self)
        self._connection.inbox.close(self._reply)


def _request_parts(subject: str, request: BatchRequest, reply: str) -> list[Buffer]:
    return encode_publish(check_subject(subject), _encode(request), reply.encode())


def left_behind(header: bytes) -> int | None:
    """Return how many messages of its subject follow one, as its header block says."""
    return _number(header, _PENDING)


def _number(header: bytes, mark: bytes) -> int | None:
    """Return the number behind the last mark: the server's own, which it puts at the end."""
    at = header.rfind(mark)
    digits = header[at + len(mark) : header.find(b"\r", at + 2)]
    return int(digits) if at >= 0 and digits.isdigit() else None


def position(message: Message, pending_includes_self: bool) -> tuple[int, int]:
    """Return where a batch's message stands: its sequence, and how many of its subject follow.

    Arguments:
        message: a message of a batch.
        pending_includes_self: whether the server's count of those that follow has the message in
            it, as that of servers before 2.12 has.

    Raises:
        APIError: the headers that say so are missing.
    """
    # Two searches, of 0.3 µs each; parsing the whole block takes 4.
    sequence, pending = _number(message.header, _AT), _number(message.header, _PENDING)
    if sequence is None or pending is None:
        raise APIError(f"a message of a batch without its position: {message!r}")
    return sequence, pending - pending_includes_self
