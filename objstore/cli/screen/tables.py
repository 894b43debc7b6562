"""Columns: aligned on a terminal by the cells that characters take, cut to its width, coloured."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from objstore.cli.screen import show

__all__ = ["BYTES_OF_AN_OBJECT", "BYTES_OF_A_BUCKET", "Cell", "Column", "fields_table", "lines"]

#: What stands between two columns.
_GAP = "  "

#: A column that is cut keeps so many cells at least.
_LEAST = 8


class Column(NamedTuple):
    """How a column looks.

    Attributes:
        right: whether it is aligned at its right end.
        style: its colour, as :func:`show.styled` takes it.
        cut: whether it may be cut where the line is too long for the terminal.
    """

    right: bool = False
    style: str = ""
    cut: bool = False


#: A cell: its text, or its text and a style of its own.
Cell = str | tuple[str, str]


def lines(rows: Sequence[Sequence[Cell]], columns: Sequence[Column]) -> Iterator[str]:
    """Lay rows out in lines: for the terminal that stdout is, or plainly.

    The last column is neither cut nor filled up: a long name goes on in the next line, where it
    can be copied.
    """
    cells = [[(cell, "") if isinstance(cell, str) else cell for cell in row] for row in rows]
    width_of = _cells_of() if show.is_terminal() else len
    texts = [[text for text, _ in row] for row in cells]
    widths = [max(map(width_of, column)) for column in zip(*texts, strict=True)]
    if show.is_terminal():
        _cut(widths, columns, shutil.get_terminal_size().columns)
    for row in cells:
        yield (
            _GAP.join(
                show.styled(_fit(text, width, column.right, width_of), style or column.style)
                # Without the last column, which is laid out by itself.
                for (text, style), width, column in zip(row[:-1], widths, columns, strict=False)
            )
            + (_GAP if len(row) > 1 else "")
            + _last(row[-1], widths[-1], columns[-1], width_of)
        )


def _cells_of() -> Callable[[str], int]:
    """Return what tells how many cells of a terminal a text takes: wide characters take two."""
    from rich.cells import cell_len  # here: pipes need none of it

    return cell_len


def _cut(widths: list[int], columns: Sequence[Column], room: int) -> None:
    """Make columns narrower, as far as they may be cut and the room is too small."""
    for number, column in enumerate(columns):
        over = sum(widths) + len(_GAP) * (len(widths) - 1) - room
        if column.cut and over > 0:
            widths[number] = max(min(_LEAST, widths[number]), widths[number] - over)


def _fit(text: str, width: int, right: bool, width_of: Callable[[str], int]) -> str:
    """Fill a text up, or cut it."""
    missing = width - width_of(text)
    if missing < 0:
        from rich.cells import set_cell_size

        return f"{set_cell_size(text, width - 1)}…"
    return " " * missing + text if right else text + " " * missing


def _last(cell: tuple[str, str], width: int, column: Column, width_of: Callable[[str], int]) -> str:
    text, style = cell
    if column.right:
        text = _fit(text, width, True, width_of)
    return show.styled(text, style or column.style)


#: Fields of an object, and of a bucket, that are numbers of bytes.
BYTES_OF_AN_OBJECT: Sequence[str] = ("size", "chunk_size")
BYTES_OF_A_BUCKET: Sequence[str] = ("total_size", "bytes", "max_object_size")


#: Fields that are moments.
_TIMES = ("mtime", "created", "last_write")


def fields_table(fields: Mapping[str, Any], in_bytes: Sequence[str]) -> Iterator[str]:
    """Lay fields out for people, a line for each that says something.

    Arguments:
        fields: what to show.
        in_bytes: which of them are numbers of bytes.
    """
    rows = [
        [name.replace("_", " "), show.shown(_value(name, value, in_bytes))]
        for name, value in fields.items()
        if not (value is None or value == "" or value == {})
    ]
    return lines(rows, [Column(style=show.DETAIL), Column()])


def _value(name: str, value: Any, in_bytes: Sequence[str]) -> str:
    if name in in_bytes:
        exact = f"{value:,} bytes"
        return exact if value < 1024 else f"{show.human_size(value)} ({exact})"
    if name in _TIMES:
        return show.local_time(datetime.fromisoformat(value))
    if name == "link":
        return f"{value['bucket']}:{value['name'] or ''}"
    if name == "ttl":
        return str(timedelta(seconds=value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return show.as_json(value) if isinstance(value, dict) else str(value)
