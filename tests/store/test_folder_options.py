"""What can be said of a folder's transfer beside what is meant; and copies between buckets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from objstore import Client, FolderReport, InvalidOptionError, ObjectStore
from tests.store.test_folders import FILES, age, contents, folder
from tests.support.proxy import Line, Proxy, metadata_of, nth

__all__ = ["folder"]  # a fixture


@pytest.fixture
def other(shared_client: Client, store: ObjectStore) -> Iterator[ObjectStore]:
    """Another bucket."""
    yield shared_client.object_store(f"{store.name}-other")
    shared_client.delete_store(f"{store.name}-other")


# --- what is kept of a file


def test_permissions_where_asked(folder: Path, store: ObjectStore, tmp_path: Path) -> None:
    """There and back; where they alone differ, no content travels; and never setuid."""
    path = folder / next(iter(FILES))
    path.chmod(0o4750)
    store.upload_dir(folder)
    name = path.relative_to(folder).as_posix()
    info = store.info(name)
    assert info is not None
    assert "mode" not in info.metadata
    first = store.upload_dir(folder, mode=True)
    assert (first.transferred, sorted(first.updated)) == ((), sorted(FILES))
    info = store.info(name)
    assert info is not None
    assert info.metadata["mode"] == "0100750"
    assert store.upload_dir(folder, mode=True).unchanged == len(FILES)
    to = tmp_path / "to"
    store.download_dir(to)
    assert (to / name).stat().st_mode & 0o7777 != 0o750
    plan = store.download_dir(to, mode=True, dry_run=True)
    assert name in plan.updated
    assert store.download_dir(to, mode=True).updated == plan.updated
    assert (to / name).stat().st_mode & 0o7777 == 0o750
    assert store.download_dir(tmp_path / "new", mode=True).updated == ()
    assert (tmp_path / "new" / name).stat().st_mode & 0o7777 == 0o750


def test_new_permissions_of_many_travel_together(
    folder: Path, far_store: ObjectStore, store: ObjectStore, proxy: Proxy
) -> None:
    """The first is acknowledged when all have been sent; what others changed meanwhile is left."""
    store.upload_dir(folder)
    is_record = metadata_of(store.name)
    first = proxy.down.hold(proxy.answers(nth(1, is_record)))
    proxy.up.call(nth(1, is_record), lambda: store.put("empty", b"", metadata={"by": "another"}))
    sent: set[str] = set()

    def count(line: Line) -> None:
        if is_record(line):
            sent.add(line.subject)  # each once, should one be sent again
            if len(sent) == len(FILES):
                first.release()

    proxy.up.observe(count)
    done = far_store.upload_dir(folder, mode=True)
    assert sorted(done.updated) == sorted(set(FILES) - {"empty"})
    assert [each.name for each in done.refused] == ["empty"]
    modes = {info.name: info.metadata.get("mode") for info in store.list()}
    assert [name for name in modes if modes[name] is None] == ["empty"]
    assert store.upload_dir(folder, mode=True).unchanged == len(FILES) - 1


@pytest.mark.parametrize("said", ["", "rwx", "0100999", "-750", "07777777777777777"])
def test_modes_that_others_wrote(said: str, store: ObjectStore, tmp_path: Path) -> None:
    """What is none does no harm."""
    store.put("x", b"x", metadata={"mode": said})
    store.download_dir(tmp_path, mode=True)
    before = (tmp_path / "x").stat().st_mode
    assert store.download_dir(tmp_path, mode=True).unchanged == 1
    assert (tmp_path / "x").stat().st_mode == before


def test_a_new_time_alone_is_noted(folder: Path, store: ObjectStore, tmp_path: Path) -> None:
    """On the other side, so that the content need not be read the next time."""
    store.upload_dir(folder)
    store.download_dir(tmp_path / "to")
    name = next(iter(FILES))
    age(folder / name, 1_000_000_007)
    assert store.upload_dir(folder, dry_run=True).updated == (name,)
    report = store.upload_dir(folder)
    assert (report.transferred, report.updated) == ((), (name,))
    assert store.upload_dir(folder).unchanged == len(FILES)
    assert store.download_dir(tmp_path / "to").updated == (name,)
    assert (tmp_path / "to" / name).stat().st_mtime_ns == 1_000_000_007


# --- several at once


@pytest.fixture
def many(tmp_path: Path) -> dict[str, bytes]:
    """Files of all sizes in ``from``."""
    (tmp_path / "from").mkdir()
    made = {f"{number}": bytes([number]) * (100_000 * number) for number in range(8)}
    for name, content in made.items():
        (tmp_path / "from" / name).write_bytes(content)
    return made


@pytest.mark.parametrize("jobs", [1, 3])
def test_large_files_at_once(
    jobs: int, store: ObjectStore, other: ObjectStore, tmp_path: Path, many: dict[str, bytes]
) -> None:
    """All is told of together, bytes and files, whoever transfers them."""
    total = sum(map(len, many.values()))
    seen: list[tuple[int, int | None]] = []
    files: list[tuple[str, int, int]] = []
    options: dict[str, Any] = {
        "jobs": jobs,
        "progress": lambda *told: seen.append(told),
        "on_file": lambda *told: files.append(told),
    }
    acts: list[Callable[[], FolderReport]] = [
        lambda: store.upload_dir(tmp_path / "from", **options),
        lambda: store.copy_dir("", "", target=other, **options),
        lambda: other.download_dir(tmp_path / "to", **options),
    ]
    for act in acts:
        assert sorted(act().transferred) == sorted(many)
        assert seen[-1] == (total, total)
        assert sorted(done for done, _ in seen) == [done for done, _ in seen]
        assert [told[1:] for told in files] == [(count, 8) for count in range(1, 9)]
        assert {told[0] for told in files} == set(many)
        seen.clear()
        files.clear()
    assert contents(tmp_path / "to") == many


def test_a_failure_ends_the_others(
    store: ObjectStore, tmp_path: Path, many: dict[str, bytes]
) -> None:
    """And nothing half done stays, which the fixture of the bucket sees to."""

    def fail(done: int, _: int | None) -> None:
        if done > 1_000_000:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.upload_dir(tmp_path / "from", progress=fail, jobs=2)
    assert 0 < len(list(store)) < len(many)
    store.upload_dir(tmp_path / "from")
    with pytest.raises(ZeroDivisionError):
        store.download_dir(tmp_path / "to", progress=fail, jobs=2)
    found = contents(tmp_path / "to")
    assert found == {name: many[name] for name in found}
    assert len(found) < len(many)


@pytest.mark.parametrize(
    "options", [{"jobs": 0}, {"jobs": 65}, {"jobs": 2.0}, {"jobs": True}, {"on_file": "x"}]
)
def test_bad_options(options: dict[str, Any], store: ObjectStore, tmp_path: Path) -> None:
    acts: list[Callable[[], FolderReport]] = [
        lambda: store.upload_dir(tmp_path, **options),
        lambda: store.download_dir(tmp_path, **options),
        lambda: store.copy_dir("a", "b", **options),
    ]
    for act in acts:
        with pytest.raises(InvalidOptionError, match=next(iter(options))):
            act()


# --- from bucket to bucket


def test_copies(store: ObjectStore, other: ObjectStore) -> None:
    """With all that describes them; what is the same stays, and what is gone goes if asked for."""
    content = {"p/small": b"s", "p/empty": b"", "p/sub/large": bytes(300_000)}
    for name, payload in content.items():
        store.put(name, payload, mime="x/y", headers={"H": ["1", "2"]}, metadata={"k": "v"})
    store.link("p/link", (store.name, "p/small"))
    store.link_store("p/all", other)
    store.put("elsewhere", b"x")
    other.put("q/gone", b"x")
    other.put("q/small", b"other")
    plan = store.copy_dir("p", "q", target=other, delete=True, dry_run=True)
    assert [info.name for info in other.list()] == ["q/gone", "q/small"]
    done = store.copy_dir("p", "q", target=other, delete=True)
    assert sorted(done.transferred) == ["q/empty", "q/link", "q/small", "q/sub/large"]
    assert (done.deleted, done.replaced) == (("q/gone",), ("q/small",))
    assert [each.name for each in done.skipped] == ["p/all"]
    assert (plan.transferred, plan.deleted) == (done.transferred, done.deleted)
    for name, payload in {**content, "p/link": b"s"}.items():
        info = other.info(f"q{name[1:]}")
        assert info is not None
        assert other.read_bytes(info.name) == payload
        assert (info.mime, info.metadata) == ("x/y", {"k": "v"})
        assert info.header_values["H"] == ["1", "2"]
    again = store.copy_dir("p", "q", target=other)
    assert (again.transferred, again.unchanged) == ((), 4)
    assert store.copy_dir("", "", target=other, include=["elsewhere"]).bytes == 1


@pytest.mark.needs_server("2.11")
def test_copies_that_expire(store: ObjectStore, other: ObjectStore) -> None:
    """How long they live is copied as all else."""
    store.put("x", b"x", ttl=3600)
    store.copy_dir("", "", target=other)
    info = other.info("x")
    assert info is not None
    assert info.ttl == timedelta(hours=1)


def test_many_small_copies(store: ObjectStore, other: ObjectStore) -> None:
    names = [f"{number}" for number in range(300)]
    store.put_many((name, name.encode()) for name in names)
    assert len(store.copy_dir("", "sub", target=other).transferred) == 300
    assert dict(other.get_many(f"sub/{n}" for n in names)) == {
        f"sub/{n}": n.encode() for n in names
    }


@pytest.mark.parametrize(("prefix", "new"), [("a", "a/b"), ("a/b", "a"), ("", "a"), ("a", "a")])
def test_a_copy_into_itself(store: ObjectStore, prefix: str, new: str) -> None:
    store.put("a/b/c", b"x")
    with pytest.raises(InvalidOptionError, match="in each other"):
        store.copy_dir(prefix, new)
    assert store.copy_dir("a", "ab").transferred == ("ab/b/c",)
    with pytest.raises(InvalidOptionError, match="target"):
        store.copy_dir("a", "b", target="x")  # type: ignore[arg-type]


def test_what_changes_while_it_is_copied(store: ObjectStore, other: ObjectStore) -> None:
    """What is deleted is told of; what is overwritten is copied as it is now."""
    for name in ("a", "b", "c"):
        store.put(name, bytes(200_000))

    def change(name: str, _done: int, _total: int) -> None:
        if name == "a":
            store.delete("b")
            store.put("c", b"new")

    report = store.copy_dir("", "", target=other, jobs=1, on_file=change)
    assert report.transferred == ("a", "c")
    assert report.refused == (("b", "was deleted meanwhile"),)
    assert other.read_bytes("c") == b"new"
