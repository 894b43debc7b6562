"""Requests and inboxes, without a network."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import pytest

from objstore import ConnectionLostError, InvalidNameError, RequestTimeoutError
from objstore.wire.codec.protocol import Message
from objstore.wire.connection.requests import Inbox, PendingReply
from objstore.wire.connection.subscriptions import (
    Latch,
    Signal,
    Subscription,
    Subscriptions,
    Waiters,
)
from tests.support.scripted import Background

pytestmark = pytest.mark.newest_server


def message(subject: str = "s", payload: bytes = b"", sid: int = 1) -> Message:
    return Message(sid, subject, "", b"", payload)


class FakeSession:
    """What an Inbox needs of a session."""

    def __init__(self) -> None:
        self.made: list[Subscription] = []
        self.ended: list[Subscription] = []
        self._sids = itertools.count(1)
        self.waiting = Waiters()

    def new_subscription(self, subject: str, handler: Any, **options: Any) -> Subscription:
        return Subscription(next(self._sids), subject, handler, **options)

    def begin(self, subscription: Subscription) -> None:
        if subscription not in self.made:  # once more is no harm
            self.made.append(subscription)

    def unsubscribe(self, subscription: Subscription) -> None:
        self.ended.append(subscription)


def pending(subject: str = "s") -> PendingReply:
    """A request that nobody sends."""
    session: Any = FakeSession()
    return PendingReply(Inbox(session), session, subject)


class TestReply:
    """One reply, one waiting thread."""

    def test_first_counts(self) -> None:
        """What comes after the first reply, or after the failure, is ignored."""
        error = ConnectionLostError("x")
        reply = pending()
        reply.deliver(message(payload=b"1"))
        reply.deliver(message(payload=b"2"))
        reply.fail(error)
        assert reply.error is None
        assert reply.result(0).payload == b"1"
        reply = pending()
        reply.fail(error)
        reply.deliver(message())
        reply.fail(ConnectionLostError("y"))
        assert reply.error is error
        with pytest.raises(ConnectionLostError) as caught:
            reply.result(0)
        assert caught.value is error

    def test_timeout(self) -> None:
        with pytest.raises(RequestTimeoutError, match="no reply from s in 0 s"):
            pending().result(0)

    def test_at_once(self) -> None:
        """A reply and a failure by two threads at once: one of them is had, none raises."""
        for _ in range(300):
            reply, start = pending(), threading.Barrier(2)

            def deliver(reply: PendingReply = reply, start: threading.Barrier = start) -> None:
                start.wait()
                reply.deliver(message())

            def fail(reply: PendingReply = reply, start: threading.Barrier = start) -> None:
                start.wait()
                reply.fail(ConnectionLostError("x"))

            both = [Background(deliver), Background(fail)]
            for each in both:
                each.get()
            try:
                assert reply.result(0).subject == "s"
            except ConnectionLostError as error:
                assert str(error) == "x"  # noqa: PT017 - either is right

    def test_closed(self) -> None:
        """It is waited for no longer, neither by its subject nor by the end of the connection."""
        session: Any = FakeSession()
        inbox = Inbox(session)
        reply = PendingReply(inbox, session, "s")
        reply.address = inbox.open(reply.deliver)
        session.waiting.add(reply)
        assert len(inbox._handlers) == 1
        for _ in range(2):
            reply.close()
            assert inbox._handlers == {}
            assert not session.waiting

    def test_latch(self) -> None:
        """Opening twice is fine."""
        latch = Latch()
        assert not latch.wait(0)
        latch.open()
        latch.open()
        assert latch.wait(0)

    def test_signal(self) -> None:
        """A signal that has succeeded cannot fail any more."""
        signal = Signal()
        signal.set()
        signal.fail(ConnectionLostError("x"))
        assert signal.wait(0)
        assert signal.error is None


class TestInbox:
    """Tokens and their handlers."""

    def test_tokens(self) -> None:
        """A token gets what goes to its subject and below, and nothing once it is given back."""
        session = FakeSession()
        inbox = Inbox(session)  # type: ignore[arg-type]
        first: list[Message] = []
        second: list[Message] = []
        one, two = inbox.open(first.append), inbox.open(second.append)
        assert one != two
        assert one.startswith("_INBOX.")
        (subscription,) = session.made
        assert subscription.replies
        assert subscription.subject == one.rpartition(".")[0] + ".>"
        for subject in (one, f"{one}.5", f"{one}.a.b", two, "_INBOX.other.1"):
            subscription.handler(message(subject))
        assert [each.subject for each in first] == [one, f"{one}.5", f"{one}.a.b"]
        assert [each.subject for each in second] == [two]
        inbox.close(one)
        inbox.close(one)
        subscription.handler(message(one))
        assert len(first) == 3

    def test_denied(self) -> None:
        """An inbox that was denied is subscribed to anew, once."""
        session = FakeSession()
        inbox = Inbox(session)  # type: ignore[arg-type]
        inbox.open(print)
        session.made[0].denied = ConnectionLostError("denied")
        inbox.open(print)
        inbox.open(print)
        inbox._subscribe(session.made[0])  # a thread that had looked before
        assert len(session.made) == 2
        assert inbox._subscription is session.made[1]
        assert session.ended == [session.made[0]]

    def test_many_threads(self) -> None:
        """Threads that open at once get one subscription and tokens of their own."""
        session = FakeSession()
        inbox = Inbox(session)  # type: ignore[arg-type]
        opened = [Background(inbox.open, print) for _ in range(16)]
        assert len({each.get() for each in opened}) == 16
        assert len(session.made) == 1

    def test_prefix(self) -> None:
        """A prefix that cannot be one is refused; a fork gives another inbox."""
        with pytest.raises(InvalidNameError, match="inbox prefix"):
            Inbox(FakeSession(), "a b")  # type: ignore[arg-type]
        inbox = Inbox(FakeSession(), "MY.OWN")  # type: ignore[arg-type]
        before = inbox.open(print)
        assert before.startswith("MY.OWN.")
        inbox.after_fork()
        after = inbox.open(print)
        assert after.rpartition(".")[0] != before.rpartition(".")[0]


class TestSubscriptions:
    """What a server is told of subscriptions, and how they end."""

    def test_limits(self) -> None:
        """The server counts from the moment it is told; the limit is over all servers."""
        subscription = Subscription(7, "s", lambda _: None, queue="q", limit=5)
        everything = Subscriptions()
        everything.add(subscription)
        assert everything.announce(subscription) == b"SUB s q 7\r\nUNSUB 7 5\r\n"
        assert everything.announce(subscription) == b""  # the server knows
        for _ in range(3):
            everything.deliver(message(sid=7))
        subscription.limit = 6
        assert subscription.limit_command() == b"UNSUB 7 6\r\n"
        assert everything.announce_all() == b"SUB s q 7\r\nUNSUB 7 3\r\n"
        everything.deliver(message(sid=7))
        assert subscription.limit_command() == b"UNSUB 7 3\r\n"
        for _ in range(5):
            everything.deliver(message(sid=7))
        assert subscription.received == 6
        assert everything.announce_all() == b""
        assert not everything.remove(subscription)

    def test_ended_before_announced(self) -> None:
        """One that ended before its turn came is not announced."""
        everything = Subscriptions()
        subscription = Subscription(everything.next_sid(), "s", print)
        everything.add(subscription)
        assert everything.remove(subscription)
        assert everything.announce(subscription) == b""

    def test_messages_in_a_row(self, caplog: pytest.LogCaptureFixture) -> None:
        """Given at once to who wants that; one by one to others, and never beyond a limit."""
        everything = Subscriptions()
        came: list[list[Message]] = []
        single: list[Message] = []

        def fail(_run: list[Message]) -> None:
            raise RuntimeError

        everything.add(Subscription(1, "s", single.append, run_handler=came.append))
        everything.add(Subscription(2, "s", single.append, run_handler=came.append, limit=2))
        everything.add(Subscription(3, "s", single.append))
        everything.add(Subscription(4, "s", single.append, run_handler=fail))
        rows = {sid: [message(sid=sid) for _ in range(3)] for sid in range(1, 6)}
        for row in rows.values():
            everything.deliver_run(row)
        assert came == [rows[1]]
        assert single == [*rows[2][:2], *rows[3]]
        assert "a handler of messages to s failed" in caplog.text
