"""``connect``: a client made of the arguments, the environment and a context."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from objstore.client import Client
from objstore.errors import ConnectionLostError, InvalidOptionError, MissingDependencyError
from objstore.wire.connection.arguments import inbox_prefix as check_inbox_prefix
from objstore.wire.connection.auth import Login, TLSOptions
from objstore.wire.connection.connection import Connection
from objstore.wire.connection.contexts import ContextSettings, load_settings
from objstore.wire.connection.requests import INBOX_PREFIX
from objstore.wire.connection.servers import DEFAULT_URL, parse_servers
from objstore.wire.jetstream.prefix import make_prefix

if TYPE_CHECKING:
    from objstore.events import Event

__all__ = ["ConnectOptions", "connect"]


def connect(
    servers: str | Sequence[str] | None = None,
    *,
    name: str | None = None,
    user: str | None = None,
    password: str | None = None,
    token: str | None = None,
    credentials: str | os.PathLike[str] | None = None,
    nkey_seed: str | os.PathLike[str] | None = None,
    tls: bool | ssl.SSLContext | None = None,
    context: str | None = None,
    domain: str | None = None,
    timeout: float = 5.0,
    reconnect_timeout: float = 60.0,
    inbox_prefix: str = INBOX_PREFIX,
    api_prefix: str | None = None,
    ca: str | os.PathLike[str] | None = None,
    lazy: bool = False,
    on_event: Callable[[Event], object] | None = None,
) -> Client:
    """Connect to NATS.

    What is not given here is read as the ``nats`` command reads it: from the environment, and
    what that does not say, from the context. The variables are ``$NATS_URL``, ``$NATS_CONTEXT``;
    for the login ``$NATS_USER`` and ``$NATS_PASSWORD``, ``$NATS_CREDS``, ``$NATS_NKEY``,
    ``$NATS_JWT`` and ``$NATS_SEED``, or ``$NATS_TOKEN``; for TLS ``$NATS_CA``, ``$NATS_CERT`` and
    ``$NATS_KEY``. A login that is given here, or stands in an address, takes the place of the
    environment's; ``$NATS_SOCKS_PROXY`` is refused.

    Arguments:
        servers: the address of a server, or several; None: ``$NATS_URL``, else the context's,
            else ``nats://127.0.0.1:4222``.
        name: the connection's name, shown by the server's monitoring; None: the program's.
        user, password: a login by password.
        token: a login by token.
        credentials: path of a ``.creds`` file (a user's JWT and NKEY seed).
        nkey_seed: path of an NKEY seed, or the seed itself.
        tls: None: as the address or the server asks, and always where certificates are given;
            True or an ``ssl.SSLContext``: always; False: never. Certificates are verified.
        context: the name of a context of the ``nats`` command line (ADR-21), which has the
            servers, the login, TLS, the domain and the prefixes; None: ``$NATS_CONTEXT``.
        domain: the JetStream domain (leaf nodes).
        timeout: for one request or acknowledgement, in seconds; not for a whole transfer.
        reconnect_timeout: how long an operation waits for a lost connection to come back, in
            seconds; 0: it fails at once.
        inbox_prefix: where replies go, for users who may not subscribe to ``_INBOX.>``. The
            usual one yields to the context's.
        api_prefix: where JetStream's API is, for accounts that import another's, such as
            ``"JS.hub"``; None: where the domain or the context says, else ``$JS.API``.
        ca: path of a file of certificate authorities to trust, in PEM, not the system's.
        lazy: True: nothing is dialled now, while all arguments are checked. The first operation
            connects, and waits up to ``reconnect_timeout`` seconds for a server that is away.
        on_event: called with each :class:`objstore.events.Event`. What a call does is told in the
            thread that makes it, while it waits: be quick. Losses and returns of the connection
            are told on a thread of their own, and so is what a finalizer or a signal handler
            does in the midst of another call. The function may use the client, and what it does
            there is not told; the file that an event is about is closed to it
            (ReentrantCallError). What it raises is logged and breaks nothing, Ctrl-C excepted.

    Returns:
        A client, to be closed or used in a with-block.

    Raises:
        InvalidServerURLError, InvalidOptionError: an argument, a variable or the context cannot
            be used; the message says which.
        MissingDependencyError: the login needs the package ``nkeys``.
        ConnectionLostError: no server answers, each with its reason.
        ProtocolError: what answers is not a NATS server.
        TLSError: TLS failed.
        AuthorizationError: the login was refused.

    Source: ADR-21 for contexts; nats-io/natscli for the variables.
    """
    options = ConnectOptions(
        name=name,
        login=Login(user, password, token, credentials, nkey_seed),
        tls=tls,
        context=context,
        domain=domain,
        timeout=timeout,
        reconnect_timeout=reconnect_timeout,
        inbox_prefix=inbox_prefix,
        api_prefix=api_prefix,
        ca=ca,
        lazy=lazy,
        on_event=on_event,
    )
    connection, prefix = options.connection(servers, os.environ)
    try:
        return Client(connection, api_prefix=prefix)
    except ConnectionLostError as error:
        # Mostly nobody has said where the server is, or has started one.
        if servers is None and str(error).startswith(f"cannot connect to {DEFAULT_URL}:"):
            raise ConnectionLostError(
                f"{error}; servers= or $NATS_URL says where one is, and objstore.local() starts one"
            ) from error
        raise


# Apart from connect(): local() makes a connection of the same options, without the environment.
class ConnectOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The arguments of :func:`connect`, which says what each means, but for the servers."""

    name: str | None = None
    login: Login = Login()
    tls: bool | ssl.SSLContext | None = None
    context: str | None = None
    domain: str | None = None
    timeout: float = 5.0
    reconnect_timeout: float = 60.0
    inbox_prefix: str = INBOX_PREFIX
    api_prefix: str | None = None
    ca: str | os.PathLike[str] | None = None
    lazy: bool = False
    on_event: Callable[[Event], object] | None = None

    def connection(
        self, servers: str | Sequence[str] | None, environ: Mapping[str, str]
    ) -> tuple[Connection, str]:
        """Make the connection, not connected yet; return it and the prefix of JetStream's API.

        Arguments:
            servers: as for :func:`connect`.
            environ: the environment.

        Raises:
            InvalidServerURLError, InvalidOptionError, MissingDependencyError: as :func:`connect`.
        """
        # Arguments are checked first: an error in the environment would hide one of theirs.
        prefix = make_prefix(self.domain, self.api_prefix)
        check_inbox_prefix(self.inbox_prefix)
        if not (self.context is None or isinstance(self.context, str)):
            raise InvalidOptionError(f"context is {self.context!r}; it must be text")
        settings = load_settings(self.context, environ)
        # Either of the two given here takes the place of both that the context says: they exclude
        # each other.
        if self.domain is None and self.api_prefix is None:
            prefix = _prefix_of(settings)
        given, what = servers, "servers"
        if given is None:
            what = settings.named("url") or "the context's url"
            # The variable's own text: the settings leave out what is empty between two commas,
            # which is a mistake to be told of where a person typed it.
            given = environ["NATS_URL"] if "url" in settings.variables else settings.servers
        addresses = parse_servers(given, what)
        connection = Connection(
            addresses,
            name=self.name,
            login=self._login(settings, any(each.user is not None for each in addresses)),
            timeout=self.timeout,
            reconnect_timeout=self.reconnect_timeout,
            inbox_prefix=self._inbox_prefix(settings),
            lazy=self.lazy,
            on_event=self.on_event,
            **self._tls(settings),
        )
        return connection, prefix

    def _login(self, settings: ContextSettings, in_address: bool) -> Login:
        """Choose the login: that given, else of the address, the environment or the context.

        Raises:
            InvalidOptionError, MissingDependencyError: it cannot be used.
        """
        # A login is taken as a whole: a user from here and a password from there let nobody in.
        if self.login != Login():
            return self.login
        if not settings.login_variables:
            return settings.login
        if in_address:  # as in nats.go, which the command line is made of
            return Login()
        with _naming(settings, *settings.login_variables):
            settings.login.validate()
        return settings.login

    def _tls(self, settings: ContextSettings) -> dict[str, Any]:
        """Choose how to use TLS, as arguments of :class:`Connection`.

        Whoever says which certificates are good wants TLS: without it somebody in between could
        answer in the clear, and nobody would look at a certificate.

        Raises:
            InvalidOptionError: a file cannot be used.
        """
        options = settings.tls if self.ca is None else replace(settings.tls, ca_file=self.ca)
        given = options.files
        if isinstance(self.tls, ssl.SSLContext) and self.ca is None:
            options, given = TLSOptions(first=options.first), {}  # it has certificates of its own
        elif given:
            with _naming(settings, *(key for key in given if key != "ca" or self.ca is None)):
                options.validate()
        return {
            "tls": True if self.tls is None and given else self.tls,
            "tls_cacert": options.ca_file,
            "tls_client_cert": options.cert_file,
            "tls_client_key": options.key_file,
            "tls_first": options.first,
        }

    def _inbox_prefix(self, settings: ContextSettings) -> str:
        """Choose where replies go.

        Raises:
            InvalidOptionError: the context says something impossible.
        """
        # The default counts as not given: whether it was written out cannot be seen.
        if self.inbox_prefix != INBOX_PREFIX or settings.inbox_prefix is None:
            return self.inbox_prefix
        return check_inbox_prefix(settings.inbox_prefix)


def _prefix_of(settings: ContextSettings) -> str:
    """Return the prefix of the API that a context asks for.

    Raises:
        InvalidOptionError: that is impossible.
    """
    if settings.api_prefix is not None:
        # Of a context that says both, the prefix: make_prefix would refuse them together.
        return make_prefix(None, settings.api_prefix)
    return make_prefix(settings.domain, None)


@contextmanager
def _naming(settings: ContextSettings, *keys: str) -> Iterator[None]:
    """Have the errors of the block begin with the variables that said these things."""
    try:
        yield
    except (InvalidOptionError, MissingDependencyError) as error:
        # An error of the same class, so that a missing package is still caught as one.
        named = settings.named(*keys)
        raise type(error)(f"{named}: {error}" if named else str(error)) from error
