"""The thread that runs users' callbacks, alone."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from objstore.wire.connection import callbacks
from objstore.wire.connection.callbacks import OVERHEAD, CallbackThread
from tests.support.scripted import PATIENCE, Background, eventually, objstore_threads

pytestmark = pytest.mark.newest_server


@pytest.fixture
def thread() -> Iterator[CallbackThread[Any]]:
    thread: CallbackThread[Any] = CallbackThread()
    yield thread
    thread.stop(PATIENCE)


def test_starts_late(thread: CallbackThread[Any]) -> None:
    """There is no thread before the first message, and none after stop(); another comes then."""
    before = objstore_threads()
    thread.stop(PATIENCE)
    assert objstore_threads() == before
    for _ in range(3):
        seen: list[int] = []
        for number in range(100):
            thread.put(seen.append, number, 1)
        assert len(objstore_threads() - before) == 1
        thread.stop(PATIENCE)
        assert seen == list(range(100))
        assert objstore_threads() == before


def test_limit(
    thread: CallbackThread[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Beyond the limit messages are dropped, which is logged once for each time it happens; one
    message is always taken, however large; empty ones count, too."""
    monkeypatch.setattr(callbacks, "PENDING_LIMIT", 10 * OVERHEAD)
    for size, room in ((0, 10), (OVERHEAD, 5), (1 << 30, 1)):
        caplog.clear()
        go_on = threading.Event()
        seen: list[int] = []

        def callback(number: int, go_on: threading.Event = go_on, seen: list[int] = seen) -> None:
            assert go_on.wait(PATIENCE)
            seen.append(number)

        for number in range(50):
            thread.put(callback, number, size)
        assert [each.levelno for each in caplog.records] == [logging.WARNING]
        go_on.set()
        eventually(lambda: thread._line.taken == thread._line.given)
        assert seen == list(range(room))
        thread.put(callback, 99, size)
        thread.stop(PATIENCE)
        assert seen[-1] == 99


def test_stop_in_a_callback(thread: CallbackThread[Any]) -> None:
    """stop() in a callback does not wait for itself."""
    stopped = threading.Event()

    def callback(_: object) -> None:
        thread.stop(PATIENCE)
        stopped.set()

    thread.put(callback, None, 0)
    assert stopped.wait(PATIENCE)


def test_forgotten() -> None:
    """What comes after the stop, as a forgotten connection's last messages may, starts a thread
    that ends all the same."""
    before = objstore_threads()
    seen: list[str] = []
    thread: CallbackThread[Any] = CallbackThread()
    thread.put(seen.append, "before", 0)
    thread.stop(PATIENCE)
    thread.put(seen.append, "after", 0)
    del thread
    eventually(lambda: not objstore_threads() - before, "the end of the thread")
    assert seen == ["before", "after"]


def test_stop_does_not_wait_for_ever(thread: CallbackThread[Any]) -> None:
    """A callback that does not end: stop() gives up; what is put then has a thread of its own, and
    no message goes astray."""
    go_on, started = threading.Event(), threading.Event()
    seen: list[str] = []

    def slow(_: object) -> None:
        started.set()
        assert go_on.wait(PATIENCE)

    thread.put(slow, None, 0)
    thread.put(seen.append, "old", 0)
    assert started.wait(PATIENCE)
    thread.stop(0.01)
    thread.put(seen.append, "new", 0)
    thread.stop(PATIENCE)
    assert seen == ["new"]
    go_on.set()
    eventually(lambda: seen == ["new", "old"])


def test_holds_nothing(thread: CallbackThread[Any]) -> None:
    """A message is let go of when its callback has run, not when the next one comes."""
    gone = threading.Event()

    class Message:
        def __del__(self) -> None:
            gone.set()

    thread.put(lambda _: None, Message(), 0)
    gc.collect()
    assert gone.wait(PATIENCE)


def test_many_threads(thread: CallbackThread[Any]) -> None:
    """put() from many threads at once: each one's messages stay in order, none is lost."""
    seen: list[tuple[int, int]] = []

    def work(name: int) -> None:
        for number in range(200):
            thread.put(seen.append, (name, number), 0)

    for each in [Background(work, name) for name in range(8)]:
        each.get()
    thread.stop(PATIENCE)
    for name in range(8):
        assert [number for who, number in seen if who == name] == list(range(200))


def test_after_fork(thread: CallbackThread[Any]) -> None:
    """What waited in the parent is not run in a child: it begins anew."""
    go_on, started = threading.Event(), threading.Event()
    seen: list[str] = []

    def slow(_: object) -> None:
        started.set()
        assert go_on.wait(PATIENCE)

    thread.put(slow, None, 0)
    thread.put(seen.append, "parent's", 0)
    assert started.wait(PATIENCE)
    child: CallbackThread[Any] = CallbackThread()
    child.__dict__.update(thread.__dict__)
    child.after_fork()
    child.put(seen.append, "child's", 0)
    child.stop(PATIENCE)
    assert seen == ["child's"]
    go_on.set()
    eventually(lambda: seen == ["child's", "parent's"])
