"""``cp mv``: files and objects, from either side to the other, and within buckets."""

from __future__ import annotations

import functools
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click

import objstore
from objstore import FolderReport, ObjectInfo, ObjectStore
from objstore.cli import show
from objstore.cli.globs import expand, has_glob
from objstore.cli.objects import last_part, no_folder, target_file, tell
from objstore.cli.options import OTHER, Settings, command, pass_settings
from objstore.cli.places import Place, check_ends, place_or_path
from objstore.model.file_attributes import MTIME, mtime_text
from objstore.model.globs import Selection
from objstore.store.folder_files import look_at, read_folder, restore

__all__ = ["cp", "globs_options", "mv", "open_buckets"]

#: Bytes that go to stdout at a time.
_BLOCK = 1 << 20


def globs_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command ``--include`` and ``--exclude``."""
    for name, text in (("exclude", "Leave out what fits"), ("include", "Take only what fits")):
        function = click.option(
            f"--{name}", metavar="GLOB", multiple=True, help=f"{text}; may be repeated."
        )(function)
    return function


@contextmanager
def open_buckets(
    settings: Settings, *, create: Place | str | None
) -> Iterator[Callable[[str], ObjectStore]]:
    """Connect, and give a function that opens buckets; an embedded server's target is created."""
    with settings.connect() as client:
        if isinstance(create, Place) and settings.embedded is not None:
            client.object_store(create.bucket)
        yield functools.cache(partial(client.object_store, create=False))


@command()
@click.argument("words", metavar="SRC... DST", nargs=-1, required=True)
@click.option("-r", "--recursive", is_flag=True, help="Folders, with all in them.")
@globs_options
@pass_settings
def cp(
    settings: Settings,
    words: tuple[str, ...],
    recursive: bool,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
) -> None:
    """Copy files into a bucket, objects into files, or objects to others.

    SRC and DST are paths or BUCKET:NAME; one of them has a bucket. A DST that ends in ":" or "/",
    or is a directory, keeps the name. Names in a bucket may be globs, in quotes. "-" is stdin or
    stdout. Files keep their time of change; of folders only what differs is copied. What cannot
    be copied is told on stderr, the rest is copied, and the exit code is 4.

    \b
    Examples:
      objstore cp cat.jpg dog.jpg photos:pets/
      objstore cp photos:pets/cat.jpg .
      objstore cp 'photos:2026/*.jpg' albums/
      objstore cp -r site web:v2 --exclude '*.tmp'
      objstore cp photos:cat.jpg archive:2026/      bucket to bucket
      pg_dump shop | objstore cp - backups:shop.sql
    """
    ends = [place_or_path(word) for word in words]
    _run(settings, words, ends, _Task(settings, recursive, Selection(include, exclude), False))


@command()
@click.argument("words", metavar="SRC... DST", nargs=-1, required=True)
@click.option("-r", "--recursive", is_flag=True, help="Folders, with all in them.")
@globs_options
@pass_settings
def mv(
    settings: Settings,
    words: tuple[str, ...],
    recursive: bool,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
) -> None:
    """Move or rename files and objects: as cp, and then the source is deleted.

    Also BUCKET OLD NEW. The source is deleted when its copy is known to be whole, and only if
    nobody has changed it meanwhile. Within a bucket an object is renamed, and none is replaced.

    \b
    Examples:
      objstore mv photos:cat.jpg photos:cats/tom.jpg
      objstore mv photos cat.jpg cats/tom.jpg        the same
      objstore mv scan-1.pdf scan-2.pdf docs:scans/
      objstore mv 'photos:2019/*.jpg' archive:2019/
      objstore mv -r logs archive:                   as logs/...
    """
    ends = [place_or_path(word) for word in words]
    if len(words) == 3 and not any(isinstance(end, Place) for end in ends):
        ends = [Place(words[0], words[1]), Place(words[0], words[2])]
    if "-" in ends:
        raise click.UsageError("stdin and stdout (-) cannot be moved: see objstore cp")
    _run(settings, words, ends, _Task(settings, recursive, Selection(include, exclude), True))


@dataclass(frozen=True)
class _Task:
    """What is done with each source.

    Attributes:
        settings: the global options.
        recursive: whether folders are meant.
        selection: what of a folder, or of what fits a glob.
        move: whether the source is deleted afterwards.
    """

    settings: Settings
    recursive: bool
    selection: Selection
    move: bool


