"""``ObjectStoreMiddleware``: what the object store cannot do now, as a status, not a crash."""

from __future__ import annotations

import logging
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin

import objstore
from objstore.contrib.serving import RETRY_AFTER, UNAVAILABLE

__all__ = ["ObjectStoreMiddleware", "unavailable"]

_log = logging.getLogger("objstore.contrib.django")


def unavailable(error: BaseException) -> HttpResponse:
    """Return the answer while NATS is away, and log why: 503, and when to come back.

    Source: RFC 9110, sections 15.6.4 and 10.2.3.
    """
    _log.error("the object store is away: %s", error)
    return HttpResponse(
        "The storage is not available at the moment. Please try again.\n",
        content_type="text/plain; charset=utf-8",
        status=503,
        headers={"Retry-After": str(RETRY_AFTER), "Cache-Control": "no-store"},
    )


class ObjectStoreMiddleware(MiddlewareMixin):
    """Answer 503 with Retry-After while NATS is away, and 413 to what is too large for the bucket.

    It is for what views raise, such as the admin's when it stores an upload. Name it last in
    ``MIDDLEWARE``, so that transactions of views are rolled back before.

    Source: RFC 9110, sections 15.6.4 (503) and 15.5.14 (413).
    """

    def process_exception(self, request: HttpRequest, exception: Exception) -> Any:
        """Make a response of an error of the object store; None: it is another one."""
        if isinstance(exception, UNAVAILABLE):
            return unavailable(exception)
        if isinstance(exception, objstore.ObjectTooLargeError):
            return HttpResponse(
                f"{exception}\n", content_type="text/plain; charset=utf-8", status=413
            )
        return None
