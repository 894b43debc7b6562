"""Sockets and handshakes: what can go wrong below the protocol, and that nothing stays open."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import trustme

from objstore import Connection, ConnectionLostError
from objstore.wire.codec.protocol import Buffer
from objstore.wire.connection.transport import TLSTransport, Transport
from tests.support.scripted import PATIENCE, Background, Peer, ScriptedServer, open_sockets

pytestmark = pytest.mark.newest_server


@pytest.fixture
def pair() -> Iterator[tuple[Transport, socket.socket]]:
    """A transport and its peer."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(PATIENCE)
    transport = Transport(ours, 0.2)
    yield transport, theirs
    transport.close()
    theirs.close()


def receive(sock: socket.socket, size: int) -> bytes:
    """Read so many bytes."""
    data = bytearray()
    while len(data) < size and (more := sock.recv(size - len(data))):
        data += more
    return bytes(data)


class Stingy:
    """A socket that takes a few bytes at a time."""

    def __init__(self, sock: socket.socket, most: int) -> None:
        self._sock = sock
        self._most = most

    def sendmsg(self, parts: Any) -> int:
        return self._sock.send(b"".join(bytes(part) for part in parts)[: self._most])

    def send(self, data: Any) -> int:
        return self._sock.send(data[: self._most])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class TestSending:
    """Every byte goes, once and in order."""

    @pytest.mark.parametrize("most", [1, 2, 3, 5, 7, 100])
    def test_in_small_pieces(self, pair: tuple[Transport, socket.socket], most: int) -> None:
        """The system takes as little as it likes of each call, wherever that cuts."""
        transport, peer = pair
        transport._socket = Stingy(transport._socket, most)  # type: ignore[assignment]
        cases: list[list[Buffer]] = [
            [b"abcdef"],
            [b"ab", b"", b"cd", bytearray(b"ef"), memoryview(b"gh")],
            [b"", b"x"],
            [b"PUB s 3\r\n", b"abc", b"\r\n"],
        ]
        for parts in cases:
            transport.send(parts)
            whole = b"".join(bytes(part) for part in parts)
            assert receive(peer, len(whole)) == whole

    def test_stalled(self, pair: tuple[Transport, socket.socket]) -> None:
        """A peer that does not read: a time-out, and is_writable() says no beforehand."""
        transport, peer = pair
        assert transport.is_writable()
        with pytest.raises(TimeoutError):
            transport.send([bytes(10 << 20)])
        assert not transport.is_writable()
        with pytest.raises(TimeoutError):
            transport.send([b"x"])
        while not transport.is_writable():
            peer.recv(1 << 20)

    def test_broken(self, pair: tuple[Transport, socket.socket]) -> None:
        """A peer that closed: an error, not a signal."""
        transport, peer = pair
        peer.close()
        with pytest.raises(OSError, match=r".+"):
            transport.send([b"x"])

    def test_abort_wakes(self, pair: tuple[Transport, socket.socket]) -> None:
        """abort() wakes who receives and who sends; twice is fine."""
        transport, _ = pair
        transport.set_receive_timeout(600)
        receiving = Background(transport.receive_into, memoryview(bytearray(10)))
        transport.abort()
        transport.abort()
        assert receiving.get() == 0
        with pytest.raises(OSError, match=r".+"):
            transport.send([b"x"])

    def test_high_descriptors(self) -> None:
        """Descriptors beyond what select() can hold."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < 1500:
            pytest.skip("so many descriptors cannot be had here")
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1500), hard))
        fillers = [os.dup(0) for _ in range(1100)]
        try:
            ours, theirs = socket.socketpair()
            assert ours.fileno() > 1023
            transport = Transport(ours, 1)
            assert transport.is_writable()
            transport.close()
            theirs.close()
        finally:
            for each in fillers:
                os.close(each)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def addresses(*ports: int) -> list[Any]:
    """What a resolver says of a name with several addresses."""
    return [
        (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", port))
        for port in ports
    ]


class TestConnecting:
    """From a name to a connected socket."""

    def test_several_addresses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The second address is tried when the first refuses, or says nothing: each has its share
        of the time."""
        with (
            socket.create_server(("127.0.0.1", 0)) as good,
            socket.create_server(("127.0.0.1", 0), backlog=0) as full,
            socket.create_connection(full.getsockname()),
            socket.socket() as closed,
        ):
            closed.bind(("127.0.0.1", 0))
            ports = [each.getsockname()[1] for each in (closed, full, good)]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses(*ports))
            transport = Transport.connect("some.name", 4222, 1.0)
            assert transport._socket.getpeername()[1] == ports[-1]
            transport.close()
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses(*ports[:1]))
            with pytest.raises(ConnectionRefusedError):
                Transport.connect("some.name", 4222, 1.0)
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [])
            with pytest.raises(OSError, match="no address"):
                Transport.connect("some.name", 4222, 1.0)

    @pytest.mark.parametrize(
        "error", [OSError(errno.EMFILE, "Too many open files"), KeyboardInterrupt()]
    )
    @pytest.mark.parametrize("step", ["connect", "setsockopt", "settimeout"])
    def test_fails(self, monkeypatch: pytest.MonkeyPatch, error: BaseException, step: str) -> None:
        """Whatever step fails, the socket is closed."""
        before = open_sockets()

        def fail(*_: object) -> None:
            raise error

        with socket.create_server(("127.0.0.1", 0)) as listener:
            with monkeypatch.context() as patch:
                patch.setattr(socket.socket, step, fail)
                with pytest.raises(type(error)):
                    Transport.connect("127.0.0.1", listener.getsockname()[1], 1.0)
            assert len(open_sockets() - before) == 1  # the listener's

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.EIO, "I/O error")])
    def test_handshake_fails(self, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
        """The same for what fails while the server is greeted."""

        receive_into = Transport.receive_into

        def fail(self: Transport, buffer: memoryview) -> int:
            if threading.current_thread() is threading.main_thread():
                raise error
            return receive_into(self, buffer)  # another connection, of many tests

        kind = ConnectionLostError if isinstance(error, OSError) else type(error)

        def script(peer: Peer) -> None:
            peer.greet()
            peer.hold()

        with ScriptedServer(script) as server:
            monkeypatch.setattr(Transport, "receive_into", fail)
            with pytest.raises(kind):
                Connection(server.url).connect()


class TestTLS:
    """TLS over memory buffers."""

    @pytest.fixture
    def contexts(self) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        """A server's context and a client's."""
        authority = trustme.CA()
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("host.example").configure_cert(server)
        client = ssl.create_default_context()
        authority.configure_trust(client)
        return server, client

    @pytest.mark.parametrize("goodbye", [False, True])
    def test_end(
        self,
        goodbye: bool,
        pair: tuple[Transport, socket.socket],
        contexts: tuple[ssl.SSLContext, ssl.SSLContext],
    ) -> None:
        """Closed with TLS's goodbye or without: both are the end; nothing is lost before it."""
        plain, peer = pair
        server, client = contexts

        def serve() -> None:
            with server.wrap_socket(peer, server_side=True) as secure:
                secure.sendall(b"x" * 100_000)
                assert receive(secure, 5) == b"a-bcd"
                if goodbye:
                    secure.settimeout(0.05)  # it is sent at once; we do not answer it
                    with contextlib.suppress(OSError):
                        secure.unwrap()

        serving = Background(serve)
        transport = TLSTransport(plain, client, "host.example", PATIENCE)
        transport.set_receive_timeout(PATIENCE)
        buffer = memoryview(bytearray(1000))
        got = 0
        while got < 100_000:
            got += transport.receive_into(buffer)
        transport.send([b"a", b"", memoryview(b"-bcd")])
        serving.get()
        assert transport.receive_into(buffer) == 0
        assert transport.receive_into(buffer) == 0

    def test_silent_handshake(
        self,
        pair: tuple[Transport, socket.socket],
        contexts: tuple[ssl.SSLContext, ssl.SSLContext],
    ) -> None:
        """A handshake has one deadline, for a peer that is silent and for one that drips."""
        plain, peer = pair
        with pytest.raises(TimeoutError):
            TLSTransport(plain, contexts[1], "host.example", 0.05)
        with pytest.raises(TimeoutError, match="too long"):
            TLSTransport(plain, contexts[1], "host.example", 0)
        peer.close()
        with pytest.raises((ssl.SSLError, OSError)):
            TLSTransport(plain, contexts[1], "host.example", PATIENCE)
