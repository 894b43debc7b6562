"""The general path of a put: chunks into the stream, then the metadata that make them an object.

1. Every chunk is acknowledged, in order and counted, before the metadata is published.
2. The metadata is the commit (:mod:`objstore.metadata.commit`); what it replaced is removed then.
3. Whatever fails before the commit, Ctrl-C included, removes the new chunks; the old object
   stays as it was.

Faults on the way of the chunks are :mod:`objstore.put.sender`'s.
"""

from __future__ import annotations

import contextlib
import enum
import hashlib
import logging
import os
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from objstore.errors import ConnectionLostError, ObjStoreError, RequestTimeoutError, about
from objstore.metadata.changes import is_shared
from objstore.metadata.commit import (
    OnConflict,
    commit,
    read_after_fence,
    remove_chunks,
)
from objstore.metadata.current import Current, revision_of
from objstore.metadata.records import PendingElsewhere, Records
from objstore.model.objects import ObjectInfo, chunk_subject, encode_digest
from objstore.model.record_json import encode_info
from objstore.put.sender import ChunkSender
from objstore.wire.codec.protocol import Buffer
from objstore.wire.jetstream.api import PendingAck
from objstore.wire.jetstream.stored_headers import ttl_header

if TYPE_CHECKING:
    from objstore.put.source import Source

__all__ = ["Put", "described", "fill_put", "forked_error", "last_one_wins", "remove_replaced"]

LOG = logging.getLogger("objstore")


class State(enum.Enum):
    """How far a put has come."""

    SENDING = "chunks are on their way; the object stays as it was"
    PUBLISHED = "the metadata are on their way, too: they may be stored"
    REFUSED = "they were not stored"
    UNANSWERED = "they may be stored, and all patience was used up"
    STORED = "they are, and what they replaced is removed"


#: What follows what. Where a put is aborted, it is left in the state that it had come to.
FOLLOWS: dict[State, frozenset[State]] = {
    State.SENDING: frozenset({State.PUBLISHED}),
    State.PUBLISHED: frozenset({State.REFUSED, State.UNANSWERED, State.STORED}),
    State.REFUSED: frozenset(),
    State.UNANSWERED: frozenset(),
    State.STORED: frozenset(),
}

#: Where the stream has to say whether there is an object now.
UNDECIDED = frozenset({State.PUBLISHED, State.UNANSWERED})


