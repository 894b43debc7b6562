"""Parts of objects, many of them on their way at once.

The records of many parts are asked for together, and then the chunks, each once for all parts in
it; a chunk is dropped when those were cut out of it. What needs more than that is read as a file,
which is right in each case: chunks of several sizes, other messages between them, what changes
meanwhile, large parts.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator

import msgspec

from objstore.errors import (
    InvalidOptionError,
    ObjectChangedError,
    ObjectCorruptError,
    ObjectNotFoundError,
    ObjStoreError,
)
from objstore.get.integrity import Payload
from objstore.get.plain_chunks import (
    GROUP,
    SMALL,
    ChunkKey,
    Fetch,
    FetchOne,
    FetchOnly,
    PlainObject,
    last_of_each,
)
from objstore.get.reader import ObjectResult
from objstore.metadata.links import follow
from objstore.metadata.records import Records
from objstore.model.arguments import check_range
from objstore.model.objects import meta_subject
from objstore.wire.jetstream.access import PendingRead
from objstore.wire.jetstream.answers import StoredMessage

__all__ = ["Range", "check_ranges", "read_ranges"]

#: How many parts are looked at together, and their bytes. Of 300 parts of 1 KB, anywhere in 64 MiB,
#: 64 at a time fetched each chunk of 512 KiB three times.
TOGETHER, RESULT_BYTES = 512, 16 << 20

#: How many objects are known at a time; more than are looked at together.
OBJECTS = 2 * TOGETHER

#: The bytes of the records that one request brings, at most.
GROUP_BYTES = 8 << 20

Range = tuple[str, int | None, int | None]
NotFound = Callable[[str], ObjectNotFoundError]


class _Part(msgspec.Struct, frozen=True):
    """A part that is wanted; or why the iterable gave none."""

    name: str
    start: int | None = None
    end: int | None = None
    error: BaseException | None = None


def check_ranges(ranges: object) -> None:
    """Check an iterable of parts.

    Raises:
        InvalidOptionError: it is none.
    """
    if isinstance(ranges, (str, bytes, dict)) or not isinstance(ranges, Iterable):
        raise InvalidOptionError(
            f"ranges are an iterable of (name, start, end), not {type(ranges).__name__}"
        )


def read_ranges(records: Records, ranges: Iterable[Range], not_found: NotFound) -> Iterator[bytes]:
    """Yield the bytes of each part, in order.

    Arguments:
        records: the bucket.
        ranges: names, and bounds as those of a slice; taken :data:`TOGETHER` ahead of the results.
        not_found: makes the error for an object that is not there.

    Raises:
        ObjectChangedError: an object was overwritten or deleted after a part of it was given.
        And as :class:`~objstore.get.reader.ObjectResult`.
    """
    parts = _parts(records.bucket, ranges)
    waiting: deque[_Part] = deque()
    objects = _Objects(records, not_found)
    last: dict[ChunkKey, Payload] = {}  # the chunk that came last: what follows may be in it, too
    try:
        while True:
            # Not all at once: the iterable may be endless.
            waiting.extend(itertools.islice(parts, TOGETHER - len(waiting)))
            if not waiting:
                return
            objects.learn(part.name for part in waiting if part.error is None)
            with contextlib.closing(_Flight(records, last)) as flight:
                while waiting and flight.add(objects.get(waiting[0]), waiting[0]):
                    waiting.popleft()
                yield from flight.results(objects)
                last = flight.last
    finally:
        objects.close()


def _parts(bucket: str, ranges: Iterable[Range]) -> Iterator[_Part]:
    """Yield each part that is wanted, checked; an error comes in its turn, as a part does."""
    try:
        for item in ranges:
            if not isinstance(item, (tuple, list)) or len(item) != 3:
                raise InvalidOptionError(f"a range is (name, start, end), not {item!r}")
            name, start, end = item
            meta_subject(bucket, name)
            check_range(start, end)
            yield _Part(name, start, end)
    except Exception as error:  # noqa: BLE001 - raised when all before it were given
        yield _Part("", error=error)


class _Objects:
    """The objects that parts were read of last, by name."""

    def __init__(self, records: Records, not_found: NotFound) -> None:
        self._records = records
        self._not_found = not_found
        self._known: OrderedDict[str, PlainObject | Exception] = OrderedDict()
        self._file: ObjectResult | None = None  # of the object that was read so last

    def learn(self, names: Iterable[str]) -> None:
        """Read the records of those names that are not known."""
        unknown: dict[str, str] = {}  # by subject
        for name in names:
            if name in self._known:
                self._known.move_to_end(name)
            else:
                unknown[meta_subject(self._records.bucket, name)] = name
        records = self._records
        # In a cluster followers may lag, so that records come from the leader, which answers one
        # request at a time.
        if records.batches and records.reads_direct:
            found = last_of_each(records, list(unknown), GROUP_BYTES)
        else:
            found = self._one_by_one(unknown)
        for subject, name in unknown.items():
            self._known[name] = self._made(name, found.get(subject)) or self._find(name)
        # The oldest go first; none of those that are needed now, for more are kept than are looked
        # at together.
        while len(self._known) > OBJECTS:
            self._known.popitem(last=False)

    def _one_by_one(self, names: dict[str, str]) -> dict[str, StoredMessage]:
        """Read the records of some names without batches, with many requests under way."""
        found: dict[str, StoredMessage] = {}
        with contextlib.ExitStack() as under_way:
            pending: dict[str, PendingRead] = {}
            for subject, name in names.items():
                pending[subject] = self._records.start_read(name)
                under_way.callback(pending[subject].close)
            for subject, each in pending.items():
                with contextlib.suppress(ObjStoreError):  # asked for alone, it comes or says why
                    stored = each.result()
                    if stored is not None:
                        found[subject] = stored
        return found

    def _made(self, name: str, stored: StoredMessage | None) -> PlainObject | None:
        """Return the object that a record is of; None: it needs another look."""
        records = self._records
        # A mirror that another tool made may answer in the bucket's name, and be behind.
        if stored is None or (records.reads_direct and not stored.is_of(records.stream)):
            return None
        try:
            info = records.parse(stored)
        except ObjectCorruptError:
            return None
        usual = info.name == name and not info.deleted and info.link is None
        return PlainObject(records, info) if usual else None

    def _find(self, name: str) -> PlainObject | Exception:
        """Find the object that a name leads to, however that was stored."""
        try:
            found = follow(self._records, name)
        except ObjStoreError as error:
            return error
        return self._not_found(name) if found is None else PlainObject(*found)

    def get(self, part: _Part) -> PlainObject | BaseException:
        """Return the object of a part, or the error that says why there is none."""
        return part.error or self._known[part.name]

    def read_alone(self, part: _Part, found: PlainObject) -> bytes:
        """Read a part as a file; of the object's successor, if no part of it was given before.

        Raises:
            ObjectChangedError: one was, or the successor is changed, too.
            ObjectNotFoundError: there is none any more.
        """
        try:
            return self._read(part, found)
        except ObjectChangedError:
            # All parts of an object that a user gets are of one version.
            if found.is_given:
                raise
        successor = self._known[part.name] = self._find(part.name)
        if isinstance(successor, Exception):
            raise successor
        return self._read(part, successor)

    def _read(self, part: _Part, found: PlainObject) -> bytes:
        """Read a part as a file, which stays open for more of the same object."""
        if self._file is None or self._file.info is not found.info:
            self.close()
            self._file = ObjectResult(found.records, found.info)
        first, last = found.bytes_of(part.start, part.end)
        self._file.seek(first)
        return self._file.read(last - first)

    def mark_given(self, part: _Part) -> None:
        """Take note that a part of an object was given."""
        found = self.get(part)
        if isinstance(found, PlainObject):
            found.is_given = True

    def close(self) -> None:
        """Close the file, and with it what it has read ahead. Closing twice is fine."""
        if self._file is not None:
            self._file.close()


class _Cutting:
    """A part that is cut out of chunks.

    Arguments:
        part: what is wanted.
        found: the object, or why there is none.

    Attributes:
        missing: how many chunks have not come; None: it is to be read as a file.
    """

    def __init__(self, part: _Part, found: PlainObject | BaseException) -> None:
        self.part = part
        self.found = found
        self._first = self._last = 0
        self._pieces: list[tuple[int, bytes]] = []
        self.missing: int | None = None

    def begin(self) -> list[int]:
        """Tell which chunks the part needs; none, if it cannot be cut out of chunks."""
        if not isinstance(self.found, PlainObject):
            return []
        self._first, self._last = self.found.bytes_of(self.part.start, self.part.end)
        numbers = self.found.chunks_of(self._first, self._last)
        self.missing = None if numbers is None else len(numbers)
        return [*(numbers or ())]

    @property
    def size(self) -> int:
        """How many bytes are kept of the part."""
        return 0 if self.missing is None else self._last - self._first

    def cut(self, number: int, payload: Payload | None, chunk_size: int) -> None:
        """Cut what the part needs out of a chunk; None: the chunk did not come."""
        if payload is None or self.missing is None:
            self.missing = None
            return
        offset = number * chunk_size
        piece = memoryview(payload)[max(0, self._first - offset) : self._last - offset]
        # A copy, so that the chunk can go: a part of 1 KB would keep one of 512 KiB.
        self._pieces.append((number, bytes(piece)))
        self.missing -= 1

    def data(self) -> bytes | None:
        """Return the part's bytes; None: they did not come, or the chunks are not of one size."""
        found = self.found
        if self.missing != 0 or not isinstance(found, PlainObject):
            return None
        # Where sizes are not proved, a chunk's place in the object is a guess.
        if found.info.chunks > 1 and self._pieces and not found.layout.proved:
            return None
        return b"".join(piece for _, piece in sorted(self._pieces))


