"""When a file was changed, as an object's metadata say it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

__all__ = ["MTIME", "mtime_in", "mtime_text"]

#: The key in an object's metadata.
MTIME = "mtime"

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_RFC_3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(?:[Zz]|([+-]\d\d:\d\d))"
)


def mtime_text(nanoseconds: int) -> str:
    """Write a time, in nanoseconds since 1970, as RFC 3339 has it, to the nanosecond."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    moment = _EPOCH + timedelta(seconds=seconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"


def mtime_in(metadata: Mapping[str, str]) -> int | None:
    """Read when an object's file was changed, in nanoseconds since 1970; None: it is not said."""
    found = _RFC_3339.fullmatch(metadata.get(MTIME, ""))
    if found is None:
        return None
    day, clock, digits, zone = found.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{zone or '+00:00'}")
        since = moment - _EPOCH
    except (ValueError, OverflowError):  # a thirteenth month
        return None
    whole = since.days * 86_400 + since.seconds
    return whole * 1_000_000_000 + int((digits or "0").ljust(9, "0"))
