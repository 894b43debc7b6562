"""``%objstore`` in a notebook."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from IPython.core.error import UsageError

import objstore
from objstore import LocalServer, ObjectStore
from objstore.notebook import magic
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.newest_server


CELLS = """\
%load_ext objstore
bucket = {bucket!r}
%objstore ls {{bucket}}
%objstore cat $bucket 'a b'
"""


def test_it_is_the_command_line(server: LocalServer, store: ObjectStore, tmp_path: Path) -> None:
    """In a process of its own: an IPython changes the interpreter that it runs in."""
    store.put("a b", b"12")
    cells = tmp_path / "cells.ipy"
    cells.write_text(CELLS.format(bucket=store.name))
    environment = {
        **os.environ,
        "IPYTHONDIR": str(tmp_path),
        "NATS_URL": server.url,
        "PYTHONPATH": str(Path(objstore.__file__).parent.parent),
    }
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--HistoryManager.enabled=False", str(cells)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("a b\n12", "")


def test_what_fails_fails_the_cell(server: LocalServer, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="exit code 1"):
        magic.run(f"--server {server.url} ls no-such-bucket")
    assert "no bucket" in capsys.readouterr().out  # what went to stderr
    with pytest.raises(UsageError, match="No closing quotation"):
        magic.run("ls 'photos")


def test_an_interrupt_ends_the_command(
    server: LocalServer, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``watch`` would go on for ever."""
    store.put("x", b"1")

    class Interrupted:
        @staticmethod
        def write(_text: str) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdout", Interrupted)
    # Tests that run in the background may not be interruptible, nor what they start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            magic.run(f"--server {server.url} watch --all {store.name}")
    finally:
        signal.signal(signal.SIGINT, before)
