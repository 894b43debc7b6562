"""The codec: whatever way bytes arrive, the same events come out, or a ProtocolError."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.errors import InvalidNameError, InvalidOptionError, ProtocolError
from objstore.wire.codec import commands, protocol
from objstore.wire.codec.commands import (
    MAX_COMMAND,
    check_subject,
    encode_connect,
    encode_publish,
    encode_subscribe,
    encode_unsubscribe,
)
from objstore.wire.codec.protocol import (
    MAX_MESSAGE,
    SLAB_SIZE,
    Err,
    Event,
    Info,
    Message,
    Ok,
    Parser,
    Ping,
    Pong,
    Run,
    encode_headers,
    parse_headers,
)
from tests.wire.codec import fuzz_protocol

pytestmark = pytest.mark.newest_server

SLABS = (16, 64, 4096, SLAB_SIZE)

# --- helpers


def feed(parser: Parser, data: bytes, sizes: Iterable[int] = ()) -> list[Event]:
    """Copy ``data`` into the parser's buffer as a socket would: pieces of ``sizes``, then all."""
    events: list[Event] = []
    steps = iter(sizes)
    at = 0
    while at < len(data):
        with parser.get_buffer() as buffer:
            assert len(buffer) > 0
            count = min(len(buffer), len(data) - at, next(steps, len(data)))
            buffer[:count] = data[at : at + count]
        at += count
        events += parser.received(count)
    return events


def plain(event: Event) -> tuple[Any, ...]:
    """An event in a form that compares by value and tells its kind."""
    if isinstance(event, Message):
        return (
            "Message", event.sid, event.subject, event.reply, event.header, bytes(event.payload)
        )  # fmt: skip
    return (type(event).__name__, *msgspec.structs.astuple(event))


def plains(events: Iterable[Event]) -> list[tuple[Any, ...]]:
    """The same of several, those in a row one by one."""
    found: list[tuple[Any, ...]] = []
    for event in events:
        found += map(plain, event.messages) if isinstance(event, Run) else [plain(event)]
    return found


def wire(message: Message) -> bytes:
    """A message as nats-server writes it."""
    words = [b"HMSG" if message.header else b"MSG", message.subject.encode(), b"%d" % message.sid]
    if message.reply:
        words.append(message.reply.encode())
    if message.header:
        words.append(b"%d" % len(message.header))
    words.append(b"%d" % (len(message.header) + len(message.payload)))
    return b" ".join(words) + b"\r\n" + message.header + bytes(message.payload) + b"\r\n"


def msg(payload: bytes, reply: str = "", header: bytes = b"") -> tuple[bytes, Message]:
    message = Message(7, "a.b", reply, header, payload)
    return wire(message), message


def held(parser: Parser) -> int:
    """How many bytes of memory the parser's buffers take."""
    return len(parser._slab) + (len(parser._body) if parser._body is not None else 0)


HEADER = b"NATS/1.0\r\nA: 1\r\nB: 2\r\nA: 3\r\n\r\n"
TRICKY = b"\r\nPING\r\nMSG a 1 5\r\n+OK\r\n\r\n-ERR 'x'\r"

CASES: dict[str, tuple[bytes, Event]] = {
    "INFO": (b'INFO {"server_id":"x","max_payload":1048576}\r\n',
             Info({"server_id": "x", "max_payload": 1048576})),
    "INFO with blanks": (b'INFO   {"a": [1, {"b": null}]} \t\r\n', Info({"a": [1, {"b": None}]})),
    "INFO after a tab": (b"INFO\t{}\r\n", Info({})),
    "lower-case info": (b'info {"a":"\xc3\xa9"}\r\n', Info({"a": "é"})),
    "PING": (b"PING\r\n", Ping()),
    "lower-case ping": (b"ping\r\n", Ping()),
    "PING with a blank": (b"PING \r\n", Ping()),
    "PONG": (b"PONG\r\n", Pong()),
    "mixed-case pong": (b"pOnG\r\n", Pong()),
    "+OK": (b"+OK\r\n", Ok()),
    "+ok": (b"+ok\r\n", Ok()),
    "-ERR": (b"-ERR 'Authorization Violation'\r\n", Err("Authorization Violation")),
    "-ERR with quotes within": (b"-ERR 'Permissions Violation for Publish to \"a.b\"'\r\n",
                                Err('Permissions Violation for Publish to "a.b"')),
    "-err": (b"-err\t'Stale Connection'\r\n", Err("Stale Connection")),
    "-ERR of bytes that are no text": (b"-ERR '\xff'\r\n", Err("\udcff")),
    "bare -ERR": (b"-ERR\r\n", Err("")),
    "MSG": msg(b"hello"),
    "MSG with reply": msg(b"hello", reply="_INBOX.r.1"),
    "lower-case msg": (b"msg a.b 7 2\r\nhi\r\n", msg(b"hi")[1]),
    "MSG with tabs and several blanks": (b"MSG\ta.b   7 \t 2 \r\nhi\r\n", msg(b"hi")[1]),
    "empty MSG": msg(b""),
    "empty MSG with reply": msg(b"", reply="r"),
    "MSG with CRLF and commands within": msg(TRICKY),
    "MSG of one CRLF": msg(b"\r\n"),
    "MSG of zeros": msg(b"\0" * 100),
    "MSG of a subject in UTF-8": (
        "MSG ä.中 1 2\r\nhi\r\n".encode(), Message(1, "ä.中", "", b"", b"hi")),
    "MSG of a subject that is no text": (
        b"MSG a\xffb 1 2\r\nhi\r\n", Message(1, "a\udcffb", "", b"", b"hi")),
    "MSG of a subject with VT, FF and NUL": (
        b"MSG a\x0bb\x0cc\x00 1 2\r\nhi\r\n", Message(1, "a\x0bb\x0cc\x00", "", b"", b"hi")),
    "MSG of the largest sid": (
        b"MSG a 999999999999999999 0\r\n\r\n", Message(10**18 - 1, "a", "", b"", b"")),
    "HMSG": msg(b"hello", header=HEADER),
    "HMSG with reply": msg(b"hello", reply="r", header=HEADER),
    "lower-case hmsg": (b"hmsg a.b 7 %d %d\r\n%b\r\n" % (len(HEADER), len(HEADER), HEADER),
                        msg(b"", header=HEADER)[1]),
    "HMSG without payload": msg(b"", header=HEADER),
    "HMSG with status": msg(b"", header=b"NATS/1.0 503\r\n\r\n"),
    "HMSG with status and description": msg(b"", header=b"NATS/1.0 404 Message Not Found\r\n\r\n"),
    "HMSG with status and headers": msg(b"", header=b"NATS/1.0 204 EOB\r\nA: 0\r\n\r\n"),
    "HMSG with CRLF and commands within": msg(TRICKY, header=HEADER),
    "HMSG with an empty block": (b"HMSG a.b 7 0 2\r\nhi\r\n", msg(b"hi")[1]),
    "HMSG of a publisher's nonsense block": msg(b"x", header=b"junk"),
}  # fmt: skip

