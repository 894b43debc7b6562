"""Storing links: records without chunks, which lead to another object, or to a bucket (ADR-20)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from objstore.errors import InvalidOptionError
from objstore.metadata.changes import link_to, overwrite_link
from objstore.metadata.records import Records
from objstore.metadata.rights import find_replaced
from objstore.model.arguments import check_revision, describe
from objstore.model.described_later import take_functions
from objstore.model.objects import (
    ObjectInfo,
    ObjectLink,
    ObjectMeta,
    ObjectMetaOptions,
    meta_subject,
)
from objstore.wire.connection.requests import next_nuid

__all__ = ["link", "link_store", "put_link", "store_link"]


def link(
    records: Records,
    name: str,
    target: ObjectInfo | tuple[str, str],
    *,
    if_revision: int | None = None,
) -> ObjectInfo:
    """Store a link to an object, in this bucket or another."""
    if isinstance(target, ObjectInfo):
        leads_to = ObjectLink(target.bucket, target.name)
    elif isinstance(target, tuple) and len(target) == 2:
        leads_to = ObjectLink(*target)
    else:
        raise InvalidOptionError(
            f"a link's target is an ObjectInfo or a pair (bucket, name), not {target!r}"
        )
    meta_subject(leads_to.bucket, leads_to.name)  # type: ignore[arg-type]  # checks the name
    return _link(records, name, leads_to, ObjectInfo(records.bucket, name), if_revision)


def link_store(
    records: Records, name: str, bucket: str, *, if_revision: int | None = None
) -> ObjectInfo:
    """Store a link to a whole bucket, like to a directory."""
    described = ObjectInfo(records.bucket, name)
    return _link(records, name, ObjectLink(bucket), described, if_revision)


def put_link(
    records: Records,
    meta: ObjectMeta,
    payload: object,
    if_revision: int | None,
    **description: Any,
) -> ObjectInfo:
    """Store a link that a meta describes."""
    if payload is not None:
        raise InvalidOptionError("a link has no payload", name=meta.name)
    options = meta.options or ObjectMetaOptions()
    description["chunk_size"] = None  # a link has no chunks
    finish = take_functions(description)
    described = describe(records.bucket, replace(meta, options=None), **description)
    described = described if finish is None else finish(described)
    leads_to = options.link or ObjectLink(records.bucket)
    return _link(records, meta.name, leads_to, described, if_revision)


def _link(
    records: Records,
    name: str,
    leads_to: ObjectLink,
    described: ObjectInfo,
    if_revision: int | None,
) -> ObjectInfo:
    if_revision = check_revision(if_revision)
    meta_subject(records.bucket, name)  # checks the name
    # Looked at now, for the user's sake: it may go at any time after that.
    link_to(records, leads_to, name)
    return store_link(records, name, leads_to, described, if_revision)


def store_link(
    records: Records,
    name: str,
    leads_to: ObjectLink,
    described: ObjectInfo,
    if_revision: int | None,
) -> ObjectInfo:
    """Store a link, wherever it leads."""
    info = described.with_changes(
        # A nuid that no chunk has: other clients purge by the nuid of what they replace.
        nuid=next_nuid(),
        options=ObjectMetaOptions(leads_to),
        mtime=datetime.now(timezone.utc),
    )
    if info.ttl is not None:
        records.known.allow_ttl()
    current = find_replaced(records, name, if_revision)
    return overwrite_link(records, info, current, fail_on_conflict=if_revision is not None)
