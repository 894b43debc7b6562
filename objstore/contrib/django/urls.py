"""Where signed links lead: ``path("files/", include("objstore.contrib.django.urls"))``."""

from __future__ import annotations

from django.urls import path

from objstore.contrib.django.views import SignedObjectView

app_name = "objstore"
urlpatterns = [path("<str:alias>/<path:name>", SignedObjectView.as_view(), name="link")]
