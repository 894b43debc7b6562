"""The subscriptions of a session, and those who wait on it. Nothing here does I/O.

No lock is held here: a signal handler, or the garbage collector, may run between any two steps and
come here again in the same thread, and the reader thread must not wait for what it interrupted.
"""

from __future__ import annotations

import copy
import itertools
import logging
import threading
from collections.abc import Callable, Iterable
from typing import Protocol

from objstore.errors import ObjStoreError, PermissionDeniedError
from objstore.wire.codec.commands import check_subject, encode_subscribe, encode_unsubscribe
from objstore.wire.codec.protocol import Message

__all__ = [
    "Handler",
    "Latch",
    "PlaceOf",
    "RunHandler",
    "Signal",
    "Subscription",
    "Subscriptions",
    "Waiter",
    "Waiters",
    "copy_error",
    "fail_all",
]

LOG = logging.getLogger("objstore")

Handler = Callable[[Message], None]
RunHandler = Callable[[list[Message]], None]
PlaceOf = Callable[[str, bytes, int], memoryview | None]


class Subscription:
    """A subscription, which lives across reconnects.

    Attributes:
        sid: its number on the wire.
        subject: what it is to.
        queue: the queue group, or ``""``.
        handler: called by the reader thread for each message: must not block.
        run_handler: called in its place with several in a row to one subject, where there is no
            limit; None: ``handler`` is called with each.
        limit: how many messages it is for, from its beginning; None: any number.
        replies: whether it is an inbox, to which the replies to all requests come.
        place: returns the memory to receive the payload of a large message into, by its subject,
            header block and size; None: any memory.
        received: how many messages have come.
        announced: whether the present server was told of it.
        denied: the error with which the present server has refused it; of an inbox, the error for
            requests whose replies cannot come; None: it was not refused.
        ended: whether it was removed; it is not added again.
        refused: called by the reader thread with the error of a refusal; None: nothing is.
    """

    __slots__ = (
        "_before",
        "announced",
        "denied",
        "ended",
        "handler",
        "limit",
        "place",
        "queue",
        "received",
        "refused",
        "replies",
        "run_handler",
        "sid",
        "subject",
    )

    def __init__(
        self,
        sid: int,
        subject: str,
        handler: Handler,
        *,
        run_handler: RunHandler | None = None,
        queue: str = "",
        limit: int | None = None,
        replies: bool = False,
        place: PlaceOf | None = None,
        refused: Callable[[ObjStoreError], object] | None = None,
    ) -> None:
        check_subject(subject)
        if queue:
            check_subject(queue, "queue group")
        self.sid = sid
        self.subject = subject
        self.queue = queue
        self.handler = handler
        self.run_handler = run_handler
        self.limit = limit
        self.replies = replies
        self.place = place
        self.refused = refused
        self.received = 0
        self.announced = False
        self.denied: ObjStoreError | None = None
        self.ended = False
        self._before = 0  # how many came before the present server was told: it counts from there
        self.commands()  # raises where the subject is too long

    def commands(self) -> bytes:
        """Encode what tells a server of the subscription: SUB, and UNSUB where it has a limit.

        Raises:
            InvalidNameError: its subject or queue group is too long.
        """
        subscribe = encode_subscribe(self.subject.encode(), self.sid, self.queue.encode())
        return subscribe if self.limit is None else subscribe + self.limit_command()

    def limit_command(self) -> bytes:
        """Encode the UNSUB that tells the server of the limit, in the server's counting."""
        # The server counts from the SUB that it was told of, and knows of none before.
        left = None if self.limit is None else max(self.limit - self._before, 1)
        return encode_unsubscribe(self.sid, left)

    @property
    def is_unheard(self) -> bool:
        """Whether the present server was told of it, and has sent nothing yet."""
        return self.announced and self.denied is None and self.received == self._before

    def announce(self) -> bytes:
        """Return :meth:`commands`, and note that they are sent to a new server."""
        # A new server may allow what the last one denied.
        self.announced = True
        self.denied = None
        self._before = self.received
        return self.commands()


