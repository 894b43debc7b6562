"""Memory as a payload: its bytes as they are now, and no addresses."""

from __future__ import annotations

import ctypes
import io
import mmap
import os
import pickle
import threading
from array import array
from collections.abc import Callable, Iterator
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from objstore import InvalidPayloadError, ObjectStore
from objstore.put.buffers import flat_view, is_immutable
from objstore.put.source import Source
from tests.support.proxy import Proxy, chunks_of, nth

pytestmark = pytest.mark.newest_server

DATA = bytes(range(256)) * 4


def all_of(payload: object, chunk_size: int = 100) -> bytes:
    with Source(payload) as source:
        return b"".join(bytes(chunk) for chunk in source.chunks(chunk_size))


# --- memory that somebody may change


def read_only_array(data: bytearray) -> Any:
    view = np.frombuffer(data, "u1")
    view.flags.writeable = False
    return view


@pytest.mark.parametrize(
    "make",
    [
        lambda data: data,
        memoryview,
        lambda data: memoryview(data).toreadonly(),
        lambda data: memoryview(memoryview(data)[:])[0:],
        lambda data: memoryview(data).cast("I"),
        lambda data: (ctypes.c_char * len(data)).from_buffer(data),
        lambda data: np.frombuffer(data, "u1"),
        lambda data: np.frombuffer(data, "u1").reshape(4, 256),
        lambda data: np.frombuffer(data, "i4,f4"),
        read_only_array,
        lambda data: pa.py_buffer(data),
        lambda data: pickle.PickleBuffer(data),
    ],
    ids=[
        "bytearray", "view", "read-only view", "view of a view", "cast", "ctypes", "numpy",
        "numpy in two dimensions", "numpy structures", "numpy, read-only", "pyarrow", "pickle",
    ],
)  # fmt: skip
def test_what_may_change_is_copied_as_each_chunk_is_taken(
    make: Callable[[bytearray], Any],
) -> None:
    memory = bytearray(DATA)
    chunks = Source(make(memory)).chunks(100)
    first = next(chunks)
    memory[:] = bytes(len(memory))
    assert first == DATA[:100]
    assert next(chunks) == bytes(100)


def test_other_memory_that_may_change() -> None:
    values = array("B", DATA)
    first = next(Source(values).chunks(100))
    values[0] = 99
    assert first == DATA[:100]
    file = io.BytesIO(DATA)
    with file.getbuffer() as view:
        first = next(Source(view).chunks(100))
        view[0] = 99
    assert first == DATA[:100]


def test_shared_memory() -> None:
    """The payload is its ``buf``; what it was put from can be closed after."""
    memory = SharedMemory(create=True, size=len(DATA))
    try:
        assert memory.buf is not None
        memory.buf[: len(DATA)] = DATA
        with Source(memory.buf) as source:
            first = next(source.chunks(100))
        memory.buf[0] = 99
        assert first == DATA[:100]
    finally:
        memory.close()
        memory.unlink()


def test_a_mapping_that_is_only_read(tmp_path: Path) -> None:
    """The file that it shows may be written by anybody."""
    path = tmp_path / "file"
    path.write_bytes(DATA)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        with Source(mapped) as source:
            first = next(source.chunks(100))
            with path.open("r+b") as other:
                other.write(b"changed")
        assert bytes(mapped[:7]) == b"changed"
        assert first == DATA[:100]


class Named(bytes):
    """Bytes of a class of a user's own."""


@pytest.mark.parametrize(
    "make",
    [
        lambda data: data,
        memoryview,
        lambda data: memoryview(data)[100:],
        lambda data: memoryview(memoryview(data)).cast("I"),
    ],
    ids=["bytes", "view", "part", "cast"],
)
def test_bytes_are_not_copied(make: Callable[[bytes], Any]) -> None:
    payload = make(DATA)
    for chunk in Source(payload).chunks(100):
        assert isinstance(chunk, memoryview)
        assert chunk.obj is DATA


def test_bytes_of_a_class_of_their_own() -> None:
    data = Named(DATA)
    assert all_of(data) == all_of([data]) == DATA
    view = flat_view(data)
    assert view is not None
    assert is_immutable(view)


def test_items_and_reads_are_copied() -> None:
    buffer = bytearray(50)

    def fill() -> Iterator[Any]:
        for number in range(4):
            buffer[:] = bytes([number]) * 50
            yield memoryview(buffer).toreadonly()

    expected = b"".join(bytes([number]) * 50 for number in range(4))
    assert b"".join(list(Source(fill()).chunks(50))) == expected
    items = fill()

    class Reads:
        def read(self, size: int) -> Any:
            return next(items, b"")[:size]

    assert b"".join(list(Source(Reads()).chunks(50))) == expected


