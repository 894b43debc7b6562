"""The configuration of a local nats-server: the user's, and a token where that has none."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from objstore.errors import ServerStartError

__all__ = ["render"]

StrPath = str | os.PathLike[str]

# Whoever sets one of these decides who may connect: a token beside them is refused or overruled.
_AUTH_KEY = re.compile(
    r"authorization|accounts|(root_)?operators?|roots?|(accounts?_)?resolver|trusted(_keys)?"
)
_COMMENT = r"(?: \# .* | // .* )"
_QUOTED = r""" (?: " (?: \\. | [^"\\] )* " | ' [^']* ' | \( [^)]* \) ) """
# The outermost level alone: all of the format only nats-server itself reads.
_ENTRY = re.compile(
    rf""" (?: [\s,;{{}}] | {_COMMENT} )*  # the outermost braces, as of JSON, mean nothing
    (?P<key> {_QUOTED} | [^\s:={{}}\[\]]+ ) \s* [:=]? \s*
    (?P<value> {_QUOTED} | [{{\[] | [^\s,;{{}}\[\]]+ ) """,
    re.VERBOSE,
)
_INNER = re.compile(rf""" {_COMMENT} | {_QUOTED} | [{{}}\[\]] | [^\s,;{{}}\[\]"']+ """, re.VERBOSE)


def render(config: StrPath | None, folder: Path, token: str) -> tuple[str, bool]:
    """Make the configuration that the server is started with.

    Arguments:
        config: the user's configuration: the path of a file, or the text itself.
        folder: where the result will be written; absolute.
        token: what clients are to authenticate with, unless ``config`` says otherwise.

    Returns:
        The text, and whether the token is in it.

    Raises:
        OSError: the file cannot be read.
        ServerStartError: a file includes itself.
    """
    if config and _is_path(config):
        path = os.path.abspath(config)
        sets_auth = _sets_auth(_read(path), os.path.dirname(path), (path,))
        # Included, for it may include others itself; relative, for nats-server takes every path
        # as relative to the including file.
        relative = os.path.relpath(path, folder)
        text = f'include "{relative}"' if "'" in relative else f"include '{relative}'"
    else:
        text = os.fspath(config or "")
        sets_auth = _sets_auth(text, str(folder))
    # After the user's, for the line numbers in the server's complaints.
    return text if sets_auth else f'{text}\nauthorization {{ token: "{token}" }}\n', not sets_auth


def _entries(text: str) -> Iterator[tuple[str, str]]:
    """Read the outermost level of a configuration.

    Yields:
        Each key in lower case with its value; of a map or list only the bracket that opens it.
    """
    position = 0
    while entry := _ENTRY.match(text, position):
        position = entry.end()
        key, value = (part.strip("\"'") for part in entry.group("key", "value"))
        yield key.lower(), value
        if value in ("{", "["):
            position = _end_of_block(text, position)


def _end_of_block(text: str, position: int) -> int:
    """Find where the map or list ends whose opening bracket is just before ``position``."""
    depth = 1
    for token in _INNER.finditer(text, position):
        depth += (token[0] in ("{", "[")) - (token[0] in ("}", "]"))
        if depth == 0:
            return token.end()
    return len(text)  # it never does; the server says so better


def _sets_auth(text: str, folder: str, inside: tuple[str, ...] = ()) -> bool:
    """Tell whether a configuration, or a file it includes, says itself who may connect.

    Arguments:
        text: the configuration.
        folder: what the paths it includes are relative to.
        inside: the files that this one is included by, itself last.

    Raises:
        ServerStartError: files include each other in a circle; nats-server would go round in it.
    """
    for key, value in _entries(text):
        if _AUTH_KEY.fullmatch(key):
            return True
        if key == "include":
            path = os.path.normpath(f"{folder}/{value}")  # as the server does: none is absolute
            if path in inside:
                raise ServerStartError(f"the configuration {path!r} includes itself")
            with contextlib.suppress(OSError):  # it leads nowhere: the server says so
                if _sets_auth(_read(path), os.path.dirname(path), (*inside, path)):
                    return True
    return False


def _read(path: str) -> str:
    """Read a configuration for its keys, which are ASCII whatever the values are."""
    return Path(path).read_text("utf-8", errors="replace")


def _is_path(config: StrPath) -> bool:
    """Tell a path from the text of a configuration."""
    if not isinstance(config, str):
        return True
    return not re.search(r"[\n{:=]", config) or os.path.isfile(config)
