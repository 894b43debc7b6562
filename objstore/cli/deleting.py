"""``rm rmb seal gc``: what cannot be taken back, and so asks first on a terminal."""

from __future__ import annotations

import click

import objstore
from objstore import ObjectNotFoundError, ObjectStore
from objstore.cli.completion import words as complete
from objstore.cli.options import NOT_FOUND, Settings, command, pass_settings, words_argument
from objstore.cli.screen import show
from objstore.cli.typed.globs import expand, has_glob, literal_prefix, no_object, pattern
from objstore.cli.typed.places import Place, bucket_alone, objects, place
from objstore.cli.typed.values import duration

_force = click.option("-f", "--force", is_flag=True, help="Ask nothing.")


# --- rm


@command()
@words_argument("BUCKET:NAME...", complete.bucket_or_words)
@click.option("-r", "--recursive", is_flag=True, help="All below a folder.")
@_force
@click.option("--dry-run", is_flag=True, help="Only tell what would be deleted.")
@pass_settings
def rm(
    settings: Settings, words: tuple[str, ...], recursive: bool, force: bool, dry_run: bool
) -> None:
    """Delete objects.

    Also BUCKET NAME...; a name may be a glob, in quotes. On a terminal it asks before it deletes
    what is not named one by one. Those that are not there are told on stderr, the others are
    deleted nonetheless, and the exit code is 1. With --json, a line of JSON for each.

    \b
    Examples:
      objstore rm photos:cat.jpg photos:pets/dog.jpg
      objstore rm photos cat.jpg pets/dog.jpg
      objstore rm 'photos:2019/*.tmp' --dry-run
      objstore rm -r photos:2019/               all below
      objstore rm -r 'photos:20*'               objects and folders that fit
      objstore rm photos -- -odd-name.jpg
    """
    places = _places(words, recursive)
    missing = False
    with settings.buckets() as bucket:
        for each in places:
            store = bucket(each.bucket)
            names = _names(store, each, recursive)
            if dry_run:
                show.lines(show.shown(name) for name in names)
                if not names and each.name:
                    show.complain(str(no_object(store, each.name)))
                    missing = True
                continue
            # What was not named letter by letter may be more than was meant.
            if names and names != [each.name]:
                settings.confirm(
                    f"Delete {show.counted(len(names), 'object')} of {each}?", force=force
                )
                _delete_found(store, names, settings)
            elif names or each.name:
                missing = not _delete(store, each.name, settings) or missing
    if missing:
        raise click.exceptions.Exit(NOT_FOUND)


def _places(words: tuple[str, ...], recursive: bool) -> list[Place]:
    """Read what is to be deleted; with -r a bucket's name alone means all in it."""
    if recursive and len(words) == 1:
        return [place(words[0])]
    return objects(words)


def _names(store: ObjectStore, where: Place, recursive: bool) -> list[str]:
    """Find the names that are meant. One that is not there is among them, to be told of."""
    if recursive:
        return _names_below(store, where)
    if not has_glob(where.name):
        return [where.name]
    try:
        return [info.name for info in expand(store, where.name)]
    except ObjectNotFoundError:
        return []


def _names_below(store: ObjectStore, where: Place) -> list[str]:
    """Find the names in a folder; of a glob those that fit, and those in folders that fit."""
    below = [info.name for info in store.list(prefix=where.start or None)]
    if not below and where.name and where.name in store:
        return [where.name]
    # As elsewhere: a folder or an object whose name is the glob, letter by letter, is meant alone.
    if below or not has_glob(where.name):
        return below
    glob = where.name.rstrip("/")
    fits, fits_below = pattern(glob).fullmatch, pattern(f"{glob}/**").fullmatch
    listing = store.list(prefix=literal_prefix(glob) or None)
    return [info.name for info in listing if fits(info.name) or fits_below(info.name)]


