"""sync and check."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from objstore import Client, ObjectStore
from tests.cli.conftest import Run, run_alone
from tests.cli.test_copying import files, names

pytestmark = pytest.mark.newest_server


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with files."""
    root = tmp_path / "site"
    for name in ("index.html", "css/main.css", "cache/x.tmp"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return root


@pytest.fixture
def other(shared_client: Client, store: ObjectStore) -> ObjectStore:
    """Another bucket."""
    return shared_client.object_store(f"{store.name}-other", create=True)


# --- sync


def test_a_folder_there_and_back(run: Run, store: ObjectStore, site: Path, tmp_path: Path) -> None:
    """The contents, as they are; the second time nothing is to do."""
    result = run("sync", str(site), f"{store.name}:v1")
    assert (result.exit_code, result.stdout) == (0, "3 copied (33 B), 0 unchanged\n")
    assert names(store) == ["v1/cache/x.tmp", "v1/css/main.css", "v1/index.html"]
    result = run("sync", str(site), f"{store.name}:v1/")
    assert result.stdout == "0 copied (0 B), 3 unchanged\n"
    assert run("sync", f"{store.name}:v1", str(tmp_path / "to")).exit_code == 0
    assert files(tmp_path / "to") == files(site)
    for name in files(site):
        assert (tmp_path / "to" / name).stat().st_mtime_ns == (site / name).stat().st_mtime_ns
    result = run("sync", f"{store.name}:v1", str(tmp_path / "to"))
    assert result.stdout == "0 copied (0 B), 3 unchanged\n"


def test_nothing_is_read_where_nothing_has_changed(
    run: Run, store: ObjectStore, site: Path
) -> None:
    """Unless asked for: content that the time does not tell of is seen with --checksum alone."""
    run("sync", str(site), f"{store.name}:")
    path = site / "index.html"
    before = path.stat().st_mtime_ns
    path.write_bytes(b"INDEX.HTML")
    os.utime(path, ns=(before, before))
    assert run("sync", str(site), f"{store.name}:").stdout == "0 copied (0 B), 3 unchanged\n"
    os.utime(path, ns=(before + 1, before + 1))
    result = run("sync", str(site), f"{store.name}:", "--size-only")
    assert result.stdout == "0 copied (0 B), 3 unchanged\n"
    os.utime(path, ns=(before, before))
    result = run("sync", str(site), f"{store.name}:", "--checksum")
    assert result.stdout == "1 copied (10 B), 2 unchanged\n"
    assert store.read_bytes("index.html") == b"INDEX.HTML"


def test_a_plan(run: Run, store: ObjectStore, site: Path) -> None:
    """It says what would be done, and nothing is."""
    store.put("index.html", b"old")
    store.put("gone", b"x")
    words = ["sync", str(site), f"{store.name}:", "--delete"]
    result = run(*words, "--dry-run")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "copy     cache/x.tmp",
        "copy     css/main.css",
        "replace  index.html",
        "delete   gone",
        "3 would be copied (33 B), 0 unchanged, 1 would be deleted",
    ]
    assert names(store) == ["gone", "index.html"]
    result = run(*words, "--json")
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {"action": action, "name": name, "reason": None, "dry_run": False}
        for action, name in [
            ("copy", "cache/x.tmp"),
            ("copy", "css/main.css"),
            ("replace", "index.html"),
            ("delete", "gone"),
        ]
    ]
    assert names(store) == ["cache/x.tmp", "css/main.css", "index.html"]


@pytest.mark.parametrize(("most", "code"), [("1", 4), ("2", 0)])
def test_max_delete(run: Run, store: ObjectStore, site: Path, most: str, code: int) -> None:
    """If it were more, nothing is done at all."""
    for name in ("a", "b"):
        store.put(name, b"x")
    result = run("sync", str(site), f"{store.name}:", "--delete", "--max-delete", most)
    assert result.exit_code == code
    assert len(names(store)) == (2 if code else 3)
    assert ("2 would be deleted, more than --max-delete 1" in result.stderr) is (code == 4)


