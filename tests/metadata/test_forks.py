"""A forked child waits for no thread of its parent's."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from objstore import ObjectStore
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


@pytest.mark.parametrize("seen", ["_names", "tombstones"])
def test_a_thread_was_looking_through_the_bucket(seen: str, store: ObjectStore) -> None:
    """As the first delete does, which may take a while, or a put into a full bucket."""
    store.put("x", b"1")
    lock_holder = getattr(store._handle.records, seen)
    with held(lock_holder.lock):
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(int(PATIENCE))  # ends it where it hangs
            status = 1
            try:
                with lock_holder.lock:
                    status = not store.delete("x")
            finally:
                os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert "x" not in store
