"""Small tables of HTML, escaped, in the colours of the page around them.

Nothing sets a colour of its own, but for lines of half a grey: what is drawn with the page's text
colour can be read on a light page and on a dark one. Styles stand in the elements, for a notebook
that is not trusted loses its ``<style>`` elements.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from html import escape
from itertools import islice

from objstore.readable import human_size, printable

__all__ = ["MAX_ROWS", "Size", "muted", "preformatted", "record", "shown", "table"]

#: How much is shown: rows of a table, entries of a mapping or a sequence, characters of a text.
MAX_ROWS, MAX_ENTRIES, MAX_TEXT, MAX_HEAD = 20, 8, 200, 40

_LINE = "1px solid rgba(128,128,128,.35)"
#: A notebook's own style would centre the table, and align all cells at their right end.
_TABLE = "border-collapse:collapse;border:0;margin:4px 0;table-layout:auto;width:auto"
_CELL = "padding:2px 16px 2px 0;text-align:"
_LABEL = f"{_CELL}left;vertical-align:top;white-space:nowrap;opacity:.65"
_HEAD = f"{_CELL}left;border-bottom:{_LINE};overflow-wrap:normal"
_ROW = '<tr style="background:none">'


class Size(int):
    """A number of bytes, which is shown as such."""


def shown(text: str, limit: int = MAX_TEXT) -> str:
    """Return a text as HTML that shows it and does nothing else.

    Arguments:
        text: anything that a stranger may have written.
        limit: how many characters are shown.
    """
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    # <bdi>: letters that run from right to left turn nothing around them.
    return f"<bdi>{escape(printable(cut))}</bdi>"


def muted(text: str) -> str:
    """Return a text as HTML, as :func:`shown`, paler than the rest."""
    return f'<span style="opacity:.65">{shown(text)}</span>'


def preformatted(text: str) -> str:
    """Return printable lines as HTML, in a box that can be scrolled."""
    style = f"max-height:24em;overflow:auto;margin:4px 0;padding:6px;border:{_LINE}"
    return f'<pre style="{style};text-align:left">{escape(text)}</pre>'


def table(heads: Sequence[str], rows: Sequence[Sequence[object]], *, more: int = 0) -> str:
    """Return a table as HTML: its first rows, and how many there are beyond.

    Arguments:
        heads: of the columns.
        rows: of any values, see :func:`record`.
        more: how many rows there are beside those that are given.
    """
    lines = ["".join(map(_cell, row)) for row in rows[:MAX_ROWS]]
    more += len(rows) - len(lines)
    head = "".join(f'<th style="{_HEAD}">{shown(text, MAX_HEAD)}</th>' for text in heads)
    beyond = f"<div>{muted(f'… and {more:,} more')}</div>" if more else ""
    return _rows([head, *lines]) + beyond


def record(title: str, kind: str, fields: Mapping[str, object], below: str = "") -> str:
    """Return a record as HTML: a heading, and a line for each field that says something.

    Arguments:
        title: the name of what it is.
        kind: what it is, in a few words.
        fields: the values by their names. Sizes, numbers, times, mappings and sequences are shown
            as people read them; what is None, False or empty is left out.
        below: HTML that follows.
    """
    lines = [
        f'<td style="{_LABEL}">{escape(name.replace("_", " "))}</td>'
        f'<td style="{_CELL}left">{_value(value, exact=True)}</td>'
        for name, value in fields.items()
        if not (value is None or value is False or value in ("", (), []) or value == {})
    ]
    heading = f"<strong>{shown(title)}</strong>" + (f" {muted(kind)}" if kind else "")
    # A name has no blanks at which it could be broken.
    return f'<div style="overflow-wrap:anywhere">{heading}{_rows(lines)}{below}</div>'


def _rows(lines: Sequence[str]) -> str:
    body = "".join(f"{_ROW}{line}</tr>" for line in lines)
    return f'<table style="{_TABLE}"><tbody>{body}</tbody></table>' if body else ""


def _cell(value: object) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        style = f"{_CELL}right;white-space:nowrap"  # compared by their ends
    else:
        style = f"{_CELL}left" + (";white-space:nowrap" if isinstance(value, datetime) else "")
    return f'<td style="{style}">{_value(value)}</td>'


def _value(value: object, *, exact: bool = False) -> str:
    """Return one value as HTML, as people read it; sizes also in bytes, where exact."""
    if isinstance(value, Mapping):
        pairs = islice(value.items(), MAX_ENTRIES)
        return _lines((f"{shown(str(k))}: {_value(v)}" for k, v in pairs), len(value))
    if isinstance(value, (list, tuple)):
        return _lines(map(_value, islice(value, MAX_ENTRIES)), len(value))
    # Before other numbers, of which it is one; and so is a bool.
    if isinstance(value, Size):
        more = f" ({value:,} bytes)" if exact and value >= 1024 else ""
        return human_size(value) + more
    if value is None or isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, (int, float)):
        return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"
    if isinstance(value, datetime):
        return escape(value.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z"))
    return shown(str(value.value if isinstance(value, Enum) else value))


def _lines(shown_ones: Iterable[str], count: int) -> str:
    beyond = [muted(f"… and {count - MAX_ENTRIES:,} more")] if count > MAX_ENTRIES else []
    return "<br>".join([*shown_ones, *beyond])
