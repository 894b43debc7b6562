"""The test project's URLs."""

from __future__ import annotations

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from objstore.contrib.django import ObjectView


def _asks(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(default_storage.exists("a")))


def _saves(request: HttpRequest) -> HttpResponse:
    return HttpResponse(default_storage.save("a", ContentFile(b"1234")))


def _fails(request: HttpRequest) -> HttpResponse:
    raise ZeroDivisionError


urlpatterns = [
    path("files/", include("objstore.contrib.django.urls")),
    path("media/<path:name>", ObjectView.as_view()),
    path("asks", _asks),
    path("saves", _saves),
    path("fails", _fails),
]
