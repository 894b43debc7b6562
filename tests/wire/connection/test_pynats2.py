"""What pynats2's own suite checks, on objstore.Connection: who knows one knows the other."""

from __future__ import annotations

import pathlib
import queue

import pynats2
import pytest
import trustme

from objstore import Connection, ConnectionClosedError, LocalServer
from tests.support.scripted import PATIENCE, Background, eventually, free_port

pytestmark = pytest.mark.newest_server

Messages = queue.Queue[pynats2.NATSMessage]


@pytest.fixture(params=["", "/vhost1", "/a/b/"])
def url(server: LocalServer, request: pytest.FixtureRequest) -> str:
    """The server's address: plain, and with the paths that pynats2 calls virtual hosts."""
    return f"{server.url}{request.param}"


def test_is_a_nats_client(url: str) -> None:
    """Code that asks for pynats2's class takes a Connection."""
    assert isinstance(Connection(url), pynats2.NATSClient)


def test_readme_example(server: LocalServer) -> None:
    """pynats2's README, with the other class: connect, publish, close."""
    with Connection(server.url) as client:
        client.publish("test-subject", payload=b"test-payload")
    assert not client.is_connected


def test_connect_and_close(url: str) -> None:
    """connect(), ping() and close(), by hand."""
    client = Connection(url)
    client.connect()
    client.connect()  # nothing, the second time
    client.ping()
    client.close()
    with pytest.raises(pynats2.NATSConnectionError):
        client.ping()


def test_context_manager(url: str) -> None:
    """A with-block connects and closes."""
    with Connection(url) as client:
        client.ping()
        assert client.is_connected
    assert not client.is_connected


def test_before_connect(url: str) -> None:
    """What was never connected says so."""
    with pytest.raises(ConnectionClosedError, match="connect"):
        Connection(url).publish("x")


def test_connect_rejected() -> None:
    """Nobody listens: pynats2's NATSConnectionError, which names the address."""
    port = free_port()
    with pytest.raises(pynats2.NATSConnectionError, match=str(port)):
        Connection(f"nats://127.0.0.1:{port}").connect()


def test_connect_multiple_urls(url: str) -> None:
    """Several addresses, with commas between."""
    with Connection(f"{url},{url}") as client:
        client.ping()


def test_connect_rotate(url: str) -> None:
    """The first address is dead: the second is taken."""
    with Connection(f"nats://127.0.0.1:{free_port()},{url}") as client:
        client.ping()


def test_connect_multiple_rejected() -> None:
    """All addresses are dead: the error names each."""
    first, second = free_port(), free_port()
    with pytest.raises(pynats2.NATSConnectionError) as caught:
        Connection(f"nats://127.0.0.1:{first},nats://127.0.0.1:{second}").connect()
    assert str(first) in str(caught.value)
    assert str(second) in str(caught.value)


def test_invalid_scheme() -> None:
    """Neither nats nor tls: pynats2's NATSInvalidSchemeError, before anything is sent."""
    with pytest.raises(pynats2.NATSInvalidSchemeError):
        Connection("http://127.0.0.1:4224", verbose=True)


@pytest.mark.parametrize("switch", ["verbose", "pedantic"])
def test_switches(url: str, switch: str) -> None:
    """The protocol's verbose and pedantic modes work."""
    with Connection(url, verbose=switch == "verbose", pedantic=switch == "pedantic") as client:
        for _ in range(3):
            client.publish("test-subject", payload=b"x")
        client.ping()


def test_subscribe_unsubscribe(url: str) -> None:
    """subscribe() gives what unsubscribe() takes; twice is fine, and afterwards nothing comes."""
    received: Messages = queue.Queue()
    with Connection(url) as client:
        sub = client.subscribe(
            "test-subject", callback=received.put, queue="test-queue", max_messages=2
        )
        assert isinstance(sub, pynats2.NATSSubscription)
        assert (sub.subject, sub.queue, sub.max_messages) == ("test-subject", "test-queue", 2)
        client.unsubscribe(sub)
        client.unsubscribe(sub)
        client.publish("test-subject")
    assert received.empty()


