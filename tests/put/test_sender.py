"""The sender of chunks: what it keeps, what it sends again, when it gives up. No server."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

import objstore.put.sender
from objstore import (
    APIError,
    BucketNotFoundError,
    BucketSealedError,
    ConnectionClosedError,
    ConnectionLostError,
    NoRespondersError,
    ObjectCorruptError,
    ObjStoreError,
    RequestTimeoutError,
)
from objstore.put.sender import RECOUNTS, ChunkSender
from tests.support.scripted_bucket import ScriptedBucket

pytestmark = pytest.mark.newest_server

SUBJECT = "$O.b.C.nuid"
CHUNKS = [b"%d" % number for number in range(1, 10)]

Fault = Callable[["ScriptedChannel", bytes], None]


class ScriptedChannel:
    """Stands where :class:`~objstore.put.channel.ChunkChannel` does: what is sent is stored.

    Attributes:
        made: all of them, in order.
        faults: what happens to the next chunks in place of that; None: nothing.
        late_faults: what happens when all is sent, and waited for.
    """

    made: list[ScriptedChannel]
    faults: deque[Fault | None]
    late_faults: deque[Fault]

    def __init__(
        self, records: Any, _subject: str, header: bytes, *place: Any, piggyback: bool
    ) -> None:
        self.bucket: ScriptedBucket = records
        stored, sequence, timeout = place
        self.position: tuple[int, int] = stored, sequence
        self.options = header, timeout
        self.piggyback = piggyback
        self.sent: list[bytes] = []
        self.closed = self.settled = self.has_unanswered = False
        self.made.append(self)

    @property
    def may_have_stored(self) -> bool:
        return self.position[0] > 0 or self.has_unanswered

    def send(self, chunk: bytes) -> None:
        self.sent.append(chunk)
        fault = self.faults.popleft() if self.faults else None
        if fault is None:
            self.store(chunk)
            self.acknowledge()
        else:
            fault(self, chunk)

    def store(self, chunk: bytes) -> None:
        self.bucket.store(SUBJECT, chunk)

    def acknowledge(self) -> None:
        """All that is stored."""
        self.position = len(self.bucket.chunks("nuid")), max(self.bucket.messages)

    def finish(self) -> None:
        if self.late_faults:
            self.late_faults.popleft()(self, b"")

    def recover(self, kept: Mapping[int, bytes]) -> tuple[int, int]:
        """As the real one: what continues the object stays, the rest is deleted."""
        self.bucket.asked.append(("recover", sorted(kept)))
        waiting = self.bucket.faults.get("recover")
        if waiting and (error := waiting.popleft()) is not None:
            raise error
        number, last = self.position
        for sequence, (_, payload) in sorted(self.bucket.messages.items()):
            if sequence > last and kept.get(number + 1) == payload:
                number, last = number + 1, sequence
            elif sequence > last:
                del self.bucket.messages[sequence]
        return number, last

    def settle(self) -> None:
        self.settled = True

    def close(self) -> None:
        self.closed = True


def loses(*, stored: bool, error: ObjStoreError | None = None) -> Fault:
    """The chunk is stored or not, and its answer is an error."""

    def fault(channel: ScriptedChannel, chunk: bytes) -> None:
        if stored:
            channel.store(chunk)
        raise error or ConnectionLostError("it broke")

    return fault


def silent(channel: ScriptedChannel, chunk: bytes) -> None:
    """Stored, and not acknowledged yet."""
    channel.store(chunk)


def comes_twice(channel: ScriptedChannel, chunk: bytes) -> None:
    """The server has read it from two connections."""
    channel.store(chunk)
    channel.store(chunk)
    channel.position = channel.position[0] + 1, max(channel.bucket.messages)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> ScriptedBucket:
    monkeypatch.setattr(objstore.put.sender, "ChunkChannel", ScriptedChannel)
    monkeypatch.setattr(objstore.put.sender, "PAUSE", 0.0)
    ScriptedChannel.made = []
    ScriptedChannel.faults, ScriptedChannel.late_faults = deque(), deque()
    return ScriptedBucket()


@pytest.fixture
def sender(bucket: Any) -> ChunkSender:
    return ChunkSender(bucket, SUBJECT, b"header", 3.0)


def send_all(sender: ChunkSender) -> None:
    for chunk in CHUNKS:
        sender.send(chunk)
    sender.finish()
    sender.check_count()


def recoveries(bucket: ScriptedBucket) -> list[list[int]]:
    """The chunks that were kept, at each recovery."""
    return [kept for _, kept in bucket.calls("recover")]


def test_all_well(sender: ChunkSender, bucket: ScriptedBucket) -> None:
    """One channel, nothing kept, and nothing asked for beside it."""
    before = sender.may_have_stored
    send_all(sender)
    (channel,) = ScriptedChannel.made
    assert channel.options == (b"header", 3.0)
    assert bucket.chunks("nuid") == CHUNKS
    assert bucket.asked == []
    assert (before, sender.may_have_stored) == (False, True)
    assert not sender.has_unanswered
    assert not sender._kept


def test_what_is_kept_is_what_is_not_acknowledged(
    sender: ChunkSender, bucket: ScriptedBucket
) -> None:
    ScriptedChannel.faults.extend([None, silent, silent, None, silent])
    held = []
    for chunk in CHUNKS[:5]:
        sender.send(chunk)
        held.append(sorted(sender._kept))
    assert held == [[], [2], [2, 3], [], [5]]
    sender.finish()
    assert not sender._kept
    assert bucket.asked == []


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("place", [0, 4, 8])
def test_a_chunk_whose_answer_is_lost(
    place: int, stored: bool, sender: ChunkSender, bucket: ScriptedBucket
) -> None:
    """Whether it was stored is found out, and then it is sent again, or not."""
    ScriptedChannel.faults.extend([None] * place + [loses(stored=stored)])
    send_all(sender)
    assert bucket.chunks("nuid") == CHUNKS
    assert recoveries(bucket) == [[place + 1]]
    again = [chunk for channel in ScriptedChannel.made[1:] for chunk in channel.sent]
    assert again == CHUNKS[place + 1 if stored else place :]
    assert all(channel.closed for channel in ScriptedChannel.made[:-1])
    assert sender.has_unanswered


def test_several_under_way(sender: ChunkSender, bucket: ScriptedBucket) -> None:
    """The whole rest is sent again, in order."""
    ScriptedChannel.faults.extend([None, None, silent, silent, loses(stored=False)])
    send_all(sender)
    assert bucket.chunks("nuid") == CHUNKS
    assert recoveries(bucket) == [[3, 4, 5]]


def test_the_last_answers_are_lost(sender: ChunkSender, bucket: ScriptedBucket) -> None:
    ScriptedChannel.faults.extend([None] * 7 + [silent, silent])
    ScriptedChannel.late_faults.append(loses(stored=False))
    send_all(sender)
    assert bucket.chunks("nuid") == CHUNKS
    assert recoveries(bucket) == [[8, 9]]


@pytest.mark.parametrize(
    "error",
    [
        ConnectionLostError("again"),
        RequestTimeoutError("again"),
        NoRespondersError("again"),
        APIError("again", code=503),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_recovery_that_fails(
    error: ObjStoreError, sender: ChunkSender, bucket: ScriptedBucket
) -> None:
    """As long as it may pass, it is tried again."""
    ScriptedChannel.faults.extend([None, loses(stored=True)])
    bucket.fail("recover", error, error, error)
    send_all(sender)
    assert bucket.chunks("nuid") == CHUNKS
    assert len(recoveries(bucket)) == 4
    assert not sender.gave_up


def test_sending_again_fails(sender: ChunkSender, bucket: ScriptedBucket) -> None:
    ScriptedChannel.faults.extend([None, loses(stored=True), loses(stored=False)] * 2)
    send_all(sender)
    assert bucket.chunks("nuid") == CHUNKS


@pytest.mark.parametrize(
    "error",
    [BucketSealedError("sealed"), ConnectionClosedError("closed"), APIError("no", code=400)],
    ids=lambda error: type(error).__name__,
)
def test_what_does_not_pass(
    error: ObjStoreError, sender: ChunkSender, bucket: ScriptedBucket
) -> None:
    """It is raised at once, and nothing is asked for."""
    ScriptedChannel.faults.extend([None, loses(stored=False, error=error)])
    sender.send(CHUNKS[0])
    with pytest.raises(type(error)) as caught:
        sender.send(CHUNKS[1])
    assert caught.value is error
    assert bucket.asked == []
    assert not sender.gave_up


def test_a_bucket_that_is_gone(sender: ChunkSender, bucket: ScriptedBucket) -> None:
    """Nobody answers: whether the bucket is there is asked once, and not waited for."""
    ScriptedChannel.faults.append(loses(stored=False, error=NoRespondersError("nobody")))
    bucket.exists = False
    with pytest.raises(BucketNotFoundError):
        sender.send(CHUNKS[0])
    assert bucket.asked == [("check_exists", None)]


def test_all_patience_is_used_up(
    sender: ChunkSender, bucket: ScriptedBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first cause is raised, whatever came after it."""
    monkeypatch.setattr(objstore.put.sender, "PATIENCE", 0.0)
    ScriptedChannel.faults.append(loses(stored=False))
    with pytest.raises(ConnectionLostError, match="it broke"):
        sender.send(CHUNKS[0])
    assert sender.gave_up
    assert recoveries(bucket) == []