_Wanted = Iterator[tuple[ChunkKey, tuple[PlainObject, list[_Cutting]]]]


class _Flight:
    """Parts that are read together; to be closed.

    Arguments:
        records: the bucket.
        before: a chunk that has come for those before.

    Attributes:
        last: the chunk that came last.
    """

    def __init__(self, records: Records, before: dict[ChunkKey, Payload]) -> None:
        self._records = records
        self.last = before
        self._parts: list[_Cutting] = []
        # For each chunk its object, and who needs it; in the order in which they are needed.
        self._wanted: dict[ChunkKey, tuple[PlainObject, list[_Cutting]]] = {}
        self._under_way: deque[Fetch] = deque()
        self._bytes = 0  # of the results
        self._asked = 0  # of the chunks under way

    def add(self, found: PlainObject | BaseException, part: _Part) -> bool:
        """Add a part; False: there is no room for it."""
        cutting = _Cutting(part, found)
        numbers = cutting.begin()
        if self._parts and self._bytes + cutting.size > RESULT_BYTES:
            return False
        self._parts.append(cutting)
        self._bytes += cutting.size
        if isinstance(found, PlainObject) and numbers:
            nuid = found.info.nuid
            if found.info.chunks > 1 and not found.layout.proved:  # its size tells that of all
                self._wanted.setdefault((nuid, found.info.chunks - 1), (found, []))
            for number in numbers:
                self._wanted.setdefault((nuid, number), (found, []))[1].append(cutting)
        return True

    def results(self, objects: _Objects) -> Iterator[bytes]:
        """Yield the bytes of each part, as their chunks come."""
        wanted = iter(self._wanted.items())
        for cutting in self._parts:
            while cutting.missing:
                if self._asked < self._records.jetstream.read_limit.bytes // 2:
                    self._ask(wanted)
                if not self._under_way:
                    break  # all has come, and yet not this: it is read as a file
                self._take()
            now = objects.get(cutting.part)
            if not isinstance(now, PlainObject):
                raise now
            # Where another object has taken its place since, what came of the first is not for use.
            data = cutting.data() if now is cutting.found else None
            if data is None:
                data = objects.read_alone(cutting.part, now)
            objects.mark_given(cutting.part)
            yield data

    def _ask(self, wanted: _Wanted) -> None:
        """Ask for chunks until as many are under way as may be, one at least."""
        limit = self._records.jetstream.read_limit.bytes
        only: list[PlainObject] = []  # of those whose only chunk is wanted, some go together
        for key, (found, _) in wanted:
            if key in self.last:
                self._hand_out(key, self.last[key])
            elif found.info.chunks > 1:
                self._start(FetchOne(found, key[1]))
            else:
                # Links may lead into other buckets, and a request is for one stream.
                if only and only[0].records is not found.records:
                    self._start(FetchOnly(only))
                    only = []
                only.append(found)
            waiting = sum(each.typical() for each in only)
            if len(only) == GROUP or waiting >= SMALL:
                self._start(FetchOnly(only))
                only, waiting = [], 0
            if self._asked + waiting >= limit:
                break
        if only:
            self._start(FetchOnly(only))

    def _start(self, fetch: Fetch) -> None:
        self._under_way.append(fetch)
        self._asked += fetch.size

    def _take(self) -> None:
        """Wait for the next chunks, and cut out of them what is needed."""
        with contextlib.closing(self._under_way[0]) as fetch:
            came = fetch.results()
        self._under_way.popleft()
        self._asked -= fetch.size
        for key, payload in came.items():
            self._hand_out(key, payload)
            if payload is not None:
                self.last = {key: payload}

    def _hand_out(self, key: ChunkKey, payload: Payload | None) -> None:
        found, needed_by = self._wanted[key]
        for cutting in needed_by:
            cutting.cut(key[1], payload, found.typical())

    def close(self) -> None:
        """Stop waiting for chunks. Never fails."""
        for fetch in self._under_way:
            fetch.close()
