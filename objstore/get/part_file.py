"""An object on its way into a file: beside it at first, whole and verified in the end.

A download that may be continued goes into a file whose name tells the object and its chunks, so
that what is in there is a beginning of exactly that content. The digest, in the end over all of
it, is what proves that.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Callable
from io import FileIO
from typing import Any

from objstore.errors import DigestMismatchError, ObjStoreError, is_transient
from objstore.get.integrity import check_digest, wrong_size
from objstore.get.reader import ObjectResult
from objstore.get.target import BLOCK, Target, remove, write_all
from objstore.model.objects import ObjectInfo

__all__ = ["Part", "fill", "is_resumable", "write_file", "write_stream"]

#: The longest beginning of the target's name that is in the part's, in bytes, and the length of
#: the mark that tells the content.
_NAME, _MARK = 64, 16

#: Told about bytes.
Report = Callable[[int], object]


def is_resumable(info: ObjectInfo) -> bool:
    """Tell whether a download can be continued later; for a single chunk it is not worth it."""
    return info.chunks > 1 and bool(info.digest) and _can_lock()


class Part:
    """The file beside a download's target that will become the target.

    Arguments:
        target: the file that it will become.
        info: the object.
        resume: go on with what an earlier download of the same content has left, and leave what
            is there for a later one if this one is cut off.

    Attributes:
        size: how many bytes are in the file, all of them digested.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, target: Target, info: ObjectInfo, *, resume: bool) -> None:
        self._target = target
        self._info = info
        self._hasher = hashlib.sha256()
        self.size = 0
        self._file, self._path, self._is_new, self._resume = self._open(resume)
        if self._resume:
            self._take_up()

    def _open(self, resume: bool) -> tuple[FileIO, str | None, bool, bool]:
        """Open the file: it, its path, whether it is new, and whether it may stay for later."""
        path = self._resumable_path()
        if resume:
            # Whatever hinders a part that may stay, the download goes on in one that may not.
            with contextlib.suppress(OSError):
                file = self._target.create(path)
                if _is_ours(file, path):
                    return file, path, self._target.before is None, True
                file.close()
        found = _open_found(path) if resume else None
        if found is not None:
            return found, path, False, True
        # A name of its own, so that two processes that load the same object do not write into one
        # file.
        file, new = _open_new(self._target)  # or another process is at it
        return file, new, self._target.before is None, False

    def _resumable_path(self) -> str:
        info = self._info
        # What tells a content: a part of another version has another name, and is never gone on
        # with.
        content = f"{info.bucket}\n{info.nuid}\n{info.size}\n{info.digest}"
        mark = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:_MARK]
        folder, name = os.path.split(self._target.path)
        return os.path.join(folder, f"{_prefix(name)}{mark}.part")

    def _take_up(self) -> None:
        """Digest what an earlier download has left in the file."""
        buffer = bytearray(BLOCK)
        # Read once at the beginning: the digest at the end is over all of the file, also over what
        # an earlier run wrote.
        while count := self._file.readinto(buffer):
            self._hasher.update(memoryview(buffer)[:count])
            self.size += count
        # Longer than the object: somebody else wrote into it.
        if self.size > self._info.size:
            self.clear()

    def clear(self) -> None:
        """Empty the file, and begin the digest anew."""
        self._file.seek(0)
        self._file.truncate()
        self._hasher = hashlib.sha256()
        self.size = 0

    def fill(self, result: ObjectResult, report: Report) -> None:
        """Write what is missing in the file, and compare the digest.

        Arguments:
            result: the object.
            report: told the bytes that are there, or are new.

        Raises:
            DigestMismatchError: what is in it is not the object.
            And whatever reading the object or writing the file raises.
        """
        report(self.size)
        # Only what is missing is fetched.
        result.seek(self.size)
        for view in result.views():
            self._hasher.update(view)
            write_all(self._file, view)
            self.size += len(view)
            report(len(view))
        # Before the digest, for objects may have none.
        if self.size != self._info.size:
            raise wrong_size(self._info)
        check_digest(self._info, self._hasher.digest())

    def finish(self) -> None:
        """Make the file the target, and remove parts that are left of other contents."""
        self._target.take(self._path, self._file, is_new=self._is_new)
        self._file.close()
        # Exactly names of our own making: no file of the user's matches by chance.
        marks = "[0-9a-f]" * _MARK
        folder, name = os.path.split(self._target.path)
        for other in _find(folder, _prefix(name), f"{marks}.part"):
            _remove_unused(other)

    def give_up(self, error: BaseException) -> None:
        """Close the file unfinished; it stays if the download may be continued later."""
        # After a lost connection or a time-out a later call can go on; of a damaged object, or
        # after Ctrl-C, nothing is to stay.
        stays = self._resume and isinstance(error, ObjStoreError) and is_transient(error)
        if not stays and self._path is not None:
            remove(self._path)
        self._file.close()


