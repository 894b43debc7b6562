"""Progress of a transfer: a bar, or a user's function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from objstore.errors import InvalidOptionError

__all__ = ["NO_PROGRESS", "Bar", "ProgressOption", "check_progress", "start_progress"]

#: None or False: none. True: a bar of tqdm.auto, in a terminal or a notebook. Or a function,
#: called with the bytes done and the bytes in all (None: unknown).
ProgressOption = bool | Callable[[int, int | None], object] | None


class Bar(Protocol):
    """Something that is told how a transfer goes; tqdm's bars are such."""

    def update(self, count: int, /) -> object:
        """Note so many bytes more; fewer, where some have to come again."""

    def close(self) -> object:
        """Note that nothing more will come."""


class NoProgress:
    """The bar of a transfer whose progress nobody wants to see."""

    def update(self, count: int, /) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


#: In place of None, so that no transfer has to ask whether there is a bar.
NO_PROGRESS = NoProgress()


class Progress:
    """A bar that adds up what is done, and tells a user's function."""

    def __init__(self, report: Callable[[int, int | None], object], total: int | None) -> None:
        self._report = report
        self._total = total
        self._done = 0

    def update(self, count: int, /) -> object:
        """Add so many bytes, and tell the function."""
        self._done += count
        return self._report(self._done, self._total)

    def close(self) -> None:
        """Do nothing: the function is told of bytes only."""


def check_progress(option: object) -> None:
    """Check what was said of progress.

    Raises:
        InvalidOptionError: it is neither a bool nor callable.
    """
    if not (option is None or isinstance(option, bool) or callable(option)):
        raise InvalidOptionError(
            f"progress is True or a function of two numbers, not {type(option).__name__}"
        )


def start_progress(option: ProgressOption, name: str, total: int | None) -> Bar:
    """Begin to show the progress of a transfer, or not.

    Arguments:
        option: what was said of it.
        name: the name of what is transferred.
        total: its size, in bytes; None: unknown.

    Returns:
        What is to be told, and closed at the end.

    Raises:
        InvalidOptionError: the option is neither a bool nor callable.
    """
    check_progress(option)
    if option is None or option is False:
        return NO_PROGRESS
    if option is True:
        from tqdm.auto import tqdm  # imported here: most transfers show none

        bar: Any = tqdm(
            total=total,
            # A name may hold line breaks and a terminal's control characters.
            desc="".join(char if char.isprintable() else "?" for char in name),
            unit="B",
            unit_scale=True,
            unit_divisor=1024,
            miniters=1,
        )
        return bar  # type: ignore[no-any-return]
    return Progress(option, total)
