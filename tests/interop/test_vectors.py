"""What other clients left in buckets: every record of theirs is read, changed and replaced.

``tests/data/*.json`` hold all messages of a bucket as nats.go, nats.js and nats-py wrote it. The
streams are made anew from them; the sequences are not the same, since what was purged is missing.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from objstore import (
    BucketConfigError,
    Client,
    LinkError,
    ObjectExistsError,
    ObjectLink,
    ObjectNotFoundError,
    ObjectStore,
)
from objstore.model.objects import meta_subject
from objstore.wire.jetstream.pages import all_streams
from tests.support.contents import pattern
from tests.support.streams import api, chunk_counts, orphans, record, subjects, write_record

DATA = Path(__file__).parent.parent / "data"
FILES = sorted(path.stem for path in DATA.glob("*.json"))

BIG = pattern(300 * 1024 + 17)
UNICODE = "dir/sub dir/naïve ☃ 名前.txt"


@dataclass(frozen=True)
class Expected:
    """An object as it must be read.

    Attributes:
        content: of the object, or of what the link leads to.
        chunks: how many there are.
        description, mime, headers, metadata, chunk_size, link: as the record says.
        digest: whether the record has one.
    """

    content: bytes = b""
    chunks: int = 1
    description: str = ""
    mime: str | None = None
    headers: dict[str, list[str]] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    chunk_size: int | None = 131_072
    digest: bool = True
    link: ObjectLink | None = None


def _link(bucket: str, name: str | None = None, **more: Any) -> Expected:
    content = {"hello.txt": b"hello, world", "target": b"in the other bucket"}.get(name or "", b"")
    more = {"chunk_size": None, "digest": False, **more}
    return Expected(content, 0, link=ObjectLink(bucket, name), **more)


HELLO = {"hello.txt": Expected(b"hello, world"), "empty": Expected(b"", 0)}
BIG_BIN = {"big.bin": Expected(BIG, 3)}
FULL = Expected(
    BIG[:4321],
    5,
    description="all the fields",
    mime="application/json",
    headers={"Content-Type": ["application/json"], "x-multi": ["one", "two"]},
    metadata={"a": "1", "b": "2"},
    chunk_size=1000,
)
OVERWRITTEN = {"overwritten": Expected(b"second")}
OTHER = {"target": Expected(b"in the other bucket")}

OBJECTS: dict[str, dict[str, Expected]] = {
    "vec-go-other": OTHER,
    "vec-js-other": OTHER,
    "vec-go": {
        **HELLO,
        "no-reader": Expected(b"", 0, digest=False),
        **BIG_BIN,
        UNICODE: Expected(b"unicode"),
        "full-meta.json": FULL,
        "short-reads": Expected(BIG[:5000], 7),
        "new-name": Expected(b"renamed", description="moved"),
        **OVERWRITTEN,
        "link-same": _link("vec-go", "hello.txt"),
        "link-other": _link("vec-go-other", "target"),
        "link-bucket": _link("vec-go-other"),
    },
    "vec-js": {
        **HELLO,
        **BIG_BIN,
        "dir/sub dir/plain name.txt": Expected(b"unicode"),
        "full-meta.json": FULL,
        "new-name": Expected(b"renamed", description="moved", chunk_size=None),
        "updated": Expected(b"updated", description="twice", chunk_size=None),
        "link-same": _link("vec-js", "hello.txt"),
        "link-other": _link("vec-js-other", "target"),
        "link-bucket": _link("vec-js-other", digest=True, chunk_size=131_072),
    },
    "vec-py": {
        **HELLO,
        **BIG_BIN,
        UNICODE: Expected(b"unicode"),
        "full-meta.json": Expected(
            BIG[:4321],
            5,
            description="all the fields",
            mime="application/json",
            headers={"Content-Type": ["application/json"], "x-one": ["one"]},
            chunk_size=1000,
        ),
        **OVERWRITTEN,
        "updated": Expected(b"updated", description="once"),
    },
}
ROWS = [(file, name) for file, expected in OBJECTS.items() for name in expected]
LINKS = [(file, name) for file, name in ROWS if OBJECTS[file][name].link is not None]
PLAIN = [row for row in ROWS if row not in LINKS]

row = pytest.mark.parametrize(("file", "name"), ROWS)


def _vectors(file: str) -> dict[str, Any]:
    vectors: dict[str, Any] = json.loads((DATA / f"{file}.json").read_text())
    return vectors


def _headers(raw: str | None) -> dict[str, str]:
    lines = base64.b64decode(raw or "").decode().split("\r\n")[1:]
    return dict(line.split(": ", 1) for line in lines if line)


def _parts(message: dict[str, Any]) -> tuple[str, bytes, dict[str, str]]:
    """A message's subject, payload and headers."""
    payload = base64.b64decode(message["data_b64"] or "")
    return message["subject"], payload, _headers(message["headers_b64"])


