"""A URL as a file that is read once, which goes on where its source drops the connection."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from email.utils import parsedate_to_datetime

import requests
import urllib3

import objstore

__all__ = ["Download", "SourceChangedError"]

#: Answers that say: later, perhaps.
_BUSY = frozenset({429, 500, 502, 503, 504})

#: The longest wait before a try, in seconds.
_LONGEST_WAIT = 8.0

_PART = re.compile(r"bytes (\d+)-\d+/(\d+|\*)", re.ASCII)


class SourceChangedError(Exception):
    """The source has changed, or cannot say that it has not: all of it has to come anew."""


class Download:
    """The requests for one URL: all of its tries.

    Arguments:
        session: of requests.
        url: what is asked for.
        headers: of each request.
        timeout: for a connection, and for each read, in seconds.
        tries: how many requests there may be. One that fails before there was any answer ends it:
            the others are for a source that was there, and may be again.
        max_size: in bytes; None: any.
    """

    def __init__(
        self,
        session: requests.Session,
        url: str,
        headers: dict[str, str],
        timeout: float | tuple[float, float],
        tries: int,
        max_size: int | None,
    ) -> None:
        self._session = session
        self._url = url
        # What is compressed on the way cannot be gone on with, nor is its length known.
        self._headers = {"Accept-Encoding": "identity", **headers}
        self._timeout = timeout
        self._tries = tries
        self._made = 0
        self._error: BaseException = requests.ConnectionError(f"{url} was not asked for")
        self.max_size = max_size

    @contextmanager
    def start(self) -> Iterator[Payload]:
        """Ask for all of it; yield what is to be read, from the first byte on.

        Raises:
            requests.RequestException: it is not to be had.
            ObjectTooLargeError: it says that it is too large.
        """
        response = self._ask({}) if not self._made else self.ask_again({})
        try:
            response.raise_for_status()
            payload = Payload(self, response)
        except BaseException:
            response.close()
            raise
        try:
            yield payload
        finally:
            payload.close()

    def note(self, error: BaseException) -> None:
        """Take note of what a try failed with: if no try is left, that is raised."""
        self._error = error

    def ask_again(self, headers: dict[str, str]) -> requests.Response:
        """Make another request, after a wait.

        Arguments:
            headers: of this one.

        Raises:
            Exception: no try is left; what the last one failed with.
        """
        while self._made < self._tries:
            # The first time at once: mostly it was one connection that broke.
            time.sleep(min(_LONGEST_WAIT, 0.25 * (2 ** (self._made - 1) - 1)))
            try:
                response = self._ask(headers)
            except (requests.ConnectionError, requests.Timeout) as error:
                self.note(error)
                continue
            if response.status_code not in _BUSY:
                return response
            try:
                response.raise_for_status()
            except requests.HTTPError as error:
                self.note(error)
            response.close()
        raise self._error

    def _ask(self, headers: dict[str, str]) -> requests.Response:
        self._made += 1
        headers = {**self._headers, **headers}
        return self._session.get(self._url, headers=headers, timeout=self._timeout, stream=True)


class Payload:
    """What a URL leads to, as a file.

    Attributes:
        len: its size in bytes, where the source tells it; else None.
        mime: its media type, or None.
    """

    def __init__(self, download: Download, response: requests.Response) -> None:
        self._download = download
        self._response = response
        self._validator = _validator(response)
        self._place = 0
        self._known = 0  # bytes that come once more, from a source that knows no ranges
        self.len = None if _is_encoded(response) else _length(response)
        self.mime: str | None = response.headers.get("Content-Type")
        self._check_size(self.len or 0)

    def close(self) -> None:
        """Drop the connection."""
        self._response.close()

    def read(self, size: int) -> bytes:
        """Read at most so many bytes; none at the end.

        Raises:
            SourceChangedError: it has to begin anew.
            IncompletePayloadError: it broke off, at the last try.
            ObjectTooLargeError: it is larger than allowed.
            requests.RequestException: it does not answer any more.
        """
        while True:
            try:
                # What has come, not all that is asked for: that would be lost with the connection.
                data: bytes = self._response.raw.read1(size, decode_content=True)
            except urllib3.exceptions.DecodeError as error:  # as requests itself says it
                raise requests.exceptions.ContentDecodingError(error) from error
            except (urllib3.exceptions.HTTPError, OSError) as error:
                self._resume(error)
                continue
            if self._known and data:
                known = min(self._known, len(data))
                self._known -= known
                data = data[known:]
                if not data:
                    continue
            # An end before the announced one is no end, though no error was raised.
            if not data and (self._known or (self.len is not None and self._place < self.len)):
                self._resume(None)
                continue
            self._place += len(data)
            self._check_size(self._place)
            return data

    def _check_size(self, size: int) -> None:
        limit = self._download.max_size
        if limit is not None and size > limit:
            raise objstore.ObjectTooLargeError(
                f"the source has {size:,} bytes or more, and max_size is {limit:,}", limit=limit
            )

    def _resume(self, cause: Exception | None) -> None:
        """Ask for what is left, after it broke off."""
        self._response.close()
        size = "all" if self.len is None else f"the {self.len:,} bytes"
        error = objstore.IncompletePayloadError(
            f"the source broke off after {self._place:,} of {size}; nothing was stored",
            expected=self.len,
            received=self._place,
        )
        error.__cause__ = cause
        self._download.note(error)
        if not self._validator:
            # Nothing tells whether the rest would be of the same content.
            raise SourceChangedError from error
        asked = {"Range": f"bytes={self._place}-", "If-Range": self._validator}
        response = self._response = self._download.ask_again(asked)
        self._known = 0
        # It sends all of it again: what is known already is read and dropped.
        if response.status_code == 200 and _validator(response) == self._validator:
            self._known = self._place
        elif not (response.status_code == 206 and self._is_the_rest(response)):
            response.close()
            # 416: what there is now ends before that place, so it is another content.
            if response.status_code != 416:
                response.raise_for_status()
            raise SourceChangedError from error

    def _is_the_rest(self, response: requests.Response) -> bool:
        """Tell whether a response has what follows of the same content."""
        found = _PART.fullmatch(response.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != self._place or _is_encoded(response):
            return False
        return found[2] == "*" or self.len in (None, int(found[2]))


def _is_encoded(response: requests.Response) -> bool:
    return response.headers.get("Content-Encoding", "").strip().lower() not in ("", "identity")


def _length(response: requests.Response) -> int | None:
    text = response.headers.get("Content-Length", "")
    # With a Transfer-Encoding it says nothing (RFC 9112, 6.3).
    if "Transfer-Encoding" in response.headers or not (text.isascii() and text.isdigit()):
        return None
    return int(text)


def _validator(response: requests.Response) -> str:
    """Return what tells this content from any other; ``""``: there is nothing that does."""
    etag = response.headers.get("ETag", "")
    if _is_encoded(response) or etag.startswith("W/"):
        return ""
    if etag:
        return etag
    modified = response.headers.get("Last-Modified", "")
    try:
        age = parsedate_to_datetime(response.headers.get("Date", "")) - parsedate_to_datetime(
            modified
        )
    except (TypeError, ValueError):
        return ""
    # Within one second it may have changed twice (RFC 9110, 8.8.2.2).
    return modified if age >= timedelta(seconds=1) else ""
