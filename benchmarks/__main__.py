"""Chunk throughput against a local server: put and get, by chunk size, in alternating rounds."""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

import objstore
from objstore import ObjectStore

CHUNK_SIZES = (32 << 10, 128 << 10, 512 << 10, 1 << 20)


def rate(act: Callable[[], object], size: int) -> float:
    """MB/s of one transfer."""
    begin = time.perf_counter()
    act()
    return size / (time.perf_counter() - begin) / 1e6


def measure(store: ObjectStore, data: bytes, rounds: int) -> dict[int, tuple[float, float]]:
    """The medians of put and get for each chunk size; the sizes take turns in each round."""
    puts: dict[int, list[float]] = {size: [] for size in CHUNK_SIZES}
    gets: dict[int, list[float]] = {size: [] for size in CHUNK_SIZES}
    for _ in range(rounds):
        for size in CHUNK_SIZES:
            puts[size].append(
                rate(lambda size=size: store.put("x", data, chunk_size=size), len(data))  # type: ignore[misc]
            )
            gets[size].append(rate(lambda: store.read_bytes("x"), len(data)))
    return {
        size: (statistics.median(puts[size]), statistics.median(gets[size])) for size in CHUNK_SIZES
    }


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--size", type=int, default=256, help="of the object, in MiB")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="64 MiB, three rounds")
    options = parser.parse_args()
    mebibytes, rounds = (64, 3) if options.quick else (options.size, options.rounds)
    with objstore.local() as client:
        store = client.object_store("bench")
        version = client.connection.server_info["version"]
        print(f"nats-server {version}, {mebibytes} MiB, file storage, medians of {rounds} rounds")
        print(f"{'chunk KiB':>10} {'put MB/s':>10} {'get MB/s':>10}")
        for size, (put, get) in measure(store, os.urandom(mebibytes << 20), rounds).items():
            print(f"{size >> 10:>10} {put:>10.0f} {get:>10.0f}")


if __name__ == "__main__":
    main()
