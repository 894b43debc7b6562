"""A TCP proxy in front of a real nats-server, which does to the traffic what networks do.

.. code-block:: python

    with Proxy(server.url) as proxy, objstore.connect(proxy.url) as client:
        proxy.down.drop(proxy.answers(metadata_of("photos")))  # the next record's ack is lost
        ...

It reads the protocol, so that a fault hits one message and no other: a :class:`Line` is a whole
command with its payload. What is set up holds for all connections, those made later included.
Rules act on one message each, in the order in which they were set up; :attr:`Rule.happened` says
when. A connection takes two threads here; none of them outlives the with-block.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType

from tests.support.listener import Listener
from tests.support.waiting import PATIENCE

__all__ = [
    "Direction",
    "Line",
    "Proxy",
    "Rule",
    "calls",
    "chunks_of",
    "metadata_of",
    "nth",
    "publishes",
]

_WITH_PAYLOAD = {b"PUB", b"HPUB", b"MSG", b"HMSG"}


@dataclass(frozen=True)
class Line:
    """A command as it went over the wire.

    Attributes:
        verb: ``PUB``, ``HMSG``, ``PING`` …
        subject: of PUB, HPUB, SUB, MSG, HMSG; else empty.
        reply: where an answer is expected, or empty.
        payload: the body, headers included.
        raw: all of it.
    """

    verb: str
    subject: str
    reply: str
    payload: bytes
    raw: bytes


Predicate = Callable[[Line], bool]

#: What a rule makes of a message: what to send on, and whether to sever everything then.
Outcome = tuple[bytes, bool]


def publishes(beginning: str) -> Predicate:
    """A PUB or HPUB to a subject that begins so."""
    return lambda line: line.verb in ("PUB", "HPUB") and line.subject.startswith(beginning)


def calls(api: str) -> Predicate:
    """A call of JetStream's API, such as ``STREAM.PURGE``."""
    return publishes(f"$JS.API.{api}")


def chunks_of(bucket: str) -> Predicate:
    """A chunk that is being stored."""
    return publishes(f"$O.{bucket}.C.")


def metadata_of(bucket: str) -> Predicate:
    """A record that is being stored."""
    return publishes(f"$O.{bucket}.M.")


def nth(number: int, predicate: Predicate) -> Predicate:
    """The message for which the predicate is true for the so-and-so-many-th time."""
    count = itertools.count(1)
    return lambda line: predicate(line) and next(count) == number


def unavailable(line: Line) -> bytes:
    """What a server says that was a stream's leader, in place of its answer."""
    text = b'{"error":{"code":503,"err_code":10008,"description":"temporarily unavailable"}}'
    sid = line.raw.split()[2]
    return b"MSG %b %b %d\r\n%b\r\n" % (line.subject.encode(), sid, len(text), text)


class _Severed(Exception):  # noqa: N818 - not an error: it ends a pump
    """The connection ends here."""


class Rule:
    """Something that will happen to a message, or to several.

    Attributes:
        lines: the messages that it has happened to.
        happened: set when it has happened as often as it shall.
    """

    def __init__(
        self, predicate: Predicate, act: Callable[[Rule, Line], Outcome], times: int
    ) -> None:
        self.lines: list[Line] = []
        self.happened = threading.Event()
        self._predicate = predicate
        self._act = act
        self._times = times
        self._released = threading.Event()

    def wait(self) -> None:
        """Wait until it has happened; a test fails if that takes too long."""
        assert self.happened.wait(PATIENCE), "it never happened"

    def release(self) -> None:
        """Let go what :meth:`Direction.hold` holds."""
        self._released.set()

    def apply(self, line: Line) -> Outcome | None:
        """What becomes of a message; None: the rule does not concern it."""
        if self.happened.is_set() or not self._predicate(line):
            return None
        self.lines.append(line)
        if len(self.lines) >= self._times:
            self.happened.set()
        return self._act(self, line)


