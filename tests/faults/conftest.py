"""A cluster for the tests that want one; it starts with the first of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from objstore import BucketConfigError, Client
from tests.support.cluster import Cluster
from tests.support.waiting import eventually

#: What a cluster's leader says that misses a server, until it hears of it, up to 10 s later.
NO_SUITABLE_PEERS = 10005

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def running_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The processes behind :func:`cluster`."""
    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def cluster(running_cluster: Cluster) -> Iterator[Cluster]:
    """Three servers, all well before the test and after it."""
    running_cluster.heal()
    yield running_cluster
    running_cluster.heal()


@pytest.fixture
def bucket(cluster: Cluster) -> Iterator[str]:
    """The name of a fresh bucket of three replicas."""
    name = f"test-{next(_numbers)}"
    with cluster.connect() as client:
        eventually(lambda: _has_room(client, name), "room for three replicas")
    yield name
    cluster.heal()
    with cluster.connect() as client:
        client.delete_store(name)


def _has_room(client: Client, name: str) -> bool:
    """Create the bucket; False: a server that came back is not known to be there yet."""
    try:
        client.object_store(name, replicas=3)
    except BucketConfigError as error:
        if error.err_code != NO_SUITABLE_PEERS:
            raise
        return False
    return True
