"""ADR-20's names and records: what describes an object, and the subjects it is stored under.

Pure data: nothing here talks to a server. The templates of the subjects stand here and nowhere
else; the records' JSON is :mod:`objstore.model.record_json`'s.
"""

from __future__ import annotations

import base64
import binascii
import functools
import operator
import re
import reprlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from objstore.errors import InvalidNameError
from objstore.wire.jetstream.times import parse_time

if TYPE_CHECKING:
    from urllib3 import HTTPHeaderDict

__all__ = [
    "DIGEST_PREFIX",
    "Headers",
    "ObjectInfo",
    "ObjectLink",
    "ObjectMeta",
    "ObjectMetaOptions",
    "bucket_subjects",
    "check_bucket_name",
    "chunk_subject",
    "decode_digest",
    "is_free",
    "link_target",
    "meta_subject",
    "stream_name",
    "url_safe_base64",
]

Headers = Mapping[str, str | Iterable[str]]

DIGEST_PREFIX = "SHA-256="

BUCKET = re.compile(r"[A-Za-z0-9_-]+")

_URL_SAFE = bytes.maketrans(b"+/", b"-_")

#: ADR-20's chunk size, in bytes; of objects whose metadata state none, too.
DEFAULT_CHUNK_SIZE = 128 << 10

#: The longest object name, in bytes of UTF-8. Its base64 stands in the subject, and a command
#: line of 4,096 bytes holds that beside the API prefix, the bucket and the reply subject; the
#: exact check is made when the line is written.
MAX_NAME = 2900

#: The longest bucket name: with the four characters before it, nats-server's longest stream name.
MAX_BUCKET = 255 - 4


# --- names and subjects


def check_bucket_name(bucket: str) -> str:
    """Check a bucket's name: letters, digits, dash and underscore (ADR-20, ADR-6), at most 251.

    Raises:
        InvalidNameError: it is not.
    """
    if not isinstance(bucket, str):
        raise InvalidNameError(f"a bucket's name is text, not {type(bucket).__name__}")
    if not BUCKET.fullmatch(bucket):
        raise InvalidNameError(
            f"{bucket!r} cannot be a bucket's name: it takes letters A-Z and a-z, digits, - and _",
            bucket=bucket,
        )
    if len(bucket) > MAX_BUCKET:
        what = f"{len(bucket)} characters cannot be a bucket's name: {MAX_BUCKET} are possible"
        raise InvalidNameError(what, bucket=bucket)
    return bucket


def url_safe_base64(raw: bytes) -> str:
    """Encode bytes by RFC 4648's alphabet for URLs."""
    # As base64.urlsafe_b64encode, without its two calls in Python: 0.4 µs in place of 0.7, which a
    # listing pays for each object.
    return binascii.b2a_base64(raw, newline=False).translate(_URL_SAFE).decode()


def stream_name(bucket: str) -> str:
    """Return the name of the stream behind a bucket."""
    return f"OBJ_{bucket}"


def bucket_of_stream(stream: str) -> str | None:
    """Return the bucket that a stream is behind, or None."""
    # Others' streams may be called so, too: what follows must be a bucket's name.
    return stream[4:] if stream.startswith("OBJ_") and BUCKET.fullmatch(stream[4:]) else None


def chunk_subject(bucket: str, nuid: str) -> str:
    """Return the subject of an object's chunks; with nuid ``>`` the pattern of all."""
    return f"$O.{bucket}.C.{nuid}"


def name_of(subject: str) -> str | None:
    """Return the name that a metadata subject is of; None: another client's odd one."""
    try:
        return base64.urlsafe_b64decode(subject.rpartition(".")[2]).decode()
    except ValueError:
        return None


def meta_subject(bucket: str, name: str) -> str:
    """Return the subject of an object's metadata: its name there is URL-safe base64 of its UTF-8.

    Raises:
        InvalidNameError: the name is empty, not text, or too long for a protocol line.
    """
    if not isinstance(name, str):
        raise InvalidNameError(f"an object's name is text, not {type(name).__name__}")
    try:
        raw = name.encode()
    except UnicodeEncodeError as error:
        raise InvalidNameError(
            f"{name!r} cannot be an object's name: it does not encode as UTF-8", name=name
        ) from error
    if not raw:
        raise InvalidNameError("an object's name cannot be empty", name=name)
    # Found before anything is sent: a server ends the connection at a longer protocol line.
    if len(raw) > MAX_NAME:
        what = f"an object's name of {len(raw)} bytes is too long; at most {MAX_NAME} are possible"
        raise InvalidNameError(what, name=name)
    return f"$O.{bucket}.M.{url_safe_base64(raw)}"


