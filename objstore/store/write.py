"""Changing a bucket's objects: the methods of :class:`objstore.ObjectStore`, one function each."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from objstore.errors import InvalidOptionError, about
from objstore.get.chunks import chunk_payloads
from objstore.metadata.changes import (
    change,
    delete_object,
    link_to,
    overwrite_link,
    rename,
    without_notes,
)
from objstore.metadata.commit import OnConflict
from objstore.metadata.current import (
    Current,
    Known,
    PendingCurrent,
    check_readable,
    find_current,
    revision_check,
)
from objstore.metadata.links import follow
from objstore.metadata.records import Records
from objstore.metadata.rights import check_rights_to_put, learning_to_purge
from objstore.model.arguments import (
    check_revision,
    check_timeout,
    describe,
    given,
    redescribe,
)
from objstore.model.described_later import take_functions
from objstore.model.objects import (
    ObjectInfo,
    ObjectLink,
    ObjectMeta,
    ObjectMetaOptions,
    meta_subject,
    options_for,
)
from objstore.model.record_json import encode_info
from objstore.progress import NO_PROGRESS, Bar, ProgressOption, start_progress
from objstore.put.one_chunk import OneChunk
from objstore.put.options import Payload
from objstore.put.source import Buffer, Source, choose_chunk_size
from objstore.put.upload import Put
from objstore.store.handle import BucketHandle
from objstore.wire.connection.nuid import next_nuid

__all__ = [
    "begin_put",
    "copy",
    "delete",
    "described_as",
    "fill_put",
    "find_replaced",
    "largest_chunk",
    "link",
    "link_store",
    "put",
    "store_link",
    "take_over",
    "update",
]


def put(
    handle: BucketHandle,
    meta: str | ObjectMeta,
    payload: Payload = None,
    *,
    if_revision: int | None = None,
    progress: ProgressOption = None,
    timeout: float | None = None,
    **description: Any,
) -> ObjectInfo:
    """Store an object, in place of the one of that name if there is one.

    Arguments:
        handle, meta, payload, if_revision, progress, timeout: as of ``ObjectStore.put``.
        description: what is said of the object, as :func:`~objstore.model.arguments.describe`
            takes it.
    """
    # First of all: a link has no payload, so that what is given as one is an error.
    if isinstance(meta, ObjectMeta) and meta.options is not None and meta.options.link:
        return _put_link(handle, meta, payload, if_revision, **description)
    is_said_later = callable(description.get("headers")) or callable(description.get("metadata"))
    finish = take_functions(description) if is_said_later else None
    # All arguments are checked before the payload is opened, and before anything is sent.
    info = describe(handle.name, meta, **description)
    if_revision = check_revision(if_revision)
    timeout = check_timeout(timeout)
    # Closed here, whatever happens: a file that was opened for a path, the view of a bytearray that
    # is to grow again.
    with Source(payload) as source:
        size = choose_chunk_size(info.options.chunk_size, source.size, largest_chunk(handle, info))
        is_plain = progress is None and finish is None
        # The short way has no bar and no functions to call: what needs these takes the general
        # road.
        chunk = _only_chunk(handle, info, source, size) if is_plain else None
        if chunk is not None:
            short = _begin_short(handle, info, size, if_revision, timeout, len(chunk))
            return short.put(chunk, timeout or handle.jetstream.timeout)
        with closing(start_progress(progress, info.name, source.size)) as bar:
            put = begin_put(handle, info, size, if_revision, None, bar, timeout, source.size)
            put.finish_description = finish
            return fill_put(handle, put, info.name, source, size)


def _only_chunk(
    handle: BucketHandle, info: ObjectInfo, source: Source, chunk_size: int
) -> Buffer | None:
    """Return the one chunk that all of a payload is; None: it needs the general road."""
    limit = handle.known.max_object_size
    # A ttl needs its own header and margin, an older spelling a look that only the general road
    # has.
    if info.ttl is not None or handle.records.has_older_spellings:
        return None
    if limit is not None and (source.size is None or source.size > limit):
        return None
    return source.only_chunk(chunk_size)


def _begin_short(
    handle: BucketHandle,
    info: ObjectInfo,
    chunk_size: int,
    if_revision: int | None,
    timeout: float | None,
    size: int,
) -> OneChunk:
    """Start a put of one chunk."""
    _check_storable(handle, info, chunk_size)
    current, nuid = _start_current(handle, info.name, if_revision), next_nuid()

    def begin(current: Current) -> Put:
        """Go on as every other put, after a fault."""
        full = info.with_changes(nuid=nuid, options=options_for(chunk_size))
        on_conflict = _last_one_wins(full) if if_revision is None else None
        return _new_put(handle, full, current, on_conflict, NO_PROGRESS, timeout, size)

    is_strict = if_revision is not None
    return OneChunk(handle.records, info, nuid, chunk_size, current, is_strict, begin)


def begin_put(
    handle: BucketHandle,
    info: ObjectInfo,
    chunk_size: int,
    if_revision: int | None,
    on_conflict: OnConflict | None,
    bar: Bar = NO_PROGRESS,
    timeout: float | None = None,
    expected_size: int | None = None,
    *,
    along: bool = False,
) -> Put:
    """Start a put of what ``info`` describes, with a nuid of its own."""
    info = _prepare(handle, info, chunk_size)
    current = _start_current(handle, info.name, if_revision)
    # With if_revision nobody decides: another revision is an error.
    if on_conflict is None and if_revision is None:
        on_conflict = _last_one_wins(info)
    return _new_put(handle, info, current, on_conflict, bar, timeout, expected_size, along=along)


def _prepare(handle: BucketHandle, info: ObjectInfo, chunk_size: int) -> ObjectInfo:
    """Check that an object can be stored, and give it a nuid of its own."""
    _check_storable(handle, info, chunk_size)
    # A nuid for each put: two that race never write the same chunks, and one that fails removes
    # only its own.
    return info.with_changes(nuid=next_nuid(), options=options_for(chunk_size))


def _check_storable(handle: BucketHandle, info: ObjectInfo, chunk_size: int) -> None:
    """Refuse what the bucket would not store, before the first chunk travels."""
    known = handle.known
    if known.is_refused:
        known.check_writable()
    if known.max_msg_size is not None:
        known.check_record(info.name, _record_size(info, chunk_size))
    if info.ttl is not None:
        known.allow_ttl()


def _last_one_wins(info: ObjectInfo) -> OnConflict:
    """Make the rule that stores an object over whatever was stored meanwhile."""
    return lambda _found: info


def _new_put(
    handle: BucketHandle,
    info: ObjectInfo,
    current: Current,
    on_conflict: OnConflict | None,
    bar: Bar,
    timeout: float | None,
    expected_size: int | None,
    *,
    along: bool = False,
) -> Put:
    return Put(
        handle.records,
        info,
        current,
        limit=handle.known.max_object_size,
        on_conflict=on_conflict,
        progress=bar.update,
        timeout=timeout,
        expected_size=expected_size,
        along=along,
    )


def _check_rights(handle: BucketHandle, name: str, current: Current) -> Known:
    """Check that a put can be completed, before its first chunk travels."""
    with closing(current), about(bucket=handle.name, name=name):
        return Known(check_rights_to_put(handle.records, name, current))


def fill_put(
    handle: BucketHandle, put: Put, name: str, source: Source, chunk_size: int
) -> ObjectInfo:
    """Send all chunks and commit; or leave nothing."""
    with about(bucket=handle.name, name=name):
        try:
            for chunk in source.chunks(chunk_size):
                put.send(chunk)
            return put.commit()
        except BaseException:
            put.abort()
            raise


def _start_current(handle: BucketHandle, name: str, if_revision: int | None) -> Current:
    """Ask what a put will replace, while the first chunk travels, if that may differ.

    Raises:
        RevisionMismatchError: as :func:`find_replaced`.
        PermissionDeniedError: the put could not be completed.
    """
    current: Current
    if if_revision is None:
        current = PendingCurrent(handle.records, name)
    else:
        current = Known(find_replaced(handle, name, if_revision))
    if handle.records.access.is_doubtful:
        return _check_rights(handle, name, current)
    return current


def find_replaced(handle: BucketHandle, name: str, if_revision: int | None) -> ObjectInfo | None:
    """Find the record that a write will replace.

    Raises:
        BucketReadOnlyError, BucketSealedError, BucketConfigError: nothing can be written.
        RevisionMismatchError: it is not what ``if_revision`` asks for.
    """
    meta_subject(handle.name, name)  # checks the name, before anything is asked
    handle.known.check_writable()
    check = None if if_revision is None else revision_check(handle.name, name, if_revision)
    with handle.known.checked_along(), learning_to_purge(handle.records):
        return find_current(handle.records, name, check)


def largest_chunk(handle: BucketHandle, info: ObjectInfo) -> int:
    """Return the size of the largest chunk that the server, and the stream, takes."""
    limit = handle.jetstream.connection.session.info.get("max_payload")
    room = 128 if info.ttl is not None else 0  # its header counts
    # 1 MiB is nats-server's default, for a server that does not say.
    largest = (limit if isinstance(limit, int) else 1 << 20) - room
    own = handle.known.max_msg_size
    return largest if own is None else max(1, min(largest, own - room))


def copy(handle: BucketHandle, name: str, into: BucketHandle, new_name: str) -> ObjectInfo:
    """Copy an object into a bucket, streamed, with all that describes it; links are followed."""
    meta_subject(into.name, new_name)  # checks the name, before anything is read
    found = follow(handle.records, name)
    if found is None:
        raise handle.not_found(name)
    records, info = found
    return take_over(into, records, info, new_name)


def described_as(info: ObjectInfo, bucket: str, name: str) -> ObjectInfo:
    """Return the record of a copy that is to be stored."""
    # Without a rename's notes: the copy has chunks of its own.
    return without_notes(info).with_changes(
        bucket=bucket, name=name, nuid="", revision=0, mtime=None, deleted=False
    )


def take_over(
    handle: BucketHandle, records: Records, info: ObjectInfo, name: str, bar: Bar = NO_PROGRESS
) -> ObjectInfo:
    """Store what another record describes, with the chunks that it names."""
    copy = described_as(info, handle.name, name)
    size = choose_chunk_size(info.options.chunk_size, info.size, largest_chunk(handle, copy))
    # Verified on the way: the last chunk comes only after the digest, so a damaged object is never
    # stored anew.
    with closing(chunk_payloads(records, info)) as payloads, Source(payloads) as source:
        put = begin_put(handle, copy, size, None, None, bar, expected_size=info.size)
        return fill_put(handle, put, name, source, size)


def delete(handle: BucketHandle, name: str, *, if_revision: int | None = None) -> bool:
    """Delete an object: its record becomes a tombstone, then its chunks go."""
    if_revision = check_revision(if_revision)
    current = find_replaced(handle, name, if_revision)
    return delete_object(handle.records, name, current, fail_on_conflict=if_revision is not None)


def update(
    handle: BucketHandle,
    name: str,
    meta: ObjectMeta | None,
    new_name: str | None,
    if_revision: int | None,
    **changes: Any,
) -> ObjectInfo:
    """Change what describes an object, or its name. Only what is given changes.

    Arguments:
        handle, name, meta, new_name, if_revision: as of ``ObjectStore.update``.
        changes: as :func:`~objstore.model.arguments.redescribe` takes them.
    """
    if meta is not None:
        new_name = new_name or meta.name
        changes = {said: given(value, getattr(meta, said)) for said, value in changes.items()}
    if_revision = check_revision(if_revision)

    def redescribed(found: ObjectInfo | None) -> ObjectInfo:
        if found is None or found.deleted:
            raise handle.not_found(name)
        check_readable(found)
        if found.ttl is not None:  # it came from a source; what is left of it goes on
            handle.known.allow_ttl()
        return redescribe(found, **changes)

    redescribe(ObjectInfo(handle.name, name), **changes)  # refuses bad input before all else
    if new_name is not None:
        meta_subject(handle.name, new_name)  # and so does this
    current = find_replaced(handle, name, if_revision)
    is_strict = if_revision is not None
    if new_name is None or new_name == name:
        return change(handle.records, redescribed, current, fail_on_conflict=is_strict)
    return rename(handle.records, redescribed, current, new_name, fail_on_conflict=is_strict)


def link(
    handle: BucketHandle,
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
            "a link's target is an ObjectInfo, or a bucket's and an object's name"
        )
    meta_subject(leads_to.bucket, leads_to.name)  # type: ignore[arg-type]  # checks the name
    return _link(handle, name, leads_to, ObjectInfo(handle.name, name), if_revision)


def link_store(
    handle: BucketHandle, name: str, bucket: str, *, if_revision: int | None = None
) -> ObjectInfo:
    """Store a link to a whole bucket, like to a directory."""
    return _link(handle, name, ObjectLink(bucket), ObjectInfo(handle.name, name), if_revision)


def _put_link(
    handle: BucketHandle,
    meta: ObjectMeta,
    payload: object,
    if_revision: int | None,
    **description: Any,
) -> ObjectInfo:
    """Store a link that a meta describes."""
    if payload is not None:
        raise InvalidOptionError("a link has no payload", name=meta.name)
    options = meta.options or ObjectMetaOptions()
    description.update(chunk_size=None, ttl=None)  # of what a link has not
    finish = take_functions(description)
    described = describe(handle.name, replace(meta, options=None), **description)
    described = described if finish is None else finish(described)
    link = options.link or ObjectLink(handle.name)
    return _link(handle, meta.name, link, described, if_revision)


def _link(
    handle: BucketHandle,
    name: str,
    link: ObjectLink,
    described: ObjectInfo,
    if_revision: int | None,
) -> ObjectInfo:
    if_revision = check_revision(if_revision)
    meta_subject(handle.name, name)  # checks the name
    # Looked at now, for the user's sake: it may go at any time after that.
    link_to(handle.records, link, name)
    return store_link(handle, name, link, described, if_revision)


def store_link(
    handle: BucketHandle,
    name: str,
    link: ObjectLink,
    described: ObjectInfo,
    if_revision: int | None,
) -> ObjectInfo:
    """Store a link, wherever it leads."""
    info = described.with_changes(
        # A nuid that no chunk has: other clients purge by the nuid of what they replace.
        nuid=next_nuid(),
        options=ObjectMetaOptions(link),
        mtime=datetime.now(timezone.utc),
    )
    current = find_replaced(handle, name, if_revision)
    return overwrite_link(handle.records, info, current, fail_on_conflict=if_revision is not None)


def _record_size(info: ObjectInfo, chunk_size: int) -> int:
    """Return the largest size of an object's record, before it is known what is in it."""
    # The largest numbers that an object may have, a digest's 52 characters and a nuid's 22.
    largest = info.with_changes(
        size=1 << 50,
        chunks=1 << 30,
        digest="=" * 52,
        nuid="=" * 22,
        options=options_for(chunk_size),
    )
    return len(encode_info(largest))
