"""``ls tree du find``: what is in buckets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import click

import objstore
from objstore import ObjectInfo, ObjectStore, ObjectStoreStatus
from objstore.cli.completion import words as complete
from objstore.cli.options import NOT_FOUND, Settings, command, pass_settings
from objstore.cli.screen import show, tables
from objstore.cli.screen.tables import Column
from objstore.cli.typed.globs import has_glob, literal_prefix, pattern
from objstore.cli.typed.places import Place, place
from objstore.cli.typed.values import duration, size

_where = click.argument("where", metavar="BUCKET[:PREFIX]", shell_complete=complete.place)


# --- ls


@command()
@click.argument("where", metavar="[BUCKET[:PREFIX]]", required=False, shell_complete=complete.place)
@click.option("-l", "--long", is_flag=True, help="Size, time and media type too.")
@click.option("-r", "--recursive", is_flag=True, help="All below folders too.")
@pass_settings
def ls(settings: Settings, where: str | None, long: bool, recursive: bool) -> None:
    """List buckets, or what is in one: folders first, then objects, of one level.

    One name on each line, in order. The prefix is where names begin, or a glob in quotes; where
    nothing fits it, the exit code is 1. With --json, a line of JSON for each, which is also how to
    tell names apart that hold a newline.

    \b
    Examples:
      objstore ls                      the buckets
      objstore ls photos               folders and objects in one
      objstore ls -l photos:pets/      in a folder
      objstore ls -r photos            all
      objstore ls 'photos:pets/*.jpg'
      objstore ls photos --json | jq -r .name
    """
    if where is None:
        with settings.connect() as client:
            _list_buckets(client, settings, long)
        return
    found = place(where)
    folders: list[str] = []
    with settings.bucket(found.bucket) as store:
        # A name may have a * in it, and then means just that object.
        if has_glob(found.name) and found.name not in store:
            objects = sorted(_fitting(store, found), key=_order)
        elif recursive:
            objects = sorted(store.list(prefix=found.name or None), key=_order)
        else:
            folders, objects = _level(store, found.name)
    # As of tree: an empty bucket is no mistake, a name that nothing begins with may be a slip.
    if found.name and not folders and not objects:
        fits = "fits" if has_glob(found.name) else "begins with"
        show.complain(f"no name in bucket {found.bucket} {fits} {found.name!r}")
        raise click.exceptions.Exit(NOT_FOUND)
    _show(folders, objects, settings, long)


def _order(info: ObjectInfo) -> bytes:
    # By bytes, as scan and LC_ALL=C have it: the same everywhere, whatever the locale.
    return info.name.encode()


def _fitting(store: ObjectStore, where: Place) -> Iterator[ObjectInfo]:
    """Yield the objects that fit a glob."""
    fits = pattern(where.name).fullmatch
    for info in store.list(prefix=literal_prefix(where.name) or None):
        if fits(info.name):
            yield info


def _level(store: ObjectStore, prefix: str) -> tuple[list[str], list[ObjectInfo]]:
    """Return the folders and the objects of one level."""
    page = store.scan(prefix, delimiter="/")
    return page.prefixes, page.objects


def _list_buckets(client: objstore.Client, settings: Settings, long: bool) -> None:
    buckets = sorted(client.list_stores(), key=lambda status: status.bucket)
    if settings.json:
        show.lines(show.as_json(show.bucket_fields(status)) for status in buckets)
    elif long:
        show.lines(tables.lines([_bucket_row(status) for status in buckets], _OF_BUCKETS))
    else:
        show.lines(status.bucket for status in buckets)


#: Size, storage, name, description.
_OF_BUCKETS = [Column(right=True), Column(style=show.DETAIL), Column(style=show.BUCKET), Column()]


def _bucket_row(status: ObjectStoreStatus) -> list[str]:
    return [
        show.human_size(status.bytes),
        status.storage.value,
        status.bucket,
        show.shown(status.description),
    ]


def _show(folders: list[str], objects: list[ObjectInfo], settings: Settings, long: bool) -> None:
    if settings.json:
        show.lines(show.as_json({"prefix": folder}) for folder in folders)
        show.lines(show.as_json(show.object_fields(info)) for info in objects)
    elif long:
        rows: list[list[tables.Cell]] = [["-", "-", "-", _folder(each)] for each in folders]
        rows += [_object_row(info) for info in objects]
        show.lines(tables.lines(rows, _OF_OBJECTS))
    else:
        show.lines(show.styled(*_folder(folder)) for folder in folders)
        show.lines(show.styled(show.shown(info.name), _style(info)) for info in objects)


#: Size, time, media type, name.
_OF_OBJECTS = [
    Column(right=True),
    Column(style=show.DETAIL),
    Column(style=show.DETAIL, cut=True),
    Column(),
]


def _folder(name: str) -> tuple[str, str]:
    """Make the cell of a folder's name."""
    return show.shown(name), show.FOLDER


