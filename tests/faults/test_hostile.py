"""A server that means harm: whatever it sends, calls end in time with an error, and memory stays.

The client runs in a process of its own, whose memory the system measures; the server does not
count there. (Crafted lengths, one by one, are in ../wire/test_protocol and
../wire/test_session_scripted; crafted metadata in ../test_malformed and ../test_download.)
"""

from __future__ import annotations

import json
import queue
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from objstore import (
    Client,
    ObjectResult,
    ObjectStore,
    ObjStoreError,
    ProtocolError,
    RequestTimeoutError,
)
from objstore.put.ack_window import AckWindow
from objstore.wire.codec.protocol import Message
from objstore.wire.jetstream.feed import MOST_WAITING, Feed
from tests.support.forked import Forked
from tests.support.scripted import Background, Peer, Script, ScriptedServer, connected
from tests.support.streams import record, write_record

pytestmark = pytest.mark.newest_server

#: How much the memory may grow, in KiB. A server on the loopback sends more each tenth of a second.
MOST_GROWTH = 64 << 10

#: Seconds that a call of the client waits for an answer: little where none comes, much where one
#: does, and the busiest machine must not make it an error.
LITTLE, MUCH = 0.5, 100.0

#: What all clients share: imports, and the calls that they make.
CALLS = """
import os, re, sys, time
from pathlib import Path
import objstore
from objstore.wire.jetstream.direct import BatchRequest, DirectGet, DirectPage

REQUEST = BatchRequest(count=3, max_bytes=1 << 20)

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

def batch(connection):
    get = DirectGet(connection, "batch", REQUEST)
    time.sleep(1)  # a slow user
    while get.next(1.0):
        pass
    raise objstore.RequestTimeoutError("no more comes")

def page(connection):
    get, messages = DirectPage(connection, "page", REQUEST), []
    while not (messages and messages[-1].status):
        part = get.next(1.0)
        if part is None:
            raise objstore.RequestTimeoutError("nothing comes")
        messages += part

def listen(connection):
    connection.subscribe("a.>", callback=lambda message: None)
    time.sleep(1)
    connection.ping()

calls = {
    "connect": lambda connection: None,
    "ping": lambda connection: connection.ping(),
    "publish": lambda connection: connection.publish("x", payload=bytes(1 << 24)),
    "bucket": lambda connection: objstore.Client(connection).object_store("b", create=False),
    "listen": listen,
    "batch": batch,
    "page": page,
}
"""

PROGRAM = """
os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the log of a flood of errors
timeout = float(sys.argv[3])
options = {"timeout": timeout, "reconnect_timeout": 0.5, "ping_interval": timeout}
connection = objstore.Connection(sys.argv[1], **options)
before = peak()
try:
    connection.connect()
    calls[sys.argv[2]](connection)
    print("nothing")
except objstore.ObjStoreError as error:
    print(type(error).__name__)
connection.close()
print(peak() - before)
"""


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forked]:
    """Where clients run: forks of a process that has imported the package."""
    with Forked(tmp_path_factory.mktemp("hostile"), CALLS) as clients:
        yield clients


def victim(clients: Forked, call: str, script: Script, timeout: float = LITTLE) -> str:
    """Let a client make a call of such a server's.

    Arguments:
        clients: where it runs.
        call: of those in CALLS.
        script: of the server.
        timeout: of the client, in seconds.

    Returns:
        The name of the error that it ended with.
    """
    with ScriptedServer(script, receive_buffer=1 << 16) as server:
        status, output = clients.run(PROGRAM, server.url, call, str(timeout))
    assert status == 0, output
    error, growth = output.split()
    assert int(growth) < MOST_GROWTH
    return error


def after_the_login(attack: Callable[[Peer], object]) -> Script:
    """A server like any other, until it has heard something."""

    def script(peer: Peer) -> None:
        peer.accept(max_payload=1 << 26)
        peer.until(rb"(PUB|SUB|PING).*")
        attack(peer)
        peer.hold()

    return script


