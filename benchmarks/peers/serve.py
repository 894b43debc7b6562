"""The other end of :mod:`benchmarks.peers.remote`: a Python client that does as it is told."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.peers.base import Peer

__all__ = ["main", "open_client"]


def open_client(who: str, url: str, bucket: str, chunk_size: int | None = None) -> Peer:
    """A client by its name; of the others only what is asked for is ever imported.

    Arguments:
        who: its name.
        url, bucket: where.
        chunk_size: of what objstore or the raw loop puts, in bytes; None: their defaults.
    """
    if who == "nats-py":
        from benchmarks.peers.natspy import NatsPy

        return NatsPy(url, bucket)
    if who == "natsrpy":
        from benchmarks.peers.natsrpy_client import Natsrpy

        return Natsrpy(url, bucket)
    if who == "raw socket":
        from benchmarks.peers.raw import Raw

        return Raw(url, bucket, chunk_size or 128 << 10)
    from benchmarks.peers.ours import Ours

    return Ours(url, bucket, chunk_size)


class _Server:
    """One client, and what it is to put."""

    def __init__(self, who: str) -> None:
        self._who = who
        self._client: Peer | None = None
        self._files: dict[str, bytes] = {}

    def do(self, order: dict[str, Any]) -> Any:
        """Do what a line says."""
        what = order["do"]
        if what == "open":
            self._client = open_client(self._who, order["url"], order["bucket"])
            return True
        if what == "load":
            self._files[order["file"]] = Path(order["file"]).read_bytes()
            return True
        arguments = [order["names"]] if "names" in order else []
        if "file" in order:
            arguments.append(self._files[order["file"]])
        return getattr(self._client, what)(*arguments)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()


def main() -> None:
    """Answer line by line, until there are no more."""
    server = _Server(sys.argv[1])
    for line in sys.stdin:
        try:
            answer = {"result": server.do(json.loads(line))}
        except BaseException as error:  # noqa: BLE001 - the other end raises it; Rust panics so
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
    server.close()


if __name__ == "__main__":
    main()
