"""Charts of a report, as PNG files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure as Canvas

from benchmarks.catalogue import KINDS
from benchmarks.figures import Figure, Report, size_text

__all__ = ["draw"]

#: Told apart also by the colour-blind (Okabe and Ito); objstore is always the first.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#888888", "#f0e442")
DPI = 85  # some 50 KB for each file; they are committed
STYLE = {
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "text.color": "#111111",
    "axes.labelcolor": "#111111",
    "axes.edgecolor": "#444444",
    "xtick.color": "#111111",
    "ytick.color": "#111111",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "axes.axisbelow": True,
    "font.size": 10,
    "axes.titlesize": 11,
    "legend.frameon": False,
}


def draw(report: Report, folder: Path) -> dict[str, str]:
    """Draw what there are figures for.

    Returns:
        The files, by the titles of their benchmarks.
    """
    files = {}
    with matplotlib.rc_context(STYLE):
        for name, drawn in CHARTS.items():
            figures = [figure for figure in report.of_kind(name) if figure.samples]
            if figures:
                canvas = drawn(figures)
                canvas.savefig(folder / f"{name}.png", dpi=DPI)
                files[KINDS[name].title] = f"{name}.png"
        if any(ratio.measured is not None for ratio in report.ratios):
            _draw_promises(report).savefig(folder / "promises.png", dpi=DPI)
            files["The promises"] = "promises.png"
    return files


def _panels(count: int, height: float = 4.0, width: float = 4.6) -> tuple[Canvas, list[Any]]:
    canvas = Canvas(figsize=(width * count, height), layout="constrained")
    return canvas, list(canvas.subplots(1, count, squeeze=False)[0])


def _span(figure: Figure) -> tuple[float, float]:
    """How far the least and the greatest round are from the median."""
    return figure.median - min(figure.samples), max(figure.samples) - figure.median


def _bars(axes: Any, figures: list[Figure], title: str, label: Callable[[Figure], str]) -> None:
    """A horizontal bar for each, the first on top, with its median in figures."""
    values = [figure.median for figure in figures]
    spans = [list(each) for each in zip(*map(_span, figures), strict=True)]
    colours = ["#0072b2" if figure.who.startswith("objstore") else "#aab4be" for figure in figures]
    places = range(len(figures))
    axes.barh(places, values, xerr=spans, color=colours, ecolor="#444444", capsize=2, height=0.7)
    axes.set_yticks(list(places), [label(figure) for figure in figures])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_title(title)
    axes.set_xlabel(figures[0].unit)
    axes.set_xlim(0, max(max(figure.samples) for figure in figures) * 1.22)
    for place, figure in zip(places, figures, strict=True):
        text = f" {figure.median:,.0f}" if figure.median >= 10 else f" {figure.median:.2f}"
        axes.text(max(figure.samples), place, text, va="center", fontsize=9)


#: What only objstore has stands beside what it replaces.
EXTRA = {"get_many": "get", "put_many": "put", "get one by one": ""}


def _by_what(figures: list[Figure]) -> Canvas:
    """A panel of bars for each operation, a bar for each client."""
    panels = [what for what in dict.fromkeys(each.what for each in figures) if what not in EXTRA]
    canvas, all_axes = _panels(len(panels) or 1)
    for what, axes in zip(panels, all_axes, strict=False):
        own = [figure for figure in figures if figure.what == what]
        own += [each for each in figures if EXTRA.get(each.what) == what]
        _bars(axes, own, what, lambda each, what=what: _name(each, what))  # type: ignore[misc]
    return canvas


def _name(figure: Figure, what: str) -> str:
    return figure.who if figure.what == what else f"{figure.who} {figure.what}"


def _limit(figures: list[Figure]) -> Canvas:
    """objstore beside the socket: a panel for each operation and chunk size."""
    sizes = sorted({figure.setting["chunk_size"] for figure in figures})
    keys = [(what, size) for what in ("put", "get") for size in sizes]
    canvas = Canvas(figsize=(11, 5.6), layout="constrained")
    for axes, (what, size) in zip(canvas.subplots(2, len(sizes)).flat, keys, strict=True):
        own = [each for each in figures if each.what == what and each.has(chunk_size=size)]
        text = f", {size >> 10} KiB"
        _bars(
            axes,
            own,
            f"{what} of {size_text(own[0].setting['size'])} in chunks of {size_text(size)}",
            lambda each, text=text: each.who.replace(text, ""),  # type: ignore[misc]
        )
    return canvas


def _lines(
    axes: Any, groups: dict[str, list[Figure]], key: str, title: str, label: str, ticks: Any
) -> None:
    """A line for each group, with the range over the rounds; sizes on a logarithmic axis."""
    for colour, (name, figures) in zip(COLOURS, groups.items(), strict=False):
        ordered = sorted(figures, key=lambda figure: int(figure.setting[key]))
        places = [figure.setting[key] for figure in ordered]
        axes.plot(places, [each.median for each in ordered], "o-", color=colour, label=name, ms=4)
        low, high = ([end(each.samples) for each in ordered] for end in (min, max))
        axes.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)
    every = sorted({each.setting[key] for figures in groups.values() for each in figures})
    axes.set_xscale("log", base=2)
    axes.set_xticks(every, [ticks(each) for each in every], fontsize=8, rotation=30)
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_title(title)
    axes.set_xlabel(label)
    axes.set_ylabel(next(iter(groups.values()))[0].unit)
    if len(groups) > 1:
        axes.legend(fontsize=8)


def _grouped(figures: list[Figure], key: Callable[[Figure], str]) -> dict[str, list[Figure]]:
    groups: dict[str, list[Figure]] = {}
    for figure in figures:
        groups.setdefault(key(figure), []).append(figure)
    return groups


def _sizes(figures: list[Figure]) -> Canvas:
    canvas, all_axes = _panels(2, width=5.2)
    for what, axes in zip(("put", "get"), all_axes, strict=True):
        own = [figure for figure in figures if figure.what == what]
        groups = _grouped(own, lambda each: f"{each.setting['storage']} storage")
        _lines(axes, groups, "size", what, "object size", size_text)
    return canvas


def _chunks(figures: list[Figure]) -> Canvas:
    storages = list(dict.fromkeys(figure.setting["storage"] for figure in figures))
    canvas = Canvas(figsize=(11, 3.9 * len(storages)), layout="constrained")
    keys = [(what, storage) for storage in storages for what in ("put", "get")]
    for axes, (what, storage) in zip(canvas.subplots(len(storages), 2).flat, keys, strict=True):
        own = [each for each in figures if each.what == what and each.has(storage=storage)]
        groups = _grouped(own, lambda each: size_text(each.setting["size"]))
        title = f"{what}, {storage} storage, by object size"
        _lines(axes, groups, "chunk_size", title, "chunk size", size_text)
    return canvas


def _threads(figures: list[Figure]) -> Canvas:
    canvas, all_axes = _panels(2, width=5.2)
    for suffix, axes in zip(("", ": least share"), all_axes, strict=True):
        groups = {
            what: [each for each in figures if each.what == what + suffix]
            for what in ("get", "put")
        }
        title = "the thread that got least" if suffix else "1 KiB objects, all threads together"
        _lines(axes, groups, "threads", title, "threads on one client", str)
    return canvas


def _listing(figures: list[Figure]) -> Canvas:
    canvas, (axes,) = _panels(1, width=5.6)
    ticks: Callable[[int], str] = lambda count: f"{count:,}"  # noqa: E731
    roads = {what: [each for each in figures if each.what == what] for what in ("list", "watch")}
    _lines(axes, roads, "count", "list, watch", "objects in the bucket", ticks)
    return canvas


def _each_unit(figures: list[Figure]) -> Canvas:
    """A panel for each unit, a bar for each operation."""
    units = list(dict.fromkeys(figure.unit for figure in figures))
    canvas, all_axes = _panels(len(units), width=5.2)
    for unit, axes in zip(units, all_axes, strict=True):
        own = [figure for figure in figures if figure.unit == unit]
        _bars(axes, own, "", lambda each: each.what)
    return canvas


def _costs(figures: list[Figure]) -> Canvas:
    """Processor time of client and server, for put and get."""
    canvas = Canvas(figsize=(11, 5.2), layout="constrained")
    keys = [(do, side) for do in ("put", "get") for side in ("client", "server")]
    for axes, (do, side) in zip(canvas.subplots(2, 2).flat, keys, strict=True):
        own = [each for each in figures if each.what == f"{do}: processor time of the {side}"]
        if own:
            _bars(axes, own, f"{do}: processor time of the {side}", lambda each: each.who)
    return canvas


def _cluster(figures: list[Figure]) -> Canvas:
    canvas, (axes,) = _panels(1, width=5.6)
    groups = _grouped(figures, lambda each: each.what)
    _lines(axes, groups, "size", "three servers, three replicas", "object size", size_text)
    return canvas


def _draw_promises(report: Report) -> Canvas:
    """Each promise as a part of its target: right of the line it is kept."""
    ratios = [each for each in report.ratios if each.measured is not None and each.unit == "x"]
    parts = [(each.measured or 0) / each.target for each in ratios]
    canvas = Canvas(figsize=(9, 0.32 * len(ratios) + 1), layout="constrained")
    axes = canvas.subplots()
    colours = ["#009e73" if each.kept else "#d55e00" for each in ratios]
    axes.barh(range(len(ratios)), [min(part, 3) for part in parts], color=colours, height=0.7)
    axes.axvline(1, color="#111111", linewidth=1.2)
    axes.set_yticks(range(len(ratios)), [each.name for each in ratios], fontsize=9)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0, 3.6)
    axes.set_xlabel("measured / target (bars end at 3)")
    for place, (each, part) in enumerate(zip(ratios, parts, strict=True)):
        text = f" {each.measured:.2f} of {each.target:g}"
        axes.text(max(1.0, min(part, 3)), place, text, va="center", fontsize=8)
    return canvas


CHARTS: dict[str, Callable[[list[Figure]], Canvas]] = {
    "large": _by_what,
    "tls": _by_what,
    "small": _by_what,
    "limit": _limit,
    "sizes": _sizes,
    "chunks": _chunks,
    "threads": _threads,
    "listing": _listing,
    "folders": _by_what,
    "sync": _by_what,
    "seek": _each_unit,
    "costs": _costs,
    "cluster": _cluster,
    "wire": _by_what,
}
