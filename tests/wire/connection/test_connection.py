"""Connection on a real server: messages, callbacks, requests, reconnects, threads, forks, exit."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import queue
import signal
import socket
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from objstore import (
    Connection,
    ConnectionClosedError,
    ConnectionLostError,
    InvalidNameError,
    InvalidOptionError,
    LocalServer,
    NoRespondersError,
    ReentrantCallError,
    RequestTimeoutError,
)
from objstore.wire.codec.protocol import Event, Ping, Pong
from objstore.wire.connection import session as session_module
from objstore.wire.connection.connection import Msg
from objstore.wire.connection.dial import Link
from objstore.wire.connection.subscriptions import Signal
from tests.support.scripted import (
    PATIENCE,
    Background,
    connected,
    eventually,
    free_port,
    objstore_threads,
    run_python,
)

pytestmark = pytest.mark.newest_server

Messages = queue.Queue[Msg]


def echo(connection: Connection, subject: str) -> None:
    """Answer every request to a subject with its payload."""

    def answer(request: Msg) -> None:
        connection.publish(request.reply, payload=request.payload, headers=request.headers)

    connection.subscribe(subject, callback=answer)


class TestMessages:
    """What is sent is what arrives."""

    def test_headers(self, connection: Connection, subject: str) -> None:
        """Headers go both ways: repeated names, unicode values, no value."""
        echo(connection, subject)
        headers = {"One": "1", "Many": ["a", "b", "a"], "Text": "naïve ☃", "Empty": ""}
        reply = connection.request(subject, payload=b"body", headers=headers)
        assert reply.headers == {
            "One": ["1"],
            "Many": ["a", "b", "a"],
            "Text": ["naïve ☃"],
            "Empty": [""],
        }
        assert reply.payload == b"body"
        assert reply.status == 0

    def test_no_headers(self, connection: Connection, subject: str) -> None:
        """A message without headers has an empty mapping of them."""
        echo(connection, subject)
        reply = connection.request(subject, payload=b"x")
        assert reply.headers == {}
        assert reply.status == 0

    def test_status(self, connection: Connection, subject: str) -> None:
        """A server's status is seen by a callback."""
        received: Messages = queue.Queue()
        connection.subscribe(f"{subject}.answer", callback=received.put)
        connection.publish(f"{subject}.nobody", reply=f"{subject}.answer")
        message = received.get(timeout=PATIENCE)
        assert message.status == 503
        assert message.payload == b""

    @pytest.mark.parametrize("size", [0, 1, 4095, 65535, 65536, 65537, 1 << 20])
    def test_sizes(self, connection: Connection, subject: str, size: int) -> None:
        """Payloads of every size that matters arrive whole, whatever buffer they come in."""
        echo(connection, subject)
        payload = os.urandom(size)
        for buffer in (payload, bytearray(payload), memoryview(payload)):
            assert connection.request(subject, payload=buffer).payload == payload

    def test_wide_buffer(self, connection: Connection, subject: str) -> None:
        """A buffer of wider items is sent as its bytes."""
        echo(connection, subject)
        wide = memoryview(bytes(range(8))).cast("I")
        assert connection.request(subject, payload=wide).payload == bytes(range(8))

    @pytest.mark.parametrize("payload", ["text", 5, None, memoryview(bytes(9))[::2]])
    def test_not_a_buffer(self, connection: Connection, payload: Any) -> None:
        """What is no sequence of bytes is refused before anything is sent."""
        for call in (connection.publish, connection.request):
            with pytest.raises(InvalidOptionError, match="bytes-like"):
                call("x", payload=payload)

    @pytest.mark.parametrize("bad", ["", "a b", "a\r\nPING", "a\tb", "\x7f", "\ud800"])
    def test_subjects(self, connection: Connection, bad: str) -> None:
        """Nothing can be smuggled in through a subject, reply or queue group."""
        calls: list[Any] = [
            lambda: connection.publish(bad),
            lambda: connection.request(bad),
            lambda: connection.subscribe(bad, callback=print),
        ]
        if bad:
            calls.append(lambda: connection.publish("x", reply=bad))
            calls.append(lambda: connection.subscribe("x", callback=print, queue=bad))
        for call in calls:
            with pytest.raises(InvalidNameError):
                call()
        connection.ping()

    def test_long_subject(self, connection: Connection) -> None:
        """A subject that no protocol line holds is refused; a long one that fits works."""
        long = "s" * 5000
        for call in (connection.publish, connection.request):
            with pytest.raises(InvalidNameError, match="too long"):
                call(long)
        with pytest.raises(InvalidNameError, match="too long"):
            connection.subscribe(long, callback=print)
        received: Messages = queue.Queue()
        connection.subscribe("s" * 4000, callback=received.put)
        connection.publish("s" * 4000)
        assert received.get(timeout=PATIENCE).subject == "s" * 4000

    def test_max_messages(self, connection: Connection) -> None:
        """A subscription for no message at all is refused."""
        with pytest.raises(InvalidOptionError, match="max_messages"):
            connection.subscribe("x", callback=print, max_messages=0)

    def test_max_payload(self, connection: Connection, subject: str) -> None:
        """A message beyond max_payload, headers included, is refused; the connection stays."""
        limit = connection.server_info["max_payload"]
        client = connection.server_info["client_id"]
        headers = {"H": "1"}
        size_of_headers = len(b"NATS/1.0\r\nH: 1\r\n\r\n")
        for call in (connection.publish, connection.request):
            with pytest.raises(InvalidOptionError, match="max_payload"):
                call(subject, payload=bytes(limit + 1))
            with pytest.raises(InvalidOptionError, match="max_payload"):
                call(subject, payload=bytes(limit - size_of_headers + 1), headers=headers)
        connection.publish(subject, payload=bytes(limit - size_of_headers), headers=headers)
        connection.publish(subject, payload=bytes(limit))
        connection.ping()
        assert connection.server_info["client_id"] == client
        assert connection.session.connects == 1

    def test_info(self, connection: Connection, server: LocalServer) -> None:
        """What the server says of itself is there, as a copy."""
        info = connection.server_info
        assert info["version"] == server.version
        assert info["headers"] is True
        assert info["max_payload"] == 1 << 20
        info.clear()
        assert connection.server_info["version"] == server.version

    def test_name(self, server: LocalServer) -> None:
        """The representation says where the connection goes, and whether it is there."""
        connection = Connection(server.url)
        assert repr(connection).endswith("not connected>")
        with connection:
            shown = repr(connection)
        assert f"nats://127.0.0.1:{server.port}, connected" in shown
        assert server.url not in shown  # it has the token


