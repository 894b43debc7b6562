"""``import objstore`` loads little; a bucket, a put and a get load what each needs itself."""

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
    "put", "store.folders", "store.maintenance", "store.read", "store.store",
    "wire.connection.observer",
]  # fmt: skip
#: … and for the one work of putting bytes.
RARE_FOR_PUT = {
    f"objstore.{room}"
    for room in ("get", "metadata.followed_records", "put.links", "put.source", "store.write")
}


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


def test_each_imports_what_it_needs(server: LocalServer) -> None:
    """Putting bytes needs no files, no folders and nothing of what reads."""
    code = f"""
import objstore, sys
seen = {{*sys.modules}}
def more():
    global seen
    before, seen = seen, {{*sys.modules}}
    return {{name for name in seen - before if name.startswith("objstore.")}}
with objstore.connect({server.url!r}) as client:
    assert more() == set(), "connect"
    store = client.object_store("first-put")
    opened = more()
    assert not opened & {RARE_FOR_PUT}, opened
    store.put("folder/name.txt", b"data", mime="text/plain")
    assert more() == set(), "put"
    assert store.read_bytes("folder/name.txt") == b"data"
    print(sorted(name for name in more() if not name.startswith("objstore.get")))
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