NEXT = (b"MSG n.e.x.t 8 4\r\nnext\r\n", Message(8, "n.e.x.t", "", b"", b"next"))

every_slab = pytest.mark.parametrize("slab", SLABS)


def cases() -> Iterator[tuple[tuple[str, int], bytes, tuple[Any, ...], int]]:
    """Each message with each slab: what to say where it fails, its bytes, its event, the slab."""
    for name, (data, event) in CASES.items():
        for slab in SLABS:
            yield (name, slab), data, plain(event), slab


# --- every message in every way: a test each would take longer to tell than to run


def test_whole() -> None:
    for case, data, event, slab in cases():
        parser = Parser(slab)
        assert plains(feed(parser, data)) == [event], case
        assert parser.unparsed == 0, case


def test_byte_by_byte() -> None:
    """The event comes with the last byte and not before."""
    for case, data, event, slab in cases():
        parser = Parser(slab)
        assert feed(parser, data[:-1], [1] * len(data)) == [], case
        assert parser.unparsed > 0, case
        assert plains(feed(parser, data[-1:])) == [event], case
        assert parser.unparsed == 0, case


def test_split_in_two_at_every_offset() -> None:
    for case, data, event, slab in cases():
        for at in range(1, len(data)):
            parser = Parser(slab)
            assert feed(parser, data[:at]) == [], (case, at)
            assert plains(feed(parser, data[at:])) == [event], (case, at)


def test_trailing_data() -> None:
    """The next message begins right behind, wherever the reads are cut."""
    for case, data, event, slab in cases():
        both = data + NEXT[0]
        for at in range(1, len(both)):
            parser = Parser(slab)
            assert plains(feed(parser, both, [at])) == [event, plain(NEXT[1])], (case, at)
            assert parser.unparsed == 0, (case, at)


@every_slab
@pytest.mark.parametrize("piece", [1, 3, 17, 1000, 1 << 30])
def test_many_at_once(slab: int, piece: int) -> None:
    """All cases one after the other, three times, in pieces of one size."""
    data = b"".join(raw for raw, _ in CASES.values()) * 3
    expected = plains(event for _, event in CASES.values()) * 3
    assert plains(feed(Parser(slab), data, [piece] * len(data))) == expected


# --- messages in a row


def in_a_row(number: int, payload: bytes = b"", *, subject: str = "_INBOX.a.1") -> bytes:
    """One of the answers to one request."""
    return wire(Message(3, subject, "", b"NATS/1.0\r\nN: %d\r\n\r\n" % number, payload))


def test_messages_in_a_row_come_together() -> None:
    """All that have come whole, but for the first; what is cut off comes later."""
    data = b"".join(in_a_row(number, b"x" * 100) for number in range(100))
    parser = Parser()
    first, rest = feed(parser, data[:-1])
    assert isinstance(first, Message)
    assert isinstance(rest, Run)
    assert [each.header[13:-4] for each in rest.messages] == [b"%d" % n for n in range(1, 99)]
    (last,) = feed(parser, data[-1:])
    assert isinstance(last, Message)
    assert parser.unparsed == 0


#: What may stand between messages in a row, or in one's place.
BETWEEN = (
    b"PING\r\n", in_a_row(0, subject="_INBOX.a.2"), in_a_row(0, subject="_INBOX.a.12"),
    wire(Message(3, "_INBOX.a.1", "", b"", b"p" * 50)), in_a_row(0, TRICKY),
    wire(Message(3, "_INBOX.a.1", "r", HEADER, b"")), in_a_row(0, b"l" * 5000),
    wire(Message(33, "_INBOX.a.1", "", HEADER, b"p")), b"HMSG _INBOX.a.1 3 0 0\r\n\r\n",
    b"HMSG _INBOX.a.1 3 12 12\r\nNATS/1.0\r\n\r\nxx",
    *(b"HMSG _INBOX.a.1 3 %b\r\nNATS/1.0\r\n\r\n\r\n" % numbers for numbers in (
        b"12 12", b" 12\t12  ", b"12 11", b"11 12", b"12 1_2", b"+12 12", b"12 12 12", b"12",
        b"12 9999999999999", b"12 012",
    )),
)  # fmt: skip


