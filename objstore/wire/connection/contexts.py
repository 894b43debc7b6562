"""What the ``nats`` command line reads, read the same way: its contexts and its variables.

One file of settings, a context (ADR-21), serves both tools, and so does one environment. What
``$NATS_URL``, ``$NATS_CREDS`` and their like say overrides the context, field by field, as the
options of the command line do, of which they are the defaults.

Contexts are read here, never written: ``nats context add`` and ``nats context select`` do that.
Beyond ADR-21 this follows jsm.go's ``natscontext``, which the command line uses: variables and
``~`` in paths are expanded, and a credential may refer to its value by ``file://``, ``env://``
or ``data:``.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from objstore.errors import InvalidOptionError
from objstore.wire.connection.auth import Login, TLSOptions, parse_credentials, parse_seed
from objstore.wire.connection.servers import DEFAULT_URL

__all__ = ["ContextSettings", "load_context", "load_settings"]

#: Settings that would change what the client does, and that it cannot follow.
_UNSUPPORTED = {
    "nsc": "write a credentials file with `nsc generate creds` and set creds",
    "socks_proxy": "connect through a tunnel and set url to its near end",
    "windows_cert_store": "export the certificate and its key as PEM and set cert and key",
    "windows_cert_match_by": "export the certificate and its key as PEM and set cert and key",
    "windows_cert_match": "export the certificate and its key as PEM and set cert and key",
    "windows_ca_certs_match": "export the authorities as PEM and set ca",
}

#: The variables of the command line, by what they are called in a context. ``$NATS_TIMEOUT`` and
#: ``$NATS_COLOR`` are not among them: they are for a person at a terminal.
_VARIABLES = {
    "url": "NATS_URL",
    "user": "NATS_USER",
    "password": "NATS_PASSWORD",
    "creds": "NATS_CREDS",
    "nkey": "NATS_NKEY",
    "user_jwt": "NATS_JWT",
    "user_seed": "NATS_SEED",
    "token": "NATS_TOKEN",
    "cert": "NATS_CERT",
    "key": "NATS_KEY",
    "ca": "NATS_CA",
    "socks_proxy": "NATS_SOCKS_PROXY",
}

#: The ways to log in, in the order in which the command line prefers them.
_WAYS = (("user", "password"), ("creds",), ("nkey",), ("user_jwt", "user_seed"), ("token",))

_REFERENCE = r"(?is)(?:(file|env|op|nsc)://|(data):)(.*)"

# As Go's os.Expand: $name, ${name}, the shell's special names; a ${ without its end is dropped.
_VARIABLE = r"\$(?:\{([^}]*)\}|\{|([*#$@!?0-9-])|([A-Za-z_][A-Za-z0-9_]*))"


class ContextSettings(msgspec.Struct, frozen=True):
    """What a context says about connecting.

    Attributes:
        servers: the servers' URLs; user names and passwords in them are hidden by ``repr``.
        login: how to log in; not validated yet.
        tls: equal to ``TLSOptions()`` when the context says nothing of TLS.
        domain: the JetStream domain.
        api_prefix: the prefix of JetStream API subjects, instead of ``$JS.API``.
        inbox_prefix: the prefix of reply subjects, instead of ``_INBOX``.
        variables: which environment variables said something, by what a context calls it.
    """

    servers: tuple[str, ...]
    login: Login
    tls: TLSOptions
    domain: str | None
    api_prefix: str | None
    inbox_prefix: str | None
    variables: Mapping[str, str] = {}

    def named(self, *keys: str) -> str:
        """Return the variables that said these things, each with a $; or ``""``."""
        return ", ".join(f"${self.variables[key]}" for key in keys if key in self.variables)

    @property
    def login_variables(self) -> tuple[str, ...]:
        """Fields of the login that the environment said; none where it is the context's."""
        return tuple(key for way in _WAYS for key in way if key in self.variables)

    # A struct's own repr would show the passwords that stand in addresses.
    def __repr__(self) -> str:
        servers = tuple(re.sub(r"^(\w+://)?.*@", r"\1***@", url) for url in self.servers)
        return (
            f"ContextSettings(servers={servers!r}, login={self.login!r}, tls={self.tls!r}, "
            f"domain={self.domain!r}, api_prefix={self.api_prefix!r}, "
            f"inbox_prefix={self.inbox_prefix!r})"
        )

    __rich_repr__ = None  # type: ignore[assignment] # so that rich shows no more than repr does


