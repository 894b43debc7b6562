"""A bucket's options, and the stream that stands behind them (ADR-20). Pure data."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from objstore.errors import BucketConfigError, InvalidOptionError
from objstore.objects import (
    check_bucket_name,
    chunk_subject,
    description_text,
    metadata_dict,
    stream_name,
)

__all__ = [
    "BucketOptions",
    "ObjectStoreStatus",
    "StorageType",
    "StoreCompression",
]

#: In the stream's metadata, so that every objstore client enforces the same limit.
MAX_OBJECT_SIZE = "objstore.max_object_size"

#: Seconds that fit as nanoseconds into the server's 64 bits.
_LONGEST = (1 << 63) // 1_000_000_000

#: nats-server writes keys of its own there; they are not the user's.
_SERVER_METADATA = "_nats."


class StorageType(str, enum.Enum):
    """Where a bucket's messages are kept."""

    FILE = "file"
    MEMORY = "memory"


class StoreCompression(str, enum.Enum):
    """How a bucket's messages are compressed on disk."""

    NONE = "none"
    S2 = "s2"


@dataclass(frozen=True)
class ObjectStoreStatus:
    """A bucket's settings and state.

    Attributes:
        bucket: its name.
        size: of the live objects, in bytes; None where it was not counted.
        bytes: that the stream takes, metadata and overhead included.
        description: free text.
        ttl: after which objects expire; zero: never.
        storage, replicas, compression: of the stream.
        sealed: whether nothing can change any more.
        max_object_size: in bytes, or None.
        metadata: the user's pairs of text.
        stream_info: what the server told of the stream.
        backing_store: always ``"JetStream"``.
    """

    bucket: str
    size: int | None
    bytes: int
    description: str
    ttl: timedelta
    storage: StorageType
    replicas: int
    compression: StoreCompression
    sealed: bool
    max_object_size: int | None
    metadata: Mapping[str, str]
    stream_info: Mapping[str, Any] = field(repr=False)
    backing_store: str = "JetStream"


@dataclass(frozen=True)
class BucketOptions:
    """What a user may ask of a bucket; None: nothing was said.

    Attributes:
        description: free text.
        max_object_size: the largest object, in bytes.
        max_bytes: the largest size of the stream, in bytes.
        storage: on file or in memory.
        replicas: how many servers hold a copy.
        ttl: after how long objects expire: a timedelta or seconds.
        compression: of the stream on disk; True is S2.
        metadata: free pairs of text.
    """

    description: str | None = None
    max_object_size: int | None = None
    max_bytes: int | None = None
    storage: StorageType | str | None = None
    replicas: int | None = None
    ttl: timedelta | float | None = None
    compression: StoreCompression | str | bool | None = None
    metadata: Mapping[str, str] | None = None

    def fields(self) -> dict[str, Any]:
        """The stream's configuration, of what was said.

        Raises:
            InvalidOptionError: a value is impossible.
        """
        fields: dict[str, Any] = {}
        if self.description is not None:
            fields["description"] = description_text(self.description)
        if self.max_bytes is not None:
            fields["max_bytes"] = _positive("max_bytes", self.max_bytes)
        if self.storage is not None:
            fields["storage"] = _member("storage", StorageType, self.storage)
        if self.replicas is not None:
            fields["num_replicas"] = _positive("replicas", self.replicas)
        if self.ttl is not None:
            fields["max_age"] = _nanoseconds("ttl", self.ttl)
        if self.compression is not None:
            fields["compression"] = self._compression(self.compression)
        if self.metadata is not None or self.max_object_size is not None:
            fields["metadata"] = self._metadata()
        return fields

    @staticmethod
    def _compression(value: StoreCompression | str | bool) -> str:
        if isinstance(value, bool):
            value = StoreCompression.S2 if value else StoreCompression.NONE
        return _member("compression", StoreCompression, value)

    def _metadata(self) -> dict[str, str]:
        pairs = metadata_dict(self.metadata)
        if self.max_object_size is not None:
            pairs[MAX_OBJECT_SIZE] = str(_positive("max_object_size", self.max_object_size))
        return pairs