class Put:
    """An object on its way into a bucket: send chunks, then commit or abort.

    Memory: 8 MiB at most, whatever the size.

    Arguments:
        records: the bucket.
        info: what is known of the object; its nuid is where the chunks go.
        current: what it will replace; its answer may come while the first chunk travels.
        on_conflict: decides when somebody else changed the object meanwhile, see
            :func:`objstore.metadata.commit.commit`.
        progress: called with the number of bytes of each chunk that was sent.
        timeout: for one acknowledgement, in seconds; None: the connection's.
        expected_size: of the payload, in bytes, where it is known.
        piggyback: whether small messages may wait for what is sent next. The caller then makes
            sure that something is sent between :meth:`publish` and :meth:`commit`.

    Attributes:
        finish_description: called when all of the payload was read, to complete the record; None:
            the record is complete.
    """

    finish_description: Callable[[ObjectInfo], ObjectInfo] | None = None

    def __init__(
        self,
        records: Records,
        info: ObjectInfo,
        current: Current,
        *,
        on_conflict: OnConflict | None,
        progress: Callable[[int], object],
        timeout: float | None = None,
        expected_size: int | None = None,
        piggyback: bool = False,
    ) -> None:
        self._records = records
        self._info = info
        self._awaited: Current | None = current
        self._current: ObjectInfo | None = None  # what will be replaced, once it is known
        self._on_conflict = on_conflict
        self._observer = observer = records.jetstream.observer
        if observer is not None:
            from objstore.put.telling import tell_chunks

            progress = tell_chunks(observer, info, progress)
        self._progress = progress
        # Here, not in a thread of its own: on two cores that the server needs too, that gave 670 in
        # place of 682 MB/s (128 KiB chunks), 360 in place of 360 without SHA instructions.
        self._piggyback = piggyback
        self._process = os.getpid()
        self._hasher = hashlib.sha256()
        self._count = 0
        self._size = 0
        self._state = State.SENDING
        self._published: PendingAck | None = None  # the metadata; their answer is to be taken
        self._elsewhere: PendingElsewhere | None = None
        self._margin = _NO_TIME if info.ttl is None else _margin(expected_size)
        self._begun = time.monotonic()
        self._chunks = ChunkSender(
            records,
            chunk_subject(records.bucket, info.nuid),
            b"" if info.ttl is None else ttl_header(info.ttl + self._margin),
            timeout or records.jetstream.timeout,
            piggyback=piggyback,
        )

    @property
    def is_reentrant(self) -> bool:
        """Whether this thread must not wait for the server; see :attr:`Session.is_reentrant`."""
        return self._records.jetstream.connection.session.is_reentrant

    @property
    def described(self) -> ObjectInfo:
        """The object, as far as it is known before all chunks are sent."""
        return self._info

    def send(self, chunk: Buffer) -> None:
        """Send the next chunk; it may not be acknowledged yet at return.

        Raises:
            ObjectTooLargeError: the payload exceeds the bucket's limit.
            StorageFullError, BucketSealedError, BucketNotFoundError, PermissionDeniedError,
            RequestTimeoutError, ConnectionLostError: an earlier chunk was not stored.
            ObjStoreError: this is a forked child.
        """
        self._check_process()
        length = len(chunk)
        # Not before the first chunk: the question for the record travels with it, in the same
        # system call. Before the second: a bucket that cannot be read is an error now, not at the
        # end.
        if self._count:
            self._know_current()
        self._records.known.check_size(self._size + length)
        self._count += 1
        self._chunks.send(chunk)
        # While it travels: the sending returns before the server has it.
        self._hasher.update(chunk)
        self._size += length
        self._progress(length)

    def _check_process(self) -> None:
        """Refuse to go on in a forked child, whose parent sends the same chunks."""
        if self._process != os.getpid():
            raise forked_error(self._info.bucket, self._info.name)

    def take_over(self, chunk: Buffer, begun: float, sequence: int, *, answered: bool) -> None:
        """Take note of a first chunk that :mod:`objstore.put.one_object` has sent.

        Arguments:
            chunk: the chunk.
            begun: when the put began, by ``time.monotonic``.
            sequence: of the chunk in the stream; 0: it is not known to be stored.
            answered: whether the server has answered; if not, its answer is lost.
        """
        self._begun = begun
        self._count, self._size = 1, len(chunk)
        self._hasher.update(chunk)
        self._chunks.take_over(chunk, begun, sequence, answered=answered)

    def resume(self, error: ObjStoreError, begun: float) -> None:
        """Go on after a failure of the chunk that was taken over.

        Arguments:
            error: the failure.
            begun: when the chunk was sent, by ``time.monotonic``.

        Raises:
            As :meth:`send`.
        """
        self._chunks.resume(error, begun)

    def take_over_published(self, current: ObjectInfo | None, failed: ObjStoreError | None) -> None:
        """Take note that :mod:`objstore.put.one_object` has sent the metadata.

        Arguments:
            current: the record that they replace; None: there is none.
            failed: the error that sending them, or their answer, ended in; None: the answer has
                not been taken.
        """
        self._current, self._awaited = current, None
        self._become(State.PUBLISHED)
        if failed is not None:
            self._become(_state_after(failed))

    def publish(self) -> None:
        """Send the metadata, once all chunks are acknowledged; :meth:`commit` takes the answer.

        Raises:
            ObjectCorruptError, BucketConfigError: the stream lacks chunks that it acknowledged.
            InvalidOptionError, BucketConfigError: the metadata are too large.
            ObjStoreError: as :meth:`send`.
            Exception: whatever ``finish_description`` raises.
        """
        self._check_process()
        # All that can be made while the last chunk travels is made then.
        digest = encode_digest(self._hasher.digest())
        info, finish = self._info, self.finish_description
        info = info if finish is None else finish(info)
        info = info.with_changes(size=self._size, chunks=self._count, digest=digest)
        encoded = encode_info(info)
        self._know_current()
        # ADR-20 has no commit but the metadata: all chunks must be stored before. (nats.go
        # publishes them first: an overwrite in a full bucket then loses the old object.)
        self._chunks.finish()
        self._chunks.check_count()
        if info.ttl is not None:
            info = info.with_changes(ttl=self._time_left(info.ttl))
        self._info = info
        self._become(State.PUBLISHED)
        try:
            revision = revision_of(self._current)
            self._published = self._records.start_publish(
                info, revision, encoded, piggyback=self._piggyback
            )
        except ObjStoreError as error:
            self._become(_state_after(error))
            raise
        # While the metadata travel:
        self._chunks.close()
        if self._may_be_elsewhere():
            with contextlib.suppress(ObjStoreError):
                elsewhere = PendingElsewhere(self._records, info.name)
                elsewhere.ask()
                self._elsewhere = elsewhere

    def _may_be_elsewhere(self) -> bool:
        """Tell whether to look for what an older client stored under another subject.

        Only where that has been seen in the bucket: the look costs the put of each new name a
        sixth of its time (568 and 664 µs), and what it would find is hidden by the newer record,
        until ``collect_garbage`` removes it. Where that one expires, the older would rise again.
        """
        is_new = self._current is None or self._current.deleted
        return is_new and (self._records.has_older_spellings or self._info.ttl is not None)

    def _become(self, state: State) -> None:
        """Change to a state that may follow the present one."""
        if state not in FOLLOWS[self._state]:
            raise RuntimeError(f"a put cannot become {state.name}: it is {self._state.name}")
        self._state = state

    def commit(self) -> ObjectInfo:
        """Make the chunks an object, once all are acknowledged; remove what it replaces.

        Raises:
            ObjStoreError: as :func:`objstore.metadata.commit.commit`.
            And as :meth:`publish`, where that was not called before.
        """
        # put_many publishes several before it takes the first answer.
        if self._published is None:
            self.publish()
        info, wanted = self._info, self._on_conflict

        def on_conflict(found: ObjectInfo | None) -> ObjectInfo:
            assert wanted is not None  # noqa: S101 - it is not used then
            self._current = found  # abort() removes the chunks of this one
            return described(wanted(found), info)

        try:
            stored, replaced = commit(
                self._records,
                info,
                self._current,
                None if wanted is None else on_conflict,
                published=self._published,
            )
        except ObjStoreError as error:
            self._become(_state_after(error))
            raise
        self._replace(replaced)
        self._replace_elsewhere(stored.revision)
        self._close()
        self._become(State.STORED)
        if self._observer is not None:
            from objstore.put.telling import tell_stored

            tell_stored(self._observer, stored, self._begun)
        return stored

    def abort(self) -> None:
        """Remove what was sent, unless that has become an object, or may have. Never raises.

        In a forked child, where a payload's own code can be, it does nothing: the parent goes on.
        """
        if self._state is State.STORED or self._process != os.getpid():  # interrupted afterwards
            return
        self._undo()
        if self._observer is not None:
            from objstore.put.telling import tell_failed

            tell_failed(self._observer, self._info, self._size, self._begun)

    def _undo(self) -> None:
        """Remove what was sent, unless it was stored; as :meth:`abort`."""
        gave_up = self._state is State.UNANSWERED or self._chunks.gave_up
        if gave_up and not self._records.jetstream.connection.is_connected:
            self._close()
            # Each question would wait for a connection once more: four times the patience in all.
            LOG.warning(
                "chunks %s of bucket %s are left behind, since there is no connection; "
                "collect_garbage removes them",
                self._info.nuid,
                self._info.bucket,
            )
            return
        # A purge overtakes chunks that the server has queued: it waits for their answers first.
        self._chunks.settle()
        self._close()
        if self._state in UNDECIDED:
            try:
                if self._was_stored():
                    return
            except ObjStoreError as error:
                LOG.warning(
                    "whether %r was stored in bucket %s is unknown, look with info(): %s",
                    self._info.name,
                    self._info.bucket,
                    error,
                )
                return  # never remove on a guess
        if self._chunks.may_have_stored:
            remove_chunks(self._records, self._info.nuid, unanswered=self._chunks.has_unanswered)

    def _was_stored(self) -> bool:
        """Tell whether the metadata were stored after all; remove the chunks that they replaced.

        Raises:
            ObjStoreError: that could not be found out.
        """
        stored = read_after_fence(self._records, self._info)
        nuid = "" if stored is None else stored.nuid
        # By the nuid, which no other put has.
        if nuid == self._info.nuid:
            self._replace(self._current)
            return True
        if revision_of(stored) == revision_of(self._current):
            return False
        if self._current is not None and nuid != self._current.nuid:
            # This put's record may have replaced the current one, and another put's this one: then
            # nobody else removes the current one's chunks. Or the current one was renamed.
            self._replace(self._current, thorough=True)
        # This put's object may be renamed by now, too.
        return is_shared(self._records, self._info, thorough=True)

    def _replace(self, replaced: ObjectInfo | None, *, thorough: bool = False) -> None:
        remove_replaced(self._records, replaced, self._info.nuid, thorough=thorough)

    def _replace_elsewhere(self, revision: int) -> None:
        """Remove the record that an older client stored under another subject, and its chunks."""
        if self._elsewhere is None:
            return
        with contextlib.suppress(ObjStoreError):  # the newer one counts, whatever stays behind
            found = self._elsewhere.result()
            if found is not None and found[1].revision < revision:
                self._records.jetstream.purge(self._records.stream, found[0], found[1].revision)
                self._replace(found[1], thorough=True)

    def _time_left(self, ttl: timedelta) -> timedelta:
        """Return the life time left for the metadata, which must not outlive the chunks."""
        # Chunks expire by the time at which each was stored, which is earlier than the metadata's.
        late = timedelta(seconds=time.monotonic() - self._begun) - self._margin
        return ttl if late.total_seconds() < 0 else max(timedelta(seconds=1), ttl - late)

    def _know_current(self) -> None:
        """Take the answer to the question for the record that will be replaced, once.

        Raises:
            BucketNotFoundError, RequestTimeoutError, ConnectionLostError: no answer.
            ObjectTooLargeError: what was sent exceeds the limit that the bucket has by now.
        """
        if self._awaited is not None:
            self._current, self._awaited = self._awaited.result(), None
            self._records.known.check_size(self._size)  # the settings were answered with it

    def forget(self) -> None:
        """Stop waiting for answers, and leave all as it is. Never raises."""
        self._close()

    def _close(self) -> None:
        self._chunks.close()
        for pending in (self._awaited, self._elsewhere, self._published):
            if pending is not None:
                pending.close()


