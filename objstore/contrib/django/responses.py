"""``object_response``: an object as a response, streamed, with ranges and conditions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

import objstore
from objstore.contrib.django.storage import ObjectStorage
from objstore.contrib.serving import BLOCK, Body, serve

__all__ = ["object_response"]


def object_response(
    request: HttpRequest,
    store: objstore.ObjectStore | ObjectStorage,
    name: str,
    *,
    download_name: str | None = None,
    as_attachment: bool = False,
    max_age: int | None = None,
    trusted: bool = False,
) -> HttpResponseBase:
    """Make a response of an object: whole, or the ranges of it that were asked for.

    It is streamed, in blocks of 256 KiB and more; of a small one all is read at once. Under ASGI
    the blocks are read in threads, each when the one before is sent: memory stays flat, and the
    event loop free. An async view has to call this by ``sync_to_async``, for it asks NATS.

    HTML, SVG and other documents that may hold scripts are shown in a sandbox: they are from
    whoever uploaded them.

    Arguments:
        request: whose method, conditions and ranges count, see :mod:`objstore.contrib.ranges`.
        store: the bucket; or a storage, in which ``name`` is a file's.
        name: of the object.
        download_name: how the file is called for who saves it; None: as the last part of ``name``.
        as_attachment: True: it is saved, and not shown.
        max_age: how long the browser may use it without asking, in seconds; None: it asks each
            time, and gets 304.
        trusted: True: no sandbox; for files that are the site's own.

    Returns:
        The response: 200, 206, 304, 412 or 416.

    Raises:
        ObjectNotFoundError: there is no such object (:class:`ObjectView` makes a 404 of it).
        django.core.exceptions.SuspiciousFileOperation: the name leads out of the storage.
        And as :meth:`objstore.ObjectStore.get`.

    Source: RFC 9110; RFC 6266.
    """
    if isinstance(store, ObjectStorage):
        # A file's name in the storage, which has its own folder of the bucket.
        name = store.object_name(name)
        store = store.store
    served = serve(
        store,
        name,
        request.method or "GET",
        request.headers,
        download_name=download_name,
        as_attachment=as_attachment,
        max_age=max_age,
        trusted=trusted,
    )
    headers = dict(served.headers)
    if served.status == 206:
        # GZipMiddleware would compress a part of the file, which is no part of the compressed one.
        request.META.pop("HTTP_ACCEPT_ENCODING", None)
    if served.body is None:
        response: HttpResponseBase = HttpResponse(status=served.status, headers=headers)
    elif int(headers["Content-Length"]) <= BLOCK:
        response = HttpResponse(b"".join(served.body), status=served.status, headers=headers)
    else:
        response = StreamingHttpResponse(
            _AsyncBody(served.body) if isinstance(request, ASGIRequest) else served.body,
            status=served.status,
            headers=headers,
        )
    if "Content-Type" not in headers:  # Django's own would be said of a body that is not there
        del response["Content-Type"]
    return response


class _AsyncBody:
    """A body for ASGI: each block is read in a thread, when it is asked for."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._blocks = iter(body)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        # Not in Django's one thread for views, where a slow client would keep others waiting.
        block: Any = await sync_to_async(next, thread_sensitive=False)(self._blocks, None)
        if block is None:
            raise StopAsyncIteration
        return bytes(block)

    def close(self) -> None:
        """Drop what is under way; Django calls it in a thread when the response has ended."""
        self._body.close()
