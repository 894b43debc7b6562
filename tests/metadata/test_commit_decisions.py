"""What a commit does after each kind of attempt, row by row of its table. No server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from objstore import (
    APIError,
    ConnectionClosedError,
    ObjectInfo,
    ObjStoreError,
    PermissionDeniedError,
    RequestTimeoutError,
    RevisionMismatchError,
    StorageFullError,
)
from objstore.metadata import commit
from objstore.metadata.commit import DECISIONS, Before, Found, Outcome
from objstore.model.objects import meta_subject
from objstore.model.record_json import encode_info
from tests.support.scripted_bucket import Answer, ScriptedBucket

pytestmark = pytest.mark.newest_server

OURS = ObjectInfo("b", "x", nuid="ours")
THEIRS = ObjectInfo("b", "x", nuid="theirs")
WANTED = ObjectInfo("b", "x", nuid="wanted")

#: What happens at an attempt, in place of its being stored: something, and the error that it gets.
Event = Callable[["Scene"], ObjStoreError]


class Scene(ScriptedBucket):
    """A bucket in which the next attempts end as a test says, and one clock for all.

    Attributes:
        script: what happens at each attempt; after the last they are stored.
        log: what the commit did, in order.
        now: what the clock says.
    """

    def __init__(self) -> None:
        super().__init__()
        self.script: list[Event] = []
        self.log: list[str] = []
        self.now = 100.0
        self.old = OURS.with_changes(nuid="old", revision=self.put(OURS.with_changes(nuid="old")))

    def put(self, info: ObjectInfo) -> int:
        """Store a record in place of what is there; its revision."""
        subject = meta_subject("b", "x")
        for sequence, (there, _) in list(self.messages.items()):
            if there == subject:
                del self.messages[sequence]
        return self.store(subject, encode_info(info))

    def start_publish(
        self,
        info: ObjectInfo,
        expected: int,
        encoded: bytes | None = None,
        *,
        piggyback: bool = False,
    ) -> Answer:
        self.log.append(f"publish {info.nuid} over {expected}")
        if self.script:
            raise self.script.pop(0)(self)
        return super().start_publish(info, expected, encoded)

    # --- the clock, where the module `time` is

    def monotonic(self) -> float:
        return self.now

    time = monotonic

    def sleep(self, seconds: float) -> None:
        self.log.append("wait")
        self.now += seconds

    # --- what the caller decides

    def on_conflict(self, found: ObjectInfo | None) -> ObjectInfo:
        self.log.append(f"conflict with {None if found is None else found.nuid}")
        return WANTED

    def on_lost_ack(self, found: ObjectInfo | None) -> ObjectInfo:
        self.log.append(f"loss, and {None if found is None else found.nuid}")
        return WANTED

    def commit(self, **options: Any) -> ObjectInfo:
        options = {"on_conflict": self.on_conflict, "on_lost_ack": self.on_lost_ack, **options}
        records: Any = self
        stored, self.replaced = commit.commit(
            records, OURS, options.pop("current", self.old), **options
        )
        return stored


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    scene = Scene()
    monkeypatch.setattr(commit, "time", scene)
    return scene


def gives(error: ObjStoreError, there: ObjectInfo | None = None) -> Event:
    """An attempt that ends in an error, when something was stored, ours or another's."""

    def happen(scene: Scene) -> ObjStoreError:
        if there is not None:
            scene.put(there)
        return error

    return happen


REFUSAL = APIError("temporarily unavailable", code=503)
LOSS = RequestTimeoutError("no answer", timeout=1.0)
MISMATCH = RevisionMismatchError("wrong last sequence")

EARLIER: dict[Before, list[Event]] = {
    Before.NOTHING: [],
    Before.REFUSED: [gives(REFUSAL)],
    Before.LOST: [gives(LOSS)],
}

