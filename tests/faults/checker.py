"""Many clients on servers that fail, and whether all that they saw can be true.

``python -m tests.faults.checker --seed N --minutes M [--servers 1|3]``: two processes with three
threads each put, update, rename, delete, get and list objects on a handful of names, while servers
are killed, paused and restarted and connections cut, by chances of the seed. Then all is healed and
read once more, and this must hold:

- for each name one order of operations explains what everybody saw (:mod:`tests.faults.history`):
  nothing acknowledged is lost, nothing is read that was not written, no read is stale;
- each content is one write's, to the byte;
- each operation ends within its time;
- after ``collect_garbage`` the bucket holds the chunks of its objects, and nothing else.

The exit code is 1 where something does not. One seed makes the same chances, not the same run: the
threads' order is the machine's.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Protocol

from objstore import Client, LocalServer, ObjectStore
from tests.faults.history import Operation, check
from tests.faults.workload import LIMIT, NAMES, Orders, Reader, connect
from tests.support.cluster import Cluster
from tests.support.proxy import Proxy
from tests.support.streams import chunk_counts, orphans, subjects

__all__ = ["Report", "main", "run"]

ROOT = Path(__file__).parents[2]

BUCKETS = ("one", "other")


class Servers(Protocol):
    """What the nemesis works on: one server, or a cluster."""

    @property
    def servers(self) -> dict[str, LocalServer]: ...
    def urls(self, first: str) -> list[str]: ...
    def kill(self, name: str) -> None: ...
    def start(self, name: str) -> None: ...
    def pause(self, name: str) -> None: ...
    def resume(self, name: str) -> None: ...
    def heal(self) -> None: ...


class Alone:
    """One server, in the same form as a cluster.

    Arguments:
        folder: for its data.
    """

    def __init__(self, folder: Path) -> None:
        self._server = LocalServer(folder / "alone")
        self._is_paused = False
        self.servers = {"alone": self._server}

    def __enter__(self) -> Alone:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    def urls(self, _first: str) -> list[str]:
        """Its address."""
        return [self._server.url]

    def kill(self, _name: str) -> None:
        """End it as a crash would."""
        self._server.kill()
        self._is_paused = False

    def start(self, _name: str) -> None:
        """Bring it back."""
        self._server.start(timeout=30.0)

    def pause(self, _name: str) -> None:
        """Freeze it."""
        self._signal(signal.SIGSTOP)
        self._is_paused = True

    def resume(self, _name: str) -> None:
        """Let it go on."""
        self._is_paused = False
        self._signal(signal.SIGCONT)

    def heal(self) -> None:
        """Let it be well."""
        if self._is_paused:
            self.resume("")
        self.start("")

    def _signal(self, number: signal.Signals) -> None:
        pid = self._server.pid
        assert pid is not None
        os.kill(pid, number)


@dataclass
class Report:
    """What was done, and what was wrong.

    Attributes:
        seed: of the run.
        history: all operations.
        faults: how many of each kind.
        violations: what must not be, in words.
        garbage: uploads whose chunks were nobody's in the end, until collect_garbage.
        risen: replaced records that are there again. A killed server has forgotten what it
            removed last, chunks too: they are most of the garbage.
    """

    seed: int
    history: list[Operation] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    garbage: int = 0
    risen: int = 0

    def __str__(self) -> str:
        done = Counter(f"{op.kind} {op.outcome}" for op in self.history)
        errors = Counter(op.error.partition(":")[0] for op in self.history if op.outcome != "ok")
        longest = max((op.ended - op.begun for op in self.history), default=0.0)
        return "\n".join(
            [
                f"seed {self.seed}: {len(self.history)} operations, "
                f"{len(self.violations)} violations",
                f"  operations: {_counted(done)}",
                f"  errors: {_counted(errors)}",
                f"  faults: {_counted(self.faults)}",
                f"  longest operation {longest:.1f} s; garbage of {self.garbage} uploads; "
                f"{self.risen} replaced records rose again",
                *(f"VIOLATION {text}" for text in self.violations),
            ]
        )


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(counter.items())) or "none"


class Nemesis:
    """Lets things fail, one after the other.

    Arguments:
        seed: of its chances.
        servers: what it may kill.
        proxies: what it may cut.
        faults: counts what it did.
    """

    def __init__(
        self, seed: int, servers: Servers, proxies: list[Proxy], faults: Counter[str]
    ) -> None:
        self._chance = random.Random(f"nemesis {seed}")
        self._servers = servers
        self._proxies = proxies
        self._faults = faults

    def rage(self, seconds: float) -> None:
        """Work for so long, and until each kind was done; all servers run afterwards, unfrozen."""
        acts = [self._kill, self._kill, self._pause, self._restart, self._cut, self._cut_at,
                self._cut_at, self._stall]  # fmt: skip
        end = time.monotonic() + seconds
        for turn in itertools.count():
            self._chance.shuffle(acts)
            for act in acts:
                left = end - time.monotonic()
                if turn and left <= 0:
                    return
                time.sleep(self._chance.uniform(0.1, 1.5))
                self._faults[act.__name__.strip("_")] += 1
                act()

    def _server(self) -> str:
        return self._chance.choice(list(self._servers.servers))

    def _kill(self) -> None:
        name = self._server()
        self._servers.kill(name)
        time.sleep(self._chance.choice((0.0, 0.3, 2.0)))
        self._servers.start(name)

    def _restart(self) -> None:
        server = self._servers.servers[self._server()]
        server.stop()
        server.start(timeout=30.0)

    def _pause(self) -> None:
        name = self._server()
        self._servers.pause(name)
        time.sleep(self._chance.uniform(1.0, 4.0))
        self._servers.resume(name)

    def _cut(self) -> None:
        self._chance.choice(self._proxies).sever(reset=self._chance.random() < 0.5)

    def _cut_at(self) -> None:
        proxy = self._chance.choice(self._proxies)
        direction = self._chance.choice((proxy.up, proxy.down))
        direction.cut_after(self._chance.randint(1, 2_000_000))

    def _stall(self) -> None:
        proxy = self._chance.choice(self._proxies)
        with self._chance.choice((proxy.up, proxy.down)).stalled():
            time.sleep(self._chance.uniform(0.5, 4.0))


class Program:
    """One process of the workload.

    Arguments:
        orders: for it.
    """

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self._log = Path(orders.path).with_suffix(".log")
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.workload"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(orders)) + "\n")
        self._process.stdin.flush()

    def wait(self) -> None:
        """Come back when it works."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def hang_up(self) -> None:
        """Let it come to its end."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def result(self) -> tuple[list[Operation], list[str]]:
        """What it did, and what is wrong with how it ended."""
        problems = []
        try:
            status: object = self._process.wait(LIMIT + 30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = f"{self._process.wait()}, being killed"
        assert self._process.stdout is not None
        self._process.stdout.close()
        if status != 0:
            log = self._log.read_text("utf-8", "replace")[-6000:]
            problems.append(f"process {self.orders.process} ended with {status}:\n{log}")
        with contextlib.suppress(FileNotFoundError):
            return list(read_history(Path(self.orders.path))), problems
        return [], problems


def read_history(path: Path) -> Iterator[Operation]:
    """The operations in a file."""
    for line in path.read_text("utf-8").splitlines():
        fields = json.loads(line)
        fields["seen"] = None if fields["seen"] is None else tuple(fields["seen"])
        yield Operation(**fields)


def run(seed: int, seconds: float, servers: Servers, folder: Path) -> Report:
    """One run on servers that are up.

    Arguments:
        seed: of all chances.
        seconds: for which things fail.
        servers: one or three.
        folder: for the history.
    """
    report = Report(seed)
    names = list(servers.servers)
    with contextlib.ExitStack() as stack:
        urls = servers.urls(names[0])
        client = stack.enter_context(connect(urls))
        for name in BUCKETS:
            client.object_store(name, replicas=len(names))
        proxies = [stack.enter_context(Proxy(servers.urls(name)[0])) for name in names]
        # One process behind the proxies, one face to face with the servers.
        ways = {"far": [proxy.url for proxy in proxies], "near": servers.urls(names[-1])}
        programs = [
            Program(Orders(way, list(BUCKETS), seed, process, str(folder / f"{process}.json")))
            for process, way in ways.items()
        ]
        try:
            for program in programs:
                program.wait()
            Nemesis(seed, servers, proxies, report.faults).rage(seconds)
        finally:
            servers.heal()
            for program in programs:
                program.hang_up()
            for program in programs:
                history, problems = program.result()
                report.history += history
                report.violations += problems
    # A client of its own, for whose eyes nothing ever failed.
    with connect(urls) as client:
        _look(client, report)
    report.violations += [str(op) for op in report.history if op.kind == "violation"]
    report.violations += [
        f"this took too long: {op}" for op in report.history if op.ended - op.begun > LIMIT
    ]
    history = [op for op in report.history if op.kind != "violation"]
    report.violations += check(_named(history))
    return report


def _named(history: list[Operation]) -> Iterator[Operation]:
    """An empty content could be of any put of nothing, of its name."""
    empty: dict[str, list[str]] = {}
    for op in history:
        if op.kind == "put" and op.value.endswith(".empty"):
            empty.setdefault(op.name, []).append(op.value)
    for op in history:
        is_empty = op.seen == ("*.empty",)
        yield replace(op, seen=tuple(empty.get(op.name, op.seen))) if is_empty and op.seen else op


def _look(client: Client, report: Report) -> None:
    """Read everything, and look what else there is."""
    for bucket in BUCKETS:
        store = client.object_store(bucket, create=False)
        _look_at(client, store, report)


def _look_at(client: Client, store: ObjectStore, report: Report) -> None:
    mine = [op.name.partition("/")[2] for op in report.history if op.name.startswith(store.name)]
    reader = Reader("end", report.history.append)
    for name in sorted({name for name in mine if "," not in name}):
        reader.get(store, name)
    reader.get_many(store, list(NAMES))
    reader.list(store)
    before = store.verify()
    report.violations += [f"{store.name}: {problem}" for problem in before.problems]
    report.garbage += len(store.collect_garbage(min_age=0).nuids)
    report.violations += [f"{store.name}: {text}" for text in store.verify().problems]
    owned = {info.nuid: info.chunks for info in store.list() if info.chunks}
    if left := orphans(client, store):
        report.violations.append(f"{store.name}: chunks {left} are nobody's")
    if chunk_counts(client, store) != owned:
        report.violations.append(f"{store.name}: {chunk_counts(client, store)} are not {owned}")
    counts = subjects(client, store)
    report.risen += sum(count - 1 for subject, count in counts.items() if ".M." in subject)


def main(arguments: list[str] | None = None) -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seed", type=int, default=1, help="of all chances")
    parser.add_argument("--minutes", type=float, default=1.0, help="for which things fail")
    parser.add_argument("--servers", type=int, choices=(1, 3), default=1)
    parser.add_argument("--keep", type=Path, help="a folder that the history is kept in")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        ground = Alone(folder) if chosen.servers == 1 else Cluster(folder)
        with ground as servers:
            report = run(chosen.seed, chosen.minutes * 60, servers, folder)
        if chosen.keep is not None:
            chosen.keep.mkdir(parents=True, exist_ok=True)
            for path in (*folder.glob("*.json"), *folder.glob("*.log")):
                shutil.copy(path, chosen.keep)
    print(report)  # noqa: T201 - a program's output
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