def test_deleting_files(run: Run, store: ObjectStore, site: Path) -> None:
    """What globs leave out stays."""
    store.put("css/new.css", b"x")
    words = ["sync", f"{store.name}:", str(site), "--exclude", "cache/"]
    assert run(*words).exit_code == 0
    assert len(files(site)) == 4
    assert run(*words, "--delete", "--include", "*.css").exit_code == 0
    assert sorted(files(site)) == ["cache/x.tmp", "css/new.css", "index.html"]


def test_bucket_to_bucket(run: Run, store: ObjectStore, other: ObjectStore) -> None:
    info = store.put("p/a", b"1", metadata={"k": "v"})
    store.put("p/b", b"2")
    store.put("p/c.tmp", b"3")
    store.link("p/link", info)
    store.link_store("p/all", other)
    other.put("q/b", b"x")
    other.put("q/gone", b"x")
    words = ["sync", f"{store.name}:p", f"{other.name}:q", "--exclude", "*.tmp"]
    result = run(*words, "--delete", "--dry-run")
    assert result.stdout.splitlines() == [
        "copy     q/a",
        "replace  q/b",
        "copy     q/link",
        "delete   q/gone",
        "3 would be copied (3 B), 0 unchanged, 1 would be deleted",
    ]
    assert run(*words, "--delete").exit_code == 0
    assert names(other) == ["q/a", "q/b", "q/link"]
    assert (other.read_bytes("q/link"), other.read_bytes("q/b")) == (b"1", b"2")
    copied = other.info("q/a")
    assert copied is not None
    assert copied.metadata == {"k": "v"}
    result = run(*words)
    assert result.stdout == "0 copied (0 B), 3 unchanged\n"
    assert result.stderr == "objstore: left out: p/all: a link to a whole bucket\n"


def test_what_cannot_be_there(run: Run, store: ObjectStore, tmp_path: Path) -> None:
    """Each is told, the rest goes on, and the exit code says so."""
    for name in ("docs/", "../out", "fine"):
        store.put(name, b"x")
    words = ["sync", f"{store.name}:", str(tmp_path / "to")]
    result = run(*words)
    assert result.exit_code == 4
    assert [line.split(": ")[:3] for line in result.stderr.splitlines()] == [
        ["objstore", "refused", "docs/"],
        ["objstore", "refused", "../out"],
    ]
    assert files(tmp_path) == {"to/fine": b"x"}
    refused = [json.loads(line) for line in run(*words, "--json").stdout.splitlines()]
    assert [each["action"] for each in refused] == ["refuse", "refuse"]


def test_what_is_left_out_is_told(run: Run, store: ObjectStore, site: Path) -> None:
    os.mkfifo(site / "pipe")
    (site / "nothing in it").mkdir()
    (site / "link").symlink_to(site / "css")
    result = run("sync", str(site), f"{store.name}:")
    assert result.exit_code == 0
    assert sorted(result.stderr.splitlines()) == [
        "objstore: left out: link: a link to a folder",
        "objstore: left out: nothing in it/: an empty folder",
        "objstore: left out: pipe: no regular file",
    ]


def test_a_slip_of_the_pen_deletes_nothing(run: Run, store: ObjectStore, site: Path) -> None:
    """A folder that is not there is not an empty one."""
    before = files(site)
    store.put("x", b"x")
    result = run("sync", f"{store.name}:sight", str(site), "--delete")
    assert result.exit_code == 1
    assert "there is no folder 'sight'" in result.stderr
    assert files(site) == before
    result = run("sync", f"{site}-not", f"{store.name}:", "--delete")
    assert result.exit_code == 2
    assert names(store) == ["x"]


@pytest.mark.parametrize("words", [[], ["--dry-run"]])
def test_a_bucket_that_is_not_there(run: Run, site: Path, words: list[str]) -> None:
    result = run("sync", str(site), "no-such-bucket:", *words)
    assert result.exit_code == 1
    assert "create no-such-bucket" in result.stderr


