"""One server that freezes, dies, refuses or loses its bucket under a put or a get."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import objstore
from objstore import (
    BucketNotFoundError,
    BucketSealedError,
    Client,
    InvalidOptionError,
    LocalServer,
    ObjectStore,
    PermissionDeniedError,
)
from objstore.metadata.known_stream import KnownStream
from objstore.store.handle import BucketHandle
from tests.support.proxy import Proxy, chunks_of, nth
from tests.support.streams import api, chunk_counts
from tests.support.waiting import eventually, make_impatient

pytestmark = pytest.mark.newest_server

CHUNK = 1000
CONTENT = random.Random(2).randbytes(60 * CHUNK + 17)


def once(happen: Callable[[], object], at: int = 30) -> Iterator[bytes]:
    """A payload that nobody can read twice, with an event on its way."""
    for number, start in enumerate(range(0, len(CONTENT), CHUNK)):
        if number == at:
            happen()
        yield CONTENT[start : start + CHUNK]


@pytest.fixture
def own_server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


@pytest.fixture
def own_store(own_server: LocalServer) -> Iterator[ObjectStore]:
    """A bucket there."""
    with objstore.connect(own_server.url, reconnect_timeout=30.0) as client:
        store = client.object_store("bucket")
        make_impatient(client, 1.0)
        yield store


@contextlib.contextmanager
def frozen(server: LocalServer) -> Iterator[None]:
    """Stop a server's process for the time of the block; its sockets stay open."""
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)  # until all its threads have stopped
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def count_chunks(store: ObjectStore) -> int:
    """Of the bucket's only object."""
    (count,) = chunk_counts(Client(store._handle.jetstream.connection), store).values()
    return count


def test_a_put_while_the_server_is_frozen(own_server: LocalServer, own_store: ObjectStore) -> None:
    """For longer than a time-out: it goes on afterwards."""
    thawing: list[threading.Thread] = []

    def freeze() -> None:
        entered = threading.Event()

        def hold() -> None:
            with frozen(own_server):
                entered.set()
                time.sleep(3.0)

        thawing.append(threading.Thread(target=hold))
        thawing[0].start()
        entered.wait()

    own_store.put("x", once(freeze), chunk_size=CHUNK)
    thawing[0].join()
    assert own_store.read_bytes("x") == CONTENT
    assert count_chunks(own_store) == 61


def test_a_frozen_server(own_server: LocalServer) -> None:
    """Each operation ends with its time-out."""
    with objstore.connect(own_server.url) as client, objstore.connect(own_server.url) as patient:
        store = client.object_store("bucket")
        store.put("x", CONTENT, chunk_size=CHUNK)
        make_impatient(client, 0.5)
        operations: list[Callable[[], object]] = [
            lambda: store.info("x"),
            lambda: store.read_bytes("x"),
            lambda: list(store.list()),
            lambda: store.delete("x"),
        ]
        with frozen(own_server):
            for operation in operations:
                with pytest.raises(TimeoutError):
                    operation()
        assert patient.object_store("bucket").read_bytes("x") == CONTENT


def test_a_get_whose_server_dies(own_server: LocalServer, own_store: ObjectStore) -> None:
    """And returns: the rest is read from it."""
    content = random.Random(4).randbytes(30_000_000)
    own_store.put("x", content, chunk_size=100_000)
    result = own_store.get("x")
    assert result is not None
    with result:
        got = [result.read(1_000_000)]
        own_server.kill()
        own_server.start()
        got.append(result.read())
    assert b"".join(got) == content


def test_a_slow_reader() -> None:
    """A pause longer than the server waits for who does not read, and many times its buffer."""
    content = random.Random(5).randbytes(60_000_000)
    # A machine may let the client wait for a second, while the server runs on.
    config = 'write_deadline: "2s"\nmax_pending: 16MB\n'
    with LocalServer(config=config) as server, objstore.connect(server.url) as client:
        store = client.object_store("bucket")
        store.put("x", content, chunk_size=100_000)
        result = store.get("x")
        assert result is not None
        with result:
            got = [result.read(10_000_000)]
            time.sleep(2.5)
            got.append(result.read())
        assert b"".join(got) == content
        assert client.connection.session.connects == 1
        assert "Slow Consumer" not in server.log


# --- the bucket changes under a put


def seal(client: Client, store: ObjectStore) -> None:
    config = api(client.connection, f"STREAM.INFO.OBJ_{store.name}")["config"]
    answer = api(client.connection, f"STREAM.UPDATE.OBJ_{store.name}", {**config, "sealed": True})
    assert "error" not in answer, answer


@pytest.mark.leaves_chunks("a sealed bucket gives nothing back")
def test_the_bucket_is_sealed(
    far_client: Client, proxy: Proxy, store: ObjectStore, shared_client: Client
) -> None:
    """At once, and with its own error; the old object stays readable."""
    far = far_client.object_store(store.name, create=False)
    store.put("x", b"old")
    proxy.up.call(nth(30, chunks_of(store.name)), lambda: seal(shared_client, store))
    with pytest.raises(BucketSealedError):
        far.put("x", CONTENT, chunk_size=CHUNK)
    assert far.read_bytes("x") == b"old"


