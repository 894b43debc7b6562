"""A web client that costs little: its own time is in all figures alike."""

from __future__ import annotations

import socket
from collections.abc import Mapping

__all__ = ["Browser"]


class Browser:
    """A connection to a web server, which is used again.

    Arguments:
        port: of the server, on this computer.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = memoryview(bytearray(1 << 20))

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def get(self, path: str, headers: Mapping[str, str]) -> tuple[int, int]:
        """Ask for something and read all of it: the status, and the body's length.

        Arguments:
            path: what is asked for.
            headers: of the request.
        """
        lines = [f"GET {path} HTTP/1.1", "Host: bench", *(f"{n}: {v}" for n, v in headers.items())]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode())
        have = b""
        while b"\r\n\r\n" not in have:
            have += self._receive()
        head, _, body = have.partition(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        length = len(body)
        named = [line.split(b":") for line in head.lower().split(b"\r\n")[1:]]
        whole = next((int(line[1]) for line in named if line[0] == b"content-length"), 0)
        if status == 304:
            whole = 0
        while length < whole:
            length += len(self._receive())
        return status, length

    def _receive(self) -> memoryview:
        count = self._socket.recv_into(self._buffer)
        if not count:
            raise ConnectionError("the web server closed the connection")
        return self._buffer[:count]
