"""Arguments that cannot be used are refused before anything is sent, by every method."""

from __future__ import annotations

import io
import itertools
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
    LocalServer,
    ObjectInfo,
    ObjectLink,
    ObjectMeta,
    ObjectMetaOptions,
    ObjectStore,
)
from tests.support.proxy import Proxy

pytestmark = pytest.mark.newest_server

Act = Callable[[ObjectStore], object]


@pytest.fixture(scope="module")
def proxy(server: LocalServer) -> Iterator[Proxy]:
    """One for all tests: none of them does anything to it."""
    with Proxy(server.url) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def far_client(proxy: Proxy) -> Iterator[Client]:
    """One that has time: here no answer is ever lost."""
    with objstore.connect(proxy.url) as client:
        yield client


@pytest.fixture(scope="module")
def bucket(shared_client: Client) -> Iterator[ObjectStore]:
    """One for all tests: nothing reaches it."""
    store = shared_client.object_store("bad-arguments")
    store.put("x", b"old")
    yield store
    shared_client.delete_store(store.name)


@pytest.fixture(scope="module")
def sent(proxy: Proxy) -> list[str]:
    """What the client has sent."""
    sent: list[str] = []
    proxy.up.observe(lambda line: sent.append(f"{line.verb} {line.subject}"))
    return sent


@pytest.fixture
def silent(sent: list[str], far_client: Client, bucket: ObjectStore) -> Iterator[ObjectStore]:
    """The bucket, to which nothing may be sent."""
    silent = far_client.object_store(bucket.name, create=False)
    far_client.connection.ping()
    sent.clear()
    yield silent
    far_client.connection.ping()
    assert set(sent) - {"PONG "} == {"PING "}  # a server asks, too, in its own time
    assert bucket.read_bytes("x") == b"old"


def check_refused(
    act: Callable[..., object],
    *arguments: Any,
    error: type[Exception] | tuple[type[Exception], ...] = InvalidOptionError,
    words: str = "",
    **options: Any,
) -> None:
    """Call something, and fail with what it was given unless it raises such an error."""
    refusal = None
    try:
        act(*arguments, **options)
    except error as raised:
        refusal = raised
    assert refusal is not None, f"{arguments[1:]!r} and {options!r} were not refused"
    assert words in str(refusal)


#: What is no name of an object's.
NO_NAMES: list[Any] = ["", "x" * 2901, "\ud800", b"bytes", 1, None]


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
def test_names(act: str, silent: ObjectStore) -> None:
    for name in NO_NAMES:
        if name is not None or act not in OPTIONAL:
            check_refused(NAMED[act], silent, name, error=InvalidNameError)


def test_what_cannot_be_a_name_is_not_in_there(silent: ObjectStore) -> None:
    assert [name for name in NO_NAMES if name in silent] == []


def test_names_of_buckets(silent: ObjectStore, far_client: Client) -> None:
    acts: list[Callable[[ObjectStore, Any], object]] = [
        lambda _, name: far_client.object_store(name),
        lambda _, name: far_client.object_store(name, create=False),
        lambda _, name: far_client.object_store("new", mirror=name),
        lambda _, name: far_client.object_store("new", sources=[name]),
        lambda _, name: far_client.update_store(name, description="d"),
        lambda _, name: far_client.clone_store(name, "new"),
        lambda store, name: far_client.clone_store(store.name, name),
        lambda _, name: far_client.store_metrics(name),
        lambda _, name: far_client.delete_store(name),
        lambda store, name: store.link("l", (name, "x")),
        lambda store, name: store.link_store("l", name),
        lambda store, name: store.put(
            ObjectMeta("l", options=ObjectMetaOptions(ObjectLink(name, "x")))
        ),
    ]
    names = ["", "a b", "a.b", "ä", ">", "*", "a\r\n", b"b", 1, "x" * 252, "x" * 5000]
    for act, name in itertools.product(acts, names):
        check_refused(act, silent, name, error=(InvalidNameError, InvalidOptionError))


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


DESCRIPTIONS: list[dict[str, Any]] = [
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
]


@pytest.mark.parametrize("act", DESCRIBING)
def test_descriptions(act: str, silent: ObjectStore) -> None:
    for options in DESCRIPTIONS:
        check_refused(DESCRIBING[act], silent, **options)


