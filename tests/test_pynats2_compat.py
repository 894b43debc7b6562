"""pynats2 is imported where pkg_resources does not exist, and no trace is left."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path

import pytest

from objstore import pynats2_compat
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.newest_server

#: Makes ``import pkg_resources`` fail, as in a fresh environment of Python 3.12.
WITHOUT = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "pkg_resources":
            raise ModuleNotFoundError("No module named 'pkg_resources'", name=name)

sys.meta_path.insert(0, Refuse())
"""

ROOT = Path(pynats2_compat.__file__).parents[1]


def run(code: str) -> str:
    """Run code in an interpreter of its own; gives what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_pynats2_alone_fails_there() -> None:
    """The reason for all this; when it no longer fails, objstore.pynats2_compat can go."""
    code = "try: import pynats2\nexcept ModuleNotFoundError as e: print('refused', e.name)"
    assert run(WITHOUT + code) == "refused pkg_resources\n"


def test_without_pkg_resources() -> None:
    code = """
import objstore.pynats2_compat, pynats2, importlib.metadata
assert "pkg_resources" not in sys.modules
assert objstore.pynats2_compat.NATSClient is pynats2.NATSClient
told = pynats2.client.pkg_resources.get_distribution("pynats2").version  # what CONNECT says
assert told == importlib.metadata.version("pynats2")
try: import pkg_resources
except ModuleNotFoundError: print("still refused")
"""
    assert run(WITHOUT + code) == "still refused\n"


def test_with_pkg_resources_forbidden() -> None:
    """None in sys.modules forbids an import, and does so afterwards."""
    code = """
import sys
sys.modules["pkg_resources"] = None
import objstore.pynats2_compat, pynats2
assert sys.modules["pkg_resources"] is None
print(objstore.pynats2_compat.NATSClient is pynats2.NATSClient)
"""
    assert run(code) == "True\n"


def test_with_pkg_resources_imported() -> None:
    """It is used, and left alone."""
    code = """
import sys, types
sys.modules["pkg_resources"] = real = types.ModuleType("pkg_resources")
import objstore.pynats2_compat, pynats2
assert sys.modules["pkg_resources"] is real
print(pynats2.client.pkg_resources is real)
"""
    assert run(code) == "True\n"


def test_with_pynats2_imported() -> None:
    """It stays the module that it was."""
    code = """
import sys, types
sys.modules["pkg_resources"] = types.ModuleType("pkg_resources")
import pynats2
del sys.modules["pkg_resources"]
import objstore.pynats2_compat
assert sys.modules["pynats2"] is pynats2
assert objstore.pynats2_compat.NATSClient is pynats2.NATSClient
print("pkg_resources" in sys.modules)
"""
    assert run(code) == "False\n"


def test_a_failing_import_leaves_nothing() -> None:
    code = """
import sys
class Fail:
    def find_spec(self, name, path=None, target=None):
        if name == "pynats2.client":
            raise RuntimeError("mine")
sys.meta_path.insert(0, Fail())
try: import objstore.pynats2_compat
except RuntimeError as error: print(error, "pkg_resources" in sys.modules)
"""
    assert run(code) == "mine False\n"


def forget_pynats2(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """Let the next import of pynats2 find no module; the test's end brings all back."""
    before = sys.modules["pynats2"]
    for name in [name for name in sys.modules if name.partition(".")[0] == "pynats2"]:
        monkeypatch.delitem(sys.modules, name)
    return before


def test_a_second_import_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The three cases again, where coverage can see them."""
    pynats2_compat._import_with_stand_in()  # pynats2 is there already
    before = forget_pynats2(monkeypatch)
    monkeypatch.delitem(sys.modules, "pkg_resources", raising=False)
    pynats2_compat._import_with_stand_in()
    assert sys.modules["pynats2"] is not before
    assert "pkg_resources" not in sys.modules
    forget_pynats2(monkeypatch)
    monkeypatch.setitem(sys.modules, "pkg_resources", None)
    pynats2_compat._import_with_stand_in()
    assert sys.modules["pkg_resources"] is None


def test_a_package_without_metadata() -> None:
    """Vendored or frozen: its version is unknown, which is no reason to fail."""
    assert pynats2_compat._Distribution("no-such-package-anywhere").version == "unknown"
    version = pynats2_compat._Distribution("pynats2").version
    assert version[0].isdigit()
    assert version == pynats2_compat._version_anywhere("pynats2")


def test_all_names_exist() -> None:
    for name in pynats2_compat.__all__:
        assert isinstance(getattr(pynats2_compat, name), type), name
