"""Signed links: who has one may read one file, until it expires."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from urllib.parse import urlencode

from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.core.files.storage import Storage, storages
from django.core.signing import BadSignature, Signer
from django.urls import NoReverseMatch, reverse
from django.utils.module_loading import import_string

__all__ = ["check_link", "signed_url"]

_SALT = "objstore.contrib.django.links"


def signed_url(storage: Storage, name: str, *, max_age: int, as_attachment: bool) -> str:
    """Return a link to a file of a storage, see :meth:`ObjectStorage.signed_url`."""
    alias = _alias_of(storage)
    # To the next quarter of its time: a page that is loaded again has the same links.
    step = max(1, max_age // 4)
    expires = str(-(-(int(time.time()) + max_age) // step) * step)
    query = {"expires": expires, "signature": _signature(alias, name, expires, as_attachment)}
    if as_attachment:
        query["download"] = "1"
    try:
        path = reverse("objstore:link", kwargs={"alias": alias, "name": name})
    except NoReverseMatch:
        raise ImproperlyConfigured(
            "signed links need a view; put path('files/', "
            "include('objstore.contrib.django.urls')) into the URLconf, or give the storage a "
            "base_url"
        ) from None
    return f"{path}?{urlencode(query)}"


def check_link(alias: str, name: str, query: Mapping[str, str]) -> tuple[int, bool]:
    """Check the signature of a link, and whether it still holds.

    Arguments:
        alias, name: of its path.
        query: its parameters.

    Returns:
        For how many seconds more it holds, and whether the file is to be saved, not shown.

    Raises:
        django.core.exceptions.PermissionDenied: it was not signed here, or for something else, or
            it has expired.
    """
    expires, download = query.get("expires", ""), query.get("download") == "1"
    value = _value(alias, name, expires, download)
    try:
        # With the settings' SECRET_KEY_FALLBACKS: links survive a new key.
        Signer(salt=_SALT).unsign(f"{value}:{query.get('signature', '')}")
    except BadSignature:
        raise PermissionDenied("the link is not valid") from None
    # What was signed is a number.
    left = int(expires) - int(time.time())
    if left <= 0:
        raise PermissionDenied("the link has expired")
    return left, download


def _signature(alias: str, name: str, expires: str, download: bool) -> str:
    return str(Signer(salt=_SALT).signature(_value(alias, name, expires, download)))


def _value(alias: str, name: str, expires: str, download: bool) -> str:
    # As JSON, so that nothing of one field can pass for the end of the one before it.
    return json.dumps([alias, name, expires, download])


def _alias_of(storage: Storage) -> str:
    """Return what STORAGES calls a storage: the link's view has to find it."""
    for alias, entry in storages.backends.items():
        # By its class first: others need not be made for that.
        kind = import_string(entry["BACKEND"])
        if kind is type(storage) and storages[alias] == storage:
            return str(alias)
    raise ImproperlyConfigured(
        f"{storage!r} is none of STORAGES, and only those have signed "
        "links; name it there, and give the field storages[...] of it, or give it a base_url"
    )