def test_publish(url: str) -> None:
    """Messages with and without a payload arrive, up to max_messages."""
    received: Messages = queue.Queue()
    with Connection(url) as subscriber, Connection(url) as publisher:
        sub = subscriber.subscribe(
            "test-subject", callback=received.put, queue="test-queue", max_messages=2
        )
        publisher.publish("test-subject")
        publisher.publish("test-subject", payload=b"test-payload", reply="answers")
        publisher.publish("test-subject", payload=b"one too many")
        publisher.ping()
        subscriber.ping()
        first, second = received.get(timeout=PATIENCE), received.get(timeout=PATIENCE)
    assert isinstance(first, pynats2.NATSMessage)
    assert (first.subject, first.reply, first.payload) == ("test-subject", "", b"")
    assert (second.subject, second.reply, second.payload) == (
        "test-subject",
        "answers",
        b"test-payload",
    )
    assert (first.sid, second.sid) == (sub.sid, sub.sid)
    assert sub.received_messages == 2
    assert received.empty()


def test_auto_unsubscribe(url: str) -> None:
    """auto_unsubscribe() ends a subscription after its max_messages, counted from the first."""
    received: Messages = queue.Queue()
    with Connection(url) as client:
        sub = client.subscribe("test-subject", callback=received.put)
        client.auto_unsubscribe(sub)  # without max_messages: nothing
        for _ in range(3):
            client.publish("test-subject")
        client.ping()
        sub.max_messages = 5
        client.auto_unsubscribe(sub)
        for _ in range(4):
            client.publish("test-subject")
        client.ping()
        eventually(lambda: received.qsize() == 5)
        sub = client.subscribe("test-subject", callback=received.put)
        client.publish("test-subject")
        client.ping()
        sub.max_messages = 1
        client.auto_unsubscribe(sub)  # it has had them already
        client.publish("test-subject")
        client.ping()
    assert received.qsize() == 6


def test_several_queue_members(url: str) -> None:
    """Of a queue group one member gets each message."""
    first: Messages = queue.Queue()
    second: Messages = queue.Queue()
    with Connection(url) as client:
        client.subscribe("test-subject", callback=first.put, queue="workers")
        client.subscribe("test-subject", callback=second.put, queue="workers")
        for _ in range(50):
            client.publish("test-subject")
        client.ping()
        eventually(lambda: first.qsize() + second.qsize() == 50)
    assert first.qsize() + second.qsize() == 50


def test_request(url: str) -> None:
    """A request gets the reply of a callback, over two connections and over one."""
    with Connection(url) as responder, Connection(url) as client:

        def answer(message: pynats2.NATSMessage) -> None:
            responder.publish(message.reply, payload=b"re: " + message.payload)

        responder.subscribe("test-subject", callback=answer, queue="test-queue")
        for requester in (client, responder):
            for payload in (b"", b"test-payload"):
                reply = requester.request("test-subject", payload=payload)
                assert reply.subject.startswith("_INBOX.")
                assert reply.reply == ""
                assert reply.payload == b"re: " + payload


def test_request_timeout(url: str) -> None:
    """No reply: pynats2's NATSRequestTimeoutError, and the connection goes on."""
    with Connection(url) as client:
        client.subscribe("test-subject", callback=lambda _: None)
        with pytest.raises(pynats2.NATSRequestTimeoutError):
            client.request("test-subject", timeout=0.05)
        client.ping()


def test_reconnect(url: str) -> None:
    """reconnect() makes another connection, and keeps the subscriptions."""
    received: Messages = queue.Queue()
    with Connection(url, reconnect_timeout=0) as client:
        client.subscribe("test-subject", callback=received.put)
        first = client.server_info["client_id"]
        client.reconnect()
        assert client.is_connected
        assert client.server_info["client_id"] != first
        client.publish("test-subject", payload=b"after")
        assert received.get(timeout=PATIENCE).payload == b"after"


