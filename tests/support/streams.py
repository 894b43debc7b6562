"""What a bucket's stream really holds: the tests' own look, past the client's reading side."""

from __future__ import annotations

import base64
import json
from typing import Any

from objstore import Client, ObjectStore
from objstore.model.objects import chunk_subject, meta_subject
from objstore.wire.connection.connection import Connection


def api(connection: Connection, name: str, request: dict[str, Any] | None = None) -> dict[str, Any]:
    """Call JetStream's API, without any of the client's own rooms for it."""
    payload = b"" if request is None else json.dumps(request).encode()
    answer: dict[str, Any] = json.loads(
        connection.request(f"$JS.API.{name}", payload=payload).payload
    )
    return answer


def subjects(client: Client, store: ObjectStore) -> dict[str, int]:
    """How many messages each subject of the bucket's stream has."""
    request = {"subjects_filter": ">"}
    state = api(client.connection, f"STREAM.INFO.OBJ_{store.name}", request)["state"]
    return dict(state.get("subjects") or {})


def chunk_counts(client: Client, store: ObjectStore) -> dict[str, int]:
    """How many chunks each nuid has."""
    return {
        subject.rpartition(".")[2]: count
        for subject, count in subjects(client, store).items()
        if ".C." in subject
    }


def orphans(client: Client, store: ObjectStore) -> set[str]:
    """The nuids of chunks that no live object owns."""
    owned = {info.nuid for info in store.list() if not info.deleted}
    return set(chunk_counts(client, store)) - owned


def consumer_count(client: Client, store: ObjectStore) -> int:
    """How many consumers the bucket's stream has."""
    state = api(client.connection, f"STREAM.INFO.OBJ_{store.name}")["state"]
    return int(state["consumer_count"])


def record(client: Client, store: ObjectStore, name: str) -> dict[str, Any]:
    """An object's last record, as JSON."""
    request = {"last_by_subj": meta_subject(store.name, name)}
    answer = api(client.connection, f"STREAM.MSG.GET.OBJ_{store.name}", request)
    fields: dict[str, Any] = json.loads(base64.b64decode(answer["message"]["data"]))
    return fields


def write_record(client: Client, store: ObjectStore, fields: dict[str, Any]) -> None:
    """Store a record as another client might: as it is, and without a rollup."""
    subject = meta_subject(store.name, fields["name"])
    answer = client.connection.request(subject, payload=json.dumps(fields).encode())
    assert "error" not in json.loads(answer.payload)


def delete_chunk(client: Client, store: ObjectStore, nuid: str, index: int) -> None:
    """Lose one chunk of an object; a negative index counts from the last one."""
    sequence = 0
    sequences = []
    while True:
        request = {"next_by_subj": chunk_subject(store.name, nuid), "seq": sequence + 1}
        answer = api(client.connection, f"STREAM.MSG.GET.OBJ_{store.name}", request)
        if "error" in answer:
            break
        sequence = answer["message"]["seq"]
        sequences.append(sequence)
    deleted = api(
        client.connection, f"STREAM.MSG.DELETE.OBJ_{store.name}", {"seq": sequences[index]}
    )
    assert deleted["success"]
