"""What a program waits for before its first object: importing, connecting, the command line."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence

from benchmarks.run import Run

__all__ = ["start"]

_COMMAND_LINE = "from objstore.cli import main; main()"

#: What objstore stands on; pynats2 wants a module that new environments do not have.
_OTHERS = """
import sys, types
sys.modules["pkg_resources"] = types.ModuleType("pkg_resources")
import pynats2, msgspec
"""

#: Prints the seconds that the first put of a process takes, once objstore is imported.
_FIRST_PUT = """
import sys, time, objstore
begin = time.perf_counter()
with objstore.connect(sys.argv[1]) as client:
    client.object_store(sys.argv[2]).put("x", bytes(1024), mime="text/plain")
    print(time.perf_counter() - begin)
"""

_Samples = list[tuple[float, float]]


def start(run: Run) -> None:
    """Processes of their own, in turns, with their bytecode there; the first round makes it."""
    rounds = run.scale.pick(20, 3)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    environment["PYTHONPYCACHEPREFIX"] = str(run.ground.folder / "bytecode")
    tab = {"_OBJSTORE_COMPLETE": "bash_complete", "COMP_LINE": "objstore "}
    programs: dict[str, tuple[Sequence[str], dict[str, str]]] = {
        "Python alone": (["pass"], {}),
        "import pynats2 and msgspec": ([_OTHERS], {}),
        "import objstore": (["import objstore"], {}),
        "objstore --help": ([_COMMAND_LINE, "--help"], {}),
        "objstore put --help": ([_COMMAND_LINE, "put", "--help"], {}),
        "Tab after objstore": ([_COMMAND_LINE], tab),
    }
    taken: dict[str, _Samples] = {name: [] for name in programs}
    for number in range(rounds + 1):
        for name, (words, more) in programs.items():
            run.tell(f"{name}, {number}")
            sample = _processor_and_clock(words, {**environment, **more})
            if number:
                taken[name].append(sample)
    for name, samples in taken.items():
        processor, clock = zip(*samples, strict=True)
        run.add("start", "processor time", name, "ms", processor)
        run.add("start", "by the clock", name, "ms", clock)
    _first_put(run, rounds, environment)


def _processor_and_clock(words: Sequence[str], environment: dict[str, str]) -> tuple[float, float]:
    """Run a program; return the milliseconds that it took, of the processor and by the clock."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", *words], env=environment, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    clock = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(words)} ended with status {process.returncode}")
    return (usage.ru_utime + usage.ru_stime) * 1e3, clock * 1e3


def _first_put(run: Run, rounds: int, environment: dict[str, str]) -> None:
    samples = []
    with run.ground.bucket() as store:
        for number in range(rounds):
            run.tell(f"first put, {number}")
            command = [sys.executable, "-c", _FIRST_PUT, run.ground.server.url, store.name]
            done = subprocess.run(
                command, env=environment, check=True, capture_output=True, text=True
            )
            samples.append(float(done.stdout) * 1e3)
    run.add("start", "by the clock", "connect and first put", "ms", tuple(samples))