def test_the_memory_is_let_go() -> None:
    """By a source that was not read to its end, too: a traceback may hold it."""
    memory = bytearray(DATA)
    with Source(memory) as source:
        chunks = source.chunks(100)
        next(chunks)  # and no more of them
    memory += b"more"
    shared = mmap.mmap(-1, 4096)
    with Source(shared) as source:
        list(source.chunks(1000))
    shared.close()


# --- addresses


class Pair(ctypes.Structure):
    """Numbers, and a name with the letters of addresses."""

    _fields_ = (("O", ctypes.c_int), ("PXz", ctypes.c_double))


class Pointing(ctypes.Structure):
    _fields_ = (("a", ctypes.c_int), ("p", ctypes.c_void_p))


class Heir(Pointing):
    """Its buffer's format tells nothing of what it inherits."""

    _fields_ = (("b", ctypes.c_int),)  # type: ignore[assignment]


class Holder(ctypes.Structure):
    _fields_ = (("rows", Pointing * 2), ("a", ctypes.c_int))


class Choice(ctypes.Union):
    """Its buffer's format is ``B``."""

    _fields_ = (("a", ctypes.c_int), ("p", ctypes.POINTER(ctypes.c_int)))


class Packed(ctypes.Structure):
    """So is its."""

    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("a", ctypes.c_char), ("p", ctypes.c_char_p))


class Bits(ctypes.Structure):
    _fields_ = (("a", ctypes.c_int, 3), ("b", ctypes.c_int, 5))


Callback = ctypes.CFUNCTYPE(None)

ADDRESSES: dict[str, Any] = {
    "objects": np.array(["a", None, 3], dtype=object),
    "one object": np.array(None, dtype=object),
    "objects in structures": np.zeros(3, dtype=[("n", "i4"), ("o", "O")]),
    "objects in structures in structures": np.zeros(2, dtype=[("a", [("b", "O", (2,))])]),
    "a structure with an object": np.zeros(1, dtype=[("o", "O")])[0],
    "a view of objects": memoryview(np.array(["a"], dtype=object)),  # type: ignore[arg-type]
    "py_object": ctypes.py_object("a"),
    "py_object array": (ctypes.py_object * 2)(),
    "void pointer": ctypes.c_void_p(5),
    "void pointers": (ctypes.c_void_p * 2)(),
    "char pointers": (ctypes.c_char_p * 2)(b"a", b"b"),
    "wide char pointer": ctypes.c_wchar_p("a"),
    "pointer": ctypes.pointer(ctypes.c_int(5)),
    "pointers": (ctypes.POINTER(ctypes.c_int) * 2)(),
    "array of arrays of pointers": ((ctypes.c_void_p * 2) * 2)(),
    "function": Callback(lambda: None),
    "structure": Pointing(),
    "structures": (Pointing * 2)(),
    "inherited": Heir(),
    "nested": Holder(),
    "union": Choice(),
    "unions": (Choice * 2)(),
    "packed": Packed(),
    "packed array": (Packed * 2)(),
    "a view of the packed": memoryview((Packed * 2)()),
}


@pytest.mark.parametrize("payload", ADDRESSES.values(), ids=ADDRESSES.keys())
def test_addresses_are_refused(payload: object) -> None:
    """As a payload, as an item of one, and as what a read gives."""
    with pytest.raises(InvalidPayloadError, match=r"holds addresses.*pickle\.dumps\(\)"):
        Source(payload)
    with pytest.raises(InvalidPayloadError, match="holds addresses"):
        list(Source([payload]).chunks(100))


@pytest.mark.parametrize(
    "payload",
    [
        np.zeros(2, dtype=[("Offset", "i4"), ("P", "f8"), ("X&z", "u1")]),
        np.zeros(2, dtype="c16"),
        np.zeros(2, dtype="c8"),
        np.zeros(2, dtype="clongdouble"),
        np.zeros((2, 3), dtype=">i4"),
        np.zeros(2, dtype="f2"),
        np.zeros(2, dtype="?"),
        np.zeros(2, dtype="V5"),
        np.zeros(2, dtype=[("x", "f4", (2, 3))]),
        np.array(["naïve", "b"]),
        np.array([b"a", b"bc"]),
        np.array(5),
        np.int64(5),
        np.float32(5),
        np.bytes_(b"abc"),
        np.zeros((0, 3)),
        np.zeros((2, 0), dtype="c16"),
        np.arange(12).reshape(3, 4).T,
        np.arange(12)[::-2],
        np.asfortranarray(np.arange(12).reshape(3, 4)),
        array("d", [1.5]),
        (Pair * 2)(),
        (ctypes.c_wchar * 2)("a", "b"),
        (ctypes.c_longdouble * 2)(),
        (ctypes.c_bool * 2)(),
        ctypes.c_int(5),
        (Bits * 2)(),
        pa.py_buffer(b"abc"),
    ],
    ids=lambda payload: f"{type(payload).__name__} {memoryview(payload).format}",
)
def test_values_are_stored_as_they_are_in_memory(payload: Any) -> None:
    """In C's order, whatever it is in memory."""
    expected = memoryview(payload).tobytes()
    assert Source(payload).size == len(expected)
    assert all_of(payload, 7) == all_of([payload], 7) == expected


