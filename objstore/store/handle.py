"""The state of a bucket that all methods of ``ObjectStore`` share."""

from __future__ import annotations

from objstore.errors import ObjectNotFoundError
from objstore.metadata.followed_buckets import FollowedBuckets
from objstore.metadata.known_stream import KnownStream
from objstore.metadata.records import Records
from objstore.model.objects import ObjectInfo, check_bucket_name
from objstore.wire.jetstream.api import JetStream

__all__ = ["BucketHandle"]


class BucketHandle:
    """One bucket: its name, what is known of its stream, and the access to its records.

    Arguments:
        jetstream: the account.
        name: of the bucket.
        known: what is known of its stream.
        eventual: read metadata from any replica, not from the leader.
        followed: where records are kept from one scan to the next; None: here.

    Attributes:
        name, jetstream, known, followed: as given.
        records: the bucket's metadata.
    """

    __slots__ = ("followed", "jetstream", "known", "name", "records")

    def __init__(
        self,
        jetstream: JetStream,
        name: str,
        known: KnownStream,
        *,
        eventual: bool = False,
        followed: FollowedBuckets | None = None,
    ) -> None:
        # Checked before it stands in any subject.
        self.name = check_bucket_name(name)
        self.jetstream = jetstream
        self.known = known
        self.followed = followed or FollowedBuckets()
        # One for all methods, so that what one of them learns of the bucket serves the others.
        self.records = Records(jetstream, name, eventual=eventual, known=known)

    def info(self, name: str, *, include_deleted: bool = False) -> ObjectInfo | None:
        """Return the record of an object; links are not followed."""
        found = self.records.read(name)
        if found is None or (found.deleted and not include_deleted):
            return None
        return found

    def not_found(self, name: str) -> ObjectNotFoundError:
        """Make the error for an object that is not there."""
        return ObjectNotFoundError(
            f"there is no object {name!r} in bucket {self.name}", bucket=self.name, name=name
        )