def outcome(data: bytes, cuts: Iterable[int]) -> tuple[list[tuple[Any, ...]], str]:
    """What is made of bytes in pieces: the events, and what is wrong after them."""
    parser, events = Parser(4096), []
    try:
        for number in [*cuts, len(data)]:
            events += plains(feed(parser, data[:number]))
            data = data[number:]
    except ProtocolError as error:
        return events, str(error)
    return events, f"{parser.unparsed} left"


@given(
    st.lists(st.sampled_from(BETWEEN) | st.integers(1, 20), max_size=6),
    st.lists(st.integers(1, 2000), max_size=12),
)
def test_messages_in_a_row_are_the_same_one_by_one(
    stream: list[bytes | int], cuts: list[int]
) -> None:
    """Wherever it is cut; byte by byte there is never a row."""
    rows = (
        b"".join(in_a_row(n, b"p" * (n * 37 % 150)) for n in range(each))
        if isinstance(each, int)
        else each
        for each in stream
    )
    data = b"".join(rows)
    events, end = outcome(data, cuts)
    others, other_end = outcome(data, [1] * len(data))
    assert end == other_end
    # Of what came together with something that is no protocol nothing is given.
    assert events == others[: len(events)]
    if end.endswith("left"):
        assert events == others


# --- sizes around the edges of the memory


