"""RFC 9110, sections 13 and 14: what a request is answered with."""

from __future__ import annotations

from datetime import datetime, timezone
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.contrib.ranges import MAX_RANGES, Answer, answer

pytestmark = pytest.mark.newest_server

SIZE = 1000
MODIFIED = datetime(1994, 11, 6, 8, 49, 37, 600_000, timezone.utc)
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
BEFORE, AFTER = "Sun, 06 Nov 1994 08:49:36 GMT", "Sun, 06 Nov 1994 08:49:38 GMT"
OLD_FORMS = ("Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994")


def ask(method: str = "GET", size: int = SIZE, etag: str | None = '"a"', **fields: str) -> Answer:
    """The answer to a request whose headers are keywords: ``if_match`` for If-Match."""
    headers = {name.replace("_", "-").title(): value for name, value in fields.items()}
    return answer(
        method, headers, size=size, etag=etag, last_modified=MODIFIED, media_type="text/plain"
    )


def pieces(answered: Answer) -> list[tuple[int, int]]:
    return [(piece.start, piece.end) for piece in answered.pieces]


def test_without_conditions() -> None:
    answered = ask()
    assert (answered.status, pieces(answered), answered.length) == (200, [(0, SIZE)], SIZE)
    assert dict(answered.headers) == {
        "Content-Type": "text/plain",
        "Content-Length": "1000",
        "ETag": '"a"',
        "Last-Modified": DATE,
        "Accept-Ranges": "bytes",
    }


def test_head_has_the_headers_and_no_body() -> None:
    answered = ask("HEAD", range="bytes=0-4")
    assert (answered.status, answered.headers) == (200, ask().headers)
    assert (answered.pieces, answered.length) == ((), 0)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("bytes=0-4", [(0, 5)]),
        ("bytes=0-0", [(0, 1)]),
        ("bytes=999-", [(999, 1000)]),
        ("bytes=0-", [(0, 1000)]),
        ("bytes=-5", [(995, 1000)]),
        ("bytes=-5000", [(0, 1000)]),
        ("bytes=990-5000", [(990, 1000)]),
        (f"bytes=5-{'9' * 4000}", [(5, 1000)]),
        (f"bytes={'0' * 4000}5-6", [(5, 7)]),
        ("BYTES = 0-4", [(0, 5)]),
        ("bytes= 0-4 ,\t, 6-8,", [(0, 5), (6, 9)]),
        ("bytes=6-8,0-4", [(6, 9), (0, 5)]),
        ("bytes=-1,0-0", [(999, 1000), (0, 1)]),
        ("bytes=0-4,5000-", [(0, 5)]),
        ("bytes=0-4,5-9", [(0, 10)]),
        ("bytes=0-4,0-4,2-3", [(0, 5)]),
        ("bytes=20-29,0-4,10-14,5-19", [(0, 30)]),
        ("bytes=50-59,20-29,0-4,10-14,3-12", [(50, 60), (20, 30), (0, 15)]),
        ("bytes=" + ",".join(f"{n * 2}-{n * 2}" for n in range(MAX_RANGES)), None),
    ],
)
def test_ranges(asked: str, expected: list[tuple[int, int]] | None) -> None:
    answered = ask(range=asked)
    assert answered.status == 206
    expected = expected or [(n * 2, n * 2 + 1) for n in range(MAX_RANGES)]
    assert pieces(answered) == expected
    headers = dict(answered.headers)
    assert headers["Content-Length"] == str(answered.length)
    if len(expected) == 1:
        start, end = expected[0]
        assert headers["Content-Range"] == f"bytes {start}-{end - 1}/1000"
        assert headers["Content-Type"] == "text/plain"
    else:
        assert "Content-Range" not in headers
        assert headers["Content-Type"].startswith("multipart/byteranges; boundary=")


@pytest.mark.parametrize(
    "asked",
    [
        "", "bytes", "bytes=", "bytes=,", "bytes=-", "bytes=a-b", "bytes=5-2", "bytes=0-4;6-8",
        "bytes=+1-5", "bytes=1 - 5", "bytes=--5", "bytes=0x1-0x5", "bytes=\u0661-\u0665",
        "items=0-4", "bytes 0-4", "bytes=0-4, items=6-8", f"bytes=5-{'9' * 5000}",
        "bytes=" + ",".join(f"{n * 2}-{n * 2}" for n in range(MAX_RANGES + 1)),
    ],
)  # fmt: skip
def test_what_is_no_range_is_ignored(asked: str) -> None:
    answered = ask(range=asked)
    assert (answered.status, answered.headers) == (200, ask().headers)


