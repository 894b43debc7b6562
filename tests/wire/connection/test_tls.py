"""TLS with a real server: who is let in, who is not, and much data both ways."""

from __future__ import annotations

import dataclasses
import datetime
import os
import pathlib
import queue
import ssl
import threading
from collections.abc import Callable, Iterator

import pytest
import trustme

from objstore import (
    Connection,
    ConnectionLostError,
    InvalidOptionError,
    LocalServer,
    TLSError,
    TLSRequiredError,
    TLSUnavailableError,
)
from objstore.wire.connection.connection import Msg
from tests.support.scripted import (
    PATIENCE,
    Background,
    Peer,
    ScriptedServer,
    connected,
    eventually,
)

pytestmark = pytest.mark.newest_server

TOKEN = "t0ken"


@dataclasses.dataclass
class Files:
    """An authority, and what it has issued."""

    authority: trustme.CA
    ca: pathlib.Path
    client: pathlib.Path  # certificate and key in one file
    folder: pathlib.Path

    def certificate(self, *names: str, **options: object) -> pathlib.Path:
        """Issue a certificate; its key is in the same file."""
        path = self.folder / f"{'-'.join(names)}-{len(os.listdir(self.folder))}.pem"
        issued = self.authority.issue_cert(*names, **options)  # type: ignore[arg-type]
        issued.private_key_and_cert_chain_pem.write_to_path(str(path))
        return path

    def config(self, certificate: pathlib.Path, more: str = "", rest: str = "") -> str:
        """A server's configuration with that certificate."""
        return (
            f'tls {{ cert_file: "{certificate}", key_file: "{certificate}", '
            f'ca_file: "{self.ca}", timeout: {PATIENCE}, {more} }}\n'
            f'authorization {{ token: "{TOKEN}", timeout: {2 * PATIENCE} }}\n{rest}\n'
        )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    made = Files(authority, folder / "ca.pem", folder, folder)
    made.client = made.certificate("client@example.org")
    return made


@pytest.fixture(scope="module")
def tls_server(files: Files) -> Iterator[LocalServer]:
    """A server that requires TLS, and takes messages of 9 MiB."""
    config = files.config(files.certificate("127.0.0.1", "localhost"), rest="max_payload: 9437184")
    with LocalServer(config=config) as server:
        yield server


@pytest.fixture(scope="module")
def mutual_server(files: Files) -> Iterator[LocalServer]:
    """A server that asks for a certificate of the client's."""
    config = files.config(files.certificate("127.0.0.1"), "verify: true")
    with LocalServer(config=config) as server:
        yield server


@pytest.fixture(scope="module")
def first_server(files: Files) -> Iterator[LocalServer]:
    """A server that begins with TLS."""
    config = files.config(files.certificate("127.0.0.1"), "handshake_first: true")
    with LocalServer(config=config) as server:
        yield server


def url(server: LocalServer, scheme: str = "nats", host: str = "127.0.0.1") -> str:
    """The address with a token, and another scheme or name."""
    return f"{scheme}://{TOKEN}@{host}:{server.port}"


def callback_of(event: threading.Event) -> Callable[[Msg], None]:
    """A callback that sets an event."""
    return lambda _: event.set()


class TestVerification:
    """Certificates are verified unless that is switched off."""

    @pytest.mark.parametrize("scheme", ["nats", "tls"])
    def test_upgrade(self, tls_server: LocalServer, files: Files, scheme: str) -> None:
        """A tls:// address, or a server that requires TLS: the connection is encrypted."""
        with connected(url(tls_server, scheme), tls_cacert=files.ca) as connection:
            connection.ping()
            assert connection.server_info["tls_required"] is True

    def test_name(self, tls_server: LocalServer, files: Files) -> None:
        """The certificate is checked against the name in the address."""
        with connected(url(tls_server, host="localhost"), tls_cacert=files.ca) as connection:
            connection.ping()

    def test_by_default(self, tls_server: LocalServer) -> None:
        """The system's authorities do not know this one: refused, and the reason is there."""
        for tls in (None, True):
            with pytest.raises(TLSError, match="certificate is not accepted") as caught:
                Connection(url(tls_server), tls=tls).connect()
            assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
            assert TOKEN not in str(caught.value)

    def test_wrong_authority(self, tls_server: LocalServer, tmp_path: pathlib.Path) -> None:
        """Another authority's certificate does not vouch for this server."""
        trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
        with pytest.raises(TLSError, match="not accepted"):
            Connection(url(tls_server), tls_cacert=tmp_path / "other.pem").connect()

    def test_wrong_host(self, files: Files) -> None:
        """A certificate for another name is refused."""
        with (
            LocalServer(config=files.config(files.certificate("example.org"))) as server,
            pytest.raises(TLSError, match="not accepted"),
        ):
            Connection(url(server), tls_cacert=files.ca).connect()

    def test_expired(self, files: Files) -> None:
        """A certificate of yesterday is refused."""
        now = datetime.datetime.now(datetime.timezone.utc)
        expired = files.certificate(
            "127.0.0.1",
            not_before=now - datetime.timedelta(days=2),
            not_after=now - datetime.timedelta(days=1),
        )
        with (
            LocalServer(config=files.config(expired)) as server,
            pytest.raises(TLSError, match="expired"),
        ):
            Connection(url(server), tls_cacert=files.ca).connect()

    def test_switched_off(self, tls_server: LocalServer) -> None:
        """tls_verify=False takes any certificate."""
        with connected(url(tls_server), tls_verify=False) as connection:
            connection.ping()

    def test_context(self, tls_server: LocalServer, files: Files) -> None:
        """An SSLContext is used as it is, also where the address does not ask for TLS."""
        context = ssl.create_default_context(cafile=str(files.ca))
        with connected(url(tls_server), tls=context) as connection:
            connection.ping()
        with pytest.raises(TLSError, match="not accepted"):
            Connection(url(tls_server), tls=ssl.create_default_context()).connect()

    def test_missing_file(self, tls_server: LocalServer, tmp_path: pathlib.Path) -> None:
        """A file of authorities that is not there is said to be the fault."""
        with pytest.raises(InvalidOptionError, match="cannot be loaded"):
            Connection(url(tls_server), tls_cacert=tmp_path / "nothing.pem").connect()


