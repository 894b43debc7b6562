"""Contexts of the command line: ADR-21 field by field, and what is refused."""

from __future__ import annotations

import base64
import json
import os
import pathlib
import traceback
from typing import Any

import pytest
from rich.pretty import pretty_repr

from objstore.errors import InvalidOptionError
from objstore.wire.connection.auth import Login, TLSOptions
from objstore.wire.connection.contexts import ContextSettings, load_context
from tests.support.jwt_maker import Operator, creds_text, new_user_seed, public_key
from tests.support.raw_server import Handshake, running_server

pytestmark = pytest.mark.newest_server

SEED = new_user_seed()
JWT = Operator().new_user()[0]

#: What `nats context add` writes: every field, most of them empty (ADR-21).
EMPTY: dict[str, Any] = {
    "description": "",
    "url": "",
    "socks_proxy": "",
    "token": "",
    "user": "",
    "password": "",
    "creds": "",
    "nkey": "",
    "cert": "",
    "key": "",
    "ca": "",
    "nsc": "",
    "jetstream_domain": "",
    "jetstream_api_prefix": "",
    "jetstream_event_prefix": "",
    "inbox_prefix": "",
    "user_jwt": "",
    "user_seed": "",
    "color_scheme": "",
    "tls_first": False,
    "windows_cert_store": "",
    "windows_cert_match_by": "",
    "windows_cert_match": "",
    "windows_ca_certs_match": None,
}


class Home:
    """A home directory with contexts in ``.config/nats``."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.nats = path / ".config" / "nats"
        (self.nats / "context").mkdir(parents=True)

    def add(self, name: str, content: object) -> pathlib.Path:
        """Write a context: an object as JSON, or bytes as they are."""
        path = self.nats / "context" / f"{name}.json"
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        path.write_bytes(raw)
        return path

    def select(self, name: str) -> None:
        """What `nats context select` does."""
        (self.nats / "context.txt").write_text(name)


@pytest.fixture
def home(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home of this test's own."""
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return Home(tmp_path)


