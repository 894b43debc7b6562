"""Sixty requests for one file: answered as by Debian's nginx, or with a reason why not.

What nginx answers is recorded; :mod:`tests.contrib.nginx.measure` asks it anew, as CI does.
"""

from __future__ import annotations

import json
from datetime import timedelta
from email.utils import format_datetime

import flask
import pytest

import objstore
from objstore.contrib.flask import send_object
from tests.contrib.nginx.measure import ANSWERS
from tests.contrib.nginx.requests import CONTENT, REQUESTS, Seen, filled, seen

pytestmark = pytest.mark.newest_server

ALL = Seen(200, None, "100", CONTENT.decode())
NOT_A_RANGE = "RFC 9110, 14.2: what is no range is ignored; or refused, as nginx does"
JOINED = "RFC 9110, 15.3.7.2: what overlaps or adjoins may be joined"

#: What is answered otherwise, and why; by Range, or by the other headers' names.
OTHERWISE: dict[str, tuple[Seen, str]] = {
    "HEAD bytes=0-4": (Seen(200, None, "100", ""), "RFC 9110, 14.2: ranges are for GET alone"),
    "bytes=5-2": (ALL, NOT_A_RANGE),
    "bytes=a-b": (ALL, NOT_A_RANGE),
    "bytes=-": (ALL, NOT_A_RANGE),
    "bytes=0-4;10-14": (ALL, NOT_A_RANGE),
    "bytes=0-4,5-9": (Seen(206, "bytes 0-9/100", "10", "0123456789"), JOINED),
    "bytes=0-9,5-14": (Seen(206, "bytes 0-14/100", "15", "012345678901234"), JOINED),
    "bytes=0-4,0-4": (Seen(206, "bytes 0-4/100", "5", "01234"), JOINED),
    "bytes=0-99,0-99": (Seen(206, "bytes 0-99/100", "100", CONTENT.decode()), JOINED),
    "bytes=0-,0-,0-,0-": (Seen(206, "bytes 0-99/100", "100", CONTENT.decode()), JOINED),
    "If-None-Match {etag} If-Modified-Since {before}": (
        Seen(304, None, None, ""), "RFC 9110, 13.1.3: If-None-Match hides If-Modified-Since"
    ),
    "If-Match {etag} If-Unmodified-Since {before}": (
        ALL, "RFC 9110, 13.1.4: If-Match hides If-Unmodified-Since"
    ),
}  # fmt: skip


def known_as(method: str, headers: dict[str, str]) -> str:
    if set(headers) == {"Range"}:
        return headers["Range"] if method == "GET" else f"{method} {headers['Range']}"
    return " ".join(f"{name} {value}" for name, value in headers.items())


def test_sixty_requests(store: objstore.ObjectStore) -> None:
    store.put("file.txt", CONTENT, mime="text/plain")
    info = store.info("file.txt")
    assert info is not None
    assert info.mtime is not None
    values = {
        "etag": f'"{info.sha256}"',
        **{
            name: format_datetime(info.mtime + timedelta(seconds=seconds), usegmt=True)
            for name, seconds in (("date", 0), ("before", -1), ("after", 1))
        },
    }
    app = flask.Flask("nginx")
    app.add_url_rule("/<path:name>", "get", lambda name: send_object(store, name))
    web = app.test_client()
    nginxs = [Seen(**answer) for answer in json.loads(ANSWERS.read_text("utf-8"))]
    differ = set()
    for (method, headers), theirs in zip(REQUESTS, nginxs, strict=True):
        answer = web.open("/file.txt", method=method, headers=filled(headers, values))
        ours = seen(answer.status_code, answer.headers, answer.data)
        name = known_as(method, headers)
        expected, _why = OTHERWISE.get(name, (theirs, ""))
        assert ours == expected, (method, headers)
        if ours != theirs:
            differ.add(name)
    assert len(REQUESTS) == 60
    assert differ == set(OTHERWISE)
