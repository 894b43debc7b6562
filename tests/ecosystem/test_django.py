"""Django's own tests of storages, on ours: ``djangos_own_tests.py`` says which, and which not."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import django
import pytest

from objstore import LocalServer
from tests.support.waiting import PATIENCE

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive of the Django that is installed: the wheel has no tests."""
    folder = tmp_path_factory.mktemp("django")
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:",
         "--dest", folder, f"Django=={django.__version__}"],
        check=True, timeout=5 * PATIENCE,
    )  # fmt: skip
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as found:
        found.extractall(folder, filter="data")
    (unpacked,) = (each for each in folder.iterdir() if each.is_dir())
    return unpacked


def test_djangos_own_tests(sources: Path, server: LocalServer) -> None:
    program = Path(__file__).with_name("djangos_own_tests.py")
    done = subprocess.run(
        [sys.executable, program, sources, server.url],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=5 * PATIENCE,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
