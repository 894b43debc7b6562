"""Contents that tell which write they come from, in each of their parts."""

from __future__ import annotations

import hashlib

__all__ = ["MixedContentError", "content", "source_of"]

BLOCK = 512
_HEAD = 48


class MixedContentError(Exception):
    """What was read is not what one write wrote."""


def content(number: str, size: int) -> bytes:
    """What the write of an id stores.

    Arguments:
        number: the id: at most 30 characters, of ASCII and without blanks.
        size: in bytes.
    """
    rest = (hashlib.sha512(number.encode()).digest() * (BLOCK // 64))[_HEAD:]
    parts = []
    for at in range(0, size, BLOCK):
        parts += [b"%-30s %8d %8d" % (number.encode(), size, at // BLOCK), rest]
    return b"".join(parts)[:size]


def source_of(data: bytes) -> str | None:
    """The id of the write that the data come from; None: they are empty, and could be any's.

    Raises:
        MixedContentError: they are not one write's, whole and unharmed.
    """
    if not data:
        return None
    number = data[:_HEAD].split(b" ", 1)[0].decode("ascii", "replace")
    if data != content(number, len(data)):
        heads = {bytes(data[at : at + _HEAD]) for at in range(0, len(data), BLOCK)}
        ids = sorted({head.split(b" ", 1)[0].decode("ascii", "replace") for head in heads})
        raise MixedContentError(f"{len(data)} bytes of {', '.join(ids[:5])}")
    return number
