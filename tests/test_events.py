"""``connect(on_event=...)``: what is told, where, and that nothing the function does matters."""

from __future__ import annotations

import logging
import math
import os
import threading
from collections.abc import Iterator
from typing import Any, TypeVar

import pytest

import objstore
from objstore import LocalServer, ObjectStore
from objstore.events import (
    Chunk,
    Disconnected,
    Event,
    GetDone,
    PutDone,
    Reconnected,
    Request,
    Retry,
    SlowServer,
)
from objstore.wire.connection import observer
from tests.support.proxy import Proxy, calls, chunks_of, metadata_of
from tests.support.scripted import run_python
from tests.support.striking import Strikes, inner_calls, outer_calls
from tests.support.waiting import PATIENCE, eventually

E = TypeVar("E", bound=Event)

LARGE = os.urandom(300_000)


class Seen(list[tuple[Event, threading.Thread]]):
    """All events, each with the thread that told it."""

    def note(self, event: Event) -> None:
        self.append((event, threading.current_thread()))

    def of(self, kind: type[E]) -> list[E]:
        return [event for event, _ in self if isinstance(event, kind)]


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def watched(server: LocalServer, store: ObjectStore, seen: Seen) -> Iterator[ObjectStore]:
    """The test's bucket, by a client that tells what it does."""
    with objstore.connect(server.url, on_event=seen.note) as client:
        yield client.object_store(store.name, create=False)


def facts(events: list[Any]) -> list[tuple[str, int, object]]:
    return [(event.name, event.bytes, event.error) for event in events]


def test_puts(watched: ObjectStore, seen: Seen) -> None:
    """Every way to store an object tells that it is done, in the thread that does it."""
    watched.put("small", b"123")
    watched.put("large", LARGE, chunk_size=100_000)
    watched.put_many([("m1", b"1"), ("m2", b"22")])
    with watched.open("written", "wb") as file:
        file.write(b"1234")
    watched.copy("small", "copied")
    watched.put("empty")
    sizes = {"small": 3, "large": 300_000, "m1": 1, "m2": 2, "written": 4, "copied": 3, "empty": 0}
    done = seen.of(PutDone)
    assert facts(done) == [(name, size, None) for name, size in sizes.items()]
    assert {(each.bucket, each.server) for each in done} == {(watched.name, url_of(watched))}
    assert all(0 < each.seconds < PATIENCE for each in done)
    chunks = [each for each in seen.of(Chunk) if each.operation == "put"]
    assert [each.bytes for each in chunks if each.name == "large"] == [100_000] * 3
    assert [each.bytes for each in chunks if each.name == "small"] == [3]
    assert {thread for _, thread in seen} == {threading.current_thread()}


def url_of(store: ObjectStore) -> str:
    """The server's address without its token, as events have it."""
    return str(store._handle.jetstream.connection.session.server_url)


def test_puts_that_fail(watched: ObjectStore, store: ObjectStore, seen: Seen) -> None:
    """They tell why, once; what is discarded tells nothing."""

    def broken() -> Iterator[bytes]:
        yield bytes(200_000)
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more") as raised:
        watched.put("broken", broken(), chunk_size=100_000)
    watched.open("discarded", "wb").discard()

    def leave() -> None:
        with watched.open("left", "wb") as file:
            file.write(b"x")
            raise KeyError

    with pytest.raises(KeyError):
        leave()
    store.seal()
    with pytest.raises(objstore.BucketSealedError) as sealed:
        watched.put("small", b"x")
    broken_put, left, refused = seen.of(PutDone)
    assert (broken_put.name, broken_put.bytes, broken_put.error) == (
        "broken", 200_000, raised.value,
    )  # fmt: skip
    assert (left.name, type(left.error)) == ("left", KeyError)
    assert (refused.name, refused.error) == ("small", sealed.value)


