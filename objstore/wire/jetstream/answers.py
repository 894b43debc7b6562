"""JetStream's answers: acknowledgements, messages read, errors; and those that are awaited."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from objstore.errors import (
    APIError,
    NoRespondersError,
    ObjStoreError,
    api_error,
)
from objstore.wire.codec.protocol import Message
from objstore.wire.connection.requests import PendingReply
from objstore.wire.jetstream.direct import NO_RESPONDERS, NOT_FOUND, StoredMessage

__all__ = [
    "PendingAck",
    "PendingGet",
    "PubAck",
    "leader_answer",
    "parse_answer",
    "parse_pub_ack",
]


class PubAck(msgspec.Struct, frozen=True, rename={"sequence": "seq"}):
    """JetStream stored a message.

    Attributes:
        stream: where.
        sequence: its number there.
        duplicate: it was known by its ``Nats-Msg-Id``.
    """

    stream: str
    sequence: int
    duplicate: bool = False


class _Published(PubAck, frozen=True):
    """The answer to a publish; of an error it has the stream, too."""

    error: dict[str, Any] | None = None


class _Stored(msgspec.Struct):
    """A message as the stream's leader gives it, its bytes in base64."""

    subject: str
    seq: int
    time: str
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
    if message.status == NO_RESPONDERS:
        raise NoRespondersError(f"{what}: no stream takes it", code=NO_RESPONDERS)
    try:
        ack = _decode_published(message.payload)
        if ack.error is None:
            return ack
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    answer = parse_answer(message, what)
    raise APIError(f"{what}: an acknowledgement without a sequence: {answer}")


class PendingGet:
    """A read of one message, under way; to be closed, or its result taken, in any case."""

    def __init__(
        self,
        pending: PendingReply,
        parse: Callable[[Message], StoredMessage | None],
        timeout: float,
    ) -> None:
        self._pending = pending
        self._parse = parse
        self._timeout = timeout

    def result(self) -> StoredMessage | None:
        """The message, or None where there is none.

        Raises:
            ObjStoreError: as the call that waits at once.
        """
        return self._parse(self._pending.result(self._timeout))

    def flush_piggybacked(self) -> None:
        """Ask now, if that was to go along with something else. Never fails."""
        self._pending.flush_piggybacked()

    def close(self) -> None:
        """Wait no longer. Never fails."""
        self._pending.close()


class PendingAck:
    """A publish under way; to be closed, or its result taken, in any case."""

    def __init__(
        self, pending: PendingReply, what: str, facts: Mapping[str, str], timeout: float
    ) -> None:
        self._pending = pending
        self._what = what
        self._facts = facts
        self._timeout = timeout

    def result(self) -> PubAck:
        """The acknowledgement.

        Raises: as :meth:`JetStream.publish`.
        """
        try:
            return parse_pub_ack(self._pending.result(self._timeout), self._what)
        except ObjStoreError as error:
            for name, fact in self._facts.items():
                setattr(error, name, fact)
            raise

    def close(self) -> None:
        """Wait no longer. Never fails."""
        self._pending.close()


def leader_answer(message: Message, stream: str) -> StoredMessage | None:
    """The message that the stream's leader gave; None: there is none.

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
        if isinstance(refusal, APIError) and refusal.code == NOT_FOUND:
            return None
        raise refusal
    found = answer.message
    if found is None:
        raise APIError(f"{what}: a malformed answer")
    return StoredMessage(found.subject, found.seq, found.time, found.hdrs, found.data)


def parse_answer(message: Message, what: str) -> dict[str, Any]:
    """The JSON of the API's answer.

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
