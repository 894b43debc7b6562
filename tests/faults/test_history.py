"""The checker can fail: histories that cannot be are noticed, those that can be are not."""

from __future__ import annotations

import random

import pytest

from tests.faults.contents import BLOCK, MixedContentError, content, source_of
from tests.faults.history import Operation, check

pytestmark = pytest.mark.newest_server


def put(begun: float, ended: float, value: str, outcome: str = "ok") -> Operation:
    return Operation("put", "x", begun, ended, outcome, value)


def update(begun: float, ended: float, value: str, outcome: str = "ok") -> Operation:
    return Operation("update", "x", begun, ended, outcome, value)


def delete(begun: float, ended: float, outcome: str = "ok") -> Operation:
    return Operation("delete", "x", begun, ended, outcome)


def read(begun: float, ended: float, *seen: str, tag: str | None = None) -> Operation:
    return Operation("read", "x", begun, ended, seen=seen or None, tag=tag)


@pytest.mark.parametrize(
    "history",
    [
        [],
        [read(0, 1)],
        [put(0, 1, "a"), read(2, 3, "a")],
        [put(0, 3, "a"), read(1, 2), read(2.1, 2.9, "a")],
        [put(0, 9, "a"), put(0, 9, "b"), read(1, 2, "b"), read(3, 4, "a")],
        [put(0, 1, "a"), put(2, 3, "b", "unknown"), read(4, 5, "a"), read(6, 7, "b")],
        [put(0, 1, "a"), put(2, 3, "b", "unknown"), read(4, 5, "a"), read(6, 7, "a")],
        [put(0, 1, "a"), put(2, 3, "b", "failed"), read(4, 5, "a")],
        [put(0, 1, "a"), delete(2, 3), read(4, 5)],
        [put(0, 1, "a"), delete(2, 3, "unknown"), read(4, 5, "a"), read(6, 7)],
        [put(0, 1, "a", "unknown"), delete(2, 3), read(4, 5)],
        [put(0, 1, "a"), update(2, 3, "t"), read(4, 5, "a", tag="t")],
        [put(0, 1, "a"), update(2, 5, "t"), put(2, 5, "b"), read(6, 7, "b", tag="t")],
        [put(0, 1, "a"), put(2, 3, "b"), read(4, 5, "a", "b")],
    ],
    ids=str,
)
def test_what_can_be(history: list[Operation]) -> None:
    assert check(history) == []


@pytest.mark.parametrize(
    ("history", "problem"),
    [
        ([put(0, 1, "a"), read(2, 3)], "no order"),  # a lost write
        ([put(0, 1, "a"), put(2, 3, "b"), read(4, 5, "a")], "no order"),  # a stale read
        ([put(0, 9, "a"), read(1, 2, "a"), read(3, 4)], "no order"),  # there, and gone again
        ([put(0, 9, "a"), put(0, 9, "b"), read(1, 2, "b"), read(3, 4, "a"),
          read(5, 6, "b")], "no order"),
        ([put(0, 1, "a"), delete(2, 3), read(4, 5, "a")], "no order"),  # risen from the dead
        ([delete(0, 1)], "no order"),  # nothing was there to be deleted
        ([put(0, 1, "a"), delete(2, 9), delete(2, 9)], "no order"),  # both deleted the same
        ([put(0, 1, "a"), delete(2, 9), read(3, 4), put(5, 6, "b"), read(7, 8)], "no order"),
        ([read(0, 1, "a")], "never written"),
        ([put(2, 3, "a"), read(0, 1, "a")], "no order"),  # of the future
        ([put(0, 1, "a", "failed"), read(2, 3, "a")], "whose put failed"),
        ([put(0, 1, "a"), update(2, 3, "t"), read(4, 5, "a", tag="")], "no order"),
        ([put(0, 1, "a"), put(2, 3, "b"), update(4, 5, "t"), read(6, 7, "a", tag="t")], "no order"),
        ([put(0, 1, "a"), update(2, 3, "t"), put(4, 5, "b"), read(6, 7, "b", tag="t")], "no order"),
        ([put(0, 1, "b", "unknown"), put(2, 3, "a"), read(4, 5, "b"), read(6, 7, "a")], "no order"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be(history: list[Operation], problem: str) -> None:
    (found,) = check(history)
    assert problem in found


def test_names_are_independent() -> None:
    other = Operation("read", "y", 2, 3)
    assert check([put(0, 1, "a"), other]) == []


def made_history(seed: int) -> list[Operation]:
    """Of a register that works: each operation takes effect at some moment between its ends."""
    chance = random.Random(seed)
    moments = sorted(chance.uniform(0, 100) for _ in range(400))
    value: str | None = None
    history = []
    for number, moment in enumerate(moments):
        begun, ended = moment - chance.uniform(0, 0.7), moment + chance.uniform(0, 0.7)
        kind = chance.choice(("read", "read", "put", "put", "lost", "delete"))
        if kind == "read":
            history.append(read(begun, ended, *([] if value is None else [value])))
        elif kind == "delete" and value is not None:
            history.append(delete(begun, ended))
            value = None
        elif kind == "put":
            value = f"v{number}"
            history.append(put(begun, ended, value))
        elif kind == "lost":
            history.append(put(begun, ended, f"v{number}", "unknown"))
            value = f"v{number}" if chance.random() < 0.5 else value
    return history


@pytest.mark.parametrize("seed", range(5))
def test_long_histories(seed: int) -> None:
    """With dozens of unknown ends: those that can be pass, and one wrong read is found."""
    history = made_history(seed)
    assert check(history) == []
    old = next(op.value for op in history if op.kind == "put" and op.outcome == "ok")
    assert len(check([*history, read(110, 111, old)])) == 1


@pytest.mark.parametrize("size", [0, 1, 40, BLOCK, 100_000])
def test_contents(size: int) -> None:
    data = content("0.1.2", size)
    assert len(data) == size
    assert source_of(data[: max(size, 1)]) == (None if size == 0 else data[:30].split()[0].decode())


def test_mixed_contents() -> None:
    one, other = content("a", 10_000), content("b", 10_000)
    mixtures = [
        one[: 4 * BLOCK] + other[4 * BLOCK :],
        one[:-1],
        one[BLOCK:],
        one[: 2 * BLOCK] + one[BLOCK:-BLOCK],
        one[: 4 * BLOCK] + bytes(BLOCK) + one[5 * BLOCK :],
        one + one,
    ]
    for mixture in mixtures:
        with pytest.raises(MixedContentError):
            source_of(mixture)
