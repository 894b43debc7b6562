"""Connecting at the first use, of which many threads may make one at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar, overload

from objstore.errors import ConnectionLostError
from objstore.wire.connection.dial import closed_error, no_connection
from objstore.wire.connection.outbox import Outbox
from objstore.wire.connection.servers import FIRST_PAUSE, LONGEST_PAUSE

__all__ = ["FirstUse", "FromFirstUse"]

_T = TypeVar("_T")


class FirstUse:
    """A gate at which one thread at a time may connect, until :meth:`close`.

    Arguments:
        timeout: how long one attempt takes at most with one server, in seconds.
        patience: how long a use waits for a server that is away, in seconds.
    """

    def __init__(self, timeout: float, patience: float) -> None:
        self._timeout = timeout
        self._patience = patience
        # Kept for threads that only waited: they say why the others' attempts failed.
        self._failure: ConnectionLostError | None = None  # of the last attempt
        self._lock = threading.RLock()  # reentrant, since such a lock knows its owner
        self._closed = threading.Event()

    def after_fork(self) -> None:
        """Make new locks in a forked child: another thread may have held the old ones."""
        closed = self._closed.is_set()
        self._lock, self._closed = threading.RLock(), threading.Event()
        if closed:
            self._closed.set()

    def close(self) -> None:
        """Have whoever waits or comes later raise ConnectionClosedError. Waits for nobody."""
        self._closed.set()

    def reopen(self) -> None:
        """Allow connecting again."""
        self._closed.clear()

    def connect_once(self, connect: Callable[[], _T]) -> _T:
        """Connect by one attempt, and return the connection.

        Arguments:
            connect: makes the connection, or gives the one that there is.

        Raises:
            ConnectionClosedError: it was closed meanwhile.
            ReentrantCallError: this is a signal handler or a finalizer that interrupts the same.
            And what ``connect`` raises.
        """
        self._check_turn()
        with self._lock:
            return self._attempt(connect)

    def connect_patiently(self, connect: Callable[[], _T]) -> _T:
        """Connect, with another attempt where a server is away, and none where it refuses us.

        Arguments:
            connect: as for :meth:`connect_once`.

        Raises:
            ConnectionLostError: no server answered until the patience was over.
            ConnectionClosedError: it was closed.
            ReentrantCallError: this is a signal handler or a finalizer that interrupts the same.
            And what else ``connect`` raises.
        """
        self._check_turn()
        deadline = time.monotonic() + self._patience
        pause, left = FIRST_PAUSE, self._patience
        # An attempt that another thread has begun is waited for in any case.
        while self._lock.acquire(timeout=max(left, self._timeout)):
            try:
                return self._attempt(connect)
            except ConnectionLostError as error:
                if type(error) is not ConnectionLostError:  # closed, TLS, not NATS at all
                    raise
                self._failure = error
            finally:
                self._lock.release()
            left = deadline - time.monotonic()
            if left <= 0:
                break
            # Not time.sleep(): close() ends this wait.
            self._closed.wait(min(left, pause))
            pause = min(2 * pause, LONGEST_PAUSE)
        raise no_connection(self._failure, None, self._patience)

    def _check_turn(self) -> None:
        if self._lock._is_owned():  # type: ignore[attr-defined]
            raise Outbox.reentrant()

    def _attempt(self, connect: Callable[[], _T]) -> _T:
        if self._closed.is_set():
            raise closed_error()
        return connect()

    @property
    def is_closed(self) -> bool:
        """Whether the gate was closed, and not opened again."""
        return self._closed.is_set()


class Lazy(Protocol):
    """An object that connects at its first use."""

    def connect_at_first_use(self) -> None:
        """Connect, and set the attributes of this kind; or raise."""


class FromFirstUse(Generic[_T]):
    """An attribute that is set by the first use, which connects.

    Until then this descriptor is asked for it, and connects. Afterwards the value is in the owner's
    ``__dict__``, where Python finds it without a call: each operation reads it several times.

    Arguments:
        kind: the value's class; for type checkers.
    """

    def __init__(self, kind: type[_T]) -> None:
        self._kind = kind

    # Without __set__, so that Python finds a value in the owner's dict before it asks this.
    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, owner: None, kind: type) -> FromFirstUse[_T]: ...

    @overload
    def __get__(self, owner: Lazy, kind: type) -> _T: ...

    def __get__(self, owner: Lazy | None, kind: type) -> FromFirstUse[_T] | _T:
        if owner is None:
            return self
        owner.connect_at_first_use()
        value: _T = vars(owner)[self._name]
        return value
