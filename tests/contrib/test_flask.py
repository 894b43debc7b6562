"""Flask's face, in the process: what requests are answered with, and what uploads store."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from typing import Any

import flask
import pytest
from flask.testing import FlaskClient
from urllib3 import encode_multipart_formdata

import objstore
from objstore import ObjectInfo, shared
from objstore.contrib import serving
from objstore.contrib.flask import (
    ObjectStore,
    Upload,
    UploadView,
    receive_object,
    send_object,
)
from objstore.contrib.serving import BLOCK, serve
from tests.support.proxy import Line, Proxy
from tests.support.streams import api
from tests.support.waiting import eventually

pytestmark = pytest.mark.newest_server

LARGE = random.Random(15).randbytes(3_000_000)


def make_app(url: str, bucket: str, **options: Any) -> flask.Flask:
    app = flask.Flask("photos")
    app.config["OBJSTORE_SERVERS"] = url
    objects = ObjectStore(app, bucket=bucket, **options)

    @app.get("/<path:name>")
    def photo(name: str) -> flask.Response:
        return send_object(
            objects.store,
            name,
            as_attachment="save" in flask.request.args,
            download_name=flask.request.args.get("called"),
            max_age=flask.request.args.get("age", type=int),
            trusted="trusted" in flask.request.args,
        )

    @app.get("/-/of")  # a path of Flask's has no line breaks
    def photo_of() -> flask.Response:
        return send_object(objects.store, flask.request.args["name"])

    @app.put("/<path:name>")
    def upload(name: str) -> tuple[dict[str, Any], int]:
        info = receive_object(objects.store, name)
        return {"name": info.name, "size": info.size}, 201

    @app.get("/-/read/<path:name>")
    def read(name: str) -> bytes:
        return objects.store.read_bytes(name)

    def name_of(upload: Upload) -> str:
        return f"{upload.fields.get('folder', 'none')}/{upload.filename}"

    @app.post("/-/form")
    def from_form() -> tuple[dict[str, Any], int]:
        info = receive_object(objects.store, name_of, description="from a form")
        return {"name": info.name, "size": info.size}, 201

    app.add_url_rule("/-/files", view_func=UploadView.as_view("files", lambda: objects.store))
    app.add_url_rule(
        "/-/files/<path:name>", view_func=UploadView.as_view("named", lambda: objects.store)
    )
    return app


@pytest.fixture
def web(nats: str, store: objstore.ObjectStore) -> FlaskClient:
    return make_app(nats, store.name).test_client()


def put(store: objstore.ObjectStore, name: str, payload: bytes, **options: Any) -> ObjectInfo:
    store.put(name, payload, **options)
    info = store.info(name)
    assert info is not None
    return info


def test_an_object(web: FlaskClient, store: objstore.ObjectStore) -> None:
    info = put(store, "2026/cat.jpg", LARGE, mime="image/jpeg")
    answer = web.get("/2026/cat.jpg")
    assert answer.status_code == 200
    assert answer.data == LARGE
    assert info.mtime is not None
    assert answer.last_modified == info.mtime.replace(microsecond=0)
    assert dict(answer.headers) == {
        "Content-Type": "image/jpeg",
        "Content-Length": "3000000",
        "ETag": f'"{info.sha256}"',
        "Last-Modified": answer.headers["Last-Modified"],
        "Accept-Ranges": "bytes",
        "Content-Disposition": 'inline; filename="cat.jpg"',
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-cache",
    }
    head = web.head("/2026/cat.jpg")
    assert (head.status_code, head.data, head.headers) == (200, b"", answer.headers)


def test_ranges(web: FlaskClient, store: objstore.ObjectStore) -> None:
    put(store, "large", LARGE)

    def get(asked: str) -> Any:
        return web.get("/large", headers={"Range": asked})

    answer = get("bytes=1000000-1999999")
    assert (answer.status_code, answer.data) == (206, LARGE[1_000_000:2_000_000])
    assert answer.headers["Content-Range"] == "bytes 1000000-1999999/3000000"
    assert get("bytes=-5").data == LARGE[-5:]
    answer = get("bytes=2999990-,0-600000")
    assert (answer.status_code, answer.content_length) == (206, len(answer.data))
    boundary = answer.mimetype_params["boundary"].encode()
    parts = answer.data.split(b"--" + boundary)
    bodies = [part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in parts[1:-1]]
    assert bodies == [LARGE[2_999_990:], LARGE[:600_001]]
    answer = get("bytes=5000000-")
    assert (answer.status_code, answer.data) == (416, b"")
    assert answer.headers["Content-Range"] == "bytes */3000000"
    assert "Content-Type" not in answer.headers


def test_conditions(web: FlaskClient, store: objstore.ObjectStore) -> None:
    info = put(store, "a.txt", b"content")
    answer = web.get("/a.txt", headers={"If-None-Match": f'W/"{info.sha256}"'})
    assert (answer.status_code, answer.data) == (304, b"")
    assert dict(answer.headers) == {"ETag": f'"{info.sha256}"', "Cache-Control": "no-cache"}
    assert web.get("/a.txt", headers={"If-Match": '"other"'}).status_code == 412
    since = web.get("/a.txt").headers["Last-Modified"]
    assert web.get("/a.txt", headers={"If-Modified-Since": since}).status_code == 304


def test_the_body_comes_in_blocks(store: objstore.ObjectStore) -> None:
    """However small the chunks are; and of no more than one range is fetched."""
    store.put("small chunks", LARGE, chunk_size=10_000)
    served = serve(store, "small chunks", "GET", {})
    assert served.body is not None
    blocks = list(served.body)
    assert b"".join(blocks) == LARGE
    assert all(BLOCK <= len(block) <= BLOCK + 10_000 for block in blocks[:-1])
    assert list(served.body) == []


def test_a_body_is_closed_at_once(store: objstore.ObjectStore) -> None:
    """As a server does when the client has gone."""
    store.put("large", LARGE)
    served = serve(store, "large", "GET", {})
    assert served.body is not None
    blocks = iter(served.body)
    assert len(next(blocks)) >= BLOCK
    served.body.close()
    assert served.body._result.closed
    with pytest.raises(ValueError, match="closed"):
        next(blocks)


@pytest.mark.parametrize("name", ["missing", "x" * 3000, "bucket", "dangling"])
def test_not_found(web: FlaskClient, store: objstore.ObjectStore, name: str) -> None:
    store.link_store("bucket", store)
    store.link("dangling", put(store, "gone", b""))
    store.delete("gone")
    answer = web.get(f"/{name}")
    assert answer.status_code == 404
    assert "ETag" not in answer.headers


def test_links_lead_to_what_they_link(web: FlaskClient, store: objstore.ObjectStore) -> None:
    info = put(store, "a.png", b"content", mime="image/png")
    store.link("latest", info)
    answer = web.get("/latest")
    assert (answer.data, answer.mimetype) == (b"content", "image/png")
    assert answer.headers["Content-Disposition"] == 'inline; filename="latest"'


def test_how_it_is_kept(web: FlaskClient, store: objstore.ObjectStore) -> None:
    store.put("a.txt", b"x")
    answer = web.get("/a.txt?save&called=Übung.txt&age=60")
    assert answer.headers["Cache-Control"] == "private, max-age=60"
    assert answer.headers["Content-Disposition"] == (
        "attachment; filename=\"Ubung.txt\"; filename*=UTF-8''%C3%9Cbung.txt"
    )
    web.application.config["SEND_FILE_MAX_AGE_DEFAULT"] = 7
    assert web.get("/a.txt").headers["Cache-Control"] == "private, max-age=7"


@pytest.mark.parametrize("mime", ["text/html", "image/svg+xml", "application/xml"])
def test_documents_of_strangers_run_no_scripts(
    web: FlaskClient, store: objstore.ObjectStore, mime: str
) -> None:
    store.put("a", b"<script>", mime=mime)
    assert web.get("/a").headers["Content-Security-Policy"] == "sandbox"
    answer = web.get("/a?trusted")
    assert "Content-Security-Policy" not in answer.headers
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_hostile_names_and_types(web: FlaskClient, store: objstore.ObjectStore) -> None:
    """They stay in their place: no header more, and none that is broken."""
    name = 'a"\r\nSet-Cookie: x=1\r\n\r\n猫.html'
    store.put(name, b"<b>", headers={"Content-Type": "text/html; charset=\x7f"})
    answer = web.get("/-/of", query_string={"name": name})
    assert answer.data == b"<b>"
    assert "Set-Cookie" not in answer.headers
    assert answer.mimetype == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == (
        'inline; filename="a_Set-Cookie: x=1.html"; '
        "filename*=UTF-8''a%22Set-Cookie%3A%20x%3D1%E7%8C%AB.html"
    )


def test_what_is_stored_compressed_is_said_to_be(
    web: FlaskClient, store: objstore.ObjectStore
) -> None:
    store.put("a.css", b"x", mime="text/css", headers={"Content-Encoding": "gzip"})
    assert web.get("/a.css").headers["Content-Encoding"] == "gzip"
    store.put("a.css", b"x", headers={"Content-Encoding": "gzip, br"})
    assert "Content-Encoding" not in web.get("/a.css").headers


def reads_a_chunk(bucket: str) -> Callable[[Line], bool]:
    """A request for a chunk."""
    chunks = f"$O.{bucket}.C.".encode()
    return lambda line: line.subject.startswith("$JS.API.") and chunks in line.raw


def test_one_that_is_overwritten_before_the_answer_is_read_anew(
    far_store: objstore.ObjectStore, store: objstore.ObjectStore, proxy: Proxy
) -> None:
    """Its ETag and its bytes are of one version."""
    store.put("a", b"old")
    proxy.up.call(reads_a_chunk(store.name), lambda: store.put("a", b"new content"))
    served = serve(far_store, "a", "GET", {})
    assert served.info == store.info("a")
    assert dict(served.headers)["ETag"] == f'"{served.info.sha256}"'
    assert served.body is not None
    assert b"".join(served.body) == b"new content"


def test_one_that_is_overwritten_all_the_time(
    far_store: objstore.ObjectStore, store: objstore.ObjectStore, proxy: Proxy
) -> None:
    """It is an error before anything is answered, and the tries are counted."""
    store.put("a", b"old")
    reads: list[str] = []

    def overwrite(line: Line) -> None:
        if reads_a_chunk(store.name)(line):
            reads.append(line.subject)
            store.put("a", b"new")

    proxy.up.observe(overwrite)
    with pytest.raises(objstore.ObjectChangedError):
        serve(far_store, "a", "GET", {})
    assert len(reads) >= serving.TRIES


def test_a_part_costs_little_more_than_a_part(
    far_store: objstore.ObjectStore, store: objstore.ObjectStore, proxy: Proxy
) -> None:
    """Nothing behind it is fetched ahead, but for the rest of its last chunk and the very last."""
    store.put("small chunks", LARGE, chunk_size=10_000)
    proxy.down.forwarded = 0
    served = serve(far_store, "small chunks", "GET", {"Range": "bytes=1000000-1499999"})
    assert served.body is not None
    assert b"".join(served.body) == LARGE[1_000_000:1_500_000]
    assert proxy.down.forwarded < 700_000


def test_what_is_damaged_is_an_error_and_no_answer_that_breaks_off(
    web: FlaskClient, store: objstore.ObjectStore, shared_client: objstore.Client
) -> None:
    info = store.put("a", LARGE)
    request = {"next_by_subj": f"$O.{store.name}.C.{info.nuid}", "seq": 1}
    found = api(shared_client.connection, f"STREAM.MSG.GET.OBJ_{store.name}", request)
    gone = {"seq": found["message"]["seq"]}
    api(shared_client.connection, f"STREAM.MSG.DELETE.OBJ_{store.name}", gone)
    web.application.config["PROPAGATE_EXCEPTIONS"] = False
    answer = web.get("/a")
    assert answer.status_code == 500
    assert "ETag" not in answer.headers
    store.delete("a")


# --- NATS is away


def test_away(proxy: Proxy, nats: str, store: objstore.ObjectStore) -> None:
    """503 at once or after the time that is configured, in every kind of view; then it is back."""
    store.put("a", b"content")
    app = make_app(proxy.url, store.name, reconnect_timeout=0.1)
    web = app.test_client()
    proxy.refusing = True  # from the beginning: the application starts all the same
    for _ in range(2):
        asked = [web.get("/a"), web.head("/a"), web.get("/-/read/a"), web.put("/b", data=b"x")]
        for answer in asked:
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        proxy.refusing = False
        eventually(lambda: web.get("/a").status_code == 200)
        assert web.get("/-/read/a").data == b"content"
        proxy.refusing = True
        proxy.sever()
    assert "b" not in store


def test_errors_of_other_views(web: FlaskClient) -> None:
    assert web.get("/-/read/missing").status_code == 404


# --- the extension


def test_one_client_for_all(nats: str, store: objstore.ObjectStore) -> None:
    """It waits no longer than a worker may, and nothing is dialled before it is needed."""
    apps = [make_app(nats, store.name) for _ in range(2)]
    assert not shared._clients._made
    extensions = [app.extensions["objstore"] for app in apps]
    client = extensions[0].client
    assert extensions[1].client is client
    assert not client.connection.is_connected
    assert (client.connection.timeout, client.connection.reconnect_timeout) == (5.0, 5.0)
    bucket = extensions[0].store
    assert extensions[0].store is bucket
    with apps[0].app_context():
        assert extensions[0].store is bucket
    extensions[0].close()
    assert client.connection.is_closed
    assert extensions[0].store is not bucket


def test_an_extension_for_several_applications(nats: str, store: objstore.ObjectStore) -> None:
    objects = ObjectStore()
    first, second = flask.Flask("first"), flask.Flask("second")
    for app in (first, second):
        app.config.from_mapping(OBJSTORE_SERVERS=nats, OBJSTORE_BUCKET=store.name)
        objects.init_app(app)
    second.config["OBJSTORE_OPTIONS"] = {"name": "second"}
    with first.app_context():
        client = objects.client
    with second.app_context():
        assert objects.client is not client
        assert objects.store.name == store.name
    with pytest.raises(RuntimeError, match="application context"):
        objects.client  # noqa: B018 - of which application?


def test_no_bucket_is_configured(nats: str) -> None:
    objects = ObjectStore(flask.Flask("none"), servers=nats)
    with pytest.raises(objstore.InvalidOptionError, match="OBJSTORE_BUCKET"):
        objects.store  # noqa: B018


# --- uploads


def test_an_upload(web: FlaskClient, store: objstore.ObjectStore) -> None:
    answer = web.put("/a/b.png", data=LARGE, content_type="image/png")
    assert (answer.status_code, answer.json) == (201, {"name": "a/b.png", "size": len(LARGE)})
    info = store.info("a/b.png")
    assert info is not None
    assert (info.mime, store.read_bytes("a/b.png")) == ("image/png", LARGE)


def form(*fields: tuple[str, Any]) -> tuple[bytes, dict[str, str]]:
    """A form as browsers send it, and its header."""
    data, content_type = encode_multipart_formdata(fields)
    return data, {"Content-Type": content_type}


def test_a_form(
    web: FlaskClient, store: objstore.ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no temporary file, and with what comes before and behind the file."""
    data, headers = form(
        ("folder", "2026"),
        ("other", ("other.txt", b"another file")),
        ("file", ("photos/cat.png", LARGE)),
        ("behind", "ignored"),
    )
    monkeypatch.setattr("tempfile.TemporaryFile", None)
    monkeypatch.setattr("tempfile.SpooledTemporaryFile", None)
    answer = web.post("/-/form", data=data, headers=headers)
    assert (answer.status_code, answer.json) == (
        201,
        {"name": "2026/cat.png", "size": len(LARGE)},
    )
    info = store.info("2026/cat.png")
    assert info is not None
    assert (info.mime, info.description) == ("image/png", "from a form")
    assert store.read_bytes("2026/cat.png") == LARGE
    behind = data.rindex(b"behind")
    for cut in (behind, 1_000_000, 300, 20):  # behind the file, in it, before it
        store.delete("2026/cat.png")
        answer = web.post("/-/form", data=data[:cut], headers=headers)
        assert answer.status_code == (201 if cut == behind else 400)
        assert ("2026/cat.png" in store) == (cut == behind)


