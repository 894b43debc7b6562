"""natsrpy: async-nats, which is Rust, behind asyncio."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import natsrpy

from benchmarks.peers.base import MIME, AsyncPeer, address_of

__all__ = ["Natsrpy"]


class Natsrpy(AsyncPeer):
    """natsrpy with its defaults."""

    name = "natsrpy"

    def __init__(self, url: str, bucket: str) -> None:
        super().__init__()
        host, port, token = address_of(url)
        self._client: Any = natsrpy.Nats(
            addrs=[f"{urlsplit(url).scheme}://{host}:{port}"], token=token
        )
        self._store: Any = self.run(self._open(bucket))

    async def _open(self, bucket: str) -> Any:
        await self._client.startup()
        return await (await self._client.jetstream()).object_store.get(bucket)

    def put(self, names: Sequence[str], data: bytes) -> None:
        async def act() -> None:
            for name in names:
                await self._store.put(name, data, headers={"Content-Type": MIME})

        self.run(act())

    def get(self, names: Sequence[str]) -> int:
        async def act() -> int:
            size = 0
            for name in names:
                buffer = io.BytesIO()
                await self._store.get(name, buffer)
                size += len(buffer.getvalue())
            return size

        return self.run(act())

    def info(self, names: Sequence[str]) -> None:
        async def act() -> None:
            for name in names:
                await self._store.get_info(name)

        self.run(act())

    def list(self) -> int:
        async def act() -> int:
            count = 0
            async for _info in await self._store.list():
                count += 1
            return count

        return self.run(act())

    def close(self) -> None:
        async def act() -> None:
            await self._client.shutdown()

        self.run(act())
        self.stop()
