"""The local nats-server: real servers, real signals."""

from __future__ import annotations

import gc
import importlib.metadata
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import objstore
from objstore.errors import ServerStartError
from objstore.local_server import config, process
from objstore.local_server.server import LocalServer, _after_fork, find_executable
from tests.support.waiting import eventually

pytestmark = pytest.mark.newest_server

ROOT = Path(objstore.__file__).parent.parent
PROC = Path("/proc")
linux = pytest.mark.skipif(not PROC.exists(), reason="looks into /proc")


class Session:
    """One raw connection: what a client would say, without a client."""

    def __init__(self, url: str, **options: Any) -> None:
        address = urllib.parse.urlsplit(url)
        assert address.hostname is not None
        self.socket = socket.create_connection((address.hostname, address.port or 0), 10)
        self.file = self.socket.makefile("rb")
        self.info = json.loads(self.file.readline().removeprefix(b"INFO "))
        token = {} if address.username is None else {"auth_token": address.username}
        self.answer = self.say(
            f"CONNECT {json.dumps({'verbose': False, **token, **options})}\r\nPING\r\n"
        )

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()

    def say(self, command: str) -> str:
        self.socket.sendall(command.encode())
        return self.file.readline().decode().strip()

    def request(self, subject: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask JetStream's API."""
        payload = json.dumps(body)
        head = self.say(
            f"SUB inbox 1\r\nPUB $JS.API.{subject} inbox {len(payload)}\r\n{payload}\r\n"
        )
        assert head.startswith("MSG inbox 1 ")
        return dict(json.loads(self.file.read(int(head.split()[-1]) + 2)))


def answer(url: str, **options: Any) -> str:
    """Connect, and return the answer to CONNECT and PING."""
    with Session(url, **options) as session:
        return session.answer


def create_stream(server: LocalServer, name: str) -> None:
    with Session(server.url) as session:
        config = {"name": name, "subjects": [name], "storage": "file"}
        assert "error" not in session.request(f"STREAM.CREATE.{name}", config)


def streams(server: LocalServer) -> list[str]:
    with Session(server.url) as session:
        names: list[str] = session.request("STREAM.NAMES", {})["streams"] or []
    return names


def gone(pid: int) -> bool:
    """Whether the process is dead; one that nobody reaps (PID 1 of a container) is, too."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return PROC.exists() and (status(pid) or "Z")[0] == "Z"


def status(pid: int) -> list[str]:
    """State and parent of a process; nothing when it is gone."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return []


def children() -> set[int]:
    """The children of this process, zombies included."""
    pids = [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]
    return {pid for pid in pids if status(pid)[1:] == [str(os.getpid())]}


def python(source: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a program that uses the package, in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(source), *arguments],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        start_new_session=True,
    )


def line(program: subprocess.Popen[str]) -> str:
    assert program.stdout is not None
    return program.stdout.readline().strip()


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer() as running:
        yield running


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without any nats-server, and an empty directory that PATH consists of."""

    def absent(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", absent)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("OBJSTORE_NATS_SERVER", raising=False)
    (tmp_path / "bin").mkdir()
    return tmp_path / "bin"


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


# --- starting and connecting


def test_connects(server: LocalServer) -> None:
    """The URL is all that a client needs; JetStream is on."""
    with Session(server.url) as session:
        assert session.answer == "PONG"
        assert session.info["jetstream"] is True
        assert session.info["version"] == server.version
    assert server.port == urllib.parse.urlsplit(server.url).port
    assert server.running
    assert "Server is ready" in server.log or "Listening for client" in server.log


def test_token_is_needed(server: LocalServer) -> None:
    """Without the token, or with another one, nobody gets in."""
    bare = f"nats://127.0.0.1:{server.port}"
    assert answer(bare) == "-ERR 'Authorization Violation'"
    assert answer(f"nats://wrong@127.0.0.1:{server.port}") == "-ERR 'Authorization Violation'"


def test_token_is_hidden(server: LocalServer) -> None:
    """The token is not in the repr or the log, and the file it is in is private."""
    token = urllib.parse.urlsplit(server.url).username
    assert token is not None
    assert token not in repr(server) + server.log
    folder = server.data_dir.parent
    holders = [file for file in folder.iterdir() if file.is_file() and token in file.read_text()]
    assert [stat.S_IMODE(file.stat().st_mode) for file in holders] == [0o600]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@linux
def test_token_is_not_in_the_process_list(server: LocalServer) -> None:
    """Any user of the machine can read command lines: the token is in none."""
    token = urllib.parse.urlsplit(server.url).username
    assert token is not None
    lines = [(PROC / str(pid) / "cmdline").read_text() for pid in children()]
    assert any("nats-server" in line for line in lines)
    assert not any(token in line for line in lines)


def test_tokens_differ(server: LocalServer) -> None:
    """Each server has a token of its own."""
    with LocalServer() as other:
        assert other.port != server.port
        token = urllib.parse.urlsplit(other.url).username
        assert answer(f"nats://{token}@127.0.0.1:{server.port}").startswith("-ERR")


@pytest.mark.parametrize("config", [None, "listen: 0.0.0.0:4222\n", "host: 0.0.0.0"])
def test_loopback_only(config: str | None) -> None:
    """It listens on 127.0.0.1, even if the configuration says otherwise."""
    with LocalServer(config=config) as server, Session(server.url) as session:
        assert session.info["host"] == "127.0.0.1"
        with socket.socket() as outside:
            outside.settimeout(1)  # where 127.0.0.2 is not an address of this machine, too
            assert outside.connect_ex(("127.0.0.2", server.port)) != 0


@linux
def test_pid_is_the_server(server: LocalServer) -> None:
    """The pid is nats-server's own, not that of a shell around it."""
    assert (PROC / str(server.pid) / "comm").read_text().strip() == "nats-server"


