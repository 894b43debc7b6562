"""The benchmarks measure what they say. How fast anything is, no test asserts."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from objstore import LocalServer, ObjectStore

pytest.importorskip("benchmarks", reason="the benchmarks are no part of the wheel")

from benchmarks.command import main
from benchmarks.figures import Figure, Ratio, Report, ratio_of
from benchmarks.kinds.costs import compile_counter, traced
from benchmarks.kinds.stages import (
    AFTER,
    BEFORE,
    BETWEEN,
    PARSE,
    SEND,
    SERVER,
    STAGES,
    WOKEN,
    Timeline,
)
from benchmarks.kinds.threads import Crowd
from benchmarks.peers.raw import Raw
from benchmarks.promises import promises
from benchmarks.results import BEGIN, END
from benchmarks.rounds import Contender, alternate
from benchmarks.tables import restructured, terminal

pytestmark = pytest.mark.newest_server

SIZES = [1, 1000, 131_072, 131_073, 700_001, 5_000_000]


# --- a run


def test_a_run_of_one_benchmark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Measured, printed, written: every operation of objstore, of nats-py and of the raw loop."""
    temporary, results = tmp_path / "temporary", tmp_path / "results"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setattr("benchmarks.kinds.race.LISTED", 50)
    monkeypatch.setattr("benchmarks.kinds.race.IN_A_TURN", 10)  # for the way, not the figures
    main(["--quick", "--only", "small", "--rounds", "1", "--results", str(results)])
    assert not list(temporary.iterdir())
    printed = capsys.readouterr().out
    data = json.loads((results / "results.json").read_text("utf-8"))
    report = Report.from_json(data)
    assert not [each for each in report.skipped if "broke off" in each]
    for who in ("objstore", "nats-py", "raw socket"):
        for what in ("put", "get", "info", "list 1,000"):
            figure = report.find("small", who, what)
            assert figure is not None, (who, what)
            assert len(figure.samples) == 1
            assert figure.median > 0
            assert not figure.note
    assert report.find("small", "objstore", "get_many") is not None
    by_name = {ratio.name: ratio for ratio in report.ratios}
    assert by_name["info / nats-py"].kept in (True, False)
    assert by_name["16 MiB put / nats-py"].kept is None
    assert "not measured" in printed
    assert "raw socket" in printed
    assert "1 KiB put / nats-py" in (results / "results.rst").read_text("utf-8")

    readme = tmp_path / "README.rst"
    readme.write_text(f"before\n\n{BEGIN}\nold\n\n{END}\nafter\n", "utf-8")
    main(["--redraw", "--results", str(results)])  # from the JSON alone
    assert json.loads((results / "results.json").read_text("utf-8")) == data
    text = readme.read_text("utf-8")
    assert "1 KiB put / nats-py" in text
    assert "old" not in text
    assert text.startswith("before\n")
    assert text.endswith(f"{END}\nafter\n")


def test_the_stages_of_small_operations(tmp_path: Path) -> None:
    """They add up to the whole, which is Python's part, the kernel's and the server's."""
    main(["--quick", "--only", "stages", "--rounds", "1", "--results", str(tmp_path)])
    report = Report.from_json(json.loads((tmp_path / "results.json").read_text("utf-8")))
    assert not report.skipped
    for operation in ("info", "1 KiB put", "1 KiB put over another", "1 KiB get", "listed object"):
        figures = {each.what: each.median for each in report.of_kind("stages", operation=operation)}
        assert min(figures.values()) >= 0
        assert sum(figures[stage] for stage in STAGES) == pytest.approx(figures["all"])
        rest = figures["send"] + figures["server"]
        assert figures["Python's part"] + rest == pytest.approx(figures["all"])
        assert figures["Python functions called"] > 1
        ours = (BEFORE, SEND, BETWEEN, AFTER)
        if operation != "listed object":  # many come at once, and most of them are not waited for
            assert min(figures[stage] for stage in ours) > 0
            # Which of these a wait goes to is chance: on one processor the answer is often there
            # before the thread that sent goes on, and then nothing is left to the server.
            assert sum(figures[stage] for stage in (SERVER, PARSE, WOKEN)) > 0


class Clock:
    """A clock that tells the times it was given, one after the other."""

    def __init__(self, *times: float) -> None:
        self._times = iter(times)

    def __call__(self) -> float:
        return next(self._times)


