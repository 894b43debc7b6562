"""Whole objects, folders and buckets by their paths: made, copied, moved, deleted."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from glob import has_magic
from typing import Any, NoReturn, cast

from fsspec import AbstractFileSystem

import objstore
from objstore.contrib.fsspec.entries import SLASH
from objstore.contrib.fsspec.listing import ListedBuckets, not_found

__all__ = ["ChangedBuckets"]


class ChangedBuckets(ListedBuckets):
    """How :class:`~objstore.contrib.fsspec.ObjectFileSystem` changes what there is, as a whole."""

    def mkdir(self, path: Any, create_parents: bool = True, **kwargs: Any) -> None:
        """Create a bucket; a folder in one needs not to be made, and nothing is stored of it.

        Arguments:
            path: of the bucket or folder.
            create_parents: False: the bucket of a folder must be there.
            kwargs: the options of a bucket, as :meth:`objstore.Client.object_store`; a ``mode`` of
                permissions is not used.

        Raises:
            FileExistsError: there is such a bucket.
            BucketNotFoundError: there is none to have the folder.
        """
        kwargs.pop("mode", None)  # of files' permissions, which some give
        bucket, name = self._split(path)
        try:
            # Not simply created: that opens one that is there, and mkdir has to tell of it.
            self.client.object_store(bucket, create=False)
        except objstore.BucketNotFoundError:
            if name and not create_parents:
                raise
            self.client.object_store(bucket, **kwargs)
        else:
            if not name:
                raise FileExistsError(errno.EEXIST, "the bucket exists already", bucket)

    def makedirs(self, path: Any, exist_ok: bool = False) -> None:
        """Create the bucket of a path if there is none.

        Arguments:
            path: of a bucket or folder.
            exist_ok: False: there must be nothing of that path.

        Raises:
            FileExistsError: there is.
        """
        if not exist_ok and self.exists(path):
            raise FileExistsError(errno.EEXIST, "it exists already", self._strip_protocol(path))
        if self._strip_protocol(path):
            # A bucket that is there; of a folder in one mkdir says nothing.
            with contextlib.suppress(FileExistsError):
                self.mkdir(path)

    def cp_file(self, path1: Any, path2: Any, **kwargs: Any) -> None:
        """Copy an object, with all that describes it, also into another bucket.

        Arguments:
            path1: of the object; of a folder: nothing is copied.
            path2: of the copy; one that is there is replaced.
            kwargs: fsspec's own.

        Raises:
            FileNotFoundError: there is no such object, or no bucket for its copy.
            And as :meth:`objstore.ObjectStore.copy`.
        """
        if self._type(path1) == "directory":
            self.makedirs(path2, exist_ok=True)
            return
        store, name = self._object(path1)
        target, new_name = self._object(path2)
        store.copy(name, new_name, target=target)

    def mv(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Move objects. In a bucket they are renamed, their bytes stay where they are.

        Arguments:
            path1: of an object; of several, by a list or glob; or of a folder.
            path2: where to: a path, a folder, or a list.
            recursive: folders: all objects in them.
            maxdepth: of a folder how many levels.
            kwargs: fsspec's own.

        Raises:
            FileNotFoundError: there is nothing to move.
            IsADirectoryError: there are but folders, without ``recursive``.
            And as :meth:`objstore.ObjectStore.update` and :meth:`objstore.ObjectStore.copy`.
        """
        if path1 == path2:
            return
        moving = _Moving(self)
        AbstractFileSystem.copy(
            cast("AbstractFileSystem", moving),
            path1,
            path2,
            recursive=recursive,
            maxdepth=maxdepth,
            on_error="raise",
        )
        if not moving.pairs and not recursive:
            raise IsADirectoryError(errno.EISDIR, "a folder is moved by recursive=True", path1)

    def _move(self, path1: str, path2: str) -> None:
        store, name = self._object(path1)
        target, new_name = self._object(path2)
        if store.name == target.name:
            with contextlib.suppress(objstore.ObjectExistsError):  # a copy replaces what is there
                store.update(name, new_name=new_name)
                return
        store.copy(name, new_name, target=target)
        store.delete(name)

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Delete objects, with many requests under way at once; folders and buckets by recursion.

        Arguments:
            path: one or several, or globs.
            recursive: folders: all objects in them, also those whose names end in a slash; buckets
                themselves, with all that is in them.
            maxdepth: of a folder or bucket how many levels.

        Raises:
            FileNotFoundError: there is none, or not each; the others are deleted then.
            IsADirectoryError: it is a folder or bucket, without ``recursive``.
            And as :meth:`objstore.ObjectStore.delete_many`.
        """
        wanted: dict[str, dict[str, None]] = {}
        for each in self._to_delete(path, recursive):
            bucket, name = self._split(each)
            # A bucket goes as a whole: one request, however many objects it has.
            if recursive and bucket and not name and maxdepth is None:
                if not self.client.delete_store(bucket):
                    raise not_found(bucket)
                continue
            if not bucket or not (name or recursive):
                raise IsADirectoryError(
                    errno.EISDIR, "buckets are deleted one by one, with recursive=True", each
                )
            names = self._names_below(each, maxdepth) if recursive else [name]
            wanted.setdefault(bucket, {}).update(dict.fromkeys(names))
        for bucket, found in wanted.items():
            count = self.bucket(bucket).delete_many(found)
            # Recursively they were just found: another program may have been first.
            if count < len(found) and not recursive:
                self._raise_missing(bucket, list(found), count)

    def _to_delete(self, path: Any, recursive: bool) -> Iterator[str]:
        """Yield the paths to delete; of a glob only folders' with ``recursive``."""
        for each in path if isinstance(path, (list, tuple, set)) else [path]:
            if not has_magic(stripped := self._strip_protocol(each)):
                yield stripped
                continue
            found = self.glob(stripped, detail=True)
            if not found:
                raise not_found(stripped)
            yield from (
                name for name, entry in found.items() if recursive or entry["type"] != "directory"
            )

    def _names_below(self, path: str, maxdepth: int | None) -> list[str]:
        """Return the names of the objects in a folder, and of the one with its own name."""
        bucket, name = self._split(path)
        if maxdepth is not None:
            names = [self._split(each)[1] for each in self.find(path, maxdepth)]
        else:
            store = self.bucket(bucket)
            names = [info.name for info in store.scan(name + SLASH).objects]
            names += [name] if name in store else []
        if not names:
            raise not_found(path)
        return names

    def _raise_missing(self, bucket: str, names: list[str], count: int) -> NoReturn:
        """Raise what tells that not all objects were there."""
        if len(names) > 1:
            raise not_found(f"{len(names) - count} of {len(names)} objects in {bucket}")
        path = f"{bucket}/{names[0]}"
        if self.isdir(path):
            raise IsADirectoryError(errno.EISDIR, "a folder is deleted by recursive=True", path)
        raise not_found(path)

    def rm_file(self, path: Any) -> None:
        """Delete an object.

        Arguments:
            path: of it.

        Raises:
            FileNotFoundError: there is none.
            And as :meth:`objstore.ObjectStore.delete`.
        """
        store, name = self._object(path)
        if not store.delete(name):
            self._raise_missing(store.name, [name], 0)

    def rmdir(self, path: Any) -> None:
        """Delete a bucket that is empty; a folder goes with what is in it.

        Arguments:
            path: of the bucket or folder.

        Raises:
            FileNotFoundError, NotADirectoryError: there is none, or it is an object.
            OSError: it is not empty.
        """
        bucket, name = self._split(path)
        kind = self._type(path)
        if kind is None:
            raise not_found(f"{bucket}/{name}")
        if kind != "directory":
            raise NotADirectoryError(errno.ENOTDIR, "it is an object", f"{bucket}/{name}")
        # A folder is never empty, or it would not be there.
        if not bucket or name or self.bucket(bucket).scan(limit=1).objects:
            raise OSError(errno.ENOTEMPTY, "it is not empty", f"{bucket}/{name}")
        self.client.delete_store(bucket)


class _Moving:
    """The file system as the base class's ``copy`` sees it, which then moves what it would copy.

    It knows which path becomes which, for globs, lists and folders; only what is done with each
    pair differs.

    Attributes:
        pairs: how many were moved.
    """

    def __init__(self, fs: ChangedBuckets) -> None:
        self._fs = fs
        self.pairs = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fs, name)

    def cp_file(self, path1: str, path2: str, **_: Any) -> None:
        """Move an object; of a folder there is nothing to move."""
        if self._fs.isdir(path1):
            self._fs.makedirs(path2, exist_ok=True)
        else:
            self._fs._move(path1, path2)
            self.pairs += 1
