"""@nats-io/obj, the official client for JavaScript, shares our buckets: live, in both directions.

It is installed from npm into a folder of the session, or taken from the one that the environment
variable ``OBJSTORE_NODE_MODULES`` names. Without ``node`` these tests are skipped, though never
where ``CI`` is set.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from objstore import Client, LinkError, LocalServer, ObjectLink, ObjectStore
from tests.support.contents import pattern
from tests.support.streams import chunk_counts, consumer_count, orphans, record, write_record

PACKAGES = ["@nats-io/obj@3", "@nats-io/transport-node@3"]
SCRIPT = Path(__file__).parent / "bucket.mjs"

#: It takes names as far as Latin-1 goes, and stores those beyond ASCII under another subject.
NAMES = ["plain", "dir/with space", "*.>", "x" * 300]
SIZES = [0, 1, 131_072, 131_073, 700_001]


class TheirError(Exception):
    """What @nats-io/obj threw."""


class TheirStore:
    """A bucket in the hands of @nats-io/obj: a node process, asked line by line.

    One process opens the buckets of all tests: to start it takes 0.2 s.
    """

    def __init__(self, url: str, modules: Path) -> None:
        self._process = subprocess.Popen(
            ["node", str(SCRIPT), url],
            env={**os.environ, "OBJSTORE_NODE_MODULES": str(modules)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def ask(self, command: str, *arguments: Any) -> Any:
        """What a command of ``bucket.mjs`` gives."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([command, *arguments]) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise TheirError(answer["error"])
        return answer["ok"]

    def open(self, bucket: str) -> None:
        """Turn to a bucket."""
        self.ask("open", bucket)

    def put(self, name: str, data: bytes, **fields: Any) -> dict[str, Any]:
        info = self.ask("put", {"name": name, **fields}, base64.b64encode(data).decode())
        assert isinstance(info, dict)
        return info

    def get(self, name: str) -> bytes | None:
        data = self.ask("get", name)
        return None if data is None else base64.b64decode(data)

    def names(self) -> list[str]:
        return [info["name"] for info in self.ask("list")]

    def close(self) -> None:
        """End the process; it must end well."""
        with self._process as process:
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(20) == 0


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds ``node_modules`` with @nats-io/obj; npm installs it if need be."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        reason = "node and npm are not installed: @nats-io/obj cannot be run"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    given = os.environ.get("OBJSTORE_NODE_MODULES")
    folder = Path(given) if given else tmp_path_factory.mktemp("node")
    if not (folder / "node_modules" / "@nats-io" / "obj").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        install = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"]
        done = subprocess.run(
            [*install, "--prefix", str(folder), *PACKAGES],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def their_store(node_modules: Path, server: LocalServer) -> Iterator[TheirStore]:
    """The process of theirs; it must end well."""
    their = TheirStore(server.url, node_modules)
    yield their
    their.close()


@pytest.fixture
def theirs(
    their_store: TheirStore, store: ObjectStore, shared_client: Client
) -> Iterator[TheirStore]:
    """The test's bucket, opened by them. In the end nothing in it is without an owner."""
    their_store.open(store.name)
    yield their_store
    assert orphans(shared_client, store) == set()


def test_they_read_what_we_wrote(theirs: TheirStore, store: ObjectStore) -> None:
    for size in SIZES:
        for name in NAMES:
            ours = store.put(name, pattern(size), description="ours", metadata={"k": "v"})
            assert theirs.get(name) == pattern(size)
            info = theirs.ask("info", name)
            assert (info["name"], info["size"], info["chunks"]) == (name, size, ours.chunks)
            assert (info["digest"], info["nuid"]) == (ours.digest, ours.nuid)
            assert (info["description"], info["metadata"]) == ("ours", {"k": "v"})


def test_we_read_what_they_wrote(theirs: TheirStore, store: ObjectStore) -> None:
    for size in SIZES:
        for name in NAMES:
            their = theirs.put(name, pattern(size), description="theirs", metadata={"k": "v"})
            info = store.info(name)
            assert info is not None
            assert (info.size, info.chunks, info.digest) == (size, their["chunks"], their["digest"])
            assert (info.description, info.metadata) == ("theirs", {"k": "v"})
            assert store.read_bytes(name) == pattern(size)


@pytest.mark.parametrize("size", [3_000_000, 10_000_000])
def test_large_objects(size: int, theirs: TheirStore, store: ObjectStore) -> None:
    """Many chunks; large ones of ours, 128 KiB of theirs."""
    data = pattern(251) * (size // 251)
    store.put("ours", data)
    assert theirs.get("ours") == data
    theirs.put("theirs", data)
    assert store.read_bytes("theirs") == data


def test_chunk_sizes(theirs: TheirStore, store: ObjectStore) -> None:
    store.put("ours", pattern(54_321), chunk_size=1000)
    assert theirs.get("ours") == pattern(54_321)
    assert theirs.put("theirs", pattern(54_321), options={"max_chunk_size": 1000})["chunks"] == 55
    info = store.info("theirs")
    assert info is not None
    assert (info.chunks, info.options.chunk_size) == (55, 1000)
    assert store.read_bytes("theirs") == pattern(54_321)


def test_names_beyond_ascii_of_ours(theirs: TheirStore, store: ObjectStore) -> None:
    """They find ours in a list, though not by name."""
    for name in ("naïve", "☃ 名前.txt"):
        store.put(name, b"1")
    assert theirs.names() == ["naïve", "☃ 名前.txt"]


def test_headers(theirs: TheirStore, store: ObjectStore) -> None:
    headers = {"Content-Type": ["text/plain"], "x-multi": ["one", "two"]}
    store.put("ours", b"1", mime="text/plain", headers={"x-multi": ["one", "two"]})
    assert theirs.ask("info", "ours")["headers"] == headers
    theirs.put("theirs", b"1", headers=headers)
    info = store.info("theirs")
    assert info is not None
    assert info.mime == "text/plain"
    assert info.headers.getlist("X-Multi") == ["one", "two"]


def test_lists(theirs: TheirStore, store: ObjectStore) -> None:
    assert theirs.names() == []
    store.put("ours", b"1")
    theirs.put("theirs", b"22")
    store.put("deleted", b"3")
    store.delete("deleted")
    assert theirs.names() == ["ours", "theirs"]
    assert [(info.name, info.size) for info in store] == [("ours", 1), ("theirs", 2)]


def test_tombstones(theirs: TheirStore, store: ObjectStore, shared_client: Client) -> None:
    store.put("ours", pattern(5000), chunk_size=1000)
    theirs.put("theirs", pattern(5000), options={"max_chunk_size": 1000})
    store.delete("theirs")
    theirs.ask("delete", "ours")
    for name in ("ours", "theirs"):
        assert theirs.get(name) is None
        assert theirs.ask("info", name)["deleted"] is True
        assert store.info(name) is None
        tombstone = store.info(name, include_deleted=True)
        assert tombstone is not None
        assert (tombstone.deleted, tombstone.size, tombstone.chunks) == (True, 0, 0)
    assert theirs.names() == []
    assert chunk_counts(shared_client, store) == {}
    theirs.put("ours", b"again")
    store.put("theirs", b"again")
    assert theirs.get("theirs") == store.read_bytes("ours") == b"again"


def test_overwriting_each_other(
    theirs: TheirStore, store: ObjectStore, shared_client: Client
) -> None:
    for turn in range(3):
        store.put("x", b"ours %d" % turn)
        assert theirs.get("x") == b"ours %d" % turn
        theirs.put("x", b"theirs %d" % turn)
        assert store.read_bytes("x") == b"theirs %d" % turn
    assert list(chunk_counts(shared_client, store).values()) == [1]


def test_our_update_of_theirs(theirs: TheirStore, store: ObjectStore) -> None:
    """Nothing but what was said changes, in the records of theirs."""
    before = theirs.put(
        "x", pattern(5000), description="old", headers={"a": ["1", "2"]}, metadata={"k": "v"}
    )
    store.update("x", description="new")
    assert theirs.ask("info", "x") == {**before, "description": "new"}
    store.update("x", new_name="y")
    assert theirs.ask("info", "y") == {**before, "description": "new", "name": "y"}
    assert theirs.ask("info", "x")["deleted"] is True
    assert theirs.get("y") == pattern(5000)


def test_their_updates_of_ours(theirs: TheirStore, store: ObjectStore) -> None:
    """They publish without rollup, and drop the options; the last record counts."""
    ours = store.put("x", pattern(5000), chunk_size=1000, metadata={"k": "v"})
    for turn in ("once", "twice"):
        theirs.ask("update", "x", {"description": turn, "metadata": {"k": turn}})
    info = store.info("x")
    assert info is not None
    assert (info.description, info.metadata) == ("twice", {"k": "twice"})
    assert (info.nuid, info.size, info.digest) == (ours.nuid, ours.size, ours.digest)
    assert [each.description for each in store] == ["twice"]
    assert store.read_bytes("x") == pattern(5000)
    theirs.ask("update", "x", {"name": "y"})
    assert "x" not in store
    assert store.read_bytes("y") == pattern(5000)
    store.update("y", description="ours again")
    assert theirs.get("y") == pattern(5000)
    store.delete("y")


def test_a_rename_of_ours_and_a_delete_of_theirs(theirs: TheirStore, store: ObjectStore) -> None:
    """The notes that a rename leaves in the records mislead nobody."""
    store.put("a", b"first")
    store.update("a", new_name="b")
    theirs.put("a", b"second")
    theirs.ask("delete", "b")
    assert store.read_bytes("a") == b"second"
    theirs.ask("update", "a", {"name": "b"})
    assert theirs.get("b") == store.read_bytes("b") == b"second"


def test_links(theirs: TheirStore, store: ObjectStore, shared_client: Client) -> None:
    other = shared_client.object_store(f"{store.name}-other")
    other.put("target", b"in the other bucket")
    store.put("here", b"in this bucket")
    store.link("ours here", (store.name, "here"))
    store.link("ours there", (other.name, "target"))
    store.link_store("our bucket", other)
    theirs.ask("link", "theirs here", store.name, "here")
    theirs.ask("link", "theirs there", other.name, "target")
    theirs.ask("linkStore", "their bucket", other.name)
    for who in ("ours", "theirs"):
        assert theirs.get(f"{who} here") == store.read_bytes(f"{who} here") == b"in this bucket"
        assert theirs.get(f"{who} there") == b"in the other bucket"
        assert store.read_bytes(f"{who} there") == b"in the other bucket"
        there = store.info(f"{who} there")
        assert there is not None
        assert there.link == ObjectLink(other.name, "target")
        link = theirs.ask("info", f"{who} there")["options"]["link"]
        assert link == {"bucket": other.name, "name": "target"}
    for name in ("our bucket", "their bucket"):
        info = store.info(name)
        assert info is not None
        assert info.link == ObjectLink(other.name)
        with pytest.raises(LinkError):
            store.get(name)
        with pytest.raises(TheirError, match="link is a bucket"):
            theirs.get(name)
    other.delete("target")
    assert theirs.get("ours there") is None
    assert store.get("theirs there") is None
    shared_client.delete_store(other.name)


def test_status_and_seal(theirs: TheirStore, store: ObjectStore) -> None:
    store.put("x", b"1")
    status = theirs.ask("status")
    assert (status["name"], status["sealed"]) == (store.name, False)
    assert theirs.ask("seal") is True
    assert store.status().sealed
    assert theirs.get("x") == store.read_bytes("x") == b"1"


def test_they_create_what_is_there(
    theirs: TheirStore, store: ObjectStore, shared_client: Client
) -> None:
    """As programs do at each start: it is done, and nothing changes."""
    store.put("x", b"1")
    before = store.status().stream_info.config
    assert theirs.ask("create", store.name, {}) == store.name
    assert store.status().stream_info.config == before
    assert theirs.get("x") == b"1"


def test_our_update_of_their_bucket(theirs: TheirStore, shared_client: Client) -> None:
    """It changes what it was told; and they go on."""
    name = "made-by-js"
    theirs.ask("create", name, {"description": "theirs"})
    before = shared_client.object_store(name).status().stream_info.config
    after = shared_client.update_store(name, max_bytes=1 << 30).status().stream_info.config
    assert after == {**before, "max_bytes": 1 << 30}
    shared_client.delete_store(name)


def test_a_read_of_ours_leaves_them_their_consumers(
    theirs: TheirStore, store: ObjectStore, shared_client: Client
) -> None:
    theirs.put("x", pattern(300_000))
    before = consumer_count(shared_client, store)
    for _ in range(20):
        assert store.read_bytes("x") == pattern(300_000)
    assert consumer_count(shared_client, store) == before


# --- what a rename and a delete of ours leave to them


@pytest.mark.parametrize("act", ["put", "delete", "update"])
def test_the_old_name_after_a_rename_of_ours(
    act: str, theirs: TheirStore, store: ObjectStore, shared_client: Client
) -> None:
    """They purge by the nuid of a name's last record, tombstone or not."""
    store.put("old", pattern(5000), chunk_size=1000)
    store.update("old", new_name="new")
    if act == "put":
        theirs.put("old", b"theirs")
    elif act == "delete":
        theirs.ask("delete", "old")
    else:
        with pytest.raises(TheirError):
            theirs.ask("update", "old", {"description": "d"})
    assert store.read_bytes("new") == pattern(5000)
    assert theirs.get("new") == pattern(5000)
    assert (store.info("old") is not None) is (act == "put")
    assert store.verify().ok


@pytest.mark.parametrize("act", ["put", "delete"])
def test_the_name_after_a_delete_of_one_of_two(
    act: str, theirs: TheirStore, store: ObjectStore, shared_client: Client
) -> None:
    """On the same chunks, as an interrupted rename of theirs leaves them."""
    store.put("old", pattern(5000), chunk_size=1000)
    write_record(shared_client, store, {**record(shared_client, store, "old"), "name": "new"})
    assert store.delete("old") is True
    assert store.read_bytes("new") == pattern(5000)
    if act == "put":
        theirs.put("old", b"theirs")
    else:
        theirs.ask("delete", "old")
    assert store.read_bytes("new") == pattern(5000)
    assert store.verify().ok
