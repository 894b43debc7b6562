"""What Tab gives, asked as the shells' scripts ask, and by the shells themselves."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import objstore
from objstore import Client, LocalServer
from objstore.cli import cli
from objstore.cli.completion import words
from objstore.cli.completion.shells import SHELLS
from objstore.cli.options import Settings
from tests.cli.conftest import Process, run_alone
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.newest_server

#: What stands in the bucket.
NAMES = ("a b&c.txt", "docs/new\nline", "docs/x", "docs/y/z", "dot.txt")


@pytest.fixture(scope="module")
def bucket(shared_client: Client) -> Iterator[str]:
    """A bucket's name."""
    name = "complete-me"
    store = shared_client.object_store(name)
    for each in NAMES:
        store.put(each, b"")
    yield name
    store.destroy()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with files."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "local").write_bytes(b"")
    (tmp_path / "dog").write_bytes(b"")
    (tmp_path / ".hidden").write_bytes(b"")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Nobody waits here for an answer while typing."""
    monkeypatch.setattr(words, "_PATIENCE", PATIENCE)
    return monkeypatch


def offered(line: str, monkeypatch: pytest.MonkeyPatch, shell: str = "bash") -> list[str]:
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.setenv("COMP_BREAKS", " \t\n\"'><=;|&(:")
    asked = SHELLS[shell](cli, {"obj": Settings()}, "objstore", "_OBJSTORE_COMPLETE")
    return [each for each in asked.complete().split("\n") if each]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("objstore tr", ["tree"]),
        ("objstore ls --rec", ["--recursive"]),
        ("objstore create --storage ", ["file", "memory"]),
        ("objstore ls complete-", ["complete-me:"]),
        ("objstore seal complete-", ["complete-me"]),
        ("objstore ls complete-me:d", ["docs/", "dot.txt"]),
        ("objstore ls complete-me:docs/", ["docs/x", "docs/y/"]),
        ("objstore cat complete-me:a", [r"a\ b\&c.txt"]),
        ("objstore cat 'complete-me:a", ["complete-me:a b&c.txt"]),
        ("objstore cat complete-me do", ["docs/", "dot.txt"]),
        ("objstore cat complete-me dot.txt a", [r"a\ b\&c.txt"]),
        ("objstore get complete-me:dot.txt do", ["docs/", "dog"]),
        ("objstore get complete-me dot.txt do", ["docs/", "dog"]),
        ("objstore cp do", ["docs/", "dog"]),
        ("objstore cp dog complete-", ["complete-me:"]),
        ("objstore cp docs/", ["docs/local"]),
        ("objstore cp ./d", ["./docs/", "./dog"]),
        ("objstore cp .", [".hidden"]),
        ("objstore put complete-me:x do", ["docs/", "dog"]),
        ("objstore sync --creds do", ["docs/", "dog"]),
        ("objstore ls no-such-bucket:", []),
        ("objstore cp no-such-folder/", []),
        ("objstore no-such-command ", []),
        ("objstore --server nats://127.0.0.1:1 ls ", []),
        ("objstore ls --server nats://127.0.0.1:1 ", []),
    ],
)
@pytest.mark.usefixtures("here", "bucket")
def test_words(
    line: str, expected: list[str], server: LocalServer, patient: pytest.MonkeyPatch
) -> None:
    patient.setenv("NATS_URL", server.url)
    assert offered(line, patient) == expected


def test_other_shells(bucket: str, server: LocalServer, patient: pytest.MonkeyPatch) -> None:
    """They take whole words, and what these are."""
    patient.setenv("NATS_URL", server.url)
    assert offered("objstore cat complete-me:a", patient, "zsh") == ["complete-me:a b&c.txt"]
    (ls,) = offered("objstore ls --lo", patient, "fish")
    assert ls.split("\t") == ["--long", "Size, time and media type too."]


def test_what_takes_too_long(bucket: str, server: LocalServer, patient: pytest.MonkeyPatch) -> None:
    """A part would look like all there is."""
    patient.setenv("NATS_URL", server.url)
    with objstore.connect(server.url) as client:
        store = client.object_store(bucket)
        assert words._level(store, "do") == ["docs/", "dot.txt"]
        patient.setattr(words, "_PATIENCE", -1.0)
        assert words._level(store, "do") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script(shell: str) -> None:
    """It is printed, and the shell, where it is there, can read it."""
    result = run_alone("completion", shell)
    assert result.exit_code == 0
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=result.stdout, text=True, check=True)


#: In place of readline: the line as it hands it over, and what became of it.
_PRESS_TAB = """
objstore() { "$PYTHON" -m objstore "$@"; }
eval "$(objstore completion bash)"
compopt() { echo "$@"; }
COMP_LINE="$1 and more" COMP_POINT=${#1}
_objstore_completion objstore
printf '%s\\n' "${COMPREPLY[@]}"
"""


def shell_says(process: Process, folder: Path, *command: str) -> str:
    """Run a shell in a folder with another one in it."""
    (folder / "docs").mkdir()
    done = subprocess.run(
        command, cwd=folder, env={**process.env, "PYTHON": sys.executable, "HOME": str(folder)},
        capture_output=True, text=True, timeout=PATIENCE, check=True,
    )  # fmt: skip
    return done.stdout


@pytest.mark.parametrize(
    ("line", "expected"),
    [("objstore cp do", "-o nospace\ndocs/\n"), ("objstore no-such-command ", "\n")],
)
def test_in_bash(line: str, expected: str, process: Process, tmp_path: Path) -> None:
    """Up to the cursor; no space comes behind a folder."""
    assert shell_says(process, tmp_path, "bash", "-c", _PRESS_TAB, "bash", line) == expected


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish here")
def test_in_fish(process: Process, tmp_path: Path) -> None:
    line = """
        function objstore; $PYTHON -m objstore $argv; end
        objstore completion fish | source; complete -C 'objstore cp do'
    """
    assert shell_says(process, tmp_path, "fish", "-c", line) == "docs/\n"
