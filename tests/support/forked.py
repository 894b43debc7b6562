"""Many programs, each in a process of its own, for the price of one interpreter's start.

An interpreter imports what they all need, once; each program is then run by a fork of it, which
ends as any interpreter does: it waits for threads, finalizes, flushes.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from tests.support.waiting import PATIENCE

__all__ = ["Forked"]

ROOT = Path(__file__).parent.parent.parent

#: What is there before the fork is frozen: at a fork's end the collector would walk, and so copy,
#: each page of it, 70 ms of the processor. Only the last lines are a program's own. What gevent
#: makes of fork and waitpid would start its loop here, for the forks to inherit.
_LAUNCH = """
import gc, json, os, sys, time
gc.collect()
gc.freeze()
_ways = [os.fork, os.waitpid]
if "gevent" in sys.modules:
    from gevent.monkey import get_original
    _ways = get_original("os", ["fork", "waitpid"])
for _line in sys.stdin:
    if not (_pid := _ways[0]()):
        break
    _status = os.waitstatus_to_exitcode(_ways[1](_pid, 0)[1])
    print(json.dumps([_status, time.time()]), flush=True)
else:
    sys.exit()
_program, sys.argv[1:], _output = json.loads(_line)
_files = [os.open(os.devnull, os.O_RDONLY), os.open(_output, os.O_WRONLY | os.O_APPEND)]
for _target, _file in enumerate([*_files, _files[1]]):
    os.dup2(_file, _target)
for _file in _files:
    os.close(_file)
exec(compile(_program, "<program>", "exec"))
"""


class Forked:
    """Runs programs in forks of an interpreter that has run ``first``.

    Attributes:
        ended: when the last program's process ended, as of ``time.time``.
    """

    def __init__(self, folder: Path, first: str) -> None:
        self.ended = 0.0
        self._output = folder / "output"
        self._launcher = subprocess.Popen(
            [sys.executable, "-c", first + _LAUNCH],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "PYTEST_ADDOPTS": "",  # what is for the tests here is not for those a program runs
            },
            start_new_session=True,
        )

    def __enter__(self) -> Forked:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._kill()
        with self._launcher:
            pass

    def _kill(self) -> None:
        """End the interpreter, and a program that runs."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._launcher.pid, signal.SIGKILL)

    def run(self, program: str, *arguments: str) -> tuple[int, str]:
        """Run a program to its end: its exit code, and what it wrote to stdout and stderr."""
        assert self._launcher.stdin is not None
        assert self._launcher.stdout is not None
        self._output.write_text("")
        request = json.dumps([program, arguments, str(self._output)])
        self._launcher.stdin.write(request.encode() + b"\n")
        self._launcher.stdin.flush()
        answered, _, _ = select.select([self._launcher.stdout], [], [], PATIENCE)
        if not answered:
            self._kill()
            raise AssertionError(f"it hangs; it wrote: {self._output.read_text()}")
        status, self.ended = json.loads(self._launcher.stdout.readline())
        return status, self._output.read_text()
