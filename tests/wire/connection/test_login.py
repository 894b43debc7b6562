"""Logins and permissions with real servers: every way in, what is refused, and what expires."""

from __future__ import annotations

import functools
import logging
import pathlib
import queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from objstore import (
    AuthorizationError,
    Connection,
    ConnectionLostError,
    InvalidOptionError,
    LocalServer,
    NoRespondersError,
    PermissionDeniedError,
)
from objstore.wire.connection.connection import Msg
from objstore.wire.connection.subscriptions import Subscription
from tests.support.jwt_maker import Operator, creds_text, new_user_seed, public_key
from tests.support.scripted import PATIENCE, Background, connected, eventually

pytestmark = pytest.mark.newest_server

USER, PASSWORD, TOKEN = "ali:ce", "w@nder/land", "t0ken-of-the-server"
SEED = new_user_seed()


@pytest.fixture(scope="module")
def by_password() -> Iterator[LocalServer]:
    config = f'authorization {{ user: "{USER}", password: "{PASSWORD}" }}'
    with LocalServer(config=config) as server:
        yield server


@pytest.fixture(scope="module")
def by_token() -> Iterator[LocalServer]:
    with LocalServer(config=f'authorization {{ token: "{TOKEN}" }}') as server:
        yield server


@pytest.fixture(scope="module")
def by_nkey() -> Iterator[LocalServer]:
    config = f"authorization {{ users: [ {{ nkey: {public_key(SEED)} }} ] }}"
    with LocalServer(config=config) as server:
        yield server


@pytest.fixture(scope="module")
def operator() -> Operator:
    return Operator()


@pytest.fixture(scope="module")
def by_jwt(operator: Operator) -> Iterator[LocalServer]:
    with LocalServer(config=operator.config) as server:
        yield server


def place(server: LocalServer) -> str:
    """Host and port."""
    return f"127.0.0.1:{server.port}"


class TestWaysIn:
    """Every login that a server can ask for."""

    def test_password(self, by_password: LocalServer) -> None:
        """User and password, given or in the address, with characters that URLs escape."""
        with connected(place(by_password), user=USER, password=PASSWORD) as connection:
            connection.ping()
        address = f"nats://ali%3Ace:w%40nder%2Fland@{place(by_password)}"
        with connected(address) as connection:
            connection.ping()
            assert PASSWORD not in repr(connection)
            assert "w%40nder" not in repr(connection)

    def test_token(self, by_token: LocalServer) -> None:
        """A token, given or in the address."""
        with connected(place(by_token), token=TOKEN) as connection:
            connection.ping()
        with connected(f"nats://{TOKEN}@{place(by_token)}") as connection:
            connection.ping()
            assert TOKEN not in repr(connection)

    def test_given_overrides(self, by_token: LocalServer) -> None:
        """A login that is given counts, not that of the address."""
        with connected(f"nats://wrong@{place(by_token)}", token=TOKEN) as connection:
            connection.ping()
        with pytest.raises(AuthorizationError):
            Connection(f"nats://{TOKEN}@{place(by_token)}", token="wrong").connect()

    def test_nkey(self, by_nkey: LocalServer, tmp_path: pathlib.Path) -> None:
        """An NKEY seed, itself or in a file."""
        file = tmp_path / "user.nk"
        file.write_text(SEED)
        for seed in (SEED, file, str(file)):
            with connected(place(by_nkey), nkey_seed=seed) as connection:
                connection.ping()
                assert SEED not in repr(connection)

    def test_credentials(
        self, by_jwt: LocalServer, operator: Operator, tmp_path: pathlib.Path
    ) -> None:
        """A credentials file, as a path or as text of one."""
        file = tmp_path / "user.creds"
        file.write_text(operator.new_creds())
        for credentials in (file, str(file)):
            with connected(place(by_jwt), credentials=credentials) as connection:
                connection.ping()


