"""The ways to read the messages of a bucket's stream; which of them work is learned by trying.

Direct gets cost least, where the bucket allows them and the user may ask. Batches of them need
server 2.11, and an account that gets all answers of a request: JetStream of another account that
was imported as a service with single responses gives the first one only. Where neither works, the
stream's leader is asked, message by message. A way that does not work is not tried again.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from objstore.errors import (
    APIError,
    ConnectionClosedError,
    ConnectionLostError,
    NoRespondersError,
    ObjStoreError,
    PermissionDeniedError,
    RequestTimeoutError,
)
from objstore.wire.codec.protocol import Message
from objstore.wire.connection.requests import PendingReply
from objstore.wire.jetstream.answers import BATCH_END, NOT_FOUND, StoredMessage, direct_answer
from objstore.wire.jetstream.api import JetStream
from objstore.wire.jetstream.direct import DirectPage
from objstore.wire.jetstream.reads import Way, read_of_subject, read_request

__all__ = ["BEYOND", "Access", "PendingRead"]

#: After so many seconds without a second answer to a request, another request tells whether there
#: will be one. (In a cluster a follower may be that slow while others answer.)
QUIET, QUIET_CLUSTER = 0.1, 0.5

#: There is never a message of this number: who asks for it gets a short answer.
BEYOND = (1 << 63) - 1

_T = TypeVar("_T", covariant=True)


class Batch(Protocol[_T]):
    """Several answers to one request.

    Attributes:
        count: how many have come.
    """

    count: int

    def next(self, timeout: float, /) -> _T | None:
        """Return the next answer, or answers; None: none came within ``timeout`` seconds."""


class Access:
    """How the messages of one stream can be read.

    Arguments:
        jetstream: the account.
        stream: the stream.
        ask_stream: asks for what the server tells of it, its configuration among that.

    Attributes:
        stream: as given.
        direct: whether the stream answers direct gets.
        single: whether only the first of several answers to a request arrives.
        may_purge: whether this user may purge; None: that is not known yet.
        commits: whether this user is known to be allowed to store records.
        proved: whether the rights that a put needs have been checked.
        denied: the ways that this user is not allowed to use.
        direct_get: the beginning of a direct get's subject; a message's subject follows.
    """

    def __init__(
        self, jetstream: JetStream, stream: str, ask_stream: Callable[[], Mapping[str, Any]]
    ) -> None:
        self._jetstream = jetstream
        self.stream = stream
        self._ask_stream = ask_stream
        # Built once, as each read of a record begins with it.
        self.direct_get = f"{jetstream.prefix}.DIRECT.GET.{stream}."
        self.direct = True
        # Assumed until a read goes unanswered: asking first would cost a round trip.
        self.single = False
        self.may_purge: bool | None = None
        self.commits = self.proved = False
        self._several = False  # several answers have come
        self.denied: set[Way] = set()

    @property
    def is_doubtful(self) -> bool:
        """Whether a put may turn out not to be allowed."""
        if self.denied or self.may_purge is False:  # something was denied
            return True
        return not self.proved and self._jetstream.user.is_limited

    def allows(self, way: Way) -> bool:
        """Tell whether a way was not denied."""
        return way not in self.denied

    def deny(self, way: Way) -> None:
        """Note that the user may not ask in this way."""
        self.denied.add(way)

    @property
    def numbered(self) -> bool:
        """Whether direct gets say how many messages of the subject follow."""
        direct = self.direct and Way.BY_REQUEST not in self.denied
        return direct and self._jetstream.supports("batched direct get")

    def choose_way(self, sequence: int | None, *, leader: bool) -> Way:
        """Choose how to ask for a message of a subject.

        Arguments:
            sequence: the first message from there on is wanted; None: the last one.
            leader: prefer the stream's leader to whichever server answers first.

        Returns:
            The first way that was not denied. Where all were, one of them: to be refused there
            tells the user which permission is missing.
        """
        if not self.denied:
            if leader or not self.direct:
                return Way.LEADER
            return Way.BY_SUBJECT if sequence is None else Way.BY_REQUEST
        ways: list[Way] = []
        if self.direct:
            ways = [Way.BY_SUBJECT, Way.BY_REQUEST] if sequence is None else [Way.BY_REQUEST]
        ways.insert(0 if leader else len(ways), Way.LEADER)
        return next((way for way in ways if way not in self.denied), ways[0])

    # --- single messages

    def last(self, subject: str, *, leader: bool) -> StoredMessage | None:
        """Read the last message of a subject; None: there is none.

        Arguments:
            subject: the subject.
            leader: ask the stream's leader, if that is allowed.

        Raises:
            PermissionDeniedError: no way is allowed.
            NoRespondersError: the stream answers no direct gets, or is not there.
            ObjStoreError: as :meth:`~objstore.wire.jetstream.api.JetStream.read`.
        """
        if leader or not self.direct or self.denied:
            return self._read(subject, None, leader=leader)
        # As nearly all of them are read, in few calls.
        jetstream, begun = self._jetstream, time.monotonic()
        target = self.direct_get + subject
        try:
            pending = jetstream.connection.inbox.start(target, b"")
            wait = jetstream.first_wait if jetstream.is_clustered else jetstream.timeout
            return direct_answer(pending.result(wait), subject)
        except PermissionDeniedError:
            self.denied.add(Way.BY_SUBJECT)
            return self._read(subject, None, leader=False)
        except (ConnectionLostError, RequestTimeoutError, APIError) as error:
            failed = error
        return jetstream.ask_again(
            target, b"", lambda message: direct_answer(message, subject), failed, begun
        )

    def _read(self, subject: str, sequence: int | None, *, leader: bool) -> StoredMessage | None:
        """Read a message of a subject by the first way that is allowed; raises as :meth:`last`.

        Arguments:
            subject, sequence, leader: as of :class:`PendingRead`.
        """
        way = self.choose_way(sequence, leader=leader)
        while True:
            try:
                # This ends: each refused turn denies one more of the three ways.
                return self._jetstream.read(read_of_subject(self.stream, subject, sequence, way))
            except PermissionDeniedError:
                self.denied.add(way)
                way = self.choose_way(sequence, leader=leader)
                if way in self.denied:
                    raise

    def last_from_any(self, subject: str) -> StoredMessage | None:
        """Read the last message of a subject from whichever server answers first."""
        if self.direct:
            try:
                return self.last(subject, leader=False)
            except NoRespondersError:  # no direct gets here
                pass
        return self.last(subject, leader=True)

    def next(self, subject: str, sequence: int, *, leader: bool) -> StoredMessage | None:
        """Read the first message of a subject from a sequence on; otherwise as :meth:`last`."""
        return self._read(subject, sequence, leader=leader)

    def start_last(self, subject: str, *, leader: bool) -> PendingRead:
        """Ask for the last message of a subject, as :meth:`last`; the answer is taken later."""
        return PendingRead(self, self._jetstream, subject, leader=leader)

    def start_next(self, subject: str, sequence: int, *, leader: bool) -> PendingRead:
        """Ask for the first message of a subject from a sequence on; the answer is taken later."""
        return PendingRead(self, self._jetstream, subject, sequence, leader=leader)

    def learn_direct(self) -> None:
        """Ask whether the stream allows direct gets, since one went unanswered.

        Raises:
            BucketNotFoundError: there is no such stream.
        """
        config = self._ask_stream()["config"]
        self.direct = bool(config.get("allow_direct") or config.get("mirror_direct"))

    # --- several answers

    def take(self, batch: Batch[_T], timeout: float) -> _T | None:
        """Take what comes next of a batch.

        Returns:
            None where nothing came within ``timeout`` seconds, or where it turns out that nothing
            will: :attr:`single` tells.
        """
        # One batch is proof for all: whether answers after the first arrive depends on the account.
        if self._several or batch.count > 1:
            self._several = True
            return batch.next(timeout)
        quiet = QUIET_CLUSTER if self._jetstream.is_clustered else QUIET
        item = batch.next(min(quiet, timeout))
        if item is None and batch.count == 1 and self._answers_singly(batch):
            self.single = True
            return None
        if item is not None or timeout <= quiet:
            return item
        return batch.next(timeout - quiet)

    def complete(self, page: DirectPage, asked: int) -> list[StoredMessage] | None:
        """Take all messages of a page, and close it.

        Arguments:
            page: what was asked for.
            asked: bytes that it may bring.

        Returns:
            None when they did not all come, or an error did: each is to be asked for by itself,
            where it comes or fails properly.
        """
        try:
            with contextlib.closing(page):
                messages = self._all_of(page)
        except PermissionDeniedError:
            self.deny(Way.BY_REQUEST)
            return None
        except ConnectionLostError:
            # The size may be the reason: a server cuts off a client that reads too slowly.
            self._jetstream.read_limit.broke(asked)
            return None
        except ObjStoreError:
            return None
        if messages is None:
            return None
        end = messages.pop()
        # A batch also ends at max_bytes: only a count of 0 says that nothing is left.
        if end.status == BATCH_END and end.value(b"Nats-Num-Pending") == b"0":
            return [StoredMessage.of_direct(message) for message in messages]
        # A 404 and no message: none of the subjects has one.
        return [] if end.status == NOT_FOUND and not messages else None

    def _all_of(self, page: DirectPage) -> list[Message] | None:
        """Take all messages of a page, the last one of them a status; None: they do not come."""
        messages: list[Message] = []
        while not (messages and messages[-1].status):
            part = self.take(page, self._jetstream.timeout)
            if part is None:
                return None
            messages += part
        return messages

    def _answers_singly(self, batch: Batch[object]) -> bool:
        """Find out whether a later request is answered while nothing more comes of this one.

        A server answers in order, so this is no matter of how fast it is. In a cluster another
        one may have answered; if a batch is taken for a single answer there, reading goes on by
        single requests, which is slower and no less right.
        """
        beyond = read_request(self.stream, {"seq": BEYOND}, Way.BY_REQUEST)
        try:
            inbox, prefix = self._jetstream.connection.inbox, self._jetstream.prefix
            asked = inbox.start(f"{prefix}.{beyond.subject}", beyond.payload)
            beyond.parse(asked.result(self._jetstream.timeout))
        except ConnectionClosedError:
            raise
        except (ConnectionLostError, RequestTimeoutError):
            # Nothing is learned from that: the rest of the batch is waited for.
            return False
        return batch.count == 1


class PendingRead:
    """A read of one message, under way; asked another way where the first is not allowed.

    Arguments:
        access: knows the ways.
        jetstream: the account.
        subject: the message's subject.
        sequence: ask for the first message from there on; None: for the last one.
        leader: whether the stream's leader is asked, if that is allowed.
        piggyback: whether the request travels with whatever is sent next.
    """

    __slots__ = (
        "_access",
        "_jetstream",
        "_leader",
        "_parse",
        "_pending",
        "_sequence",
        "_subject",
        "_way",
    )

    def __init__(
        self,
        access: Access,
        jetstream: JetStream,
        subject: str,
        sequence: int | None = None,
        *,
        leader: bool,
        piggyback: bool = False,
    ) -> None:
        self._access, self._jetstream = access, jetstream
        self._subject, self._sequence, self._leader = subject, sequence, leader
        self._parse: Callable[[Message], StoredMessage | None] | None = None
        inbox = jetstream.connection.inbox
        start = inbox.start_piggybacked if piggyback else inbox.start
        self._way = way = access.choose_way(sequence, leader=leader)
        if way is Way.BY_SUBJECT:  # as nearly all last messages are asked for
            self._pending = start(access.direct_get + subject, b"")
        else:
            self._ask(start)

    def _ask(self, start: Callable[[str, bytes], PendingReply]) -> None:
        """Send the request for the way that was chosen."""
        request = read_of_subject(self._access.stream, self._subject, self._sequence, self._way)
        self._parse = request.parse
        self._pending = start(f"{self._jetstream.prefix}.{request.subject}", request.payload)

    def result(self) -> StoredMessage | None:
        """Wait for the message, and return it; None where there is none.

        Raises:
            PermissionDeniedError: no way to ask for it is allowed.
            ObjStoreError: as the call that waits at once.
        """
        while True:
            try:
                # This ends: each turn takes another way than the one before, or raises.
                message = self._pending.result(self._jetstream.timeout)
                if self._parse is None:
                    return direct_answer(message, self._subject)
                return self._parse(message)
            except PermissionDeniedError as error:
                refusal: ObjStoreError = error
                self._access.deny(self._way)
            except NoRespondersError as error:
                refusal = error
                if self._way is not Way.LEADER:
                    self._access.learn_direct()
            way = self._access.choose_way(self._sequence, leader=self._leader)
            if way is self._way or not self._access.allows(way):
                raise refusal
            self._way = way
            self._ask(self._jetstream.connection.inbox.start)

    def flush_piggybacked(self) -> None:
        """Send the request now, if it still waits for what is sent next. Never fails."""
        self._pending.flush_piggybacked()

    def close(self) -> None:
        """Give the read up: nobody waits for it any more. Never fails."""
        self._pending.close()
