"""Values as people type them: sizes, durations, pairs, ranges.

Each function is the ``type=`` of an option, and raises ``click.BadParameter``.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import click

_UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION_PART = r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)"


def size(text: str) -> int:
    """Read a size: ``1000``, ``128k``, ``1.5M``, ``10GiB``; the units are powers of 1024."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kmgtp]?)(?:i?b)?", text.strip().lower())
    if found is None:
        raise click.BadParameter(f"{text!r} is not a size, such as 1000, 128k, 1.5M or 10G")
    # Whole numbers stay exact: a float has 53 bits.
    value = float(found[1]) if "." in found[1] else int(found[1])
    return int(value * 1024 ** _UNITS[found[2]])


def duration(text: str) -> float:
    """Read a duration, as seconds: ``90``, ``90s``, ``1h``, ``1h30m``, ``7d``."""
    compact = text.strip().lower()
    if re.fullmatch(r"\d+(?:\.\d+)?", compact):
        return float(compact)
    if not re.fullmatch(f"(?:{_DURATION_PART})+", compact):
        raise click.BadParameter(f"{text!r} is not a duration, such as 90s, 1h, 1h30m or 7d")
    return sum(float(count) * _SECONDS[unit] for count, unit in re.findall(_DURATION_PART, compact))


def header(text: str) -> tuple[str, str]:
    """Read a header: ``K:V``."""
    return _pair(text, ":")


def pair(text: str) -> tuple[str, str]:
    """Read a pair: ``K=V``."""
    return _pair(text, "=")


def _pair(text: str, separator: str) -> tuple[str, str]:
    name, found, value = text.partition(separator)
    if not found or not name.strip():
        raise click.BadParameter(f"{text!r} is not of the form NAME{separator}VALUE")
    return name.strip(), value.strip()


class ByteRange(NamedTuple):
    """A range of bytes as in HTTP.

    Attributes:
        first: the first byte; None: ``last`` counts from the end.
        last: the last byte, included; None: to the end.
    """

    first: int | None
    last: int | None

    def within(self, length: int) -> tuple[int, int]:
        """Return start and end (not included) in something so long; both are within it."""
        if self.first is None:
            return max(0, length - (self.last or 0)), length
        stop = length if self.last is None else min(self.last + 1, length)
        return min(self.first, stop), stop


def byte_range(text: str) -> ByteRange:
    """Read a range of bytes: ``A-B``, ``A-`` or ``-N``."""
    found = re.fullmatch(r"(\d*)-(\d*)", text.strip())
    if found is None or not (found[1] or found[2]):
        raise click.BadParameter(f"{text!r} is not a range: A-B (B included), A-, or -N")
    first, last = (int(digits) if digits else None for digits in found.groups())
    if first is not None and last is not None and last < first:
        raise click.BadParameter(f"the range {text!r} ends before it begins")
    return ByteRange(first, last)
