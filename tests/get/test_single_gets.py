"""Chunks one request each: what is asked, and what is made of the answers. No server."""

from __future__ import annotations

from typing import Any

import pytest

from objstore import (
    ConnectionClosedError,
    ConnectionLostError,
    ObjectChangedError,
    ObjectCorruptError,
    ObjectInfo,
)
from objstore.get.layout import Layout
from objstore.get.single_gets import AHEAD, LOSSES, SingleGets
from objstore.model.objects import chunk_subject, meta_subject
from objstore.model.record_json import encode_info
from tests.support.scripted_bucket import ScriptedBucket

pytestmark = pytest.mark.newest_server

CHUNK = 10


def payload(number: int) -> bytes:
    return b"%010d" % number


def bucket_with(count: int, between: int = 0) -> tuple[ScriptedBucket, ObjectInfo]:
    """An object of so many chunks, with so many messages of others after each."""
    bucket = ScriptedBucket()
    for number in range(count):
        bucket.store(chunk_subject("b", "nuid"), payload(number))
        for _ in range(between):
            bucket.store(chunk_subject("b", "other"), b"-")
    info = ObjectInfo("b", "x", size=count * CHUNK, chunks=count, nuid="nuid")
    revision = bucket.store(meta_subject("b", "x"), encode_info(info))
    return bucket, info.with_changes(revision=revision)


def steps_of(bucket: Any, info: ObjectInfo) -> SingleGets:
    return SingleGets(bucket, info, Layout(info.size, info.chunks, CHUNK, info.revision))


def asked(bucket: ScriptedBucket) -> list[int]:
    return [sequence for _, sequence in bucket.calls("next")]


def test_each_chunk_is_asked_for_once() -> None:
    """Where nothing stands between: no guess is wrong, and the places are known beforehand."""
    bucket, info = bucket_with(5)
    steps = steps_of(bucket, info)
    assert [steps.next(3) for _ in range(5)] == [payload(number) for number in range(5)]
    assert asked(bucket) == [1, 2, 3, 4, 5]
    assert bucket.calls("subjects", "last") == [("subjects", chunk_subject("b", "nuid"))]


@pytest.mark.parametrize(("ahead", "under_way"), [(0, 1), (1, 1), (4, 4), (1000, AHEAD)])
def test_as_many_are_under_way_as_wanted(ahead: int, under_way: int) -> None:
    bucket, info = bucket_with(2 * AHEAD)
    steps = steps_of(bucket, info)
    steps.next(ahead)
    assert len(asked(bucket)) == under_way
    assert steps.asked == under_way
    steps.next(ahead)
    assert len(asked(bucket)) == under_way + 1


def test_large_chunks_are_fewer_at_once() -> None:
    bucket, info = bucket_with(9)
    bucket.read_limit.bytes = 3 * CHUNK
    steps_of(bucket, info).next(9)
    assert len(asked(bucket)) == 3


def test_others_messages_between() -> None:
    """A guess that was too low brings a chunk a second time: that is dropped."""
    bucket, info = bucket_with(6, between=2)
    steps = steps_of(bucket, info)
    assert [steps.next(4) for _ in range(6)] == [payload(number) for number in range(6)]


def test_nothing_is_asked_beyond_the_last() -> None:
    bucket, info = bucket_with(3)
    steps = steps_of(bucket, info)
    steps.seek(1)
    assert [steps.next(30), steps.next(30)] == [payload(1), payload(2)]
    assert asked(bucket) == [2, 3]


def test_a_jump_among_others_messages() -> None:
    """The ends are asked for once; what lies before the chunk is passed over."""
    bucket, info = bucket_with(8, between=1)
    steps = steps_of(bucket, info)
    steps.seek(5)
    assert steps.next(1) == payload(5)
    steps.seek(6)
    assert steps.next(1) == payload(6)
    assert len(bucket.calls("last")) == 1
    steps.seek(5)  # its place is remembered
    before = len(asked(bucket))
    assert steps.next(1) == payload(5)
    assert len(asked(bucket)) == before + 1


def test_a_jump_drops_what_is_under_way() -> None:
    bucket, info = bucket_with(9)
    steps = steps_of(bucket, info)
    steps.next(4)
    steps.seek(8)
    assert [answer.closed for answer in bucket.answers] == [False, True, True, True]
    assert steps.next(1) == payload(8)


def test_a_connection_that_is_lost() -> None:
    """What was under way is asked for again, from the last chunk that came."""
    bucket, info = bucket_with(6)
    steps = steps_of(bucket, info)
    assert steps.next(3) == payload(0)
    bucket.fail("take", *[ConnectionLostError("gone")] * LOSSES)
    assert [steps.next(3) for _ in range(5)] == [payload(number) for number in range(1, 6)]


def test_connections_that_are_lost_over_and_over() -> None:
    """There is an end to it; an answer in between begins the count anew."""
    bucket, info = bucket_with(6)
    steps = steps_of(bucket, info)
    losses = [ConnectionLostError("gone")] * LOSSES
    bucket.fail("take", *losses, None, *losses, None)
    assert [steps.next(1), steps.next(1)] == [payload(0), payload(1)]
    bucket.fail("take", *losses, ConnectionLostError("the last straw"))
    with pytest.raises(ConnectionLostError, match="the last straw"):
        steps.next(1)


def test_a_connection_that_is_closed() -> None:
    """By ourselves: it is not tried again."""
    bucket, info = bucket_with(6)
    bucket.fail("take", ConnectionClosedError("closed"))
    with pytest.raises(ConnectionClosedError):
        steps_of(bucket, info).next(1)
    assert len(asked(bucket)) == 1


def test_too_few_chunks() -> None:
    """They are counted before any is given out."""
    bucket, info = bucket_with(6)
    del bucket.messages[3]
    with pytest.raises(ObjectCorruptError, match="1 of its 6 chunks is missing"):
        steps_of(bucket, info).next(1)
    assert asked(bucket) == []


def test_a_chunk_that_goes_while_it_is_read() -> None:
    bucket, info = bucket_with(6)
    steps = steps_of(bucket, info)
    assert steps.next(1) == payload(0)
    del bucket.messages[2]
    with pytest.raises(ObjectCorruptError):
        steps.next(1)


@pytest.mark.parametrize(("now", "word"), [("other", "overwritten"), ("", "deleted")])
def test_an_object_that_changes(now: str, word: str) -> None:
    bucket, info = bucket_with(6)
    steps = steps_of(bucket, info)
    steps.next(1)
    bucket.purge("OBJ_b", chunk_subject("b", "nuid"))
    changed = info.with_changes(nuid=now, deleted=not now)
    bucket.store(meta_subject("b", "x"), encode_info(changed))
    with pytest.raises(ObjectChangedError, match=word):
        steps.next(1)
