"""Where a download goes: what is there already, what of that stays, and what is written to as it
comes.

A file is replaced by another that is whole, and keeps what its owner gave it: owner, group, mode,
extended attributes (access control lists among them). Where that cannot be kept, where other names
(hard links) share the file, or where the system lets nobody replace it (a mounted file, a folder
that cannot be written), the verified content is written over it, as ``cp`` does. A symbolic link
leads to what is meant. Devices, pipes and open files (``/dev/stdout``) cannot be replaced: they
are written to as the content comes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
import sys
from io import FileIO

from objstore.errors import InvalidOptionError

__all__ = ["BLOCK", "Target", "remove", "write_all"]

#: Folders whose links lead to open files, whatever their text says.
_DESCRIPTORS = re.compile(r"/proc/(\d+)(?:/task/\d+)?/fd")

#: More links in a chain lead round in a circle, for Linux too.
_MOST_LINKS = 40

#: Why a file cannot be replaced, though it may be written: it is a mount point, its folder cannot
#: be written, or is sticky and the file somebody else's.
_IRREPLACEABLE = {errno.EBUSY, errno.EXDEV, errno.EPERM, errno.EACCES, errno.EROFS}

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)

#: How much of a file is read or copied at once, in bytes.
BLOCK = 1 << 20


class Target:
    """A file to be made, replaced, or written to; see :meth:`of` and :meth:`inside`.

    Attributes:
        path: the file's path; not that of a symbolic link that leads there. As text: ``Path``
            took a third of the time in which a folder of small files is written.
        before: what is there; None: nothing.
        is_stream: whether it cannot be replaced, and is written to as the content comes.
    """

    def __init__(
        self, path: str, before: os.stat_result | None, *, shares: bool, descriptor: bool = False
    ) -> None:
        self.path = path
        self.before = before
        self.is_stream = descriptor or (before is not None and not stat.S_ISREG(before.st_mode))
        self._shares = shares  # other names of the file are to have the new content, too
        self._number = _own_descriptor(path) if descriptor else None

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> Target:
        """Find what a path means, links followed.

        Raises:
            InvalidOptionError: it means a folder, a socket, or what is not there.
            OSError: its folder is not there, or the file must not be written.
        """
        text = _text(path)
        found, descriptor = _follow(text)
        before = _state(found)
        if before is None:
            if descriptor or os.path.islink(text):
                raise InvalidOptionError(f"{text} leads to {found}, and nothing is there")
            _check_folder(found)
        elif not descriptor:
            _check_writable(text, before)
        return cls(found, before, shares=True, descriptor=descriptor)

    @classmethod
    def inside(cls, path: str) -> Target:
        """Take an entry of a folder that nothing may lead out of: a link is replaced itself.

        Raises:
            InvalidOptionError: it is neither a file nor a link.
            OSError: the file must not be written.
        """
        # Not followed: a link in a folder that is filled may lead out of it.
        before = _state_unless_link(path)
        if before is not None:
            if not stat.S_ISREG(before.st_mode):
                raise InvalidOptionError(f"{path} is not a regular file: remove it first")
            _check_writable(path, before)
        return cls(path, before, shares=False)

    def create(self, path: str) -> FileIO:
        """Make a file beside the target that is to become it.

        The system gives a new one its mode, by the umask, which is the whole process's and
        therefore neither changed nor asked for; one that is to replace another is private.

        Raises:
            OSError: it cannot be made, or (FileExistsError) is there.
        """
        # Private until it is whole: its content may be less public than the folder.
        mode = 0o666 if self.before is None else 0o600
        return FileIO(os.open(path, _FLAGS | _NO_LINK, mode), "r+b")

    def open_stream(self) -> FileIO:
        """Open what is written to as the content comes; an open file goes on where it is.

        Raises:
            OSError: that cannot be done.
        """
        if self._number is None:
            return FileIO(os.open(self.path, os.O_WRONLY | os.O_TRUNC | os.O_NOCTTY), "wb")
        for file in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                if file.fileno() == self._number:
                    file.flush()  # what was printed before comes before
        return FileIO(os.dup(self._number), "wb")

    def take(self, part: str | None, file: FileIO, *, is_new: bool) -> None:
        """Make a complete file the target.

        Arguments:
            part: its path; None: it has none.
            file: the same, open.
            is_new: it was made as a new file, with the mode of one.

        Raises:
            OSError: it cannot.
        """
        # Looked at anew: a download takes a while, and the file may have been replaced or linked
        # since.
        before = _state_unless_link(self.path)
        if part is None or (before is not None and self._must_stay(file, before)):
            self._write_over(file)
        else:
            if before is None and not is_new:
                os.chmod(part, _new_file_mode(os.path.dirname(part)))
            try:
                # One step of the system's: who opens the target gets the old content or the new
                # one, never a part. (nats.go writes into the target, and leaves an old end.)
                os.replace(part, self.path)
            except OSError as error:
                if before is None or error.errno not in _IRREPLACEABLE:
                    raise
                self._write_over(file)
            else:
                return
        if part is not None:
            remove(part)

    def _must_stay(self, file: FileIO, before: os.stat_result) -> bool:
        """Tell whether the file has what a new one could not have; give the new one the rest."""
        # Replaced, it would leave the other names with the old content.
        if self._shares and before.st_nlink > 1:
            return True
        return os.name != "nt" and not _give(file, self.path, before)

    def _write_over(self, file: FileIO) -> None:
        """Write the content over what is there, if there is room for it."""
        # Not shutil.copyfile: it empties the target before it knows that there is room.
        size = os.fstat(file.fileno()).st_size
        with FileIO(os.open(self.path, os.O_WRONLY | _NO_LINK), "wb") as target:
            # Once the first byte is written over, the old content is lost: a full disk must show
            # before.
            _reserve(target, size)
            file.seek(0)
            buffer = memoryview(bytearray(BLOCK))
            while count := file.readinto(buffer):
                write_all(target, buffer[:count])
            # Of a longer file the old end would stay.
            target.truncate(size)


def remove(path: str) -> None:
    """Remove a file, if it is there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def write_all(file: FileIO, view: memoryview) -> None:
    """Write bytes whole: a raw file may take less than it is given.

    Raises:
        OSError: it takes no more.
    """
    while view:
        count = file.write(view)
        if count is None:  # a pipe that somebody has made non-blocking
            raise BlockingIOError(
                errno.EAGAIN, "it takes no more at the moment, and is not to be waited for"
            )
        view = view[count:]


