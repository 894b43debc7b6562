"""Calls while a stream has no leader: one server says "temporarily unavailable", once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from objstore import ObjectStore
from objstore.model.objects import chunk_subject
from tests.support.proxy import Proxy, calls, unavailable

Call = Callable[[ObjectStore], object]


def listing(store: ObjectStore) -> object:
    return sorted(info.name for info in store.list())


def without_batches(store: ObjectStore) -> object:
    """As on a server that has none: each name by itself."""
    store._handle.records.access.single = True
    return listing(store)


CALLS: dict[str, tuple[Call, object]] = {
    "list": (listing, ["a", "b"]),
    "list without batches": (without_batches, ["a", "b"]),
    "info": (lambda store: store.info("a") is not None, True),
    "names": (lambda store: "b" in store, True),
    "bytes": (lambda store: store.read_bytes("a"), b"1"),
    "many": (lambda store: sorted(store.get_many(["a", "b"])), [("a", b"1"), ("b", b"2")]),
    "put": (lambda store: store.put("a", b"new").size, 3),
    "update": (lambda store: store.update("a", description="d").description, "d"),
    "delete": (lambda store: store.delete("a"), True),
    "delete many": (lambda store: store.delete_many(["a", "b"]), 2),
    "scan": (lambda store: [each.name for each in store.scan("").objects], ["a", "b"]),
    "verify": (lambda store: len(store.verify("a").problems), 0),
    "garbage": (lambda store: store.collect_garbage(min_age=0).bytes, 1),
}


@pytest.mark.leaves_chunks("what is stored last is a chunk: the leader is asked what it is")
@pytest.mark.parametrize("name", CALLS)
def test_a_call(
    far_store: ObjectStore,
    proxy: Proxy,
    store: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    """It is asked again, as in any election of a leader."""
    store.put("a", b"1")
    store.put("b", b"2")
    store._handle.jetstream.publish(chunk_subject(store.name, "nobody"), b"3", "storing a chunk")
    call, expected = CALLS[name]
    # So that the leader is asked, which without a cluster any direct get is.
    monkeypatch.setattr(far_store._handle.jetstream.connection.session, "is_clustered", True)
    rule = proxy.down.change(proxy.answers(calls("STREAM.MSG.GET")), unavailable)
    assert call(far_store) == expected
    assert rule.happened.is_set()
