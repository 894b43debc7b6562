"""What fsspec itself demands of every file system: its whole abstract suite."""

from __future__ import annotations

import posixpath
from collections.abc import Callable

import pytest
from fsspec.tests import abstract

from objstore import ObjectStore
from objstore.contrib.fsspec import ObjectFileSystem


class Fixtures(abstract.AbstractFixtures):
    @pytest.fixture
    def fs_path(self, bucket: ObjectStore) -> str:
        return bucket.name

    @pytest.fixture
    def fs_join(self) -> Callable[..., str]:
        return posixpath.join

    @pytest.fixture
    def fs(self) -> ObjectFileSystem:
        return ObjectFileSystem()

    @pytest.fixture
    def supports_empty_directories(self) -> bool:
        return False


class TestCopy(abstract.AbstractCopyTests, Fixtures):
    pass


class TestGet(abstract.AbstractGetTests, Fixtures):
    pass


class TestOpen(abstract.AbstractOpenTests, Fixtures):
    pass


class TestPipe(abstract.AbstractPipeTests, Fixtures):
    pass


class TestPut(abstract.AbstractPutTests, Fixtures):
    pass
