"""What the log says of a connection that is lost and comes back, and how often."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from objstore import ConnectionLostError
from objstore.wire.connection import outages
from objstore.wire.connection.outages import Outages

pytestmark = pytest.mark.newest_server

CAUSE = ConnectionLostError("the server closed the connection")


class Clock:
    """Time, as a test has it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(outages, "time", clock)
    return clock


def link(*, ended_here: bool = False) -> Any:
    return SimpleNamespace(server=SimpleNamespace(url="nats://here:4222"), ended_here=ended_here)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged for everybody to see since the last time."""
    found = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    caplog.clear()
    return found


def test_a_loss_and_the_return(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """One line each, with what follows."""
    for patience, meanwhile in ((60.0, "wait up to 60 s for it"), (0.0, "fail")):
        mine = Outages(None, patience)
        mine.begin(link(), CAUSE)
        clock.now += 1.5
        mine.end("nats://there:4222")
        assert warnings(caplog) == [
            "lost the connection to nats://here:4222: the server closed the connection; "
            f"reconnecting, and meanwhile calls {meanwhile}",
            "reconnected to nats://there:4222 after 1.5 s; calls that waited go on",
        ]


@pytest.mark.parametrize("ended_here", [False, True])
def test_a_long_outage(clock: Clock, caplog: pytest.LogCaptureFixture, ended_here: bool) -> None:
    """It is said once a minute, with the latest reason, whatever began it."""
    mine = Outages(None, 60.0)
    mine.begin(link(ended_here=ended_here), CAUSE)
    warnings(caplog)
    for _ in range(125):
        clock.now += 1.0
        mine.go_on(ConnectionLostError(f"refused at {clock.now:g}"))
    after = "see whether the server runs and takes this login"
    assert warnings(caplog) == [
        f"no connection for 60 s: refused at 1060; {after}",
        f"no connection for 120 s: refused at 1120; {after}",
    ]


def test_a_server_that_takes_connections_only_to_end_them(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """It does not fill the log: a loss right after a return is a warning once a minute."""
    mine = Outages(None, 60.0)
    for _ in range(121):
        mine.begin(link(), CAUSE)
        clock.now += 0.5
        mine.end("nats://here:4222")
        clock.now += 0.5
    assert len(warnings(caplog)) == 2 * 3
    clock.now += 2.0
    mine.begin(link(), CAUSE)
    assert len(warnings(caplog)) == 1


def test_a_break_of_our_own(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """After Ctrl-C in a send, or reconnect(), there is no warning."""
    mine = Outages(None, 60.0)
    with caplog.at_level(logging.INFO, "objstore"):
        mine.begin(link(ended_here=True), CAUSE)
        mine.end("nats://here:4222")
    assert [each.levelno for each in caplog.records] == [logging.INFO] * 2
