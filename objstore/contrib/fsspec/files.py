"""Objects as the files that fsspec hands out: with a path, a size, and an end that commits."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Any, cast

import objstore

if TYPE_CHECKING:
    from types import TracebackType

    from fsspec import AbstractFileSystem
    from typing_extensions import Buffer

__all__ = ["CompressedFile", "ReadFile", "TextFile", "WriteFile"]


class ReadFile(io.BufferedIOBase):
    """An object that is being read, as fsspec's users expect a file.

    Everything of an :class:`objstore.ObjectResult`, which reads ahead by itself and fetches little
    more than is asked for, so that fsspec's own block cache is not needed. It pickles, as fsspec's
    files do: its copy opens the object anew, at the same position.

    Arguments:
        fs: where it was opened.
        path: of the object, with its bucket.
        result: what is read.

    Attributes:
        size: of the whole object, in bytes.
        info: its record, an :class:`objstore.ObjectInfo`; of a link, the target's.
    """

    # No __fspath__ that raises something kinder when numpy is to map it into memory: pandas and
    # pyarrow would take the file for the path of one.
    mode = "rb"

    def __init__(self, fs: AbstractFileSystem, path: str, result: objstore.ObjectResult) -> None:
        super().__init__()
        self.fs = fs
        self.path = path
        self.info = result.info
        self.size = result.info.size
        self._result = result

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"at {self.tell():,}"
        return f"<natsobj file {self.path!r}, {self.size:,} bytes, {state}>"

    @property
    def name(self) -> str:
        """The path: libraries tell the kind of a file by its end."""
        return self.path

    @property
    def len(self) -> int:
        """Bytes left to read, as :attr:`objstore.ObjectResult.len`."""
        return self._result.len

    def readable(self) -> bool:
        """Return True: the file can always be read."""
        return self._result.readable()

    def seekable(self) -> bool:
        """Return True: the file can always be moved in."""
        return self._result.seekable()

    def tell(self) -> int:
        """Return the position, in bytes."""
        return self._result.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to another position, as :meth:`objstore.ObjectResult.seek`."""
        return self._result.seek(offset, whence)

    def read(self, size: int | None = -1, /) -> bytes:
        """Read ``size`` bytes, or all that is left; errors as :meth:`objstore.ObjectStore.get`."""
        return self._result.read(size)

    def read1(self, size: int | None = -1, /) -> bytes:
        """Read at most ``size`` bytes, of one chunk."""
        return self._result.read1(size)

    def readinto(self, buffer: Any, /) -> int:
        """Read into memory, as much as it holds."""
        return self._result.readinto(buffer)

    def readinto1(self, buffer: Any, /) -> int:
        """Read into memory, of one chunk."""
        return self._result.readinto1(buffer)

    def views(self) -> Iterator[memoryview]:
        """Yield the rest chunk by chunk without a copy, as :meth:`objstore.ObjectResult.views`."""
        return self._result.views()

    def readline(self, size: int | None = -1, /) -> bytes:
        """Read a line, its end included."""
        return self._result.readline(size)

    def close(self) -> None:
        """Let go of what was read ahead."""
        if "_result" in self.__dict__:  # else it was never made
            self._result.close()
        super().close()

    def __reduce__(self) -> tuple[Callable[..., ReadFile], tuple[object, ...]]:
        """Pickle by name: the copy opens the object where it is."""
        return _open_at, (self.fs, self.path, self.tell())


def _open_at(fs: AbstractFileSystem, path: str, position: int) -> ReadFile:
    """Open an object once more, at a position."""
    file: ReadFile = fs.open(path)
    file.seek(position)
    return file


class _WholeOrNothing(io.IOBase):
    """A file of which nothing is stored when its with-block raises, or when it is forgotten."""

    def discard(self) -> None:
        """Store nothing."""
        raise NotImplementedError

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.discard()
        self.close()

    def __del__(self) -> None:
        """Do nothing: the base class would store half an object, and the writer itself warns."""


