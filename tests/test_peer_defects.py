"""What other clients get wrong, provoked here: P1 to P24.

Each test has the situation in which nats.go, nats-py, nats.js or natsrpy failed, and would fail
with their behaviour. Nothing may remain in a bucket that no object owns.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import gc
import io
import json
import threading
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

import objstore
from objstore import (
    Client,
    ConnectionLostError,
    DigestMismatchError,
    LocalServer,
    ObjectChangedError,
    ObjectCorruptError,
    ObjectExistsError,
    ObjectNotFoundError,
    ObjectStore,
    ObjStoreError,
    RequestTimeoutError,
    RevisionMismatchError,
    StorageFullError,
)
from objstore.get.batched_gets import TRIES
from objstore.model.objects import chunk_subject
from objstore.put import ack_window, sender
from tests.support.contents import pattern
from tests.support.proxy import Line, Proxy, calls, chunks_of, metadata_of, nth
from tests.support.streams import (
    api,
    chunk_counts,
    consumer_count,
    delete_chunk,
    orphans,
    record,
    subjects,
    write_record,
)
from tests.support.waiting import PATIENCE, eventually

T = TypeVar("T")


def in_time(act: Callable[[], T]) -> T:
    """What a call gives or raises, which must not hang."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(act())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive(), "it hangs"
    if errors:
        raise errors[0]
    return results[0]


def together(*acts: Callable[[], object]) -> None:
    """Run all at once, each in a thread of its own."""
    errors: list[BaseException] = []
    barrier = threading.Barrier(len(acts))

    def run(act: Callable[[], object]) -> None:
        try:
            barrier.wait(PATIENCE)
            act()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert errors == []


def test_p01_overwriting_in_a_full_bucket_keeps_the_old_object(shared_client: Client) -> None:
    """100 KiB by 120 KiB in 200 KiB: refused, and nothing else."""
    store = shared_client.object_store("p01", max_bytes=200 << 10)
    old = store.put("x", b"a" * (100 << 10))
    with pytest.raises(StorageFullError):
        store.put("x", b"b" * (120 << 10), chunk_size=10 << 10)
    assert store.info("x") == old.with_changes(mtime=store.info("x").mtime)  # type: ignore[union-attr]
    assert store.read_bytes("x") == b"a" * (100 << 10)
    assert chunk_counts(shared_client, store) == {old.nuid: 1}
    shared_client.delete_store("p01")


def test_p02_the_ack_of_the_metadata_is_lost(
    proxy: Proxy, far_store: ObjectStore, store: ObjectStore, shared_client: Client
) -> None:
    """The record is there, so the put has succeeded; the chunks stay."""
    for content in (b"first", b"second"):
        lost = proxy.down.drop(proxy.answers(metadata_of(store.name)))
        info = far_store.put("x", content)
        assert lost.happened.is_set()
        found = store.info("x")
        assert found is not None
        assert (found.nuid, found.revision) == (info.nuid, info.revision)
        assert store.read_bytes("x") == content
    assert orphans(shared_client, store) == set()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_p02_the_connection_is_lost_at_the_metadata(
    after: bool, proxy: Proxy, far_store: ObjectStore, store: ObjectStore, shared_client: Client
) -> None:
    """Before they reached the server or after: they are stored once."""
    first = far_store.put("x", b"first")
    cut = proxy.up.cut(metadata_of(store.name), after=after)
    info = far_store.put("x", b"second", if_revision=first.revision)
    assert cut.happened.is_set()
    assert store.read_bytes("x") == b"second"
    assert chunk_counts(shared_client, store) == {info.nuid: 1}


@pytest.mark.parametrize("guarded", [False, True], ids=["any revision", "if_revision"])
def test_p02_the_ack_is_lost_and_the_object_overwritten(
    guarded: bool, proxy: Proxy, far_store: ObjectStore, store: ObjectStore, shared_client: Client
) -> None:
    """Whoever overwrote it has removed its chunks: its record must not be stored once more."""
    first = store.put("x", b"first")
    proxy.down.drop(proxy.answers(metadata_of(store.name)), then=lambda: store.put("x", b"theirs"))
    with pytest.raises(RequestTimeoutError):
        far_store.put("x", b"ours", if_revision=first.revision if guarded else None)
    assert store.read_bytes("x") == b"theirs"
    assert orphans(shared_client, store) == set()


