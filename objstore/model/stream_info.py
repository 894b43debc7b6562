"""What a server tells of a bucket's stream, as records. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from objstore.wire.jetstream.times import parse_time

__all__ = [
    "LostStreamData",
    "StreamAlternate",
    "StreamInfo",
    "StreamState",
    "parse_stream_info",
    "parse_stream_time",
]

#: Go's zero time, which means: never.
_NEVER = datetime(1, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class LostStreamData:
    """Messages that a stream's storage lost.

    Attributes:
        msgs: the lost messages' sequences.
        bytes: the lost messages' size.

    Source: ``LostStreamData`` of nats-server.
    """

    msgs: tuple[int, ...] = ()
    bytes: int = 0


@dataclass(frozen=True)
class StreamState:
    """What a stream holds.

    Attributes:
        messages: how many there are, chunks and metadata together.
        bytes: the bytes that they take, headers and overhead included.
        first_seq, last_seq: the numbers of the oldest and the newest message.
        first_ts, last_ts: when these were stored; None in an empty stream.
        num_subjects: how many subjects have messages.
        subjects: the number of messages of each, where it was asked for.
        num_deleted: how many numbers in between are gone.
        deleted: these numbers, where they were asked for.
        lost: what the storage lost; None: nothing.
        consumer_count: how many consumers the stream has.

    Source: ``StreamState`` of nats-server.
    """

    messages: int = 0
    bytes: int = 0
    first_seq: int = 0
    first_ts: datetime | None = None
    last_seq: int = 0
    last_ts: datetime | None = None
    num_subjects: int = 0
    subjects: Mapping[str, int] = field(default_factory=dict)
    num_deleted: int = 0
    deleted: tuple[int, ...] = ()
    lost: LostStreamData | None = None
    consumer_count: int = 0


@dataclass(frozen=True)
class StreamAlternate:
    """A mirror that answers for the stream.

    Attributes:
        name: the name of its stream.
        domain: the JetStream domain that it is in, or ``""``.
        cluster: the cluster that it is in, or ``""``.

    Source: ADR-59.
    """

    name: str
    domain: str = ""
    cluster: str = ""


@dataclass(frozen=True)
class StreamInfo:
    """What the server tells of a bucket's stream.

    Attributes:
        config: the stream's configuration, as the server's JSON has it.
        state: what the stream holds.
        created: when it was created.
        ts: the server's clock when it told this.
        alternates: its mirrors that answer for it, the nearest first.

    Source: ADR-1 (``STREAM.INFO``).
    """

    config: Mapping[str, Any]
    state: StreamState
    created: datetime | None = None
    ts: datetime | None = None
    alternates: tuple[StreamAlternate, ...] = ()


def parse_stream_info(info: Mapping[str, Any]) -> StreamInfo:
    """Read the answer to ``STREAM.INFO``, or one stream of ``STREAM.LIST``.

    What is missing is empty: servers leave out what is zero.
    """
    return StreamInfo(
        config=info.get("config") or {},
        state=_parse_state(info.get("state") or {}),
        created=parse_stream_time(info.get("created")),
        ts=parse_stream_time(info.get("ts")),
        alternates=tuple(
            StreamAlternate(
                str(each.get("name") or ""),
                str(each.get("domain") or ""),
                str(each.get("cluster") or ""),
            )
            for each in info.get("alternates") or ()
        ),
    )


def _parse_state(state: Mapping[str, Any]) -> StreamState:
    lost = state.get("lost")
    counts = {
        name: int(state.get(name) or 0)
        for name in (
            "messages", "bytes", "first_seq", "last_seq", "num_subjects", "num_deleted",
            "consumer_count",
        )
    }  # fmt: skip
    return StreamState(
        first_ts=parse_stream_time(state.get("first_ts")),
        last_ts=parse_stream_time(state.get("last_ts")),
        subjects=dict(state.get("subjects") or {}),
        deleted=tuple(state.get("deleted") or ()),
        lost=None
        if not lost
        else LostStreamData(tuple(lost.get("msgs") or ()), int(lost.get("bytes") or 0)),
        **counts,
    )


def parse_stream_time(text: object) -> datetime | None:
    """Read a server's time; None where it is missing or zero."""
    try:
        moment = parse_time(text) if isinstance(text, str) else _NEVER
    except ValueError:
        return None
    # Go writes its zero time where there is none, as for an empty stream.
    return moment if moment > _NEVER else None
