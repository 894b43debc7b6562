"""What users say of objects and buckets, checked: headers, metadata, descriptions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from objstore.errors import InvalidOptionError

__all__ = ["description_text", "header_lists", "metadata_dict", "with_mime"]

CONTENT_TYPE = "Content-Type"


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
    getlist = getattr(headers, "getlist", None)
    lists: dict[str, list[str]] = {}
    for name in headers:
        given = headers[name] if getlist is None else getlist(name)
        values = [given] if isinstance(given, str) else _list_of(name, given)
        if not isinstance(name, str) or not re.fullmatch(r"[!-9;-~]+", name):
            raise InvalidOptionError(f"a header cannot be named {name!r}")
        for value in values:
            if not isinstance(value, str) or re.search("[\r\n\0]", value):
                raise InvalidOptionError(
                    f"the header {name} cannot have the value {value!r}: text on one line is needed"
                )
            _check_text(f"the header {name}", value)
        lists[name] = values
    return lists


def _list_of(name: object, given: object) -> list[Any]:
    if isinstance(given, Iterable) and not isinstance(given, (bytes, bytearray, Mapping)):
        return list(given)
    raise InvalidOptionError(f"the header {name} has a value of type {type(given).__name__}")


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
    """Headers with their ``Content-Type`` replaced, unless ``mime`` is None.

    Raises:
        InvalidOptionError: ``mime`` cannot stand in a header.
    """
    if mime is None:
        return headers
    checked = header_lists({CONTENT_TYPE: mime})
    rest = {name: values for name, values in headers.items() if name.lower() != "content-type"}
    return {**rest, **checked}


def _check_text(what: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidOptionError(f"{what} holds text that does not encode as UTF-8") from error