def all_meta_subject(bucket: str) -> str:
    """Return the pattern of the metadata subjects of all objects."""
    return f"$O.{bucket}.M.>"


def bucket_subjects(bucket: str) -> list[str]:
    """Return the subjects of a bucket's stream: of the chunks, and of the metadata (ADR-20)."""
    return [chunk_subject(bucket, ">"), all_meta_subject(bucket)]


def encode_digest(raw: bytes) -> str:
    """Encode a SHA-256 digest as metadata have it: base64 that is safe in URLs (ADR-20)."""
    return DIGEST_PREFIX + url_safe_base64(raw)


#: The algorithm's name as clients have written it, and what follows.
_SHA_256 = re.compile(r"sha[-_]?256[=:](.+)", re.IGNORECASE | re.DOTALL)
_HEX = re.compile(r"[0-9a-fA-F]{64}")
_BASE64 = re.compile(r"[0-9A-Za-z+/_-]{43}=?")


def decode_digest(text: str) -> bytes | None:
    """Decode a SHA-256 digest as any client writes it.

    Read are both alphabets of base64, with padding or without (nats.js before 2023 left it out),
    hexadecimal digits (nats.zig), the algorithm's name in any case, and blanks anywhere.

    Arguments:
        text: the record's ``digest``.

    Returns:
        Its 32 bytes; None: it is no SHA-256 digest.
    """
    found = _SHA_256.fullmatch("".join(text.split()))
    if found is None:
        return None
    value = found[1]
    if _HEX.fullmatch(value):
        return bytes.fromhex(value)
    if not _BASE64.fullmatch(value):
        return None
    # 43 characters are 32 bytes; the one that pads is written anew, whether it was there or not.
    return binascii.a2b_base64(value[:43].replace("-", "+").replace("_", "/") + "=")


# --- records


@dataclass(frozen=True)
class ObjectLink:
    """Where a link leads (ADR-20).

    Attributes:
        bucket: the bucket.
        name: the object in it; None: the bucket itself, like a directory.
    """

    bucket: str
    name: str | None = None


@dataclass(frozen=True)
class ObjectMetaOptions:
    """ADR-20's options of an object.

    Attributes:
        link: set where the object is a link.
        chunk_size: the size of its chunks, the last one excepted, in bytes.
    """

    link: ObjectLink | None = None
    chunk_size: int | None = None


@dataclass(frozen=True)
class ObjectMeta:
    """What a user says of an object.

    Attributes:
        name: any text, unrestricted.
        description: free text.
        mime: the media type, stored as the header ``Content-Type``.
        max_chunk_size: the size of its chunks, in bytes; None: chosen by the object's size.
        headers: one value or several for each name.
        metadata: free pairs of text.
        options: a link, a chunk size.
    """

    name: str
    description: str | None = None
    mime: str | None = None
    max_chunk_size: int | None = None
    headers: Headers | None = None
    metadata: Mapping[str, str] | None = None
    options: ObjectMetaOptions | None = None


#: Where a record has that which its ``mtime`` is made of at the first look: what the server said,
#: or what asks for it.
MTIME_LATER = "_mtime_later"


def _unknown() -> datetime | None:
    """Return no time. (A plain default would be found in the class where a record has none yet.)"""
    return None


def mtime_of(time: str | int) -> datetime | None:
    """Return when a record was stored, as the server said it; None: it is no time."""
    try:
        return parse_time(time)
    except ValueError:
        return None


