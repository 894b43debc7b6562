"""What can be meant by the beginning of a word: buckets, objects, files.

Each function is the ``shell_complete=`` of an argument. Whatever goes wrong, nothing is offered:
the line that somebody is typing is no place for an error.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import click

from objstore import Client, ObjectStore

__all__ = ["any_place", "bucket", "bucket_or_words", "files", "object_or_file", "place"]

#: What is not known after so many seconds is not waited for.
_PATIENCE = 2.0

_Complete = Callable[[click.Context, click.Parameter, str], list[str]]


def _or_nothing(complete: _Complete) -> _Complete:
    """Offer nothing where there is an error."""

    @functools.wraps(complete)
    def offered(ctx: click.Context, param: click.Parameter, begun: str) -> list[str]:
        try:
            # Without names that would command the terminal.
            return [each for each in complete(ctx, param, begun) if each.isprintable()]
        except Exception:  # noqa: BLE001 - no server, no bucket, no rights, no such folder
            return []

    return offered


@_or_nothing
def bucket(ctx: click.Context, param: click.Parameter, begun: str) -> list[str]:
    """Offer buckets."""
    with _client(ctx) as client:
        return _buckets(client, begun)


@_or_nothing
def place(ctx: click.Context, param: click.Parameter, begun: str) -> list[str]:
    """Offer ``BUCKET:``, and what is in it on the level that was begun."""
    with _client(ctx) as client:
        return _places(client, begun)


@_or_nothing
def bucket_or_words(ctx: click.Context, param: click.Parameter, begun: str) -> list[str]:
    """Offer ``BUCKET:NAME``, or after ``BUCKET`` the names in it."""
    words = _before(ctx, param)
    with _client(ctx) as client:
        if words and ":" not in words[0]:
            return list(_level(_store(client, words[0]), begun))
        return _places(client, begun)


@_or_nothing
def object_or_file(ctx: click.Context, param: click.Parameter, begun: str) -> list[str]:
    """Offer ``BUCKET:NAME`` or ``BUCKET NAME``, and files after it."""
    words = _before(ctx, param)
    if len(words) == (1 if words and ":" in words[0] else 2):
        return files(begun)
    return bucket_or_words(ctx, param, begun)


@_or_nothing
def any_place(ctx: click.Context, param: click.Parameter, begun: str) -> list[str]:
    """Offer ``BUCKET:NAME``, and files beside it."""
    local = [] if ":" in begun else files(begun)
    # A path is known by its beginning; then no server is asked.
    return local + ([] if begun.startswith((".", "/", "~")) else place(ctx, param, begun))


# --- where they come from


def _before(ctx: click.Context, param: click.Parameter) -> list[str]:
    """Return an argument's words that stand before the one that is typed."""
    words: Any = ctx.params.get(str(param.name)) or ()
    return list(words)


def _client(ctx: click.Context) -> Client:
    """Connect as the line's options say."""
    client: Client = ctx.find_root().obj.connect(timeout=_PATIENCE, reconnect_timeout=0)
    return client


def _store(client: Client, name: str) -> ObjectStore:
    return client.object_store(name, create=False)


def _buckets(client: Client, begun: str) -> list[str]:
    names = (status.bucket for status in client.list_stores())
    return sorted(name for name in names if name.startswith(begun))


def _places(client: Client, begun: str) -> list[str]:
    name, colon, inside = begun.partition(":")
    if not colon:
        return [f"{each}:" for each in _buckets(client, begun)]
    return [f"{name}:{each}" for each in _level(_store(client, name), inside)]


def _level(store: ObjectStore, begun: str) -> list[str]:
    """Find folders and objects of one level; none, if it takes too long to find them all."""
    latest = time.monotonic() + _PATIENCE
    found = set()
    # By list, which gives what comes as it comes: scan reads all records before it answers.
    for info in store.list(prefix=begun or None):
        end = info.name.find("/", len(begun))
        found.add(info.name if end < 0 else info.name[: end + 1])
        if time.monotonic() > latest:
            return []  # a part would look like all
    return sorted(found)


def files(begun: str) -> list[str]:
    """Offer files and folders of the disk, as the shell itself does."""
    return sorted(_in_folder(*os.path.split(begun)))


def _in_folder(folder: str, begun: str) -> Iterator[str]:
    with os.scandir(os.path.expanduser(folder) or ".") as entries:
        for entry in entries:
            hidden = entry.name.startswith(".") and not begun.startswith(".")
            if entry.name.startswith(begun) and not hidden:
                yield os.path.join(folder, entry.name) + ("/" if entry.is_dir() else "")
