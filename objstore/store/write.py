"""The writing side of a bucket's face."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

from objstore.errors import (
    InvalidOptionError,
    ObjStoreError,
)
from objstore.get.chunks import chunk_payloads
from objstore.metadata.changes import (
    change,
    delete_object,
    link_to,
    overwrite_link,
    rename,
    without_notes,
)
from objstore.metadata.commit import Again
from objstore.metadata.current import (
    Current,
    Known,
    PendingCurrent,
    check_readable,
    find_current,
    revision_check,
)
from objstore.metadata.links import follow
from objstore.metadata.records import Records
from objstore.metadata.rights import check_rights_to_put, learning_to_purge
from objstore.model.describe import (
    UNSET,
    Unset,
    check_revision,
    check_timeout,
    describe,
    given,
    redescribe,
)
from objstore.model.objects import (
    Headers,
    ObjectInfo,
    ObjectLink,
    ObjectMeta,
    ObjectMetaOptions,
    chunked,
    meta_subject,
)
from objstore.model.record_json import encode_info
from objstore.progress import ProgressOption, start_progress, until_done
from objstore.put.source import Source, choose_chunk_size
from objstore.put.upload import Put
from objstore.store.handle import Bound
from objstore.wire.connection.nuid import next_nuid

__all__ = ["Writing"]


class Writing(Bound):
    """What changes a bucket's objects."""

    def put(
        self,
        meta: str | ObjectMeta,
        payload: object = None,
        *,
        description: str | None = None,
        mime: str | None = None,
        headers: Headers | None = None,
        metadata: Mapping[str, str] | None = None,
        chunk_size: int | None = None,
        ttl: timedelta | float | None = None,
        if_revision: int | None = None,
        progress: ProgressOption = None,
        timeout: float | None = None,
    ) -> ObjectInfo:
        """Store an object, in place of the one of that name if there is one.

        The object appears whole or not at all. Until then, and after any failure, Ctrl-C
        included, the old one is there and readable; nothing of the new one remains.

        In a bucket that is full, the older half of the tombstones makes room first, once.

        What stands in its place and is no readable record is overwritten, with a warning in the
        log; ``collect_garbage`` finds the chunks. A name that an older client stored under another
        subject is stored under its own.

        Where an interrupted rename of another client (nats.go, nats.js) left two names on the
        same chunks, a put over one takes the other's content along; delete one of them first,
        which leaves the other whole. :meth:`verify` finds such names.

        Arguments:
            meta: the name, or an :class:`~objstore.ObjectMeta`, whose fields the arguments
                below override. With ``meta.options.link``: a link, see :meth:`link`.
            payload: bytes-like; a binary file-like (only ``read`` is needed), which is read from
                where it stands to its end; an iterable of bytes-like; an ``os.PathLike``, whose
                file is streamed; None: empty. Memory that may change (all but bytes) is copied
                chunk by chunk. A file that grows is stored as far as it is when its end is
                reached; :meth:`upload_file` refuses any change.
            description: free text.
            mime: the media type, stored as the header ``Content-Type``.
            headers: one value or several for each name.
            metadata: pairs of text.
            chunk_size: in bytes; None: by the object's size. What the server's
                ``max_payload`` does not allow is cut to it.
            ttl: after which the object expires by itself, a timedelta or seconds, at least
                one (server 2.11 or later). The first such object in a bucket turns
                ``object_ttl`` on, which needs the permission to change its stream, and which
                cannot be turned off again. Where the stream's delete markers live longer, the
                server keeps it as long; to this client it is gone, by this computer's clock.
            if_revision: store it only if the object's revision is this (0: only if there is
                no such object).
            progress: True for a bar, or a function of the bytes done and of all (or None).
            timeout: for one acknowledgement, in seconds; None: the connection's.

        Returns:
            The object as stored.

        Raises:
            InvalidNameError, InvalidOptionError, InvalidPayloadError, PayloadFileError: an
                argument cannot be used; nothing was sent. A payload can be text, memory that
                holds addresses, or a file that is not empty and stands at its end.
            IncompletePayloadError: the payload ended before the length that it announced: by
                ``seek`` and ``tell``, ``len()`` or ``len``, ``length``, ``size``,
                ``content_length``, or a header. (Where that is no length in bytes, give
                ``iter(lambda: payload.read(65536), b"")``.)
            RevisionMismatchError: the revision is not ``if_revision``.
            ObjectTooLargeError: the payload exceeds the bucket's ``max_object_size``.
            ServerVersionError: the server cannot let single objects expire.
            BucketConfigError: the bucket's stream would lose or refuse what is put (see
                ``docs/buckets.rst``), which the error names; nothing was sent.
            StorageFullError, BucketSealedError, BucketNotFoundError, PermissionDeniedError:
                the server refuses it.
            RequestTimeoutError, ConnectionLostError: the server does not answer. Before the
                commit nothing has changed; an answer lost in the commit itself leaves the
                object old or new, never damaged.
            And whatever reading the payload raises.

        Source: ADR-20; ADR-43 for ``ttl``.
        """
        if isinstance(meta, ObjectMeta) and meta.options is not None and meta.options.link:
            return self._put_link(meta, payload, description, mime, headers, metadata, if_revision)
        info = describe(
            self.name,
            meta,
            description=description,
            mime=mime,
            headers=headers,
            metadata=metadata,
            chunk_size=chunk_size,
            ttl=ttl,
        )
        if_revision = check_revision(if_revision)
        timeout = check_timeout(timeout)
        with Source(payload) as source:
            size = choose_chunk_size(info.options.chunk_size, source.size, self._max_payload(info))
            bar = start_progress(progress, info.name, source.size)
            with until_done(bar):
                put = self._begin(info, size, if_revision, None, bar, timeout, source.size)
                return self._fill(put, info.name, source, size)

    def _begin(
        self,
        info: ObjectInfo,
        chunk_size: int,
        if_revision: int | None,
        again: Again | None,
        bar: Any = None,
        timeout: float | None = None,
        expected_size: int | None = None,
    ) -> Put:
        """Start a put of what ``info`` describes, with a nuid of its own."""
        self._known.check_writable()
        info = info.with_changes(nuid=next_nuid(), options=chunked(chunk_size))
        if self._known.max_msg_size is not None:  # known before the first chunk travels
            self._known.check_record(info.name, _record_size(info))
        if info.ttl is not None:
            self._known.allow_ttl()
        current = self._start_current(info.name, if_revision)
        if self._records.access.is_doubtful:
            current = self._check_rights(info.name, current)
        if again is None and if_revision is None:

            def again(_found: ObjectInfo | None) -> ObjectInfo:  # the last one wins
                return info

        return Put(
            self._records,
            info,
            current,
            limit=self._known.max_object_size,
            again=again,
            progress=None if bar is None else bar.update,
            timeout=timeout,
            expected_size=expected_size,
        )

    def _check_rights(self, name: str, current: Current) -> Known:
        """See that a put can be completed, before its first chunk travels; what it replaces."""
        try:
            found = check_rights_to_put(self._records, name, current)
        except ObjStoreError as error:
            error.bucket, error.name = self.name, name
            raise
        finally:
            current.close()
        return Known(found)

    def _fill(self, put: Put, name: str, source: Source, chunk_size: int) -> ObjectInfo:
        """Send all chunks and commit; or leave nothing."""
        try:
            for chunk in source.chunks(chunk_size):
                put.send(chunk)
            return put.commit()
        except BaseException as error:
            put.abort()
            if isinstance(error, ObjStoreError):
                error.bucket, error.name = self.name, name
            raise

    def _start_current(self, name: str, if_revision: int | None) -> Current:
        """What a put will replace; asked for while the first chunk travels, where it may differ.

        Raises:
            RevisionMismatchError: as :meth:`_current_for`.
        """
        if if_revision is not None:
            return Known(self._current_for(name, if_revision))
        return PendingCurrent(self._records, name)

    def _current_for(self, name: str, if_revision: int | None) -> ObjectInfo | None:
        """What a write will replace.

        Raises:
            BucketReadOnlyError, BucketSealedError, BucketConfigError: nothing can be written.
            RevisionMismatchError: it is not what ``if_revision`` asks for.
        """
        meta_subject(self.name, name)  # checks the name, before anything is asked
        self._known.check_writable()
        check = None if if_revision is None else revision_check(self.name, name, if_revision)
        with self._known.checked_along(), learning_to_purge(self._records):
            return find_current(self._records, name, check)

    def _max_payload(self, info: ObjectInfo) -> int:
        """The largest chunk that the server, and the stream, takes."""
        limit = self._jetstream.connection.session.info.get("max_payload")
        room = 128 if info.ttl is not None else 0  # its header counts
        largest = (limit if isinstance(limit, int) else 1 << 20) - room
        own = self._known.max_msg_size
        return largest if own is None else max(1, min(largest, own - room))

    def copy(self, name: str, new_name: str, *, target: Writing | None = None) -> ObjectInfo:
        """Copy an object, streamed, with all that describes it; links are followed.

        Arguments:
            name: of the object.
            new_name: of the copy; an object of that name is replaced.
            target: the bucket that the copy goes into; None: this one.

        Returns:
            The copy.

        Raises:
            ObjectNotFoundError: there is no such object.
            And as :meth:`get` and :meth:`put`.
        """
        into = self if target is None else target
        if not isinstance(into, Writing):
            raise InvalidOptionError(f"target is {target!r}; it must be an ObjectStore")
        meta_subject(into.name, new_name)  # checks the name, before anything is read
        found = follow(self._records, name)
        if found is None:
            raise self._not_found(name)
        records, info = found
        return into._take_over(records, info, new_name)

    def _take_over(self, records: Records, info: ObjectInfo, name: str) -> ObjectInfo:
        """Store what another record describes, with the chunks that it names."""
        copy = without_notes(info).with_changes(
            bucket=self.name, name=name, nuid="", revision=0, mtime=None, deleted=False
        )
        size = choose_chunk_size(info.options.chunk_size, info.size, self._max_payload(copy))
        with closing(chunk_payloads(records, info)) as payloads, Source(payloads) as source:
            put = self._begin(copy, size, None, None, expected_size=info.size)
            return self._fill(put, name, source, size)

    def delete(self, name: str, *, if_revision: int | None = None) -> bool:
        """Delete an object: its record becomes a tombstone, then its chunks go.

        The tombstone has a nuid of its own, for other clients purge by it. In a bucket that is too
        full for it older ones make room; where there are none, the object goes first, and then the
        tombstone is stored. It stays until :meth:`collect_garbage`.

        The first call looks through the bucket's records once, for another name that another
        client's interrupted rename left on the same chunks; such chunks stay.

        Arguments:
            name: of the object.
            if_revision: delete it only if its revision is this.

        Returns:
            True if it was there, or a record that nobody can read. What somebody else puts in its
            place meanwhile stays, where the server says that it was put right over it.

        Raises:
            InvalidNameError, InvalidOptionError: an argument cannot be used.
            RevisionMismatchError: the revision is not ``if_revision``.
            BucketNotFoundError, BucketSealedError, PermissionDeniedError: the server refuses.
            RequestTimeoutError, ConnectionLostError: the server does not answer. Where an answer
                was lost and somebody has put the name anew since, nobody can tell whether it was
                deleted by this call.
        """
        if_revision = check_revision(if_revision)
        current = self._current_for(name, if_revision)
        return delete_object(self._records, name, current, only=if_revision is not None)

    def update(
        self,
        name: str,
        meta: ObjectMeta | None = None,
        *,
        new_name: str | None = None,
        description: str | Unset | None = UNSET,
        mime: str | Unset | None = UNSET,
        headers: Headers | Unset | None = UNSET,
        metadata: Mapping[str, str] | Unset | None = UNSET,
        if_revision: int | None = None,
    ) -> ObjectInfo:
        """Change what describes an object, or its name. Only what is given changes.

        A rename that is interrupted leaves both names, and each can be deleted without the
        other.

        Arguments:
            name: of the object, or link.
            meta: its fields that are not None are taken as if given below.
            new_name: the name that it shall have.
            description, mime, headers, metadata: as :meth:`put`; None clears.
            if_revision: change it only if its revision is this.

        Returns:
            The object as it is now.

        Raises:
            ObjectNotFoundError: there is no such object.
            ObjectCorruptError: its metadata are malformed.
            ObjectExistsError: a live object has the new name.
            RevisionMismatchError: the revision is not ``if_revision``.
            InvalidNameError, InvalidOptionError: an argument cannot be used.
            BucketNotFoundError, BucketSealedError, PermissionDeniedError: the server refuses.
            RequestTimeoutError, ConnectionLostError: the server does not answer.

        Source: ADR-20.
        """
        if meta is not None:
            new_name = new_name or meta.name
            description = given(description, meta.description)
            mime = given(mime, meta.mime)
            headers = given(headers, meta.headers)
            metadata = given(metadata, meta.metadata)
        if_revision = check_revision(if_revision)

        def redescribed(found: ObjectInfo | None) -> ObjectInfo:
            if found is None or found.deleted:
                raise self._not_found(name)
            check_readable(found)
            if found.ttl is not None:  # it came from a source; what is left of it goes on
                self._known.allow_ttl()
            return redescribe(
                found, description=description, mime=mime, headers=headers, metadata=metadata
            )

        redescribe(
            ObjectInfo(self.name, name),
            description=description,
            mime=mime,
            headers=headers,
            metadata=metadata,
        )  # refuses bad input before anything is sent
        if new_name is not None:
            meta_subject(self.name, new_name)  # and so does this
        current = self._current_for(name, if_revision)
        if new_name is None or new_name == name:
            return change(self._records, redescribed, current, only=if_revision is not None)
        return rename(self._records, redescribed, current, new_name, only=if_revision is not None)

    def link(
        self,
        name: str,
        target: ObjectInfo | tuple[str, str],
        *,
        if_revision: int | None = None,
    ) -> ObjectInfo:
        """Store a link to an object, in this bucket or another.

        Arguments:
            name: of the link. A deleted object's name may be taken, and another link's.
            target: what :meth:`info` gave of the object, or its bucket and name.
            if_revision: only if the revision of what has the name is this.

        Returns:
            The link.

        Raises:
            ObjectExistsError: a live object that is not a link has the name.
            ObjectNotFoundError, BucketNotFoundError: there is no such target.
            LinkError: the target is itself a link.
            InvalidNameError, InvalidOptionError: an argument cannot be used.
            And as :meth:`update`.

        Source: ADR-20 (AddLink).
        """
        if isinstance(target, ObjectInfo):
            link = ObjectLink(target.bucket, target.name)
        elif isinstance(target, tuple) and len(target) == 2:
            link = ObjectLink(*target)
        else:
            raise InvalidOptionError(
                "a link's target is an ObjectInfo, or a bucket's and an object's name"
            )
        meta_subject(link.bucket, link.name)  # type: ignore[arg-type]  # checks the name
        return self._link(name, link, ObjectInfo(self.name, name), if_revision)

    def link_store(
        self, name: str, bucket: Bound | str, *, if_revision: int | None = None
    ) -> ObjectInfo:
        """Store a link to a whole bucket, like to a directory.

        Arguments:
            name: of the link, as for :meth:`link`.
            bucket: the bucket, or its name.
            if_revision: only if the revision of what has the name is this.

        Returns:
            The link.

        Raises:
            ObjectExistsError: a live object that is not a link has the name.
            BucketNotFoundError: there is no such bucket.
            InvalidNameError, InvalidOptionError: an argument cannot be used.
            And as :meth:`update`.

        Source: ADR-20 (AddBucketLink).
        """
        link = ObjectLink(bucket.name if isinstance(bucket, Bound) else bucket)
        return self._link(name, link, ObjectInfo(self.name, name), if_revision)

    def _put_link(
        self,
        meta: ObjectMeta,
        payload: object,
        description: str | None,
        mime: str | None,
        headers: Headers | None,
        metadata: Mapping[str, str] | None,
        if_revision: int | None,
    ) -> ObjectInfo:
        """A put of a meta that describes a link."""
        if payload is not None:
            raise InvalidOptionError("a link has no payload", name=meta.name)
        options = meta.options or ObjectMetaOptions()
        described = describe(
            self.name,
            replace(meta, options=None),
            description=description,
            mime=mime,
            headers=headers,
            metadata=metadata,
        )
        link = options.link or ObjectLink(self.name)
        return self._link(meta.name, link, described, if_revision)

    def _link(
        self, name: str, link: ObjectLink, described: ObjectInfo, if_revision: int | None
    ) -> ObjectInfo:
        if_revision = check_revision(if_revision)
        meta_subject(self.name, name)  # checks the name
        link_to(self._records, link, name)
        return self._store_link(name, link, described, if_revision)

    def _store_link(
        self, name: str, link: ObjectLink, described: ObjectInfo, if_revision: int | None
    ) -> ObjectInfo:
        """Store a link, wherever it leads."""
        info = described.with_changes(
            nuid=next_nuid(), options=ObjectMetaOptions(link), mtime=datetime.now(timezone.utc)
        )
        current = self._current_for(name, if_revision)
        return overwrite_link(self._records, info, current, only=if_revision is not None)


def _record_size(info: ObjectInfo) -> int:
    """How large the record of an object gets, at most, before it is known what is in it."""
    return len(encode_info(info.with_changes(size=1 << 50, chunks=1 << 30, digest="=" * 52)))
