"""One session with a NATS cluster: the socket, its reader thread, and reconnecting.

The locks, and who may hold them:

- ``_lock`` guards the state, is held for a few instructions, and never during I/O. It is
  reentrant, for the garbage collector: that may close a forgotten connection in any thread.
- ``out.lock`` is held by the one thread that sends; see :mod:`objstore.wire.connection.outbox`.

Whoever waits for something from the server is registered as :class:`Waiter`; when the
connection ends, each of them is told at once, with the first cause.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Sequence

from objstore.errors import (
    ConnectionLostError,
    ObjStoreError,
    PermissionDeniedError,
    ProtocolError,
    RequestTimeoutError,
)
from objstore.wire.codec.commands import PING, PONG
from objstore.wire.codec.protocol import (
    Buffer,
    Err,
    Event,
    Info,
    Message,
    Ping,
    Pong,
    Run,
)
from objstore.wire.connection import forks
from objstore.wire.connection.dial import (
    DialOptions,
    Link,
    broken,
    closed_error,
    dial_any,
    error_of,
    no_connection,
)
from objstore.wire.connection.outages import HASTY, Listener, Outages
from objstore.wire.connection.outbox import Outbox
from objstore.wire.connection.servers import ServerPool
from objstore.wire.connection.subscribing import Subscribing
from objstore.wire.connection.subscriptions import (
    Latch,
    Signal,
    Subscriptions,
    Waiter,
    Waiters,
    fail_all,
)

__all__ = ["Session"]

LOG = logging.getLogger("objstore")

#: How many PINGs may go unanswered; with one more the server counts as lost.
SILENCES = 2


class Session(Subscribing):
    """A connection that is kept alive, over one socket after the other, until :meth:`close`.

    Arguments:
        pool: the servers.
        options: how to greet them.
        reconnect_timeout: how long an operation waits for a lost connection, in seconds.
        ping_interval: after how much silence the server is asked for a sign of life, in
            seconds; after twice that without one it counts as lost.
        listener: is called when the connection is lost and when it is back; None: there is none.
    """

    def __init__(
        self,
        pool: ServerPool,
        options: DialOptions,
        *,
        reconnect_timeout: float,
        ping_interval: float,
        listener: Listener | None = None,
    ) -> None:
        self._pool = pool
        self._outages = Outages(listener, reconnect_timeout)
        self._options = options
        self._reconnect_timeout = reconnect_timeout
        self._ping_interval = ping_interval
        #: What the current or last server said about itself.
        self.info: dict[str, object] = {}
        #: The largest message that it takes, in bytes.
        self.max_payload = sys.maxsize
        #: Whether it is one of several.
        self.is_clustered = False
        #: How many connections there have been, this one included.
        self.connects = 0
        self._prepare()
        forks.register(self)

    def _prepare(self) -> None:
        """Set the state of a session that has not connected; in a forked child, once more."""
        self._lock = threading.RLock()
        self._start_lock = threading.RLock()  # held while the first connection is made
        self._ended: ObjStoreError | None = None  # why there will never be one again
        self._over = Latch()  # opened at that moment
        self._wanted_by: set[Signal] = set()  # who waits for a connection
        self._cause: ObjStoreError | None = None  # why there is none
        self._lost: ObjStoreError | None = None  # why the last one ended: what came first
        self._complaint: ObjStoreError | None = None  # an -ERR just now, which explains a close
        self._thread: threading.Thread | None = None
        self._subscriptions = Subscriptions()
        #: Whoever waits for an answer, see :class:`Waiters`.
        self.waiting = Waiters()
        #: What sends; it has the link, if there is one.
        self.out = Outbox(self._subscriptions, self.waiting, self._broke)
        #: See :meth:`Outbox.piggyback`, :meth:`Outbox.flush_piggybacked`.
        self.piggyback, self.flush_piggybacked = self.out.piggyback, self.out.flush_piggybacked
        self._lame = False  # the server is about to leave

    @property
    def _link(self) -> Link | None:
        return self.out.link

    # --- the life of a session

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection at this moment."""
        return self._link is not None

    @property
    def is_closed(self) -> bool:
        """Whether the session was closed for good."""
        return self._ended is not None

    @property
    def server_url(self) -> str | None:
        """Address of the server connected to, or None."""
        link = self._link
        return None if link is None else link.server.url

    def start(self) -> None:
        """Make the first connection, and start the reader thread, unless that was done.

        Raises:
            ConnectionLostError: no server can be reached.
            TLSError, AuthorizationError: see :func:`~objstore.wire.connection.dial.dial`.
            ConnectionClosedError: the session was closed.
            ReentrantCallError: this interrupts the same, in the same thread.
        """
        if type(self._start_lock) is not type(threading.RLock()):  # gevent came after a fork
            self._start_lock, self.out.lock = threading.RLock(), threading.RLock()
        self._check_not_reentrant()
        with self._start_lock:
            if self._ended is not None:
                raise closed_error()
            if self._thread is not None:
                return
            link = dial_any(self._pool, self._options)
            try:
                self._install(link)
                # A daemon: a program that ends without close() is not kept alive by it.
                self._thread = threading.Thread(
                    target=self._run, args=(link,), name="objstore-reader", daemon=True
                )
                self._thread.start()
            except BaseException:  # no more threads, or Ctrl-C
                # One that runs has the link by now, and goes on as if nothing had happened.
                if self._thread is None or not self._thread.is_alive():
                    self._thread = self.out.link = None
                    link.transport.close()
                raise

    def close(self, timeout: float = 2.0) -> None:
        """End the session, wake all that wait, and wait up to ``timeout`` s for the reader."""
        with self._lock:
            if self._ended is not None:
                return
            self._ended = closed_error()
            link, thread, self.out.link = self.out.link, self._thread, None
            waiting: list[Waiter] = [*self.waiting.empty(), *self._wanted_by]
        if link is not None:
            link.transport.abort()  # wakes the reader, which closes the socket
        self._over.open()  # wakes the reader from its pause between two attempts
        fail_all(waiting, closed_error())
        if timeout and thread and not self.is_reentrant and thread.is_alive():
            thread.join(timeout)

    def drop(self) -> None:
        """Break the present connection, as if the network had; the session reconnects."""
        if link := self._link:
            link.ended_here = True
            self._lose(link, ConnectionLostError("the connection was reset by this process"))

    # --- interrupted by ourselves

    @property
    def is_reentrant(self) -> bool:
        """Whether this thread must not wait for the server.

        A signal handler or a finalizer has interrupted a step of it that the reader thread, or
        another caller, waits for; or it is the reader thread, in a finalizer.
        """
        mine = (self._lock, self._start_lock)
        return self.out.is_reentrant() or any(each._is_owned() for each in mine)  # type: ignore[attr-defined]

    def _check_not_reentrant(self) -> None:
        if self.is_reentrant:
            raise self.out.reentrant()

    # --- sending

    def transmit(self, parts: Sequence[Buffer], waiting: Waiter | None = None) -> None:
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
            ReentrantCallError: this is a signal handler or a finalizer that interrupts the same
                session, and ``waiting`` would wait for what it interrupts.
        """
        left = self._reconnect_timeout
        if self.out.write(self.out.link or self.wait_connected(left), parts, waiting):
            return
        # A server that accepts connections and takes nothing must not hold us for ever.
        deadline = time.monotonic() + left
        while not self.out.write(self.wait_connected(left), parts, waiting):
            if (left := deadline - time.monotonic()) <= 0:
                raise no_connection(self._cause, self._lost, self._reconnect_timeout)

    def enqueue_control(self, command: bytes, waiting: Waiter | None = None) -> bool:
        """Send a short command without ever blocking; return False without a connection."""
        if waiting is not None:
            self.waiting.enter(waiting)  # first in, then look: who takes the link away tells it
        self.out.enqueue_control(command)
        return self._link is not None

    def forget(self, waiting: Waiter) -> None:
        """Take somebody off the list of those who wait; they are told nothing any more."""
        self.waiting.leave(waiting)

    def ping(self, timeout: float) -> None:
        """Send a PING and wait for its PONG: the server has received all that was sent before.

        Raises:
            RequestTimeoutError: no PONG came in time.
            ConnectionLostError, ReentrantCallError: as :meth:`transmit`.
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

    def flush(self, timeout: float) -> None:
        """Give the server time to receive what was sent, if that can be. Never fails."""
        signal = Signal()
        self.waiting.enter(signal)
        if self._link is not None and not self.is_reentrant:
            self.out.enqueue_control(signal)
            signal.wait(timeout)
        self.forget(signal)

    # --- losing the connection and getting the next

    def wait_connected(self, timeout: float) -> Link:
        """Wait for a connection, and return it.

        Raises:
            ConnectionLostError, AuthorizationError: there is none within ``timeout`` seconds.
            ConnectionClosedError: the session is closed.
            ReentrantCallError: as :meth:`transmit`.
        """
        self._check_not_reentrant()
        if self._thread is None:
            self.start()
        deadline = time.monotonic() + timeout
        while True:
            signal = Signal()
            try:
                self._wanted_by.add(signal)  # first in, then look: who connects tells it
                left = max(deadline - time.monotonic(), 0.0)
                if self._link is None and self._ended is None and not signal.wait(left):
                    # transmit() hands in what is left of it; the message tells all.
                    timeout = max(timeout, self._reconnect_timeout)
                    raise no_connection(self._cause, self._lost, timeout)
            finally:
                self._wanted_by.discard(signal)
            link = self._link
            if link is not None:
                return link
            if self._ended is not None:
                raise closed_error()

    def _broke(self, link: Link, error: OSError) -> None:
        """Note that a connection broke under a send."""
        self._lose(link, broken(link, error))

    def _lose(self, link: Link, cause: ObjStoreError) -> None:
        """Note the end of a connection, once; wake who waits. The reader closes the socket."""
        with self._lock:
            if self._link is not link:
                return
            link.transport.abort()  # here, for a signal handler may strike after: never blocks
            self.out.link = None
            # An -ERR just before the end explains it; that the server hung up does not.
            self._cause = self._lost = cause = self._complaint or cause
            waiting = self.waiting.empty()
        error = ConnectionLostError(f"the connection to {link.server.url} was lost: {cause}")
        error.__cause__ = cause
        fail_all(waiting, error)

    def _install(self, link: Link) -> None:
        """Make a connection the current one, with all subscriptions restored.

        Raises: ConnectionLostError; it is closed then.
        """
        try:
            with self.out.lock:
                self._complaint = None
                # Before the link is anybody's: should it break here, nobody waits on it yet.
                self.out.begin(link)
                with self._lock:
                    self._take_info(link, link.info)
                    self._lame = False  # whatever its INFO says: it has taken us just now
                    self.connects += 1
                    # Last, with nothing made between the two: a finalizer may strike in here, and
                    # close the session in this thread, whose lock this is.
                    if self._ended is not None:
                        raise closed_error()
                    self.out.link = link
                # Only now: who comes from here on sees the link.
                wanted_by = list(self._wanted_by)
        except BaseException as error:
            link.transport.close()
            if isinstance(error, OSError) and not isinstance(error, ObjStoreError):
                raise broken(link, error) from error
            raise
        for each in wanted_by:
            each.set()
        self.out.send_control()  # what came while the lock was held

    def _reconnect(self) -> Link | None:
        """Try until a server answers; None: closed, or gevent's thread has outlived a fork."""
        while self._ended is None and threading.current_thread() is self._thread:
            try:
                link = dial_any(self._pool, self._options, lambda: self._ended is None)
                self._install(link)
            except ObjStoreError as error:
                self._cause = error
                self._outages.go_on(error)
            except Exception as error:  # a defect must not end the reader: all would wait for it
                LOG.exception("objstore's reader failed to reconnect")
                self._cause = ProtocolError(f"internal error while reconnecting: {error!r}")
            else:
                self._outages.end(link.server.url)
                return link
            self._over.wait(self._pool.next_pause())
        return None

    # --- the reader thread

    def _run(self, link: Link | None) -> None:
        """Read until the session is closed, over one connection after the other."""
        if threading.current_thread() is not self._thread:
            return  # Ctrl-C made start() give up in the last moment
        self.out.reader = threading.get_ident()
        hasty = 0  # connections in a row that were lost at once
        while link is not None:
            began = time.monotonic()
            try:
                cause = self._read(link)
            except Exception as error:
                LOG.exception("objstore's reader failed")
                cause = ProtocolError(f"internal error of the reader: {error!r}")
            self._lose(link, cause)
            link.transport.abort()
            with self.out.lock:  # nobody sends any more: the descriptor can be given back
                link.transport.close()
            # In a forked child gevent's thread goes on, of a connection that is the parent's.
            if self._ended is None and threading.current_thread() is self._thread:
                self._outages.begin(link, self._cause)
            hasty = min(hasty + 1, 5) if time.monotonic() - began < HASTY else 0
            if hasty > 1:  # a server that accepts us only to close is not to be stormed
                self._over.wait(0.01 * 2**hasty)
            link = self._reconnect()

    def _read(self, link: Link) -> ObjStoreError:
        """Receive and hand on until the connection ends; return why it did."""
        transport, parser, silences = link.transport, link.parser, 0
        transport.set_receive_timeout(self._ping_interval)
        parser.place = self._subscriptions.place
        self._handle(link, link.early)
        while not self._lame:
            try:
                count = transport.receive_into(parser.get_buffer())
                if not count:
                    return ConnectionLostError("the server closed the connection")
                events = parser.received(count)
            except TimeoutError:
                silences += 1
                if silences > SILENCES:
                    return ConnectionLostError("the server no longer answers")
                self.out.enqueue_control(Signal())
                continue
            except ProtocolError as error:
                return error
            except OSError as error:
                return broken(link, error)
            silences = 0
            self._handle(link, events)
            del events  # and the messages' memory, which others may be about to use
        return ConnectionLostError("the server is shutting down (lame duck)")

    def _handle(self, link: Link, events: Sequence[Event]) -> None:
        if events and self._complaint is not None:  # the server went on after it
            LOG.warning("the server complains, and goes on: %s", self._complaint.description)
            self._complaint = None
        for event in events:
            if type(event) is Message:
                self._subscriptions.deliver(event)
            elif type(event) is Run:
                self._subscriptions.deliver_run(event.messages)
            else:
                self._control(link, event)

    def _control(self, link: Link, event: Event) -> None:
        if isinstance(event, Ping):
            self.out.enqueue_control(PONG)
        elif isinstance(event, Pong):
            if self.out.pongs:
                signal = self.out.pongs.popleft()
                self.waiting.leave(signal)
                signal.set()
        elif isinstance(event, Info):
            self._take_info(link, event.fields)
        elif isinstance(event, Err):
            self._take_complaint(event.text)

    def _take_info(self, link: Link, fields: dict[str, object]) -> None:
        # On top of this link's first INFO: nothing that another server said may stay.
        self.info = {**link.info, **fields}
        limit = self.info.get("max_payload")
        self.max_payload = limit if isinstance(limit, int) else sys.maxsize
        self.is_clustered = bool(self.info.get("cluster"))
        if isinstance(urls := fields.get("connect_urls"), list):
            self._pool.discover(url for url in urls if isinstance(url, str))
        # Where there is no other to go to, it is used to its end.
        if fields.get("ldm") and len(self._pool.servers) > 1:
            self._lame = True

    def _take_complaint(self, text: str) -> None:
        """Deal with an -ERR: of one operation (a permission), or of the connection, which ends."""
        error = error_of(text)
        if not isinstance(error, PermissionDeniedError):
            self._complaint = error  # the end of the connection, which mostly follows, says it
            return
        if "subscription" not in text.lower():
            concerned = self.waiting.concerned(error.subject)
        elif no_replies := self._subscriptions.deny(error):
            error, concerned = no_replies, self.waiting.awaiting_replies()
        else:
            concerned = []
        if not concerned:
            LOG.warning("the server refuses what nobody waits for: %s", error)
        fail_all(concerned, error)

    def after_fork(self) -> None:
        """Leave the parent's connection alone, in a child: the next operation makes another."""
        link, ended, inherited = self._link, self._ended, self.waiting
        self._prepare()
        self._ended = ended
        # Else the rest of a listing waited, in the child, for what only the parent hears.
        lost = ConnectionLostError("the connection is that of the process that forked this one")
        fail_all(inherited.empty(), lost)
        if link is not None:
            # This process's copy of the descriptor alone; the parent's connection goes on.
            link.transport.close()
