"""What is said of an object when its payload has been read to its end: headers, metadata."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from objstore.model.arguments import header_lists, metadata_dict, with_mime
from objstore.model.objects import Headers, ObjectInfo

if TYPE_CHECKING:
    from urllib3 import HTTPHeaderDict

__all__ = ["HeadersOption", "MetadataOption", "SaidAtCommit", "said_now", "take_functions"]

#: What ``headers=`` and ``metadata=`` of a put can be.
HeadersOption = Headers | Callable[[], Headers | None] | None
MetadataOption = Mapping[str, str] | Callable[[], Mapping[str, str] | None] | None

_T = TypeVar("_T")


def said_now(option: _T | Callable[[], _T | None] | None) -> _T | None:
    """Return what is said at the beginning; None, if a function will say it at the commit."""
    return None if callable(option) else option


def finisher(
    headers: HeadersOption, metadata: MetadataOption
) -> Callable[[ObjectInfo], ObjectInfo] | None:
    """Make the function that completes a record at the commit; None: all is said.

    It raises InvalidOptionError where a function gives what cannot be stored.
    """
    if not callable(headers) and not callable(metadata):
        return None

    def finish(info: ObjectInfo) -> ObjectInfo:
        changes: dict[str, Any] = {}
        # Checked when they come, as those given at once are; the media type was said apart and
        # stays.
        if callable(headers):
            changes["header_values"] = with_mime(header_lists(headers()), info.mime)
        if callable(metadata):
            changes["metadata"] = metadata_dict(metadata())
        return info.with_changes(**changes)

    return finish


def take_functions(
    description: dict[str, Any],
) -> Callable[[ObjectInfo], ObjectInfo] | None:
    """Take the functions out of what is said of an object; they are called at the commit.

    Arguments:
        description: the keyword arguments of a put; changed.

    Returns:
        As :func:`finisher`.
    """
    said = {name: description.get(name) for name in ("headers", "metadata")}
    finish = finisher(**said)
    if finish is not None:
        description.update((name, said_now(option)) for name, option in said.items())
    return finish


class SaidAtCommit:
    """Headers and metadata that may change until the commit.

    Arguments:
        info: what is said of the object at the beginning.
        headers, metadata: what the file was opened with; functions count here.
    """

    def __init__(
        self, info: ObjectInfo, headers: HeadersOption = None, metadata: MetadataOption = None
    ) -> None:
        self._info = info
        self._headers: HTTPHeaderDict | None = None  # once somebody has looked at them
        self._metadata: dict[str, str] | None = None
        self._finishers = {"headers": finisher(headers, None), "metadata": finisher(None, metadata)}

    @property
    def headers(self) -> HTTPHeaderDict:
        """The headers, to be changed; not where a function is going to say all of them."""
        if self._headers is None:
            # Made at the first look: urllib3's dictionary costs 100 ms to import, and most writers
            # set no headers.
            self._headers = self._info.headers
        return self._headers

    def set_headers(self, headers: HeadersOption) -> None:
        """Replace the headers; the media type stays, unless they have one.

        Raises:
            InvalidOptionError: they cannot be stored.
        """
        self._finishers["headers"] = finisher(headers, None)
        lists = header_lists(said_now(headers))
        info = self._info.with_changes(header_values=lists)
        if info.mime is None:
            info = info.with_changes(header_values=with_mime(lists, self._info.mime))
        self._headers = info.headers

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata, to be changed; not where a function is going to say all of them."""
        if self._metadata is None:
            self._metadata = dict(self._info.metadata)
        return self._metadata

    def set_metadata(self, metadata: MetadataOption) -> None:
        """Replace the metadata.

        Raises:
            InvalidOptionError: they cannot be stored.
        """
        self._finishers["metadata"] = finisher(None, metadata)
        self._metadata = metadata_dict(said_now(metadata))

    def apply(self, info: ObjectInfo) -> ObjectInfo:
        """Complete a record with the headers and metadata of this moment.

        Raises:
            InvalidOptionError: what was changed cannot be stored.
            And what a function raises.
        """
        changes: dict[str, Any] = {}
        if self._headers is not None:
            changes["header_values"] = header_lists(self._headers)
        if self._metadata is not None:
            changes["metadata"] = metadata_dict(self._metadata)
        info = info.with_changes(**changes)
        # Last, so that a function has the last word over what was set before.
        for finish in self._finishers.values():
            info = info if finish is None else finish(info)
        return info
