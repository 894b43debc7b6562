"""Nothing of the wire may outlive its test: no thread, no socket."""

from __future__ import annotations

import contextlib
import gc
import itertools
from collections.abc import Iterator

import pytest

from objstore import Connection, LocalServer
from tests.support.scripted import eventually, objstore_threads, open_sockets

_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Fail a test that leaves threads of ours, or open sockets, behind."""
    threads, sockets = objstore_threads(), open_sockets()
    yield
    with contextlib.suppress(AssertionError):
        eventually(lambda: not (objstore_threads() - threads))
    assert not objstore_threads() - threads, "threads were left running"
    if open_sockets() - sockets:
        gc.collect()  # the test's own, perhaps; ours are closed by hand
        eventually(lambda: not (open_sockets() - sockets), "the closing of all sockets")


@pytest.fixture
def connection(server: LocalServer) -> Iterator[Connection]:
    """A connection of the test's own to the session's server."""
    with Connection(server.url) as connection:
        yield connection


@pytest.fixture
def own_server() -> Iterator[LocalServer]:
    """A server of the test's own, to be killed and started again."""
    with LocalServer() as server:
        yield server


@pytest.fixture
def subject() -> str:
    """A subject that no other test uses."""
    return f"test.{next(_numbers)}"
