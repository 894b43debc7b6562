"""Objects as files, parts of them, many at once; life times; and Ctrl-C at any moment."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import objstore
from objstore import (
    Client,
    InvalidNameError,
    InvalidOptionError,
    LocalServer,
    ObjectCorruptError,
    ObjectExistsError,
    ObjectNotFoundError,
    ObjectStore,
    ObjectTooLargeError,
    RequestTimeoutError,
    RevisionMismatchError,
    ServerVersionError,
)
from objstore.model.objects import meta_subject
from tests.support.contents import pattern
from tests.support.proxy import Proxy, calls, chunks_of, metadata_of, nth
from tests.support.streams import api, chunk_counts, delete_chunk, orphans, subjects
from tests.support.waiting import PATIENCE, eventually, make_impatient

ROOT = Path(__file__).parents[2]


CONTENT = pattern(5000)


# --- reading


def test_open_to_read(store: ObjectStore) -> None:
    store.put("x", CONTENT, chunk_size=1000)
    for arguments in ((), ("rb",)):
        with store.open("x", *arguments) as file:
            assert file.readable()
            assert file.read(1500) == CONTENT[:1500]
            assert file.read() == CONTENT[1500:]
    with pytest.raises(ObjectNotFoundError):
        store.open("never there")


@pytest.mark.parametrize("mode", ["a", "ab", "r+b", "r+", "br", "t", "", None, 1])
def test_other_modes(mode: Any, store: ObjectStore, shared_client: Client) -> None:
    store.put("x", b"1")
    before = subjects(shared_client, store)
    with pytest.raises(InvalidOptionError, match="mode"):
        store.open("x", mode)
    assert subjects(shared_client, store) == before


def test_text(store: ObjectStore) -> None:
    """As Python's own text files, with their options; UTF-8 wherever it runs."""
    lines = [f"{number}: naïve ☃\n" for number in range(500)]
    with store.open("x", "w", chunk_size=1000, mime="text/plain") as file:
        file.writelines(lines)
    info = store.info("x")
    assert info is not None
    assert file.info is not None
    assert (file.info.revision, info.mime) == (info.revision, "text/plain")
    assert store.read_bytes("x") == "".join(lines).encode()
    with store.open("x", "r") as text:
        assert list(text) == lines
        text.seek(0)
        assert text.read(9) == lines[0][:9]
    with store.open("y", "xt", encoding="latin-1", errors="replace", newline="\r\n") as file:
        file.write("é☃\n")
    assert store.read_bytes("y") == b"\xe9?\r\n"
    with store.open("y", "rt", encoding="latin-1", newline="") as text:
        assert text.readline() == "é?\r\n"
    with pytest.raises(ObjectExistsError):
        store.open("y", "x")


def test_nothing_remains_of_half_a_text(store: ObjectStore, shared_client: Client) -> None:

    def text() -> Iterator[str]:
        yield "x" * 100_000  # more than is gathered before it is encoded
        raise BrokenError

    with pytest.raises(BrokenError), store.open("x", "w", chunk_size=1000) as file:
        file.writelines(text())
    assert file.closed
    with pytest.warns(ResourceWarning, match="never closed"):
        store.open("x", "w", chunk_size=1000).write("x" * 100_000)
    aborted = store.open("x", "w", chunk_size=1000)
    aborted.write("x" * 100_000)
    aborted.discard()
    assert subjects(shared_client, store) == {}


@pytest.mark.parametrize(
    "options",
    [{"encoding": "klingon"}, {"errors": "klingon"}, {"newline": "\t"}, {"newline": 1}],
    ids=repr,
)
def test_impossible_text(
    options: dict[str, Any], store: ObjectStore, shared_client: Client
) -> None:
    store.put("x", b"1")
    before = subjects(shared_client, store)
    for mode in ("r", "w", "x", "rb", "wb"):
        with pytest.raises(InvalidOptionError):
            store.open("x", mode, **options)
    assert subjects(shared_client, store) == before


