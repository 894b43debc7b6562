"""zarr: its own suite of stores, by its wrapper of fsspec; and arrays written and read."""

from __future__ import annotations

from typing import Any

import numpy
import pytest
import zarr
from zarr.core.buffer import Buffer, cpu
from zarr.core.sync import sync
from zarr.storage import FsspecStore
from zarr.testing.store import StoreTests


class TestStore(StoreTests[FsspecStore, cpu.Buffer]):
    """Whole; what zarr's wrapper of fsspec has no methods for (``get_sync`` …) zarr skips."""

    store_cls = FsspecStore
    buffer_cls = cpu.Buffer

    @pytest.fixture
    def store_kwargs(self, url: str) -> dict[str, Any]:
        made = FsspecStore.from_url(f"{url}/data")
        return {"fs": made.fs, "path": made.path}

    @pytest.fixture
    def store(self, open_kwargs: dict[str, Any]) -> FsspecStore:
        return sync(self.store_cls.open(**open_kwargs))

    @pytest.fixture
    def store_not_open(self, store_kwargs: dict[str, Any]) -> FsspecStore:
        return self.store_cls(**store_kwargs)

    async def get(self, store: FsspecStore, key: str) -> Buffer:
        return self.buffer_cls.from_bytes(store.fs.sync_fs.cat_file(f"{store.path}/{key}"))

    async def set(self, store: FsspecStore, key: str, value: Buffer) -> None:
        store.fs.sync_fs.pipe_file(f"{store.path}/{key}", value.to_bytes())

    def test_store_repr(self, store: FsspecStore) -> None:
        assert "data" in repr(store)

    def test_store_supports_writes(self, store: FsspecStore) -> None:
        assert store.supports_writes

    def test_store_supports_listing(self, store: FsspecStore) -> None:
        assert store.supports_listing


def test_an_array_is_written_and_read_by_parts(url: str) -> None:
    data = numpy.arange(10_000).reshape(100, 100)
    zarr.save_array(f"{url}/array", data)
    array = zarr.open_array(f"{url}/array", mode="r")
    assert (array[10:20, 5] == data[10:20, 5]).all()
