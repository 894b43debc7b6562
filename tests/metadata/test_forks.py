"""A forked child waits for no thread of its parent's, and for no answer to it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import objstore
from objstore import Client, LocalServer, ObjectStore
from objstore.metadata.tombstones import make_room
from tests.support.waiting import PATIENCE

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork"),
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
]


@contextmanager
def held(lock: Any) -> Iterator[None]:
    """Hold a lock in another thread, as one that waits for the server's answer under it."""
    is_held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            is_held.set()
            let_go.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    is_held.wait()
    try:
        yield
    finally:
        let_go.set()
        thread.join()


def works(act: Callable[[], object], lock: Any) -> bool:
    """Whether something is done in a child of a process where another thread has a lock."""
    with held(lock):
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(int(PATIENCE))  # ends it where it hangs
            status = 1
            try:
                status = not act()
            finally:
                os._exit(status)
    return os.waitpid(child, 0)[1] == 0


def test_a_thread_was_looking_for_names(store: ObjectStore) -> None:
    """As the first delete does, which may take a while."""
    store.put("x", b"1")
    records = store._handle.records
    assert works(
        lambda: store.delete("x") and records.names_with("nuid") == set(), records._names.lock
    )
    assert "x" not in store


def test_a_thread_was_removing_tombstones(store: ObjectStore) -> None:
    """As a put into a full bucket does."""
    store.put("x", b"1")
    store.delete("x")
    records = store._handle.records
    assert works(lambda: make_room(records), records.tombstones.lock)
    assert store.info("x", include_deleted=True) is None


def test_a_thread_was_opening_a_bucket(store: ObjectStore, client: Client) -> None:
    assert works(lambda: client.object_store(store.name), client._known._lock)


READS: dict[str, Callable[[ObjectStore, list[str]], Iterator[object]]] = {
    "list": lambda store, names: store.list(),
    "get_many": lambda store, names: store.get_many(names),
    "read_ranges": lambda store, names: store.read_ranges((name, 0, 9) for name in names),
}


@pytest.mark.parametrize("read", READS)
def test_the_rest_of_a_read(read: str, server: LocalServer, store: ObjectStore) -> None:
    """The child asks anew for what was under way, at once, whatever the time-out is."""
    names = [f"n{number}" for number in range(300)]
    store.put_many([(name, name.encode()) for name in names])
    with objstore.connect(server.url, timeout=10 * PATIENCE) as client:
        results = READS[read](client.object_store(store.name), names)
        next(results)
        assert works(lambda: len(list(results)) == 299, threading.Lock())
        assert len(list(results)) == 299


def test_what_a_child_closes_of_its_parents(client: Client) -> None:
    """It closes nothing of its own: no token comes twice."""
    inbox = client.connection.inbox
    inherited = inbox.open(print)

    def act() -> bool:
        own = {inbox.open(print).rpartition(".")[2] for _ in range(1000)}
        inbox.close(inherited)
        return own <= inbox._handlers.keys()

    assert works(act, threading.Lock())
    inbox.close(inherited)
