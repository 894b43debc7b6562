"""``Connection``: a thread-safe, reconnecting NATS connection with pynats2's interface."""

from __future__ import annotations

import os
import ssl
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from objstore.errors import ConnectionClosedError, InvalidOptionError
from objstore.pynats2_compat import NATSClient, NATSSubscription
from objstore.uncopied import Uncopied
from objstore.wire.codec.commands import check_subject, encode_publish
from objstore.wire.codec.protocol import Buffer, Message, encode_headers
from objstore.wire.connection import forks
from objstore.wire.connection.arguments import inbox_prefix as check_inbox_prefix
from objstore.wire.connection.arguments import seconds, switch
from objstore.wire.connection.arguments import text as check_text
from objstore.wire.connection.auth import Login, TLSOptions
from objstore.wire.connection.callbacks import CallbackThread
from objstore.wire.connection.dial import DialOptions, closed_error, program_name
from objstore.wire.connection.first_use import FirstUse, FromFirstUse
from objstore.wire.connection.messages import Msg, UserSubscription
from objstore.wire.connection.requests import INBOX_PREFIX, Inbox, check_size
from objstore.wire.connection.servers import DEFAULT_URL, Server, ServerPool, parse_servers
from objstore.wire.connection.session import Session
from objstore.wire.connection.subscriptions import Handler, Subscription

if TYPE_CHECKING:
    from objstore.events import Event
    from objstore.wire.connection.observer import Observer

__all__ = ["Connection", "Msg"]

Headers = Mapping[str, str | Iterable[str]]


