"""Many objects deleted at once: each as if alone, and nothing left behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from objstore import (
    BucketSealedError,
    Client,
    ConnectionLostError,
    InvalidNameError,
    InvalidOptionError,
    ObjectStore,
)
from objstore.model.objects import meta_subject
from tests.support.proxy import Proxy, calls, metadata_of, nth
from tests.support.streams import orphans, record, write_record


def fill(store: ObjectStore, count: int) -> list[str]:
    names = [f"a/{number}" for number in range(count)]
    store.put_many((name, name.encode()) for name in names)
    return names


def test_all_are_deleted_and_counted(client: Client, store: ObjectStore) -> None:
    names = fill(store, 150)
    store.put("large", bytes(300_000))
    store.link("link", (store.name, "large"))
    store.put("empty", b"")
    store.put("b", b"stays")
    asked = iter([*names, "absent", names[0], "large", "link", "empty"])
    assert store.delete_many(asked) == 153
    assert [info.name for info in store.list()] == ["b"]
    assert not orphans(client, store)
    assert store.delete_many(names) == 0
    deleted = store.info("a/0", include_deleted=True)
    assert deleted is not None
    assert deleted.deleted


def test_a_prefix(store: ObjectStore) -> None:
    fill(store, 5)
    store.put("a", b"stays")
    store.put("ab", b"stays")
    assert store.delete_prefix("a/") == 5
    assert store.delete_prefix("a/") == 0
    assert sorted(info.name for info in store.list()) == ["a", "ab"]
    assert store.delete_prefix("") == 2


def names_that_end(names: list[Any]) -> Iterator[Any]:
    yield from names


@pytest.mark.parametrize(
    ("names", "error"),
    [
        ("a/1", InvalidOptionError),
        (b"a/1", InvalidOptionError),
        (1, InvalidOptionError),
        (["a/1", ""], InvalidNameError),
        (["a/1", 7], InvalidNameError),
        (names_that_end(["a/1", "\ud800"]), InvalidNameError),
    ],
)
def test_bad_names_delete_nothing(names: Any, error: type[Exception], store: ObjectStore) -> None:
    fill(store, 2)
    with pytest.raises(error):
        store.delete_many(names)
    with pytest.raises(InvalidOptionError):
        store.delete_prefix(None)  # type: ignore[arg-type]
    assert len(list(store.list())) == 2


def test_chunks_that_another_name_needs_stay(client: Client, store: ObjectStore) -> None:
    """Where another client's rename broke off."""
    fill(store, 3)
    write_record(client, store, {**record(client, store, "a/1"), "name": "b"})
    assert store.delete_many(["a/0", "a/1"]) == 2
    assert store.read_bytes("b") == b"a/1"
    assert store.delete_many(["b", "a/2"]) == 2
    assert not orphans(client, store)


def test_what_cannot_be_read_is_deleted(client: Client, store: ObjectStore) -> None:
    fill(store, 2)
    answer = client.connection.request(meta_subject(store.name, "odd"), payload=b"{")
    assert "error" not in json.loads(answer.payload)
    assert store.delete_many(["a/0", "odd", "a/1"]) == 3
    assert store.info("odd") is None


def test_what_is_overwritten_meanwhile_stays(
    far_store: ObjectStore, store: ObjectStore, proxy: Proxy, client: Client
) -> None:
    fill(store, 3)
    proxy.up.call(metadata_of(store.name), lambda: store.put("a/0", b"new"))
    assert far_store.delete_many(["a/0", "a/1"]) == 2
    assert sorted(info.name for info in store.list()) == ["a/0", "a/2"]
    assert store.read_bytes("a/0") == b"new"
    assert not orphans(client, store)


@pytest.mark.parametrize("lost", ["acknowledgement", "purge"])
def test_a_lost_answer(
    lost: str, far_store: ObjectStore, store: ObjectStore, proxy: Proxy, client: Client
) -> None:
    names = fill(store, 10)
    predicate = metadata_of(store.name) if lost == "acknowledgement" else calls("STREAM.PURGE")
    proxy.down.drop(proxy.answers(nth(3, predicate)))
    assert far_store.delete_many(names) == 10
    assert not list(store.list())
    assert not orphans(client, store)


def test_a_lost_connection(
    far_store: ObjectStore, store: ObjectStore, proxy: Proxy, client: Client
) -> None:
    names = fill(store, 10)
    proxy.up.cut(nth(5, metadata_of(store.name)))
    try:
        far_store.delete_many(names)
    except ConnectionLostError as error:
        assert error.name in names  # noqa: PT017 - it may go on as well
    assert far_store.delete_many(names) >= 0
    assert not list(store.list())
    assert not orphans(client, store)


def test_a_sealed_bucket(store: ObjectStore) -> None:
    names = fill(store, 3)
    store.seal()
    with pytest.raises(BucketSealedError):
        store.delete_many(names)
    assert len(list(store.list())) == 3
