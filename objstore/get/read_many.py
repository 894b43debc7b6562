"""Many small objects at once: requests under way together, results in order.

Where the server answers direct gets of several subjects (``multi_last`` of ADR-31), a group of
objects takes two requests, one for the records and one for the chunks. Elsewhere each object takes
its own two, many of them under way at once.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Collection, Generator, Iterable, Iterator
from typing import cast

import msgspec

from objstore.errors import (
    ConnectionLostError,
    InvalidNameError,
    ObjectCorruptError,
    ObjStoreError,
)
from objstore.get.integrity import verify_whole
from objstore.metadata.records import Records
from objstore.model.objects import DEFAULT_CHUNK_SIZE, ObjectInfo, chunk_subject, meta_subject
from objstore.wire.jetstream.access import PendingRead
from objstore.wire.jetstream.answers import StoredMessage
from objstore.wire.jetstream.direct import BatchRequest, DirectPage

__all__ = ["Found", "read_many"]

#: How many objects are under way at once, and the largest that takes part; larger ones are read
#: one after the other, which fills the connection anyway.
AHEAD, SMALL = 64, DEFAULT_CHUNK_SIZE

#: How many objects are asked for by one request, and the bytes of its answer, at most.
GROUP, GROUP_BYTES = 32, 8 << 20

#: After the last name.
_END = object()


class Found(msgspec.Struct, frozen=True):
    """An object that two requests found whole.

    Attributes:
        info: its record.
        content: all of it.
    """

    info: ObjectInfo
    content: bytes


def read_many(
    records: Records, names: Iterable[str]
) -> Generator[tuple[str, Found | None], None, None]:
    """Yield each name with its object.

    Arguments:
        records: the bucket.
        names: of the objects.

    Yields:
        None in place of what needs more than two requests, whatever it is: a large object, a
        link, one that changed in between or is not there. It is to be read alone.
    """
    source = iter(names)
    group = _next_group(records, source)
    try:
        while group is not None:
            now = group
            try:
                now.ask_for_chunks()
                group = None
                group = _next_group(records, source)  # its records come meanwhile
                yield from now.contents()
            finally:
                now.close()
    finally:
        if group is not None:
            group.close()
    yield from _in_turn(records, source)


def _next_group(records: Records, names: Iterator[str]) -> _Group | None:
    """Ask for the records of the next names; None: no names are left, or batches cannot be had."""
    if not (records.batches and records.reads_direct):
        return None
    limit = records.jetstream.read_limit.bytes
    # Half of what may be under way: the next group's records come beside these chunks.
    if (count := min(GROUP, limit // 2 // SMALL)) < 2:
        return None
    some = list(itertools.islice(names, count))
    return _Group(records, some) if some else None


class _Group:
    """Some objects under way: their records are asked for, then their only chunks."""

    def __init__(self, records: Records, names: list[str]) -> None:
        self._records = records
        self._subjects = [(name, _subject_of(records, name)) for name in names]
        self._infos: dict[str, ObjectInfo] | None = None  # by subject; None: not known
        self._malformed: set[str] = set()
        self._chunks: DirectPage | None = None
        subjects = {subject for _, subject in self._subjects if subject is not None}
        self._page = self._ask(subjects)

    def _ask(self, subjects: Collection[str]) -> DirectPage | None:
        """Ask for the last messages of subjects."""
        if not subjects:
            return None
        request = BatchRequest(last_of=list(subjects), max_bytes=GROUP_BYTES)
        return self._records.jetstream.direct_page(self._records.stream, request)

    def _take(self, page: DirectPage | None) -> list[StoredMessage] | None:
        """Return all that was asked for; None: it did not come."""
        if page is None:
            return []
        asked = len(self._subjects) * SMALL
        # None where it did not all come: read alone, each either comes or fails properly.
        return self._records.access.complete(page, asked)

    def ask_for_chunks(self) -> None:
        """Take the records, and ask for the chunks of those that have but one."""
        found = self._take(self._page)
        if found is None:
            return
        self._infos = {}
        wanted = set()
        for stored in found:
            try:
                info = self._infos[stored.subject] = self._records.parse(stored)
            except ObjectCorruptError:
                self._malformed.add(stored.subject)
            else:
                if info.chunks == 1 and info.nuid and info.size <= SMALL:
                    wanted.add(chunk_subject(self._records.bucket, info.nuid))
        self._chunks = self._ask(wanted)

    def contents(self) -> Iterator[tuple[str, Found | None]]:
        """Yield each name with its object."""
        chunks = {stored.subject: stored.payload for stored in self._take(self._chunks) or ()}
        for name, subject in self._subjects:
            if subject is None or self._infos is None or subject in self._malformed:
                yield name, None
                continue
            info = self._infos.get(subject)
            if info is None or info.deleted or info.name != name:
                # Whoever answered may not have had it yet, or an older client stored it elsewhere.
                yield name, None
            else:
                chunk = chunks.get(chunk_subject(self._records.bucket, info.nuid))
                yield name, _whole(info, chunk)

    def close(self) -> None:
        """Stop waiting for answers. Never fails."""
        for page in (self._page, self._chunks):
            if page is not None:
                page.close()


def _subject_of(records: Records, name: str) -> str | None:
    try:
        return meta_subject(records.bucket, name)
    except InvalidNameError:
        return None  # read alone, it is an error when its turn comes


def _whole(info: ObjectInfo, chunk: bytes | memoryview | None) -> Found | None:
    if chunk is not None:
        try:
            return Found(info, bytes(verify_whole(info, chunk)))
        except ObjStoreError:
            return None  # damaged
    if info.link is None and not info.chunks:
        return Found(info, b"")
    return None  # large, a link, or overwritten in between


# --- one by one


class _Item:
    """One object under way: its record is asked for, then its only chunk."""

    def __init__(self, records: Records, name: str) -> None:
        self.name = name
        self.info: ObjectInfo | None = None
        self.record = records.start_read(name)
        self.chunk: PendingRead | None = None

    def close(self) -> None:
        self.record.close()
        if self.chunk is not None:
            self.chunk.close()


def _in_turn(records: Records, source: Iterator[str]) -> Iterator[tuple[str, Found | None]]:
    """Yield each name with its object, by two requests for each."""
    asked: deque[_Item] = deque()  # whose record is under way
    ready: deque[_Item] = deque()  # whose record is here, and whose chunk is under way
    try:
        while True:
            ahead = max(1, min(AHEAD, records.jetstream.read_limit.bytes // SMALL))
            while len(asked) + len(ready) < ahead and (name := next(source, _END)) is not _END:
                asked.append(_Item(records, cast("str", name)))
            # Half of the records' answers are taken before the first chunk is waited for.
            while asked and len(ready) < max(1, ahead // 2):
                item = asked[0]
                _ask_for_chunk(records, item)
                ready.append(asked.popleft())
            if not ready:
                return
            item = ready.popleft()
            yield item.name, _content(records, item, ahead)
    finally:
        for item in (*asked, *ready):
            item.close()


def _ask_for_chunk(records: Records, item: _Item) -> None:
    """Take an object's record, and ask for its chunk if it has only one."""
    try:
        stored = item.record.result()
        info = None if stored is None else records.parse(stored)
    except ObjStoreError:
        return  # read alone, it either works or says properly why not
    item.info = info
    if info is not None and info.chunks == 1 and info.nuid and info.size <= SMALL:
        subject = chunk_subject(records.bucket, info.nuid)
        item.chunk = records.access.start_last(subject, leader=False)


def _content(records: Records, item: _Item, ahead: int) -> Found | None:
    if item.info is None or item.info.deleted or item.info.name != item.name:
        return None
    chunk = None
    if item.chunk is not None:
        try:
            stored = item.chunk.result()
            chunk = None if stored is None else stored.payload
        except ConnectionLostError:
            records.jetstream.read_limit.broke(ahead * SMALL)
        except ObjStoreError:
            pass  # read alone, it either works or says properly why not
    return _whole(item.info, chunk)
