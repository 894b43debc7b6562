"""JetStream's answers: acknowledgements, messages read, errors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from objstore.errors import (
    APIError,
    NoRespondersError,
    ObjStoreError,
    about,
    api_error,
)
from objstore.wire.codec.protocol import Message
from objstore.wire.connection.requests import NO_RESPONDERS, PendingReply

__all__ = [
    "BATCH_END",
    "NOT_FOUND",
    "NO_RESPONDERS",
    "PendingAck",
    "PubAck",
    "StoredMessage",
    "direct_answer",
    "direct_error",
    "leader_answer",
    "mark_of",
    "parse_answer",
    "parse_pub_ack",
]


# The statuses of direct gets
BATCH_END = 204
NOT_FOUND = 404

_SEQUENCE = b"Nats-Sequence"
_TIME = b"Nats-Time-Stamp"
_SUBJECT = b"Nats-Subject"
_STREAM = b"\r\nNats-Stream: "
# The headers that the server adds, in the order in which it writes them: one search for all.
_OWN_HEADERS = re.compile(
    rb"\r\nNats-Stream: [^\r]*\r\nNats-Subject: ([^\r ]+)\r\nNats-Sequence: ([0-9]+)"
    rb"\r\nNats-Time-Stamp: ([^\r ]+)\r\n"
)


class PubAck(msgspec.Struct, frozen=True, rename={"sequence": "seq"}):
    """The acknowledgement that JetStream stored a message.

    Attributes:
        stream: where.
        sequence: its number there.
        duplicate: whether it was known by its ``Nats-Msg-Id``.
    """

    stream: str
    sequence: int
    duplicate: bool = False


class _Published(PubAck, frozen=True):
    """The answer to a publish: an acknowledgement, or an error, which has the stream, too."""

    error: dict[str, Any] | None = None


class _Stored(msgspec.Struct):
    """A message as the stream's leader gives it, its bytes in base64."""

    subject: str
    seq: int
    time: str
    # Base64 in the JSON; msgspec decodes it where bytes are declared.
    hdrs: bytes = b""
    data: bytes = b""


class _LeaderAnswer(msgspec.Struct):
    message: _Stored | None = None
    error: dict[str, Any] | None = None


_decode_published = msgspec.json.Decoder(_Published).decode
_decode_leader_answer = msgspec.json.Decoder(_LeaderAnswer).decode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode


def parse_pub_ack(message: Message, what: str) -> PubAck:
    """Read the answer to a publish.

    Arguments:
        message: the answer.
        what: was attempted, to begin an error's message with.

    Raises:
        NoRespondersError: no stream takes the subject, at this moment.
        ObjStoreError: JetStream refused the message, by the table in
            :mod:`objstore.errors`.
    """
    # The server itself says so, and not JetStream: no stream listens to the subject.
    if message.header and message.status == NO_RESPONDERS:
        raise NoRespondersError(f"{what}: no stream takes it", code=NO_RESPONDERS)
    try:
        # Nearly all are acknowledgements; anything else is read again below, as plain JSON.
        ack = _decode_published(message.payload)
        if ack.error is None:
            return ack
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    answer = parse_answer(message, what)
    raise APIError(f"{what}: an acknowledgement without a sequence: {answer}")


def mark_of(stream: str) -> bytes:
    """Return what an answer to a direct get has in its header block if this stream gave it."""
    return b"%b%b\r\n" % (_STREAM, stream.encode())


class StoredMessage(msgspec.Struct, gc=False):
    """A message as a stream holds it; not to be changed.

    Attributes:
        subject: the subject that it was published to.
        sequence: its number in the stream.
        time: when it was stored: in the server's text, or in nanoseconds since 1970, where a
            consumer sent it (ADR-15).
        header: its own headers, raw; with the direct get's among them.
        payload: its body.
    """

    subject: str
    sequence: int
    time: str | int
    header: bytes
    payload: bytes | memoryview

    def is_of(self, stream: str) -> bool:
        """Tell of a direct get's message whether this stream gave it, and not a mirror of it."""
        return mark_of(stream) in self.header

    @classmethod
    def of_direct(cls, message: Message) -> StoredMessage:
        """Make a message of the answer to a direct get.

        Raises:
            APIError: a header that every such answer has is missing.
        """
        header = message.header
        # The server writes these four in a row; what a publisher stored stands before them.
        found = _OWN_HEADERS.match(header, header.rfind(_STREAM))
        subject, sequence, stamp = _stated(message) if found is None else found.groups()
        return StoredMessage(
            str(subject, "utf-8", "surrogateescape"),
            int(sequence),
            # The time stays text: few look at it, and parsing it is left to them.
            str(stamp, "ascii", "replace"),
            header,
            message.payload,
        )


