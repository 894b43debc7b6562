"""What was seen of a bucket's records in one look, so that the next looks only at those since."""

from __future__ import annotations

import threading
from collections import deque

__all__ = ["NamesByNuid", "TombstonesSeen"]


class TombstonesSeen:
    """The tombstones that were seen when the bucket was full, see :mod:`objstore.tombstones`."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.next = 1  # the first sequence not looked at
        self.found: deque[tuple[str, int]] = deque()  # names and revisions, the oldest first
        self.elsewhere: set[str] = set()  # names that older clients stored under other subjects
        self.rounds = 0  # in which some were removed


class NamesByNuid:
    """Which names were seen with which nuid."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.next = 1  # the first sequence not looked at
        self._names: dict[str, str | set[str]] = {}  # a nuid has one name, nearly always

    def add(self, nuid: str, name: str) -> None:
        """Take note that a name has had a nuid."""
        known = self._names.setdefault(nuid, name)
        if isinstance(known, set):
            known.add(name)
        elif known != name:
            self._names[nuid] = {known, name}

    def of(self, nuid: str) -> set[str]:
        """The names that were seen with a nuid."""
        known = self._names.get(nuid, set())
        return {known} if isinstance(known, str) else set(known)
