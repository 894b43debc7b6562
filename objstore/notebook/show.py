"""Hands a preview to the notebook."""

from __future__ import annotations

import io
import re
from typing import Any

from objstore.errors import InvalidOptionError, MissingDependencyError
from objstore.notebook.preview import preview
from objstore.wire.connection.arguments import whole

__all__ = ["show"]

#: Of a view on the web: nothing that could be a script.
_ADDRESS = re.compile(r"(https?://|/)[^\s\x00-\x20]+")


def show(file: io.BufferedIOBase, name: str, mime: str | None, limit: int, url: str | None) -> None:
    """Show a file in a notebook; see :meth:`objstore.ObjectResult.show`."""
    limit = whole("limit", limit, "a number of bytes")
    if url is not None and not (isinstance(url, str) and _ADDRESS.fullmatch(url)):
        raise InvalidOptionError(f"url is {url!r}; it must begin with http://, https:// or /")
    try:
        from IPython import display
    except ImportError as error:
        raise MissingDependencyError(
            'show() needs IPython: pip install "nats-objstore[notebook]"'
        ) from error
    present: Any = display.display  # not typed
    present(preview(file, name, mime, limit, url))