class Subscriptions:
    """All subscriptions of a session, by number."""

    def __init__(self) -> None:
        self._by_sid: dict[int, Subscription] = {}
        self._sids = itertools.count(1)

    def next_sid(self) -> int:
        """Return a number that no other subscription has."""
        return next(self._sids)

    def add(self, subscription: Subscription) -> None:
        """Add a subscription: its messages are delivered, and reconnects restore it.

        One that was removed stays removed: a thread that comes late does not bring it back.
        """
        self._by_sid[subscription.sid] = subscription
        if subscription.ended:  # after adding: whoever removes it from now on finds it here
            self._by_sid.pop(subscription.sid, None)

    def remove(self, subscription: Subscription) -> bool:
        """Forget a subscription; return False if it was not there."""
        subscription.ended = True
        return self._by_sid.pop(subscription.sid, None) is not None

    def announce(self, subscription: Subscription) -> bytes:
        """Encode what tells the present server of one; ``b""`` where it knows, or need not."""
        if subscription.announced or subscription.sid not in self._by_sid:
            return b""
        return subscription.announce()

    def announce_all(self) -> bytes:
        """Encode what tells a new server of all of them."""
        return b"".join(each.announce() for each in list(self._by_sid.values()))

    def deny(self, error: ObjStoreError) -> ObjStoreError | None:
        """Note that the server refuses the subscriptions to a subject.

        Returns:
            The error of whoever waits for a reply, where an inbox is among them.

        Where it does not say which one it refuses, because there are too many, it is the last
        one that was begun: the server takes them in order.
        """
        # A copy: an iteration fails when another thread adds or removes one meanwhile.
        everyone = list(self._by_sid.values())
        if error.subject is None:
            denied = [each for each in everyone if each.is_unheard][-1:]
        else:
            denied = [each for each in everyone if each.subject == error.subject]
        no_replies = None
        for each in denied:
            # The server may not have said which subject; the error shall say it.
            error.subject = each.subject
            each.denied = error
            if each.replies:
                each.denied = no_replies = _without_inbox(error)
            if each.refused is not None:
                each.refused(copy_error(error))
        return no_replies

    def place(self, sid: int, subject: str, header: bytes, size: int) -> memoryview | None:
        """Return the memory to receive the payload of a large message into; None: any."""
        subscription = self._by_sid.get(sid)
        if subscription is None or subscription.place is None:
            return None
        return subscription.place(subject, header, size)

    def deliver(self, message: Message) -> None:
        """Give a message to its handler. A handler's failure is logged and goes no further."""
        subscription = self._by_sid.get(message.sid)
        if subscription is None:
            return  # it ended while the message was on its way
        # Only the reader thread counts, so no lock is needed.
        subscription.received += 1
        if subscription.limit is not None and subscription.received >= subscription.limit:
            # The server ends it at this message, too, and says nothing of that.
            self.remove(subscription)
        try:
            subscription.handler(message)
        except Exception:
            LOG.exception("a handler of messages to %s failed", subscription.subject)

    def deliver_run(self, messages: list[Message]) -> None:
        """Deliver several messages in a row, of one subscription and to one subject."""
        subscription = self._by_sid.get(messages[0].sid)
        if subscription is None:
            return
        # A limit may be reached in the middle of the run, so each message is counted.
        if subscription.run_handler is None or subscription.limit is not None:
            for message in messages:
                self.deliver(message)
            return
        subscription.received += len(messages)
        try:
            subscription.run_handler(messages)
        except Exception:
            LOG.exception("a handler of messages to %s failed", subscription.subject)


def _without_inbox(error: ObjStoreError) -> ObjStoreError:
    """Make the error of whoever awaits a reply, where none can come."""
    what = f"{error}: no reply can come"
    # The other reason is a limit on their number, where another prefix would not help.
    if "permission" in (error.description or "").lower():
        what += "; connect with the inbox_prefix= that this user may subscribe to"
    return PermissionDeniedError(what, subject=error.subject, description=error.description)


class Waiter(Protocol):
    """Somebody who waits for the server."""

    @property
    def subject(self) -> str:
        """Subject published to, by which a refused permission finds its operation."""

    def fail(self, error: ObjStoreError) -> None:
        """Wake up with an error. Any thread may call this; it must not block."""


