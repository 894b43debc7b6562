"""``ObjectStore``: one bucket, as users see it."""

from __future__ import annotations

import contextlib
import mimetypes
import os
import tempfile
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from objstore.bucket import ObjectStoreStatus, max_object_size, status_of
from objstore.errors import (
    BucketNotFoundError,
    InvalidOptionError,
    LinkError,
    ObjectChangedError,
    ObjectNotFoundError,
    ObjStoreError,
    RevisionMismatchError,
)
from objstore.objects import (
    Headers,
    ObjectInfo,
    ObjectLink,
    ObjectMeta,
    ObjectMetaOptions,
    check_bucket_name,
    chunk_subject,
    description_text,
    header_lists,
    meta_subject,
    metadata_dict,
    with_mime,
)
from objstore.progress import ProgressOption, start_progress
from objstore.reader import ObjectResult, chunk_payloads
from objstore.records import Records
from objstore.source import Source, choose_chunk_size
from objstore.upload import commit, remove_chunks, upload
from objstore.wire.jetstream import JetStream
from objstore.wire.nuid import next_nuid

__all__ = ["ObjectStore"]

#: How many links are followed one after the other before they count as a circle.
MAX_LINKS = 8

#: How often ``read_bytes`` begins again when the object was overwritten under it.
READ_TRIES = 10


