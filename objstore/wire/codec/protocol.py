"""The NATS client protocol: bytes to messages. (Commands are :mod:`objstore.wire.codec.commands`.)

Nothing here knows a socket, a thread, a clock or chance: what goes in decides what comes
out, so every case is tested by giving it bytes.

:class:`Parser` owns the memory that is received into. The caller asks for a place with
:meth:`Parser.get_buffer`, fills some of it (``socket.recv_into``), and says how much with
:meth:`Parser.received`, which gives the events that became complete. Small messages are cut
from a slab that is used again and again, at the cost of one copy. A message that does not fit
gets memory of its own, or a place of the user's, into which the rest is received directly: its
payload is never copied again.

Source: the NATS client protocol (docs.nats.io, "Client Protocol"). Header blocks have a module
of their own, :mod:`objstore.wire.codec.headers`, and so have the events,
:mod:`objstore.wire.codec.events`; what callers need of both is given out here as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import msgspec

from objstore.errors import ProtocolError
from objstore.wire.codec.events import Buffer, Err, Event, Info, Message, Ok, Ping, Pong, Run
from objstore.wire.codec.headers import decode_text, encode_headers, parse_headers
from objstore.wire.codec.memory import Memory

__all__ = [
    "Buffer",
    "Err",
    "Event",
    "Info",
    "Message",
    "Ok",
    "Parser",
    "Ping",
    "Place",
    "Pong",
    "Run",
    "encode_headers",
    "parse_headers",
]

#: The longest line accepted from a server. INFO grows with the cluster (its addresses are in
#: it); 1 MiB is far above any seen and still too little to hurt.
MAX_LINE = 1 << 20

#: The largest message accepted. Not ``max_payload``: the server's own answers (a stream's
#: subjects) go beyond that.
MAX_MESSAGE = 256 << 20

#: Up to this size the length that a message states is believed and its memory allocated
#: whole; beyond, memory grows with the bytes that really come.
_TRUSTED_SIZE = 8 << 20

SLAB_SIZE = 64 << 10

#: After a large message another one is likely. So much is received then: its head, and little of
#: its payload, which would have to be copied (a whole slab of it, half of a chunk of 128 KiB).
_HEAD_SIZE = 1024


Place = Callable[[int, str, bytes, int], memoryview | None]


# --- bytes to events


class _Head(msgspec.Struct, frozen=True):
    """What the control line of a message says."""

    sid: int
    subject: str
    reply: str
    header_size: int
    size: int


class Parser:
    """A reader of what a server sends, which makes events of it.

    Memory: one slab, which grows with a long line to about twice :data:`MAX_LINE`, and for a
    message under way that is larger than half the slab its own size (up to
    :data:`MAX_MESSAGE`); of such memory 14 MiB at most are kept for the next ones.

    After it has raised :class:`~objstore.errors.ProtocolError` it must not be used again.
    """

    def __init__(self, slab_size: int = SLAB_SIZE) -> None:
        #: Asked where a large payload shall land, with the subscription's number, the subject, the
        #: header block and the payload's size; None, or a place of another size: anywhere.
        self.place: Place | None = None
        self._slab = bytearray(slab_size)
        self._view = memoryview(self._slab)
        self._start = 0  # slab[start:end] has come and is not parsed
        self._end = 0
        self._scanned = 0  # no line ends before this place
        self._head: _Head | None = None  # the message whose payload is awaited
        self._body: memoryview | None = None  # its memory, where the slab is too small
        self._memory = Memory()
        self._filled = 0  # how much of the body has come
        self._header = b""  # of that message, unless the body begins with it
        self._room = slab_size  # how much of the slab the next bytes may fill, when it is empty
        self._handlers: dict[bytes, Callable[[bytes, list[bytes]], Event | None]] = {
            b"MSG": self._on_msg,
            b"HMSG": self._on_hmsg,
            b"PING": lambda _line, _args: Ping(),
            b"PONG": lambda _line, _args: Pong(),
            b"+OK": lambda _line, _args: Ok(),
            b"-ERR": lambda line, _args: Err(decode_text(line[4:]).strip(" \t'")),
            b"INFO": self._on_info,
        }

    def get_buffer(self) -> memoryview:
        """Return the place for the next bytes, one at least; release it before the next call."""
        body = self._body
        if body is not None and self._filled < len(body):
            return body[self._filled :]
        return self._view[self._end :] if self._end else self._view[: self._room]

    @property
    def unparsed(self) -> int:
        """Number of bytes that have come and belong to no event yet."""
        large = 0 if self._body is None else len(self._header) + self._filled
        return self._end - self._start + large

    def received(self, count: int) -> list[Event]:
        """Take note that ``count`` bytes were put into the buffer.

        Returns:
            The events that are complete now, in order.

        Raises:
            ProtocolError: what came is not the protocol; the message says what it was.
        """
        body = self._body
        if body is None or self._filled == len(body):
            self._end += count
            events: list[Event] = []
            if self._head is None:
                self._take_messages(events)
                if self._start == self._end:  # as nearly always: no part of another is there
                    self._start = self._end = self._scanned = 0
                    self._room = len(self._slab)
                    return events
            return self._parse(events)
        self._filled += count
        if self._filled == len(body) and self._head is not None:
            size = self._head.size - len(self._header)
            if len(body) < size:
                self._grow_body(body, size)
            else:  # the CR LF behind it comes with the next head
                self._room = min(_HEAD_SIZE, len(self._slab))
        return []

    def _parse(self, events: list[Event]) -> list[Event]:
        """Cut whole events off the slab's front, then make room at its end."""
        while True:
            if self._head is None:
                self._take_messages(events)
                if self._start == self._end:
                    break
                event = self._next_line()
            elif self._body is not None:
                event = self._finish_body(self._head, self._body)
            else:
                event = self._next_payload(self._head)
            if event is None:
                break
            if event is not _HEAD_READ:
                events.append(event)
        if self._head is None:
            self._room = len(self._slab)
        self._make_room()
        return events

    def _take_messages(self, events: list[Event]) -> None:
        """Take whole messages off the slab's front, as long as they are as servers write them.

        What is not is left to the other methods, which know all cases, and this one's too. They
        take 3.5 µs for a message that this does in 1.9; listings and all answers feel that.
        """
        slab, view, end = self._slab, self._view, self._end
        start = self._start
        while start < end and (found := _HEAD_LINE.match(slab, start, end)) is not None:
            _, subject, sid, reply, header_size, size = found.groups()
            body = found.end()
            stop = body + int(size)
            if stop + 2 > end or slab[stop : stop + 2] != b"\r\n":
                break
            header = b""
            if header_size is not None:
                split = body + int(header_size)
                if split > stop:
                    break
                header = bytes(view[body:split])
                body = split
            message = Message(
                int(sid),
                str(subject, "utf-8", "surrogateescape"),
                "" if reply is None else decode_text(reply),
                header,
                bytes(view[body:stop]),
            )
            events.append(message)
            first, start = start, stop + 2
            if end - start >= _LEAST_RUN and header and reply is None:
                prefix = bytes(view[first : found.start(5)])
                if slab.startswith(prefix, start):
                    messages, length = _take_run(bytes(view[start:end]), prefix, message)
                    start += length
                    if messages:
                        events.append(Run(messages))
        if start != self._start:
            self._start = self._scanned = start

    def _next_line(self) -> Event | None:
        """Read the next line, and return its event; :data:`_HEAD_READ` where a payload follows."""
        slab, start = self._slab, self._start
        eol = slab.find(b"\r\n", max(start, self._scanned), self._end)
        if eol < 0:
            self._scanned = max(start, self._end - 1)  # the end may be half a CRLF
            self._check_unfinished_line()
            return None
        line = bytes(self._view[start:eol])
        if len(line) > MAX_LINE:
            raise ProtocolError(_endless(line))
        self._start = self._scanned = eol + 2
        # Not split(): a server takes a subject with VT or FF in it and sends it on to us.
        args = line.split(b" ") if b"\t" not in line else line.replace(b"\t", b" ").split(b" ")
        if b"" in args:  # several blanks in a row, or one at the end
            args[1:] = filter(None, args[1:])
        handler = self._handlers.get(args[0].upper())
        if handler is None:
            raise ProtocolError(_foreign(line))
        event = handler(line, args)
        return _HEAD_READ if event is None else event

    def _next_payload(self, head: _Head) -> Message | None:
        """Return the awaited message if the slab has it all; else choose where the rest lands."""
        start, need = self._start, head.size + 2
        if self._end - start < need:
            # It will fit, once _make_room has brought it to the front.
            if need <= len(self._slab) // 2:
                return None
            self._give_own_memory(head)
            return None if self._body is None else self._finish_body(head, self._body)
        stop = start + head.size
        self._check_end(self._slab, stop)
        body = start + head.header_size
        self._start = self._scanned = stop + 2
        self._head = None
        header = bytes(self._view[start:body]) if head.header_size else b""
        return Message(head.sid, head.subject, head.reply, header, bytes(self._view[body:stop]))

    def _give_own_memory(self, head: _Head) -> None:
        """Move the beginning of a large payload out of the slab, once its header has come."""
        start, size = self._start, head.size
        self._header = b""
        if head.header_size <= len(self._slab) // 2:
            stop = start + head.header_size
            if self._end < stop:
                return
            self._header = bytes(self._view[start:stop])
            start, size = stop, head.size - head.header_size
        have = min(self._end - start, size)
        body, is_payload = None, size + head.header_size == head.size
        if self.place is not None and is_payload and size <= _TRUSTED_SIZE:
            body = self.place(head.sid, head.subject, self._header, size)
        if body is None or len(body) != size:
            body = self._memory.take(min(size, max(_TRUSTED_SIZE, 2 * have)))
        body[:have] = self._view[start : start + have]
        self._body, self._filled = body, have
        self._start = self._scanned = start + have

    def _grow_body(self, body: memoryview, size: int) -> None:
        """Give more memory to a large message whose stated size is not believed."""
        grown = memoryview(bytearray(min(size, 2 * len(body))))
        grown[: len(body)] = body
        self._body = grown

    def _finish_body(self, head: _Head, body: memoryview) -> Message | None:
        """Return the large message, once all of it has come, and its end."""
        if self._filled < len(body) or self._end - self._start < 2:
            return None
        self._check_end(self._slab, self._start)
        self._start = self._scanned = self._start + 2
        self._head = self._body = None
        header = self._header
        if len(header) < head.header_size:  # it was too long for the slab
            header, body = bytes(body[: head.header_size]), body[head.header_size :]
        return Message(head.sid, head.subject, head.reply, header, body)

    def _make_room(self) -> None:
        """Bring what is unparsed to the slab's front when the end comes near."""
        if self._start == self._end:
            self._start = self._end = self._scanned = 0
        elif self._start and len(self._slab) - self._end < len(self._slab) // 2:
            left = self._end - self._start
            self._view[:left] = bytes(self._view[self._start : self._end])
            self._scanned = max(0, self._scanned - self._start)
            self._start, self._end = 0, left
        if self._end == len(self._slab):  # one line fills the slab: an INFO, or nonsense
            slab = bytearray(2 * len(self._slab))
            slab[: self._end] = self._view
            self._slab, self._view = slab, memoryview(slab)

    def _check_unfinished_line(self) -> None:
        """Refuse what cannot become a line of the protocol, before its end has come."""
        size = self._end - self._start
        beginning = bytes(self._view[self._start : min(self._end, self._start + 64)])
        if size > MAX_LINE + 1:  # half a CRLF may be among it
            raise ProtocolError(_endless(beginning))
        word = _WORD_END.split(beginning, 1)[0].upper()
        if size and not any(op == word or op.startswith(beginning.upper()) for op in _BEGINNINGS):
            raise ProtocolError(_foreign(beginning))

    @staticmethod
    def _check_end(memory: bytearray | memoryview, at: int) -> None:
        found = bytes(memory[at : at + 2])
        if found != b"\r\n":
            raise ProtocolError(f"a payload ends with {found!r} in place of CR LF")

    # --- the lines

    def _on_info(self, line: bytes, _args: list[bytes]) -> Info:
        try:
            fields = json.loads(line[4:])
        except (ValueError, RecursionError) as error:
            raise ProtocolError(f"INFO with malformed JSON: {line[:80]!r}") from error
        if not isinstance(fields, dict):
            raise ProtocolError(f"INFO with something other than an object: {line[:80]!r}")
        return Info(fields)

    def _on_msg(self, line: bytes, args: list[bytes]) -> None:
        if len(args) == 4:
            _, subject, sid, size = args
            reply = b""
        elif len(args) == 5:
            _, subject, sid, reply, size = args
        else:
            raise ProtocolError(f"malformed MSG: {line[:200]!r}")
        self._expect(line, sid, subject, reply, b"0", size)

    def _on_hmsg(self, line: bytes, args: list[bytes]) -> None:
        if len(args) == 5:
            _, subject, sid, header_size, size = args
            reply = b""
        elif len(args) == 6:
            _, subject, sid, reply, header_size, size = args
        else:
            raise ProtocolError(f"malformed HMSG: {line[:200]!r}")
        self._expect(line, sid, subject, reply, header_size, size)

    def _expect(
        self, line: bytes, sid: bytes, subject: bytes, reply: bytes, header: bytes, total: bytes
    ) -> None:
        """Remember the head of a message whose payload comes next."""
        if not (sid.isdigit() and header.isdigit() and total.isdigit()):
            raise ProtocolError(f"a message with malformed numbers: {line[:200]!r}")
        # Before they are numbers: Python refuses to convert thousands of digits.
        if len(sid) > 18 or len(total) > 12 or len(header) > 12:
            raise ProtocolError(f"a message with absurd numbers: {line[:200]!r}")
        header_size, size = int(header), int(total)
        if header_size > size or size > MAX_MESSAGE:
            raise ProtocolError(f"a message with impossible sizes: {line[:200]!r}")
        self._head = _Head(int(sid), decode_text(subject), decode_text(reply), header_size, size)


