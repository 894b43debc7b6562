"""The messages of a subject, as they come: batches of direct gets (ADR-31), a part at a time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from objstore.errors import (
    ConnectionClosedError,
    ConnectionLostError,
    NoRespondersError,
    PermissionDeniedError,
    RequestTimeoutError,
)
from objstore.wire.codec.protocol import Message
from objstore.wire.jetstream.access import Access
from objstore.wire.jetstream.answers import BATCH_END, NOT_FOUND, StoredMessage, direct_error
from objstore.wire.jetstream.api import PAUSE, JetStream
from objstore.wire.jetstream.direct import BatchRequest, DirectPage, position
from objstore.wire.jetstream.reads import Way

__all__ = ["Page", "Paging"]

#: How many messages the first batch has, and the most that one has: each has four times as many
#: as the one before. The server counts what is left for each, in time linear in the stream's
#: subjects: with 512 throughout, 100,000 records take 30 µs each where 1,000 take 17 (with 64:
#: 169). Of a short first one little is wasted where only the beginning is read.
FIRST_BATCH, LARGEST_BATCH = 256, 8192

#: And their bytes: direct gets have no flow control, and a client that falls behind is cut off.
BATCH_BYTES = 4 << 20

#: A record may be large, and one comes in any case.
LEAST_BYTES = 256 << 10


class Page(list[StoredMessage]):
    """Some messages of a subject, in order.

    Attributes:
        total: how many there are from the first of these on.
        left: how many come after the last.
    """

    def __init__(self, messages: Iterable[StoredMessage], total: int, left: int) -> None:
        super().__init__(messages)
        self.total = total
        self.left = left


class _Part(NamedTuple):
    """What has come of a batch: what of it is asked for next is seen before it is read."""

    messages: list[Message]
    total: int
    left: int
    last: int  # the sequence of the last message


#: No message: the end of a batch alone.
_END = _Part([], 0, 0, 0)


class Paging:
    """The messages of a subject from a sequence on, each exactly once, in order.

    The next batch is asked for before the last part of one is handed out, so that it comes
    meanwhile. One that its server says nothing more of is asked for again, from where it ended.
    Memory: one batch.

    Arguments:
        jetstream: the account.
        access: how its messages can be read; more is learned of that on the way.
        stream: it is in.
        subject: may be a pattern.
        sequence: to begin with.

    Attributes:
        sequence: that the next message has at least.
    """

    def __init__(
        self,
        jetstream: JetStream,
        access: Access,
        stream: str,
        subject: str,
        sequence: int,
    ) -> None:
        self._jetstream = jetstream
        self._access = access
        self._stream = stream
        self._subject = subject
        self.sequence = sequence
        self._size = FIRST_BATCH
        self._batch: DirectPage | None = None  # under way
        self._asked = 0  # the bytes that it may bring
        self._has_ended = False  # all of it has come
        self._pending_includes_self = jetstream.pending_includes_self

    def __iter__(self) -> Iterator[Page]:
        """Yield what has come, never nothing; less than all where batches cannot be had.

        Raises:
            NoRespondersError: the stream gives no direct gets.
            RequestTimeoutError, ConnectionLostError: the rest does not come.
        """
        came, left = 0, 0  # of this batch
        while (part := self._next()) is not None:
            messages, total, rest, last = part
            if messages:
                came += len(messages)
                left = rest
                self.sequence = last + 1
            # A batch that brought all it was asked for may have more behind it; one with messages
            # left was cut at its bytes.
            is_last = self._has_ended and (not came or (not left and came < self._size))
            if self._has_ended:
                self.close()
            if self._has_ended and not is_last:
                self._size = min(4 * self._size, LARGEST_BATCH)
                self._ask()
                came = left = 0
            if messages:
                yield Page(map(StoredMessage.of_direct, messages), total, rest)
            if is_last:
                return

    def close(self) -> None:
        """Drop what is under way."""
        batch, self._batch = self._batch, None
        if batch is not None:
            batch.close()

    def _ask(self) -> None:
        self._asked = max(LEAST_BYTES, min(BATCH_BYTES, self._jetstream.read_limit.bytes))
        request = BatchRequest(
            subject=self._subject,
            sequence=self.sequence,
            count=self._size,
            max_bytes=self._asked,
        )
        self._batch = self._jetstream.direct_page(self._stream, request)
        self._has_ended = False

    def _next(self) -> _Part | None:
        """Return what comes next; nothing at a batch's end; None: there are no batches here."""
        deadline = time.monotonic() + self._jetstream.patience
        waits = self._jetstream.waits()
        wait = next(waits)
        while True:
            was_under_way = self._batch is not None
            try:
                if not was_under_way:
                    self._ask()
                return self._take(wait)
            except ConnectionClosedError:
                raise
            except NoRespondersError:
                self._access.learn_direct()
                if not self._access.direct or time.monotonic() >= deadline:
                    raise
                time.sleep(PAUSE)  # nor do followers answer while a leader is elected
            except PermissionDeniedError:
                self._access.deny(Way.BY_REQUEST)
                return None
            except ConnectionLostError:
                self._jetstream.read_limit.broke(self._asked)
                # Or lost while the user was busy with what came before: it has not failed yet.
                if not was_under_way and time.monotonic() >= deadline:
                    raise
            except RequestTimeoutError:
                if self._access.single:
                    return None
                longer = next(waits, None)
                if longer is None:
                    raise
                wait = longer
            self.close()

    def _take(self, timeout: float) -> _Part:
        assert self._batch is not None  # noqa: S101 - it was asked for
        messages = self._access.take(self._batch, timeout)
        if messages is None:
            raise RequestTimeoutError(
                f"reading {self._subject}: no answer in {timeout:g} s",
                subject=self._subject,
                timeout=timeout,
            )
        end = messages[-1]
        if end.status:
            if end.status not in (BATCH_END, NOT_FOUND):
                raise direct_error(end, f"reading {self._subject}")
            self._has_ended = True
            messages.pop()
        if not messages:
            return _END
        total = position(messages[0], self._pending_includes_self)[1] + 1
        last, left = position(messages[-1], self._pending_includes_self)
        return _Part(messages, total, left, last)
