"""Whole folders: into a bucket, and out of it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from objstore.errors import (
    InvalidNameError,
    InvalidOptionError,
    ObjectChangedError,
    ObjectNotFoundError,
    ObjStoreError,
    PayloadFileError,
    RevisionMismatchError,
)
from objstore.get.part_file import write_file
from objstore.get.target import Target
from objstore.metadata.commit import commit
from objstore.metadata.current import fresh_record
from objstore.model.arguments import UNSET, guess_mime, metadata_dict
from objstore.model.objects import DEFAULT_CHUNK_SIZE, ObjectInfo, ObjectMeta, meta_subject
from objstore.put import one_object
from objstore.put.options import Payload
from objstore.store import files, read, write
from objstore.store.delete_many import GROUP, delete_many
from objstore.store.files import open_steady
from objstore.store.folder_files import (
    LocalFile,
    attributes,
    compare,
    file_of,
    lacks_mode,
    look_at,
    read_folder,
    restore,
)
from objstore.store.folder_names import folds_case, paths_for
from objstore.store.folder_options import FolderOptions, Job
from objstore.store.folder_progress import FolderProgress
from objstore.store.folder_report import FolderReport, Skipped, drop_refused
from objstore.store.handle import BucketHandle
from objstore.store.put_many import put_many
from objstore.wire.jetstream.api import PendingAck

__all__ = ["SMALL", "TRIES", "download_dir", "found_in", "start_progress", "upload_dir"]

#: Objects up to this size go many at a time; they have one chunk, mostly.
SMALL = DEFAULT_CHUNK_SIZE

#: How often an object is read that is overwritten meanwhile.
TRIES = 10


def start_progress(handle: BucketHandle, job: Job, sizes: Mapping[str, Any]) -> FolderProgress:
    """Begin to tell of the transfer of what each name has, which has a ``size``."""
    total = sum(each.size for each in sizes.values())
    return FolderProgress(job.options, job.start or handle.name, len(sizes), total)


# --- into a bucket


def upload_dir(
    handle: BucketHandle, folder: str | os.PathLike[str], job: Job, **put_options: Any
) -> FolderReport:
    """Store all files of a folder, and of those in it, that differ from what is there."""
    start, options = job.start, job.options
    describe = _descriptions(options, put_options)
    content = read_folder(Path(os.path.expanduser(folder)), options.selection)
    skipped = [Skipped(start + each.name, each.reason) for each in content.skipped]
    local, refused = _nameable(handle, {start + name: file for name, file in content.files.items()})
    there = {info.name: info for info in job.objects(handle)}
    changed, updated = {}, {}
    for name, file in local.items():
        info = there.get(name)
        difference = "content" if info is None else compare(file, info, options)
        if difference == "content":
            changed[name] = file
        elif difference == "attributes" or (info and lacks_mode(info, options)):
            updated[name] = file
    gone = tuple(name for name in there if name not in local) if options.delete else ()
    unchanged = len(local) - len(changed) - len(updated)
    if not options.dry_run:
        _upload_all(handle, job, changed, refused, describe, put_options)
        _redescribe_all(handle, updated, there, refused, mode=options.mode)
        drop_refused(changed, refused)
        drop_refused(updated, refused)
        # Last: what breaks off before leaves too much there, never too little.
        delete_many(handle, gone)
    return FolderReport(
        transferred=tuple(changed),
        unchanged=unchanged,
        deleted=gone,
        skipped=tuple(skipped),
        bytes=sum(file.size for file in changed.values()),
        dry_run=options.dry_run,
        refused=tuple(refused),
        replaced=tuple(name for name in changed if name in there),
        updated=tuple(updated),
    )


def _nameable(
    handle: BucketHandle, files: dict[str, LocalFile]
) -> tuple[dict[str, LocalFile], list[Skipped]]:
    """Tell files whose paths can be objects' names from those whose cannot."""
    good, refused = {}, []
    for name, file in files.items():
        try:
            meta_subject(handle.name, name)
        except InvalidNameError as error:
            refused.append(Skipped(name, f"cannot be an object's name: {error}"))
        else:
            good[name] = file
    return good, refused


#: Makes the description of a file's object.
_Describe = Callable[[str, LocalFile], ObjectMeta]


