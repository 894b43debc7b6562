"""Many objects in one call: in order, each whole or not at all."""

from __future__ import annotations

import os
import signal
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from objstore import (
    BucketSealedError,
    Client,
    InvalidNameError,
    InvalidOptionError,
    InvalidPayloadError,
    ObjectInfo,
    ObjectLink,
    ObjectMeta,
    ObjectMetaOptions,
    ObjectStore,
    ObjectTooLargeError,
    PayloadFileError,
    StorageFullError,
)
from objstore.put.one_object import OneChunk
from objstore.store.put_many import AHEAD, GATHERED, SMALL
from tests.support.proxy import Proxy, chunks_of, metadata_of, nth
from tests.support.streams import orphans


def numbered(count: int) -> Iterator[tuple[str, bytes]]:
    return ((f"o{i}", b"content %d" % i) for i in range(count))


def contents(store: ObjectStore) -> dict[str, bytes]:
    return {info.name: store.read_bytes(info.name) for info in store}


def test_in_order(store: ObjectStore) -> None:
    """Several windows full: each stored as a put stores it, in order."""
    infos = store.put_many(numbered(300))
    assert [info.name for info in infos] == [f"o{i}" for i in range(300)]
    assert [info.name for info in store] == [info.name for info in infos]
    assert dict(store.get_many(info.name for info in infos)) == dict(numbered(300))
    for info in (infos[0], infos[-1]):
        stored = store.info(info.name)
        assert stored is not None
        assert stored == info
    assert store.verify().ok


