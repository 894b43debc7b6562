"""What a notebook shows of records, listings and reports."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

import objstore
from objstore import (
    Client,
    FolderReport,
    GarbageReport,
    LocalServer,
    ObjectStore,
    ScanPage,
    Skipped,
    StorageType,
)
from objstore.notebook.html import MAX_ROWS, record, shown
from objstore.store import listing
from tests.support.pages import Page
from tests.support.scripted import run_python

pytestmark = pytest.mark.newest_server

#: Markup in each place where it could begin; and what turns a line around, or ends one.
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;</td>\x1b[31m\u202e\u2028"
READABLE = HOSTILE[:-7] + "\\x1b[31m\\u202e\\u2028"


def page(thing: Any) -> Page:
    return Page(thing._repr_html_())


def test_what_strangers_wrote_is_only_text(client: Client, store: ObjectStore) -> None:
    info = store.put(
        HOSTILE,
        b"x",
        description=HOSTILE,
        mime="text/html; <b>",
        headers={"X-A": ["<b>", "c"]},
        metadata={HOSTILE: HOSTILE},
    )
    store.link(f"{HOSTILE} link", info)
    store.delete(HOSTILE)
    store.put(HOSTILE, b"x", description=HOSTILE, metadata={HOSTILE: HOSTILE}, mime="text/<b>")
    client.update_store(store.name, description=HOSTILE, metadata={HOSTILE: HOSTILE})
    folder = FolderReport(transferred=(HOSTILE,), skipped=(Skipped(HOSTILE, HOSTILE),))
    with store.open(HOSTILE) as result:
        things = [
            info,
            store.info(HOSTILE),
            store.info(f"{HOSTILE} link"),
            result,
            store,
            store.list(),
            store.scan(),
            ScanPage(prefixes=[HOSTILE], next=HOSTILE),
            store.status(),
            folder,
            GarbageReport(store.name, nuids=(HOSTILE,)),
        ]
    for thing in things:
        assert page(thing).is_harmless
        assert READABLE in page(thing).text, thing
    metrics = page(client.store_metrics(store.name))
    assert metrics.is_harmless
    assert ["text/<b>", "1"] in metrics.rows
    store.delete(HOSTILE)  # and the link dangles
    report = page(store.verify())
    assert report.is_harmless
    assert "verified: 1 problem" in report.text
    assert report.rows[-1][:2] == [f"{READABLE} link", "dangling link"]


def test_text_that_has_no_bytes_in_utf_8() -> None:
    """A notebook's file is UTF-8."""
    assert Page(shown("a\ud800b")).text == "a\\ud800b"


def test_values_are_shown_for_people(store: ObjectStore) -> None:
    store.put(
        "cat.jpg",
        bytes(3_000_000),
        mime="image/jpeg",
        headers={"X-Tag": ["a", "b"]},
        metadata={f"key {number}": "v" for number in range(10)},
        ttl=timedelta(hours=1),
    )
    shown = page(store.info("cat.jpg"))
    assert shown.of("size") == "2.9 MiB (3,000,000 bytes)"
    assert shown.of("mime") == "image/jpeg"
    assert shown.of("headers") == "X-Tag: a\nb"
    assert shown.of("metadata").endswith("key 7: v\n… and 2 more")
    assert shown.of("ttl") == "1:00:00"
    assert datetime.now(timezone.utc).astimezone().strftime("%Y-%m-") in shown.of("mtime")
    assert "description" not in shown.text
    status = page(store.status())
    assert (status.of("objects"), status.of("storage")) == ("1", "file")
    assert "sealed" not in status.text
    assert page(store.seal()).of("sealed") == "yes"


def test_what_is_shown_asks_no_server(store: ObjectStore) -> None:
    """Of what was stored just now the time is not known."""
    labels = [row[0] for row in page(store.put("x", b"1")).rows]
    assert "revision" in labels
    assert "mtime" not in labels
    assert "mtime" in [row[0] for row in page(store.info("x")).rows]


def test_a_long_text_is_cut() -> None:
    shown = Page(record("n" * 10_000, "", {"a": "x" * 10_000, "b": ["y" * 10_000] * 10_000}))
    assert len(shown.text) < 3000
    assert shown.of("b").endswith("… and 9,992 more")


def test_a_bucket_shows_its_first_objects(store: ObjectStore) -> None:
    assert page(store).text == f"{store.name} bucketno objects"
    store.put_many((f"{number:02}", bytes(number)) for number in range(10))
    assert "first" not in page(store).text
    store.put("10", mime="text/plain")
    shown = page(store)
    assert "bucket, the first 10 objects" in shown.text
    assert [row[0] for row in shown.rows] == ["name", *(f"{number:02}" for number in range(10))]
    assert shown.rows[5][:3] == ["04", "4 B", ""]
    found = page(store.list(prefix="1"))
    assert "bucket, under 1" in found.text
    assert [row[0] for row in found.rows] == ["name", "10"]


