"""Verification finds whatever is wrong, keeps going, and finds nothing where all is well."""

from __future__ import annotations

import json
import os
import pickle
from typing import Any

import pytest

import objstore
from objstore import (
    Client,
    InvalidNameError,
    ObjectCorruptError,
    ObjectInfo,
    ObjectNotFoundError,
    ObjectStore,
    VerifyReport,
)
from objstore.care import verify as verification
from objstore.care.owners import chunk_counts
from objstore.model.objects import meta_subject
from objstore.model.record_json import encode_info
from tests.support.streams import api


def kinds(report: VerifyReport) -> list[tuple[str, str]]:
    assert report.ok is (not report.problems)
    for problem in report.problems:
        assert problem.message
    return [(problem.name, problem.kind) for problem in report.problems]


def store_record(client: Client, info: ObjectInfo) -> None:
    client.connection.request(meta_subject(info.bucket, info.name), payload=encode_info(info))


def remove_chunk(client: Client, store: ObjectStore, nuid: str, number: int) -> None:
    """Remove one chunk, as a damaged disk does."""
    stream, subject = f"OBJ_{store.name}", f"$O.{store.name}.C.{nuid}"
    sequence = 0
    for _ in range(number + 1):
        request = {"next_by_subj": subject, "seq": sequence + 1}
        sequence = api(client.connection, f"STREAM.MSG.GET.{stream}", request)["message"]["seq"]
    assert api(client.connection, f"STREAM.MSG.DELETE.{stream}", {"seq": sequence})["success"]


def test_all_is_well(store: ObjectStore) -> None:
    assert store.verify() == VerifyReport(store.name)
    store.put("empty")
    store.put("one", b"1")
    store.put("many", os.urandom(100_000), chunk_size=1000)
    store.put("gone", b"x")
    store.delete("gone")
    store.link("link", (store.name, "one"))
    store.link_store("bucket", store)
    report = store.verify()
    assert report == VerifyReport(store.name, objects=3, links=2, bytes=100_001)
    assert report.ok
    assert pickle.loads(pickle.dumps(report)) == report


def test_one_object(store: ObjectStore, shared_client: Client) -> None:
    good = store.put("good", b"1")
    bad = store.put("bad", b"12", chunk_size=1)
    remove_chunk(shared_client, store, bad.nuid, 1)
    store.link("link", good)
    assert store.verify("good") == VerifyReport(store.name, objects=1, bytes=1)
    assert store.verify("link") == VerifyReport(store.name, links=1)
    assert kinds(store.verify("bad")) == [("bad", "damaged")]
    store.delete("good")
    for name in ("absent", "good"):
        with pytest.raises(ObjectNotFoundError) as caught:
            store.verify(name)
        assert (caught.value.bucket, caught.value.name) == (store.name, name)
    assert kinds(store.verify("link")) == [("link", "dangling link")]
    with pytest.raises(InvalidNameError):
        store.verify("")


@pytest.mark.parametrize("number", [0, 2, 4])
def test_a_missing_chunk(number: int, store: ObjectStore, shared_client: Client) -> None:
    info = store.put("x", b"12345", chunk_size=1)
    store.put("y", b"1")
    remove_chunk(shared_client, store, info.nuid, number)
    report = store.verify()
    assert kinds(report) == [("x", "damaged")]
    assert report.objects == 2


def test_all_chunks_missing(store: ObjectStore, shared_client: Client) -> None:
    for name, chunk_size in (("one", 10), ("many", 1)):
        info = store.put(name, b"12345", chunk_size=chunk_size)
        shared_client._jetstream.purge(f"OBJ_{store.name}", f"$O.{store.name}.C.{info.nuid}")
    assert kinds(store.verify()) == [("one", "damaged"), ("many", "damaged")]


@pytest.mark.needs_server("2.11")  # before, chunks are asked for one by one, as many as stated
def test_a_chunk_too_many(store: ObjectStore, shared_client: Client) -> None:
    info = store.put("x", b"123", chunk_size=1)
    shared_client.connection.request(f"$O.{store.name}.C.{info.nuid}", payload=b"4")
    assert kinds(store.verify()) == [("x", "damaged")]


def test_other_content(store: ObjectStore, shared_client: Client) -> None:
    """The right size, and not what was stored."""
    for name, chunk_size in (("one", 10), ("many", 1)):
        info = store.put(name, b"12345", chunk_size=chunk_size)
        other = store.put(f"{name}-other", b"12346", chunk_size=chunk_size)
        store_record(shared_client, other.with_changes(digest=info.digest))
    report = store.verify()
    assert kinds(report) == [("one-other", "digest"), ("many-other", "digest")]
    assert "digest" in report.problems[0].message


def test_an_unknown_digest(store: ObjectStore, shared_client: Client) -> None:
    info = store.put("x", b"12345")
    store_record(shared_client, info.with_changes(digest="MD5=abc"))
    assert kinds(store.verify()) == [("x", "damaged")]


def test_without_a_digest(store: ObjectStore, shared_client: Client) -> None:
    """Others leave it out: counted, without a warning, and no problem."""
    for name in ("x", "empty"):
        store_record(
            shared_client, store.put(name, b"1" if name == "x" else b"").with_changes(digest="")
        )
    assert store.verify() == VerifyReport(store.name, objects=2, bytes=1, unverified=1)


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b'{"name": "x", "size": -1}', b"\xff"])
def test_malformed_records(payload: bytes, store: ObjectStore, shared_client: Client) -> None:
    store.put("good", b"1")
    shared_client.connection.request(meta_subject(store.name, "bad"), payload=payload)
    shared_client.connection.request(f"$O.{store.name}.M.!", payload=payload)
    report = store.verify()
    assert kinds(report) == [("bad", "malformed"), ("", "malformed")]
    assert report.objects == 1
    assert kinds(store.verify("bad")) == [("bad", "malformed")]


