"""What each client of the comparison can be asked to do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

__all__ = ["MIME", "AsyncPeer", "Peer", "address_of"]

#: The media type of all that is put: every tool stores one, and a record with it takes longer.
MIME = "application/octet-stream"

_T = TypeVar("_T")


class Peer(Protocol):
    """A client of one bucket.

    Whatever is timed is asked for in batches, one call for many objects: what crosses from
    blocking code into an event loop, or into another process, then costs it nothing to speak of.
    Names are put once: nobody has to clear away an old object in the time that is taken.
    """

    name: str

    def prepare(self, data: bytes) -> None:
        """Get these bytes to where they can be put from. Not timed."""

    def put(self, names: Sequence[str], data: bytes) -> None:
        """Put the same bytes under each name, one after the other."""

    def get(self, names: Sequence[str]) -> int:
        """Read whole objects into memory, one after the other; the number of bytes."""

    def info(self, names: Sequence[str]) -> None:
        """Read the metadata of objects, one after the other."""

    def list(self) -> int:
        """List the bucket; the number of objects."""

    def close(self) -> None:
        """End it."""


def address_of(url: str) -> tuple[str, int, str]:
    """Host, port and token of a LocalServer's address."""
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 4222, parts.username or ""


class AsyncPeer:
    """A client that needs an event loop: it runs in a thread of its own, idle between calls."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, _T], timeout: float = 60.0) -> _T:
        """Run it in the loop and wait for its result.

        Raises:
            TimeoutError: there was none after so many seconds; natsrpy and nats-py can wait
                for ever where messages were lost.
        """
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result(timeout)
        except TimeoutError:
            future.cancel()
            raise TimeoutError(f"no answer in {timeout:g} s") from None

    def prepare(self, data: bytes) -> None:
        """The bytes are there."""

    def stop(self) -> None:
        """End the loop."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