@pytest.mark.parametrize(
    ("received", "delivered", "server", "parse", "woken"),
    [
        (6.0, 6.5, 3.0, 0.5, 1.5),
        (2.5, 2.75, 0.0, 0.0, 5.0),  # both while it was still sending: nothing to wait for
        (2.5, 6.5, 0.0, 3.5, 1.5),
        (6.5, 6.0, 3.5, 0.0, 1.5),  # what came next was received before this thread went on
        (9.0, 6.0, 5.0, 0.0, 0.0),
    ],
)
def test_a_wait_is_cut_into_stages(
    monkeypatch: pytest.MonkeyPatch,
    received: float,
    delivered: float,
    server: float,
    parse: float,
    woken: float,
) -> None:
    """Sent from 1.0 to 3.0, waited until 8.0: whatever order the threads ran in, it adds up."""
    monkeypatch.setattr("benchmarks.kinds.stages._now", Clock(0.0, 1.0, 3.0, 3.0, 8.0, 8.25))
    timeline = Timeline()
    timeline.begin()
    timeline.mark()
    timeline.mark(SEND)
    timeline.mark()
    timeline.received = received
    timeline.woken(delivered)
    timeline.end()
    expected = {BEFORE: 1.0, SEND: 2.0, BETWEEN: 0.0, SERVER: server, PARSE: parse, WOKEN: woken}
    assert timeline.spent == {**expected, AFTER: 0.25}


