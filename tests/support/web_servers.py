"""Web servers as they are deployed, each a process with an application of the test's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.waiting import PATIENCE, eventually

__all__ = ["WORKERS", "gunicorn", "waitress"]

#: gunicorn's kinds of workers that an application of blocking code is served by.
WORKERS = ("sync", "gthread", "gevent")

ROOT = Path(__file__).parent.parent.parent


@contextmanager
def gunicorn(
    folder: Path, application: str, worker: str, environment: Mapping[str, str]
) -> Iterator[str]:
    """gunicorn with the application preloaded, and two workers: its address, and its process.

    Arguments:
        folder: where the application's module is, and what gunicorn writes.
        application: as gunicorn takes it, such as ``served:app``.
        worker: one of :data:`WORKERS`.
        environment: variables more.
    """
    address = folder / f"port-{worker}"
    (folder / "configured.py").write_text(
        "def when_ready(server):\n"
        f"    port = server.LISTENERS[0].sock.getsockname()[1]\n"
        f"    open({str(address)!r}, 'w').write(f'{{port}}\\n')\n"
    )
    patch = "from gevent import monkey; monkey.patch_all()\n" if worker == "gevent" else ""
    command = [
        sys.executable, "-c", f"{patch}from gunicorn.app.wsgiapp import run\nrun()", "--preload",
        "--workers", "2", "--worker-class", worker, "--config", "configured.py",
        "--bind", "127.0.0.1:0", application,
    ]  # fmt: skip
    with _running(command, folder, environment, address) as url:
        yield url


@contextmanager
def waitress(folder: Path, application: str, environment: Mapping[str, str]) -> Iterator[str]:
    """waitress, as :func:`gunicorn`: one process, four threads."""
    address = folder / "port-waitress"
    module, _, name = application.partition(":")
    program = f"""
import signal, sys, waitress, {module}
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
server = waitress.create_server({module}.{name}, listen="127.0.0.1:0")
open({str(address)!r}, "w").write(f"{{server.effective_port}}\\n")
server.run()
"""
    with _running([sys.executable, "-c", program], folder, environment, address) as url:
        yield url


@contextmanager
def _running(
    command: list[str], folder: Path, environment: Mapping[str, str], address: Path
) -> Iterator[str]:
    log = folder / "log"
    # gunicorn has a socket in the home folder that several would share.
    ours = {"PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": "", "HOME": str(folder)}
    given = {**os.environ, **ours, **environment}
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=given, stdout=output, stderr=output, stdin=subprocess.DEVNULL
        )
    try:
        port = eventually(
            lambda: process.poll() is not None or (address.exists() and address.read_text().strip())
        )
        assert process.poll() is None, log.read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        status = process.wait(PATIENCE)
    assert status == 0, log.read_text()
    assert "Traceback" not in log.read_text(), log.read_text()
