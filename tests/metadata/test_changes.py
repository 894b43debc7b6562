"""Changes of records: update, rename, links, copy, delete, seal, destroy."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from objstore import (
    BucketNotFoundError,
    BucketSealedError,
    Client,
    InvalidNameError,
    InvalidOptionError,
    LinkError,
    ObjectChangedError,
    ObjectCorruptError,
    ObjectExistsError,
    ObjectInfo,
    ObjectLink,
    ObjectMeta,
    ObjectMetaOptions,
    ObjectNotFoundError,
    ObjectStore,
    RevisionMismatchError,
)
from objstore.metadata.links import MAX_LINKS
from objstore.model.objects import meta_subject
from tests.support.proxy import Proxy, metadata_of, nth
from tests.support.streams import (
    chunk_counts,
    delete_chunk,
    orphans,
    record,
    subjects,
    write_record,
)

DESCRIBED: dict[str, Any] = {
    "description": "a description",
    "mime": "text/plain",
    "headers": {"One": ["1"], "Two": ["1", "2"]},
    "metadata": {"k": "v"},
}


@pytest.fixture
def other(shared_client: Client, store: ObjectStore) -> Iterator[ObjectStore]:
    """A second bucket."""
    other = shared_client.object_store(f"{store.name}-other")
    yield other
    shared_client.delete_store(other.name)


def described(info: ObjectInfo | None) -> dict[str, Any]:
    assert info is not None
    headers = {k: v for k, v in info.header_values.items() if k.lower() != "content-type"}
    return {
        "description": info.description,
        "mime": info.mime,
        "headers": headers,
        "metadata": dict(info.metadata),
    }


# --- update


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("description", "another ☃"),
        ("mime", "a/b"),
        ("headers", {"Three": ["3", "4"]}),
        ("metadata", {"other": "pair"}),
    ],
)
def test_update_changes_one_field(field: str, value: Any, store: ObjectStore) -> None:
    before = store.put("x", b"content", **DESCRIBED)
    after = store.update("x", **{field: value})
    assert described(after) == {**DESCRIBED, field: value}
    assert described(store.info("x")) == {**DESCRIBED, field: value}
    assert after.revision > before.revision
    assert (after.nuid, after.size, after.digest) == (before.nuid, before.size, before.digest)
    assert store.read_bytes("x") == b"content"


@pytest.mark.parametrize(
    ("field", "empty"), [("description", ""), ("mime", None), ("headers", {}), ("metadata", {})]
)
def test_none_clears_a_field(field: str, empty: Any, store: ObjectStore) -> None:
    store.put("x", b"content", **DESCRIBED)
    assert described(store.update("x", **{field: None})) == {**DESCRIBED, field: empty}


def test_update_of_nothing_keeps_everything(store: ObjectStore) -> None:
    store.put("x", b"content", **DESCRIBED)
    assert described(store.update("x")) == DESCRIBED


def test_headers_may_bring_a_media_type(store: ObjectStore) -> None:
    store.put("x", b"content", **DESCRIBED)
    info = store.update("x", headers={"content-type": "a/b", "One": "1"})
    assert (info.mime, described(info)["headers"]) == ("a/b", {"One": ["1"]})
    assert store.update("x", headers={"content-type": "a/b"}, mime="c/d").mime == "c/d"


def test_update_by_a_meta(store: ObjectStore) -> None:
    """Its fields that are not None count, and arguments before them."""
    store.put("x", b"content", **DESCRIBED)
    info = store.update("x", ObjectMeta("x", description="meta", metadata={}))
    assert described(info) == {**DESCRIBED, "description": "meta", "metadata": {}}
    info = store.update("x", ObjectMeta("x", description="meta"), description=None, mime="a/b")
    assert described(info) == {**DESCRIBED, "description": "", "metadata": {}, "mime": "a/b"}
    info = store.update("x", ObjectMeta("y", headers={"h": "v"}))
    assert (info.name, described(info)["headers"]) == ("y", {"h": ["v"]})
    assert [each.name for each in store] == ["y"]
    assert store.update("y", ObjectMeta("y"), new_name="z").name == "z"


def test_unknown_fields_survive(store: ObjectStore, shared_client: Client) -> None:
    store.put("x", b"content", chunk_size=3)
    theirs = record(shared_client, store, "x")
    theirs["future"] = {"a": [1, None, True], "b": "☃"}
    theirs["options"]["future"] = 1.5
    write_record(shared_client, store, theirs)
    store.update("x", description="d")
    assert record(shared_client, store, "x") == {**theirs, "description": "d"}
    store.update("x", new_name="y")
    renamed = record(shared_client, store, "y")
    assert {key: renamed[key] for key in theirs} == {**theirs, "name": "y"}
    store.delete("y")
    assert record(shared_client, store, "y")["future"] == theirs["future"]


def test_update_of_a_link(store: ObjectStore) -> None:
    store.put("target", b"1", description="target")
    store.link("link", (store.name, "target"))
    info = store.update("link", description="d", metadata={"k": "v"})
    assert info.link == ObjectLink(store.name, "target")
    assert store.read_bytes("link") == b"1"
    target = store.info("target")
    assert target is not None
    assert target.description == "target"


def test_update_of_what_is_not_there(store: ObjectStore, shared_client: Client) -> None:
    store.put("deleted", b"1")
    store.delete("deleted")
    before = subjects(shared_client, store)
    for name in ("deleted", "never there"):
        for new_name in (None, "new"):
            with pytest.raises(ObjectNotFoundError) as caught:
                store.update(name, new_name=new_name, description="d")
            assert (caught.value.bucket, caught.value.name) == (store.name, name)
    assert subjects(shared_client, store) == before


def test_update_if_revision(store: ObjectStore) -> None:
    first = store.put("x", b"1")
    second = store.update("x", description="2", if_revision=first.revision)
    for new_name in (None, "new"):
        with pytest.raises(RevisionMismatchError) as caught:
            store.update("x", description="3", new_name=new_name, if_revision=first.revision)
        assert (caught.value.expected, caught.value.actual) == (first.revision, second.revision)
    with pytest.raises(RevisionMismatchError):
        store.update("never there", description="3", if_revision=7)
    assert described(store.info("x"))["description"] == "2"
    assert store.update("x", new_name="y", if_revision=second.revision).name == "y"


def test_if_revision_is_decided_by_the_server(
    proxy: Proxy, far_store: ObjectStore, store: ObjectStore
) -> None:
    """Somebody is faster between our look and our record."""
    first = store.put("x", b"1")
    acts: list[Callable[[], object]] = [
        lambda: far_store.update("x", description="ours", if_revision=first.revision),
        lambda: far_store.delete("x", if_revision=first.revision),
        lambda: far_store.update("x", new_name="y", if_revision=first.revision),
    ]
    for act in acts:
        first = store.update("x", description="present")
        proxy.up.call(metadata_of(store.name), lambda: store.update("x", description="theirs"))
        with pytest.raises(RevisionMismatchError):
            act()
        assert described(store.info("x"))["description"] == "theirs"
    assert [info.name for info in store] == ["x"]


def test_concurrent_updates_lose_nothing(store: ObjectStore) -> None:
    """Each changes another field, and all of them count."""
    fields = {"description": "d", "mime": "a/b", "headers": {"h": ["v"]}, "metadata": {"k": "v"}}
    for _ in range(10):
        store.put("x", b"1")
        threads = [
            threading.Thread(target=store.update, args=("x",), kwargs={field: value})
            for field, value in fields.items()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert described(store.info("x")) == fields


@pytest.mark.parametrize(
    "change",
    [
        {"description": 1},
        {"description": "\ud800"},
        {"mime": "a\r\nb"},
        {"headers": {"a b": "c"}},
        {"headers": {"a": "b\nc"}},
        {"headers": "a"},
        {"metadata": {"a": 1}},
        {"metadata": []},
        {"if_revision": -1},
        {"if_revision": "1"},
    ],
    ids=repr,
)
def test_bad_updates(change: dict[str, Any], store: ObjectStore, shared_client: Client) -> None:
    store.put("x", b"1", **DESCRIBED)
    before = subjects(shared_client, store), store.info("x")
    with pytest.raises(InvalidOptionError):
        store.update("x", **change)
    assert (subjects(shared_client, store), store.info("x")) == before


# --- rename


def test_rename_keeps_all_but_the_name(store: ObjectStore, shared_client: Client) -> None:
    before = store.put("old", b"12345", chunk_size=2, **DESCRIBED)
    after = store.update("old", new_name="new", description="renamed")
    assert described(after) == {**DESCRIBED, "description": "renamed"}
    assert (after.nuid, after.size, after.digest) == (before.nuid, before.size, before.digest)
    assert store.read_bytes("new") == b"12345"
    assert store.info("old") is None
    tombstone = store.info("old", include_deleted=True)
    assert tombstone is not None
    assert tombstone.deleted
    assert store.put("old", b"another").nuid != before.nuid
    assert store.read_bytes("new") == b"12345"
    assert orphans(shared_client, store) == set()


def test_rename_to_itself_is_an_update(store: ObjectStore, shared_client: Client) -> None:
    store.put("x", b"1")
    assert store.update("x", new_name="x", description="d").description == "d"
    assert store.read_bytes("x") == b"1"
    assert "objstore_moved_to" not in record(shared_client, store, "x")


def test_rename_onto_a_live_object(store: ObjectStore, shared_client: Client) -> None:
    store.put("x", b"1")
    store.put("y", b"2")
    store.link("l", (store.name, "x"))
    before = [store.info(name) for name in "xyl"]
    for name in ("y", "l"):
        with pytest.raises(ObjectExistsError) as caught:
            store.update("x", new_name=name, description="d")
        assert (caught.value.bucket, caught.value.name) == (store.name, name)
    assert [store.info(name) for name in "xyl"] == before
    assert orphans(shared_client, store) == set()


def test_rename_onto_a_tombstone_and_back(store: ObjectStore, shared_client: Client) -> None:
    store.put("x", b"1")
    store.put("y", b"2")
    store.delete("y")
    for _ in range(2):
        store.update("x", new_name="y")
        assert (store.info("x"), store.read_bytes("y")) == (None, b"1")
        store.update("y", new_name="x")
        assert (store.info("y"), store.read_bytes("x")) == (None, b"1")
    store.delete("x")
    assert chunk_counts(shared_client, store) == {}


@pytest.mark.parametrize("name", ["", "x" * 2901, "\ud800", 1])
def test_rename_to_an_impossible_name(name: Any, store: ObjectStore, shared_client: Client) -> None:
    store.put("x", b"1")
    before = store.info("x")
    with pytest.raises(InvalidNameError):
        store.update("x", new_name=name)
    assert store.info("x") == before


def test_a_new_name_that_is_taken_at_the_last_moment(
    proxy: Proxy, far_store: ObjectStore, store: ObjectStore, shared_client: Client
) -> None:
    """Both objects stay as they were."""
    store.put("old", b"ours")
    proxy.up.call(nth(2, metadata_of(store.name)), lambda: store.put("new", b"theirs"))
    with pytest.raises(ObjectExistsError):
        far_store.update("old", new_name="new")
    assert (store.read_bytes("old"), store.read_bytes("new")) == (b"ours", b"theirs")
    assert orphans(shared_client, store) == set()


@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("how", ["put", "delete"])
def test_a_rename_races_an_overwrite(
    how: str,
    step: int,
    proxy: Proxy,
    far_store: ObjectStore,
    store: ObjectStore,
    shared_client: Client,
) -> None:
    """Before each of its steps: what is live can be read, and nothing remains."""
    store.put("old", b"ours")

    def change() -> None:
        if how == "put":
            store.put("old", b"theirs")
        else:
            store.delete("old")

    proxy.up.call(nth(step, metadata_of(store.name)), change)
    if (how, step) == ("put", 1):
        far_store.update("old", new_name="new")
        expected = {"new": b"theirs"}  # which was renamed
    else:
        with pytest.raises(ObjectNotFoundError if step == 1 else ObjectChangedError):
            far_store.update("old", new_name="new")
        expected = {"old": b"theirs"} if how == "put" else {}
    assert {info.name: store.read_bytes(info.name) for info in store} == expected
    assert orphans(shared_client, store) == set()


# --- links


def test_links(store: ObjectStore, other: ObjectStore) -> None:
    here = store.put("here", b"1")
    there = other.put("there", b"2")
    assert store.link("a", here).link == ObjectLink(store.name, "here")
    assert store.link("b", (other.name, "there")).link == ObjectLink(other.name, "there")
    info = store.link("c", there)
    assert (info.size, info.chunks, info.digest, info.deleted) == (0, 0, "", False)
    assert [store.read_bytes(name) for name in "abc"] == [b"1", b"2", b"2"]
    resolved = store.resolve("b")
    assert resolved is not None
    assert (resolved.bucket, resolved.name, resolved.nuid) == (other.name, "there", there.nuid)
    assert store.resolve("here") == store.info("here")
    assert store.resolve("never there") is None
    assert [each.name for each in store] == ["here", "a", "b", "c"]
    status = store.status()
    assert (status.size, status.total_size) == (4, 1)  # links have a name, and no bytes


def test_a_link_shows_what_its_target_is_now(store: ObjectStore) -> None:
    store.put("target", b"old")
    store.link("link", (store.name, "target"))
    store.put("target", b"new")
    assert store.read_bytes("link") == b"new"
    store.delete("link")
    assert store.read_bytes("target") == b"new"
    store.link("link", (store.name, "target"))
    store.delete("target")
    assert store.get("link") is None
    assert store.resolve("link") is None
    assert "link" in store


def test_put_of_a_meta_that_describes_a_link(store: ObjectStore, other: ObjectStore) -> None:
    store.put("target", b"1")
    link = ObjectMetaOptions(link=ObjectLink(store.name, "target"))
    info = store.put(ObjectMeta("l", "d", metadata={"k": "v"}, options=link))
    assert (info.link, info.description, info.metadata) == (link.link, "d", {"k": "v"})
    assert store.read_bytes("l") == b"1"
    store.put(ObjectMeta("b", options=ObjectMetaOptions(link=ObjectLink(other.name))))
    with pytest.raises(LinkError):
        store.get("b")
    with pytest.raises(InvalidOptionError, match="payload"):
        store.put(ObjectMeta("l", options=link), b"payload")


def test_what_can_be_linked_to(store: ObjectStore, other: ObjectStore) -> None:
    """ADR-20: no link, no deleted object, nothing that is not there."""
    deleted = store.put("deleted", b"1")
    store.delete("deleted")
    store.put("target", b"1")
    link = store.link("link", (store.name, "target"))
    for target in (deleted, (store.name, "never there"), (other.name, "target")):
        with pytest.raises(ObjectNotFoundError):
            store.link("new", target)
    for target in (link, (store.name, "link")):
        with pytest.raises(LinkError):
            store.link("new", target)
        with pytest.raises(LinkError):
            other.link("new", target)
    with pytest.raises(BucketNotFoundError):
        store.link("new", ("no-such-bucket", "x"))
    with pytest.raises(BucketNotFoundError, match="there is no bucket no-such-bucket") as caught:
        store.link_store("new", "no-such-bucket")
    assert caught.value.bucket == "no-such-bucket"
    assert "new" not in store
    assert "new" not in other


def test_which_name_a_link_may_have(store: ObjectStore, shared_client: Client) -> None:
    """ADR-20: a deleted object's, another link's; not a live object's."""
    store.put("target", b"1")
    store.put("live", b"2")
    store.put("deleted", b"3")
    store.delete("deleted")
    target = (store.name, "target")
    with pytest.raises(ObjectExistsError) as caught:
        store.link("live", target)
    assert (caught.value.bucket, caught.value.name) == (store.name, "live")
    with pytest.raises(ObjectExistsError):
        store.link_store("live", store)
    assert store.read_bytes("live") == b"2"
    store.link("deleted", target)
    assert store.read_bytes("deleted") == b"1"
    store.link("deleted", (store.name, "live"))
    assert store.read_bytes("deleted") == b"2"
    store.link_store("deleted", store)
    with pytest.raises(LinkError):
        store.read_bytes("deleted")
    assert store.put("deleted", b"no link any more").link is None
    assert store.read_bytes("deleted") == b"no link any more"
    assert orphans(shared_client, store) == set()


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("name", InvalidOptionError),
        (("only one",), InvalidOptionError),
        (None, InvalidOptionError),
        (("a b", "x"), InvalidNameError),
        (("a", ""), InvalidNameError),
        ((1, 2), InvalidNameError),
    ],
    ids=repr,
)
def test_impossible_targets(
    target: Any, error: type[Exception], store: ObjectStore, shared_client: Client
) -> None:
    shared_client.object_store("a")
    with pytest.raises(error):
        store.link("new", target)
    shared_client.delete_store("a")
    assert subjects(shared_client, store) == {}


