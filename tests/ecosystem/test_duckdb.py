"""duckdb: queries over files by their URLs, and COPY into them."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from objstore import ObjectStore
from objstore.contrib.fsspec import ObjectFileSystem


@pytest.fixture
def database(fs: ObjectFileSystem) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as database:
        database.register_filesystem(fs)
        yield database


@pytest.mark.parametrize("kind", ["parquet", "csv", "json"])
def test_copy_read_and_glob(
    database: duckdb.DuckDBPyConnection, url: str, bucket: ObjectStore, kind: str
) -> None:
    for name in ("a", "b"):
        database.execute(
            f"COPY (SELECT range AS number FROM range(1000)) TO '{url}/{name}.{kind}' "
            f"(FORMAT {kind})"
        )
    for path, count in ((f"a.{kind}", 1000), (f"*.{kind}", 2000)):
        query = f"SELECT count(number), max(number) FROM read_{kind}('{url}/{path}')"
        assert database.execute(query).fetchall() == [(count, 999)]


@pytest.mark.parametrize("how", ["OVERWRITE_OR_IGNORE", "APPEND"])
def test_in_parts(database: duckdb.DuckDBPyConnection, url: str, how: str) -> None:
    """Without these it looks first into the folder that it has made, which is not there."""
    database.execute(
        "COPY (SELECT range AS number, range % 3 AS kind FROM range(1000)) "
        f"TO '{url}/parts' (FORMAT parquet, PARTITION_BY (kind), {how})"
    )
    query = f"""
        SELECT count(*) FROM read_parquet('{url}/parts/*/*.parquet', hive_partitioning = true)
        WHERE kind = 1
    """
    assert database.execute(query).fetchall() == [(333,)]


def test_what_is_not_there(database: duckdb.DuckDBPyConnection, url: str) -> None:
    with pytest.raises(duckdb.Error):
        database.execute(f"SELECT * FROM read_parquet('{url}/absent.parquet')")
