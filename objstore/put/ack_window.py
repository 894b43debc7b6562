"""The chunks of an upload that are sent and not acknowledged: bounded in bytes, counted."""

from __future__ import annotations

import enum
import queue
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
#: A whole time-out cost 5.4 s for a leader's step-down and 10.4 s for a killed one; with this it is
#: 1.4 s and 5.7 s.
SILENCE = 1.0

#: How many more answers than two for each chunk sent are taken, before no more are awaited: a
#: broken server may send them without end.
EXCESS_ANSWERS = 1000


class OutOfStepError(ConnectionLostError):
    """The answers say that chunks were lost on the way. Seen only where nothing is tried again."""


class Course(enum.Enum):
    """Whether chunks can go on being sent."""

    OPEN = "nothing was refused"
    INTERRUPTED = "something failed that may succeed later"
    REFUSED = "something failed that never can"


#: What a failure that passes, and one that does not, make of each. The first error of each counts.
AFTER_TRANSIENT = {Course.OPEN: Course.INTERRUPTED}
AFTER_REFUSAL = {Course.OPEN: Course.REFUSED, Course.INTERRUPTED: Course.REFUSED}


class AckWindow:
    """The chunks that are sent and not yet known to be stored.

    The reader thread calls :meth:`confirm` and :meth:`refuse`, any thread :meth:`fail`; the
    uploading thread waits in :meth:`wait` and :meth:`settle`.

    Without a lock: each number has one thread that writes it. Rejected: a lock, even the
    interpreter's own. A signal handler that struck the uploading thread while it was held, and
    put something, waited for the reader thread, which waited for the lock (and a Condition, that
    is written in Python, would stay taken after Ctrl-C between its lines).

    Arguments:
        subject: of the chunks.
        timeout: for one acknowledgement, in seconds.
        stored: how many chunks are stored already.
        sequence: of the last of them in the stream.

    Attributes:
        subject: the chunks' subject.
        stored: the number of the last chunk known to be stored, counted from 1; all before it are.
        sent: the number of the last chunk that is sent.
        position: how many are stored, and the sequence of the last one; both of one moment.
        answers: how many answers have come, good or bad.
        no_more_answers: whether none is expected: the connection was lost, or long silent.
    """

    def __init__(self, subject: str, timeout: float, stored: int, sequence: int) -> None:
        self.subject = subject
        self.stored = self.sent = stored
        self.position = stored, sequence
        self.answers = 0
        self.no_more_answers = False
        self._timeout = timeout
        self._bytes_sent = self._bytes_stored = 0
        self._news: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._awaited = False  # the uploading thread waits for news
        self._sizes: deque[int] = deque()  # of the chunks after `stored`
        # With its reason in one piece, for any thread may fail it.
        self._course: tuple[Course, ObjStoreError | None] = Course.OPEN, None

    @property
    def outstanding(self) -> int:
        """Bytes of the chunks that are sent and not known to be stored."""
        return self._bytes_sent - self._bytes_stored

    def add(self, size: int) -> None:
        """Take note of a chunk that is about to be sent."""
        self._sizes.append(size)
        self._bytes_sent += size
        self.sent += 1

    def confirm(self, number: int, sequence: int) -> None:
        """Note that all chunks up to a number are stored, and the sequence of the last one."""
        stored, size = self.stored, 0
        while stored < number and self._sizes:
            stored += 1
            size += self._sizes.popleft()
        self.position = stored, sequence
        self._bytes_stored += size
        self.stored = stored  # after the position, which is looked at when this is enough
        self.answers += 1
        self._tell()

    def refuse(self, error: ObjStoreError) -> None:
        """Stop the upload for an error; the first one counts, unless a final refusal follows."""
        self.answers += 1
        self._stop(error)

    def fail(self, error: ObjStoreError) -> None:
        """Stop the upload, since the connection was lost or the permission is missing."""
        self.no_more_answers = True
        self._stop(error)

    def _stop(self, error: ObjStoreError) -> None:
        follows = AFTER_TRANSIENT if is_transient(error) else AFTER_REFUSAL
        course = follows.get(self._course[0])
        if course is not None:
            self._course = course, error
        self._tell()

    def _tell(self) -> None:
        """Wake whoever waits for news."""
        # Only who waits: an item for each acknowledgement would wake it as often.
        if self._awaited:
            self._awaited = False
            self._news.put(None)

    def _heard(self, timeout: float) -> bool:
        """Wait until :meth:`_tell` is called, or was before; return False if it was not in time."""
        try:
            self._news.get(timeout=timeout)
        except queue.Empty:
            return False
        return True

    def _check(self, ready: Callable[[], bool]) -> bool:
        # Looked at before the condition: no chunk is sent after one was refused.
        error = self._course[1]
        if error is not None:
            raise error
        return ready()

    def wait(self, ready: Callable[[], bool]) -> None:
        """Wait until a condition is true, which the answers make true.

        Raises:
            RequestTimeoutError: nothing was stored for one time-out, whatever else was answered.
            ObjStoreError: a chunk was refused, or the connection was lost.
        """
        stored, deadline = -1, 0.0
        while not self._check(ready):
            now = time.monotonic()
            # Each chunk that is stored begins the time-out anew: it bounds the silence, not the
            # transfer.
            if self.stored > stored:
                stored, deadline = self.stored, now + self._timeout
            elif now >= deadline:
                raise RequestTimeoutError(
                    f"no acknowledgement of chunk {stored + 1} in {self._timeout:g} s",
                    timeout=self._timeout,
                    subject=self.subject,
                )
            self._awaited = True  # and then look again: who has news looks at this after it
            if not self._check(ready):
                self._heard(deadline - now)

    def settle(self, ready: Callable[[], bool]) -> None:
        """Wait after a failure until a condition is true, whatever is refused meanwhile.

        Returns in any case: after :data:`SILENCE` seconds without an answer, when the connection
        is lost, or when far more answers have come than there were chunks. Not after a whole
        time-out: a leader that has stepped down does not answer what it was sent last.
        """
        while not self._is_settled(ready):
            self._awaited = True
            if not self._is_settled(ready) and not self._heard(min(SILENCE, self._timeout)):
                self.no_more_answers = True

    def _is_settled(self, ready: Callable[[], bool]) -> bool:
        self.no_more_answers = self.no_more_answers or self.answers > 2 * self.sent + EXCESS_ANSWERS
        return self.no_more_answers or ready()
