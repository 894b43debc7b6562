"""Progress of a transfer: a bar, or a user's function."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from typing import Any

from objstore.errors import InvalidOptionError

__all__ = ["Progress", "ProgressOption", "check_progress", "start_progress", "until_done"]

#: None or False: none. True: a bar of tqdm.auto, in a terminal or a notebook. Or a function,
#: called with the bytes done and the bytes in all (None: unknown).
ProgressOption = bool | Callable[[int, int | None], object] | None


class Progress:
    """Adds up what is done, and tells a function."""

    def __init__(self, report: Callable[[int, int | None], object], total: int | None) -> None:
        self._report = report
        self._total = total
        self._done = 0

    def update(self, count: int) -> object:
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


def until_done(bar: Any) -> AbstractContextManager[object]:
    """A block at whose end a bar is closed, if there is one."""
    return nullcontext() if bar is None else closing(bar)


def start_progress(option: ProgressOption, name: str, total: int | None) -> Any:
    """What takes ``update(bytes)`` and ``close()``, or None.

    Raises:
        InvalidOptionError: the option is neither a bool nor callable.
    """
    check_progress(option)
    if option is None or option is False:
        return None
    if option is True:
        from tqdm.auto import tqdm  # imported here: most transfers show none

        return tqdm(
            total=total,
            desc="".join(char if char.isprintable() else "?" for char in name),
            unit="B",
            unit_scale=True,
            unit_divisor=1024,
            miniters=1,
        )
    return Progress(option, total)
