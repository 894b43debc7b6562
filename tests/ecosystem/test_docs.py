"""What the guide to pandas and friends shows runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_docs import ECOSYSTEM, examples, somewhere

__all__ = ["somewhere"]  # the fixture

EXAMPLES = examples([ECOSYSTEM])


@pytest.mark.parametrize(("place", "example"), EXAMPLES, ids=[place for place, _ in EXAMPLES])
def test_example(place: str, example: str, somewhere: Path) -> None:
    exec(compile(example, place, "exec"), {"__name__": "example"})