def test_link_if_revision(store: ObjectStore, other: ObjectStore) -> None:
    store.put("target", b"1")
    first = store.link("l", (store.name, "target"), if_revision=0)
    with pytest.raises(RevisionMismatchError):
        store.link("l", (store.name, "target"), if_revision=0)
    second = store.link("l", (store.name, "target"), if_revision=first.revision)
    with pytest.raises(RevisionMismatchError):
        store.link_store("l", other, if_revision=first.revision)
    assert store.link_store("l", other, if_revision=second.revision).link == ObjectLink(other.name)


def test_a_name_that_an_object_takes_while_it_is_linked(
    proxy: Proxy, far_store: ObjectStore, store: ObjectStore
) -> None:
    store.put("target", b"1")
    proxy.up.call(metadata_of(store.name), lambda: store.put("l", b"theirs"))
    with pytest.raises(ObjectExistsError):
        far_store.link("l", (store.name, "target"))
    assert store.read_bytes("l") == b"theirs"


@pytest.mark.needs_server("2.11")
def test_a_link_may_expire(store: ObjectStore, shared_client: Client) -> None:
    """As any object that is put; and a change or a clone does not prolong its life."""
    store.put("x", b"1")
    options = ObjectMetaOptions(link=ObjectLink(store.name, "x"))
    hour = timedelta(hours=1)
    info = store.put(ObjectMeta("l", options=options), ttl=hour)
    assert (info.ttl, info.link) == (hour, options.link)
    assert store.info("l") == info
    with pytest.raises(InvalidOptionError):
        store.put(ObjectMeta("m", options=options), ttl=0)
    clone = shared_client.clone_store(store.name, f"{store.name}-clone")
    try:
        for left in (store.update("l", description="d").ttl, clone.info("l").ttl):  # type: ignore[union-attr]
            assert left is not None
            assert timedelta() < left <= hour
        assert (store.info("x").ttl, clone.info("x").ttl) == (None, None)  # type: ignore[union-attr]
    finally:
        shared_client.delete_store(clone.name)