class TestFinding:
    """Which file it is."""

    def test_by_name(self, home: Home) -> None:
        """A context by its name, which may have spaces and single dots in it."""
        for name in ("ngs", "my context", "ngs.js", "\N{GREEK SMALL LETTER ALPHA}"):
            home.add(name, {"url": f"nats://{len(name)}"})
            assert load_context(name).servers == (f"nats://{len(name)}",)

    def test_xdg(self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """``$XDG_CONFIG_HOME`` replaces ``~/.config``, unless it is empty."""
        Home(tmp_path / "a").add("c", {"url": "nats://a"})
        Home(tmp_path / "b").add("c", {"url": "nats://b"})
        monkeypatch.setenv("HOME", str(tmp_path / "a"))
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "b" / ".config"))
        assert load_context("c").servers == ("nats://b",)
        monkeypatch.setenv("XDG_CONFIG_HOME", "")
        assert load_context("c").servers == ("nats://a",)

    @pytest.mark.parametrize("name", [None, ""])
    def test_selected(self, home: Home, name: str | None) -> None:
        """Without a name it is the selected one."""
        home.add("a", {"url": "nats://a"})
        home.add("b", {"url": "nats://b"})
        home.select("b\n")
        assert load_context(name).servers == ("nats://b",)

    def test_none_selected(self, home: Home) -> None:
        """Without a name and a selection it is an error (ADR-21), which lists what there is."""
        home.add("b", {})
        home.add("a", {})
        message = r"No context is selected: .* known contexts are: a, b$"
        with pytest.raises(InvalidOptionError, match=message):
            load_context()
        home.select("  \n")
        with pytest.raises(InvalidOptionError, match=message):
            load_context()

    def test_unreadable_selection(self, home: Home) -> None:
        """A selection that cannot be read is named."""
        (home.nats / "context.txt").mkdir()
        with pytest.raises(InvalidOptionError, match=r"context\.txt' cannot be read"):
            load_context()

    @pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/b", ".."])
    def test_unsafe_selection(self, home: Home, name: str) -> None:
        """The selection is a name and nothing else."""
        home.select(name)
        with pytest.raises(InvalidOptionError, match=r"context\.txt is not the name"):
            load_context()

    @pytest.mark.parametrize("name", ["a/b", "..", "../a", "a\\b", "a..b", "~/a.json", "./a"])
    def test_unsafe_name(self, home: Home, name: str) -> None:
        """Names that lead elsewhere are refused."""
        with pytest.raises(InvalidOptionError, match="is not the name of a context"):
            load_context(name)

    def test_by_path(self, home: Home) -> None:
        """An absolute path is the file itself, wherever and whatever its name."""
        path = home.path / "settings"
        path.write_text('{"url": "nats://p"}')
        assert load_context(str(path)).servers == ("nats://p",)
        with pytest.raises(InvalidOptionError, match="there is no context '/none/such'"):
            load_context("/none/such")

    def test_missing(self, home: Home) -> None:
        """A missing context: the message lists the known ones."""
        with pytest.raises(InvalidOptionError, match=r"there are none in '.*nats/context'"):
            load_context("c")
        home.add("b", {})
        home.add("a", {})
        (home.nats / "context" / "README").touch()
        with pytest.raises(InvalidOptionError, match=r"no context 'c'; .* are: a, b$") as caught:
            load_context("c")
        assert isinstance(caught.value.__cause__, FileNotFoundError)

    def test_no_folder(self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the command line never ran there are none."""
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
        with pytest.raises(InvalidOptionError, match="there are none in"):
            load_context("c")

    def test_unreadable(self, home: Home) -> None:
        """A file that cannot be read is named, with the cause."""
        (home.nats / "context" / "c.json").mkdir()
        with pytest.raises(InvalidOptionError, match=r"c\.json' cannot be read") as caught:
            load_context("c")
        assert isinstance(caught.value.__cause__, OSError)
        with pytest.raises(InvalidOptionError, match="cannot be read: embedded null"):
            load_context("a\0b")


class TestContent:
    """What the file says."""

    @pytest.mark.parametrize("content", [{}, EMPTY, dict.fromkeys(EMPTY), {"unknown": [1]}])
    def test_defaults(self, home: Home, content: object) -> None:
        """Missing, empty and null fields mean their defaults; unknown ones are ignored."""
        home.add("c", content)
        assert load_context("c") == ContextSettings(
            servers=("nats://127.0.0.1:4222",),
            login=Login(),
            tls=TLSOptions(),
            domain=None,
            api_prefix=None,
            inbox_prefix=None,
        )

    def test_everything(self, home: Home) -> None:
        """Every field that is not a login goes where it belongs."""
        home.add(
            "c",
            {
                **EMPTY,
                "url": "nats://a:4222, tls://b ,,c",
                "ca": "/t/ca.pem",
                "cert": "/t/cert.pem",
                "key": "/t/key.pem",
                "tls_first": True,
                "jetstream_domain": "hub",
                "jetstream_api_prefix": "$JS.hub.API",
                "inbox_prefix": "_INBOX_me",
            },
        )
        assert load_context("c") == ContextSettings(
            servers=("nats://a:4222", "tls://b", "c"),
            login=Login(),
            tls=TLSOptions("/t/ca.pem", "/t/cert.pem", "/t/key.pem", first=True),
            domain="hub",
            api_prefix="$JS.hub.API",
            inbox_prefix="_INBOX_me",
        )

    @pytest.mark.parametrize(
        ("fields", "login"),
        [
            ({"user": "a", "password": "b"}, Login(user="a", password="b")),
            ({"user": "a"}, Login(user="a", password="")),
            ({"token": "t"}, Login(token="t")),
            ({"creds": "/u.creds"}, Login(credentials="/u.creds")),
            ({"nkey": "/u.nk"}, Login(nkey_seed="/u.nk")),
            ({"user_jwt": JWT}, Login(user_jwt=JWT)),
            ({"user_jwt": JWT, "nkey": "/u.nk"}, Login(user_jwt=JWT, nkey_seed="/u.nk")),
            ({"user_jwt": JWT, "user_seed": SEED}, Login(user_jwt=JWT, nkey_seed=SEED)),
            ({"password": "b"}, Login(password="b")),
            ({"creds": "/u.creds", "token": "t"}, Login(credentials="/u.creds", token="t")),
        ],
    )
    def test_logins(self, home: Home, fields: dict[str, str], login: Login) -> None:
        """Every way to log in, as it stands: it is Login that judges combinations."""
        home.add("c", {**EMPTY, **fields})
        assert load_context("c").login == login

    @pytest.mark.parametrize("key", ["creds", "nkey", "ca", "cert", "key"])
    def test_expansion(self, home: Home, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """``~`` and variables in paths, as Go's ``os.ExpandEnv`` and the command line have it."""
        monkeypatch.setenv("KEYS", "~/keys")
        monkeypatch.setenv("A_1", "one")
        monkeypatch.delenv("NOT_SET", raising=False)
        for value, expected in (
            ("~/x", f"{home.path}/x"),
            ("/~/x", "/~/x"),
            ("$KEYS/x", f"{home.path}/keys/x"),
            ("/${A_1}x/$A_1-x", "/onex/one-x"),
            ("/$NOT_SET/x${NOT_SET}", "//x"),
            ("/a$/b$$c$1d${}e", "/a$/bcde"),
            ("/a${b", "/ab"),
            ("file://~/x" if key in ("creds", "nkey") else "~/x", f"{home.path}/x"),
        ):
            home.add("c", {key: value})
            settings = load_context("c")
            found = {
                "creds": settings.login.credentials,
                "nkey": settings.login.nkey_seed,
                "ca": settings.tls.ca_file,
                "cert": settings.tls.cert_file,
                "key": settings.tls.key_file,
            }
            assert found[key] == expected, value

    def test_other_values_are_literal(self, home: Home) -> None:
        """Nothing is expanded in a password."""
        home.add("c", {"user": "$HOME", "password": "~$HOME"})
        assert load_context("c").login == Login(user="$HOME", password="~$HOME")

    @pytest.mark.parametrize(
        "content",
        [b"[]", b'"hush"', b"null", b"\xff", b"[" * 100_000],
        ids=["list", "string", "null", "not UTF-8", "too deep"],
    )
    def test_no_object(self, home: Home, content: bytes) -> None:
        """What is not a JSON object is named and not shown."""
        path = home.add("c", content)
        with pytest.raises(InvalidOptionError, match="is not a JSON object") as caught:
            load_context("c")
        assert repr(str(path)) in str(caught.value)
        assert "hush" not in str(caught.value)
        assert caught.value.__context__ is None  # json's error would carry the text

    def test_malformed(self, home: Home) -> None:
        """Where the JSON breaks off is said; its text is nowhere in the error."""
        path = home.add("c", b'{\n  "token": "hush"\n  "user": "x"}')
        with pytest.raises(InvalidOptionError) as caught:
            load_context("c")
        assert str(caught.value) == (
            f"the context '{path}' is not JSON: Expecting ',' delimiter, line 3, column 3"
        )
        assert caught.value.__context__ is None

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"url": ["nats://a"]}, "url must be a string, not list"),
            ({"password": 5}, "password must be a string, not int"),
            ({"creds": False}, "creds must be a string, not bool"),
            ({"ca": {}}, "ca must be a string, not dict"),
            ({"tls_first": "yes"}, "tls_first must be true or false, not str"),
        ],
    )
    def test_wrong_types(self, home: Home, fields: dict[str, Any], message: str) -> None:
        """A value of the wrong type: file and field are named."""
        home.add("c", fields)
        with pytest.raises(InvalidOptionError, match=rf"c\.json': {message}"):
            load_context("c")

    @pytest.mark.parametrize(
        ("key", "value", "instead"),
        [
            ("nsc", "nsc://operator/account/user", "set creds"),
            ("socks_proxy", "socks5://proxy", "tunnel"),
            ("windows_cert_store", "windowscurrentuser", "set cert and key"),
            ("windows_cert_match_by", "subject", "set cert and key"),
            ("windows_cert_match", "me", "set cert and key"),
            ("windows_ca_certs_match", ["ca"], "set ca"),
        ],
    )
    def test_unsupported(self, home: Home, key: str, value: object, instead: str) -> None:
        """What would be needed and cannot be done is refused, with what to do instead."""
        home.add("c", {key: value})
        with pytest.raises(InvalidOptionError, match=f"{key} is not supported .*{instead}"):
            load_context("c")