class WriteFile(_WholeOrNothing, io.BufferedIOBase):
    """An object that is being written, as fsspec's users expect a file.

    It is stored when it is closed; in a transaction when that is committed. Nothing of it remains
    when its with-block raises, when the transaction is rolled back, or when it is forgotten.

    Arguments:
        fs: where it was opened.
        path: of the object, with its bucket.
        writer: what is written to.
        autocommit: False: in a transaction.

    Attributes:
        writer: the :class:`objstore.ObjectWriter`, whose ``headers`` and ``metadata`` may be set.
    """

    mode = "wb"
    size = None  # fsspec's users ask for it; it is not known before the end

    def __init__(
        self, fs: AbstractFileSystem, path: str, writer: objstore.ObjectWriter, autocommit: bool
    ) -> None:
        super().__init__()
        self.fs = fs
        self.path = path
        self.writer = writer
        self._autocommit = autocommit

    @property
    def name(self) -> str:
        """The path: libraries tell the kind of a file by its end."""
        return self.path

    def writable(self) -> bool:
        """Return True: the file can always be written."""
        return True

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self.writer.tell()

    def write(self, data: Buffer, /) -> int:
        """Write some bytes, as :meth:`objstore.ObjectWriter.write`.

        Raises:
            ValueError: it is closed.
        """
        if self.closed:  # in a transaction the writer is still open
            raise ValueError(f"write to {self.path}, which is closed")
        return self.writer.write(data)

    def close(self) -> None:
        """Store the object; in a transaction only end the writing.

        Raises:
            ObjStoreError: it could not be stored, or a write before failed; nothing of it remains.
        """
        try:
            if self._autocommit:
                self.writer.close()
        finally:
            super().close()

    def commit(self) -> None:
        """Store the object: what the end of a transaction calls.

        Nothing is stored of a file whose with-block raised inside of it.

        Raises:
            ObjStoreError: as :meth:`close`.
        """
        # Mostly closed already: a transaction commits files whose with-blocks have ended.
        super().close()
        self.writer.close()

    def discard(self) -> None:
        """Store nothing: what a transaction that is rolled back calls."""
        super().close()
        self.writer.discard()


class CompressedFile(_WholeOrNothing, io.BufferedIOBase):
    """A file that is compressed while it is written; both end together.

    fsspec leaves the file below open, for its finalizer to store: of ours that is the sign of a
    program that forgot it, and nothing is stored.

    Arguments:
        compressor: what compresses into the file.
        file: the file itself.
    """

    def __init__(self, compressor: IO[bytes], file: WriteFile) -> None:
        super().__init__()
        self._compressor = compressor
        self._file = file

    def writable(self) -> bool:
        """Return True: the file can always be written."""
        return True

    def write(self, data: Buffer, /) -> int:
        """Write some bytes; returns how many, before they are compressed."""
        return self._compressor.write(data)

    def close(self) -> None:
        """Compress what is left, and store the object, as :meth:`WriteFile.close`."""
        if self.closed:
            return
        try:
            # In this order: what the compressor still has goes into the file.
            self._compressor.close()
            self._file.close()
        except BaseException:
            self._file.discard()
            raise
        finally:
            super().close()

    def discard(self) -> None:
        """Store nothing."""
        # The compressor first: it has an end to write, and some try that again when they go.
        with contextlib.suppress(ValueError, objstore.ObjStoreError):
            self._compressor.close()
        self._file.discard()
        super().close()


class TextFile(_WholeOrNothing, io.TextIOWrapper):
    """Text that is written into an object: nothing remains when its with-block raises.

    Python's own would store half an object then, and when it is forgotten.

    Arguments:
        file: what it is written into.
        options: ``encoding``, ``errors`` and ``newline``.
    """

    def __init__(self, file: WriteFile | CompressedFile, **options: Any) -> None:
        self._file = file
        try:
            super().__init__(cast("Any", file), **options)
        except BaseException:  # such as of an unknown encoding
            file.discard()
            raise

    def discard(self) -> None:
        """Store nothing."""
        self._file.discard()