#: What a line can begin with; HTTP's is waited for too, so that the error can say what it is.
_BEGINNINGS = (b"MSG", b"HMSG", b"PING", b"PONG", b"+OK", b"-ERR", b"INFO", b"HTTP/")
_WORD_END = re.compile(rb"[ \t\r]")

#: The line of a message as servers write it: one blank between the words. Subjects that are longer
#: are left to the other methods, which do not look at the same bytes again with each that comes.
_HEAD_LINE = re.compile(
    rb"(H)?MSG ([^ \t\r\n]{1,4096}) ([0-9]{1,18}) (?:([^ \t\r\n]{1,4096}) )?"
    rb"(?(1)([0-9]{1,12}) )([0-9]{1,12})\r\n"
)

#: With so many bytes more it is worth to look for a run.
_LEAST_RUN = 2048


def _take_run(data: bytes, prefix: bytes, first: Message) -> tuple[list[Message], int]:
    """Take those messages off the front that begin as the one before them did.

    In 1.2 µs each, where the general way takes 2.6: a listing is of such. (One pattern over them
    all took 4.4, for it looks at each byte.)

    Arguments:
        data: what has come.
        prefix: how the line begins, up to its two lengths.
        first: the message before, with a header block and without a subject for replies.

    Returns:
        The messages that are there as a whole, and the bytes that they take.
    """
    sid, subject = first.sid, first.subject
    messages: list[Message] = []
    start = 0
    while data.startswith(prefix, start):
        numbers = start + len(prefix)
        eol = data.find(b"\r\n", numbers, numbers + 28)
        header_size, _, size = data[numbers:eol].partition(b" ")
        if eol < 0 or not (header_size.isdigit() and size.isdigit()):
            break
        body = eol + 2
        split, stop = body + int(header_size), body + int(size)
        if split > stop or data[stop : stop + 2] != b"\r\n":
            break
        messages.append(Message(sid, subject, "", data[body:split], data[split:stop]))
        start = stop + 2
    return messages, start


#: A line was read that leads to a payload: not an event, but a reason to go on.
_HEAD_READ = Ok()


def _endless(line: bytes) -> str:
    return f"a line of more than {MAX_LINE} bytes, beginning {line[:64]!r}"


def _foreign(line: bytes) -> str:
    """Say what a line is that is not the protocol's."""
    shown = f"the server sent {line[:80]!r}"
    if line[:5].upper() == b"HTTP/":
        return f"{shown}: this is an HTTP server, not a NATS server (is it the monitoring port?)"
    if line[:1] in (b"\x15", b"\x16"):
        return f"{shown}: this looks like TLS; try tls=True, or a tls:// address"
    return f"{shown}, which is not the NATS protocol"
