"""Mirrors and aggregates: a bucket's stream that is fed from the streams of others. Pure data.

Each message of a source comes into the stream under a subject of the bucket's own (``$O.src.C.>``
becomes ``$O.this.C.>``, and so for ``M``), so that the bucket is read, listed and watched like one
that was written directly, by any client that goes by the stream's name (nats-py looks streams up
by their subjects, and a mirror has none).

A mirror of a bucket of the same account is a stream without subjects and with one source, not one
with ``mirror`` in its configuration. The server makes such a mirror answer direct gets *for the
stream that it mirrors*, whatever is asked for (``mirror_direct`` is set to the source's
``allow_direct``). With subjects of its own it would answer half of them with "not found": the
source would lose objects for all its readers. Across domains (``external``) that does not happen,
and a mirror is a mirror.

Sources: ADR-59 (mirrors and sources), ADR-36 (subject transforms), nats-server's stream.go.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from objstore.errors import InvalidNameError, InvalidOptionError
from objstore.model.objects import bucket_of_stream, check_bucket_name, stream_name
from objstore.wire.connection.arguments import whole
from objstore.wire.jetstream.times import time_text

__all__ = [
    "ExternalStream",
    "StreamSource",
    "actual_sources",
    "check_subject_pattern",
    "mirror_fields",
    "sources_fields",
]

_STREAM = re.compile(r"[^\s.*>/\\\0]+")


@dataclass(frozen=True)
class ExternalStream:
    """How to reach a stream of another JetStream domain or account (ADR-59).

    Attributes:
        api: the prefix of the other side's API, such as ``$JS.hub.API``.
        deliver: the prefix of the subjects that its messages are delivered on; for a domain
            none is needed.
    """

    api: str
    deliver: str = ""


@dataclass(frozen=True)
class StreamSource:
    """Where a mirror or an aggregate gets its objects from (ADR-59).

    Attributes:
        name: a bucket of this account; with ``external`` a stream as it is called there (that
            of a bucket is ``OBJ_`` and the bucket's name).
        opt_start_seq: begin with the message of this number.
        opt_start_time: begin with what was stored then or later; a datetime with a time zone.
        filter_subject: take only these subjects of the source. An object needs both its chunks
            and its metadata.
        external: set where the stream is in another domain or account.
    """

    name: str
    opt_start_seq: int | None = None
    opt_start_time: datetime | None = None
    filter_subject: str | None = None
    external: ExternalStream | None = None

    def fields(self, option: str, bucket: str) -> dict[str, Any]:
        """Make the stream's configuration of the source.

        Arguments:
            option: it was given as, for the error's message.
            bucket: that is fed.

        Raises:
            InvalidOptionError: a value is impossible.
        """
        fields: dict[str, Any] = {"name": self._stream(option, bucket)}
        if self.opt_start_seq is not None:
            fields["opt_start_seq"] = whole(
                f"{option}: opt_start_seq",
                self.opt_start_seq,
                "a positive whole number",
                # Sequences are unsigned 64-bit numbers.
                most=(1 << 64) - 1,
            )
        if self.opt_start_time is not None:
            fields["opt_start_time"] = self._start_time(option)
        if self.external is not None:
            fields["external"] = _external_fields(option, self.external)
        source = bucket_of_stream(fields["name"])
        if self.filter_subject is not None:
            check_subject_pattern(f"{option}: filter_subject", self.filter_subject)
        # Of a bucket the subjects change to ours; of another stream they come as they are.
        if source is not None and (self.external is None or self.filter_subject is None):
            fields["subject_transforms"] = self._transforms(option, source, bucket)
        elif self.filter_subject is not None:
            fields["filter_subject"] = self.filter_subject
        return fields

    def _stream(self, option: str, bucket: str) -> str:
        if self.external is None:
            try:
                check_bucket_name(self.name)
            except InvalidNameError as error:
                raise InvalidOptionError(f"{option}: {error}") from error
            if self.name == bucket:
                raise InvalidOptionError(f"{option}: bucket {bucket} cannot be fed from itself")
            return stream_name(self.name)
        if not isinstance(self.name, str) or not _STREAM.fullmatch(self.name):
            raise InvalidOptionError(f"{option}: {self.name!r} cannot be the name of a stream")
        return self.name

    def _start_time(self, option: str) -> str:
        moment = self.opt_start_time
        # A time without a zone would mean another moment on another machine.
        if not isinstance(moment, datetime) or moment.utcoffset() is None:
            raise InvalidOptionError(
                f"{option}: opt_start_time is {moment!r}; it must be a datetime with a time zone"
            )
        if self.opt_start_seq is not None:
            raise InvalidOptionError(f"{option}: give opt_start_seq or opt_start_time, not both")
        return time_text(moment)

    def _transforms(self, option: str, source: str, bucket: str) -> list[dict[str, str]]:
        """Make the transforms from the source's subjects to the bucket's own."""
        here, there = f"$O.{bucket}.", f"$O.{source}."
        if self.filter_subject is None:
            return [{"src": f"{there}{part}.>", "dest": f"{here}{part}.>"} for part in "CM"]
        if not self.filter_subject.startswith(there):
            raise InvalidOptionError(
                f"{option}: bucket {source} has no subject {self.filter_subject!r}; "
                f"its subjects begin with {there}"
            )
        tokens = self.filter_subject[len(there) :].split(".")
        wildcards = 0
        for index, token in enumerate(tokens):
            # Transforms name the wildcards of the source by their number (ADR-36).
            if token == "*":  # noqa: S105 - a token of a subject
                wildcards += 1
                tokens[index] = f"{{{{wildcard({wildcards})}}}}"
        return [{"src": self.filter_subject, "dest": here + ".".join(tokens)}]


def _external_fields(option: str, external: object) -> dict[str, str]:
    if not isinstance(external, ExternalStream):
        raise InvalidOptionError(f"{option}: external is {external!r}, not an ExternalStream")
    for name, subject in (("api", external.api), ("deliver", external.deliver)):
        if name == "deliver" and subject == "":
            continue
        check_subject_pattern(f"{option}: {name} of external", subject)
        # It is a prefix that subjects are put together from, not a pattern.
        if re.search(r"(^|\.)[*>](\.|$)", subject):
            raise InvalidOptionError(f"{option}: {name} of external takes no wildcards")
    return {"api": external.api, "deliver": external.deliver}


def check_subject_pattern(what: str, subject: object) -> str:
    """Check that a text can be a subject or a pattern of subjects.

    Raises:
        InvalidOptionError: the text cannot be one.
    """
    ok = isinstance(subject, str) and re.fullmatch(r"[^\s.\0]+(\.[^\s.\0]+)*", subject)
    if not isinstance(subject, str) or not ok or ">" in subject.split(".")[:-1]:
        raise InvalidOptionError(f"{what} is {subject!r}; it must be a subject")
    return subject


def mirror_fields(mirror: object, bucket: str) -> dict[str, Any]:
    """Make the stream's configuration of a mirror.

    Raises:
        InvalidOptionError: it is impossible.
    """
    fields = _source("mirror", mirror).fields("mirror", bucket)
    if "external" in fields:
        # Of another domain: only there a true mirror does no harm, see above.
        return {"mirror": fields, "subjects": []}
    return {"sources": [fields], "subjects": []}


def sources_fields(sources: object, bucket: str) -> dict[str, Any]:
    """Make the stream's configuration of an aggregate, which can also be written.

    Raises:
        InvalidOptionError: it is impossible.
    """
    if isinstance(sources, (str, bytes, StreamSource)) or not isinstance(sources, Iterable):
        raise InvalidOptionError(
            f"sources is {sources!r}; it must be a sequence of buckets' names or StreamSources"
        )
    fields = [_source("sources", each).fields("sources", bucket) for each in sources]
    # Sorted, so that two can be compared, in whatever order they were given or told.
    fields.sort(key=_in_order)
    for one, other in itertools.pairwise(fields):
        if one == other:
            raise InvalidOptionError(f"sources has {one['name']} twice")
    return {"sources": fields, "subjects": [f"$O.{bucket}.C.>", f"$O.{bucket}.M.>"]}


def _source(option: str, given: object) -> StreamSource:
    if isinstance(given, str):
        return StreamSource(given)
    if isinstance(given, StreamSource):
        return given
    raise InvalidOptionError(f"{option} is {given!r}; it must be a bucket's name or a StreamSource")


def actual_sources(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what a stream is fed from, in the form of :func:`sources_fields`, however set up."""
    sources = config.get("sources") or []
    if not sources and config.get("mirror"):
        sources = [config["mirror"]]
    plain = [
        # What is empty means the same as what is missing.
        {key: value for key, value in source.items() if value or key == "name"}
        for source in sources
    ]
    for source in plain:
        if "external" in source:
            external = source["external"]
            source["external"] = {
                "api": external.get("api", ""), "deliver": external.get("deliver", "")
            }  # fmt: skip
    return sorted(plain, key=_in_order)


def _in_order(source: Mapping[str, Any]) -> str:
    return json.dumps(source, sort_keys=True)
