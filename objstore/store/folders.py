"""Whole folders: into a bucket, and out of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from objstore.errors import (
    InvalidNameError,
    InvalidOptionError,
    ObjectNotFoundError,
    PayloadFileError,
)
from objstore.get.part_file import write_file
from objstore.get.target import Target
from objstore.model.arguments import check_plain, guess_mime, metadata_dict
from objstore.model.file_times import MTIME, mtime_text
from objstore.model.globs import Selection
from objstore.model.objects import DEFAULT_CHUNK_SIZE, ObjectInfo, ObjectMeta, meta_subject
from objstore.progress import Bar, ProgressOption, check_progress, start_progress
from objstore.put.options import Payload
from objstore.store import files, read
from objstore.store.delete_many import delete_many
from objstore.store.files import open_steady
from objstore.store.folder_files import Compare, LocalFile, is_same, look_at, read_folder, restore
from objstore.store.folder_names import folds_case, paths_for
from objstore.store.folder_report import FolderReport, Skipped
from objstore.store.handle import BucketHandle
from objstore.store.put_many import put_many

__all__ = ["Job", "download_dir", "upload_dir"]

#: Objects up to this size are downloaded together; they have one chunk, mostly.
_SMALL = DEFAULT_CHUNK_SIZE


@dataclass(frozen=True)
class Job:
    """What is to be done for a folder; of each way the arguments that both have.

    Attributes:
        prefix: what the names begin with, before a ``/``.
        include, exclude: globs of paths in the folder.
        compare: by what it is found out what differs.
        delete: whether what is only on the other side is deleted.
        dry_run: whether nothing is to be changed.
        progress: as of ``ObjectStore.put``.

    Raises:
        InvalidOptionError: one of them makes no sense.
    """

    prefix: str
    include: Iterable[str]
    exclude: Iterable[str]
    compare: Compare
    delete: bool
    dry_run: bool
    progress: ProgressOption
    selection: Selection = field(init=False)

    def __post_init__(self) -> None:
        check_progress(self.progress)
        check_plain("prefix", self.prefix)
        if self.compare not in ("mtime", "digest", "size"):
            raise InvalidOptionError(
                f"compare is {self.compare!r}; it must be 'mtime', 'digest' or 'size'"
            )
        object.__setattr__(self, "selection", Selection(self.include, self.exclude))

    @property
    def start(self) -> str:
        """What the names begin with."""
        prefix = self.prefix
        return prefix if not prefix or prefix.endswith("/") else f"{prefix}/"

    def objects(self, handle: BucketHandle) -> Iterator[ObjectInfo]:
        """List the objects that are meant."""
        start = self.start
        for info in read.list_objects(handle, prefix=start):
            if info.name[len(start) :] in self.selection:
                yield info

    def bar(self, bucket: str, size: int) -> closing[Bar]:
        """What is told of so many bytes' transfer, for a with-block."""
        return closing(start_progress(self.progress, self.start or bucket, size))


# --- into a bucket


def upload_dir(
    handle: BucketHandle, folder: str | os.PathLike[str], job: Job, **put_options: Any
) -> FolderReport:
    """Store all files of a folder, and of those in it, that differ from what is there."""
    start = job.start
    describe = _descriptions(put_options)
    content = read_folder(Path(os.path.expanduser(folder)), job.selection)
    skipped = [Skipped(start + each.name, each.reason) for each in content.skipped]
    local, refused = _nameable(handle, {start + name: file for name, file in content.files.items()})
    there = {info.name: info for info in job.objects(handle)}
    changed = {
        name: file
        for name, file in local.items()
        if name not in there or not is_same(file, there[name], job.compare)
    }
    gone = tuple(name for name in there if name not in local) if job.delete else ()
    unchanged = len(local) - len(changed)
    if not job.dry_run:
        size = sum(file.size for file in changed.values())
        with job.bar(handle.name, size) as bar:
            put_many(handle, _payloads(changed, bar, refused, describe), **put_options)
        _drop(changed, refused)
        delete_many(handle, gone)
    return FolderReport(
        tuple(changed),
        unchanged,
        gone,
        tuple(skipped),
        sum(file.size for file in changed.values()),
        job.dry_run,
        tuple(refused),
        tuple(name for name in changed if name in there),
    )


def _drop(changed: dict[str, Any], refused: list[Skipped]) -> None:
    """Take out what was not transferred after all."""
    for each in refused:
        changed.pop(each.name, None)


def _nameable(
    handle: BucketHandle, files: dict[str, LocalFile]
) -> tuple[dict[str, LocalFile], list[Skipped]]:
    """Those files whose paths can be objects' names, and the others."""
    good, refused = {}, []
    for name, file in files.items():
        try:
            meta_subject(handle.name, name)
        except InvalidNameError as error:
            refused.append(Skipped(name, f"cannot be an object's name: {error}"))
        else:
            good[name] = file
    return good, refused


def _descriptions(options: dict[str, Any]) -> Callable[[str, Path, int], ObjectMeta]:
    """Take out of the options of the put what is not the same for all files.

    Raises:
        InvalidOptionError: the metadata are none.
    """
    mime = options.pop("mime", None)
    metadata: Mapping[str, str] | None = None
    if not callable(options.get("metadata")):  # a function says all of them, and no mtime is kept
        metadata = metadata_dict(options.pop("metadata", None))

    def describe(name: str, path: Path, mtime: int) -> ObjectMeta:
        said = {MTIME: mtime_text(mtime), **(metadata or {})}
        return ObjectMeta(name, mime=mime or guess_mime(path.name), metadata=said)

    return describe


