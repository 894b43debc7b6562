"""Whole folders, both ways."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import objstore
from objstore import (
    Client,
    FolderReport,
    InvalidNameError,
    InvalidOptionError,
    ObjectInfo,
    ObjectStore,
    PayloadFileError,
)
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
    assert (report.unchanged, report.deleted, report.skipped) == (0, (), ())
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
    assert plan == FolderReport(done.transferred, 0, done.deleted, (), done.bytes, dry_run=True)
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


@pytest.mark.parametrize("name", ["../out", "a/../../out", "/etc/out", "a//b", "a/", "./a", ".."])
def test_names_that_lead_elsewhere(name: str, store: ObjectStore, tmp_path: Path) -> None:
    """Nothing is written, not even what could be."""
    store.put("fine", b"x")
    store.put(name, b"x")
    target = tmp_path / "to"
    with pytest.raises(InvalidNameError, match="cannot be the path"):
        store.download_dir(target)
    assert os.listdir(tmp_path) == []


def test_a_name_with_a_nul(store: ObjectStore, tmp_path: Path) -> None:
    store.put("a\0b", b"x")
    with pytest.raises(InvalidNameError, match="cannot be the path"):
        store.download_dir(tmp_path / "to")


def test_a_link_that_leads_outside(store: ObjectStore, tmp_path: Path) -> None:
    """A symbolic link in the folder."""
    outside, target = tmp_path / "outside", tmp_path / "to"
    outside.mkdir()
    target.mkdir()
    (target / "sub").symlink_to(outside)
    store.put("sub/deep/x", b"x")
    with pytest.raises(InvalidOptionError, match="leads out"):
        store.download_dir(target)
    assert os.listdir(outside) == []


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
    with pytest.raises(InvalidNameError, match="is a file, and a folder"):
        store.download_dir(tmp_path / "to")
    assert os.listdir(tmp_path) == []


def test_links(store: ObjectStore, tmp_path: Path) -> None:
    """To an object: its content. To a bucket, or to nothing: told."""
    info = store.put("real", b"content")
    store.link("link", info)
    store.link_store("bucket", store)
    store.put("away", b"x")
    store.link("dangling", ("" + store.name, "away"))
    store.delete("away")
    report = store.download_dir(tmp_path / "to")
    assert sorted(report.skipped) == ["bucket", "dangling"]
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
    assert list(store) == []


@pytest.mark.skipif(os.name == "nt", reason="such names cannot be there")
def test_a_path_that_is_no_text(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "fine").write_bytes(b"x")
    with open(os.fsencode(tmp_path) + b"/\xff\xfe", "wb") as file:
        file.write(b"x")
    with pytest.raises(InvalidNameError):
        store.upload_dir(tmp_path)
    assert list(store) == []


def test_special_files_are_left_out(store: ObjectStore, tmp_path: Path) -> None:
    """Pipes, and links that lead nowhere or to folders."""
    (tmp_path / "file").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "file")
    store.upload_dir(tmp_path)
    assert sorted(info.name for info in store) == ["file", "link"]


def test_options(folder: Path, store: ObjectStore) -> None:
    store.upload_dir(folder, mime="x/y", metadata={"k": "v"})
    for info in store:
        assert info.mime == "x/y"
        assert info.metadata == {"k": "v"}
    assert objstore.FolderReport().transferred == ()
