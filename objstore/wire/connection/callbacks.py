"""Users' callbacks: in order, off the reader's thread.

The reader thread must never run a user's code, which may block or make a request and so wait
for the reader itself. One more daemon thread, started by the first message for a callback,
runs them in the order of arrival. (pynats2 has a pool of three, in which messages overtake
each other.)
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["CallbackThread"]

LOG = logging.getLogger("objstore")

_Message = TypeVar("_Message")

_Queue = queue.SimpleQueue[tuple[Callable[[_Message], object], _Message, int] | None]

#: What may wait for slow callbacks, in bytes; messages beyond it are dropped, and that is
#: logged. As nats.go's limit.
PENDING_LIMIT = 64 << 20

#: What a message counts beside its bytes, so that empty ones have a limit, too.
OVERHEAD = 256


class _Line(Generic[_Message]):
    """The callbacks that wait for one thread.

    Attributes:
        items: each with its size; None: no more come.
        given, taken: bytes put in, and done with. Each has one thread that writes it: a lock that
            a callback's thread holds could be held for long, by a finalizer that strikes there.
    """

    def __init__(self) -> None:
        self.items: _Queue[_Message] = queue.SimpleQueue()
        self.given = self.taken = 0


class CallbackThread(Generic[_Message]):
    """A queue of callbacks and the thread that runs them.

    Memory: at most :data:`PENDING_LIMIT` bytes of messages, and one message.

    Arguments:
        name: of the thread.
    """

    def __init__(self, name: str = "objstore-callbacks") -> None:
        self._name = name
        self.after_fork()

    def after_fork(self) -> None:
        """Begin anew: in a forked child the thread is not there, and what waits is the parent's."""
        # Reentrant, for the garbage collector: it may close a forgotten connection right here.
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._line: _Line[_Message] = _Line()
        self._dropped = 0

    def put(self, callback: Callable[[_Message], object], message: _Message, size: int) -> None:
        """Have ``callback(message)`` run after all that were put before. Never blocks."""
        size += OVERHEAD
        with self._lock:
            line = self._line
            pending = line.given - line.taken
            if pending and pending + size > PENDING_LIMIT:
                self._dropped += 1
                if self._dropped == 1:
                    LOG.warning(
                        "callbacks are too slow, so that messages are dropped until they have "
                        "caught up: let them hand long work to a thread of their own"
                    )
                return
            self._dropped = 0
            line.given += size
            line.items.put((callback, message, size))
            if self._thread is None:
                thread = threading.Thread(
                    target=self._run, args=(line,), name=self._name, daemon=True
                )
                thread.start()
                self._thread = thread

    def stop(self, timeout: float) -> None:
        """Run what is queued, then end; waits at most ``timeout`` seconds for that."""
        with self._lock:
            thread, self._thread = self._thread, None
            if thread is None:
                return
            self._line.items.put(None)
            self._line = _Line()  # the next thread's, should there be one
        # A callback may close the connection; its thread cannot wait for itself.
        if thread is not threading.current_thread():
            thread.join(timeout)

    def __del__(self) -> None:
        """End the thread, which holds its line alone.

        A forgotten connection is closed, and this stopped, while the reader thread may still be
        giving out what came last: that starts a thread once more, and nobody stops it.
        """
        if getattr(self, "_thread", None) is not None:  # there is none where __init__ failed
            self._line.items.put(None)

    @staticmethod
    def _run(line: _Line[_Message]) -> None:
        while (item := line.items.get()) is not None:
            callback, message, size = item
            try:
                callback(message)
            except BaseException:  # SystemExit, too: it would end the callbacks to come
                LOG.exception("a callback failed; the next message comes to it all the same")
            line.taken += size
            del item, callback, message  # while waiting for the next one, nothing is held
