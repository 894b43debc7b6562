"""@nats-io/obj: JavaScript, in a process of its own, told what to do line by line."""

from __future__ import annotations

import json
import selectors
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.base import address_of

__all__ = ["Node", "install"]

SCRIPT = Path(__file__).with_name("node.mjs")
PACKAGES = ("@nats-io/obj", "@nats-io/transport-node")


def install(folder: Path) -> str:
    """Install the packages into a folder.

    Returns:
        An empty text, or why that is not possible.
    """
    if not (shutil.which("node") and shutil.which("npm")):
        return "node and npm are not installed"
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder)]
    done = subprocess.run([*command, *PACKAGES], capture_output=True, timeout=120)
    if done.returncode:
        return f"npm install failed with status {done.returncode}"
    shutil.copy(SCRIPT, folder / SCRIPT.name)
    return ""


class Node:
    """@nats-io/obj with its defaults; the packages are in ``folder``."""

    name = "@nats-io/obj"

    def __init__(self, url: str, bucket: str, folder: Path) -> None:
        host, port, token = address_of(url)
        self._files: dict[int, tuple[bytes, str]] = {}  # by id, as long as the bytes are kept
        self._folder = tempfile.TemporaryDirectory(dir=folder)
        self._process = subprocess.Popen(
            ["node", str(folder / SCRIPT.name)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
        )
        self._ask("open", servers=f"{host}:{port}", token=token, bucket=bucket)

    def _ask(self, command: str, **fields: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": command, **fields}) + "\n")
        self._process.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(60):
                self._process.kill()
                raise TimeoutError("no answer in 60 s")
        line = self._process.stdout.readline()
        if not line:
            raise ConnectionError("node ended")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]

    def prepare(self, data: bytes) -> None:
        if id(data) not in self._files:
            path = Path(self._folder.name) / str(len(self._files))
            path.write_bytes(data)
            self._ask("load", file=str(path))
            self._files[id(data)] = data, str(path)

    def put(self, names: Sequence[str], data: bytes) -> None:
        self._ask("put", names=names, file=self._files[id(data)][1])

    def get(self, names: Sequence[str]) -> int:
        return int(self._ask("get", names=names))

    def info(self, names: Sequence[str]) -> None:
        self._ask("info", names=names)

    def list(self) -> int:
        return int(self._ask("list"))

    def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._folder.cleanup()
