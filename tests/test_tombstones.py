"""Tombstones: with a nuid of their own, and not for ever."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from objstore import Client, ObjectInfo, ObjectStore
from objstore.objects import meta_subject
from tests.streams import api, chunk_counts, record, write_record


def purge_as_others_do(client: Client, store: ObjectStore, name: str) -> None:
    """What a delete or put of any other client does with what it finds under a name."""
    nuid = record(client, store, name)["nuid"]
    assert nuid, "without a nuid nats.go calls the record bad"
    api(
        client.connection, f"STREAM.PURGE.OBJ_{store.name}", {"filter": f"$O.{store.name}.C.{nuid}"}
    )


def tombstone_of(store: ObjectStore, name: str) -> ObjectInfo:
    info = store.info(name, include_deleted=True)
    assert info is not None
    assert info.deleted
    return info


# --- a nuid of their own


def rename(store: ObjectStore, client: Client) -> None:
    store.update("old", new_name="new")


def rename_with_a_description(store: ObjectStore, client: Client) -> None:
    store.update("old", new_name="new", description="d")


def rename_twice(store: ObjectStore, client: Client) -> None:
    store.update("old", new_name="between")
    store.update("between", new_name="new")


def rename_there_and_back(store: ObjectStore, client: Client) -> None:
    store.update("old", new_name="new")
    store.update("new", new_name="old")
    store.update("old", new_name="new")


def delete_one_of_two(store: ObjectStore, client: Client) -> None:
    """As another client's interrupted rename leaves them."""
    write_record(client, store, {**record(client, store, "old"), "name": "new"})
    store.delete("old")


def delete_a_copied_one(store: ObjectStore, client: Client) -> None:
    store.copy("old", "new")
    store.delete("old")


ACTS = [rename, rename_with_a_description, rename_twice, rename_there_and_back, delete_one_of_two,
        delete_a_copied_one]  # fmt: skip


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
def test_others_purge_nothing_by_a_tombstone(
    act: Callable[[ObjectStore, Client], None], store: ObjectStore, shared_client: Client
) -> None:
    store.put("old", b"precious", chunk_size=3)
    act(store, shared_client)
    tombstones = [info for info in store.list(include_deleted=True) if info.deleted]
    assert "old" in {info.name for info in tombstones}
    for tombstone in tombstones:
        assert tombstone.nuid not in chunk_counts(shared_client, store)
        assert not {"objstore_moved_to", "objstore_moved_from"} & tombstone.extra.keys()
        purge_as_others_do(shared_client, store, tombstone.name)
    assert store.read_bytes("new") == b"precious"
    assert store.verify().ok


def test_no_two_tombstones_are_alike(store: ObjectStore) -> None:
    nuids = set()
    for _ in range(3):
        nuids.add(store.put("x", b"1").nuid)
        store.delete("x")
        nuids.add(tombstone_of(store, "x").nuid)
    assert len(nuids) == 6


@pytest.mark.parametrize("chunks", [0, 3], ids=["no chunks", "chunks stated"])
def test_others_tombstone_with_a_live_nuid(
    chunks: int, store: ObjectStore, shared_client: Client
) -> None:
    """As nats.go's interrupted rename and delete leave it: nothing of ours purges by it."""
    for act in (
        lambda: store.put("old", b"over it"),
        lambda: store.delete("old"),
        lambda: store.put("other", b"1") and store.update("other", new_name="old"),
        lambda: store.link("old", (store.name, "new")),
        lambda: store.put_many([("old", b"over it")]),
    ):
        info = store.put("new", b"precious", chunk_size=3)
        fields = {**record(shared_client, store, "new"), "name": "old", "deleted": True}
        size = {"size": info.size if chunks else 0, "chunks": chunks, "digest": ""}
        write_record(shared_client, store, {**fields, **size})
        act()
        assert store.read_bytes("new") == b"precious"
        shared_client._jetstream.purge(f"OBJ_{store.name}", meta_subject(store.name, "old"))
        store.collect_garbage(min_age=0)
    assert store.read_bytes("new") == b"precious"
