"""nats-py, the official client for asyncio, shares our buckets: live, in both directions."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import nats
import pytest
from nats.js import JetStreamContext
from nats.js.api import ObjectMeta as TheirMeta
from nats.js.api import ObjectMetaOptions as TheirOptions
from nats.js.api import ObjectStoreConfig as TheirConfig
from nats.js.errors import ObjectDeletedError
from nats.js.errors import ObjectNotFoundError as TheirNotFoundError
from nats.js.object_store import ObjectStore as TheirStore

from objstore import Client, LocalServer, ObjectStore
from tests.support.contents import pattern
from tests.support.streams import record, write_record

T = TypeVar("T")

NAMES = ["plain", "dir/with space", "naïve ☃ 名前.txt", "*.>", "x" * 300]
SIZES = [0, 1, 131_072, 131_073, 700_001]


def theirs(server: LocalServer, store: ObjectStore, act: Callable[[TheirStore], Awaitable[T]]) -> T:
    """Run something of nats-py on our bucket."""

    async def run() -> T:
        connection = await nats.connect(server.url)
        try:
            return await act(await connection.jetstream().object_store(store.name))
        finally:
            await connection.close()

    return asyncio.run(run())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", SIZES)
def test_they_read_what_we_wrote(
    name: str, size: int, server: LocalServer, store: ObjectStore
) -> None:
    data = pattern(size)
    ours = store.put(name, data, description="ours", metadata={"k": "v"})

    async def read(their: TheirStore) -> tuple[Any, bytes | None]:
        result = await their.get(name)
        return result.info, result.data

    info, got = theirs(server, store, read)
    assert (got or b"") == data
    assert (info.name, info.size, info.chunks) == (name, size, ours.chunks)
    assert (info.digest, info.nuid, info.description) == (ours.digest, ours.nuid, "ours")


KINDS: dict[str, Callable[[Path], Any]] = {
    "bytes": lambda path: path.read_bytes(),
    "memoryview": lambda path: memoryview(path.read_bytes()),
    "file-like": lambda path: io.BytesIO(path.read_bytes()),
    "iterable": lambda path: iter([path.read_bytes()[:10], path.read_bytes()[10:]]),
    "path": lambda path: path,
}


@pytest.mark.parametrize("kind", KINDS)
def test_they_read_every_kind_of_payload(
    kind: str, server: LocalServer, store: ObjectStore, tmp_path: Path
) -> None:
    path = tmp_path / "content"
    path.write_bytes(pattern(300_000))
    store.put("x", KINDS[kind](path))

    async def read(their: TheirStore) -> bytes | None:
        return (await their.get("x")).data

    assert theirs(server, store, read) == pattern(300_000)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", SIZES)
def test_we_read_what_they_wrote(
    name: str, size: int, server: LocalServer, store: ObjectStore
) -> None:
    data = pattern(size)

    async def write(their: TheirStore) -> None:
        meta = TheirMeta(description="theirs", headers={"Content-Type": "a/b"})
        await their.put(name, io.BytesIO(data), meta=meta)

    theirs(server, store, write)
    info = store.info(name)
    assert info is not None
    assert (info.size, info.description, info.mime) == (size, "theirs", "a/b")
    assert store.read_bytes(name) == data
    assert [each.name for each in store] == [name]


def test_small_chunks_of_theirs(server: LocalServer, store: ObjectStore) -> None:
    async def write(their: TheirStore) -> None:
        meta = TheirMeta(options=TheirOptions(max_chunk_size=1000))
        await their.put("x", pattern(54_321), meta=meta)

    theirs(server, store, write)
    info = store.info("x")
    assert info is not None
    assert info.chunks == 55
    assert store.read_bytes("x") == pattern(54_321)


def test_deletes_are_seen_in_both_directions(server: LocalServer, store: ObjectStore) -> None:
    store.put("ours", b"1")
    store.put("theirs", b"2")
    store.delete("ours")

    async def act(their: TheirStore) -> list[str]:
        with pytest.raises(TheirNotFoundError):
            await their.get("ours")
        await their.delete("theirs")
        await their.put("kept", b"3")
        return [str(info.name) for info in await their.list() if not info.deleted]

    assert theirs(server, store, act) == ["kept"]
    assert store.info("theirs") is None
    assert [info.name for info in store] == ["kept"]
    tombstone = store.info("theirs", include_deleted=True)  # theirs has "mtime": ""
    assert tombstone is not None
    assert tombstone.deleted


def test_overwriting_each_other(server: LocalServer, store: ObjectStore) -> None:
    store.put("x", b"ours")

    async def act(their: TheirStore) -> bytes | None:
        await their.put("x", b"theirs")
        return (await their.get("x")).data

    assert theirs(server, store, act) == b"theirs"
    assert store.read_bytes("x") == b"theirs"
    store.put("x", b"ours again")

    async def read(their: TheirStore) -> bytes | None:
        return (await their.get("x")).data

    assert theirs(server, store, read) == b"ours again"


# --- what a rename and a delete of ours leave to them


def act_on_old(act: str) -> Callable[[TheirStore], Awaitable[None]]:
    """They purge by the nuid of a name's last record, tombstone or not."""

    async def run(their: TheirStore) -> None:
        if act == "put":
            await their.put("old", io.BytesIO(b"theirs"))
        elif act == "delete":
            with contextlib.suppress(TheirNotFoundError):
                await their.delete("old")
        else:
            with contextlib.suppress(TheirNotFoundError, ObjectDeletedError):
                await their.update_meta("old", TheirMeta(name="old", description="d"))

    return run


