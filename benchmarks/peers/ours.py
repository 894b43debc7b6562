"""objstore itself, as one of the contenders."""

from __future__ import annotations

from collections.abc import Sequence

import objstore
from benchmarks.peers.base import MIME

__all__ = ["Ours"]


class Ours:
    """objstore, on a connection of its own.

    Arguments:
        url, bucket: where.
        chunk_size: of what is put, in bytes; None: as objstore chooses.
    """

    name = "objstore"

    def __init__(self, url: str, bucket: str, chunk_size: int | None = None) -> None:
        self._chunk_size = chunk_size
        self._client = objstore.connect(url)
        self.store = self._client.object_store(bucket, create=False)

    def prepare(self, data: bytes) -> None:
        pass

    def put(self, names: Sequence[str], data: bytes) -> None:
        for name in names:
            self.store.put(name, data, mime=MIME, chunk_size=self._chunk_size)

    def put_plain(self, names: Sequence[str], data: bytes) -> None:
        """Put without a media type."""
        for name in names:
            self.store.put(name, data)

    def get(self, names: Sequence[str]) -> int:
        return sum(len(self.store.read_bytes(name)) for name in names)

    def stream(self, names: Sequence[str]) -> int:
        """Read objects chunk by chunk, keeping nothing: what a raw loop does."""
        size = 0
        for name in names:
            result = self.store.get(name)
            assert result is not None
            with result:
                size += sum(map(len, result.data))
        return size

    def info(self, names: Sequence[str]) -> None:
        for name in names:
            assert self.store.info(name) is not None

    def list(self) -> int:
        return sum(1 for _ in self.store.list())

    def get_many(self, names: Sequence[str]) -> int:
        """Read small objects, many under way at once."""
        return sum(len(content or b"") for _, content in self.store.get_many(names))

    def put_many(self, names: Sequence[str], data: bytes) -> None:
        """Put small objects, many under way at once, where this objstore can.

        Raises:
            AttributeError: it cannot.
        """
        put_many = getattr(self.store, "put_many")  # noqa: B009
        done = put_many(((name, data) for name in names), mime=MIME)
        for _info in done or ():  # an iterator does its work as it is iterated
            pass

    def close(self) -> None:
        self._client.close()
