"""A process that puts and gets, and says what that took of it and of the server.

``python -m benchmarks.child`` is started by :mod:`benchmarks.kinds.costs`: a process of its own
has a peak of memory, counters and system calls of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.peers.base import Peer
from benchmarks.peers.ours import Ours
from benchmarks.peers.serve import open_client

__all__ = ["main"]

BLOCK = 1 << 20
#: Of what objstore and the raw loop put.
CHUNK = 512 << 10
#: How much is read between two pauses, and how long one takes, in seconds.
STRETCH, PAUSE = 128 << 20, 0.5


def blocks(size: int) -> Iterator[bytes]:
    """So many bytes, block by block, of which only one is ever in memory."""
    block = os.urandom(BLOCK)
    for start in range(0, size, BLOCK):
        yield block[: size - start]


def peak_memory() -> int:
    """The most memory that this process ever had, in bytes.

    Not ``ru_maxrss``: on Linux that starts with the peak of the process that started this one.
    """
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def process_seconds(pid: int) -> float:
    """The processor time that a process has used."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def read_slowly(client: Ours, pause: bool) -> None:
    """Read the object chunk by chunk, with pauses or without."""
    result = client.store.get("object")
    assert result is not None
    read = 0
    with result:
        for chunk in result.data:
            if pause and (read + len(chunk)) // STRETCH > read // STRETCH:
                time.sleep(PAUSE)
            read += len(chunk)


def act(options: argparse.Namespace, client: Peer) -> None:
    """Do what is measured."""
    for number in range(options.times):
        if options.do == "put" and options.streamed:
            assert isinstance(client, Ours)
            client.store.put("object", blocks(options.size))
        elif options.do == "put":
            client.put([f"{options.who} {number} {os.getpid()}"], options.data)
        elif options.streamed:
            assert isinstance(client, Ours)
            read_slowly(client, options.pause)
        else:
            client.get(["object"])


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Do it, and tell what it took."""
    client = open_client(options.who, options.url, options.bucket, CHUNK)
    options.data = b"" if options.streamed or options.do == "get" else os.urandom(options.size)
    client.prepare(options.data)
    client.info(["warm"])
    peak = peak_memory()
    usage, server = resource.getrusage(resource.RUSAGE_SELF), process_seconds(options.server)
    begin = time.perf_counter()
    act(options, client)
    taken = time.perf_counter() - begin
    after, server_after = resource.getrusage(resource.RUSAGE_SELF), process_seconds(options.server)
    answer = {
        "seconds": taken,
        "cpu": after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime,
        "server_cpu": server_after - server,
        "waits": after.ru_nvcsw - usage.ru_nvcsw,
        "growth": peak_memory() - peak,
    }
    client.close()
    return answer


def main() -> None:
    """Read the options, measure, print JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.child", description=__doc__)
    parser.add_argument("do", choices=["put", "get"])
    parser.add_argument("--who", default="objstore")
    parser.add_argument("--url", required=True)
    parser.add_argument("--bucket", required=True)
    parser.add_argument("--size", type=int, required=True, help="of the object, in bytes")
    parser.add_argument("--times", type=int, default=1, help="0: start and end alone")
    parser.add_argument("--server", type=int, default=0, help="the process id of nats-server")
    parser.add_argument("--streamed", action="store_true", help="a block in memory at a time")
    parser.add_argument("--pause", action="store_true", help="the reader stops now and then")
    print(json.dumps(measure(parser.parse_args())))


if __name__ == "__main__":
    main()
