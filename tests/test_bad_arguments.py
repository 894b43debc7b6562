"""Arguments that cannot be used are refused before anything is sent, by every method."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import objstore
from objstore import (
    Client,
    InvalidNameError,
    InvalidOptionError,
    InvalidPayloadError,
    ObjectInfo,
    ObjectLink,
    ObjectMeta,
    ObjectMetaOptions,
    ObjectStore,
)
from tests.support.proxy import Proxy

pytestmark = pytest.mark.newest_server

Act = Callable[[ObjectStore], object]


@pytest.fixture
def far_client(proxy: Proxy) -> Iterator[Client]:
    """One that has time: here no answer is ever lost."""
    with objstore.connect(proxy.url) as client:
        yield client


@pytest.fixture
def silent(proxy: Proxy, far_client: Client, store: ObjectStore) -> Iterator[ObjectStore]:
    """The test's bucket, to which nothing may be sent."""
    store.put("x", b"old")
    silent = far_client.object_store(store.name, create=False)
    sent: list[str] = []
    proxy.up.observe(lambda line: sent.append(f"{line.verb} {line.subject}"))
    yield silent
    far_client.connection.ping()
    assert set(sent) == {"PING "}
    assert store.read_bytes("x") == b"old"


#: Whatever takes the name of an object.
NAMED: dict[str, Callable[[ObjectStore, Any], object]] = {
    "put": lambda store, name: store.put(name, b"1"),
    "put meta": lambda store, name: store.put(ObjectMeta(name), b"1"),
    "put link": lambda store, name: store.put(
        ObjectMeta(name, options=ObjectMetaOptions(link=ObjectLink(store.name, "x")))
    ),
    "get": lambda store, name: store.get(name),
    "info": lambda store, name: store.info(name),
    "info deleted": lambda store, name: store.info(name, include_deleted=True),
    "delete": lambda store, name: store.delete(name),
    "resolve": lambda store, name: store.resolve(name),
    "update": lambda store, name: store.update(name, description="d"),
    "update meta": lambda store, name: store.update("x", ObjectMeta(name)),
    "rename": lambda store, name: store.update("x", new_name=name),
    "rename it": lambda store, name: store.update(name, new_name="y"),
    "link": lambda store, name: store.link(name, (store.name, "x")),
    "link to it": lambda store, name: store.link("l", (store.name, name)),
    "link to its info": lambda store, name: store.link("l", ObjectInfo(store.name, name)),
    "link_store": lambda store, name: store.link_store(name, store),
    "open rb": lambda store, name: store.open(name),
    "open wb": lambda store, name: store.open(name, "wb"),
    "open xb": lambda store, name: store.open(name, "xb"),
    "read_bytes": lambda store, name: store.read_bytes(name),
    "read_text": lambda store, name: store.read_text(name),
    "read_range": lambda store, name: store.read_range(name, 0, 1),
    "get_many": lambda store, name: list(store.get_many([name])),
    "upload_file": lambda store, name: store.upload_file(__file__, name),
    "download_file": lambda store, name: store.download_file(name, "never-written"),
    "copy": lambda store, name: store.copy(name, "y"),
    "copy to it": lambda store, name: store.copy("x", name),
    "verify": lambda store, name: store.verify(name),
}

#: None: the name that there is, or all, where a method says so.
OPTIONAL = {"update meta", "rename", "upload_file", "verify", "link to it"}


@pytest.mark.parametrize("act", NAMED)
@pytest.mark.parametrize("name", ["", "x" * 2901, "\ud800", b"bytes", 1, None], ids=repr)
def test_names(act: str, name: Any, silent: ObjectStore) -> None:
    if name is None and act in OPTIONAL:
        return
    with pytest.raises(InvalidNameError):
        NAMED[act](silent, name)


