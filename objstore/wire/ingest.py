"""Fast-ingest batches (ADR-50): what is said in the reply subjects, and what comes back.

A batch has a number for each of its messages. The server acknowledges every few of them, says at
once when one is missing, and ends the batch there: what it has stored is a prefix.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from objstore.errors import APIError, NoRespondersError, ObjStoreError, api_error
from objstore.wire.direct import NO_RESPONDERS
from objstore.wire.protocol import Message

__all__ = [
    "APPEND",
    "END",
    "MAX_FLOW",
    "NOT_TO_BE_HAD",
    "START",
    "UNKNOWN_BATCH",
    "BatchEnd",
    "FlowAck",
    "Gap",
    "Refusal",
    "ingest_reply",
    "parse_ingest",
]

#: The operations.
START, APPEND, END = 0, 1, 3

#: The most messages for one acknowledgement that a server grants.
MAX_FLOW = 500

#: The server knows no such batch: it ended, or its server was restarted.
UNKNOWN_BATCH = 10208

#: The stream does not take batches, or has too many; it takes messages one by one.
NOT_TO_BE_HAD = frozenset({10205, 10206, 10207, 10211})


class FlowAck(NamedTuple):
    """Messages up to a number are stored.

    Attributes:
        number: that one.
        every: how many messages each acknowledgement is for, from now on.
    """

    number: int
    every: int


class BatchEnd(NamedTuple):
    """The batch is over.

    Attributes:
        stored: how many of its messages are: the first ones.
        sequence: of the last of them in the stream.
    """

    stored: int
    sequence: int


class Gap(NamedTuple):
    """A message is missing; the end of the batch follows."""


class Refusal(NamedTuple):
    """A message was refused.

    Attributes:
        error: why.
        begun: whether this is of a batch that had begun; its end follows then.
    """

    error: ObjStoreError
    begun: bool


def ingest_reply(inbox: str, batch: str, flow: int, number: int, operation: int) -> bytes:
    """The reply subject of a message of a batch in which no message may be missing.

    Arguments:
        inbox: where answers come, below it.
        batch: the batch's own name, unique in the stream, at most 64 characters.
        flow: the most messages for one acknowledgement.
        number: of the message in the batch, from 1.
        operation: :data:`START`, :data:`APPEND` or :data:`END`.
    """
    return f"{inbox}.{batch}.{flow}.fail.{number}.{operation}.$FI".encode()


def parse_ingest(message: Message, what: str) -> FlowAck | BatchEnd | Gap | Refusal:
    """Read an answer.

    Arguments:
        message: it.
        what: was attempted, to begin an error's message with.
    """
    if message.status == NO_RESPONDERS:
        error = NoRespondersError(f"{what}: no stream takes it", code=NO_RESPONDERS)
        return Refusal(error, begun=False)
    try:
        answer = json.loads(bytes(message.payload))
        kind = answer.get("type")
        if kind == "ack":
            return FlowAck(int(answer["seq"]), max(1, int(answer["msgs"])))
        if kind == "gap":
            return Gap()
        if "error" in answer:
            return Refusal(api_error(answer["error"], what), begun=kind == "err")
        return BatchEnd(int(answer.get("count") or 0), int(answer["seq"]))
    except (ValueError, TypeError, KeyError, AttributeError):
        text = bytes(message.payload[:200]).decode("utf-8", "replace")
        return Refusal(APIError(f"{what}: not an answer of JetStream: {text!r}"), begun=False)
