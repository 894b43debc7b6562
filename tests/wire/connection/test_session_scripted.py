"""Connection against servers that follow a script, for what a real one cannot be made to do.

Each test ends within its deadline, whatever the server does, and nothing grows.
"""

from __future__ import annotations

import json
import logging
import queue
import select
import socket
import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from objstore import (
    AuthorizationError,
    Connection,
    ConnectionClosedError,
    ConnectionLostError,
    InvalidOptionError,
    PermissionDeniedError,
    ProtocolError,
    RequestTimeoutError,
    TLSError,
)
from objstore.wire.codec.commands import PONG
from objstore.wire.codec.protocol import MAX_LINE, MAX_MESSAGE
from objstore.wire.connection import session as session_module
from objstore.wire.connection.connection import Msg
from objstore.wire.connection.dial import DialOptions, dial_any, program_name
from objstore.wire.connection.servers import ServerPool, parse_servers
from objstore.wire.connection.subscriptions import Latch, Signal
from objstore.wire.connection.transport import Transport, _set_timeout
from tests.support.scripted import (
    PATIENCE,
    Background,
    Peer,
    ScriptedServer,
    connected,
    eventually,
    free_port,
    message,
)

pytestmark = pytest.mark.newest_server

Messages = queue.Queue[Msg]


def serve(peer: Peer) -> None:
    """Accept, and answer PINGs."""
    peer.accept()
    peer.serve()


