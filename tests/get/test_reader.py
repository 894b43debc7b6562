"""Objects as files: every operation against io.BytesIO, wherever the chunks are."""

from __future__ import annotations

import gc
import io
import itertools
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from objstore import (
    Client,
    DigestMismatchError,
    InvalidOptionError,
    ObjectChangedError,
    ObjectCorruptError,
    ObjectInfo,
    ObjectResult,
    ObjectStore,
)
from objstore.get.batched_gets import SEARCHES
from objstore.model.objects import chunk_subject, meta_subject
from objstore.model.record_json import encode_info
from objstore.wire.codec.protocol import Message
from objstore.wire.jetstream.direct import position
from tests.support.proxy import Line, Proxy
from tests.support.streams import api, delete_chunk, record, write_record

CHUNK = 1000


def pattern(size: int) -> bytes:
    """Bytes that differ from place to place, with some newlines among them."""
    return random.Random(size).randbytes(size)


def opened(store: ObjectStore, name: str, **part: int | None) -> ObjectResult:
    """An object that is there."""
    result = store.get(name, **part)  # type: ignore[arg-type]
    assert result is not None
    return result


def put_pieces(
    client: Client,
    store: ObjectStore,
    name: str,
    pieces: Iterable[bytes],
    *,
    chunk_size: int | None = CHUNK,
    noise: Callable[[int], int] = lambda _: 0,
) -> ObjectInfo:
    """Store an object as another client might: each piece one chunk, others' messages between.

    Arguments:
        noise: how many other messages come before a chunk.
    """
    content = b"".join(pieces := list(pieces))
    info = store.put(name, content, chunk_size=max(1, len(content)) if len(content) else None)
    nuid = f"{info.nuid[:-3]}xyz"
    connection = client.connection
    other = encode_info(ObjectInfo(store.name, "noise"))
    for index, piece in enumerate(pieces):
        for _ in range(noise(index)):
            connection.publish(meta_subject(store.name, "noise"), payload=other)
        connection.publish(chunk_subject(store.name, nuid), payload=piece)
    fields = record(client, store, name)
    options = {} if chunk_size is None else {"max_chunk_size": chunk_size}
    fields.update(nuid=nuid, chunks=len(pieces), options=options)
    write_record(client, store, fields)
    purged = {"filter": chunk_subject(store.name, info.nuid)}
    assert api(connection, f"STREAM.PURGE.OBJ_{store.name}", purged)["success"]
    found = store.info(name)
    assert found is not None
    assert (found.nuid, found.chunks) == (nuid, len(pieces))
    return found


