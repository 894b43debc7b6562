"""A bucket's options and its stream."""

from __future__ import annotations

import pickle
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.errors import BucketConfigError, InvalidNameError, InvalidOptionError
from objstore.model.bucket_config import (
    MAX_OBJECT_SIZE,
    BucketOptions,
    StorageType,
    StoreCompression,
    check_existing,
    max_object_size,
    new_stream,
    updated_stream,
    user_metadata,
)
from objstore.model.bucket_status import status_of
from objstore.wire.jetstream.api import FEATURES

EVERYTHING = BucketOptions(
    description="d",
    max_object_size=1000,
    max_bytes=10_000,
    storage="memory",
    replicas=3,
    ttl=60,
    compression=True,
    metadata={"k": "v"},
)


def stream_info(config: dict[str, Any], size: int = 123) -> dict[str, Any]:
    """What a server tells of a stream that it made from a configuration."""
    metadata = {**config.get("metadata", {}), "_nats.level": "2", "_nats.ver": "2.15.1"}
    return {"config": {**config, "metadata": metadata}, "state": {"bytes": size}}


# --- options


def test_what_was_not_said_is_not_sent() -> None:
    assert BucketOptions().fields() == {}


def test_every_option() -> None:
    assert EVERYTHING.fields() == {
        "description": "d",
        "max_bytes": 10_000,
        "storage": "memory",
        "num_replicas": 3,
        "max_age": 60_000_000_000,
        "compression": "s2",
        "metadata": {"k": "v", MAX_OBJECT_SIZE: "1000"},
    }


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({"description": ""}, {"description": ""}),
        ({"storage": StorageType.FILE}, {"storage": "file"}),
        ({"storage": "memory"}, {"storage": "memory"}),
        ({"compression": StoreCompression.S2}, {"compression": "s2"}),
        ({"compression": "none"}, {"compression": "none"}),
        ({"compression": True}, {"compression": "s2"}),
        ({"compression": False}, {"compression": "none"}),
        ({"metadata": {}}, {"metadata": {}}),
        ({"max_object_size": 5}, {"metadata": {MAX_OBJECT_SIZE: "5"}}),
        ({"ttl": 0}, {"max_age": 0}),
        ({"ttl": 1.5}, {"max_age": 1_500_000_000}),
        ({"ttl": timedelta(days=1)}, {"max_age": 86_400_000_000_000}),
        ({"ttl": timedelta(days=100_000, microseconds=1)}, {"max_age": 8_640_000_000_000_001_000}),
        ({"ttl": 9_223_372_035}, {"max_age": 9_223_372_035_000_000_000}),
    ],
)
def test_options(options: dict[str, Any], fields: dict[str, Any]) -> None:
    assert BucketOptions(**options).fields() == fields


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"description": 5}, "a description is text"),
        ({"max_bytes": 0}, "max_bytes is 0; it must be a positive whole number"),
        ({"max_bytes": -1}, "positive"),
        ({"max_bytes": 1.5}, "positive"),
        ({"max_bytes": True}, "max_bytes is True"),
        ({"max_bytes": "5"}, "max_bytes is '5'"),
        ({"replicas": 0}, "replicas is 0"),
        ({"max_object_size": 0}, "max_object_size is 0"),
        ({"max_object_size": "1"}, "max_object_size is '1'"),
        ({"storage": "disk"}, "storage is 'disk'; it must be one of file, memory"),
        ({"storage": 5}, "storage is 5"),
        ({"storage": ["file"]}, "storage is"),
        ({"compression": "gzip"}, "compression is 'gzip'; it must be one of none, s2"),
        ({"compression": 1}, "compression is 1"),
        ({"metadata": {"a": 1}}, "texts as keys and values"),
        ({"metadata": "a"}, "a mapping"),
        ({"ttl": -1}, "ttl is -1; it must be a timedelta or seconds, of at most 292 years"),
        ({"ttl": -1e-10}, "ttl is -1e-10"),
        ({"ttl": timedelta(microseconds=-1)}, "ttl is"),
        ({"ttl": float("nan")}, "ttl is nan"),
        ({"ttl": float("inf")}, "ttl is inf"),
        ({"ttl": float("-inf")}, "ttl is -inf"),
        ({"ttl": 1e308}, "ttl is 1e"),
        ({"ttl": 10**400}, "ttl is 1000"),
        ({"ttl": timedelta.max}, "292 years"),
        ({"ttl": True}, "ttl is True"),
        ({"ttl": "60"}, "ttl is '60'"),
        ({"object_ttl": 1}, "object_ttl is 1; it must be True or False"),
        ({"batched": "yes"}, "batched is 'yes'; it must be True or False"),
    ],
)
def test_options_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidOptionError, match=words):
        BucketOptions(**options).fields()


# --- a new stream


def test_a_new_stream() -> None:
    """What ADR-20 asks for: two subjects, discard new, roll-ups and direct gets."""
    assert new_stream("B", BucketOptions(), {}) == {
        "name": "OBJ_B",
        "subjects": ["$O.B.C.>", "$O.B.M.>"],
        "retention": "limits",
        "discard": "new",
        "max_bytes": -1,
        "max_age": 0,
        "storage": "file",
        "num_replicas": 1,
        "compression": "none",
        "allow_rollup_hdrs": True,
        "allow_direct": True,
    }


