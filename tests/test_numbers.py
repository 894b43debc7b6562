"""Numbers of any type are numbers, and a bool is none, wherever one can be given."""

from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from objstore import (
    BucketOptions,
    Client,
    InvalidOptionError,
    LocalServer,
    ObjectMeta,
    ObjectMetaOptions,
    ObjectStore,
    StreamSource,
)
from objstore.wire.connection.arguments import to_seconds, to_whole


class Whole:
    """A whole number as numpy has them: no int, but an index."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __index__(self) -> int:
        return self.number

    def __float__(self) -> float:
        return float(self.number)

    def __eq__(self, other: object) -> bool:  # as numpy's, it is no key to an int's place
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]


class Size(enum.IntEnum):
    CHUNK = 100


WHOLE: list[Callable[[int], Any]] = [int, Whole]
SECONDS: list[Callable[[int], Any]] = [
    *WHOLE, float, Decimal, Fraction, lambda number: timedelta(seconds=number)
]  # fmt: skip

#: What is no whole number, and what is no duration either.
NEITHER: list[Any] = ["1", b"1", [1], {}, True, False, 1j, float("nan"), object(), Decimal("NaN")]
NOT_WHOLE: list[Any] = [*NEITHER, 1.0, 1.5, Decimal(1), Fraction(1), timedelta(1)]


@pytest.mark.parametrize("kind", WHOLE)
def test_whole_numbers(store: ObjectStore, kind: Callable[[int], Any]) -> None:
    info = store.put("x", b"0123456789" * 25, chunk_size=kind(100))
    assert (info.chunks, info.options.chunk_size) == (3, 100)
    assert type(info.options.chunk_size) is int
    assert store.put("x", b"0" * 250, chunk_size=Size.CHUNK).chunks == 3
    info = store.put("x", b"0" * 250)
    meta = ObjectMeta("x", max_chunk_size=kind(50))
    assert store.put(meta, b"0" * 250, if_revision=kind(info.revision)).chunks == 5
    meta = ObjectMeta("x", options=ObjectMetaOptions(chunk_size=kind(25)))
    revision = kind(store.put(meta, b"0123456789" * 25).revision)
    assert store.read_range("x", kind(3), kind(6)) == b"345"
    result = store.get("x", start=kind(240), end=kind(250))
    assert result is not None
    with result:
        assert result.seek(kind(2)) == 2
        assert result.read(kind(3)) == b"234"
    info = store.update("x", description="d", if_revision=revision)
    assert store.delete("x", if_revision=kind(info.revision))
    assert store.put("y", b"", if_revision=kind(0)).size == 0
    with store.open("z", "wb", chunk_size=kind(2), if_revision=kind(0)) as file:
        file.write(b"12345")
    assert store.info("z").chunks == 3  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", WHOLE)
def test_whole_numbers_of_buckets(client: Client, kind: Callable[[int], Any]) -> None:
    options = {"max_bytes": kind(1 << 20), "replicas": kind(1), "max_object_size": kind(1000)}
    try:
        for _ in range(2):  # created, then compared
            store = client.object_store("numbers", **options)
        assert store.status().max_object_size == 1000
        assert store.status().stream_info.config["max_bytes"] == 1 << 20
        source = StreamSource("numbers", opt_start_seq=kind(1))
        client.object_store("numbers-all", sources=[source])
    finally:
        client.delete_store("numbers-all")
        client.delete_store("numbers")


@pytest.mark.parametrize("kind", SECONDS)
def test_durations(client: Client, kind: Callable[[int], Any]) -> None:
    try:
        store = client.object_store("numbers", ttl=kind(3600))
        assert store.status().ttl == timedelta(hours=1)
        store.put("x", b"1", timeout=kind(9))
        store.put_many([("y", b"1")], timeout=kind(9))
        assert store.collect_garbage(min_age=kind(5)).nuids == ()
        with store.watch() as watcher:
            assert watcher.next(timeout=kind(9)).name == "x"
    finally:
        client.delete_store("numbers")


@pytest.mark.needs_server("2.11")
@pytest.mark.parametrize("kind", SECONDS)
def test_life_times(store: ObjectStore, kind: Callable[[int], Any]) -> None:
    assert store.put("x", b"1", ttl=kind(100)).ttl == timedelta(seconds=100)


#: Each takes a whole number.
TAKES_WHOLE: dict[str, Callable[[ObjectStore, Any], object]] = {
    "chunk_size": lambda store, value: store.put("x", b"1", chunk_size=value),
    "max_chunk_size": lambda store, value: store.put(ObjectMeta("x", max_chunk_size=value), b"1"),
    "options": lambda store, value: store.put(
        ObjectMeta("x", options=ObjectMetaOptions(chunk_size=value)), b"1"
    ),
    "if_revision": lambda store, value: store.put("x", b"1", if_revision=value),
    "if_revision of delete": lambda store, value: store.delete("x", if_revision=value),
    "start": lambda store, value: store.read_range("x", value, None),
    "end": lambda store, value: store.get("x", end=value),
    "max_bytes": lambda _, value: BucketOptions(max_bytes=value).fields(),
    "replicas": lambda _, value: BucketOptions(replicas=value).fields(),
    "max_object_size": lambda _, value: BucketOptions(max_object_size=value).fields(),
    "opt_start_seq": lambda _, value: BucketOptions(
        sources=[StreamSource("a", opt_start_seq=value)]
    ).fields("b"),
    "port": lambda _, value: LocalServer(port=value),
}

#: Each takes a duration.
TAKES_SECONDS: dict[str, Callable[[ObjectStore, Any], object]] = {
    "timeout": lambda store, value: store.put("x", b"1", timeout=value),
    "timeout of put_many": lambda store, value: store.put_many([("x", b"1")], timeout=value),
    "ttl": lambda store, value: store.put("x", b"1", ttl=value),
    "ttl of a bucket": lambda _, value: BucketOptions(ttl=value).fields(),
    "min_age": lambda store, value: store.collect_garbage(min_age=value),
    "start": lambda _, value: LocalServer().start(timeout=value),
}


@pytest.mark.parametrize("what", TAKES_WHOLE)
def test_no_whole_numbers(store: ObjectStore, what: str) -> None:
    for value in NOT_WHOLE:
        with pytest.raises(InvalidOptionError):
            TAKES_WHOLE[what](store, value)
    assert list(store) == []


@pytest.mark.parametrize("what", TAKES_SECONDS)
def test_no_durations(store: ObjectStore, what: str) -> None:
    for value in [*NEITHER, -1, timedelta(-1)]:
        with pytest.raises(InvalidOptionError):
            TAKES_SECONDS[what](store, value)
    assert list(store) == []


def test_no_durations_of_a_watcher(store: ObjectStore) -> None:
    with store.watch() as watcher:
        for value in [*NEITHER, -1]:
            with pytest.raises(InvalidOptionError, match="timeout"):
                watcher.next(timeout=value)


def test_what_numbers_are() -> None:
    assert [to_whole(value) for value in (7, Whole(7), Size.CHUNK)] == [7, 7, 100]
    assert [to_whole(value) for value in NOT_WHOLE] == [None] * len(NOT_WHOLE)
    durations = [7, 7.0, Whole(7), Decimal(7), Fraction(14, 2), timedelta(seconds=7)]
    assert [to_seconds(value) for value in durations] == [7.0] * 6
    assert [to_seconds(value) for value in NEITHER] == [None] * len(NEITHER)
    assert to_seconds(10**400) == float("inf")
    assert to_seconds(-(10**400)) == float("-inf")
    bool_ = type("bool_", (), {"__index__": lambda _: 1, "__float__": lambda _: 1.0})
    assert (to_whole(bool_()), to_seconds(bool_())) == (None, None)  # as numpy's


@pytest.mark.parametrize("timeout", [1e20, float("inf"), timedelta.max])
def test_a_time_out_that_no_clock_counts(timeout: Any, store: ObjectStore) -> None:
    """It is eleven days, as everywhere else."""
    store.put("x", b"1", timeout=timeout)
    store.put("x", iter([b"1", b"2"]), timeout=timeout)
    with store.open("y", "wb", timeout=timeout) as file:
        file.write(b"3")
    assert [info.size for info in store.put_many([("z", b"4")], timeout=timeout)] == [1]
    assert store.read_bytes("x") == b"12"


@pytest.mark.needs_server("2.11")
def test_the_longest_life(store: ObjectStore) -> None:
    """The server counts nanoseconds, and chunks live longer than their object."""
    longest = timedelta(days=292 * 365)
    assert store.put("x", iter([b"1"]), ttl=longest).ttl == longest
    assert [info.ttl for info in store] == [longest]
    with pytest.raises(InvalidOptionError, match="at most 292 years"):
        store.put("x", b"1", ttl=longest + timedelta(days=366))