@pytest.mark.parametrize("name", ["", "a b", "a.b", "ä", ">", "*", "a\r\n", b"b", 1], ids=repr)
def test_names_of_buckets(name: Any, silent: ObjectStore, far_client: Client) -> None:
    acts: list[Callable[[], object]] = [
        lambda: far_client.object_store(name),
        lambda: far_client.object_store(name, create=False),
        lambda: far_client.object_store("new", mirror=name),
        lambda: far_client.object_store("new", sources=[name]),
        lambda: far_client.update_store(name, description="d"),
        lambda: far_client.clone_store(name, "new"),
        lambda: far_client.clone_store(silent.name, name),
        lambda: far_client.store_metrics(name),
        lambda: far_client.delete_store(name),
        lambda: silent.link("l", (name, "x")),
        lambda: silent.link_store("l", name),
        lambda: silent.put(ObjectMeta("l", options=ObjectMetaOptions(ObjectLink(name, "x")))),
    ]
    for act in acts:
        with pytest.raises((InvalidNameError, InvalidOptionError)):
            act()


#: What describes an object, wherever it can be said.
DESCRIBING: dict[str, Callable[..., object]] = {
    "put": lambda store, **options: store.put("x", b"1", **options),
    "put link": lambda store, **options: store.put(
        ObjectMeta("l", options=ObjectMetaOptions(link=ObjectLink(store.name, "x"))), **options
    ),
    "open wb": lambda store, **options: store.open("x", "wb", **options),
    "open xb": lambda store, **options: store.open("new", "xb", **options),
    "upload_file": lambda store, **options: store.upload_file(__file__, "x", **options),
    "update": lambda store, **options: store.update("x", **options),
    "rename": lambda store, **options: store.update("x", new_name="y", **options),
    "meta": lambda store, **options: store.put(ObjectMeta("x", **options), b"1"),
    "update meta": lambda store, **options: store.update("x", ObjectMeta("x", **options)),
}


@pytest.mark.parametrize("act", DESCRIBING)
@pytest.mark.parametrize(
    "options",
    [
        {"headers": {"a b": "x"}},
        {"headers": {"": "x"}},
        {"headers": {"a:b": "x"}},
        {"headers": {"a\r\nb": "x"}},
        {"headers": {"a": "x\r\nInjected: yes"}},
        {"headers": {"a": ["fine", "x\ny"]}},
        {"headers": {"a": "x\ry"}},
        {"headers": {"a": "\0"}},
        {"headers": {"a": 1}},
        {"headers": {"a": [1]}},
        {"headers": {"a": b"x"}},
        {"headers": {1: "x"}},
        {"headers": [("a", "b")]},
        {"headers": {"a": "\ud800"}},
        {"mime": "a\r\nb"},
        {"mime": 1},
        {"metadata": {"a": 1}},
        {"metadata": {"a": None}},
        {"metadata": {1: "a"}},
        {"metadata": ["a"]},
        {"metadata": {"a": "\ud800"}},
        {"metadata": {"\ud800": "a"}},
        {"description": 1},
        {"description": b"d"},
        {"description": "\ud800"},
    ],
    ids=repr,
)
def test_descriptions(act: str, options: dict[str, Any], silent: ObjectStore) -> None:
    with pytest.raises(InvalidOptionError):
        DESCRIBING[act](silent, **options)


@pytest.mark.parametrize("act", ["put", "open wb", "open xb", "upload_file"])
@pytest.mark.parametrize(
    "options",
    [
        *({"chunk_size": size} for size in (0, -1, 1.5, True, "1")),
        *({"ttl": ttl} for ttl in (0, 0.5, -1, "1h", True, float("nan"), timedelta(0))),
        *({"timeout": timeout} for timeout in (0, -1, "1", float("nan"), True)),
        *({"progress": progress} for progress in (3, "bar")),
        {"unknown": 1},
    ],
    ids=repr,
)
def test_options(act: str, options: dict[str, Any], silent: ObjectStore) -> None:
    error = TypeError if "unknown" in options and not act.startswith("open") else InvalidOptionError
    with pytest.raises(error):
        DESCRIBING[act](silent, **options)


REVISED: dict[str, Callable[[ObjectStore, Any], object]] = {
    "put": lambda store, revision: store.put("x", b"1", if_revision=revision),
    "open": lambda store, revision: store.open("x", "wb", if_revision=revision),
    "upload_file": lambda store, revision: store.upload_file(__file__, if_revision=revision),
    "update": lambda store, revision: store.update("x", mime="a/b", if_revision=revision),
    "rename": lambda store, revision: store.update("x", new_name="y", if_revision=revision),
    "delete": lambda store, revision: store.delete("x", if_revision=revision),
    "link": lambda store, revision: store.link("l", (store.name, "x"), if_revision=revision),
    "link_store": lambda store, revision: store.link_store("l", store, if_revision=revision),
}