def test_a_new_stream_with_everything() -> None:
    config = new_stream("B", EVERYTHING, dict.fromkeys(FEATURES, True))
    assert config.items() >= EVERYTHING.fields().items()


def test_a_new_stream_is_plain_whatever_the_server_can_do() -> None:
    """Other clients' idempotent create calls know ADR-20's fields and no others."""
    plain = new_stream("B", BucketOptions(), dict.fromkeys(FEATURES, False))
    assert new_stream("B", BucketOptions(), dict.fromkeys(FEATURES, True)) == plain
    said_no = BucketOptions(object_ttl=False, batched=False)
    assert new_stream("B", said_no, dict.fromkeys(FEATURES, True)) == plain
    asked = new_stream("B", BucketOptions(object_ttl=True, batched=True), {})
    assert asked == {**plain, "allow_msg_ttl": True, "allow_batched": True}


@pytest.mark.parametrize("fed", [{"mirror": "a"}, {"sources": ["a"]}])
def test_what_is_fed_from_others_lets_objects_expire(fed: dict[str, Any]) -> None:
    """As its sources may; an older server is not sent a field that it does not know."""
    feature = {"message TTL": True}
    assert new_stream("B", BucketOptions(**fed), feature)["allow_msg_ttl"] is True
    assert "allow_msg_ttl" not in new_stream("B", BucketOptions(**fed), {})
    assert "allow_msg_ttl" not in new_stream("B", BucketOptions(**fed, object_ttl=False), feature)


# --- a changed stream


def test_a_change_touches_only_what_it_was_told() -> None:
    """Also of a bucket that another tool made."""
    foreign = {
        "name": "OBJ_B", "subjects": ["$O.B.>"], "discard": "old", "allow_direct": False,
        "duplicate_window": 5, "max_consumers": 7, "deny_delete": True, "unknown": 1,
    }  # fmt: skip
    supports = dict.fromkeys(FEATURES, True)
    assert updated_stream("B", BucketOptions(), foreign, supports) == foreign
    changed = updated_stream("B", BucketOptions(max_bytes=9), foreign, supports)
    assert changed == {**foreign, "max_bytes": 9}


def test_what_a_change_may_turn_on_and_off() -> None:
    config = new_stream("B", BucketOptions(object_ttl=True, batched=True), {})
    assert updated_stream("B", BucketOptions(object_ttl=True), config, {}) == config
    off = updated_stream("B", BucketOptions(batched=False), config, {})
    assert off == {key: value for key, value in config.items() if key != "allow_batched"}
    with pytest.raises(BucketConfigError, match="bucket B keeps object_ttl") as caught:
        updated_stream("B", BucketOptions(object_ttl=False), config, {})
    assert caught.value.differences == {"object_ttl": (True, False)}


def test_a_new_stream_refuses() -> None:
    with pytest.raises(InvalidNameError):
        new_stream("a.b", BucketOptions(), {})
    with pytest.raises(InvalidOptionError):
        new_stream("B", BucketOptions(replicas=0), {})


# --- an existing stream


def test_an_existing_bucket_as_it_was_asked_for() -> None:
    """What the server adds to the metadata does not count; nor what nobody spoke of."""
    for options in (BucketOptions(), EVERYTHING):
        config = stream_info(new_stream("B", options, {}))["config"]
        check_existing("B", options, config)
        check_existing("B", BucketOptions(), config)


@pytest.mark.parametrize(
    ("made", "asked"),
    [
        ({}, {"description": ""}),
        ({}, {"compression": False}),
        ({}, {"ttl": 0}),
        ({}, {"metadata": {}}),
        ({}, {"object_ttl": False, "batched": False}),
        ({"object_ttl": True, "batched": True}, {"object_ttl": True, "batched": True}),
        ({"max_object_size": 5, "metadata": {"a": "b"}}, {"max_object_size": 5}),
        ({"max_object_size": 5, "metadata": {"a": "b"}}, {"metadata": {"a": "b"}}),
        ({"ttl": timedelta(days=2)}, {"ttl": 172_800}),
    ],
)
def test_the_same_settings(made: dict[str, Any], asked: dict[str, Any]) -> None:
    config = new_stream("B", BucketOptions(**made), {})
    check_existing("B", BucketOptions(**asked), config)
    for field in ("description", "compression", "max_age"):  # a server leaves out what is zero
        if config.get(field) in ("", "none", 0):
            del config[field]
    check_existing("B", BucketOptions(**asked), config)


