"""Where the chunks of an object are: at which bytes of it, and at which numbers in the stream.

Pure: numbers in, numbers out. What is remembered was learned from what arrived; what is assumed
(chunks of one size, stored one right after the other) is asked about until it is proved.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

import msgspec

from objstore.model.objects import DEFAULT_CHUNK_SIZE

__all__ = ["Anchors", "Bounds", "Layout"]

#: How many places are remembered of each kind; beyond, only those of every second chunk, of
#: every fourth … 1 TiB in chunks of 128 KiB so takes 1 MB, not 500.
MOST = 1 << 14


class Anchors:
    """Known places of an object's chunks: a chunk's index, and a number that grows with it."""

    __slots__ = ("_indices", "_numbers", "_stride")

    def __init__(self, *known: tuple[int, int]) -> None:
        self._indices = [index for index, _ in known]
        self._numbers = [number for _, number in known]
        self._stride = 1

    def add(self, index: int, number: int) -> None:
        """Remember a place, unless there are too many already."""
        indices, numbers = self._indices, self._numbers
        if index % self._stride:
            return
        at = bisect_left(indices, index)
        if at < len(indices) and indices[at] == index:
            numbers[at] = number
            return
        indices.insert(at, index)
        numbers.insert(at, number)
        # Thinned out rather than cut off: places all over the object bound a search best.
        if len(indices) > MOST:
            self._stride *= 2
            last = len(indices) - 1  # the outermost stay: they bound the rest
            keep = [
                at
                for at, index in enumerate(indices)
                if at in (0, last) or not index % self._stride
            ]
            self._indices = [indices[at] for at in keep]
            self._numbers = [numbers[at] for at in keep]

    def get(self, index: int) -> int | None:
        """Return the number that is remembered for a chunk; None: none is."""
        at = bisect_left(self._indices, index)
        known = at < len(self._indices) and self._indices[at] == index
        return self._numbers[at] if known else None

    def around(self, index: int) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
        """Return the nearest places before a chunk and behind it (index, number)."""
        return self._both(bisect_left(self._indices, index), bisect_right(self._indices, index))

    def around_number(self, number: int) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
        """Return the last place up to a number, and the first one beyond."""
        at = bisect_right(self._numbers, number)
        return self._both(at, at)

    def _both(
        self, before: int, behind: int
    ) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
        indices, numbers = self._indices, self._numbers
        return (
            (indices[before - 1], numbers[before - 1]) if before else None,
            (indices[behind], numbers[behind]) if behind < len(indices) else None,
        )


class Bounds(msgspec.Struct, frozen=True):
    """The sequences between which a chunk is.

    Attributes:
        low: it has this one or a later one.
        high: it has this one or an earlier one. It has just this one where nothing was stored
            between it and the next place that is known.
        middle: where it is if what stands between the known places is spread evenly.
    """

    low: int
    high: int
    middle: int


class Layout:
    """Where the chunks of one object are.

    Arguments:
        size: of the object, in bytes; not 0.
        chunks: how many there are.
        chunk_size: of all but the last one, as stated; None: not stated.
        revision: the sequence of the metadata, which are stored after the chunks.

    Attributes:
        chunk_size: of all but the last one; None where they are known not to be of one size.
        proved: whether the last chunk is as large as it is when all others are of one size. No
            client stores chunks larger than it states, so then they are.
        counted: whether the stream was seen to hold as many chunks as stated, so that the
            number of those behind a chunk tells which one it is.
    """

    def __init__(self, size: int, chunks: int, chunk_size: int | None, revision: int) -> None:
        self.size = size
        self.chunks = chunks
        size_of_each = chunk_size or DEFAULT_CHUNK_SIZE
        # Chunks of one size give exactly this number; another number shows at once that they are
        # not.
        even = -(-size // size_of_each) == chunks
        self.chunk_size = size_of_each if even else None
        self.proved = chunks == 1
        self.counted = False
        self._revision = revision
        # Known without asking: where the first chunk begins, and where the last one ends.
        self._offsets = Anchors((0, 0), (chunks, size))
        # The metadata stand in for the chunk after the last one: they are stored right after it,
        # mostly.
        self._sequences = Anchors((chunks, revision))

    @property
    def typical(self) -> int:
        """About how large a chunk is, in bytes."""
        return self.chunk_size or max(1, self.size // self.chunks)

    # --- bytes

    def find(self, position: int) -> tuple[int, int] | None:
        """Return the chunk that holds a byte, and that chunk's first byte; None: not known yet."""
        size = self.chunk_size
        if size is not None:
            index = position // size
            # The first chunk begins at 0, whatever the sizes are.
            return (index, index * size) if self.proved or not index else None
        before, behind = self._offsets.around_number(position)
        if before is None or behind is None or behind[0] != before[0] + 1:
            return None
        return before

    def offsets_around(self, position: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return the nearest chunks before and behind a byte whose first bytes are known."""
        before, behind = self._offsets.around_number(position)
        assert before is not None  # noqa: S101 - the object's beginning
        assert behind is not None  # noqa: S101 - and its end
        return before, behind

    def fits(self, index: int, offset: int, length: int) -> bool:
        """Tell whether a chunk has the size assumed; where none is, remember where it ends."""
        if self.chunk_size is not None:
            return length == min(self.chunk_size, self.size - offset)
        self._offsets.add(index + 1, offset + length)
        return True

    def prove(self, last_length: int) -> None:
        """Learn from the last chunk's length whether all other chunks are of one size."""
        if self.chunk_size is None:
            self.learn_offset(self.chunks - 1, self.size - last_length)
        elif last_length == self.size - (self.chunks - 1) * self.chunk_size:
            self.proved = True
        else:
            self.doubt(0)
            self.learn_offset(self.chunks - 1, self.size - last_length)

    def doubt(self, good: int) -> None:
        """Note that the chunks are not all of one size; the first ``good`` of them are."""
        size, self.chunk_size = self.chunk_size, None
        self._offsets = Anchors((0, 0), (self.chunks, self.size))
        if good and size is not None:
            self._offsets.add(good, good * size)

    def learn_offset(self, index: int, offset: int) -> None:
        """Remember where a chunk of an uneven object begins."""
        if self.chunk_size is None and 0 <= offset < self.size:
            self._offsets.add(index, offset)

    # --- sequences

    def learn(self, index: int, sequence: int) -> None:
        """Remember the sequence of a chunk, which must be certain."""
        self._sequences.add(index, sequence)

    def sequence(self, index: int) -> int | None:
        """Return a chunk's sequence, if it is remembered or follows from its neighbours'."""
        known = self._sequences.get(index)
        if known is not None:
            return known
        bounds = self.bounds(index)
        return bounds.low if bounds.low == bounds.high else None

    @property
    def last_is_known(self) -> bool:
        """Whether the last chunk's sequence is remembered."""
        return self._sequences.get(self.chunks - 1) is not None

    def known_before(self, index: int) -> tuple[int, int]:
        """Return the nearest earlier chunk of known sequence, and that sequence; (-1, 0): none."""
        return self._sequences.around(index)[0] or (-1, 0)

    def is_sure(self, index: int, sequence: int) -> bool:
        """Tell whether a chunk's index, computed from the number of chunks behind it, is certain.

        A server that lacks chunks counts too few behind, so that the index is too high. The
        chunk's sequence is too low for that index then, unless other messages stand between.
        """
        return self.counted or not index or sequence == self.bounds(index).high

    def bounds(self, index: int) -> Bounds:
        """Return the bounds of a chunk's sequence, where that is not remembered."""
        before, behind = self._sequences.around(index)
        first, low = before or (-1, 0)
        end, high = behind or (self.chunks, self._revision)
        # The middle of the chunk's share of the sequences in between.
        share = (2 * (index - first) - 1) * (high - low) // (2 * (end - first))
        middle = low + share + 1
        # Each chunk takes one sequence at least, on both sides.
        low, high = low + index - first, high - (end - index)
        return Bounds(low, high, max(low, min(middle, high)))

    def forget_sequences(self) -> None:
        """Forget all sequences that were learned, since they contradict each other."""
        self._sequences = Anchors((self.chunks, self._revision))
