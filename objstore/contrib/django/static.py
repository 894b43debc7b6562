"""Static files in a bucket: what ``collectstatic`` stores, with many requests under way at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.storage import ManifestFilesMixin
from django.contrib.staticfiles.utils import check_settings
from django.core.files.base import ContentFile, File
from django.utils.deconstruct import deconstructible

import objstore
from objstore.contrib.django.storage import (
    ObjectStorage,
    media_type_of,
    payload_of,
    pieces_of,
)

__all__ = ["ObjectManifestStaticStorage", "ObjectStaticStorage"]

#: What a batch keeps in memory before it is sent together: so many files, or so many bytes.
MOST_FILES, MOST_BYTES = 256, 4 << 20


@deconstructible(path="objstore.contrib.django.ObjectStaticStorage")
class ObjectStaticStorage(ObjectStorage):
    """Store static files in a bucket: for ``STORAGES["staticfiles"]``.

    A file replaces the one of the same name, and they are served below ``STATIC_URL``
    (:class:`ObjectView` does it) or another ``base_url``. With ``objstore.contrib.django`` in
    ``INSTALLED_APPS``, before ``django.contrib.staticfiles``, ``collectstatic`` lists the bucket
    once, sends many files at a time, and leaves those alone whose content is there already,
    however old theirs is.

    Arguments:
        bucket, servers, location, options: as for :class:`ObjectStorage`.
        base_url: None: ``STATIC_URL``.
    """

    def __init__(
        self,
        bucket: str,
        servers: Any = None,
        location: str = "",
        base_url: str | None = None,
        **options: Any,
    ) -> None:
        base_url = settings.STATIC_URL if base_url is None else base_url
        # As Django's StaticFilesStorage does: it is neither empty nor MEDIA_URL.
        check_settings(base_url)
        super().__init__(bucket, servers, location, base_url, True, **options)
        self._batch: _Batch | None = None

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Have what is stored and deleted in the block sent together, at its end at the latest.

        What is there is listed once, at the beginning: nobody else should change it meanwhile.
        Files are stored before others are deleted; one that is deleted and stored again is there
        all the time. Not for several threads. Nested ones are part of the outermost.

        Raises:
            And as :meth:`objstore.ObjectStore.put_many`, at any call in the block and at its end.
        """
        if self._batch is not None:
            yield
            return
        self._batch = _Batch(self)
        try:
            yield
            self._batch.finish()
        finally:
            self._batch = None

    def flush(self) -> None:
        """Store now what a batch has gathered; outside of one there is nothing to do."""
        if self._batch is not None:
            self._batch.flush()

    def _open(self, name: Any, mode: str = "rb") -> File:
        if self._batch is None:
            return super()._open(name, mode)
        return self._batch.open(str(name), mode)

    def _save(self, name: str, content: File) -> str:
        if self._batch is None:
            return super()._save(name, content)
        self._batch.put(name, content)
        return self.relative_name(name)

    def delete(self, name: Any) -> None:
        """Delete a file, as :meth:`ObjectStorage.delete`."""
        if self._batch is None or not name:
            super().delete(name)
        else:
            self._batch.delete(self.object_name(name))

    def exists(self, name: Any) -> bool:
        """Tell whether there is a file, or, in a batch, a folder of that name."""
        if self._batch is None:
            return super().exists(name)
        return self._batch.exists(self.object_name(name))

    def info(self, name: Any) -> objstore.ObjectInfo:
        """Return the record of a file, as :meth:`ObjectStorage.info`."""
        found = None if self._batch is None else self._batch.infos.get(self.object_name(name))
        # A link's own record has not the size of what it leads to.
        return super().info(name) if found is None or found.link is not None else found

    def get_modified_time(self, name: Any) -> datetime:
        """Return when a file was stored; of one that a batch has yet to send, now."""
        if self._batch is not None and self.object_name(name) in self._batch.pending:
            now = datetime.now(timezone.utc)
            return now if settings.USE_TZ else now.astimezone().replace(tzinfo=None)
        return super().get_modified_time(name)