def test_links(store: ObjectStore, shared_client: Client) -> None:
    """Each way in which a link can lead to nothing."""
    other = shared_client.object_store(f"{store.name}-other")
    store.put("gone", b"1")
    store.put("target", b"1")
    other.put("far", b"1")
    other.put("far gone", b"1")
    store.link("good", (store.name, "target"))
    store.link("good far", (other.name, "far"))
    store.link("near", (store.name, "gone"))
    store.link("far", (other.name, "far gone"))
    store.link("circle", (store.name, "target"))
    store.link("to a bucket", (store.name, "target"))
    store.link_store("bucket", other)
    store.delete("gone")
    other.delete("far gone")

    def lead(name: str, bucket: str, target: str | None) -> None:
        info = store.info(name)
        assert info is not None
        link = objstore.ObjectMetaOptions(objstore.ObjectLink(bucket, target))
        store_record(shared_client, info.with_changes(options=link))

    lead("circle", store.name, "circle")
    lead("to a bucket", store.name, "bucket")
    report = store.verify()
    assert sorted(kinds(report)) == [
        ("circle", "link"),
        ("far", "dangling link"),
        ("near", "dangling link"),
        ("to a bucket", "link"),
    ]
    assert (report.objects, report.links) == (1, 7)
    shared_client.delete_store(other.name)
    assert ("bucket", "dangling link") in kinds(store.verify())
    assert ("good far", "dangling link") in kinds(store.verify())


def test_a_link_to_a_malformed_record(store: ObjectStore, shared_client: Client) -> None:
    store.link("link", store.put("target", b"1"))
    shared_client.connection.request(meta_subject(store.name, "target"), payload=b"{")
    assert sorted(kinds(store.verify())) == [("link", "dangling link"), ("target", "malformed")]
    store.collect_garbage(min_age=0)


def test_chunks_without_an_owner_are_counted(store: ObjectStore, shared_client: Client) -> None:
    """They are no problem: an upload in progress has such."""
    store.put("x", b"123", chunk_size=1)
    for _ in range(2):
        shared_client.connection.request(f"$O.{store.name}.C.orphan", payload=b"1")
    assert store.verify() == VerifyReport(store.name, objects=1, bytes=3, orphaned_chunks=2)
    with store.open("y", "wb", chunk_size=1) as file:
        file.write(b"12")
        assert store.verify().ok
    assert store.verify().orphaned_chunks == 2
    assert store.collect_garbage(min_age=0).chunks == 2


def test_an_object_that_is_committed_meanwhile(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its chunks have an owner, if one looks again."""
    counted = chunk_counts

    def put_then(*arguments: Any) -> Any:
        store.put("late", b"1")
        return counted(*arguments)

    monkeypatch.setattr(verification, "chunk_counts", put_then)
    assert store.verify() == VerifyReport(store.name)


def test_names_that_share_chunks(store: ObjectStore, shared_client: Client) -> None:
    info = store.put("old", b"12345")
    store.put("other", b"1")
    store_record(shared_client, info.with_changes(name="new"))
    report = store.verify()
    assert sorted(kinds(report)) == [("new", "shared"), ("old", "shared")]
    assert "'old'" in next(p.message for p in report.problems if p.name == "new")
    assert report.orphaned_chunks == 0


def test_an_object_that_changes_meanwhile(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is verified as it is now; one that is deleted is left out."""
    for name in ("over", "gone", "link", "same"):
        store.put(name, b"12345", chunk_size=1)
    read = verification._Verification._read
    done: set[str] = set()

    def change_then(self: Any, info: ObjectInfo) -> None:
        if info.name not in done:
            done.add(info.name)
            if info.name == "over":
                store.put("over", b"new content", chunk_size=1)
            elif info.name == "gone":
                store.delete("gone")
            elif info.name == "link":
                store.delete("link")
                store.link("link", (store.name, "same"))
        read(self, info)

    monkeypatch.setattr(verification._Verification, "_read", change_then)
    assert store.verify() == VerifyReport(store.name, objects=2, bytes=16)


def test_an_object_that_never_stops_changing(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put("x", b"12345", chunk_size=1)
    read = verification._Verification._read

    def change_then(self: Any, info: ObjectInfo) -> None:
        store.put("x", b"12345", chunk_size=1)
        read(self, info)

    monkeypatch.setattr(verification._Verification, "_read", change_then)
    assert kinds(store.verify()) == [("x", "changing")]


def test_several_records_of_a_name(store: ObjectStore, shared_client: Client) -> None:
    """Other clients update without a rollup; the last record counts, and it shares nothing."""
    info = store.put("x", b"1")
    for turn in ("once", "twice"):
        store_record(shared_client, info.with_changes(description=turn))
    assert store.verify() == VerifyReport(store.name, objects=1, bytes=1)


def test_everything_at_once(store: ObjectStore, shared_client: Client) -> None:
    """One problem hides no other."""
    store.put("a", b"1")
    bad = store.put("b", b"12", chunk_size=1)
    remove_chunk(shared_client, store, bad.nuid, 0)
    shared_client.connection.request(
        meta_subject(store.name, "c"), payload=json.dumps({"name": 5}).encode()
    )
    store.put("d", b"1")
    store.link("e", (store.name, "d"))
    store.delete("d")
    store.put("f", b"1")
    report = store.verify()
    assert sorted(kinds(report)) == [
        ("b", "damaged"), ("c", "malformed"), ("e", "dangling link")
    ]  # fmt: skip
    assert report.objects == 3
    with pytest.raises(ObjectCorruptError):
        store.read_bytes("b")
