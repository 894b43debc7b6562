"""Payloads: whatever a user gives becomes chunks of exactly one size.

Pure: it reads what it is given and knows no server. Only the last chunk may be shorter, however
short the reads are that the payload answers with.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, BinaryIO, cast

from objstore.errors import (
    InvalidPayloadError,
    PayloadFileError,
    PayloadFileNotFoundError,
)

__all__ = ["Source", "choose_chunk_size"]

Buffer = bytes | bytearray | memoryview

#: ADR-20's default, and what small objects get.
DEFAULT_CHUNK_SIZE = 128 << 10

#: What large objects get, where the server's ``max_payload`` allows it: 512 KiB moves 1.1 to
#: 1.4 times faster than 128 KiB.
LARGE_CHUNK_SIZE = 512 << 10
LARGE_OBJECT = 8 << 20

#: The modules of files that find their end by decompressing all of it.
_DECOMPRESSORS = frozenset({"gzip", "bz2", "lzma", "zipfile"})

_ADVICE = (
    "a payload is bytes-like, a binary file, an iterable of bytes-like, a path (pathlib.Path), "
    "or None"
)


def choose_chunk_size(asked: int | None, size: int | None, max_payload: int) -> int:
    """The chunk size for an object.

    Arguments:
        asked: by the caller, in bytes; it is only bounded by ``max_payload``.
        size: of the object, where it is known, in bytes.
        max_payload: the largest message that the server takes, in bytes.
    """
    if asked is None:
        large = size is not None and size >= LARGE_OBJECT
        asked = LARGE_CHUNK_SIZE if large else DEFAULT_CHUNK_SIZE
    return max(1, min(asked, max_payload))


class Source:
    """A payload of any kind, to be read once.

    Arguments:
        payload: bytes-like, a binary file-like (only ``read`` is needed), an iterable of
            bytes-like, an ``os.PathLike`` (that file is opened, and closed by :meth:`close`),
            or None (empty).

    Attributes:
        size: in bytes, where it is known beforehand.

    Raises:
        InvalidPayloadError: it is text, a text file, a mapping, or something else.
        PayloadFileError: the file of a path cannot be opened.
    """

    def __init__(self, payload: object) -> None:
        self.size: int | None = None
        self._file: BinaryIO | None = None
        self._read: Any = None
        self._view: memoryview | None = None
        self._items: Iterator[object] | None = None
        view = _as_view(b"" if payload is None else payload)
        if view is not None:
            self._view = view
            self.size = len(view)
            return
        if isinstance(payload, (str, Mapping)):
            raise InvalidPayloadError(_why_not(payload))
        if isinstance(payload, os.PathLike):
            payload = self._file = _open(payload)
        if callable(getattr(payload, "read", None)):
            self._open_reader(payload)
        elif isinstance(payload, Iterable):
            self._items = iter(payload)
        else:
            raise InvalidPayloadError(_why_not(payload))

    def _open_reader(self, payload: Any) -> None:
        if isinstance(payload, io.TextIOBase):
            raise InvalidPayloadError(
                'the payload is a text file; open it in binary mode ("rb"), or use its .buffer'
            )
        self._read = payload.read
        self.size = _size_left(payload)

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, if it was opened here; a user's own file stays open."""
        if self._file is not None:
            self._file.close()

    def chunks(self, chunk_size: int) -> Iterator[Buffer]:
        """All chunks, in order; each but the last has exactly ``chunk_size`` bytes, none has none.

        A chunk is either memory of its own or a view of the user's bytes.

        Raises:
            InvalidPayloadError: a read or an item is not bytes.
            Exception: whatever reading the payload raises.
        """
        if self._view is not None:
            return _cut(self._view, chunk_size)
        if self._items is not None:
            return _gather(self._items, chunk_size)
        return _read_chunks(self._read, chunk_size)


def _open(path: os.PathLike[Any]) -> BinaryIO:
    """Open the file of a path."""
    try:
        return open(path, "rb", buffering=0)  # buffered, a pipe's read would not hear Ctrl-C
    except OSError as error:
        text = os.fsdecode(path)
        missing = isinstance(error, FileNotFoundError)
        kind = PayloadFileNotFoundError if missing else PayloadFileError
        raise kind(f"cannot read the file {text}: {error.strerror}", path=text) from error


def _as_view(payload: object) -> memoryview | None:
    """A flat view of a bytes-like object, or None if it is none."""
    try:
        view = memoryview(cast("bytes", payload))
    except TypeError:
        return None
    try:
        return view.cast("B")
    except TypeError:  # not C-contiguous, or of items that Python has no letter for
        return memoryview(view.tobytes())


def _why_not(payload: object) -> str:
    if isinstance(payload, str):
        return (
            f"the payload is text; {_ADVICE}. Encode text with .encode(), and wrap a file's "
            "path in pathlib.Path()"
        )
    if isinstance(payload, Mapping):
        return f"the payload is a mapping; {_ADVICE}. Use json.dumps(…).encode(), for example"
    return f"the payload is of type {type(payload).__name__}; {_ADVICE}"


def _size_left(file: Any) -> int | None:
    """How many bytes a file still has, if it can tell without being read."""
    if type(file).__module__ in _DECOMPRESSORS:
        return None
    try:
        here = file.tell()
        end = file.seek(0, os.SEEK_END)
        file.seek(here)
    except (AttributeError, OSError, ValueError, TypeError):
        length = getattr(file, "len", None)  # requests-toolbelt's encoders
        return length if isinstance(length, int) and length >= 0 else None
    if not (isinstance(here, int) and isinstance(end, int)):
        return None
    return max(0, end - here)


def _cut(view: memoryview, chunk_size: int) -> Iterator[Buffer]:
    for start in range(0, len(view), chunk_size):
        yield view[start : start + chunk_size]


def _read_chunks(read: Any, chunk_size: int) -> Iterator[Buffer]:
    """Read until a chunk is full: pipes and sockets give less than they are asked for."""
    while True:
        parts: list[bytes] = []
        have = 0
        while have < chunk_size:
            part = read(chunk_size - have)
            if part is None:
                raise InvalidPayloadError(
                    "read() of the payload gave None: a non-blocking file without data; "
                    "bytes are needed"
                )
            if not isinstance(part, bytes):
                part = _bytes_of(part, "read() of the payload gave")
            if not part:
                break
            if len(part) > chunk_size - have:
                raise InvalidPayloadError("read(n) of the payload gave more than n bytes")
            parts.append(part)
            have += len(part)
        if have:
            yield parts[0] if len(parts) == 1 else b"".join(parts)
        if have < chunk_size:
            return


def _gather(items: Iterator[object], chunk_size: int) -> Iterator[Buffer]:
    """Join small items and cut large ones."""
    pending = bytearray()
    for item in items:
        data = _bytes_of(item, "an item of the payload is")
        start = 0
        if pending:
            start = min(chunk_size - len(pending), len(data))
            pending += data[:start]
            if len(pending) < chunk_size:
                continue
            yield bytes(pending)
            pending.clear()
        whole = start + (len(data) - start) // chunk_size * chunk_size
        for at in range(start, whole, chunk_size):
            yield data[at : at + chunk_size]
        pending += data[whole:]
    if pending:
        yield bytes(pending)


def _bytes_of(data: object, what: str) -> bytes:
    """A copy as bytes: an iterable may use its buffer again."""
    view = None if isinstance(data, str) else _as_view(data)
    if view is None:
        kind = "None" if data is None else f"a value of type {type(data).__name__}"
        raise InvalidPayloadError(f"{what} {kind}; bytes are needed")
    return data if isinstance(data, bytes) else bytes(view)
