"""Messages as users of a connection see them."""

from __future__ import annotations

from objstore.pynats2_compat import NATSMessage
from objstore.wire.codec.protocol import Message, parse_headers

__all__ = ["Msg"]


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
