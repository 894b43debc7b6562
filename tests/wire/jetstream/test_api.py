"""JetStream's calls, acknowledged publishing and direct gets, on a real server."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from objstore import (
    APIError,
    BucketConfigError,
    BucketNotFoundError,
    BucketSealedError,
    Connection,
    ConnectionClosedError,
    ConnectionLostError,
    InvalidNameError,
    InvalidOptionError,
    LocalServer,
    NoRespondersError,
    PermissionDeniedError,
    RequestTimeoutError,
    RevisionMismatchError,
    StorageFullError,
)
from objstore.errors import _BY_ERR_CODE
from objstore.wire.codec.protocol import Message, parse_headers
from objstore.wire.connection.connection import Msg
from objstore.wire.jetstream.answers import BATCH_END, NOT_FOUND, StoredMessage, direct_error
from objstore.wire.jetstream.api import FEATURES, JetStream, parse_pub_ack
from objstore.wire.jetstream.direct import BatchRequest, position
from objstore.wire.jetstream.pages import all_streams
from objstore.wire.jetstream.prefix import make_prefix
from objstore.wire.jetstream.reads import Way, read_of_subject, read_request
from objstore.wire.jetstream.stored_headers import parse_ttl
from objstore.wire.jetstream.times import exact_text, parse_time, time_text
from tests.support.scripted import PATIENCE, Background, Peer, ScriptedServer, connected, message

pytestmark = pytest.mark.newest_server

_numbers = itertools.count(1)


def direct_last(js: JetStream, stream: str, subject: str) -> StoredMessage | None:
    """The last message of a subject, by a direct get."""
    return js.read(read_of_subject(stream, subject, None, Way.BY_SUBJECT))


@pytest.fixture
def js(connection: Connection) -> JetStream:
    return JetStream(connection)


def config(name: str, **more: Any) -> dict[str, Any]:
    """A stream's configuration, in memory."""
    return {
        "name": name,
        "subjects": [f"{name}.>"],
        "storage": "memory",
        "allow_direct": True,
        "allow_rollup_hdrs": True,
        "allow_msg_ttl": True,
        "discard": "new",
        **more,
    }


@pytest.fixture
def stream(js: JetStream) -> Iterator[str]:
    """The name of a stream that takes ``<name>.>``."""
    name = f"S{next(_numbers)}"
    js.stream_create(config(name))
    yield name
    js.stream_delete(name)


class TestServer:
    """What the server is."""

    def test_version(self, js: JetStream, server: LocalServer) -> None:
        """The version as numbers, and the features that it has."""
        assert ".".join(map(str, js.server_version)) == server.version
        assert all(js.supports(feature) for feature in FEATURES)
        assert not js.is_clustered

    @pytest.mark.parametrize(
        ("text", "version"),
        [
            ("2.10.7", (2, 10, 7)),
            ("2.12.0-RC.1", (2, 12, 0)),
            ("2.9", (2, 9, 0)),
            ("", (0, 0, 0)),
            ("development", (0, 0, 0)),
        ],
    )
    def test_other_versions(self, js: JetStream, text: str, version: tuple[int, ...]) -> None:
        """Versions of other forms; features go by them."""
        session = js.connection.session
        assert session._link is not None
        session._take_info(session._link, {"version": text, "cluster": "c"})
        assert js.server_version == version
        assert js.supports("message TTL") == (version >= (2, 11, 0))
        assert js.is_clustered

    def test_bad_prefix(self, connection: Connection) -> None:
        """A prefix that cannot stand in a subject."""
        with pytest.raises(InvalidNameError, match="API prefix"):
            JetStream(connection, prefix="a b")


