"""Which file in a folder an object's name means, if any."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from objstore.store.folder_report import Skipped

__all__ = ["folds_case", "paths_for"]

#: The longest name of a file that Linux, macOS and Windows have, in bytes.
_LONGEST = 255


def paths_for(
    root: Path, start: str, names: Iterable[str], *, folds: bool
) -> tuple[dict[str, str], list[Skipped]]:
    """Find the file of each name.

    Arguments:
        root: the folder.
        start: what all names begin with, which is not part of the path.
        names: of the objects.
        folds: whether the folder's file system takes ``A`` and ``a`` for the same.

    Returns:
        The paths, and those names that can have none.
    """
    refused: list[Skipped] = []
    parts_of: dict[str, list[str]] = {}
    for name in names:
        parts = name[len(start) :].split("/")
        wrong = next(filter(None, map(_wrong, parts)), None)
        if wrong is None:
            parts_of[name] = parts
        else:
            refused.append(Skipped(name, f"cannot be the path of a file: {wrong}"))
    # What has to be a folder for some name, and one such name for the error.
    folders = {
        _key(parts[:depth], folds): name
        for name, parts in parts_of.items()
        for depth in range(1, len(parts))
    }
    paths: dict[str, str] = {}
    above = str(root)
    taken: dict[str, str] = {}
    for name, parts in parts_of.items():
        key = _key(parts, folds)
        if key in folders:
            refused.append(Skipped(name, f"is a file, and a folder for {folders[key]!r}"))
        elif key in taken:
            refused.append(Skipped(name, f"would be the same file here as {taken[key]!r}"))
        else:
            taken[key] = name
            paths[name] = os.path.join(above, *parts)
    return paths, refused


def _key(parts: list[str], folds: bool) -> str:
    # As macOS compares names, and Windows all but their composition.
    path = "/".join(parts)
    return unicodedata.normalize("NFC", path).casefold() if folds else path


def _wrong(part: str) -> str | None:
    """Say why a part of a name is not the name of a file; None: it is."""
    if not part:
        return "a part of it is empty"
    if part in (".", ".."):
        return f"it leads through {part!r}"
    if "\0" in part:
        return "it has a NUL"
    if os.name == "nt" and any(char in part for char in '\\:*?"<>|'):
        return f"Windows has no file named {part!r}"
    try:
        length = len(os.fsencode(part))
    except UnicodeEncodeError:
        return f"the locale's encoding has no {part!r}"
    return f"a part of it has more than {_LONGEST} bytes" if length > _LONGEST else None


def folds_case(folder: Path) -> bool:
    """Tell whether a file system takes ``A`` and ``a`` for the same, by the names of its folders.

    Nothing is written for it, since it is asked for dry runs, too.
    """
    for each in (folder, *folder.absolute().parents):
        other = each.with_name(each.name.swapcase()) if each.name else each
        if other != each and each.exists():
            return other.exists() and other.samefile(each)
    return False
