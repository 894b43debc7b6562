"""Mirrors and aggregates: buckets that are fed from others are buckets like any."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import nats
import pytest

import objstore
from objstore import (
    BucketConfigError,
    BucketNotFoundError,
    BucketReadOnlyError,
    Client,
    ExternalStream,
    LocalServer,
    ObjectStore,
    StreamSource,
)
from objstore.model.objects import meta_subject
from tests.conftest import version_of
from tests.support.streams import api, chunk_counts, orphans, subjects
from tests.support.waiting import eventually

_numbers = itertools.count(1)


@pytest.fixture
def source(shared_client: Client) -> Iterator[ObjectStore]:
    store = shared_client.object_store(f"src-{next(_numbers)}")
    yield store
    shared_client.delete_store(store.name)


@pytest.fixture
def fed(shared_client: Client, source: ObjectStore) -> Iterator[str]:
    """The name of a bucket to be fed, gone after the test."""
    name = source.name.replace("src", "fed")
    yield name
    shared_client.delete_store(name)


def same_content(source: ObjectStore, copy: ObjectStore) -> bool:
    return {i.name: i.nuid for i in source} == {i.name: i.nuid for i in copy}


def test_a_mirror_is_read_like_any_bucket(
    shared_client: Client, source: ObjectStore, fed: str
) -> None:
    """Before and after it is created; small, large, described, overwritten, deleted, linked."""
    large = os.urandom(3_000_000)
    source.put("small", b"old", mime="text/plain", headers={"h": ["1", "2"]}, metadata={"k": "v"})
    source.put("large", large, chunk_size=100_000)
    mirror = shared_client.object_store(fed, mirror=source.name)
    eventually(lambda: same_content(source, mirror))
    source.put("small", b"new", mime="text/plain", headers={"h": ["1", "2"]}, metadata={"k": "v"})
    source.put("gone", b"x")
    source.delete("gone")
    source.link("link", (source.name, "small"))
    source.put("empty")
    eventually(lambda: same_content(source, mirror))

    assert mirror.read_bytes("small") == b"new"
    assert mirror.read_bytes("large") == large
    assert mirror.read_range("large", 1_234_567, 1_234_999) == large[1_234_567:1_234_999]
    assert mirror.read_bytes("link") == b"new"
    assert mirror.read_bytes("empty") == b""
    assert mirror.get("gone") is None
    assert "gone" not in mirror
    assert [info.name for info in mirror] == ["large", "small", "link", "empty"]
    assert dict(mirror.get_many(["small", "gone", "empty"])) == {
        "small": b"new", "gone": None, "empty": b""
    }  # fmt: skip
    info = mirror.info("small")
    assert info is not None
    assert (info.bucket, info.mime, info.metadata) == (fed, "text/plain", {"k": "v"})
    assert info.headers.getlist("h") == ["1", "2"]
    assert mirror.status().total_size == len(large) + 3
    assert mirror.status().size == len(list(mirror))
    assert mirror.verify().problems == ()


@pytest.mark.parametrize("kind", ["mirror", "sources"])
def test_jumps_in_what_is_fed(
    kind: str, shared_client: Client, source: ObjectStore, fed: str
) -> None:
    """The chunks of two objects that were written at the same time, and an update since."""
    contents = {name: os.urandom(300_000) for name in ("x", "y")}
    with ExitStack() as files:
        both = {
            name: files.enter_context(source.open(name, "wb", chunk_size=1000)) for name in contents
        }
        for start in range(0, 300_000, 1500):
            for name, file in both.items():
                file.write(contents[name][start : start + 1500])
    source.update("x", description="later")
    options = {"mirror": source.name} if kind == "mirror" else {"sources": [source.name]}
    store = shared_client.object_store(fed, **options)
    eventually(lambda: same_content(source, store))
    for name, content in contents.items():
        with store.open(name) as result:
            for start in (150_000, 299_999, 1, 77_777, 200_000, 0):
                result.seek(start)
                assert result.read(1500) == content[start : start + 1500]
        assert store.read_range(name, 123_456, 125_000) == content[123_456:125_000]


def test_a_mirror_of_nothing_yet(shared_client: Client, source: ObjectStore, fed: str) -> None:
    mirror = shared_client.object_store(fed, mirror=source.name)
    assert list(mirror) == []
    source.put("x", b"1")
    eventually(lambda: "x" in mirror)
    assert mirror.read_bytes("x") == b"1"


def test_a_mirror_leaves_its_source_alone(
    shared_client: Client, source: ObjectStore, fed: str
) -> None:
    """A stream with ``mirror`` in its configuration would answer for its source, wrongly."""
    source.put("x", b"1")
    mirror = shared_client.object_store(fed, mirror=source.name)
    eventually(lambda: "x" in mirror)
    shared_client.update_store(fed, description="changed")
    for number in range(100):
        assert source.info("x") is not None, number
        source.put("x", str(number).encode())
        assert source.read_bytes("x") == str(number).encode()
    assert mirror.status().stream_info.config["mirror_direct"] is False


def test_mirror_direct_cannot_be_turned_off(
    shared_client: Client, source: ObjectStore, fed: str
) -> None:
    """Why a mirror is made of a source: should this fail, the server has learned better."""
    stream = f"OBJ_{fed}"
    transforms = [{"src": f"$O.{source.name}.M.>", "dest": f"$O.{fed}.M.>"}]
    config = {
        "name": stream,
        "mirror": {"name": f"OBJ_{source.name}", "subject_transforms": transforms},
        "mirror_direct": False,
    }
    answer = api(shared_client.connection, f"STREAM.CREATE.{stream}", config)
    assert answer["config"]["mirror_direct"] is True


def test_a_mirror_cannot_be_written(shared_client: Client, source: ObjectStore, fed: str) -> None:
    source.put("x", b"1")
    mirror = shared_client.object_store(fed, mirror=source.name)
    eventually(lambda: "x" in mirror)
    before = subjects(shared_client, mirror)
    for act in (
        lambda: mirror.put("y", b"1"),
        lambda: mirror.put("x", b"1", if_revision=0),
        lambda: mirror.delete("x"),
        lambda: mirror.update("x", description="d"),
        lambda: mirror.update("x", new_name="y"),
        lambda: mirror.link("y", (source.name, "x")),
        lambda: mirror.link_store("y", source),
        lambda: mirror.copy("x", "y"),
        lambda: source.copy("x", "y", target=mirror),
        lambda: mirror.open("y", "wb"),
        lambda: mirror.open("y", "xb"),
    ):
        with pytest.raises(BucketReadOnlyError, match=f"mirror of the stream OBJ_{source.name}"):
            act()
    assert subjects(shared_client, mirror) == before


def test_a_mirror_becomes_a_bucket_of_its_own(
    shared_client: Client, source: ObjectStore, fed: str
) -> None:
    """The holds that others have on it write from then on, too."""
    source.put("x", b"1")
    mirror = shared_client.object_store(fed, mirror=source.name)
    eventually(lambda: "x" in mirror)
    assert shared_client.update_store(fed, sources=[]).put("y", b"2").size == 1
    mirror.put("z", b"3")
    source.put("later", b"4")
    assert [info.name for info in mirror] == ["x", "y", "z"]


def test_the_same_mirror_again(shared_client: Client, source: ObjectStore, fed: str) -> None:
    for mirror in (source.name, StreamSource(source.name)):
        shared_client.object_store(fed, mirror=mirror)
    other = shared_client.object_store(f"{fed}-other")
    changes: list[dict[str, Any]] = [
        {"mirror": other.name}, {"sources": [source.name]}, {"sources": []}
    ]  # fmt: skip
    for options in changes:
        with pytest.raises(BucketConfigError, match="exists with other settings: s") as caught:
            shared_client.object_store(fed, **options)
        assert caught.value.differences
    shared_client.delete_store(other.name)


def test_a_source_that_does_not_exist(shared_client: Client) -> None:
    """A mistyped name would make a mirror of nothing, for ever."""
    for options in ({"mirror": "no-such"}, {"sources": ["no-such"]}):
        with pytest.raises(BucketNotFoundError) as caught:
            shared_client.object_store("fed-by-nobody", **options)
        assert caught.value.bucket == "no-such"
    assert shared_client.delete_store("fed-by-nobody") is False


def test_an_aggregate(shared_client: Client, source: ObjectStore, fed: str) -> None:
    """Two sources and objects of its own; of one name the last one is seen."""
    second = shared_client.object_store(f"{source.name}-2")
    source.put("a", b"first a")
    source.put("b", os.urandom(500_000), chunk_size=50_000)
    store = shared_client.object_store(fed, sources=[source.name, StreamSource(second.name)])
    eventually(lambda: {i.name for i in store} == {"a", "b"})
    second.put("a", b"second a")
    second.put("c", b"c")
    eventually(lambda: {i.name for i in store} == {"a", "b", "c"})
    assert store.read_bytes("a") == b"second a"
    assert store.read_bytes("b") == source.read_bytes("b")
    store.put("own", b"own")
    store.delete("b")
    store.put("a", b"own a")
    assert {i.name: i.size for i in store} == {"a": 5, "c": 1, "own": 3}
    assert source.read_bytes("a") == b"first a"
    assert "b" in source
    report = store.verify()
    assert report.ok
    assert report.orphaned_chunks == 1  # of the first a, which the second one replaced
    shared_client.delete_store(second.name)


def test_only_some_of_a_source(shared_client: Client, source: ObjectStore, fed: str) -> None:
    """From a sequence on; by time; metadata alone."""
    source.put("old", b"1")
    second = source.put("new", b"2")
    late = StreamSource(source.name, opt_start_seq=second.revision - 1)
    mirror = shared_client.object_store(fed, mirror=late)
    eventually(lambda: "new" in mirror)
    assert [info.name for info in mirror] == ["new"]
    shared_client.delete_store(fed)

    tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
    only = f"$O.{source.name}.M.>"
    sources = [
        StreamSource(source.name, opt_start_time=tomorrow),
        StreamSource(source.name, filter_subject=only),
    ]
    for _ in range(2):
        store = shared_client.object_store(fed, sources=sources)
    eventually(lambda: {i.name for i in store} == {"old", "new"})
    assert chunk_counts(shared_client, store) == {}


def test_garbage_of_a_mirror(shared_client: Client, source: ObjectStore, fed: str) -> None:
    """Removals are not passed on; what they leave is collected."""
    mirror = shared_client.object_store(fed, mirror=source.name)
    source.put("keep", b"k" * 1000, chunk_size=100)
    source.put("over", b"o" * 1000, chunk_size=100)
    source.put("gone", b"g" * 1000, chunk_size=100)
    eventually(lambda: same_content(source, mirror) and len(list(mirror)) == 3)
    source.put("over", b"n")
    source.delete("gone")
    eventually(lambda: same_content(source, mirror))
    assert len(orphans(shared_client, mirror)) == 2
    report = mirror.collect_garbage(min_age=0)
    assert (len(report.nuids), report.chunks, report.bytes) == (2, 20, 2000)
    assert orphans(shared_client, mirror) == set()
    assert mirror.verify().ok
    source.put("later", b"1")  # and the mirror goes on
    eventually(lambda: same_content(source, mirror))
    assert mirror.verify().ok


@pytest.mark.needs_server("2.11")
def test_objects_that_expire(shared_client: Client, source: ObjectStore, fed: str) -> None:
    source.put("brief", b"1", ttl=1)
    source.put("stays", b"1")
    mirror = shared_client.object_store(fed, mirror=source.name)
    eventually(lambda: "stays" in mirror)
    eventually(lambda: "brief" not in mirror)
    assert mirror.read_bytes("stays") == b"1"
    source.collect_garbage(min_age=0)  # chunks live some seconds longer than their record


def test_mirrors_are_listed(shared_client: Client, source: ObjectStore, fed: str) -> None:
    shared_client.object_store(fed, mirror=source.name)
    assert {source.name, fed} <= {status.bucket for status in shared_client.list_stores()}


def test_a_mirror_survives_its_server(tmp_path: Path) -> None:
    """What was fed stays, what comes later comes, and nothing comes twice."""
    with LocalServer(tmp_path / "data") as server:
        with objstore.connect(server.url) as client:
            source = client.object_store("a")
            source.put("x", b"1")
            mirror = client.object_store("b", mirror="a")
            eventually(lambda: "x" in mirror)
        server.stop()
        server.start()
        with objstore.connect(server.url) as client:
            source, mirror = client.object_store("a"), client.object_store("b", mirror="a")
            source.put("y", b"2" * 300_000)
            eventually(lambda: same_content(source, mirror))
            assert mirror.verify().objects == 2
            assert sum(subjects(client, mirror).values()) == sum(subjects(client, source).values())


def test_a_mirror_across_domains(tmp_path: Path) -> None:
    """A leaf node mirrors a bucket of its hub: with the hub's revisions and times."""
    with LocalServer() as free:
        leaf_port = free.url.rpartition(":")[2]
    login = 'authorization { user: "u", password: "p" }\n'
    hub_config = (
        f"{login}jetstream {{ domain: hub }}\nleafnodes {{ listen: 127.0.0.1:{leaf_port} }}\n"
    )
    remote = f'{{ url: "nats-leaf://u:p@127.0.0.1:{leaf_port}" }}'
    leaf_config = f"{login}jetstream {{ domain: leaf }}\nleafnodes {{ remotes: [ {remote} ] }}\n"
    options: dict[str, Any] = {"user": "u", "password": "p"}
    with (
        LocalServer(tmp_path / "h", config=hub_config) as hub_server,
        LocalServer(tmp_path / "l", config=leaf_config) as leaf_server,
        objstore.connect(hub_server.url, **options) as hub,
        objstore.connect(leaf_server.url, **options) as leaf,
    ):
        source = hub.object_store("a")
        source.put("x", os.urandom(300_000), chunk_size=50_000)
        mirror = leaf.object_store(
            "b", mirror=StreamSource("OBJ_a", external=ExternalStream("$JS.hub.API"))
        )
        eventually(lambda: "x" in mirror)
        assert mirror.read_bytes("x") == source.read_bytes("x")
        here, there = mirror.info("x"), source.info("x")
        assert here is not None
        assert there is not None
        assert (here.revision, here.mtime) == (there.revision, there.mtime)
        with pytest.raises(BucketReadOnlyError):
            mirror.put("y", b"1")
        source.put("x", b"new")
        eventually(lambda: mirror.read_bytes("x") == b"new")
        assert mirror.collect_garbage(min_age=0).chunks == 6
        assert mirror.verify().ok
        assert leaf.update_store("b", description="d").status().description == "d"
        if version_of(leaf_server) < (2, 12):
            with pytest.raises(BucketConfigError, match="mirror"):
                leaf.update_store("b", sources=[])
        else:
            assert leaf.update_store("b", sources=[]).put("y", b"1").size == 1


