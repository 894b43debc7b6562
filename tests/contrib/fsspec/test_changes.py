"""Objects, folders and buckets made, copied, moved and deleted by their paths."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

import objstore
from objstore import Client, ObjectStore
from objstore.contrib.fsspec import ObjectFileSystem
from tests.support.proxy import Proxy


@pytest.fixture
def tree(store: ObjectStore, root: str) -> str:
    names = ["top", "a/one", "a/b/two", "a/b/three"]
    store.put_many((name, name.encode()) for name in names)
    return root


@pytest.fixture
def other(client: Client, root: str) -> Iterator[str]:
    """Another bucket's name, which is not there yet."""
    yield f"{root}-other"
    client.delete_store(f"{root}-other")


def test_buckets_are_made_and_removed(fs: ObjectFileSystem, client: Client, other: str) -> None:
    with pytest.raises(objstore.BucketNotFoundError, match=rf"no bucket.*makedirs\('{other}'\)"):
        fs.pipe_file(f"{other}/a", b"a")
    fs.mkdir(f"natsobj://{other}", description="made by fsspec", mode=0o777)
    assert client.object_store(other).status().description == "made by fsspec"
    fs.pipe_file(f"{other}/a", b"a")
    with pytest.raises(FileExistsError):
        fs.mkdir(other)
    with pytest.raises(FileExistsError):
        fs.makedirs(other)
    fs.makedirs(other, exist_ok=True)
    with pytest.raises(OSError, match="not empty"):
        fs.rmdir(other)
    fs.rm(f"{other}/a")
    fs.rmdir(other)
    assert not fs.exists(other)


def test_folders_need_no_making(fs: ObjectFileSystem, store: ObjectStore, root: str) -> None:
    fs.makedirs(f"{root}/a/b")
    assert list(store.list()) == []
    assert not fs.exists(f"{root}/a")
    with pytest.raises(FileNotFoundError):
        fs.rmdir(f"{root}/a")
    fs.touch(f"{root}/a/file")
    with pytest.raises(OSError, match="not empty"):
        fs.rmdir(f"{root}/a")
    with pytest.raises(NotADirectoryError):
        fs.rmdir(f"{root}/a/file")


def test_a_folder_makes_its_bucket(fs: ObjectFileSystem, other: str) -> None:
    with pytest.raises(FileNotFoundError):
        fs.mkdir(f"{other}/a", create_parents=False)
    fs.mkdir(f"{other}/a")
    assert fs.isdir(other)
    fs.rm(other, recursive=True)
    assert not fs.exists(other)
    with pytest.raises(FileNotFoundError):
        fs.rm(other, recursive=True)


def test_a_missing_bucket(
    fs: ObjectFileSystem, client: Client, store: ObjectStore, tree: str, other: str, tmp_path: Path
) -> None:
    """Nothing makes it but what makes folders, as with s3fs; see "Missing buckets" in the docs."""
    (tmp_path / "file").write_bytes(b"of the disk")
    into, file = f"{other}/x", str(tmp_path / "file")

    def put_in_transaction() -> None:
        with fs.transaction:
            fs.put(file, into)

    for write in (
        lambda: fs.open(into, "wb"),
        lambda: fs.pipe({into: b"x"}),
        lambda: fs.touch(into),
        lambda: fs.put(file, into),
        put_in_transaction,
        lambda: fs.cp_file(f"{tree}/top", into),
        lambda: fs.copy(f"{tree}/top", into),
        lambda: fs.mv(f"{tree}/top", into),
    ):
        with pytest.raises(objstore.BucketNotFoundError, match="no bucket"):
            write()
    assert not fs.exists(other)
    assert "top" in store  # what could not be moved stays
    for make in (
        lambda: fs.put(str(tmp_path), other, recursive=True),
        lambda: fs.copy(f"{tree}/a", other, recursive=True),
        lambda: fs.mv(f"{tree}/a", other, recursive=True),
    ):
        make()
        assert fs.find(other)
        client.delete_store(other)
    with fsspec.open(f"natsobj://{into}", "w", servers=fs._servers) as opened:
        opened.write("as to_csv writes")
    assert fs.cat(into) == b"as to_csv writes"


