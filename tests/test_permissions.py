"""The configurations of docs/permissions.rst: they suffice, and nothing in them is needless."""

from __future__ import annotations

import contextlib
import re
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import objstore
from objstore import (
    Client,
    LocalServer,
    ObjectMeta,
    ObjectStore,
    ObjStoreError,
    PermissionDeniedError,
)
from tests.support.proxy import Proxy, chunks_of, nth
from tests.support.waiting import PATIENCE

PAGE = Path(__file__).parent.parent / "docs" / "permissions.rst"
ONE_BUCKET, ALL_BUCKETS, IMPORT = (
    textwrap.dedent(block)
    for block in re.findall(r"\.\. code-block:: text\n\n((?:    .*\n|\n)+)", PAGE.read_text())
)
CONTENT = bytes(range(256)) * 2000
BUCKET = "photos"

Operations = dict[str, Callable[[], object]]


class Scene:
    """A user of a server, and an administrator beside it.

    Arguments:
        server: with both.
        user, admin: their names there.
        resources: what ends with the scene.
        options: of the user's client.

    Attributes:
        admin: may do everything.
        client: of the user; it passes through ``proxy``.
        violations: what the server has refused to the user.
    """

    def __init__(
        self, server: LocalServer, user: str, admin: str, resources: ExitStack, **options: str
    ) -> None:
        address = f"127.0.0.1:{server.port}"
        self.admin: Client = resources.enter_context(
            objstore.connect(f"nats://{admin}:secret@{address}")
        )
        resources.callback(self._clear)
        self.proxy = resources.enter_context(Proxy(f"nats://{user}:secret@{address}"))
        self.violations: list[str] = []
        self.proxy.down.observe(
            lambda line: self.violations.append(line.raw.decode()) if line.verb == "-ERR" else None
        )
        connection = objstore.Connection(
            self.proxy.url,
            timeout=PATIENCE,
            reconnect_timeout=PATIENCE,
            inbox_prefix=options.pop("inbox_prefix", "_INBOX"),
        )
        self.client = resources.enter_context(Client(connection, **options))

    def _clear(self) -> None:
        """Leave no bucket: other scenes have the same server."""
        for status in list(self.admin.list_stores()):
            self.admin.delete_store(status.bucket)

    def fill(self, records: int = 200) -> ObjectStore:
        """Make the bucket, as the administrator.

        Arguments:
            records: of 20 kB each; 200 are more than the server sends without being let to.
        """
        store = self.admin.object_store(BUCKET)
        store.put("x", CONTENT, chunk_size=10_000)
        store.put("small", b"1")
        metas = (ObjectMeta(f"n{i}", description="d" * 20_000) for i in range(records))
        store.put_many([(meta, None) for meta in metas])
        return store

    def store(self) -> ObjectStore:
        """The bucket, as the user sees it."""
        return self.client.object_store(BUCKET, create=False)


@contextmanager
def scene(server: LocalServer, user: str, admin: str, **options: str) -> Iterator[Scene]:
    with ExitStack() as resources:
        yield Scene(server, user, admin, resources, **options)


def watched(store: ObjectStore) -> int:
    """How many objects a watch gives until it has caught up."""
    count = 0
    with store.watch() as watcher:
        while not watcher.caught_up.is_set():
            watcher.next(10)
            count += 1
    return count


def reading(scene: Scene) -> Operations:
    store = scene.store()
    return {
        "info": lambda: store.info("x") is not None and store.info("absent") is None,
        "read_bytes": lambda: store.read_bytes("x") == CONTENT,
        "read_range": lambda: store.read_range("x", 55_000, 300_000) == CONTENT[55_000:300_000],
        "get_many": lambda: [got for _, got in store.get_many(["x", "small"])] == [CONTENT, b"1"],
        "list": lambda: len(list(store)) == 202,
        "scan": lambda: [len(store.scan(prefix).objects) for prefix in ("", "n")] == [202, 200],
        "read_ranges": lambda: (
            list(store.read_ranges([("x", 1, 3), ("small", 0, 1)])) == [CONTENT[1:3], b"1"]
        ),
        "verify": lambda: store.verify().ok,
    }


def watching(scene: Scene) -> Operations:
    store = scene.store()
    return {"watch": lambda: watched(store) == 202}


def writing(scene: Scene) -> Operations:
    store = scene.store()

    def put_with_a_lost_chunk() -> bool:
        lost = scene.proxy.up.drop(nth(3, chunks_of(BUCKET)))
        store.put("lost", CONTENT, chunk_size=10_000, timeout=1)
        return bool(lost.lines) and store.read_bytes("lost") == CONTENT

    return {
        "put": lambda: store.put("new", CONTENT, chunk_size=10_000).size == len(CONTENT),
        "put over": lambda: store.put("x", CONTENT[1:], chunk_size=10_000).chunks == 52,
        "put through a loss": put_with_a_lost_chunk,
        "update": lambda: store.update("x", description="d").description == "d",
        "delete": lambda: store.delete("x"),
        "collect_garbage": lambda: store.collect_garbage(min_age=0).chunks == 0,
    }


def managing(scene: Scene) -> Operations:
    client = scene.client
    return {
        "create": lambda: client.object_store("other", description="d").name == "other",
        "update_store": lambda: client.update_store(BUCKET, description="e").name == BUCKET,
        "list_stores": lambda: len(list(client.list_stores())) == 2,
        "delete_store": lambda: client.delete_store(BUCKET),
    }


