"""Every error that objstore raises.

.. code-block:: text

    pynats2.NATSError
     └─ ObjStoreError
         ├─ ObjectNotFoundError          also FileNotFoundError
         ├─ ObjectExistsError            also FileExistsError
         ├─ ObjectTooLargeError          also ValueError
         ├─ ObjectChangedError
         ├─ ObjectCorruptError
         │   └─ DigestMismatchError
         ├─ RevisionMismatchError
         ├─ LinkError
         ├─ WatcherStoppedError
         ├─ InvalidNameError             also ValueError
         ├─ InvalidPayloadError          also TypeError
         ├─ IncompletePayloadError       also EOFError
         ├─ PayloadFileError             also OSError
         │   └─ PayloadFileNotFoundError also FileNotFoundError
         ├─ InvalidOptionError           also ValueError
         │   └─ InvalidServerURLError    also pynats2's NATSInvalidUrlError, NATSInvalidSchemeError
         ├─ MissingDependencyError       also ImportError
         ├─ ReentrantCallError           also RuntimeError
         ├─ BucketNotFoundError          also FileNotFoundError
         ├─ BucketConfigError
         │   └─ BucketReadOnlyError
         ├─ BucketSealedError
         ├─ StorageFullError
         ├─ APIError                     any other error that JetStream answers with
         ├─ ServerVersionError
         ├─ ServerStartError
         ├─ AuthorizationError
         ├─ PermissionDeniedError        also PermissionError
         ├─ RequestTimeoutError          also TimeoutError and pynats2's NATSRequestTimeoutError
         │   └─ NoRespondersError
         └─ ConnectionLostError          also ConnectionError and pynats2's NATSConnectionError
             ├─ ConnectionClosedError
             ├─ ProtocolError            also pynats2's NATSUnexpectedResponse
             └─ TLSError
                 ├─ TLSRequiredError     also pynats2's NATSTLSConnectionRequiredError
                 └─ TLSUnavailableError  also pynats2's NATSTCPConnectionRequiredError

The facts of an error are its attributes; those that do not apply are ``None``. Every error
pickles, attributes included, so that it crosses process pools whole.
"""

from __future__ import annotations

from typing import Any, TypeVar

from objstore.pynats2_compat import (
    NATSConnectionError,
    NATSError,
    NATSInvalidSchemeError,
    NATSInvalidUrlError,
    NATSRequestTimeoutError,
    NATSTCPConnectionRequiredError,
    NATSTLSConnectionRequiredError,
    NATSUnexpectedResponse,
)

__all__ = [
    "APIError",
    "AuthorizationError",
    "BucketConfigError",
    "BucketNotFoundError",
    "BucketReadOnlyError",
    "BucketSealedError",
    "ConnectionClosedError",
    "ConnectionLostError",
    "DigestMismatchError",
    "IncompletePayloadError",
    "InvalidNameError",
    "InvalidOptionError",
    "InvalidPayloadError",
    "InvalidServerURLError",
    "LinkError",
    "MissingDependencyError",
    "NoRespondersError",
    "ObjStoreError",
    "ObjectChangedError",
    "ObjectCorruptError",
    "ObjectExistsError",
    "ObjectNotFoundError",
    "ObjectTooLargeError",
    "PayloadFileError",
    "PayloadFileNotFoundError",
    "PermissionDeniedError",
    "ProtocolError",
    "ReentrantCallError",
    "RequestTimeoutError",
    "RevisionMismatchError",
    "ServerStartError",
    "ServerVersionError",
    "StorageFullError",
    "TLSError",
    "TLSRequiredError",
    "TLSUnavailableError",
    "WatcherStoppedError",
    "api_error",
]

E_ = TypeVar("E_", bound="ObjStoreError")


class _ShowsOurs(type):
    """The type of error classes, whose ``dir()`` and ``help()`` show our attributes alone.

    help() asks for ``dir(class)``, which else has the members of the builtin, 14 of an OSError,
    ``filename`` and ``errno`` among them, that no error of ours fills.
    """

    def __dir__(cls) -> list[str]:
        ours = (each for each in cls.__mro__ if isinstance(each, _ShowsOurs))
        return sorted({name for each in ours for name in vars(each) if not name.startswith("_")})


class ObjStoreError(NATSError, metaclass=_ShowsOurs):
    """The root: catching it catches whatever this package raises on purpose.

    Attributes:
        message: what happened, in a sentence.
        bucket: the bucket concerned.
        name: the object concerned.
        subject: the subject concerned.
        code: the status of JetStream's or the server's answer, as in HTTP.
        err_code: JetStream's own number of the error (errors.json of nats-server).
        description: JetStream's own words.
    """

    message: str
    line: Any  # pynats2's name for it
    bucket: str | None = None
    name: str | None = None
    subject: str | None = None
    code: int | None = None
    err_code: int | None = None
    description: str | None = None

    def __init__(self, message: str = "", **facts: Any) -> None:
        # Not super().__init__: pynats2's connection errors drop the message there.
        self.message = self.line = message
        self.args = (message,)
        for fact, value in facts.items():
            setattr(self, fact, value)

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # Python's own way calls the class with `args` alone, and would lose the facts.
        return _restore, (type(self), self.message, dict(self.__dict__))


