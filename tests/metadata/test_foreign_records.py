"""What others left in a bucket: delete markers, records that nobody can read, older spellings."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from objstore import (
    Client,
    DigestMismatchError,
    LocalServer,
    ObjectCorruptError,
    ObjectExistsError,
    ObjectInfo,
    ObjectNotFoundError,
    ObjectStore,
    RevisionMismatchError,
)
from objstore.metadata.records import PendingElsewhere
from objstore.model.objects import encode_digest, meta_subject
from objstore.model.spellings import other_subjects
from objstore.wire.jetstream.access import Access
from objstore.wire.jetstream.answers import StoredMessage
from tests.support.streams import api, chunk_counts, orphans, subjects
from tests.support.waiting import PATIENCE, eventually

MARKER = {"Nats-Marker-Reason": "MaxAge", "Nats-Rollup": "sub"}


def publish(
    client: Client, subject: str, payload: bytes, headers: dict[str, str] | None = None
) -> int:
    """Store a message as it is: its sequence."""
    answer = json.loads(
        client.connection.request(subject, payload=payload, headers=headers).payload
    )
    assert "error" not in answer, answer
    return int(answer["seq"])


def theirs(name: str, content: bytes, **fields: Any) -> dict[str, Any]:
    """A record of another client's."""
    return {
        "name": name, "bucket": "b", "nuid": "N" * 22, "size": len(content),
        "chunks": 1 if content else 0, "digest": encode_digest(hashlib.sha256(content).digest()),
        **fields,
    }  # fmt: skip


def store_theirs(
    client: Client, store: ObjectStore, subject: str, name: str, content: bytes, **fields: Any
) -> dict[str, Any]:
    """An object of another client's: one chunk, and the record under any subject."""
    record = theirs(name, content, **fields)
    publish(client, f"$O.{store.name}.C.{record['nuid']}", content)
    publish(client, subject, json.dumps(record).encode())
    return record


# --- delete markers (ADR-43)


@pytest.fixture(params=["MaxAge", "Purge", "Remove"])
def marked(request: pytest.FixtureRequest, store: ObjectStore, shared_client: Client) -> int:
    """The name "gone" has a delete marker for its last record, "kept" is an object."""
    store.put("kept", b"k")
    headers = {**MARKER, "Nats-Marker-Reason": request.param}
    return publish(shared_client, meta_subject(store.name, "gone"), b"", headers)


def test_a_marker_reads_as_deleted(marked: int, store: ObjectStore) -> None:
    assert store.info("gone") is None
    assert store.get("gone") is None
    assert store.resolve("gone") is None
    assert "gone" not in store
    assert [info.name for info in store] == ["kept"]
    assert dict(store.get_many(["gone", "kept"])) == {"gone": None, "kept": b"k"}
    for read in (
        lambda: store.read_bytes("gone"),
        lambda: store.read_text("gone"),
        lambda: store.read_range("gone", 0, 1),
        lambda: store.open("gone"),
        lambda: store.verify("gone"),
        lambda: store.update("gone", description="d"),
        lambda: store.update("gone", new_name="other"),
        lambda: store.copy("gone", "other"),
        lambda: store.link("link", (store.name, "gone")),
    ):
        with pytest.raises(ObjectNotFoundError):
            read()
    assert store.delete("gone") is False
    report = store.verify()
    assert report.ok
    assert report.objects == 1


def test_a_marker_is_a_tombstone(marked: int, store: ObjectStore) -> None:
    info = store.info("gone", include_deleted=True)
    assert info is not None
    assert (info.name, info.deleted, info.size, info.revision) == ("gone", True, 0, marked)
    assert info.mtime is not None
    listed = {info.name: info.deleted for info in store.list(include_deleted=True)}
    assert listed == {"kept": False, "gone": True}


WRITES: dict[str, Callable[[ObjectStore], object]] = {
    "put": lambda store: store.put("gone", b"again"),
    "put if absent": lambda store: store.put("gone", b"again", if_revision=0),
    "wb": lambda store: write(store, "wb"),
    "xb": lambda store: write(store, "xb"),
    "put_many": lambda store: store.put_many([("gone", b"again")]),
    "copy": lambda store: store.put("x", b"again") and store.copy("x", "gone"),
    "rename": lambda store: store.put("x", b"again") and store.update("x", new_name="gone"),
    "link": lambda store: store.put("x", b"again") and store.link("gone", (store.name, "x")),
}


