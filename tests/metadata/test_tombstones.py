"""Tombstones: with a nuid of their own, and not for ever."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from objstore import (
    Client,
    GarbageReport,
    LocalServer,
    ObjectInfo,
    ObjectStore,
    StorageFullError,
    connect,
)
from objstore.care import garbage
from objstore.model.objects import meta_subject
from objstore.wire.jetstream.api import JetStream
from tests.support.streams import api, chunk_counts, orphans, record, subjects, write_record
from tests.support.waiting import PATIENCE


def purge_as_others_do(client: Client, store: ObjectStore, name: str) -> None:
    """What a delete or put of any other client does with what it finds under a name."""
    nuid = record(client, store, name)["nuid"]
    assert nuid, "without a nuid nats.go calls the record bad"
    api(
        client.connection, f"STREAM.PURGE.OBJ_{store.name}", {"filter": f"$O.{store.name}.C.{nuid}"}
    )


def tombstone_of(store: ObjectStore, name: str) -> ObjectInfo:
    info = store.info(name, include_deleted=True)
    assert info is not None
    assert info.deleted
    return info


# --- a nuid of their own


def rename(store: ObjectStore, client: Client) -> None:
    store.update("old", new_name="new")


def rename_with_a_description(store: ObjectStore, client: Client) -> None:
    store.update("old", new_name="new", description="d")


def rename_twice(store: ObjectStore, client: Client) -> None:
    store.update("old", new_name="between")
    store.update("between", new_name="new")


def rename_there_and_back(store: ObjectStore, client: Client) -> None:
    store.update("old", new_name="new")
    store.update("new", new_name="old")
    store.update("old", new_name="new")


def delete_one_of_two(store: ObjectStore, client: Client) -> None:
    """As another client's interrupted rename leaves them."""
    write_record(client, store, {**record(client, store, "old"), "name": "new"})
    store.delete("old")


def delete_a_copied_one(store: ObjectStore, client: Client) -> None:
    store.copy("old", "new")
    store.delete("old")


ACTS = [rename, rename_with_a_description, rename_twice, rename_there_and_back, delete_one_of_two,
        delete_a_copied_one]  # fmt: skip


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
def test_others_purge_nothing_by_a_tombstone(
    act: Callable[[ObjectStore, Client], None], store: ObjectStore, shared_client: Client
) -> None:
    store.put("old", b"precious", chunk_size=3)
    act(store, shared_client)
    tombstones = [info for info in store.list(include_deleted=True) if info.deleted]
    assert "old" in {info.name for info in tombstones}
    for tombstone in tombstones:
        assert tombstone.nuid not in chunk_counts(shared_client, store)
        assert not {"objstore_moved_to", "objstore_moved_from"} & tombstone.extra.keys()
        purge_as_others_do(shared_client, store, tombstone.name)
    assert store.read_bytes("new") == b"precious"
    assert store.verify().ok


def test_no_two_tombstones_are_alike(store: ObjectStore) -> None:
    nuids = set()
    for _ in range(3):
        nuids.add(store.put("x", b"1").nuid)
        store.delete("x")
        nuids.add(tombstone_of(store, "x").nuid)
    assert len(nuids) == 6


@pytest.mark.parametrize("chunks", [0, 3], ids=["no chunks", "chunks stated"])
def test_others_tombstone_with_a_live_nuid(
    chunks: int, store: ObjectStore, shared_client: Client
) -> None:
    """As nats.go's interrupted rename and delete leave it: nothing of ours purges by it."""
    for act in (
        lambda: store.put("old", b"over it"),
        lambda: store.delete("old"),
        lambda: store.put("other", b"1") and store.update("other", new_name="old"),
        lambda: store.link("old", (store.name, "new")),
        lambda: store.put_many([("old", b"over it")]),
    ):
        info = store.put("new", b"precious", chunk_size=3)
        fields = {**record(shared_client, store, "new"), "name": "old", "deleted": True}
        size = {"size": info.size if chunks else 0, "chunks": chunks, "digest": ""}
        write_record(shared_client, store, {**fields, **size})
        act()
        assert store.read_bytes("new") == b"precious"
        shared_client._jetstream.purge(f"OBJ_{store.name}", meta_subject(store.name, "old"))
        store.collect_garbage(min_age=0)
    assert store.read_bytes("new") == b"precious"


