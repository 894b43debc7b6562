"""The short way of a put whose payload is one chunk: chunk, acknowledgement, metadata.

There is one acknowledgement, and the thread that has sent the chunk waits for it: no window, no
record of what is under way, no count. The rules are those of the general road
(:mod:`objstore.put.upload`), which begins where this one ends: at a fault, or where it took long.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from objstore.errors import NoRespondersError, ObjStoreError, about
from objstore.metadata.commit import commit, left_behind, revision_of
from objstore.metadata.current import Current
from objstore.metadata.records import Records
from objstore.model.objects import ObjectInfo, chunk_subject, encode_digest, options_for
from objstore.model.record_json import encode_info
from objstore.put.sender import LONG
from objstore.put.upload import Put, remove_replaced
from objstore.wire.codec.protocol import Buffer
from objstore.wire.jetstream.api import parse_pub_ack

if TYPE_CHECKING:
    from objstore.wire.connection.observer import Observer

__all__ = ["OneChunk"]


class OneChunk:
    """A put of one chunk, to be used once.

    Arguments:
        records: the bucket.
        info: what is said of the object; it does not expire.
        nuid: where the chunk goes.
        chunk_size: as it is to stand in the record, in bytes.
        current: what it will replace; its answer may come while the chunk travels.
        replaces_only_that: whether it is an error when somebody else stores the name meanwhile.
        begin_put: begins the general road, with what will be replaced.
    """

    __slots__ = (
        "_begin_put",
        "_begun",
        "_chunk_size",
        "_current",
        "_info",
        "_is_answered",
        "_is_published",
        "_nuid",
        "_records",
        "_replaces",
        "_replaces_only_that",
        "_sequence",
    )

    def __init__(
        self,
        records: Records,
        info: ObjectInfo,
        nuid: str,
        chunk_size: int,
        current: Current,
        replaces_only_that: bool,
        begin_put: Callable[[Current], Put],
    ) -> None:
        self._records = records
        self._info = info
        self._nuid = nuid
        self._chunk_size = chunk_size
        self._current = current
        self._replaces_only_that = replaces_only_that
        self._begin_put = begin_put
        self._begun = time.monotonic()
        self._is_answered = False  # the chunk
        self._sequence = 0  # of it; 0: it is not known to be stored
        self._is_published = False  # the metadata are, or may be
        self._replaces: ObjectInfo | None = None

    def put(self, chunk: Buffer, timeout: float) -> ObjectInfo:
        """Send the chunk and the metadata that make it an object; or leave nothing.

        Arguments:
            chunk: all of the payload.
            timeout: for one acknowledgement, in seconds.

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
                message = pending.result(timeout)
            finally:
                pending.close()
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
                self._is_published = True
                published = records.start_publish(info, revision_of(replaces), encoded)
                on_conflict = None if self._replaces_only_that else self._resolve
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
        put = self._begin_put(self._current)
        put.take_over(chunk, self._begun, self._sequence, answered=answered)
        return put

    def _name(self, error: BaseException) -> None:
        """Add the bucket and the name to an error."""
        if isinstance(error, ObjStoreError):
            about(bucket=self._records.bucket, name=self._info.name).tell(error)
