"""``open``: an object as a file, to be read or written, of bytes or of text."""

from __future__ import annotations

import codecs
import io
from contextlib import ExitStack, closing
from typing import Any, cast

from objstore.errors import InvalidOptionError, ObjectExistsError
from objstore.get.reader import ObjectResult
from objstore.metadata.current import find_current
from objstore.model.arguments import check_revision, check_timeout, describe
from objstore.model.described_later import (
    HeadersOption,
    MetadataOption,
    SaidAtCommit,
    said_now,
)
from objstore.model.objects import ObjectInfo, is_free
from objstore.progress import ProgressOption, start_progress
from objstore.put.one_object import begin_put, chunk_size_of
from objstore.put.upload import Put
from objstore.put.writer import ObjectWriter, TextWriter
from objstore.store import read
from objstore.store.handle import BucketHandle

__all__ = ["open_object"]

MODES = ("rb", "wb", "xb", "r", "w", "x", "rt", "wt", "xt")


def open_object(
    handle: BucketHandle,
    name: str,
    mode: str = "rb",
    *,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    **put_options: Any,
) -> Any:
    """Open an object as a file."""
    if mode not in MODES:
        raise InvalidOptionError(
            f'the mode is {mode!r}; it must be "r", "w" or "x", with "b" for bytes', name=name
        )
    # Before anything is asked or sent, as all arguments.
    text = _text_options(mode, encoding=encoding, errors=errors, newline=newline)
    if mode[0] == "r":
        if put_options:
            raise InvalidOptionError(f"reading takes no {', '.join(put_options)}")
        result = _open_to_read(handle, name)
        return result if text is None else io.TextIOWrapper(result, **text)
    writer = _open_to_write(handle, name, mode[0] == "x", **put_options)
    # Not io.TextIOWrapper: its end, whatever the reason, closes the file, and so would store half
    # an object.
    return writer if text is None else TextWriter(cast("Any", writer), **text)


def _open_to_read(handle: BucketHandle, name: str) -> ObjectResult:
    result = read.get(handle, name)
    if result is None:
        raise handle.not_found(name)
    return result


def _open_to_write(
    handle: BucketHandle,
    name: str,
    exclusive: bool,
    *,
    if_revision: int | None = None,
    progress: ProgressOption = None,
    timeout: float | None = None,
    headers: HeadersOption = None,
    metadata: MetadataOption = None,
    **description: Any,
) -> ObjectWriter:
    description |= {"headers": said_now(headers), "metadata": said_now(metadata)}
    info = _describe(handle, name, description)
    if_revision = check_revision(if_revision)
    timeout = check_timeout(timeout)

    def refuse(found: ObjectInfo | None) -> ObjectInfo:
        # Called before the first chunk, so that none is sent in vain, and at a conflict in the
        # commit.
        if not is_free(found):
            raise ObjectExistsError(
                f"{name!r} exists already in bucket {handle.name}", bucket=handle.name, name=name
            )
        return info if put is None else put.described

    put: Put | None = None
    with ExitStack() as resources:
        bar = resources.enter_context(closing(start_progress(progress, name, None)))
        if exclusive:
            refuse(find_current(handle.records, name))
        # The size of a file that is being written is not known.
        size = chunk_size_of(handle.records, info, None)
        on_conflict = refuse if exclusive else None
        put = begin_put(handle.records, info, size, if_revision, on_conflict, bar, timeout)
        said = SaidAtCommit(put.described, headers, metadata)
        # From now on the file closes the bar; where anything failed before, it is closed here.
        return ObjectWriter(put, said, handle.name, name, size, resources.pop_all())


def _describe(handle: BucketHandle, name: str, description: dict[str, Any]) -> ObjectInfo:
    """Return the record of the object to be written, as far as it is known at the beginning.

    Raises:
        InvalidOptionError: an option is not one of ``put``, or cannot be used.
        InvalidNameError: the name cannot be one.
    """
    try:
        return describe(handle.name, name, **description)
    except TypeError as error:
        # Python's own words for a keyword argument that describe does not have, but for its name.
        what = str(error).partition("() ")[2]
        raise InvalidOptionError(f"open() for writing {what}", name=name) from None


def _text_options(mode: str, **options: str | None) -> dict[str, Any] | None:
    """Return how to wrap a binary file for text; None: the mode is not for text.

    Raises:
        InvalidOptionError: an option for text was given for a binary file, or is no such option.
    """
    if mode.endswith("b"):
        given = [option for option, value in options.items() if value is not None]
        if given:
            raise InvalidOptionError(f"binary mode takes no {', '.join(given)}")
        return None
    # Not the platform's: an object is read on other machines.
    options["encoding"] = options["encoding"] or "utf-8"
    try:
        # TextIOWrapper looks at it only when the first character cannot be encoded.
        codecs.lookup_error(options["errors"] or "strict")
        # Tried on nothing: Python knows best which encodings and newlines there are.
        io.TextIOWrapper(io.BytesIO(), **cast("Any", options))
    except (LookupError, ValueError, TypeError) as error:
        raise InvalidOptionError(f"text mode: {error}") from None
    return options
