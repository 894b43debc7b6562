"""Jumps in a cluster, where any server may answer: one that lags, or has its own count."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

import objstore
from objstore import LocalServer, ObjectStore, ObjStoreError
from tests.get.test_reader import cut, opened, pattern, put_pieces, store_kind
from tests.support.waiting import PATIENCE, eventually, make_impatient

pytestmark = pytest.mark.newest_server

SERVERS = 3


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as sockets:
        found = [sockets.enter_context(socket.socket()) for _ in range(count)]
        for each in found:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in found]


@pytest.fixture(scope="module")
def replicated() -> Iterator[ObjectStore]:
    """A bucket of three replicas."""
    ports, routes = free_ports(SERVERS), free_ports(SERVERS)
    others = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
    servers = [
        LocalServer(
            port=port,
            config=f"server_name: s{number}\n"
            f'cluster {{ name: c, listen: "127.0.0.1:{route}", routes: [{others}] }}\n'
            "authorization { token: secret }\n",
        )
        for number, (port, route) in enumerate(zip(ports, routes, strict=True))
    ]
    with contextlib.ExitStack() as stack:
        for server in servers:
            stack.callback(server.stop)
        with ThreadPoolExecutor(SERVERS) as pool:  # each waits for the others
            list(pool.map(LocalServer.start, servers))
        urls = [f"nats://secret@127.0.0.1:{port}" for port in ports]
        client = stack.enter_context(objstore.connect(urls))
        make_impatient(client, 2.0)

        def created() -> ObjectStore | None:
            with contextlib.suppress(ObjStoreError):  # its servers have not found each other yet
                return client.object_store("replicated", replicas=SERVERS)
            return None

        store = eventually(created, "a bucket")
        assert store is not None
        make_impatient(client, PATIENCE)
        yield store


@pytest.mark.parametrize("kind", ["even", "updated", "interleaved", "uneven, interleaved"])
def test_jumps_right_after_a_put(kind: str, replicated: ObjectStore) -> None:
    """Followers may not have all of it yet, and then take a chunk for a later one."""
    client = objstore.Client(replicated._handle.jetstream.connection)
    chance = random.Random(kind)
    for number in range(4):
        content = pattern(100_000 + number)
        name = store_kind(kind, content, client, replicated, f"{kind} {number}")
        with opened(replicated, name) as file:
            for _ in range(100):
                start = chance.randrange(100_000)
                file.seek(start)
                assert file.read(1500) == content[start : start + 1500]


def test_metadata_far_behind_the_chunks(replicated: ObjectStore) -> None:
    """Uneven chunks, and an update since: the leader tells where the last one is."""
    client = objstore.Client(replicated._handle.jetstream.connection)
    content = pattern(100_000)
    put_pieces(client, replicated, "far", cut(content, [1000, 700, 999]))
    for _ in range(50):
        replicated.put("other", b"x")
    replicated.update("far", description="later")
    for start in (99_000, 50_000, 5000):
        assert replicated.read_range("far", start, start + 500) == content[start : start + 500]
