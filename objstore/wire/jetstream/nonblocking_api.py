"""JetStream calls that never wait: the answers come to a subject of the asker's own.

What watches a stream is to be stopped at any moment, by any thread, a signal handler or the
garbage collector; so nothing here blocks, and what is to be waited for is waited for elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from objstore.wire.codec.commands import check_subject, encode_publish
from objstore.wire.connection.subscriptions import Waiter
from objstore.wire.jetstream.api import JetStream
from objstore.wire.jetstream.reads import count_request

__all__ = ["Asker", "NonblockingAPI"]


class Asker(Waiter, Protocol):
    """Somebody who awaits answers, and is told of a lost connection and refused permissions.

    Attributes:
        reply: where the answers go.
        subject: what was published to last.
    """

    reply: str
    subject: str


class NonblockingAPI:
    """Calls of JetStream's API, whose answers :func:`~.api.parse_answer` reads.

    Arguments:
        jetstream: the account.
    """

    def __init__(self, jetstream: JetStream) -> None:
        self._connection = jetstream.connection
        self._prefix = jetstream.prefix

    def stream_info(self, stream: str, count: str | None, asker: Asker) -> bool:
        """Ask for a stream's state, with the number of subjects that match ``count``.

        Returns:
            False: there is no connection.
        """
        request = count_request(count or "")
        return self._ask(f"{self._prefix}.STREAM.INFO.{stream}", request, asker)

    def create_consumer(self, stream: str, config: Mapping[str, Any], asker: Asker) -> bool:
        """Ask for a consumer.

        Returns:
            False: there is no connection.
        """
        # The name stands in the subject, too, where permissions can be given for it.
        subject = f"{self._prefix}.CONSUMER.CREATE.{stream}.{config['name']}"
        return self._ask(subject, {"stream_name": stream, "config": config}, asker)

    def delete_consumer(self, stream: str, name: str) -> None:
        """Have a consumer deleted, if it is there; no answer is awaited. Never fails."""
        # Should this be lost, the server deletes it after its inactive_threshold.
        self._publish(f"{self._prefix}.CONSUMER.DELETE.{stream}.{name}")

    def answer_flow_control(self, subject: str, asker: Asker) -> None:
        """Answer a request for flow control, so that a consumer sends more."""
        asker.subject = subject
        self._publish(subject)

    def _ask(self, subject: str, request: Mapping[str, Any], asker: Asker) -> bool:
        asker.subject = subject  # first: a refusal may come at once
        return self._publish(subject, msgspec.json.encode(request), asker)

    # Joined into one piece: the outbox queues a short command as one item.
    def _publish(self, subject: str, payload: bytes = b"", asker: Asker | None = None) -> bool:
        reply = b"" if asker is None else asker.reply.encode()
        command = b"".join(encode_publish(check_subject(subject), payload, reply))
        return self._connection.session.enqueue_control(command, asker)
