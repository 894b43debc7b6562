"""Connections to public addresses alone, for URLs that strangers give (SSRF).

A name may lead anywhere, and elsewhere at the next look. So each connection is checked: the
addresses of its name before it is dialled, and the one that it has got before any request is sent.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

import objstore

__all__ = ["PublicOnlyAdapter", "is_public"]

#: Where an IPv4 address is hidden in one of IPv6: NAT64 (RFC 6052, RFC 8215).
_NAT64 = tuple(ipaddress.IPv6Network(net) for net in ("64:ff9b::/96", "64:ff9b:1::/48"))


def is_public(address: str) -> bool:
    """Tell whether an address is one of the public internet, and of a single computer.

    Arguments:
        address: of IPv4 or IPv6, in digits; it may have a zone.
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if any(found in net for net in _NAT64) or found.sixtofour or found.teredo:
            return False  # they lead to any IPv4 address, and nobody needs them for a server
        if found.ipv4_mapped is not None:
            found = found.ipv4_mapped
    return found.is_global and not found.is_multicast and not found.is_reserved


def _check_name(host: str, port: int) -> None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return  # dialling it says what is wrong
    for *_, address in found:
        _check(host, str(address[0]))


def _check(host: str, address: str) -> None:
    if not is_public(address):
        raise objstore.InvalidOptionError(
            f"the URL leads to {host}, which is at the private address {address}; "
            "allow_private=True allows that"
        )


class _Connection(HTTPConnection):
    def connect(self) -> None:
        _check_name(self.host, self.port)
        super().connect()
        _check_peer(self)


class _SecureConnection(HTTPSConnection):
    def connect(self) -> None:
        _check_name(self.host, self.port)
        super().connect()
        _check_peer(self)


def _check_peer(connection: HTTPConnection) -> None:
    """Check where a connection has got to: the name may have led elsewhere a moment before."""
    assert connection.sock is not None  # noqa: S101 - it is connected
    try:
        _check(connection.host, connection.sock.getpeername()[0])
    except BaseException:
        connection.close()
        raise


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class PublicOnlyAdapter(HTTPAdapter):
    """An adapter of requests that connects to public addresses alone, and through no proxy.

    Raises:
        InvalidOptionError: at a request to another one, before any byte of it is sent.
    """

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Make connections of the kind that checks."""
        super().init_poolmanager(*arguments, **options)
        manager: PoolManager = self.poolmanager
        # Of this manager alone: it begins with a dict that all of urllib3 shares.
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def proxy_manager_for(self, proxy: Any, **_options: Any) -> Any:
        """Refuse: behind a proxy nobody sees where a connection leads."""
        raise requests.exceptions.InvalidProxyURL(
            f"allow_private=False goes through no proxy: {proxy}"
        )
