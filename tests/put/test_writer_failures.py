"""After a failure a writer never says that all is well, and nothing of it is stored."""

from __future__ import annotations

import contextlib
import csv
import gc
import gzip
import io
import pickle
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from objstore import (
    Client,
    InvalidPayloadError,
    ObjectExistsError,
    ObjectStore,
    ObjectTooLargeError,
    ObjStoreError,
    RevisionMismatchError,
)
from tests.support.streams import orphans, subjects

LIMIT = 25_000
MODES = ["wb", "xb", "w", "x"]


@pytest.fixture
def small(shared_client: Client) -> Iterator[ObjectStore]:
    """A bucket whose objects have at most 25,000 bytes; after the test nothing is in it."""
    store = shared_client.object_store("small", max_object_size=LIMIT)
    yield store
    assert subjects(shared_client, store) == {}
    shared_client.delete_store(store.name)


def data_for(mode: str, size: int) -> Any:
    return b"x" * size if mode.endswith("b") else "x" * size


def failed(store: ObjectStore, mode: str) -> Any:
    """A file one of whose writes has failed; the user did not care."""
    file = store.open("x", mode, chunk_size=1000)
    with pytest.raises(ObjectTooLargeError):
        file.write(data_for(mode, LIMIT + 20_000))
    return file


# --- a write that failed


@pytest.mark.parametrize("mode", MODES)
def test_every_later_call_says_so(mode: str, small: ObjectStore) -> None:
    """With an error of the same kind, which comes from the first one, however often."""
    file = failed(small, mode)
    line = data_for(mode, 1)
    for act in (
        lambda: file.write(line),
        lambda: file.write(line),
        lambda: file.writelines([line]),
        file.flush,
        file.close,
        file.close,
        lambda: file.write(line),
    ):
        with pytest.raises(ObjectTooLargeError, match=r"'x' is not stored.*limit") as caught:
            act()
        assert isinstance(caught.value.__cause__, ObjectTooLargeError)
        assert (caught.value.name, caught.value.limit) == ("x", LIMIT)
    assert file.closed
    assert file.info is None


@pytest.mark.parametrize("mode", MODES)
def test_the_block_says_so(mode: str, small: ObjectStore) -> None:
    """Where the error was swallowed in it."""
    file = small.open("x", mode, chunk_size=1000)
    with (
        pytest.raises(ObjectTooLargeError, match="is not stored"),
        file,
        contextlib.suppress(ObjStoreError),
    ):
        file.write(data_for(mode, LIMIT + 20_000))
    assert file.closed
    with pytest.raises(ObjectTooLargeError):
        file.close()


@pytest.mark.parametrize("mode", MODES)
def test_the_block_that_raises_lets_the_error_through(mode: str, small: ObjectStore) -> None:
    with pytest.raises(ObjectTooLargeError) as caught, small.open("x", mode) as file:
        file.write(data_for(mode, 200_000))
    assert caught.value.__cause__ is None
    assert file.closed


@pytest.mark.parametrize("mode", MODES)
def test_abort_ends_it_in_peace(mode: str, small: ObjectStore) -> None:
    """Who calls it wants nothing stored."""
    file = failed(small, mode)
    file.discard()
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.write(data_for(mode, 1))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("closes", [True, False])
def test_a_failed_file_that_is_forgotten(mode: str, closes: bool, small: ObjectStore) -> None:
    """It has said what is wrong, and warns of nothing."""
    file = failed(small, mode)
    if closes:
        with pytest.raises(ObjectTooLargeError):
            file.close()
    del file
    gc.collect()


@pytest.mark.parametrize("mode", ["w", "x"])
def test_text_that_is_sent_when_it_is_flushed(mode: str, small: ObjectStore) -> None:
    """Of what a flush could not send nothing is left to be sent by another."""
    file = small.open("x", mode, chunk_size=LIMIT + 1000)
    file.write("x" * LIMIT)
    file.flush()
    file.write("x" * 1000)  # gathered
    with pytest.raises(ObjectTooLargeError):
        file.flush()
    for act in (file.flush, lambda: file.write("y"), file.detach, file.close, file.close):
        with pytest.raises(ObjectTooLargeError):
            act()


def test_a_text_file_that_is_taken_apart(small: ObjectStore, store: ObjectStore) -> None:
    binary = failed(small, "w").buffer
    with pytest.raises(ObjectTooLargeError):
        binary.close()
    text = store.open("x", "w")
    text.write("a")
    binary = text.detach()
    binary.write(b"b")
    binary.close()
    assert store.read_bytes("x") == b"ab"


# --- a close that failed


@pytest.mark.parametrize("mode", MODES)
def test_the_last_chunk_is_refused(mode: str, small: ObjectStore) -> None:
    file = small.open("x", mode, chunk_size=30_000)
    file.write(data_for(mode, LIMIT + 1))
    with pytest.raises(ObjectTooLargeError) as caught:
        file.close()
    assert caught.value.__cause__ is None
    assert file.closed
    for _ in range(2):
        with pytest.raises(ObjectTooLargeError, match="is not stored"):
            file.close()
    file.discard()  # it is closed already, and not stored
    assert file.info is None


@pytest.mark.parametrize("mode", MODES)
def test_the_commit_is_refused(mode: str, store: ObjectStore, shared_client: Client) -> None:
    """Somebody else was faster."""
    options: dict[str, Any] = {} if mode.startswith("x") else {"if_revision": 0}
    error = ObjectExistsError if mode.startswith("x") else RevisionMismatchError
    file = store.open("x", mode, **options)
    file.write(data_for(mode, 10))
    store.put("x", b"theirs")
    for _ in range(3):
        with pytest.raises(error):
            file.close()
        assert file.closed
    assert store.read_bytes("x") == b"theirs"
    assert orphans(shared_client, store) == set()