@pytest.mark.parametrize("act", ["put", "delete", "update"])
def test_the_old_name_after_a_rename_of_ours(
    act: str, server: LocalServer, store: ObjectStore
) -> None:
    store.put("old", pattern(5000), chunk_size=1000)
    store.update("old", new_name="new")
    theirs(server, store, act_on_old(act))
    assert store.read_bytes("new") == pattern(5000)
    assert (store.info("old") is not None) is (act == "put")
    assert store.verify().ok


@pytest.mark.parametrize("act", ["put", "delete"])
def test_the_name_after_a_delete_of_one_of_two(
    act: str, server: LocalServer, store: ObjectStore, shared_client: Client
) -> None:
    """On the same chunks, as an interrupted rename of others leaves them."""
    store.put("old", pattern(5000), chunk_size=1000)
    write_record(shared_client, store, {**record(shared_client, store, "old"), "name": "new"})
    assert store.delete("old") is True
    theirs(server, store, act_on_old(act))
    assert store.read_bytes("new") == pattern(5000)
    assert store.verify().ok


def managed(server: LocalServer, act: Callable[[JetStreamContext], Awaitable[T]]) -> T:
    """Run something of nats-py on the account."""

    async def run() -> T:
        connection = await nats.connect(server.url)
        try:
            return await act(connection.jetstream())
        finally:
            await connection.close()

    return asyncio.run(run())


def test_they_create_what_is_there(server: LocalServer, store: ObjectStore) -> None:
    """As programs do at each start: it is done, and nothing changes."""
    store.put("x", b"1")
    before = store.status().stream_info.config

    async def create(jetstream: JetStreamContext) -> bytes | None:
        their = await jetstream.create_object_store(store.name)
        return (await their.get("x")).data

    assert managed(server, create) == b"1"
    assert store.status().stream_info.config == before


def test_our_update_of_their_bucket(server: LocalServer, shared_client: Client) -> None:
    """It changes what it was told; and they go on."""
    name = "made-by-py"

    async def create(jetstream: JetStreamContext) -> None:
        await jetstream.create_object_store(name, config=TheirConfig(description="theirs"))

    managed(server, create)
    before = shared_client.object_store(name).status().stream_info.config
    after = shared_client.update_store(name, max_bytes=1 << 30).status().stream_info.config
    assert after == {**before, "max_bytes": 1 << 30}
    shared_client.delete_store(name)
