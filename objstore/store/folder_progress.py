"""The transfers of a folder: several at once, and what is told of all of them together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import TypeVar

from objstore.progress import start_progress
from objstore.store.folder_options import FolderOptions

__all__ = ["FolderProgress", "OneOfMany"]

_T = TypeVar("_T")


class _StoppedError(Exception):
    """Another transfer has failed, and this one is to end."""


class OneOfMany:
    """The progress of one object, which is a part of all: a ``progress`` of a put, or a bar."""

    def __init__(self, update: Callable[[int], None]) -> None:
        self._update = update
        self._done = 0

    def update(self, count: int, /) -> None:
        """Note so many bytes more."""
        self._done += count
        self._update(count)

    def close(self) -> None:
        """Do nothing: there are others."""

    def begin_anew(self) -> None:
        """Take back what was told."""
        self.update(-self._done)

    def __call__(self, done: int, total: int | None) -> None:
        """Note how many bytes are done."""
        self.update(done - self._done)


class FolderProgress:
    """What is told of a folder's transfers, whichever threads do them.

    Arguments:
        options: what was asked for.
        name: of the folder.
        count: how many objects there are.
        size: the bytes of all.
    """

    def __init__(self, options: FolderOptions, name: str, count: int, size: int) -> None:
        self._bar = start_progress(options.progress, name, size)
        self._on_file = options.on_file
        self._jobs = options.jobs
        self._count = count
        self._done = 0
        self._lock = threading.Lock()
        self._stopped = False

    def __enter__(self) -> FolderProgress:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def update(self, count: int, /) -> None:
        """Note so many bytes more.

        Raises:
            _StoppedError: the transfer is to end.
        """
        with self._lock:
            # Each transfer comes by here at each chunk: so it learns that another has failed.
            if self._stopped:
                raise _StoppedError
            self._bar.update(count)

    def of_one(self) -> OneOfMany:
        """Begin to tell of one object."""
        return OneOfMany(self.update)

    def file_done(self, name: str) -> None:
        """Note that an object is where it belongs."""
        with self._lock:
            self._done += 1
            # Within the lock, so that one thread at a time calls it.
            if self._on_file is not None:
                self._on_file(name, self._done, self._count)

    def run(self, work: Callable[[_T], object], items: Collection[_T]) -> None:
        """Do something for each item, several at once.

        Raises:
            Exception: the first that one of them raised; those under way are ended before.
        """
        if self._jobs == 1 or len(items) < 2:
            for item in items:
                work(item)
            return
        from concurrent.futures import ThreadPoolExecutor, as_completed  # few need it

        with ThreadPoolExecutor(min(self._jobs, len(items)), "objstore-folder") as threads:
            try:
                for each in as_completed([threads.submit(work, item) for item in items]):
                    each.result()
            except BaseException:
                # Ctrl-C, too, which only this thread hears of: the others end at their next chunk,
                # and leave nothing.
                self._stopped = True
                threads.shutdown(wait=False, cancel_futures=True)
                raise
