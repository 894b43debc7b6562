"""An object being read, as a binary file."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from operator import index
from typing import TYPE_CHECKING, Any

from objstore.errors import (
    DigestMismatchError,
    ObjectChangedError,
    ObjectCorruptError,
    ReentrantCallError,
)
from objstore.get.bytes_left import BytesLeft, Position
from objstore.get.chunks import only_chunk
from objstore.get.integrity import Digester
from objstore.get.readahead import Piece, ReadAhead
from objstore.get.whole_buffer import WholeObjectBuffer
from objstore.metadata.records import Records
from objstore.model.objects import ObjectInfo
from objstore.progress import NO_PROGRESS, Bar
from objstore.uncopied import Uncopied

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["ObjectResult"]

#: The errors that every further read raises again: the object itself is wrong, or gone.
_LASTING = (ObjectChangedError, ObjectCorruptError, DigestMismatchError)

_NEWLINE = re.compile(b"\n")


class ObjectResult(Uncopied, io.BufferedIOBase):
    """An object being read, or a part of one: a seekable binary file, and an iterator of chunks.

    It behaves as :class:`io.BytesIO` with the same content, opened for reading only. Sequential
    reads fetch ahead; after a ``seek`` little more is fetched than is read, in whole chunks. Close
    it, or use it in a with-block. It holds nothing on the server, only memory for what was read
    ahead and what was read last (12 MiB at most).

    Several threads may read from it, as from Python's own buffered files: calls take turns, and
    each gets bytes of its own, whole and in order. The position is one for all threads. A signal
    handler that reads from the result whose call it interrupts gets ReentrantCallError. When one
    thread closes it while another reads, that read ends with ValueError.

    When the whole object is read in order, its digest is verified before the last bytes are handed
    over; otherwise the number and the sizes of the chunks are (and by
    :meth:`objstore.ObjectStore.verify` the digest). When it is overwritten or deleted meanwhile,
    the next read that needs the network raises ObjectChangedError: bytes of two never mix.

    Where another client stored the object in chunks of several sizes, a read after a ``seek`` also
    fetches the chunks between the new position and the nearest chunk whose place is known. So it
    does on servers before 2.11 and in buckets without direct gets, where other messages stand
    between the chunks.

    Arguments:
        records: the bucket that the object is in.
        info: its metadata.
        progress: the bar to update with the number of bytes read.
        start, end: the part, in bytes of the object. Positions count from its beginning.

    Attributes:
        info: the whole object's metadata; of a link, the target's.
    """

    _instead = "read it here and pass the bytes on, or pass the name on and open it in each process"

    def __init__(
        self,
        records: Records,
        info: ObjectInfo,
        progress: Bar = NO_PROGRESS,
        start: int = 0,
        end: int | None = None,
    ) -> None:
        super().__init__()
        self._lock = threading.RLock()  # one call at a time
        # Asked before each with-block: the lock is reentrant, and would let in a signal handler
        # that interrupts its holder.
        self._is_mine = self._lock._is_owned  # type: ignore[attr-defined]
        self.info = info
        self._records = records
        self._progress = progress
        self._digester = Digester(info)
        self._ahead: ReadAhead | None = None  # None: not needed yet
        self._origin = self._position = start
        self._end = info.size if end is None else max(start, end)
        self._chunk = memoryview(b"")  # the current one
        self._chunk_start = self._chunk_end = start  # the part of it that may be read
        self._chunk_offset = start  # where it begins in the object
        self._number = 0  # its number
        self._fetching = False  # a chunk, which may take a while
        self._error: BaseException | None = None  # what is wrong with the object

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"at {self._position - self._origin:,}"
        return f"<objstore.ObjectResult {self.info.name!r}, {self._size:,} bytes, {state}>"

    def _repr_html_(self) -> str:
        """Return the object's record as a small table for notebooks; :meth:`show` previews it."""
        return self.info._repr_html_()

    @property
    def _size(self) -> int:
        return self._end - self._origin

    @property
    def name(self) -> str:
        """The object's name."""
        return self.info.name

    @property
    def len(self) -> int:
        """Bytes left to read (what requests-toolbelt's encoders ask a file for)."""
        return BytesLeft(self._left)

    @property
    def _left(self) -> int:
        return max(0, self._end - self._position)

    if not TYPE_CHECKING:  # to type checkers it is a binary file as others

        @property
        def fileno(self) -> int:
            """Be absent: there is no file descriptor.

            With a ``fileno`` that raises, as :class:`io.BytesIO` has, requests-toolbelt would take
            ``len`` for the size of the whole file, and end a body in its middle.
            """
            raise AttributeError(f"{type(self).__name__!r} object has no attribute 'fileno'")

    @property
    def data(self) -> Iterator[bytes]:
        """An iterator of what is left to read, chunk by chunk.

        Raises:
            ValueError, ObjStoreError: as :meth:`read`.
        """
        while data := self._next_data():
            yield data

    def _next_data(self) -> bytes:
        if self._is_mine():
            raise self._reentrant()
        with self._lock:
            return self._cut(self._chunk_end - self._position) if self._fill(self._left) else b""

    def views(self, size: int | None = None) -> Iterator[memoryview]:
        """Yield what is left to read, as :attr:`data`, but without a copy.

        Each view's memory is used again for other chunks once the view is released.

        Arguments:
            size: the largest number of bytes to read; of what follows them nothing but the rest of
                a chunk is fetched. None: all that is left.

        Raises:
            ValueError, ObjStoreError: as :meth:`read`.
        """
        left = self._wanted(size)
        while left and (view := self._next_view(left)):
            left -= len(view)
            yield view
            del view

    def _next_view(self, wanted: int) -> memoryview:
        if self._is_mine():
            raise self._reentrant()
        with self._lock:
            limit = min(self._end, self._position + wanted)
            if not self._fill(wanted, limit):
                return memoryview(b"")
            view = self._view(wanted)
            self._advance(len(view))
            return view

    def readable(self) -> bool:
        """Return True: a result can be read."""
        self._check_open()
        return True

    def seekable(self) -> bool:
        """Return True: a result can seek."""
        self._check_open()
        return True

    def tell(self) -> int:
        """Return the position, in bytes from the start; of a part, from the part's start."""
        self._check_open()
        return Position(self._position - self._origin)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Change the position. Nothing is fetched before the next read.

        Arguments:
            offset: in bytes.
            whence: what the offset counts from: 0 the start, 1 the current position, 2 the end; of
                a part, the part's. A position beyond the end is allowed: reads give nothing there.

        Returns:
            The new position.

        Raises:
            ValueError: it is closed, the position is negative, or ``whence`` is another number.
            ReentrantCallError: as :meth:`read`.
        """
        if self._is_mine():
            raise self._reentrant()
        with self._lock:
            return self._seek_now(offset, whence)

    def _seek_now(self, offset: int, whence: int) -> int:
        self._check_open()
        offset, whence = index(offset), index(whence)
        if whence == io.SEEK_SET:
            if offset < 0:
                raise ValueError(f"negative seek value {offset}")
        elif whence in (io.SEEK_CUR, io.SEEK_END):
            base = self._position - self._origin if whence == io.SEEK_CUR else self._size
            offset = max(0, base + offset)  # as io.BytesIO
        else:
            raise ValueError(f"invalid whence ({whence}, should be 0, 1 or 2)")
        self._position = self._origin + offset
        if not offset and isinstance(self._error, DigestMismatchError):
            self._error = None  # another server may have what this one has damaged
            self._drop()
        return offset

    def read(self, size: int | None = -1, /) -> bytes:
        """Read and return ``size`` bytes; None or a negative number: all that is left.

        Returns:
            Fewer bytes only at the end.

        Raises:
            ValueError: it is closed.
            ReentrantCallError: this is a signal handler that interrupts a call of this result.
            ObjectChangedError, ObjectCorruptError, DigestMismatchError, RequestTimeoutError,
            ConnectionLostError: see :meth:`objstore.ObjectStore.get`.
        """
        if self._is_mine():
            raise self._reentrant()
        with self._lock:
            start = self._position
            if (
                type(size) is int
                and 0 < size <= self._chunk_end - start
                and start >= self._chunk_start
            ):
                return self._cut(size)  # the chunk at hand has it, as for most small reads
            return self._read_now(size)

    def _read_now(self, size: int | None) -> bytes:
        wanted = self._wanted(size)
        whole = self._whole_buffer(wanted)
        if not wanted or not self._fill(wanted):
            return b""
        if wanted <= self._chunk_end - self._position:
            return self._cut(wanted)
        # BytesIO gives its own memory away as the result: that is one copy. To fill a bytearray and
        # make bytes of it takes two, and twice the memory (256 MiB: 220 MB/s against 640).
        buffer = io.BytesIO()
        while wanted and self._fill(wanted):
            piece = self._view(wanted)
            if whole is not None and not whole.take(self._number, self._position, piece):
                buffer.write(whole.first(self._position))
                whole = None
            if whole is None:
                buffer.write(piece)
            wanted -= len(piece)
            self._advance(len(piece))
            del piece
        if whole is None:
            return buffer.getvalue()
        self._drop()  # a view of the memory would keep it from being given away
        return whole.content()

    def _whole_buffer(self, wanted: int) -> WholeObjectBuffer | None:
        """Return memory for the whole object, if all of it is read by this call, the first one."""
        info = self.info
        if self._ahead is not None or info.chunks < 2 or wanted != info.size:
            return None
        self._ahead = ReadAhead(self._records, info, whole=True)
        whole, self._ahead.buffer = self._ahead.buffer, None  # once only
        return whole

    def read1(self, size: int | None = -1, /) -> bytes:
        """Read and return at most ``size`` bytes, of one chunk only; raises as :meth:`read`."""
        if self._is_mine():
            raise self._reentrant()
        with self._lock:
            return self._read1_now(size)

    def _read1_now(self, size: int | None) -> bytes:
        wanted = self._wanted(size)
        if not wanted or not self._fill(min(wanted, 1) if size is None or size < 0 else wanted):
            return b""
        return self._cut(wanted)

    def peek(self, size: int = 0, /) -> bytes:
        """Return the next bytes without changing the position: the rest of the current chunk.

        Arguments:
            size: ignored; the chunk decides how many bytes there are, none at the end.

        Raises:
            ValueError, ObjStoreError: as :meth:`read`.
        """
        if self._is_mine():
            raise self._reentrant()
        with self._lock:
            return bytes(self._view(self._left)) if self._fill(1) else b""

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read into a buffer; return the number of bytes, fewer than it has only at the end."""
        if self._is_mine():
            raise self._reentrant()
        with self._lock:
            return self._readinto_now(buffer)

    def _readinto_now(self, buffer: WriteableBuffer) -> int:
        view = self._writable(buffer)
        filled = 0
        while filled < len(view) and self._fill(len(view) - filled):
            filled += self._copy(view[filled:])
        return filled

    def readinto1(self, buffer: WriteableBuffer, /) -> int:
        """Read into a buffer, from one chunk only; return the number of bytes, 0 at the end."""
        if self._is_mine():
            raise self._reentrant()
        with self._lock:
            return self._readinto1_now(buffer)

    def _readinto1_now(self, buffer: WriteableBuffer) -> int:
        view = self._writable(buffer)
        return self._copy(view) if len(view) and self._fill(len(view)) else 0

    def readline(self, size: int | None = -1, /) -> bytes:
        """Read and return bytes up to and including the next newline, at most ``size``."""
        if self._is_mine():
            raise self._reentrant()
        with self._lock:
            return self._readline_now(size)

    def _readline_now(self, size: int | None) -> bytes:
        left = self._wanted(size)
        parts: list[bytes] = []
        while left > 0 and self._fill(1):
            begin = self._position - self._chunk_offset
            end = min(self._chunk_end - self._chunk_offset, begin + left)
            found = _NEWLINE.search(self._chunk, begin, end)
            parts.append(self._cut((found.end() if found else end) - begin))
            left -= len(parts[-1])
            if found:
                break
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Drop what was read ahead. Closing twice is fine.

        It waits for another thread's read to end, at most for a time-out.
        """
        if self.closed:
            return
        super().close()  # first: another thread's read that is under way ends with that
        if "_position" not in self.__dict__:
            return  # __init__ failed
        if not (self._fetching and self._is_mine()):  # a fetch that this interrupts does it itself
            with self._lock:
                self._drop()
        self._progress.close()

    def _drop(self) -> None:
        """Drop the current chunk, and what was read ahead or is under way."""
        self._chunk = memoryview(b"")
        self._chunk_end = self._chunk_start
        ahead, self._ahead = self.__dict__.get("_ahead"), None
        if ahead is not None:
            ahead.close()

    def show(self, *, limit: int = 2 << 20, url: str | None = None) -> None:
        """Show the content in a notebook, by its media type; nothing of it is run.

        Pictures, sound and films as such; CSV as a table; of Parquet the columns (needs pyarrow);
        JSON by lines, and other text as it is, HTML, JavaScript and SVG among it. Of text 64 KiB
        are read; of sound and films at most ``limit``, their beginning. The position stays.

        Arguments:
            limit: how many bytes of a picture, sound or film may become part of the notebook;
                Jupyter's own limit is some 2 MiB.
            url: an address under which a browser gets the object, such as that of a view of Flask
                or Django. Pictures, sound and films come from there, the parts of a film when they
                are played; nothing is read here.

        Raises:
            InvalidOptionError: ``limit`` is no whole number, or ``url`` no address of the web.
            MissingDependencyError: there is no IPython.
            ValueError, ObjStoreError: as :meth:`read`.
        """
        from objstore.notebook.show import show

        show(self, self.info.name, self.info.mime, limit, url)

    # --- the current chunk

    def _wanted(self, size: int | None) -> int:
        """Return how many bytes a read is to give."""
        self._check_open()
        size = -1 if size is None else index(size)
        return self._left if size < 0 else min(size, self._left)

    def _view(self, count: int) -> memoryview:
        """Return a view of the next bytes of the current chunk, at most ``count``."""
        begin = self._position - self._chunk_offset
        return self._chunk[begin : min(begin + count, self._chunk_end - self._chunk_offset)]

    def _cut(self, count: int) -> bytes:
        view = self._view(count)
        whole = self._chunk.obj
        # A small chunk is a bytes object already, and need not be copied where all of it is read.
        data = whole if isinstance(whole, bytes) and len(whole) == len(view) else bytes(view)
        self._advance(len(data))
        return data

    def _copy(self, target: memoryview) -> int:
        view = self._view(len(target))
        target[: len(view)] = view
        self._advance(len(view))
        return len(view)

    @staticmethod
    def _writable(buffer: Any) -> memoryview:
        view = memoryview(buffer)
        if view.readonly:
            raise TypeError("a read-only buffer cannot be filled")
        return view.cast("B")

    def _advance(self, count: int) -> None:
        self._position += count
        self._progress.update(count)

    def _fill(self, wanted: int, limit: int | None = None) -> bool:
        """Make the chunk at the position the current one; False: the end is reached.

        Arguments:
            wanted: how many bytes will be read from there.
            limit: the position from which on nothing will be read; None: the end.
        """
        self._check_open()
        position = self._position
        if self._chunk_start <= position < self._chunk_end:
            return True
        if position >= self._end:
            return False
        if self._error is not None:  # again at each call: an early end must not look like the end
            raise self._error
        try:
            self._fetching = True
            piece = self._fetch(position, min(wanted, self._end - position), limit or self._end)
            if self.info.chunks > 1:  # a single one is verified already
                self._digester.add(piece.number, piece.payload)
        except _LASTING as error:
            self._error = error
            raise
        finally:
            self._fetching = False
            if self.closed:  # meanwhile, by another thread or a signal handler
                self._drop()
        self._check_open()
        self._chunk = memoryview(piece.payload)
        self._number, self._chunk_offset = piece.number, piece.offset
        self._chunk_start = max(piece.offset, self._origin)
        self._chunk_end = min(piece.end, self._end)
        return True

    def _fetch(self, position: int, wanted: int, limit: int) -> Piece:
        """Fetch the chunk at a position; as :meth:`_fill`, with all arguments given."""
        if self.info.chunks == 1:
            return Piece(0, 0, only_chunk(self._records, self.info))
        if self._ahead is None:
            self._ahead = ReadAhead(self._records, self.info)
        return self._ahead.piece(position, wanted, limit)

    def _reentrant(self) -> ReentrantCallError:
        return ReentrantCallError(
            f"this signal handler interrupts a call of the same result of {self.info.name!r}",
            bucket=self.info.bucket,
            name=self.info.name,
        )

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError(f"the result of {self.info.name!r} is closed")
