"""``ObjectStore``: one bucket, as users see it. Each method calls the module that does its work."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, overload

from objstore.errors import InvalidNameError, InvalidOptionError
from objstore.model.arguments import UNSET, Unset
from objstore.model.objects import Headers, ObjectInfo, ObjectMeta
from objstore.put import one_object
from objstore.store.handle import BucketHandle
from objstore.uncopied import Uncopied

# What putting bytes and ``info`` do not need is imported by the methods that do; the statement
# takes 1.6 µs at each further call.
if TYPE_CHECKING:
    from typing_extensions import Unpack

    from objstore.care.garbage import GarbageReport
    from objstore.care.verify import VerifyReport
    from objstore.get.reader import ObjectResult
    from objstore.metadata.watch import Watcher
    from objstore.model.bucket_status import ObjectStoreStatus
    from objstore.model.described_later import HeadersOption, MetadataOption
    from objstore.progress import ProgressOption
    from objstore.put.options import Payload, PutOptions
    from objstore.put.writer import ObjectWriter, TextWriter
    from objstore.store.folder_options import FolderKeywords, UploadKeywords
    from objstore.store.folder_report import FolderReport
    from objstore.store.scan import Folder, ScanPage

__all__ = ["ObjectStore"]


class ObjectStore(Uncopied):
    """One bucket. Thread-safe; so are the files that it opens, whose calls take turns.

    ``client.object_store(name)`` returns it. Its methods, by what they do:

    - store: ``put``, ``put_many``, ``upload_file``, ``upload_dir``;
    - read: ``get``, ``get_many``, ``read_bytes``, ``read_text``, ``read_range``, ``read_ranges``,
      ``download_file``, ``download_dir``;
    - store and read, as a file: ``open``;
    - list and look up: ``info``, ``list``, ``scan``, ``walk``, ``resolve``, ``watch``,
      ``status``;
    - change and delete: ``update``, ``copy``, ``copy_dir``, ``link``, ``link_store``, ``delete``,
      ``delete_many``, ``delete_prefix``;
    - check and clean up: ``verify``, ``collect_garbage``;
    - the whole bucket, irreversibly: ``seal``, ``destroy``.

    ``for info in store`` is ``list``, and ``name in store`` asks for one object.

    Attributes:
        name: the bucket's name.
    """

    _instead = "pass its name on, and call objstore.connect(...).object_store(name) in each process"

    def __init__(self, handle: BucketHandle) -> None:
        self.name = handle.name
        self._handle = handle

    def __repr__(self) -> str:
        return f"<objstore.{type(self).__name__} {self.name!r}>"

    def _repr_html_(self) -> str:
        """Return the bucket's first objects as a table for notebooks."""
        from objstore.store.listing import Listing

        return Listing(self._handle, None, include_deleted=False)._repr_html_()

    def __contains__(self, name: object) -> bool:
        """Tell whether there is an object of that name."""
        # As in Python's containers, what cannot be a name is simply not there.
        try:
            return isinstance(name, str) and self._handle.info(name) is not None
        except InvalidNameError:
            return False

    def __iter__(self) -> Iterator[ObjectInfo]:
        """List the objects, as :meth:`list`."""
        return self.list()

    def put(
        self,
        meta: str | ObjectMeta,
        payload: Payload = None,
        *,
        description: str | None = None,
        mime: str | None = None,
        headers: HeadersOption = None,
        metadata: MetadataOption = None,
        chunk_size: int | None = None,
        ttl: timedelta | float | None = None,
        if_revision: int | None = None,
        progress: ProgressOption = None,
        timeout: float | None = None,
    ) -> ObjectInfo:
        """Store an object, in place of the one of that name if there is one.

        The object appears whole or not at all. Until then, and after any failure, Ctrl-C
        included, the old one is there and readable; nothing of the new one remains.

        In a full bucket the older half of the tombstones is removed first, once, to make room.

        A record of that name that cannot be read is overwritten, with a warning in the log;
        ``collect_garbage`` removes its chunks. Where an older client stored the name under another
        subject, that record is hidden by the new one. It is removed at once if such records were
        seen in the bucket before, and otherwise by ``collect_garbage``.

        Where an interrupted rename of another client (nats.go, nats.js) left two names with the
        same chunks, a put under one name destroys the content of the other; delete one of them
        first, which leaves the other whole. :meth:`verify` finds such names.

        Arguments:
            meta: the name, or an :class:`~objstore.ObjectMeta`, whose fields the arguments
                below override. With ``meta.options.link``: a link, see :meth:`link`.
            payload: bytes-like; a binary file-like (only ``read`` is needed), which is read from
                its current position to its end; an iterable of bytes-like; an ``os.PathLike``,
                whose file is streamed; None: empty. Memory that may change (all but bytes) is
                copied chunk by chunk. A file that grows meanwhile is stored up to the end that is
                reached; :meth:`upload_file` refuses a file that changes.
            description: free text.
            mime: the media type, stored as the header ``Content-Type``.
            headers: one value or several for each name; or a function that gives them, which is
                called once, at the commit, when the payload has been read to its end.
            metadata: pairs of text; or a function that gives them, as for ``headers``.
            chunk_size: in bytes, at most the server's ``max_payload``, to which it is reduced;
                None: chosen by the object's size.
            ttl: the time after which the object expires by itself, a timedelta or seconds, at
                least one (server 2.11 or later). The first such object in a bucket turns
                ``object_ttl`` on, which needs the permission to change its stream, and which
                cannot be turned off again. Where the stream's delete markers live longer, the
                server keeps the object as long; this client treats it as gone, by this computer's
                clock.
            if_revision: store it only if the object's revision is this (0: only if there is
                no such object).
            progress: True for a bar; or a function, called with the number of bytes done and with
                the total (None: unknown).
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
            And whatever reading the payload raises, or a function that gives headers or metadata;
            nothing remains then.

        Source: ADR-20; ADR-43 for ``ttl``.
        """
        return one_object.put(
            self._handle.records,
            meta,
            payload,
            description=description,
            mime=mime,
            headers=headers,
            metadata=metadata,
            chunk_size=chunk_size,
            ttl=ttl,
            if_revision=if_revision,
            progress=progress,
            timeout=timeout,
        )

    def put_many(
        self,
        items: Iterable[tuple[str | ObjectMeta, Payload]],
        *,
        mime: str | None = None,
        headers: HeadersOption = None,
        metadata: MetadataOption = None,
        ttl: timedelta | float | None = None,
        timeout: float | None = None,
    ) -> list[ObjectInfo]:
        """Store objects, in order, with many requests under way at once.

        It does not wait a round trip for each object, which saves the more the farther away the
        server is. Each object is as safe as with :meth:`put`: it appears whole or not at all, its
        chunks are acknowledged before its metadata are published, and these replace exactly the
        revision that was found. A name may come several times; the last one stays.

        The first failure ends the call. All objects before the one that failed are stored then;
        of those after it some may be, each of them whole, and nothing remains of the others.
        What the iterable itself raises counts as a failure of the item that it was asked for.
        After Ctrl-C, too, each object is stored whole or not at all.

        Memory: 64 objects or 4 MiB of them under way, or one larger one; and the results.

        Arguments:
            items: pairs of a name, or an :class:`~objstore.ObjectMeta`, and a payload of any
                kind that :meth:`put` takes. Items are taken from the iterable as earlier ones are
                stored; a payload is read before the next item is taken.
            mime, headers, metadata, ttl: of all of them, as for :meth:`put`; a function is called
                for each.
            timeout: for one acknowledgement, in seconds; None: the connection's.

        Returns:
            The objects as stored, in the order of the items.

        Raises:
            InvalidOptionError: ``items`` is not an iterable of pairs.
            And as :meth:`put`, for the first item that fails; the error's ``name`` says which.

        Source: ADR-20; ADR-43 for ``ttl``.
        """
        from objstore.store import put_many as many

        return many.put_many(
            self._handle,
            items,
            timeout=timeout,
            mime=mime,
            headers=headers,
            metadata=metadata,
            ttl=ttl,
        )

    @overload
    def open(self, name: str, mode: Literal["rb"] = "rb") -> ObjectResult: ...

    @overload
    def open(
        self, name: str, mode: Literal["wb", "xb"], **put_options: Unpack[PutOptions]
    ) -> ObjectWriter: ...

    @overload
    def open(
        self,
        name: str,
        mode: Literal["r", "rt"],
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> io.TextIOWrapper: ...

    @overload
    def open(
        self,
        name: str,
        mode: Literal["w", "wt", "x", "xt"],
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        **put_options: Unpack[PutOptions],
    ) -> TextWriter: ...

    @overload
    def open(self, name: str, mode: str, **options: Any) -> Any: ...

    def open(
        self,
        name: str,
        mode: str = "rb",
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        **put_options: Any,
    ) -> Any:
        """Open an object as a file.

        Arguments:
            name: of the object.
            mode: ``"rb"``: read it, see :meth:`get`. ``"wb"``: write it. The object is stored when
                the file is closed; nothing remains when the with-block raises; once a write has
                failed, every further call raises that error again, ``close`` too. The file's
                ``headers`` and ``metadata`` may be set until it is closed; its ``commit`` stores
                the object at once, its ``discard`` leaves nothing. ``"xb"``: as ``"wb"``, but only
                if there is no such object. ``"r"``, ``"w"`` and ``"x"``: the same with text.
            encoding, errors, newline: of text, as for Python's own ``open``; UTF-8 unless given.
            put_options: for writing, as :meth:`put`; ``progress`` gets no total.

        Returns:
            An :class:`~objstore.ObjectResult` or :class:`~objstore.ObjectWriter`; for text an
            :class:`io.TextIOWrapper` around one.

        Raises:
            ObjectNotFoundError: ``"rb"``, and there is no such object.
            ObjectExistsError: ``"xb"``, and there is one, now or when the file is closed.
            InvalidOptionError: the mode is another, or does not take one of the options.
            And as :meth:`get` and :meth:`put`.
        """
        from objstore.store.opening import open_object

        return open_object(
            self._handle,
            name,
            mode,
            encoding=encoding,
            errors=errors,
            newline=newline,
            **put_options,
        )

    def get(
        self,
        name: str,
        *,
        start: int | None = None,
        end: int | None = None,
        progress: ProgressOption = None,
    ) -> ObjectResult | None:
        """Open an object for reading; links are followed. It needs no consumer on the server.

        Arguments:
            name: of the object.
            start, end: read only a part, as in ``data[start:end]``; see :meth:`read_range`. The
                file's positions count from the part's beginning; ``info`` is the whole object's.
            progress: True for a bar; or a function, called with the number of bytes done and with
                the total.

        Returns:
            A seekable binary file; None when there is no such object, or a link leads to none.

        Raises:
            InvalidOptionError: ``start`` or ``end`` is no whole number, or ``progress`` cannot be
                used.
            LinkError: a link leads to a whole bucket, or links lead in a circle.
            And as :meth:`info`; while reading also ObjectChangedError (overwritten or deleted
            in between), ObjectCorruptError, DigestMismatchError.

        Source: ADR-20; ADR-31 for the batches of direct gets.
        """
        from objstore.store import read

        return read.get(self._handle, name, start=start, end=end, progress=progress)

    def get_many(self, names: Iterable[str]) -> Iterator[tuple[str, bytes | None]]:
        """Read whole objects, in the order of their names; links are followed.

        Many requests are under way at once, so small objects come much faster than one by one.
        Memory: 64 small objects, or one large one.

        Arguments:
            names: of the objects; taken from the iterable as results are asked for.

        Returns:
            Each name with its content, or with None when there is no such object.

        Raises:
            InvalidOptionError: ``names`` is a single name.
            And as :meth:`read_bytes`, for the first object that fails.
        """
        from objstore.store import read

        if (observer := self._handle.jetstream.observer) is not None:
            from objstore.get.observed import told_objects

            return told_objects(observer, self.name, read.get_many(self._handle, names))
        return read.get_many(self._handle, names)

    def read_bytes(self, name: str) -> bytes:
        """Read a whole object.

        If it is overwritten meanwhile, the new one is read. If the digest differs, the object is
        read a second time, maybe from another server.

        Arguments:
            name: of the object, or of a link to one.

        Raises:
            ObjectNotFoundError: there is no such object.
            And as :meth:`get`.
        """
        from objstore.store import read

        if (observer := self._handle.jetstream.observer) is not None:
            from objstore.get.observed import told

            reading = partial(read.read_part, self._handle, name, None, None)
            return told(observer, self.name, name, reading)
        return read.read_part(self._handle, name, None, None)

    def read_text(self, name: str, encoding: str = "utf-8") -> str:
        """Read a whole object as text.

        Arguments:
            name: of the object, or of a link to one.
            encoding: of the text, as Python calls it.

        Raises:
            ObjectNotFoundError: there is no such object.
            UnicodeDecodeError: it is not text in that encoding.
            And as :meth:`get`.
        """
        return self.read_bytes(name).decode(encoding)

    def read_range(self, name: str, start: int | None, end: int | None) -> bytes:
        """Read some bytes of an object; only the chunks that hold them are fetched.

        Arguments:
            name: of the object.
            start, end: as in ``data[start:end]``: ``end`` is exclusive, negative numbers count
                from the end, and numbers beyond the end stand for the end.

        Raises:
            ObjectNotFoundError: there is no such object.
            InvalidOptionError: ``start`` or ``end`` is no whole number.
            And as :meth:`get`. If the object is overwritten meanwhile, the new one is read.

        Cost: requests for the metadata, for the chunks, and for the last chunk, which tells whether
        all chunks are of one size; some more where the metadata or other messages stand between the
        chunks. :class:`~objstore.ObjectResult` says what chunks of several sizes cost.
        """
        from objstore.store import read

        if (observer := self._handle.jetstream.observer) is not None:
            from objstore.get.observed import told

            reading = partial(read.read_part, self._handle, name, start, end)
            return told(observer, self.name, name, reading)
        return read.read_part(self._handle, name, start, end)

    def read_ranges(self, ranges: Iterable[tuple[str, int | None, int | None]]) -> Iterator[bytes]:
        """Read parts of objects, in order, with many requests under way at once.

        Of up to 512 small parts the records are asked for together, then the chunks, each once for
        all parts in it. Parts of more than 1 MiB, and of objects whose chunks do not stand in a
        row right before their record, come one by one. Memory: 16 MiB of results and 8 MiB of
        chunks, or one large part; and what was read ahead of one object, 12 MiB.

        All parts of an object are of one version of it. One that is changed before the first of
        them was given is read anew.

        Arguments:
            ranges: tuples of a name and two bounds, as in ``data[start:end]``, None and negative
                ones too; they are taken from the iterable up to 512 ahead of the results.

        Returns:
            The bytes of each; lazily, as :meth:`get_many`.

        Raises:
            ObjectNotFoundError: there is no such object. This and the errors below are raised when
                the part is the next to be returned.
            InvalidNameError, InvalidOptionError: ``ranges`` is not an iterable of such tuples.
            ObjectChangedError: an object was overwritten or deleted after a part of it was given.
            And as :meth:`get`, and what the iterable raises.

        Source: ADR-31 for the direct gets.
        """
        from objstore.store import read

        if (observer := self._handle.jetstream.observer) is not None:
            from objstore.get.observed import told_parts

            reading = partial(read.read_parts, self._handle)
            return told_parts(observer, self.name, ranges, reading)
        return read.read_parts(self._handle, ranges)

    def info(self, name: str, *, include_deleted: bool = False) -> ObjectInfo | None:
        """Return the record of an object; links are not followed.

        Where there is none, it is looked for under the subjects that older clients used, which
        costs one round trip more.

        Arguments:
            name: of the object.
            include_deleted: return a tombstone too, or the delete marker that the server stores for
                an object that has expired (ADR-43).

        Returns:
            None when there is no such object.

        Raises:
            InvalidNameError: the name cannot be one.
            BucketNotFoundError: there is no such bucket.
            ObjectCorruptError: its metadata are malformed.
            PermissionDeniedError, RequestTimeoutError, ConnectionLostError: no answer.

        Source: ADR-20.
        """
        return self._handle.info(name, include_deleted=include_deleted)

    def list(
        self, *, prefix: str | None = None, include_deleted: bool = False
    ) -> Iterator[ObjectInfo]:
        """List the objects, in the order in which they were stored; links are among them.

        Lazily: one request, then a stream of batches. An object that is changed meanwhile comes
        once, as it was before or after. Malformed metadata are logged and left out; objects that
        older clients stored under another subject come last. A notebook shows the first objects,
        by a listing of its own that takes nothing from this one.

        Arguments:
            prefix: only names that begin so.
            include_deleted: tombstones too.

        Raises:
            InvalidOptionError: the prefix is not text.
            BucketNotFoundError: there is no such bucket.
            RequestTimeoutError, ConnectionLostError: the listing could not be completed.
        """
        from objstore.store.listing import list_objects

        return list_objects(self._handle, prefix=prefix, include_deleted=include_deleted)

    def scan(
        self,
        prefix: str = "",
        *,
        delimiter: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> ScanPage:
        """List the objects and folders whose names begin with a prefix, in order, by pages.

        Names are in the order of their UTF-8 bytes. The first call reads all records of the
        bucket; the client keeps them, and later calls take one round trip (some more in a cluster,
        and where much has changed), in which the server says what has changed: what anybody stored,
        deleted, renamed or purged is seen, and what has expired. No consumer is made.

        Memory: 225 bytes for each object with a name of 30 characters (measured on 1,000,000), 16
        more with a media type, some 400 with metadata or a description. A client keeps 4 million
        of them, 1 GB, or those of one larger bucket; a bucket that is deleted is dropped.

        Arguments:
            prefix: of the names; with a folder's ``"docs/"`` what is in it.
            delimiter: what ends a folder's name, ``"/"`` or any other text: names that have it
                behind the prefix come as one folder each. None: there are no folders.
            after: only what comes behind this name; where it is a folder's, as ``next`` of a page
                may be, nothing of that folder.
            limit: at most so many objects and folders together; None: all.

        Returns:
            A :class:`~objstore.ScanPage`; ``next`` is for the ``after`` of the next call.

        Raises:
            InvalidOptionError: an argument cannot be used.
            BucketNotFoundError: there is no such bucket.
            PermissionDeniedError, RequestTimeoutError, ConnectionLostError: it cannot be found out.

        Source: ADR-31 for the batches and counts of direct gets.
        """
        from objstore.store import scan

        return scan.scan(self._handle, prefix, delimiter=delimiter, after=after, limit=limit)

    def walk(self, folder: str = "") -> Iterator[Folder]:
        """Walk through a folder and all folders in it, as ``os.walk``, with ``/`` between folders.

        It shows the bucket as it was when the first folder was asked for, by one :meth:`scan`.

        Arguments:
            folder: where to begin; ``""``: at the top. A ``/`` at its end makes no difference.

        Returns:
            For each folder its path, the names of the folders in it, and the objects in it, in
            order. As with ``os.walk``, folders that you remove from the list of names are left out,
            and its order is followed. A folder that does not exist gives nothing.

        Raises:
            As :meth:`scan`.
        """
        from objstore.store import scan

        return scan.walk(self._handle, folder)

    def resolve(self, name: str) -> ObjectInfo | None:
        """Return the record of the object that a name leads to, through links.

        Arguments:
            name: of the object, or of a link.

        Returns:
            None when there is no such object, or a link leads to none.

        Raises:
            LinkError: a link leads to a whole bucket, or links lead in a circle.
            And as :meth:`info`.
        """
        from objstore.store import read

        return read.resolve(self._handle, name)

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
            meta: its fields that are not None are used where the argument below is not given.
            new_name: the new name; None: the name stays.
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
        from objstore.store import write

        return write.update(
            self._handle,
            name,
            meta,
            new_name,
            if_revision,
            description=description,
            mime=mime,
            headers=headers,
            metadata=metadata,
        )

    def copy(self, name: str, new_name: str, *, target: ObjectStore | None = None) -> ObjectInfo:
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
        if not isinstance(into, ObjectStore):
            raise InvalidOptionError(f"target is {target!r}; it must be an ObjectStore")
        from objstore.store import write

        return write.copy(self._handle, name, into._handle, new_name)

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
            if_revision: store it only if the revision of the object or link of that name is this
                (0: only if there is none).

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
        from objstore.put import links

        return links.link(self._handle.records, name, target, if_revision=if_revision)

    def link_store(
        self, name: str, bucket: ObjectStore | str, *, if_revision: int | None = None
    ) -> ObjectInfo:
        """Store a link to a whole bucket.

        Arguments:
            name: of the link, as for :meth:`link`.
            bucket: the bucket, or its name.
            if_revision: as for :meth:`link`.

        Returns:
            The link.

        Raises:
            ObjectExistsError: a live object that is not a link has the name.
            BucketNotFoundError: there is no such bucket.
            InvalidNameError, InvalidOptionError: an argument cannot be used.
            And as :meth:`update`.

        Source: ADR-20 (AddBucketLink).
        """
        target = bucket.name if isinstance(bucket, ObjectStore) else bucket
        from objstore.put import links

        return links.link_store(self._handle.records, name, target, if_revision=if_revision)

    def delete(self, name: str, *, if_revision: int | None = None) -> bool:
        """Delete an object: its record becomes a tombstone, then its chunks go.

        The tombstone has a nuid of its own, since other clients purge chunks by the nuid. In a
        bucket that is too full for it older tombstones are removed first; where there are none, the
        object is removed first, and then the tombstone is stored. :meth:`collect_garbage` removes
        it.

        The first call looks through the bucket's records once, for another name that another
        client's interrupted rename left on the same chunks; such chunks stay.

        Arguments:
            name: of the object.
            if_revision: delete it only if its revision is this.

        Returns:
            True if there was such an object, or a record that cannot be read. An object that
            somebody else puts right over it meanwhile stays, if the server's answers show that.

        Raises:
            InvalidNameError, InvalidOptionError: an argument cannot be used.
            RevisionMismatchError: the revision is not ``if_revision``.
            BucketNotFoundError, BucketSealedError, PermissionDeniedError: the server refuses.
            RequestTimeoutError, ConnectionLostError: the server does not answer. Where an answer
                was lost and somebody has put the name anew since, nobody can tell whether it was
                deleted by this call.
        """
        from objstore.store import write

        return write.delete(self._handle, name, if_revision=if_revision)

    def delete_many(self, names: Iterable[str]) -> int:
        """Delete objects, with many requests under way at once.

        Each is deleted as by :meth:`delete`, with the same care, but many at a time.
        The first failure is raised when what was under way with it has come to its end; objects
        before it are deleted then, and some of those after it may be.

        Arguments:
            names: of the objects; absent and repeated ones do no harm.

        Returns:
            How many there were.

        Raises:
            InvalidNameError, InvalidOptionError: an argument cannot be used; nothing was sent.
            And as :meth:`delete`; the error's ``name`` says of which object.
        """
        from objstore.store import delete_many

        return delete_many.delete_many(self._handle, names)

    def delete_prefix(self, prefix: str) -> int:
        """Delete all objects whose names begin with a prefix, such as a folder's ``"docs/"``.

        What is stored there while it lists and deletes may stay.

        Arguments:
            prefix: of the names; ``""``: all objects of the bucket.

        Returns:
            How many there were.

        Raises:
            InvalidOptionError: the prefix is not text.
            And as :meth:`list` and :meth:`delete_many`.
        """
        from objstore.store import delete_many

        return delete_many.delete_prefix(self._handle, prefix)

    def upload_file(
        self,
        path: str | os.PathLike[str],
        name: str | None = None,
        **put_options: Unpack[PutOptions],
    ) -> ObjectInfo:
        """Store a file.

        Arguments:
            path: of the file; ``~`` is the home directory.
            name: of the object; None: the file's own name, without its folders.
            put_options: as :meth:`put`; ``mime`` is guessed from the file's name.

        Returns:
            The object as stored.

        Raises:
            PayloadFileError: the file cannot be opened, or was changed while it was read;
                nothing is stored then.
            And as :meth:`put`.
        """
        from objstore.store import files

        return files.upload_file(self._handle, path, name, **put_options)

    def download_file(
        self,
        name: str,
        path: str | os.PathLike[str],
        *,
        resume: bool = True,
        progress: ProgressOption = None,
    ) -> ObjectInfo:
        """Write an object into a file, which appears only when it is whole and verified.

        A file that is replaced keeps what its owner gave it: owner, group, mode, extended
        attributes. One that has other names (hard links), that this user may write but not
        replace (a mounted file, a folder that cannot be written), or whose owner or attributes
        this user cannot give to another, is written over once the content is verified. A
        symbolic link stays, and what it leads to is replaced. A new file has the mode that the
        umask allows.

        A device, a pipe, or an open file (``/dev/stdout``, ``/dev/fd/3``) is written to as the
        content comes, its last chunk after the digest was verified; it cannot be resumed.

        Arguments:
            name: of the object.
            path: of the file; one that exists is replaced, or stays as it is after a failure. ``~``
                is the home directory.
            resume: go on where an earlier download of the same content was cut off, by the end
                of its process or of the connection. What it had is in a hidden file beside
                the target, which stays until the download is completed; the digest is computed
                over all of it. (On systems with ``fcntl``, for objects of several chunks.)
            progress: as for :meth:`get`.

        Returns:
            The object's metadata.

        Raises:
            ObjectNotFoundError: there is no such object.
            InvalidOptionError: the path is a folder, a socket, or a link that leads nowhere;
                nothing was asked for.
            OSError: the file cannot be written, or must not be (it is read-only).
            And as :meth:`get`.
        """
        from objstore.store import files

        return files.download_file(self._handle, name, path, resume, progress)

    def upload_dir(
        self,
        folder: str | os.PathLike[str],
        prefix: str = "",
        **options: Unpack[UploadKeywords],
    ) -> FolderReport:
        """Store all files of a folder, and of those in it, that differ from what is there.

        A file's mtime is kept in the object's metadata, as ``mtime`` in the form of RFC 3339. What
        has the same size and mtime stays as it is, and what has the same size and SHA-256 digest.
        Many small files are under way at once. Links to files are followed, links to folders are
        not.

        Arguments:
            folder: its path; ``~`` is the home directory.
            prefix: what the names begin with, before a ``/``; the rest is the path in the folder.
            options: see :class:`objstore.FolderOptions`; and of each put ``headers``,
                ``metadata`` (a mapping), ``ttl`` and ``timeout``, as :meth:`put_many`; ``mime`` is
                guessed from each file's name unless given.

        Returns:
            What was done. A file that cannot be opened, has vanished, was changed while it was
            read, or whose path cannot be an object's name is among its ``refused``, and the rest
            goes on.

        Raises:
            PayloadFileError: the folder cannot be read.
            InvalidOptionError: an argument cannot be used.
            And as :meth:`put_many`. What was stored before stays.
        """
        from objstore.store import folders
        from objstore.store.folder_options import Job, split_keywords

        of_folder, of_puts = split_keywords(options)
        return folders.upload_dir(self._handle, folder, Job(prefix, of_folder), **of_puts)

    def download_dir(
        self,
        folder: str | os.PathLike[str],
        prefix: str = "",
        **options: Unpack[FolderKeywords],
    ) -> FolderReport:
        """Write all objects below a prefix into files of a folder, where they differ.

        Files of the same size and mtime stay as they are (an object's metadata have its file's
        ``mtime``, see :meth:`upload_dir`), and those of the same size and SHA-256 digest; each
        other one is replaced when the object is whole and verified, gets the mtime, and keeps its
        owner and mode as in :meth:`download_file`. Many small objects are under way at once.
        Nothing leads out of the folder, no name, and no link in there: a link in the place of a
        file is replaced itself.

        Arguments:
            folder: its path; it is made if it is not there. ``~`` is the home directory.
            prefix: what the names begin with, before a ``/``; the rest is the path in the folder.
            options: see :class:`objstore.FolderOptions`.

        Returns:
            What was done. Among its ``refused`` is what cannot be in the folder, and the rest goes
            on: names that lead out of it (``..``), are no file's (``docs/``), are a file's and a
            folder's, or differ by case alone where the file system folds it; what a link in the
            place of a folder would lead out, and what has a pipe or a device in its place.

        Raises:
            InvalidOptionError: the folder is a file, or an argument cannot be used.
            OSError: a file cannot be written.
            And as :meth:`download_file`. What was written before stays.
        """
        from objstore.store import folders
        from objstore.store.folder_options import FolderOptions, Job

        job = Job(prefix, FolderOptions(**options))
        return folders.download_dir(self._handle, folder, job)

    def copy_dir(
        self,
        prefix: str,
        new_prefix: str,
        *,
        target: ObjectStore | None = None,
        **options: Unpack[FolderKeywords],
    ) -> FolderReport:
        """Copy all objects below a prefix that differ from what is there, in content.

        Each copy has all that describes the object, as of :meth:`copy`; links are followed. Many
        small objects are under way at once.

        Arguments:
            prefix: what the names begin with, before a ``/``; ``""``: all of the bucket.
            new_prefix: what the names of the copies begin with instead.
            target: the bucket that they are stored in; None: this one.
            options: see :class:`objstore.FolderOptions`.

        Returns:
            What was done, by the names of the copies.

        Raises:
            InvalidOptionError: both are in one bucket, and in each other; or an argument cannot be
                used.
            And as :meth:`copy`. What was stored before stays.
        """
        from objstore.store import folder_copies
        from objstore.store.folder_options import FolderOptions

        into = self if target is None else target
        if not isinstance(into, ObjectStore):
            raise InvalidOptionError(f"target is {target!r}; it must be an ObjectStore")
        of_folder = FolderOptions(**options)
        return folder_copies.copy_dir(self._handle, prefix, into._handle, new_prefix, of_folder)

    def watch(
        self,
        *,
        include_history: bool = False,
        ignore_deletes: bool = False,
        updates_only: bool = False,
    ) -> Watcher:
        """Watch what the bucket holds, and then each change of it as it happens.

        It survives reconnects and restarts of the server without losing or repeating one. An
        update that is itself overwritten before it was sent is gone from the bucket, and left out.

        Arguments:
            include_history: all metadata that the bucket still has, not the last of each name
                alone. (A put replaces the metadata before it; some other clients do not.)
            ignore_deletes: no tombstones.
            updates_only: nothing of what exists, only what is stored after this call.

        Returns:
            A watcher, to be iterated, and to be stopped or used in a with-block: it has the
            server hold a consumer.

        Raises:
            InvalidOptionError: both ``include_history`` and ``updates_only``.
            BucketNotFoundError: there is no such bucket.
            PermissionDeniedError: reading the stream's state or creating a consumer is not
                allowed.
            APIError: the server refuses the consumer, for there are too many.
            RequestTimeoutError, ConnectionLostError: for ``reconnect_timeout`` seconds there was
                no connection, or JetStream did not answer.

        Source: ADR-20 (watch), ADR-17 (ordered consumer).
        """
        from objstore.metadata.watch import Watcher

        return Watcher(
            self._handle.records,
            include_history=include_history,
            ignore_deletes=ignore_deletes,
            updates_only=updates_only,
        )

    def status(self) -> ObjectStoreStatus:
        """Return the bucket's settings and state.

        The number of its live objects, ``size``, and their bytes, ``total_size``, are counted by
        one listing of the bucket: that costs what :meth:`list` costs. The bucket's settings are
        read again, so that what another client changed since this one opened it, its
        ``max_object_size`` above all, counts here from now on.

        Raises:
            BucketNotFoundError: there is no such bucket.
            RequestTimeoutError, ConnectionLostError: the server does not answer.

        Source: ADR-20.
        """
        from objstore.store import maintenance

        return maintenance.status(self._handle)

    def verify(self, name: str | None = None) -> VerifyReport:
        """Read everything, or one object, and compare it with what was stored.

        Objects are read whole and their size and digest checked, nothing of them is kept; links
        are followed to where they lead, and what they lead to in other buckets is not read.
        Objects that are overwritten meanwhile are read again, those that are deleted are left
        out.

        Arguments:
            name: of one object; None: the whole bucket, where malformed metadata, chunks
                without an owner and names that share chunks are looked for too.

        Returns:
            What was found; ``report.ok`` tells whether all is well.

        Raises:
            InvalidNameError: the name cannot be one.
            ObjectNotFoundError: there is no object of that name.
            BucketNotFoundError: there is no such bucket.
            PermissionDeniedError, RequestTimeoutError, ConnectionLostError: no answer.

        Cost: all the bucket's bytes travel here. Memory: 8 bytes for each object, and what a
        read takes.
        """
        from objstore.store import maintenance

        return maintenance.verify(self._handle, name)

    def collect_garbage(
        self, *, min_age: timedelta | float = timedelta(hours=1), dry_run: bool = False
    ) -> GarbageReport:
        """Remove chunks that no object owns, and old tombstones.

        Such chunks are left by killed programs, by other clients, and in mirrors. Chunks that a
        live object names stay, and so do those whose nuid is in the text of a malformed record.
        Right before each removal the records are read once more.

        A tombstone is kept for each deleted object, to tell watchers and mirrors. Once it is
        removed, ``include_deleted`` and a watcher's history do not show the object any more, and a
        mirror that was not connected meanwhile keeps it. What is stored over a tombstone meanwhile
        stays. (A put removes some tombstones, too, where they fill the bucket.)

        Arguments:
            min_age: how old the newest chunk of an upload, or a tombstone, must be by the
                server's clock, a timedelta or seconds. An upload in progress is safe as long as
                none of its pauses is so long. In a mirror the clock is the newest message's time.
            dry_run: only tell what would be removed.

        Returns:
            What was removed.

        Raises:
            InvalidOptionError: an argument cannot be used.
            BucketConfigError: the bucket's stream moves or drops messages, so that chunks may
                have an owner that cannot be seen.
            BucketNotFoundError, BucketSealedError, PermissionDeniedError: the server refuses.
            RequestTimeoutError, ConnectionLostError: the server does not answer. What was
                removed until then is gone, and nothing else.

        Cost: a listing of the bucket, a page of subjects for each 100,000 uploads, a few requests
        for each that is garbage, and one for each old tombstone. Memory: 8 bytes for each object,
        one page, and 100 bytes for each old tombstone.
        """
        from objstore.store import maintenance

        return maintenance.collect_garbage(self._handle, min_age=min_age, dry_run=dry_run)

    def seal(self) -> ObjectStoreStatus:
        """Make the bucket unchangeable, for good.

        Returns:
            Its status after that; ``size`` and ``total_size`` are None where its objects could
            not be counted, as by a user who may not read them.

        Raises:
            BucketNotFoundError: there is no such bucket.
            BucketConfigError: its stream would lose or refuse what is written; that is to be
                mended first, for nothing can change after this.
            PermissionDeniedError, RequestTimeoutError, ConnectionLostError: the server refuses, or
                does not answer.

        Source: ADR-20.
        """
        from objstore.store import maintenance

        return maintenance.seal(self._handle)

    def destroy(self) -> bool:
        """Delete the bucket with all its objects.

        Returns:
            True if it was there.

        Raises:
            PermissionDeniedError, RequestTimeoutError, ConnectionLostError: the server refuses, or
                does not answer.
        """
        from objstore.store import maintenance

        return maintenance.destroy(self._handle)