# --- collected


def names(store: ObjectStore) -> dict[str, bool]:
    """All names that have a record, and whether that is a tombstone."""
    return {info.name: info.deleted for info in store.list(include_deleted=True)}


def test_old_tombstones_are_collected(store: ObjectStore, shared_client: Client) -> None:
    for name in ("live", "gone", "renamed", "again"):
        store.put(name, b"1")
    for name in ("gone", "again"):
        store.delete(name)
    store.update("renamed", new_name="new")
    store.put("again", b"2")
    marker = {"Nats-Marker-Reason": "MaxAge"}
    shared_client.connection.request(meta_subject(store.name, "marked"), headers=marker)
    before = subjects(shared_client, store)
    assert store.collect_garbage() == GarbageReport(store.name), "they are young"
    dry = store.collect_garbage(min_age=0, dry_run=True)
    assert (dry.tombstones, dry.chunks, dry.dry_run) == (3, 0, True)
    assert subjects(shared_client, store) == before
    assert store.collect_garbage(min_age=timedelta(0)).tombstones == 3
    assert names(store) == {"live": False, "new": False, "again": False}
    assert store.read_bytes("again") == b"2"
    assert store.info("gone", include_deleted=True) is None
    assert store.delete("gone") is False
    assert store.collect_garbage(min_age=0) == GarbageReport(store.name)
    store.put("gone", b"3", if_revision=0)
    assert store.read_bytes("gone") == b"3"


