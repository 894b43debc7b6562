"""Files of the local disk: into a bucket and out of it."""

from __future__ import annotations

import io
import os
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

from objstore.errors import PayloadFileError, PayloadFileNotFoundError
from objstore.get.part_file import Part, fill, is_resumable, write_stream
from objstore.get.target import Target
from objstore.model.arguments import guess_mime
from objstore.model.objects import ObjectInfo
from objstore.progress import ProgressOption, check_progress, start_progress
from objstore.put import one_object
from objstore.store import read
from objstore.store.handle import BucketHandle

__all__ = ["download_file", "download_to", "open_steady", "upload_file"]


def upload_file(
    handle: BucketHandle, path: str | os.PathLike[str], name: str | None = None, **put_options: Any
) -> ObjectInfo:
    """Store a file."""
    file = Path(os.path.expanduser(path))
    # None is an answer, too: no media type, whatever the name suggests.
    if "mime" not in put_options:
        put_options["mime"] = guess_mime(file.name)
    # Else a file that changes while it is read would be stored as neither version.
    with open_steady(file) as payload:
        name = file.name if name is None else name
        return one_object.put(handle.records, name, payload, **put_options)


def download_file(
    handle: BucketHandle,
    name: str,
    path: str | os.PathLike[str],
    resume: bool,
    progress: ProgressOption,
) -> ObjectInfo:
    """Write an object into a file, which appears only when it is whole and verified."""
    check_progress(progress)
    return download_to(handle, name, Target.of(path), resume, progress)


def download_to(
    handle: BucketHandle, name: str, target: Target, resume: bool, progress: ProgressOption
) -> ObjectInfo:
    """Write an object to where a path leads."""
    result = read.get(handle, name)
    if result is None:
        raise handle.not_found(name)
    info = result.info
    with result, closing(start_progress(progress, info.name, info.size)) as bar:
        # A device, a pipe, an open file: nothing can take its place, so the content is verified as
        # it goes.
        if target.is_stream:
            write_stream(target, result, bar.update)
            return info
        part = Part(target, info, resume=resume and is_resumable(info))
        try:
            fill(part, result, bar.update)
            part.finish()
        except BaseException as error:
            part.give_up(error)
            raise
    return info


class _SteadyFile(io.FileIO):
    """A file that must not change while it is read.

    Attributes:
        state: of it, as it was opened.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        self.state = os.fstat(self.fileno())

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(-1 if size is None else size)
        # At the end: a file that was changed between two reads is neither the old one nor the new.
        if not data and _version(now := os.fstat(self.fileno())) != _version(self.state):
            raise PayloadFileError(
                f"the file {self.name!s} was changed while it was being read: it had "
                f"{self.state.st_size:,} bytes and has {now.st_size:,}",
                path=str(self.name),
            )
        return data or b""

    def read_whole(self) -> bytes:
        """Read all of it, with its end, at which it is known whether it was changed meanwhile."""
        # Two reads, where read() asks for position and size before each of its own.
        step = max(self.state.st_size, io.DEFAULT_BUFFER_SIZE)
        return b"".join(iter(lambda: self.read(step), b""))


def _version(state: os.stat_result) -> tuple[int, int]:
    """Return what changes when a file is written to."""
    if not stat.S_ISREG(state.st_mode):  # a pipe: nothing stays as it is
        return 0, 0
    # The size, too: some file systems have coarse clocks.
    return state.st_size, state.st_mtime_ns


def open_steady(path: str | Path) -> _SteadyFile:
    """Open a file for one reading.

    Raises:
        PayloadFileError: that cannot be done.
    """
    try:
        return _SteadyFile(path)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        kind = PayloadFileNotFoundError if missing else PayloadFileError
        raise kind(f"cannot read the file {path}: {error.strerror}", path=str(path)) from error
