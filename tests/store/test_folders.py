"""Whole folders, both ways."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import objstore
from objstore import (
    Client,
    FolderReport,
    InvalidOptionError,
    ObjectInfo,
    ObjectStore,
    PayloadFileError,
)
from objstore.model.file_attributes import mtime_text
from objstore.model.globs import Selection
from objstore.store.folder_names import folds_case, paths_for
from objstore.store.folder_options import Compare
from tests.support.streams import write_record

FILES = {
    "a.txt": b"a",
    "empty": b"",
    "sub/b.png": b"b" * 1000,
    "sub/deep/c": bytes(range(256)) * 1000,  # more than one chunk is worth waiting for
    "sub/ünï☃": b"name",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with :data:`FILES`."""
    root = tmp_path / "from"
    for name, content in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (root / "nothing in it").mkdir()
    return root


def contents(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("prefix", ["", "there", "there/", "ünï/☃"])
def test_there_and_back(prefix: str, folder: Path, store: ObjectStore, tmp_path: Path) -> None:
    store.put("other", b"another object")
    start = f"{prefix.rstrip('/')}/" if prefix else ""
    report = store.upload_dir(folder, prefix)
    names = sorted(start + name for name in FILES)
    assert sorted(report.transferred) == names
    assert report.bytes == sum(map(len, FILES.values()))
    assert (report.unchanged, report.deleted, report.refused) == (0, (), ())
    assert report.skipped == ((f"{start}nothing in it/", "an empty folder"),)
    assert {info.name for info in store.list(prefix=start)} >= set(names)
    info = store.info(f"{start}sub/b.png")
    assert info is not None
    assert info.mime == "image/png"
    if prefix:
        back = store.download_dir(tmp_path / "to", prefix)
        assert sorted(back.transferred) == names
        assert contents(tmp_path / "to") == FILES
    else:
        store.download_dir(tmp_path / "to")
        assert contents(tmp_path / "to") == {**FILES, "other": b"another object"}


def test_only_what_differs(folder: Path, store: ObjectStore, tmp_path: Path) -> None:
    """In either direction."""
    store.upload_dir(folder)
    before = {info.name: info.revision for info in store}
    (folder / "a.txt").write_bytes(b"A")  # of the same size
    (folder / "new").write_bytes(b"new")
    report = store.upload_dir(folder)
    assert sorted(report.transferred) == ["a.txt", "new"]
    assert report.unchanged == 4
    after = {info.name: info.revision for info in store}
    assert {name for name in before if after[name] != before[name]} == {"a.txt"}

    target = tmp_path / "to"
    store.download_dir(target)
    kept = (target / "sub/b.png").stat().st_ino
    (target / "a.txt").write_bytes(b"x")
    (target / "empty").unlink()
    back = store.download_dir(target)
    assert sorted(back.transferred) == ["a.txt", "empty"]
    assert back.unchanged == 4
    assert (target / "sub/b.png").stat().st_ino == kept
    assert contents(target) == {**FILES, "a.txt": b"A", "new": b"new"}


def test_delete(folder: Path, store: ObjectStore, tmp_path: Path) -> None:
    """What is only on the other side goes; outside of the prefix nothing does."""
    store.put("p/gone", b"x")
    store.put("q", b"x")
    assert store.upload_dir(folder, "p").deleted == ()
    assert store.upload_dir(folder, "p", delete=True).deleted == ("p/gone",)
    assert "p/gone" not in store
    assert "q" in store
    target = tmp_path / "to"
    target.mkdir()
    (target / "gone").write_bytes(b"x")
    assert store.download_dir(target, "p").deleted == ()
    assert store.download_dir(target, "p", delete=True).deleted == ("p/gone",)
    assert contents(target) == FILES


def test_dry_run(folder: Path, store: ObjectStore, tmp_path: Path) -> None:
    """The report is the same, and nothing has changed."""
    store.put("gone", b"x")
    plan = store.upload_dir(folder, delete=True, dry_run=True)
    assert plan.dry_run
    assert [info.name for info in store] == ["gone"]
    done = store.upload_dir(folder, delete=True)
    assert plan == FolderReport(
        done.transferred, 0, done.deleted, done.skipped, done.bytes, dry_run=True
    )
    target = tmp_path / "to"
    back = store.download_dir(target, dry_run=True)
    assert not target.exists()
    assert sorted(back.transferred) == sorted(FILES)


def test_many_small_files(store: ObjectStore, tmp_path: Path) -> None:
    root = tmp_path / "many"
    root.mkdir()
    for number in range(500):
        (root / f"{number}").write_bytes(b"%d" % number)
    seen: list[tuple[int, int | None]] = []
    store.upload_dir(root, "many", progress=lambda *done: seen.append(done))
    total = sum(len(str(number)) for number in range(500))
    assert seen[-1] == (total, total)
    store.download_dir(tmp_path / "to", "many", progress=lambda *done: seen.append(done))
    assert seen[-1] == (total, total)
    assert contents(tmp_path / "to") == {str(n): b"%d" % n for n in range(500)}


@pytest.mark.parametrize(
    "name", ["../out", "a/../../out", "/etc/out", "a//b", "a/", "./a", "..", "a\0b", "y" * 256]
)
def test_names_that_are_no_files(name: str, store: ObjectStore, tmp_path: Path) -> None:
    """Each is refused, and the rest goes on."""
    store.put("fine", b"x")
    store.put(name, b"x")
    target = tmp_path / "to"
    report = store.download_dir(target)
    assert report.transferred == ("fine",)
    assert [each.name for each in report.refused] == [name]
    assert report.refused[0].reason.startswith("cannot be the path of a file: ")
    assert contents(target) == {"fine": b"x"}
    assert os.listdir(tmp_path) == ["to"]
    assert store.download_dir(target).unchanged == 1


def test_a_link_that_leads_outside(store: ObjectStore, tmp_path: Path) -> None:
    """A symbolic link in the folder, also one that leads nowhere."""
    outside, target = tmp_path / "outside", tmp_path / "to"
    outside.mkdir()
    target.mkdir()
    (target / "sub").symlink_to(outside)
    (target / "none").symlink_to(tmp_path / "nowhere")
    for name in ("sub/deep/x", "none/x", "fine/x"):
        store.put(name, b"x")
    report = store.download_dir(target)
    assert sorted(each.name for each in report.refused) == ["none/x", "sub/deep/x"]
    assert all("leads out" in each.reason for each in report.refused)
    assert (report.transferred, report.unchanged) == (("fine/x",), 0)
    assert os.listdir(outside) == []
    assert sorted(os.listdir(tmp_path)) == ["outside", "to"]


def test_a_link_in_the_place_of_a_file(store: ObjectStore, tmp_path: Path) -> None:
    """It is replaced; what it leads to stays as it is."""
    outside, target = tmp_path / "outside", tmp_path / "to"
    outside.write_bytes(b"outside")
    target.mkdir()
    (target / "x").symlink_to(outside)
    store.put("x", b"inside")
    store.download_dir(target)
    assert (target / "x").read_bytes() == b"inside"
    assert outside.read_bytes() == b"outside"


def test_a_file_that_is_a_folder_too(store: ObjectStore, tmp_path: Path) -> None:
    store.put("a", b"x")
    store.put("a/b", b"x")
    report = store.download_dir(tmp_path / "to")
    assert report.refused == (("a", "is a file, and a folder for 'a/b'"),)
    assert contents(tmp_path / "to") == {"a/b": b"x"}


def test_a_file_where_a_folder_is_to_be(store: ObjectStore, tmp_path: Path) -> None:
    """And a folder where a file is to be."""
    (tmp_path / "a").write_bytes(b"mine")
    (tmp_path / "b").mkdir()
    for name in ("a/x", "b", "c"):
        store.put(name, b"x")
    report = store.download_dir(tmp_path)
    assert sorted(each.name for each in report.refused) == ["a/x", "b"]
    assert contents(tmp_path) == {"a": b"mine", "c": b"x"}


def test_names_that_differ_by_case_alone(tmp_path: Path) -> None:
    """They are one file where the file system folds case."""
    names = ["Read/me", "read/ME", "x"]
    paths, refused = paths_for(tmp_path, "", names, folds=True)
    assert list(paths) == ["Read/me", "x"]
    assert refused == [("read/ME", "would be the same file here as 'Read/me'")]
    assert paths_for(tmp_path, "", names, folds=False)[1] == []
    upper, lower = tmp_path / "CASE", tmp_path / "case"
    upper.mkdir()
    assert folds_case(upper / "1") == lower.exists()


def test_links(store: ObjectStore, tmp_path: Path) -> None:
    """To an object: its content. To a bucket, or to nothing: told."""
    info = store.put("real", b"content")
    store.link("link", info)
    store.link_store("bucket", store)
    store.put("away", b"x")
    store.link("dangling", ("" + store.name, "away"))
    store.delete("away")
    report = store.download_dir(tmp_path / "to")
    assert dict(report.skipped) == {
        "bucket": "a link to a whole bucket",
        "dangling": "a link that leads to no object",
    }
    assert contents(tmp_path / "to") == {"real": b"content", "link": b"content"}
    assert store.download_dir(tmp_path / "to").unchanged == 2


def test_a_record_without_a_digest(
    store: ObjectStore, shared_client: Client, tmp_path: Path
) -> None:
    """Another client's: whether the file is the same cannot be known, so it comes again."""
    info: ObjectInfo = store.put("x", b"content")
    fields = {"name": "x", "bucket": store.name, "nuid": info.nuid, "size": 7, "chunks": 1}
    write_record(shared_client, store, fields)
    with pytest.warns(UserWarning, match="no digest"):
        store.download_dir(tmp_path)
    with pytest.warns(UserWarning, match="no digest"):
        assert store.download_dir(tmp_path).transferred == ("x",)


def test_bad_input(store: ObjectStore, tmp_path: Path) -> None:
    """Said before anything is sent or written."""
    file = tmp_path / "file"
    file.write_bytes(b"x")
    with pytest.raises(PayloadFileError, match="cannot read the folder"):
        store.upload_dir(tmp_path / "missing")
    with pytest.raises(PayloadFileError, match="cannot read the folder"):
        store.upload_dir(file)
    with pytest.raises(InvalidOptionError, match="not a folder"):
        store.download_dir(file)
    for act in (store.upload_dir, store.download_dir):
        with pytest.raises(InvalidOptionError, match="prefix"):
            act(tmp_path, 7)  # type: ignore[arg-type]
        with pytest.raises(InvalidOptionError, match="progress"):
            act(tmp_path, progress=7)  # type: ignore[arg-type]
        with pytest.raises(InvalidOptionError, match="compare"):
            act(tmp_path, compare="luck")  # type: ignore[arg-type]
        with pytest.raises(InvalidOptionError, match="include"):
            act(tmp_path, include="*.txt")
        with pytest.raises(InvalidOptionError, match="no glob"):
            act(tmp_path, exclude=["/"])
        with pytest.raises(InvalidOptionError, match="no pattern"):
            act(tmp_path, exclude=["[z-a]"])
    with pytest.raises(InvalidOptionError, match="metadata"):
        store.upload_dir(tmp_path, metadata=7)  # type: ignore[arg-type]
    assert list(store) == []


@pytest.mark.skipif(os.name == "nt", reason="such names cannot be there")
def test_a_path_that_is_no_text(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "fine").write_bytes(b"x")
    with open(os.fsencode(tmp_path) + b"/\xff\xfe", "wb") as file:
        file.write(b"x")
    report = store.upload_dir(tmp_path)
    assert report.transferred == ("fine",)
    assert [each.name for each in report.refused] == ["\udcff\udcfe"]
    assert [info.name for info in store] == ["fine"]


def test_special_files_are_left_out(store: ObjectStore, tmp_path: Path) -> None:
    """Pipes, and links that lead nowhere or to folders."""
    (tmp_path / "file").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "file")
    report = store.upload_dir(tmp_path, "p")
    assert sorted(info.name for info in store) == ["p/file", "p/link"]
    assert dict(report.skipped) == {
        "p/loop": "a link to a folder",
        "p/broken": "a link that leads to no file",
        "p/pipe": "no regular file",
    }
    assert report.refused == ()


