"""The fast path of a small put, and where the general path takes over."""

from __future__ import annotations

import math
import sys
from typing import Any

import pytest

from objstore import (
    Client,
    ConnectionLostError,
    ObjectStore,
    ObjectTooLargeError,
    RequestTimeoutError,
)
from objstore.model.objects import DEFAULT_CHUNK_SIZE
from objstore.put import one_object
from objstore.put.one_object import LARGE_CHUNK_SIZE, choose_chunk_size
from objstore.put.sender import ChunkSender
from objstore.put.upload import Put
from objstore.wire.codec.protocol import Message
from objstore.wire.connection.requests import PendingReply


def messages(store: ObjectStore) -> int:
    """How many messages the bucket's stream has."""
    return store.status().stream_info.state.messages


@pytest.fixture
def general(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the general path was asked to do."""
    done: list[str] = []

    def noted(kind: Any, name: str) -> None:
        whole = getattr(kind, name)

        def method(self: Any, *args: Any, **options: Any) -> Any:
            done.append(name)
            return whole(self, *args, **options)

        monkeypatch.setattr(kind, name, method)

    for name in ("take_over", "resume", "commit", "abort"):
        noted(Put, name)
    return done


@pytest.mark.parametrize("payload", [b"x", bytearray(b"yz"), memoryview(b"abc")])
def test_without_the_general_path(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, payload: Any
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(Put, "__init__", refuse)
    monkeypatch.setattr(ChunkSender, "__init__", refuse)
    for _ in range(2):  # over another
        info = store.put("small", payload)
        assert (info.size, info.chunks) == (len(payload), 1)
        assert info == store.info("small")
        assert store.read_bytes("small") == bytes(payload)
        assert messages(store) == 2


def test_the_payload_is_the_users(store: ObjectStore) -> None:
    """Memory that may change is copied, and let go."""
    payload = bytearray(b"before")
    store.put("small", payload, progress=lambda *_: payload.__setitem__(slice(None), b"after!"))
    assert store.read_bytes("small") == b"before"
    payload.extend(b"more")


@pytest.mark.parametrize("count", [1, 20])
def test_no_answer_to_the_chunk(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, general: list[str], count: int
) -> None:
    """It is looked for, found, and not sent twice; nor is it where it is one of many."""
    result, lost = PendingReply.result, 0

    def lose_first(self: PendingReply, timeout: float) -> Message:
        nonlocal lost
        message = result(self, timeout)
        if ".C." in self.subject and self.subject.startswith("$O.") and not lost:
            lost += 1
            raise RequestTimeoutError("no reply", subject=self.subject, timeout=timeout)
        return message

    monkeypatch.setattr(PendingReply, "result", lose_first)
    if count == 1:
        store.put("0", b"data")
    else:
        store.put_many((f"{number}", b"data") for number in range(count))
    assert lost == 1
    assert general == ["take_over", "resume", "commit"]
    assert dict(store.get_many(map(str, range(count)))) == {f"{i}": b"data" for i in range(count)}
    assert messages(store) == 2 * count


def test_many_take_it_too(store: ObjectStore, general: list[str]) -> None:
    for _ in range(2):  # over others
        infos = store.put_many((f"{number}", b"data") for number in range(20))
        assert infos == [store.info(f"{number}") for number in range(20)]
    assert general == []
    assert messages(store) == 40


def test_it_took_long(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, general: list[str]
) -> None:
    """Then the stream's settings may have changed: its chunks are counted."""
    monkeypatch.setattr(one_object, "LONG", 0.0)
    monkeypatch.setattr("objstore.put.sender.LONG", 0.0)
    counted: list[int] = []
    count = ChunkSender._count_stored

    def noted(self: ChunkSender) -> int:
        counted.append(count(self))
        return counted[-1]

    monkeypatch.setattr(ChunkSender, "_count_stored", noted)
    store.put("small", b"data")
    assert general == ["take_over", "commit"]
    assert counted == [1]
    assert messages(store) == 2


@pytest.mark.parametrize("function", ["encode_info", "revision_of", "commit", "chunk_subject"])
def test_interrupted(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, general: list[str], function: str
) -> None:
    """Wherever that is, the new chunk is removed and the old object is there."""
    store.put("small", b"old")
    before = general.copy()
    whole, calls = getattr(one_object, function), 0

    def interrupted(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if sys._getframe(1).f_code.co_name in ("send", "publish", "commit") and calls == 1:
            if options.get("published") is not None:  # as if it came just before it was sent
                options["published"].close()
            raise KeyboardInterrupt
        return whole(*args, **options)

    monkeypatch.setattr(one_object, function, interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.put("small", b"new")
    assert general[len(before) :] == ["take_over", "abort"]
    expected = b"new" if function == "commit" else b"old"  # the record had been sent
    assert store.read_bytes("small") == expected
    assert messages(store) == 2


def test_the_answer_to_the_record_is_lost(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, general: list[str]
) -> None:
    """The loss is told; what was stored stays, and what it replaced goes."""
    store.put("small", b"old")

    def lost(*_: Any, published: Any, **__: Any) -> Any:
        published.result()
        raise ConnectionLostError("lost")

    monkeypatch.setattr(one_object, "commit", lost)
    with pytest.raises(ConnectionLostError) as caught:
        store.put("small", b"new")
    assert (caught.value.bucket, caught.value.name) == (store.name, "small")
    assert general == ["take_over", "abort"]
    assert store.read_bytes("small") == b"new"
    assert messages(store) == 2


def test_what_it_replaces_cannot_be_read(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, general: list[str]
) -> None:
    """The chunk is removed again, and the error is named."""

    def fail(_self: object) -> None:
        raise ConnectionLostError("gone")

    monkeypatch.setattr("objstore.metadata.current.PendingCurrent.result", fail)
    with pytest.raises(ConnectionLostError, match="gone") as caught:
        store.put("small", b"new")
    assert caught.value.name == "small"
    assert general == ["take_over", "abort"]
    assert messages(store) == 0


def test_the_buckets_limit(store: ObjectStore, shared_client: Client) -> None:
    """It is the general path's to refuse."""
    shared_client.update_store(store.name, max_object_size=3)
    store._handle.known.fresh_until = math.inf
    store.put("small", b"123")
    with pytest.raises(ObjectTooLargeError):
        store.put("small", b"1234")
    assert store.read_bytes("small") == b"123"


# --- the chunk size


@pytest.mark.parametrize(
    ("asked", "size", "max_payload", "chosen"),
    [
        (None, 0, 1 << 20, DEFAULT_CHUNK_SIZE),
        (None, None, 1 << 20, DEFAULT_CHUNK_SIZE),
        (None, (8 << 20) - 1, 1 << 20, DEFAULT_CHUNK_SIZE),
        (None, 8 << 20, 1 << 20, LARGE_CHUNK_SIZE),
        (None, 8 << 20, 300_000, 300_000),
        (None, 5, 1000, 1000),
        (10, 8 << 20, 1 << 20, 10),
        (2 << 20, 5, 1 << 20, 1 << 20),
        (10, 5, 0, 1),
    ],
)
def test_choose_chunk_size(
    asked: int | None, size: int | None, max_payload: int, chosen: int
) -> None:
    assert choose_chunk_size(asked, size, max_payload) == chosen