def _recreate(client: Client, file: str) -> ObjectStore:
    """Make a bucket as they left it: each message with its headers, in order."""
    vectors = _vectors(file)
    config = vectors["stream_config"]
    config["storage"] = "memory"  # a file may not be gone yet when the next test makes it again
    config["metadata"] = {
        key: value for key, value in config["metadata"].items() if not key.startswith("_nats.")
    }
    assert "error" not in api(client.connection, f"STREAM.CREATE.{config['name']}", config)
    *earlier, last = map(_parts, vectors["messages"])
    for subject, payload, headers in earlier:
        client.connection.publish(subject, payload=payload, headers=headers)
    subject, payload, headers = last
    answer = client.connection.request(subject, payload=payload, headers=headers)
    assert json.loads(answer.payload)["seq"] == len(vectors["messages"])  # none was refused
    return client.object_store(vectors["bucket"], create=False)


class Buckets:
    """All buckets of the vectors as they were left, each made anew where a test has changed it.

    Arguments:
        client: makes them.

    Attributes:
        stores: by file.
    """

    def __init__(self, client: Client) -> None:
        self.stores: dict[str, ObjectStore] = {}
        self._client = client
        self._made: dict[str, object] = {}

    def restore(self) -> dict[str, ObjectStore]:
        """Make anew what is not as it was made: its configuration, its messages, its time."""
        states = self._states()
        changed = [file for file in FILES if states.get(file, 0) != self._made.get(file)]
        for file in changed:
            if file in states:
                self._client.delete_store(file)
            self.stores[file] = _recreate(self._client, file)
        if changed:
            self._made = self._states()
        return dict(self.stores)

    def delete(self) -> None:
        """Delete all that are still there."""
        for file in self._states():
            self._client.delete_store(file)

    def _states(self) -> dict[str, object]:
        """All that the server says of each that is there."""
        states: dict[str, object] = {}
        for stream in all_streams(self._client._jetstream):
            bucket = stream["config"]["name"].removeprefix("OBJ_")
            if bucket in FILES:
                states[bucket] = stream["created"], stream["config"], stream["state"]
        return states


@pytest.fixture(scope="module")
def kept_buckets(shared_client: Client) -> Iterator[Buckets]:
    """What most tests only read is made once: to make all of it takes 50 ms."""
    buckets = Buckets(shared_client)
    yield buckets
    buckets.delete()


@pytest.fixture
def buckets(kept_buckets: Buckets) -> dict[str, ObjectStore]:
    """All buckets of the vectors; links lead from one to another."""
    return kept_buckets.restore()


def test_no_file_is_forgotten() -> None:
    """Every record of every file is either expected below or a tombstone."""
    assert sorted(OBJECTS) == FILES
    for file in FILES:
        names = {
            json.loads(base64.b64decode(message["data_b64"]))["name"]
            for message in _vectors(file)["messages"]
            if ".M." in message["subject"]
        }
        assert names - {"deleted"} == set(OBJECTS[file])


@row
def test_info(file: str, name: str, buckets: dict[str, ObjectStore]) -> None:
    expected, info = OBJECTS[file][name], buckets[file].info(name)
    assert info is not None
    assert name in buckets[file]
    assert (info.bucket, info.name, info.deleted) == (file, name, False)
    assert (info.description, info.mime) == (expected.description, expected.mime)
    assert dict(info.header_values) == expected.headers
    assert {key: info.headers.getlist(key) for key in info.headers} == expected.headers
    assert info.metadata == expected.metadata
    assert (info.link, info.options.chunk_size) == (expected.link, expected.chunk_size)
    assert (info.chunks, bool(info.digest)) == (expected.chunks, expected.digest)
    assert info.size == (0 if expected.link else len(expected.content))
    assert info.mtime is not None
    assert info.mtime.year >= 2026  # the stream's time, not the record's