def test_options(folder: Path, store: ObjectStore) -> None:
    store.upload_dir(folder, mime="x/y", metadata={"k": "v"})
    for info in store:
        assert info.mime == "x/y"
        mtime = (folder / info.name).stat().st_mtime_ns
        assert info.metadata == {"k": "v", "mtime": mtime_text(mtime)}
    store.delete_prefix("")
    store.upload_dir(folder, metadata=lambda: {"of": "a function"})
    assert all(info.metadata == {"of": "a function"} for info in store)
    assert objstore.FolderReport().transferred == ()


# --- mtime, and what is compared


def age(path: Path, nanoseconds: int) -> None:
    os.utime(path, ns=(nanoseconds, nanoseconds))


def test_the_time_of_a_file_travels(folder: Path, store: ObjectStore, tmp_path: Path) -> None:
    """To the nanosecond, of small and large files; and what agrees with it is not read."""
    (folder / "large").write_bytes(bytes(300_000))
    for number, path in enumerate(sorted(folder.rglob("*"))):
        age(path, 1_234_567_890_123_456_789 + number)
    store.upload_dir(folder)
    info = store.info("a.txt")
    assert info is not None
    assert info.metadata == {"mtime": mtime_text((folder / "a.txt").stat().st_mtime_ns)}
    assert info.metadata["mtime"].startswith("2009-02-13T23:31:30")
    store.download_dir(tmp_path / "to")
    for name in contents(folder):
        assert (tmp_path / "to" / name).stat().st_mtime_ns == (folder / name).stat().st_mtime_ns