@dataclass(frozen=True, eq=False, repr=False)
class ObjectInfo:
    """An object as the bucket describes it.

    What a method that stores something returns equals what ``info`` says of it afterwards. The
    one thing that its acknowledgement does not tell, the time at which the stream stored it, is
    asked for when ``mtime`` is first looked at, by one request; also by ``==`` where all else is
    equal, and by pickling. Where the record has been replaced since, or the connection is closed
    or lost, it is the moment of the acknowledgement by this machine's clock, milliseconds later.

    Attributes:
        bucket: the bucket that the object is in.
        name: the object's name.
        description: free text, or ``""``.
        size: the object's size, in bytes.
        chunks: how many chunks it has.
        digest: ``SHA-256=`` and URL-safe base64, or ``""``.
        mtime: when the metadata was stored, by the server's clock; None where it is not stored.
        metadata: free pairs of text.
        deleted: whether it is a tombstone.
        options: its chunk size and link.
        nuid: the last token of its chunks' subject.
        revision: the sequence of its metadata in the stream.
        ttl: the life time after which it expires, counted from ``mtime``; None: never by itself.
        header_values: the values of each header, in order.
        extra: JSON fields that others wrote and this client does not know.
    """

    bucket: str
    name: str
    description: str = ""
    size: int = 0
    chunks: int = 0
    digest: str = ""
    mtime: datetime | None = field(default_factory=_unknown)
    metadata: Mapping[str, str] = field(default_factory=dict)
    deleted: bool = False
    options: ObjectMetaOptions = field(default_factory=ObjectMetaOptions)
    nuid: str = ""
    revision: int = 0
    ttl: timedelta | None = None
    header_values: Mapping[str, list[str]] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((self.bucket, self.name, self.nuid, self.revision))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ObjectInfo):
            return NotImplemented
        # The time last: where it is not known yet, it costs a request.
        return _but_mtime(self) == _but_mtime(other) and self.mtime == other.mtime

    def __repr__(self) -> str:
        """Return one line for people: what says something, shortened where it is long."""
        mtime = self._known_mtime()
        said = dict(  # noqa: C408 - the attributes' names, not those of ADR-20's JSON
            size=self.size,
            mime=self.mime,
            mtime=None if mtime is None else mtime.isoformat(" ", "milliseconds"),
            revision=self.revision,
            deleted=self.deleted,
            link=self.link,
            description=self.description,
            headers=self._other_headers(),
            metadata=dict(self.metadata),
            ttl=None if self.ttl is None else str(self.ttl),
            chunks=self.chunks,
            digest=self.digest,
            nuid=self.nuid,
        )
        words = [f"{key}={_shorten.repr(value)}" for key, value in said.items() if value]
        name = f"bucket={self.bucket!r}, name={_shorten_name.repr(self.name)}"
        return f"ObjectInfo({', '.join([name, *words])})"

    def _repr_html_(self) -> str:
        """Return a small table for notebooks."""
        from objstore.notebook.html import Size, record

        kind = f"{'deleted object' if self.deleted else 'object'} in bucket {self.bucket}"
        fields = {
            "size": None if self.deleted or self.link else Size(self.size),
            "link": self.link and f"→ {link_target(self.link)}",
            "mime": self.mime,
            "mtime": self._known_mtime(),
            "ttl": self.ttl,
            "description": self.description,
            "headers": self._other_headers(),
            "metadata": self.metadata,
            "chunks": self.chunks or None,
            "digest": self.digest,
            "revision": self.revision,
        }
        return record(self.name, kind, fields)

    def _known_mtime(self) -> datetime | None:
        """Return ``mtime`` if it is known: a repr asks no server."""
        return None if callable(self.__dict__.get(MTIME_LATER)) else self.mtime

    def _other_headers(self) -> dict[str, list[str]]:
        """Return the headers without the media type."""
        return {n: v for n, v in self.header_values.items() if n.lower() != "content-type"}

    if not TYPE_CHECKING:  # a type checker would take any name for an attribute

        def __getattr__(self, name: str) -> Any:
            """Get ``mtime`` where it is not known yet; nothing else is ever missing."""
            fields = self.__dict__
            later = fields.get(MTIME_LATER) if name == "mtime" else None
            if later is not None:  # of two threads that look the first one's counts
                fields.setdefault(name, later() if callable(later) else mtime_of(later))
                fields.pop(MTIME_LATER, None)
            try:
                return fields[name]
            except KeyError:
                raise AttributeError(
                    f"{type(self).__name__!r} object has no attribute {name!r}"
                ) from None

    def __getstate__(self) -> dict[str, Any]:
        """Return all that is known, the time included: a copy cannot ask for it."""
        _ = self.mtime
        return self.__dict__

    @property
    def link(self) -> ObjectLink | None:
        """Where the object leads, if it is a link; else None."""
        return self.options.link

    @property
    def headers(self) -> HTTPHeaderDict:
        """The headers: a case-insensitive mapping with ``getlist(name)``; a copy each time."""
        # Imported here: it takes 100 ms, and most who list a bucket never look at headers.
        from urllib3 import HTTPHeaderDict

        headers = HTTPHeaderDict()
        for name, values in self.header_values.items():
            for value in values:
                headers.add(name, value)
        return headers

    @property
    def mime(self) -> str | None:
        """The media type: the first value of the header ``Content-Type``."""
        return _mime(self.header_values)

    @property
    def sha256(self) -> str | None:
        """The digest in hex; None where there is none, as for links, or it is no SHA-256."""
        raw = decode_digest(self.digest)
        return None if raw is None else raw.hex()

    def with_changes(self, **changes: Any) -> ObjectInfo:
        """Return a copy with some fields changed.

        Arguments:
            changes: the new values, by the fields' names.
        """
        # A wrong name would be stored silently: the fields are written past the constructor.
        if not changes.keys() <= _NEW.keys():
            raise TypeError(f"a record has no {', '.join(changes.keys() - _NEW.keys())}")
        # A copy of the dictionary and no constructor, see from_fields.
        fields = {**self.__dict__, **changes}
        if "mtime" in changes:
            fields.pop(MTIME_LATER, None)
        return from_fields(fields)


