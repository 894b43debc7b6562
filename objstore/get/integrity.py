"""Checks of what arrived: number of chunks, sizes, digest; and the errors where it is wrong."""

from __future__ import annotations

import contextlib
import hashlib
import warnings
from typing import Any

from objstore.errors import (
    DigestMismatchError,
    ObjectChangedError,
    ObjectCorruptError,
    ObjStoreError,
)
from objstore.metadata.records import Records
from objstore.model.objects import ObjectInfo, chunk_subject, decode_digest, encode_digest
from objstore.wire.jetstream.pages import count_messages

__all__ = [
    "Digester",
    "Payload",
    "check_count",
    "check_digest",
    "is_same_digest",
    "verify_whole",
    "why_incomplete",
    "wrong_size",
]

Payload = bytes | memoryview


def why_incomplete(records: Records, info: ObjectInfo, index: int) -> ObjStoreError:
    """Return the error that says why a chunk does not come: the object changed, or is damaged.

    Arguments:
        records: the bucket that it is in.
        info: its metadata.
        index: the number of the chunk.

    Raises:
        ObjStoreError: as :meth:`~objstore.metadata.records.Records.read`.
    """
    facts = {"bucket": info.bucket, "name": info.name}
    # At the leader, or a follower that lags would hide that the object was replaced.
    now = records.read(info.name, fresh=True)
    # The nuid, not the revision: an update leaves the chunks where they are.
    if now is None or now.deleted or now.nuid != info.nuid:
        what = "deleted" if now is None or now.deleted else "overwritten"
        return ObjectChangedError(f"{info.name!r} was {what} while it was being read", **facts)
    # Which one is lost in the middle, no answer tells: those before it seem to be one further on.
    subject, missing = chunk_subject(records.bucket, info.nuid), 0
    with contextlib.suppress(ObjStoreError):  # counting may not be allowed
        missing = info.chunks - count_messages(records.jetstream, records.stream, subject)
    what = f"{missing} of its {info.chunks} chunks" if missing > 0 else f"chunk {index}"
    is_or_are = "are" if missing > 1 else "is"
    return ObjectCorruptError(f"{info.name!r} is damaged: {what} {is_or_are} missing", **facts)


def check_count(records: Records, info: ObjectInfo, index: int) -> None:
    """Check by one request that the stream's leader has as many chunks as the metadata say.

    Arguments:
        records: the bucket that the object is in.
        info: its metadata.
        index: the number of the chunk that is wanted, for the error.

    Raises:
        ObjectChangedError, ObjectCorruptError: it has more or fewer.
        ObjStoreError: it does not answer.
    """
    subject = chunk_subject(records.bucket, info.nuid)
    if count_messages(records.jetstream, records.stream, subject) != info.chunks:
        raise why_incomplete(records, info, index)


def wrong_size(info: ObjectInfo) -> ObjectCorruptError:
    """Return the error for chunks whose sizes do not add up to the object's size."""
    return ObjectCorruptError(
        f"{info.name!r} is damaged: its {info.chunks} chunks do not have the "
        f"{info.size:,} bytes stated",
        bucket=info.bucket,
        name=info.name,
    )


class Digester:
    """The digest of an object, computed as long as its chunks are read in order.

    Arguments:
        info: the object's metadata.
    """

    def __init__(self, info: ObjectInfo) -> None:
        self._info = info
        self._hasher: Any = None  # made by the first chunk
        self._next = 0

    def add(self, index: int, payload: Payload) -> None:
        """Add a chunk that is about to be handed out.

        The first chunk begins a new digest, a chunk out of order is left out, and after the last
        chunk, if it comes in order, the digest is checked.

        Raises:
            DigestMismatchError, ObjectCorruptError: as :func:`check_digest`.
        """
        # A reader that begins anew, as after a seek(0), verifies anew.
        if not index:
            self._hasher, self._next = hashlib.sha256(), 0
        # SHA-256 cannot skip: who jumps gets chunks that are counted and of the right size, and no
        # digest.
        if index != self._next:
            return
        self._hasher.update(payload)
        self._next += 1
        if self._next == self._info.chunks:
            check_digest(self._info, self._hasher.digest())


def verify_whole(info: ObjectInfo, payload: Payload) -> Payload:
    """Verify the content of a one-chunk object, and return it.

    Raises:
        ObjectCorruptError: it does not have the size stated, or the digest stated is of an unknown
            kind.
        DigestMismatchError: it is not what was stored.
    """
    # Before the digest, which an object may not have.
    if len(payload) != info.size:
        raise ObjectCorruptError(
            f"{info.name!r} is damaged: its chunk has {len(payload):,} bytes, not {info.size:,}",
            bucket=info.bucket,
            name=info.name,
        )
    check_digest(info, hashlib.sha256(payload).digest())
    return payload


def is_same_digest(stated: str, digest: bytes) -> bool:
    """Tell whether a stated digest is of these 32 bytes, however they are spelled."""
    # The usual spelling first, as nearly every digest has it; nobody's is decoded then.
    return stated == encode_digest(digest) or decode_digest(stated) == digest


def check_digest(info: ObjectInfo, digest: bytes) -> None:
    """Compare the digest of what arrived with the one stated.

    Raises:
        DigestMismatchError: they differ.
        ObjectCorruptError: the metadata's digest is of another kind.
    """
    if not info.digest:
        warnings.warn(
            f"{info.name!r} in bucket {info.bucket} has no digest: it was read unverified",
            stacklevel=5,
        )
        return
    if is_same_digest(info.digest, digest):
        return
    # Not called a mismatch: the bytes may be right, and the digest of a kind that ADR-20 does not
    # know.
    if decode_digest(info.digest) is None:
        raise ObjectCorruptError(
            f"{info.name!r} has a digest of an unknown kind: {info.digest!r}",
            bucket=info.bucket,
            name=info.name,
        )
    actual = encode_digest(digest)
    raise DigestMismatchError(
        f"{info.name!r} is damaged: its digest is {actual}, not {info.digest} as stated",
        bucket=info.bucket,
        name=info.name,
        expected=info.digest,
        actual=actual,
    )