def test_links_to_buckets(store: ObjectStore, other: ObjectStore) -> None:
    info = store.link_store("directory", other)
    assert info.link == ObjectLink(other.name)
    assert store.link_store("named", other.name).link == ObjectLink(other.name)
    acts: list[Callable[[str], object]] = [
        store.get,
        store.open,
        store.read_bytes,
        store.read_text,
        store.resolve,
        lambda name: store.read_range(name, 0, 1),
        lambda name: list(store.get_many([name])),
        lambda name: store.copy(name, "copy"),
    ]
    for act in acts:
        with pytest.raises(LinkError, match=other.name):
            act("directory")


def test_links_in_a_circle(store: ObjectStore, other: ObjectStore, shared_client: Client) -> None:
    """They can only be made by replacing targets; reading says so rather than going round."""
    for bucket, name, target in ((store, "a", other), (other, "a", store)):
        bucket.put("x", b"1")
        bucket.link(name, (bucket.name, "x"))
        fields = record(shared_client, bucket, name)
        fields["options"]["link"] = {"bucket": target.name, "name": "a"}
        write_record(shared_client, bucket, fields)
    fields = record(shared_client, store, "a")
    itself = {**fields, "name": "self"}
    itself["options"] = {"link": {"bucket": store.name, "name": "self"}}
    write_record(shared_client, store, itself)
    for name in ("a", "self"):
        for act in (store.get, store.resolve, store.read_bytes):
            with pytest.raises(LinkError, match="circle"):
                act(name)
        assert store.delete(name)


