"""Chunk throughput of objstore: by chunk size, object size, storage and replicas."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from benchmarks.figures import size_text
from benchmarks.ground import MIB, cluster, fresh_bucket
from benchmarks.peers.base import MIME
from benchmarks.rounds import Contender
from benchmarks.run import Run
from objstore import Client, ObjectStore
from objstore.errors import ObjStoreError

__all__ = ["by_chunk_size", "by_object_size", "on_a_cluster"]

CHUNK_SIZES = tuple(size << 10 for size in (32, 64, 128, 256, 512, 1024))

#: Bytes that one turn moves at least, where that does not take too many objects.
TURN, MOST_OBJECTS = 8 * MIB, 100


class _Transfers:
    """Put and get of one size, as two contenders.

    What is got lies there from the beginning; what is put has a new name each time, and is
    deleted after its turn: replacing an object would take the time of purging the old one.
    """

    def __init__(
        self, store: ObjectStore, data: bytes, label: str, chunk_size: int | None = None
    ) -> None:
        self.count = max(1, min(MOST_OBJECTS, TURN // len(data)))
        self.moved = self.count * len(data)
        self._store, self._data, self._label = store, data, label
        self._options: dict[str, Any] = {"mime": MIME, "chunk_size": chunk_size}
        self._seeds = self._names("seed")
        for name in self._seeds:
            store.put(name, data, **self._options)
        self.put = Contender(f"put {label}", self._put, after=self._delete)
        self.get = Contender(f"get {label}", lambda _number: read(store, self._seeds))

    def _names(self, turn: object) -> list[str]:
        return [f"{self._label} {turn} {number}" for number in range(self.count)]

    def _put(self, number: int) -> None:
        for name in self._names(number):
            self._store.put(name, self._data, **self._options)

    def _delete(self, number: int) -> None:
        for name in self._names(number):
            self._store.delete(name)


def read(store: ObjectStore, names: Sequence[str]) -> None:
    """Read objects chunk by chunk, keeping nothing: any size can be read like that."""
    for name in names:
        result = store.get(name)
        if result is None:
            raise FileNotFoundError(name)
        with result:
            for _chunk in result.data:
                pass


def _run(run: Run, kind: str, transfers: dict[int, _Transfers], key: str, **setting: Any) -> None:
    """Let all take turns, and note the rates; ``key`` names what the transfers differ in."""
    pairs = [each for one in transfers.values() for each in (one.put, one.get)]
    run.alternate(pairs, rounds=setting.pop("rounds", None))
    for value, each in transfers.items():
        for what, contender in (("put", each.put), ("get", each.get)):
            rates = contender.rates(each.moved / 1e6)
            run.add(
                *(kind, "objstore", what, "MB/s", rates),
                note=contender.died,
                **{key: value, **setting},
            )


def by_chunk_size(run: Run) -> None:
    """Every chunk size with every object size that has several chunks."""
    sizes = run.scale.pick((MIB, 16 * MIB, 64 * MIB, 256 * MIB), (16 * MIB,))
    storages = run.scale.pick(("file", "memory"), ("file",))
    for storage in storages:
        for size in sizes:
            run.tell(f"{storage}, {size_text(size)}")
            data = run.data(size)
            with run.ground.bucket(storage=storage) as store:
                transfers = {
                    chunk: _Transfers(store, data, size_text(chunk), chunk) for chunk in CHUNK_SIZES
                }
                _run(run, "chunks", transfers, "chunk_size", size=size, storage=storage)


def by_object_size(run: Run) -> None:
    """Object sizes from 1 KiB to 1 GiB, with the chunk size that objstore chooses."""
    small = (1 << 10, 16 << 10, 128 << 10, MIB, 16 * MIB)
    for storage in run.scale.pick(("file", "memory"), ("file",)):
        for size in run.scale.pick(small, ()):
            with run.ground.bucket(storage=storage) as store:
                transfers = {size: _Transfers(store, run.data(size), size_text(size))}
                _run(run, "sizes", transfers, "size", storage=storage)
        _large_sizes(run, storage)


def _large_sizes(run: Run, storage: str) -> None:
    """64 MiB against 1 GiB, in turns, for their ratio is a promise.

    In a quick run 16 MiB against 128 MiB stand for them.
    """
    sizes = run.scale.pick((64 * MIB, 256 * MIB, 1024 * MIB), (16 * MIB, 128 * MIB))
    if not run.ground.has_room(3 * sum(sizes)):
        run.skip(f"sizes: {run.ground.free >> 30} GiB of free space are too little")
        return
    data = run.data(sizes[-1])
    with run.ground.bucket(storage=storage) as store:
        transfers = {}
        for size in sizes:
            part = data if size == len(data) else data[:size]
            transfers[size] = _Transfers(store, part, size_text(size))
        rounds = run.scale.pick(min(4, run.scale.rounds), 2)
        _run(run, "sizes", transfers, "size", storage=storage, rounds=rounds)


def on_a_cluster(run: Run) -> None:
    """The same on three servers that keep every message three times, on these processors."""
    sizes = run.scale.pick((1 << 10, 128 << 10, MIB, 64 * MIB, 256 * MIB), (MIB,))
    with cluster(run.ground.folder) as client:
        for size in sizes:
            run.tell(f"three servers, {size_text(size)}")
            with _replicated_bucket(client) as store:
                transfers = {size: _Transfers(store, run.data(size), size_text(size))}
                _run(run, "cluster", transfers, "size", storage="file", replicas=3, rounds=3)


def _replicated_bucket(client: Client) -> Any:
    """A bucket on all three, as soon as they have found each other."""
    deadline = time.monotonic() + 30
    while True:
        try:
            client.object_store("ready", replicas=3)
            client.delete_store("ready")
        except ObjStoreError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return fresh_bucket(client, replicas=3)