def _run(settings: Settings, words: tuple[str, ...], ends: list[Place | str], task: _Task) -> None:
    """Copy or move each source.

    Raises:
        click.UsageError: that makes no sense.
        click.exceptions.Exit: a part was refused.
    """
    *sources, target = ends
    if not sources:
        raise click.UsageError(f"where to? {words[0]!r} stands alone")
    check_ends(words, sources, target)
    for source in sources:
        _check_source(source, target, task)
    if len(sources) > 1 and not _keeps_names(target):
        raise click.UsageError(
            f"{words[-1]!r} is no folder, which several need; try a / at its end"
        )
    whole = True
    with open_buckets(settings, create=target) as bucket:
        for source in sources:
            if isinstance(source, Place):
                done = _from_bucket(bucket, source, target, task)
            else:
                assert isinstance(target, Place)  # noqa: S101 - check_ends has seen to it
                done = _from_disk(bucket(target.bucket), source, target, task)
            whole = done and whole
    if not whole:
        raise click.exceptions.Exit(OTHER)


def _check_source(source: Place | str, target: Place | str, task: _Task) -> None:
    """See that a source can be copied, before anything is.

    Raises:
        click.UsageError: it cannot.
    """
    if source == target:
        raise click.UsageError(f"{str(source)!r} would be copied onto itself")
    if isinstance(source, Place):
        if not source.name and not task.recursive:
            raise click.UsageError(
                f"which object of {source.bucket}? Give BUCKET:NAME, or -r for all"
            )
    elif source == "-":
        if _keeps_names(target):
            raise click.UsageError("what comes from stdin needs a name: BUCKET:NAME")
    elif not os.path.exists(source):
        raise click.UsageError(f"there is no file {source!r}")
    elif os.path.isdir(source) and not task.recursive:
        raise click.UsageError(f"{source!r} is a directory: -r copies all that is in it")


def _keeps_names(target: Place | str) -> bool:
    """Whether what is copied there keeps its own name."""
    if isinstance(target, Place):
        return not target.name or target.name.endswith("/")
    return target == "-" or os.path.isdir(target) or target.endswith(os.sep)


def _name_in(target: Place, own: str) -> str:
    """The name of what is copied into a bucket, by its own."""
    return target.name + own if _keeps_names(target) else target.name


def _shown(done: FolderReport, task: _Task) -> bool:
    """Tell what was done for a folder; whether all of it was."""
    show.report(done, task.settings.json)
    return not done.refused


# --- from the disk


def _from_disk(store: ObjectStore, source: str, target: Place, task: _Task) -> bool:
    """Store a file or a folder; whether all was."""
    own = os.path.basename(source.rstrip(os.sep))
    own = "" if own in (".", "..") else own
    if os.path.isdir(source):
        return _upload_folder(store, source, _name_in(target, own), task)
    if own and own not in task.selection:
        return True
    if source == "-":
        tell(store.put(target.name, show.binary(sys.stdin)), task.settings)
        return True
    before = look_at(Path(source))
    metadata = None if before is None else {MTIME: mtime_text(before.mtime)}
    info = store.upload_file(
        source, _name_in(target, own), metadata=metadata, progress=task.settings.bars
    )
    tell(info, task.settings)
    if task.move:
        if look_at(Path(source)) != before:
            show.complain(f"{source} was changed meanwhile, and stays")
            return False
        Path(source).unlink()
    return True


def _upload_folder(store: ObjectStore, source: str, prefix: str, task: _Task) -> bool:
    upload = partial(
        store.upload_dir,
        source,
        prefix,
        include=task.selection.include,
        exclude=task.selection.exclude,
    )
    done = upload(progress=task.settings.bars)
    if task.move:
        start = f"{prefix.rstrip('/')}/" if prefix else ""
        files = read_folder(Path(source), task.selection).files
        again = upload(compare="digest", dry_run=True)
        stay = {*again.transferred, *(each.name for each in again.refused)}
        for name, file in files.items():
            if start + name not in stay:
                file.path.unlink()
        _remove_empty(source)
    return _shown(done, task)


def _remove_empty(top: str) -> None:
    """Remove a folder and those in it, as far as nothing is left in them."""
    for folder, _, _ in os.walk(top, topdown=False):
        with suppress(OSError):
            os.rmdir(folder)


# --- from a bucket


