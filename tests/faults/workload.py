"""What the clients of the checker do: a program of its own, one of several processes.

``python -m tests.faults.workload`` reads its :class:`Orders` as a line of JSON, says ``ready``,
works until its standard input ends, and writes each operation as a line of JSON to a file.
"""

from __future__ import annotations

import faulthandler
import itertools
import json
import logging
import random
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import objstore
from objstore import (
    Client,
    ConnectionLostError,
    ObjectChangedError,
    ObjectCorruptError,
    ObjectInfo,
    ObjectNotFoundError,
    ObjectStore,
    ObjStoreError,
    RequestTimeoutError,
)
from tests.faults.contents import MixedContentError, content, source_of
from tests.faults.history import Operation

__all__ = ["LIMIT", "NAMES", "Orders", "Reader", "connect"]

NAMES = ("a", "b", "c")  #: what all threads of all processes fight for, in each bucket

THREADS = 3  #: of each process

#: Seconds within which each operation must end, one way or the other. A put may wait 10 s for its
#: chunks to be stored, 10 s for its commit to be decided, and some for what it leaves.
LIMIT = 120.0


@dataclass(frozen=True)
class Orders:
    """What a process is told.

    Attributes:
        urls: of the servers.
        buckets: to work in.
        seed: of all chances.
        process: its name.
        path: of the file for the operations.
    """

    urls: list[str]
    buckets: list[str]
    seed: int
    process: str
    path: str


def connect(urls: list[str]) -> Client:
    """A client as all of them are: it does not wait long for one answer."""
    return objstore.connect(urls, timeout=2.0, reconnect_timeout=10.0)


def outcome_of(error: BaseException) -> str:
    """What an error says of a write, as documented."""
    return "unknown" if isinstance(error, (RequestTimeoutError, ConnectionLostError)) else "failed"


class Reader:
    """Reads, and notes what it sees.

    Arguments:
        process: its name.
        record: called with each operation when it has ended.
    """

    def __init__(self, process: str, record: Callable[[Operation], object]) -> None:
        self._process = process
        self._record = record

    # --- noting

    def _note(
        self, kind: str, store: ObjectStore, name: str, begun: float, **facts: object
    ) -> None:
        ended = time.monotonic()
        full = f"{store.name}/{name}"
        self._record(
            Operation(kind, full, begun, ended, process=self._process, **facts)  # type: ignore[arg-type]
        )

    def _read(self, store: ObjectStore, names: list[str], act: Callable[[float], object]) -> None:
        """Do a read, which notes what it sees; note here only what it fails with."""
        begun = time.monotonic()
        try:
            act(begun)
        except (MixedContentError, ObjectCorruptError) as error:
            text = f"{type(error).__name__}: {error}"
            self._note("violation", store, ",".join(names), begun, error=text)
        except (ObjectChangedError, RequestTimeoutError, ConnectionLostError) as error:
            self._note("read", store, names[0], begun, outcome="failed", error=type(error).__name__)
        except Exception:
            self._bug(store, ",".join(names), begun)

    def _bug(self, store: ObjectStore, name: str, begun: float) -> None:
        self._note("violation", store, name, begun, error=traceback.format_exc())

    def _saw(
        self, store: ObjectStore, name: str, begun: float, data: bytes, info: ObjectInfo
    ) -> None:
        """Note a content and its record, which must belong to each other."""
        source = source_of(data)
        recorded = info.metadata["id"]
        if source not in (None, recorded) or len(data) != info.size:
            raise MixedContentError(f"the content of {source} under the record of {recorded}")
        self._note("read", store, name, begun, seen=(recorded,), tag=info.description or "")

    # --- reads

    def get(self, store: ObjectStore, name: str) -> None:
        """Read one object."""

        def act(begun: float) -> None:
            result = store.get(name)
            if result is None:
                self._note("read", store, name, begun)
                return
            with result:
                data = result.read()
            self._saw(store, name, begun, data, result.info)

        self._read(store, [name], act)

    def get_many(self, store: ObjectStore, names: list[str]) -> None:
        """Read several objects."""

        def act(begun: float) -> None:
            for name, data in store.get_many(names):
                if data is None:
                    self._note("read", store, name, begun, how="get_many")
                elif (source := source_of(data)) is not None:
                    self._note("read", store, name, begun, seen=(source,), how="get_many")
                else:
                    self._note("read", store, name, begun, seen=("*.empty",), how="get_many")

        self._read(store, names, act)

    def list(self, store: ObjectStore) -> None:
        """Look what there is."""

        def act(begun: float) -> None:
            absent = set(NAMES)
            for info in store.list():
                if info.name in absent:
                    absent.discard(info.name)
                    seen, tag = (info.metadata["id"],), info.description or ""
                    self._note("read", store, info.name, begun, seen=seen, tag=tag, how="list")
            for name in absent:
                self._note("read", store, name, begun, how="list")

        self._read(store, list(NAMES), act)


