"""One bar for all that a command transfers, on a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from objstore.cli.screen.drawn_bar import DrawnBar

__all__ = ["Bar", "FolderTold", "Progress"]

#: What is told of one object: the bytes done, and of how many.
Progress = Callable[[int, int | None], object]

#: What is done sooner, in seconds, has no bar: it would only flicker. (And what draws one takes
#: 100 ms to be imported.)
_DELAY = 0.3


class FolderTold(TypedDict, total=False):
    """Those arguments of ``upload_dir`` and its like that say whom to tell."""

    progress: Progress
    on_file: Callable[[str, int, int], object]


class Bar:
    """A bar of bytes and files, shown when it takes a moment; used in a with-block.

    Arguments:
        shown: whether there is somebody who looks.
        title: of what is transferred, for one object; ``""``: for several.
    """

    def __init__(self, shown: bool, title: str = "") -> None:
        self._shown = shown
        self._title = title
        self._begun = time.monotonic()
        self._drawn: DrawnBar | None = None
        self._bytes: tuple[int, int | None] = 0, None
        self._files = 0, 0
        self._expected: tuple[int, int] | None = None
        self._started = 0

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *error: object) -> None:
        if self._drawn is not None:
            self._drawn.erase()

    def expect(self, count: int, size: int) -> None:
        """Note that so many objects come, of so many bytes together; until then each is alone."""
        self._expected = count, size

    def of_one(self) -> Progress | None:
        """Return the ``progress`` of the next object; None: nobody looks."""
        if not self._shown:
            return None
        # Where this one begins in the sum of all, and which one it is.
        before, number = self._bytes[0], self._started
        self._started += 1

        def tell(done: int, total: int | None) -> None:
            if self._expected is None:
                self.tell_bytes(done, total)
            else:
                count, size = self._expected
                self._files = number, count
                self.tell_bytes(before + done, size)

        return tell

    @property
    def of_folder(self) -> FolderTold:
        """What a folder's transfer is to tell."""
        return {"progress": self.tell_bytes, "on_file": self.tell_file} if self._shown else {}

    def tell_bytes(self, done: int, total: int | None) -> None:
        """Show how many bytes are done, and of how many."""
        self._bytes = done, total
        self._draw()

    def tell_file(self, name: str, done: int, count: int) -> None:
        """Show how many files are done, and of how many."""
        self._files = done, count
        self._draw()

    def _draw(self) -> None:
        if self._drawn is None:
            if time.monotonic() - self._begun < _DELAY:
                return
            from objstore.cli.screen.drawn_bar import DrawnBar

            self._drawn = DrawnBar(self._title)
        self._drawn.update(*self._bytes, *self._files)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take the bar away while something else is printed."""
        if self._drawn is None:
            yield
            return
        self._drawn.erase()
        yield
        # Not in a finally: after an error nothing is drawn any more.
        self._drawn.draw()
