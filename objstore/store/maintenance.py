"""What looks after a bucket: is all there, and what is there too much?"""

from __future__ import annotations

from datetime import timedelta

from objstore.care.garbage import GarbageReport, check_age, collect_garbage
from objstore.care.verify import VerifyReport, verify_bucket, verify_object
from objstore.store.handle import Bound

__all__ = ["Caring"]


class Caring(Bound):
    """The care for a bucket's chunks."""

    def collect_garbage(
        self, *, min_age: timedelta | float = timedelta(hours=1), dry_run: bool = False
    ) -> GarbageReport:
        """Remove chunks that no object owns: a killed program's, another client's, a mirror's.

        Chunks that any live object names stay, and those of which a malformed record's text
        speaks. Right before each removal the records are looked at once more.

        And remove old tombstones, which stay where an object was deleted, to tell watchers and
        mirrors. Then ``include_deleted`` and a watcher's history do not tell of the object any
        more, and a mirror that was not in touch for so long keeps it. What is stored over a
        tombstone meanwhile stays. (A put removes some as well where they fill the bucket.)

        Arguments:
            min_age: how old the newest chunk of an upload, or a tombstone, must be by the
                server's clock, a timedelta or seconds. An upload in progress is safe as long as
                none of its pauses is so long. In a mirror the clock is the newest message's time.
            dry_run: only tell what would be removed.

        Returns:
            What was removed.

        Raises:
            InvalidOptionError: an argument cannot be used.
            BucketConfigError: the bucket's stream moves or drops messages, so that chunks may
                have an owner that cannot be seen.
            BucketNotFoundError, BucketSealedError, PermissionDeniedError: the server refuses.
            RequestTimeoutError, ConnectionLostError: the server does not answer. What was
                removed until then is gone, and nothing else.

        Cost: a listing of the bucket, a page of subjects for each 100,000 uploads, a few requests
        for each that is garbage, and one for each old tombstone. Memory: 8 bytes for each object,
        one page, and 100 bytes for each old tombstone.
        """
        age = check_age(min_age)
        if not dry_run:
            self._known.ask()
            self._known.check_harmless()
        return collect_garbage(self._records, age, dry_run=bool(dry_run))

    def verify(self, name: str | None = None) -> VerifyReport:
        """Read everything, or one object, and compare it with what was stored.

        Objects are read whole and their size and digest checked, nothing of them is kept; links
        are followed to where they lead, and what they lead to in other buckets is not read.
        Objects that are overwritten meanwhile are read again, those that are deleted are left
        out.

        Arguments:
            name: of one object; None: the whole bucket, where malformed metadata, chunks
                without an owner and names that share chunks are looked for too.

        Returns:
            What was found; ``report.ok`` tells whether all is well.

        Raises:
            InvalidNameError: the name cannot be one.
            ObjectNotFoundError: there is no object of that name.
            BucketNotFoundError: there is no such bucket.
            PermissionDeniedError, RequestTimeoutError, ConnectionLostError: no answer.

        Cost: all the bucket's bytes travel here. Memory: 8 bytes for each object, and what a
        read takes.
        """
        if name is None:
            return verify_bucket(self._records)
        return verify_object(self._records, name)
