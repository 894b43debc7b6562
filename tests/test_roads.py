"""The roads of a small put and a small get are short, and docs/architecture.rst shows them."""

from __future__ import annotations

import pytest

from objstore import ObjectStore
from tests.support.roads import PAGE, Road, picture, roads, trace, with_pictures

pytestmark = pytest.mark.newest_server

#: How many modules the calling thread enters, and how many calls are nested, at the most.
BOUNDS = {
    "put": (15, 8),
    "put over another": (15, 8),
    "get": (14, 8),
    "info": (14, 8),
}


@pytest.fixture
def drawn(store: ObjectStore) -> dict[str, Road]:
    return roads(store)


@pytest.mark.parametrize("name", BOUNDS)
def test_short(drawn: dict[str, Road], name: str) -> None:
    road = drawn[name]
    print("\n".join([f"{len(road.modules)} modules, {road.depth} deep", *picture(road)]))  # noqa: T201 - what is wanted
    modules, depth = BOUNDS[name]
    assert len(road.modules) <= modules, road.modules
    assert road.depth <= depth


def test_the_page_shows_them(drawn: dict[str, Road]) -> None:
    """To mend it: ``python -m tests.support.roads``."""
    text = PAGE.read_text("utf-8")
    assert with_pictures(text, drawn) == text


def test_a_page_without_marks(drawn: dict[str, Road]) -> None:
    with pytest.raises(ValueError, match="no marks for the road of a put"):
        with_pictures("a page", drawn)


def test_a_long_road_is_noticed(store: ObjectStore) -> None:
    """A large put takes the general path, through more modules and deeper."""
    road = trace(lambda: store.put("large", bytes(300_000)))
    assert "put/ack_window" in road.modules
    assert road.depth > 8
