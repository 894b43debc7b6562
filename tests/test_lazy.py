"""``connect(lazy=True)``: nothing is dialled before the first operation."""

from __future__ import annotations

import os
import socket
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

import objstore
from objstore import (
    AuthorizationError,
    ConnectionClosedError,
    ConnectionLostError,
    LocalServer,
    ProtocolError,
)
from objstore.wire.connection.first_use import FirstUse
from tests.support.listener import Listener
from tests.support.proxy import Proxy
from tests.support.scripted import Background, free_port, run_python
from tests.support.waiting import PATIENCE

NOWHERE = "nats://127.0.0.1:1"


def test_nothing_is_dialled_before_the_first_operation(proxy: Proxy, server: LocalServer) -> None:
    with objstore.connect(proxy.url, lazy=True, name="n") as client:
        assert "not connected" in repr(client)
        assert (client.connection.timeout, client.connection.reconnect_timeout) == (5.0, 60.0)
        stores = client.list_stores()  # lazy by itself
        assert proxy.connections == 0
        list(stores)
        assert proxy.connections == 1
        assert "not connected" not in repr(client)
        client.object_store("lazy").put("x", b"1")
        client.delete_store("lazy")
        assert proxy.connections == 1


@pytest.mark.parametrize(
    "act",
    [
        lambda client: client.object_store("lazy-first"),
        lambda client: client.delete_store("lazy-first"),
        lambda client: next(client.list_stores(), None),
        lambda client: client.connection.ping(),
        lambda client: client.connection.publish("x", payload=b"1"),
        lambda client: client.connection.server_info,
        lambda client: client.connection.subscribe("x", callback=print),
        lambda client: client.connection.connect(),
        lambda client: client.connection.reconnect(),
    ],
)
def test_any_operation_can_be_the_first(
    server: LocalServer, act: Callable[[objstore.Client], object]
) -> None:
    with objstore.connect(server.url, lazy=True) as client:
        act(client)
        assert client.connection.is_connected
        client.delete_store("lazy-first")


def test_the_first_operation_waits_for_the_server(tmp_path: Path) -> None:
    """A web process is up before its server is."""
    server = LocalServer(port=free_port())
    with server:  # so that it has an address
        url = server.url
    with objstore.connect(url, lazy=True, reconnect_timeout=60) as client:
        put = Background(lambda: client.object_store("b").put("x", b"1"))
        time.sleep(0.2)
        assert put.running
        with server:
            put.get()
            assert client.object_store("b").read_bytes("x") == b"1"


def test_a_server_that_stays_away() -> None:
    """Until the patience is over; and the next operation tries anew."""
    with objstore.connect(NOWHERE, lazy=True, reconnect_timeout=0.3) as client:
        for _ in range(2):
            began = time.monotonic()
            with pytest.raises(ConnectionLostError, match=r"for 0.3 s: .*127.0.0.1:1"):
                client.object_store("b")
            assert time.monotonic() - began >= 0.3  # no machine is too slow for that


def test_no_patience_is_one_attempt() -> None:
    with (
        objstore.connect(NOWHERE, lazy=True, reconnect_timeout=0) as client,
        pytest.raises(ConnectionLostError, match="refused"),
    ):
        client.object_store("b")


def test_a_failure_poisons_nothing() -> None:
    server = LocalServer()
    with server:
        url = server.url
    with objstore.connect(url, lazy=True, reconnect_timeout=0.1) as client:
        with pytest.raises(ConnectionLostError):
            client.object_store("b")
        with server:
            client.object_store("b").put("x", b"1")


def test_a_refused_login_is_not_tried_for_long(server: LocalServer) -> None:
    url = f"nats://wrong@127.0.0.1:{server.port}"
    with objstore.connect(url, lazy=True, reconnect_timeout=3600) as client:
        for _ in range(2):
            with pytest.raises(AuthorizationError):
                client.object_store("b")


