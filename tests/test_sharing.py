"""What belongs to a process is neither pickled nor copied; what threads share is safe."""

from __future__ import annotations

import copy
import gc
import importlib
import io
import multiprocessing
import pickle
import pkgutil
import signal
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import objstore
from objstore import Client, LocalServer, ObjectMeta, ObjectStore, ReentrantCallError
from objstore.get.chunks import Chunks
from tests.support.waiting import eventually

pytestmark = pytest.mark.newest_server

CHUNK = 1000
CONTENT = b"".join(b"%07d\n" % number for number in range(4000))


@pytest.fixture
def shared(store: ObjectStore) -> str:
    store.put("shared", CONTENT, chunk_size=CHUNK, mime="text/plain", headers={"a": ["1", "2"]})
    return "shared"


# --- copies


@pytest.fixture
def things(
    client: Client, store: ObjectStore, server: LocalServer, shared: str
) -> Iterator[dict[str, object]]:
    with ExitStack() as stack:
        own = client.object_store(store.name)
        text = stack.enter_context(own.open("t", "w"))
        writer = stack.enter_context(own.open("w", "wb"))
        yield {
            "Client": client,
            "ObjectStore": own,
            "Connection": client.connection,
            "ObjectResult": stack.enter_context(own.open(shared)),
            "ObjectWriter": writer,
            "TextWriter": text,
            "Watcher": stack.enter_context(own.watch()),
            "LocalServer": server,
        }


KINDS = (
    "Client", "ObjectStore", "Connection", "ObjectResult", "ObjectWriter", "TextWriter", "Watcher",
    "LocalServer",
)  # fmt: skip


