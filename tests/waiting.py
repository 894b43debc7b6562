"""Waiting for what the server does in its own time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(look: Callable[[], T], timeout: float = 30) -> T:
    """Look until there is something to see, and return it; fail after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"nothing to see in {timeout} s; the last look gave {seen!r}")
        pause.wait(0.01)
    return seen
