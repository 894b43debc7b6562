"""The files of a folder on the disk: what is in it, and whether it is what a bucket has."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from objstore.errors import PayloadFileError
from objstore.get.integrity import is_same_digest
from objstore.get.target import BLOCK
from objstore.model.file_attributes import MODE, MTIME, mode_in, mode_text, mtime_in, mtime_text
from objstore.model.globs import Selection
from objstore.model.objects import ObjectInfo
from objstore.store.folder_options import FolderOptions
from objstore.store.folder_report import Skipped

__all__ = [
    "Comparison",
    "FolderContent",
    "LocalFile",
    "attributes",
    "compare",
    "file_of",
    "lacks_mode",
    "look_at",
    "read_folder",
    "restore",
]


#: How a file and an object differ: in their contents, or only in mtime or mode; None: they do not.
Comparison = Literal["content", "attributes"] | None


class LocalFile(NamedTuple):
    """A regular file.

    Attributes:
        where: its path, as text.
        size: its bytes.
        mtime: when it was changed, in nanoseconds since 1970.
        mode: its permissions.
    """

    where: str  # ten thousand Paths would take 40 ms to make
    size: int
    mtime: int
    mode: int

    @property
    def path(self) -> Path:
        """Its path."""
        return Path(self.where)


@dataclass
class FolderContent:
    """What is in a folder.

    Attributes:
        files: each with its path from the folder on, in order.
        skipped: what is no file.
    """

    files: dict[str, LocalFile] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)


def read_folder(folder: Path, selection: Selection) -> FolderContent:
    """Find the regular files in a folder and below, links to files among them.

    Arguments:
        folder: its path.
        selection: what of it is meant, as :attr:`objstore.FolderOptions.selection`.

    Raises:
        PayloadFileError: a folder cannot be read.
    """

    def fail(error: OSError) -> None:
        raise PayloadFileError(
            f"cannot read the folder {error.filename}: {error.strerror}", path=str(error.filename)
        ) from error

    found = FolderContent()
    for parent, folders, names in os.walk(folder, onerror=fail):
        # With slashes, as names of objects have them, on Windows too.
        below = Path(parent).relative_to(folder).as_posix()
        start = "" if below == "." else f"{below}/"
        if start and not folders and not names and start[:-1] in selection:
            found.skipped.append(Skipped(start, "an empty folder"))
        # In place: os.walk goes into what is left in the list, and in that order.
        folders[:] = sorted(name for name in folders if not selection.excludes(start + name))
        for name in folders:
            if os.path.islink(os.path.join(parent, name)) and start + name in selection:
                found.skipped.append(Skipped(start + name, "a link to a folder"))
        for name in sorted(names):
            if start + name in selection:
                _take(found, start + name, os.path.join(parent, name))
    return found


def _take(found: FolderContent, name: str, path: str) -> None:
    file = look_at(path)
    if file is not None:
        found.files[name] = file
    elif os.path.islink(path):
        found.skipped.append(Skipped(name, "a link that leads to no file"))
    else:
        found.skipped.append(Skipped(name, "no regular file"))


def look_at(path: str | Path) -> LocalFile | None:
    """Return what is known of a regular file without reading it; None: it is none.

    Arguments:
        path: of the file; a link is followed.
    """
    try:
        state = os.stat(path)
    except OSError:
        return None  # whatever it is, reading or writing it says so
    return file_of(str(path), state)


def file_of(path: str, state: os.stat_result) -> LocalFile | None:
    """Return what a state says of a regular file; None: it is none."""
    if not stat.S_ISREG(state.st_mode):
        return None  # (to open a pipe would take until somebody writes to it)
    return LocalFile(path, state.st_size, state.st_mtime_ns, state.st_mode & 0o777)


def compare(file: LocalFile | None, info: ObjectInfo, options: FolderOptions) -> Comparison:
    """Find out how a file and an object differ, as far as that was asked for.

    What an object's metadata do not say of a file's mtime or mode does not differ: it is of
    another client, and is left as it is.
    """
    if file is None or info.link is not None or file.size != info.size:
        return "content"
    by_time = options.compare == "mtime"
    said = mtime_in(info.metadata) if by_time else None
    may_differ = said != file.mtime and options.compare != "size"
    if may_differ and not _has_digest(file.where, info.digest):
        return "content"
    if by_time and said not in (None, file.mtime):
        return "attributes"
    if options.mode and mode_in(info.metadata) not in (None, file.mode):
        return "attributes"
    return None


def _has_digest(path: str, digest: str) -> bool:
    if not digest:
        return False
    hasher = hashlib.sha256()
    try:
        with open(path, "rb", buffering=0) as file:
            while data := file.read(BLOCK):
                hasher.update(data)
    except OSError:
        # As another content: whoever transfers it says why it cannot be read.
        return False
    return is_same_digest(digest, hasher.digest())


# --- what is kept of a file beside its content


def attributes(file: LocalFile, *, mode: bool) -> dict[str, str]:
    """Return what an object's metadata say of its file.

    Arguments:
        file: as :func:`look_at` gives it.
        mode: whether its permissions are said, too.

    Returns:
        The pairs ``mtime`` (RFC 3339) and ``mode`` (octal), as rclone has them.
    """
    said = {MTIME: mtime_text(file.mtime)}
    if mode:
        said[MODE] = mode_text(file.mode)
    return said


def lacks_mode(info: ObjectInfo, options: FolderOptions) -> bool:
    """Tell whether permissions are to be kept, and an object's metadata say nothing of them."""
    return options.mode and mode_in(info.metadata) is None


def restore(path: str | Path, metadata: Mapping[str, str], *, mode: bool = False) -> None:
    """Give a file what an object's metadata say of it, as far as the system lets it.

    Arguments:
        path: of the file.
        metadata: of the object; its mtime is restored.
        mode: whether the permissions are, too.
    """
    mtime, permissions = mtime_in(metadata), mode_in(metadata)
    # It is another user's, or before the disk's 1970.
    with suppress(OSError, OverflowError):
        if mode and permissions is not None:
            os.chmod(path, permissions)
        if mtime is not None:
            os.utime(path, ns=(mtime, mtime))