def _payloads(
    files: dict[str, LocalFile],
    bar: Bar,
    refused: list[Skipped],
    describe: Callable[[str, Path, int], ObjectMeta],
) -> Iterator[tuple[ObjectMeta, Payload]]:
    """What to store; a file is read before the next one is asked for."""
    for name, local in files.items():
        try:
            file = open_steady(local.path)
        except PayloadFileError as error:  # it has vanished, or is not ours to read
            refused.append(Skipped(name, str(error)))
            continue
        with file:
            yield describe(name, local.path, os.fstat(file.fileno()).st_mtime_ns), file
            bar.update(file.tell())


# --- out of it


def download_dir(handle: BucketHandle, folder: str | os.PathLike[str], job: Job) -> FolderReport:
    """Write all objects below a prefix into files of a folder, where they differ."""
    root = Path(os.path.expanduser(folder))
    if root.exists() and not root.is_dir():
        raise InvalidOptionError(f"{root} is not a folder")
    start = job.start
    found, skipped = _contents(handle, job)
    paths, refused = paths_for(root, start, found, folds=folds_case(root))
    here = {name: look_at(path) for name, path in paths.items()}
    changed = {n: found[n] for n in paths if not is_same(here[n], found[n], job.compare)}
    targets = _targets(root, {name: paths[name] for name in changed}, refused)
    _drop(changed, refused)
    gone = _only_here(root, job, set(paths.values()))
    unchanged = len(paths) - len(changed) - sum(each.name in paths for each in refused)
    if not job.dry_run:
        root.mkdir(parents=True, exist_ok=True)
        with job.bar(handle.name, sum(info.size for info in changed.values())) as bar:
            _write_all(handle, changed, targets, bar, refused)
        _drop(changed, refused)
        for path in gone.values():
            path.unlink()
    return FolderReport(
        tuple(changed),
        unchanged,
        tuple(gone),
        tuple(skipped),
        sum(info.size for info in changed.values()),
        job.dry_run,
        tuple(refused),
        tuple(name for name in changed if here[name] is not None),
    )


def _only_here(root: Path, job: Job, wanted: set[Path]) -> dict[str, Path]:
    """The files that are to be deleted, each with the name that its object would have."""
    if not job.delete or not root.exists():
        return {}
    local = read_folder(root, job.selection).files
    return {job.start + name: file.path for name, file in local.items() if file.path not in wanted}


def _contents(handle: BucketHandle, job: Job) -> tuple[dict[str, ObjectInfo], list[Skipped]]:
    """What each name has, links followed; and the names that have nothing."""
    found: dict[str, ObjectInfo] = {}
    skipped = []
    for info in job.objects(handle):
        content: ObjectInfo | None = info
        if info.link is not None:
            content = None if info.link.name is None else read.resolve(handle, info.name)
        if content is not None:
            found[info.name] = content
        elif info.link is not None and info.link.name is None:
            skipped.append(Skipped(info.name, "a link to a whole bucket"))
        else:
            skipped.append(Skipped(info.name, "a link that leads to no object"))
    return found, skipped


def _targets(root: Path, paths: Mapping[str, Path], refused: list[Skipped]) -> dict[str, Target]:
    """Where each object is written to; nothing leads out of the folder."""
    inside = root.resolve()
    safe: dict[Path, str | None] = {}
    targets = {}
    for name, path in paths.items():
        parent = path.parent
        if parent not in safe:
            safe[parent] = _why_not_in(parent, root, inside)
        why = safe[parent]
        try:
            if why is None:
                targets[name] = Target.inside(path)
        except InvalidOptionError as error:
            why = str(error)
        if why is not None:
            refused.append(Skipped(name, why))
    return targets


def _why_not_in(folder: Path, root: Path, inside: Path) -> str | None:
    """Why nothing can be written into a folder; None: it can, once it is made."""
    while not folder.exists() and folder != root and not folder.is_symlink():
        folder = folder.parent
    if not folder.resolve().is_relative_to(inside):
        return f"{folder} leads out of {inside}: nothing is written there"
    if folder != root and not folder.is_dir():
        return f"{folder} is not a folder: remove it first"
    return None


def _write_all(
    handle: BucketHandle,
    changed: dict[str, ObjectInfo],
    targets: dict[str, Target],
    bar: Bar,
    refused: list[Skipped],
) -> None:
    for folder in {targets[name].path.parent for name in changed}:
        folder.mkdir(parents=True, exist_ok=True)
    small = [name for name, info in changed.items() if info.size <= _SMALL]
    for name, content in read.get_many(handle, small):
        if content is None:
            refused.append(Skipped(name, "was deleted meanwhile"))
            continue
        write_file(targets[name], content)
        restore(targets[name].path, changed[name].metadata)
        bar.update(len(content))
    for name, info in changed.items():
        if info.size <= _SMALL:
            continue
        try:
            now = files.download_to(handle, name, targets[name], True, None)
        except ObjectNotFoundError:
            refused.append(Skipped(name, "was deleted meanwhile"))
            continue
        restore(targets[name].path, now.metadata)
        bar.update(info.size)