class TestStreams:
    """Streams are made, changed, listed and deleted."""

    def test_life(self, js: JetStream) -> None:
        """Create (twice is fine), look, change, delete."""
        name = f"S{next(_numbers)}"
        created = js.stream_create(config(name))
        assert created["config"]["name"] == name
        assert js.stream_create(config(name))["config"] == created["config"]
        js.stream_update(config(name, description="changed"))
        assert js.stream_info(name)["config"]["description"] == "changed"
        js.stream_delete(name)
        for call in (
            lambda: js.stream_info(name),
            lambda: js.stream_delete(name),
            lambda: js.stream_update(config(name)),
            lambda: js.purge(name, f"{name}.x"),
            lambda: js.last_message(name, f"{name}.x"),
        ):
            with pytest.raises(BucketNotFoundError) as caught:
                call()
            assert (caught.value.code, caught.value.err_code) == (404, 10059)

    def test_info_of_subjects(self, js: JetStream, stream: str) -> None:
        """A request with the info asks for the subjects' counts."""
        for subject in ("a", "b", "b"):
            js.publish(f"{stream}.{subject}", b"", "x")
        state = js.stream_info(stream, {"subjects_filter": ">"})["state"]
        assert state["subjects"] == {f"{stream}.a": 1, f"{stream}.b": 2}

    def test_config_errors(self, js: JetStream, stream: str) -> None:
        """What the server does not accept as a configuration."""
        for wrong, code in (
            (config(stream, description="another"), 10058),  # the name is in use
            (config("other", subjects=[f"{stream}.>"]), 10065),  # subjects overlap
            (config("other", num_replicas=3), 10074),  # no cluster
            (config("other", max_age=-5), None),
        ):
            with pytest.raises(BucketConfigError) as caught:
                js.stream_create(wrong)
            assert code in (None, caught.value.err_code)
            assert caught.value.description

    def test_list(self, js: JetStream) -> None:
        """All streams, over several pages (of 256)."""
        names = [f"LIST{number}" for number in range(300)]
        try:
            for name in names:
                js.stream_create(config(name, subjects=[f"list.{name}.x"]))
            listed = [each["config"]["name"] for each in all_streams(js)]
            assert len(listed) == len(set(listed))
            assert set(names) <= set(listed)
        finally:
            for name in names:
                js.stream_delete(name)

    def test_purge(self, js: JetStream, stream: str) -> None:
        """One subject's messages go, the others stay; how many is told."""
        for _ in range(3):
            js.publish(f"{stream}.gone", b"x", "x")
        js.publish(f"{stream}.stays", b"x", "x")
        assert js.purge(stream, f"{stream}.gone") == 3
        assert js.purge(stream, f"{stream}.gone") == 0
        assert js.stream_info(stream)["state"]["messages"] == 1

    def test_sealed(self, js: JetStream, stream: str) -> None:
        """A sealed stream takes no message and gives none away."""
        js.stream_update(config(stream, sealed=True))
        with pytest.raises(BucketSealedError):
            js.purge(stream, f"{stream}.x")
        with pytest.raises(BucketSealedError) as caught:
            js.publish(f"{stream}.x", b"", "storing x")
        assert caught.value.err_code == 10109