class ObjectStore:
    """One bucket. Thread-safe.

    Got from :meth:`objstore.Client.object_store`.

    Attributes:
        name: of the bucket.
    """

    def __init__(
        self, jetstream: JetStream, name: str, config: Mapping[str, Any], *, eventual: bool = False
    ) -> None:
        self.name = check_bucket_name(name)
        self._jetstream = jetstream
        self._config = config
        self._eventual = eventual
        self._records = Records(jetstream, name, eventual=eventual)

    def __repr__(self) -> str:
        return f"<objstore.ObjectStore {self.name!r}>"

    # --- writing

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
        if_revision: int | None = None,
        progress: ProgressOption = None,
    ) -> ObjectInfo:
        """Store an object, in place of the one of that name if there is one.

        The object appears whole or not at all. Until then, and after any failure, Ctrl-C
        included, the old one is there and readable; nothing of the new one remains.

        Arguments:
            meta: the name, or an :class:`~objstore.ObjectMeta`, whose fields the arguments
                below override.
            payload: bytes-like; a binary file-like (only ``read`` is needed); an iterable of
                bytes-like; an ``os.PathLike``, whose file is streamed; None: empty.
            description: free text.
            mime: the media type, stored as the header ``Content-Type``.
            headers: one value or several for each name.
            metadata: pairs of text.
            chunk_size: in bytes; None: by the object's size. What the server's
                ``max_payload`` does not allow is cut to it.
            if_revision: store it only if the object's revision is this (0: only if there is
                no such object).
            progress: True for a bar, or a function of the bytes done and of all (or None).

        Returns:
            The object as stored.

        Raises:
            InvalidNameError, InvalidOptionError, InvalidPayloadError, PayloadFileError: an
                argument cannot be used; nothing was sent.
            RevisionMismatchError: the revision is not ``if_revision``.
            ObjectTooLargeError: the payload exceeds the bucket's ``max_object_size``.
            StorageFullError, BucketSealedError, BucketNotFoundError, PermissionDeniedError:
                the server refuses it.
            RequestTimeoutError, ConnectionLostError: the server does not answer; before the
                commit nothing has changed, while it the message says what is unknown.
            And whatever reading the payload raises.

        Source: ADR-20.
        """
        info = self._describe(meta, description, mime, headers, metadata)
        _check_chunk_size(chunk_size)
        _check_revision(if_revision)
        asked = chunk_size or info.options.chunk_size
        if info.options.link is not None:
            raise LinkError("use link() or link_store() to store a link", name=info.name)
        with Source(payload) as source:
            current = self._current_for(info.name, if_revision)
            size = choose_chunk_size(asked, source.size, self._max_payload)
            info = info.with_changes(nuid=next_nuid(), options=ObjectMetaOptions(None, size))
            bar = start_progress(progress, info.name, source.size)
            try:
                return self._store(info, source, size, current, if_revision, bar)
            finally:
                if bar is not None:
                    bar.close()

    def _store(
        self,
        info: ObjectInfo,
        source: Source,
        chunk_size: int,
        current: ObjectInfo | None,
        if_revision: int | None,
        bar: Any,
    ) -> ObjectInfo:
        """Chunks first, then the record, then away with what it replaced."""
        done = 0

        def report(sent: int) -> None:
            nonlocal done
            bar.update(sent - done)
            done = sent

        try:
            chunks = upload(
                self._jetstream,
                chunk_subject(self.name, info.nuid),
                source.chunks(chunk_size),
                limit=max_object_size(self._config),
                progress=None if bar is None else report,
            )
            info = info.with_changes(size=chunks.size, chunks=chunks.count, digest=chunks.digest)
            stored, replaced = commit(
                self._records,
                info,
                current,
                retry=None if if_revision is not None else lambda _stored: info,
            )
        except BaseException as error:
            with contextlib.suppress(ObjStoreError):
                remove_chunks(self._records, info.nuid)
            self._name_error(error, info.name, if_revision)
            raise
        if replaced is not None and replaced.chunks:
            remove_chunks(self._records, replaced.nuid)
        return stored.with_changes(mtime=datetime.now(timezone.utc))

    def _name_error(self, error: BaseException, name: str, if_revision: int | None) -> None:
        """Give an error of the floors below the facts that only this floor has."""
        if isinstance(error, ObjStoreError):
            error.bucket, error.name = self.name, name
        if isinstance(error, RevisionMismatchError) and error.expected is None:
            error.expected = if_revision

    def _describe(
        self,
        meta: str | ObjectMeta,
        description: str | None,
        mime: str | None,
        headers: Headers | None,
        metadata: Mapping[str, str] | None,
    ) -> ObjectInfo:
        """The record of what the caller says, checked before anything is sent."""
        if not isinstance(meta, ObjectMeta):
            meta = ObjectMeta(meta)
        meta_subject(self.name, meta.name)  # checks the name
        lists = header_lists(meta.headers if headers is None else headers)
        options = meta.options or ObjectMetaOptions()
        asked = meta.max_chunk_size or options.chunk_size
        _check_chunk_size(asked)
        return ObjectInfo(
            bucket=self.name,
            name=meta.name,
            description=description_text(meta.description if description is None else description),
            header_values=with_mime(lists, meta.mime if mime is None else mime),
            metadata=metadata_dict(meta.metadata if metadata is None else metadata),
            options=ObjectMetaOptions(options.link, asked),
        )

    def _current_for(self, name: str, if_revision: int | None) -> ObjectInfo | None:
        """What a put will replace.

        Raises:
            RevisionMismatchError: it is not what ``if_revision`` asks for.
        """
        current = self._records.read(name)
        if if_revision is not None:
            live = 0 if current is None or current.deleted else current.revision
            if live != if_revision:
                raise RevisionMismatchError(
                    f"{name!r} has the revision {live}, not {if_revision}"
                    if live
                    else f"{name!r} does not exist, so it has not the revision {if_revision}",
                    bucket=self.name,
                    name=name,
                    expected=if_revision,
                    actual=live,
                )
        return current

    @property
    def _max_payload(self) -> int:
        limit = self._jetstream.connection.session.info.get("max_payload")
        return limit if isinstance(limit, int) else 1 << 20

    def upload_file(
        self, path: str | os.PathLike[str], name: str | None = None, **put_options: Any
    ) -> ObjectInfo:
        """Store a file.

        Arguments:
            path: of the file.
            name: of the object; None: the file's own name, without its folders.
            put_options: as :meth:`put`; ``mime`` is guessed from the file's name.

        Returns:
            The object as stored.

        Raises:
            PayloadFileError: the file cannot be opened.
            And as :meth:`put`.
        """
        file = Path(path)
        if "mime" not in put_options:
            put_options["mime"] = mimetypes.guess_type(file.name)[0]
        return self.put(file.name if name is None else name, file, **put_options)

    def delete(self, name: str) -> bool:
        """Delete an object: its record becomes a tombstone, its chunks go.

        Returns:
            True if it was there.

        Raises:
            InvalidNameError: the name cannot be one.
            BucketNotFoundError, BucketSealedError, PermissionDeniedError: the server refuses.
            RequestTimeoutError, ConnectionLostError: the server does not answer.
        """
        current = self._records.read(name)

        def tombstone(stored: ObjectInfo | None) -> ObjectInfo:
            if stored is None or stored.deleted:
                raise _NothingToDelete
            return stored.with_changes(
                deleted=True, size=0, chunks=0, digest="", mtime=None, revision=0
            )

        try:
            _, replaced = commit(self._records, tombstone(current), current, retry=tombstone)
        except _NothingToDelete:
            return False
        if replaced is not None and replaced.chunks:
            remove_chunks(self._records, replaced.nuid)
        return True

    # --- reading

    def info(self, name: str, *, include_deleted: bool = False) -> ObjectInfo | None:
        """What the bucket says of an object; links are not followed.

        Arguments:
            name: of the object.
            include_deleted: give a tombstone too.

        Returns:
            None when there is no such object.

        Raises:
            InvalidNameError: the name cannot be one.
            BucketNotFoundError: there is no such bucket.
            ObjectCorruptError: its metadata are malformed.
            RequestTimeoutError, ConnectionLostError: the server does not answer.
        """
        info = self._records.read(name)
        if info is None or (info.deleted and not include_deleted):
            return None
        return info

    def get(self, name: str, *, progress: ProgressOption = None) -> ObjectResult | None:
        """Open an object for reading; links are followed.

        Arguments:
            name: of the object.
            progress: True for a bar, or a function of the bytes done and of all.

        Returns:
            A binary file; None when there is no such object, or a link leads nowhere.

        Raises:
            LinkError: it is a link to a bucket, or links lead in a circle.
            And as :meth:`info`; while reading also ObjectChangedError (overwritten or deleted
            in between), ObjectCorruptError, DigestMismatchError.
        """
        found = self._find(name)
        if found is None:
            return None
        store, info = found
        bar = start_progress(progress, info.name, info.size)
        return ObjectResult(info, chunk_payloads(store._records, info), bar)

    def read_bytes(self, name: str) -> bytes:
        """The whole object. One that is overwritten meanwhile is read again.

        Raises:
            ObjectNotFoundError: there is no such object.
            And as :meth:`get`.
        """
        for attempt in range(READ_TRIES):
            try:
                result = self.get(name)
                if result is None:
                    break
                with result:
                    return result.read()
            except ObjectChangedError:
                if attempt == READ_TRIES - 1:
                    raise
        raise self._not_found(name)

    def read_text(self, name: str, encoding: str = "utf-8") -> str:
        """The whole object as text.

        Raises:
            ObjectNotFoundError: there is no such object.
            UnicodeDecodeError: it is not text in that encoding.
            And as :meth:`get`.
        """
        return self.read_bytes(name).decode(encoding)

    def download_file(
        self, name: str, path: str | os.PathLike[str], *, progress: ProgressOption = None
    ) -> ObjectInfo:
        """Write an object into a file, which appears only when it is whole and verified.

        Arguments:
            name: of the object.
            path: of the file; one that exists is replaced, and left alone after a failure.
            progress: True for a bar, or a function of the bytes done and of all.

        Returns:
            The object's metadata.

        Raises:
            ObjectNotFoundError: there is no such object.
            OSError: the file cannot be written.
            And as :meth:`get`.
        """
        target = Path(path)
        result = self.get(name, progress=progress)
        if result is None:
            raise self._not_found(name)
        with result:
            descriptor, part = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:64]}.")
            try:
                with os.fdopen(descriptor, "wb", buffering=0) as file:
                    for chunk in result.data:
                        file.write(chunk)
                    os.fchmod(file.fileno(), _new_file_mode())
                Path(part).replace(target)
            except BaseException:
                Path(part).unlink(missing_ok=True)
                raise
        return result.info

    def list(
        self, *, prefix: str | None = None, include_deleted: bool = False
    ) -> Iterator[ObjectInfo]:
        """The objects, in the order in which they were stored; links are among them.

        Arguments:
            prefix: only names that begin so.
            include_deleted: tombstones too.

        Raises:
            BucketNotFoundError: there is no such bucket.
            RequestTimeoutError, ConnectionLostError: the listing could not be completed.
        """
        for info in self._records.all():
            if info.deleted and not include_deleted:
                continue
            if prefix is None or info.name.startswith(prefix):
                yield info

    def __iter__(self) -> Iterator[ObjectInfo]:
        return self.list()

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.info(name) is not None

    def status(self) -> ObjectStoreStatus:
        """The bucket's settings and state.

        Its ``size`` is counted by listing the bucket: it costs what :meth:`list` costs.

        Raises:
            BucketNotFoundError: there is no such bucket.
            RequestTimeoutError, ConnectionLostError: the server does not answer.
        """
        try:
            info = self._jetstream.stream_info(self._records.stream)
        except BucketNotFoundError as error:
            raise self._records.no_bucket() from error
        return status_of(self.name, info, sum(each.size for each in self.list()))

    # --- links

    def _find(self, name: str) -> tuple[ObjectStore, ObjectInfo] | None:
        """The object that a name leads to, through links, and the bucket that it is in.

        Raises:
            LinkError: a link leads to a bucket, or in a circle.
        """
        store, info = self, self.info(name)
        for _ in range(MAX_LINKS):
            if info is None or info.link is None:
                return None if info is None else (store, info)
            link: ObjectLink = info.link
            if link.name is None:
                raise LinkError(
                    f"{name!r} is a link to the bucket {link.bucket}, not to an object",
                    bucket=self.name,
                    name=name,
                )
            if link.bucket != store.name:
                store = ObjectStore(self._jetstream, link.bucket, {}, eventual=self._eventual)
            try:
                info = store.info(link.name)
            except BucketNotFoundError:
                return None
        raise LinkError(f"the links from {name!r} lead in a circle", bucket=self.name, name=name)

    def _not_found(self, name: str) -> ObjectNotFoundError:
        return ObjectNotFoundError(
            f"there is no object {name!r} in bucket {self.name}", bucket=self.name, name=name
        )


class _NothingToDelete(Exception):  # noqa: N818 - not an error: it ends a retry
    """The object is gone already."""


def _check_chunk_size(chunk_size: object) -> None:
    if chunk_size is None:
        return
    if isinstance(chunk_size, bool) or not isinstance(chunk_size, int) or chunk_size < 1:
        raise InvalidOptionError(f"chunk_size is {chunk_size!r}; it must be a number of bytes")


def _check_revision(revision: object) -> None:
    if revision is None:
        return
    if isinstance(revision, bool) or not isinstance(revision, int) or revision < 0:
        raise InvalidOptionError(f"if_revision is {revision!r}; it must be a revision, or 0")


def _new_file_mode() -> int:
    """The mode that a new file gets; mkstemp makes private ones."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
