"""From bytes to chunks: what is fetched, what is kept, what is asked ahead. No server."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import pytest

from objstore import ObjectCorruptError, ObjectInfo
from objstore.get import readahead
from objstore.get.layout import Layout
from objstore.get.readahead import KEPT, KEPT_BYTES, LONG_RUN, ReadAhead
from objstore.model.objects import ObjectMetaOptions

pytestmark = pytest.mark.newest_server

CHUNK = 100


class ScriptedChunks:
    """Stands where :class:`objstore.get.chunks.Chunks` does: chunks that are at hand.

    Attributes:
        log: what it was asked: to take a chunk with so many under way, to seek, for the last.
    """

    def __init__(self, chunks: Sequence[bytes], layout: Layout, full: int) -> None:
        self.log: list[tuple[Any, ...]] = []
        self.layout, self.full, self.buffer = layout, full, None
        self.index = self.asked = 0
        self._chunks = chunks

    def seek(self, index: int) -> None:
        self.log.append(("seek", index))
        self.index = self.asked = index

    def ask(self, ahead: int) -> None:
        self.log.append(("ask", self.index, ahead))
        self.asked = self.index + ahead

    def next(self, ahead: int) -> bytes:
        self.log.append(("take", self.index, ahead))
        self.asked = max(self.asked, min(len(self._chunks), self.index + ahead))
        self.index += 1
        return self._chunks[self.index - 1]

    def last(self) -> bytes:
        self.log.append(("last",))
        return self._chunks[-1]

    def close(self) -> None:
        self.log.append(("close",))


class Reading:
    """An object of some chunks, and who reads it."""

    def __init__(self, ahead: ReadAhead, chunks: ScriptedChunks, content: bytes) -> None:
        self.ahead, self.chunks, self.content = ahead, chunks, content

    def at(self, position: int, wanted: int = 1) -> None:
        """Read from there, and look whether it is right."""
        piece = self.ahead.piece(position, wanted, len(self.content))
        assert bytes(piece.payload) == self.content[piece.offset : piece.end]
        assert piece.offset <= position < piece.end

    def taken(self) -> list[int]:
        """The chunks that were fetched since this was last asked."""
        taken = [each[1] for each in self.chunks.log if each[0] == "take"]
        self.chunks.log.clear()
        return taken


def reading(
    sizes: Sequence[int],
    monkeypatch: pytest.MonkeyPatch,
    *,
    stated: int | None = CHUNK,
    full: int = 8,
    size: int | None = None,
) -> Reading:
    """An object whose chunks have these sizes, and state another, maybe."""
    parts = [bytes([number % 256]) * length for number, length in enumerate(sizes)]
    total = sum(sizes) if size is None else size
    info = ObjectInfo(
        "b", "x", size=total, chunks=len(sizes), options=ObjectMetaOptions(chunk_size=stated)
    )
    chunks = ScriptedChunks(parts, Layout(total, len(sizes), stated, 1000), full)
    monkeypatch.setattr(readahead, "Chunks", lambda *_, **__: chunks)
    return Reading(ReadAhead(None, info), chunks, b"".join(parts))  # type: ignore[arg-type]


EVEN = [CHUNK] * 40


def test_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each chunk once; more and more are under way, up to all that may be."""
    read = reading(EVEN, monkeypatch)
    for position in range(0, 4000, 50):
        read.at(position)
    assert [each[1] for each in read.chunks.log if each[0] == "take"] == list(range(40))
    ahead = [each[2] for each in read.chunks.log if each[0] == "take"]
    assert ahead[:10] == [1, 1, 2, 3, 4, 5, 6, 7, 8, 8]
    assert max(ahead) == read.chunks.full
    assert all(number + count <= 40 for number, count in enumerate(ahead))


def test_what_is_wanted_at_once_is_asked_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read = reading(EVEN, monkeypatch)
    read.at(0, 500)
    assert read.chunks.log == [("take", 0, 5)]
    read = reading(EVEN, monkeypatch)
    read.at(0, 10_000)
    assert read.chunks.log == [("take", 0, 8)]  # all that may be


