"""``import objstore`` loads little, a first put nothing more, a first get what reads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import objstore
from objstore import LocalServer
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.newest_server

#: Each takes 5 ms or more to import: of Python's own, of others, and our rooms for rare work.
DEAR = ["asyncio", "click", "email", "http", "importlib.metadata", "subprocess", "tqdm", "urllib3"]
RARE = [
    "care", "cli", "events", "get", "local_server", "metadata.followed_records", "metadata.listing",
    "model.bucket_status", "model.stream_info", "model.stream_placing", "model.stream_sources",
    "put.links", "put.source", "store.folders", "store.maintenance", "store.read", "store.write",
    "wire.connection.observer",
]  # fmt: skip


def printed(code: str) -> str:
    """What a program of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(objstore.__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_rare_things_are_imported_later() -> None:
    names = {*DEAR, *(f"objstore.{room}" for room in RARE)}
    before = f"import sys; names = {names} - {{*sys.modules}}; "  # pytest-cov brings some along
    assert printed(before + "import objstore; print(names & {*sys.modules})") == "set()"


def test_a_first_put_imports_nothing_more_and_a_first_get_what_reads(server: LocalServer) -> None:
    code = f"""
import objstore, sys
before = {{*sys.modules}}
with objstore.connect({server.url!r}) as client:
    store = client.object_store("first-put")
    store.put("folder/name.txt", b"data", mime="text/plain")
    put = {{*sys.modules}}
    assert put == before, put - before
    assert store.read_bytes("folder/name.txt") == b"data"
    print(sorted(name for name in {{*sys.modules}} - put if not name.startswith("objstore.get")))
    store.destroy()
"""
    assert printed(code) == "['objstore.metadata.links', 'objstore.store.read']"


def test_what_is_imported_later_is_there() -> None:
    names = set(objstore.__all__)
    assert names <= set(dir(objstore))
    later = {name for listed in vars(objstore)["_LATER"].values() for name in listed}
    assert later - names == {"load_ipython_extension"}  # IPython's alone
    for name in names:
        assert getattr(objstore, name) is not None
    missing = "nothing"
    with pytest.raises(AttributeError, match="'objstore' has no attribute 'nothing'"):
        getattr(objstore, missing)
