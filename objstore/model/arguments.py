"""What users pass to buckets and objects: checked, and brought into the form that is stored.

Of numbers and texts at large :mod:`objstore.wire.connection.arguments` knows.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, TypeVar

from objstore.errors import InvalidOptionError, LinkError
from objstore.model.objects import (
    Headers,
    ObjectInfo,
    ObjectMeta,
    ObjectMetaOptions,
    meta_subject,
    new_info,
    options_for,
)
from objstore.wire.connection.arguments import seconds, to_seconds, to_timedelta, to_whole, whole

__all__ = [
    "UNSET",
    "Unset",
    "check_plain",
    "check_range",
    "check_revision",
    "check_timeout",
    "describe",
    "description_text",
    "garbage_age",
    "given",
    "guess_mime",
    "header_lists",
    "instance_of",
    "metadata_dict",
    "one_of",
    "positive",
    "redescribe",
    "to_nanoseconds",
    "with_mime",
    "word",
]

T = TypeVar("T")

CONTENT_TYPE = "Content-Type"

_NOT_ON_ONE_LINE = re.compile("[\r\n\0]")

#: Seconds that fit as nanoseconds into the server's 64 bits.
LONGEST = (1 << 63) // 1_000_000_000

#: Of an object: 170 days less, for its chunks live longer by the time of its upload.
LONGEST_LIFE = timedelta(days=292 * 365)


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
    """Make the record of a new object of what the user says; arguments override ``meta``.

    Raises:
        InvalidNameError, InvalidOptionError: something said cannot be stored.
        LinkError: the meta describes a link.
    """
    said, name = (meta, meta.name) if isinstance(meta, ObjectMeta) else (_NOTHING, meta)
    meta_subject(bucket, name)  # checks the name
    options = said.options or _NO_OPTIONS
    if options.link is not None:
        raise LinkError("a link has no payload; use link() or link_store()", name=name)
    # Mostly nobody says a size; then nothing is looked at here, on the way of each small put.
    if not (chunk_size is said.max_chunk_size is options.chunk_size is None):
        chunk_size = _chosen_size(chunk_size, said.max_chunk_size, options.chunk_size)
    description = said.description if description is None else description
    headers = said.headers if headers is None else headers
    metadata = said.metadata if metadata is None else metadata
    mime = said.mime if mime is None else mime
    # Of most objects little is said: only that is looked at.
    fields: dict[str, Any] = {"options": options_for(chunk_size)}
    if description is not None:
        fields["description"] = description_text(description)
    if metadata is not None:
        fields["metadata"] = metadata_dict(metadata)
    if headers is not None or mime is not None:
        fields["header_values"] = with_mime(header_lists(headers), mime)
    if ttl is not None:
        fields["ttl"] = _life_time(ttl)
    return new_info(bucket, name, **fields)


def redescribe(
    info: ObjectInfo,
    *,
    description: str | Unset | None,
    mime: str | Unset | None,
    headers: Headers | Unset | None,
    metadata: Mapping[str, str] | Unset | None,
) -> ObjectInfo:
    """Change some of what describes a record; None clears, UNSET leaves as it is.

    New headers leave the media type alone, unless they have one.

    Raises:
        InvalidOptionError: something said cannot be stored.
    """
    # Only what was said: what the record has beside that, others' fields too, stays.
    changes: dict[str, Any] = {}
    if not isinstance(description, Unset):
        changes["description"] = description_text(description)
    if not isinstance(metadata, Unset):
        changes["metadata"] = metadata_dict(metadata)
    lists = {name: list(values) for name, values in info.header_values.items()}
    if not isinstance(headers, Unset):
        given = header_lists(headers)
        types = {name: values for name, values in lists.items() if _is_content_type(name)}
        # The media type is a header for ADR-20, but an attribute of its own for the user.
        lists = given if any(map(_is_content_type, given)) else {**types, **given}
    if not isinstance(mime, Unset):
        lists = {name: values for name, values in lists.items() if not _is_content_type(name)}
        lists = with_mime(lists, mime)
    return info.with_changes(header_values=lists, **changes)


#: What a file is that was compressed, whatever is in it.
_COMPRESSED = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
    "compress": "application/x-compress",
    "br": "application/octet-stream",
}


def guess_mime(name: str) -> str | None:
    """Guess the media type of a file by its name."""
    import mimetypes  # here: few need it, and all would wait for it

    # Of "a.tar.gz" it says tar, with the encoding gzip: a reader would be told that the bytes are a
    # tar.
    mime, encoding = mimetypes.guess_type(name)
    return mime if encoding is None else _COMPRESSED.get(encoding)


def given(argument: Any, field: Any) -> Any:
    """Return an argument, or else a meta's field, where None says nothing."""
    if isinstance(argument, Unset) and field is not None:
        return field
    return argument


