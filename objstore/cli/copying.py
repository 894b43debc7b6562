"""``cp mv``: files and objects, from either side to the other, and within buckets."""

from __future__ import annotations

import functools
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click

import objstore
from objstore import FolderReport, ObjectInfo, ObjectStore
from objstore.cli.completion import words as complete
from objstore.cli.objects import folder_of, last_part, no_folder, target_file, tell
from objstore.cli.options import (
    OTHER,
    Settings,
    command,
    create_option,
    pass_settings,
    words_argument,
)
from objstore.cli.screen import show
from objstore.cli.screen.bars import Bar
from objstore.cli.transfer_options import globs_options, transfer_options
from objstore.cli.typed.globs import expand, has_glob
from objstore.cli.typed.places import Place, check_ends, place_or_path
from objstore.folders import attributes, look_at, read_folder, restore

__all__ = ["cp", "mv", "open_buckets"]


@contextmanager
def open_buckets(
    settings: Settings, *, create: Place | str | None = None
) -> Iterator[Callable[[str], ObjectStore]]:
    """Connect, and give a function that opens buckets.

    Arguments:
        settings: the global options.
        create: where a bucket is made if it is missing, when it is opened; else none is.
    """
    made = create.bucket if isinstance(create, Place) else None
    with settings.connect() as client:
        yield functools.cache(lambda name: client.object_store(name, create=name == made))


