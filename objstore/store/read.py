"""The reading side of a bucket's face."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from objstore.errors import DigestMismatchError, InvalidOptionError, ObjectChangedError
from objstore.get.chunks import only_chunk
from objstore.get.read_many import read_many
from objstore.get.reader import ObjectResult
from objstore.metadata.links import follow
from objstore.metadata.listing import list_records
from objstore.metadata.records import Records
from objstore.model.objects import ObjectInfo
from objstore.progress import ProgressOption, check_progress, start_progress
from objstore.store.handle import Bound
from objstore.wire.connection.arguments import to_whole

__all__ = ["Reading"]

#: How often ``read_bytes`` begins again when the object was overwritten under it.
READ_TRIES = 10


class Reading(Bound):
    """What looks at a bucket's objects."""

    def info(self, name: str, *, include_deleted: bool = False) -> ObjectInfo | None:
        """What the bucket says of an object; links are not followed.

        Where there is none, it is looked for under the subjects that older clients used, which
        costs one round trip more.

        Arguments:
            name: of the object.
            include_deleted: give a tombstone too, or the server's delete marker of what has expired
                (ADR-43).

        Returns:
            None when there is no such object.

        Raises:
            InvalidNameError: the name cannot be one.
            BucketNotFoundError: there is no such bucket.
            ObjectCorruptError: its metadata are malformed.
            PermissionDeniedError, RequestTimeoutError, ConnectionLostError: no answer.

        Source: ADR-20.
        """
        info = self._records.read(name)
        if info is None or (info.deleted and not include_deleted):
            return None
        return info

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.info(name) is not None

    def list(
        self, *, prefix: str | None = None, include_deleted: bool = False
    ) -> Iterator[ObjectInfo]:
        """The objects, in the order in which they were stored; links are among them.

        Lazily: one request, then a stream of batches. An object that is changed meanwhile comes
        once, as it was before or after. Malformed metadata of others are logged and left out; what
        older clients stored under another subject comes last.

        Arguments:
            prefix: only names that begin so.
            include_deleted: tombstones too.

        Raises:
            InvalidOptionError: the prefix is not text.
            BucketNotFoundError: there is no such bucket.
            RequestTimeoutError, ConnectionLostError: the listing could not be completed.
        """
        if prefix is not None and not isinstance(prefix, str):
            raise InvalidOptionError(f"prefix is {prefix!r}; it must be text")
        return (
            info
            for info in list_records(self._records)
            if (include_deleted or not info.deleted)
            and (prefix is None or info.name.startswith(prefix))
        )

    def __iter__(self) -> Iterator[ObjectInfo]:
        return self.list()

    def resolve(self, name: str) -> ObjectInfo | None:
        """What the bucket says of the object that a name leads to, through links.

        Arguments:
            name: of the object, or of a link.

        Returns:
            None when there is no such object, or a link leads to none.

        Raises:
            LinkError: a link leads to a whole bucket, or links lead in a circle.
            And as :meth:`info`.
        """
        found = follow(self._records, name)
        return None if found is None else found[1]

    def get(
        self,
        name: str,
        *,
        start: int | None = None,
        end: int | None = None,
        progress: ProgressOption = None,
    ) -> ObjectResult | None:
        """Open an object for reading; links are followed. It costs the server no consumer.

        Arguments:
            name: of the object.
            start, end: read only a part, as in ``data[start:end]``; see :meth:`read_range`. Its
                positions count from its own beginning, ``info`` is the whole object's.
            progress: True for a bar, or a function of the bytes done and of all.

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
        check_progress(progress)
        _check_range(start, end)
        found = follow(self._records, name)
        return None if found is None else _open(*found, start, end, progress)

    def read_bytes(self, name: str) -> bytes:
        """The whole object. One that is overwritten meanwhile is read again.

        One whose digest differs is read a second time, maybe from another server.

        Arguments:
            name: of the object, or of a link to one.

        Raises:
            ObjectNotFoundError: there is no such object.
            And as :meth:`get`.
        """
        return self._read_part(name, None, None)

    def _read_part(self, name: str, start: int | None, end: int | None) -> bytes:
        _check_range(start, end)
        for attempt in range(READ_TRIES):
            try:
                found = follow(self._records, name)
                if found is None:
                    break
                if found[1].chunks == 1 and start is None and end is None:
                    return bytes(only_chunk(*found))  # no file around it: 5 % of a small read
                with _open(*found, start, end) as result:
                    return result.read()
            except ObjectChangedError:
                if attempt == READ_TRIES - 1:
                    raise
            except DigestMismatchError:
                if attempt:  # another server may have them as they were stored
                    raise
        raise self._not_found(name)

    def read_text(self, name: str, encoding: str = "utf-8") -> str:
        """The whole object as text.

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
        """Some bytes of an object; only the chunks that hold them are fetched.

        Arguments:
            name: of the object.
            start, end: as in ``data[start:end]``: ``end`` is exclusive, negative numbers count
                from the end, and what is beyond it is not there.

        Raises:
            ObjectNotFoundError: there is no such object.
            InvalidOptionError: ``start`` or ``end`` is no whole number.
            And as :meth:`get`. One that is overwritten meanwhile is read again.

        Cost: the metadata, the chunks, and the last chunk, which tells whether all are of one
        size. A few requests more where the metadata or other messages stand between the chunks,
        and what :class:`~objstore.ObjectResult` says of chunks of several sizes.
        """
        return self._read_part(name, start, end)

    def get_many(self, names: Iterable[str]) -> Iterator[tuple[str, bytes | None]]:
        """Whole objects, in the order of their names; links are followed.

        Many requests are under way at once, so small objects come much faster than one by one.
        Memory: 64 small objects, or one large one.

        Arguments:
            names: of the objects; taken as the results are.

        Returns:
            Each name with its content, or with None when there is no such object.

        Raises:
            InvalidOptionError: one name was given, not several.
            As :meth:`read_bytes`, for the first object that fails.
        """
        if isinstance(names, (str, bytes)):
            raise InvalidOptionError(f"names are an iterable of names, not {names!r} alone")
        return read_many(self._records, names, self._read_or_none)

    def _read_or_none(self, name: str) -> bytes | None:
        try:
            return self.read_bytes(name)
        except FileNotFoundError as error:
            if getattr(error, "name", None) is None:
                raise
            return None


def _check_range(start: object, end: object) -> None:
    for number in (start, end):
        if number is not None and to_whole(number) is None:
            raise InvalidOptionError(f"start and end are whole numbers, not {number!r}")


def _open(
    records: Records,
    info: ObjectInfo,
    start: int | None,
    end: int | None,
    progress: ProgressOption = None,
) -> ObjectResult:
    """A part of an object, to be read."""
    first, last, _ = slice(start, end).indices(info.size)
    bar = start_progress(progress, info.name, max(0, last - first))
    return ObjectResult(records, info, bar, first, last)
