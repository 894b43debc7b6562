"""``ls info create``: buckets, and what is in them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

import objstore
from objstore import ObjectInfo, ObjectStoreStatus
from objstore.cli import show
from objstore.cli.options import Settings, command, pass_settings
from objstore.cli.values import duration, pair, size

# --- ls


@command()
@click.argument("where", metavar="[BUCKET[:PREFIX]]", required=False)
@click.option("-l", "--long", is_flag=True, help="Size, time and media type too.")
@pass_settings
def ls(settings: Settings, where: str | None, long: bool) -> None:
    """List buckets, or the objects of one.

    One name on each line, in the order of the alphabet. With --json, a line of JSON for each,
    which is also how to tell names apart that hold a newline.

    \b
    Examples:
      objstore ls                      the buckets
      objstore ls photos               the objects in one
      objstore ls -l photos:pets/      those whose names begin with pets/
      objstore ls photos --json | jq -r .name
    """
    with settings.connect() as client:
        if where is None:
            _list_buckets(client, settings, long)
        else:
            bucket, _, prefix = where.partition(":")
            store = client.object_store(bucket, create=False)
            objects = sorted(store.list(prefix=prefix or None), key=lambda info: info.name)
            _list_objects(objects, settings, long)


def _list_buckets(client: objstore.Client, settings: Settings, long: bool) -> None:
    buckets = sorted(client.list_stores(), key=lambda status: status.bucket)
    if settings.json:
        lines = [show.as_json(show.bucket_fields(status)) for status in buckets]
    elif long:
        lines = show.table([_bucket_row(status) for status in buckets], right=[0])
    else:
        lines = [status.bucket for status in buckets]
    for line in lines:
        show.line(line)


def _bucket_row(status: ObjectStoreStatus) -> list[str]:
    name = f"{status.bucket}  {show.shown(status.description)}".rstrip()
    return [show.human_size(status.bytes), status.storage.value, name]


def _list_objects(objects: list[ObjectInfo], settings: Settings, long: bool) -> None:
    if settings.json:
        lines = [show.as_json(show.object_fields(info)) for info in objects]
    elif long:
        lines = show.table([_object_row(info) for info in objects], right=[0])
    else:
        lines = [show.shown(info.name) for info in objects]
    for line in lines:
        show.line(line)


def _object_row(info: ObjectInfo) -> list[str]:
    name = info.name
    if info.link is not None:
        name += f" -> {info.link.bucket}:{info.link.name or ''}"
    return [
        show.human_size(info.size),
        _local_time(info.mtime),
        show.shown(info.mime or "-"),
        show.shown(name),
    ]


def _local_time(time: datetime | None) -> str:
    return "-" if time is None else time.astimezone().strftime("%Y-%m-%d %H:%M:%S")


# --- info


@command()
@click.argument("bucket")
@click.argument("name", required=False)
@pass_settings
def info(settings: Settings, bucket: str, name: str | None) -> None:
    """Show all about an object, or about a bucket.

    With --json, one JSON object. A bucket's "size" is the number of its objects, "total_size"
    their bytes, "bytes" what it takes on the server.

    \b
    Examples:
      objstore info photos
      objstore info photos pets/cat.jpg --json
    """
    with settings.bucket(bucket) as store:
        if name is None:
            fields, in_bytes = show.bucket_fields(store.status()), show.BYTES_OF_A_BUCKET
        else:
            found = store.info(name)
            if found is None:
                raise objstore.ObjectNotFoundError(
                    f"there is no object {name!r} in bucket {bucket}", bucket=bucket, name=name
                )
            fields, in_bytes = show.object_fields(found), show.BYTES_OF_AN_OBJECT
    for line in [show.as_json(fields)] if settings.json else show.fields_table(fields, in_bytes):
        show.line(line)


# --- create


@command()
@click.argument("bucket")
@click.option("--ttl", metavar="TIME", type=duration, help="Objects expire so long after, as 1h.")
@click.option("--replicas", metavar="N", type=int, help="How many servers have a copy.")
@click.option("--storage", type=click.Choice(["file", "memory"]), help="Where the data are.")
@click.option("--max-bytes", metavar="SIZE", type=size, help="Of the whole bucket, as 10G.")
@click.option("--max-object-size", metavar="SIZE", type=size, help="Of one object.")
@click.option("--compress", is_flag=True, help="Compress the data on disk (S2).")
@click.option("--description", metavar="TEXT", help="Free text.")
@click.option("--metadata", metavar="K=V", type=pair, multiple=True, help="May be repeated.")
@pass_settings
def create(
    settings: Settings,
    /,
    bucket: str,
    metadata: tuple[tuple[str, str], ...],
    compress: bool,
    **options: Any,
) -> None:
    """Create a bucket.

    One that exists already, with these settings, is fine; with others it is an error, and
    stays as it is. With --json, prints the bucket's status.

    \b
    Examples:
      objstore create photos
      objstore create cache --ttl 1h --storage memory
      objstore create backups --max-bytes 500G --compress --metadata team=db
    """
    if metadata:
        options["metadata"] = dict(metadata)
    if compress:
        options["compression"] = True
    with settings.connect() as client:
        store = client.object_store(bucket, **options)
        if settings.json:
            show.note(show.as_json(show.bucket_fields(store.status())))
        else:
            show.note(bucket)