def test_the_bucket_is_deleted_under_a_get(store: ObjectStore, shared_client: Client) -> None:
    store.put("x", bytes(20_000_000), chunk_size=100_000)
    result = store.get("x")
    assert result is not None
    with result:
        result.read(10)
        api(shared_client.connection, f"STREAM.DELETE.OBJ_{store.name}")
        with pytest.raises(BucketNotFoundError):
            result.read()


# --- permissions

REFUSED = {
    "chunk": "$O.bucket.C.>",
    "metadata": "$O.bucket.M.>",
    "info": "$JS.API.STREAM.INFO.>",
    "read": "$JS.API.STREAM.MSG.GET.>",  # and direct gets, which that stands in for
    "purge": "$JS.API.STREAM.PURGE.>",
}


@pytest.fixture(scope="module")
def strict_server() -> Iterator[LocalServer]:
    """A server with a user for each thing that is refused, named after it."""
    users = ["{ user: free, password: p }"]
    for name, subject in REFUSED.items():
        denied = [subject, "$JS.API.DIRECT.GET.>"] if name == "read" else [subject]
        permissions = f'publish: {{ allow: ">", deny: {json.dumps(denied)} }}'
        users.append(f"{{ user: {name}, password: p, permissions: {{ {permissions} }} }}")
    with LocalServer(config=f"authorization {{ users: [ {', '.join(users)} ] }}") as server:
        with objstore.connect(server.url, user="free", password="p") as client:
            client.object_store("bucket").put("old", b"old")
        yield server


PUTS: dict[str, Callable[[ObjectStore], object]] = {
    "bytes": lambda store: store.put("x", CONTENT, chunk_size=CHUNK),
    "iterable": lambda store: store.put("x", once(lambda: None), chunk_size=CHUNK),
    "one chunk": lambda store: store.put("x", b"x"),
}


@pytest.mark.parametrize("put", PUTS.values(), ids=PUTS)
@pytest.mark.parametrize("refused", ["chunk", "metadata"])
def test_a_put_that_is_not_permitted(
    refused: str, put: Callable[[ObjectStore], object], strict_server: LocalServer
) -> None:
    """It is refused in a moment, whatever the time-out, by the subject's name."""
    url = strict_server.url
    with objstore.connect(url, user=refused, password="p", timeout=600.0) as client:
        store = client.object_store("bucket", create=False)
        with pytest.raises(PermissionDeniedError, match=r"\$O\.bucket\.[CM]\.") as caught:
            put(store)
        assert str(caught.value.subject).startswith(REFUSED[refused][:-1])
    with objstore.connect(url, user="free", password="p") as client:
        store = client.object_store("bucket", create=False)
        old = store.info("old")
        assert old is not None
        assert [info.name for info in store.list()] == ["old"]
        assert chunk_counts(client, store) == {old.nuid: 1}


@pytest.mark.parametrize(
    ("refused", "operation"),
    [
        ("info", lambda store: store.status()),
        ("info", lambda store: list(store.list())),
        ("read", lambda store: store.info("old")),
        ("read", lambda store: store.read_bytes("old")),
        ("purge", lambda store: store.collect_garbage(min_age=0)),
    ],
)
def test_a_call_that_is_not_permitted(
    refused: str, operation: Callable[[ObjectStore], object], strict_server: LocalServer
) -> None:
    url = strict_server.url
    with objstore.connect(url, user="free", password="p") as client:
        config = client.object_store("bucket", create=False).status().stream_info.config
        if refused == "purge":  # there must be something to remove
            client.connection.request("$O.bucket.C.nobody", payload=b"x")
    with objstore.connect(url, user=refused, password="p", timeout=600.0) as client:
        known = KnownStream(client._jetstream, "bucket")
        known.learn(config)
        store = ObjectStore(BucketHandle(client._jetstream, "bucket", known))
        with pytest.raises(PermissionDeniedError) as caught:
            operation(store)
        assert str(caught.value.subject).startswith(REFUSED[refused][:-1])


def test_a_server_that_comes_to_take_less(tmp_path: Path) -> None:
    """``max_payload`` is lowered amid a put, whose chunks are larger: it fails, and says why.

    The server tells nobody; it ends the connection at the next chunk, and says it to the next one.
    """
    config = tmp_path / "nats.conf"
    config.write_text("max_payload: 1048576")
    with (
        LocalServer(config=config) as server,
        objstore.connect(server.url, reconnect_timeout=30.0) as client,
    ):
        store = client.object_store("bucket")
        old = store.put("x", b"old")

        def lower() -> None:
            config.write_text("max_payload: 500")
            assert server.pid is not None
            os.kill(server.pid, signal.SIGHUP)
            eventually(lambda: "Reloaded: max_payload = 500" in server.log)

        with pytest.raises(InvalidOptionError, match="max_payload"):
            store.put("x", once(lower), chunk_size=CHUNK)
        assert store.read_bytes("x") == b"old"
        assert chunk_counts(client, store) == {old.nuid: 1}
        assert store.put("x", once(bool)).chunks > len(CONTENT) // 500  # in chunks that it takes
        assert store.read_bytes("x") == CONTENT
