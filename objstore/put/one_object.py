"""Storing one object, by the fast path for one chunk or by the general path.

A payload in memory that is one chunk takes the fast path: chunk, acknowledgement, metadata. The
thread that has sent the chunk waits for its acknowledgement: no window, no chunks to be counted.

All others take the general path (:mod:`objstore.put.upload`), which has the same rules. It takes
over from the fast path after a fault, or where the chunk took long.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from objstore.errors import NoRespondersError, ObjStoreError, about
from objstore.metadata.commit import OnConflict, commit, left_behind
from objstore.metadata.current import Current, Known, PendingCurrent, revision_of
from objstore.metadata.records import Records
from objstore.metadata.rights import check_rights_to_put, find_replaced
from objstore.model.arguments import check_revision, check_timeout, describe
from objstore.model.described_later import take_functions
from objstore.model.objects import (
    DEFAULT_CHUNK_SIZE,
    ObjectInfo,
    ObjectMeta,
    chunk_subject,
    encode_digest,
    options_for,
)
from objstore.model.record_json import encode_info
from objstore.progress import NO_PROGRESS, Bar, ProgressOption, start_progress
from objstore.put.ack_window import SILENCE
from objstore.put.sender import LONG
from objstore.put.upload import Put, fill_put, last_one_wins, remove_replaced
from objstore.wire.codec.protocol import Buffer
from objstore.wire.connection.requests import PendingReply, next_nuid
from objstore.wire.jetstream.answers import parse_pub_ack
from objstore.wire.jetstream.api import PendingAck

if TYPE_CHECKING:
    from collections.abc import Callable

    from objstore.put.options import Payload
    from objstore.wire.connection.observer import Observer

__all__ = ["OneChunk", "begin_one_chunk", "begin_put", "choose_chunk_size", "chunk_size_of", "put"]

#: What large objects get, where the server's ``max_payload`` allows it: 512 KiB moves 1.1 to
#: 1.4 times faster than 128 KiB.
LARGE_CHUNK_SIZE = 512 << 10
LARGE_OBJECT = 8 << 20


def put(
    records: Records,
    meta: str | ObjectMeta,
    payload: Payload = None,
    *,
    if_revision: int | None = None,
    progress: ProgressOption = None,
    timeout: float | None = None,
    **description: Any,
) -> ObjectInfo:
    """Store an object, in place of the one of that name if there is one.

    Arguments:
        records: the bucket.
        meta, payload, if_revision, progress, timeout: as of ``ObjectStore.put``.
        description: what is said of the object, as :func:`~objstore.model.arguments.describe`
            takes it.
    """
    # First of all: a link has no payload, so that what is given as one is an error.
    if isinstance(meta, ObjectMeta) and meta.options is not None and meta.options.link:
        from objstore.put.links import put_link

        return put_link(records, meta, payload, if_revision, **description)
    is_said_later = callable(description.get("headers")) or callable(description.get("metadata"))
    finish = take_functions(description) if is_said_later else None
    # All arguments are checked before the payload is opened and anything is sent.
    info = describe(records.bucket, meta, **description)
    if_revision = check_revision(if_revision)
    timeout = check_timeout(timeout)
    # Bytes need no source, which would cut or close them.
    if type(payload) is bytes and progress is None and finish is None:
        size = chunk_size_of(records, info, len(payload))
        small = begin_one_chunk(records, info, len(payload), size, if_revision, timeout)
        if small is not None:
            with small:
                small.send(payload)
                small.publish()
                return small.commit()
    return _put_source(records, info, payload, if_revision, progress, timeout, finish)


def _put_source(
    records: Records,
    info: ObjectInfo,
    payload: Payload,
    if_revision: int | None,
    progress: ProgressOption,
    timeout: float | None,
    finish: Callable[[ObjectInfo], ObjectInfo] | None,
) -> ObjectInfo:
    """Store a payload of any kind; ``finish`` completes its description, see :class:`Put`."""
    # Imported here: programs that put nothing but bytes do without. (What cleans up after a failure
    # is there beforehand: in a process without free file descriptors nothing can be imported.)
    from objstore.put.source import Source

    with about(bucket=info.bucket, name=info.name), Source(payload) as source:
        size = chunk_size_of(records, info, source.size)
        # The fast path has no progress bar, and calls no functions of the user's.
        chunk = source.only_chunk(size) if progress is None and finish is None else None
        if chunk is not None:
            small = begin_one_chunk(records, info, len(chunk), size, if_revision, timeout)
            if small is not None:
                with small:
                    small.send(chunk)
                    small.publish()
                    return small.commit()
        with closing(start_progress(progress, info.name, source.size)) as bar:
            put = begin_put(records, info, size, if_revision, None, bar, timeout, source.size)
            put.finish_description = finish
            return fill_put(put, source, size)


# --- the size of a chunk


def choose_chunk_size(asked: int | None, size: int | None, max_payload: int) -> int:
    """Choose the chunk size for an object.

    Arguments:
        asked: by the caller, in bytes; it is only bounded by ``max_payload``.
        size: of the object, where it is known, in bytes.
        max_payload: the largest message that the server takes, in bytes.
    """
    if asked is None:
        large = size is not None and size >= LARGE_OBJECT
        asked = LARGE_CHUNK_SIZE if large else DEFAULT_CHUNK_SIZE
    # A chunk that exceeds max_payload would cost the connection.
    return max(1, min(asked, max_payload))


def chunk_size_of(records: Records, info: ObjectInfo, size: int | None) -> int:
    """Choose the chunk size for an object of so many bytes, as the server and the stream allow."""
    limit = records.jetstream.connection.session.info.get("max_payload")
    room = 128 if info.ttl is not None else 0  # its header counts
    # 1 MiB is nats-server's default, for a server that does not say.
    largest = (limit if isinstance(limit, int) else 1 << 20) - room
    own = records.known.max_msg_size
    if own is not None:
        largest = min(largest, own - room)
    return choose_chunk_size(info.options.chunk_size, size, largest)


# --- before anything is sent


def _check_storable(records: Records, info: ObjectInfo, chunk_size: int) -> None:
    """Refuse what the bucket would not store, before the first chunk travels."""
    known = records.known
    if known.is_refused:
        known.check_writable()
    if known.max_msg_size is not None:
        known.check_record(info.name, _record_size(info, chunk_size))
    if info.ttl is not None:
        known.allow_ttl()


def _record_size(info: ObjectInfo, chunk_size: int) -> int:
    """Return the largest size of an object's record, before it is known what is in it."""
    # The largest numbers that an object may have, a digest's 52 characters and a nuid's 22.
    largest = info.with_changes(
        size=1 << 50,
        chunks=1 << 30,
        digest="=" * 52,
        nuid="=" * 22,
        options=options_for(chunk_size),
    )
    return len(encode_info(largest))


