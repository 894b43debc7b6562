"""The benchmarks by name, with what they take and what their figures mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.kinds.costs import costs, memory
from benchmarks.kinds.folders import folders
from benchmarks.kinds.listing import listing
from benchmarks.kinds.race import endurance, large, limit, small, tls, wire
from benchmarks.kinds.seek import seek
from benchmarks.kinds.stages import stages
from benchmarks.kinds.start import start
from benchmarks.kinds.sync import sync
from benchmarks.kinds.threads import threads
from benchmarks.kinds.throughput import by_chunk_size, by_object_size, on_a_cluster
from benchmarks.kinds.web import web
from benchmarks.run import Run

__all__ = ["KINDS", "Kind"]


@dataclass(frozen=True)
class Kind:
    """One benchmark.

    Attributes:
        title: for tables.
        run: measures.
        seconds: that it takes, about, in a full and in a quick run, for the progress bar; 0: it is
            not part of a quick run.
    """

    title: str
    run: Callable[[Run], None]
    seconds: tuple[int, int]


KINDS = {
    "large": Kind("16 MiB objects, beside other clients", large, (60, 8)),
    "tls": Kind("The same over TLS", tls, (60, 10)),
    "limit": Kind("Large objects, beside a plain socket", limit, (60, 10)),
    "small": Kind("1 KiB objects, beside other clients", small, (40, 10)),
    "listing": Kind("Listing", listing, (60, 5)),
    "folders": Kind("Folders, parts and deletes", folders, (90, 10)),
    "sync": Kind("Whole folders of small files", sync, (400, 20)),
    "sizes": Kind("By object size", by_object_size, (120, 5)),
    "memory": Kind("Peak memory", memory, (30, 5)),
    "threads": Kind("Threads on one client", threads, (90, 8)),
    "stages": Kind("Where the time of a small operation goes", stages, (20, 4)),
    "start": Kind("Before the first object", start, (30, 5)),
    "costs": Kind("What a transfer costs", costs, (100, 6)),
    "seek": Kind("Random and sequential reads", seek, (60, 0)),
    "web": Kind("Objects and files by HTTP", web, (60, 0)),
    "chunks": Kind("By chunk size", by_chunk_size, (260, 0)),
    "cluster": Kind("Three servers, three replicas", on_a_cluster, (60, 0)),
    "wire": Kind("Plain publishes", wire, (10, 0)),
    "endurance": Kind("Gets in a row", endurance, (20, 0)),
}
