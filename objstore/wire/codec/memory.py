"""Memory for large messages, which is used again for the next ones."""

from __future__ import annotations

__all__ = ["Memory"]

#: The memory kept for large messages to come, in bytes: what a reader has under way (8 MiB) and
#: what it keeps (4 MiB) are less. The largest piece of it, and what sizes are rounded up to.
KEPT_SIZE = 14 << 20
LARGEST_PIECE = 2 << 20
STEP = 16 << 10

#: How many pieces are looked at from either end before a new one is made.
LOOKS = 4


class Memory:
    """Memory for large messages, used again when nobody looks at the old message any more.

    Fresh memory is dear: the system hands it out page by page, and clears each (0.6 s of
    processor time for 1 GB, where receiving it takes 0.25 s).
    """

    def __init__(self) -> None:
        self._pieces: list[bytearray] = []  # the one given out last at the end
        self._size = 0

    def take(self, size: int) -> memoryview:
        """Return some memory; it is in use for as long as there is a view of it."""
        pieces = self._pieces
        # With a fast reader one of the last is free, and still in the processor's cache; with a
        # slow one, the first. Looking at all would take it longer than receiving does.
        for _ in range(min(LOOKS, len(pieces))):
            pieces.append(piece := pieces.pop(-LOOKS if len(pieces) >= LOOKS else 0))
            if size <= len(piece) <= 2 * size and _is_free(piece):
                return memoryview(piece)[:size]
        for _ in range(min(LOOKS, len(pieces))):
            pieces.append(piece := pieces.pop(0))
            if size <= len(piece) <= 2 * size and _is_free(piece):
                return memoryview(piece)[:size]
        if size > LARGEST_PIECE:
            return memoryview(bytearray(size))
        piece = bytearray(-(-size // STEP) * STEP)
        pieces.append(piece)
        self._size += len(piece)
        while self._size > KEPT_SIZE:
            self._size -= len(pieces.pop(0))
        return memoryview(piece)[:size]


def _is_free(piece: bytearray) -> bool:
    """Tell whether a piece has no view: then, and only then, its size can be changed."""
    try:
        del piece[-1:]
    except BufferError:
        return False
    piece.append(0)
    return True
