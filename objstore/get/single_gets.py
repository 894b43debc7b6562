"""Chunks one request each: for servers before 2.11, and buckets without direct gets.

Several requests are under way at once. Each asks for the first message of the subject from a
sequence on. Where nothing was stored between the chunks, each is one further on than the one
before. Where other messages stand in between, that guess is too low: all requests that are under
way then bring the same chunk. So only a few are sent on a guess, the more the longer it has been
right, and what such a chunk answers is passed over. A read takes at most about two requests for
each chunk, wherever in the stream they are and whatever else is stored there.

Single answers do not tell which chunk they are. So the stream counts the chunks beforehand, and
the first and the last one are asked where they are. If all have their places between them, the
places are known; if other messages stand there, the chunks before the one wanted are read and
passed over: a jump then costs what lies between it and the nearest place known.
"""

from __future__ import annotations

from collections import deque

from objstore.errors import ConnectionClosedError, ConnectionLostError
from objstore.get.integrity import Payload, check_count, why_incomplete
from objstore.get.layout import Layout
from objstore.metadata.records import Records
from objstore.model.objects import ObjectInfo, chunk_subject
from objstore.wire.jetstream.access import PendingRead
from objstore.wire.jetstream.answers import StoredMessage

__all__ = ["SingleGets"]

#: Requests under way at once, where the places are known; and on a guess, so that at most as many
#: bring a chunk again as were right before.
AHEAD, GUESSES = 32, 8

#: How many connections may be lost in turn, before the first answer over the next one.
LOSSES = 4


class SingleGets:
    """The chunks of an object from any one on, in order, each exactly once.

    Arguments:
        records: the bucket.
        info: the object, of more than one chunk.
        layout: what is known of its chunks' places.

    Attributes:
        index: the number of the chunk that comes next.
    """

    def __init__(self, records: Records, info: ObjectInfo, layout: Layout) -> None:
        self._records = records
        self._info = info
        self._layout = layout
        self._subject = chunk_subject(records.bucket, info.nuid)
        self._under_way: deque[tuple[int, PendingRead]] = deque()
        self._guesses = 1  # how many may be under way on a guess
        self.index = self._target = 0
        self._counted = False  # whether the stream has as many chunks as stated
        self._placed = False  # whether `index` and `_last` were set for the target
        self._last = self._guess = 0  # the sequences of the last chunk, and to ask for next
        self._losses = 0  # of the connection, since the last answer

    @property
    def asked(self) -> int:
        """The number of the first chunk that is not under way."""
        return self.index + len(self._under_way)

    def seek(self, index: int) -> None:
        """Go on from another chunk. What is under way is dropped; nothing is asked for yet."""
        self.close()
        self.index = self._target = index
        self._placed = False

    def close(self) -> None:
        """Drop what is under way."""
        while self._under_way:
            self._under_way.popleft()[1].close()

    def next(self, ahead: int) -> Payload:
        """Return the next chunk.

        Arguments:
            ahead: how many chunks to have under way, this one included.

        Raises:
            ObjectChangedError, ObjectCorruptError: it does not come.
            BucketNotFoundError: there is no such bucket any more.
            RequestTimeoutError, ConnectionLostError: the server does not answer.
        """
        if not self._counted:
            check_count(self._records, self._info, self._target)
            self._counted = True
        if not self._placed:
            self._place()
        while True:
            stored = self._step(ahead + self._target - self.index)
            known = self._layout.sequence(self.index)
            is_odd = stored.sequence > self._info.revision  # stored again, after its metadata
            if known not in (None, stored.sequence) and not is_odd:  # a server lacks it
                raise why_incomplete(self._records, self._info, self.index)
            self._layout.learn(self.index, stored.sequence)
            self.index += 1
            if self.index > self._target:
                self._target = self.index
                return stored.payload

    def _step(self, ahead: int) -> StoredMessage:
        """Return the chunk with the number ``index``, which may lie before the one wanted."""
        while True:
            self._ask(ahead)
            asked, pending = self._under_way.popleft()
            try:
                stored = pending.result()
            except ConnectionClosedError:
                raise
            except ConnectionLostError:
                if self._losses >= LOSSES:
                    raise
                self._losses += 1
                self._broke()
                continue
            self._losses = 0
            if stored is None:
                if asked <= self._last + 1:  # there is no chunk after the last one
                    self.close()
                    raise why_incomplete(self._records, self._info, self.index)
            elif stored.sequence > self._last:
                self._arrived(asked, stored.sequence)
                return stored

    def _ask(self, ahead: int) -> None:
        """Ask for chunks until as many requests are under way as may be, one at least."""
        limit = self._records.jetstream.read_limit.bytes
        most = max(1, min(ahead, AHEAD, limit // self._layout.typical))
        under_way, left = self._under_way, self._info.chunks - self.index
        while len(under_way) < min(most, left):
            if not under_way:
                self._guess = self._last + 1
            elif len(under_way) >= self._guesses and self._layout.sequence(self.asked) is None:
                break
            pending = self._records.start_next(self._subject, self._guess)
            under_way.append((self._guess, pending))
            self._guess += 1

    def _arrived(self, asked: int, sequence: int) -> None:
        """Note the sequence of a chunk that has come, and from which one on it was asked for."""
        self._last = sequence
        if sequence == asked:
            self._guesses = min(2 * self._guesses, GUESSES)
            return
        self._guesses = 1
        while self._under_way and self._under_way[0][0] <= sequence:  # they bring the same one
            self._under_way.popleft()[1].close()

    def _broke(self) -> None:
        """Drop all that was under way, since the connection is lost."""
        asked = (1 + len(self._under_way)) * self._layout.typical
        self._records.jetstream.read_limit.broke(asked)
        self.close()

    def _place(self) -> None:
        """Begin at the chunk wanted, or at the one after the nearest whose sequence is known."""
        layout, target = self._layout, self._target
        if layout.sequence(target) is None and (
            not target or layout.known_before(target)[0] < target - 1
        ):
            self._learn_ends()
        sequence = layout.sequence(target)
        if sequence is not None:
            self.index, self._last = target, sequence - 1
        else:
            index, self._last = layout.known_before(target)
            self.index = index + 1
        self._guesses = 1
        self._placed = True

    def _learn_ends(self) -> None:
        """Ask where the first chunk and the last one are, once."""
        layout = self._layout
        if layout.sequence(0) is None:
            first = self._records.access.next(self._subject, 1, leader=True)
            if first is None:
                raise why_incomplete(self._records, self._info, 0)
            layout.learn(0, first.sequence)
        if not layout.last_is_known:
            last = self._records.last_from_leader(self._subject)
            if last is None:
                raise why_incomplete(self._records, self._info, 0)
            layout.learn(self._info.chunks - 1, last.sequence)
