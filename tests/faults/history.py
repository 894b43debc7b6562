"""What several clients did and saw, and whether one register for each name could explain it.

The search is Wing and Gong's, just in time: time runs over the invocations and the ends of all
operations on a name, and what is kept is every state that the name may have, with the pending
operations that have taken effect. When an operation ends, it must have taken effect.

An operation whose end is unknown may take effect at any time after its beginning, or never. Of two
ways to a state, the one that needs fewer of those can do all that the other one can; with that
they stay few, where trying all subsets would end at about twenty.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["Operation", "check"]

#: What a name holds: the id of the put that it comes from, and the tag of the last update.
State = tuple[str, str] | None


@dataclass(frozen=True)
class Operation:
    """One operation on one name, as a client saw it.

    Attributes:
        kind: ``put``, ``update``, ``delete`` or ``read``.
        name: of the object, its bucket included.
        begun, ended: by a clock that all clients share, in seconds; a read of several names has
            the times of the whole.
        outcome: ``ok``, ``failed`` or ``unknown``.
        value: what was written: the id of a put, the tag of an update.
        seen: for a read: the ids that what was read may have, for it may be empty; None: there was
            no object.
        tag: for a read: the tag; None: it was not looked at.
        process: who did it.
        error: what was raised.
        how: for a read: by which method.
    """

    kind: str
    name: str
    begun: float
    ended: float
    outcome: str = "ok"
    value: str = ""
    seen: tuple[str, ...] | None = None
    tag: str | None = None
    process: str = ""
    error: str = ""
    how: str = ""

    def __str__(self) -> str:
        what = self.value
        if self.kind == "read":
            what = "nothing" if self.seen is None else f"{' or '.join(self.seen)} {self.tag or ''}"
        times = f"{self.begun:.4f} … {self.ended:.4f}"
        who = f"{times} {self.process} {self.how or self.kind}"
        return f"{who} {what} {self.outcome} {self.error}".rstrip()

    @property
    def is_optional(self) -> bool:
        """Whether nobody knows if it ever took effect."""
        return self.outcome == "unknown"

    def can_follow(self, state: State) -> bool:
        """Whether it could take effect in a state."""
        if self.kind == "put":
            return True
        if self.kind in ("update", "delete"):
            return state is not None
        if state is None or self.seen is None:
            return state is None and self.seen is None
        return state[0] in self.seen and self.tag in (None, state[1])

    def apply(self, state: State) -> State:
        """The state after it."""
        if self.kind == "put":
            return self.value, ""
        if self.kind == "update":
            assert state is not None
            return state[0], self.value
        return None if self.kind == "delete" else state


@dataclass(frozen=True)
class _Way:
    """One way that things may have gone: a state, and the pending operations that are done."""

    state: State
    writes: frozenset[int] = frozenset()
    optional: frozenset[int] = frozenset()
    reads: frozenset[int] = frozenset()

    def is_no_worse(self, other: _Way) -> bool:
        """Whether it can do all that another one of the same state and writes can."""
        return self.optional <= other.optional and self.reads >= other.reads


class _Ways:
    """Ways, without those that another one makes needless."""

    def __init__(self) -> None:
        self._by_state: dict[tuple[State, frozenset[int]], list[_Way]] = defaultdict(list)

    def add(self, way: _Way) -> bool:
        """Keep a way; False: it is needless."""
        ways = self._by_state[way.state, way.writes]
        if any(known.is_no_worse(way) for known in ways):
            return False
        ways[:] = [known for known in ways if not way.is_no_worse(known)]
        ways.append(way)
        return True

    def __contains__(self, way: _Way) -> bool:
        return way in self._by_state[way.state, way.writes]

    def all(self) -> list[_Way]:
        return list(itertools.chain.from_iterable(self._by_state.values()))


@dataclass
class _Search:
    """The search over one name."""

    operations: list[Operation]
    pending: set[int] = field(default_factory=set)
    ways: list[_Way] = field(default_factory=lambda: [_Way(None)])

    def __post_init__(self) -> None:
        #: Ids that were seen with a tag: these puts may have to come before an update.
        self.updated = {value for op in self.operations if op.tag for value in op.seen or ()}

    def run(self) -> int | None:
        """The number of the first operation that nothing explains; None: there is none."""
        events = []
        for number, operation in enumerate(self.operations):
            events.append((operation.begun, 0, number))
            if not operation.is_optional:
                events.append((operation.ended, 1, number))
        for _, is_end, number in sorted(events):
            if not is_end:
                self.pending.add(number)
                self.ways = [self._read(way) for way in self.ways]
            elif not self._end(number):
                return number
        return None

    def _read(self, way: _Way) -> _Way:
        """Let all reads take effect that can: never is it better to wait."""
        reads = frozenset(
            number
            for number in self.pending - way.reads
            if self.operations[number].kind == "read"
            and self.operations[number].can_follow(way.state)
        )
        return _Way(way.state, way.writes, way.optional, way.reads | reads) if reads else way

    def _end(self, number: int) -> bool:
        """Keep the ways in which an operation has taken effect by now, or can yet."""
        known, good = _Ways(), _Ways()
        tie = itertools.count()
        heap = [(len(way.optional), next(tie), way) for way in self.ways if known.add(way)]
        heapq.heapify(heap)  # those that need least first: they make the others needless
        while heap:
            _, _, way = heapq.heappop(heap)
            if way not in known:
                continue
            if number in way.writes or number in way.reads:
                without = frozenset((number,))
                good.add(_Way(way.state, way.writes - without, way.optional, way.reads - without))
                continue
            for after in map(self._read, self._next(way)):
                if known.add(after):
                    heapq.heappush(heap, (len(after.optional), next(tie), after))
        self.pending.discard(number)
        self.ways = good.all()
        return bool(self.ways)

    def _next(self, way: _Way) -> Iterable[_Way]:
        """The ways that lead on, by one write that is pending."""
        fills = False
        for number in sorted(self.pending - way.writes - way.optional):
            operation = self.operations[number]
            if operation.kind == "read" or not operation.can_follow(way.state):
                continue
            one, state = frozenset((number,)), operation.apply(way.state)
            if not operation.is_optional:
                yield _Way(state, way.writes | one, way.optional, way.reads)
                continue
            if not self._is_wanted(operation, way):
                # All that it can do is to be there, for a delete or an update; one is enough.
                if fills or way.state is not None:
                    continue
                fills = True
            yield _Way(state, way.writes, way.optional | one, way.reads)

    def _is_wanted(self, optional: Operation, way: _Way) -> bool:
        """Whether what is pending could tell that a write has taken effect just now.

        If not, it can as well take effect later.
        """
        for number in self.pending - way.reads - way.writes:
            other = self.operations[number]
            if other.kind == "read":
                if optional.kind == "put":
                    wanted = other.seen is not None and optional.value in other.seen
                elif optional.kind == "update":
                    wanted = other.tag == optional.value
                else:
                    wanted = other.seen is None
                if wanted:
                    return True
            elif other.kind == "update" and optional.value in self.updated:
                return True
        return False


def check(history: Iterable[Operation]) -> list[str]:
    """What cannot be: a text for each name on which something went wrong.

    Arguments:
        history: of all clients. Reads that failed say nothing and are left out.
    """
    by_name: dict[str, list[Operation]] = defaultdict(list)
    for operation in history:
        if operation.outcome == "ok" or (operation.kind != "read"):
            by_name[operation.name].append(operation)
    return [problem for name in sorted(by_name) if (problem := _check_name(name, by_name[name]))]


def _check_name(name: str, operations: list[Operation]) -> str | None:
    puts = {op.value: op for op in operations if op.kind == "put"}
    for op in operations:
        if op.seen:
            sources = [puts[value] for value in op.seen if value in puts]
            if not sources:
                return f"{name}: a value that was never written: {op}"
            if all(put.outcome == "failed" for put in sources):
                return f"{name}: a value whose put failed ({sources[0]}): {op}"
    real = sorted((op for op in operations if op.outcome != "failed"), key=lambda op: op.begun)
    wrong = _Search(real).run()
    if wrong is None:
        return None
    return "\n".join(_explain(name, real, real[wrong]))


def _explain(name: str, operations: list[Operation], wrong: Operation) -> Iterable[str]:
    """The operation that nothing explains, and what went on around it."""
    yield f"{name}: no order of the operations explains {wrong}"
    ends = sorted(op.ended for op in operations if op.kind != "read" and op.ended <= wrong.begun)
    since = ends[-5] if len(ends) >= 5 else -math.inf
    for op in operations:
        around = op.ended >= since and op.begun <= wrong.ended
        if around and (op.kind != "read" or op.begun >= since or op is wrong):
            yield f"    {'>' if op is wrong else ' '} {op}"
        elif op.is_optional and op.begun <= wrong.ended:
            yield f"    ? {op}"
