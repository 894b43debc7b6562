"""An object on its way into a file: beside it at first, whole and verified in the end.

A download that may be continued goes into a file whose name tells the object and its chunks, so
that what is in there is a beginning of exactly that content. The digest, in the end over all of
it, is what proves that.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from objstore.damage import check_digest, wrong_size
from objstore.errors import DigestMismatchError, ObjStoreError, is_transient
from objstore.objects import ObjectInfo
from objstore.reader import ObjectResult

__all__ = ["Part", "fill", "is_resumable", "write_file"]

#: How much of the file is read at once to go on with its digest.
_READ = 1 << 20

#: The longest beginning of the target's name that is in the part's, and the length of the mark
#: that tells the content.
_NAME, _MARK = 64, 16

#: Told about bytes.
Report = Callable[[int], object]


def is_resumable(info: ObjectInfo) -> bool:
    """Whether a download of an object can be continued later; a single chunk is not worth it."""
    return info.chunks > 1 and bool(info.digest) and _can_lock()


class Part:
    """The file beside the target.

    Arguments:
        target: the file that it will become.
        info: the object.
        resume: go on with what an earlier download of the same content has left, and leave what
            is there for a later one if this one is cut off.

    Attributes:
        size: how many bytes are in it, all of them seen by the digest.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, target: Path, info: ObjectInfo, *, resume: bool) -> None:
        self._target = target
        self._info = info
        self._resume = resume
        self._hasher = hashlib.sha256()
        self.size = 0
        file = _open_locked(self._resumable_path()) if resume else None
        if file is None:  # or another process is at it
            self._resume = False
            file = _open_new(target)
        self._file, self._path = file
        if self._resume:
            self._take_up()

    def _resumable_path(self) -> Path:
        info = self._info
        content = f"{info.bucket}\n{info.nuid}\n{info.size}\n{info.digest}"
        mark = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:_MARK]
        return self._target.parent / f"{_prefix(self._target)}{mark}.part"

    def _take_up(self) -> None:
        """Let the digest see what is there."""
        buffer = bytearray(_READ)
        while count := self._file.readinto(buffer):
            self._hasher.update(memoryview(buffer)[:count])
            self.size += count
        if self.size > self._info.size:
            self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self._file.seek(0)
        self._file.truncate()
        self._hasher = hashlib.sha256()
        self.size = 0

    def fill(self, result: ObjectResult, report: Report) -> None:
        """Write what is missing, and compare the digest.

        Arguments:
            result: the object.
            report: told the bytes that are there, or are new.

        Raises:
            DigestMismatchError: what is in it is not the object.
            And whatever reading the object or writing the file raises.
        """
        report(self.size)
        result.seek(self.size)
        for view in result.views():
            self._hasher.update(view)
            _write_all(self._file, view)
            self.size += len(view)
            report(len(view))
        if self.size != self._info.size:
            raise wrong_size(self._info)
        check_digest(self._info, self._hasher.digest())

    def finish(self) -> None:
        """Let it become the target; parts of it that are left from other contents go."""
        self._path.chmod(_new_file_mode())
        self._path.replace(self._target)
        self._file.close()
        marks = "[0-9a-f]" * _MARK
        for other in self._target.parent.glob(f"{_escape(_prefix(self._target))}{marks}.part"):
            _remove_unused(other)

    def give_up(self, error: BaseException) -> None:
        """It will not be finished now; it stays if it may be later."""
        if not (self._resume and isinstance(error, ObjStoreError) and is_transient(error)):
            self._path.unlink(missing_ok=True)
        self._file.close()


def fill(part: Part, result: ObjectResult, report: Report) -> None:
    """Fill a part; where what is in it is not the object, once more from the beginning.

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


def write_file(target: Path, content: bytes) -> None:
    """Write a file that appears when it is whole.

    Raises:
        OSError: it cannot be written.
    """
    file, path = _open_new(target)
    try:
        with file:
            _write_all(file, memoryview(content))
        path.chmod(_new_file_mode())
        path.replace(target)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _prefix(target: Path) -> str:
    return f".{target.name[:_NAME]}."


def _escape(text: str) -> str:
    """A text for a glob pattern."""
    import glob

    return glob.escape(text)


def _open_new(target: Path) -> tuple[Any, Path]:
    """A file of nobody else's, beside the target."""
    import tempfile  # here: it costs 10 ms, and few download

    descriptor, path = tempfile.mkstemp(dir=target.parent, prefix=_prefix(target))
    return os.fdopen(descriptor, "w+b", buffering=0), Path(path)


def _can_lock() -> bool:
    try:
        import fcntl  # noqa: F401
    except ImportError:  # pragma: no cover - Windows
        return False
    return True


def _lock(file: Any) -> bool:
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _open_locked(path: Path) -> tuple[Any, Path] | None:
    """A part that may be there already, for this process alone; None: another one has it.

    The one that had it may have finished between our opening and our locking: then what we have
    is the target.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    file = os.fdopen(os.open(path, flags, 0o600), "r+b", buffering=0)
    with contextlib.suppress(OSError):
        if _lock(file) and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file, path
    file.close()
    return None


def _remove_unused(path: Path) -> None:
    """Remove a part, unless a process is at it."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        if not _can_lock() or _lock(file):
            path.unlink()


def _write_all(file: Any, view: memoryview) -> None:
    """Write a chunk whole: a raw file may take less than it is given."""
    while view:
        view = view[file.write(view) :]


def _new_file_mode() -> int:
    """The mode that a new file gets; those made here are private."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
