"""pyarrow: data sets of many files; and how many bytes a column takes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy
import pyarrow
import pytest
from pyarrow import dataset, parquet

from objstore import ObjectStore
from objstore.contrib.fsspec import ObjectFileSystem
from tests.support.proxy import Proxy

TABLE = pyarrow.table({"number": range(1000), "kind": [f"k{n % 7}" for n in range(1000)]})
BY_KIND = dataset.partitioning(pyarrow.schema([("kind", pyarrow.string())]), flavor="hive")


@pytest.mark.parametrize("behavior", ["delete_matching", "overwrite_or_ignore"])
def test_a_data_set_is_written_in_parts_and_filtered(
    fs: ObjectFileSystem, bucket: ObjectStore, behavior: str
) -> None:
    where = f"{bucket.name}/table"
    for _ in range(2):  # over the first
        dataset.write_dataset(
            TABLE, where, filesystem=fs, format="parquet", partitioning=BY_KIND,
            existing_data_behavior=behavior,
        )  # fmt: skip
    found = dataset.dataset(where, filesystem=fs, partitioning="hive")
    assert len(found.files) == 7
    assert found.count_rows() == 1000
    read = found.to_table(filter=dataset.field("kind") == "k2", columns=["number"])
    assert read["number"].to_pylist() == list(range(2, 1000, 7))


class CountingFile(io.FileIO):
    """A local file that counts what is read of it."""

    count = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(-1 if size is None else size)
        self.count += len(data)
        return data


class Traffic:
    """What a server sent, in bytes."""

    def __init__(self, proxy: Proxy) -> None:
        self.count = 0
        proxy.down.observe(lambda line: self._add(len(line.raw)))

    def _add(self, count: int) -> None:
        self.count += count


@pytest.fixture
def far_fs(proxy: Proxy) -> Iterator[ObjectFileSystem]:
    """A file system behind a proxy that counts."""
    fs = ObjectFileSystem(proxy.url)
    yield fs
    fs.client.close()


def test_a_column_moves_little_more_than_locally(
    far_fs: ObjectFileSystem, proxy: Proxy, bucket: ObjectStore, tmp_path: Path
) -> None:
    """Of a file of many, however it was stored: less than 1.5 times what pyarrow itself reads."""
    chance = numpy.random.default_rng(1)
    table = pyarrow.table({f"column {n}": chance.random(100_000) for n in range(30)})
    parquet.write_table(table, tmp_path / "local")
    with CountingFile(tmp_path / "local") as local:
        parquet.read_table(pyarrow.PythonFile(local, mode="r"), columns=["column 7"])
    far_fs.put_file(str(tmp_path / "local"), f"{bucket.name}/put")
    with far_fs.open(f"{bucket.name}/written", "wb") as file:
        parquet.write_table(table, file)
    traffic = Traffic(proxy)
    for name in ("put", "written"):
        traffic.count = 0
        read = parquet.read_table(f"{bucket.name}/{name}", filesystem=far_fs, columns=["column 7"])
        assert read["column 7"].equals(table["column 7"])
        assert traffic.count < 1.5 * local.count
