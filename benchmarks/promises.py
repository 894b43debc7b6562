"""The promises of speed, computed from a run's figures: what is compared, target, measured."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.figures import Figure, Ratio, Report, ratio_of, size_text

__all__ = ["promises"]


def promises(report: Report) -> list[Ratio]:
    """Every promise; those that this run did not measure say so."""
    return [
        *_beside_peers(report),
        *_beside_the_socket(report),
        *_memory(report),
        *_threads(report),
        *_scaling(report),
    ]


def _beside_peers(report: Report) -> Iterator[Ratio]:
    for kind, what, who, target in (
        ("large", "put", "natsrpy", 1.5),
        ("large", "put", "nats-py", 3.0),
        ("large", "get", "natsrpy", 2.5),
        ("large", "get", "nats-py", 20.0),
        ("small", "put", "natsrpy", 1.3),
        ("small", "put", "nats-py", 2.5),
        ("small", "get", "natsrpy", 2.0),
        ("small", "info", "nats-py", 1.2),
        ("small", "list 1,000", "nats-py", 3.0),
    ):
        size = "16 MiB " if kind == "large" else "1 KiB " if what in ("put", "get") else ""
        ours, theirs = report.find(kind, "objstore", what), report.find(kind, who, what)
        yield ratio_of(f"{size}{what} / {who}", target, ours, theirs)
    several = report.find("small", "objstore", "get_many")
    one = report.find("small", "objstore", "get one by one")
    yield ratio_of("1 KiB get_many / get one by one", 3.0, several, one)


def _beside_the_socket(report: Report) -> Iterator[Ratio]:
    """At each chunk size: what is compared differs in nothing but who does it."""
    for chunk_size in (128 << 10, 512 << 10):
        text = f"{chunk_size >> 10} KiB"

        def found(who: str, what: str, chunk_size: int = chunk_size) -> Figure | None:
            return report.find("limit", who, what, chunk_size=chunk_size)

        raw, bare = f"raw socket, {text}", f"raw socket, {text}, no hashing"
        for what, target, who, which in (
            ("put", 0.9, raw, "raw socket"),
            ("get", 1.05, raw, "raw socket"),
            ("get", 0.75, bare, "raw socket without hashing"),
        ):
            name = f"{what}, {text} chunks / {which}"
            yield ratio_of(name, target, found("objstore", what), found(who, what))


def _memory(report: Report) -> Iterator[Ratio]:
    for what in ("put", "get", "get, reader paused"):
        figure = report.find("memory", "objstore", what)
        size = 1 << 30 if figure is None else figure.setting["size"]
        name = f"peak memory, {what}, of {size_text(size)}"
        measured = None if figure is None else figure.median
        yield Ratio(name, 64.0, measured, at_most=True, unit="MiB")


def _threads(report: Report) -> Iterator[Ratio]:
    for what in ("get", "put"):
        crowd = report.find("threads", "objstore", what, threads=64)
        few = report.find("threads", "objstore", what, threads=4)
        yield ratio_of(f"1 KiB {what}, 64 threads / 4 threads", 1.0, crowd, few)
    lost = report.find("threads", "objstore", "lost or damaged")
    measured = None if lost is None else lost.median
    yield Ratio("lost or damaged objects, 64 threads", 0.0, measured, at_most=True, unit="objects")


def _scaling(report: Report) -> Iterator[Ratio]:
    """A quick run has 16 and 128 MiB, and 10,000 objects, in the place of the large ones."""
    for what in ("put", "get"):
        sizes = report.of_kind("sizes", what, storage="file")
        small, large = (64 << 20, 1 << 30)
        if sizes and max(each.setting["size"] for each in sizes) < large:
            small, large = (16 << 20, 128 << 20)
        text = f"{large >> 20:,} MiB / {small >> 20} MiB"
        above = report.find("sizes", "objstore", what, size=large, storage="file")
        below = report.find("sizes", "objstore", what, size=small, storage="file")
        yield ratio_of(f"{what} MB/s, {text}", 0.8, above, below)
    counts = [each.setting["count"] for each in report.of_kind("listing")]
    most = max(counts, default=100_000)
    above = report.find("listing", "objstore", "list", count=most)
    below = report.find("listing", "objstore", "list", count=1_000)
    yield ratio_of(f"rate per listed object, {most:,} / 1,000", 0.7, above, below)
