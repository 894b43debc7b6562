"""A report as files: JSON, tables, charts."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

from benchmarks.figures import Report
from benchmarks.tables import restructured, summary

__all__ = ["BEGIN", "END", "write"]

#: Between these lines of a README stand the tables of the reference run.
BEGIN, END = ".. begin of the reference run\n", ".. end of the reference run\n"


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
    if _update(folder.parent / "README.rst", report, folder.name):
        told.append(f"updated: {folder.parent / 'README.rst'}")
    return told


def _update(readme: Path, report: Report, folder: str) -> bool:
    """Write the main tables into the README beside the folder; False where it has no place."""
    text = readme.read_text("utf-8") if readme.exists() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        return False
    chart = f".. image:: {folder}/promises.png\n   :alt: The promises"
    tables = "\n".join(summary(report))
    readme.write_text(f"{before}{begin}\n{tables}\n\n{chart}\n\n{end}{after}", "utf-8")
    return True