def _delete(store: ObjectStore, name: str, settings: Settings) -> bool:
    """Delete the object that was named; return whether it was there."""
    deleted = store.delete(name)
    if settings.json:
        show.note(show.as_json({"bucket": store.name, "name": name, "deleted": deleted}))
    if not deleted:
        show.complain(str(no_object(store, name)))
    return deleted


def _delete_found(store: ObjectStore, names: list[str], settings: Settings) -> None:
    """Delete objects that a listing has found, many at a time; who was faster does not matter."""
    count = store.delete_many(names)
    if settings.json:
        for name in names:
            show.note(show.as_json({"bucket": store.name, "name": name, "deleted": True}))
    else:
        show.note(f"{count:,} deleted")


# --- buckets


@command()
@click.argument(
    "buckets", metavar="BUCKET...", nargs=-1, required=True, shell_complete=complete.bucket
)
@_force
@pass_settings
def rmb(settings: Settings, buckets: tuple[str, ...], force: bool) -> None:
    """Delete buckets, with all that is in them.

    On a terminal it asks, and tells how much that is. Those that are not there are told on
    stderr, and the exit code is 1.

    \b
    Examples:
      objstore rmb old-photos
      objstore rmb -f cache-1 cache-2
    """
    names = [bucket_alone(word) for word in buckets]
    missing = False
    with settings.connect() as client:
        for name in names:
            settings.confirm(_question(client, name), force=force)
            deleted = client.delete_store(name)
            missing = missing or not deleted
            if settings.json:
                show.note(show.as_json({"bucket": name, "deleted": deleted}))
            if not deleted:
                show.complain(f"there is no bucket {name}")
    if missing:
        raise click.exceptions.Exit(NOT_FOUND)


def _question(client: objstore.Client, name: str) -> str:
    try:
        status = client.object_store(name, create=False).status()
    except objstore.BucketNotFoundError:
        return f"Delete bucket {name}, which is not there?"
    size = show.human_size(status.total_size or 0)
    return f"Delete bucket {name} with its {show.counted(status.size or 0, 'object')} ({size})?"


@command()
@click.argument("bucket", shell_complete=complete.bucket)
@_force
@pass_settings
def seal(settings: Settings, bucket: str, force: bool) -> None:
    """Make a bucket unchangeable, for good; nobody can take that back.

    \b
    Examples:
      objstore seal archive-2025
    """
    name = bucket_alone(bucket)
    with settings.bucket(name) as store:
        # After the bucket was found: nobody is asked about a name that is mistyped.
        settings.confirm(f"Seal bucket {name} for ever?", force=force)
        status = store.seal()
    show.note(show.as_json(show.bucket_fields(status)) if settings.json else f"{name}  sealed")


@command()
@click.argument("bucket", shell_complete=complete.bucket)
@click.option(
    "--min-age",
    metavar="TIME",
    type=duration,
    default="1h",
    show_default=True,
    help="Leave what is younger: it may belong to a put under way.",
)
@click.option("--dry-run", is_flag=True, help="Only tell what would be removed.")
@pass_settings
def gc(settings: Settings, bucket: str, min_age: float, dry_run: bool) -> None:
    """Remove chunks that no object owns, and old traces of deleted objects.

    Killed programs of any client leave chunks behind, which take room and are no objects.

    \b
    Examples:
      objstore gc photos --dry-run
      objstore gc photos --min-age 1d
    """
    with settings.bucket(bucket_alone(bucket)) as store:
        report = store.collect_garbage(min_age=min_age, dry_run=dry_run)
    if settings.json:
        show.note(show.as_json(show.fields_of(report)))
        return
    would = "would be " if dry_run else ""
    # Else whoever has just been told of chunks by fsck wonders why none went.
    left = "; what is younger than --min-age stays" if min_age else ""
    chunks, size = show.counted(report.chunks, "chunk"), show.human_size(report.bytes)
    uploads = show.counted(len(report.nuids), "upload")
    traces = show.counted(report.tombstones, "trace")
    show.note(f"{chunks} of {uploads} ({size}) and {traces} {would}removed{left}")
