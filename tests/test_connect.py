"""``connect``: its arguments, the environment, contexts: what each says, and what is refused."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import trustme
from click.testing import CliRunner

import objstore
from objstore import (
    AuthorizationError,
    Connection,
    ConnectionLostError,
    InvalidOptionError,
    InvalidServerURLError,
    LocalServer,
    PermissionDeniedError,
    TLSError,
    TLSUnavailableError,
    connecting,
)
from objstore.cli import cli
from objstore.wire.connection import contexts
from objstore.wire.connection.dial import program_name

#: Three ways in; ann may hear of her own inbox only.
USERS = """
jetstream: enabled
authorization {
  users: [
    {user: ann, password: "a/b@c", permissions: {
      publish: ["$O.>", "$JS.API.>"], subscribe: ["_INBOX_ann.>"]}},
    {user: bob, password: secret}
  ]
}
"""


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of the command line is set, and no context is there."""
    for name in list(os.environ):
        if name.startswith("NATS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "nats" / "context").mkdir(parents=True)


def test_nobody_says_where_the_server_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first line of many programs: without a server it says what helps."""
    nowhere = "nats://127.0.0.1:1"  # in place of the usual port, where there may be a server
    monkeypatch.setattr(connecting, "DEFAULT_URL", nowhere)
    monkeypatch.setattr(contexts, "DEFAULT_URL", nowhere)
    helps = r"objstore\.local\(\)"
    with pytest.raises(ConnectionLostError, match=f"^cannot connect to {nowhere}: .*{helps}"):
        objstore.connect()
    with pytest.raises(ConnectionLostError, match=f"^cannot connect to {nowhere}: ") as caught:
        objstore.connect(nowhere)
    assert "local()" not in str(caught.value)
    said = CliRunner().invoke(cli, ["ls"]).stderr
    assert ("--embedded DIR" in said, "local()" in said) == (True, False)


def add_context(name: str, **fields: Any) -> Path:
    """Write a context, as the command line does."""
    path = Path(os.environ["XDG_CONFIG_HOME"], "nats", "context", f"{name}.json")
    path.write_text(json.dumps(fields))
    return path


@pytest.fixture(scope="module")
def users() -> Iterator[LocalServer]:
    with LocalServer(config=USERS) as server:
        yield server


@pytest.fixture(scope="module")
def tokens() -> Iterator[LocalServer]:
    with LocalServer(config='authorization { token: "t0ken" }') as server:
        yield server


class Secured:
    """A server with TLS, and the file of who has signed its certificate."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.ca = folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca))
        certificate = folder / "server.pem"
        issued = authority.issue_cert("127.0.0.1")
        issued.private_key_and_cert_chain_pem.write_to_path(str(certificate))
        self.server = LocalServer(
            config=f'tls {{ cert_file: "{certificate}", key_file: "{certificate}" }}\n'
            'authorization { token: "t0ken" }'
        )

    @property
    def url(self) -> str:
        return f"nats://t0ken@127.0.0.1:{self.server.port}"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    secured = Secured(tmp_path_factory.mktemp("tls"))
    with secured.server:
        yield secured


# --- arguments

NOT_TEXT = [5, b"x", ["x"], 1.5, True]


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("name", [*NOT_TEXT, "", "\ud800"]),
        ("user", [*NOT_TEXT, ""]),
        ("password", NOT_TEXT),
        ("token", [*NOT_TEXT, ""]),
        ("credentials", [*NOT_TEXT, "", "/nowhere/x.creds", Path("/nowhere/x.creds")]),
        ("nkey_seed", [*NOT_TEXT, "", "/nowhere/x.nk"]),
        ("tls", [5, "yes", b"", [], 1.5]),
        ("context", [*NOT_TEXT, "../x", "a/b", "never-made"]),
        ("domain", [*NOT_TEXT, "", "a.b", "a b", "*", ">"]),
        ("timeout", [0, -1, True, "5", b"5", None, [5], float("nan"), 1j, timedelta(0)]),
        ("reconnect_timeout", [-1, False, "5", None, float("nan"), -0.5, timedelta(-1)]),
        ("inbox_prefix", [5, b"x", None, "", "a b", "a.*", ">", "a.", ".a", "a..b", "a\n"]),
        ("api_prefix", [5, b"x", "", ".", "a b", "$JS.*", ">", "a..b"]),
        ("ca", [5, b"x", "", True, ["x"], "/nowhere/ca.pem", Path("/nowhere/ca.pem"), __file__]),
        ("lazy", [None, 0, 1, "yes"]),
    ],
)
@pytest.mark.parametrize("lazy", [False, True])
def test_arguments(server: LocalServer, option: str, values: list[Any], lazy: bool) -> None:
    """Each is refused before anything is dialled, by an error that names it."""
    for value in values:
        options: dict[str, Any] = {"lazy": lazy, option: value}
        if option in ("user", "password"):  # they go together
            options = {"user": "u", "password": "p", **options}
        with pytest.raises(InvalidOptionError) as caught:
            objstore.connect("nats://127.0.0.1:1", **options)
        what = {"credentials": "credentials", "nkey_seed": "(?i)nkey.seed"}.get(option, option)
        assert caught.match(what if value != "/nowhere/x.nk" else "NKEY seed file"), value
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"user": "u"},
        {"password": "p"},
        {"user": "u", "password": "p", "token": "t"},
        {"token": "t", "credentials": "/x"},
        {"domain": "d", "api_prefix": "p"},
        {"ca": "/x", "tls": ssl.create_default_context()},
    ],
    ids=lambda options: "+".join(options),
)
def test_arguments_that_contradict_each_other(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidOptionError):
        objstore.connect("nats://127.0.0.1:1", **options)


