"""Servers, accounts and buckets that do not give everything: reading and writing by other ways."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

import objstore
from objstore import (
    APIError,
    BucketConfigError,
    Client,
    Connection,
    ConnectionLostError,
    LocalServer,
    ObjectStore,
    PermissionDeniedError,
)
from objstore.model.objects import chunk_subject
from objstore.wire.jetstream import read_limit
from objstore.wire.jetstream.read_limit import ReadLimit
from tests.support.proxy import Proxy, publishes
from tests.support.scripted import Background
from tests.support.streams import api
from tests.support.waiting import PATIENCE

MEBIBYTE = 1 << 20
CONTENT = random.Random(12).randbytes(4 * MEBIBYTE)
SMALL = {f"small {number}": b"%d" % number for number in range(100)}


def create_stream(client: Client, bucket: str, **settings: object) -> None:
    """A bucket's stream as others make it."""
    config = {
        "name": f"OBJ_{bucket}",
        "subjects": [f"$O.{bucket}.C.>", f"$O.{bucket}.M.>"],
        "discard": "new",
        "allow_rollup_hdrs": True,
        **settings,
    }
    answer = api(client.connection, f"STREAM.CREATE.OBJ_{bucket}", config)
    assert "error" not in answer, answer


def watched(store: ObjectStore) -> int:
    count = 0
    with store.watch() as watcher:
        while not watcher.caught_up.is_set():
            watcher.next(10)
            count += 1
    return count


def reads(store: ObjectStore) -> dict[str, Callable[[], bool]]:
    """All that reads, of a bucket with ``CONTENT`` as "x" and with ``SMALL``."""

    def jumps() -> bool:
        with store.open("x") as file:
            for start in (3 * MEBIBYTE, 5, MEBIBYTE + 1, 0):
                file.seek(start)
                if file.read(1000) != CONTENT[start : start + 1000]:
                    return False
        return True

    return {
        "data": lambda: b"".join(store.get("x").data) == CONTENT,  # type: ignore[union-attr]
        "read_bytes": lambda: store.read_bytes("x") == CONTENT,
        "read_range": lambda: store.read_range("x", 5, 3 * MEBIBYTE) == CONTENT[5 : 3 * MEBIBYTE],
        "jumps": jumps,
        "get_many": lambda: dict(store.get_many(SMALL)) == SMALL,
        "list": lambda: len(list(store)) == len(SMALL) + 1,
        "verify": lambda: store.verify().ok,
        "collect_garbage": lambda: store.collect_garbage(min_age=0).chunks == 0,
        "copy": lambda: store.copy("x", "x copy").size == len(CONTENT) and store.delete("x copy"),
    }


def fill(store: ObjectStore) -> None:
    store.put("x", CONTENT, chunk_size=128 << 10)
    store.put_many(SMALL.items())


# --- buckets without direct gets


class Counter:
    """The requests of a client, as they pass through a proxy."""

    def __init__(self, proxy: Proxy) -> None:
        self._asked = 0
        is_request = publishes("$JS.API.")
        proxy.up.observe(self._note(is_request))

    def _note(self, is_request: Callable[..., bool]) -> Callable[..., None]:
        def note(line: object) -> None:
            self._asked += is_request(line)

        return note

    def cost(self, act: Callable[[], object]) -> int:
        before = self._asked
        assert act()
        return self._asked - before


def interleave(client: Client, bucket: str, name: str, others: int, *, burst: int) -> None:
    """Store ``CONTENT`` in 32 chunks, with other objects' chunks between its own."""
    chunk = MEBIBYTE // 8
    other = chunk_subject(bucket, "another")
    store = client.object_store(bucket, create=False)

    def pieces() -> Iterator[bytes]:
        for index in range(32):
            yield CONTENT[index * chunk : (index + 1) * chunk]
            if not index % burst:
                client.connection.ping()
                for _ in range(others):
                    client.connection.request(other, payload=b"x")

    store.put(name, pieces(), chunk_size=chunk)


@pytest.mark.parametrize("first", [1, 4000, 1_000_000])
def test_a_read_costs_the_same_wherever_in_the_stream(first: int) -> None:
    """Of one object alone: its chunks, and a few requests to find them."""
    with (
        LocalServer() as server,
        Proxy(server.url) as proxy,
        objstore.connect(server.url) as admin,
        objstore.connect(proxy.url) as client,
    ):
        create_stream(admin, "old", first_seq=first)
        admin.object_store("old").put("x", CONTENT, chunk_size=128 << 10)
        store, counter = client.object_store("old", create=False), Counter(proxy)
        store.info("x")
        assert counter.cost(lambda: store.read_bytes("x") == CONTENT) <= 32 + 6
        assert counter.cost(lambda: store.verify("x").ok) <= 32 + 6
        begin, end = 20 * (128 << 10), 22 * (128 << 10)
        assert (
            counter.cost(lambda: store.read_range("x", begin, end) == CONTENT[begin:end]) <= 2 + 8
        )


