"""Purges of subjects, many of them under way at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from objstore.errors import ObjStoreError
from objstore.wire.connection.requests import PendingReply
from objstore.wire.jetstream.api import JetStream, parse_answer

__all__ = ["purge_each"]


def purge_each(
    jetstream: JetStream, stream: str, subjects: Iterable[str]
) -> Iterator[tuple[str, ObjStoreError | None]]:
    """Remove all messages of each subject: all are asked for at once, then the answers taken.

    Arguments:
        jetstream: the account.
        stream: the stream that they are in.
        subjects: not too many at a time, as their requests are sent together.

    Yields:
        Each subject with the error that its purge ended in; None: its messages are gone.
    """
    target = jetstream.purge_subject(stream)
    under_way: list[tuple[str, PendingReply | ObjStoreError]] = []
    try:
        for subject in subjects:
            try:
                request = msgspec.json.encode({"filter": subject})
                asked = jetstream.connection.inbox.start_piggybacked(target, request)
                under_way.append((subject, asked))
            except ObjStoreError as error:
                # Kept for later: the purges before this one still have an outcome to be told.
                under_way.append((subject, error))
        # All in as few system calls as it takes, and one round trip.
        jetstream.connection.session.flush_piggybacked()
        for subject, pending in under_way:
            yield subject, _failure(jetstream, subject, pending)
    finally:
        # Also when the caller stops early or Ctrl-C strikes: the inbox would keep them.
        for _, pending in under_way:
            if isinstance(pending, PendingReply):
                pending.close()


def _failure(
    jetstream: JetStream, subject: str, pending: PendingReply | ObjStoreError
) -> ObjStoreError | None:
    """Wait for a purge; return what went wrong, or None."""
    if isinstance(pending, ObjStoreError):
        return pending
    try:
        parse_answer(pending.result(jetstream.timeout), f"purging {subject}")
    except ObjStoreError as error:
        return error
    return None