class Direction:
    """What happens to the traffic in one direction.

    Attributes:
        forwarded: bytes that were sent on.
        delay: seconds that each message waits before it is sent on.
        split: bytes of one write at most; 0: as many as there are.
        opposite: the other direction.
    """

    def __init__(self, sever: Callable[[], None], closing: threading.Event) -> None:
        self.forwarded = 0
        self.delay = 0.0
        self.split = 0
        self.opposite = self
        self._sever = sever
        self._closing = closing
        self._rules: list[Rule] = []
        self._observers: list[Callable[[Line], object]] = []
        self._flowing = threading.Event()
        self._flowing.set()
        self._cut_at: int | None = None

    # --- what a test says

    def drop(
        self, predicate: Predicate, times: int = 1, *, then: Callable[[], object] | None = None
    ) -> Rule:
        """Lose the next message, or so many, that the predicate is true of.

        Arguments:
            predicate: tells which.
            times: how many.
            then: what the test wants to happen at this moment, before anything follows.
        """

        def act(_rule: Rule, _line: Line) -> Outcome:
            if then is not None:
                then()
            return b"", False

        return self._add(Rule(predicate, act, times))

    def hold(self, predicate: Predicate) -> Rule:
        """Keep the next such message, and what follows it, until :meth:`Rule.release`."""

        def act(rule: Rule, line: Line) -> Outcome:
            while not rule._released.wait(0.01):
                if self._closing.is_set():
                    raise _Severed
            return line.raw, False

        return self._add(Rule(predicate, act, 1))

    def cut(self, predicate: Predicate, *, after: bool = False) -> Rule:
        """Sever all connections at the next such message: before it is sent on, or after it."""
        return self._add(Rule(predicate, lambda _rule, line: (line.raw if after else b"", True), 1))

    def cut_after(self, count: int) -> None:
        """Sever all connections when so many bytes more were sent on."""
        self._cut_at = self.forwarded + count

    def call(self, predicate: Predicate, function: Callable[[], object]) -> Rule:
        """Do something of the test's own before the next such message is sent on."""

        def act(_rule: Rule, line: Line) -> Outcome:
            function()
            return line.raw, False

        return self._add(Rule(predicate, act, 1))

    def change(self, predicate: Predicate, function: Callable[[Line], bytes]) -> Rule:
        """Send something else in place of the next such message."""
        return self._add(Rule(predicate, lambda _rule, line: (function(line), False), 1))

    def stall(self) -> None:
        """Take nothing more, so that the sender's buffers fill."""
        self._flowing.clear()

    def resume(self) -> None:
        """End a stall."""
        self._flowing.set()

    @contextlib.contextmanager
    def stalled(self) -> Iterator[None]:
        """Stall for the time of the block."""
        flowing = self._flowing.is_set()
        self._flowing.clear()
        try:
            yield
        finally:
            if flowing:
                self._flowing.set()

    def observe(self, observer: Callable[[Line], object]) -> None:
        """Show each message, before anything is done to it."""
        self._observers.append(observer)

    # --- what the pump asks

    def _add(self, rule: Rule) -> Rule:
        self._rules.append(rule)
        return rule

    def wait_for_flow(self) -> None:
        """Come back when nothing is stalled."""
        while not self._flowing.wait(0.01):
            if self._closing.is_set():
                raise _Severed

    def carry(self, line: Line, peer: socket.socket) -> None:
        """Do to a message what is to be done, and send on what is left of it."""
        for observer in list(self._observers):
            observer(line)
        if self.delay:
            time.sleep(self.delay)
        data, sever = line.raw, False
        for rule in list(self._rules):
            outcome = rule.apply(line)
            if outcome is not None:
                data, sever = outcome
                break
        self.wait_for_flow()
        if self._cut_at is not None and self.forwarded + len(data) >= self._cut_at:
            data, sever = data[: self._cut_at - self.forwarded], True
            self._cut_at = None
        self.forwarded += len(data)
        if not sever:
            self._send(data, peer)
            return
        with self.opposite.stalled():  # or an answer might be faster than the cut
            self._send(data, peer)
            self._sever()
        raise _Severed

    def _send(self, data: bytes, peer: socket.socket) -> None:
        step = self.split or len(data) or 1
        for start in range(0, len(data), step):
            peer.sendall(data[start : start + step])