@pytest.mark.parametrize("asked", ["bytes=1000-", "bytes=5000-6000,-0", f"bytes={'9' * 4000}-"])
def test_ranges_behind_the_end(asked: str) -> None:
    answered = ask(range=asked)
    assert (answered.status, answered.length) == (416, 0)
    assert dict(answered.headers)["Content-Range"] == "bytes */1000"
    assert dict(answered.headers)["Content-Length"] == "0"


def test_ranges_of_nothing() -> None:
    assert ask(size=0, range="bytes=0-").status == 416
    assert ask(size=0, range="bytes=-5,0-").status == 416
    answered = ask(size=0, range="bytes=-5")
    assert (answered.status, answered.length) == (200, 0)


def test_a_multipart_body() -> None:
    data = bytes(range(256)) * 4
    answered = answer(
        "GET", {"range": "bytes=0-1,4-5"}, size=len(data), media_type="a/b", boundary="XYZ"
    )
    body = b"".join(piece.head + data[piece.start : piece.end] for piece in answered.pieces)
    assert body + answered.tail == (
        b"\r\n--XYZ\r\nContent-Type: a/b\r\nContent-Range: bytes 0-1/1024\r\n\r\n\x00\x01"
        b"\r\n--XYZ\r\nContent-Type: a/b\r\nContent-Range: bytes 4-5/1024\r\n\r\n\x04\x05"
        b"\r\n--XYZ--\r\n"
    )
    assert dict(answered.headers) == {
        "Content-Type": "multipart/byteranges; boundary=XYZ",
        "Content-Length": str(len(body + answered.tail)),
        "Accept-Ranges": "bytes",
    }


def test_a_boundary_is_never_the_same() -> None:
    first, second = (ask(range="bytes=0-1,4-5").headers for _ in range(2))
    assert first != second


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        # If-Match: strong comparison, and * for whatever there is.
        ({"if_match": '"a"'}, 200),
        ({"if_match": '"b", "a"'}, 200),
        ({"if_match": "*"}, 200),
        ({"if_match": 'W/"a"'}, 412),
        ({"if_match": '"b"'}, 412),
        ({"if_match": "a"}, 412),
        ({"if_match": '"a" "b"'}, 412),
        ({"if_match": ""}, 412),
        # It hides If-Unmodified-Since, and comes before all the others.
        ({"if_match": '"a"', "if_unmodified_since": BEFORE}, 200),
        ({"if_match": '"b"', "if_none_match": '"a"'}, 412),
        ({"if_match": '"a"', "if_none_match": '"a"'}, 304),
        ({"if_match": '"b"', "range": "bytes=0-4"}, 412),
        ({"if_unmodified_since": BEFORE}, 412),
        ({"if_unmodified_since": DATE}, 200),
        ({"if_unmodified_since": AFTER}, 200),
        ({"if_unmodified_since": "yesterday"}, 200),
        ({"if_unmodified_since": BEFORE, "if_none_match": '"a"'}, 412),
        ({"if_unmodified_since": DATE, "if_modified_since": DATE}, 304),
        # If-None-Match: weak comparison.
        ({"if_none_match": '"a"'}, 304),
        ({"if_none_match": 'W/"a"'}, 304),
        ({"if_none_match": ', "b,c" , W/"a",'}, 304),
        ({"if_none_match": " * "}, 304),
        ({"if_none_match": '"*"'}, 200),
        ({"if_none_match": '"b", W/"c"'}, 200),
        ({"if_none_match": "a"}, 200),
        ({"if_none_match": 'w/"a"'}, 200),
        ({"if_none_match": '"a'}, 200),
        ({"if_none_match": '"a"', "range": "bytes=0-4"}, 304),
        # It hides If-Modified-Since.
        ({"if_none_match": '"b"', "if_modified_since": AFTER}, 200),
        ({"if_none_match": '"a"', "if_modified_since": BEFORE}, 304),
        ({"if_modified_since": DATE}, 304),
        ({"if_modified_since": OLD_FORMS[0]}, 304),
        ({"if_modified_since": OLD_FORMS[1]}, 304),
        ({"if_modified_since": AFTER}, 304),
        ({"if_modified_since": BEFORE}, 200),
        ({"if_modified_since": "0"}, 200),
        ({"if_modified_since": "Sun, 31 Feb 1994 08:49:37 GMT"}, 200),
        ({"if_modified_since": DATE, "range": "bytes=0-4"}, 304),
        ({"if_modified_since": BEFORE, "range": "bytes=0-4"}, 206),
        # If-Range: strong comparison, the date exactly.
        ({"if_range": '"a"'}, 200),
        ({"if_range": '"a"', "range": "bytes=0-4"}, 206),
        ({"if_range": ' "a" ', "range": "bytes=0-4"}, 206),
        ({"if_range": 'W/"a"', "range": "bytes=0-4"}, 200),
        ({"if_range": '"b"', "range": "bytes=0-4"}, 200),
        ({"if_range": "*", "range": "bytes=0-4"}, 200),
        ({"if_range": '"a", "b"', "range": "bytes=0-4"}, 200),
        ({"if_range": DATE, "range": "bytes=0-4"}, 206),
        ({"if_range": AFTER, "range": "bytes=0-4"}, 200),
        ({"if_range": BEFORE, "range": "bytes=0-4"}, 200),
        ({"if_range": "", "range": "bytes=0-4"}, 200),
        ({"if_range": '"a"', "range": "bytes=5000-"}, 416),
        ({"if_range": '"b"', "range": "bytes=5000-"}, 200),
        ({"if_range": '"b"', "if_match": '"b"', "range": "bytes=0-4"}, 412),
    ],
)
def test_conditions(fields: dict[str, Any], status: int) -> None:
    answered = ask(**fields)
    assert answered.status == status
    headers = dict(answered.headers)
    assert headers["ETag"] == '"a"'
    assert ("Last-Modified" in headers) == (status != 304)
    assert headers.get("Content-Length") == (None if status == 304 else str(answered.length))
    assert ("Content-Type" in headers) == (status in (200, 206))


