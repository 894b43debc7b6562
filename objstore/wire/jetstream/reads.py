"""Requests for single messages of a stream, and the ways there are to ask for them."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from objstore.wire.codec.protocol import Message
from objstore.wire.jetstream.answers import StoredMessage, direct_answer, leader_answer

__all__ = [
    "ReadRequest",
    "Way",
    "count_request",
    "read_of_subject",
    "read_request",
]


class Way(enum.Enum):
    """The ways to ask for a message of a stream; each has a permission of its own."""

    BY_SUBJECT = "DIRECT.GET.<stream>.<subject>, without a payload"
    BY_REQUEST = "DIRECT.GET.<stream>, the subject in the payload"
    LEADER = "STREAM.MSG.GET.<stream>: the stream's leader answers"


class ReadRequest(msgspec.Struct, frozen=True):
    """A request for one message.

    Attributes:
        subject: where it goes; below the API's prefix.
        payload: what it says.
        parse: reads the answer; None where there is no such message.
    """

    subject: str
    payload: bytes
    parse: Callable[[Message], StoredMessage | None]


def read_request(stream: str, what: Mapping[str, Any], way: Way) -> ReadRequest:
    """Make a request of JSON, by any way but BY_SUBJECT."""
    # The leader answers in JSON with the message in base64, a direct get with the message.
    payload = msgspec.json.encode(what)
    if way is Way.LEADER:
        subject = f"STREAM.MSG.GET.{stream}"
        return ReadRequest(subject, payload, lambda message: leader_answer(message, stream))
    # For an error's text: the JSON need not name a subject, as where it asks for a sequence.
    of = f"stream {stream}"
    return ReadRequest(f"DIRECT.GET.{stream}", payload, lambda message: direct_answer(message, of))


def read_of_subject(stream: str, subject: str, sequence: int | None, way: Way) -> ReadRequest:
    """Make the request for a message of a subject.

    Arguments:
        stream: the stream.
        subject: the message's subject.
        sequence: ask for the first message from there on, which is not possible by subject;
            None: ask for the last one.
        way: how to ask.
    """
    if sequence is not None:
        return read_request(stream, {"next_by_subj": subject, "seq": sequence}, way)
    # Only BY_SUBJECT has it in the request's own subject, where permissions can name it.
    if way is not Way.BY_SUBJECT:
        return read_request(stream, {"last_by_subj": subject}, way)
    target = f"DIRECT.GET.{stream}.{subject}"
    return ReadRequest(target, b"", lambda message: direct_answer(message, subject))


def count_request(pattern: str) -> dict[str, Any]:
    """Return what asks ``STREAM.INFO`` how many subjects match, and for the name of none."""
    # An offset beyond all subjects: the page is empty, and the total is in the answer.
    return {"subjects_filter": pattern, "offset": 1 << 40}
