"""Chunks one request each: for servers before 2.11, and buckets without direct gets.

Several requests are under way at once. Each asks for the first message of the subject from a
sequence on, and the sequences are guessed: where nothing was stored in between, each chunk is one
further on. A guess that was too low brings a chunk twice, which is dropped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from objstore.objects import ObjectInfo, chunk_subject
from objstore.records import Records
from objstore.wire.jetstream import PendingGet

__all__ = ["stepped_chunks"]

#: Requests under way at once, and the bytes they may bring.
AHEAD, AHEAD_BYTES = 32, 8 << 20


def stepped_chunks(
    records: Records, info: ObjectInfo, count: int, after: int
) -> Iterator[bytes | memoryview]:
    """Some chunks of an object, in order, each once.

    Arguments:
        records: the bucket.
        info: the object.
        count: how many chunks.
        after: the sequence of the chunk before them; 0: from the first.

    Returns:
        Their payloads; fewer where the stream holds no more.

    Raises:
        BucketNotFoundError, RequestTimeoutError, ConnectionLostError.
    """
    subject = chunk_subject(records.bucket, info.nuid)
    chunk_size = info.options.chunk_size or max(1, info.size // max(1, info.chunks))
    ahead = max(1, min(AHEAD, AHEAD_BYTES // chunk_size))
    under_way: deque[tuple[int, PendingGet]] = deque()
    last, guess = after, after + 1
    try:
        while count:
            while len(under_way) < min(ahead, count):
                under_way.append((guess, records.start_next(subject, guess)))
                guess += 1
            asked, pending = under_way.popleft()
            stored = pending.result()
            if stored is None:
                if asked <= last + 1:
                    return  # there is no chunk after the last one
                continue
            if stored.sequence <= last:
                continue
            last = stored.sequence
            if not under_way:
                guess = last + 1
            yield stored.payload
            count -= 1
    finally:
        for _, pending in under_way:
            pending.close()