def test_chains_of_links(store: ObjectStore, shared_client: Client) -> None:
    """Made by others; followed up to a bound."""
    store.put("0", b"1")
    store.link("1", (store.name, "0"))
    fields = record(shared_client, store, "1")
    for i in range(2, MAX_LINKS + 3):
        fields["options"]["link"]["name"] = str(i - 1)
        write_record(shared_client, store, {**fields, "name": str(i)})
    assert store.read_bytes(str(MAX_LINKS)) == b"1"
    with pytest.raises(LinkError):
        store.read_bytes(str(MAX_LINKS + 2))


# --- copy


def test_copy(store: ObjectStore, other: ObjectStore, shared_client: Client) -> None:
    source = store.put("x", b"12345", chunk_size=2, **DESCRIBED)
    store.put("replaced", b"old")
    for bucket, name in ((store, "copy"), (store, "replaced"), (other, "x")):
        info = store.copy("x", name, target=bucket)
        assert described(info) == DESCRIBED
        assert (info.bucket, info.name) == (bucket.name, name)
        assert (info.size, info.chunks, info.digest) == (5, 3, source.digest)
        assert bucket.info(name) == info.with_changes(mtime=bucket.info(name).mtime)  # type: ignore[union-attr]
        assert bucket.read_bytes(name) == b"12345"
    store.delete("x")
    assert store.read_bytes("copy") == b"12345"
    assert orphans(shared_client, store) == orphans(shared_client, other) == set()


