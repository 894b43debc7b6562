"""Headers and metadata that are known when the payload has been read to its end."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from objstore import (
    Client,
    InvalidOptionError,
    ObjectInfo,
    ObjectLink,
    ObjectMeta,
    ObjectMetaOptions,
    ObjectStore,
)
from tests.support.proxy import Proxy, metadata_of
from tests.support.streams import orphans

DATA = bytes(range(256)) * 1000


class Hashed(io.RawIOBase):
    """A file that knows the MD5 of what was read."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)
        self.md5 = hashlib.md5(usedforsecurity=False)
        self.calls = 0

    def read(self, size: int = -1, /) -> bytes:
        data = self._data.read(size)
        self.md5.update(data)
        return data

    def headers(self) -> dict[str, str]:
        self.calls += 1
        return {"X-MD5": self.md5.hexdigest()}

    def metadata(self) -> dict[str, str]:
        self.calls += 1
        return {"md5": self.md5.hexdigest()}


def put(store: ObjectStore, file: Hashed, **options: Any) -> ObjectInfo:
    return store.put("a", file, **options)


def put_many(store: ObjectStore, file: Hashed, **options: Any) -> ObjectInfo:
    return store.put_many([("a", file)], **options)[0]


def write(store: ObjectStore, file: Hashed, **options: Any) -> ObjectInfo:
    with store.open("a", "wb", **options) as writer:
        writer.write(file.read())
    info = writer.info
    assert isinstance(info, ObjectInfo)
    return info


@pytest.mark.parametrize("way", [put, put_many, write])
@pytest.mark.parametrize("data", [DATA, b"small", b""])
def test_functions_are_called_once_at_the_end(
    way: Callable[..., ObjectInfo], data: bytes, store: ObjectStore
) -> None:
    file = Hashed(data)
    info = way(store, file, headers=file.headers, metadata=file.metadata, mime="text/x-a")
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    assert (dict(info.headers), info.metadata) == (
        {"X-MD5": digest, "Content-Type": "text/x-a"},
        {"md5": digest},
    )
    assert info.mime == "text/x-a"
    assert file.calls == 2
    assert store.info("a") == info


def test_with_a_file(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a")
    info = store.upload_file(tmp_path / "a.txt", metadata=lambda: {"k": "v"})
    assert (info.metadata, info.mime) == ({"k": "v"}, "text/plain")


def test_a_link_has_no_payload_to_wait_for(store: ObjectStore) -> None:
    store.put("a", b"a")
    options = ObjectMetaOptions(link=ObjectLink(store.name, "a"))
    info = store.put(ObjectMeta("l", options=options), metadata=lambda: {"k": "v"})
    assert info.metadata == {"k": "v"}


def failing() -> dict[str, str]:
    raise LookupError("of mine")


@pytest.mark.parametrize("way", [put, put_many, write])
@pytest.mark.parametrize(
    ("function", "error"),
    [
        (failing, LookupError),
        (lambda: {"k": "a\nb"}, InvalidOptionError),
        (lambda: [1], InvalidOptionError),
    ],
)
def test_where_a_function_fails_nothing_is_stored(
    way: Callable[..., ObjectInfo],
    function: Any,
    error: type[Exception],
    store: ObjectStore,
    client: Client,
) -> None:
    store.put("a", b"old")
    with pytest.raises(error):
        way(store, Hashed(DATA), headers=function)
    assert store.read_bytes("a") == b"old"
    assert not orphans(client, store)


def test_what_was_said_stays_when_somebody_else_is_faster(
    far_store: ObjectStore, store: ObjectStore, proxy: Proxy, client: Client
) -> None:
    proxy.up.call(metadata_of(store.name), lambda: store.put("a", b"first"))
    file = Hashed(DATA)
    info = far_store.put("a", file, metadata=file.metadata, headers=file.headers)
    assert file.calls == 2
    assert info.metadata == {"md5": file.md5.hexdigest()}
    assert info.headers["X-MD5"] == file.md5.hexdigest()
    assert store.info("a") == info
    assert not orphans(client, store)


# --- writers


MODES = [("wb", b"some text"), ("w", "some text")]


@pytest.mark.parametrize(("mode", "data"), MODES)
def test_a_writer_is_told_until_the_commit(mode: str, data: Any, store: ObjectStore) -> None:
    with store.open("a", mode, mime="text/x-a", headers={"X": "1"}, metadata={"k": "v"}) as writer:
        writer.write(data)
        assert dict(writer.headers) == {"X": "1", "Content-Type": "text/x-a"}
        writer.headers["Y"] = "2"
        writer.metadata["l"] = "w"
        info = writer.commit()
        assert writer.closed
        assert writer.commit() is info
    assert dict(info.headers) == {"X": "1", "Content-Type": "text/x-a", "Y": "2"}
    assert info.metadata == {"k": "v", "l": "w"}
    assert store.info("a") == info
    assert store.read_bytes("a") == b"some text"


@pytest.mark.parametrize(("mode", "data"), MODES)
def test_a_writer_can_be_set(mode: str, data: Any, store: ObjectStore) -> None:
    """In place of what it was opened with, functions too; the media type stays."""
    with store.open("a", mode, mime="text/x-a", headers=failing, metadata=failing) as writer:
        writer.write(data)
        writer.headers = {"X": ["1", "2"]}
        writer.metadata = lambda: {"k": "v"}
    info = store.info("a")
    assert info is not None
    assert info.headers.getlist("X") == ["1", "2"]
    assert (info.mime, info.metadata) == ("text/x-a", {"k": "v"})


def test_what_a_writer_cannot_store_is_refused_at_once_or_at_the_end(
    client: Client, store: ObjectStore
) -> None:
    writer = store.open("a", "wb")
    with pytest.raises(InvalidOptionError):
        writer.headers = {"X": "a\nb"}
    with pytest.raises(InvalidOptionError):
        writer.metadata = {"k": 1}  # type: ignore[dict-item]
    writer.write(DATA)
    writer.metadata["k"] = 1  # type: ignore[assignment]
    with pytest.raises(InvalidOptionError):
        writer.commit()
    assert store.info("a") is None
    assert not orphans(client, store)


@pytest.mark.parametrize(("mode", "data"), MODES)
def test_a_discarded_writer_leaves_nothing(
    mode: str, data: Any, client: Client, store: ObjectStore
) -> None:
    writer = store.open("a", mode, chunk_size=4)
    writer.write(data)
    writer.discard()
    writer.discard()
    assert store.info("a") is None
    with pytest.raises(ValueError, match="discarded"):
        writer.commit()
    with pytest.raises(ValueError, match="closed"):
        writer.metadata = {}
    assert not orphans(client, store)
