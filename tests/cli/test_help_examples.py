"""The examples of each command's --help, run by a shell as they stand."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import objstore
from objstore import LocalServer
from objstore.cli import cli
from tests.cli.conftest import ROOT, run_alone
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.newest_server

#: These run until they are ended, or start servers and large files of their own, and have tests.
LASTING = {"watch", "server", "demo", "bench"}

#: Programs of others that stand in the examples, as far as it matters here.
STAND_INS = {
    "jq": "#!/bin/sh\ncat > /dev/null\n",
    "display": "#!/bin/sh\ncat > /dev/null\n",
    "psql": "#!/bin/sh\ncat > /dev/null\n",
    "pg_dump": "#!/bin/sh\necho a dump\n",
}


def examples() -> Iterator[tuple[str, str]]:
    """Each command with each of its examples; what is explained behind them is left away."""
    for command in sorted(set(cli.rooms) - LASTING):
        text = run_alone(command, "--help").stdout
        _, _, after = text.partition("Examples:\n")
        for line in after.partition("\n\n")[0].splitlines():
            example = line.strip().partition("   ")[0]
            if "--watch" not in example:  # it goes on
                yield command, example


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a shell: a server, and the programs that the examples call."""
    programs = tmp_path_factory.mktemp("programs")
    (programs / "objstore").write_text(f'#!/bin/sh\nexec {sys.executable} -m objstore "$@"\n')
    for name, text in STAND_INS.items():
        (programs / name).write_text(text)
    for program in programs.iterdir():
        program.chmod(0o755)
    with LocalServer() as server:
        path = f"{programs}:{os.environ['PATH']}"
        yield {**os.environ, "PATH": path, "NATS_URL": server.url, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def folder(tmp_path: Path, world: dict[str, str]) -> Path:
    """A working directory, and buckets, with what the examples speak of."""
    for name in (
        "cat.jpg", "dog.jpg", "scan-1.pdf", "scan-2.pdf",
        "etc/hosts", "photos/cat.jpg", "site/index.html", "logs/today.log",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"content")
    (tmp_path / "albums").mkdir()
    names = (
        "cat.jpg",
        "pets/cat.jpg",
        "pets/dog.jpg",
        "2019/x.tmp",
        "2019/x.jpg",
        "2026/x.jpg",
        "2026/11/26.jpg",
        "-odd-name.jpg",
    )
    stored = {
        "photos": names,
        "backups": ("shop.sql", "today.log"),
        "archive": ("2026/x.jpg", "2026/11/26.jpg"),
        "web": (),
        "docs": (),
        "logs": ("today.log", "2026-11.log", "2025/a.log"),
        "old-photos": (), "cache": (), "cache-1": (), "cache-2": (), "archive-2025": (), "site": (),
    }  # fmt: skip
    with objstore.connect(world["NATS_URL"]) as client:
        for status in list(client.list_stores()):
            client.delete_store(status.bucket)
        for bucket, objects in stored.items():
            store = client.object_store(bucket)
            for name in objects:
                store.put(name, b"an error\n" * 20, mime="text/plain")
        client.object_store("web").put("v2/index.html", b"content")
    return tmp_path


@pytest.mark.parametrize(("command", "line"), list(examples()))
def test_an_example(command: str, line: str, folder: Path, world: dict[str, str]) -> None:
    if line.startswith("objstore create"):
        with objstore.connect(world["NATS_URL"]) as client:
            client.delete_store(shlex.split(line)[2])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", line],
        cwd=folder, env=world, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_each_command_has_some() -> None:
    assert {command for command, _ in examples()} == set(cli.rooms) - LASTING
