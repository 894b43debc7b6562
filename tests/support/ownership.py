"""No test leaves a chunk that no object owns: every bucket on the shared server is looked at.

A bucket is looked at after each test that changed it, right before it is deleted, and, whatever
still exists, at the end of the run. What is found fails the test, or the run. A test that leaves
chunks on purpose says why: ``@pytest.mark.leaves_chunks("the writer is killed")``.
"""

from __future__ import annotations

from collections.abc import Sequence

from objstore import BucketNotFoundError, Client, Connection, ObjectStore, ObjStoreError
from objstore.model.objects import stream_name
from objstore.wire.jetstream.pages import all_streams
from tests.support.streams import api

__all__ = ["Inspector", "WatchedClient"]

PREFIX = "OBJ_"


class Inspector:
    """Looks for chunks without an owner, over a connection of its own.

    Arguments:
        url: of the server that tests share.

    Attributes:
        test: the test that runs, or what else goes on.
        lenient: whether it may leave chunks.
    """

    def __init__(self, url: str) -> None:
        self.test = "no test"
        self.lenient = False
        self._client = Client(Connection(url))
        #: How each bucket was when it was last looked at, which spares it another look.
        self._seen: dict[str, object] = {}
        self._excused: set[str] = set()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def look_into(self, bucket: str) -> None:
        """Fail if a bucket holds chunks without an owner, unless the test may leave some.

        One that is fed by others is left out: a purge in a source is not passed on (ADR-59), so
        that it keeps what its source removed, and it may be in the midst of being fed.
        """
        request = {"subjects_filter": f"$O.{bucket}.C.>"}
        stream = api(self._client.connection, f"STREAM.INFO.{stream_name(bucket)}", request)
        if "error" in stream or stream["config"].get("mirror") or stream["config"].get("sources"):
            return
        subjects = stream["state"].get("subjects") or {}
        if not subjects:
            return
        nuids: Sequence[str] = ()
        try:
            store = self._client.object_store(bucket, create=False)
            # What can be listed tells of most buckets, for half of what a collection takes.
            if not self._own(store, {subject.rpartition(".")[2] for subject in subjects}):
                nuids = store.collect_garbage(min_age=0, dry_run=True).nuids
        except BucketNotFoundError:
            return
        if nuids and self.lenient:
            self._excused.add(bucket)
        elif bucket not in self._excused:
            assert not nuids, f"{self.test} leaves chunks {nuids} in bucket {bucket}: nobody's"

    def _own(self, store: ObjectStore, nuids: set[str]) -> bool:
        """Whether what can be listed owns all these chunks."""
        try:
            return nuids <= {info.nuid for info in store.list()}
        except BucketNotFoundError:
            raise
        except ObjStoreError:  # a record that nobody can read
            return False

    def look_around(self) -> None:
        """Look into each bucket that has changed since the last look."""
        seen: dict[str, object] = {}
        changed = []
        for stream in all_streams(self._client._jetstream):
            name, state = stream["config"]["name"], stream["state"]
            seen[name] = stream["created"], state["last_seq"], state["messages"]
            if name.startswith(PREFIX) and seen[name] != self._seen.get(name):
                changed.append(name.removeprefix(PREFIX))
        self._seen = seen
        self._excused &= {name.removeprefix(PREFIX) for name in seen}
        for bucket in changed:
            self.look_into(bucket)

    def look_everywhere(self) -> None:
        """Look into every bucket, whenever it changed."""
        self._seen.clear()
        self.look_around()


class WatchedClient(Client):
    """A client whose buckets are looked into right before they are deleted.

    Arguments:
        url: of the server.
        inspector: looks.
    """

    def __init__(self, url: str, inspector: Inspector) -> None:
        super().__init__(Connection(url))
        self._inspector = inspector

    def delete_store(self, name: str) -> bool:
        try:
            self._inspector.look_into(name)
        finally:
            was_there = super().delete_store(name)
        return was_there