# --- headers and texts


def header_lists(headers: object) -> dict[str, list[str]]:
    """Bring headers into the form that is stored: a list of values for each name.

    Arguments:
        headers: a mapping of names to a text or to several (``HTTPHeaderDict`` is one), or
            None.

    Raises:
        InvalidOptionError: a name or value is not text or cannot stand in a header: other NATS
            tools send these on as headers, so CR, LF and NUL are refused.
    """
    if headers is None:
        return {}
    if not isinstance(headers, Mapping):
        raise InvalidOptionError(f"headers are a mapping, not {type(headers).__name__}")
    # HTTPHeaderDict has it: by the name alone it gives several values joined into one.
    getlist = getattr(headers, "getlist", None)
    lists: dict[str, list[str]] = {}
    for name in headers:
        # Printable ASCII but the colon: what stands in a NATS header line as a name.
        if not isinstance(name, str) or not re.fullmatch(r"[!-9;-~]+", name):
            raise InvalidOptionError(f"a header cannot be named {name!r}")
        lists[name] = _header_values(name, headers[name] if getlist is None else getlist(name))
    return lists


def _header_values(name: str, given: object) -> list[str]:
    """Return the values of a header as a list, checked."""
    values = [given] if isinstance(given, str) else _list_of(name, given)
    for value in values:
        # Printable ASCII is text on one line, and encodes; a look at all else costs more.
        if isinstance(value, str) and value.isascii() and value.isprintable():
            continue
        if not isinstance(value, str) or _NOT_ON_ONE_LINE.search(value):
            raise InvalidOptionError(
                f"the header {name} cannot have the value {value!r}: text on one line is needed"
            )
        _check_text(f"the header {name}", value)
    return values


def _list_of(name: object, given: object) -> list[Any]:
    # Bytes can be iterated, too, and would become numbers.
    if isinstance(given, Iterable) and not isinstance(given, (bytes, bytearray, Mapping)):
        return list(given)
    raise InvalidOptionError(
        f"the header {name} has a value of type {type(given).__name__}; it must be text, or several"
    )


def metadata_dict(metadata: object) -> dict[str, str]:
    """Check metadata: pairs of text.

    Raises:
        InvalidOptionError: they are something else.
    """
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        raise InvalidOptionError(f"metadata is a mapping, not {type(metadata).__name__}")
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise InvalidOptionError(
                f"metadata has texts as keys and values; {key!r}: {value!r} is not so. "
                "Use str(), or json.dumps() for structures"
            )
        _check_text("metadata", key + value)
    return dict(metadata)


def description_text(description: object) -> str:
    """Check a description.

    Raises:
        InvalidOptionError: it is not text.
    """
    if description is None:
        return ""
    if not isinstance(description, str):
        raise InvalidOptionError(f"a description is text, not {type(description).__name__}")
    _check_text("the description", description)
    return description


def with_mime(headers: dict[str, list[str]], mime: str | None) -> dict[str, list[str]]:
    """Replace the ``Content-Type`` of headers, unless ``mime`` is None.

    Raises:
        InvalidOptionError: ``mime`` cannot stand in a header.
    """
    if mime is None:
        return headers
    rest = {name: values for name, values in headers.items() if not _is_content_type(name)}
    rest[CONTENT_TYPE] = _header_values(CONTENT_TYPE, mime)
    return rest


def _is_content_type(name: str) -> bool:
    """Tell whether a header is the media type."""
    return name.lower() == CONTENT_TYPE.lower()


