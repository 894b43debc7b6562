"""Sixty requests for one file of 100 bytes, which nginx is asked and we are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

__all__ = ["CONTENT", "REQUESTS", "Seen", "filled", "seen"]

CONTENT = b"0123456789" * 10

#: What the requests are made of: a method and headers, in which ``{etag}``, ``{date}``,
#: ``{before}`` and ``{after}`` stand for the file's.
REQUESTS: tuple[tuple[str, dict[str, str]], ...] = (
    ("GET", {}),
    ("HEAD", {}),
    # Ranges.
    ("GET", {"Range": "bytes=0-4"}),
    ("GET", {"Range": "bytes=0-0"}),
    ("GET", {"Range": "bytes=0-"}),
    ("GET", {"Range": "bytes=0-99"}),
    ("GET", {"Range": "bytes=99-"}),
    ("GET", {"Range": "bytes=95-500"}),
    ("GET", {"Range": "bytes=-5"}),
    ("GET", {"Range": "bytes=-500"}),
    ("GET", {"Range": "bytes=100-"}),
    ("GET", {"Range": "bytes=500-600"}),
    ("GET", {"Range": "bytes=-0"}),
    ("GET", {"Range": "bytes=5-9223372036854775807"}),
    ("GET", {"Range": "bytes= 0-4"}),
    ("GET", {"Range": "BYTES=0-4"}),
    ("HEAD", {"Range": "bytes=0-4"}),
    # Several.
    ("GET", {"Range": "bytes=0-4,10-14"}),
    ("GET", {"Range": "bytes=0-4, 10-14, -5"}),
    ("GET", {"Range": "bytes=10-14,0-4"}),
    ("GET", {"Range": "bytes=0-4,500-600"}),
    ("GET", {"Range": "bytes=500-,600-"}),
    ("GET", {"Range": "bytes=0-4,5-9"}),
    ("GET", {"Range": "bytes=0-9,5-14"}),
    ("GET", {"Range": "bytes=0-4,0-4"}),
    ("GET", {"Range": "bytes=0-99,0-99"}),
    ("GET", {"Range": "bytes=0-,0-,0-,0-"}),
    # No ranges.
    ("GET", {"Range": "items=0-4"}),
    ("GET", {"Range": "0-4"}),
    ("GET", {"Range": "bytes=5-2"}),
    ("GET", {"Range": "bytes=a-b"}),
    ("GET", {"Range": "bytes="}),
    ("GET", {"Range": "bytes=-"}),
    ("GET", {"Range": "bytes=0-4;10-14"}),
    # If-None-Match, If-Modified-Since.
    ("GET", {"If-None-Match": "{etag}"}),
    ("HEAD", {"If-None-Match": "{etag}"}),
    ("GET", {"If-None-Match": "W/{etag}"}),
    ("GET", {"If-None-Match": '"a", {etag}'}),
    ("GET", {"If-None-Match": "*"}),
    ("GET", {"If-None-Match": '"a"'}),
    ("GET", {"If-Modified-Since": "{date}"}),
    ("GET", {"If-Modified-Since": "{before}"}),
    ("GET", {"If-Modified-Since": "{after}"}),
    ("GET", {"If-Modified-Since": "yesterday"}),
    ("GET", {"If-None-Match": '"a"', "If-Modified-Since": "{date}"}),
    ("GET", {"If-None-Match": "{etag}", "If-Modified-Since": "{before}"}),
    # If-Match, If-Unmodified-Since.
    ("GET", {"If-Match": "{etag}"}),
    ("GET", {"If-Match": "W/{etag}"}),
    ("GET", {"If-Match": '"a"'}),
    ("GET", {"If-Match": "*"}),
    ("GET", {"If-Unmodified-Since": "{date}"}),
    ("GET", {"If-Unmodified-Since": "{before}"}),
    ("GET", {"If-Match": "{etag}", "If-Unmodified-Since": "{before}"}),
    # With a range.
    ("GET", {"Range": "bytes=0-4", "If-None-Match": "{etag}"}),
    ("GET", {"Range": "bytes=0-4", "If-Match": '"a"'}),
    ("GET", {"Range": "bytes=0-4", "If-Range": "{etag}"}),
    ("GET", {"Range": "bytes=0-4", "If-Range": '"a"'}),
    ("GET", {"Range": "bytes=0-4", "If-Range": "{date}"}),
    ("GET", {"Range": "bytes=0-4", "If-Range": "{before}"}),
    ("GET", {"Range": "bytes=500-", "If-Range": "{etag}"}),
)


@dataclass(frozen=True)
class Seen:
    """What is compared of an answer.

    Attributes:
        status: the number.
        content_range, content_length: the headers; None: it has none.
        body: as text, with ``BOUNDARY`` for what separates its parts; empty for errors, whose
            pages are anybody's own.
    """

    status: int
    content_range: str | None
    content_length: str | None
    body: str


def filled(headers: dict[str, str], values: dict[str, str]) -> dict[str, str]:
    """Headers with the file's own values."""
    return {
        name: re.sub(r"\{(\w+)\}", lambda found: values[found[1]], value)
        for name, value in headers.items()
    }


def seen(status: int, headers: Any, body: bytes) -> Seen:
    """What is compared of an answer."""
    length = headers.get("Content-Length")
    boundary = re.search(r"boundary=(.*)", headers.get("Content-Type", ""))
    text = body.decode()
    if boundary is not None:
        # As long as the text with the boundaries of each: the length is that of a body without.
        text = text.replace(boundary[1], "BOUNDARY")
        length = str(int(length) - len(body) + len(text))
    if status >= 300:
        text, length = "", None
    return Seen(status, headers.get("Content-Range"), length, text)
