"""When a bucket or a folder has changed: what ``sync --watch`` waits for."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from objstore import ObjectStore, RequestTimeoutError

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent, FileSystemEventHandler

__all__ = ["changes_of_bucket", "changes_of_folder"]

#: Changes that follow each other so fast are one, in seconds; but none waits longer than the
#: second figure.
_QUIET, _LONGEST = 0.2, 2.0

#: How often a folder is looked through, in seconds. For 10,000 files a look takes 0.1 s.
_INTERVAL = 1.0

#: What of watchdog's events is no change: our own reading.
_READING = frozenset({"opened", "closed_no_write"})


# --- a bucket


def changes_of_bucket(store: ObjectStore, prefix: str) -> Generator[None, None, None]:
    """Yield at once, and whenever something below a prefix was put or deleted."""
    with store.watch(updates_only=True) as watcher:  # before the first look: nothing is missed
        yield
        for info in watcher:
            if not info.name.startswith(prefix):
                continue
            latest = time.monotonic() + _LONGEST
            try:
                while time.monotonic() < latest:
                    watcher.next(timeout=_QUIET)
            except RequestTimeoutError:
                pass  # quiet
            yield


# --- a folder


def changes_of_folder(folder: str) -> Generator[None, None, None]:
    """Yield at once, and whenever something in a folder has changed."""
    if not os.path.isdir(folder):
        return _seen(folder)  # whoever reads it says so
    try:
        import watchdog  # noqa: F401 - whether it is there
    except ImportError:
        return _seen(folder)
    return _heard(folder)


def _seen(folder: str) -> Generator[None, None, None]:
    """Look through the folder from time to time."""
    before = None
    while True:
        # All of it each time: a folder's own time does not tell of files that are written to.
        now = _state(folder)
        if now == before:
            time.sleep(_INTERVAL)
            continue
        before = now
        yield


def _state(folder: str) -> dict[str, tuple[int, int, int] | None]:
    """Return each file's size, time and mode; of a folder, that it is there."""
    state: dict[str, tuple[int, int, int] | None] = {}
    for parent, folders, names in os.walk(folder):
        state.update((os.path.join(parent, name), None) for name in folders)
        for name in names:
            path = os.path.join(parent, name)
            try:
                found = os.stat(path)
            except OSError:
                state[path] = None  # a link that leads nowhere, or gone since
            else:
                state[path] = found.st_size, found.st_mtime_ns, found.st_mode
    return state


def _heard(folder: str) -> Generator[None, None, None]:
    """Hear of changes from the system."""
    changed = threading.Event()
    with _observed(folder, changed):
        yield
        while True:
            changed.wait()
            latest = time.monotonic() + _LONGEST
            while changed.is_set() and time.monotonic() < latest:
                changed.clear()
                changed.wait(_QUIET)
            yield


@contextmanager
def _observed(folder: str, changed: threading.Event) -> Iterator[None]:
    """Have an event set by each change, for a with-block."""
    from watchdog.observers import Observer

    observer = Observer()
    observer.schedule(_sets(changed), folder, recursive=True)
    observer.start()
    try:
        yield
    finally:
        observer.stop()
        observer.join()


def _sets(changed: threading.Event) -> FileSystemEventHandler:
    """Make what watchdog tells of what happens in a folder."""
    from watchdog.events import FileSystemEventHandler

    class Handler(FileSystemEventHandler):
        def on_any_event(self, event: FileSystemEvent) -> None:
            if event.event_type not in _READING:
                changed.set()

    return Handler()