@pytest.mark.parametrize(("compare", "seen"), [("mtime", ()), ("digest", ("x",)), ("size", ())])
def test_a_change_that_the_time_does_not_tell(
    compare: Compare, seen: tuple[str, ...], store: ObjectStore, tmp_path: Path
) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    before = path.stat().st_mtime_ns
    store.upload_dir(tmp_path)
    path.write_bytes(b"new")
    age(path, before)
    for act in (store.download_dir, store.upload_dir):
        report = act(tmp_path, compare=compare, dry_run=True)
        assert (report.transferred, report.replaced) == (seen, seen)
    age(path, before + 1)
    assert store.upload_dir(tmp_path, compare="size").transferred == ()
    assert store.upload_dir(tmp_path).replaced == ("x",)


@pytest.mark.parametrize("said", ["", "yesterday", "2026-13-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_times_that_others_wrote(said: str, store: ObjectStore, tmp_path: Path) -> None:
    """What is none, or what no disk holds, does no harm: the digest tells."""
    store.put("x", b"x", metadata={"mtime": said})
    assert store.download_dir(tmp_path).transferred == ("x",)
    assert store.download_dir(tmp_path).unchanged == 1
    assert store.upload_dir(tmp_path).transferred == ()


# --- what is meant


def test_include_and_exclude(folder: Path, store: ObjectStore, tmp_path: Path) -> None:
    """On both sides: what is excluded is not deleted either."""
    report = store.upload_dir(folder, exclude=["deep", "*.png"])
    assert sorted(report.transferred) == ["a.txt", "empty", "sub/ünï☃"]
    store.put("sub/other.png", b"x")
    store.put("old.txt", b"x")
    report = store.upload_dir(folder, exclude=["deep/", "*.png"], delete=True)
    assert report.deleted == ("old.txt",)
    target = tmp_path / "to"
    report = store.download_dir(target, include=["*.txt", "sub/"], exclude=["ün*"])
    assert sorted(contents(target)) == ["a.txt", "sub/other.png"]
    (target / "own.md").write_bytes(b"x")
    assert store.download_dir(target, include=["*.txt"], delete=True).deleted == ()
    assert sorted(store.download_dir(target, include=["*.md"], delete=True).deleted) == ["own.md"]


@pytest.mark.parametrize(
    ("glob", "path", "fits"),
    [
        ("*.txt", "a/b/c.txt", True),
        ("b", "a/b/c.txt", True),
        ("c.txt/", "a/b/c.txt", False),
        ("b/", "a/b/c.txt", True),
        ("a/*", "a/b/c.txt", True),  # a folder in it fits
        ("a/*.txt", "a/b/c.txt", False),
        ("a/**/*.txt", "a/b/c.txt", True),
        ("b/*.txt", "a/b/c.txt", False),
        ("/a", "a/b/c.txt", True),
        ("?", "ab", False),
    ],
)
def test_globs(glob: str, path: str, fits: bool) -> None:
    assert (path in Selection(include=[glob])) is fits
    assert (path in Selection(exclude=[glob])) is not fits


# --- what goes wrong amid it


def test_the_home_directory(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x").write_bytes(b"x")
    assert store.upload_dir("~/in").transferred == ("x",)
    assert store.download_dir("~/out").transferred == ("x",)
    assert store.upload_file("~/out/x", "y").size == 1
    store.download_file("y", "~/out/y")
    assert contents(tmp_path) == {"in/x": b"x", "out/x": b"x", "out/y": b"x"}


def test_a_file_that_vanishes(store: ObjectStore, tmp_path: Path) -> None:
    """Once the folder was read; the rest goes on."""
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(b"x" * 200_000)

    def remove(*_: object) -> None:
        (tmp_path / "b").unlink(missing_ok=True)

    report = store.upload_dir(tmp_path, progress=remove, jobs=1)
    assert report.transferred == ("a", "c")
    assert [each.name for each in report.refused] == ["b"]
    assert "cannot read the file" in report.refused[0].reason
    assert sorted(info.name for info in store) == ["a", "c"]


def test_an_object_that_vanishes(store: ObjectStore, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        store.put(name, bytes(200_000))
    report = store.download_dir(tmp_path, progress=lambda *_: store.delete("c"), jobs=1)
    assert report.transferred == ("a", "b")
    assert report.refused == (("c", "was deleted meanwhile"),)
