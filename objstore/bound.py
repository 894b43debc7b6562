"""What the rooms of a bucket's face share: the bucket itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from objstore.errors import BucketNotFoundError, BucketReadOnlyError, ObjectNotFoundError
from objstore.objects import check_bucket_name
from objstore.records import Records
from objstore.wire.jetstream import JetStream

__all__ = ["Bound"]


class Bound:
    """A client's hold on one bucket.

    Attributes:
        name: of the bucket.
    """

    def __init__(
        self, jetstream: JetStream, name: str, config: Mapping[str, Any], *, eventual: bool = False
    ) -> None:
        self.name = check_bucket_name(name)
        self._jetstream = jetstream
        self._config = config  # of the stream, as it was when it was last asked for
        self._records = Records(jetstream, name, eventual=eventual)

    def __repr__(self) -> str:
        return f"<objstore.{type(self).__name__} {self.name!r}>"

    def _stream_info(self) -> dict[str, Any]:
        """What the server tells of the stream, now; its configuration counts from then on."""
        try:
            info = self._jetstream.stream_info(self._records.stream)
        except BucketNotFoundError as error:
            raise self._records.no_bucket() from error
        self._config = info["config"]
        return info

    def _check_writable(self) -> None:
        """Refuse to write a mirror: the server would just say that no stream takes it.

        Raises:
            BucketReadOnlyError: it is one, now too.
        """
        if self._config.get("subjects") or self._stream_info()["config"].get("subjects"):
            return
        sources = [self._config.get("mirror") or {}, *(self._config.get("sources") or [])]
        names = " and ".join(str(source["name"]) for source in sources if source.get("name"))
        raise BucketReadOnlyError(
            f"bucket {self.name} is a mirror of the stream {names}: it cannot be written",
            bucket=self.name,
        )

    def _not_found(self, name: str) -> ObjectNotFoundError:
        return ObjectNotFoundError(
            f"there is no object {name!r} in bucket {self.name}", bucket=self.name, name=name
        )
