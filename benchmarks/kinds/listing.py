"""What a listed object costs, in buckets of 1,000 to 100,000 objects."""

from __future__ import annotations

import contextlib

from benchmarks.peers.raw import Raw
from benchmarks.rounds import Contender
from benchmarks.run import Run
from objstore import ObjectStore

__all__ = ["listing"]


def listing(run: Run) -> None:
    """list of buckets of several sizes, in turns; the smaller ones are listed more often."""
    counts = run.scale.pick((1_000, 10_000, 100_000), (1_000, 10_000))
    with contextlib.ExitStack() as ending:
        contenders: dict[int, tuple[Contender, int]] = {}
        for count in counts:
            run.tell(f"{count:,} objects are put")
            store = ending.enter_context(run.ground.bucket())
            with contextlib.closing(Raw(run.ground.server.url, store.name)) as raw:
                raw.fill([f"object {number}" for number in range(count)], run.data(1 << 10))
            repeats = max(1, run.scale.pick(10_000, 4_000) // count)
            contenders[count] = _listing(store, count, repeats), repeats
        run.alternate([each for each, _ in contenders.values()])
    for count, (contender, repeats) in contenders.items():
        rates = contender.rates(count * repeats)
        run.add("listing", "objstore", "list", "objects/s", rates, count=count, note=contender.died)


def _listing(store: ObjectStore, count: int, repeats: int) -> Contender:
    def act(_number: int) -> None:
        for _ in range(repeats):
            found = sum(1 for _info in store.list())
            if found != count:
                raise RuntimeError(f"{found} of {count} were listed")

    return Contender(f"list of {count:,}", act)