@pytest.mark.parametrize("burst", [1, 8])
@pytest.mark.parametrize("others", [1, 30])
def test_a_read_costs_the_same_whatever_stands_between_the_chunks(others: int, burst: int) -> None:
    with (
        LocalServer() as server,
        Proxy(server.url) as proxy,
        objstore.connect(server.url) as admin,
        objstore.connect(proxy.url) as client,
    ):
        create_stream(admin, "old")
        interleave(admin, "old", "x", others, burst=burst)
        store, counter = client.object_store("old", create=False), Counter(proxy)
        store.info("x")
        assert counter.cost(lambda: store.read_bytes("x") == CONTENT) <= 2 * 32 + 6
        assert counter.cost(lambda: store.verify("x").ok) <= 2 * 32 + 6
        assert store.read_range("x", 3_000_000, 3_500_000) == CONTENT[3_000_000:3_500_000]


def test_everything_without_direct_gets(client: Client) -> None:
    create_stream(client, "slow-reads")
    store = client.object_store("slow-reads")
    try:
        fill(store)
        for what, read in reads(store).items():
            assert read(), what
        assert watched(store) == len(SMALL) + 2  # and a tombstone
    finally:
        client.delete_store(store.name)


def test_a_second_delete_does_not_look_at_all_objects_again(client: Client, proxy: Proxy) -> None:
    """Only at the records that were stored since."""
    create_stream(client, "deleting")
    try:
        client.object_store("deleting").put_many(SMALL.items())
        with objstore.connect(proxy.url) as far:
            store, counter = far.object_store("deleting", create=False), Counter(proxy)
            assert store.delete("small 1")
            assert counter.cost(lambda: store.delete("small 2")) <= 10
    finally:
        client.delete_store("deleting")


# --- accounts that import JetStream


@contextmanager
def imported(response: str, *, crossing: bool, timeout: float = 20) -> Iterator[ObjectStore]:
    """A bucket of another account.

    Arguments:
        response: the kind of response that the export states, or nothing.
        crossing: whether what a consumer sends crosses from account to account.
        timeout: of the client, in seconds.
    """
    exports, imports = "", ""
    if crossing:
        exports = '{service: "$JS.FC.>"}, {stream: "_WATCH.>"}'
        imports = (
            '{service: {account: OWNER, subject: "$JS.FC.>"}}, '
            '{stream: {account: OWNER, subject: "_WATCH.>"}}'
        )
    kind = f", response: {response}" if response else ""
    config = f"""accounts {{
      OWNER {{ jetstream: enabled, users: [{{user: owner, password: p}}],
        exports: [{{service: "$JS.API.>"{kind}}}, {{service: "$O.>"}}, {exports}] }}
      APP {{ users: [{{user: app, password: p}}], imports: [
        {{service: {{account: OWNER, subject: "$JS.API.>"}}, to: "JS.owner.API.>"}},
        {{service: {{account: OWNER, subject: "$O.>"}}}}, {imports}] }}
    }}"""
    with ExitStack() as resources:
        server = resources.enter_context(LocalServer(config=config))
        address = f"127.0.0.1:{server.port}"
        owner = resources.enter_context(objstore.connect(f"nats://owner:p@{address}"))
        fill(owner.object_store("b"))
        connection = Connection(f"nats://app:p@{address}", timeout=timeout, inbox_prefix="_WATCH")
        client = resources.enter_context(Client(connection, api_prefix="JS.owner.API"))
        yield client.object_store("b", create=False)


@pytest.mark.parametrize("response", ["", "singleton", "stream", "chunked"])
def test_the_bucket_of_another_account(response: str) -> None:
    """With one answer for each request, too: no call waits for a time-out, which none outlives."""
    with imported(response, crossing=True, timeout=10 * PATIENCE) as store:
        store.put("y", CONTENT, chunk_size=100_000)
        assert store.put("y", b"1").chunks == 1
        assert store.delete("y")
        for what, read in reads(store).items():
            assert Background(read).get(), what
        # The tombstone of y is gone with the garbage; that of the copy came after it.
        assert watched(store) == len(SMALL) + 2


@pytest.mark.needs_server("2.11")
def test_single_answers_are_noticed_once() -> None:
    with imported("", crossing=False) as store:
        assert store.read_bytes("x") == CONTENT
        assert store._handle.records.access.single
    with imported("stream", crossing=False) as store:
        assert store.read_bytes("x") == CONTENT
        assert not store._handle.records.access.single


def test_a_watch_that_cannot_hear_says_what_is_missing() -> None:
    with imported("", crossing=False) as store:
        with pytest.raises(APIError, match=r"export the stream _WATCH\.>"):
            store.watch()
        with pytest.raises(APIError, match="does not reach this account"):
            store.watch(updates_only=True)


