"""Files of the local disk: into a bucket and out of it."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import Any

from objstore.errors import PayloadFileError, PayloadFileNotFoundError
from objstore.get.part_file import Part, fill, is_resumable, write_stream
from objstore.get.target import Target
from objstore.model.describe import guess_mime
from objstore.model.objects import ObjectInfo
from objstore.progress import ProgressOption, check_progress, start_progress, until_done
from objstore.store.put_many import WritingMany
from objstore.store.read import Reading

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

        A file that is replaced keeps what its owner gave it: owner, group, mode, extended
        attributes. One that has other names (hard links), that this user may write but not
        replace (a mounted file, a folder that cannot be written), or whose owner or attributes
        this user cannot give to another, is written over once the content is verified. A
        symbolic link stays, and what it leads to is replaced. A new file has the mode that the
        umask allows.

        A device, a pipe, or an open file (``/dev/stdout``, ``/dev/fd/3``) is written to as the
        content comes, its last chunk after the digest was verified; there is no going on later.

        Arguments:
            name: of the object.
            path: of the file; one that exists is replaced, and left alone after a failure.
            resume: go on where an earlier download of the same content was cut off, by the end
                of its process or of the connection. What it had is in a hidden file beside
                the target, which stays until the download is completed; the digest is computed
                over all of it. (On systems with ``fcntl``, of objects with several chunks.)
            progress: True for a bar, or a function of the bytes done and of all.

        Returns:
            The object's metadata.

        Raises:
            ObjectNotFoundError: there is no such object.
            InvalidOptionError: the path is a folder, a socket, or a link that leads nowhere;
                nothing was asked for.
            OSError: the file cannot be written, or must not be (it is read-only).
            And as :meth:`get`.
        """
        check_progress(progress)
        return self._download(name, Target.of(path), resume, progress)

    def _download(
        self, name: str, target: Target, resume: bool, progress: ProgressOption
    ) -> ObjectInfo:
        result = self.get(name)
        if result is None:
            raise self._not_found(name)
        info = result.info
        bar = start_progress(progress, info.name, info.size)
        report = _tell_nobody if bar is None else bar.update
        with result, until_done(bar):
            if target.is_stream:
                write_stream(target, result, report)
                return info
            part = Part(target, info, resume=resume and is_resumable(info))
            try:
                fill(part, result, report)
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
