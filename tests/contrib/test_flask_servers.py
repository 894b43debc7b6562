"""Flask's face as it is deployed: gunicorn with each kind of worker, and waitress."""

from __future__ import annotations

import http.client
import json
import random
import socket
import struct
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

import pytest

from objstore import LocalServer, ObjectStore
from tests.support.waiting import PATIENCE, eventually
from tests.support.web_servers import WORKERS, gunicorn, waitress

pytestmark = pytest.mark.newest_server

LARGE = random.Random(16).randbytes(10_000_000)

#: It has a client before it forks, and says what became of a body.
APPLICATION = """
import os
import flask
from objstore.contrib import serving
from objstore.contrib.flask import ObjectStore, receive_object, send_object

app = flask.Flask(__name__)
objects = ObjectStore(app, bucket=os.environ["SERVED_BUCKET"], servers=os.environ["SERVED_URL"])
objects.store.put("loaded by", str(os.getpid()).encode())

class Body(serving.Body):
    def close(self):
        if not self._result.closed and "watched" in self._result.name:
            with open("closed", "a") as log:
                log.write(f"{self._result.tell()}\\n")
        super().close()

serving.Body = Body

@app.get("/<path:name>")
def get(name):
    return send_object(objects.store, name)

@app.route("/<path:name>", methods=["PUT", "POST"])
def put(name):
    info = receive_object(objects.store, name)
    return {"size": info.size, "pid": os.getpid()}
"""


@dataclass
class Deployed:
    """A server that has the application, and the application's bucket.

    Attributes:
        host, port: of the server.
        folder: where the application writes.
        bucket: the application's, with an object "large".
    """

    host: str
    port: int
    folder: Path
    bucket: ObjectStore

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)

    def dial(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), PATIENCE)


@pytest.mark.parametrize("kind", [*WORKERS, "waitress"])
def test_deployed(kind: str, server: LocalServer, tmp_path: Path, store: ObjectStore) -> None:
    """All of it with one start of each server, for that takes the most time."""
    (tmp_path / "served.py").write_text(APPLICATION)
    environment = {"SERVED_URL": server.url, "SERVED_BUCKET": store.name}
    if kind == "waitress":
        running = waitress(tmp_path, "served:app", environment)
    else:
        running = gunicorn(tmp_path, "served:app", kind, environment)
    store.put("large", LARGE)
    with running as url:
        address = urllib.parse.urlsplit(url)
        assert address.hostname is not None
        assert address.port is not None
        deployed = Deployed(address.hostname, address.port, tmp_path, store)
        sends(deployed)
        receives(deployed)
        for chunked in (False, True):
            keeps_nothing_of_what_breaks_off(deployed, chunked)
        closes_when_the_client_goes_away(deployed)
        has_clients_in_all_workers(deployed)


def sends(deployed: Deployed) -> None:
    """Whole, in parts, by HEAD, and not at all, over connections that are used again."""
    web = deployed.connect()
    for _ in range(2):
        web.request("GET", "/large")
        answer = web.getresponse()
        assert (answer.status, answer.read()) == (200, LARGE)
        etag = answer.headers["ETag"]
        web.request("HEAD", "/large")
        answer = web.getresponse()
        assert (answer.status, answer.headers["Content-Length"]) == (200, "10000000")
        assert answer.read() == b""
        web.request("GET", "/large", headers={"Range": "bytes=0-9,-10"})
        answer = web.getresponse()
        body = answer.read()
        assert (answer.status, answer.headers["Content-Length"]) == (206, str(len(body)))
        assert LARGE[:10] in body
        assert LARGE[-10:] in body
        web.request("GET", "/large", headers={"If-None-Match": etag})
        answer = web.getresponse()
        assert (answer.status, answer.read()) == (304, b"")
        web.request("GET", "/missing")
        answer = web.getresponse()
        assert answer.status == 404
        answer.read()
    web.close()


def receives(deployed: Deployed) -> None:
    """With a length and in chunks."""
    web, bucket = deployed.connect(), deployed.bucket
    web.request("PUT", "/up", body=LARGE, headers={"Content-Type": "image/png"})
    answer = web.getresponse()
    assert (answer.status, json.loads(answer.read())["size"]) == (200, len(LARGE))
    assert bucket.read_bytes("up") == LARGE
    pieces = (LARGE[at : at + 100_000] for at in range(0, len(LARGE), 100_000))
    web.request("PUT", "/chunked", body=pieces, encode_chunked=True,
                headers={"Transfer-Encoding": "chunked"})  # fmt: skip
    answer = web.getresponse()
    assert (answer.status, json.loads(answer.read())["size"]) == (200, len(LARGE))
    assert bucket.read_bytes("chunked") == LARGE
    web.close()


def keeps_nothing_of_what_breaks_off(deployed: Deployed, chunked: bool) -> None:
    length = "Transfer-Encoding: chunked" if chunked else "Content-Length: 3000000"
    head = f"PUT /broken HTTP/1.1\r\nHost: x\r\n{length}\r\nConnection: close\r\n\r\n"
    with deployed.dial() as client:
        client.sendall(head.encode())
        client.sendall((b"f4240\r\n" if chunked else b"") + LARGE[:1_000_000])
        client.sendall(b"\r\n1000\r\nabc" if chunked else b"")
        client.shutdown(socket.SHUT_WR)
        answer = client.recv(1000)
    assert b" 200 " not in answer
    assert "broken" not in deployed.bucket


def closes_when_the_client_goes_away(deployed: Deployed) -> None:
    """At once, long before the end of the body."""
    deployed.bucket.put("watched", LARGE * 3)
    with deployed.dial() as client:
        client.sendall(b"GET /watched HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(10_000)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    closed = deployed.folder / "closed"
    where = eventually(lambda: closed.exists() and closed.read_text())
    assert int(where) < 25_000_000


def has_clients_in_all_workers(deployed: Deployed) -> None:
    """Those that were forked, too; the one that forked them has stored something before."""
    loader = int(deployed.bucket.read_text("loaded by"))
    seen: set[int] = set()

    def both() -> bool:
        web = deployed.connect()
        web.request("PUT", f"/worker-{len(seen)}", body=b"x")
        seen.add(json.loads(web.getresponse().read())["pid"])
        web.close()
        return len(seen) == 2 or loader in seen

    eventually(both)
