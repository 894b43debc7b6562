"""Objects as HTTP answers, for any framework: what Flask's and Django's faces share.

:func:`serve` makes an answer of an object and a request's method and headers. A framework's face
makes its own response of that: status, headers, and a body that it iterates and closes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import objstore
from objstore.contrib.filenames import content_disposition, is_markup, safe_media_type
from objstore.contrib.ranges import Answer, answer

__all__ = ["RETRY_AFTER", "UNAVAILABLE", "Body", "Served", "serve", "web_client"]

#: Errors that say that NATS is away at the moment: 503, and to come back later.
UNAVAILABLE = (objstore.ConnectionLostError, objstore.RequestTimeoutError)

#: When to come back, in seconds.
RETRY_AFTER = 5

#: How long a request waits: for one answer of NATS, and for a connection that is away. The usual
#: 60 s of the latter outlive a worker: gunicorn kills one that is silent for 30 s.
PATIENCE = {"timeout": 5.0, "reconnect_timeout": 5.0}

#: The bytes that a server gets to write at a time, at the least. A write of 128 KiB costs gunicorn
#: the same as one of 1 MiB.
BLOCK = 256 << 10

#: How often it begins anew with an object that was overwritten between two requests to NATS.
TRIES = 5


def web_client(
    servers: str | Sequence[str] | None = None, **connect_options: Any
) -> objstore.Client:
    """Return the process's client for requests of the web, which have not long to wait.

    It is :func:`objstore.shared_client` with ``lazy=True``, so that an application starts while
    NATS is away, and with 5 s for ``timeout`` and ``reconnect_timeout``.

    Arguments:
        servers, connect_options: as for :func:`objstore.connect`; they count more.

    Raises:
        As :func:`objstore.connect`.
    """
    options = {"lazy": True, **PATIENCE, **connect_options}
    return objstore.shared_client(servers, **options)


@dataclass(frozen=True)
class Served:
    """An answer with an object.

    Attributes:
        status: 200, 206, 304, 412 or 416.
        headers: in order.
        body: to be iterated and closed; None: it has none, as that to HEAD.
        info: the object.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: Body | None
    info: objstore.ObjectInfo


def serve(
    store: objstore.ObjectStore,
    name: str,
    method: str,
    headers: Mapping[str, str],
    *,
    download_name: str | None = None,
    as_attachment: bool = False,
    max_age: int | None = None,
    trusted: bool = False,
) -> Served:
    """Make the answer to a request for an object; links are followed.

    Its first bytes have been read when this returns: what is damaged or away is an error here, and
    not an answer that breaks off.

    Arguments:
        store: the bucket.
        name: of the object, as somebody may have put it into a URL.
        method: of the request: GET or HEAD.
        headers: of the request. Conditions and ranges are answered as
            :mod:`objstore.contrib.ranges` says, by the digest as a strong ETag.
        download_name: how the file is called for who saves it; None: as the last part of ``name``.
        as_attachment: True: it is saved, and not shown.
        max_age: how long a browser may use it without asking, in seconds; None: it asks each time
            (and gets 304). It is for this user only (``private``): a cache that several share
            must not give one's files to another.
        trusted: True: documents that may hold scripts (HTML, SVG, XML) are shown as if they were
            the site's own. Else they get ``Content-Security-Policy: sandbox``.

    Returns:
        The answer.

    Raises:
        ObjectNotFoundError: there is no such object.
        InvalidNameError: there cannot be one.
        LinkError: it is a link to a whole bucket, or one of a circle.
        ObjStoreError: as :meth:`objstore.ObjectStore.get`, :data:`UNAVAILABLE` among them.

    Source: RFC 9110; RFC 6266 for names.
    """
    named = _naming_headers(name, download_name, as_attachment)
    # Between the record and the first chunk it may be overwritten: then it begins anew.
    for attempt in range(TRIES):
        result = store.get(name)
        if result is None:
            raise objstore.ObjectNotFoundError(
                f"there is no object {name!r} in bucket {store.name!r}",
                bucket=store.name,
                name=name,
            )
        try:
            answered = _answer(method, headers, result.info)
            body = Body(result, answered) if answered.pieces else None
        except objstore.ObjectChangedError:
            result.close()
            if attempt == TRIES - 1:
                raise
            continue
        except BaseException:
            result.close()
            raise
        if body is None:
            result.close()
        said = answered.headers
        if answered.status < 300:
            said += named + _object_headers(result.info, trusted)
        if answered.status < 400:
            said += (("Cache-Control", _cache_control(max_age)),)
        return Served(answered.status, said, body, result.info)
    raise AssertionError