def data(text: str, kind: str = "") -> str:
    """A ``data:`` reference."""
    return f"data:{kind};base64,{base64.b64encode(text.encode()).decode()}"


class TestReferences:
    """Secrets by reference, as jsm.go's natscontext resolves them."""

    @pytest.mark.parametrize(
        ("key", "value"),
        [("token", "hush"), ("password", "hush"), ("user_jwt", JWT), ("user_seed", SEED)],
        ids=["token", "password", "user_jwt", "user_seed"],
    )
    def test_secrets(
        self, home: Home, key: str, value: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A secret in the environment, in a file or in ``data:``; ends of lines are cut off."""
        monkeypatch.setenv("A_SECRET", value)
        (home.path / "secret").write_text(value + "\r\n")
        attribute = {"user_seed": "nkey_seed"}.get(key, key)
        for reference in (
            "env://A_SECRET",
            "ENV://A_SECRET",
            "file://~/secret",
            f"FILE://{home.path}/secret",
            data(value),
            data(value + "\n", "text/plain"),
        ):
            home.add("c", {key: reference})
            assert getattr(load_context("c").login, attribute) == value

    def test_other_schemes_are_literal(self, home: Home) -> None:
        """A password that merely looks like a URL is a password."""
        home.add("c", {"token": "https://x"})
        assert load_context("c").login.token == "https://x"

    def test_keys(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        """Credentials and seeds out of the environment and ``data:`` are taken apart here."""
        monkeypatch.setenv("CREDS", creds_text(JWT, SEED))
        for reference in ("env://CREDS", data(creds_text(JWT, SEED))):
            home.add("c", {"creds": reference})
            assert load_context("c").login == Login(user_jwt=JWT, nkey_seed=SEED)
        home.add("c", {"nkey": data(f"{SEED}\n")})
        assert load_context("c").login == Login(nkey_seed=SEED)

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"token": "env://NOT_SET"}, "token refers to the environment .*'NOT_SET', .* not set"),
            ({"creds": "env://"}, "creds refers to the environment variable '', which is not set"),
            ({"token": "file:///none/such"}, "token refers to a file: .*No such file"),
            ({"nkey": "op://vault/item"}, "nkey refers to op://, which is not supported"),
            ({"creds": "nsc://o/a/u"}, "creds refers to nsc://, which is not supported"),
            ({"token": "data:hush"}, "token is a data: reference without valid base64"),
            ({"token": "data:,hush"}, "token is a data: reference without valid base64"),
            ({"token": "data:;base64,hush!"}, "token is a data: reference without valid"),
            ({"creds": data("hush")}, "cannot be used: .* no user JWT"),
            ({"nkey": data("hush")}, "cannot be used: .* no NKEY seed"),
            ({"user_seed": "hush"}, "cannot be used: .* no NKEY seed"),
            ({"nkey": "/u.nk", "user_seed": SEED}, "too many"),
            ({"nkey": data(SEED), "user_seed": SEED}, "too many"),
            ({"creds": data(creds_text(JWT, SEED)), "nkey": "/u.nk"}, "too many"),
            ({"creds": data(creds_text(JWT, SEED)), "user_jwt": JWT}, "too many"),
        ],
    )
    def test_refused(
        self,
        home: Home,
        fields: dict[str, str],
        message: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """References that lead nowhere, and too many of them; nothing secret is shown."""
        monkeypatch.delenv("NOT_SET", raising=False)
        path = home.add("c", fields)
        with pytest.raises(InvalidOptionError, match=message) as caught:
            load_context("c")
        shown = "".join(traceback.format_exception(caught.value))
        assert str(path) in str(caught.value)
        assert not any(secret in shown for secret in ("hush", SEED, JWT))


class TestUse:
    """The settings at work."""

    def test_secrecy(self, home: Home) -> None:
        """The settings' repr has no secret in it, not even one in a URL."""
        home.add(
            "c",
            {
                "url": "nats://al:hush@a:1,tls://hush@b,al:hu@sh@c:3,nats://d",
                "token": "hush",
                "user_jwt": JWT,
                "user_seed": SEED,
            },
        )
        settings = load_context("c")
        assert repr(settings) == str(settings) == pretty_repr(settings, max_width=1000)
        for secret in ("hush", "hu@", JWT, SEED):
            assert secret not in repr(settings)
        assert repr(settings) == (
            "ContextSettings(servers=('nats://***@a:1', 'tls://***@b', '***@c:3', 'nats://d'), "
            "login=Login(token=***, nkey_seed=***, user_jwt=***), "
            f"tls={TLSOptions()!r}, domain=None, api_prefix=None, inbox_prefix=None)"
        )

    def test_server(self, home: Home, tmp_path: pathlib.Path) -> None:
        """A selected context with a key file lets its owner in."""
        (home.path / "u.nk").write_text(SEED)
        home.add("c", {**EMPTY, "nkey": "~/u.nk"})
        home.select("c")
        config = f"authorization {{ users: [ {{ nkey: {public_key(SEED)} }} ] }}"
        with running_server(config, tmp_path) as address, Handshake(address) as server:
            login = load_context().login
            login.validate()
            assert os.fspath(login.nkey_seed or "") == str(home.path / "u.nk")
            assert server.connect(login.connect_fields(server.nonce)) == "PONG"
