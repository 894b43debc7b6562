"""What type checkers, and so editors, know of typical uses. mypy reads this file with the rest."""

from __future__ import annotations

import dataclasses
import inspect
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

import objstore
from objstore.model.bucket_options import BucketKeywords
from objstore.put.options import PutOptions

if TYPE_CHECKING:
    from typing_extensions import assert_type

    from objstore.put.writer import TextWriter

    def uses(client: objstore.Client, store: objstore.ObjectStore) -> None:
        """Typical uses, each with the type that it has."""
        assert_type(client.object_store("photos", compression=True), objstore.ObjectStore)
        client.object_store("photos", compress=True)  # type: ignore[call-arg]
        client.update_store("photos", max_bytes=1 << 30, ttl=60.0)
        client.clone_store("photos", "copy", replicas=3)
        assert_type(store.put("a", b"1", mime="text/plain"), objstore.ObjectInfo)
        assert_type(store.get("a"), objstore.ObjectResult | None)
        assert_type(store.open("a"), objstore.ObjectResult)
        assert_type(store.open("a", "rb"), objstore.ObjectResult)
        assert_type(store.open("a", "wb", ttl=3600), objstore.ObjectWriter)
        assert_type(store.open("a", "xb"), objstore.ObjectWriter)
        assert_type(store.open("a", "r", encoding="latin-1").read(), str)
        assert_type(store.open("a", "w", mime="text/plain"), TextWriter)
        assert_type(store.upload_file("a.txt", metadata={"a": "b"}), objstore.ObjectInfo)
        assert_type(store.read_bytes("a"), bytes)
        assert_type(store.list(prefix="a/"), Iterator[objstore.ObjectInfo])
        assert_type(store.get_many(["a"]), Iterator[tuple[str, bytes | None]])
        store.upload_file("a.txt", mine="text/plain")  # type: ignore[call-arg]


def test_every_public_name_is_there() -> None:
    assert sorted(objstore.__all__) == objstore.__all__
    for name in objstore.__all__:
        assert getattr(objstore, name) is not None


def test_the_keywords_are_the_options() -> None:
    """Each is written down twice, for Python has no way to derive one from the other."""
    fields = [each.name for each in dataclasses.fields(objstore.BucketOptions)]
    assert list(BucketKeywords.__annotations__) == fields
    parameters = inspect.signature(objstore.ObjectStore.put).parameters
    named = [each.name for each in parameters.values() if each.kind is each.KEYWORD_ONLY]
    assert list(PutOptions.__annotations__) == named


def test_what_is_opened_is_of_its_type(store: objstore.ObjectStore) -> None:
    """The types that :func:`uses` is checked for are those at run time."""
    with store.open("a", "wb") as writer:
        assert isinstance(writer, objstore.ObjectWriter)
    with store.open("a") as result, store.open("a", "r") as text:
        assert isinstance(result, objstore.ObjectResult)
        assert isinstance(text, io.TextIOWrapper)
