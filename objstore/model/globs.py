"""Patterns of names, as the shell has them for files. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from objstore.errors import InvalidOptionError

__all__ = ["Selection", "pattern"]

#: A character set of a glob: ``[abc]``, ``[!a-z]``; a ``]`` right at its beginning belongs to it.
_SET = re.compile(r"\[([!^]?)(\]?[^\]]+|\])\]")


def pattern(glob: str) -> re.Pattern[str]:
    """Compile a glob: ``*``, ``?`` and ``[...]`` fit no ``/``, ``**`` fits it too.

    Raises:
        InvalidOptionError: a set such as ``[z-a]`` has its ends the wrong way round.
    """
    parts, at = [], 0
    while at < len(glob):
        found = _SET.match(glob, at)
        if glob.startswith("**/", at):
            # Or no folder at all: **/a fits a in the top folder, too.
            part, width = "(?:.*/)?", 3
        elif glob.startswith("**", at):
            part, width = ".*", 2
        elif glob[at] == "*":
            part, width = "[^/]*", 1
        elif glob[at] == "?":
            part, width = "[^/]", 1
        elif found:
            # Else a negated set would fit a slash.
            part, width = f"(?!/)[{'^' if found[1] else ''}{_inside(found[2])}]", len(found[0])
        else:
            part, width = re.escape(glob[at]), 1
        parts.append(part)
        at += width
    try:
        # DOTALL: a name may hold line breaks, which ** fits, too.
        return re.compile("".join(parts), re.DOTALL)
    except re.error as error:
        raise InvalidOptionError(f"{glob!r} is no pattern: {error}") from None


def _inside(characters: str) -> str:
    """Escape what is special in a set of a regular expression, but the ``-`` of a range."""
    return re.sub(r"([\\\[\]^&~|])", r"\\\1", characters)


class Selection:
    """What of a folder is meant, by the paths in it.

    A glob with a ``/`` in it fits a path from the folder on, one without a name in any folder
    below; what fits a folder means all in it, and with a ``/`` at its end nothing but folders.

    Arguments:
        include: globs; what fits one of them is meant; where there is none, all is.
        exclude: globs; what fits one of them is not meant, included or not.

    Attributes:
        include, exclude: as they were given.

    Raises:
        InvalidOptionError: they are no globs, or one alone.
    """

    def __init__(self, include: Iterable[str] = (), exclude: Iterable[str] = ()) -> None:
        self.include = _globs("include", include)
        self.exclude = _globs("exclude", exclude)
        self._include = [_Glob(each) for each in self.include]
        self._exclude = [_Glob(each) for each in self.exclude]

    def __contains__(self, path: str) -> bool:
        if not self._include and not self._exclude:
            return True
        if any(glob.fits(path) for glob in self._exclude):
            return False
        return not self._include or any(glob.fits(path) for glob in self._include)

    def excludes(self, folder: str) -> bool:
        """Tell whether all that is in a folder is excluded."""
        return any(glob.fits(f"{folder}/") for glob in self._exclude)


class _Glob:
    """One glob of a selection."""

    def __init__(self, glob: str) -> None:
        self._folders_only = glob.endswith("/")
        self._from_top = "/" in glob.rstrip("/")
        self._fits = pattern(glob.strip("/")).fullmatch

    def fits(self, path: str) -> bool:
        """Tell whether a path, or a folder on its way, fits; a folder's own path ends in ``/``."""
        # Each folder on the way to it first, from the top: who means one means all in it.
        end = path.find("/")
        start = 0
        while end >= 0:
            if self._fits(path[0 if self._from_top else start : end]):
                return True
            start = end + 1
            end = path.find("/", start)
        # What is left is its own last part; behind a slash at the end there is none.
        if self._folders_only or start == len(path):
            return False
        return self._fits(path if self._from_top else path[start:]) is not None


def _globs(what: str, globs: object) -> list[str]:
    """Check globs.

    Raises:
        InvalidOptionError: they are none.
    """
    # A text can be iterated, too: each of its letters would be a glob.
    if isinstance(globs, str) or not isinstance(globs, Iterable):
        raise InvalidOptionError(f"{what} is {globs!r}; it must be a list of globs")
    found = list(globs)
    for glob in found:
        if not isinstance(glob, str) or not glob.strip("/"):
            raise InvalidOptionError(f"{what} has {glob!r}, which is no glob of a path")
    return found