class TestPublish:
    """Messages are stored, once, or it is known why not."""

    def test_acknowledged(self, js: JetStream, stream: str) -> None:
        """The acknowledgement says where."""
        first = js.publish(f"{stream}.a", b"1", "x")
        second = js.publish(f"{stream}.a", memoryview(b"2"), "x")
        assert (first.stream, first.sequence, first.duplicate) == (stream, 1, False)
        assert second.sequence == 2

    def test_rollup(self, js: JetStream, stream: str) -> None:
        """A rollup replaces what the subject had, and only that."""
        js.publish(f"{stream}.b", b"other", "x")
        for number in range(3):
            js.publish(f"{stream}.a", b"%d" % number, "x", rollup=True)
        assert js.stream_info(stream)["state"]["messages"] == 2
        last = js.last_message(stream, f"{stream}.a")
        assert last is not None
        assert last.payload == b"2"

    def test_expected_sequence(self, js: JetStream, stream: str) -> None:
        """Compare and set: only over the message that was expected."""
        first = js.publish(f"{stream}.a", b"1", "x", expected_sequence=0)
        second = js.publish(f"{stream}.a", b"2", "x", expected_sequence=first.sequence)
        for wrong in (0, first.sequence, second.sequence + 1):
            with pytest.raises(RevisionMismatchError, match="storing a") as caught:
                js.publish(f"{stream}.a", b"3", "storing a", expected_sequence=wrong)
            assert caught.value.err_code == 10071
        assert js.stream_info(stream)["state"]["messages"] == 2

    def test_ttl(self, js: JetStream, stream: str) -> None:
        """A message's own life time reaches the server, and is read back."""
        js.publish(f"{stream}.a", b"", "x", ttl=timedelta(hours=1))
        stored = js.last_message(stream, f"{stream}.a")
        assert stored is not None
        assert parse_headers(stored.header)[2] == {"Nats-TTL": ["3600s"]}
        assert parse_ttl(stored.header) == timedelta(hours=1)

    def test_no_stream(self, js: JetStream) -> None:
        """Nobody stores the subject: known at once."""
        with pytest.raises(NoRespondersError) as caught:
            js.publish("nobody.stores.this", b"", "storing")
        assert caught.value.code == 503

    def test_full(self, js: JetStream) -> None:
        """The stream's max_bytes are used up."""
        name = f"S{next(_numbers)}"
        js.stream_create(config(name, max_bytes=2000))
        try:
            with pytest.raises(StorageFullError) as caught:
                js.publish(f"{name}.a", bytes(5000), "storing a")
            assert caught.value.err_code in _BY_ERR_CODE
        finally:
            js.stream_delete(name)

    def test_too_large(self, js: JetStream) -> None:
        """The stream's max_msg_size: an error without a class of its own, facts included."""
        name = f"S{next(_numbers)}"
        js.stream_create(config(name, max_msg_size=10))
        try:
            with pytest.raises(APIError) as caught:
                js.publish(f"{name}.a", bytes(100), "storing a")
            assert (caught.value.code, caught.value.err_code) == (400, 10054)
        finally:
            js.stream_delete(name)

    def test_nobody_acknowledges(self, js: JetStream, connection: Connection) -> None:
        """Somebody listens who is no stream: a time-out, for it may be stored."""
        js.timeout = 0.05
        connection.subscribe("heard", callback=lambda _: None)
        with pytest.raises(RequestTimeoutError):
            js.publish("heard", b"", "storing")

    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            (b"", "not JSON"),
            (b"\xff\xfe", "not JSON"),
            (b"[]", "not an object"),
            (b"{}", "without a sequence"),
            (b'{"stream": "S", "seq": "many"}', "without a sequence"),
            (b'{"stream": "S", "seq": null}', "without a sequence"),
            (b'{"error": {}}', "unknown error"),
        ],
    )
    def test_malformed_answers(self, connection: Connection, answer: bytes, words: str) -> None:
        """An answer that is no acknowledgement is an error, never a success."""
        connection.subscribe("odd", callback=lambda m: connection.publish(m.reply, payload=answer))
        with pytest.raises(APIError, match=words):
            JetStream(connection).publish("odd", b"", "storing")

    def test_status(self) -> None:
        """An acknowledgement that is a status: no stream, or none with a leader."""
        with pytest.raises(NoRespondersError, match="no stream takes it"):
            parse_pub_ack(Message(1, "s", "", b"NATS/1.0 503\r\n\r\n", b""), "storing")


