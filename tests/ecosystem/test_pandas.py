"""pandas: tables written and read by their URLs."""

from __future__ import annotations

import numpy
import pandas
import pytest

from objstore import ObjectStore

TABLE = pandas.DataFrame(
    {
        "number": range(1000),
        "kind": [f"kind {number % 7}" for number in range(1000)],
        "value": numpy.arange(1000) / 8,
    }
)


def test_parquet_by_column(url: str) -> None:
    TABLE.to_parquet(f"{url}/table.parquet")
    read = pandas.read_parquet(f"{url}/table.parquet", columns=["value"])
    pandas.testing.assert_frame_equal(read, TABLE[["value"]])


def test_parquet_in_parts(url: str) -> None:
    TABLE.to_parquet(f"{url}/table", partition_cols=["kind"])
    read = pandas.read_parquet(f"{url}/table", filters=[("kind", "==", "kind 3")])
    assert list(read["number"]) == list(range(3, 1000, 7))


@pytest.mark.parametrize("end", ["csv", "csv.gz", "csv.zip", "csv.bz2", "csv.xz"])
def test_csv(url: str, bucket: ObjectStore, end: str) -> None:
    TABLE.to_csv(f"{url}/table.{end}", index=False)
    pandas.testing.assert_frame_equal(pandas.read_csv(f"{url}/table.{end}"), TABLE)
    info = bucket.info(f"table.{end}")
    assert info is not None
    assert (info.size < 10_000) == (end != "csv")


def test_json(url: str) -> None:
    TABLE.to_json(f"{url}/table.json", orient="records", lines=True)
    read = pandas.read_json(f"{url}/table.json", orient="records", lines=True)
    pandas.testing.assert_frame_equal(read, TABLE, check_dtype=False)


def test_pickle(url: str) -> None:
    TABLE.to_pickle(f"{url}/table.pkl.gz")
    pandas.testing.assert_frame_equal(pandas.read_pickle(f"{url}/table.pkl.gz"), TABLE)


def test_feather(url: str) -> None:
    TABLE.to_feather(f"{url}/table.feather")
    pandas.testing.assert_frame_equal(pandas.read_feather(f"{url}/table.feather"), TABLE)


def test_what_is_not_there(url: str) -> None:
    with pytest.raises(FileNotFoundError):
        pandas.read_csv(f"{url}/absent.csv")
