"""Watching a bucket: every change once, in order, whatever happens on the way."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import shutil
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nats
import pytest

import objstore
from objstore import Client, LocalServer, ObjectInfo, ObjectStore, Watcher
from objstore.errors import (
    APIError,
    BucketNotFoundError,
    ConnectionClosedError,
    ConnectionLostError,
    InvalidOptionError,
    NoRespondersError,
    ObjStoreError,
    PermissionDeniedError,
    RequestTimeoutError,
    WatcherStoppedError,
)
from objstore.metadata.known_stream import KnownStream
from objstore.metadata.records import Records
from objstore.model.objects import meta_subject
from objstore.model.record_json import encode_info
from objstore.store.handle import BucketHandle
from objstore.wire.codec.protocol import Message
from objstore.wire.jetstream.api import JetStream
from objstore.wire.jetstream.feed import Delivery, Feed
from objstore.wire.jetstream.nonblocking_api import NonblockingAPI
from objstore.wire.jetstream.times import exact_text
from tests.support.streams import api, consumer_count
from tests.support.waiting import PATIENCE, eventually, make_impatient


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short heartbeats, so that a silent consumer is noticed soon."""
    monkeypatch.setattr("objstore.wire.jetstream.consumer.HEARTBEAT", 0.2)


#: Heartbeats that may be late, where a machine that is slow must not count as a consumer's end.
SLOW_MACHINE = 600


@pytest.fixture
def own_server() -> Iterator[LocalServer]:
    """A server to be mistreated."""
    with LocalServer() as server:
        yield server


def take(watcher: Watcher, count: int) -> list[str]:
    """The names of so many changes."""
    return [watcher.next(PATIENCE).name for _ in range(count)]


def rest(watcher: Watcher) -> list[str]:
    """The names of what is left of what existed."""
    names = []
    while not watcher.caught_up.is_set():
        names.append(watcher.next(PATIENCE).name)
    return names


def nothing_more(watcher: Watcher, store: ObjectStore) -> bool:
    """Whether the next change is one made just now."""
    revision = store.put("the end").revision
    return watcher.next(PATIENCE).revision == revision


def feed_of(watcher: Watcher) -> Feed:
    feed = watcher._consumer._feed
    assert feed is not None
    return feed


