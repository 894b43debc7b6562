"""The examples of each command's --help, run as they stand.

A shell splits each into words. What is a command of ours alone runs in this process; a pipeline is
the shell's.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from objstore import BucketNotFoundError, Client, LocalServer
from objstore.cli import cli
from tests.cli.conftest import ROOT, Run, run_alone
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.newest_server

#: These run until they are ended, or start servers and large files of their own, and have tests.
LASTING = {"watch", "server", "demo", "bench"}

NAMES = (
    "cat.jpg",
    "pets/cat.jpg",
    "pets/dog.jpg",
    "2019/x.tmp",
    "2019/x.jpg",
    "2026/x.jpg",
    "2026/11/26.jpg",
    "-odd-name.jpg",
)

#: The objects of the buckets that the examples speak of; web has what FILES has, in site/.
STORED = {
    "photos": NAMES,
    "backups": ("shop.sql", "today.log"),
    "archive": ("2026/x.jpg", "2026/11/26.jpg"),
    "web": ("v2/index.html",),
    "docs": (),
    "logs": ("today.log", "2026-11.log", "2025/a.log"),
    "old-photos": (), "cache": (), "cache-1": (), "cache-2": (), "archive-2025": (), "site": (),
}  # fmt: skip

FILES = (
    "cat.jpg", "dog.jpg", "scan-1.pdf", "scan-2.pdf",
    "etc/hosts", "photos/cat.jpg", "site/index.html", "logs/today.log",
)  # fmt: skip

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


EXAMPLES = list(examples())


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the programs that the examples call."""
    programs = tmp_path_factory.mktemp("programs")
    (programs / "objstore").write_text(f'#!/bin/sh\nexec {sys.executable} -m objstore "$@"\n')
    for name, text in STAND_INS.items():
        (programs / name).write_text(text)
    for program in programs.iterdir():
        program.chmod(0o755)
    return programs


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with the files that the examples speak of."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"content")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def _buckets(line: str, shared_client: Client) -> Iterator[None]:
    """The buckets whose names stand in the example, but for one that it creates."""
    named = [bucket for bucket in STORED if bucket in line]
    for bucket in named if not line.startswith("objstore create") else ():
        store = shared_client.object_store(bucket)
        for name in STORED[bucket]:
            content = b"content" if bucket == "web" else b"an error\n" * 20
            store.put(name, content, mime="text/plain")
    yield
    for bucket in named:
        with contextlib.suppress(BucketNotFoundError):
            shared_client.delete_store(bucket)


def by_shell(line: str, **variables: str) -> str:
    """Run a line by a shell; nothing may go wrong in it. What it printed."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", line],
        env={**os.environ, **variables}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.usefixtures("folder", "_buckets")
@pytest.mark.parametrize("line", [line for _, line in EXAMPLES if "|" not in line])
def test_an_example(line: str, run: Run) -> None:
    words = by_shell("objstore() { printf '%s\\0' \"$@\"; }\n" + line).split("\0")[:-1]
    done = run(*words)
    assert (done.exit_code, done.stderr) == (0, "")


@pytest.mark.usefixtures("folder", "_buckets")
@pytest.mark.parametrize("line", [line for _, line in EXAMPLES if "|" in line])
def test_a_pipeline(line: str, programs: Path, server: LocalServer) -> None:
    path = f"{programs}:{os.environ['PATH']}"
    by_shell(line, PATH=path, NATS_URL=server.url, PYTHONPATH=str(ROOT))


def test_each_command_has_some() -> None:
    assert {command for command, _ in EXAMPLES} == set(cli.rooms) - LASTING