def test_connect_after_close(url: str) -> None:
    """A closed connection stays closed until connect() or reconnect(), which restore callbacks."""
    received: Messages = queue.Queue()
    client = Connection(url)
    client.connect()
    with pytest.raises(pynats2.NATSRequestTimeoutError):
        client.request("nobody", timeout=PATIENCE)
    sub = client.subscribe("test-subject", callback=received.put, max_messages=3)
    client.publish("test-subject", payload=b"1")
    client.close()
    for count, again in ((2, client.connect), (3, client.reconnect)):
        with pytest.raises(ConnectionClosedError):
            client.publish("test-subject")
        again()
        client.publish("test-subject", payload=b"%d" % count)
        client.close()
        assert sub.received_messages == count
    with client:
        client.publish("test-subject", payload=b"4")
    assert [received.get_nowait().payload for _ in range(3)] == [b"1", b"2", b"3"]
    assert received.empty()


def test_graceful_shutdown(url: str) -> None:
    """Callbacks of messages that have arrived still run when the connection is closed."""
    received: list[int] = []
    with Connection(url) as client:

        def slow(message: pynats2.NATSMessage) -> None:
            eventually(lambda: not client.is_connected)  # until close() is well under way
            received.append(int(message.payload))

        client.subscribe("test-subject", callback=slow)
        for number in range(100):
            client.publish("test-subject", payload=b"%d" % number)
    assert received == list(range(100))


def test_close_in_a_callback(url: str) -> None:
    """A callback may close the connection that it came by."""
    with Connection(url) as client:
        client.subscribe("test-subject", callback=lambda _: client.close())
        client.publish("test-subject")
        eventually(lambda: not client.is_connected)


def test_vhosts_are_apart(server: LocalServer) -> None:
    """The URL's path is put before every subject: another path, another world."""
    here: Messages = queue.Queue()
    raw: Messages = queue.Queue()
    with (
        Connection(f"{server.url}/here") as inside,
        Connection(f"{server.url}/there") as outside,
        Connection(server.url) as plain,
    ):
        inside.subscribe("test-subject", callback=here.put)
        plain.subscribe("here.>", callback=raw.put)
        outside.publish("test-subject", payload=b"there")
        outside.ping()
        inside.publish("test-subject", payload=b"here", reply="back")
        assert here.get(timeout=PATIENCE).payload == b"here"
        seen = raw.get(timeout=PATIENCE)
        assert (seen.subject, seen.reply) == ("here.test-subject", "here.back")
    assert here.empty()


def test_tls_classes(server: LocalServer, tmp_path: pathlib.Path) -> None:
    """TLS required and refused, or asked for and not offered: pynats2's two classes."""
    with pytest.raises(pynats2.NATSTCPConnectionRequiredError):
        Connection(server.url.replace("nats://", "tls://")).connect()
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        tmp_path / "server.pem"
    )
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    pem = tmp_path / "server.pem"
    with LocalServer(
        config=f'tls {{ cert_file: "{pem}", key_file: "{pem}", timeout: {PATIENCE} }}'
    ) as secure:
        with pytest.raises(pynats2.NATSTLSConnectionRequiredError):
            Connection(secure.url, tls=False).connect()
        url = secure.url.replace("nats://", "tls://")
        with Connection(url, tls_cacert=tmp_path / "ca.pem", verbose=True) as client:
            client.ping()


def test_connecting_from_many_threads(url: str) -> None:
    """connect() from several threads makes one connection, not several."""
    client = Connection(url)
    calls = [Background(client.connect) for _ in range(8)]
    for call in calls:
        call.get()
    assert client.session.connects == 1
    client.close()
