"""What a transfer takes: processor time, memory, system calls, copies, wake-ups."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.figures import size_text
from benchmarks.ground import MIB
from benchmarks.run import Run
from objstore import ObjectStore

__all__ = ["compile_counter", "costs", "memory", "traced"]

SOURCE = Path(__file__).parent.parent
CHUNK = 512 << 10


def _child(
    run: Run,
    store: ObjectStore,
    do: str,
    size: int,
    *more: str,
    before: tuple[str, ...] = (),
    environment: dict[str, str] | None = None,
) -> dict[str, float]:
    """Start :mod:`benchmarks.child` and take its answer.

    Raises:
        RuntimeError: it failed.
    """
    command = [
        *before,
        *(sys.executable, "-m", "benchmarks.child", do),
        *("--url", run.ground.server.url, "--bucket", store.name),
        *("--size", str(size), "--server", str(run.ground.server.pid or 0)),
        *more,
    ]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **(environment or {})}
    done = subprocess.run(command, capture_output=True, text=True, env=variables, timeout=300)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        raise RuntimeError(f"the child ended with status {done.returncode}: {last}")
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def memory(run: Run) -> None:
    """The growth of a process's peak memory, for an object that is streamed in and out."""
    size = run.scale.pick(1024, 256) * MIB
    if not run.ground.has_room(size):
        run.skip(f"memory: {run.ground.free >> 30} GiB of free space are too little")
        return
    with run.ground.bucket() as store:
        store.put("warm", b"x")
        for what, do, more in (
            ("put", "put", ()),
            ("get", "get", ()),
            ("get, reader paused", "get", ("--pause",)),
        ):
            run.tell(f"{what} of {size_text(size)}")
            answer = _child(run, store, do, size, "--streamed", *more)
            growth = answer["growth"] / MIB
            run.add("memory", "objstore", what, "MiB", (growth,), size=size)


def costs(run: Run) -> None:
    """Of objstore, of a raw loop and of other clients; counted in a process of each one's own."""
    size = run.scale.pick(256, 64) * MIB
    with run.ground.bucket() as store:
        store.put("warm", b"x")
        store.put("object", run.data(size), chunk_size=CHUNK)
        for who in _clients(run):
            _times(run, store, who, size)
        if run.scale.quick:
            run.skip("system calls, copies per byte: not in a quick run")
            return
        for do in ("put", "get"):
            _system_calls(run, store, do, size)
            _copies(run, store, do, size)


def _clients(run: Run) -> list[str]:
    clients = ["objstore", "raw socket"]
    if run.scale.peers and not run.scale.quick:
        clients += [
            name
            for name, module in (("nats-py", "nats"), ("natsrpy", "natsrpy"))
            if importlib.util.find_spec(module)
        ]
    return clients


def _times(run: Run, store: ObjectStore, who: str, size: int) -> None:
    """Processor time and waits; nats-py reads less, for its time grows with the square."""
    for do in ("put", "get"):
        answers = []
        with run.ground.bucket() as own:
            own.put("warm", b"x")
            amount = 16 * MIB if (who, do) == ("nats-py", "get") else size
            own.put("object", run.data(size)[:amount], chunk_size=CHUNK)
            for number in range(run.scale.pick(3, 1)):
                run.tell(f"{who} {do}s, {number + 1}")
                try:
                    answers.append(_child(run, own, do, amount, "--who", who))
                except (RuntimeError, subprocess.TimeoutExpired) as error:
                    run.skip(f"costs of {who}: {error}")
                    break
        _note_times(run, who, do, amount, answers)


def _note_times(run: Run, who: str, do: str, size: int, answers: list[dict[str, float]]) -> None:
    def add(what: str, unit: str, key: str, divisor: float) -> None:
        samples = tuple(answer[key] / divisor for answer in answers)
        run.add("costs", who, f"{do}: {what}", unit, samples, size=size)

    add("processor time of the client", "s/GB", "cpu", size / 1e9)
    add("processor time of the server", "s/GB", "server_cpu", size / 1e9)
    add("wake-ups (voluntary switches)", PER_CHUNK, "waits", size / CHUNK)