def test_whole_folders_and_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each way of the one, both of the other; every file and byte is counted as it comes."""
    monkeypatch.setattr("benchmarks.kinds.sync.COUNTS", (12, 12))
    command = ["--quick", "--only", "sync", "tls", "--rounds", "1", "--no-peers"]
    main([*command, "--results", str(tmp_path)])
    report = Report.from_json(json.loads((tmp_path / "results.json").read_text("utf-8")))
    assert report.skipped == ["other clients: --no-peers"]
    ways = {each.what for each in report.of_kind("sync", count=12) if each.median > 0}
    assert {"upload_dir", "download_dir", "copy_dir", "put_many", "get_many"} < ways
    assert {each.what for each in report.of_kind("tls") if each.median > 0} == {"put", "get"}


# --- the raw loop is a client of the same store


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("chunk_size", [32 << 10, 512 << 10])
def test_what_the_raw_loop_puts_is_an_object(
    server: LocalServer, store: ObjectStore, size: int, chunk_size: int
) -> None:
    data = os.urandom(size)
    with contextlib.closing(Raw(server.url, store.name, chunk_size)) as raw:
        raw.put(["one", "two"], data)
        assert raw.list() == 2
        assert raw.get(["one", "two"]) == 2 * size
    assert store.read_bytes("one") == store.read_bytes("two") == data
    assert store.verify().ok


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("hashing", [True, False])
def test_the_raw_loop_reads_whole_objects(
    server: LocalServer, store: ObjectStore, size: int, hashing: bool
) -> None:
    store.put("x", os.urandom(size), chunk_size=100_000)
    with contextlib.closing(Raw(server.url, store.name, hashing=hashing)) as raw:
        assert raw.get(["x", "x"]) == 2 * size


@pytest.mark.parametrize("size", [1000, 700_001])
def test_the_raw_loop_hashes(server: LocalServer, store: ObjectStore, size: int) -> None:
    """Without hashing it puts a wrong digest: with hashing it must notice."""
    with contextlib.closing(Raw(server.url, store.name, hashing=False)) as careless:
        careless.put(["x"], os.urandom(size))
        assert careless.get(["x"]) == size
    with (
        contextlib.closing(Raw(server.url, store.name)) as raw,
        pytest.raises(RuntimeError, match="digest"),
    ):
        raw.get(["x"])


def test_the_raw_loop_misses_what_is_absent(server: LocalServer, store: ObjectStore) -> None:
    with (
        contextlib.closing(Raw(server.url, store.name)) as raw,
        pytest.raises(FileNotFoundError),
    ):
        raw.get(["absent"])


def test_many_objects_are_put_at_once(server: LocalServer, store: ObjectStore) -> None:
    """More than a batch of the list, and than a window of acks."""
    names = [f"object {number}" for number in range(2_500)]
    with contextlib.closing(Raw(server.url, store.name)) as raw:
        raw.fill(names, b"x" * 10)
        assert raw.list() == len(names)
    assert sorted(info.name for info in store.list()) == sorted(names)
    assert store.verify().ok


# --- the rounds


def test_contenders_take_turns() -> None:
    """The first round does not count; the order turns round with each."""
    turns: list[tuple[str, int]] = []

    def contender(name: str) -> Contender:
        return Contender(name, lambda number: turns.append((name, number)))

    contenders = [contender("a"), contender("b"), contender("c")]
    alternate(contenders, 3)
    assert [len(each.seconds) for each in contenders] == [3, 3, 3]
    assert "".join(name for name, _ in turns) == "cbaabccbaabc"
    assert [number for _, number in turns] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_only_the_action_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count()
    monkeypatch.setattr("time.perf_counter", lambda: float(next(clock)))

    def busy(_number: int) -> None:
        for _ in range(100):
            next(clock)

    contender = Contender("a", lambda _number: next(clock), before=busy, after=busy)
    alternate([contender], 2)
    assert contender.seconds == [2.0, 2.0]
    assert contender.rates(10) == (5.0, 5.0)


def test_one_who_dies_keeps_what_was_measured() -> None:
    def die(number: int) -> None:
        if number == 2:
            raise RuntimeError("maximum consumers limit reached")

    mortal, other = Contender("mortal", die), Contender("other", lambda _number: None)
    alternate([mortal, other], 4)
    assert (len(mortal.seconds), len(other.seconds)) == (1, 4)
    assert mortal.died == "RuntimeError: maximum consumers limit reached"
    assert not other.died


def test_a_crowd_counts_what_all_threads_did() -> None:
    done: list[int] = []
    crowd = Crowd(4, lambda index, _count: done.append(index), 0.05)
    crowd.run(0)
    warm_up = len(done)
    crowd.run(1)
    assert len(crowd.rates) == len(crowd.shares) == 1
    assert crowd.rates[0] * 0.05 <= len(done) - warm_up
    assert 0 < crowd.shares[0] <= 1
    assert not crowd.errors


def test_a_crowd_keeps_errors() -> None:
    def fail(index: int, count: int) -> None:
        if index == 1 and count == 0:  # further ones depend on the machine's speed
            raise RuntimeError("object 7 holds something else")

    crowd = Crowd(2, fail, 0.05)
    crowd.run(1)
    assert [str(error) for error in crowd.errors] == ["object 7 holds something else"]


# --- the figures


def figure(who: str, *samples: float, what: str = "put", kind: str = "large") -> Figure:
    return Figure(kind, who, what, "MB/s", samples, {"size": 16 << 20})


def test_a_ratio_is_that_of_the_medians() -> None:
    ratio = ratio_of("put", 1.5, figure("objstore", 10, 1000, 30), figure("other", 10, 20, 10))
    assert ratio.measured == 3.0
    assert (ratio.low, ratio.high) == (1.0, 50.0)
    assert ratio.kept


@pytest.mark.parametrize(
    ("measured", "at_most", "kept"),
    [(2.0, False, True), (1.99, False, False), (2.0, True, True), (2.01, True, False)],
)
def test_a_promise_is_kept_or_not(measured: float, at_most: bool, kept: bool) -> None:
    assert Ratio("x", 2.0, measured, at_most=at_most).kept is kept


def test_what_was_not_measured_is_neither_kept_nor_broken() -> None:
    assert ratio_of("put", 1.5, None, figure("other", 1)).kept is None
    assert all(ratio.kept is None for ratio in promises(Report()))


def test_who_died_stands_in_the_tables() -> None:
    dead = Figure("large", "other", "get", "MB/s", (), {"size": 16 << 20}, note="it broke")
    machine: dict[str, object] = dict.fromkeys(
        ["date", "processors", "processor", "memory_gib", "system", "python", "nats_server"], "?"
    )
    machine |= {"objstore": "1", "free_disk_gib": "1", "rounds": "2", "max_payload": 1}
    report = Report({**machine, "seconds": {"large": 3}}, [figure("objstore", 100, 300), dead])
    report.ratios = promises(report)
    for text in (terminal(report), restructured(report, {})):
        assert "200 (100–300)" in text
        assert "died *" in text
        assert "other, get: it broke" in text
    assert Report.from_json(json.loads(json.dumps(report.as_json()))) == report


# --- the counters


def test_the_summary_of_strace() -> None:
    table = """% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 75.31    1.234567         101     12218         3 futex
 20.00    0.100000           9      1024           sendmsg
------ ----------- ----------- --------- --------- ----------------
100.00    1.334567         100     13242         3 total
"""
    assert traced(table) == {"futex": 12218, "sendmsg": 1024}


@pytest.mark.skipif(
    shutil.which("cc") is None or sys.platform != "linux", reason="the counter needs a C compiler"
)
def test_the_counter_of_copies_counts_copies(tmp_path: Path) -> None:
    counter, counted = compile_counter(tmp_path), tmp_path / "counted"

    def copied(times: int) -> int:
        program = f"x = bytearray(5_000_000)\nfor _ in range({times}): bytes(x)"
        variables = {"LD_PRELOAD": str(counter), "OBJSTORE_COPIES": str(counted)}
        subprocess.run([sys.executable, "-c", program], env={**os.environ, **variables}, check=True)
        return int(counted.read_text("ascii"))

    assert copied(3) - copied(0) == 15_000_000
