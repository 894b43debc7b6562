"""A bucket's settings and state, as ``status()`` and ``list_stores()`` tell them. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from objstore.model.bucket_config import max_object_size, user_metadata
from objstore.model.bucket_options import MAX_OBJECT_SIZE, StorageType, StoreCompression
from objstore.model.stream_info import StreamInfo, parse_stream_info

__all__ = ["ObjectStoreStatus", "status_of"]


@dataclass(frozen=True)
class ObjectStoreStatus:
    """A bucket's settings and state.

    Attributes:
        bucket: the bucket's name.
        size: how many live objects there are, links among them; None where they were not counted.
        total_size: the size of them all, in bytes; None where that was not counted.
        bytes: the bytes that the stream takes, metadata and overhead included.
        description: free text.
        ttl: the life time after which objects expire; zero: never.
        storage, replicas, compression: the stream's settings.
        sealed: whether nothing can change any more.
        max_object_size: the largest object allowed, in bytes, or None.
        metadata: the user's pairs of text.
        stream_info: what the server told of the stream.
        backing_store: always ``"JetStream"``.
    """

    bucket: str
    size: int | None
    total_size: int | None
    bytes: int
    description: str
    ttl: timedelta
    storage: StorageType
    replicas: int
    compression: StoreCompression
    sealed: bool
    max_object_size: int | None
    metadata: Mapping[str, str]
    stream_info: StreamInfo = field(repr=False)
    backing_store: str = "JetStream"

    def _repr_html_(self) -> str:
        """Return a small table for notebooks; ``size`` stands there as the number of objects."""
        from objstore.notebook.html import Size, record

        sizes = {
            name: None if value is None else Size(value)
            for name, value in (
                ("total_size", self.total_size),
                ("bytes", self.bytes),
                ("max_object_size", self.max_object_size),
            )
        }
        fields = {
            "description": self.description,
            "objects": self.size,
            **sizes,
            "ttl": self.ttl or None,
            "storage": self.storage,
            "replicas": self.replicas,
            "compression": self.compression,
            "sealed": self.sealed,
            "metadata": self.metadata,
        }
        return record(self.bucket, "bucket", fields)


def status_of(
    bucket: str,
    info: Mapping[str, Any],
    *,
    size: int | None = None,
    total_size: int | None = None,
) -> ObjectStoreStatus:
    """Make a bucket's status of what the server tells of its stream.

    Arguments:
        bucket: its name.
        info: the server's answer.
        size, total_size: how many live objects were counted, and their bytes; None: not counted.
    """
    config = info["config"]
    metadata = user_metadata(config.get("metadata"))
    metadata.pop(MAX_OBJECT_SIZE, None)
    return ObjectStoreStatus(
        bucket=bucket,
        size=size,
        total_size=total_size,
        bytes=int(info["state"]["bytes"]),
        description=config.get("description") or "",
        # Python's timedelta has no nanoseconds.
        ttl=timedelta(microseconds=int(config.get("max_age") or 0) // 1000),
        storage=StorageType(config.get("storage", "file")),
        replicas=int(config.get("num_replicas", 1)),
        compression=StoreCompression(config.get("compression") or "none"),
        sealed=bool(config.get("sealed")),
        max_object_size=max_object_size(config),
        metadata=metadata,
        stream_info=parse_stream_info(info),
    )