def test_stop_of_a_suspended_server() -> None:
    """A process that was sent SIGSTOP is shut down in order, too."""
    with LocalServer() as server:
        pid = server.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
    assert gone(pid)
    assert "Server Exiting" in server.log


def test_before_the_first_start() -> None:
    """What only a start brings to light says so."""
    server = LocalServer()
    assert server.port == 0
    assert server.pid is None
    assert not server.running
    assert server.log == ""
    assert "not running" in repr(server)
    for fact in ("url", "data_dir", "version"):
        with pytest.raises(ServerStartError, match="call start"):
            getattr(server, fact)
    server.stop()
    server.kill()


def test_start_and_stop_are_idempotent() -> None:
    """A second start or stop changes nothing, and a stopped server starts again."""
    server = LocalServer()
    try:
        assert server.start() is server
        pid, url = server.pid, server.url
        assert server.start().pid == pid
        assert f"pid {pid}" in repr(server)
    finally:
        server.stop()
        server.stop()
    assert server.pid is None
    assert "Server Exiting" in server.log
    for _ in range(3):
        with server:
            assert server.url == url
            assert answer(url) == "PONG"


def test_threads() -> None:
    """Starts from many threads start one server; starts and stops may be mixed."""
    server = LocalServer()
    barrier = threading.Barrier(8)

    def start(_: int) -> int | None:
        barrier.wait()
        return server.start().pid

    def shake(number: int) -> None:
        barrier.wait()
        (server.start, server.kill, server.stop, lambda: server.log)[number % 4]()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(start, range(8)))) == 1
        for _ in range(5):
            list(pool.map(shake, range(8)))
    with server:
        assert answer(server.url) == "PONG"


@linux
def test_nothing_is_left() -> None:
    """No zombie, no open file, no temporary folder is left behind."""
    with LocalServer():
        pass
    descriptors = PROC / "self" / "fd"
    before, files = children(), len(list(descriptors.iterdir()))
    with LocalServer() as server:
        folder = server.data_dir.parent
        server.kill()
        server.start()
    assert children() == before
    assert len(list(descriptors.iterdir())) == files
    assert not folder.exists()


# --- data


def test_data_survive_a_stop(tmp_path: Path) -> None:
    """Data in a given directory are there again, for another object too."""
    data_dir = tmp_path / "made" / "on demand"
    with LocalServer(data_dir) as server:
        assert server.data_dir == data_dir
        create_stream(server, "KEPT")
    with server:
        assert streams(server) == ["KEPT"]
    with LocalServer(data_dir) as server:
        assert streams(server) == ["KEPT"]


