"""watch, server and bench, as processes."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

import objstore
from objstore import ObjectStore
from tests.cli.conftest import Process, Run, run_alone
from tests.support.waiting import PATIENCE, eventually

pytestmark = pytest.mark.newest_server


def test_watch_prints_changes_and_runs_a_line(
    process: Process, store: ObjectStore, tmp_path: Path
) -> None:
    store.put("in/old", b"")
    line = 'echo "$OBJSTORE_EVENT $OBJSTORE_NAME" >> log; test "$OBJSTORE_NAME" != in/bad'
    words = ("watch", f"{store.name}:in/", "--all", "--json", "--exec", line)
    with process.start(*words, cwd=tmp_path) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert json.loads(child.stdout.readline())["name"] == "in/old"
        store.put("out/a", b"")
        store.put("in/$(touch evil); b", b"123", mime="text/plain")
        store.put("in/bad", b"")
        store.delete("in/old")
        events = [json.loads(child.stdout.readline()) for _ in range(3)]
        assert child.stderr.readline() == b"objstore: 'in/bad': the command ended with 1\n"
        eventually(lambda: (tmp_path / "log").read_text().endswith("delete in/old\n"))
        child.send_signal(signal.SIGINT)
        assert child.wait(PATIENCE) == 130
    assert [(event["event"], event["name"]) for event in events] == [
        ("put", "in/$(touch evil); b"),
        ("put", "in/bad"),
        ("delete", "in/old"),
    ]
    assert (tmp_path / "log").read_text().splitlines() == [
        "put in/old",
        "put in/$(touch evil); b",
        "put in/bad",
        "delete in/old",
    ]
    assert os.listdir(tmp_path) == ["log"]


def test_watch_for_people(process: Process, store: ObjectStore) -> None:
    store.put("a", b"x" * 2048)
    with process.start("watch", store.name, "--all") as child:
        assert child.stdout is not None
        assert child.stdout.readline().split()[2:] == [b"put", b"2.0", b"KiB", b"a"]
        child.send_signal(signal.SIGINT)
        assert child.wait(PATIENCE) == 130


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_server_runs_until_it_is_ended(process: Process, tmp_path: Path, end: int) -> None:
    del process.env["NATS_URL"]
    with process.start("server", str(tmp_path / "data")) as child:
        assert child.stdout is not None
        url = child.stdout.readline().decode().strip()
        port = url.rpartition(":")[2]
        with pytest.raises(objstore.AuthorizationError):
            objstore.connect(f"nats://127.0.0.1:{port}")
        with objstore.connect(url) as client:
            client.object_store("b").put("x", b"stays")
        child.send_signal(end)
        assert child.wait(PATIENCE) == (130 if end == signal.SIGINT else 0)
    with objstore.local(tmp_path / "data") as client:
        assert client.object_store("b", create=False).read_bytes("x") == b"stays"
    with process.start("server", str(tmp_path / "data"), "--port", port) as child:
        assert child.stdout is not None
        assert child.stdout.readline().decode().strip() == url
        child.send_signal(end)
        child.wait(PATIENCE)
    token = tmp_path / "data" / "token"
    assert token.stat().st_mode & 0o777 == 0o600
    token.write_text("x" * 10)
    assert process.run("server", str(tmp_path / "data")).returncode == 3
    assert run_alone("--server", "x", "server", str(tmp_path)).exit_code == 2


def test_bench_leaves_nothing(run: Run, client: objstore.Client) -> None:
    before = {status.bucket for status in client.list_stores()}
    result = run("bench", "--size", "3M", "--count", "5", "--json")
    assert result.exit_code == 0
    figures = [json.loads(line) for line in result.stdout.splitlines()]
    assert [figure["what"] for figure in figures][:3] == [
        "put, 3.0 MiB",
        "get, 3.0 MiB",
        "put, 1.0 KiB",
    ]
    assert {figure["bytes"] for figure in figures} == {3 << 20, 5 << 10, 0}
    text = run("bench", "--size", "100", "--count", "2").stdout
    assert len(text.splitlines()) == 7
    assert "MB/s" in text
    assert {status.bucket for status in client.list_stores()} == before
