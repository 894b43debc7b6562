"""What people type who know other tools, and the line that does the same here."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

import click

__all__ = [
    "line_like",
    "nearest",
    "remember",
    "translated",
    "unknown_command",
    "unknown_option",
    "without_h",
    "without_secrets",
]

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
    "list-buckets": "ls", "list-objects": "ls", "list-objects-v2": "ls", "create-bucket": "create",
    "delete-bucket": "rmb", "head-bucket": "status", "head-object": "info", "get-object": "get",
    "put-object": "put", "delete-object": "rm", "copy-object": "cp",
}  # fmt: skip

_NO_ADDRESSES = (
    "objects have no addresses of their own: objstore get, or objstore.contrib for the web"
)

#: Commands that there are none of, and what there is instead.
_INSTEAD = {
    "pipe": "objstore put BUCKET:NAME - stores what comes from stdin",
    "alias": "a server has its name in a context of the nats command line: --context NAME",
    "configure": "a server has its name in a context of the nats command line: --context NAME",
    "presign": _NO_ADDRESSES,
    "share": _NO_ADDRESSES,
    "version": "objstore --version",
}

#: Options of others, and those that do it here; None: it needs none.
_OPTIONS = {
    "--dryrun": "--dry-run", "-R": "-r", "--remove": "--delete", "--older-than": "--older",
    "--newer-than": "--newer", "--content-type": "--mime", "--endpoint-url": "--server",
    "--profile": "--context", "--output": "--json", "--preserve": "--mode", "--fake": "--dry-run",
    "--human-readable": None, "--overwrite": None, "--summarize": None,
}  # fmt: skip

#: What is said where an option is not needed.
_NEEDLESS = {
    "--human-readable": "sizes are always readable",
    "--overwrite": "what differs is replaced",
    "--summarize": "objstore du sums up",
    "--quiet": "lines go to stdout (> /dev/null), bars to terminals alone",
    "--only-show-errors": "lines go to stdout (> /dev/null), bars to terminals alone",
    "--no-progress": "bars are on terminals alone",
    "-name": "write --name",
}

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^/]+)/?")

#: Where a line is kept that may be asked for, in the context of the whole program.
_KEY = "objstore.words"


def remember(ctx: click.Context, words: Sequence[str]) -> None:
    """Keep the words of the line, for hints."""
    # In the root's meta: a command's own context sees the words behind it alone.
    ctx.find_root().meta[_KEY] = list(words)


def line_like(changes: Mapping[str, str] | None = None) -> str:
    """Give the line that was typed as it would be right, for the present command.

    Arguments:
        changes: words, and what to write in their places; None: addresses are written as here.
    """
    ctx = click.get_current_context(silent=True)
    words = [] if ctx is None else ctx.find_root().meta.get(_KEY, [])
    line = []
    for before, word in zip(["", *words], words, strict=False):
        if before == "--server" or word.startswith("--server="):
            line.append(without_secrets(word))
        else:
            line.append(translated(word) if changes is None else changes.get(word, word))
    return shlex.join(["objstore", *line])


def without_secrets(address: str) -> str:
    """Hide what stands before the @ of a server's address: a token, or a name and a password."""
    return re.sub(r"(^|//|,)[^/,]*@", r"\1***@", address)


def translated(word: str) -> str:
    """Write an address such as ``s3://bucket/name`` as it is written here."""
    return _URL.sub(r"\1:", word, count=1)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return what a misspelt name resembles, if there is anything."""
    import difflib  # 1 ms, which --help need not wait for

    return next(iter(difflib.get_close_matches(name, known, 1)), None)


def unknown_command(name: str, words: Sequence[str], known: Iterable[str]) -> str:
    """Say that there is no such command, and which line may be meant."""
    said = f"there is no command {name!r}"
    if name in ("s3", "s3api") and words:  # aws s3 ls
        name, *words = words
    if name in _INSTEAD:
        return f"{said}: {_INSTEAD[name]}"
    if name == "help":
        return f"{said}; did you mean: {shlex.join(['objstore', *words, '--help'])}"
    meant = name if name in known else _COMMANDS.get(name)
    meant = meant or nearest(name, known)
    if meant is None:
        return said
    rest = [translated(word) for word in _with_our_options(words)]
    if meant in ("create", "rmb", "status"):
        rest = [word.rstrip(":") for word in rest]
    return f"{said}; did you mean: {shlex.join(['objstore', meant, *rest])}"


def _with_our_options(words: Sequence[str]) -> list[str]:
    """Write the options of others as they are here; --bucket and --key are an object."""
    rest = [_OPTIONS.get(word, word) for word in words]
    found = [word for word in rest if word is not None]
    where = []
    for option in ("--bucket", "--key"):
        if option in found[:-1]:
            at = found.index(option)
            where.append(found[at + 1])
            del found[at : at + 2]
    return [":".join(where), *found] if where else found


def unknown_option(name: str) -> str | None:
    """Say what does here what an option of others does; None: it is nobody's."""
    meant = _OPTIONS.get(name)
    if meant is None and name not in _NEEDLESS:
        return None
    return f"there is no option {name}: {_NEEDLESS.get(name) or f'here it is {meant}'}"


def without_h(command: str | None, words: Sequence[str]) -> list[str]:
    """Take the h out of ``ls -lh``: sizes are readable anyway, and -h alone is help."""
    if command not in ("ls", "du"):
        return list(words)
    return [w.replace("h", "") if re.fullmatch(r"-[lrsh]{2,}", w) else w for w in words]
