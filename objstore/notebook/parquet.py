"""The columns of a Parquet file, from the few bytes at its end that tell them."""

from __future__ import annotations

from io import BufferedIOBase

from objstore.errors import ObjStoreError
from objstore.readable import counted

__all__ = ["parquet_schema"]

#: What a file ends with: the length of its description, and these letters.
MAGIC, TAIL = b"PAR1", 8

#: Their names and types.
Columns = list[tuple[str, str]]


def parquet_schema(file: BufferedIOBase, size: int, limit: int) -> tuple[Columns, str]:
    """Return the names and types of a Parquet file's columns, and a few words on it.

    Arguments:
        file: can seek.
        size: its size, in bytes.
        limit: how many bytes its description may have.

    Source: Apache Parquet's file format: the footer.
    """
    file.seek(max(0, size - TAIL))
    tail = file.read(TAIL)
    if size < TAIL or tail[4:] != MAGIC:
        return [], "no Parquet file that can be read"
    # Looked at before pyarrow believes it and asks for memory.
    if int.from_bytes(tail[:4], "little") > min(size, limit):
        return [], "its description is larger than limit: show(limit=…) shows it"
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        return [], "pip install pyarrow to see its columns"
    file.seek(0)
    try:
        found = ParquetFile(file)
        columns = [(field.name, str(field.type)) for field in found.schema_arrow]
        counts = found.metadata.num_rows, found.metadata.num_row_groups
    except (ArrowException, OSError) as error:
        if isinstance(error, ObjStoreError):
            raise  # the file is not to blame
        return [], str(error).partition("\n")[0]
    return columns, f"{counted(counts[0], 'row')}, {counted(counts[1], 'row group')}"
