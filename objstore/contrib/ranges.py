"""Conditional and range requests: RFC 9110, sections 13 and 14, for any framework, and no I/O.

:func:`answer` decides what a GET or HEAD of one representation is answered with: its status, the
headers that follow from the decision, and which bytes make up the body, with their length known
beforehand. What holds where the RFC leaves a choice:

- A Range that is malformed, or of another unit than bytes, is ignored: the answer is 200 with all
  of it (nginx: 416). So is one of more than :data:`MAX_RANGES` ranges.
- Ranges that overlap or adjoin are joined, in the place of the first of them; the others keep the
  order in which they were asked for. No byte is sent twice, however often it is asked for (nginx
  sends it as often, and all of it with 200 where the ranges are more than there is).
- Several ranges of which one is left are answered as that one is, not as multipart.
- Ranges of which none is in the representation: 416, also when an If-Range is true.
- HEAD knows no ranges: it is answered as GET without one (section 14.2; nginx: 206).
- An If-None-Match hides If-Modified-Since, an If-Match If-Unmodified-Since (section 13.2.2; nginx
  asks for both).
- A date in If-Range counts if it is the Last-Modified exactly. What was replaced twice within one
  second is told apart by its ETag alone, which a client has to prefer (section 13.1.5).
- The last bytes of something empty are all of it: 200 (no Content-Range can say "none of 0").
- 304 has the ETag and no Last-Modified, unless there is no ETag (section 15.4.5; nginx: both).
- Tags that are not quoted are none, and a header that is no list of tags has none: If-Match is
  false then, If-None-Match true.

Dates are read by :mod:`email.utils`, as by werkzeug. The rest is read here: measured in werkzeug
3.1, ``parse_range_header`` gives None for ranges that are out of order, and ``parse_etags`` takes
tags without quotes.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import format_datetime, parsedate_to_datetime

__all__ = ["MAX_RANGES", "Answer", "Piece", "answer"]

#: The most ranges of one request. Each costs a chunk to fetch, however few bytes of it are wanted:
#: 32 bytes asked for one by one cost 4 MiB of the object store.
MAX_RANGES = 32

#: What stands for every place behind any end.
_FAR = 1 << 63

_RANGE = re.compile(r"(\d{1,4096})-(\d{0,4096})|-(\d{1,4096})", re.ASCII)
_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*[ \t,]*")
_ONE_TAG = re.compile(_TAG)


@dataclass(frozen=True)
class Piece:
    """A part of a body: some bytes of the representation, and what is sent before them.

    Attributes:
        start, end: the bytes of the representation, from the first one up to, without, ``end``.
        head: what stands before them in the body: the headers of a part of a multipart body.
    """

    start: int
    end: int
    head: bytes = b""


@dataclass(frozen=True)
class Answer:
    """What a request is answered with.

    Attributes:
        status: 200, 206, 304, 412 or 416.
        headers: those that the decision settles: Content-Length (but for 304), Content-Type (200
            and 206), Content-Range, ETag, Last-Modified, Accept-Ranges.
        pieces: what the body consists of, in order; none for HEAD, 304, 412 and 416.
        tail: what stands behind them: the end of a multipart body.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    pieces: tuple[Piece, ...] = ()
    tail: bytes = b""

    @property
    def length(self) -> int:
        """The length of the body, in bytes."""
        return len(self.tail) + sum(len(p.head) + p.end - p.start for p in self.pieces)