def test_a_read_of_many_chunks_asks_for_no_more_than_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However long it is; the next one asks ahead for as many as this one took."""
    read = reading(EVEN, monkeypatch, full=20)
    read.at(0)
    for position in range(1000, 2000, CHUNK):
        read.at(position, 2000 - position)
    assert read.chunks.asked == 20
    read.at(2000, 2 * CHUNK)
    assert read.chunks.asked == 30


def test_a_jump_asks_for_no_more_than_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the last chunk proves, once, that all are of one size."""
    read = reading([*EVEN, 7], monkeypatch)
    read.at(2050, 120)
    assert read.chunks.log == [("seek", 20), ("ask", 20, 2), ("last",), ("take", 20, 2)]
    read.taken()
    read.at(3010)
    assert read.chunks.log == [("seek", 30), ("take", 30, 1)]
    read.taken()
    read.at(4003)  # the last one was kept
    assert read.taken() == []


def test_chunks_used_a_moment_ago_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    read = reading(EVEN, monkeypatch)
    for position in (0, 100, 2000, 3000):
        read.at(position)
    read.taken()
    for position in (150, 50, 3050, 2050, 0):
        read.at(position)
    assert read.taken() == []


def test_how_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    read = reading([CHUNK] * (KEPT + 10), monkeypatch)
    for number in range(0, KEPT + 10, 2):  # jumps: no run
        read.at(number * CHUNK)
    for number in range(1, KEPT + 10, 2):
        read.at(number * CHUNK)
    assert len(read.ahead._kept) == KEPT
    read.taken()
    read.at(0)  # the oldest is gone
    assert read.taken() == [0]


@pytest.mark.parametrize("jumps", [False, True])
def test_how_many_bytes_are_kept(jumps: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of it where everything is read in order."""
    large = KEPT_BYTES // 8
    count = 3 * LONG_RUN
    read = reading([large] * count, monkeypatch, stated=large)
    for number in range(0, count, 2 if jumps else 1):
        read.at(number * large)
    kept = sum(len(piece.payload) for piece in read.ahead._kept.values())
    assert kept == read.ahead._kept_bytes == (KEPT_BYTES if jumps else KEPT_BYTES // 4)


def test_one_chunk_is_kept_however_large(monkeypatch: pytest.MonkeyPatch) -> None:
    read = reading([2 * KEPT_BYTES, 2 * KEPT_BYTES], monkeypatch, stated=2 * KEPT_BYTES)
    read.at(0)
    read.at(2 * KEPT_BYTES - 1)
    assert read.taken() == [0]


def test_a_jump_to_what_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for that, and drops nothing."""
    read = reading(EVEN, monkeypatch)
    read.at(3900)
    read.at(0, 600)
    assert read.chunks.asked == 6
    read.taken()
    read.at(400)
    assert read.taken() == [1, 2, 3, 4]


def test_uneven_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As short reads stored them: every byte is found, from wherever one comes."""
    sizes = [CHUNK, 30, CHUNK, 99, 1, CHUNK, 50, CHUNK, 20]
    for start in range(0, sum(sizes), 7):
        read = reading(sizes, monkeypatch)
        read.at(start, 10)
        for position in (0, 599, 300, start, 130):
            read.at(position)


def test_a_place_among_uneven_ones_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was measured once is not measured again, when the chunk itself is long gone."""
    monkeypatch.setattr(readahead, "KEPT", 1)
    sizes = [CHUNK, 30, CHUNK, 99, 1, CHUNK, 50, CHUNK, 20]
    read = reading(sizes, monkeypatch, stated=70)
    for position in range(0, 600, 10):
        read.at(position)
    read.taken()
    read.at(235)
    assert read.taken() == [3]


@pytest.mark.parametrize("size", [350, 399, 401, 500])
def test_sizes_that_do_not_add_up(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the beginning or from a jump: an error, not other bytes."""
    for positions in (range(0, size, 10), range(size - 1, -1, -10)):
        read = reading([CHUNK] * 4, monkeypatch, size=size, stated=None)
        with pytest.raises(ObjectCorruptError, match="4 chunks do not have"):
            deque((read.ahead.piece(each, 1, size) for each in positions), maxlen=0)


def test_close(monkeypatch: pytest.MonkeyPatch) -> None:
    read = reading(EVEN, monkeypatch)
    read.at(0)
    read.ahead.close()
    assert read.chunks.log[-1] == ("close",)
    assert not read.ahead._kept
