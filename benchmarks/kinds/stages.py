"""Where the time of a small operation goes: the stages of an info, a put, a get, a listed object.

The calling thread's time is cut where it sends and where it waits; a wait again where the reader
thread received what ended it, and where it handed that over. So the stages add up to the whole.
"""

from __future__ import annotations

import collections
import contextlib
import queue
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

from benchmarks.peers.base import MIME
from benchmarks.run import Run
from objstore import ObjectStore
from objstore.wire.connection import requests
from objstore.wire.jetstream import direct

__all__ = ["STAGES", "stages"]

BEFORE, SEND, SERVER, PARSE, WOKEN, BETWEEN, AFTER = STAGES = (
    "before the first send",
    "send",
    "server",
    "parse and deliver",
    "woken",
    "between",
    "after the last answer",
)
#: What our own code takes: all but the kernel's sending, and the server.
OURS = (BEFORE, PARSE, WOKEN, BETWEEN, AFTER)

LISTED = 1_000

_now = time.perf_counter


class Timeline:
    """The stages of the operations of one thread, in seconds.

    Attributes:
        spent: by stage.
        received: when the reader thread received last.
    """

    def __init__(self) -> None:
        self.spent: collections.defaultdict[str, float] = collections.defaultdict(float)
        self.received = 0.0
        self._thread = threading.get_ident()
        self._last, self._stage = 0.0, BEFORE

    def begin(self) -> None:
        """Begin an operation."""
        self._last, self._stage = _now(), BEFORE

    def end(self) -> None:
        """Note the end of an operation."""
        self.mark(AFTER)

    def mark(self, stage: str | None = None) -> None:
        """Note the end of a stage: the one that is named, or our own code since the last one."""
        now = _now()
        self.spent[stage or self._stage] += now - self._last
        self._last, self._stage = now, BETWEEN

    def woken(self, delivered: float) -> None:
        """Note the end of a wait.

        Arguments:
            delivered: when the reader thread handed over what ended it.
        """
        now = _now()
        received = min(max(self.received, self._last), now)
        delivered = min(max(delivered, received), now)
        self.spent[SERVER] += received - self._last
        self.spent[PARSE] += delivered - received
        self.spent[WOKEN] += now - delivered
        self._last = now

    @property
    def is_mine(self) -> bool:
        """Whether this is the thread whose time is taken."""
        return threading.get_ident() == self._thread


def _timed_lock(timeline: Timeline) -> type:
    """The lock that a request's thread waits behind."""

    class TimedLock:
        def __init__(self) -> None:
            self._lock = threading.Lock()
            self._opened = 0.0

        def acquire(self, *args: Any, **options: Any) -> bool:
            if not (args or options) or not timeline.is_mine:
                return self._lock.acquire(*args, **options)
            timeline.mark()
            done = self._lock.acquire(*args, **options)
            timeline.woken(self._opened)
            return done

        def release(self) -> None:
            self._opened = _now()
            self._lock.release()

    return TimedLock


class TimedQueue:
    """The queue that a listing's thread waits at."""

    timeline: Timeline

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[float, Any]] = queue.SimpleQueue()

    def put(self, item: Any) -> None:
        """As that of a ``SimpleQueue``."""
        self._queue.put((_now(), item))

    def get(self, timeout: float | None = None) -> Any:
        """As that of a ``SimpleQueue``."""
        self.timeline.mark()
        delivered, item = self._queue.get(timeout=timeout)
        self.timeline.woken(delivered)
        return item

    def get_nowait(self) -> Any:
        """As that of a ``SimpleQueue``."""
        return self._queue.get_nowait()[1]


class _Queues:
    """What :mod:`~objstore.wire.jetstream.direct` needs of the module ``queue``."""

    SimpleQueue, Empty = TimedQueue, queue.Empty