def answer(
    method: str,
    headers: Mapping[str, str],
    *,
    size: int,
    etag: str | None = None,
    last_modified: datetime | None = None,
    media_type: str = "application/octet-stream",
    boundary: str | None = None,
) -> Answer:
    """Decide what a request for one representation is answered with.

    Arguments:
        method: of the request. Ranges are for GET alone; for methods but GET and HEAD an
            If-None-Match that is false gives 412, and 200 means that the method may go on.
        headers: of the request; their names count in any case.
        size: of the representation, in bytes.
        etag: its entity tag as it stands in a header, ``'"…"'`` or ``'W/"…"'``; None: it has none.
        last_modified: when it was changed last, an aware datetime; None: not known.
        media_type: its Content-Type, which must be fit for a header.
        boundary: what separates the parts of a multipart body; None: one that nobody can foretell.

    Returns:
        The answer.

    Source: RFC 9110, sections 13.2.2 (which condition counts), 8.8.3.2 (comparison), 14 (ranges).
    """
    got = {name.lower(): value for name, value in headers.items()}
    modified = last_modified
    if modified is not None:  # dates of HTTP tell seconds
        modified = modified.astimezone(timezone.utc).replace(microsecond=0)
    resource = _Resource(size, etag, modified, media_type)
    status = _precondition(method, got, etag, modified)
    if status != 200:
        return resource.without_body(status)
    if method == "GET" and _if_range(got.get("if-range"), etag, modified):
        wanted = _parse_range(got.get("range"))
        if wanted is not None and not (size == 0 and _only_suffixes(wanted)):
            return resource.parts(_join(_satisfiable(wanted, size)), boundary)
    return resource.whole(method == "GET")


@dataclass(frozen=True)
class _Resource:
    """The representation that is asked for, and the answers there can be."""

    size: int
    etag: str | None
    modified: datetime | None
    media_type: str

    def _validators(self) -> list[tuple[str, str]]:
        found = [] if self.etag is None else [("ETag", self.etag)]
        if self.modified is not None:
            found.append(("Last-Modified", format_datetime(self.modified, usegmt=True)))
        return found

    def without_body(self, status: int) -> Answer:
        """Make the answer to a condition that is false."""
        if status == 304:
            # The ETag alone, or where there is none the date (section 15.4.5).
            return Answer(status, tuple(self._validators()[:1]))
        return Answer(status, (("Content-Length", "0"), *self._validators()))

    def whole(self, body: bool) -> Answer:
        """Make the answer with all of it."""
        pieces = (Piece(0, self.size),) if body else ()
        return Answer(200, self._headers(self.media_type, self.size), pieces)

    def parts(self, ranges: list[Piece], boundary: str | None) -> Answer:
        """Make the answer with these parts of it, or the one that there are none."""
        if not ranges:
            said = ("Content-Range", f"bytes */{self.size}"), ("Content-Length", "0")
            return Answer(416, (*said, *self._validators(), ("Accept-Ranges", "bytes")))
        if len(ranges) == 1:
            length = ranges[0].end - ranges[0].start
            place = ("Content-Range", self._place(ranges[0]))
            return Answer(206, (place, *self._headers(self.media_type, length)), tuple(ranges))
        boundary = boundary or secrets.token_hex(16)
        pieces = tuple(self._part(piece, boundary) for piece in ranges)
        body = Answer(206, (), pieces, f"\r\n--{boundary}--\r\n".encode("ascii"))
        kind = f"multipart/byteranges; boundary={boundary}"
        return Answer(206, self._headers(kind, body.length), pieces, body.tail)

    def _headers(self, media_type: str, length: int) -> tuple[tuple[str, str], ...]:
        return (
            ("Content-Type", media_type),
            ("Content-Length", str(length)),
            *self._validators(),
            ("Accept-Ranges", "bytes"),
        )

    def _part(self, piece: Piece, boundary: str) -> Piece:
        lines = [
            f"\r\n--{boundary}",  # before the first one, too, as nginx and Apache do
            f"Content-Type: {self.media_type}",
            f"Content-Range: {self._place(piece)}",
            "\r\n",
        ]
        return Piece(piece.start, piece.end, "\r\n".join(lines).encode("latin-1"))

    def _place(self, piece: Piece) -> str:
        return f"bytes {piece.start}-{piece.end - 1}/{self.size}"


# --- conditions


