"""``shared_client``: the one client of a process for the same servers and options."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future
from typing import Any

from objstore.client import Client
from objstore.connecting import connect
from objstore.errors import ReentrantCallError
from objstore.wire.connection import forks

__all__ = ["shared_client"]


def shared_client(servers: str | Sequence[str] | None = None, **connect_options: Any) -> Client:
    """Return the process's one client for these servers and options.

    The first call connects, for all threads that come meanwhile; later ones return the same client
    as long as it is not closed. A forked child, such as a prefork server's worker, makes one of its
    own at its first call. What is still open at the interpreter's exit is closed then. So nobody
    needs to close it; who does, does so for all, and the next call makes another.

    The options are told apart by their values, an ``ssl.SSLContext`` by which one it is; and the
    environment's variables that :func:`connect` reads count as well. A call that fails is not
    remembered: threads that waited for it fail with it, and the next one dials again.

    Arguments:
        servers, connect_options: as for :func:`connect`.

    Returns:
        The client. To leave a with-block of it closes it for all.

    Raises:
        ReentrantCallError: a signal handler interrupts its own thread while that connects.
        And as :func:`connect`.
    """
    return _clients.get(servers, connect_options)


class _SharedClients:
    """The clients of this process, each by what it was made of."""

    def __init__(self) -> None:
        self._inherited: list[Future[Client]] = []
        self._begin()
        forks.register(self)
        atexit.register(self.close)

    def _begin(self) -> None:
        self._lock = threading.RLock()  # a signal handler may interrupt its holder
        # With each what its key stands for, so that no other object takes its identity.
        self._made: dict[object, tuple[Future[Client], object]] = {}
        self._makers: dict[object, int] = {}  # which thread connects

    def after_fork(self) -> None:
        """Leave the parent's clients alone, until the end: to drop an open one warns."""
        self._inherited += [future for future, _ in self._made.values()]
        self._begin()

    def get(self, servers: str | Sequence[str] | None, options: dict[str, Any]) -> Client:
        """Return the client; the first who comes connects it, and the others wait."""
        key = _key(servers, options)
        mine: Future[Client] = Future()
        with self._lock:
            # Under the lock only who connects is decided: to connect may take a while.
            found, _ = self._made.get(key, (mine, None))
            if found.done() and found.result().connection.is_closed:
                found = mine
            if found is mine:
                self._made[key] = mine, (servers, options)
                self._makers[key] = threading.get_ident()
            elif not found.done() and self._makers.get(key) == threading.get_ident():
                raise ReentrantCallError(
                    "shared_client() was called by a signal handler that interrupts the same"
                )
        if found is mine:
            self._make(key, mine, servers, options)
        try:
            return found.result()
        except CancelledError:  # Ctrl-C hit who was connecting, not who waits
            return self.get(servers, options)

    def _make(
        self,
        key: object,
        mine: Future[Client],
        servers: str | Sequence[str] | None,
        options: dict[str, Any],
    ) -> None:
        try:
            mine.set_result(connect(servers, **options))
        except BaseException as error:
            with self._lock:
                self._made.pop(key, None)
            if not isinstance(error, Exception):
                mine.cancel()
                raise
            mine.set_exception(error)

    def close(self) -> None:
        """Close all, at the interpreter's exit."""
        made = [future for future, _ in list(self._made.values())]
        for future in (*self._inherited, *made):
            if future.done() and future.exception() is None:
                future.result().close()


def _key(servers: str | Sequence[str] | None, options: dict[str, Any]) -> object:
    """Make what tells one client from another: the servers, the options and the environment."""
    several = tuple(servers) if isinstance(servers, (list, tuple)) else servers
    # What connect() reads: with other variables it is another server, or another login.
    environment = sorted(item for item in os.environ.items() if item[0].startswith("NATS_"))
    given = tuple((name, _identity(options[name])) for name in sorted(options))
    return (_identity(several), tuple(environment), given)


def _identity(value: object) -> tuple[str, object]:
    """Return a value with its type, for True is not 1; or which object it is."""
    try:
        hash(value)
    except TypeError:
        return "", id(value)
    return type(value).__name__, value


_clients = _SharedClients()
