"""A file system for each test, and the bucket that it looks at."""

from __future__ import annotations

import pytest

from objstore import ObjectStore
from objstore.contrib.fsspec import ObjectFileSystem


@pytest.fixture
def fs(nats: str) -> ObjectFileSystem:
    return ObjectFileSystem(nats)


@pytest.fixture
def root(store: ObjectStore) -> str:
    """The path of the test's bucket."""
    return store.name