def _answer(method: str, headers: Mapping[str, str], info: objstore.ObjectInfo) -> Answer:
    modified = info.mtime
    if modified is not None:  # never later than now, by this machine's clock (RFC 9110, 8.8.2.1)
        modified = min(modified, datetime.now(timezone.utc))
    return answer(
        method,
        headers,
        size=info.size,
        etag=_etag(info),
        last_modified=modified,
        media_type=safe_media_type(info.mime, info.name),
    )


def _etag(info: objstore.ObjectInfo) -> str:
    """Return the strong entity tag: the digest, or, where there is none, what names the version."""
    other = f"{info.nuid} {info.revision}".encode("utf-8", "replace")
    return f'"{info.sha256 or hashlib.sha256(other).hexdigest()}"'


def _naming_headers(
    name: str, download_name: str | None, as_attachment: bool
) -> tuple[tuple[str, str], ...]:
    filename = name if download_name is None else download_name
    return (("Content-Disposition", content_disposition(filename, attachment=as_attachment)),)


def _object_headers(info: objstore.ObjectInfo, trusted: bool) -> tuple[tuple[str, str], ...]:
    """Return what tells a browser how to take the object, and what not to do with it."""
    found = [("X-Content-Type-Options", "nosniff")]
    if not trusted and is_markup(safe_media_type(info.mime, info.name)):
        found.append(("Content-Security-Policy", "sandbox"))
    for name, (encoding, *_) in info.header_values.items():
        # It is stored compressed; what is no word does not get into a header.
        if name.lower() == "content-encoding" and re.fullmatch(r"[\w-]+", encoding, re.ASCII):
            found.append(("Content-Encoding", encoding))
    return tuple(found)


def _cache_control(max_age: int | None) -> str:
    return "no-cache" if max_age is None else f"private, max-age={int(max_age)}"


class Body:
    """The body of an answer, in blocks of 256 KiB and more, but for the last one.

    To iterate it once is what it is for; to close it, at any time, drops what is under way from
    NATS. It closes itself at its end.

    Arguments:
        result: the object, opened; it is closed with the body.
        answered: which bytes of it, and what stands between them.

    Raises:
        ObjStoreError: the first bytes cannot be read.
    """

    def __init__(self, result: objstore.ObjectResult, answered: Answer) -> None:
        self._result = result
        self._blocks = _blocks(result, answered)
        # Before any header is sent: what fails now can still be answered as an error.
        self._first = next(self._blocks, b"")

    def __iter__(self) -> Iterator[bytes]:
        first, self._first = self._first, b""
        try:
            if first:
                yield first
                del first
                yield from self._blocks
        finally:
            self.close()

    def close(self) -> None:
        """Drop what was read and is under way. Closing twice is fine."""
        self._first = b""
        self._result.close()


def _blocks(result: objstore.ObjectResult, answered: Answer) -> Iterator[bytes]:
    """Yield a body as bytes, each block joined of what is there with a single copy."""
    have: list[bytes | memoryview] = []
    size = 0
    for piece in answered.pieces:
        have.append(piece.head)
        size += len(piece.head)
        result.seek(piece.start)
        for view in result.views(piece.end - piece.start):
            have.append(view)
            size += len(view)
            if size >= BLOCK:
                block = b"".join(have)
                have, size = [], 0
                del view  # others may use its memory now
                yield block
    last = b"".join((*have, answered.tail))
    if last:
        yield last
