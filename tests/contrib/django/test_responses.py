"""``object_response``, ``ObjectView`` and signed links, asked by Django's own clients."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.test import AsyncClient, Client, RequestFactory, override_settings

import objstore
from objstore import LocalServer
from objstore.contrib.django import ObjectStorage, object_response

pytestmark = pytest.mark.newest_server

LARGE = bytes(range(256)) * 4096 * 3  # 3 MiB: several chunks, several blocks


def body(response: Any) -> bytes:
    """The body of a response of Django's test client, streamed or not."""
    return b"".join(response.streaming_content) if response.streaming else response.content


def test_a_small_and_a_large_file(storage: ObjectStorage) -> None:
    for name, content in (("ä b.txt", b"small"), ("large.bin", LARGE)):
        storage.save(name, ContentFile(content))
        got = Client().get(f"/media/{name}")
        assert got.status_code == 200
        assert body(got) == content
        assert got["Content-Length"] == str(len(content))
        assert got["ETag"] == f'"{storage.info(name).sha256}"'
        assert got["X-Content-Type-Options"] == "nosniff"
        again = Client().get(f"/media/{name}", headers={"If-None-Match": got["ETag"]})
        assert (again.status_code, body(again)) == (304, b"")
        assert "Content-Type" not in again
        head = Client().head(f"/media/{name}")
        assert (head.status_code, body(head)) == (200, b"")
        assert head["Content-Length"] == str(len(content))
    assert got["Content-Type"] == "application/octet-stream"


@pytest.mark.parametrize(
    ("wanted", "status", "start", "end"),
    [
        ("bytes=0-0", 206, 0, 1),
        ("bytes=1000000-", 206, 1_000_000, len(LARGE)),
        ("bytes=-5", 206, len(LARGE) - 5, len(LARGE)),
        ("lines=1-2", 200, 0, len(LARGE)),
        (f"bytes={len(LARGE)}-", 416, 0, 0),
    ],
)
def test_ranges(storage: ObjectStorage, wanted: str, status: int, start: int, end: int) -> None:
    storage.save("a", ContentFile(LARGE))
    got = Client().get("/media/a", headers={"Range": wanted})
    assert got.status_code == status
    assert body(got) == LARGE[start:end]


@override_settings(MIDDLEWARE=["django.middleware.gzip.GZipMiddleware"])
def test_a_range_is_not_compressed(storage: ObjectStorage) -> None:
    """Of the compressed file it would be another one."""
    storage.save("a", ContentFile(LARGE))
    got = Client().get("/media/a", headers={"Range": "bytes=0-999", "Accept-Encoding": "gzip"})
    assert (got.status_code, body(got)) == (206, LARGE[:1000])
    whole = Client().get("/media/a", headers={"Accept-Encoding": "gzip"})
    assert whole["Content-Encoding"] == "gzip"


def test_what_is_not_there_is_404(storage: ObjectStorage) -> None:
    for name in ("none", "x" * 4000):
        assert Client().get(f"/media/{name}").status_code == 404
    assert Client().post("/media/none").status_code == 405
    storage.store.put("secret", b"of another")
    for name in ("../secret", "a/../../secret", "%2e%2e/secret", "..%5csecret", "/secret"):
        assert Client().get(f"/media/{name}").status_code in (400, 404)


def test_documents_of_strangers_run_nothing(storage: ObjectStorage) -> None:
    for name in ("a.html", "a.svg", "a.xml", "a.xhtml"):
        storage.save(name, ContentFile(b"<svg onload='alert(1)'/>"))
        got = Client().get(f"/media/{name}")
        assert got["Content-Security-Policy"] == "sandbox"
        assert got["X-Content-Type-Options"] == "nosniff"
    storage.save("a.png", ContentFile(b""))
    assert "Content-Security-Policy" not in Client().get("/media/a.png")


HOSTILE = ["a\r\nSet-Cookie: b=c", 'a"; filename="b.exe', "ü\u2028☃", "a\\b", "\x00a"]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_and_types(storage: ObjectStorage, name: str) -> None:
    """As somebody else may have stored them: in a header they are harmless."""
    storage.store.put(name, b"1", headers={"Content-Type": "text/html\u2028; x=ü"})
    got = object_response(RequestFactory().get("/"), storage.store, name, as_attachment=True)
    lines = got.serialize_headers().split(b"\r\n")
    assert len(lines) == len(got.headers)
    assert got["Content-Type"] == "application/octet-stream"
    assert got["Content-Disposition"].startswith("attachment")
    assert not any(line.startswith(b"Set-Cookie") for line in lines)