@pytest.mark.parametrize("act", REVISED)
@pytest.mark.parametrize("revision", [-1, "1", 1.0, True], ids=repr)
def test_revisions(act: str, revision: Any, silent: ObjectStore) -> None:
    with pytest.raises(InvalidOptionError, match="if_revision"):
        REVISED[act](silent, revision)


@pytest.mark.parametrize(
    "payload",
    ["text", {"a": 1}, pytest.param(io.StringIO("text"), id="text file"), 12, 3.5, object, True],
    ids=repr,
)
def test_payloads(payload: Any, silent: ObjectStore) -> None:
    with pytest.raises(InvalidPayloadError):
        silent.put("x", payload)
    with pytest.raises((InvalidPayloadError, InvalidOptionError)):
        silent.put(
            ObjectMeta("l", options=ObjectMetaOptions(link=ObjectLink(silent.name, "x"))), payload
        )


@pytest.mark.parametrize("target", ["x", None, ("b",), ("b", "x", "y"), ["b", "x"], 1], ids=repr)
def test_targets_of_links(target: Any, silent: ObjectStore) -> None:
    with pytest.raises(InvalidOptionError, match="target"):
        silent.link("l", target)


@pytest.mark.parametrize("mode", ["at", "r+", "b", "a", "r+b", "", "ab", None, 1], ids=repr)
def test_modes(mode: Any, silent: ObjectStore) -> None:
    with pytest.raises(InvalidOptionError, match="mode"):
        silent.open("x", mode)


def test_what_else_methods_take(silent: ObjectStore, tmp_path: Path) -> None:
    acts: list[Act] = [
        lambda store: store.get("x", progress=3),  # type: ignore[arg-type]
        lambda store: store.download_file("x", tmp_path / "y", progress=3),  # type: ignore[arg-type]
        lambda store: store.download_file("x", tmp_path),
        lambda store: store.get_many("x"),
        lambda store: store.get_many(b"x"),  # type: ignore[arg-type]
        lambda store: store.open("x", "rb", chunk_size=1),
        lambda store: store.watch(include_history=True, updates_only=True),
        lambda store: store.collect_garbage(min_age=-1),
        lambda store: store.copy("x", "y", target="bucket"),  # type: ignore[arg-type]
        lambda store: store.read_range("x", "0", 1),  # type: ignore[arg-type]
        lambda store: store.read_range("x", 0, 1.5),  # type: ignore[arg-type]
        lambda store: list(store.list(prefix=1)),  # type: ignore[arg-type]
        lambda store: store.link_store("l", None),  # type: ignore[arg-type]
    ]
    for act in acts:
        with pytest.raises((InvalidOptionError, InvalidNameError)):
            act(silent)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("method", ["object_store", "update_store", "clone_store"])
@pytest.mark.parametrize(
    "options",
    [
        *({"max_bytes": value} for value in (0, "1", True, 1.5)),
        *({"max_object_size": value} for value in (-5, "1", True)),
        *({"replicas": value} for value in (0, "1", True)),
        *({"storage": value} for value in ("tape", 1)),
        *({"ttl": value} for value in (-1, "1h", float("nan"), True, timedelta(-1))),
        *({"compression": value} for value in ("zip", 7)),
        *({"metadata": value} for value in ({"a": 1}, {1: "a"}, ["a"], {"a": "\ud800"})),
        *({"description": value} for value in (b"x", 1, "\ud800")),
        *({"placement": value} for value in ("east", 1)),
        *({"republish": value} for value in ("there.>", 1)),
        *({"mirror": value} for value in (1, ["x"])),
        *({"sources": value} for value in ("x", [1], 1)),
        {"mirror": "a", "sources": ["b"]},
        {"unknown": 1},
        {"consistency": "maybe"},
    ],
    ids=repr,
)
def test_options_of_buckets(
    method: str, options: dict[str, Any], silent: ObjectStore, far_client: Client
) -> None:
    names = [silent.name, "new"] if method == "clone_store" else [silent.name]
    with pytest.raises((InvalidOptionError, InvalidNameError)):
        getattr(far_client, method)(*names, **options)
