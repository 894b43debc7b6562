"""The one client of a process: for its threads, its children, and until its end."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import objstore
from objstore import ConnectionLostError, InvalidOptionError, LocalServer, shared
from tests.support.proxy import Proxy
from tests.support.waiting import PATIENCE, eventually

ROOT = Path(__file__).parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""}


@pytest.fixture(autouse=True)
def _none_is_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin and end without shared clients."""
    clients = shared._SharedClients()
    monkeypatch.setattr(shared, "_clients", clients)
    yield
    clients.close()


#: Python 3.12 and later warn of any fork beside threads; that is what is tried here.
OF_FORK = "ignore:This process:DeprecationWarning"


def run(program: str, *arguments: str) -> None:
    """Run a program, which has to end by itself and without a word."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", OF_FORK, "-c", program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        env=ENVIRONMENT,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stdout


def test_the_same_options_have_the_same_client(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.url
    client = objstore.shared_client(url, name="a", timeout=7.0)
    assert objstore.shared_client(url, timeout=7.0, name="a") is client
    assert objstore.shared_client([url]) is objstore.shared_client((url,))
    assert objstore.shared_client(url, name="b", timeout=7.0) is not client
    assert objstore.shared_client(url, lazy=True) is not objstore.shared_client(url, lazy=False)
    monkeypatch.setenv("NATS_URL", url)
    mine = objstore.shared_client()
    assert objstore.shared_client() is mine
    monkeypatch.setenv("NATS_URL", f"{url},{url}")
    assert objstore.shared_client() is not mine


def test_a_context_of_tls_counts_as_itself(server: LocalServer) -> None:
    first, second = ssl.create_default_context(), ssl.create_default_context()
    client = objstore.shared_client(server.url, tls=first, lazy=True)
    assert objstore.shared_client(server.url, tls=first, lazy=True) is client
    assert objstore.shared_client(server.url, tls=second, lazy=True) is not client


def test_a_closed_one_is_followed_by_another(server: LocalServer) -> None:
    with objstore.shared_client(server.url) as client:
        pass
    fresh = objstore.shared_client(server.url)
    assert fresh is not client
    assert list(fresh.list_stores()) is not None
    assert objstore.shared_client(server.url) is fresh


def test_threads_dial_once(proxy: Proxy) -> None:
    """However many come while it is dialled."""
    dialled: list[str] = []
    proxy.up.observe(lambda line: dialled.append(line.verb))
    held = proxy.up.hold(lambda line: line.verb == "CONNECT")
    with ThreadPoolExecutor(50) as threads:
        waiting = [threads.submit(objstore.shared_client, proxy.url) for _ in range(50)]
        held.wait()
        held.release()
        assert len({id(each.result()) for each in waiting}) == 1
    assert dialled.count("CONNECT") == 1


def test_what_fails_is_not_remembered(proxy: Proxy) -> None:
    proxy.up.cut(lambda line: line.verb == "CONNECT")
    with pytest.raises(ConnectionLostError):
        objstore.shared_client(proxy.url)
    assert objstore.shared_client(proxy.url).connection.is_connected


def test_wrong_options_are_errors_each_time(server: LocalServer) -> None:
    for _ in range(2):
        with pytest.raises(TypeError, match="unexpected keyword"):
            objstore.shared_client(server.url, colour="red")
        with pytest.raises(InvalidOptionError):
            objstore.shared_client(server.url, context={"no": "name"})


@pytest.mark.parametrize("patched", [False, True])
def test_a_child_makes_its_own_and_all_ends_in_peace(server: LocalServer, patched: bool) -> None:
    """With a fork while another thread has the lock; nothing is closed, and nothing warns."""
    program = """
import gc, os, sys, threading
import objstore
from objstore import shared
client = objstore.shared_client(sys.argv[1])
store = client.object_store("shared-fork")
store.put("a", b"a")
with shared._clients._lock:
    child = os.fork()
    if not child:
        mine = objstore.shared_client(sys.argv[1])
        assert mine is not client and mine is objstore.shared_client(sys.argv[1])
        assert mine.object_store("shared-fork").read_bytes("a") == b"a"
        del client, store
        gc.collect()
        sys.exit()
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert objstore.shared_client(sys.argv[1]) is client
assert store.read_bytes("a") == b"a"
"""
    patch = "from gevent import monkey; monkey.patch_all()\n" if patched else ""
    run(patch + program, server.url)


APPLICATION = """
import os
import objstore

URL = os.environ["OBJSTORE_TEST_URL"]
objstore.shared_client(URL).object_store("gunicorn").put("made by", str(os.getpid()).encode())


def application(environ, start_response):
    store = objstore.shared_client(URL).object_store("gunicorn")
    store.put(f"worker-{os.getpid()}", b"")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {store.read_text('made by')}".encode()]
"""


@pytest.mark.parametrize("worker", ["sync", "gthread", "gevent"])
def test_gunicorn_with_the_application_preloaded(
    worker: str, server: LocalServer, tmp_path: Path
) -> None:
    """Two workers, forked from a master that has a client."""
    (tmp_path / "served.py").write_text(APPLICATION)
    log, address = tmp_path / "log", tmp_path / "port"
    hook = f"def when_ready(server): open({str(address)!r}, 'w').write(server.LISTENERS[0].sock.getsockname()[1].__str__())"  # noqa: E501
    (tmp_path / "configured.py").write_text(f"{hook}\n")
    patch = "from gevent import monkey; monkey.patch_all()\n" if worker == "gevent" else ""
    start = f"{patch}from gunicorn.app.wsgiapp import run\nrun()"
    command = [
        sys.executable, "-c", start, "--preload", "-w", "2", "-k", worker, "-c", "configured.py",
        "-b", "127.0.0.1:0", "--log-file", str(log), "served:application",
    ]  # fmt: skip
    environment = {**ENVIRONMENT, "OBJSTORE_TEST_URL": server.url}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment)
    try:
        port = eventually(lambda: address.exists() and address.read_text())
        seen: set[str] = set()

        def ask() -> bool:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=PATIENCE) as answer:
                pid, made_by = answer.read().decode().split()
            assert made_by == str(process.pid)
            seen.add(pid)
            return len(seen) == 2

        eventually(ask, "both workers answer")
    finally:
        process.terminate()
        status = process.wait(PATIENCE)
    assert status == 0, log.read_text()
    assert "Traceback" not in log.read_text()
