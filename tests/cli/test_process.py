"""The command line as a process: pipes, terminals, signals, large files."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pty
import re
import shlex
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from objstore import LocalServer, ObjectStore
from objstore.cli import cli
from tests.cli.conftest import Process
from tests.support.proxy import Proxy, nth
from tests.support.waiting import PATIENCE, eventually

pytestmark = pytest.mark.newest_server

BINARY = bytes(range(256)) * 5000
HOSTILE = "evil\x1b[2J\x07\n\u202etxt"


#: As ``python -m objstore``, with one line after the other in one process; it ends with the codes.
IN_TURN = """
import shlex, sys
from objstore.cli import cli
codes = []
for line in sys.argv[1:]:
    try:
        cli.main(shlex.split(line))
    except SystemExit as end:
        codes.append(end.code or 0)
sys.stdout.flush()
sys.exit(str(codes))
"""


def in_turn(process: Process, *lines: str, **options: Any) -> subprocess.Popen[bytes]:
    """Start a process that runs several lines, with pipes."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    command = [sys.executable, "-c", IN_TURN, *lines]
    return subprocess.Popen(command, env=process.env, **{**pipes, **options})


def messages(store: ObjectStore) -> int:
    """How many messages the bucket's stream has."""
    return store.status().stream_info.state.messages


def on_terminal(process: Process, *words: str, only: str | None = None) -> tuple[bytes, bytes]:
    """Run on a pseudo-terminal, or with only stderr on it: what came there, and what elsewhere."""
    return read_terminal(lambda **files: process.start(*words, **files), only)


def read_terminal(
    start: Callable[..., subprocess.Popen[bytes]], only: str | None = None, status: int = 0
) -> tuple[bytes, bytes]:
    """The same for what ``start`` starts, which ends with that status."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 25, 100, 0, 0))
    files = {"stdout": slave, "stderr": slave} if only is None else {only: slave}
    child = start(**files)
    os.close(slave)
    shown = bytearray()

    def read() -> None:
        with contextlib.suppress(OSError):  # how Linux says that the other side is closed
            while block := os.read(master, 65536):
                shown.extend(block)

    reader = threading.Thread(target=read)
    reader.start()
    elsewhere, _ = child.communicate(timeout=PATIENCE)
    reader.join()
    os.close(master)
    assert child.returncode == status
    return bytes(shown), elsewhere or b""


def on_terminal_with_answer(process: Process, answer: bytes, *words: str) -> tuple[bytes, int]:
    """Run on a pseudo-terminal and type an answer: what came there, and the exit code."""
    master, slave = pty.openpty()
    with process.start(*words, stdin=slave, stdout=slave, stderr=slave) as child:
        os.close(slave)
        os.write(master, answer)
        shown = bytearray()
        with contextlib.suppress(OSError):  # the other side is closed
            while block := os.read(master, 65536):
                shown.extend(block)
        code = child.wait(PATIENCE)
    os.close(master)
    return bytes(shown), code


# --- pipes


def test_importing_the_library_does_not_import_the_command_line(process: Process) -> None:
    code = "import objstore, sys; print({'click', 'tqdm', 'objstore.cli'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=process.env, capture_output=True, check=True
    )
    assert done.stdout == b"set()\n"


@pytest.mark.parametrize(
    ("words", "environment"),
    [
        (["--help"], {}),
        (["--version"], {}),
        ([], {"_OBJSTORE_COMPLETE": "bash_complete", "COMP_LINE": "objstore "}),
    ],
    ids=["help", "version", "tab"],
)
def test_what_is_asked_of_all_commands_imports_none(
    process: Process, words: list[str], environment: dict[str, str]
) -> None:
    """Nor what draws: it would take twice as long."""
    unwanted = {
        "rich",
        "tqdm",
        "watchdog",
        *(f"objstore.cli.{room}" for room in cli.rooms.values()),
    }
    code = f"""
import sys
from objstore.cli import main
sys.argv[1:] = {words}
try:
    main()
finally:
    print({unwanted} & {{*sys.modules}}, file=sys.stderr)
