"""What of an object is at hand, and what is fetched next: from bytes to chunks.

A chunk is the unit of what is fetched. A jump asks for no more than was wanted; reading on from
there, by another call, asks ahead for as much as was read, up to all that may be under way. Chunks
used a moment ago are kept, and a jump to what is under way already waits for that.
"""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from objstore.get.chunks import Chunks
from objstore.get.integrity import Payload, wrong_size
from objstore.metadata.records import Records
from objstore.model.objects import ObjectInfo

__all__ = ["Piece", "ReadAhead"]

#: What is kept of the chunks used last: bytes, and how many.
KEPT_BYTES, KEPT = 4 << 20, 64

#: After so many chunks in order only a quarter of that is kept: then nobody jumps, and memory
#: that is used again soon is still in the processor's cache (2 to 5 % less processor time).
LONG_RUN = 16


class Piece(msgspec.Struct, frozen=True):
    """A chunk and its place in the object.

    Attributes:
        number: the chunk's number, counted from 0.
        offset: the place of its first byte in the object.
        payload: the chunk's bytes.
    """

    number: int
    offset: int
    payload: Payload

    @property
    def end(self) -> int:
        """Where the next chunk begins, in bytes."""
        return self.offset + len(self.payload)


class ReadAhead:
    """The part of an object that is being read, and what is fetched ahead of it.

    Arguments:
        records: the bucket that it is in.
        info: its metadata; not a link; of more than one chunk.
        whole: see :class:`~objstore.get.chunks.Chunks`.

    Attributes:
        buffer: the memory for the whole object, if it can be had; see there.

    Memory: what is under way (8 MiB), and :data:`KEPT_BYTES`.
    """

    def __init__(self, records: Records, info: ObjectInfo, *, whole: bool = False) -> None:
        self._info = info
        self._chunks = Chunks(records, info, whole=whole)
        self.buffer = self._chunks.buffer
        self._layout = self._chunks.layout
        self._kept: OrderedDict[int, Piece] = OrderedDict()
        self._kept_bytes = 0
        self._offset: int | None = 0  # of the chunk that comes next; None: to be found
        self._measured = True  # whether that was measured, chunk by chunk, and not computed
        self._run = 0  # how many chunks were taken since the last jump
        self._earlier = 0  # … and by reads before this one
        self._goal = 0  # where this one ends

    def piece(self, position: int, wanted: int, limit: int) -> Piece:
        """Return the chunk that holds a byte.

        Arguments:
            position: of the byte; there is one.
            wanted: how many bytes will be read from there.
            limit: nothing will ever be read from there on.

        Raises:
            ObjectChangedError: the object was overwritten or deleted.
            ObjectCorruptError: chunks are missing, or their sizes do not add up.
            RequestTimeoutError, ConnectionLostError: the server does not answer.
        """
        # All chunks of one read come with the same goal; another one tells of the next read.
        if self._goal != position + wanted:
            self._goal, self._earlier = position + wanted, self._run
        while True:
            if position == self._offset:
                # As many ahead as earlier reads took since the last jump: twice as many each time
                # fetched 7.9 MB for a zip member of 1.6 MB. Not what this read took itself, which
                # knows its end: of a column of 8.3 MB that fetched up to 17 MB.
                ahead = max(self._need(0, wanted), min(self._earlier, self._left(limit)))
                piece = self._take(ahead)
            else:
                piece = self._at_hand(position) or self._fetch(position, wanted)
            if piece is not None and piece.offset <= position < piece.end:
                return piece

    def close(self) -> None:
        """Drop what is kept and what is under way."""
        self._chunks.close()
        self._kept.clear()

    # --- what is at hand

    def _at_hand(self, position: int) -> Piece | None:
        # The latest first: who reads in small steps is mostly in that one.
        for piece in reversed(self._kept.values()):
            if piece.offset <= position < piece.end:
                self._kept.move_to_end(piece.number)
                return piece
        return None

    def _keep(self, piece: Piece) -> None:
        kept = self._kept
        if piece.number not in kept:
            self._kept_bytes += len(piece.payload)
        kept[piece.number] = piece
        kept.move_to_end(piece.number)
        most = KEPT_BYTES if self._run < LONG_RUN else KEPT_BYTES // 4
        # One stays in any case, however large.
        while len(kept) > 1 and (self._kept_bytes > most or len(kept) > KEPT):
            _, dropped = kept.popitem(last=False)
            self._kept_bytes -= len(dropped.payload)

    # --- what is fetched

    def _need(self, within: int, wanted: int) -> int:
        """Tell about how many chunks hold so many bytes, from a place within the first one on."""
        return min(self._chunks.full, -(-(within + wanted) // self._layout.typical))

    def _left(self, limit: int) -> int:
        """Tell about how many chunks there are up to a place."""
        return -(-(limit - (self._offset or 0)) // self._layout.typical)

    def _fetch(self, position: int, wanted: int) -> Piece | None:
        """Jump to the chunk that holds a byte; None: something was learned on the way."""
        layout, chunks = self._layout, self._chunks
        found = layout.find(position)
        if found is None:
            if layout.chunk_size is None:
                return self._measure(position)
            index, within = divmod(position, layout.chunk_size)
            self._prove(index, self._need(within, wanted))
            return None
        index, offset = found
        need = self._need(position - offset, wanted)
        if index == chunks.index:
            self._set(offset)
        elif self._offset is None or not chunks.index < index < chunks.asked:
            # What is under way already is waited for: to drop it and ask again would take longer.
            self._seek(index, offset)
        while chunks.index < index:  # it is under way
            if self._take(index - chunks.index + need) is None:
                return None
        return self._take(need)

    def _seek(self, index: int, offset: int) -> None:
        self._chunks.seek(index)
        self._set(offset)
        self._run = self._earlier = 0

    def _set(self, offset: int) -> None:
        self._offset = offset
        self._measured = not offset or self._layout.chunk_size is None

    def _take(self, ahead: int) -> Piece | None:
        """Return the next chunk; None: it shows that the place computed for it was wrong."""
        layout, info = self._layout, self._info
        index, offset, self._offset = self._chunks.index, self._offset, None
        assert offset is not None  # noqa: S101 - or it would have been looked for
        piece = Piece(index, offset, self._chunks.next(min(ahead, self._chunks.full)))
        # Only the last chunk may reach the object's end, and it must.
        end = piece.end
        if end > info.size or (index == info.chunks - 1) != (end == info.size):
            if self._measured:
                raise wrong_size(info)
            self._doubt(0)
            return None
        if not layout.fits(index, offset, len(piece.payload)):
            self._doubt(index if self._measured else 0)
            if not self._measured:
                return None
            layout.fits(index, offset, len(piece.payload))
        self._offset = end
        self._run += 1
        self._keep(piece)
        return piece

    def _doubt(self, good: int) -> None:
        """Take note that the chunks are not of one size: only what was measured counts."""
        self._layout.doubt(good)
        if not self._measured:
            self._kept.clear()
            self._kept_bytes = 0

    def _prove(self, index: int, need: int) -> None:
        """Look whether all chunks are of one size: the last one tells.

        Another client may have stored short reads as they came; no metadata say so. The chunk
        that is looked for is asked for at the same time, so that this costs no round trip.
        """
        layout, info = self._layout, self._info
        self._offset = None
        if index < info.chunks - 1:
            self._chunks.seek(index)
            self._run = self._earlier = 0
            self._chunks.ask(need)
        payload = self._chunks.last()
        # Nothing of what the metadata say is believed before it is compared.
        if len(payload) > info.size:
            raise wrong_size(info)
        layout.prove(len(payload))
        self._keep(Piece(info.chunks - 1, info.size - len(payload), payload))

    def _measure(self, position: int) -> Piece | None:
        """Find a chunk among uneven ones: read from the nearest place known, on or back."""
        begin, end = self._layout.offsets_around(position)
        here = self._offset if self._measured else None
        if here is None or not begin[1] <= here < position:  # what is under way is not nearer
            # From whichever known place is nearer: the way there is read chunk by chunk.
            if position - begin[1] > end[1] - position:
                return self._measure_back(position, begin, end)
            self._seek(*begin)
        while True:
            piece = self._take(self._need(0, position - (self._offset or 0) + 1))
            if piece is None or piece.end > position:
                return piece

    def _measure_back(
        self, position: int, begin: tuple[int, int], end: tuple[int, int]
    ) -> Piece | None:
        """Read the chunks right before a place known, so many as may hold a byte."""
        (first, start), (last, stop) = begin, end
        typical = max(1, (stop - start) // (last - first))
        most = max(1, KEPT_BYTES // typical)
        # One more than the average says; not more than is kept, or the first would be gone when the
        # last comes.
        count = min(last - first, (stop - position) // typical + 1, most)
        self._offset = None
        self._run = self._earlier = 0
        self._chunks.seek(last - count)
        payloads = [self._chunks.next(count - number) for number in range(count)]
        wanted = None
        for number, payload in enumerate(reversed(payloads), 1):
            stop -= len(payload)
            if stop < start or (last - number == first and stop != start):
                raise wrong_size(self._info)
            self._layout.learn_offset(last - number, stop)
            piece = Piece(last - number, stop, payload)
            self._keep(piece)
            if piece.offset <= position < piece.end:
                wanted = piece
        return wanted