class TestHandshake:
    """A server that never gets as far as PONG: connect() fails in time, and says why."""

    @pytest.mark.parametrize(
        "beginning",
        [
            b"",
            b"I",
            b'INFO {"max_payload"',
            b"INFO {}\r",
            b'INFO {"tls_required": true}\r\n',
        ],
    )
    def test_stalled(self, beginning: bytes) -> None:
        """It accepts and then says nothing, or half of an INFO, or nothing of TLS."""

        def script(peer: Peer) -> None:
            peer.send(beginning)
            peer.hold()

        with ScriptedServer(script) as server:
            with pytest.raises(ConnectionLostError) as caught:
                Connection(server.url, timeout=0.2).connect()
            assert server.url in str(caught.value)

    def test_stalled_after_info(self) -> None:
        """It never answers CONNECT."""

        def script(peer: Peer) -> None:
            peer.greet()
            peer.hold()

        with (
            ScriptedServer(script) as server,
            pytest.raises(ConnectionLostError, match="in time"),
        ):
            Connection(server.url, timeout=0.2).connect()

    def test_drips(self) -> None:
        """It sends a byte now and then: the deadline is for the whole."""

        def script(peer: Peer) -> None:
            while True:
                peer.send(b"INFO {"[:1])
                peer._held.wait(0.02)

        def endless(peer: Peer) -> None:
            peer.accept_without_pong()
            while True:
                peer.send(b"+OK\r\n")
                peer._held.wait(0.02)

        with (
            ScriptedServer(endless) as server,
            pytest.raises(ConnectionLostError, match="in time"),
        ):
            Connection(server.url, timeout=0.3).connect()
        with ScriptedServer(script) as server, pytest.raises(ConnectionLostError):
            Connection(server.url, timeout=0.3).connect()

    @pytest.mark.parametrize(
        ("greeting", "kind", "words"),
        [
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", ProtocolError, "HTTP server"),
            (b"\x15\x03\x01\x00\x02\x02\x16", ProtocolError, "TLS"),
            (b"220 mail.example ESMTP\r\n", ProtocolError, "not the NATS protocol"),
            (b"PING\r\n", ProtocolError, "other than INFO"),
            (b"INFO nonsense\r\n", ProtocolError, "JSON"),
            (b"INFO [1]\r\n", ProtocolError, "object"),
            (b"INFO " + b" " * MAX_LINE + b"  ", ProtocolError, "a line of more than"),
            (b"-ERR 'maximum connections exceeded'\r\n", ConnectionLostError, "maximum conn"),
            (b"-ERR 'Authorization Violation'\r\n", AuthorizationError, "Authorization"),
            (b"-ERR 'Authentication Timeout'\r\n", ConnectionLostError, "Authentication Timeout"),
            (b"", ConnectionLostError, "closed"),
        ],
    )
    def test_wrong_greetings(self, greeting: bytes, kind: type[Exception], words: str) -> None:
        """It is not a NATS server, or one that takes nobody."""

        def script(peer: Peer) -> None:
            peer.send(greeting)

        with ScriptedServer(script) as server, pytest.raises(kind, match=words):
            Connection(server.url).connect()

    def test_no_host(self) -> None:
        """Nobody is there at all."""
        with pytest.raises(ConnectionLostError, match="cannot connect to nats://127"):
            Connection(f"nats://127.0.0.1:{free_port()}").connect()

    def test_refused_login(self) -> None:
        """-ERR 'Authorization Violation' after a correct INFO."""

        def script(peer: Peer) -> None:
            peer.accept_without_pong()
            peer.send(b"-ERR 'Authorization Violation'\r\n")

        with (
            ScriptedServer(script) as server,
            pytest.raises(AuthorizationError, match="Authorization Violation") as caught,
        ):
            Connection(server.url, token="secret").connect()
        assert "secret" not in str(caught.value)

    def test_closed_after_connect(self) -> None:
        """It reads CONNECT and closes."""

        def script(peer: Peer) -> None:
            peer.accept_without_pong()

        with ScriptedServer(script) as server, pytest.raises(ConnectionLostError, match="closed"):
            Connection(server.url).connect()

    def test_early_words(self) -> None:
        """What the server says between CONNECT and PONG counts: INFO, and PING."""
        answered = threading.Event()

        def script(peer: Peer) -> None:
            peer.accept_without_pong()
            peer.send(b"PING\r\nINFO " + json.dumps({"max_payload": 77}).encode() + b"\r\n+OK\r\n")
            assert peer.line() == b"PONG"
            answered.set()
            peer.send(b'PONG\r\nINFO {"client_id": 9}\r\n')
            peer.serve()

        with ScriptedServer(script) as server, connected(server.url) as connection:
            assert answered.is_set()
            eventually(lambda: connection.server_info.get("client_id") == 9)
            assert connection.server_info["max_payload"] == 77
            with pytest.raises(InvalidOptionError, match="max_payload"):
                connection.publish("x", payload=bytes(78))

    def test_clear_text_before_tls(self) -> None:
        """Bytes behind INFO in the clear, where TLS comes next: somebody has put them there."""

        def script(peer: Peer) -> None:
            info = json.dumps({"tls_required": True}).encode()
            peer.send(b"INFO " + info + b"\r\nINFO {}\r\n")
            with pytest.raises(ConnectionError):
                peer.line()  # nothing comes: no CONNECT, and no handshake either

        with (
            ScriptedServer(script) as server,
            pytest.raises(ProtocolError, match="in the clear"),
        ):
            Connection(server.url, token="secret").connect()

    def test_no_tls_behind_the_promise(self) -> None:
        """It announces TLS and then speaks in the clear: no CONNECT, no secret is sent."""
        seen = []

        def script(peer: Peer) -> None:
            peer.greet(tls_required=True)
            seen.append(peer.sock.recv(65536))
            peer.send(b"PONG\r\n")
            seen.append(peer.sock.recv(65536))

        with ScriptedServer(script) as server, pytest.raises(TLSError, match="failed"):
            Connection(server.url, token="secret").connect()
        assert not any(b"secret" in each for each in seen)

    def test_connect_fields(self) -> None:
        """What CONNECT says of the client; the login of the address, where none was given."""
        seen = []

        def script(peer: Peer) -> None:
            seen.append(peer.accept())
            peer.serve()

        with ScriptedServer(script) as server:
            place = server.url.removeprefix("nats://")
            for url, options in (
                (f"nats://us%40er:pass@{place}", {"name": "me"}),
                (f"nats://token@{place}", {"verbose": True}),
                (f"nats://user:pass@{place}", {"token": "other"}),
                (place, {}),
            ):
                with connected(url, **options) as connection:
                    connection.ping()
        first, second, third, fourth = seen
        assert first["headers"] is first["no_responders"] is True
        assert first["tls_required"] is first["verbose"] is first["pedantic"] is False
        assert (first["name"], first["user"], first["pass"]) == ("me", "us@er", "pass")
        assert (second["auth_token"], second["verbose"]) == ("token", True)
        assert third["auth_token"] == "other"
        assert "user" not in third
        assert not {"user", "pass", "auth_token"} & fourth.keys()
        assert fourth["name"] == program_name()

    @pytest.mark.parametrize(
        ("module", "script", "name"),
        [
            (None, "/srv/www/manage.py", "manage.py"),
            ("reports.__main__", "/srv/reports/__main__.py", "reports"),
            ("reports.daily", "/srv/reports/daily.py", "reports.daily"),
            (None, "-c", "python"),
            (None, "", "python"),
            (None, "/srv/\udcff", "?"),
        ],
    )
    def test_the_programs_name(
        self, module: str | None, script: str, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A connection without a name has that of the program, however it was started."""
        spec = None if module is None else SimpleNamespace(name=module)
        monkeypatch.setitem(sys.modules, "__main__", SimpleNamespace(__spec__=spec))
        monkeypatch.setattr(sys, "argv", [script, "argument"])
        assert program_name() == name

    def test_closed_while_sending(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """CONNECT cannot be sent any more: what the server said before it closed is the reason;
        where it takes nothing, it is the time."""

        def full(peer: Peer) -> None:
            peer.greet()
            peer.send(b"-ERR 'maximum connections exceeded'\r\n")
            peer.hold()

        whole = Transport.send

        def fail(error: OSError) -> Callable[[Transport, Any], None]:
            def send(self: Transport, parts: Any) -> None:
                if threading.current_thread() is threading.main_thread():
                    raise error
                whole(self, parts)  # another connection, of many tests

            return send

        with ScriptedServer(full) as server:
            monkeypatch.setattr(Transport, "send", fail(BrokenPipeError(32, "Broken pipe")))
            with pytest.raises(ConnectionLostError, match="maximum connections"):
                Connection(server.url).connect()
            monkeypatch.setattr(Transport, "send", fail(TimeoutError()))
            with pytest.raises(ConnectionLostError, match="in time"):
                Connection(server.url).connect()

    def test_no_longer_wanted(self) -> None:
        """Who no longer wants a connection does not wait for the servers that are left."""
        first, second = (f"nats://127.0.0.1:{free_port()}" for _ in range(2))
        pool = ServerPool(parse_servers([first, second]))
        with pytest.raises(ConnectionLostError) as caught:
            dial_any(pool, DialOptions(), lambda: False)
        assert first in str(caught.value)
        assert second not in str(caught.value)

    def test_every_reason(self) -> None:
        """Of several servers none will do: a refused login is what is told, else all reasons."""

        def refuse(peer: Peer) -> None:
            peer.accept_without_pong()
            peer.send(b"-ERR 'Authorization Violation'\r\n")

        def nonsense(peer: Peer) -> None:
            peer.send(b"HTTP/1.1 200 OK\r\n\r\n")

        dead = f"nats://127.0.0.1:{free_port()}"
        with ScriptedServer(refuse) as refusing, ScriptedServer(nonsense) as foreign:
            with pytest.raises(AuthorizationError):
                Connection([dead, foreign.url, refusing.url]).connect()
            with pytest.raises(ProtocolError, match="HTTP"):
                Connection([dead, foreign.url]).connect()
        with pytest.raises(ConnectionLostError) as caught:
            Connection([dead, foreign.url, refusing.url]).connect()
        for url in (dead, foreign.url, refusing.url):
            assert url in str(caught.value)
        assert caught.value.__cause__ is not None


class TestStalledPeer:
    """A peer that stops reading."""

    def _fill(self, connection: Connection) -> Background:
        """Publish until the socket is full, so that the writer is blocked."""

        def publish() -> None:
            while True:
                connection.publish("x", payload=bytes(1 << 20))

        link = connection.session._link
        assert link is not None
        sock = link.transport._socket
        writer = Background(publish)
        eventually(lambda: not select.select([], [sock], [], 0)[1], "a full socket")
        lock = connection.session.out.lock

        def is_taken() -> bool:
            if free := lock.acquire(blocking=False):
                lock.release()
            return not free

        eventually(is_taken, "a blocked writer")
        return writer

    def _hurry(self, connection: Connection) -> None:
        """Have sends give up after half a second of no progress; it was connected in peace."""
        link = connection.session._link
        assert link is not None
        _set_timeout(link.transport._socket, socket.SO_SNDTIMEO, 0.5)

    def test_writers_time_out(self) -> None:
        """A blocked writer gives up after the time-out, and so does who waits for an answer; then
        there is another connection."""

        def stall(peer: Peer) -> None:
            peer.accept()
            peer.hold()

        with ScriptedServer(stall, serve) as server, connected(server.url) as connection:
            signal = Background(connection.ping)
            # Else it might be late, and find the next connection.
            eventually(lambda: connection.session.waiting)
            self._hurry(connection)
            writer = self._fill(connection)
            with pytest.raises((ConnectionLostError, RequestTimeoutError)):
                signal.get()
            eventually(lambda: connection.session.connects == 2)
            connection.session.ping(PATIENCE)  # among all that the writer sends
            connection.close()
            with pytest.raises(ConnectionClosedError):
                writer.get()

    def test_the_cause(self) -> None:
        """Where no other connection follows, the error says that the server stopped reading: the
        first cause stays in sight, whatever the attempts after it ran into."""

        def stall(peer: Peer) -> None:
            peer.accept()
            peer.hold()

        def refuse(peer: Peer) -> None:
            peer.close()

        with (
            ScriptedServer(stall, refuse) as server,
            connected(server.url, reconnect_timeout=0) as connection,
        ):
            self._hurry(connection)
            writer = self._fill(connection)
            with pytest.raises(ConnectionLostError, match="stopped reading") as caught:
                writer.get()
            assert caught.value.__cause__ is not None
            eventually(lambda: "at once" in str(connection.session._cause))
            with pytest.raises(ConnectionLostError, match=r"at once \(.* stopped reading\)"):
                connection.ping()

    def test_never_reads(self) -> None:
        """A server that accepts every connection and reads from none: publish ends in time."""

        def stall(peer: Peer) -> None:
            peer.accept(max_payload=1 << 26)
            peer.hold()

        with (
            ScriptedServer(stall) as server,
            connected(server.url, reconnect_timeout=0.5) as connection,
        ):
            self._hurry(connection)
            session = connection.session
            session._options = msgspec.structs.replace(session._options, timeout=0.5)
            publish = Background(connection.publish, "x", payload=bytes(1 << 26))
            with pytest.raises(ConnectionLostError, match="no connection for"):
                publish.get()
            eventually(lambda: server.connections > 1)

    def test_close_does_not_wait(self) -> None:
        """close() neither waits for the blocked writer nor for its time-out."""

        def stall(peer: Peer) -> None:
            peer.accept()
            peer.hold()

        with ScriptedServer(stall) as server:
            connection = Connection(server.url, timeout=600)
            connection.connect()
            writer = self._fill(connection)
            connection.close()
            with pytest.raises(ConnectionClosedError):
                writer.get()

    def test_reader_goes_on(self) -> None:
        """While a writer is blocked messages are delivered, and PINGs cost nothing; the PONG goes
        when there is room."""
        go_on = threading.Event()
        pong = threading.Event()

        def stall(peer: Peer) -> None:
            peer.accept()
            sid = int(peer.until(rb"SUB news +(\d+)")[1])
            assert peer.line() == b"PING"
            peer.send(b"PONG\r\n")
            assert go_on.wait(PATIENCE)
            peer.send(b"PING\r\n" * 20_000 + message(b"news", sid, b"there"))
            assert go_on.wait(PATIENCE)
            peer.until(rb"PONG")
            pong.set()
            peer.serve()

        received: Messages = queue.Queue()
        with ScriptedServer(stall) as server:
            connection = Connection(server.url, timeout=600)
            connection.connect()
            connection.subscribe("news", callback=received.put)
            blocked = threading.Event()
            release = connection.session.out.lock

            def hold() -> None:
                with release:
                    blocked.set()
                    assert go_on.wait(PATIENCE)
                    assert received.get(timeout=PATIENCE).payload == b"there"
                    assert list(connection.session.out._control) in ([], [PONG])

            holder = Background(hold)
            assert blocked.wait(PATIENCE)
            go_on.set()
            holder.get()
            assert not pong.is_set()
            connection.publish("x")  # whoever sends next sends the PONG, too
            assert pong.wait(PATIENCE)
            connection.close()

    def test_urgent_behind_a_full_socket(self) -> None:
        """UNSUB and PONG do not block on a full socket: they go with what is sent next."""
        go_on = threading.Event()
        seen: list[bytes] = []

        def slow(peer: Peer) -> None:
            peer.accept()
            assert go_on.wait(PATIENCE)
            while True:
                line = peer.line()
                if line.startswith((b"UNSUB", b"PONG", b"PING")):
                    seen.append(line)
                if line == b"PING":
                    peer.send(b"PONG\r\n")

        with ScriptedServer(slow) as server:
            connection = Connection(server.url, timeout=600)
            connection.connect()
            session = connection.session
            writer = self._fill(connection)
            subscription = session.subscribe("s", lambda _: None)
            session.unsubscribe(subscription)  # returns, though a writer is blocked
            assert writer.running
            go_on.set()
            eventually(lambda: b"UNSUB %d" % subscription.sid in seen)
            connection.close()
            with pytest.raises(ConnectionClosedError):
                writer.get()

    def test_full_socket_without_a_writer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The socket is full though nobody sends: a short command waits for the next send."""
        seen: list[bytes] = []

        def script(peer: Peer) -> None:
            peer.accept()
            peer.serve(seen)

        with ScriptedServer(script) as server, connected(server.url) as connection:
            link = connection.session._link
            assert link is not None
            monkeypatch.setattr(link.transport, "is_writable", lambda: False)
            connection.session.subscribe("s", lambda _: None)
            assert connection.session.out._control
            connection.ping()
            assert [each.partition(b" ")[0] for each in seen] == [b"SUB", b"PING"]
            monkeypatch.undo()

    def test_slow_but_alive(self) -> None:
        """A peer that reads slowly is not a dead one: the time-out is for no progress at all."""
        took: list[int] = []

        def slow(peer: Peer) -> None:
            peer.accept()
            peer.until(rb"PUB x +\d+")
            for _ in range(16):  # more than the time-out, in all
                took.append(len(peer._lines.read(500_000)))
                peer._held.wait(0.15)
            peer.until(rb"PING")
            peer.send(b"PONG\r\n")
            peer.serve()

        with ScriptedServer(slow, receive_buffer=4096) as server:
            with connected(server.url, timeout=2.0) as connection:
                connection.session.max_payload = 8_000_000
                connection.publish("x", payload=bytes(8_000_000))
                connection.session.ping(PATIENCE)
                assert connection.session.connects == 1
            assert sum(took) == 8_000_000

    def test_silence(self) -> None:
        """A server that says nothing any more counts as lost after some unanswered PINGs."""

        def silent(peer: Peer) -> None:
            peer.accept()
            while True:
                peer.line()

        with (
            ScriptedServer(silent, serve) as server,
            connected(server.url, ping_interval=0.05) as connection,
        ):
            eventually(lambda: connection.session.connects >= 2)
            assert "no longer answers" in str(connection.session._cause)

    def test_no_pong(self) -> None:
        """A PING that is not answered while other things come is a time-out."""

        def rude(peer: Peer) -> None:
            peer.accept()
            while True:
                peer.line()
                peer.send(b"+OK\r\n")

        with ScriptedServer(rude) as server, connected(server.url) as connection:
            connection.timeout = 0.1
            with pytest.raises(RequestTimeoutError, match="PING"):
                connection.ping()
            assert len(connection.session.waiting) == 0
            assert connection.is_connected


def on_subscription(
    *answers: Callable[[int], bytes], then: Callable[[Peer], object] = Peer.serve
) -> Callable[[Peer], None]:
    """A script: what the server says when it is told of a subscription to ``s``."""

    def script(peer: Peer) -> None:
        peer.accept()
        sid = int(peer.until(rb"SUB s +(\d+)")[1])
        assert peer.line() == b"PING"
        peer.send(b"PONG\r\n")
        for answer in answers:
            peer.send(answer(sid))
        then(peer)

    return script


class TestNonsense:
    """What comes is wrong: the connection is given up, and another is made; or it is ignored."""

    @pytest.mark.parametrize(
        "nonsense",
        [
            b"WHAT IS THIS\r\n",
            b"\x00\x01\x02\x03",
            b"MSG s 1 99999999999999999999\r\n",
            b"MSG s 1 %d\r\n" % (MAX_MESSAGE + 1),
            b"HMSG s 1 20 10\r\n",
            b"MSG s x 3\r\nabc\r\n",
            b"MSG s 1 3\r\nabcde\r\n",
            b"MSG s " + b"x" * (MAX_LINE + 1),
            b"INFO {\r\n",
        ],
    )
    def test_protocol_errors(self, nonsense: bytes) -> None:
        """The connection is replaced, subscriptions restored; the error is known."""
        received: Messages = queue.Queue()

        def good(peer: Peer) -> None:
            peer.accept()
            peer.send(message(b"s", int(peer.until(rb"SUB s +(\d+)")[1]), b"good"))
            peer.serve()

        subscribed = threading.Event()

        def late(_sid: int) -> bytes:  # the PONG before would be lost with what comes along
            assert subscribed.wait(PATIENCE)
            return nonsense

        with (
            ScriptedServer(on_subscription(late, then=Peer.hold), good) as server,
            connected(server.url) as connection,
        ):
            connection.subscribe("s", callback=received.put)
            subscribed.set()
            assert received.get(timeout=PATIENCE).payload == b"good"
            assert isinstance(connection.session._cause, ProtocolError)
            assert connection.session.connects == 2

    def test_wrong_sids(self) -> None:
        """Messages of subscriptions that do not exist are dropped."""
        received: Messages = queue.Queue()
        script = on_subscription(
            lambda sid: message(b"s", sid + 1, b"wrong"),
            lambda sid: message(b"s", 10**17, b"wrong"),
            lambda _: message(b"s", 0, b"wrong"),
            lambda sid: message(b"s", sid, b"right"),
        )
        with ScriptedServer(script) as server, connected(server.url) as connection:
            connection.subscribe("s", callback=received.put)
            assert received.get(timeout=PATIENCE).payload == b"right"
            connection.ping()
            assert received.empty()
            assert connection.session.connects == 1

    def test_unasked_pongs(self) -> None:
        """PONGs that nobody waits for are ignored."""
        received: Messages = queue.Queue()
        script = on_subscription(
            lambda _: b"PONG\r\n" * 1000, lambda sid: message(b"s", sid, b"after")
        )
        with ScriptedServer(script) as server, connected(server.url) as connection:
            connection.subscribe("s", callback=received.put)
            assert received.get(timeout=PATIENCE).payload == b"after"
            connection.ping()
            assert len(connection.session.out.pongs) == 0

    def test_half_a_message(self) -> None:
        """It closes in the middle of a message: nobody gets half of it."""
        received: Messages = queue.Queue()

        def cut(sid: int) -> bytes:
            return message(b"s", sid, bytes(200_000))[:100_000]

        def whole(peer: Peer) -> None:
            peer.accept()
            peer.send(message(b"s", int(peer.until(rb"SUB s +(\d+)")[1]), b"whole"))
            peer.serve()

        script = on_subscription(cut, then=Peer.close)
        with ScriptedServer(script, whole) as server, connected(server.url) as connection:
            connection.subscribe("s", callback=received.put)
            assert received.get(timeout=PATIENCE).payload == b"whole"
            assert received.empty()

    def test_ping_flood(self) -> None:
        """20,000 PINGs from a peer that does not read: no memory is spent, messages go on."""
        received: Messages = queue.Queue()
        script = on_subscription(
            lambda _: b"PING\r\n" * 20_000, lambda sid: message(b"s", sid, b"after")
        )
        with ScriptedServer(script) as server, connected(server.url) as connection:
            connection.subscribe("s", callback=received.put)
            assert received.get(timeout=PATIENCE).payload == b"after"
            assert list(connection.session.out._control) in ([], [PONG])
            connection.ping()

    def test_error_flood(self, caplog: pytest.LogCaptureFixture) -> None:
        """Thousands of -ERRs that end nothing: the connection lives."""
        received: Messages = queue.Queue()
        script = on_subscription(
            lambda _: b"-ERR 'Invalid Subject'\r\n" * 2_000,
            lambda _: b"-ERR 'Permissions Violation for Publish to \"p\"'\r\n" * 2_000,
            lambda sid: message(b"s", sid, b"after"),
        )
        with (
            caplog.at_level(logging.CRITICAL, "objstore"),
            ScriptedServer(script) as server,
            connected(server.url) as connection,
        ):
            connection.subscribe("s", callback=received.put)
            assert received.get(timeout=PATIENCE).payload == b"after"
            connection.ping()
            assert connection.session.connects == 1

    def test_info_flood(self) -> None:
        """INFO again and again, each with new fields and servers: only the last one is kept."""
        received: Messages = queue.Queue()

        def infos(_: int) -> bytes:
            return b"".join(
                b'INFO {"field%d": 1, "connect_urls": ["10.0.0.%d:4222", 7, "::::"]}\r\n' % (n, n)
                for n in range(250)
            )

        script = on_subscription(infos, lambda sid: message(b"s", sid, b"after"))
        with ScriptedServer(script) as server, connected(server.url) as connection:
            connection.subscribe("s", callback=received.put)
            assert received.get(timeout=PATIENCE).payload == b"after"
            assert "field249" in connection.server_info
            assert "field248" not in connection.server_info
            assert connection.server_info["server_id"] == "S"
            servers = [each.url for each in connection.session._pool.servers]
            assert servers == [server.url, "nats://10.0.0.249:4222"]

    def test_new_info(self) -> None:
        """INFO with another max_payload and connect_urls: both hold from then on."""
        with ScriptedServer(serve) as other:

            def change(peer: Peer) -> None:
                peer.accept()
                peer.until(rb"PING")
                peer.greet(max_payload=10, connect_urls=[f"127.0.0.1:{other.port}"])
                peer.send(b"PONG\r\n")
                peer.until(rb"PING")

            with ScriptedServer(change) as server, connected(server.url) as connection:
                connection.publish("x", payload=bytes(11))
                connection.ping()
                with pytest.raises(InvalidOptionError, match="max_payload"):
                    connection.publish("x", payload=bytes(11))
                with pytest.raises(ConnectionLostError):
                    connection.ping()
                eventually(lambda: connection.session.server_url == other.url)
                assert connection.server_info["max_payload"] == 1 << 20
                assert "connect_urls" not in connection.server_info

    def test_leaves_and_info_of_the_next(self) -> None:
        """A lame duck is left; nothing of its INFO stays with that of the next server."""
        with ScriptedServer(serve) as other:

            def lame(peer: Peer) -> None:
                peer.accept(cluster="c")
                peer.greet(ldm=True, cluster="c", connect_urls=[f"127.0.0.1:{other.port}"])
                peer.serve()

            with ScriptedServer(lame) as server, connected(server.url) as connection:
                eventually(lambda: connection.session.server_url == other.url)
                assert "cluster" not in connection.server_info
                assert "ldm" not in connection.server_info
                assert "lame duck" in str(connection.session._cause)

    def test_all_are_lame(self) -> None:
        """Every server calls itself a lame duck from the beginning: one of them is used."""

        def lame(peer: Peer) -> None:
            peer.accept(ldm=True)
            peer.serve()

        with ScriptedServer(lame) as one, ScriptedServer(lame) as two:
            with connected([one.url, two.url]) as connection:
                connection.ping()
                connection.ping()
            assert one.connections + two.connections == 1

    def test_closes_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A server that accepts every connection and closes it is not stormed."""
        # So soon each connection ends, however slow this machine is.
        monkeypatch.setattr(session_module, "HASTY", PATIENCE)

        def close(peer: Peer) -> None:
            peer.accept()

        with (
            ScriptedServer(close) as server,
            connected(server.url, reconnect_timeout=0) as connection,
        ):
            pauses: list[float] = []

            class Noting(Latch):
                def wait(self, timeout: float) -> bool:
                    pauses.append(timeout)
                    return super().wait(timeout)

            connection.session._over = Noting()
            eventually(lambda: len(pauses) > 10)
            connection.close()
            assert min(pauses[5:10]) > 0.1  # each attempt after a pause, soon a long one
            assert server.connections <= len(pauses) + 5


class TestErrors:
    """-ERR, and what it explains."""

    def test_explains_a_close(self, caplog: pytest.LogCaptureFixture) -> None:
        """-ERR and a close: whoever waits learns the reason, and one line of the log has it."""

        def script(peer: Peer) -> None:
            peer.accept()
            peer.until(rb"PING")
            peer.send(b"-ERR 'Slow Consumer'\r\n")

        with ScriptedServer(script) as server, connected(server.url) as connection:
            with pytest.raises(ConnectionLostError, match="Slow Consumer") as caught:
                connection.ping()
            assert caught.value.__cause__ is not None
            assert caught.value.__cause__.description == "Slow Consumer"  # type: ignore[attr-defined]
            eventually(lambda: "Slow Consumer" in caplog.text)
        said = [each for each in caplog.records if "Slow Consumer" in each.getMessage()]
        assert len(said) == 1
        assert said[0].getMessage().startswith("lost the connection to nats://127.0.0.1:")

    def test_explains_nothing_later(self, caplog: pytest.LogCaptureFixture) -> None:
        """An -ERR after which the server went on does not explain the next loss; it is logged."""

        def script(peer: Peer) -> None:
            peer.accept()
            peer.until(rb"PING")
            peer.send(b"-ERR 'Invalid Subject'\r\n")
            peer.send(b"PONG\r\n")
            peer.until(rb"PING")
            asked.set()
            peer.send(b"+OK\r\n")
            peer.until(rb"UNSUB.*")

        asked = threading.Event()
        with ScriptedServer(script) as server, connected(server.url) as connection:
            connection.ping()
            ping = Background(connection.ping)
            assert asked.wait(PATIENCE)  # what ends the script comes after this PING
            eventually(lambda: connection.session._complaint is None)
            connection.session.unsubscribe(connection.session.subscribe("s", lambda _: None))
            with pytest.raises(ConnectionLostError, match="closed the connection") as caught:
                ping.get()
            assert "Invalid Subject" not in str(caught.value)
        first = caplog.records[0]
        assert first.levelno == logging.WARNING
        assert first.getMessage() == "the server complains, and goes on: Invalid Subject"

    def test_expired(self) -> None:
        """'User Authentication Expired', and the login is refused from then on: whoever was
        waiting does not know whether it was heard; who comes later hears of the login."""

        def expire(peer: Peer) -> None:
            peer.accept()
            peer.until(rb"PING")
            peer.send(b"-ERR 'User Authentication Expired'\r\n")

        def refuse(peer: Peer) -> None:
            peer.accept_without_pong()
            peer.send(b"-ERR 'Authorization Violation'\r\n")

        with (
            ScriptedServer(expire, refuse) as server,
            connected(server.url, reconnect_timeout=1.5) as connection,
        ):
            with pytest.raises(ConnectionLostError, match="Expired") as caught:
                connection.ping()
            assert isinstance(caught.value.__cause__, AuthorizationError)
            eventually(lambda: "Violation" in str(connection.session._cause))
            errors = []
            for each in [Background(connection.ping) for _ in range(2)]:
                with pytest.raises(AuthorizationError, match="Violation") as refused:
                    each.get()
                errors.append(refused.value)
            assert errors[0] is not errors[1]

    def test_denied_reply(self, caplog: pytest.LogCaptureFixture) -> None:
        """A refused reply subject is one operation's affair, not the connection's."""

        def script(peer: Peer) -> None:
            peer.accept()
            peer.until(rb"PUB.*")
            peer.send(b"-ERR 'Permissions Violation for Publish with Reply of \"r\"'\r\n")
            peer.serve()

        with ScriptedServer(script) as server, connected(server.url) as connection:
            connection.publish("s", reply="r")
            connection.ping()
            assert connection.session._complaint is None
        assert "not allowed: publish to r" in caplog.text

    def test_only_who_is_concerned(self) -> None:
        """A denied subscription does not disturb requests under way; nor does a denied publish."""
        requests: queue.Queue[tuple[int, bytes]] = queue.Queue()

        def script(peer: Peer) -> None:
            peer.accept()
            sid = int(peer.until(rb"SUB _INBOX\S+ +(\d+)")[1])
            reply = peer.until(rb"PUB fine (\S+) 0")[1]
            peer.until(rb"PUB bad .*")
            peer.send(b"-ERR 'Permissions Violation for Publish to \"bad\"'\r\n")
            peer.until(rb"SUB secret .*")
            peer.send(b"-ERR 'Permissions Violation for Subscription to \"secret\"'\r\n")
            peer.until(rb"PING")
            peer.send(b"PONG\r\n")
            peer.send(message(reply, sid, b"answer"))
            peer.serve()

        assert requests.empty()
        with ScriptedServer(script) as server, connected(server.url) as connection:
            fine = Background(connection.request, "fine", timeout=PATIENCE)
            eventually(lambda: len(connection.session.waiting) == 1)
            with pytest.raises(PermissionDeniedError) as caught:
                connection.request("bad", timeout=PATIENCE)
            assert caught.value.subject == "bad"
            with pytest.raises(PermissionDeniedError) as caught:
                connection.subscribe("secret", callback=print)
            assert caught.value.subject == "secret"
            reply = fine.get()
            assert isinstance(reply, Msg)
            assert reply.payload == b"answer"

    def test_denied_inbox(self) -> None:
        """The inbox may not be subscribed to: every request says so at once, until one may."""
        allowed = threading.Event()

        def script(peer: Peer) -> None:
            peer.accept()
            inbox = sid = b""
            while True:
                words = peer.line().split() or [b""]
                if words[0] == b"SUB":
                    inbox, sid = words[1:]
                    if not allowed.is_set():
                        peer.send(
                            b"-ERR 'Permissions Violation for Subscription to \"%b\"'\r\n" % inbox
                        )
                elif words[0] == b"PUB" and allowed.is_set():
                    peer.line()
                    peer.send(message(words[2], int(sid), b"answer"))
                elif words[0] == b"PING":
                    peer.send(b"PONG\r\n")

        with ScriptedServer(script) as server, connected(server.url) as connection:
            for _ in range(3):
                with pytest.raises(PermissionDeniedError) as caught:
                    connection.request("s", timeout=600)
                assert str(caught.value.subject).startswith("_INBOX.")
            connection.ping()
            allowed.set()
            assert connection.request("s", timeout=PATIENCE).payload == b"answer"
            assert connection.session.connects == 1
            assert connection.inbox._handlers == {}

    def test_denied_before_waiting(self) -> None:
        """The refusal of the inbox arrives before the request is sent: it is not even sent."""
        error = PermissionDeniedError("not allowed: subscription to i", subject="i")
        with ScriptedServer(serve) as server, connected(server.url) as connection:
            waiting = connection.session.waiting
            waiting.inbox = connection.session.new_subscription("i", print, replies=True)
            waiting.inbox.denied = error
            told: queue.Queue[Exception] = queue.Queue()

            class Waiter:
                subject = "s"
                fail = staticmethod(told.put)

            connection.session.transmit([b"nonsense"], Waiter())
            assert isinstance(told.get_nowait(), PermissionDeniedError)
            connection.ping()  # "nonsense" was not sent, and PINGs are
            assert len(waiting) == 0


class TestRaces:
    """What two threads do at once, one of them stopped at the worst moment."""

    def test_lost_between_the_look_and_the_send(self) -> None:
        """The connection is lost while a request is being sent: it is told, never forgotten."""
        with ScriptedServer(serve) as server, connected(server.url) as connection:
            session = connection.session
            link = session._link
            assert link is not None
            send = link.transport.send

            def lose_first(parts: Any) -> None:
                if parts[0].startswith(b"PUB"):
                    session.drop()  # as the reader would
                send(parts)

            link.transport.send = lose_first  # type: ignore[method-assign]
            with pytest.raises(ConnectionLostError, match="reset by this process"):
                connection.request("s", timeout=600)
            assert len(session.waiting) == 0
            connection.ping()

    def test_lost_before_the_send(self) -> None:
        """Lost just before: the command goes over the next connection, once."""
        seen: list[bytes] = []

        def script(peer: Peer) -> None:
            peer.accept()
            peer.serve(seen)

        with ScriptedServer(script) as server, connected(server.url) as connection:
            session = connection.session
            add = session.waiting.add
            calls = 0

            def lose_first(waiting: Any) -> None:
                nonlocal calls
                calls += 1
                if calls == 1:
                    session.drop()
                add(waiting)

            session.waiting.add = lose_first  # type: ignore[method-assign]
            session.ping(PATIENCE)
            assert calls == 2
            assert seen.count(b"PING") == 1
            assert len(session.waiting) == 0

    def test_breaks_at_every_send(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every connection breaks when something is sent: that ends at the deadline."""
        with (
            ScriptedServer(serve) as server,
            connected(server.url, reconnect_timeout=0.2) as connection,
        ):
            send = Transport.send

            def fail(self: Transport, parts: Any) -> None:
                if parts[0].startswith(b"PUB"):
                    raise BrokenPipeError(32, "Broken pipe")
                send(self, parts)

            with monkeypatch.context() as patched:
                patched.setattr(Transport, "send", fail)
                with pytest.raises(ConnectionLostError, match=r"no connection for 0\.2 s"):
                    connection.publish("s")
            eventually(lambda: server.connections > 1)

    def test_broken_while_sending(self) -> None:
        """A send that fails half way is made again, whole, over the next connection."""
        got: queue.Queue[bytes] = queue.Queue()

        def script(peer: Peer) -> None:
            peer.accept()
            size = int(peer.until(rb"PUB s +(\d+)")[1])
            got.put(peer._lines.read(size))
            peer.serve()

        payload = bytes(range(256)) * 1000
        with ScriptedServer(script) as server, connected(server.url) as connection:
            link = connection.session._link
            assert link is not None
            send = link.transport.send

            def half(parts: Any) -> None:
                send([parts[0], parts[1][:1000]])
                raise ConnectionResetError(104, "Connection reset by peer")

            link.transport.send = half  # type: ignore[method-assign]
            connection.publish("s", payload=payload)
            both = [got.get(timeout=PATIENCE) for _ in range(2)]  # in whichever order
            assert sorted(both, key=len) == [payload[: len(min(both, key=len))], payload]
            assert both[0] != both[1]
            assert connection.session.connects == 2

    @pytest.mark.parametrize("moment", ["before", "after"])
    def test_subscribing_while_reconnecting(self, moment: str) -> None:
        """A subscription made while a connection is being installed is announced once; one that
        is ended then is not left behind."""
        seen: queue.Queue[list[bytes]] = queue.Queue()

        def watch(peer: Peer) -> None:
            peer.accept()
            lines = []
            while (line := peer.line()) != b"PING":
                lines.append(line)
            peer.send(b"PONG\r\n")
            seen.put(lines)
            peer.serve()

        with ScriptedServer(serve, watch) as server, connected(server.url) as connection:
            session = connection.session
            ended = session.subscribe("ended", lambda _: None)
            connection.ping()
            begin = session.out.begin
            made: list[Any] = []

            def interfere(link: Any) -> None:
                def act() -> None:
                    made.append(session.subscribe("made", lambda _: None))
                    session.unsubscribe(ended)

                if moment == "before":
                    Background(act).join()
                begin(link)
                if moment == "after":
                    Background(act).join()

            session.out.begin = interfere  # type: ignore[method-assign]
            session.drop()
            session.ping(PATIENCE)
            lines = seen.get(timeout=PATIENCE)
            assert [each for each in lines if b"made" in each] == [b"SUB made  %d" % made[0].sid]
            if b"SUB ended  %d" % ended.sid in lines:
                assert b"UNSUB %d" % ended.sid in lines

    def test_told_twice(self) -> None:
        """A reply and the end of the connection, at the same time, for the same request."""
        with ScriptedServer(serve) as server, connected(server.url) as connection:
            session = connection.session
            for _ in range(200):
                signal = Signal()
                session.waiting.enter(signal)
                both = [Background(signal.set), Background(signal.fail, ConnectionLostError("x"))]
                for each in both:
                    each.get()
                assert signal.wait(0)
                session.forget(signal)

    def test_one_that_cannot_be_told(self, caplog: pytest.LogCaptureFixture) -> None:
        """Somebody's fail() that raises does not keep the others waiting."""

        class Broken:
            subject = "s"

            def fail(self, error: Exception) -> None:
                raise ValueError("cannot be told") from error

        with ScriptedServer(serve) as server, connected(server.url) as connection:
            session = connection.session
            signals = [Signal() for _ in range(10)]
            for signal in signals:
                session.waiting.enter(signal)
                session.waiting.enter(Broken())
            session.drop()
            assert all(signal.wait(PATIENCE) for signal in signals)
            assert all(isinstance(each.error, ConnectionLostError) for each in signals)
            assert len({id(each.error) for each in signals}) == len(signals)
        assert "could not be told" in caplog.text

    @pytest.mark.parametrize("moment", ["begin", "_take_info"])
    def test_closed_while_connecting(self, moment: str) -> None:
        """The session is closed while its next server is being greeted, as by the collector, in
        the reader's own thread: nothing stays open, and no thread."""
        with ScriptedServer(serve) as server:
            connection = Connection(server.url)
            connection.connect()
            session = connection.session
            struck: Any = session.out if moment == "begin" else session
            step = getattr(struck, moment)

            def close_first(*arguments: Any) -> None:
                session.close()
                step(*arguments)

            setattr(struck, moment, close_first)
            session.drop()
            assert session._thread is not None
            session._thread.join(PATIENCE)
            assert not session._thread.is_alive()
            assert session.is_closed
            assert not connection.is_connected
            with pytest.raises(ConnectionClosedError):
                connection.ping()

    def test_breaks_while_installing(self) -> None:
        """The next connection breaks while subscriptions are restored: there is a next but one."""
        with ScriptedServer(serve) as server, connected(server.url) as connection:
            session = connection.session
            begin = session.out.begin
            calls = 0

            def break_first(link: Any) -> None:
                nonlocal calls
                calls += 1
                if calls == 1:
                    raise BrokenPipeError(32, "Broken pipe")
                begin(link)

            session.out.begin = break_first  # type: ignore[method-assign]
            session.drop()
            session.ping(PATIENCE)
            assert server.connections == 3

    def test_defect_while_reconnecting(self, caplog: pytest.LogCaptureFixture) -> None:
        """Whatever goes wrong in the reader thread, it goes on: everybody depends on it."""
        with ScriptedServer(serve) as server, connected(server.url) as connection:
            session = connection.session
            begin, handle = session.out.begin, session._handle
            calls = 0

            def defect(link: Any, *_: Any) -> None:
                nonlocal calls
                calls += 1
                if calls == 1:
                    raise ZeroDivisionError("a defect")
                begin(link)

            session.out.begin = defect  # type: ignore[method-assign]
            session.drop()
            session.ping(PATIENCE)
            assert "failed to reconnect" in caplog.text
            caplog.clear()

            def defect_of_reading(link: Any, events: Any) -> None:
                if events:
                    session._handle = handle  # type: ignore[method-assign]
                    raise ZeroDivisionError("another")
                handle(link, events)

            session._handle = defect_of_reading  # type: ignore[method-assign]
            with pytest.raises(ConnectionLostError, match="internal error"):
                session.ping(PATIENCE)
            session.ping(PATIENCE)
            assert "reader failed" in caplog.text

    def test_handler_that_fails(self, caplog: pytest.LogCaptureFixture) -> None:
        """A handler's exception is logged and goes no further."""
        script = on_subscription(
            lambda sid: message(b"s", sid, b"1"), lambda sid: message(b"s", sid, b"2")
        )
        seen: list[bytes] = []

        def handler(received: Any) -> None:
            seen.append(received.payload)
            raise ValueError("a handler's")

        with ScriptedServer(script) as server, connected(server.url) as connection:
            connection.session.subscribe("s", handler)
            connection.ping()
            connection.ping()
            eventually(lambda: seen == [b"1", b"2"])
            assert connection.session.connects == 1
        assert "a handler of messages to s failed" in caplog.text


class TestInterrupted:
    """Ctrl-C at a moment that no test could hit by chance."""

    @pytest.mark.parametrize("short", [False, True])
    def test_in_a_send(self, short: bool) -> None:
        """Half a command may have gone: the connection is replaced, and no lock stays taken."""
        with ScriptedServer(serve) as server, connected(server.url) as connection:
            session = connection.session
            link = session._link
            assert link is not None
            send = link.transport.send

            def strike(parts: Any) -> None:
                link.transport.send = send  # type: ignore[method-assign]
                raise KeyboardInterrupt

            link.transport.send = strike  # type: ignore[method-assign]
            call = (lambda: session.subscribe("s", print)) if short else connection.ping
            with pytest.raises(KeyboardInterrupt):
                call()
            Background(session.wait_connected, PATIENCE).get()
            eventually(lambda: session.connects == 2)
            Background(connection.ping).get()

    def test_in_start(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """While the reader thread starts: connect() fails, and nothing runs on."""
        start = threading.Thread.start

        def strike(thread: threading.Thread) -> None:
            start(thread)
            if thread.name == "objstore-reader":
                raise KeyboardInterrupt

        with ScriptedServer(serve) as server:
            connection = Connection(server.url)
            with monkeypatch.context() as patch:
                patch.setattr(threading.Thread, "start", strike)
                with pytest.raises(KeyboardInterrupt):
                    connection.connect()
            assert not connection.is_connected
            with connection:
                connection.ping()

    def test_a_reader_given_up(self) -> None:
        """A reader thread that is not the session's touches nothing."""
        with ScriptedServer(serve) as server, connected(server.url) as connection:
            session = connection.session
            Background(session._run, session._link).get()
            connection.ping()
            assert session.connects == 1

    def test_closed_before_start(self) -> None:
        """A session that is closed cannot be started; one that runs is not started again."""
        with ScriptedServer(serve) as server, connected(server.url) as connection:
            session = connection.session
            session.start()
            assert session.connects == 1
            connection.close()
            with pytest.raises(ConnectionClosedError):
                session.start()
            session.drop()
            session.unsubscribe(session.subscribe("s", print))
            subscription = session.subscribe("t", print)
            session.unsubscribe(subscription)
            session.unsubscribe(subscription)
            session.flush(PATIENCE)