def test_forms_that_are_none(web: FlaskClient, store: objstore.ObjectStore) -> None:
    answer = web.post("/-/form", data={"folder": "x"}, content_type="multipart/form-data")
    assert answer.status_code == 400
    answer = web.post("/-/form", data=b"x", headers={"Content-Type": "multipart/form-data"})
    assert answer.status_code == 400
    data, headers = form(("folder", "x" * 600_000), ("file", ("a", b"")))
    assert web.post("/-/form", data=data, headers=headers).status_code == 413
    assert list(store) == []


def test_forms_without_a_file_replace_nothing(
    web: FlaskClient, store: objstore.ObjectStore
) -> None:
    """Not as the words "file=cat.png", nor as nothing, as where no file was chosen."""
    store.put("cat.png", b"a cat")
    answer = web.post("/-/files/cat.png", data={"file": "cat.png"})
    assert (answer.status_code, "multipart/form-data" in answer.text) == (400, True)
    data, headers = form(("file", ("", b"", "application/octet-stream")))
    answer = web.post("/-/files/cat.png", data=data, headers=headers)
    assert (answer.status_code, "no file in the field" in answer.text) == (400, True)
    assert store.read_bytes("cat.png") == b"a cat"
    # What curl says of a body, unless it is told otherwise.
    body = {"Content-Type": "application/x-www-form-urlencoded"}
    assert web.put("/-/files/cat.png", data=b"a tom", headers=body).status_code == 201


