"""Where objects are, as people type it: ``BUCKET:NAME``, or ``BUCKET NAME``."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

import click

from objstore.cli.typed.hints import line_like

__all__ = [
    "Place",
    "bucket_alone",
    "bucket_or_object",
    "check_ends",
    "objects",
    "one_object",
    "place",
    "place_or_path",
    "split_target",
]

#: Addresses as other tools and libraries write them.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


#: A bucket before a colon; on Windows one letter is a drive.
_PLACE = re.compile(r"[A-Za-z0-9_-]{2,}:" if os.name == "nt" else r"[A-Za-z0-9_-]+:")

#: A bucket and a name, as they look to who has used other tools.
_LIKE_A_PATH = re.compile(r"(?:\./)?([A-Za-z0-9_-]+)/?(.*)", re.DOTALL)


@dataclass(frozen=True)
class Place:
    """A bucket, and what is meant in it.

    Attributes:
        bucket: its name.
        name: an object's name, a folder or a glob; ``""``: the bucket itself.
    """

    bucket: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.bucket}:{self.name}" if self.name else self.bucket

    @property
    def start(self) -> str:
        """What names begin with in the folder that is meant; ``""``: in the whole bucket."""
        return f"{self.name.rstrip('/')}/" if self.name else ""


def place(text: str) -> Place:
    """Read ``BUCKET`` or ``BUCKET:NAME``.

    The first colon divides them, for no bucket's name has one; a name may have more.

    Raises:
        click.UsageError: it is an address of another tool, a path, or names no bucket.
    """
    if _URL.match(text):
        raise click.UsageError(f"{text!r}: an object is BUCKET:NAME here; try: {line_like()}")
    bucket, _, name = text.partition(":")
    # No bucket's name has a slash: it is a path, or another tool's way to name an object.
    if "/" in bucket:
        line = line_like({text: _as_place(text)})
        raise click.UsageError(
            f"{text!r} names no bucket; an object is BUCKET:NAME: did you mean: {line}"
        )
    return Place(bucket, name)


def bucket_alone(word: str) -> str:
    """Read a bucket's name, where no object is meant.

    Raises:
        click.UsageError: an object's name follows.
    """
    found = place(word)
    if found.name:
        raise click.UsageError(f"{word!r} is an object, and a bucket is meant: {found.bucket}")
    return found.bucket


def _as_place(text: str) -> str:
    """Write ``bucket/name`` as it is written here."""
    found = _LIKE_A_PATH.fullmatch(text)
    return (f"{found[1]}:{found[2]}" if found[2] else found[1]) if found else "BUCKET:"


def objects(words: Sequence[str]) -> list[Place]:
    """Read ``BUCKET NAME...`` or ``BUCKET:NAME...``.

    Raises:
        click.UsageError: no object is named, or one of them has no bucket.
    """
    first = place(words[0])
    if not first.name:
        if len(words) == 1:
            raise click.UsageError(f"which object of {first.bucket}? Give BUCKET:NAME")
        return [Place(first.bucket, name) for name in words[1:]]
    found = [first]
    for word in words[1:]:
        if ":" not in word:
            raise click.UsageError(f"{word!r} has no bucket: write {first.bucket}:{word}")
        found.append(place(word))
    return found


def one_object(words: Sequence[str]) -> Place:
    """Read ``BUCKET NAME`` or ``BUCKET:NAME``.

    Raises:
        click.UsageError: it is none, or several.
    """
    found = objects(words)
    if len(found) > 1:
        raise click.UsageError(f"{words[-1]!r} is one word too many")
    return found[0]


def bucket_or_object(words: Sequence[str]) -> Place:
    """Read ``BUCKET``, ``BUCKET NAME`` or ``BUCKET:NAME``.

    Raises:
        click.UsageError: it is none of these, or several objects.
    """
    return place(words[0]) if len(words) == 1 else one_object(words)


def split_target(words: Sequence[str], count: int) -> tuple[Place, list[str]]:
    """Read a bucket, or a place in it, that other words follow.

    Arguments:
        words: what was given.
        count: how many words follow an object that is given as ``BUCKET:NAME``.

    Returns:
        The object, and the words after it.

    Raises:
        click.UsageError: there are too few words or too many.
    """
    head = len(words) - count
    if head < 1:
        raise click.UsageError("there are words missing at the end")
    return one_object(words[:head]), list(words[head:])


# --- either side


def place_or_path(text: str) -> Place | str:
    """Read ``BUCKET:NAME``, or the path of a file; one with a colon begins with ``./`` or ``/``.

    Raises:
        click.UsageError: it is an address of another tool.
    """
    return place(text) if _URL.match(text) or _PLACE.match(text) else text


def check_ends(sources: Sequence[Place | str], target: Place | str) -> None:
    """See that a bucket is at one end at least.

    Raises:
        click.UsageError: both are on the disk; the line that may be meant is told.
    """
    if isinstance(target, Place):
        return
    for source in sources:
        if isinstance(source, str):
            away = source != "-" and not os.path.lexists(source) and "/" in source
            changes = {source: _as_place(source)} if away else {}
            # Of two that are not there the other is in a bucket, too: mv docs/a docs/b.
            if not away or ("/" in target.strip("./") and not os.path.lexists(target)):
                meant = _as_place(target)
                changes[target] = meant if ":" in meant else f"{meant}:"
            raise click.UsageError(
                f"{source!r} and {target!r} are both on this disk; an object is BUCKET:NAME: "
                f"did you mean: {line_like(changes)}"
            )