def _descriptions(folder_options: FolderOptions, put_options: dict[str, Any]) -> _Describe:
    """Take out of the options of the put what is not the same for all files.

    Raises:
        InvalidOptionError: the metadata are none.
    """
    mime = put_options.pop("mime", None)
    metadata: Mapping[str, str] | None = None
    # A function says all of them, and no mtime is kept.
    if not callable(put_options.get("metadata")):
        metadata = metadata_dict(put_options.pop("metadata", None))

    def describe(name: str, file: LocalFile) -> ObjectMeta:
        said = {**attributes(file, mode=folder_options.mode), **(metadata or {})}
        return ObjectMeta(
            name, mime=mime or guess_mime(os.path.basename(file.where)), metadata=said
        )

    return describe


def _upload_all(
    handle: BucketHandle,
    job: Job,
    changed: dict[str, LocalFile],
    refused: list[Skipped],
    describe: _Describe,
    put_options: dict[str, Any],
) -> None:
    """Store files: the small ones in one stream, the others several at once."""

    def upload(name: str) -> None:
        file = changed[name]
        try:
            with open_steady(file.where) as payload:
                # Once more, now that it is open: of what is read now, not of what was compared.
                meta = describe(name, file_of(file.where, payload.state) or file)
                bar = progress.of_one()
                one_object.put(handle.records, meta, payload, progress=bar, **put_options)
        except PayloadFileError as error:  # it has vanished, is not ours to read, or was changed
            refused.append(Skipped(name, str(error)))
        else:
            progress.file_done(name)

    with start_progress(handle, job, changed) as progress:
        small = {name: file for name, file in changed.items() if file.size <= SMALL}
        put_many(handle, _payloads(small, progress, refused, describe), **put_options)
        progress.run(upload, [name for name in changed if name not in small])


def _payloads(
    files: dict[str, LocalFile],
    progress: FolderProgress,
    refused: list[Skipped],
    describe: _Describe,
) -> Iterator[tuple[ObjectMeta, Payload]]:
    """Yield what to store, each file read before the next one is asked for."""
    for name, file in files.items():
        try:
            with open_steady(file.where) as opened:
                content = opened.read_whole()
        except PayloadFileError as error:
            refused.append(Skipped(name, str(error)))
            continue
        yield describe(name, file_of(file.where, opened.state) or file), content
        progress.update(len(content))
        progress.file_done(name)


def _redescribe_all(
    handle: BucketHandle,
    files: dict[str, LocalFile],
    there: Mapping[str, ObjectInfo],
    refused: list[Skipped],
    *,
    mode: bool,
) -> None:
    """Say of objects what their files are now, where the content is the same; many at a time."""
    said = ((there[name], attributes(file, mode=mode)) for name, file in files.items())
    changes = ((info, {**info.metadata, **of_file}) for info, of_file in said)
    failure = None
    while group := list(itertools.islice(changes, GROUP)):
        handle.known.check_writable()
        sent = [(info, new, _start_change(handle, info, new)) for info, new in group]
        handle.jetstream.connection.session.flush_piggybacked()
        for info, metadata, pending in sent:
            try:
                _redescribe(handle, info, metadata, pending)
            except (RevisionMismatchError, ObjectNotFoundError):
                refused.append(Skipped(info.name, "was changed meanwhile"))
            except ObjStoreError as error:
                failure = failure or error  # the others are under way, and taken to their end
        if failure is not None:
            raise failure


def _start_change(
    handle: BucketHandle, info: ObjectInfo, metadata: dict[str, str]
) -> tuple[ObjectInfo, PendingAck] | None:
    """Publish new metadata of an object; None: they are to be stored by themselves."""
    # Life times, and few rights, need a look before; and an error says there why not.
    if info.ttl is not None or handle.records.access.is_doubtful:
        return None
    new = fresh_record(info.with_changes(metadata=metadata))
    with suppress(ObjStoreError):
        return new, handle.records.start_publish(new, info.revision, piggyback=True)
    return None


def _redescribe(
    handle: BucketHandle,
    info: ObjectInfo,
    metadata: dict[str, str],
    pending: tuple[ObjectInfo, PendingAck] | None,
) -> None:
    """Have an object's metadata stored, which were published perhaps.

    Raises:
        RevisionMismatchError, ObjectNotFoundError: it was changed meanwhile.
    """
    if pending is not None:
        # What another client stored under an older spelling of its name is found by update().
        with suppress(RevisionMismatchError):
            commit(handle.records, pending[0], info, None, published=pending[1])
            return
    unset = dict.fromkeys(("description", "mime", "headers"), UNSET)
    write.update(handle, info.name, None, None, info.revision, metadata=metadata, **unset)


# --- out of it