def load_context(name: str | None = None) -> ContextSettings:
    """Read a context from ``nats/context/`` in ``$XDG_CONFIG_HOME``, else in ``~/.config``.

    Arguments:
        name: the context's name, or the absolute path of a JSON file like a context's. ``None``
            or ``""`` is the one that ``nats context select`` selected (``nats/context.txt``).

    Returns:
        The settings. Settings that this client does not know are ignored. Files of credentials
        and certificates are not looked at, unless creds or nkey is given as ``env://`` or
        ``data:``, or another secret as ``file://``: those are resolved now.

    Raises:
        InvalidOptionError: there is no such context (the message lists those there are), or no
            name was given and none is selected; the name has a path separator or ``..``
            in it; the file cannot be read, is not JSON, or has a value of the wrong type; or the
            context needs ``nsc``, a proxy or the Windows certificate store. The message names
            the file, and shows no value that might be secret.
    """
    return _settings(_read_context(name or _selected()))


def load_settings(name: str | None, environ: Mapping[str, str]) -> ContextSettings:
    """Read a context, if one is asked for, and what the environment says instead.

    An empty variable says nothing. ``$NATS_USER`` without ``$NATS_PASSWORD`` is a token. Of
    several logins in the environment the command line's favourite counts: user, creds, NKEY, JWT,
    token; it takes the place of the context's. The context that ``nats context select`` selected
    is for that command alone: a library that connects elsewhere because of what a person did in
    a terminal would surprise.

    Arguments:
        name: a name as for :func:`load_context`; None: ``$NATS_CONTEXT``, if that is set.
        environ: the environment.

    Returns:
        The settings; without any the default server.

    Raises:
        InvalidOptionError: as :func:`load_context`; or a variable cannot be used, which it names.

    Source: nats-io/natscli, ``nats/main.go`` and ``loadContext`` in ``cli/util.go``.
    """
    context = _Context("")
    if name is not None:
        context = _read_context(name or _selected())
    elif environ.get("NATS_CONTEXT"):
        try:
            context = _read_context(environ["NATS_CONTEXT"])
        except InvalidOptionError as error:
            raise InvalidOptionError(f"$NATS_CONTEXT: {error}") from error
    said = _said(environ)
    known = {key for key, value in context.values.items() if value} | said.keys()
    if "password" in said and "user" not in known:
        del said["password"]  # nobody's
    way = next((way for way in _WAYS if said.keys() & set(way)), None)
    # Fields of other ways go, the context's too: a mixture of two logins is refused.
    for key in itertools.chain.from_iterable(other for other in _WAYS if way and other != way):
        said.pop(key, None)
        context.values.pop(key, None)
    context.values.update(said)
    context.variables = {key: _VARIABLES[key] for key in said}
    # The token came from $NATS_USER: errors must name the variable that was set.
    if "token" in said and said["token"] != environ.get("NATS_TOKEN"):
        context.variables["token"] = _VARIABLES["user"]
    return _settings(context)