def _start_current(records: Records, name: str, if_revision: int | None) -> Current:
    """Ask what a put will replace, while the first chunk travels, if that may differ.

    Raises:
        RevisionMismatchError: as :func:`find_replaced`.
        PermissionDeniedError: the put could not be completed.
    """
    current: Current
    if if_revision is None:
        current = PendingCurrent(records, name)
    else:
        current = Known(find_replaced(records, name, if_revision))
    if records.access.is_doubtful:
        with closing(current), about(bucket=records.bucket, name=name):
            return Known(check_rights_to_put(records, name, current))
    return current


# --- the general path


def begin_put(
    records: Records,
    info: ObjectInfo,
    chunk_size: int,
    if_revision: int | None,
    on_conflict: OnConflict | None,
    bar: Bar = NO_PROGRESS,
    timeout: float | None = None,
    expected_size: int | None = None,
    *,
    piggyback: bool = False,
) -> Put:
    """Start a put of what ``info`` describes, with a nuid of its own."""
    _check_storable(records, info, chunk_size)
    # A nuid for each put: two that race never write the same chunks, and one that fails removes
    # only its own.
    info = info.with_changes(nuid=next_nuid(), options=options_for(chunk_size))
    current = _start_current(records, info.name, if_revision)
    # With if_revision nobody decides: another revision is an error.
    if on_conflict is None and if_revision is None:
        on_conflict = last_one_wins(info)
    return Put(
        records,
        info,
        current,
        on_conflict=on_conflict,
        progress=bar.update,
        timeout=timeout,
        expected_size=expected_size,
        piggyback=piggyback,
    )


# --- the fast path


