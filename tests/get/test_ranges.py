"""Many parts of objects: each as ``read_range`` gives it, with few requests."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

import pytest

from objstore import (
    Client,
    InvalidNameError,
    InvalidOptionError,
    ObjectChangedError,
    ObjectCorruptError,
    ObjectNotFoundError,
    ObjectStore,
)
from objstore.get import ranges as ranges_room
from objstore.wire.jetstream.access import Access
from tests.support.proxy import Proxy
from tests.support.streams import delete_chunk

Range = tuple[str, int | None, int | None]

CONTENTS = {
    "one": bytes(range(256)),
    "several": random.Random(1).randbytes(1_000_001),
    "empty": b"",
    "small chunks": random.Random(2).randbytes(5_000),
}
CHUNKS = {"several": 100_000, "small chunks": 999}


@pytest.fixture
def filled(store: ObjectStore) -> ObjectStore:
    """A bucket with :data:`CONTENTS`."""
    for name, content in CONTENTS.items():
        store.put(name, content, chunk_size=CHUNKS.get(name))
    return store


def expected(ranges: list[Range]) -> list[bytes]:
    return [CONTENTS[name][start:end] for name, start, end in ranges]


def some_ranges(count: int, seed: int = 0) -> list[Range]:
    """Ranges of all kinds: near each other and far apart, beyond the ends, backward."""
    chance = random.Random(seed)
    found: list[Range] = []
    for _ in range(count):
        name = chance.choice(list(CONTENTS))
        size = len(CONTENTS[name]) + 10
        bounds = [chance.choice([None, chance.randint(-size, size)]) for _ in range(2)]
        if chance.random() < 0.7 and size > 100:
            start = chance.randrange(size)
            bounds = [start, start + chance.randrange(500)]
        found.append((name, *bounds))  # type: ignore[arg-type]
    return found


def test_each_is_as_a_slice(filled: ObjectStore) -> None:
    ranges = some_ranges(400)
    assert list(filled.read_ranges(ranges)) == expected(ranges)
    assert list(filled.read_ranges([])) == []
    first = next(iter(filled.read_ranges([("one", None, None)])))
    assert isinstance(first, bytes)


def test_more_objects_than_are_known_at_a_time(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges_room, "TOGETHER", 10)
    monkeypatch.setattr(ranges_room, "OBJECTS", 20)
    store.put_many((f"n{number}", str(number).encode()) for number in range(100))
    found = store.read_ranges((f"n{number}", 0, None) for number in [*range(100), *range(50)])
    assert list(found) == [str(number).encode() for number in [*range(100), *range(50)]]


def test_links_are_followed(client: Client, filled: ObjectStore) -> None:
    other = client.object_store(f"{filled.name}-other")
    other.put("target", b"0123456789")
    filled.link("link", (other.name, "target"))
    filled.link("near", (filled.name, "several"))
    ranges: list[Range] = [("link", 2, 5), ("near", -5, None), ("link", None, -8), ("one", 1, 3)]
    found = list(filled.read_ranges(ranges))
    assert found == [b"234", CONTENTS["several"][-5:], b"01", b"\1\2"]
    other.destroy()


@pytest.mark.parametrize("way", ["no batches", "no direct gets"])
def test_where_there_are_no_batches(
    way: str, client: Client, filled: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "no batches":
        monkeypatch.setattr(Access, "numbered", False)
    else:
        config = client._jetstream.stream_info(f"OBJ_{filled.name}")["config"]
        client._jetstream.stream_update({**config, "allow_direct": False})
    ranges = some_ranges(60)
    assert list(filled.read_ranges(ranges)) == expected(ranges)


def test_chunks_that_do_not_stand_in_a_row(client: Client, filled: ObjectStore) -> None:
    """After an update of the record, and with other messages between the chunks."""
    filled.update("several", description="later")
    writer = filled.open("mixed", "wb", chunk_size=1000)
    for number in range(10):
        writer.write(bytes([number]) * 1000)
        filled.put("between", b"x")
    writer.close()
    ranges = [each for each in some_ranges(100) if each[0] == "several"]
    assert list(filled.read_ranges(ranges)) == expected(ranges)
    found = filled.read_ranges(("mixed", number * 900, number * 900 + 300) for number in range(10))
    whole = b"".join(bytes([number]) * 1000 for number in range(10))
    assert list(found) == [whole[n * 900 : n * 900 + 300] for n in range(10)]


@pytest.mark.needs_server("2.11")
def test_neighbours_are_fetched_once(
    far_store: ObjectStore, store: ObjectStore, proxy: Proxy
) -> None:
    content = random.Random(3).randbytes(400_000)
    store.put("a", content, chunk_size=100_000)
    fetched: list[int] = []
    proxy.down.observe(
        lambda line: fetched.append(len(line.payload)) if len(line.payload) > 50_000 else None
    )
    ranges: list[Range] = [("a", at, at + 100) for at in range(100_000, 200_000, 500)]
    assert list(far_store.read_ranges(ranges)) == [content[a:b] for _, a, b in ranges]
    assert len(fetched) == 2  # the chunk, and the last one, which tells the size of all


@pytest.mark.needs_server("2.11")
def test_small_objects_are_asked_for_in_groups(
    far_store: ObjectStore, store: ObjectStore, proxy: Proxy
) -> None:
    """Two requests for the records, two for the chunks."""
    names = [f"n{number}" for number in range(50)]
    store.put_many((name, name.encode() * 10) for name in names)
    asked = 0

    def note(_line: object) -> None:
        nonlocal asked
        asked += 1

    next(iter(far_store.read_ranges([("n1", 0, 1)])))
    proxy.up.observe(note)
    assert list(far_store.read_ranges((name, 0, 3) for name in names)) == [
        (name.encode() * 10)[:3] for name in names
    ]
    assert asked == 4


def test_the_iterable_is_read_lazily_and_a_little_ahead(filled: ObjectStore) -> None:
    taken = 0

    def endless() -> Iterator[Range]:
        nonlocal taken
        for number in itertools.count():
            taken += 1
            yield "one", number % 200, number % 200 + 1

    found = filled.read_ranges(endless())
    assert taken == 0
    assert [next(found) for _ in range(100)] == [bytes([number]) for number in range(100)]
    assert taken <= 600
    found.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("ranges", ["one", b"one", 1, {"one": (1, 2)}])
def test_what_is_no_iterable_of_ranges_is_refused(ranges: Any, store: ObjectStore) -> None:
    with pytest.raises(InvalidOptionError, match="ranges are an iterable"):
        store.read_ranges(ranges)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (("one",), InvalidOptionError),
        ("one", InvalidOptionError),
        (("one", 1.5, 2), InvalidOptionError),
        (("one", "1", 2), InvalidOptionError),
        (("", 1, 2), InvalidNameError),
        ((None, 1, 2), InvalidNameError),
        (("absent", 1, 2), ObjectNotFoundError),
    ],
)
def test_an_error_has_its_turn(wrong: Any, error: type[Exception], filled: ObjectStore) -> None:
    found = filled.read_ranges([("one", 0, 1), ("several", 0, 1), wrong, ("one", 1, 2)])
    assert next(found) == CONTENTS["one"][:1]
    assert next(found) == CONTENTS["several"][:1]
    with pytest.raises(error):
        next(found)


def test_what_the_iterable_raises_comes_after_the_results(filled: ObjectStore) -> None:
    def failing() -> Iterator[Range]:
        yield "one", 0, 1
        raise LookupError("of mine")

    found = filled.read_ranges(failing())
    assert next(found) == CONTENTS["one"][:1]
    with pytest.raises(LookupError, match="of mine"):
        next(found)


def test_versions_are_never_mixed(store: ObjectStore) -> None:
    """Of an object that is overwritten in the midst, nothing of the new one comes."""
    store.put("a", b"old" * 300_000, chunk_size=1000)

    def changing() -> Iterator[Range]:
        for number in range(900):
            if number == 700:
                store.put("a", b"new" * 300_000, chunk_size=1000)
            yield "a", 999 * number, 999 * number + 3

    given: set[bytes] = set()
    with pytest.raises(ObjectChangedError):
        given.update(store.read_ranges(changing()))
    assert given == {b"old"}


def test_what_is_overwritten_before_it_was_given_is_read_anew(
    far_store: ObjectStore, store: ObjectStore, proxy: Proxy
) -> None:
    store.put("a", b"old")
    proxy.down.call(
        proxy.answers(lambda line: f"{store.name}.M." in line.subject or b".M." in line.payload),
        lambda: store.put("a", b"new!"),
    )
    assert list(far_store.read_ranges([("a", 0, 2), ("a", 2, None)])) == [b"ne", b"w!"]


@pytest.mark.leaves_chunks("a chunk is taken away")
def test_a_missing_chunk_is_an_error(client: Client, filled: ObjectStore) -> None:
    info = filled.info("several")
    assert info is not None
    delete_chunk(client, filled, info.nuid, 3)
    found = filled.read_ranges([("one", 0, 1), ("several", 350_000, 350_010)])
    assert next(found) == CONTENTS["one"][:1]
    with pytest.raises(ObjectCorruptError):
        next(found)


def test_a_lost_connection_is_awaited(
    far_store: ObjectStore, filled: ObjectStore, proxy: Proxy
) -> None:
    ranges = some_ranges(130)
    proxy.down.cut_after(300_000)
    assert list(far_store.read_ranges(ranges)) == expected(ranges)