def _said(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what the environment says, by what a context calls it."""
    said = {key: environ[name] for key, name in _VARIABLES.items() if environ.get(name)}
    if said.get("socks_proxy", "").lower() in ("none", "-"):
        said["socks_proxy"] = ""  # also the context's shall not be used
    if "user" in said and "password" not in said:
        said["token"] = said.pop("user")
    return said


def _read_context(name: str) -> _Context:
    if os.path.isabs(name) or (name.endswith(".json") and os.path.isfile(name)):
        path = name
    else:
        if not _is_safe(name):
            raise InvalidOptionError(
                f'{name!r} is not the name of a context: it must not have "/", "\\" or ".." '
                "in it (an absolute path is taken as a file)"
            )
        path = os.path.join(_root(), "context", f"{name}.json")
    try:
        # As bytes: json.loads then tells UTF-8, with a byte order mark or without, from UTF-16.
        with open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError as error:
        raise InvalidOptionError(f"there is no context {name!r}; {_known()}") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise InvalidOptionError(f"the context {path!r} cannot be read: {reason}") from error
    return _Context(path, content)


def _root() -> str:
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return os.path.join(config, "nats")


def _is_safe(name: str) -> bool:
    # The name becomes a part of a path, and must not lead out of the folder.
    return not ({"/", "\\"} & set(name) or ".." in name)


def _selected() -> str:
    """Return the name of the selected context, which is in ``context.txt``."""
    try:
        with open(os.path.join(_root(), "context.txt"), encoding="utf-8") as file:
            name = file.read().strip()
    except FileNotFoundError:
        name = ""
    except (OSError, ValueError) as error:
        raise InvalidOptionError(
            f"{os.path.join(_root(), 'context.txt')!r} cannot be read: {error}"
        ) from error
    if not name:
        raise InvalidOptionError(
            f"No context is selected: give a name, or run `nats context select`; {_known()}"
        )
    if not _is_safe(name):  # also an absolute path: the command line never writes one
        raise InvalidOptionError(f"{name!r} in context.txt is not the name of a context")
    return name


def _known() -> str:
    """Say which contexts there are, as the end of a message."""
    folder = os.path.join(_root(), "context")
    try:
        with os.scandir(folder) as entries:
            names = [e.name[: -len(".json")] for e in entries if e.name.endswith(".json")]
    except OSError:
        names = []
    if not names:
        return f"there are none in {folder!r}"
    return f"known contexts are: {', '.join(sorted(names))}"


class _Context:
    """The JSON object of a context, whose getters check types and name the source in errors.

    Attributes:
        path: the path of its file, or ``""``.
        values: the fields.
        variables: which of them an environment variable has said, and which one.
    """

    def __init__(self, path: str, content: bytes = b"{}") -> None:
        self.path = path
        self.variables: dict[str, str] = {}
        values: Any = None
        problem = "is not a JSON object"
        try:
            values = json.loads(content)
        except json.JSONDecodeError as error:
            problem = f"is not JSON: {error.msg}, line {error.lineno}, column {error.colno}"
        except (UnicodeDecodeError, RecursionError):
            pass
        if not isinstance(values, dict):  # Not from error: it carries the text, and its secrets.
            raise InvalidOptionError(f"the context {path!r} {problem}")
        self.values: dict[str, Any] = values

    def error(self, key: str, problem: str) -> InvalidOptionError:
        names = [self.variables[key]] if key in self.variables else []
        if not self.path:  # all that there is was said by variables
            names = names or sorted(self.variables.values())
        if names:
            return InvalidOptionError(f"${', $'.join(names)}: {problem}")
        return InvalidOptionError(f"the context {self.path!r}: {key} {problem}")

    def text(self, key: str) -> str | None:
        """Return a string; None where it is missing, null or empty (ADR-21: all are written)."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, str):
            raise self.error(key, f"must be a string, not {type(value).__name__}")
        return value or None

    def flag(self, key: str) -> bool:
        value = self.values.get(key)
        if value is not None and not isinstance(value, bool):
            raise self.error(key, f"must be true or false, not {type(value).__name__}")
        return bool(value)

    def path_of(self, key: str) -> str | None:
        """Return the path of a file; one that the context says is expanded."""
        value = self.text(key)
        return value if value is None or key in self.variables else _expand(value)

    def secret(self, key: str) -> str | None:
        """Return a secret: the value itself, or what it refers to."""
        value = self.text(key)
        match = None if value is None else re.fullmatch(_REFERENCE, value)
        # A file's text ends with a line break, the secret in it does not.
        return value if match is None else self._resolve(key, match).rstrip("\r\n")

    def file_or_text(self, key: str) -> tuple[str | None, str | None]:
        """Return the path of a file with a secret, or else the text that was in its place."""
        value = self.text(key)
        match = None if value is None else re.fullmatch(_REFERENCE, value)
        if match is None:
            return self.path_of(key), None
        if (match[1] or "").lower() == "file":
            return _expand(match[3]), None
        return None, self._resolve(key, match)

    def _resolve(self, key: str, match: re.Match[str]) -> str:
        """Return what a reference stands for, as natscontext's resolvers have it."""
        scheme, rest = (match[1] or match[2]).lower(), match[3]
        if scheme == "env":
            value = os.environ.get(rest)
            if value:
                return value
            problem = f"refers to the environment variable {rest!r}, which is not set"
        elif scheme == "file":
            try:
                with open(_expand(rest), "rb") as file:
                    # Strict decoding would raise an error that holds the secret.
                    return file.read().decode("utf-8", "replace")
            except (OSError, ValueError) as error:
                raise self.error(key, f"refers to a file: {error}") from error
        elif scheme == "data":
            kind, _, payload = rest.partition(",")
            try:
                if "base64" in (part.strip() for part in kind.split(";")):
                    return base64.b64decode(payload, validate=True).decode("utf-8", "replace")
            except ValueError:
                pass
            problem = "is a data: reference without valid base64"
        else:
            problem = f"refers to {scheme}://, which is not supported; use the path of a file"
        raise self.error(key, problem)


def _settings(context: _Context) -> ContextSettings:
    for key, instead in _UNSUPPORTED.items():
        if context.values.get(key):
            raise context.error(key, f"is not supported by this client; instead, {instead}")
    urls = (context.text("url") or "").split(",")
    return ContextSettings(
        servers=tuple(url.strip() for url in urls if url.strip()) or (DEFAULT_URL,),
        login=_login(context),
        tls=TLSOptions(
            ca_file=context.path_of("ca"),
            cert_file=context.path_of("cert"),
            key_file=context.path_of("key"),
            first=context.flag("tls_first"),
        ),
        domain=context.text("jetstream_domain"),
        api_prefix=context.text("jetstream_api_prefix"),
        inbox_prefix=context.text("inbox_prefix"),
        variables=context.variables,
    )


def _login(context: _Context) -> Login:
    user = context.text("user")
    password = context.secret("password")
    jwt = context.secret("user_jwt")
    credentials, credentials_text = context.file_or_text("creds")
    nkey, nkey_text = context.file_or_text("nkey")
    user_seed = context.secret("user_seed")
    keys = (credentials_text, nkey, nkey_text, user_seed)
    too_many = sum(key is not None for key in keys) > 1
    if too_many or (credentials_text is not None and jwt is not None):
        raise context.error(
            "creds, nkey and user_seed/user_jwt", "are too many ways to log in: keep one"
        )
    seed_text = nkey_text or user_seed
    try:
        # Parsed here, not left to Login: it could take a malformed text for a path, and show it.
        if credentials_text is not None:
            jwt, nkey = parse_credentials(credentials_text)
        elif seed_text is not None:
            nkey = parse_seed(seed_text)
    except InvalidOptionError as error:
        raise context.error("creds, nkey or user_seed", f"cannot be used: {error}") from error
    return Login(
        user=user,
        # Login wants both or neither; a context may name a user without a password.
        password="" if user is not None and password is None else password,
        token=context.secret("token"),
        credentials=credentials,
        nkey_seed=nkey,
        user_jwt=jwt,
    )


def _expand(path: str) -> str:
    """Expand variables (unset ones to nothing) and then ``~``, as the command line does."""
    expanded = re.sub(_VARIABLE, lambda m: os.environ.get(m[1] or m[2] or m[3] or "", ""), path)
    return os.path.expanduser(expanded)
