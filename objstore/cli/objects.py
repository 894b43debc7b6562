"""``put get cat``: objects."""

from __future__ import annotations

import mimetypes
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import click

import objstore
from objstore import ObjectInfo, ObjectMeta, ObjectResult, ObjectStore
from objstore.cli.completion import words as complete
from objstore.cli.options import (
    OTHER,
    Settings,
    command,
    create_option,
    pass_settings,
    words_argument,
)
from objstore.cli.screen import show
from objstore.cli.screen.bars import Bar, Progress
from objstore.cli.transfer_options import transfer_options
from objstore.cli.typed.globs import expand, has_glob, names_of, no_object
from objstore.cli.typed.hints import line_like
from objstore.cli.typed.places import Place, objects, one_object, place_or_path
from objstore.cli.typed.places import place as read_place
from objstore.cli.typed.values import ByteRange, byte_range, duration, header, size

#: Files up to this size, in bytes, go together; larger ones have a progress of their own.
_SMALL = 128 << 10

#: How many of them before their lines are printed.
_TOGETHER = 256


def tell(info: ObjectInfo, settings: Settings, label: str | None = None, **more: str) -> None:
    """Print what became of an object: one line."""
    if settings.json:
        show.note(show.as_json({**show.object_fields(info), **more}))
    else:
        digest = info.digest.partition("=")[2][:12]
        show.note(f"{show.shown(label or info.name)}  {show.human_size(info.size)}  {digest}")


# --- put


