"""The chunks of an upload that are sent and not acknowledged: bounded in bytes, counted."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable

from objstore.errors import (
    ConnectionLostError,
    ObjStoreError,
    RequestTimeoutError,
    is_transient,
)

__all__ = ["SILENCE", "WINDOW", "AckWindow", "OutOfStepError"]

#: Bytes that may be on their way without an acknowledgement.
WINDOW = 8 << 20

#: How long the answers may be silent after a failure, in seconds, before no more are expected.
SILENCE = 1.0

#: So many answers are taken in beyond what a server can have to say of the chunks sent.
BABBLE = 1000


class OutOfStepError(ConnectionLostError):
    """The answers say that chunks were lost on the way. Seen only where nothing is tried again."""


class AckWindow:
    """What is known of chunks under way.

    The reader thread calls :meth:`confirm`, :meth:`refuse` and :meth:`fail`; the uploading thread
    waits in :meth:`wait` and :meth:`settle`.

    Arguments:
        subject: of the chunks.
        timeout: for one acknowledgement, in seconds.
        stored: how many chunks are stored already.
        sequence: of the last of them in the stream.

    Attributes:
        subject: as above.
        stored: chunks 1 … this are stored.
        sent: chunks 1 … this are sent.
        outstanding: bytes of those sent and not known to be stored.
        answers: how many have come, good or bad.
        no_more_answers: none is expected: the connection was lost, or long silent.
    """

    def __init__(self, subject: str, timeout: float, stored: int, sequence: int) -> None:
        self.subject = subject
        self.stored = self.sent = stored
        self.outstanding = self.answers = 0
        self.no_more_answers = False
        self._sequence = sequence
        self._timeout = timeout
        # Not a Condition: that is written in Python, and a Ctrl-C between its lines leaves its lock
        # taken for good. These two are the interpreter's own.
        self._lock = threading.Lock()
        self._news: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._awaited = False  # the uploading thread waits for news
        self._sizes: deque[int] = deque()  # of the chunks after `stored`
        self._error: ObjStoreError | None = None  # why the upload cannot go on like this

    def add(self, size: int) -> None:
        """The next chunk is about to be sent."""
        with self._lock:
            self.sent += 1
            self._sizes.append(size)
            self.outstanding += size

    def confirm(self, number: int, sequence: int) -> None:
        """Note that chunks up to a number are stored, the last of them with a sequence."""
        with self._lock:
            while self.stored < number and self._sizes:
                self.stored += 1
                self.outstanding -= self._sizes.popleft()
            self._sequence = sequence
            self.answers += 1
            self._tell()

    def refuse(self, error: ObjStoreError) -> None:
        """The upload cannot go on like this; the first reason counts, but for a real refusal."""
        with self._lock:
            self.answers += 1
            self._stop(error)

    @property
    def position(self) -> tuple[int, int]:
        """How many chunks are stored, and the sequence of the last one; both of one moment."""
        with self._lock:
            return self.stored, self._sequence

    def fail(self, error: ObjStoreError) -> None:
        """The connection was lost, or the permission is missing."""
        with self._lock:
            self.no_more_answers = True
            self._stop(error)

    def _stop(self, error: ObjStoreError) -> None:
        if self._error is None or (is_transient(self._error) and not is_transient(error)):
            self._error = error
        self._tell()

    def _tell(self) -> None:
        """There is news: wake who waits for it."""
        if self._awaited:
            self._awaited = False
            self._news.put(None)

    def _heard(self, timeout: float) -> bool:
        """Wait for news, which may turn out to be old; False: there was none."""
        try:
            self._news.get(timeout=timeout)
        except queue.Empty:
            return False
        return True

    def wait(self, ready: Callable[[], bool]) -> None:
        """Wait until something is true, which the answers make true.

        Raises:
            RequestTimeoutError: nothing was stored for one time-out, whatever else was answered.
            ObjStoreError: a chunk was refused, or the connection was lost.
        """
        stored, deadline = -1, 0.0
        while True:
            with self._lock:
                if self._error is not None:
                    raise self._error
                if ready():
                    return
                now = time.monotonic()
                if self.stored > stored:
                    stored, deadline = self.stored, now + self._timeout
                elif now >= deadline:
                    raise RequestTimeoutError(
                        f"no acknowledgement of chunk {stored + 1} in {self._timeout:g} s",
                        timeout=self._timeout,
                        subject=self.subject,
                    )
                self._awaited = True
            self._heard(deadline - now)

    def settle(self, ready: Callable[[], bool]) -> None:
        """After a failure: wait until something is true, whatever is refused meanwhile.

        Returns in any case: after some silence, when no answer will come any more, or when far
        more have come than there were chunks. A leader
        that has stepped down says nothing of what it was sent last; so a whole time-out would
        be lost with each change of leaders.
        """
        while True:
            with self._lock:
                self.no_more_answers = self.no_more_answers or self.answers > 2 * self.sent + BABBLE
                if self.no_more_answers or ready():
                    return
                self._awaited = True
            if not self._heard(min(SILENCE, self._timeout)):
                self.no_more_answers = True
