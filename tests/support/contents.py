"""Contents of any length, which cost no time to make."""

from __future__ import annotations

__all__ = ["pattern"]

_PERIOD = bytes((i * 31 + 7) % 251 for i in range(251))


def pattern(size: int) -> bytes:
    """Return so many bytes, no two chunks of which are alike: 251 is prime."""
    return (_PERIOD * (size // len(_PERIOD) + 1))[:size]