def test_p02_the_ack_of_a_tombstone_is_lost_and_the_object_is_put_again(
    proxy: Proxy, far_store: ObjectStore, store: ObjectStore, shared_client: Client
) -> None:
    """The first one is gone, by this tombstone or another's: nobody can tell, and it is said.

    The second one, acknowledged since, is not its to delete.
    """
    store.put("x", b"first")
    proxy.down.drop(proxy.answers(metadata_of(store.name)), then=lambda: store.put("x", b"again"))
    with pytest.raises(RequestTimeoutError):
        far_store.delete("x")
    info = store.info("x")
    assert info is not None
    assert store.read_bytes("x") == b"again"
    assert chunk_counts(shared_client, store) == {info.nuid: 1}


def test_p02_the_server_is_silent_for_longer_than_a_time_out(
    proxy: Proxy, far_store: ObjectStore, store: ObjectStore, shared_client: Client
) -> None:
    """As while a leader is elected: the ack is lost, and so is the first look at the leader."""
    proxy.down.drop(proxy.answers(metadata_of(store.name)))
    looks = proxy.down.drop(proxy.answers(calls("STREAM.MSG.GET")))
    info = far_store.put("x", b"1")
    assert looks.happened.is_set()
    assert chunk_counts(shared_client, store) == {info.nuid: 1}
    assert store.read_bytes("x") == b"1"


def test_p03_racing_put_update_rename_and_delete(
    store: ObjectStore, server: LocalServer, shared_client: Client
) -> None:
    """Whatever wins, the object can be read, and the losers leave nothing."""
    with objstore.connect(server.url) as another:
        other = another.object_store(store.name, create=False)
        for turn in range(15):
            store.put("x", b"0" * 3000, chunk_size=1000)

            def put(byte: bytes, where: ObjectStore = store) -> None:
                where.put("x", byte * 3000, chunk_size=1000)

            def update(where: ObjectStore = other, turn: int = turn) -> None:
                with contextlib.suppress(ObjectNotFoundError):
                    where.update("x", description=f"updated {turn}")

            def rename() -> None:
                with contextlib.suppress(
                    ObjectNotFoundError, ObjectChangedError, ObjectExistsError
                ):
                    store.update("x", new_name="y")

            together(
                lambda: put(b"1"),
                lambda: put(b"2", other),
                update,
                rename,
                lambda: store.delete("x"),
                lambda: other.delete("x"),
            )
            for info in store:
                content = store.read_bytes(info.name)
                assert content in (b"0" * 3000, b"1" * 3000, b"2" * 3000)
            assert orphans(shared_client, store) == set()
            store.delete("y")


def test_p03_of_racing_deletes_one_deletes(store: ObjectStore) -> None:
    for _ in range(20):
        store.put("x", b"1")
        deleted: list[bool] = []

        def delete(into: list[bool] = deleted) -> None:
            into.append(store.delete("x"))

        together(*[delete] * 4)
        assert sorted(deleted) == [False, False, False, True]


def test_p04_a_tombstone_that_cannot_be_stored(store: ObjectStore, shared_client: Client) -> None:
    """The server takes no message of its size: the object stays whole."""
    store.put("x", b"a" * 15_000, chunk_size=50)
    stream = api(shared_client.connection, f"STREAM.INFO.OBJ_{store.name}")["config"]
    stream["max_msg_size"] = 60
    api(shared_client.connection, f"STREAM.UPDATE.OBJ_{store.name}", stream)
    with pytest.raises(ObjStoreError, match="message size"):
        store.delete("x")
    assert store.read_bytes("x") == b"a" * 15_000


def test_p04_a_bucket_without_room_for_a_tombstone(shared_client: Client) -> None:
    """So full that it takes no record any more: it can be emptied, and watchers are told."""
    store = shared_client.object_store("p04", max_bytes=20_000)
    store.put("x", b"a" * 15_000)
    for size in (1000, 100, 10):
        filling = 0
        while True:
            try:
                store.put(f"{size}-{filling}", b"b" * size)
            except StorageFullError:
                break
            filling += 1
    with pytest.raises(StorageFullError):
        store.update("x", description="longer")
    info = store.info("x")
    assert info is not None
    with pytest.raises(RevisionMismatchError):
        store.delete("x", if_revision=info.revision - 1)
    with store.watch(updates_only=True) as watcher:
        assert store.delete("x", if_revision=info.revision) is True
        assert (gone := watcher.next(PATIENCE)).deleted
        assert gone.name == "x"
    assert store.delete("x") is False
    assert "x" not in store
    assert info.nuid not in chunk_counts(shared_client, store)
    for each in store:
        assert store.delete(each.name) is True
    assert chunk_counts(shared_client, store) == {}
    shared_client.delete_store("p04")


