"""Links: from a name to the object that it leads to (ADR-20)."""

from __future__ import annotations

from objstore.errors import BucketNotFoundError, LinkError
from objstore.metadata.records import Records
from objstore.model.objects import ObjectInfo

__all__ = ["follow", "follow_record"]

#: How many links are followed, one after the other. Clients refuse links to links, yet a link's
#: target can be replaced by a link.
MAX_LINKS = 8


def follow(records: Records, name: str) -> tuple[Records, ObjectInfo] | None:
    """Find the object that a name leads to, and the bucket that it is in.

    Returns:
        None when there is no such object, or a link leads to none.

    Raises:
        LinkError: a link leads to a whole bucket, or links lead in a circle.
        And as :meth:`~objstore.metadata.records.Records.read`.
    """
    return follow_record(records, name, records.read(name))


def follow_record(
    records: Records, name: str, info: ObjectInfo | None
) -> tuple[Records, ObjectInfo] | None:
    """Do as :func:`follow`, for a name whose own record has been read."""
    # A set, beside the bound: a circle is told as one at its first turn.
    seen = {(records.bucket, name)}
    here = records
    while info is not None and not info.deleted:
        link = info.link
        if link is None:
            return here, info
        if link.name is None:
            raise LinkError(
                f"{name!r} is a link to the bucket {link.bucket}, not to an object",
                bucket=records.bucket,
                name=name,
            )
        if (link.bucket, link.name) in seen or len(seen) > MAX_LINKS:
            raise LinkError(
                f"the links from {name!r} lead in a circle", bucket=records.bucket, name=name
            )
        seen.add((link.bucket, link.name))
        # The same Records in one bucket: what it has learned of the stream stays in use.
        here = here if link.bucket == here.bucket else records.of(link.bucket)
        try:
            info = here.read(link.name)
        except BucketNotFoundError:
            # The first bucket's absence is an error; a link into a bucket that is gone leads to
            # nothing, like one to an object that is gone.
            if here is records:
                raise
            return None
    return None