class TestReading:
    """Messages come back as they were stored."""

    def test_by_leader(self, js: JetStream, stream: str) -> None:
        """The last of a subject, one by its number, and what is not there."""
        before = datetime.now(timezone.utc) - timedelta(seconds=1)
        payload = bytes(range(256))
        js.publish(f"{stream}.a", b"old", "x")
        ack = js.publish(f"{stream}.a", payload, "x", expected_sequence=1)
        last = js.last_message(stream, f"{stream}.a")
        assert last is not None
        assert (last.subject, last.sequence, last.payload) == (f"{stream}.a", ack.sequence, payload)
        assert b"Nats-Expected-Last-Subject-Sequence: 1" in last.header
        assert before < parse_time(last.time) < datetime.now(timezone.utc) + timedelta(seconds=1)
        assert js.read(read_request(stream, {"seq": ack.sequence}, Way.LEADER)) == last
        first = js.read(read_request(stream, {"seq": 1}, Way.LEADER))
        assert first is not None
        assert (first.payload, first.header) == (b"old", b"")
        assert js.read(read_request(stream, {"seq": 99}, Way.LEADER)) is None
        assert js.last_message(stream, f"{stream}.b") is None

    def test_direct(self, js: JetStream, stream: str) -> None:
        """The same by direct get."""
        js.publish(f"{stream}.a", b"x", "x", rollup=True)
        direct = direct_last(js, stream, f"{stream}.a")
        last = js.last_message(stream, f"{stream}.a")
        assert direct is not None
        assert last is not None
        assert (direct.subject, direct.sequence, direct.payload) == (
            last.subject,
            last.sequence,
            b"x",
        )
        assert parse_time(direct.time) == parse_time(last.time)
        assert parse_headers(direct.header)[2]["Nats-Rollup"] == ["sub"]
        assert direct_last(js, stream, f"{stream}.b") is None

    def test_not_direct(self, js: JetStream) -> None:
        """A stream that allows no direct gets, and one that is not there, do not answer."""
        name = f"S{next(_numbers)}"
        js.stream_create(config(name, allow_direct=False))
        try:
            for stream in (name, "nothing"):
                with pytest.raises(NoRespondersError):
                    direct_last(js, stream, f"{name}.a")
        finally:
            js.stream_delete(name)

    def test_batch(self, js: JetStream, stream: str) -> None:
        """A batch gives the messages in order with their places, then its end."""
        for number in range(10):
            js.publish(f"{stream}.a", b"%d" % number, "x")
            js.publish(f"{stream}.other", b"", "x")
        request = BatchRequest(subject=f"{stream}.a", sequence=1, count=6)
        batch = js.direct_batch(stream, request)
        seen = []
        while (got := batch.next(PATIENCE)) is not None and not got.status:
            stored = StoredMessage.of_direct(got)
            seen.append((stored.payload, *position(got, False)))
            assert stored.sequence == seen[-1][1]
        assert got is not None
        assert got.status == BATCH_END
        assert seen == [(b"%d" % n, 2 * n + 1, 9 - n) for n in range(6)]
        assert batch.next(0.01) is None
        batch.close()
        assert js.connection.inbox._handlers == {}
        assert len(js.connection.session.waiting) == 0

    def test_batch_statuses(self, js: JetStream, stream: str) -> None:
        """A batch that finds nothing, a malformed one, and one of no stream."""
        cases = (
            (stream, BatchRequest(subject=f"{stream}.none", count=1), NOT_FOUND, APIError),
            (stream, BatchRequest(count=3), 408, APIError),
            ("nothing", BatchRequest(count=3, sequence=1), 503, NoRespondersError),
        )
        for name, request, status, kind in cases:
            batch = js.direct_batch(name, request)
            got = batch.next(PATIENCE)
            batch.close()
            assert got is not None
            assert got.status == status
            error = direct_error(got, "reading")
            assert type(error) is kind
            assert error.code == status
            assert str(error).startswith("reading: ")

    def test_batch_is_told(self, own_server: LocalServer) -> None:
        """The connection breaks under a batch: it is told, and does not wait."""
        with connected(own_server.url) as connection:
            js = JetStream(connection)
            connection.subscribe("$JS.API.DIRECT.GET.silent", callback=lambda _: None)
            batch = js.direct_batch("silent", BatchRequest(count=1))
            own_server.kill()
            with pytest.raises(ConnectionLostError):
                batch.next(600)
            batch.close()

    def test_batch_not_sent(self, connection: Connection) -> None:
        """A batch that could not be asked for leaves nothing behind."""
        js = JetStream(connection)
        with pytest.raises(InvalidNameError):
            js.direct_batch("a b", BatchRequest(count=1))
        connection.close()
        with pytest.raises(ConnectionClosedError):
            js.direct_batch("a", BatchRequest(count=1))
        assert connection.inbox._handlers == {}

    def test_malformed_direct(self, connection: Connection) -> None:
        """Direct answers without their headers, or with odd statuses."""
        good = (
            b"NATS/1.0\r\nNats-Sequence: 1\r\nNats-Num-Pending: 0\r\n"
            b"Nats-Time-Stamp: t\r\nNats-Subject: s\r\n\r\n"
        )
        assert StoredMessage.of_direct(Message(1, "i", "", good, b"x")).sequence == 1
        for missing in (b"Nats-Sequence", b"Nats-Time-Stamp", b"Nats-Subject"):
            with pytest.raises(APIError, match="without its headers"):
                StoredMessage.of_direct(Message(1, "i", "", good.replace(missing, b"X"), b"x"))
        for missing in (b"Nats-Sequence: 1", b"Nats-Num-Pending: 0"):
            for wrong in (b"X: 1", missing[:-1] + b"x"):
                with pytest.raises(APIError, match="without its position"):
                    position(Message(1, "i", "", good.replace(missing, wrong), b"x"), False)
        header = "NATS/1.0 500 Odd"

        def answer(request: Msg) -> None:
            connection.session.transmit(
                [b"HPUB %b  20 20\r\n%b\r\n\r\n\r\n" % (request.reply.encode(), header.encode())]
            )

        connection.subscribe("$JS.API.DIRECT.GET.odd.s", callback=answer)
        with pytest.raises(APIError, match="reading s: 500 Odd") as caught:
            direct_last(JetStream(connection), "odd", "s")
        assert caught.value.code == 500

    @pytest.mark.parametrize(
        "answer",
        [
            {},
            {"message": None},
            {"message": {"subject": "s", "seq": "x", "time": "t"}},
            {"message": {"subject": "s", "seq": 1}},
            {"message": {"subject": "s", "seq": 1, "time": "t", "data": "a"}},
        ],
    )
    def test_malformed_message(self, connection: Connection, answer: dict[str, Any]) -> None:
        """A stored message that is none."""
        payload = json.dumps(answer).encode()
        connection.subscribe(
            "ODD.API.STREAM.MSG.GET.odd",
            callback=lambda m: connection.publish(m.reply, payload=payload),
        )
        with pytest.raises(APIError, match="malformed"):
            JetStream(connection, prefix="ODD.API").last_message("odd", "s")

    def test_other_errors(self, js: JetStream, stream: str) -> None:
        """An error that has no class of its own, but its facts."""
        with pytest.raises(APIError) as caught:
            js.call(f"STREAM.MSG.GET.{stream}", {"nonsense": 1}, "reading")
        assert caught.value.code == 400
        assert caught.value.err_code
        with pytest.raises(APIError):
            js.read(read_request(stream, {}, Way.LEADER))


