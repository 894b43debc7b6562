"""The buckets whose records a client keeps in memory from one ``scan`` to the next."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from objstore.errors import BucketNotFoundError
from objstore.metadata.records import Records
from objstore.wire.connection import forks

if TYPE_CHECKING:
    from objstore.metadata.followed_records import FollowedRecords
    from objstore.metadata.sorted_records import SortedRecords

__all__ = ["FollowedBuckets"]

#: So many records are kept in all, some 1 GB; then the bucket that was not looked at for longest
#: is dropped.
MOST_KEPT = 4_000_000


class FollowedBuckets:
    """The buckets whose records a client keeps: :data:`MOST_KEPT` at most. Thread-safe."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, FollowedRecords] = OrderedDict()
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """Begin with a free lock in a forked child."""
        self._lock = threading.RLock()

    def look(self, records: Records) -> SortedRecords:
        """Return what a bucket holds now, as :meth:`FollowedRecords.look`."""
        # Imported here: few programs look at folders.
        from objstore.metadata.followed_records import FollowedRecords

        bucket = records.bucket
        with self._lock:
            followed = self._buckets.pop(bucket, None) or FollowedRecords()
            self._buckets[bucket] = followed  # the last one: it was looked at last
        try:
            found = followed.look(records)
        except BucketNotFoundError:
            self.forget(bucket)
            raise
        with self._lock:
            while sum(each.count for each in self._buckets.values()) > MOST_KEPT:
                # One bucket larger than that is kept all the same, or each of its scans would list
                # it anew.
                if len(self._buckets) == 1:
                    break
                self._buckets.popitem(last=False)
        return found

    def forget(self, bucket: str) -> None:
        """Drop the records that are kept of a bucket."""
        with self._lock:
            self._buckets.pop(bucket, None)
