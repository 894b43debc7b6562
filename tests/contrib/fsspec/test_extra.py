"""What needs the extra ``fsspec`` says so, and works with what it brings."""

from __future__ import annotations

import importlib
import sys

import pytest

import objstore
from objstore import ObjectStore


@pytest.mark.parametrize(
    ("module", "library"),
    [
        ("objstore.contrib.fsspec", "fsspec"),
        ("objstore.contrib.upath", "upath.implementations.cloud"),
    ],
)
def test_a_missing_library_is_named(
    module: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for loaded in [name for name in sys.modules if name.startswith(module)]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(
        objstore.MissingDependencyError, match=r"pip install .*\[fsspec\]"
    ) as caught:
        importlib.import_module(module)
    assert isinstance(caught.value, ImportError)


def test_paths(nats: str, store: ObjectStore, root: str) -> None:
    upath = pytest.importorskip("upath")
    path = upath.UPath(f"natsobj://{root}/a/b.txt", servers=nats)
    assert type(path).__module__ == "objstore.contrib.upath"
    assert (path.drive, path.name, path.parent.name) == (root, "b.txt", "a")
    path.write_text("text")
    assert store.read_text("a/b.txt") == "text"
    assert [each.name for each in path.parent.iterdir()] == ["b.txt"]
    assert path.rename(path.with_name("c.txt")).read_text() == "text"