class TestCalls:
    """Calls as such."""

    def test_not_enabled(self) -> None:
        """JetStream is not enabled for the account: known at once, and said."""
        config = """
        accounts {
          A { users: [ { user: "u", password: "p" } ] }
          B { jetstream: enabled, users: [ { user: "b", password: "p" } ] }
        }
        """
        with (
            LocalServer(config=config) as server,
            connected(f"nats://u:p@127.0.0.1:{server.port}", timeout=PATIENCE) as connection,
        ):
            js = JetStream(connection, timeout=PATIENCE)
            with pytest.raises((NoRespondersError, APIError), match="enabled"):
                js.stream_info("S")

    def test_repeats(self, own_server: LocalServer) -> None:
        """A call that may be repeated survives the death of the server; another does not."""
        with connected(own_server.url) as connection, connected(own_server.url) as other:
            js = JetStream(connection, prefix="MY.API", timeout=PATIENCE)
            asked = 0

            def die_first(request: Msg) -> None:
                nonlocal asked
                asked += 1
                if asked in (1, 3):
                    connection.session.drop()
                else:
                    other.publish(request.reply, payload=b'{"answer": 1}')

            other.subscribe("MY.API.X", callback=die_first)
            assert js.call("X", None, "asking") == {"answer": 1}
            assert asked == 2
            with pytest.raises(ConnectionLostError):
                js.call("X", {}, "asking", repeat=False)
            assert asked == 3
            js.patience = 0
            asked = 0
            with pytest.raises(ConnectionLostError):
                js.call("X", {}, "asking")
            assert asked == 1

    def test_closed(self, connection: Connection) -> None:
        """A closed connection is not waited for."""
        connection.close()
        with pytest.raises(ConnectionClosedError):
            JetStream(connection).stream_info("S")

    def test_denied(self) -> None:
        """A user who may not call the API is told so at once."""
        config = """
        authorization { users: [ { user: "u", password: "p",
            permissions: { publish: { deny: ["$JS.API.STREAM.PURGE.>"] } } } ] }
        """
        with (
            LocalServer(config=config) as server,
            connected(f"nats://u:p@127.0.0.1:{server.port}") as connection,
        ):
            with pytest.raises(PermissionDeniedError) as caught:
                JetStream(connection, timeout=600).purge("S", "S.x")
            assert caught.value.subject == "$JS.API.STREAM.PURGE.S"

    def test_large_answer(self) -> None:
        """An answer beyond max_payload is taken: that limit is for what goes out."""
        answer = json.dumps({"big": "x" * (2 << 20)}).encode()

        def script(peer: Peer) -> None:
            peer.accept()
            sid = int(peer.until(rb"SUB _INBOX\S+ +(\d+)")[1])
            reply = peer.until(rb"PUB \S+ (\S+) 0")[1]
            peer.send(message(reply, sid, answer))
            peer.serve()

        with ScriptedServer(script) as server, connected(server.url) as connection:
            js = JetStream(connection, timeout=PATIENCE)
            assert len(js.call("X", None, "asking")["big"]) == 2 << 20

    def test_threads(self, js: JetStream, stream: str) -> None:
        """Publishing and reading from 16 threads: each message once, each read its own."""

        def work(name: int) -> None:
            subject = f"{stream}.{name}"
            sequence = 0
            for number in range(20):
                payload = b"%d/%d" % (name, number)
                sequence = js.publish(subject, payload, "x", expected_sequence=sequence).sequence
                direct = direct_last(js, stream, subject)
                assert direct is not None
                assert (direct.payload, direct.sequence) == (payload, sequence)

        for each in [Background(work, name) for name in range(16)]:
            each.get()
        assert js.stream_info(stream)["state"]["messages"] == 320


