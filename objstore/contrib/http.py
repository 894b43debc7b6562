"""HTTP: a URL's content becomes an object, an object the body of a request.

.. code-block:: python

    from objstore.contrib.http import post_object, put_object, put_url

    put_url(store, "data/2026.csv", "https://example.org/2026.csv")
    post_object(store, "cat.jpg", "https://example.org/upload", field="photo")
    put_object(store, "cat.jpg", "https://example.org/photos/cat.jpg")

All of it streams: what is in memory at a time is a few MiB, whatever the size.

It needs requests and requests-toolbelt: ``pip install "nats-objstore[http]"``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import objstore
from objstore.contrib.filenames import plain_name, safe_media_type

try:
    import requests
    from requests.adapters import HTTPAdapter
    from requests_toolbelt import MultipartEncoder, MultipartEncoderMonitor
except ImportError as error:
    raise objstore.MissingDependencyError(
        'objstore.contrib.http needs requests: pip install "nats-objstore[http]"'
    ) from error

from objstore.contrib.download import Download, SourceChangedError
from objstore.contrib.public_addresses import PublicOnlyAdapter

__all__ = ["post_object", "put_object", "put_url"]

Progress = bool | Callable[[int, int | None], object] | None

#: Seconds for a connection, and for each read: requests itself waits for ever.
TIMEOUT = (10.0, 60.0)

#: How much is sent at a time, in bytes; http.client's own 16 KiB take twice the processor time.
BLOCK = 256 << 10


def put_url(
    store: objstore.ObjectStore,
    name: str,
    url: str,
    *,
    session: requests.Session | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | tuple[float, float] = TIMEOUT,
    tries: int = 10,
    max_size: int | None = None,
    allow_private: bool = True,
    **put_options: Any,
) -> objstore.ObjectInfo:
    """Store what a URL leads to.

    It is streamed. Where the source drops the connection, it goes on from there, by Range and
    If-Range, if the source has a strong ETag (or a Last-Modified that is as good); else, and where
    the source has changed in between, it begins anew. What ends before its announced length is
    never stored.

    Arguments:
        store: the bucket.
        name: of the object.
        url: http or https; redirects are followed.
        session: a session of requests, with logins, proxies and so on; None: a new one.
        headers: of the request.
        timeout: for a connection, and for each read, in seconds.
        tries: how often it is asked in all.
        max_size: the largest size that is stored, in bytes; the bucket's ``max_object_size`` counts
            in any case. None: any size.
        allow_private: False: for URLs that strangers give. Connections are made to public
            addresses alone, also by redirects, not to this computer or its network (SSRF). The
            session's logins, cookies and certificates count; its adapters and all proxies do not.
        put_options: as for :meth:`objstore.ObjectStore.put`. The media type is the source's unless
            ``mime`` is among them.

    Returns:
        The object as stored.

    Raises:
        requests.HTTPError: the source answers with an error.
        requests.RequestException: it cannot be reached, or redirects too often.
        ObjectTooLargeError: it is too large; nothing was stored.
        IncompletePayloadError: it ended too early, at the last try.
        InvalidOptionError: an argument cannot be used, such as a URL that leads to a private
            address.
        ObjStoreError: as :meth:`objstore.ObjectStore.put`.

    Source: RFC 9110, sections 13.1.5 and 14.
    """
    _check_limit("tries", tries)
    if max_size is not None:
        _check_limit("max_size", max_size)
    with _session(session, allow_private) as used:
        download = Download(used, url, dict(headers or {}), timeout, tries, max_size)
        # This ends: each turn takes a try, and start() raises when none is left.
        while True:
            with download.start() as payload:
                try:
                    options = {"mime": payload.mime, **put_options}
                    return store.put(name, payload, **options)
                except SourceChangedError:  # once more, as long as there are tries
                    continue


def _check_limit(what: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise objstore.InvalidOptionError(f"{what} is a whole number of at least 1, not {value!r}")


@contextmanager
def _session(
    given: requests.Session | None, allow_private: bool = True
) -> Iterator[requests.Session]:
    """Give the session to use; one that is made here is closed."""
    if given is not None and allow_private:
        yield given
        return
    with requests.Session() as session:
        adapter = _Adapter() if allow_private else PublicOnlyAdapter()
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        if not allow_private:
            session.trust_env = False  # no proxies, and no .netrc, for URLs that strangers give
        if given is not None:
            # Not its adapters, which would dial wherever they like.
            for attribute in ("headers", "auth", "cookies", "verify", "cert", "params", "hooks"):
                setattr(session, attribute, getattr(given, attribute))
            session.max_redirects = given.max_redirects
        yield session


class _Adapter(HTTPAdapter):
    """requests' adapter, with larger blocks."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, blocksize=BLOCK, **options)