def _style(info: ObjectInfo) -> str:
    return "" if info.link is None else show.LINK


def _object_row(info: ObjectInfo) -> list[tables.Cell]:
    return [
        show.human_size(info.size),
        show.local_time(info.mtime),
        show.shown(info.mime or "-"),
        (show.shown(_with_target(info.name, info)), _style(info)),
    ]


def _with_target(name: str, info: ObjectInfo) -> str:
    """Return a name, and what it leads to if it is a link's."""
    return name if info.link is None else f"{name} -> {info.link.bucket}:{info.link.name or ''}"


# --- tree


@command()
@_where
@click.option("-L", "--level", metavar="N", type=click.IntRange(min=1), help="No deeper than that.")
@pass_settings
def tree(settings: Settings, where: str, level: int | None) -> None:
    """Draw the folders of a bucket, and what is in them.

    With --json, a line of JSON for each object.

    \b
    Examples:
      objstore tree photos
      objstore tree photos:2026/ -L 2
    """
    found = place(where)
    folder = found.start
    with settings.bucket(found.bucket) as store:
        objects = sorted(store.list(prefix=folder or None), key=_order)
    # An empty bucket is no mistake; a folder in which nothing is may be a slip.
    if folder and not objects:
        show.complain(f"there is nothing below {folder!r} in bucket {found.bucket}")
        raise click.exceptions.Exit(NOT_FOUND)
    if settings.json:
        _show([], objects, settings, long=False)
        return
    show.line(show.styled(show.shown(str(found)), show.BUCKET))
    show.lines(_branches(_as_tree(objects, len(folder)), "", level))
    # Not counted while drawing: with -L not all are drawn.
    folders = {
        info.name[: at + 1] for info in objects for at, c in enumerate(info.name) if c == "/"
    }
    total = show.human_size(sum(info.size for info in objects))
    number, within = show.counted(len(objects), "object"), show.counted(len(folders), "folder")
    show.line(f"{number} in {within}, {total}")


def _as_tree(objects: Iterable[ObjectInfo], skipped: int) -> dict[str, Any]:
    """Make dicts of folders, of what is in them; an object's name ends in no ``/`` there."""
    top: dict[str, Any] = {}
    for info in objects:
        *folders, last = info.name[skipped:].split("/")
        inside = top
        for folder in folders:
            inside = inside.setdefault(f"{folder}/", {})
        inside[last] = info
    return top


def _branches(inside: dict[str, Any], before: str, level: int | None) -> Iterator[str]:
    """Yield the lines of a folder's content."""
    names = sorted(inside, key=lambda name: (not name.endswith("/"), name.encode()))
    for name in names:
        last = name == names[-1]
        below = inside[name]
        text = name if isinstance(below, dict) else _with_target(name, below)
        style = show.FOLDER if isinstance(below, dict) else _style(below)
        yield f"{before}{'└── ' if last else '├── '}{show.styled(show.shown(text), style)}"
        if isinstance(below, dict) and level != 1:
            deeper = None if level is None else level - 1
            yield from _branches(below, before + ("    " if last else "│   "), deeper)


# --- du