def test_p04_a_full_bucket_whose_object_is_overwritten_meanwhile(
    proxy: Proxy, far_client: Client, shared_client: Client
) -> None:
    """What is removed is what was found, and nothing newer."""
    store = shared_client.object_store("p04", max_bytes=20_000)
    store.put("x", b"a" * 9_000)
    store.put("y", b"b" * 9_000)
    with contextlib.suppress(StorageFullError):
        for filling in range(1000):
            store.put(f"{filling}")
    far_store = far_client.object_store("p04", create=False)

    def overwrite() -> None:
        store.delete("y")
        store.put("x", b"new")

    proxy.up.call(calls("STREAM.PURGE"), overwrite)
    with pytest.raises(StorageFullError):
        far_store.delete("x")
    assert store.read_bytes("x") == b"new"
    assert orphans(shared_client, store) == set()
    shared_client.delete_store("p04")


def test_p05_downloads_to_a_path(store: ObjectStore, tmp_path: Path) -> None:
    """A longer file is truncated; a missing or damaged object leaves the file alone."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 300)
    store.put("short", b"abc")
    store.download_file("short", path)
    assert path.read_bytes() == b"abc"
    with pytest.raises(ObjectNotFoundError):
        store.download_file("missing", path)
    assert path.read_bytes() == b"abc"
    assert list(tmp_path.iterdir()) == [path]


def test_p05_a_damaged_download_leaves_the_file_alone(
    store: ObjectStore, shared_client: Client, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    info = store.put("x", pattern(5000), chunk_size=1000)
    delete_chunk(shared_client, store, info.nuid, 3)
    with pytest.raises(ObjectCorruptError):
        store.download_file("x", path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_p06_links_are_read_like_objects(store: ObjectStore, tmp_path: Path) -> None:
    store.put("target", pattern(5000), chunk_size=1000)
    store.link("link", (store.name, "target"))
    info = store.download_file("link", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == pattern(5000)
    assert info.name == "target"
    assert store.read_bytes("link") == pattern(5000)
    assert store.read_range("link", 1000, 1010) == pattern(5000)[1000:1010]
    with store.open("link") as file:
        assert file.read() == pattern(5000)
    assert dict(store.get_many(["link"])) == {"link": pattern(5000)}


def test_p07_an_update_changes_what_is_given_and_leaves_one_record(
    store: ObjectStore, shared_client: Client
) -> None:
    before = store.put("x", b"1", description="d", headers={"h": ["1", "2"]}, metadata={"k": "v"})
    after = store.update("x", mime="text/plain")
    assert (after.description, after.metadata) == ("d", {"k": "v"})
    assert after.headers.getlist("h") == ["1", "2"]
    assert (after.nuid, after.options, after.digest) == (before.nuid, before.options, before.digest)
    store.link("l", (store.name, "x"))
    assert store.update("l", description="a link").link == objstore.ObjectLink(store.name, "x")
    assert store.read_bytes("l") == b"1"
    assert {count for subject, count in subjects(shared_client, store).items()} == {1}


def test_p08_rename(store: ObjectStore, shared_client: Client) -> None:
    store.put("old ☃", pattern(3000), chunk_size=1000, description="d")
    info = store.update("old ☃", new_name="new/名前")
    assert (info.name, info.description) == ("new/名前", "d")
    assert store.read_bytes("new/名前") == pattern(3000)
    assert [each.name for each in store] == ["new/名前"]
    assert orphans(shared_client, store) == set()


@pytest.mark.parametrize("first", ["old", "new"])
def test_p09_two_names_on_one_nuid_as_another_client_left_them(
    first: str, store: ObjectStore, shared_client: Client
) -> None:
    """A rename of nats.go that crashed after the new record: each name goes alone."""
    store.put("old", pattern(3000), chunk_size=1000)
    fields = record(shared_client, store, "old")
    write_record(shared_client, store, {**fields, "name": "new"})
    second = "new" if first == "old" else "old"
    assert store.delete(first) is True
    assert store.read_bytes(second) == pattern(3000)
    assert store.delete(second) is True
    assert chunk_counts(shared_client, store) == {}


@pytest.mark.parametrize("change", ["delete old", "delete new", "put old", "put new"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_p09_a_rename_that_crashes_at_each_of_its_steps(
    step: int,
    after: bool,
    change: str,
    proxy: Proxy,
    store: ObjectStore,
    shared_client: Client,
) -> None:
    """The note, the new record, the tombstone: whatever is left, no name takes another's chunks."""
    store.put("old", pattern(3000), chunk_size=1000)
    with objstore.connect(proxy.url, reconnect_timeout=0) as dying:
        far_store = dying.object_store(store.name, create=False)
        cut = proxy.up.cut(nth(step, metadata_of(store.name)), after=after)
        # The answer to the last step may come just before the cut.
        may_succeed = (step, after) == (3, True)
        lost = pytest.raises(ConnectionLostError)
        with contextlib.suppress(ConnectionLostError) if may_succeed else lost:
            far_store.update("old", new_name="new")
        assert cut.happened.wait(PATIENCE)
    proxy.sever()
    shared_client.connection.ping()
    stored = _settled_names(store)
    assert stored <= {"old", "new"}
    assert stored
    assert all(store.read_bytes(name) == pattern(3000) for name in stored)
    verb, name = change.split()
    if verb == "delete":
        assert store.delete(name) is (name in stored)
    else:
        store.put(name, b"overwritten")
    for other in stored - {name}:
        assert store.read_bytes(other) == pattern(3000)
    assert orphans(shared_client, store) == set()
    for other in stored | {name}:
        store.delete(other)
    assert chunk_counts(shared_client, store) == {}


