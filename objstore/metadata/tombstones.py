"""Tombstones, removed where they fill a bucket of a fixed size."""

from __future__ import annotations

import contextlib
import logging
import time

from objstore.errors import InvalidNameError, ObjectCorruptError, ObjStoreError
from objstore.metadata.records import Records
from objstore.metadata.seen import TombstonesSeen
from objstore.model.objects import all_meta_subject, meta_subject

__all__ = ["make_room"]

LOG = logging.getLogger("objstore")


def make_room(records: Records) -> bool:
    """Remove the older half of a full bucket's tombstones, each only if it is a name's last record.

    Not those of a certain age: names that are used once fill a small bucket within a second, and
    the newer half is what a watcher or a mirror that lags has not heard of.

    The first call looks through all records, later ones only through those since. Memory: about
    100 bytes for each tombstone. It ends after the connection's patience.

    Returns:
        Whether there is more room now. Never raises.
    """
    seen = records.tombstones
    rounds = seen.rounds
    with seen.lock:
        if seen.rounds != rounds:  # another thread has been at it meanwhile
            return True
        removed = 0
        try:
            _look(records, seen)
            deadline = time.monotonic() + records.jetstream.patience
            half = len(seen.found) // 2
            while seen.found and (len(seen.found) > half or not removed):
                if time.monotonic() >= deadline:
                    break
                # The oldest first: watchers and mirrors have heard of those most likely.
                name, revision = seen.found.popleft()
                if name not in seen.elsewhere:
                    subject = meta_subject(records.bucket, name)
                    # Up to its own revision: if the name was stored anew, nothing is removed.
                    removed += records.jetstream.purge(records.stream, subject, revision)
        except ObjStoreError as error:
            LOG.info("tombstones of bucket %s stay: %s", records.bucket, error)
        if removed:
            seen.rounds += 1
            LOG.info("removed %d tombstones of bucket %s: it is full", removed, records.bucket)
        return removed > 0


def _look(records: Records, seen: TombstonesSeen) -> None:
    """Take note of the tombstones that were stored since the last look, in their order."""
    prefix = all_meta_subject(records.bucket)[:-1]
    with contextlib.closing(records.pages(prefix + ">", seen.next)) as pages:
        for page in pages:
            for message in page:
                # After each message, for a signal handler or an error may end the look anywhere.
                seen.next = message.sequence + 1
                try:
                    info = records.parse(message)
                    is_own = meta_subject(records.bucket, info.name) == message.subject
                except (ObjectCorruptError, InvalidNameError):
                    continue
                if not is_own:
                    seen.elsewhere.add(info.name)  # which would rise again
                elif info.deleted:
                    seen.found.append((info.name, info.revision))
