"""Addresses of servers, and which one is tried next."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.pretty import pretty_repr

from objstore.errors import InvalidServerURLError
from objstore.pynats2_compat import NATSInvalidSchemeError, NATSInvalidUrlError
from objstore.wire.connection.servers import Server, ServerPool, parse_server, parse_servers

pytestmark = pytest.mark.newest_server

A, B, C = (parse_server(f"nats://{name}:4222") for name in "abc")

# --- addresses


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("nats://h:1", Server("h", 1, tls_name="h")),
        ("nats://h", Server("h", 4222, tls_name="h")),
        ("h", Server("h", 4222, tls_name="h")),
        ("h:1", Server("h", 1, tls_name="h")),
        (" nats://h:1\n", Server("h", 1, tls_name="h")),
        ("NATS://Host:1", Server("host", 1, tls_name="host")),
        ("tls://h", Server("h", 4222, tls=True, tls_name="h")),
        ("127.0.0.1:1", Server("127.0.0.1", 1, tls_name="127.0.0.1")),
        ("nats://[::1]:1", Server("::1", 1, tls_name="::1")),
        ("[::1]", Server("::1", 4222, tls_name="::1")),
        ("nats://u:p@h", Server("h", 4222, tls_name="h", user="u", password="p")),
        ("u:p@h:1", Server("h", 1, tls_name="h", user="u", password="p")),
        ("nats://token@h", Server("h", 4222, tls_name="h", user="token")),
        ("nats://u:@h", Server("h", 4222, tls_name="h", user="u", password="")),
        ("nats://a%40b:p%2F%3A%23@h", Server("h", 4222, tls_name="h", user="a@b", password="p/:#")),
        ("nats://u:a@b@h", Server("h", 4222, tls_name="h", user="u", password="a@b")),
        ("nats://h/", Server("h", 4222, tls_name="h")),
        ("nats://h/a", Server("h", 4222, tls_name="h", prefix="a.")),
        ("nats://h:1/a/b/", Server("h", 1, tls_name="h", prefix="a.b.")),
    ],
)
def test_addresses(url: str, server: Server) -> None:
    assert parse_server(url) == server


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "names no host"),
        ("   ", "names no host"),
        ("nats://", "names no host"),
        ("nats://:4222", "names no host"),
        ("nats://a b", "names no host"),
        ("nats://h:port", "not the address of a server: 'nats://h:port' .*port"),
        ("nats://h:99999", "range"),
        ("nats://h:-1", "not the address"),
        ("nats://[::1", "not the address"),
        ("::1", "not the address"),
        ("http://h:8222", "'http'; it must be nats:// or tls://"),
        ("ws://h", "'ws'; it must be"),
        ("://h", "''; it must be"),
    ],
)
def test_addresses_refused(url: str, words: str) -> None:
    """Also in the words of pynats2, whose users know its two errors."""
    with pytest.raises(InvalidServerURLError, match=words) as caught:
        parse_server(url)
    assert isinstance(caught.value, (NATSInvalidUrlError, ValueError))
    assert isinstance(caught.value, NATSInvalidSchemeError)


@pytest.mark.parametrize("url", [None, 5, b"nats://h", ["nats://h"]])
def test_addresses_are_text(url: Any) -> None:
    with pytest.raises(InvalidServerURLError, match="is text, not"):
        parse_server(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://user:secret@h",
        "nats://user:secret@",
        "nats://user:secret@h:port",
        "nats://user:secret@h:99999",
        "user:secret@h:port",
        "user:secret@",
        "nats://user:se/secret@h",
        "nats://user:secret/x@h",
        "nats://user:12/secret@h",
        "nats://user:12?secret@h",
        "nats://user:12#secret@h",
        "nats://user#secret@h",
        "nats://user:secret#x@h",
        "nats://user:secret://x@h:port",
        "user:secret@x://h",
        "nats://user:[secret@h",
    ],
)
def test_errors_show_no_password(url: str) -> None:
    """However an address is broken. A raw "/", "?" or "#" in a password breaks it, too."""
    with pytest.raises(InvalidServerURLError) as caught:
        parse_server(url)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_unescaped_passwords_get_advice() -> None:
    """Rather than a connection to a host that is the user's name."""
    for url in ("nats://user:12/34@h", "nats://user:ab/cd@h"):
        with pytest.raises(InvalidServerURLError, match=r"'nats://h' .*write / .* as %2F"):
            parse_server(url)


