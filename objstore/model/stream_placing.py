"""Where a bucket's stream may be, and where its messages are sent on to. Pure data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from objstore.errors import InvalidOptionError
from objstore.model.arguments import word
from objstore.model.stream_sources import check_subject_pattern
from objstore.wire.connection.arguments import switch

__all__ = ["Placement", "Republish"]


@dataclass(frozen=True)
class Placement:
    """Where in a cluster a bucket's stream may be (``placement`` of a stream).

    Attributes:
        cluster: the cluster's name; None: any.
        tags: that each server must have.
    """

    cluster: str | None = None
    tags: Sequence[str] = ()

    def fields(self) -> dict[str, Any]:
        """Make the stream's configuration of the placement.

        Raises:
            InvalidOptionError: it says nothing, or a value is impossible.
        """
        fields: dict[str, Any] = {}
        if self.cluster is not None:
            fields["cluster"] = word("placement: cluster", self.cluster)
        # One text would be taken for a tag for each letter.
        if isinstance(self.tags, (str, bytes)) or not isinstance(self.tags, Iterable):
            raise InvalidOptionError(f"placement: tags is {self.tags!r}; it must be some texts")
        tags = [word("placement: a tag", tag) for tag in self.tags]
        if tags:
            fields["tags"] = tags
        if not fields:
            raise InvalidOptionError("placement names neither a cluster nor tags")
        return fields


@dataclass(frozen=True)
class Republish:
    """Where each message of a bucket is sent on, once it is stored, for plain subscribers (ADR-8).

    Attributes:
        dest: the subject or pattern that it is sent to, such as ``changes.>``.
        src: which of the bucket's subjects are sent on; None: all.
        headers_only: leave the payloads away.
    """

    dest: str
    src: str | None = None
    headers_only: bool = False

    def fields(self) -> dict[str, Any]:
        """Make the stream's configuration of the republishing.

        Raises:
            InvalidOptionError: a value is impossible.
        """
        switch("republish: headers_only", self.headers_only)
        fields: dict[str, Any] = {
            "src": check_subject_pattern("republish: src", ">" if self.src is None else self.src),
            "dest": check_subject_pattern("republish: dest", self.dest),
        }
        return {**fields, "headers_only": True} if self.headers_only else fields
