"""Bars, drawn into a terminal that is none."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from objstore import ObjectStore
from objstore.cli.screen import bars
from objstore.cli.screen.bars import Bar
from tests.cli.conftest import Run
from tests.cli.test_values import Terminal

pytestmark = pytest.mark.newest_server


def a_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Where bars are drawn, at once. (No fixture: pytest sets stderr anew for each test.)"""
    terminal = Terminal()
    monkeypatch.setattr(bars, "_DELAY", 0)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    return terminal


def lines(terminal: Terminal) -> list[str]:
    """What stood on the line, one after the other."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\r", terminal.getvalue())
    return [line.strip() for line in plain.split("\r") if line.strip("\r\n ")]


def test_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files, bytes, all in 80 columns."""
    drawn = a_terminal(monkeypatch)
    with Bar(True) as bar:
        told = bar.of_folder
        told["progress"](512 << 20, 3 << 30)
        told["on_file"]("x", 9_999, 10_000)
        told["progress"](2 << 30, 3 << 30)
    text = " ".join(lines(drawn))
    assert "9,999/10,000 files" in text
    assert "2.0 GiB of 3.0 GiB" in text
    assert "66 %" in text
    assert all(len(line) <= 80 for line in lines(drawn))


def test_one_object(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the end of its name; a size may be unknown."""
    drawn = a_terminal(monkeypatch)
    with Bar(True, "a/very/long/name/that/nobody/can/read\x1b[2J") as bar:
        progress = bar.of_one()
        assert progress is not None
        progress(1024, None)
        progress(2048, None)
    text = drawn.getvalue()
    assert "\x1b[2J" not in text
    assert "2.0 KiB of ?" in text


def test_several_objects_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = a_terminal(monkeypatch)
    with Bar(True) as bar:
        bar.expect(3, 300)
        for _ in range(3):
            progress = bar.of_one()
            assert progress is not None
            progress(50, 100)
            progress(100, 100)
            with bar.aside():
                sys.stderr.write("aside")
    text = drawn.getvalue()
    assert "2/3 files" in text
    assert "300 B of 300 B" in text
    assert text.count("aside") == 3


def test_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = a_terminal(monkeypatch)
    with Bar(False) as bar:
        assert bar.of_one() is None
        assert bar.of_folder == {}
        bar.expect(1, 1)
    assert drawn.getvalue() == ""


def test_what_is_done_at_once_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = a_terminal(monkeypatch)
    monkeypatch.setattr(bars, "_DELAY", 3600)
    with Bar(True) as bar:
        bar.tell_bytes(1, 2)
    assert drawn.getvalue() == ""


def test_commands_have_one(
    run: Run, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each that transfers folders, or several files."""
    seen: list[tuple[int, int | None, int, int]] = []

    class Drawn:
        def __init__(self, title: str) -> None:
            pass

        def update(self, *told: int) -> None:
            seen.append(told)  # type: ignore[arg-type]

        def draw(self) -> None:
            pass

        def erase(self) -> None:
            pass

    monkeypatch.setattr(bars, "_DELAY", 0)
    monkeypatch.setattr("objstore.cli.screen.drawn_bar.DrawnBar", Drawn)
    monkeypatch.setattr("objstore.cli.options.Settings.bars", True)
    (tmp_path / "site").mkdir()
    for name, size in (("a", 1000), ("b", 200_000), ("c", 300_000)):
        (tmp_path / "site" / name).write_bytes(bytes(size))
    site, to = str(tmp_path / "site"), str(tmp_path)
    for words in (
        ("put", "-r", store.name, site),
        ("cp", "-r", site, f"{store.name}:cp/"),
        ("cp", *(f"{site}/{name}" for name in "abc"), f"{store.name}:one/"),
        ("sync", site, f"{store.name}:sync"),
        ("get", "-r", f"{store.name}:sync", "-o", f"{to}/1"),
        ("get", f"{store.name}:sync/*", "-o", f"{site}"),
        ("cp", "-r", f"{store.name}:sync", f"{to}/2"),
        ("cp", f"{store.name}:sync/*", f"{site}/"),
        ("sync", f"{store.name}:sync", f"{to}/3"),
    ):
        assert run(*words).exit_code == 0, words
        assert seen[-1][:2] == (501_000, 501_000), words
        assert seen[-1][3] == 3, words
        seen.clear()
