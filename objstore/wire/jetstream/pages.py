"""Lists that JetStream's API gives page by page: streams, subjects and their number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from objstore.wire.jetstream.api import JetStream
from objstore.wire.jetstream.reads import count_request

__all__ = [
    "SubjectCount",
    "all_streams",
    "all_subjects",
    "count_messages",
    "count_subjects",
    "subject_pages",
]

#: How often the listing of streams begins again when some came or went meanwhile.
#: Bounded, since in a busy account streams may come and go without end.
ROUNDS = 3


def all_streams(jetstream: JetStream) -> Iterator[dict[str, Any]]:
    """Yield all streams of the account, asked for page by page; each one comes once.

    Pages count from the first stream, so one that goes meanwhile moves the others up, past the
    page that comes next. When the number of streams changes, the listing is therefore made
    again, for those not seen yet. Memory: one page, and the names.

    Raises:
        ObjStoreError: as :meth:`~objstore.wire.jetstream.api.JetStream.call`.
    """
    seen: set[str] = set()
    for _ in range(ROUNDS):
        offset = 0
        totals: set[int] = set()
        while True:
            page = jetstream.call("STREAM.LIST", {"offset": offset}, "listing streams")
            streams = page.get("streams") or []
            totals.add(int(page.get("total") or 0))
            for stream in streams:
                if stream["config"]["name"] not in seen:
                    seen.add(stream["config"]["name"])
                    yield stream
            offset += len(streams)
            # The largest total so far: by a later, smaller one the round might end too early.
            if not streams or offset >= max(totals):
                break
        # No stream came or went between two pages, so none was missed.
        if len(totals) == 1:
            return


def subject_pages(jetstream: JetStream, stream: str, pattern: str) -> Iterator[dict[str, int]]:
    """Yield a stream's subjects with their numbers of messages, a page (100,000) at a time.

    Each page is what the stream holds when it is asked for: subjects that go meanwhile move
    others past the next page, and those that come make others come twice.

    Raises:
        BucketNotFoundError: there is no such stream; and as
            :meth:`~objstore.wire.jetstream.api.JetStream.call`.
    """
    offset = 0  # of the subjects told, not of those known: one may come twice
    while True:
        answer = jetstream.stream_info(stream, {"subjects_filter": pattern, "offset": offset})
        page: dict[str, int] = answer["state"].get("subjects") or {}
        if page:
            yield page
        offset += len(page)
        if not page or offset >= int(answer.get("total") or 0):
            return


def all_subjects(jetstream: JetStream, stream: str, pattern: str) -> dict[str, int]:
    """Return a stream's subjects that match a pattern, each with its number of messages.

    Raises: as :func:`subject_pages`.
    """
    found: dict[str, int] = {}
    for page in subject_pages(jetstream, stream, pattern):
        found.update(page)
    return found


def count_messages(jetstream: JetStream, stream: str, subject: str) -> int:
    """Count the messages of one subject, by what the stream's leader says. One request.

    Raises: as :func:`subject_pages`.
    """
    return all_subjects(jetstream, stream, subject).get(subject, 0)


class SubjectCount(NamedTuple):
    """The number of a stream's subjects that match a pattern, at one moment.

    Attributes:
        subjects: how many match.
        newest: the stream's last sequence at that moment.
    """

    subjects: int
    newest: int


def count_subjects(jetstream: JetStream, stream: str, pattern: str) -> SubjectCount:
    """Count the subjects of a stream that match a pattern, by what its leader says.

    Raises:
        BucketNotFoundError: there is no such stream; and as
            :meth:`~objstore.wire.jetstream.api.JetStream.call`.
    """
    info = jetstream.stream_info(stream, count_request(pattern))
    return SubjectCount(int(info.get("total") or 0), int(info["state"]["last_seq"]))
