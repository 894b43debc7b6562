"""The pytest plugin: in projects of their own, each run by a pytest of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.newest_server

ROOT = Path(__file__).parent.parent


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run a project's tests: the status, and what was said."""
    # Other plugins that are installed here take a second of processor time in each process.
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": "",
                   "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # fmt: skip
    environment.pop("PYTEST_XDIST_WORKER", None)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "objstore.testing", "-p", "no:cacheprovider",
         "-o", "addopts=", *arguments],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty project."""
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    return tmp_path


def write_tests(project: Path, text: str) -> None:
    (project / "test_it.py").write_text(textwrap.dedent(text))


@pytest.mark.parametrize("processes", [0, 2])
def test_the_example_project(processes: int) -> None:
    """In one process, and in several at a time."""
    project = ROOT / "examples" / "tested_project"
    status, said = run(project, "-p", "xdist", "-n", str(processes))
    assert status == 0, said
    assert "3 passed" in said


def test_each_test_has_a_bucket_of_its_own_on_one_server(project: Path) -> None:
    write_tests(
        project,
        """
        import objstore, pytest

        seen = []

        @pytest.mark.parametrize("number", range(3))
        def test_it(number, objstore_bucket, objstore_client, objstore_server):
            assert list(objstore_bucket.list()) == []
            objstore_bucket.put("a", b"a")
            assert objstore_client.object_store(objstore_bucket.name).read_bytes("a") == b"a"
            assert isinstance(objstore_server, objstore.LocalServer)
            assert [status.bucket for status in objstore_client.list_stores()] == [
                objstore_bucket.name
            ]
            seen.append((objstore_server.url, objstore_bucket.name))
            assert len({url for url, _ in seen}) == 1
            assert len({name for _, name in seen}) == len(seen)

        def test_it_may_go_and_so_may_the_client(objstore_bucket, objstore_client):
            objstore_bucket.destroy()
            objstore_client.close()
        """,
    )
    status, said = run(project)
    assert status == 0, said
    assert "4 passed" in said


def test_chunks_without_an_owner_fail_the_test_that_left_them(project: Path) -> None:
    write_tests(
        project,
        """
        left = []

        def test_bad(objstore_bucket):
            writer = objstore_bucket.open("a", "wb", chunk_size=10)
            writer.write(bytes(100))
            left.append(writer)
            objstore_bucket.put("b", b"what was sent before is stored by now")

        def test_good(objstore_bucket):
            left.pop().discard()
            objstore_bucket.put("a", b"a")
        """,
    )
    status, said = run(project)
    assert status == 1
    assert "1 error" in said
    assert "2 passed" in said
    assert re.search(r"test_it.py::test_bad leaves \d+ chunks in its bucket", said)


def test_the_package_does_not_import_it() -> None:
    program = "import sys, objstore; assert not {'pytest', 'objstore.testing'} & set(sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)


def test_the_fixtures_can_be_named_instead(project: Path) -> None:
    """Where plugins of installed packages are switched off."""
    (project / "conftest.py").write_text('pytest_plugins = ["objstore.testing"]\n')
    write_tests(project, "def test_it(objstore_bucket):\n    objstore_bucket.put('a', b'a')\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": "",
                   "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # fmt: skip
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    subprocess.run(command, cwd=project, env=environment, check=True, timeout=PATIENCE)


def test_the_entry_point_is_the_plugin() -> None:
    import configparser

    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    entries = config["options.entry_points"]["pytest11"].split()
    assert entries == ["objstore.testing", "=", "objstore.testing"]