def test_weak_tags() -> None:
    """A weak one of the representation's own equals none strongly."""
    weak = 'W/"a"'
    assert ask(etag=weak, if_match=weak).status == 412
    assert ask(etag=weak, if_none_match='"a"').status == 304
    assert ask(etag=weak, if_range=weak, range="bytes=0-4").status == 200


def test_without_a_tag_and_a_time() -> None:
    def status(**fields: str) -> int:
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        return answer("GET", headers, size=SIZE).status

    assert status(if_match="*") == 200
    assert status(if_match='"a"') == 412
    assert status(if_none_match='"a"') == 200
    assert status(if_none_match="*") == 304
    assert status(if_modified_since=AFTER) == status(if_unmodified_since=BEFORE) == 200
    assert status(if_range=DATE, range="bytes=0-4") == 200
    assert answer("GET", {"If-None-Match": "*"}, size=SIZE).headers == ()


def test_other_methods_know_no_304_and_no_ranges() -> None:
    assert ask("PUT", if_none_match="*").status == 412
    assert ask("PUT", if_modified_since=DATE).status == 200
    answered = ask("PUT", if_match='"a"', range="bytes=0-4")
    assert (answered.status, answered.pieces) == (200, ())


PLACE = st.sampled_from(["", *map(str, range(12))])


@given(
    st.lists(st.tuples(PLACE, PLACE).map("-".join), max_size=5).map(
        lambda x: f"bytes={','.join(x)}"
    ),
    st.integers(0, 10),
)
@settings(max_examples=50)
def test_whatever_is_asked_for_is_answered(asked: str, size: int) -> None:
    """With bytes that are there, none of them twice, and as many as are announced."""
    answered = ask(size=size, range=asked)
    assert answered.status in (200, 206, 416)
    found = sorted(pieces(answered))
    assert all(0 <= start < end <= size for start, end in found) or found == [(0, size)]
    assert all(one[1] < other[0] for one, other in pairwise(found))
    assert dict(answered.headers)["Content-Length"] == str(answered.length)