def begin_one_chunk(
    records: Records,
    info: ObjectInfo,
    size: int,
    chunk_size: int,
    if_revision: int | None,
    timeout: float | None,
    *,
    piggyback: bool = False,
) -> OneChunk | None:
    """Start a put by the fast path; None: the object must take the general path."""
    limit = records.known.max_object_size
    # The general path alone sets a ttl's header, looks for records that older clients stored
    # under another subject, and raises the error for an object that is too large.
    if not 0 < size <= chunk_size or info.ttl is not None or records.has_older_spellings:
        return None
    if limit is not None and size > limit:
        return None
    _check_storable(records, info, chunk_size)
    current = _start_current(records, info.name, if_revision)
    return OneChunk(records, info, chunk_size, current, if_revision, timeout, piggyback=piggyback)


class OneChunk:
    """A put of one chunk, to be used once: :meth:`send`, :meth:`publish`, :meth:`commit`.

    Where the chunk is not known to be stored, or that took long, a :class:`Put` does the rest.

    Arguments:
        records: the bucket.
        info: what is said of the object; it does not expire.
        chunk_size: as it is to stand in the record, in bytes.
        current: what it will replace; its answer may come while the chunk travels.
        if_revision: the only revision that may be replaced; None: any.
        timeout: for one acknowledgement, in seconds; None: the connection's.
        piggyback: as of :class:`Put`.
    """

    def __init__(
        self,
        records: Records,
        info: ObjectInfo,
        chunk_size: int,
        current: Current,
        if_revision: int | None,
        timeout: float | None,
        *,
        piggyback: bool = False,
    ) -> None:
        self._records = records
        self._info = info
        self._nuid = next_nuid()
        self._chunk_size = chunk_size
        self._current = current
        self._if_revision = if_revision
        self._timeout = timeout or records.jetstream.timeout
        self._piggyback = piggyback
        self._begun = time.monotonic()
        self._chunk: Buffer = b""
        self._pending: PendingReply | None = None  # the chunk's acknowledgement, if it is not taken
        self._sequence = 0  # of the chunk; 0: it is not known to be stored
        self._is_refused = False  # it is known not to be
        self._is_published = False  # the metadata are, or may be
        self._published: PendingAck | None = None
        self._failed: ObjStoreError | None = None  # why they are not stored, or perhaps not
        self._is_stored = False
        self._replaces: ObjectInfo | None = None
        self._rest: Put | None = None  # does what is left to do

    @property
    def described(self) -> ObjectInfo:
        """The object, as far as it is known."""
        return self._info

    def __enter__(self) -> OneChunk:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        """Leave nothing behind where it has failed."""
        if error is not None:
            self.abort()
            if isinstance(error, ObjStoreError):
                about(bucket=self._records.bucket, name=self._info.name).tell(error)

    def send(self, chunk: Buffer) -> None:
        """Send the chunk, which is all of the payload.

        Raises:
            As :meth:`objstore.put.upload.Put.send`.
        """
        records, self._chunk = self._records, chunk
        inbox = records.jetstream.connection.inbox
        start = inbox.start_piggybacked if self._piggyback else inbox.start
        try:
            # Along with it goes the question for the record that is replaced: one system call for
            # both.
            self._pending = start(chunk_subject(records.bucket, self._nuid), chunk)
        except ObjStoreError as error:
            self._continue_as_put(error)
            return
        # What can be made while the chunk travels is made then.
        self._info = info = self._info.with_changes(
            size=len(chunk),
            chunks=1,
            digest=encode_digest(hashlib.sha256(chunk).digest()),
            nuid=self._nuid,
            options=options_for(self._chunk_size),
        )
        self._encoded = encode_info(info)

    def publish(self) -> None:
        """Send the metadata, once the chunk is stored; :meth:`commit` takes the answer.

        Raises:
            As :meth:`objstore.put.upload.Put.publish`.
        """
        if self._rest is None:
            try:
                self._take_ack(self._timeout)
            except ObjStoreError as error:
                self._continue_as_put(error)
            else:
                # Else the stream's settings may have changed meanwhile: then chunks are counted.
                if time.monotonic() >= self._begun + LONG:
                    self._continue_as_put(None)
        if self._rest is not None:
            self._rest.publish()
            return
        records = self._records
        self._replaces = replaces = self._current.result()
        if records.known.max_object_size is not None:
            records.known.check_size(len(self._chunk))  # by settings that came along with it
        self._is_published = True
        try:
            self._published = records.start_publish(
                self._info, revision_of(replaces), self._encoded, piggyback=self._piggyback
            )
        except ObjStoreError as error:
            self._failed = error
            raise

    def _take_ack(self, timeout: float) -> None:
        """Wait for the chunk's acknowledgement, once.

        Raises:
            ObjStoreError: it is not stored, or that is not known.
        """
        records, pending = self._records, self._pending
        assert pending is not None  # noqa: S101 - send() leaves this, or the rest to a Put
        self._pending, is_answered = None, False
        if self._piggyback:
            pending.flush_piggybacked()
        try:
            message = pending.result(timeout)
            is_answered = True
            ack = parse_pub_ack(message, f"storing chunk 1 in bucket {records.bucket}")
            # As in ChunkChannel: another stream's acknowledgement is no chunk of this bucket.
            if ack.stream != records.stream:
                raise records.known.taken_by(ack.stream)
        except ObjStoreError as error:
            self._is_refused = is_answered or isinstance(error, NoRespondersError)
            raise
        self._sequence = ack.sequence

    def commit(self) -> ObjectInfo:
        """Take the answer to the metadata, and remove what the object replaces.

        Raises:
            As :meth:`objstore.put.upload.Put.commit`.
        """
        if self._rest is not None:
            return self._rest.commit()
        records = self._records
        on_conflict = self._resolve if self._if_revision is None else None
        try:
            stored, replaced = commit(
                records, self._info, self._replaces, on_conflict, published=self._published
            )
        except ObjStoreError as error:
            self._failed = error
            raise
        if nuid := self._nuid_to_remove(replaced):
            try:
                records.jetstream.purge(records.stream, chunk_subject(records.bucket, nuid))
            except ObjStoreError as error:
                left_behind(records, nuid, error)
        self._is_stored = True
        if records.jetstream.observer is not None:
            self._tell(records.jetstream.observer, stored)
        return stored

    def _tell(self, observer: Observer, stored: ObjectInfo) -> None:
        """Tell that the object is stored; what that takes is imported where somebody asks."""
        from objstore.put.telling import tell_stored_at_once

        tell_stored_at_once(observer, stored, self._begun)

    def _resolve(self, found: ObjectInfo | None) -> ObjectInfo:
        """Store the object over what somebody else has stored meanwhile: the last one wins."""
        self._replaces = found
        return self._info

    def _nuid_to_remove(self, replaced: ObjectInfo | None) -> str:
        """Tell which nuid's chunks are to be removed: those of what was there before."""
        if replaced is None or not replaced.chunks or replaced.deleted:
            return ""
        if replaced.extra:  # a rename may have left them to another name
            remove_replaced(self._records, replaced, self._nuid)
            return ""
        return replaced.nuid

    def abort(self) -> None:
        """Remove what was sent, unless that has become an object, or may have. Never raises."""
        if self._is_stored:  # interrupted afterwards
            return
        if self._pending is not None and self._rest is None:
            # A purge overtakes a chunk that the server has queued.
            with suppress(ObjStoreError):
                self._take_ack(min(SILENCE, self._timeout))
        rest = self._rest
        if rest is None:
            rest = self._make_put()
            if self._is_published:
                rest.take_over_published(self._replaces, self._failed)
        rest.abort()
        self._close()

    def forget(self) -> None:
        """Stop waiting for answers, and leave all as it is. Never raises."""
        if self._rest is not None:
            self._rest.forget()
        self._close()

    def _close(self) -> None:
        for pending in (self._pending, self._current, self._published):
            if pending is not None:
                pending.close()

    def _continue_as_put(self, failed: ObjStoreError | None) -> None:
        """Leave the rest to a :class:`Put`, after a failure of the chunk or (None) without one."""
        self._rest = rest = self._make_put()
        if failed is not None:
            rest.resume(failed, self._begun)

    def _make_put(self) -> Put:
        """Make a :class:`Put` of the same object that knows of the chunk that was sent."""
        info = self._info.with_changes(nuid=self._nuid, options=options_for(self._chunk_size))
        on_conflict = last_one_wins(info) if self._if_revision is None else None
        put = Put(
            self._records,
            info,
            self._current,
            on_conflict=on_conflict,
            progress=NO_PROGRESS.update,
            timeout=self._timeout,
            expected_size=len(self._chunk),
        )
        put.take_over(self._chunk, self._begun, self._sequence, answered=self._is_refused)
        return put
