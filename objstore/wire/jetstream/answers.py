"""JetStream's answers: acknowledgements, messages read, errors; and those that are awaited."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from objstore.errors import (
    APIError,
    NoRespondersError,
    ObjStoreError,
    api_error,
)
from objstore.wire.codec.protocol import Message
from objstore.wire.connection.requests import PendingReply
from objstore.wire.jetstream.direct import NO_RESPONDERS, NOT_FOUND, StoredMessage, direct_error

__all__ = [
    "PendingAck",
    "PendingGet",
    "PubAck",
    "direct_answer",
    "leader_answer",
    "parse_answer",
    "parse_pub_ack",
]

_PUB_ACK = re.compile(rb'\{"stream":"([A-Za-z0-9_-]+)", ?"seq":([0-9]{1,18})\}')


class PubAck(NamedTuple):
    """JetStream stored a message.

    Attributes:
        stream: where.
        sequence: its number there.
        duplicate: it was known by its ``Nats-Msg-Id``.
    """

    stream: str
    sequence: int
    duplicate: bool


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
    usual = _PUB_ACK.fullmatch(message.payload)  # 0.7 µs, where the JSON takes 3
    if usual is not None:
        return PubAck(usual[1].decode(), int(usual[2]), duplicate=False)
    answer = _json(message.payload, what)
    if "error" in answer:
        raise api_error(answer["error"], what)
    try:
        return PubAck(answer["stream"], int(answer["seq"]), bool(answer.get("duplicate")))
    except (KeyError, TypeError, ValueError):
        raise APIError(f"{what}: an acknowledgement without a sequence: {answer}") from None


class PendingGet:
    """A read of one message, under way; to be closed in any case."""

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
        with self._pending:
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
            with self._pending:
                message = self._pending.result(self._timeout)
            return parse_pub_ack(message, self._what)
        except ObjStoreError as error:
            for name, fact in self._facts.items():
                setattr(error, name, fact)
            raise

    def close(self) -> None:
        """Wait no longer. Never fails."""
        self._pending.close()


def direct_answer(message: Message, subject: str) -> StoredMessage | None:
    """The message that a direct get gave; None: there is none.

    Raises:
        ObjStoreError: it gave another status.
    """
    if message.status == NOT_FOUND:
        return None
    if message.status:
        raise direct_error(message, f"reading {subject}")
    return StoredMessage.of_direct(message)


def leader_answer(message: Message, stream: str) -> StoredMessage | None:
    """The message that the stream's leader gave; None: there is none.

    Raises:
        ObjStoreError: JetStream's error, by the table in :mod:`objstore.errors`.
    """
    what = f"reading stream {stream}"
    answer = _json(message.payload, what)
    if "error" in answer:
        error = api_error(answer["error"], what)
        if isinstance(error, APIError) and error.code == NOT_FOUND:
            return None
        raise error
    try:
        fields = answer["message"]
        return StoredMessage(
            fields["subject"],
            int(fields["seq"]),
            fields["time"],
            base64.b64decode(fields.get("hdrs") or ""),
            base64.b64decode(fields.get("data") or ""),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise APIError(f"{what}: a malformed answer") from error


def parse_answer(message: Message, what: str) -> dict[str, Any]:
    """The JSON of the API's answer.

    Raises:
        ObjStoreError: JetStream's error, by the table in :mod:`objstore.errors`.
    """
    answer = _json(message.payload, what)
    if "error" in answer:
        raise api_error(answer["error"], what)
    return answer


def _json(payload: bytes | memoryview, what: str) -> dict[str, Any]:
    try:
        answer = json.loads(bytes(payload))
    except ValueError as error:
        raise APIError(f"{what}: the answer is not JSON: {bytes(payload[:80])!r}") from error
    if not isinstance(answer, dict):
        raise APIError(f"{what}: the answer is not an object")
    return answer
