"""An upload belongs to the process that began it: a forked child leaves it alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from objstore import Client, ObjectStore, ObjStoreError
from tests.support.contents import pattern
from tests.support.streams import orphans

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork"),
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
]

DATA = pattern(30_000)


def in_a_child(act: Callable[[], object]) -> None:
    """Run something in a forked child, and see that it raises nothing."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            act()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def exits(file: Any) -> None:
    """Leave the with-block as ``sys.exit`` in a child does."""
    with pytest.raises(SystemExit), file:
        sys.exit()


def refuses(file: Any, *acts: str) -> None:
    for act in acts:
        with pytest.raises(ObjStoreError, match=r"^'x' is being stored by the process"):
            getattr(file, act)(*([file.data] if act == "write" else []))


CHILDREN: dict[str, Callable[[Any], None]] = {
    "exits": exits,
    "closes": lambda file: refuses(file, "write", "flush", "commit", "close", "close"),
    "discards": lambda file: file.discard(),
    "forgets": lambda file: file.__del__(),
}


@pytest.mark.parametrize("act", CHILDREN)
@pytest.mark.parametrize("mode", ["wb", "w"])
def test_a_file_that_is_being_written(
    mode: str, act: str, store: ObjectStore, shared_client: Client
) -> None:
    """Whatever the child does with its copy, the parent's object is whole."""
    binary = mode.endswith("b")
    parts: list[Any] = [DATA, b"end"] if binary else ["x" * 30_000, "end"]
    file = store.open("x", mode, chunk_size=1000)
    file.data = parts[1]
    file.write(parts[0])
    in_a_child(lambda: CHILDREN[act](file))
    file.write(parts[1])
    file.close()
    whole = parts[0] + parts[1]
    assert store.read_bytes("x") == (whole if binary else whole.encode())
    assert orphans(shared_client, store) == set()


def test_a_file_whose_turn_somebody_has(store: ObjectStore) -> None:
    """The child's copy has a turn of its own, whoever had that of the parent's."""
    file = store.open("x", "wb")
    file._lock.acquire()
    in_a_child(file.discard)
    file._lock.release()
    file.discard()


def fork(ends: str) -> None:
    """Fork; the child ends as it is told, or goes on, and the parent waits until it is over."""
    child = os.fork()
    if child == 0:
        if ends != "goes on":
            raise SystemExit if ends == "exits" else ArithmeticError
    else:
        assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("ends", ["exits", "raises", "goes on"])
def test_a_payload_that_forks(ends: str, store: ObjectStore, shared_client: Client) -> None:
    def payload() -> Iterator[bytes]:
        yield DATA
        fork(ends)
        yield b"end"

    check(ends, lambda: store.put("x", payload(), chunk_size=1000))
    assert store.read_bytes("x") == DATA + b"end"
    assert orphans(shared_client, store) == set()


@pytest.mark.parametrize("ends", ["exits", "raises", "goes on"])
def test_items_that_fork(ends: str, store: ObjectStore, shared_client: Client) -> None:
    def items() -> Iterator[tuple[str, bytes]]:
        yield "a", b"1"
        yield "b", b"2"
        fork(ends)
        yield "c", b"3"

    check(ends, lambda: store.put_many(items()))
    assert dict(store.get_many(["a", "b", "c"])) == {"a": b"1", "b": b"2", "c": b"3"}
    assert orphans(shared_client, store) == set()


def check(ends: str, act: Callable[[], object]) -> None:
    """Run what forks; of the child see that it ends with the error that it must, and end it."""
    parent, status = os.getpid(), 1
    expected = {"exits": SystemExit, "raises": ArithmeticError, "goes on": ObjStoreError}[ends]
    try:
        act()
    except BaseException as error:
        if os.getpid() == parent:
            raise
        status = not isinstance(error, expected)
    finally:
        if os.getpid() != parent:
            os._exit(status)
