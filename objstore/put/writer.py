"""``open(name, "wb")``: a file that is being written into a bucket."""

from __future__ import annotations

import _thread
import copy
import io
import sys
import threading
import warnings
from collections.abc import Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING, NoReturn

from objstore.errors import InvalidPayloadError, ObjStoreError, ReentrantCallError, about
from objstore.model.described_later import HeadersOption, MetadataOption, SaidAtCommit
from objstore.model.objects import ObjectInfo
from objstore.put.buffers import flat_view, is_immutable
from objstore.put.upload import Put, forked_error
from objstore.uncopied import Uncopied
from objstore.wire.connection import forks

if TYPE_CHECKING:
    from typing_extensions import Buffer
    from urllib3 import HTTPHeaderDict

__all__ = ["ObjectWriter", "TextWriter"]


class ObjectWriter(Uncopied, io.BufferedIOBase):
    """A binary file whose content becomes an object when it is closed.

    Chunks go out while it is written. Nothing of it remains when the with-block raises, or when
    it is forgotten without :meth:`close`. Several threads may write to it: what each call writes
    stays together.

    Once a chunk could not be sent, or a call was interrupted, there is no whole content any more:
    nothing is stored, and every further call says so, :meth:`close` and the end of the with-block
    too, and however often; only :meth:`discard` ends it without an error. Data of a wrong type are
    refused before any of them is taken: such a file goes on.

    It belongs to the process that opened it. In a forked child its copy stores and removes nothing,
    and says so when it is written or closed.

    Memory: one chunk, and the window of an upload (8 MiB).

    Attributes:
        info: the object as stored; None before :meth:`close`.
    """

    _instead = "write the object in the process that opened it"

    def __init__(
        self,
        put: Put,
        said: SaidAtCommit,
        bucket: str,
        name: str,
        chunk_size: int,
        resources: ExitStack,
    ) -> None:
        super().__init__()
        self.info: ObjectInfo | None = None
        self._put = put
        self._said = said
        put.finish_description = said.apply
        self._bucket = bucket
        self._name = name
        self._chunk_size = chunk_size
        self._pending = bytearray()
        self._resources = resources
        self._written = 0
        self._aborted = False
        self._about = about(bucket=bucket, name=name)
        self._error: BaseException | None = None  # the first, after which nothing can be stored
        self._lock = threading.RLock()  # one call at a time; reentrant: it knows its owner
        self._is_inherited = False
        forks.register(self)

    def after_fork(self) -> None:
        """Be a file that has failed, in a forked child: the upload is the parent's."""
        self._lock = threading.RLock()  # another thread may have held it
        if not self.closed and self._error is None:
            self._is_inherited = self._aborted = True  # so nothing is removed, either
            self._error = forked_error(self._bucket, self._name)

    @property
    def name(self) -> str:
        """The object's name."""
        return self._name

    @property
    def headers(self) -> HTTPHeaderDict:
        """The headers that the object gets: may be changed, or set, until it is stored.

        Set it to a mapping as for :meth:`objstore.ObjectStore.put`, or to a function that gives
        one: that is called at the commit, and takes the place of all.

        Raises:
            InvalidOptionError: what it is set to cannot be stored.
            ValueError: it is set when the file is closed.
        """
        return self._said.headers

    @headers.setter
    def headers(self, headers: HeadersOption) -> None:
        self._check_open()
        self._said.set_headers(headers)

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata that the object gets; as :attr:`headers`."""
        return self._said.metadata

    @metadata.setter
    def metadata(self, metadata: MetadataOption) -> None:
        self._check_open()
        self._said.set_metadata(metadata)

    def writable(self) -> bool:
        """Return True: the file can always be written."""
        return True

    def tell(self) -> int:
        """Return the number of bytes written so far.

        Raises:
            ValueError: it is closed.
            ObjStoreError: a chunk was refused before.
        """
        self._check_open()
        return self._written

    def write(self, data: Buffer, /) -> int:
        """Write bytes; each chunk is sent as soon as it is full.

        Arguments:
            data: bytes-like; they may change as soon as this returns.

        Returns:
            The number of bytes written: always all of them.

        Raises:
            ValueError: it is closed.
            InvalidPayloadError: the data are not bytes-like, or hold addresses; none were taken.
            ObjStoreError: a chunk was refused, now or before; nothing remains.
            ReentrantCallError: a signal handler called it that interrupts another call of this
                file.
        """
        self._check_turn()
        with self._lock:
            return self._write(data)

    def _write(self, data: Buffer) -> int:
        self._check_open()
        view = flat_view(data)
        if view is None:
            raise InvalidPayloadError(f"bytes are written, not {type(data).__name__}")
        try:
            with view:
                self._take(view)
                return len(view)
        except BaseException as error:
            self._fail(error)
            raise

    def _take(self, view: memoryview) -> None:
        start = 0
        # Whole chunks only: the rest waits for the next write, since all chunks but the last have
        # one size.
        while len(self._pending) + len(view) - start >= self._chunk_size:
            end = start + self._chunk_size - len(self._pending)
            piece = view[start:end]
            # Of bytes that nobody can change a view is sent; all else may change as soon as write
            # returns.
            kept = not self._pending and is_immutable(view)
            chunk = piece if kept else b"".join((self._pending, piece))
            self._pending.clear()
            with self._about:
                self._put.send(chunk)
            start = end
        self._pending += view[start:]
        self._written += len(view)

    def writelines(self, lines: Iterable[Buffer], /) -> None:
        """Write each bytes-like item of an iterable.

        After an error of the iterable or of an item nothing can be stored any more, since the
        items before were written.

        Raises:
            ValueError, InvalidPayloadError, ObjStoreError, ReentrantCallError: as :meth:`write`.
            Exception: whatever the iterable raises.
        """
        self._check_turn()
        self._check_open()
        try:
            for line in lines:
                self.write(line)
        except BaseException as error:
            self._fail(error)
            raise

    def flush(self) -> None:
        """Do nothing: full chunks were sent already, and a part of one cannot be.

        Raises:
            ValueError: it is closed.
            ObjStoreError: a chunk was refused before.
        """
        self._check_open()

    def close(self) -> None:
        """Store the object, and close. Closing twice is fine.

        Raises:
            ObjStoreError: it could not be stored, or a write before failed; nothing of it remains.
            ReentrantCallError: as :meth:`write`.
        """
        if not self.closed or self._error is not None:
            self._check_turn()
            with self._lock:
                self._store()

    def _store(self) -> None:
        if self._error is not None:
            self._end()
            self._fail_again(self._error)
        if self.closed:
            return
        try:
            with self._about:
                if self._pending:
                    self._put.send(bytes(self._pending))
                self.info = self._put.commit()
            self._end()
        except BaseException as error:
            self._fail(error)
            self._end()
            raise

    def commit(self) -> ObjectInfo:
        """Store the object now, and close.

        Returns:
            The object as stored; also when it was stored before.

        Raises:
            ValueError: it was discarded.
            ObjStoreError, ReentrantCallError: as :meth:`close`.
        """
        self.close()
        if self.info is None:
            raise ValueError(f"the file {self._name!r} was discarded")
        return self.info

    def discard(self) -> None:
        """Close without storing; nothing remains. After :meth:`close` it does nothing.

        Raises:
            ReentrantCallError: as :meth:`write`.
        """
        if not self.closed:
            self._check_turn()
            with self._lock:
                self._error = None  # who wants nothing stored need not be told that nothing is
                self._discard()

    def _discard(self) -> None:
        if not self.closed:
            if not self._aborted:
                self._aborted = True
                self._put.abort()
            self._end()

    def _fail(self, error: BaseException) -> None:
        """Abort the put, and keep the error: nothing can be stored any more."""
        # The first failure counts: those after it only follow from it.
        if self._error is not None or self.closed:
            return
        self._error = error
        self._aborted = True
        self._put.abort()
        # The bar goes, though the file may stay open for long.
        self._resources.close()

    def _fail_again(self, first: BaseException) -> NoReturn:
        """Raise the first error once more, as an error of its class and with its cause.

        In place of one that is not the package's own, a Ctrl-C say, an ObjStoreError is raised.
        """
        message = f"{self._name!r} is not stored, since writing it failed before: "
        if self._is_inherited:
            message = ""
        if not isinstance(first, ObjStoreError):
            text = str(first) or type(first).__name__
            raise ObjStoreError(message + text, bucket=self._bucket, name=self._name) from first
        again = copy.copy(first)  # a copy, since the first one is its cause
        again.message = again.line = message + first.message
        again.args = (again.message,)
        raise again from first

    def _end(self) -> None:
        forks.forget(self)
        self.__class__ = _Closed
        super().close()
        self._resources.close()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            with self._lock:
                self._discard()

    def __del__(self) -> None:
        # The base class would close, and so store half an object.
        if not self.closed and not self.__dict__.get("_aborted", True):  # it may be half made
            if sys.is_finalizing():  # the reader thread has ended: no answer would be heard
                self._aborted = True
                self._end()
            elif self._put.is_reentrant:  # the collector struck where nobody may wait
                self._aborted = True
                # Not threading.Thread: the collector may have struck while its lock was held.
                _thread.start_new_thread(self._put.abort, ())
                self._end()
            self.discard()
            warnings.warn(  # last: it may raise
                f"{self._name!r} was opened for writing and never closed: it is not stored",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )

    def _check_open(self) -> None:
        if self._error is not None:
            self._fail_again(self._error)
        if self.closed:
            raise ValueError(f"the file {self._name!r} is closed")

    def _check_turn(self) -> None:
        """Refuse a call that would wait for the one that it interrupts, as Python's files do."""
        if self._lock._is_owned():  # type: ignore[attr-defined]
            raise ReentrantCallError(
                f"this signal handler interrupts a call of the same file {self._name!r}",
                bucket=self._bucket,
                name=self._name,
            )


