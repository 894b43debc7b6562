"""Django: files and static files in a bucket, views and responses for them, signed links.

``pip install "nats-objstore[django]"``; Django 4.2 or later. ``docs/guides/django.rst`` shows how
to use it.
"""

from importlib.util import find_spec

import objstore

if find_spec("django") is None:
    raise objstore.MissingDependencyError(
        'objstore.contrib.django needs Django: pip install "nats-objstore[django]"'
    )

from objstore.contrib.django.middleware import ObjectStoreMiddleware
from objstore.contrib.django.responses import object_response
from objstore.contrib.django.static import ObjectManifestStaticStorage, ObjectStaticStorage
from objstore.contrib.django.storage import ObjectFile, ObjectStorage
from objstore.contrib.django.views import ObjectView, SignedObjectView

__all__ = [
    "ObjectFile",
    "ObjectManifestStaticStorage",
    "ObjectStaticStorage",
    "ObjectStorage",
    "ObjectStoreMiddleware",
    "ObjectView",
    "SignedObjectView",
    "object_response",
]
