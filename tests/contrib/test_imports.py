"""What is not asked for is not imported, and what is missing is named with its extra."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import objstore

pytestmark = pytest.mark.newest_server

#: Each module, the package that it is for, and the extra that brings that.
FACES = [
    ("django", "django", "django"),
    ("flask", "flask", "flask"),
    ("fsspec", "fsspec", "fsspec"),
    ("http", "requests", "http"),
    ("otel", "opentelemetry", "otel"),
    ("upath", "upath", "fsspec"),
]


@pytest.mark.parametrize(("face", "package", "extra"), FACES)
def test_a_missing_library_is_named(
    face: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"objstore.contrib.{face}"
    monkeypatch.delitem(sys.modules, name, raising=False)
    # What others have imported of it would be found without it.
    for loaded in [each for each in sys.modules if each.startswith(f"{package}.")]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(objstore.MissingDependencyError, match=rf"nats-objstore\[{extra}\]"):
        importlib.import_module(name)
    assert issubclass(objstore.MissingDependencyError, ImportError)


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    """Nor by what has no library of its own."""
    program = (
        "import sys, objstore; "
        "assert not any(name.startswith('objstore.contrib') for name in sys.modules); "
        "import objstore.contrib.ranges, objstore.contrib.serving; "
        f"loaded = {{'requests', *{[package for _, package, _ in FACES]}}} & set(sys.modules); "
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
