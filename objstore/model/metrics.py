"""What a bucket holds, in numbers. Pure data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from objstore.model.objects import ObjectInfo
from objstore.readable import counted

__all__ = ["StoreMetrics", "measure"]

#: What objects without a media type are counted under.
UNKNOWN = "unknown"


@dataclass(frozen=True)
class StoreMetrics:
    """What a bucket holds; links and tombstones are not objects.

    Attributes:
        objects: how many have content of their own: those of ``status().size`` without the links.
        total_size: the size of all of them, in bytes.
        avg_size: the average size of one, in bytes; 0.0 where there is none.
        mime_types: how many have each media type; ``"unknown"``: those without one.
    """

    objects: int = 0
    total_size: int = 0
    avg_size: float = 0.0
    mime_types: Mapping[str, int] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        """Return a small table for notebooks, with the media types by their number."""
        from objstore.notebook.html import Size, record, table

        fields = {"total_size": Size(self.total_size), "avg_size": Size(self.avg_size)}
        # The most first; those with as many by their names, so that it is always the same.
        types = sorted(self.mime_types.items(), key=lambda each: (-each[1], each[0]))
        below = table(["media type", "objects"], types) if types else ""
        return record(counted(self.objects, "object"), "with content of their own", fields, below)


def measure(records: Iterable[ObjectInfo]) -> StoreMetrics:
    """Count the live objects among a bucket's records."""
    objects = size = 0
    types: Counter[str] = Counter()
    for info in records:
        # A link's target is counted where it is, in this bucket or another.
        if not info.deleted and info.link is None:
            objects += 1
            size += info.size
            types[info.mime or UNKNOWN] += 1
    return StoreMetrics(objects, size, size / objects if objects else 0.0, dict(types))
