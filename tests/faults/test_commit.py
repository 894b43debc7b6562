"""Answers that are lost in a commit, while somebody else writes the same name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from objstore import Client, ObjectStore, RequestTimeoutError
from tests.support.proxy import Proxy, metadata_of, unavailable
from tests.support.streams import chunk_counts, orphans


def test_a_delete_is_not_made_twice(
    far_store: ObjectStore, proxy: Proxy, store: ObjectStore, shared_client: Client
) -> None:
    """What somebody puts after the tombstone, whose answer is lost, stays.

    Whose tombstone it replaced nobody can tell: somebody else's would look the same.
    """
    store.put("x", b"old")
    answer = proxy.answers(metadata_of(store.name))
    proxy.down.drop(answer, then=lambda: store.put("x", b"new"))
    with pytest.raises(RequestTimeoutError):
        far_store.delete("x")
    assert store.read_bytes("x") == b"new"
    assert orphans(shared_client, store) == set()


def test_a_delete_that_loses_a_race(
    far_store: ObjectStore, proxy: Proxy, store: ObjectStore, shared_client: Client
) -> None:
    """As if it had come first: its object is gone, and the other's is not its to delete."""
    store.put("x", b"old")
    proxy.up.call(metadata_of(store.name), lambda: store.put("x", b"new"))
    assert far_store.delete("x")
    assert store.read_bytes("x") == b"new"
    assert orphans(shared_client, store) == set()


def test_a_delete_that_loses_two_races(
    far_store: ObjectStore, proxy: Proxy, store: ObjectStore, shared_client: Client
) -> None:
    """Somebody else has deleted what it was for, and put another: that is deleted."""
    store.put("x", b"old")

    def interfere() -> None:
        assert store.delete("x")
        store.put("x", b"new")

    proxy.up.call(metadata_of(store.name), interfere)
    assert far_store.delete("x")
    assert store.info("x") is None
    assert orphans(shared_client, store) == set()


def test_two_deletes_of_which_one_lost_its_answer(
    far_store: ObjectStore, proxy: Proxy, store: ObjectStore
) -> None:
    """One of them has done it: their tombstones differ."""
    store.put("x", b"old")
    proxy.up.drop(metadata_of(store.name), then=lambda: store.delete("x"))
    assert not far_store.delete("x")


def test_a_delete_whose_answer_is_lost(
    far_store: ObjectStore, proxy: Proxy, store: ObjectStore
) -> None:
    store.put("x", b"old")
    rule = proxy.down.drop(proxy.answers(metadata_of(store.name)))
    assert far_store.delete("x")
    assert rule.happened.is_set()


def test_a_delete_meets_an_update(far_store: ObjectStore, proxy: Proxy, store: ObjectStore) -> None:
    """It is the same object still, and deleted."""
    store.put("x", b"old")
    proxy.up.call(metadata_of(store.name), lambda: store.update("x", description="d"))
    assert far_store.delete("x")
    assert "x" not in store


def test_a_delete_meets_another_one(
    far_store: ObjectStore, proxy: Proxy, store: ObjectStore
) -> None:
    store.put("x", b"old")
    proxy.up.call(metadata_of(store.name), lambda: store.delete("x"))
    assert not far_store.delete("x")


def test_a_put_whose_answer_is_lost_and_that_is_renamed(
    far_store: ObjectStore, proxy: Proxy, store: ObjectStore, shared_client: Client
) -> None:
    """It was stored, and lives under another name: its chunks are not the failed put's to remove.

    The tombstone in its place says nothing of that, for it has a nuid of its own.
    """
    store.put("x", b"old")
    answer = proxy.answers(metadata_of(store.name))
    proxy.down.drop(answer, then=lambda: store.update("x", new_name="y"))
    with pytest.raises(RequestTimeoutError):
        far_store.put("x", b"new")
    assert store.read_bytes("y") == b"new"
    assert "x" not in store
    assert orphans(shared_client, store) == set()


def test_an_update_is_not_made_twice(
    far_store: ObjectStore, proxy: Proxy, store: ObjectStore
) -> None:
    """Whether it was made at all nobody can tell; never to what was put since."""
    store.put("x", b"old")
    answer = proxy.answers(metadata_of(store.name))
    proxy.down.drop(answer, then=lambda: store.put("x", b"new"))
    with pytest.raises(RequestTimeoutError):
        far_store.update("x", description="of the old one")
    info = store.info("x")
    assert info is not None
    assert not info.description


def test_an_update_whose_answer_is_lost(
    far_store: ObjectStore, proxy: Proxy, store: ObjectStore
) -> None:
    """With nobody else there it is found out."""
    store.put("x", b"old")
    rule = proxy.down.drop(proxy.answers(metadata_of(store.name)))
    assert far_store.update("x", description="d").description == "d"
    assert rule.happened.is_set()


class TestRefusedAndStored:
    """While leaders change, one server refuses what another one stores; the refusal comes first."""

    @pytest.fixture(autouse=True)
    def refuse(self, proxy: Proxy, store: ObjectStore) -> Iterator[None]:
        store.put("x", b"old")
        rule = proxy.down.change(proxy.answers(metadata_of(store.name)), unavailable)
        yield
        assert rule.happened.is_set()

    def test_put(self, far_store: ObjectStore, store: ObjectStore, shared_client: Client) -> None:
        """What was stored is not replaced by itself, and so keeps its chunks."""
        info = far_store.put("x", b"new")
        assert store.read_bytes("x") == b"new"
        assert chunk_counts(shared_client, store) == {info.nuid: 1}

    def test_delete(self, far_store: ObjectStore, store: ObjectStore) -> None:
        assert far_store.delete("x")
        assert "x" not in store

    def test_update(self, far_store: ObjectStore, store: ObjectStore) -> None:
        far_store.update("x", description="d")
        assert store.read_bytes("x") == b"old"

    def test_compare_and_set(self, far_store: ObjectStore, store: ObjectStore) -> None:
        seen = store.info("x")
        assert seen is not None
        far_store.put("x", b"new", if_revision=seen.revision)
        assert store.read_bytes("x") == b"new"
