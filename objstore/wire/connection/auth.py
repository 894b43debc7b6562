"""Who connects, and to whom: logins, NKEY signatures and TLS.

:class:`Login` turns what the user knows (a password, a token, a credentials file, an NKEY seed)
into fields of CONNECT; :class:`TLSOptions` turns file names into an :class:`ssl.SSLContext`.
Neither opens a socket.

Secrets stay out of sight: no ``repr`` and no error has a password, token, JWT or seed in it,
and files that hold one are read when it is needed and not kept. The ``nkeys`` package (with
PyNaCl below it) is imported by the first signature.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import ssl
from typing import Any

import msgspec
from msgspec.structs import asdict

from objstore.errors import AuthorizationError, InvalidOptionError, MissingDependencyError

__all__ = ["Login", "TLSOptions", "parse_credentials", "parse_seed"]

StrPath = str | os.PathLike[str]

#: A JWT: header, claims and signature, each URL-safe base64; the header is a JSON object.
_JWT = r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"

#: A user's seed: prefix and role (16 bits, "SU" and the low bits of "A".."D"), key, CRC-16.
_SEED = r"SU[A-D][A-Z2-7]{55}"

#: What is found in the text of a key, or in a file with one, and not in any sane path. It is
#: wider than _SEED on purpose: a mistyped seed must not be taken for a path and shown as one.
_CONTENTS = r"[\r\n]|-----|(?<![A-Za-z0-9])(?:[SsPp][A-Za-z0-9]{40,}|eyJ[\w-]{8,}\.[\w-]+\.)"


# A struct, as other values here, since a dataclass takes 30 times as long to be made: 0.4 ms.
class Login(msgspec.Struct, frozen=True):
    """What a client shows a server to be let in; empty for a server that asks for nothing.

    One way at a time: user and password; token; credentials; or ``nkey_seed`` and
    ``user_jwt``, alone or together. ``~`` at the start of a path is the home directory.

    Attributes:
        user: the name of a user; needs ``password``.
        password: the user's password; may be ``""``.
        token: the server's token.
        credentials: path of a ``.creds`` file: a user's JWT and NKEY seed. It is read for each
            CONNECT, so that renewed credentials are picked up by a reconnect.
        nkey_seed: a user's NKEY seed (``SU...``), or the path of a file with one, which is
            read for each CONNECT as well. A path-like object is always a path.
        user_jwt: a user's JWT itself, signed for with ``nkey_seed``. Without a seed it is sent
            unsigned, which servers accept of bearer JWTs alone.
    """

    user: str | None = None
    password: str | None = None
    token: str | None = None
    credentials: StrPath | None = None
    nkey_seed: StrPath | None = None
    user_jwt: str | None = None

    def __repr__(self) -> str:
        shown = []
        for name, value in asdict(self).items():
            if value is not None:
                # A path may be shown, unless somebody gave a key's text in its place.
                public = name == "user" or (
                    name in ("credentials", "nkey_seed") and not _holds_contents(value)
                )
                shown.append(f"{name}={value!r}" if public else f"{name}=***")
        return f"Login({', '.join(shown)})"

    __rich_repr__ = None  # type: ignore[assignment] # so that rich shows no more than repr does

    def validate(self) -> None:
        """Find out before connecting whether this login can work at all.

        Files are read and seeds are checked, but nothing is kept of them.

        Raises:
            InvalidOptionError: options contradict each other or are half given, have the wrong
                type or are empty; a file cannot be read (the ``OSError`` is the cause) or
                does not hold what it should.
            MissingDependencyError: a signature will be needed, and ``nkeys`` is not installed.
        """
        self._check_options()
        _, seed = self._jwt_and_seed()
        if seed is not None:
            _import_nkeys()

    def connect_fields(self, nonce: str | None) -> dict[str, str]:
        """Return the fields of CONNECT that log in.

        The signature is of the nonce's bytes, in URL-safe base64 without padding, as in nats.go.

        Arguments:
            nonce: the ``nonce`` of the server's INFO; ``None`` when INFO has none.

        Returns:
            ``user`` and ``pass``; ``auth_token``; or those of ``jwt``, ``nkey`` and ``sig``
            that apply. Empty for an empty login. They are secrets: not for logs.

        Raises:
            InvalidOptionError: as for :meth:`validate`. A file that was good then may have
                changed since.
            MissingDependencyError: a signature is needed, and ``nkeys`` is not installed.
            AuthorizationError: there is a key to sign with, and the server sent no nonce.
        """
        self._check_options()
        if self.user is not None and self.password is not None:
            return {"user": self.user, "pass": self.password}
        if self.token is not None:
            return {"auth_token": self.token}
        jwt, seed = self._jwt_and_seed()
        result = {} if jwt is None else {"jwt": jwt}
        if seed is not None:
            if not nonce:
                raise AuthorizationError(
                    "The server asked for no signature (its INFO has no nonce), so it cannot "
                    "check a login with credentials or an NKEY: it has users with passwords, "
                    "a token, or no authorization at all"
                )
            result["nkey"], result["sig"] = _sign(seed, nonce)
        return result

    def _check_options(self) -> None:
        """Refuse what can be seen to be wrong without reading a file."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        for name, value in given.items():
            is_path = name in _PATHS and isinstance(value, os.PathLike)
            if not isinstance(value, str) and not is_path:
                others = "a path-like object or None" if name in _PATHS else "None"
                raise InvalidOptionError(
                    f"{name} must be a str, not {type(value).__name__}; {others} will do, too"
                )
            # Most often an environment variable that is not set. Only a password may be empty.
            if value == "" and name != "password":
                raise InvalidOptionError(f"{name} is empty; None means that there is none")
        if ("user" in given) != ("password" in given):
            raise InvalidOptionError(
                'user and password go together (password="" for an empty one; a token is token=)'
            )
        ways = {_WAYS[name]: None for name in given}  # a dict for its order
        if len(ways) > 1:
            raise InvalidOptionError(f"only one way to log in can be used, not {_listed(ways)}")
        if "credentials" in given and _holds_contents(given["credentials"]):
            raise InvalidOptionError(
                "credentials is the path of a file, and this looks like its contents; "
                "use user_jwt and nkey_seed for a JWT and a seed in memory"
            )

    def _jwt_and_seed(self) -> tuple[str | None, str | None]:
        """Return the JWT and the checked seed, from their files where they are in files."""
        if self.credentials is not None:
            what = f"credentials file {os.fspath(self.credentials)!r}"
            return _parse_credentials(_read(self.credentials, what), what)
        jwt = seed = None
        if self.user_jwt is not None:
            jwt = self.user_jwt.strip()
            if not re.fullmatch(_JWT, jwt):
                raise InvalidOptionError("user_jwt is not a JWT (three parts of base64)")
        if self.nkey_seed is not None:
            if _holds_contents(self.nkey_seed):
                seed = _parse_seed(os.fspath(self.nkey_seed), "nkey_seed")
            else:
                what = f"NKEY seed file {os.fspath(self.nkey_seed)!r}"
                seed = _parse_seed(_read(self.nkey_seed, what), what)
        return jwt, seed