def _settled_names(store: ObjectStore) -> set[str]:
    """The live names, when the server has stored what a dead connection still brought."""
    seen: list[set[str]] = []

    def the_same_twice() -> bool:
        seen.append({info.name for info in store})
        return len(seen) > 1 and seen[-1] == seen[-2]

    eventually(the_same_twice, "the end of the changes")
    return seen[-1]


def test_p10_tombstones_without_mtime(store: ObjectStore, shared_client: Client) -> None:
    """``"mtime": ""`` is never written, and tolerated."""
    store.put("x", b"1", description="d")
    store.delete("x")
    ours = record(shared_client, store, "x")
    assert ours["deleted"] is True
    assert "mtime" not in ours
    write_record(shared_client, store, {**ours, "mtime": "", "name": "y"})
    store.put("z", b"1")
    assert [info.name for info in store.list(include_deleted=True)] == ["x", "y", "z"]
    assert store.info("y") is None
    store.put("y", b"again")
    assert store.read_bytes("y") == b"again"


def test_p11_header_values(store: ObjectStore, shared_client: Client) -> None:
    """Lists are written, whatever was given; lists and bare strings are read."""
    store.put("x", b"1", mime="a/b", headers={"one": "1", "two": ["1", "2"]})
    fields = record(shared_client, store, "x")
    assert fields["headers"] == {"one": ["1"], "two": ["1", "2"], "Content-Type": ["a/b"]}
    write_record(shared_client, store, {**fields, "headers": {"Content-Type": "c/d", "one": "1"}})
    info = store.info("x")
    assert info is not None
    assert info.mime == "c/d"
    assert info.headers.getlist("One") == ["1"]
    store.update("x", description="d")
    assert record(shared_client, store, "x")["headers"] == {"Content-Type": ["c/d"], "one": ["1"]}


def test_p12_objects_without_digest(store: ObjectStore, shared_client: Client) -> None:
    """An empty one is nothing special; another is read with a warning that it was not verified."""
    for name, content in (("empty", b""), ("full", pattern(3000))):
        store.put(name, content, chunk_size=1000)
        fields = record(shared_client, store, name)
        del fields["digest"]
        write_record(shared_client, store, fields)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert store.read_bytes("empty") == b""
    with pytest.warns(UserWarning, match="unverified"):
        assert store.read_bytes("full") == pattern(3000)


