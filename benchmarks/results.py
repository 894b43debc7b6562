"""A report as files: JSON, tables, charts."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

from benchmarks.figures import Report
from benchmarks.tables import restructured

__all__ = ["write"]


def write(report: Report, folder: Path) -> list[str]:
    """Write all files of a report.

    Returns:
        What to tell.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = json.dumps(report.as_json(), indent=1, ensure_ascii=False)
    (folder / "results.json").write_text(data + "\n", "utf-8")
    charts: dict[str, str] = {}
    told = [f"written: {folder / 'results.json'}, results.rst"]
    if importlib.util.find_spec("matplotlib"):
        from benchmarks.charts import draw

        charts = draw(report, folder)
        told.append(f"charts: {', '.join(charts.values())}")
    else:
        told.append("no charts: matplotlib is not installed")
    (folder / "results.rst").write_text(restructured(report, charts), "utf-8")
    return told