class Proxy:
    """The proxy; use it in a with-block.

    Arguments:
        url: of the server, which is not TLS.
        buffer: of the sockets, in bytes; small ones let a stall be felt soon. 0: the system's.

    Attributes:
        url: what clients connect to.
        up, down: the directions to and from the server.
        connections: how many there have been.
        refusing: whether new connections are closed at once.
    """

    def __init__(self, url: str, *, buffer: int = 0) -> None:
        parts = urllib.parse.urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._target = (parts.hostname, parts.port)
        self._buffer = buffer
        self._lock = threading.Lock()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._listener = Listener(self._connect, buffer=buffer)
        login = parts.netloc.rpartition("@")[0]
        self.url = f"nats://{login}{'@' if login else ''}127.0.0.1:{self._listener.port}"
        self.connections = 0
        self.refusing = False
        self.up = Direction(self.sever, self._listener.closing)
        self.down = Direction(self.sever, self._listener.closing)
        self.up.opposite, self.down.opposite = self.down, self.up

    def __enter__(self) -> Proxy:
        self._listener.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.close(self.sever)

    # --- what a test says

    def answers(self, predicate: Predicate) -> Predicate:
        """A message from the server that answers a request of which the predicate is true."""
        replies: set[str] = set()

        def note(line: Line) -> None:
            if line.reply and predicate(line):
                replies.add(line.reply)

        self.up.observe(note)
        return lambda line: line.verb in ("MSG", "HMSG") and line.subject in replies

    def sever(self, *, reset: bool = False) -> None:
        """End all present connections: in good order, or with a reset."""
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            for each in pair:
                with contextlib.suppress(OSError):
                    if reset:
                        each.setsockopt(
                            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                        )
                    each.shutdown(socket.SHUT_RDWR)

    # --- the pumps

    def _connect(self, client: socket.socket) -> None:
        if self.refusing:
            client.close()
            return
        try:
            server = socket.create_connection(self._target, PATIENCE)
        except OSError:  # the server is down
            client.close()
            return
        server.settimeout(None)
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._buffer:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._buffer)
        pair = (client, server)
        with self._lock:
            self._pairs.add(pair)
            self.connections += 1
        self._listener.start(self._carry, pair)

    def _carry(self, pair: tuple[socket.socket, socket.socket]) -> None:
        """Both directions of a connection, until one of them ends."""
        client, server = pair
        back = threading.Thread(target=self._pump, args=(server, client, self.down), daemon=True)
        back.start()
        self._pump(client, server, self.up)
        back.join()
        with self._lock:
            self._pairs.discard(pair)
        for each in pair:
            each.close()

    def _pump(self, source: socket.socket, peer: socket.socket, direction: Direction) -> None:
        try:
            for line in _lines(source, direction):
                direction.carry(line, peer)
        except (OSError, _Severed):
            pass
        finally:
            for each in (source, peer):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)


def _lines(source: socket.socket, direction: Direction) -> Iterator[Line]:
    """Whole commands, as they come."""
    buffer = bytearray()
    while True:
        end = buffer.find(b"\r\n")
        size = _size(bytes(buffer[:end]), end) if end >= 0 else 0
        if end < 0 or len(buffer) < size:
            direction.wait_for_flow()
            received = source.recv(1 << 18)
            if not received:
                return
            buffer += received
            continue
        raw = bytes(buffer[:size])
        del buffer[:size]
        yield _line(raw, end)


def _size(head: bytes, end: int) -> int:
    """Of a whole command, in bytes, by its first line."""
    words = head.split()
    payload = int(words[-1]) + 2 if words and words[0].upper() in _WITH_PAYLOAD else 0
    return end + 2 + payload


def _line(raw: bytes, end: int) -> Line:
    verb, *words = raw[:end].decode("utf-8", "surrogateescape").split() or [""]
    verb = verb.upper()
    subject = words[0] if verb in ("PUB", "HPUB", "SUB", "MSG", "HMSG") else ""
    # [reply] and the sizes follow the subject, and in what a server sends the sid.
    sizes = {"PUB": 1, "HPUB": 2, "MSG": 2, "HMSG": 3}.get(verb)
    reply = ""
    if sizes is not None and len(words) == sizes + 2:
        reply = words[1] if verb.endswith("PUB") else words[2]
    return Line(verb, subject, reply, raw[end + 2 : -2] if sizes else b"", raw)
