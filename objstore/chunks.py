"""The road of a get: chunks in the stream, counted and verified.

No consumer is ever created. One-chunk objects come by one direct get of their subject's last
message; larger ones by batches of direct gets (ADR-31), the next one asked for while the last
one arrives, at most 8 MiB ahead of the reader. What arrives is counted: the sequence and the
number of messages left, which every answer carries, say exactly which chunk it is.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
import warnings
from base64 import urlsafe_b64encode
from collections import deque
from collections.abc import Generator, Iterator
from typing import NamedTuple

from objstore.errors import (
    ConnectionClosedError,
    ConnectionLostError,
    DigestMismatchError,
    NoRespondersError,
    ObjectChangedError,
    ObjectCorruptError,
    ObjStoreError,
    RequestTimeoutError,
)
from objstore.objects import DIGEST_PREFIX, ObjectInfo, chunk_subject
from objstore.records import Records
from objstore.stepped import stepped_chunks
from objstore.wire.direct import (
    BATCH_END,
    NO_RESPONDERS,
    NOT_FOUND,
    DirectGet,
    direct_error,
    position,
)
from objstore.wire.protocol import Message

__all__ = ["Payload", "chunk_payloads", "verify_whole"]

Payload = bytes | memoryview

#: Bytes that may be asked for and not yet read. Direct gets have no flow control: the server
#: drops a client with 64 MiB pending, or one that stops reading for 10 s with 8 MiB.
AHEAD = 8 << 20

#: Bytes of one batch; and what the server counts for a message beside its payload, at most.
BATCH_BYTES = 4 << 20
OVERHEAD = 512

#: A batch that is silent for so long, in seconds, is asked for again: its server may be dead.
SILENCE = 1.0

#: How many batches may end without the chunk that is due, before the object counts as damaged:
#: of three replicas one may be. Silence does not count; it has its time-out.
TRIES = 4


class _Ended(NamedTuple):
    """A batch has ended: well, or for the reason ``error``."""

    error: ObjStoreError | None


class _Batch:
    """A batch under way.

    Attributes:
        get: its messages.
        first: the sequence it starts from.
        count: how many chunks it was asked for.
    """

    __slots__ = ("count", "first", "get", "seen")

    def __init__(self, get: DirectGet, first: int, count: int) -> None:
        self.get = get
        self.first = first
        self.count = count
        self.seen = 0


class _Chunks:
    """The chunks of an object, in order, each exactly once.

    Arguments:
        records: the bucket.
        info: the object, of more than one chunk.

    Memory: :data:`AHEAD` bytes that were asked for, and the chunk handed out.
    """

    def __init__(self, records: Records, info: ObjectInfo) -> None:
        self._records = records
        self._jetstream = records.jetstream
        self._info = info
        self._subject = chunk_subject(records.bucket, info.nuid)
        chunk_size = info.options.chunk_size or max(1, info.size // info.chunks)
        self._per_batch = max(1, BATCH_BYTES // (chunk_size + OVERHEAD))
        self._counts_itself = not self._jetstream.supports("exact pending counts")
        self._batches: deque[_Batch] = deque()
        self._next = 0  # the index of the chunk to hand out next
        self._last_sequence = 0  # of the chunk handed out last
        self._interleaved = False  # other messages stand between the chunks

    def __iter__(self) -> Iterator[Payload]:
        ends = 0  # of batches, since the last chunk
        silent_since = time.monotonic()
        try:
            while self._next < self._info.chunks and self._records.direct:
                if not self._batches:
                    self._ask(self._last_sequence + 1, self._next)
                received = self._receive(silent_since)
                if isinstance(received, Message):
                    yield received.payload
                    ends, silent_since = 0, time.monotonic()
                elif received is not None:
                    ends += 1
                    if ends > TRIES:
                        raise received.error or self._incomplete()
                    silent_since = time.monotonic()
        finally:
            self.close()

    @property
    def done(self) -> tuple[int, int]:
        """How many chunks were handed out, and the sequence of the last one."""
        return self._next, self._last_sequence

    def close(self) -> None:
        """Drop what is under way."""
        while self._batches:
            self._batches.popleft().get.close()

    def _ask(self, sequence: int, index: int) -> None:
        """Ask for a batch that begins with the chunk of an index, at a sequence or later."""
        count = min(self._per_batch, self._info.chunks - index)
        request = {
            "next_by_subj": self._subject,
            "seq": sequence,
            "batch": count,
            "max_bytes": BATCH_BYTES,
        }
        get = self._jetstream.direct_batch(self._records.stream, request)
        self._batches.append(_Batch(get, sequence, count))

    def _receive(self, silent_since: float) -> Message | _Ended | None:
        """The next chunk, or the end of the batch in front.

        None: it was silent and is to be asked for again, or a chunk came a second time.

        Raises:
            RequestTimeoutError: nothing has come for one time-out.
        """
        batch = self._batches[0]
        timeout = self._jetstream.timeout
        try:
            message = batch.get.next(min(SILENCE, timeout))
        except ConnectionClosedError:
            raise
        except ConnectionLostError as error:
            self.close()
            return _Ended(error)
        if message is None:
            self.close()
            if time.monotonic() - silent_since >= timeout:
                raise RequestTimeoutError(
                    f"no chunk of {self._info.name!r} for {timeout:g} s",
                    bucket=self._info.bucket,
                    name=self._info.name,
                    timeout=timeout,
                )
            return None
        status = message.status
        if not status:
            return self._take(batch, message)
        if status in (BATCH_END, NOT_FOUND):
            self._batches.popleft().get.close()
            return _Ended(None)
        if status == NO_RESPONDERS:
            self._records.learn_direct()  # a bucket that is gone is an error here
            if self._records.direct:
                raise direct_error(message, f"reading {self._info.name!r}")
            self.close()
            return None
        raise direct_error(message, f"reading {self._info.name!r}")

    def _take(self, batch: _Batch, message: Message) -> Message | _Ended | None:
        """Place a chunk by its position; one that was handed out already is dropped.

        One that is not the next is too far on: the batch before ended early, since chunks are
        larger than stated, or a server lacks some. Then the next one is asked for by itself.
        """
        sequence, pending = position(message, self._counts_itself)
        batch.seen += 1
        if sequence <= self._last_sequence:
            self._interleaved = True  # the batch began too early
            return None
        index = self._info.chunks - 1 - pending
        if index != self._next:
            self.close()
            return _Ended(None)
        self._next += 1
        if self._last_sequence and sequence != self._last_sequence + 1:
            self._interleaved = True
        self._last_sequence = sequence
        self._ask_ahead(batch, sequence)
        return message

    def _ask_ahead(self, batch: _Batch, sequence: int) -> None:
        """Ask for the next batch while this one arrives.

        It begins at the lowest sequence that its first chunk can have: each chunk is at least
        one further on. Where other messages stand between, that is too early, and chunks come
        twice; then the next batch is asked for when the last one has ended.
        """
        if self._interleaved or len(self._batches) > 1:
            return
        left_in_batch = batch.count - batch.seen
        index = self._next + left_in_batch
        if index < self._info.chunks:
            self._ask(sequence + 1 + left_in_batch, index)

    def _incomplete(self) -> ObjStoreError:
        return why_incomplete(self._records, self._info, self._next)


def why_incomplete(records: Records, info: ObjectInfo, index: int) -> ObjStoreError:
    """The reason why a chunk does not come: the object changed, or is damaged."""
    facts = {"bucket": info.bucket, "name": info.name}
    now = records.read(info.name, fresh=True)
    if now is None or now.deleted or now.nuid != info.nuid:
        what = "deleted" if now is None or now.deleted else "overwritten"
        return ObjectChangedError(f"{info.name!r} was {what} while it was being read", **facts)
    # Which one is lost in the middle, no answer tells: those before it seem to be one further on.
    subject, missing = chunk_subject(records.bucket, info.nuid), 0
    with contextlib.suppress(ObjStoreError):  # counting may not be allowed
        there = records.jetstream.subjects(records.stream, subject).get(subject, 0)
        missing = info.chunks - there
    what = f"{missing} of its {info.chunks} chunks" if missing > 0 else f"chunk {index}"
    is_or_are = "are" if missing > 1 else "is"
    return ObjectCorruptError(f"{info.name!r} is damaged: {what} {is_or_are} missing", **facts)


def _only_chunk(records: Records, info: ObjectInfo) -> Payload:
    """The data of a one-chunk object: the last message of its subject."""
    subject = chunk_subject(records.bucket, info.nuid)
    try:
        stored = records.jetstream.direct_last(records.stream, subject)
    except NoRespondersError:  # no direct gets here
        stored = records.jetstream.last_message(records.stream, subject)
    if stored is None or len(stored.payload) != info.size:
        raise why_incomplete(records, info, 0)
    return stored.payload


def chunk_payloads(records: Records, info: ObjectInfo) -> Generator[Payload, None, None]:
    """All chunks of an object, counted and verified: the last one only after the digest.

    Arguments:
        records: the bucket that it is in.
        info: its metadata; not a link.

    Raises:
        ObjectChangedError: it was overwritten or deleted in between.
        ObjectCorruptError: chunks are missing, or their sizes do not add up.
        DigestMismatchError: they are not the bytes that were stored.
        RequestTimeoutError, ConnectionLostError: the server does not answer.
    """
    if not info.chunks:
        return
    if not info.nuid:
        raise ObjectCorruptError(
            f"the metadata of {info.name!r} name no chunks", bucket=info.bucket, name=info.name
        )
    hasher = hashlib.sha256()
    received = 0
    source = _payloads(records, info)
    for index, payload in enumerate(source):
        hasher.update(payload)
        received += len(payload)
        is_last = index == info.chunks - 1
        if received > info.size or is_last != (received == info.size):
            raise ObjectCorruptError(
                f"{info.name!r} is damaged: its {info.chunks} chunks do not have the "
                f"{info.size:,} bytes stated",
                bucket=info.bucket,
                name=info.name,
            )
        if is_last:
            check_digest(info, hasher.digest())
        yield payload


def _payloads(records: Records, info: ObjectInfo) -> Iterator[Payload]:
    """The chunks by whichever road the server and the bucket have; not verified."""
    if info.chunks == 1:
        yield _only_chunk(records, info)
        return
    done = last = 0
    if records.batches:
        chunks = _Chunks(records, info)
        yield from chunks
        done, last = chunks.done
    if done < info.chunks:
        # Single answers do not tell which chunk they are: the stream counts them beforehand.
        subject = chunk_subject(records.bucket, info.nuid)
        if records.jetstream.subjects(records.stream, subject).get(subject) != info.chunks:
            raise why_incomplete(records, info, done)
        for payload in stepped_chunks(records, info, info.chunks - done, last):
            done += 1
            yield payload
    if done < info.chunks:
        raise why_incomplete(records, info, done)


def verify_whole(info: ObjectInfo, payload: Payload) -> bytes:
    """The content of a one-chunk object, verified.

    Raises:
        ObjectCorruptError: it has not the size stated.
        DigestMismatchError: it is not what was stored.
    """
    if len(payload) != info.size:
        raise ObjectCorruptError(
            f"{info.name!r} is damaged: its chunk has {len(payload):,} bytes, not {info.size:,}",
            bucket=info.bucket,
            name=info.name,
        )
    check_digest(info, hashlib.sha256(payload).digest())
    return bytes(payload)


def check_digest(info: ObjectInfo, digest: bytes) -> None:
    """Compare the digest of what arrived with the one stated.

    Raises:
        DigestMismatchError: they differ.
        ObjectCorruptError: the metadata's digest is of another kind.
    """
    if not info.digest:
        warnings.warn(
            f"{info.name!r} in bucket {info.bucket} has no digest: it was read unverified",
            stacklevel=4,
        )
        return
    kind, _, stated = info.digest.partition("=")
    actual = urlsafe_b64encode(digest).decode()
    if f"{kind}=".upper() != DIGEST_PREFIX:
        raise ObjectCorruptError(
            f"{info.name!r} has a digest of an unknown kind: {info.digest!r}",
            bucket=info.bucket,
            name=info.name,
        )
    if stated.rstrip("=") != actual.rstrip("="):
        raise DigestMismatchError(
            f"{info.name!r} is damaged: its digest is {DIGEST_PREFIX}{actual}, "
            f"not {info.digest} as stated",
            bucket=info.bucket,
            name=info.name,
            expected=info.digest,
            actual=DIGEST_PREFIX + actual,
        )
