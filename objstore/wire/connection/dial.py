"""From an address to a connection on which the server has answered: the handshake.

TCP, the server's INFO, TLS where either side asks for it, CONNECT, and a PING whose PONG says
that the server took the credentials. Nothing is sent in the clear that TLS was meant to hide,
and nothing that came in the clear is believed after TLS begins.
"""

from __future__ import annotations

import os
import re
import ssl
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from objstore.errors import (
    AuthorizationError,
    ConnectionClosedError,
    ConnectionLostError,
    ObjStoreError,
    PermissionDeniedError,
    ProtocolError,
    TLSError,
    TLSRequiredError,
    TLSUnavailableError,
)
from objstore.version import __version__
from objstore.wire.codec.commands import PING, PONG, encode_connect
from objstore.wire.codec.protocol import (
    Err,
    Event,
    Info,
    Parser,
    Ping,
    Pong,
)
from objstore.wire.connection.auth import Login, TLSOptions
from objstore.wire.connection.servers import Server, ServerPool
from objstore.wire.connection.subscriptions import copy_error
from objstore.wire.connection.transport import TLSTransport, Transport

__all__ = [
    "DialOptions",
    "Link",
    "broken",
    "closed_error",
    "dial",
    "dial_any",
    "error_of",
    "no_connection",
    "program_name",
]


class DialOptions(msgspec.Struct, frozen=True):
    """The options of connecting to a server.

    Attributes:
        name: the connection's name, for the server's monitoring.
        login: who connects.
        tls: True: always; False: never; None: where the URL or the server asks for it.
        tls_options: which certificates to trust and to show.
        timeout: for the whole handshake, in seconds.
        verbose, pedantic: the protocol's switches of these names.
        keepalive: TCP keep-alive on the socket.
    """

    name: str | None = None
    login: Login = Login()
    tls: bool | None = None
    tls_options: TLSOptions = TLSOptions()
    timeout: float = 5.0
    verbose: bool = False
    pedantic: bool = False
    keepalive: bool = False


class Link(msgspec.Struct, eq=False):
    """A connection that a server has accepted.

    Attributes:
        server: its address.
        transport: the socket.
        parser: the parser, with what was received so far.
        info: the server's INFO.
        early: events that came right behind the handshake; the reader thread handles them first.
        ended_here: whether this process ended it: by reconnect(), or by Ctrl-C in a send.
    """

    server: Server
    transport: Transport
    parser: Parser
    info: dict[str, Any]
    early: list[Event] = []
    ended_here: bool = False


def dial_any(
    pool: ServerPool, options: DialOptions, wanted: Callable[[], bool] = lambda: True
) -> Link:
    """Connect to the first server that takes us; each is tried once.

    Arguments:
        pool: the servers.
        options: how to greet them.
        wanted: called before each server but the first; False: do not go on.

    Raises:
        ObjStoreError: the error that says most, when none does; see :func:`dial`.
    """
    if pool.secured:
        options = replace(options, tls=True)
    errors: list[ObjStoreError] = []
    for server in pool.round():
        if errors and not wanted():
            break
        try:
            link = dial(server, options)
        except ObjStoreError as error:
            errors.append(error)
        else:
            pool.connected(server)
            # From now on always: whoever answers in the clear later is not who answered first.
            pool.secured = pool.secured or isinstance(link.transport, TLSTransport)
            return link
    # The error that says most is raised: first a refused login, which the user can mend, then
    # anything that is more than a server that does not answer.
    telling: list[ObjStoreError] = [e for e in errors if isinstance(e, AuthorizationError)]
    telling += [e for e in errors if type(e) is not ConnectionLostError]
    if telling or len(errors) == 1:
        raise (telling or errors)[0]
    raise ConnectionLostError("no server answers: " + "; ".join(map(str, errors))) from errors[0]