def edges(slab: int) -> set[int]:
    """Payload sizes where a message just fits, or just does not."""
    places = (slab // 2, slab, 2 * slab)
    return {max(0, place + off) for place in places for off in range(-20, 4)}


@pytest.mark.parametrize("header", [b"", HEADER], ids=["MSG", "HMSG"])
@pytest.mark.parametrize("slab", [16, 64, 4096])
def test_payloads_around_the_slab(slab: int, header: bytes) -> None:
    for size in edges(slab):
        payload = bytes(i * 7 % 251 for i in range(size))
        data, message = msg(payload, header=header)
        data += NEXT[0]
        for pieces in ([], [1] * 60, [len(data) - len(NEXT[0]) - 1], [slab // 2 + 1] * 9):
            events = feed(Parser(slab), data, pieces)
            assert plains(events) == [plain(message), plain(NEXT[1])], (size, pieces[:2])


@pytest.mark.parametrize(
    "size",
    [SLAB_SIZE // 2 - 2, SLAB_SIZE // 2 - 1, SLAB_SIZE - 3, SLAB_SIZE, SLAB_SIZE + 1, 300_000],
)
def test_payloads_around_the_real_slab(size: int) -> None:
    payload = bytes(range(256)) * (size // 256 + 1)
    data, message = msg(payload[:size], reply="r", header=HEADER)
    expected = [plain(message), plain(NEXT[1])] * 2
    assert plains(feed(Parser(), (data + NEXT[0]) * 2, [SLAB_SIZE // 3] * 20)) == expected


@pytest.mark.parametrize("trusted", [16, 100, 1000])
@pytest.mark.parametrize("slab", [16, 64, 4096])
def test_payloads_above_the_trusted_size(
    monkeypatch: pytest.MonkeyPatch, slab: int, trusted: int
) -> None:
    """Memory that grows with what comes gives the same messages as memory taken at once."""
    monkeypatch.setattr(protocol, "_TRUSTED_SIZE", trusted)
    sizes = {k * trusted + off for k in (1, 2, 3, 4, 9) for off in (-3, -2, -1, 0, 1)}
    for size in sizes | edges(slab):
        data, message = msg(bytes(i * 5 % 253 for i in range(size)), header=HEADER)
        for pieces in ([], [len(data) - 1], [7] * len(data)):
            events = feed(Parser(slab), data + NEXT[0], pieces)
            assert plains(events) == [plain(message), plain(NEXT[1])], (size, pieces[:1])


def test_a_stated_size_is_not_believed_beyond_the_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays below twice what really came (and the trusted size), whatever is stated."""
    monkeypatch.setattr(protocol, "_TRUSTED_SIZE", 1000)
    parser = Parser(64)
    feed(parser, b"MSG a 1 %d\r\n" % MAX_MESSAGE)
    feed(parser, b"x" * 10)
    assert held(parser) == 64 + 1000
    for came in range(1010, 50_000, 1000):
        feed(parser, b"x" * 1000)
        assert held(parser) <= 64 + 2 * max(came, 1000)


def test_the_largest_message_is_accepted_and_one_byte_more_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(protocol, "MAX_MESSAGE", 5000)
    data, message = msg(b"x" * 5000)
    assert plains(feed(Parser(64), data)) == [plain(message)]
    with pytest.raises(ProtocolError, match="impossible sizes"):
        feed(Parser(64), msg(b"x" * 5001)[0])


def test_a_large_payload_is_not_copied() -> None:
    """It is a view of memory of its own, which the next message leaves alone."""
    data, _ = msg(b"x" * 100_000)
    parser = Parser()
    (first,) = feed(parser, data)
    (second,) = feed(parser, data.replace(b"x", b"y"))
    assert isinstance(first, Message)
    assert isinstance(second, Message)
    assert isinstance(first.payload, memoryview)
    assert first.payload == b"x" * 100_000
    assert second.payload == b"y" * 100_000


@pytest.mark.parametrize("pieces", [[], [1] * 300, [150, 7] * 40])
@pytest.mark.parametrize("size", [33, 64, 65, 1000])
def test_a_large_payload_lands_where_it_is_wanted(size: int, pieces: list[int]) -> None:
    """In a place of just its size; what comes before and after it does not."""
    memory = bytearray(b"." * 3000)
    asked: list[tuple[int, str, bytes, int]] = []

    def place(*what: Any) -> memoryview | None:
        asked.append(what)
        return memoryview(memory)[1000 : 1000 + size]

    data, message = msg(b"x" * size, header=HEADER)
    parser = Parser(64)
    parser.place = place
    events = feed(parser, NEXT[0] + data + NEXT[0], pieces)
    assert plains(events) == [plain(NEXT[1]), plain(message), plain(NEXT[1])]
    assert asked == [(7, "a.b", HEADER, size)]
    assert memory == b"." * 1000 + b"x" * size + b"." * (2000 - size)
    landed = events[1]
    assert isinstance(landed, Message)
    assert isinstance(landed.payload, memoryview)
    assert landed.payload.obj is memory


@pytest.mark.parametrize("offered", [None, 99, 101])
def test_a_place_of_another_size_is_not_used(offered: int | None) -> None:
    memory = bytearray(200)
    parser = Parser(64)
    parser.place = lambda *_: None if offered is None else memoryview(memory)[:offered]
    data, message = msg(b"x" * 100)
    assert plains(feed(parser, data + NEXT[0])) == [plain(message), plain(NEXT[1])]
    assert not any(memory)


def test_a_size_that_is_not_believed_has_no_place() -> None:
    parser = Parser(64)
    parser.place = lambda *_: pytest.fail("it was asked for one")
    feed(parser, b"MSG a 1 %d\r\n" % MAX_MESSAGE)
    feed(parser, b"x" * 1000)


def test_small_payloads_outlive_the_slab() -> None:
    parser = Parser(64)
    (first,) = feed(parser, msg(b"first")[0])
    feed(parser, msg(b"other")[0] * 20)
    assert isinstance(first, Message)
    assert first.payload == b"first"


@pytest.mark.parametrize("length", [4095, 4096, 4097, 20_000])
def test_long_subjects(length: int) -> None:
    """Those that the short way leaves to the other."""
    messages = [
        Message(1, "s" * length, "", b"", b"1"),
        Message(2, "s", "r" * length, b"NATS/1.0\r\n\r\n", b"2"),
        Message(3, "s", "", b"", b"3"),
    ]
    data = b"".join(wire(each) for each in messages)
    for sizes in ((), (length,), (1, 2 * length)):
        assert plains(feed(Parser(), data, sizes)) == plains(messages)


def test_a_long_info_grows_the_slab() -> None:
    """INFO lists a cluster's addresses; it comes through any slab, and so does what follows."""
    fields = {"connect_urls": [f"10.0.0.{i}:4222" for i in range(2000)]}
    data = b"INFO " + json.dumps(fields).encode() + b"\r\n"
    for pieces in ([], [1000] * 100):
        parser = Parser(16)
        events = feed(parser, data + NEXT[0], pieces)
        assert plains(events) == [("Info", fields), plain(NEXT[1])]
        assert held(parser) <= 4 * len(data)


def test_unparsed_counts_what_waits() -> None:
    """In the slab and in a message's own memory."""
    parser = Parser(64)
    assert parser.unparsed == 0
    feed(parser, b"PI")
    assert parser.unparsed == 2
    feed(parser, b"NG\r\nMSG a 1 100\r\n")
    assert parser.unparsed == 0
    feed(parser, b"x" * 70)
    assert parser.unparsed == 70


# --- errors

BROKEN: dict[str, tuple[bytes, str]] = {
    "an HTTP server": (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n", "HTTP server"),
    "an HTTP server in lower case": (b"http/1.0 200 OK\r\n", "HTTP server"),
    "only HTTP/": (b"HTTP/\r\n", "HTTP server"),
    "TLS handshake": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "looks like TLS"),
    "TLS alert": (b"\x15\x03\x03\x00\x02\x02\x28", "looks like TLS"),
    "random text": (b"220 mail.example.com ESMTP\r\n", "220 mail.*is not the NATS protocol"),
    "random text without an end": (b"SSH-2.0-OpenSSH_9.6", "not the NATS protocol"),
    "random bytes": (bytes(range(128, 200)), "not the NATS protocol"),
    "unknown op": (b"PUB a 1\r\nx\r\n", "PUB a 1.*is not the NATS protocol"),
    "half an op": (b"PIN\r\n", "PIN.*is not the NATS protocol"),
    "an op and more": (b"PINGS\r\n", "not the NATS protocol"),
    "an empty line": (b"\r\n", "not the NATS protocol"),
    "a blank before the op": (b" PING\r\n", "not the NATS protocol"),
    "only blanks": (b"    ", "not the NATS protocol"),
    "line feeds alone": (b"PING\nPONG\r\n", "not the NATS protocol"),
    "no CRLF after a payload": (b"MSG a 1 2\r\nhixPING\r\n", "payload ends with b'xP'"),
    "no CRLF after an empty payload": (b"MSG a 1 0\r\nPING\r\n", "payload ends with b'PI'"),
    "LF CR after a payload": (b"MSG a 1 2\r\nhi\n\r", "payload ends with"),
    "no CRLF after a large payload": (b"MSG a 1 100\r\n" + b"x" * 102, "payload ends with b'xx'"),
    "negative size": (b"MSG a 1 -1\r\n", "malformed numbers"),
    "signed size": (b"MSG a 1 +1\r\n", "malformed numbers"),
    "size with underscores": (b"MSG a 1 1_0\r\n", "malformed numbers"),
    "size in other digits": ("MSG a 1 ٣\r\n".encode(), "malformed numbers"),
    "size of text": (b"MSG a 1 many\r\n", "malformed numbers"),
    "absurd size": (b"MSG a 1 1000000000000\r\n", "absurd numbers"),
    "size of 5,000 digits": (b"MSG a 1 " + b"9" * 5000 + b"\r\n", "absurd numbers"),
    "impossible size": (b"MSG a 1 999999999999\r\n", "impossible sizes"),
    "sid of text": (b"MSG a x 1\r\n", "malformed numbers"),
    "negative sid": (b"MSG a -1 1\r\n", "malformed numbers"),
    "absurd sid": (b"MSG a 1000000000000000000 1\r\n", "absurd numbers"),
    "header size of text": (b"HMSG a 1 x 5\r\n", "malformed numbers"),
    "absurd header size": (b"HMSG a 1 0000000000001 5\r\n", "absurd numbers"),
    "header larger than all": (b"HMSG a 1 6 5\r\n", "impossible sizes"),
    "MSG without arguments": (b"MSG\r\n", "malformed MSG"),
    "MSG with too few": (b"MSG a 1\r\n", "malformed MSG"),
    "MSG with too many": (b"MSG a 1 r 5 6\r\n", "malformed MSG"),
    "HMSG with too few": (b"HMSG a 1 5\r\n", "malformed HMSG"),
    "HMSG with too many": (b"HMSG a 1 r 5 6 7\r\n", "malformed HMSG"),
    "INFO without JSON": (b"INFO\r\n", "malformed JSON"),
    "INFO with half of its JSON": (b'INFO {"a":\r\n', "malformed JSON"),
    "INFO of bytes that are no text": (b'INFO {"a":"\xff"}\r\n', "malformed JSON"),
    "INFO nested too deeply": (b"INFO " + b"[" * 200_000 + b"\r\n", "malformed JSON"),
    "INFO with a list": (b"INFO [1]\r\n", "something other than an object"),
    "INFO with null": (b"INFO null\r\n", "something other than an object"),
}


def check_refused(case: str, words: str, parser: Parser, data: bytes, sizes: list[int]) -> None:
    """Feed what is no protocol, and compare what is said of it."""
    refusal = ""
    try:
        feed(parser, data, sizes)
    except ProtocolError as error:
        refusal = str(error)
    assert re.search(words, refusal), f"{case}: {refusal}"


def test_errors_say_what_was_wrong() -> None:
    for case, (data, words) in BROKEN.items():
        for slab in SLABS:
            check_refused(f"{case}, {slab}", words, Parser(slab), data, [])


def test_errors_after_a_good_message() -> None:
    for case, (data, words) in BROKEN.items():
        parser = Parser(64)
        assert plains(feed(parser, NEXT[0])) == [plain(NEXT[1])]
        check_refused(case, words, parser, data, [])


def test_errors_byte_by_byte() -> None:
    """Refused all the same; an HTTP server is named as such although it comes in pieces."""
    for case, (data, words) in BROKEN.items():
        known = words if "HTTP" in words or "TLS" in words else "."
        check_refused(case, known, Parser(16), data, [1] * min(len(data), 300))


@every_slab
def test_nonsense_is_refused_before_its_end(slab: int) -> None:
    """Nobody waits for a newline that never comes."""
    with pytest.raises(ProtocolError, match="not the NATS protocol"):
        feed(Parser(slab), b"X")


@pytest.mark.parametrize("pieces", [[], [1] * 500], ids=["whole", "byte by byte"])
@pytest.mark.parametrize("slab", [16, 64, 1024])
def test_the_longest_line(monkeypatch: pytest.MonkeyPatch, slab: int, pieces: list[int]) -> None:
    """A line of the limit is taken and one of a byte more is not, wherever reads are cut."""
    monkeypatch.setattr(protocol, "MAX_LINE", 200)
    line = b'INFO {"a":"' + b"x" * 187 + b'"}'
    assert len(line) == 200
    assert len(feed(Parser(slab), line + b"\r\n", pieces)) == 1
    with pytest.raises(ProtocolError, match=r"a line of more than 200 bytes, beginning b'INFO {"):
        feed(Parser(slab), line + b" \r\n", pieces)


def test_a_line_without_end_takes_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MAX_LINE", 1000)
    parser = Parser(64)
    with pytest.raises(ProtocolError, match="more than 1000 bytes"):
        feed(parser, b"INFO " + b"x" * 100_000)
    assert held(parser) <= 2 * 1024


# --- Message


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (b"", 0),
        (HEADER, 0),
        (b"NATS/1.0\r\n\r\n", 0),
        (b"NATS/1.0 503\r\n\r\n", 503),
        (b"NATS/1.0 404 Message Not Found\r\n\r\n", 404),
        (b"NATS/1.0 100 Idle Heartbeat\r\nA: 1\r\n\r\n", 100),
        (b"NATS/1.0   204 EOB\r\n\r\n", 204),
        (b"NATS/1.0 x\r\n\r\n", 0),
        (b"NATS/1.0 50\r\n\r\n", 0),
        (b"NATS/1.0 ", 0),
        (b"junk", 0),
    ],
)
def test_status(header: bytes, status: int) -> None:
    assert Message(1, "a", "", header, b"").status == status


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"A", b"3"),
        (b"B", b"2"),
        (b"Spaced", b"x y"),
        (b"Empty", b""),
        (b"Colon", b"a:b"),
        (b"Missing", None),
        (b"a", None),
        (b"NATS/1.0 200 A", None),
    ],
)
def test_value(name: bytes, value: bytes | None) -> None:
    """The last value of the name, exactly spelled; never a part of another header."""
    block = (
        b"NATS/1.0 200 A: 9\r\nXA: 8\r\nA: 1\r\nB:2\r\nA: 3\r\n"
        b"Spaced: \t x y \r\nEmpty:\r\nColon: a:b\r\n\r\n"
    )
    assert Message(1, "a", "", block, b"").value(name) == value


def test_value_of_an_unfinished_block() -> None:
    """A publisher's own block goes through a server as it is; nothing is cut off."""
    assert Message(1, "a", "", b"NATS/1.0\r\nA: 12", b"").value(b"A") == b"12"


def test_value_without_headers() -> None:
    assert Message(1, "a", "", b"", b"").value(b"A") is None


def test_repr_has_no_payload() -> None:
    text = repr(Message(1, "a.b", "r", b"", b"secret" * 1000))
    assert text == "Message(sid=1, subject='a.b', reply='r', header=b'', payload of 6000 bytes)"


# --- headers


@pytest.mark.parametrize(
    ("block", "parsed"),
    [
        (b"NATS/1.0\r\n\r\n", (0, "", {})),
        (b"NATS/1.0 503\r\n\r\n", (503, "", {})),
        (b"NATS/1.0 404 Message Not Found\r\n\r\n", (404, "Message Not Found", {})),
        (b"NATS/1.0 100 Idle Heartbeat\r\nA: 1\r\n\r\n", (100, "Idle Heartbeat", {"A": ["1"]})),
        (b"NATS/1.0  503  two  blanks \r\n\r\n", (503, "two  blanks", {})),
        (HEADER, (0, "", {"A": ["1", "3"], "B": ["2"]})),
        (b"NATS/1.0\r\na:1\r\nA:\r\n\r\n", (0, "", {"a": ["1"], "A": [""]})),
        (b"NATS/1.0\r\nA: \t b : c\t \r\n\r\n", (0, "", {"A": ["b : c"]})),
        (b"NATS/1.0\r\nA: \xff\xc3\xa9\r\n\r\n", (0, "", {"A": ["\udcffé"]})),
        (b"NATS/1.0\r\nA: \x0bx\x0c\r\n\r\n", (0, "", {"A": ["\x0bx\x0c"]})),
    ],
)
def test_parse_headers(block: bytes, parsed: tuple[int, str, dict[str, list[str]]]) -> None:
    assert parse_headers(block) == parsed


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (b"", "malformed headers"),
        (b"NATS/1.0", "malformed headers"),
        (b"NATS/1.0\r\n", "malformed headers"),
        (b"NATS/1.0\r\nA: 1\r\n", "malformed headers"),
        (b"NATS/1.0\r\nA: 1", "malformed headers"),
        (b"NATS/1.0\r\n\r\nx", "malformed headers"),
        (b"HTTP/1.1 200\r\n\r\n", "malformed headers"),
        (b"NATS/2.0\r\n\r\n", "malformed headers"),
        (b"NATS/1.0\n\n", "malformed headers"),
        (b"NATS/1.05\r\n\r\n", "malformed status"),
        (b"NATS/1.0503\r\n\r\n", "malformed status"),
        (b"NATS/1.0 OK\r\n\r\n", "malformed status"),
        (b"NATS/1.0 -50\r\n\r\n", "malformed status"),
        (b"NATS/1.0 5\r\n\r\n", "malformed status"),
        (b"NATS/1.0 " + b"5" * 5000 + b"\r\n\r\n", "malformed status"),
        (b"NATS/1.0\r\nno colon\r\n\r\n", "malformed header line: b'no colon'"),
        (b"NATS/1.0\r\n: no name\r\n\r\n", "malformed header line"),
        (b"NATS/1.0\r\n  : no name\r\n\r\n", "malformed header line"),
        (b"NATS/1.0\r\nA: 1\r\n\r\nB: 2\r\n\r\n", "malformed header line"),
    ],
)
def test_parse_headers_refuses(block: bytes, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        parse_headers(block)


def test_encode_headers() -> None:
    headers = {"A": "1", "B": ["2", "3"], "C": ("é",), "D": iter(["x:y"]), "E": []}
    assert encode_headers(headers) == (
        b"NATS/1.0\r\nA: 1\r\nB: 2\r\nB: 3\r\nC: \xc3\xa9\r\nD: x:y\r\n\r\n"
    )
    assert encode_headers({}) == b"NATS/1.0\r\n\r\n"


@pytest.mark.parametrize(
    "name", ["", " ", "A B", "A:", "A\r\nB", "A\n", "A\0", "\x7f", "é", "A\t", 5, None, b"A"]
)
def test_encode_headers_refuses_names(name: Any) -> None:
    with pytest.raises(InvalidOptionError, match="a header cannot be named"):
        encode_headers({name: "x"})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("a\rb", "CR, LF or NUL"),
        ("a\nb", "CR, LF or NUL"),
        ("a\r\nInjected: yes", "CR, LF or NUL"),
        ("a\0", "CR, LF or NUL"),
        (["ok", "a\n"], "CR, LF or NUL"),
        ("\ud800", "not valid text"),
        (5, "type int, not str"),
        (None, "type NoneType, not str"),
        (b"bytes", "type bytes, not str"),
        (bytearray(b"b"), "type bytearray, not str"),
        (["ok", 5], "type int, not str"),
        ([b"bytes"], "type bytes, not str"),
        ([["nested"]], "type list, not str"),
    ],
)
def test_encode_headers_refuses_values(value: Any, words: str) -> None:
    with pytest.raises(InvalidOptionError, match=words) as caught:
        encode_headers({"Name": value})
    assert "Name" in str(caught.value)


