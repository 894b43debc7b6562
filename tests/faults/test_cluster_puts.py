"""Puts in a cluster whose servers die, freeze, leave and hand over: byte-exact, nothing left."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from objstore import Client, ObjectStore
from tests.support.cluster import Cluster
from tests.support.streams import chunk_counts
from tests.support.waiting import eventually, make_impatient

pytestmark = pytest.mark.newest_server

CHUNK = 8_000
CONTENT = random.Random(1).randbytes(1_000_017)
STEP = 20_011


class Scene(NamedTuple):
    """Where a fault happens.

    Attributes:
        cluster: the servers.
        stream: the bucket's.
        leader: leads it.
        own: the server that the client is connected to.
    """

    cluster: Cluster
    stream: str
    leader: str
    own: str


def steps_down(scene: Scene) -> None:
    scene.cluster.step_down(scene.stream)


def leader_dies(scene: Scene) -> None:
    scene.cluster.kill(scene.leader)


def leader_dies_and_returns(scene: Scene) -> None:
    scene.cluster.kill(scene.leader)
    scene.cluster.later(1.0, lambda: scene.cluster.start(scene.leader))


def leader_freezes(scene: Scene) -> None:
    scene.cluster.pause(scene.leader)
    scene.cluster.later(7.0, lambda: scene.cluster.resume(scene.leader))


def leader_leaves(scene: Scene) -> None:
    scene.cluster.lame_duck(scene.leader)


def own_dies(scene: Scene) -> None:
    scene.cluster.kill(scene.own)


def own_dies_and_returns(scene: Scene) -> None:
    scene.cluster.kill(scene.own)
    scene.cluster.start(scene.own)


def own_leaves(scene: Scene) -> None:
    scene.cluster.lame_duck(scene.own)


Fault = Callable[[Scene], None]


def set_scene(cluster: Cluster, bucket: str, *, own_leads: bool = False) -> Scene:
    """One server leads the stream; the client is to be connected to it, or to another."""
    leader = cluster.leader_of(f"OBJ_{bucket}")
    own = leader if own_leads else cluster.others(leader)[0]
    return Scene(cluster, f"OBJ_{bucket}", leader, own)


def payload(scene: Scene, fault: Fault, at: int) -> Iterator[bytes]:
    """A payload that nobody can read twice; the fault happens before one of its parts."""
    for number, start in enumerate(range(0, len(CONTENT), STEP)):
        if number == at:
            fault(scene)
        yield CONTENT[start : start + STEP]


def check(client: Client, store: ObjectStore, content: bytes = CONTENT) -> None:
    """The object is what was put, and the bucket holds no other chunks."""
    assert store.read_bytes("x") == content
    info = store.info("x")
    assert info is not None
    assert chunk_counts(client, store) == ({info.nuid: info.chunks} if info.chunks else {})


@pytest.mark.parametrize(
    ("fault", "at"),
    [(steps_down, 1), (steps_down, 20), (steps_down, 49), (own_dies, 20), (own_leaves, 20)],
)
def test_a_put(cluster: Cluster, bucket: str, fault: Fault, at: int) -> None:
    """Through what is over soon, anywhere."""
    scene = set_scene(cluster, bucket)
    with cluster.connect(scene.own) as client:
        store = client.object_store(bucket, create=False)
        store.put("x", b"old")
        store.put("x", payload(scene, fault, at), chunk_size=CHUNK)
        check(client, store)


@pytest.mark.parametrize("fault", [leader_dies, leader_freezes])
def test_a_put_through_an_election(cluster: Cluster, bucket: str, fault: Fault) -> None:
    """A new leader comes after 5 to 8 s."""
    scene = set_scene(cluster, bucket)
    with cluster.connect(scene.own) as client:
        store = client.object_store(bucket, create=False)
        store.put("x", b"old")
        store.put("x", payload(scene, fault, 20), chunk_size=CHUNK)
        check(client, store)


@pytest.mark.parametrize("fault", [own_dies_and_returns, own_leaves])
def test_a_put_whose_own_server_leads(cluster: Cluster, bucket: str, fault: Fault) -> None:
    """The connection and the leader are lost at once."""
    scene = set_scene(cluster, bucket, own_leads=True)
    with cluster.connect(scene.own) as client:
        store = client.object_store(bucket, create=False)
        store.put("x", payload(scene, fault, 20), chunk_size=CHUNK)
        check(client, store)


def test_a_put_from_a_frozen_server(cluster: Cluster, bucket: str) -> None:
    """It comes back after a time-out, with all that it was sent in the meantime."""
    scene = set_scene(cluster, bucket)

    def freezes(scene: Scene) -> None:
        cluster.pause(scene.own)
        cluster.later(4.0, lambda: cluster.resume(scene.own))

    with cluster.connect(scene.own, timeout=2.0) as client:
        store = client.object_store(bucket, create=False)
        store.put("x", payload(scene, freezes, 20), chunk_size=CHUNK)
        check(client, store)


@pytest.mark.parametrize("fault", [steps_down, leader_dies_and_returns, leader_leaves])
def test_the_commit(cluster: Cluster, bucket: str, fault: Fault) -> None:
    """The fault comes when all chunks are stored, and only the metadata is not."""
    scene = set_scene(cluster, bucket)
    with cluster.connect(scene.own) as client:
        store = client.object_store(bucket, create=False)
        store.put("x", b"old")
        with store.open("x", "wb", chunk_size=CHUNK) as file:
            file.write(CONTENT)
            eventually(lambda: sum(chunk_counts(client, store).values()) >= len(CONTENT) // CHUNK)
            fault(scene)
        check(client, store)


def test_small_puts_while_leaders_change(cluster: Cluster, bucket: str) -> None:
    """Each is there once it was acknowledged, and nothing stays of those before."""
    scene = set_scene(cluster, bucket)
    over = threading.Event()

    def disturb() -> None:
        while not over.wait(0.2):
            steps_down(scene)
            cluster.leader_of(scene.stream)

    disturber = threading.Thread(target=disturb)
    disturber.start()
    try:
        with cluster.connect(scene.own) as client:
            store = client.object_store(bucket, create=False)
            until = time.monotonic() + 2.5
            number = 0
            while time.monotonic() < until:
                number += 1
                content = str(number).encode() * (1 + number % 3 * 1000)
                store.put("x", content, chunk_size=1000)
                assert store.read_bytes("x") == content
            over.set()
            disturber.join()
            check(client, store, content)
    finally:
        over.set()
        disturber.join()


def test_a_put_that_fails(cluster: Cluster, bucket: str) -> None:
    """Two servers of three are gone for longer than the patience: the old object stays."""
    scene = set_scene(cluster, bucket)
    left = scene.own
    with cluster.connect(left, reconnect_timeout=2.0) as client:
        store = client.object_store(bucket, create=False)
        store.put("x", b"old")
        make_impatient(client, 1.0)

        def most_die(scene: Scene) -> None:
            for name in scene.cluster.others(left):
                scene.cluster.kill(name)

        with pytest.raises(TimeoutError):
            store.put("x", payload(scene, most_die, 20), chunk_size=CHUNK)
    cluster.heal()
    with cluster.connect(left) as client:  # one with the usual patience
        store = client.object_store(bucket, create=False)
        assert store.read_bytes("x") == b"old"
        store.collect_garbage(min_age=0)
        check(client, store, b"old")
