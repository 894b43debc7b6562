"""A short storm of Ctrl-C; ``python -m tests.faults.interrupts`` has longer ones."""

from __future__ import annotations

from collections import Counter

import pytest

from objstore import LocalServer
from tests.faults.interrupts import storm

# A Ctrl-C that strikes in coverage's own code leaves coverage's lock taken, and all stand still.
pytestmark = [pytest.mark.interrupts, pytest.mark.newest_server]


def test_a_short_storm() -> None:
    """Which operations are hit is chance, and the machine's; it goes on until both kinds were."""
    hits: Counter[str] = Counter()
    with LocalServer() as server:
        for seed in range(1, 11):
            result = storm(server, 20, seed)
            assert result.problems == []
            assert result.hits.total() == 20
            hits += result.hits
            if hits["put"] and hits["get"]:
                break
    assert hits["put"]
    assert hits["get"]
