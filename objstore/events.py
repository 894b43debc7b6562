"""What a client tells of its work: the events that ``connect(on_event=...)`` is called with.

.. code-block:: text

    Event
     ├─ Request          a question to the server, answered or not
     ├─ Chunk            a piece of an object was sent, or has come
     ├─ Retry            something failed, and is tried again
     ├─ SlowServer       an answer is awaited for a second
     ├─ PutDone          an object is stored, or could not be
     ├─ GetDone          an object was read, or a part of it, or could not be
     ├─ Disconnected     the connection was lost
     └─ Reconnected      it is back

All are frozen, and compare by their values.
"""

from __future__ import annotations

import re

import msgspec

__all__ = [
    "Chunk",
    "Disconnected",
    "Event",
    "GetDone",
    "PutDone",
    "Reconnected",
    "Request",
    "Retry",
    "SlowServer",
]

#: What is asked of JetStream, in a request's subject, whatever the API's prefix is.
_QUESTION = re.compile(r"\.((?:DIRECT|STREAM|CONSUMER)\.[A-Z.]+[A-Z](?=\.|$)|INFO$)")


# Structs, since no other class is made in less time: each request and chunk makes one.
class Event(msgspec.Struct, frozen=True):
    """Something that happened; the base of all events."""


class Request(Event, frozen=True):
    """A question was sent to the server, and answered or not.

    The chunks of a large object have no request each; see :class:`Chunk`.

    Attributes:
        subject: where it went. It names the bucket, and may hold the object's name, encoded.
        seconds: until the answer came, or until it was given up.
        error: why no answer came; None: one did. (It may be a refusal.)
    """

    subject: str
    seconds: float
    error: BaseException | None = None

    @property
    def question(self) -> str:
        """What was asked, in few words that say no name: ``"DIRECT.GET"``, ``"STREAM.INFO"`` …

        ``"PUBLISH"``: a message was stored, a chunk or a record.
        """
        # What is stored goes to the bucket's own subjects, whose words are not ours.
        found = None if self.subject.startswith("$O.") else _QUESTION.search(self.subject)
        return "PUBLISH" if found is None else found[1]


class Chunk(Event, frozen=True):
    """A piece of an object was sent, or has come and was looked at.

    Attributes:
        operation: ``"put"`` or ``"get"``.
        bucket, name: of the object.
        bytes: of the piece.
    """

    operation: str
    bucket: str
    name: str
    bytes: int


class Retry(Event, frozen=True):
    """Something failed, and is tried again.

    Attributes:
        operation: what is tried again: ``"request"``, ``"put"`` (chunks are sent again),
            ``"commit"`` (the record of an object) or ``"get"``.
        bucket, name: of the object; ``""`` where only the subject is known.
        subject: where a request goes, or chunks; else ``""``.
        error: why.
    """

    operation: str
    bucket: str = ""
    name: str = ""
    subject: str = ""
    error: BaseException | None = None


class SlowServer(Event, frozen=True):
    """An answer has not come for a second, and is awaited further.

    Of a large put's chunks this is not told: where none is acknowledged for one time-out, there is
    a :class:`Retry`.

    Attributes:
        subject: where the question went.
        seconds: since then.
    """

    subject: str
    seconds: float


class PutDone(Event, frozen=True):
    """An object is stored, or could not be. A put that sends nothing, since an argument or the
    bucket refuses it, tells nothing but its error.

    Attributes:
        bucket, name: of the object.
        bytes: of its content; of a put that failed, those that were sent.
        seconds: from its beginning to its end; of ``open(name, "wb")`` from the opening on.
        server: the address of the server connected to, or ``""``.
        error: why it is not stored; None: it is.
    """

    bucket: str
    name: str
    bytes: int
    seconds: float
    server: str = ""
    error: BaseException | None = None


class GetDone(Event, frozen=True):
    """An object was read, or a part of it, or could not be.

    Of what ``get`` and ``open`` give, this comes when it is closed.

    Attributes:
        bucket, name: of the object; of one that a link leads to, its own.
        bytes: how many were handed out.
        seconds: from the call to the end; of a file from its opening until it was closed, the
            reader's own time included.
        server: the address of the server connected to, or ``""``.
        error: the last failure to read; None: there was none.
    """

    bucket: str
    name: str
    bytes: int
    seconds: float
    server: str = ""
    error: BaseException | None = None


class Disconnected(Event, frozen=True):
    """The connection was lost. It is made again without a call for it.

    Attributes:
        server: the address of the server.
        error: why.
    """

    server: str
    error: BaseException | None = None


class Reconnected(Event, frozen=True):
    """The connection is back.

    Attributes:
        server: the address of the server, which may be another one.
        seconds: since it was lost.
    """

    server: str
    seconds: float
