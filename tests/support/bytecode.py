"""The bytecode of the tests, in which pytest has rewritten each assertion."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

#: Files that are worth processes of their own, which take 2 s to begin.
WORTHWHILE = 20


def compile_tests(root: Path, arguments: Iterable[str]) -> None:
    """Compile the test files that the arguments name, where no bytecode of them is kept.

    One process for each processor collects a share of them, and no coverage is measured there: it
    doubles the time. What goes wrong is not looked at, since it does so again in the tests' own
    collection, which reports it.
    """
    missing = [path for path in _test_files(arguments) if not _bytecode(path).exists()]
    if len(missing) < WORTHWHILE:
        return
    collect = [sys.executable, "-m", "pytest", "-q", "-n", "0", "--collect-only"]
    collect += ["-p", "no:cacheprovider"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    shares = min(os.cpu_count() or 1, 4)
    processes = [
        subprocess.Popen(
            [*collect, *missing[share::shares]],
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for share in range(shares)
    ]
    for process in processes:
        process.wait()


def _test_files(arguments: Iterable[str]) -> list[Path]:
    """The files of tests in the folders that pytest was given; files that were named are few."""
    folders = [Path(argument.partition("::")[0]).absolute() for argument in arguments]
    files = {path for folder in folders for path in folder.rglob("test_*.py")}
    return sorted(path for path in files if "ecosystem" not in path.parts)


def _bytecode(path: Path) -> Path:
    """Where pytest keeps the bytecode of a test file."""
    beside = Path(importlib.util.cache_from_source(str(path)))
    tag = f"{sys.implementation.cache_tag}-pytest-{pytest.__version__}"
    return beside.with_name(f"{path.stem}.{tag}.pyc")