def test_gets(watched: ObjectStore, seen: Seen) -> None:
    """Every way to read an object tells that it is done; a file tells it when it is closed."""
    watched.put("small", b"123")
    watched.put("large", LARGE, chunk_size=100_000)
    seen.clear()
    assert watched.read_bytes("small") == b"123"
    assert watched.read_text("small") == "123"
    assert watched.read_range("large", 5, 10) == LARGE[5:10]
    assert list(watched.read_ranges([("large", 0, 7), ("small", 1, None)])) == [LARGE[:7], b"23"]
    assert dict(watched.get_many(["small", "absent", "large"])) == {
        "small": b"123", "absent": None, "large": LARGE,
    }  # fmt: skip
    done = seen.of(GetDone)
    sizes = [("small", 3), ("small", 3), ("large", 5), ("large", 7), ("small", 2)]
    sizes += [("small", 3), ("large", 300_000)]
    assert facts(done) == [(name, size, None) for name, size in sizes]
    assert {each.bucket for each in done} == {watched.name}

    seen.clear()
    with watched.open("large") as file:
        file.seek(150_000)
        file.read(10)
        assert not seen.of(GetDone)
        assert [each.bytes for each in seen.of(Chunk)] == [100_000]
    file.close()
    assert facts(seen.of(GetDone)) == [("large", 10, None)]
    assert repr(file) == "<objstore.ObjectResult 'large', 300,000 bytes, closed>"


def test_gets_that_fail(watched: ObjectStore, store: ObjectStore, seen: Seen) -> None:
    watched.put("large", LARGE, chunk_size=100_000)
    with pytest.raises(objstore.ObjectNotFoundError) as absent:
        watched.read_bytes("absent")
    assert watched.get("absent") is None
    with pytest.raises(objstore.ObjectNotFoundError) as missing:
        list(watched.read_ranges([("large", 0, 7), ("gone", 0, 1)]))
    file = watched.open("large")
    store.put("large", b"other")
    with pytest.raises(objstore.ObjectChangedError) as changed, file:
        file.read()
    assert facts(seen.of(GetDone)) == [
        ("absent", 0, absent.value),
        ("large", 7, None),
        ("gone", 0, missing.value),
        ("large", 0, changed.value),
    ]


def test_requests(watched: ObjectStore, seen: Seen) -> None:
    """Each question is told with what it was, in words that say no name."""
    watched.info("secret")
    watched.put("secret", b"x")
    watched.status()
    told = seen.of(Request)
    questions = {each.question for each in told}
    assert {"DIRECT.GET", "STREAM.INFO", "PUBLISH"} <= questions
    assert not any("secret" in question or watched.name in question for question in questions)
    assert all(each.error is None and each.seconds > 0 for each in told)