def fill_put(put: Put, source: Source, chunk_size: int) -> ObjectInfo:
    """Send all chunks of a payload and commit; remove what was sent where that fails.

    Raises:
        As :meth:`Put.send` and :meth:`Put.commit`, and whatever reading the payload raises.
    """
    with about(bucket=put.described.bucket, name=put.described.name):
        try:
            for chunk in source.chunks(chunk_size):
                put.send(chunk)
            return put.commit()
        except BaseException:
            put.abort()
            raise


def remove_replaced(
    records: Records, replaced: ObjectInfo | None, nuid: str, *, thorough: bool = False
) -> None:
    """Remove the chunks of what was there before, unless a rename left them to another name.

    Arguments:
        records: the bucket.
        replaced: what was there; None: nothing.
        nuid: of what is there now.
        thorough: as of :func:`~objstore.metadata.changes.is_shared`.
    """
    # A tombstone of another client has the nuid of what it deleted, whose chunks may live under
    # another name.
    if replaced is None or replaced.deleted or not replaced.chunks or replaced.nuid == nuid:
        return
    with contextlib.suppress(ObjStoreError):  # stored is stored; gc finds what stays behind
        if not is_shared(records, replaced, thorough=thorough):
            remove_chunks(records, replaced.nuid)


def forked_error(bucket: str, name: str) -> ObjStoreError:
    """Make the error of a forked child that goes on with its parent's upload."""
    what = f"{name!r} is being stored by the process that forked this one, which alone can go on"
    return ObjStoreError(what, bucket=bucket, name=name)


