"""What a method returns of an object is what ``info`` says of it; and how that is shown."""

from __future__ import annotations

import base64
import copy
import dataclasses
import hashlib
import io
import pickle
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

import objstore
from objstore import (
    Client,
    LocalServer,
    ObjectInfo,
    ObjectLink,
    ObjectMeta,
    ObjectMetaOptions,
    ObjectStore,
)
from tests.support.proxy import Proxy
from tests.support.waiting import eventually

EVERYTHING: dict[str, Any] = {
    "description": "d",
    "mime": "text/plain",
    "headers": {"K": ["1", "2"], "k2": "ü"},
    "metadata": {"m": "n"},
}


def write(store: ObjectStore, *content: bytes, mode: str = "wb", **options: Any) -> ObjectInfo:
    with store.open("x", mode, **options) as file:
        for part in content:
            file.write(part)
    info: ObjectInfo = file.info
    return info


def with_x(act: Callable[[ObjectStore], ObjectInfo]) -> Callable[[ObjectStore], ObjectInfo]:
    """After an object with everything was put."""

    def run(store: ObjectStore) -> ObjectInfo:
        store.put("x", b"12345", **EVERYTHING)
        return act(store)

    return run


#: Whatever stores a record and returns it.
STORING: dict[str, Callable[[ObjectStore], ObjectInfo]] = {
    "put": lambda store: store.put("x", b"1"),
    "put nothing": lambda store: store.put("x"),
    "put everything": lambda store: store.put("x", b"1", **EVERYTHING, chunk_size=100),
    "put a meta": lambda store: store.put(ObjectMeta("x", max_chunk_size=10, **EVERYTHING), b"1"),
    "put a stream": lambda store: store.put("x", io.BytesIO(b"1" * 300_000), chunk_size=1000),
    "put a generator": lambda store: store.put("x", (b"1" for _ in range(10))),
    "put unicode": lambda store: store.put("ünï/ \n", b"1", description="ß", mime="a/b; c=\"d\""),
    "put over": with_x(lambda store: store.put("x", b"2")),
    "put over a revision": with_x(
        lambda store: store.put("x", b"2", if_revision=store.info("x").revision)  # type: ignore[union-attr]
    ),
    "put over a tombstone": with_x(lambda store: (store.delete("x"), store.put("x", b"2"))[1]),
    "put_many": lambda store: store.put_many([("a", b"1"), ("x", b"2")])[-1],
    "write": lambda store: write(store, b"1", b"2"),
    "write everything": lambda store: write(store, b"1" * 1000, chunk_size=99, **EVERYTHING),
    "write exclusively": lambda store: write(store, mode="xb"),
    "upload_file": lambda store: store.upload_file(__file__, "x", metadata={"a": "b"}),
    "update nothing": with_x(lambda store: store.update("x")),
    "update": with_x(lambda store: store.update("x", mime=None, headers={"a": "b"})),
    "update all": with_x(lambda store: store.update("x", ObjectMeta("x", "e", "a/b"))),
    "rename": with_x(lambda store: store.update("x", new_name="y", description="e")),
    "rename back": with_x(
        lambda store: (store.update("x", new_name="y"), store.update("y", new_name="x"))[1]
    ),
    "copy": with_x(lambda store: store.copy("x", "y")),
    "copy a link": with_x(
        lambda store: (store.link("l", (store.name, "x")), store.copy("l", "y"))[1]
    ),
    "link": with_x(lambda store: store.link("l", (store.name, "x"))),
    "link again": with_x(
        lambda store: (store.link("l", (store.name, "x")), store.link("l", (store.name, "x")))[1]
    ),
    "link_store": lambda store: store.link_store("l", store),
    "put a link": with_x(
        lambda store: store.put(
            ObjectMeta("l", options=ObjectMetaOptions(ObjectLink(store.name, "x")), **EVERYTHING)
        )
    ),
    "update a link": with_x(
        lambda store: (store.link("l", (store.name, "x")), store.update("l", description="d"))[1]
    ),
}  # fmt: skip

#: Whatever returns a record that is there.
READING: dict[str, Callable[[ObjectStore], Any]] = {
    "list": lambda store: next(store.list(prefix="x")),
    "get": lambda store: store.get("x").info,  # type: ignore[union-attr]
    "open": lambda store: store.open("x").info,
    "resolve": lambda store: store.resolve("x"),
    "download_file": lambda store: store.download_file("x", "x.out"),
    "include_deleted": lambda store: store.info("x", include_deleted=True),
}


