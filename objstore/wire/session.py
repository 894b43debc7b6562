"""One session with a NATS cluster: the socket, its reader thread, and reconnecting.

The locks, and who may hold them:

- ``_lock`` guards the state, is held for a few instructions, and never during I/O.
- ``_write_lock`` is held by the one thread that sends. The reader thread never waits for it:
  what the reader has to send (PONG) goes into ``_urgent``, and whoever holds the write lock
  sends that before or after its own. A peer that stops reading therefore blocks writers until
  their time-out, and never the reader or :meth:`Session.close`.

Whoever waits for something from the server is registered as :class:`Waiting`; when the
connection ends, each of them is told at once, with the first cause.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence

from objstore.errors import (
    AuthorizationError,
    ConnectionClosedError,
    ConnectionLostError,
    ObjStoreError,
    PermissionDeniedError,
    ProtocolError,
    RequestTimeoutError,
)
from objstore.wire.dial import DialOptions, Link, dial_any, error_of
from objstore.wire.protocol import (
    PING,
    PONG,
    Buffer,
    Err,
    Event,
    Info,
    Message,
    Ping,
    Pong,
    encode_unsubscribe,
)
from objstore.wire.servers import ServerPool
from objstore.wire.subscriptions import (
    Handler,
    Signal,
    Subscription,
    Subscriptions,
    Waiting,
    WaitingRoom,
)

__all__ = ["Session"]

LOG = logging.getLogger("objstore")


class Session:
    """A connection that is kept alive until :meth:`close`.

    Arguments:
        pool: the servers.
        options: how to greet them.
        reconnect_timeout: how long an operation waits for a lost connection, in seconds.
        ping_interval: after how much silence the server is asked for a sign of life, in
            seconds; after twice that without one it counts as lost.
    """

    def __init__(
        self,
        pool: ServerPool,
        options: DialOptions,
        *,
        reconnect_timeout: float,
        ping_interval: float,
    ) -> None:
        self._pool = pool
        self._options = options
        self._reconnect_timeout = reconnect_timeout
        self._ping_interval = ping_interval
        #: What the current or last server said about itself.
        self.info: dict[str, object] = {}
        #: How many connections there have been, this one included.
        self.connects = 0
        #: Called after a fork in the child, to forget what belongs to the parent.
        self.on_fork: list[Callable[[], None]] = []
        self._prepare()
        _sessions.add(self)

    def _prepare(self) -> None:
        """The state of a session that has not connected; in a forked child, again."""
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)  # _link or _ended changed
        self._write_lock = threading.Lock()
        self._start_lock = threading.Lock()  # held while the first connection is made
        self._link: Link | None = None  # None: there is no connection at the moment
        self._ended: ObjStoreError | None = None  # why there will never be one again
        self._cause: ObjStoreError | None = None  # why there is none
        self._complaint: ObjStoreError | None = None  # the last -ERR, which explains a close
        self._thread: threading.Thread | None = None
        self._subscriptions = Subscriptions()
        self._waiting = WaitingRoom()
        self._urgent: deque[bytes] = deque()  # short commands for whoever sends next
        self._pongs: deque[Signal | None] = deque()  # who waits for the PONGs to come
        self._lame = False  # the server is about to leave
        self._pid = os.getpid()

    # --- the life of a session

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection at this moment."""
        return self._link is not None

    @property
    def is_closed(self) -> bool:
        """Whether it was closed for good."""
        return self._ended is not None

    @property
    def server_url(self) -> str | None:
        """The address of the server connected to, or None."""
        link = self._link
        return None if link is None else link.server.url

    def start(self) -> None:
        """Make the first connection, and start the reader thread. Nothing, if that was done.

        Raises:
            ConnectionLostError: no server can be reached.
            TLSError, AuthorizationError: see :func:`~objstore.wire.dial.dial`.
            ConnectionClosedError: the session was closed.
        """
        with self._start_lock:
            if self._ended is not None:
                raise self._closed_error()
            if self._thread is not None:
                return
            link = dial_any(self._pool, self._options)
            self._install(link)
            thread = threading.Thread(
                target=self._run, args=(link,), name="objstore-reader", daemon=True
            )
            self._thread = thread
            thread.start()

    def close(self) -> None:
        """End the session: everybody who waits is woken. Never waits for a blocked writer."""
        with self._changed:
            if self._ended is not None:
                return
            self._ended = ConnectionClosedError("the connection was closed")
            link, self._link = self._link, None
            thread = self._thread
            waiting = self._take_waiting()
            self._changed.notify_all()
        if link is not None:
            link.transport.abort()  # wakes the reader, which closes the socket
        for each in waiting:
            each.fail(self._closed_error())
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=2.0)

    def drop(self) -> None:
        """Break the present connection, as if the network had; the session reconnects."""
        link = self._link
        if link is not None:
            self._lose(link, ConnectionLostError("the connection was reset by this process"))

    # --- sending

    def transmit(self, parts: Sequence[Buffer], waiting: Waiting | None = None) -> None:
        """Send one or more whole commands.

        Where the connection is lost, this waits for the next one. What could not be handed
        over completely is sent again there, which is safe: a server ignores half a command.

        Arguments:
            parts: the bytes, in order.
            waiting: who waits for what the server says to this; registered with the
                connection that carried it, to be told of its end. Call :meth:`forget` after.

        Raises:
            ConnectionLostError: there is no connection, for ``reconnect_timeout`` seconds.
            ConnectionClosedError: the session is closed.
        """
        while not self._write(self._link or self._await_link(), parts, waiting):
            pass

    def forget(self, waiting: Waiting) -> None:
        """Whoever waited does so no longer."""
        self._waiting.leave(waiting)

    def subscribe(
        self, subject: str, handler: Handler, *, queue: str = "", max_messages: int | None = None
    ) -> Subscription:
        """Subscribe; the subscription is restored at every reconnect.

        Raises:
            InvalidNameError: the subject or queue group is not one.
            ConnectionLostError, ConnectionClosedError: as for :meth:`transmit`.
        """
        subscription = self._subscriptions.new(subject, handler, queue, max_messages)
        commands = subscription.commands()
        link = self._link or self._await_link()
        while not self._write(link, [commands], None, subscription):
            link = self._link or self._await_link()
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription. Never blocks and never fails: without a connection it is over."""
        if self._subscriptions.remove(subscription):
            self.send_soon(encode_unsubscribe(subscription.sid))

    def limit(self, subscription: Subscription, max_messages: int) -> None:
        """Let a subscription end after some more messages."""
        subscription.remaining = max_messages
        self.send_soon(encode_unsubscribe(subscription.sid, max_messages))

    def ping(self, timeout: float) -> None:
        """Send a PING and wait for its PONG: all that was sent before has been received.

        Raises:
            RequestTimeoutError: no PONG came within ``timeout`` seconds.
            ConnectionLostError: the connection broke in between.
        """
        signal = Signal()
        try:
            self.transmit([PING], signal)
            if not signal.wait(timeout):
                raise RequestTimeoutError(
                    f"the server did not answer a PING in {timeout:g} s", timeout=timeout
                )
        finally:
            self.forget(signal)
        if signal.error is not None:
            raise signal.error

    def send_soon(self, command: bytes) -> None:
        """Send a short command without ever blocking: at once, or with whatever is sent next."""
        self._urgent.append(command)
        self._send_urgent()

    def _write(
        self,
        link: Link,
        parts: Sequence[Buffer],
        waiting: Waiting | None,
        subscription: Subscription | None = None,
    ) -> bool:
        """Send over one link; False: it was no longer there, or broke."""
        failure: OSError | None = None
        with self._write_lock:
            if self._link is not link:
                return False
            if waiting is not None:
                self._waiting.enter(waiting)
                if isinstance(waiting, Signal):
                    self._pongs.append(waiting)
            if subscription is not None:
                self._subscriptions.add(subscription)
            try:
                link.transport.send(parts)
            except OSError as error:
                failure = error
            except BaseException:
                # Interrupted (Ctrl-C): half a command may have gone. The stream is spoilt.
                link.transport.abort()
                raise
        if failure is not None:
            if waiting is not None:
                self.forget(waiting)
            self._lose(link, _broken(link, failure))
            return False
        if self._urgent:
            self._send_urgent()
        return True

    def _send_urgent(self) -> None:
        """Send the short commands, if that blocks neither on the lock nor on the socket.

        Who finds the lock taken may leave: its holder looks into the queue after releasing it.
        """
        while self._urgent and self._write_lock.acquire(blocking=False):
            try:
                link = self._link
                if link is None:
                    self._urgent.clear()  # a new connection begins without these
                    return
                command = self._urgent[0]
                if not link.transport.send_if_writable(command):
                    return  # the socket is full: they go with the next send
                self._urgent.popleft()
                if command is PING:
                    self._pongs.append(None)
            except OSError:
                return  # the reader sees the same and reconnects
            finally:
                self._write_lock.release()

    # --- losing the connection and getting the next

    def _await_link(self) -> Link:
        """The connection, as soon as there is one."""
        if self._thread is None:
            self.start()
        with self._changed:
            self._changed.wait_for(
                lambda: self._link is not None or self._ended is not None,
                timeout=self._reconnect_timeout,
            )
            if self._ended is not None:
                raise self._closed_error()
            if self._link is not None:
                return self._link
            cause = self._cause
        if isinstance(cause, AuthorizationError):
            raise cause.with_traceback(None)
        raise ConnectionLostError(
            f"no connection for {self._reconnect_timeout:g} s: {cause}"
        ) from cause

    def _closed_error(self) -> ConnectionClosedError:
        return ConnectionClosedError("the connection was closed")

    def _lose(self, link: Link, cause: ObjStoreError) -> None:
        """Note the end of a connection, once; wake who waits. The reader closes the socket."""
        with self._changed:
            if self._link is not link:
                return
            self._link = None
            self._cause = self._complaint or cause
            cause = self._cause
            waiting = self._take_waiting()
            self._changed.notify_all()
        link.transport.abort()
        for each in waiting:
            if isinstance(cause, AuthorizationError):
                each.fail(cause)
                continue
            error = ConnectionLostError(f"the connection to {link.server.url} was lost: {cause}")
            error.__cause__ = cause
            each.fail(error)

    def _take_waiting(self) -> list[Waiting]:
        self._pongs.clear()
        return self._waiting.empty()

    def _install(self, link: Link) -> None:
        """Make a connection the current one, with all subscriptions restored."""
        with self._write_lock:
            self._urgent.clear()
            self._lame = False
            self._complaint = None
            commands = self._subscriptions.commands()
            if commands:
                link.transport.send([commands])
            with self._changed:
                if self._ended is None:
                    self._link = link
                    self.connects += 1
                    self._take_info(link.info)
                self._changed.notify_all()

    def _reconnect(self) -> Link | None:
        """Try until a server answers or the session is closed (None)."""
        while self._ended is None:
            try:
                link = dial_any(self._pool, self._options)
                try:
                    self._install(link)
                except OSError as error:
                    link.transport.close()
                    self._cause = _broken(link, error)
                else:
                    if self._link is link:
                        LOG.info("reconnected to %s", link.server.url)
                        return link
                    link.transport.close()  # closed while the server was being greeted
            except ObjStoreError as error:
                self._cause = error
                LOG.debug("reconnecting: %s", error)
            with self._changed:
                self._changed.wait_for(
                    lambda: self._ended is not None, timeout=self._pool.next_pause()
                )
        return None

    # --- the reader thread

    def _run(self, link: Link | None) -> None:
        """Read until the session is closed, over one connection after the other."""
        while link is not None:
            try:
                cause = self._read(link)
            except Exception as error:
                LOG.exception("objstore's reader failed")
                cause = ProtocolError(f"internal error of the reader: {error!r}")
            self._lose(link, cause)
            link.transport.abort()
            with self._write_lock:  # nobody sends any more: the descriptor can be given back
                link.transport.close()
            if self._ended is None:
                LOG.info("lost the connection to %s: %s", link.server.url, cause)
            link = self._reconnect()

    def _read(self, link: Link) -> ObjStoreError:
        """Receive and hand on; returns why that ended."""
        transport, parser = link.transport, link.parser
        transport.set_receive_timeout(self._ping_interval)
        self._handle(link.early)
        silences = 0
        while not self._lame:
            try:
                count = transport.receive_into(parser.get_buffer())
                if not count:
                    return ConnectionLostError("the server closed the connection")
                events = parser.received(count)
            except TimeoutError:
                silences += 1
                if silences > 2:
                    return ConnectionLostError("the server no longer answers")
                self.send_soon(PING)
                continue
            except ProtocolError as error:
                return error
            except OSError as error:
                return _broken(link, error)
            silences = 0
            self._handle(events)
        return ConnectionLostError("the server is shutting down (lame duck)")

    def _handle(self, events: Sequence[Event]) -> None:
        for event in events:
            if type(event) is Message:
                self._subscriptions.deliver(event)
            else:
                self._control(event)

    def _control(self, event: Event) -> None:
        if isinstance(event, Ping):
            self.send_soon(PONG)
        elif isinstance(event, Pong):
            signal = self._pongs.popleft() if self._pongs else None
            if signal is not None:
                signal.set()
        elif isinstance(event, Info):
            self._take_info(event.fields)
        elif isinstance(event, Err):
            self._take_complaint(event.text)

    def _take_info(self, fields: dict[str, object]) -> None:
        self.info = {**self.info, **fields} if self._link is not None else fields
        urls = fields.get("connect_urls")
        if isinstance(urls, list):
            self._pool.discover(url for url in urls if isinstance(url, str))
        if fields.get("ldm") and len(self._pool.servers) > 1:
            self._lame = True

    def _take_complaint(self, text: str) -> None:
        """An -ERR: of one operation (a permission), or of the connection, which ends next."""
        error = error_of(text)
        if not isinstance(error, PermissionDeniedError):
            LOG.warning("the server says: %s", text)
            self._complaint = error
            return
        # Where an inbox may not be subscribed to, no reply will ever come.
        everybody = self._subscriptions.any_to(error.subject)
        concerned = self._waiting.empty() if everybody else self._waiting.concerned(error.subject)
        if not concerned:
            LOG.warning("%s", error)
        for each in concerned:
            each.fail(error)

    # --- fork

    def after_fork(self) -> None:
        """In a child: leave the parent's connection alone; the next operation makes another."""
        link, ended = self._link, self._ended
        self._prepare()
        self._ended = ended
        if link is not None:
            with contextlib.suppress(OSError):
                link.transport.close()
        for forget in self.on_fork:
            forget()


def _broken(link: Link, error: OSError) -> ConnectionLostError:
    if isinstance(error, TimeoutError):
        text = f"{link.server.url} stopped reading"
    else:
        text = error.strerror or str(error) or type(error).__name__
    broken = ConnectionLostError(text)
    broken.__cause__ = error
    return broken


_sessions: weakref.WeakSet[Session] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for session in list(_sessions):
        session.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
