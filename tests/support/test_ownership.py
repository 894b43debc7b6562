"""The look at what a test leaves behind is itself put to the test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from objstore import Client, LocalServer, ObjectStore
from tests.support.ownership import Inspector, WatchedClient
from tests.support.streams import orphans

pytestmark = pytest.mark.newest_server


@pytest.fixture
def looking(server: LocalServer) -> Iterator[Inspector]:
    """An inspector of the test's own, which thinks of another test."""
    inspector = Inspector(server.url)
    inspector.test = "the test"
    yield inspector
    inspector.close()


def leave_one(client: Client, store: ObjectStore) -> None:
    """One chunk that nobody owns, beside those that somebody owns."""
    store.put("x", b"12345", chunk_size=2)
    client.connection.request(f"$O.{store.name}.C.orphan", payload=b"1")
    assert orphans(client, store) == {"orphan"}


def test_what_a_test_leaves(looking: Inspector, store: ObjectStore, shared_client: Client) -> None:
    leave_one(shared_client, store)
    complaint = f"the test leaves .*orphan.* {store.name}"
    with pytest.raises(AssertionError, match=complaint):
        looking.look_into(store.name)
    with pytest.raises(AssertionError, match=complaint):
        looking.look_everywhere()
    store.collect_garbage(min_age=0)
    looking.look_everywhere()


def test_a_bucket_that_is_deleted(
    looking: Inspector, server: LocalServer, shared_client: Client
) -> None:
    """It is deleted all the same, so that a failing test fails no other."""
    with WatchedClient(server.url, looking) as client:
        leave_one(client, client.object_store("left"))
        with pytest.raises(AssertionError, match="orphan"):
            client.delete_store("left")
    assert shared_client.delete_store("left") is False


def test_what_is_left_on_purpose(
    looking: Inspector, store: ObjectStore, shared_client: Client
) -> None:
    """It is no fault later either, while the bucket lives."""
    leave_one(shared_client, store)
    looking.lenient = True
    looking.look_around()
    looking.lenient = False
    looking.look_everywhere()
    store.collect_garbage(min_age=0)
