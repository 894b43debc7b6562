"""The times in what a server says: RFC 3339. Pure functions."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

__all__ = ["exact_text", "parse_time", "time_text"]

# ASCII: otherwise \d matches the digits of every script.
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d+))?(?:Z| ?([+-]\d\d):?(\d\d)(?: UTC)?)",
    re.ASCII,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def parse_time(time: str | int) -> datetime:
    """Read a server's time: in UTC, cut to microseconds.

    Arguments:
        time: RFC 3339 with nanoseconds, or Go's ``2006-01-02 15:04:05.999999999 +0000 UTC``,
            which servers before 2.11 send in headers; or nanoseconds since 1970, 63 bits.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(time, int):
        return _EPOCH + timedelta(microseconds=time // 1000)
    found = _TIME.fullmatch(time.strip())
    if found is None:
        raise ValueError(f"{time!r} is not a server's time")
    day, clock, fraction, hours, minutes = found.groups()
    # Python 3.10's reads six digits of a fraction, no fewer, and no Z; msgspec's would round.
    digits = (fraction or "")[:6].ljust(6, "0")
    if not hours or hours[1:] == minutes == "00":
        return datetime.fromisoformat(f"{day}T{clock}.{digits}+00:00")
    moment = datetime.fromisoformat(f"{day}T{clock}.{digits}{hours}:{minutes}")
    try:
        return moment.astimezone(timezone.utc)
    except OverflowError as error:
        raise ValueError(f"{time!r} is no time in UTC") from error


def time_text(moment: datetime) -> str:
    """Write a time with a time zone as a server does: in UTC, without zeros at the end."""
    text = moment.astimezone(timezone.utc).isoformat().removesuffix("+00:00")
    return f"{text.rstrip('0') if '.' in text else text}Z"


def exact_text(time: str | int) -> str:
    """Return a server's time as its text, with all nanoseconds, whichever way it was told."""
    if isinstance(time, str):
        return time
    return f"{parse_time(time).isoformat()[:19]}.{time % 10**9:09d}Z"