class TestRefused:
    """What does not fit is refused, by an error that shows no secret."""

    def check(self, server: LocalServer, *secrets: str, **login: Any) -> None:
        """Try to connect; look into the error."""
        with pytest.raises(AuthorizationError) as caught:
            Connection(place(server), **login).connect()
        error: BaseException | None = caught.value
        while error is not None:
            for secret in secrets:
                assert secret not in str(error)
            error = error.__cause__

    def test_none(self, by_password: LocalServer, by_nkey: LocalServer) -> None:
        """No login at all."""
        self.check(by_password)
        self.check(by_nkey)

    def test_what_is_said(self, by_password: LocalServer) -> None:
        """Who refuses, and what to give where nothing was given."""
        address = place(by_password)
        with pytest.raises(AuthorizationError, match=f"{address} wants a login.*NATS_CREDS"):
            Connection(address).connect()
        for servers, token in [(address, "wr0ng"), (f"nats://wr0ng@{address}", None)]:
            with pytest.raises(AuthorizationError, match=f"^nats://{address} refuses this login"):
                Connection(servers, token=token).connect()

    def test_wrong_password(self, by_password: LocalServer) -> None:
        self.check(by_password, "wr0ng", user=USER, password="wr0ng")
        self.check(by_password, "wr0ng", user="somebody", password="wr0ng")

    def test_wrong_token(self, by_token: LocalServer, by_password: LocalServer) -> None:
        self.check(by_token, "wr0ng", token="wr0ng")
        self.check(by_password, TOKEN, token=TOKEN)

    def test_wrong_seed(self, by_nkey: LocalServer) -> None:
        other = new_user_seed()
        self.check(by_nkey, other, nkey_seed=other)

    def test_no_nonce(self, by_token: LocalServer) -> None:
        """A seed where the server asks for no signature."""
        self.check(by_token, SEED, nkey_seed=SEED)

    def test_expired_credentials(
        self, by_jwt: LocalServer, operator: Operator, tmp_path: pathlib.Path
    ) -> None:
        file = tmp_path / "user.creds"
        file.write_text(operator.new_creds(expires=-10))
        self.check(by_jwt, *file.read_text().splitlines()[1::8], credentials=file)

    def test_foreign_credentials(self, by_jwt: LocalServer, tmp_path: pathlib.Path) -> None:
        """Credentials of another operator; a JWT with another user's seed."""
        file = tmp_path / "user.creds"
        file.write_text(Operator().new_creds())
        self.check(by_jwt, credentials=file)
        file.write_text(creds_text(Operator().new_user()[0], new_user_seed()))
        self.check(by_jwt, credentials=file)

    def test_no_file(self, tmp_path: pathlib.Path) -> None:
        """A credentials file that does not exist is found missing before anything is sent."""
        with pytest.raises(InvalidOptionError, match="cannot be read"):
            Connection(credentials=tmp_path / "none.creds")

    def test_two_logins(self) -> None:
        with pytest.raises(InvalidOptionError, match="one way"):
            Connection(user="a", password="b", token="c")

    def test_of_several_servers(self, by_token: LocalServer, by_password: LocalServer) -> None:
        """One server refuses the login, the next one takes it."""
        with connected([place(by_password), place(by_token)], token=TOKEN) as connection:
            assert connection.session.server_url == f"nats://{place(by_token)}"


