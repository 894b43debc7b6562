"""What all tests share: a real nats-server for the session, a fresh bucket for each test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

import objstore
from objstore import Client, LocalServer, ObjectStore

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[LocalServer]:
    """The session's nats-server. A missing one fails the run; nothing is skipped."""
    with LocalServer() as server:
        yield server


@pytest.fixture(scope="session")
def shared_client(server: LocalServer) -> Iterator[Client]:
    """One client for the tests that do nothing to the connection itself."""
    with objstore.connect(server.url) as client:
        yield client


@pytest.fixture
def client(server: LocalServer) -> Iterator[Client]:
    """A client of the test's own."""
    with objstore.connect(server.url) as client:
        yield client


@pytest.fixture
def store(shared_client: Client) -> Iterator[ObjectStore]:
    """A fresh bucket, gone after the test."""
    store = shared_client.object_store(f"test-{next(_numbers)}")
    yield store
    shared_client.delete_store(store.name)