def test_relative_data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative directory stays where it was when the object was made."""
    monkeypatch.chdir(tmp_path)
    server = LocalServer("data")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    with server:
        assert server.data_dir == tmp_path / "data"


def test_kill_keeps_temporary_data(server: LocalServer) -> None:
    """After a kill the server comes back: same port, same token, same data."""
    create_stream(server, "KEPT")
    url, pid = server.url, server.pid
    assert pid is not None
    server.kill()
    server.kill()
    assert gone(pid)
    assert not server.running
    assert server.data_dir.is_dir()
    server.start()
    assert server.url == url
    assert server.pid != pid
    assert streams(server) == ["KEPT"]


def test_crash(server: LocalServer) -> None:
    """A server that somebody else killed is seen to be dead, and can be started."""
    create_stream(server, "KEPT")
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: server.pid is None)
    assert not server.running
    assert streams(server.start()) == ["KEPT"]


def test_temporary_folder_is_removed() -> None:
    """Stopping removes the temporary folder, after a kill too; the next start has no data."""
    server = LocalServer()
    with server:
        create_stream(server, "LOST")
        server.kill()
    assert not server.data_dir.parent.exists()
    with server:
        assert streams(server) == []


def test_second_server_on_the_same_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two servers would spoil each other's data; the error says who has them."""
    monkeypatch.setattr(process, "_LOCK_WAIT", 0.02)
    with LocalServer(tmp_path) as server:
        second = LocalServer(tmp_path)
        with pytest.raises(ServerStartError, match=rf"pid {server.pid}\) is using") as caught:
            second.start()
        assert str(tmp_path) in str(caught.value)
        assert answer(server.url) == "PONG"
        server.kill()
        with second:
            assert answer(second.url) == "PONG"


def test_data_of_a_server_that_is_ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start waits a little for the data: their last owner may be dying just now."""
    monkeypatch.setattr(process, "_LOCK_WAIT", 20)
    asked = threading.Event()
    monkeypatch.setattr("objstore.local_server.process.time.sleep", lambda _: asked.set())
    second = LocalServer(tmp_path)
    with LocalServer(tmp_path) as first, ThreadPoolExecutor(1) as pool:
        started = pool.submit(second.start)
        assert asked.wait(20)
        first.stop()
        started.result()
    with second:
        assert answer(second.url) == "PONG"


def test_unusable_data_dir(tmp_path: Path) -> None:
    """A file where the directory should be is an error of this package."""
    (tmp_path / "file").touch()
    with pytest.raises(ServerStartError, match=r"cannot be started.*file"):
        LocalServer(tmp_path / "file").start()


# --- port


def test_explicit_port(server: LocalServer) -> None:
    """A given port is used; one in use is an error with the server's own words."""
    port = server.port
    other = LocalServer(port=port)
    assert other.port == port
    with pytest.raises(ServerStartError, match="address already in use") as caught:
        other.start()
    assert caught.value.log is not None
    assert f"127.0.0.1:{port}" in caught.value.log
    assert "Error listening" in other.log
    assert not other.running
    server.stop()
    with other:
        assert other.port == port
        assert answer(other.url) == "PONG"


def test_failed_restart_keeps_the_data(server: LocalServer) -> None:
    """When the port was taken meanwhile, the data wait for the next try."""
    create_stream(server, "KEPT")
    server.kill()
    with LocalServer(port=server.port), pytest.raises(ServerStartError, match="in use"):
        server.start()
    assert not server.running
    assert streams(server.start()) == ["KEPT"]


# --- configuration


@pytest.mark.parametrize(
    "config",
    [
        "max_payload: 4MB",
        "max_payload = 4MB",
        "jetstream { max_mem: 1G }\nmax_payload: 1MB\nmax_payload: 4MB # the last one wins",
        '{"max_payload": 4194304, "jetstream": {"max_mem": "1G"}}',
        "jetstream: false\nmax_payload: 4MB",
        "server_name: authorization\n// accounts {}\nmax_payload: 4MB",
    ],
)
def test_config_text(config: str) -> None:
    """Settings given as text count; token and JetStream stay."""
    with LocalServer(config=config) as server, Session(server.url) as session:
        assert session.answer == "PONG"
        assert session.info["max_payload"] == 4 << 20
        assert session.info["jetstream"]
        assert session.info["auth_required"]


def test_config_of_jetstream_is_merged() -> None:
    """A jetstream block keeps what it sets; only the directory is this class's."""
    with LocalServer(config="jetstream { max_mem: 1GiB }") as server:
        assert "Max Memory:      1.00 GB" in server.log
        assert str(server.data_dir) in server.log


@pytest.mark.parametrize("kind", [Path, str])
@pytest.mark.parametrize("name", ["nats.conf", "it's = mine.conf", 'so "called".conf'])
def test_config_file(kind: Callable[[Path], Path | str], name: str, tmp_path: Path) -> None:
    """A file is read where it is, so that what it includes is found beside it."""
    (tmp_path / name).write_text("include 'more/other.conf'")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "other.conf").write_text("include 'size.conf'")
    (tmp_path / "more" / "size.conf").write_text("max_payload: 4MB")
    with LocalServer(config=kind(tmp_path / name)) as server, Session(server.url) as session:
        assert session.answer == "PONG"
        assert session.info["max_payload"] == 4 << 20


