"""The JSON that a record is stored as, whoever wrote it, and the message that it stands in.

Pure data. The field names of ADR-20's JSON stand here and nowhere else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Annotated, Any

import msgspec

from objstore.errors import ObjectCorruptError
from objstore.model.objects import (
    BUCKET,
    MTIME_LATER,
    ObjectInfo,
    ObjectLink,
    ObjectMetaOptions,
    from_fields,
    mtime_of,
    name_of,
    new_info,
    options_for,
)
from objstore.wire.jetstream.answers import StoredMessage
from objstore.wire.jetstream.stored_headers import (
    TTL_MARK,
    is_marker,
    parse_stated_ttl,
    parse_ttl,
)

__all__ = ["encode_info", "parse_info", "parse_stored"]

_NUID = re.compile(r"[0-9A-Za-z_=-]+")

_Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class _Link(msgspec.Struct, forbid_unknown_fields=True):
    bucket: Annotated[str, msgspec.Meta(pattern=f"^{BUCKET.pattern}\\Z")]
    name: str = ""


class _Options(msgspec.Struct, forbid_unknown_fields=True):
    link: _Link | None = None
    max_chunk_size: _Count = 0


class _Record(msgspec.Struct, forbid_unknown_fields=True):
    """ADR-20's record, as it should be.

    One with other fields goes the tolerant way, which keeps them. Of the bucket, the time
    and the revision (nats.js writes one) the stream knows better.
    """

    name: Annotated[str, msgspec.Meta(min_length=1)]
    description: str = ""
    headers: dict[str, list[str]] = {}
    metadata: dict[str, str] = {}
    options: _Options | None = None
    bucket: str = ""
    nuid: str = ""
    size: _Count = 0
    chunks: _Count = 0
    digest: str = ""
    deleted: bool = False
    mtime: str = ""
    revision: int = 0


class _Written(msgspec.Struct, kw_only=True, omit_defaults=True):
    """ADR-20's record as it is written: without what is empty, the time and the revision."""

    name: str
    description: str = ""
    headers: Mapping[str, list[str]] = {}
    metadata: Mapping[str, str] = {}
    options: dict[str, Any] = {}
    bucket: str
    nuid: str
    size: int
    chunks: int
    digest: str = ""
    deleted: bool = False


_KNOWN = frozenset(_Record.__struct_fields__)
_NEVER_LEFT_OUT = frozenset({"name", "bucket", "nuid", "size", "chunks"})
_KNOWN_OPTIONS = frozenset(_Options.__struct_fields__)

_decode = msgspec.json.Decoder(_Record).decode
_encode = msgspec.json.Encoder().encode


def encode_info(info: ObjectInfo) -> bytes:
    """Return the JSON that is stored. ``mtime`` is never among it (ADR-20), nor an empty field."""
    record = _Written(
        name=info.name,
        description=info.description,
        headers=info.header_values,
        metadata=info.metadata,
        options=_option_fields(info.options),
        bucket=info.bucket,
        nuid=info.nuid,
        size=info.size,
        chunks=info.chunks,
        digest=info.digest,
        deleted=info.deleted,
    )
    # Others' fields may hold what msgspec does not write; ours never do, but for lone surrogates
    # that were read.
    if not info.extra:
        try:
            return _encode(record)
        except UnicodeEncodeError:
            pass
    return _encode_foreign(record, info.extra)


def _option_fields(options: ObjectMetaOptions) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    link = options.link
    if link is not None:
        fields["link"] = {"bucket": link.bucket}
        if link.name is not None:
            fields["link"]["name"] = link.name
    if options.chunk_size is not None:
        fields["max_chunk_size"] = options.chunk_size
    return fields


def _encode_foreign(record: _Written, extra: Mapping[str, Any]) -> bytes:
    """Encode again what others wrote: fields of theirs, numbers that are none, lone surrogates."""
    record.options = {**extra.get("options", {}), **record.options}
    fields = {
        name: value
        for name, value in msgspec.structs.asdict(record).items()
        if value or name in _NEVER_LEFT_OUT
    }
    fields.update((name, value) for name, value in extra.items() if name != "options")
    try:
        # Without blanks, as Go writes it.
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # only an escape can carry a lone surrogate
        return json.dumps(fields, separators=(",", ":")).encode()


def parse_info(
    payload: bytes | memoryview, bucket: str, revision: int, time: str | int
) -> ObjectInfo:
    """Read stored metadata, whoever wrote it.

    Tolerated, because other clients write them: a missing nuid, size or digest, ``"mtime": ""``,
    header values that are not lists, values that are not text, null in place of an empty field,
    headers within ``"inner"`` (async-nats before October 2025).
    nats.js writes the target's bucket into a link; the bucket it was read from counts.

    Arguments:
        payload: the JSON.
        bucket: it was read from.
        revision: its sequence in the stream.
        time: when the stream stored it, as the server said it.

    Raises:
        ObjectCorruptError: it is not ADR-20's record.
    """
    record = _read_strictly(payload)
    extra: dict[str, Any] = {}
    if record is None:
        try:
            record, extra = _read_tolerantly(bytes(payload))
        except (ValueError, TypeError, RecursionError) as error:
            # RecursionError: of JSON that is nested without end, which anybody who may publish can
            # store.
            raise ObjectCorruptError(
                f"malformed metadata at revision {revision} of bucket {bucket}: {error}",
                bucket=bucket,
                revision=revision,
            ) from error
    return from_fields(
        {
            "bucket": bucket,
            "name": record.name,
            "description": record.description,
            "size": record.size,
            "chunks": record.chunks,
            "digest": record.digest,
            "metadata": record.metadata,
            "deleted": record.deleted,
            "options": _object_options(record.options),
            "nuid": record.nuid,
            "revision": revision,
            "ttl": None,
            "header_values": record.headers,
            "extra": extra,
            MTIME_LATER: time,
        }
    )


