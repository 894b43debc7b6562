"""When a file was changed, and its mode, as an object's metadata say it. Pure.

The keys and the forms are those of rclone, which reads and writes them in the metadata of other
object stores.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

__all__ = ["MODE", "MTIME", "mode_in", "mode_text", "mtime_in", "mtime_text"]

#: The keys in an object's metadata.
MTIME, MODE = "mtime", "mode"

#: What of a file's mode is kept: who may read, write and run it. Not whose rights it runs with
#: (setuid, setgid), which whoever can write the bucket would give.
_PERMISSIONS = 0o777

#: A regular file's type, which stands before its permissions.
_REGULAR = 0o100000

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_RFC_3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(?:[Zz]|([+-]\d\d:\d\d))"
)


def mtime_text(nanoseconds: int) -> str:
    """Write a time, in nanoseconds since 1970, as RFC 3339 has it, to the nanosecond."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    moment = _EPOCH.replace(tzinfo=None) + timedelta(seconds=seconds)
    # By isoformat: strftime takes three times as long, and writes the year 800 with three digits.
    return f"{moment.isoformat()}.{fraction:09d}Z"


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
    # In whole numbers: a float of so many seconds has no nanoseconds.
    whole = since.days * 86_400 + since.seconds
    return whole * 1_000_000_000 + int((digits or "0").ljust(9, "0"))


def mode_text(mode: int) -> str:
    """Write a regular file's permissions, in octal, with its type before them."""
    return f"0{_REGULAR | (mode & _PERMISSIONS):o}"


def mode_in(metadata: Mapping[str, str]) -> int | None:
    """Read a file's permissions; None: they are not said."""
    text = metadata.get(MODE, "")
    return int(text, 8) & _PERMISSIONS if re.fullmatch(r"[0-7]{3,7}", text) else None