def in_thread(target: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    return thread


def joined(thread: threading.Thread) -> bool:
    thread.join(PATIENCE)
    return not thread.is_alive()


def once_blocked(action: Callable[[], object]) -> threading.Thread:
    """Do something as soon as this thread waits for a watcher's next change."""
    waiter = threading.get_ident()

    def act() -> None:
        eventually(lambda: sys._current_frames()[waiter].f_code.co_name == "_step")
        action()

    return in_thread(act)


def record(store: ObjectStore, info: ObjectInfo, client: Client) -> None:
    """Store a record as some clients do: without removing the ones before."""
    client.connection.request(meta_subject(store.name, info.name), payload=encode_info(info))


def watch_with_a_gap(store: ObjectStore, monkeypatch: pytest.MonkeyPatch, name: str) -> Watcher:
    """A watcher whose present consumer lost the record of a name, and so all after it."""
    deliver = Feed.deliver
    subject = meta_subject(store.name, name)

    def lossy(feed: Feed, message: Message) -> None:
        if message.subject != subject:
            deliver(feed, message)

    with monkeypatch.context() as patch:
        patch.setattr(Feed, "deliver", lossy)
        watcher = store.watch()
        eventually(lambda: feed_of(watcher).ended)
    return watcher


def drop_delivery(monkeypatch: pytest.MonkeyPatch, *numbers: int) -> None:
    """Lose some of the messages that consumers send, counted over all of them."""
    deliver, seen = Feed.deliver, [0]

    def lossy(feed: Feed, message: Message) -> None:
        if message.reply.startswith("$JS.ACK"):
            seen[0] += 1
            if seen[0] in numbers:
                return
        deliver(feed, message)

    monkeypatch.setattr(Feed, "deliver", lossy)


# --- what is watched


def test_what_exists_and_then_changes(store: ObjectStore) -> None:
    store.put("a", b"1")
    store.put("b", b"22")
    store.put("a", b"333")
    with store.watch() as watcher:
        assert not watcher.caught_up.is_set()
        first = watcher.next(PATIENCE)
        assert not watcher.caught_up.is_set()
        second = watcher.next(PATIENCE)
        assert watcher.caught_up.is_set()
        assert (first, second) == (store.info("b"), store.info("a"))
        assert "running" in repr(watcher)
        stored = store.put("c", b"4444", description="new")
        third = watcher.next(PATIENCE)
        assert third == store.info("c")
        assert (third.revision, third.size) == (stored.revision, 4)
        store.delete("b")
        fourth = watcher.next(PATIENCE)
        assert (fourth.name, fourth.deleted) == ("b", True)
        with pytest.raises(RequestTimeoutError, match=r"no change of bucket .* in 0\.05 s"):
            watcher.next(timeout=0.05)
        with pytest.raises(RequestTimeoutError):
            watcher.next(timeout=0)
        assert nothing_more(watcher, store)
    assert "stopped" in repr(watcher)


def test_updates_and_renames(store: ObjectStore) -> None:
    store.put("a", b"1")
    with store.watch(updates_only=True) as watcher:
        store.update("a", description="changed")
        assert watcher.next(PATIENCE).description == "changed"
        store.update("a", new_name="ü ☃")
        seen = [watcher.next(PATIENCE)]
        while not seen[-1].deleted:
            seen.append(watcher.next(PATIENCE))
        assert seen[-1].name == "a"
        assert [info.size for info in seen if info.name == "ü ☃"] == [1]
        assert nothing_more(watcher, store)


def test_updates_only(store: ObjectStore) -> None:
    store.put("a")
    with store.watch(updates_only=True) as watcher:
        assert watcher.caught_up.is_set()
        store.put("b")
        store.put("c")
        assert take(watcher, 2) == ["b", "c"]


def test_history(store: ObjectStore, client: Client) -> None:
    first = store.put("a", b"1")
    store.put("b", b"2")
    for turn in ("once", "twice"):
        record(store, first.with_changes(description=turn), client)
    with store.watch() as latest, store.watch(include_history=True) as watcher:
        assert rest(latest) == ["b", "a"]
        found = [watcher.next(PATIENCE) for _ in range(4)]
        assert [(info.name, info.description) for info in found] == [
            ("a", ""),
            ("b", ""),
            ("a", "once"),
            ("a", "twice"),
        ]
        assert watcher.caught_up.is_set()
        record(store, first.with_changes(description="thrice"), client)
        assert latest.next(PATIENCE).description == "thrice"
        assert watcher.next(PATIENCE).description == "thrice"


def test_tombstones(store: ObjectStore) -> None:
    for name in "abcd":
        store.put(name)
    store.delete("a")
    store.delete("d")
    with store.watch() as watcher:
        found = [watcher.next(PATIENCE) for _ in range(4)]
        assert [(info.name, info.deleted) for info in found] == [
            ("b", False),
            ("c", False),
            ("a", True),
            ("d", True),
        ]


def test_caught_up_though_what_comes_last_is_left_out(
    store: ObjectStore, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """Tombstones and malformed records: whoever reads up to caught_up never waits in vain."""
    for name in "abc":
        store.put(name)
    client.connection.request(meta_subject(store.name, "bad"), payload=b"{")
    store.delete("a")
    with store.watch(ignore_deletes=True) as watcher:
        assert rest(watcher) == ["b", "c"]
        assert "malformed metadata" in caplog.text
        client.connection.request(meta_subject(store.name, "bad"), payload=b"[]")
        store.delete("b")
        assert nothing_more(watcher, store)
    for name in ("c", "the end"):
        store.delete(name)
    with store.watch(ignore_deletes=True) as watcher:
        assert watcher.caught_up.is_set()
        assert nothing_more(watcher, store)


def test_caught_up_at_once_in_an_empty_bucket(store: ObjectStore) -> None:
    for history in (False, True):
        with store.watch(include_history=history) as watcher:
            assert watcher.caught_up.is_set()


def test_caught_up_when_the_rest_of_what_existed_is_given_late(store: ObjectStore) -> None:
    """Changes made meanwhile do not put it off, nor does the time of the looking ahead."""
    store.put("a")
    store.put("b")
    with store.watch() as watcher:
        store.put("c")
        assert rest(watcher) == ["a", "b"]
        assert take(watcher, 1) == ["c"]


def test_names_and_two_watchers(store: ObjectStore) -> None:
    names = ["naïve ☃ 名前.txt", "*.>", " ", "a/b/../c", "x" * 1000, "\x00"]
    with store.watch() as one:
        for name in names[:3]:
            store.put(name)
        with store.watch() as other:
            for name in names[3:]:
                store.put(name)
            assert take(one, 6) == take(other, 6) == names


def test_foreign_writer(store: ObjectStore, server: LocalServer) -> None:
    async def write() -> None:
        connection = await nats.connect(server.url)
        their = await connection.jetstream().object_store(store.name)
        await their.put("theirs ☃", b"x" * 300_000)
        await their.delete("theirs ☃")
        await connection.close()

    with store.watch() as watcher:
        asyncio.run(write())
        found = [watcher.next(PATIENCE), watcher.next(PATIENCE)]
    assert [(info.name, info.size, info.deleted) for info in found] == [
        ("theirs ☃", 300_000, False),
        ("theirs ☃", 0, True),
    ]


def test_impossible_options_cost_nothing(server: LocalServer) -> None:
    client = Client(objstore.Connection(server.url))
    with client.connection:
        store = client.object_store("options", create=True)
        assert client.delete_store("options")
        with pytest.raises(InvalidOptionError, match="not both"):
            store.watch(include_history=True, updates_only=True)
        with pytest.raises(BucketNotFoundError) as caught:
            store.watch()
        assert caught.value.bucket == "options"


def test_a_sealed_bucket_is_silent(client: Client, quick: None) -> None:
    store = client.object_store("sealed")
    store.put("a")
    with store.watch() as watcher:
        assert take(watcher, 1) == ["a"]
        store.seal()
        with pytest.raises(RequestTimeoutError):
            watcher.next(timeout=0.8)
        with store.watch() as later:
            assert rest(later) == ["a"]
    client.delete_store("sealed")


# --- its end


def test_stop_wakes_who_waits(store: ObjectStore) -> None:
    store.put("a")
    watcher = store.watch()
    thread = once_blocked(watcher.stop)
    assert [info.name for info in watcher] == ["a"]
    assert joined(thread)
    assert list(watcher) == []
    with pytest.raises(WatcherStoppedError) as caught:
        watcher.next(PATIENCE)
    assert caught.value.bucket == store.name
    watcher.stop()


def test_stop_within_the_iteration(store: ObjectStore, client: Client) -> None:
    for name in "abc":
        store.put(name)
    seen = []
    watcher = store.watch()
    for info in watcher:
        seen.append(info.name)
        if info.name == "b":
            watcher.stop()
    assert seen == ["a", "b"]
    eventually(lambda: consumer_count(client, store) == 0)


def test_stop_in_a_signal_handler(store: ObjectStore) -> None:
    watcher = store.watch()
    before = signal.signal(signal.SIGUSR1, lambda *_: watcher.stop())
    try:
        main = threading.get_ident()
        thread = once_blocked(lambda: signal.pthread_kill(main, signal.SIGUSR1))
        assert list(watcher) == []
        assert joined(thread)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_stop_while_another_object_is_looked_for(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What existed is not given after the stop."""
    store.put("a")
    store.put("b")
    drop_delivery(monkeypatch, 2)
    watcher = store.watch()
    thread = once_blocked(watcher.stop)
    with pytest.raises(WatcherStoppedError):
        watcher.next()
    assert joined(thread)


def test_no_consumer_is_left(store: ObjectStore, client: Client) -> None:
    with store.watch(), store.watch(updates_only=True) as watcher:
        assert consumer_count(client, store) == 2
        watcher.stop()
        eventually(lambda: consumer_count(client, store) == 1)
    eventually(lambda: consumer_count(client, store) == 0)
    assert len(client.connection.session.waiting) == 0


def test_a_forgotten_watcher(store: ObjectStore, shared_client: Client) -> None:
    watcher = store.watch()
    feed = feed_of(watcher)
    assert consumer_count(shared_client, store) == 1
    with pytest.warns(ResourceWarning, match="unstopped <objstore.Watcher of 'test-"):
        del watcher
    eventually(lambda: consumer_count(shared_client, store) == 0)
    assert feed.ended
    assert feed not in shared_client.connection.session.waiting


def test_forgotten_after_its_client(server: LocalServer, store: ObjectStore) -> None:
    """Nothing is left of it then: there is nothing to warn of."""
    with objstore.connect(server.url) as client:
        watcher = client.object_store(store.name).watch()
        thread = once_blocked(client.close)
        with pytest.raises(ConnectionClosedError):
            watcher.next()
        with pytest.raises(ConnectionClosedError):
            watcher.next()
    assert joined(thread)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del watcher
        gc.collect()


@pytest.mark.parametrize("recreate", [False, True])
def test_the_bucket_is_deleted(recreate: bool, client: Client, quick: None) -> None:
    store = client.object_store("short-lived")
    store.put("a")
    with store.watch() as watcher:
        assert take(watcher, 1) == ["a"]
        store.destroy()
        if recreate:
            client.object_store("short-lived").put("b")
        with pytest.raises(BucketNotFoundError) as caught:
            watcher.next(PATIENCE)
        assert caught.value.bucket == "short-lived"
        assert list(watcher) == []
    client.delete_store("short-lived")


def test_interrupted(store: ObjectStore) -> None:
    """Ctrl-C while it waits: it can be used as before."""
    store.put("a")
    with store.watch() as watcher:
        main = threading.get_ident()
        assert take(watcher, 1) == ["a"]
        thread = once_blocked(lambda: signal.pthread_kill(main, signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            watcher.next()
        assert joined(thread)
        assert nothing_more(watcher, store)


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_interrupted_with_something_in_its_hands(
    at: int, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abcd":
        store.put(name)
    parse, calls = Records.parse, [0]

    def interrupted(records: Records, stored: Any) -> ObjectInfo:
        calls[0] += 1
        if calls[0] == 1 + at:
            raise KeyboardInterrupt
        return parse(records, stored)

    monkeypatch.setattr(Records, "parse", interrupted)
    names: list[str] = []
    with store.watch() as watcher:
        store.put("e")
        while len(names) < 5:
            try:
                names += take(watcher, 1)
            except KeyboardInterrupt:
                names.append("^C")
            assert watcher.caught_up.is_set() == ("d" in names)
            if calls[0] > at:
                break
        names += take(watcher, 5 - len(names) + names.count("^C"))
        assert nothing_more(watcher, store)
    assert names.count("^C") == 1
    names.remove("^C")
    assert names == list("abcde")


def test_interrupted_while_it_begins(
    store: ObjectStore, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put("a")

    def interrupted(*_: object) -> ObjectInfo:
        raise KeyboardInterrupt

    monkeypatch.setattr(Records, "parse", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.watch()
    eventually(lambda: consumer_count(client, store) == 0)


def test_fork(store: ObjectStore, client: Client) -> None:
    """The child's copy is a stopped one, and the parent's consumer is left alone."""
    store.put("a")
    store.put("b")
    with store.watch() as watcher:
        assert take(watcher, 1) == ["a"]
        child = os.fork()
        if child == 0:
            status = 1
            try:
                watcher.stop()
                assert "stopped" in repr(watcher)
                assert list(watcher) == []
                with store.watch() as childs_own:
                    assert rest(childs_own) == ["a", "b"]
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        eventually(lambda: consumer_count(client, store) == 1)
        assert take(watcher, 1) == ["b"]
        assert nothing_more(watcher, store)


# --- faults


def test_the_server_is_killed(own_server: LocalServer) -> None:
    with objstore.connect(own_server.url) as client:
        store = client.object_store("b")
        store.put("a")
        store.put("b")
        with store.watch() as watcher, store.watch(updates_only=True) as new:
            assert take(watcher, 2) == ["a", "b"]
            own_server.kill()
            with pytest.raises(RequestTimeoutError):
                watcher.next(timeout=0.3)
            own_server.start()
            store.put("c")
            store.put("d")
            assert take(watcher, 2) == take(new, 2) == ["c", "d"]
            names: list[str] = []
            thread = in_thread(lambda: names.extend(take(watcher, 2)))
            own_server.kill()
            own_server.start()
            store.put("e")
            store.put("f")
            assert joined(thread)
            assert names == ["e", "f"]
            assert nothing_more(watcher, store)
            assert take(new, 3) == ["e", "f", "the end"]


def test_killed_among_what_existed(
    own_server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older records of foreign clients do not come instead of, or beside, the last one."""
    with objstore.connect(own_server.url) as client:
        store = client.object_store("b")
        infos = [store.put(name) for name in "abcdef"]
        for info in infos[3:]:
            record(store, info.with_changes(description="2"), client)
        watcher = watch_with_a_gap(store, monkeypatch, "c")
        with watcher:
            assert take(watcher, 1) == ["a"]
            own_server.kill()
            own_server.start()
            record(store, infos[0].with_changes(description="3"), client)
            record(store, infos[0].with_changes(description="4"), client)
            record(store, infos[5].with_changes(description="5"), client)
            assert not watcher.caught_up.is_set()
            found = [watcher.next(PATIENCE) for _ in range(7)]
            assert [info.name + info.description for info in found] == [
                "b",
                "c",
                "d2",
                "e2",  # f2 was overwritten before it was sent
                "a3",
                "a4",
                "f5",
            ]
            assert watcher.caught_up.is_set()
            assert nothing_more(watcher, store)


def test_killed_among_what_existed_and_nothing_is_new(
    own_server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with objstore.connect(own_server.url) as client:
        store = client.object_store("b")
        infos = [store.put(name) for name in "abcd"]
        record(store, infos[1].with_changes(description="2"), client)
        with watch_with_a_gap(store, monkeypatch, "d") as watcher:
            assert take(watcher, 1) == ["a"]
            own_server.kill()
            own_server.start()
            assert rest(watcher) == ["c", "d", "b"]
            record(store, infos[1].with_changes(description="3"), client)
            assert watcher.next(PATIENCE).description == "3"
            assert nothing_more(watcher, store)


@pytest.mark.parametrize("history", [False, True])
def test_connections_that_break(history: bool, client: Client, store: ObjectStore) -> None:
    """Resets at any moment; whatever is written comes once, and in order."""
    for i in range(100):
        store.put(f"old {i}")
    wanted = [f"old {i}" for i in range(100)] + [f"new {i}" for i in range(300)]
    mine = client.object_store(store.name)
    with mine.watch(include_history=history) as watcher:

        def write() -> None:
            for i in range(300):
                store.put(f"new {i}")
                if i % 30 == 0:
                    client.connection.session.drop()

        thread = in_thread(write)
        assert take(watcher, 400) == wanted
        assert joined(thread)
        assert nothing_more(watcher, store)


def test_the_consumer_is_deleted(store: ObjectStore, client: Client, quick: None) -> None:
    with store.watch() as watcher:
        store.put("a")
        assert take(watcher, 1) == ["a"]
        stream = f"OBJ_{store.name}"
        for name in api(client.connection, f"CONSUMER.NAMES.{stream}")["consumers"]:
            assert api(client.connection, f"CONSUMER.DELETE.{stream}.{name}")["success"]
        store.put("b")
        store.put("c")
        assert take(watcher, 2) == ["b", "c"]
        assert nothing_more(watcher, store)
        eventually(lambda: consumer_count(client, store) == 1)


@pytest.mark.parametrize("lost", [1, 3, 5])
def test_messages_are_lost(
    lost: int, store: ObjectStore, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    """A gap, noticed by the next message, or by a heartbeat where none comes."""
    names = list("abcde")
    for name in names:
        store.put(name)
    drop_delivery(monkeypatch, lost, lost + 10)
    with store.watch() as watcher:
        assert rest(watcher) == names
        for name in names:
            store.put(name.upper())
        assert take(watcher, 5) == list("ABCDE")
        assert nothing_more(watcher, store)


def test_something_else_from_the_consumer(store: ObjectStore, client: Client) -> None:
    """A status that means its end, or a reply subject that is none: another one continues."""
    with store.watch(include_history=True) as watcher:
        for reply, header in (
            ("", b"NATS/1.0 409 Consumer Deleted\r\n\r\n"),
            ("", b"NATS/1.0 503\r\n\r\n"),
        ):
            store.put("a")
            take(watcher, 1)
            feed = feed_of(watcher)
            feed.deliver(Message(1, feed.reply, reply, header, b""))
            store.put("b")
            assert take(watcher, 1) == ["b"]
            feed.deliver(Message(1, feed.reply, "", b"", b"too late"))
        feed = feed_of(watcher)
        feed.deliver(Message(1, "x", "$JS.ACK.x.y.z", b"", b""))
        with pytest.raises(APIError, match=r"the reply subject '\$JS\.ACK\.x\.y\.z'"):
            take(watcher, 1)
        assert nothing_more(watcher, store)
        eventually(lambda: consumer_count(client, store) == 1)


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs POSIX")
def test_a_frozen_server(own_server: LocalServer, quick: None) -> None:
    with objstore.connect(own_server.url) as patient, objstore.connect(own_server.url) as client:
        store = patient.object_store("b")
        watched = client.object_store("b")
        make_impatient(client, 0.5)
        with watched.watch() as watcher:
            store.put("a")
            assert take(watcher, 1) == ["a"]
            before = feed_of(watcher)
            assert own_server.pid is not None
            os.kill(own_server.pid, signal.SIGSTOP)
            try:
                eventually(lambda: _timed_out(watcher) and before.ended)
            finally:
                os.kill(own_server.pid, signal.SIGCONT)
            store.put("b")
            assert take(watcher, 1) == ["b"]
            assert nothing_more(watcher, store)
        eventually(lambda: consumer_count(patient, store) == 0)


def _timed_out(watcher: Watcher) -> bool:
    with pytest.raises(RequestTimeoutError, match="no change"):
        watcher.next(timeout=0.01)
    return True


def test_no_patience(own_server: LocalServer) -> None:
    """With reconnect_timeout=0 a lost connection is an error at once; it can go on later."""
    with (
        objstore.connect(own_server.url, reconnect_timeout=0) as client,
        objstore.connect(own_server.url) as other,
    ):
        store = client.object_store("b")
        with store.watch() as watcher:
            own_server.kill()
            with pytest.raises(ConnectionLostError):
                watcher.next()
            own_server.start()
            other.object_store("b").put("a")
            eventually(lambda: client.connection.is_connected)
            assert take(watcher, 1) == ["a"]


@pytest.mark.parametrize("call", ["STREAM.INFO", "CONSUMER.CREATE"])
def test_jetstream_does_not_answer_for_a_while(
    call: str,
    server: LocalServer,
    store: ObjectStore,
    shared_client: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when the leader of the cluster is being elected: nobody, silence, 503 in JSON."""
    send, broken = NonblockingAPI._publish, ["nobody", "silent", "unavailable"]

    def send_elsewhere(asking: NonblockingAPI, subject: str, *rest: Any) -> bool:
        if call in subject and broken:
            subject = broken.pop(0)
        return send(asking, subject, *rest)

    monkeypatch.setattr(NonblockingAPI, "_publish", send_elsewhere)
    store.put("a")
    with objstore.connect(server.url, reconnect_timeout=10) as client:
        answer = b'{"error":{"code":503,"err_code":10008,"description":"unavailable"}}'
        connection = client.connection
        connection.subscribe("silent", callback=lambda message: None)
        connection.subscribe(
            "unavailable",
            callback=lambda message: connection.publish(message.reply, payload=answer),
        )
        connection.ping()
        mine = client.object_store(store.name)
        make_impatient(client, 0.2)
        with mine.watch() as watcher:
            assert not broken
            assert rest(watcher) == ["a"]
            assert nothing_more(watcher, store)
        eventually(lambda: consumer_count(shared_client, store) == 0)


def test_jetstream_never_answers(
    server: LocalServer, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = NonblockingAPI._publish
    broken = True

    def send_elsewhere(asking: NonblockingAPI, subject: str, *rest: Any) -> bool:
        return send(asking, "nobody" if broken else subject, *rest)

    with objstore.connect(server.url, reconnect_timeout=0.3) as client:
        mine = client.object_store(store.name)
        monkeypatch.setattr(NonblockingAPI, "_publish", send_elsewhere)
        with pytest.raises(NoRespondersError):
            mine.watch()
        broken = False
        with mine.watch() as watcher:
            mine.put("x", b"")
            assert watcher.next()  # it works: patience begins when it breaks, not before
            broken = True
            client.connection.session.drop()
            client.connection.session.wait_connected(PATIENCE)
            with pytest.raises(NoRespondersError) as caught:
                watcher.next()
            assert isinstance(caught.value.__cause__, ConnectionLostError)
            broken = False
            assert nothing_more(watcher, store)


def test_permissions(caplog: pytest.LogCaptureFixture) -> None:
    """Each refusal is an error at once, which names the subject, and no second one in the log."""

    def user(name: str, denied: str) -> str:
        permissions = f'publish: {{allow: ">", deny: "{denied}"}}, subscribe: ">"'
        return f"{{user: {name}, password: p, permissions: {{{permissions}}}}}"

    users = [
        user("free", "nothing"),
        user("info", "$JS.API.STREAM.INFO.OBJ_b"),
        user("create", "$JS.API.CONSUMER.>"),
        user("flow", "$JS.FC.>"),
    ]
    config = f"authorization {{users: [{', '.join(users)}]}}"
    with (
        LocalServer(config=config) as server,
        objstore.connect(server.url, user="free", password="p") as client,
    ):
        bulk(client, client.object_store("b"), SOME)
        for name, subject in (
            ("info", r"\$JS\.API\.STREAM\.INFO\.OBJ_b"),
            ("create", r"\$JS\.API\.CONSUMER\.CREATE\.OBJ_b"),
        ):
            with objstore.connect(server.url, user=name, password="p") as denied:
                jetstream = JetStream(denied.connection)
                store = ObjectStore(BucketHandle(jetstream, "b", KnownStream(jetstream, "b")))
                with pytest.raises(PermissionDeniedError, match=subject):
                    store.watch()
                denied.connection.ping()  # behind what the server may still say
                assert "nobody waits" not in caplog.text
        with objstore.connect(server.url, user="flow", password="p") as denied:
            jetstream = JetStream(denied.connection)
            store = ObjectStore(BucketHandle(jetstream, "b", KnownStream(jetstream, "b")))
            with (
                store.watch() as watcher,
                pytest.raises(PermissionDeniedError, match=r"\$JS\.FC\."),
            ):
                take(watcher, SOME)


def test_the_subscription_is_refused() -> None:
    permissions = 'publish: ">", subscribe: {allow: ">", deny: "_INBOX.*"}'
    config = f"authorization {{users: [{{user: u, password: p, permissions: {{{permissions}}}}}]}}"
    with (
        LocalServer(config=config) as server,
        objstore.connect(server.url, user="u", password="p") as client,
    ):
        store = client.object_store("b")
        with pytest.raises(PermissionDeniedError) as caught:
            store.watch()
        assert str(caught.value.subject).startswith("_INBOX.")
        assert len(client.connection.session.waiting) == 0


def test_too_many_consumers(client: Client) -> None:
    config = {
        "name": "OBJ_few",
        "subjects": ["$O.few.C.>", "$O.few.M.>"],
        "allow_rollup_hdrs": True,
        "allow_direct": True,
        "max_consumers": 1,
    }
    assert "error" not in api(client.connection, "STREAM.CREATE.OBJ_few", config)
    store = client.object_store("few", create=False)
    with store.watch():
        with pytest.raises(APIError, match="maximum consumers limit reached") as caught:
            store.watch()
        assert caught.value.err_code == 10026
    client.delete_store("few")


def test_a_stream_that_ends_before_what_was_seen(tmp_path: Path) -> None:
    """Restored from a backup: its numbers begin again from there, and what is new comes."""
    data, backup = tmp_path / "data", tmp_path / "backup"
    server = LocalServer(data).start()
    try:
        with objstore.connect(server.url) as client:
            store = client.object_store("b")
            store.put("a")
            server.kill()
            shutil.copytree(data, backup)
            server.start()
            with store.watch() as watcher:
                for name in "bcd":
                    store.put(name)
                assert rest(watcher) == ["a"]
                assert take(watcher, 3) == list("bcd")
                server.kill()
                shutil.rmtree(data)
                shutil.copytree(backup, data)
                server.start()
                assert store.put("e").revision < 4
                store.put("f")
                assert take(watcher, 2) == ["e", "f"]
                client.connection.session.drop()
                store.put("g")
                assert take(watcher, 1) == ["g"]
                assert nothing_more(watcher, store)
    finally:
        server.stop()


# --- flow control


#: What a stream holds back at once without an answer, at most: servers since 2.11 drop what comes
#: while 10,000 messages wait for a slow disk.
UNANSWERED = 4_000


#: How many records exist before a watch begins; each has more than 4,000 bytes. Before it is told
#: that some have been taken, the server sends 2 MiB of them, then 4, then 8: less than many. Some
#: are more than the first of it. Several may go while a watch begins, if its answer comes late.
SOME, MANY = 1000, 4000


def bulk(client: Client, store: ObjectStore, count: int) -> list[str]:
    """Store many records, without waiting for each."""
    template = store.put("0", description="d" * 4000)
    names = [str(i) for i in range(count)]
    stored = f"STREAM.INFO.OBJ_{store.name}"
    for first in range(1, count, UNANSWERED):
        for name in names[first : first + UNANSWERED]:
            client.connection.publish(
                meta_subject(store.name, name),
                payload=encode_info(template.with_changes(name=name)),
            )

        def is_stored(there: int = min(first + UNANSWERED, count)) -> bool:
            return bool(api(client.connection, stored)["state"]["messages"] == there)

        eventually(is_stored)
    return names


class Stalls:
    """Notes how often each feed was told that the consumer waits for the user."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        deliver = Feed.deliver

        def spy(feed: Feed, message: Message) -> None:
            self.count += b"Nats-Consumer-Stalled" in message.header
            deliver(feed, message)

        monkeypatch.setattr(Feed, "deliver", spy)

    def wait(self, more: int = 1) -> None:
        wanted = self.count + more
        eventually(lambda: self.count >= wanted)


def pending(client: Client, store: ObjectStore) -> int:
    """What the only consumer of a bucket has still to send."""
    stream = f"OBJ_{store.name}"
    (name,) = api(client.connection, f"CONSUMER.NAMES.{stream}")["consumers"]
    return int(api(client.connection, f"CONSUMER.INFO.{stream}.{name}")["num_pending"])


def test_a_slow_user(
    store: ObjectStore, client: Client, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server waits for the user; nothing is lost, and the connection serves others."""
    monkeypatch.setattr("objstore.wire.jetstream.consumer.SILENCE", SLOW_MACHINE)
    names = bulk(client, store, MANY)
    stalls = Stalls(monkeypatch)
    watcher = client.object_store(store.name).watch()
    with watcher:
        stalls.wait()
        left = pending(client, store)
        feed = feed_of(watcher)
        sent = MANY - left
        # The first windows are of 2, 4 and 8 MiB; all records together are larger.
        assert 0 < sent < MANY
        heard = feed.heard
        stalls.wait(3)
        assert feed.heard > heard
        assert pending(client, store) == left
        assert watcher._consumer._items.qsize() <= sent + 2
        assert feed_of(watcher) is feed
        store.put("new")
        assert rest(watcher) == names
        assert take(watcher, 1) == ["new"]
        assert feed_of(watcher) is feed  # it never began anew
        assert client.connection.session.connects == 1


@pytest.mark.parametrize("lost", ["request", "answer"])
def test_flow_control_is_lost(
    lost: str,
    store: ObjectStore,
    client: Client,
    quick: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The heartbeats say that the server waits; then it is answered (once more)."""
    monkeypatch.setattr("objstore.wire.jetstream.consumer.SILENCE", SLOW_MACHINE)
    names = bulk(client, store, SOME)
    deliver, answer = Feed.deliver, NonblockingAPI.answer_flow_control
    gone: list[str] = []

    def lossy(feed: Feed, message: Message) -> None:
        if lost == "request" and message.reply.startswith("$JS.FC") and not gone:
            gone.append(message.reply)
        else:
            deliver(feed, message)

    def forget(asking: NonblockingAPI, subject: str, asker: Any) -> None:
        if lost == "answer" and not gone:
            gone.append(subject)
        else:
            answer(asking, subject, asker)

    monkeypatch.setattr(Feed, "deliver", lossy)
    monkeypatch.setattr(NonblockingAPI, "answer_flow_control", forget)
    with store.watch() as watcher:
        feed = feed_of(watcher)
        assert rest(watcher) == names
        assert gone
        assert feed_of(watcher) is feed


@pytest.mark.parametrize("foreign", [False, True])
def test_what_existed_is_removed_before_it_was_sent(
    foreign: bool,
    store: ObjectStore,
    client: Client,
    quick: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Then there is no last one to tell by: a heartbeat tells.

    Where a name has several records, the server waits at each one that was removed, or (2.10)
    skips all that is left.
    """
    names = bulk(client, store, MANY)
    if foreign:
        again = store.info("0")
        assert again is not None
        record(store, again, client)
        names = [*names[1:], "0"]
    stalls = Stalls(monkeypatch)
    with client.object_store(store.name).watch() as watcher:
        stalls.wait()
        last = store.info(names[-1])  # this one remains, and was not sent
        assert last is not None
        purge = {"filter": f"$O.{store.name}.M.>", "seq": last.revision}
        assert api(client.connection, f"STREAM.PURGE.OBJ_{store.name}", purge)["purged"] >= MANY - 1
        got = rest(watcher)
        assert got[:-1] == names[: len(got) - 1]
        assert got[-1] == last.name
        assert 1 < len(got) < MANY
        store.delete(last.name)
        assert watcher.next(PATIENCE).deleted
        assert nothing_more(watcher, store)


def test_all_of_what_existed_is_removed_before_it_was_sent(
    store: ObjectStore, client: Client, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = bulk(client, store, MANY)
    stalls = Stalls(monkeypatch)
    with client.object_store(store.name).watch() as watcher:
        stalls.wait()
        purge = {"filter": f"$O.{store.name}.M.>"}
        assert api(client.connection, f"STREAM.PURGE.OBJ_{store.name}", purge)["purged"] == MANY
        got = rest(watcher)
        assert got == names[: len(got)]
        assert 0 < len(got) < MANY
        assert nothing_more(watcher, store)


# --- the wire


@pytest.mark.parametrize(
    "reply",
    [
        "$JS.ACK.OBJ_b.name.1.42.7.1700000000123456789.3",
        "$JS.ACK._.ACCOUNT.OBJ_b.name.1.42.7.1700000000123456789.3",
        "$JS.ACK.hub.ACCOUNT.OBJ_b.name.1.42.7.1700000000123456789.3.random",
    ],
)
def test_reply_subjects(reply: str) -> None:
    delivery = Delivery.of(Message(1, "s", reply, b"h", b"p"))
    assert delivery == Delivery("s", 42, 1700000000123456789, b"h", b"p", 7, 3)
    assert exact_text(delivery.time) == "2023-11-14T22:13:20.123456789Z"


@pytest.mark.parametrize(
    "reply",
    [
        "$JS.ACK.OBJ_b.name.1.42.7.17",
        "$JS.ACK.x.OBJ_b.name.1.42.7.17.3",
        "$JS.ACK.OBJ_b.name.1.42.x.17.3",
        f"$JS.ACK.OBJ_b.name.1.42.7.{1 << 63}.3",
        "$JS.ACK.OBJ_b.name.1.42.7.-1.3",
    ],
)
def test_malformed_reply_subjects(reply: str) -> None:
    with pytest.raises(APIError):
        Delivery.of(Message(1, "s", reply, b"", b""))


def test_the_error_is_in_the_tree() -> None:
    assert issubclass(WatcherStoppedError, ObjStoreError)
    assert objstore.WatcherStoppedError is WatcherStoppedError


def test_logs_nothing_when_all_is_well(
    store: ObjectStore, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "objstore"), store.watch() as watcher:
        assert nothing_more(watcher, store)
    assert not caplog.records