def _precondition(
    method: str, got: Mapping[str, str], etag: str | None, modified: datetime | None
) -> int:
    """Evaluate the conditions in their order (section 13.2.2); return 200, 304 or 412."""
    reads = method in ("GET", "HEAD")
    if "if-match" in got:
        if not _matches(got["if-match"], etag, strong=True):
            return 412
    elif modified is not None and "if-unmodified-since" in got:
        since = _parse_date(got["if-unmodified-since"])
        if since is not None and modified > since:
            return 412
    if "if-none-match" in got:
        if _matches(got["if-none-match"], etag, strong=False):
            return 304 if reads else 412
    elif reads and modified is not None and "if-modified-since" in got:
        since = _parse_date(got["if-modified-since"])
        if since is not None and modified <= since:
            return 304
    return 200


def _matches(field: str, etag: str | None, *, strong: bool) -> bool:
    """Tell whether a list of tags, or ``*``, holds that of the representation."""
    if field.strip(" \t") == "*":
        return True
    if etag is None or not _TAGS.fullmatch(field):
        return False
    tags = _ONE_TAG.findall(field)
    # Weak tags are equal to none by the strong comparison (8.8.3.2).
    if strong:
        return etag in tags and not etag.startswith("W/")
    return etag.removeprefix("W/") in [tag.removeprefix("W/") for tag in tags]


def _if_range(field: str | None, etag: str | None, modified: datetime | None) -> bool:
    """Tell whether the client's part is of this representation, so that ranges may follow it."""
    if field is None:
        return True
    field = field.strip(" \t")
    if _ONE_TAG.fullmatch(field):
        return field == etag and not field.startswith("W/")
    return modified is not None and _parse_date(field) == modified


def _parse_date(text: str) -> datetime | None:
    """Return the time that a date of HTTP is, in any of its three forms; None: it is none."""
    try:
        found = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return found.replace(tzinfo=timezone.utc) if found.tzinfo is None else found


# --- ranges


def _parse_range(field: str | None) -> list[tuple[int | None, int | None]] | None:
    """Return the ranges of bytes asked for, (first, last) or (None, how many at the end).

    None: there are none, or they are malformed, too many, or of another unit.
    """
    unit, equals, text = (field or "").partition("=")
    if not equals or unit.strip(" \t").lower() != "bytes":
        return None
    specs = [spec for part in text.split(",") if (spec := part.strip(" \t"))]
    if not 0 < len(specs) <= MAX_RANGES:
        return None
    found: list[tuple[int | None, int | None]] = []
    for spec in specs:
        match = _RANGE.fullmatch(spec)
        if match is None:
            return None
        first, last, suffix = (_number(digits) for digits in match.groups())
        if first is not None and last is not None and last < first:
            return None
        found.append((None, suffix) if first is None else (first, last))
    return found


def _number(digits: str | None) -> int | None:
    """Return a number of bytes, bounded: Python refuses to convert thousands of digits."""
    if not digits:
        return None
    return _FAR if len(digits.lstrip("0")) > 18 else int(digits)


def _only_suffixes(wanted: list[tuple[int | None, int | None]]) -> bool:
    return all(first is None and last for first, last in wanted)


def _satisfiable(wanted: list[tuple[int | None, int | None]], size: int) -> list[Piece]:
    """Return the ranges that have bytes of the representation, in the order asked for."""
    found = []
    for first, last in wanted:
        if first is None:
            piece = Piece(max(0, size - (last or 0)), size)
        else:
            piece = Piece(first, size if last is None else min(last + 1, size))
        if piece.start < piece.end:
            found.append(piece)
    return found


def _join(ranges: list[Piece]) -> list[Piece]:
    """Join those that overlap or adjoin, each in the place of its first (section 15.3.7.2)."""
    joined: list[Piece] = []
    for piece in ranges:
        place = len(joined)
        # Those joined before are apart from one another, so that one look at each is enough.
        for number in reversed(range(len(joined))):
            other = joined[number]
            if piece.start <= other.end and other.start <= piece.end:
                piece = Piece(min(piece.start, other.start), max(piece.end, other.end))
                place = number
                del joined[number]
        joined.insert(place, piece)
    return joined
