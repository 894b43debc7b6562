"""A forked child waits for no thread of its parent's."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from objstore import Client, ObjectStore
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