def test_servers_show_no_password() -> None:
    server = parse_server("tls://user:secret@h:1")
    assert server.url == "tls://h:1"
    for shown in (repr(server), pretty_repr(server)):
        assert "secret" not in shown
        assert "user" not in shown


@pytest.mark.parametrize("url", ["nats://h:1", "tls://h:2", "nats://[::1]:3", "nats://1.2.3.4:5"])
def test_url_round_trip(url: str) -> None:
    assert parse_server(url).url == url


@pytest.mark.parametrize(
    ("given_servers", "hosts"),
    [
        ("a", ["a"]),
        ("a,b", ["a", "b"]),
        ("nats://a, tls://b:1", ["a", "b"]),
        (["a", "b"], ["a", "b"]),
        (("a",), ["a"]),
        (iter(["a", "b"]), ["a", "b"]),
    ],
)
def test_several_addresses(given_servers: Any, hosts: list[str]) -> None:
    assert [server.host for server in parse_servers(given_servers)] == hosts


@pytest.mark.parametrize(
    ("given_servers", "words"),
    [([], "no server was given"), ("", "no host"), ("a,,b", "no host"), (["a", 5], "is text")],
)
def test_several_addresses_refused(given_servers: Any, words: str) -> None:
    with pytest.raises(InvalidServerURLError, match=words):
        parse_servers(given_servers)


@given(st.text(max_size=30) | st.text("nats:/@[]#?%.,1x", max_size=20))
def test_any_text(text: str) -> None:
    """It is an address, or InvalidServerURLError; nothing else comes out."""
    try:
        server = parse_server(text)
    except InvalidServerURLError:
        return
    assert server.host
    assert 0 <= server.port < 65536


# --- the pool


def test_the_first_round_keeps_the_given_order() -> None:
    pool = ServerPool([A, B, C, A])
    assert pool.round() == [A, B, C]
    assert pool.round() == [A, B, C]


def test_a_round_is_a_copy() -> None:
    pool = ServerPool([A, B])
    pool.round().clear()
    assert pool.servers == [A, B]


def test_after_a_loss_the_lost_one_comes_last() -> None:
    pool = ServerPool([A, B, C])
    pool.connected(A)
    rounds = [pool.round() for _ in range(50)]
    assert all(tried[-1] == A for tried in rounds)
    assert all(set(tried) == {A, B, C} for tried in rounds)


def test_the_others_come_in_a_random_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("objstore.wire.connection.servers.random.shuffle", list.reverse)
    pool = ServerPool([A, B, C])
    pool.connected(B)
    assert pool.round() == [C, A, B]


def test_one_server_is_tried_again() -> None:
    pool = ServerPool([A])
    pool.connected(A)
    assert pool.round() == [A]


def test_discovered_servers_take_after_the_first_given() -> None:
    """They come without a name for the certificate, and without a user."""
    pool = ServerPool([parse_server("tls://u:p@first:1/pre"), B])
    pool.discover(["10.0.0.1:4222", "[::1]:4223"])
    assert pool.servers[2:] == [
        Server(host, port, True, "first", "u", "p", "pre.")
        for host, port in (("10.0.0.1", 4222), ("::1", 4223))
    ]


def test_known_and_odd_addresses_are_not_discovered() -> None:
    """A server's odd idea of an address is no reason to lose the connection."""
    pool = ServerPool([A])
    pool.discover(["a:4222", "", "x:port", "http://x", "x:1", "x:1"])
    assert [server.url for server in pool.servers] == ["nats://a:4222", "nats://x:1"]
    pool.discover(address for address in ["y:1"])
    assert [server.url for server in pool.servers] == ["nats://a:4222", "nats://y:1"]
    pool.discover([])
    assert pool.servers == [A]


def test_a_lost_server_that_left_the_cluster_is_not_tried() -> None:
    pool = ServerPool([A])
    pool.discover(["x:1", "y:1"])
    gone = pool.servers[1]
    pool.connected(gone)
    assert pool.round()[-1] == gone
    pool.discover(["y:1"])
    tried = pool.round()
    assert len(tried) == 2
    assert gone not in tried


def test_pauses_double_up_to_the_longest() -> None:
    """Each is shortened by chance to as little as half; a connection starts them anew."""
    pool = ServerPool([A])
    full = [0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.0, 2.0, 2.0]
    for _ in range(20):
        for longest in full:
            assert longest / 2 <= pool.next_pause() <= longest
        pool.connected(A)


def test_pauses_differ() -> None:
    """So that a thousand clients of one server do not come at once."""
    random.seed(1)
    assert len({ServerPool([A]).next_pause() for _ in range(20)}) > 10
