"""``docs/promises.rst``: each promise names tests that exist, and words that mislead are gone."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
TEXT = (DOCS / "promises.rst").read_text(encoding="utf-8")

#: The sections whose every point is a promise.
PROMISING = ("When ``put`` returns", "While ``put`` runs", "When ``put`` raises")

_LINK = re.compile(r"`(test_\w+) <(\.\./tests/[\w/]+\.py)>`__")
LINKS = sorted(set(_LINK.findall(TEXT)))


def sections() -> dict[str, str]:
    """What stands under each heading."""
    parts = re.split(r"^(.+)\n[-=]{3,}\n", TEXT, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def points(section: str) -> list[str]:
    """The points of a section, each on one line."""
    found = re.split(r"^- ", sections()[section], flags=re.MULTILINE)[1:]
    return [" ".join(point.split()) for point in found]


@pytest.mark.parametrize(("name", "path"), LINKS)
def test_the_tests_are_there(name: str, path: str) -> None:
    tree = ast.parse((DOCS / path).read_text(encoding="utf-8"))
    assert name in [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


@pytest.mark.parametrize("section", PROMISING)
def test_each_promise_names_a_test(section: str) -> None:
    assert points(section)
    for point in points(section):
        assert _LINK.search(point), point


def test_every_source_is_cited_and_listed() -> None:
    listed = re.findall(r"^\.\. \[(\d+)\]", TEXT, re.MULTILINE)
    assert set(listed) == set(re.findall(r"\[(\d+)\]_", TEXT))
    for number in listed:
        assert f"https://github.com/nats-io/nats-server/issues/{number}>" in TEXT


def test_its_words_are_those_of_the_server() -> None:
    """The setting that there is, and the version from which a killed process loses nothing."""
    assert "sync_always" not in TEXT
    assert "``sync_interval: always``" in TEXT
    assert "2.10.23" in TEXT
    assert "being removed" not in TEXT