_PATHS = ("credentials", "nkey_seed")

# The way of logging in that each option belongs to. nkey_seed and user_jwt are one way, though
# each may be given without the other.
_WAYS = {
    "user": "user and password",
    "password": "user and password",
    "token": "token",
    "credentials": "credentials",
    "nkey_seed": "nkey_seed/user_jwt",
    "user_jwt": "nkey_seed/user_jwt",
}


def _listed(words: dict[str, None]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}"


def parse_credentials(text: str) -> tuple[str, str]:
    """Find the JWT and the seed in the text of a ``.creds`` file, as ``nsc`` writes it.

    Each stands on a line of its own, between lines of dashes. They are known by their form, so
    line ends, indentation, labels, order and any text around them do not matter; of several
    the first counts.

    Arguments:
        text: what the file holds.

    Returns:
        The user's JWT and the user's NKEY seed (``SU...``, its checksum verified).

    Raises:
        InvalidOptionError: one of the two is missing or the seed is damaged; the message shows
            nothing of the text.
    """
    return _parse_credentials(text, "text of the credentials")


def parse_seed(text: str) -> str:
    """Find the seed in the text of an NKEY seed file: alone on a line, whatever is around it.

    Arguments:
        text: what the file holds, or the seed itself.

    Returns:
        The user's NKEY seed (``SU...``, its checksum verified).

    Raises:
        InvalidOptionError: it is missing or damaged; the message shows nothing of the text.
    """
    return _parse_seed(text, "text of the seed")


def _parse_credentials(text: str, what: str) -> tuple[str, str]:
    for line in text.splitlines():
        if re.fullmatch(_JWT, line.strip()):
            return line.strip(), _parse_seed(text, what)
    raise InvalidOptionError(f"the {what} has no user JWT in it")


def _parse_seed(text: str, what: str) -> str:
    """Return the first user seed that is alone on its line, its checksum verified."""
    for line in text.splitlines():
        seed = line.strip()
        if re.fullmatch(_SEED, seed):
            # NKEYs are written without the padding to groups of eight that base32 wants.
            raw = base64.b32decode(seed + "=" * (-len(seed) % 8))
            # The nkeys package leaves the CRC unchecked: a mistyped seed would sign, wrongly.
            if binascii.crc_hqx(raw[:-2], 0).to_bytes(2, "little") != raw[-2:]:
                raise InvalidOptionError(f"the {what} has a damaged seed: wrong checksum")
            return seed
    raise InvalidOptionError(f"the {what} has no NKEY seed of a user (SU...) in it")


def _holds_contents(value: StrPath) -> bool:
    """Tell whether a string that could be a path is the text of a key or of a file with one."""
    return isinstance(value, str) and re.search(_CONTENTS, value) is not None


