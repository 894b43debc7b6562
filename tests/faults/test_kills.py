"""Some kills amid puts and gets; ``python -m tests.faults.kills`` has more."""

from __future__ import annotations

from pathlib import Path

import pytest

from objstore import LocalServer
from tests.faults.kills import run

pytestmark = pytest.mark.newest_server


def test_some_kills(tmp_path: Path) -> None:
    with LocalServer(tmp_path) as server:
        result = run(server, 6, 1)
    assert result.problems == [], str(result)
    assert result.ends.total() == 6
