"""Logins and TLS: every way in, and everything refused, with real keys and a real server."""

from __future__ import annotations

import base64
import binascii
import contextlib
import pathlib
import pickle
import socket
import ssl
import subprocess
import sys
import threading
import traceback
from typing import Any

import nkeys
import pytest
import trustme
from nacl.signing import VerifyKey
from rich.pretty import pretty_repr

from objstore.errors import AuthorizationError, InvalidOptionError, MissingDependencyError
from objstore.wire.connection.auth import Login, TLSOptions, parse_credentials, parse_seed
from tests.support.jwt_maker import (
    Key,
    Operator,
    creds_text,
    make_operator_config,
    new_user_seed,
    public_key,
)
from tests.support.raw_server import Handshake, running_server
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.newest_server

SEED = new_user_seed()
JWT = Operator().new_user()[0]
NONCE = "jQ8XyDNNBHrS0hA"


def verify(fields: dict[str, str], nonce: str) -> None:
    """Check with PyNaCl alone that ``sig`` is of ``nonce`` by ``nkey``."""
    raw = base64.b32decode(fields["nkey"])
    assert raw[0] == nkeys.PREFIX_BYTE_USER
    assert "=" not in fields["sig"]
    signature = base64.urlsafe_b64decode(fields["sig"] + "==")
    VerifyKey(raw[1:-2]).verify(nonce.encode(), signature)


@pytest.fixture
def creds_file(tmp_path: pathlib.Path) -> pathlib.Path:
    """A credentials file with JWT and SEED."""
    path = tmp_path / "user.creds"
    path.write_text(creds_text(JWT, SEED))
    return path


class TestOptions:
    """What is given, and what is half given or contradicts itself."""

    def test_nothing(self) -> None:
        """An empty login is valid and sends nothing."""
        Login().validate()
        assert Login().connect_fields(NONCE) == {}
        assert Login().connect_fields(None) == {}

    def test_user(self) -> None:
        """User and password go out as ``user`` and ``pass``; no nonce is needed."""
        login = Login(user="alice", password="wonder")
        login.validate()
        assert login.connect_fields(None) == {"user": "alice", "pass": "wonder"}

    def test_empty_password(self) -> None:
        """A password may be empty, said explicitly."""
        login = Login(user="alice", password="")
        login.validate()
        assert login.connect_fields(None) == {"user": "alice", "pass": ""}

    def test_token(self) -> None:
        """A token goes out as ``auth_token``."""
        login = Login(token="t0k")
        login.validate()
        assert login.connect_fields(NONCE) == {"auth_token": "t0k"}

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"user": "a"}, "user and password go together"),
            ({"password": "a"}, "user and password go together"),
            ({"user": "a", "password": "b", "token": "c"}, "user and password and token"),
            ({"credentials": "a", "token": "b"}, "token and credentials"),
            ({"credentials": "a", "nkey_seed": "b"}, "credentials and nkey_seed/user_jwt"),
            ({"credentials": "a", "user_jwt": "b"}, "credentials and nkey_seed/user_jwt"),
            (
                {"user": "a", "password": "b", "token": "c", "user_jwt": "d"},
                "user and password, token and nkey_seed/user_jwt",
            ),
            ({"user": "", "password": "b"}, "user is empty"),
            ({"token": ""}, "token is empty"),
            ({"credentials": ""}, "credentials is empty"),
            ({"nkey_seed": ""}, "nkey_seed is empty"),
            ({"user_jwt": ""}, "user_jwt is empty"),
            ({"token": 5}, "token must be a str, not int"),
            ({"token": pathlib.Path("a")}, "token must be a str, not .*Path"),
            ({"credentials": b"a"}, "credentials must be a str, not bytes"),
            ({"user_jwt": "abc"}, "user_jwt is not a JWT"),
        ],
    )
    def test_refused(self, options: dict[str, Any], message: str) -> None:
        """Half-given and contradicting options are refused, before CONNECT as well."""
        with pytest.raises(InvalidOptionError, match=message):
            Login(**options).validate()
        with pytest.raises(InvalidOptionError, match=message):
            Login(**options).connect_fields(NONCE)

    def test_contents_for_a_path(self) -> None:
        """The contents of a credentials file are told from its path, and not shown."""
        for text in (creds_text(JWT, SEED), JWT, SEED):
            with pytest.raises(InvalidOptionError, match="path of a file") as caught:
                Login(credentials=text).validate()
            assert SEED not in str(caught.value)
            assert JWT not in str(caught.value)

    def test_is_a_value(self) -> None:
        """Logins are frozen, compare and hash by value, and pickle."""
        login = Login(user="a", password="b")
        assert login == Login(user="a", password="b")
        assert hash(login) == hash(Login(user="a", password="b"))
        assert pickle.loads(pickle.dumps(login)) == login
        with pytest.raises(AttributeError):
            login.user = "c"  # type: ignore[misc]


