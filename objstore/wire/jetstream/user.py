"""The rights of the user that is logged in, as the server tells them."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec

from objstore.errors import ObjStoreError, PermissionDeniedError
from objstore.wire.codec.commands import check_subject, encode_publish
from objstore.wire.codec.protocol import Message
from objstore.wire.connection.connection import Connection

__all__ = ["User"]

# Answered by the server connected to, about the user that asks.
_INFO = "$SYS.REQ.USER.INFO"


class _Data(msgspec.Struct):
    permissions: dict[str, Any] | None = None


class _Answer(msgspec.Struct):
    data: _Data


_decode = msgspec.json.Decoder(_Answer).decode


class User:
    """The user's rights, as far as they are known; the answer is never waited for.

    Arguments:
        connection: the user's connection.

    Attributes:
        is_limited: whether some things are not allowed, as far as is known by now.
        subject: where the question goes.
    """

    def __init__(self, connection: Connection) -> None:
        self.is_limited = False
        self.subject = _INFO
        self._connection = connection
        self._reply = ""  # where the answer goes, once it was asked

    def ask(self) -> None:
        """Ask for the rights together with whatever is sent next, unless they were asked for."""
        if self._reply:
            return
        connection = self._connection
        self._reply = connection.inbox.open(self._deliver)
        command = b"".join(encode_publish(check_subject(_INFO), b"", self._reply.encode()))
        if not connection.session.piggyback(command, self):
            self._close()
            self._reply = ""  # there is no connection: next time

    def fail(self, error: ObjStoreError) -> None:
        """Note that there will be no answer; called by the reader thread."""
        self._close()
        if isinstance(error, PermissionDeniedError):
            self.is_limited = True
        else:
            # The connection was lost: the next time it is asked again.
            self._reply = ""

    def _deliver(self, message: Message) -> None:
        """Take the answer; called by the reader thread."""
        self._close()
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):  # unknown there
            self.is_limited = bool(_decode(message.payload).data.permissions)

    def _close(self) -> None:
        self._connection.session.forget(self)
        self._connection.inbox.close(self._reply)
