"""A connected byte stream: a TCP socket, in the clear or under TLS.

One thread receives while others send, one of them at a time (the session's write lock sees to
that). The time-outs of receiving and sending are the kernel's (``SO_RCVTIMEO``, ``SO_SNDTIMEO``).
Rejected: Python's own, ``settimeout``. It asks ``poll`` before each call, which is half of all
system calls of a put and a third of a get's, and knows one time-out for both directions.

TLS runs through memory buffers (``ssl.MemoryBIO``) and not through ``ssl.SSLSocket``: OpenSSL
must not be read and written by two threads at once, and an ``SSLSocket`` that guards itself
against that lets a blocked reader block the writer.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

from objstore.wire.codec.protocol import Buffer

__all__ = ["TLSTransport", "Transport"]

#: How much of a TLS connection is received at once, in bytes. 64 MiB took the thread 59 ms of
#: processor time; in steps of 192 KiB the same, of 128 KiB 65, of 64 KiB 69. By a non-blocking
#: ``SSLSocket`` and ``poll``, without a copy through memory, it took 60.
_RECEIVED_SIZE = 256 << 10


class Transport:
    """A connected TCP socket.

    Arguments:
        sock: connected.
        send_timeout: how long a send waits without any progress, in seconds.
    """

    def __init__(self, sock: socket.socket, send_timeout: float) -> None:
        sock.settimeout(None)
        self._socket = sock if _is_blocking(sock) else cast("socket.socket", _Cooperative(sock))
        _set_timeout(self._socket, socket.SO_SNDTIMEO, send_timeout)
        self._pid = os.getpid()

    @classmethod
    def connect(cls, host: str, port: int, timeout: float, *, keepalive: bool = False) -> Transport:
        """Connect over IPv6 or IPv4, whichever the name leads to.

        A name with several addresses: each gets its share of the time.

        Raises:
            OSError: nobody answers there.
        """
        deadline = time.monotonic() + timeout
        try:
            # As bytes: the codec for names beyond ASCII takes 2 ms to import.
            name = host.encode("ascii") if host.isascii() else host
            found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
        except UnicodeError as error:
            raise OSError(f"{host!r} cannot be a host's name ({error})") from error
        failure: OSError | None = None
        for index, (family, kind, proto, _, address) in enumerate(found):
            # An equal share of the time that is left: a dead address must not use it all up.
            share = max(deadline - time.monotonic(), 0.001) / (len(found) - index)
            sock = socket.socket(family, kind, proto)
            try:
                sock.settimeout(share)
                sock.connect(address)
                # Nagle's algorithm would hold a small command until the last is acknowledged.
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if keepalive:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                return cls(sock, timeout)
            except OSError as error:
                sock.close()
                # The first failure is of the address that the system prefers.
                failure = failure or error
            except BaseException:
                sock.close()
                raise
        raise failure or OSError(f"{host} has no address")

    def set_receive_timeout(self, seconds: float) -> None:
        """Set how long :meth:`receive_into` waits, in seconds, before ``TimeoutError``."""
        _set_timeout(self._socket, socket.SO_RCVTIMEO, seconds)

    def receive_into(self, buffer: memoryview) -> int:
        """Receive what is there, and return how many bytes; 0: the other side closed.

        Raises:
            OSError: the connection broke, or nothing came in time (``TimeoutError``).
        """
        try:
            return self._socket.recv_into(buffer)
        except BlockingIOError:
            raise TimeoutError("nothing came in time") from None

    def send(self, parts: Sequence[Buffer]) -> None:
        """Send all parts, one after the other, in as few system calls as it takes.

        Raises:
            OSError: the connection broke, or the other side stopped reading
                (``TimeoutError``); a part of the bytes may have gone.
        """
        try:
            # Nearly always all of it goes; the rest is sent part by part, without a copy.
            sent = self._socket.sendmsg(parts)
            for part in parts:
                size = len(part)
                if sent < size:
                    self._send_rest(memoryview(part)[sent:])
                sent = max(sent - size, 0)
        except BlockingIOError:
            raise TimeoutError("the other side takes nothing") from None

    def _send_rest(self, data: memoryview) -> None:
        """Send what is left; each send has a time-out of its own: a slow line is not a dead one."""
        while data:
            data = data[self._socket.send(data) :]

    def is_writable(self) -> bool:
        """Tell whether a few bytes can be sent without blocking."""
        return _is_writable(self._socket)

    def finish(self) -> None:
        """End sending. What the other side still sends arrives, until it closes too."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        """Break the connection, waking whoever receives or sends. Never blocks.

        In a forked child the parent's connection stays as it is.
        """
        if os.getpid() == self._pid:
            with contextlib.suppress(OSError):
                # Not close(): a thread that receives would go on with a descriptor whose
                # number another file may have by then.
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the socket back, as :meth:`abort`."""
        self.abort()
        self._socket.close()


