"""What a user says of an object, checked and brought into the form that is stored."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from objstore.errors import InvalidOptionError, LinkError
from objstore.model.arguments import description_text, header_lists, metadata_dict, with_mime
from objstore.model.objects import (
    Headers,
    ObjectInfo,
    ObjectMeta,
    ObjectMetaOptions,
    meta_subject,
    new_info,
    options_for,
)
from objstore.wire.connection.arguments import to_seconds, to_timedelta, whole

__all__ = [
    "UNSET",
    "Unset",
    "check_revision",
    "check_timeout",
    "describe",
    "given",
    "guess_mime",
    "redescribe",
]


class Unset:
    """The type of :data:`UNSET`."""

    def __repr__(self) -> str:
        return "UNSET"


#: An argument that was not given, where None means: nothing.
UNSET = Unset()

_NOTHING, _NO_OPTIONS = ObjectMeta(""), ObjectMetaOptions()


def describe(
    bucket: str,
    meta: str | ObjectMeta,
    *,
    description: str | None = None,
    mime: str | None = None,
    headers: Headers | None = None,
    metadata: Mapping[str, str] | None = None,
    chunk_size: int | None = None,
    ttl: timedelta | float | None = None,
) -> ObjectInfo:
    """The record of a new object, as far as the user describes it; arguments override ``meta``.

    Raises:
        InvalidNameError, InvalidOptionError: something said cannot be stored.
        LinkError: the meta describes a link.
    """
    said, name = (meta, meta.name) if isinstance(meta, ObjectMeta) else (_NOTHING, meta)
    meta_subject(bucket, name)  # checks the name
    options = said.options or _NO_OPTIONS
    if options.link is not None:
        raise LinkError("a link has no payload; use link() or link_store()", name=name)
    if not (chunk_size is said.max_chunk_size is options.chunk_size is None):
        chunk_size = _chosen_size(chunk_size, said.max_chunk_size, options.chunk_size)
    lists = header_lists(said.headers if headers is None else headers)
    return new_info(
        bucket,
        name,
        description=description_text(said.description if description is None else description),
        header_values=with_mime(lists, said.mime if mime is None else mime),
        metadata=metadata_dict(said.metadata if metadata is None else metadata),
        options=options_for(chunk_size),
        ttl=check_ttl(ttl),
    )


def redescribe(
    info: ObjectInfo,
    *,
    description: str | Unset | None,
    mime: str | Unset | None,
    headers: Headers | Unset | None,
    metadata: Mapping[str, str] | Unset | None,
) -> ObjectInfo:
    """A record with some of what describes it changed; None clears, UNSET leaves as it is.

    New headers leave the media type alone, unless they have one.

    Raises:
        InvalidOptionError: something said cannot be stored.
    """
    changes: dict[str, Any] = {}
    if not isinstance(description, Unset):
        changes["description"] = description_text(description)
    if not isinstance(metadata, Unset):
        changes["metadata"] = metadata_dict(metadata)
    lists = {name: list(values) for name, values in info.header_values.items()}
    if not isinstance(headers, Unset):
        given = header_lists(headers)
        types = {name: values for name, values in lists.items() if _is_type(name)}
        lists = given if any(map(_is_type, given)) else {**types, **given}
    if not isinstance(mime, Unset):
        lists = {name: values for name, values in lists.items() if not _is_type(name)}
        lists = with_mime(lists, mime)
    return info.with_changes(header_values=lists, **changes)


def _is_type(name: str) -> bool:
    return name.lower() == "content-type"


def _chosen_size(*sizes: int | None) -> int:
    """The first chunk size that was given; all are checked.

    Raises:
        InvalidOptionError: one is no number of bytes.
    """
    given = [whole("chunk_size", s, "a number of bytes") for s in sizes if s is not None]
    return given[0]


def check_revision(revision: int | None) -> int | None:
    """Check an ``if_revision``.

    Raises:
        InvalidOptionError: it is not a revision.
    """
    if revision is None:
        return None
    return whole("if_revision", revision, "a revision, or 0", least=0)


def check_timeout(timeout: float | timedelta | None) -> float | None:
    """Check a ``timeout``.

    Raises:
        InvalidOptionError: it is not a number of seconds above zero.
    """
    if timeout is None:
        return None
    number = to_seconds(timeout)
    if number is None or not 0 < number < math.inf:
        raise InvalidOptionError(f"timeout is {timeout!r}; it must be seconds, more than none")
    return number


def check_ttl(ttl: timedelta | float | None) -> timedelta | None:
    """An object's life time.

    Raises:
        InvalidOptionError: it is not a timedelta or a number of seconds, or below one second.
    """
    if ttl is None:
        return None
    duration = to_timedelta(ttl)
    if duration is None:
        raise InvalidOptionError(f"ttl is {ttl!r}; it must be a timedelta or seconds")
    if duration < timedelta(seconds=1):
        raise InvalidOptionError(f"ttl is {ttl!r}; the least is one second")
    return duration


#: What a file is that was compressed, whatever is in it.
_COMPRESSED = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
    "compress": "application/x-compress",
    "br": "application/octet-stream",
}


def guess_mime(name: str) -> str | None:
    """The media type that a file's name suggests."""
    import mimetypes  # here: few need it, and all would wait for it

    mime, encoding = mimetypes.guess_type(name)
    return mime if encoding is None else _COMPRESSED.get(encoding)


def given(argument: Any, field: Any) -> Any:
    """An argument, or else a meta's field, where None says nothing."""
    if isinstance(argument, Unset) and field is not None:
        return field
    return argument
