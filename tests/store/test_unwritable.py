"""Streams that lose, move, hide or refuse what is written: known before anything is written."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import objstore
from objstore import Client, LocalServer, ObjectStore
from objstore.errors import (
    BucketConfigError,
    BucketReadOnlyError,
    BucketSealedError,
    NoRespondersError,
    ObjStoreError,
    PermissionDeniedError,
    RequestTimeoutError,
    ServerVersionError,
    StorageFullError,
)
from objstore.model.unwritable import HARMFUL, covers, refusal
from tests.support.streams import api, subjects
from tests.support.waiting import eventually

DOCS = Path(__file__).parents[2] / "docs" / "buckets.rst"

#: ADR-20's stream, as other clients make it.
PLAIN: dict[str, Any] = {
    "name": "OBJ_odd", "subjects": ["$O.odd.C.>", "$O.odd.M.>"], "discard": "new",
    "allow_rollup_hdrs": True, "allow_direct": True,
}  # fmt: skip

#: What harms, and the first server that knows it.
ODD: list[tuple[str, dict[str, Any], str]] = [
    ("no_ack", {"no_ack": True}, "2.10"),
    ("retention", {"retention": "interest"}, "2.10"),
    ("retention", {"retention": "workqueue"}, "2.10"),
    ("max_msgs_per_subject", {"max_msgs_per_subject": 1}, "2.10"),
    ("max_msgs_per_subject", {"max_msgs_per_subject": 1000}, "2.10"),
    (
        "max_msgs_per_subject",
        {"max_msgs_per_subject": 2, "discard_new_per_subject": True},
        "2.10",
    ),
    ("discard", {"discard": "old", "max_msgs": 10}, "2.10"),
    ("discard", {"discard": "old", "max_bytes": 100_000}, "2.10"),
    ("subject_transform", {"subject_transform": {"src": ">", "dest": "moved.>"}}, "2.10"),
    ("subject_transform", {"subject_transform": {"src": "", "dest": "moved.>"}}, "2.10"),
    ("subject_transform", {"subject_transform": {"src": "$O.*.M.*", "dest": "m.$1.$2"}}, "2.10"),
    ("subject_transform", {"subject_transform": {"src": "$O.odd.C.>", "dest": "c.>"}}, "2.10"),
    ("subjects", {"subjects": ["$O.odd.M.>"]}, "2.10"),
    ("subjects", {"subjects": ["$O.odd.C.>"]}, "2.10"),
    ("subjects", {"subjects": ["$O.odd.C.abc", "$O.odd.M.>"]}, "2.10"),
    ("allow_msg_counter", {"allow_msg_counter": True, "discard": "old"}, "2.12"),
    ("first_seq", {"first_seq": 1 << 62}, "2.10"),
    ("deny_purge", {"deny_purge": True, "allow_rollup_hdrs": False}, "2.10"),
    ("allow_rollup_hdrs", {"allow_rollup_hdrs": False}, "2.10"),
]

#: What does no harm.
FINE: list[tuple[dict[str, Any], str]] = [
    ({}, "2.10"),
    ({"discard": "old"}, "2.10"),
    ({"max_age": 3_600_000_000_000}, "2.10"),
    ({"duplicate_window": 1_000_000_000}, "2.10"),
    ({"subject_transform": {"src": "elsewhere.>", "dest": "moved.>"}}, "2.10"),
    ({"subject_transform": {"src": ">", "dest": ">"}}, "2.10"),
    ({"republish": {"src": ">", "dest": "copy.>"}}, "2.10"),
    ({"deny_delete": True}, "2.10"),
    ({"allow_direct": False}, "2.10"),
    ({"max_consumers": 1}, "2.10"),
    ({"consumer_limits": {"max_ack_pending": 5}}, "2.10"),
    ({"first_seq": 1 << 61}, "2.10"),
    ({"subjects": ["$O.*.C.*", "$O.odd.M.*"]}, "2.10"),
    ({"subjects": ["$O.odd.>", "more"]}, "2.10"),
    ({"compression": "s2", "storage": "file"}, "2.10"),
    ({"subject_delete_marker_ttl": 3_600_000_000_000, "allow_msg_ttl": True}, "2.11"),
    ({"allow_msg_schedules": True, "discard": "old"}, "2.12"),
    ({"allow_atomic": True}, "2.12"),
    ({"persist_mode": "async"}, "2.12"),
    ({"allow_batched": True}, "2.14"),
]

CONTENT = os.urandom(300_000)


@pytest.fixture
def make(client: Client) -> Iterator[Callable[..., ObjectStore]]:
    """Make an odd bucket by the server's API alone, and open it."""

    def make(config: dict[str, Any], since: str = "2.10") -> ObjectStore:
        if client._jetstream.server_version < tuple(map(int, since.split("."))):
            pytest.skip(f"needs nats-server {since}")
        answer = api(client.connection, "STREAM.CREATE.OBJ_odd", {**PLAIN, **config})
        assert "error" not in answer, answer
        return client.object_store("odd", create=False)

    yield make
    client.delete_store("odd")
    # A busy server's deleted stream can answer direct gets for a moment yet, for the next one, too.
    eventually(lambda: _nobody_answers(client), "the end of the stream")


