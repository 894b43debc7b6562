"""Flask: objects as responses, uploads as objects, and one client for the application's process.

.. code-block:: python

    import flask
    from objstore.contrib.flask import ObjectStore, receive_object, send_object

    app = flask.Flask(__name__)
    app.config["OBJSTORE_BUCKET"] = "photos"
    objects = ObjectStore(app)

    @app.get("/photos/<path:name>")
    def photo(name):
        return send_object(objects.store, name)

    @app.put("/photos/<path:name>")
    def upload(name):
        info = receive_object(objects.store, name)
        return {"name": info.name, "size": info.size}, 201

It needs Flask: ``pip install "nats-objstore[flask]"``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import objstore
from objstore.contrib.filenames import plain_name, safe_media_type
from objstore.contrib.serving import RETRY_AFTER, UNAVAILABLE, serve, web_client

try:
    from flask import Flask, Request, Response, current_app, has_app_context, request
    from flask.views import View
    from werkzeug.exceptions import (
        BadRequest,
        HTTPException,
        NotFound,
        RequestEntityTooLarge,
        ServiceUnavailable,
    )
    from werkzeug.sansio.multipart import Data, Field, File, MultipartDecoder, NeedData
except ImportError as error:
    raise objstore.MissingDependencyError(
        'objstore.contrib.flask needs Flask: pip install "nats-objstore[flask]"'
    ) from error

__all__ = ["ObjectStore", "Upload", "UploadView", "receive_object", "send_object"]

#: What of a form is read at a time, in bytes.
READ = 256 << 10

#: What of a body that nobody wants is read all the same: a connection that is closed with bytes
#: unread is reset, and the client may never see the answer.
LEFT_OVER = 1 << 20

#: The most bytes that the fields before a file may have, where the application says nothing:
#: werkzeug's own number, which it has since 3.1.
FIELDS = 500_000

_BROKE_OFF = "the upload broke off; nothing was stored"

#: The type of a form that names its files and does not bring them.
_NO_FILES = "application/x-www-form-urlencoded"
_NO_FILES_IN_IT = (
    f'a form brings its file with enctype="multipart/form-data"; a body that is the file itself is '
    f"of another type than {_NO_FILES}, or a PUT"
)


def send_object(
    store: objstore.ObjectStore,
    name: str,
    *,
    download_name: str | None = None,
    as_attachment: bool = False,
    max_age: int | None = None,
    trusted: bool = False,
) -> Response:
    """Return the response with an object to the request that is being handled.

    GET and HEAD, with conditions and ranges (RFC 9110, as :mod:`objstore.contrib.ranges` says): the
    digest is a strong ETag, the time at which it was stored Last-Modified. The body is streamed in
    blocks of 256 KiB and more. A client that goes away ends that at once.

    Flask's own ``send_file`` of an opened object announces ranges and ignores them, and has no
    ETag.

    Arguments:
        store: the bucket.
        name: of the object; links are followed.
        download_name: how the file is called for who saves it; None: as the last part of ``name``.
        as_attachment: True: it is saved, and not shown.
        max_age: how long a browser may use it without asking, in seconds; None: as the
            application's ``SEND_FILE_MAX_AGE_DEFAULT``, which is None, too: it asks each time. It
            is said to be ``private``: caches that several share are not to keep it.
        trusted: True: HTML, SVG and XML are shown as if they were the site's own pages. Else their
            scripts are kept from running, and from the site's cookies
            (``Content-Security-Policy: sandbox``). All objects get
            ``X-Content-Type-Options: nosniff``.

    Raises:
        werkzeug.exceptions.NotFound: there is no such object, or there cannot be.
        werkzeug.exceptions.ServiceUnavailable: NATS does not answer.
        ObjStoreError: something else is wrong, as for :meth:`objstore.ObjectStore.get`.
    """
    if max_age is None:
        max_age = current_app.get_send_file_max_age(name)
    try:
        served = serve(
            store,
            name,
            request.method,
            dict(request.headers),
            download_name=download_name,
            as_attachment=as_attachment,
            max_age=max_age,
            trusted=trusted,
        )
    except (objstore.ObjectNotFoundError, objstore.InvalidNameError, objstore.LinkError) as error:
        raise NotFound from error
    except UNAVAILABLE as error:
        raise _unavailable(error) from error
    response = current_app.response_class(
        served.body,
        served.status,
        list(served.headers),
        # As for files: no middleware compresses or changes what ETag and ranges speak of.
        direct_passthrough=True,
    )
    if served.status >= 300:
        # Flask's own, which would be said of a body that is not there.
        response.headers.remove("Content-Type")
    return response


# --- uploads


@dataclass(frozen=True)
class Upload:
    """What a client says of the file that it uploads, before the file itself.

    Attributes:
        filename: the last part of the name that it has there; ``""``: none was given.
        mime: its media type, or None.
        fields: the fields of the form that came before the file.
    """

    filename: str
    mime: str | None
    fields: Mapping[str, str] = field(default_factory=dict)


def receive_object(
    store: objstore.ObjectStore,
    name: str | Callable[[Upload], str],
    *,
    file_field: str = "file",
    **put_options: Any,
) -> objstore.ObjectInfo:
    """Store the body of the request that is being handled, or the file of its form.

    It goes to NATS as it comes, without a temporary file. An upload that breaks off leaves nothing.
    Call it before anything else reads the request, such as ``request.form`` or ``request.files``.

    Arguments:
        store: the bucket. Its ``max_object_size`` holds, as well as the application's
            ``MAX_CONTENT_LENGTH``.
        name: of the object; or a function that tells it by what the client says of the file.
        file_field: the field of the form that has the file, where the body is a form
            (multipart/form-data). Fields before it are given to ``name``; what follows the file is
            not looked at.
        put_options: as for :meth:`objstore.ObjectStore.put`. The media type is the client's unless
            ``mime`` is among them.

    Returns:
        The object as stored.

    Raises:
        werkzeug.exceptions.RequestEntityTooLarge: the object is larger than the bucket or the
            application takes.
        werkzeug.exceptions.BadRequest: the body broke off, the form has no such file (none was
            chosen, or a POST is of the type application/x-www-form-urlencoded, as of a form without
            ``enctype="multipart/form-data"``), or there can be no object of that name.
        werkzeug.exceptions.ServiceUnavailable: NATS does not answer.
        ObjStoreError: as :meth:`objstore.ObjectStore.put`.
    """
    payload: Iterator[bytes] | _Body
    try:
        if request.mimetype == "multipart/form-data":
            upload, payload = _open_form(request, file_field)
        elif request.method == "POST" and request.mimetype == _NO_FILES:
            raise BadRequest(_NO_FILES_IN_IT)
        else:
            upload, payload = Upload("", request.content_type or None), _Body(request)
        # As a client says it, and so only if it is fit for the header of an answer.
        put_options.setdefault("mime", upload.mime and safe_media_type(upload.mime))
        return store.put(name if isinstance(name, str) else name(upload), payload, **put_options)
    except objstore.ObjectTooLargeError as error:
        raise RequestEntityTooLarge(str(error)) from error
    except objstore.IncompletePayloadError as error:
        raise BadRequest(_BROKE_OFF) from error
    except objstore.InvalidNameError as error:
        raise BadRequest(str(error)) from error
    except UNAVAILABLE as error:
        raise _unavailable(error) from error
    finally:
        _read_rest(request)


class UploadView(View):
    """A view that stores what is uploaded: the body of a PUT or POST, or the file of a form.

    .. code-block:: python

        app.add_url_rule(
            "/photos/<path:name>", view_func=UploadView.as_view("upload", lambda: objects.store)
        )

    It answers 201 with the name, the size and the digest as JSON. Who may upload is for its
    ``decorators`` to say; where the URL has no ``name``, the object is called as the client's file.

    Arguments:
        store: gives the bucket, at each request.
        file_field, put_options: as for :func:`receive_object`.
    """

    methods = ("POST", "PUT")

    def __init__(
        self,
        store: Callable[[], objstore.ObjectStore],
        *,
        file_field: str = "file",
        **put_options: Any,
    ) -> None:
        self._store = store
        self._options = {"file_field": file_field, **put_options}

    def dispatch_request(self, name: str | None = None) -> tuple[dict[str, Any], int]:
        """Store what the request brings."""
        info = receive_object(self._store(), _name_of if name is None else name, **self._options)
        return {"name": info.name, "size": info.size, "sha256": info.sha256}, 201


def _name_of(upload: Upload) -> str:
    if not upload.filename:
        raise BadRequest("the upload has no file name")
    return upload.filename


class _Body:
    """The body of a request as a file whose length is known where the client says it."""

    def __init__(self, request: Request) -> None:
        self._stream = request.stream
        # Where it says none the body is chunked, whose end the server finds out.
        self.len = request.content_length

    def read(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except OSError as error:  # gunicorn's, where the chunks break off
            raise BadRequest(_BROKE_OFF) from error


def _open_form(request: Request, file_field: str) -> tuple[Upload, Iterator[bytes]]:
    """Read a form up to its file; return what was said of it, and the file."""
    boundary = request.mimetype_params.get("boundary", "")
    events = _events(request, boundary.encode("latin-1", "replace"))
    fields: dict[str, str] = {}
    room = request.max_form_memory_size or FIELDS
    for event in events:
        # Without a name: what browsers send of a field where no file was chosen.
        if isinstance(event, File) and event.name == file_field and event.filename:
            upload = Upload(plain_name(event.filename), event.headers.get("Content-Type"), fields)
            return upload, _data(events)
        if isinstance(event, Field):
            value = b""
            # Counted as it comes: these fields are all of a form that is held in memory.
            for data in _data(events):
                value += data
                if len(value) > room:
                    raise RequestEntityTooLarge
            room -= len(value)
            fields[event.name] = value.decode("utf-8", "replace")
    raise BadRequest(f"the form has no file in the field {file_field!r}")


def _data(events: Iterator[Any]) -> Iterator[bytes]:
    """Yield what a field of a form holds, or its file."""
    for event in events:
        if isinstance(event, Data):
            if event.data:
                yield event.data
            if not event.more_data:
                return


def _events(request: Request, boundary: bytes) -> Iterator[Any]:
    """Yield the parts of a form as they come, until nothing comes any more."""
    decoder = MultipartDecoder(boundary, READ * 4, max_parts=request.max_form_parts)
    body = _Body(request)
    while chunk := body.read(READ):
        decoder.receive_data(chunk)
        while not isinstance(event := _next_event(decoder), NeedData):
            yield event
    decoder.receive_data(None)
    # An error where the form is not complete, so that no cut-off file passes for a whole one.
    yield _next_event(decoder)


def _next_event(decoder: MultipartDecoder) -> Any:
    try:
        return decoder.next_event()
    except ValueError as error:
        raise BadRequest("the form broke off, or is malformed; nothing was stored") from error


def _read_rest(request: Request) -> None:
    """Read what is left of a request, if that is little."""
    left = LEFT_OVER
    try:
        while left > 0 and (data := request.stream.read(min(left, READ))):
            left -= len(data)
    except (HTTPException, OSError, ValueError):
        return  # too long, or cut off: so it is answered already


# --- the extension


def _unavailable(error: BaseException) -> ServiceUnavailable:
    current_app.logger.error("NATS is away: %s", error)
    return ServiceUnavailable("The storage is away at the moment.", retry_after=RETRY_AFTER)


class ObjectStore:
    """The extension: the process's client, and a bucket, by the application's configuration.

    The configuration, of which what is given here are the defaults:

    - ``OBJSTORE_BUCKET``: the bucket that :attr:`store` is;
    - ``OBJSTORE_SERVERS``: the address of a server, or several; None: ``$NATS_URL`` …, as for
      :func:`objstore.connect`;
    - ``OBJSTORE_OPTIONS``: a dictionary of what else :func:`objstore.connect` takes.

    Nothing is dialled before a request needs it. All threads and greenlets of a process share one
    client; a forked worker has its own. It is closed when the process ends, not with a request.

    A request waits 5 s for an answer of NATS, or for a connection that is away, unless
    ``OBJSTORE_OPTIONS`` says another ``timeout`` or ``reconnect_timeout``; then it is answered with
    503 and ``Retry-After: 5``. So are those errors wherever else they are raised in a view;
    ObjectNotFoundError is 404 there, ObjectTooLargeError 413.

    Arguments:
        app: the application; None: :meth:`init_app` gets it.
        bucket, servers, connect_options: defaults of the configuration.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        bucket: str | None = None,
        servers: str | Sequence[str] | None = None,
        **connect_options: Any,
    ) -> None:
        self._defaults = {
            "OBJSTORE_BUCKET": bucket,
            "OBJSTORE_SERVERS": servers,
            "OBJSTORE_OPTIONS": connect_options,
        }
        self._app = app
        self._opened: dict[str, tuple[objstore.Client, objstore.ObjectStore]] = {}
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Set an application up: its configuration's defaults, and what errors are answered with.

        Arguments:
            app: it may be one of several.
        """
        for key, value in self._defaults.items():
            app.config.setdefault(key, value)
        app.extensions["objstore"] = self
        for kind in UNAVAILABLE:
            app.register_error_handler(kind, _answer_unavailable)
        app.register_error_handler(objstore.ObjectNotFoundError, _answer_not_found)
        app.register_error_handler(objstore.ObjectTooLargeError, _answer_too_large)

    @property
    def client(self) -> objstore.Client:
        """The process's client."""
        config = self._config
        return web_client(config["OBJSTORE_SERVERS"], **config["OBJSTORE_OPTIONS"])

    @property
    def store(self) -> objstore.ObjectStore:
        """The bucket of ``OBJSTORE_BUCKET``, created if it does not exist.

        Raises:
            InvalidOptionError: none is configured.
            ObjStoreError: as :meth:`objstore.Client.object_store`, at the first use in a process.
        """
        name = self._config["OBJSTORE_BUCKET"]
        if name is None:
            raise objstore.InvalidOptionError(
                'no bucket is configured: app.config["OBJSTORE_BUCKET"] = "…", or use bucket(name)'
            )
        return self.bucket(name)

    def bucket(self, name: str) -> objstore.ObjectStore:
        """Return a bucket, created if it does not exist. A request costs nothing, but the first.

        Arguments:
            name: the bucket's name.

        Raises:
            ObjStoreError: as :meth:`objstore.Client.object_store`, at the first use in a process.
        """
        client = self.client
        opened = self._opened.get(name)
        # Another client than before: this is a forked child, or that one was closed.
        if opened is None or opened[0] is not client:
            opened = self._opened[name] = client, client.object_store(name)
        return opened[1]

    def close(self) -> None:
        """Close the client of this process, as for a test; the next request makes another."""
        self._opened.clear()
        self.client.close()

    @property
    def _config(self) -> Mapping[str, Any]:
        return (current_app if has_app_context() or self._app is None else self._app).config


def _answer_unavailable(error: Exception) -> Any:
    return current_app.handle_http_exception(_unavailable(error))


def _answer_not_found(error: Exception) -> Any:
    return current_app.handle_http_exception(NotFound())


def _answer_too_large(error: Exception) -> Any:
    return current_app.handle_http_exception(RequestEntityTooLarge(str(error)))
