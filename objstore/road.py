"""What the roads of chunks share: the window of what is under way, and where answers come."""

from __future__ import annotations

from objstore.records import Records
from objstore.window import Window
from objstore.wire.commands import check_subject
from objstore.wire.protocol import Message

__all__ = ["Road"]


class Road:
    """A way for chunks into the stream.

    Arguments:
        records: the bucket.
        subject: of the chunks.
        header: of each.
        stored: how many chunks are stored already.
        sequence: of the last of them.
        timeout: for one acknowledgement, in seconds.
    """

    def __init__(
        self,
        records: Records,
        subject: str,
        header: bytes,
        stored: int,
        sequence: int,
        timeout: float,
    ) -> None:
        self._records = records
        self._raw = check_subject(subject)
        self._base = stored
        self._header = header
        self._window = Window(subject, timeout, stored, sequence)
        connection = records.jetstream.connection
        self._session, self._inbox = connection.session, connection.inbox
        self._reply = self._inbox.open(self._deliver)

    @property
    def position(self) -> tuple[int, int]:
        """How many chunks are known to be stored, and the sequence of the last one.

        In a batch the sequence is known when it has ended.
        """
        return self._window.position

    def close(self) -> None:
        """Hear no more. Never fails."""
        self._session.forget(self._window)
        self._inbox.close(self._reply)

    def _deliver(self, message: Message) -> None:
        """Take an answer, in the reader thread."""
        raise NotImplementedError
