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

import contextlib
import itertools
from collections.abc import Iterator

import pytest

import objstore
from objstore_pytest_plugin import objstore_bucket, objstore_client, objstore_server

__all__ = [
    "connected_client",
    "fresh_bucket",
    "objstore_bucket",
    "objstore_client",
    "objstore_server",
    "running_server",
]

_numbers = itertools.count(1)


@contextlib.contextmanager
def running_server() -> Iterator[objstore.LocalServer]:
    """Run a private nats-server for the time of the block."""
    with objstore.LocalServer() as server:
        yield server


@contextlib.contextmanager
def connected_client(server: objstore.LocalServer) -> Iterator[objstore.Client]:
    """Give a client of a server, closed after the block."""
    with objstore.connect(server.url) as client:
        yield client


@contextlib.contextmanager
def fresh_bucket(
    server: objstore.LocalServer, client: objstore.Client, test: str
) -> Iterator[objstore.ObjectStore]:
    """Give an empty bucket; after the block look for chunks without an owner, and delete it.

    Arguments:
        server: it is on.
        client: that the bucket shall belong to; it may be closed meanwhile.
        test: who uses it, for the failure.
    """
    bucket = client.object_store(f"pytest-{next(_numbers)}")
    yield bucket
    with connected_client(server) as inspector:
        chunks = _chunks_without_owner(inspector, bucket.name)
        inspector.delete_store(bucket.name)
    if chunks:
        pytest.fail(
            f"{test} leaves {chunks} chunks in its bucket that no object owns: a writer that was "
            "neither closed nor discarded, or records that were removed by hand",
            pytrace=False,
        )


def _chunks_without_owner(client: objstore.Client, bucket: str) -> int:
    """How many chunks of a bucket no object owns; 0 as well where the test has deleted it."""
    try:
        store = client.object_store(bucket, create=False)
        return store.collect_garbage(min_age=0, dry_run=True).chunks
    except objstore.BucketNotFoundError:
        return 0