"""
    environment = {**process.env, **environment}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=True
    )
    assert b"completion" in done.stdout or b"version" in done.stdout
    assert done.stderr == b"set()\n"


def test_binary_through_pipes(process: Process, store: ObjectStore) -> None:
    done = process.run("put", store.name, "-", "--name", "x", input=BINARY)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"x  1.2 MiB  ")
    done = process.run("cat", store.name, "x")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == BINARY
    get = f"get {store.name} x -o"
    with in_turn(process, f"{get} -", f"{get} /dev/stdout") as child:
        out, err = child.communicate(timeout=PATIENCE)
    assert err == b"[0, 0]\n"
    assert out == BINARY * 2


def test_stdout_by_its_name_in_a_file(process: Process, store: ObjectStore, tmp_path: Path) -> None:
    """The content alone: what is said of a file would stand behind it."""
    store.put("x", BINARY)
    with (tmp_path / "out").open("wb") as out:
        words = ("get", store.name, "x", "-o", "/dev/stdout", "--json")
        done = process.run(*words, capture_output=False, stdout=out)
    assert done.returncode == 0
    assert (tmp_path / "out").read_bytes() == BINARY


def test_names_are_utf8_in_any_locale(process: Process, store: ObjectStore) -> None:
    store.put("Grüße 猫", b"")
    store.put(HOSTILE, b"")
    listed = f"Grüße 猫\n{HOSTILE}\n".encode()
    missing = f"objstore: there is no object 'ü' in bucket {store.name}\n".encode()
    for encoding in ("ascii", "latin-1", "utf-8"):
        process.env["PYTHONIOENCODING"] = encoding
        with in_turn(process, f"ls {store.name}", f"rm {store.name} ü", "--help") as child:
            out, err = child.communicate(timeout=PATIENCE)
        assert out.startswith(listed + b"Usage: ")
        assert err == missing + b"[0, 1, 0]\n"


def test_a_reader_that_has_seen_enough(process: Process, store: ObjectStore) -> None:
    store.put("x", b"0123456789" * 3_000_000)
    for words in (("cat", store.name, "x"), ("get", store.name, "x", "-o", "-")):
        with process.start(*words) as child:
            assert child.stdout is not None
            assert child.stderr is not None
            assert child.stdout.read(10) == b"0123456789"
            child.stdout.close()
            assert child.stderr.read() == b""
        assert child.returncode == 0


def test_a_reader_that_was_never_there(
    process: Process, store: ObjectStore, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b")
    files = [str(tmp_path / "a"), str(tmp_path / "b")]
    for words in (["put", store.name, *files], ["ls", store.name], ["--help"]):
        reader, writer = os.pipe()
        os.close(reader)
        with process.start(*words, stdout=writer) as child:
            os.close(writer)
            assert child.stderr is not None
            assert child.stderr.read() == b""
        assert child.returncode == 0 or words == ["--help"]
    assert sorted(info.name for info in store.list()) == ["a", "b"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk(process: Process, store: ObjectStore) -> None:
    store.put("x", b"x")
    for words in (["cat", store.name, "x"], ["ls", store.name]):
        with open("/dev/full", "wb") as full:
            done = process.run(*words, stdout=full, stderr=subprocess.PIPE, capture_output=False)
        assert done.returncode == 4
        assert done.stderr == b"objstore: [Errno 28] No space left on device\n"


def test_closed_streams(process: Process, store: ObjectStore) -> None:
    store.put("x", b"x")
    objstore = f"{sys.executable} -m objstore"
    for line, code in [
        (f"{objstore} cat {store.name} x >&-", 4),
        (f"{objstore} put {store.name} - --name y <&-", 4),
        (f"{objstore} ls {store.name} >&-", 0),
        (f"{objstore} ls nope 2>&-", 1),
    ]:
        done = subprocess.run(line, shell=True, env=process.env, capture_output=True, check=False)
        assert done.returncode == code, line
        assert b"Traceback" not in done.stderr


def test_100_mb_there_and_back(process: Process, store: ObjectStore, tmp_path: Path) -> None:
    hasher = hashlib.sha256()
    source, copy = tmp_path / "large.bin", tmp_path / "copy.bin"
    with open(source, "wb") as file:
        for _ in range(10):
            block = os.urandom(10_000_000) + b"\r\n\x1a\0"  # no multiple of any chunk
            hasher.update(block)
            file.write(block)
    done = process.run("put", store.name, str(source), "--json")
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["size"] == 100_000_040
    source.unlink()
    done = process.run("get", store.name, "large.bin", "-o", str(copy))
    assert (done.returncode, done.stderr) == (0, b"")
    copied = hashlib.sha256()
    with open(copy, "rb") as file:
        while block := file.read(1 << 20):
            copied.update(block)
    assert copied.hexdigest() == hasher.hexdigest()


# --- embedded


def test_embedded_keeps_its_data(process: Process, tmp_path: Path) -> None:
    data, folder = tmp_path / "data", tmp_path / "tmp"
    folder.mkdir()
    process.env["TMPDIR"] = str(folder)
    words = ("--embedded", str(data))
    done = process.run(*words, "put", "photos", "-", "--name", "a", input=BINARY)
    assert (done.returncode, done.stderr) == (0, b"")
    behind = f"--embedded {shlex.quote(str(data))}"
    lines = [f"{line} {behind}" for line in ("ls photos", "cat photos a", "ls nope")]
    with in_turn(process, *lines) as child:
        out, err = child.communicate(timeout=PATIENCE)
    assert out == b"a\n" + BINARY
    assert err.endswith(b"[0, 0, 1]\n")
    assert list(folder.iterdir()) == []


# --- terminals


def test_a_bar_on_a_terminal(process: Process, store: ObjectStore) -> None:
    """It comes when a transfer takes a while, goes at the end, and is in no pipe."""
    master, slave = pty.openpty()
    seen = threading.Event()
    shown = bytearray()

    def read() -> None:
        with contextlib.suppress(OSError):
            while block := os.read(master, 65536):
                shown.extend(block)
                if b"iB/s" in shown:
                    seen.set()

    reader = threading.Thread(target=read)
    process.env["TERM"] = "xterm"
    with process.start("put", store.name, "-", "--name", HOSTILE, stderr=slave) as child:
        os.close(slave)
        reader.start()
        assert child.stdin is not None
        latest = time.monotonic() + PATIENCE
        while not seen.wait(0.01) and time.monotonic() < latest:
            child.stdin.write(BINARY)
            child.stdin.flush()
        child.stdin.close()
        assert child.stdout is not None
        assert child.stdout.read().startswith(HOSTILE.encode())
        assert child.wait(PATIENCE) == 0
    reader.join()
    os.close(master)
    assert rb"\x1b[2J\x07\n" in shown
    assert b"\x1b[2J" not in shown
    assert shown.endswith(b"\x1b[2K")  # the line is empty again
    assert b"\x1b[?25h" in shown  # and the cursor is back
    assert on_terminal(process, "cat", store.name, HOSTILE, only="stderr")[0] == b""


def test_a_name_cannot_attack_a_terminal(process: Process, store: ObjectStore) -> None:
    store.put(HOSTILE, b"", mime="x\x1b[2J")
    lines = [f"{words} {store.name}" for words in ("ls", "ls -l", "ls --json")]
    lines.append(f"info {store.name} {shlex.quote(HOSTILE)}")
    shown, _ = read_terminal(lambda **files: in_turn(process, *lines, **files), status=1)
    shown = re.sub(rb"\x1b\[\d*m", b"", shown)  # our own colours
    assert shown.count(b"evil") >= len(lines)
    assert b"[0, 0, 0, 0]" in shown
    for attack in (b"\x1b", b"\x07", "\u202e".encode()):
        assert attack not in shown


# --- Ctrl-C


def test_ctrl_c_in_a_sync(
    process: Process, proxy: Proxy, store: ObjectStore, tmp_path: Path
) -> None:
    """Of several transfers under way each is whole, or leaves nothing."""
    content = BINARY * 4
    for number in range(12):
        (tmp_path / f"{number}").write_bytes(content)
    process.env["NATS_URL"] = proxy.url
    proxy.up.delay = 0.05  # half a minute for all: it is under way when it is interrupted
    with process.start("sync", str(tmp_path), f"{store.name}:", "--jobs", "4") as child:
        eventually(lambda: messages(store) > 20)
        child.send_signal(signal.SIGINT)
        proxy.up.delay = 0.0
        assert child.wait(PATIENCE) == 130
        assert child.stdout is not None
        assert child.stderr is not None
        assert (child.stdout.read(), child.stderr.read()) == (b"", b"\n")
    chunks = sum(info.chunks for info in store)
    assert messages(store) == chunks + len(list(store))
    assert store.verify().ok


def test_ctrl_c_in_a_put_of_stdin(process: Process, store: ObjectStore) -> None:
    before = store.put("x", b"old")
    there = messages(store)
    with process.start("put", store.name, "-", "--name", "x") as child:
        assert child.stdin is not None
        child.stdin.write(BINARY * 8)  # 10 MB, and no end
        child.stdin.flush()
        eventually(lambda: messages(store) > there + 3)
        child.send_signal(signal.SIGINT)
        child.stdin.close()  # as when the whole pipeline is interrupted
        assert child.wait(PATIENCE) == 130
        assert child.stdout is not None
        assert child.stderr is not None
        assert (child.stdout.read(), child.stderr.read()) == (b"", b"\n")
    assert messages(store) == there
    assert store.info("x") == before.with_changes(mtime=store.info("x").mtime)  # type: ignore[union-attr]
    assert store.read_bytes("x") == b"old"


def test_ctrl_c_in_a_put_of_a_file(process: Process, store: ObjectStore, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with process.start("put", store.name, str(fifo)) as child, open(fifo, "wb") as file:
        file.write(BINARY * 8)
        file.flush()
        eventually(lambda: messages(store) > 3)
        child.send_signal(signal.SIGINT)
        file.close()
        assert child.wait(PATIENCE) == 130
        assert child.stderr is not None
        assert child.stderr.read() == b"\n"
    assert messages(store) == 0
    assert store.info("fifo") is None


def test_ctrl_c_in_a_put_into_an_embedded_server(process: Process, tmp_path: Path) -> None:
    data, folder = tmp_path / "data", tmp_path / "tmp"
    folder.mkdir()
    process.env["TMPDIR"] = str(folder)
    with process.start("put", "b", "-", "--name", "x", "--embedded", str(data)) as child:
        assert child.stdin is not None
        child.stdin.write(BINARY * 20)  # more than the pipe and one chunk hold: it is stored
        child.stdin.flush()
        child.send_signal(signal.SIGINT)
        child.stdin.close()
        assert child.wait(PATIENCE) == 130
    assert list(folder.iterdir()) == []
    with LocalServer(data) as server:
        process.env["NATS_URL"] = server.url
        done = process.run("info", "b", "--json")
        fields = json.loads(done.stdout)
        assert (fields["size"], fields["total_size"], fields["bytes"]) == (0, 0, 0)


@pytest.mark.parametrize("replaced", [False, True])
def test_ctrl_c_in_a_get(
    process: Process, proxy: Proxy, store: ObjectStore, tmp_path: Path, replaced: bool
) -> None:
    store.put("x", bytes(8 << 20), chunk_size=64 << 10)
    target = tmp_path / "x"
    if replaced:
        target.write_bytes(b"old")

    def under_way() -> bool:
        parts = [path for path in tmp_path.iterdir() if path != target]
        return any(path.stat().st_size for path in parts)

    process.env["NATS_URL"] = proxy.url
    proxy.down.hold(nth(100, lambda line: line.verb == "HMSG"))  # it cannot come to its end
    with process.start("get", store.name, "x", cwd=tmp_path) as child:
        eventually(under_way)
        child.send_signal(signal.SIGINT)
        assert child.wait(PATIENCE) == 130
        assert child.stdout is not None
        assert child.stderr is not None
        assert (child.stdout.read(), child.stderr.read()) == (b"", b"\n")
    assert [path.name for path in tmp_path.iterdir()] == (["x"] if replaced else [])
    if replaced:
        assert target.read_bytes() == b"old"


def test_the_entry_point(process: Process) -> None:
    """As a process: where the package is installed, pytest loads its modules by a hook of its own,
    for the sake of the plugin among them, and runpy cannot use that."""
    done = process.run("--version")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"objstore, version ")
    assert "objstore = objstore.cli:main" in (Path(__file__).parents[2] / "setup.cfg").read_text()
