"""``put get cat rm``: objects."""

from __future__ import annotations

import mimetypes
import os
import sys
from pathlib import Path
from typing import Any, BinaryIO

import click

import objstore
from objstore import ObjectInfo, ObjectResult, ObjectStore
from objstore.cli import show
from objstore.cli.options import NOT_FOUND, Settings, command, pass_settings
from objstore.cli.values import ByteRange, byte_range, duration, header, size

#: Bytes that ``cat`` reads and writes at a time.
_BLOCK = 1 << 20


def _tell(info: ObjectInfo, settings: Settings, label: str | None = None, **more: str) -> None:
    """Print what became of an object: one line."""
    if settings.json:
        show.note(show.as_json({**show.object_fields(info), **more}))
    else:
        digest = info.digest.partition("=")[2][:12]
        show.note(f"{show.shown(label or info.name)}  {show.human_size(info.size)}  {digest}")


# --- put


@command()
@click.argument("bucket")
@click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
)
@click.option("--name", metavar="NAME", help="The object's name. [default: the file's]")
@click.option("--mime", metavar="TYPE", help="The media type. [default: by the file's name]")
@click.option(
    "--header", "headers", metavar="K:V", type=header, multiple=True, help="May be repeated."
)
@click.option("--description", metavar="TEXT", help="Free text.")
@click.option("--chunk-size", metavar="SIZE", type=size, help="Such as 128k or 1M.")
@click.option("--ttl", metavar="TIME", type=duration, help="It expires so long after, as 1h.")
@click.option("--create", is_flag=True, help="Create the bucket if there is none.")
@pass_settings
def put(
    settings: Settings,
    bucket: str,
    files: tuple[str, ...],
    name: str | None,
    mime: str | None,
    headers: tuple[tuple[str, str], ...],
    description: str | None,
    chunk_size: int | None,
    ttl: float | None,
    create: bool,
) -> None:
    """Store files as objects; FILE "-" is stdin, and needs --name.

    Prints a line for each object: name, size, beginning of the digest. With --json, a line of
    JSON for each. An object appears whole or not at all, also after Ctrl-C. With --embedded a
    missing bucket is created.

    \b
    Examples:
      objstore put photos cat.jpg dog.jpg --create
      objstore put photos cat.jpg --name pets/cat.jpg --header "Author: Joe"
      pg_dump shop | objstore put backups - --name shop.sql
    """
    planned = _plan(files, name)
    options: dict[str, Any] = {
        "description": description,
        "chunk_size": chunk_size,
        "ttl": ttl,
        "headers": _header_lists(headers),
        "progress": settings.bars,
    }
    if mime is not None:
        options["mime"] = mime
    create = create or settings.embedded is not None
    with settings.bucket(bucket, create=create) as store:
        for file, object_name in planned:
            _tell(_put(store, file, object_name, options), settings)


def _plan(files: tuple[str, ...], name: str | None) -> list[tuple[str, str]]:
    """Each file and the name of its object, checked before the first is sent.

    Raises:
        click.UsageError: they cannot all be stored so.
    """
    if len(files) > 1:
        if name is not None:
            raise click.UsageError("--name names one object, and there are several files")
        if "-" in files:
            raise click.UsageError("stdin (-) is stored alone, under the name of --name")
    elif name is not None:
        return [(files[0], name)]
    planned: dict[str, str] = {}
    for file in files:
        if file == "-":
            raise click.UsageError("what comes from stdin needs a --name")
        object_name = os.path.basename(file)
        if object_name in planned:
            raise click.UsageError(f"two of the files would be stored as {object_name!r}")
        try:
            object_name.encode()
        except UnicodeEncodeError:
            raise click.UsageError(
                f"the name of {file!r} is not UTF-8: give the object another with --name"
            ) from None
        planned[object_name] = file
    return [(file, object_name) for object_name, file in planned.items()]


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
@click.argument("bucket")
@click.argument("name")
@click.option(
    "-o",
    "--output",
    metavar="FILE|DIR|-",
    help="Where to; - is stdout. [default: ./ and the last part of NAME]",
)
@pass_settings
def get(settings: Settings, bucket: str, name: str, output: str | None) -> None:
    """Write an object into a file.

    The file appears, or replaces the one that is there, only when it is whole and its digest
    was verified. What goes to stdout (-, or by its name) is verified before its last piece is
    written, and nothing else is.

    \b
    Examples:
      objstore get photos pets/cat.jpg            into ./cat.jpg
      objstore get photos pets/cat.jpg -o my.jpg
      objstore get photos pets/cat.jpg -o albums/
      objstore get backups shop.sql -o - | psql
    """
    if output == "-" or (output is not None and show.is_stdout(output)):
        stdout = show.binary(sys.stdout)
        bars = settings.bars and not stdout.isatty()
        with settings.bucket(bucket) as store, _open(store, name, progress=bars) as result:
            _copy(result, stdout, 0, result.info.size)
        return
    target = _target(name, output)
    with settings.bucket(bucket) as store:
        info = store.download_file(name, target, progress=settings.bars)
    _tell(info, settings, str(target), path=str(target))


