"""``ObjectView``: the files of a storage, for whoever may see them."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import storages
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.views.generic import View

import objstore
from objstore.contrib.django.links import check_link
from objstore.contrib.django.middleware import unavailable
from objstore.contrib.django.responses import object_response
from objstore.contrib.django.storage import ObjectStorage
from objstore.contrib.serving import UNAVAILABLE

__all__ = ["ObjectView", "SignedObjectView"]


class ObjectView(View):
    """Serve the files of a storage, to whoever asks; with a mixin of Django's, to who may.

    For a URL with ``<path:name>``. ``PermissionRequiredMixin`` and its like go before it among the
    base classes, and decide first. A subclass whose URL says something else has ``get_name``.

    Attributes:
        storage: what ``STORAGES`` calls it.
        as_attachment, max_age, trusted: as for :func:`object_response`.
    """

    storage = "default"
    as_attachment = False
    max_age: int | None = None
    trusted = False
    http_method_names = ("get", "head", "options")

    def get_name(self, request: HttpRequest, **kwargs: Any) -> str:
        """Return the name of the file in the storage that a request is for.

        Raises:
            django.http.Http404: there is none.
        """
        return str(kwargs["name"])

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        """Return the file, or 404, or 503 while NATS is away."""
        return serve_file(
            request,
            self.storage,
            self.get_name(request, **kwargs),
            as_attachment=self.as_attachment,
            max_age=self.max_age,
            trusted=self.trusted,
        )


class SignedObjectView(View):
    """Serve the files that signed links lead to, see :meth:`ObjectStorage.signed_url`.

    A link that was changed, or has expired, is 403. What it leads to is kept by the browser for no
    longer than it holds.
    """

    http_method_names = ("get", "head", "options")

    def get(self, request: HttpRequest, alias: str, name: str) -> HttpResponseBase:
        """Return the file."""
        left, download = check_link(alias, name, request.GET)
        return serve_file(request, alias, name, as_attachment=download, max_age=left)


def serve_file(request: HttpRequest, alias: str, name: str, **options: Any) -> HttpResponseBase:
    """Return a file of a storage as a response, or 404, or 503.

    Arguments:
        request: for the file.
        alias: what STORAGES calls the storage.
        name: of the file.
        options: of :func:`object_response`.
    """
    storage = storages[alias]
    if not isinstance(storage, ObjectStorage):
        raise ImproperlyConfigured(f"STORAGES[{alias!r}] is no ObjectStorage")
    try:
        return object_response(request, storage, name, **options)
    except UNAVAILABLE as error:
        return unavailable(error)
    except (objstore.ObjectNotFoundError, objstore.InvalidNameError, objstore.LinkError):
        # To who asks, a name that no file can have is one that no file has.
        raise Http404(f"there is no file {name!r}") from None
