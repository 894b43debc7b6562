"""The types of payloads and of the options of ``put``, for editors and type checkers."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol, TypedDict

from objstore.model.described_later import HeadersOption, MetadataOption
from objstore.progress import ProgressOption

if sys.version_info >= (3, 12):
    from collections.abc import Buffer
elif TYPE_CHECKING:
    from typing_extensions import Buffer
else:  # only checkers look at it, and typing_extensions would be a dependency for this name alone
    Buffer = bytes | bytearray | memoryview

__all__ = ["BinaryReader", "Payload", "PutOptions"]


class BinaryReader(Protocol):
    """A binary file, a socket's file, a response: whatever has a ``read`` that gives bytes."""

    def read(self, size: int, /) -> Buffer | None:
        """Return at most ``size`` bytes, and none at the end."""


#: What :meth:`objstore.ObjectStore.put` stores: bytes-like, a binary file, an iterable of
#: bytes-like, the path of a file, or None, which is an empty object.
Payload = Buffer | BinaryReader | Iterable[Buffer] | os.PathLike[str] | os.PathLike[bytes] | None


class PutOptions(TypedDict, total=False):
    """The keyword arguments of :meth:`objstore.ObjectStore.put`, which other methods pass on."""

    description: str | None
    mime: str | None
    headers: HeadersOption
    metadata: MetadataOption
    chunk_size: int | None
    ttl: timedelta | float | None
    if_revision: int | None
    progress: ProgressOption
    timeout: float | None