# --- servers with small limits


@pytest.mark.parametrize(
    "limits",
    [
        "max_payload: 1048576\nmax_pending: 1048576\n",
        "max_payload: 131072\nmax_pending: 524288\n",
    ],
)
def test_a_server_that_cuts_off_who_asks_for_much(limits: str) -> None:
    """Reading goes on in smaller steps; the next read begins with them."""
    with LocalServer(config=limits) as server, objstore.connect(server.url) as client:
        store = client.object_store("b")
        big = CONTENT * 3  # more than the 8 MiB that are asked for at first
        store.put("large chunks", big)
        assert store.read_bytes("large chunks") == big
        assert store.delete("large chunks")
        store.put("big", big, chunk_size=96 << 10)
        fill(store)
        for _ in range(2):
            assert store.read_bytes("big") == big
            for what, read in reads(store).items():
                if what != "list":
                    assert read(), what
            assert watched(store) > len(SMALL)
        # When it is cut off is chance, for that depends on how fast it reads. But what was learned
        # holds: each time it asks for a quarter, of 8 MiB at first, down to one chunk at a time.
        assert client.connection.session.connects <= 1 + 4


def test_what_a_server_allows_is_forgotten_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    info = {"server_id": "A"}
    limit = ReadLimit(lambda: info)
    assert limit.bytes == read_limit.MOST
    limit.broke(read_limit.MOST)
    assert limit.bytes == read_limit.MOST // read_limit.STEP
    limit.broke(1)
    assert limit.bytes == 1
    info["server_id"] = "B"
    assert limit.bytes == read_limit.MOST
    limit.broke(100)
    assert limit.bytes == 100 // read_limit.STEP
    now = time.monotonic()
    monkeypatch.setattr("objstore.wire.jetstream.read_limit.time.monotonic", lambda: now + 3601)
    assert limit.bytes == read_limit.MOST


def test_a_limit_of_subscriptions() -> None:
    """The connection lives on; who subscribes gets the server's own words."""
    with (
        LocalServer(config="max_subscriptions: 1\n") as server,
        objstore.connect(server.url, timeout=20) as client,
    ):
        store = client.object_store("b")
        store.put("x", b"1")
        with pytest.raises(PermissionDeniedError, match="maximum subscriptions exceeded"):
            store.watch()
        with pytest.raises(PermissionDeniedError, match="maximum subscriptions exceeded"):
            client.connection.subscribe("a", callback=print)
        assert store.read_bytes("x") == b"1"


def test_a_limit_of_subscriptions_that_leaves_none_for_answers() -> None:
    with (
        LocalServer(config="max_subscriptions: 1\n") as server,
        objstore.connect(server.url, timeout=20) as client,
    ):
        other = client.connection.subscribe("a", callback=print)
        with pytest.raises(PermissionDeniedError, match="maximum subscriptions exceeded"):
            client.object_store("b")
        client.connection.unsubscribe(other)
        assert client.object_store("b").put("x", b"1").size == 1


def test_a_line_that_is_too_long_for_a_server() -> None:
    """The server ends the connection; asking again and again would not help."""
    with (
        LocalServer(config="max_control_line: 512\n") as server,
        objstore.connect(server.url) as client,
    ):
        store = client.object_store("b")
        store.put("x", b"1")
        before = client.connection.session.connects
        with pytest.raises(ConnectionLostError, match="maximum control line exceeded"):
            store.info("n" * 500)
        assert client.connection.session.connects - before < 6
        assert store.read_bytes("x") == b"1"


def test_chunks_are_no_larger_than_the_stream_takes(client: Client) -> None:
    create_stream(client, "short", max_msg_size=60_000)
    store = client.object_store("short")
    try:
        assert store.put("x", CONTENT[:400_000]).chunks == 7
        assert store.read_bytes("x") == CONTENT[:400_000]
        with pytest.raises(BucketConfigError, match="max_msg_size"):
            store.put("y", b"1", description="d" * 70_000)
    finally:
        client.delete_store("short")


def test_an_inbox_that_is_not_allowed() -> None:
    users = [
        {"user": "u", "password": "p", "permissions": {"subscribe": ["u.inbox.>"]}},
    ]
    config = f"accounts {{ A {{ jetstream: enabled, users: {json.dumps(users)} }} }}"
    with LocalServer(config=config) as server:
        url = f"nats://u:p@127.0.0.1:{server.port}"
        with (
            objstore.connect(url, timeout=20) as client,
            pytest.raises(PermissionDeniedError, match=r"inbox_prefix="),
        ):
            client.object_store("b")
        with Client(Connection(url, inbox_prefix="u.inbox")) as client:
            store = client.object_store("b")
            store.put("x", b"1")
            assert watched(store) == 1
