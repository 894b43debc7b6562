"""NUIDs: the identifiers that NATS uses for inboxes and for an object's chunks.

22 characters of base 62, from the operating system's randomness: 130 bits, so two never meet,
in no thread and in no forked child.

Rejected: pynats2's generator. Its sequence is divided as a float, and where the increment is
62 every second identifier repeats (501 distinct ones of 1,000 measured).
"""

from __future__ import annotations

import os

__all__ = ["next_nuid"]

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS = tuple(high + low for high in _DIGITS for low in _DIGITS)


def next_nuid() -> str:
    """A new identifier of 22 characters."""
    number = int.from_bytes(os.urandom(17), "big")
    pairs = []
    for _ in range(11):
        number, pair = divmod(number, 3844)
        pairs.append(_PAIRS[pair])
    return "".join(pairs)
