"""Reading from servers that answer wrongly, or not at all."""

from __future__ import annotations

import pytest

from objstore import DigestMismatchError, ObjectCorruptError, ObjectStore
from tests.proxy import Line, Predicate, Proxy, calls

CONTENT = b"the only chunk"


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
    far_store.put("x", CONTENT)
    proxy.down.change(chunk_answer, flipped)
    leader = proxy.answers(calls(f"STREAM.MSG.GET.OBJ_{store.name}"))

    def other(line: Line) -> bytes:
        return line.raw.replace(b"dGhl", b"dGhm")  # "the" in base64

    rule = proxy.down.change(leader, other)
    with pytest.raises(DigestMismatchError):
        far_store.read_bytes("x")
    assert rule.happened.is_set()
    assert issubclass(DigestMismatchError, ObjectCorruptError)
    assert far_store.read_bytes("x") == CONTENT
