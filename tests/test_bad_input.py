"""Bad input gets a clear error of the tree, and loses nothing.

What arguments alone tell is in :mod:`tests.test_bad_arguments`.
"""

from __future__ import annotations

import http.server
import io
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import objstore
from objstore import (
    BucketConfigError,
    BucketNotFoundError,
    Client,
    ConnectionLostError,
    InvalidNameError,
    InvalidOptionError,
    InvalidPayloadError,
    InvalidServerURLError,
    LocalServer,
    ObjectMeta,
    ObjectMetaOptions,
    ObjectStore,
    ObjectTooLargeError,
    ObjStoreError,
    PayloadFileError,
    PayloadFileNotFoundError,
    ProtocolError,
    StorageFullError,
)
from tests.support.raw_server import running_server
from tests.support.streams import orphans, subjects


def test_no_server() -> None:
    """A port on which nobody listens."""
    with LocalServer() as server:
        url = server.url
    with pytest.raises(ConnectionLostError, match=r"cannot connect to nats://127\.0\.0\.1"):
        objstore.connect(url, timeout=2)


def test_no_such_host() -> None:
    with pytest.raises(ConnectionLostError, match=r"nowhere\.invalid"):
        objstore.connect("nats://nowhere.invalid:4222", timeout=2)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:4222", "nats://", "", "nats://host:port", "nats://[::1", "nats://a b", []],
)
def test_wrong_urls(url: Any) -> None:
    with pytest.raises(InvalidServerURLError):
        objstore.connect(url)


def test_a_wrong_url_never_shows_its_password() -> None:
    with pytest.raises(InvalidServerURLError) as caught:
        objstore.connect("ws://user:geheim@127.0.0.1")
    assert "geheim" not in str(caught.value)


def test_a_server_that_talks_http() -> None:
    """The usual mistake: the port of the monitoring."""
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), http.server.BaseHTTPRequestHandler
    ) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        try:
            # An HTTP server waits for the request, and a NATS client for INFO.
            with pytest.raises(ConnectionLostError, match="did not answer"):
                objstore.connect(f"nats://127.0.0.1:{web.server_port}", timeout=0.5)
        finally:
            web.shutdown()
            thread.join()


def test_a_monitoring_port_is_told_from_a_nats_server() -> None:
    """nats-server's own monitoring answers with HTTP as soon as something is sent."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        peer, _ = listener.accept()
        peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        peer.close()

    thread = threading.Thread(target=answer)
    thread.start()
    with listener, pytest.raises(ProtocolError, match="HTTP server"):
        objstore.connect(f"nats://127.0.0.1:{listener.getsockname()[1]}", timeout=2)
    thread.join()


@pytest.mark.parametrize("name", ["", "a b", "a.b", "a/b", "ä", ">", "*", "a\n", 1, None])
def test_bad_bucket_names(name: Any, shared_client: Client) -> None:
    for act in (shared_client.object_store, shared_client.delete_store):
        with pytest.raises(InvalidNameError):
            act(name)


@pytest.mark.parametrize(
    ("payload", "advice"),
    [
        ("text", "encode"),
        ({"a": 1}, "json"),
        pytest.param(io.StringIO("text"), "binary", id="text file"),
        (12, "bytes-like"),
        (3.5, "bytes-like"),
        (["text"], "bytes are needed"),
        ([b"ok", None], "bytes are needed"),
        (object, "bytes-like"),
    ],
    ids=repr,
)
def test_bad_payloads(payload: Any, advice: str, store: ObjectStore, shared_client: Client) -> None:
    store.put("x", b"old")
    with pytest.raises(InvalidPayloadError, match=rf"(?i){advice}") as caught:
        store.put("x", payload)
    assert isinstance(caught.value, TypeError)
    assert store.read_bytes("x") == b"old"
    assert orphans(shared_client, store) == set()


def test_a_text_file_opened_by_mistake(store: ObjectStore, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("text")
    with path.open() as file, pytest.raises(InvalidPayloadError, match='"rb"'):
        store.put("x", file)  # type: ignore[arg-type]


def test_a_missing_file(store: ObjectStore, shared_client: Client, tmp_path: Path) -> None:
    for act in (store.upload_file, lambda path: store.put("x", path)):
        with pytest.raises(PayloadFileNotFoundError, match="missing") as caught:
            act(tmp_path / "missing")
        assert isinstance(caught.value, FileNotFoundError)
        with pytest.raises(PayloadFileError):
            act(tmp_path)  # a folder
    assert subjects(shared_client, store) == {}


def test_a_link_has_no_payload(store: ObjectStore) -> None:
    link = ObjectMetaOptions(link=objstore.ObjectLink("b", "n"))
    with pytest.raises(InvalidOptionError, match="no payload"):
        store.put(ObjectMeta("x", options=link), b"payload")


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": "5"},
        {"timeout": float("nan")},
        {"reconnect_timeout": -1},
        {"tls": "yes"},
        {"user": "u"},
        {"token": "t", "user": "u", "password": "p"},
        {"credentials": "/does/not/exist.creds"},
        {"domain": "a.b"},
        {"context": "../x"},
    ],
    ids=repr,
)
def test_bad_options_of_connect(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidOptionError):
        objstore.connect("nats://127.0.0.1:1", **options)


def test_more_replicas_than_servers(shared_client: Client) -> None:
    with pytest.raises(BucketConfigError, match="replicas"):
        shared_client.object_store("three", replicas=3)


def test_a_full_bucket(shared_client: Client) -> None:
    """The old object stays, the new one's chunks go."""
    store = shared_client.object_store("full", max_bytes=200_000)
    store.put("x", b"a" * 100_000, chunk_size=10_000)
    says = r"in bucket full: maximum bytes .*; delete objects, or raise its max_bytes"
    with pytest.raises(StorageFullError, match=says) as caught:
        store.put("x", b"b" * 120_000, chunk_size=10_000)
    assert (caught.value.bucket, caught.value.name) == ("full", "x")
    assert store.read_bytes("x") == b"a" * 100_000
    assert orphans(shared_client, store) == set()
    store.put("y", b"c" * 50_000)
    shared_client.delete_store("full")


