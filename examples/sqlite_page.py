"""One row of a SQLite database in a bucket: a few pages of it are read, wherever they are."""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path
from typing import BinaryIO

import objstore

INTERIOR, LEAF = 5, 13  # kinds of pages of a table's tree


def varint(page: bytes, at: int) -> tuple[int, int]:
    """A number of up to 9 bytes, and where it ends."""
    value = 0
    for count in range(9):
        byte = page[at + count]
        if count == 8:
            return value << 8 | byte, at + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + count + 1
    raise AssertionError


def find(file: BinaryIO, root: int, rowid: int) -> bytes | None:
    """The record of a row: down the tree, one page for each level."""
    file.seek(16)
    size = int.from_bytes(file.read(2), "big")
    number = root
    while True:
        file.seek((number - 1) * size)
        page = file.read(size)
        kind, count = page[0], int.from_bytes(page[3:5], "big")
        head = 12 if kind == INTERIOR else 8
        cells = [int.from_bytes(page[head + 2 * n : head + 2 * n + 2], "big") for n in range(count)]
        if kind == INTERIOR:
            below = [cell for cell in cells if rowid <= varint(page, cell + 4)[0]]
            child = below[0] if below else 8  # the last one stands in the page's head
            number = int.from_bytes(page[child : child + 4], "big")
            continue
        for cell in cells:
            length, at = varint(page, cell)
            key, at = varint(page, at)
            if key == rowid:
                return page[at : at + length]
        return None


def main() -> None:
    """Make a database of 100,000 rows, and read one of them from the bucket."""
    with tempfile.TemporaryDirectory() as folder, objstore.local() as client:
        path = Path(folder, "data.sqlite")
        database = sqlite3.connect(path)
        database.execute("CREATE TABLE word (id INTEGER PRIMARY KEY, text TEXT)")
        rows = ((number, f"word number {number}") for number in range(100_000))
        database.executemany("INSERT INTO word VALUES (?, ?)", rows)
        database.commit()
        found = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'word'")
        (root,) = found.fetchone()
        database.close()
        store = client.object_store("databases")
        store.upload_file(path)
        with store.open("data.sqlite") as file:
            record = find(file, root, 77_777)
        print(record[record[0] :].decode() if record else "there is no such row")


if __name__ == "__main__":
    main()
