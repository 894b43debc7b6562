"""What is remembered of a bucket's records, so that later only those stored since are read."""

from __future__ import annotations

import threading
from collections import deque

from objstore.wire.connection import forks

__all__ = ["NamesByNuid", "TombstonesSeen"]


class TombstonesSeen:
    """The tombstones of a full bucket; see :mod:`objstore.metadata.tombstones`."""

    def __init__(self) -> None:
        self.after_fork()
        forks.register(self)
        self.next = 1  # the first sequence not looked at
        self.found: deque[tuple[str, int]] = deque()  # names and revisions, the oldest first
        self.elsewhere: set[str] = set()  # names that older clients stored under other subjects
        self.rounds = 0  # in which some were removed

    def after_fork(self) -> None:
        """Begin with a free lock in a forked child; what was seen is as good there."""
        self.lock = threading.RLock()  # a signal handler may interrupt its holder


class NamesByNuid:
    """The names that were seen with each nuid.

    The lock is held while records are read from the server. It is reentrant: a signal handler that
    interrupts its holder reads the rest itself; adding a name twice does no harm.
    """

    def __init__(self) -> None:
        self.after_fork()
        forks.register(self)
        self.next = 1  # the first sequence not looked at
        self._names: dict[str, str] = {}  # a nuid has one name, nearly always
        self._others: dict[str, set[str]] = {}

    def after_fork(self) -> None:
        """Begin with a free lock in a forked child; what was seen is as good there."""
        self.lock = threading.RLock()

    def add(self, nuid: str, name: str) -> None:
        """Note that a name's record has a nuid."""
        if self._names.setdefault(nuid, name) != name:
            self._others.setdefault(nuid, set()).add(name)

    def of(self, nuid: str) -> set[str]:
        """Return the names that were seen with a nuid."""
        first = self._names.get(nuid)
        return set() if first is None else {first, *self._others.get(nuid, ())}
