"""Reads in a cluster whose servers die, freeze, leave and hand over: late, but whole and fresh."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

import objstore
from objstore import ObjectStore
from tests.faults.test_cluster_puts import (
    CONTENT,
    Fault,
    leader_dies,
    leader_freezes,
    leader_leaves,
    own_dies,
    own_leaves,
    set_scene,
    steps_down,
)
from tests.support.cluster import Cluster

pytestmark = pytest.mark.newest_server

Read = Callable[[ObjectStore], object]

NAMES = [f"o{number}" for number in range(20)]


def info(store: ObjectStore) -> object:
    found = store.info("o7")
    return found and found.size


def listing(store: ObjectStore) -> object:
    return sorted(info.name for info in store.list())


def status(store: ObjectStore) -> object:
    return store.status().total_size


#: Ways to read, and what each must find.
READS: dict[str, tuple[Read, object]] = {
    "info": (info, 7),
    "absent": (lambda store: store.info("absent"), None),
    "small": (lambda store: store.read_bytes("o7"), b"7777777"),
    "large": (lambda store: store.read_bytes("large"), CONTENT),
    "list": (listing, sorted([*NAMES, "large"])),
    "status": (status, sum(range(20)) + len(CONTENT)),
    "put": (lambda store: store.put("o7", b"7777777").size, 7),
}


def fill(store: ObjectStore) -> None:
    for number, name in enumerate(NAMES):
        store.put(name, str(number % 10).encode() * number)
    store.put("large", CONTENT, chunk_size=8_000)


@pytest.mark.parametrize(
    "fault",
    [steps_down, leader_dies, leader_freezes, leader_leaves, own_dies],
)
def test_reads_during_an_election(cluster: Cluster, bucket: str, fault: Fault) -> None:
    """Each kind of read right after the fault, by a thread of its own; and again."""
    scene = set_scene(cluster, bucket)
    with (
        cluster.connect(scene.own, timeout=2.0, reconnect_timeout=30.0) as client,
        ThreadPoolExecutor(len(READS)) as pool,
    ):
        store = client.object_store(bucket, create=False)
        fill(store)
        fault(scene)
        for _ in range(2):
            found = {name: pool.submit(read, store) for name, (read, _) in READS.items()}
            for name, (_, expected) in READS.items():
                assert found[name].result() == expected, name


@pytest.mark.parametrize("fault", [own_dies, own_leaves, leader_dies])
def test_a_get(cluster: Cluster, bucket: str, fault: Fault) -> None:
    """What has been read stays read; the rest comes from another server."""
    scene = set_scene(cluster, bucket)
    content = random.Random(3).randbytes(30_000_000)
    with cluster.connect(scene.own) as client:
        store = client.object_store(bucket, create=False)
        store.put("x", content, chunk_size=100_000)
        result = store.get("x")
        assert result is not None
        with result:
            got = [result.read(1_000_000)]
            fault(scene)
            got.append(result.read())
    assert b"".join(got) == content


def test_read_your_writes(cluster: Cluster, bucket: str) -> None:
    """1,000 writes, each read over another server's connection at once, while others write."""
    names = list(cluster.servers)
    stale: list[str] = []
    over = threading.Event()

    def load(number: int) -> None:
        with cluster.connect(names[number]) as client:
            store = client.object_store(bucket, create=False)
            while not over.is_set():
                store.put(f"load{number}", bytes(20_000), chunk_size=1000)

    def work(number: int) -> None:
        here, there = names[number % 3], names[(number + 1) % 3]
        with cluster.connect(here) as client, cluster.connect(there) as other:
            writer = client.object_store(bucket, create=False)
            reader = other.object_store(bucket, create=False)
            for turn in range(250):
                name, content = f"{number}.{turn // 2}", f"{turn}".encode()
                revision = writer.put(name, content).revision
                seen = reader.info(name)
                if seen is None or seen.revision != revision:
                    stale.append(f"info of {name}")
                if turn % 5 == 0 and reader.read_bytes(name) != content:
                    stale.append(f"content of {name}")
                if turn % 10 == 0:
                    listed = {info.name: info.revision for info in reader.list()}
                    if listed.get(name) != revision:
                        stale.append(f"list without {name}")

    with ThreadPoolExecutor(7) as pool:
        loads = [pool.submit(load, number) for number in range(3)]
        workers = [pool.submit(work, number) for number in range(4)]
        try:
            for each in workers:
                each.result()
        finally:
            over.set()
        for each in loads:
            each.result()
    assert stale == []


def test_the_meta_leader_dies(cluster: Cluster, bucket: str) -> None:
    """It is wanted for new streams and consumers; reads and writes go on without it."""
    meta = cluster.meta_leader()
    own, leader = cluster.others(meta)
    cluster.lead(f"OBJ_{bucket}", by=leader)
    with cluster.connect(own, reconnect_timeout=2.0) as client:
        store = client.object_store(bucket, create=False)
        fill(store)
        cluster.kill(meta)
        for _ in range(20):
            for name, (read, expected) in READS.items():
                assert read(store) == expected, name


def test_a_bucket_that_is_not_there(cluster: Cluster) -> None:
    """Its absence is known at once, whoever is asked."""
    for name in cluster.servers:
        with cluster.connect(name) as client, pytest.raises(objstore.BucketNotFoundError):
            client.object_store("absent", create=False).info("x")