def test_a_response_that_is_not_read_closes_its_file(
    storage: ObjectStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.save("a", ContentFile(LARGE))
    opened: list[objstore.ObjectResult] = []

    own = objstore.ObjectStore.get

    def get(store: objstore.ObjectStore, name: str) -> objstore.ObjectResult | None:
        found = own(store, name)
        assert found is not None
        opened.append(found)
        return found

    monkeypatch.setattr(objstore.ObjectStore, "get", get)
    got = object_response(RequestFactory().get("/"), storage, "a")
    next(iter(got))
    assert not opened[0].closed
    got.close()
    assert opened[0].closed


# --- while NATS is away


def test_503(server: LocalServer) -> None:
    with objstore.LocalServer() as away:
        url = away.url
    options = {"bucket": "a", "servers": url, "reconnect_timeout": 0.1}
    entry = {"BACKEND": "objstore.contrib.django.ObjectStorage", "OPTIONS": options}
    with override_settings(STORAGES={"default": entry}):
        for path in ("/media/a", "/asks"):  # by the view, and by the middleware
            asked = asyncio.run(AsyncClient().get(path))
            for got in (Client().get(path), asked):
                assert got.status_code == 503
                assert got["Retry-After"] == "5"
    objstore.shared_client(url, lazy=True, timeout=5.0, reconnect_timeout=0.1).close()


def test_413(server: LocalServer, bucket: str) -> None:
    options = {"bucket": bucket, "servers": server.url, "bucket_options": {"max_object_size": 3}}
    entry = {"BACKEND": "objstore.contrib.django.ObjectStorage", "OPTIONS": options}
    with override_settings(STORAGES={"default": entry}):
        assert Client().get("/saves").status_code == 413
        with pytest.raises(ZeroDivisionError):  # what is none of ours
            Client().get("/fails")


# --- signed links


def test_a_link(storage: ObjectStorage) -> None:
    name = storage.save("d/ü b.txt", ContentFile(b"1"))
    link = storage.url(name)
    got = Client().get(link)
    assert (got.status_code, got.content) == (200, b"1")
    private, age = got["Cache-Control"].split(", max-age=")
    assert private == "private"
    assert 3590 <= int(age) <= 3600 * 1.25
    assert got["Content-Disposition"].startswith("inline")
    saved = Client().get(storage.signed_url(name, as_attachment=True))
    assert saved["Content-Disposition"].startswith("attachment")
    assert Client().get(link, headers={"Range": "bytes=0-0"}).status_code == 206


def test_a_link_stays_the_same_for_a_while(
    storage: ObjectStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page loaded again finds its pictures in the cache; a link holds for its time at least."""
    links = []
    for now in (900_000, 900_001, 900_900, 900_901):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        links.append(storage.url("a"))
    assert "expires=903600&" in links[0]
    assert "expires=904500&" in links[1]
    assert links[1] == links[2] != links[3]


def changed(link: str, **fields: str) -> str:
    """A link with other parameters."""
    path, _, query = link.partition("?")
    given = dict(each.split("=", 1) for each in query.split("&"))
    return f"{path}?{urlencode({**given, **fields})}"


def test_a_link_cannot_be_widened(storage: ObjectStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "a/b"):
        storage.save(name, ContentFile(b"1"))
    link = storage.url("a")
    saved = storage.signed_url("a", as_attachment=True)
    forged = [
        link.replace("/a?", "/b?"),
        link.replace("/a?", "/a/b?"),
        link.replace("/a?", "/./a?"),
        link.replace("/default/", "/other/"),
        link.replace("expires=", "expires=9"),
        link.replace("expires=", "expires=0"),
        link.partition("?")[0],
        changed(link, download="1"),
        changed(link, signature=""),
        changed(link, expires="x"),
        saved.replace("&download=1", ""),
        changed(link, signature=storage.url("b").rpartition("=")[2]),
    ]
    for each in forged:
        assert Client().get(each).status_code == 403, each
    assert Client().get(link).status_code == 200
    with override_settings(SECRET_KEY="another"):
        assert Client().get(link).status_code == 403
    with override_settings(SECRET_KEY="another", SECRET_KEY_FALLBACKS=["a key for tests"]):
        assert Client().get(link).status_code == 200
    now = time.time() + 3600 * 1.25
    monkeypatch.setattr(time, "time", lambda: now)
    assert Client().get(link).status_code == 403  # it has expired
    assert Client().get(storage.url("a")).status_code == 200


def test_a_link_needs_a_view_and_a_name(storage: ObjectStorage) -> None:
    with override_settings(ROOT_URLCONF=()), pytest.raises(ImproperlyConfigured, match="include"):
        storage.url("a")
    other = ObjectStorage("other")
    with pytest.raises(ImproperlyConfigured, match="none of STORAGES"):
        other.url("a")


# --- ASGI


def test_asgi(storage: ObjectStorage) -> None:
    """The body is read as it is sent, and is the same, in parts too."""
    storage.save("a", ContentFile(LARGE))

    async def ask() -> None:
        got = await AsyncClient().get("/media/a")
        assert got.is_async
        blocks = [block async for block in got.streaming_content]
        assert b"".join(blocks) == LARGE
        assert len(blocks) > 3
        part = await AsyncClient().get("/media/a", headers={"Range": "bytes=100-2000099"})
        assert part.status_code == 206
        assert b"".join([block async for block in part.streaming_content]) == LARGE[100:2000100]
        got.close()
        part.close()

    asyncio.run(ask())
