"""Whole folders: into a bucket, and out of it."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from objstore.errors import InvalidNameError, InvalidOptionError, PayloadFileError
from objstore.get.integrity import is_same_digest
from objstore.get.part_file import write_file
from objstore.get.target import BLOCK, Target
from objstore.model.arguments import check_plain, guess_mime
from objstore.model.objects import DEFAULT_CHUNK_SIZE, ObjectInfo, ObjectMeta, meta_subject
from objstore.progress import Bar, ProgressOption, check_progress, start_progress
from objstore.put.options import Payload
from objstore.store import files, read, write
from objstore.store.files import open_steady
from objstore.store.handle import BucketHandle
from objstore.store.put_many import put_many

__all__ = ["FolderReport", "Job", "download_dir", "upload_dir"]

#: Objects up to this size are downloaded together; they have one chunk, mostly.
_SMALL = DEFAULT_CHUNK_SIZE


@dataclass(frozen=True)
class FolderReport:
    """What was done for a folder, or would be.

    Attributes:
        transferred: the names of the objects that were stored, or written into files.
        unchanged: how many were the same on both sides.
        deleted: the names of those that were only on the other side.
        skipped: the names of links that lead to no content: to whole buckets, or nowhere.
        bytes: that were transferred.
        dry_run: whether nothing was changed.
    """

    transferred: tuple[str, ...] = ()
    unchanged: int = 0
    deleted: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    bytes: int = 0
    dry_run: bool = False


@dataclass(frozen=True)
class Job:
    """What is to be done for a folder; of each way the arguments that both have.

    Attributes:
        prefix: what the names begin with, before a ``/``.
        delete: whether what is only on the other side is deleted.
        dry_run: whether nothing is to be changed.
        progress: as of ``ObjectStore.put``.

    Raises:
        InvalidOptionError: the prefix is not text, or ``progress`` cannot be called.
    """

    prefix: str
    delete: bool
    dry_run: bool
    progress: ProgressOption

    def __post_init__(self) -> None:
        check_progress(self.progress)
        check_plain("prefix", self.prefix)

    @property
    def start(self) -> str:
        """What the names begin with."""
        prefix = self.prefix
        return prefix if not prefix or prefix.endswith("/") else f"{prefix}/"

    def bar(self, bucket: str, size: int) -> closing[Bar]:
        """What is told of so many bytes' transfer, for a with-block."""
        return closing(start_progress(self.progress, self.start or bucket, size))


def upload_dir(
    handle: BucketHandle, folder: str | os.PathLike[str], job: Job, **put_options: Any
) -> FolderReport:
    """Store all files of a folder, and of those in it, that differ from what is there."""
    start = job.start
    files = {start + name: path for name, path in _files_in(Path(folder))}
    for name in files:
        meta_subject(handle.name, name)  # checks it
    there = {
        info.name: (info.size, info.digest) for info in read.list_objects(handle, prefix=start)
    }
    changed = {
        name: path
        for name, path in files.items()
        if name not in there or not _has(path, *there[name])
    }
    gone = tuple(name for name in there if name not in files) if job.delete else ()
    size = sum(path.stat().st_size for path in changed.values())
    if not job.dry_run:
        with job.bar(handle.name, size) as bar:
            put_many(handle, _payloads(changed, bar, put_options.pop("mime", None)), **put_options)
        for name in gone:
            write.delete(handle, name)
    unchanged = len(files) - len(changed)
    return FolderReport(tuple(changed), unchanged, gone, (), size, job.dry_run)


def download_dir(handle: BucketHandle, folder: str | os.PathLike[str], job: Job) -> FolderReport:
    """Write all objects below a prefix into files of a folder, where they differ."""
    root = Path(folder)
    if root.exists() and not root.is_dir():
        raise InvalidOptionError(f"{root} is not a folder")
    start = job.start
    found, skipped = _contents(handle, start)
    paths = _paths_for(root, start, found)
    changed = {n: info for n, info in found.items() if not _has(paths[n], *_state(info))}
    here = dict(_files_in(root)) if job.delete and root.exists() else {}
    wanted = set(paths.values())
    gone = {start + name: path for name, path in here.items() if path not in wanted}
    size = sum(info.size for info in changed.values())
    if not job.dry_run:
        root.mkdir(parents=True, exist_ok=True)
        with job.bar(handle.name, size) as bar:
            _write_all(handle, root, changed, paths, bar)
        for path in gone.values():
            path.unlink()
    unchanged = len(found) - len(changed)
    return FolderReport(tuple(changed), unchanged, tuple(gone), skipped, size, job.dry_run)


