"""Messages, and subscriptions with a callback, as users of a connection see them."""

from __future__ import annotations

import msgspec

from objstore.pynats2_compat import NATSMessage, NATSSubscription
from objstore.wire.codec.protocol import Message, parse_headers
from objstore.wire.connection.subscriptions import Subscription

__all__ = ["Msg", "UserSubscription"]


class Msg(NATSMessage):
    """A message as users see it: pynats2's, and its headers.

    Attributes:
        sid, subject, reply: as in pynats2.
        payload: ``bytes``.
        status: the status of a server's reply (503, 404 …), 0 where there is none.
    """

    def __init__(self, message: Message, prefix: str = "") -> None:
        super().__init__(
            message.sid,
            message.subject.removeprefix(prefix),
            message.reply.removeprefix(prefix),
            bytes(message.payload),
        )
        self._header = message.header
        self.status = message.status

    @property
    def headers(self) -> dict[str, list[str]]:
        """The values of each header, in order; empty without headers."""
        return parse_headers(self._header)[2] if self._header else {}


class UserSubscription(msgspec.Struct, frozen=True):
    """A subscription with a callback.

    Attributes:
        public: what the user has of it.
        wire: what the session has.
        before: how many messages had come before the session began to count.
    """

    public: NATSSubscription
    wire: Subscription
    before: int