def test_copy_of_a_link_is_a_copy_of_its_target(store: ObjectStore, other: ObjectStore) -> None:
    other.put("target", b"1", description="d")
    store.link("link", (other.name, "target"))
    info = store.copy("link", "copy")
    assert (info.link, info.description) == (None, "d")
    other.delete("target")
    assert store.read_bytes("copy") == b"1"
    for name in ("link", "never there"):
        with pytest.raises(ObjectNotFoundError):
            store.copy(name, "another")
    assert "another" not in store


def test_copy_onto_itself(store: ObjectStore, shared_client: Client) -> None:
    content = bytes(range(256)) * 1000
    store.put("x", content, chunk_size=1000, **DESCRIBED)
    info = store.copy("x", "x")
    assert described(info) == DESCRIBED
    assert store.read_bytes("x") == content
    assert chunk_counts(shared_client, store) == {info.nuid: info.chunks}


def test_copy_of_an_empty_object(store: ObjectStore) -> None:
    store.put("x", **DESCRIBED)
    assert described(store.copy("x", "y")) == DESCRIBED
    assert store.read_bytes("y") == b""


def test_copy_of_a_renamed_object(store: ObjectStore, shared_client: Client) -> None:
    """Its record does not say that it was renamed: it has chunks of its own."""
    store.put("old", b"1")
    store.update("old", new_name="new")
    store.copy("new", "copy")
    assert not [key for key in record(shared_client, store, "copy") if "moved" in key]


