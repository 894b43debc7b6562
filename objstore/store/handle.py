"""What the rooms of a bucket's face share: the bucket itself."""

from __future__ import annotations

from objstore.errors import ObjectNotFoundError
from objstore.metadata.known_stream import KnownStream
from objstore.metadata.records import Records
from objstore.model.objects import check_bucket_name
from objstore.uncopied import Uncopied
from objstore.wire.jetstream.api import JetStream

__all__ = ["Bound"]


class Bound(Uncopied):
    """A client's hold on one bucket.

    Attributes:
        name: of the bucket.
    """

    instead = "pass its name on, and call objstore.connect(...).object_store(name) in each process"

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
