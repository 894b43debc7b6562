"""A short run of the checker: what it is, and what longer ones look like, it says itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.checker import Alone, run

pytestmark = pytest.mark.newest_server


def test_a_short_run(tmp_path: Path) -> None:
    with Alone(tmp_path) as servers:
        report = run(5, 10.0, servers, tmp_path)
    assert report.violations == [], str(report)
    done = {(op.kind, op.outcome) for op in report.history}
    assert {("put", "ok"), ("update", "ok"), ("delete", "ok"), ("read", "ok")} <= done
    kinds = ("kill", "restart", "pause", "cut", "cut_at", "stall")
    assert all(report.faults[kind] for kind in kinds), str(report)