class TestKeys:
    """Seeds, JWTs and signatures."""

    def test_seed_text(self) -> None:
        """A seed itself: public key and a signature that verifies, and no JWT."""
        login = Login(nkey_seed=f" {SEED}\n")
        login.validate()
        fields = login.connect_fields(NONCE)
        assert sorted(fields) == ["nkey", "sig"]
        assert fields["nkey"] == public_key(SEED)
        verify(fields, NONCE)
        with pytest.raises(Exception, match="forged"):
            verify(fields, NONCE + "x")

    @pytest.mark.parametrize("as_path", [str, pathlib.Path])
    def test_seed_file(self, tmp_path: pathlib.Path, as_path: Any) -> None:
        """A seed in a file, with anything around it, given as text or path-like."""
        path = tmp_path / "user.nk"
        path.write_text(f"# the key of alice\r\n{SEED}\r\n")
        login = Login(nkey_seed=as_path(path))
        login.validate()
        verify(login.connect_fields(NONCE), NONCE)

    def test_path_like_is_a_path(self, tmp_path: pathlib.Path) -> None:
        """A path-like object is never taken for a seed, even when named like one."""
        path = tmp_path / SEED
        path.write_text(SEED)
        verify(Login(nkey_seed=path).connect_fields(NONCE), NONCE)

    def test_home(self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """``~`` at the start of a path is the home directory."""
        monkeypatch.setenv("HOME", str(tmp_path))
        (tmp_path / "user.nk").write_text(SEED)
        verify(Login(nkey_seed="~/user.nk").connect_fields(NONCE), NONCE)

    def test_credentials(self, creds_file: pathlib.Path) -> None:
        """A credentials file gives the JWT as well."""
        for path in (creds_file, str(creds_file)):
            login = Login(credentials=path)
            login.validate()
            fields = login.connect_fields(NONCE)
            assert sorted(fields) == ["jwt", "nkey", "sig"]
            assert fields["jwt"] == JWT
            verify(fields, NONCE)

    def test_credentials_are_read_anew(self, creds_file: pathlib.Path) -> None:
        """Credentials renewed between two connects are the ones that count."""
        login = Login(credentials=creds_file)
        login.connect_fields(NONCE)
        jwt, seed = Operator().new_user()
        creds_file.write_text(creds_text(jwt, seed))
        fields = login.connect_fields(NONCE)
        assert fields["jwt"] == jwt
        assert fields["nkey"] == public_key(seed)
        creds_file.unlink()
        with pytest.raises(InvalidOptionError, match="cannot be read"):
            login.connect_fields(NONCE)

    def test_jwt_with_seed(self) -> None:
        """A JWT itself is signed for with the seed."""
        login = Login(user_jwt=JWT + "\n", nkey_seed=SEED)
        login.validate()
        fields = login.connect_fields(NONCE)
        assert fields["jwt"] == JWT
        verify(fields, NONCE)

    def test_jwt_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A bearer's JWT goes out unsigned: neither a nonce nor nkeys is needed."""
        monkeypatch.setitem(sys.modules, "nkeys", None)
        Login(user_jwt=JWT).validate()
        assert Login(user_jwt=JWT).connect_fields(None) == {"jwt": JWT}

    @pytest.mark.parametrize("nonce", [None, ""])
    def test_no_nonce(self, nonce: str | None, creds_file: pathlib.Path) -> None:
        """A key without something to sign cannot log in, and the error says why."""
        for login in (Login(nkey_seed=SEED), Login(credentials=creds_file)):
            with pytest.raises(AuthorizationError, match="asked for no signature"):
                login.connect_fields(nonce)

    def test_no_nkeys(self, monkeypatch: pytest.MonkeyPatch, creds_file: pathlib.Path) -> None:
        """Without the nkeys package the error has the line that installs it."""
        monkeypatch.setitem(sys.modules, "nkeys", None)
        for login in (Login(nkey_seed=SEED), Login(credentials=creds_file)):
            for use in (login.validate, lambda x=login: x.connect_fields(NONCE)):
                with pytest.raises(MissingDependencyError) as caught:
                    use()
                assert 'pip install "nats-objstore[nkeys]"' in str(caught.value)

    @pytest.mark.parametrize("option", ["credentials", "nkey_seed"])
    def test_unreadable(self, option: str, tmp_path: pathlib.Path) -> None:
        """A missing file, a folder and an impossible name: the path and the cause are told."""
        for path in (str(tmp_path / "none.creds"), str(tmp_path)):
            with pytest.raises(InvalidOptionError) as caught:
                Login(**{option: path}).validate()
            assert repr(path) in str(caught.value)
            assert isinstance(caught.value.__cause__, OSError)
        with pytest.raises(InvalidOptionError, match="cannot be read: embedded null"):
            Login(**{option: "a\0b"}).validate()

    def test_wrong_files(self, tmp_path: pathlib.Path) -> None:
        """A file that is something else, even binary, is named."""
        path = tmp_path / "x"
        path.write_bytes(b"\xff\xfe\x00" + SEED.encode("utf-16-le"))
        with pytest.raises(InvalidOptionError, match=f"{path}' has no user JWT"):
            Login(credentials=path).validate()
        with pytest.raises(InvalidOptionError, match=f"{path}' has no NKEY seed"):
            Login(nkey_seed=path).validate()

    def test_the_pair_is_wiped(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The key pair and the copy of the seed are wiped, when signing fails too."""
        pairs: list[Any] = []
        copies: list[bytearray] = []
        from_seed = nkeys.from_seed

        def spy(seed: bytearray) -> Any:
            copies.append(seed)
            pairs.append(from_seed(seed))
            return pairs[-1]

        monkeypatch.setattr(nkeys, "from_seed", spy)
        Login(nkey_seed=SEED).connect_fields(NONCE)
        monkeypatch.setattr(nkeys.KeyPair, "sign", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            Login(nkey_seed=SEED).connect_fields(NONCE)
        assert len(pairs) == 2
        assert not any(vars(pair) for pair in pairs)
        assert copies == [bytearray(len(SEED))] * 2

    def test_import_is_cheap(self) -> None:
        """Importing the module imports neither nkeys nor PyNaCl."""
        code = (
            "import sys, objstore.wire.connection.auth as a; "
            "sys.exit(bool({'nkeys','nacl'} & {*sys.modules}))"
        )
        subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE)


class TestParsing:
    """The text of credentials and seed files."""

    @pytest.mark.parametrize(
        "change",
        [
            lambda text: text,
            lambda text: text.replace("\n", "\r\n"),
            lambda text: "\ufeff" + text,
            lambda text: f"\n\nhello\n{text}\nbye --- bye\n",
            lambda text: "".join(f"   {line}\t\n" for line in text.splitlines()),
            lambda text: "".join(x for x in text.splitlines(True) if "---" not in x),
            lambda text: text.rstrip() + "\n" + creds_text(Operator().new_user()[0], SEED),
        ],
    )
    def test_tolerance(self, change: Any) -> None:
        """Line ends, indentation and what is around them do not matter; the first counts."""
        assert parse_credentials(change(creds_text(JWT, SEED))) == (JWT, SEED)
        assert parse_seed(change(creds_text(JWT, SEED))) == SEED

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "no user JWT"),
            (SEED, "no user JWT"),
            (JWT, "no NKEY seed"),
            (creds_text(JWT, SEED[:-1]), "no NKEY seed"),
            (creds_text(JWT, SEED.lower()), "no NKEY seed"),
            (creds_text(JWT, Key(nkeys.PREFIX_BYTE_ACCOUNT).seed), "no NKEY seed"),
            (creds_text(JWT, public_key(SEED)), "no NKEY seed"),
            (creds_text(JWT.rpartition(".")[0], SEED), "no user JWT"),
        ],
        ids=["empty", "seed", "jwt", "short", "lower", "account", "public", "unsigned"],
    )
    def test_malformed(self, text: str, message: str) -> None:
        """What is missing is said, and nothing of the text is shown."""
        with pytest.raises(InvalidOptionError, match=message) as caught:
            parse_credentials(text)
        assert not any(line in str(caught.value) for line in text.splitlines() if len(line) > 9)

    def test_typo(self) -> None:
        """Any one wrong character of a seed is found, though nkeys itself would sign with it."""
        for position in range(3, len(SEED)):
            # Not "B" for "A": the last character has two bits that mean nothing.
            wrong = "A" if SEED[position] != "A" else "E"
            seed = SEED[:position] + wrong + SEED[position + 1 :]
            with pytest.raises(InvalidOptionError, match="damaged seed") as caught:
                parse_seed(seed)
            assert seed not in str(caught.value)
        nkeys.from_seed(seed.encode())

    def test_every_key(self) -> None:
        """The form asked of seeds fits every key: the lowest, the highest and random ones."""
        for key in (bytes(32), b"\xff" * 32):
            seed = nkeys.encode_seed(key, nkeys.PREFIX_BYTE_USER).decode()
            assert parse_seed(seed) == seed
        for _ in range(100):
            seed = new_user_seed()
            assert parse_seed(seed) == seed
        raw = base64.b32decode(SEED + "======")
        assert binascii.crc_hqx(raw[:-2], 0) == nkeys.crc16(raw[:-2])


class TestSecrecy:
    """No secret in a repr, an error or a traceback's text."""

    @pytest.mark.parametrize(
        "options",
        [
            {"user": "alice", "password": "hush-hush"},
            {"token": "hush-hush"},
            {"user_jwt": "hush-hush"},
            {"nkey_seed": SEED},
            {"nkey_seed": SEED.lower()},
            {"nkey_seed": SEED + "X"},
            {"nkey_seed": f'"{SEED}"'},
            {"nkey_seed": "hush-hush\n"},
            {"credentials": creds_text(JWT, SEED)},
            {"nkey_seed": SEED, "user_jwt": JWT},
            {"nkey_seed": SEED, "user_jwt": JWT, "token": "hush-hush"},
        ],
    )
    def test_nowhere(self, options: dict[str, str]) -> None:
        """Neither repr nor str nor format nor an error shows a password, token, JWT or seed."""
        login = Login(**options)
        shown = [pretty_repr(login), repr(login), str(login), f"{login}", repr([login])]
        for use in (login.validate, lambda: login.connect_fields(None)):
            try:
                use()
            except (InvalidOptionError, AuthorizationError) as error:
                shown += [repr(error), "".join(traceback.format_exception(error))]
        for text in shown:
            for secret in ("hush-hush", SEED, SEED.lower(), JWT):
                assert secret not in text

    def test_what_is_shown(self, creds_file: pathlib.Path) -> None:
        """Users and paths are shown; of a secret, that there is one."""
        assert repr(Login()) == "Login()"
        assert repr(Login(user="al", password="x")) == "Login(user='al', password=***)"
        assert repr(Login(credentials="a.creds")) == "Login(credentials='a.creds')"
        assert repr(Login(nkey_seed="a.nk", user_jwt=JWT)) == (
            "Login(nkey_seed='a.nk', user_jwt=***)"
        )
        assert repr(Login(nkey_seed=SEED)) == "Login(nkey_seed=***)"
        assert repr(creds_file) in repr(Login(credentials=creds_file))


class TestServer:
    """A real server lets the right ones in, and only them."""

    VIOLATION = "-ERR 'Authorization Violation'"

    def test_user_and_password(self, tmp_path: pathlib.Path) -> None:
        """User and password."""
        config = 'authorization { user: alice, password: "wonder" }'
        with running_server(config, tmp_path) as address:
            for password, answer in (("wonder", "PONG"), ("under", self.VIOLATION)):
                with Handshake(address) as server:
                    fields = Login(user="alice", password=password).connect_fields(server.nonce)
                    assert server.connect(fields) == answer
            with Handshake(address) as server:
                assert server.connect(Login().connect_fields(server.nonce)) == self.VIOLATION
            with (
                Handshake(address) as server,
                pytest.raises(AuthorizationError, match="no signature"),
            ):
                Login(nkey_seed=SEED).connect_fields(server.nonce)

    def test_token(self, tmp_path: pathlib.Path) -> None:
        """A token."""
        with running_server('authorization { token: "t0k" }', tmp_path) as address:
            for token, answer in (("t0k", "PONG"), ("nok", self.VIOLATION)):
                with Handshake(address) as server:
                    fields = Login(token=token).connect_fields(server.nonce)
                    assert server.connect(fields) == answer

    def test_nkey(self, tmp_path: pathlib.Path) -> None:
        """An NKEY user: the right key, another key, and the right key on another nonce."""
        config = f"authorization {{ users: [ {{ nkey: {public_key(SEED)} }} ] }}"
        with running_server(config, tmp_path) as address:
            for seed, answer in ((SEED, "PONG"), (new_user_seed(), self.VIOLATION)):
                with Handshake(address) as server:
                    fields = Login(nkey_seed=seed).connect_fields(server.nonce)
                    assert server.connect(fields) == answer
            with Handshake(address) as server:
                assert server.connect(Login(nkey_seed=SEED).connect_fields("x")) == self.VIOLATION
            with Handshake(address) as server:  # the JWT beside the key does no harm
                fields = Login(nkey_seed=SEED, user_jwt=JWT).connect_fields(server.nonce)
                assert server.connect(fields) == "PONG"

    def test_accounts(self, tmp_path: pathlib.Path) -> None:
        """JWTs of an operator: credentials, JWT and seed, a bearer; not expired, not foreign."""
        operator = Operator()
        path = tmp_path / "user.creds"
        jwt, seed = operator.new_user()
        bearer, _ = operator.new_user(bearer=True)
        good = Login(credentials=path)
        with running_server(operator.config, tmp_path) as address:

            def answer_to(login: Login) -> str:
                with Handshake(address) as server:
                    assert server.nonce
                    return server.connect(login.connect_fields(server.nonce))

            path.write_text(creds_text(jwt, seed))
            assert answer_to(good) == "PONG"
            path.write_text(operator.new_creds(expires=60))
            assert answer_to(good) == "PONG"
            assert answer_to(Login(user_jwt=jwt, nkey_seed=seed)) == "PONG"
            assert answer_to(Login(user_jwt=bearer)) == "PONG"

            assert answer_to(Login(user_jwt=jwt)) == self.VIOLATION
            assert answer_to(Login(user_jwt=jwt, nkey_seed=SEED)) == self.VIOLATION
            path.write_text(operator.new_creds(expires=-60))
            assert answer_to(good) == self.VIOLATION
            path.write_text(Operator().new_creds())
            assert answer_to(good) == self.VIOLATION

    def test_made_config(self, tmp_path: pathlib.Path) -> None:
        """The configuration and the credentials of the helper fit, with JetStream on."""
        config, creds = make_operator_config(expires=60)
        path = tmp_path / "user.creds"
        path.write_text(creds)
        config += f'jetstream {{ store_dir: "{tmp_path}/js" }}\n'
        with running_server(config, tmp_path) as address, Handshake(address) as server:
            assert server.info["jetstream"] is True
            fields = Login(credentials=path).connect_fields(server.nonce)
            assert server.connect(fields) == "PONG"


# --- TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """The right CA."""
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: pathlib.Path) -> pathlib.Path:
    """The right CA's certificate."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture
def client_files(authority: trustme.CA, tmp_path: pathlib.Path) -> tuple[str, str]:
    """A client's certificate and key."""
    certificate = authority.issue_cert("client.example")
    files = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(files[0])
    certificate.private_key_pem.write_to_path(files[1])
    return files


class Peer:
    """A TLS server for one connection, at the other end of a socket pair."""

    def __init__(self, authority: trustme.CA, *, mutual: bool = False) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("server.example").configure_cert(self.context)
        if mutual:
            self.context.verify_mode = ssl.CERT_REQUIRED
            authority.configure_trust(self.context)
        self.client_certificate: Any = None
        self.version: str | None = None

    def _serve(self, end: socket.socket) -> None:
        # A client that refuses the certificate ends this with an error, here as there.
        with contextlib.suppress(OSError), self.context.wrap_socket(end, server_side=True) as tls:
            self.client_certificate = tls.getpeercert()
            self.version = tls.version()
            tls.sendall(b"INFO")

    def greet(self, context: ssl.SSLContext, host: str = "server.example") -> bytes:
        """Connect to it; return its first four bytes, which is after its checks."""
        here, there = socket.socketpair()
        with here, there:
            here.settimeout(PATIENCE)
            there.settimeout(PATIENCE)
            thread = threading.Thread(target=self._serve, args=(there,))
            thread.start()
            try:
                with context.wrap_socket(here, server_hostname=host) as tls:
                    return tls.recv(4)
            finally:
                here.close()
                thread.join()


class TestTLS:
    """Contexts, proved by handshakes."""

    def test_defaults(self) -> None:
        """Verified by the system's authorities, host name checked, TLS 1.2 or later."""
        context = TLSOptions().build()
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
        assert not TLSOptions().first

    def test_strict_system(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A system that asks for TLS 1.3 is not talked down to 1.2."""
        strict = ssl.create_default_context()
        strict.minimum_version = ssl.TLSVersion.TLSv1_3
        monkeypatch.setattr(ssl, "create_default_context", lambda *_, **__: strict)
        assert TLSOptions().build().minimum_version is ssl.TLSVersion.TLSv1_3

    def test_right_authority(self, authority: trustme.CA, ca_file: pathlib.Path) -> None:
        """The server's certificate is of the CA that is trusted."""
        assert Peer(authority).greet(TLSOptions(ca_file=ca_file).build()) == b"INFO"

    def test_home(
        self,
        authority: trustme.CA,
        ca_file: pathlib.Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """``~`` in a path is the home directory."""
        monkeypatch.setenv("HOME", str(ca_file.parent))
        assert Peer(authority).greet(TLSOptions(ca_file="~/ca.pem").build()) == b"INFO"

    def test_wrong_authority(self, ca_file: pathlib.Path) -> None:
        """Another CA's certificate is refused, and so is an unknown one by default."""
        for options in (TLSOptions(ca_file=ca_file), TLSOptions()):
            with pytest.raises(ssl.SSLCertVerificationError):
                Peer(trustme.CA()).greet(options.build())

    def test_wrong_host(self, authority: trustme.CA, ca_file: pathlib.Path) -> None:
        """A right certificate of another host is refused."""
        with pytest.raises(ssl.SSLCertVerificationError, match=r"other\.example"):
            Peer(authority).greet(TLSOptions(ca_file=ca_file).build(), "other.example")

    def test_old_version(self, authority: trustme.CA, ca_file: pathlib.Path) -> None:
        """TLS 1.2 is spoken with a server that has no newer one."""
        peer = Peer(authority)
        peer.context.maximum_version = ssl.TLSVersion.TLSv1_2
        assert peer.greet(TLSOptions(ca_file=ca_file).build()) == b"INFO"
        assert peer.version == "TLSv1.2"

    def test_unverified(self, ca_file: pathlib.Path) -> None:
        """Only an explicit ``verify=False`` accepts anything, whatever the CA."""
        for options in (TLSOptions(verify=False), TLSOptions(ca_file=ca_file, verify=False)):
            assert Peer(trustme.CA()).greet(options.build(), "other.example") == b"INFO"

    def test_client_certificate(
        self, authority: trustme.CA, ca_file: pathlib.Path, client_files: tuple[str, str]
    ) -> None:
        """The client's certificate is presented; without one the server hangs up."""
        cert_file, key_file = client_files
        peer = Peer(authority, mutual=True)
        options = TLSOptions(ca_file=ca_file, cert_file=cert_file, key_file=key_file)
        assert peer.greet(options.build()) == b"INFO"
        assert ("DNS", "client.example") in peer.client_certificate["subjectAltName"]
        peer = Peer(authority, mutual=True)
        with pytest.raises(OSError, match=r".") as caught:  # the alert, or a reset before it
            peer.greet(TLSOptions(ca_file=ca_file).build())
        assert not isinstance(caught.value, ssl.SSLCertVerificationError)
        assert peer.client_certificate is None

    def test_key_in_the_certificate_file(
        self, authority: trustme.CA, ca_file: pathlib.Path, client_files: tuple[str, str]
    ) -> None:
        """One file may hold key and certificate."""
        both = ca_file.with_name("both.pem")
        both.write_text("".join(pathlib.Path(file).read_text() for file in client_files))
        peer = Peer(authority, mutual=True)
        assert peer.greet(TLSOptions(ca_file=ca_file, cert_file=both).build()) == b"INFO"
        assert peer.client_certificate

    def test_given_context(self) -> None:
        """A given context is used as it is; beside it only ``first`` makes sense."""
        context = ssl.create_default_context()
        assert TLSOptions(context=context, first=True).build() is context
        for options in (
            TLSOptions(context=context, ca_file="a"),
            TLSOptions(context=context, cert_file="a"),
            TLSOptions(context=context, key_file="a"),
            TLSOptions(context=context, verify=False),
        ):
            with pytest.raises(InvalidOptionError, match="used as it is"):
                options.build()

    def test_missing_files(self, tmp_path: pathlib.Path, client_files: tuple[str, str]) -> None:
        """Files that are not there are named, with the cause."""
        cert_file, _ = client_files
        none = str(tmp_path / "none.pem")
        for options in (
            TLSOptions(ca_file=none),
            TLSOptions(cert_file=none),
            TLSOptions(cert_file=cert_file, key_file=none),
        ):
            with pytest.raises(InvalidOptionError, match=r"none\.pem") as caught:
                options.build()
            assert isinstance(caught.value.__cause__, FileNotFoundError)

    def test_wrong_files(self, tmp_path: pathlib.Path, client_files: tuple[str, str]) -> None:
        """Files with something else, and a key of another certificate."""
        cert_file, key_file = client_files
        junk = tmp_path / "junk.pem"
        junk.write_text("junk")
        other = tmp_path / "other.pem"
        trustme.CA().issue_cert("x.example").private_key_pem.write_to_path(str(other))
        for options in (
            TLSOptions(ca_file=junk),
            TLSOptions(cert_file=junk),
            TLSOptions(cert_file=cert_file),
            TLSOptions(cert_file=cert_file, key_file=junk),
            TLSOptions(cert_file=cert_file, key_file=other),
        ):
            with pytest.raises(InvalidOptionError, match="cannot be loaded") as caught:
                options.build()
            assert isinstance(caught.value.__cause__, ssl.SSLError)
        with pytest.raises(InvalidOptionError, match="needs the cert_file"):
            TLSOptions(key_file=key_file).build()
        with pytest.raises(InvalidOptionError, match="cannot be loaded"):
            TLSOptions(ca_file="a\0b").build()

    def test_passphrase(self, client_files: tuple[str, str]) -> None:
        """An encrypted key is refused at once; the terminal is not asked for the passphrase."""
        from cryptography.hazmat.primitives import serialization

        cert_file, key_file = client_files
        path = pathlib.Path(key_file)
        key = serialization.load_pem_private_key(path.read_bytes(), None)
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"secret"),
            )
        )
        with pytest.raises(InvalidOptionError, match="has a passphrase"):
            TLSOptions(cert_file=cert_file, key_file=key_file).build()
