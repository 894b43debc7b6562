"""Django's ASGI handler with a large object: memory stays flat, and who is gone is not served."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import django
import pytest

import objstore
from objstore import LocalServer
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.newest_server

#: An ASGI server of one request, without a socket: what is sent is counted and forgotten.
PROGRAM = """
import asyncio, hashlib, sys
from tests.contrib.django.conftest import settings
from django.core.asgi import get_asgi_application
from django.test import override_settings
import objstore

bucket, url, leaves_after = sys.argv[1], sys.argv[2], int(sys.argv[3])
opened = []

def peak():  # in MiB; not ru_maxrss, which begins with the peak of the tests' process
    (line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM:")]
    return int(line.split()[1]) >> 10

own = objstore.ObjectStore.get

def get(store, name):
    opened.append(own(store, name))
    return opened[-1]

objstore.ObjectStore.get = get

async def ask():
    status, count, digest, gone = 0, 0, hashlib.sha256(), asyncio.Event()
    asked = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive():
        if asked:
            return asked.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        nonlocal status, count
        status = message.get("status", status)
        body = message.get("body", b"")
        count += len(body)
        digest.update(body)
        if count > leaves_after:
            gone.set()
            await asyncio.sleep(0)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
        "path": "/media/large", "query_string": b"", "headers": [(b"host", b"testserver")],
    }
    await get_asgi_application()(scope, receive, send)
    return status, count, digest.hexdigest()

entry = {
    "BACKEND": "objstore.contrib.django.ObjectStorage",
    "OPTIONS": {"bucket": bucket, "servers": url},
}
with override_settings(STORAGES={"default": entry}):
    before = peak()
    print(*asyncio.run(ask()))
    print(peak() - before)
    print(opened[0].closed)
"""


def ask(bucket: str, server: LocalServer, leaves_after: int) -> tuple[str, str, str]:
    """Run the program: what came, by how many MiB memory grew, whether the object was closed."""
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, bucket, server.url, str(leaves_after)],
        env={**os.environ, "PYTHONPATH": root}, text=True, capture_output=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    came, grew, closed = done.stdout.splitlines()
    return came, grew, closed


def put(bucket: str, server: LocalServer, mebibytes: int) -> objstore.ObjectInfo:
    """Store the object that is asked for."""
    block = os.urandom(1 << 20)
    with objstore.connect(server.url) as client:
        return client.object_store(bucket).put("large", (block for _ in range(mebibytes)))


def test_a_large_object_is_not_listed_into_memory(bucket: str, server: LocalServer) -> None:
    large = put(bucket, server, 128)
    came, grew, closed = ask(bucket, server, leaves_after=1 << 40)
    assert came == f"200 {large.size} {large.sha256}"
    assert int(grew) < 64
    assert closed == "True"


@pytest.mark.skipif(django.VERSION < (5, 0), reason="Django 4.2 does not hear who leaves")
def test_who_is_gone_is_served_no_further(bucket: str, server: LocalServer) -> None:
    large = put(bucket, server, 40)
    came, _, closed = ask(bucket, server, leaves_after=1 << 20)
    assert 1 << 20 < int(came.split()[1]) < large.size
    assert closed == "True"
