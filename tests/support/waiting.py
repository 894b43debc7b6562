"""Waiting for what happens in its own time: in a server, a thread, another process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from objstore import Client

__all__ = ["PATIENCE", "eventually", "make_impatient"]

T = TypeVar("T")

#: Seconds, against hanging only: nothing takes this long, on the busiest machine.
PATIENCE = 120.0


def eventually(condition: Callable[[], T], what: str = "it") -> T:
    """Look until there is something to see, and return it."""
    deadline = time.monotonic() + PATIENCE
    while not (seen := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen in {PATIENCE:g} s: {seen!r}"
        time.sleep(0.002)
    return seen


def make_impatient(client: Client, seconds: float) -> None:
    """From now on a client takes silence for a fault that soon.

    It was connected, and its buckets were found, in peace: those must not fail on a busy machine.
    """
    client._jetstream.timeout = client.connection.timeout = seconds
