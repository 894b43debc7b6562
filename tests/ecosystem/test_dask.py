"""dask: tables and texts in parts, by threads and by processes."""

from __future__ import annotations

import dask
import dask.bag
import dask.dataframe
import pandas
import pytest
from dask.base import tokenize

from objstore import LocalServer, ObjectStore
from objstore.contrib.fsspec import ObjectFileSystem

# dask.dataframe calls pandas in a way that will be gone.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The inplace keyword in DataFrame:DeprecationWarning"
)

TABLE = pandas.DataFrame({"number": range(1000), "kind": [n % 7 for n in range(1000)]})


def test_parquet(url: str) -> None:
    dask.dataframe.from_pandas(TABLE, npartitions=3).to_parquet(f"{url}/table")
    read = dask.dataframe.read_parquet(f"{url}/table", columns=["number"])
    assert read.npartitions == 3
    assert read.number.sum().compute(scheduler="threads") == sum(range(1000))


def test_by_processes(url: str) -> None:
    """Each of which has a connection of its own."""
    dask.bag.from_sequence(map(str, range(10)), npartitions=2).to_textfiles(f"{url}/text/*.txt.gz")
    read = dask.bag.read_text(f"{url}/text/*.txt.gz")
    assert read.map(int).sum().compute(scheduler="processes", num_workers=2) == 45


def test_the_same_options_are_the_same_to_dask(server: LocalServer) -> None:
    assert tokenize(ObjectFileSystem()) == tokenize(ObjectFileSystem(skip_instance_cache=True))
    assert tokenize(ObjectFileSystem()) != tokenize(ObjectFileSystem(server.url))


def test_csv_in_blocks(url: str, bucket: ObjectStore) -> None:
    bucket.put("table.csv", TABLE.to_csv(index=False).encode())
    read = dask.dataframe.read_csv(f"{url}/table.csv", blocksize=2000)
    assert read.npartitions > 1
    assert read.number.sum().compute(scheduler="threads") == sum(range(1000))
