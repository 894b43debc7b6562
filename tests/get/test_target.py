"""What a download replaces, and what it writes to: modes, owners, links, devices, open files."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import socket
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from objstore import InvalidOptionError, LocalServer, ObjectStore
from objstore.errors import ObjectNotFoundError
from tests.support.forked import Forked

pytestmark = pytest.mark.newest_server

CHUNK = 10_000
BIG = bytes((i * i + 3 * i) % 251 for i in range(20 * CHUNK + 5))

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture(params=["small", "big"])
def name(request: pytest.FixtureRequest, store: ObjectStore) -> str:
    """An object of one chunk, and one of many, which can be resumed."""
    store.put(request.param, content(request.param), chunk_size=CHUNK)
    return str(request.param)


def content(name: str) -> bytes:
    return BIG if name == "big" else b"small"


@pytest.fixture(scope="module")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forked]:
    """What runs programs in processes of their own, to which every warning is an error."""
    first = """
import warnings
warnings.simplefilter("error")
import os, pathlib, resource, sys, tempfile
import objstore, objstore.get.part_file
from tests.get import test_target
objstore.connect, objstore.ObjectStore
"""
    with Forked(tmp_path_factory.mktemp("target"), first) as forked:
        yield forked


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def only(folder: Path, *names: str) -> None:
    """Nothing else is in there: no part, no temporary file."""
    assert sorted(os.listdir(folder)) == sorted(names)


# --- modes


@pytest.mark.usefixtures("umask")
def test_a_new_file_has_the_mode_of_one(name: str, store: ObjectStore, tmp_path: Path) -> None:
    store.download_file(name, tmp_path / "new")
    store.download_file(name, tmp_path / "whole", resume=False)
    store.download_dir(tmp_path / "folder")
    assert {mode(tmp_path / each) for each in ("new", "whole", f"folder/{name}")} == {0o640}


def test_the_umask_is_never_set(
    name: str, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the whole process's: another thread's file could be seen by everybody."""

    def fail(_mask: int) -> int:
        raise AssertionError("os.umask was called")

    monkeypatch.setattr(os, "umask", fail)
    for _ in range(2):  # a new file, and one that is replaced
        store.download_file(name, tmp_path / "x")
        store.download_dir(tmp_path / "folder")


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("bits", [0o600, 0o644, 0o666, 0o755, 0o1644])
def test_what_is_replaced_keeps_its_mode(
    bits: int, name: str, store: ObjectStore, tmp_path: Path
) -> None:
    target = tmp_path / name
    for download in (
        lambda: store.download_file(name, target),
        lambda: store.download_file(name, target, resume=False),
        lambda: store.download_dir(tmp_path),
    ):
        target.write_bytes(b"old")
        target.chmod(bits)
        download()
        assert target.read_bytes() == content(name)
        assert mode(target) == bits
        only(tmp_path, name)


def test_what_lets_others_act_as_the_owner_goes(
    name: str, store: ObjectStore, tmp_path: Path
) -> None:
    """As a file loses it that is written: these are another program's bytes now."""
    target = tmp_path / "x"
    target.write_bytes(b"old")
    target.chmod(0o6755)
    store.download_file(name, target)
    assert mode(target) == 0o755