def _restore(kind: type[E_], message: str, facts: dict[str, Any]) -> E_:
    """Build an error again from its pickle."""
    error = kind(message)
    error.__dict__.update(facts)
    return error


class about:  # noqa: N801 - reads as a word, like contextlib.closing
    """A block whose errors say what they concern; it may be entered again and again.

    Where a block costs too much, on the ways of the smallest puts and gets, :meth:`tell` does the
    same to an error that was caught.

    Arguments:
        facts: attributes of :class:`ObjStoreError`, ``bucket`` and ``name`` mostly.
    """

    __slots__ = ("_facts",)

    def __init__(self, **facts: str) -> None:
        self._facts = facts

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, ObjStoreError):
            self.tell(error)

    def tell(self, error: ObjStoreError) -> None:
        """Set on an error what it concerns."""
        error.__dict__.update(self._facts)


def say_name(error: ObjStoreError) -> None:
    """Begin an error's message with the name of the object concerned, unless it has the name."""
    if error.name and repr(error.name) not in error.message:
        error.message = error.line = f"{error.name!r}: {error.message}"
        error.args = (error.message,)


# --- objects


class ObjectNotFoundError(ObjStoreError, FileNotFoundError):
    """The bucket holds no such object (it never did, it was deleted, or it expired)."""


class ObjectExistsError(ObjStoreError, FileExistsError):
    """A live object has the name already: mode ``"xb"``, a rename, or a link onto it."""


class ObjectTooLargeError(ObjStoreError, ValueError):
    """The payload is larger than the bucket's ``max_object_size``.

    Attributes:
        limit: the largest size that the bucket takes, in bytes.
    """

    limit: int | None = None


class ObjectChangedError(ObjStoreError):
    """The object was overwritten or deleted while it was being read."""


class ObjectCorruptError(ObjStoreError):
    """Chunks or metadata of the object are missing or malformed.

    Attributes:
        revision: the metadata's revision, where they are malformed.
    """

    revision: int | None = None


class DigestMismatchError(ObjectCorruptError):
    """The bytes that arrived do not have the digest that the metadata states.

    Attributes:
        expected: the digest of the metadata (``SHA-256=`` and URL-safe base64).
        actual: the digest of what arrived.
    """

    expected: str | None = None
    actual: str | None = None


class RevisionMismatchError(ObjStoreError):
    """The object's revision is no longer the one given as ``if_revision``.

    Attributes:
        expected: the revision that was asked for (0: absent).
        actual: the revision it has, where known.
    """

    expected: int | None = None
    actual: int | None = None


class LinkError(ObjStoreError):
    """A link leads where it must not: to a bucket, to another link, or in a circle."""


class WatcherStoppedError(ObjStoreError):
    """The watcher was stopped, here or by the process that forked this one: no change comes."""


# --- arguments


class InvalidNameError(ObjStoreError, ValueError):
    """The name of a bucket or object cannot be used; nothing was sent."""


class InvalidOptionError(ObjStoreError, ValueError):
    """An argument has a value that cannot work; nothing was sent."""


class InvalidPayloadError(ObjStoreError, TypeError):
    """The payload is of a kind that cannot be stored; the message says what to do instead."""


class IncompletePayloadError(ObjStoreError, EOFError):
    """The payload ended before its announced end: a connection that broke, a file cut off.

    Attributes:
        expected: how many bytes it had announced.
        received: how many came.
    """

    expected: int | None = None
    received: int | None = None


class PayloadFileError(ObjStoreError, OSError):
    """A file that was to be stored cannot be opened (a folder, no permission …), or has changed.

    Attributes:
        path: the file's path.
    """

    path: str | None = None


class PayloadFileNotFoundError(PayloadFileError, FileNotFoundError):
    """A file that was to be stored does not exist."""


class InvalidServerURLError(InvalidOptionError, NATSInvalidUrlError, NATSInvalidSchemeError):
    """A server's address cannot be understood, or has a scheme other than nats and tls."""


class MissingDependencyError(ObjStoreError, ImportError):
    """An optional package is needed; the message has the line that installs it."""


class ReentrantCallError(ObjStoreError, RuntimeError):
    """A call from a signal handler or a finalizer would wait for the call that it interrupts."""


# --- buckets


class BucketNotFoundError(ObjStoreError, FileNotFoundError):
    """The account has no such bucket."""


class BucketConfigError(ObjStoreError):
    """The bucket exists with other settings, or the server refuses the settings.

    Or they would lose or refuse what is written, and so nothing is written (``docs/buckets.rst``).

    Attributes:
        differences: for each option, or field of the stream's configuration, that differs a pair:
            as it is, as it was asked for or must be (None: it must not be there).
    """

    differences: dict[str, tuple[Any, Any]] | None = None


