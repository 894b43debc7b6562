"""Garbage: chunks that nobody owns go, and nothing else ever does."""

from __future__ import annotations

import itertools
import threading
from datetime import timedelta
from typing import Any

import pytest

from objstore import (
    BucketNotFoundError,
    BucketSealedError,
    Client,
    GarbageReport,
    InvalidOptionError,
    ObjectStore,
)
from objstore.care import garbage
from objstore.care.owners import Owners
from objstore.care.owners import chunk_counts as chunk_counts_of
from objstore.model.objects import meta_subject
from objstore.model.record_json import encode_info
from objstore.wire.jetstream.api import JetStream
from tests.support.streams import api, chunk_counts, orphans
from tests.support.waiting import PATIENCE


def leave(client: Client, store: ObjectStore, nuid: str, sizes: list[int]) -> None:
    """Leave chunks behind, as a killed program does."""
    for size in sizes:
        client.connection.request(f"$O.{store.name}.C.{nuid}", payload=b"x" * size)


@pytest.mark.parametrize("min_age", [-1, timedelta(-1), "1h", None, True, float("nan")], ids=repr)
def test_bad_ages(min_age: Any, store: ObjectStore, shared_client: Client) -> None:
    leave(shared_client, store, "orphan", [1])
    with pytest.raises(InvalidOptionError, match="min_age"):
        store.collect_garbage(min_age=min_age)
    assert orphans(shared_client, store) == {"orphan"}
    assert store.collect_garbage(min_age=0).nuids == ("orphan",)


def test_an_empty_bucket(store: ObjectStore) -> None:
    assert store.collect_garbage() == GarbageReport(store.name)


def test_chunks_without_an_owner_go(store: ObjectStore, shared_client: Client) -> None:
    content = bytes(range(256)) * 10
    store.put("one", content)
    store.put("many", content, chunk_size=100)
    store.put("empty")
    store.put("over", b"old")
    store.put("over", b"new")
    store.put("gone", b"x")
    store.delete("gone")
    before = chunk_counts(shared_client, store)
    leave(shared_client, store, "first", [100, 100, 30])
    leave(shared_client, store, "second", [7])
    dry = store.collect_garbage(min_age=0, dry_run=True)
    assert (set(dry.nuids), dry.chunks, dry.bytes, dry.dry_run) == (
        {"first", "second"}, 4, 237, True
    )  # fmt: skip
    assert orphans(shared_client, store) == {"first", "second"}
    report = store.collect_garbage(min_age=timedelta())
    assert (set(report.nuids), report.chunks, report.bytes) == (set(dry.nuids), 4, 237)
    assert report.dry_run is False
    assert chunk_counts(shared_client, store) == before
    assert store.verify().ok
    assert store.collect_garbage(min_age=0) == GarbageReport(store.name)


@pytest.mark.parametrize("min_age", [timedelta(hours=1), 3600, 1e12, timedelta.max], ids=repr)
def test_young_chunks_stay(min_age: Any, store: ObjectStore, shared_client: Client) -> None:
    """By the server's own time, and by the newest chunk."""
    leave(shared_client, store, "orphan", [1, 2])
    assert store.collect_garbage(min_age=min_age).chunks == 0
    assert store.collect_garbage().nuids == ()
    assert orphans(shared_client, store) == {"orphan"}
    assert store.collect_garbage(min_age=0).nuids == ("orphan",)


