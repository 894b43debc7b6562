"""Patterns of objects' names, as the shell has them for files."""

from __future__ import annotations

import re

import click

from objstore import InvalidOptionError, ObjectInfo, ObjectNotFoundError, ObjectStore, folders

__all__ = ["expand", "has_glob", "literal_prefix", "names_of", "no_object", "pattern"]

_SPECIAL = re.compile(r"[*?\[]")


def has_glob(text: str) -> bool:
    """Tell whether a text has characters that stand for others."""
    return _SPECIAL.search(text) is not None


def literal_prefix(glob: str) -> str:
    """Return what all names begin with that a glob fits."""
    return _SPECIAL.split(glob, maxsplit=1)[0]


def pattern(glob: str) -> re.Pattern[str]:
    """Compile a glob: ``*``, ``?`` and ``[...]`` fit no ``/``, ``**`` fits it too.

    Raises:
        click.UsageError: it is no pattern.
    """
    try:
        return folders.pattern(glob)
    except InvalidOptionError as error:
        raise click.UsageError(str(error)) from None


def names_of(store: ObjectStore, name: str) -> list[str]:
    """Find the names that a name or a glob means, in order; one name is not asked for.

    Raises:
        ObjectNotFoundError: nothing fits the glob.
        click.UsageError: it is no pattern.
    """
    return [info.name for info in expand(store, name)] if has_glob(name) else [name]


def no_object(store: ObjectStore, name: str) -> ObjectNotFoundError:
    """Make the error that says that an object is not there; it may be a folder's name."""
    said = f"there is no object {name!r} in bucket {store.name}"
    if next(store.list(prefix=f"{name.rstrip('/')}/"), None) is not None:
        said += f"; it is a folder: -r takes all in it, or a glob, {name.rstrip('/') + '/**'!r}"
    return ObjectNotFoundError(said, bucket=store.name, name=name)


def expand(store: ObjectStore, name: str) -> list[ObjectInfo]:
    """Find the objects that a name or a glob means, in order.

    An object whose name is the glob itself, letter by letter, is meant alone.

    Raises:
        ObjectNotFoundError: there is none.
        click.UsageError: it is no pattern.
    """
    exact = store.info(name)
    if exact is not None:
        return [exact]
    if not has_glob(name):
        raise no_object(store, name)
    fits = pattern(name).fullmatch
    found = [info for info in store.list(prefix=literal_prefix(name) or None) if fits(info.name)]
    if not found:
        raise ObjectNotFoundError(
            f"no object of bucket {store.name} fits {name!r}", bucket=store.name, name=name
        )
    return sorted(found, key=lambda info: info.name.encode())
