"""The buckets of an account: create, bind, change, list, copy, measure, delete."""

from __future__ import annotations

import math
import os
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

import objstore
from objstore import (
    BucketConfigError,
    BucketNotFoundError,
    Client,
    Connection,
    DigestMismatchError,
    InvalidNameError,
    InvalidOptionError,
    LinkError,
    LocalServer,
    ObjectStore,
    ObjectTooLargeError,
    ObjStoreError,
    Placement,
    Republish,
    StorageType,
    StoreCompression,
    StoreMetrics,
)
from objstore.metadata import known_stream
from objstore.metadata.changes import MOVED_TO
from objstore.model.bucket_config import CLONING, cloned_stream
from objstore.model.bucket_options import BucketOptions
from objstore.model.objects import meta_subject
from objstore.model.record_json import encode_info
from objstore.store.handle import BucketHandle
from objstore.store.write import take_over
from objstore.wire.jetstream import pages
from objstore.wire.jetstream.api import JetStream
from tests.support.streams import api, chunk_counts, orphans
from tests.support.waiting import PATIENCE


@pytest.fixture(autouse=True)
def _leave_nothing(shared_client: Client) -> Iterator[None]:
    """Buckets that a failing test leaves fail no other one."""
    before = {status.bucket for status in shared_client.list_stores()}
    yield
    for status in list(shared_client.list_stores()):
        if status.bucket not in before:
            shared_client.delete_store(status.bucket)


# --- object_store


def test_get_or_create(client: Client) -> None:
    first = client.object_store("goc", description="d", max_bytes=1 << 20)
    first.put("x", b"1")
    for options in ({}, {"description": "d"}, {"max_bytes": 1 << 20, "compression": False}):
        assert client.object_store("goc", **options).read_bytes("x") == b"1"
    assert client.object_store("goc", create=False).name == "goc"
    client.delete_store("goc")
    with pytest.raises(BucketNotFoundError) as caught:
        client.object_store("goc", create=False)
    assert caught.value.bucket == "goc"


def test_other_settings(client: Client) -> None:
    client.object_store("other", ttl=60, metadata={"a": "b"}, max_object_size=5)
    with pytest.raises(BucketConfigError, match="exists with other settings") as e:
        client.object_store("other", ttl=61, description="d", max_object_size=5)
    assert e.value.bucket == "other"
    assert e.value.differences == {
        "ttl": (timedelta(seconds=60), timedelta(seconds=61)),
        "description": ("", "d"),
    }
    with pytest.raises(BucketConfigError):
        client.object_store("other", create=False, ttl=61)
    client.delete_store("other")


def race(acts: list[Callable[[], Any]]) -> list[Any]:
    """Do all at once; what each returned or raised."""
    barrier = threading.Barrier(len(acts))
    results: list[Any] = [None] * len(acts)

    def run(number: int) -> None:
        barrier.wait()
        try:
            results[number] = acts[number]()
        except ObjStoreError as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_two_create_the_same_bucket(client: Client, shared_client: Client) -> None:
    for turn in range(10):
        name = f"race-{turn}"
        results = race(
            [lambda c=c, n=name: c.object_store(n, ttl=60) for c in (client, shared_client) * 2]  # type: ignore[misc]
        )
        assert [type(result) for result in results] == [ObjectStore] * 4
        results[0].put("x", b"1")
        assert results[3].read_bytes("x") == b"1"
        client.delete_store(name)


def test_two_create_it_differently(client: Client, shared_client: Client) -> None:
    """One has its way; the other is told the difference."""
    for turn in range(10):
        name = f"race-{turn}"
        results = race(
            [
                lambda n=name: client.object_store(n, ttl=60),  # type: ignore[misc]
                lambda n=name: shared_client.object_store(n, ttl=61),  # type: ignore[misc]
            ]
        )
        lost = [result for result in results if isinstance(result, BucketConfigError)]
        assert len(lost) == 1, results
        assert lost[0].bucket == name
        assert set(lost[0].differences or ()) == {"ttl"}
        client.delete_store(name)