class TestDisagreement:
    """One side wants TLS, and the other does not."""

    @pytest.mark.parametrize("scheme", ["nats", "tls"])
    def test_plain_server(self, server: LocalServer, scheme: str) -> None:
        """tls=True, or tls://, with a plain server: refused, and nothing is sent in the clear."""
        address = server.url.replace("nats://", f"{scheme}://")
        with pytest.raises(TLSUnavailableError, match="does not offer TLS"):
            Connection(address, tls=True).connect()
        with pytest.raises(TLSUnavailableError):
            Connection(server.url.replace("nats://", "tls://")).connect()

    def test_forbidden(self, tls_server: LocalServer) -> None:
        """tls=False with a server that requires it: refused, whatever the address says."""
        for scheme in ("nats", "tls"):
            with pytest.raises(TLSRequiredError, match="tls=False"):
                Connection(url(tls_server, scheme), tls=False).connect()

    def test_available(self, files: Files) -> None:
        """A server that offers TLS without requiring it: as the client wishes."""
        config = files.config(files.certificate("127.0.0.1"), rest="allow_non_tls: true")
        with LocalServer(config=config) as server:
            with connected(url(server)) as connection:
                connection.ping()
            with pytest.raises(TLSError, match="not accepted"):
                Connection(url(server, "tls")).connect()
            with connected(url(server), tls=True, tls_cacert=files.ca) as connection:
                connection.ping()


class TestMutual:
    """Servers that ask for a certificate of the client's."""

    def test_shown(self, mutual_server: LocalServer, files: Files) -> None:
        """A client with a certificate is let in; certificate and key in one file or in two."""
        for key in (None, files.client):
            with connected(
                url(mutual_server),
                tls_cacert=files.ca,
                tls_client_cert=files.client,
                tls_client_key=key,
            ) as connection:
                connection.ping()

    def test_none(self, mutual_server: LocalServer, files: Files) -> None:
        """A client without one is refused; that it is the certificate can be read."""
        for _ in range(20):  # the alert races with the closing of the connection
            with pytest.raises(TLSError, match=r"(?i)certificate"):
                Connection(url(mutual_server), tls_cacert=files.ca).connect()

    def test_foreign(
        self, mutual_server: LocalServer, files: Files, tmp_path: pathlib.Path
    ) -> None:
        """A certificate of another authority is refused."""
        foreign = tmp_path / "foreign.pem"
        issued = trustme.CA().issue_cert("client@example.org")
        issued.private_key_and_cert_chain_pem.write_to_path(str(foreign))
        with pytest.raises(TLSError, match=r"(?i)certificate|unknown ca"):
            Connection(url(mutual_server), tls_cacert=files.ca, tls_client_cert=foreign).connect()


class TestFirst:
    """TLS before the server says anything (its ``handshake_first``)."""

    def test_first(self, first_server: LocalServer, files: Files) -> None:
        """tls_first=True: connected, over and over."""
        with connected(url(first_server), tls_cacert=files.ca, tls_first=True) as connection:
            connection.ping()
            connection.reconnect()
            connection.ping()

    def test_not_first(self, first_server: LocalServer, files: Files) -> None:
        """Without it both sides wait for each other: a time-out that says so."""
        with pytest.raises(ConnectionLostError, match="did not answer in time"):
            Connection(url(first_server), tls_cacert=files.ca, timeout=0.3).connect()

    def test_plain(self, server: LocalServer) -> None:
        """A server that begins with INFO in the clear is no TLS server."""
        with pytest.raises(TLSError, match="failed"):
            Connection(server.url, tls_first=True).connect()

    def test_stalled(self) -> None:
        """A server that takes the connection and does not go on with the handshake."""
        with (
            ScriptedServer(Peer.hold) as server,
            pytest.raises(ConnectionLostError, match="in time"),
        ):
            Connection(server.url, tls_first=True, timeout=0.2).connect()