class BucketReadOnlyError(BucketConfigError):
    """The bucket is a mirror: its objects come from another bucket, and only that is written."""


class BucketSealedError(ObjStoreError):
    """The bucket is sealed: nothing in it can change any more."""


class StorageFullError(ObjStoreError):
    """The bucket's ``max_bytes``, the account's limit or the server's storage is used up."""


# --- the server and its API


class APIError(ObjStoreError):
    """JetStream answered with an error that has no class of its own here."""


class ServerVersionError(ObjStoreError):
    """The feature needs a newer nats-server.

    Attributes:
        needed: the first version that has the feature.
        version: the version of the server that was asked.
    """

    needed: str | None = None
    version: str | None = None


class ServerStartError(ObjStoreError):
    """A local nats-server could not be found or did not start.

    Attributes:
        log: the last lines that the server wrote.
    """

    log: str | None = None


class AuthorizationError(ObjStoreError):
    """The server refused the credentials, or they have expired."""


class PermissionDeniedError(ObjStoreError, PermissionError):
    """The user may not publish or subscribe to a subject, which ``subject`` names."""


class RequestTimeoutError(ObjStoreError, NATSRequestTimeoutError, TimeoutError):
    """No answer came within the time-out.

    Attributes:
        timeout: how long was waited, in seconds.
    """

    timeout: float | None = None


class NoRespondersError(RequestTimeoutError):
    """Nobody listens on the request's subject; the server said so at once (status 503)."""


# --- the connection


class ConnectionLostError(ObjStoreError, NATSConnectionError, ConnectionError):
    """No server could be reached, or the connection broke and did not come back in time."""


class ConnectionClosedError(ConnectionLostError):
    """The connection was closed by this process."""


class ProtocolError(ConnectionLostError, NATSUnexpectedResponse):
    """The other side does not speak the NATS protocol, or broke its rules."""


class TLSError(ConnectionLostError):
    """TLS could not be established; the certificate's fault is ``__cause__``."""


class TLSRequiredError(TLSError, NATSTLSConnectionRequiredError):
    """The server asks for TLS, and ``tls=False`` forbids it."""


class TLSUnavailableError(TLSError, NATSTCPConnectionRequiredError):
    """TLS was asked for, and the server does not offer it."""


def is_transient(error: ObjStoreError) -> bool:
    """Tell whether the same may succeed later: a connection or a leader is missing just now.

    What the server may have done of what failed is to be found out first.
    """
    if isinstance(error, APIError):
        return error.code == 503  # what JetStream answers while its servers change places
    if isinstance(error, ConnectionClosedError):
        return False
    return isinstance(error, (ConnectionLostError, RequestTimeoutError, NoRespondersError))


def violates_limit(error: ObjStoreError) -> bool:
    """Tell whether the server ended a connection for a command that is longer than it allows."""
    said = getattr(error.__cause__, "description", None) or ""
    return said.lower().startswith(("maximum control line", "maximum payload"))


# --- JetStream's numbers (errors.json of nats-server)

_BY_ERR_CODE: dict[int, type[ObjStoreError]] = {
    10002: StorageFullError,  # resource limits exceeded for account
    10023: StorageFullError,  # insufficient resources
    10028: StorageFullError,  # insufficient memory resources available
    10047: StorageFullError,  # insufficient storage resources available
    10077: StorageFullError,  # maximum bytes exceeded (the store failed)
    10122: StorageFullError,  # max stream bytes exceeds account limit
    10052: BucketConfigError,  # invalid configuration
    10055: BucketConfigError,  # mirror not updatable
    10058: BucketConfigError,  # stream name in use with a different configuration
    10065: BucketConfigError,  # subjects overlap with an existing stream
    10074: BucketConfigError,  # replicas > 1 not supported in non-clustered mode
    10113: BucketConfigError,  # account requires max bytes
    10059: BucketNotFoundError,
    10109: BucketSealedError,
    10071: RevisionMismatchError,  # wrong last sequence
    10164: RevisionMismatchError,  # the same, while another write is in flight
}


def api_error(error: dict[str, Any], what: str, **facts: Any) -> ObjStoreError:
    """Translate the ``error`` object of a JetStream answer.

    Arguments:
        error: ``code``, ``err_code`` and ``description`` as JetStream sent them.
        what: what was attempted, to begin the message with.
        facts: attributes for the error (``bucket``, ``name``, ``subject``).

    Returns:
        The error, to be raised by the caller; :class:`APIError` where the table has no entry.
    """
    err_code = int(error.get("err_code") or 0)
    kind = _BY_ERR_CODE.get(err_code, APIError)
    code = int(error.get("code") or 0)
    description = str(error.get("description") or "unknown error")
    message = f"{what}: {description} (code {code}, err_code {err_code})"
    if kind is StorageFullError and description == "maximum bytes exceeded":
        message += "; delete objects, or raise its max_bytes (update_store, or objstore edit)"
    return kind(message, code=code, err_code=err_code, description=description, **facts)
