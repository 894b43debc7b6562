"""What the rooms of a bucket's face share: the bucket itself."""

from __future__ import annotations

from objstore.errors import ObjectNotFoundError
from objstore.known import KnownStream
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
        self, jetstream: JetStream, name: str, known: KnownStream, *, eventual: bool = False
    ) -> None:
        self.name = check_bucket_name(name)
        self._jetstream = jetstream
        self._known = known
        self._records = Records(jetstream, name, eventual=eventual, known=known)

    def __repr__(self) -> str:
        return f"<objstore.{type(self).__name__} {self.name!r}>"

    def _not_found(self, name: str) -> ObjectNotFoundError:
        return ObjectNotFoundError(
            f"there is no object {name!r} in bucket {self.name}", bucket=self.name, name=name
        )