class _File(click.Path):
    """A file to store, or "-"; a bucket in its place gets the line with the two exchanged."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            where = "" if ctx is None else ctx.params.get("where", "")
            if not os.path.lexists(where) or not isinstance(place_or_path(value), Place):
                raise
            line = line_like({where: value, value: where})
            raise click.UsageError(f"the bucket comes first: did you mean: {line}", ctx) from None


@command()
@click.argument("where", metavar="BUCKET[:NAME]", shell_complete=complete.place)
@click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=_File(exists=True, allow_dash=True),
)
@click.option("--name", metavar="NAME", help="The object's name. [default: the file's]")
@click.option("-r", "--recursive", is_flag=True, help="Folders too, with all in them.")
@click.option("--mime", metavar="TYPE", help="The media type. [default: by the file's name]")
@click.option(
    "--header", "headers", metavar="K:V", type=header, multiple=True, help="May be repeated."
)
@click.option("--description", metavar="TEXT", help="Free text.")
@click.option("--chunk-size", metavar="SIZE", type=size, help="Such as 128k or 1M.")
@click.option("--ttl", metavar="TIME", type=duration, help="It expires so long after, as 1h.")
@create_option
@pass_settings
def put(
    settings: Settings,
    /,
    where: str,
    files: tuple[str, ...],
    name: str | None,
    recursive: bool,
    headers: tuple[tuple[str, str], ...],
    create: bool,
    **options: Any,
) -> None:
    """Store files as objects; FILE "-" is stdin, and needs a name.

    A NAME that ends in "/" is a folder, where the files keep their own names. Prints a line for
    each object: name, size, beginning of the digest. With --json, a line of JSON for each. An
    object appears whole or not at all, also after Ctrl-C. With --embedded a missing bucket is
    created.

    \b
    Examples:
      objstore put photos cat.jpg dog.jpg --create
      objstore put photos:pets/ cat.jpg dog.jpg
      objstore put photos:pets/cat.jpg cat.jpg --header "Author: Joe"
      objstore put -r backups etc
      pg_dump shop | objstore put backups:shop.sql -
    """
    place = read_place(where)
    planned = _plan(files, *_folder_and_name(place, name), recursive)
    options = {key: value for key, value in options.items() if value is not None}
    options.update(headers=_header_lists(headers))
    create = settings.creates(asked=create)
    title = next(iter(planned)) if len(planned) == 1 else ""
    with settings.bucket(place.bucket, create=create) as store, settings.bar(title) as bar:
        # Once, before the first is sent: for the bar, and for what goes together.
        sizes = {name: _size_of(file) for name, file in planned.items()}
        if len(planned) > 1:
            bar.expect(len(planned), sum(sizes.values()))
        for names in _grouped(sizes):
            infos = _put_group(store, {each: planned[each] for each in names}, options, bar)
            with bar.aside():
                for info in infos:
                    tell(info, settings)


def _folder_and_name(place: Place, name: str | None) -> tuple[str, str | None]:
    """Return the folder that objects come into, and the name of the only one, if given.

    Raises:
        click.UsageError: two names are given.
    """
    if not place.name or place.name.endswith("/"):
        return place.name, name
    if name is not None:
        raise click.UsageError(f"there are two names: {place.name!r} and {name!r}")
    return "", place.name


def _plan(files: tuple[str, ...], folder: str, name: str | None, recursive: bool) -> dict[str, str]:
    """Choose each object's name for its file, checked before the first is sent.

    Raises:
        click.UsageError: they cannot all be stored so.
    """
    if len(files) > 1 and name is not None:
        raise click.UsageError(
            f"--name names one object, {name!r}, and there are several files; "
            "a folder's name ends in /"
        )
    if len(files) > 1 and "-" in files:
        raise click.UsageError("stdin (-) is stored alone, under a name of its own")
    planned: dict[str, str] = {}
    for file in files:
        for object_name, path in _named(file, name, recursive):
            if folder + object_name in planned:
                raise click.UsageError(f"two of the files would be stored as {object_name!r}")
            planned[folder + object_name] = path
    for object_name, path in planned.items():
        try:
            # Python has lone surrogates for the bytes of a file's name that are not UTF-8.
            object_name.encode()
        except UnicodeEncodeError:
            raise click.UsageError(
                f"the name of {path!r} is not UTF-8: give the object another with --name"
            ) from None
    return planned


def _named(file: str, name: str | None, recursive: bool) -> Iterator[tuple[str, str]]:
    """Yield the objects that a file or a folder becomes, each with its file.

    Raises:
        click.UsageError: it has no name, or is a folder and folders were not asked for.
    """
    if not os.path.isdir(file):
        if file == "-" and name is None:
            raise click.UsageError("what comes from stdin needs a --name, or BUCKET:NAME")
        yield os.path.basename(file) if name is None else name, file
        return
    if not recursive:
        raise click.UsageError(f"{file!r} is a directory: -r stores all that is in it")
    top = os.path.basename(file.rstrip("/")) if name is None else name
    for parent, _, names in sorted(os.walk(file)):
        for each in sorted(names):
            path = os.path.join(parent, each)
            # Pipes and sockets are passed over: to open one waits for its other end.
            if os.path.isfile(path):
                inside = Path(path).relative_to(file).as_posix()
                yield (inside if top in ("", ".", "..") else f"{top}/{inside}"), path


def _size_of(file: str) -> int:
    return 0 if file == "-" else os.stat(file).st_size


def _grouped(sizes: dict[str, int]) -> Iterator[list[str]]:
    """Put small objects that follow each other together, and leave the others alone."""
    group: list[str] = []
    for name, size_ in sizes.items():
        if group and (size_ > _SMALL or len(group) == _TOGETHER):
            yield group
            group = []
        if size_ > _SMALL:
            yield [name]
        else:
            group.append(name)
    if group:
        yield group


def _put_group(
    store: ObjectStore, planned: dict[str, str], options: dict[str, Any], bar: Bar
) -> list[ObjectInfo]:
    """Store some files: one, or several small ones, which are under way together."""
    if len(planned) == 1:
        ((name, file),) = planned.items()
        return [_put(store, file, name, {**options, "progress": bar.of_one()})]

    def items() -> Iterator[tuple[ObjectMeta, Path]]:
        for name, file in planned.items():
            told = bar.of_one()
            mime = options.get("mime") or mimetypes.guess_type(file)[0]
            yield ObjectMeta(name, mime=mime), Path(file)
            if told is not None:
                told(_size_of(file), None)

    # Said of each file by its ObjectMeta: put_many takes one for all, and it may be guessed.
    rest = {key: value for key, value in options.items() if key != "mime"}
    return store.put_many(items(), **rest)


def _header_lists(headers: tuple[tuple[str, str], ...]) -> dict[str, list[str]] | None:
    lists: dict[str, list[str]] = {}
    for name, value in headers:
        lists.setdefault(name, []).append(value)
    return lists or None


def _put(store: ObjectStore, file: str, name: str, options: dict[str, Any]) -> ObjectInfo:
    if file != "-":
        return store.upload_file(file, name, **options)
    guessed = {"mime": mimetypes.guess_type(name)[0]}
    buffered = show.binary(sys.stdin)
    # Unbuffered: a buffer reads on after a Ctrl-C that met it between two reads.
    stdin = getattr(buffered, "raw", buffered)
    return store.put(name, stdin, **{**guessed, **options})


# --- get


@command()
@words_argument("BUCKET:NAME [FILE|DIR|-]", complete.object_or_file)
@click.option(
    "-o",
    "--output",
    metavar="FILE|DIR|-",
    help="Where to; - is stdout. [default: ./ and the last part of NAME]",
)
@click.option("-r", "--recursive", is_flag=True, help="A folder, with all in it.")
@transfer_options
@pass_settings
def get(
    settings: Settings,
    /,
    words: tuple[str, ...],
    output: str | None,
    recursive: bool,
    **options: Any,
) -> None:
    """Write an object into a file.

    Also BUCKET NAME; a name may be a glob, in quotes, and --output a directory then. One that ends
    in "/" is made if it is missing. The file appears, or replaces the one that is there, only when
    it is whole and its digest was verified. What goes to stdout (-, or by its name) is verified
    before its last piece is written, and nothing else is.

    \b
    Examples:
      objstore get photos:pets/cat.jpg                 into ./cat.jpg
      objstore get photos pets/cat.jpg my.jpg
      objstore get 'photos:pets/*.jpg' -o albums/
      objstore get -r photos:pets                      into ./pets/
      objstore get backups shop.sql -o - | psql
    """
    place, output = _source(words, output, recursive)
    if recursive:
        _get_folder(settings, place, output, **options)
    elif output == "-" or (output is not None and show.is_stdout(output)):
        _get_to_stdout(settings, place)
    elif has_glob(place.name):
        _get_all(settings, place, output)
    else:
        target = target_file(place.name, output)
        with settings.bucket(place.bucket) as store, settings.bar(place.name) as bar:
            _download(settings, store, place.name, target, bar)


def _source(
    words: tuple[str, ...], output: str | None, recursive: bool
) -> tuple[Place, str | None]:
    """Return what is read, and where it goes; with -r that may be a whole bucket.

    Raises:
        click.UsageError: the words make no sense.
    """
    count = 1 if read_place(words[0]).name else 2
    if len(words) > count + 1:
        raise click.UsageError("one object at a time: a glob, in quotes, or -r takes several")
    if len(words) > count:
        if output is not None:
            raise click.UsageError(f"there are two targets: {words[-1]!r} and {output!r}")
        output = words[-1]
    if len(words) < count and recursive:
        return read_place(words[0]), output
    return one_object(words[:count]), output


def _get_to_stdout(settings: Settings, place: Place) -> None:
    stdout = show.binary(sys.stdout)
    # On the same terminal a bar would be drawn over the content.
    bar = Bar(settings.bars and not stdout.isatty(), place.name)
    with settings.bucket(place.bucket) as store, bar:
        result = _open(store, place.name, bar.of_one())
        with result:
            _copy(result, stdout, 0, result.info.size)


def _get_all(settings: Settings, place: Place, output: str | None) -> None:
    """Write what fits a glob into a directory; if it is an object's name, that one alone."""
    with settings.bucket(place.bucket) as store, settings.bar() as bar:
        found = expand(store, place.name)
        names = [info.name for info in found]
        # An object whose name looks like a glob is one object, and may go into a file.
        if names != [place.name] and output is not None and not _is_folder(output):
            raise click.UsageError(
                f"{output!r} is no directory, which several objects need; a / at its end makes one"
            )
        targets = [target_file(name, output) for name in names]
        if len(set(targets)) < len(targets):
            raise click.UsageError("two of the objects would be the same file: try -r")
        bar.expect(len(found), sum(info.size for info in found))
        for name, target in zip(names, targets, strict=True):
            _download(settings, store, name, target, bar)