@pytest.mark.parametrize("lost", [0, 25, -1])
def test_copy_of_a_damaged_object(
    lost: int, store: ObjectStore, other: ObjectStore, shared_client: Client
) -> None:
    """An error; what was there stays."""
    info = store.put("x", bytes(50_000), chunk_size=1000)
    delete_chunk(shared_client, store, info.nuid, lost)
    other.put("x", b"old")
    with pytest.raises(ObjectCorruptError):
        store.copy("x", "x", target=other)
    assert other.read_bytes("x") == b"old"
    assert orphans(shared_client, other) == set()


# --- delete


def test_delete_if_revision(store: ObjectStore, shared_client: Client) -> None:
    first = store.put("x", b"1")
    second = store.put("x", b"2")
    with pytest.raises(RevisionMismatchError) as caught:
        store.delete("x", if_revision=first.revision)
    assert (caught.value.expected, caught.value.actual) == (first.revision, second.revision)
    assert store.read_bytes("x") == b"2"
    assert store.delete("x", if_revision=second.revision) is True
    with pytest.raises(RevisionMismatchError):
        store.delete("x", if_revision=second.revision)
    assert store.delete("x", if_revision=0) is False
    with pytest.raises(InvalidOptionError):
        store.delete("x", if_revision=-1)
    assert chunk_counts(shared_client, store) == {}