class _Closed(ObjectWriter):
    """The class of a closed file: its finalizer runs none of this module's Python code.

    A Ctrl-C that comes while a finalizer written in Python runs is lost, since Python discards what
    finalizers raise. In a process that writes file after file that was one of some thousands.
    """

    __del__ = io.BufferedIOBase.__del__
    flush = io.BufferedIOBase.flush  # which the base class calls while it closes


class TextWriter(Uncopied, io.TextIOWrapper):
    """A text file whose content becomes an object when it is closed.

    As with :class:`ObjectWriter`, nothing remains when the with-block raises, or when it is
    forgotten without :meth:`close`.
    """

    _instead = ObjectWriter._instead

    buffer: ObjectWriter

    def write(self, text: str, /) -> int:
        """Write text; it is encoded at once, and sent when it fills a chunk.

        Returns:
            The number of characters written: always all of them.

        Raises:
            ValueError: it is closed.
            TypeError, UnicodeEncodeError: it is no text, or cannot be encoded; none was taken.
            ObjStoreError: a chunk was refused, now or before; nothing remains.
            ReentrantCallError: as :meth:`ObjectWriter.write`.
        """
        writer = self.buffer
        if writer._error is not None:  # the base class would gather text for later
            writer._fail_again(writer._error)
        try:
            return io.TextIOWrapper.write(self, text)
        except Exception:
            raise  # none of it was taken, or the binary file has kept the error
        except BaseException as error:  # interrupted: text in the buffer may be lost
            writer._fail(error)
            raise

    def writelines(self, lines: Iterable[str], /) -> None:  # type: ignore[override]
        """Write each text of an iterable; otherwise as :meth:`ObjectWriter.writelines`."""
        try:
            for line in lines:
                self.write(line)
        except BaseException as error:
            self.buffer._fail(error)
            raise

    def flush(self) -> None:
        """Hand the text in the buffer to the binary file, which sends full chunks.

        Raises:
            ValueError: it is closed.
            ObjStoreError: a chunk was refused, now or before.
            ReentrantCallError: as :meth:`ObjectWriter.write`.
        """
        writer = self.buffer
        try:
            super().flush()
        except BaseException as error:  # text in the buffer is lost
            writer._fail(error)
            raise

    def close(self) -> None:
        """Store the object, and close; as :meth:`ObjectWriter.close`."""
        # Not super().close(): where its flush was interrupted, that would store a part of the text.
        writer = self.buffer
        if not writer.closed and writer._error is None:
            try:
                self.flush()
            except BaseException:
                writer._end()
                raise
        try:
            writer.close()
        finally:
            self.__class__ = _ClosedText

    @property
    def info(self) -> ObjectInfo | None:
        """The object as stored; None before :meth:`close`."""
        return self.buffer.info

    @property
    def headers(self) -> HTTPHeaderDict:
        """As :attr:`ObjectWriter.headers`."""
        return self.buffer.headers

    @headers.setter
    def headers(self, headers: HeadersOption) -> None:
        self.buffer.headers = headers

    @property
    def metadata(self) -> dict[str, str]:
        """As :attr:`ObjectWriter.metadata`."""
        return self.buffer.metadata

    @metadata.setter
    def metadata(self, metadata: MetadataOption) -> None:
        self.buffer.metadata = metadata

    def commit(self) -> ObjectInfo:
        """Store the object now, and close; as :meth:`ObjectWriter.commit`."""
        self.close()
        return self.buffer.commit()

    def discard(self) -> None:
        """Close without storing; as :meth:`ObjectWriter.discard`."""
        self.buffer.discard()
        self.__class__ = _ClosedText

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.buffer._discard()
            self.__class__ = _ClosedText

    def __del__(self) -> None:
        """Do nothing: the base class would store half an object, and the binary file warns."""


class _ClosedText(TextWriter):
    """The class of a closed text file; as :class:`_Closed`."""

    __del__ = io.TextIOBase.__del__
