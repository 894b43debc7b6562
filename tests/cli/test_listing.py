"""tree, du, find and fsck; globs."""

from __future__ import annotations

import json

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore import Client, ObjectStore
from objstore.cli.typed.globs import has_glob, literal_prefix, pattern
from tests.cli.conftest import Run

pytestmark = pytest.mark.newest_server


@pytest.fixture
def filled(store: ObjectStore) -> ObjectStore:
    """A bucket with folders."""
    store.put("readme.md", b"x" * 100, mime="text/markdown")
    store.put("2026/a.jpg", b"x" * 2000, mime="image/jpeg")
    store.put("2026/11/b.jpg", b"x" * 3000, mime="image/jpeg")
    store.put("2025/c.txt", b"x" * 10, mime="text/plain")
    store.link("now", (store.name, "2026/a.jpg"))
    return store


def test_tree(run: Run, filled: ObjectStore) -> None:
    lines = run("tree", filled.name).stdout.splitlines()
    assert lines == [
        filled.name,
        "├── 2025/",
        "│   └── c.txt",
        "├── 2026/",
        "│   ├── 11/",
        "│   │   └── b.jpg",
        "│   └── a.jpg",
        f"├── now -> {filled.name}:2026/a.jpg",
        "└── readme.md",
        "5 objects in 3 folders, 5.0 KiB",
    ]
    assert "b.jpg" not in run("tree", filled.name, "-L", "2").stdout
    assert run("tree", f"{filled.name}:2026").stdout.splitlines()[0] == f"{filled.name}:2026"
    assert run("tree", f"{filled.name}:none").exit_code == 1
    objects = run("tree", filled.name, "--json").stdout.splitlines()
    assert json.loads(objects[0])["name"] == "2025/c.txt"


def test_du(run: Run, filled: ObjectStore) -> None:
    lines = run("du", filled.name).stdout.splitlines()
    assert [line.split()[-1] for line in lines] == ["2025/", "2026/", filled.name]
    assert lines[-1].split()[:3] == ["5.0", "KiB", "5"]
    assert run("du", "-s", filled.name).stdout.count("\n") == 1
    rows = [json.loads(line) for line in run("du", filled.name, "--json").stdout.splitlines()]
    assert rows[1] == {"bucket": filled.name, "prefix": "2026/", "bytes": 5000, "objects": 2}
    assert rows[-1] == {"bucket": filled.name, "prefix": "", "bytes": 5110, "objects": 5}


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([], ["2025/c.txt", "2026/11/b.jpg", "2026/a.jpg", "now", "readme.md"]),
        (["--name", "*.jpg"], ["2026/11/b.jpg", "2026/a.jpg"]),
        (["--name", "2026/*.jpg"], ["2026/a.jpg"]),
        (["--larger", "1k", "--smaller", "2.5k"], ["2026/a.jpg"]),
        (["--mime", "text/*"], ["2025/c.txt", "readme.md"]),
        (["--older", "1d"], []),
        (["--newer", "1d", "--name", "c.*"], ["2025/c.txt"]),
    ],
)
def test_find(run: Run, filled: ObjectStore, words: list[str], found: list[str]) -> None:
    result = run("find", filled.name, *words)
    assert (result.exit_code, result.stdout.splitlines()) == (0, found)
    lines = run("find", filled.name, *words, "--json").stdout.splitlines()
    assert [json.loads(line)["name"] for line in lines] == found


@pytest.mark.leaves_chunks("the object's other chunks are left")
def test_fsck(run: Run, client: Client, store: ObjectStore) -> None:
    info = store.put("docs/a.bin", b"x" * 5000, chunk_size=1000)
    assert run("fsck", store.name).stdout == "1 object (4.9 KiB) read: all is well\n"
    assert json.loads(run("fsck", store.name, "docs/a.bin", "--json").stdout)["ok"] is True
    client._jetstream.call(
        f"STREAM.MSG.DELETE.OBJ_{store.name}", {"seq": info.revision - 2}, "deleting"
    )
    result = run("fsck", store.name)
    assert result.exit_code == 4
    assert result.stderr.startswith("objstore: 'docs/a.bin': ")
    assert result.stdout.endswith("1 problem\n")
    fields = json.loads(run("fsck", f"{store.name}:docs/a.bin", "--json").stdout)
    assert fields["problems"][0]["name"] == "docs/a.bin"
    assert run("fsck", f"{store.name}:none").exit_code == 1


# --- globs


@pytest.mark.parametrize(
    ("glob", "fits", "others"),
    [
        ("*.txt", ["a.txt", ".txt"], ["d/a.txt", "a.txt.gz"]),
        ("d/?", ["d/a", "d/é"], ["d/", "d//", "d/ab"]),
        ("**/a", ["a", "d/a", "d/e/a"], ["d/ab", "ba"]),
        ("d/**", ["d/", "d/a/b"], ["e/a"]),
        ("[ab]", ["a", "b"], ["c", "ab", "/"]),
        ("[!a]", ["b"], ["a", "/"]),
        ("[]a]", ["]", "a"], ["b"]),
        ("[a-c^]", ["b", "^"], ["d", "-"]),
        ("a.b", ["a.b"], ["aXb"]),
        ("[a", ["[a"], ["a"]),
    ],
)
def test_what_a_glob_fits(glob: str, fits: list[str], others: list[str]) -> None:
    match = pattern(glob).fullmatch
    assert [name for name in fits if not match(name)] == []
    assert [name for name in others if match(name)] == []


def test_a_set_that_is_none() -> None:
    with pytest.raises(click.UsageError, match=r"'\[b-a\]' is no pattern"):
        pattern("[b-a]")


@given(st.text(alphabet="a/*?[]!^\\.", max_size=12))
def test_any_other_glob_compiles(glob: str) -> None:
    compiled = pattern(glob)
    if not has_glob(glob):
        assert compiled.fullmatch(glob)
    assert literal_prefix(glob) == "" or glob.startswith(literal_prefix(glob))
