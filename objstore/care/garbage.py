"""Garbage: chunks that no object owns, and records of what is no more."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from objstore.care.owners import Owners, chunk_counts
from objstore.errors import BucketNotFoundError
from objstore.metadata.records import Records
from objstore.model.objects import ObjectInfo, chunk_subject, meta_subject, mtime_of
from objstore.model.stream_info import parse_stream_info

__all__ = ["GarbageReport", "collect_garbage"]


@dataclass(frozen=True)
class GarbageReport:
    """What a collection of garbage removed, or would remove.

    Attributes:
        bucket: the bucket that was looked through.
        nuids: the nuids of the uploads whose chunks nobody owns.
        chunks: how many chunks these are.
        bytes: the size of their payloads, reckoned from each upload's first and last
            chunk: exact where all chunks but the last have one size, as nearly every client stores
            them.
        dry_run: whether they were left where they are.
        tombstones: how many records of deleted objects, the server's delete markers and what newer
            records hide among them.
    """

    bucket: str
    nuids: tuple[str, ...] = ()
    chunks: int = 0
    bytes: int = 0
    dry_run: bool = False
    tombstones: int = 0

    def _repr_html_(self) -> str:
        """Return a small table for notebooks."""
        from objstore.notebook.html import Size, record

        kind = "garbage that would be removed" if self.dry_run else "garbage removed"
        fields = {
            "chunks": self.chunks,
            "bytes": Size(self.bytes),
            "tombstones": self.tombstones,
            "nuids": self.nuids,
        }
        return record(self.bucket, kind, fields)


def collect_garbage(records: Records, min_age: timedelta, *, dry_run: bool) -> GarbageReport:
    """Remove chunks that no live record owns, and old tombstones.

    Arguments:
        records: the bucket.
        min_age: how old an upload's newest chunk must be, or a tombstone, by the server's clock.
        dry_run: only look.

    Memory: 8 bytes for each object, one page of chunk subjects (100,000), the garbage's nuids and
    the old tombstones' names.
    """
    try:
        # The server's clock, not this machine's: it set the times that are compared.
        before = _clock(records) - min_age
    except OverflowError:  # nothing is so old
        return GarbageReport(records.bucket, dry_run=dry_run)
    dead: list[tuple[str, int]] = []

    def note(info: ObjectInfo) -> None:
        if _is_old(info, before):
            dead.append((info.name, info.revision))

    # First who owns chunks, then which chunks there are: what is uploaded in between is too young,
    # and is looked for once more before anything is removed.
    owners = Owners(records, note)
    deque(owners.load(), maxlen=0)
    # A dict, for one nuid may come twice where subjects were added between two pages.
    found = {nuid: count for nuid, count in chunk_counts(records) if nuid not in owners}
    nuids: list[str] = []
    chunks = size = 0
    for nuid, count in found.items():
        removed = _remove(records, owners, nuid, count, before, dry_run=dry_run)
        if removed is not None:
            nuids.append(nuid)
            chunks += removed[0]
            size += removed[1]
    hidden = [(subject, info) for subject, info in owners.replaced if _is_old(info, before)]
    tombstones = len(hidden) + len(dead)
    if not dry_run:
        # Those first, which would rise again when the tombstones above them are gone.
        tombstones = sum(_purge(records, subject, info.revision) for subject, info in hidden)
        tombstones += sum(_bury(records, *each) for each in dead)
    return GarbageReport(records.bucket, tuple(nuids), chunks, size, dry_run, tombstones)


def _is_old(info: ObjectInfo, before: datetime) -> bool:
    return info.mtime is not None and info.mtime <= before


def _purge(records: Records, subject: str, revision: int) -> int:
    """Remove a record if it is its subject's last, and return 1; 0: it was gone or replaced."""
    return min(1, records.jetstream.purge(records.stream, subject, revision))


def _bury(records: Records, name: str, revision: int) -> int:
    """Remove a tombstone, wherever it is, and return 1; 0: something was stored over it."""
    # A purge up to the revision removes nothing of what was stored over the tombstone since.
    if _purge(records, meta_subject(records.bucket, name), revision):
        return 1
    found = records.find_elsewhere(name)
    if found is None or found[1].revision != revision:
        return 0
    return _purge(records, found[0], revision)


def _clock(records: Records) -> datetime:
    """Return the time by the clock that the chunks' times are compared with.

    A mirror's messages can be older than their arrival, or come late: there the newest message
    tells how far it has come, and a chunk whose metadata are still on their way is not old.
    """
    try:
        info = parse_stream_info(records.jetstream.stream_info(records.stream))
    except BucketNotFoundError as error:
        raise records.no_bucket() from error
    if info.ts is not None and info.config.get("subjects"):
        return info.ts
    return info.state.last_ts or datetime.min.replace(tzinfo=timezone.utc)


def _remove(
    records: Records, owners: Owners, nuid: str, count: int, before: datetime, *, dry_run: bool
) -> tuple[int, int] | None:
    """Remove one upload's chunks if they are garbage, and return their number and bytes."""
    jetstream, subject = records.jetstream, chunk_subject(records.bucket, nuid)
    newest = records.last_from_leader(subject)
    stored = None if newest is None else mtime_of(newest.time)
    # The newest chunk counts: an upload that goes on for hours is not garbage.
    if newest is None or stored is None or stored > before:
        return None
    first = records.access.next(subject, 1, leader=True)
    # The records once more, right before: the upload may have been committed just now.
    owners.catch_up()
    if nuid in owners:
        return None
    if not dry_run:
        # Up to the chunk that was seen: what is stored meanwhile stays.
        count = jetstream.purge(records.stream, subject, newest.sequence)
    size = len(newest.payload) + (count - 1) * len(first.payload if first else b"")
    return (count, size) if count else None