@command()
@_where
@click.option("-s", "--summary", is_flag=True, help="The sum alone.")
@pass_settings
def du(settings: Settings, where: str, summary: bool) -> None:
    """Tell how much the objects of each folder have: bytes, number, name.

    The folders are those of the level below; the last line is all together.

    \b
    Examples:
      objstore du photos
      objstore du photos:2026/
      objstore du -s photos --json
    """
    found = place(where)
    sums: dict[str, list[int]] = {}
    total = [0, 0]
    with settings.bucket(found.bucket) as store:
        for info in store.list(prefix=found.name or None):
            _add(total, info)
            folder, slash, _ = info.name[len(found.name) :].partition("/")
            if slash:
                _add(sums.setdefault(f"{found.name}{folder}/", [0, 0]), info)
    rows = [] if summary else sorted(sums.items(), key=lambda row: row[0].encode())
    _show_sums([*rows, (str(found), total)], found, settings)


def _add(sums: list[int], info: ObjectInfo) -> None:
    """Add an object to the sums: its bytes, and itself."""
    sums[0] += info.size
    sums[1] += 1


def _show_sums(rows: list[tuple[str, list[int]]], where: Place, settings: Settings) -> None:
    if settings.json:
        for name, (size_, count) in [*rows[:-1], (where.name, rows[-1][1])]:
            fields = {"bucket": where.bucket, "prefix": name, "bytes": size_, "objects": count}
            show.line(show.as_json(fields))
        return
    cells: list[list[tables.Cell]] = [
        [show.human_size(b), f"{n:,}", _folder(name)] for name, (b, n) in rows[:-1]
    ]
    name, (size_, count) = rows[-1]
    cells.append([show.human_size(size_), f"{count:,}", (show.shown(name), show.BUCKET)])
    show.lines(tables.lines(cells, [Column(right=True), Column(right=True), Column()]))


# --- find


@command()
@_where
@click.option("--name", metavar="GLOB", help="Of the last part of the name, or of all with a /.")
@click.option("--larger", metavar="SIZE", type=size, help="Larger than that, as 10M.")
@click.option("--smaller", metavar="SIZE", type=size, help="Smaller than that.")
@click.option("--older", metavar="TIME", type=duration, help="Stored longer ago than that, as 7d.")
@click.option("--newer", metavar="TIME", type=duration, help="Stored not so long ago.")
@click.option("--mime", metavar="GLOB", help="Of the media type.")
@pass_settings
def find(settings: Settings, /, where: str, **asked: Any) -> None:
    """Find objects; those are printed for which all is true that is asked.

    The exit code is 0 also where nothing is found. With --json, a line of JSON for each.

    \b
    Examples:
      objstore find photos --name '*.jpg' --larger 5M
      objstore find logs:2025/ --older 90d
      objstore find photos --mime 'image/*' --json
    """
    found = place(where)
    tests = list(_tests(**asked))
    with settings.bucket(found.bucket) as store:
        objects = [
            info
            for info in store.list(prefix=found.name or None)
            if all(test(info) for test in tests)
        ]
    _show([], sorted(objects, key=_order), settings, long=False)


def _tests(
    name: str | None,
    larger: int | None,
    smaller: int | None,
    older: float | None,
    newer: float | None,
    mime: str | None,
) -> Iterator[Callable[[ObjectInfo], object]]:
    """Make the tests that an object must pass."""
    # One moment for all: a long listing moves no object across the line.
    now = time.time()
    if name is not None:
        fits = pattern(name).fullmatch
        whole = "/" in name
        yield lambda info: fits(info.name if whole else info.name.rpartition("/")[2])
    if larger is not None:
        yield lambda info: info.size > larger
    if smaller is not None:
        yield lambda info: info.size < smaller
    if older is not None:
        yield lambda info: info.mtime is not None and info.mtime.timestamp() < now - older
    if newer is not None:
        yield lambda info: info.mtime is not None and info.mtime.timestamp() > now - newer
    if mime is not None:
        fits_type = pattern(mime).fullmatch
        yield lambda info: info.mime is not None and fits_type(info.mime)