@row
def test_read(file: str, name: str, buckets: dict[str, ObjectStore]) -> None:
    store, expected = buckets[file], OBJECTS[file][name]
    if expected.link is not None and expected.link.name is None:
        for act in (store.get, store.resolve, store.read_bytes, store.open):
            with pytest.raises(LinkError, match="bucket"):
                act(name)
        return
    assert store.read_bytes(name) == expected.content
    assert store.read_range(name, 5, -3) == expected.content[5:-3]
    with store.open(name) as opened, io.BytesIO(expected.content) as same:
        assert opened.readline() == same.readline()
        assert opened.read(1500) == same.read(1500)
        assert b"".join(opened.data) == same.read()
    resolved = store.resolve(name)
    assert resolved is not None
    assert resolved.size == len(expected.content)
    target = expected.link or ObjectLink(file, name)
    assert (resolved.bucket, resolved.name) == (target.bucket, target.name)


@pytest.mark.parametrize("file", FILES)
def test_list(file: str, buckets: dict[str, ObjectStore]) -> None:
    """Each name once, however many records it has; in the order of the last one."""
    store = buckets[file]
    assert [info.name for info in store.list()] == list(OBJECTS[file])
    tombstones = [info.name for info in store.list(include_deleted=True) if info.deleted]
    assert tombstones == ([] if file.endswith("other") else ["deleted"])
    assert all(info == store.info(info.name) for info in store)
    live = sum(len(e.content) for e in OBJECTS[file].values() if e.link is None)
    status = store.status()
    assert (status.size, status.total_size) == (len(OBJECTS[file]), live)
    theirs = not file.endswith("other")
    assert status.description == (f"written by nats.{file[4:6]}" if theirs else "")
    assert status.metadata == ({"owner": "infra"} if file in ("vec-go", "vec-js") else {})


@pytest.mark.parametrize("file", FILES)
def test_get_many(file: str, buckets: dict[str, ObjectStore]) -> None:
    readable = {n: e.content for n, e in OBJECTS[file].items() if n != "link-bucket"}
    names = [*readable, "deleted", "never there"]
    got = list(buckets[file].get_many(names))
    assert got == [*readable.items(), ("deleted", None), ("never there", None)]


@pytest.mark.parametrize("file", ["vec-go", "vec-js", "vec-py"])
def test_tombstones(file: str, buckets: dict[str, ObjectStore]) -> None:
    """One of them says ``"mtime": ""``, one a digest of ``""``, one a revision."""
    store = buckets[file]
    assert "deleted" not in store
    assert store.info("deleted") is None
    assert store.get("deleted") is None
    assert store.delete("deleted") is False
    tombstone = store.info("deleted", include_deleted=True)
    assert tombstone is not None
    assert tombstone.deleted
    assert (tombstone.size, tombstone.chunks, tombstone.digest) == (0, 0, "")
    with pytest.raises(ObjectNotFoundError):
        store.update("deleted", description="x")
    info = store.put("deleted", b"again", if_revision=0)
    assert info.revision > tombstone.revision
    assert store.read_bytes("deleted") == b"again"


@row
def test_update_changes_only_what_is_given(
    file: str, name: str, buckets: dict[str, ObjectStore], shared_client: Client
) -> None:
    """The fields that this client does not know stay, among them those of the options."""
    store, expected = buckets[file], OBJECTS[file][name]
    before = store.info(name)
    assert before is not None
    stored = record(shared_client, store, name)
    stored["x_theirs"] = {"deep": [1, None, "☃"]}
    stored.setdefault("options", {})["x_option"] = 7
    write_record(shared_client, store, stored)
    info = store.update(name, description="ours")
    after = record(shared_client, store, name)
    assert after["x_theirs"] == {"deep": [1, None, "☃"]}
    assert after["options"]["x_option"] == 7
    assert after["description"] == "ours"
    assert "mtime" not in after  # "" would kill nats.go's listing
    assert all(isinstance(values, list) for values in after.get("headers", {}).values())
    kept = ("nuid", "size", "chunks", "digest", "header_values", "metadata", "options", "link")
    assert {key: getattr(info, key) for key in kept} == {key: getattr(before, key) for key in kept}
    assert sum(name == each.name for each in store) == 1
    assert subjects(shared_client, store)[meta_subject(file, name)] == 1  # no older one remains
    if expected.link is None or expected.link.name is not None:
        assert store.read_bytes(name) == expected.content
    assert orphans(shared_client, store) == set()