class TestExpiry:
    """A login that ends while the connection lasts."""

    def test_rotated(self, by_jwt: LocalServer, operator: Operator, tmp_path: pathlib.Path) -> None:
        """The user expires; the file holds new credentials by then: the connection comes back,
        subscriptions included."""
        file = tmp_path / "user.creds"
        file.write_text(operator.new_creds(expires=4))
        received: queue.Queue[Msg] = queue.Queue()
        with connected(place(by_jwt), credentials=file, reconnect_timeout=PATIENCE) as connection:
            connection.subscribe("s", callback=received.put)
            first = connection.server_info["client_id"]
            file.write_text(operator.new_creds())
            eventually(lambda: connection.session.connects == 2)
            assert "Expired" in str(connection.session._cause)
            assert connection.server_info["client_id"] != first
            connection.publish("s", payload=b"after")
            assert received.get(timeout=PATIENCE).payload == b"after"

    def test_not_renewed(
        self,
        by_jwt: LocalServer,
        operator: Operator,
        tmp_path: pathlib.Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """It expires and stays expired: AuthorizationError. New credentials end that; a file that
        cannot be read in between does not end the attempts. No log has a secret."""
        file = tmp_path / "user.creds"
        jwt, seed = operator.new_user(expires=3)
        file.write_text(creds_text(jwt, seed))
        with (
            caplog.at_level(logging.DEBUG),
            connected(place(by_jwt), credentials=file, reconnect_timeout=0.2) as connection,
        ):
            eventually(lambda: not connection.is_connected)
            # Not "Expired": for the rest of that second the server takes the login once more.
            eventually(lambda: "Violation" in str(connection.session._cause))
            with pytest.raises(AuthorizationError) as caught:
                connection.ping()
            for secret in (jwt, seed):
                assert secret not in str(caught.value)
                assert secret not in repr(connection)
                assert secret not in caplog.text
            file.unlink()
            eventually(lambda: isinstance(connection.session._cause, InvalidOptionError))
            with pytest.raises(ConnectionLostError, match="cannot be read"):
                connection.ping()
            file.write_text(operator.new_creds())
            eventually(lambda: connection.is_connected)
            connection.ping()
            assert jwt not in caplog.text
            assert seed not in caplog.text

    def test_changed_password(self, tmp_path: pathlib.Path) -> None:
        """The server is restarted with another password: refused from then on."""
        config = tmp_path / "server.conf"
        config.write_text('authorization { user: "u", password: "old" }')
        with (
            LocalServer(config=config) as server,
            connected(place(server), user="u", password="old", reconnect_timeout=0.2) as connection,
        ):
            server.kill()
            eventually(lambda: not connection.is_connected)
            config.write_text('authorization { user: "u", password: "new" }')
            server.start()
            eventually(lambda: isinstance(connection.session._cause, AuthorizationError))
            with pytest.raises(AuthorizationError, match="Authorization Violation"):
                connection.publish("x")
            server.kill()
            config.write_text('authorization { user: "u", password: "old" }')
            server.start()
            eventually(lambda: connection.is_connected)


RULES = """
authorization {
  users: [
    { user: "limited", password: "p", permissions: {
        publish: { deny: ["secret.>"] }, subscribe: { deny: ["secret.>", "group work"] } } }
    { user: "inboxless", password: "p", permissions: {
        subscribe: { deny: ["_INBOX.>"] } } }
    { user: "own-inbox", password: "p", permissions: {
        subscribe: { allow: ["_INBOX_mine.>", "free"] } } }
    { user: "all", password: "p" }
  ]
}
"""


@pytest.fixture(scope="module")
def with_rules() -> Iterator[LocalServer]:
    with LocalServer(config=RULES) as server:
        yield server


@pytest.fixture
def limited(with_rules: LocalServer) -> Iterator[Connection]:
    with connected(place(with_rules), user="limited", password="p", timeout=600) as connection:
        yield connection


class TestPermissions:
    """What a user may not do is said at once, with the subject, and the connection lives."""

    def test_publish(self, limited: Connection, caplog: pytest.LogCaptureFixture) -> None:
        """A request that may not be published fails at once; a publish alone is logged."""
        for _ in range(2):
            with pytest.raises(PermissionDeniedError) as caught:
                limited.request("secret.thing", timeout=600)
            assert caught.value.subject == "secret.thing"
            assert isinstance(caught.value, PermissionError)
        limited.publish("secret.other")
        limited.ping()
        assert "not allowed: publish to secret.other" in caplog.text
        assert limited.session.connects == 1

    def test_subscribe(self, limited: Connection) -> None:
        """A subscription that is not allowed fails, wildcards and queue groups too, and leaves
        nothing behind."""
        for subject, group in (("secret.a", ""), ("secret.>", ""), ("secret.a", "g")):
            with pytest.raises(PermissionDeniedError) as caught:
                limited.subscribe(subject, callback=print, queue=group)
            assert caught.value.subject == subject
        assert limited._user_subscriptions == {}
        assert limited.session._subscriptions._by_sid == {}
        limited.reconnect()
        limited.ping()

    def test_others_go_on(self, limited: Connection, with_rules: LocalServer) -> None:
        """Refusals do not disturb requests under way in other threads."""
        requests: queue.Queue[Msg] = queue.Queue()
        with connected(place(with_rules), user="all", password="p") as other:
            other.subscribe("slow", callback=requests.put)
            slow = Background(limited.request, "slow", timeout=PATIENCE)
            request = requests.get(timeout=PATIENCE)
            with pytest.raises(PermissionDeniedError):
                limited.request("secret.x")
            with pytest.raises(PermissionDeniedError):
                limited.subscribe("secret.x", callback=print)
            other.publish(request.reply, payload=b"answer")
            reply = slow.get()
            assert isinstance(reply, Msg)
            assert reply.payload == b"answer"

    def test_many_threads(self, limited: Connection) -> None:
        """Refused in several threads at once: each has an error of its own."""
        calls = [Background(limited.request, f"secret.{n % 3}") for n in range(12)]
        errors = []
        for number, each in enumerate(calls):
            with pytest.raises(PermissionDeniedError) as caught:
                each.get()
            assert caught.value.subject == f"secret.{number % 3}"
            errors.append(caught.value)
        assert len({id(each) for each in errors}) == len(errors)

    def test_inbox(self, with_rules: LocalServer) -> None:
        """The inbox is denied: every request says so at once; publishing and pinging work."""
        with connected(
            place(with_rules), user="inboxless", password="p", timeout=600
        ) as connection:
            for _ in range(3):
                with pytest.raises(PermissionDeniedError, match="subscription") as caught:
                    connection.request("anything", timeout=600)
                assert str(caught.value.subject).startswith("_INBOX.")
            for each in [Background(connection.request, "x", timeout=600) for _ in range(8)]:
                with pytest.raises(PermissionDeniedError):
                    each.get()
            connection.publish("anything")
            connection.ping()
            assert connection.session.connects == 1
            assert connection.inbox._handlers == {}
            assert len(connection.session.waiting) == 0
            assert len(connection.session._subscriptions._by_sid) == 1  # the inbox, once

    def test_inbox_begun_twice(self, with_rules: LocalServer, monkeypatch: Any) -> None:
        """A thread comes to begin the inbox again when another did, and was refused."""
        with connected(
            place(with_rules), user="inboxless", password="p", timeout=600
        ) as connection:
            inbox = connection.inbox
            subscribe = inbox._subscribe

            def overtaken(old: Subscription | None, *, others: int) -> None:
                monkeypatch.undo()
                for _ in range(others):
                    with pytest.raises(PermissionDeniedError):
                        connection.request("anything", timeout=600)
                subscribe(old)

            for others in (0, 1, 2, 3):
                late = functools.partial(overtaken, others=others)
                monkeypatch.setattr(inbox, "_subscribe", late)
                with pytest.raises(PermissionDeniedError):
                    Background(connection.request, "anything", timeout=600).get()
                assert len(connection.session.waiting) == 0
                assert len(connection.session._subscriptions._by_sid) == 1

    def test_own_inbox(self, with_rules: LocalServer) -> None:
        """With a prefix that is allowed requests work."""
        with connected(
            place(with_rules), user="own-inbox", password="p", inbox_prefix="_INBOX_mine"
        ) as connection:
            with pytest.raises(NoRespondersError):
                connection.request("anything")
            called = threading.Event()
            connection.subscribe("free", callback=lambda _: called.set())
            connection.publish("free")
            assert called.wait(PATIENCE)
