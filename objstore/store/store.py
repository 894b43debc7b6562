"""``ObjectStore``: one bucket, as users see it."""

from __future__ import annotations

import codecs
import io
from contextlib import ExitStack
from typing import Any, cast

from objstore.errors import BucketNotFoundError, InvalidOptionError, ObjectExistsError
from objstore.get.reader import ObjectResult
from objstore.metadata.current import find_current
from objstore.metadata.watch import Watcher
from objstore.model.bucket_config import ObjectStoreStatus, status_of
from objstore.model.describe import check_revision, check_timeout, describe
from objstore.model.objects import ObjectInfo, is_free
from objstore.progress import ProgressOption, start_progress
from objstore.put.source import choose_chunk_size
from objstore.put.upload import Put
from objstore.put.writer import ObjectWriter, TextWriter
from objstore.store.folders import Folders
from objstore.store.maintenance import Caring

__all__ = ["ObjectStore"]

MODES = ("rb", "wb", "xb", "r", "w", "x", "rt", "wt", "xt")


class ObjectStore(Folders, Caring):
    """One bucket. Thread-safe, and so is what it opens: threads take turns, as with Python's files.

    Got from :meth:`objstore.Client.object_store`. Iterating it lists its objects, and
    ``name in store`` asks for one.

    Attributes:
        name: of the bucket.
    """

    def open(
        self,
        name: str,
        mode: str = "rb",
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        **put_options: Any,
    ) -> Any:
        """Open an object as a file.

        Arguments:
            name: of the object.
            mode: ``"rb"``: to read it, see :meth:`get`. ``"wb"``: to write it; it is stored
                when the file is closed, and nothing remains when the with-block raises; once
                a write has failed, every further call raises that again, ``close`` too.
                ``"xb"``: the same, if there is no such object. ``"r"``, ``"w"`` and ``"x"``:
                the same with text.
            encoding, errors, newline: of text, as for Python's own ``open``; UTF-8 unless given.
            put_options: for writing, as :meth:`put`; ``progress`` is told no total.

        Returns:
            An :class:`~objstore.ObjectResult` or :class:`~objstore.ObjectWriter`; for text an
            :class:`io.TextIOWrapper` around one.

        Raises:
            ObjectNotFoundError: ``"rb"``, and there is no such object.
            ObjectExistsError: ``"xb"``, and there is one, now or when the file is closed.
            InvalidOptionError: another mode; or an option of another kind.
            And as :meth:`get` and :meth:`put`.
        """
        if mode not in MODES:
            raise InvalidOptionError(
                f'the mode is {mode!r}; it must be "r", "w" or "x", with "b" for bytes', name=name
            )
        text = _text_options(mode, encoding=encoding, errors=errors, newline=newline)
        if mode[0] == "r":
            if put_options:
                raise InvalidOptionError(f"reading takes no {', '.join(put_options)}")
            result = self._open_to_read(name)
            return result if text is None else io.TextIOWrapper(result, **text)
        writer = self._open_to_write(name, mode[0] == "x", **put_options)
        return writer if text is None else TextWriter(cast("Any", writer), **text)

    def _open_to_read(self, name: str) -> ObjectResult:
        result = self.get(name)
        if result is None:
            raise self._not_found(name)
        return result

    def _open_to_write(
        self,
        name: str,
        exclusive: bool,
        *,
        if_revision: int | None = None,
        progress: ProgressOption = None,
        timeout: float | None = None,
        **description: Any,
    ) -> ObjectWriter:
        try:
            info = describe(self.name, name, **description)
        except TypeError as error:
            raise InvalidOptionError(f"open() for writing: {error}", name=name) from None
        if_revision = check_revision(if_revision)
        timeout = check_timeout(timeout)

        def refuse(found: ObjectInfo | None) -> ObjectInfo:
            if not is_free(found):
                raise ObjectExistsError(
                    f"{name!r} exists already in bucket {self.name}", bucket=self.name, name=name
                )
            return info if put is None else put.described

        put: Put | None = None
        with ExitStack() as resources:
            bar = start_progress(progress, name, None)
            if bar is not None:
                resources.callback(bar.close)
            if exclusive:
                refuse(find_current(self._records, name))
            size = choose_chunk_size(info.options.chunk_size, None, self._max_payload(info))
            again = refuse if exclusive else None
            put = self._begin(info, size, if_revision, again, bar, timeout)
            return ObjectWriter(put, self.name, name, size, resources.pop_all())

    def watch(
        self,
        *,
        include_history: bool = False,
        ignore_deletes: bool = False,
        updates_only: bool = False,
    ) -> Watcher:
        """What the bucket holds, and then each change of it as it happens.

        It survives reconnects and restarts of the server without losing or repeating one. An
        update that is itself overwritten before it was sent is gone from the bucket, and left out.

        Arguments:
            include_history: all metadata that the bucket still has, not the last of each name
                alone. (A put replaces the metadata before it; some other clients do not.)
            ignore_deletes: no tombstones.
            updates_only: nothing of what exists, only what is stored after this call.

        Returns:
            A watcher, to be iterated, and to be stopped or used in a with-block: it has the
            server hold a consumer.

        Raises:
            InvalidOptionError: both ``include_history`` and ``updates_only``.
            BucketNotFoundError: there is no such bucket.
            PermissionDeniedError: reading the stream's state or creating a consumer is not
                allowed.
            APIError: the server refuses the consumer, for there are too many.
            RequestTimeoutError, ConnectionLostError: for ``reconnect_timeout`` seconds there was
                no connection, or JetStream did not answer.

        Source: ADR-20 (watch), ADR-17 (ordered consumer).
        """
        return Watcher(
            self._records,
            include_history=include_history,
            ignore_deletes=ignore_deletes,
            updates_only=updates_only,
        )

    def status(self) -> ObjectStoreStatus:
        """The bucket's settings and state.

        The number of its live objects, ``size``, and their bytes, ``total_size``, are counted by
        one listing of the bucket: that costs what :meth:`list` costs. The bucket's settings are
        read again, so that what another client changed since this one opened it, its
        ``max_object_size`` above all, counts here from now on.

        Raises:
            BucketNotFoundError: there is no such bucket.
            RequestTimeoutError, ConnectionLostError: the server does not answer.

        Source: ADR-20.
        """
        info = self._known.ask()
        size = total_size = 0
        for each in self.list():
            size += 1
            total_size += each.size
        return status_of(self.name, info, size=size, total_size=total_size)

    def seal(self) -> ObjectStoreStatus:
        """Make the bucket unchangeable, for good.

        Returns:
            Its status after that.

        Raises:
            BucketNotFoundError: there is no such bucket.
            BucketConfigError: its stream would lose or refuse what is written; that is to be
                mended first, for nothing can change after this.
            PermissionDeniedError, RequestTimeoutError, ConnectionLostError.

        Source: ADR-20.
        """
        config = self._known.ask()["config"]
        self._known.check_harmless()
        answer = self._jetstream.stream_update({**config, "sealed": True})
        self._known.learn(answer["config"])
        return self.status()

    def destroy(self) -> bool:
        """Delete the bucket with all its objects.

        Returns:
            True if it was there.

        Raises:
            PermissionDeniedError, RequestTimeoutError, ConnectionLostError.
        """
        try:
            self._jetstream.stream_delete(self._records.stream)
        except BucketNotFoundError:
            return False
        return True


def _text_options(mode: str, **options: str | None) -> dict[str, Any] | None:
    """How to wrap a binary file for text; None: it is not for text.

    Raises:
        InvalidOptionError: an option is for text and the file is not, or it is none.
    """
    if mode.endswith("b"):
        given = [option for option, value in options.items() if value is not None]
        if given:
            raise InvalidOptionError(f"binary mode takes no {', '.join(given)}")
        return None
    options["encoding"] = options["encoding"] or "utf-8"
    try:
        codecs.lookup_error(options["errors"] or "strict")
        io.TextIOWrapper(io.BytesIO(), **cast("Any", options))
    except (LookupError, ValueError, TypeError) as error:
        raise InvalidOptionError(f"text mode: {error}") from None
    return options