def test_what_is_no_server_is_not_tried_for_long() -> None:
    sockets: list[socket.socket] = []

    def welcome(sock: socket.socket) -> None:
        sockets.append(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

    listener = Listener(welcome)
    listener.open()
    url = f"nats://127.0.0.1:{listener.port}"
    try:
        with (
            objstore.connect(url, lazy=True, reconnect_timeout=3600) as client,
            pytest.raises(ProtocolError),
        ):
            client.object_store("b")
    finally:
        listener.close(sockets[0].close)


def test_first_operations_of_many_threads_dial_once(proxy: Proxy) -> None:
    with objstore.connect(proxy.url, lazy=True) as client:
        together = threading.Barrier(16)

        def first() -> None:
            together.wait()
            client.connection.ping()

        tasks = [Background(first) for _ in range(16)]
        for task in tasks:
            task.get()
        assert proxy.connections == 1


def test_threads_wait_side_by_side() -> None:
    """Not one after the other, each for the whole patience: they try in turns."""
    first_use = FirstUse(timeout=10 * PATIENCE, patience=10 * PATIENCE)
    tried: set[int] = set()

    def connect() -> int:
        tried.add(threading.get_ident())
        if len(tried) < 32:
            raise ConnectionLostError("nobody is there")
        return len(tried)

    tasks = [Background(first_use.connect_patiently, connect) for _ in range(32)]
    assert [task.get() for task in tasks] == 32 * [32]


def test_closed_without_ever_dialling() -> None:
    """No warning, no thread, no connection; and none afterwards."""
    client = objstore.connect(NOWHERE, lazy=True)
    client.close()
    client.close()
    with pytest.raises(ConnectionClosedError):
        client.object_store("b")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del client
        objstore.connect(NOWHERE, lazy=True)  # forgotten: there is nothing to close


def test_closed_and_opened_again(server: LocalServer) -> None:
    client = objstore.connect(server.url, lazy=True)
    for _ in range(2):
        with client:
            assert "not connected" in repr(client)
            client.connection.ping()
            with client:  # it stays as it is
                assert client.connection.is_connected
        with pytest.raises(ConnectionClosedError):
            client.connection.ping()


def test_close_ends_the_waiting() -> None:
    client = objstore.connect(NOWHERE, lazy=True, reconnect_timeout=3600)
    ping = Background(client.connection.ping)
    time.sleep(0.1)
    client.close()
    with pytest.raises(ConnectionClosedError):
        ping.get()


def test_close_while_a_server_is_silent() -> None:
    """The attempt under way ends in nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"nats://127.0.0.1:{silent.getsockname()[1]}"
        client = objstore.connect(url, lazy=True, timeout=1, reconnect_timeout=3600)
        ping = Background(client.connection.ping)
        with silent.accept()[0]:
            client.close()
            with pytest.raises(ConnectionClosedError):
                ping.get()
        assert not client.connection.is_connected


def test_forks_before_the_first_use(server: LocalServer) -> None:
    """Parent and child connect for themselves."""
    with objstore.connect(server.url, lazy=True) as client:
        child = os.fork()
        if not child:  # pragma: no cover - not measured in a child
            status = 1
            try:
                client.connection.ping()
                client.close()
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert not client.connection.is_connected
        client.connection.ping()


def test_a_process_ends_at_once() -> None:
    """Also while a thread of it waits for a server that is away."""
    program = f"""
import objstore, threading, time
client = objstore.connect({NOWHERE!r}, lazy=True, reconnect_timeout=3600)
threading.Thread(target=client.connection.ping, daemon=True).start()
time.sleep(0.2)
print("end")
"""
    assert run_python(program) == "end\n"


def test_a_lazy_local_server() -> None:
    with objstore.local(lazy=True) as client:
        assert not client.connection.is_connected
        client.object_store("b").put("x", b"1")


def test_a_connection_that_is_not_lazy_says_what_to_do(server: LocalServer) -> None:
    with pytest.raises(ConnectionClosedError, match=r"call connect\(\) first"):
        objstore.Connection(server.url).ping()
    lazy = objstore.Connection(server.url, lazy=True)
    lazy.ping()
    lazy.close()
