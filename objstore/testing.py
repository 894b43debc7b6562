"""Fixtures for pytest: a real nats-server for the session, a fresh bucket for each test.

Whoever has installed objstore and pytest has them; nothing needs to be imported::

    def test_a_picture_is_kept(objstore_bucket):
        objstore_bucket.put("cat.jpg", b"a picture")
        assert objstore_bucket.read_bytes("cat.jpg") == b"a picture"

``objstore_server``
    A :class:`~objstore.LocalServer` on this computer only, with its data in a temporary folder;
    one for the session. It needs ``nats-server``, on the PATH or from the extra ``server``: where
    there is none, the tests that ask for it fail, and are not skipped.
``objstore_client``
    A :class:`~objstore.Client` of the test's own.
``objstore_bucket``
    An empty :class:`~objstore.ObjectStore`, which is deleted after the test. The test fails if it
    leaves chunks that no object owns.

With pytest-xdist each process has a server of its own. Nothing is started before a test asks.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

import objstore

__all__ = ["objstore_bucket", "objstore_client", "objstore_server"]

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def objstore_server() -> Iterator[objstore.LocalServer]:
    """Start a private nats-server for the session's tests; one in each process of pytest-xdist."""
    with objstore.LocalServer() as server:
        yield server


@pytest.fixture
def objstore_client(objstore_server: objstore.LocalServer) -> Iterator[objstore.Client]:
    """Connect a client of the test's own to the session's nats-server."""
    with objstore.connect(objstore_server.url) as client:
        yield client


@pytest.fixture
def objstore_bucket(
    objstore_server: objstore.LocalServer,
    objstore_client: objstore.Client,
    request: pytest.FixtureRequest,
) -> Iterator[objstore.ObjectStore]:
    """Make a fresh, empty bucket, and delete it after the test.

    The test fails if it leaves chunks that no object owns, such as those of a writer that it
    neither closes nor lets go.
    """
    bucket = objstore_client.object_store(f"pytest-{next(_numbers)}")
    yield bucket
    with objstore.connect(objstore_server.url) as inspector:  # the test may have closed its own
        chunks = _chunks_without_owner(inspector, bucket.name)
        inspector.delete_store(bucket.name)
    if chunks:
        pytest.fail(
            f"{request.node.nodeid} leaves {chunks} chunks in its bucket that no object owns: a "
            "writer that was neither closed nor discarded, or records that were removed by hand",
            pytrace=False,
        )


def _chunks_without_owner(client: objstore.Client, bucket: str) -> int:
    """Count the chunks of a bucket that no object owns; 0 where the test has deleted it."""
    try:
        store = client.object_store(bucket, create=False)
        return store.collect_garbage(min_age=0, dry_run=True).chunks
    except objstore.BucketNotFoundError:
        return 0
