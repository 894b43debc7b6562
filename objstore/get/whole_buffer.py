"""Memory for a whole object, into which the reader thread receives its chunks."""

from __future__ import annotations

import contextlib
import io

from objstore.get.layout import Layout
from objstore.wire.jetstream.direct import left_behind

__all__ = ["WholeObjectBuffer"]

#: Larger objects are collected in memory that grows with what comes: whoever wrote the metadata
#: said the size, and it is not believed beyond this.
LARGEST = 256 << 20


class _Memory(io.BytesIO):
    """Memory for a whole object that tolerates being closed while it is viewed."""

    def close(self) -> None:
        """Close the memory, unless it is viewed."""
        # Where a read failed it is the garbage collector that closes it, maybe while it is viewed,
        # and Python 3.13 reports what a finalizer raises.
        with contextlib.suppress(BufferError):
            super().close()


class WholeObjectBuffer:
    """The content of an object, into which the reader thread receives each chunk, once.

    That saves a copy; and the operating system clears fresh memory in the reader thread, while the
    calling thread hashes. (In chunks of 128 KiB 652 MB/s; copying from memory that is used again
    gave 463.)

    The reader thread calls :meth:`place`. A chunk that comes a second time is received elsewhere,
    since what was verified must not change.

    Arguments:
        layout: of the object's chunks.
        pending_includes_self: see :func:`~objstore.wire.jetstream.direct.position`.
    """

    def __init__(self, layout: Layout, pending_includes_self: bool) -> None:
        assert layout.chunk_size is not None  # noqa: S101 - see can_hold
        self._size, self._chunks, self._chunk_size = layout.size, layout.chunks, layout.chunk_size
        self._pending_includes_self = pending_includes_self
        # Gives its memory away as the result, uncopied; a bytearray would have to be copied.
        self._memory = _Memory(bytes(layout.size))
        self._view = self._memory.getbuffer()
        self._next = 0  # chunks before this one have landed, or never will

    @staticmethod
    def can_hold(layout: Layout) -> bool:
        """Tell whether all chunks' places are known, and the size is at most :data:`LARGEST`."""
        return layout.chunk_size is not None and layout.size <= LARGEST

    def place(self, _subject: str, header: bytes, size: int) -> memoryview | None:
        """Return the memory to receive a chunk into, by its header block; None: none of this."""
        left = left_behind(header)
        if left is None:
            return None
        index = self._chunks - 1 - (left - self._pending_includes_self)
        start = index * self._chunk_size
        if index < self._next or size != min(self._chunk_size, self._size - start):
            return None
        self._next = index + 1
        return self._view[start : start + size]

    def take(self, index: int, offset: int, payload: memoryview) -> bool:
        """Note a chunk that has come; copy it if it was received elsewhere.

        Returns:
            False where its offset is not what chunks of one size would have.
        """
        if offset != index * self._chunk_size:
            return False
        if payload.obj is not self._view.obj:
            self._next = max(self._next, index + 1)
            self._view[offset : offset + len(payload)] = payload
        return True

    def first(self, count: int) -> memoryview:
        """Return the first bytes of the content, whose chunks were taken."""
        return self._view[:count]

    def content(self) -> bytes:
        """Return the whole content, once every chunk was taken; copied only if it is viewed."""
        with contextlib.suppress(BufferError):
            self._view.release()
        content = self._memory.getvalue()
        self._memory.close()  # by the collector it would lose a Ctrl-C that strikes in there
        return content
