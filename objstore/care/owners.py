"""Who owns which chunks of a bucket: the nuids that its live records name."""

from __future__ import annotations

import base64
import itertools
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator

from objstore.errors import BucketNotFoundError, ObjectCorruptError
from objstore.metadata.listing import list_records
from objstore.metadata.records import Records
from objstore.model.objects import ObjectInfo, all_meta_subject, chunk_subject
from objstore.wire.jetstream.answers import StoredMessage
from objstore.wire.jetstream.pages import subject_pages

__all__ = ["Owners", "chunk_counts"]


class Owners:
    """The nuids that a bucket's live records name, kept up to date on demand.

    Where in doubt a nuid counts as owned: when a record was replaced since the listing, when a
    malformed record's text holds the nuid, when two nuids have one hash.

    Arguments:
        records: the bucket.
        dead: told of each tombstone.

    Memory: 8 bytes for each object, and the records that were stored since the listing.

    Attributes:
        malformed: by its sequence each malformed record's name, and what is wrong with it.
        replaced: records of older clients, each with its subject, whose name has a newer one
            under its own subject; they own nothing.
        hidden: and those that are the newer ones, which only such a client finds.
    """

    def __init__(
        self, records: Records, dead: Callable[[ObjectInfo], object] | None = None
    ) -> None:
        self._records = records
        self._dead = dead
        # Hashes in an array: 8 bytes for each object. Two nuids with one hash make garbage stay;
        # they never make a live object's chunks go.
        self._hashes = array("q")
        self._recent: set[str] = set()
        self._next = 1  # the first sequence not looked at
        # Whole texts of malformed records: whatever nuid they hold may own chunks.
        self._texts: list[str] = []
        self.malformed: dict[int, tuple[str, ObjectCorruptError]] = {}
        self.replaced: list[tuple[str, ObjectInfo]] = []
        self.hidden: list[ObjectInfo] = []

    def load(self) -> Iterator[ObjectInfo]:
        """Yield the bucket's live objects, and note their nuids; the iterator must be exhausted.

        Raises:
            BucketNotFoundError: there is no such bucket.
            RequestTimeoutError, ConnectionLostError: the listing could not be completed.
        """
        try:
            # Before the listing: what is stored from this sequence on is looked at by catch_up.
            state = self._records.jetstream.stream_info(self._records.stream)["state"]
        except BucketNotFoundError as error:
            raise self._records.no_bucket() from error
        listed = 0
        for info in list_records(self._records, self._note_malformed, self._note_hidden):
            listed = max(listed, info.revision)
            if not info.deleted:
                # Some clients' links have no nuid.
                if info.nuid:
                    self._hashes.append(hash(info.nuid))
                yield info
            elif self._dead is not None:
                self._dead(info)
        self._hashes = array("q", sorted(self._hashes))
        # A replica that lags may have listed less than the leader had.
        listed = max([listed, *self.malformed])
        self._next = min(listed, int(state["last_seq"])) + 1

    def _note_malformed(self, message: StoredMessage, error: ObjectCorruptError) -> None:
        if message.sequence not in self.malformed:
            self._texts.append(bytes(message.payload).decode("utf-8", "replace"))
            self.malformed[message.sequence] = _name_of(message.subject), error

    def _note_hidden(self, subject: str, info: ObjectInfo, by: ObjectInfo) -> None:
        if info.revision < by.revision:
            self.replaced.append((subject, info))
        elif not info.deleted:
            self.hidden.append(info)
            # It is what readers of other clients find, so its chunks are no garbage.
            self._recent.add(info.nuid)

    def catch_up(self) -> None:
        """Look at the records that were stored since, up to now, at the stream's leader.

        Raises:
            BucketNotFoundError: there is no such bucket.
            RequestTimeoutError, ConnectionLostError: no answer.
        """
        records, subject = self._records, all_meta_subject(self._records.bucket)
        last = int(records.known.ask()["state"]["last_seq"])  # not beyond: writers may be as fast
        # At the leader, one by one: a follower may lack the very record that makes an upload an
        # object.
        while self._next <= last:
            message = records.access.next(subject, self._next, leader=True)
            if message is None:
                return
            self._next = message.sequence + 1
            try:
                info = records.parse(message)
            except ObjectCorruptError as error:
                self._note_malformed(message, error)
            else:
                if not info.deleted:
                    self._recent.add(info.nuid)

    def __contains__(self, nuid: str) -> bool:
        # Sorted by load, so that a look-up takes a few comparisons and no memory of its own.
        key = hash(nuid)
        at = bisect_left(self._hashes, key)
        return (
            (at < len(self._hashes) and self._hashes[at] == key)
            or nuid in self._recent
            or any(nuid in text for text in self._texts)
        )

    def shared(self) -> set[int]:
        """Return the hashes of nuids that more than one live record names."""
        # Of hashes: whether the nuids are equal, too, is looked at by verify.
        return {one for one, other in itertools.pairwise(self._hashes) if one == other}


def _name_of(subject: str) -> str:
    """Return the name that a record's subject holds, or ``""``."""
    try:
        return base64.urlsafe_b64decode(subject.rpartition(".")[2]).decode()
    except ValueError:
        return ""


def chunk_counts(records: Records) -> Iterator[tuple[str, int]]:
    """Yield each nuid that has chunks, with their number; one may come twice. Memory: one page.

    Raises:
        BucketNotFoundError: there is no such bucket.
        RequestTimeoutError, ConnectionLostError: no answer.
    """
    prefix = chunk_subject(records.bucket, "")
    try:
        pages = subject_pages(records.jetstream, records.stream, prefix + ">")
        for page in pages:
            for subject, count in page.items():
                yield subject[len(prefix) :], count
    except BucketNotFoundError as error:
        raise records.no_bucket() from error
