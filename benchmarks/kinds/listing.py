"""What a listed object costs, and a watched one, in buckets of 1,000 to 100,000 objects.

They have a media type and stand in folders, as uploaded files do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from benchmarks.peers.raw import Raw
from benchmarks.rounds import Contender
from benchmarks.run import Run
from objstore import ObjectStore

__all__ = ["listing"]


def listing(run: Run) -> None:
    """list of buckets of several sizes, in turns; the smaller ones are listed more often.

    And watch, until all that exists has come.
    """
    counts = run.scale.pick((1_000, 10_000, 100_000), (1_000, 10_000))
    with contextlib.ExitStack() as ending:
        contenders: dict[tuple[str, int], tuple[Contender, int]] = {}
        for count in counts:
            run.tell(f"{count:,} objects are put")
            store = ending.enter_context(run.ground.bucket())
            with contextlib.closing(Raw(run.ground.server.url, store.name)) as raw:
                names = [f"folder {number % 100}/{number}.bin" for number in range(count)]
                raw.fill(names, run.data(1 << 10))
            repeats = max(1, run.scale.pick(10_000, 4_000) // count)
            for what, found in (("list", _listed), ("watch", _watched)):
                contenders[what, count] = _all(what, found, store, count, repeats), repeats
        run.alternate([each for each, _ in contenders.values()])
    for (what, count), (contender, repeats) in contenders.items():
        rates = contender.rates(count * repeats)
        run.add("listing", "objstore", what, "objects/s", rates, count=count, note=contender.died)


def _listed(store: ObjectStore) -> int:
    return sum(1 for _info in store.list())


def _watched(store: ObjectStore) -> int:
    count = 0
    with store.watch() as watcher:
        while not watcher.caught_up.is_set():
            watcher.next(timeout=10)
            count += 1
    return count


def _all(
    what: str, count_all: Callable[[ObjectStore], int], store: ObjectStore, count: int, repeats: int
) -> Contender:
    def act(_number: int) -> None:
        for _ in range(repeats):
            found = count_all(store)
            if found != count:
                raise RuntimeError(f"{found} of {count} came")

    return Contender(f"{what} of {count:,}", act)