@contextlib.contextmanager
def _timed(store: ObjectStore, timeline: Timeline) -> Iterator[None]:
    """Take the times of a store's sending, receiving and waiting meanwhile."""
    link: Any = store._handle.jetstream.connection.session._link
    transport = link.transport
    send, receive = transport.send, transport.receive_into

    def timed_send(parts: Any) -> None:
        if not timeline.is_mine:
            send(parts)
            return
        timeline.mark()
        send(parts)
        timeline.mark(SEND)

    def timed_receive(buffer: memoryview) -> int:
        count: int = receive(buffer)
        timeline.received = _now()
        return count

    own: Any = requests
    pages: Any = direct
    locks, own.threading = own.threading, SimpleNamespace(Lock=_timed_lock(timeline))
    queues, pages.queue = pages.queue, _Queues
    TimedQueue.timeline = timeline
    transport.send, transport.receive_into = timed_send, timed_receive
    try:
        store.info("0")  # the reader thread is in the old receive_into until something comes
        timeline.spent.clear()
        yield
    finally:
        own.threading, pages.queue = locks, queues
        del transport.send, transport.receive_into


def _operations(store: ObjectStore) -> dict[str, tuple[Callable[[int], object], int]]:
    """Each by its name, with how often one call of it counts."""
    data = bytes(1024)
    return {
        "info": (lambda number: store.info(f"{number % LISTED}"), 1),
        "1 KiB put": (lambda number: store.put(f"new {number}", data, mime=MIME), 1),
        "1 KiB put over another": (lambda number: store.put(f"{number % 8}", data, mime=MIME), 1),
        "1 KiB get": (lambda number: store.read_bytes(f"{number % LISTED}"), 1),
        "listed object": (lambda _number: sum(1 for _ in store.list()), LISTED),
    }


def stages(run: Run) -> None:
    """The stages of each operation, in microseconds; then its calls and its memory."""
    calls, rounds = run.scale.pick(500, 100), run.scale.rounds
    with run.ground.bucket() as full, run.ground.bucket() as store:
        for bucket in (full, store):
            for number in range(LISTED if bucket is full else 8):
                bucket.put(f"{number}", bytes(1024), mime=MIME)
        for name in _operations(full):
            own = store if "put" in name else full
            act, divisor = _operations(own)[name]
            repeats = max(1, calls // divisor)
            samples: dict[str, list[float]] = {}
            for number in range(rounds + 1):
                run.tell(f"{name}, round {number}")
                spent = _spent(own, act, number * repeats, repeats)
                for stage, seconds in spent.items() if number else ():
                    samples.setdefault(stage, []).append(1e6 * seconds / repeats / divisor)
            for stage, each in samples.items():
                run.add("stages", "objstore", stage, "us", tuple(each), operation=name)
            _count(run, name, act, divisor)


def _spent(
    store: ObjectStore, act: Callable[[int], object], first: int, repeats: int
) -> dict[str, float]:
    """Seconds by stage, and sums of them."""
    timeline = Timeline()
    with _timed(store, timeline):
        for number in range(first, first + repeats):
            timeline.begin()
            act(number)
            timeline.end()
    spent = {stage: timeline.spent[stage] for stage in STAGES}
    ours = sum(spent[stage] for stage in OURS)
    return {**spent, "all": sum(spent.values()), "Python's part": ours}


def _count(run: Run, name: str, act: Callable[[int], object], divisor: int) -> None:
    """Count what one operation calls in its own thread, and the memory that it takes meanwhile."""
    counts: collections.Counter[str] = collections.Counter()
    act(1 << 20)  # what is prepared once is not counted

    def note(_frame: object, event: str, _argument: object) -> None:
        counts[event] += 1

    sys.setprofile(note)
    try:
        act((1 << 20) + 1)
    finally:
        sys.setprofile(None)
    tracemalloc.start()
    try:
        act((1 << 20) + 2)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        act((1 << 20) + 3)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    add = run.add
    for what, event in (("Python functions called", "call"), ("C functions called", "c_call")):
        add("stages", "objstore", what, "calls", (counts[event] / divisor,), operation=name)
    add("stages", "objstore", "memory meanwhile", "bytes", (peak / divisor,), operation=name)
