"""An object being read, as a binary file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Protocol

from objstore.chunks import Payload
from objstore.objects import ObjectInfo

__all__ = ["ObjectResult"]


class Closable(Protocol):
    """What can be told how many bytes were read, and that it is over."""

    def update(self, count: int) -> object:
        """So many bytes more."""

    def close(self) -> object:
        """No more will come."""


class ObjectResult(io.BufferedIOBase):
    """An object being read: a binary file, and an iterator of its chunks.

    A complete sequential read verifies the digest before the last bytes are handed over. Not
    thread-safe, as files are not. Close it, or use it in a with-block; it owns nothing on the
    server, only what was read ahead (8 MiB at most).

    Attributes:
        info: the object's metadata; of a link, the target's.
    """

    def __init__(
        self, info: ObjectInfo, payloads: Iterator[Payload], progress: Closable | None = None
    ) -> None:
        super().__init__()
        self.info = info
        self._payloads = payloads
        self._progress = progress
        self._rest = memoryview(b"")  # of the present chunk
        self._position = 0
        self._error: BaseException | None = None  # what ended the reading before its end

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"at {self._position:,}"
        return f"<objstore.ObjectResult {self.info.name!r}, {self.info.size:,} bytes, {state}>"

    @property
    def name(self) -> str:
        """The object's name."""
        return self.info.name

    @property
    def len(self) -> int:
        """Bytes left to read (what requests-toolbelt's encoders ask a file for)."""
        return self.info.size - self._position

    @property
    def data(self) -> Iterator[bytes]:
        """The rest of the object, chunk by chunk.

        Raises:
            ValueError: it is closed.
            ObjStoreError: as :meth:`read`.
        """
        while self._fill():
            chunk = bytes(self._rest)
            self._advance(len(chunk))
            yield chunk

    def readable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The position, in bytes from the start."""
        self._check_open()
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        """Read ``size`` bytes, or all that is left.

        Returns:
            Fewer bytes only at the end.

        Raises:
            ValueError: it is closed.
            ObjectChangedError, ObjectCorruptError, DigestMismatchError, RequestTimeoutError,
            ConnectionLostError: see :meth:`objstore.ObjectStore.get`.
        """
        wanted = self.len if size is None or size < 0 else min(size, self.len)
        if wanted and self._fill() and wanted <= len(self._rest):
            return self._cut(wanted)
        self._check_open()
        # BytesIO gives its memory away as the result: one copy, where filling a bytearray and
        # making bytes of it takes two and twice the memory (256 MiB: 640 MB/s against 220).
        buffer = io.BytesIO()
        while wanted and self._fill():
            piece = self._rest[:wanted]
            wanted -= buffer.write(piece)
            self._advance(len(piece))
        return buffer.getvalue()

    def read1(self, size: int = -1, /) -> bytes:
        """Read what is there without asking for more: at most one chunk."""
        if not self._fill():
            return b""
        left = len(self._rest)
        return self._cut(left if size < 0 else min(size, left))

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Fill a buffer; fewer bytes only at the end."""
        self._check_open()
        view = memoryview(buffer).cast("B")
        filled = 0
        while filled < len(view) and (count := self.readinto1(view[filled:])):
            filled += count
        return filled

    def readinto1(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Fill a buffer from at most one chunk."""
        view = memoryview(buffer).cast("B")
        if not len(view) or not self._fill():
            return 0
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._advance(count)
        return count

    def readline(self, size: int | None = -1, /) -> bytes:
        """Read up to and including the next newline."""
        limit = self.len if size is None or size < 0 else size
        parts: list[bytes] = []
        while limit > 0 and self._fill():
            window = bytes(self._rest[: min(limit, 8192)])
            end = window.find(b"\n") + 1
            parts.append(self._cut(end or len(window)))
            limit -= len(parts[-1])
            if end:
                break
        return b"".join(parts)

    def close(self) -> None:
        """Drop what was read ahead. Closing twice is fine."""
        if not self.closed:
            self._rest = memoryview(b"")
            getattr(self._payloads, "close", lambda: None)()
            if self._progress is not None:
                self._progress.close()
        super().close()

    def _cut(self, count: int) -> bytes:
        data = bytes(self._rest[:count])
        self._advance(count)
        return data

    def _advance(self, count: int) -> None:
        self._rest = self._rest[count:]
        self._position += count
        if self._progress is not None:
            self._progress.update(count)

    def _fill(self) -> bool:
        """Have some bytes at hand; False at the end."""
        self._check_open()
        while not self._rest:
            if self._error is not None:  # never an early end that looks like the end
                raise self._error
            try:
                payload = next(self._payloads, None)
            except BaseException as error:
                self._error = error
                raise
            if payload is None:
                return False
            self._rest = memoryview(payload)
        return True

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError(f"the result of {self.info.name!r} is closed")