# --- interrupted


class StopError(Exception):
    """Raised by a user's function."""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, StopError, MemoryError])
def test_a_write_that_was_interrupted(
    mode: str, kind: type[BaseException], small: ObjectStore
) -> None:
    """Ctrl-C, or the user's own progress: it is raised once, and then an error of ours."""

    def stop(done: int, _total: int | None) -> None:
        if done > 5000:
            raise kind

    file = small.open("x", mode, chunk_size=1000, progress=stop)
    with pytest.raises(kind):
        file.write(data_for(mode, 20_000))
    for act in (lambda: file.write(data_for(mode, 1)), file.close, file.close):
        with pytest.raises(ObjStoreError, match="'x' is not stored") as caught:
            act()
        assert isinstance(caught.value.__cause__, kind)


@pytest.mark.parametrize("where", ["write", "_take", "flush"])
@pytest.mark.parametrize("ends", ["flush", "write", "close"])
def test_text_on_its_way_is_interrupted(
    where: str, ends: str, small: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the first line of a function, too: what was gathered is lost, so nothing is stored."""
    file: Any = small.open("x", "w", chunk_size=1000)
    file.write("x" * 500)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(type(file.buffer), where, interrupt)
        act = {"flush": file.flush, "close": file.close, "write": lambda: file.write("x" * 20_000)}
        if (where, ends) == ("flush", "write"):
            file.write("x" * 20_000)  # it does not flush
            ends = "close"
        with pytest.raises(KeyboardInterrupt):
            act[ends]()
    for _ in range(2):
        with pytest.raises(ObjStoreError, match="is not stored"):
            file.close()


@pytest.mark.parametrize("mode", MODES)
def test_lines_that_end_in_an_error(mode: str, small: ObjectStore) -> None:
    """Some of them were taken, so the content is not what was given."""

    def lines() -> Iterator[Any]:
        yield data_for(mode, 100)
        raise StopError("no more")

    file = small.open("x", mode)
    with pytest.raises(StopError):
        file.writelines(lines())
    with pytest.raises(ObjStoreError, match="no more"):
        file.close()
    file = small.open("x", mode)
    with pytest.raises(TypeError):
        file.writelines([data_for(mode, 1), 5])
    with pytest.raises(ObjStoreError):
        file.close()


# --- no failure


def test_what_was_refused_before_it_was_taken_is_no_failure(store: ObjectStore) -> None:
    """As with all files: what is written instead is stored."""
    with store.open("b", "wb") as file:
        file.write(b"a")
        for wrong in ("text", None, 5, [b"b"]):
            with pytest.raises(InvalidPayloadError, match="bytes are written, not"):
                file.write(wrong)  # type: ignore[arg-type]
        file.write(b"b")
    assert store.read_bytes("b") == b"ab"
    with store.open("t", "w", encoding="ascii") as file:
        file.write("a")
        with pytest.raises(UnicodeEncodeError):
            file.write("ä")
        with pytest.raises(TypeError):
            file.write(b"b")  # type: ignore[arg-type]
        file.write("b")
    assert store.read_bytes("t") == b"ab"


def test_what_is_written_may_change_after(store: ObjectStore) -> None:
    buffer = bytearray(2500)
    with store.open("x", "wb", chunk_size=1000) as file:
        for number in range(4):
            buffer[:] = bytes([number]) * len(buffer)
            file.write(buffer)
        buffer += b"more"
    assert store.read_bytes("x") == b"".join(bytes([number]) * 2500 for number in range(4))


# --- what writes to files


def by_zip(file: Any) -> None:
    with zipfile.ZipFile(file, "w") as archive, contextlib.suppress(ObjStoreError):
        archive.writestr("a", bytes(100_000))


def by_gzip(file: Any) -> None:
    packed = gzip.GzipFile(fileobj=file, mode="wb", compresslevel=0)
    with packed, contextlib.suppress(ObjStoreError):
        packed.write(bytes(100_000))


def by_tar(file: Any) -> None:
    with tarfile.open(fileobj=file, mode="w|") as archive, contextlib.suppress(ObjStoreError):
        member = tarfile.TarInfo("a")
        member.size = 100_000
        archive.addfile(member, io.BytesIO(bytes(100_000)))


def by_pickle(file: Any) -> None:
    with contextlib.suppress(ObjStoreError):
        pickle.dump(bytes(100_000), file)


def by_copying(file: Any) -> None:
    with contextlib.suppress(ObjStoreError):
        shutil.copyfileobj(io.BytesIO(bytes(100_000)), file)


def by_csv(file: Any) -> None:
    text = io.TextIOWrapper(file, "utf-8", newline="")
    with text, contextlib.suppress(ObjStoreError):
        csv.writer(text).writerows([["x" * 100] * 10] * 100)


def by_a_buffer(file: Any) -> None:
    with io.BufferedWriter(file) as buffered, contextlib.suppress(ObjStoreError):
        buffered.write(bytes(100_000))


def by_print(file: Any) -> None:
    with io.TextIOWrapper(file, "utf-8") as text:
        for _ in range(1000):
            with contextlib.suppress(ObjStoreError):
                print("x" * 100, file=text)


@pytest.mark.parametrize(
    "write",
    [by_zip, by_gzip, by_tar, by_pickle, by_copying, by_csv, by_a_buffer, by_print],
)
def test_an_error_that_was_swallowed(write: Callable[[Any], None], small: ObjectStore) -> None:
    """Whoever ends it, the writer or what was around it, is told."""
    file = small.open("x", "wb", chunk_size=1000)
    with pytest.raises(ObjectTooLargeError), file:
        write(file)
    with pytest.raises(ObjectTooLargeError):
        file.close()
