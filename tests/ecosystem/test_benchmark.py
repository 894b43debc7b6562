"""The benchmark by fsspec measures what it says; how fast anything is, no test asserts."""

from __future__ import annotations

import pytest

pytest.importorskip("benchmarks", reason="the benchmarks are no part of the wheel")

from benchmarks.by_fsspec import main


def test_a_run_without_s3(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--megabytes", "1", "--objects", "300", "--rounds", "1", "--no-s3"])
    printed = capsys.readouterr().out
    for who in ("local file", "natsobj"):
        for what in ("all columns", "one column"):
            assert f"{who}, {what}" in printed
    for act in ("first ls", "ls of a folder", "exists", "isdir", "glob", "walk", "find"):
        assert act in printed
