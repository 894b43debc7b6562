"""A record as a message of the stream: its JSON, and what the message itself says of the object."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from objstore.model.objects import ObjectInfo, mtime_of, name_of, new_info
from objstore.model.record_json import parse_info
from objstore.wire.jetstream.direct import StoredMessage
from objstore.wire.jetstream.stored_headers import TTL_MARK, is_marker, parse_stated_ttl, parse_ttl

__all__ = ["parse_stored"]


def parse_stored(stored: StoredMessage, bucket: str) -> ObjectInfo:
    """Read a stored record.

    A delete marker, which the server leaves of what has expired (ADR-43), is a tombstone.

    Raises:
        ObjectCorruptError: it is malformed.
    """
    if not stored.payload and is_marker(stored.header):
        name = name_of(stored.subject) or stored.subject.rpartition(".")[2]
        return new_info(
            bucket, name, deleted=True, revision=stored.sequence, mtime=mtime_of(stored.time)
        )
    info = parse_info(stored.payload, bucket, stored.sequence, stored.time)
    if TTL_MARK not in stored.header:
        return info
    ttl = parse_ttl(stored.header)
    return info if ttl is None else _expiring(info, ttl, stored.header)


def _expiring(info: ObjectInfo, ttl: timedelta, header: bytes) -> ObjectInfo:
    """With its life time; and as a tombstone, once what its writer stated is over.

    In a bucket with delete markers the server keeps each message at least as long as a marker,
    a day maybe where a second was asked for. Only there this computer's clock counts.
    """
    stated = parse_stated_ttl(header)
    if stated is None or stated >= ttl:
        return info.with_changes(ttl=ttl)
    if info.mtime is None or info.mtime + stated > datetime.now(timezone.utc):
        return info.with_changes(ttl=stated)
    return info.with_changes(ttl=stated, deleted=True, size=0, chunks=0, digest="")