def test_large_items_are_not_copied_as_a_whole() -> None:
    """Memory of structures is viewed, as all other is."""
    structures = np.zeros(1000, dtype=[("a", "i4"), ("b", "c16")])
    view = flat_view(structures)
    assert view is not None
    structures["a"] = 5
    assert bytes(view) == structures.tobytes()


@pytest.mark.parametrize(
    ("payload", "advice"),
    [
        (np.array(["2026-01-01"], dtype="M8[D]"), r"getvalue\(\), or payload\.tobytes\(\)"),
        (np.array([5], dtype="m8[s]"), r"payload\.tobytes\(\)"),
        (
            np.zeros(2, dtype=[("t", "M8[s]")]),
            r"numpy\.save\(\) into an io\.BytesIO\(\), and its getvalue\(\)$",
        ),
    ],
    ids=["times", "spans", "times in structures"],
)
def test_memory_that_its_owner_does_not_give(payload: object, advice: str) -> None:
    with pytest.raises(InvalidPayloadError, match=advice):
        Source(payload)
    with pytest.raises(InvalidPayloadError, match=advice):
        list(Source([payload]).chunks(100))


def test_memory_that_is_gone() -> None:
    view = memoryview(DATA)
    view.release()
    mapped = mmap.mmap(-1, 4096)
    mapped.close()
    for payload in (view, mapped):
        with pytest.raises(InvalidPayloadError, match="cannot be read"):
            Source(payload)


def test_numpys_text_is_text() -> None:
    """It gives its memory, too, four bytes for each character."""
    with pytest.raises(InvalidPayloadError, match=r"text.*\.encode\(\)"):
        Source(np.str_("text"))


def test_a_list_of_numbers() -> None:
    with pytest.raises(InvalidPayloadError, match=r"type int.*bytes\(payload\)"):
        list(Source([1, 2, 3]).chunks(100))


def test_addresses_are_stored_nowhere(store: ObjectStore) -> None:
    objects = np.array(["a", None], dtype=object)
    with pytest.raises(InvalidPayloadError, match="holds addresses"):
        store.put("x", objects)
    with pytest.raises(InvalidPayloadError, match="holds addresses"):
        store.put_many([("x", objects)])
    with (
        pytest.raises(InvalidPayloadError, match="holds addresses"),
        store.open("x", "wb") as file,
    ):
        file.write(objects)  # type: ignore[arg-type]
    with store.open("x", "wb") as file:
        with pytest.raises(InvalidPayloadError, match="holds addresses"):
            file.write(objects)  # type: ignore[arg-type] # none of it was taken, so the file goes on
        file.write(np.arange(3, dtype="<i2"))  # type: ignore[arg-type]
        file.write(np.zeros((2, 2), dtype=[("a", "u1"), ("b", "u1")]))  # type: ignore[arg-type]
    assert store.read_bytes("x") == bytes([0, 0, 1, 0, 2, 0]) + bytes(8)


# --- on its way


class Scribbler:
    """Changes memory for as long as the block lasts, in a thread of its own."""

    def __init__(self, memory: bytearray) -> None:
        self._memory = memory
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._scribble)

    def _scribble(self) -> None:
        while not self._stop.is_set():
            for at in range(0, len(self._memory), 1 << 12):
                self._memory[at] ^= 1

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


@pytest.mark.parametrize(
    "make",
    [lambda data: data, lambda data: memoryview(data).toreadonly()],
    ids=["bytearray", "read-only view"],
)
def test_memory_that_is_changed_while_it_travels(
    make: Callable[[bytearray], Any], store: ObjectStore
) -> None:
    """Some of all that it was is stored, and it can be read."""
    memory = bytearray(4 << 20)
    with Scribbler(memory):
        store.put("x", make(memory), chunk_size=64 << 10)
        part = memoryview(memory)[: 50 << 10]
        store.put_many([("y", make(memory)), *((f"z{n}", part) for n in range(20))])
        with store.open("w", "wb", chunk_size=64 << 10) as file:
            file.write(memory)
    assert store.verify().ok


def test_what_is_sent_again_is_what_was_hashed(
    proxy: Proxy, far_store: ObjectStore, store: ObjectStore
) -> None:
    """The connection is cut in the middle, and the memory changed before the chunks go again."""
    memory = bytearray(os.urandom(2 << 20))
    before = bytes(memory)

    def spoil(done: int, _total: int | None) -> None:
        memory[:done] = bytes(done)  # all that is under way

    cut = proxy.up.cut(nth(20, chunks_of(store.name)))
    far_store.put("x", memory, chunk_size=64 << 10, progress=spoil)
    assert cut.happened.is_set()
    assert store.read_bytes("x") == before
