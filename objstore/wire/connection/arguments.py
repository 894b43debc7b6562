"""Numbers and texts that users pass, checked, whatever type of theirs carries them. Pure.

A number is what says so itself: ``__index__`` for whole ones, as numpy's integers have it, and
``__float__`` for the others, as ``Decimal`` and ``Fraction`` have it. A bool is none, though
Python counts it among the integers: ``timeout=True`` is a mistake.
"""

from __future__ import annotations

import math
import operator
import re
from datetime import timedelta

from objstore.errors import InvalidOptionError

__all__ = [
    "api_prefix",
    "inbox_prefix",
    "is_token",
    "seconds",
    "switch",
    "text",
    "to_seconds",
    "to_timedelta",
    "to_whole",
    "whole",
]


# Lone surrogates are excluded since UTF-8 has no bytes for them.
_TOKEN = re.compile(r"[^\s.*>\x00-\x20\x7f\ud800-\udfff]+")


def to_whole(value: object) -> int | None:
    """Return a value of any integer type as an int; None: it is no whole number, or a bool."""
    if type(value) is int:  # exactly: a bool is an instance of int, too
        return value
    if _is_bool(value):
        return None
    try:
        return operator.index(value)  # type: ignore[arg-type]  # that is what it finds out
    except TypeError:
        return None


def whole(option: str, value: object, what: str, *, least: int = 1, most: int | None = None) -> int:
    """Check a whole number, and return it as an int.

    Arguments:
        option: its name, for the error.
        value: what was given.
        what: what it must be, for the error.
        least, most: the limits.

    Raises:
        InvalidOptionError: it is none, or beyond the limits.
    """
    number = to_whole(value)
    if number is None or number < least or (most is not None and number > most):
        raise InvalidOptionError(f"{option} is {value!r}; it must be {what}")
    return number


def to_seconds(value: object) -> float | None:
    """Return a number of any type, or a timedelta, as seconds; None: it is none, a bool, NaN."""
    if type(value) is not float:
        if isinstance(value, timedelta):
            return value.total_seconds()
        if _is_bool(value) or hasattr(value, "__len__"):  # also text, and arrays
            return None
        try:
            value = float(value)  # type: ignore[arg-type]  # that is what it finds out
        except (TypeError, ValueError):
            return None
        except OverflowError:  # a whole number beyond what a float holds
            value = math.inf if value > 0 else -math.inf  # type: ignore[operator]
    return None if math.isnan(value) else value


def to_timedelta(value: object) -> timedelta | None:
    """Return a timedelta or a number of seconds as a timedelta; None: it is none, or too long."""
    if isinstance(value, timedelta):
        return value
    number = to_seconds(value)
    try:
        return None if number is None else timedelta(seconds=number)
    except OverflowError:
        return None


def seconds(option: str, value: object, *, zero: bool = False) -> float:
    """Check a duration, and return it as seconds.

    Arguments:
        option: its name, for the error.
        value: seconds, of any type of number, or a timedelta.
        zero: whether it may be 0.

    Raises:
        InvalidOptionError: it is none, or negative.
    """
    number = to_seconds(value)
    if number is None or number < 0 or (number == 0 and not zero):
        raise InvalidOptionError(f"{option} is {value!r}; it must be a positive number of seconds")
    return min(number, 1e6)  # beyond, the system's clocks overflow; that is eleven days


def text(option: str, value: str | None) -> str | None:
    """Check a text that may be missing, and return it.

    Raises:
        InvalidOptionError: it is something else, or empty, or does not encode as UTF-8.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidOptionError(f"{option} is {value!r}; it must be text")
    # An unset variable of a shell becomes "": a mistake, and not another way to say None.
    if not value:
        raise InvalidOptionError(f"{option} is empty; None means that there is none")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidOptionError(f"{option} is {value!r}, which does not encode as UTF-8") from None
    return value


def switch(option: str, value: bool) -> bool:
    """Check a switch, and return it.

    Raises:
        InvalidOptionError: it is neither True nor False.
    """
    # Nothing else that counts as true or false: the text "no" is true.
    if not isinstance(value, bool):
        raise InvalidOptionError(f"{option} is {value!r}; it must be True or False")
    return value


def inbox_prefix(value: str) -> str:
    """Check the prefix of reply subjects, and return it.

    Raises:
        InvalidOptionError: nothing can be published to a subject that begins so.
    """
    return _prefix("inbox_prefix", value, "_INBOX_ann")


def api_prefix(value: str) -> str:
    """Check the prefix of JetStream's API; a dot at its end may be there, as in nats.go.

    Raises:
        InvalidOptionError: nothing can be published to a subject that begins so.
    """
    return _prefix(
        "api_prefix", value.removesuffix(".") if isinstance(value, str) else value, "JS.hub"
    )


def _prefix(option: str, value: str, example: str) -> str:
    if not isinstance(value, str) or not all(map(is_token, value.split("."))):
        raise InvalidOptionError(
            f"{option} is {value!r}; it must be a subject, such as {example}: words with dots "
            "between, without spaces and without the wildcards * and >"
        )
    return value


def is_token(value: object) -> bool:
    """Tell whether a text can stand between two dots of a subject, and stands for itself."""
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None


def _is_bool(value: object) -> bool:
    # By the class's name, for numpy is not imported here; before numpy 2 it is bool_.
    return isinstance(value, bool) or type(value).__name__ in ("bool", "bool_")