class TestTraffic:
    """Much data, many threads, and connections that break."""

    def test_both_ways_at_once(self, tls_server: LocalServer, files: Files) -> None:
        """4 MiB messages over one connection, from four threads, there and back again."""
        payloads = [os.urandom(4 << 20) for _ in range(4)]
        with (
            connected(url(tls_server), tls_cacert=files.ca) as connection,
            connected(url(tls_server), tls_cacert=files.ca) as responder,
        ):

            def answer(request: Msg) -> None:
                responder.publish(request.reply, payload=request.payload)

            responder.subscribe("echo", callback=answer)

            def work(payload: bytes) -> None:
                for _ in range(2):
                    reply = connection.request("echo", payload=payload, timeout=PATIENCE)
                    assert reply.payload == payload

            for each in [Background(work, payload) for payload in payloads]:
                each.join()
                each.get()
            assert connection.session.connects == 1

    @pytest.mark.parametrize("size", [0, 1, 16383, 16384, 16385, 65536, 1 << 20])
    def test_sizes(self, tls_server: LocalServer, files: Files, size: int) -> None:
        """Payloads around the size of TLS's records."""
        received: queue.Queue[Msg] = queue.Queue()
        payload = os.urandom(size)
        with connected(url(tls_server), tls_cacert=files.ca) as connection:
            connection.subscribe("s", callback=received.put)
            for buffer in (payload, bytearray(payload), memoryview(payload)):
                connection.publish("s", payload=buffer, headers={"H": "x"})
                message = received.get(timeout=PATIENCE)
                assert (message.payload, message.headers) == (payload, {"H": ["x"]})

    def test_small_ones(self, tls_server: LocalServer, files: Files) -> None:
        """Thousands of small messages in order, several in a record and over records."""
        received: list[int] = []
        with connected(url(tls_server), tls_cacert=files.ca) as connection:
            connection.subscribe("s", callback=lambda m: received.append(int(m.payload)))
            for number in range(5000):
                connection.publish("s", payload=b"%d" % number)
            eventually(lambda: len(received) == 5000)
        assert received == list(range(5000))

    def test_reconnect(self, files: Files) -> None:
        """The server dies and comes back with another certificate: verified again."""
        certificate = files.certificate("127.0.0.1")
        received: queue.Queue[Msg] = queue.Queue()
        with (
            LocalServer(config=files.config(certificate)) as server,
            connected(url(server), tls_cacert=files.ca, reconnect_timeout=PATIENCE) as one,
        ):
            one.subscribe("s", callback=received.put)
            server.kill()
            eventually(lambda: not one.is_connected)
            renewed = files.certificate("127.0.0.1")
            certificate.write_bytes(renewed.read_bytes())
            server.start()
            one.publish("s", payload=b"again")
            assert received.get(timeout=PATIENCE).payload == b"again"
            server.kill()
            eventually(lambda: not one.is_connected)
            certificate.write_bytes(files.certificate("example.org").read_bytes())
            server.start()
            eventually(lambda: isinstance(one.session._cause, TLSError))
            assert not one.is_connected

    def test_reconnect_in_the_clear(self, files: Files) -> None:
        """A server that asked for TLS is lost, and what answers next does not: nothing is said to
        it, though the address is nats:// and TLS was never asked for by name."""
        heard: list[bytes] = []
        greeted = threading.Event()

        def impostor(peer: Peer) -> None:
            peer.greet()
            greeted.set()
            heard.append(peer.line())

        with (
            LocalServer(config=files.config(files.certificate("127.0.0.1"))) as server,
            ScriptedServer(impostor) as other,
            connected(
                [url(server), f"nats://{TOKEN}@127.0.0.1:{other.port}"], tls_cacert=files.ca
            ) as one,
        ):
            server.kill()
            assert greeted.wait(PATIENCE)
            eventually(lambda: other.connections > 1)
            assert heard == []
            assert not one.is_connected
            server.start()
            one.ping()

    def test_close_while_receiving(self, tls_server: LocalServer, files: Files) -> None:
        """close() in the middle of large messages is prompt and clean."""
        for _ in range(5):
            seen = threading.Event()
            connection = Connection(url(tls_server), tls_cacert=files.ca)
            connection.connect()
            connection.subscribe("s", callback=callback_of(seen))
            with connected(url(tls_server), tls_cacert=files.ca) as sender:
                for _ in range(3):
                    sender.publish("s", payload=bytes(2 << 20))
                assert seen.wait(PATIENCE)
                connection.close()
