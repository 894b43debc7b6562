"""ls, info, status, create, edit and link."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

import objstore
from objstore import Client, LocalServer, ObjectInfo, ObjectLink, ObjectMetaOptions, ObjectStore
from objstore.cli import listing
from objstore.cli.screen import show
from tests.cli.conftest import Run

pytestmark = pytest.mark.newest_server


@pytest.fixture
def bucket(client: Client) -> Iterator[str]:
    """The name of a bucket that is not there, and is removed if it comes to be."""
    yield "made-here"
    client.delete_store("made-here")


# --- Client.list_stores


def test_the_buckets_of_an_account(client: Client, store: ObjectStore) -> None:
    store.put("a", b"12345")
    client._jetstream.stream_create({"name": "not-a-bucket", "subjects": ["$O.other.C.>"]})
    try:
        listed = {status.bucket: status for status in client.list_stores()}
    finally:
        client._jetstream.stream_delete("not-a-bucket")
    assert store.name in listed
    assert "not-a-bucket" not in listed
    assert listed[store.name].size is None
    assert listed[store.name].bytes > 5


def test_more_buckets_than_one_page() -> None:
    with LocalServer() as server, objstore.connect(server.url) as client:
        assert list(client.list_stores()) == []
        names = [f"b{number:03}" for number in range(300)]  # a page has 256
        for name in names:
            client.object_store(name, storage="memory")
        assert [status.bucket for status in client.list_stores()] == names


# --- ls


def test_ls_of_the_account(run: Run, client: Client, bucket: str, store: ObjectStore) -> None:
    client.object_store(bucket, storage="memory", description="für\x1b Tests")
    names = run("ls").stdout.splitlines()
    assert names == sorted(names)
    assert {bucket, store.name} <= set(names)
    long = run("ls", "-l").stdout.splitlines()
    (line,) = (line for line in long if bucket in line)
    assert re.fullmatch(rf" *0 B  memory  {bucket}  für\x1b Tests", line)
    lines = [json.loads(line) for line in run("ls", "--json").stdout.splitlines()]
    (fields,) = (line for line in lines if line["bucket"] == bucket)
    assert fields["description"] == "für\x1b Tests"
    assert (fields["size"], fields["total_size"]) == (None, None)


def test_ls_of_a_bucket(run: Run, store: ObjectStore) -> None:
    assert run("ls", store.name).stdout == ""
    assert run("ls", "-l", store.name).stdout == ""
    assert run("ls", "--json", store.name).stdout == ""
    for name in ("b/2", "a", "b/1", "ü b"):
        store.put(name, b"x" * 1536, mime="text/plain" if name == "a" else None)
    store.put("gone", b"")
    store.delete("gone")
    assert run("ls", store.name).stdout.splitlines() == ["b/", "a", "ü b"]
    assert run("ls", "-r", store.name).stdout.splitlines() == ["a", "b/1", "b/2", "ü b"]
    assert run("ls", f"{store.name}:b/").stdout.splitlines() == ["b/1", "b/2"]
    assert run("ls", f"{store.name}:").stdout.splitlines() == ["b/", "a", "ü b"]
    assert json.loads(run("ls", store.name, "--json").stdout.splitlines()[0]) == {"prefix": "b/"}
    for options in (["-l"], ["-r"], ["--json"]):
        result = run("ls", f"{store.name}:none", *options)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.endswith(f"no name in bucket {store.name} begins with 'none'\n")
    result = run("ls", f"{store.name}:b/*.txt")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.endswith(f"no name in bucket {store.name} fits 'b/*.txt'\n")
    lines = [
        json.loads(line) for line in run("ls", f"{store.name}:b/", "--json").stdout.splitlines()
    ]
    assert [line["name"] for line in lines] == ["b/1", "b/2"]
    assert lines[0]["size"] == 1536
    age = datetime.now(timezone.utc) - datetime.fromisoformat(lines[0]["mtime"])
    assert timedelta(0) <= age < timedelta(minutes=5)


def test_ls_long_is_aligned(run: Run, store: ObjectStore) -> None:
    store.put("small", b"x", mime="text/plain")
    store.put("a name", b"x" * 1536)
    lines = run("ls", store.name, "-l").stdout.splitlines()
    time = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    assert re.fullmatch(rf"1\.5 KiB  {time}  -           a name", lines[0])
    assert re.fullmatch(rf"    1 B  {time}  text/plain  small", lines[1])


def test_links_and_unknown_times() -> None:
    options = ObjectMetaOptions(link=ObjectLink("other", "x"))
    row = listing._object_row(ObjectInfo("b", "link", options=options))
    assert row == ["0 B", "-", "-", ("link -> other:x", show.LINK)]
    whole = ObjectMetaOptions(link=ObjectLink("other"))
    assert listing._object_row(ObjectInfo("b", "l", options=whole))[-1] == (
        "l -> other:",
        show.LINK,
    )


# --- info


def test_info_of_an_object(run: Run, store: ObjectStore) -> None:
    info = store.put("a", b"x" * 1536, headers={"K": ["1", "2"]}, metadata={"m": "ü"})
    result = run("info", store.name, "a")
    lines = result.stdout.splitlines()
    assert "size        1.5 KiB (1,536 bytes)" in lines
    assert 'metadata    {"m": "ü"}' in lines
    assert f"digest      {info.digest}" in lines
    assert "deleted     no" in lines
    assert not any(line.startswith(("mime", "link", "description")) for line in lines)
    fields: dict[str, Any] = json.loads(run("info", store.name, "a", "--json").stdout)
    assert fields["headers"] == {"K": ["1", "2"]}
    assert (fields["nuid"], fields["revision"]) == (info.nuid, info.revision)
    assert fields["link"] is None
    store.link("l", store.put("typed", b"", mime="text/plain"))
    assert f"link      {store.name}:typed" in run("info", store.name, "l").stdout.splitlines()
    lines = run("info", store.name, "typed").stdout.splitlines()
    assert [line.split() for line in lines if "text/plain" in line] == [["mime", "text/plain"]]


def test_info_of_a_bucket(run: Run, store: ObjectStore) -> None:
    store.put("a", b"x" * 1536)
    store.put("b", b"")
    lines = run("info", store.name).stdout.splitlines()
    assert "size         2" in lines
    assert "total size   1.5 KiB (1,536 bytes)" in lines
    fields = json.loads(run("info", store.name, "--json").stdout)
    assert (fields["bucket"], fields["size"], fields["total_size"]) == (store.name, 2, 1536)
    assert fields["sealed"] is False


# --- create


def test_create(run: Run, client: Client, bucket: str) -> None:
    assert run("create", bucket).stdout == f"{bucket}\n"
    assert run("create", bucket).exit_code == 0
    result = run("create", bucket, "--ttl", "1h")
    assert result.exit_code == 4
    assert "exists with other settings" in result.stderr


def test_create_with_everything(run: Run, client: Client, bucket: str) -> None:
    words = ["--ttl", "1h30m", "--replicas", "1", "--storage", "file", "--max-bytes", "10M"]
    words += ["--max-object-size", "1M", "--compress", "--description", "d"]
    words += ["--metadata", "a=b", "--metadata", "c=d"]
    result = run("create", bucket, *words, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == {
        "bucket": bucket,
        "size": 0,
        "total_size": 0,
        "bytes": 0,
        "description": "d",
        "ttl": 5400.0,
        "storage": "file",
        "replicas": 1,
        "compression": "s2",
        "sealed": False,
        "max_object_size": 1 << 20,
        "metadata": {"a": "b", "c": "d"},
    }
    status = client.object_store(bucket, create=False).status()
    assert status.stream_info.config["max_bytes"] == 10 << 20
    result = run("put", bucket, "-", "--name", "large", stdin=b"x" * (1 << 20) + b"y")
    assert result.exit_code == 4
    assert "larger than the bucket's limit" in result.stderr


@pytest.mark.parametrize(
    "words",
    [["--ttl", "soon"], ["--replicas", "x"], ["--replicas", "0"], ["--storage", "tape"],
     ["--max-bytes", "0"], ["--metadata", "x"]],
)  # fmt: skip
def test_create_refuses(run: Run, client: Client, bucket: str, words: list[str]) -> None:
    assert run("create", bucket, *words).exit_code == 2
    assert bucket not in [status.bucket for status in client.list_stores()]


# --- status, edit and link


def test_status_of_a_bucket(run: Run, store: ObjectStore) -> None:
    store.put("docs/a.txt", b"x" * 1536, mime="text/plain")
    fields = json.loads(run("status", store.name, "--json").stdout)
    assert (fields["size"], fields["messages"], fields["consumers"]) == (1, 2, 0)
    assert fields["last_sequence"] == store.info("docs/a.txt").revision  # type: ignore[union-attr]
    lines = run("status", store.name).stdout.splitlines()
    assert re.fullmatch(r"messages +2", next(line for line in lines if "messages" in line))
    assert run("status", "nowhere").exit_code == 1


def test_edit_changes_what_is_given_alone(run: Run, client: Client, bucket: str) -> None:
    client.object_store(bucket, description="old", max_bytes=1 << 20)
    assert run("edit", bucket, "--description", "new", "--metadata", "team=db").exit_code == 0
    status = client.object_store(bucket, create=False).status()
    assert (status.description, dict(status.metadata)) == ("new", {"team": "db"})
    assert status.stream_info.config["max_bytes"] == 1 << 20
    nothing = run("edit", bucket)
    assert nothing.exit_code == 2
    assert "nothing is to be changed" in nothing.stderr
    assert run("edit", "nowhere", "--ttl", "1h").exit_code == 1


def test_link_to_an_object_and_to_a_bucket(run: Run, store: ObjectStore) -> None:
    store.put("2026/a.txt", b"x")
    made = run("link", f"{store.name}:today", f"{store.name}:2026/a.txt")
    assert made.stdout == f"today -> {store.name}:2026/a.txt\n"
    assert run("link", store.name, "now", "2026/a.txt").exit_code == 0
    assert store.read_bytes("now") == store.read_bytes("today") == b"x"
    assert run("link", f"{store.name}:all", f"{store.name}:").exit_code == 0
    info = store.info("all")
    assert info is not None
    assert info.link == ObjectLink(store.name)
    assert run("link", f"{store.name}:x").exit_code == 2
    assert run("link", store.name, "x", "nothing-here").exit_code == 1
