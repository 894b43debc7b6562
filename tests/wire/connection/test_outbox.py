"""Requests that come while another thread is sending: that thread sends them, or they are told."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from objstore import Connection, LocalServer
from objstore.errors import ConnectionLostError, ObjStoreError
from objstore.wire.connection.outbox import Outbox
from objstore.wire.connection.subscriptions import Handler
from tests.support.scripted import (
    PATIENCE,
    Background,
    Peer,
    ScriptedServer,
    connected,
    eventually,
    message,
)

pytestmark = pytest.mark.newest_server

COUNT = 5


def answer(peer: Peer, seen: list[bytes]) -> None:
    """Answer PINGs, and requests by their own subjects; note all lines."""
    sid = 0
    while True:
        line = peer.line()
        seen.append(line)
        words = line.split()
        if words[:1] == [b"SUB"]:
            sid = int(words[-1])
        elif words[:1] == [b"PUB"]:
            peer._lines.read(int(words[-1]) + 2)
            if len(words) == 4:
                peer.send(message(words[2], sid, words[1]))
        elif line == b"PING":
            peer.send(b"PONG\r\n")


class Sender:
    """A thread in the middle of a send, which goes on, or fails, when it is told to."""

    def __init__(self, connection: Connection) -> None:
        link = connection.session._link
        assert link is not None
        self.out: Outbox = connection.session.out
        self.sends: list[bytes] = []
        self.error: BaseException | None = None
        self._goes_on, sending = threading.Event(), threading.Event()
        self._send = link.transport.send

        def send(parts: Any) -> None:
            self.sends.append(b"".join(parts))
            if not sending.is_set():
                sending.set()
                assert self._goes_on.wait(PATIENCE)
                if self.error is not None:
                    raise self.error
            self._send(parts)

        link.transport.send = send  # type: ignore[method-assign]
        self.publish = Background(connection.publish, "first", payload=b"1")
        assert sending.wait(PATIENCE)
        self.requests = [
            Background(connection.request, f"s{number}", timeout=PATIENCE)
            for number in range(COUNT)
        ]
        eventually(lambda: len(self.out.handed_over) == COUNT, "requests that are entrusted")

    def go_on(self, error: BaseException | None = None) -> None:
        self.error = error
        self._goes_on.set()


@contextlib.contextmanager
def warm() -> Iterator[tuple[Connection, list[bytes]]]:
    """A connection whose inbox is announced, and what the server has seen on all connections."""
    seen: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.accept()
        answer(peer, seen)

    with ScriptedServer(script) as server, connected(server.url, timeout=PATIENCE) as connection:
        connection.request("warm", timeout=PATIENCE)
        yield connection, seen


@contextlib.contextmanager
def scene() -> Iterator[tuple[Connection, list[bytes], Sender]]:
    """The same with a sender."""
    with warm() as (connection, seen):
        yield connection, seen, Sender(connection)


def asked(seen: list[bytes]) -> list[bytes]:
    """The subjects of the entrusted requests that the server has seen."""
    words = [line.split() for line in seen if line.startswith(b"PUB s")]
    return sorted(each[1] for each in words)


SUBJECTS = [b"s%d" % number for number in range(COUNT)]


def test_they_go_together() -> None:
    """In one system call, behind what was being sent; each gets its own answer."""
    with scene() as (connection, seen, sender):
        sender.go_on()
        answers = [each.get() for each in sender.requests]
        assert [getattr(each, "payload", None) for each in answers] == SUBJECTS
        sender.publish.get()
        assert len(sender.sends) == 2
        assert sender.sends[0].startswith(b"PUB first ")
        assert sender.sends[1].count(b"PUB s") == COUNT
        assert asked(seen) == SUBJECTS
        connection.ping()


def test_whoever_waits_for_the_lock_comes_later() -> None:
    """A command that cannot be entrusted does not overtake those that were."""
    with scene() as (connection, seen, sender):
        last = Background(connection.publish, "last")
        sender.go_on()
        last.get()
        connection.ping()
        lines = [line for line in seen if line.startswith(b"PUB")]
        assert lines[-1].startswith(b"PUB last ")
        assert asked(seen) == SUBJECTS


@pytest.mark.parametrize(
    "failure", [BrokenPipeError(32, "Broken pipe"), TimeoutError(), KeyboardInterrupt()], ids=repr
)
def test_the_sender_fails(failure: BaseException) -> None:
    """Each is told; and none of them goes over the next connection, for it was told."""
    with scene() as (connection, seen, sender):
        sender.go_on(failure)
        for each in sender.requests:
            with pytest.raises(ConnectionLostError):
                each.get()
        if isinstance(failure, KeyboardInterrupt):
            with pytest.raises(KeyboardInterrupt):
                sender.publish.get()
        else:
            sender.publish.get()  # over the next connection
        eventually(lambda: connection.session.connects == 2)
        connection.ping()
        assert asked(seen) == []
        assert not sender.out.handed_over


def test_the_sender_fails_with_theirs() -> None:
    """Its own command has gone, and is not sent again."""
    with scene() as (connection, seen, sender):
        send = sender._send

        def fail(parts: Any) -> None:
            if len(sender.sends) > 1:
                raise ConnectionResetError(104, "Connection reset by peer")
            send(parts)

        sender._send = fail
        sender.go_on()
        for each in sender.requests:
            with pytest.raises(ConnectionLostError):
                each.get()
        sender.publish.get()
        connection.ping()
        assert asked(seen) == []
        # The thread that served the first connection may still be reading.
        eventually(lambda: b"PUB first  1" in seen)
        assert [line for line in seen if line.startswith(b"PUB first")] == [b"PUB first  1"]


def test_the_connection_is_lost_meanwhile() -> None:
    """They are told at once, while the sender still is where it was."""
    with scene() as (connection, seen, sender):
        connection.session.drop()
        for each in sender.requests:
            with pytest.raises(ConnectionLostError):
                each.get()
        assert sender.publish.running
        sender.go_on()
        sender.publish.get()
        connection.ping()
        assert asked(seen) == []


def before_entrusting(out: Outbox, happens: Callable[[], object]) -> None:
    """Have something happen when the next request is about to be entrusted."""
    entrust = out._hand_to_sender

    def hooked(*arguments: Any) -> bool | None:
        out._hand_to_sender = entrust  # type: ignore[method-assign]
        happens()
        return entrust(*arguments)

    out._hand_to_sender = hooked  # type: ignore[assignment, method-assign]


@pytest.mark.parametrize("told", [False, True])
def test_lost_or_denied_just_before(told: bool) -> None:
    """The request goes over the next connection, or hears that no reply can come."""
    with scene() as (connection, seen, sender):
        session = connection.session
        inbox = session.waiting.inbox
        assert inbox is not None
        happened = threading.Event()

        def happens() -> None:
            if told:
                inbox.denied = ObjStoreError("denied")
            else:
                session.drop()
            happened.set()

        before_entrusting(sender.out, happens)
        late = Background(connection.request, "late", timeout=PATIENCE)
        assert happened.wait(PATIENCE)
        if told:
            with pytest.raises(ObjStoreError, match="denied"):
                late.get()
        sender.go_on()
        sender.publish.get()
        if not told:
            assert getattr(late.get(), "payload", None) == b"late"
        inbox.denied = None
        for each in sender.requests:
            each.join()
        assert sum(line.startswith(b"PUB late") for line in seen) == (not told)


def test_the_sender_leaves_just_before() -> None:
    """Then the request is sent by its own thread."""
    with scene() as (connection, seen, sender):

        def happens() -> None:
            sender.go_on()
            eventually(lambda: not sender.out._sending)

        before_entrusting(sender.out, happens)
        assert connection.request("late", timeout=PATIENCE).payload == b"late"
        assert [each.get() for each in sender.requests]
        assert asked(seen) == SUBJECTS


def test_a_crowd(server: LocalServer) -> None:
    """Of many threads each gets its own answers, while the connection is lost again and again."""
    answers, losses = 0, 0
    lock = threading.Lock()

    def ask(connection: Connection, who: int) -> None:
        nonlocal answers, losses
        for turn in range(100):
            words = b"%d %d" % (who, turn)
            try:
                reply = connection.request("crowd", payload=words, timeout=PATIENCE)
            except ConnectionLostError:
                with lock:
                    losses += 1
            else:
                assert reply.payload == words
                with lock:
                    answers += 1

    with connected(server.url) as echo, connected(server.url) as connection:
        echo.subscribe(
            "crowd", callback=lambda each: echo.publish(each.reply, payload=each.payload)
        )
        echo.ping()
        crowd = [Background(ask, connection, who) for who in range(32)]

        def are_so_many(wanted: int) -> bool:
            return answers >= wanted or not any(each.running for each in crowd)

        while any(each.running for each in crowd):
            connection.session.drop()
            connection.session.ping(PATIENCE)
            # A loss for each thread at most, and by now more answers, however slow they come.
            eventually(functools.partial(are_so_many, answers + 10 * len(crowd)))
        for each in crowd:
            each.get()
    assert answers + losses == 32 * 100
    assert answers > losses


@contextlib.contextmanager
def counted() -> Iterator[tuple[Connection, list[bytes], list[bytes]]]:
    """The same with what is sent by each call."""
    sends: list[bytes] = []
    with warm() as (connection, seen):
        link = connection.session._link
        assert link is not None
        send = link.transport.send

        def noted(parts: Any) -> None:
            sends.append(b"".join(parts))
            send(parts)

        link.transport.send = noted  # type: ignore[method-assign]
        yield connection, sends, seen


def test_along_with_what_is_sent_next() -> None:
    with counted() as (connection, sends, _):
        with connection.inbox.start_piggybacked("s1", b"") as along:
            assert sends == []
            connection.publish("next")
            assert along.result(PATIENCE).payload == b"s1"
            along.flush_piggybacked()  # it has gone
        assert len(sends) == 1
        assert sends[0].startswith(b"PUB s1 ")
        assert b"\r\nPUB next " in sends[0]


def test_pushed() -> None:
    with (
        counted() as (connection, sends, _),
        connection.inbox.start_piggybacked("s1", b"") as along,
    ):
        along.flush_piggybacked()
        assert along.result(PATIENCE).payload == b"s1"
        assert len(sends) == 1


def test_pushed_in_vain() -> None:
    """Nothing is raised but by who waits; and it is not sent again."""
    with counted() as (connection, _, seen):
        link = connection.session._link
        assert link is not None

        def fail(_parts: Any) -> None:
            raise TimeoutError

        link.transport.send = fail  # type: ignore[assignment, method-assign]
        with connection.inbox.start_piggybacked("s1", b"") as along:
            along.flush_piggybacked()
            with pytest.raises(ConnectionLostError):
                along.result(PATIENCE)
            connection.ping()
        assert asked(seen) == []


def test_along_when_the_connection_is_lost() -> None:
    """Before it has gone: whoever waits is told. Then: it waits for the next connection."""
    with counted() as (connection, _, seen):
        session = connection.session
        with connection.inbox.start_piggybacked("s1", b"") as along:
            session.drop()
            with pytest.raises(ConnectionLostError):
                along.result(PATIENCE)
        with session.out.lock:  # until it is given back there is no other connection
            session.drop()
            late = Background(connection.inbox.start_piggybacked, "s2", b"")
            eventually(lambda: len(session._wanted_by) == 1)
        with late.get() as reply:  # type: ignore[attr-defined]
            assert reply.result(PATIENCE).payload == b"s2"
        assert asked(seen) == [b"s2"]


def test_along_when_no_reply_can_come(monkeypatch: pytest.MonkeyPatch) -> None:
    with counted() as (connection, _, seen):
        inbox, take_token = connection.session.waiting.inbox, connection.inbox.open
        assert inbox is not None

        def denied_since(handler: Handler) -> str:
            address = take_token(handler)
            inbox.denied = ObjStoreError("denied")
            return address

        monkeypatch.setattr(connection.inbox, "open", denied_since)
        with (
            connection.inbox.start_piggybacked("s1", b"") as along,
            pytest.raises(ObjStoreError, match="denied"),
        ):
            along.result(PATIENCE)
        connection.ping()
        assert asked(seen) == []