def _from_bucket(
    bucket: Callable[[str], ObjectStore], source: Place, target: Place | str, task: _Task
) -> bool:
    """Copy an object, what fits a glob, or a folder; whether all was."""
    store = bucket(source.bucket)
    into = bucket(target.bucket) if isinstance(target, Place) else None
    name = source.name
    if task.recursive and (not name or (not has_glob(name) and name not in store)):
        if into is None:
            return _download_folder(store, source, str(target), task)
        assert isinstance(target, Place)  # noqa: S101 - or there is no bucket
        return _copy_folder(store, source, into, target, task)
    found = [info for info in expand(store, name) if last_part(info.name) in task.selection]
    if [info.name for info in found] != [name] and has_glob(name) and not _keeps_names(target):
        raise click.UsageError(f"{str(target)!r} is no folder, which several objects need")
    names = [last_part(info.name) for info in found]
    if len(set(names)) < len(names) and target != "-":
        raise click.UsageError("two of the objects would have the same name: try -r")
    for info, own in zip(found, names, strict=True):
        if isinstance(target, Place):
            assert into is not None  # noqa: S101 - opened above
            _copy_object(store, info, into, _name_in(target, own), task)
        else:
            _download(store, info, target, task)
    return True


def _download(store: ObjectStore, info: ObjectInfo, target: str, task: _Task) -> None:
    if target == "-":
        result = store.get(info.name)
        if result is not None:
            with result:
                shutil.copyfileobj(result, show.binary(sys.stdout), _BLOCK)
            show.binary(sys.stdout).flush()
        return
    path = target_file(info.name, target)
    if task.move and path.exists() and look_at(path) is None:
        raise click.UsageError(f"{str(path)!r} is no regular file, which would keep {info.name!r}")
    now = store.download_file(info.name, path, progress=task.settings.bars)
    if look_at(path) is not None:
        restore(path, now.metadata)
    tell(now, task.settings, str(path), path=str(path))
    if task.move:
        store.delete(info.name, if_revision=info.revision)


def _copy_object(
    store: ObjectStore, info: ObjectInfo, into: ObjectStore, name: str, task: _Task
) -> None:
    if into is store and name == info.name:
        raise click.UsageError(f"{name!r} would be copied onto itself")
    if into is store and task.move:
        tell(store.update(info.name, new_name=name), task.settings)
        return
    tell(store.copy(info.name, name, target=into), task.settings)
    if task.move:
        store.delete(info.name, if_revision=info.revision)


def _folder_of(source: Place) -> str:
    """What the names of a folder's objects begin with."""
    return f"{source.name.rstrip('/')}/" if source.name else ""


def _copy_folder(
    store: ObjectStore, source: Place, into: ObjectStore, target: Place, task: _Task
) -> bool:
    folder = _folder_of(source)
    own = last_part(folder[:-1]) if folder else ""
    start = _name_in(target, own)
    start = f"{start.rstrip('/')}/" if start else ""
    if into is store and start.startswith(folder):
        raise click.UsageError(f"{source} would be copied into itself")
    found = list(store.list(prefix=folder or None))
    if not found:
        raise no_folder(source)
    whole = True
    for info in found:
        inside = info.name[len(folder) :]
        if inside in task.selection:
            try:
                _copy_object(store, info, into, start + inside, task)
            except (objstore.ObjectNotFoundError, objstore.LinkError) as error:
                show.complain(f"refused: {info.name}: {error}")
                whole = False
    return whole


def _download_folder(store: ObjectStore, source: Place, target: str, task: _Task) -> bool:
    if target == "-":
        raise click.UsageError("a folder cannot go to stdout: a glob, in quotes, can")
    folder = _folder_of(source)
    root = Path(target)
    if folder and _keeps_names(target):
        root = root / last_part(folder[:-1])
    before = {info.name: info.revision for info in store.list(prefix=folder or None)}
    if not before:
        raise no_folder(source)
    download = partial(
        store.download_dir,
        root,
        folder,
        include=task.selection.include,
        exclude=task.selection.exclude,
    )
    done = download(progress=task.settings.bars)
    if task.move:
        again = download(compare="digest", dry_run=True)
        refused = (each.name for each in (*again.refused, *again.skipped))
        stay = {*again.transferred, *refused}
        for name, revision in before.items():
            if name not in stay and name[len(folder) :] in task.selection:
                store.delete(name, if_revision=revision)
    return _shown(done, task)