def _target(name: str, output: str | None) -> Path:
    """The file to write.

    Raises:
        click.UsageError: there is none that can be written.
    """
    if output is None or os.path.isdir(output) or output.endswith(os.sep):
        target = Path(output or "", _last_part(name))
    else:
        target = Path(output)
    if target.is_dir():
        raise click.UsageError(f"{str(target)!r} is a directory: give a file with -o")
    if not target.parent.is_dir():
        raise click.UsageError(f"there is no directory {str(target.parent)!r}")
    return target


def _last_part(name: str) -> str:
    """The last part of an object's name, as the name of a file and nothing else.

    Raises:
        click.UsageError: it cannot be one.
    """
    last = name.rpartition("/")[2]
    other = {separator for separator in (os.sep, os.altsep) if separator}
    if last in ("", ".", "..") or "\0" in last or other & set(last):
        raise click.UsageError(f"no file can be named after {name!r}: give one with -o")
    return last


def _open(store: ObjectStore, name: str, *, progress: bool = False) -> ObjectResult:
    result = store.get(name, progress=progress)
    if result is None:
        raise objstore.ObjectNotFoundError(
            f"there is no object {name!r} in bucket {store.name}", bucket=store.name, name=name
        )
    return result


def _copy(result: ObjectResult, target: BinaryIO, start: int, stop: int) -> None:
    """Write a part of an object; what stands before it is read and dropped."""
    while result.tell() < stop:
        here = result.tell()
        block = result.read1(min(_BLOCK, (start if here < start else stop) - here))
        if here >= start:
            target.write(block)
    target.flush()


# --- cat


@command()
@click.argument("bucket")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option(
    "--range",
    "part",
    metavar="A-B",
    type=byte_range,
    help="Bytes A to B, both included; A- to the end; -N the last N.",
)
@pass_settings
def cat(settings: Settings, bucket: str, names: tuple[str, ...], part: ByteRange | None) -> None:
    """Write objects to stdout, one after the other.

    A whole object's digest is verified before its last piece is written; a range is not
    verified. A range beyond the end is cut to what is there.

    \b
    Examples:
      objstore cat logs today.log | grep error
      objstore cat photos cat.jpg --range 0-99        the first 100 bytes
      objstore cat photos cat.jpg --range -16         the last 16
    """
    stdout = show.binary(sys.stdout)
    whole = ByteRange(0, None)
    with settings.bucket(bucket) as store:
        for name in names:
            with _open(store, name) as result:
                _copy(result, stdout, *(part or whole).within(result.info.size))


# --- rm


@command()
@click.argument("bucket")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@pass_settings
def rm(settings: Settings, bucket: str, names: tuple[str, ...]) -> None:
    """Delete objects.

    Those that are not there are named on stderr, the others are deleted nonetheless, and the
    exit code is 1. With --json, a line of JSON for each.

    \b
    Examples:
      objstore rm photos cat.jpg pets/dog.jpg
      objstore rm photos -- -odd-name.jpg
    """
    missing = False
    with settings.bucket(bucket) as store:
        for name in names:
            deleted = store.delete(name)
            missing = missing or not deleted
            if settings.json:
                show.note(show.as_json({"bucket": bucket, "name": name, "deleted": deleted}))
            if not deleted:
                show.complain(f"there is no object {name!r} in bucket {bucket}")
    if missing:
        raise click.exceptions.Exit(NOT_FOUND)