def test_another_client_reads_what_is_fed(
    server: LocalServer, shared_client: Client, source: ObjectStore, fed: str
) -> None:
    """nats-py reads an aggregate whole. It looks streams up by subject, of which a mirror has
    none: there it sees the metadata alone; clients that bind to the stream read all."""
    data = os.urandom(300_000)
    source.put("x", data)
    mirror = shared_client.object_store(fed, mirror=source.name)
    aggregate = shared_client.object_store(f"{fed}-all", sources=[source.name])
    eventually(lambda: "x" in mirror and "x" in aggregate)

    async def read() -> tuple[int | None, bytes | None, list[str | None]]:
        connection = await nats.connect(server.url)
        try:
            streams = connection.jetstream()
            info = await (await streams.object_store(mirror.name)).get_info("x")
            whole = await streams.object_store(aggregate.name)
            return info.size, (await whole.get("x")).data, [i.name for i in await whole.list()]
        finally:
            await connection.close()

    assert asyncio.run(read()) == (len(data), data, ["x"])
    shared_client.delete_store(aggregate.name)


def test_a_mirror_is_watched(shared_client: Client, source: ObjectStore, fed: str) -> None:
    """What was there, what comes, what goes."""
    source.put("old", b"1")
    mirror = shared_client.object_store(fed, mirror=source.name)
    eventually(lambda: "old" in mirror)
    with mirror.watch() as watcher:
        assert watcher.next(timeout=30).name == "old"
        source.put("new", b"2")
        assert watcher.next(timeout=30).name == "new"
        source.delete("old")
        gone = watcher.next(timeout=30)
        assert (gone.name, gone.deleted) == ("old", True)