def _contents(handle: BucketHandle, start: str) -> tuple[dict[str, ObjectInfo], tuple[str, ...]]:
    """What each name has, links followed; and the names that have nothing."""
    found: dict[str, ObjectInfo] = {}
    skipped = []
    for info in read.list_objects(handle, prefix=start):
        content: ObjectInfo | None = info
        if info.link is not None:
            content = None if info.link.name is None else read.resolve(handle, info.name)
        if content is None:
            skipped.append(info.name)
        else:
            found[info.name] = content
    return found, tuple(skipped)


def _write_all(
    handle: BucketHandle,
    root: Path,
    changed: dict[str, ObjectInfo],
    paths: dict[str, Path],
    bar: Bar,
) -> None:
    inside = root.resolve()
    for name in changed:
        _make_parents(paths[name], inside)
    targets = {name: Target.inside(paths[name]) for name in changed}
    small = [name for name, info in changed.items() if info.size <= _SMALL]
    for name, content in read.get_many(handle, small):
        if content is None:
            raise handle.not_found(name)
        write_file(targets[name], content)
        bar.update(len(content))
    for name, info in changed.items():
        if info.size > _SMALL:
            files.download_to(handle, name, targets[name], True, None)
            bar.update(info.size)


def _state(info: ObjectInfo) -> tuple[int, str]:
    return info.size, info.digest


def _files_in(folder: Path) -> Iterator[tuple[str, Path]]:
    """The regular files in a folder and below, each with its path from there, in order.

    Raises:
        PayloadFileError: a folder cannot be read.
    """

    def fail(error: OSError) -> None:
        raise PayloadFileError(
            f"cannot read the folder {error.filename}: {error.strerror}", path=str(error.filename)
        ) from error

    for parent, folders, names in os.walk(folder, onerror=fail):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            if path.is_file():
                yield path.relative_to(folder).as_posix(), path


def _has(path: Path, size: int, digest: str) -> bool:
    """Whether a file has exactly this content."""
    try:
        state = path.stat()
        if state.st_size != size or not digest or not stat.S_ISREG(state.st_mode):
            return False  # (to open a pipe would take until somebody writes to it)
        hasher = hashlib.sha256()
        with path.open("rb", buffering=0) as file:
            while data := file.read(BLOCK):
                hasher.update(data)
    except OSError:
        return False  # whatever it is, reading or writing it says so
    return is_same_digest(digest, hasher.digest())


def _payloads(
    files: dict[str, Path], bar: Bar, mime: str | None
) -> Iterator[tuple[ObjectMeta, Payload]]:
    """What to store; a file is read before the next one is asked for."""
    for name, path in files.items():
        with open_steady(path) as file:
            yield ObjectMeta(name, mime=mime or guess_mime(path.name)), file
            bar.update(file.tell())


def _paths_for(root: Path, start: str, names: dict[str, ObjectInfo]) -> dict[str, Path]:
    """The file of each name.

    Raises:
        InvalidNameError: a name cannot have one.
    """
    paths: dict[str, Path] = {}
    folders: dict[Path, str] = {}
    for name in names:
        parts = name[len(start) :].split("/")
        if any(_is_no_part(part) for part in parts):
            raise InvalidNameError(f"{name!r} cannot be the path of a file in {root}", name=name)
        path = paths[name] = root.joinpath(*parts)
        for parent in path.parents:
            folders.setdefault(parent, name)
    for name, path in paths.items():
        if path in folders:
            raise InvalidNameError(
                f"{name!r} is a file, and a folder for {folders[path]!r}", name=name
            )
    return paths


def _is_no_part(part: str) -> bool:
    """Whether a part of a name leads elsewhere than to a file of that name."""
    if part in ("", ".", "..") or "\0" in part:
        return True
    return os.name == "nt" and any(char in part for char in '\\:*?"<>|')


def _make_parents(path: Path, inside: Path) -> None:
    """Make the folders above a file, none of them outside.

    Raises:
        InvalidOptionError: a link leads outside.
    """
    missing = []
    parent = path.parent
    while not parent.exists():
        missing.append(parent)
        parent = parent.parent
    if not parent.resolve().is_relative_to(inside):
        raise InvalidOptionError(f"{parent} leads out of {inside}: nothing is written there")
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
