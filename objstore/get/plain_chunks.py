"""Chunks of several objects, asked for together, where they have the usual places in the stream.

The usual places are: all chunks but the last of one size, and in a row right before their record.
"""

from __future__ import annotations

import contextlib
from typing import Protocol

from objstore.errors import ObjStoreError
from objstore.get.integrity import Payload, verify_whole
from objstore.get.layout import Layout
from objstore.metadata.records import Records
from objstore.model.objects import ObjectInfo, chunk_subject
from objstore.wire.jetstream.access import PendingRead
from objstore.wire.jetstream.answers import StoredMessage
from objstore.wire.jetstream.direct import BatchRequest, DirectPage, position

__all__ = [
    "GROUP",
    "SMALL",
    "ChunkKey",
    "Fetch",
    "FetchOne",
    "FetchOnly",
    "PlainObject",
    "last_of_each",
]

#: The largest part that is cut out of chunks, in bytes.
SMALL = 1 << 20

#: How many objects are asked for by one request.
GROUP = 32

#: What comes with chunks: their headers.
BESIDE = 64 << 10

ChunkKey = tuple[str, int]  # a nuid, and the number of a chunk


class PlainObject:
    """An object of which parts are read.

    Attributes:
        records: the bucket that it is in.
        info: the object's record.
        layout: where its chunks are.
        is_given: whether a part of it was given to the user.
        is_plain: whether its chunks may have the usual places.
    """

    def __init__(self, records: Records, info: ObjectInfo) -> None:
        self.records = records
        self.info = info
        self.is_given = False
        self.is_plain = bool(info.chunks and info.nuid)
        if info.chunks > 1:
            size = info.options.chunk_size
            self.layout = Layout(info.size, info.chunks, size, info.revision)
            # One request for a chunk by its place needs an answer that says which chunk it is.
            self.is_plain &= records.batches and self.layout.chunk_size is not None

    def bytes_of(self, start: int | None, end: int | None) -> tuple[int, int]:
        """Return the first byte of a part, and the byte behind its last."""
        # Python's own rule for bounds: negative ones count from the end, what is beyond it is not
        # there.
        first, last, _ = slice(start, end).indices(self.info.size)
        return first, max(first, last)

    def chunks_of(self, first: int, last: int) -> range | None:
        """Return the numbers of the chunks that hold the bytes from ``first`` up to ``last``.

        None: they are to be read as a file.
        """
        if first >= last:
            return range(0)
        # A large part fills the connection by itself; as a file it is streamed.
        if not self.is_plain or last - first > SMALL:
            return None
        if self.info.chunks == 1:
            return range(1)
        size = self.layout.chunk_size
        return None if size is None else range(first // size, (last - 1) // size + 1)

    def typical(self) -> int:
        """Return about how large a chunk is, in bytes."""
        return self.info.size if self.info.chunks == 1 else self.layout.typical


class Fetch(Protocol):
    """Chunks that were asked for; to be closed.

    Attributes:
        size: about how many bytes the chunks have.
    """

    size: int

    def results(self) -> dict[ChunkKey, Payload | None]:
        """Return the chunks; None: one did not come this way, and must be read as a file."""

    def close(self) -> None:
        """Stop waiting for the chunks. Never fails."""


class FetchOnly:
    """The only chunks of some objects of a bucket: the last messages of their subjects."""

    def __init__(self, objects: list[PlainObject]) -> None:
        self.size = sum(each.typical() for each in objects)
        self._records = objects[0].records
        bucket = self._records.bucket
        self._objects = {chunk_subject(bucket, each.info.nuid): each for each in objects}
        self._page: DirectPage | None = None
        self._pending: dict[str, PendingRead] = {}
        if self._records.batches:
            request = BatchRequest(last_of=list(self._objects), max_bytes=2 * self.size + BESIDE)
            self._page = self._records.jetstream.direct_page(self._records.stream, request)
            return
        for subject in self._objects:
            # Chunks are immutable, so any server's will do; the digest tells.
            self._pending[subject] = self._records.access.start_last(subject, leader=False)

    def results(self) -> dict[ChunkKey, Payload | None]:
        """Do as :meth:`Fetch.results`."""
        if self._page is not None:
            # None where not all came: then each object is read as a file.
            found = self._records.access.complete(self._page, self.size)
            by_subject = {stored.subject: stored for stored in found or ()}
        else:
            by_subject = self._one_by_one()
        return {
            (each.info.nuid, 0): _verified(each.info, by_subject.get(subject))
            for subject, each in self._objects.items()
        }

    def _one_by_one(self) -> dict[str, StoredMessage]:
        found: dict[str, StoredMessage] = {}
        for subject, each in self._pending.items():
            with contextlib.suppress(ObjStoreError):
                stored = each.result()
                if stored is not None:
                    found[subject] = stored
        return found

    def close(self) -> None:
        """Do as :meth:`Fetch.close`."""
        for pending in (self._page, *self._pending.values()):
            if pending is not None:
                pending.close()


def _verified(info: ObjectInfo, stored: StoredMessage | None) -> Payload | None:
    """Return the verified content of a one-chunk object; None: the message does not hold it."""
    try:
        return None if stored is None else verify_whole(info, stored.payload)
    except ObjStoreError:
        return None


class FetchOne:
    """One of several chunks of an object, by the place that it has where they stand in a row."""

    def __init__(self, wanted: PlainObject, number: int) -> None:
        self.size = wanted.typical()
        self._wanted = wanted
        self._number = number
        records, info = wanted.records, wanted.info
        request = BatchRequest(
            subject=chunk_subject(records.bucket, info.nuid),
            # Where it is if nothing stands between it and the record; what comes instead is not
            # used.
            sequence=wanted.layout.bounds(number).high,
            count=1,
            max_bytes=self.size + BESIDE,
        )
        self._page = records.jetstream.direct_page(records.stream, request)

    def results(self) -> dict[ChunkKey, Payload | None]:
        """Do as :meth:`Fetch.results`."""
        payload = None
        with contextlib.suppress(ObjStoreError):
            payload = self._result()
        return {(self._wanted.info.nuid, self._number): payload}

    def _result(self) -> Payload | None:
        records, layout, number = self._wanted.records, self._wanted.layout, self._number
        messages = records.access.take(self._page, records.jetstream.timeout)
        if not messages or messages[0].status:
            return None
        stored = StoredMessage.of_direct(messages[0])
        _, behind = position(messages[0], records.jetstream.pending_includes_self)
        # Both the number of chunks behind it and its place must be right: one alone can be so by
        # chance where a server lacks chunks.
        if behind != layout.chunks - 1 - number or stored.sequence != layout.bounds(number).high:
            return None  # other messages stand between its chunks, or some are missing
        size = layout.chunk_size
        offset = number * size if size is not None else 0
        if number == layout.chunks - 1 and not layout.proved:
            # The last chunk tells whether all others are of the size stated.
            layout.prove(len(stored.payload))
            self._wanted.is_plain = layout.proved
        elif size is None or len(stored.payload) != min(size, layout.size - offset):
            self._wanted.is_plain = False
        return stored.payload if self._wanted.is_plain else None

    def close(self) -> None:
        """Do as :meth:`Fetch.close`."""
        self._page.close()


def last_of_each(
    records: Records, subjects: list[str], most_bytes: int
) -> dict[str, StoredMessage]:
    """Read the last message of each subject, many by one request; some may not come.

    Arguments:
        records: the bucket.
        subjects: of the messages.
        most_bytes: how much one request may bring, in bytes.

    Returns:
        The messages that came, by subject.
    """
    pages: list[DirectPage] = []
    found: dict[str, StoredMessage] = {}
    try:
        # All asked for before the first answer is taken: one round trip for all groups.
        for at in range(0, len(subjects), GROUP):
            request = BatchRequest(last_of=subjects[at : at + GROUP], max_bytes=most_bytes)
            pages.append(records.jetstream.direct_page(records.stream, request))
        for page in pages:
            for stored in records.access.complete(page, most_bytes) or ():
                found[stored.subject] = stored
    finally:
        for page in pages:
            page.close()
    return found
