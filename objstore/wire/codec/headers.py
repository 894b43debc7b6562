"""Header blocks of messages: their bytes to names and values, and back.

Pure, as :mod:`objstore.wire.codec.protocol` is. Source: ADR-4.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from objstore.errors import InvalidOptionError, ProtocolError

__all__ = ["decode_text", "encode_headers", "parse_headers"]

_VERSION = b"NATS/1.0"
_BLANK = b" \t"


def decode_text(raw: bytes) -> str:
    """Decode text that others wrote; what is not UTF-8 becomes lone surrogates: nothing is lost."""
    return raw.decode("utf-8", "surrogateescape")


def parse_headers(header: bytes) -> tuple[int, str, dict[str, list[str]]]:
    """Read a header block.

    Arguments:
        header: the block of a message, version line included.

    Returns:
        The status (three digits, or 0 where there is none), its description, and the values of
        each name, in order, without the blanks and tabs around them.

    Raises:
        ProtocolError: the block is malformed.
    """
    lines = header.split(b"\r\n")
    first = lines[0]
    # The block ends with an empty line: its last two pieces are empty.
    if not first.startswith(_VERSION) or len(lines) < 3 or lines[-1] or lines[-2]:
        raise ProtocolError(f"malformed headers: {header[:200]!r}")
    # What may follow the version: a status, and then a description, as in
    # "NATS/1.0 404 Message Not Found".
    rest = first[len(_VERSION) :]
    code, _, description = rest.strip(_BLANK).partition(b" ")
    if code and not (rest[:1] in _BLANK and len(code) == 3 and code.isdigit()):
        raise ProtocolError(f"malformed status: {first[:200]!r}")
    values: dict[str, list[str]] = {}
    for line in lines[1:-2]:
        name, colon, value = line.partition(b":")
        if not colon or not name.strip():
            raise ProtocolError(f"malformed header line: {line[:200]!r}")
        # A name may come several times (ADR-4): a dict of single values would lose some.
        values.setdefault(decode_text(name), []).append(decode_text(value.strip(_BLANK)))
    return int(code or 0), decode_text(description.strip(_BLANK)), values


def encode_headers(headers: Mapping[str, str | Iterable[str]]) -> bytes:
    """Encode headers as a header block.

    Arguments:
        headers: one value or several for each name. Names are visible ASCII without a colon;
            values are any text on one line; blanks around them do not survive reading, and
            neither does a name without values.

    Raises:
        InvalidOptionError: a name or value cannot stand in a header; CR, LF and NUL never can,
            so nothing can be smuggled in.
    """
    lines = [_VERSION]
    for name, value in headers.items():
        if not isinstance(name, str) or not _is_header_name(name):
            raise InvalidOptionError(f"a header cannot be named {name!r}")
        prefix = name.encode() + b": "
        # Text and bytes are iterable, too; here they are one value (bytes: one to be refused).
        several = isinstance(value, Iterable) and not isinstance(value, (str, bytes, bytearray))
        items = value if several else (value,)
        lines.extend(prefix + _header_value(name, item) for item in items)
    lines += [b"", b""]
    return b"\r\n".join(lines)


def _is_header_name(name: str) -> bool:
    return bool(name) and all("!" <= char <= "~" and char != ":" for char in name)


def _header_value(name: str, value: object) -> bytes:
    if not isinstance(value, str):
        raise InvalidOptionError(
            f"the header {name} has a value of type {type(value).__name__}, not str"
        )
    # Checked, not escaped: the protocol knows no way to write them.
    if any(char in value for char in "\r\n\0"):
        raise InvalidOptionError(f"the value of header {name} holds a CR, LF or NUL: {value!r}")
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise InvalidOptionError(f"the value of header {name} is not valid text") from error
