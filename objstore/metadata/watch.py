"""Metadata changes of a bucket, as they happen."""

from __future__ import annotations

import logging
import threading
import time
import warnings

from objstore.errors import (
    BucketNotFoundError,
    InvalidOptionError,
    ObjectCorruptError,
    RequestTimeoutError,
    WatcherStoppedError,
)
from objstore.metadata.records import Records
from objstore.model.objects import ObjectInfo, all_meta_subject
from objstore.uncopied import Uncopied
from objstore.wire.connection.arguments import seconds
from objstore.wire.jetstream.consumer import OrderedConsumer, Start

__all__ = ["Watcher"]

LOG = logging.getLogger("objstore")


class Watcher(Uncopied):
    """What a bucket holds, and each change of it, in order; see :meth:`objstore.ObjectStore.watch`.

    Iterate it, or call :meth:`next`: from one thread at a time. :meth:`stop` may be called from
    any thread, from within the iteration and from a signal handler, and so may ``caught_up`` be
    looked at. Use it in a with-block, or stop it: as long as it is not, the server holds a
    consumer. In a forked child the copy of a watcher is a stopped one.

    A slow user costs memory up to a limit, for the server then waits: 32 MiB of messages, which
    are at most ``32 MiB * (1 + 500 / s)`` as Python objects, where a record has ``s`` bytes,
    its subject and headers included (300 to 500 is usual). What is overwritten before it was sent
    is not sent.

    Attributes:
        caught_up: set when what existed at the beginning has been given. As long as it is not
            set, there is something to come: ``while not watcher.caught_up.is_set():
            watcher.next()`` reads exactly that.
    """

    _instead = "pass on what it gives, or call watch() of a bucket of that process"

    def __init__(
        self,
        records: Records,
        *,
        include_history: bool = False,
        ignore_deletes: bool = False,
        updates_only: bool = False,
    ) -> None:
        if include_history and updates_only:
            raise InvalidOptionError(
                "a watcher gives the history, or updates only, not both", bucket=records.bucket
            )
        self.caught_up = threading.Event()
        self._records = records
        self._ignore_deletes = ignore_deletes
        self._ahead: ObjectInfo | None = None  # found, and not given yet
        start = Start.LAST_PER_SUBJECT
        if include_history or updates_only:
            start = Start.ALL if include_history else Start.NEW
        self._consumer = OrderedConsumer(
            records.jetstream, records.stream, all_meta_subject(records.bucket), start
        )
        try:
            self._consumer.open()
            if not self._consumer.caught_up:
                self._ahead = self._find(None)
            self._note_end(self._ahead)
        except BaseException as error:
            self.stop()
            if isinstance(error, BucketNotFoundError):
                raise records.no_bucket() from error
            raise

    def next(self, timeout: float | None = None) -> ObjectInfo:
        """Wait for the next change, and return it.

        After an error other than BucketNotFoundError it can be called again, and goes on where
        it was; after KeyboardInterrupt, too.

        Arguments:
            timeout: how long to wait, in seconds; None: for ever; 0: only for what has come.

        Returns:
            The object's metadata; ``deleted`` is True where it was deleted.

        Raises:
            InvalidOptionError: ``timeout`` is no number of seconds, or negative.
            RequestTimeoutError: there was none within ``timeout`` seconds.
            WatcherStoppedError: it was stopped, before or meanwhile.
            BucketNotFoundError: the bucket was deleted; the watcher is stopped.
            PermissionDeniedError: the consumer had to be created again, which is not allowed now.
            APIError, RequestTimeoutError, ConnectionLostError: it could not be created again,
                with attempts for ``reconnect_timeout`` seconds.
            ConnectionClosedError: the client was closed.
        """
        if timeout is not None:
            timeout = seconds("timeout", timeout, zero=True)
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            info = self._next(deadline)
            if info is None:
                raise RequestTimeoutError(
                    f"no change of bucket {self._records.bucket} in {timeout:g} s",
                    bucket=self._records.bucket,
                    timeout=timeout,
                )
            # Noted when it is handed out, so that a consumer that is made anew begins behind it.
            self._consumer.position = info.revision
            return info
        except BucketNotFoundError as error:
            self.stop()
            raise self._records.no_bucket() from error
        except Exception:
            raise
        except BaseException:  # Ctrl-C: what was in our hands comes again
            self._ahead = None
            self._consumer.rewind(self.caught_up.is_set())
            raise

    def stop(self) -> None:
        """End the iteration, wherever it is, and have the server delete the consumer.

        Never blocks and never fails. Stopping twice is fine.
        """
        self._consumer.close()

    def __iter__(self) -> Watcher:
        return self

    def __next__(self) -> ObjectInfo:
        try:
            return self.next()
        except WatcherStoppedError:
            # Stopped from another thread or a signal handler, a for-loop just ends.
            raise StopIteration from None

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __del__(self) -> None:
        if hasattr(self, "_consumer") and not self._stopped:
            self.stop()
            # Who has closed the client has ended its watchers, too.
            if not self._records.jetstream.connection.session.is_closed:
                warnings.warn(f"unstopped {self!r}", ResourceWarning, stacklevel=2, source=self)

    def __repr__(self) -> str:
        state = "stopped" if self._stopped else "running"
        return f"<objstore.Watcher of {self._records.bucket!r}, {state}>"

    @property
    def _stopped(self) -> bool:
        return self._consumer.closed

    def _next(self, deadline: float | None) -> ObjectInfo | None:
        """Return what :meth:`next` gives; None: time is up.

        While what existed is being given, one more is looked for before one is given, for only
        that tells whether it is the last: what follows may be tombstones, or malformed.
        """
        self._check()
        while self._ahead is None:
            self._ahead = self._find(deadline)
            self._check()
            self._note_end(self._ahead)
            if self._ahead is None and deadline is not None and time.monotonic() >= deadline:
                return None
        following = None
        if not self.caught_up.is_set():
            if not self._consumer.caught_up:
                following = self._find(deadline)
            self._check()
            self._note_end(following)
        info, self._ahead = self._ahead, following
        return info

    def _check(self) -> None:
        """Refuse a call of a stopped watcher."""
        if self._stopped:
            raise WatcherStoppedError(
                f"the watcher of bucket {self._records.bucket} was stopped",
                bucket=self._records.bucket,
            )

    def _note_end(self, found: ObjectInfo | None) -> None:
        """Set ``caught_up``, if all that existed comes before what was found."""
        # A later one may have been delivered already: it was not there at the beginning.
        if self._consumer.caught_up and (found is None or found.revision > self._consumer.end):
            self.caught_up.set()

    def _find(self, deadline: float | None) -> ObjectInfo | None:
        """Find the next record to be given; None: none in time, or among those that existed."""
        while (delivery := self._consumer.next(deadline)) is not None:
            try:
                info = self._records.parse(delivery)
            except ObjectCorruptError as error:
                # Of another client's: one damaged record does not end the watch.
                LOG.warning("left out of a watch, until it is put anew or deleted: %s", error)
            else:
                if not (info.deleted and self._ignore_deletes):
                    return info
            if deadline is not None and time.monotonic() >= deadline:
                break  # what is passed over may come without a pause
            # Back to the caller, so that caught_up is set before anything later is waited for.
            if self._consumer.caught_up and not self.caught_up.is_set():
                break
        return None
