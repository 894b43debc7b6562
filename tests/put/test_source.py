"""Any payload becomes chunks of exactly one size."""

from __future__ import annotations

import bz2
import ctypes
import gzip
import io
import lzma
import mmap
import os
import socket
import tempfile
import zipfile
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests_toolbelt import MultipartEncoder

from objstore.errors import (
    InvalidPayloadError,
    PayloadFileError,
    PayloadFileNotFoundError,
)
from objstore.put.source import Source

pytestmark = pytest.mark.newest_server

DATA = bytes(range(256)) * 5

# --- helpers


def chunks_of(payload: object, chunk_size: int = 100) -> list[bytes]:
    """All chunks, after checking that their sizes are exact."""
    with Source(payload) as source:
        chunks = [bytes(chunk) for chunk in source.chunks(chunk_size)]
    assert all(len(chunk) == chunk_size for chunk in chunks[:-1])
    assert all(0 < len(chunk) <= chunk_size for chunk in chunks[-1:])
    return chunks


def all_of(payload: object, chunk_size: int = 100) -> bytes:
    return b"".join(chunks_of(payload, chunk_size))


class Reads:
    """A file-like that has only ``read``, and gives what it is told to, however little."""

    def __init__(self, data: bytes, sizes: list[int] | None = None) -> None:
        self.file = io.BytesIO(data)
        self.sizes = sizes or [7]
        self.turn = 0

    def read(self, size: int) -> Any:
        self.turn += 1
        return self.file.read(min(size, self.sizes[self.turn % len(self.sizes)]))


# --- every kind


@pytest.mark.parametrize(
    "make",
    [
        bytes,
        bytearray,
        memoryview,
        lambda data: array("B", data),
        lambda data: (ctypes.c_char * len(data)).from_buffer_copy(data),
        io.BytesIO,
        lambda data: io.BufferedReader(io.BytesIO(data)),
        Reads,
        lambda data: [data],
        lambda data: (data[i : i + 33] for i in range(0, len(data), 33)),
        lambda data: tuple(bytes([byte]) for byte in data),
        lambda data: [b"", data[:500], bytearray(), bytearray(data[500:]), memoryview(b"")],
        lambda data: iter([memoryview(data)[:99], memoryview(data)[99:]]),
    ],
    ids=[
        "bytes", "bytearray", "memoryview", "array", "ctypes", "BytesIO", "BufferedReader",
        "read only", "list", "generator", "tuple of single bytes", "empty items between",
        "memoryviews",
    ],
)  # fmt: skip
@pytest.mark.parametrize("chunk_size", [1, 33, 100, 256, 1279, 1280, 1281, 5000])
def test_kinds(make: Callable[[bytes], object], chunk_size: int) -> None:
    assert all_of(make(DATA), chunk_size) == DATA


@pytest.mark.parametrize(
    "payload", [None, b"", bytearray(), [], iter(()), io.BytesIO(), [b"", b""]]
)
def test_nothing_gives_no_chunk(payload: object) -> None:
    assert chunks_of(payload) == []


def test_path(tmp_path: Path) -> None:
    """A path's file is opened here, measured and closed."""
    path = tmp_path / "file"
    path.write_bytes(DATA)
    with Source(path) as source:
        assert source.size == len(DATA)
        assert b"".join(source.chunks(100)) == DATA
        opened = source._file
    assert opened is not None
    assert opened.closed


def test_path_whose_name_is_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA)
    with os.scandir(os.fsencode(tmp_path)) as entries:
        (entry,) = entries
    assert all_of(entry) == DATA


def test_path_of_no_file(tmp_path: Path) -> None:
    """The tree's error, with the operating system's own as its cause."""
    with pytest.raises(PayloadFileNotFoundError) as caught:
        Source(tmp_path / "missing")
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    assert caught.value.path == str(tmp_path / "missing")
    with pytest.raises(PayloadFileError, match="directory"):
        Source(tmp_path)


