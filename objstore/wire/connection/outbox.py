"""What goes to the server: one sender at a time, and short commands without ever blocking.

The write lock is held by the one thread that sends. The reader thread never waits for it while
a connection lasts: what the reader has to send (PONG) is queued, and whoever holds the lock
sends that before or after its own. A peer that stops reading therefore blocks writers until
their time-out, and never the reader or the session's ``close``.

Requests that come while a thread is sending are sent by that thread, all at once, when it has sent
its own: 64 threads that queue for the lock, each to send a line, got less done than 4.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

from objstore.errors import ReentrantCallError
from objstore.wire.codec.commands import PING, PONG
from objstore.wire.codec.protocol import Buffer
from objstore.wire.connection.dial import Link
from objstore.wire.connection.subscriptions import (
    Signal,
    Subscription,
    Subscriptions,
    Waiter,
    Waiters,
)

__all__ = ["Outbox"]


class Outbox:
    """The sending side of a session.

    Arguments:
        subscriptions: those to announce to a server.
        waiting: where whoever waits for an answer is registered.
        broke: called when a link broke under a send.

    Attributes:
        handed_over: what waits for who sends next: other threads' and interrupted ones' commands,
            each for a link, or (None) for any.
        link: what is sent over; None: nothing, at the moment. The session sets it.
        pongs: who waits for the PONGs to come, in order.
        reader: the reader thread's identity, once there is one.
    """

    def __init__(
        self,
        subscriptions: Subscriptions,
        waiting: Waiters,
        broke: Callable[[Link, OSError], object],
    ) -> None:
        self._broke = broke
        self.link: Link | None = None
        self.pongs: deque[Signal] = deque()
        self.reader = 0
        #: Reentrant not to be entered twice, but since such a lock knows whose it is.
        self.lock = threading.RLock()
        self._subscriptions = subscriptions
        self._waiting = waiting
        #: Short commands that must not wait for a blocked writer.
        self._control: deque[bytes | Subscription | Signal] = deque()
        self._sending = False  # a thread is, and it looks here before it leaves
        self.handed_over: deque[tuple[Link | None, Buffer]] = deque()

    def write(self, link: Link, parts: Sequence[Buffer], waiting: Waiter | None) -> bool:
        """Send whole commands; wait for the lock while another thread sends.

        Arguments:
            link: the link to send over.
            parts: the bytes of the commands.
            waiting: who waits for an answer; registered before the commands are sent, and told
                if the link is lost; None: nobody.

        Returns:
            False when the link broke, or is no longer the one in use: the commands may be sent
            over the next one. Otherwise True; also when ``waiting`` was told of an error, and
            when the commands were queued behind a send that this call interrupts.

        Raises:
            ReentrantCallError: this call interrupts a send, and ``waiting`` would wait for it; or
                it was made by the reader thread.
        """
        if self.lock._is_owned() or threading.get_ident() == self.reader:  # type: ignore[attr-defined]
            return self._queue_behind_send(parts, waiting)
        entering = waiting
        # Not a PING, whose place among the awaited PONGs is taken under the lock; nor what has a
        # large payload, which would be copied to be joined to the others.
        if self._sending and len(parts) == 1 and waiting and not isinstance(waiting, Signal):
            done = self._hand_to_sender(link, parts[0], waiting)
            if done is not None:
                return done
            parts, entering = (), None  # nobody sends any more: it goes with what waits
        try:
            with self.lock:
                try:
                    self._sending = True
                    denied = False  # no answer can come, and ``entering`` was told so
                    if entering is not None:
                        self._waiting.add(entering)  # first in, then look, as enter() does
                        inbox = self._waiting.inbox
                        if inbox is not None and inbox.denied is not None:
                            denied = not self._waiting.enter(entering)
                    lost = not denied and self.link is not link  # while this thread waited
                    if not denied and not lost:
                        if self._control or self.handed_over:
                            parts = [*self._all_waiting(link), *parts]
                        if isinstance(entering, Signal):
                            self.pongs.append(entering)
                        if parts:
                            link.transport.send(parts)
                    # Then look: whoever hands over after the look sees this, and sends itself.
                    self._sending = False
                    if self.handed_over:
                        self._send_handed_over()
                except OSError:
                    raise
                except BaseException:
                    self._spoil(link)
                    raise
                finally:
                    self._sending = False
        except OSError as error:
            may_resend = self._may_resend(waiting)
            self._broke(link, error)
            return not may_resend
        if self._control:
            self.send_control()
        if self.handed_over:  # by a signal handler that struck just before the lock was released
            self.flush_piggybacked()
        return not lost or not self._may_resend(waiting)

    def _queue_behind_send(self, parts: Sequence[Buffer], waiting: Waiter | None) -> bool:
        """Queue commands behind the send that this call interrupts; as :meth:`write`."""
        if waiting is not None or not self._is_mine():
            raise self.reentrant()
        self.handed_over.append((None, b"".join(parts)))
        return True

    def _spoil(self, link: Link) -> None:
        """End a stream that was interrupted (Ctrl-C): half a command may have gone.

        The reader notices when the server has taken all before, and closes.
        """
        for spoilt in (link, self.link):
            if spoilt is not None:
                spoilt.ended_here = True
                spoilt.transport.finish()

    def _may_resend(self, waiting: Waiter | None) -> bool:
        """Tell whether a command may go over the next link.

        That is so unless whoever took the link away has told ``waiting`` of its end.
        """
        return waiting is None or self._waiting.leave(waiting)

    def is_reentrant(self) -> bool:
        """Tell whether this thread cannot wait for an answer.

        It is about to send (this is a signal handler, or a finalizer), or it is the one that
        receives (a finalizer).
        """
        return self._is_mine() or threading.get_ident() == self.reader

    @staticmethod
    def reentrant() -> ReentrantCallError:
        """Make the error of a call that cannot wait, see :meth:`is_reentrant`."""
        return ReentrantCallError(
            "this signal handler or finalizer interrupts a call of the same client, which cannot "
            "go on until it returns: have it set a flag, or use a client of its own"
        )

    def piggyback(self, command: Buffer, waiting: Waiter) -> bool:
        """Queue a request to be sent with whatever is sent next; return False without a link.

        Arguments: as :meth:`write`; :meth:`flush_piggybacked` does not wait for what comes next.

        Raises:
            ReentrantCallError: as :meth:`write`.
        """
        if self.lock._is_owned() or threading.get_ident() == self.reader:  # type: ignore[attr-defined]
            raise self.reentrant()
        link = self.link
        if link is None:
            return False
        # First in, then look: whoever takes the link away from now on tells it.
        self._waiting.add(waiting)
        inbox = self._waiting.inbox
        if inbox is not None and inbox.denied is not None and not self._waiting.enter(waiting):
            return True
        if self.link is not link:
            return not self._may_resend(waiting)
        self.handed_over.append((link, command))
        return True

    def flush_piggybacked(self) -> None:
        """Send the requests that wait for what is sent next. Never fails."""
        link = self.link
        if self.handed_over and not self._sending and link is not None and not self.is_reentrant():
            # A write without parts: it takes along whatever waits.
            self.write(link, (), None)

    def _hand_to_sender(self, link: Link, command: Buffer, waiting: Waiter) -> bool | None:
        """Leave a request to the thread that is sending.

        Returns:
            As :meth:`write`; None: nobody is sending any more, so the request is still queued.
        """
        # First in, then look: whoever takes the link away from now on tells it.
        if not self._waiting.enter(waiting):
            return True
        if self.link is not link:
            return not self._may_resend(waiting)
        self.handed_over.append((link, command))
        return True if self._sending else None

    def _send_handed_over(self) -> None:
        """Send what came meanwhile, until nothing does.

        That is soon: making a request takes a thread ten times as long as sending it takes this
        one. What fails is no failure of this thread's own command: it breaks the link, and
        whoever waits is told.
        """
        while self.handed_over and (link := self.link) is not None:
            self._sending = True
            try:
                link.transport.send(self._all_waiting(link))
            except OSError:
                link.transport.abort()
            self._sending = False

    def _all_waiting(self, link: Link) -> list[Buffer]:
        """Take all that waits to be sent over a link.

        What was handed over for another link is lost, and whoever waits for it has been told.
        """
        commands = []
        while self.handed_over:
            its_link, command = self.handed_over.popleft()
            if its_link is link or its_link is None:
                commands.append(command)
        waiting = b"".join(commands)
        return [self._all_control(), waiting] if self._control else [waiting]

    def enqueue_control(self, item: bytes | Subscription | Signal) -> None:
        """Queue a short command; send it now, or with the next send if it would block now.

        However many PINGs come, one PONG answers them: a server that sends PINGs and does not read
        costs no memory.

        Arguments:
            item: the command; a subscription to announce; or who waits for the PONG of a PING.
        """
        if item is not PONG or PONG not in self._control:
            self._control.append(item)
        self.send_control()

    def begin(self, link: Link) -> None:
        """Tell a new server of all subscriptions; the caller holds the lock.

        Raises:
            OSError: the link broke.
        """
        self._control.clear()
        # Commands for an old link are lost, as those who wait were told; those for any link stay.
        for lost in [each for each in list(self.handed_over) if each[0] is not None]:
            self.handed_over.remove(lost)
        self.pongs.clear()
        # This includes the subscriptions whose announcement was still queued.
        commands = self._subscriptions.announce_all()
        if commands:
            link.transport.send([commands])

    def _is_mine(self) -> bool:
        return bool(self.lock._is_owned())  # type: ignore[attr-defined]

    def send_control(self) -> None:
        """Send the short commands, if that blocks neither on the lock nor on the socket.

        Who finds the lock taken may leave: its holder looks into the queue after releasing it.
        """
        # Within a send of its own (this is a finalizer) it leaves that to the send's end.
        while self._control and not self._is_mine():
            try:
                if not self._send_one_if_free():
                    return
            finally:
                self._release()

    def _send_one_if_free(self) -> bool:
        """Send the first short command; return False if that would block, or the link is broken."""
        try:
            return self.lock.acquire(blocking=False) and self._send_one(self.link)
        except OSError:
            return False  # the reader sees the same and reconnects
        except BaseException:
            self._abort()  # half of it may have gone
            raise
        finally:
            self._release()

    def _release(self) -> None:
        """Release the lock, if it is this thread's.

        Asked of the lock, not of a flag, and called twice: Ctrl-C may strike just after the lock
        was taken, and just before it is released. (A `with` has neither gap, but it blocks.)
        """
        if self._is_mine():
            self.lock.release()

    def _abort(self) -> None:
        link = self.link
        if link is not None and self._is_mine():
            link.ended_here = True
            link.transport.abort()

    def _send_one(self, link: Link | None) -> bool:
        if link is None:
            self._control.clear()  # a new connection begins without these
        elif not link.transport.is_writable():
            return False  # they go with the next send
        elif self._control:
            link.transport.send([self._next_control()])
        return True

    def _all_control(self) -> bytes:
        commands = []
        while self._control:
            commands.append(self._next_control())
        return b"".join(commands)

    def _next_control(self) -> bytes:
        """Take the next short command from the queue, as the bytes to be sent now."""
        item = self._control.popleft()
        if isinstance(item, Subscription):
            return self._subscriptions.announce(item)
        if isinstance(item, Signal):
            self.pongs.append(item)
            return PING
        return item
