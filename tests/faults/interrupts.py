"""Ctrl-C at random moments: ``python -m tests.faults.interrupts [--count N] [--seed N]``.

A process of its own puts, gets and lists in a loop, and a real SIGINT hits it, again and again.
Each time it must answer soon, use the same client on, and leave objects that are whole, old or
new, and not one chunk that is nobody's. The exit code is 1 where it does not.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import random
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import objstore
from objstore import Client, LocalServer, ObjectStore, ObjStoreError
from tests.faults.contents import MixedContentError, content, source_of
from tests.support.streams import orphans

__all__ = ["Storm", "main", "storm"]

ROOT = Path(__file__).parents[2]
BUCKETS = ("one", "other")
NAMES = ("a", "b", "c")
SIZES = (0, 100, 30_000, 500_000, 4 << 20)

#: Seconds that an answer to Ctrl-C may take; more is a hang, on the busiest machine.
LIMIT = 120.0


@dataclass
class Storm:
    """What came of it.

    Attributes:
        hits: what was interrupted how often.
        longest: answer to Ctrl-C, in seconds.
        problems: in words.
    """

    hits: Counter[str] = field(default_factory=Counter)
    longest: float = 0.0
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        hits = ", ".join(f"{count} in {what}" for what, count in sorted(self.hits.items()))
        first = f"{self.hits.total()} interrupts ({hits}), {len(self.problems)} problems; "
        first += f"the longest answer took {self.longest:.3f} s"
        return "\n".join([first, *self.problems])


# --- the process that is hit


class Victim:
    """Puts, gets and lists until it is interrupted.

    Arguments:
        stores: to work in.
        seed: of its chances.
    """

    def __init__(self, stores: list[ObjectStore], seed: int) -> None:
        self._stores = stores
        self._chance = random.Random(f"victim {seed}")
        self._turn = 0
        self.doing = "nothing"

    def work(self) -> None:
        """Work on; only an error, or Ctrl-C, ends it."""
        while True:
            store = self._chance.choice(self._stores)
            act = self._chance.choice((self._put, self._put, self._write, self._get, self._list))
            self.doing = act.__name__.strip("_")
            act(store, self._chance.choice(NAMES))

    def _next(self) -> tuple[bytes, dict[str, Any]]:
        """A content, and how to store it."""
        self._turn += 1
        size = self._chance.choice(SIZES)
        chunk_size = self._chance.choice((None, 5_000 if size < 1 << 20 else 50_000))
        return content(str(self._turn), size), {"chunk_size": chunk_size}

    def _put(self, store: ObjectStore, name: str) -> None:
        data, options = self._next()
        store.put(name, data, **options)

    def _write(self, store: ObjectStore, name: str) -> None:
        data, options = self._next()
        with store.open(name, "wb", **options) as file:
            for at in range(0, len(data), 100_000):
                file.write(data[at : at + 100_000])

    def _get(self, store: ObjectStore, name: str) -> None:
        with contextlib.suppress(objstore.ObjectNotFoundError):
            source_of(store.read_bytes(name))

    def _list(self, store: ObjectStore, _name: str) -> None:
        assert {info.name for info in store.list()} <= set(NAMES)


def be_hit(url: str, count: int, seed: int) -> None:
    """The process: says ``ready`` and works, says what it did when it was interrupted."""
    faulthandler.register(signal.SIGUSR1)
    with objstore.connect(url) as client:
        victim = Victim([client.object_store(name, create=False) for name in BUCKETS], seed)
        for _ in range(count):
            try:
                print("ready", flush=True)  # noqa: T201 - to the process that started this one
                victim.work()
            except KeyboardInterrupt:
                print(victim.doing, flush=True)  # noqa: T201
                sys.stdin.readline()  # until the other one has looked


# --- the process that hits


def storm(server: LocalServer, count: int, seed: int) -> Storm:
    """Interrupt a process so many times.

    Arguments:
        server: that runs, and where nobody else works.
        count: of interrupts.
        seed: of their moments.
    """
    chance = random.Random(f"storm {seed}")
    result = Storm()
    with objstore.connect(server.url) as client:
        stores = [client.object_store(name) for name in BUCKETS]
        with _victim(server.url, count, seed) as victim:
            assert victim.stdin is not None
            for _ in range(count):
                if (line := _line(victim)) != "ready":
                    result.problems.append(f"no word that it works on: {line!r}")
                    break
                time.sleep(chance.uniform(0, 0.25))
                begun = time.monotonic()
                victim.send_signal(signal.SIGINT)
                line = _line(victim)
                result.longest = max(result.longest, time.monotonic() - begun)
                if not line:
                    result.problems.append("no answer to Ctrl-C")
                    for _ in range(3):  # on stderr: where it stands, or goes on
                        victim.send_signal(signal.SIGUSR1)
                        time.sleep(0.1)
                    break
                result.hits[line] += 1
                result.problems += [f"after a {line}: {text}" for text in _look(client, stores)]
                victim.stdin.write("on\n")
                victim.stdin.flush()
            else:
                if (status := victim.wait(LIMIT)) != 0:
                    result.problems.append(f"it ended with {status}")
    return result


@contextlib.contextmanager
def _victim(url: str, count: int, seed: int) -> Iterator[subprocess.Popen[str]]:
    program = [sys.executable, "-W", "error", "-m", "tests.faults.interrupts"]
    with subprocess.Popen(
        [*program, "--victim", url, "--count", str(count), "--seed", str(seed)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as victim:
        try:
            yield victim
        finally:
            victim.kill()


def _line(victim: subprocess.Popen[str]) -> str:
    """The next line of the victim; empty when none comes in time, or ever."""
    assert victim.stdout is not None
    ready, _, _ = select.select([victim.stdout], [], [], LIMIT)
    return victim.stdout.readline().strip() if ready else ""


def _look(client: Client, stores: list[ObjectStore]) -> Iterator[str]:
    """What is wrong with the buckets while nobody works in them."""
    for store in stores:
        if left := orphans(client, store):
            yield f"chunks {left} in bucket {store.name} are nobody's"
        for info in store.list():
            try:
                source_of(store.read_bytes(info.name))
            except (MixedContentError, ObjStoreError) as error:
                yield f"{info.name} in bucket {store.name}: {error}"


def main(arguments: list[str] | None = None) -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=200, help="of interrupts")
    parser.add_argument("--seed", type=int, default=1, help="of their moments")
    parser.add_argument("--victim", metavar="URL", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.victim:
        be_hit(chosen.victim, chosen.count, chosen.seed)
        return 0
    with LocalServer() as server:
        result = storm(server, chosen.count, chosen.seed)
    print(result)  # noqa: T201 - a program's output
    return 1 if result.problems else 0


if __name__ == "__main__":
    sys.exit(main())
