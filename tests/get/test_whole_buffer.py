"""Memory for a whole object: each chunk lands in its place, once; what was given away stays."""

from __future__ import annotations

import itertools
import sys
from typing import Any

import pytest

from objstore import Client, ObjectStore
from objstore.get.layout import Layout
from objstore.get.whole_buffer import LARGEST, WholeObjectBuffer, _Memory
from tests.get.test_reader import put_pieces
from tests.support.proxy import Proxy

CHUNK = 64 << 10


def header(left: int) -> bytes:
    """What a direct get's answer has at its end."""
    return b"NATS/1.0\r\nNats-Sequence: 7\r\nNats-Num-Pending: %d\r\n\r\n" % left


class TestPlaces:
    """Which chunk lands where."""

    def landing(self, *, pending_includes_self: bool = False) -> WholeObjectBuffer:
        return WholeObjectBuffer(Layout(25, 3, 10, 100), pending_includes_self)

    def place(self, landing: WholeObjectBuffer, left: int, size: int) -> memoryview:
        found = landing.place("", header(left), size)
        assert found is not None
        return found

    def test_each_chunk_in_its_place(self) -> None:
        landing = self.landing()
        for index, content in enumerate([b"a" * 10, b"b" * 10, b"c" * 5]):
            place = self.place(landing, 2 - index, len(content))
            place[:] = content
            assert landing.take(index, 10 * index, place)
            del place
        assert landing.content() == b"a" * 10 + b"b" * 10 + b"c" * 5

    def test_a_server_that_counts_the_message_itself(self) -> None:
        landing = self.landing(pending_includes_self=True)
        self.place(landing, 3, 10)[:] = b"x" * 10
        assert bytes(landing.first(10)) == b"x" * 10

    def test_a_chunk_that_comes_again_lands_elsewhere(self) -> None:
        """What was verified is not to be changed any more, by whatever comes later."""
        landing = self.landing()
        self.place(landing, 1, 10)
        assert landing.place("", header(1), 10) is None
        assert landing.place("", header(2), 10) is None
        assert landing.place("", header(0), 5) is not None

    def test_nor_one_that_was_taken_from_elsewhere(self) -> None:
        landing = self.landing()
        assert landing.take(0, 0, memoryview(b"y" * 10))
        assert landing.place("", header(2), 10) is None
        assert bytes(landing.first(10)) == b"y" * 10

    @pytest.mark.parametrize(
        ("block", "size"),
        [
            (b"", 10),
            (b"NATS/1.0\r\n\r\n", 10),
            (b"NATS/1.0\r\nNats-Num-Pending: x\r\n\r\n", 10),
            (header(2), 9),
            (header(2), 11),
            (header(0), 10),
            (header(3), 10),
            (header(99), 10),
        ],
    )
    def test_what_is_not_as_expected_lands_elsewhere(self, block: bytes, size: int) -> None:
        assert self.landing().place("", block, size) is None

    def test_a_chunk_whose_place_is_another_one(self) -> None:
        assert not self.landing().take(1, 9, memoryview(b"z" * 10))

    def test_who_looks_at_it_keeps_what_is_there(self) -> None:
        landing = self.landing()
        view = self.place(landing, 2, 10)
        content = landing.content()
        view[:] = b"!" * 10
        assert content == bytes(25)

    def test_what_it_is_for(self) -> None:
        assert WholeObjectBuffer.can_hold(Layout(25, 3, 10, 100))
        assert not WholeObjectBuffer.can_hold(Layout(25, 4, 10, 100))
        assert not WholeObjectBuffer.can_hold(Layout(LARGEST + 1, 3, LARGEST // 2, 100))


@pytest.fixture
def content() -> bytes:
    return bytes(i * 13 % 251 for i in range(20 * CHUNK + 5))


@pytest.mark.needs_server("2.11")  # before, there are no batches
class TestReading:
    """All of an object, at once."""

    def test_is_not_copied(self, store: ObjectStore, content: bytes) -> None:
        """Every chunk lands, and the memory is given away as it is."""
        store.put("x", content, chunk_size=CHUNK)
        landed: list[bool] = []
        result = store.get("x")
        assert result is not None
        with result, pytest.MonkeyPatch.context() as patch:
            take = WholeObjectBuffer.take

            def watched(
                self: WholeObjectBuffer, index: int, offset: int, payload: memoryview
            ) -> bool:
                landed.append(payload.obj is self._view.obj)
                return take(self, index, offset, payload)

            patch.setattr(WholeObjectBuffer, "take", watched)
            assert result.read() == content
        assert landed == [True] * 20 + [False]  # the last one is small

    def test_a_second_time_leaves_the_first_alone(self, store: ObjectStore, content: bytes) -> None:
        store.put("x", content, chunk_size=CHUNK)
        result = store.get("x")
        assert result is not None
        with result:
            first = result.read()
            result.seek(0)
            second = result.read()
        assert first == second == content
        assert first is not second

    @pytest.mark.parametrize("sent", [50_000, 300_000, 20 * CHUNK])
    def test_over_a_lost_connection(
        self,
        proxy: Proxy,
        far_client: Client,
        far_store: ObjectStore,
        store: ObjectStore,
        content: bytes,
        sent: int,
    ) -> None:
        """A chunk that has landed in part comes again, and lands elsewhere."""
        store.put("x", content, chunk_size=CHUNK)
        far_store.info("x")
        proxy.down.cut_after(sent)
        assert far_store.read_bytes("x") == content
        assert far_client.connection.session.connects == 2

    @pytest.mark.parametrize(
        "sizes",
        [
            [CHUNK, CHUNK - 1, CHUNK, CHUNK // 2],
            [CHUNK, CHUNK // 2, CHUNK + CHUNK // 2, CHUNK],
            [CHUNK - 1, CHUNK, CHUNK, CHUNK // 2],
        ],
    )
    def test_of_uneven_chunks(
        self, client: Client, store: ObjectStore, content: bytes, sizes: list[int]
    ) -> None:
        """Those that landed where they are not in the object are put right."""
        ends = list(itertools.accumulate(sizes))
        pieces = [content[end - size : end] for end, size in zip(ends, sizes, strict=True)]
        put_pieces(client, store, "x", pieces, chunk_size=CHUNK)
        assert store.read_bytes("x") == content[: ends[-1]]

    def test_memory_is_not_left_to_the_collector(self, store: ObjectStore) -> None:
        """A Ctrl-C in what it calls would be lost, silently before Python 3.13."""
        store.put("x", b"1" * (10 * CHUNK), chunk_size=CHUNK)
        callers: list[str] = []

        def note(frame: Any, event: str, _argument: object) -> None:
            if event == "call" and frame.f_code is _Memory.close.__code__:
                callers.append(frame.f_back.f_code.co_name)

        sys.setprofile(note)
        try:
            for _ in range(3):
                assert len(store.read_bytes("x")) == 10 * CHUNK
        finally:
            sys.setprofile(None)
        assert callers == ["content"] * 3
