"""Ask a real nginx the sixty requests: ``python -m tests.contrib.nginx.measure``.

It compares what nginx answers with what is recorded in ``answers.json``, and fails where that
differs or there is no nginx. ``--write`` records it.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from email.utils import formatdate
from pathlib import Path

from tests.contrib.nginx.requests import CONTENT, REQUESTS, Seen, filled, seen

__all__ = ["ANSWERS", "nginx"]

ANSWERS = Path(__file__).parent / "answers.json"

MODIFIED = 1_700_000_000

CONFIGURATION = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
{user}
events {{ worker_connections 1024; }}
http {{
    access_log off; default_type text/plain; etag on; if_modified_since before;
    client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
    uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e; sendfile on; keepalive_requests 1000000;
    server {{ listen 127.0.0.1:{port}; root {folder}; }}
}}
"""


@contextmanager
def nginx(folder: Path) -> Iterator[int]:
    """nginx, which serves the files of a folder: its port."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin")
    if program is None:
        raise SystemExit("there is no nginx to compare with: apt-get install nginx-light")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    user = "user root;" if os.geteuid() == 0 else ""
    configuration = folder / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder, port=port, user=user))
    process = subprocess.Popen([program, "-c", str(configuration)])
    try:
        _wait_for(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(60)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 10).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise SystemExit("nginx does not start")


def ask(port: int) -> list[Seen]:
    """What nginx answers."""

    def answer(method: str, headers: dict[str, str]) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request(method, "/file.txt", headers=headers)
        got = connection.getresponse()
        body = got.read()
        connection.close()
        return got, body

    values = {
        "etag": answer("GET", {})[0].headers["ETag"],
        **{
            name: formatdate(MODIFIED + seconds, usegmt=True)
            for name, seconds in (("date", 0), ("before", -1), ("after", 1))
        },
    }
    found = []
    for method, headers in REQUESTS:
        got, body = answer(method, filled(headers, values))
        found.append(seen(got.status, got.headers, body))
    return found


def main() -> None:
    """Compare, or record."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "file.txt").write_bytes(CONTENT)
        os.utime(folder / "file.txt", (MODIFIED, MODIFIED))
        with nginx(folder) as port:
            found = [asdict(answer) for answer in ask(port)]
    if "--write" in sys.argv:
        lines = ",\n".join(json.dumps(answer) for answer in found)
        ANSWERS.write_text(f"[\n{lines}\n]\n")
    recorded = json.loads(ANSWERS.read_text())
    for request, new, old in zip(REQUESTS, found, recorded, strict=True):
        if new != old:
            raise SystemExit(f"nginx answers {request} with {new}; recorded is {old}")
    sys.stdout.write(f"nginx answers all {len(found)} requests as recorded\n")


if __name__ == "__main__":
    main()
