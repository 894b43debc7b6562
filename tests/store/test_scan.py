"""Folders of a bucket: names in order, pages, and whatever anybody changes in between."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import objstore
from objstore import (
    BucketNotFoundError,
    Client,
    InvalidOptionError,
    LocalServer,
    ObjectStore,
    ScanPage,
)
from objstore.metadata import followed_buckets
from objstore.model.objects import meta_subject
from tests.support.proxy import Line, Proxy, calls
from tests.support.streams import consumer_count, write_record
from tests.support.waiting import PATIENCE, eventually

Page = tuple[list[str], list[str], str | None]


def shown(page: ScanPage) -> Page:
    return [info.name for info in page.objects], page.prefixes, page.next


def brute_force(
    store: ObjectStore,
    prefix: str = "",
    delimiter: str | None = None,
    after: str | None = None,
    limit: int | None = None,
) -> Page:
    """The same from a listing, entry by entry."""
    entries: list[tuple[str, bool]] = []
    for name in sorted((info.name for info in store.list()), key=str.encode):
        folder = None
        if not name.startswith(prefix):
            continue
        if delimiter is not None and delimiter in name[len(prefix) :]:
            folder = prefix + name[len(prefix) :].partition(delimiter)[0] + delimiter
        if after is not None and (name <= after or folder == after):
            continue
        if (folder or name, folder is not None) not in entries:
            entries.append((folder or name, folder is not None))
    some = entries if limit is None else entries[:limit]
    return (
        [name for name, is_folder in some if not is_folder],
        [name for name, is_folder in some if is_folder],
        some[-1][0] if len(some) < len(entries) else None,
    )


TREE = ["a", "docs/", "docs/a/1", "docs/a/2", "docs/b", "e", "z//x", "/top", "é/ü", "\U0010ffff/y"]


@pytest.fixture
def tree(store: ObjectStore) -> ObjectStore:
    """A bucket with :data:`TREE`."""
    for name in TREE:
        store.put(name, name.encode())
    return store


def test_without_a_delimiter_all_names_come_in_order(tree: ObjectStore) -> None:
    page = tree.scan()
    assert [info.name for info in page.objects] == sorted(TREE, key=str.encode)
    assert page.objects == sorted(tree.list(), key=lambda info: info.name.encode())
    assert (page.prefixes, page.next) == ([], None)


def test_folders_and_objects_of_one_level(tree: ObjectStore) -> None:
    folders = ["/", "docs/", "z/", "é/", "\U0010ffff/"]
    assert shown(tree.scan(delimiter="/")) == (["a", "e"], folders, None)
    assert shown(tree.scan("docs/", delimiter="/")) == (["docs/", "docs/b"], ["docs/a/"], None)
    assert shown(tree.scan("docs", delimiter="/")) == ([], ["docs/"], None)
    assert shown(tree.scan("nothing", delimiter="/")) == ([], [], None)


def test_a_limit_counts_objects_and_folders_together(tree: ObjectStore) -> None:
    assert shown(tree.scan(delimiter="/", limit=3)) == (["a"], ["/", "docs/"], "docs/")
    rest = tree.scan(delimiter="/", limit=3, after="docs/")
    assert shown(rest) == (["e"], ["z/", "é/"], "é/")
    assert shown(tree.scan(delimiter="/", limit=3, after="é/")) == ([], ["\U0010ffff/"], None)
    assert tree.scan(limit=len(TREE)).next is None


def test_after_a_name_in_a_folder_the_rest_of_the_folder_counts(tree: ObjectStore) -> None:
    assert "docs/" in tree.scan(delimiter="/", after="docs/a/1").prefixes
    assert "docs/" not in tree.scan(delimiter="/", after="docs/b").prefixes
    assert [info.name for info in tree.scan("docs/", after="docs/").objects] == [
        "docs/a/1", "docs/a/2", "docs/b",
    ]  # fmt: skip


@pytest.mark.parametrize("delimiter", ["/a", "cs", "//", "\U0010ffff", "absent"])
def test_any_text_can_end_a_folder(delimiter: str, tree: ObjectStore) -> None:
    assert shown(tree.scan(delimiter=delimiter)) == brute_force(tree, delimiter=delimiter)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prefix": None}, "prefix is None; it must be text"),
        ({"prefix": b"a"}, "prefix is b'a'; it must be text"),
        ({"delimiter": ""}, "delimiter is empty"),
        ({"delimiter": 1}, "delimiter is 1; it must be text"),
        ({"after": 1}, "after is 1; it must be text"),
        ({"limit": 0}, "limit is 0"),
        ({"limit": 1.5}, "limit is 1.5"),
        ({"limit": True}, "limit is True"),
    ],
)
def test_bad_arguments_are_refused(
    options: dict[str, Any], message: str, store: ObjectStore
) -> None:
    store.destroy()  # whatever was sent would fail otherwise
    with pytest.raises(InvalidOptionError, match=message):
        store.scan(**options)
    with pytest.raises(InvalidOptionError, match="folder is 1"):
        store.walk(1)  # type: ignore[arg-type]


# --- walk


def test_a_walk_is_as_that_of_os(tree: ObjectStore, tmp_path: Any) -> None:
    for name in ["a", "docs/a/1", "docs/a/2", "docs/b", "é/ü"]:
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        tree.put(f"in/{name}", b"")
    found = {
        where: (folders, [i.name for i in objects]) for where, folders, objects in tree.walk("in")
    }
    expected = {
        os.path.relpath(where, tmp_path).replace(os.sep, "/"): (sorted(folders), sorted(files))
        for where, folders, files in os.walk(tmp_path / "in")
    }
    assert {
        where: (folders, [name.rpartition("/")[2] for name in names])
        for where, (folders, names) in found.items()
    } == expected
    assert list(tree.walk("in/")) == list(tree.walk("in"))


def test_a_walk_finds_odd_names_too(tree: ObjectStore) -> None:
    found = list(tree.walk())
    assert sorted(info.name for _, _, objects in found for info in objects) == sorted(TREE)
    assert [where for where, _, _ in found] == [
        "", "", "docs", "docs/a", "z", "z/", "é", "\U0010ffff",
    ]  # fmt: skip
    assert list(tree.walk("nothing")) == []


def test_a_walk_goes_where_it_is_let(tree: ObjectStore) -> None:
    places = []
    for where, folders, _ in tree.walk():
        places.append(where)
        folders[:] = [folder for folder in folders if folder == "docs"]
    assert places == ["", "docs"]


def test_an_empty_bucket_has_its_top(store: ObjectStore) -> None:
    assert list(store.walk()) == [("", [], [])]
    assert store.scan() == ScanPage([], [], None)


# --- what others change


@pytest.fixture
def other(server: LocalServer, store: ObjectStore) -> Iterator[ObjectStore]:
    """The bucket as another process sees it."""
    with objstore.connect(server.url) as client:
        yield client.object_store(store.name, create=False)


def rename(store: ObjectStore) -> None:
    store.update("b", new_name="c/d")


def purge_record(store: ObjectStore) -> None:
    handle = store._handle
    store.delete("b")
    handle.jetstream.purge(handle.records.stream, f"$O.{store.name}.M.Yg==")  # the tombstone


def purge_all(store: ObjectStore) -> None:
    store._handle.jetstream.purge(f"OBJ_{store.name}", ">")


def replace_and_purge(store: ObjectStore) -> None:
    """As many records as before."""
    purge_record(store)
    store.put("bb", b"new")


def write_anew(store: ObjectStore) -> None:
    client = store._handle.jetstream
    assert store.destroy()
    fresh = objstore.Client(client.connection).object_store(store.name)
    for number in range(10):
        fresh.put(f"n{number}", b"n")


CHANGES: list[Callable[[ObjectStore], object]] = [
    lambda store: store.put("d", b"new"),
    lambda store: store.put(
        "b", b"over it", mime="text/plain", description="d", headers={"X": "y"}
    ),
    lambda store: store.delete("b"),
    lambda store: store.update("b", metadata={"k": "v"}),
    lambda store: store.link("l", (store.name, "b")),
    lambda store: [store.put(f"many/{number}", b"x") for number in range(300)],
    lambda store: None,
    rename,
    purge_record,
    purge_all,
    replace_and_purge,
    write_anew,
]


@pytest.mark.leaves_chunks("records are purged by hand")
@pytest.mark.parametrize("change", CHANGES)
def test_what_others_change_is_seen(
    change: Callable[[ObjectStore], object], store: ObjectStore, other: ObjectStore
) -> None:
    for name in ["a/1", "a/2", "b", "e"]:
        store.put(name, name.encode())
    for _ in range(2):
        assert shown(store.scan(delimiter="/")) == (["b", "e"], ["a/"], None)
    change(other)
    for _ in range(2):
        assert shown(store.scan(delimiter="/")) == brute_force(other, delimiter="/")
        assert store.scan().objects == sorted(other.list(), key=lambda info: info.name)
    store.put("z", b"later")
    assert shown(store.scan()) == brute_force(other)


@pytest.mark.leaves_chunks("chunks live a little longer than their record")
@pytest.mark.needs_server("2.11")
def test_what_has_expired_is_gone(store: ObjectStore) -> None:
    store.put("stays", b"x")

    def seen() -> bool:  # a slow machine needs more than one life for it
        store.put("goes", b"x", ttl=timedelta(seconds=1))
        return [info.name for info in store.scan().objects] == ["goes", "stays"]

    eventually(seen)
    eventually(lambda: store.info("goes") is None)
    assert [info.name for info in store.scan().objects] == ["stays"]


def test_a_buckets_own_ttl_is_seen(client: Client) -> None:
    store = client.object_store("scan-ttl", ttl=1.0)

    def seen() -> bool:
        store.put("goes", b"x")
        return [info.name for info in store.scan().objects] == ["goes"]

    eventually(seen)
    eventually(lambda: store.info("goes") is None)
    assert store.scan() == ScanPage()
    store.destroy()


def test_a_deleted_bucket_is_dropped(
    client: Client, other: ObjectStore, store: ObjectStore
) -> None:
    store.put("a", b"a")
    store.scan()
    assert other.destroy()
    with pytest.raises(BucketNotFoundError):
        store.scan()
    assert not store._handle.followed._buckets


def test_records_of_other_clients(client: Client, store: ObjectStore) -> None:
    """Several of one subject, under older subjects, and such as nobody can read."""
    store.put("a", b"a")
    store.scan()
    fields = {"name": "several", "nuid": "x", "size": 0, "chunks": 0}
    for number in range(3):
        write_record(client, store, {**fields, "description": str(number)})
        assert [info.description for info in store.scan().objects] == ["", str(number)]
    client.connection.request(f"$O.{store.name}.M.old_one", payload=b'{"name":"old one"}')
    client.connection.request(f"$O.{store.name}.M.bad", payload=b"{")
    client.connection.request(f"$O.{store.name}.M.eA==", payload=b"nor is x")
    expected = sorted(store.list(), key=lambda info: info.name)
    assert [info.name for info in expected] == ["a", "old one", "several"]
    for _ in range(2):
        assert store.scan().objects == expected
    store.put("x", b"over it")
    store.put("old one", b"anew")
    assert store.scan().objects == sorted(store.list(), key=lambda info: info.name)


def test_a_bucket_without_direct_gets(client: Client, store: ObjectStore) -> None:
    config = client._jetstream.stream_info(f"OBJ_{store.name}")["config"]
    client._jetstream.stream_update({**config, "allow_direct": False})
    for name in ["a", "b/c", "b/d"]:
        store.put(name, b"x")
        assert shown(store.scan(delimiter="/")) == brute_force(store, delimiter="/")
    store.delete("a")
    assert shown(store.scan(delimiter="/")) == brute_force(store, delimiter="/")


def test_eventual_consistency_misses_nothing(client: Client, store: ObjectStore) -> None:
    hold = client.object_store(store.name, consistency="eventual")
    for name in ["a", "b"]:
        store.put(name, b"x")
        assert shown(hold.scan()) == brute_force(store)


def note_subject(asked: list[str], line: Line) -> None:
    asked.append(line.subject)


def is_all_asked(asked: list[str]) -> bool:
    return sum("DIRECT.GET" in subject for subject in asked) == 2


@pytest.mark.needs_server("2.11")
def test_a_later_call_takes_one_round_trip(
    far_store: ObjectStore, store: ObjectStore, proxy: Proxy, client: Client
) -> None:
    """All is asked before the first answer is there, and nothing after it."""
    for number in range(5):
        store.put(f"a/{number}", b"x")
    far_store.scan()
    far_store._handle.jetstream.timeout = PATIENCE
    for change in ("nothing", "put", "delete"):
        if change != "nothing":
            act(store, change, "a/0", 1)
        asked: list[str] = []
        proxy.up.observe(partial(note_subject, asked))
        held = proxy.down.hold(proxy.answers(calls("STREAM.INFO")))
        with ThreadPoolExecutor(1) as thread:
            scanned = thread.submit(far_store.scan, "", delimiter="/")
            eventually(partial(is_all_asked, asked))
            before = len(asked)
            held.release()
            assert shown(scanned.result()) == brute_force(store, delimiter="/")
            assert len(asked) == before
    assert consumer_count(client, store) == 0


@pytest.mark.parametrize("call", ["STREAM.INFO", "DIRECT.GET", "STREAM.MSG.GET"])
def test_a_lost_connection_is_awaited(call: str, far_store: ObjectStore, proxy: Proxy) -> None:
    far_store.put("a", b"a")
    far_store.scan()
    proxy.up.cut(calls(call))
    assert [info.name for info in far_store.scan().objects] == ["a"]


@pytest.mark.needs_server("2.11")
@pytest.mark.parametrize("call", ["STREAM.INFO", "DIRECT.GET", "STREAM.MSG.GET"])
def test_a_lost_answer_is_asked_for_again(call: str, far_store: ObjectStore, proxy: Proxy) -> None:
    far_store.put("a", b"a")
    far_store.scan()
    far_store.put("b", b"b")
    proxy.down.drop(proxy.answers(calls(call)))
    assert [info.name for info in far_store.scan().objects] == ["a", "b"]


def test_threads_and_another_client(store: ObjectStore, other: ObjectStore) -> None:
    """What a thread has put, it finds; whatever others do meanwhile."""

    def work(number: int) -> None:
        mine = store if number % 2 else other
        for turn in range(8):
            mine.put(f"{number}/{turn}", b"x")
            if turn:
                mine.delete(f"{number}/{turn - 1}")
            assert shown(store.scan(f"{number}/")) == ([f"{number}/{turn}"], [], None)

    with ThreadPoolExecutor(6) as threads:
        for done in [threads.submit(work, number) for number in range(6)]:
            done.result()
    assert shown(store.scan()) == brute_force(store)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_scans(store: ObjectStore) -> None:
    """Even where the lock was held when it was made."""
    store.put("a", b"a")
    store.scan()
    with store._handle.followed._buckets[store.name]._lock:
        child = os.fork()
        if not child:
            found = "".join(info.name for info in store.scan().objects)
            os._exit(0 if found == "a" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_server_that_was_started_anew(tmp_path: Path) -> None:
    with LocalServer(tmp_path) as server, objstore.connect(server.url) as client:
        store = client.object_store("b")
        store.put("a", b"a")
        store.scan()
        server.stop()
        server.start()
        assert [info.name for info in store.scan().objects] == ["a"]
        assert store.scan(after="a") == ScanPage()


def test_a_mirror_is_scanned_as_any_bucket(client: Client, store: ObjectStore) -> None:
    store.put("a/1", b"x")
    mirror = client.object_store(f"{store.name}-mirror", mirror=store.name)
    eventually(lambda: len(list(mirror.list())) == 1)
    assert shown(mirror.scan()) == (["a/1"], [], None)
    for name in ["b", "a/1"]:
        store.put(name, name.encode())
        assert shown(store.scan()) == brute_force(store)
    eventually(lambda: {i.size for i in mirror.list()} == {1, 3})
    assert mirror.scan().objects == sorted(mirror.list(), key=lambda info: info.name)
    mirror.destroy()


def test_many_buckets_are_kept_within_bounds(
    client: Client, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followed_buckets, "MOST_KEPT", 2)
    other = client.object_store(f"{store.name}-2")
    mine = client.object_store(store.name)
    for each in (mine, other):
        for name in "ab":
            each.put(name, b"x")
        assert [info.name for info in each.scan().objects] == ["a", "b"]
    assert list(mine._handle.followed._buckets) == [other.name]
    assert [info.name for info in mine.scan().objects] == ["a", "b"]
    other.destroy()


# --- against brute force

NAMES = st.sampled_from(["a", "b/", "b/1", "b/1/x", "b/2", "b//", "c", "é/1", "\U0010ffff/1"])
ACTIONS = st.one_of(
    st.tuples(st.just("put"), NAMES, st.integers(0, 2)),
    st.tuples(st.just("delete"), NAMES, st.integers(0, 2)),
    st.tuples(st.just("purge"), NAMES, st.integers(0, 2)),
    st.tuples(st.just("rename"), NAMES, st.integers(0, 2)),
)
ASKED = st.fixed_dictionaries(
    {
        "prefix": st.sampled_from(["", "b", "b/", "b/1", "\U0010ffff"]),
        "delimiter": st.sampled_from([None, "/", "//", "1"]),
        "after": st.one_of(st.none(), NAMES),
        "limit": st.one_of(st.none(), st.integers(1, 4)),
    }
)


def act(store: ObjectStore, kind: str, name: str, number: int) -> None:
    if kind == "put":
        store.put(name, bytes(number), mime="text/plain" if number else None)
    elif kind == "delete":
        store.delete(name)
    elif kind == "purge":
        store._handle.jetstream.purge(f"OBJ_{store.name}", meta_subject(store.name, name))
    elif name in store and f"{name}{number}" not in store:
        store.update(name, new_name=f"{name}{number}")


@pytest.mark.leaves_chunks("records are purged by hand")
@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.tuples(st.booleans(), ACTIONS, ASKED), max_size=12))
def test_scan_is_what_brute_force_finds(
    store: ObjectStore,
    other: ObjectStore,
    steps: list[tuple[bool, tuple[str, str, int], dict[str, Any]]],
) -> None:
    for mine, action, asked in steps:
        act(store if mine else other, *action)
        assert shown(store.scan(**asked)) == brute_force(other, **asked)
    pages = []
    after: str | None = None
    while True:
        page = store.scan(delimiter="/", after=after, limit=2)
        pages.append(page)
        if page.next is None:
            break
        after = page.next
    whole = store.scan(delimiter="/")
    assert [info for page in pages for info in page.objects] == whole.objects
    assert [prefix for page in pages for prefix in page.prefixes] == whole.prefixes
