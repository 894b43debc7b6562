"""``ObjectStorage``: Django's files in a bucket."""

from __future__ import annotations

import contextlib
import io
import mimetypes
import os
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation
from django.core.files.base import File
from django.core.files.storage import Storage
from django.core.files.utils import validate_file_name
from django.utils import timezone
from django.utils.deconstruct import deconstructible
from django.utils.encoding import filepath_to_uri

import objstore
from objstore.contrib.django.links import signed_url
from objstore.contrib.serving import web_client

__all__ = ["ObjectFile", "ObjectStorage"]

#: How often a name is chosen anew, when another request took it between the look and the commit.
TRIES = 10

#: What a browser may claim of an upload, without parameters.
_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]{1,80}/[a-z0-9.+-]{1,80}", re.ASCII)

#: What a compressed file is, by what it is compressed with: of "a.tar.gz" mimetypes says tar.
_COMPRESSED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}


@deconstructible(path="objstore.contrib.django.ObjectStorage")
class ObjectStorage(Storage):
    """Store files in a bucket: a storage for ``STORAGES`` or a ``FileField``.

    A file is stored whole or not at all. A name that another request takes at the same moment is
    not overwritten: the file gets another one. Nothing is connected before the first file is asked
    for, and a process, a forked worker too, has one connection for all its storages with the same
    options. Where NATS is away, a call waits for 5 s and raises :exc:`objstore.ConnectionLostError`
    (:class:`ObjectStoreMiddleware` makes a 503 of it).

    There are no folders but in names: ``exists`` is about files, ``listdir`` shows as folder what
    names begin with, and one that nothing is in is not there. ``get_created_time`` tells when the
    file was stored last, for it is never changed in place; when it was read nobody knows.

    Files are opened as by :meth:`objstore.ObjectStore.open`. One that is written is stored when it
    is closed, and not at all when its with-block raises. (In a with-block of a model's field it is,
    as far as it was written: Django closes it either way.)

    Written into a migration are the arguments, a password too, where an instance stands in a
    field; name one of ``STORAGES`` there by a function that returns it.

    Arguments:
        bucket: its name; it is made at the first use if there is none.
        servers: as for :func:`objstore.connect`.
        location: a folder of the bucket, in which all files are, and which no name leads out of.
        base_url: where the files are served from, to whoever asks; None: ``url`` makes links that
            are signed and expire, for storages named in ``STORAGES`` and with
            ``objstore.contrib.django.urls`` in the URLconf.
        file_overwrite: True: a file replaces the one of the same name.
        link_max_age: how long a signed link holds, in seconds; up to a quarter longer, so that it
            stays the same for a while, and what it leads to in the browser's cache.
        bucket_options: of the bucket, as for :meth:`objstore.Client.object_store`.
        connect_options: as for :func:`objstore.connect`; ``timeout`` and ``reconnect_timeout`` are
            5 seconds unless given.

    Raises:
        django.core.exceptions.ImproperlyConfigured: the location leads out of the bucket.
    """

    def __init__(
        self,
        bucket: str,
        servers: str | Sequence[str] | None = None,
        location: str = "",
        base_url: str | None = None,
        file_overwrite: bool = False,
        *,
        link_max_age: int = 3600,
        bucket_options: Mapping[str, Any] | None = None,
        **connect_options: Any,
    ) -> None:
        self.bucket = bucket
        self.base_url = base_url
        self.file_overwrite = file_overwrite
        self.link_max_age = link_max_age
        self._servers = servers
        self._connect_options = connect_options
        self._bucket_options = dict(bucket_options or {})
        self._opened: tuple[int, objstore.Client, objstore.ObjectStore] | None = None
        try:
            self.location = _normalized(location)
        except SuspiciousFileOperation as error:
            raise ImproperlyConfigured(f"location is {location!r}: {error}") from None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of bucket {self.bucket!r}, location {self.location!r}>"

    def __eq__(self, other: object) -> bool:
        """Tell whether the other was made with the same arguments."""
        if type(other) is not type(self):
            return NotImplemented
        # What Django's decorator keeps for migrations.
        return bool(self._constructor_args == other._constructor_args)

    def __hash__(self) -> int:
        return hash((type(self), self.bucket, self.location))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}  # a connection is this process's own

    @property
    def store(self) -> objstore.ObjectStore:
        """The bucket, connected at the first use.

        Raises:
            As :func:`objstore.connect` and :meth:`objstore.Client.object_store`.
        """
        opened = self._opened
        if opened is None or opened[0] != os.getpid() or opened[1].connection.is_closed:
            # Not at each call: web_client reads the environment, 110 us where an info takes 230.
            client = web_client(self._servers, **self._connect_options)
            store = client.object_store(self.bucket, **self._bucket_options)
            opened = self._opened = os.getpid(), client, store
        return opened[2]

    def object_name(self, name: Any) -> str:
        """Return the name of the object that a file's name stands for.

        Raises:
            django.core.exceptions.SuspiciousFileOperation: it leads out of the storage.
        """
        path = _normalized(name)
        return posixpath.join(self.location, path) if path else self.location

    def relative_name(self, name: Any) -> str:
        """Return a file's name without detours, as the storage gives it.

        Raises:
            django.core.exceptions.SuspiciousFileOperation: it leads out of the storage.
        """
        return _normalized(name)

    # --- reading and writing

    def _open(self, name: Any, mode: str = "rb") -> File:
        return ObjectFile(self, str(name), mode)

    def save(self, name: Any, content: Any, max_length: int | None = None) -> str:
        """Store a file under a name that no other has, or its own with ``file_overwrite``.

        Arguments:
            name: the name to begin with; None: the content's.
            content: a Django ``File``, or any file of bytes or text.
            max_length: of the name.

        Returns:
            The name that it has.

        Raises:
            django.core.exceptions.SuspiciousFileOperation: the name leads out of the storage, or
                there is no free one.
            ObjectExistsError: another request took the name at the same moment, and the
                content cannot be read again from its beginning.
            And as :meth:`objstore.ObjectStore.put`.
        """
        for _ in range(TRIES - 1):
            # Here, not in _save as Django's own does: the next name has to keep to max_length.
            try:
                return str(super().save(name, content, max_length))
            except objstore.RevisionMismatchError as error:
                if not _goes_back(content):  # what was read of it would be missing
                    raise objstore.ObjectExistsError(
                        f"{str(name)!r} was taken while it was stored, and the content cannot be "
                        "read again; store it under another name",
                        bucket=self.bucket,
                        name=error.name,
                    ) from error
        return str(super().save(name, content, max_length))

    def _save(self, name: str, content: File) -> str:
        self.store.put(
            self.object_name(name),
            payload_of(content),
            mime=media_type_of(name, content),
            if_revision=None if self.file_overwrite else 0,
        )
        return self.relative_name(name)

    def get_available_name(self, name: Any, max_length: int | None = None) -> str:
        """Return a name that no file has, or, with ``file_overwrite``, this one, cut to fit."""
        if not self.file_overwrite:
            return str(super().get_available_name(name, max_length))
        # The checks that Django's own makes on its way to another name.
        path = str(name).replace("\\", "/")
        folder, file = posixpath.split(path)
        if ".." in folder.split("/"):
            raise SuspiciousFileOperation(f"Detected path traversal attempt in '{folder}'")
        validate_file_name(file)
        too_long = 0 if max_length is None else len(path) - max_length
        if too_long <= 0:
            return path
        root, suffix = posixpath.splitext(file)
        if len(root) <= too_long:
            raise SuspiciousFileOperation(
                f'Storage can not find an available filename for "{path}". Please make sure that '
                'the corresponding file field allows sufficient "max_length".'
            )
        return posixpath.join(folder, root[:-too_long] + suffix)

    def delete(self, name: Any) -> None:
        """Delete a file; one that is not there is no harm.

        Raises:
            ValueError: there is no name.
        """
        if not name:
            raise ValueError("The name must be given to delete().")
        self.store.delete(self.object_name(name))

    # --- looking

    def exists(self, name: Any) -> bool:
        """Tell whether there is a file of that name; of no name, the storage itself: True."""
        found = self.object_name(name)
        return found == self.location or self.store.info(found) is not None

    def listdir(self, path: Any) -> tuple[list[str], list[str]]:
        """Return the names of the folders and of the files in a folder; of none, two empty lists.

        The first call in a process reads all records of the bucket, see
        :meth:`objstore.ObjectStore.scan`.
        """
        folder = self.object_name(path)
        prefix = f"{folder}/" if folder else ""
        page = self.store.scan(prefix, delimiter="/")
        folders = [each[len(prefix) : -1] for each in page.prefixes]
        files = [info.name[len(prefix) :] for info in page.objects]
        # What other programs stored under names with two slashes in a row cannot be asked for here.
        return [each for each in folders if each], [each for each in files if each]

    def info(self, name: Any) -> objstore.ObjectInfo:
        """Return the record of a file; links are followed.

        Raises:
            ObjectNotFoundError: there is none; it is a FileNotFoundError.
        """
        found = self.store.resolve(self.object_name(name))
        if found is None:
            raise objstore.ObjectNotFoundError(
                f"there is no file {str(name)!r} in bucket {self.bucket}",
                bucket=self.bucket,
                name=self.object_name(name),
            )
        return found

    def size(self, name: Any) -> int:
        """Return the size of a file, in bytes."""
        return self.info(name).size

    def get_modified_time(self, name: Any) -> datetime:
        """Return when a file was stored: aware and in UTC with ``USE_TZ``, else naive and local."""
        modified = self.info(name).mtime
        if modified is None:
            raise NotImplementedError(f"the record of {str(name)!r} has no time")
        # Naive ones are the system's, as of Django's own storage on the disk.
        return modified if settings.USE_TZ else timezone.make_naive(modified, _system_zone())

    def get_created_time(self, name: Any) -> datetime:
        """Return when a file was stored, as ``get_modified_time``."""
        return self.get_modified_time(name)

    def get_accessed_time(self, name: Any) -> datetime:
        """Refuse: nobody records who reads.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("an object store does not record when a file was read")

    def url(self, name: Any) -> str:
        """Return where a file is served: below ``base_url``, or by a link that expires.

        Raises:
            django.core.exceptions.ImproperlyConfigured: as :meth:`signed_url`.
        """
        if self.base_url is None:
            return self.signed_url(name)
        base = str(self.base_url)
        path = filepath_to_uri(name)
        return urljoin(base if base.endswith("/") else f"{base}/", (path or "").lstrip("/"))

    def signed_url(
        self, name: Any, *, max_age: int | None = None, as_attachment: bool = False
    ) -> str:
        """Return a link to a file that holds for a while, for whoever has it.

        Arguments:
            name: of the file.
            max_age: how long it holds, in seconds, and up to a quarter longer; None: the
                storage's ``link_max_age``.
            as_attachment: the file is saved, and not shown.

        Raises:
            django.core.exceptions.ImproperlyConfigured: the storage is none of ``STORAGES``, or
                the URLconf does not include ``objstore.contrib.django.urls``.
        """
        return signed_url(
            self,
            self.relative_name(name),
            max_age=self.link_max_age if max_age is None else max_age,
            as_attachment=as_attachment,
        )


class ObjectFile(File):
    """A file of an :class:`ObjectStorage`: an object, opened to be read or written.

    Arguments:
        storage: that it is in.
        name: in the storage.
        mode: as for :meth:`objstore.ObjectStore.open`.
    """

    DEFAULT_CHUNK_SIZE = 256 << 10  # Django's 64 KiB cost twice as many calls

    def __init__(self, storage: ObjectStorage, name: str, mode: str) -> None:
        self._storage = storage
        super().__init__(self._opened(name, mode), name)
        self.mode = mode

    def _opened(self, name: str, mode: str) -> Any:
        options = {} if mode.startswith("r") else {"mime": media_type_of(name)}
        return self._storage.store.open(self._storage.object_name(name), mode, **options)

    @property
    def size(self) -> int:
        """How many bytes it has; of a file that is being written, so far."""
        # Not as the base class, which asks the disk for a file of the same name.
        raw = getattr(self.file, "buffer", self.file)
        return int(raw.tell() if raw.info is None else raw.info.size)

    def open(self, mode: str | None = None, *args: Any, **kwargs: Any) -> ObjectFile:
        """Go to the beginning; or open it anew, where it is closed or was opened otherwise."""
        if self.closed or (mode or self.mode) != self.mode or self.writable():
            self.close()
            self.file = self._opened(self.name, mode or self.mode)
            self.mode = mode or self.mode
        else:
            self.seek(0)
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> None:
        """Close it; of a file that is written, nothing is stored when the block has raised."""
        if kind is not None and self.writable():
            getattr(self.file, "buffer", self.file).discard()
        self.close()


def _normalized(name: Any) -> str:
    """Return a path without detours, with slashes; "" is the storage itself.

    Raises:
        django.core.exceptions.SuspiciousFileOperation: it leads out of the storage.
    """
    path = posixpath.normpath(str(name).replace("\\", "/"))
    if path.startswith("/") or path.split("/", 1)[0] == "..":
        raise SuspiciousFileOperation(f"the path {str(name)!r} leads out of the storage")
    return "" if path == "." else path


def _system_zone() -> Any:
    return datetime.now().astimezone().tzinfo


def media_type_of(name: str, content: Any = None) -> str | None:
    """Return what is stored as the media type of a file: by its name, else as it was uploaded."""
    # The name first, as Django's own storage and a web server would: what a browser says of an
    # upload is whatever who sends it likes.
    guessed, encoding = mimetypes.guess_type(posixpath.basename(name))
    if encoding is not None:
        return _COMPRESSED.get(encoding)
    claimed = str(getattr(content, "content_type", None) or "").partition(";")[0].strip().lower()
    return guessed or (claimed if _MEDIA_TYPE.fullmatch(claimed) else None)


def payload_of(content: Any) -> Any:
    """Return the content of a Django file as :meth:`objstore.ObjectStore.put` takes it best."""
    if hasattr(content, "temporary_file_path"):
        return Path(content.temporary_file_path())
    if type(content) is File and isinstance(content.file, io.BufferedReader):
        with contextlib.suppress(OSError):  # a pipe
            content.file.seek(0)
        return content.file  # a file on the disk, of known length
    # By chunks(), which is what a class of a project's own may have changed.
    return b"".join(pieces_of(content)) if _is_small(content) else pieces_of(content)


def _goes_back(content: Any) -> bool:
    """Go to the beginning of a content that may have been read; tell whether that is possible."""
    try:
        content.seek(0)
    except (AttributeError, OSError, ValueError):
        return False
    return True


def _is_small(content: Any) -> bool:
    try:
        return not content.multiple_chunks()
    except (AttributeError, OSError, ValueError):  # its size cannot be told
        return False


def pieces_of(content: Any) -> Iterator[bytes]:
    """Yield the content of a Django file as bytes; text, which some files give, as UTF-8."""
    for piece in content.chunks():
        yield piece.encode() if isinstance(piece, str) else piece