BAD_SERVERS = [
    (b"nats://a", "bytes"),
    (bytearray(b"nats://a"), "bytearray"),
    (5, "int"),
    ({"nats://a": 1}, "dict"),
    (Path("nats:/a"), "Path"),
    ([], "no server"),
    ([None], "is text, not NoneType"),
    (["nats://a", 5], "is text, not int: 5"),
    ([b"nats://a"], "is text, not bytes"),
    (["nats://a", ""], "no host"),
    ("", "no host"),
    ("  ", "no host"),
    (",", "no host"),
    ("nats://a,,nats://b", "no host"),
    ("nats://a:0", "port 0"),
    ("nats://a:70000", "Port out of range"),
    ("nats://a:x", "not the address"),
    ("http://a:4222", "'http'; it must be nats:// or tls://"),
    ("nats://a,ws://b", "'ws'"),
    ("nats://a b", "no host"),
    ("nats://[::1", "not the address"),
    ("nats://a?tls=true", "behind a"),
    ("nats://a#b", "behind a"),
]


@pytest.mark.parametrize(("servers", "words"), BAD_SERVERS)
def test_servers_that_cannot_be(servers: Any, words: str) -> None:
    with pytest.raises(InvalidServerURLError, match=rf"^servers.*{words}"):
        objstore.connect(servers)


