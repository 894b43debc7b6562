"""A bucket's records, sorted by name: what was known of them at one moment.

Python compares text by code points, which is the order of its UTF-8 bytes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping

from objstore.errors import ObjectCorruptError
from objstore.metadata.compact import (
    ABSENT,
    is_tombstone,
    pack_record,
    revision_in,
    unpack_record,
)
from objstore.model.objects import (
    ObjectInfo,
    Unreadable,
    all_meta_subject,
    name_of,
    unreadable,
    url_safe_base64,
)
from objstore.model.record_json import parse_stored
from objstore.wire.jetstream.answers import StoredMessage

__all__ = ["Changes", "SortedRecords"]

#: Where one name of so many changes, or more, all are sorted anew: it takes as long as this many
#: insertions, each of which moves half of the names.
SORT_ANEW = 200


class SortedRecords:
    """The records of a bucket at one moment, sorted by name; never changed.

    Who reads it sees that one moment, whatever other threads learn meanwhile.

    Memory for each name: its text (49 bytes and one for each ASCII character), the packed record
    (120 bytes, more with a media type) and two places in lists (16 bytes).

    Arguments:
        bucket: the bucket's name.
        names: sorted; tombstones are among them.
        packed: the record of each, by :func:`~objstore.metadata.compact.pack_record`.
        others: by subject what is stored under no name's own subject: records of older clients,
            and what nobody can read.
        oldest: no record has a lower revision.

    Attributes:
        names, oldest: as given.
        subjects: how many subjects have a record.
    """

    __slots__ = ("_bucket", "_others", "_overrides", "_packed", "names", "oldest", "subjects")

    def __init__(
        self,
        bucket: str,
        names: list[str],
        packed: list[bytes],
        others: Mapping[str, ObjectInfo],
        oldest: int = 0,
    ) -> None:
        self._bucket = bucket
        self.names = names
        self._packed = packed
        self._others = others
        self._overrides: dict[str, ObjectInfo] = {}
        if others:
            self._find_overrides()
        self.oldest = oldest
        self.subjects = len(names) + len(others) - (packed.count(ABSENT) if others else 0)

    def _find_overrides(self) -> None:
        """Find where an older client's record counts: nothing newer is under the own subject."""
        newest: dict[str, ObjectInfo] = {}
        for info in self._others.values():
            there = newest.get(info.name)
            if not isinstance(info, Unreadable) and (
                there is None or there.revision < info.revision
            ):
                newest[info.name] = info
        for name, info in newest.items():
            # A place for a name that only an older client stored: with no record under its own
            # subject.
            at = bisect_left(self.names, name)
            if at == len(self.names) or self.names[at] != name:
                self.names.insert(at, name)
                self._packed.insert(at, ABSENT)
            own = self.own(at)
            if own is None or (own.deleted and own.revision < info.revision):
                self._overrides[name] = info

    def own(self, at: int) -> ObjectInfo | None:
        """Return the record under the own subject of the name at a place; None: there is none."""
        packed = self._packed[at]
        return unpack_record(packed, self._bucket, self.names[at]) if packed else None

    def live(self, at: int) -> ObjectInfo | None:
        """Return the object of the name at a place; None: there is none now."""
        # Told by the first byte: nothing is unpacked for it.
        if is_tombstone(self._packed[at]) and not self._overrides:
            return None
        info = self._overrides.get(self.names[at]) or self.own(at)
        return None if info is None or info.deleted else info

    def is_live(self, at: int) -> bool:
        """Tell whether there is an object of the name at a place."""
        packed = self._packed[at]
        # A plain record neither expires nor is a tombstone, see compact.
        if packed[:1] == b"p" and not self._overrides:
            return True
        return self.live(at) is not None

    def revisions(self) -> Iterator[tuple[str, int]]:
        """Yield the name and the revision of each record under its name's own subject."""
        for name, packed in zip(self.names, self._packed, strict=True):
            if packed:
                yield name, revision_in(packed)

    @property
    def others(self) -> Mapping[str, ObjectInfo]:
        """What is stored under no name's own subject, by subject."""
        return self._others

    def with_changes(self, news: Changes) -> SortedRecords:
        """Return the records after some were stored, and some removed."""
        # Nearly every look finds nothing new; it costs nothing then.
        if not news:
            return self
        others = {**self._others, **news.others}
        prefix = all_meta_subject(self._bucket)[:-1]
        for subject in self._others:
            if subject in news.gone_others or owner_of(subject, prefix) in news.records:
                others.pop(subject, None)
        few = len(news.records) + len(news.gone)
        # With records of older clients names come and go by their overrides: those are found anew.
        if self._others or few * SORT_ANEW > len(self.names):
            names, packed = self._sorted_anew(news)
        else:
            names, packed = self._inserted(news)
        return SortedRecords(self._bucket, names, packed, others, max(self.oldest, news.oldest))

    def _sorted_anew(self, news: Changes) -> tuple[list[str], list[bytes]]:
        merged = {
            name: packed
            for name, packed in zip(self.names, self._packed, strict=True)
            if packed and name not in news.gone
        }
        merged.update(news.records)
        names = sorted(merged)  # mostly sorted: linear time
        return names, [merged[name] for name in names]

    def _inserted(self, news: Changes) -> tuple[list[str], list[bytes]]:
        names, packed = self.names.copy(), self._packed.copy()
        for name, record in news.records.items():
            at = bisect_left(names, name)
            if at < len(names) and names[at] == name:
                packed[at] = record
            else:
                names.insert(at, name)
                packed.insert(at, record)
        for name in news.gone:
            at = bisect_left(names, name)
            if at < len(names) and names[at] == name:
                del names[at], packed[at]
        return names, packed


