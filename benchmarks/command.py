"""The command: ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from benchmarks.catalogue import KINDS
from benchmarks.figures import Report
from benchmarks.ground import Ground, Scale
from benchmarks.promises import promises
from benchmarks.results import write
from benchmarks.run import Run
from benchmarks.tables import terminal

__all__ = ["main"]

HERE = Path(__file__).parent / "results"


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure objstore against a nats-server of its own, beside other clients.",
        epilog=f"The benchmarks: {', '.join(KINDS)}.",
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="the main ratios, in under a minute")
    add("--only", nargs="+", metavar="NAME", choices=KINDS, help="only these benchmarks")
    add("--rounds", type=int, metavar="N", help="rounds that count (5; quick: 3)")
    add("--no-peers", action="store_true", help="without other clients")
    add(
        "--results",
        type=Path,
        metavar="DIR",
        help=f"write JSON, tables and charts here (the reference run: {HERE.name}/ beside this)",
    )
    add("--redraw", action="store_true", help="measure nothing: tables and charts of DIR's JSON")
    options = parser.parse_args(arguments)
    if options.redraw and options.results is None:
        parser.error("--redraw needs --results")
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds must be positive")
    return options


def _measure(options: argparse.Namespace) -> Report:
    """Run the benchmarks, one after the other."""
    scale = Scale(
        options.quick, options.rounds or (3 if options.quick else 5), not options.no_peers
    )
    chosen = options.only or [
        name for name, kind in KINDS.items() if kind.seconds[1] or not scale.quick
    ]
    weights = {name: KINDS[name].seconds[scale.quick] or 10 for name in chosen}
    seconds: dict[str, int] = {}
    layout = "{l_bar}{bar}| {elapsed}<{remaining} {postfix}"
    with (
        Ground() as ground,
        tqdm(total=sum(weights.values()), bar_format=layout, dynamic_ncols=True) as bar,
    ):
        run = Run(ground, scale, bar)
        run.report.machine = ground.machine()
        for name in chosen:
            bar.set_description(name)
            started = time.monotonic()
            try:
                KINDS[name].run(run)
            except Exception as error:  # noqa: BLE001 - the others' figures are not lost
                run.skip(f"{name} broke off: {type(error).__name__}: {error}")
            seconds[name] = round(time.monotonic() - started)
            bar.update(weights[name])
    report = run.report
    report.machine["quick"] = scale.quick
    report.machine["rounds"] = scale.rounds
    report.machine["seconds"] = seconds
    report.machine["date"] = time.strftime("%Y-%m-%d")
    report.ratios = promises(report)
    return report


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write. The exit code says nothing of how fast it was."""
    options = _parse(arguments)
    if options.redraw:
        data = json.loads((options.results / "results.json").read_text("utf-8"))
        report = Report.from_json(data)
        report.ratios = promises(report)
    else:
        report = _measure(options)
    print(terminal(report))
    if options.results is not None:
        for line in write(report, options.results):
            print(line)
