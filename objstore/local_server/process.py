"""The processes of a local nats-server, and the lock on its data.

Two processes are started: nats-server itself, and a watchdog, a small shell that holds the reading
end of a pipe. The pipe's writing end is in this process alone, so the watchdog sees it close
whatever ends this process, ``kill -9`` included, and then stops the server. (``PR_SET_PDEATHSIG``
would be shorter, but it fires when the *thread* that started the server ends.)
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from objstore.errors import ServerStartError

if sys.platform != "win32":  # pragma: no branch - the tests need a POSIX system
    import fcntl

__all__ = ["POLL", "ServerProcess", "lock_data"]

POLL = 0.005  # seconds between two looks at something that is awaited
_LOCK_WAIT = 1.0  # seconds for the watchdog of a program killed just now to end its server

_SHELL = "/bin/sh"
# The server waits for a line until its watchdog is there; should this process die before, it
# reads the end of the pipe instead and never starts. `exec`: its pid is the one Popen knows.
_LAUNCH = 'read -r go && exec "$@" </dev/null'

# A line means that the server was stopped in order, the end of the pipe that its owner is dead.
# SIGCONT, because a stopped process would not hear SIGTERM.
_WATCH = """
read -r done && exit
kill -TERM "$1" && kill -CONT "$1"
tries=50
while [ $tries -gt 0 ] && kill -0 "$1"; do sleep 0.1 || sleep 1; tries=$((tries - 1)); done
kill -KILL "$1"
rm -rf "$2"
"""


class ServerProcess:
    """A nats-server and its watchdog.

    Arguments:
        command: the server's executable and arguments.
        folder: the private folder: it has the log, and the watchdog removes it when this process
            died without having stopped the server.
        lock: the lock file of the data; the server inherits it and so keeps it as long as it lives.

    Raises:
        OSError: a process could not be started; none is left.
    """

    def __init__(self, command: list[str], folder: Path, lock: IO[bytes]) -> None:
        self.folder = folder
        self.owned = True  # False in a forked child, which has but a copy
        self._watchdog: subprocess.Popen[bytes] | None = None
        with open(folder / "server.log", "ab") as log:
            if sys.platform == "win32":  # pragma: no cover - no shell, and locks are not inherited
                self.server = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    creationflags=subprocess.CREATE_NEW_PROCESS_GROUP,
                )
                return
            watched = os.path.exists(_SHELL)
            self.server = subprocess.Popen(
                [_SHELL, "-c", _LAUNCH, "sh", *command] if watched else command,
                stdin=subprocess.PIPE if watched else subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                bufsize=0,
                start_new_session=True,  # a Ctrl-C in the terminal is for this process alone
                pass_fds=[lock.fileno()],
            )
        if self.server.stdin is not None:
            self._watch(self.server.stdin)

    def _watch(self, go: IO[bytes]) -> None:
        """Start the watchdog, then let the server go by a line on its stdin."""
        try:
            self._watchdog = subprocess.Popen(
                [_SHELL, "-c", _WATCH, "sh", str(self.server.pid), str(self.folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                cwd="/",  # not to keep a file system busy
                env={"PATH": os.defpath},
                start_new_session=True,
            )
            go.write(b"go\n")
        except BaseException:
            self.end()
            raise
        finally:
            go.close()

    @property
    def running(self) -> bool:
        """Whether the server lives, as a process of this one's."""
        return self.owned and self.server.poll() is None

    def end(self, grace: float = 0.0) -> None:
        """End both processes and wait for them; harmless when they have ended.

        Arguments:
            grace: how long the server may take to shut down, in seconds; 0 kills it at once.
        """
        if not self.owned:
            return
        if grace:
            self.server.terminate()
            if sys.platform != "win32":  # pragma: no branch - a stopped process cannot hear it
                self.server.send_signal(signal.SIGCONT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.server.wait(grace)
        self.server.kill()
        self.server.wait()
        if self._watchdog is not None:
            self._watchdog.communicate(b"done\n")
            self._watchdog = None

    def disown(self) -> None:
        """Let go of the processes in a forked child, where they are a sibling's affair."""
        self.owned = False
        for process in filter(None, (self.server, self._watchdog)):
            process.returncode = 0  # it is no child of this process: Popen must not wait for it
            if process.stdin is not None:
                process.stdin.close()  # else the watchdog would wait for this process to die too


def lock_data(data_dir: Path) -> IO[bytes]:
    """Claim a data directory, for nats-server itself would share it with a second server.

    Arguments:
        data_dir: the directory; it is created if it is missing.

    Returns:
        The open lock file. The lock lasts until every process that has inherited it has closed it.

    Raises:
        ServerStartError: another server has it.
        OSError: the directory cannot be created or written to.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + _LOCK_WAIT
    lock = open(data_dir / "objstore.lock", "a+b", buffering=0)  # noqa: SIM115 - returned open
    try:
        while sys.platform != "win32":  # pragma: no branch
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise _in_use(data_dir, lock) from None
            time.sleep(POLL)
    except BaseException:
        lock.close()
        raise
    return lock


def _in_use(data_dir: Path, lock: IO[bytes]) -> ServerStartError:
    """Say which process has the data directory; its pid is in the lock file."""
    lock.seek(0)
    pid = lock.read(20).decode("ascii", "replace") or "unknown"
    return ServerStartError(f"another nats-server (pid {pid}) is using {os.fspath(data_dir)!r}")
