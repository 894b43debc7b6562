"""JetStream: typed calls of its API, acknowledged publishing, direct gets.

The only room that knows ``$JS.API`` subjects and the headers that JetStream gives a meaning.

Sources: ADR-1 (the JSON API), ADR-31 (direct get and its batches), ADR-43 (message TTL).
"""

from __future__ import annotations

import base64
import json
import queue
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, NamedTuple

from objstore.errors import (
    APIError,
    BucketNotFoundError,
    ConnectionClosedError,
    ConnectionLostError,
    InvalidOptionError,
    NoRespondersError,
    ObjStoreError,
    api_error,
)
from objstore.wire.connection import Connection
from objstore.wire.protocol import Buffer, Message, check_subject, encode_headers
from objstore.wire.requests import publish_parts

__all__ = [
    "BATCH_END",
    "FEATURES",
    "NOT_FOUND",
    "DirectGet",
    "JetStream",
    "PubAck",
    "StoredMessage",
    "direct_error",
    "make_prefix",
    "parse_pub_ack",
    "parse_time",
    "position",
]

# Statuses of direct gets (ADR-31)
BATCH_END = 204
NOT_FOUND = 404
NO_RESPONDERS = 503

ROLLUP = "Nats-Rollup"
EXPECTED_LAST_SUBJECT_SEQUENCE = "Nats-Expected-Last-Subject-Sequence"
MESSAGE_TTL = "Nats-TTL"

_SEQUENCE = b"Nats-Sequence"
_PENDING = b"Nats-Num-Pending"
_TIME = b"Nats-Time-Stamp"
_SUBJECT = b"Nats-Subject"