def _nobody_answers(client: Client) -> bool:
    try:
        client.connection.request("$JS.API.DIRECT.GET.OBJ_odd.x", timeout=1)
    except (NoRespondersError, RequestTimeoutError):
        return True
    return False


def change(client: Client, **fields: Any) -> None:
    """Change the odd bucket as somebody else would."""
    config = api(client.connection, "STREAM.INFO.OBJ_odd")["config"]
    answer = api(client.connection, "STREAM.UPDATE.OBJ_odd", {**config, **fields})
    assert "error" not in answer, answer


WRITES: list[Callable[[ObjectStore], object]] = [
    lambda store: store.put("x", CONTENT),
    lambda store: store.put("x"),
    lambda store: store.put("x", b"1", if_revision=0),
    lambda store: store.put("x", b"1", ttl=60),
    lambda store: store.put_many([("x", b"1")]),
    lambda store: store.open("x", "wb").close(),
    lambda store: store.delete("old"),
    lambda store: store.update("old", description="d"),
    lambda store: store.update("old", new_name="new"),
    lambda store: store.link_store("l", store),
    lambda store: store.collect_garbage(min_age=0),
    lambda store: store.seal(),
]


@pytest.mark.parametrize(("field", "config", "since"), ODD)
def test_nothing_is_written(
    field: str, config: dict[str, Any], since: str, make: Callable[..., ObjectStore], client: Client
) -> None:
    """The error names the setting; the stream stays as it was; reading works."""
    store = make(config, since)
    before = api(client.connection, "STREAM.INFO.OBJ_odd")
    for write in WRITES:
        with pytest.raises(BucketConfigError, match=rf"has {field} ") as caught:
            write(store)
        assert caught.value.bucket == "odd"
        assert caught.value.differences is not None
        assert list(caught.value.differences) == [field]
    after = api(client.connection, "STREAM.INFO.OBJ_odd")
    assert (after["state"], after["config"]) == (before["state"], before["config"])
    assert list(store.list()) == []
    assert store.info("x") is None
    assert store.status().size == 0


@pytest.mark.parametrize(("config", "since"), FINE)
def test_everything_is_written(
    config: dict[str, Any], since: str, make: Callable[..., ObjectStore]
) -> None:
    store = make(config, since)
    store.put("x", CONTENT)
    store.put("x", CONTENT + b"2")
    store.update("x", new_name="y")
    store.put("gone", b"1")
    assert store.delete("gone") is True
    assert store.read_bytes("y") == CONTENT + b"2"
    assert [info.name for info in store.list()] == ["y"]
    assert store.verify().ok


@pytest.mark.parametrize("limit", [{"max_msgs": 3}, {"max_bytes": 200_000}])
def test_a_full_bucket_says_so(limit: dict[str, int], make: Callable[..., ObjectStore]) -> None:
    """Where new messages are discarded, nobody is told that they were stored."""
    store = make(limit)
    store.put("old", b"1")
    with pytest.raises(StorageFullError):
        store.put("x", CONTENT, chunk_size=100_000)
    assert store.read_bytes("old") == b"1"


def test_chunks_are_cut_to_what_the_stream_takes(
    make: Callable[..., ObjectStore], client: Client
) -> None:
    """A record cannot be; then nothing is sent."""
    store = make({"max_msg_size": 1000})
    info = store.put("x", CONTENT, chunk_size=100_000)
    assert (info.options.chunk_size, info.chunks) == (1000, 300)
    assert store.read_bytes("x") == CONTENT
    before = subjects(client, store)
    writes: list[Callable[[], object]] = [
        lambda: store.put("big", CONTENT, description="d" * 900),
        lambda: store.update("x", description="d" * 900),
    ]
    for write in writes:
        with pytest.raises(BucketConfigError, match="max_msg_size of its stream is 1000"):
            write()
    assert subjects(client, store) == before


