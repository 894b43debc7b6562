"""All objects of a bucket: a stream of batches, as long as the listing is read."""

from __future__ import annotations

import contextlib
import logging
from array import array
from collections.abc import Callable, Iterable, Iterator

from objstore.errors import BucketNotFoundError, ObjectCorruptError
from objstore.metadata.records import Records
from objstore.model.objects import ObjectInfo, all_meta_subject, name_of, url_safe_base64
from objstore.model.record_json import parse_stored
from objstore.wire.jetstream.answers import StoredMessage
from objstore.wire.jetstream.pages import all_subjects, count_subjects

__all__ = ["Malformed", "list_records"]

LOG = logging.getLogger("objstore")

#: Up to so many records are collected before the first is given.
SMALL = 256

Malformed = Callable[[StoredMessage, ObjectCorruptError], object]

#: Told of a record of an older client that another one of its name hides: its subject, the record,
#: and the one that counts.
Hidden = Callable[[str, ObjectInfo, ObjectInfo], object]


def list_records(
    records: Records, malformed: Malformed | None = None, hidden: Hidden | None = None
) -> Iterator[ObjectInfo]:
    """Yield the last record of each name, in order of storing; tombstones included.

    An object that is changed meanwhile comes once, as it was before or after. Malformed records
    are logged and left out. Memory: one page, and 8 bytes for each name. (Some clients leave
    several records of a name behind; such a bucket is collected first. So is a small one: a server
    that was killed has records that were replaced, and has been seen to count without them.)

    In a cluster a replica that lags may answer, and so may a mirror that another tool made. The
    leader says how many names there are; those that did not come are read from it. And what was
    replaced just now may come as it was before: such a bucket is collected first as well, and what
    the leader has after all that came is what counts. (Without, 13 of 600 listings right after a
    put were stale; memory: all records, unless the bucket is read with ``"eventual"``.)

    What older clients stored under another subject comes last, unless the name has a record under
    its own that counts.

    Arguments:
        records: the bucket.
        malformed: called with each malformed record and what is wrong with it, in place of
            logging.
        hidden: called with each record that another one of its name hides.

    Raises:
        BucketNotFoundError: there is no such bucket.
        RequestTimeoutError, ConnectionLostError: the listing cannot be completed.
    """
    subject = all_meta_subject(records.bucket)
    try:
        # The leader's count, before anything is listed: what a lagging replica leaves out shows
        # against it.
        names, newest = count_subjects(records.jetstream, records.stream, subject)
    except BucketNotFoundError as error:
        raise records.no_bucket() from error
    if not names:
        return
    listing = _Listing(records, malformed or _log)
    with contextlib.closing(records.pages(subject)) as pages:
        for number, page in enumerate(pages):
            if not number and (page.total > names or page.total <= SMALL or records.may_lag):
                messages = (message for each in (page, *pages) for message in each)
                yield from listing.latest(messages)
            else:
                yield from listing.once(page, newest)
    # Fewer came than there are names: asked for by name, at the leader.
    if listing.count < names:
        yield from listing.missing(subject)
    yield from listing.elsewhere(hidden)


def _log(_message: StoredMessage, error: ObjectCorruptError) -> None:
    LOG.warning("left out of a listing, until it is put anew or deleted: %s", error)


class _Listing:
    """The state of a listing: what it has given so far.

    Attributes:
        count: how many names, malformed records among them.
    """

    def __init__(self, records: Records, malformed: Malformed) -> None:
        self.count = 0
        self._records = records
        self._malformed = malformed
        self._given = array("q")  # the hashes of all names that cannot come again
        self._changed: set[int] | None = None  # of all names, once one that came may come again
        self._prefix = all_meta_subject(records.bucket)[:-1]
        self._elsewhere: dict[str, ObjectInfo] = {}  # by subject, where it is not their name's

    def _parse(self, messages: Iterable[StoredMessage]) -> Iterator[ObjectInfo]:
        bucket, prefix = self._records.bucket, self._prefix
        for message in messages:
            try:
                info = parse_stored(message, bucket)
            except ObjectCorruptError as error:
                self.count += 1
                self._malformed(message, error)
            else:
                # By hand: of a name that was stored meta_subject's checks need no second look.
                own = url_safe_base64(info.name.encode())
                if message.subject == prefix + own:
                    yield info
                    continue
                self.count += message.subject not in self._elsewhere
                self._elsewhere[message.subject] = info

    def once(self, messages: Iterable[StoredMessage], newest: int) -> Iterator[ObjectInfo]:
        """Yield each name once, if only those changed since ``newest`` can come a second time."""
        note = self._given.append
        for record in self._parse(messages):
            # Hashes rather than the names: 8 bytes for each.
            key = hash(record.name)
            if record.revision <= newest:
                note(key)
            else:
                # Made only when something was stored meanwhile: in most listings no set is needed.
                if self._changed is None:
                    self._changed = set(self._given)
                if key in self._changed:
                    continue
                self._changed.add(key)
            self.count += 1
            yield record

    def latest(self, messages: Iterable[StoredMessage]) -> Iterator[ObjectInfo]:
        """Yield each name once, with its last record, where any may come several times."""
        latest: dict[str, ObjectInfo] = {}
        for record in self._parse(messages):
            # So that it moves to the end: the order is that of storing.
            latest.pop(record.name, None)
            latest[record.name] = record
        self._given.extend(map(hash, latest))
        self.count += len(latest)
        yield from latest.values()

    def missing(self, pattern: str) -> Iterator[ObjectInfo]:
        """Yield what has not come, from the leader; malformed records are not told again."""
        given = {*self._given, *(self._changed or ())}
        records = self._records
        there = all_subjects(records.jetstream, records.stream, pattern)
        missing = (
            subject
            for subject in there
            if hash(name_of(subject)) not in given and subject not in self._elsewhere
        )
        messages = sorted(records.last_of(missing), key=lambda stored: stored.sequence)
        self._malformed = lambda _message, _error: None
        for record in self._parse(messages):
            self._given.append(hash(record.name))
            yield record

    def elsewhere(self, hidden: Hidden | None) -> Iterator[ObjectInfo]:
        """Yield what older clients stored under other subjects, if it counts."""
        if not self._elsewhere:
            return
        self._records.has_older_spellings = True
        newest: dict[str, tuple[str, ObjectInfo]] = {}
        for subject, info in sorted(self._elsewhere.items(), key=lambda item: item[1].revision):
            if info.name in newest and hidden is not None:
                hidden(*newest[info.name], info)
            newest[info.name] = subject, info
        given = {*self._given, *(self._changed or ())}
        for subject, info in newest.values():
            now = self._records.read(info.name) if hash(info.name) in given else info
            if now is not None and now.revision != info.revision:
                if hidden is not None:
                    hidden(subject, info, now)
            else:
                yield info
