"""universal_pathlib: its own base tests, whole, and what is said of buckets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from upath import UPath

from objstore import ObjectStore
from objstore.contrib.upath import ObjectPath
from tests.ecosystem.universal_pathlib import find_tests

find_tests()

from upath.tests.cases import BaseTests  # noqa: E402 - it is there now


@pytest.fixture
def local_testdir(tmp_path: Path) -> str:
    """The files that the base tests expect, in a folder and in the bucket."""
    folder = tmp_path / "files"
    (folder / "folder1").mkdir(parents=True)
    for name in ("file1.txt", "file2.txt"):
        (folder / "folder1" / name).write_text(name)
        (folder / name).write_text("hello world")
    return str(folder)


@pytest.fixture
def pathlib_base(local_testdir: str) -> Path:
    return Path(local_testdir)


@pytest.fixture
def clear_fsspec_memory_cache() -> Iterator[None]:
    yield
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]


class TestObjectPath(BaseTests):  # type: ignore[misc]
    SUPPORTS_EMPTY_DIRS = False

    @pytest.fixture(autouse=True)
    def path(self, bucket: ObjectStore, local_testdir: str) -> None:
        bucket.upload_dir(local_testdir)
        self.path = UPath(f"natsobj://{bucket.name}")  # not ``url``: a parameter has that name

    def test_is_correct_class(self) -> None:
        assert isinstance(self.path, ObjectPath)


def test_a_bucket_is_a_drive(url: str, bucket: ObjectStore) -> None:
    path = UPath(url) / "2026" / "may.txt"
    assert (path.drive, path.parts) == (bucket.name, (f"{bucket.name}/", "2026", "may.txt"))
    assert path.write_text("warm") == 4
    assert bucket.read_text("2026/may.txt") == "warm"
    info = bucket.info("2026/may.txt")
    assert info is not None
    assert info.mtime is not None
    assert path.stat().st_mtime == info.mtime.timestamp()
    assert [each.name for each in path.parent.iterdir()] == ["may.txt"]
    assert UPath("natsobj://", bucket="photos", lazy=True).as_uri() == "natsobj://photos/"
