"""Calls that interrupt other calls of the same thread: as a signal handler, or at every line.

``python -m tests.support.striking URL BUCKET signals|garbage COUNT`` is a program of its own.

Whatever they interrupt, they work, or say at once (``ReentrantCallError``) that they cannot. A call
that waits for what it has interrupted shows as RequestTimeoutError: the clients here wait long.
"""

from __future__ import annotations

import gc
import json
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import objstore
from objstore import Client, ObjectStore, ReentrantCallError

__all__ = ["Strikes", "at_every_line", "inner_calls", "outer_calls"]

PACKAGE = str(Path(objstore.__file__).parent)

#: Two chunks and more, each larger than what is read or joined at once; and one.
LARGE, SMALL = bytes(range(256)) * 560, b"small"


class Strikes:
    """Runs one of several calls after the other, and notes what became of them.

    Arguments:
        calls: by name.

    Attributes:
        done: how many worked, by name.
        refused: how many were told that they cannot work here.
        problems: whatever else happened.
    """

    def __init__(self, calls: dict[str, Callable[[], object]]) -> None:
        self.done: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.problems: list[str] = []
        self._calls = list(calls.items())
        self._next = 0
        self._here = threading.local()

    @property
    def count(self) -> int:
        """How many there were."""
        return self.done.total() + self.refused.total() + len(self.problems)

    def strike(self) -> None:
        """Run the next call, unless one runs in this thread."""
        if getattr(self._here, "inside", False) or len(self.problems) > 5:
            return
        self._here.inside = True
        name, call = self._calls[self._next % len(self._calls)]
        self._next += 1
        try:
            call()
        except ReentrantCallError:
            self.refused[name] += 1
        except Exception as error:
            self.problems.append(f"{name}: {type(error).__name__}: {error}")
        else:
            self.done[name] += 1
        finally:
            self._here.inside = False


@contextmanager
def at_every_line(strike: Callable[[], None], *, skip: int = 0, every: int = 1) -> Iterator[None]:
    """Strike before each line of this package that this thread runs, or before every n-th."""
    passed = skip

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal passed
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line":
            passed += 1
            if passed % every == 0:
                strike()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


def outer_calls(client: Client, store: ObjectStore) -> dict[str, Callable[[], object]]:
    """What is interrupted; each can be called any number of times."""
    store.put("large", LARGE, chunk_size=70_000)
    store.put("small", SMALL)
    connection = client.connection

    def watch() -> None:
        with store.watch() as watcher:
            watcher.next(60)

    def subscribe() -> None:
        connection.unsubscribe(connection.subscribe("outer", callback=print))

    def write() -> None:
        with store.open("written", "wb", chunk_size=70_000) as file:
            file.write(LARGE)

    return {
        "put": lambda: store.put("outer", LARGE, chunk_size=70_000),
        "put small": lambda: store.put("outer", SMALL),
        "write": write,
        "get": lambda: _equal(store.read_bytes("large"), LARGE),
        "get small": lambda: _equal(store.read_bytes("small"), SMALL),
        "info": lambda: store.info("small"),
        "list": lambda: list(store.list()),
        "delete": lambda: (store.put("gone", SMALL), store.delete("gone")),
        "put_many": lambda: store.put_many([("m1", SMALL), ("m2", SMALL)]),
        "get_many": lambda: list(store.get_many(["small", "large"])),
        "watch": watch,
        "publish": lambda: connection.publish("outer", payload=SMALL),
        "ping": connection.ping,
        "subscribe": subscribe,
        "status": store.status,
    }


def inner_calls(client: Client, store: ObjectStore) -> dict[str, Callable[[], object]]:
    """What interrupts it."""
    connection = client.connection

    def watch() -> None:
        with store.watch(updates_only=True):
            pass

    def delete() -> None:
        store.put("inner gone", SMALL)
        assert store.delete("inner gone")

    return {
        "put": lambda: store.put("inner", LARGE, chunk_size=70_000),
        "put small": lambda: store.put("inner small", SMALL),
        "get": lambda: _equal(store.read_bytes("large"), LARGE),
        "get small": lambda: _equal(store.read_bytes("small"), SMALL),
        "info": lambda: store.info("small"),
        "list": lambda: list(store.list(prefix="s")),
        "delete": delete,
        "watch": watch,
        "ping": connection.ping,
    }


def _equal(one: bytes, other: bytes) -> None:
    assert one == other


def _by_signals(outer: dict[str, Callable[[], object]], strikes: Strikes, count: int) -> None:
    """Interrupt each call some times, by a timer."""

    def handler(_signal: int, _frame: FrameType | None) -> None:
        strikes.strike()
        signal.setitimer(signal.ITIMER_REAL, 0.002)

    signal.signal(signal.SIGALRM, handler)
    for call in outer.values():
        until = strikes.count + count
        signal.setitimer(signal.ITIMER_REAL, 0.002)
        while strikes.count < until and not strikes.problems:
            call()
        signal.setitimer(signal.ITIMER_REAL, 0)


def _by_garbage(outer: dict[str, Callable[[], object]], strikes: Strikes, count: int) -> None:
    """Interrupt each call some times, in whatever thread the garbage collector runs.

    Its threads are the reader thread, too, and the callbacks'.
    """

    class Forgotten:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            strikes.strike()

    def collected(phase: str, _facts: dict[str, int]) -> None:
        if phase == "start":
            Forgotten()

    gc.set_threshold(25)
    gc.callbacks.append(collected)
    for call in outer.values():
        for _ in range(count):
            call()
    gc.callbacks.remove(collected)


def main(url: str, bucket: str, way: str, count: int) -> None:
    """Run as a program: strikes in one way, and prints what became of them."""
    with objstore.connect(url, timeout=60, reconnect_timeout=60) as client:
        store = client.object_store(bucket, create=False)
        strikes = Strikes(inner_calls(client, store))
        outer = outer_calls(client, store)
        (_by_signals if way == "signals" else _by_garbage)(outer, strikes, count)
        json.dump(
            {
                "problems": strikes.problems,
                "done": strikes.done,
                "refused": strikes.refused,
                "connects": client.connection.session.connects,
            },
            sys.stdout,
        )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
