"""Hold up threads at random, so that a test which takes their order for granted fails.

A pytest plugin, ``python -m pytest -p tests.support.shaken --shake 1 tests/wire``: half of the
threads begin up to 50 ms late, and one in 50 calls of a socket waits up to 10 ms, before or after.
Another number shakes otherwise. A fault that a busy machine shows once in 200 runs shows itself in
every other one so. Interpreters that a test starts are not shaken.
"""

from __future__ import annotations

import os
import random
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

CALLS = "connect", "recv", "recv_into", "send", "sendall", "sendmsg"

_sleep = time.sleep  # which some tests replace


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--shake NUMBER``: what the random delays begin from."""
    parser.addoption("--shake", type=int, default=1, metavar="NUMBER", help="the delays' seed")


def pytest_configure(config: pytest.Config) -> None:
    """Shake all that follows, each of the processes in its own way."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    chance = random.Random(f"{config.getoption('--shake')} {worker}")
    for name in CALLS:
        setattr(socket.socket, name, _held_up(getattr(socket.socket, name), chance))
    setattr(threading.Thread, "start", _late(threading.Thread.start, chance))  # noqa: B010
    sys.setswitchinterval(1e-4)


def _held_up(call: Callable[..., Any], chance: random.Random) -> Callable[..., Any]:
    """Return a socket's method that now and then waits before it, after it, or both."""

    def wait() -> None:
        if chance.random() < 0.02:
            _sleep(chance.random() * 0.01)

    def shaken(sock: socket.socket, *arguments: Any) -> Any:
        wait()
        try:
            return call(sock, *arguments)
        finally:
            wait()

    return shaken


def _late(start: Callable[[threading.Thread], None], chance: random.Random) -> Callable[..., None]:
    """Return Thread.start, after which the thread is there, but half of them do nothing yet."""

    def shaken(thread: threading.Thread) -> None:
        run = thread.run
        delay = chance.random() * 0.05 if chance.random() < 0.5 else 0.0

        def later() -> None:
            _sleep(delay)
            run()

        thread.run = later  # type: ignore[method-assign]
        start(thread)

    return shaken