def test_what_is_there_can_be_read(make: Callable[..., ObjectStore], client: Client) -> None:
    """Whatever the stream would do to what is written now."""
    store = make({})
    store.put("old", CONTENT)
    change(client, max_msgs_per_subject=5)
    again = client.object_store("odd")
    assert again.read_bytes("old") == CONTENT
    assert [info.name for info in again] == ["old"]
    with again.watch() as watcher:
        assert watcher.next(timeout=10).name == "old"
    with pytest.raises(BucketConfigError, match="max_msgs_per_subject 5"):
        again.put("x", b"1")


# --- the settings change


@pytest.mark.parametrize(
    ("field", "changes", "content"),
    [
        ("max_msgs_per_subject", {"max_msgs_per_subject": 1}, CONTENT),
        ("retention", {"retention": "interest"}, b"small"),
        ("subject_transform", {"subject_transform": {"src": ">", "dest": "moved.>"}}, b"small"),
        ("no_ack", {"no_ack": True}, b"small"),
        ("allow_rollup_hdrs", {"allow_rollup_hdrs": False}, b"small"),
        ("subjects", {"subjects": ["$O.odd.C.>"]}, b"small"),
    ],
)
@pytest.mark.leaves_chunks("a stream that moves chunks does not give them back")
def test_a_change_after_the_bucket_was_opened(
    field: str,
    changes: dict[str, Any],
    content: bytes,
    make: Callable[..., ObjectStore],
    server: LocalServer,
) -> None:
    store = make({})
    with objstore.connect(server.url) as other:
        change(other, **changes)
    with pytest.raises(BucketConfigError, match=field):
        store.put("x", content)
    assert store.info("x") is None


def test_a_setting_that_was_mended(make: Callable[..., ObjectStore], client: Client) -> None:
    """What is refused is asked about anew each time."""
    store = make({"max_msgs_per_subject": 1})
    with pytest.raises(BucketConfigError):
        store.put("x", CONTENT)
    change(client, max_msgs_per_subject=-1)
    store.put("x", CONTENT)
    assert store.read_bytes("x") == CONTENT


