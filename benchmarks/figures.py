"""What was measured: figures, their ratios, and both as JSON. Pure data."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Figure", "Ratio", "Report", "ratio_of", "size_text"]


@dataclass(frozen=True)
class Figure:
    """One thing that was measured, over several rounds.

    Attributes:
        kind: the benchmark that it comes from, such as ``"large"``.
        who: the client, such as ``"objstore"``.
        what: the operation, such as ``"put"``.
        unit: of the samples, such as ``"MB/s"``. 1 MB is 1,000,000 bytes.
        samples: one for each round; empty when nothing could be measured.
        setting: what it was measured with, such as ``{"size": 1 << 20, "storage": "file"}``.
        note: what a reader must know: that the client died, that fewer operations were made.
    """

    kind: str
    who: str
    what: str
    unit: str
    samples: tuple[float, ...]
    setting: dict[str, Any] = field(default_factory=dict)
    note: str = ""

    @property
    def median(self) -> float:
        """Of the samples.

        Raises:
            ValueError: there are none.
        """
        return statistics.median(self.samples)

    def has(self, **setting: Any) -> bool:
        """Whether it was measured with this setting; what is not named may be anything."""
        return all(self.setting.get(key) == value for key, value in setting.items())


@dataclass(frozen=True)
class Ratio:
    """One of the promises of the README, and what became of it in this run.

    Attributes:
        name: what is compared.
        target: the bound, in the unit of ``measured``.
        measured: the ratio of the medians, or a value; None: it was not measured.
        low, high: the least and greatest ratio of single rounds.
        at_most: the target is an upper bound, not a lower one.
        unit: ``"x"``, or that of a value.
    """

    name: str
    target: float
    measured: float | None
    low: float | None = None
    high: float | None = None
    at_most: bool = False
    unit: str = "x"

    @property
    def kept(self) -> bool | None:
        """Whether the target is met; None: it was not measured."""
        if self.measured is None:
            return None
        return self.measured <= self.target if self.at_most else self.measured >= self.target


@dataclass
class Report:
    """All of a run.

    Attributes:
        machine: what it ran on: processors, versions, free space.
        figures: what was measured.
        ratios: the promises.
        skipped: what was left out, with the reason.
        notes: what else was seen.
    """

    machine: dict[str, Any] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)
    ratios: list[Ratio] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def find(self, kind: str, who: str, what: str, **setting: Any) -> Figure | None:
        """The first figure of this description that has samples."""
        for figure in self.figures:
            named = (figure.kind, figure.who, figure.what) == (kind, who, what)
            if named and figure.samples and figure.has(**setting):
                return figure
        return None

    def of_kind(self, kind: str, what: str | None = None, **setting: Any) -> list[Figure]:
        """All figures of a benchmark."""
        return [
            figure
            for figure in self.figures
            if figure.kind == kind and what in (None, figure.what) and figure.has(**setting)
        ]

    def as_json(self) -> dict[str, Any]:
        """The report as plain data; a ratio says whether it is kept."""
        return {
            "machine": self.machine,
            "figures": [asdict(figure) for figure in self.figures],
            "ratios": [{**asdict(ratio), "kept": ratio.kept} for ratio in self.ratios],
            "skipped": self.skipped,
            "notes": self.notes,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Report:
        """The report that :meth:`as_json` made this data of."""
        return cls(
            machine=data["machine"],
            figures=[
                Figure(**{**each, "samples": tuple(each["samples"])}) for each in data["figures"]
            ],
            ratios=[
                Ratio(**{key: value for key, value in each.items() if key != "kept"})
                for each in data["ratios"]
            ],
            skipped=data["skipped"],
            notes=data["notes"],
        )


def ratio_of(
    name: str, target: float, above: Figure | None, below: Figure | None, *, at_most: bool = False
) -> Ratio:
    """The ratio of two figures' medians, with the range over the rounds.

    Arguments:
        name: what is compared.
        target: the bound.
        above, below: the figures; None where there is none.
        at_most: the target is an upper bound.
    """
    if above is None or below is None:
        return Ratio(name, target, None, at_most=at_most)
    pairs = _paired(above.samples, below.samples)
    return Ratio(name, target, above.median / below.median, min(pairs), max(pairs), at_most=at_most)


def _paired(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """The ratios round by round; a client that died has fewer rounds."""
    return [one / other for one, other in zip(above, below, strict=False)]


def size_text(size: int) -> str:
    """A number of bytes for people: ``"16 MiB"``."""
    for unit, bits in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size >= 1 << bits:
            return f"{size / (1 << bits):g} {unit}"
    return f"{size} bytes"
