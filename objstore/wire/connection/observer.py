"""Events handed to whoever asked for them by ``on_event=``.

What a call does is told in its own thread, where a tracer finds the span that it belongs to, and
no lock of the connection is held there: the function may use the client. What happens to the
connection is told on a thread of its own, for the reader thread must never run a user's code.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Protocol

from objstore.errors import InvalidOptionError
from objstore.events import Disconnected, Event, Reconnected
from objstore.wire.connection.callbacks import CallbackThread
from objstore.wire.connection.dial import Link

__all__ = ["Observer", "Outages"]

LOG = logging.getLogger("objstore")

#: What happens again and again is logged so often, in seconds: that the events' function fails,
#: and that there is no connection.
LOG_EVERY = 60.0

#: A connection that lasts no longer is lost again, in seconds: that too is logged so often.
HASTY = 1.0

#: What the events' function does itself is not told: it would go round in a circle. A context
#: variable, not a thread's: greenlets take turns in one thread.
_telling: ContextVar[bool] = ContextVar("objstore_telling", default=False)


class Told(Protocol):
    """What an observer wants to know of a session."""

    @property
    def is_reentrant(self) -> bool:
        """Whether this thread must not wait for the server."""

    @property
    def server_url(self) -> str | None:
        """Address of the server connected to, or None."""


class Observer:
    """Calls a function with events, whose failures go no further than the log.

    Arguments:
        callback: the function.

    Attributes:
        session: whose events these are; None: it has not connected yet.

    Raises:
        InvalidOptionError: it cannot be called.
    """

    session: Told | None = None

    def __init__(self, callback: Callable[[Event], object]) -> None:
        if not callable(callback):
            raise InvalidOptionError(
                f"on_event is {callback!r}; it must be a function of one event"
            )
        self._callback = callback
        self._thread: CallbackThread[Event] = CallbackThread("objstore-events")
        self._logged = -LOG_EVERY
        self._failures = 0  # since then

    def after_fork(self) -> None:
        """Begin anew in a forked child."""
        self._thread.after_fork()

    def stop(self, timeout: float) -> None:
        """Tell what is still to be told, then end; waits at most ``timeout`` seconds for that."""
        self._thread.stop(timeout)

    @property
    def server(self) -> str:
        """The address of the server connected to, or ``""``."""
        return "" if self.session is None else self.session.server_url or ""

    def tell(self, event: Event) -> None:
        """Call the function in this thread; in the events' thread where it could not wait.

        That is where a finalizer or a signal handler has interrupted a call of the client.
        """
        if self.session is not None and self.session.is_reentrant:
            self.tell_later(event)
        else:
            self._call(event)

    def tell_later(self, event: Event) -> None:
        """Call the function in the events' thread, after all that was told there before."""
        if not _telling.get():
            self._thread.put(self._call, event, 0)

    def disconnected(self, server: str, error: BaseException | None) -> None:
        """Tell of the end of a connection; never blocks."""
        self.tell_later(Disconnected(server, error))

    def reconnected(self, server: str, seconds: float) -> None:
        """Tell of a connection's return; never blocks."""
        self.tell_later(Reconnected(server, seconds))

    def _call(self, event: Event) -> None:
        if _telling.get():
            return
        token = _telling.set(True)
        try:
            self._callback(event)
        except Exception:  # noqa: BLE001 - logged; Ctrl-C is for whoever waits for the call
            self._failed(event)
        finally:
            _telling.reset(token)

    def _failed(self, event: Event) -> None:
        """Log a failure, and not each of thousands."""
        self._failures += 1
        now = time.monotonic()
        if now - self._logged >= LOG_EVERY:
            LOG.exception(
                "on_event failed with %s, and %d times before; the transfer goes on",
                type(event).__name__,
                self._failures - 1,
            )
            self._logged, self._failures = now, 0


class Outages:
    """Logs, and tells an observer, that a connection is lost, still away, and back.

    Only the reader thread calls it.

    Arguments:
        observer: is told; None: nobody is.
        patience: how long calls wait for the connection, in seconds.
    """

    def __init__(self, observer: Observer | None, patience: float) -> None:
        self._observer = observer
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
        if self._observer is not None:
            self._observer.disconnected(link.server.url, cause)

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
        if self._observer is not None:
            self._observer.reconnected(server, seconds)