def assert_same(returned: ObjectInfo, store: ObjectStore) -> None:
    said = store.info(returned.name)
    assert said is not None
    for field in dataclasses.fields(ObjectInfo):
        assert getattr(returned, field.name) == getattr(said, field.name), field.name
    assert returned == said
    assert said == returned
    assert hash(returned) == hash(said)
    assert repr(returned) == repr(said)
    assert str(returned.headers) == str(said.headers)
    assert (returned.sha256, returned.mime) == (said.sha256, said.mime)


@pytest.mark.parametrize("act", STORING)
def test_what_is_stored(store: ObjectStore, act: str) -> None:
    assert_same(STORING[act](store), store)


@pytest.mark.parametrize("act", STORING)
def test_what_is_stored_without_looking_at_each(store: ObjectStore, act: str) -> None:
    """Equal at once, as a whole."""
    returned = STORING[act](store)
    assert returned == store.info(returned.name)


@pytest.mark.parametrize("act", READING)
def test_what_is_read(
    store: ObjectStore, act: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store.put("x", b"12345", **EVERYTHING)
    assert_same(READING[act](store), store)


@pytest.mark.needs_server("2.11")
def test_what_expires(store: ObjectStore) -> None:
    assert_same(store.put("x", b"1", ttl=100), store)
    assert_same(store.update("x", description="d"), store)
    assert_same(store.update("x", new_name="y"), store)
    assert_same(store.put("x", ttl=timedelta(hours=1, seconds=0.25)), store)


def test_a_copy_in_another_bucket(store: ObjectStore, client: Client) -> None:
    other = client.object_store("infos-other")
    try:
        store.put("x", b"1", **EVERYTHING)
        assert_same(store.copy("x", "y", target=other), other)
    finally:
        client.delete_store("infos-other")


def test_in_a_bucket_without_direct_gets(store: ObjectStore, client: Client) -> None:
    config = store.status().stream_info.config
    client._jetstream.stream_update({**config, "allow_direct": False})
    again = client.object_store(store.name, create=False)
    assert_same(again.put("x", b"1"), again)


# --- the time, which no acknowledgement tells


def test_the_time_is_asked_for_once_and_only_by_who_looks(
    far_store: ObjectStore, proxy: Proxy
) -> None:
    """A put asks for nothing more; nor does a repr, a hash, or a comparison with another object."""
    info = far_store.put("x", b"1")
    other = far_store.put("y", b"1")
    sent: list[str] = []
    proxy.up.observe(lambda line: sent.append(line.verb))
    assert "mtime" not in repr(info)
    assert info != other
    assert info != "x"
    assert len({info, other}) == 2
    assert (info.name, info.size, info.sha256) == ("x", 1, hashlib.sha256(b"1").hexdigest())
    assert sent == []
    assert isinstance(info.mtime, datetime)
    assert len(sent) == 1
    assert info.mtime is info.mtime
    assert "mtime" in repr(info)
    assert info == info.with_changes()
    assert len(sent) == 1


def test_the_time_of_what_was_replaced(store: ObjectStore) -> None:
    """Is the acknowledgement's, by this machine's clock: the record is gone."""
    before = datetime.now(timezone.utc)
    info = store.put("x", b"1")
    after = datetime.now(timezone.utc)
    time.sleep(0.05)
    store.put("x", b"2")
    assert info.mtime is not None
    assert before <= info.mtime <= after
    gone = store.put("x", b"1")
    store.delete("x")
    assert gone.mtime is not None
    assert gone.mtime <= datetime.now(timezone.utc)


def test_the_time_without_a_connection(server: LocalServer) -> None:
    """As above, at once: a record can be looked at when all is over, and in a lost connection."""
    with Proxy(server.url) as proxy:
        with objstore.connect(proxy.url, reconnect_timeout=3600) as client:
            store = client.object_store("infos-lost")
            closed, lost, forgotten = (store.put("x", b"1") for _ in range(3))
            proxy.refusing = True
            proxy.sever()
            eventually(lambda: not client.connection.is_connected)
            assert lost.mtime is not None
        assert closed.mtime is not None
        del store, client
        assert forgotten.mtime is not None
        assert pickle.loads(pickle.dumps(forgotten)) == forgotten
    with objstore.connect(server.url) as client:
        client.delete_store("infos-lost")


@pytest.mark.parametrize(
    "duplicate",
    [
        copy.copy,
        copy.deepcopy,
        dataclasses.replace,
        lambda info: pickle.loads(pickle.dumps(info)),
        lambda info: info.with_changes(),
        lambda info: ObjectInfo(
            **{f.name: getattr(info, f.name) for f in dataclasses.fields(info)}
        ),
    ],
)
def test_copies_have_the_time(
    store: ObjectStore, duplicate: Callable[[ObjectInfo], ObjectInfo]
) -> None:
    info = duplicate(store.put("x", b"1"))
    assert info == store.info("x")
    assert dataclasses.asdict(duplicate(store.put("x", b"1")))["mtime"] == store.info("x").mtime  # type: ignore[union-attr]


def test_with_changes(store: ObjectStore) -> None:
    """Another time is another time; what has none is an error, as ever."""
    moment = datetime(2026, 1, 1, tzinfo=timezone.utc)
    info = store.put("x", b"1")
    assert info.with_changes(mtime=moment).mtime == moment
    assert info.with_changes(mtime=None).mtime is None
    with pytest.raises(TypeError, match="no nope"):
        info.with_changes(nope=1)
    with pytest.raises(AttributeError, match="nope"):
        info.nope  # type: ignore[attr-defined]  # noqa: B018 - it is the test
    assert not hasattr(info, "nope")


def test_threads_see_one_time(store: ObjectStore) -> None:
    for _ in range(20):
        info = store.put("x", b"1")
        seen: list[object] = []
        threads = [
            threading.Thread(target=lambda: seen.append(info.mtime))  # noqa: B023 - joined below
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(seen) == 8
        assert set(seen) == {store.info("x").mtime}  # type: ignore[union-attr]


def test_a_record_keeps_no_connection_open(server: LocalServer) -> None:
    client = objstore.connect(server.url)
    info = client.object_store("infos-kept").put("x", b"1")
    client.delete_store("infos-kept")
    with pytest.warns(ResourceWarning, match="unclosed"):
        del client
    assert info.mtime is not None


# --- how it is shown


def test_repr(store: ObjectStore) -> None:
    """All that says something, on one line; what is empty is left out."""
    store.put("dir/x.txt", b"12345", ttl=None, **EVERYTHING)
    info = store.info("dir/x.txt")
    assert info is not None
    assert info.mtime is not None
    shown = repr(info)
    assert shown.startswith(
        f"ObjectInfo(bucket='{store.name}', name='dir/x.txt', size=5, mime='text/plain', mtime='20"
    )
    assert f"revision={info.revision}, description='d'" in shown
    assert "headers={'K': ['1', '2'], 'k2': ['ü']}, metadata={'m': 'n'}" in shown
    assert info.mtime.isoformat(" ", "milliseconds") in shown
    for absent in ("deleted", "link", "ttl", "extra", "options", "object at 0x"):
        assert absent not in shown
    store.delete("dir/x.txt")
    assert "deleted=True" in repr(store.info("dir/x.txt", include_deleted=True))
    link = store.link_store("l", store)
    assert f"link=ObjectLink(bucket='{store.name}', name=None)" in repr(link)
    assert str(link) == repr(link)


def test_repr_is_one_short_line() -> None:
    long: dict[str, Any] = {str(number) * 100: ["v\n" * 100] * 100 for number in range(100)}
    info = ObjectInfo(
        "b",
        "name\n" * 500,
        description="text\r\n" * 1000,
        metadata=dict.fromkeys(long, "v" * 10000),
        header_values={"Content-Type": ["a/b" * 1000], **long},
        extra=long,
        digest="SHA-256=" + "x" * 10_000,
        nuid="n" * 1000,
    )
    shown = repr(info)
    assert len(shown) < 3000
    assert len(shown.splitlines()) == 1
    assert shown.isprintable()


def test_sha256(store: ObjectStore) -> None:
    """In hex, as sha256sum prints it, whatever client wrote the record; or None."""
    content = b"12345" * 100_000
    for payload in (content, b""):
        info = store.put("x", payload)
        assert info.sha256 == hashlib.sha256(payload).hexdigest()
    assert store.link("l", info).sha256 is None
    raw = hashlib.sha256(content).digest()
    spelled = "sha-256=" + base64.b64encode(raw).decode().rstrip("=")
    assert ObjectInfo("b", "x", digest=spelled).sha256 == raw.hex()
    for other in ("", "SHA-256=", "MD5=abc", "SHA-256=short"):
        assert ObjectInfo("b", "x", digest=other).sha256 is None
