"""``%objstore`` in a notebook."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import objstore
from objstore import LocalServer, ObjectStore
from objstore.notebook import magic

pytestmark = pytest.mark.newest_server


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a notebook's kernel runs cells in, with the magic."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(Path(objstore.__file__).parent.parent))
    config = Config({"HistoryManager": {"enabled": False}})
    shell = InteractiveShell(config=config)  # type: ignore[no-untyped-call]
    shell.run_line_magic("load_ext", "objstore")
    return shell


def test_it_is_the_command_line(
    shell: Any,
    server: LocalServer,
    store: ObjectStore,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NATS_URL", server.url)
    store.put("a b", b"12")
    shell.user_ns["bucket"] = store.name
    shell.run_cell("%objstore ls {bucket}", silent=True).raise_error()
    assert capsys.readouterr().out == "a b\n"
    shell.run_cell("%objstore cat $bucket 'a b'", silent=True).raise_error()
    assert capsys.readouterr().out == "12"


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