def test_patience_is_for_no_progress_at_all(
    sender: ChunkSender, bucket: ScriptedBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faults with chunks stored in between may go on for ever; the connection's counts if shorter.

    The clock is the test's: each look at it is a second later.
    """
    seconds = count()
    clock = SimpleNamespace(monotonic=lambda: float(next(seconds)), sleep=lambda _: None)
    monkeypatch.setattr(objstore.put.sender, "time", clock)
    bucket.patience = 10.0
    for _ in range(9):
        ScriptedChannel.faults.extend([loses(stored=False), None])
        bucket.fail("recover", *[RequestTimeoutError("again")] * 4, None)
    for chunk in CHUNKS:
        sender.send(chunk)
    sender.finish()
    assert bucket.chunks("nuid") == CHUNKS
    ScriptedChannel.faults.append(loses(stored=False))
    bucket.fail("recover", *[RequestTimeoutError("again")] * 20)
    with pytest.raises(ConnectionLostError, match="it broke"):
        sender.send(b"one more")
    assert sender.gave_up


def test_chunks_that_came_twice(sender: ChunkSender, bucket: ScriptedBucket) -> None:
    """After a fault they are counted; one too many is found, and deleted."""
    ScriptedChannel.faults.extend([None, loses(stored=False), comes_twice])
    send_all(sender)
    assert bucket.chunks("nuid") == CHUNKS


def test_chunks_that_come_twice_over_and_over(
    sender: ChunkSender, bucket: ScriptedBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is an end to it: no object, rather than a wrong one."""
    counted = bucket.stream_info

    def late(stream: str, request: dict[str, Any]) -> dict[str, Any]:
        bucket.store(SUBJECT, CHUNKS[1])
        return counted(stream, request)

    monkeypatch.setattr(bucket, "stream_info", late)
    ScriptedChannel.faults.extend([None, loses(stored=False)])
    sender.send(CHUNKS[0])
    with pytest.raises(ObjectCorruptError, match="chunks are stored, of 2 that were sent"):
        sender.send(CHUNKS[1])
    assert len(recoveries(bucket)) == RECOUNTS + 1


def test_acknowledged_chunks_that_are_gone(sender: ChunkSender, bucket: ScriptedBucket) -> None:
    ScriptedChannel.faults.extend([None, None, None, loses(stored=False)])
    for chunk in CHUNKS[:3]:
        sender.send(chunk)
    bucket.messages.clear()
    with pytest.raises(ObjectCorruptError, match="1 chunks are stored, of 4 that were sent"):
        sender.send(CHUNKS[3])


def test_small_uploads_are_not_counted(
    sender: ChunkSender, bucket: ScriptedBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objstore.put.sender, "LONG", math.inf)
    for chunk in CHUNKS:
        sender.send(chunk)
    bucket.store(SUBJECT, b"of somebody else")
    sender.check_count()
    assert bucket.asked == []


@pytest.mark.parametrize("limit", ["LONG", "LARGE"])
def test_long_and_large_uploads_are_counted(
    limit: str, sender: ChunkSender, bucket: ScriptedBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream may drop chunks that it has acknowledged, as somebody else has set it since."""
    reached = {"LONG": -1.0, "LARGE": sum(map(len, CHUNKS))}
    monkeypatch.setattr(objstore.put.sender, limit, reached[limit])
    for chunk in CHUNKS:
        sender.send(chunk)
    sender.check_count()
    del bucket.messages[min(bucket.messages)]
    with pytest.raises(ObjectCorruptError, match="chunks are stored, of"):
        sender.check_count()


def test_settle_and_close(sender: ChunkSender) -> None:
    ScriptedChannel.faults.append(silent)
    sender.send(CHUNKS[0])
    sender.settle()
    sender.close()
    (channel,) = ScriptedChannel.made
    assert channel.settled
    assert channel.closed
    assert not sender._kept
