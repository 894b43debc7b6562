"""A put by itself: what is stored when, what is removed when, and what is left alone. No server."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from objstore import (
    BucketSealedError,
    ConnectionLostError,
    ObjectCorruptError,
    ObjectInfo,
    ObjectTooLargeError,
    ObjStoreError,
    RequestTimeoutError,
    RevisionMismatchError,
    StorageFullError,
)
from objstore.metadata.current import Known
from objstore.model.objects import chunk_subject, encode_digest, meta_subject
from objstore.model.record_json import encode_info
from objstore.model.spellings import other_subjects
from objstore.progress import NO_PROGRESS
from objstore.put import upload
from objstore.put.upload import Put
from tests.support.scripted_bucket import ScriptedBucket

pytestmark = pytest.mark.newest_server

CHUNKS = [b"first", b"second", b"third"]


class ScriptedSender:
    """Stands where :class:`objstore.put.sender.ChunkSender` does: what is sent is stored.

    Attributes:
        faults: the errors of the next chunks; None: that one goes well.
    """

    faults: list[ObjStoreError | None]

    def __init__(
        self, records: Any, subject: str, header: bytes, timeout: float, *, piggyback: bool
    ) -> None:
        self.records, self.subject, self.header, self.timeout = records, subject, header, timeout
        self.piggyback = piggyback
        self.may_have_stored = self.has_unanswered = self.gave_up = False
        self.log: list[str] = []

    def send(self, chunk: bytes) -> None:
        if self.faults and (error := self.faults.pop(0)) is not None:
            raise error
        self.records.store(self.subject, chunk)
        self.may_have_stored = True

    def __getattr__(self, name: str) -> Callable[[], None]:
        return lambda: self.log.append(name)


class Late(Known):
    """What a name has, known only when it is asked for; it may be damaged."""

    def __init__(self, info: ObjectInfo | None, error: ObjStoreError | None = None) -> None:
        super().__init__(info)
        self.error = error
        self.taken = self.closed = False

    def result(self) -> ObjectInfo | None:
        self.taken = True
        if self.error is not None:
            raise self.error
        return super().result()

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> ScriptedBucket:
    ScriptedSender.faults = []
    monkeypatch.setattr(upload, "ChunkSender", ScriptedSender)
    return ScriptedBucket()


def old_object(bucket: ScriptedBucket, nuid: str = "old") -> ObjectInfo:
    """What is there before."""
    bucket.store(chunk_subject("b", nuid), b"old content")
    info = ObjectInfo("b", "x", size=11, chunks=1, nuid=nuid)
    return info.with_changes(revision=bucket.store(meta_subject("b", "x"), encode_info(info)))


def put_of(bucket: Any, current: Any = None, **options: Any) -> Put:
    info = ObjectInfo("b", "x", nuid="new", ttl=options.pop("ttl", None))
    options = {"on_conflict": None, "progress": NO_PROGRESS.update, **options}
    return Put(bucket, info, current or Known(None), **options)


def sent(put: Put) -> Put:
    """With all chunks on their way."""
    for chunk in CHUNKS:
        put.send(chunk)
    return put


def sender_of(put: Put) -> ScriptedSender:
    sender: Any = put._chunks
    return sender  # type: ignore[no-any-return]


def purged(bucket: ScriptedBucket) -> list[str]:
    """Whose chunks were removed."""
    return [subject.rpartition(".")[2] for _, subject in bucket.calls("purge")]


def call_names(bucket: ScriptedBucket) -> list[str]:
    return [name for name, _ in bucket.asked]


# --- what goes well


@pytest.mark.parametrize("older", [False, True])
def test_a_new_object(older: bool, bucket: ScriptedBucket) -> None:
    """Its record says what was sent; older clients' subjects are looked at where there are some."""
    bucket.has_older_spellings = older
    seen: list[int] = []
    put = sent(put_of(bucket, progress=seen.append))
    stored = put.commit()
    content = b"".join(CHUNKS)
    assert bucket.chunks("new") == CHUNKS
    assert (stored.size, stored.chunks) == (len(content), 3)
    assert stored.digest == encode_digest(hashlib.sha256(content).digest())
    found = bucket.read("x")
    assert found is not None
    assert (found.size, found.digest, found.revision) == (16, stored.digest, stored.revision)
    assert seen == [5, 6, 5]
    others = [("last", subject) for subject in other_subjects("b", "x")] if older else []
    assert bucket.asked[1:-1] == [("ack", "x"), *others]
    assert sender_of(put).log == ["finish", "check_count", "close", "close"]


def test_an_object_without_chunks(bucket: ScriptedBucket) -> None:
    put = put_of(bucket)
    assert put.commit().size == 0
    put.abort()
    assert purged(bucket) == []


def test_what_it_replaces_is_removed_after_the_commit(bucket: ScriptedBucket) -> None:
    current = old_object(bucket)
    put = sent(put_of(bucket, Known(current)))
    assert call_names(bucket) == []
    put.publish()
    assert purged(bucket) == []
    put.commit()
    assert call_names(bucket) == ["publish", "ack", "purge"]
    assert purged(bucket) == ["old"]
    assert bucket.chunks("new") == CHUNKS


