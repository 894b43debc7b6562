"""``Client``: the buckets of an account."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from objstore.errors import (
    APIError,
    BucketConfigError,
    BucketNotFoundError,
    InvalidOptionError,
    ObjStoreError,
    about,
)
from objstore.metadata.followed_buckets import FollowedBuckets
from objstore.metadata.known_stream import KnownStreams
from objstore.metadata.records import Records
from objstore.model.bucket_config import (
    BucketOptions,
    check_clone,
    check_existing,
    cloned_stream,
    local_sources,
    marked,
    new_stream,
    updated_stream,
)
from objstore.model.objects import check_bucket_name, stream_name
from objstore.store.handle import BucketHandle
from objstore.store.store import ObjectStore
from objstore.uncopied import Uncopied
from objstore.wire.connection.connection import Connection
from objstore.wire.connection.requests import next_nuid
from objstore.wire.jetstream.api import FEATURES, JetStream
from objstore.wire.jetstream.prefix import make_prefix

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from objstore.model.bucket_options import BucketKeywords
    from objstore.model.bucket_status import ObjectStoreStatus
    from objstore.model.metrics import StoreMetrics

__all__ = ["Client"]

#: JetStream's number for: there is such a stream, with another configuration.
NAME_IN_USE = 10058

#: … and for: its storage could not be set up.
STORE_FAILED = 10049
#: How often the creation is tried before it fails, and the pause between two tries in seconds.
STORE_TRIES, STORE_PAUSE = 5, 0.05


class Client(Uncopied):
    """The buckets of an account. Thread-safe; close it, or use it in a with-block.

    Got from ``objstore.connect()`` or ``objstore.local()``. What it does, by its methods:

    - one bucket: ``object_store`` opens or creates it, ``update_store``, ``clone_store``,
      ``store_metrics``, ``delete_store``;
    - all of them: ``list_stores``;
    - its connection: ``is_connected``, ``close``.

    Arguments:
        connection: is connected, unless it is or connects at its first use (``lazy``); it is
            closed with the client.
        domain: the JetStream domain.
        api_prefix: the prefix of JetStream's API, for accounts that import it elsewhere.

    Raises:
        InvalidOptionError: domain and prefix contradict each other.
        ConnectionLostError, TLSError, AuthorizationError: see :func:`connect`.
    """

    _instead = "call objstore.connect() in each process (threads share one client)"

    def __init__(
        self, connection: Connection, *, domain: str | None = None, api_prefix: str | None = None
    ) -> None:
        self.connection = connection
        self._jetstream = JetStream(
            connection,
            prefix=make_prefix(domain, api_prefix),
            timeout=connection.timeout,
            patience=connection.reconnect_timeout,
        )
        self._known = KnownStreams(self._jetstream)
        self._followed = FollowedBuckets()  # for all holds on a bucket, short-lived ones too
        connection.__enter__()  # a lazy one: this only has it connect at its next use

    def __enter__(self) -> Client:
        self.connection.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<objstore.Client on {self.connection!r}>"

    def _repr_html_(self) -> str:
        """Return the first buckets as a table for notebooks."""
        from objstore.store.listing import BucketListing

        return BucketListing(self._jetstream)._repr_html_()

    def close(self) -> None:
        """Close the connection, as :meth:`Connection.close` says."""
        self.connection.close()

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection at this moment; of a lazy client, since its first use.

        Nothing is asked. Where the network goes silent, it is known to be lost after a minute and
        a half at most; ``client.connection.ping()`` finds out at once.
        """
        return self.connection.is_connected

    def object_store(
        self,
        name: str,
        *,
        create: bool = True,
        consistency: str = "strong",
        **options: Unpack[BucketKeywords],
    ) -> ObjectStore:
        """Open a bucket, and create it if it does not exist.

        Arguments:
            name: the bucket's name: letters, digits, dash and underscore, at most 251.
            create: False: only one that exists.
            consistency: ``"strong"``: metadata are read from the stream's leader, so what was
                written is seen; ``"eventual"``: from any replica.
            options: see :class:`objstore.BucketOptions`. An existing bucket is compared with
                them.

        Raises:
            InvalidNameError, InvalidOptionError: an argument cannot be used.
            BucketNotFoundError: with ``create=False``, there is none; or there is no bucket
                that it shall mirror or have as a source.
            BucketConfigError: it exists with other settings, which the error names; or the
                server refuses them.
            ServerVersionError: the server is too old for ``object_ttl`` or ``batched``.
            RequestTimeoutError, ConnectionLostError: the server does not answer.

        Source: ADR-20; ADR-59 for mirrors and sources.
        """
        asked = self._checked(name, consistency, options)
        config = self._config(name)
        if config is None:
            # Not created without a look: most buckets exist, and creating one needs a right of
            # its own and the cluster's meta leader.
            if not create:
                raise _no_bucket(name)
            config = self._create(name, asked)
        # Also when it was created just now: another program may have been first, with other
        # settings.
        check_existing(name, asked, config)
        return self._store(name, config, consistency)

    def _store(self, name: str, config: Mapping[str, Any], consistency: str) -> ObjectStore:
        """Make the hold on a bucket that has these settings."""
        known = self._known.of(name)
        known.learn(config)
        handle = BucketHandle(
            self._jetstream,
            name,
            known,
            eventual=consistency == "eventual",
            followed=self._followed,
        )
        return ObjectStore(handle)

    def _checked(self, name: str, consistency: object, options: BucketKeywords) -> BucketOptions:
        """Check a bucket's options, and that the server is new enough, before anything is sent."""
        asked = _checked(name, consistency, options)
        if asked.object_ttl:
            self._jetstream.require("message TTL", f"object_ttl of bucket {name}")
        if asked.batched:
            self._jetstream.require("fast-ingest batches", f"batched of bucket {name}")
        return asked

    def _config(self, name: str) -> dict[str, Any] | None:
        # In the same system call as the question below: before its first chunk a put wants to know
        # whether this user may take back what it stores.
        self._jetstream.user.ask()
        try:
            config: dict[str, Any] = self._jetstream.stream_info(stream_name(name))["config"]
        except BucketNotFoundError:
            return None
        return config

    def _create(self, name: str, options: BucketOptions) -> dict[str, Any]:
        for source in local_sources(options):
            if self._config(source) is None:
                raise _no_bucket(source)
        try:
            created = self._make(name, new_stream(name, options, self._supports()))
        except BucketConfigError:
            config = self._config(name)  # somebody else may have created it just now
            if config is None:
                raise
            return config
        return dict(created["config"])

    def _make(self, name: str, config: Mapping[str, Any]) -> dict[str, Any]:
        """Create a stream, which begins empty.

        A server that is still removing the files of a deleted stream can fail to create another
        of its name, or find the old messages in it (seen on 2.15.1, once in some hundred
        times). It is asked again, or what is older than the stream is removed.

        Raises:
            BucketConfigError: it exists with other settings, or the server refuses these.
        """
        for attempt in range(STORE_TRIES):
            try:
                created = self._ask(name, self._jetstream.stream_create, config)
                break
            except APIError as error:
                if error.err_code != STORE_FAILED or attempt == STORE_TRIES - 1:
                    raise
                time.sleep(STORE_PAUSE)
        if created["state"].get("messages") and config.get("subjects"):
            from objstore.model.stream_info import parse_stream_info  # it is seldom needed

            info = parse_stream_info(created)
            newest, born = info.state.last_ts, info.created
            if newest and born and newest < born:
                # Only up to that sequence: somebody may be storing in the new stream already.
                self._jetstream.purge(stream_name(name), ">", info.state.last_seq)
        return created

    def _supports(self) -> dict[str, bool]:
        return {feature: self._jetstream.supports(feature) for feature in FEATURES}

    def _ask(
        self,
        name: str,
        call: Callable[[Mapping[str, Any]], dict[str, Any]],
        config: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Create or change a stream; whatever the server does not like is the settings' fault.

        Raises:
            BucketConfigError: it refuses them.
        """
        with about(bucket=name):
            try:
                return call(config)
            except APIError as error:
                # 400 blames the request; any other status is the server's own trouble.
                if error.code != 400:
                    raise
                facts = dict(error.__dict__)
                raise BucketConfigError(facts.pop("message"), **facts) from error

    def update_store(
        self, name: str, *, consistency: str = "strong", **options: Unpack[BucketKeywords]
    ) -> ObjectStore:
        """Change a bucket's settings. Only what is given changes.

        Where the server wants it, the stream's ``duplicate_window`` follows a shorter ``ttl``; and
        with ``sources`` single objects may expire, as theirs may.

        Arguments:
            name: the bucket's name.
            consistency: as for :meth:`object_store`.
            options: see :class:`objstore.BucketOptions`. ``metadata`` replaces the user's
                pairs, and leaves ``max_object_size`` alone. ``sources`` given to a mirror (an
                empty list too) makes it a bucket of its own, which can be written (a mirror of
                another domain: since 2.12).

        Returns:
            The bucket with its new settings, which count for all holds of this client on it.
            Those of other clients see a new ``max_object_size`` when they ask for the
            :meth:`~objstore.ObjectStore.status`, or store an object more than a second after they
            were told the last one.

        Raises:
            InvalidNameError, InvalidOptionError: an argument cannot be used.
            BucketNotFoundError: there is no such bucket, or no such source.
            BucketConfigError: a setting cannot change any more (``storage``, a mirror's
                source, ``object_ttl``), which the error names; or the server refuses it.
            ServerVersionError: the server is too old for ``object_ttl`` or ``batched``.
            PermissionDeniedError, RequestTimeoutError, ConnectionLostError.

        Source: ADR-20; ADR-43 for ``object_ttl``, ADR-50 for ``batched``.
        """
        asked = self._checked(name, consistency, options)
        config = self._config(name)
        if config is None:
            raise _no_bucket(name)
        for source in local_sources(asked):
            if self._config(source) is None:
                raise _no_bucket(source)
        changed = updated_stream(name, asked, config, self._supports())
        answer = self._ask(name, self._jetstream.stream_update, changed)
        return self._store(name, answer["config"], consistency)

    def list_stores(self) -> Iterator[ObjectStoreStatus]:
        """List the account's buckets, in the order of their names.

        Lazily, a page of some hundred streams for each request; no bucket is looked into, so
        ``size`` and ``total_size`` are None (``status()`` of a bucket counts its objects), while
        ``bytes``, that the stream takes, is there.

        Raises:
            PermissionDeniedError, RequestTimeoutError, ConnectionLostError.
        """
        from objstore.store.listing import BucketListing

        return BucketListing(self._jetstream)

    def clone_store(
        self,
        source: str,
        target: str,
        *,
        consistency: str = "strong",
        **options: Unpack[BucketKeywords],
    ) -> ObjectStore:
        """Copy a bucket: its settings and every live object, with all that describes it.

        Objects are streamed one after the other; memory is that of one put. One that changes
        meanwhile is copied as it was before or after. Links inside the source lead into the
        clone; others lead where they led. A life time that an object has left goes on. What is
        not copied: tombstones, malformed records, a seal, republishing, and where the source
        itself is fed from.

        Arguments:
            source: the bucket that is copied.
            target: the name of the new one, which must not exist yet.
            consistency: as for :meth:`object_store`.
            options: what shall be otherwise in the clone; see :class:`objstore.BucketOptions`.
                ``metadata`` replaces the user's pairs.

        Returns:
            The clone. After a failure, Ctrl-C included, there is none; a program that is
            killed leaves one with ``objstore.cloning`` among its metadata.

        Raises:
            InvalidNameError, InvalidOptionError: an argument cannot be used.
            BucketNotFoundError: there is no such source.
            BucketConfigError: the target exists, or the server refuses its settings.
            ObjectTooLargeError, StorageFullError: an object does not fit into the clone.
            ObjectCorruptError, DigestMismatchError: an object of the source is damaged.
            PermissionDeniedError, RequestTimeoutError, ConnectionLostError.
        """
        check_bucket_name(source)
        asked = self._checked(target, consistency, options)
        check_clone(asked)
        config = self._config(source)
        if config is None:
            raise _no_bucket(source)
        if self._config(target) is not None:
            raise _exists(target)
        from objstore.store.clone import copy_objects

        wanted = cloned_stream(target, asked, config, self._supports())
        try:
            # A mark of its own: the server takes the creation of a stream with equal settings
            # for done, and two programs that clone at a time would both copy into it.
            created = self._make(target, marked(wanted, next_nuid()))
        except BucketConfigError as error:
            if error.err_code == NAME_IN_USE:
                raise _exists(target) from error
            raise
        clone = self._store(target, created["config"], consistency)
        try:
            copy_objects(Records(self._jetstream, source), clone._handle)
            # Last of all: as long as the mark is there, the clone is known to be incomplete.
            self._ask(target, self._jetstream.stream_update, wanted)
        except BaseException:
            with contextlib.suppress(ObjStoreError):
                self.delete_store(target)
            raise
        return clone

    def store_metrics(self, name: str) -> StoreMetrics:
        """Count a bucket's live objects, their bytes and their media types.

        Arguments:
            name: the bucket's name.

        Raises:
            InvalidNameError: the name cannot be one.
            BucketNotFoundError: there is no such bucket.
            PermissionDeniedError, RequestTimeoutError, ConnectionLostError.

        Cost: a listing of the bucket; memory is flat.
        """
        from objstore.metadata.listing import list_records
        from objstore.model.metrics import measure

        return measure(list_records(Records(self._jetstream, check_bucket_name(name))))

    def delete_store(self, name: str) -> bool:
        """Delete a bucket with all its objects.

        Arguments:
            name: the bucket's name.

        Returns:
            True if it was there.

        Raises:
            InvalidNameError: the name cannot be one.
            PermissionDeniedError, RequestTimeoutError, ConnectionLostError.
        """
        # A bucket of the same name may be created later, with other records than those kept.
        self._followed.forget(check_bucket_name(name))
        try:
            self._jetstream.stream_delete(stream_name(name))
        except BucketNotFoundError:
            return False
        return True


def _checked(name: str, consistency: object, options: BucketKeywords) -> BucketOptions:
    """Check a bucket's name and options before anything is sent; return the options."""
    check_bucket_name(name)
    if consistency not in ("strong", "eventual"):
        raise InvalidOptionError(
            f'consistency is {consistency!r}; it must be "strong" or "eventual"'
        )
    asked = _options(options)
    asked.fields(name)
    return asked


def _no_bucket(name: str) -> BucketNotFoundError:
    return BucketNotFoundError(f"there is no bucket {name}", bucket=name)


def _exists(name: str) -> BucketConfigError:
    return BucketConfigError(f"bucket {name} exists already", bucket=name)


def _options(options: BucketKeywords) -> BucketOptions:
    try:
        return BucketOptions(**options)
    except TypeError:
        # Python's own message would name BucketOptions(), which the user did not call.
        known = ", ".join(BucketOptions.__dataclass_fields__)
        unknown = ", ".join(sorted(set(options) - set(BucketOptions.__dataclass_fields__)))
        raise InvalidOptionError(f"a bucket has no option {unknown}; it has {known}") from None
