"""The road of a put: chunks into the stream, then the one message that makes them an object.

1. Every chunk is acknowledged, in order and counted, before the metadata is published.
2. The metadata is the commit (:mod:`objstore.commit`); what it replaced is removed then.
3. Whatever fails before the commit, Ctrl-C included, removes the new chunks; the old object
   stays as it was.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

from objstore.change import is_shared
from objstore.commit import Again, commit, remove_chunks, settled
from objstore.errors import (
    ConnectionLostError,
    ObjectCorruptError,
    ObjectTooLargeError,
    ObjStoreError,
    RequestTimeoutError,
)
from objstore.objects import DIGEST_PREFIX, ObjectInfo, chunk_subject
from objstore.records import Records
from objstore.wire.jetstream import parse_pub_ack, ttl_header
from objstore.wire.protocol import Buffer, Message, check_subject
from objstore.wire.requests import publish_parts

__all__ = ["Put"]

LOG = logging.getLogger("objstore")

#: Bytes that may be on their way without an acknowledgement.
WINDOW = 8 << 20


class _Window:
    """The chunks that are sent and not acknowledged.

    The reader thread calls :meth:`deliver` and :meth:`fail`; the uploading thread waits in
    :meth:`wait_for`. Memory: :data:`WINDOW` bytes of chunks at most, held by the kernel and
    the server, not here.

    Attributes:
        subject: of the chunks.
        deaf: whether the connection that carried them is gone: no answer will come any more.
    """

    def __init__(self, subject: str, timeout: float) -> None:
        self.subject = subject
        self._timeout = timeout
        # Entered by its lock, here and in the session: Condition.__enter__ is Python, and a
        # Ctrl-C at its end leaves the lock locked for good.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._sizes: dict[int, int] = {}  # chunk number -> bytes not acknowledged
        self._outstanding = 0
        self._acknowledged = 0  # chunks 1 … this are stored
        self._last_sequence = 0
        self._error: ObjStoreError | None = None  # why the upload cannot go on
        self.deaf = False
        self._accepted = 0

    def sent(self, number: int, size: int) -> None:
        """A chunk is about to be sent."""
        with self._lock:
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
        with self._lock:
            if error is None and not self._continues(number, sequence):
                # Chunks in order, or not at all: a gap or a swap is a corrupt object.
                error = ObjectCorruptError(f"chunk {number} was stored out of order")
            self._acknowledged, self._last_sequence = number, sequence
            self._accepted += bool(sequence)
            self._outstanding -= self._sizes.pop(number, 0)
            self._error = self._error or error
            self._changed.notify()

    def _continues(self, number: int, sequence: int) -> bool:
        return number == self._acknowledged + 1 and sequence > self._last_sequence

    def fail(self, error: ObjStoreError) -> None:
        """The connection was lost, or the permission is missing."""
        with self._lock:
            self._error = self._error or error
            self.deaf = True
            self._changed.notify()

    def wait_for(self, room: int) -> None:
        """Wait until at most ``room`` bytes are outstanding.

        Raises:
            RequestTimeoutError: no acknowledgement came for one time-out.
            ObjStoreError: a chunk was refused, or the connection was lost.
        """
        with self._lock:
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

    @property
    def may_have_stored(self) -> bool:
        """Whether any chunk was stored, or may have been."""
        return bool(self._accepted or self._sizes)

    def settle(self) -> None:
        """After a failure: wait for the answers to all that was sent, good or bad.

        The server stores from a queue, past which a purge would slip: chunks would be stored
        after they were to be removed.
        """
        with self._lock:
            self._changed.wait_for(lambda: self.deaf or not self._outstanding, self._timeout)


class Put:
    """An object on its way into a bucket: send chunks, then commit or abort.

    Memory: :data:`WINDOW` bytes at most, whatever the size.

    Arguments:
        records: the bucket.
        info: what is known of the object; its nuid is where the chunks go.
        current: what it will replace, tombstones included.
        limit: the largest size allowed, in bytes.
        again: decides when somebody else changed the object meanwhile, see
            :func:`objstore.commit.commit`.
        progress: told the bytes of each chunk that was sent.
        timeout: for one acknowledgement, in seconds; None: the connection's.
        expected_size: of the payload, in bytes, where it is known.
    """

    def __init__(
        self,
        records: Records,
        info: ObjectInfo,
        current: ObjectInfo | None,
        *,
        limit: int | None,
        again: Again | None,
        progress: Callable[[int], object] | None,
        timeout: float | None = None,
        expected_size: int | None = None,
    ) -> None:
        self._records = records
        self._info = info
        self._current = current
        self._limit = limit
        self._again = again
        self._progress = progress
        self._hasher = hashlib.sha256()
        self._count = 0
        self._size = 0
        self._undecided = False  # the metadata were published, and may be stored
        self._done = False  # they are, and what they replaced is removed
        connection = records.jetstream.connection
        self._session, self._inbox = connection.session, connection.inbox
        subject = chunk_subject(records.bucket, info.nuid)
        self._subject = check_subject(subject)
        self._margin = _margin(expected_size)
        self._header = b"" if info.ttl is None else ttl_header(info.ttl + self._margin)
        self._begun = time.monotonic()
        self._window = _Window(subject, timeout or records.jetstream.timeout)
        self._reply = self._inbox.open(self._window.deliver)

    @property
    def described(self) -> ObjectInfo:
        """The object, as far as it is known before all chunks are sent."""
        return self._info

    def send(self, chunk: Buffer) -> None:
        """Send the next chunk; it may not be acknowledged yet at return.

        Raises:
            ObjectTooLargeError: the payload exceeds the limit.
            StorageFullError, BucketSealedError, BucketNotFoundError, PermissionDeniedError,
            RequestTimeoutError, ConnectionLostError: an earlier chunk was not stored.
        """
        length = len(chunk)
        if self._limit is not None and self._size + length > self._limit:
            raise ObjectTooLargeError(
                f"the payload is larger than the bucket's limit of {self._limit:,} bytes",
                limit=self._limit,
            )
        self._window.wait_for(max(0, WINDOW - length))
        self._count += 1
        self._window.sent(self._count, length)
        reply = f"{self._reply}.{self._count}".encode()
        parts = publish_parts(self._subject, chunk, reply, self._header)
        self._session.transmit(parts, self._window)
        self._hasher.update(chunk)
        self._size += length
        if self._progress is not None:
            self._progress(length)

    def commit(self) -> ObjectInfo:
        """Make the chunks an object, once all are acknowledged; remove what it replaces.

        Raises:
            RevisionMismatchError: somebody else changed the object meanwhile.
            And as :meth:`send`, and :func:`objstore.commit.commit`.
        """
        self._window.wait_for(0)
        digest = DIGEST_PREFIX + urlsafe_b64encode(self._hasher.digest()).decode()
        info = self._info.with_changes(
            size=self._size, chunks=self._count, digest=digest, ttl=self._time_left()
        )
        wanted = self._again

        def again(found: ObjectInfo | None) -> ObjectInfo:
            assert wanted is not None  # noqa: S101 - it is not used then
            self._current = found  # what abort() finds replaced
            return _described(wanted(found), info)

        self._undecided = True  # until an answer says what became of the metadata
        try:
            stored, replaced = commit(
                self._records,
                info,
                self._current,
                None if wanted is None else again,
                brings_chunks=True,
            )
        except (RequestTimeoutError, ConnectionLostError):
            raise
        except ObjStoreError:
            self._undecided = False
            raise
        # It stays undecided: a Ctrl-C from here on must not remove what is an object now.
        self._close()
        self._replace(replaced)
        self._done = True
        return stored.with_changes(mtime=datetime.now(timezone.utc))

    def abort(self) -> None:
        """Remove what was sent, unless that has become an object, or may have. Never raises."""
        if self._done:  # interrupted afterwards
            return
        self._window.settle()
        self._close()
        if self._undecided:
            try:
                if self._landed():
                    return
            except ObjStoreError as error:
                LOG.warning(
                    "whether %r was stored in bucket %s is unknown: %s",
                    self._info.name,
                    self._info.bucket,
                    error,
                )
                return  # never remove on a guess
        if self._window.may_have_stored:
            if self._window.deaf:
                self._await_queue()
            remove_chunks(self._records, self._info.nuid)

    def _await_queue(self) -> None:
        """Wait until the server has stored what the lost connection had brought it.

        A message in the same stream is stored after it, and answered then.
        """
        with contextlib.suppress(ObjStoreError):  # the purge will meet the same, and tell
            self._records.jetstream.publish(self._window.subject, b"", "ending an upload")

    def _landed(self) -> bool:
        """Whether the metadata were stored after all. Removes what is no longer there.

        Raises:
            ObjStoreError: that could not be found out.
        """
        stored = settled(self._records, self._info)
        nuid = "" if stored is None else stored.nuid
        if nuid == self._info.nuid:
            self._replace(self._current)
            return True
        if self._current is not None and nuid != self._current.nuid:
            # Ours may have replaced it, and have been replaced in turn: then nobody else removes
            # its chunks. Or it was renamed.
            self._replace(self._current, thorough=True)
        return False

    def _replace(self, replaced: ObjectInfo | None, *, thorough: bool = False) -> None:
        """Remove the chunks of what was there before, unless a rename left them to another name."""
        if replaced is None or not replaced.chunks:
            return
        with contextlib.suppress(ObjStoreError):  # stored is stored; gc finds what stays behind
            if not is_shared(self._records, replaced, thorough=thorough):
                remove_chunks(self._records, replaced.nuid)

    def _time_left(self) -> timedelta | None:
        """The life time of the metadata, which must not outlive the chunks."""
        ttl = self._info.ttl
        if ttl is None:
            return None
        late = timedelta(seconds=time.monotonic() - self._begun) - self._margin
        return ttl if late.total_seconds() < 0 else max(timedelta(seconds=1), ttl - late)

    def _close(self) -> None:
        self._session.forget(self._window)
        self._inbox.close(self._reply)


def _margin(expected_size: int | None) -> timedelta:
    """How much longer chunks live than the metadata, which are stored after them.

    Enough for an upload at 64 KiB/s; an hour where the size is unknown.
    """
    if expected_size is None:
        return timedelta(hours=1)
    return timedelta(seconds=10 + expected_size / (64 << 10))


def _described(wanted: ObjectInfo, chunks: ObjectInfo) -> ObjectInfo:
    """What shall be stored now, with the chunks that were sent."""
    return wanted.with_changes(size=chunks.size, chunks=chunks.chunks, digest=chunks.digest)
