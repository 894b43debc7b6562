"""A run: what is measured goes through here, so that it is told, collected and never lost."""

from __future__ import annotations

import os
from typing import Any

from tqdm import tqdm

from benchmarks.figures import Figure, Report
from benchmarks.ground import Ground, Scale
from benchmarks.rounds import Contender, alternate

__all__ = ["Run"]


class Run:
    """The state of one run of ``python -m benchmarks``.

    Attributes:
        ground: the server, and the folder.
        scale: how much is measured.
        report: what was.
    """

    def __init__(self, ground: Ground, scale: Scale, bar: tqdm[Any] | None = None) -> None:
        self.ground, self.scale, self.report = ground, scale, Report()
        self._bar = bar
        self._data = b""

    def data(self, size: int) -> bytes:
        """Random bytes, the same for all; those of the last size that was asked for are kept."""
        if len(self._data) != size:
            self._data = b""  # before the next are made: the largest are a gibibyte
            self._data = os.urandom(size)
        return self._data

    def tell(self, text: str) -> None:
        """Say what happens now."""
        if self._bar is not None:
            self._bar.set_postfix_str(text[:40])
            self._bar.refresh()

    def skip(self, what: str) -> None:
        """Note what is left out, and why."""
        if what not in self.report.skipped:
            self.report.skipped.append(what)

    def add(
        self,
        kind: str,
        who: str,
        what: str,
        unit: str,
        samples: tuple[float, ...],
        *,
        note: str = "",
        **setting: Any,
    ) -> Figure:
        """Put a figure into the report."""
        figure = Figure(kind, who, what, unit, samples, setting, note)
        self.report.figures.append(figure)
        return figure

    def alternate(self, contenders: list[Contender], rounds: int | None = None) -> None:
        """Let contenders take turns, and note who died."""
        turns = iter(range(1 << 30))
        all_turns = len(contenders) * ((rounds or self.scale.rounds) + 1)

        def tick() -> None:
            self.tell(f"turn {next(turns) + 1} of {all_turns}")

        alternate(contenders, rounds or self.scale.rounds, tick=tick)
        for each in contenders:
            if each.died:
                self.skip(f"{each.name}: {each.died}")