def test_the_newest_chunk_counts(
    store: ObjectStore, shared_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an upload that began before and goes on."""
    leave(shared_client, store, "both", [1])
    leave(shared_client, store, "old", [1])
    middle = garbage._clock(store._handle.records)
    with monkeypatch.context() as patched:
        patched.setattr(garbage, "_clock", lambda _records: middle)
        leave(shared_client, store, "both", [1])
        assert store.collect_garbage(min_age=0).nuids == ("old",)
    assert chunk_counts(shared_client, store) == {"both": 2}
    assert store.collect_garbage(min_age=0).nuids == ("both",)


def test_an_upload_in_progress_is_safe(store: ObjectStore) -> None:
    with store.open("x", "wb", chunk_size=10) as file:
        file.write(b"0123456789" * 10)
        store.collect_garbage()
        file.write(b"more")
    assert store.read_bytes("x") == b"0123456789" * 10 + b"more"


def test_an_upload_that_is_committed_meanwhile(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the listing and the removal, at the last moment."""
    file = store.open("x", "wb", chunk_size=10)
    file.write(b"0123456789" * 10)
    listed = chunk_counts_of

    def commit_then(*arguments: Any) -> Any:
        found = list(listed(*arguments))
        file.close()
        return found

    monkeypatch.setattr(garbage, "chunk_counts", commit_then)
    assert store.collect_garbage(min_age=0).chunks == 0
    assert store.read_bytes("x") == b"0123456789" * 10


def test_chunks_that_come_meanwhile_stay(
    store: ObjectStore, shared_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(shared_client, store, "orphan", [1, 1])
    catch_up = Owners.catch_up

    def come_then(self: Owners) -> None:
        leave(shared_client, store, "orphan", [1])
        catch_up(self)

    with monkeypatch.context() as patched:
        patched.setattr(Owners, "catch_up", come_then)
        assert store.collect_garbage(min_age=0).chunks == 2
    assert chunk_counts(shared_client, store) == {"orphan": 1}
    assert store.collect_garbage(min_age=0).chunks == 1


def test_chunks_that_go_meanwhile(
    store: ObjectStore, shared_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two collections at once: what one removed, the other does not report."""
    leave(shared_client, store, "a", [1])
    leave(shared_client, store, "b", [1])
    catch_up = Owners.catch_up

    def go_then(self: Owners) -> None:
        catch_up(self)
        for nuid in "ab":
            shared_client._jetstream.purge(f"OBJ_{store.name}", f"$O.{store.name}.C.{nuid}")

    monkeypatch.setattr(Owners, "catch_up", go_then)
    assert store.collect_garbage(min_age=0) == GarbageReport(store.name)


def test_chunks_shared_by_two_names(store: ObjectStore, shared_client: Client) -> None:
    """As an interrupted rename leaves them: kept while any of the names lives."""
    info = store.put("old", b"12345", chunk_size=2)
    twin = encode_info(info.with_changes(name="new"))
    shared_client.connection.request(meta_subject(store.name, "new"), payload=twin)
    tombstone = info.with_changes(deleted=True, size=0, chunks=0)
    shared_client.connection.request(
        meta_subject(store.name, "old"), payload=encode_info(tombstone)
    )
    assert store.collect_garbage(min_age=0).chunks == 0
    assert store.read_bytes("new") == b"12345"
    tombstone = tombstone.with_changes(name="new")
    shared_client.connection.request(
        meta_subject(store.name, "new"), payload=encode_info(tombstone)
    )
    assert store.collect_garbage(min_age=0).nuids == (info.nuid,)


@pytest.mark.parametrize("form", ['{{"name": "x", "nuid": "{}"', "{}", "\udcff{}"])
def test_a_malformed_record_keeps_its_chunks(
    form: str, store: ObjectStore, shared_client: Client
) -> None:
    """They may be all that is left to repair an object from."""
    leave(shared_client, store, "kept", [1])
    leave(shared_client, store, "lost", [1])
    payload = form.format("kept").encode("utf-8", "surrogateescape")
    shared_client.connection.request(meta_subject(store.name, "x"), payload=payload)
    assert store.collect_garbage(min_age=0).nuids == ("lost",)
    assert chunk_counts(shared_client, store) == {"kept": 1}


def test_a_malformed_record_that_comes_meanwhile(
    store: ObjectStore, shared_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(shared_client, store, "kept", [1])
    listed = chunk_counts_of

    def publish_then(*arguments: Any) -> Any:
        found = list(listed(*arguments))
        shared_client.connection.request(meta_subject(store.name, "x"), payload=b"kept?")
        return found

    monkeypatch.setattr(garbage, "chunk_counts", publish_then)
    assert store.collect_garbage(min_age=0).chunks == 0


def test_many_pages(
    store: ObjectStore, shared_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More uploads than a page of subjects holds: here a page has three."""
    for number in range(4):
        store.put(f"o{number}", b"x")
        leave(shared_client, store, f"orphan{number}", [1])
    asked: list[int] = []
    stream_info = JetStream.stream_info

    def small_pages(self: JetStream, stream: str, request: Any = None) -> dict[str, Any]:
        answer = stream_info(self, stream, request)
        if request is not None and ".C." in request["subjects_filter"]:
            offset = request["offset"]
            asked.append(offset)
            whole = stream_info(self, stream, {**request, "offset": 0})
            page = sorted(whole["state"]["subjects"].items())[offset : offset + 3]
            answer["state"]["subjects"] = dict(page)
            answer["total"] = 8
        return answer

    monkeypatch.setattr(JetStream, "stream_info", small_pages)
    assert store.collect_garbage(min_age=0).chunks == 4
    assert asked == [0, 3, 6]
    assert [info.name for info in store] == ["o0", "o1", "o2", "o3"]


def test_it_races_with_writers(store: ObjectStore, shared_client: Client) -> None:
    """Puts, overwrites and deletes beside collections of all that is a moment old."""
    stop = threading.Event()
    errors: list[BaseException] = []

    def write(number: int) -> None:
        try:
            for turn in itertools.count():
                store.put(f"w{number}", bytes([turn % 256]) * 1000, chunk_size=100)
                if turn % 3 == 2:
                    store.delete(f"w{number}")
                if stop.is_set() and turn % 3 == 1:
                    return
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            store.collect_garbage(min_age=PATIENCE)  # of a put as slow as the machine
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert errors == []
    report = store.verify()
    assert (report.problems, report.objects, report.orphaned_chunks) == ((), 3, 0)
    del shared_client


@pytest.mark.leaves_chunks("they cannot be removed from a sealed bucket")
def test_a_sealed_bucket(store: ObjectStore, shared_client: Client) -> None:
    leave(shared_client, store, "orphan", [1])
    store.seal()
    assert store.collect_garbage(min_age=0, dry_run=True).chunks == 1
    with pytest.raises(BucketSealedError):
        store.collect_garbage(min_age=0)


def test_no_bucket(client: Client) -> None:
    store = client.object_store("gc-gone")
    client.delete_store("gc-gone")
    for act in (store.collect_garbage, store.verify):
        with pytest.raises(BucketNotFoundError) as caught:
            act()
        assert caught.value.bucket == "gc-gone"


def test_without_direct_gets(store: ObjectStore, shared_client: Client) -> None:
    """A bucket that another client made so."""
    config = api(shared_client.connection, f"STREAM.INFO.OBJ_{store.name}")["config"]
    api(
        shared_client.connection,
        f"STREAM.UPDATE.OBJ_{store.name}",
        {**config, "allow_direct": False},
    )
    store.put("x", b"12345", chunk_size=2)
    leave(shared_client, store, "orphan", [3, 3, 1])
    report = store.collect_garbage(min_age=0)
    assert (report.nuids, report.chunks, report.bytes) == (("orphan",), 3, 7)
    assert store.verify().ok
    # Whoever has not learned yet that there are none, and begins with a listing:
    assert [info.name for info in shared_client.object_store(store.name)] == ["x"]
    assert dict(shared_client.object_store(store.name).get_many(["x"])) == {"x": b"12345"}
