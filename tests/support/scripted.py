"""What the tests of the wire share: waiting with a deadline, and servers that follow a script."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import objstore
from tests.support.listener import Listener
from tests.support.waiting import PATIENCE as PATIENCE
from tests.support.waiting import eventually as eventually


def open_sockets() -> set[str]:
    """The sockets that this process has open."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{name}")
            if target.startswith("socket:"):
                found.add(target)
    return found


def objstore_threads() -> set[threading.Thread]:
    """The threads that this package has started and that live."""
    return {each for each in threading.enumerate() if each.name.startswith("objstore")}


def free_port() -> int:
    """A port of the loopback on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def run_python(program: str, *arguments: str, warnings: bool = True) -> str:
    """Run a program in a process of its own.

    Returns:
        What it wrote on both outputs; its status is 0.
    """
    flags = ["-X", "dev", "-W", "error"] if warnings else []
    root = str(Path(objstore.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, *flags, "-c", program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        env={**os.environ, "PYTHONPATH": root},
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


class Background:
    """A function in a thread, whose result or error is had in the end."""

    def __init__(self, function: Callable[..., object], *arguments: Any, **named: Any) -> None:
        self.result: object = None
        self.error: BaseException | None = None
        self._call = (function, arguments, named)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        function, arguments, named = self._call
        try:
            self.result = function(*arguments, **named)
        except BaseException as error:
            self.error = error

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._thread.is_alive()

    def join(self) -> None:
        """Wait for its end, whatever that is."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "a background function hangs"

    def get(self) -> object:
        """Wait for its result; an error is raised."""
        self.join()
        if self.error is not None:
            raise self.error
        return self.result


class Peer:
    """One connection of a scripted server."""

    def __init__(self, sock: socket.socket, info: dict[str, Any]) -> None:
        self.sock = sock
        self._lines = sock.makefile("rb")
        self.info = info

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.sock.sendall(data)

    def line(self) -> bytes:
        """The next line of the client's, without its end.

        Raises:
            ConnectionError: the client closed.
        """
        line = self._lines.readline()
        if not line.endswith(b"\n"):
            raise ConnectionError("the client closed")
        return line.rstrip(b"\r\n")

    def greet(self, **fields: Any) -> None:
        """Send INFO."""
        self.send(b"INFO " + json.dumps({**self.info, **fields}).encode() + b"\r\n")

    def accept(self, **fields: Any) -> dict[str, Any]:
        """Greet, and take whatever login comes; returns what CONNECT held."""
        connect = self.accept_without_pong(**fields)
        self.send(b"PONG\r\n")
        return connect

    def accept_without_pong(self, **fields: Any) -> dict[str, Any]:
        """As :meth:`accept`, but for the last word."""
        self.greet(**fields)
        verb, _, connect = self.line().partition(b" ")
        assert verb == b"CONNECT"
        assert self.line() == b"PING"
        result: dict[str, Any] = json.loads(connect)
        return result

    def until(self, pattern: bytes) -> re.Match[bytes]:
        """Read lines up to one of a form."""
        while True:
            if match := re.fullmatch(pattern, self.line()):
                return match

    def serve(self, seen: list[bytes] | None = None) -> None:
        """Answer PING until the client closes; note all lines that come."""
        while True:
            line = self.line()
            if seen is not None:
                seen.append(line)
            if line == b"PING":
                self.send(b"PONG\r\n")

    def hold(self) -> None:
        """Read nothing, say nothing, until the server is closed."""
        self._held.wait(PATIENCE)

    _held: threading.Event

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self._lines.close()
        self.sock.close()


Script = Callable[[Peer], object]


class ScriptedServer:
    """A server on the loopback that follows a script on each connection.

    Arguments:
        scripts: for the first connection, the second …; the last one for all that follow. A
            connection is closed when its script ends.
        receive_buffer: of the kernel, in bytes; a small one is soon full.

    Attributes:
        connections: how many there have been.
    """

    def __init__(self, *scripts: Script, receive_buffer: int | None = None) -> None:
        self.connections = 0
        self.errors: list[BaseException] = []
        self._scripts = scripts
        self._peers: list[Peer] = []
        self._listener = Listener(self._welcome, buffer=receive_buffer or 0)
        self.port = self._listener.port
        self.url = f"nats://127.0.0.1:{self.port}"
        self._listener.open()

    def _welcome(self, sock: socket.socket) -> None:
        script = self._scripts[min(self.connections, len(self._scripts) - 1)]
        self.connections += 1
        peer = Peer(sock, {"server_id": "S", "max_payload": 1 << 20, "headers": True})
        peer._held = self._listener.closing
        self._peers.append(peer)
        self._listener.start(self._follow, script, peer)

    def _hang_up(self) -> None:
        for peer in self._peers:
            with contextlib.suppress(OSError):
                peer.sock.shutdown(socket.SHUT_RDWR)

    def _follow(self, script: Script, peer: Peer) -> None:
        try:
            script(peer)
        except (OSError, ValueError):
            pass  # the client closed, or the test is over
        except BaseException as error:
            self.errors.append(error)
        finally:
            peer.close()

    def __enter__(self) -> ScriptedServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.close(self._hang_up)
        if self.errors and error is None:
            raise self.errors[0]


def message(subject: bytes, sid: int, payload: bytes, *, reply: bytes = b"") -> bytes:
    """A MSG as a server sends it."""
    return b"MSG %b %d %b %d\r\n%b\r\n" % (subject, sid, reply, len(payload), payload)


@contextlib.contextmanager
def connected(url: str | Sequence[str], **options: Any) -> Iterator[objstore.Connection]:
    """A connection for the time of a block."""
    with objstore.Connection(url, **options) as connection:
        yield connection
