"""A report as tables: for the terminal, and as reStructuredText."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.catalogue import KINDS
from benchmarks.figures import Figure, Ratio, Report, size_text

__all__ = ["restructured", "summary", "terminal"]


@dataclass(frozen=True)
class Table:
    """Text in rows and columns."""

    title: str
    head: list[str]
    rows: list[list[str]]

    @property
    def widths(self) -> list[int]:
        """Of the columns."""
        return [max(map(len, column)) for column in zip(self.head, *self.rows, strict=True)]

    def lines(self, rule: str) -> list[str]:
        """The table with lines of ``rule`` around its head and at its end.

        That is also what reStructuredText calls a simple table.
        """
        widths = self.widths
        ruler = "  ".join(rule * width for width in widths)
        rows = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in (self.head, *self.rows)
        ]
        return [ruler, rows[0], ruler, *rows[1:], ruler]


Key = Callable[[Figure], str]


@dataclass(frozen=True)
class Layout:
    """Where a benchmark's figures stand: what a row is, what a column, what a table."""

    row: Key
    column: Key
    table: Key = lambda figure: figure.unit


def _who(figure: Figure) -> str:
    return figure.who


def _what(figure: Figure) -> str:
    return figure.what


def _size(figure: Figure) -> str:
    return size_text(figure.setting["size"])


LAYOUTS = {
    "large": Layout(_who, _what),
    "tls": Layout(_who, _what),
    "limit": Layout(
        _who,
        _what,
        lambda figure: (
            f"MB/s, {_size(figure)} in chunks of {size_text(figure.setting['chunk_size'])}"
        ),
    ),
    "small": Layout(_who, _what),
    "listing": Layout(lambda figure: f"{figure.setting['count']:,} objects", _what),
    "folders": Layout(_what, lambda figure: f"{figure.setting['count']:,} objects"),
    "sync": Layout(_what, lambda figure: f"{figure.setting['count']:,} files, a second"),
    "sizes": Layout(_size, lambda figure: f"{figure.what}, {figure.setting['storage']}"),
    "memory": Layout(_what, lambda figure: f"growth for {_size(figure)}"),
    "threads": Layout(
        lambda figure: str(figure.setting.get("threads", "all")),
        _what,
    ),
    "stages": Layout(
        lambda figure: f"{figure.what}, {figure.unit}",
        lambda figure: figure.setting["operation"],
        lambda _figure: "stage",
    ),
    "start": Layout(_what, _who),
    "costs": Layout(
        lambda figure: f"{figure.what}, {figure.unit}", _who, lambda figure: figure.what[:3]
    ),
    "seek": Layout(_what, _who),
    "web": Layout(_who, _what),
    "chunks": Layout(
        _size,
        lambda figure: size_text(figure.setting["chunk_size"]),
        lambda figure: f"{figure.what}, {figure.setting['storage']} storage, MB/s by chunk size",
    ),
    "cluster": Layout(_size, _what),
    "wire": Layout(_who, _what),
    "endurance": Layout(_who, _what),
}