class TestPrefix:
    """Where the API is."""

    def test_make_prefix(self) -> None:
        assert make_prefix(None, None) == "$JS.API"
        assert make_prefix(None, "MY.API.") == "MY.API"
        assert make_prefix("hub", None) == "$JS.hub.API"
        with pytest.raises(InvalidOptionError, match="not both"):
            make_prefix("hub", "MY.API")

    @pytest.mark.parametrize("domain", ["", "a.b", "a b", "*", ">", "a\n"])
    def test_bad_domains(self, domain: str) -> None:
        with pytest.raises(InvalidOptionError, match="domain"):
            make_prefix(domain, None)

    def test_domain(self) -> None:
        """A server with a domain answers there; another domain has no answer."""
        with (
            LocalServer(config='jetstream { domain: "hub" }') as server,
            connected(server.url) as connection,
        ):
            js = JetStream(connection, prefix=make_prefix("hub", None))
            js.stream_create(config("D"))
            assert js.publish("D.x", b"there", "x").sequence == 1
            stored = direct_last(js, "D", "D.x")
            assert stored is not None
            assert stored.payload == b"there"
            with pytest.raises(NoRespondersError):
                JetStream(connection, prefix=make_prefix("other", None)).stream_info("D")


class TestTimes:
    """The server's times, in each of their forms."""

    @pytest.mark.parametrize(
        ("text", "microseconds"),
        [
            ("2026-11-05T06:07:08Z", 0),
            ("2026-11-05T06:07:08.5Z", 500_000),
            ("2026-11-05T06:07:08.123456789Z", 123_456),
            ("2026-11-05 06:07:08.123456789 +0000 UTC", 123_456),
            ("2026-11-05 06:07:08 +0000 UTC", 0),
            (" 2026-11-05T06:07:08.000001Z\n", 1),
        ],
    )
    def test_forms(self, text: str, microseconds: int) -> None:
        """RFC 3339 and Go's own form, with and without a fraction."""
        expected = datetime(2026, 11, 5, 6, 7, 8, microseconds, tzinfo=timezone.utc)
        assert parse_time(text) == expected

    @pytest.mark.parametrize(
        ("text", "utc"),
        [
            ("2026-11-05T06:07:08+02:00", "2026-11-05T04:07:08Z"),
            ("2026-11-05T06:07:08.25-04:30", "2026-11-05T10:37:08.25Z"),
            ("2026-11-05 06:07:08.1 +0100 UTC", "2026-11-05T05:07:08.1Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ],
    )
    def test_offsets(self, text: str, utc: str) -> None:
        """Whatever the zone, it is told and written in UTC."""
        moment = parse_time(text)
        assert moment.tzinfo is timezone.utc
        assert time_text(moment) == utc

    @pytest.mark.parametrize(
        ("nanoseconds", "text"),
        [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (1_700_000_000_123_456_789, "2023-11-14T22:13:20.123456789Z"),
            ((1 << 63) - 1, "2262-04-11T23:47:16.854775807Z"),
        ],
    )
    def test_nanoseconds(self, nanoseconds: int, text: str) -> None:
        """A consumer's form is the same moment, and none of it is lost where it is sent back."""
        assert parse_time(nanoseconds) == parse_time(text)
        assert exact_text(nanoseconds) == exact_text(text) == text

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "yesterday",
            "2026-11-05",
            "2026-11-05T06:07:08.xZ",
            "2026-11-05T06:07:08",
            "2026-11-05T06:07:61Z",
            "2026-11-05T06:07:08+25:00",
            "0001-01-01T00:00:00+01:00",
        ],
    )
    def test_nonsense(self, text: str) -> None:
        with pytest.raises(ValueError, match=r".+"):
            parse_time(text)