#: The first nats-server with each feature.
FEATURES: dict[str, tuple[int, int, int]] = {
    "batched direct get": (2, 11, 0),
    "message TTL": (2, 11, 0),
    "fast-ingest batches": (2, 14, 0),
}


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
        BucketNotFoundError: no stream takes the subject.
        ObjStoreError: JetStream refused the message, by the table in
            :mod:`objstore.errors`.
    """
    if message.status == NO_RESPONDERS:
        raise BucketNotFoundError(f"{what}: no stream takes it (no responders)", code=NO_RESPONDERS)
    answer = _json(message.payload, what)
    if "error" in answer:
        raise api_error(answer["error"], what)
    try:
        return PubAck(answer["stream"], int(answer["seq"]), bool(answer.get("duplicate")))
    except (KeyError, TypeError, ValueError):
        raise APIError(f"{what}: an acknowledgement without a sequence: {answer}") from None


@dataclass(frozen=True)
class StoredMessage:
    """A message as a stream holds it.

    Attributes:
        subject: it was published to.
        sequence: its number in the stream.
        time: when it was stored, in the server's text.
        header: its own headers, raw; with the direct get's among them.
        payload: its body.
    """

    subject: str
    sequence: int
    time: str
    header: bytes
    payload: bytes | memoryview

    @classmethod
    def of_direct(cls, message: Message) -> StoredMessage:
        """From the answer to a direct get.

        Raises:
            APIError: a header that every such answer has is missing.
        """
        sequence, stamp = message.value(_SEQUENCE), message.value(_TIME)
        subject = message.value(_SUBJECT)
        if sequence is None or not sequence.isdigit() or stamp is None or subject is None:
            raise APIError(f"a direct get was answered without its headers: {message!r}")
        return cls(
            subject.decode("utf-8", "surrogateescape"),
            int(sequence),
            stamp.decode("ascii", "replace"),
            message.header,
            message.payload,
        )


def parse_time(text: str) -> datetime:
    """A server's time, with a time zone, cut to microseconds.

    Arguments:
        text: RFC 3339 with nanoseconds, or Go's ``2006-01-02 15:04:05.999999999 +0000 UTC``,
            which servers before 2.11 send in headers.

    Raises:
        ValueError: it is neither.
    """
    main, _, fraction = text.strip().replace(" +0000 UTC", "Z").rstrip("Z").partition(".")
    moment = datetime.strptime(main.replace(" ", "T"), "%Y-%m-%dT%H:%M:%S")
    micros = int(fraction[:6].ljust(6, "0")) if fraction else 0
    return moment.replace(microsecond=micros, tzinfo=timezone.utc)


class DirectGet:
    """A batch of direct gets under way: its messages as they come.

    The reader thread puts them into a queue; :meth:`next` takes them out. Nothing is held on
    the server. Memory: what the request allows (``max_bytes``) and one message.

    Attributes:
        subject: of the request.
    """

    def __init__(self, connection: Connection, subject: str, request: Mapping[str, Any]) -> None:
        self.subject = subject
        self._connection = connection
        self._queue: queue.SimpleQueue[Message | ObjStoreError] = queue.SimpleQueue()
        self._reply = connection.inbox.open(self._queue.put)
        try:
            connection.session.transmit(_request_parts(subject, request, self._reply), self)
        except BaseException:
            self.close()
            raise

    def fail(self, error: ObjStoreError) -> None:
        """The connection ended, or the permission is missing."""
        self._queue.put(error)

    def next(self, timeout: float) -> Message | None:
        """The next message, its end marker (status 204) or an error status among them.

        Returns:
            None when nothing came within ``timeout`` seconds.

        Raises:
            ObjStoreError: the connection was lost, or the request is not allowed.
        """
        try:
            item = self._queue.get(timeout=timeout)
        except queue.Empty:
            return None
        if isinstance(item, ObjStoreError):
            raise item
        return item

    def close(self) -> None:
        """Drop what still comes. Never fails."""
        self._connection.session.forget(self)
        self._connection.inbox.close(self._reply)


def _request_parts(subject: str, request: Mapping[str, Any], reply: str) -> list[Buffer]:
    payload = json.dumps(request, separators=(",", ":")).encode()
    return publish_parts(check_subject(subject), payload, reply.encode())


class JetStream:
    """An account's JetStream, through one connection.

    Arguments:
        connection: carries the calls.
        prefix: of the API's subjects; a domain has one of its own.
        timeout: for one call, in seconds.
        patience: how long a call that changes nothing is tried again when the connection
            breaks under it, in seconds.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        prefix: str = "$JS.API",
        timeout: float = 5.0,
        patience: float = 60.0,
    ) -> None:
        check_subject(prefix, "API prefix")
        self.connection = connection
        self.timeout = timeout
        self.patience = patience
        self._prefix = prefix

    # --- what the server is

    @property
    def server_version(self) -> tuple[int, int, int]:
        """The version of the server connected to."""
        text = str(self.connection.session.info.get("version", "0.0.0"))
        numbers = [int(part) for part in text.split("-")[0].split(".") if part.isdigit()]
        major, minor, patch, *_ = [*numbers, 0, 0, 0]
        return major, minor, patch

    def supports(self, feature: str) -> bool:
        """Whether the server has a feature of :data:`FEATURES`."""
        return self.server_version >= FEATURES[feature]

    @property
    def is_clustered(self) -> bool:
        """Whether a stream's leader may be another server than the one connected to."""
        return bool(self.connection.session.info.get("cluster"))

    # --- calls

    def call(
        self, api: str, request: Mapping[str, Any] | None, what: str, *, repeat: bool = True
    ) -> dict[str, Any]:
        """Call the API.

        Arguments:
            api: the rest of the subject, such as ``STREAM.INFO.OBJ_x``.
            request: the JSON to send, or None for an empty message.
            what: is attempted, to begin an error's message with.
            repeat: whether the call may be made again when the connection broke under it.

        Returns:
            The JSON that came.

        Raises:
            NoRespondersError: JetStream is not enabled for this account, or its servers are
                electing a leader.
            RequestTimeoutError: no answer within the time-out.
            ConnectionLostError: no connection, or it broke under a call not to be repeated.
            ObjStoreError: JetStream's answer, by the table in :mod:`objstore.errors`.
        """
        subject = f"{self._prefix}.{api}"
        payload = b"" if request is None else json.dumps(request).encode()
        try:
            message = self._request(subject, payload, repeat=repeat)
        except NoRespondersError as error:
            raise NoRespondersError(
                f"{what}: JetStream does not answer; is it enabled on the server "
                f"and for this account? ({subject})",
                subject=subject,
                code=error.code,
            ) from error
        answer = _json(message.payload, what)
        if "error" in answer:
            raise api_error(answer["error"], what)
        return answer

    def _request(
        self, subject: str, payload: Buffer, *, header: bytes = b"", repeat: bool = True
    ) -> Message:
        """Request, and repeat while connections break under it, if it may be."""
        deadline = time.monotonic() + self.patience
        while True:
            try:
                return self.connection.inbox.request(
                    subject, payload, timeout=self.timeout, header=header
                )
            except ConnectionClosedError:
                raise
            except ConnectionLostError:
                if not repeat or time.monotonic() >= deadline:
                    raise

    # --- streams

    def stream_info(self, stream: str, request: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The configuration and state of a stream.

        Raises:
            BucketNotFoundError: there is none; and as :meth:`call`.
        """
        return self.call(f"STREAM.INFO.{stream}", request, f"stream {stream}")

    def stream_create(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Create a stream; one that exists with the same configuration is fine.

        Raises:
            BucketConfigError: it exists with another, or the server refuses this one; and as
                :meth:`call`.
        """
        name = config["name"]
        return self.call(f"STREAM.CREATE.{name}", config, f"creating stream {name}")

    def stream_update(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Change a stream's configuration.

        Raises:
            BucketNotFoundError, BucketConfigError; and as :meth:`call`.
        """
        name = config["name"]
        return self.call(f"STREAM.UPDATE.{name}", config, f"changing stream {name}")

    def stream_delete(self, stream: str) -> None:
        """Delete a stream with all it holds.

        Raises:
            BucketNotFoundError: there is none; and as :meth:`call`.
        """
        self.call(f"STREAM.DELETE.{stream}", None, f"deleting stream {stream}", repeat=False)

    def streams(self, subject: str) -> Iterator[dict[str, Any]]:
        """All streams that listen on a subject, page by page.

        Raises:
            ObjStoreError: as :meth:`call`.
        """
        offset = 0
        while True:
            request = {"subject": subject, "offset": offset}
            page = self.call("STREAM.LIST", request, "listing streams")
            streams = page.get("streams") or []
            yield from streams
            offset += len(streams)
            if not streams or offset >= int(page.get("total", 0)):
                return

    def purge(self, stream: str, subject: str) -> int:
        """Remove all messages of a subject.

        Returns:
            How many there were.

        Raises:
            BucketNotFoundError, BucketSealedError; and as :meth:`call`.
        """
        answer = self.call(f"STREAM.PURGE.{stream}", {"filter": subject}, f"purging {subject}")
        return int(answer.get("purged", 0))

    # --- messages

    def publish(
        self,
        subject: str,
        payload: Buffer,
        what: str,
        *,
        rollup: bool = False,
        expected_sequence: int | None = None,
        ttl: str | None = None,
    ) -> PubAck:
        """Publish one message and wait until it is stored. It is never sent twice.

        Arguments:
            subject: of the message.
            payload: its body.
            what: is attempted, to begin an error's message with.
            rollup: whether it replaces all earlier messages of its subject.
            expected_sequence: store it only if the subject's last message is this one
                (0: only if it has none).
            ttl: the message's own life time, as Go writes durations.

        Raises:
            RevisionMismatchError: the subject's last message is another.
            RequestTimeoutError, ConnectionLostError: whether it was stored is unknown.
            BucketNotFoundError, BucketSealedError, StorageFullError, APIError: it was not.
        """
        headers: dict[str, str] = {}
        if rollup:
            headers[ROLLUP] = "sub"
        if expected_sequence is not None:
            headers[EXPECTED_LAST_SUBJECT_SEQUENCE] = str(expected_sequence)
        if ttl is not None:
            headers[MESSAGE_TTL] = ttl
        header = encode_headers(headers) if headers else b""
        try:
            message = self._request(subject, payload, header=header, repeat=False)
        except NoRespondersError as error:
            raise BucketNotFoundError(f"{what}: no stream takes {subject}", code=503) from error
        return parse_pub_ack(message, what)

    def last_message(self, stream: str, subject: str) -> StoredMessage | None:
        """The last message of a subject, from the stream's leader: what was acknowledged is seen.

        Raises:
            BucketNotFoundError: there is no such stream; and as :meth:`call`.
        """
        return self._message(stream, {"last_by_subj": subject})

    def message(self, stream: str, sequence: int) -> StoredMessage | None:
        """The message with a number, from the stream's leader."""
        return self._message(stream, {"seq": sequence})

    def _message(self, stream: str, request: Mapping[str, Any]) -> StoredMessage | None:
        try:
            answer = self.call(f"STREAM.MSG.GET.{stream}", request, f"reading stream {stream}")
        except APIError as error:
            if error.code == NOT_FOUND:
                return None
            raise
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
            raise APIError(f"reading stream {stream}: a malformed answer") from error

    def direct_last(self, stream: str, subject: str) -> StoredMessage | None:
        """The last message of a subject, from whichever server answers first.

        Raises:
            NoRespondersError: there is no such stream, or it does not allow direct gets.
            ObjStoreError: as :meth:`call`.
        """
        request = f"{self._prefix}.DIRECT.GET.{stream}.{subject}"
        message = self._request(request, b"")
        if message.status == NOT_FOUND:
            return None
        if message.status:
            raise direct_error(message, f"reading {subject}")
        return StoredMessage.of_direct(message)

    def direct_batch(self, stream: str, request: Mapping[str, Any]) -> DirectGet:
        """Ask for a batch of messages (server 2.11 and later).

        Arguments:
            stream: the stream.
            request: ``next_by_subj`` or ``multi_last``, ``seq``, ``batch``, ``max_bytes`` …
                (ADR-31).

        Raises:
            ConnectionLostError: there is no connection.
        """
        return DirectGet(self.connection, f"{self._prefix}.DIRECT.GET.{stream}", request)


def direct_error(message: Message, what: str) -> ObjStoreError:
    """Translate a status of a direct get that is not an answer."""
    text = message.header[9 : message.header.find(b"\r\n")].decode("ascii", "replace")
    if message.status == NO_RESPONDERS:
        return NoRespondersError(f"{what}: nobody answers direct gets", code=NO_RESPONDERS)
    return APIError(f"{what}: {text}", code=message.status, description=text)


def position(message: Message) -> tuple[int, int]:
    """Where a message of a batch stands: its sequence, and how many of its subject follow.

    Raises:
        APIError: the headers that say so are missing.
    """
    sequence, pending = message.value(_SEQUENCE), message.value(_PENDING)
    if sequence is None or pending is None or not (sequence.isdigit() and pending.isdigit()):
        raise APIError(f"a message of a batch without its position: {message!r}")
    return int(sequence), int(pending)


def _json(payload: bytes | memoryview, what: str) -> dict[str, Any]:
    try:
        answer = json.loads(bytes(payload))
    except ValueError as error:
        raise APIError(f"{what}: the answer is not JSON: {bytes(payload[:80])!r}") from error
    if not isinstance(answer, dict):
        raise APIError(f"{what}: the answer is not an object")
    return answer


def make_prefix(domain: str | None, prefix: str | None) -> str:
    """The prefix of the API's subjects: a domain's, one given, or the usual.

    Raises:
        InvalidOptionError: a domain that cannot stand in a subject, or both were given.
    """
    if domain is None:
        return (prefix or "$JS.API").rstrip(".")
    if prefix is not None:
        raise InvalidOptionError("give a JetStream domain or an API prefix, not both")
    if not domain or any(char <= " " or char in ".*>" for char in domain):
        raise InvalidOptionError(f"{domain!r} cannot be the name of a JetStream domain")
    return f"$JS.{domain}.API"