_NO_TIME = timedelta(0)


def _state_after(error: ObjStoreError) -> State:
    """Name the state of a put whose published metadata end in an error."""
    is_unknown = isinstance(error, (RequestTimeoutError, ConnectionLostError))
    return State.UNANSWERED if is_unknown else State.REFUSED


def _margin(expected_size: int | None) -> timedelta:
    """Tell how much longer chunks live than the metadata, which are stored after them.

    Enough for an upload at 64 KiB/s; an hour where the size is unknown.
    """
    if expected_size is None:
        return timedelta(hours=1)
    return timedelta(seconds=10 + expected_size / (64 << 10))


def last_one_wins(info: ObjectInfo) -> OnConflict:
    """Return a rule for conflicts: store the object over whatever was stored meanwhile."""
    return lambda _found: info


def described(wanted: ObjectInfo, chunks: ObjectInfo) -> ObjectInfo:
    """Return the record to store over somebody else's: that of this put, as it was completed.

    Arguments:
        wanted: what the rule for conflicts gave.
        chunks: the record with what became known while the payload was read: size, number of
            chunks, digest, and headers and metadata that were said at its end.
    """
    return wanted.with_changes(
        size=chunks.size,
        chunks=chunks.chunks,
        digest=chunks.digest,
        header_values=chunks.header_values,
        metadata=chunks.metadata,
    )
