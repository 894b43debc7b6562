"""A put through faults: byte-exact, with nothing left behind, or the old object as it was."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import objstore
from objstore import (
    BucketNotFoundError,
    Client,
    ConnectionLostError,
    LocalServer,
    ObjectCorruptError,
    ObjectStore,
    RequestTimeoutError,
    StorageFullError,
    ingested,
    sending,
)
from objstore.wire.dial import Link
from objstore.wire.ingest import parse_ingest
from objstore.wire.protocol import Message
from objstore.wire.session import Session
from tests.conftest import refuse_batches
from tests.proxy import Line, Proxy, calls, chunks_of, nth
from tests.streams import api, chunk_counts, orphans

CHUNK = 1000
CONTENT = bytes((i * i + 7 * i) % 251 for i in range(60 * CHUNK + 17))  # no two chunks are alike


def once(content: bytes = CONTENT, step: int = 777) -> Iterator[bytes]:
    """A payload that nobody can read a second time."""
    return (content[at : at + step] for at in range(0, len(content), step))


def check(store: ObjectStore, client: Client, content: bytes = CONTENT) -> None:
    """The object is what was put, and the bucket holds nothing else."""
    assert store.read_bytes("x") == content
    info = store.info("x")
    assert info is not None
    assert chunk_counts(client, store) == {info.nuid: info.chunks}


@pytest.fixture
def far(far_client: Client, store: ObjectStore, road: str) -> ObjectStore:
    """The test's bucket from behind the proxy, with the road chosen."""
    return far_client.object_store(store.name, create=False)


@pytest.mark.parametrize("number", [1, 2, 8, 9, 10, 30, 61])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_the_connection_breaks(
    number: int,
    after: bool,
    far: ObjectStore,
    proxy: Proxy,
    store: ObjectStore,
    shared_client: Client,
) -> None:
    """Before or after any chunk has gone."""
    rule = proxy.up.cut(nth(number, chunks_of(store.name)), after=after)
    info = far.put("x", once(), chunk_size=CHUNK)
    assert rule.happened.is_set()
    assert info.chunks == 61
    check(store, shared_client)


