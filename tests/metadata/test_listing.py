"""Listing: each object once, lazily, whatever happens to the bucket meanwhile."""

from __future__ import annotations

import logging

import pytest

from objstore import Client, ObjectStore, RequestTimeoutError
from objstore.metadata.pages import FIRST_BATCH
from objstore.model.objects import meta_subject
from objstore.model.record_json import encode_info
from tests.support.proxy import Proxy, Rule, calls, nth
from tests.support.streams import record, write_record


def test_objects_changed_while_listing_come_once(store: ObjectStore) -> None:
    """Overwritten before and behind the listing's position, deleted, and new ones."""
    for i in range(1200):
        store.put(f"o{i}")
    listing = store.list()
    seen = [next(listing).name for _ in range(10)]
    store.put("o0", b"changed")  # given already
    store.put("o1199", b"changed")  # still to come
    store.put("new")
    store.delete("o5")
    store.delete("o1198")
    seen += [info.name for info in listing]
    assert len(seen) == len(set(seen))
    # What comes or goes meanwhile may be in it or not; all else is.
    assert set(seen) - {"o1198", "new"} == {f"o{i}" for i in range(1200)} - {"o1198"}


@pytest.mark.needs_server("2.11")  # before, there are no pages
def test_a_page_that_was_asked_for_ahead_is_lost(
    proxy: Proxy, far_store: ObjectStore, store: ObjectStore
) -> None:
    """It is asked for again; and whoever gives up leaves nothing to wait for."""
    names = [info.name for info in store.put_many((f"o{i}", b"") for i in range(1000))]
    cut = proxy.down.cut(nth(FIRST_BATCH + 200, proxy.answers(calls("DIRECT.GET"))))
    assert [info.name for info in far_store.list()] == names
    assert cut.happened.is_set()
    listing = far_store.list()
    assert next(listing).name == "o0"
    assert far_store._handle.jetstream.connection.inbox._handlers
    listing.close()  # type: ignore[attr-defined]
    assert far_store._handle.jetstream.connection.inbox._handlers == {}


def test_several_records_of_a_name(store: ObjectStore, shared_client: Client) -> None:
    """Other clients update metadata without a rollup; the last record counts."""
    first = store.put("x", b"1")
    store.put("y", b"2")
    for turn in ("once", "twice"):
        shared_client.connection.request(
            meta_subject(store.name, "x"), payload=encode_info(first.with_changes(description=turn))
        )
    assert [(info.name, info.description) for info in store] == [("y", ""), ("x", "twice")]
    info = store.info("x")
    assert info is not None
    assert info.description == "twice"


@pytest.mark.parametrize(
    "payload", [b"", b"null", b"[]", b"{", b"{}", b'{"name":1}', b'{"name":"x","size":-1}', b"\xff"]
)
def test_malformed_records_are_left_out(
    payload: bytes,
    store: ObjectStore,
    shared_client: Client,
    caplog: pytest.LogCaptureFixture,
) -> None:
    store.put("good", b"1")
    shared_client.connection.request(meta_subject(store.name, "bad"), payload=payload)
    store.put("better", b"2")
    with caplog.at_level(logging.WARNING, "objstore"):
        assert [info.name for info in store] == ["good", "better"]
    assert "malformed metadata" in caplog.text


@pytest.mark.needs_server("2.11")
def test_a_server_that_counts_too_few(
    proxy: Proxy, far_store: ObjectStore, store: ObjectStore, shared_client: Client
) -> None:
    """As one does that was killed: what it calls the last record is not, and older ones rose."""
    store.put("x")
    store.put("y")
    fields = record(shared_client, store, "x")
    for text in ("old", "older than", "newest"):
        write_record(shared_client, store, {**fields, "description": text})
    answers = proxy.answers(calls("DIRECT.GET"))

    def miscount(number: int) -> Rule:
        said, true = b"Pending: %d" % max(number - 3, 0), b"Pending: %d" % number
        return proxy.down.change(
            lambda line: answers(line) and true in line.raw,
            lambda line: line.raw.replace(true, said),
        )

    rules = [miscount(number) for number in (4, 3, 2, 1)]
    found = [(info.name, info.description) for info in far_store.list()]
    assert sorted(found) == [("x", "newest"), ("y", "")]
    assert all(rule.happened.is_set() for rule in rules)


@pytest.mark.needs_server("2.11")
def test_a_server_that_is_silent(proxy: Proxy, far_store: ObjectStore, store: ObjectStore) -> None:
    """The error says which bucket it was."""
    store.put("x")
    proxy.down.drop(proxy.answers(calls("DIRECT.GET")), times=99)
    with pytest.raises(RequestTimeoutError) as caught:
        list(far_store.list())
    assert caught.value.bucket == store.name
