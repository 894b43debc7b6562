"""The servers that a connection may use: those it was given, and those it hears of."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import unquote, urlsplit

import msgspec

from objstore.errors import InvalidServerURLError

__all__ = ["Server", "ServerPool", "parse_server"]

DEFAULT_PORT = 4222
DEFAULT_URL = f"nats://127.0.0.1:{DEFAULT_PORT}"

#: Pauses between rounds over all servers: from 20 ms, doubling, up to 2 s; each is shortened
#: by chance to as little as half, so that a thousand clients of one server do not come at once.
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 2.0


_ESCAPE = " (in a user or password, write / ? # and @ as %2F %3F %23 and %40)"


class Server(msgspec.Struct, frozen=True):
    """The address of a server, and how to connect there.

    Attributes:
        host: a name or an address of IPv4 or IPv6.
        port: the TCP port.
        tls: whether its URL asks for TLS.
        tls_name: the name to look for in its certificate.
        user, password: from the URL; a user alone is a token.
        prefix: pynats2's "vhost": the URL's path, put before every subject.
    """

    host: str
    port: int
    tls: bool = False
    tls_name: str = ""
    user: str | None = None
    password: str | None = None
    prefix: str = ""

    def __repr__(self) -> str:
        return f"Server({self.url!r})"

    __rich_repr__ = None  # type: ignore[assignment] # so that rich shows no password either

    @property
    def url(self) -> str:
        """The address for messages: without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'tls' if self.tls else 'nats'}://{host}:{self.port}"


def parse_server(url: str) -> Server:
    """Read a server's address: ``nats://`` or ``tls://``, or ``host:port`` alone.

    Raises:
        InvalidServerURLError: it cannot be understood, or asks for something else.
    """
    if not isinstance(url, str):
        raise InvalidServerURLError(
            f"a server's address is text, not {type(url).__name__}: {url!r}"
        )
    text = url.strip()
    try:
        parts = urlsplit(text if "://" in text else f"nats://{text}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        # Its text can hold a part of the password, where that holds a "/".
        why = _ESCAPE if "@" in text else f" ({error})"
        raise InvalidServerURLError(f"not the address of a server: {_safe(text)}{why}") from None
    if parts.scheme not in ("nats", "tls"):
        raise InvalidServerURLError(
            f"{_safe(text)} has the scheme {parts.scheme!r}; it must be nats:// or tls://"
        )
    if not host or any(char <= " " for char in host):
        raise InvalidServerURLError(f"the address {_safe(text)} names no host")
    # A "/" in a password ends the host's part early, and the rest looks like a path.
    if "@" in parts.path + parts.query + parts.fragment:
        raise InvalidServerURLError(f"not the address of a server: {_safe(text)}{_ESCAPE}")
    if parts.query or parts.fragment:
        raise InvalidServerURLError(
            f"the address {_safe(text)} has something behind a ? or #, which means nothing here"
        )
    if port == 0:
        raise InvalidServerURLError(f"the address {_safe(text)} has port 0; it must be 1 to 65535")
    prefix = parts.path.strip("/").replace("/", ".")
    return Server(
        host=host,
        port=DEFAULT_PORT if port is None else port,
        tls=parts.scheme == "tls",
        tls_name=host,
        # Percent-encoded in the URL, where a "/" or an "@" would end it.
        user=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
        prefix=f"{prefix}." if prefix else "",
    )


def parse_servers(servers: str | Iterable[str | Server], what: str = "url") -> list[Server]:
    """Read several addresses: some of them, or one text with commas between, or at its end.

    Arguments:
        servers: the addresses, or what was read from them before.
        what: what they were given as, to begin an error's message with.

    Raises:
        InvalidServerURLError: one of them cannot be understood, or there is none.
    """
    given: list[str | Server]
    if isinstance(servers, str):
        given = [*servers.strip().removesuffix(",").split(",")]
    # These are iterable, too: bytes give numbers, and a mapping its keys.
    elif isinstance(servers, (bytes, bytearray, memoryview, Mapping)) or not isinstance(
        servers, Iterable
    ):
        kind = type(servers).__name__
        raise InvalidServerURLError(
            f"{what} is of type {kind}; it must be an address (text), or several"
        )
    else:
        given = list(servers)
    if not given:
        raise InvalidServerURLError(f"{what}: no server was given")
    try:
        return [url if isinstance(url, Server) else parse_server(url) for url in given]
    except InvalidServerURLError as error:
        raise InvalidServerURLError(f"{what}: {error}") from None


def _safe(url: str) -> str:
    """Return a URL without what stands before the @: a message never shows a password."""
    scheme, mark, rest = url.partition("://")
    host = (rest if mark else url).rpartition("@")[2]
    return repr(f"{scheme.rpartition('@')[2]}://{host}" if mark else host)


class ServerPool:
    """The known servers: which of them is tried next, and after what pause.

    Not thread-safe: the thread that connects owns it.

    Attributes:
        secured: whether one of them was connected to by TLS.
    """

    def __init__(self, servers: Sequence[Server]) -> None:
        self._given = list(dict.fromkeys(servers))
        self._discovered: list[Server] = []
        self.secured = False
        self._current: Server | None = None
        self._pause = FIRST_PAUSE

    @property
    def servers(self) -> list[Server]:
        """Servers that are known: first those given, in their order."""
        return self._given + self._discovered

    def discover(self, addresses: Iterable[str]) -> None:
        """Replace the discovered servers by the ``connect_urls`` of an INFO.

        They are addresses without a name for the certificate, and without a user: both are
        taken from the first server given.
        """
        first = self._given[0]
        # Servers that were given are not replaced: their names are what certificates are for.
        known = {(server.host, server.port) for server in self._given}
        found = []
        for address in addresses:
            try:
                server = parse_server(address)
            except InvalidServerURLError:
                continue  # a server's odd idea of an address is no reason to lose the connection
            if (server.host, server.port) not in known:
                known.add((server.host, server.port))
                found.append(
                    Server(
                        host=server.host,
                        port=server.port,
                        tls=first.tls,
                        tls_name=first.tls_name,
                        user=first.user,
                        password=first.password,
                        prefix=first.prefix,
                    )
                )
        # In place of all before: who has left the cluster is told of no longer.
        self._discovered = found

    def round(self) -> list[Server]:
        """Return the servers to try now, in order: after a loss the one just lost comes last.

        The others come in a random order, so that the clients of a dead server spread.
        """
        servers = self.servers
        if self._current is None:
            return servers
        others = [server for server in servers if server != self._current]
        random.shuffle(others)
        # A discovered server may have left the cluster meanwhile.
        return [*others, self._current] if self._current in servers else others

    def connected(self, server: Server) -> None:
        """Note that a server took the connection: pauses begin anew."""
        self._current = server
        self._pause = FIRST_PAUSE

    def next_pause(self) -> float:
        """Return the seconds to wait after a round in which no server took the connection."""
        pause = self._pause * random.uniform(0.5, 1.0)  # noqa: S311 - not for secrets
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        return pause