HEADER_NAMES = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=":"), min_size=1
)
HEADER_VALUES = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]))


@given(st.dictionaries(HEADER_NAMES, st.lists(HEADER_VALUES, min_size=1, max_size=4), max_size=5))
def test_headers_round_trip(headers: dict[str, list[str]]) -> None:
    """What is written is read again, in order, but for the blanks and tabs around values."""
    stripped = {name: [value.strip(" \t") for value in values] for name, values in headers.items()}
    assert parse_headers(encode_headers(headers)) == (0, "", stripped)


@given(st.one_of(st.binary(max_size=60), st.binary(max_size=60).map(lambda b: b"NATS/1.0" + b)))
def test_arbitrary_header_blocks(block: bytes) -> None:
    """Only ProtocolError comes out, and both readers of a status agree."""
    message = Message(1, "a", "", block, b"")
    message.value(b"A")
    try:
        status, _, _ = parse_headers(block)
    except ProtocolError:
        assert 0 <= message.status <= 999
    else:
        assert message.status == status or block[8:9] == b"\t"


# --- commands to bytes


def server_reads(command: bytes) -> list[bytes]:
    """Split a command as nats-server's parser does: blanks and tabs, up to CR LF."""
    assert command.endswith(b"\r\n")
    assert b"\r\n" not in command[:-2]
    return command[:-2].replace(b"\t", b" ").split()


