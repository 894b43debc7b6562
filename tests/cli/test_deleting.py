"""rm, rmb, seal and gc."""

from __future__ import annotations

import json

import pytest

from objstore import Client, ObjectStore
from tests.cli.conftest import Process, Run
from tests.cli.test_process import on_terminal_with_answer

pytestmark = pytest.mark.newest_server


#: In the folder 2019.
NAMES = ["x.tmp", "y.tmp", "deep/z.tmp", "keep"]


def names(store: ObjectStore) -> list[str]:
    return sorted(info.name for info in store.list())


def fill(store: ObjectStore) -> None:
    for name in ("a", *(f"2019/{name}" for name in NAMES)):
        store.put(name, name.encode(), mime="text/plain")


def test_rm_goes_on_when_one_is_missing(run: Run, store: ObjectStore) -> None:
    for name in ("a", "b", "c"):
        store.put(name, name.encode())
    result = run("rm", store.name, "a", "nothing", "b")
    assert result.exit_code == 1
    assert result.stderr == f"objstore: there is no object 'nothing' in bucket {store.name}\n"
    assert names(store) == ["c"]


def test_rm_of_globs_and_folders(run: Run, store: ObjectStore) -> None:
    fill(store)
    dry = run("rm", f"{store.name}:2019/*.tmp", "--dry-run")
    assert dry.stdout.splitlines() == ["2019/x.tmp", "2019/y.tmp"]
    assert len(names(store)) == 5
    assert run("rm", f"{store.name}:2019/*.tmp").exit_code == 0
    assert names(store) == ["2019/deep/z.tmp", "2019/keep", "a"]
    missing = run("rm", f"{store.name}:*.none")
    assert missing.exit_code == 1
    assert "'*.none'" in missing.stderr
    assert run("rm", "-r", f"{store.name}:2019", "--json").exit_code == 0
    assert names(store) == ["a"]
    assert run("rm", "-r", f"{store.name}:2019").exit_code == 1
    assert run("rm", "-r", store.name).exit_code == 0
    assert names(store) == []
    assert run("rm", "-r", store.name).exit_code == 0  # an empty bucket is one, too


def test_rm_of_what_fits_and_of_all_in_it(run: Run, store: ObjectStore) -> None:
    """With -r a glob means folders, too, as in a shell; not where it is a name itself."""
    fill(store)
    for name in ("2020/a", "b/2019/c", "[ab]", "b*/x"):
        store.put(name, b"")
    dry = run("rm", "-r", f"{store.name}:[ab]", f"{store.name}:a", "--dry-run")
    assert dry.stdout.splitlines() == ["[ab]", "a"]
    assert run("rm", "-r", f"{store.name}:[ab]").exit_code == 0
    assert run("rm", "-r", f"{store.name}:b*").exit_code == 0
    assert names(store) == sorted(["a", "b/2019/c", "2020/a", *(f"2019/{n}" for n in NAMES)])
    dry = run("rm", "-r", f"{store.name}:2019/*e*", "--dry-run")
    assert dry.stdout.splitlines() == ["2019/deep/z.tmp", "2019/keep"]
    assert run("rm", "-r", f"{store.name}:20*").exit_code == 0
    assert names(store) == ["a", "b/2019/c"]
    for more in ([], ["--dry-run"]):
        missing = run("rm", "-r", f"{store.name}:20*", *more)
        assert (missing.exit_code, "no object '20*'" in missing.stderr) == (1, True)


def test_rm_in_json(run: Run, store: ObjectStore) -> None:
    store.put("a", b"")
    result = run("rm", store.name, "a", "b", "--json")
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {"bucket": store.name, "name": "a", "deleted": True},
        {"bucket": store.name, "name": "b", "deleted": False},
    ]


@pytest.mark.parametrize(("answer", "left"), [(b"n\n", 5), (b"y\n", 1)])
def test_on_a_terminal_it_asks(
    process: Process, store: ObjectStore, answer: bytes, left: int
) -> None:
    fill(store)
    shown, code = on_terminal_with_answer(process, answer, "rm", "-r", f"{store.name}:2019/")
    assert b"Delete 4 objects of " in shown
    assert len(names(store)) == left
    assert code == (0 if left == 1 else 4)


def test_force_asks_nothing(process: Process, store: ObjectStore) -> None:
    fill(store)
    shown, code = on_terminal_with_answer(process, b"", "rm", "-rf", f"{store.name}:2019/")
    assert (code, b"Delete" in shown) == (0, False)
    assert names(store) == ["a"]


def test_rmb(run: Run, process: Process, client: Client) -> None:
    client.object_store("rmb-1").put("a", b"x" * 2048)
    client.object_store("rmb-2")
    shown, code = on_terminal_with_answer(process, b"n\n", "rmb", "rmb-1")
    assert b"Delete bucket rmb-1 with its 1 object (2.0 KiB)?" in shown
    assert code == 4
    assert client.object_store("rmb-1", create=False).name == "rmb-1"
    assert run("rmb", "rmb-1:a").exit_code == 2
    result = run("rmb", "rmb-1", "rmb-none", "rmb-2", "--json")
    assert result.exit_code == 1
    assert [json.loads(line)["deleted"] for line in result.stdout.splitlines()] == [
        True,
        False,
        True,
    ]


def test_seal(run: Run, store: ObjectStore) -> None:
    assert run("seal", store.name).stdout == f"{store.name}  sealed\n"
    assert store.status().sealed
    assert run("put", f"{store.name}:x", "-", stdin=b"x").exit_code == 4


@pytest.mark.leaves_chunks("they are what is collected")
def test_gc(run: Run, client: Client, store: ObjectStore) -> None:
    client.connection.publish(f"$O.{store.name}.C.LOST", payload=b"x" * 100)
    client.connection.ping()
    said = run("fsck", store.name).stdout.splitlines()
    assert said[0].endswith("all is well")
    assert said[1].startswith("1 chunk of no object")
    young = run("gc", store.name).stdout
    assert ("0 chunks" in young, "younger than --min-age stays" in young) == (True, True)
    dry = run("gc", store.name, "--min-age", "0", "--dry-run").stdout
    assert dry.startswith("1 chunk of 1 upload (100 B)")
    assert dry.endswith("would be removed\n")
    fields = json.loads(run("gc", store.name, "--min-age", "0", "--json").stdout)
    assert (fields["chunks"], fields["nuids"]) == (1, ["LOST"])
    assert "0 chunks" in run("gc", store.name, "--min-age", "0").stdout
