"""The application that gunicorn serves in ``web``: objects, and beside them files of the disk."""

from __future__ import annotations

import os

import flask

from objstore.contrib.flask import ObjectStore, send_object

__all__ = ["app"]

app = flask.Flask(__name__)
objects = ObjectStore(app, servers=os.environ["BENCH_URL"], bucket=os.environ["BENCH_BUCKET"])


@app.get("/send_object/<name>")
def by_send_object(name: str) -> flask.Response:
    """Send an object."""
    return send_object(objects.store, name)


@app.get("/send_file/<name>")
def by_send_file(name: str) -> flask.Response:
    """Send a file of the disk, by Flask's own means."""
    return flask.send_file(f"{os.environ['BENCH_FOLDER']}/{name}")