def cut(content: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    """The content in pieces of such sizes, over and over."""
    at = 0
    for size in itertools.cycle(sizes):
        if at >= len(content):
            return
        yield content[at : at + size]
        at += size


# --- every kind of object

KINDS = ("even", "updated", "renamed", "interleaved", "uneven", "uneven, interleaved", "unstated")


def store_kind(kind: str, content: bytes, client: Client, store: ObjectStore, name: str) -> str:
    """Store an object of a kind; its name then."""
    whole = cut(content, [CHUNK])
    if kind == "interleaved":
        put_pieces(client, store, name, whole, noise=lambda index: index * 7 % 5)
    elif kind == "uneven":
        put_pieces(client, store, name, cut(content, [CHUNK, 700, 999, 1, CHUNK]))
    elif kind == "uneven, interleaved":
        sizes = [CHUNK, CHUNK, 37, 500]
        put_pieces(client, store, name, cut(content, sizes), noise=lambda index: index % 3)
    elif kind == "unstated":
        put_pieces(client, store, name, cut(content, [CHUNK]), chunk_size=None)
    else:
        store.put(name, content, chunk_size=CHUNK)
        store.put(f"{name} after", b"1")
        if kind == "updated":
            store.update(name, description="later")
        elif kind == "renamed":
            store.update(name, new_name=f"{name} renamed")
            return f"{name} renamed"
    return name


SIZES = (0, 1, 999, 1000, 1001, 2000, 2500, 7000, 12_345)


class Reading(RuleBasedStateMachine):
    """One object and io.BytesIO with the same content: whatever is done, they do the same."""

    store: ObjectStore
    client: Client
    steps = 0
    _made: dict[tuple[str, str, int], str]

    def __init__(self) -> None:
        super().__init__()
        self.file: ObjectResult
        self.model: io.BytesIO

    @initialize(
        kind=st.sampled_from(KINDS),
        size=st.sampled_from(SIZES),
        part=st.none() | st.tuples(st.integers(-3000, 3000), st.integers(-3000, 13_000)),
    )
    def begin(self, kind: str, size: int, part: tuple[int, int] | None) -> None:
        content = pattern(size)
        key = (self.store.name, kind, size)
        if key not in self._made:
            self._made[key] = store_kind(kind, content, self.client, self.store, f"{kind} {size}")
        start, end = part or (None, None)
        self.file = opened(self.store, self._made[key], start=start, end=end)
        self.model = io.BytesIO(content[start:end])

    def same(self, act: Callable[[Any], Any]) -> None:
        type(self).steps += 1
        expected: Any = None
        try:
            expected = act(self.model)
        except (ValueError, TypeError) as error:
            with pytest.raises(type(error)):
                act(self.file)
        else:
            assert act(self.file) == expected
        assert self.file.tell() == self.model.tell()
        assert self.file.len == max(0, len(self.model.getvalue()) - self.model.tell())

    counts = st.none() | st.integers(-2, 3500) | st.sampled_from([0, 1, 999, 1000, 1001])

    @rule(count=counts)
    def read(self, count: int | None) -> None:
        self.same(lambda file: file.read(count))

    @rule(count=counts)
    def read1(self, count: int | None) -> None:
        before = self.model.tell()
        got = self.file.read1(count)
        expected = self.model.read1(count)
        assert expected.startswith(got)
        assert bool(got) == bool(expected)
        assert len(got) <= CHUNK
        self.model.seek(before + len(got))
        type(self).steps += 1

    @rule(size=st.integers(0, 3500))
    def readinto(self, size: int) -> None:
        def act(file: Any) -> tuple[int, bytes]:
            buffer = bytearray(size)
            return file.readinto(buffer), bytes(buffer)

        self.same(act)

    @rule(size=st.integers(0, 3500))
    def readinto1(self, size: int) -> None:
        buffer, before = bytearray(size), self.model.tell()
        count = self.file.readinto1(buffer)
        assert bytes(buffer[:count]) == self.model.read(count)
        assert self.model.tell() == before + count
        assert bool(count) == bool(size and before < len(self.model.getvalue()))
        type(self).steps += 1

    @rule(count=st.none() | st.integers(-1, 2500))
    def readline(self, count: int | None) -> None:
        self.same(lambda file: file.readline(count))

    @rule(hint=st.none() | st.integers(-1, 2500))
    def readlines(self, hint: int | None) -> None:
        self.same(lambda file: file.readlines(hint))

    @rule()
    def next_line(self) -> None:
        self.same(lambda file: next(file, None))

    @rule(offset=st.integers(-14_000, 14_000), whence=st.sampled_from([0, 1, 2, 3, -1]))
    def seek(self, offset: int, whence: int) -> None:
        self.same(lambda file: file.seek(offset, whence))

    @rule(chunk=st.integers(0, 14), by=st.integers(-2, 2))
    def seek_to_an_edge(self, chunk: int, by: int) -> None:
        self.same(lambda file: file.seek(chunk * CHUNK + by))

    @rule(by=st.integers(-1500, 1500))
    def seek_near(self, by: int) -> None:
        self.same(lambda file: file.seek(by, 1))

    def teardown(self) -> None:
        if hasattr(self, "file"):
            self.file.close()
            for act in (self.file.read, self.file.tell, self.file.readable, self.file.readline):
                with pytest.raises(ValueError, match="closed"):
                    act()
            with pytest.raises(ValueError, match="closed"):
                self.file.seek(0)


def run_machine(
    store: ObjectStore, client: Client, examples: int, steps: int
) -> type[RuleBasedStateMachine]:
    machine = type("Machine", (Reading,), {"store": store, "client": client, "_made": {}})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    return machine


def test_whatever_is_done_is_as_with_bytesio(store: ObjectStore, shared_client: Client) -> None:
    assert run_machine(store, shared_client, 60, 30).steps > 300  # type: ignore[attr-defined]


def test_without_direct_gets_too(store: ObjectStore, shared_client: Client) -> None:
    store._handle.records.access.direct = False
    assert run_machine(store, shared_client, 25, 20).steps > 100  # type: ignore[attr-defined]


# --- random reads


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("direct", [True, False])
def test_random_reads(kind: str, direct: bool, store: ObjectStore, shared_client: Client) -> None:
    """Many in one opened object, and some in objects that were just opened."""
    content = pattern(100_000)
    store._handle.records.access.direct = direct
    name = store_kind(kind, content, shared_client, store, "x")
    chance = random.Random(kind)
    with opened(store, name) as file:
        for _ in range(300 if direct else 100):
            start, size = chance.randrange(100_000), chance.randrange(3000)
            file.seek(start)
            assert file.read(size) == content[start : start + size]
    for _ in range(50 if direct else 10):
        start = chance.randrange(100_000)
        assert store.read_range(name, start, start + 1500) == content[start : start + 1500]


def test_one_short_chunk_in_the_middle(store: ObjectStore, shared_client: Client) -> None:
    """As many chunks as there would be without it: nothing but the last one tells."""
    content = pattern(9500)
    sizes = [1000, 1000, 700, 1000, 1000, 1000, 1000, 1000, 1000, 800]
    put_pieces(shared_client, store, "x", cut(content, sizes))
    for start in range(0, 9500, 450):
        assert store.read_range("x", start, start + 10) == content[start : start + 10]
    assert store.read_bytes("x") == content


@pytest.mark.parametrize("stated", [None, 1, 500, 999, 1001, 5000, 12_000])
def test_any_stated_chunk_size(
    stated: int | None, store: ObjectStore, shared_client: Client
) -> None:
    content = pattern(12_000)
    put_pieces(shared_client, store, "x", cut(content, [CHUNK]), chunk_size=stated)
    for start in (0, 1, 11_999, 5000, 6001, 999):
        assert store.read_range("x", start, start + 1200) == content[start : start + 1200]
    with opened(store, "x") as file:
        assert file.seek(7500) == 7500
        assert file.read() == content[7500:]
        file.seek(0)
        assert file.read() == content


def test_links_and_copies(store: ObjectStore, shared_client: Client) -> None:
    content = pattern(50_000)
    info = store_kind("interleaved", content, shared_client, store, "x")
    target = store.info(info)
    assert target is not None
    store.link("link", target)
    store.copy("x", "copy")
    for name in ("link", "copy"):
        with opened(store, name) as file:
            assert file.info.name == ("x" if name == "link" else name)
            for start in (40_000, 100, 49_999, 25_000):
                file.seek(start)
                assert file.read(2000) == content[start : start + 2000]
        assert store.read_range(name, -10, 60_000) == content[-10:]


# --- what is verified


def test_reading_in_order_after_jumps_verifies(store: ObjectStore, shared_client: Client) -> None:
    """Whatever was read before: all of it in order ends with the digest."""
    content = pattern(5000)
    info = store.put("x", content, chunk_size=CHUNK)
    wrong = encode_info(info).replace(info.digest.encode(), store.put("y", b"y").digest.encode())
    meta = meta_subject(store.name, "x")
    shared_client.connection.request(meta, payload=wrong, headers={"Nats-Rollup": "sub"})
    with opened(store, "x") as file:
        for start in (4500, 10, 2500, 4000, 0):
            file.seek(start)
            assert file.read(400) == content[start : start + 400]
        assert file.read(3600) == content[400:4000]
        with pytest.raises(DigestMismatchError):
            file.read(1)
        with pytest.raises(DigestMismatchError):
            file.read()
    assert store.read_range("x", 4000, 5000) == content[4000:]
    assert store.read_range("x", 1000, 4999) == content[1000:4999]
    for start, end in ((0, 5000), (1, 4999)):  # all chunks, in order
        with pytest.raises(DigestMismatchError):
            store.read_range("x", start, end)


@pytest.mark.parametrize("lost", [0, 2, 7, -1])
@pytest.mark.parametrize("kind", ["even", "interleaved", "updated", "uneven"])
@pytest.mark.parametrize("direct", [True, False])
def test_missing_chunks_are_noticed(
    kind: str, lost: int, direct: bool, store: ObjectStore, shared_client: Client
) -> None:
    """Never other bytes in their place: right ones, or an error."""
    content = pattern(12_345)
    store._handle.records.access.direct = direct
    name = store_kind(kind, content, shared_client, store, "x")
    info = store.info(name)
    assert info is not None
    delete_chunk(shared_client, store, info.nuid, lost)
    right = 0
    for start in range(0, 12_345, 500):
        try:
            got = store.read_range(name, start, start + 100)
        except ObjectCorruptError:
            continue
        assert got == content[start : start + 100]
        right += 1
    assert right < 25


@pytest.mark.parametrize("end", ["overwritten", "deleted"])
@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize("kind", ["even", "interleaved", "uneven"])
def test_changed_between_jumps(
    kind: str, end: str, direct: bool, store: ObjectStore, shared_client: Client
) -> None:
    """What is at hand stays; what is not raises, whatever is there now."""
    content = pattern(300_000)
    store._handle.records.access.direct = direct
    store_kind(kind, content, shared_client, store, "x")
    with opened(store, "x") as file:
        for start in (200_500, 500):
            file.seek(start)
            assert file.read(100) == content[start : start + 100]
        if end == "deleted":
            store.delete("x")
        else:
            store_kind(kind, bytes(300_000), shared_client, store, "x")
        file.seek(600)
        assert file.read(10) == content[600:610]
        for start in (100_000, 299_000, 50_000):
            file.seek(start)
            with pytest.raises(ObjectChangedError, match=end):
                file.read(10)


@pytest.mark.needs_server("2.11")  # before, there are no batches
def test_positions_that_contradict_each_other(
    store: ObjectStore, shared_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chunk is not searched for without end."""
    content = pattern(40_000)
    name = store_kind("interleaved", content, shared_client, store, "x")
    answers: list[int] = []

    def contradict(message: Message, pending_includes_self: bool) -> tuple[int, int]:
        sequence, _ = position(message, pending_includes_self)
        answers.append(sequence)
        return answers[0], 38  # the second chunk, and always there, whatever is asked for

    monkeypatch.setattr("objstore.get.batched_gets.position", contradict)
    with pytest.raises(ObjectCorruptError):
        store.read_range(name, 20_000, 20_010)
    assert len(answers) <= SEARCHES + 10


def test_renamed_while_open(store: ObjectStore) -> None:
    """The chunks stay where they are."""
    content = pattern(30_000)
    store.put("x", content, chunk_size=CHUNK)
    with opened(store, "x") as file:
        assert file.read(10) == content[:10]
        store.update("x", new_name="y")
        for start in (20_000, 5000):
            file.seek(start)
            assert file.read(1500) == content[start : start + 1500]


# --- how much is fetched


class Traffic:
    """What goes through the proxy: requests, and bytes of payload that come back."""

    def __init__(self, proxy: Proxy) -> None:
        self.requests = self.bytes = 0
        proxy.up.observe(self._up)
        proxy.down.observe(self._down)

    def _up(self, line: Line) -> None:
        self.requests += line.verb.endswith("PUB")

    def _down(self, line: Line) -> None:
        self.bytes += len(line.payload)

    def of(self, act: Callable[[], object]) -> tuple[int, int]:
        before = self.requests, self.bytes
        act()
        return self.requests - before[0], self.bytes - before[1]


@pytest.fixture
def traffic(proxy: Proxy) -> Traffic:
    return Traffic(proxy)


@pytest.mark.needs_server("2.11")
def test_a_jump_costs_one_request_and_one_chunk(
    far_store: ObjectStore, store: ObjectStore, traffic: Traffic
) -> None:
    """And the first one the last chunk beside it, which proves that all are of one size."""
    content = pattern(3_000_000)
    store.put("x", content, chunk_size=100_000)
    with opened(far_store, "x") as file:
        costs = []
        for start in (1_234_567, 2_222_222, 750_000):
            file.seek(start)
            costs.append(traffic.of(lambda: file.read(4000)))
        assert [requests for requests, _ in costs] == [2, 1, 1]
        assert max(size for _, size in costs[1:]) < 102_000
        file.seek(1_234_567)  # it is still there
        assert traffic.of(lambda: file.read(4000)) == (0, 0)


@pytest.mark.needs_server("2.11")
def test_an_updated_object_is_learned(
    far_store: ObjectStore, store: ObjectStore, traffic: Traffic
) -> None:
    store.put("x", pattern(3_000_000), chunk_size=10_000)
    store.put("y", pattern(3_000_000), chunk_size=10_000)
    store.update("x", description="moved")
    with opened(far_store, "x") as file:
        file.seek(1_000_000)
        requests, size = traffic.of(lambda: file.read(4000))
        assert requests <= 5
        assert size < 50_000
        for start in (2_000_000, 50_000, 2_900_000):
            file.seek(start)
            assert traffic.of(lambda: file.read(4000))[0] == 1


@pytest.mark.needs_server("2.11")
def test_places_among_other_messages_are_learned(
    far_store: ObjectStore, store: ObjectStore, shared_client: Client, traffic: Traffic
) -> None:
    content = pattern(1_000_000)
    chance = random.Random(4)
    put_pieces(
        shared_client, store, "x", cut(content, [CHUNK]), noise=lambda _: chance.randrange(4)
    )
    with opened(far_store, "x") as file:
        costs = []
        for _ in range(200):
            file.seek(chance.randrange(1_000_000))
            costs.append(traffic.of(lambda: file.read(10))[0])
        assert sum(costs[:50]) / 50 < 6
        assert sum(costs[150:]) < sum(costs[:50])


@pytest.mark.needs_server("2.11")
def test_reading_on_is_fetched_ahead(
    far_store: ObjectStore, store: ObjectStore, traffic: Traffic
) -> None:
    """Twice as much each time, up to whole batches."""
    content = pattern(5_000_000)
    store.put("x", content, chunk_size=10_000)
    with opened(far_store, "x") as file:
        assert traffic.of(lambda: file.read(100))[1] < 12_000
        got = b"".join(iter(lambda: file.read(5000), b""))
        assert got == content[100:]
    assert traffic.requests < 25


def test_jumps_within_what_is_under_way(
    far_store: ObjectStore, store: ObjectStore, traffic: Traffic
) -> None:
    content = pattern(400_000)
    store.put("x", content, chunk_size=10_000)
    with opened(far_store, "x") as file:
        assert file.read(300_000) == content[:300_000]
        for start in (250_000, 299_990, 5_000, 120_000):  # what was read is kept
            file.seek(start)
            assert traffic.of(lambda: file.read(10)) == (0, 0)


def test_nothing_is_fetched_for_nothing(
    far_store: ObjectStore, store: ObjectStore, traffic: Traffic
) -> None:
    store.put("x", pattern(5000), chunk_size=CHUNK)
    with opened(far_store, "x") as file:

        def nothing() -> None:
            file.seek(9999)
            assert file.read() == file.read(5) == file.readline() == file.read1() == b""
            assert file.readinto(bytearray(5)) == 0
            file.seek(5)
            assert file.read(0) == file.read1(0) == file.readline(0) == b""
            assert file.readinto(bytearray()) == 0

        assert traffic.of(nothing) == (0, 0)


# --- parts, and the rest of the interface


def test_a_part(store: ObjectStore) -> None:
    content = pattern(10_000)
    store.put("x", content, chunk_size=CHUNK)
    with opened(store, "x", start=-3500, end=-500) as file:
        assert (file.info.size, file.len, file.tell()) == (10_000, 3000, 0)
        assert list(file.data) == [content[6500:7000], content[7000:8000], content[8000:9000],
                                   content[9000:9500]]  # fmt: skip
        assert file.seek(-10, 2) == 2990
        assert file.read() == content[9490:9500]
    done: list[tuple[int, int | None]] = []
    with opened(store, "x", start=9000) as file:
        assert file.read() == content[9000:]
    result = store.get("x", start=100, end=2100, progress=lambda *both: done.append(both))
    assert result is not None
    with result:
        assert result.read() == content[100:2100]
    assert done[-1] == (2000, 2000)
    for start, end in ((5, 5), (9, 3), (10_000, None), (20_000, 30_000)):
        with opened(store, "x", start=start, end=end) as file:
            assert (file.len, file.read()) == (0, b"")
    assert store.get("never there", start=1) is None
    for bad in ("1", 1.5, b"1"):
        with pytest.raises(InvalidOptionError):
            store.get("x", start=bad)  # type: ignore[arg-type]
        with pytest.raises(InvalidOptionError):
            store.read_range("x", 0, bad)  # type: ignore[arg-type]


def test_arguments_of_another_kind(store: ObjectStore) -> None:
    store.put("x", pattern(2500), chunk_size=CHUNK)
    with opened(store, "x") as file:
        untyped: Any = file
        for read, argument in (
            (untyped.read, 1.5),
            (untyped.seek, "1"),
            (untyped.readinto, b"12345"),
            (untyped.readinto, "12345"),
        ):
            with pytest.raises(TypeError):
                read(argument)
        for method, arguments in (
            (untyped.write, (b"1",)),
            (untyped.truncate, (1,)),
        ):
            with pytest.raises(io.UnsupportedOperation):
                method(*arguments)
        assert not hasattr(file, "fileno")  # there is none, not even one that raises
        assert (file.readable(), file.seekable(), file.writable()) == (True, True, False)
        assert file.peek(1) == pattern(2500)[:1000]
        assert file.tell() == 0
        array = memoryview(bytearray(16)).cast("I")
        assert file.readinto(array) == 16
        assert bytes(array) == pattern(2500)[:16]


def test_buffered_and_text_on_top(store: ObjectStore) -> None:
    text = "".join(f"line {number} ☃\n" for number in range(2000))
    store.put("x", text.encode(), chunk_size=CHUNK)
    with io.BufferedReader(opened(store, "x")) as buffered:
        buffered.seek(-30, 2)
        assert buffered.read() == text.encode()[-30:]
    with io.TextIOWrapper(opened(store, "x"), encoding="utf-8") as lines:
        assert lines.readline() == "line 0 ☃\n"
        place = lines.tell()
        rest = lines.read()
        lines.seek(place)
        assert lines.read() == rest
        assert rest == text.partition("\n")[2]


def test_what_is_forgotten_lets_go(far_store: ObjectStore, store: ObjectStore) -> None:
    store.put("x", pattern(500_000), chunk_size=CHUNK)
    handlers = far_store._handle.jetstream.connection.inbox._handlers
    files = [opened(far_store, "x") for _ in range(10)]
    for file in files:
        file.seek(250_000)
        assert len(file.read(1500)) == 1500
        assert len(file.read(50_000)) == 50_000
    files[0].close()
    assert files[0]._ahead is None
    del files, file
    gc.collect()
    assert handlers == {}
