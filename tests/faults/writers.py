"""Several threads that put one name, over and over: a program of its own.

``python -m tests.faults.writers URLS BUCKET THREADS TURNS`` writes the number of puts.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import objstore

CHUNK = 1000


def content(writer: int, turn: int) -> bytes:
    """No two of them alike: a mixture would be seen, and its length tells its writer."""
    return f"{os.getpid()} {writer} {turn} ".encode() * 300


def main(urls: str, bucket: str, threads: int, turns: int) -> None:
    def write(writer: int) -> int:
        with objstore.connect(urls) as client:
            store = client.object_store(bucket, create=False)
            for turn in range(turns):
                store.put("x", content(writer, turn), chunk_size=CHUNK)
        return turns

    with ThreadPoolExecutor(threads) as pool:
        sys.stdout.write(str(sum(pool.map(write, range(threads)))))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
