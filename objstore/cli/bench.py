"""``bench``: how fast the user's own server is, from here."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import click

from objstore import ObjectStore
from objstore.cli.options import Settings, command, pass_settings
from objstore.cli.screen import show
from objstore.cli.typed.values import size

__all__ = ["bench"]


@dataclass(frozen=True)
class _Figure:
    """What was measured.

    Attributes:
        what: was done, for people.
        count: how many operations that were.
        bytes: of the payloads, of all together.
        seconds: that they took.
    """

    what: str
    count: int
    bytes: int
    seconds: float

    def row(self) -> list[str]:
        """Return the figure's line in the table."""
        each = self.seconds / self.count * 1000
        speed = f"{self.bytes / self.seconds / 1e6:,.1f} MB/s" if self.bytes else ""
        return [self.what, f"{self.count / self.seconds:,.0f}/s", f"{each:,.2f} ms", speed]

    def fields(self) -> dict[str, object]:
        """Return the figure's fields for ``--json``."""
        seconds = round(self.seconds, 6)
        return {"what": self.what, "count": self.count, "bytes": self.bytes, "seconds": seconds}


@command()
@click.option("--size", "large", metavar="SIZE", type=size, default="64M", show_default=True,
              help="Of the large object.")  # fmt: skip
@click.option("--small", metavar="SIZE", type=size, default="1k", show_default=True,
              help="Of each small object.")  # fmt: skip
@click.option("--count", metavar="N", type=click.IntRange(min=1), default=500, show_default=True,
              help="How many small objects.")  # fmt: skip
@click.option("--replicas", metavar="N", type=click.IntRange(min=1), default=1, show_default=True,
              help="Of the bucket.")  # fmt: skip
@pass_settings
def bench(settings: Settings, large: int, small: int, count: int, replicas: int) -> None:
    """Measure puts, gets and listings on your own server.

    In a bucket of its own, which is deleted at the end. One operation after the other, over one
    connection; the objects have a folder in their names and a media type.

    \b
    Examples:
      objstore bench
      objstore bench --size 1G --count 5000 --replicas 3
      objstore bench --json
    """
    name = f"objstore-bench-{os.urandom(6).hex()}"
    with settings.connect() as client:
        store = client.object_store(name, replicas=replicas)
        try:
            for figure in _figures(store, large, small, count):
                if settings.json:
                    show.line(show.as_json(figure.fields()))
                else:
                    what, rate, each, speed = figure.row()
                    show.line(f"{what:<28}{rate:>12}{each:>14}{speed:>16}")
        finally:
            client.delete_store(name)


def _figures(store: ObjectStore, large: int, small: int, count: int) -> Iterator[_Figure]:
    block = os.urandom(show.BLOCK)  # again and again: memory stays flat
    content = block[:small] if small <= show.BLOCK else os.urandom(small)
    names = [f"small/{number:06}.bin" for number in range(count)]
    mime = "application/octet-stream"

    def blocks() -> Iterator[bytes]:
        for at in range(0, large, show.BLOCK):
            yield block[: large - at]

    def read() -> None:
        # Not read_bytes: an object of any size is to be measured.
        with store.open("large/object.bin") as file:
            while file.read(show.BLOCK):
                pass

    def put_large() -> None:
        store.put("large/object.bin", blocks(), mime=mime)

    def put_small(name: str) -> None:
        store.put(name, content, mime=mime)

    title, each = show.human_size(large), show.human_size(small)
    yield _timed(f"put, {title}", 1, large, put_large)
    yield _timed(f"get, {title}", 1, large, read)
    yield _timed(f"put, {each}", count, small * count, _each(names, put_small))
    yield _timed(f"get, {each}", count, small * count, _each(names, store.read_bytes))
    yield _timed("info", count, 0, _each(names, store.info))
    yield _timed("list, an object", count + 1, 0, lambda: list(store.list()))
    yield _timed("delete", count, 0, _each(names, store.delete))


def _each(names: list[str], work: Callable[[str], object]) -> Callable[[], None]:
    """Do something for each name."""

    def run() -> None:
        for name in names:
            work(name)

    return run


def _timed(what: str, count: int, size_: int, work: Callable[[], object]) -> _Figure:
    begun = time.perf_counter()
    work()
    return _Figure(what, count, size_, time.perf_counter() - begun)
