"""``%objstore``: the command line in a notebook, after ``%load_ext objstore``."""

from __future__ import annotations

import contextlib
import shlex
import signal
import subprocess
import sys
from typing import Any

__all__ = ["load_ipython_extension"]

#: Seconds that an interrupted command has to tidy up.
GRACE = 10


def load_ipython_extension(shell: Any) -> None:
    """Give a notebook the magic ``%objstore``, as ``%load_ext objstore`` asks for it.

    Arguments:
        shell: IPython's ``InteractiveShell``.
    """
    shell.register_magic_function(run, "line", "objstore")


def run(line: str) -> None:
    """Run objstore's command line and print what it prints, line by line.

    %objstore ls photos -l

    It is a process of its own, which connects as the environment says ($NATS_URL), or as
    --server does. It asks nothing. A command that fails fails the cell.
    """
    from IPython.core.error import UsageError

    try:
        words = shlex.split(line)
    except ValueError as error:
        raise UsageError(f"%objstore: {error}") from error
    # In a session of its own: the notebook's interrupt goes to all processes of the kernel's, and a
    # second one would strike while the command cleans up after the first.
    with subprocess.Popen(
        [sys.executable, "-m", "objstore", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            for text in process.stdout or ():
                sys.stdout.write(text)
        except BaseException:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=GRACE)
            process.kill()
            raise
    if process.returncode:
        raise UsageError(f"%objstore {line}: exit code {process.returncode}")
