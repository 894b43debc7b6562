"""A put through faults: byte-exact, with nothing left behind, or the old object as it was."""

from __future__ import annotations

import threading
from collections.abc import Iterator
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
)
from objstore.put import channel, sender
from objstore.wire.connection.dial import Link
from objstore.wire.connection.session import Session
from tests.support.proxy import Line, Proxy, calls, chunks_of, nth
from tests.support.streams import api, chunk_counts, orphans
from tests.support.waiting import make_impatient

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
def far(far_client: Client, store: ObjectStore) -> ObjectStore:
    """The test's bucket from behind the proxy."""
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
    for number in (1, 3, 30, 60, 61):
        rule = proxy.down.drop(nth(number, proxy.answers(chunks_of(store.name))))
        far.put("x", once(), chunk_size=CHUNK)
        assert rule.happened.is_set()
        check(store, shared_client)


def test_all_answers_are_lost(
    far: ObjectStore, proxy: Proxy, store: ObjectStore, shared_client: Client
) -> None:
    """Until it looks what is stored."""
    proxy.down.drop(proxy.answers(chunks_of(store.name)), times=61)
    far.put("x", CONTENT, chunk_size=CHUNK)
    check(store, shared_client)


def test_the_server_is_killed(tmp_path: Path) -> None:
    """And comes back with its data, while the put goes on; three times."""
    with LocalServer(tmp_path) as server, objstore.connect(server.url, timeout=2.0) as client:
        store = client.object_store("bucket")
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


def test_without_patience(proxy: Proxy, store: ObjectStore, shared_client: Client) -> None:
    """``reconnect_timeout=0``: it fails at once. The old object is there, and nothing else."""
    old = store.put("x", b"old")
    with objstore.connect(proxy.url, reconnect_timeout=0) as client:
        far = client.object_store(store.name, create=False)
        proxy.up.cut(nth(30, chunks_of(store.name)))
        with pytest.raises(ConnectionLostError):
            far.put("x", once(), chunk_size=CHUNK)
    assert store.read_bytes("x") == b"old"
    store.collect_garbage(min_age=0)
    assert chunk_counts(shared_client, store) == {old.nuid: 1}


@pytest.mark.parametrize("number", [30, 60], ids=["amid the chunks", "before the commit"])
def test_the_server_never_comes_back(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
        objstore.connect(server.url, reconnect_timeout=1.0) as client,
    ):
        store = client.object_store("bucket")
        store.put("x", b"old")
        make_impatient(client, 1.0)
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
    monkeypatch.setattr(sender, "PATIENCE", 2.0)
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
    """It is said as soon as the bucket was looked for, and not after all patience."""
    delete = f"STREAM.DELETE.OBJ_{store.name}"
    proxy.up.call(nth(30, chunks_of(store.name)), lambda: api(shared_client.connection, delete))
    looks: list[Line] = []
    looked = calls(f"STREAM.INFO.OBJ_{store.name}")
    proxy.up.observe(lambda line: looks.append(line) if looked(line) else None)
    with pytest.raises(BucketNotFoundError):
        far.put("x", once(), chunk_size=CHUNK)
    assert len(looks) <= 3  # with a patience of 10 s and a look each 0.1 s there would be 100


def test_the_bucket_is_full(shared_client: Client) -> None:
    """In the middle of a put: refused with its own reason, at once, and cleaned up."""
    store = shared_client.object_store("full", max_bytes=50 * CHUNK)
    try:
        old = store.put("x", b"old")
        with pytest.raises(StorageFullError):
            store.put("x", once(), chunk_size=CHUNK)
        assert store.read_bytes("x") == b"old"
        assert chunk_counts(shared_client, store) == {old.nuid: 1}
    finally:
        shared_client.delete_store("full")


def test_stored_chunks_are_lost(
    far: ObjectStore,
    proxy: Proxy,
    store: ObjectStore,
    shared_client: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody deletes a chunk that was acknowledged, and a fault makes us look: no object."""
    # So few chunks may be unanswered that the first one's answer has surely come, and that it is
    # not sent again, when it is deleted.
    monkeypatch.setattr(channel, "WINDOW", 4 * CHUNK)

    def lose() -> None:
        request = {"next_by_subj": f"$O.{store.name}.C.>", "seq": 1}
        found = api(shared_client.connection, f"STREAM.MSG.GET.OBJ_{store.name}", request)
        gone = {"seq": found["message"]["seq"]}
        assert api(shared_client.connection, f"STREAM.MSG.DELETE.OBJ_{store.name}", gone)["success"]

    def payload() -> Iterator[bytes]:
        for number, part in enumerate(once(step=CHUNK)):
            if number == 40:
                lose()
                proxy.sever()
            yield part

    with pytest.raises(ObjectCorruptError, match="chunks are stored"):
        far.put("x", payload(), chunk_size=CHUNK)
    assert "x" not in store
    assert orphans(shared_client, store) == set()


def test_many_puts_at_once(shared_client: Client, store: ObjectStore) -> None:
    """From as many threads, on one connection: all end well."""
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
