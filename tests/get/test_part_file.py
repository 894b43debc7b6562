"""Files: continued downloads, and uploads of files that change."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import objstore
from objstore import (
    Client,
    ConnectionLostError,
    DigestMismatchError,
    LocalServer,
    ObjectCorruptError,
    ObjectStore,
    ObjStoreError,
    PayloadFileError,
)
from tests.support.proxy import Proxy
from tests.support.streams import delete_chunk, record, write_record
from tests.support.waiting import eventually

CHUNK = 10_000
CONTENT = bytes((i * i + 7 * i) % 251 for i in range(100 * CHUNK + 17))


def parts(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.startswith("."))


@pytest.fixture
def big(store: ObjectStore) -> str:
    """An object of 101 chunks."""
    store.put("big", CONTENT, chunk_size=CHUNK)
    return "big"


@pytest.fixture
def impatient(proxy: Proxy, store: ObjectStore) -> Iterator[ObjectStore]:
    """The bucket from behind the proxy, by a client that gives up at once."""
    with objstore.connect(proxy.url, reconnect_timeout=0) as client:
        yield client.object_store(store.name, create=False)


def cut_off(store: ObjectStore, name: str, target: Path, proxy: Proxy) -> Path:
    """A download that ends in the middle; what it leaves."""
    proxy.down.cut_after(len(CONTENT) // 2)
    proxy.refusing = True  # or it might be back before anybody has noticed
    with pytest.raises(ConnectionLostError):
        store.download_file(name, target)
    proxy.refusing = False
    assert not target.exists()
    (part,) = parts(target.parent)
    assert 0 < part.stat().st_size < len(CONTENT)
    return part


def test_the_connection_is_lost(
    big: str, impatient: ObjectStore, proxy: Proxy, store: ObjectStore, tmp_path: Path
) -> None:
    """The next call goes on where it was."""
    target = tmp_path / "file"
    had = cut_off(impatient, big, target, proxy).stat().st_size
    seen: list[tuple[int, int | None]] = []
    with objstore.connect(proxy.url) as client:
        before = proxy.down.forwarded
        far = client.object_store(store.name, create=False)
        far.download_file(big, target, progress=lambda *done: seen.append(done))
        assert proxy.down.forwarded - before < len(CONTENT) - had + 3 * CHUNK + 10_000
    assert target.read_bytes() == CONTENT
    assert parts(tmp_path) == []
    assert seen[0] == (had, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_the_process_is_killed(big: str, proxy: Proxy, store: ObjectStore, tmp_path: Path) -> None:
    """Not even its own clean-up has run."""
    target = tmp_path / "file"
    code = (
        "import objstore, sys, threading\n"
        "def progress(done, _):\n"
        f"    if done >= {40 * CHUNK}:\n"
        "        threading.Event().wait()\n"  # until it is killed
        "with objstore.connect(sys.argv[1]) as client:\n"
        "    store = client.object_store(sys.argv[2], create=False)\n"
        "    store.download_file('big', sys.argv[3], progress=progress)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, proxy.url, store.name, str(target)])
    eventually(lambda: any(part.stat().st_size >= 20 * CHUNK for part in parts(tmp_path)))
    found = parts(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not target.exists()
    had = found[0].stat().st_size
    seen: list[int] = []
    store.download_file(big, target, progress=lambda done, _total: seen.append(done))
    assert seen[0] == had
    assert target.read_bytes() == CONTENT
    assert parts(tmp_path) == []


@pytest.mark.parametrize("damage", ["a byte", "longer", "empty"])
def test_the_part_was_damaged(
    damage: str,
    big: str,
    impatient: ObjectStore,
    proxy: Proxy,
    store: ObjectStore,
    tmp_path: Path,
) -> None:
    """By a crash of the machine, or somebody: it begins anew."""
    target = tmp_path / "file"
    part = cut_off(impatient, big, target, proxy)
    content = bytearray(part.read_bytes())
    if damage == "a byte":
        content[1000] ^= 1
    else:
        content = bytearray() if damage == "empty" else content + bytes(len(CONTENT))
    part.write_bytes(content)
    store.download_file(big, target)
    assert target.read_bytes() == CONTENT
    assert parts(tmp_path) == []


def test_the_object_was_overwritten(
    big: str, impatient: ObjectStore, proxy: Proxy, store: ObjectStore, tmp_path: Path
) -> None:
    """What is there is of no use any more, and goes."""
    target = tmp_path / "file"
    cut_off(impatient, big, target, proxy)
    other = CONTENT[::-1]
    store.put(big, other, chunk_size=CHUNK)
    store.download_file(big, target)
    assert target.read_bytes() == other
    assert parts(tmp_path) == []


def test_without_resume(
    big: str, impatient: ObjectStore, proxy: Proxy, store: ObjectStore, tmp_path: Path
) -> None:
    """Nothing is left, and nothing is taken up."""
    target = tmp_path / "file"
    part = cut_off(impatient, big, target, proxy)
    seen: list[int] = []
    store.download_file(big, target, resume=False, progress=lambda n, _: seen.append(n))
    assert seen[0] == 0
    assert target.read_bytes() == CONTENT
    assert not part.exists()
    with objstore.connect(proxy.url, reconnect_timeout=0) as client:
        far = client.object_store(store.name, create=False)
        proxy.down.cut_after(len(CONTENT) // 2)
        proxy.refusing = True
        with pytest.raises(ConnectionLostError):
            far.download_file(big, target, resume=False)
    assert parts(tmp_path) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_the_user_gives_up(
    error: type[BaseException], big: str, store: ObjectStore, tmp_path: Path
) -> None:
    """Ctrl-C and the like leave no file."""

    def fail(done: int, _total: int | None) -> None:
        if done > 30 * CHUNK:
            raise error

    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(error):
        store.download_file(big, tmp_path / "file", progress=fail)
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_damaged_object(
    big: str, store: ObjectStore, shared_client: Client, tmp_path: Path
) -> None:
    info = store.info(big)
    assert info is not None
    delete_chunk(shared_client, store, info.nuid, 50)
    with pytest.raises(ObjectCorruptError):
        store.download_file(big, tmp_path / "file")
    assert os.listdir(tmp_path) == []


def test_two_at_once(big: str, store: ObjectStore, tmp_path: Path) -> None:
    """The second takes a file of its own; both are whole."""
    target = tmp_path / "file"
    inner: list[bytes] = []

    def again(done: int, _total: int | None) -> None:
        if done > 50 * CHUNK and not inner:
            inner.append(b"")
            store.download_file(big, target)
            inner.append(target.read_bytes())

    store.download_file(big, target, progress=again)
    assert inner[1] == target.read_bytes() == CONTENT
    assert parts(tmp_path) == []


def test_a_neighbour_keeps_its_part(
    big: str, impatient: ObjectStore, proxy: Proxy, store: ObjectStore, tmp_path: Path
) -> None:
    """A name that begins alike."""
    part = cut_off(impatient, big, tmp_path / "file.tar", proxy)
    store.download_file(big, tmp_path / "file")
    assert parts(tmp_path) == [part]


def test_hostile_metadata(store: ObjectStore, tmp_path: Path) -> None:
    """What another client writes into a nuid does not lead out of the folder."""
    content = CONTENT[: 5 * CHUNK]
    info = store.put("x", content, chunk_size=CHUNK)
    assert "/" not in info.nuid
    folder = tmp_path / "folder"
    folder.mkdir()
    store.download_file("x", folder / ("long" * 60))
    assert os.listdir(folder) == ["long" * 60]
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.leaves_chunks("of a record that names others")
@pytest.mark.parametrize("nuid", ["../../evil", "/tmp/evil", "..", "a/b", "\0"])
def test_hostile_nuids(
    nuid: str, store: ObjectStore, shared_client: Client, tmp_path: Path
) -> None:
    """A nuid that is a path is none: an error, and no file anywhere."""
    store.put("x", CONTENT[: 5 * CHUNK], chunk_size=CHUNK)
    fields = {**record(shared_client, store, "x"), "nuid": nuid, "digest": "../../evil"}
    write_record(shared_client, store, fields)
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    with pytest.raises(ObjStoreError):
        store.download_file("x", folder / "x")
    assert list(folder.iterdir()) == []
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "b"]


def test_the_digest_is_of_everything(
    big: str, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk gives other bytes than were written: what is there in the end is not trusted."""
    info = store.info(big)
    assert info is not None
    monkeypatch.setattr(
        store._handle.records,
        "read_own",
        lambda _name, **_options: info.with_changes(digest="SHA-256=" + "A" * 43 + "="),
    )
    with pytest.raises(DigestMismatchError):
        store.download_file(big, tmp_path / "file")
    assert os.listdir(tmp_path) == []


