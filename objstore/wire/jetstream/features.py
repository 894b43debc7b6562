"""The features that depend on the version of nats-server."""

from __future__ import annotations

import functools

__all__ = ["FEATURES", "version_of"]

#: The first nats-server with each feature.
FEATURES: dict[str, tuple[int, int, int]] = {
    "batched direct get": (2, 11, 0),
    "message TTL": (2, 11, 0),
    "exact pending counts": (2, 12, 0),
    "fast-ingest batches": (2, 14, 0),
}


@functools.lru_cache(maxsize=16)
def version_of(text: str) -> tuple[int, int, int]:
    """Return the numbers of a server's version; what follows a dash is left out."""
    # 2.15.1-RC.2 has what 2.15.1 has. A part that is no number is left out.
    numbers = [int(part) for part in text.split("-")[0].split(".") if part.isdigit()]
    major, minor, patch, *_ = [*numbers, 0, 0, 0]
    return major, minor, patch