def flood(*data: bytes) -> Callable[[Peer], None]:
    """Send the same for ever, and read nothing."""

    def attack(peer: Peer) -> None:
        block = b"".join(data) * (1 + (1 << 16) // len(b"".join(data)))
        while True:
            peer.send(block)

    return attack


def send(data: bytes) -> Callable[[Peer], None]:
    """Send it once, and then nothing."""
    return lambda peer: peer.send(data)


def infos(peer: Peer) -> None:
    """INFO after INFO, each with servers that nobody has heard of."""
    for number in count():
        urls = [f"10.{number % 250}.{n // 250}.{n % 250}:4222" for n in range(5_000)]
        peer.send(b"INFO " + json.dumps({"connect_urls": urls}).encode() + b"\r\n")


def errors(peer: Peer) -> None:
    """-ERR after -ERR, of operations that nobody has begun."""
    for number in count():
        text = b"-ERR 'Permissions Violation for Publish to \"a%d.%b\"'\r\n"
        peer.send(b"".join(text % (number * 50 + n, b"x" * 2_000) for n in range(50)))


def subjects(peer: Peer) -> None:
    """Messages of subscriptions that nobody has made, each with another number and subject."""
    for number in count(1):
        lines = (
            b"MSG s%d %d 1000\r\n%b\r\n" % (number, number * 100 + n, bytes(1000))
            for n in range(100)
        )
        peer.send(b"".join(lines))


def dripping_line(peer: Peer) -> None:
    """A line that goes on for ever, slowly: the connection is never silent."""
    peer.send(b"INFO ")
    while True:
        peer.send(b" ")
        peer._held.wait(0.02)


ATTACKS: dict[str, Callable[[Peer], object]] = {
    "endless line": flood(b"x"),
    "endless INFO": flood(b'INFO {"a": "' + b"x" * (1 << 16)),
    "endless MSG": flood(b"MSG s 1 "),
    "dripping line": dripping_line,
    "200 MB that never come": send(b"MSG s 1 209715200\r\n"),
    "200 MB of headers": send(b"HMSG s 1 209715200 209715200\r\n"),
    "200 MB that stop": lambda peer: peer.send(b"MSG s 1 209715200\r\n" + bytes(1 << 20)),
    "petabytes": send(b"MSG s 1 1125899906842624\r\n"),
    "negative": send(b"MSG s 1 -1\r\n"),
    "half a message": send(b"MSG s 1 100\r\nhello"),
    "half a header": send(b"HMSG s 1 100 200\r\nNATS/1.0"),
    "half a line": send(b"MSG s"),
    "wrong sids": subjects,
    "+OK flood": flood(b"+OK\r\n"),
    "PONG flood": flood(b"PONG\r\n"),
    "PING flood": flood(b"PING\r\n"),
    "-ERR flood": flood(b"-ERR 'Invalid Subject'\r\n"),
    "-ERR flood of permissions": errors,
    "INFO flood": infos,
    "empty messages": flood(b"MSG s 1 0\r\n\r\n"),
    "silence": lambda _peer: None,
}

#: A flood of PONGs answers a PING.
HARMLESS = {("PONG flood", "ping")}


@pytest.mark.parametrize("call", ["ping", "bucket"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_after_the_login(attack: str, call: str, clients: Forked) -> None:
    """A call that needs an answer ends with an error."""
    harmless = (attack, call) in HARMLESS
    error = victim(clients, call, after_the_login(ATTACKS[attack]), MUCH if harmless else LITTLE)
    assert (error == "nothing") == harmless, error


@pytest.mark.parametrize("attack", ["PING flood", "INFO flood", "silence", "wrong sids"])
def test_who_publishes(attack: str, clients: Forked) -> None:
    """Who only sends learns that the server takes nothing."""
    assert victim(clients, "publish", after_the_login(ATTACKS[attack])) == "ConnectionLostError"


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("greeted", [False, True])
def test_in_the_handshake(attack: str, greeted: bool, clients: Forked) -> None:
    """In place of a greeting, or of the answer to the login."""

    def script(peer: Peer) -> None:
        if greeted:
            peer.accept_without_pong()
        ATTACKS[attack](peer)
        peer.hold()

    accepted = greeted and attack == "PONG flood"
    error = victim(clients, "connect", script, MUCH if accepted else LITTLE)
    assert (error == "nothing") == accepted, error


@pytest.mark.parametrize("size", [0, 1_000, 1 << 20])
@pytest.mark.parametrize("call", ["batch", "page"])
def test_a_batch_without_end(call: str, size: int, clients: Forked) -> None:
    """More messages than were asked for, for ever: nobody waits for their end, or keeps them."""

    def script(peer: Peer) -> None:
        peer.accept()
        sid = int(peer.until(rb"SUB \S+ +(\d+)")[1])
        reply = peer.until(rb"PUB \S+ (\S+) \d+")[1]
        flood(b"HMSG %b %d 12 %d\r\nNATS/1.0\r\n\r\n%b\r\n" % (reply, sid, 12 + size, bytes(size)))(
            peer
        )

    assert victim(clients, call, script, MUCH) == "ProtocolError"


def test_a_flood_for_a_subscription(clients: Forked) -> None:
    """Messages for a callback, faster than it takes them: they are dropped beyond a limit."""

    def script(peer: Peer) -> None:
        peer.accept()
        sid = int(peer.until(rb"SUB \S+ +(\d+)")[1])
        flood(b"MSG a.b %d 10\r\n0123456789\r\n" % sid)(peer)

    assert victim(clients, "listen", script, 2.0) == "RequestTimeoutError"


def consumed(numbers: Iterator[int], size: int) -> Iterator[Message]:
    """What a consumer sends, numbered."""
    for number in numbers:
        reply = f"$JS.ACK.S.C.1.{number}.{number}.1700000000000000000.9"
        yield Message(1, "s", reply, b"", bytes(size))


@pytest.mark.parametrize("size", [0, 1 << 20])
def test_a_consumer_without_flow_control(size: int) -> None:
    """A consumer that sends on, though nobody takes anything and its flow control waits for an
    answer: it is given up before it has filled the memory."""
    with ScriptedServer(after_the_login(Peer.serve)) as server, connected(server.url) as connection:
        items: queue.SimpleQueue[tuple[Feed | None, object]] = queue.SimpleQueue()
        feed = Feed(connection.session, items, "_INBOX.x")  # type: ignore[arg-type]
        sent = 0
        for message in consumed(count(1), size):
            feed.deliver(message)
            sent += 1
            if feed.ended:
                break
        assert sent * (size + 1) <= MOST_WAITING + 2 * size
        *_, (_, last) = (items.get_nowait() for _ in range(items.qsize()))
        assert isinstance(last, ProtocolError)
        flows = Message(1, "s", "f", b"NATS/1.0 100 FlowControl Request\r\n\r\n", b"")
        again = Feed(connection.session, items, "_INBOX.y")  # type: ignore[arg-type]
        while not again.ended:
            again.deliver(flows)
        assert items.qsize() < MOST_WAITING / 100


def test_answers_that_say_nothing() -> None:
    """A put whose chunks are answered without end, and never as stored, gives up."""
    window = AckWindow("s", 0.5, 0, 0)
    window.add(1)
    over = threading.Event()

    def babble() -> None:
        while not over.is_set():
            window.confirm(0, 0)

    babbling = Background(babble)
    try:
        with pytest.raises(RequestTimeoutError, match="no acknowledgement of chunk 1"):
            Background(window.wait, lambda: window.stored == 1).get()
        Background(window.settle, lambda: window.stored == 1).get()
        assert window.no_more_answers
    finally:
        over.set()
        babbling.get()


# --- what others' metadata state

ABSURD: dict[str, dict[str, object]] = {
    "a size of petabytes": {"size": 1 << 50},
    "the largest size there is": {"size": (1 << 64) - 1},
    "billions of chunks": {"chunks": 4_000_000_000},
    "both": {"size": 1 << 50, "chunks": 1 << 33},
    "petabytes in one chunk": {"size": 1 << 50, "chunks": 1},
    "chunks of petabytes": {"size": 1 << 50, "options": {"max_chunk_size": 1 << 50}},
    "chunks of one byte": {"size": 1 << 50, "options": {"max_chunk_size": 1}},
}


def opened(store: ObjectStore, start: int = 0) -> ObjectResult:
    """The object, from some place on."""
    result = store.get("x", start=start)
    assert result is not None
    return result


READERS: dict[str, Callable[[ObjectStore, Path], object]] = {
    "read_bytes": lambda store, _: store.read_bytes("x"),
    "read": lambda store, _: opened(store).read(),
    "readinto": lambda store, _: opened(store).readinto(bytearray(1 << 20)),
    "seek": lambda store, _: opened(store, (1 << 50) - 10).read(),
    "read_range": lambda store, _: store.read_range("x", (1 << 50) - 10, 1 << 50),
    "get_many": lambda store, _: list(store.get_many(["x", "good"])),
    "download_file": lambda store, path: store.download_file("x", path / "x"),
    "copy": lambda store, _: store.copy("x", "y"),
}


@pytest.mark.leaves_chunks("of a record that states something else")
@pytest.mark.parametrize("call", READERS)
@pytest.mark.parametrize("absurd", ABSURD)
def test_sizes_that_are_stated(
    absurd: str, call: str, store: ObjectStore, shared_client: Client, tmp_path: Path
) -> None:
    """Nothing is allocated for what was never stored: an error, and other objects live."""
    store.put("good", b"good")
    store.put("x", bytes(30_000), chunk_size=10_000)
    fields = record(shared_client, store, "x")
    write_record(shared_client, store, {**fields, **ABSURD[absurd]})
    tracemalloc.start()
    try:
        reading = Background(READERS[call], store, tmp_path)
        reading.join()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 32 << 20
    # Whoever reads from a place that may be right gets what is there.
    if call != "readinto":
        assert isinstance(reading.error, ObjStoreError), reading.result
    assert list(tmp_path.iterdir()) == []
    assert store.read_bytes("good") == b"good"
    assert {each.name for each in store.list()} >= {"good"}
