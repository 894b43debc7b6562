"""cp and mv."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from objstore import Client, ObjectStore
from tests.cli.conftest import Run, run_alone

pytestmark = pytest.mark.newest_server


def names(store: ObjectStore) -> list[str]:
    return sorted(info.name for info in store.list())


def files(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files, which is the current one."""
    for name in ("a.txt", "b.txt", "sub/c.txt", "sub/d.tmp", "sub/deep/e"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
        os.utime(path, (1_000_000_000, 1_000_000_000))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def other(shared_client: Client, store: ObjectStore) -> ObjectStore:
    """Another bucket."""
    return shared_client.object_store(f"{store.name}-other", create=True)


# --- cp


@pytest.mark.parametrize(
    ("target", "name"),
    [("", "a.txt"), ("folder/", "folder/a.txt"), ("new", "new"), ("x:y", "x:y")],
)
def test_a_file_into_a_bucket(
    run: Run, store: ObjectStore, here: Path, target: str, name: str
) -> None:
    result = run("cp", "a.txt", f"{store.name}:{target}")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{name}  5 B  ")
    info = store.info(name)
    assert info is not None
    assert info.metadata["mtime"] == "2001-09-09T01:46:40.000000000Z"
    assert (here / "a.txt").exists()


def test_there_and_back(run: Run, store: ObjectStore, here: Path) -> None:
    assert run("cp", "a.txt", "b.txt", f"{store.name}:p/").exit_code == 0
    assert names(store) == ["p/a.txt", "p/b.txt"]
    (here / "to").mkdir()
    assert run("cp", f"{store.name}:p/*.txt", "to").exit_code == 0
    assert files(here / "to") == {"a.txt": b"a.txt", "b.txt": b"b.txt"}
    assert (here / "to" / "a.txt").stat().st_mtime == 1_000_000_000
    assert run("cp", f"{store.name}:p/a.txt", "./with:colon").exit_code == 0
    assert (here / "with:colon").read_bytes() == b"a.txt"
    result = run("cp", "./with:colon", f"{store.name}:", "--json")
    assert json.loads(result.stdout)["name"] == "with:colon"


def test_folders(run: Run, store: ObjectStore, here: Path) -> None:
    """They keep their names as files do."""
    result = run("cp", "-r", "sub", f"{store.name}:")
    assert result.stdout == "3 copied (28 B), 0 unchanged\n"
    assert names(store) == ["sub/c.txt", "sub/d.tmp", "sub/deep/e"]
    assert run("cp", "-r", "sub", f"{store.name}:new", "--exclude", "*.tmp").exit_code == 0
    assert names(store)[:2] == ["new/c.txt", "new/deep/e"]
    (here / "to").mkdir()
    assert run("cp", "-r", f"{store.name}:new", "to").exit_code == 0
    assert run("cp", "-r", f"{store.name}:new/", "named", "--include", "deep").exit_code == 0
    assert files(here / "to") == {"new/c.txt": b"sub/c.txt", "new/deep/e": b"sub/deep/e"}
    assert files(here / "named") == {"deep/e": b"sub/deep/e"}
    assert run("cp", "-r", f"{store.name}:", "all").exit_code == 0
    assert len(files(here / "all")) == 5


def test_bucket_to_bucket(run: Run, store: ObjectStore, other: ObjectStore) -> None:
    store.put("p/a", b"1", metadata={"k": "v"})
    store.put("p/b", b"2")
    assert run("cp", f"{store.name}:p/a", f"{other.name}:").exit_code == 0
    assert run("cp", f"{store.name}:p/*", f"{other.name}:q/").exit_code == 0
    assert run("cp", "-r", f"{store.name}:p", f"{other.name}:").exit_code == 0
    assert names(other) == ["a", "p/a", "p/b", "q/a", "q/b"]
    info = other.info("a")
    assert info is not None
    assert info.metadata == {"k": "v"}
    assert run("cp", f"{store.name}:p/a", f"{store.name}:c").exit_code == 0
    assert store.read_bytes("c") == b"1"


def test_stdin_and_stdout(run: Run, store: ObjectStore) -> None:
    assert run("cp", "-", f"{store.name}:x", stdin=b"from stdin").exit_code == 0
    result = run("cp", f"{store.name}:x", "-")
    assert (result.exit_code, result.stdout_bytes) == (0, b"from stdin")
    assert run("cp", "-", f"{store.name}:").exit_code == 2


def test_what_cannot_be_there_is_told(run: Run, store: ObjectStore, here: Path) -> None:
    store.put("p/docs/", b"x")
    store.put("p/fine", b"x")
    result = run("cp", "-r", f"{store.name}:p", "to")
    assert result.exit_code == 4
    assert "refused: p/docs/: cannot be the path of a file: a part of it is empty" in result.stderr
    assert files(here / "to") == {"fine": b"x"}
    os.mkfifo(here / "sub" / "pipe")
    result = run("cp", "-r", "sub", f"{store.name}:")
    assert result.exit_code == 0
    assert result.stderr == "objstore: left out: sub/pipe: no regular file\n"


# --- mv


def test_files_are_moved(run: Run, store: ObjectStore, here: Path) -> None:
    assert run("mv", "a.txt", "b.txt", f"{store.name}:p/").exit_code == 0
    assert names(store) == ["p/a.txt", "p/b.txt"]
    assert not (here / "a.txt").exists()
    assert run("mv", f"{store.name}:p/a.txt", ".").exit_code == 0
    assert names(store) == ["p/b.txt"]
    assert (here / "a.txt").read_bytes() == b"a.txt"


def test_renaming(run: Run, store: ObjectStore) -> None:
    """The object itself: its chunks stay where they are."""
    before = store.put("old", b"x")
    assert run("mv", store.name, "old", "new").exit_code == 0
    assert run("mv", f"{store.name}:new", f"{store.name}:folder/").exit_code == 0
    info = store.info("folder/new")
    assert info is not None
    assert info.nuid == before.nuid
    store.put("there", b"mine")
    result = run("mv", store.name, "there", "folder/new")
    assert result.exit_code == 4
    assert store.read_bytes("there") == b"mine"
    assert run("mv", store.name, "nothing", "x").exit_code == 1


def test_folders_are_moved(run: Run, store: ObjectStore, other: ObjectStore, here: Path) -> None:
    """What is left out stays."""
    assert run("mv", "-r", "sub", f"{store.name}:", "--exclude", "*.tmp").exit_code == 0
    assert names(store) == ["sub/c.txt", "sub/deep/e"]
    assert files(here / "sub") == {"d.tmp": b"sub/d.tmp"}
    assert not (here / "sub" / "deep").exists()
    assert run("mv", "-r", f"{store.name}:sub", f"{other.name}:p").exit_code == 0
    assert (names(store), names(other)) == ([], ["p/c.txt", "p/deep/e"])
    other.put("p/docs/", b"x")
    other.put("p/f.tmp", b"x")
    result = run("mv", "-r", f"{other.name}:p", "back", "--exclude", "*.tmp")
    assert result.exit_code == 4
    assert names(other) == ["p/docs/", "p/f.tmp"]
    assert files(here / "back") == {"c.txt": b"sub/c.txt", "deep/e": b"sub/deep/e"}


@pytest.mark.parametrize("words", [["cp", "a.txt"], ["mv", "a.txt"], ["sync", "sub"]])
def test_create(
    run: Run, shared_client: Client, store: ObjectStore, here: Path, words: list[str]
) -> None:
    """A missing bucket is made where it is asked for, and never one that is read from."""
    new, lost = f"{store.name}-new", f"{store.name}-lost"
    assert run(*words, f"{new}:").exit_code == 1
    assert run(words[0], f"{lost}:x", f"{new}:", "--create").exit_code == 1
    assert not {new, lost} & {each.bucket for each in shared_client.list_stores()}
    assert run(*words, f"{new}:", "--create").exit_code == 0
    assert names(shared_client.object_store(new, create=False))
    assert (
        run(words[0], f"{new}:", "back", "--create", *["-r"][: words[0] != "sync"]).exit_code == 0
    )


def test_an_embedded_server(here: Path) -> None:
    """It creates a missing bucket, but not for a look."""
    options = ["--embedded", "data"]
    assert run_alone(*options, "sync", "sub", "new:", "--dry-run").exit_code == 1
    assert run_alone(*options, "check", "new:", "sub").exit_code == 1
    assert run_alone(*options, "cp", "a.txt", "new:").exit_code == 0
    assert run_alone(*options, "cat", "new:a.txt").stdout == "a.txt"


# --- what makes no sense


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["cp", "a.txt", "docs/"], "objstore cp a.txt docs:"),
        (["cp", "a.txt", "docs"], "objstore cp a.txt docs:"),
        (["cp", "a.txt", "docs/x/y"], "objstore cp a.txt docs:x/y"),
        (["cp", "docs/x.txt", "."], "objstore cp docs:x.txt ."),
        (["mv", "a.txt", "/docs"], "objstore mv a.txt BUCKET:"),
        (["cp", "s3://docs/x", "."], "objstore cp docs:x ."),
    ],
)
def test_the_line_that_is_meant(here: Path, words: list[str], line: str) -> None:
    result = run_alone(*words)
    assert result.exit_code == 2
    assert line in result.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["cp", "a.txt"], "where to?"),
        (["cp", "nothing", "{}:"], "there is no file 'nothing'"),
        (["cp", "sub", "{}:"], "is a directory: -r"),
        (["cp", "a.txt", "b.txt", "{}:x"], "is no folder"),
        (["cp", "{}:", "."], "which object of"),
        (["cp", "{}:p/*", "{}:x"], "several objects need; try a / at its end"),
        (["cp", "{}:p/a", "{}:p/a"], "onto itself"),
        (["cp", "{}:p/a", "{}:p/"], "onto itself"),
        (["cp", "-r", "{}:p", "{}:p/q"], "into itself"),
        (["cp", "-r", "{}:p", "-"], "to stdout"),
        (["cp", "{}:**", "sub/"], "the same name"),
        (["cp", "{}:p/a", "missing/a"], "there is no directory"),
        (["cp", "a.txt", "{}:", "--exclude", "[z-a]"], "no pattern"),
        (["mv", "-", "{}:x"], "cannot be moved"),
        (["mv", "{}:p/a", os.devnull], "no regular file"),
    ],
)
def test_bad_input(run: Run, store: ObjectStore, here: Path, words: list[str], told: str) -> None:
    """Said before anything is sent."""
    for name in ("p/a", "p/b", "q/a"):
        store.put(name, b"x")
    before = files(here)
    result = run(*(word.format(store.name) for word in words))
    assert result.exit_code == 2
    assert told in result.stderr
    assert names(store) == ["p/a", "p/b", "q/a"]
    assert files(here) == before


@pytest.mark.parametrize(
    "words",
    [
        ["cp", "{}:nothing", "."],
        ["cp", "{}:*.none", "."],
        ["cp", "-r", "{}:none", "to"],
        ["cp", "-r", "{}:none", "{}:to/"],
        ["cp", "a.txt", "no-such-bucket:"],
    ],
)
def test_what_is_not_there(run: Run, store: ObjectStore, here: Path, words: list[str]) -> None:
    result = run(*(word.format(store.name) for word in words))
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
