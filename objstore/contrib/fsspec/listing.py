"""The buckets of an account as fsspec sees them: what there is, and how to get there."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from fsspec import AbstractFileSystem
from fsspec.utils import tokenize

import objstore
from objstore.contrib.fsspec.entries import (
    SLASH,
    Entry,
    Folder,
    bottom_up,
    directory,
    file_entry,
    folders_of,
)

__all__ = ["ListedBuckets", "not_found"]

#: What fsspec and its users give to any file system, and what says nothing of a connection.
_OF_FSSPEC = ("asynchronous", "loop", "use_listings_cache", "listings_expiry_time", "max_paths")

#: Options that are nobody's business, or no part of what is connected to.
_SECRETS = ("user", "password", "token", "credentials", "nkey_seed", "tls", "ca", "name")


def not_found(path: str) -> FileNotFoundError:
    """Return the error of what is not there."""
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


class ListedBuckets(AbstractFileSystem):
    """What :class:`~objstore.contrib.fsspec.ObjectFileSystem` is and has, and how it is listed."""

    protocol = "natsobj"

    def __init__(
        self,
        servers: str | Sequence[str] | None = None,
        *,
        base_url: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**{name: options[name] for name in _OF_FSSPEC if name in options})
        self._servers = servers
        self._options = {name: options[name] for name in options if name not in _OF_FSSPEC}
        self._base_url = base_url
        self._held: tuple[int, objstore.Client, dict[str, objstore.ObjectStore]] | None = None

    # --- what it is

    @property
    def _fs_token(self) -> str:
        # Without the thread and process that fsspec has in it: dask names its tasks by it, and
        # everywhere the same options mean the same.
        given = self.storage_args, sorted(self.storage_options.items())
        token: str = tokenize(type(self), given)
        return token

    @property
    def fsid(self) -> str:
        """What tells two of them apart, in all sessions: the servers and the account's ways."""
        told = {name: each for name, each in self._options.items() if name not in _SECRETS}
        servers = self._servers or os.environ.get("NATS_URL")
        return f"{self.protocol}_{tokenize(servers, **told)}"

    def __repr__(self) -> str:
        """Return a line without secrets, equal in each process: others name their tasks by it."""
        return f"<objstore.contrib.fsspec.{type(self).__name__} {self._fs_token}>"

    @property
    def client(self) -> objstore.Client:
        """The connection: the process's shared client for these options.

        Raises:
            ConnectionLostError, AuthorizationError, …: as :func:`objstore.connect`.
        """
        return self._connected()[0]

    def _connected(self) -> tuple[objstore.Client, dict[str, objstore.ObjectStore]]:
        """Return the client, and the buckets that it has opened."""
        held = self._held
        # Kept here as well: shared_client looks at all of the environment each time, 20 us.
        if held is None or held[0] != os.getpid() or held[1].connection.is_closed:
            client = objstore.shared_client(self._servers, **self._options)
            held = self._held = os.getpid(), client, {}
        return held[1:]

    def bucket(self, name: str) -> objstore.ObjectStore:
        """Open a bucket, for what fsspec has no words for.

        Arguments:
            name: the bucket's name.

        Raises:
            BucketNotFoundError: there is none.
        """
        client, stores = self._connected()
        store = stores.get(name)
        if store is None:
            if "@" in name:  # not shown: it may be a password
                raise objstore.InvalidNameError(
                    "no bucket's name has an '@'; how to log in goes into storage_options, "
                    "such as {'user': …, 'password': …}, never into the URL"
                )
            try:
                store = stores[name] = client.object_store(name, create=False)
            except objstore.BucketNotFoundError as error:
                # pandas and its like make no bucket: mostly this is the first file of a new one.
                raise objstore.BucketNotFoundError(
                    f"{error}; fsspec.filesystem('natsobj').makedirs({name!r}) makes it",
                    bucket=name,
                ) from error
        return store

    # --- paths

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(each) for each in path]
        stripped: str = super()._strip_protocol(path)
        return stripped.lstrip(SLASH)

    def _split(self, path: Any) -> tuple[str, str]:
        """Return the bucket and the name of a path; either may be empty."""
        bucket, _, name = self._strip_protocol(path).partition(SLASH)
        return bucket, name

    def _object(self, path: Any) -> tuple[objstore.ObjectStore, str]:
        """Return the bucket, opened, and the name of an object.

        Raises:
            IsADirectoryError: the path names no object.
        """
        bucket, name = self._split(path)
        if not name:
            raise IsADirectoryError(errno.EISDIR, "a bucket is no file", f"{bucket}/")
        return self.bucket(bucket), name

    # --- looking

    def info(self, path: Any, **kwargs: Any) -> Entry:
        """Return what is known of an object, folder or bucket, as a dict.

        Arguments:
            path: of it.
            kwargs: fsspec's ``refresh``, which has nothing to do.

        Returns:
            ``name`` (the path), ``size``, ``type``; of objects ``created`` and ``mtime`` (equal,
            for an object is stored as a whole), ``digest``, ``revision``, ``mimetype``; of links
            what they lead to, and ``islink``.

        Raises:
            FileNotFoundError: there is none.
        """
        bucket, name = self._split(path)
        if bucket and not name:  # asked for anew each time: somebody may have deleted it
            self.client.object_store(bucket, create=False)
        if not name:
            return directory(bucket)
        store = self.bucket(bucket)
        info = store.info(name)
        if info is not None:
            return file_entry(store, info)
        path = f"{bucket}/{name}"
        # A folder is what names begin with: one object in it tells that it is there.
        if store.scan(name + SLASH, limit=1).objects:
            return directory(path)
        raise not_found(path)

    def _type(self, path: Any) -> str | None:
        """Return the type of what a path names; None: nothing. Other errors are no answer."""
        try:
            kind: str = self.info(path)["type"]
        except (FileNotFoundError, objstore.InvalidNameError):
            return None
        return kind

    def exists(self, path: Any, **kwargs: Any) -> bool:
        """Tell whether there is an object, folder or bucket; a lost connection is an error."""
        return self._type(path) is not None

    def isdir(self, path: Any) -> bool:
        """Tell whether a path names a folder or bucket; an object of that name comes first."""
        return self._type(path) == "directory"

    def isfile(self, path: Any) -> bool:
        """Tell whether a path names an object, or a link to one."""
        return self._type(path) == "file"

    def ls(self, path: Any, detail: bool = True, **kwargs: Any) -> list[Any]:
        """List a folder, in the order of the names; of an object itself.

        Arguments:
            path: of the folder, bucket or object; ``""``: the buckets.
            detail: True: what :meth:`info` says of each; False: the paths.
            kwargs: fsspec's ``refresh``, which has nothing to do.

        Raises:
            FileNotFoundError: there is nothing.
        """
        _, dirs, files = next(self._folders(path, 1), ("", {}, {}))
        found = [*dirs.values(), *files.values()]
        if not found:
            entry = self.info(path)
            found = [entry] if entry["type"] != "directory" else []
        found.sort(key=lambda entry: entry["name"])
        return found if detail else [entry["name"] for entry in found]

    def _folders(self, path: Any, maxdepth: int | None) -> Iterator[Folder]:
        """Yield a folder and those in it; from ``""`` on through all buckets."""
        if maxdepth is not None and maxdepth < 1:
            raise ValueError(f"maxdepth is {maxdepth}; it must be at least 1")
        bucket, name = self._split(path)
        if bucket:
            yield from folders_of(self.bucket(bucket), name, maxdepth)
            return
        # Their state comes with the list; what is in them is looked at only when it is walked.
        buckets = {each.bucket: directory(each.bucket) for each in self.client.list_stores()}
        yield "", buckets, {}
        if maxdepth != 1:
            for each in list(buckets):
                yield from folders_of(self.bucket(each), "", maxdepth and maxdepth - 1)

    def walk(
        self,
        path: Any,
        maxdepth: int | None = None,
        topdown: bool = True,
        on_error: Any = "omit",
        **kwargs: Any,
    ) -> Iterator[tuple[str, Any, Any]]:
        """Walk through a folder and all folders in it, as ``os.walk``, by one look at the bucket.

        Arguments:
            path: where to begin; ``""``: at all buckets.
            maxdepth: how many levels; None: all.
            topdown: False: folders come after what is in them.
            on_error: what to do where there is no such bucket: ``"omit"``, ``"raise"``, or a
                function of the error.
            kwargs: ``detail=True``: dicts of what :meth:`info` says; else lists of names.

        Returns:
            For each folder its path, and its folders and files by their names. Who takes names out
            of the folders, topdown, keeps it from going there.
        """
        detail = kwargs.get("detail", False)
        folders = self._folders(path, maxdepth)
        try:
            for folder, dirs, files in folders if topdown else bottom_up(folders):
                if detail:
                    yield folder, dirs, files
                    continue
                names = list(dirs)
                yield folder, names, list(files)
                # folders_of goes by what is left in the dict: names taken out of the list go, too.
                left = {name: dirs.get(name, directory(f"{folder}/{name}")) for name in names}
                dirs.clear()
                dirs.update(left)
        except FileNotFoundError as error:
            if on_error == "raise":
                raise
            if callable(on_error):
                on_error(error)

    def find(
        self,
        path: Any,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Find all objects below a path, by one look at the bucket.

        Arguments:
            path: of a folder, or of an object, which then is the only one.
            maxdepth: how many levels; None: all.
            withdirs: folders too, the first one among them.
            detail: True: a dict of what :meth:`info` says of each; False: a list of paths.
            kwargs: fsspec's ``refresh``, which has nothing to do.

        Returns:
            In the order of the names; of what is not there nothing.
        """
        found: dict[str, Entry] = {}
        for folder, dirs, files in self.walk(path, maxdepth, detail=True):
            found.update((entry["name"], entry) for entry in files.values())
            if withdirs:
                found.update({folder: directory(folder)} if folder else {})
                found.update((entry["name"], entry) for entry in dirs.values())
        # Only then: an object and a folder may have one name, and most paths are folders'.
        if not found and self.isfile(path):
            found = {entry["name"]: entry for entry in [self.info(path)]}
        return {name: found[name] for name in sorted(found)} if detail else sorted(found)

    def du(
        self,
        path: Any,
        total: bool = True,
        maxdepth: int | None = None,
        withdirs: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Sum up the bytes of all objects below a path, or return those of each.

        Arguments:
            path: of a folder or object.
            total: False: a dict of the sizes by their paths.
            maxdepth, withdirs: as :meth:`find`; folders have no size.
            kwargs: fsspec's own.
        """
        found = self.find(path, maxdepth, withdirs, detail=True)
        sizes = {name: entry["size"] for name, entry in found.items()}
        return sum(sizes.values()) if total else sizes

    def created(self, path: Any) -> datetime:
        """Return when an object was stored: it is stored as a whole, and so also changed then."""
        return self.modified(path)

    def modified(self, path: Any) -> datetime:
        """Return when an object was stored, or what describes it was changed.

        Raises:
            IsADirectoryError: a folder has no time.
        """
        moment: datetime = self._file_info(path)["mtime"]
        return moment

    def _file_info(self, path: Any) -> Entry:
        entry = self.info(path)
        if entry["type"] == "directory":
            raise IsADirectoryError(errno.EISDIR, "a folder is no object", entry["name"])
        return entry

    def checksum(self, path: Any) -> int:
        """Return a number that is the same as long as the object's bytes are."""
        entry = self._file_info(path)
        # Of another client's object without a digest the revision has to do.
        return int(tokenize(entry["digest"] or entry["revision"], entry["size"]), 16)

    def ukey(self, path: Any) -> str:
        """Return text that changes with the object: its digest or its revision."""
        entry = self._file_info(path)
        key: str = tokenize(entry["digest"], entry["revision"])
        return key

    def sign(self, path: Any, expiration: int = 100, **kwargs: Any) -> str:
        """Return the link at which a view serves an object, made of the option ``base_url``.

        Arguments:
            path: of the object.
            expiration: not used: how long a link holds, and for whom, is the view's.
            kwargs: fsspec's own.

        Returns:
            ``base_url`` with the bucket and the name, quoted, in place of its ``{bucket}`` and
            ``{name}``; where it has no ``{name}``, followed by the whole path.

        Raises:
            NotImplementedError: there is no ``base_url``.
        """
        if self._base_url is None:
            raise NotImplementedError(
                "sign() needs the address at which a Django or Flask view serves the objects: "
                "storage_options={'base_url': 'https://example.org/files/{name}'}"
            )
        bucket, name = map(quote, self._split(path))
        if "{name}" not in self._base_url:
            return f"{self._base_url.rstrip(SLASH)}/{bucket}/{name}"
        return self._base_url.replace("{bucket}", bucket).replace("{name}", name)
