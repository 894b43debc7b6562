"""A bucket in memory, for the parts of a put and a get by themselves: no server, no connection.

It holds messages as a stream does, notes what it is asked, and fails where a test says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

from objstore import BucketNotFoundError, ObjectInfo, ObjStoreError, RevisionMismatchError
from objstore.metadata.known_stream import KnownStream
from objstore.model.objects import chunk_subject, meta_subject
from objstore.model.record_json import encode_info, parse_info
from objstore.wire.jetstream.answers import StoredMessage

__all__ = ["ScriptedBucket"]

#: When everything was stored.
TIME = "2024-01-01T00:00:00Z"


class Answer:
    """What was asked for, and comes when it is taken.

    Attributes:
        closed: nobody wants it any more.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self.closed = False

    def result(self) -> Any:
        """The answer, or its error."""
        return self._make()

    def close(self) -> None:
        """It is not wanted."""
        self.closed = True


class ScriptedBucket:
    """Stands where :class:`objstore.metadata.records.Records` and its JetStream do.

    Attributes:
        messages: subject and payload of each, by sequence.
        asked: what it was asked, in order: a call and what it was about.
        faults: by call, the errors of the next ones; None: that one goes well.
        exists: whether there is such a bucket.
        answers: of the gets, in order.
    """

    bucket, stream, direct, batches = "b", "OBJ_b", True, False

    def __init__(self) -> None:
        self.messages: dict[int, tuple[str, bytes]] = {}
        self.asked: list[tuple[str, Any]] = []
        self.faults: dict[str, deque[ObjStoreError | None]] = {}
        self.exists = True
        self.answers: list[Answer] = []
        self.timeout = self.patience = 1.0
        self.connection = SimpleNamespace(is_connected=True)
        self.is_clustered = False
        self.read_limit = SimpleNamespace(bytes=8 << 20, broke=lambda _asked: None)
        self.has_older_spellings = False
        self.access = SimpleNamespace(next=self._next, may_purge=None)
        self.known = KnownStream(self, self.bucket)  # type: ignore[arg-type]  # as far as used
        self.known.check_after_fault = self.check_exists  # type: ignore[method-assign]
        self.observer = None
        self._last = 0

    @property
    def jetstream(self) -> Any:
        """The same, by its other face."""
        return self

    # --- what a test says and sees

    def fail(self, call: str, *errors: ObjStoreError | None) -> None:
        """Let the next such calls end so."""
        self.faults.setdefault(call, deque()).extend(errors)

    def store(self, subject: str, payload: bytes) -> int:
        """Add a message; its sequence."""
        self._last += 1
        self.messages[self._last] = subject, payload
        return self._last

    def chunks(self, nuid: str) -> list[bytes]:
        """The chunks of a nuid."""
        return [payload for _, payload in self._of(chunk_subject(self.bucket, nuid))]

    def calls(self, *names: str) -> list[tuple[str, Any]]:
        """What it was asked of some kinds."""
        return [each for each in self.asked if each[0] in names]

    def _of(self, subject: str) -> Iterator[tuple[int, bytes]]:
        return (
            (sequence, payload)
            for sequence, (there, payload) in sorted(self.messages.items())
            if there == subject
        )

    def _note(self, call: str, what: Any) -> None:
        self.asked.append((call, what))
        waiting = self.faults.get(call)
        if waiting and (error := waiting.popleft()) is not None:
            raise error

    # --- what the code asks

    def check_exists(self) -> None:
        """Raise BucketNotFoundError where there is none."""
        self._note("check_exists", None)
        if not self.exists:
            raise BucketNotFoundError("there is no bucket b", bucket=self.bucket)

    def stream_info(self, _stream: str, request: dict[str, Any]) -> dict[str, Any]:
        """How many messages a subject has."""
        subject = request["subjects_filter"]
        self._note("subjects", subject)
        return {"total": 1, "state": {"subjects": {subject: len(list(self._of(subject)))}}}

    def start_next(self, subject: str, sequence: int) -> Answer:
        """The first message of a subject from a sequence on."""
        self.asked.append(("next", sequence))

        def take() -> StoredMessage | None:
            self._note("take", sequence)
            for place, payload in self._of(subject):
                if place >= sequence:
                    return stored_message(subject, place, payload)
            return None

        self.answers.append(Answer(take))
        return self.answers[-1]

    def _next(self, subject: str, sequence: int, *, leader: bool) -> StoredMessage | None:
        """The same at once, of the leader."""
        self._note("first", leader)
        found = [each for each in self._of(subject) if each[0] >= sequence]
        return stored_message(subject, *found[0]) if found else None

    def last_of(self, subjects: Iterable[str]) -> Iterator[StoredMessage]:
        """The last message of each of some subjects."""
        for subject in subjects:
            if (found := self.last_from_leader(subject)) is not None:
                yield found

    def last_from_leader(self, subject: str) -> StoredMessage | None:
        """The last message of a subject."""
        self._note("last", subject)
        found = list(self._of(subject))
        return stored_message(subject, *found[-1]) if found else None

    def read(self, name: str, *, fresh: bool = False) -> ObjectInfo | None:
        """What a name has."""
        self._note("read", name)
        found = list(self._of(meta_subject(self.bucket, name)))
        return parse_info(found[-1][1], self.bucket, found[-1][0], TIME) if found else None

    def read_own(self, name: str, *, fresh: bool = False) -> ObjectInfo | None:
        """The same, of the leader, under the name's own subject."""
        return self.read(name, fresh=fresh)

    def names_with(self, _nuid: str) -> set[str]:
        """Names that share chunks: none."""
        return set()

    def start_publish(
        self,
        info: ObjectInfo,
        expected: int,
        encoded: bytes | None = None,
        *,
        piggyback: bool = False,
    ) -> Answer:
        """Store a record over a revision. A fault of ``publish`` comes before, of ``ack`` after."""
        self._note("publish", info)
        subject = meta_subject(self.bucket, info.name)

        def acknowledge() -> SimpleNamespace:
            found = [sequence for sequence, _ in self._of(subject)]
            if (found[-1] if found else 0) != expected:
                raise RevisionMismatchError("another is there")
            sequence = self.store(subject, encoded or encode_info(info))
            for old in found:
                del self.messages[old]
            self._note("ack", info.name)
            return SimpleNamespace(sequence=sequence, stream=self.stream)

        return Answer(acknowledge)

    def publish(self, subject: str, *_: Any, expected_sequence: int) -> None:
        """What is asked to learn that all before it was stored: always refused."""
        self._note("fence", subject)
        raise RevisionMismatchError("as expected")

    def purge(self, _stream: str, subject: str, up_to: int | None = None) -> int:
        """Remove a subject's messages."""
        self._note("purge", subject)
        gone = [sequence for sequence, _ in self._of(subject)]
        for sequence in gone:
            del self.messages[sequence]
        return len(gone)


def stored_message(subject: str, sequence: int, payload: bytes) -> StoredMessage:
    """As a get gives it."""
    return StoredMessage(subject, sequence, TIME, b"", payload)
