"""The application that gunicorn serves in ``web``: objects, and beside them files of the disk."""

from __future__ import annotations

import os

import django
import flask
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import path
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from objstore.contrib.django import object_response
from objstore.contrib.flask import ObjectStore, send_object

__all__ = ["app"]

site = flask.Flask(__name__)
objects = ObjectStore(site, servers=os.environ["BENCH_URL"], bucket=os.environ["BENCH_BUCKET"])


@site.get("/send_object/<name>")
def by_send_object(name: str) -> flask.Response:
    """Send an object, by Flask."""
    return send_object(objects.store, name)


@site.get("/send_file/<name>")
def by_send_file(name: str) -> flask.Response:
    """Send a file of the disk, by Flask's own means."""
    return flask.send_file(f"{os.environ['BENCH_FOLDER']}/{name}")


def by_object_response(request: HttpRequest, name: str) -> HttpResponseBase:
    """Send an object, by Django."""
    return object_response(request, objects.store, name)


settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="no secret")
django.setup()
urlpatterns = [path("<str:name>", by_object_response)]

#: Both, each below its own part of the path.
app = DispatcherMiddleware(site, {"/object_response": get_wsgi_application()})
