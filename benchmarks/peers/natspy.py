"""nats-py: asyncio, pure Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import nats
from nats.js.api import ObjectMeta

from benchmarks.peers.base import MIME, AsyncPeer, address_of

__all__ = ["NatsPy"]


class NatsPy(AsyncPeer):
    """nats-py with its defaults."""

    name = "nats-py"

    def __init__(self, url: str, bucket: str) -> None:
        super().__init__()
        host, port, token = address_of(url)
        scheme = urlsplit(url).scheme
        self._client: Any = self.run(
            nats.connect(f"{scheme}://{host}:{port}", token=token, allow_reconnect=False)
        )
        self._store: Any = self.run(self._client.jetstream().object_store(bucket))

    def put(self, names: Sequence[str], data: bytes) -> None:
        async def act() -> None:
            for name in names:
                # Made anew each time: it is given its name.
                await self._store.put(name, data, ObjectMeta(headers={"Content-Type": [MIME]}))

        self.run(act())

    def get(self, names: Sequence[str]) -> int:
        async def act() -> int:
            return sum([len((await self._store.get(name)).data) for name in names])

        return self.run(act())

    def info(self, names: Sequence[str]) -> None:
        async def act() -> None:
            for name in names:
                await self._store.get_info(name)

        self.run(act())

    def list(self) -> int:
        async def act() -> int:
            return len(await self._store.list())

        return self.run(act())

    def close(self) -> None:
        self.run(self._client.close())
        self.stop()