class Changes:
    """What has come to a bucket, and what is gone.

    Arguments:
        bucket: the bucket's name.

    Attributes:
        records: the packed record of each name that has one anew.
        others: by subject, what was stored under no name's own.
        gone: names that have no record of their own any more.
        gone_others: subjects that have none any more.
        oldest: no record that stays has a lower revision, as far as is known.
    """

    def __init__(self, bucket: str) -> None:
        self.records: dict[str, bytes] = {}
        self.others: dict[str, ObjectInfo] = {}
        self.gone: set[str] = set()
        self.gone_others: set[str] = set()
        self.oldest = 0
        self._bucket = bucket
        self._prefix = all_meta_subject(bucket)[:-1]

    def __bool__(self) -> bool:
        return bool(self.records or self.others or self.gone or self.gone_others or self.oldest)

    def add(self, stored: StoredMessage) -> None:
        """Take in a message that was stored later than all before."""
        try:
            info = parse_stored(stored, self._bucket)
        except ObjectCorruptError:
            # Kept, though nobody can read it: it counts among the stream's subjects, which are
            # compared.
            info = unreadable(self._bucket, "", stored.sequence)
        # By hand, as in a listing: meta_subject's checks need no second look.
        own = url_safe_base64(info.name.encode())
        if stored.subject == self._prefix + own:
            self.records[info.name] = pack_record(info, stored)
            self.others.pop(stored.subject, None)
            self.gone.discard(info.name)
            return
        self.others[stored.subject] = info
        owner = owner_of(stored.subject, self._prefix)
        if owner is not None:
            self.records.pop(owner, None)
            # What stands under the name's own subject is no record of it any more.
            self.gone.add(owner)

    def leave_out_before(self, first: int, known: SortedRecords) -> None:
        """Leave out what is known of revisions below the stream's first sequence."""
        # The stream begins where it began: nothing has expired from its front.
        if first <= known.oldest:
            return
        stay: list[int] = []
        for name, revision in known.revisions():
            if revision >= first:
                stay.append(revision)
            elif name not in self.records:
                self.gone.add(name)
        for subject, info in known.others.items():
            if info.revision >= first:
                stay.append(info.revision)
            elif subject not in self.others:
                self.gone_others.add(subject)
        self.oldest = min(stay, default=first)


def owner_of(subject: str, prefix: str) -> str | None:
    """Return the name whose own subject this is; None: it is no name's."""
    name = name_of(subject)
    if not name or subject != prefix + url_safe_base64(name.encode()):
        return None
    return name
