"""Records of others with anything in any field: that object errors, everything else goes on."""

from __future__ import annotations

import contextlib
import json
import warnings
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from objstore import Client, ObjectStore, ObjStoreError
from objstore.model.objects import meta_subject
from tests.support.streams import record
from tests.support.waiting import PATIENCE

#: Any JSON, and what hurts most in a subject, a path or an arithmetic.
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=10)
    | st.sampled_from(["", ">", "*", "a.b", "a b", "\r\n", "SHA-256=", -1, 0, 1, 1 << 63]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)

FIELDS = st.sampled_from(
    [
        *(("name",), ("description",), ("headers",), ("metadata",), ("options",)),
        *(("bucket",), ("nuid",), ("size",), ("chunks",), ("digest",), ("mtime",), ("deleted",)),
        *(("options", "max_chunk_size"), ("options", "link"), ("headers", "h"), ("metadata", "k")),
        *(("options", "link", "bucket"), ("options", "link", "name")),
    ]
)


def changed(fields: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """A record with something else in one place."""
    first, *rest = path
    inner = fields.get(first)
    if rest:
        value = changed(inner if isinstance(inner, dict) else {}, tuple(rest), value)
    return {**fields, first: value}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(path=FIELDS, value=VALUES)
@example(path=("options", "link"), value={"bucket": "nowhere", "name": "x"})
@example(path=("deleted",), value="yes")
def test_any_value_in_any_field(
    path: tuple[str, ...], value: Any, store: ObjectStore, shared_client: Client
) -> None:
    store.put("good", b"12345", chunk_size=2)
    if "pattern" not in store:
        store.put("pattern", b"bad", headers={"h": "1"}, metadata={"k": "v"}, description="d")
    fields = {**record(shared_client, store, "pattern"), "name": "bad"}
    payload = json.dumps(changed(fields, path, value)).encode()
    shared_client.connection.request(
        meta_subject(store.name, "bad"), payload=payload, headers={"Nats-Rollup": "sub"}
    )
    store.put("better", b"1")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has no digest
        for act in (store.info, store.resolve, store.read_bytes):
            with contextlib.suppress(ObjStoreError):
                act("bad")
        with contextlib.suppress(ObjStoreError):
            dict(store.get_many(["good", "bad"]))
        report = store.verify()
    names = {info.name for info in store}
    assert {"good", "better"} <= names
    assert store.read_bytes("good") == b"12345"
    assert not {"good", "better"} & {problem.name for problem in report.problems}
    assert store.status().size == len(names)
    store.collect_garbage(min_age=0)
    assert store.read_bytes("good") == b"12345"
    with store.watch() as watcher:
        seen = set()
        while not watcher.caught_up.is_set():
            seen.add(watcher.next(PATIENCE).name)
    assert {"good", "better"} <= seen
    for change in (lambda: store.update("bad", description="d"), lambda: store.delete("bad")):
        with contextlib.suppress(ObjStoreError):
            change()
    assert store.read_bytes("pattern") == b"bad"  # whose chunks both may name
    assert store.delete("better") is True
