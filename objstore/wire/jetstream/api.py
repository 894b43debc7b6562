"""JetStream: typed calls of its API, acknowledged publishing, direct gets.

The only folder that knows ``$JS.API`` subjects. The answers have a module of their own,
:mod:`objstore.wire.jetstream.answers`, and so have the headers that JetStream gives a meaning,
:mod:`objstore.wire.jetstream.stored_headers`; what callers need of both is given out here as well.

Sources: ADR-1 (the JSON API), ADR-31 (direct get and its batches).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from operator import attrgetter
from typing import Any, TypeVar

import msgspec

from objstore.errors import (
    APIError,
    ConnectionClosedError,
    ConnectionLostError,
    NoRespondersError,
    ObjStoreError,
    RequestTimeoutError,
    ServerVersionError,
    is_transient,
    violates_limit,
)
from objstore.wire.codec.commands import check_subject
from objstore.wire.codec.protocol import Buffer, Message
from objstore.wire.connection.connection import Connection
from objstore.wire.connection.requests import PendingReply
from objstore.wire.connection.subscriptions import PlaceOf
from objstore.wire.jetstream.answers import (
    PendingAck,
    PubAck,
    StoredMessage,
    parse_answer,
    parse_pub_ack,
)
from objstore.wire.jetstream.direct import BatchRequest, DirectGet, DirectPage
from objstore.wire.jetstream.features import FEATURES, version_of
from objstore.wire.jetstream.prefix import USUAL_PREFIX
from objstore.wire.jetstream.read_limit import ReadLimit
from objstore.wire.jetstream.reads import ReadRequest, Way, read_request
from objstore.wire.jetstream.stored_headers import ROLLUP_OVER, publish_header
from objstore.wire.jetstream.user import User

__all__ = [
    "FEATURES",
    "JetStream",
    "PendingAck",
    "PubAck",
    "parse_answer",
    "parse_pub_ack",
]


#: JetStream's number for: the stream has no message of this sequence.
_NO_SUCH_MESSAGE = 10043

#: How long a cluster may be silent before a call that changes nothing fails, in seconds, where
#: the patience is not shorter. A stream whose leader was killed has another in 5 to 8 s; until
#: then nobody answers for it.
ELECTION = 30.0

#: A cluster is asked again after so much silence, in seconds, and twice that, up to the time-out.
ASK_AGAIN = 1.0

#: How often a server may end the connection for a command that is too long for it. Another thread
#: may have sent that; whose own it is gets no further.
VIOLATIONS = 2

#: Between two questions of which the first was answered at once by nobody, in seconds.
PAUSE = 0.1

_T = TypeVar("_T")


class JetStream:
    """An account's JetStream, through one connection.

    Arguments:
        connection: carries the calls.
        prefix: what the API's subjects begin with; a domain has its own.
        timeout: for one call, in seconds.
        patience: how long a call that changes nothing is tried again when the connection
            breaks under it or a cluster has no leader, in seconds.

    Attributes:
        read_limit: how much may be asked for at once.
        user: what is known of the user's rights.
        prefix, timeout, patience: as given.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        prefix: str = USUAL_PREFIX,
        timeout: float = 5.0,
        patience: float = 60.0,
    ) -> None:
        check_subject(prefix, "API prefix")
        self.connection = connection
        #: Is told what happens; None: nobody wants to know.
        self.observer = connection.observer
        self.timeout = timeout
        self.patience = patience
        self.prefix = prefix
        self.user = User(connection)
        self.read_limit = ReadLimit(lambda: connection.session.info)  # not self: no cycle

    # --- what the server is

    @property
    def server_version(self) -> tuple[int, int, int]:
        """Version of the server connected to."""
        # A server that does not say its version counts as older than every feature.
        return version_of(str(self.connection.session.info.get("version", "0.0.0")))

    def supports(self, feature: str) -> bool:
        """Tell whether the server has a feature of :data:`FEATURES`."""
        return self.server_version >= FEATURES[feature]

    def require(self, feature: str, what: str) -> None:
        """Refuse what needs a feature of :data:`FEATURES` that the server lacks.

        Arguments:
            feature: its name.
            what: needs it, to begin the error's message with.

        Raises:
            ServerVersionError: the server is too old.
        """
        if not self.supports(feature):
            needed, version = (
                ".".join(map(str, numbers)) for numbers in (FEATURES[feature], self.server_version)
            )
            raise ServerVersionError(
                f"{what} needs nats-server {needed} or later; this is {version}",
                needed=needed,
                version=version,
            )

    @property
    def pending_includes_self(self) -> bool:
        """Whether the messages left behind one of a batch are counted with that one itself."""
        return not self.supports("exact pending counts")

    #: Whether a stream's leader may be another server than the one connected to. Not a function:
    #: each put and get asks this, and their calls of Python's are counted.
    is_clustered = property(attrgetter("connection.session.is_clustered"))

    @property
    def is_local(self) -> bool:
        """Whether requests go no farther than the server connected to, or its cluster."""
        return self.prefix == USUAL_PREFIX and bool(self.connection.session.info.get("jetstream"))

    # --- calls

    def call(
        self, api: str, request: Mapping[str, Any] | None, what: str, *, repeat: bool = True
    ) -> dict[str, Any]:
        """Call a method of JetStream's API, and return its answer.

        Arguments:
            api: the rest of the subject, such as ``STREAM.INFO.OBJ_x``.
            request: the JSON to send, or None for an empty message.
            what: is attempted, for an error's message.
            repeat: whether the call may be made again when no answer came.

        Returns:
            The answer's JSON.

        Raises:
            NoRespondersError: JetStream is not enabled for this account, or its servers are
                electing a leader.
            RequestTimeoutError: no answer within the time-out.
            ConnectionLostError: no connection, or it broke under a call not to be repeated.
            ObjStoreError: JetStream's answer, by the table in :mod:`objstore.errors`.
        """
        subject = f"{self.prefix}.{api}"
        payload = b"" if request is None else msgspec.json.encode(request)
        begun = time.monotonic()
        try:
            try:
                # What is asked once only gets all of the time for that.
                wait = self.first_wait if repeat else self.timeout
                answer = self.connection.inbox.start(subject, payload).result(wait)
                return parse_answer(answer, what)
            except (ConnectionLostError, RequestTimeoutError, APIError) as error:
                if not repeat:
                    raise
                failed = error
            return self.ask_again(subject, payload, lambda m: parse_answer(m, what), failed, begun)
        except NoRespondersError as error:
            raise NoRespondersError(
                f"{what}: JetStream does not answer; is it enabled on the server "
                f"and for this account? ({subject})",
                subject=subject,
                code=error.code,
            ) from error

    def _ask(self, subject: str, payload: Buffer, parse: Callable[[Message], _T]) -> _T:
        """Ask, and ask again while connections break under it, or a cluster has no leader."""
        begun = time.monotonic()
        try:
            return parse(self.connection.inbox.start(subject, payload).result(self.first_wait))
        except (ConnectionLostError, RequestTimeoutError, APIError) as error:
            failed = error
        return self.ask_again(subject, payload, parse, failed, begun)

    @property
    def first_wait(self) -> float:
        """Seconds to wait before a question is asked again; see :meth:`waits`."""
        return min(ASK_AGAIN, self.timeout) if self.is_clustered else self.timeout

    def ask_again(
        self,
        subject: str,
        payload: Buffer,
        parse: Callable[[Message], _T],
        failed: ObjStoreError,
        begun: float,
    ) -> _T:
        """Repeat a question that changes nothing, where its failure may pass.

        Arguments:
            subject, payload: of the request.
            parse: reads the answer.
            failed: the error that the first attempt ended in.
            begun: when that began, by ``time.monotonic``.

        Raises:
            ObjStoreError: the failure does not pass, or has not passed in time.
        """
        waits = self.waits(begun)
        wait, violations = next(waits, self.timeout), 0
        while True:
            # Asking again helps neither where the client is closed nor where nobody listens.
            if isinstance(failed, (ConnectionClosedError, NoRespondersError)):
                raise failed
            if isinstance(failed, ConnectionLostError):
                violations += violates_limit(failed)
                if violations > VIOLATIONS or time.monotonic() >= begun + self.patience:
                    raise failed
            elif isinstance(failed, RequestTimeoutError):
                longer = next(waits, None)
                if longer is None:
                    raise failed
                wait = longer
            elif is_transient(failed) and next(waits, None) is not None:
                time.sleep(PAUSE)  # "temporarily unavailable", said by who has lost the others
            else:
                raise failed
            if self.observer is not None:
                self.observer.retry("request", failed, subject=subject)
            try:
                return parse(self.connection.inbox.start(subject, payload).result(wait))
            except (ConnectionLostError, RequestTimeoutError, APIError) as error:
                failed = error

    def waits(self, begun: float | None = None) -> Iterator[float]:
        """Yield how long to wait for an answer, in seconds, each time that it is asked for.

        A server alone is asked once. In a cluster nobody speaks for a stream without a leader,
        and a replica that has died or is frozen gets its share of the direct gets.

        Arguments:
            begun: when it was asked first; None: now.
        """
        if not self.is_clustered:
            yield self.timeout
            return
        begun = time.monotonic() if begun is None else begun
        deadline = begun + max(self.timeout, min(ELECTION, self.patience))
        wait = min(ASK_AGAIN, self.timeout)
        while (left := deadline - time.monotonic()) > 0:
            yield min(wait, left)
            wait = min(2 * wait, self.timeout)

    # --- streams

    def stream_info(self, stream: str, request: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the configuration and state of a stream.

        Raises:
            BucketNotFoundError: there is none; and as :meth:`call`.
        """
        return self.call(f"STREAM.INFO.{stream}", request, f"stream {stream}")

    def stream_info_now(self, stream: str) -> dict[str, Any] | None:
        """Return :meth:`stream_info`, asked for once; None: no answer came within a second.

        Raises:
            BucketNotFoundError: there is none.
            ObjStoreError: as :meth:`call`, but for what may pass.
        """
        request = self.connection.inbox.request
        timeout = min(ASK_AGAIN, self.timeout)
        try:
            message = request(f"{self.prefix}.STREAM.INFO.{stream}", b"", timeout=timeout)
            return parse_answer(message, f"stream {stream}")
        except ObjStoreError as error:
            if not is_transient(error):
                raise
        return None

    def start_stream_info(self, stream: str) -> PendingReply:
        """Ask for :meth:`stream_info` together with what is sent next.

        :func:`parse_answer` reads the reply.
        """
        return self.connection.inbox.start_piggybacked(f"{self.prefix}.STREAM.INFO.{stream}", b"")

    def stream_create(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Create a stream; one that exists with the same configuration is fine.

        Raises:
            BucketConfigError: it exists with another, or the server refuses this one; and as
                :meth:`call`.
        """
        name = config["name"]
        return self.call(f"STREAM.CREATE.{name}", config, f"creating stream {name}")

    def stream_update(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Change a stream's configuration.

        Raises:
            BucketNotFoundError: there is none.
            BucketConfigError: the server refuses the configuration; and as :meth:`call`.
        """
        name = config["name"]
        return self.call(f"STREAM.UPDATE.{name}", config, f"changing stream {name}")

    def stream_delete(self, stream: str) -> None:
        """Delete a stream with all it holds.

        Raises:
            BucketNotFoundError: there is none; and as :meth:`call`.
        """
        # Not repeated: a second try would find no stream, though the first deleted it.
        self.call(f"STREAM.DELETE.{stream}", None, f"deleting stream {stream}", repeat=False)

    def purge(self, stream: str, subject: str, up_to: int | None = None) -> int:
        """Remove all messages of a subject, or those up to a sequence.

        Returns:
            How many there were.

        Raises:
            BucketNotFoundError: there is no such stream.
            BucketSealedError: nothing of it can be removed; and as :meth:`call`.
        """
        request: dict[str, Any] = {"filter": subject}
        if up_to is not None:
            request["seq"] = up_to + 1  # the first one that stays
        answer = self.call(f"STREAM.PURGE.{stream}", request, f"purging {subject}")
        return int(answer.get("purged", 0))

    def purge_subject(self, stream: str) -> str:
        """Return the subject that one has to be allowed to publish to for :meth:`purge`."""
        return f"{self.prefix}.STREAM.PURGE.{stream}"

    def start_purging_nothing(self, stream: str) -> PendingReply:
        """Request, together with what is sent next, a purge that the stream refuses; to be closed.

        Whoever may not purge is refused by the server connected to, before it answers anything
        that is asked later. A stream refuses a purge with both a sequence and a number to keep.
        """
        payload = b'{"seq":1,"keep":1}'
        return self.connection.inbox.start_piggybacked(self.purge_subject(stream), payload)

    def delete_message(self, stream: str, sequence: int) -> None:
        """Remove one message; one that is gone already is fine.

        Raises:
            BucketNotFoundError: there is no such stream.
            BucketSealedError: nothing of it can be removed; and as :meth:`call`.
        """
        # no_erase: the server need not overwrite the message before it lets go of it.
        request = {"seq": sequence, "no_erase": True}
        try:
            self.call(f"STREAM.MSG.DELETE.{stream}", request, f"deleting message {sequence}")
        except APIError as error:
            if error.err_code != _NO_SUCH_MESSAGE:
                raise

    # --- messages

    def publish(
        self,
        subject: str,
        payload: Buffer,
        what: str,
        *,
        rollup: bool = False,
        expected_sequence: int | None = None,
        ttl: timedelta | None = None,
    ) -> PubAck:
        """Publish one message and wait until it is stored. It is never sent twice.

        Arguments:
            subject: the message's subject.
            payload: its body.
            what: is attempted, to begin an error's message with.
            rollup: whether it replaces all earlier messages of its subject.
            expected_sequence: store it only if the subject's last message is this one
                (0: only if it has none).
            ttl: the message's own life time.

        Raises:
            RevisionMismatchError: the subject's last message is another.
            RequestTimeoutError, ConnectionLostError: whether it was stored is unknown.
            NoRespondersError: no stream takes the subject: it is gone, or electing a leader.
            BucketSealedError, StorageFullError, APIError: it was not stored.
        """
        return self.start_publish(
            subject, payload, what, rollup=rollup, expected_sequence=expected_sequence, ttl=ttl
        ).result()

    def start_publish(
        self,
        subject: str,
        payload: Buffer,
        what: str,
        *,
        rollup: bool = False,
        expected_sequence: int | None = None,
        ttl: timedelta | None = None,
        states_ttl: bool = False,
        facts: Mapping[str, str] | None = None,
        piggyback: bool = False,
    ) -> PendingAck:
        """Publish one message; the acknowledgement is taken later. Otherwise as :meth:`publish`.

        Arguments:
            states_ttl: say the life time in our own header, too: delete markers lengthen it.
            facts: attributes for the error, if it is one.
            piggyback: whether it may wait for what is sent next, as
                :meth:`Inbox.start_piggybacked`.

        Raises:
            InvalidNameError, InvalidOptionError, ConnectionLostError: nothing was sent.
        """
        if rollup and ttl is None and expected_sequence is not None:
            header = ROLLUP_OVER % expected_sequence  # every record's, but for those that expire
        else:
            header = publish_header(rollup, expected_sequence, ttl, states_ttl=states_ttl)
        inbox = self.connection.inbox
        start = inbox.start_piggybacked if piggyback else inbox.start
        pending = start(subject, payload, header=header)
        return PendingAck(pending, what, facts or {}, self.timeout)

    def read(self, request: ReadRequest) -> StoredMessage | None:
        """Ask for one message; None: there is none.

        Raises:
            NoRespondersError: a direct get, and the stream allows none or is not there.
            BucketNotFoundError: there is no such stream; and as :meth:`call`.
        """
        return self._ask(f"{self.prefix}.{request.subject}", request.payload, request.parse)

    def last_message(self, stream: str, subject: str) -> StoredMessage | None:
        """Read a subject's last message from the stream's leader: what was acknowledged is seen.

        Raises: as :meth:`read`.
        """
        return self.read(read_request(stream, {"last_by_subj": subject}, Way.LEADER))

    def direct_batch(
        self, stream: str, request: BatchRequest, place: PlaceOf | None = None
    ) -> DirectGet:
        """Ask for a batch of messages (server 2.11 and later).

        Arguments:
            stream: the stream.
            request: which.
            place: where large payloads shall land; None: anywhere.

        Raises:
            ConnectionLostError: there is no connection.
        """
        return DirectGet(self.connection, f"{self.prefix}.DIRECT.GET.{stream}", request, place)

    def direct_page(self, stream: str, request: BatchRequest) -> DirectPage:
        """Ask for a batch, as :meth:`direct_batch`, of which many messages are taken at once."""
        return DirectPage(self.connection, f"{self.prefix}.DIRECT.GET.{stream}", request)