def test_small_messages_go_together(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as fewer objects than are gathered were taken, nothing of them is sent."""
    link: Any = store._handle.jetstream.connection.session._link
    send, mine = link.transport.send, threading.get_ident()
    sent: list[bytes] = []
    taken: list[int] = []

    def noted(parts: Any) -> None:
        if threading.get_ident() == mine:  # the reader thread answers PINGs
            sent.append(b"".join(parts))
        send(parts)

    def items() -> Iterator[tuple[str, bytes]]:
        for item in numbered(GATHERED):
            taken.append(len(sent))
            yield item

    monkeypatch.setattr(link.transport, "send", noted)
    store.put_many(items())
    assert taken == [0] * GATHERED
    assert sent[0].count(b"PUB $O.") == GATHERED  # the chunks, and between them questions
    assert contents(store) == dict(numbered(GATHERED))


def test_a_payload_fails_behind_a_chunk(store: ObjectStore, shared_client: Client) -> None:
    """That chunk had not been sent; it goes, and is removed."""

    class Failing:
        """A file of four bytes, of which two can be read."""

        size, reads = 4, iter([b"12"])

        def read(self, _size: int) -> bytes:
            for data in self.reads:
                return data
            raise OSError("no more")

    description = ObjectMeta("failing", max_chunk_size=2)
    with pytest.raises(OSError, match="no more"):
        store.put_many([("before", b"stored"), (description, Failing())])
    assert contents(store) == {"before": b"stored"}
    assert orphans(shared_client, store) == set()


def test_nothing(store: ObjectStore) -> None:
    assert store.put_many([]) == []


def test_payloads_of_every_kind(store: ObjectStore, tmp_path: Path) -> None:
    """Small and large, of known and of unknown size, a link among them."""
    file, large = tmp_path / "file", os.urandom(SMALL + 1)
    file.write_bytes(b"from a file")
    link = ObjectMeta("link", options=ObjectMetaOptions(ObjectLink(store.name, "bytes")))
    infos = store.put_many(
        [
            ("bytes", b"abc"),
            ("empty", None),
            ("file", file),
            ("large", large),
            (link, None),
            ("generated", (b"%d," % i for i in range(5))),
            ("view", memoryview(b"xyz")),
            (ObjectMeta("described", description="d", max_chunk_size=2), b"12345"),
        ],
        metadata={"by": "all"},
    )
    assert [info.size for info in infos] == [3, 0, 11, len(large), 0, 10, 3, 5]
    assert (infos[-1].description, infos[-1].chunks) == ("d", 3)
    assert all(info.metadata == {"by": "all"} for info in store)
    assert store.read_bytes("large") == large
    assert store.read_bytes("link") == b"abc"
    assert store.read_bytes("generated") == b"0,1,2,3,4,"
    assert store.read_bytes("described") == b"12345"
    assert store.verify().ok


def test_a_buffer_that_is_used_again(store: ObjectStore) -> None:
    """A payload is read before the next item is asked for."""
    buffer = bytearray(4)

    def items() -> Iterator[tuple[str, bytearray]]:
        for i in range(100):
            buffer[:] = i.to_bytes(4, "big")
            yield f"o{i}", buffer

    store.put_many(items())
    assert contents(store) == {f"o{i}": i.to_bytes(4, "big") for i in range(100)}


def test_the_same_name_again(store: ObjectStore, shared_client: Client) -> None:
    infos = store.put_many((f"o{i % 3}", b"%d" % i) for i in range(20))
    assert [info.revision for info in infos] == sorted(info.revision for info in infos)
    assert contents(store) == {"o0": b"18", "o1": b"19", "o2": b"17"}
    assert not orphans(shared_client, store)


def test_what_was_there_is_replaced(store: ObjectStore, shared_client: Client) -> None:
    """Objects and tombstones; the old chunks are gone."""
    store.put_many(numbered(100))
    store.delete("o7")
    store.put_many((name, payload * 2) for name, payload in numbered(100))
    assert contents(store) == {name: payload * 2 for name, payload in numbered(100)}
    assert not orphans(shared_client, store)


@pytest.mark.parametrize(
    ("item", "error"),
    [
        (("", b"x"), InvalidNameError),
        ((5, b"x"), InvalidNameError),
        (([], b"x"), InvalidNameError),
        (("\ud800", b"x"), InvalidNameError),
        (("text", "text"), InvalidPayloadError),
        (("number", 5), InvalidPayloadError),
        (("path", Path("/no/such/file")), PayloadFileError),
        (("items", [b"a", "b"]), InvalidPayloadError),
        (("much", bytes(20)), ObjectTooLargeError),
        (("later", bytes(SMALL + 1)), ObjectTooLargeError),
        ("ab", InvalidOptionError),
        (("a", "b", "c"), InvalidOptionError),
        (None, InvalidOptionError),
    ],
)
def test_a_bad_item(
    item: Any, error: type[Exception], store: ObjectStore, shared_client: Client
) -> None:
    """Those before it are stored, and it is told which it is; nothing else remains."""
    store = shared_client.update_store(store.name, max_object_size=15)
    with pytest.raises(error) as caught:
        store.put_many([*numbered(40), item, ("after", b"x")])
    assert contents(store) == dict(numbered(40))
    assert not orphans(shared_client, store)
    if error in (InvalidPayloadError, ObjectTooLargeError, PayloadFileError):
        assert getattr(caught.value, "name", None) == item[0]
        assert str(caught.value).count(repr(item[0])) == 1


@pytest.mark.parametrize("items", ["ab", b"ab", {"a": b"b"}, 5, None])
def test_no_items(items: Any, store: ObjectStore) -> None:
    with pytest.raises(InvalidOptionError, match="iterable of pairs"):
        store.put_many(items)


def test_options_are_checked(store: ObjectStore) -> None:
    with pytest.raises(InvalidOptionError):
        store.put_many([("a", b"b")], metadata={"a": 1})  # type: ignore[dict-item]
    with pytest.raises(InvalidOptionError, match="timeout"):
        store.put_many([("a", b"b")], timeout=-1)
    assert contents(store) == {}


def test_the_iterable_raises(store: ObjectStore, shared_client: Client) -> None:
    def items() -> Iterator[tuple[str, bytes]]:
        yield from numbered(AHEAD + 10)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        store.put_many(items())
    assert contents(store) == dict(numbered(AHEAD + 10))
    assert not orphans(shared_client, store)


def test_the_bucket_is_full(shared_client: Client, store: ObjectStore) -> None:
    """Those before the first that did not fit are there, whole; nothing remains of the others."""
    store = shared_client.update_store(store.name, max_bytes=60_000)
    with pytest.raises(StorageFullError) as caught:
        store.put_many((f"o{i}", bytes(1000)) for i in range(200))
    failed = int(str(caught.value.name)[1:])
    names = {info.name for info in store}
    assert {f"o{i}" for i in range(failed)} <= names
    assert f"o{failed}" not in names
    assert store.verify().ok
    assert not orphans(shared_client, store)


def test_a_chunk_in_the_middle_is_lost(
    proxy: Proxy, far_store: ObjectStore, shared_client: Client
) -> None:
    """Its acknowledgement never comes; it is sent again, and all goes on in order."""
    lost = proxy.up.drop(nth(20, chunks_of(far_store.name)))
    assert [info.name for info in far_store.put_many(numbered(50))] == [f"o{i}" for i in range(50)]
    lost.wait()
    assert contents(far_store) == dict(numbered(50))
    assert far_store.verify().ok
    assert not orphans(shared_client, far_store)


def test_an_answer_to_metadata_is_lost(
    proxy: Proxy, far_store: ObjectStore, shared_client: Client
) -> None:
    """Then the leader is asked: it was stored, and all goes on."""
    proxy.down.drop(proxy.answers(nth(20, metadata_of(far_store.name))))
    assert len(far_store.put_many(numbered(50))) == 50
    assert contents(far_store) == dict(numbered(50))
    assert not orphans(shared_client, far_store)


def test_the_connection_is_lost(
    proxy: Proxy, far_store: ObjectStore, shared_client: Client
) -> None:
    """With chunks and metadata under way: all are there in the end, each once."""
    cut = proxy.up.cut(nth(150, metadata_of(far_store.name)))
    assert len(far_store.put_many(numbered(200))) == 200
    cut.wait()
    assert contents(far_store) == dict(numbered(200))
    assert not orphans(shared_client, far_store)


def test_somebody_else_is_faster(
    proxy: Proxy, far_store: ObjectStore, store: ObjectStore, shared_client: Client
) -> None:
    """What was stored in between is replaced, its chunks removed."""
    proxy.up.call(nth(5, metadata_of(store.name)), lambda: store.put("o4", b"in between"))
    far_store.put_many(numbered(10))
    assert contents(store) == dict(numbered(10))
    assert not orphans(shared_client, store)


def test_memory(store: ObjectStore) -> None:
    """Payloads are not kept: of 75 MiB in 600 objects, a window is there at a time."""
    tracemalloc.start()
    try:
        infos = store.put_many((f"o{i}", os.urandom(128 << 10)) for i in range(600))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(infos) == 600
    assert peak < 16 << 20


def test_thousands(store: ObjectStore, shared_client: Client) -> None:
    """More than a listing asks for in its first two batches, of 256 and 1,024."""
    assert len(store.put_many((f"o{i}", b"%d" % i) for i in range(3000))) == 3000
    assert [info.name for info in store] == [f"o{i}" for i in range(3000)]
    assert not orphans(shared_client, store)


# An interrupt that strikes in a callback of the interpreter's own (the collector's, a weak set's)
# is told as unraisable, and goes no further.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.interrupts
def test_interrupted_at_any_moment(client: Client, store: ObjectStore) -> None:
    bucket = client.object_store(store.name)
    bucket.put_many(numbered(10))

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    hits = 0
    try:
        for turn in range(40):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0007 * (turn + 1))
                # Not without end: an interrupt that strikes in a finalizer goes no further.
                bucket.put_many((f"o{i}", b"%d of %d" % (i, turn)) for i in range(600))
            except KeyboardInterrupt:
                hits += 1
            else:  # every further turn would verify all of them
                bucket.delete_prefix("o")
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            assert bucket.verify().ok
            assert not orphans(client, bucket)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert hits > 30


def test_what_failed_is_not_committed_again(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next of the same name waits for it, and so does all that is under way at an error."""
    commits: list[str] = []

    def refused(put: OneChunk) -> ObjectInfo:
        commits.append(put.described.name)
        raise BucketSealedError("sealed")

    monkeypatch.setattr(OneChunk, "commit", refused)
    with pytest.raises(BucketSealedError, match="sealed"):
        store.put_many([("one", b"first"), ("one", b"second")])
    assert commits == ["one"]
