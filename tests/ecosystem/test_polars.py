"""polars, which does not know fsspec's URLs: by files, and by pyarrow's data sets."""

from __future__ import annotations

import polars
import pytest
from polars.testing import assert_frame_equal
from pyarrow import dataset

from objstore import ObjectStore
from objstore.contrib.fsspec import ObjectFileSystem

TABLE = polars.DataFrame({"number": range(1000), "kind": [f"k{n % 7}" for n in range(1000)]})


def test_by_a_file(fs: ObjectFileSystem, bucket: ObjectStore) -> None:
    with fs.open(f"{bucket.name}/table.parquet", "wb") as file:
        TABLE.write_parquet(file)
    with fs.open(f"{bucket.name}/table.csv", "wb") as file:
        TABLE.write_csv(file)
    with fs.open(f"{bucket.name}/table.parquet") as file:
        assert_frame_equal(polars.read_parquet(file, columns=["kind"]), TABLE[["kind"]])
    with fs.open(f"{bucket.name}/table.csv") as file:
        assert_frame_equal(polars.read_csv(file), TABLE)


def test_by_a_data_set(fs: ObjectFileSystem, bucket: ObjectStore) -> None:
    for number in range(2):
        with fs.open(f"{bucket.name}/table/{number}.parquet", "wb") as file:
            TABLE.write_parquet(file)
    found = dataset.dataset(f"{bucket.name}/table", filesystem=fs)
    lazy = polars.scan_pyarrow_dataset(found).filter(polars.col("number") > 990)
    assert lazy.select(polars.len()).collect().item() == 18


def test_a_url_is_no_file_to_polars(url: str, bucket: ObjectStore) -> None:
    """As the guide says. Should it learn them, the guide can say more."""
    bucket.put("table.parquet", b"")
    with pytest.raises(FileNotFoundError):
        polars.read_parquet(f"{url}/table.parquet")
