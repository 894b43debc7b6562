"""Ctrl-C at the worst moments of a put: nothing hangs, nothing is left, nothing is lost."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

import pytest

from objstore import Client, ObjectStore
from objstore.metadata import commit
from objstore.wire.codec.protocol import Buffer
from objstore.wire.connection.transport import Transport

# A Ctrl-C that strikes in coverage's own code leaves coverage's lock taken, and all stand still.
pytestmark = [pytest.mark.interrupts, pytest.mark.newest_server]

DATA = os.urandom(6 << 20)


@pytest.fixture
def bucket(client: Client, store: ObjectStore) -> ObjectStore:
    """The test's bucket through the test's own client."""
    return client.object_store(store.name)


def messages(store: ObjectStore) -> int:
    return store.status().stream_info.state.messages


def test_while_half_a_chunk_is_sent(
    bucket: ObjectStore, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("x", b"old")
    sent = 0
    whole = Transport.send

    def send(self: Transport, parts: Sequence[Buffer]) -> None:
        nonlocal sent
        if threading.current_thread() is not threading.main_thread():
            return whole(self, parts)  # the answer to a server's PING, at any moment
        sent += 1
        if sent == 8:
            whole(self, [*parts[:-2], memoryview(parts[-2])[:1000]])
            raise KeyboardInterrupt
        return whole(self, parts)

    for _ in range(20):  # without care, one time in ten something is left
        sent = 0
        with monkeypatch.context() as patched:
            patched.setattr(Transport, "send", send)
            with pytest.raises(KeyboardInterrupt):
                bucket.put("x", DATA)
        assert messages(store) == 2
        assert bucket.read_bytes("x") == b"old"  # over the next connection


def test_after_the_commit(bucket: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    bucket.put("x", b"old")
    monkeypatch.setattr(commit, "stored_info", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bucket.put("x", DATA)
    assert bucket.read_bytes("x") == DATA
    info = bucket.info("x")
    assert info is not None
    assert messages(bucket) == info.chunks + 1


def test_conditions_are_entered_by_their_locks(
    bucket: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Condition.__enter__ is Python: interrupted at its end, it leaves the lock locked."""
    enter = threading.Condition.__enter__

    def spy(self: threading.Condition) -> bool:
        if sys._getframe(1).f_globals["__name__"].startswith("objstore."):
            entered.append(sys._getframe(1).f_code.co_name)
        return enter(self)

    entered: list[str] = []
    monkeypatch.setattr(threading.Condition, "__enter__", spy)
    bucket.put("x", DATA)
    bucket._handle.jetstream.connection.reconnect()
    assert bucket.read_bytes("x") == DATA
    assert entered == []


@pytest.fixture
def alarm() -> Iterator[None]:
    """SIGALRM is as Ctrl-C."""

    def interrupt(_number: int, _frame: FrameType | None) -> Any:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


# An interrupt that strikes in a callback of the interpreter's own (the collector's, which calls
# hypothesis) is told as unraisable, and goes no further.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("alarm")
def test_at_any_moment(client: Client, bucket: ObjectStore) -> None:
    for number in range(60):
        name = f"x{number}"
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.0003 * (number + 1))
            bucket.put(name, DATA, chunk_size=128 << 10)
            signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            pass
        info = bucket.info(name)
        assert messages(bucket) == (0 if info is None else info.chunks + 1)
        if info is not None:
            assert bucket.read_bytes(name) == DATA
            client._jetstream.purge(f"OBJ_{bucket.name}", "$O.>")
