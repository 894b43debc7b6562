"""The settings of a bucket's stream, as the server told them last."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any
from weakref import WeakValueDictionary

from objstore.errors import (
    BucketConfigError,
    BucketNotFoundError,
    ObjectTooLargeError,
    ObjStoreError,
    PermissionDeniedError,
    about,
)
from objstore.model.bucket_config import max_object_size
from objstore.model.objects import bucket_subjects, stream_name
from objstore.model.unwritable import harm_of, refusal
from objstore.wire.connection import forks
from objstore.wire.connection.requests import PendingReply
from objstore.wire.jetstream.api import JetStream, parse_answer

__all__ = ["KnownStream", "KnownStreams", "PendingSettings"]

#: How long the settings are used before they are asked for again, in seconds, since somebody else
#: may change them. Asking with every put would take a third of the time of a small one.
FRESH = 1.0

#: How long the answer is waited for, in seconds, once the question that was sent with it is
#: answered. Where a stream has no leader for the moment, none comes, and a put need not wait.
LATE = 0.25

#: Bytes of the header of a record: a roll-up, an expected revision, a life time.
_HEADER = 160


class KnownStream:
    """The settings of a bucket's stream, checked when the server tells them, not at each write.

    All stores of one client for a bucket share it, so that what one of them changes counts for all.

    Arguments:
        jetstream: the account.
        bucket: its name.

    Attributes:
        bucket: the bucket's name.
        stream: its stream's name.
        config: of the stream, as it was last told; empty: nothing was told yet.
        is_refused: whether objects cannot be written.
        fresh_until: by ``time.monotonic``, until when the settings count as they were told.
        max_object_size: the bucket's own limit, in bytes; None: there is none.
        max_msg_size: the stream's limit of a message with its header, in bytes; None: none.
    """

    def __init__(self, jetstream: JetStream, bucket: str) -> None:
        self._jetstream = jetstream
        self.bucket = bucket
        self.stream = stream_name(bucket)
        self.config: Mapping[str, Any] = {}
        self.fresh_until = 0.0  # the first write asks again: it may come long after the bind
        self.is_refused = False
        self.max_object_size: int | None = None
        self.max_msg_size: int | None = None

    def learn(self, config: Mapping[str, Any]) -> None:
        """Take in the stream's configuration, as the server tells it."""
        self.config = config
        # Judged here, once: each write only looks at a flag.
        self.is_refused = bool(config) and refusal(self.bucket, config) is not None
        self.max_object_size = max_object_size(config)
        largest = int(config.get("max_msg_size") or 0)
        self.max_msg_size = largest if largest > 0 else None

    def ask(self) -> dict[str, Any]:
        """Ask the server for the stream's state and settings, and learn these.

        Raises:
            BucketNotFoundError: there is no such bucket.
            And as :meth:`JetStream.call`.
        """
        try:
            info = self._jetstream.stream_info(self.stream)
        except BucketNotFoundError as error:
            raise self.missing() from error
        self.learn(info["config"])
        return info

    def missing(self) -> BucketNotFoundError:
        """Make the error for this bucket's absence."""
        return BucketNotFoundError(f"there is no bucket {self.bucket}", bucket=self.bucket)

    def taken_by(self, stream: str) -> BucketConfigError:
        """Make the error for a message of the bucket that another stream has stored."""
        wanted = bucket_subjects(self.bucket)
        return BucketConfigError(
            f"bucket {self.bucket} cannot be written: the stream {stream} takes its subjects; "
            f"the subjects of {self.stream} must be {wanted!r}",
            bucket=self.bucket,
            differences={"subjects": (self.config.get("subjects"), wanted)},
        )

    def check_writable(self) -> None:
        """Refuse to write objects where they would be lost or refused.

        It costs nothing where they are known to be safe; else the server is asked once more.

        Raises:
            BucketReadOnlyError: the bucket is a copy of others.
            BucketSealedError: it is sealed.
            BucketConfigError: a setting of its stream would do harm; it is named.
        """
        if self.is_refused:
            # It may have been mended since: a refusal from memory would stay until the client is
            # made anew.
            self.ask()
            self._refuse()

    def start_check(self) -> PendingSettings | None:
        """Ask for the settings again, along with what is sent next, if they may have changed.

        Returns:
            What the answer is to be taken from; None: they were told a moment ago.
        """
        now = time.monotonic()
        if now < self.fresh_until:
            return None
        # Set before the answer has come, so that of many writers at once one asks.
        self.fresh_until = now + FRESH
        return PendingSettings(self, self._jetstream.start_stream_info(self.stream))

    @contextlib.contextmanager
    def checking_settings(self) -> Iterator[None]:
        """Ask for the settings again with the block's first request; check them at its end.

        Raises:
            As :meth:`check_answer`.
        """
        settings = self.start_check()
        if settings is None:
            yield
            return
        with contextlib.closing(settings):
            yield
            settings.check()

    def check_answer(self, pending: PendingReply) -> None:
        """Take the answer of :meth:`start_check`; if none comes, what is known counts.

        Raises:
            BucketNotFoundError: the bucket is gone.
            And as :meth:`check_writable`.
        """
        try:
            pending.flush_piggybacked()
            with pending:
                message = pending.result(min(LATE, self._jetstream.timeout))
            config = parse_answer(message, f"stream {self.stream}")["config"]
        except BucketNotFoundError as error:
            raise self.missing() from error
        except ObjStoreError:
            return
        self.learn(config)
        self._refuse()

    def check_after_fault(self) -> None:
        """Check whether the bucket is gone by now, or loses what is published.

        Where nobody says so within a second, neither is known, and nothing is raised.

        Raises:
            BucketNotFoundError: it is gone.
            And as :meth:`check_writable`.
        """
        try:
            # One attempt of a second at most: in an election nobody answers, and the put has its
            # own patience.
            info = self._jetstream.stream_info_now(self.stream)
        except BucketNotFoundError as error:
            raise self.missing() from error
        except ObjStoreError:  # a user who must not ask
            return
        if info is not None:
            self.learn(info["config"])
            self._refuse()

    def _refuse(self) -> None:
        error = refusal(self.bucket, self.config)
        if error is not None:
            raise error

    def allow_ttl(self) -> None:
        """Let single objects expire: the first one that shall turns that on in the stream.

        Raises:
            ServerVersionError: the server cannot do it.
            PermissionDeniedError: this user must not change the bucket's stream.
            BucketConfigError: the server refuses it.
            And as :meth:`check_writable`.
        """
        if self.config.get("allow_msg_ttl"):
            return
        try:
            with about(bucket=self.bucket):
                self._turn_ttl_on()
        except PermissionDeniedError as error:
            raise PermissionDeniedError(
                f"bucket {self.bucket} does not let single objects expire yet, and this user must "
                f"not change it ({error.subject}); update_store({self.bucket!r}, object_ttl=True) "
                "by one who may turns it on",
                bucket=self.bucket,
                subject=error.subject,
            ) from error

    def _turn_ttl_on(self) -> None:
        self._jetstream.require("message TTL", f"an object with a ttl in bucket {self.bucket}")
        config = self.ask()["config"]  # as it is now, so that nothing else changes
        self._refuse()
        if not config.get("allow_msg_ttl"):
            answer = self._jetstream.stream_update({**config, "allow_msg_ttl": True})
            self.learn(answer["config"])

    def check_harmless(self) -> None:
        """Refuse to remove chunks where the metadata that name them may be hidden.

        Raises:
            BucketConfigError: a setting of the stream would do harm; it is named.
        """
        harm = harm_of(self.bucket, self.config) if self.is_refused else None
        if harm is not None:
            raise harm.error(self.bucket, self.config)

    def check_size(self, size: int) -> None:
        """Refuse a payload that is larger than the bucket's own limit.

        Arguments:
            size: of what came of it so far, in bytes.

        Raises:
            ObjectTooLargeError: it is.
            And as :meth:`check_after_fault`.
        """
        if self.max_object_size is None or size <= self.max_object_size:
            return
        # Somebody may have raised it since it was told: only who would be refused looks.
        self.check_after_fault()
        limit = self.max_object_size
        if limit is not None and size > limit:
            raise ObjectTooLargeError(
                f"the payload is larger than the bucket's limit of {limit:,} bytes", limit=limit
            )

    def check_record(self, name: str, size: int) -> None:
        """Refuse a record that is larger than the stream's own limit.

        Arguments:
            name: of the object.
            size: of its record, in bytes.

        Raises:
            BucketConfigError: it is larger than ``max_msg_size`` allows.
        """
        limit = self.max_msg_size
        # max_msg_size counts the header too, which is written later: so the most that it can be.
        if limit is not None and size + _HEADER > limit:
            raise BucketConfigError(
                f"bucket {self.bucket} cannot store {name!r}: its metadata take up to "
                f"{size + _HEADER} bytes, and max_msg_size of its stream is {limit}; set it to -1",
                bucket=self.bucket,
                name=name,
                differences={"max_msg_size": (limit, -1)},
            )


class KnownStreams:
    """What a client knows of each bucket, as long as somebody holds it; for all threads.

    Arguments:
        jetstream: the account.
    """

    def __init__(self, jetstream: JetStream) -> None:
        self._jetstream = jetstream
        self._known: WeakValueDictionary[str, KnownStream] = WeakValueDictionary()
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """Begin with a free lock in a forked child; what is known is as good there."""
        self._lock = threading.RLock()  # a signal handler may open a bucket, too

    def of(self, bucket: str) -> KnownStream:
        """Return what is known of a bucket: one and the same for all who hold it."""
        with self._lock:
            known = self._known.get(bucket)
            if known is None:
                known = self._known[bucket] = KnownStream(self._jetstream, bucket)
            return known


class PendingSettings:
    """A stream's settings, asked for; to be closed, if the answer is not taken."""

    def __init__(self, known: KnownStream, pending: PendingReply) -> None:
        self._known = known
        self._pending = pending

    def check(self) -> None:
        """Refuse to write where they would do harm; as :meth:`KnownStream.check_answer`."""
        self._known.check_answer(self._pending)

    def close(self) -> None:
        """Stop waiting for the answer. Never fails."""
        self._pending.close()
