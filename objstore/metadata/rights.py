"""What a user must be allowed before the first chunk of a put travels.

A put that fails half-way removes what it sent, and one that replaces an object removes the chunks
of that. So where the user may not do everything, as the server says when a bucket is opened, the
first put reads the record before it sends a chunk, not meanwhile, and with that goes a purge of
nothing: who may not read, or not purge, is refused. Whether a record may be stored is tried with
one that cannot be. Where something was denied, the next puts look, too. Whoever is not limited
pays nothing for it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from objstore.errors import PermissionDeniedError
from objstore.metadata.commit import fence
from objstore.metadata.current import Current, find_current, revision_check
from objstore.metadata.records import Records
from objstore.model.objects import ObjectInfo, meta_subject

__all__ = [
    "check_rights_to_put",
    "check_rights_to_remove",
    "find_replaced",
]


@contextlib.contextmanager
def _learning_to_purge(records: Records) -> Iterator[None]:
    """Learn whether the user may purge, once, while the block waits for an answer."""
    access = records.access
    # Learned once for each bucket; who is not limited, as the server says, is never asked.
    if access.may_purge is not None or not access.is_doubtful:
        yield
        return
    # A purge of nothing is refused like any other: what is forbidden shows without any harm.
    with records.jetstream.start_purging_nothing(records.stream) as purge:
        yield
        # A time-out or a lost connection says nothing of rights: then it is asked again.
        if purge.error is None or isinstance(purge.error, PermissionDeniedError):
            access.may_purge = purge.error is None


def find_replaced(records: Records, name: str, if_revision: int | None) -> ObjectInfo | None:
    """Find the record that a write will replace, and learn whether it may be.

    Raises:
        BucketReadOnlyError, BucketSealedError, BucketConfigError: nothing can be written.
        RevisionMismatchError: it is not what ``if_revision`` asks for.
    """
    meta_subject(records.bucket, name)  # checks the name, before anything is asked
    records.known.check_writable()
    check = None if if_revision is None else revision_check(records.bucket, name, if_revision)
    with records.known.checking_settings(), _learning_to_purge(records):
        return find_current(records, name, check)


def check_rights_to_put(records: Records, name: str, current: Current) -> ObjectInfo | None:
    """Refuse a put that cannot be completed.

    Arguments:
        records: the bucket.
        name: of the object.
        current: what the put will replace.

    Returns:
        What that is.

    Raises:
        PermissionDeniedError: the user may not store the record, or not remove what it replaces.
        ObjStoreError: as ``current``'s result; or the bucket cannot be written.
    """
    access = records.access
    with _learning_to_purge(records):
        found = current.result()
    if not access.commits:
        # A record that the stream must refuse: whether it may be published shows, and nothing
        # changes.
        fence(records, meta_subject(records.bucket, name))
        access.commits = True
    # Before the first chunk: what is replaced must go in the end, or chunks without an owner pile
    # up.
    if found is not None:
        check_rights_to_remove(records, found)
    access.proved = True
    return found


def check_rights_to_remove(records: Records, info: ObjectInfo) -> None:
    """Refuse to replace or delete an object whose chunks the user may not remove.

    Raises:
        PermissionDeniedError: the user may not purge.
    """
    # False alone: where nothing is known, the purge itself says it.
    if info.deleted or not info.chunks or records.access.may_purge is not False:
        return
    subject = records.jetstream.purge_subject(records.stream)
    raise PermissionDeniedError(
        f"the chunks of {info.name!r} would be left behind: not allowed: publish to {subject}",
        subject=subject,
        bucket=records.bucket,
        name=info.name,
    )
