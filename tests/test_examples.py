"""The examples run, and do what they say."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

pytestmark = pytest.mark.newest_server

EXAMPLES = Path(__file__).parent.parent / "examples"

#: What each prints, or how that begins; and the package it needs beside objstore.
PRINTED = {
    "zip_member": ("this is file 42\n", ""),
    "log_tail": ("199997: all is well\n199998: all is well\n199999: all is well\n", ""),
    "video_ranges": (
        "206 bytes 5000000-5000999/10240000 1000\n"
        "206 bytes 10239500-10239999/10240000 500\n"
        "416 bytes */10240000 0\n"
        "304 None 0\n",
        "",
    ),
    "sqlite_page": ("word number 77777\n", ""),
    "png_size": ("1600 x 900\n", "PIL"),
    "parquet_columns": ("50018.362\n", "pyarrow"),
    "prometheus_metrics": (
        'objstore_bytes_total{bucket="photos",operation="put"} 1e+06\n'
        'objstore_bytes_total{bucket="photos",operation="get"} 1e+06\n'
        'objstore_errors_total{bucket="photos",error="ObjectNotFoundError",operation="get"} 1.0\n',
        "prometheus_client",
    ),
}


def test_all_examples_are_tested() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(PRINTED)


@pytest.mark.parametrize("example", PRINTED)
def test_example(example: str, capsys: pytest.CaptureFixture[str]) -> None:
    printed, package = PRINTED[example]
    if package:
        pytest.importorskip(package)
    runpy.run_path(str(EXAMPLES / f"{example}.py"), run_name="__main__")
    assert capsys.readouterr().out.startswith(printed)
