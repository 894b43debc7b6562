"""What a user may ask of a bucket, checked and brought into the stream's fields. Pure data."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypedDict

from objstore.errors import InvalidOptionError
from objstore.model.arguments import (
    description_text,
    instance_of,
    metadata_dict,
    one_of,
    positive,
    to_nanoseconds,
)
from objstore.wire.connection.arguments import switch

if TYPE_CHECKING:
    from objstore.model.stream_placing import Placement, Republish
    from objstore.model.stream_sources import StreamSource

__all__ = [
    "MAX_OBJECT_SIZE",
    "SERVER_METADATA",
    "BucketKeywords",
    "BucketOptions",
    "StorageType",
    "StoreCompression",
]

#: In the stream's metadata, so that every objstore client enforces the same limit.
MAX_OBJECT_SIZE = "objstore.max_object_size"

#: nats-server writes keys of its own there; they are not the user's.
SERVER_METADATA = "_nats."


class StorageType(str, enum.Enum):
    """Where a bucket's messages are kept."""

    FILE = "file"
    MEMORY = "memory"


class StoreCompression(str, enum.Enum):
    """How a bucket's messages are compressed on disk."""

    NONE = "none"
    S2 = "s2"


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
        placement: where in a cluster.
        republish: send what is stored on.
        mirror: make a copy of another bucket that follows it and cannot be written itself: the
            bucket's name, or a :class:`StreamSource`. Revisions and times are the copy's own
            (but for a mirror of another domain, which has its source's).
        sources: feed the bucket from others too: their names, or StreamSources. Where two have
            an object of one name, the one that arrives last is seen.
        metadata: free pairs of text.
        object_ttl: whether single objects may expire (``put(ttl=)``; ``allow_msg_ttl`` of the
            stream, ADR-43, server 2.11). It cannot be taken back, and the first ``put(ttl=)``
            turns it on by itself.
        batched: whether other clients may publish in fast-ingest batches (``allow_batched`` of
            the stream, ADR-50, server 2.14). This client has no use for it.

    What is deleted or overwritten in a source is so in the copy, but its chunks stay there:
    the server does not pass removals on. ``collect_garbage`` removes them.
    """

    description: str | None = None
    max_object_size: int | None = None
    max_bytes: int | None = None
    storage: StorageType | str | None = None
    replicas: int | None = None
    ttl: timedelta | float | None = None
    compression: StoreCompression | str | bool | None = None
    placement: Placement | None = None
    republish: Republish | None = None
    mirror: StreamSource | str | None = None
    sources: Sequence[StreamSource | str] | None = None
    metadata: Mapping[str, str] | None = None
    object_ttl: bool | None = None
    batched: bool | None = None

    def fields(self, bucket: str = "") -> dict[str, Any]:
        """Make the stream's configuration of the options that were given.

        Arguments:
            bucket: its name, which mirrors and sources need.

        Raises:
            InvalidOptionError: a value is impossible.
        """
        fields: dict[str, Any] = {}
        # Only what was said becomes a field: an update changes nothing else, and a new bucket is
        # plain ADR-20.
        if self.description is not None:
            fields["description"] = description_text(self.description)
        if self.max_bytes is not None:
            fields["max_bytes"] = positive("max_bytes", self.max_bytes)
        if self.storage is not None:
            fields["storage"] = one_of("storage", StorageType, self.storage)
        if self.replicas is not None:
            fields["num_replicas"] = positive("replicas", self.replicas)
        if self.ttl is not None:
            fields["max_age"] = to_nanoseconds("ttl", self.ttl)
        if self.compression is not None:
            fields["compression"] = self._compression(self.compression)
        if self.metadata is not None or self.max_object_size is not None:
            fields["metadata"] = self._metadata()
        if self.placement is not None or self.republish is not None:
            fields.update(self._placing())
        if self.mirror is not None or self.sources is not None:
            # Several fields: a mirror and sources change the stream's subjects, too.
            fields.update(self._feeding(bucket))
        if self.object_ttl is not None:
            fields["allow_msg_ttl"] = switch("object_ttl", self.object_ttl)
        if self.batched is not None:
            fields["allow_batched"] = switch("batched", self.batched)
        return fields

    def _placing(self) -> dict[str, Any]:
        from objstore.model.stream_placing import Placement, Republish  # few buckets have any

        fields: dict[str, Any] = {}
        if self.placement is not None:
            fields["placement"] = instance_of("placement", Placement, self.placement).fields()
        if self.republish is not None:
            fields["republish"] = instance_of("republish", Republish, self.republish).fields()
        return fields

    def _feeding(self, bucket: str) -> dict[str, Any]:
        from objstore.model.stream_sources import mirror_fields, sources_fields  # as few

        # A mirror cannot be written, what has sources can: no stream is both.
        if self.mirror is not None and self.sources is not None:
            raise InvalidOptionError("a bucket is a mirror, or it has sources, not both")
        if self.mirror is not None:
            return mirror_fields(self.mirror, bucket)
        return sources_fields(self.sources, bucket)

    @staticmethod
    def _compression(value: StoreCompression | str | bool) -> str:
        # S2 is the only compression that nats-server has.
        if isinstance(value, bool):
            value = StoreCompression.S2 if value else StoreCompression.NONE
        return one_of("compression", StoreCompression, value)

    def _metadata(self) -> dict[str, str]:
        pairs = metadata_dict(self.metadata)
        for key in pairs:
            if key.startswith(SERVER_METADATA):
                raise InvalidOptionError(f"metadata has {key!r}; these keys are the server's own")
        if MAX_OBJECT_SIZE in pairs:  # it would be the limit, and another one than was asked for
            raise InvalidOptionError(f"metadata has {MAX_OBJECT_SIZE!r}; give max_object_size")
        if self.max_object_size is not None:
            pairs[MAX_OBJECT_SIZE] = str(positive("max_object_size", self.max_object_size))
        return pairs


class BucketKeywords(TypedDict, total=False):
    """The fields of :class:`BucketOptions` as keyword arguments, for editors and type checkers."""

    description: str | None
    max_object_size: int | None
    max_bytes: int | None
    storage: StorageType | str | None
    replicas: int | None
    ttl: timedelta | float | None
    compression: StoreCompression | str | bool | None
    placement: Placement | None
    republish: Republish | None
    mirror: StreamSource | str | None
    sources: Sequence[StreamSource | str] | None
    metadata: Mapping[str, str] | None
    object_ttl: bool | None
    batched: bool | None
