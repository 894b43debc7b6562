"""Objects read and written by their paths: at once, as files, in transactions."""

from __future__ import annotations

import gzip
import io
import pickle
import random
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.callbacks import Callback

import objstore
from objstore import Client, ObjectStore
from objstore.contrib.fsspec import ObjectFileSystem
from objstore.contrib.fsspec.files import ReadFile, WriteFile

CONTENT = bytes(range(256)) * 2000  # several chunks of 128 KiB


@pytest.fixture
def path(store: ObjectStore, root: str) -> str:
    """An object of several chunks."""
    store.put("large", CONTENT, chunk_size=128 << 10)
    return f"{root}/large"


class Told(Callback):
    """What a callback was told."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def call(self, *_: object, **__: object) -> None:
        self.calls += 1


# --- at once


@pytest.mark.parametrize(
    ("start", "end"),
    [(None, None), (0, 10), (1000, None), (-10, None), (5, -5), (-20, -10), (9, 3)],
)
def test_bytes_as_of_a_slice(
    fs: ObjectFileSystem, path: str, start: int | None, end: int | None
) -> None:
    assert fs.cat_file(path, start, end) == CONTENT[start:end]


def test_what_is_no_object(fs: ObjectFileSystem, root: str) -> None:
    with pytest.raises(FileNotFoundError):
        fs.cat_file(f"{root}/absent")
    with pytest.raises(FileNotFoundError):
        fs.open(f"{root}/absent")
    for no_object in (root, f"natsobj://{root}/", ""):
        with pytest.raises(IsADirectoryError):
            fs.open(no_object)


def test_ranges_of_several_buckets(fs: ObjectFileSystem, path: str, root: str) -> None:
    paths = [path, f"{root}/absent", "no-such-bucket/a", path]
    first, absent, elsewhere, last = fs.cat_ranges(paths, [0, 0, 0, -3], [3, 3, 3, None])
    assert (first, last) == (CONTENT[:3], CONTENT[-3:])
    assert isinstance(absent, objstore.ObjectNotFoundError)
    assert isinstance(elsewhere, objstore.BucketNotFoundError)
    assert fs.cat_ranges([path, path], 1, 2) == [CONTENT[1:2]] * 2
    with pytest.raises(FileNotFoundError):
        fs.cat_ranges(paths, 0, 1, on_error="raise")
    with pytest.raises(TypeError):
        fs.cat_ranges(path, 0, 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="argument 2"):
        fs.cat_ranges([path], [0, 1], 1)


def test_many_at_once(fs: ObjectFileSystem, root: str) -> None:
    values = {f"{root}/many/{number}": str(number).encode() for number in range(5)}
    fs.pipe(values)
    assert fs.cat(f"{root}/many", recursive=True) == values
    assert fs.cat(f"{root}/many/*") == values
    assert fs.cat(f"{root}/many/3") == b"3"
    wanted = [f"{root}/many/1", f"{root}/absent"]
    with pytest.raises(FileNotFoundError):
        fs.cat(wanted)
    assert fs.cat(wanted, on_error="omit") == {f"{root}/many/1": b"1"}
    assert isinstance(fs.cat(wanted, on_error="return")[f"{root}/absent"], FileNotFoundError)


def test_only_new(fs: ObjectFileSystem, store: ObjectStore, root: str, tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("file")
    fs.pipe_file(f"{root}/a", b"a", mode="create", description="of a")
    assert store.info("a").description == "of a"  # type: ignore[union-attr]
    for store_it in (
        lambda: fs.pipe_file(f"{root}/a", b"b", mode="create"),
        lambda: fs.put_file(str(tmp_path / "file.txt"), f"{root}/a", mode="create"),
        lambda: fs.open(f"{root}/a", "xb"),
    ):
        with pytest.raises(FileExistsError):
            store_it()
    assert fs.cat_file(f"{root}/a") == b"a"
    with pytest.raises(objstore.RevisionMismatchError):
        fs.pipe_file(f"{root}/a", b"b", if_revision=1_000_000)


def test_touch(fs: ObjectFileSystem, root: str) -> None:
    path = f"{root}/a"
    fs.touch(path, truncate=False)
    assert fs.cat_file(path) == b""
    fs.pipe_file(path, b"kept")
    before = fs.modified(path)
    fs.touch(path, truncate=False)
    assert fs.cat_file(path) == b"kept"
    assert fs.modified(path) > before
    fs.touch(path)
    assert fs.size(path) == 0


def test_files_in_and_out(
    fs: ObjectFileSystem, store: ObjectStore, path: str, root: str, tmp_path: Path
) -> None:
    told = Told()
    fs.get_file(path, str(tmp_path / "made" / "large"), callback=told)
    assert (tmp_path / "made" / "large").read_bytes() == CONTENT
    assert (told.size, told.value) == (len(CONTENT), len(CONTENT))
    assert told.calls > 1
    told = Told()
    (tmp_path / "page.html").write_bytes(CONTENT)
    fs.put_file(str(tmp_path / "page.html"), f"{root}/page", callback=told)
    assert (told.size, told.value) == (len(CONTENT), len(CONTENT))
    assert store.info("page").mime == "text/html"  # type: ignore[union-attr]
    told, file = Told(), io.BytesIO()
    fs.get_file(path, file, callback=told)
    assert file.getvalue() == CONTENT
    assert told.value == len(CONTENT)
    with pytest.raises(FileNotFoundError):
        fs.get_file(f"{root}/absent", str(tmp_path / "absent"))
    assert not (tmp_path / "absent").exists()


def test_no_name_leads_out_of_the_folder(
    fs: ObjectFileSystem, store: ObjectStore, root: str, tmp_path: Path
) -> None:
    store.put("folder/../../out", b"from a stranger")
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    with pytest.raises(ValueError, match="out"):
        fs.get(f"{root}/", f"{folder}/", recursive=True)
    with pytest.raises(ValueError, match="lead out"):
        fs.get_file(f"{root}/folder/../../out", f"{folder}/folder/../../out")
    assert not list(tmp_path.rglob("out"))


# --- as files


def test_a_file_read(fs: ObjectFileSystem, store: ObjectStore, path: str) -> None:
    with fs.open(f"natsobj://{path}") as file:
        assert isinstance(file, ReadFile)
        assert (file.path, file.name, file.size, file.mode) == (path, path, len(CONTENT), "rb")
        assert repr(file) == f"<natsobj file {path!r}, {len(CONTENT):,} bytes, at 0>"
        assert file.info == store.info("large")
        assert (file.readable(), file.seekable(), file.writable()) == (True, True, False)
        assert file.read(3) == CONTENT[:3]
        assert file.seek(-4, 2) == file.tell() == len(CONTENT) - 4
        assert (file.read1(2), file.read()) == (CONTENT[-4:-2], CONTENT[-2:])
        file.seek(0)
        buffer = bytearray(5)
        assert (file.readinto(buffer), bytes(buffer)) == (5, CONTENT[:5])
        assert (file.readinto1(buffer), bytes(buffer)) == (5, CONTENT[5:10])
        assert file.readline() == b"\n"
        assert next(file) == CONTENT[11 : CONTENT.index(b"\n", 11) + 1]
        copied = pickle.loads(pickle.dumps(file))
        assert copied.read(100) == file.read(100)
        copied.close()
    assert file.closed
    with pytest.raises(ValueError, match="closed"):
        file.read()


def test_a_file_written(fs: ObjectFileSystem, store: ObjectStore, root: str) -> None:
    with fs.open(f"{root}/a", "wb", mime="text/plain") as file:
        assert isinstance(file, WriteFile)
        assert (file.path, file.name, file.mode) == (f"{root}/a", f"{root}/a", "wb")
        assert (file.writable(), file.readable()) == (True, False)
        assert file.write(CONTENT) == file.tell() == len(CONTENT)
        file.writer.metadata["by"] = "fsspec"
        assert not fs.exists(f"{root}/a")
    info = store.info("a")
    assert info is not None
    assert (info.size, info.mime, info.metadata) == (len(CONTENT), "text/plain", {"by": "fsspec"})
    with pytest.raises(objstore.InvalidOptionError, match="the mode is"):
        fs.open(f"{root}/a", "ab")


def write_half(file: Any, half: str | bytes) -> None:
    """Fail in the midst of writing."""
    with file:
        file.write(half)
        raise KeyError


@pytest.mark.parametrize("compression", [None, "gzip", "bz2", "xz", "zip"])
@pytest.mark.parametrize("mode", ["b", "t"])
def test_nothing_is_stored_when_the_block_raises(
    fs: ObjectFileSystem, root: str, mode: str, compression: str | None
) -> None:
    half = "half" if mode == "t" else b"half"
    with pytest.raises(KeyError):
        write_half(fs.open(f"{root}/a", f"w{mode}", compression=compression), half)
    assert not fs.exists(f"{root}/a")


def test_what_cannot_be_stored_is_an_error_once(
    fs: ObjectFileSystem, client: Client, root: str
) -> None:
    client.update_store(root, max_object_size=100)
    file = fs.open(f"{root}/a.gz", "wb", compression="infer")
    file.write(random.Random(1).randbytes(1000))
    with pytest.raises(objstore.ObjectTooLargeError):
        file.close()
    file.close()
    with pytest.raises(LookupError):
        fs.open(f"{root}/a", "wt", encoding="no such encoding")
    assert fs.find(root) == []


@pytest.mark.parametrize("path", ["a.gz", "a.bz2", "a.xz", "a.zip", "a.txt"])
def test_compressed(fs: ObjectFileSystem, root: str, path: str) -> None:
    for mode, data in (("b", b"caf\xc3\xa9" * 100), ("t", "caf\u00e9" * 100)):
        with fs.open(f"{root}/{path}", f"w{mode}", compression="infer") as file:
            file.write(data)
        with fs.open(f"{root}/{path}", f"r{mode}", compression="infer") as file:
            assert file.read() == data
    if path == "a.gz":
        assert gzip.decompress(fs.cat_file(f"{root}/{path}")) == b"caf\xc3\xa9" * 100


def test_text(fs: ObjectFileSystem, root: str) -> None:
    fs.write_text(f"{root}/a", "caf\u00e9\n", encoding="latin-1")
    assert fs.cat_file(f"{root}/a") == b"caf\xe9\n"
    assert fs.read_text(f"{root}/a", encoding="latin-1") == "caf\u00e9\n"
    with fsspec.open(f"natsobj://{root}/b.gz", "wt", compression="infer", **options(fs)) as file:
        file.write("by OpenFile")
    with fs.open(f"{root}/b.gz", "rt", compression="gzip") as file:
        assert file.read() == "by OpenFile"


def options(fs: ObjectFileSystem) -> dict[str, object]:
    return {"servers": fs.storage_args[0]}


# --- transactions


def test_a_transaction_is_stored_at_its_end(
    fs: ObjectFileSystem, root: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"file")
    with fs.transaction:
        with fs.open(f"{root}/a", "wb") as file:
            file.write(CONTENT)
        with pytest.raises(ValueError, match="closed"):
            file.write(b"more")
        with fs.open(f"{root}/b.gz", "wt", compression="gzip") as file:
            file.write("text")
        fs.pipe_file(f"{root}/c", b"c")
        fs.pipe({f"{root}/d": b"d"})
        fs.put_file(str(tmp_path / "file"), f"{root}/e")
        fs.touch(f"{root}/f")
        assert fs.find(root) == []
    assert fs.find(root) == [f"{root}/{name}" for name in ("a", "b.gz", "c", "d", "e", "f")]
    assert fs.cat_file(f"{root}/a") == CONTENT
    assert gzip.decompress(fs.cat_file(f"{root}/b.gz")) == b"text"
    fs.pipe_file(f"{root}/after", b"at once")
    assert fs.exists(f"{root}/after")


def test_a_transaction_that_fails_stores_nothing(fs: ObjectFileSystem, root: str) -> None:
    fs.pipe_file(f"{root}/a", b"old")

    def fail() -> None:
        with fs.transaction:
            fs.pipe_file(f"{root}/a", CONTENT)
            unfinished = fs.open(f"{root}/b", "wb")
            unfinished.write(CONTENT)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert fs.find(root) == [f"{root}/a"]
    assert fs.cat_file(f"{root}/a") == b"old"


def test_in_a_transaction_a_file_whose_block_raised_is_left_out(
    fs: ObjectFileSystem, root: str
) -> None:
    with fs.transaction:
        with pytest.raises(KeyError):
            write_half(fs.open(f"{root}/a", "wb"), b"half")
        fs.pipe_file(f"{root}/b", b"b")
    assert fs.find(root) == [f"{root}/b"]


def test_a_forgotten_file_is_not_stored(fs: ObjectFileSystem, root: str) -> None:
    file = fs.open(f"{root}/a", "wb")
    file.write(b"half")
    with pytest.warns(ResourceWarning, match="never closed"):
        del file
    assert not fs.exists(f"{root}/a")
