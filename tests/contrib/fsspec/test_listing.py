"""What a file system is, and what it shows."""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest

import objstore
from objstore import Client, ObjectStore
from objstore.contrib.fsspec import ObjectFileSystem
from tests.support.proxy import Proxy
from tests.support.waiting import PATIENCE

ROOT = Path(__file__).parents[3]


@pytest.fixture
def tree(store: ObjectStore, root: str) -> str:
    names = ["top.txt", "a/one", "a/b/two", "a/b/three", "c/four"]
    store.put_many((name, name.encode()) for name in names)
    return root


# --- what it is


def test_fsspec_finds_it_by_the_protocol() -> None:
    assert fsspec.get_filesystem_class("natsobj") is ObjectFileSystem
    assert ObjectFileSystem._strip_protocol("natsobj://bucket/a/b/") == "bucket/a/b"
    assert ObjectFileSystem._strip_protocol(["/bucket/a", "natsobj://"]) == ["bucket/a", ""]


def test_instances_are_told_apart_by_their_options(nats: str) -> None:
    fs = ObjectFileSystem(nats, timeout=7.0)
    assert ObjectFileSystem(nats, timeout=7.0) is fs
    assert ObjectFileSystem(nats, timeout=8.0) != fs
    assert pickle.loads(pickle.dumps(fs)) is fs
    with ThreadPoolExecutor(1) as thread:  # where fsspec makes another one of the same options
        other = thread.submit(lambda: ObjectFileSystem(nats, timeout=7.0)).result()
    assert other is not fs
    assert other == fs
    assert hash(other) == hash(fs)
    assert other.__dask_tokenize__() == fs.__dask_tokenize__()
    assert repr(other) == repr(fs)


def test_neither_its_id_nor_its_text_tell_secrets(nats: str) -> None:
    fs = ObjectFileSystem(nats, user="me", password="secret", lazy=True)
    assert "secret" not in f"{fs!r} {fs.fsid}"
    assert fs.fsid == ObjectFileSystem(nats, user="me", password="other", lazy=True).fsid
    assert fs.fsid != ObjectFileSystem("nats://elsewhere").fsid


def test_a_login_in_the_url_is_refused_unseen(fs: ObjectFileSystem) -> None:
    with pytest.raises(objstore.InvalidNameError, match="storage_options") as caught:
        fs.cat_file("natsobj://me:secret@bucket/name")
    assert "secret" not in str(caught.value)


def test_threads_share_one_connection(nats: str, proxy: Proxy, root: str) -> None:
    dialled: list[str] = []
    proxy.up.observe(lambda line: dialled.append(line.verb))
    together = threading.Barrier(16)

    def work(number: int) -> bytes:
        together.wait(PATIENCE)
        fs = ObjectFileSystem(proxy.url)
        fs.pipe_file(f"{root}/{number}", str(number).encode())
        return fs.cat_file(f"{root}/{number}")

    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(work, range(16))) == [str(n).encode() for n in range(16)]
    assert dialled.count("CONNECT") == 1


def test_a_closed_connection_is_followed_by_another(nats: str, root: str) -> None:
    fs = ObjectFileSystem(nats, name="closed-once")
    fs.pipe_file(f"{root}/a", b"a")
    fs.client.close()
    assert fs.cat_file(f"{root}/a") == b"a"