def _get_folder(settings: Settings, place: Place, output: str | None, **options: Any) -> None:
    name = place.name.rstrip("/")
    folder = Path(output or ".", last_part(name) if name else "")
    with settings.bucket(place.bucket) as store, settings.bar() as bar:
        report = store.download_dir(folder, name, **options, **bar.of_folder)
    if not report.transferred and not report.unchanged:
        raise no_folder(place)
    show.report(report, settings.json)
    if report.refused:
        raise click.exceptions.Exit(OTHER)


def no_folder(place: Place) -> objstore.ObjectNotFoundError:
    """Make the error that says that nothing is in a folder."""
    what = f"there is no folder {place.name!r} in" if place.name else "there is nothing in"
    hint = "; a glob takes objects, without -r" if has_glob(place.name) else ""
    return objstore.ObjectNotFoundError(
        f"{what} bucket {place.bucket}{hint}", bucket=place.bucket, name=place.name or None
    )


def _download(settings: Settings, store: ObjectStore, name: str, target: Path, bar: Bar) -> None:
    try:
        with folder_of(target):
            info = store.download_file(name, target, progress=bar.of_one())
    except objstore.ObjectNotFoundError:
        raise no_object(store, name) from None
    with bar.aside():
        tell(info, settings, str(target), path=str(target))


