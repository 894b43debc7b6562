"""The main job: bytes go into a bucket and come back, whatever they come from."""

from __future__ import annotations

import array
import contextlib
import hashlib
import io
import os
import socket
import threading
from base64 import urlsafe_b64encode
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from requests_toolbelt import MultipartEncoder, MultipartEncoderMonitor
from tqdm.auto import tqdm

from objstore import (
    Client,
    ConnectionLostError,
    DigestMismatchError,
    InvalidOptionError,
    ObjectChangedError,
    ObjectCorruptError,
    ObjectExistsError,
    ObjectMeta,
    ObjectMetaOptions,
    ObjectNotFoundError,
    ObjectStore,
    RevisionMismatchError,
)
from objstore.model.objects import chunk_subject, meta_subject
from objstore.model.record_json import encode_info
from tests.support.proxy import Proxy, calls, chunks_of
from tests.support.streams import api, chunk_counts, consumer_count, orphans, subjects
from tests.support.waiting import eventually

_BLOCK = b"".join(i.to_bytes(4, "big") for i in range(65_536))


def pattern(size: int) -> bytes:
    """Bytes whose every stretch is different, so that a swap of chunks shows."""
    return (_BLOCK * (size // len(_BLOCK) + 1))[:size]


def digest(data: bytes) -> str:
    return "SHA-256=" + urlsafe_b64encode(hashlib.sha256(data).digest()).decode()


class ShortReads(io.RawIOBase):
    """A pipe-like file: one to seven bytes a read, and no idea of its length."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)
        self._turn = 0

    def read(self, size: int = -1, /) -> bytes:
        self._turn = self._turn % 7 + 1
        return self._data.read(min(size, self._turn) if size >= 0 else self._turn)


class OnlyRead:
    """All that a payload needs."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, size: int) -> bytes:
        return self._data.read(size)


CONTENT = pattern(300_017)

PAYLOADS: dict[str, Any] = {
    "bytes": lambda _path: CONTENT,
    "bytearray": lambda _path: bytearray(CONTENT),
    "memoryview": lambda _path: memoryview(CONTENT),
    "array": lambda _path: array.array("B", CONTENT),
    "memoryview with gaps": lambda _path: memoryview(bytes(b for c in CONTENT for b in (c, 0)))[
        ::2
    ],
    "BytesIO": lambda _path: io.BytesIO(CONTENT),
    "short reads": lambda _path: ShortReads(CONTENT),
    "read alone": lambda _path: OnlyRead(CONTENT),
    "generator": lambda _path: (CONTENT[i : i + 999] for i in range(0, len(CONTENT), 999)),
    "list with an empty item": lambda _path: [CONTENT[:1], b"", memoryview(CONTENT)[1:]],
    "path": lambda path: path,
    "unbuffered file": lambda path: path.open("rb", buffering=0),
}


@pytest.mark.parametrize("kind", PAYLOADS)
def test_every_kind_of_payload(
    kind: str, store: ObjectStore, shared_client: Client, tmp_path: Path
) -> None:
    """Stored in exact chunks, byte for byte, and read back."""
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    payload = PAYLOADS[kind](path)
    info = store.put("x", payload, chunk_size=1000)
    assert (info.size, info.chunks, info.digest) == (len(CONTENT), 301, digest(CONTENT))
    assert store.read_bytes("x") == CONTENT
    assert chunk_counts(shared_client, store) == {info.nuid: 301}
    if hasattr(payload, "close"):
        payload.close()


def test_a_socket_as_payload(store: ObjectStore) -> None:
    """What comes over a network, in whatever pieces."""
    here, there = socket.socketpair()
    with here, there, here.makefile("rb") as incoming:

        def send() -> None:
            there.sendall(CONTENT)
            there.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        store.put("x", incoming)
        sender.join()
    assert store.read_bytes("x") == CONTENT


def test_an_encoder_of_requests_toolbelt_as_payload(store: ObjectStore) -> None:
    """The other way round from uploading an ObjectResult: its ``len`` gives the size."""
    encoder = MultipartEncoder({"field": ("name.bin", io.BytesIO(CONTENT), "text/plain")})
    sizes: list[int | None] = []
    info = store.put("x", encoder, progress=lambda _done, total: sizes.append(total))
    assert sizes[0] == info.size
    assert CONTENT in store.read_bytes("x")


def test_a_result_is_streamed_by_requests_toolbelt(store: ObjectStore) -> None:
    """MultipartEncoder asks for ``len`` and ``read``, however far it was read before."""
    store.put("x", CONTENT)
    for read_before in (0, 1000):
        with store.open("x") as result:
            result.read(read_before)
            encoder = MultipartEncoder({"field": ("x", result, "application/octet-stream")})
            body = b"".join(iter(lambda: encoder.read(10_000), b""))  # noqa: B023 - called here
            assert len(body) == encoder.len
            assert CONTENT[read_before:] + b"\r\n--" in body


def test_a_result_in_a_form_as_payload(store: ObjectStore) -> None:
    """Also where somebody watches how far it is."""
    store.put("x", CONTENT)
    for watched in (False, True):
        with store.open("x") as result:
            encoder = MultipartEncoder({"field": ("x", result, "text/plain")})
            store.put("form", MultipartEncoderMonitor(encoder) if watched else encoder)
        assert CONTENT in store.read_bytes("form")


@pytest.mark.parametrize(
    "payload", [None, b"", [], pytest.param(io.BytesIO(), id="file")], ids=repr
)
def test_empty_objects(payload: Any, store: ObjectStore, shared_client: Client) -> None:
    info = store.put("empty", payload)
    assert (info.size, info.chunks) == (0, 0)
    assert store.read_bytes("empty") == b""
    assert chunk_counts(shared_client, store) == {}
    result = store.get("empty")
    assert result is not None
    with result:
        assert result.read() == b""
        assert list(result.data) == []


@pytest.mark.parametrize("size", [1, 999, 1000, 1001, 2000, 64_000, 131_072, 131_073])
def test_sizes_around_the_edges_of_chunks(size: int, store: ObjectStore) -> None:
    data = pattern(size)
    for chunk_size in (1000, 131_072):
        info = store.put("x", data, chunk_size=chunk_size)
        assert info.chunks == -(-size // chunk_size)
        assert store.read_bytes("x") == data


@pytest.mark.parametrize(
    "name",
    ["a", "with space", "dir/sub.txt", "naïve ☃ 名前", "*", ">", ".", "a\nb\x00", "x" * 2900, "$O"],
)
def test_any_name(name: str, store: ObjectStore) -> None:
    store.put(name, b"content")
    assert store.read_bytes(name) == b"content"
    assert [info.name for info in store] == [name]
    assert name in store
    assert store.delete(name)
    assert name not in store


def test_what_was_described_comes_back(store: ObjectStore) -> None:
    before = datetime.now(timezone.utc) - timedelta(seconds=5)
    store.put(
        "x",
        b"12345",
        description="a description ☃",
        mime="text/plain; charset=utf-8",
        headers={"X-One": "one", "x-two": ["a", "b"]},
        metadata={"k": "v", "": "empty key"},
    )
    info = store.info("x")
    assert info is not None
    assert info.description == "a description ☃"
    assert info.mime == "text/plain; charset=utf-8"
    assert info.headers["content-type"] == "text/plain; charset=utf-8"
    assert info.headers.getlist("X-Two") == ["a", "b"]
    assert info.metadata == {"k": "v", "": "empty key"}
    assert info.bucket == store.name
    assert info.mtime is not None
    assert before < info.mtime < datetime.now(timezone.utc) + timedelta(seconds=5)
    assert info.mtime.tzinfo is not None
    assert not info.deleted
    assert info.link is None


def test_an_object_meta_and_arguments_that_override_it(store: ObjectStore) -> None:
    meta = ObjectMeta(
        "x", "said", mime="a/b", metadata={"k": "1"}, options=ObjectMetaOptions(chunk_size=2)
    )
    info = store.put(meta, b"12345", description="overridden")
    assert (info.description, info.mime, info.metadata) == ("overridden", "a/b", {"k": "1"})
    assert info.chunks == 3
    assert info.options.chunk_size == 2


def test_info_of_put_is_what_info_says(store: ObjectStore) -> None:
    stored = store.put("x", CONTENT, mime="a/b")
    read = store.info("x")
    assert read is not None
    assert read.mtime is not None
    assert read == stored
    assert hash(read) == hash(stored)


def test_overwriting_replaces_and_leaves_nothing(store: ObjectStore, shared_client: Client) -> None:
    first = store.put("x", pattern(300_000), chunk_size=1000)
    second = store.put("x", b"short")
    assert second.revision > first.revision
    assert store.read_bytes("x") == b"short"
    assert chunk_counts(shared_client, store) == {second.nuid: 1}
    assert sum(".M." in subject for subject in subjects(shared_client, store)) == 1


def test_delete(store: ObjectStore, shared_client: Client) -> None:
    stored = store.put("x", CONTENT, mime="a/b")
    assert store.delete("x") is True
    assert store.delete("x") is False
    assert store.delete("never there") is False
    assert store.info("x") is None
    assert store.get("x") is None
    assert list(store) == []
    assert chunk_counts(shared_client, store) == {}
    with pytest.raises(ObjectNotFoundError, match="'x'"):
        store.read_bytes("x")
    tombstone = store.info("x", include_deleted=True)
    assert tombstone is not None
    assert tombstone.deleted
    assert (tombstone.size, tombstone.chunks, tombstone.digest) == (0, 0, "")
    assert tombstone.revision > stored.revision
    assert [info.deleted for info in store.list(include_deleted=True)] == [True]
    store.put("x", b"again")
    assert store.read_bytes("x") == b"again"


def test_list(store: ObjectStore) -> None:
    assert list(store.list()) == []
    names = [f"dir/{i:04}" for i in range(1500)] + ["other"]
    store.put_many((name, b"x") for name in names)
    assert [info.name for info in store.list()] == names
    assert [info.name for info in store.list(prefix="dir/149")] == names[1490:1500]
    store.put("dir/0000", b"again")
    assert [info.name for info in store][-1] == "dir/0000"
    status = store.status()
    assert (status.size, status.total_size) == (1501, 1500 + 5)


def test_reading_as_a_file(store: ObjectStore) -> None:
    store.put("x", b"first line\nsecond\n\nlast", chunk_size=4)
    result = store.get("x")
    assert result is not None
    with result as file:
        assert file.readable()
        assert not file.writable()
        assert (file.name, file.len, file.tell()) == ("x", 23, 0)
        assert file.readline() == b"first line\n"
        assert file.readline(3) == b"sec"
        assert (file.tell(), file.len) == (14, 9)
        assert file.read1() == b"on"  # what is left of the chunk
        assert file.read1(1) == b"d"
        buffer = bytearray(3)
        assert file.readinto(buffer) == 3
        assert buffer == b"\n\nl"
        assert file.read(2) == b"as"
        assert file.read(100) == b"t"
        assert file.read() == b""
        assert file.read1() == b""
        assert file.readline() == b""
        assert file.readinto(buffer) == 0
        assert file.len == 0
    assert file.closed
    with pytest.raises(ValueError, match="closed"):
        file.read()
    file.close()


def test_lines_and_chunks(store: ObjectStore) -> None:
    store.put("x", b"a\nbb\nccc", chunk_size=3)
    with store.get("x") as file:  # type: ignore[union-attr]
        assert list(file) == [b"a\n", b"bb\n", b"ccc"]
    with store.get("x") as file:  # type: ignore[union-attr]
        assert file.read(1) == b"a"
        assert list(file.data) == [b"\nb", b"b\nc", b"cc"]
        assert list(file.data) == []


def test_read_text(store: ObjectStore) -> None:
    store.put("x", "naïve ☃".encode())
    assert store.read_text("x") == "naïve ☃"
    store.put("y", "naïve".encode("latin-1"))
    assert store.read_text("y", "latin-1") == "naïve"
    with pytest.raises(UnicodeDecodeError):
        store.read_text("y")


def test_quick_gets_cost_no_consumer(store: ObjectStore, shared_client: Client) -> None:
    """The loop at which clients with a consumer per get fail: "maximum consumers limit reached".

    A stream has a thousand at most, this one has one, which a watch takes.
    """
    name = f"{store.name}-one"
    config = dict(store.status().stream_info.config)
    config |= {"name": f"OBJ_{name}", "subjects": [f"$O.{name}.C.>", f"$O.{name}.M.>"]}
    config["max_consumers"] = 1
    assert "error" not in api(shared_client.connection, f"STREAM.CREATE.OBJ_{name}", config)
    one = shared_client.object_store(name, create=False)
    one.put("small", b"x" * 100)
    one.put("larger", pattern(5000), chunk_size=1000)
    with one.watch():
        for _ in range(20):
            assert len(one.read_bytes("small")) == 100
            assert len(one.read_bytes("larger")) == 5000
        assert consumer_count(shared_client, one) == 1
    eventually(lambda: consumer_count(shared_client, one) == 0)
    shared_client.delete_store(name)


def test_large_objects_by_several_threads(store: ObjectStore, shared_client: Client) -> None:
    """Interleaved chunks of several objects: each reader finds its own."""
    contents = [os.urandom(1_000_000) for _ in range(4)]
    failures: list[BaseException] = []

    def work(index: int) -> None:
        try:
            for _ in range(3):
                store.put(f"o{index}", contents[index], chunk_size=10_000)
                assert store.read_bytes(f"o{index}") == contents[index]
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert orphans(shared_client, store) == set()


# --- files


def test_upload_and_download_a_file(store: ObjectStore, tmp_path: Path) -> None:
    source, target = tmp_path / "source.png", tmp_path / "target.png"
    source.write_bytes(CONTENT)
    info = store.upload_file(source)
    assert (info.name, info.mime) == ("source.png", "image/png")
    assert store.upload_file(str(source), "dir/other", mime="x/y").mime == "x/y"
    packed = source.rename(tmp_path / "source.tar.gz")
    assert store.upload_file(packed).mime == "application/gzip"
    packed.rename(source)
    target.write_bytes(b"something longer that must not shine through" * 10_000)
    assert store.download_file("source.png", target).name == "source.png"
    assert target.read_bytes() == CONTENT
    assert target.stat().st_mode == source.stat().st_mode
    assert sorted(tmp_path.iterdir()) == [source, target]


def test_a_failing_download_leaves_the_file_alone(
    store: ObjectStore, shared_client: Client, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    with pytest.raises(ObjectNotFoundError):
        store.download_file("absent", target)
    info = store.put("damaged", pattern(5000), chunk_size=1000)
    stored = api(
        shared_client.connection,
        f"STREAM.MSG.GET.OBJ_{store.name}",
        {"last_by_subj": chunk_subject(store.name, info.nuid)},
    )
    api(
        shared_client.connection,
        f"STREAM.MSG.DELETE.OBJ_{store.name}",
        {"seq": stored["message"]["seq"] - 2},
    )
    with pytest.raises(ObjectCorruptError, match="damaged"):
        store.download_file("damaged", target)
    assert target.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [target]


def test_a_100_mb_file_goes_in_and_out(store: ObjectStore, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    block = os.urandom(1 << 20)
    hasher = hashlib.sha256()
    with source.open("wb") as file:
        for i in range(100):
            file.write(i.to_bytes(4, "big") + block)
            hasher.update(i.to_bytes(4, "big") + block)
    store.upload_file(source, "big")
    source.unlink()
    store.download_file("big", target)
    arrived = hashlib.sha256()
    with target.open("rb") as file:
        while part := file.read(1 << 20):
            arrived.update(part)
    assert arrived.digest() == hasher.digest()


# --- revisions


def test_if_revision(store: ObjectStore, shared_client: Client) -> None:
    first = store.put("x", b"1", if_revision=0)
    with pytest.raises(RevisionMismatchError) as caught:
        store.put("x", b"2", if_revision=0)
    assert (caught.value.expected, caught.value.actual) == (0, first.revision)
    second = store.put("x", b"2", if_revision=first.revision)
    with pytest.raises(RevisionMismatchError):
        store.put("x", b"3", if_revision=first.revision)
    assert store.read_bytes("x") == b"2"
    store.delete("x")
    with pytest.raises(RevisionMismatchError, match="does not exist"):
        store.put("x", b"3", if_revision=second.revision)
    store.put("x", b"3", if_revision=0)
    assert orphans(shared_client, store) == set()


def test_if_revision_is_decided_at_the_commit(store: ObjectStore, shared_client: Client) -> None:
    """Somebody overwrites the object while our chunks travel."""
    first = store.put("x", b"1")

    def payload() -> Iterator[bytes]:
        yield b"ours"
        store.put("x", b"theirs")
        yield b"ours"

    with pytest.raises(RevisionMismatchError) as caught:
        store.put("x", payload(), if_revision=first.revision)
    assert caught.value.expected == first.revision
    assert (caught.value.bucket, caught.value.name) == (store.name, "x")
    assert store.read_bytes("x") == b"theirs"
    assert orphans(shared_client, store) == set()


def test_without_if_revision_the_last_one_wins(store: ObjectStore, shared_client: Client) -> None:
    store.put("x", b"1")

    def payload() -> Iterator[bytes]:
        yield b"ours"
        store.put("x", b"theirs")

    store.put("x", payload())
    assert store.read_bytes("x") == b"ours"
    assert orphans(shared_client, store) == set()


def test_racing_writers_leave_exactly_one_set_of_chunks(
    store: ObjectStore, shared_client: Client
) -> None:
    """Eight threads put and delete one name."""
    failures: list[BaseException] = []

    def work(index: int) -> None:
        try:
            for turn in range(10):
                if (index + turn) % 4 == 0:
                    store.delete("x")
                else:
                    store.put("x", bytes([index]) * 5000, chunk_size=1000)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    store.put("x", b"last")
    assert store.read_bytes("x") == b"last"
    assert orphans(shared_client, store) == set()


# --- what fails half way


class BrokenError(Exception):
    """Raised by a payload."""


@pytest.mark.parametrize("error", [BrokenError, KeyboardInterrupt, SystemExit])
def test_a_payload_that_raises(
    error: type[BaseException], store: ObjectStore, shared_client: Client
) -> None:
    store.put("x", b"old")

    def payload() -> Iterator[bytes]:
        for _ in range(50):
            yield b"z" * 1000
        raise error

    with pytest.raises(error):
        store.put("x", payload(), chunk_size=1000)
    assert store.read_bytes("x") == b"old"
    assert orphans(shared_client, store) == set()


def test_reading_a_changed_object(store: ObjectStore) -> None:
    """Overwritten while it is read: an error, never mixed content."""
    size = 20 << 20
    store.put("x", pattern(size), chunk_size=100_000)
    for change in (lambda: store.put("x", b"new"), lambda: store.delete("x")):
        store.put("x", pattern(size), chunk_size=100_000)
        with store.get("x") as file:  # type: ignore[union-attr]
            begin = file.read(200_000)
            change()
            with pytest.raises(ObjectChangedError, match="'x'"):
                file.read()
            with pytest.raises(ObjectChangedError, match="'x'"):  # and never an early end
                file.read()
        assert begin == pattern(size)[:200_000]


def _publish_raw(client: Client, subject: str, payload: bytes) -> None:
    client.connection.publish(subject, payload=payload, headers={"Nats-Rollup": "sub"})
    client.connection.ping()


def test_a_swapped_payload_is_found(store: ObjectStore, shared_client: Client) -> None:
    """Another chunk of the same size under the same nuid."""
    info = store.put("x", b"original")
    _publish_raw(shared_client, chunk_subject(store.name, info.nuid), b"0riginal")
    with pytest.raises(DigestMismatchError) as caught:
        store.read_bytes("x")
    assert caught.value.expected == digest(b"original")
    assert caught.value.actual == digest(b"0riginal")


def test_the_last_bytes_are_held_back_until_the_digest_is_right(
    store: ObjectStore, shared_client: Client
) -> None:
    data = pattern(3000)
    info = store.put("x", data, chunk_size=1000)
    raw = api(
        shared_client.connection,
        f"STREAM.MSG.GET.OBJ_{store.name}",
        {"last_by_subj": meta_subject(store.name, "x")},
    )
    assert raw["message"]["seq"] == info.revision
    shared_client.connection.request(
        meta_subject(store.name, "x"),
        payload=encode_info(info).replace(info.digest.encode(), digest(b"else").encode()),
        headers={"Nats-Rollup": "sub"},
    )
    with store.get("x") as file:  # type: ignore[union-attr]
        assert file.read(2000) == data[:2000]
        with pytest.raises(DigestMismatchError):
            file.read(1)


def test_an_object_without_digest_is_read_with_a_warning(
    store: ObjectStore, shared_client: Client
) -> None:
    info = store.put("x", pattern(3000), chunk_size=1000)
    shared_client.connection.request(
        meta_subject(store.name, "x"),
        payload=encode_info(info.with_changes(digest="")),
        headers={"Nats-Rollup": "sub"},
    )
    with pytest.warns(UserWarning, match="unverified"):
        assert store.read_bytes("x") == pattern(3000)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 2999}, "bytes stated"),
        ({"size": 3001}, "bytes stated"),
        ({"chunks": 4}, "missing|bytes stated"),
        ({"chunks": 2}, "missing|bytes stated"),
        ({"nuid": "unknown"}, "missing"),
        ({"nuid": ""}, "name no chunks"),
        ({"digest": "MD5=abc"}, "unknown kind"),
        ({"chunks": 1}, "missing"),
    ],
    ids=repr,
)
def test_metadata_that_do_not_fit_the_chunks(
    changes: dict[str, Any], message: str, store: ObjectStore, shared_client: Client
) -> None:
    """An error within one time-out; never a hang, never wrong bytes."""
    info = store.put("x", pattern(3000), chunk_size=1000)
    shared_client.connection.request(
        meta_subject(store.name, "x"),
        payload=encode_info(info.with_changes(**changes)),
        headers={"Nats-Rollup": "sub"},
    )
    with pytest.raises(ObjectCorruptError, match=message):
        store.read_bytes("x")
    store.collect_garbage(min_age=0)


def test_forged_positions(store: ObjectStore, shared_client: Client) -> None:
    """Headers that a chunk's publisher stored never count as the stream's own."""
    info = store.put("x", pattern(3000), chunk_size=1000)
    subject = chunk_subject(store.name, info.nuid)
    api(shared_client.connection, f"STREAM.PURGE.OBJ_{store.name}", {"filter": subject})
    forged = {"Nats-Sequence": "77", "Nats-Num-Pending": "5", "Nats-Subject": "x"}
    for start in (0, 1000, 2000):
        shared_client.connection.request(
            subject, payload=pattern(3000)[start : start + 1000], headers=forged
        )
    assert store.read_bytes("x") == pattern(3000)


def test_progress(store: ObjectStore, capsys: pytest.CaptureFixture[str]) -> None:
    """A function gets each step; True draws a bar."""
    put: list[tuple[int, int | None]] = []
    got: list[tuple[int, int | None]] = []
    store.put("x", b"12345", chunk_size=2, progress=lambda *step: put.append(step))
    assert put == [(2, 5), (4, 5), (5, 5)]
    with store.get("x", progress=lambda *step: got.append(step)) as file:  # type: ignore[union-attr]
        file.read()
    assert got == [(2, 5), (4, 5), (5, 5)]
    store.put("x", (b"1" for _ in range(3)), progress=lambda *step: put.append(step))
    assert put[-1] == (3, None)
    for mode in ("wb", "xb"):
        put.clear()
        with store.open(
            f"w{mode}", mode, chunk_size=2, progress=lambda *step: put.append(step)
        ) as writer:
            writer.write(b"12345")
        assert put == [(2, None), (4, None), (5, None)]
    store.put("bar", b"12345", progress=True)
    store.get("bar", progress=True).close()  # type: ignore[union-attr]
    assert capsys.readouterr().err.count("bar") >= 2


def test_the_bar_of_a_writer_is_closed(store: ObjectStore) -> None:
    """However the writing ends."""
    bars: Collection[object] = getattr(tqdm, "_instances", ())  # those that are drawn
    store.put("there", b"1")
    with store.open("x", "wb", progress=True) as file:
        file.write(b"1")
        assert len(bars) == 1
    assert len(bars) == 0
    with pytest.raises(ZeroDivisionError), store.open("x", "wb", progress=True):
        1 / 0  # noqa: B018
    assert len(bars) == 0
    with pytest.raises(ObjectExistsError):
        store.open("there", "xb", progress=True)
    assert len(bars) == 0
    with pytest.raises(InvalidOptionError, match="progress"):
        store.open("x", "wb", progress=3)
    assert store.read_bytes("x") == b"1"


def test_the_old_record_is_read_while_the_chunk_travels(
    proxy: Proxy, far_store: ObjectStore
) -> None:
    """A small put takes two round trips: the chunk is sent before the record has come."""
    record = proxy.down.hold(proxy.answers(calls("DIRECT.GET")))
    chunk = proxy.up.call(chunks_of(far_store.name), lambda: None)
    thread = threading.Thread(target=far_store.put, args=("x", b"data"))
    thread.start()
    try:
        record.wait()
        chunk.wait()
    finally:
        record.release()
        thread.join()
    assert far_store.read_bytes("x") == b"data"


def test_a_put_over_a_malformed_record(store: ObjectStore, shared_client: Client) -> None:
    """Reading it is an error, which names the object; a put replaces it."""
    shared_client.connection.request(meta_subject(store.name, "bad"), payload=b"{")
    with pytest.raises(ObjectCorruptError, match="malformed") as caught:
        store.info("bad")
    assert caught.value.name == "bad"
    info = store.put("bad", b"data")
    assert store.read_bytes("bad") == b"data"
    assert chunk_counts(shared_client, store) == {info.nuid: 1}


def test_the_old_record_is_asked_for_again(
    proxy: Proxy, far_store: ObjectStore, shared_client: Client
) -> None:
    """The connection that it was asked over is lost; the put is not."""
    far_store.put("x", b"old")
    lost = proxy.down.cut(proxy.answers(calls("DIRECT.GET")))
    with contextlib.suppress(ConnectionLostError):  # the chunk was under way, too
        far_store.put("x", b"new")
    lost.wait()
    assert far_store.read_bytes("x") in (b"old", b"new")
    assert orphans(shared_client, far_store) == set()
