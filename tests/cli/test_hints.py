"""Words of other tools get the line that does it here."""

from __future__ import annotations

from pathlib import Path

import pytest

from objstore import ObjectStore
from tests.cli.conftest import Run, run_alone

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
        (["s3", "ls", "s3://photos/"], "objstore ls photos:"),
        (["s3api", "head-object", "--bucket", "b", "--key", "k"], "objstore info b:k"),
        (["list-buckets"], "objstore ls"),
        (["mirror", "--overwrite", "--remove", "a", "b:"], "objstore sync --delete a b:"),
        (["help", "ls"], "objstore ls --help"),
        (["create", "s3://photos"], "objstore create photos:"),
        (["ls", "photos/pets/"], "objstore ls photos:pets/"),
        (["status", "photos/"], "objstore status photos"),
        (["cp", "-r", "site", "web/v1"], "objstore cp -r site web:v1"),
        (["cp", "web/cat.jpg", "."], "objstore cp web:cat.jpg ."),
        (["mv", "web/cat.jpg", "web/dog.jpg"], "objstore mv web:cat.jpg web:dog.jpg"),
        (["sync", "site", "web", "--delete"], "objstore sync site web: --delete"),
    ],
)
def test_a_word_of_another_tool(words: list[str], line: str) -> None:
    result = run_alone(*words)
    assert result.exit_code == 2
    assert f": {line} (" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["pipe", "b:x"], "objstore put BUCKET:NAME -"),
        (["presign", "b:x"], "no addresses of their own"),
        (["ls", "-R", "b"], "no option -R: here it is -r"),
        (["sync", "a", "b:", "--dryrun"], "here it is --dry-run"),
        (["ls", "--human-readable"], "sizes are always readable"),
        (["find", "b", "-name", "x"], "write --name"),
        (["sync", "a", "b:", "--no-such-option"], "No such option"),
        (["sync", "a", "b:", "--exclude", "*", "--include", "*.jpg"], "leaves all out"),
        (["seal", "b:x"], "a bucket is meant: b"),
    ],
)
def test_what_others_have(words: list[str], told: str) -> None:
    """Commands and options that there are none of are answered by what there is."""
    result = run_alone(*words)
    assert result.exit_code == 2
    assert told in result.stderr


@pytest.mark.parametrize("words", [["ls", "s3://photos"], ["ls", "photos/"]])
@pytest.mark.parametrize(
    "server", [["--server", "nats://u:secret@h"], ["--server=nats://secret@h"]]
)
def test_a_line_that_is_meant_has_no_secrets(words: list[str], server: list[str]) -> None:
    """They would be in a log."""
    result = run_alone(*server, *words)
    assert result.exit_code == 2
    assert "***@h" in result.stderr
    assert "secret" not in result.stderr


def test_the_bucket_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cat.jpg").touch()
    result = run_alone("put", "cat.jpg", "photos:", "--create")
    assert result.exit_code == 2
    assert "the bucket comes first: did you mean: objstore put photos: cat.jpg" in result.stderr
    assert "'a:b' does not exist" in run_alone("put", "photos", "a:b").stderr


def test_a_folder_is_no_object(run: Run, store: ObjectStore) -> None:
    store.put("pets/cat.jpg", b"")
    for words in (["cat"], ["get"], ["rm"], ["info"], ["cp"]):
        result = run(*words, f"{store.name}:pets", *(["."] if words == ["cp"] else []))
        assert result.exit_code == 1
        assert "it is a folder: -r takes all in it, or a glob, 'pets/**'" in result.stderr
    assert run("rm", "-r", f"{store.name}:pets").stdout == "1 deleted\n"


def test_readable_sizes_may_be_asked_for(run: Run, store: ObjectStore) -> None:
    store.put("x", bytes(2048))
    assert run("ls", "-lh", store.name).stdout == run("ls", "-l", store.name).stdout
    assert run("du", "-sh", store.name).stdout == run("du", "-s", store.name).stdout


def test_a_word_of_none() -> None:
    result = run_alone("xyzzy")
    assert (result.exit_code, "there is no command 'xyzzy'" in result.stderr) == (2, True)


@pytest.mark.parametrize("words", [["-h"], ["ls", "-h"], ["put", "x", "-h"]])
def test_h_is_help(words: list[str]) -> None:
    result = run_alone(*words)
    assert (result.exit_code, result.stdout[:6]) == (0, "Usage:")
