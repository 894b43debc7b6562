"""Many small objects at once: requests under way together, results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import cast

from objstore.damage import verify_whole
from objstore.errors import ObjStoreError
from objstore.objects import ObjectInfo, chunk_subject
from objstore.records import Records
from objstore.wire.jetstream import PendingGet

__all__ = ["read_many"]

#: How many objects are under way at once, and the largest that takes part; larger ones are read
#: one after the other, which fills the connection anyway.
AHEAD, SMALL = 64, 128 << 10

#: After the last name.
_END = object()


class _Item:
    """One object on its way: its record is asked for, then its only chunk."""

    def __init__(self, records: Records, name: str) -> None:
        self.name = name
        self.info: ObjectInfo | None = None
        self.record = records.start_read(name)
        self.chunk: PendingGet | None = None

    def close(self) -> None:
        self.record.close()
        if self.chunk is not None:
            self.chunk.close()


def read_many(
    records: Records, names: Iterable[str], read_alone: Callable[[str], bytes | None]
) -> Iterator[tuple[str, bytes | None]]:
    """Each name with its content; None for those absent.

    Arguments:
        records: the bucket.
        names: of the objects.
        read_alone: reads an object that needs more than two requests, whatever it is: a large
            one, a link, one that changed in between.
    """
    asked: deque[_Item] = deque()  # whose record is under way
    ready: deque[_Item] = deque()  # whose record is here, and whose chunk is under way
    source = iter(names)
    try:
        while True:
            while len(asked) + len(ready) < AHEAD and (name := next(source, _END)) is not _END:
                asked.append(_Item(records, cast("str", name)))
            # Half of the records' answers are taken before the first chunk is waited for.
            while asked and len(ready) < AHEAD // 2:
                item = asked[0]
                _ask_for_chunk(records, item)
                ready.append(asked.popleft())
            if not ready:
                return
            item = ready.popleft()
            yield item.name, _content(item, read_alone)
    finally:
        for item in (*asked, *ready):
            item.close()


def _ask_for_chunk(records: Records, item: _Item) -> None:
    """Take the record, and ask for the chunk if that is all there is to it."""
    try:
        stored = item.record.result()
        info = None if stored is None else records.parse(stored)
    except ObjStoreError:
        return  # read alone, it either works or says properly why not
    item.info = info
    if info is not None and info.chunks == 1 and info.nuid and info.size <= SMALL:
        subject = chunk_subject(records.bucket, info.nuid)
        item.chunk = records.jetstream.start_direct_last(records.stream, subject)


def _content(item: _Item, read_alone: Callable[[str], bytes | None]) -> bytes | None:
    info = item.info
    if item.chunk is not None and info is not None:
        try:
            stored = item.chunk.result()
            if stored is not None:
                return bytes(verify_whole(info, stored.payload))
        except ObjStoreError:
            pass  # overwritten in between, or damaged: read alone
    elif info is not None and not info.deleted and info.link is None and not info.chunks:
        return b""
    return read_alone(item.name)
