"""The entry point of objstore's pytest plugin: the fixtures that :mod:`objstore.testing` describes.

It stands beside the package, since pytest loads it before anything else: what it imported would
count as not covered for whoever measures the coverage of objstore, and cost each run of pytest the
time of that import.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from objstore import Client, LocalServer, ObjectStore

__all__ = ["objstore_bucket", "objstore_client", "objstore_server"]


@pytest.fixture(scope="session")
def objstore_server() -> Iterator[LocalServer]:
    """A private nats-server for all tests of the session; of each process with pytest-xdist."""
    from objstore.testing import running_server

    with running_server() as server:
        yield server


@pytest.fixture
def objstore_client(objstore_server: LocalServer) -> Iterator[Client]:
    """A client of the test's own, connected to the session's nats-server."""
    from objstore.testing import connected_client

    with connected_client(objstore_server) as client:
        yield client


@pytest.fixture
def objstore_bucket(
    objstore_server: LocalServer, objstore_client: Client, request: pytest.FixtureRequest
) -> Iterator[ObjectStore]:
    """A fresh, empty bucket, which is deleted after the test.

    The test fails if it leaves chunks that no object owns, such as those of a writer that it
    neither closes nor lets go.
    """
    from objstore.testing import fresh_bucket

    with fresh_bucket(objstore_server, objstore_client, request.node.nodeid) as bucket:
        yield bucket
