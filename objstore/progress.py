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
    """What is told of a transfer; tqdm's bars are such."""

    def update(self, count: int, /) -> object:
        """So many bytes more; fewer, where some have to come again."""

    def close(self) -> object:
        """Nothing more will come."""


class NoProgress:
    """What is told, and tells nobody."""

    def update(self, count: int, /) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


NO_PROGRESS = NoProgress()


class Progress:
    """Adds up what is done, and tells a function."""

    def __init__(self, report: Callable[[int, int | None], object], total: int | None) -> None:
        self._report = report
        self._total = total
        self._done = 0

    def update(self, count: int, /) -> object:
        """So many bytes more."""
        self._done += count
        return self._report(self._done, self._total)

    def close(self) -> None:
        """Nothing more will come."""


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
        name: of what is transferred.
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
            desc="".join(char if char.isprintable() else "?" for char in name),
            unit="B",
            unit_scale=True,
            unit_divisor=1024,
            miniters=1,
        )
        return bar  # type: ignore[no-any-return]
    return Progress(option, total)