def download_dir(handle: BucketHandle, folder: str | os.PathLike[str], job: Job) -> FolderReport:
    """Write all objects below a prefix into files of a folder, where they differ."""
    root = Path(os.path.expanduser(folder))
    if root.exists() and not root.is_dir():
        raise InvalidOptionError(f"{root} is not a folder")
    start, options = job.start, job.options
    found, skipped = found_in(handle, job)
    paths, refused = paths_for(root, start, found, folds=folds_case(root))
    here = {name: look_at(path) for name, path in paths.items()}
    differences = {name: compare(here[name], found[name], options) for name in paths}
    changed = {name: found[name] for name in paths if differences[name] == "content"}
    updated = {name: found[name] for name in paths if differences[name] == "attributes"}
    unchanged = len(paths) - len(changed) - len(updated)
    targets = _targets(root, {name: paths[name] for name in changed}, refused)
    drop_refused(changed, refused)
    gone = _only_here(root, job, set(paths.values()))
    if not options.dry_run:
        root.mkdir(parents=True, exist_ok=True)
        _write_all(handle, job, changed, targets, refused)
        for name, info in list(updated.items()):
            restore(paths[name], info.metadata, mode=options.mode)
            # A disk need not have each time, nor each mode, that an object's metadata may say.
            if compare(look_at(paths[name]), info, options):
                del updated[name]
                unchanged += 1
        drop_refused(changed, refused)
        # As in upload_dir, last.
        for path in gone.values():
            os.unlink(path)
    return FolderReport(
        transferred=tuple(changed),
        unchanged=unchanged,
        deleted=tuple(gone),
        skipped=tuple(skipped),
        bytes=sum(info.size for info in changed.values()),
        dry_run=options.dry_run,
        refused=tuple(refused),
        replaced=tuple(name for name in changed if here[name] is not None),
        updated=tuple(updated),
    )


def _only_here(root: Path, job: Job, wanted: set[str]) -> dict[str, str]:
    """Find the files that are to be deleted, each with the name that its object would have."""
    if not job.options.delete or not root.exists():
        return {}
    local = read_folder(root, job.options.selection).files
    return {
        job.start + name: file.where for name, file in local.items() if file.where not in wanted
    }


def found_in(handle: BucketHandle, job: Job) -> tuple[dict[str, ObjectInfo], list[Skipped]]:
    """Return what each name has, links followed; and the names that have nothing."""
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


def _targets(root: Path, paths: Mapping[str, str], refused: list[Skipped]) -> dict[str, Target]:
    """Choose where each object is written to; nothing leads out of the folder."""
    inside = root.resolve()
    safe: dict[str, str | None] = {}
    targets = {}
    for name, path in paths.items():
        parent = os.path.dirname(path)
        # Once for each folder: to resolve one asks the disk for each part of its path.
        if parent not in safe:
            safe[parent] = _why_not_in(Path(parent), root, inside)
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
    """Say why nothing can be written into a folder; None: it can, once it is made."""
    while not folder.exists() and folder != root and not folder.is_symlink():
        folder = folder.parent
    if not folder.resolve().is_relative_to(inside):
        return f"{folder} leads out of {inside}: nothing is written there"
    if folder != root and not folder.is_dir():
        return f"{folder} is not a folder: remove it first"
    return None


def _write_all(
    handle: BucketHandle,
    job: Job,
    changed: dict[str, ObjectInfo],
    targets: dict[str, Target],
    refused: list[Skipped],
) -> None:
    """Write objects into files: the small ones in one stream, the others several at once."""
    for folder in {os.path.dirname(targets[name].path) for name in changed}:
        os.makedirs(folder, exist_ok=True)
    small = [name for name, info in changed.items() if info.size <= SMALL]
    large = [name for name, info in changed.items() if info.size > SMALL]

    def done(name: str, info: ObjectInfo) -> None:
        restore(targets[name].path, info.metadata, mode=job.options.mode)
        progress.file_done(name)

    def download(name: str) -> None:
        bar = progress.of_one()
        for attempt in range(TRIES):
            try:
                now = files.download_to(handle, name, targets[name], True, bar)
            except ObjectNotFoundError:
                refused.append(Skipped(name, "was deleted meanwhile"))
                return
            except ObjectChangedError:  # it is another one now
                if attempt == TRIES - 1:
                    raise
                bar.begin_anew()
            else:
                done(name, now)
                return

    with start_progress(handle, job, changed) as progress:
        for name, content in read.get_many(handle, small):
            if content is None:
                refused.append(Skipped(name, "was deleted meanwhile"))
                continue
            write_file(targets[name], content)
            progress.update(len(content))
            done(name, changed[name])
        progress.run(download, large)