def dial(server: Server, options: DialOptions) -> Link:
    """Connect to one server.

    Raises:
        ConnectionLostError: it cannot be reached, or closes.
        ProtocolError: what answers there is not a NATS server.
        TLSError: TLS failed, or one side wants it and the other does not.
        AuthorizationError: it refuses the credentials.
    """
    deadline = time.monotonic() + options.timeout
    try:
        transport = Transport.connect(
            server.host, server.port, options.timeout, keepalive=options.keepalive
        )
    except OSError as error:
        raise _unreachable(server, error) from error
    handshake = _Handshake(server, options, transport, deadline)
    try:
        return handshake.run()
    except ssl.SSLError as error:
        handshake.transport.close()
        raise TLSError(f"TLS with {server.url} failed: {_reason(error)}") from error
    except OSError as error:
        handshake.transport.close()
        # Our own errors of lost connections are OSErrors, too, and say what happened.
        if isinstance(error, ObjStoreError):
            raise
        raise _unreachable(server, error) from error
    except BaseException:
        handshake.transport.close()
        raise


def _unreachable(server: Server, error: OSError) -> ConnectionLostError:
    if isinstance(error, TimeoutError):
        return ConnectionLostError(f"{server.url} did not answer in time")
    return ConnectionLostError(f"cannot connect to {server.url}: {_reason(error)}")


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    return error.strerror or str(error) or type(error).__name__


class _Handshake:
    """The steps to a link, over one socket."""

    def __init__(
        self, server: Server, options: DialOptions, transport: Transport, deadline: float
    ) -> None:
        self.server = server
        self.options = options
        self.transport = transport
        self.deadline = deadline
        self.parser = Parser()
        self.events: list[Event] = []

    def run(self) -> Link:
        options, server = self.options, self.server
        secure = options.tls_options.first
        if secure:
            self._start_tls()
        info = self._read_info()
        wanted = options.tls or (options.tls is None and server.tls)
        # tls_available: the server allows TLS, and does not insist on it.
        offered = bool(info.get("tls_required") or info.get("tls_available"))
        if wanted and not (secure or offered):
            raise TLSUnavailableError(f"{server.url} does not offer TLS, which was asked for")
        if info.get("tls_required") and options.tls is False:
            raise TLSRequiredError(f"{server.url} requires TLS, and tls=False forbids it")
        if not secure and (wanted or info.get("tls_required")):
            self._forbid_early_bytes()
            self._start_tls()
        self._greet(info)
        self._await_pong(info)
        return Link(server, self.transport, self.parser, info, self.events)

    def _start_tls(self) -> None:
        # Built for each attempt, so that renewed certificates are used.
        context = self.options.tls_options.build()
        # A discovered server has the name of the first one given: its address may be an IP.
        name = self.server.tls_name or self.server.host
        # Not 0, which the kernel takes for: wait for ever.
        left = max(self.deadline - time.monotonic(), 0.001)
        self.transport = TLSTransport(self.transport, context, name, left)

    def _forbid_early_bytes(self) -> None:
        """Refuse what was sent behind INFO, in the clear: somebody in between may have put it."""
        if self.events or self.parser.unparsed:
            raise ProtocolError(f"{self.server.url} sent data in the clear before TLS began")

    def _read_info(self) -> dict[str, Any]:
        event = self._next_event()
        if isinstance(event, Err):
            raise error_of(event.text)
        if not isinstance(event, Info):
            raise ProtocolError(f"{self.server.url} greets with something other than INFO")
        return event.fields

    def _greet(self, info: dict[str, Any]) -> None:
        """Send CONNECT, and PING to learn whether it was accepted."""
        options, server = self.options, self.server
        fields: dict[str, Any] = {
            "verbose": options.verbose,
            "pedantic": options.pedantic,
            "tls_required": isinstance(self.transport, TLSTransport),
            "lang": "python-objstore",
            "version": __version__,
            # 1: the server may send INFO again, with new addresses or before it shuts down.
            "protocol": 1,
            "headers": True,
            # A request that nobody listens to is answered at once with 503, and not by a time-out.
            "no_responders": True,
        }
        if options.name:
            fields["name"] = options.name
        nonce = info.get("nonce")
        given = options.login.connect_fields(nonce if isinstance(nonce, str) else None)
        fields.update(given or _url_login(server))
        try:
            # Outside of verbose mode nothing but a PONG says that CONNECT was accepted.
            self.transport.send([encode_connect(fields), PING])
        except TimeoutError:
            raise
        except OSError:
            pass  # it has closed: why, is still to be read (TLS's alert, an -ERR)

    def _await_pong(self, info: dict[str, Any]) -> None:
        """Wait until the server has accepted the login. What it says before that counts, too."""
        while True:
            event = self._next_event()
            if isinstance(event, Pong):
                return
            if isinstance(event, Err):
                raise self._refusal(event.text)
            if isinstance(event, Info):
                info.update(event.fields)
            elif isinstance(event, Ping):
                self.transport.send([PONG])

    def _refusal(self, text: str) -> ObjStoreError:
        """Translate what CONNECT is answered with: who refuses, and what was not given."""
        error = error_of(text)
        if not isinstance(error, AuthorizationError):
            return error
        url = self.server.url
        said = f"{url} refuses this login: {text}"
        if self.options.login == Login() and self.server.user is None:
            said = f"{url} wants a login, and none was given ({text}); {_GIVE_ONE}"
        return AuthorizationError(said, description=text)

    def _next_event(self) -> Event:
        while not self.events:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self.transport.set_receive_timeout(left)
            count = self.transport.receive_into(self.parser.get_buffer())
            if not count:
                raise ConnectionLostError(f"{self.server.url} closed the connection at once")
            self.events = self.parser.received(count)
        return self.events.pop(0)