def number(value: float) -> str:
    """Three digits, or all before the point."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}".removesuffix(".00")


def _cell(figure: Figure | None) -> str:
    """The median and the range."""
    if figure is None:
        return ""
    mark = " *" if figure.note else ""
    if not figure.samples:
        return f"died{mark}"
    if len(figure.samples) == 1:
        return number(figure.median) + mark
    low, high = min(figure.samples), max(figure.samples)
    return f"{number(figure.median)} ({number(low)}–{number(high)}){mark}"


def _tables(kind: str, figures: list[Figure]) -> list[Table]:
    """The tables of one benchmark."""
    layout = LAYOUTS[kind]
    tables = []
    for title in dict.fromkeys(map(layout.table, figures)):
        own = [figure for figure in figures if layout.table(figure) == title]
        cells = {(layout.row(figure), layout.column(figure)): figure for figure in own}
        columns = list(dict.fromkeys(map(layout.column, own)))
        rows = [
            [row, *(_cell(cells.get((row, column))) for column in columns)]
            for row in dict.fromkeys(map(layout.row, own))
        ]
        tables.append(Table(title, ["", *columns], rows))
    return tables


def _ratio_row(ratio: Ratio) -> list[str]:
    """One promise: a value that rounds to its target shows why it is not kept."""
    unit = "" if ratio.unit == "x" else f" {ratio.unit}"
    bound = f"{'<=' if ratio.at_most else '>='} {ratio.target:g}{unit}"
    if ratio.measured is None:
        return [ratio.name, bound, "not measured", "", ""]
    span = "" if ratio.low is None else f"{ratio.low:.2f}–{ratio.high:.2f}"
    return [
        ratio.name,
        bound,
        f"{ratio.measured:.2f}{unit}",
        span,
        "yes" if ratio.kept else "NO",
    ]


def _promises(ratios: list[Ratio]) -> Table:
    head = ["objstore / other", "target", "measured", "rounds", "kept"]
    return Table("The promises", head, [_ratio_row(ratio) for ratio in ratios])


def _machine(report: Report) -> str:
    it = report.machine
    quick = ", a quick run" if it.get("quick") else ""
    return (
        f"{it['date']}: {it['processors']} processors ({it['processor']}), {it['memory_gib']} GiB, "
        f"{it['system']}, Python {it['python']}, nats-server {it['nats_server']} "
        f"(max_payload {it['max_payload']:,}), objstore {it['objstore']}, "
        f"{it['free_disk_gib']} GiB of free disk; medians of {it['rounds']} rounds{quick}; "
        f"took {sum(it['seconds'].values())} s."
    )


def _sections(report: Report) -> list[tuple[str, list[Table], list[str]]]:
    """Title, tables and notes of each benchmark that measured something."""
    sections = []
    for name, kind in KINDS.items():
        if figures := report.of_kind(name):
            notes = [
                f"{figure.who}, {figure.what}: {figure.note}" for figure in figures if figure.note
            ]
            sections.append((kind.title, _tables(name, figures), notes))
    return sections


def terminal(report: Report) -> str:
    """The report for people at a terminal."""
    lines = ["", _machine(report)]
    for title, tables, notes in _sections(report):
        lines += ["", f"== {title}"]
        for table in tables:
            lines += ["", table.title, *table.lines("-")]
        lines += [f"* {note}" for note in notes]
    lines += ["", *report.notes, *(f"Not measured: {each}" for each in report.skipped)]
    lines += ["", "== The promises", *_promises(report.ratios).lines("-")]
    return "\n".join(lines)


def restructured(report: Report, charts: dict[str, str]) -> str:
    """The report for the documentation.

    Arguments:
        report: what was measured.
        charts: the file of each chart, by its title.
    """
    lines = ["Results", "=======", "", _machine(report), "", "The promises", "------------", ""]
    lines += _escaped(_promises(report.ratios).lines("="))
    for title, tables, notes in _sections(report):
        lines += ["", title, "-" * len(title)]
        for table in tables:
            lines += ["", f"{table.title}:", "", *_escaped(table.lines("="))]
        lines += [""] * bool(notes) + [f"- {note}" for note in notes]
        if file := charts.get(title):
            lines += ["", f".. image:: {file}", f"   :alt: {title}"]
    if report.notes or report.skipped:
        lines += ["", "Notes", "-----", "", *(f"- {each}" for each in report.notes)]
        lines += [f"- Not measured: {each}" for each in report.skipped]
    return "\n".join(lines) + "\n"


def summary(report: Report) -> list[str]:
    """The promises, and what the interpreter and the kernel do: for the README."""
    lines = [_machine(report), "", *_escaped(_promises(report.ratios).lines("="))]
    for table in _tables("costs", report.of_kind("costs")):
        lines += ["", f"What a {table.title} costs:", "", *_escaped(table.lines("="))]
    return [*lines, "", *report.notes]


def _escaped(lines: list[str]) -> list[str]:
    r"""A simple table's first column must not be empty: ``\`` stands for nothing."""
    return ["\\" + line[1:] if line.startswith(" ") else line for line in lines]
