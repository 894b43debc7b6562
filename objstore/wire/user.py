"""What the server says of the user that is logged in."""

from __future__ import annotations

import contextlib
import json

from objstore.errors import ObjStoreError, PermissionDeniedError
from objstore.wire.connection import Connection
from objstore.wire.requests import PendingReply

__all__ = ["User"]

_INFO = "$SYS.REQ.USER.INFO"


class User:
    """Whether the user may do everything: asked along with something else, and never waited for.

    Arguments:
        connection: of the user.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._asked: PendingReply | None = None
        self._is_limited: bool | None = None  # None: not known

    def ask(self) -> None:
        """Ask, with whatever is sent next. Nothing, if that was done. Never fails."""
        if self._asked is None:
            with contextlib.suppress(ObjStoreError):
                self._asked = self._connection.inbox.start_along(_INFO, b"")

    @property
    def is_limited(self) -> bool:
        """Whether some things are not allowed, as far as is known by now."""
        if self._is_limited is None and self._asked is not None and self._asked.is_done:
            with self._asked as asked:
                try:
                    answer = json.loads(bytes(asked.result(0).payload))
                    self._is_limited = bool(answer["data"].get("permissions"))
                except PermissionDeniedError:  # else there is hardly a reason to forbid that
                    self._is_limited = True
                except (ObjStoreError, ValueError, LookupError, TypeError, AttributeError):
                    self._is_limited = False
        return bool(self._is_limited)