def target_file(name: str, output: str | None) -> Path:
    """Choose the file to write an object into; in a folder that ends in / and may be missing.

    Raises:
        click.UsageError: there is none that can be written.
    """
    if output is None or _is_folder(output):
        target = Path(output or "", last_part(name))
    else:
        target = Path(output)
    if target.is_dir():
        raise click.UsageError(f"{str(target)!r} is a directory: give a file with -o")
    if not target.parent.is_dir() and not (output and output.endswith(os.sep)):
        folder = str(target.parent)
        line = f"mkdir -p {shlex.quote(folder)}"
        raise click.UsageError(f"there is no directory {folder!r}; make it with: {line}")
    return target


def _is_folder(output: str) -> bool:
    return os.path.isdir(output) or output.endswith(os.sep)


@contextmanager
def folder_of(target: Path) -> Iterator[None]:
    """Make the folder of a file, where it is missing; it goes again if nothing gets into it."""
    folder = target.parent
    missing = not folder.is_dir()
    if missing:
        folder.mkdir(parents=True)
    try:
        yield
    finally:
        if missing:
            with suppress(OSError):  # as a rule the file is in it
                folder.rmdir()


def last_part(name: str) -> str:
    """Return the last part of an object's name, as the name of a file and nothing else.

    Raises:
        click.UsageError: it cannot be one.
    """
    last = name.rpartition("/")[2]
    other = {separator for separator in (os.sep, os.altsep) if separator}
    # Whoever named the object must not choose a place outside of the folder.
    if last in ("", ".", "..") or "\0" in last or other & set(last):
        raise click.UsageError(
            f"no file can be named after {name!r}: -r takes a folder, -o names a file"
        )
    return last


def _open(store: ObjectStore, name: str, progress: Progress | None = None) -> ObjectResult:
    result = store.get(name, progress=progress)
    if result is None:
        raise no_object(store, name)
    return result


def _copy(result: ObjectResult, target: BinaryIO, start: int, stop: int) -> None:
    """Write a part of an object; what stands before it is read and dropped."""
    while result.tell() < stop:
        here = result.tell()
        # A chunk at a time: what has come goes on, and does not wait for a whole block.
        block = result.read1(min(show.BLOCK, (start if here < start else stop) - here))
        if here >= start:
            target.write(block)
    target.flush()


# --- cat


@command()
@words_argument("BUCKET:NAME...", complete.bucket_or_words)
@click.option(
    "--range",
    "part",
    metavar="A-B",
    type=byte_range,
    help="Bytes A to B, both included; A- to the end; -N the last N.",
)
@pass_settings
def cat(settings: Settings, words: tuple[str, ...], part: ByteRange | None) -> None:
    """Write objects to stdout, one after the other.

    Also BUCKET NAME...; a name may be a glob, in quotes. A whole object's digest is verified
    before its last piece is written; a range is not verified. A range beyond the end is cut to
    what is there.

    \b
    Examples:
      objstore cat logs today.log | grep error
      objstore cat photos cat.jpg --range 0-99        the first 100 bytes
      objstore cat photos cat.jpg --range -16         the last 16
      objstore cat 'logs:2026-*.log'                  all that fit, in order
    """
    stdout = show.binary(sys.stdout)
    whole = ByteRange(0, None)
    places = objects(words)
    with settings.buckets() as bucket:
        for place in places:
            store = bucket(place.bucket)
            for name in names_of(store, place.name):
                with _open(store, name) as result:
                    _copy(result, stdout, *(part or whole).within(result.info.size))
