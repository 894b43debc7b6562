"""The global options, and what becomes of errors."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

import objstore
from objstore import LocalServer, ObjectStore
from objstore.cli import cli, objects
from objstore.cli.options import Settings, _exit_code
from objstore.cli.screen import show
from tests.cli.conftest import Run, run_alone

pytestmark = pytest.mark.newest_server

CONTEXT = click.Context(cli)
COMMANDS = cli.list_commands(CONTEXT)
NOWHERE = "nats://127.0.0.1:1"


def one_line(text: str) -> str:
    """The error's line, without ``objstore:``."""
    assert text.startswith("objstore: ")
    assert text.count("\n") == 1
    return text.removeprefix("objstore: ")[:-1]


# --- help


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_with_examples(command: str) -> None:
    result = run_alone(command, "--help")
    assert result.exit_code == 0
    assert f"Usage: objstore {command}" in result.stdout
    assert "Examples:" in result.stdout
    assert f"\n    objstore {command}" in result.stdout or command == "put"
    has_server = command not in {"demo", "server"}  # of their own, and refuse these
    assert ("--server URL" in result.stdout) == ("--embedded DIR" in result.stdout) == has_server
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert result.stdout.isascii()


def test_help_of_all() -> None:
    result = run_alone("--help")
    assert result.exit_code == 0
    assert all(re.search(rf"^  {command} ", result.stdout, re.M) for command in COMMANDS)
    assert "Exit codes: 0 ok, 1 not found" in result.stdout
    assert run_alone("--version").stdout == f"objstore, version {objstore.__version__}\n"
    alone = run_alone()
    assert (alone.exit_code, alone.stdout, alone.stderr) == (2, "", result.stdout)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_line_of_the_list_is_what_the_command_says(name: str) -> None:
    """The list is written apart from the commands, which it does not import."""
    command = cli.get_command(CONTEXT, name)
    assert command is not None
    assert command.name == name
    assert cli.summaries[name] == command.get_short_help_str(1000)


# --- the global options


def test_they_stand_before_and_after(server: LocalServer, store: ObjectStore) -> None:
    store.put("a", b"")
    for words in [
        ["--server", server.url, "--json", "ls", store.name],
        ["ls", "--server", server.url, store.name, "--json"],
        ["--server", server.url, "--json", "ls", store.name, "--server", server.url, "--json"],
    ]:
        result = run_alone(*words)
        assert result.exit_code == 0
        assert '"name": "a"' in result.stdout


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["--server", "nats://a"], ["--server", "nats://b"]),
        (["--server", "nats://a"], ["--embedded", "d"]),
        (["--embedded", "d"], ["--context", "c"]),
        (["--embedded", "d"], ["--creds", __file__]),
        (["--context", "c"], ["--server", "nats://a"]),
        (["--context", "c"], ["--creds", __file__]),
        (["--creds", "missing"], []),
        (["--embedded", __file__], []),
    ],
)
def test_contradictions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: list[str], after: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in ([*before, "ls", *after], [*after, "ls", *before]):
        result = run_alone(*words)
        assert result.exit_code == 2, words
        assert "(`objstore" in one_line(result.stderr)
    assert list(tmp_path.iterdir()) == []


