"""put, get and cat."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import threading
from base64 import urlsafe_b64encode
from pathlib import Path

import click
import pytest

from objstore import Client, ObjectStore
from objstore.cli import objects
from tests.cli.conftest import Process, Run

pytestmark = pytest.mark.newest_server

BINARY = bytes(range(256)) * 40

NAMES = [
    "with space.txt",
    "Grüße/猫.bin",
    "-leading",
    "--json",
    "a/b/c",
    "line\nbreak",
    "tab\tand \x1b[31mred",
    "../../etc/passwd",
    "x" * 200,
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def digest(data: bytes) -> str:
    return "SHA-256=" + urlsafe_b64encode(hashlib.sha256(data).digest()).decode()


# --- put


def test_put_prints_name_size_and_digest(run: Run, store: ObjectStore, here: Path) -> None:
    (here / "cat.jpg").write_bytes(BINARY)
    result = run("put", store.name, "cat.jpg")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"cat.jpg  10.0 KiB  {digest(BINARY)[8:20]}\n"
    info = store.info("cat.jpg")
    assert info is not None
    assert info.mime == "image/jpeg"
    assert store.read_bytes("cat.jpg") == BINARY


def test_put_with_everything(run: Run, store: ObjectStore, here: Path) -> None:
    (here / "a").write_bytes(BINARY)
    options = ["--name", "x/y", "--mime", "text/x-test", "--description", "Früchte"]
    options += ["--header", "Author: Joe", "--header", "Author: Ann", "--header", "K:V"]
    result = run("put", store.name, "a", *options, "--chunk-size", "1k", "--json")
    assert result.exit_code == 0
    fields = json.loads(result.stdout)
    info = store.info("x/y")
    assert info is not None
    assert info.header_values == {
        "Author": ["Joe", "Ann"],
        "K": ["V"],
        "Content-Type": ["text/x-test"],
    }
    assert (info.description, info.chunks, info.options.chunk_size) == ("Früchte", 10, 1024)
    assert fields["name"] == "x/y"
    assert fields["digest"] == digest(BINARY)
    assert fields["headers"] == info.header_values
    assert (fields["size"], fields["chunks"], fields["mime"]) == (10240, 10, "text/x-test")
    assert fields["revision"] == info.revision


def test_put_of_what_expires(run: Run, store: ObjectStore) -> None:
    result = run("put", store.name, "-", "--name", "x", "--ttl", "1h30m", "--json", stdin=BINARY)
    assert result.exit_code == 0
    assert 5390 < json.loads(result.stdout)["ttl"] <= 5400
    assert run("put", store.name, "-", "--name", "y", "--ttl", "0", stdin=b"").exit_code == 2
    assert run("put", store.name, "-", "--name", "y", "--ttl", "soon").exit_code == 2


def test_put_of_several_files(run: Run, store: ObjectStore, here: Path) -> None:
    for name in ("a", "b", "c"):
        (here / name).write_bytes(name.encode())
    result = run("--json", "put", store.name, "a", "b", "./c")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["name"] for line in lines] == ["a", "b", "c"]
    assert store.read_bytes("c") == b"c"


def test_put_of_stdin(run: Run, store: ObjectStore) -> None:
    assert run("put", store.name, "-", "--name", "a.json", stdin=BINARY).exit_code == 0
    assert store.read_bytes("a.json") == BINARY
    info = store.info("a.json")
    assert info is not None
    assert info.mime == "application/json"
    run("put", store.name, "-", "--name", "a.json", "--mime", "x/y", stdin=b"")
    info = store.info("a.json")
    assert info is not None
    assert (info.mime, info.size) == ("x/y", 0)


def test_put_of_a_fifo(run: Run, store: ObjectStore, here: Path) -> None:
    os.mkfifo(here / "fifo")
    writer = threading.Thread(target=(here / "fifo").write_bytes, args=[BINARY])
    writer.start()
    assert run("put", store.name, "fifo").exit_code == 0
    writer.join()
    assert store.read_bytes("fifo") == BINARY


def test_nothing_is_sent_unless_all_can_be(run: Run, store: ObjectStore, here: Path) -> None:
    (here / "a").write_bytes(b"a")
    (here / "d").mkdir()
    (here / "d" / "a").write_bytes(b"a")
    os.close(os.open(b"bad\xff", os.O_CREAT))
    for words, complaint in [
        (["a", "missing"], "missing"),
        (["a", "d"], "directory"),
        (["a", "d/a"], "two of the files"),
        (["a", "-"], "stdin (-) is stored alone"),
        (["a", "d/a", "--name", "x"], "--name names one object"),
        (["-"], "needs a --name"),
        (["a", os.fsdecode(b"bad\xff")], "is not UTF-8"),
        ([], "FILE"),
        (["a", "--chunk-size", "many"], "'many' is not a size"),
        (["a", "--chunk-size", "0"], "chunk_size is 0"),
        (["a", "--header", "x"], "NAME:VALUE"),
        (["a", "--name", ""], "cannot be empty"),
    ]:
        result = run("put", store.name, *words)
        assert result.exit_code == 2, words
        assert complaint in result.stderr, words
        assert result.stderr.count("\n") == 1
        assert result.stdout == ""
    assert list(store.list()) == []
    assert run("put", store.name, os.fsdecode(b"bad\xff"), "--name", "good").exit_code == 0


def test_put_creates_a_bucket_if_asked(run: Run, client: Client, here: Path) -> None:
    (here / "a").write_bytes(b"a")
    assert run("put", "created-by-put", "a").exit_code == 1
    try:
        assert run("put", "created-by-put", "a", "--create").exit_code == 0
        assert run("cat", "created-by-put", "a").stdout == "a"
    finally:
        assert client.delete_store("created-by-put")


# --- get


@pytest.mark.parametrize("name", NAMES)
def test_every_name_there_and_back(run: Run, store: ObjectStore, here: Path, name: str) -> None:
    data = name.encode() + BINARY
    (here / "source").write_bytes(data)
    assert run("put", store.name, "source", f"--name={name}").exit_code == 0
    assert run("ls", "-r", store.name).stdout_bytes == name.encode() + b"\n"
    assert json.loads(run("ls", "-r", store.name, "--json").stdout)["name"] == name
    assert json.loads(run("info", "--json", store.name, "--", name).stdout)["name"] == name
    assert run("get", store.name, "-o", "copy", "--", name).exit_code == 0
    assert (here / "copy").read_bytes() == data
    assert run("get", store.name, "--", name).exit_code == 0
    last = name.rpartition("/")[2]
    assert sorted(path.name for path in here.iterdir()) == sorted({"source", "copy", last})
    assert (here / last).read_bytes() == data
    assert run("cat", store.name, "--", name).stdout_bytes == data
    assert run("rm", store.name, "--", name).exit_code == 0
    assert name not in store


@pytest.mark.parametrize("name", ["a/", "/", "..", ".", "a/..", "nul\0"])
def test_names_that_no_file_can_have(run: Run, store: ObjectStore, here: Path, name: str) -> None:
    store.put(name, BINARY)
    result = run("get", store.name, name)
    assert result.exit_code == 2
    assert "no file can be named after" in result.stderr
    assert list(here.iterdir()) == []
    assert run("get", store.name, name, "-o", "x").exit_code == 0
    assert (here / "x").read_bytes() == BINARY


def test_a_second_separator_is_none_of_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "altsep", "\\")
    with pytest.raises(click.UsageError):
        objects.last_part("a\\b")


def test_where_get_writes(run: Run, store: ObjectStore, here: Path) -> None:
    store.put("a/b.txt", BINARY)
    (here / "d").mkdir()
    for output, path in [("d", "d/b.txt"), ("d/", "d/b.txt"), ("d/c", "d/c"), ("e", "e")]:
        result = run("get", store.name, "a/b.txt", "-o", output)
        assert result.exit_code == 0
        assert (here / path).read_bytes() == BINARY
        assert result.stdout == f"{path}  10.0 KiB  {digest(BINARY)[8:20]}\n"
    fields = json.loads(run("get", store.name, "a/b.txt", "--json").stdout)
    assert (fields["path"], fields["name"]) == ("b.txt", "a/b.txt")
    assert run("get", store.name, "a/b.txt", "-o", "-").stdout_bytes == BINARY
    assert run("get", store.name, "a/b.txt", "-o", "-", "--json").stdout_bytes == BINARY


def test_where_get_cannot_write(run: Run, store: ObjectStore, here: Path) -> None:
    store.put("a/d", BINARY)
    (here / "d").mkdir()
    for words, complaint in [
        (["a/d"], "'d' is a directory"),
        (["a/d", "-o", "nowhere/x"], "no directory 'nowhere'; make it with: mkdir -p nowhere"),
        (["a/*", "-o", "nowhere"], "a / at its end makes one"),
    ]:
        result = run("get", store.name, *words)
        assert result.exit_code == 2
        assert complaint in result.stderr
    assert [path.name for path in here.iterdir()] == ["d"]


def test_a_folder_that_is_missing_is_made(run: Run, store: ObjectStore, here: Path) -> None:
    """Where the line says that it is one; nothing stays of it if there is no such object."""
    store.put("a/1", b"one")
    store.put("a/2", b"two")
    for words in (["get", "{}:a/*", "-o", "new/all/"], ["cp", "{}:a/*", "copied/all/"]):
        result = run(*(word.format(store.name) for word in words))
        assert result.exit_code == 0
        folder = here / words[-1]
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
            "1": b"one",
            "2": b"two",
        }
    assert run("get", store.name, "a/1", "one/").exit_code == 0
    assert run("get", store.name, "nope", "none/").exit_code == 1
    assert sorted(path.name for path in here.iterdir()) == ["copied", "new", "one"]


def test_a_file_is_replaced_only_by_a_whole_one(
    run: Run, client: Client, store: ObjectStore, here: Path
) -> None:
    info = store.put("a", BINARY, chunk_size=1000)
    (here / "a").write_bytes(b"old")
    # A chunk vanishes behind the object's back.
    client._jetstream.call(
        f"STREAM.MSG.DELETE.OBJ_{store.name}", {"seq": info.revision - 3}, "deleting"
    )
    result = run("get", store.name, "a")
    assert result.exit_code == 4
    assert "damaged" in result.stderr
    assert (here / "a").read_bytes() == b"old"
    assert [path.name for path in here.iterdir()] == ["a"]
    store.put("a", BINARY)
    assert run("get", store.name, "a").exit_code == 0
    assert (here / "a").read_bytes() == BINARY


def test_a_link_is_kept_and_its_target_replaced(run: Run, store: ObjectStore, here: Path) -> None:
    store.put("a", BINARY)
    (here / "d").mkdir()
    (here / "d" / "real").write_bytes(b"old")
    (here / "a").symlink_to("d/real")
    assert run("get", store.name, "a").exit_code == 0
    assert (here / "a").is_symlink()
    assert (here / "d" / "real").read_bytes() == BINARY


def test_what_is_no_file_is_written_and_not_replaced(
    run: Run, store: ObjectStore, here: Path
) -> None:
    store.put("a", BINARY)
    assert run("get", store.name, "a", "-o", os.devnull).exit_code == 0
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    os.mkfifo(here / "fifo")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append((here / "fifo").read_bytes()))
    reader.start()
    assert run("get", store.name, "a", "-o", "fifo").exit_code == 0
    reader.join()
    assert read == [BINARY]
    assert stat.S_ISFIFO(os.stat(here / "fifo").st_mode)


def test_what_is_not_there(run: Run, store: ObjectStore, here: Path) -> None:
    for words in [
        ("get", store.name, "x"),
        ("get", store.name, "x", "-o", "-"),
        ("cat", store.name, "x"),
        ("info", store.name, "x"),
        ("rm", store.name, "x"),
    ]:
        result = run(*words)
        assert result.exit_code == 1, words
        assert result.stderr == f"objstore: there is no object 'x' in bucket {store.name}\n"
        assert result.stdout == ""
    assert list(here.iterdir()) == []


# --- cat


@pytest.mark.parametrize("chunk_size", [None, 100, 7])
@pytest.mark.parametrize(
    ("part", "cut"),
    [("0-99", slice(0, 100)), ("250-", slice(250, None)), ("-16", slice(-16, None)),
     ("99-100", slice(99, 101)), ("5-5", slice(5, 6)), ("0-9999", slice(None)),
     ("400-500", slice(0, 0))],
)  # fmt: skip
def test_cat_of_a_range(
    run: Run, store: ObjectStore, part: str, cut: slice, chunk_size: int | None
) -> None:
    data = bytes(range(256)) + b"tail"
    store.put("a", data, chunk_size=chunk_size)
    result = run("cat", store.name, "a", "--range", part)
    assert (result.exit_code, result.stdout_bytes) == (0, data[cut])


def test_cat_of_several(run: Run, store: ObjectStore) -> None:
    store.put("a", b"A\r\n")
    store.put("b", b"\0B")
    store.put("empty", b"")
    assert run("cat", store.name, "a", "empty", "b", "a").stdout_bytes == b"A\r\n\0BA\r\n"
    assert run("cat", store.name, "a", "b", "--range", "1-1").stdout_bytes == b"\rB"


def test_cat_refuses_bad_ranges(run: Run, store: ObjectStore) -> None:
    assert run("cat", store.name, "a", "--range", "3-2").exit_code == 2
    assert run("cat", store.name).exit_code == 2


def test_objects_are_named_in_two_ways(run: Run, store: ObjectStore, here: Path) -> None:
    (here / "a.txt").write_bytes(b"A")
    assert run("put", f"{store.name}:docs/a.txt", "a.txt").exit_code == 0
    assert run("put", f"{store.name}:more/", "a.txt").exit_code == 0
    assert sorted(info.name for info in store.list()) == ["docs/a.txt", "more/a.txt"]
    for words in ([store.name, "docs/a.txt"], [f"{store.name}:docs/a.txt"]):
        assert run("cat", *words).stdout_bytes == b"A"
        assert run("info", *words, "--json").exit_code == 0
        assert run("get", *words).exit_code == 0
        assert run("get", *words, "b.txt").exit_code == 0
        assert (here / "b.txt").read_bytes() == b"A"
        (here / "b.txt").unlink()
    store.put("odd:name", b"O")
    assert run("cat", store.name, "odd:name").stdout_bytes == b"O"
    assert run("cat", f"{store.name}:odd:name").stdout_bytes == b"O"


def test_words_that_make_no_place(run: Run, store: ObjectStore, here: Path) -> None:
    (here / "a").write_bytes(b"A")
    bucket = store.name
    for words, complaint in [
        (["cat", bucket], f"which object of {bucket}?"),
        (["get", bucket], f"which object of {bucket}?"),
        (["cat", f"{bucket}:a", "b"], f"write {bucket}:b"),
        (["cat", f"s3://{bucket}/a"], "try: objstore --server"),
        (["cat", f"s3://{bucket}/a"], f" cat {bucket}:a"),
        (["cat", f"{bucket}/a"], "did you mean: objstore --server 'nats://***@127.0.0.1:"),
        (["get", bucket, "a", "b", "c"], "one object at a time"),
        (["get", bucket, "a", "b", "-o", "c"], "two targets"),
        (["put", f"{bucket}:x", "a", "--name", "y"], "two names"),
        (["put", f"{bucket}:x", "a", "a"], "several files"),
        (["link", f"{bucket}:x"], "words missing"),
        (["info", bucket, "a", "b"], "one word too many"),
    ]:
        result = run(*words)
        assert result.exit_code == 2, words
        assert complaint in result.stderr, words
        assert result.stderr.count("\n") == 1


def test_globs(run: Run, store: ObjectStore, here: Path) -> None:
    for name in ("docs/a.txt", "docs/b.txt", "docs/c.pdf", "docs/deep/a.txt"):
        store.put(name, name.encode())
    texts = f"{store.name}:docs/*.txt"
    assert run("cat", texts).stdout == "docs/a.txtdocs/b.txt"
    assert run("ls", texts).stdout.splitlines() == ["docs/a.txt", "docs/b.txt"]
    assert run("ls", f"{store.name}:**/a.txt").stdout.splitlines() == [
        "docs/a.txt",
        "docs/deep/a.txt",
    ]
    (here / "out").mkdir()
    assert run("get", texts, "-o", "out").exit_code == 0
    assert sorted(path.name for path in (here / "out").iterdir()) == ["a.txt", "b.txt"]
    assert run("get", texts, "-o", "nowhere").exit_code == 2
    same = run("get", f"{store.name}:**/a.txt", "-o", "out")
    assert same.exit_code == 2
    assert "would be the same file" in same.stderr
    nothing = run("cat", f"{store.name}:*.none")
    assert nothing.exit_code == 1
    assert nothing.stderr == f"objstore: no object of bucket {store.name} fits '*.none'\n"
    store.put("docs/*.txt", b"literally")
    assert run("cat", texts).stdout == "literally"


def test_folders_there_and_back(run: Run, store: ObjectStore, here: Path) -> None:
    (here / "pets" / "wild").mkdir(parents=True)
    (here / "pets" / "cat.jpg").write_bytes(b"cat")
    (here / "pets" / "wild" / "fox.jpg").write_bytes(b"fox")
    assert run("put", store.name, "pets").exit_code == 2
    assert run("put", "-r", f"{store.name}:2026/", "pets").exit_code == 0
    names = sorted(info.name for info in store.list())
    assert names == ["2026/pets/cat.jpg", "2026/pets/wild/fox.jpg"]
    result = run("get", "-r", f"{store.name}:2026/pets", "-o", "back")
    assert result.stdout == "2 copied (6 B), 0 unchanged\n"
    assert (here / "back" / "pets" / "wild" / "fox.jpg").read_bytes() == b"fox"
    assert "2 unchanged" in run("get", "-r", store.name, "2026/pets/", "-o", "back").stdout
    assert run("get", "-r", f"{store.name}:nothing").exit_code == 1
    assert "without -r" in run("get", "-r", f"{store.name}:2026/*").stderr
    assert run("put", "-r", store.name, "pets/.").exit_code == 0
    assert "cat.jpg" in store


def test_get_to_stdout_by_its_path(process: Process, store: ObjectStore) -> None:
    store.put("x", BINARY)
    done = process.run("get", store.name, "x", "-o", "/dev/stdout")
    assert (done.stdout, done.stderr) == (BINARY, b"")