def test_the_view(web: FlaskClient, store: objstore.ObjectStore) -> None:
    data, headers = form(("file", ("../a.txt", b"content")))
    answer = web.post("/-/files", data=data, headers=headers)
    assert answer.status_code == 201
    info = store.info("a.txt")
    assert info is not None
    assert answer.json == {"name": "a.txt", "size": 7, "sha256": info.sha256}
    assert web.put("/-/files/b/c", data=b"x").status_code == 201
    assert store.read_bytes("b/c") == b"x"
    assert web.put("/-/files", data=b"x").status_code == 400
    assert web.get("/-/files").status_code == 404


def test_too_large(web: FlaskClient, nats: str, store: objstore.ObjectStore) -> None:
    with objstore.connect(nats) as client:
        client.update_store(store.name, max_object_size=1_000_000)
    assert web.put("/a", data=bytes(1_000_001)).status_code == 413
    data, headers = form(("file", ("a", bytes(1_000_001))))
    assert web.post("/-/form", data=data, headers=headers).status_code == 413
    assert web.put("/a", data=bytes(1_000_000)).status_code == 201
    web.application.config["MAX_CONTENT_LENGTH"] = 1000
    assert web.put("/b", data=bytes(1001)).status_code == 413
    assert [info.name for info in store] == ["a"]


def test_uploads_with_hostile_names_and_types(
    web: FlaskClient, store: objstore.ObjectStore
) -> None:
    assert web.put(f"/{'x' * 3000}", data=b"x").status_code == 400
    assert web.put("/a", data=b"x", content_type="text/html; a=\x7f").status_code == 201
    info = store.info("a")
    assert info is not None
    assert info.mime == "application/octet-stream"


def test_an_upload_that_breaks_off(web: FlaskClient, store: objstore.ObjectStore) -> None:
    store.put("a", b"old")
    environ = {"wsgi.input": io.BytesIO(LARGE[:1_000_000]), "CONTENT_LENGTH": str(len(LARGE))}
    for terminated in (False, True):  # by werkzeug or the server, as gunicorn says
        overrides = {**environ, "wsgi.input_terminated": True} if terminated else environ
        overrides["wsgi.input"] = io.BytesIO(LARGE[:1_000_000])
        assert web.put("/a", environ_overrides=overrides).status_code == 400
    assert store.read_bytes("a") == b"old"
