"""Through fsspec: pandas reading Parquet from a bucket, a local file and S3; and large folders.

.. code-block:: sh

    pip install -e ".[ecosystem]" s3fs "moto[server]"
    python -m benchmarks.by_fsspec

All take turns, round by round, and a figure is the median; the first round does not count. The S3
server is moto's, which runs on this machine in Python and in memory: it is there to have s3fs do
its work, and says nothing of S3. Without s3fs and moto that row is left out.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy

import objstore
from benchmarks.rounds import Contender, alternate
from objstore.contrib.fsspec import ObjectFileSystem

__all__ = ["main"]

#: Columns of the table; each is of random doubles, which nothing compresses.
COLUMNS = 20

#: Objects in each folder of the bucket whose folders are looked at.
IN_FOLDER = 200

Act = Callable[[int], object]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print two tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.by_fsspec",
        description="Measure pandas and large folders through fsspec.",
    )
    parser.add_argument("--megabytes", type=int, default=500, help="of the Parquet file (500)")
    parser.add_argument("--objects", type=int, default=20_000, help="in a bucket (20,000)")
    parser.add_argument("--rounds", type=int, default=5, help="that count (5)")
    parser.add_argument("--no-s3", action="store_true", help="without s3fs")
    options = parser.parse_args(arguments)
    with objstore.LocalServer() as server:
        _print_parquet(server.url, options.megabytes, options.rounds, not options.no_s3)
        _print_folders(server.url, options.objects, options.rounds)
        objstore.shared_client(
            server.url
        ).close()  # before its server stops, of which it would warn


def _print_parquet(url: str, megabytes: int, rounds: int, with_s3: bool) -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as resources:
        local = Path(folder, "table.parquet")
        _write_table(local, megabytes)
        ways = _ways(local, url)
        if with_s3:
            ways["s3fs"] = _s3(local, resources.enter_context(_moto()))
        size = local.stat().st_size
        wanted = {"all columns": (None, size), "one column": (["column 7"], size / COLUMNS)}
        turns = [
            (Contender(f"{who}, {what}", _reader(*way, columns)), amount)
            for what, (columns, amount) in wanted.items()
            for who, way in ways.items()
        ]
        alternate([turn for turn, _ in turns], rounds)
    print(f"pandas.read_parquet of {size / 1e6:,.0f} MB in {COLUMNS} columns")
    for turn, amount in turns:
        median = statistics.median(turn.rates(amount))
        print(f"  {turn.name:26} {median / 1e6:8,.0f} MB/s")


def _write_table(path: Path, megabytes: int) -> None:
    import pandas

    rows = megabytes * 1_000_000 // (8 * COLUMNS)
    chance = numpy.random.default_rng(1)
    table = pandas.DataFrame({f"column {n}": chance.random(rows) for n in range(COLUMNS)})
    table.to_parquet(path)


Way = tuple[str, dict[str, Any] | None]


def _ways(local: Path, url: str) -> dict[str, Way]:
    """Store the file in a bucket; return the paths of both, and how to connect."""
    fs = ObjectFileSystem(url)
    fs.mkdir("bench")
    fs.put_file(str(local), "bench/table.parquet")
    return {
        "local file": (str(local), None),
        "natsobj": ("natsobj://bench/table.parquet", {"servers": url}),
    }


def _s3(local: Path, endpoint: str) -> Way:
    import fsspec

    options = {"key": "a", "secret": "b", "client_kwargs": {"endpoint_url": endpoint}}
    fs = fsspec.filesystem("s3", **options)
    fs.mkdir("bench")
    fs.put_file(str(local), "bench/table.parquet")
    return "s3://bench/table.parquet", options


@contextlib.contextmanager
def _moto() -> Iterator[str]:
    """Run moto's S3 server in a process of its own, and give its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(f"http://127.0.0.1:{port}/moto-api/")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _wait(address: str) -> None:
    """Wait until a server answers."""
    for _ in range(600):
        with contextlib.suppress(OSError):
            urllib.request.urlopen(address).close()
            return
        time.sleep(0.1)
    raise RuntimeError(f"{address} does not answer")


def _reader(path: str, options: dict[str, Any] | None, columns: list[str] | None) -> Act:
    import pandas

    return lambda _: pandas.read_parquet(path, columns=columns, storage_options=options)


def _print_folders(url: str, objects: int, rounds: int) -> None:
    fs = ObjectFileSystem(url)
    fs.mkdir("folders")
    fs.bucket("folders").put_many(
        (f"{number // IN_FOLDER:03}/{number:05}", b"x") for number in range(objects)
    )
    first = Contender("first ls", lambda _: fs.ls("folders/000"))
    first.take_turn(1)
    acts: dict[str, Act] = {
        "ls of a folder": lambda _: fs.ls("folders/000"),
        "exists, of an object": lambda _: fs.exists("folders/000/00100"),
        "exists, of nothing": lambda _: fs.exists("folders/absent"),
        "isdir": lambda _: fs.isdir("folders/000"),
        "glob of a folder": lambda _: fs.glob("folders/000/*"),
        "walk": lambda _: sum(len(files) for _, _, files in fs.walk("folders")),
        "find": lambda _: fs.find("folders"),
    }
    turns = [Contender(name, act) for name, act in acts.items()]
    alternate(turns, rounds)
    print(f"{objects:,} objects in folders of {IN_FOLDER}")
    for turn in (first, *turns):
        print(f"  {turn.name:26} {statistics.median(turn.seconds) * 1e3:8,.1f} ms")


if __name__ == "__main__":
    main()