def test_options_that_do_not_fit(store: ObjectStore, shared_client: Client) -> None:
    for mode, options in (
        ("rb", {"mime": "a/b"}),
        ("wb", {"unknown": 1}),
        ("wb", {"chunk_size": 0}),
        ("wb", {"if_revision": -1}),
        ("xb", {"ttl": 0.5}),
        ("wb", {"headers": {"a": "\n"}}),
    ):
        with pytest.raises(InvalidOptionError):
            store.open("x", mode, **options)
    for mode in ("rb", "wb", "xb"):
        with pytest.raises(InvalidNameError):
            store.open("", mode)
    assert subjects(shared_client, store) == {}


SLICES = [
    (0, 5000),
    (0, 1),
    (999, 1001),
    (1000, 2000),
    (4999, 5000),
    (-10, 5000),
    (-10, -5),
    (10, -10),
    (-6000, 3),
    (0, 9999),
    (4000, 1 << 70),
    (5000, 6000),
    (9999, 10_000),
    (20, 10),
    (7, 7),
    (-1, -2),
]


@pytest.mark.parametrize(("start", "end"), SLICES)
def test_read_range_is_a_slice(start: int, end: int, store: ObjectStore) -> None:
    store.put("x", CONTENT, chunk_size=1000)
    store.put("empty")
    assert store.read_range("x", start, end) == CONTENT[start:end]
    assert store.read_range("empty", start, end) == b""


def test_read_range_of_what_is_not_there(store: ObjectStore, shared_client: Client) -> None:
    with pytest.raises(ObjectNotFoundError):
        store.read_range("never there", 0, 1)
    info = store.put("x", CONTENT, chunk_size=1000)
    delete_chunk(shared_client, store, info.nuid, 2)
    with pytest.raises(ObjectCorruptError):
        store.read_range("x", 1900, 2100)


# --- writing


def test_open_to_write(store: ObjectStore, shared_client: Client) -> None:
    store.put("x", b"old")
    with store.open("x", "wb", mime="a/b", metadata={"k": "v"}, chunk_size=1000) as file:
        assert (file.name, file.tell(), file.info) == ("x", 0, None)
        assert file.writable()
        assert not file.readable()
        assert not file.seekable()
        assert file.write(CONTENT[:1]) == 1
        assert file.write(b"") == 0
        assert file.write(memoryview(CONTENT)[1:2500]) == 2499
        assert file.write(bytearray(CONTENT[2500:])) == 2500
        assert file.tell() == 5000
        file.flush()
        assert store.read_bytes("x") == b"old"
    assert file.closed
    assert file.info is not None
    assert (file.info.size, file.info.chunks, file.info.mime) == (5000, 5, "a/b")
    assert store.info("x") == file.info.with_changes(mtime=store.info("x").mtime)  # type: ignore[union-attr]
    assert store.read_bytes("x") == CONTENT
    assert chunk_counts(shared_client, store) == {file.info.nuid: 5}


def test_whatever_writes_to_files(store: ObjectStore) -> None:
    """An archive, lines, wrapped text."""
    with store.open("zip", "wb") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a", CONTENT)
    with zipfile.ZipFile(io.BytesIO(store.read_bytes("zip"))) as archive:
        assert archive.read("a") == CONTENT
    with store.open("lines", "wb") as file:
        file.writelines([b"a\n", b"b\n"])
    assert store.read_text("lines") == "a\nb\n"
    with io.TextIOWrapper(store.open("text", "wb"), "utf-8", newline="\n") as text:
        text.write("naïve\n☃")
    assert store.read_text("text") == "naïve\n☃"


def test_nothing_written_is_an_empty_object(store: ObjectStore) -> None:
    with store.open("x", "wb"):
        pass
    assert store.read_bytes("x") == b""