def test_many_small_files(run: Run, store: ObjectStore, tmp_path: Path) -> None:
    """They go through the pipelined calls, each way."""
    root = tmp_path / "many"
    root.mkdir()
    for number in range(300):
        (root / f"{number}").write_bytes(b"%d" % number)
    assert run("sync", str(root), f"{store.name}:").exit_code == 0
    assert run("sync", f"{store.name}:", str(tmp_path / "to")).exit_code == 0
    assert files(tmp_path / "to") == files(root)


# --- check


def test_check(run: Run, store: ObjectStore, other: ObjectStore, site: Path) -> None:
    """It tells, and changes nothing."""
    assert run("sync", str(site), f"{store.name}:").exit_code == 0
    sides = [str(site), f"{store.name}:"]
    for words in (sides, sides[::-1], [*sides, "--checksum"]):
        result = run("check", *words)
        assert (result.exit_code, result.stdout) == (0, "0 differ, 3 are the same\n")
    (site / "index.html").write_bytes(b"changed")
    (site / "new").write_bytes(b"new")
    store.delete("css/main.css")
    store.put("away", b"x")
    before = names(store), files(site)
    result = run("check", *sides)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "differs      index.html",
        "only in SRC  css/main.css",
        "only in SRC  new",
        "only in DST  away",
        "4 differ, 1 are the same",
    ]
    result = run("check", *sides[::-1], "--json", "--include", "*.css", "--include", "away")
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {"name": "away", "difference": "only in SRC"},
        {"name": "css/main.css", "difference": "only in DST"},
    ]
    result = run("check", f"{store.name}:", f"{other.name}:")
    assert result.exit_code == 1
    assert (names(store), files(site)) == before
    assert names(other) == []


# --- what makes no sense


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["sync", "a", "docs"], "objstore sync a docs:"),
        (["check", "docs/x", "."], "objstore check docs:x ."),
        (["sync", "docs:", "docs:backup"], "in each other"),
        (["sync", "-", "docs:"], "no folders"),
        (["sync", "a", "docs:", "--checksum", "--size-only"], "do not go together"),
        (["sync", "a", "docs:", "--max-delete", "3"], "together with --delete"),
        (["sync", "a", "docs:", "--delete", "--max-delete", "-1"], "--max-delete"),
        (["sync", "a", "docs:", "--exclude", "/"], "no glob"),
        (["sync", "a"], "DST"),
    ],
)
def test_bad_input(words: list[str], told: str) -> None:
    result = run_alone(*words)
    assert result.exit_code == 2
    assert told in result.stderr


def test_permissions(run: Run, store: ObjectStore, site: Path, tmp_path: Path) -> None:
    """Kept where asked, by each that copies files, and shown in a plan."""
    (site / "index.html").chmod(0o640)
    assert run("sync", str(site), f"{store.name}:").exit_code == 0
    words = ["sync", str(site), f"{store.name}:", "--mode"]
    assert "update   index.html\n" in run(*words, "--dry-run").stdout
    assert "3 updated (time or mode)" in run(*words).stdout
    assert run(*words).stdout == "0 copied (0 B), 3 unchanged\n"
    to = tmp_path / "to"
    to.mkdir()
    for copy in (
        ["sync", f"{store.name}:", f"{to}/sync"],
        ["get", "-r", store.name, "-o", f"{to}/get"],
        ["cp", "-r", f"{store.name}:", f"{to}/cp"],
        ["cp", f"{store.name}:index.html", f"{to}/index.html"],
    ):
        assert run(*copy, "--mode", "--jobs", "2").exit_code == 0
    kept = [path.stat().st_mode & 0o777 for path in to.rglob("index.html")]
    assert kept == [0o640] * 4
    assert run("cp", "--mode", f"{site}/index.html", f"{store.name}:one").exit_code == 0
    info = store.info("one")
    assert info is not None
    assert info.metadata["mode"] == "0100640"
