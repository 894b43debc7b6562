"""universal_pathlib's own tests, which its source archive has and its wheel has not."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import upath

__all__ = ["find_tests"]


def find_tests() -> None:
    """Make ``upath.tests`` importable; the archive is fetched once, into the temporary folder."""
    version = importlib.metadata.version("universal_pathlib")
    cache = Path(tempfile.gettempdir(), f"objstore-universal-pathlib-{version}")
    if not cache.exists():
        with tempfile.TemporaryDirectory(dir=cache.parent) as folder:
            _fetch(version, Path(folder))
            (unpacked,) = Path(folder).glob("*/upath")
            unpacked.rename(cache)
    upath.__path__.append(str(cache))


def _fetch(version: str, folder: Path) -> None:
    """Unpack the archive of a version into a folder."""
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
            *("--no-binary", ":all:", "--dest", str(folder), f"universal_pathlib=={version}"),
        ],
        check=True,
    )
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
