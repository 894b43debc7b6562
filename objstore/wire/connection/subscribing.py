"""How a session begins, ends and limits its subscriptions. Nothing here ever blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from objstore.errors import ObjStoreError
from objstore.wire.codec.commands import encode_unsubscribe
from objstore.wire.connection.outbox import Outbox
from objstore.wire.connection.subscriptions import Handler, Subscription, Subscriptions, Waiters

__all__ = ["Subscribing"]


class Subscribing:
    """The part of a session that deals with subscriptions."""

    # Set by Session, the one class that inherits this.
    out: Outbox
    _subscriptions: Subscriptions
    waiting: Waiters

    def subscribe(
        self,
        subject: str,
        handler: Handler,
        *,
        queue: str = "",
        max_messages: int | None = None,
        refused: Callable[[ObjStoreError], object] | None = None,
        prepare: Callable[[Subscription], object] | None = None,
    ) -> Subscription:
        """Subscribe to a subject; the server is told before anything that is sent later.

        Without a connection the next one begins with it, as every one does after.

        Arguments:
            subject, handler, queue, max_messages, refused: see :class:`Subscription`.
            prepare: called with the subscription before the first message can come.

        Raises:
            InvalidNameError: the subject or queue group is not one.
        """
        options = {"queue": queue, "limit": max_messages, "refused": refused}
        subscription = self.new_subscription(subject, handler, **options)
        if prepare is not None:
            prepare(subscription)
        self.begin(subscription)
        return subscription

    def new_subscription(self, subject: str, handler: Handler, **options: Any) -> Subscription:
        """Make a subscription, for :meth:`begin`.

        Arguments and errors: as :class:`Subscription`.
        """
        return Subscription(self._subscriptions.next_sid(), subject, handler, **options)

    def begin(self, subscription: Subscription) -> None:
        """Begin a subscription, as :meth:`subscribe`; doing so twice does no harm."""
        if subscription.replies and not subscription.ended:
            # The new one may be allowed where the last was denied: until that is known,
            # replies can come.
            self.waiting.inbox = subscription
        # First: a link that begins in between announces it, and then the command below is
        # empty, so the server is told once.
        self._subscriptions.add(subscription)
        self.out.enqueue_control(subscription)

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription. Never fails: without a connection it is over anyway."""
        if self._subscriptions.remove(subscription):
            self.out.enqueue_control(encode_unsubscribe(subscription.sid))

    def limit(self, subscription: Subscription, messages: int) -> None:
        """Let a subscription end after so many messages, those that have come included."""
        subscription.limit = messages
        if subscription.received >= messages:
            self.unsubscribe(subscription)
        else:
            self.out.enqueue_control(subscription.limit_command())