THIS: dict[tuple[Outcome, Found], list[Event]] = {
    (Outcome.STORED, Found.UNASKED): [],
    (Outcome.REFUSED, Found.UNASKED): [gives(REFUSAL)],
    (Outcome.SUPERSEDED, Found.EXPECTED): [gives(MISMATCH)],
    (Outcome.SUPERSEDED, Found.OURS): [gives(MISMATCH, OURS)],
    (Outcome.SUPERSEDED, Found.OTHER): [gives(MISMATCH, THEIRS)],
    (Outcome.UNKNOWN, Found.EXPECTED): [gives(LOSS)],
    (Outcome.UNKNOWN, Found.OURS): [gives(LOSS, OURS)],
    (Outcome.UNKNOWN, Found.OTHER): [gives(LOSS, THEIRS)],
}

AGAIN = "publish ours over 1"
NEW = "publish wanted over 2"

#: What follows, where nothing was before, where an attempt was refused, and where one was lost.
FOLLOWS: dict[tuple[Outcome, Found], tuple[list[str], list[str], list[str]]] = {
    (Outcome.STORED, Found.UNASKED): ([], [], []),
    (Outcome.REFUSED, Found.UNASKED): (["wait", AGAIN], ["wait", AGAIN], ["wait", AGAIN]),
    (Outcome.SUPERSEDED, Found.EXPECTED): (["wait", AGAIN], ["wait", AGAIN], ["wait", AGAIN]),
    (Outcome.SUPERSEDED, Found.OURS): (["conflict with ours", NEW], [], []),
    (Outcome.SUPERSEDED, Found.OTHER): (
        ["conflict with theirs", NEW],
        ["conflict with theirs", NEW],
        ["loss, and theirs", NEW],
    ),
    (Outcome.UNKNOWN, Found.EXPECTED): ([AGAIN], [AGAIN], [AGAIN]),
    (Outcome.UNKNOWN, Found.OURS): ([], [], []),
    (Outcome.UNKNOWN, Found.OTHER): tuple([["loss, and theirs", NEW]] * 3),  # type: ignore[dict-item]
}

ROWS = [(*key, before) for key, row in DECISIONS.items() for before in row]


@pytest.mark.parametrize(("outcome", "found", "before"), ROWS, ids=lambda value: value.name)
def test_row(scene: Scene, outcome: Outcome, found: Found, before: Before) -> None:
    scene.script = EARLIER[before] + THIS[outcome, found]
    stored = scene.commit()
    first = {Before.NOTHING: [], Before.REFUSED: [AGAIN, "wait"], Before.LOST: [AGAIN]}[before]
    then = FOLLOWS[outcome, found][list(Before).index(before)]
    assert scene.log == [*first, AGAIN, *then]
    assert stored.nuid == ("wanted" if NEW in then else "ours")
    assert stored.revision == max(scene.messages)
    assert scene.replaced is not None
    assert scene.replaced.revision == (2 if NEW in then else 1)


def test_every_row_is_there() -> None:
    outcomes = {outcome for outcome, _ in DECISIONS}
    assert outcomes == set(Outcome)
    assert all(set(row) == set(Before) for row in DECISIONS.values())
    assert len(ROWS) == 24


# --- who decides nothing


def test_nobody_decides_a_conflict(scene: Scene) -> None:
    scene.script = [gives(MISMATCH, THEIRS)]
    with pytest.raises(RevisionMismatchError) as caught:
        scene.commit(on_conflict=None)
    assert (caught.value.expected, caught.value.actual) == (1, 2)


def test_a_tombstone_that_was_collected_is_no_conflict(scene: Scene) -> None:
    """Nothing was there, and nothing is."""
    tombstone = scene.old.with_changes(deleted=True)
    scene.messages.clear()
    scene.script = [gives(MISMATCH)]
    stored = scene.commit(current=tombstone, on_conflict=None)
    assert stored.nuid == "ours"
    assert scene.log == [AGAIN, "publish ours over 0"]


