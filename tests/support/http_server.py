"""A web server of a test's own, on this computer, which may fail as real ones do."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Request", "WebServer", "web_server"]


class Request(http.server.BaseHTTPRequestHandler):
    """A request, with http.server's ``command``, ``path``, ``headers`` and ``rfile``."""

    protocol_version = "HTTP/1.1"
    answer_by: Callable[[Request], object]

    def reply(
        self, status: int, body: bytes = b"", *, sent: int | None = None, **headers: str | None
    ) -> None:
        """Answer it.

        Arguments:
            status: the number.
            body: whose length is announced, unless ``Content_Length=None`` says not.
            sent: how many bytes are sent before the connection is cut; None: all.
            headers: by their names, with ``_`` for ``-``.
        """
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            if value is not None:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:sent])
        self.close_connection = self.close_connection or sent is not None

    def body(self) -> bytes:
        """All that came with it, by its length or in chunks."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        found = b""
        while size := int(self.rfile.readline(), 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def handle_one_request(self) -> None:
        """Hand each request on, whatever its method."""
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        type(self).answer_by(self)
        self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class WebServer:
    """A running server.

    Attributes:
        url: its address.
        requests: (method, path, headers) of each request, in order.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[tuple[str, str, dict[str, str]]] = []

    def asked(self, header: str) -> list[str | None]:
        """What each request said in a header."""
        return [headers.get(header) for _, _, headers in self.requests]


@contextmanager
def web_server(answer: Callable[[Request], object]) -> Iterator[WebServer]:
    """A server that answers each request by a function."""

    def note(request: Request) -> None:
        running.requests.append((request.command, request.path, dict(request.headers)))
        answer(request)

    handler = type("Handler", (Request,), {"answer_by": staticmethod(note)})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        running = WebServer(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield running
        finally:
            server.shutdown()
            thread.join()