def test_the_connection_breaks_anywhere(
    far: ObjectStore, proxy: Proxy, store: ObjectStore, shared_client: Client
) -> None:
    """After so many bytes, in the middle of a command, in both directions, again and again."""
    for number, count in enumerate(range(1, 70_000, 4_999)):
        direction = proxy.up if number % 2 else proxy.down
        direction.cut_after(count if number % 2 else count // 20)
        content = CONTENT[number:]
        far.put("x", once(content), chunk_size=CHUNK)
        check(store, shared_client, content)


def test_a_chunk_is_lost(
    far: ObjectStore, proxy: Proxy, store: ObjectStore, shared_client: Client
) -> None:
    """Later ones arrive: they must not be stored in its place."""
    for number in (2, 9, 10, 25, 61):
        rule = proxy.up.drop(nth(number, chunks_of(store.name)))
        far.put("x", once(), chunk_size=CHUNK)
        assert rule.happened.is_set()
        check(store, shared_client)


def test_chunks_that_are_all_alike(
    far: ObjectStore, proxy: Proxy, store: ObjectStore, shared_client: Client
) -> None:
    """Which of them was lost nobody can tell, and it does not matter."""
    proxy.up.drop(nth(30, chunks_of(store.name)), times=3)
    far.put("x", once(bytes(60_000)), chunk_size=CHUNK)
    check(store, shared_client, bytes(60_000))


def test_an_answer_is_lost(
    far: ObjectStore, proxy: Proxy, store: ObjectStore, shared_client: Client
) -> None:
    """The first, one in the middle, and the last ones."""
    for number in (1, 3, 8, 9, 10):  # in batches there are no more
        rule = proxy.down.drop(nth(number, proxy.answers(chunks_of(store.name))))
        far.put("x", once(), chunk_size=CHUNK)
        assert rule.happened.is_set()
        check(store, shared_client)


def test_all_answers_are_lost(
    far: ObjectStore, proxy: Proxy, store: ObjectStore, shared_client: Client, road: str
) -> None:
    """Until it looks what is stored."""
    count = 61 if road == "acked" else 2
    proxy.down.drop(proxy.answers(chunks_of(store.name)), times=count)
    far.put("x", CONTENT, chunk_size=CHUNK)
    check(store, shared_client)


def test_the_server_is_killed(road: str, tmp_path: Path) -> None:
    """And comes back with its data, while the put goes on; three times."""
    with LocalServer(tmp_path) as server, objstore.connect(server.url, timeout=2.0) as client:
        store = client.object_store("bucket")
        if road == "acked":
            refuse_batches(client, store)
            store = client.object_store("bucket", create=False)
        big = CONTENT * 50

        def payload() -> Iterator[bytes]:
            for number, part in enumerate(once(big, 30_000)):
                if number in (20, 50, 80):
                    server.kill()
                    threading.Timer(0.3, server.start).start()
                yield part

        store.put("x", payload(), chunk_size=8_000)
        check(store, client, big)


def test_it_goes_on_from_a_file(
    far: ObjectStore, proxy: Proxy, store: ObjectStore, shared_client: Client, tmp_path: Path
) -> None:
    path = tmp_path / "x"
    path.write_bytes(CONTENT)
    proxy.up.cut(nth(33, chunks_of(store.name)))
    far.put("x", path, chunk_size=CHUNK)
    check(store, shared_client)


def test_it_goes_on_from_a_writer(
    far: ObjectStore, proxy: Proxy, store: ObjectStore, shared_client: Client
) -> None:
    proxy.up.cut(nth(33, chunks_of(store.name)))
    with far.open("x", "wb", chunk_size=CHUNK) as file:
        for part in once():
            file.write(part)
    check(store, shared_client)


def test_without_patience(
    proxy: Proxy, store: ObjectStore, shared_client: Client, road: str
) -> None:
    """``reconnect_timeout=0``: it fails at once. The old object is there, and nothing else."""
    del road
    old = store.put("x", b"old")
    with objstore.connect(proxy.url, timeout=1.0, reconnect_timeout=0) as client:
        far = client.object_store(store.name, create=False)
        proxy.up.cut(nth(30, chunks_of(store.name)))
        with pytest.raises(ConnectionLostError):
            far.put("x", once(), chunk_size=CHUNK)
    assert store.read_bytes("x") == b"old"
    store.collect_garbage(min_age=0)
    assert chunk_counts(shared_client, store) == {old.nuid: 1}


@pytest.mark.parametrize("number", [30, 60], ids=["amid the chunks", "before the commit"])
def test_the_server_never_comes_back(
    number: int, road: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The patience is waited for once, and not again for each thing that would be cleaned up."""
    given_up = []
    wait = Session.wait_connected

    def spy(self: Session, timeout: float) -> Link:
        try:
            return wait(self, timeout)
        except ConnectionLostError:
            given_up.append(timeout)
            raise

    def payload() -> Iterator[bytes]:
        for place, part in enumerate(once(step=CHUNK)):
            if place == number:
                server.kill()
            yield part

    with (
        LocalServer(tmp_path) as server,
        objstore.connect(server.url, timeout=1.0, reconnect_timeout=1.0) as client,
    ):
        store = client.object_store("bucket")
        if road == "acked":
            refuse_batches(client, store)
            store = client.object_store("bucket", create=False)
        store.put("x", b"old")
        monkeypatch.setattr(Session, "wait_connected", spy)
        with pytest.raises(ConnectionLostError):
            store.put("x", payload(), chunk_size=CHUNK)
        assert len(given_up) == 1
        server.start()
        with objstore.connect(server.url) as later:
            store = later.object_store("bucket", create=False)
            assert store.read_bytes("x") == b"old"
            store.collect_garbage(min_age=0)
            assert orphans(later, store) == set()


def test_a_server_that_stays_silent(
    far: ObjectStore,
    proxy: Proxy,
    store: ObjectStore,
    shared_client: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody answers until the put gives up; then all is well again, and nothing is left."""
    monkeypatch.setattr(sending, "PATIENCE", 2.0)
    old = store.put("x", b"old")
    proxy.up.call(nth(30, chunks_of(store.name)), proxy.down.stall)
    proxy.up.call(calls("STREAM.PURGE"), proxy.down.resume)
    with pytest.raises(RequestTimeoutError, match="no acknowledgement"):
        far.put("x", once(), chunk_size=CHUNK)
    assert store.read_bytes("x") == b"old"
    assert chunk_counts(shared_client, store) == {old.nuid: 1}


def test_the_bucket_is_deleted(
    far: ObjectStore, proxy: Proxy, store: ObjectStore, shared_client: Client
) -> None:
    """It is said at once, and not after all patience."""
    delete = f"STREAM.DELETE.OBJ_{store.name}"
    proxy.up.call(nth(30, chunks_of(store.name)), lambda: api(shared_client.connection, delete))
    begun = time.monotonic()
    with pytest.raises(BucketNotFoundError):
        far.put("x", once(), chunk_size=CHUNK)
    assert time.monotonic() - begun < 9  # the patience is 10


def test_the_bucket_is_full(road: str, shared_client: Client) -> None:
    """In the middle of a put: refused with its own reason, at once, and cleaned up."""
    store = shared_client.object_store("full", max_bytes=50 * CHUNK)
    try:
        if road == "acked":
            refuse_batches(shared_client, store)
            store = shared_client.object_store("full", create=False)
        old = store.put("x", b"old")
        with pytest.raises(StorageFullError):
            store.put("x", once(), chunk_size=CHUNK)
        assert store.read_bytes("x") == b"old"
        assert chunk_counts(shared_client, store) == {old.nuid: 1}
    finally:
        shared_client.delete_store("full")


def test_stored_chunks_are_lost(
    far: ObjectStore, proxy: Proxy, store: ObjectStore, shared_client: Client
) -> None:
    """Somebody deletes a chunk that was acknowledged, and a fault makes us look: no object."""

    def lose() -> None:
        request = {"last_by_subj": f"$O.{store.name}.C.>"}
        found = api(shared_client.connection, f"STREAM.MSG.GET.OBJ_{store.name}", request)
        gone = {"seq": found["message"]["seq"]}
        assert api(shared_client.connection, f"STREAM.MSG.DELETE.OBJ_{store.name}", gone)["success"]

    def payload() -> Iterator[bytes]:
        for number, part in enumerate(once(step=CHUNK)):
            if number == 40:
                lose()
                proxy.sever()
            if number == 20:  # until all before is acknowledged: it is surely not sent again
                wait_for(lambda: sum(chunk_counts(shared_client, store).values()) >= 8)
            yield part

    with pytest.raises(ObjectCorruptError, match="chunks are stored"):
        far.put("x", payload(), chunk_size=CHUNK)
    assert "x" not in store
    assert orphans(shared_client, store) == set()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# --- fast-ingest alone


def batches_of(lines: list[Line]) -> dict[str, list[tuple[int, int]]]:
    """The batches that were sent: of each its messages, with their numbers and operations."""
    found: dict[str, list[tuple[int, int]]] = {}
    for line in lines:
        tokens = line.reply.split(".")
        if tokens[-1] == "$FI":
            found.setdefault(tokens[-6], []).append((int(tokens[-3]), int(tokens[-2])))
    return found


@pytest.fixture
def sent(proxy: Proxy, store: ObjectStore) -> list[Line]:
    """What is published to the chunks of the test's bucket."""
    lines: list[Line] = []
    is_chunk = chunks_of(store.name)
    proxy.up.observe(lambda line: lines.append(line) if is_chunk(line) else None)
    return lines


@pytest.mark.needs_server("2.14")
def test_a_batch(far_store: ObjectStore, sent: list[Line]) -> None:
    """One batch of all chunks where the size is known; and few answers."""
    far_store.put("x", CONTENT, chunk_size=CHUNK)
    (batch,) = batches_of(sent).values()
    assert batch == [(1, 0), *((n, 1) for n in range(2, 62)), (62, 3)]


@pytest.mark.needs_server("2.14")
def test_small_objects_go_without_a_batch(far_store: ObjectStore, sent: list[Line]) -> None:
    """It would cost them two round trips."""
    far_store.put("x", CONTENT[: 39 * CHUNK], chunk_size=CHUNK)
    far_store.put("x", once(CONTENT[: 8 * CHUNK]), chunk_size=CHUNK)
    assert len(sent) == 39 + 8
    assert batches_of(sent) == {}


@pytest.mark.needs_server("2.14")
def test_a_size_that_nobody_knew(far_store: ObjectStore, sent: list[Line]) -> None:
    """The first chunks go one by one, the rest in a batch."""
    far_store.put("x", once(), chunk_size=CHUNK)
    (batch,) = batches_of(sent).values()
    assert len(sent) == 61 + 1
    assert batch[0] == (1, 0)
    assert batch[-1] == (61 - 8 + 1, 3)


@pytest.mark.needs_server("2.14")
def test_a_slow_payload(
    far_store: ObjectStore,
    sent: list[Line],
    store: ObjectStore,
    shared_client: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A batch that is idle would be forgotten: it is ended, and another one begun."""
    monkeypatch.setattr(ingested, "IDLE", 0.05)

    def payload() -> Iterator[bytes]:
        for number, part in enumerate(once(step=CHUNK)):
            if number in (20, 40):
                time.sleep(0.1)
            yield part

    far_store.put("x", payload(), chunk_size=CHUNK)
    assert len(batches_of(sent)) >= 3
    check(store, shared_client)


@pytest.mark.needs_server("2.14")
def test_a_batch_that_the_server_has_forgotten(
    far_store: ObjectStore, sent: list[Line], store: ObjectStore, shared_client: Client
) -> None:
    """A payload that pauses longer than the server keeps a batch, without our noticing."""

    def payload() -> Iterator[bytes]:
        for number, part in enumerate(once(step=CHUNK)):
            if number == 30:
                (batch,) = batches_of(sent)
                inbox = sent[-1].reply.partition(f".{batch}.")[0]
                # Somebody ends it: to the server the same as its own clean-up.
                reply = f"{inbox}.{batch}.500.fail.9999.3.$FI"
                shared_client.connection.publish(sent[-1].subject, reply=reply)
                shared_client.connection.ping()
            yield part

    far_store.put("x", payload(), chunk_size=CHUNK)
    # The forgotten one, the rest once more, and what came after that was noticed, if anything did.
    assert len(batches_of(sent)) in (2, 3)
    check(store, shared_client)


@pytest.mark.needs_server("2.14")
def test_batches_were_turned_off(
    far_store: ObjectStore, sent: list[Line], store: ObjectStore, shared_client: Client
) -> None:
    """By somebody else: the chunks go one by one then."""
    refuse_batches(shared_client, store)
    far_store.put("x", CONTENT, chunk_size=CHUNK)
    assert len(batches_of(sent)) == 1
    check(store, shared_client)


@pytest.mark.needs_server("2.14")
def test_many_batches_at_once(shared_client: Client, store: ObjectStore) -> None:
    """The server slows each of them down, and all end well."""
    errors: list[BaseException] = []

    def put(name: str) -> None:
        try:
            store.put(name, CONTENT + name.encode(), chunk_size=CHUNK)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=put, args=(str(n),)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for n in range(20):
        assert store.read_bytes(str(n)) == CONTENT + str(n).encode()
    assert orphans(shared_client, store) == set()


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xff", b"[]", b"7", b'{"type":"ack"}', b'{"type":"ack","seq":"x","msgs":1}', b"{}"],
)
def test_malformed_answers(payload: bytes) -> None:
    """They are a refusal, never a success."""
    answer = parse_ingest(Message(1, "s", "", b"", payload), "storing")
    assert isinstance(answer, tuple)
    assert type(answer).__name__ == "Refusal"


def test_an_answer_with_unknown_fields() -> None:
    fields = {"type": "ack", "seq": 3, "msgs": 5, "new": {"a": 1}}
    assert tuple(parse_ingest(Message(1, "s", "", b"", json.dumps(fields).encode()), "x")) == (3, 5)