def test_copies(fs: ObjectFileSystem, client: Client, tree: str, other: str) -> None:
    fs.mkdir(other)
    fs.cp(f"{tree}/a", f"{other}/copied", recursive=True)
    assert fs.find(other) == [f"{other}/copied/{name}" for name in ("b/three", "b/two", "one")]
    assert fs.cat_file(f"{other}/copied/one") == b"a/one"
    fs.cp_file(f"{tree}/top", f"{tree}/top2")
    assert fs.cat_file(f"{tree}/top2") == b"top"
    with pytest.raises(FileNotFoundError):
        fs.cp_file(f"{tree}/absent", f"{tree}/b")


def test_moves_in_a_bucket_send_no_bytes(
    nats: str, proxy: Proxy, store: ObjectStore, tree: str
) -> None:
    fs = ObjectFileSystem(proxy.url)
    sent: list[str] = []
    proxy.up.observe(lambda line: sent.append(line.subject))
    fs.mv(f"{tree}/a", f"{tree}/moved", recursive=True)
    assert not [subject for subject in sent if subject.startswith(f"$O.{tree}.C.")]
    assert sorted(info.name for info in store.list()) == [
        "moved/b/three", "moved/b/two", "moved/one", "top",
    ]  # fmt: skip
    assert fs.cat_file(f"{tree}/moved/one") == b"a/one"


def test_moves(fs: ObjectFileSystem, tree: str, other: str) -> None:
    fs.mv(f"{tree}/top", f"{tree}/a/one")  # in its place
    assert fs.cat_file(f"{tree}/a/one") == b"top"
    assert not fs.exists(f"{tree}/top")
    fs.mkdir(other)
    fs.mv(f"{tree}/a/one", f"{other}/one")
    assert (fs.cat_file(f"{other}/one"), fs.exists(f"{tree}/a/one")) == (b"top", False)
    fs.mv(f"{other}/one", f"{other}/one")
    assert fs.exists(f"{other}/one")
    with pytest.raises(IsADirectoryError):
        fs.mv(f"{tree}/a", f"{tree}/b")
    with pytest.raises(FileNotFoundError):
        fs.mv(f"{tree}/absent", f"{tree}/b")


def test_deletes(fs: ObjectFileSystem, store: ObjectStore, tree: str) -> None:
    store.put("a/", b"")  # another tool's mark of a folder, which goes with it
    fs.rm(f"{tree}/top")
    with pytest.raises(FileNotFoundError):
        fs.rm(f"{tree}/top")
    with pytest.raises(FileNotFoundError):
        fs.rm_file(f"{tree}/top")
    with pytest.raises(IsADirectoryError):
        fs.rm(f"{tree}/a")
    fs.rm(f"{tree}/a/b", recursive=True, maxdepth=1)
    assert fs.find(tree) == [f"{tree}/a/one"]
    fs.rm(f"{tree}/a", recursive=True)
    assert list(store.list()) == []


def test_deletes_of_many(fs: ObjectFileSystem, tree: str) -> None:
    with pytest.raises(FileNotFoundError, match="1 of 2"):
        fs.rm([f"{tree}/top", f"{tree}/absent"])
    assert not fs.exists(f"{tree}/top")
    fs.rm(f"{tree}/a/*")  # the folder in there is no object
    assert fs.find(tree) == [f"{tree}/a/b/three", f"{tree}/a/b/two"]
    fs.rm(f"{tree}/*", recursive=True)
    assert fs.find(tree) == []
    with pytest.raises(FileNotFoundError):
        fs.rm(f"{tree}/*")


def test_a_bucket_is_not_deleted_by_the_way(fs: ObjectFileSystem, tree: str) -> None:
    for path, recursive in (("", True), ("natsobj://", False), (tree, False)):
        with pytest.raises(IsADirectoryError):
            fs.rm(path, recursive=recursive)
    with pytest.raises(OSError, match="not empty"):
        fs.rmdir("")
    assert len(fs.find(tree)) == 4
