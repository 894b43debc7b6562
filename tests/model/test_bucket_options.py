"""The options of a bucket: what the server makes of them, and what never reaches it."""

from __future__ import annotations

import pickle
import threading
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

import objstore
from objstore import (
    BucketConfigError,
    Client,
    Connection,
    ExternalStream,
    InvalidOptionError,
    LocalServer,
    Placement,
    Republish,
    StorageType,
    StreamSource,
)
from objstore.model.bucket_config import cloned_stream, merged_metadata, new_stream, updated_stream
from objstore.model.bucket_options import MAX_OBJECT_SIZE, BucketOptions
from objstore.model.stream_info import parse_stream_info, parse_stream_time
from objstore.wire.jetstream.times import time_text

NOON = datetime(2026, 1, 10, 12, tzinfo=timezone.utc)
HUB = ExternalStream("$JS.hub.API", "deliver.hub")


@pytest.fixture
def offline(server: LocalServer) -> Client:
    """A client whose connection is closed: whatever it sends fails."""
    client = Client(Connection(server.url))
    client.close()
    return client


BAD = [
    {"placement": "east"},
    {"placement": {"cluster": "east"}},
    {"placement": Placement()},
    {"placement": Placement("")},
    {"placement": Placement("a b")},
    {"placement": Placement(5)},  # type: ignore[arg-type]
    {"placement": Placement(tags="ssd")},
    {"placement": Placement(tags=5)},  # type: ignore[arg-type]
    {"placement": Placement(tags=["ok", ""])},
    {"placement": Placement(tags=[5])},  # type: ignore[list-item]
    {"republish": "dest.>"},
    {"republish": Republish("")},
    {"republish": Republish("a b")},
    {"republish": Republish("a..b")},
    {"republish": Republish("a.>.b")},
    {"republish": Republish(5)},  # type: ignore[arg-type]
    {"republish": Republish("a", "b\r\nPUB x")},
    {"republish": Republish("a", headers_only=1)},  # type: ignore[arg-type]
    {"mirror": 5},
    {"mirror": ["a"]},
    {"mirror": ""},
    {"mirror": "a.b"},
    {"mirror": "never"},  # itself
    {"mirror": StreamSource("a b")},
    {"mirror": StreamSource(None)},  # type: ignore[arg-type]
    {"mirror": StreamSource("a", opt_start_seq=0)},
    {"mirror": StreamSource("a", opt_start_seq=True)},
    {"mirror": StreamSource("a", opt_start_seq=1 << 64)},
    {"mirror": StreamSource("a", opt_start_time=datetime(2026, 1, 1))},
    {"mirror": StreamSource("a", opt_start_time="2026-01-01")},  # type: ignore[arg-type]
    {"mirror": StreamSource("a", opt_start_seq=1, opt_start_time=NOON)},
    {"mirror": StreamSource("a", filter_subject="")},
    {"mirror": StreamSource("a", filter_subject="$O.b.M.>")},
    {"mirror": StreamSource("a", filter_subject=">")},
    {"mirror": StreamSource("a", external="hub")},  # type: ignore[arg-type]
    {"mirror": StreamSource("a", external=ExternalStream(""))},
    {"mirror": StreamSource("a", external=ExternalStream("$JS.>"))},
    {"mirror": StreamSource("a", external=ExternalStream("$JS.hub.API", "x.*"))},
    {"mirror": StreamSource("a.b", external=HUB)},
    {"mirror": StreamSource("", external=HUB)},
    {"sources": "a"},
    {"sources": b"a"},
    {"sources": StreamSource("a")},
    {"sources": 5},
    {"sources": [5]},
    {"sources": ["a", "a b"]},
    {"sources": ["a", "b", "a"]},
    {"sources": ["never"]},
    {"mirror": "a", "sources": ["b"]},
    {"metadata": {"_nats.level": "9"}},
    {"max_object_size": "5"},
    {"nonsense": 1},
]


@pytest.mark.parametrize("options", BAD, ids=repr)
def test_bad_options_are_never_sent(options: dict[str, Any], offline: Client) -> None:
    for act in (offline.object_store, offline.update_store):
        with pytest.raises(InvalidOptionError):
            act("never", **options)
    with pytest.raises(InvalidOptionError):
        offline.clone_store("source", "never", **options)


def test_what_is_well_would_be_sent(offline: Client) -> None:
    """The proof that the client of these tests has nobody to talk to."""
    with pytest.raises(objstore.ConnectionLostError):
        offline.object_store("never", placement=Placement("east"))