def test_nobody_decides_a_loss(scene: Scene) -> None:
    scene.script = [gives(LOSS, THEIRS)]
    with pytest.raises(RequestTimeoutError) as caught:
        scene.commit(on_lost_ack=None)
    assert caught.value is LOSS
    assert scene.log == [AGAIN]


def test_a_write_in_flight_that_fails(scene: Scene) -> None:
    """Then the revision is still the one that was wanted, and nobody need be asked."""
    scene.script = [gives(MISMATCH)]
    assert scene.commit(on_conflict=None).nuid == "ours"


# --- what ends it


def test_refused_for_too_long(scene: Scene) -> None:
    scene.script = [gives(REFUSAL)] * 50
    with pytest.raises(APIError):
        scene.commit()
    assert 1 < len(scene.script) < 50
    assert scene.now <= 100 + scene.patience


def test_refused_for_too_long_after_a_loss(scene: Scene) -> None:
    """It may be stored, so that is what is said."""
    scene.script = [gives(LOSS), *[gives(REFUSAL)] * 50]
    with pytest.raises(RequestTimeoutError) as caught:
        scene.commit()
    assert caught.value.__cause__ is REFUSAL


def test_lost_for_too_long(scene: Scene) -> None:
    def lose(scene: Scene) -> ObjStoreError:
        scene.now += 0.6
        return LOSS

    scene.script = [lose] * 10
    with pytest.raises(RequestTimeoutError):
        scene.commit()
    assert len(scene.script) == 8


def test_overtaken_for_too_long(scene: Scene) -> None:
    def overtake(scene: Scene) -> ObjStoreError:
        scene.now += 0.3
        scene.put(THEIRS)
        return MISMATCH

    scene.script = [overtake] * 10
    with pytest.raises(RevisionMismatchError, match="was changed by somebody else"):
        scene.commit()
    assert len(scene.script) == 6


def test_overtaken_too_often(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "_TRIES", 5)
    scene.script = [gives(MISMATCH, THEIRS)] * 10
    with pytest.raises(RevisionMismatchError):
        scene.commit()
    assert len(scene.script) == 5


@pytest.mark.parametrize("earlier", [[], [gives(REFUSAL)]])
def test_an_error_that_stays(scene: Scene, earlier: list[Event]) -> None:
    denied = PermissionDeniedError("no", subject="s")
    scene.script = [*earlier, gives(denied), gives(LOSS)]
    with pytest.raises(PermissionDeniedError):
        scene.commit()
    assert len(scene.script) == 1


def test_an_error_that_stays_after_a_loss(scene: Scene) -> None:
    """What was lost may be stored: nobody is to remove its chunks."""
    denied = PermissionDeniedError("no", subject="s")
    scene.script = [gives(LOSS), gives(denied)]
    with pytest.raises(RequestTimeoutError) as caught:
        scene.commit()
    assert caught.value.__cause__ is denied


def test_a_connection_that_is_closed_after_a_loss(scene: Scene) -> None:
    scene.script = [gives(LOSS), gives(ConnectionClosedError("closed"))]
    with pytest.raises(ConnectionClosedError):
        scene.commit()


@pytest.mark.parametrize("has_room", [True, False])
def test_a_full_bucket(scene: Scene, has_room: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tombstones make room, once."""
    asked: list[object] = []

    def make_room(records: object) -> bool:
        asked.append(records)
        return has_room

    monkeypatch.setattr(commit, "make_room", make_room)
    scene.script = [gives(StorageFullError("full")), gives(REFUSAL)]
    if has_room:
        assert scene.commit().nuid == "ours"
        assert scene.log == [AGAIN, AGAIN, "wait", AGAIN]
    else:
        with pytest.raises(StorageFullError):
            scene.commit()
    assert len(asked) == 1


def test_a_bucket_that_stays_full(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "make_room", lambda _records: True)
    scene.script = [gives(StorageFullError("full"))] * 3
    with pytest.raises(StorageFullError):
        scene.commit()
    assert len(scene.script) == 1