@pytest.mark.parametrize(
    ("chunks", "lost"), [(1, 0), (2, 0), (2, 1), (50, 0), (50, 25), (50, -1)], ids=str
)
def test_p13_missing_chunks(
    chunks: int, lost: int, far_store: ObjectStore, store: ObjectStore, shared_client: Client
) -> None:
    """An error that says so, and the bytes before it are right."""
    content = pattern(chunks * 1000)
    info = store.put("x", content, chunk_size=1000)
    delete_chunk(shared_client, store, info.nuid, lost)
    with pytest.raises(ObjectCorruptError, match=f"1 of its {chunks} chunks is missing"):
        in_time(lambda: far_store.read_bytes("x"))
    with pytest.raises(ObjectCorruptError, match=f"1 of its {chunks} chunks is missing"):
        in_time(lambda: dict(far_store.get_many(["x"])))
    result = far_store.get("x")
    assert result is not None
    got = bytearray()
    with result, pytest.raises(ObjectCorruptError):
        got.extend(byte for chunk in result.data for byte in chunk)
    assert content.startswith(got)
    assert len(got) < len(content)


def test_p13_all_chunks_missing(
    far_store: ObjectStore, store: ObjectStore, shared_client: Client
) -> None:
    info = store.put("x", pattern(50_000), chunk_size=1000)
    shared_client.connection.request(
        f"$JS.API.STREAM.PURGE.OBJ_{store.name}",
        payload=b'{"filter":"%s"}' % chunk_subject(store.name, info.nuid).encode(),
    )
    with pytest.raises(ObjectCorruptError, match="50 of its 50 chunks are missing"):
        in_time(lambda: far_store.read_bytes("x"))


