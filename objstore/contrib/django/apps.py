"""The app to name in ``INSTALLED_APPS``: for ``collectstatic`` alone."""

from __future__ import annotations

from django.apps import AppConfig

__all__ = ["ObjectStoreConfig"]


class ObjectStoreConfig(AppConfig):
    """``objstore.contrib.django``, under a label that is not Django's."""

    name = "objstore.contrib.django"
    label = "objstore"
    verbose_name = "NATS object store"