class Connection(Uncopied, NATSClient):
    """A NATS connection: one socket, one background reader thread, blocking calls.

    pynats2's ``NATSClient`` with headers, IPv6, verified TLS, every kind of login, and
    automatic reconnects that keep the subscriptions. Thread-safe. It connects in
    :meth:`connect` or at the beginning of a with-block, and survives ``fork``: the child
    connects for itself at its first use. What it does, by its methods:

    - messages: ``publish``, ``subscribe``, ``unsubscribe``, ``auto_unsubscribe``, ``request``;
    - the connection: ``connect``, ``ping``, ``reconnect``, ``close``; ``is_connected``,
      ``is_closed`` and ``server_info`` tell of it.

    Arguments:
        url: a server's address, several with commas between, or a sequence of them. A user
            and password, or a token, may stand in it.
        name: the connection's name, shown by the server's monitoring; None: the program's.
        user, password, token, credentials, nkey_seed: the login, see
            :func:`objstore.connect`; given here it overrides that of the address.
        login: all of these in one :class:`~objstore.wire.connection.auth.Login`.
        tls: None: as the address or the server asks; True or an ``ssl.SSLContext``: always;
            False: never.
        tls_cacert, tls_client_cert, tls_client_key: files in PEM format.
        tls_verify: whether certificates are verified. (pynats2's default is not to.)
        tls_first: begin with TLS before the server says anything.
        timeout: for the handshake, one request, and one blocked send, in seconds.
        reconnect_timeout: how long an operation waits for the connection to come back, in
            seconds; 0: it fails at once.
        ping_interval: seconds of silence after which the server is asked for a sign of life.
        inbox_prefix: where replies go, for accounts that may not subscribe to ``_INBOX.>``.
        on_event: called with what happens, see :func:`objstore.connect`.
        lazy: True: :meth:`connect` need not be called. The first use connects, and waits up to
            ``reconnect_timeout`` seconds for a server.
        verbose, pedantic: the protocol's switches.
        socket_timeout: pynats2's name for ``timeout``.
        socket_keepalive: TCP keep-alive.
        workers: accepted for pynats2's sake; callbacks run in order, on one thread.

    Raises:
        InvalidServerURLError: an address cannot be understood.
        InvalidOptionError: options contradict each other or have impossible values.
        MissingDependencyError: the login needs the package ``nkeys``.
    """

    _instead = "connect in each process (threads share one connection)"

    _session: Session | None = None  # also of one that was never initialized: __del__ asks for it

    # The session carries the commands, the inbox takes replies: for the rest of this package.
    session = FromFirstUse(Session)
    inbox = FromFirstUse(Inbox)

    def __init__(
        self,
        url: str | Iterable[str | Server] = DEFAULT_URL,
        *,
        name: str | None = None,
        verbose: bool = False,
        pedantic: bool = False,
        user: str | None = None,
        password: str | None = None,
        token: str | None = None,
        credentials: str | os.PathLike[str] | None = None,
        nkey_seed: str | os.PathLike[str] | None = None,
        login: Login | None = None,
        tls: bool | ssl.SSLContext | None = None,
        tls_cacert: str | os.PathLike[str] | None = None,
        tls_client_cert: str | os.PathLike[str] | None = None,
        tls_client_key: str | os.PathLike[str] | None = None,
        tls_verify: bool = True,
        tls_first: bool = False,
        timeout: float = 5.0,
        reconnect_timeout: float = 60.0,
        ping_interval: float = 30.0,
        inbox_prefix: str = INBOX_PREFIX,
        on_event: Callable[[Event], object] | None = None,
        lazy: bool = False,
        socket_timeout: float | None = None,
        socket_keepalive: bool = False,
        workers: int = 1,
    ) -> None:
        self._servers = servers = parse_servers(url)
        name = check_text("name", name) or program_name()
        self.timeout = seconds("timeout", timeout if socket_timeout is None else socket_timeout)
        self.reconnect_timeout = seconds("reconnect_timeout", reconnect_timeout, zero=True)
        self._interval = seconds("ping_interval", ping_interval)
        self._inbox_prefix = check_inbox_prefix(inbox_prefix)
        self.lazy = switch("lazy", lazy)
        login = login or Login(user, password, token, credentials, nkey_seed)
        login.validate()
        own = tls if isinstance(tls, ssl.SSLContext) else None
        files = (tls_cacert, tls_client_cert, tls_client_key)
        tls_options = TLSOptions(*files, verify=tls_verify, first=tls_first, context=own)
        tls_options.validate()
        super().__init__(servers[0].url, name=name, workers=workers)
        self.observer = None if on_event is None else _observer(on_event)
        # pynats2's attributes: its _vhost() puts the prefix before subjects.
        self._vhost_name, self._vhost_len = servers[0].prefix, len(servers[0].prefix)
        self._dial_options = DialOptions(
            name=name,
            login=login,
            tls=_switch(tls),
            tls_options=tls_options,
            timeout=self.timeout,
            verbose=verbose,
            pedantic=pedantic,
            keepalive=socket_keepalive,
        )
        self._callbacks: CallbackThread[Msg] = CallbackThread()
        self._user_subscriptions: dict[int, UserSubscription] = {}
        self._first_use = FirstUse(self.timeout, self.reconnect_timeout)
        forks.register(self)

    # --- the life of a connection

    def connect(self) -> None:
        """Connect to the first server that answers; do nothing when connected.

        Raises:
            ConnectionLostError: no server answers, each with its reason.
            ProtocolError: what answers is not a NATS server.
            TLSError: TLS failed, or one side wants it and the other does not.
            AuthorizationError: the login was refused.
            ReentrantCallError: this is a signal handler or a finalizer that interrupts the same.
        """
        self._first_use.reopen()
        self._first_use.connect_once(self._connect)

    def _connect(self) -> Session:
        """Connect, unless there is a session already; called by one thread at a time.

        Raises: as :meth:`connect`.
        """
        session = self._session
        if session is not None and not session.is_closed:
            session.start()
            return session
        session = Session(
            ServerPool(self._servers),
            self._dial_options,
            reconnect_timeout=self.reconnect_timeout,
            ping_interval=self._interval,
            listener=self.observer,
        )
        new_reply = None
        if self.observer is not None:
            self.observer.session, new_reply = session, self.observer.new_reply
        inbox = Inbox(session, self._vhost(self._inbox_prefix), new_reply)
        try:
            session.start()
            # close() came while this dialled, and found no session to close.
            if self._first_use.is_closed:
                raise closed_error()
        except BaseException:
            session.close()
            raise
        self._session = session
        # Found in there from now on, without a call: see FromFirstUse.
        vars(self).update(inbox=inbox, session=session)
        for each in list(self._user_subscriptions.values()):  # pynats2's reconnect()
            self._start_subscription(each.public)
        return session

    def close(self) -> None:
        """Close the connection, once the server has what was published, or after a second.

        Everybody who waits on it gets :class:`~objstore.errors.ConnectionClosedError`. Callbacks
        of messages that arrived before still run. Closing twice is fine.
        """
        self._first_use.close()
        session = self._session
        if session is None or session.is_closed:
            return
        session.flush(min(self.timeout, 1.0))
        session.close()
        # No waiting in a signal handler or finalizer: it may have interrupted a callback.
        self._stop_callbacks(0 if session.is_reentrant else self.timeout)

    def _stop_callbacks(self, timeout: float) -> None:
        self._callbacks.stop(timeout)
        if self.observer is not None:
            self.observer.stop(timeout)

    def reconnect(self) -> None:
        """Break the connection and make a new one, subscriptions included.

        Raises: as :meth:`connect`.
        """
        session = self._session
        if session is None or session.is_closed:
            self.connect()
            return
        session.drop()
        session.wait_connected(max(self.timeout, self.reconnect_timeout))  # the second may be 0

    def ping(self) -> None:
        """Send a PING and wait for the PONG.

        Raises:
            RequestTimeoutError: none came within the connection's time-out.
            ConnectionLostError: the connection broke, or is closed.
        """
        self.session.ping(self.timeout)

    def __enter__(self) -> Connection:
        if not self.lazy:
            self.connect()
        elif self._session is None or self._session.is_closed:
            self._session = None  # the next use connects
            for name in ("session", "inbox"):
                vars(self).pop(name, None)
            self._first_use.reopen()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        session = self._session
        if session is not None and not session.is_closed:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)
            session.close(0)  # a finalizer must not wait: gevent's loop, for one, cannot
            self._stop_callbacks(0)

    def after_fork(self) -> None:
        """Drop the parent's callbacks and subscriptions, in a forked child."""
        self._first_use.after_fork()
        self._user_subscriptions.clear()
        self._callbacks.after_fork()
        if self.observer is not None:
            self.observer.after_fork()

    def __repr__(self) -> str:
        urls = ",".join(server.url for server in self._servers)
        state = "connected" if self.is_connected else "not connected"
        return f"<objstore.Connection to {urls}, {state}>"

    @property
    def is_closed(self) -> bool:
        """Whether the connection was closed."""
        return self._first_use.is_closed

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection at this moment."""
        return self._session is not None and self._session.is_connected

    def connect_at_first_use(self) -> None:
        """Connect a lazy connection, of which this is the first use.

        Raises:
            ConnectionClosedError: :meth:`connect` was not called, or :meth:`close` was.
            And as :meth:`connect`, for a lazy one.
        """
        if not self.lazy:
            raise ConnectionClosedError("not connected: call connect() first, or use `with`")
        self._first_use.connect_patiently(self._connect)

    @property
    def server_info(self) -> dict[str, Any]:
        """The server's INFO: its version, ``max_payload``, cluster …"""
        return dict(self.session.info)

    # --- publish, subscribe, request

    def publish(
        self,
        subject: str,
        *,
        payload: Buffer = b"",
        reply: str = "",
        headers: Headers | None = None,
    ) -> None:
        """Publish a message.

        Arguments:
            subject: where to.
            payload: the body.
            reply: the subject where answers are expected.
            headers: one value or several for each name.

        Raises:
            InvalidNameError: a subject is empty, holds white space, or is too long.
            InvalidOptionError: a header is malformed, or the message is too large.
            ConnectionLostError: there is no connection for ``reconnect_timeout`` seconds.
        """
        session = self.session
        header = encode_headers(headers) if headers else b""
        payload = _flat(payload)
        check_size(session, len(payload) + len(header))
        raw_reply = check_subject(self._vhost(reply), "reply subject") if reply else b""
        subject_bytes = check_subject(self._vhost(subject))
        session.transmit(encode_publish(subject_bytes, payload, raw_reply, header))

    def subscribe(
        self,
        subject: str,
        *,
        callback: Callable[[Any], object],
        queue: str = "",
        max_messages: int | None = None,
    ) -> NATSSubscription:
        """Have a callback called for each message, in order of arrival.

        Callbacks of all subscriptions run on one thread beside the reader, so they may make
        requests. Messages beyond 64 MiB that wait for slow callbacks are dropped and logged.

        Arguments:
            subject: may hold the wildcards ``*`` and ``>``.
            callback: called with a :class:`Msg`; an exception in it is logged.
            queue: a queue group, of which one member gets each message.
            max_messages: after that many the subscription ends.

        Returns:
            What :meth:`unsubscribe` takes. The server has heard of it then.

        Raises:
            InvalidNameError: the subject or queue group is not one.
            InvalidOptionError: ``max_messages`` is not positive.
            PermissionDeniedError: subscribing there is not allowed.
            RequestTimeoutError: the server does not answer.
            ConnectionLostError: there is no connection for ``reconnect_timeout`` seconds.
        """
        if max_messages is not None and max_messages < 1:
            raise InvalidOptionError(f"max_messages is {max_messages}; it must be at least 1")
        subscription = NATSSubscription(-1, subject, queue, callback, max_messages)
        # The PONG comes after the server's answer to SUB, so a refusal is known by then.
        wire = self._start_subscription(subscription)
        try:
            self.session.ping(self.timeout)
            if wire.denied is not None:
                raise wire.denied
        except BaseException:
            self.unsubscribe(subscription)
            raise
        return subscription

    def _start_subscription(self, subscription: NATSSubscription) -> Subscription:
        self._user_subscriptions.pop(subscription.sid, None)
        before, most = subscription.received_messages, subscription.max_messages

        def prepare(wire: Subscription) -> None:
            subscription.sid = wire.sid
            self._user_subscriptions[wire.sid] = UserSubscription(subscription, wire, before)

        return self.session.subscribe(
            self._vhost(subscription.subject),
            self._handler_of(subscription),
            queue=subscription.queue,
            max_messages=None if most is None else most - before,
            prepare=prepare,
        )

    def _handler_of(self, subscription: NATSSubscription) -> Handler:
        # Nothing in here may hold the connection itself: a forgotten one could not be found.
        callbacks, prefix = self._callbacks, self._vhost_name
        subscriptions = self._user_subscriptions

        def handle(message: Message) -> None:
            subscription.received_messages += 1
            most = subscription.max_messages
            if most is not None and subscription.received_messages >= most:
                subscriptions.pop(message.sid, None)
            size = len(message.payload) + len(message.header)
            callbacks.put(subscription.callback, Msg(message, prefix), size)

        return handle

    def unsubscribe(self, sub: NATSSubscription) -> None:
        """End a subscription.

        Arguments:
            sub: what :meth:`subscribe` gave; one that has ended already is fine.
        """
        known = self._user_subscriptions.pop(sub.sid, None)
        if known is not None:
            self.session.unsubscribe(known.wire)

    def auto_unsubscribe(self, sub: NATSSubscription) -> None:
        """Let a subscription end after its ``max_messages``, counted from its beginning.

        Arguments:
            sub: what :meth:`subscribe` gave.
        """
        known = self._user_subscriptions.get(sub.sid)
        if known is not None and sub.max_messages is not None:
            self.session.limit(known.wire, sub.max_messages - known.before)
            if sub.received_messages >= sub.max_messages:
                self._user_subscriptions.pop(sub.sid, None)

    def request(
        self,
        subject: str,
        *,
        payload: Buffer = b"",
        timeout: float | None = None,
        headers: Headers | None = None,
    ) -> Msg:
        """Publish a request and wait for the first reply.

        Arguments:
            subject: where to.
            payload: the body.
            timeout: in seconds; None: the connection's.
            headers: one value or several for each name.

        Raises:
            NoRespondersError: nobody is subscribed there; known at once.
            RequestTimeoutError: no reply came in time.
            ConnectionLostError: the connection broke before the reply came.
            PermissionDeniedError: publishing there is not allowed.
            InvalidNameError, InvalidOptionError: as for :meth:`publish`.
        """
        message = self.inbox.request(
            self._vhost(subject),
            _flat(payload),
            timeout=self.timeout if timeout is None else seconds("timeout", timeout, zero=True),
            header=encode_headers(headers) if headers else b"",
        )
        return Msg(message, self._vhost_name)


def _observer(on_event: Callable[[Event], object]) -> Observer:
    # Imported here: most programs have none.
    from objstore.wire.connection.observer import Observer

    return Observer(on_event)


def _flat(payload: Buffer) -> Buffer:
    """Return the payload as something whose length is in bytes.

    Raises:
        InvalidOptionError: it is not bytes-like.
    """
    if isinstance(payload, (bytes, bytearray)):
        return payload
    try:
        return memoryview(payload).cast("B")
    except (TypeError, ValueError):
        raise InvalidOptionError(f"a payload is bytes-like, not {type(payload).__name__}") from None


def _switch(tls: object) -> bool | None:
    if isinstance(tls, ssl.SSLContext):
        return True
    if tls is None or isinstance(tls, bool):
        return tls
    raise InvalidOptionError(f"tls is {tls!r}; it must be None, True, False or an ssl.SSLContext")
