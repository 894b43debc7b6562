"""The road of a put: payload to chunks in the stream, committed by one metadata message.

1. Every chunk is acknowledged, in order and counted, before the metadata is published.
2. The metadata is stored only onto the revision that it was meant to replace
   (``Nats-Expected-Last-Subject-Sequence``), so that a writer knows exactly which chunks it
   replaced, and removes exactly those.
3. Where the answer to the metadata is lost, the stream's leader is asked what it holds.
4. Whatever fails before the commit, Ctrl-C included, removes the new chunks; the old object
   stays as it was.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from typing import TypeGuard

from objstore.errors import (
    BucketNotFoundError,
    ConnectionClosedError,
    ConnectionLostError,
    ObjectCorruptError,
    ObjectTooLargeError,
    ObjStoreError,
    RequestTimeoutError,
    RevisionMismatchError,
)
from objstore.objects import DIGEST_PREFIX, ObjectInfo, chunk_subject
from objstore.records import Records
from objstore.wire.jetstream import JetStream, parse_pub_ack
from objstore.wire.protocol import Buffer, Message, check_subject
from objstore.wire.requests import publish_parts

__all__ = ["Chunks", "Progress", "commit", "upload"]

LOG = logging.getLogger("objstore")

Progress = Callable[[int], None]

#: Bytes that may be on their way without an acknowledgement.
WINDOW = 8 << 20


class Chunks:
    """What an upload left in the stream.

    Attributes:
        count: how many chunks.
        size: of all, in bytes.
        digest: ADR-20's text for it.
    """

    __slots__ = ("count", "digest", "size")

    def __init__(self, count: int, size: int, digest: str) -> None:
        self.count = count
        self.size = size
        self.digest = digest


class _Window:
    """The chunks that are sent and not acknowledged.

    The reader thread calls :meth:`deliver` and :meth:`fail`; the uploading thread waits in
    :meth:`wait_for`. Memory: :data:`WINDOW` bytes of chunks at most, held by the kernel and
    the server, not here.

    Attributes:
        subject: of the chunks.
    """

    def __init__(self, subject: str, timeout: float) -> None:
        self.subject = subject
        self._timeout = timeout
        self._changed = threading.Condition(threading.Lock())
        self._sizes: dict[int, int] = {}  # chunk number -> bytes not acknowledged
        self._outstanding = 0
        self._acknowledged = 0  # chunks 1 … this are stored
        self._last_sequence = 0
        self._error: ObjStoreError | None = None  # why the upload cannot go on
        self._deaf = False  # no answer will come any more

    def sent(self, number: int, size: int) -> None:
        """A chunk is about to be sent."""
        with self._changed:
            self._sizes[number] = size
            self._outstanding += size

    def deliver(self, message: Message) -> None:
        """Take an acknowledgement; its subject ends in the chunk's number."""
        number = int(message.subject.rpartition(".")[2])
        error: ObjStoreError | None = None
        sequence = 0
        try:
            sequence = parse_pub_ack(message, f"storing chunk {number}").sequence
        except ObjStoreError as refused:
            error = refused
        with self._changed:
            if error is None and not self._continues(number, sequence):
                # Chunks in order, or not at all: a gap or a swap is a corrupt object.
                error = ObjectCorruptError(f"chunk {number} was stored out of order")
            self._acknowledged, self._last_sequence = number, sequence
            self._outstanding -= self._sizes.pop(number, 0)
            self._error = self._error or error
            self._changed.notify()

    def _continues(self, number: int, sequence: int) -> bool:
        return number == self._acknowledged + 1 and sequence > self._last_sequence

    def fail(self, error: ObjStoreError) -> None:
        """The connection was lost, or the permission is missing."""
        with self._changed:
            self._error = self._error or error
            self._deaf = True
            self._changed.notify()

    def wait_for(self, room: int) -> None:
        """Wait until at most ``room`` bytes are outstanding.

        Raises:
            RequestTimeoutError: no acknowledgement came for one time-out.
            ObjStoreError: a chunk was refused, or the connection was lost.
        """
        with self._changed:
            while self._error is None and self._outstanding > room:
                before = self._acknowledged
                if not self._changed.wait(self._timeout) and self._acknowledged == before:
                    raise RequestTimeoutError(
                        f"no acknowledgement of chunk {before + 1} in {self._timeout:g} s",
                        timeout=self._timeout,
                        subject=self.subject,
                    )
            if self._error is not None:
                raise self._error

    def settle(self) -> None:
        """After a failure: wait for the answers to all that was sent, good or bad.

        The server stores from a queue, past which a purge would slip: chunks would be stored
        after they were to be removed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._deaf or not self._outstanding, self._timeout)


def upload(
    jetstream: JetStream,
    subject: str,
    chunks: Iterator[Buffer],
    *,
    limit: int | None,
    progress: Progress | None,
) -> Chunks:
    """Store chunks, in order; all are acknowledged at return.

    Memory: the window's 8 MiB at most, whatever the size.

    Arguments:
        jetstream: the account.
        subject: where the chunks go.
        chunks: the payload.
        limit: the largest size allowed, in bytes.
        progress: called with the bytes sent so far, after each chunk.

    Raises:
        ObjectTooLargeError: the payload exceeds the limit.
        StorageFullError, BucketSealedError, BucketNotFoundError, PermissionDeniedError,
        RequestTimeoutError, ConnectionLostError: a chunk was not stored. What was stored
            before is still there: the caller removes it.
        Exception: whatever reading the payload raises.
    """
    session, inbox = jetstream.connection.session, jetstream.connection.inbox
    window = _Window(subject, jetstream.timeout)
    raw_subject = check_subject(subject)
    hasher = hashlib.sha256()
    count = size = 0
    reply = inbox.open(window.deliver)
    try:
        for chunk in chunks:
            length = len(chunk)
            if limit is not None and size + length > limit:
                raise ObjectTooLargeError(
                    f"the payload is larger than the bucket's limit of {limit:,} bytes",
                    limit=limit,
                )
            window.wait_for(max(0, WINDOW - length))
            count += 1
            window.sent(count, length)
            parts = publish_parts(raw_subject, chunk, f"{reply}.{count}".encode())
            session.transmit(parts, window)
            hasher.update(chunk)
            size += length
            if progress is not None:
                progress(size)
        window.wait_for(0)
    except BaseException:
        window.settle()
        raise
    finally:
        session.forget(window)
        inbox.close(reply)
    digest = DIGEST_PREFIX + urlsafe_b64encode(hasher.digest()).decode()
    return Chunks(count, size, digest)


# --- the commit


def commit(
    records: Records,
    info: ObjectInfo,
    current: ObjectInfo | None,
    *,
    ttl: str | None = None,
    retry: Callable[[ObjectInfo | None], ObjectInfo] | None = None,
) -> tuple[ObjectInfo, ObjectInfo | None]:
    """Publish metadata over exactly the revision that it replaces.

    Arguments:
        records: the bucket's metadata.
        info: what to store.
        current: what is stored now, tombstones included; None: nothing.
        ttl: the message's life time.
        retry: called with what is stored, when somebody else was faster: gives what to store
            then, or raises. None: RevisionMismatchError.

    Returns:
        The info with its revision, and what it replaced.

    Raises:
        RevisionMismatchError: somebody else was faster.
        RequestTimeoutError, ConnectionLostError: it is unknown whether it was stored, even
            after asking again for the connection's patience.
        ObjStoreError: it was not stored.
    """
    deadline = time.monotonic() + records.jetstream.patience
    while True:
        expected = current.revision if current is not None else 0
        try:
            revision = records.publish(info, expected, ttl=ttl)
        except RevisionMismatchError:
            stored = records.read(info.name, fresh=True)
            if _is_ours(stored, info):
                return stored, current
            if retry is None:
                raise
        except ConnectionClosedError:
            raise
        except (RequestTimeoutError, ConnectionLostError):
            # Lost is not refused. The same revision is expected again, so that of two copies
            # under way at most one is stored.
            if time.monotonic() >= deadline:
                raise
            stored = records.read(info.name, fresh=True)
            if _is_ours(stored, info):
                return stored, current
            if (stored.revision if stored else 0) == expected:
                continue
            if retry is None:
                raise RevisionMismatchError(
                    f"{info.name!r} was changed by somebody else",
                    bucket=info.bucket,
                    name=info.name,
                    expected=expected,
                    actual=stored.revision if stored else 0,
                ) from None
        else:
            return info.with_changes(revision=revision), current
        info, current = retry(stored), stored


def _is_ours(stored: ObjectInfo | None, info: ObjectInfo) -> TypeGuard[ObjectInfo]:
    """Whether what is stored is what we published, its answer having been lost."""
    return (
        stored is not None
        and stored.nuid == info.nuid
        and stored.with_changes(revision=0, mtime=None) == info.with_changes(revision=0, mtime=None)
    )


def remove_chunks(records: Records, nuid: str) -> None:
    """Remove the chunks of a nuid after something else succeeded or failed; never raises.

    What cannot be removed now is found later by ``collect_garbage``.
    """
    if not nuid:
        return
    try:
        records.jetstream.purge(records.stream, chunk_subject(records.bucket, nuid))
    except BucketNotFoundError:
        pass
    except ObjStoreError as error:
        LOG.warning("chunks %s of bucket %s are left behind: %s", nuid, records.bucket, error)
