"""What these tests share: a bucket by its URL, and ``$NATS_URL``, by which libraries connect."""

from __future__ import annotations

import asyncio
import inspect
import itertools
from collections.abc import Iterator

import pytest

from objstore import Client, LocalServer, ObjectStore, shared
from objstore.contrib.fsspec import ObjectFileSystem

_numbers = itertools.count(1)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine as a test, of which the suite of zarr is made.

    Not by pytest-asyncio: it wants settings that the rest of the suite, without it, refuses.
    """
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.fixture
def connected(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As users have it: nothing but the environment says where the server is."""
    clients = shared._SharedClients()  # which end with the test
    monkeypatch.setattr(shared, "_clients", clients)
    monkeypatch.setenv("NATS_URL", server.url)
    yield
    clients.close()


@pytest.fixture
def fs(connected: None) -> ObjectFileSystem:
    return ObjectFileSystem()


@pytest.fixture
def bucket(connected: None, shared_client: Client) -> Iterator[ObjectStore]:
    """A fresh bucket; not called ``store``, as what the suites of others have of their own."""
    bucket = shared_client.object_store(f"ecosystem-{next(_numbers)}")
    yield bucket
    shared_client.delete_store(bucket.name)


@pytest.fixture
def url(bucket: ObjectStore) -> str:
    """The test's bucket, as the libraries name it."""
    return f"natsobj://{bucket.name}"