# --- the stream's fields


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({"placement": Placement("east")}, {"placement": {"cluster": "east"}}),
        ({"placement": Placement(tags=("a", "b"))}, {"placement": {"tags": ["a", "b"]}}),
        ({"republish": Republish("r.>")}, {"republish": {"src": ">", "dest": "r.>"}}),
        (
            {"republish": Republish("r.>", "$O.B.M.>", True)},
            {"republish": {"src": "$O.B.M.>", "dest": "r.>", "headers_only": True}},
        ),
        (
            {"mirror": "a"},
            {
                "subjects": [],
                "sources": [
                    {
                        "name": "OBJ_a",
                        "subject_transforms": [
                            {"src": "$O.a.C.>", "dest": "$O.B.C.>"},
                            {"src": "$O.a.M.>", "dest": "$O.B.M.>"},
                        ],
                    }
                ],
            },
        ),
        (
            {"mirror": StreamSource("a", opt_start_seq=5, filter_subject="$O.a.*.x.>")},
            {
                "subjects": [],
                "sources": [
                    {
                        "name": "OBJ_a",
                        "opt_start_seq": 5,
                        "subject_transforms": [
                            {"src": "$O.a.*.x.>", "dest": "$O.B.{{wildcard(1)}}.x.>"}
                        ],
                    }
                ],
            },
        ),
        (
            {"mirror": StreamSource("OBJ_a", external=HUB)},
            {
                "subjects": [],
                "mirror": {
                    "name": "OBJ_a",
                    "external": {"api": "$JS.hub.API", "deliver": "deliver.hub"},
                    "subject_transforms": [
                        {"src": "$O.a.C.>", "dest": "$O.B.C.>"},
                        {"src": "$O.a.M.>", "dest": "$O.B.M.>"},
                    ],
                },
            },
        ),
        (
            {"sources": [StreamSource("x", None, NOON, "s.>", ExternalStream("api"))]},
            {
                "subjects": ["$O.B.C.>", "$O.B.M.>"],
                "sources": [
                    {
                        "name": "x",
                        "opt_start_time": "2026-01-10T12:00:00Z",
                        "external": {"api": "api", "deliver": ""},
                        "filter_subject": "s.>",
                    }
                ],
            },
        ),
        ({"sources": []}, {"subjects": ["$O.B.C.>", "$O.B.M.>"], "sources": []}),
    ],
)
def test_fields(options: dict[str, Any], fields: dict[str, Any]) -> None:
    assert BucketOptions(**options).fields("B") == fields


def test_a_mirror_of_a_domain_never_answers_for_its_source() -> None:
    """Nor does it take what the server refuses mirrors: subjects, batches."""
    mirror = StreamSource("OBJ_a", external=HUB)
    config = new_stream("B", BucketOptions(mirror=mirror), {"fast-ingest batches": True})
    assert config["mirror_direct"] is False
    assert config["allow_direct"] is True
    assert config["subjects"] == []
    assert "allow_batched" not in config
    again = updated_stream("B", BucketOptions(), config, {"fast-ingest batches": True})
    assert again == config
    assert updated_stream("B", BucketOptions(mirror=mirror), config, {}) == config
    with pytest.raises(BucketConfigError, match="exists with other settings: sources is"):
        updated_stream("B", BucketOptions(mirror="other"), config, {})
    own = updated_stream("B", BucketOptions(sources=[]), config, {})
    assert "mirror" not in own
    assert own["subjects"] == ["$O.B.C.>", "$O.B.M.>"]


def test_merged_metadata() -> None:
    old = {"a": "b", MAX_OBJECT_SIZE: "5", "_nats.ver": "2"}

    def merged(**options: Any) -> dict[str, str]:
        return merged_metadata(BucketOptions(**options), {"metadata": old})

    assert merged() == old
    assert merged(metadata={"c": "d"}) == {"c": "d", MAX_OBJECT_SIZE: "5", "_nats.ver": "2"}
    assert merged(max_object_size=6) == {**old, MAX_OBJECT_SIZE: "6"}
    assert merged(metadata={}, max_object_size=6) == {MAX_OBJECT_SIZE: "6", "_nats.ver": "2"}


def test_a_clones_stream() -> None:
    source = {
        **new_stream("A", BucketOptions(max_bytes=5, ttl=60, max_object_size=7), {}),
        "sealed": True,
        "mirror": {"name": "x"},
        "republish": {"dest": "y"},
    }
    config = cloned_stream("B", BucketOptions(description="d"), source, {})
    asked = BucketOptions(max_bytes=5, ttl=60, max_object_size=7, description="d")
    assert config == new_stream("B", asked, {})


# --- the server