def test_chunks_go_out_while_it_is_written(
    proxy: Proxy, far_store: ObjectStore, store: ObjectStore, shared_client: Client
) -> None:
    third = proxy.up.call(nth(3, chunks_of(store.name)), lambda: None)
    with far_store.open("x", "wb", chunk_size=1000) as file:
        file.write(CONTENT[:2999])
        assert not third.happened.is_set()
        file.write(CONTENT[2999:])
        third.wait()
        assert "x" not in store
    assert store.read_bytes("x") == CONTENT


class BrokenError(Exception):
    """Raised in a with-block."""


@pytest.mark.parametrize("error", [BrokenError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_nothing_remains_of_a_block_that_raises(
    error: type[BaseException], store: ObjectStore, shared_client: Client
) -> None:
    old = store.put("x", b"old")

    def lines() -> Iterator[bytes]:
        yield CONTENT
        raise error

    with pytest.raises(error), store.open("x", "wb", chunk_size=1000) as file:
        file.writelines(lines())
    assert file.closed
    assert store.read_bytes("x") == b"old"
    assert chunk_counts(shared_client, store) == {old.nuid: 1}


def test_nothing_remains_after_abort(store: ObjectStore, shared_client: Client) -> None:
    file = store.open("x", "wb", chunk_size=1000)
    file.write(CONTENT)
    file.discard()
    file.discard()
    file.close()
    assert file.closed
    assert file.info is None
    assert subjects(shared_client, store) == {}
    with store.open("x", "wb") as file:
        file.write(b"1")
    file.discard()  # too late: it is stored
    assert store.read_bytes("x") == b"1"


def test_nothing_remains_of_a_file_that_is_forgotten(
    store: ObjectStore, shared_client: Client
) -> None:
    """And a warning says that it is not stored."""
    file = store.open("x", "wb", chunk_size=1000)
    file.write(CONTENT)
    with pytest.warns(ResourceWarning, match="'x' was opened for writing and never closed"):
        del file
    assert subjects(shared_client, store) == {}


@pytest.mark.parametrize("mode", ["wb", "w", "rb", "r"])
@pytest.mark.parametrize("ends", ["close", "abort", "with"])
def test_the_end_of_a_closed_file_runs_no_code(store: ObjectStore, mode: str, ends: str) -> None:
    """For a Ctrl-C in a finalizer would be lost: its KeyboardInterrupt goes nowhere."""
    store.put("x", b"1")
    file: Any = store.open("x", mode)
    if ends == "with" or not hasattr(file, ends):
        with file:
            pass
    else:
        getattr(file, ends)()
    ran: list[str] = []
    sys.setprofile(lambda frame, event, _: ran.append(f"{event} {frame.f_code.co_name}"))
    try:
        del file
    finally:
        sys.setprofile(None)
    assert [call for call in ran if call.startswith("call")] == []


def test_a_closed_file(store: ObjectStore) -> None:
    with store.open("x", "wb") as file:
        file.write(b"1")
    file.close()
    acts: list[Callable[[], object]] = [lambda: file.write(b"2"), file.tell, file.flush]
    for act in acts:
        with pytest.raises(ValueError, match="closed"):
            act()
    with store.open("x") as reader:
        pass
    reader.close()
    acts = [reader.read, reader.readline, reader.read1, reader.tell, reader.__next__]
    for act in acts:
        with pytest.raises(ValueError, match="closed"):
            act()
    assert store.read_bytes("x") == b"1"


@pytest.mark.parametrize("data", ["text", None, 1, [b"1"]], ids=repr)
def test_what_is_no_bytes_cannot_be_written(
    data: Any, store: ObjectStore, shared_client: Client
) -> None:
    with pytest.raises(TypeError), store.open("x", "wb") as file:
        file.write(data)
    assert subjects(shared_client, store) == {}


def test_a_file_that_grows_too_large(shared_client: Client) -> None:
    store = shared_client.object_store("grows", max_object_size=2500)
    file = store.open("x", "wb", chunk_size=1000)
    file.write(CONTENT[:2000])
    with pytest.raises(ObjectTooLargeError) as caught:
        file.write(CONTENT[2000:])
    assert (caught.value.bucket, caught.value.name, caught.value.limit) == ("grows", "x", 2500)
    assert not bool(file.closed)
    with pytest.raises(ObjectTooLargeError):
        file.close()
    assert bool(file.closed)
    assert subjects(shared_client, store) == {}
    shared_client.delete_store("grows")


def test_exclusive(store: ObjectStore, shared_client: Client) -> None:
    with store.open("x", "xb") as file:
        file.write(b"1")
    with pytest.raises(ObjectExistsError) as caught:
        store.open("x", "xb")
    assert isinstance(caught.value, FileExistsError)
    assert (caught.value.bucket, caught.value.name) == (store.name, "x")
    store.delete("x")
    with store.open("x", "xb") as file:
        file.write(b"2")
    assert store.read_bytes("x") == b"2"
    store.link("l", (store.name, "x"))
    with pytest.raises(ObjectExistsError):
        store.open("l", "xb")
    assert orphans(shared_client, store) == set()


def test_of_racing_exclusive_files_one_is_stored(store: ObjectStore, shared_client: Client) -> None:
    """Decided when they are closed."""
    files = [store.open("x", "xb", chunk_size=1000) for _ in range(4)]
    refused: list[int] = []
    barrier = threading.Barrier(len(files))

    def close(number: int) -> None:
        barrier.wait(20)
        try:
            files[number].close()
        except ObjectExistsError:
            refused.append(number)

    for number, file in enumerate(files):
        file.write(bytes([number]) * 3000)
    threads = [threading.Thread(target=close, args=(number,)) for number in range(len(files))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = set(range(len(files))) - set(refused)
    assert store.read_bytes("x") == bytes([winner]) * 3000
    assert len(refused) == 3
    assert orphans(shared_client, store) == set()


def test_if_revision_of_a_file(store: ObjectStore, shared_client: Client) -> None:
    first = store.put("x", b"1")
    with store.open("x", "wb", if_revision=first.revision) as file:
        file.write(b"2")
    with pytest.raises(RevisionMismatchError):
        store.open("x", "wb", if_revision=first.revision)
    assert file.info is not None
    file = store.open("x", "wb", if_revision=file.info.revision)
    file.write(b"3")
    store.put("x", b"theirs")
    with pytest.raises(RevisionMismatchError):
        file.close()
    assert file.closed
    assert store.read_bytes("x") == b"theirs"
    assert orphans(shared_client, store) == set()


# --- many


@pytest.fixture(params=["direct gets", "no direct gets"])
def any_store(request: pytest.FixtureRequest, store: ObjectStore, client: Client) -> ObjectStore:
    """A bucket that several objects of can be asked for at once, or none but by the leader."""
    if request.param == "no direct gets":
        subject = f"STREAM.UPDATE.OBJ_{store.name}"
        config = api(client.connection, f"STREAM.INFO.OBJ_{store.name}")["config"]
        answer = api(client.connection, subject, {**config, "allow_direct": False})
        assert "error" not in answer
    return client.object_store(store.name, create=False)


def test_get_many(any_store: ObjectStore) -> None:
    """In the order asked for, twice if asked twice; None for what is not there."""
    store = any_store
    for i in range(200):
        store.put(f"o{i}", b"%d" % i)
    store.put("empty")
    store.put("large", pattern(300_000))
    store.link("link", (store.name, "o7"))
    store.link("dangling", (store.name, "o8"))
    store.delete("o8")
    names = ["large", *[f"o{i}" for i in reversed(range(200))], "never there", "empty", "large"]
    names += ["link", "dangling", "o7", "o7"]
    expected = {f"o{i}": b"%d" % i for i in range(200) if i != 8}
    expected |= {"empty": b"", "large": pattern(300_000), "link": b"7"}
    assert list(store.get_many(names)) == [(name, expected.get(name)) for name in names]
    assert list(store.get_many(iter(names[:3]))) == [(n, expected.get(n)) for n in names[:3]]
    assert list(store.get_many([])) == []


def test_a_thousand_names_take_their_turns(store: ObjectStore) -> None:
    """Names are taken as results are, not all at once."""
    store.put("x", b"1")
    taken = 0

    def names() -> Iterator[str]:
        nonlocal taken
        for i in range(1000):
            taken += 1
            yield "x" if i % 2 else "never there"

    results = store.get_many(names())
    for i, result in enumerate(results):
        assert result == (("x", b"1") if i % 2 else ("never there", None))
        assert taken <= i + 200
    assert taken == 1000


def test_a_damaged_object_among_many(store: ObjectStore, shared_client: Client) -> None:
    for i in range(10):
        info = store.put(f"o{i}", b"%d" % i)
        if i == 5:
            delete_chunk(shared_client, store, info.nuid, 0)
    got: list[str] = []
    with pytest.raises(ObjectCorruptError, match="'o5'"):
        got.extend(name for name, _ in store.get_many(f"o{i}" for i in range(10)))
    assert got == [f"o{i}" for i in range(5)]


def test_errors_among_many_come_in_their_turn(
    any_store: ObjectStore, shared_client: Client
) -> None:
    """A malformed record, and what is no name: all before it has been given."""
    any_store.put("x", b"1")
    shared_client.connection.request(meta_subject(any_store.name, "bad"), payload=b"{")
    for wrong, error in (("bad", ObjectCorruptError), ("", InvalidNameError)):
        got: list[str] = []
        with pytest.raises(error):
            got.extend(name for name, _ in any_store.get_many(["x", "absent", wrong, "x"]))
        assert got[:2] == ["x", "absent"][: len(got)]


def test_many_of_the_largest_that_go_together(store: ObjectStore) -> None:
    """Two windows of them, all of them one chunk of 128 KiB."""
    data = {f"o{i}": pattern(128 << 10)[i:] + bytes(i) for i in range(70)}
    store.put_many(data.items())
    assert dict(store.get_many(data)) == data


def test_records_too_large_for_one_answer(store: ObjectStore) -> None:
    """The server cuts its answer short; what is missing is asked for alone."""
    note = {"note": "x" * 600_000}
    for i in range(20):
        store.put(f"o{i}", b"%d" % i, metadata=note)
    names = [f"o{i}" for i in range(20)]
    assert dict(store.get_many([*names, "absent"])) == {
        **{name: name[1:].encode() for name in names},
        "absent": None,
    }


def test_an_answer_for_many_is_lost(
    proxy: Proxy, far_store: ObjectStore, store: ObjectStore
) -> None:
    """It is waited for, and then each is read alone."""
    store.put_many((f"o{i}", b"%d" % i) for i in range(5))
    lost = proxy.up.drop(calls("DIRECT.GET"))
    assert dict(far_store.get_many(f"o{i}" for i in range(5))) == {
        f"o{i}": b"%d" % i for i in range(5)
    }
    lost.wait()


def test_names_that_end_in_an_error(far_store: ObjectStore, store: ObjectStore) -> None:
    """Nobody waits for the answers to what was asked before."""
    store.put("x", b"1")

    def names() -> Iterator[str]:
        yield from ["x"] * 40
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        list(far_store.get_many(names()))
    assert far_store._handle.jetstream.connection.inbox._handlers == {}


@pytest.mark.parametrize("names", ["name", b"name"])
def test_one_name_is_not_many(names: Any, store: ObjectStore) -> None:
    with pytest.raises(InvalidOptionError, match="iterable of names"):
        store.get_many(names)


def test_what_is_no_name_among_many(store: ObjectStore) -> None:
    """It is an error, never an early end."""
    store.put("x", b"1")
    for bad in (None, "", 1):
        with pytest.raises(InvalidNameError):
            list(store.get_many(["x", bad, "x"]))  # type: ignore[list-item]


def test_get_many_given_up_early(far_store: ObjectStore, store: ObjectStore) -> None:
    """Nobody waits any more for the answers to come."""
    for i in range(200):
        store.put(f"o{i}", b"1")
    inbox = far_store._handle.jetstream.connection.inbox
    results = far_store.get_many(f"o{i}" for i in range(200))
    assert next(results) == ("o0", b"1")
    assert inbox._handlers
    results.close()  # type: ignore[attr-defined]
    assert inbox._handlers == {}
    with pytest.raises(ZeroDivisionError):
        for _ in far_store.get_many(1 / 0 for _ in range(3)):  # type: ignore[misc]
            pass
    assert inbox._handlers == {}


def test_get_many_across_a_lost_connection(
    proxy: Proxy, far_store: ObjectStore, store: ObjectStore
) -> None:
    """What was under way is asked for again."""
    names = [f"o{i}" for i in range(300)]
    for name in names:
        store.put(name, name.encode())
    cut = proxy.down.cut(nth(150, proxy.answers(calls("DIRECT.GET"))))
    assert list(far_store.get_many(names)) == [(name, name.encode()) for name in names]
    assert cut.happened.is_set()


# --- life times


@pytest.mark.needs_server("2.11")
def test_an_object_expires(store: ObjectStore, shared_client: Client) -> None:
    """Its chunks go some seconds later, for they were stored before; others stay."""
    store.put("y", CONTENT, ttl=3600, chunk_size=1000)
    assert store.read_bytes("y") == CONTENT
    info = store.put("x", CONTENT, ttl=1, chunk_size=1000)
    assert info.ttl == timedelta(seconds=1)
    eventually(lambda: "x" not in store)
    assert store.get("x") is None
    assert [each.name for each in store] == ["y"]
    assert {*store.collect_garbage(min_age=0).nuids} <= {info.nuid}
    assert orphans(shared_client, store) == set()
    assert store.put("x", b"again").ttl is None
    assert store.read_bytes("x") == b"again"


@pytest.mark.needs_server("2.11")
def test_the_life_time_is_told_and_kept(store: ObjectStore, shared_client: Client) -> None:
    """An update leaves what is left; a put without it ends it; chunks outlive their record."""
    store.put("x", b"1", ttl=timedelta(hours=1))
    info = store.info("x")
    assert info is not None
    assert info.ttl == timedelta(hours=1)
    headers = [
        _ttl_header(shared_client, store, subject) for subject in subjects(shared_client, store)
    ]
    assert min(headers) == 3600
    assert max(headers) > 3600
    updated = store.update("x", description="d")
    assert updated.ttl is not None
    assert timedelta(minutes=59) < updated.ttl <= timedelta(hours=1)
    renamed = store.update("x", new_name="y")
    assert renamed.ttl is not None
    assert timedelta(minutes=59) < renamed.ttl <= timedelta(hours=1)
    with store.open("z", "wb", ttl=7200) as file:
        file.write(b"1")
    assert file.info is not None
    assert file.info.ttl == timedelta(hours=2)
    assert store.put("y", b"2").ttl is None


def _ttl_header(client: Client, store: ObjectStore, subject: str) -> int:
    request = {"last_by_subj": subject}
    message = api(client.connection, f"STREAM.MSG.GET.OBJ_{store.name}", request)["message"]
    text = base64.b64decode(message["hdrs"]).decode()
    return int(text.partition("Nats-TTL: ")[2].partition("s")[0])


@pytest.mark.needs_server("2.11")
def test_an_update_does_not_prolong_a_life(store: ObjectStore) -> None:
    """What is left after the update is less than what was given."""
    store.put("x", b"1", ttl=3600)
    first = store.info("x")
    assert first is not None
    assert first.mtime is not None
    later = first.mtime + timedelta(seconds=2)
    eventually(lambda: time.time() > later.timestamp())
    store.update("x", description="d")
    info = store.info("x")
    assert info is not None
    assert info.ttl is not None
    assert info.ttl < timedelta(seconds=3600 - 1)  # the server counts in whole seconds
    assert info.ttl > timedelta(seconds=3600) / 2


@pytest.mark.parametrize("ttl", [0, 0.5, -1, "1h", True, float("nan"), float("inf"), [1]], ids=repr)
def test_impossible_life_times(ttl: Any, store: ObjectStore, shared_client: Client) -> None:
    with pytest.raises(InvalidOptionError, match="ttl"):
        store.put("x", b"1", ttl=ttl)
    assert subjects(shared_client, store) == {}


@pytest.mark.parametrize("act", ["put", "open"])
def test_a_bucket_that_knows_no_life_times(act: str, shared_client: Client) -> None:
    """One that was made by another client: it learns them, where its server knows them."""
    config = {
        "name": "OBJ_lifeless",
        "subjects": ["$O.lifeless.C.>", "$O.lifeless.M.>"],
        "discard": "new",
        "allow_rollup_hdrs": True,
    }
    assert "error" not in api(shared_client.connection, "STREAM.CREATE.OBJ_lifeless", config)
    store = shared_client.object_store("lifeless")
    try:
        store.put("x", b"1")  # without direct gets, too
        assert store.read_bytes("x") == b"1"
        assert dict(store.get_many(["x", "y"])) == {"x": b"1", "y": None}
        if shared_client._jetstream.supports("message TTL"):
            _store_for_a_while(store, act)
            info = store.info("y")
            assert info is not None
            assert info.ttl == timedelta(seconds=10)
        else:
            with pytest.raises(ServerVersionError) as caught:
                _store_for_a_while(store, act)
            assert (caught.value.bucket, caught.value.needed) == ("lifeless", "2.11.0")
            assert "y" not in store
    finally:
        shared_client.delete_store("lifeless")


def _store_for_a_while(store: ObjectStore, act: str) -> None:
    if act == "put":
        store.put("y", b"1", ttl=10)
    else:
        with store.open("y", "wb", ttl=10) as file:
            file.write(b"1")


# --- what fails in the commit


def test_a_file_whose_commit_gets_no_answer(
    proxy: Proxy, server: LocalServer, store: ObjectStore, shared_client: Client
) -> None:
    """The error says so; the object is old or new, and whole."""
    old = store.put("x", b"old")
    with objstore.connect(proxy.url, reconnect_timeout=0) as client:
        far_store = client.object_store(store.name, create=False)
        make_impatient(client, 0.5)
        file = far_store.open("x", "wb")
        file.write(b"new")
        proxy.down.drop(proxy.answers(metadata_of(store.name)), times=100)
        with pytest.raises(RequestTimeoutError):
            file.close()
        assert file.closed
    assert store.read_bytes("x") == b"new"
    assert "x" in store
    # Nothing is removed on a guess: the garbage collection knows.
    assert store.collect_garbage(min_age=0).nuids == (old.nuid,)


# --- Ctrl-C


@pytest.mark.parametrize("seed", [1, 2])
def test_puts_interrupted_at_random_moments(
    seed: int, server: LocalServer, store: ObjectStore, shared_client: Client
) -> None:
    """Until 30 are hit: the old content or the new one, and not one chunk too many."""
    program = [sys.executable, "-W", "error", "-m", "tests.support.interrupted"]
    done = subprocess.run(
        [*program, server.url, store.name, "30", str(seed)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout)
    assert outcomes["interrupted"] >= 30
    assert outcomes["old"] > 0
    assert outcomes["new"] > 0
    assert orphans(shared_client, store) == set()
