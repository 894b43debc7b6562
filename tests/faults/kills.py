"""Kill -9 of the server amid puts and gets: ``python -m tests.faults.kills [--rounds N]``.

Each round begins a put or a get, kills the server at a random moment, and brings it back soon,
late, or too late for the client's patience. The operation must end byte-exact, or with an error
that says that the server does not answer, within its time; and the object must be old or new, and
whole. The exit code is 1 where it is not.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import objstore
from objstore import Client, ConnectionLostError, LocalServer, ObjectStore, RequestTimeoutError
from tests.faults.contents import content, source_of
from tests.support.streams import orphans

__all__ = ["Rounds", "main", "run"]

SIZE = 24 << 20
BUCKETS = ("one", "other")

#: Of the client, in seconds.
TIMEOUT, PATIENCE = 1.0, 5.0

#: Seconds, against hanging only. The chunks and the commit may each wait as long as the client is
#: patient, and then what was sent is to be removed.
LIMIT = 120.0

#: Seconds that the server is away; the last one is too long for any patience.
DOWN = (0.0, 0.0, 0.5, 2.0, 20.0)


@dataclass
class Rounds:
    """What came of it.

    Attributes:
        ends: how often each kind of operation ended how.
        longest: operation, in seconds.
        garbage: of how many uploads chunks were left, for collect_garbage to find.
        problems: in words.
    """

    ends: Counter[str] = field(default_factory=Counter)
    longest: float = 0.0
    garbage: int = 0
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        ends = ", ".join(f"{count} {what}" for what, count in sorted(self.ends.items()))
        first = f"{self.ends.total()} kills: {ends}; {len(self.problems)} problems; the longest "
        first += f"took {self.longest:.1f} s; garbage of {self.garbage} uploads collected"
        return "\n".join([first, *self.problems])


class Round:
    """One operation, during which the server is killed.

    Arguments:
        store: to work in.
        kind: ``put`` or ``get``.
        number: of the round, which is the id of what it puts.
    """

    def __init__(self, store: ObjectStore, kind: str, number: int) -> None:
        self.kind = kind
        self.number = str(number)
        self.error: BaseException | None = None
        self.took = 0.0
        self._store = store
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        begun = time.monotonic()
        try:
            if self.kind == "put":
                data = content(self.number, SIZE)
                pieces = (data[at : at + 100_000] for at in range(0, SIZE, 100_000))
                self._store.put("x", pieces)
            else:
                source_of(self._store.read_bytes("x"))
        except BaseException as error:
            self.error = error
        self.took = time.monotonic() - begun

    @property
    def goes_on(self) -> bool:
        """Whether it has not ended."""
        return self._thread.is_alive()

    def wait(self, seconds: float) -> bool:
        """Wait for its end; False: it has not come."""
        self._thread.join(seconds)
        return not self.goes_on


def run(server: LocalServer, count: int, seed: int) -> Rounds:
    """Kill the server so many times, each time amid a put or a get.

    Arguments:
        server: that runs, with a folder of its own for its data.
        count: of kills.
        seed: of their moments.
    """
    chance = random.Random(f"kills {seed}")
    result = Rounds()
    usual = _usual(server)
    with objstore.connect(
        server.url, timeout=TIMEOUT, reconnect_timeout=PATIENCE, lazy=True
    ) as client:
        stores = [client.object_store(name) for name in BUCKETS]
        before = dict.fromkeys(BUCKETS, "0")
        number = 0
        while result.ends.total() < count:
            number += 1
            store, kind = chance.choice(stores), chance.choice(("put", "get"))
            going = Round(store, kind, number)
            time.sleep(chance.uniform(0, usual[store.name, kind]))
            was_amid = going.goes_on
            server.kill()
            _bring_back(server, chance.choice(DOWN), going)
            if not going.wait(LIMIT):
                result.problems.append(f"round {number}: a {kind} hangs")
                break
            server.start(timeout=30.0)
            with objstore.connect(server.url) as patient:
                bucket = patient.object_store(store.name, create=False)
                what = _judge(patient, bucket, going, before, result)
            if was_amid:
                result.ends[what] += 1
    return result


def _usual(server: LocalServer) -> dict[tuple[str, str], float]:
    """Make the buckets and their objects, in peace; seconds that a put and a get take."""
    usual = {}
    with objstore.connect(server.url) as client:
        for store in [client.object_store(name) for name in BUCKETS]:
            for kind in ("put", "get"):
                first = Round(store, kind, 0)
                assert first.wait(LIMIT)
                assert first.error is None
                usual[store.name, kind] = first.took
    return usual


def _bring_back(server: LocalServer, seconds: float, going: Round) -> None:
    """Start the server after some time; at once, when nobody waits for it any more."""
    going.wait(seconds)
    server.start(timeout=30.0)


def _judge(
    client: Client, store: ObjectStore, going: Round, before: dict[str, str], result: Rounds
) -> str:
    """Look what a round has done, with a patient client, and say how it ended."""
    result.longest = max(result.longest, going.took)
    what = f"{going.kind} {'succeeded' if going.error is None else type(going.error).__name__}"
    say = f"round {going.number}: a {going.kind} in bucket {store.name}, {going.took:.1f} s"
    if not isinstance(going.error, (RequestTimeoutError, ConnectionLostError, type(None))):
        result.problems.append(f"{say}, failed: {what}: {going.error}")
    allowed = {before[store.name]}
    if going.kind == "put":
        allowed = {going.number} | (set() if going.error is None else allowed)
    try:
        found = source_of(store.read_bytes("x"))
    except Exception as error:
        result.problems.append(f"{say}, after which {type(error).__name__}: {error}")
        return what
    if found not in allowed:
        result.problems.append(f"{say}, {what}, after which {found} is there, not {allowed}")
    before[store.name] = str(found)
    # Even a get can leave some: a killed server has forgotten the last purges, of any round.
    result.garbage += len(store.collect_garbage(min_age=0).nuids)
    if left := orphans(client, store):
        result.problems.append(f"{say}: {left} are there after collect_garbage")
    return what


def main(arguments: list[str] | None = None) -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=100, help="how many kills")
    parser.add_argument("--seed", type=int, default=1, help="of their moments")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, LocalServer(Path(folder)) as server:
        result = run(server, chosen.rounds, chosen.seed)
    print(result)  # noqa: T201 - a program's output
    return 1 if result.problems else 0


if __name__ == "__main__":
    sys.exit(main())