def test_an_object_over_the_limit(shared_client: Client) -> None:
    store = shared_client.object_store("limited", max_object_size=1000)
    assert store.put("exact", b"x" * 1000).size == 1000

    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 300

    for payload in (b"x" * 1001, endless(), io.BytesIO(b"x" * 5000)):
        with pytest.raises(ObjectTooLargeError) as caught:
            store.put("x", payload, chunk_size=100)
        assert caught.value.limit == 1000
    assert orphans(shared_client, store) == set()
    assert shared_client.object_store("limited").status().max_object_size == 1000
    shared_client.delete_store("limited")


def test_a_bucket_that_is_gone(shared_client: Client) -> None:
    store = shared_client.object_store("gone")
    store.put("x", b"1")
    opened, another = store.open("x"), store.open("x")
    assert shared_client.delete_store("gone") is True
    assert shared_client.delete_store("gone") is False
    acts: list[Callable[[], Any]] = [
        opened.read,  # while nobody knows yet that there are no direct gets any more
        lambda: store.put("x", b"2"),
        lambda: store.get("x"),
        lambda: store.info("x"),
        lambda: store.delete("x"),
        lambda: list(store.list()),
        store.status,
        another.read,
        store.open("y", "wb").close,
        lambda: store.put("z", iter([bytes(1000)] * 300)),
    ]
    for act in acts:
        with pytest.raises(BucketNotFoundError, match=r"^there is no bucket gone$") as caught:
            act()
        assert caught.value.bucket == "gone"


def test_a_link_to_a_name_alone(shared_client: Client) -> None:
    store = shared_client.object_store("linked")
    with pytest.raises(InvalidOptionError, match=r"a pair \(bucket, name\), not 'x'"):
        store.link("l", "x")  # type: ignore[arg-type]
    shared_client.delete_store("linked")


def test_a_closed_client(server: LocalServer) -> None:
    client = objstore.connect(server.url)
    store = client.object_store("closed")
    client.close()
    client.close()
    for act in (lambda: store.put("x", b"1"), lambda: store.info("x"), lambda: list(store)):
        with pytest.raises(objstore.ConnectionClosedError):
            act()


def test_a_server_without_jetstream(tmp_path: Path) -> None:
    """An error at once that names the cause."""
    with running_server("", tmp_path) as address:
        url = f"nats://{address[0]}:{address[1]}"
        with objstore.connect(url) as client, pytest.raises(ObjStoreError, match="JetStream"):
            client.object_store("x")


def test_a_file_that_cannot_be_written(store: ObjectStore, tmp_path: Path) -> None:
    store.put("x", b"1")
    with pytest.raises(OSError, match="No such file or directory"):
        store.download_file("x", tmp_path / "no" / "such" / "folder")
    assert os.listdir(tmp_path) == []
    with pytest.raises(InvalidOptionError, match="regular file"):
        store.download_file("x", tmp_path)