@row
def test_delete(
    file: str, name: str, buckets: dict[str, ObjectStore], shared_client: Client
) -> None:
    """Their object goes, whole; a link goes alone."""
    store, link = buckets[file], OBJECTS[file][name].link
    assert store.delete(name) is True
    assert name not in store
    assert [info.name for info in store] == [each for each in OBJECTS[file] if each != name]
    assert orphans(shared_client, store) == set()
    assert "mtime" not in record(shared_client, store, name)
    if link is not None and link.name is not None:
        assert buckets[link.bucket].read_bytes(link.name) == OBJECTS[file][name].content


@row
def test_overwrite(
    file: str, name: str, buckets: dict[str, ObjectStore], shared_client: Client
) -> None:
    store, link = buckets[file], OBJECTS[file][name].link
    info = store.put(name, BIG[:5000], chunk_size=1000)
    assert store.read_bytes(name) == BIG[:5000]
    assert store.info(name) == info.with_changes(mtime=store.info(name).mtime)  # type: ignore[union-attr]
    assert subjects(shared_client, store)[meta_subject(file, name)] == 1
    assert orphans(shared_client, store) == set()
    if link is not None and link.name is not None:
        assert buckets[link.bucket].read_bytes(link.name) == OBJECTS[file][name].content


@row
def test_copy(file: str, name: str, buckets: dict[str, ObjectStore], store: ObjectStore) -> None:
    """Their uneven chunks become even ones; all that describes the object comes along."""
    expected = OBJECTS[file][name]
    if expected.link is not None and expected.link.name is None:
        with pytest.raises(LinkError):
            buckets[file].copy(name, "copy", target=store)
        assert list(store) == []
        return
    info = buckets[file].copy(name, "copy", target=store)
    source = buckets[file].resolve(name)
    assert source is not None
    assert (info.bucket, info.name, info.link) == (store.name, "copy", None)
    assert (info.description, info.metadata) == (source.description, source.metadata)
    assert (info.header_values, info.size) == (source.header_values, source.size)
    assert info.nuid != source.nuid
    assert store.read_bytes("copy") == expected.content


@pytest.mark.parametrize(("file", "name"), PLAIN)
def test_rename(
    file: str, name: str, buckets: dict[str, ObjectStore], shared_client: Client
) -> None:
    store = buckets[file]
    store.update(name, new_name="renamed by us")
    assert name not in store
    assert store.read_bytes("renamed by us") == OBJECTS[file][name].content
    assert orphans(shared_client, store) == set()


@pytest.mark.parametrize(("file", "name"), LINKS)
def test_links_are_objects_among_others(
    file: str, name: str, buckets: dict[str, ObjectStore]
) -> None:
    """A link may be renamed and linked over; it cannot be linked to."""
    store = buckets[file]
    store.update(name, new_name="moved")
    info = store.info("moved")
    assert info is not None
    assert info.link == OBJECTS[file][name].link
    with pytest.raises(LinkError):
        store.link("l", (file, "moved"))
    assert store.link("moved", (file, "big.bin")).link == ObjectLink(file, "big.bin")
    assert store.read_bytes("moved") == BIG
    with pytest.raises(ObjectExistsError):
        store.link("hello.txt", (file, "big.bin"))


@pytest.mark.parametrize(
    ("file", "other"), [("vec-go", "vec-go-other"), ("vec-js", "vec-js-other")]
)
def test_links_that_lead_nowhere_any_more(
    file: str, other: str, buckets: dict[str, ObjectStore], shared_client: Client
) -> None:
    store = buckets[file]
    store.delete("hello.txt")
    buckets[other].delete("target")
    for name in ("link-same", "link-other"):
        assert store.get(name) is None
        assert store.resolve(name) is None
        assert name in store  # the link itself is there
        with pytest.raises(ObjectNotFoundError):
            store.read_bytes(name)
    shared_client.delete_store(other)
    assert store.get("link-other") is None
    assert list(store.get_many(["link-other", "empty"])) == [("link-other", None), ("empty", b"")]
    buckets.pop(other)


def test_their_buckets_opened_with_options(
    buckets: dict[str, ObjectStore], shared_client: Client
) -> None:
    shared_client.object_store("vec-go", description="written by nats.go", storage="memory")
    with pytest.raises(BucketConfigError, match="description"):
        shared_client.object_store("vec-go", description="other")


def test_nothing_of_theirs_is_an_orphan(
    buckets: dict[str, ObjectStore], shared_client: Client
) -> None:
    """Before and after everything is deleted."""
    for store in buckets.values():
        assert orphans(shared_client, store) == set()
        for info in store:
            store.delete(info.name)
        assert chunk_counts(shared_client, store) == {}