def test_the_age_of_a_tombstone_counts(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the server's clock."""
    store.put("old")
    store.delete("old")
    middle = garbage._clock(store._handle.records)
    store.put("young")
    store.delete("young")
    with monkeypatch.context() as patched:
        patched.setattr(garbage, "_clock", lambda _records: middle)
        assert store.collect_garbage(min_age=0).tombstones == 1
    assert names(store) == {"young": True}


def test_a_name_that_is_put_meanwhile(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the listing and the removal, at the last moment."""
    for name in ("put", "deleted anew", "stays gone"):
        store.put(name, b"1")
        store.delete(name)
    purge = JetStream.purge

    def put_then(self: JetStream, *arguments: Any) -> int:
        monkeypatch.undo()
        store.put("put", b"2")
        store.put("deleted anew", b"2")
        store.delete("deleted anew")
        return purge(self, *arguments)

    monkeypatch.setattr(JetStream, "purge", put_then)
    assert store.collect_garbage(min_age=0).tombstones == 1
    assert names(store) == {"put": False, "deleted anew": True}
    assert store.read_bytes("put") == b"2"


def test_older_records_below_a_tombstone_do_not_rise(
    store: ObjectStore, shared_client: Client
) -> None:
    """Of clients that store without a rollup."""
    store.put("x", b"1")
    fields = record(shared_client, store, "x")
    for description in "ab":
        write_record(shared_client, store, {**fields, "description": description})
    gone = {"deleted": True, "size": 0, "chunks": 0, "digest": ""}
    write_record(shared_client, store, {**fields, **gone})
    assert store.collect_garbage(min_age=0).tombstones == 1
    assert names(store) == {}
    assert subjects(shared_client, store) == {}


# --- in the way


@pytest.fixture
def small(shared_client: Client, store: ObjectStore) -> Iterator[ObjectStore]:
    """A bucket that holds some two hundred tombstones."""
    small = shared_client.object_store(f"{store.name}-small", max_bytes=64 << 10)
    yield small
    shared_client.delete_store(small.name)


def test_names_that_are_used_once(small: ObjectStore, shared_client: Client) -> None:
    """A bucket of a fixed size takes them for ever; the newer tombstones are still there."""
    small.put("kept", b"k")
    for number in range(450):
        small.put(f"job-{number}", bytes(1000))
        assert small.delete(f"job-{number}")
    there = names(small)
    assert there.pop("kept") is False
    assert set(there) <= {f"job-{number}" for number in range(150, 450)}
    assert "job-449" in there
    assert small.read_bytes("kept") == b"k"
    assert orphans(shared_client, small) == set()


ROADS: dict[str, Callable[[ObjectStore], object]] = {
    "put": lambda store: store.put("x", bytes(9000)),
    "put of several chunks": lambda store: store.put("x", bytes(9000), chunk_size=500),
    "put of a stream": lambda store: store.put("x", io.BytesIO(bytes(9000)), chunk_size=500),
    "put_many": lambda store: store.put_many([("x", bytes(9000)), ("y", b"1")]),
    "wb": lambda store: _written(store, "wb"),
    "xb": lambda store: _written(store, "xb"),
    "copy": lambda store: store.copy("kept", "x"),
    "update": lambda store: store.update("kept", description="d" * 9000),
    "rename": lambda store: store.update("kept", new_name="x", description="d" * 5000),
    "link": lambda store: [store.link(f"l{i}", (store.name, "kept")) for i in range(40)],
}


def _written(store: ObjectStore, mode: str) -> None:
    with store.open("x", mode, chunk_size=500) as file:
        file.write(bytes(9000))


@pytest.mark.parametrize("how", ROADS)
def test_every_road_finds_room(how: str, small: ObjectStore, shared_client: Client) -> None:
    """Where others' tombstones fill the bucket, which nobody has looked at yet."""
    small.put("kept", bytes(4000))
    _fill_as_others_do(small, shared_client)
    ROADS[how](small)
    assert small.verify().ok
    assert orphans(shared_client, small) == set()
    assert "kept" in small or "x" in small


def _fill_as_others_do(store: ObjectStore, client: Client) -> None:
    for number in range(1000):
        fields = {"name": f"job-{number}", "nuid": "N", "deleted": True, "description": "d" * 100}
        answer = client.connection.request(
            meta_subject(store.name, f"job-{number}"), payload=json.dumps(fields).encode()
        )
        if b"error" in bytes(answer.payload):
            return
    pytest.fail("the bucket is never full")


def test_a_bucket_full_of_objects(small: ObjectStore, shared_client: Client) -> None:
    """There is no room to be made: the error is what it is, at once and after each look."""
    with pytest.raises(StorageFullError):
        small.put_many((f"{number}", bytes(5000)) for number in range(100))
    stored = len(list(small))
    before = subjects(shared_client, small)
    for _ in range(3):
        with pytest.raises(StorageFullError):
            small.put("x", bytes(5000))
        with pytest.raises(StorageFullError):
            small.put_many([("x", bytes(5000))])
    assert subjects(shared_client, small) == before
    assert len(list(small)) == stored > 5


def test_a_put_that_is_larger_than_the_room_tries_once(
    small: ObjectStore, shared_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill_as_others_do(small, shared_client)
    calls = []
    made = JetStream.purge

    def purge(self: JetStream, stream: str, subject: str, *rest: Any) -> int:
        calls.append(subject)
        return made(self, stream, subject, *rest)

    tombstones = len(names(small))
    monkeypatch.setattr(JetStream, "purge", purge)
    with pytest.raises(StorageFullError):
        small.put("x", bytes(100_000), chunk_size=1000)
    assert len([subject for subject in calls if ".M." in subject]) == -(-tombstones // 2)
    assert "x" not in small
    assert orphans(shared_client, small) == set()
    monkeypatch.undo()
    small.put("x", bytes(9000))
    assert small.read_bytes("x") == bytes(9000)


def test_several_threads_in_a_full_bucket(
    small: ObjectStore, shared_client: Client, server: LocalServer
) -> None:
    _fill_as_others_do(small, shared_client)
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(60):
                small.put(f"{number}-{turn}", b"x" * 500)
                assert small.delete(f"{number}-{turn}")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert failures == []
    with connect(server.url) as other:
        seen = other.object_store(small.name, create=False)
        assert list(seen) == []
    assert orphans(shared_client, small) == set()
