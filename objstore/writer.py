"""``open(name, "wb")``: a file that is being written into a bucket."""

from __future__ import annotations

import io
import sys
import warnings
from contextlib import ExitStack
from types import TracebackType

from objstore.errors import ObjStoreError
from objstore.objects import ObjectInfo
from objstore.upload import Put
from objstore.wire.protocol import Buffer

__all__ = ["ObjectWriter", "TextWriter"]


class ObjectWriter(io.BufferedIOBase):
    """A binary file whose content becomes an object when it is closed.

    Chunks go out while it is written. Nothing of it remains when the with-block raises, or when
    it is forgotten without :meth:`close`. Not thread-safe, as files are not.

    Memory: one chunk, and the window of an upload (8 MiB).

    Attributes:
        info: the object as stored; None before :meth:`close`.
    """

    def __init__(
        self, put: Put, bucket: str, name: str, chunk_size: int, resources: ExitStack
    ) -> None:
        super().__init__()
        self.info: ObjectInfo | None = None
        self._put = put
        self._bucket = bucket
        self._name = name
        self._chunk_size = chunk_size
        self._pending = bytearray()
        self._resources = resources
        self._written = 0
        self._aborted = False

    @property
    def name(self) -> str:
        """The object's name."""
        return self._name

    def writable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """How many bytes were written."""
        self._check_open()
        return self._written

    def write(self, data: Buffer, /) -> int:  # type: ignore[override]
        """Write some bytes; what fills a chunk is sent.

        Returns:
            How many bytes: all.

        Raises:
            ValueError: it is closed.
            TypeError: the data are not bytes-like.
            ObjStoreError: a chunk was refused; nothing remains, and every further call fails.
        """
        self._check_open()
        view = memoryview(data).cast("B")
        start = 0
        while len(self._pending) + len(view) - start >= self._chunk_size:
            end = start + self._chunk_size - len(self._pending)
            self._pending += view[start:end]
            self._send(bytes(self._pending))
            self._pending.clear()
            start = end
        self._pending += view[start:]
        self._written += len(view)
        return len(view)

    def _send(self, chunk: bytes) -> None:
        try:
            self._put.send(chunk)
        except BaseException as error:
            self._fail(error)
            raise

    def close(self) -> None:
        """Store the object. Closing twice is fine.

        Raises:
            ObjStoreError: it could not be stored; nothing of it remains.
        """
        if self.closed:
            return
        try:
            if self._pending:
                self._put.send(bytes(self._pending))
            self.info = self._put.commit()
            self._end()
        except BaseException as error:
            self._fail(error)
            raise

    def abort(self) -> None:
        """Close without storing; nothing remains. After :meth:`close` it does nothing."""
        if not self.closed:
            if not self._aborted:
                self._aborted = True
                self._put.abort()
            self._end()

    def _fail(self, error: BaseException) -> None:
        if isinstance(error, ObjStoreError):
            error.bucket, error.name = self._bucket, self._name
        self._aborted = True
        self._put.abort()
        self._end()

    def _end(self) -> None:
        super().close()
        self._resources.close()
        self.__class__ = _Closed

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def __del__(self) -> None:
        # The base class would close, and so store half an object.
        if not self.closed and not self.__dict__.get("_aborted", True):  # it may be half made
            if sys.is_finalizing():  # the reader thread has ended: no answer would be heard
                self._aborted = True
                self._end()
            self.abort()
            warnings.warn(  # last: it may raise
                f"{self._name!r} was opened for writing and never closed: it is not stored",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError(f"the file {self._name!r} is closed")


class _Closed(ObjectWriter):
    """What a file becomes when it is closed: its end runs none of this module's code.

    A Ctrl-C that strikes in a finalizer is lost, for what it raises goes nowhere: one interrupt
    of some thousands, in a process that writes file after file.
    """

    __del__ = io.BufferedIOBase.__del__


class TextWriter(io.TextIOWrapper):
    """A text file whose content becomes an object when it is closed.

    As :class:`ObjectWriter`, and where that differs from other files, so does this one: nothing
    remains when the with-block raises, or when it is forgotten.
    """

    buffer: ObjectWriter

    def close(self) -> None:
        """Store the object. Closing twice is fine.

        Raises:
            ObjStoreError: it could not be stored; nothing of it remains.
        """
        super().close()
        self.__class__ = _ClosedText

    @property
    def info(self) -> ObjectInfo | None:
        """The object as stored; None before :meth:`close`."""
        return self.buffer.info

    def abort(self) -> None:
        """Close without storing; nothing remains. After :meth:`close` it does nothing."""
        self.buffer.abort()
        self.__class__ = _ClosedText

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def __del__(self) -> None:
        """The base class would close, and so store half an object; the binary file warns."""


class _ClosedText(TextWriter):
    """As :class:`_Closed`."""

    __del__ = io.TextIOBase.__del__
