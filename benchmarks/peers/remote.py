"""A client in a process of its own, told what to do by lines of JSON.

So none has the threads, the event loop or the garbage of another beside it, and JavaScript is
asked as Python is. A line and its answer take 0.1 ms, a thousandth of what is timed.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.base import address_of

__all__ = ["Remote", "install_node", "node_command", "python_command"]

SCRIPT = Path(__file__).with_name("node.mjs")
PACKAGES = ("@nats-io/obj", "@nats-io/transport-node")

#: Seconds for one answer: nats-py takes 3 for 16 MiB.
PATIENCE = 60.0


def python_command(who: str) -> list[str]:
    """What starts a Python client."""
    return [sys.executable, "-m", "benchmarks.peers.serve", who]


def node_command(folder: Path) -> list[str]:
    """What starts @nats-io/obj, where it is installed."""
    return ["node", str(folder / SCRIPT.name)]


def install_node(folder: Path) -> str:
    """Install @nats-io/obj into a folder.

    Returns:
        An empty text, or why that is not possible.
    """
    if not (shutil.which("node") and shutil.which("npm")):
        return "node and npm are not installed"
    folder.mkdir(exist_ok=True)
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder)]
    done = subprocess.run([*command, *PACKAGES], capture_output=True, timeout=120)
    if done.returncode:
        return f"npm install ended with status {done.returncode}"
    shutil.copy(SCRIPT, folder / SCRIPT.name)
    return ""


class Remote:
    """One client in its process.

    Arguments:
        name: of the client.
        command: what starts it.
        url, bucket: where.
        variables: of its environment, beside those of this process.

    Raises:
        RuntimeError: it says that it cannot start.
        ConnectionError: it ended.
        TimeoutError: it does not answer.
    """

    def __init__(
        self, name: str, command: list[str], url: str, bucket: str, variables: Mapping[str, str]
    ) -> None:
        self.name = name
        host, port, token = address_of(url)
        self._files: dict[int, tuple[bytes, str]] = {}  # by id, as long as the bytes are kept
        self._folder = tempfile.TemporaryDirectory(prefix="objstore-bench-")
        self._errors = Path(self._folder.name) / "stderr"
        paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, **variables, **paths},
            )
        try:
            self.ask("open", url=url, servers=f"{host}:{port}", token=token, bucket=bucket)
        except BaseException:
            self.close()
            raise

    def ask(self, command: str, **fields: Any) -> Any:
        """Have something done, and wait for the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": command, **fields}) + "\n")
        self._process.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(PATIENCE):
                self._process.kill()
                raise TimeoutError(f"no answer in {PATIENCE:g} s")
        line = self._process.stdout.readline()
        if not line:
            status, lines = (
                self._process.wait(),
                self._errors.read_text("utf-8", "replace").split("\n"),
            )
            last = next((line for line in reversed(lines) if line.strip()), "")
            raise ConnectionError(f"the process of {self.name} ended with status {status}: {last}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]

    def prepare(self, data: bytes) -> None:
        if id(data) not in self._files:
            path = Path(self._folder.name) / str(len(self._files))
            path.write_bytes(data)
            self.ask("load", file=str(path))
            self._files[id(data)] = data, str(path)

    def put(self, names: Sequence[str], data: bytes) -> None:
        self.ask("put", names=names, file=self._files[id(data)][1])

    def put_plain(self, names: Sequence[str], data: bytes) -> None:
        """Put without a media type; objstore alone can."""
        self.ask("put_plain", names=names, file=self._files[id(data)][1])

    def put_many(self, names: Sequence[str], data: bytes) -> None:
        """All at once; objstore alone can."""
        self.ask("put_many", names=names, file=self._files[id(data)][1])

    def get(self, names: Sequence[str]) -> int:
        return int(self.ask("get", names=names))

    def get_many(self, names: Sequence[str]) -> int:
        """All at once; objstore alone can."""
        return int(self.ask("get_many", names=names))

    def info(self, names: Sequence[str]) -> None:
        self.ask("info", names=names)

    def list(self) -> int:
        return int(self.ask("list"))

    def close(self) -> None:
        """End the process: it does so itself when nobody can tell it anything more."""
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            self._process.communicate(timeout=5)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()
