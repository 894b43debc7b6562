"""Random reads beside sequential ones, on one object of 64 MiB."""

from __future__ import annotations

import random
from collections.abc import Callable

from benchmarks.ground import MIB
from benchmarks.rounds import Contender
from benchmarks.run import Run
from objstore import ObjectStore

__all__ = ["seek"]

SIZE, PIECE = 64 * MIB, 4096
#: What s3fs and its like fetch at once, whatever is asked of them.
BLOCK = 5 * MIB


def seek(run: Run) -> None:
    """4 KiB at random places: by seeks, by ranges, and by blocks; and the whole, by three roads."""
    data = run.data(SIZE)
    chance = random.Random(7)  # the same places in every run
    places = [chance.randrange(SIZE - PIECE) for _ in range(200)]
    with run.ground.bucket() as store:
        store.put("object", data)
        reads: dict[str, tuple[Callable[[], None], int]] = {}
        with store.open("object") as file:
            seekable = file.seekable()
        if seekable:
            reads["seek, read 4 KiB"] = _by_seeks(store, data, places), len(places)
        else:
            run.skip("seek: what this objstore opens is not seekable")
        reads["read_range of 4 KiB"] = _by_ranges(store, data, places[:10]), 10
        reads["5 MiB blocks, as s3fs"] = _by_blocks(store, data, places[:10]), 10
        wholes = {
            ".data": _by_chunks(store),
            "read(64 KiB)": _by_reads(store),
            "readinto(1 MiB)": _into_buffer(store),
            "read_bytes": lambda: _check(len(store.read_bytes("object")), SIZE),
        }
        random_reads = {name: _contender(name, act) for name, (act, _) in reads.items()}
        in_order = {name: _contender(name, act) for name, act in wholes.items()}
        run.alternate([*random_reads.values(), *in_order.values()])
    for name, contender in random_reads.items():
        rates = contender.rates(reads[name][1])
        run.add("seek", "objstore", name, "reads/s", rates, note=contender.died)
    for name, contender in in_order.items():
        rates = contender.rates(SIZE / 1e6)
        run.add("seek", "objstore", name, "MB/s", rates, note=contender.died)


def _contender(name: str, act: Callable[[], None]) -> Contender:
    return Contender(name, lambda _number: act())


def _check(found: object, expected: object) -> None:
    if found != expected:
        raise RuntimeError("other bytes came than were put")


def _by_seeks(store: ObjectStore, data: bytes, places: list[int]) -> Callable[[], None]:
    def act() -> None:
        with store.open("object") as file:
            for place in places:
                file.seek(place)
                _check(file.read(PIECE), data[place : place + PIECE])

    return act


def _by_ranges(store: ObjectStore, data: bytes, places: list[int]) -> Callable[[], None]:
    def act() -> None:
        for place in places:
            found = store.read_range("object", place, place + PIECE)
            _check(found, data[place : place + PIECE])

    return act


def _by_blocks(store: ObjectStore, data: bytes, places: list[int]) -> Callable[[], None]:
    """The whole blocks that the bytes lie in are fetched; the last one is kept."""

    def act() -> None:
        kept, block = -1, b""
        for place in places:
            found = b""
            for number in range(place // BLOCK, (place + PIECE - 1) // BLOCK + 1):
                if number != kept:
                    block = store.read_range("object", number * BLOCK, (number + 1) * BLOCK)
                    kept = number
                begin = number * BLOCK
                found += block[max(0, place - begin) : max(0, place + PIECE - begin)]
            _check(found, data[place : place + PIECE])

    return act


def _by_chunks(store: ObjectStore) -> Callable[[], None]:
    def act() -> None:
        with store.open("object") as file:
            _check(sum(map(len, file.data)), SIZE)

    return act


def _by_reads(store: ObjectStore) -> Callable[[], None]:
    def act() -> None:
        size = 0
        with store.open("object") as file:
            while part := file.read(64 << 10):
                size += len(part)
        _check(size, SIZE)

    return act


def _into_buffer(store: ObjectStore) -> Callable[[], None]:
    def act() -> None:
        buffer, size = bytearray(MIB), 0
        with store.open("object") as file:
            while count := file.readinto(buffer):
                size += count
        _check(size, SIZE)

    return act
