"""Puts and deletes that are interrupted at random moments, as by Ctrl-C: a program of its own.

``python -m tests.support.interrupted URL BUCKET HITS SEED`` goes on until so many puts were hit,
and both contents were found. It writes one JSON object: how often the old one was, the new one,
and hits.
"""

from __future__ import annotations

import json
import random
import signal
import sys
import time
from types import FrameType

import objstore

SIZE, CHUNK = 200_000, 10_000

#: Against a loop without end: five in six rounds hit.
MOST_ROUNDS = 1_000


def content(turn: int) -> bytes:
    return turn.to_bytes(4, "big") * (SIZE // 4)


def interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def put(store: objstore.ObjectStore, turn: int) -> None:
    """One of the ways to store an object."""
    if turn % 2:
        store.put("x", content(turn), chunk_size=CHUNK)
        return
    with store.open("x", "wb", chunk_size=CHUNK) as file:
        file.write(content(turn))


def timed_put(store: objstore.ObjectStore) -> float:
    """How long a put takes that nobody interrupts, in seconds: so that some moment of it is hit.

    Measured before each round, since a busy machine does not stay as fast as it was.
    """
    begun = time.monotonic()
    put(store, 0)
    return time.monotonic() - begun


def main(url: str, bucket: str, hits: int, seed: int) -> None:
    chance = random.Random(seed)
    signal.signal(signal.SIGALRM, interrupt)
    outcomes = {"old": 0, "new": 0, "interrupted": 0}
    with objstore.connect(url, timeout=30.0) as client:
        store = client.object_store(bucket, create=False)
        for turn in range(1, MOST_ROUNDS):
            if outcomes["interrupted"] >= hits and outcomes["old"] and outcomes["new"]:
                break
            duration = timed_put(store)
            try:
                try:
                    signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-5, duration * 1.2))
                    put(store, turn)
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                outcomes["interrupted"] += 1
            data = store.read_bytes("x")
            assert data in (content(0), content(turn)), "neither the old content nor the new"
            outcomes["new" if data == content(turn) else "old"] += 1
    sys.stdout.write(json.dumps(outcomes))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