USER = "{ users: [ { user: me, password: secret } ] }"


@pytest.mark.parametrize(
    "config",
    [
        f"authorization {USER}",
        f"Authorization: {USER}",
        f'max_payload: 4MB\n"authorization" = {USER}',
        f"jetstream {{ max_mem: 1G }} # {{\naccounts {{ A {USER} }}",
        f"mappings {{ a: [ {{ destination: '}}', weight: 1% }} ] }}; accounts {{ A {USER} }}",
        "include 'auth.conf'",
    ],
)
def test_config_with_authorization(config: str, tmp_path: Path) -> None:
    """Who says in the configuration who may connect gets no token."""
    (tmp_path / "auth.conf").write_text(f"authorization {USER}")
    file = tmp_path / "nats.conf"
    file.write_text(config)
    with LocalServer(config=file) as server:
        assert server.url == f"nats://127.0.0.1:{server.port}"
        assert answer(server.url, user="me", **{"pass": "secret"}) == "PONG"
        assert answer(server.url).startswith("-ERR")


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ("max_paylod: 4", 'unknown field "max_paylod"'),
        ("jetstream {", "Parse error"),
        ("include absent.conf\n", "absent.conf"),
        ("store_dir: /elsewhere", "Duplicate 'store_dir'"),
    ],
)
def test_bad_config(config: str, complaint: str) -> None:
    """What the server dislikes about the configuration is in the error, and nothing is left."""
    server = LocalServer(config=config)
    with pytest.raises(ServerStartError, match="ended with status 1") as caught:
        server.start()
    assert complaint in str(caught.value)
    assert complaint in str(caught.value.log)
    assert complaint in server.log
    assert not server.running
    assert not server.data_dir.parent.exists()


def test_missing_config() -> None:
    """A file that is not there is named."""
    with pytest.raises(ServerStartError, match=r"absent\.conf"):
        LocalServer(config="absent.conf").start()


def test_circular_config(tmp_path: Path) -> None:
    """A file that includes itself is refused: nats-server would never finish reading it."""
    (tmp_path / "a.conf").write_text("include b.conf")
    (tmp_path / "b.conf").write_text("include ./a.conf")
    with pytest.raises(ServerStartError, match="includes itself"):
        LocalServer(config=tmp_path / "a.conf").start()


# --- the executable


def test_executable_of_the_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    """The installed wheel is found by its metadata, whatever PATH is."""
    monkeypatch.delenv("OBJSTORE_NATS_SERVER", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "executable", "")
    assert Path(find_executable()).name == "nats-server"


def test_executable_beside_python(nowhere: Path) -> None:
    """An environment's own directory of programs counts even when it is not on PATH."""
    expected = script(nowhere.parent / "nats-server", "")
    assert find_executable() == str(expected)