@pytest.mark.usefixtures("umask")
def test_a_part_that_waited(store: ObjectStore, tmp_path: Path) -> None:
    """One made while there was a private file is finished when that is gone, and the reverse."""
    info = store.put("big", BIG, chunk_size=CHUNK)
    from objstore.get.part_file import Part
    from objstore.get.target import Target

    target = tmp_path / "x"
    for private in (True, False):
        if private:
            target.touch(0o600)
        part = Part(Target.of(target), info, resume=True)
        assert part._path is not None
        assert mode(Path(part._path)) == (0o600 if private else 0o640)
        part._file.close()
        if private:
            target.unlink()
        else:
            target.touch(0o600)
        store.download_file("big", target)
        assert mode(target) == (0o640 if private else 0o600)
        assert target.read_bytes() == BIG
        target.unlink()
        only(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_read_only(name: str, store: ObjectStore, tmp_path: Path) -> None:
    refused_read_only(store, name, tmp_path)


@root_only
def test_read_only_for_others(
    name: str, forked: Forked, server: LocalServer, store: ObjectStore
) -> None:
    """As somebody who is not root, in a process of its own: read-only files, and folders."""
    program = """
folder = pathlib.Path(tempfile.mkdtemp())
os.chown(folder, 65534, 65534)
url, bucket, name = sys.argv[1:]
with objstore.connect(url) as client:
    store = client.object_store(bucket, create=False)
    store.download_file(name, os.devnull)  # whatever it imports, others need not be able to
    store.download_dir(folder, "nothing")
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
    test_target.refused_read_only(store, name, folder)
    test_target.in_a_read_only_folder(store, name, folder)
"""
    assert forked.run(program, server.url, store.name, name) == (0, "")


def refused_read_only(store: ObjectStore, name: str, folder: Path) -> None:
    target = folder / name
    target.write_bytes(b"old")
    target.chmod(0o444)
    with pytest.raises(PermissionError, match="must not be written"):
        store.download_file(name, target)
    with pytest.raises(PermissionError, match="must not be written"):
        store.download_dir(folder)
    assert target.read_bytes() == b"old"
    only(folder, name)
    target.unlink()


def in_a_read_only_folder(store: ObjectStore, name: str, folder: Path) -> None:
    """A file in there may be written, so it is written over; no other can be made."""
    target = folder / name
    target.write_bytes(b"old")
    folder.chmod(0o555)
    store.download_file(name, target)
    assert target.read_bytes() == content(name)
    with pytest.raises(PermissionError, match="no file can be made in there") as caught:
        store.download_file(name, folder / "other")
    assert caught.value.filename == str(folder)
    folder.chmod(0o755)
    only(folder, name)


# --- owners, attributes


@root_only
def test_what_is_replaced_keeps_its_owner(name: str, store: ObjectStore, tmp_path: Path) -> None:
    target = tmp_path / name
    target.write_bytes(b"old")
    os.chown(target, 1234, 2345)
    target.chmod(0o640)
    store.download_file(name, target)
    state = target.stat()
    assert (state.st_uid, state.st_gid, mode(target)) == (1234, 2345, 0o640)
    assert target.read_bytes() == content(name)


@root_only
def test_an_owner_that_cannot_be_kept(
    name: str, forked: Forked, server: LocalServer, store: ObjectStore
) -> None:
    """Somebody else's file that may be written: it is written over, and stays theirs."""
    program = """
folder = pathlib.Path(tempfile.mkdtemp())
os.chown(folder, 65534, 65534)
target = folder / "x"
target.write_bytes(b"o" * 400_000)
target.chmod(0o666)
url, bucket, name = sys.argv[1:]
with objstore.connect(url) as client:
    store = client.object_store(bucket, create=False)
    store.download_file(name, os.devnull)  # whatever it imports, others need not be able to
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
    store.download_file(name, target)
assert target.read_bytes() == test_target.content(name)
assert (target.stat().st_uid, target.stat().st_mode & 0o777) == (0, 0o666)
assert os.listdir(folder) == ["x"]
"""
    assert forked.run(program, server.url, store.name, name) == (0, "")


def test_extended_attributes(name: str, store: ObjectStore, tmp_path: Path) -> None:
    target = tmp_path / "x"
    target.write_bytes(b"old")
    try:
        os.setxattr(target, "user.origin", b"here")
    except (OSError, AttributeError):
        pytest.skip("this file system has none")
    store.download_file(name, target)
    assert os.getxattr(target, "user.origin") == b"here"
    assert target.read_bytes() == content(name)


def test_attributes_that_cannot_be_kept(
    name: str, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it is the same file, written over."""

    def fail(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "no")

    target = tmp_path / "x"
    target.write_bytes(b"old")
    inode = target.stat().st_ino
    monkeypatch.setattr(os, "listxattr", lambda _path: ["user.x"])
    monkeypatch.setattr(os, "getxattr", lambda _path, _name: b"")
    monkeypatch.setattr(os, "setxattr", fail)
    store.download_file(name, target)
    assert target.read_bytes() == content(name)
    assert target.stat().st_ino == inode
    only(tmp_path, "x")


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EXDEV])
def test_a_file_that_cannot_be_replaced(
    number: int, name: str, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mounted one, as containers have them."""

    def fail(self: Path, _target: Path) -> Path:
        raise OSError(number, os.strerror(number))

    target = tmp_path / "x"
    target.write_bytes(b"o" * 500_000)
    monkeypatch.setattr(Path, "replace", fail)
    store.download_file(name, target)
    assert target.read_bytes() == content(name)
    only(tmp_path, "x")


# --- links


def test_a_chain_of_links(name: str, store: ObjectStore, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "target"
    target.parent.mkdir()
    target.write_bytes(b"old")
    target.chmod(0o604)
    (tmp_path / "one").symlink_to("deep/target")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    for resume in (True, False):
        store.download_file(name, tmp_path / "two", resume=resume)
        assert (tmp_path / "two").readlink() == tmp_path / "one"
        assert (tmp_path / "one").readlink() == Path("deep/target")
        assert target.read_bytes() == content(name)
        assert mode(target) == 0o604
        only(tmp_path, "deep", "one", "two")
        only(target.parent, "target")


def test_links_that_lead_nowhere(name: str, store: ObjectStore, tmp_path: Path) -> None:
    """As cp has it: what would come into being is not where the path says."""
    (tmp_path / "dangling").symlink_to("nothing")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(InvalidOptionError, match=r"leads to .*/nothing, and nothing is there"):
        store.download_file(name, tmp_path / "dangling")
    with pytest.raises(OSError, match="symbolic links") as caught:
        store.download_file(name, tmp_path / "loop")
    assert caught.value.errno == errno.ELOOP
    only(tmp_path, "dangling", "loop")


def test_other_names_have_the_new_content_too(
    name: str, store: ObjectStore, tmp_path: Path
) -> None:
    """Hard links, as with cp; whatever the sizes are."""
    for old in (b"", b"old", b"o" * 900_000):
        target, other = tmp_path / "x", tmp_path / "y"
        target.write_bytes(old)
        target.chmod(0o640)
        other.hardlink_to(target)
        store.download_file(name, target)
        assert other.read_bytes() == target.read_bytes() == content(name)
        assert other.samefile(target)
        assert mode(target) == 0o640
        only(tmp_path, "x", "y")
        target.unlink()
        other.unlink()


def test_a_failure_leaves_other_names_alone(store: ObjectStore, tmp_path: Path) -> None:
    """There is no room: nothing was written over."""
    store.put("big", BIG, chunk_size=CHUNK)
    target, other = tmp_path / "x", tmp_path / "y"
    target.write_bytes(b"old")
    other.hardlink_to(target)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "posix_fallocate", full)
        with pytest.raises(OSError, match="No space left"):
            store.download_file("big", target)
    assert other.read_bytes() == b"old"
    only(tmp_path, "x", "y")


def test_nothing_leads_out_of_a_folder(name: str, store: ObjectStore, tmp_path: Path) -> None:
    """What is in the place of a file is replaced itself, be it a link of either kind."""
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    folder.mkdir()
    for link in (Path.symlink_to, Path.hardlink_to):
        outside.write_bytes(b"outside")
        link(folder / name, outside)
        store.download_dir(folder)
        assert (folder / name).read_bytes() == content(name)
        assert not (folder / name).is_symlink()
        assert outside.read_bytes() == b"outside"
        (folder / name).unlink()


def test_special_files_in_a_folder(name: str, store: ObjectStore, tmp_path: Path) -> None:
    """Nothing waits for whoever reads a pipe; the rest goes on."""
    store.put("a", b"1")
    store.put("empty", b"")
    os.mkfifo(tmp_path / name)
    os.mkfifo(tmp_path / "empty")
    report = store.download_dir(tmp_path)
    assert {each.name for each in report.refused} == {name, "empty"}
    assert all("not a regular file" in each.reason for each in report.refused)
    assert report.transferred == ("a",)
    only(tmp_path, "a", name, "empty")


# --- streams


@pytest.mark.parametrize("way", ["file", "append", "pipe"])
@pytest.mark.parametrize("path", ["/dev/stdout", "/proc/self/fd/1", "/dev/fd/1", "link"])
def test_stdout(
    way: str,
    path: str,
    name: str,
    forked: Forked,
    server: LocalServer,
    store: ObjectStore,
    tmp_path: Path,
) -> None:
    """It is written to where it is: behind what was printed before, and before what comes."""
    if path == "link":
        (tmp_path / "link").symlink_to("/proc/self/fd/1")
        path = str(tmp_path / "link")
    program = """
url, bucket, name, path, stdout, flags = sys.argv[1:]
os.dup2(file := os.open(stdout, os.O_WRONLY | int(flags)), 1)
os.close(file)
with objstore.connect(url) as client:
    print('before')
    client.object_store(bucket).download_file(name, path)
    print('after')
"""
    arguments = server.url, store.name, name, path
    expected = b"before\n" + content(name) + b"after\n"
    if way == "pipe":
        with ThreadPoolExecutor(1) as pool:
            reading, writing = os.pipe()
            got = pool.submit(_read_all, reading)
            with open(writing, "wb"):  # of this process, which the other finds by its number
                pipe = f"/proc/{os.getpid()}/fd/{writing}"
                assert forked.run(program, *arguments, pipe, "0") == (0, "")
            assert got.result() == expected
        return
    out = tmp_path / "out"
    out.write_bytes(b"first\n")
    flags = os.O_APPEND if way == "append" else os.O_TRUNC
    assert forked.run(program, *arguments, str(out), str(flags)) == (0, "")
    assert out.read_bytes() == (b"first\n" if way == "append" else b"") + expected


def _read_all(file: int) -> bytes:
    with open(file, "rb") as reading:
        return reading.read()


def test_open_files_of_this_process(name: str, store: ObjectStore, tmp_path: Path) -> None:
    """One that was deleted, too: its link's text is no path."""
    with (tmp_path / "x").open("w+b", buffering=0) as file:
        (tmp_path / "x").unlink()
        store.download_file(name, f"/dev/fd/{file.fileno()}")
        file.seek(0)
        assert file.read() == content(name)
        number = file.fileno()
    with pytest.raises(InvalidOptionError, match="nothing is there"):
        store.download_file(name, f"/dev/fd/{number}")
    only(tmp_path)


def test_a_socket_that_is_open(name: str, store: ObjectStore) -> None:
    """As stdout is, of what inetd and the like start."""
    mine, other = socket.socketpair()
    with mine, other:
        got = bytearray()

        def receive() -> None:
            while data := other.recv(100_000):
                got.extend(data)

        thread = threading.Thread(target=receive)
        thread.start()
        store.download_file(name, f"/dev/fd/{mine.fileno()}")
        mine.shutdown(socket.SHUT_WR)
        thread.join()
        assert got == content(name)


def _note(seen: list[int], done: int, _all: int | None) -> None:
    seen.append(done)


@contextlib.contextmanager
def _in(folder: Path) -> Iterator[None]:
    """Work in a folder: :func:`contextlib.chdir` is new in Python 3.11."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def test_devices(name: str, store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "null").symlink_to("/dev/null")
    for path in ("/dev/null", tmp_path / "null"):
        seen: list[int] = []
        store.download_file(name, path, progress=functools.partial(_note, seen))
        assert seen[-1] == len(content(name))
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with pytest.raises(OSError, match="No space left"):
        store.download_file(name, "/dev/full")


def test_a_pipe(name: str, store: ObjectStore, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    got: list[bytes] = []
    thread = threading.Thread(target=lambda: got.append((tmp_path / "pipe").read_bytes()))
    thread.start()
    store.download_file(name, tmp_path / "pipe")
    thread.join()
    assert got == [content(name)]
    assert (tmp_path / "pipe").is_fifo()


def test_a_pipe_that_is_not_to_be_waited_for(store: ObjectStore) -> None:
    """It fills up: an error, and no endless loop."""
    store.put("big", BIG, chunk_size=CHUNK)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        with pytest.raises(BlockingIOError, match="takes no more"):
            store.download_file("big", f"/dev/fd/{writing}")
    finally:
        os.close(reading)
        os.close(writing)


def test_sockets_in_the_file_system(name: str, store: ObjectStore, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening, _in(tmp_path):
        listening.bind("socket")
    with pytest.raises(InvalidOptionError, match="is a socket"):
        store.download_file(name, tmp_path / "socket")


# --- paths


def test_names_as_long_as_they_may_be(name: str, store: ObjectStore, tmp_path: Path) -> None:
    for text in ("x" * 255, "ü" * 127, "文" * 85, "🎉" * 63, "é" * 30 + "x" * 195):
        for resume in (True, False):
            store.download_file(name, tmp_path / text, resume=resume)
            assert (tmp_path / text).read_bytes() == content(name)
    assert len(os.listdir(tmp_path)) == 5


def test_long_names_with_one_beginning() -> None:
    """What is left of one is not taken for the other's."""
    from objstore.get.part_file import _prefix

    one, other = (_prefix("x" * 100 + end) for end in "12")
    assert one != other
    assert one.startswith(".xxx")


def test_names_that_are_no_text(name: str, store: ObjectStore, tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/\xff" * 1 + b"\xfe" * 200
    store.download_file(name, raw)  # type: ignore[arg-type]
    with open(raw, "rb") as file:
        assert file.read() == content(name)
    store.download_file(name, os.fsdecode(raw))
    assert len(os.listdir(tmp_path)) == 1


@pytest.mark.parametrize("path", ["{}/", "{}", "{}/x/", "", "a\0b", 7, None], ids=repr)
def test_paths_of_no_file(path: object, store: ObjectStore, tmp_path: Path) -> None:
    """Said before anything is asked for: the object need not be there."""
    if isinstance(path, str):
        path = path.format(tmp_path)
    with pytest.raises(InvalidOptionError):
        store.download_file("missing", path)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError) as caught:
        store.download_file("missing", tmp_path / "no" / "x")
    assert not isinstance(caught.value, ObjectNotFoundError)
    only(tmp_path)


def test_many_at_once_into_one_file(store: ObjectStore, tmp_path: Path) -> None:
    store.put("big", BIG, chunk_size=CHUNK)
    errors: list[BaseException] = []

    def download() -> None:
        try:
            for _ in range(5):
                store.download_file("big", tmp_path / "x")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=download) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert (tmp_path / "x").read_bytes() == BIG
    only(tmp_path, "x")


def test_a_part_of_somebody_else(store: ObjectStore, tmp_path: Path) -> None:
    """In a folder that all may write: a link, a pipe, or another name of a file is left alone."""
    info = store.put("big", BIG, chunk_size=CHUNK)
    from objstore.get.part_file import Part
    from objstore.get.target import Target

    part = Part(Target.of(tmp_path / "x"), info, resume=True)
    assert part._path is not None
    path, victim = Path(part._path), tmp_path / "victim"
    part.give_up(ValueError())
    for trap in (
        functools.partial(path.symlink_to, victim),
        functools.partial(path.hardlink_to, victim),
        functools.partial(os.mkfifo, path),
    ):
        victim.write_bytes(b"victim")
        trap()
        store.download_file("big", tmp_path / "x")
        assert (tmp_path / "x").read_bytes() == BIG
        assert victim.read_bytes() == b"victim"
        path.unlink(missing_ok=True)


def test_a_full_disk(
    forked: Forked, server: LocalServer, store: ObjectStore, tmp_path: Path
) -> None:
    """The old file stays, and nothing beside it."""
    store.put("big", BIG, chunk_size=CHUNK)
    (tmp_path / "x").write_bytes(b"old")
    program = """
with objstore.connect(sys.argv[1]) as client:
    store = client.object_store(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    try:
        store.download_file('big', sys.argv[3])
    except OSError as error:
        print(error)
"""
    status, output = forked.run(program, server.url, store.name, str(tmp_path / "x"))
    assert status == 0, output
    assert "File too large" in output
    assert (tmp_path / "x").read_bytes() == b"old"
    only(tmp_path, "x")
