"""Objects by HTTP, beside files of the disk: gunicorn with Flask and Django, and nginx."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks.ground import MIB
from benchmarks.peers.browser import Browser
from benchmarks.rounds import Contender
from benchmarks.run import Run

__all__ = ["web"]

LARGE = 64 * MIB

#: Connections at a time.
CONNECTIONS = 4

NGINX = """
daemon off; pid {folder}/pid; error_log stderr; worker_processes 2; {user}
events {{ worker_connections 64; }}
http {{
    access_log off; sendfile on; keepalive_requests 1000000; if_modified_since before;
    client_body_temp_path {folder}/a;
    proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d;
    scgi_temp_path {folder}/e;
    server {{ listen 127.0.0.1:{port}; root {folder}; }}
}}
"""


def web(run: Run) -> None:
    """Small ones and parts by the second, large ones by their bytes; who is asked in turns."""
    folder = run.ground.folder / "web"
    folder.mkdir()
    requests = run.scale.pick(800, 200)
    with run.ground.bucket() as store, contextlib.ExitStack() as ending:
        for name, size in (("small", 1 << 10), ("large", LARGE)):
            store.put(name, run.data(size))
            (folder / name).write_bytes(run.data(size))
        places = ending.enter_context(_gunicorn(run, folder, store.name))
        if nginx := shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin"):
            places["nginx, a file"] = ending.enter_context(_nginx(folder, nginx))
        else:
            run.skip("nginx: not installed")
        range_ = {"Range": "bytes=33000000-33001023"}
        since = {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}
        work = {
            "1 KiB": ("small", {}, (200, 1 << 10), requests),
            "1 KiB of 64 MiB": ("large", range_, (206, 1 << 10), requests // 4),
            "not modified": ("small", since, (304, 0), requests),
            "64 MiB": ("large", {}, (200, LARGE), 4),
        }
        contenders = {
            (who, what): Contender(f"{who}, {what}", partial(_ask, port, path + name, *rest))
            for what, (name, *rest) in work.items()
            for who, (port, path) in places.items()
        }
        run.alternate(list(contenders.values()))
    for (who, what), contender in contenders.items():
        count = work[what][3]
        unit, amount = ("MB/s", count * LARGE / 1e6) if what == "64 MiB" else ("requests/s", count)
        run.add("web", who, what, unit, contender.rates(amount), note=contender.died)


def _ask(
    port: int,
    path: str,
    headers: Mapping[str, str],
    expected: tuple[int, int],
    count: int,
    _number: int,
) -> None:
    """Ask so many times, over several connections at once."""

    def work(_connection: int) -> None:
        with contextlib.closing(Browser(port)) as browser:
            for _ in range(count // CONNECTIONS):
                found = browser.get(path, headers)
                if found != expected:
                    raise RuntimeError(f"{found} came in place of {expected}")

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        list(threads.map(work, range(CONNECTIONS)))


@contextlib.contextmanager
def _gunicorn(run: Run, folder: Path, bucket: str) -> Iterator[dict[str, tuple[int, str]]]:
    """gunicorn with two workers of four threads: where each way of sending is asked for."""
    port = _free_port()
    command = [
        sys.executable, "-m", "gunicorn", "--workers", "2", "--worker-class", "gthread",
        "--threads", "4", "--keep-alive", "60", "--bind", f"127.0.0.1:{port}", "--log-level",
        "warning", "benchmarks.peers.web_application:app",
    ]  # fmt: skip
    ours = {"BENCH_URL": run.ground.server.url, "BENCH_BUCKET": bucket, "BENCH_FOLDER": str(folder)}
    with _running(command, port, {**os.environ, **ours, "HOME": str(folder)}):
        yield {
            "send_object": (port, "/send_object/"),
            "object_response": (port, "/object_response/"),
            "Flask's send_file, a file": (port, "/send_file/"),
        }


@contextlib.contextmanager
def _nginx(folder: Path, program: str) -> Iterator[tuple[int, str]]:
    port = _free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX.format(folder=folder, port=port, user=user))
    with _running([program, "-c", str(configuration)], port, dict(os.environ)):
        yield port, "/"


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextlib.contextmanager
def _running(command: list[str], port: int, environment: Mapping[str, str]) -> Iterator[None]:
    """Run a web server until the block ends."""
    process = subprocess.Popen(command, env=environment, cwd=Path(__file__).parent.parent.parent)
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 10).close()
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} does not start")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(60)