OPTIONS: list[dict[str, Any]] = [
    *({"chunk_size": size} for size in (0, -1, 1.5, True, "1")),
    *({"ttl": ttl} for ttl in (0, 0.5, -1, "1h", True, float("nan"), timedelta(0))),
    *({"ttl": ttl} for ttl in (timedelta.max, timedelta(days=293 * 365), 1e11, float("inf"))),
    *({"timeout": timeout} for timeout in (0, -1, "1", float("nan"), True)),
    *({"progress": progress} for progress in (3, "bar")),
]


@pytest.mark.parametrize("act", ["put", "open wb", "open xb", "upload_file"])
def test_options(act: str, silent: ObjectStore) -> None:
    for options in OPTIONS:
        check_refused(DESCRIBING[act], silent, **options)
    unknown = InvalidOptionError if act.startswith("open") else TypeError
    words = "open() for writing got" if act.startswith("open") else "'unknown'"
    check_refused(DESCRIBING[act], silent, error=unknown, words=words, unknown=1)


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
def test_revisions(act: str, silent: ObjectStore) -> None:
    for revision in (-1, "1", 1.0, True):
        check_refused(REVISED[act], silent, revision, words="if_revision")


def test_payloads(silent: ObjectStore) -> None:
    def put_link(store: ObjectStore, payload: Any) -> None:
        link = ObjectLink(store.name, "x")
        store.put(ObjectMeta("l", options=ObjectMetaOptions(link=link)), payload)

    payloads: list[Any] = ["text", {"a": 1}, io.StringIO("text"), 12, 3.5, object, True]
    for payload in payloads:
        check_refused(ObjectStore.put, silent, "x", payload, error=InvalidPayloadError)
        either = InvalidPayloadError, InvalidOptionError
        check_refused(put_link, silent, payload, error=either)


def test_targets_of_links(silent: ObjectStore) -> None:
    targets: list[Any] = ["x", None, ("b",), ("b", "x", "y"), ["b", "x"], 1]
    for target in targets:
        check_refused(ObjectStore.link, silent, "l", target, words="target")


def test_modes(silent: ObjectStore) -> None:
    modes: list[Any] = ["at", "r+", "b", "a", "r+b", "", "ab", None, 1]
    for mode in modes:
        check_refused(ObjectStore.open, silent, "x", mode, words="mode")


def test_what_else_methods_take(silent: ObjectStore, tmp_path: Path) -> None:
    acts: list[Act] = [
        lambda store: store.get("x", progress=3),  # type: ignore[arg-type]
        lambda store: store.download_file("x", tmp_path / "y", progress=3),  # type: ignore[arg-type]
        lambda store: store.download_file("x", tmp_path),
        lambda store: store.get_many("x"),
        lambda store: store.get_many(b"x"),  # type: ignore[arg-type]
        lambda store: store.get_many(None),  # type: ignore[arg-type]
        lambda store: store.delete_many(None),  # type: ignore[arg-type]
        lambda store: store.update("x", "y"),  # type: ignore[arg-type]
        lambda store: store.update("x", ObjectMeta("x"), new_name=""),
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


BUCKET_OPTIONS: list[dict[str, Any]] = [
    *({"max_bytes": value} for value in (0, "1", True, 1.5, 1 << 63)),
    *({"max_object_size": value} for value in (-5, "1", True, 1 << 63)),
    *({"replicas": value} for value in (0, "1", True)),
    *({"storage": value} for value in ("tape", 1)),
    *({"ttl": value} for value in (-1, "1h", float("nan"), True, timedelta(-1))),
    *({"compression": value} for value in ("zip", 7)),
    *({"metadata": value} for value in ({"a": 1}, {1: "a"}, ["a"], {"a": "\ud800"})),
    *({"metadata": {key: "5"}} for key in ("_nats.level", "objstore.max_object_size")),
    *({"description": value} for value in (b"x", 1, "\ud800")),
    *({"placement": value} for value in ("east", 1)),
    *({"republish": value} for value in ("there.>", 1)),
    *({"mirror": value} for value in (1, ["x"])),
    *({"sources": value} for value in ("x", [1], 1)),
    {"mirror": "a", "sources": ["b"]},
    {"unknown": 1},
    {"consistency": "maybe"},
]


@pytest.mark.parametrize("method", ["object_store", "update_store", "clone_store"])
def test_options_of_buckets(method: str, silent: ObjectStore, far_client: Client) -> None:
    names = [silent.name, "new"] if method == "clone_store" else [silent.name]
    for options in BUCKET_OPTIONS:
        either = InvalidOptionError, InvalidNameError
        check_refused(getattr(far_client, method), *names, error=either, **options)
