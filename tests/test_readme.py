"""The README's examples run, and its two commands are the ones that CI runs."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from objstore import LocalServer

pytestmark = pytest.mark.newest_server

README = Path(__file__).parent.parent / "README.rst"
TEST_COMMAND = (
    'python3 -m venv .venv && .venv/bin/pip install -e ".[test]" && .venv/bin/python -m pytest'
)


def blocks(language: str) -> list[str]:
    """The README's code blocks in a language."""
    found = re.findall(rf"\.\. code-block:: {language}\n\n((?:    .*\n|\n)+)", README.read_text())
    return [textwrap.dedent(block) for block in found]


@pytest.mark.parametrize("example", blocks("python"), ids=lambda text: text.split("\n")[2].strip())
def test_example(
    example: str, server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NATS_URL", server.url)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "setup.py").write_bytes(b"a file")
    exec(compile(example, str(README), "exec"), {"__name__": "readme"})


def test_the_test_command_is_the_one_that_ci_runs() -> None:
    assert TEST_COMMAND in [line for block in blocks("sh") for line in block.splitlines()]
    ci = README.parent / ".ci" / "run"
    if ci.exists():  # not among the tests that run against the built wheel
        assert TEST_COMMAND in ci.read_text()
