"""What people type, and what they are shown."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable

import click
import pytest

from objstore.cli.screen import show, tables
from objstore.cli.screen.tables import Column
from objstore.cli.typed.values import ByteRange, byte_range, duration, header, pair, size

pytestmark = pytest.mark.newest_server


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("1000", 1000),
        ("128k", 128 << 10),
        ("128K", 128 << 10),
        ("1M", 1 << 20),
        ("1.5M", 3 << 19),
        ("10G", 10 << 30),
        ("10GiB", 10 << 30),
        ("10 gb", 10 << 30),
        ("2t", 2 << 40),
        ("9007199254740993", 9007199254740993),
    ],
)
def test_sizes(text: str, value: int) -> None:
    assert size(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("90", 90), ("0.5", 0.5), ("90s", 90), ("1h", 3600), ("1h30m", 5400), ("7D", 604800),
     ("1w", 604800), ("250ms", 0.25), ("1.5h", 5400)],
)  # fmt: skip
def test_durations(text: str, value: float) -> None:
    assert duration(text) == pytest.approx(value)


def test_pairs() -> None:
    assert header("Author: Joe: Junior") == ("Author", "Joe: Junior")
    assert pair("a=b=c") == ("a", "b=c")
    assert pair("a=") == ("a", "")


@pytest.mark.parametrize(
    ("text", "cut"),
    [("0-3", b"0123"), ("3-3", b"3"), ("7-", b"789"), ("-2", b"89"), ("-99", b"0123456789"),
     ("8-99", b"89"), ("50-60", b""), ("50-", b""), ("-0", b"")],
)  # fmt: skip
def test_ranges(text: str, cut: bytes) -> None:
    data = b"0123456789"
    start, stop = byte_range(text).within(len(data))
    assert data[start:stop] == cut
    assert 0 <= start <= stop <= len(data)


def test_a_range_of_nothing() -> None:
    assert ByteRange(0, None).within(0) == (0, 0)
    assert ByteRange(None, 5).within(0) == (0, 0)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *((size, text) for text in ("", "k", "1x", "-1", "1,5M", "1e3")),
        *((duration, text) for text in ("", "h", "1y", "-1s", "1h 30", "h1")),
        *((header, text) for text in ("", "Author", ": x")),
        *((pair, text) for text in ("", "a", "=b")),
        *((byte_range, text) for text in ("", "-", "5", "5-3", "a-b", "1-2-3")),
    ],
)
def test_what_is_none(kind: Callable[[str], object], text: str) -> None:
    with pytest.raises(click.BadParameter):
        kind(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (1 << 20, "1.0 MiB"),
     ((1 << 20) - 1, "1.0 MiB"), (10 << 30, "10.0 GiB"), (5000 << 50, "5000.0 PiB")],
)  # fmt: skip
def test_human_sizes(value: int, text: str) -> None:
    assert show.human_size(value) == text


HOSTILE = "a\x1b[2Jb\x07\x9b1m\n\u202egpj\u2028\x7f"


def test_nothing_reaches_a_terminal_but_what_it_shows() -> None:
    assert show.printable(HOSTILE) == r"a\x1b[2Jb\x07\x9b1m\n\u202egpj\u2028\x7f"
    assert show.printable("Grüße 猫 👩‍👩‍👧 \u3000x") == "Grüße 猫 👩‍👩‍👧 \u3000x"
    assert show.printable("\udcff") == r"\udcff"


def test_json_is_safe_and_the_same() -> None:
    text = show.as_json({"name": HOSTILE, "other": "猫"})
    assert json.loads(text) == {"name": HOSTILE, "other": "猫"}
    assert show.printable(text) == text
    assert "猫" in text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_escaped_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert show.shown("a\x1b") == r"a\x1b"
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert show.shown("a\x1b") == "a\x1b"
    monkeypatch.setattr(sys, "stdout", None)
    assert show.shown("a\x1b") == "a\x1b"


def test_tables() -> None:
    columns = [Column(right=True), Column(style="red", cut=True), Column()]
    assert list(tables.lines([], columns)) == []
    rows: list[list[tables.Cell]] = [["1", "a", "x "], ["22", "bbb", ("yyyy", "blue")]]
    assert list(tables.lines(rows, columns)) == [" 1  a    x ", "22  bbb  yyyy"]
    columns = [Column(), Column(), Column(right=True)]
    assert list(tables.lines(rows, columns)) == ["1   a      x ", "22  bbb  yyyy"]
    assert list(tables.lines([["x"]], [Column()])) == ["x"]


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": ""}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
        ({}, False),
    ],
)
def test_tables_on_a_terminal(
    environment: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wide characters align, what may be cut is, the last column is not."""
    for name in ("TERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**environment, "COLUMNS": "24"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", Terminal())
    rows: list[list[tables.Cell]] = [
        ["1", "application/pdf", "a"],
        ["22", "猫猫猫猫猫猫", ("bbb", "bold blue")],
        ["3", "🎉", "a name that is long"],
    ]
    lines = list(tables.lines(rows, [Column(True), Column(style="dim", cut=True), Column()]))
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
    assert plain == [
        " 1  applica…  a",
        "22  猫猫猫 …  bbb",
        " 3  🎉        a name that is long",
    ]
    assert (lines != plain) is coloured
