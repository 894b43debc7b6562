"""``info status create edit link``: what is known of buckets and objects, and said of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

import objstore
from objstore.cli.completion import words as complete
from objstore.cli.options import Settings, command, pass_settings, words_argument
from objstore.cli.screen import show, tables
from objstore.cli.typed.globs import no_object
from objstore.cli.typed.places import bucket_alone, bucket_or_object, split_target
from objstore.cli.typed.values import duration, pair, size

# --- info and status


@command()
@words_argument("BUCKET[:NAME]", complete.bucket_or_words)
@pass_settings
def info(settings: Settings, words: tuple[str, ...]) -> None:
    """Show all about an object, or about a bucket.

    Also BUCKET NAME. With --json, one JSON object. A bucket's "size" is the number of its
    objects, "total_size" their bytes, "bytes" what it takes on the server.

    \b
    Examples:
      objstore info photos
      objstore info photos:pets/cat.jpg --json
    """
    where = bucket_or_object(words)
    with settings.bucket(where.bucket) as store:
        if not where.name:
            fields, in_bytes = show.bucket_fields(store.status()), tables.BYTES_OF_A_BUCKET
        else:
            found = store.info(where.name)
            if found is None:
                raise no_object(store, where.name)
            fields, in_bytes = show.object_fields(found), tables.BYTES_OF_AN_OBJECT
            if not settings.json:  # people see it as "mime"
                fields["headers"].pop("Content-Type", None)
    show.lines([show.as_json(fields)] if settings.json else tables.fields_table(fields, in_bytes))


@command()
@click.argument("bucket", shell_complete=complete.bucket)
@pass_settings
def status(settings: Settings, bucket: str) -> None:
    """Show how a bucket is, and how its stream is on the server.

    \b
    Examples:
      objstore status photos
      objstore status photos --json
    """
    with settings.bucket(bucket_alone(bucket)) as store:
        found = store.status()
    state, created = found.stream_info.state, found.stream_info.created
    fields = {
        **show.bucket_fields(found),
        "created": created and created.isoformat(),
        "messages": state.messages,
        "first_sequence": state.first_seq,
        "last_sequence": state.last_seq,
        "last_write": state.last_ts and state.last_ts.isoformat(),
        "consumers": state.consumer_count,
    }
    if settings.json:
        show.line(show.as_json(fields))
    else:
        show.lines(tables.fields_table(fields, tables.BYTES_OF_A_BUCKET))


# --- create and edit

_SETTINGS: list[Callable[[Any], Any]] = [
    click.option("--ttl", metavar="TIME", type=duration, help="Objects expire so long after."),
    click.option("--replicas", metavar="N", type=int, help="How many servers have a copy."),
    click.option("--max-bytes", metavar="SIZE", type=size, help="Of the whole bucket, as 10G."),
    click.option("--max-object-size", metavar="SIZE", type=size, help="Of one object."),
    click.option("--description", metavar="TEXT", help="Free text."),
    click.option(
        # None: nothing was said, which changes nothing; --no-compress does.
        "--compress/--no-compress",
        "compression",
        default=None,
        help="On disk (S2), or not.",
    ),
    click.option("--metadata", metavar="K=V", type=pair, multiple=True, help="May be repeated."),
]


def _settings(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a bucket's settings."""
    # From the last to the first, as decorators are: the help has them in this order.
    for option in reversed(_SETTINGS):
        function = option(function)
    return function


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that were given, as the library takes them."""
    given = {key: value for key, value in options.items() if value not in (None, ())}
    if "metadata" in given:
        given["metadata"] = dict(given["metadata"])
    return given


def _show_bucket(store: objstore.ObjectStore, settings: Settings) -> None:
    text = show.as_json(show.bucket_fields(store.status())) if settings.json else store.name
    show.note(text)


@command()
@click.argument("bucket")
@click.option("--storage", type=click.Choice(["file", "memory"]), help="Where the data are.")
@_settings
@pass_settings
def create(settings: Settings, /, bucket: str, **options: Any) -> None:
    """Create a bucket.

    One that exists already, with these settings, is fine; with others it is an error, and
    stays as it is. With --json, prints the bucket's status.

    \b
    Examples:
      objstore create photos
      objstore create cache --ttl 1h --storage memory
      objstore create backups --max-bytes 1G --compress --metadata team=db
    """
    name = bucket_alone(bucket)
    with settings.connect() as client:
        _show_bucket(client.object_store(name, **_given(options)), settings)


@command()
@click.argument("bucket", shell_complete=complete.bucket)
@_settings
@pass_settings
def edit(settings: Settings, /, bucket: str, **options: Any) -> None:
    """Change a bucket's settings; what is not given stays as it is.

    The pairs of --metadata replace all that there are. With --json, prints the bucket's status.

    \b
    Examples:
      objstore edit photos --description "Pets and places"
      objstore edit cache --ttl 30m --max-bytes 1G
    """
    given = _given(options)
    if not given:
        raise click.UsageError("nothing is to be changed: give a setting, such as --ttl 1h")
    name = bucket_alone(bucket)
    with settings.connect() as client:
        _show_bucket(client.update_store(name, **given), settings)


# --- link


@command()
@words_argument("BUCKET:NAME TARGET", complete.place)
@pass_settings
def link(settings: Settings, words: tuple[str, ...]) -> None:
    """Make a name lead to another object, or to a whole bucket.

    Also BUCKET NAME TARGET. The target is BUCKET:NAME, a NAME of the same bucket, or BUCKET: for
    the bucket itself. Readers follow links; what the target becomes later is seen through them.

    \b
    Examples:
      objstore link photos:today.jpg photos:2026/11/26.jpg
      objstore link photos today.jpg 2026/11/26.jpg
      objstore link photos:archive old-photos:
    """
    where, (target,) = split_target(words, 1)
    # Without a colon all of it is a name, which is where rpartition leaves it.
    bucket, colon, name = target.rpartition(":") if ":" not in target else target.partition(":")
    with settings.bucket(where.bucket) as store:
        if colon and not name:
            made = store.link_store(where.name, bucket)
        else:
            made = store.link(where.name, (bucket or where.bucket, name))
    shown = show.shown(f"{made.name} -> {bucket or where.bucket}:{name}")
    show.note(show.as_json(show.object_fields(made)) if settings.json else shown)