def _head(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the arguments and options that cp and mv have."""
    for option in (
        pass_settings,
        transfer_options,
        globs_options,
        create_option,
        click.option("-r", "--recursive", is_flag=True, help="Folders, with all in them."),
        words_argument("SRC... DST", complete.any_place),
    ):
        function = option(function)
    return function


@command()
@_head
def cp(settings: Settings, /, words: tuple[str, ...], *, create: bool, **options: Any) -> None:
    """Copy files into a bucket, objects into files, or objects to others.

    SRC and DST are paths or BUCKET:NAME; one of them has a bucket. A DST that ends in ":" or "/",
    or is a directory, keeps the name; a directory that ends in "/" is made if it is missing. Names
    in a bucket may be globs, in quotes. "-" is stdin or stdout. Files keep their time of change;
    of folders only what differs is copied. What cannot be copied is told on stderr, the rest is
    copied, and the exit code is 4.

    \b
    Examples:
      objstore cp cat.jpg dog.jpg photos:pets/
      objstore cp photos:pets/cat.jpg .
      objstore cp 'photos:2026/*.jpg' albums/
      objstore cp -r site web:v2 --exclude '*.tmp' --create
      objstore cp photos:cat.jpg archive:2026/      bucket to bucket
      pg_dump shop | objstore cp - backups:shop.sql
    """
    ends = [place_or_path(word) for word in words]
    _run(words, ends, _task(settings, False, **options), create=create)


@command()
@_head
def mv(settings: Settings, /, words: tuple[str, ...], *, create: bool, **options: Any) -> None:
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
    _run(words, ends, _task(settings, True, **options), create=create)


@dataclass(frozen=True)
class _Task:
    """What is done with each source.

    Attributes:
        settings: the global options.
        move: whether the source is deleted afterwards.
        recursive: whether folders are meant.
        of_folder: as of ``upload_dir``: globs, permissions, jobs.
        bar: told of all transfers.
        meant: the same options, checked.
    """

    settings: Settings
    move: bool
    recursive: bool
    of_folder: dict[str, Any]
    bar: Bar
    meant: objstore.FolderOptions

    def means(self, path: str) -> bool:
        """Tell whether the globs mean a path in a folder, or a name alone."""
        return path in self.meant.selection


def _task(settings: Settings, move: bool, *, recursive: bool, **of_folder: Any) -> _Task:
    meant = objstore.FolderOptions(**of_folder)
    return _Task(settings, move, recursive, of_folder, settings.bar(), meant)


def _run(words: tuple[str, ...], ends: list[Place | str], task: _Task, *, create: bool) -> None:
    """Copy or move each source.

    Raises:
        click.UsageError: that makes no sense.
        click.exceptions.Exit: a part was refused.
    """
    *sources, target = ends
    if not sources:
        raise click.UsageError(f"where to? {words[0]!r} stands alone")
    check_ends(sources, target)
    # All before the first is copied: a slip in the last leaves nothing half done.
    for source in sources:
        _check_source(source, target, task)
    if len(sources) > 1 and not _keeps_names(target):
        raise click.UsageError(
            f"{words[-1]!r} is no folder, which several need; try a / at its end"
        )
    whole = True
    _expect_files(sources, task)
    made = target if task.settings.creates(asked=create) else None
    with open_buckets(task.settings, create=made) as bucket, task.bar:
        for source in sources:
            if isinstance(source, Place):
                done = _from_bucket(bucket, source, target, task)
            else:
                assert isinstance(target, Place)  # noqa: S101 - check_ends has seen to it
                done = _from_disk(bucket(target.bucket), source, target, task)
            whole = done and whole
    if not whole:
        raise click.exceptions.Exit(OTHER)


def _expect_files(sources: list[Place | str], task: _Task) -> None:
    """Let the bar be of all files together."""
    files = [each for each in sources if isinstance(each, str) and os.path.isfile(each)]
    if len(files) > 1:
        task.bar.expect(len(files), sum(map(os.path.getsize, files)))


def _tell(info: ObjectInfo, task: _Task, label: str | None = None, **more: str) -> None:
    """Print what became of an object."""
    with task.bar.aside():
        tell(info, task.settings, label, **more)


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
    """Tell whether what is copied there keeps its own name."""
    if isinstance(target, Place):
        return not target.name or target.name.endswith("/")
    return target == "-" or os.path.isdir(target) or target.endswith(os.sep)


def _name_in(target: Place, own: str) -> str:
    """Return the name that something gets in a bucket, by its own."""
    return target.name + own if _keeps_names(target) else target.name


def _shown(done: FolderReport, task: _Task) -> bool:
    """Tell what was done for a folder; whether all of it was."""
    with task.bar.aside():
        show.report(done, task.settings.json)
    return not done.refused


# --- from the disk


def _from_disk(store: ObjectStore, source: str, target: Place, task: _Task) -> bool:
    """Store a file or a folder; whether all was."""
    own = os.path.basename(source.rstrip(os.sep))
    # "." has no name of its own: its content goes right into the target.
    own = "" if own in (".", "..") else own
    if os.path.isdir(source):
        return _upload_folder(store, source, _name_in(target, own), task)
    if own and not task.means(own):
        return True
    if source == "-":
        _tell(store.put(target.name, show.binary(sys.stdin)), task)
        return True
    before = look_at(Path(source))
    metadata = None if before is None else attributes(before, mode=task.meant.mode)
    info = store.upload_file(
        source, _name_in(target, own), metadata=metadata, progress=task.bar.of_one()
    )
    _tell(info, task)
    if task.move:
        # Once more: what was written meanwhile would be lost with the file.
        if look_at(Path(source)) != before:
            show.complain(f"{source} was changed meanwhile, and stays")
            return False
        Path(source).unlink()
    return True


def _upload_folder(store: ObjectStore, source: str, prefix: str, task: _Task) -> bool:
    upload = partial(store.upload_dir, source, prefix, **task.of_folder)
    done = upload(**task.bar.of_folder)
    if task.move:
        start = f"{prefix.rstrip('/')}/" if prefix else ""
        files = read_folder(Path(source), task.meant.selection).files
        # By content: only what is known to be in the bucket is deleted here.
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
    # With -r a name is a folder's, unless an object has just that name.
    if task.recursive and (not name or (not has_glob(name) and name not in store)):
        if into is None:
            return _download_folder(store, source, str(target), task)
        assert isinstance(target, Place)  # noqa: S101 - or there is no bucket
        return _copy_folder(store, source, into, target, task)
    found = [info for info in expand(store, name) if task.means(last_part(info.name))]
    if [info.name for info in found] != [name] and has_glob(name) and not _keeps_names(target):
        raise click.UsageError(
            f"{str(target)!r} is no folder, which several objects need; try a / at its end"
        )
    names = [last_part(info.name) for info in found]
    # They lose their folders: the second would take the place of the first.
    if len(set(names)) < len(names) and target != "-":
        raise click.UsageError("two of the objects would have the same name: try -r")
    if len(found) > 1 and not isinstance(target, Place):
        task.bar.expect(len(found), sum(info.size for info in found))
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
                shutil.copyfileobj(result, show.binary(sys.stdout), show.BLOCK)
            show.binary(sys.stdout).flush()
        return
    path = target_file(info.name, target)
    if task.move and path.exists() and look_at(path) is None:
        raise click.UsageError(f"{str(path)!r} is no regular file, which would keep {info.name!r}")
    with folder_of(path):
        now = store.download_file(info.name, path, progress=task.bar.of_one())
    # Devices and pipes have no time and mode of ours.
    if look_at(path) is not None:
        restore(path, now.metadata, mode=task.meant.mode)
    _tell(now, task, str(path), path=str(path))
    if task.move:
        store.delete(info.name, if_revision=info.revision)


def _copy_object(
    store: ObjectStore, info: ObjectInfo, into: ObjectStore, name: str, task: _Task
) -> None:
    if into is store and name == info.name:
        raise click.UsageError(f"{name!r} would be copied onto itself")
    if into is store and task.move:
        _tell(store.update(info.name, new_name=name), task)
        return
    _tell(store.copy(info.name, name, target=into), task)
    if task.move:
        store.delete(info.name, if_revision=info.revision)


def _copy_folder(
    store: ObjectStore, source: Place, into: ObjectStore, target: Place, task: _Task
) -> bool:
    folder = source.start
    own = last_part(folder[:-1]) if folder else ""
    start = _name_in(target, own)
    start = f"{start.rstrip('/')}/" if start else ""
    if into is store and start.startswith(folder):
        raise click.UsageError(f"{source} would be copied into itself")
    # Before the copy: an object that is stored anew meanwhile has another revision, and stays.
    before = {info.name: info.revision for info in store.list(prefix=folder or None)}
    if not before:
        raise no_folder(source)
    if into is store and task.move:
        return _rename_folder(store, before, len(folder), start, task)
    copy = partial(store.copy_dir, folder, start, target=into, **task.of_folder)
    done = copy(**task.bar.of_folder)
    if task.move:
        again = copy(compare="digest", dry_run=True)
        stay = {folder + name[len(start) :] for name in again.transferred}
        stay |= {each.name for each in again.skipped}
        _delete_moved(store, before, len(folder), stay, task)
    return _shown(done, task)


def _rename_folder(
    store: ObjectStore, names: Iterable[str], cut: int, start: str, task: _Task
) -> bool:
    """Give objects new names, one by one: no content travels, and links stay links."""
    whole = True
    for name in names:
        if task.means(name[cut:]):
            try:
                _tell(store.update(name, new_name=start + name[cut:]), task)
            except objstore.ObjectNotFoundError as error:
                show.complain(f"refused: {name}: {error}")
                whole = False
    return whole


def _delete_moved(
    store: ObjectStore, revisions: dict[str, int], cut: int, stay: set[str], task: _Task
) -> None:
    """Delete what was copied, unless somebody has changed it meanwhile."""
    for name, revision in revisions.items():
        if name not in stay and task.means(name[cut:]):
            store.delete(name, if_revision=revision)


def _download_folder(store: ObjectStore, source: Place, target: str, task: _Task) -> bool:
    if target == "-":
        raise click.UsageError("a folder cannot go to stdout: a glob, in quotes, can")
    folder = source.start
    root = Path(target)
    if folder and _keeps_names(target):
        root = root / last_part(folder[:-1])
    before = {info.name: info.revision for info in store.list(prefix=folder or None)}
    if not before:
        raise no_folder(source)
    download = partial(store.download_dir, root, folder, **task.of_folder)
    done = download(**task.bar.of_folder)
    if task.move:
        # As in _upload_folder: only what is known to be here is deleted there.
        again = download(compare="digest", dry_run=True)
        refused = (each.name for each in (*again.refused, *again.skipped))
        stay = {*again.transferred, *refused}
        _delete_moved(store, before, len(folder), stay, task)
    return _shown(done, task)