def test_server_and_creds_go_together(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    creds = tmp_path / "user.creds"
    creds.write_text("")
    given: dict[str, Any] = {}

    def connect(server: str | None, **options: Any) -> objstore.Client:
        given.update(options, server=server)
        raise objstore.AuthorizationError("no")

    monkeypatch.setattr(objstore, "connect", connect)
    assert run_alone("ls", "--server", "nats://a", "--creds", str(creds)).exit_code == 3
    assert given == {"server": "nats://a", "credentials": str(creds), "context": None}
    assert run_alone("ls", "--context", "c").exit_code == 3
    assert given == {"server": None, "credentials": None, "context": "c"}


def test_the_default_server(
    monkeypatch: pytest.MonkeyPatch, server: LocalServer, store: ObjectStore
) -> None:
    monkeypatch.setenv("NATS_URL", server.url)
    assert store.name in run_alone("ls").stdout.splitlines()


def test_an_unknown_context(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    result = run_alone("--context", "nope", "ls")
    assert result.exit_code == 2
    assert "no context 'nope'" in one_line(result.stderr)


# --- a missing bucket


def test_the_line_that_creates_it(server: LocalServer, run: Run, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    for words in [
        ["put", "nope", str(tmp_path / "a")],
        ["get", "nope", "a", "-o", str(tmp_path / "x")],
        ["cat", "nope", "a"],
        ["ls", "nope"],
        ["rm", "nope", "a"],
        ["info", "nope"],
    ]:
        result = run(*words)
        assert result.exit_code == 1
        address = server.url.rpartition("@")[2]
        assert one_line(result.stderr) == (
            "there is no bucket nope; create it with: "
            f"objstore --server 'nats://***@{address}' create nope"
        )
    assert not (tmp_path / "x").exists()


def test_a_misspelt_bucket(server: LocalServer, run: Run, store: ObjectStore) -> None:
    """The one that is there comes first; creating another one is seldom what is wanted."""
    misspelt = store.name.replace("test", "tset")
    result = run("ls", misspelt)
    assert result.exit_code == 1
    said = one_line(result.stderr)
    assert said.startswith(f"there is no bucket {misspelt}; there is test-")
    assert "; else create it with: objstore --server" in said


def test_the_line_for_an_embedded_server(tmp_path: Path) -> None:
    folder = str(tmp_path / "my data")
    result = run_alone("ls", "nope", "--embedded", folder)
    assert result.exit_code == 1
    line = f"objstore --embedded '{folder}' create nope"
    assert one_line(result.stderr).endswith(f"create it with: {line}")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("nats://joe:se@cret@h:1", "nats://***@h:1"),
        ("token@h", "***@h"),
        ("nats://t@a,tls://u:p@b", "nats://***@a,tls://***@b"),
        ("t@a,u:p@b", "***@a,***@b"),
        ("nats://h:1", "nats://h:1"),
    ],
)
def test_secrets_are_not_repeated(given: str, shown: str) -> None:
    settings = Settings(server=given, creds="my.creds")
    line = settings.line_to_create("b").replace("'", "")
    assert line == f"objstore --server {shown} --creds my.creds create b"
    assert Settings(context="c").line_to_create("b") == "objstore --context c create b"


# --- exit codes


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (objstore.ObjectNotFoundError("x"), 1),
        (objstore.BucketNotFoundError("x"), 1),
        (objstore.InvalidNameError("x"), 2),
        (objstore.InvalidOptionError("x"), 2),
        (objstore.InvalidServerURLError("x"), 2),
        (objstore.InvalidPayloadError("x"), 2),
        (objstore.PayloadFileNotFoundError("x"), 2),
        (click.UsageError("x"), 2),
        (click.ClickException("x"), 2),
        (objstore.ConnectionLostError("x"), 3),
        (objstore.TLSError("x"), 3),
        (objstore.AuthorizationError("x"), 3),
        (objstore.ServerStartError("x"), 3),
        (objstore.RequestTimeoutError("x"), 3),
        (objstore.NoRespondersError("x"), 3),
        (objstore.APIError("x"), 4),
        (objstore.DigestMismatchError("x"), 4),
        (objstore.PermissionDeniedError("x"), 4),
        (objstore.StorageFullError("x"), 4),
        (OSError("x"), 4),
    ],
    ids=lambda value: type(value).__name__,
)
def test_exit_codes(
    monkeypatch: pytest.MonkeyPatch, run: Run, store: ObjectStore, error: Exception, code: int
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(ObjectStore, "delete", fail)
    result = run("rm", store.name, "a")
    assert result.exit_code == code
    assert one_line(result.stderr).partition(" (`")[0] == "x"
    debugged = run("rm", store.name, "a", "--debug")
    assert debugged.exit_code == code
    assert debugged.stderr.startswith("Traceback")
    assert debugged.stderr.endswith(result.stderr)


def test_a_permission_that_is_missing() -> None:
    user = '{user: u, password: p, permissions: {publish: {deny: "$JS.API.STREAM.LIST"}}}'
    with LocalServer(config=f"authorization {{users: [{user}]}}") as server:
        result = run_alone("--server", f"nats://u:p@127.0.0.1:{server.port}", "ls")
    assert (result.exit_code, one_line(result.stderr)) == (
        4,
        "not allowed: publish to $JS.API.STREAM.LIST; the server's configuration has to permit "
        "that to this user",
    )


def test_real_errors(server: LocalServer, run: Run, store: ObjectStore, tmp_path: Path) -> None:
    store.put("a", b"x")
    address = server.url.rpartition("@")[2]
    for words, code in [
        (["--server", NOWHERE, "ls"], 3),
        (["--server", f"nats://wrong@{address}", "ls"], 3),
        (["--server", f"nats://{address}", "ls"], 3),
        (["--server", "http://x", "ls"], 2),
        (["--server", server.url, "ls", "no.bucket"], 2),
        (["--server", server.url, "cat", store.name, ""], 2),
        (["--server", server.url, "get", store.name, "a", "-o", str(tmp_path / ("x" * 300))], 4),
        (["lst"], 2),
        (["ls", "--nonsense"], 2),
        (["ls", "a", "b"], 2),
        (["--embedded", "/proc/nope", "ls"], 3),
    ]:
        result = run_alone(*words)
        assert result.exit_code == code, words
        assert one_line(result.stderr)
        assert "wrong" not in result.stderr


def test_an_os_error_says_the_file(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "/x\n\x1b[2J")

    monkeypatch.setattr(objects, "_plan", fail)
    result = run("put", "b", __file__)
    assert (result.exit_code, result.stderr) == (4, "objstore: /x \\x1b[2J: Permission denied\n")


def test_an_error_of_many_lines(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    def fail(*_: object) -> None:
        raise objstore.ServerStartError("first\n  second\n\nthird\x1b[31m")

    monkeypatch.setattr(objects, "_plan", fail)
    assert run("put", "b", __file__).stderr == "objstore: first second third\\x1b[31m\n"


def test_a_bug_shows_its_traceback(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(objects, "_plan", fail)
    result = run("put", "b", __file__)
    assert result.exit_code == 4
    assert result.stderr.startswith("Traceback")
    assert result.stderr.endswith("objstore: ZeroDivisionError: oh\n")


def test_ctrl_c(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(objects, "_plan", interrupt)
    result = run("put", "b", __file__, "--debug")
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "\n")


def test_what_a_command_returns_is_no_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    command = click.Command("ls", callback=lambda: "text")
    monkeypatch.setattr(cli, "get_command", lambda ctx, name: command)
    assert run_alone("ls").exit_code == 0


# --- stdout that is not there


def test_a_reader_that_has_gone(
    monkeypatch: pytest.MonkeyPatch, run: Run, store: ObjectStore, tmp_path: Path
) -> None:
    silenced: list[int] = []

    def echo(message: object = None, **options: Any) -> None:
        if not options.get("err"):
            raise BrokenPipeError
        errors.append(message)

    errors: list[object] = []
    monkeypatch.setattr(click, "echo", echo)
    monkeypatch.setattr(show, "silence_stdout", lambda: silenced.append(1))
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b")
    assert run("put", store.name, str(tmp_path / "a"), str(tmp_path / "b")).exit_code == 0
    assert sorted(info.name for info in store.list()) == ["a", "b"]
    assert run("ls", store.name).exit_code == 0
    assert errors == []
    assert len(silenced) == 3


def test_a_closed_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="stdin or stdout"):
        show.binary(None)
    monkeypatch.setattr(sys, "stdout", None)
    show.silence_unless_writable()
    show.silence_stdout()
    assert _exit_code(lambda: None, Settings()) == 0


def test_settings_without_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert not Settings().bars


def test_the_runner_is_the_command_line() -> None:
    assert CliRunner().invoke(cli, ["ls", "--server", NOWHERE]).exit_code == 3