def fill(part: Part, result: ObjectResult, report: Report) -> None:
    """Fill a part; if what is in it is not the object, once more from the beginning.

    The file may have been damaged meanwhile, or the server that answered have a damaged copy.

    Raises:
        As :meth:`Part.fill`.
    """
    try:
        part.fill(result, report)
    except DigestMismatchError:
        report(-part.size)
        part.clear()
        part.fill(result, report)


def write_stream(target: Target, result: ObjectResult, report: Report) -> None:
    """Write an object to what cannot be replaced, as it comes.

    The last of it is written when the digest was verified; what was written before stays.

    Raises:
        What reading the object or writing raises.
    """
    with target.open_stream() as file:
        for view in result.views():
            write_all(file, view)
            report(len(view))


def write_file(target: Target, content: bytes) -> None:
    """Write a file that appears only when it is whole.

    Raises:
        OSError: it cannot be written.
    """
    file, path = _open_new(target)
    try:
        with file:
            write_all(file, memoryview(content))
            target.take(path, file, is_new=target.before is None)
    except BaseException:
        if path is not None:
            remove(path)
        raise


def _prefix(name: str) -> str:
    """Return what the names of a file's parts begin with, short enough for a file's name."""
    raw = os.fsencode(name)
    if len(raw) <= _NAME:
        return f".{name}."
    # File systems take names of 255 bytes: a long name is cut, and told from its like by a hash.
    mark = hashlib.sha256(raw).hexdigest()[:_MARK]
    return f".{raw[: _NAME - _MARK].decode('utf-8', 'ignore')}~{mark}."


def _find(folder: str, beginning: str, pattern: str) -> list[str]:
    """Find the files of a folder whose names are a beginning and what a pattern fits."""
    import glob

    return glob.glob(os.path.join(glob.escape(folder), glob.escape(beginning) + pattern))


def _open_new(target: Target) -> tuple[FileIO, str | None]:
    """Open a file of nobody else's, beside the target, or (None) without a name.

    Raises:
        OSError: it cannot be made.
    """
    folder, name = os.path.split(target.path)
    path = os.path.join(folder, f"{_prefix(name)}{secrets.token_hex(_MARK // 2)}.tmp")
    try:
        return target.create(path), path
    except PermissionError as error:
        if target.before is None:
            raise PermissionError(error.errno, "no file can be made in there", folder) from error
    except OSError as error:
        if target.before is None or error.errno != errno.EROFS:
            raise
    # A file that may be written, in a folder that may not: its content is written over it.
    import tempfile  # here: it costs 10 ms, and few need it

    return tempfile.TemporaryFile(buffering=0), None


def _can_lock() -> bool:
    try:
        import fcntl  # noqa: F401
    except ImportError:  # pragma: no cover - Windows
        return False
    return True


def _lock(file: Any) -> bool:
    import fcntl

    try:
        # The system drops the lock when the process ends, however it ends; a file that marks
        # another would stay.
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_ours(file: FileIO, path: str) -> bool:
    """Tell whether an open part is still at its path, and is locked for this process alone.

    The one that had it may have finished between our opening and our locking: then what we have
    is the target.
    """
    try:
        return _lock(file) and os.path.samestat(os.fstat(file.fileno()), os.lstat(path))
    except OSError:
        return False


def _open_found(path: str) -> FileIO | None:
    """Open a part that is there; None: it is another process's, or could be changed by another user
    after it was verified (in ``/tmp``, say)."""
    with contextlib.suppress(OSError):
        # No link: it could lead to a file of somebody else's choice.
        file = FileIO(os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)), "r+b")
        with contextlib.ExitStack() as closing:
            closing.callback(file.close)
            state = os.fstat(file.fileno())
            # Of the open file, not of the path, which may be exchanged in between.
            mine = stat.S_ISREG(state.st_mode) and state.st_uid == os.geteuid()
            if mine and state.st_nlink == 1 and _is_ours(file, path):
                os.chmod(path, 0o600)  # it may be about to replace a private one
                closing.pop_all()
                return file
    return None


def _remove_unused(path: str) -> None:
    """Remove a part, unless a process uses it."""
    file = _open_found(path) if _can_lock() else None
    if file is not None:
        with file, contextlib.suppress(OSError):
            os.unlink(path)
