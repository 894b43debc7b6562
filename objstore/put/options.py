"""What may be said of an object that is put, by name and type: for editors and type checkers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TypedDict

from objstore.model.objects import Headers
from objstore.progress import ProgressOption

__all__ = ["PutOptions"]


class PutOptions(TypedDict, total=False):
    """The keyword arguments of :meth:`objstore.ObjectStore.put`, which other methods pass on."""

    description: str | None
    mime: str | None
    headers: Headers | None
    metadata: Mapping[str, str] | None
    chunk_size: int | None
    ttl: timedelta | float | None
    if_revision: int | None
    progress: ProgressOption
    timeout: float | None