class TestOptions:
    """Options that cannot work are refused before anything is sent."""

    @pytest.mark.parametrize("option", ["timeout", "reconnect_timeout", "ping_interval"])
    @pytest.mark.parametrize("value", [-1, float("nan"), "5", None, True])
    def test_seconds(self, option: str, value: Any) -> None:
        """A duration is a positive number."""
        with pytest.raises(InvalidOptionError, match=option):
            Connection(**{option: value})

    @pytest.mark.parametrize("option", ["timeout", "ping_interval"])
    def test_zero(self, option: str) -> None:
        """Zero seconds for an answer are none; as reconnect_timeout they mean at once."""
        with pytest.raises(InvalidOptionError, match=option):
            Connection(**{option: 0})  # type: ignore[arg-type]
        assert Connection(reconnect_timeout=0).reconnect_timeout == 0

    def test_socket_timeout(self) -> None:
        """pynats2's name for the time-out; an endless one is cut to what clocks can hold."""
        assert Connection(socket_timeout=2).timeout == 2
        assert Connection(timeout=float("inf")).timeout == 1e6

    def test_tls(self) -> None:
        """TLS is a switch or a context."""
        with pytest.raises(InvalidOptionError, match="SSLContext"):
            Connection(tls="yes")  # type: ignore[arg-type]

    def test_request_timeout(self, connection: Connection, subject: str) -> None:
        """A request's own time-out is checked: a negative one would wait for ever."""
        connection.subscribe(subject, callback=lambda _: None)
        for bad in (-1, float("nan")):
            with pytest.raises(InvalidOptionError, match="timeout"):
                connection.request(subject, timeout=bad)
        with pytest.raises(RequestTimeoutError) as caught:
            connection.request(subject, timeout=0)
        assert (caught.value.subject, caught.value.timeout) == (subject, 0)

    def test_keepalive(self, server: LocalServer) -> None:
        """TCP keep-alive reaches the socket."""
        with connected(server.url, socket_keepalive=True) as connection:
            link = connection.session._link
            assert link is not None
            sock = link.transport._socket
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1

    def test_inbox_prefix(self, server: LocalServer, subject: str) -> None:
        """Replies go where the prefix says."""
        with connected(server.url, inbox_prefix="_INBOX_me") as connection:
            echo(connection, subject)
            assert connection.request(subject).subject.startswith("_INBOX_me.")