#: objstore and the raw loop move chunks of this size here; others choose theirs, so that for
#: them it is a measure, not a message.
PER_CHUNK = f"per {CHUNK >> 10} KiB"


def _system_calls(run: Run, store: ObjectStore, do: str, size: int) -> None:
    """How often a transfer enters the kernel, counted by strace.

    What starting, connecting and ending take is counted too, in a child that transfers nothing,
    and subtracted.
    """
    if shutil.which("strace") is None:
        run.skip("system calls: strace is not installed")
        return
    counts = []
    path = run.ground.folder / "strace"
    for times in (1, 0):
        run.tell(f"system calls of {do}")
        trace = ("strace", "-f", "-c", "-qq", "-o", str(path))
        try:
            _child(run, store, do, size, "--times", str(times), before=trace)
        except RuntimeError as error:
            run.skip(f"system calls: {error}")
            return
        counts.append(traced(path.read_text("utf-8")))
    calls = {name: count - counts[1].get(name, 0) for name, count in counts[0].items()}
    chunks = size / CHUNK
    add = run.add
    add("costs", "objstore", f"{do}: system calls", PER_CHUNK, (sum(calls.values()) / chunks,))
    locks = calls.get("futex", 0) / chunks
    add("costs", "objstore", f"{do}: lock hand-offs (futex calls)", PER_CHUNK, (locks,))
    common = sorted(calls, key=lambda name: -calls[name])[:5]
    parts = ", ".join(f"{name} {calls[name] / chunks:.2f}" for name in common)
    run.report.notes.append(f"System calls of a {do}, per chunk: {parts}.")


def traced(table: str) -> dict[str, int]:
    """Read the summary of strace: the calls by name."""
    line = re.compile(r" *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$", re.MULTILINE)
    found = {name: int(count) for count, name in line.findall(table)}
    found.pop("total", None)
    return found


def _copies(run: Run, store: ObjectStore, do: str, size: int) -> None:
    """How often each byte is copied in the client's memory, counted under memcpy.

    The kernel copies it once more, into or out of the socket.
    """
    counter = _copy_counter(run)
    if counter is None:
        return
    totals = []
    path = run.ground.folder / "copies"
    for times in (1, 0):
        run.tell(f"copies of {do}")
        preload = {"LD_PRELOAD": str(counter), "OBJSTORE_COPIES": str(path)}
        try:
            _child(run, store, do, size, "--times", str(times), environment=preload)
            totals.append(int(path.read_text("ascii")))
        except (RuntimeError, OSError, ValueError) as error:
            run.skip(f"copies: {error}")
            return
    copied = (totals[0] - totals[1]) / size
    run.add("costs", "objstore", f"{do}: copies in memory", "per byte", (copied,))


def _copy_counter(run: Run) -> Path | None:
    """What counts copies, compiled; None when that is not possible here."""
    if shutil.which("cc") is None or sys.platform != "linux":
        run.skip("copies per byte: no C compiler, or not Linux")
        return None
    try:
        return compile_counter(run.ground.folder)
    except subprocess.CalledProcessError:
        run.skip("copies per byte: the counter does not compile")
        return None


def compile_counter(folder: Path) -> Path:
    """Compile ``copies.c`` into a folder, unless it is there.

    Raises:
        CalledProcessError: the compiler refuses.
    """
    library = folder / "copies.so"
    if not library.exists():
        # -fno-builtin and no loop patterns: else the loop becomes a call of memcpy, of itself.
        options = ["-O1", "-fno-builtin", "-fno-tree-loop-distribute-patterns", "-shared", "-fPIC"]
        command = ["cc", *options, "-o", str(library), str(SOURCE / "copies.c")]
        subprocess.run(command, capture_output=True, check=True)
    return library
