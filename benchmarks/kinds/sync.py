"""Whole folders of small files: into a bucket, out of it, between buckets; and nothing to do.

Of the other clients none has such a thing, so that a loop of single calls stands beside it; and
``put_many`` and ``get_many`` of the same contents, which show what the disk adds.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from pathlib import Path

from benchmarks.peers.base import MIME
from benchmarks.rounds import Contender
from benchmarks.run import Run
from objstore import ObjectStore

__all__ = ["sync"]

#: How many files, in a full and in a quick run.
COUNTS = 10_000, 500

#: The least and the most bytes of a file; each doubling between them is as frequent.
LEAST, MOST = 1 << 10, 100 << 10

#: What the files are, by their names.
ENDINGS = "json", "txt", "png", "csv", "html"


def sync(run: Run) -> None:
    """All of a folder each way, the same again, and copies by one call and by many."""
    count = run.scale.pick(*COUNTS)
    with (
        run.ground.bucket() as store,
        run.ground.bucket() as other,
        tempfile.TemporaryDirectory() as folder,
    ):
        run.tell(f"{count:,} files are made and stored")
        source = Path(folder, "from")
        _make_files(source, run.data(1 << 20), count)
        store.upload_dir(source, "there")
        contenders = [*_from_disk(store, source, count), *_to_disk(store, Path(folder), count)]
        contenders += _without_disk(store, source)
        contenders += _copies(store, other, count)
        run.alternate(contenders)
    for each in contenders:
        rates = each.rates(count)
        run.add("sync", "objstore", each.name, "files/s", rates, count=count, note=each.died)


def _make_files(root: Path, content: bytes, count: int) -> None:
    """A hundred in each folder; the same ones in each run."""
    chance = random.Random(1)
    for number in range(count):
        path = root / f"{number // 100:03}" / f"{number:05}.{ENDINGS[number % len(ENDINGS)]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        size = int(LEAST * (MOST / LEAST) ** chance.random())
        begin = chance.randrange(len(content) - size)
        path.write_bytes(content[begin : begin + size])


def _files(root: Path) -> dict[str, Path]:
    """Each file by its path from the folder on."""
    return {path.relative_to(root).as_posix(): path for path in sorted(root.rglob("*.*"))}


def _from_disk(store: ObjectStore, source: Path, count: int) -> list[Contender]:
    def upload(_number: int) -> None:
        _expect(len(store.upload_dir(source, "new").transferred), count)

    def again(_number: int) -> None:
        _expect(store.upload_dir(source, "there").unchanged, count)

    def one_by_one(number: int) -> None:
        for name, path in _files(source).items():
            store.upload_file(path, f"new/{name}")

    def empty(_number: int) -> None:
        store.delete_prefix("new/")

    return [
        Contender("upload_dir", upload, after=empty),
        Contender("upload_file, each", one_by_one, after=empty),
        Contender("upload_dir, nothing to do", again),
    ]


def _to_disk(store: ObjectStore, folder: Path, count: int) -> list[Contender]:
    target, there = folder / "to", folder / "from"

    def download(_number: int) -> None:
        _expect(len(store.download_dir(target, "there").transferred), count)

    def again(_number: int) -> None:
        _expect(store.download_dir(there, "there").unchanged, count)

    return [
        Contender("download_dir", download, after=lambda _number: shutil.rmtree(target)),
        Contender("download_dir, nothing to do", again),
    ]


def _without_disk(store: ObjectStore, source: Path) -> list[Contender]:
    contents = {name: path.read_bytes() for name, path in _files(source).items()}

    def put(_number: int) -> None:
        store.put_many(((f"new/{name}", each) for name, each in contents.items()), mime=MIME)

    def get(_number: int) -> None:
        found = store.get_many([f"there/{name}" for name in contents])
        _expect(sum(content is not None for _, content in found), len(contents))

    def empty(_number: int) -> None:
        store.delete_prefix("new/")

    return [Contender("put_many", put, after=empty), Contender("get_many", get)]


def _copies(store: ObjectStore, other: ObjectStore, count: int) -> list[Contender]:
    def together(_number: int) -> None:
        _expect(len(store.copy_dir("there", "", target=other).transferred), count)

    def one_by_one(_number: int) -> None:
        for info in store.list(prefix="there/"):
            store.copy(info.name, info.name, target=other)

    def empty(_number: int) -> None:
        other.delete_prefix("")

    return [
        Contender("copy_dir", together, after=empty),
        Contender("copy, each", one_by_one, after=empty),
    ]


def _expect(found: int, count: int) -> None:
    if found != count:
        raise RuntimeError(f"{found} of {count} files")