@pytest.mark.needs_server("2.11")  # it looks at batches
def test_p13_silence_is_not_damage(
    proxy: Proxy, far_store: ObjectStore, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches whose answers are lost are asked for again, until one time-out has passed."""
    monkeypatch.setattr("objstore.get.batched_gets.SILENCE", 0.02)
    store.put("x", pattern(50_000), chunk_size=1000)
    lost = TRIES + 3
    dropped = proxy.up.drop(_batches(store), times=lost)
    with objstore.connect(proxy.url) as patient:
        assert patient.object_store(store.name).read_bytes("x") == pattern(50_000)
    assert len(dropped.lines) == lost
    proxy.up.drop(_batches(store), times=1_000_000)
    with pytest.raises(RequestTimeoutError):
        in_time(lambda: far_store.read_bytes("x"))


@pytest.mark.needs_server("2.11")  # it looks at batches
def test_p13_a_connection_that_breaks_at_each_batch_is_not_damage(
    proxy: Proxy, far_store: ObjectStore, store: ObjectStore
) -> None:
    store.put("x", pattern(50_000), chunk_size=1000)
    cut = proxy.up.cut(_batches(store))
    assert far_store.read_bytes("x") == pattern(50_000)
    assert cut.happened.is_set()
    for _ in range(TRIES + 1):
        proxy.up.cut(_batches(store))
    with pytest.raises(ConnectionLostError):
        in_time(lambda: far_store.read_bytes("x"))


@pytest.mark.parametrize("stated", [1000, 60_000, 99_999, 10_000_000])
def test_p13_chunks_larger_than_stated_are_not_damage(
    stated: int, store: ObjectStore, shared_client: Client
) -> None:
    """Batches end before they were expected to; nothing is missing for that."""
    content = pattern(20_000) * 600
    store.put("x", content, chunk_size=100_000)
    fields = record(shared_client, store, "x")
    write_record(shared_client, store, {**fields, "options": {"max_chunk_size": stated}})
    assert store.read_bytes("x") == content


@pytest.mark.parametrize("chunk_size", [100, 1000, 10_000, 33_333, 131_072])
def test_p13_batches_of_all_sizes(chunk_size: int, store: ObjectStore) -> None:
    """What the server counts for a batch is more than its chunks."""
    content = pattern(20_000) * (50 if chunk_size == 100 else 500)
    store.put("x", content, chunk_size=chunk_size)
    assert store.read_bytes("x") == content


def _batches(store: ObjectStore) -> Callable[[Line], bool]:
    """Requests for batches of chunks."""
    asked = calls(f"DIRECT.GET.OBJ_{store.name}")
    return lambda line: asked(line) and f"$O.{store.name}.C.".encode() in line.payload


@pytest.mark.parametrize("end", ["overwritten", "deleted"])
def test_p14_overwritten_or_deleted_while_being_read(end: str, store: ObjectStore) -> None:
    """An error that says so, at once, and no mixture."""
    content = pattern(20_000) * 1000
    store.put("x", content, chunk_size=100_000)
    result = store.get("x")
    assert result is not None
    with result:
        got = [result.read(250_000)]
        if end == "deleted":
            store.delete("x")
        else:
            store.put("x", bytes(len(content)), chunk_size=100_000)
        with pytest.raises(ObjectChangedError, match=end):
            in_time(lambda: got.extend(result.data))
    assert content.startswith(b"".join(got))


def test_p14_read_bytes_begins_again_by_itself(
    proxy: Proxy, far_store: ObjectStore, store: ObjectStore
) -> None:
    """Overwritten between the record and the chunks, twice; then deleted."""
    store.put("x", pattern(50_000), chunk_size=1000)
    for byte in (b"1", b"2"):
        overwrite = functools.partial(store.put, "x", byte * 50_000, chunk_size=1000)
        proxy.up.call(_batches(store), overwrite)
    assert far_store.read_bytes("x") == b"2" * 50_000
    proxy.up.call(_batches(store), lambda: store.delete("x"))
    with pytest.raises(ObjectNotFoundError):
        far_store.read_bytes("x")


def test_p15_the_time_out_is_not_for_the_whole_transfer(proxy: Proxy, store: ObjectStore) -> None:
    """A network so slow that the object takes longer than one time-out, in both directions."""
    timeout = 2.0
    with objstore.connect(proxy.url, timeout=timeout) as client:
        far_store = client.object_store(store.name, create=False)
        proxy.down.delay = proxy.up.delay = 0.06
        begun = time.monotonic()
        far_store.put("x", pattern(40_000), chunk_size=1000)
        half = time.monotonic()
        assert far_store.read_bytes("x") == pattern(40_000)
        assert half - begun > timeout  # or the test proves nothing
        assert time.monotonic() - half > timeout


@pytest.mark.parametrize("message", [1, 100, 513, 900])
def test_p16_a_list_that_is_cut_off(
    message: int, proxy: Proxy, far_store: ObjectStore, store: ObjectStore
) -> None:
    """It is complete, or an error; never short."""
    names = [f"o{i}" for i in range(1000)]
    for name in names:
        store.put(name)
    records = proxy.answers(calls(f"DIRECT.GET.OBJ_{store.name}"))
    cut = proxy.down.cut(nth(message, records))
    with contextlib.suppress(ConnectionLostError, RequestTimeoutError):
        assert [info.name for info in far_store] == names
    assert cut.happened.is_set()
    assert [info.name for info in far_store] == names


@pytest.mark.needs_server("2.11")  # it looks at batches
def test_p16_a_list_whose_messages_are_lost(
    proxy: Proxy, far_store: ObjectStore, store: ObjectStore
) -> None:
    """Not the connection ends but the answers: an error too."""
    for i in range(20):
        store.put(f"o{i}")
    records = proxy.answers(calls(f"DIRECT.GET.OBJ_{store.name}"))
    proxy.down.drop(lambda line: records(line) and b"204" in line.payload[:20])
    with pytest.raises(RequestTimeoutError):
        in_time(lambda: list(far_store))


def test_p17_a_put_whose_acks_are_lost(
    proxy: Proxy, far_store: ObjectStore, store: ObjectStore, shared_client: Client
) -> None:
    store.put("x", b"old")
    proxy.down.drop(proxy.answers(chunks_of(store.name)), times=1000)
    with pytest.raises(RequestTimeoutError) as caught:
        in_time(lambda: far_store.put("x", pattern(50_000), chunk_size=1000))
    assert (caught.value.bucket, caught.value.name) == (store.name, "x")
    assert store.read_bytes("x") == b"old"
    assert orphans(shared_client, store) == set()


@pytest.mark.parametrize("chunk", [1, 2, 25, 50])
def test_p17_a_put_whose_connection_breaks(
    chunk: int, proxy: Proxy, far_store: ObjectStore, store: ObjectStore, shared_client: Client
) -> None:
    """It is stored whole, or it is an error and the old object is there."""
    store.put("x", b"old")
    cut = proxy.up.cut(nth(chunk, chunks_of(store.name)), after=True)
    content: bytes = b"old"
    try:
        far_store.put("x", pattern(50_000), chunk_size=1000)
        content = pattern(50_000)
    except ConnectionLostError:
        pass
    assert cut.happened.is_set()
    assert store.read_bytes("x") == content
    assert orphans(shared_client, store) == set()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, GeneratorExit])
def test_p17_a_put_that_is_given_up(
    error: type[BaseException], store: ObjectStore, shared_client: Client
) -> None:
    def payload() -> Iterator[bytes]:
        yield pattern(50_000)
        raise error

    with pytest.raises(error):
        store.put("x", payload(), chunk_size=1000)
    with pytest.raises(error), store.open("x", "wb", chunk_size=1000) as file:
        file.writelines(payload())
    assert subjects(shared_client, store) == {}


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_p18_results_that_are_not_closed(
    far_store: ObjectStore, proxy: Proxy, store: ObjectStore, shared_client: Client
) -> None:
    """They hold nothing: no consumer on the server, no subscription, no reply awaited."""
    subscriptions: list[Line] = []
    store.put("x", pattern(500_000), chunk_size=1000)
    far_store.read_bytes("x")
    handlers = far_store._handle.jetstream.connection.inbox._handlers
    proxy.up.observe(lambda line: subscriptions.append(line) if line.verb == "SUB" else None)
    results = [far_store.get("x") for _ in range(20)]
    for result in results:
        assert result is not None
        assert result.read(1500) == pattern(1500)
    assert consumer_count(shared_client, store) == 0
    del results, result
    gc.collect()
    assert handlers == {}
    assert subscriptions == []


def test_p19_gets_cost_no_consumer(
    far_store: ObjectStore, proxy: Proxy, store: ObjectStore, server: LocalServer
) -> None:
    """More of them than a stream may have consumers; and none was even asked for."""
    asked: list[Line] = []
    is_consumer = calls("CONSUMER.")
    proxy.up.observe(lambda line: asked.append(line) if is_consumer(line) else None)
    far_store.put("x", pattern(3000), chunk_size=1000)
    for _ in range(1100):
        assert len(far_store.read_bytes("x")) == 3000
    assert len(list(far_store)) == 1
    assert asked == []


@pytest.mark.needs_server("2.11")  # it looks at batches
def test_p20_reading_takes_few_requests(
    far_store: ObjectStore, proxy: Proxy, store: ObjectStore
) -> None:
    """Batches, not a request for each chunk; four times the chunks cost no more than four times."""
    requests: list[Line] = []
    proxy.up.observe(lambda line: requests.append(line) if line.verb.endswith("PUB") else None)
    costs = []
    for chunks in (500, 2000):
        store.put("x", bytes(chunks * 10_000), chunk_size=10_000)
        requests.clear()
        assert len(far_store.read_bytes("x")) == chunks * 10_000
        costs.append(len(requests))
    assert costs[0] < 10
    assert costs[1] <= 4 * costs[0]


def test_p20_a_put_does_not_wait_for_each_chunk(
    far_client: Client, proxy: Proxy, store: ObjectStore
) -> None:
    """While the first ack is held back."""
    far_store = far_client.object_store(store.name, create=False)
    many = threading.Event()
    sent = nth(20, chunks_of(store.name))
    proxy.up.observe(lambda line: many.set() if sent(line) else None)
    held = proxy.down.hold(nth(1, proxy.answers(chunks_of(store.name))))
    thread = threading.Thread(
        target=far_store.put, args=("x", pattern(50_000)), kwargs={"chunk_size": 1000, "timeout": 9}
    )
    thread.start()
    try:
        assert many.wait(PATIENCE)
        assert held.happened.wait(PATIENCE)
    finally:
        held.release()
        thread.join()
    assert store.read_bytes("x") == pattern(50_000)


class _Counted:
    """A payload that notes how far it is ahead of the acknowledgements, at each read.

    Attributes:
        ahead: the most bytes that were taken and not acknowledged.
        taken: bytes in all.
    """

    def __init__(self, chunks: int, chunk_size: int) -> None:
        self.ahead = 0
        self.taken = 0
        self.acknowledged = 0
        self._left = chunks
        self._chunk = bytes(chunk_size)

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(self._left):
            self.taken += len(self._chunk)
            self.ahead = max(self.ahead, self.taken - self.acknowledged)
            yield self._chunk

    def ack(self, line: Line) -> None:
        if "seq" in json.loads(line.payload):
            self.acknowledged += len(self._chunk)


def test_p21_a_slow_server_holds_a_put_back(
    far_client: Client, proxy: Proxy, store: ObjectStore
) -> None:
    """64 MiB while acks come slowly: it blocks, with a bounded window and flat memory."""
    far_store = far_client.object_store(store.name, create=False)
    size = 128 << 10
    payload = _Counted(512, size)
    is_ack = proxy.answers(chunks_of(store.name))
    proxy.down.observe(lambda line: payload.ack(line) if is_ack(line) else None)
    proxy.down.delay = 0.001
    tracemalloc.start()
    try:
        far_store.put("x", payload, chunk_size=size)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert payload.taken == 64 << 20
    assert payload.ahead <= ack_window.WINDOW + size
    assert peak < 3 * ack_window.WINDOW  # the proxy's buffers are among it
    info = store.info("x")
    assert info is not None
    assert info.size == 64 << 20


def test_p21_a_server_that_stops_acknowledging(
    far_client: Client,
    proxy: Proxy,
    store: ObjectStore,
    shared_client: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The window is full, the put waits, and gives up when its patience is at an end."""
    monkeypatch.setattr(sender, "PATIENCE", 1.0)
    far_store = far_client.object_store(store.name, create=False)
    size = 128 << 10
    payload = _Counted(512, size)
    proxy.up.call(nth(12, chunks_of(store.name)), proxy.down.stall)
    purge = proxy.up.call(calls("STREAM.PURGE"), proxy.down.resume)
    with pytest.raises(RequestTimeoutError, match="no acknowledgement"):
        in_time(lambda: far_store.put("x", payload, chunk_size=size))
    assert purge.happened.is_set()
    assert payload.taken <= ack_window.WINDOW + 12 * size  # those acknowledged
    assert payload.taken >= ack_window.WINDOW
    assert orphans(shared_client, store) == set()


class _Dribble(io.RawIOBase):
    """A file that gives at most 1,000 bytes a read."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, size: int = -1, /) -> bytes:
        return self._data.read(min(1000, size))


def test_p22_short_reads_become_whole_chunks(store: ObjectStore) -> None:
    content = pattern(200_000)
    info = store.put("file", _Dribble(content))
    assert info.chunks == 2
    info = store.put("items", (content[i : i + 1000] for i in range(0, 200_000, 1000)))
    assert info.chunks == 2
    with store.open("writer", "wb") as file:
        for i in range(0, 200_000, 1000):
            file.write(content[i : i + 1000])
    assert file.info is not None
    assert file.info.chunks == 2
    for name in ("file", "items", "writer"):
        assert store.read_bytes(name) == content


@pytest.mark.parametrize(
    "name", ["naïve", "☃ 名前", "\U0001f600", "e\u0301", "\u00e9", "\ufeff", "ÿ"]
)
def test_p23_names_outside_ascii(name: str, store: ObjectStore, shared_client: Client) -> None:
    """UTF-8, as nats.go and nats-py have it, and none normalized into another."""
    store.put(name, name.encode())
    subject = f"$O.{store.name}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"
    assert subject in subjects(shared_client, store)
    assert store.read_text(name) == name
    assert [info.name for info in store] == [name]
    assert store.delete(name)


def test_p24_an_empty_bucket_is_an_empty_list(store: ObjectStore) -> None:
    assert list(store) == []
    assert list(store.list(prefix="x", include_deleted=True)) == []
    assert (store.status().size, store.status().total_size) == (0, 0)
    store.put("x", b"1")
    store.delete("x")
    assert list(store) == []


def test_a_swapped_payload_is_found(store: ObjectStore, shared_client: Client) -> None:
    """Nats.go's silent corruption: chunks in another order. (wire.md, fact 1)"""
    first, second = b"a" * 1000, b"b" * 1000
    info = store.put("x", first + second, chunk_size=1000)
    subject = chunk_subject(store.name, info.nuid)
    shared_client.connection.publish(subject, payload=second, headers={"Nats-Rollup": "sub"})
    shared_client.connection.publish(subject, payload=first)
    shared_client.connection.ping()
    with pytest.raises(DigestMismatchError):
        store.read_bytes("x")