def published(subject: bytes, reply: bytes, size: int, header: bytes = b"") -> bytes:
    """The line of a publish, and its header block."""
    payload = b"." * size
    data = b"".join(encode_publish(subject, payload, reply, header))
    assert data.endswith(payload + b"\r\n")
    return data[: -size - 2]


@pytest.mark.parametrize("size", [0, 12, 100_000])
@pytest.mark.parametrize("reply", [b"", b"_INBOX.r"])
def test_encode_publish(reply: bytes, size: int) -> None:
    words = server_reads(published(b"a.b", reply, size))
    assert words == [word for word in (b"PUB", b"a.b", reply, b"%d" % size) if word]


@pytest.mark.parametrize("size", [0, 12, 100_000])
@pytest.mark.parametrize("reply", [b"", b"_INBOX.r"])
def test_encode_publish_with_headers(reply: bytes, size: int) -> None:
    header = encode_headers({"A": "1"})
    data = published(b"a.b", reply, size, header)
    line, block = data[: -len(header)], data[-len(header) :]
    sizes = (b"%d" % len(header), b"%d" % (len(header) + size))
    assert server_reads(line) == [w for w in (b"HPUB", b"a.b", reply, *sizes) if w]
    assert block == header


def test_a_small_payload_is_one_piece() -> None:
    """Whatever kind of buffer it is."""
    for payload in (b"abc", bytearray(b"abc"), memoryview(b"abc")):
        assert encode_publish(b"s", payload) == [b"PUB s  3\r\nabc\r\n"]
    assert encode_publish(b"s", b"", b"r", b"H") == [b"HPUB s r 1 1\r\nH\r\n"]


