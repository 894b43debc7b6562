"""How much may be asked for at once: direct gets have no flow control."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

__all__ = ["MOST", "ReadLimit"]

#: Bytes that may be under way to this client. A server cuts off a client for which it holds more
#: than its ``max_pending`` (64 MiB, unless configured), or that stops reading for its
#: ``write_deadline`` (10 s) with 8 MiB on the way.
MOST = 8 << 20

#: By how much the limit falls when the connection breaks under what was asked for. In quarters it
#: takes four connections to come from 8 MiB to one message of 128 KiB; in halves it took seven.
STEP = 4

#: How long that is remembered, in seconds. It may have been the network, and not the server.
MEMORY = 3600.0


class ReadLimit:
    """What is known of how much a server lets this client ask for at once.

    Nobody says that a client was cut off for what was pending: its connection just ends. So any
    connection that breaks under a large answer lowers the limit, for that server and an hour.

    Arguments:
        server_info: gives what the present server said of itself.
    """

    def __init__(self, server_info: Callable[[], dict[str, Any]]) -> None:
        self._server_info = server_info
        self._bytes = MOST
        self._server: object = None  # whose connection broke
        self._until = 0.0

    @property
    def bytes(self) -> int:
        """Number of bytes that may be under way; one message may be more."""
        if self._bytes == MOST:
            return MOST
        other = self._server_info().get("server_id") != self._server
        if other or time.monotonic() >= self._until:
            self._bytes = MOST
        return self._bytes

    def broke(self, asked: int) -> None:
        """Note that the connection broke while so many bytes were under way."""
        self._server = self._server_info().get("server_id")
        self._until = time.monotonic() + MEMORY
        # Not by what was allowed: of that little may have been asked for.
        self._bytes = min(self._bytes, max(1, asked // STEP))
