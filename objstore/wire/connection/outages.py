"""The log lines and events of a connection that is lost, still away, and back."""

from __future__ import annotations

import logging
import threading
import time
from typing import Protocol

from objstore.wire.connection.dial import Link

__all__ = ["HASTY", "Listener", "Outages"]

LOG = logging.getLogger("objstore")

#: How often repeated lines are logged, in seconds: that there is no connection, and that one was
#: lost that lasted no longer than :data:`HASTY`.
LOG_EVERY = 60.0

#: A connection that ends within so many seconds was accepted by the server only to be closed.
HASTY = 1.0


class Listener(Protocol):
    """Is called when a connection is lost and when it is back; must not block."""

    def disconnected(self, server: str, error: BaseException | None) -> None:
        """Note that the connection to a server was lost."""

    def reconnected(self, server: str, seconds: float) -> None:
        """Note that there is a connection again, after so many seconds."""


class Outages:
    """Logs that a connection is lost, still away, and back, and calls a listener.

    Only the reader thread calls it.

    Arguments:
        listener: is called, too; None: there is none.
        patience: how long calls wait for the connection, in seconds.
    """

    def __init__(self, listener: Listener | None, patience: float) -> None:
        self._listener = listener
        self._patience = patience
        self._since = 0.0
        self._said = self._returned = -LOG_EVERY
        self._level = logging.WARNING

    def begin(self, link: Link, cause: BaseException | None) -> None:
        """Note that a connection was lost."""
        self._since = now = time.monotonic()
        # A server that takes connections only to end them must not fill the log.
        again = now - self._returned < HASTY and now - self._said < LOG_EVERY
        # At the interpreter's exit its own server goes, and nobody waits any more.
        is_exit = not threading.main_thread().is_alive()
        is_news = not (again or is_exit or link.ended_here)
        self._level = logging.WARNING if is_news else logging.INFO
        self._said = now if is_news else self._said
        meanwhile = f"wait up to {self._patience:g} s for it" if self._patience else "fail"
        LOG.log(
            self._level,
            "lost the connection to %s: %s; reconnecting, and meanwhile calls %s",
            link.server.url,
            cause,
            meanwhile,
        )
        if self._listener is not None:
            self._listener.disconnected(link.server.url, cause)

    def go_on(self, cause: BaseException) -> None:
        """Note that one more attempt to connect has failed; the log says so once a minute."""
        LOG.debug("reconnecting: %s", cause)
        now = time.monotonic()
        if now - max(self._since, self._said) >= LOG_EVERY:
            self._said = now
            LOG.warning(
                "no connection for %.0f s: %s; see whether the server runs and takes this login",
                now - self._since,
                cause,
            )

    def end(self, server: str) -> None:
        """Note that there is a connection again."""
        self._returned = time.monotonic()
        seconds = self._returned - self._since
        message = "reconnected to %s after %.1f s; calls that waited go on"
        LOG.log(self._level, message, server, seconds)
        if self._listener is not None:
            self._listener.reconnected(server, seconds)