def _read(path: StrPath, what: str) -> str:
    """Read a file with a secret in it.

    Raises:
        InvalidOptionError: it cannot be read.
    """
    try:
        with open(os.path.expanduser(path), "rb") as file:
            # The secrets are ASCII. Strict decoding would raise an error that holds them.
            return file.read().decode("utf-8", "replace")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise InvalidOptionError(f"the {what} cannot be read: {reason}") from error


# Imported for the first signature: logins without one need neither nkeys nor PyNaCl.
def _import_nkeys() -> Any:
    try:
        import nkeys
    except ImportError as error:
        raise MissingDependencyError(
            'Credentials and NKEYs need the nkeys package: pip install "nats-objstore[nkeys]"'
        ) from error
    return nkeys


def _sign(seed: str, nonce: str) -> tuple[str, str]:
    """Sign a nonce with a checked seed.

    The key pair and the copy of the seed made for it are wiped. Python's immutable strings
    cannot be; they are let go.

    Returns:
        The public key (``U...``) and the signature.
    """
    nkeys = _import_nkeys()
    copy = bytearray(seed, "ascii")
    try:
        pair = nkeys.from_seed(copy)
        try:
            public_key: bytes = pair.public_key
            signature: bytes = pair.sign(nonce.encode())
        finally:
            pair.wipe()
    finally:
        copy[:] = bytes(len(copy))
    encoded = base64.urlsafe_b64encode(signature).rstrip(b"=")
    return public_key.decode("ascii"), encoded.decode("ascii")


class TLSOptions(msgspec.Struct, frozen=True):
    """How a server proves itself, and how the client does.

    Attributes:
        ca_file: path of the certificate authorities to trust, in PEM, instead of the system's.
        cert_file: path of the client's certificate, in PEM, its chain after it.
        key_file: path of the certificate's key, in PEM; ``None`` when ``cert_file`` has it.
        verify: ``False`` accepts any certificate of any host, and so any man in the middle.
        first: the handshake comes before INFO, not after (``handshake_first`` of the server).
        context: a context made elsewhere, used as it is; only ``first`` goes with it.
    """

    ca_file: StrPath | None = None
    cert_file: StrPath | None = None
    key_file: StrPath | None = None
    verify: bool = True
    first: bool = False
    context: ssl.SSLContext | None = None

    @property
    def files(self) -> dict[str, StrPath]:
        """The files that were given, by what they are."""
        named = {"ca": self.ca_file, "cert": self.cert_file, "key": self.key_file}
        return {name: file for name, file in named.items() if file is not None}

    def validate(self) -> None:
        """Find out before connecting whether the files can be used at all; none is kept.

        Raises:
            InvalidOptionError: as :meth:`build`; or something that is no path.
        """
        for name, file in self.files.items():
            if not isinstance(file, (str, os.PathLike)) or not isinstance(os.fspath(file), str):
                raise InvalidOptionError(f"{name} is {file!r}; it must be the path of a file")
            if not os.fspath(file):
                raise InvalidOptionError(f"{name} is empty; None means that there is none")
        # Without either nothing can be wrong, and loading the system's authorities is not free.
        if self.files or self.context is not None:
            self.build()

    def build(self) -> ssl.SSLContext:
        """Make the context of a client's connection: TLS 1.2 or later, host name checked.

        The files are read now, so a context built for each attempt follows renewed certificates.

        Returns:
            A new context, or ``context`` itself.

        Raises:
            InvalidOptionError: a file is missing or is not what it should be (the ``OSError``,
                often an ``ssl.SSLError``, is the cause); the key has a passphrase; or options
                contradict each other.
        """
        if self.context is not None:
            if not self.verify or self.files:
                raise InvalidOptionError(
                    "A TLS context is used as it is: certificates and verify must be set in it"
                )
            return self.context
        if self.key_file is not None and self.cert_file is None:
            raise InvalidOptionError("A TLS key_file needs the cert_file that it belongs to")
        ca_file, cert_file, key_file = (
            None if file is None else os.path.expanduser(file)
            for file in (self.ca_file, self.cert_file, self.key_file)
        )
        try:
            # Python loads the system's authorities only if cafile is None.
            context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca_file)
        except (OSError, ValueError) as error:
            raise InvalidOptionError(
                f"the TLS authorities in {ca_file!r} cannot be loaded: {error}"
            ) from error
        # The system's policy (openssl.cnf) may ask for more than 1.2.
        context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
        if not self.verify:
            # In this order: Python refuses CERT_NONE while check_hostname is on.
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if cert_file is not None:
            try:
                context.load_cert_chain(cert_file, key_file, password=_no_passphrase)
            except InvalidOptionError:
                raise
            except (OSError, ValueError) as error:
                raise InvalidOptionError(
                    f"the TLS certificate {cert_file!r} with the key "
                    f"{key_file or cert_file!r} cannot be loaded: {error}"
                ) from error
        return context


def _no_passphrase() -> str:
    """Refuse encrypted keys; OpenSSL would ask for the passphrase on the terminal, and wait."""
    raise InvalidOptionError(
        "the TLS key has a passphrase: remove it (openssl pkey), or load the key into an "
        "ssl.SSLContext and pass that"
    )