def test_a_users_file_stays_open(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    with path.open("rb") as file:
        assert all_of(file) == DATA
        assert not file.closed


def test_file_from_the_middle(tmp_path: Path) -> None:
    """What lies before the position is not stored, and asking for the size does not move it."""
    path = tmp_path / "file"
    path.write_bytes(DATA)
    with path.open("rb") as file:
        file.seek(1000)
        source = Source(file)
        assert source.size == 280
        assert file.tell() == 1000
        assert b"".join(source.chunks(64)) == DATA[1000:]


def test_closed_file() -> None:
    """The error is the file's own, when it is read."""
    file = io.BytesIO(DATA)
    file.close()
    source = Source(file)
    assert source.size is None
    with pytest.raises(ValueError, match="closed file"):
        list(source.chunks(100))


def test_pipe() -> None:
    """A pipe has no size, and gives less than it is asked for."""
    reader, writer = os.pipe()
    os.write(writer, DATA)
    os.close(writer)
    with open(reader, "rb", buffering=0) as file:
        source = Source(file)
        assert source.size is None
        assert [len(chunk) for chunk in source.chunks(1000)] == [1000, 280]


def test_socket_file() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, theirs.makefile("rb") as file:
        ours.sendall(DATA)
        ours.shutdown(socket.SHUT_WR)
        assert Source(file).size is None
        assert all_of(file) == DATA


def test_spooled_and_temporary_files() -> None:
    for make in (tempfile.TemporaryFile, tempfile.SpooledTemporaryFile):
        with make() as file:
            file.write(DATA)
            file.seek(0)
            assert Source(file).size == len(DATA)
            assert all_of(file) == DATA


def test_mmap(tmp_path: Path) -> None:
    """It is bytes-like, which comes before its read()."""
    path = tmp_path / "file"
    path.write_bytes(DATA)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        mapped.seek(1000)
        source = Source(mapped)
        assert source.size == len(DATA)
        chunks = list(source.chunks(100))
        assert b"".join(chunks) == DATA
        del chunks, source  # they hold the mapping's memory


@pytest.mark.parametrize("opener", [gzip.open, bz2.open, lzma.open])
def test_decompressed_files_are_not_measured(tmp_path: Path, opener: Callable[..., Any]) -> None:
    """Their end is only found by decompressing everything."""
    path = tmp_path / "file"
    with opener(path, "wb") as file:
        file.write(DATA)
    with path.open("rb") as raw, opener(raw, "rb") as file:
        source = Source(file)
        assert source.size is None
        assert raw.tell() == 0
        assert b"".join(source.chunks(100)) == DATA


def test_a_zip_files_member_is_not_measured() -> None:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("name", DATA)
    with zipfile.ZipFile(memory) as archive, archive.open("name") as file:
        source = Source(file)
        assert source.size is None
        assert b"".join(source.chunks(100)) == DATA


# --- bytes-like of odd shapes


@pytest.mark.parametrize("code", list("bBhHiIlLqQfd"))
def test_arrays_of_larger_items(code: str) -> None:
    """They count in bytes, not in items."""
    values = array(code, range(100))
    assert Source(values).size == 100 * values.itemsize
    assert all_of(values, 33) == values.tobytes()
    assert Source(array(code)).size == 0


def test_arrays_as_items() -> None:
    values = array("I", range(100))
    assert all_of([values, values], 33) == values.tobytes() * 2


def test_views_with_gaps() -> None:
    view = memoryview(DATA)[::3]
    assert Source(view).size == len(DATA[::3])
    assert all_of(view) == DATA[::3]
    assert all_of([memoryview(DATA)[::-1]]) == DATA[::-1]


def test_views_of_several_dimensions() -> None:
    view = memoryview(DATA).cast("B", [5, 256])
    assert Source(view).size == len(DATA)
    assert all_of(view) == DATA


def test_views_in_fortrans_order() -> None:
    """Contiguous, but not as C has it: stored in the order of their elements."""
    testbuffer = pytest.importorskip("_testbuffer")
    flags = testbuffer.ND_FORTRAN
    view = testbuffer.ndarray(list(range(6)), shape=[2, 3], format="B", flags=flags)
    assert all_of(view) == memoryview(view).tobytes()


def test_views_of_structures() -> None:
    """Formats that memoryview.cast() does not take."""

    class Pair(ctypes.BigEndianStructure):
        _fields_ = (("a", ctypes.c_uint16), ("b", ctypes.c_uint32))
        _pack_ = 1
        _layout_ = "ms"

    pairs = (Pair * 3)(*[Pair(i, i * 70_000) for i in range(3)])
    assert Source(pairs).size == ctypes.sizeof(pairs)
    assert all_of(pairs, 5) == bytes(pairs)


def test_read_bytes_of_a_whole_chunk_are_not_copied() -> None:
    whole = bytes(100)
    chunk = next(Source(SimpleNamespace(read=lambda _size: whole)).chunks(100))
    assert chunk is whole


# --- iterables


def test_a_generator_may_use_its_buffer_again() -> None:
    """Chunks are memory of their own, not views of what will change."""

    def generate() -> Iterator[bytearray]:
        buffer = bytearray(30)
        for number in range(10):
            buffer[:] = bytes([number]) * 30
            yield buffer

    chunks = list(Source(generate()).chunks(45))
    assert b"".join(chunks) == b"".join(bytes([number]) * 30 for number in range(10))


def test_a_reader_may_use_its_buffer_again() -> None:
    class Reader:
        buffer = bytearray(30)
        left = 5

        def read(self, size: int) -> memoryview:
            if self.left == 0:
                return memoryview(b"")
            self.left -= 1
            self.buffer[:] = bytes([self.left]) * 30
            return memoryview(self.buffer)[:size]

    chunks = list(Source(Reader()).chunks(30))
    assert chunks == [bytes([number]) * 30 for number in (4, 3, 2, 1, 0)]


def test_items_are_taken_as_they_are_needed() -> None:
    """Nothing is read ahead of the chunk that is asked for."""
    taken = []

    def generate() -> Iterator[bytes]:
        for number in range(10):
            taken.append(number)
            yield bytes(50)

    chunks = Source(generate()).chunks(100)
    assert taken == []
    next(chunks)
    assert taken == [0, 1]
    next(chunks)
    assert taken == [0, 1, 2, 3]


def test_errors_of_the_payload_come_through() -> None:
    def generate() -> Iterator[bytes]:
        yield bytes(150)
        raise KeyError("mine")

    chunks = Source(generate()).chunks(100)
    assert len(next(chunks)) == 100
    with pytest.raises(KeyError, match="mine"):
        next(chunks)

    def read(_size: int) -> bytes:
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        next(Source(SimpleNamespace(read=read)).chunks(100))


# --- sizes


def test_multipart_encoder() -> None:
    """requests-toolbelt's encoders tell their size as ``len``."""
    encoder = MultipartEncoder({"field": "value", "file": ("name", DATA, "text/plain")})
    source = Source(encoder)
    assert source.size == encoder.len
    assert len(b"".join(source.chunks(100))) == source.size


@pytest.mark.parametrize(
    ("attributes", "size"),
    [
        ({}, None),
        ({"len": 12}, 12),
        ({"len": 0}, 0),
        ({"len": -1}, None),
        ({"len": "12"}, None),
        ({"len": lambda: 12}, None),
        ({"tell": lambda: 2, "seek": lambda _offset, _whence=0: 10}, 8),
        ({"tell": lambda: 2, "seek": lambda _offset, _whence=0: None}, None),
        ({"tell": lambda: None, "seek": lambda _offset, _whence=0: 10}, None),
        ({"tell": lambda: 2, "seek": lambda _offset: 10, "len": 5}, 5),
    ],
)
def test_sizes_of_file_likes(attributes: dict[str, Any], size: int | None) -> None:
    assert Source(SimpleNamespace(read=lambda _size: b"", **attributes)).size == size


def test_iterables_have_no_size() -> None:
    assert Source([b"abc"]).size is None


def test_a_file_of_a_users_own_class() -> None:
    """Those of ``io`` say of themselves that they are not read, unless told otherwise."""

    class Own(io.RawIOBase):
        def __init__(self) -> None:
            self.left = [b"b", b"a"]

        def read(self, _size: int = -1) -> bytes:
            return self.left.pop() if self.left else b""

    assert all_of(Own()) == b"ab"


# --- refused


@pytest.mark.parametrize(
    ("payload", "advice"),
    [
        ("text", r"the payload is text.*\.encode\(\).*pathlib\.Path\(\)"),
        ("/a/path", r"pathlib\.Path\(\)"),
        ({"a": b"b"}, r"the payload is a mapping.*json\.dumps\(…\)\.encode\(\)"),
        (io.StringIO("text"), r'text file.*binary mode \("rb"\).*\.buffer'),
        (5, "type int; a payload is bytes-like, a binary file, an iterable"),
        (1.5, "type float"),
        (True, "type bool"),
        (object(), "type object"),
        (print, "type builtin_function_or_method"),
        (SimpleNamespace(read=5), "type SimpleNamespace"),
    ],
)
def test_wrong_types(payload: object, advice: str) -> None:
    """The message says what to do instead; it is also a TypeError."""
    with pytest.raises(InvalidPayloadError, match=advice) as caught:
        Source(payload)
    assert isinstance(caught.value, TypeError)


def test_text_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("text", encoding="utf-8")
    with path.open(encoding="utf-8") as file:
        with pytest.raises(InvalidPayloadError, match="binary mode"):
            Source(file)
        assert all_of(file.buffer) == b"text"


@pytest.mark.parametrize(
    ("given_back", "words"),
    [
        (None, "gave None: a non-blocking file without data"),
        ("text", "gave a value of type str; bytes are needed"),
        (5, "gave a value of type int"),
        (bytes(101), "gave more than n bytes"),
        (bytearray(101), "gave more than n bytes"),
    ],
)
def test_wrong_reads(given_back: object, words: str) -> None:
    source = Source(SimpleNamespace(read=lambda _size: given_back))
    with pytest.raises(InvalidPayloadError, match=words):
        next(source.chunks(100))


def test_a_raw_non_blocking_file() -> None:
    """No data at the moment is not the end; the object would be cut short."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    try:
        os.write(writer, bytes(30))
        with open(reader, "rb", buffering=0) as file:
            chunks = Source(file).chunks(100)
            with pytest.raises(InvalidPayloadError, match="non-blocking"):
                next(chunks)
    finally:
        os.close(writer)


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (5, "an item of the payload is a value of type int; bytes are needed"),
        ("text", "an item of the payload is a value of type str"),
        (None, "an item of the payload is None"),
        ([b"nested"], "an item of the payload is a value of type list"),
    ],
)
def test_wrong_items(item: object, words: str) -> None:
    chunks = Source([bytes(150), item]).chunks(100)
    assert len(next(chunks)) == 100
    with pytest.raises(InvalidPayloadError, match=words):
        next(chunks)


# --- any payload

CUTS = st.lists(st.integers(1, 300), min_size=1, max_size=10)


@given(st.binary(max_size=1500), st.integers(1, 400), CUTS)
def test_any_reads(data: bytes, chunk_size: int, cuts: list[int]) -> None:
    """However short the reads: chunks are exact, and together they are the payload."""
    assert all_of(Reads(data, cuts), chunk_size) == data


@given(st.lists(st.binary(max_size=300), max_size=20), st.integers(1, 400))
def test_any_items(items: list[bytes], chunk_size: int) -> None:
    """However the payload is cut into items."""
    assert all_of(items, chunk_size) == b"".join(items)


@given(st.binary(max_size=1500), st.integers(1, 400))
def test_any_bytes(data: bytes, chunk_size: int) -> None:
    assert all_of(data, chunk_size) == data
    assert all_of(io.BytesIO(data), chunk_size) == data