def test_a_long_upload_is_counted(
    make: Callable[..., ObjectStore], client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream may have been changed meanwhile."""
    monkeypatch.setattr("objstore.put.sender.LONG", 0.0)
    store = make({})
    store.put("x", b"old")
    file = store.open("x", "wb", chunk_size=1000)
    file.write(bytes(2000))
    change(client, max_msgs_per_subject=1)
    file.write(bytes(2000))
    with pytest.raises(BucketConfigError, match="max_msgs_per_subject 1"):
        file.close()
    assert store.read_bytes("x") == b"old"


@pytest.mark.leaves_chunks("another stream has them")
def test_another_stream_takes_the_chunks(
    make: Callable[..., ObjectStore], client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each acknowledgement says which stream it is of."""
    monkeypatch.setattr("objstore.metadata.known_stream.FRESH", 1e9)
    store = make({})
    store.put("x", b"old")
    change(client, subjects=["$O.odd.M.>"])
    api(client.connection, "STREAM.CREATE.THIEF", {"name": "THIEF", "subjects": ["$O.odd.C.>"]})
    with pytest.raises(BucketConfigError, match="the stream THIEF takes its subjects"):
        store.put("x", b"new")
    api(client.connection, "STREAM.DELETE.THIEF")
    assert store.read_bytes("x") == b"old"


def test_a_put_that_is_never_let_through_ends(
    make: Callable[..., ObjectStore], client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where records are stored under another subject, each look finds the one before."""
    monkeypatch.setattr("objstore.metadata.known_stream.FRESH", 1e9)
    store = make({})
    store.put("x", b"old")
    change(client, subject_transform={"src": "$O.odd.M.*", "dest": "$O.odd.N.$1"})
    ended: list[ObjStoreError] = []

    def put() -> None:
        try:
            store.put("x", b"new")
        except ObjStoreError as error:
            ended.append(error)

    thread = threading.Thread(target=put, daemon=True)
    thread.start()
    thread.join(30)
    assert [type(error) for error in ended] == [BucketConfigError]
    assert "subject_transform" in str(ended[0])
    assert store.read_bytes("x") == b"old"


# --- other refusals


def test_the_other_reasons() -> None:
    """A copy and a sealed bucket have errors of their own, both of them known beforehand."""
    assert refusal("odd", PLAIN) is None
    assert isinstance(refusal("odd", {**PLAIN, "sealed": True}), BucketSealedError)
    mirror = {**PLAIN, "subjects": [], "mirror": {"name": "OBJ_a"}}
    error = refusal("odd", mirror)
    assert isinstance(error, BucketReadOnlyError)
    assert "mirror of the stream OBJ_a" in str(error)


@pytest.mark.parametrize(
    ("pattern", "subject", "covered"),
    [
        (">", "a.b", True), ("a.>", "a.b.*", True), ("a.>", "a", False), ("*.b", "a.b", True),
        ("a.*", "a.*", True), ("a.*", "a.>", False), ("a.b", "a.*", False), ("a", "a.b", False),
        ("a.b.c", "a.b", False), ("a.>", "a.>", True),
    ],
)  # fmt: skip
def test_covers(pattern: str, subject: str, covered: bool) -> None:
    assert covers(pattern, subject) is covered


def test_the_docs_have_the_table() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for row in HARMFUL:
        assert re.search(rf"``{row.field}``", text), row.field


# --- life times


@pytest.mark.needs_server("2.11")
@pytest.mark.parametrize(
    "write",
    [
        lambda store: store.put("x", b"1", ttl=60),
        lambda store: store.put_many([("x", b"1")], ttl=60),
        lambda store: store.open("x", "wb", ttl=60).close(),
    ],
)
def test_the_first_life_time_turns_them_on(
    write: Callable[[ObjectStore], object], make: Callable[..., ObjectStore], client: Client
) -> None:
    """On a copy of the stream's settings as they are now: nothing else changes."""
    store = make({})
    change(client, description="changed since", max_bytes=1 << 30)
    before = api(client.connection, "STREAM.INFO.OBJ_odd")["config"]
    write(store)
    after = api(client.connection, "STREAM.INFO.OBJ_odd")["config"]
    for config in (before, after):
        config.pop("metadata", None)  # where the server notes what it needs
    assert after == {**before, "allow_msg_ttl": True}
    info = store.info("x")
    assert info is not None
    assert info.ttl is not None


def test_a_life_time_on_an_older_server(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    jetstream = type(store._handle.jetstream)
    monkeypatch.setattr(jetstream, "server_version", (2, 10, 9))
    with pytest.raises(ServerVersionError, match=r"needs nats-server 2\.11\.0.*this is 2\.10\.9"):
        store.put("x", b"1", ttl=60)


@pytest.mark.parametrize(("option", "since"), [("object_ttl", "2.11.0"), ("batched", "2.14.0")])
def test_options_of_newer_servers(
    option: str, since: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(client._jetstream), "server_version", (2, 10, 9))
    options: dict[str, Any] = {option: True}
    calls: list[Callable[[], object]] = [
        lambda: client.object_store("newer", **options),
        lambda: client.update_store("newer", **options),
        lambda: client.clone_store("older", "newer", **options),
    ]
    for call in calls:
        with pytest.raises(ServerVersionError, match=f"{option} of bucket newer") as caught:
            call()
        assert (caught.value.needed, caught.value.version) == (since, "2.10.9")


@pytest.mark.needs_server("2.14")
def test_the_options(client: Client) -> None:
    """Also in a clone; and what one hold changes counts for the others of its client."""
    store = client.object_store("opt", object_ttl=True, batched=True)
    assert client.object_store("opt", object_ttl=True, batched=True).name == "opt"
    with pytest.raises(BucketConfigError, match="batched is True, not False"):
        client.object_store("opt", batched=False)
    config = client.clone_store("opt", "opt2").status().stream_info.config
    assert (config["allow_msg_ttl"], config["allow_batched"]) == (True, True)
    client.update_store("opt", batched=False)
    assert not store.status().stream_info.config.get("allow_batched")
    client.update_store("opt", max_object_size=3)
    with pytest.raises(objstore.ObjectTooLargeError):
        store.put("x", b"1234")
    client.delete_store("opt")
    client.delete_store("opt2")


@pytest.mark.needs_server("2.11")
def test_who_must_not_change_the_stream() -> None:
    """Its error says who may do what."""
    users = (
        "{user: free, password: p}, {user: writer, password: p, permissions: "
        '{publish: {deny: "$JS.API.STREAM.UPDATE.>"}}}'
    )
    with (
        LocalServer(config=f"authorization {{users: [{users}]}}") as server,
        objstore.connect(server.url, user="free", password="p") as free,
        objstore.connect(server.url, user="writer", password="p") as writer,
    ):
        free.object_store("b")
        store = writer.object_store("b")
        with pytest.raises(PermissionDeniedError, match=r"update_store\('b', object_ttl=True\)"):
            store.put("x", b"1", ttl=60)
        free.update_store("b", object_ttl=True)
        assert store.put("x", b"1", ttl=60).ttl is not None