def write(store: ObjectStore, mode: str) -> None:
    with store.open("gone", mode) as file:
        file.write(b"again")


@pytest.mark.parametrize("how", WRITES)
def test_a_name_with_a_marker_is_free(how: str, store: ObjectStore, shared_client: Client) -> None:
    publish(shared_client, meta_subject(store.name, "gone"), b"", MARKER)
    WRITES[how](store)
    assert store.read_bytes("gone") == b"again"
    assert orphans(shared_client, store) == set()


def test_watchers_are_told_of_a_marker(store: ObjectStore, shared_client: Client) -> None:
    store.put("gone", b"1")
    with store.watch() as watcher, store.watch(ignore_deletes=True) as ignoring:
        assert watcher.next(PATIENCE).deleted is False
        assert ignoring.next(PATIENCE).name == "gone"
        publish(shared_client, meta_subject(store.name, "gone"), b"", MARKER)
        store.put("last", b"2")
        info = watcher.next(PATIENCE)
        assert (info.name, info.deleted) == ("gone", True)
        assert watcher.next(PATIENCE).name == "last"
        assert ignoring.next(PATIENCE).name == "last"
    store.collect_garbage(min_age=0)


def test_a_marker_that_expires_during_a_guarded_put(
    store: ObjectStore, shared_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name was free all along."""
    subject = meta_subject(store.name, "gone")
    sequence = publish(shared_client, subject, b"", MARKER)
    start = store._handle.records.start_publish

    def expire_first(*arguments: Any, piggyback: bool = False) -> Any:
        shared_client._jetstream.purge(f"OBJ_{store.name}", subject, sequence)
        return start(*arguments, piggyback=piggyback)

    monkeypatch.setattr(store._handle.records, "start_publish", expire_first)
    assert store.put("gone", b"again", if_revision=0).size == 5
    assert store.read_bytes("gone") == b"again"


def test_whole_buckets_with_markers(marked: int, store: ObjectStore, shared_client: Client) -> None:
    assert shared_client.store_metrics(store.name).objects == 1
    clone = shared_client.clone_store(store.name, f"{store.name}-clone")
    assert [info.name for info in clone] == ["kept"]
    shared_client.delete_store(clone.name)
    mirror = shared_client.object_store(f"{store.name}-mirror", mirror=store.name)
    eventually(lambda: "kept" in mirror)
    assert "gone" not in mirror
    assert [info.name for info in mirror] == ["kept"]
    shared_client.delete_store(mirror.name)


@pytest.mark.needs_server("2.11")
@pytest.mark.leaves_chunks  # until they expire, a little later than their record
@pytest.mark.parametrize("seconds", [1, 3600])
def test_the_servers_own_markers(seconds: int, store: ObjectStore, shared_client: Client) -> None:
    """Once an object has expired; and what outlives its own time for a marker's sake is gone, too.

    The server lengthens a life time to that of the markers: then what was asked for counts.
    """
    info = api(shared_client.connection, f"STREAM.INFO.OBJ_{store.name}")["config"]
    markers = {"allow_msg_ttl": True, "subject_delete_marker_ttl": seconds * 1_000_000_000}
    answer = api(shared_client.connection, f"STREAM.UPDATE.OBJ_{store.name}", {**info, **markers})
    assert "error" not in answer, answer
    store.status()  # which reads the bucket's settings again
    stored = store.put("gone", b"1", ttl=1)
    store.put("kept", b"k", ttl=3600)

    def expired() -> bool:
        now = store.info("gone")
        assert now is None or now == stored.with_changes(mtime=now.mtime)
        return now is None

    eventually(expired)
    assert [info.name for info in store] == ["kept"]
    assert store.delete("gone") is False

    def record() -> ObjectInfo | None:
        return store.info("gone", include_deleted=True)

    if seconds > 1:  # it is there long after its own time
        there = record()
        assert there is not None
        assert (there.deleted, there.revision) == (True, stored.revision)
    else:
        eventually(lambda: (found := record()) is None or found.revision != stored.revision)
        assert (marker := record()) is None or marker.deleted
    assert store.info("gone") is None
    assert store.put("gone", b"again").size == 5
    kept = store.info("kept")
    assert kept is not None
    assert kept.ttl is not None
    assert kept.ttl.total_seconds() == 3600


# --- records that nobody can read

UNREADABLE = [b"garbage", b"[]", b"{}", b"null", b"", b"\xff", b'{"name":""}', b'{"name":1}',
              b'{"name":"gone","size":-1}', b'{"name":"gone","nuid":"a.>"}']  # fmt: skip


@pytest.mark.parametrize("text", UNREADABLE, ids=repr)
@pytest.mark.parametrize("how", WRITES)
def test_it_is_overwritten(
    how: str,
    text: bytes,
    store: ObjectStore,
    shared_client: Client,
    caplog: pytest.LogCaptureFixture,
) -> None:
    revision = publish(shared_client, meta_subject(store.name, "gone"), text)
    with pytest.raises(ObjectCorruptError) as caught:
        store.info("gone")
    assert caught.value.revision == revision
    with caplog.at_level(logging.WARNING, "objstore"):
        WRITES[how](store)
    assert "is going to be overwritten: malformed metadata" in caplog.text
    assert store.read_bytes("gone") == b"again"
    assert orphans(shared_client, store) == set()


@pytest.mark.parametrize("text", UNREADABLE, ids=repr)
def test_it_is_deleted(text: bytes, store: ObjectStore, shared_client: Client) -> None:
    publish(shared_client, meta_subject(store.name, "gone"), text)
    assert store.delete("gone") is True
    assert store.info("gone") is None
    assert store.delete("gone") is False
    assert store.verify().ok


def test_it_is_guarded_by_its_revision(
    store: ObjectStore, shared_client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    subject = meta_subject(store.name, "gone")
    revision = publish(shared_client, subject, b"{")
    for wrong in (revision - 1, revision + 1):
        if wrong:
            with pytest.raises(RevisionMismatchError):
                store.put("gone", b"again", if_revision=wrong)
            with pytest.raises(RevisionMismatchError):
                store.delete("gone", if_revision=wrong)
    assert store.put("gone", b"again", if_revision=revision).size == 5
    revision = publish(shared_client, subject, b"{")
    assert store.delete("gone", if_revision=revision) is True
    assert "gone" not in store
    caplog.clear()
    publish(shared_client, subject, b"{")
    store.put("gone", b"again")
    assert caplog.text.count("malformed") == 1
    store.collect_garbage(min_age=0)  # what lost its record to what nobody could read


def test_it_is_no_object(store: ObjectStore, shared_client: Client, tmp_path: Path) -> None:
    """Reading it is an error, and so is changing what cannot be read."""
    publish(shared_client, meta_subject(store.name, "gone"), b"{")
    for act in (
        lambda: store.info("gone"),
        lambda: store.get("gone"),
        lambda: store.read_bytes("gone"),
        lambda: dict(store.get_many(["gone"])),
        lambda: store.copy("gone", "x"),
        lambda: store.update("gone", description="d"),
        lambda: store.update("gone", new_name="x"),
        lambda: store.link("x", (store.name, "gone")),
    ):
        with pytest.raises(ObjectCorruptError) as caught:
            act()
        assert caught.value.name == "gone"
    assert store.verify("gone").problems[0].kind == "malformed"
    (tmp_path / "gone").write_bytes(b"again")
    assert store.upload_dir(tmp_path).transferred == ("gone",)
    assert store.read_bytes("gone") == b"again"


def test_its_chunks_are_left_to_the_garbage_collection(
    store: ObjectStore, shared_client: Client
) -> None:
    """As long as its text speaks of them they stay."""
    nuid = store.put("gone", b"1").nuid
    text = json.dumps({"name": "gone", "nuid": nuid, "size": -1}).encode()
    publish(shared_client, meta_subject(store.name, "gone"), text)
    assert store.collect_garbage(min_age=0).chunks == 0
    store.put("gone", b"again")
    assert nuid in chunk_counts(shared_client, store)
    assert store.collect_garbage(min_age=0).nuids == (nuid,)
    assert store.read_bytes("gone") == b"again"


# --- headers and digests


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"inner": {"Content-Type": ["a/b"]}}, {"Content-Type": ["a/b"]}),
        ({"inner": {"a": ["1", "2"], "b": ["3"]}}, {"a": ["1", "2"], "b": ["3"]}),
        ({"inner": {"a": "1"}}, {"a": ["1"]}),
        ({"inner": {}}, {}),
        ({"inner": ["1"]}, {"inner": ["1"]}),
        ({"inner": "1"}, {"inner": ["1"]}),
        ({"inner": ["1"], "a": ["2"]}, {"inner": ["1"], "a": ["2"]}),
    ],
)  # fmt: skip
def test_inner_headers(
    headers: Any, expected: dict[str, list[str]], store: ObjectStore, shared_client: Client
) -> None:
    """async-nats stored them so before October 2025; a header may have that name, too."""
    subject = meta_subject(store.name, "x")
    store_theirs(shared_client, store, subject, "x", b"1", headers=headers)
    for change in (
        {"description": "d"},
        {"description": "e", "new_name": "y"},
    ):
        store.update("x", description=change["description"], new_name=change.get("new_name"))
        info = next(iter(store))
        assert dict(info.header_values) == expected
        assert info.mime == expected.get("Content-Type", [None])[0]
    store.copy("y", "z")
    copied = store.info("z")
    assert copied is not None
    assert dict(copied.header_values) == expected


CONTENT = b"i" * 300  # its digest has both characters in which the alphabets differ
DIGEST = hashlib.sha256(CONTENT).digest()
SPELLINGS = [
    "SHA-256=" + base64.b64encode(DIGEST).decode(),
    "SHA-256=" + base64.b64encode(DIGEST).decode().rstrip("="),
    "SHA-256=" + base64.urlsafe_b64encode(DIGEST).decode().rstrip("="),
    "SHA-256=" + DIGEST.hex(),
    "SHA-256=" + DIGEST.hex().upper(),
    "sha-256=" + base64.urlsafe_b64encode(DIGEST).decode(),
    " SHA-256= " + base64.urlsafe_b64encode(DIGEST).decode() + "\n",
]


@pytest.mark.parametrize("digest", SPELLINGS)
def test_digests_of_others(
    digest: str, store: ObjectStore, shared_client: Client, tmp_path: Path
) -> None:
    """The bytes count, wherever they are compared."""
    subject = meta_subject(store.name, "x")
    store_theirs(shared_client, store, subject, "x", CONTENT, digest=digest)
    assert store.read_bytes("x") == CONTENT
    assert dict(store.get_many(["x"])) == {"x": CONTENT}
    assert store.verify().ok
    store.download_file("x", tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == CONTENT
    assert store.upload_dir(tmp_path).unchanged == 1
    assert store.download_dir(tmp_path).unchanged == 1
    (tmp_path / "x").write_bytes(b"j" * 300)
    assert store.download_dir(tmp_path).transferred == ("x",)
    store_theirs(shared_client, store, subject, "x", CONTENT, digest=digest, nuid="M")
    delete = f"$O.{store.name}.C.M"
    shared_client._jetstream.purge(f"OBJ_{store.name}", delete)
    publish(shared_client, delete, b"j" * 300)
    with pytest.raises(DigestMismatchError):
        store.read_bytes("x")
    store.collect_garbage(min_age=0)


# --- names under another spelling of their subject

NAME = "dir/naïve ÿ.txt?>"
PLAIN = NAME.replace(".", "_").replace(" ", "_")


def test_the_other_subjects_of_a_name() -> None:
    """What each client did is among them, and ADR-20's own is not."""
    assert other_subjects("b", "abc") == ("$O.b.M.abc",)
    assert other_subjects("b", "x") == ("$O.b.M.eA", "$O.b.M.x")
    assert other_subjects("b", "a.b c") == (
        "$O.b.M.YS5iIGM", "$O.b.M.YV9iX2M=", "$O.b.M.YV9iX2M", "$O.b.M.a_b_c"
    )  # fmt: skip
    assert "$O.b.M.ab>/".replace(">", "") not in other_subjects("b", "ab>/")
    latin = base64.urlsafe_b64encode("naïve".encode("latin-1")).decode()
    assert f"$O.b.M.{latin}" in other_subjects("b", "naïve")
    assert f"$O.b.M.{latin.rstrip('=')}" in other_subjects("b", "naïve")
    for name in ("*", ">", "a..b", ".", " ", "a\nb", "☃", NAME, "x" * 2900):
        own = meta_subject("b", name)
        for subject in other_subjects("b", name):
            assert subject != own
            assert all(token and not set(token) & set("*> \r\n\t") for token in subject.split("."))


def spelled() -> dict[str, tuple[str, str]]:
    """How a client spelled it: the name, and the last part of the subject."""
    plain = base64.urlsafe_b64encode(PLAIN.encode()).decode()
    return {
        "without padding": (NAME, base64.urlsafe_b64encode(NAME.encode()).decode().rstrip("=")),
        "standard alphabet": (NAME, base64.b64encode(NAME.encode()).decode()),
        "standard, no padding": (NAME, base64.b64encode(NAME.encode()).decode().rstrip("=")),
        "sanitized": (NAME, plain),
        "sanitized, no padding": (NAME, plain.rstrip("=")),
        "Latin-1": (NAME, base64.urlsafe_b64encode(NAME.encode("latin-1")).decode()),
        "plain": ("plain/name-1", "plain/name-1"),
        "plain, sanitized": ("a name.txt", "a_name_txt"),
        "plain with dots": ("a.name.txt", "a.name.txt"),
    }


@pytest.fixture(params=spelled())
def odd(
    request: pytest.FixtureRequest, store: ObjectStore, shared_client: Client
) -> tuple[str, str]:
    """An object whose metadata are under another subject than ours: its name, and the subject."""
    name, spelling = spelled()[request.param]
    subject = f"$O.{store.name}.M.{spelling}"
    assert subject != meta_subject(store.name, name)
    store.put("other", b"o")
    store_theirs(shared_client, store, subject, name, b"theirs", description="d")
    return name, subject


def metadata_subjects(client: Client, store: ObjectStore) -> set[str]:
    return {subject for subject in subjects(client, store) if ".M." in subject}


def test_reading_what_is_stored_elsewhere(odd: tuple[str, str], store: ObjectStore) -> None:
    name, _ = odd
    info = store.info(name)
    assert info is not None
    assert (info.name, info.description, info.size) == (name, "d", 6)
    assert name in store
    assert store.read_bytes(name) == b"theirs"
    assert dict(store.get_many([name, "other"])) == {name: b"theirs", "other": b"o"}
    assert sorted(info.name for info in store) == sorted([name, "other"])
    assert store.resolve(name) == info
    store.link("link", (store.name, name))
    assert store.read_bytes("link") == b"theirs"
    report = store.verify()
    assert report.ok
    assert report.objects == 2
    assert store.verify(name).ok
    assert store.collect_garbage(min_age=0).chunks == 0


CHANGES: dict[str, tuple[Callable[[ObjectStore, str], object], bytes | None]] = {
    "put": (lambda store, name: store.put(name, b"ours"), b"ours"),
    "put_many": (lambda store, name: store.put_many([(name, b"ours")]), b"ours"),
    "put if": (lambda store, name: store.put(name, b"ours", if_revision=now(store, name)), b"ours"),
    "update": (lambda store, name: store.update(name, description="new"), b"theirs"),
    "delete": (lambda store, name: store.delete(name), None),
    "delete if": (lambda store, name: store.delete(name, if_revision=now(store, name)), None),
    "copy onto it": (lambda store, name: store.copy("other", name), b"o"),
    "rename": (lambda store, name: store.update(name, new_name="new"), None),
}  # fmt: skip


def now(store: ObjectStore, name: str) -> int:
    info = store.info(name)
    assert info is not None
    return info.revision


#: Those that look for such a record only where one was seen.
UNSEEN = ("put", "put_many", "copy onto it")


@pytest.mark.parametrize("seen", [False, True], ids=["unseen", "seen"])
@pytest.mark.parametrize("how", CHANGES)
def test_changing_what_is_stored_elsewhere(
    how: str, seen: bool, odd: tuple[str, str], store: ObjectStore, shared_client: Client
) -> None:
    """Afterwards the name has one record that counts, under its own subject."""
    name, subject = odd
    change, content = CHANGES[how]
    if seen:
        assert name in store
    change(store, name)
    if how in UNSEEN and not seen:
        assert [info.size for info in store if info.name == name] == [len(content or b"")]
        assert store.verify().orphaned_chunks == 1
        assert store.collect_garbage(min_age=0).nuids == ("N" * 22,)
    assert subject not in metadata_subjects(shared_client, store)
    assert meta_subject(store.name, name) in metadata_subjects(shared_client, store)
    assert dict(store.get_many([name])) == {name: content}
    assert [info.name for info in store if info.name == name] == [name] * (content is not None)
    if how == "rename":
        assert store.read_bytes("new") == b"theirs"
    assert orphans(shared_client, store) == set()
    assert store.verify().ok


def test_it_is_not_absent(odd: tuple[str, str], store: ObjectStore) -> None:
    name, _ = odd
    with pytest.raises(RevisionMismatchError):
        store.put(name, b"ours", if_revision=0)
    with pytest.raises(ObjectExistsError):
        store.open(name, "xb")
    with pytest.raises(ObjectExistsError):
        store.update("other", new_name=name)
    with pytest.raises(ObjectExistsError):
        store.link(name, (store.name, "other"))
    assert store.read_bytes(name) == b"theirs"


def test_what_replaced_it_counts(
    odd: tuple[str, str], store: ObjectStore, shared_client: Client
) -> None:
    """A newer client put the name since, past the older one's record; and deleted it."""
    name, subject = odd
    info = store.put("elsewhere", b"newer")
    newer = theirs(name, b"newer", nuid=info.nuid)
    publish(shared_client, meta_subject(store.name, name), json.dumps(newer).encode())
    assert store.read_bytes(name) == b"newer"
    assert sorted(each.size for each in store if each.name == name) == [5]
    newer = {**newer, "deleted": True, "size": 0, "chunks": 0, "nuid": "D"}
    publish(shared_client, meta_subject(store.name, name), json.dumps(newer).encode())
    assert name not in store
    assert name not in {each.name for each in store}
    assert store.delete(name) is False
    assert store.collect_garbage(min_age=0).nuids == ("N" * 22,)
    assert subject not in metadata_subjects(shared_client, store)
    assert name not in store


def test_a_name_under_the_subject_of_another(store: ObjectStore, shared_client: Client) -> None:
    """nats.js stored "a.b" where "a_b" belongs: a put of that must not cost the other."""
    subject = meta_subject(store.name, "a_b")
    store_theirs(shared_client, store, subject, "a.b", b"theirs")
    assert "a_b" not in store
    assert dict(store.get_many(["a.b", "a_b"])) == {"a.b": b"theirs", "a_b": None}
    assert store.delete("a_b") is False
    assert store.read_bytes("a.b") == b"theirs"
    store.put("a_b", b"ours")
    assert dict(store.get_many(["a.b", "a_b"])) == {"a.b": b"theirs", "a_b": b"ours"}
    assert sorted(info.name for info in store) == ["a.b", "a_b"]
    assert orphans(shared_client, store) == set()


def test_a_whole_bucket_of_an_older_client(
    store: ObjectStore, shared_client: Client, server: LocalServer
) -> None:
    """Larger than what is collected before the first is given."""
    names = [f"{number:03}." + "x" * (number % 3) for number in range(400)]
    for number, name in enumerate(names):
        spelling = base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")
        record = theirs(name, b"", nuid=f"N{number}")
        publish(shared_client, f"$O.{store.name}.M.{spelling}", json.dumps(record).encode())
    assert sorted(info.name for info in store) == names
    assert all(content == b"" for _, content in store.get_many(names))
    assert store.status().size is not None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert store.verify().objects == 400
    for name in names[:10]:
        assert store.delete(name) is True
    assert sorted(info.name for info in store) == names[10:]


def test_what_a_look_at_a_name_asks_for(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older spellings only of an absent name, and along with the leader's proof that it is."""
    asked: list[str] = []
    last, ask = Access.last, PendingElsewhere.ask

    def noted_last(self: Access, subject: str, *, leader: bool) -> StoredMessage | None:
        asked.append("leader" if leader else "any")
        return last(self, subject, leader=leader)

    def noted_ask(self: PendingElsewhere) -> None:
        asked.append("elsewhere")
        ask(self)

    def asked_for(name: str) -> list[str]:
        asked.clear()
        assert (name in store) == (name == "there")
        return asked.copy()

    store.put("there", b"x")
    monkeypatch.setattr(Access, "last", noted_last)
    monkeypatch.setattr(PendingElsewhere, "ask", noted_ask)
    assert asked_for("there") == ["any"]
    assert asked_for("absent") == ["any", "elsewhere", "leader"]
    # In a cluster nobody knows before the leader has answered.
    monkeypatch.setattr(store._handle.jetstream.connection.session, "is_clustered", True)
    assert asked_for("there") == ["leader"]
    assert asked_for("absent") == ["leader", "elsewhere"]
