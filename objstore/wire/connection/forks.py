"""What has to begin anew in a forked child.

A child has a copy of everything but the threads: sockets that are the parent's, locks that
another thread may have held, queues that nobody empties. Whoever owns such things registers,
and is told in the child before anything else runs there.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol

__all__ = ["forget", "register"]


class Forkable(Protocol):
    """Something that can begin anew."""

    def after_fork(self) -> None:
        """Let go of what is the parent's; called in the child."""


# Weak references: what is registered here must not stay alive for that.
_registered: weakref.WeakSet[Forkable] = weakref.WeakSet()


def register(thing: Forkable) -> None:
    """Have ``thing.after_fork()`` called in every child, as long as the thing lives."""
    _registered.add(thing)


def forget(thing: Forkable) -> None:
    """Have it called no more. The end of the thing runs no code of the registry's then."""
    _registered.discard(thing)


def _after_fork_in_child() -> None:
    for thing in list(_registered):
        thing.after_fork()


if hasattr(os, "register_at_fork"):  # pragma: no branch - not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_after_fork_in_child)