@pytest.mark.parametrize("act", [pickle.dumps, copy.copy, copy.deepcopy], ids=lambda f: f.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_what_belongs_to_its_process(
    kind: str, act: Callable[[Any], object], things: dict[str, object]
) -> None:
    with pytest.raises(TypeError) as caught:
        act(things[kind])
    text = str(caught.value)
    assert kind in text.removeprefix("objstore's ")[:30] or kind == "Client"
    assert "process" in text
    assert "\n" not in text


def test_a_closed_writer_says_the_same(store: ObjectStore) -> None:
    file = store.open("x", "wb")
    file.close()
    with pytest.raises(TypeError, match="ObjectWriter cannot be pickled"):
        pickle.dumps(file)


def test_a_process_that_is_spawned(client: Client, store: ObjectStore) -> None:
    """It gets what it is given by pickling."""
    own = client.object_store(store.name)
    process = multiprocessing.get_context("spawn").Process(target=own.put, args=("x", b"1"))
    with pytest.raises(TypeError, match=r"objstore\.connect\(\.\.\.\)\.object_store\(name\)"):
        process.start()


def test_what_is_copied(store: ObjectStore, shared: str) -> None:
    """Records, statuses, reports, options: they are values."""
    info = store.info(shared)
    assert info is not None
    page = [
        info,
        ObjectMeta("x", headers={"k": ["v"]}, metadata={"m": "n"}),
        store.status(),
        store.verify(),
        store.collect_garbage(dry_run=True),
        objstore.Placement("cluster", ["tag"]),
        objstore.StreamSource("other"),
        objstore.FolderReport(("a",), 1),
    ]
    for value in page:
        for again in (
            pickle.loads(pickle.dumps(value)),
            copy.copy(value),
            copy.deepcopy(value),
        ):
            assert again == value
            assert type(again) is type(value)


def _classes() -> Iterator[type]:
    for found in pkgutil.walk_packages(objstore.__path__, "objstore."):
        if found.name.endswith("__main__") or ".contrib.django" in found.name:
            continue  # a program; what needs a project's settings, and has no finalizers
        try:
            module = importlib.import_module(found.name)
        except ImportError:  # what an extra brings
            continue
        for value in vars(module).values():
            if isinstance(value, type) and value.__module__ == module.__name__:
                yield value


def test_what_was_never_made_ends_in_silence() -> None:
    """Half of a thing: ``__init__`` failed, or never ran. Complaints would fail the test."""
    # Those that a closed file becomes are never made: an object's class is changed to them.
    made = (each for each in _classes() if not each.__name__.startswith("_Closed"))
    ending = [each for each in made if hasattr(each, "__del__")]
    assert {each.__name__ for each in ending} >= {"Connection", "Watcher", "ObjectResult"}
    for each in ending:
        make: Any = each.__new__
        thing = make(each)
        gone = weakref.ref(thing)
        del thing
        gc.collect()
        assert gone() is None


# --- threads


def run(count: int, work: Callable[[], None]) -> None:
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


@pytest.mark.parametrize("way", ["read", "read1", "readinto", "readline", "data", "lines"])
def test_threads_read_one_result(way: str, store: ObjectStore, shared: str) -> None:
    """Each piece is whole, no two threads get the same, and all is there."""
    pieces: list[bytes] = []
    with store.open(shared) as file:

        def work() -> None:
            buffer = bytearray(8)
            ways: dict[str, Callable[[], bytes]] = {
                "read": lambda: file.read(8),
                "read1": lambda: file.read1(8),
                "readinto": lambda: bytes(buffer[: file.readinto(buffer)]),
                "readline": file.readline,
                "data": lambda: next(file.data, b""),
                "lines": lambda: next(file, b""),
            }
            while piece := ways[way]():
                pieces.append(piece)

        run(4, work)
    assert sorted(pieces) == sorted(CONTENT[at : at + len(pieces[0])] for at in _starts(pieces))


def _starts(pieces: list[bytes]) -> range:
    return range(0, len(CONTENT), len(pieces[0]))


def test_threads_write_one_file(store: ObjectStore) -> None:
    with store.open("written", "wb", chunk_size=CHUNK) as file:

        def work() -> None:
            for _ in range(200):
                assert file.write(b"0123456789" * 3 + b"\n") == 31

        run(4, work)
    assert store.read_bytes("written") == (b"0123456789" * 3 + b"\n") * 800


def test_closed_while_another_thread_reads(
    store: ObjectStore, shared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The read ends with an error that says so; nothing is left of it."""
    waits, goes_on = threading.Event(), threading.Event()
    whole = Chunks.next

    def slow(self: Chunks, ahead: int) -> Any:
        waits.set()
        assert goes_on.wait(30)
        return whole(self, ahead)

    monkeypatch.setattr(Chunks, "next", slow)
    file = store.open(shared)
    errors: list[BaseException] = []

    def read() -> None:
        try:
            file.read(10)
        except ValueError as error:
            errors.append(error)

    reading = threading.Thread(target=read)
    reading.start()
    assert waits.wait(30)
    closing = threading.Thread(target=file.close)
    closing.start()
    eventually(lambda: file.closed)
    goes_on.set()
    reading.join()
    closing.join()
    assert "closed" in str(errors[0])
    assert file._ahead is None


@pytest.mark.interrupts
def test_a_handler_that_uses_what_it_interrupts(store: ObjectStore, shared: str) -> None:
    """As Python's own files: an error at once; and what is interrupted goes on."""
    errors: list[BaseException] = []

    with store.open(shared) as file, store.open("w", "wb", chunk_size=CHUNK) as out:

        def handler(*_: object) -> None:
            acts: list[Callable[[], object]] = [lambda: file.read(1), lambda: out.write(b"?")]
            for act in acts:
                try:
                    act()
                except RuntimeError as error:
                    errors.append(error)

        real = Chunks.next
        with pytest.MonkeyPatch.context() as patched:
            before = signal.signal(signal.SIGUSR1, handler)

            def next_(self: Chunks, ahead: int) -> Any:
                with out._lock:  # as if it wrote, too
                    signal.raise_signal(signal.SIGUSR1)
                return real(self, ahead)

            patched.setattr(Chunks, "next", next_)
            got = b"".join(iter(lambda: file.read(700), b""))
        signal.signal(signal.SIGUSR1, before)
    assert got == CONTENT
    assert errors
    assert all(isinstance(error, ReentrantCallError) for error in errors)
    assert store.read_bytes("w") == b""


@pytest.mark.interrupts
def test_a_handler_that_closes_what_it_interrupts(store: ObjectStore, shared: str) -> None:
    file = store.open(shared)
    real = Chunks.next
    with pytest.MonkeyPatch.context() as patched:

        def next_(self: Chunks, ahead: int) -> Any:
            file.close()
            return real(self, ahead)

        patched.setattr(Chunks, "next", next_)
        with pytest.raises(ValueError, match="closed"):
            file.read(10)
    assert file._ahead is None
    assert isinstance(file, io.BufferedIOBase)
