"""Users' callbacks: in order, off the reader's thread.

The reader thread must never run a user's code, which may block or make a request and so wait
for the reader itself. One more daemon thread, started by the first subscription with a
callback, runs them in the order of arrival. (pynats2 has a pool of three, in which messages
overtake each other.)
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

#: What may wait for slow callbacks, in bytes; messages beyond it are dropped, and that is
#: logged. As nats.go's limit.
PENDING_LIMIT = 64 << 20


class CallbackThread(Generic[_Message]):
    """A queue of callbacks and the thread that runs them.

    Memory: at most :data:`PENDING_LIMIT` bytes of payload.
    """

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[
            tuple[Callable[[_Message], object], _Message, int] | None
        ] = queue.SimpleQueue()
        self._pending = 0
        self._dropped = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, callback: Callable[[_Message], object], message: _Message, size: int) -> None:
        """Have ``callback(message)`` run after all that were put before. Never blocks."""
        with self._lock:
            if self._pending and self._pending + size > PENDING_LIMIT:
                self._dropped += 1
                if self._dropped == 1:
                    LOG.warning("callbacks are too slow: messages are being dropped")
                return
            self._pending += size
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="objstore-callbacks", daemon=True
                )
                self._thread.start()
        self._queue.put((callback, message, size))

    def stop(self, timeout: float) -> None:
        """Run what is queued, then end; waits at most ``timeout`` seconds for that."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is None:
            return
        self._queue.put(None)
        if thread is not threading.current_thread():
            thread.join(timeout)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            callback, message, size = item
            try:
                callback(message)
            except Exception:
                LOG.exception("a subscription's callback failed")
            with self._lock:
                self._pending -= size