def test_a_forked_child_has_a_connection_of_its_own(nats: str, root: str) -> None:
    program = """
import os, sys
from objstore.contrib.fsspec import ObjectFileSystem
fs = ObjectFileSystem(sys.argv[1])
fs.pipe_file(sys.argv[2] + "/a", b"a")
child = os.fork()
if not child:
    assert fs.cat_file(sys.argv[2] + "/a") == b"a"
    fs.pipe_file(sys.argv[2] + "/b", b"b")
    sys.exit()
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert fs.cat_file(sys.argv[2] + "/b") == b"b"
"""
    done = subprocess.run(
        [
            *(sys.executable, "-W", "ignore:This process:DeprecationWarning"),
            *("-c", program, nats, root),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


# --- what it shows


def test_ls(fs: ObjectFileSystem, tree: str) -> None:
    assert fs.ls(tree, detail=False) == [f"{tree}/a", f"{tree}/c", f"{tree}/top.txt"]
    folder, _, file = fs.ls(f"natsobj://{tree}/")
    assert folder == {"name": f"{tree}/a", "size": 0, "type": "directory"}
    assert file == fs.info(f"{tree}/top.txt")
    assert fs.ls(f"{tree}/top.txt") == [file]
    assert tree in fs.ls("", detail=False)
    for path in (f"{tree}/absent", "no-such-bucket", "no-such-bucket/a"):
        with pytest.raises(FileNotFoundError):
            fs.ls(path)


def test_info(fs: ObjectFileSystem, store: ObjectStore, tree: str) -> None:
    stored = store.put("page.html", b"<p>", mime="text/html")
    info = fs.info(f"{tree}/page.html")
    assert info == {
        "name": f"{tree}/page.html",
        "size": 3,
        "type": "file",
        "created": stored.mtime,
        "mtime": stored.mtime,
        "digest": stored.digest,
        "revision": stored.revision,
        "mimetype": "text/html",
    }
    assert fs.modified(f"{tree}/page.html") == fs.created(f"{tree}/page.html") == stored.mtime
    assert fs.info("") == {"name": "", "size": 0, "type": "directory"}
    with pytest.raises(IsADirectoryError):
        fs.modified(f"{tree}/a")


def test_each_look_is_exact(fs: ObjectFileSystem, store: ObjectStore, tree: str) -> None:
    """What others store and delete is seen at once: there is no cache to invalidate."""
    assert len(fs.ls(f"{tree}/c")) == 1
    store.put("c/five", b"")
    assert len(fs.ls(f"{tree}/c")) == 2
    store.delete("c/four")
    fs.invalidate_cache()
    assert fs.ls(f"{tree}/c", detail=False, refresh=True) == [f"{tree}/c/five"]
    store.delete("c/five")
    assert not fs.exists(f"{tree}/c")


def test_kinds(fs: ObjectFileSystem, tree: str) -> None:
    kinds = {path: (fs.isfile(path), fs.isdir(path)) for path in (f"{tree}/a/one", f"{tree}/a")}
    assert kinds == {f"{tree}/a/one": (True, False), f"{tree}/a": (False, True)}
    assert [fs.isdir(tree), fs.isdir("")] == [True, True]
    for absent in (f"{tree}/b", f"{tree}/a/on", "no-such-bucket", "no such/bucket"):
        assert not fs.exists(absent)
        assert not fs.isdir(absent)


def test_a_lost_connection_is_no_absent_file(nats: str) -> None:
    fs = ObjectFileSystem("nats://127.0.0.1:9", reconnect_timeout=0.0, timeout=0.2)
    with pytest.raises(objstore.ConnectionLostError):
        fs.exists("bucket/name")


def test_a_deleted_bucket(fs: ObjectFileSystem, client: Client) -> None:
    client.object_store("fsspec-deleted").put("a", b"a")
    assert fs.exists("fsspec-deleted/a")
    client.delete_store("fsspec-deleted")
    assert not fs.exists("fsspec-deleted/a")
    assert not fs.exists("fsspec-deleted")


def test_walk(fs: ObjectFileSystem, tree: str) -> None:
    walked = list(fs.walk(tree))
    assert walked == [
        (tree, ["a", "c"], ["top.txt"]),
        (f"{tree}/a", ["b"], ["one"]),
        (f"{tree}/a/b", [], ["three", "two"]),
        (f"{tree}/c", [], ["four"]),
    ]
    upward = [folder for folder, _, _ in fs.walk(tree, topdown=False)]
    assert upward == [f"{tree}/a/b", f"{tree}/a", f"{tree}/c", tree]
    assert list(fs.walk(f"{tree}/a", maxdepth=1)) == [(f"{tree}/a", ["b"], ["one"])]
    assert (tree, ["a", "c"], ["top.txt"]) in list(fs.walk("", maxdepth=2))
    _, dirs, files = next(fs.walk(tree, detail=True))
    assert files["top.txt"] == fs.info(f"{tree}/top.txt")
    assert dirs["a"]["type"] == "directory"


def test_a_walk_goes_where_it_is_sent(fs: ObjectFileSystem, tree: str) -> None:
    seen = []
    for folder, dirs, _ in fs.walk(tree):
        seen.append(folder)
        with contextlib.suppress(ValueError):
            dirs.remove("b")
    assert seen == [tree, f"{tree}/a", f"{tree}/c"]


def test_a_walk_through_nothing(fs: ObjectFileSystem) -> None:
    told: list[OSError] = []
    assert list(fs.walk("no-such-bucket")) == []
    assert list(fs.walk("no-such-bucket", on_error=told.append)) == []
    assert len(told) == 1
    with pytest.raises(FileNotFoundError):
        list(fs.walk("no-such-bucket", on_error="raise"))
    with pytest.raises(ValueError, match="maxdepth"):
        list(fs.walk("", maxdepth=0))


def test_find_and_glob(fs: ObjectFileSystem, tree: str) -> None:
    assert fs.find(f"{tree}/a") == [f"{tree}/a/b/three", f"{tree}/a/b/two", f"{tree}/a/one"]
    assert fs.find(f"{tree}/a", maxdepth=1) == [f"{tree}/a/one"]
    assert fs.find(f"{tree}/a", withdirs=True)[:2] == [f"{tree}/a", f"{tree}/a/b"]
    assert fs.find(f"{tree}/top.txt", detail=True) == {
        f"{tree}/top.txt": fs.info(f"{tree}/top.txt")
    }
    assert fs.find(f"{tree}/absent") == []
    assert fs.glob(f"natsobj://{tree}/*/o*") == [f"{tree}/a/one"]
    assert fs.glob(f"{tree}/**/t*") == [f"{tree}/a/b/three", f"{tree}/a/b/two", f"{tree}/top.txt"]
    assert fs.du(tree) == sum(map(len, ["top.txt", "a/one", "a/b/two", "a/b/three", "c/four"]))
    assert fs.du(f"{tree}/c", total=False) == {f"{tree}/c/four": 6}


def test_a_walk_is_one_look(nats: str, proxy: Proxy, store: ObjectStore, root: str) -> None:
    """However many folders there are."""
    store.put_many((f"{number}/{number}", b"") for number in range(50))
    fs = ObjectFileSystem(proxy.url)
    fs.ls(root)
    asked: list[str] = []
    proxy.up.observe(lambda line: asked.append(line.subject))
    assert len(list(fs.walk(root))) == 51
    assert len(fs.glob(f"{root}/*/1*")) == 11
    assert len(asked) < 25


def test_links(fs: ObjectFileSystem, store: ObjectStore, tree: str) -> None:
    target = store.info("a/one")
    assert target is not None
    store.link("link", target)
    store.link_store("bucket", store)
    gone = store.put("gone", b"gone")
    store.link("dangling", gone)
    store.delete("gone")
    linked = fs.info(f"{tree}/link")
    assert (linked["size"], linked["type"], linked["islink"]) == (5, "file", True)
    assert fs.cat_file(f"{tree}/link") == b"a/one"
    for name in ("bucket", "dangling"):
        assert fs.info(f"{tree}/{name}")["type"] == "other"
        assert not fs.isfile(f"{tree}/{name}")


def test_names_with_empty_parts(fs: ObjectFileSystem, store: ObjectStore, root: str) -> None:
    names = ["/lead", "a//b", "a/c", "folder/"]
    store.put_many((name, name.encode()) for name in names)
    # A name that ends in a slash is no path; other tools mark empty folders so.
    assert fs.find(root) == [f"{root}//lead", f"{root}/a//b", f"{root}/a/c"]
    assert fs.cat_file(f"{root}/a//b") == b"a//b"
    assert fs.cat_file(f"natsobj://{root}//lead") == b"/lead"
    assert fs.isdir(f"{root}/folder")
    assert fs.ls(f"{root}/folder") == []


# --- what tells whether it has changed


def test_checksum_and_ukey(fs: ObjectFileSystem, store: ObjectStore, root: str) -> None:
    path = f"{root}/a"
    fs.pipe_file(path, b"one")
    checksum, key = fs.checksum(path), fs.ukey(path)
    assert (fs.checksum(path), fs.ukey(path)) == (checksum, key)
    fs.touch(path, truncate=False)
    assert fs.checksum(path) == checksum
    assert fs.ukey(path) != key
    fs.pipe_file(path, b"two")
    assert fs.checksum(path) != checksum


def test_a_cache_on_disk_notices_changes(fs: ObjectFileSystem, root: str, tmp_path: Path) -> None:
    cached = fsspec.filesystem(
        "filecache", fs=fs, check_files=True, cache_storage=str(tmp_path), skip_instance_cache=True
    )
    fs.pipe_file(f"{root}/a", b"one")
    assert cached.cat_file(f"{root}/a") == b"one"
    fs.pipe_file(f"{root}/a", b"two")
    assert cached.cat_file(f"{root}/a") == b"two"


def test_sign(nats: str) -> None:
    def link(base_url: str | None) -> str:
        fs = ObjectFileSystem(nats, base_url=base_url)
        signed: str = fs.sign("natsobj://photos/my cat.jpg")
        return signed

    assert link("https://example.org/files/") == "https://example.org/files/photos/my%20cat.jpg"
    assert link("https://example.org/{bucket}?n={name}") == (
        "https://example.org/photos?n=my%20cat.jpg"
    )
    with pytest.raises(NotImplementedError, match="base_url"):
        link(None)