@pytest.mark.needs_server("2.11")
def test_a_mirror_of_another_tool(shared_client: Client, store: ObjectStore) -> None:
    """It answers some of all direct gets of the bucket, and hears of no purge."""
    name = f"OBJ_{store.name}-mirror"
    config = {
        "name": name,
        "mirror": {"name": f"OBJ_{store.name}"},
        "mirror_direct": True,
        "allow_rollup_hdrs": True,  # without, a mirror of 2.11 stops at the first record
        "allow_msg_ttl": True,
    }
    answer = api(shared_client.connection, f"STREAM.CREATE.{name}", config)
    assert "error" not in answer, answer
    try:
        store.put("x", b"x")
        store.put("purged", b"x")
        store.put("big", bytes(1000), chunk_size=300)
        eventually(
            lambda: api(shared_client.connection, f"STREAM.INFO.{name}")["state"]["messages"] >= 8,
            "the mirror has all",
        )
        request = {"filter": meta_subject(store.name, "purged")}
        api(shared_client.connection, f"STREAM.PURGE.OBJ_{store.name}", request)
        for _ in range(30):
            assert store.info("purged") is None
            assert store.get("purged") is None
            assert store.read_bytes("x") == b"x"
            assert store.read_bytes("big") == bytes(1000)
    finally:
        api(shared_client.connection, f"STREAM.DELETE.{name}")
        store.collect_garbage(min_age=0)
