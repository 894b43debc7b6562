"""What works on many objects at once: folders, parts of objects, deletes; beside one by one."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable

from benchmarks.peers.base import MIME
from benchmarks.peers.raw import Raw
from benchmarks.rounds import Contender
from benchmarks.run import Run
from objstore import ObjectStore

__all__ = ["folders"]

#: Objects in a folder, and parts of objects that are read.
IN_FOLDER, RANGES = 200, 300


def folders(run: Run) -> None:
    """A folder, a put and a folder, a walk of all; ranges and deletes, in two ways each."""
    count = run.scale.pick(20_000, 4_000)
    with run.ground.bucket() as store, run.ground.bucket() as other:
        run.tell(f"{count:,} objects are put")
        with contextlib.closing(Raw(run.ground.server.url, store.name)) as raw:
            raw.fill([_name(number) for number in range(count)], run.data(1 << 10))
        contenders = {
            "scan of a folder": (Contender("scan", lambda _: _scan(store)), IN_FOLDER),
            "put, then scan": (Contender("put, scan", lambda _: _put_and_scan(store)), IN_FOLDER),
            "walk of all": (Contender("walk", lambda _: _walk(store, count)), count),
            **_ranges(run, other),
            **_deletes(run, other),
        }
        run.alternate([each for each, _ in contenders.values()])
    for what, (contender, amount) in contenders.items():
        rates = contender.rates(amount)
        run.add("folders", "objstore", what, "objects/s", rates, count=count, note=contender.died)


def _name(number: int) -> str:
    return f"folder {number // IN_FOLDER:03}/object {number:05}"


def _scan(store: ObjectStore) -> None:
    _expect(len(store.scan("folder 001/", delimiter="/").objects), IN_FOLDER)


def _put_and_scan(store: ObjectStore) -> None:
    store.put(_name(IN_FOLDER), b"again")
    _scan(store)


def _walk(store: ObjectStore, count: int) -> None:
    _expect(sum(len(objects) for _, _, objects in store.walk()), count)


def _ranges(run: Run, store: ObjectStore) -> dict[str, tuple[Contender, int]]:
    """1 KiB each, anywhere in 64 MiB."""
    size = 64 << 20
    store.put("large", run.data(size))
    chance = random.Random(1)
    wanted = [("large", at, at + 1024) for at in (chance.randrange(size) for _ in range(RANGES))]

    def one_by_one(_number: int) -> None:
        for name, start, end in wanted:
            store.read_range(name, start, end)

    def together(_number: int) -> None:
        _expect(sum(1 for _ in store.read_ranges(wanted)), RANGES)

    return {
        "read_range": (Contender("read_range", one_by_one), RANGES),
        "read_ranges": (Contender("read_ranges", together), RANGES),
    }


def _deletes(run: Run, store: ObjectStore) -> dict[str, tuple[Contender, int]]:
    count = run.scale.pick(2_000, 200)
    names = [f"deleted {number}" for number in range(count)]

    def fill(_number: int) -> None:
        store.put_many(((name, b"x") for name in names), mime=MIME)

    def one_by_one(_number: int) -> None:
        for name in names:
            store.delete(name)

    def together(_number: int) -> None:
        _expect(store.delete_many(names), count)

    ways: dict[str, Callable[[int], None]] = {"delete": one_by_one, "delete_many": together}
    return {what: (Contender(what, way, before=fill), count) for what, way in ways.items()}


def _expect(found: int, count: int) -> None:
    if found != count:
        raise RuntimeError(f"{found} of {count} came")
