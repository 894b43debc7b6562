"""Files of the local disk: into a bucket and out of it."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import Any

from objstore.describe import guess_mime
from objstore.download import Part, fill, is_resumable
from objstore.errors import InvalidOptionError, PayloadFileError, PayloadFileNotFoundError
from objstore.objects import ObjectInfo
from objstore.progress import ProgressOption, check_progress, start_progress, until_done
from objstore.put_many import WritingMany
from objstore.reading import Reading

__all__ = ["Files", "open_steady"]


class Files(Reading, WritingMany):
    """What has to do with files and folders."""

    def upload_file(
        self, path: str | os.PathLike[str], name: str | None = None, **put_options: Any
    ) -> ObjectInfo:
        """Store a file.

        Arguments:
            path: of the file.
            name: of the object; None: the file's own name, without its folders.
            put_options: as :meth:`put`; ``mime`` is guessed from the file's name.

        Returns:
            The object as stored.

        Raises:
            PayloadFileError: the file cannot be opened, or was changed while it was read;
                nothing is stored then.
            And as :meth:`put`.
        """
        file = Path(path)
        if "mime" not in put_options:
            put_options["mime"] = guess_mime(file.name)
        with open_steady(file) as payload:
            return self.put(file.name if name is None else name, payload, **put_options)

    def download_file(
        self,
        name: str,
        path: str | os.PathLike[str],
        *,
        resume: bool = True,
        progress: ProgressOption = None,
    ) -> ObjectInfo:
        """Write an object into a file, which appears only when it is whole and verified.

        Arguments:
            name: of the object.
            path: of the file; one that exists is replaced, and left alone after a failure.
            resume: go on where an earlier download of the same content was cut off, by the end
                of its process or of the connection. What it had is in a hidden file beside
                ``path``, which stays until the download is completed; the digest is computed
                over all of it. (On systems with ``fcntl``, of objects with several chunks.)
            progress: True for a bar, or a function of the bytes done and of all.

        Returns:
            The object's metadata.

        Raises:
            ObjectNotFoundError: there is no such object.
            InvalidOptionError: the path is a folder, a device, or the like.
            OSError: the file cannot be written.
            And as :meth:`get`.
        """
        check_progress(progress)
        target = Path(path)
        if target.exists() and not target.is_file():
            raise InvalidOptionError(f"{target} is not a regular file: it would be replaced")
        result = self.get(name)
        if result is None:
            raise self._not_found(name)
        info = result.info
        bar = start_progress(progress, info.name, info.size)
        with result, until_done(bar):
            part = Part(target, info, resume=resume and is_resumable(info))
            try:
                fill(part, result, _tell_nobody if bar is None else bar.update)
                part.finish()
            except BaseException as error:
                part.give_up(error)
                raise
        return info


def _tell_nobody(_count: int) -> None:
    """No progress is shown."""


class _SteadyFile(io.FileIO):
    """A file that must not change while it is read."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._before = self._state()

    def _state(self) -> tuple[int, int]:
        state = os.fstat(self.fileno())
        if not stat.S_ISREG(state.st_mode):  # a pipe: nothing stays as it is
            return 0, 0
        return state.st_size, state.st_mtime_ns

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(-1 if size is None else size)
        if not data and (now := self._state()) != self._before:
            raise PayloadFileError(
                f"the file {self.name!s} was changed while it was being read: it had "
                f"{self._before[0]:,} bytes and has {now[0]:,}",
                path=str(self.name),
            )
        return data or b""


def open_steady(path: Path) -> _SteadyFile:
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