def _text(path: str | os.PathLike[str]) -> str:
    try:
        text = os.path.expanduser(os.fsdecode(path))
    except TypeError:
        kind = type(path).__name__
        raise InvalidOptionError(f"the path of a file is text or a path, not {kind}") from None
    if not text or "\0" in text:
        raise InvalidOptionError(f"{text!r} cannot be the path of a file")
    if os.path.isdir(text) or text.endswith(os.sep):
        raise InvalidOptionError(f"{text} is a folder, not a regular file: give a file in it")
    return text


def _follow(path: str) -> tuple[str, bool]:
    """Follow the links of a path; tell, too, whether they end at an open file of a process.

    Raises:
        OSError: they lead round in a circle.
    """
    link = path
    # By hand, since realpath goes on to what an open file's link says, which may be no path at all.
    for _ in range(_MOST_LINKS):
        folder, name = os.path.split(link)
        folder = os.path.realpath(folder)
        here = os.path.join(folder, name)
        if _DESCRIPTORS.fullmatch(folder):
            return here, True
        if not os.path.islink(here):
            return here, False
        link = os.path.join(folder, os.readlink(here))
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)


def _state(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _state_unless_link(path: str) -> os.stat_result | None:
    """Return the state of what is at a path; None: nothing, or a symbolic link."""
    try:
        state = os.lstat(path)
    except FileNotFoundError:
        return None
    return None if stat.S_ISLNK(state.st_mode) else state


def _check_folder(path: str) -> None:
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), folder)


def _check_writable(path: str, before: os.stat_result) -> None:
    """Refuse a target that cannot be written to, or should not be."""
    if stat.S_ISSOCK(before.st_mode):
        raise InvalidOptionError(f"{path} is a socket, not a regular file: connect to it instead")
    effective = os.access in os.supports_effective_ids
    # A replacement would need the folder's permission only, and so overrule the file's.
    if not os.access(path, os.W_OK, effective_ids=effective):
        raise PermissionError(errno.EACCES, "it must not be written, so it is not replaced", path)


def _own_descriptor(path: str) -> int | None:
    """Return the number of an open file of this process."""
    folder, name = os.path.split(path)
    found = _DESCRIPTORS.fullmatch(folder)
    return int(name) if found and int(found[1]) == os.getpid() else None


def _give(file: FileIO, path: str, before: os.stat_result) -> bool:
    """Give a file what another has from its owner; False: that cannot be done whole.

    Not the bits that let others act as the owner: a file loses those when it is written.
    """
    number = file.fileno()
    mine = os.fstat(number)
    try:
        # The owner before the mode: a change of owner clears bits of the mode.
        if (mine.st_uid, mine.st_gid) != (before.st_uid, before.st_gid):
            os.fchown(number, before.st_uid, before.st_gid)
        for name in os.listxattr(path) if hasattr(os, "listxattr") else ():
            if not name.startswith("security."):
                os.setxattr(number, name, os.getxattr(path, name))
            elif name == "security.selinux":  # others are of the content, or the system's
                with contextlib.suppress(OSError):
                    os.setxattr(number, name, os.getxattr(path, name))
        os.fchmod(number, stat.S_IMODE(before.st_mode) & ~(stat.S_ISUID | stat.S_ISGID))
    except OSError:
        return False
    return True


def _reserve(target: FileIO, size: int) -> None:
    """Reserve the room for what will be written, before anything is.

    Raises:
        OSError: there is none.
    """
    old = os.fstat(target.fileno()).st_size
    if size <= old or not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(target.fileno(), 0, size)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            target.truncate(old)
            raise


def _new_file_mode(folder: str) -> int:
    """Return the mode that the system gives a new file in a folder.

    Not by ``os.umask``, which changes it to tell it, for a moment and for all threads.
    """
    # In that folder, for a default access control list there decides, too.
    path = os.path.join(folder, f".{secrets.token_hex(8)}.tmp")
    number = os.open(path, _FLAGS, 0o666)
    try:
        return stat.S_IMODE(os.fstat(number).st_mode)
    finally:
        os.close(number)
        os.unlink(path)
