"""Reading from servers that answer wrongly, or not at all."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import pytest

from objstore import Client, DigestMismatchError, ObjectCorruptError, ObjectStore
from tests.support.proxy import Line, Predicate, Proxy, Rule, calls
from tests.support.streams import record, write_record

CONTENT = b"the only chunk"
CHUNK = 1000
LONG = bytes(i * 11 % 251 for i in range(5 * CHUNK + 9))  # the last chunk has 9 bytes


def flipped(line: Line) -> bytes:
    """The same message with another last byte of its payload."""
    return line.raw[:-3] + bytes([line.raw[-3] ^ 1]) + line.raw[-2:]


def not_found(line: Line) -> bytes:
    """What a server says that does not have the message."""
    head = b"NATS/1.0 404 Message Not Found\r\n\r\n"
    sid = line.raw.split()[2]
    command = b"HMSG %b %b %d %d" % (line.subject.encode(), sid, len(head), len(head))
    return command + b"\r\n" + head + b"\r\n"


@pytest.fixture
def chunk_answer(proxy: Proxy, store: ObjectStore) -> Predicate:
    """The answer to a direct get of a chunk."""
    return proxy.answers(calls(f"DIRECT.GET.OBJ_{store.name}.$O.{store.name}.C."))


@pytest.mark.parametrize("answer", [flipped, not_found])
def test_a_damaged_copy_of_the_only_chunk(
    answer: object, far_store: ObjectStore, proxy: Proxy, chunk_answer: Predicate
) -> None:
    """The stream's leader has it as it was stored."""
    far_store.put("x", CONTENT)
    rule = proxy.down.change(chunk_answer, answer)  # type: ignore[arg-type]
    assert far_store.read_bytes("x") == CONTENT
    assert rule.happened.is_set()
    rule = proxy.down.change(chunk_answer, answer)  # type: ignore[arg-type]
    assert list(far_store.get_many(["x"])) == [("x", CONTENT)]


def test_the_leader_has_a_damaged_copy_too(
    far_store: ObjectStore, proxy: Proxy, chunk_answer: Predicate, store: ObjectStore
) -> None:
    """It is read twice."""
    far_store.put("x", CONTENT)
    leader = proxy.answers(calls(f"STREAM.MSG.GET.OBJ_{store.name}"))

    def other(line: Line) -> bytes:
        return line.raw.replace(b"dGhl", b"dGhm")  # "the" in base64

    rules = [proxy.down.change(chunk_answer, flipped) for _ in range(2)]
    rules += [proxy.down.change(leader, other) for _ in range(2)]
    with pytest.raises(DigestMismatchError):
        far_store.read_bytes("x")
    assert all(rule.happened.is_set() for rule in rules)
    assert issubclass(DigestMismatchError, ObjectCorruptError)
    assert far_store.read_bytes("x") == CONTENT


@pytest.fixture
def damaged(proxy: Proxy, far_store: ObjectStore, store: ObjectStore) -> Rule:
    """Of an object of several chunks, one comes damaged, once; the server has it whole."""
    store.put("x", LONG, chunk_size=CHUNK)
    far_store.info("x")
    answer = proxy.answers(calls(f"DIRECT.GET.OBJ_{store.name}"))
    return proxy.down.change(lambda line: answer(line) and LONG[-9:] in line.raw, flipped)


@pytest.mark.needs_server("2.11")  # before, there are no batches
class TestOneOfSeveralChunks:
    """Only the end shows that one was damaged; what was not handed out yet is read again."""

    def test_read_bytes(self, far_store: ObjectStore, damaged: Rule) -> None:
        assert far_store.read_bytes("x") == LONG
        assert damaged.happened.is_set()

    def test_download(self, far_store: ObjectStore, damaged: Rule, tmp_path: Path) -> None:
        done: list[int] = []
        target = tmp_path / "x"
        far_store.download_file("x", target, progress=lambda now, _total: done.append(now))
        assert target.read_bytes() == LONG
        assert done[-1] == len(LONG)
        assert list(tmp_path.iterdir()) == [target]
        assert damaged.happened.is_set()

    @pytest.mark.usefixtures("damaged")
    def test_what_was_handed_out(self, far_store: ObjectStore) -> None:
        """It cannot be taken back: an error before the last bytes."""
        result = far_store.get("x")
        assert result is not None
        seen = bytearray()
        with result, pytest.raises(DigestMismatchError):
            deque(map(seen.extend, result.data), maxlen=0)
        assert len(seen) == len(LONG) - 9


def test_damage_that_stays(store: ObjectStore, shared_client: Client, tmp_path: Path) -> None:
    """It is read twice, and an error then; a file that was there is not touched."""
    info = store.put("x", LONG, chunk_size=CHUNK)
    fields = record(shared_client, store, "x")
    fields["digest"] = store.put("y", b"y").digest
    write_record(shared_client, store, fields)
    target = tmp_path / "x"
    target.write_bytes(b"before")
    for read in (lambda: store.read_bytes("x"), lambda: store.download_file("x", target)):
        with pytest.raises(DigestMismatchError) as caught:
            read()
        assert caught.value.actual == info.digest
    assert target.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [target]