class Latch:
    """A gate at which one thread waits until another opens it.

    Rejected: ``threading.Event`` and ``Condition``. They take their locks in Python code, where
    Ctrl-C can strike just after: the lock stays taken, and who wants to wake the waiter, the
    reader thread, hangs. A plain lock is also a tenth of the cost.
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def open(self) -> None:
        """Let the thread through."""
        # Two threads may come here at once, a reply with one and the end of the connection with
        # the other: the second finds the lock released. (suppress() would take 0.6 µs, with the
        # interpreter's lock held, while the thread that was woken waits for it.)
        try:  # noqa: SIM105
            self._lock.release()
        except RuntimeError:
            pass

    def wait(self, timeout: float) -> bool:
        """Wait until it is opened, once; return False if it was not in time."""
        return self._lock.acquire(timeout=timeout)


class Signal:
    """A thread that waits for a PONG, woken once: by success or by failure.

    Attributes:
        subject: ``""``: a PING has none, so no refused permission concerns it.
        error: why it failed.
    """

    __slots__ = ("_done", "_latch", "error", "subject")

    def __init__(self) -> None:
        self.subject = ""
        self.error: ObjStoreError | None = None
        self._done = False
        self._latch = Latch()

    def set(self) -> None:
        """Wake the thread: the PONG has come."""
        self._done = True
        self._latch.open()

    def fail(self, error: ObjStoreError) -> None:
        """Wake the thread with an error, unless the PONG has come."""
        if not self._done:
            self.error = error
            self.set()

    def wait(self, timeout: float) -> bool:
        """Wait to be woken; return False if nothing happened in time."""
        return self._latch.wait(timeout)


class Waiters(set[Waiter]):
    """Everybody who waits on the present connection. Each of them is woken, or leaves.

    Without a lock: each step is one operation of the set, which the interpreter does whole, and
    who takes somebody out is who finds them there. Rejected: a reentrant lock. A signal handler
    that struck while it was held, and made a request, waited for the reader thread, which waited
    for the lock; and it costs 0.1 µs twice in each request.

    Who waits no longer is discarded: a method of the set itself, and so without a call in Python.

    Attributes:
        inbox: the subscription to which replies come. While the server denies it, none do.
    """

    # Rejected: an attribute of the set that says why no replies come. A thread that began the same
    # inbox a moment after another cleared what the refusal had just set, and waited for ever.
    inbox: Subscription | None = None

    def enter(self, waiting: Waiter) -> bool:
        """Add somebody; return False if they wait for a reply that cannot come, and were told."""
        # First in, then look: whoever denies the inbox from now on tells it.
        self.add(waiting)
        denied = None if self.inbox is None else self.inbox.denied
        if denied is None or isinstance(waiting, Signal):
            return True
        if self.leave(waiting):
            fail_all([waiting], denied)
        return False

    def leave(self, waiting: Waiter) -> bool:
        """Take somebody out; return False if they were not there: another tells, or told, them."""
        try:
            self.remove(waiting)
        except KeyError:
            return False
        return True

    def empty(self) -> list[Waiter]:
        """Take everybody out, and return them; the caller tells them why."""
        return self._take(lambda _: True)

    def awaiting_replies(self) -> list[Waiter]:
        """Take out, and return, those who wait for replies; the inbox was just denied.

        Whoever enters later finds that in :meth:`enter`.
        """
        return self._take(lambda each: not isinstance(each, Signal))

    def concerned(self, subject: str | None) -> list[Waiter]:
        """Take out, and return, those who published to a subject."""
        return self._take(lambda each: each.subject == subject)

    def _take(self, wanted: Callable[[Waiter], bool]) -> list[Waiter]:
        # A copy, as others come and go; who is gone by leave()'s account is told by another.
        return [each for each in list(self) if wanted(each) and self.leave(each)]


def copy_error(error: ObjStoreError) -> ObjStoreError:
    """Copy an error, for one more thread to raise: an instance has but one traceback."""
    another = copy.copy(error)
    # copy.copy() leaves the cause out.
    another.__cause__ = error.__cause__
    return another


def fail_all(waiting: Iterable[Waiter], error: ObjStoreError) -> None:
    """Tell several who wait that it failed, each with a copy of the error."""
    for each in waiting:
        try:
            each.fail(copy_error(error))
        except Exception:
            # The rest must still be told, or they would wait for ever.
            LOG.exception("somebody who waited could not be told")