class Worker(Reader):
    """One thread: does something by chance, and again.

    Arguments:
        process, record: as above.
        stores: to work in.
        seed: of its chances.
    """

    def __init__(
        self,
        process: str,
        record: Callable[[Operation], object],
        stores: Sequence[ObjectStore],
        seed: int,
    ) -> None:
        super().__init__(process, record)
        self._stores = stores
        self._chance = random.Random(f"{seed} {process}")
        self._numbers = itertools.count()

    def begin(self) -> None:
        """Do once, while nothing fails, what a slow machine's chances might not come to."""
        store, name = self._stores[0], self._chance.choice(NAMES)
        self._put(store, name, 3_000)
        self._update(store, name)
        self.get(store, name)
        self._delete(store, name)

    def run(self, stopping: threading.Event) -> None:
        """Work until told to stop."""
        acts = {
            self._put: 34, self._get: 22, self._delete: 8, self._update: 9,
            self._get_many: 8, self.list: 6, self._rename: 4,
        }  # fmt: skip
        kinds, weights = list(acts), list(acts.values())
        while not stopping.is_set():
            store = self._chance.choice(self._stores)
            self._chance.choices(kinds, weights)[0](store)  # type: ignore[operator]
            time.sleep(self._chance.uniform(0, 0.03))

    def _write(
        self, kind: str, store: ObjectStore, name: str, value: str, act: Callable[[], object]
    ) -> bool:
        """Do a write and note what became of it; True: it succeeded, and did something."""
        begun = time.monotonic()
        try:
            did = act()
        except ObjectNotFoundError:
            self._note("read", store, name, begun)
        except ObjStoreError as error:
            outcome, text = outcome_of(error), f"{type(error).__name__}: {error}"
            self._note(kind, store, name, begun, outcome=outcome, value=value, error=text)
        except Exception:
            self._bug(store, name, begun)
        else:
            if did is False:  # a delete that found nothing
                self._note("read", store, name, begun)
                return False
            self._note(kind, store, name, begun, value=value)
            return True
        return False

    # --- what it does

    def _put(self, store: ObjectStore, name: str | None = None, size: int | None = None) -> bool:
        name = name or self._chance.choice(NAMES)
        if size is None:
            size = self._chance.choice((0, 100, 3_000, 30_000, 200_000, 700_000, 3 << 20))
            size = self._chance.randint(size // 2, size)
        number = f"{self._process}.{next(self._numbers)}" + (".empty" if size == 0 else "")
        if 0 < size <= 48:
            size = 49  # long enough to tell whose it is
        data = content(number, size)
        options: dict[str, Any] = {"metadata": {"id": number}}
        chunk_size = self._chance.choice((None, 4_000, 50_000))
        how = self._chance.choice(("bytes", "once", "file"))

        def act() -> object:
            if how == "file":
                with store.open(name, "wb", chunk_size=chunk_size, **options) as file:
                    file.write(data)
                return None
            payload = data if how == "bytes" else pieces(data)
            return store.put(name, payload, chunk_size=chunk_size, **options)

        return self._write("put", store, name, number, act)

    def _delete(self, store: ObjectStore, name: str | None = None) -> None:
        chosen = name or self._chance.choice(NAMES)
        self._write("delete", store, chosen, "", lambda: store.delete(chosen))

    def _update(self, store: ObjectStore, name: str | None = None) -> None:
        chosen = name or self._chance.choice(NAMES)
        tag = f"{self._process}.{next(self._numbers)}.tag"
        self._write("update", store, chosen, tag, lambda: store.update(chosen, description=tag))

    def _get(self, store: ObjectStore) -> None:
        self.get(store, self._chance.choice(NAMES))

    def _get_many(self, store: ObjectStore) -> None:
        self.get_many(store, self._chance.sample(NAMES, self._chance.randint(1, len(NAMES))))

    def _rename(self, store: ObjectStore) -> None:
        """An object of one's own: renamed, looked at, deleted."""
        number = next(self._numbers)
        old, new = f"{self._process}.{number}.old", f"{self._process}.{number}.new"
        size = self._chance.choice((0, 60, 50_000))
        value = f"{self._process}.{number + 1}" + (".empty" if size == 0 else "")
        if not self._put(store, old, size):
            return
        begun = time.monotonic()
        facts: dict[str, object] = {}
        try:
            store.update(old, new_name=new)
        except ObjStoreError as error:
            text = f"{type(error).__name__}: {error}"
            facts = {"outcome": outcome_of(error), "error": text}
        except Exception:
            self._bug(store, old, begun)
            return
        # To each of the two names it is something else.
        self._note("put", store, new, begun, value=value, **facts)
        self._note("delete", store, old, begun, **facts)
        self.get(store, new)
        self.get(store, old)
        if self._chance.random() < 0.5:
            self._delete(store, new)


def pieces(data: bytes) -> Iterator[bytes]:
    """A payload that can be read once."""
    return (data[at : at + 30_000] for at in range(0, len(data), 30_000))


def work(client: Client, orders: Orders, record: Callable[[Operation], object]) -> bool:
    """Let several threads use one client until the standard input ends; False: one hangs."""
    stopping = threading.Event()
    stores = [client.object_store(name, create=False) for name in orders.buckets]
    threads = []
    for number in range(THREADS):
        worker = Worker(f"{orders.process}.{number}", record, stores, orders.seed)
        worker.begin()
        threads.append(threading.Thread(target=worker.run, args=(stopping,), daemon=True))
        threads[-1].start()
    print("ready", flush=True)  # noqa: T201 - to the process that started this one
    sys.stdin.read()
    stopping.set()
    deadline = time.monotonic() + LIMIT
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return not any(thread.is_alive() for thread in threads)


def main() -> int:
    """Run as a program; 3: a thread hangs, and where is on the standard error."""
    orders = Orders(**json.loads(sys.stdin.readline()))
    logging.basicConfig(level=logging.INFO, format="%(created).4f %(threadName)s %(message)s")
    lock = threading.Lock()
    with Path(orders.path).open("w", encoding="utf-8") as file:

        def record(operation: Operation) -> None:
            with lock:
                file.write(json.dumps(asdict(operation)) + "\n")
                file.flush()

        with connect(orders.urls) as client:
            if not work(client, orders, record):
                faulthandler.dump_traceback(all_threads=True)
                return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
