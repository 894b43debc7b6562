"""The command line in this process, and as processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import objstore
from objstore import LocalServer
from objstore.cli import cli
from tests.support.waiting import PATIENCE

ROOT = Path(objstore.__file__).parent.parent

#: As ``python -m objstore``, but Ctrl-C works even where the tests run in the background.
_START = (
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('objstore', run_name='__main__', alter_sys=True)"
)

Run = Callable[..., Result]


@pytest.fixture
def run(server: LocalServer) -> Run:
    """Run the command line here, on the session's server."""

    def run(*words: str, stdin: bytes | None = None) -> Result:
        return CliRunner().invoke(cli, ["--server", server.url, *words], input=stdin)

    return run


def run_alone(*words: str) -> Result:
    """Run the command line here, as it is."""
    return CliRunner().invoke(cli, list(words))


class Process:
    """Runs the command line as a process; every warning is an error there."""

    def __init__(self, url: str) -> None:
        self.env = {
            **{name: value for name, value in os.environ.items() if name != "NO_COLOR"},
            "NATS_URL": url,
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "error",
        }

    def start(self, *words: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start it, with pipes."""
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        command = [sys.executable, "-c", _START, *words]
        return subprocess.Popen(command, env=self.env, **{**pipes, **options})

    def run(self, *words: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
        """Run ``python -m objstore`` to its end."""
        command = [sys.executable, "-m", "objstore", *words]
        options = {"capture_output": True, "timeout": PATIENCE, "check": False, **options}
        return subprocess.run(command, env=self.env, **options)


@pytest.fixture
def process(server: LocalServer) -> Process:
    """The command line as a process, on the session's server."""
    return Process(server.url)
