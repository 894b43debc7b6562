"""A port on the loopback that takes connections, for what stands in for a server."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

from tests.support.waiting import PATIENCE

__all__ = ["Listener"]


class Listener:
    """Takes connections in a thread, from :meth:`open` to :meth:`close`.

    Arguments:
        welcome: what is done with each connection; what takes time is to be started.
        buffer: to receive into, in bytes, in the kernel; 0: the system's.

    Attributes:
        port: where it listens.
        closing: set when the end has begun.
    """

    def __init__(self, welcome: Callable[[socket.socket], object], *, buffer: int = 0) -> None:
        self.closing = threading.Event()
        self._welcome = welcome
        self._threads: list[threading.Thread] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        if buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.port: int = self._socket.getsockname()[1]

    def open(self) -> None:
        """Take connections from now on."""
        self.start(self._accept)

    def start(self, function: Callable[..., object], *arguments: object) -> None:
        """Run a function in a thread whose end :meth:`close` waits for."""
        thread = threading.Thread(target=function, args=arguments, name="listener", daemon=True)
        self._threads.append(thread)
        thread.start()

    def close(self, hang_up: Callable[[], object]) -> None:
        """Take no more, and wait for all threads.

        Arguments:
            hang_up: ends the connections, so that the threads end.
        """
        self.closing.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._threads[0].join(PATIENCE)  # it takes no connection after those that are ended
        hang_up()
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._welcome(connection)
