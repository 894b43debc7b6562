"""Events handed to whoever asked for them by ``on_event=``.

What a call does is told in its own thread, where a tracer finds the span that it belongs to, and
no lock of the connection is held there: the function may use the client. What happens to the
connection is told on a thread of its own, for the reader thread must never run a user's code.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from contextvars import ContextVar

from objstore.errors import InvalidOptionError
from objstore.events import Disconnected, Event, Reconnected, Request, Retry, SlowServer
from objstore.wire.codec.protocol import Message
from objstore.wire.connection.callbacks import CallbackThread
from objstore.wire.connection.requests import Inbox, PendingReply
from objstore.wire.connection.session import Session

__all__ = ["ObservedReply", "Observer"]

LOG = logging.getLogger("objstore")

#: A function that fails with each event is logged so often, in seconds.
LOG_EVERY = 60.0

#: An answer that takes longer is told of as slow, in seconds.
SLOW = 1.0

#: What the events' function does itself is not told: it would go round in a circle. A context
#: variable, not a thread's: greenlets take turns in one thread.
_telling: ContextVar[bool] = ContextVar("objstore_telling", default=False)


class Observer:
    """Calls a function with events, whose failures go no further than the log.

    Arguments:
        callback: the function.

    Attributes:
        session: whose events these are; None: it has not connected yet.

    Raises:
        InvalidOptionError: it cannot be called.
    """

    session: Session | None = None

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

    def tell_from_anywhere(self, event: Event) -> None:
        """Call the function in this thread, or in the events' thread where it could not wait.

        That is where a finalizer or a signal handler has interrupted a call of the client. (What
        has asked the server something just now is in no such place, and spares itself the look.)
        """
        if self.session is not None and self.session.is_reentrant:
            self.tell_later(event)
        else:
            self.tell(event)

    def tell_later(self, event: Event) -> None:
        """Call the function in the events' thread, after all that was told there before."""
        if not _telling.get():
            self._thread.put(self.tell, event, 0)

    def new_reply(self, inbox: Inbox, session: Session, subject: str) -> PendingReply:
        """Make what waits for a reply and tells when it has come."""
        return ObservedReply(self, inbox, session, subject)

    def retry(
        self,
        operation: str,
        error: BaseException,
        *,
        bucket: str = "",
        name: str = "",
        subject: str = "",
    ) -> None:
        """Tell that something is tried again; as :class:`~objstore.events.Retry`."""
        self.tell(Retry(operation, bucket, name, subject, error))

    def slow(self, subject: str, seconds: float) -> None:
        """Tell that an answer is late."""
        self.tell(SlowServer(subject, seconds))

    def disconnected(self, server: str, error: BaseException | None) -> None:
        """Tell of the end of a connection; never blocks."""
        self.tell_later(Disconnected(server, error))

    def reconnected(self, server: str, seconds: float) -> None:
        """Tell of a connection's return; never blocks."""
        self.tell_later(Reconnected(server, seconds))

    def tell(self, event: Event) -> None:
        """Call the function in this thread, which holds no lock of the connection."""
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


class ObservedReply(PendingReply):
    """A request under way that an observer is told of: when it is done, and where that is slow.

    Arguments:
        observer: that.
        inbox, session, subject: as of :class:`~objstore.wire.connection.requests.PendingReply`.
    """

    __slots__ = ("_begun", "_came", "_observer")

    def __init__(self, observer: Observer, inbox: Inbox, session: Session, subject: str) -> None:
        super().__init__(inbox, session, subject)
        self._observer = observer
        self._begun = time.monotonic()
        self._came: float | None = None

    def deliver(self, message: Message) -> None:
        """Take the reply, and note when it came: it may be looked at much later."""
        if self._came is None:
            self._came = time.monotonic()
        super().deliver(message)

    def result(self, timeout: float) -> Message:
        """Wait for the reply, and tell the observer; as the base class."""
        error: BaseException | None = None
        try:
            self._await(timeout)
            return super().result(timeout)
        except BaseException as failure:
            self.close()
            error = failure
            raise
        finally:
            seconds = (self._came or time.monotonic()) - self._begun
            self._observer.tell(Request(self.subject, seconds, error))
            error = None  # else it would hold this frame, which holds it

    def _await(self, timeout: float) -> None:
        """Wait for the reply, and tell where it is slow.

        Raises:
            RequestTimeoutError: it did not come.
        """
        if not self._lock.acquire(timeout=min(SLOW, timeout)):
            if timeout >= SLOW:
                self._observer.slow(self.subject, time.monotonic() - self._begun)
            if not self._lock.acquire(timeout=max(0.0, timeout - SLOW)):
                raise self._timed_out(timeout)
        # For whoever takes the result; the other of two that come at a time may have released it.
        with contextlib.suppress(RuntimeError):
            self._lock.release()