class TestCallbacks:
    """Callbacks: in order, beside the reader, and none stops another."""

    def test_order(self, server: LocalServer, subject: str) -> None:
        """10,000 messages over three subscriptions are called for in the order of arrival."""
        seen: list[int] = []
        with connected(server.url) as receiver, connected(server.url) as sender:
            for last in ("a", "b", "*"):
                receiver.subscribe(
                    f"{subject}.{last}", callback=lambda m: seen.append(int(m.payload))
                )
            for number in range(5000):
                sender.publish(f"{subject}.{'ab'[number % 2]}", payload=b"%d" % number)
            eventually(lambda: len(seen) == 10_000)
        assert seen == [number // 2 for number in range(10_000)]

    def test_requests_inside(self, connection: Connection, subject: str) -> None:
        """A callback may request, subscribe and unsubscribe on its own connection."""
        done: Messages = queue.Queue()

        def callback(message: Msg) -> None:
            nested = connection.subscribe(f"{subject}.nested", callback=done.put)
            connection.unsubscribe(nested)
            done.put(connection.request(f"{subject}.echo", payload=message.payload))

        with connected(str(connection._servers[0].url), token=connection._servers[0].user) as other:
            echo(other, f"{subject}.echo")
            connection.subscribe(subject, callback=callback)
            connection.publish(subject, payload=b"question")
            assert done.get(timeout=PATIENCE).payload == b"question"

    def test_unsubscribe_inside(self, connection: Connection, subject: str) -> None:
        """A callback may end its own subscription: nothing more is called."""
        seen: list[bytes] = []

        def callback(message: Msg) -> None:
            seen.append(message.payload)
            connection.unsubscribe(subscription)
            connection.publish(subject, payload=b"again")
            connection.ping()

        subscription = connection.subscribe(subject, callback=callback)
        connection.publish(subject, payload=b"first")
        eventually(lambda: seen)
        connection.close()
        assert seen == [b"first"]

    @pytest.mark.parametrize("error", [ValueError("oops"), SystemExit(3)])
    def test_errors(
        self,
        connection: Connection,
        subject: str,
        error: BaseException,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """An exception in a callback is logged, and the next callback is called."""
        seen: Messages = queue.Queue()

        def callback(message: Msg) -> None:
            if message.payload == b"bad":
                raise error
            seen.put(message)

        connection.subscribe(subject, callback=callback)
        connection.publish(subject, payload=b"bad")
        connection.publish(subject, payload=b"good")
        assert seen.get(timeout=PATIENCE).payload == b"good"
        assert [each.exc_info[1] for each in caplog.records if each.exc_info] == [error]


class TestRequests:
    """Requests: one inbox, any number of threads."""

    def test_no_responders(self, connection: Connection, subject: str) -> None:
        """Nobody listens: known at once, as an error of its own."""
        with pytest.raises(NoRespondersError) as caught:
            connection.request(subject, timeout=PATIENCE)
        assert (caught.value.subject, caught.value.code) == (subject, 503)

    def test_threads(self, server: LocalServer, subject: str) -> None:
        """32 threads request at once over one connection; each gets its own reply."""
        with connected(server.url) as responder, connected(server.url) as requester:
            echo(responder, subject)

            def work(name: int) -> None:
                for number in range(40):
                    payload = b"%d/%d" % (name, number)
                    assert requester.request(subject, payload=payload).payload == payload

            for each in [Background(work, name) for name in range(32)]:
                each.get()
            assert requester.inbox._handlers == {}
            assert len(requester.session.waiting) == 0

    def test_late_reply(self, connection: Connection, subject: str) -> None:
        """A reply that comes after the time-out is dropped, and does not answer the next one."""
        requests: Messages = queue.Queue()
        connection.subscribe(subject, callback=requests.put)
        with pytest.raises(RequestTimeoutError):
            connection.request(subject, timeout=0.01)
        late = requests.get(timeout=PATIENCE)
        answer = Background(connection.request, subject, timeout=PATIENCE)
        current = requests.get(timeout=PATIENCE)
        connection.publish(late.reply, payload=b"late")
        connection.publish(current.reply, payload=b"right")
        connection.publish(current.reply, payload=b"twice")
        reply = answer.get()
        assert isinstance(reply, Msg)
        assert reply.payload == b"right"
        assert connection.inbox._handlers == {}
        assert len(connection.session.waiting) == 0


def test_ipv6() -> None:
    """A server on the loopback of IPv6, by its address in brackets, and by a name for both."""
    try:
        relay = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError as error:
        pytest.skip(f"there is no IPv6 here: {error}")
    with LocalServer(config='authorization { token: "t" }') as server:
        port = relay.getsockname()[1]
        threading.Thread(target=_relay, args=(relay, server.port), daemon=True).start()
        try:
            with connected(f"nats://t@[::1]:{port}") as connection:
                connection.ping()
                assert f"nats://[::1]:{port}" in repr(connection)
            with connected(f"nats://t@localhost:{server.port}") as connection:
                connection.ping()
        finally:
            with contextlib.suppress(OSError):
                relay.shutdown(socket.SHUT_RDWR)
            relay.close()


def _relay(listener: socket.socket, port: int) -> None:
    """Join the first connection to a port of the loopback of IPv4."""
    client, _ = listener.accept()
    server = socket.create_connection(("127.0.0.1", port))

    def copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)

    back = threading.Thread(target=copy, args=(server, client), daemon=True)
    back.start()
    copy(client, server)
    back.join(PATIENCE)
    client.close()
    server.close()


def test_pings_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connection and server ask each other for signs of life, and both are content."""
    monkeypatch.setattr(session_module, "SILENCES", 300)  # a busy server may be late
    with (
        LocalServer(config='ping_interval: "500ms"\nping_max: 1000') as server,
        connected(server.url) as connection,
    ):
        session = connection.session
        control, seen = session._control, []

        def watched(link: Link, event: Event) -> None:
            seen.append(type(event))
            control(link, event)

        session._control = watched  # type: ignore[method-assign]
        eventually(lambda: seen.count(Ping) > 2)
        session._ping_interval = 0.4
        connection.reconnect()  # the server is quiet for longer than that
        eventually(lambda: seen.count(Pong) > 2)
        assert session.connects == 2


class TestReconnect:
    """The server goes and comes back."""

    def test_everything_goes_on(self, own_server: LocalServer) -> None:
        """Subscriptions are restored; requests and publishes wait, and then succeed."""
        received: Messages = queue.Queue()
        with connected(own_server.url) as connection:
            echo(connection, "echo")
            connection.subscribe("news", callback=received.put, queue="q")
            own_server.kill()
            eventually(lambda: not connection.is_connected)
            request = Background(connection.request, "echo", payload=b"waited", timeout=PATIENCE)
            publish = Background(connection.publish, "news", payload=b"waited, too")
            late: Messages = queue.Queue()
            subscribe = Background(connection.subscribe, "late", callback=late.put)
            assert request.running
            own_server.start()
            reply = request.get()
            assert isinstance(reply, Msg)
            assert reply.payload == b"waited"
            publish.get()
            assert received.get(timeout=PATIENCE).payload == b"waited, too"
            subscribe.get()
            connection.publish("late", payload=b"x")
            assert late.get(timeout=PATIENCE).payload == b"x"
            assert connection.is_connected
            assert connection.session.connects == 2
            connection.ping()
            assert late.empty()  # announced once
            assert received.empty()

    def test_unsubscribe_without_a_server(self, own_server: LocalServer) -> None:
        """What is ended while there is no connection is not restored."""
        received: Messages = queue.Queue()
        with connected(own_server.url) as connection:
            ended = connection.subscribe("ended", callback=received.put)
            connection.subscribe("stays", callback=received.put)
            own_server.kill()
            eventually(lambda: not connection.is_connected)
            connection.unsubscribe(ended)
            own_server.start()
            connection.publish("ended")
            connection.publish("stays")
            assert received.get(timeout=PATIENCE).subject == "stays"
            connection.ping()
            with connected(own_server.url) as other, pytest.raises(NoRespondersError):
                other.request("ended")

    def test_auto_unsubscribe(self, own_server: LocalServer) -> None:
        """max_messages counts over reconnects: before and after, in all."""
        received: Messages = queue.Queue()
        with connected(own_server.url) as connection:
            subscription = connection.subscribe("s", callback=received.put, max_messages=5)
            for _ in range(2):
                connection.publish("s")
            connection.ping()
            own_server.kill()
            eventually(lambda: not connection.is_connected)
            own_server.start()
            for _ in range(6):
                connection.publish("s")
            connection.ping()
            eventually(lambda: received.qsize() == 5)
            assert subscription.received_messages == 5
            with pytest.raises(NoRespondersError):
                connection.request("s")
        assert received.qsize() == 5

    def test_limit_after_a_reconnect(self, own_server: LocalServer) -> None:
        """auto_unsubscribe() on a new connection counts what came over the old one."""
        received: Messages = queue.Queue()
        with connected(own_server.url) as connection:
            subscription = connection.subscribe("s", callback=received.put)
            for _ in range(3):
                connection.publish("s")
            connection.ping()
            connection.reconnect()
            connection.publish("s")
            connection.ping()
            subscription.max_messages = 6
            connection.auto_unsubscribe(subscription)
            for _ in range(4):
                connection.publish("s")
            connection.ping()
            eventually(lambda: received.qsize() == 6)
            with pytest.raises(NoRespondersError):
                connection.request("s")
        assert received.qsize() == 6

    def test_in_flight(self, own_server: LocalServer) -> None:
        """A request under way when the server dies fails at once, with the cause."""
        with connected(own_server.url) as connection:
            requests: Messages = queue.Queue()
            connection.subscribe("s", callback=requests.put)
            request = Background(connection.request, "s", timeout=600)
            requests.get(timeout=PATIENCE)
            own_server.kill()
            with pytest.raises(ConnectionLostError, match="was lost") as caught:
                request.get()
            assert isinstance(caught.value.__cause__, ConnectionLostError)
            assert str(own_server.port) in str(caught.value)

    def test_at_once(self, own_server: LocalServer) -> None:
        """reconnect_timeout=0: without a connection everything fails at once, with the cause."""
        with connected(own_server.url, reconnect_timeout=0) as connection:
            own_server.kill()
            eventually(lambda: not connection.is_connected)
            calls: list[Callable[[], object]] = [
                lambda: connection.publish("s"),
                lambda: connection.request("s"),
                lambda: connection.subscribe("s", callback=print),
                connection.ping,
            ]
            for call in calls:
                with pytest.raises(ConnectionLostError, match="no connection") as caught:
                    call()
                assert caught.value.__cause__ is not None
            assert connection._user_subscriptions == {}
            own_server.start()
            eventually(lambda: connection.is_connected)
            connection.ping()

    def test_in_time(self, own_server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
        """32 threads wait for a server that stays away: all give up at the same deadline."""
        together = threading.Barrier(32)  # all at once, not one after the other

        class Together(Signal):
            def wait(self, timeout: float) -> bool:
                together.wait(PATIENCE)
                return super().wait(timeout)

        with connected(own_server.url, reconnect_timeout=0.2) as connection:
            own_server.kill()
            eventually(lambda: not connection.is_connected)
            monkeypatch.setattr(session_module, "Signal", Together)
            waiters = [Background(connection.request, "s") for _ in range(32)]
            for each in waiters:
                with pytest.raises(ConnectionLostError, match=r"no connection for 0\.2 s"):
                    each.get()
            monkeypatch.undo()
            assert connection.inbox._handlers == {}

    def test_while_all_send(self, own_server: LocalServer) -> None:
        """Drops under load: no request hangs, none is answered by another's reply."""
        with connected(own_server.url) as connection, connected(own_server.url) as responder:
            echo(responder, "echo")
            connection.ping()
            stop = threading.Event()

            def work(name: int) -> int:
                lost = number = 0
                while not stop.is_set():
                    number += 1
                    payload = b"%d/%d" % (name, number)
                    try:
                        reply = connection.request("echo", payload=payload, timeout=PATIENCE)
                    except ConnectionLostError:
                        lost += 1
                    else:
                        assert reply.payload == payload
                return lost

            workers = [Background(work, name) for name in range(8)]
            for _ in range(7):
                connection.session.drop()
                connection.session.wait_connected(PATIENCE)
            stop.set()
            for each in workers:
                each.get()
            assert len(connection.session.waiting) == 0
            assert connection.inbox._handlers == {}
            connection.ping()


@contextlib.contextmanager
def cluster(count: int) -> Iterator[list[LocalServer]]:
    """Servers that know each other."""
    ports = [free_port() for _ in range(count)]
    routes = ", ".join(f"nats-route://127.0.0.1:{port}" for port in ports)
    with contextlib.ExitStack() as stack:
        servers = []
        for number, port in enumerate(ports):
            config = (
                f'server_name: "s{number}"\n'
                'authorization { token: "t" }\n'
                'lame_duck_duration: "30s"\nlame_duck_grace_period: "1s"\n'
                f'cluster {{ name: "c", listen: "127.0.0.1:{port}", routes: [{routes}],\n'
                "  pool_size: -1 }\n"
            )
            servers.append(stack.enter_context(LocalServer(config=config)))
        yield servers


class TestSeveralServers:
    """More than one server."""

    def test_moves(self) -> None:
        """The first dies: the connection goes to the second, and later back."""
        config = 'authorization { token: "t" }'
        with LocalServer(config=config) as first, LocalServer(config=config) as second:
            urls = [f"nats://t@127.0.0.1:{each.port}" for each in (first, second)]
            with connected(urls) as connection:
                received: Messages = queue.Queue()
                connection.subscribe("s", callback=received.put)
                assert connection.session.server_url == f"nats://127.0.0.1:{first.port}"
                first.kill()
                eventually(
                    lambda: connection.session.server_url == f"nats://127.0.0.1:{second.port}"
                )
                assert connection.server_info["port"] == second.port
                connection.publish("s", payload=b"there")
                assert received.get(timeout=PATIENCE).payload == b"there"
                first.start()
                connection.reconnect()
                assert connection.session.server_url == f"nats://127.0.0.1:{first.port}"

    def test_discovery(self) -> None:
        """A cluster's other servers are heard of, and used when the only one given dies."""
        with (
            cluster(2) as (first, second),
            connected(f"nats://t@127.0.0.1:{first.port}") as connection,
        ):
            other = f"nats://127.0.0.1:{second.port}"
            pool = connection.session._pool
            eventually(lambda: other in [each.url for each in pool.servers])
            assert connection.server_info["cluster"] == "c"
            first.kill()
            eventually(lambda: connection.session.server_url == other)
            connection.ping()

    def test_lame_duck(self) -> None:
        """A server that announces its end is left before it closes."""
        with (
            cluster(2) as (first, second),
            connected(f"nats://t@127.0.0.1:{first.port}") as connection,
        ):
            other = f"nats://127.0.0.1:{second.port}"
            pool = connection.session._pool
            eventually(lambda: other in [each.url for each in pool.servers])
            received: Messages = queue.Queue()
            connection.subscribe("s", callback=received.put)
            assert first.pid is not None
            os.kill(first.pid, signal.SIGUSR2)
            eventually(lambda: connection.session.server_url == other)
            assert first.running  # for 30 seconds more
            connection.publish("s", payload=b"moved")
            assert received.get(timeout=PATIENCE).payload == b"moved"

    def test_lame_duck_alone(self, own_server: LocalServer) -> None:
        """The only server announces its end: it is stayed with to the last."""
        with connected(own_server.url) as connection:
            assert own_server.pid is not None
            os.kill(own_server.pid, signal.SIGUSR2)
            eventually(lambda: connection.server_info.get("ldm"))
            connection.ping()
            assert connection.session.connects == 1
            own_server.kill()  # it would take 10 seconds more


class TestClose:
    """close(), from anywhere and at any time."""

    def test_wakes_everybody(self, server: LocalServer, subject: str) -> None:
        """Requests under way and operations without a server end with ConnectionClosedError."""
        connection = Connection(server.url)
        connection.connect()
        requests: Messages = queue.Queue()
        connection.subscribe(subject, callback=requests.put)
        waiters = [Background(connection.request, subject, timeout=600) for _ in range(5)]
        for _ in waiters:
            requests.get(timeout=PATIENCE)
        connection.close()
        for each in waiters:
            with pytest.raises(ConnectionClosedError, match=r"make another with objstore\.connect"):
                each.get()
        for call in (connection.ping, lambda: connection.publish("x")):
            with pytest.raises(ConnectionClosedError):
                call()

    def test_while_there_is_no_server(self, own_server: LocalServer) -> None:
        """Whoever waits for a server to come back is woken, too; the reader thread ends."""
        connection = Connection(own_server.url, reconnect_timeout=600)
        connection.connect()
        own_server.kill()
        eventually(lambda: not connection.is_connected)
        waiters = [Background(connection.ping) for _ in range(3)]
        waiters.append(Background(connection.publish, "x"))
        connection.close()
        for each in waiters:
            with pytest.raises(ConnectionClosedError):
                each.get()

    def test_twice(self, server: LocalServer) -> None:
        """Closing is idempotent: before connecting, twice, and from many threads."""
        connection = Connection(server.url)
        connection.close()
        connection.connect()
        for each in [Background(connection.close) for _ in range(8)]:
            each.get()
        connection.close()
        assert not connection.is_connected

    def test_what_was_published_arrives(self, server: LocalServer, subject: str) -> None:
        """The last message before close() reaches the others."""
        received: Messages = queue.Queue()
        with connected(server.url) as listener:
            listener.subscribe(subject, callback=received.put)
            for number in range(20):
                with connected(server.url) as connection:
                    connection.publish(subject, payload=b"%d" % number)
            assert [int(received.get(timeout=PATIENCE).payload) for _ in range(20)] == list(
                range(20)
            )

    def test_against_connect(self, own_server: LocalServer) -> None:
        """close() and connect() at the same time leave nothing half open."""
        connection = Connection(own_server.url)
        for _ in range(30):
            calls = [Background(connection.connect), Background(connection.close)]
            calls.append(Background(connection.reconnect))
            for each in calls:
                with contextlib.suppress(ConnectionClosedError):
                    each.get()
        connection.close()
        assert not connection.is_connected


def forget(holder: list[Connection]) -> None:
    """Let go of what a list holds."""
    holder.clear()
    gc.collect()


class TestForgotten:
    """A connection that nobody closed."""

    @pytest.mark.parametrize("used", [False, True])
    def test_collected(self, server: LocalServer, subject: str, used: bool) -> None:
        """It is found by the garbage collector, says so, and its threads end."""
        before = objstore_threads()
        connection = Connection(server.url)
        connection.connect()
        seen: list[bytes] = []
        if used:
            connection.subscribe(subject, callback=lambda m: seen.append(m.payload))
            connection.publish(subject, payload=b"x")
            with pytest.raises(NoRespondersError):
                connection.request(f"{subject}.nobody")
            eventually(lambda: seen)
        holder = [connection]
        del connection
        with pytest.warns(ResourceWarning, match="unclosed <objstore.Connection"):
            forget(holder)
        eventually(lambda: not (objstore_threads() - before), "the end of its threads")

    def test_in_a_cycle(self, server: LocalServer) -> None:
        """The same within a cycle of references, as an exception makes them."""
        before = objstore_threads()
        connection: Any = Connection(server.url)
        connection.connect()
        connection.myself = connection
        holder = [connection]
        del connection
        with pytest.warns(ResourceWarning, match="unclosed"):
            forget(holder)
        eventually(lambda: not (objstore_threads() - before), "the end of its threads")

    def test_closed(self, server: LocalServer) -> None:
        """A closed one goes in silence."""
        connection: Any = Connection(server.url)
        connection.connect()
        connection.close()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            del connection
            gc.collect()

    def test_half_made(self) -> None:
        """One whose arguments were refused, too."""
        with pytest.raises(InvalidOptionError):
            Connection("nats://127.0.0.1:1", timeout=-1)
        gc.collect()


class TestFailures:
    """What goes wrong while connecting leaves nothing behind."""

    def test_after_a_failed_reconnect(self, own_server: LocalServer) -> None:
        """connect() after close() fails: the connection is as closed as before."""
        connection = Connection(own_server.url)
        connection.connect()
        connection.close()
        own_server.kill()
        with pytest.raises(ConnectionLostError):
            connection.connect()
        own_server.start()
        with pytest.raises(ConnectionClosedError):
            connection.request("x")
        assert not connection.is_connected

    def test_no_thread(self, server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
        """The system has no more threads: the error is raised, and the socket closed."""

        def fail(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        connection = Connection(server.url)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", fail)
            with pytest.raises(RuntimeError, match="new thread"):
                connection.connect()
        assert not connection.is_connected
        with connection:
            connection.ping()

    @pytest.mark.parametrize("host", ["a..b", "x" * 70 + ".example", ".example"])
    def test_impossible_host(self, host: str) -> None:
        """A host that no resolver takes is an address that nobody answers at."""
        with pytest.raises(ConnectionLostError, match="cannot connect"):
            Connection(f"nats://{host}:4222").connect()


class TestInterrupts:
    """Ctrl-C in the main thread."""

    def test_during_a_request(self, connection: Connection, subject: str) -> None:
        """It ends the waiting at once, and the connection is usable afterwards."""
        this = threading.get_ident()
        # When the request has arrived, and so was sent: not a moment before.
        connection.subscribe(subject, callback=lambda _: signal.pthread_kill(this, signal.SIGINT))
        echo(connection, f"{subject}.echo")
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with pytest.raises(KeyboardInterrupt):
                connection.request(subject, timeout=600)
        finally:
            signal.signal(signal.SIGINT, before)
        assert connection.request(f"{subject}.echo", payload=b"x").payload == b"x"
        assert list(connection.inbox._handlers) == []
        assert len(connection.session.waiting) == 0

    def test_at_any_moment(self, server: LocalServer) -> None:
        """A signal that raises at 200 odd moments of requests, subscriptions and publishes:
        nothing hangs, no lock stays taken, nothing is mixed up.

        In a process of its own: the tools around a test have locks that a signal leaves taken.
        """
        program = """
import signal, sys, objstore

class Struck(BaseException):
    pass

def strike(*_):
    raise Struck

responder, connection = objstore.Connection(sys.argv[1]), objstore.Connection(sys.argv[1])
responder.connect()
connection.connect()
responder.subscribe("odd", callback=lambda m: responder.publish(m.reply, payload=m.payload))
signal.signal(signal.SIGALRM, strike)
struck = 0
for number in range(3000):
    if struck == 200:
        break
    payload = b"%d" % number
    try:
        # Again after a second, should it strike where Python ignores exceptions.
        signal.setitimer(signal.ITIMER_REAL, 1e-5 + number % 60 * 1e-5, 1.0)
        while True:
            assert connection.request("odd", payload=payload, timeout=100).payload == payload
            connection.unsubscribe(connection.subscribe("odd.x", callback=print))
            connection.publish("odd.y", payload=bytes(20_000))
    except Struck:
        signal.setitimer(signal.ITIMER_REAL, 0)
        struck += 1
    except objstore.ConnectionLostError:  # the send before was struck
        signal.setitimer(signal.ITIMER_REAL, 0)
signal.signal(signal.SIGALRM, signal.SIG_IGN)
assert struck == 200, struck
assert connection.request("odd", payload=b"last", timeout=100).payload == b"last"
connection.ping()
connection.close()
responder.close()
"""
        assert run_python(program, server.url) == ""


def test_garbage_collector_inside(server: LocalServer, subject: str) -> None:
    """Forgotten connections are closed by a collector that runs at every moment of every thread."""
    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            for _ in range(10):
                forgotten: Any = Connection(server.url)
                forgotten.connect()
                forgotten.myself = forgotten
                forgotten.subscribe(subject, callback=lambda _: None)
                forgotten.publish(subject)
                forgotten.session.drop()
                del forgotten
            with connected(server.url) as connection:
                echo(connection, f"{subject}.echo")
                for _ in range(20):
                    connection.request(f"{subject}.echo")
            gc.collect()
    finally:
        gc.set_threshold(*before)


class TestProcesses:
    """Forks, and the end of the interpreter."""

    def test_exit(self, server: LocalServer) -> None:
        """A program ends in time with an open connection, a busy callback and a request under
        way, and the only thing it may say is that the connection was not closed."""
        program = """
import sys, threading, objstore
connection = objstore.Connection(sys.argv[1])
connection.connect()
called = threading.Event()
def callback(message):
    called.set()
    threading.Event().wait()
connection.subscribe("exit.>", callback=callback)
connection.publish("exit.1")
assert called.wait(100)
threading.Thread(target=connection.request, args=("exit.2",), daemon=True).start()
print("end of the program")
"""
        assert run_python(program, server.url, warnings=False) == "end of the program\n"
        said = run_python(program, server.url).splitlines()
        assert said[0] == "end of the program"
        allowed = ("ResourceWarning: unclosed <objstore.Connection", "sys:1: ", "Traceback")
        for line in said[1:]:
            assert "unclosed" in line or line.startswith(allowed) or line.startswith(" "), said

    def test_exit_without_a_server(self, own_server: LocalServer) -> None:
        """A program ends in time while its connection looks for a server."""
        program = """
import os, sys, signal, time, objstore
connection = objstore.Connection(sys.argv[1])
connection.connect()
os.kill(int(sys.argv[2]), signal.SIGKILL)
while connection.is_connected:
    time.sleep(0.001)
print("end of the program")
"""
        said = run_python(program, own_server.url, str(own_server.pid), warnings=False)
        # The reader thread may say that the connection was lost, if it comes to that before.
        lines = [each for each in said.splitlines() if not each.startswith("lost the connection")]
        assert lines == ["end of the program"]

    def test_fork(self, server: LocalServer) -> None:
        """Parent and children use one connection object, each over a socket of its own: replies
        never cross, callbacks work, and the parent goes on undisturbed."""
        program = """
import os, queue, sys, threading, warnings, objstore
warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads
connection = objstore.Connection(sys.argv[1])
responder = objstore.Connection(sys.argv[1])
connection.connect()
responder.connect()
pid = os.getpid()
seen = queue.Queue()
def echo(message):
    assert os.getpid() == pid
    responder.publish(message.reply, payload=message.payload)
responder.subscribe("fork.echo", callback=echo)
connection.subscribe("fork.news", callback=seen.put)
first = connection.server_info["client_id"]
inbox = connection.request("fork.echo").subject
stop = threading.Event()
failures = []
def work(name):
    try:
        number = 0
        while not stop.is_set():
            number += 1
            payload = b"%s/%d" % (name, number)
            assert connection.request("fork.echo", payload=payload).payload == payload
    except BaseException as error:
        failures.append(error)
threads = [threading.Thread(target=work, args=(b"%d" % n,)) for n in range(4)]
for each in threads:
    each.start()
def child(number):
    assert not connection.is_connected
    for count in range(50):
        payload = b"child %d/%d" % (number, count)
        reply = connection.request("fork.echo", payload=payload, timeout=100)
        assert reply.payload == payload
        assert reply.subject.rpartition(".")[0] != inbox.rpartition(".")[0]
    assert connection.server_info["client_id"] != first
    mine = queue.Queue()
    connection.subscribe("fork.child%d" % number, callback=mine.put)
    connection.publish("fork.child%d" % number, payload=b"to myself")
    assert mine.get(timeout=100).payload == b"to myself"
    assert seen.empty()
    connection.publish("fork.news", payload=b"%d" % number)
    connection.close()
children = []
for number in range(5):
    pid_of_child = os.fork()
    if not pid_of_child:
        status = 1
        try:
            child(number)
            status = 0
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            os._exit(status)
    children.append(pid_of_child)
for each in children:
    assert os.waitpid(each, 0)[1] == 0
stop.set()
for each in threads:
    each.join()
assert not failures, failures
assert sorted(int(seen.get(timeout=100).payload) for _ in children) == list(range(5))
assert connection.server_info["client_id"] == first and connection.session.connects == 1
connection.ping()
connection.close()
responder.close()
"""
        assert run_python(program, server.url) == ""

    def test_multiprocessing(self, server: LocalServer) -> None:
        """The same by a pool of multiprocessing's forked processes."""
        program = """
import multiprocessing, sys, warnings, objstore
warnings.simplefilter("ignore", DeprecationWarning)
connection = objstore.Connection(sys.argv[1])
connection.connect()
connection.subscribe("pool.echo", callback=lambda m: connection.publish(m.reply, payload=m.payload))
def work(number):
    return int(connection.request("pool.echo", payload=b"%d" % number, timeout=100).payload)
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(3) as pool:
        assert pool.map(work, range(60)) == list(range(60))
        pool.close()
        pool.join()
    connection.ping()
    assert connection.session.connects == 1
    connection.close()
"""
        assert run_python(program, server.url, warnings=False) == ""

    def test_fork_of_a_closed_one(self, server: LocalServer) -> None:
        """What was closed before a fork is closed in the child, until it connects again."""
        program = """
import os, sys, warnings, objstore
warnings.simplefilter("ignore", DeprecationWarning)
connection = objstore.Connection(sys.argv[1])
connection.connect()
connection.close()
if not os.fork():
    status = 1
    try:
        connection.ping()
    except objstore.ConnectionClosedError:
        with connection:
            connection.ping()
        status = 0
    finally:
        os._exit(status)
assert os.wait()[1] == 0
"""
        assert run_python(program, server.url) == ""

    def test_send_in_a_signal_handler(self, server: LocalServer, subject: str) -> None:
        """A signal handler that interrupts a send of its own thread is told so, where it would
        wait for an answer: no deadlock, and no command inside another. What it publishes goes
        behind that."""
        with connected(server.url) as connection, connected(server.url) as other:
            got: list[bytes] = []
            other.subscribe(subject, callback=lambda message: got.append(message.payload))
            before = signal.signal(
                signal.SIGUSR1, lambda *_: connection.publish(subject, payload=b"inside")
            )
            try:
                with connection.session.out.lock:
                    signal.raise_signal(signal.SIGUSR1)
                    with pytest.raises(ReentrantCallError, match="interrupts a call"):
                        connection.ping()
                connection.publish(subject, payload=b"next")
                signal.raise_signal(signal.SIGUSR1)
            finally:
                signal.signal(signal.SIGUSR1, before)
            eventually(lambda: sorted(got) == [b"inside", b"inside", b"next"])
            connection.ping()


def test_logs_of_a_reconnect(own_server: LocalServer, caplog: pytest.LogCaptureFixture) -> None:
    """Loss and return are logged under the name objstore, without the token."""
    with caplog.at_level(logging.DEBUG, "objstore"), connected(own_server.url) as connection:
        own_server.kill()
        eventually(lambda: not connection.is_connected)
        own_server.start()
        eventually(lambda: connection.is_connected)
        eventually(lambda: "reconnected to" in caplog.text)
    assert "lost the connection to" in caplog.text
    token = own_server.url.partition("//")[2].partition("@")[0]
    assert token
    assert token not in caplog.text
