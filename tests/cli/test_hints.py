"""Words of other tools get the line that does it here."""

from __future__ import annotations

import pytest

from tests.cli.conftest import run_alone

pytestmark = pytest.mark.newest_server


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["mb", "s3://photos"], "objstore create photos"),
        (["rb", "photos"], "objstore rmb photos"),
        (["stat", "s3://photos/pets/cat.jpg"], "objstore info photos:pets/cat.jpg"),
        (["ls", "s3://photos/pets/"], "objstore ls photos:pets/"),
        (["upload", "photos", "cat.jpg"], "objstore put photos cat.jpg"),
        (["statsu", "photos"], "objstore status photos"),
    ],
)
def test_a_word_of_another_tool(words: list[str], line: str) -> None:
    result = run_alone(*words)
    assert result.exit_code == 2
    assert f": {line} (" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_word_of_none() -> None:
    result = run_alone("xyzzy")
    assert (result.exit_code, "there is no command 'xyzzy'" in result.stderr) == (2, True)


@pytest.mark.parametrize("words", [["-h"], ["ls", "-h"], ["put", "x", "-h"]])
def test_h_is_help(words: list[str]) -> None:
    result = run_alone(*words)
    assert (result.exit_code, result.stdout[:6]) == (0, "Usage:")
