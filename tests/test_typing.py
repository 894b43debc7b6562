"""What mypy and pyright, and so editors, know of typical uses, and of what the pages show."""

from __future__ import annotations

import dataclasses
import inspect
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import objstore
from objstore.model.bucket_options import BucketKeywords
from objstore.put.options import PutOptions
from tests.support.waiting import PATIENCE
from tests.test_docs import EXAMPLES, ROOT

if TYPE_CHECKING:
    import array
    import mmap
    import socket
    import urllib.request

    from typing_extensions import assert_type

    from objstore.put.writer import TextWriter

    def uses(client: objstore.Client, store: objstore.ObjectStore) -> None:
        """Typical uses, each with the type that it has."""
        assert_type(client.object_store("photos", compression=True), objstore.ObjectStore)
        client.object_store("photos", compress=True)  # type: ignore[call-arg]
        client.update_store("photos", max_bytes=1 << 30, ttl=60.0)
        client.clone_store("photos", "copy", replicas=3)
        assert_type(store.put("a", b"1", mime="text/plain"), objstore.ObjectInfo)
        assert_type(store.get("a"), objstore.ObjectResult | None)
        assert_type(store.open("a"), objstore.ObjectResult)
        assert_type(store.open("a", "rb"), objstore.ObjectResult)
        assert_type(store.open("a", "wb", ttl=3600), objstore.ObjectWriter)
        assert_type(store.open("a", "xb"), objstore.ObjectWriter)
        assert_type(store.open("a", "r", encoding="latin-1").read(), str)
        assert_type(store.open("a", "w", mime="text/plain"), TextWriter)
        assert_type(store.upload_file("a.txt", metadata={"a": "b"}), objstore.ObjectInfo)
        assert_type(store.read_bytes("a"), bytes)
        assert_type(store.list(prefix="a/"), Iterator[objstore.ObjectInfo])
        assert_type(store.get_many(["a"]), Iterator[tuple[str, bytes | None]])
        store.upload_file("a.txt", mine="text/plain")  # type: ignore[call-arg]
        objstore.ObjectMissingError()  # type: ignore[attr-defined]

    def payloads(store: objstore.ObjectStore, connection: socket.socket, rows: list[str]) -> None:
        """Everything that can be put, and then some of what cannot."""
        store.put("a")
        for bytes_like in (
            b"1",
            bytearray(2),
            memoryview(b"3"),
            array.array("d"),
            mmap.mmap(-1, 1),
        ):
            store.put("a", bytes_like)
        with open("a.bin", "rb") as file, open("a.bin", "rb", buffering=0) as raw:
            store.put("a", file)
            store.put("a", raw)
        store.put("a", io.BytesIO(b"1"))
        store.put("a", sys.stdin.buffer)
        store.put("a", connection.makefile("rb"))
        store.put("a", urllib.request.urlopen("https://nats.io"))
        store.put("a", store.open("b"))
        store.put("a", store.open("b").data)
        store.put("a", Path("a.bin"))
        store.put("a", (row.encode() for row in rows))
        store.put_many([("a", b"1"), (objstore.ObjectMeta("b"), Path("b"))])
        payload: objstore.Payload = b"1" if rows else None
        store.put("a", payload)
        store.put("a", "text")  # type: ignore[arg-type]
        with open("a.txt") as text:
            store.put("a", text)  # type: ignore[arg-type]
        store.put("a", rows)  # type: ignore[arg-type]
        store.put("a", 1)  # type: ignore[arg-type]
        store.put_many([("a", "text")])  # type: ignore[list-item]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that README, docs/ and docstrings show, each a program, as it stands."""
    folder = tmp_path_factory.mktemp("programs")
    for place, example in EXAMPLES:
        if "guides/django" in place or "guides/fsspec" in place:
            continue  # Django and fsspec have no types
        path = folder / f"{place.replace('/', '_').replace('.', '_').replace('-', '_')}.py"
        path.write_text(example, "utf-8")
    return folder


def run(*command: str) -> None:
    """Run a type checker where the package is found as users have it."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=10 * PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.newest_server
def test_mypy_has_nothing_to_say_of_what_is_shown(programs: Path) -> None:
    """Of this file neither, which it reads with the rest of the tests otherwise."""
    cache = os.environ.get("MYPY_CACHE_DIR", ".mypy_cache")
    paths = map(str, programs.iterdir())
    run("mypy", "--strict", "--python-version=3.10", f"--cache-dir={cache}", __file__, *paths)


@pytest.mark.newest_server
def test_pyright_has_nothing_to_say_of_what_is_shown(programs: Path) -> None:
    """In its strict mode; nothing of what is used counts as private."""
    config = programs.with_suffix(".json")
    config.write_text(
        json.dumps(
            {
                "include": [str(programs), __file__],
                "extraPaths": [str(ROOT)],
                "pythonVersion": "3.10",
                "typeCheckingMode": "strict",
                "reportUnusedVariable": False,  # ``for name, content in …``
                "reportUnnecessaryTypeIgnoreComment": "error",
            }
        )
    )
    run("basedpyright", "--project", str(config), "--pythonpath", sys.executable)


def test_every_public_name_is_there() -> None:
    assert sorted(objstore.__all__) == objstore.__all__
    for name in objstore.__all__:
        assert getattr(objstore, name) is not None


def test_the_keywords_are_the_options() -> None:
    """Each is written down twice, for Python has no way to derive one from the other."""
    fields = [each.name for each in dataclasses.fields(objstore.BucketOptions)]
    assert list(BucketKeywords.__annotations__) == fields
    parameters = inspect.signature(objstore.ObjectStore.put).parameters
    named = [each.name for each in parameters.values() if each.kind is each.KEYWORD_ONLY]
    assert list(PutOptions.__annotations__) == named


def test_what_is_opened_is_of_its_type(store: objstore.ObjectStore) -> None:
    """The types that :func:`uses` is checked for are those at run time."""
    with store.open("a", "wb") as writer:
        assert isinstance(writer, objstore.ObjectWriter)
    with store.open("a") as result, store.open("a", "r") as text:
        assert isinstance(result, objstore.ObjectResult)
        assert isinstance(text, io.TextIOWrapper)
