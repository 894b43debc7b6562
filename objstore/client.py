"""``Client``: the buckets of an account; and ``connect``, which makes one."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any

from objstore.bucket import (
    BucketOptions,
    ObjectStoreStatus,
    check_existing,
    new_stream,
    status_of,
)
from objstore.errors import BucketConfigError, BucketNotFoundError, InvalidOptionError
from objstore.objects import (
    any_chunk_subject,
    bucket_of_stream,
    check_bucket_name,
    stream_name,
)
from objstore.store import ObjectStore
from objstore.wire.auth import Login, TLSOptions
from objstore.wire.connection import Connection
from objstore.wire.contexts import ContextSettings, load_context
from objstore.wire.jetstream import FEATURES, JetStream, make_prefix

__all__ = ["Client", "connect"]

DEFAULT_SERVER = "nats://127.0.0.1:4222"


def connect(
    servers: str | Sequence[str] | None = None,
    *,
    name: str | None = None,
    user: str | None = None,
    password: str | None = None,
    token: str | None = None,
    credentials: str | os.PathLike[str] | None = None,
    nkey_seed: str | os.PathLike[str] | None = None,
    tls: bool | ssl.SSLContext | None = None,
    context: str | None = None,
    domain: str | None = None,
    timeout: float = 5.0,
    reconnect_timeout: float = 60.0,
) -> Client:
    """Connect to NATS.

    Arguments:
        servers: the address of a server, or several; None: ``$NATS_URL``, else
            ``nats://127.0.0.1:4222``.
        name: of the connection, shown by the server's monitoring.
        user, password: a login by password.
        token: a login by token.
        credentials: path of a ``.creds`` file (a user's JWT and NKEY seed).
        nkey_seed: path of an NKEY seed, or the seed itself.
        tls: None: as the address or the server asks; True or an ``ssl.SSLContext``: always.
            Certificates are verified.
        context: the name of a context of the ``nats`` command line (ADR-21), which has the
            servers, the login, TLS and the domain; what is given here overrides it.
        domain: the JetStream domain (leaf nodes).
        timeout: for one request or acknowledgement, in seconds; not for a whole transfer.
        reconnect_timeout: how long an operation waits for a lost connection to come back, in
            seconds; 0: it fails at once.

    Returns:
        A client, to be closed or used in a with-block.

    Raises:
        InvalidServerURLError, InvalidOptionError: an argument cannot be used.
        MissingDependencyError: the login needs the package ``nkeys``.
        ConnectionLostError: no server answers, each with its reason.
        ProtocolError: what answers is not a NATS server.
        TLSError: TLS failed.
        AuthorizationError: the login was refused.
    """
    settings = _settings(context)
    given = Login(user, password, token, credentials, nkey_seed)
    login = given if given != Login() or settings is None else settings.login
    tls_options = settings.tls if settings is not None else TLSOptions()
    if servers is None:
        servers = settings.servers if settings is not None and settings.servers else None
    connection = Connection(
        _default_servers() if servers is None else servers,
        name=name,
        login=login,
        tls=tls,
        tls_cacert=tls_options.ca_file,
        tls_client_cert=tls_options.cert_file,
        tls_client_key=tls_options.key_file,
        tls_first=tls_options.first,
        timeout=timeout,
        reconnect_timeout=reconnect_timeout,
        inbox_prefix=(settings.inbox_prefix if settings is not None else None) or "_INBOX",
    )
    prefix = settings.api_prefix if settings is not None and domain is None else None
    if domain is None and settings is not None and prefix is None:
        domain = settings.domain
    client = Client(connection, domain=domain, api_prefix=prefix)
    connection.connect()
    return client


def _settings(context: str | None) -> ContextSettings | None:
    return None if context is None else load_context(context)


def _default_servers() -> str:
    return os.environ.get("NATS_URL") or DEFAULT_SERVER


class Client:
    """The buckets of an account. Thread-safe; close it, or use it in a with-block.

    Arguments:
        connection: is used, and closed with the client. One that is not connected yet
            connects at the first use.
        domain: the JetStream domain.
        api_prefix: the prefix of JetStream's API, for accounts that import it elsewhere.

    Raises:
        InvalidOptionError: domain and prefix contradict each other.
    """

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

    def __enter__(self) -> Client:
        self.connection.connect()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<objstore.Client on {self.connection!r}>"

    def close(self) -> None:
        """Close the connection. Closing twice is fine."""
        self.connection.close()

    def object_store(
        self, name: str, *, create: bool = True, consistency: str = "strong", **options: Any
    ) -> ObjectStore:
        """A bucket, which is created if it does not exist.

        Arguments:
            name: of the bucket: letters, digits, dash and underscore.
            create: False: only one that exists.
            consistency: ``"strong"``: metadata are read from the stream's leader, so what was
                written is seen; ``"eventual"``: from any replica.
            options: see :class:`objstore.BucketOptions`. An existing bucket is compared with
                them.

        Raises:
            InvalidNameError, InvalidOptionError: an argument cannot be used.
            BucketNotFoundError: with ``create=False``, there is none.
            BucketConfigError: it exists with other settings, which the error names; or the
                server refuses them.
            RequestTimeoutError, ConnectionLostError: the server does not answer.
        """
        check_bucket_name(name)
        if consistency not in ("strong", "eventual"):
            raise InvalidOptionError(
                f'consistency is {consistency!r}; it must be "strong" or "eventual"'
            )
        asked = _options(options)
        asked.fields()  # checks the values before anything is sent
        config = self._config(name)
        if config is None:
            if not create:
                raise BucketNotFoundError(f"there is no bucket {name}", bucket=name)
            config = self._create(name, asked)
        check_existing(name, asked, config)
        return ObjectStore(self._jetstream, name, config, eventual=consistency == "eventual")

    def _config(self, name: str) -> dict[str, Any] | None:
        try:
            config: dict[str, Any] = self._jetstream.stream_info(stream_name(name))["config"]
        except BucketNotFoundError:
            return None
        return config

    def _create(self, name: str, options: BucketOptions) -> dict[str, Any]:
        supports = {feature: self._jetstream.supports(feature) for feature in FEATURES}
        try:
            created = self._jetstream.stream_create(new_stream(name, options, supports))
        except BucketConfigError as error:
            error.bucket = name
            config = self._config(name)  # somebody else may have created it just now
            if config is None:
                raise
            return config
        return dict(created["config"])

    def list_stores(self) -> Iterator[ObjectStoreStatus]:
        """The account's buckets, in the server's order, page by page as they are asked for.

        The ``size`` of each is None: counting it would mean to list it. ``bytes`` is there.

        Raises:
            RequestTimeoutError, ConnectionLostError: the server does not answer.
        """
        for info in self._jetstream.streams(any_chunk_subject()):
            bucket = bucket_of_stream(info["config"]["name"])
            if bucket is not None:  # else something else that listens on these subjects
                yield status_of(bucket, info)

    def delete_store(self, name: str) -> bool:
        """Delete a bucket with all its objects.

        Returns:
            True if it was there.

        Raises:
            InvalidNameError: the name cannot be one.
            PermissionDeniedError, RequestTimeoutError, ConnectionLostError.
        """
        try:
            self._jetstream.stream_delete(stream_name(check_bucket_name(name)))
        except BucketNotFoundError:
            return False
        return True


def _options(options: dict[str, Any]) -> BucketOptions:
    try:
        return BucketOptions(**options)
    except TypeError:
        known = ", ".join(BucketOptions.__dataclass_fields__)
        unknown = ", ".join(sorted(set(options) - set(BucketOptions.__dataclass_fields__)))
        raise InvalidOptionError(f"a bucket has no option {unknown}; it has {known}") from None