def test_what_cannot_be_removed_is_left(bucket: ScriptedBucket) -> None:
    """Stored is stored."""
    current = old_object(bucket)
    bucket.fail("purge", RequestTimeoutError("no answer"))
    put = sent(put_of(bucket, Known(current)))
    assert put.commit().nuid == "new"


def test_what_another_name_needs_is_left(bucket: ScriptedBucket) -> None:
    """A rename that was interrupted has left a note."""
    shared = ObjectInfo("b", "y", size=11, chunks=1, nuid="old")
    bucket.store(meta_subject("b", "y"), encode_info(shared))
    current = old_object(bucket).with_changes(extra={"objstore_moved_to": "y"})
    sent(put_of(bucket, Known(current))).commit()
    assert purged(bucket) == []


def test_what_is_there_is_waited_for_late(bucket: ScriptedBucket) -> None:
    """Not before the second chunk, or the record."""
    for then in (lambda put: put.send(b"2"), Put.publish):
        current = Late(None)
        put = put_of(bucket, current)
        put.send(b"1")
        taken = [current.taken]
        then(put)
        taken.append(current.taken)
        assert taken == [False, True]


@pytest.mark.parametrize(
    ("size", "margin"), [(None, 3600), (0, 10), (64 << 10, 11), (640 << 10, 20)]
)
def test_chunks_outlive_their_record(
    size: int | None, margin: int, bucket: ScriptedBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(upload, "time", SimpleNamespace(monotonic=lambda: now))
    put = put_of(bucket, ttl=timedelta(seconds=100), expected_size=size)
    assert sender_of(put).header.count(b"Nats-TTL: %ds" % (100 + margin)) == 1
    assert put._time_left(timedelta(seconds=100)) == timedelta(seconds=100)
    now += margin + 30  # it took longer than expected
    assert put._time_left(timedelta(seconds=100)) == timedelta(seconds=70)
    now += 1000
    assert put._time_left(timedelta(seconds=100)) == timedelta(seconds=1)


# --- what fails before the commit


@pytest.mark.parametrize("limit", [0, 4, 15])
def test_the_limit(limit: int, bucket: ScriptedBucket) -> None:
    """What would exceed it is not sent."""
    bucket.known.max_object_size = limit
    put = put_of(bucket)
    with pytest.raises(ObjectTooLargeError) as caught:
        sent(put)
    assert caught.value.limit == limit
    assert sum(map(len, bucket.chunks("new"))) <= limit
    put.abort()
    assert bucket.chunks("new") == []


def test_exactly_the_limit(bucket: ScriptedBucket) -> None:
    bucket.known.max_object_size = 16
    assert sent(put_of(bucket)).commit().size == 16


def test_a_damaged_record_is_an_error_at_the_second_chunk(bucket: ScriptedBucket) -> None:
    put = put_of(bucket, Late(None, ObjectCorruptError("malformed")))
    put.send(b"1")
    with pytest.raises(ObjectCorruptError):
        put.send(b"2")
    put.abort()
    assert purged(bucket) == ["new"]


@pytest.mark.parametrize("place", [0, 2])
def test_a_chunk_that_is_not_stored(place: int, bucket: ScriptedBucket) -> None:
    """What was sent is removed once it has settled, and nothing else."""
    current = old_object(bucket)
    ScriptedSender.faults = [*[None] * place, StorageFullError("full")]
    put = put_of(bucket, Known(current))
    with pytest.raises(StorageFullError):
        sent(put)
    put.abort()
    assert purged(bucket) == (["new"] if place else [])
    assert sender_of(put).log[0] == "settle"
    assert bucket.chunks("old") == [b"old content"]
    assert bucket.calls("publish") == []


def test_chunks_that_were_never_answered(bucket: ScriptedBucket) -> None:
    """Before they are removed, what is under way is let pass."""
    put = put_of(bucket)
    put.send(b"1")
    sender_of(put).has_unanswered = True
    put.abort()
    assert bucket.asked == [
        ("fence", chunk_subject("b", "new")),
        ("purge", chunk_subject("b", "new")),
    ]


@pytest.mark.parametrize("connected", [False, True])
def test_patience_that_is_used_up(connected: bool, bucket: ScriptedBucket) -> None:
    """Without a connection nothing is asked for any more; with one, all is removed."""
    put = put_of(bucket)
    put.send(b"1")
    sender_of(put).gave_up = True
    bucket.connection.is_connected = connected
    put.abort()
    assert purged(bucket) == (["new"] if connected else [])
    assert sender_of(put).log[-1] == "close"


# --- the commit


def test_somebody_else_was_faster(bucket: ScriptedBucket) -> None:
    """Where nobody says what to do then, it is an error, and the new chunks go."""
    put = sent(put_of(bucket))
    theirs = old_object(bucket, "theirs")
    with pytest.raises(RevisionMismatchError) as caught:
        put.commit()
    assert (caught.value.expected, caught.value.actual) == (0, theirs.revision)
    put.abort()
    assert purged(bucket) == ["new"]
    assert bucket.chunks("theirs") == [b"old content"]


def test_it_is_stored_over_what_somebody_else_stored(bucket: ScriptedBucket) -> None:
    """With what was sent, whatever is to be said of it now; theirs is what is replaced."""
    asked: list[ObjectInfo | None] = []

    def again(found: ObjectInfo | None) -> ObjectInfo:
        asked.append(found)
        return ObjectInfo("b", "x", nuid="new", description="on_conflict")

    put = sent(put_of(bucket, on_conflict=again))
    theirs = old_object(bucket, "theirs")
    stored = put.commit()
    assert [info and info.revision for info in asked] == [theirs.revision]
    assert (stored.description, stored.size, stored.chunks) == ("on_conflict", 16, 3)
    assert purged(bucket) == ["theirs"]


def test_a_record_that_is_refused(bucket: ScriptedBucket) -> None:
    """It was not stored: the new chunks go, without a look."""
    current = old_object(bucket)
    bucket.fail("publish", BucketSealedError("sealed"))
    put = sent(put_of(bucket, Known(current)))
    with pytest.raises(BucketSealedError):
        put.commit()
    put.abort()
    assert purged(bucket) == ["new"]
    assert bucket.calls("read") == []


def test_an_answer_that_is_lost(bucket: ScriptedBucket) -> None:
    """It was stored: the leader says so, and it is a success."""
    current = old_object(bucket)
    bucket.fail("ack", ConnectionLostError("it broke"))
    put = sent(put_of(bucket, Known(current)))
    assert put.commit().nuid == "new"
    assert purged(bucket) == ["old"]
    assert bucket.chunks("new") == CHUNKS


def interrupted(put: Put, bucket: ScriptedBucket) -> None:
    """Ctrl-C while the answer to the record is waited for."""
    if put._published is None:
        put.publish()
    published: Any = put._published
    published._make = _raise_interrupt
    with pytest.raises(KeyboardInterrupt):
        put.commit()
    bucket.asked.clear()


def _raise_interrupt() -> None:
    raise KeyboardInterrupt


def test_an_interrupt_before_the_record_was_stored(bucket: ScriptedBucket) -> None:
    """It is looked; the old object is there: the new chunks go."""
    current = old_object(bucket)
    put = sent(put_of(bucket, Known(current)))
    interrupted(put, bucket)
    put.abort()
    assert call_names(bucket) == ["fence", "read", "purge"]
    assert purged(bucket) == ["new"]
    assert bucket.chunks("old") == [b"old content"]


def test_an_interrupt_after_the_record_was_stored(bucket: ScriptedBucket) -> None:
    """It is looked; the new object is there: the old chunks go."""
    current = old_object(bucket)
    put = sent(put_of(bucket, Known(current)))
    put.publish()
    assert put._published is not None
    put._published.result()  # the server has stored it
    interrupted(put, bucket)
    put.abort()
    assert purged(bucket) == ["old"]
    assert bucket.chunks("new") == CHUNKS


def test_an_interrupt_and_another_object_since(bucket: ScriptedBucket) -> None:
    """Ours may have been replaced in turn, and then nobody else removes what it replaced."""
    current = old_object(bucket)
    put = sent(put_of(bucket, Known(current)))
    interrupted(put, bucket)
    old_object(bucket, "theirs")
    put.abort()
    assert purged(bucket) == ["old", "new"]
    assert bucket.chunks("theirs") == [b"old content"]


@pytest.mark.parametrize("call", ["fence", "read"])
def test_an_interrupt_and_nobody_can_tell(call: str, bucket: ScriptedBucket) -> None:
    """Nothing is ever removed on a guess."""
    current = old_object(bucket)
    put = sent(put_of(bucket, Known(current)))
    interrupted(put, bucket)
    bucket.fail(call, RequestTimeoutError("no answer"))
    put.abort()
    assert purged(bucket) == []
    assert bucket.chunks("new") == CHUNKS
    assert bucket.chunks("old") == [b"old content"]


def test_a_put_is_published_once(bucket: ScriptedBucket) -> None:
    """A second time would be a second object, whose chunks nobody counts."""
    put = sent(put_of(bucket))
    put.publish()
    with pytest.raises(RuntimeError, match="it is PUBLISHED"):
        put.publish()


def test_an_abort_after_the_end(bucket: ScriptedBucket) -> None:
    """An interrupt right after the commit changes nothing."""
    put = sent(put_of(bucket))
    put.commit()
    bucket.asked.clear()
    put.abort()
    assert bucket.asked == []
    assert bucket.chunks("new") == CHUNKS


def test_what_is_forgotten_is_left_as_it_is(bucket: ScriptedBucket) -> None:
    """And nothing is waited for any more."""
    current = Late(None)
    put = put_of(bucket, current)
    put.send(b"1")
    put.forget()
    assert current.closed
    assert sender_of(put).log == ["close"]
    assert bucket.asked == []
