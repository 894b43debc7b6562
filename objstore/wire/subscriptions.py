"""What a session is subscribed to, and who waits on it. State only: nothing here does I/O."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from objstore.errors import ObjStoreError
from objstore.wire.protocol import (
    Message,
    check_subject,
    encode_subscribe,
    encode_unsubscribe,
)

__all__ = ["Handler", "Signal", "Subscription", "Subscriptions", "Waiting", "WaitingRoom"]

LOG = logging.getLogger("objstore")

Handler = Callable[[Message], None]


class Subscription:
    """A subscription, which lives across reconnects.

    Attributes:
        sid: its number on the wire.
        subject: what it is to.
        queue: the queue group, or ``""``.
        handler: called by the reader thread for each message: must not block.
        remaining: after how many more messages it ends; None: never.
    """

    __slots__ = ("handler", "queue", "remaining", "sid", "subject")

    def __init__(
        self, sid: int, subject: str, queue: str, handler: Handler, remaining: int | None
    ) -> None:
        self.sid = sid
        self.subject = subject
        self.queue = queue
        self.handler = handler
        self.remaining = remaining

    def commands(self) -> bytes:
        """What tells a server of it.

        Raises:
            InvalidNameError: its subject or queue group is not one.
        """
        subscribe = encode_subscribe(
            check_subject(self.subject),
            self.sid,
            check_subject(self.queue, "queue group") if self.queue else b"",
        )
        if self.remaining is None:
            return subscribe
        return subscribe + encode_unsubscribe(self.sid, self.remaining)


class Subscriptions:
    """All subscriptions of a session, by number."""

    def __init__(self) -> None:
        self._by_sid: dict[int, Subscription] = {}
        self._lock = threading.Lock()
        self._last_sid = 0

    def new(
        self, subject: str, handler: Handler, queue: str, max_messages: int | None
    ) -> Subscription:
        """Make one with the next number; it is not among them before :meth:`add`."""
        with self._lock:
            self._last_sid += 1
            return Subscription(self._last_sid, subject, queue, handler, max_messages)

    def add(self, subscription: Subscription) -> None:
        """From now on its messages are delivered, and reconnects restore it."""
        self._by_sid[subscription.sid] = subscription

    def remove(self, subscription: Subscription) -> bool:
        """Forget it; False: it was not there."""
        return self._by_sid.pop(subscription.sid, None) is not None

    def commands(self) -> bytes:
        """What tells a new server of all of them."""
        return b"".join(each.commands() for each in list(self._by_sid.values()))

    def any_to(self, subject: str | None) -> bool:
        """Whether one of them is to exactly this subject."""
        return any(each.subject == subject for each in list(self._by_sid.values()))

    def deliver(self, message: Message) -> None:
        """Give a message to its handler. A handler's failure is logged and goes no further."""
        subscription = self._by_sid.get(message.sid)
        if subscription is None:
            return  # it ended while the message was on its way
        if subscription.remaining is not None:
            subscription.remaining -= 1
            if subscription.remaining <= 0:
                self._by_sid.pop(subscription.sid, None)
        try:
            subscription.handler(message)
        except Exception:
            LOG.exception("a handler of messages to %s failed", subscription.subject)


class Waiting(Protocol):
    """Somebody who waits for the server."""

    @property
    def subject(self) -> str:
        """The subject published to, by which a refused permission finds its operation."""

    def fail(self, error: ObjStoreError) -> None:
        """Wake up with an error. Called by the reader thread: must not block."""


class Signal:
    """A waiting thread, woken once: by success or by failure.

    Attributes:
        subject: none; it waits for a PONG.
        error: why it failed.
    """

    __slots__ = ("_woken", "error", "subject")

    def __init__(self) -> None:
        self.subject = ""
        self.error: ObjStoreError | None = None
        self._woken = threading.Event()

    def set(self) -> None:
        """Wake it."""
        self._woken.set()

    def fail(self, error: ObjStoreError) -> None:
        """Wake it with an error."""
        self.error = error
        self._woken.set()

    def wait(self, timeout: float) -> bool:
        """Wait; False: nothing happened in time."""
        return self._woken.wait(timeout)


class WaitingRoom:
    """Everybody who waits on the present connection. None of them is ever forgotten asleep."""

    def __init__(self) -> None:
        self._waiting: set[Waiting] = set()
        self._lock = threading.Lock()

    def enter(self, waiting: Waiting) -> None:
        """Wait from now on."""
        with self._lock:
            self._waiting.add(waiting)

    def leave(self, waiting: Waiting) -> None:
        """Wait no longer; who has left already may leave again."""
        with self._lock:
            self._waiting.discard(waiting)

    def empty(self) -> list[Waiting]:
        """Send everybody out, to be told why by the caller."""
        with self._lock:
            waiting = list(self._waiting)
            self._waiting.clear()
            return waiting

    def concerned(self, subject: str | None) -> list[Waiting]:
        """Send those out who published to a subject."""
        with self._lock:
            concerned = [each for each in self._waiting if each.subject == subject]
            self._waiting.difference_update(concerned)
            return concerned