def test_a_large_payload_is_a_piece_of_its_own() -> None:
    payload = bytearray(100_000)
    head, body, end = encode_publish(b"s", payload, b"r")
    assert (head, end) == (b"PUB s r 100000\r\n", b"\r\n")
    assert body is payload


def test_encode_connect() -> None:
    """One line of JSON, whatever text is in it."""
    fields = {"verbose": False, "pass": 'a"b\r\nPUB x 0\r\n', "name": "é\ud800"}
    data = encode_connect(fields)
    assert data.startswith(b"CONNECT {")
    assert data.count(b"\r\n") == 1
    assert data.endswith(b"\r\n")
    assert json.loads(data[8:]) == fields


def test_encode_subscribe() -> None:
    assert server_reads(encode_subscribe(b"a.>", 3)) == [b"SUB", b"a.>", b"3"]
    assert server_reads(encode_subscribe(b"a", 3, b"q")) == [b"SUB", b"a", b"q", b"3"]


def test_encode_unsubscribe() -> None:
    assert encode_unsubscribe(3) == b"UNSUB 3\r\n"
    assert encode_unsubscribe(3, 10) == b"UNSUB 3 10\r\n"
    assert encode_unsubscribe(3, 0) == b"UNSUB 3 0\r\n"


def test_ping_and_pong() -> None:
    assert plains(feed(Parser(), commands.PING + commands.PONG)) == [("Ping",), ("Pong",)]


def test_commands_of_the_longest_line() -> None:
    """4,096 bytes pass, one more does not; a header block is not part of the line."""
    fits = b"s" * (MAX_COMMAND - len(published(b"", b"", 1)) + len(b"\r\n"))
    longest = published(fits, b"", 1)
    assert len(longest) == MAX_COMMAND + len(b"\r\n")
    assert server_reads(longest) == [b"PUB", fits, b"1"]
    with pytest.raises(InvalidNameError, match=r"4097 bytes.*accepts 4096.*name is too long"):
        published(fits + b"s", b"", 1)
    header = encode_headers({"A": "x" * 5000})
    assert published(b"s" * 4000, b"", 1, header).endswith(header)
    with pytest.raises(InvalidNameError, match="too long"):
        published(b"s" * 4090, b"", 1, header)
    with pytest.raises(InvalidNameError, match="too long"):
        published(b"s", b"r" * 4096, 1)
    with pytest.raises(InvalidNameError, match="too long"):
        encode_subscribe(b"s" * 4096, 1)


@pytest.mark.parametrize("subject", ["a", "a.b.c", "a.*.>", "$JS.x", "ä.中", "a\xa0b", "a" * 9000])
def test_subjects(subject: str) -> None:
    assert check_subject(subject) == subject.encode()


@pytest.mark.parametrize(
    "subject",
    ["", " ", "a b", "a\tb", "a\r\nPING", "a\n", "\r", "a\0b", "a\x0bb", "a\x0c", "a\x7f", "\x1f"],
)
def test_subjects_refused(subject: str) -> None:
    with pytest.raises(InvalidNameError, match="white space or control") as caught:
        check_subject(subject, "reply subject")
    assert caught.value.subject == subject
    assert str(caught.value).startswith("the reply subject ")