@pytest.mark.parametrize(
    ("made", "asked", "differences"),
    [
        ({}, {"description": "d"}, {"description": ("", "d")}),
        ({}, {"compression": True}, {"compression": ("none", "s2")}),
        ({}, {"ttl": 1}, {"ttl": (timedelta(0), timedelta(seconds=1))}),
        ({}, {"max_bytes": 5}, {"max_bytes": (-1, 5)}),
        ({}, {"object_ttl": True}, {"object_ttl": (False, True)}),
        ({"batched": True}, {"batched": False}, {"batched": (True, False)}),
        ({}, {"metadata": {"a": "b"}}, {"metadata": ({}, {"a": "b"})}),
        ({"metadata": {"a": "b"}}, {"metadata": {}}, {"metadata": ({"a": "b"}, {})}),
        ({}, {"max_object_size": 5}, {"max_object_size": (None, 5)}),
        ({"max_object_size": 5, "metadata": {"a": "b"}}, {"max_object_size": 6},
         {"max_object_size": (5, 6)}),
        ({"max_object_size": 5}, {"max_object_size": 6, "metadata": {"a": "b"}},
         {"max_object_size": (5, 6), "metadata": ({}, {"a": "b"})}),
        ({}, {"storage": "memory", "replicas": 3},
         {"storage": ("file", "memory"), "replicas": (1, 3)}),
    ],
)  # fmt: skip
def test_other_settings(
    made: dict[str, Any], asked: dict[str, Any], differences: dict[str, Any]
) -> None:
    """The error names each field, as it is and as it was asked for."""
    config = stream_info(new_stream("B", BucketOptions(**made), {}))["config"]
    with pytest.raises(BucketConfigError, match="bucket B exists with other settings") as caught:
        check_existing("B", BucketOptions(**asked), config)
    assert caught.value.differences == differences
    assert caught.value.bucket == "B"
    for field, (actual, wanted) in differences.items():
        assert f"{field} is {actual!r}, not {wanted!r}" in str(caught.value)
    assert ("; update_store or" in str(caught.value)) is ("storage" not in differences)


def test_an_impossible_option_for_an_existing_bucket() -> None:
    with pytest.raises(InvalidOptionError):
        check_existing("B", BucketOptions(replicas=0), {})


# --- what a stream tells


@pytest.mark.parametrize("metadata", [None, "text", 5, []])
def test_no_metadata(metadata: object) -> None:
    assert user_metadata(metadata) == {}


def test_the_servers_metadata_is_not_the_users() -> None:
    assert user_metadata({"a": "b", "_nats.level": "1", "_natsx": "c"}) == {"a": "b", "_natsx": "c"}


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("1000", 1000), ("0", 0), ("", None), ("-5", None), ("1.5", None), (" 5", None),
        ("many", None), ("²", None), ("٣", None), ("1_000", None), ("5\n", None),
        ("9" * 5000, None), (str((1 << 63) - 1), (1 << 63) - 1),
    ],
)  # fmt: skip
def test_max_object_size(text: str, limit: int | None) -> None:
    """Others may write anything there; what is no number is no limit."""
    assert max_object_size({"metadata": {MAX_OBJECT_SIZE: text}}) == limit


def test_no_max_object_size() -> None:
    assert max_object_size({}) is None
    assert max_object_size({"metadata": None}) is None


def test_status() -> None:
    info = stream_info({**new_stream("B", EVERYTHING, {}), "sealed": True})
    status = status_of("B", info, size=3, total_size=99)
    assert (status.bucket, status.size, status.total_size, status.bytes) == ("B", 3, 99, 123)
    assert (status.description, status.ttl, status.replicas) == ("d", timedelta(minutes=1), 3)
    assert status.storage is StorageType.MEMORY
    assert status.compression is StoreCompression.S2
    assert status.sealed is True
    assert status.max_object_size == 1000
    assert status.metadata == {"k": "v"}
    assert status.stream_info.config == info["config"]
    assert status.stream_info.state.bytes == 123
    assert status.backing_store == "JetStream"
    assert "stream_info" not in repr(status)
    assert pickle.loads(pickle.dumps(status)) == status


def test_status_of_a_server_that_says_little() -> None:
    """Old servers leave out what is zero or what they do not know."""
    status = status_of("B", {"config": {"name": "OBJ_B"}, "state": {"bytes": 0}})
    assert (status.size, status.total_size) == (None, None)
    assert (status.description, status.ttl) == ("", timedelta())
    assert (status.storage, status.compression) == (StorageType.FILE, StoreCompression.NONE)
    assert (status.replicas, status.sealed, status.max_object_size) == (1, False, None)
    assert status.metadata == {}


@given(st.timedeltas(timedelta(), timedelta(days=365 * 290)))
def test_ttl_round_trip(ttl: timedelta) -> None:
    """To the microsecond, however long it is."""
    config = new_stream("B", BucketOptions(ttl=ttl), {})
    assert status_of("B", stream_info(config)).ttl == ttl
    check_existing("B", BucketOptions(ttl=ttl), config)


@given(st.integers() | st.floats())
def test_any_ttl(ttl: float) -> None:
    """It fits into the server's 64 bits, or it is refused."""
    try:
        nanoseconds = BucketOptions(ttl=ttl).fields()["max_age"]
    except InvalidOptionError:
        assert not 0 <= ttl < 9.2e9
    else:
        assert 0 <= nanoseconds < 1 << 63
        assert nanoseconds == pytest.approx(ttl * 1e9, abs=1)
