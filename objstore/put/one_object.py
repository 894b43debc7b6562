"""Storing one object: what is said of it, its one chunk or its many, and the record that counts.

A payload of one chunk takes a short way: chunk, acknowledgement, metadata. The thread that has sent
the chunk waits for its one acknowledgement: no window, no record of what is under way, no count.
The rules are those of the general road (:mod:`objstore.put.upload`), which all other payloads take,
and which begins where the short way ends: at a fault, or where it took long.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import closing
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
from objstore.put.sender import LONG
from objstore.put.upload import Put, remove_replaced
from objstore.wire.codec.protocol import Buffer
from objstore.wire.connection.requests import next_nuid
from objstore.wire.jetstream.answers import parse_pub_ack

if TYPE_CHECKING:
    from objstore.put.options import Payload
    from objstore.put.source import Source
    from objstore.wire.connection.observer import Observer

__all__ = ["OneChunk", "begin_put", "choose_chunk_size", "chunk_size_of", "fill_put", "put"]

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
    # All arguments are checked before the payload is opened, and before anything is sent.
    info = describe(records.bucket, meta, **description)
    if_revision = check_revision(if_revision)
    timeout = check_timeout(timeout)
    # The short way has no bar and no functions to call: what needs these takes the general road.
    is_plain = progress is None and finish is None
    if is_plain and type(payload) is bytes:  # which no source has to cut, or to close
        size = chunk_size_of(records, info, len(payload))
        if 0 < len(payload) <= size and _may_be_short(records, info, len(payload)):
            return _begin_short(records, info, size, if_revision, timeout).put(payload)
    # Imported here: programs that put nothing but bytes do without. (What cleans up after a failure
    # is there beforehand: in a process without free file descriptors nothing can be imported.)
    from objstore.put.source import Source

    # Closed here, whatever happens: a file that was opened for a path, the view of a bytearray that
    # is to grow again.
    with Source(payload) as source:
        size = chunk_size_of(records, info, source.size)
        chunk = source.only_chunk(size) if is_plain else None
        if chunk is not None and _may_be_short(records, info, len(chunk)):
            return _begin_short(records, info, size, if_revision, timeout).put(chunk)
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


# --- the general road


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
    along: bool = False,
) -> Put:
    """Start a put of what ``info`` describes, with a nuid of its own."""
    _check_storable(records, info, chunk_size)
    # A nuid for each put: two that race never write the same chunks, and one that fails removes
    # only its own.
    info = info.with_changes(nuid=next_nuid(), options=options_for(chunk_size))
    current = _start_current(records, info.name, if_revision)
    # With if_revision nobody decides: another revision is an error.
    if on_conflict is None and if_revision is None:
        on_conflict = _last_one_wins(info)
    return _new_put(records, info, current, on_conflict, bar, timeout, expected_size, along=along)


def _last_one_wins(info: ObjectInfo) -> OnConflict:
    """Make the rule that stores an object over whatever was stored meanwhile."""
    return lambda _found: info


def _new_put(
    records: Records,
    info: ObjectInfo,
    current: Current,
    on_conflict: OnConflict | None,
    bar: Bar,
    timeout: float | None,
    expected_size: int | None,
    *,
    along: bool = False,
) -> Put:
    return Put(
        records,
        info,
        current,
        on_conflict=on_conflict,
        progress=bar.update,
        timeout=timeout,
        expected_size=expected_size,
        along=along,
    )


def fill_put(put: Put, source: Source, chunk_size: int) -> ObjectInfo:
    """Send all chunks and commit; or leave nothing."""
    with about(bucket=put.described.bucket, name=put.described.name):
        try:
            for chunk in source.chunks(chunk_size):
                put.send(chunk)
            return put.commit()
        except BaseException:
            put.abort()
            raise


# --- the short way


def _may_be_short(records: Records, info: ObjectInfo, size: int) -> bool:
    """Tell whether an object that is one chunk of so many bytes can take the short way."""
    limit = records.known.max_object_size
    # A ttl needs its own header and margin, an older spelling a look, and what is too large its
    # error: only the general road has these.
    return info.ttl is None and not records.has_older_spellings and (limit is None or size <= limit)


def _begin_short(
    records: Records,
    info: ObjectInfo,
    chunk_size: int,
    if_revision: int | None,
    timeout: float | None,
) -> OneChunk:
    """Start a put of one chunk."""
    _check_storable(records, info, chunk_size)
    current = _start_current(records, info.name, if_revision)
    return OneChunk(records, info, chunk_size, current, if_revision, timeout)


class OneChunk:
    """A put of one chunk, to be used once.

    Arguments:
        records: the bucket.
        info: what is said of the object; it does not expire.
        chunk_size: as it is to stand in the record, in bytes.
        current: what it will replace; its answer may come while the chunk travels.
        if_revision: the only revision that may be replaced; None: any.
        timeout: for one acknowledgement, in seconds; None: the connection's.
    """

    __slots__ = (
        "_begun",
        "_chunk_size",
        "_current",
        "_if_revision",
        "_info",
        "_is_answered",
        "_is_published",
        "_nuid",
        "_records",
        "_replaces",
        "_sequence",
        "_timeout",
    )

    def __init__(
        self,
        records: Records,
        info: ObjectInfo,
        chunk_size: int,
        current: Current,
        if_revision: int | None,
        timeout: float | None,
    ) -> None:
        self._records = records
        self._info = info
        self._nuid = next_nuid()
        self._chunk_size = chunk_size
        self._current = current
        self._if_revision = if_revision
        self._timeout = timeout
        self._begun = time.monotonic()
        self._is_answered = False  # the chunk
        self._sequence = 0  # of it; 0: it is not known to be stored
        self._is_published = False  # the metadata are, or may be
        self._replaces: ObjectInfo | None = None

    def put(self, chunk: Buffer) -> ObjectInfo:
        """Send the chunk and the metadata that make it an object; or leave nothing.

        Arguments:
            chunk: all of the payload.

        Raises:
            As :meth:`objstore.put.upload.Put.commit`.
        """
        records = self._records
        stored = failed = None
        try:
            subject = chunk_subject(records.bucket, self._nuid)
            # Along with it goes the question for the record that is replaced: one system call for
            # both.
            pending = records.jetstream.connection.inbox.start(subject, chunk)
            try:  # what can be made while the chunk travels is made then
                self._info = info = self._info.with_changes(
                    size=len(chunk),
                    chunks=1,
                    digest=encode_digest(hashlib.sha256(chunk).digest()),
                    nuid=self._nuid,
                    options=options_for(self._chunk_size),
                )
                encoded = encode_info(info)
                message = pending.result(self._timeout or records.jetstream.timeout)
            except BaseException:
                pending.close()
                raise
            self._is_answered = True
            ack = parse_pub_ack(message, "storing chunk 1")
            # As in ChunkChannel: another stream's acknowledgement is no chunk of this bucket.
            if ack.stream != records.stream:
                raise records.known.taken_by(ack.stream)
            self._sequence = ack.sequence
            # Else the stream's settings may have changed meanwhile: the general road counts the
            # chunks first.
            if time.monotonic() < self._begun + LONG:
                self._replaces = replaces = self._current.result()
                if records.known.max_object_size is not None:
                    records.known.check_size(len(chunk))  # by settings that came along with it
                self._is_published = True
                published = records.start_publish(info, revision_of(replaces), encoded)
                on_conflict = self._resolve if self._if_revision is None else None
                stored, replaced = commit(records, info, replaces, on_conflict, published=published)
                if nuid := self._nuid_to_remove(replaced):
                    try:
                        records.jetstream.purge(records.stream, chunk_subject(records.bucket, nuid))
                    except ObjStoreError as error:
                        left_behind(records, nuid, error)
        except BaseException as error:
            # Once the chunk is stored commit has tried all, and Ctrl-C is to end it: the general
            # road only cleans up. Before that it goes on.
            if not isinstance(error, ObjStoreError) or self._sequence:
                self._abort(chunk, error)
                raise
            failed = error
        if stored is None:
            return self._go_on(chunk, failed)
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

    def _go_on(self, chunk: Buffer, failed: ObjStoreError | None) -> ObjectInfo:
        """Finish the put by the general road."""
        put = self._general(chunk, failed)
        try:
            if failed is not None:
                put.resume(failed, self._begun)
            return put.commit()
        except BaseException as error:
            put.abort()
            self._name(error)
            raise

    def _abort(self, chunk: Buffer, error: BaseException) -> None:
        """Remove what was sent, as the general road does. Never raises."""
        put = self._general(chunk, error)
        if self._is_published:
            put.take_over_published(self._replaces, error)
        put.abort()
        self._name(error)

    def _general(self, chunk: Buffer, error: BaseException | None) -> Put:
        """Make the general road's put, and tell it what was done."""
        answered = self._is_answered or isinstance(error, NoRespondersError)
        info = self._info.with_changes(nuid=self._nuid, options=options_for(self._chunk_size))
        on_conflict = _last_one_wins(info) if self._if_revision is None else None
        put = _new_put(
            self._records, info, self._current, on_conflict, NO_PROGRESS, self._timeout, len(chunk)
        )
        put.take_over(chunk, self._begun, self._sequence, answered=answered)
        return put

    def _name(self, error: BaseException) -> None:
        """Add the bucket and the name to an error."""
        if isinstance(error, ObjStoreError):
            about(bucket=self._records.bucket, name=self._info.name).tell(error)