def _stated(message: Message) -> tuple[bytes, bytes, bytes]:
    """Return the subject, sequence and time of a direct get's message, wherever they stand.

    Raises:
        APIError: one is missing.
    """
    subject, sequence = message.value(_SUBJECT), message.value(_SEQUENCE)
    stamp = message.value(_TIME)
    if sequence is None or not sequence.isdigit() or stamp is None or subject is None:
        raise APIError(f"a direct get was answered without its headers: {message!r}")
    return subject, sequence, stamp


#: How a header block begins that has no status, and that of what is not there.
_WITHOUT_STATUS, _NOT_FOUND = b"NATS/1.0\r\n", b"NATS/1.0 404"


def direct_answer(message: Message, subject: str) -> StoredMessage | None:
    """Return the message that a direct get gave; None: there is none.

    Raises:
        ObjStoreError: it gave another status.
    """
    header = message.header
    # The first bytes tell nearly all answers apart; others need their status parsed.
    if header.startswith(_WITHOUT_STATUS):
        return StoredMessage.of_direct(message)
    if header.startswith(_NOT_FOUND):
        return None
    if message.status:
        raise direct_error(message, f"reading {subject}")
    return StoredMessage.of_direct(message)


def direct_error(message: Message, what: str) -> ObjStoreError:
    """Translate a status of a direct get that is not an answer."""
    # The status and its description follow the nine characters of "NATS/1.0 ".
    text = message.header[9 : message.header.find(b"\r\n")].decode("ascii", "replace")
    if message.status == NO_RESPONDERS:
        return NoRespondersError(f"{what}: nobody answers direct gets", code=NO_RESPONDERS)
    return APIError(f"{what}: {text}", code=message.status, description=text)


class PendingAck:
    """A publish under way; to be closed, or its result taken, in any case.

    Arguments:
        pending: the reply that is waited for.
        what: was attempted, to begin an error's message with.
        facts: attributes for the error, if it is one.
        timeout: for the acknowledgement, in seconds.
    """

    def __init__(
        self, pending: PendingReply, what: str, facts: Mapping[str, str], timeout: float
    ) -> None:
        self._pending = pending
        self._what = what
        self._facts = facts
        self._timeout = timeout

    def result(self) -> PubAck:
        """Wait for the acknowledgement, and return it.

        Raises: as :meth:`JetStream.publish`.
        """
        try:
            return parse_pub_ack(self._pending.result(self._timeout), self._what)
        except ObjStoreError as error:
            about(**self._facts).tell(error)
            raise

    def close(self) -> None:
        """Give the acknowledgement up: nobody waits for it any more. Never fails."""
        self._pending.close()


def leader_answer(message: Message, stream: str) -> StoredMessage | None:
    """Return the message that the stream's leader gave; None: there is none.

    Raises:
        ObjStoreError: JetStream's error, by the table in :mod:`objstore.errors`.
    """
    what = f"reading stream {stream}"
    try:
        answer = _decode_leader_answer(message.payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        parse_answer(message, what)  # raises, where it is an error
        raise APIError(f"{what}: a malformed answer") from error
    if answer.error is not None:
        refusal = api_error(answer.error, what)
        # The message is missing, not the stream: that would be BucketNotFoundError.
        if isinstance(refusal, APIError) and refusal.code == NOT_FOUND:
            return None
        raise refusal
    found = answer.message
    if found is None:
        raise APIError(f"{what}: a malformed answer")
    return StoredMessage(found.subject, found.seq, found.time, found.hdrs, found.data)


def parse_answer(message: Message, what: str) -> dict[str, Any]:
    """Return the JSON of the API's answer.

    Raises:
        ObjStoreError: JetStream's error, by the table in :mod:`objstore.errors`.
    """
    try:
        answer = _decode_object(message.payload)
    except msgspec.ValidationError as error:
        raise APIError(f"{what}: the answer is not an object") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        shown = bytes(message.payload[:80])
        raise APIError(f"{what}: the answer is not JSON: {shown!r}") from error
    if "error" in answer:
        raise api_error(answer["error"], what)
    return answer