def post_object(
    store: objstore.ObjectStore,
    name: str,
    url: str,
    field: str = "file",
    *,
    fields: Mapping[str, str] | None = None,
    filename: str | None = None,
    session: requests.Session | None = None,
    progress: Progress = None,
    **request_options: Any,
) -> requests.Response:
    """Send an object as the file of a form (multipart/form-data).

    Arguments:
        store: the bucket.
        name: of the object; links are followed.
        url: where it goes.
        field: the form's field that has the file.
        fields: other fields of the form; they come before the file.
        filename: how the file is called; None: as the last part of ``name``.
        session: a session of requests; None: a new one.
        progress: True for a bar, or a function of the bytes sent and of all.
        request_options: as for ``requests.post``; ``timeout`` is 10 s for a connection and 60 s for
            the answer unless it is among them.

    Returns:
        The answer; call its ``raise_for_status()``.

    Raises:
        ObjectNotFoundError: there is no such object.
        requests.RequestException: the other side cannot be reached, or breaks off.
        ObjStoreError: as :meth:`objstore.ObjectStore.get`.

    Source: RFC 7578.
    """
    with _opened(store, name, progress) as result, _session(session) as used:
        called = plain_name(name if filename is None else filename) or "file"
        part = (called, result, safe_media_type(result.info.mime, name))
        # An encoder, for requests itself would read the whole file into memory.
        body: Any = MultipartEncoder({**(fields or {}), field: part})
        content_type = body.content_type
        if callable(progress):
            body = MultipartEncoderMonitor(body, lambda sent: progress(sent.bytes_read, sent.len))
        return _send(used, "POST", url, body, content_type, request_options)


def put_object(
    store: objstore.ObjectStore,
    name: str,
    url: str,
    *,
    method: str = "PUT",
    session: requests.Session | None = None,
    progress: Progress = None,
    **request_options: Any,
) -> requests.Response:
    """Send an object as the body of a request, with its length and its media type.

    Arguments:
        store: the bucket.
        name: of the object; links are followed.
        url: where it goes.
        method: another one that has a body, such as POST or PATCH.
        session, progress, request_options: as for :func:`post_object`.

    Returns:
        The answer; call its ``raise_for_status()``.

    Raises:
        As :func:`post_object`.
    """
    with _opened(store, name, progress) as result, _session(session) as used:
        # requests sends what has no bytes in chunks, which many servers do not take.
        body: Any = result if result.len else b""
        if callable(progress) and result.len:
            body = _Watched(result, progress)
        content_type = safe_media_type(result.info.mime, name)
        return _send(used, method, url, body, content_type, request_options)


class _Watched:
    """An object as a body, whose progress is told; it goes back where a redirect asks for it."""

    def __init__(
        self, result: objstore.ObjectResult, progress: Callable[[int, int | None], object]
    ) -> None:
        self.len = result.len
        # By these requests goes back to the beginning, where a redirect asks for it.
        self.tell, self.seek = result.tell, result.seek
        self._result, self._progress = result, progress

    def __iter__(self) -> Iterator[bytes]:
        """Yield it in blocks: requests takes for a stream only what can be iterated."""
        return iter(lambda: self.read(BLOCK), b"")

    def read(self, size: int = -1) -> bytes:
        data = self._result.read(size)
        self._progress(self._result.tell(), self.len)
        return data


def _opened(store: objstore.ObjectStore, name: str, progress: Progress) -> objstore.ObjectResult:
    # A function is told what was sent, a bar shows what was read: 256 KiB more at most.
    result = store.get(name, progress=progress is True or None)
    if result is None:
        raise objstore.ObjectNotFoundError(
            f"there is no object {name!r} in bucket {store.name!r}", bucket=store.name, name=name
        )
    return result


def _send(
    session: requests.Session,
    method: str,
    url: str,
    body: Any,
    content_type: str,
    options: Mapping[str, Any],
) -> requests.Response:
    headers = {"Content-Type": content_type, **(options.get("headers") or {})}
    given = {"timeout": TIMEOUT, **options, "headers": headers}
    return session.request(method, url, data=body, **given)
