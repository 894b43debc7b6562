"""A client used in a signal handler or a finalizer that interrupts one of its own calls."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

import objstore
from objstore import Client, Connection, LocalServer, ObjectStore, ReentrantCallError
from objstore.errors import ConnectionClosedError
from objstore.wire.connection.transport import Transport
from tests.support.striking import SMALL, Strikes, at_every_line, inner_calls, outer_calls
from tests.support.waiting import eventually

pytestmark = pytest.mark.newest_server

#: Whoever waits for what was interrupted waits this long, in seconds, and is found out.
LONG = 60.0

OUTER = (
    "put", "put small", "write", "get", "get small", "info", "list", "delete", "put_many",
    "get_many", "watch", "publish", "ping", "subscribe", "status",
)  # fmt: skip


@pytest.fixture
def patient(server: LocalServer) -> Iterator[Client]:
    with objstore.connect(server.url, timeout=LONG, reconnect_timeout=LONG) as client:
        yield client


@pytest.fixture
def bucket(patient: Client, store: ObjectStore) -> ObjectStore:
    return patient.object_store(store.name, create=False)


def test_all_outer_calls_are_here(patient: Client, bucket: ObjectStore) -> None:
    assert set(OUTER) == set(outer_calls(patient, bucket))


@pytest.mark.interrupts
@pytest.mark.parametrize("name", OUTER)
def test_at_every_line(patient: Client, bucket: ObjectStore, name: str) -> None:
    """What interrupts works, or says that it cannot; what is interrupted works, and as one."""
    call = outer_calls(patient, bucket)[name]
    strikes = Strikes(inner_calls(patient, bucket))
    with at_every_line(strikes.strike):
        call()
    assert not strikes.problems
    assert strikes.done.total() > strikes.refused.total()
    assert patient.connection.session.connects == 1  # the stream of bytes was never spoilt
    assert bucket.verify().ok


@pytest.mark.interrupts
@pytest.mark.parametrize("way", ["signals", "garbage"])
def test_real_ones(server: LocalServer, store: ObjectStore, way: str) -> None:
    program = [sys.executable, "-W", "error", "-m", "tests.support.striking"]
    arguments = [server.url, store.name, way, "30"]
    done = subprocess.run([*program, *arguments], capture_output=True, text=True, timeout=300)
    assert not done.returncode, done.stderr
    seen = json.loads(done.stdout)
    assert seen["problems"] == []
    assert seen["connects"] == 1
    assert len(seen["done"]) >= len(OUTER) // 2
    assert store.verify().ok


@pytest.mark.interrupts
def test_what_is_published_meanwhile_goes_behind(patient: Client, server: LocalServer) -> None:
    """Whatever it interrupts, each message arrives once, and whole."""
    with Connection(server.url) as other:
        got: list[bytes] = []
        other.subscribe("meanwhile", callback=lambda message: got.append(message.payload))
        sent = 0

        def strike() -> None:
            nonlocal sent
            sent += 1
            payload = bytearray(b"%d" % sent)
            patient.connection.publish("meanwhile", payload=payload)
            payload[:] = b"?" * len(payload)  # it was taken over whole

        for skip in range(0, 97, 4):
            with at_every_line(strike, skip=skip, every=97):
                patient.connection.publish("outer", payload=SMALL)
                patient.connection.ping()
        eventually(lambda: len(got) == sent)
        assert sorted(map(int, got)) == list(range(1, sent + 1))


def test_published_in_the_midst_of_a_send(
    patient: Client, server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Transport.send
    with Connection(server.url) as other:
        got: list[bytes] = []
        other.subscribe("midst", callback=lambda message: got.append(message.payload))
        struck = False

        def send(self: Transport, parts: list[bytes]) -> None:
            nonlocal struck
            if struck or not any(b"outer" in part for part in parts):
                return whole(self, parts)
            struck = True
            data = b"".join(parts)
            whole(self, [data[:10]])
            patient.connection.publish("midst", payload=b"1")
            with pytest.raises(ReentrantCallError, match="set a flag"):
                patient.connection.request("midst")
            return whole(self, [data[10:]])

        monkeypatch.setattr(Transport, "send", send)
        patient.connection.publish("outer", payload=b"2")
        eventually(lambda: got == [b"1"])
        assert struck
        patient.connection.ping()
        assert patient.connection.session.connects == 1


@pytest.mark.interrupts
@pytest.mark.leaves_chunks("the connection is closed in the middle of a put")
@pytest.mark.parametrize("name", ["put", "get", "info", "ping", "list"])
def test_closed_in_between(server: LocalServer, store: ObjectStore, name: str) -> None:
    """Closing never waits for what it interrupts; that ends with an error, or had ended."""
    for number in range(1, 1500, 37):
        client = objstore.connect(server.url, timeout=LONG, reconnect_timeout=LONG)
        call = outer_calls(client, client.object_store(store.name, create=False))[name]
        with (
            contextlib.suppress(ConnectionClosedError, ReentrantCallError),
            at_every_line(client.close, every=number),
        ):
            call()
        client.close()
        assert not client.connection.is_connected


@pytest.mark.interrupts
@pytest.mark.parametrize("begin", ["connect", "reconnect"])
def test_while_it_connects(server: LocalServer, begin: str) -> None:
    for connection in (Connection(server.url, timeout=LONG) for _ in range(3)):
        with connection if begin == "reconnect" else _closing(connection):
            early = 0

            def ping(connection: Connection = connection) -> None:
                nonlocal early
                try:
                    connection.ping()
                except ConnectionClosedError:
                    early += 1

            strikes = Strikes({"ping": ping, "connect": connection.connect})
            with at_every_line(strikes.strike):
                getattr(connection, begin)()
            assert not strikes.problems
            connection.ping()


class _closing:  # noqa: N801 - as contextlib.closing
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None: ...

    def __exit__(self, *_error: object) -> None:
        self._connection.close()


@pytest.mark.interrupts
def test_the_first_request_of_a_connection(server: LocalServer) -> None:
    """It begins with the inbox, once."""
    with Connection(server.url, timeout=LONG) as connection, Connection(server.url) as answering:
        answering.subscribe(
            "ask", callback=lambda message: answering.publish(message.reply, payload=b"yes")
        )
        ask: Callable[[], object] = lambda: connection.request("ask", timeout=LONG)  # noqa: E731
        strikes = Strikes({"request": ask})
        with at_every_line(strikes.strike):
            ask()
        assert not strikes.problems
        assert len(connection.session._subscriptions._by_sid) == 1


def test_a_forgotten_file_in_the_midst_of_a_send(patient: Client, bucket: ObjectStore) -> None:
    """The collector may find it there; its chunks go all the same, as soon as they can."""
    file = bucket.open("forgotten", "wb", chunk_size=1000)
    file.write(bytes(5500))
    with pytest.warns(ResourceWarning, match="never closed"), patient.connection.session.out.lock:
        del file
    eventually(lambda: bucket.status().stream_info.state.messages == 0)
    assert bucket.info("forgotten") is None