def test_created_between_the_look_and_the_creation(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = JetStream.stream_create

    def late(self: JetStream, config: Any) -> dict[str, Any]:
        create(self, {**config, "max_age": 5_000_000_000})
        return create(self, config)

    monkeypatch.setattr(JetStream, "stream_create", late)
    with pytest.raises(BucketConfigError, match="ttl") as caught:
        client.object_store("late", ttl=60)
    assert caught.value.differences == {"ttl": (timedelta(seconds=5), timedelta(seconds=60))}
    assert client.object_store("late").name == "late"
    client.delete_store("late")


def test_settings_that_the_server_refuses(client: Client) -> None:
    for options in ({"replicas": 6}, {"max_bytes": 1 << 62}, {"ttl": 1e-6}):
        with pytest.raises(ObjStoreError) as caught:
            client.object_store("refused", **options)
        assert caught.value.bucket == "refused"
        assert caught.value.err_code
    assert isinstance(caught.value, BucketConfigError)
    assert client.delete_store("refused") is False


def test_an_error_that_is_not_the_settings_fault(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a server without its meta leader."""

    def unavailable(self: JetStream, config: Any) -> dict[str, Any]:
        raise objstore.APIError("down", code=503, err_code=10008)

    monkeypatch.setattr(JetStream, "stream_create", unavailable)
    with pytest.raises(objstore.APIError) as caught:
        client.object_store("down")
    assert (caught.value.bucket, caught.value.err_code) == ("down", 10008)


def test_leftovers_of_a_deleted_bucket(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is still removing a deleted stream's files finds them in the next one."""
    create = JetStream.stream_create

    def haunted(self: JetStream, config: Any) -> dict[str, Any]:
        create(self, config)
        for subject in ("C.ghost", "M.eA=="):
            client.connection.request(f"$O.{config['name'][4:]}.{subject}", payload=b"old")
        return {**self.stream_info(config["name"]), "created": "2999-01-01T00:00:00Z"}

    monkeypatch.setattr(JetStream, "stream_create", haunted)
    store = client.object_store("haunted")
    assert store.status().stream_info.state.messages == 0
    assert store.verify().ok


def test_storage_that_is_not_free_yet(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A passing failure is asked again; a lasting one is what it is."""
    create = JetStream.stream_create
    failures = [1, 2]

    def failing(self: JetStream, config: Any) -> dict[str, Any]:
        if failures:
            failures.pop()
            raise objstore.APIError("no store", code=500, err_code=10049)
        return create(self, config)

    monkeypatch.setattr(JetStream, "stream_create", failing)
    assert client.object_store("patient").put("x", b"1").size == 1
    failures.extend(range(100))
    with pytest.raises(objstore.APIError) as caught:
        client.object_store("in-vain")
    assert (caught.value.bucket, caught.value.err_code) == ("in-vain", 10049)


def test_a_bucket_created_again_and_again(client: Client) -> None:
    """It begins empty each time."""
    for _ in range(100):
        store = client.object_store("again")
        assert list(store) == []
        store.put("x", b"1")
        client.delete_store("again")


# --- update_store


def test_only_what_is_given_changes(client: Client) -> None:
    store = client.object_store(
        "upd",
        description="d",
        ttl=3600,
        max_bytes=1 << 20,
        max_object_size=100,
        metadata={"a": "b"},
    )
    store.put("x", b"1")
    before = store.status()
    status = client.update_store("upd").status()
    assert (status.description, status.ttl, status.metadata) == (
        "d", timedelta(hours=1), {"a": "b"}
    )  # fmt: skip
    assert status.max_object_size == 100
    status = client.update_store("upd", description="e").status()
    assert (status.description, status.ttl, status.metadata) == (
        "e", before.ttl, before.metadata
    )  # fmt: skip
    status = client.update_store("upd", metadata={"c": "d"}).status()
    assert (status.metadata, status.max_object_size) == ({"c": "d"}, 100)
    status = client.update_store("upd", max_object_size=200).status()
    assert (status.metadata, status.max_object_size) == ({"c": "d"}, 200)
    status = client.update_store("upd", metadata={}, max_object_size=300).status()
    assert (status.metadata, status.max_object_size) == ({}, 300)
    metadata = status.stream_info.config["metadata"]
    assert metadata.keys() - before.stream_info.config["metadata"].keys() == set()  # the server's
    status = client.update_store("upd", ttl=30, compression=True, max_bytes=2 << 20).status()
    assert (status.ttl, status.compression) == (timedelta(seconds=30), StoreCompression.S2)
    assert status.stream_info.config["max_bytes"] == 2 << 20
    status = client.update_store("upd", ttl=0, description="").status()
    assert (status.ttl, status.description) == (timedelta(), "")
    assert store.read_bytes("x") == b"1"
    client.delete_store("upd")


def test_update_refuses(client: Client) -> None:
    with pytest.raises(BucketNotFoundError) as missing:
        client.update_store("no-such", description="d")
    assert missing.value.bucket == "no-such"
    client.object_store("fixed", description="d")
    with pytest.raises(BucketConfigError, match="storage") as caught:
        client.update_store("fixed", storage="memory", description="e")
    assert caught.value.differences == {"storage": ("file", "memory")}
    assert caught.value.bucket == "fixed"
    with pytest.raises(BucketConfigError) as caught:
        client.update_store("fixed", republish=Republish("$O.fixed.M.>"), description="e")
    assert caught.value.bucket == "fixed"
    with pytest.raises(BucketNotFoundError) as missing:
        client.update_store("fixed", sources=["no-such"])
    assert missing.value.bucket == "no-such"
    assert client.object_store("fixed").status().description == "d"
    assert client.update_store("fixed", storage=StorageType.FILE).name == "fixed"
    client.delete_store("fixed")


def test_a_limit_that_another_client_changes(
    client: Client, shared_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts for a hold opened before from the next status() on; for a new one at once.

    And for a put whose settings are asked for anew, as a second after the last ones.
    """
    monkeypatch.setattr(known_stream, "LATE", PATIENCE)  # this machine may be slow
    store = client.object_store("lim", max_object_size=300_000)
    known = store._handle.known
    for size, part, limit in ((11, 11, 10), (250_000, 100_000, 200_000), (250_000, 250_000, 10)):
        shared_client.update_store("lim", max_object_size=limit)
        known.max_object_size, known.fresh_until = 300_000, 0.0
        payload = (bytes(size)[at : at + part] for at in range(0, size, part))
        with pytest.raises(ObjectTooLargeError, match=f"limit of {limit:,} bytes"):
            store.put("x", bytes(size) if size == part else payload)
        assert not orphans(client, store)
    shared_client.update_store("lim", max_object_size=10)
    with pytest.raises(ObjectTooLargeError):
        shared_client.object_store("lim").put("x", b"x" * 11)
    assert store.status().max_object_size == 10
    with pytest.raises(ObjectTooLargeError) as caught:
        store.put("x", b"x" * 11)
    assert caught.value.limit == 10
    client.delete_store("lim")


def test_a_limit_that_another_client_raises(client: Client, shared_client: Client) -> None:
    """It counts for the very put that the known one would have refused, whatever it is made of."""
    store = client.object_store("raised", max_object_size=10)
    known = store._handle.known
    for size, payload in ((20, bytes(20)), (30, (bytes(10) for _ in range(3)))):
        shared_client.update_store("raised", max_object_size=size)
        known.fresh_until = math.inf  # it is not asked along with the put
        assert store.put("x", payload).size == size
    shared_client.update_store("raised", max_object_size=40)
    with store.open("x", "wb", chunk_size=25) as file:
        file.write(bytes(40))
    with pytest.raises(ObjectTooLargeError, match="limit of 40 bytes"):
        store.put("x", bytes(41))
    assert store.read_bytes("x") == bytes(40)
    client.delete_store("raised")


# --- list_stores


def test_stores_are_listed(client: Client) -> None:
    """Buckets, by what their streams are; and without looking into them."""
    for name in ("list-b", "list-a"):
        client.object_store(name, description=name, metadata={"k": name}).put("x", b"123")
    for stream, subjects in (("OBJ_fake", ["other.fake"]), ("KV_list", ["$KV.list.>"])):
        api(client.connection, f"STREAM.CREATE.{stream}", {"name": stream, "subjects": subjects})
    found = {status.bucket: status for status in client.list_stores()}
    assert [name for name in found if name.startswith("list-")] == ["list-a", "list-b"]
    assert not {"fake", "list"} & set(found)
    status = found["list-a"]
    assert (status.size, status.description, status.metadata) == (None, "list-a", {"k": "list-a"})
    assert status.bytes > 3
    assert status.stream_info.state.messages == 2
    for stream in ("OBJ_fake", "KV_list", "OBJ_list-a", "OBJ_list-b"):
        api(client.connection, f"STREAM.DELETE.{stream}")


def test_no_stores() -> None:
    with LocalServer() as server, objstore.connect(server.url) as client:
        assert list(client.list_stores()) == []


def test_more_stores_than_a_page() -> None:
    """A server's page has 256 streams; the next one is asked for when it is needed."""
    with LocalServer() as server, objstore.connect(server.url) as client:
        names = [f"s{number:03}" for number in range(300)]
        for name in names:
            config = {"name": f"OBJ_{name}", "subjects": [f"$O.{name}.M.>"], "storage": "memory"}
            api(client.connection, f"STREAM.CREATE.OBJ_{name}", config)
        assert [status.bucket for status in client.list_stores()] == names

        pages: list[Any] = []
        call = client._jetstream.call

        def counted(api: str, request: Any, what: str, **options: Any) -> dict[str, Any]:
            pages.append(request)
            return call(api, request, what, **options)

        client._jetstream.call = counted  # type: ignore[method-assign]
        listing = client.list_stores()
        assert pages == []
        assert next(listing).bucket == "s000"
        assert len(pages) == 1

        # Some that were given go: the rest moves up, past the page that comes next.
        for name in names[:5]:
            client.delete_store(name)
        client.object_store("zz-new")
        rest = [status.bucket for status in listing]
        assert len(rest) == len(set(rest))
        assert set(names[5:]) <= {"s000", *rest}
        assert "zz-new" in rest


def test_a_listing_ends_however_much_changes(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds: list[int] = []

    def restless(self: JetStream, api: str, request: Any, what: str) -> dict[str, Any]:
        rounds.append(request["offset"])
        streams = [{"config": {"name": f"S{len(rounds)}"}}] if len(rounds) % 3 else []
        return {"streams": streams, "total": 1000 + len(rounds)}

    monkeypatch.setattr(JetStream, "call", restless)
    assert len(list(pages.all_streams(client._jetstream))) == 2 * pages.ROUNDS


# --- clone_store


def test_a_clone(client: Client) -> None:
    """Settings, objects with all that describes them, links; the source stays as it is."""
    source = client.object_store(
        "orig",
        description="d",
        max_bytes=1 << 26,
        ttl=3600,
        max_object_size=5_000_000,
        metadata={"k": "v"},
        storage="memory",
    )
    other = client.object_store("orig-other")
    other.put("far", b"far")
    large = os.urandom(3_000_001)
    source.put("large", large, chunk_size=100_000)
    source.put("described", b"1", description="x", headers={"H": ["1", "2"]}, metadata={"a": "b"},
               mime="text/plain")  # fmt: skip
    source.put("empty")
    source.put("gone", b"1")
    source.delete("gone")
    source.put("old name", b"moved")
    source.update("old name", new_name="new name")
    source.link("near", ("orig", "large"))
    source.link("far", ("orig-other", "far"))
    source.link("dangling", ("orig", "described"))
    source.link_store("self", source)
    source.link_store("else", other)
    info = source.info("dangling")
    assert info is not None
    options = objstore.ObjectMetaOptions(objstore.ObjectLink("orig", "nowhere"))
    client.connection.request(
        meta_subject("orig", "dangling"), payload=encode_info(info.with_changes(options=options))
    )
    before = [(i.name, i.revision) for i in source]

    clone = client.clone_store("orig", "copy")
    assert [(i.name, i.revision) for i in source] == before
    assert [i.name for i in clone] == [name for name, _ in before]
    for mine, theirs in zip(clone, source, strict=True):
        assert mine.bucket == "copy"
        for field in ("name", "description", "size", "digest", "metadata", "header_values"):
            assert getattr(mine, field) == getattr(theirs, field)
        assert mine.nuid != theirs.nuid or not mine.nuid
        assert MOVED_TO not in mine.extra
    links = {i.name: (i.link.bucket, i.link.name) for i in clone if i.link is not None}
    assert links == {
        "near": ("copy", "large"),
        "far": ("orig-other", "far"),
        "dangling": ("copy", "nowhere"),
        "self": ("copy", None),
        "else": ("orig-other", None),
    }
    status, wanted = clone.status(), source.status()
    for field in ("description", "ttl", "max_object_size", "metadata", "storage", "size"):
        assert getattr(status, field) == getattr(wanted, field), field
    assert status.stream_info.config["max_bytes"] == 1 << 26
    assert CLONING not in status.stream_info.config["metadata"]

    client.delete_store("orig")
    assert clone.read_bytes("large") == clone.read_bytes("near") == large
    assert clone.read_bytes("new name") == b"moved"
    described = clone.info("described")
    assert described is not None
    assert described.headers.getlist("h") == ["1", "2"]
    assert (described.mime, described.description) == ("text/plain", "x")
    assert [(p.name, p.kind) for p in clone.verify().problems] == [("dangling", "dangling link")]
    assert orphans(client, clone) == set()
    for name in ("copy", "orig-other"):
        client.delete_store(name)


def test_a_clone_that_is_otherwise(client: Client) -> None:
    source = client.object_store("orig", ttl=3600, max_object_size=100, metadata={"k": "v"})
    source.put("x", b"1")
    source.seal()
    clone = client.clone_store(
        "orig", "copy", ttl=60, storage="memory", description="c", metadata={"l": "w"}
    )
    status = clone.status()
    assert (status.ttl, status.storage) == (timedelta(minutes=1), StorageType.MEMORY)
    assert (status.description, status.metadata) == ("c", {"l": "w"})
    assert (status.max_object_size, status.sealed) == (100, False)
    clone.put("y", b"2")
    for name in ("orig", "copy"):
        client.delete_store(name)


def test_a_clone_of_a_mirror_is_a_bucket_of_its_own(client: Client) -> None:
    client.object_store("orig")
    client.object_store("mirrored", mirror="orig")
    clone = client.clone_store("mirrored", "copy")
    assert clone.put("x", b"1").size == 1
    assert not clone.status().stream_info.config.get("sources")
    for name in ("copy", "mirrored", "orig"):
        client.delete_store(name)


@pytest.mark.needs_server("2.11")
def test_what_is_left_of_a_life_time_goes_on(client: Client) -> None:
    source = client.object_store("orig")
    source.put("x", b"1", ttl=1000)
    clone = client.clone_store("orig", "copy")
    info = clone.info("x")
    assert info is not None
    assert info.ttl is not None
    assert timedelta(seconds=1) <= info.ttl <= timedelta(seconds=1000)
    for name in ("orig", "copy"):
        client.delete_store(name)


def test_a_clone_refuses(client: Client) -> None:
    client.object_store("orig").put("x", b"1")
    taken = client.object_store("taken")
    taken.put("mine", b"2")
    for target in ("taken", "orig"):
        with pytest.raises(BucketConfigError, match="exists already") as caught:
            client.clone_store("orig", target)
        assert caught.value.bucket == target
    assert [i.name for i in taken] == ["mine"]
    with pytest.raises(BucketNotFoundError) as missing:
        client.clone_store("no-such", "copy")
    assert missing.value.bucket == "no-such"
    with pytest.raises(BucketConfigError) as caught:
        client.clone_store("orig", "copy", replicas=3)
    assert caught.value.bucket == "copy"
    assert client.delete_store("copy") is False
    for name in ("orig", "taken"):
        client.delete_store(name)


def test_two_make_the_same_clone(client: Client, shared_client: Client) -> None:
    """One has it, the other is refused, and the clone is whole."""
    source = client.object_store("orig")
    for number in range(20):
        source.put(f"o{number}", b"1")
    results = race([lambda c=c: c.clone_store("orig", "copy") for c in (client, shared_client)])  # type: ignore[misc]
    assert sorted(type(result).__name__ for result in results) == [
        "BucketConfigError", "ObjectStore"
    ]  # fmt: skip
    assert len(list(client.object_store("copy", create=False))) == 20


def test_a_target_that_appears_meanwhile(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the very same settings, so that the server does not mind."""
    client.object_store("orig").put("x", b"1")
    create = JetStream.stream_create
    plain = cloned_stream("copy", BucketOptions(), client._config("orig") or {}, client._supports())

    def late(self: JetStream, config: Any) -> dict[str, Any]:
        create(self, plain)
        return create(self, config)

    monkeypatch.setattr(JetStream, "stream_create", late)
    with pytest.raises(BucketConfigError, match="exists already"):
        client.clone_store("orig", "copy")
    assert list(client.object_store("copy", create=False)) == []
    for name in ("orig", "copy"):
        client.delete_store(name)


def test_nothing_remains_of_a_clone_that_fails(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = client.object_store("orig")
    source.put("first", b"1")
    info = source.put("second", b"12345")
    with pytest.raises(ObjectTooLargeError):
        client.clone_store("orig", "copy", max_object_size=4)
    assert client.delete_store("copy") is False

    bad = encode_info(info.with_changes(digest="SHA-256=" + "A" * 43 + "="))
    client.connection.request(meta_subject("orig", "second"), payload=bad)
    with pytest.raises(DigestMismatchError):
        client.clone_store("orig", "copy")
    assert client.delete_store("copy") is False

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(objstore.store.clone, "copy_objects", interrupt)
    with pytest.raises(KeyboardInterrupt):
        client.clone_store("orig", "copy")
    assert client.delete_store("copy") is False
    assert source.read_bytes("first") == b"1"
    client.delete_store("orig")


def test_a_source_that_changes_meanwhile(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each object comes as it was before or after; what is deleted stays away."""
    source = client.object_store("orig")
    for name in ("over", "gone", "same"):
        source.put(name, b"12345" * 10, chunk_size=5)
    seen: set[str] = set()

    def change_then(target: BucketHandle, records: Any, info: Any, name: str) -> Any:
        if name not in seen:
            seen.add(name)
            if name == "over":
                source.put("over", b"new", chunk_size=1)
            elif name == "gone":
                source.delete("gone")
        return take_over(target, records, info, name)

    monkeypatch.setattr("objstore.store.clone.take_over", change_then)
    copy = client.clone_store("orig", "copy")
    assert {i.name: i.size for i in copy} == {"over": 3, "same": 50}
    assert orphans(client, copy) == set()
    for name in ("orig", "copy"):
        client.delete_store(name)


def test_a_source_that_never_stops_changing(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = client.object_store("orig")
    source.put("x", b"12345", chunk_size=1)

    def change_then(target: BucketHandle, records: Any, info: Any, name: str) -> Any:
        source.put("x", b"12345", chunk_size=1)
        return take_over(target, records, info, name)

    monkeypatch.setattr("objstore.store.clone.take_over", change_then)
    with pytest.raises(objstore.ObjectChangedError):
        client.clone_store("orig", "copy")
    assert client.delete_store("copy") is False
    client.delete_store("orig")


def test_a_clone_takes_little_memory(client: Client) -> None:
    """However large the objects are."""
    source = client.object_store("orig")
    source.put("x", (bytes(1 << 20) for _ in range(64)))
    tracemalloc.start()
    try:
        client.clone_store("orig", "copy")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40 << 20
    for name in ("orig", "copy"):
        client.delete_store(name)


# --- store_metrics


def test_metrics(client: Client) -> None:
    store = client.object_store("met")
    assert client.store_metrics("met") == StoreMetrics(0, 0, 0.0, {})
    store.put("a", b"12345", mime="text/plain")
    store.put("b", b"123", headers={"content-type": "text/plain"})
    store.put("c", b"1", mime="image/png")
    store.put("d", b"")
    store.put("e", b"12")
    store.put("gone", b"1" * 100, mime="text/plain")
    store.delete("gone")
    store.link("link", ("met", "a"))
    assert client.store_metrics("met") == StoreMetrics(
        objects=5,
        total_size=11,
        avg_size=2.2,
        mime_types={"text/plain": 2, "image/png": 1, "unknown": 2},
    )
    status = store.status()
    assert (status.size, status.total_size) == (6, 11)  # the link is an object without content
    client.delete_store("met")
    with pytest.raises(BucketNotFoundError) as caught:
        client.store_metrics("met")
    assert caught.value.bucket == "met"


# --- delete_store, and what all have in common


def test_delete(client: Client) -> None:
    store = client.object_store("del")
    store.put("x", b"1")
    assert client.delete_store("del") is True
    assert client.delete_store("del") is False
    assert chunk_counts(client, client.object_store("del")) == {}
    assert client.delete_store("del") is True


@pytest.mark.parametrize("name", ["", "a b", "a.b", ">", None, 5], ids=repr)
def test_bad_names(name: Any, server: LocalServer) -> None:
    """They are refused before anything is sent: a closed connection would say so."""
    client = Client(Connection(server.url))
    client.close()
    acts: list[Callable[[], object]] = [
        lambda: client.object_store(name),
        lambda: client.update_store(name, description="d"),
        lambda: client.clone_store(name, "b"),
        lambda: client.clone_store("a", name),
        lambda: client.store_metrics(name),
        lambda: client.delete_store(name),
    ]
    for act in acts:
        with pytest.raises(InvalidNameError):
            act()
    bad: list[Callable[[], object]] = [
        lambda: client.object_store("a", consistency="none"),
        lambda: client.update_store("a", consistency="none"),
        lambda: client.clone_store("a", "b", consistency="none"),
        lambda: client.clone_store("a", "b", mirror="c"),
        lambda: client.clone_store("a", "b", sources=["c"]),
        lambda: client.update_store("a", placement=Placement()),
        lambda: client.update_store("a", nonsense=1),  # type: ignore[call-arg]
    ]
    for act in bad:
        with pytest.raises(InvalidOptionError):
            act()
    client.close()


def test_links_in_a_clone_that_lead_in_a_circle(client: Client) -> None:
    """They are copied as they are, not followed."""
    source = client.object_store("orig")
    info = source.link("a", ("orig", source.put("x", b"1").name))
    circle = info.with_changes(options=objstore.ObjectMetaOptions(objstore.ObjectLink("orig", "a")))
    client.connection.request(meta_subject("orig", "a"), payload=encode_info(circle))
    clone = client.clone_store("orig", "copy")
    with pytest.raises(LinkError, match="circle"):
        clone.get("a")
    for name in ("orig", "copy"):
        client.delete_store(name)


def test_a_client_connects_its_connection(server: LocalServer) -> None:
    """It takes one that is connected, or connects it; and closes it."""
    connection = Connection(server.url)
    with Client(connection) as client:
        connected = connection.is_connected
        assert client.connection is connection
        assert client.object_store("from-a-connection").put("x", b"1").size == 1
        client.delete_store("from-a-connection")
    assert (connected, connection.is_connected) == (True, False)
    with Connection(server.url) as another, Client(another) as client:
        assert client.connection.session is another.session


def test_the_longest_name_of_a_bucket(client: Client) -> None:
    """It works throughout, though each subject has it."""
    store = client.object_store("x" * 251)
    try:
        store.put("a" * 1000, b"1")
        assert [info.name for info in store] == ["a" * 1000]
        assert store.delete("a" * 1000) is True
        assert [status.bucket for status in client.list_stores()].count(store.name) == 1
    finally:
        assert client.delete_store(store.name) is True