def check_plain(option: str, value: object) -> None:
    """Check a text that may be empty.

    Raises:
        InvalidOptionError: it is not text.
    """
    if not isinstance(value, str):
        raise InvalidOptionError(f"{option} is {value!r}; it must be text")


def _check_text(what: str, text: str) -> None:
    try:
        # A lone surrogate is text for Python, and cannot be stored as JSON in UTF-8.
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidOptionError(f"{what} holds text that does not encode as UTF-8") from error


# --- numbers


def _chosen_size(*sizes: int | None) -> int:
    """Choose the first chunk size of several; all that were given are checked.

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
    return None if timeout is None else seconds("timeout", timeout)


def _life_time(ttl: timedelta | float) -> timedelta:
    """Check an object's life time.

    Raises:
        InvalidOptionError: it is not a timedelta or a number of seconds, below one second, or more
            than the server counts.
    """
    duration = to_timedelta(ttl)
    if duration is None or duration > LONGEST_LIFE:
        what = "it must be a timedelta or seconds, of at most 292 years"
        raise InvalidOptionError(f"ttl is {ttl!r}; {what}")
    # Nats-TTL counts whole seconds (ADR-43).
    if duration < timedelta(seconds=1):
        raise InvalidOptionError(f"ttl is {ttl!r}; the least is one second")
    return duration


def garbage_age(min_age: timedelta | float) -> timedelta:
    """Check the age that garbage must have.

    Raises:
        InvalidOptionError: it is not a timedelta or a number of seconds, or negative.
    """
    age = to_timedelta(min_age)
    if age is None or age < timedelta():
        raise InvalidOptionError(f"min_age is {min_age!r}; it must be a timedelta or seconds")
    return age


def check_range(start: object, end: object) -> None:
    """Check the ends of a part.

    Raises:
        InvalidOptionError: one is no whole number.
    """
    for number in (start, end):
        # numpy's integers are whole numbers, too; a bool is none.
        if number is not None and to_whole(number) is None:
            raise InvalidOptionError(f"start and end are whole numbers, not {number!r}")


# --- of buckets


def positive(option: str, value: object) -> int:
    """Check a number of bytes, servers or messages.

    Raises:
        InvalidOptionError: it is no such number.
    """
    return whole(option, value, "a positive whole number of at most 63 bits", most=(1 << 63) - 1)


def one_of(option: str, kind: type[enum.Enum], value: object) -> str:
    """Check a choice, and return its value.

    Raises:
        InvalidOptionError: it is none of the choices.
    """
    try:
        return str(kind(value).value)
    except ValueError:
        known = ", ".join(str(member.value) for member in kind)
        raise InvalidOptionError(f"{option} is {value!r}; it must be one of {known}") from None


def instance_of(option: str, kind: type[T], value: object) -> T:
    """Check an object of one of our types.

    Raises:
        InvalidOptionError: it is of another type.
    """
    if not isinstance(value, kind):
        raise InvalidOptionError(f"{option} is {value!r}; it must be of type {kind.__name__}")
    return value


def word(what: str, value: object) -> str:
    """Check a text without spaces.

    Raises:
        InvalidOptionError: it is no text, or has spaces.
    """
    if not isinstance(value, str) or not re.fullmatch(r"[^\s\0]+", value):
        raise InvalidOptionError(f"{what} is {value!r}; it must be a text without spaces")
    return value


def to_nanoseconds(option: str, value: object) -> int:
    """Check a duration, and return it in nanoseconds, exactly.

    Raises:
        InvalidOptionError: it is no duration, or a negative or too long one.
    """
    nanoseconds = -1
    if isinstance(value, timedelta):  # exactly: as a float of seconds long ones lose some
        nanoseconds = value // timedelta(microseconds=1) * 1000
    else:
        whole_number = to_whole(value)  # exactly, too
        number = to_seconds(value) if whole_number is None else whole_number
        if number is not None and 0 <= number < LONGEST:
            nanoseconds = round(number * 1_000_000_000)
    if not 0 <= nanoseconds < 1 << 63:
        raise InvalidOptionError(
            f"{option} is {value!r}; it must be a timedelta or seconds, of at most 292 years"
        )
    return nanoseconds