class TLSTransport(Transport):
    """TLS over the socket of a :class:`Transport`, which it takes over.

    Arguments:
        plain: the connection so far; nothing may be left unread in it.
        context: decides about certificates.
        hostname: the name that the certificate must be for.
        timeout: how long the handshake may take, in seconds.

    Raises:
        ssl.SSLError: the handshake failed; for a certificate that is not accepted
            ``ssl.SSLCertVerificationError``.
        OSError: the connection broke, or the handshake took too long (``TimeoutError``).
    """

    def __init__(
        self, plain: Transport, context: ssl.SSLContext, hostname: str, timeout: float
    ) -> None:
        self._socket, self._pid = plain._socket, plain._pid
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=hostname)
        # One thread in OpenSSL at a time; no I/O under it. Reentrant, for a finalizer that strikes
        # the reader thread, and sends that something has ended.
        self._tls_lock = threading.RLock()
        self._received = memoryview(bytearray(_RECEIVED_SIZE))
        self._ended = False
        self._handshake(time.monotonic() + timeout)

    def _handshake(self, deadline: float) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError("the TLS handshake took too long") from None
                self.set_receive_timeout(left)
                self._feed()
            except ssl.SSLError:
                with contextlib.suppress(OSError):  # the alert that says why, if it can go
                    self._flush()
                raise
            else:
                self._flush()
                return

    def _flush(self) -> None:
        data = self._outgoing.read()
        if data:
            super().send([data])

    def _feed(self) -> None:
        try:
            count = self._socket.recv_into(self._received)
        except BlockingIOError:
            raise TimeoutError("nothing came in time") from None
        with self._tls_lock:
            if count:
                self._incoming.write(self._received[:count])
            else:
                self._incoming.write_eof()

    def receive_into(self, buffer: memoryview) -> int:
        """Receive as in the clear; a close without TLS's own goodbye counts as a close."""
        while True:
            count = self._read_records(buffer)
            if count or self._ended:
                return count
            self._feed()

    def _read_records(self, buffer: memoryview) -> int:
        """Take what was received out of its records, as far as there is room for it.

        Several at once, for a record has at most 16 KiB: one at a time they took eight times as
        many passes through the parser.
        """
        count = 0
        with self._tls_lock, contextlib.suppress(ssl.SSLWantReadError):
            while count < len(buffer) and not self._ended:
                try:
                    read = cast("int", self._tls.read(len(buffer) - count, buffer[count:]))
                except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                    read = 0
                self._ended = not read
                count += read
        return count

    def send(self, parts: Sequence[Buffer]) -> None:
        """Send as in the clear."""
        with self._tls_lock:
            for part in parts:
                if len(part):
                    self._tls.write(part)
            data = self._outgoing.read()
        super().send([data])


class _Cooperative:
    """A socket for which an event loop waits: gevent's, in a process that it has patched.

    Underneath it is non-blocking, so that the kernel's time-outs never strike. Its own time-out
    is one for both directions, and is looked at when the waiting begins: it is set before each
    call, between which and the waiting no other greenlet runs.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._timeouts: dict[int, float] = {}

    @staticmethod
    def poll() -> select.poll:
        """Make Python's own ``poll``: gevent's lets others run, which a finalizer must not."""
        monkey = sys.modules.get("gevent.monkey")
        new: Callable[[], select.poll] = (
            select.poll if monkey is None else monkey.get_original("select", "poll")
        )
        return new()

    def set_timeout(self, option: int, seconds: float) -> None:
        self._timeouts[option] = seconds

    def _within(self, option: int) -> socket.socket:
        self._sock.settimeout(self._timeouts.get(option))
        return self._sock

    def recv_into(self, buffer: memoryview) -> int:
        return self._within(socket.SO_RCVTIMEO).recv_into(buffer)

    def recv(self, size: int) -> bytes:
        return self._within(socket.SO_RCVTIMEO).recv(size)

    def send(self, data: Buffer) -> int:
        return self._within(socket.SO_SNDTIMEO).send(data)

    def sendmsg(self, parts: Sequence[Buffer]) -> int:
        return self._within(socket.SO_SNDTIMEO).sendmsg(parts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def _is_blocking(sock: socket.socket) -> bool:
    """Tell whether the kernel waits, as it does but for those who replace Python's sockets."""
    return sys.platform == "win32" or os.get_blocking(sock.fileno())


def _is_writable(sock: socket.socket) -> bool:
    """Tell whether a few bytes can be sent at once."""
    if not hasattr(select, "poll"):  # pragma: no cover - Windows
        return bool(select.select([], [sock], [], 0)[1])
    # Not select.select: that fails on descriptors above 1,023.
    poll = sock.poll() if isinstance(sock, _Cooperative) else select.poll()
    poll.register(sock, select.POLLOUT)
    return bool(poll.poll(0))


def _set_timeout(sock: socket.socket, option: int, seconds: float) -> None:
    """Set how long the kernel lets a receive or a send wait."""
    seconds = max(seconds, 0.001)  # none at all would mean for ever
    if isinstance(sock, _Cooperative):
        sock.set_timeout(option, seconds)
    elif sys.platform == "win32":  # pragma: no cover
        sock.setsockopt(socket.SOL_SOCKET, option, int(seconds * 1000))
    else:
        whole = int(seconds)
        value = struct.pack("@ll", whole, int((seconds - whole) * 1e6))
        sock.setsockopt(socket.SOL_SOCKET, option, value)