def test_a_look_at_a_listing_takes_nothing_from_it(store: ObjectStore) -> None:
    store.put_many((name, b"") for name in "abc")
    store.delete("b")
    objects = store.list()
    assert repr(objects) == f"<objstore listing of {store.name!r}>"
    assert repr(store.list(prefix="x")) == f"<objstore listing of {store.name!r} under 'x'>"
    assert next(objects).name == "a"
    assert [row[0] for row in page(objects).rows] == ["name", "a", "c"]
    assert [info.name for info in objects] == ["c"]
    with pytest.raises(StopIteration):
        next(objects)
    deleted = page(store.list(include_deleted=True))
    assert ["b", "", "deleted"] in [row[:3] for row in deleted.rows]


def test_a_look_at_a_listing_reads_little(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the first thousand records are others, or tombstones."""
    monkeypatch.setattr(listing, "LOOKED_AT", 3)
    store.put_many((f"{number}", b"") for number in range(6))
    assert "the first 0 objects" in page(store.list(prefix="5")).text


def test_a_bucket_that_cannot_be_asked(client: Client) -> None:
    store = client.object_store("asked-in-vain")
    client.delete_store(store.name)
    assert f"there is no bucket {store.name}" in page(store).text
    client.close()
    assert page(store.list()).text == f"{store.name} bucket, not connected"


def test_a_client_shows_its_buckets(
    client: Client, server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a listing of its own, which is bounded."""
    for name in ("--a", "--b"):  # the first of all
        client.object_store(name, description=HOSTILE, storage=StorageType.MEMORY)
    buckets = client.list_stores()
    for thing in (client, buckets):
        shown = page(thing)
        assert shown.is_harmless
        assert shown.text.startswith(f"nats://{server.url.partition('@')[2]} server")  # no token
        assert shown.rows[0] == ["bucket", "bytes", "storage", "replicas", "description"]
        assert shown.rows[2] == ["--b", "0 B", "memory", "1", READABLE]
    assert next(buckets).bucket == "--a"
    monkeypatch.setattr(listing, "LOOKED_AT", 1)
    assert "the first 1 bucket" in page(client).text
    for name in ("--a", "--b"):
        client.delete_store(name)
    client.close()
    assert page(client).text == page(buckets).text == "buckets not connected"


def test_a_page_shows_folders_and_objects(store: ObjectStore) -> None:
    assert page(store.scan()).text == "no objects"
    store.put_many((name, b"12") for name in ("a/1", "b/1", "c", "e"))
    store.link("d", (store.name, "c"))
    store.link_store("f", store)
    shown = page(store.scan(delimiter="/", limit=4))
    assert shown.text.startswith("2 folders, 2 objects")
    assert shown.of("next") == "d"
    assert [row[:3] for row in shown.rows[2:]] == [
        ["a/"],
        ["b/"],
        ["c", "2 B", ""],
        ["d", "", f"→ {store.name}:c"],
    ]
    assert f"→ bucket {store.name}" in page(store.scan()).text


def test_a_long_page_is_cut() -> None:
    info = objstore.ObjectInfo("b", "x")
    shown = page(ScanPage(objects=[info] * 100_000, prefixes=["f/"] * 5))
    assert shown.text.startswith("5 folders, 100,000 objects")
    assert len(shown.rows) == 1 + MAX_ROWS
    assert shown.text.endswith("… and 99,985 more")


def test_reports(store: ObjectStore) -> None:
    store.put("x", b"123")
    assert "verified: all is well" in page(store.verify()).text
    assert page(store.verify()).of("objects") == "1"
    garbage = page(store.collect_garbage(dry_run=True))
    assert "garbage that would be removed" in garbage.text
    assert garbage.of("chunks") == "0"
    done = page(FolderReport(transferred=("a",), unchanged=3, bytes=5000, dry_run=True))
    assert "1 object would be transferred" in done.text
    assert done.of("bytes") == "4.9 KiB (5,000 bytes)"


def test_metrics(client: Client, store: ObjectStore) -> None:
    store.put_many([("a", b"12"), ("b", b"1")], mime="text/plain")
    store.put("c", bytes(3000))
    shown = page(client.store_metrics(store.name))
    assert shown.text.startswith("3 objects with content")
    assert shown.of("avg size") == "1001 B"
    assert shown.rows[-2:] == [["text/plain", "2"], ["unknown", "1"]]


def test_who_uses_no_notebook_loads_nothing_of_it() -> None:
    program = """
import sys, objstore
with objstore.local() as client:
    store = client.object_store("b")
    print(store.put("x", b"1"), list(store.list()), store.scan())
print([name for name in sys.modules if name.startswith(("objstore.notebook", "IPython"))])
"""
    assert run_python(program).endswith("\n[]\n")