def managing_one(scene: Scene) -> Operations:
    client = scene.client
    return {
        "delete_store": lambda: client.delete_store(BUCKET),
        "create": lambda: client.object_store(BUCKET, description="d").name == BUCKET,
        "update_store": lambda: client.update_store(BUCKET, description="e").name == BUCKET,
        "list_stores": lambda: len(list(client.list_stores())) == 1,
    }


def reading_and_watching(scene: Scene) -> Operations:
    return {**reading(scene), **watching(scene)}


def writing_and_reading(scene: Scene) -> Operations:
    return {**reading(scene), **writing(scene)}


#: What each user of the page may do, and some of what it may not.
USERS = {
    ("one", "reader"): (ONE_BUCKET, reading_and_watching, ("put", "delete")),
    ("one", "writer"): (ONE_BUCKET, writing_and_reading, ("watch", "delete_store")),
    ("one", "manager"): (ONE_BUCKET, managing_one, ("put", "info")),
    ("all", "reader"): (ALL_BUCKETS, reading_and_watching, ("put", "delete")),
    ("all", "writer"): (ALL_BUCKETS, writing_and_reading, ("watch", "delete_store")),
    ("all", "manager"): (ALL_BUCKETS, managing, ("put", "info")),
}

every_user = pytest.mark.parametrize("where", USERS, ids="-".join)


def subjects_of(config: str, user: str) -> list[str]:
    """The lines that allow a user of the page to publish, one subject each."""
    section = config[config.index(f"user: {user},") :]
    return re.findall(
        r'^ +"\S+"\n', section[: section.index("]\n", section.index("publish"))], re.M
    )


def without(config: str, user: str, line: str) -> str:
    begin = config.index(f"user: {user},")
    return config[:begin] + config[begin:].replace(line, "", 1)


#: Each user of the page with all its subjects, and with one that is left out, has an account of its
#: own on one server: to start a server for each took a third of a second of the processor's time.
ACCOUNTS = [
    (where, line)
    for where, (config, _, _) in USERS.items()
    for line in ("", *subjects_of(config, where[1]))
]


def account(number: int) -> str:
    """The account of a configuration, in which all names end with a number."""
    where, line = ACCOUNTS[number]
    config = without(USERS[where][0], where[1], line)
    inner = config.strip().removeprefix("accounts {").removesuffix("}")
    return re.sub(r"^  APP|user: \w+", rf"\g<0>{number}", inner, flags=re.M)


@pytest.fixture(scope="module")
def crowded() -> Iterator[LocalServer]:
    """A server with all :data:`ACCOUNTS`."""
    accounts = "".join(account(number) for number in range(len(ACCOUNTS)))
    with LocalServer(config=f"accounts {{{accounts}}}") as server:
        yield server


@contextmanager
def scene_of(where: tuple[str, str], line: str, server: LocalServer) -> Iterator[Scene]:
    """A user of the page without one of its subjects."""
    number = ACCOUNTS.index((where, line))
    with scene(server, f"{where[1]}{number}", f"admin{number}") as now:
        yield now


@every_user
def test_what_a_user_may_do_and_what_not(where: tuple[str, str], crowded: LocalServer) -> None:
    _, operations, forbidden = USERS[where]
    with scene_of(where, "", crowded) as now:
        store = now.fill()
        others = {**reading(now), **writing(now), **watching(now), **managing_one(now)}
        for name in forbidden:
            with pytest.raises(PermissionDeniedError):
                others[name]()
        assert store.verify().orphaned_chunks == 0
        now.violations.clear()
        for name, operation in operations(now).items():
            assert operation(), name
        assert now.violations == []


def test_who_may_not_read_may_seal(crowded: LocalServer) -> None:
    """What cannot be taken back is no failure: only the objects cannot be counted."""
    with scene_of(("one", "manager"), "", crowded) as now:
        now.fill(2)
        status = now.store().seal()
        assert (status.sealed, status.size, status.total_size) == (True, None, None)
        assert now.admin.object_store(BUCKET, create=False).status().sealed


@pytest.mark.parametrize(
    ("where", "line"),
    [
        pytest.param(where, line, id=f"{'-'.join(where)}-{line.strip()}")
        for where, line in ACCOUNTS
        if line
    ],
)
@pytest.mark.needs_server("2.11")  # before, nothing comes in batches
def test_each_subject_is_needed(where: tuple[str, str], line: str, crowded: LocalServer) -> None:
    """Without it something is refused: an operation fails, or goes a longer way."""
    with scene_of(where, line, crowded) as now:
        now.fill(200 if "$JS.FC" in line else 2)
        now.client.connection.timeout = 2.0  # some are refused by silence
        with contextlib.suppress(ObjStoreError):
            for operation in USERS[where][1](now).values():
                operation()
        now.client.connection.ping()  # the server has said what it had to say
        subject = line.strip().strip('"').rstrip(".*>")
        assert any(subject in violation for violation in now.violations), subject


def test_the_buckets_of_another_account() -> None:
    options = {"api_prefix": "JS.owner.API", "inbox_prefix": "_WATCH"}
    with LocalServer(config=IMPORT) as server, scene(server, "app", "admin", **options) as now:
        now.fill()
        operations = {**reading(now), **watching(now), **writing(now)}
        for name, operation in operations.items():
            assert operation(), name
        assert now.violations == []
