"""One column of a Parquet file: the others stay where they are. Needs pyarrow."""

from __future__ import annotations

import io
import random

import pyarrow as pa
import pyarrow.parquet as pq

import objstore


def read_column(store: objstore.ObjectStore, name: str, column: str) -> list[float]:
    """A column's values."""
    with store.open(name) as file:
        values: list[float] = pq.read_table(file, columns=[column])[column].to_pylist()
    return values


def main() -> None:
    """Store a table of 20 columns, and add up one of them."""
    chance = random.Random(1)  # noqa: S311 - anything will do
    numbers = [chance.random() for _ in range(100_000)]
    data = io.BytesIO()
    pq.write_table(pa.table({f"column {number}": numbers for number in range(20)}), data)
    with objstore.local() as client:
        store = client.object_store("tables")
        store.put("numbers.parquet", data.getvalue(), chunk_size=128 << 10)
        print(round(sum(read_column(store, "numbers.parquet", "column 7")), 3))


if __name__ == "__main__":
    main()