#: For people of the library and of the command line alike.
_GIVE_ONE = "one may stand in the URL (nats://USER:PASSWORD@…, nats://TOKEN@…) or in $NATS_CREDS"


def _url_login(server: Server) -> dict[str, str]:
    """Return the login that stands in the address itself: user and password, or a token."""
    if server.user is None:
        return {}
    if server.password is None:
        return {"auth_token": server.user}
    return {"user": server.user, "pass": server.password}


# --- what a break, an absence and an -ERR mean


def broken(link: Link, error: OSError) -> ConnectionLostError:
    """Translate an ``OSError`` of an established connection."""
    if isinstance(error, TimeoutError):
        text = f"{link.server.url} stopped reading"
    else:
        text = _reason(error)
    lost = ConnectionLostError(text)
    lost.__cause__ = error
    return lost


def no_connection(
    cause: ObjStoreError | None, lost: ObjStoreError | None, timeout: float
) -> ObjStoreError:
    """Say why there is no connection after waiting for one.

    Arguments:
        cause: the reason of the last attempt's failure, or ``lost`` where there was none yet.
        lost: why the last connection ended.
        timeout: how long was waited, in seconds.
    """
    # The caller has to know that the login was refused, not that time was up.
    if isinstance(cause, AuthorizationError):
        return copy_error(cause)
    first = f" (the last one ended: {lost})" if lost is not None and lost is not cause else ""
    error = ConnectionLostError(f"no connection for {timeout:g} s: {cause}{first}")
    error.__cause__ = cause
    return error


def closed_error() -> ConnectionClosedError:
    """Make the error for the use of a connection that this process has closed."""
    # Mostly a bucket, a file or a watcher that outlives the with-block of its client.
    return ConnectionClosedError(
        "the connection was closed, as it is at the end of its with-block; "
        "make another with objstore.connect()"
    )


def program_name() -> str:
    """Return what this program is called: its file's name, or a module's that ``-m`` runs."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    started = spec.name.removesuffix(".__main__") if spec is not None else sys.argv[0:1]
    name = started if isinstance(started, str) else os.path.basename("".join(started))
    # "-c" and "" are no names: of a command line, or of a prompt.
    usable = name if name not in ("", "-", "-c", "-m") else "python"
    return usable.encode("utf-8", "replace").decode()


#: An -ERR has no number, so the server's words have to be parsed.
_PERMISSION = r'Permissions Violation for (\w+)(?: with Reply)? (?:to|of|from) "(.*?)"'


def error_of(text: str) -> ObjStoreError:
    """Translate the text of an ``-ERR``."""
    denied = re.search(_PERMISSION, text, re.IGNORECASE)
    if denied:
        action, subject = denied.groups()
        return PermissionDeniedError(
            f"not allowed: {action.lower()} to {subject}", subject=subject, description=text
        )
    lower = text.lower()
    if "subscription" in lower:  # a limit of theirs; the connection goes on
        return PermissionDeniedError(f"not allowed: {lower}", description=text)
    if lower == "authentication timeout":  # it was frozen or busy, and has looked at no login
        return ConnectionLostError(f"the server ended the connection: {text}", description=text)
    if "authorization" in lower or "authentication" in lower:
        return AuthorizationError(f"the server refused the login: {text}", description=text)
    return ConnectionLostError(f"the server ended the connection: {text}", description=text)