# --- uploads


def test_a_file_that_grows(store: ObjectStore, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(CONTENT)
    old = store.put("log", b"old")

    def grow(_done: int, _total: int | None) -> None:
        with path.open("ab") as file:
            file.write(b"more")

    with pytest.raises(PayloadFileError, match="was changed"):
        store.upload_file(path, chunk_size=CHUNK, progress=grow)
    assert store.read_bytes("log") == b"old"
    info = store.info("log")
    assert info is not None
    assert info.nuid == old.nuid


def test_a_file_that_is_rewritten(store: ObjectStore, tmp_path: Path) -> None:
    """With the same length."""
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    before = path.stat().st_mtime_ns

    def rewrite(_done: int, _total: int | None) -> None:
        path.write_bytes(CONTENT[::-1])
        os.utime(path, ns=(before, before + 1))

    with pytest.raises(PayloadFileError, match="was changed"):
        store.upload_file(path, chunk_size=CHUNK, progress=rewrite)
    assert "file" not in store


def test_a_server_that_is_restarted(tmp_path: Path) -> None:
    """A download over it just goes on."""
    with LocalServer(tmp_path / "data") as server, objstore.connect(server.url) as client:
        store = client.object_store("b")
        store.put("big", CONTENT, chunk_size=CHUNK)

        def restart(done: int, _total: int | None) -> None:
            if done == 50 * CHUNK:
                server.kill()
                server.start()

        store.download_file("big", tmp_path / "file", progress=restart)
    assert (tmp_path / "file").read_bytes() == CONTENT
