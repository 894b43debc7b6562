"""pynats2, imported where ``pkg_resources`` does not exist.

pynats2 0.9.0 runs ``import pkg_resources`` for one value, its own version, and a fresh
environment of Python 3.12 or later has no such module. For the time of that one import a
minimal stand-in takes its place; afterwards ``sys.modules`` is as it was.

Rejected: depending on setuptools < 81 (the last with ``pkg_resources``). It would force an
old build tool on every user, and importing the real module costs 200 ms.
"""

from __future__ import annotations

import os
import sys
import threading
import types

_lock = threading.Lock()


class _Distribution:
    """What pynats2 reads from ``pkg_resources.get_distribution(name)``."""

    def __init__(self, name: str) -> None:
        self.version = _version_beside(name) or _version_anywhere(name)


def _version_beside(name: str) -> str | None:
    """Return the version that the folder of a package's metadata, beside it, has in its name.

    In 0.2 ms, where ``importlib.metadata`` takes 25 at its first use: as long as all the rest of a
    first connection and put.
    """
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is None:
        return None
    start, end = f"{name}-", ".dist-info"
    # Not pathlib's glob: nothing else needs pathlib before a first put, and its import takes 2 ms.
    beside = os.listdir(os.path.dirname(os.path.dirname(file)))
    found = [each for each in beside if each.startswith(start) and each.endswith(end)]
    return found[0][len(start) : -len(end)] if len(found) == 1 else None


def _version_anywhere(name: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:  # vendored or frozen without its metadata
        return "unknown"


def _import_with_stand_in() -> None:
    with _lock:
        if "pynats2" in sys.modules or sys.modules.get("pkg_resources") is not None:
            import pynats2
        else:
            blocked = "pkg_resources" in sys.modules  # as None, which forbids its import
            stand_in = types.ModuleType("pkg_resources")
            stand_in.get_distribution = _Distribution  # type: ignore[attr-defined]
            sys.modules["pkg_resources"] = stand_in
            try:
                import pynats2  # noqa: F401
            finally:
                sys.modules.pop("pkg_resources", None)
                if blocked:
                    sys.modules["pkg_resources"] = None  # type: ignore[assignment]


_import_with_stand_in()

from pynats2 import NATSClient, NATSMessage, NATSSubscription  # noqa: E402
from pynats2.exceptions import (  # noqa: E402
    NATSConnectionError,
    NATSError,
    NATSInvalidSchemeError,
    NATSInvalidUrlError,
    NATSRequestTimeoutError,
    NATSTCPConnectionRequiredError,
    NATSTLSConnectionRequiredError,
    NATSUnexpectedResponse,
)

__all__ = [
    "NATSClient",
    "NATSConnectionError",
    "NATSError",
    "NATSInvalidSchemeError",
    "NATSInvalidUrlError",
    "NATSMessage",
    "NATSRequestTimeoutError",
    "NATSSubscription",
    "NATSTCPConnectionRequiredError",
    "NATSTLSConnectionRequiredError",
    "NATSUnexpectedResponse",
]
