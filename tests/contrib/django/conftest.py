"""Django as a small project would set it up, once for the process; its storages by each test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import django
import pytest
from django.conf import settings
from django.test import override_settings

import objstore
from objstore import LocalServer
from objstore.contrib.django import ObjectStorage

settings.configure(
    SECRET_KEY="a key for tests",
    INSTALLED_APPS=["objstore.contrib.django", "django.contrib.staticfiles"],
    MIDDLEWARE=["objstore.contrib.django.ObjectStoreMiddleware"],
    ROOT_URLCONF="tests.contrib.django.urls",
    ALLOWED_HOSTS=["testserver"],
    STATIC_URL="/static/",
    USE_TZ=True,
)
django.setup()

_numbers = itertools.count(1)


@pytest.fixture
def bucket(server: LocalServer) -> Iterator[str]:
    """The name of a bucket that is deleted after the test."""
    name = f"django-{next(_numbers)}"
    yield name
    objstore.shared_client(server.url).delete_store(name)


@pytest.fixture
def storage(server: LocalServer, bucket: str) -> Iterator[ObjectStorage]:
    """The storage that the settings have as ``default``, in a folder of its bucket."""
    options = {"bucket": bucket, "servers": server.url, "location": "media"}
    entry = {"BACKEND": "objstore.contrib.django.ObjectStorage", "OPTIONS": options}
    with override_settings(STORAGES={"default": entry}):
        from django.core.files.storage import storages

        yield storages["default"]