class Unreadable(ObjectInfo):
    """The record of a name that nobody can read; it may be overwritten and deleted.

    Of its attributes the bucket, the name and the revision are known; the rest is empty.
    """


def unreadable(bucket: str, name: str, revision: int) -> Unreadable:
    """Make the record of a name of which only the revision is known."""
    info = object.__new__(Unreadable)
    info.__dict__.update(new_info(bucket, name, revision=revision).__dict__)
    return info


def is_free(found: ObjectInfo | None) -> bool:
    """Tell whether a name may be taken: nothing is there, a tombstone, or an unreadable record."""
    return found is None or found.deleted or isinstance(found, Unreadable)


def from_fields(fields: dict[str, Any]) -> ObjectInfo:
    """Make the record with all these fields.

    The constructor of a frozen class sets each by a call of its own, in 2.4 µs; this takes 0.3.

    Arguments:
        fields: by the attributes' names; the record's own from now on.
    """
    info = object.__new__(ObjectInfo)
    object.__setattr__(info, "__dict__", fields)
    return info


@functools.lru_cache(maxsize=64)
def options_for(chunk_size: int | None) -> ObjectMetaOptions:
    """Return the options of nearly every object; a bucket has few chunk sizes."""
    return ObjectMetaOptions(None, chunk_size)


def new_info(bucket: str, name: str, **fields: Any) -> ObjectInfo:
    """Make the record of a new object from what is known of it; the rest is empty."""
    own: dict[str, Any] = {"metadata": {}, "header_values": {}, "extra": {}}
    return from_fields({**_NEW, **own, "bucket": bucket, "name": name, **fields})


def stored_info(info: ObjectInfo, revision: int, ask: Callable[[], datetime]) -> ObjectInfo:
    """Return the record as the stream has acknowledged it.

    Arguments:
        info: what was sent.
        revision: its sequence.
        ask: finds out when it was stored, at the first look at ``mtime``; never raises.
    """
    fields = {**info.__dict__, "revision": revision, MTIME_LATER: ask}
    fields.pop("mtime", None)
    return from_fields(fields)


def link_target(link: ObjectLink) -> str:
    """Return where a link leads, for people."""
    return f"bucket {link.bucket}" if link.name is None else f"{link.bucket}:{link.name}"


def _mime(headers: Mapping[str, list[str]]) -> str | None:
    for name, values in headers.items():
        if name.lower() == "content-type" and values:
            return values[0]
    return None


_NEW = ObjectInfo("", "").__dict__  # what every new object has
_but_mtime = operator.attrgetter(*(name for name in _NEW if name != "mtime"))

_shorten, _shorten_name = reprlib.Repr(), reprlib.Repr()
_shorten.maxstring, _shorten.maxdict, _shorten.maxlist, _shorten.maxother = 60, 4, 3, 200
_shorten_name.maxstring = 200