@pytest.mark.parametrize("subject", ["\ud800", "a.\udcff", b"bytes", None, 5])
def test_subjects_that_are_no_text(subject: Any) -> None:
    with pytest.raises(InvalidNameError, match="not valid text"):
        check_subject(subject)


# --- any stream, any split

SUBJECTS = st.text(
    st.characters(exclude_characters=" \t\r\n", exclude_categories=["Cs"]),
    min_size=1,
    max_size=20,
)
HEADER_BLOCKS = st.dictionaries(HEADER_NAMES, st.lists(HEADER_VALUES, max_size=2), max_size=2).map(
    lambda headers: encode_headers(cast("Mapping[str, Iterable[str]]", headers))
)
MESSAGES = st.builds(
    Message,
    sid=st.integers(0, 10**18 - 1),
    subject=SUBJECTS,
    reply=st.just("") | SUBJECTS,
    header=st.just(b"") | HEADER_BLOCKS,
    payload=st.binary(max_size=200)
    | st.just(TRICKY)
    | st.integers(0, 700).map(lambda count: b"\r\n" * count),
)


@given(
    st.lists(MESSAGES, max_size=8),
    st.lists(st.integers(1, 100), max_size=60),
    st.integers(1, 300),
)
def test_any_messages_in_any_split(
    messages: Sequence[Message], sizes: list[int], slab: int
) -> None:
    """What a server writes is what comes out, however reads are cut and for any slab."""
    parser = Parser(slab)
    events = feed(parser, b"".join(map(wire, messages)), sizes)
    assert plains(events) == plains(messages)
    assert parser.unparsed == 0


# --- fuzz


@given(st.binary(max_size=400))
def test_arbitrary_bytes(data: bytes) -> None:
    """Only ProtocolError comes out, memory stays bounded, and splits do not matter."""
    fuzz_protocol.one_input(data)


#: A place (of the stream's length), how many bytes go there, and what comes.
MUTATIONS = st.tuples(
    st.integers(0, 65_535),
    st.integers(0, 3),
    st.binary(max_size=3) | st.sampled_from([b"\r\n", b" ", b"9"]),
)


@given(
    st.binary(min_size=4, max_size=4),
    st.lists(MESSAGES, min_size=1, max_size=4),
    st.lists(MUTATIONS, min_size=1, max_size=4),
)
def test_mutated_streams(
    choices: bytes, messages: list[Message], mutations: list[tuple[int, int, bytes]]
) -> None:
    """Valid streams with bytes replaced, removed and put in between."""
    stream = bytearray(b"".join(map(wire, messages)))
    for place, removed, put in mutations:
        at = place % (len(stream) + 1)
        stream[at : at + removed] = put
    fuzz_protocol.one_input(choices + stream)


def test_the_fuzz_target_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert fuzz_protocol.mutate(300, seed=1) == 300
    for choice in range(len(fuzz_protocol.SEEDS) + 1):
        fuzz_protocol.after_a_seed(bytes([1, 2, 3, 4, choice]) + b"PING\r\n")
    fuzz_protocol.after_a_seed(b"")
    fuzz_protocol.main(["--runs", "50", "--seed", "2", "--no-atheris"])
    assert capsys.readouterr().out == "50 inputs run, seed 2\n"


def test_the_fuzz_target_notices_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    """A parser that lets another error out, or that depends on splits, does not pass."""

    check_end = Parser._check_end

    def broken(_self: Parser, memory: bytearray, at: int) -> None:
        if threading.current_thread() is threading.main_thread():
            raise IndexError
        check_end(memory, at)  # for a connection of many tests

    monkeypatch.setattr(Parser, "_check_end", broken)
    with pytest.raises(IndexError):
        fuzz_protocol.mutate(300, seed=1)


def test_memory_is_used_again_only_when_nobody_looks_at_it() -> None:
    """The payload of a large message stays as it is for as long as there is a view of it."""
    parser = Parser()

    def receive(fill: bytes, size: int = 300_000) -> Message:
        wire = memoryview(b"MSG a 1 %d\r\n%s\r\n" % (size, fill * size))
        while wire:
            place = parser.get_buffer()
            count = min(len(place), len(wire))
            place[:count] = wire[:count]
            wire = wire[count:]
            for event in parser.received(count):
                assert isinstance(event, Message)
                return event
        raise AssertionError

    def memory(payload: bytes | memoryview) -> object:
        assert isinstance(payload, memoryview)
        return payload.obj

    held = [receive(b"%d" % number).payload for number in range(9)]
    part = held[4][1000:2000]
    assert len({id(memory(payload)) for payload in held}) == 9
    assert all(bytes(payload) == b"%d" % n * 300_000 for n, payload in enumerate(held))
    first, free = memory(held[4]), memory(held[7])
    del held[4], held[6]
    assert any(memory(receive(b"a").payload) is free for _ in range(3))
    kept = [receive(b"b", 299_000).payload for _ in range(20)]
    assert any(memory(payload) is free for payload in kept)
    assert all(memory(receive(b"c").payload) is not first for _ in range(50))
    assert bytes(part) == b"4" * 1000
    assert all(bytes(payload) == b"b" * 299_000 for payload in kept)
    assert sum(map(len, parser._memory._pieces)) <= 14 << 20
    large = [receive(b"d", 5_000_000).payload for _ in range(3)]  # too large to be kept
    assert sum(map(len, parser._memory._pieces)) <= 14 << 20
    assert all(bytes(payload) == b"d" * 5_000_000 for payload in large)
