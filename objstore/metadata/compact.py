"""A record in few bytes, to be kept for each object of a bucket, and read again when it is shown.

What nearly every object has takes 87 bytes and its media type, where the stored JSON has 250 and
an :class:`~objstore.ObjectInfo` some 900. Whatever else an object has is kept as it was stored.
"""

from __future__ import annotations

import binascii
import struct
from datetime import datetime, timedelta, timezone

from objstore.model.objects import (
    DIGEST_PREFIX,
    ObjectInfo,
    encode_digest,
    new_info,
    options_for,
)
from objstore.model.record_json import parse_stored
from objstore.wire.jetstream.answers import StoredMessage
from objstore.wire.jetstream.stored_headers import parse_ttl
from objstore.wire.jetstream.times import exact_text

__all__ = ["ABSENT", "is_tombstone", "pack_record", "revision_in", "unpack_record"]

#: In place of a record: there is none under the name's own subject.
ABSENT = b""

#: The kind of each, its first byte: of a tombstone no more is kept than its revision.
_PLAIN, _TOMBSTONE, _AS_STORED = b"p", b"t", b"s"

#: Kind, revision, microseconds since 1970, size, chunks, chunk size, nuid, digest.
_RECORD = struct.Struct("<cQqQII22s32s")
_HEAD = struct.Struct("<cQ")
#: Then the lengths of the time and of the header.
_STORED = struct.Struct("<cQBI")

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)
_NUID, _CHUNKS = 22, 1 << 32
_MIME = "Content-Type"


def pack_record(info: ObjectInfo, stored: StoredMessage) -> bytes:
    """Pack a record.

    Arguments:
        info: what it says.
        stored: the message that it was read from.
    """
    # A tombstone counts among the stream's subjects, and hides what an older client stored before
    # it: for both its revision is enough.
    if info.deleted and info.ttl is None:
        return _HEAD.pack(_TOMBSTONE, info.revision)
    digest = _plain_digest(info)
    if digest is None or info.mtime is None:
        return _pack_as_stored(stored)
    packed = _RECORD.pack(
        _PLAIN,
        info.revision,
        (info.mtime - _EPOCH) // _MICROSECOND,
        info.size,
        info.chunks,
        info.options.chunk_size or 0,
        info.nuid.encode(),
        digest,
    )
    return packed + info.header_values[_MIME][0].encode() if info.header_values else packed


def _plain_digest(info: ObjectInfo) -> bytes | None:
    """Return the digest of a record that a few numbers tell all of; None: it is another one."""
    if info.description or info.metadata or info.extra or info.ttl is not None or info.deleted:
        return None
    chunk_size, headers = info.options.chunk_size or 0, info.header_values
    if info.options.link is not None or max(info.chunks, chunk_size) >= _CHUNKS:
        return None
    if headers and (list(headers) != [_MIME] or len(headers[_MIME]) != 1 or not headers[_MIME][0]):
        return None
    # Other clients' nuids may have another length; such records are kept as they were stored.
    if len(info.nuid) != _NUID or not info.nuid.isascii():
        return None
    try:
        digest = binascii.a2b_base64(
            info.digest[len(DIGEST_PREFIX) :].replace("-", "+").replace("_", "/")
        )
    except ValueError:
        return None
    # Only what unpacks to the same text, so that a record does not change by being kept.
    return digest if encode_digest(digest) == info.digest and len(digest) == 32 else None


def _pack_as_stored(stored: StoredMessage) -> bytes:
    """Pack a message as it was stored, with only the headers that say something of the object."""
    # All that a header says of an object is its life time.
    header = b"" if parse_ttl(stored.header) is None else stored.header
    time = exact_text(stored.time).encode()
    head = _STORED.pack(_AS_STORED, stored.sequence, len(time), len(header))
    return b"".join((head, time, header, stored.payload))


def revision_in(packed: bytes) -> int:
    """Return the revision of a packed record; 0: there is none."""
    return int(_HEAD.unpack_from(packed)[1]) if packed else 0


def is_tombstone(packed: bytes) -> bool:
    """Tell whether a packed record is surely a tombstone; one with a life time may become one."""
    return packed[:1] == _TOMBSTONE


def unpack_record(packed: bytes, bucket: str, name: str) -> ObjectInfo:
    """Return the record, as :func:`~objstore.model.record_json.parse_stored` gave it.

    Arguments:
        packed: by :func:`pack_record`.
        bucket: it is in.
        name: of the object.
    """
    kind = packed[:1]
    if kind == _TOMBSTONE:
        return new_info(bucket, name, deleted=True, revision=revision_in(packed))
    if kind == _AS_STORED:
        _, revision, time, header = _STORED.unpack_from(packed)
        at = _STORED.size + time
        text = packed[_STORED.size : at].decode()
        stored = StoredMessage("", revision, text, packed[at : at + header], packed[at + header :])
        return parse_stored(stored, bucket)
    _, revision, stamp, size, chunks, chunk_size, nuid, digest = _RECORD.unpack_from(packed)
    mime = packed[_RECORD.size :]
    return new_info(
        bucket,
        name,
        size=size,
        chunks=chunks,
        digest=encode_digest(digest),
        mtime=_EPOCH + timedelta(microseconds=stamp),
        options=options_for(chunk_size or None),
        nuid=nuid.decode(),
        revision=revision,
        header_values={_MIME: [mime.decode()]} if mime else {},
    )