def test_every_option_on_the_server(client: Client) -> None:
    """A second call with the same options finds the bucket as it is asked for."""
    client.object_store("opt-source")
    options: dict[str, Any] = {
        "description": "d",
        "max_object_size": 1000,
        "max_bytes": 1 << 20,
        "storage": StorageType.MEMORY,
        "replicas": 1,
        "ttl": timedelta(hours=1),
        "compression": "none",
        "republish": Republish("opt.changed.>", "$O.opt.M.>", headers_only=True),
        "sources": [StreamSource("opt-source", opt_start_time=NOON)],
        "metadata": {"k": "v"},
    }
    for _ in range(2):
        status = client.object_store("opt", **options).status()
        assert (status.description, status.max_object_size, status.size) == ("d", 1000, 0)
        assert (status.storage, status.replicas) == (StorageType.MEMORY, 1)
        assert (status.ttl, status.metadata) == (timedelta(hours=1), {"k": "v"})
    assert client.object_store("opt", create=False).status().max_object_size == 1000
    assert client.update_store("opt", **options).status().metadata == {"k": "v"}
    changes: tuple[dict[str, Any], ...] = (
        {"republish": Republish("other.>", "$O.opt.M.>", headers_only=True)},
        {"republish": Republish("opt.changed.>")},
        {"sources": []},
        {"sources": ["opt-source"]},
        {"mirror": "opt-source"},
        {"placement": Placement("east")},
    )
    for change in changes:
        with pytest.raises(BucketConfigError, match="other settings") as caught:
            client.object_store("opt", **change)
        assert caught.value.differences
        assert set(caught.value.differences) <= {"republish", "sources", "subjects", "placement"}
    client.delete_store("opt")
    client.delete_store("opt-source")


def test_placement_without_a_cluster(client: Client) -> None:
    """A lone server keeps what was asked, and compares it."""
    for _ in range(2):
        store = client.object_store("placed", placement=Placement("east", ["ssd"]))
    config = store.status().stream_info.config
    assert config["placement"] == {"cluster": "east", "tags": ["ssd"]}
    with pytest.raises(BucketConfigError) as caught:
        client.object_store("placed", placement=Placement("west"))
    assert caught.value.differences == {
        "placement": ({"cluster": "east", "tags": ["ssd"]}, {"cluster": "west"})
    }
    client.delete_store("placed")


def test_republished_metadata(client: Client) -> None:
    heard: list[str] = []
    got = threading.Event()

    def hear(message: Any) -> None:
        heard.append(message.subject)
        got.set()

    client.connection.subscribe("heard.>", callback=hear)
    store = client.object_store("said", republish=Republish("heard.>", "$O.said.M.>"))
    store.put("x", b"1")
    assert got.wait(30)
    assert heard == ["heard.eA=="]
    client.delete_store("said")


def test_a_republish_that_the_server_refuses(client: Client) -> None:
    """It would send the bucket's messages to the bucket itself."""
    with pytest.raises(BucketConfigError, match="republish") as caught:
        client.object_store("cycle", republish=Republish("$O.cycle.M.>"))
    assert caught.value.bucket == "cycle"
    assert client.delete_store("cycle") is False


# --- what a stream tells


def test_stream_info(client: Client) -> None:
    store = client.object_store("told", max_bytes=1 << 20)
    empty = store.status().stream_info
    assert empty.state.first_ts is None
    assert (empty.state.messages, empty.alternates) == (0, ())
    store.put("x", b"12345", chunk_size=2)
    info = store.status().stream_info
    assert info.config["max_bytes"] == 1 << 20
    assert (info.state.messages, info.state.first_seq, info.state.last_seq) == (4, 1, 4)
    assert info.state.num_subjects == 2
    assert info.created is not None
    assert info.state.first_ts is not None
    assert info.state.last_ts is not None
    assert info.ts is not None
    assert info.created <= info.state.first_ts <= info.state.last_ts <= info.ts
    assert pickle.loads(pickle.dumps(info)) == info
    client.delete_store("told")


def test_all_that_a_stream_can_tell() -> None:
    info = parse_stream_info(
        {
            "config": {"name": "x"},
            "created": "2026-01-10T12:00:00.123456789Z",
            "state": {
                "messages": 5,
                "subjects": {"a": 2},
                "deleted": [3, 4],
                "num_deleted": 2,
                "lost": {"msgs": [7], "bytes": 9},
                "last_ts": "2026-01-10T14:00:00+02:00",
                "consumer_count": 1,
            },
            "alternates": [{"name": "m", "domain": "d", "cluster": "c"}, {"name": "n"}],
        }
    )
    assert info.created == NOON.replace(microsecond=123456)
    assert info.state.last_ts == NOON
    assert info.state.deleted == (3, 4)
    assert info.state.lost == objstore.LostStreamData((7,), 9)
    assert info.alternates[0] == objstore.StreamAlternate("m", "d", "c")
    assert info.alternates[1].domain == ""
    assert parse_stream_info({}).state == objstore.StreamState()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-10T12:00:00Z", NOON),
        ("2026-01-10 12:00:00.0 +0000 UTC", NOON),
        ("2026-01-10T07:30:00-04:30", NOON),
        ("0001-01-01T00:00:00Z", None),
        ("nonsense", None),
        ("", None),
        (None, None),
        (5, None),
    ],
)
def test_stream_time(text: object, moment: datetime | None) -> None:
    assert parse_stream_time(text) == moment


@pytest.mark.parametrize(
    "text", ["2026-01-10T12:00:00Z", "2026-01-10T12:00:00.5Z", "2026-12-31T23:59:59.000001Z"]
)
def test_time_text(text: str) -> None:
    moment = parse_stream_time(text)
    assert moment is not None
    assert time_text(moment) == text
    assert time_text(moment.astimezone(timezone(timedelta(hours=5)))) == text