def _positive(option: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidOptionError(f"{option} is {value!r}; it must be a positive whole number")
    return value


def _member(option: str, kind: type[enum.Enum], value: object) -> str:
    try:
        return str(kind(value).value)
    except ValueError:
        known = ", ".join(str(member.value) for member in kind)
        raise InvalidOptionError(f"{option} is {value!r}; it must be one of {known}") from None


def _nanoseconds(option: str, value: object) -> int:
    nanoseconds = -1
    if isinstance(value, timedelta):  # exactly: as a float of seconds long ones lose some
        nanoseconds = value // timedelta(microseconds=1) * 1000
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        nanoseconds = round(value * 1_000_000_000) if 0 <= value < _LONGEST else -1
    if not 0 <= nanoseconds < 1 << 63:
        raise InvalidOptionError(
            f"{option} is {value!r}; it must be a timedelta or seconds, of at most 292 years"
        )
    return nanoseconds


# --- the stream


def new_stream(bucket: str, options: BucketOptions, supports: Mapping[str, bool]) -> dict[str, Any]:
    """The configuration of a new bucket's stream.

    Arguments:
        bucket: its name.
        options: what was asked.
        supports: what the server can do, by the names in
            :data:`objstore.wire.jetstream.FEATURES`.

    Raises:
        InvalidNameError, InvalidOptionError: the name or an option is impossible.
    """
    check_bucket_name(bucket)
    config: dict[str, Any] = {
        "name": stream_name(bucket),
        "subjects": [chunk_subject(bucket, ">"), f"$O.{bucket}.M.>"],
        "retention": "limits",
        "discard": "new",
        "max_bytes": -1,
        "max_age": 0,
        "storage": "file",
        "num_replicas": 1,
        "compression": "none",
        "allow_rollup_hdrs": True,
        "allow_direct": True,
    }
    if supports.get("message TTL"):
        config["allow_msg_ttl"] = True
    if supports.get("fast-ingest batches"):
        config["allow_batched"] = True
    config.update(options.fields())
    return config


def check_existing(bucket: str, options: BucketOptions, config: Mapping[str, Any]) -> None:
    """Compare an existing bucket with what was asked of it.

    Raises:
        BucketConfigError: they differ; it names the fields.
        InvalidOptionError: an option is impossible.
    """
    differences: dict[str, tuple[Any, Any]] = {}
    for name, wanted in options.fields().items():
        actual = config.get(name)
        if name == "metadata":
            actual = user_metadata(actual)
            if options.metadata is None:  # only the limit was asked for
                actual = {k: v for k, v in actual.items() if k == MAX_OBJECT_SIZE}
            if options.max_object_size is None:  # nothing was said of the limit
                actual.pop(MAX_OBJECT_SIZE, None)
        elif name in ("description", "compression"):
            actual = actual or ("none" if name == "compression" else "")
        elif name == "max_age":
            actual = actual or 0
        if actual != wanted:
            differences[name] = (actual, wanted)
    if differences:
        listed = "; ".join(f"{k} is {a!r}, not {w!r}" for k, (a, w) in differences.items())
        raise BucketConfigError(
            f"bucket {bucket} exists with other settings: {listed}",
            bucket=bucket,
            differences=differences,
        )


def user_metadata(metadata: object) -> dict[str, str]:
    """A stream's metadata without what the server wrote there."""
    if not isinstance(metadata, Mapping):
        return {}
    return {k: v for k, v in metadata.items() if not k.startswith(_SERVER_METADATA)}


def max_object_size(config: Mapping[str, Any]) -> int | None:
    """The limit that a bucket's stream carries, or None."""
    text = user_metadata(config.get("metadata")).get(MAX_OBJECT_SIZE, "")
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None


def status_of(bucket: str, info: Mapping[str, Any], size: int | None = None) -> ObjectStoreStatus:
    """A bucket's status, from what the server tells of its stream."""
    config = info["config"]
    metadata = user_metadata(config.get("metadata"))
    metadata.pop(MAX_OBJECT_SIZE, None)
    return ObjectStoreStatus(
        bucket=bucket,
        size=size,
        bytes=int(info["state"]["bytes"]),
        description=config.get("description") or "",
        ttl=timedelta(microseconds=int(config.get("max_age") or 0) // 1000),
        storage=StorageType(config.get("storage", "file")),
        replicas=int(config.get("num_replicas", 1)),
        compression=StoreCompression(config.get("compression") or "none"),
        sealed=bool(config.get("sealed")),
        max_object_size=max_object_size(config),
        metadata=metadata,
        stream_info=info,
    )
