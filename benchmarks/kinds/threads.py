"""Many threads on one client: how much they get done, whether it is right, and who starves."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

from benchmarks.peers.base import MIME
from benchmarks.run import Run
from objstore import ObjectStore

__all__ = ["Crowd", "threads"]

THREADS = (1, 4, 16, 64)
OBJECTS = 200


def _content(name: str) -> bytes:
    """What the object of this name must hold: 1 KiB that no other holds."""
    return name.encode().ljust(1024, b".")


class Crowd:
    """So many threads, which do something over and over for some time.

    Attributes:
        rates: calls in a second, by all, one for each round.
        shares: what the slowest thread got done, of the mean; 0 is starvation.
    """

    def __init__(self, size: int, act: Callable[[int, int], None], seconds: float) -> None:
        self.size = size
        self._act, self._seconds = act, seconds
        self.rates: list[float] = []
        self.shares: list[float] = []
        self.errors: list[BaseException] = []

    def run(self, number: int) -> None:
        """One round; 0 is the warm-up."""
        counts = [0] * self.size
        begun: list[float] = []  # as the gate opens, and not when this thread comes to go on
        gate = threading.Barrier(self.size + 1, lambda: begun.append(time.perf_counter()))
        workers = [
            threading.Thread(target=self._work, args=(gate, counts, each))
            for each in range(self.size)
        ]
        for each in workers:
            each.start()
        gate.wait()
        for each in workers:
            each.join()
        taken = time.perf_counter() - begun[0]
        if number:
            self.rates.append(sum(counts) / taken)
            self.shares.append(min(counts) / (sum(counts) / self.size))

    def _work(self, gate: threading.Barrier, counts: list[int], index: int) -> None:
        gate.wait()
        end = time.perf_counter() + self._seconds
        try:
            while not counts[index] or time.perf_counter() < end:
                self._act(index, counts[index])
                counts[index] += 1
        except BaseException as error:  # noqa: BLE001 - told by the main thread
            self.errors.append(error)


def threads(run: Run) -> None:
    """Gets and puts of 1 KiB by 1 to 64 threads; then every object is read back and compared."""
    seconds = run.scale.pick(2.0, 0.4)
    with run.ground.bucket() as store:
        names = [f"object {number}" for number in range(OBJECTS)]
        for name in names:
            store.put(name, _content(name), mime=MIME)
        stored: list[str] = []  # list.append is atomic
        turns = iter(range(1 << 40))  # next() of a range is atomic too

        def get(_index: int, _count: int) -> None:
            name = random.choice(names)
            if store.read_bytes(name) != _content(name):
                raise RuntimeError(f"{name} holds something else")

        def put(_index: int, _count: int) -> None:
            name = f"put {next(turns)}"
            store.put(name, _content(name), mime=MIME)
            stored.append(name)

        for what, act in (("get", get), ("put", put)):
            sizes = run.scale.pick(THREADS, (1, 4, 64))
            crowds = [Crowd(size, act, seconds) for size in sizes]
            _take_turns(run, what, crowds)
        lost = _lost(run, store, stored)
    note = f"{len(stored):,} were put"
    run.add("threads", "objstore", "lost or damaged", "objects", (float(lost),), note=note)


def _take_turns(run: Run, what: str, crowds: list[Crowd]) -> None:
    rounds = run.scale.pick(min(4, run.scale.rounds), 2)
    for number in range(rounds + 1):
        for crowd in crowds if number % 2 else crowds[::-1]:
            run.tell(f"{crowd.size} threads {what}")
            crowd.run(number)
    for crowd in crowds:
        note = f"{type(crowd.errors[0]).__name__}: {crowd.errors[0]}" if crowd.errors else ""
        size = crowd.size
        kind, who = "threads", "objstore"
        rates, shares = tuple(crowd.rates), tuple(crowd.shares)
        run.add(kind, who, what, "objects/s", rates, threads=size, note=note)
        run.add(kind, who, f"{what}: least share", "of the mean", shares, threads=size)


def _lost(run: Run, store: ObjectStore, names: list[str]) -> int:
    """How many objects are not what was put."""
    run.tell(f"{len(names)} objects are compared")
    return sum(content != _content(name) for name, content in store.get_many(names))