@pytest.mark.parametrize("url", [url for url, _ in BAD_SERVERS if isinstance(url, str) and url])
def test_a_variable_that_cannot_be(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says that it was the variable."""
    monkeypatch.setenv("NATS_URL", url)
    with pytest.raises(InvalidServerURLError, match=r"^\$NATS_URL") as caught:
        objstore.connect(lazy=True)
    assert "\n" not in str(caught.value)


def test_a_context_with_a_wrong_address() -> None:
    add_context("c", url="http://a:4222")
    with pytest.raises(InvalidServerURLError, match=r"context.*'http'"):
        objstore.connect(context="c")


@pytest.mark.parametrize("form", ["{},", " {} ", "{}, ", "nats://127.0.0.1:1,{}", "{},{},"])
def test_addresses_in_one_text(server: LocalServer, form: str) -> None:
    """A comma at the end and white space around are no address more."""
    with objstore.connect(form.format(server.url, server.url)) as client:
        assert client.connection.is_connected


def test_addresses_of_any_kind_of_sequence(server: LocalServer) -> None:
    for servers in ([server.url], (server.url,), iter([server.url]), {server.url}):
        with objstore.connect(servers) as client:  # type: ignore[arg-type]
            assert client.connection.is_connected


def test_a_login_in_the_address(users: LocalServer) -> None:
    """Escaped as URLs have it, or with an @ as it is."""
    for password in ("a%2Fb%40c", "a%2Fb@c"):
        url = f"nats://ann:{password}@127.0.0.1:{users.port}"
        with objstore.connect(url, inbox_prefix="_INBOX_ann") as client:
            client.object_store("b").put("x", b"1")


@pytest.mark.parametrize("kind", [int, float, Decimal, Fraction, lambda s: timedelta(seconds=s)])
def test_seconds_of_any_type(server: LocalServer, kind: Any) -> None:
    with objstore.connect(server.url, timeout=kind(3), reconnect_timeout=kind(2)) as client:
        assert (client.connection.timeout, client.connection.reconnect_timeout) == (3.0, 2.0)
        assert type(client.connection.timeout) is float


# --- what they do


def test_the_server_s_monitoring_shows_names() -> None:
    """One's own, or the program's; after a reconnect, too."""
    config = """
    jetstream: enabled
    accounts {
      $SYS { users: [{user: admin, password: p}] }
      A { jetstream: enabled, users: [{user: ann, password: p}] }
    }
    no_auth_user: ann
    """

    def names() -> dict[int, str]:
        with Connection(url, user="admin", password="p") as monitor:
            answer = monitor.request("$SYS.REQ.SERVER.PING.CONNZ", payload=b'{"acc": "A"}')
        found = json.loads(answer.payload)["data"]["connections"]
        return {each["cid"]: each.get("name") for each in found}

    with LocalServer(config=config) as server:
        url = f"127.0.0.1:{server.port}"
        with objstore.connect(url, name="thumbnails") as mine, objstore.connect(url) as other:
            for _ in range(2):
                ids = [each.connection.server_info["client_id"] for each in (mine, other)]
                shown = names()
                assert [shown[number] for number in ids] == ["thumbnails", program_name()]
                mine.connection.reconnect()
                other.connection.reconnect()


def test_an_inbox_of_ones_own(users: LocalServer) -> None:
    """For users who may not subscribe to the usual one, which ends in an error that says so."""
    url = f"nats://127.0.0.1:{users.port}"
    login: dict[str, Any] = {"user": "ann", "password": "a/b@c", "timeout": 2}
    with objstore.connect(url, inbox_prefix="_INBOX_ann", **login) as client:
        store = client.object_store("b")
        store.put("x", b"1" * 300_000)
        assert store.read_bytes("x") == b"1" * 300_000
        assert [info.name for info in store] == ["x"]
    with (
        objstore.connect(url, **login) as client,
        pytest.raises(PermissionDeniedError, match="_INBOX"),
    ):
        client.object_store("b")


def test_an_inbox_of_the_context(users: LocalServer) -> None:
    url = f"nats://127.0.0.1:{users.port}"
    add_context("ann", url=url, user="ann", password="a/b@c", inbox_prefix="_INBOX_ann")
    with objstore.connect(context="ann") as client:
        client.object_store("b")
    add_context("ann", url=url, user="ann", password="a/b@c", inbox_prefix="no.such")
    with objstore.connect(context="ann", inbox_prefix="_INBOX_ann.x") as client:
        client.object_store("b")
    add_context("bad", url=url, inbox_prefix="a b")
    with pytest.raises(InvalidOptionError, match="inbox_prefix"):
        objstore.connect(context="bad", lazy=True)


IMPORTS = """
jetstream: enabled
accounts {
  A: { jetstream: enabled, users: [{user: a, password: a}], exports: [
    {service: "$JS.API.>", response: stream}, {service: "$O.>"}] }
  B: { users: [{user: b, password: b}], imports: [
    {service: {account: A, subject: "$JS.API.>"}, to: "JS.hub.>"},
    {service: {account: A, subject: "$O.>"}}] }
}
"""


@pytest.mark.parametrize("prefix", ["JS.hub", "JS.hub."])
def test_the_api_of_another_account(prefix: str) -> None:
    """With or without the dot at the end."""
    with LocalServer(config=IMPORTS) as server:
        url = f"nats://127.0.0.1:{server.port}"
        login = {"user": "b", "password": "b"}
        with objstore.connect(url, api_prefix=prefix, **login) as client:  # type: ignore[arg-type]
            store = client.object_store("b")
            store.put("x", b"there")
            assert store.read_bytes("x") == b"there"
        with objstore.connect(url, user="a", password="a") as client:
            assert client.object_store("b", create=False).read_bytes("x") == b"there"


def test_authorities(secured: Secured) -> None:
    """A path as text or as a Path; without it the server is a stranger."""
    for ca in (secured.ca, str(secured.ca)):
        with objstore.connect(secured.url, ca=ca) as client:
            assert client.connection.server_info["tls_required"]
    with pytest.raises(TLSError, match="certificate"):
        objstore.connect(secured.url)


def test_authorities_ask_for_tls(server: LocalServer, secured: Secured) -> None:
    """Whoever says whom to trust is not answered in the clear, unless that is said too."""
    with pytest.raises(TLSUnavailableError):
        objstore.connect(server.url, ca=secured.ca)
    objstore.connect(server.url, ca=secured.ca, tls=False).close()


# --- the environment


def test_a_login_by_variables(users: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATS_URL", f"127.0.0.1:{users.port},")
    monkeypatch.setenv("NATS_USER", "bob")
    monkeypatch.setenv("NATS_PASSWORD", "secret")
    with objstore.connect() as client:
        client.object_store("b")
    with pytest.raises(AuthorizationError):  # what is given counts
        objstore.connect(user="bob", password="wrong")
    monkeypatch.setenv("NATS_PASSWORD", "wrong")
    with pytest.raises(AuthorizationError):
        objstore.connect()
    objstore.connect(user="bob", password="secret").close()
    objstore.connect(f"nats://bob:secret@127.0.0.1:{users.port}").close()  # the address counts


@pytest.mark.parametrize("name", ["NATS_TOKEN", "NATS_USER"])
def test_a_token_by_variable(
    tokens: LocalServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A user without a password is a token, for the command line and for us."""
    url = f"nats://127.0.0.1:{tokens.port}"
    with pytest.raises(AuthorizationError):
        objstore.connect(url)
    monkeypatch.setenv(name, "t0ken")
    objstore.connect(url).close()


def test_the_environment_overrides_the_context(
    users: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Field by field; as the command line's options do, of which variables are the defaults."""
    add_context("bob", url="nats://127.0.0.1:1", user="bob", password="wrong")
    monkeypatch.setenv("NATS_CONTEXT", "bob")
    with pytest.raises(objstore.ConnectionLostError):
        objstore.connect(timeout=1)
    monkeypatch.setenv("NATS_URL", f"nats://127.0.0.1:{users.port}")
    with pytest.raises(AuthorizationError):
        objstore.connect()
    monkeypatch.setenv("NATS_PASSWORD", "secret")
    objstore.connect().close()
    objstore.connect(context="bob").close()


def test_the_environment_s_login_replaces_the_context_s(
    tokens: LocalServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    add_context("c", url=f"nats://127.0.0.1:{tokens.port}", creds=str(tmp_path / "absent"))
    with pytest.raises(InvalidOptionError, match="absent"):
        objstore.connect(context="c")
    monkeypatch.setenv("NATS_TOKEN", "t0ken")
    objstore.connect(context="c").close()


def test_a_context_by_variable(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name, or the path of its file; an argument counts more."""
    path = add_context("there", url=server.url)
    add_context("other", url="nats://127.0.0.1:1")
    for value in ("there", str(path)):
        monkeypatch.setenv("NATS_CONTEXT", value)
        objstore.connect().close()
    monkeypatch.chdir(path.parent)
    monkeypatch.setenv("NATS_CONTEXT", "there.json")
    objstore.connect().close()
    monkeypatch.setenv("NATS_CONTEXT", "other")
    objstore.connect(context="there").close()
    objstore.connect(server.url).close()
    monkeypatch.setenv("NATS_CONTEXT", "never-made")
    with pytest.raises(InvalidOptionError, match=r"\$NATS_CONTEXT.*never-made.*there"):
        objstore.connect()


def test_the_selected_context_is_the_command_line_s(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What somebody selected in a terminal does not redirect a program."""
    add_context("c", url="nats://127.0.0.1:1")
    Path(os.environ["XDG_CONFIG_HOME"], "nats", "context.txt").write_text("c")
    monkeypatch.setenv("NATS_URL", server.url)
    objstore.connect().close()


def test_authorities_by_variable(secured: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATS_CA", str(secured.ca))
    objstore.connect(secured.url).close()
    monkeypatch.setenv("NATS_CA", "/nowhere/ca.pem")
    objstore.connect(secured.url, ca=secured.ca).close()
    context = ssl.create_default_context(cafile=secured.ca)
    objstore.connect(secured.url, tls=context).close()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NATS_CA", "/nowhere/ca.pem"),
        ("NATS_CERT", "/nowhere/cert.pem"),
        ("NATS_KEY", "/nowhere/key.pem"),
        ("NATS_CREDS", "/nowhere/x.creds"),
        ("NATS_NKEY", "/nowhere/x.nk"),
        ("NATS_JWT", "no JWT"),
        ("NATS_SEED", "no seed"),
        ("NATS_SOCKS_PROXY", "socks5://proxy"),
    ],
)
def test_variables_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """Named in the error, and found before anything is dialled."""
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidOptionError, match=rf"^\${name}: "):
        objstore.connect("nats://127.0.0.1:1", lazy=True)


def test_empty_variables_say_nothing(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "CONTEXT", "USER", "PASSWORD", "TOKEN", "CREDS", "NKEY", "CA", "CERT"):
        monkeypatch.setenv(f"NATS_{name}", "")
    monkeypatch.setenv("NATS_SOCKS_PROXY", "none")
    objstore.connect(server.url).close()


def test_of_several_logins_one_counts(users: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first in the command line's order: a password, credentials, an NKEY, a JWT, a token."""
    monkeypatch.setenv("NATS_USER", "bob")
    monkeypatch.setenv("NATS_PASSWORD", "secret")
    monkeypatch.setenv("NATS_CREDS", "/nowhere/x.creds")
    monkeypatch.setenv("NATS_TOKEN", "t0ken")
    objstore.connect(f"127.0.0.1:{users.port}").close()


def test_a_password_without_a_user_is_nobody_s(
    tokens: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NATS_PASSWORD", "secret")
    objstore.connect(f"nats://t0ken@127.0.0.1:{tokens.port}").close()
    objstore.connect(f"127.0.0.1:{tokens.port}", token="t0ken").close()


def test_local_does_not_look_at_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which speaks of other servers."""
    for name in ("URL", "CONTEXT", "CREDS", "CA", "SOCKS_PROXY"):
        monkeypatch.setenv(f"NATS_{name}", "nowhere")
    with objstore.local(timeout=3, inbox_prefix="_INBOX_x", name="n") as client:
        client.object_store("b").put("x", b"1")
        assert client.connection.timeout == 3


@pytest.mark.parametrize("options", [{"timeout": "5"}, {"inbox_prefix": "*"}, {"nope": 1}])
def test_local_refuses(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a server is started: there is none to be had here."""
    monkeypatch.setenv("OBJSTORE_NATS_SERVER", "/nowhere")
    with pytest.raises(InvalidOptionError, match=next(iter(options))):
        objstore.local(**options)
