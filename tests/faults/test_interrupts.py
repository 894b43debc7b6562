"""A short storm of Ctrl-C; ``python -m tests.faults.interrupts`` has longer ones."""

from __future__ import annotations

import pytest

from objstore import LocalServer
from tests.faults.interrupts import storm

# A Ctrl-C that strikes in coverage's own code leaves coverage's lock taken, and all stand still.
pytestmark = [pytest.mark.interrupts, pytest.mark.newest_server]


def test_a_short_storm() -> None:
    with LocalServer() as server:
        result = storm(server, 20, 1)
    assert result.problems == []
    assert result.hits.total() == 20
    assert result.hits["put"]
    assert result.hits["get"]