def test_delete_keeps_what_describes_the_object(store: ObjectStore) -> None:
    store.put("x", b"1", **DESCRIBED)
    store.delete("x")
    assert described(store.info("x", include_deleted=True)) == DESCRIBED


def test_delete_of_an_object_that_cannot_be_read(store: ObjectStore, shared_client: Client) -> None:
    """Its chunks are gone, or its record is malformed."""
    info = store.put("x", b"1")
    delete_chunk(shared_client, store, info.nuid, 0)
    assert store.delete("x") is True
    shared_client.connection.request(meta_subject(store.name, "bad"), payload=b"{")
    with pytest.raises(ObjectCorruptError):
        store.info("bad")
    assert store.delete("bad") is True
    assert store.info("bad") is None


# --- the bucket


def test_seal(store: ObjectStore, shared_client: Client) -> None:
    """Nothing can change any more, and everything can be read."""
    revision = store.put("x", b"1").revision
    status = store.seal()
    assert status.sealed
    assert (status.size, status.total_size) == (1, 1)
    before = subjects(shared_client, store)
    acts: list[Callable[[], object]] = [
        lambda: store.put("x", b"2"),
        lambda: store.put("y"),
        lambda: store.put("x", b"2", if_revision=revision),
        lambda: store.delete("x"),
        lambda: store.update("x", description="d"),
        lambda: store.update("x", new_name="y"),
        lambda: store.link("l", (store.name, "x")),
        lambda: store.copy("x", "y"),
        lambda: store.open("y", "wb").close(),
    ]
    for act in acts:
        with pytest.raises(BucketSealedError) as caught:
            act()
        assert caught.value.bucket == store.name
    assert subjects(shared_client, store) == before
    assert store.read_bytes("x") == b"1"
    assert [info.name for info in store] == ["x"]
    assert store.seal().sealed


def test_destroy(shared_client: Client) -> None:
    store = shared_client.object_store("destroyed", ttl=timedelta(hours=1))
    store.put("x", b"1")
    assert store.destroy() is True
    assert store.destroy() is False
    with pytest.raises(BucketNotFoundError):
        store.status()
    with pytest.raises(BucketNotFoundError):
        store.seal()
    again = shared_client.object_store("destroyed")
    assert list(again) == []
    again.destroy()
