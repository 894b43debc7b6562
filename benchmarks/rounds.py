"""Contenders take turns, round by round, so that a busy moment of the machine hits all alike."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

__all__ = ["Contender", "alternate", "paused_gc"]


@dataclass
class Contender:
    """One who takes part: an action that is timed, and what is done around it.

    Attributes:
        name: for messages.
        act: called with the number of the round; its time is taken. 0 is the warm-up.
        before, after: called with the number of the round; not timed.
        seconds: what each round took, the warm-up left out.
        died: why it could not go on, or an empty text.
    """

    name: str
    act: Callable[[int], object]
    before: Callable[[int], object] = lambda _number: None
    after: Callable[[int], object] = lambda _number: None
    seconds: list[float] = field(default_factory=list)
    died: str = ""

    def take_turn(self, number: int) -> None:
        """Run one round; what goes wrong ends this contender's part, not the benchmark."""
        try:
            self.before(number)
            with paused_gc():
                begin = time.perf_counter()
                self.act(number)
                taken = time.perf_counter() - begin
            self.after(number)
        except Exception as error:  # noqa: BLE001 - other clients fail with whatever they like
            self.died = f"{type(error).__name__}: {error}".strip()[:160]
            return
        if number:
            self.seconds.append(taken)

    def rates(self, amount: float) -> tuple[float, ...]:
        """What was done in a second, if ``amount`` is what one round does."""
        return tuple(amount / taken for taken in self.seconds)


def alternate(
    contenders: list[Contender], rounds: int, *, tick: Callable[[], object] = lambda: None
) -> None:
    """Let all take turns: a warm-up, which does not count, and then so many rounds.

    Odd rounds go in the given order, even ones backwards: nobody always follows the same.

    Arguments:
        contenders: who takes part; their ``seconds`` and ``died`` are filled in.
        rounds: that count.
        tick: called after each turn.
    """
    for number in range(rounds + 1):
        for contender in contenders if number % 2 else contenders[::-1]:
            if not contender.died:
                contender.take_turn(number)
            tick()


@contextlib.contextmanager
def paused_gc() -> Iterator[None]:
    """No collection of cycles meanwhile, as ``timeit`` does: one would hit a single contender."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
