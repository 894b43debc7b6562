"""What people type who know other tools, and the line that does the same here."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable, Sequence

import click

__all__ = ["line_like", "remember", "translated", "unknown_command"]

#: Commands of aws, mc, nats, gsutil and the shell, and the one that does it here.
_COMMANDS = {
    "mb": "create", "add": "create", "make": "create", "mkdir": "create", "new": "create",
    "rb": "rmb", "rmdir": "rmb", "destroy": "rmb",
    "stat": "info", "head": "info", "show": "info",
    "upload": "put", "push": "put", "cp-in": "put",
    "download": "get", "pull": "get", "fetch": "get",
    "delete": "rm", "del": "rm", "remove": "rm", "unlink": "rm",
    "list": "ls", "dir": "ls", "ll": "ls",
    "copy": "cp", "move": "mv", "rename": "mv", "ln": "link", "symlink": "link",
    "mirror": "sync", "rsync": "sync", "diff": "check", "compare": "check",
    "update": "edit", "set": "edit", "config": "edit",
    "verify": "fsck", "purge": "gc", "benchmark": "bench", "size": "du", "events": "watch",
}  # fmt: skip

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^/]+)/?")

#: Where a line is kept that may be asked for, in the context of the whole program.
_KEY = "objstore.words"


def remember(ctx: click.Context, words: Sequence[str]) -> None:
    """Keep the words of the line, for hints."""
    ctx.find_root().meta[_KEY] = list(words)


def line_like() -> str:
    """Give the line that was typed as it would be right, for the present command."""
    ctx = click.get_current_context(silent=True)
    words = [] if ctx is None else ctx.find_root().meta.get(_KEY, [])
    return shlex.join(["objstore", *map(translated, words)])


def translated(word: str) -> str:
    """Write an address such as ``s3://bucket/name`` as it is written here."""
    return _URL.sub(r"\1:", word, count=1)


def unknown_command(name: str, words: Sequence[str], known: Iterable[str]) -> str:
    """Say that there is no such command, and which line may be meant."""
    meant = _COMMANDS.get(name) or next(iter(difflib.get_close_matches(name, known, 1)), None)
    if meant is None:
        return f"there is no command {name!r}"
    rest = [translated(word) for word in words]
    if meant in ("create", "rmb"):
        rest = [word.rstrip(":") for word in rest]
    return f"there is no command {name!r}; did you mean: {shlex.join(['objstore', meant, *rest])}"
