"""What the tests of faults share: both roads of chunks."""

from __future__ import annotations

import pytest

from objstore import Client, LocalServer, ObjectStore
from tests.conftest import version_of
from tests.streams import api


@pytest.fixture(params=["acked", "ingested"])
def road(
    request: pytest.FixtureRequest, server: LocalServer, store: ObjectStore, shared_client: Client
) -> str:
    """How chunks travel into the test's bucket: one by one, or in fast-ingest batches."""
    kind: str = request.param
    if kind == "acked":
        refuse_batches(shared_client, store)
    elif version_of(server) < (2, 14):
        pytest.skip(f"nats-server {server.version} has no fast-ingest (since 2.14)")
    return kind


def refuse_batches(client: Client, store: ObjectStore) -> None:
    """Turn fast-ingest off for a bucket."""
    config = api(client.connection, f"STREAM.INFO.OBJ_{store.name}")["config"]
    if config.pop("allow_batched", False):
        answer = api(client.connection, f"STREAM.UPDATE.OBJ_{store.name}", config)
        assert "error" not in answer, answer
