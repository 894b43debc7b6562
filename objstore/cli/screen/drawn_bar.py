"""A bar on stderr, drawn by rich. Imported only when there is one to be seen."""

from __future__ import annotations

from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

from objstore.cli.screen.show import human_size, printable

__all__ = ["DrawnBar"]

#: What of a title is shown.
_LONGEST = 24


class _Figures(ProgressColumn):
    """Bytes, rate, and the time that is left: what rich has alone, with the units of all else."""

    def render(self, task: Task) -> Text:
        total = "?" if task.total is None else human_size(int(task.total))
        parts = [f"{human_size(int(task.completed))} of {total}"]
        speed = task.finished_speed or task.speed
        if speed:
            parts.append(f"{human_size(int(speed))}/s")
        if task.time_remaining:
            parts.append(str(timedelta(seconds=int(task.time_remaining))))
        return Text("  ".join(parts))


class DrawnBar:
    """A bar that is there.

    Arguments:
        title: what stands before it.
    """

    def __init__(self, title: str) -> None:
        columns: list[ProgressColumn] = [
            # What is left of the line: figures that are cut say nothing.
            BarColumn(bar_width=None, table_column=Column(ratio=1)),
            TextColumn("{task.fields[part]}", table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[files]}", markup=False, table_column=Column(no_wrap=True)),
            _Figures(table_column=Column(no_wrap=True)),
        ]
        if title:
            text = _shortened(printable(title))
            columns.insert(0, TextColumn(text, markup=False, table_column=Column(no_wrap=True)))
        self._progress = Progress(
            *columns,
            console=Console(stderr=True, emoji=False),
            transient=True,
            expand=True,
            # Who prints a line takes the bar away for that (Bar.aside).
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task("", total=None, files="", part="")
        self.draw()

    def update(self, done: int, total: int | None, files: int, count: int) -> None:
        """Show how far it is."""
        text = f"{files:,}/{count:,} files" if count else ""
        part = f"{100 * done // total:>3} %" if total else ""
        self._progress.update(self._task, completed=done, total=total, files=text, part=part)

    def draw(self) -> None:
        """Draw it, again and again."""
        self._progress.start()

    def erase(self) -> None:
        """Take it away."""
        self._progress.stop()


def _shortened(title: str) -> str:
    return title if len(title) <= _LONGEST else f"…{title[-_LONGEST:]}"