class _Batch:
    """What is to be stored and deleted, and what is there.

    Attributes:
        infos: the records of what is stored, by the objects' names.
        pending: what is to be stored.
    """

    def __init__(self, storage: ObjectStaticStorage) -> None:
        self._storage = storage
        self._prefix = f"{storage.location}/" if storage.location else ""
        self._store = storage.store
        found = self._store.scan(self._prefix).objects
        self.infos: dict[str, objstore.ObjectInfo] = {info.name: info for info in found}
        self.pending: dict[str, tuple[objstore.ObjectMeta, bytes]] = {}
        # What collectstatic --clear asks for.
        self._folders = {folder for name in self.infos for folder in _folders_of(name)}
        self._doomed: set[str] = set()
        self._bytes = 0

    def exists(self, name: str) -> bool:
        """Tell whether there is, or will be, an object of that name, or was a folder."""
        if name in self._doomed:
            return False
        if name == self._storage.location or name in self.infos or name in self.pending:
            return True
        return name in self._folders

    def open(self, name: str, mode: str) -> File:
        """Open a file, which may be one that is still here."""
        waiting = self.pending.get(self._storage.object_name(name))
        if waiting is not None and mode == "rb":
            return ContentFile(waiting[1], name)
        # What waits may be what is to be read, or be written now.
        self.flush()
        return ObjectStorage._open(self._storage, name, mode)

    def put(self, name: str, content: File) -> None:
        """Store a file, unless just that is there."""
        found = self._storage.object_name(name)
        self._doomed.discard(found)
        meta = objstore.ObjectMeta(found, mime=media_type_of(name, content))
        try:
            large = content.size > MOST_BYTES
        except AttributeError:  # it cannot be told
            large = True
        if large:
            # At once, streamed: gathered it would fill the memory.
            self.infos[found] = self._store.put(meta, payload_of(content))
            return
        data = b"".join(pieces_of(content))
        known = self.infos.get(found)
        if known is not None and known.sha256 == hashlib.sha256(data).hexdigest():
            self._drop(found)  # what was to replace it
            return
        self._drop(found)
        self.pending[found] = meta, data
        self._bytes += len(data)
        if len(self.pending) >= MOST_FILES or self._bytes >= MOST_BYTES:
            self.flush()

    def delete(self, name: str) -> None:
        """Delete an object at the end, unless it is stored again."""
        self._drop(name)
        if name in self.infos:
            self._doomed.add(name)

    def _drop(self, name: str) -> None:
        dropped = self.pending.pop(name, None)
        if dropped is not None:
            self._bytes -= len(dropped[1])

    def flush(self) -> None:
        """Store what is to be stored."""
        stored = self._store.put_many(self.pending.values())
        self.infos.update((info.name, info) for info in stored)
        self.pending.clear()
        self._bytes = 0

    def finish(self) -> None:
        """Store what is to be stored, then delete what is to be deleted."""
        self.flush()
        self._store.delete_many(sorted(self._doomed))


def _folders_of(name: str) -> Iterator[str]:
    """Yield all folders that an object is in."""
    at = name.find("/")
    while at >= 0:
        yield name[:at]
        at = name.find("/", at + 1)


@deconstructible(path="objstore.contrib.django.ObjectManifestStaticStorage")
class ObjectManifestStaticStorage(ManifestFilesMixin, ObjectStaticStorage):
    """Store static files under names with a hash of their content: for ``STORAGES["staticfiles"]``.

    As :class:`ObjectStaticStorage` and Django's ``ManifestStaticFilesStorage``: each file is stored
    under its own name and under one that changes with its content, so that browsers may keep it
    for ever. The manifest that tells which is which is replaced last, when all files are there: a
    site goes on with the old ones until it is started anew.
    """

    def post_process(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Store the files under their hashed names; see Django's ``ManifestFilesMixin``."""
        with self.batch():
            yield from super().post_process(*args, **kwargs)

    def save_manifest(self) -> None:
        """Replace the manifest, when all that it names is stored."""
        self.flush()
        super().save_manifest()