def test_a_slow_server(
    proxy: Proxy, store: ObjectStore, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told while the call still waits; an answer that never comes, with the request."""
    monkeypatch.setattr(observer, "SLOW", 0.05)
    with objstore.connect(proxy.url, timeout=PATIENCE, on_event=seen.note) as client:
        far = client.object_store(store.name, create=False)
        rule = proxy.down.hold(proxy.answers(metadata_of(store.name)))
        reader = threading.Thread(target=far.put, args=("x", b"1"))
        reader.start()
        held = f"$O.{store.name}.M."  # on a busy machine others are as slow
        slow = eventually(lambda: [s for s in seen.of(SlowServer) if s.subject.startswith(held)])
        rule.release()
        reader.join(PATIENCE)
        assert slow[0].seconds >= 0.05
        client._jetstream.timeout = 0.06
        with proxy.down.stalled(), pytest.raises(objstore.RequestTimeoutError) as late:
            far.info("x")
    assert seen.of(Request)[-1].error is late.value
    assert "in 0.06 s" in str(late.value)


def test_retries(proxy: Proxy, store: ObjectStore, seen: Seen) -> None:
    """What is tried again is told, with the reason: a request, chunks, a record."""

    def told(operation: str) -> list[Retry]:
        return [each for each in seen.of(Retry) if each.operation == operation]

    with objstore.connect(proxy.url, on_event=seen.note) as client:
        far = client.object_store(store.name, create=False)
        proxy.down.cut(proxy.answers(chunks_of(store.name)))
        far.put("chunk", b"1")
        assert told("put")[0].subject.startswith(f"$O.{store.name}.C.")
        proxy.up.cut(metadata_of(store.name))
        far.put("record", LARGE, chunk_size=100_000)
        assert {(each.bucket, each.name) for each in told("commit")} == {(store.name, "record")}
        proxy.down.cut(proxy.answers(calls("DIRECT.GET")))
        assert far.info("chunk") is not None
        assert {each.subject.partition("$O")[0] for each in told("request")} == {
            f"$JS.API.DIRECT.GET.OBJ_{store.name}."
        }
    assert all(isinstance(each.error, objstore.ConnectionLostError) for each in seen.of(Retry))


@pytest.mark.needs_server("2.11")
def test_a_retry_of_a_batch(proxy: Proxy, store: ObjectStore, seen: Seen) -> None:
    """Chunks that are asked for again are told as one retry of the read."""
    store.put("large", LARGE, chunk_size=100_000)
    with objstore.connect(proxy.url, on_event=seen.note) as client:
        far = client.object_store(store.name, create=False)
        with far.open("large") as file:
            proxy.down.cut(proxy.answers(calls("DIRECT.GET")))
            assert file.read() == LARGE
    (retry,) = seen.of(Retry)
    assert (retry.operation, retry.bucket, retry.name) == ("get", store.name, "large")
    assert isinstance(retry.error, objstore.ConnectionLostError)


def test_outages(proxy: Proxy, seen: Seen, caplog: pytest.LogCaptureFixture) -> None:
    """A loss and the return are told, on a thread that may wait for the server; and are logged,
    a line for each, at the level that everybody sees. A break of our own is no warning."""
    pinged = threading.Event()

    def note(event: Event) -> None:
        seen.note(event)
        if isinstance(event, Reconnected):
            client.connection.ping()
            pinged.set()

    with objstore.connect(proxy.url, on_event=note) as client:
        proxy.sever()
        assert pinged.wait(PATIENCE)
        client.connection.reconnect()
        eventually(lambda: len(seen.of(Reconnected)) == 2)
    kinds = [type(event) for event, _ in seen if not isinstance(event, Request)]
    assert kinds == [Disconnected, Reconnected] * 2
    assert {thread.name for _, thread in seen} == {"objstore-events"}
    assert isinstance(seen.of(Disconnected)[0].error, objstore.ConnectionLostError)
    logged = [(each.levelno, each.getMessage()) for each in caplog.records]
    assert [level for level, _ in logged] == [logging.WARNING] * 2
    first, second = (line for _, line in logged)
    assert first.startswith(f"lost the connection to {seen.of(Disconnected)[0].server}: ")
    assert first.endswith("; reconnecting, and meanwhile calls wait up to 60 s for it")
    assert second.startswith("reconnected to nats://127.0.0.1:")
    assert "\n" not in first + second


@pytest.mark.parametrize("error", [ValueError("a defect"), objstore.ConnectionLostError("fake")])
def test_a_function_that_fails(
    server: LocalServer,
    store: ObjectStore,
    error: Exception,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It breaks nothing, and is logged once, not with each of its events."""
    monkeypatch.setattr(observer, "LOG_EVERY", math.inf)

    def fail(event: Event) -> None:
        raise error

    with objstore.connect(server.url, on_event=fail) as client:
        mine = client.object_store(store.name, create=False)
        mine.put("x", LARGE)
        assert mine.read_bytes("x") == LARGE
        with mine.open("x") as file:
            assert file.read() == LARGE
        client.connection.reconnect()
        assert mine.put_many([("y", b"1")])[0].size == 1
    assert mine.name == store.name
    (record,) = caplog.records
    assert record.getMessage().startswith("on_event failed with Request")
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def test_ctrl_c_in_the_function(server: LocalServer, store: ObjectStore) -> None:
    """It is for whoever made the call; the object is whole, or not there."""

    def interrupt(event: Event) -> None:
        if isinstance(event, (PutDone, Chunk)) and event.name.startswith(type(event).__name__):
            raise KeyboardInterrupt

    with objstore.connect(server.url, on_event=interrupt) as client:
        mine = client.object_store(store.name, create=False)
        for name in ("Chunk", "PutDone"):
            with pytest.raises(KeyboardInterrupt):
                mine.put(name, LARGE)
    assert [info.name for info in store.list()] == ["PutDone"]
    assert store.read_bytes("PutDone") == LARGE


def test_the_function_uses_the_client(server: LocalServer, store: ObjectStore) -> None:
    """Whatever it calls works, whatever it is called for; and what it does is not told in turn."""
    strikes = Strikes({})
    inside: list[Event] = []

    def strike(event: Event) -> None:
        if getattr(strikes._here, "inside", False):
            inside.append(event)
        elif strikes._calls:
            strikes.strike()

    with objstore.connect(server.url, on_event=strike) as client:
        mine = client.object_store(store.name, create=False)
        outer = outer_calls(client, mine)
        strikes._calls = list(inner_calls(client, mine).items())
        for call in outer.values():
            call()
    assert not strikes.problems
    assert not strikes.refused
    assert strikes.count > len(outer)
    assert not inside


def test_a_finalizer_tells_in_the_events_thread(watched: ObjectStore, seen: Seen) -> None:
    """A forgotten file that is closed where nobody may wait for the server."""
    watched.put("x", b"123")
    session = watched._handle.jetstream.connection.session
    file = watched.open("x")
    with session.out.lock:
        del file
    done = eventually(lambda: seen.of(GetDone))
    assert facts(done) == [("x", 0, None)]
    assert seen[-1][1].name == "objstore-events"


def test_a_forked_child_tells_its_own(server: LocalServer, store: ObjectStore) -> None:
    """Of its calls and of its connection, on threads of its own."""
    program = """
import os, sys, threading, warnings, objstore
from objstore.events import Reconnected, PutDone
back = threading.Event()
def tell(event):
    if isinstance(event, PutDone):
        done.append(event.name)
    if isinstance(event, Reconnected):
        back.set()
done = []
client = objstore.connect(sys.argv[1], on_event=tell)
store = client.object_store(sys.argv[2], create=False)
def use(name):
    store.put(name, name.encode())  # which connects a child
    back.clear()
    client.connection.reconnect()
    assert back.wait(100)
use("parent")
warnings.simplefilter("ignore", DeprecationWarning)  # of Python's, for forks beside threads
child = os.fork()
if not child:
    use("child")
    client.close()
    os._exit(0 if done == ["parent", "child"] else 1)
assert os.waitpid(child, 0)[1] == 0
use("again")
client.close()
print(done)
"""
    said = run_python(program, server.url, store.name, warnings=False)
    assert said == "['parent', 'again']\n"


def test_it_must_be_a_function(server: LocalServer) -> None:
    with pytest.raises(objstore.InvalidOptionError, match="on_event is 1; it must be a function"):
        objstore.connect(server.url, on_event=1)  # type: ignore[arg-type]


def test_events_are_values(watched: ObjectStore) -> None:
    event = Chunk("get", "b", "n", 1)
    assert event == Chunk("get", "b", "n", 1)
    assert hash(event) == hash(Chunk("get", "b", "n", 1))
    with pytest.raises(AttributeError):
        event.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("subject", "question"),
    [
        ("$JS.API.STREAM.MSG.GET.OBJ_b", "STREAM.MSG.GET"),
        ("JS.hub.STREAM.PURGE.OBJ_b", "STREAM.PURGE"),
        ("$JS.API.DIRECT.GET.OBJ_b.$O.b.M.STREAM", "DIRECT.GET"),
        ("$JS.API.CONSUMER.CREATE.OBJ_b.x.$O.b.M.>", "CONSUMER.CREATE"),
        ("$JS.API.INFO", "INFO"),
        ("$SYS.REQ.USER.INFO", "INFO"),
        ("$O.b.M.SU5GTw==", "PUBLISH"),
        ("$O.INFO.C.abc", "PUBLISH"),
    ],
)
def test_question(subject: str, question: str) -> None:
    assert Request(subject, 0.0).question == question


def test_local_has_it(seen: Seen) -> None:
    with objstore.local(on_event=seen.note) as client:
        client.object_store("b").put("x", b"1")
    assert facts(seen.of(PutDone)) == [("x", 1, None)]


def test_is_connected(server: LocalServer) -> None:
    with objstore.connect(server.url, lazy=True) as client:
        states = [client.is_connected]
        list(client.list_stores())
        states.append(client.is_connected)
    assert [*states, client.is_connected] == [False, True, False]
