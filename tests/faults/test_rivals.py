"""Writers of one name in two processes, with readers beside them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from objstore import Client, LocalServer, ObjectChangedError, ObjectStore
from tests.support.cluster import Cluster
from tests.support.streams import chunk_counts
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.newest_server

THREADS, TURNS = 8, 6


def start_writers(urls: str, bucket: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.faults.writers", urls, bucket]
    return subprocess.Popen([*command, str(THREADS), str(TURNS)], stdout=subprocess.PIPE, text=True)


def check_whole(content: bytes) -> None:
    """It is all of one put."""
    words = content.split()
    assert content == b" ".join([*words[:3], b""]) * (len(words) // 3)
    assert len(words) == 900


def race(client: Client, store: ObjectStore, urls: list[str]) -> None:
    """Two processes write; whatever is read meanwhile is whole, and one set of chunks remains."""
    store.put("x", b"1 2 3 " * 300, chunk_size=1000)
    writers = [start_writers(",".join(urls), store.name) for _ in range(2)]
    reads = changed = 0
    try:
        while any(each.poll() is None for each in writers):
            check_whole(store.read_bytes("x"))
            reads += 1
            result = store.get("x")
            assert result is not None
            with result:
                try:
                    check_whole(result.read())
                except ObjectChangedError:
                    changed += 1
    finally:
        for each in writers:
            output, _ = each.communicate(timeout=PATIENCE)
            assert (each.returncode, output) == (0, str(THREADS * TURNS))
    assert reads
    check_whole(store.read_bytes("x"))
    info = store.info("x")
    assert info is not None
    assert chunk_counts(client, store) == {info.nuid: info.chunks}


def test_on_one_server(server: LocalServer, shared_client: Client, store: ObjectStore) -> None:
    race(shared_client, store, [server.url])


def test_on_three_servers(cluster: Cluster, bucket: str) -> None:
    with cluster.connect("n0") as client:
        race(client, client.object_store(bucket, create=False), cluster.urls("n1"))


@pytest.mark.parametrize("how", ["put", "update", "delete"])
def test_while_leaders_change(how: str, cluster: Cluster, bucket: str) -> None:
    """A compare-and-set whose answer is lost has succeeded or not: it is found out."""
    with cluster.connect("n0") as client:
        store = client.object_store(bucket, create=False)
        for turn in range(5):
            first = store.put("x", b"1" * 3000, chunk_size=1000)
            cluster.step_down(f"OBJ_{bucket}")
            if how == "put":
                store.put("x", b"2" * 3000, chunk_size=1000, if_revision=first.revision)
                assert store.read_bytes("x") == b"2" * 3000
            elif how == "update":
                store.update("x", description=str(turn), if_revision=first.revision)
                assert store.read_bytes("x") == b"1" * 3000
            else:
                assert store.delete("x", if_revision=first.revision)
                assert store.info("x") is None
        owned = {info.nuid: info.chunks for info in store.list()}
        assert chunk_counts(client, store) == owned