def _object_options(options: _Options | None) -> ObjectMetaOptions:
    if options is None:
        return options_for(None)
    if options.link is None:
        return options_for(options.max_chunk_size or None)
    link = ObjectLink(options.link.bucket, options.link.name or None)
    return ObjectMetaOptions(link, options.max_chunk_size or None)


def _read_strictly(payload: bytes | memoryview) -> _Record | None:
    """Read a record that is as it should be, in 0.6 µs; the tolerant way takes 16."""
    try:
        record = _decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    size, chunks, nuid = record.size, record.chunks, record.nuid
    # What no type says; a record without it goes the tolerant way, which names what is wrong.
    if chunks <= size and (chunks or not size) and nuid.isascii() and nuid.isalnum():
        return record
    return None


# --- as a stream has it


def parse_stored(stored: StoredMessage, bucket: str) -> ObjectInfo:
    """Read a stored record.

    A delete marker, which the server leaves of what has expired (ADR-43), is a tombstone.

    Raises:
        ObjectCorruptError: it is malformed.
    """
    # Other clients take an empty payload for a damaged record: nats.go's list hangs for a minute
    # there.
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
    """Give a record its life time; once that is over, it is a tombstone.

    In a bucket with delete markers the server keeps each message at least as long as a marker,
    a day maybe where a second was asked for. Only there this computer's clock counts.
    """
    stated = parse_stated_ttl(header)
    if stated is None or stated >= ttl:
        return info.with_changes(ttl=ttl)
    if info.mtime is None or info.mtime + stated > datetime.now(timezone.utc):
        return info.with_changes(ttl=stated)
    return info.with_changes(ttl=stated, deleted=True, size=0, chunks=0, digest="")


# --- the tolerant way


def _read_tolerantly(data: bytes) -> tuple[_Record, dict[str, Any]]:
    """Read a record as others are in the habit of writing them, and the fields not known here.

    Raises:
        ValueError, TypeError, RecursionError: it is none.
    """
    fields = json.loads(data)
    if not isinstance(fields, dict):
        raise TypeError("not an object")
    name, size, chunks = (
        _typed(fields, key, kind) for key, kind in (("name", str), ("size", int), ("chunks", int))
    )
    if not name:
        raise ValueError("no name")
    name.encode()  # it stands in subjects, and a lone surrogate cannot
    if not 0 <= size < 1 << 63 or chunks < 0 or (size > 0) != (chunks > 0) or chunks > size:
        raise ValueError(f"size {size} in {chunks} chunks")
    options = _typed(fields, "options", dict)
    extra = {key: value for key, value in fields.items() if key not in _KNOWN}
    unknown = {key: value for key, value in options.items() if key not in _KNOWN_OPTIONS}
    if unknown:
        extra["options"] = unknown
    record = _Record(
        name,
        description=_typed(fields, "description", str),
        headers=_parse_headers(_typed(fields, "headers", dict)),
        metadata={k: _as_text(v) for k, v in _typed(fields, "metadata", dict).items()},
        options=_parse_options(options),
        nuid=_parse_nuid(_typed(fields, "nuid", str)),
        size=size,
        chunks=chunks,
        digest=_typed(fields, "digest", str),
        deleted=bool(fields.get("deleted")),
    )
    return record, extra


def _typed(fields: dict[str, Any], name: str, kind: type[Any]) -> Any:
    """Return a field, or its type's empty value where it is missing or null."""
    value = fields.get(name)
    if value is None:
        return kind()
    # True is an int for Python, and no number for JSON.
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{name} is of type {type(value).__name__}")
    return value


def _parse_nuid(nuid: str) -> str:
    """Check a nuid: it stands in subjects, and a foreign one must not reach beyond its token."""
    # "." or ">" would make the subject of a purge that of other objects' chunks.
    if nuid and not (nuid.isascii() and nuid.isalnum()) and not _NUID.fullmatch(nuid):
        raise ValueError(f"the nuid {nuid!r}")
    return nuid


def _parse_options(options: dict[str, Any]) -> _Options:
    chunk_size = _typed(options, "max_chunk_size", int)
    if chunk_size < 0:
        raise ValueError(f"the chunk size {chunk_size}")
    fields = _typed(options, "link", dict)
    if not fields:
        return _Options(None, chunk_size)
    target = _typed(fields, "bucket", str)
    if not BUCKET.fullmatch(target):
        raise ValueError(f"a link to the bucket {target!r}")
    return _Options(_Link(target, _typed(fields, "name", str)), chunk_size)


def _parse_headers(headers: dict[str, Any]) -> dict[str, list[str]]:
    lists: dict[str, list[str]] = {}
    if len(headers) == 1 and isinstance(inner := headers.get("inner"), dict):
        headers = inner
    for name, value in headers.items():
        # nats-py writes bare texts in place of lists.
        values = value if isinstance(value, list) else [] if value is None else [value]
        lists[name] = [_as_text(item) for item in values]
    return lists


def _as_text(value: object) -> str:
    """Return text as it is, null as nothing, anything else as the JSON that it was."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
