"""What reading costs on the wire, by the server's own count."""

from __future__ import annotations

import io
import json
import random
import socket
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

import objstore
from objstore import LocalServer, ObjectStore

pytestmark = pytest.mark.needs_server("2.11")  # it counts batches

MEBIBYTE = 1 << 20


class Count(NamedTuple):
    """What the server has seen of one connection: messages from it, bytes to it."""

    requests: int
    bytes: int


class Counted:
    """A bucket whose server counts."""

    def __init__(self, store: ObjectStore, monitor: str) -> None:
        self.store = store
        self._monitor = monitor
        self._number = store._handle.jetstream.connection.server_info["client_id"]

    def _count(self) -> Count:
        url = f"{self._monitor}/connz?cid={self._number}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            (found,) = json.load(answer)["connections"]
        return Count(found["in_msgs"], found["out_bytes"])

    def cost(self, act: Callable[[], object]) -> Count:
        """What an action takes."""
        before = self._count()
        act()
        after = self._count()
        return Count(after.requests - before.requests, after.bytes - before.bytes)


@pytest.fixture(scope="module")
def counted() -> Iterator[Counted]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monitor = f"127.0.0.1:{free.getsockname()[1]}"
    with (
        LocalServer(config=f'http: "{monitor}"\n') as server,
        objstore.connect(server.url) as client,
    ):
        yield Counted(client.object_store("counted"), f"http://{monitor}")


def test_a_small_range_of_a_large_object(counted: Counted) -> None:
    """The metadata, and two requests more; whatever the object's chunks and the range are."""
    store = counted.store
    content = random.Random(1).randbytes(16 * MEBIBYTE)
    for name, chunk_size in (("large", None), ("small chunks", 128 << 10)):
        store.put(name, content, chunk_size=chunk_size)
        for start in (0, 1, 8 * MEBIBYTE - 500, 12 * MEBIBYTE + 12_345, len(content) - 1000):
            got: list[bytes] = []
            cost = counted.cost(
                lambda name=name, start=start, got=got: got.append(  # type: ignore[misc]
                    store.read_range(name, start, start + 1000)
                )
            )
            assert got == [content[start : start + 1000]]
            assert cost.requests <= 3
            assert cost.bytes < 2_500_000
    linked = store.info("large")
    assert linked is not None
    store.link("link", linked)
    cost = counted.cost(lambda: store.read_range("link", 1 << 23, (1 << 23) + 1000))
    assert cost.requests <= 4  # the link's metadata too
    assert cost.bytes < 2_500_000
    cost = counted.cost(lambda: store.read_range("large", 5, 5))
    assert cost.requests == 1


def test_one_member_of_a_large_zip(counted: Counted) -> None:
    store = counted.store
    chance = random.Random(2)
    members = {f"member {number}": chance.randbytes(1_600_000) for number in range(12)}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    store.put("zip", buffer.getvalue())

    def read_one() -> None:
        with store.open("zip") as file, zipfile.ZipFile(file) as archive:
            assert archive.read("member 5") == members["member 5"]

    assert counted.cost(read_one).bytes < 6_000_000


def test_one_column_of_a_parquet_file(counted: Counted) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    chance = random.Random(5)
    columns = {
        f"column {n}": pa.Array.from_buffers(
            pa.int64(), 100_000, [None, pa.py_buffer(chance.randbytes(800_000))]
        )
        for n in range(20)
    }
    data = io.BytesIO()
    pq.write_table(pa.table(columns), data)
    counted.store.put("table", data.getvalue())

    def read_one() -> None:
        with counted.store.open("table") as file:
            table = pq.read_table(file, columns=["column 7"])
        assert table["column 7"].combine_chunks() == columns["column 7"]

    assert counted.cost(read_one).bytes < len(data.getvalue()) / 2


def test_the_tail_of_a_log(counted: Counted) -> None:
    store = counted.store
    lines = b"".join(b"%08d something happened\n" % number for number in range(300_000))
    store.put("log", lines)

    def tail() -> None:
        with store.open("log") as file:
            file.seek(-10_000, io.SEEK_END)
            assert file.read() == lines[-10_000:]

    assert counted.cost(tail).bytes < 2_000_000


def test_reading_all_costs_no_more_than_it_has(counted: Counted) -> None:
    store = counted.store
    content = random.Random(3).randbytes(32 * MEBIBYTE)
    store.put("x", content)

    def read_on() -> None:
        with store.open("x") as file:
            assert b"".join(iter(lambda: file.read(10_000), b"")) == content

    for act in (lambda: store.read_bytes("x"), read_on):
        cost = counted.cost(act)
        assert cost.bytes < 1.01 * len(content)
        assert cost.requests < 20


def test_small_objects_cost_two_requests(counted: Counted) -> None:
    counted.store.put("small", b"x" * 1000)
    for act in (
        lambda: counted.store.read_bytes("small"),
        lambda: counted.store.read_range("small", 100, 200),
    ):
        cost = counted.cost(act)
        assert cost.requests == 2
        assert cost.bytes < 3000