def test_executable_on_path(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PATH is the last place; a wheel whose files are not recorded or not here is passed over."""
    expected = script(nowhere / "nats-server", "")
    assert find_executable() == str(expected)
    monkeypatch.setattr(importlib.metadata, "files", lambda name: None)
    assert find_executable() == str(expected)
    others = importlib.metadata.distribution("pytest").files
    monkeypatch.setattr(importlib.metadata, "files", lambda name: others)
    assert find_executable() == str(expected)


def test_executable_of_the_environment(
    server: LocalServer, nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """$OBJSTORE_NATS_SERVER goes before anything else; a wrong one is said, not passed over."""
    chosen = script(nowhere.parent / "mine", "")
    monkeypatch.setenv("OBJSTORE_NATS_SERVER", str(chosen))
    assert find_executable() == str(chosen)
    monkeypatch.setenv("OBJSTORE_NATS_SERVER", str(nowhere / "absent"))
    with pytest.raises(ServerStartError, match=r"\$OBJSTORE_NATS_SERVER.*absent"):
        find_executable()


@pytest.mark.usefixtures("nowhere")
def test_no_executable() -> None:
    """Without nats-server the error has the line to type."""
    with pytest.raises(ServerStartError) as caught:
        LocalServer().start()
    assert 'pip install "nats-objstore[server]"' in str(caught.value)
    assert "PATH" in str(caught.value)


def test_executable_argument(tmp_path: Path) -> None:
    """The executable can be chosen; one that is none is an error."""
    wrapper = script(tmp_path / "nats-wrapper", f'exec "{find_executable()}" "$@"')
    with LocalServer(executable=wrapper) as server:
        assert answer(server.url) == "PONG"
    with pytest.raises(ServerStartError, match=r"executable.*cannot be executed"):
        LocalServer(executable=tmp_path).start()


def test_too_slow(tmp_path: Path) -> None:
    """A server that is not ready in time is ended, even one that does not listen to reason."""
    pid_file = tmp_path / "pid"
    slow = script(
        tmp_path / "slow",
        f"echo $$ > '{pid_file}'; echo busy; trap '' TERM; while :; do sleep 0.1; done",
    )
    server = LocalServer(executable=slow)
    with pytest.raises(ServerStartError, match=r"not ready after 2 s\nbusy"):
        server.start(timeout=2)
    assert gone(int(pid_file.read_text()))


def test_deaf_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that ignores SIGTERM is killed in the end."""
    monkeypatch.setattr("objstore.local_server.server._STOP_WAIT", 0.05)
    ports = """{"nats": ["nats://127.0.0.1:4"]}"""
    deaf = script(
        tmp_path / "deaf",
        f"""trap '' TERM
        while [ $# -gt 1 ]; do shift; done
        echo '{{' > "$1/half.ports"; echo '{{}}' > "$1/none.ports"; echo '{ports}' > "$1/deaf.ports"
        while :; do :; done""",
    )
    with LocalServer(executable=deaf) as server:
        assert (server.port, server.version) == (4, "unknown")
        pid = server.pid
    assert pid is not None
    assert gone(pid)


def test_watchdog_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its watchdog the server is not let go, and nothing is left."""
    popen = subprocess.Popen
    started: list[subprocess.Popen[bytes]] = []

    def second_fails(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        if started:
            raise BlockingIOError("no more processes")
        started.append(popen(*arguments, **options))
        return started[0]

    monkeypatch.setattr("objstore.local_server.process.subprocess.Popen", second_fails)
    server = LocalServer()
    with pytest.raises(ServerStartError, match="no more processes"):
        server.start()
    assert started[0].returncode is not None
    monkeypatch.undo()
    with server:
        assert answer(server.url) == "PONG"


def test_without_a_shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where there is no shell (distroless images) there is no watchdog, but a server."""
    monkeypatch.setattr(process, "_SHELL", str(tmp_path / "sh"))
    with LocalServer() as server:
        pid = server.pid
        assert pid is not None
        assert answer(server.url) == "PONG"
        server.kill()
        assert gone(pid)
        server.start()
        assert answer(server.url) == "PONG"
        pid = server.pid
        assert pid is not None
        monkeypatch.setattr("objstore.local_server.server._servers", {server})  # not other tests'
        _after_fork()  # in a child; here it makes the server an orphan
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    shutil.rmtree(server.data_dir.parent)


# --- the end of its owner

OWNER = """
    import os, signal, sys, time
    from objstore.local_server.server import LocalServer
    server = LocalServer().start()
    print(server.pid, server.data_dir.parent, server.url, flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_owner_is_killed(number: signal.Signals) -> None:
    """The server does not outlive a program that is killed; its temporary folder goes too."""
    # A run that nohup began ignores a hang-up, and so would what it starts.
    hears = "" if number == signal.SIGKILL else f"    signal.signal({number:d}, signal.SIG_DFL)\n"
    with python(OWNER + hears + "    sys.stdin.read()") as owner:
        pid, folder, url = line(owner).split()
        assert answer(url) == "PONG"
        owner.send_signal(number)
        assert owner.wait() == -number
    eventually(lambda: gone(int(pid)))
    eventually(lambda: not Path(folder).exists())


def test_owner_is_killed_while_the_server_is_suspended() -> None:
    """A suspended server hears of it too."""
    with python(
        OWNER + "    os.kill(server.pid, signal.SIGSTOP); print(); sys.stdin.read()"
    ) as owner:
        pid = int(line(owner).split()[0])
        line(owner)
        owner.kill()
    eventually(lambda: gone(pid))


def test_owner_is_killed_and_its_child_is_not() -> None:
    """A forked child does not keep the server of its dead parent alive."""
    source = (
        OWNER
        + """
    if os.fork() == 0:
        print("child", flush=True)
    sys.stdin.read()
    """
    )
    with python(source) as owner:
        pid = int(line(owner).split()[0])
        assert line(owner) == "child"
        owner.kill()
        eventually(lambda: gone(pid))
        assert owner.stdin is not None
        owner.stdin.close()  # the child ends, too


def test_owner_ends_without_stopping() -> None:
    """A program that just ends has its server stopped, and is told of it."""
    source = (
        OWNER
        + """
    import warnings
    warnings.simplefilter("always")
    warnings.showwarning = lambda *what: print(what[1].__name__, what[0], flush=True)
    """
    )
    with python(source) as owner:
        pid, folder, _ = line(owner).split()
        assert line(owner) == f"ResourceWarning a LocalServer (pid {pid}) was never stopped"
        assert owner.wait() == 0
    assert gone(int(pid))
    assert not Path(folder).exists()


def test_forgotten() -> None:
    """A running server that becomes garbage is stopped, with a warning."""
    server = LocalServer().start()
    pid, folder = server.pid, server.data_dir.parent
    assert pid is not None
    with pytest.warns(ResourceWarning, match=rf"pid {pid}\) was never stopped"):  # noqa: PT031
        del server
        gc.collect()
    assert gone(pid)
    assert not folder.exists()


def test_forgotten_after_kill() -> None:
    """A killed one leaves no process to warn of, but its folder goes."""
    server = LocalServer().start()
    folder = server.data_dir.parent
    server.kill()
    del server
    gc.collect()
    assert not folder.exists()


def test_forked_child() -> None:
    """A child's copy is an address: nothing it does or leaves stops the parent's server."""
    source = (
        OWNER
        + """
    child = os.fork()
    if child == 0:
        assert server.url and not server.running and server.pid is None
        server.stop()
        server.kill()
        try:
            server.start()
        except Exception as error:
            assert "in use" in str(error)
        copy = server
        del server, copy
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert server.running and server.data_dir.exists()
    print("alive", flush=True)
    sys.stdin.readline()
    server.stop()
    """
    )
    with python(source) as owner:
        url = line(owner).split()[2]
        assert line(owner) == "alive"
        assert answer(url) == "PONG"
        assert owner.communicate("\n")[0] == ""
        assert owner.returncode == 0


def test_disowned(monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens in a forked child, in this process: no claim is left, nor a pipe's end."""
    server = LocalServer().start()
    assert server._process is not None
    assert server._process._watchdog is not None
    process, watchdog = server._process, server._process._watchdog
    idle = LocalServer()
    monkeypatch.setattr("objstore.local_server.server._servers", {server, idle})
    _after_fork()
    assert not idle.running
    assert not server.running
    assert not process.running
    process.end()
    server.stop()
    # As no process has the pipe any more, the watchdog does its work.
    os.waitpid(process.server.pid, 0)
    os.waitpid(watchdog.pid, 0)
    folder = server.data_dir.parent
    assert not folder.exists()
    folder.mkdir()
    del server
    gc.collect()
    assert folder.exists()
    folder.rmdir()


def test_ctrl_c() -> None:
    """Ctrl-C goes to the whole terminal; the server waits for its owner to have tidied up."""
    source = (
        OWNER
        + """
    try:
        print("ready", flush=True)
        sys.stdin.read()
    except KeyboardInterrupt:
        print(server.running, flush=True)
        sys.stdin.readline()
        server.stop()
    """
    )
    with python(source) as owner:
        pid, _, url = line(owner).split()
        assert line(owner) == "ready"
        os.killpg(owner.pid, signal.SIGINT)
        assert line(owner) == "True"
        assert answer(url) == "PONG"
        owner.communicate("\n")
        assert owner.returncode == 0
    assert gone(int(pid))


def test_interrupted_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C during the start leaves no server behind."""
    server = LocalServer()
    pids: list[int | None] = []

    def interrupt(folder: Path) -> None:
        pids.append(server.pid)
        raise KeyboardInterrupt

    monkeypatch.setattr("objstore.local_server.server._listed_port", interrupt)
    with pytest.raises(KeyboardInterrupt):
        server.start()
    assert pids[0] is not None
    assert gone(pids[0])
    assert not server.running
    assert not server.data_dir.parent.exists()


def test_unterminated_block() -> None:
    """A block without an end has no keys after it, and no end of the search either."""
    text, has_token = config.render("a { b: [ }\nauthorization: x", Path("/"), "token")
    assert has_token
    assert text.endswith('authorization { token: "token" }\n')
