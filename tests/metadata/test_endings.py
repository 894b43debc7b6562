"""Whatever is tried again comes to an end, however long the cause of it goes on."""

from __future__ import annotations

from typing import Any

import pytest

from objstore import Client, ObjectInfo, ObjectStore
from objstore.care.owners import Owners
from objstore.errors import RevisionMismatchError
from objstore.metadata.commit import commit
from objstore.wire.connection.requests import next_nuid
from objstore.wire.jetstream.access import Access
from objstore.wire.jetstream.api import JetStream
from objstore.wire.jetstream.pages import all_subjects


@pytest.mark.parametrize(("tries", "patience"), [(5, 60.0), (1000, 0.0)])
def test_somebody_else_is_always_faster(
    tries: int, patience: float, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many times, or so long; a connection that is not waited for allows one time-out."""
    monkeypatch.setattr("objstore.metadata.commit._TRIES", tries)
    monkeypatch.setattr(store._handle.jetstream, "patience", patience)
    monkeypatch.setattr(store._handle.jetstream, "timeout", 0.5 if patience == 0 else 5.0)
    made = 0

    def again(_found: ObjectInfo | None) -> ObjectInfo:
        nonlocal made
        made += 1
        store.put("x")
        return ObjectInfo(store.name, "x", nuid=next_nuid())

    current = store.put("x")
    store.put("x")
    with pytest.raises(RevisionMismatchError, match="changed by somebody else") as caught:
        commit(store._handle.records, ObjectInfo(store.name, "x", nuid=next_nuid()), current, again)
    assert caught.value.actual != caught.value.expected
    assert made == tries - 1 or (patience == 0 and made > 0)


def test_subjects_that_come_while_they_are_listed(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that comes before those already listed makes another come twice; that is no standstill.

    (Played, for a page of the server's has 100,000.)
    """
    pages = [["b", "c", "d"], ["d"], []]  # "a" came after the first page
    asked: list[int] = []

    def stream_info(_: JetStream, stream: str, request: dict[str, Any]) -> dict[str, Any]:
        asked.append(request["offset"])
        page = pages[len(asked) - 1] if len(asked) <= len(pages) else ["d"]
        return {"total": 4, "state": {"subjects": dict.fromkeys(page, 1)}}

    monkeypatch.setattr(JetStream, "stream_info", stream_info)
    assert all_subjects(store._handle.jetstream, "S", ">") == {"b": 1, "c": 1, "d": 1}
    assert asked == [0, 3]


def test_a_flood_of_what_is_passed_over(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``next`` keeps its time-out also where nothing that comes is given."""
    store.put("x", b"1")
    store.delete("x")
    with store.watch(ignore_deletes=True) as watcher:
        delivery = store._handle.records.jetstream.last_message(
            f"OBJ_{store.name}", f"$O.{store.name}.M.>"
        )
        assert delivery is not None
        monkeypatch.setattr(watcher._consumer, "next", lambda _deadline: delivery)
        with pytest.raises(TimeoutError):
            watcher.next(timeout=0.2)


def test_garbage_is_not_chased(
    store: ObjectStore, shared_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last look at the records goes as far as they went when it began."""
    owners = Owners(store._handle.records)
    list(owners.load())
    read_next = Access.next
    looked = 0

    def and_one_more(self: Access, *args: Any, **options: Any) -> Any:
        nonlocal looked
        looked += 1
        assert looked < 50
        answer = read_next(self, *args, **options)
        shared_client.object_store(store.name).put(f"{looked}")
        return answer

    for number in range(3):
        store.put(f"first-{number}")
    monkeypatch.setattr(Access, "next", and_one_more)
    owners.catch_up()
    assert looked == 3
