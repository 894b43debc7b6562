"""sync --watch, and what it waits for."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

import pytest
from watchdog.events import (
    DirCreatedEvent,
    FileClosedNoWriteEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileOpenedEvent,
    FileSystemEvent,
)

from objstore import ObjectStore
from objstore.cli import changes
from objstore.cli.changes import changes_of_bucket, changes_of_folder
from tests.cli.conftest import Process, run_alone
from tests.cli.test_copying import names
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.newest_server


def test_a_folder_is_followed(process: Process, store: ObjectStore, tmp_path: Path) -> None:
    """Each change is told, with what is done for it."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "a").write_bytes(b"1")
    words = ("sync", str(site), f"{store.name}:v", "--watch", "--delete")
    with process.start(*words) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.readline() == b"1 copied (1 B), 0 unchanged\n"
        (site / "sub").mkdir()
        (site / "sub" / "b").write_bytes(b"2")
        assert child.stdout.readline() == b"copy     v/sub/b\n"
        (site / "a").unlink()
        assert child.stdout.readline() == b"delete   v/a\n"
        child.send_signal(signal.SIGINT)
        assert child.wait(PATIENCE) == 130
        assert child.stderr.read() == b"\n"
    assert names(store) == ["v/sub/b"]


def test_a_bucket_is_followed(process: Process, store: ObjectStore, tmp_path: Path) -> None:
    """What cannot be done is told, and it goes on."""
    store.put("in/a", b"1")
    store.put("out", b"1")
    words = ("sync", f"{store.name}:in", str(tmp_path), "--watch", "--delete", "--max-delete", "1")
    with process.start(*words) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.readline() == b"1 copied (1 B), 0 unchanged\n"
        store.put("in/a", b"2")
        assert child.stdout.readline() == b"replace  in/a\n"
        for name in ("mine", "my own"):
            (tmp_path / name).write_bytes(b"x")
        store.put("in/b/", b"")
        assert b"2 would be deleted, more than" in child.stderr.readline()
        (tmp_path / "mine").unlink()
        store.put("in/b", b"3")
        assert child.stdout.readline() == b"copy     in/b\n"
        assert b"refused: in/b/" in child.stderr.readline()
        child.send_signal(signal.SIGINT)
        assert child.wait(PATIENCE) == 130
    assert (tmp_path / "b").read_bytes() == b"3"
    assert not (tmp_path / "my own").exists()


def test_changes_of_a_bucket(store: ObjectStore) -> None:
    """Many at once are one, and those elsewhere are none."""
    heard = changes_of_bucket(store, "in/")
    next(heard)
    store.put("out", b"")
    for name in ("in/a", "in/b"):
        store.put(name, b"")
    next(heard)
    store.put("in/c", b"")
    next(heard)
    heard.close()


def test_a_folder_is_looked_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing tells of changes."""
    monkeypatch.setitem(sys.modules, "watchdog", None)
    monkeypatch.setattr(changes, "_INTERVAL", 0.001)
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    seen = changes_of_folder(str(tmp_path))
    next(seen)
    for act in (
        lambda: (tmp_path / "a").write_bytes(b"1"),
        lambda: (tmp_path / "a").write_bytes(b"22"),
        lambda: (tmp_path / "a").chmod(0o600),
        lambda: (tmp_path / "sub").mkdir(),
        lambda: (tmp_path / "a").unlink(),
    ):
        act()
        next(seen)
    looked = threading.Thread(target=next, args=(seen,))
    looked.start()  # nothing has changed
    (tmp_path / "b").write_bytes(b"")
    looked.join(PATIENCE)
    assert not looked.is_alive()


@pytest.mark.parametrize(
    ("event", "is_change"),
    [
        (FileOpenedEvent("x"), False),
        (FileClosedNoWriteEvent("x"), False),
        (FileModifiedEvent("x"), True),
        (DirCreatedEvent("x"), True),
        (FileMovedEvent("x", "y"), True),
    ],
)
def test_reading_is_no_change(event: FileSystemEvent, is_change: bool) -> None:
    """Or a sync would go on for ever."""
    changed = threading.Event()
    changes._sets(changed).dispatch(event)
    assert changed.is_set() is is_change


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["sync", "a", "docs:", "--watch", "--dry-run"], "--dry-run"),
        (["sync", "a", "docs:", "--jobs", "0"], "--jobs"),
        (["cp", "a", "docs:", "--jobs", "65"], "--jobs"),
    ],
)
def test_bad_input(words: list[str], told: str) -> None:
    result = run_alone(*words)
    assert result.exit_code == 2
    assert told in result.stderr
