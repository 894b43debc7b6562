"""``collectstatic`` into a bucket: what it stores, what it leaves alone, in how many requests."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import CommandError, call_command
from django.test import override_settings
from django.utils.functional import empty

import objstore
from objstore import LocalServer
from objstore.contrib.django import ObjectManifestStaticStorage, ObjectStaticStorage

pytestmark = pytest.mark.newest_server


@pytest.fixture(params=["ObjectStaticStorage", "ObjectManifestStaticStorage"])
def storage(
    request: pytest.FixtureRequest, server: LocalServer, bucket: str, tmp_path: Path
) -> Iterator[ObjectStaticStorage]:
    """The storage of static files, with some of them on the disk."""
    (tmp_path / "css").mkdir()
    (tmp_path / "css" / "site.css").write_text('body { background: url("../img/a.png") }')
    (tmp_path / "img").mkdir()
    (tmp_path / "img" / "a.png").write_bytes(b"a picture")
    (tmp_path / "large.bin").write_bytes(bytes(5 << 20))
    options = {"bucket": bucket, "servers": server.url, "location": "static"}
    entry = {"BACKEND": f"objstore.contrib.django.{request.param}", "OPTIONS": options}
    with override_settings(STORAGES={"staticfiles": entry}, STATICFILES_DIRS=[str(tmp_path)]):
        finders.get_finder.cache_clear()
        staticfiles_storage._wrapped = empty
        yield storages["staticfiles"]
    finders.get_finder.cache_clear()
    staticfiles_storage._wrapped = empty


def collect(**options: Any) -> str:
    """Run ``collectstatic``; return the line that counts."""
    said = io.StringIO()
    staticfiles_storage._wrapped = empty  # as in a process of its own
    call_command("collectstatic", interactive=False, stdout=said, **options)
    return said.getvalue().strip()


def names(storage: ObjectStaticStorage) -> set[str]:
    """The names of all that is stored, without hashes."""
    return {re.sub(r"\.[0-9a-f]{12}\.", ".#.", info.name) for info in storage.store.list()}


PLAIN = {"static/css/site.css", "static/img/a.png", "static/large.bin"}


def test_what_it_stores(storage: ObjectStaticStorage) -> None:
    said = collect()
    assert said.startswith("3 static files copied")
    hashed = isinstance(storage, ObjectManifestStaticStorage)
    more = {"static/css/site.#.css", "static/img/a.#.png", "static/large.#.bin"}
    assert names(storage) == PLAIN | (more | {"static/staticfiles.json"} if hashed else set())
    url = staticfiles_storage.url("img/a.png")
    assert re.fullmatch(r"/static/img/a\.[0-9a-f]{12}\.png" if hashed else "/static/img/a.png", url)
    style = storage.info(staticfiles_storage.url("css/site.css").removeprefix("/static/"))
    assert style.mime == "text/css"
    text = storage.store.read_text(style.name)
    assert (url.rpartition("/")[2] if hashed else "../img/a.png") in text


def test_nothing_to_do(storage: ObjectStaticStorage) -> None:
    collect()
    before = {info.name: info.revision for info in storage.store.list()}
    assert collect().startswith("0 static files copied, 3 unmodified")
    after = {info.name: info.revision for info in storage.store.list()}
    assert before.keys() == after.keys()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == set()


def test_the_same_content_is_not_sent_again(storage: ObjectStaticStorage, tmp_path: Path) -> None:
    """A new checkout has new times."""
    collect()
    before = storage.info("img/a.png").revision
    for path in (tmp_path / "img/a.png", tmp_path / "css/site.css"):
        os.utime(path, (2e9, 2e9))
    (tmp_path / "css/site.css").write_text("body {}")
    os.utime(tmp_path / "css/site.css", (2e9, 2e9))
    assert collect().startswith("2 static files copied, 1 unmodified")
    assert storage.info("img/a.png").revision == before
    assert storage.store.read_text("static/css/site.css") == "body {}"


def test_clear(storage: ObjectStaticStorage) -> None:
    collect()
    storage.store.put("static/old/a.txt", b"")
    storage.store.put("elsewhere.txt", b"")
    before = storage.info("img/a.png").revision
    collect(clear=True)
    assert PLAIN | {"elsewhere.txt"} <= names(storage)
    assert "static/old/a.txt" not in names(storage)
    assert storage.info("img/a.png").revision == before  # it was there all the time


def test_a_dry_run_changes_nothing(storage: ObjectStaticStorage) -> None:
    assert collect(dry_run=True).endswith("3 static files copied.")
    assert names(storage) == set()


def test_without_post_processing(storage: ObjectStaticStorage) -> None:
    collect(post_process=False)
    assert names(storage) == PLAIN


def test_a_server_that_is_away_is_one_line(storage: ObjectStaticStorage) -> None:
    options = {"bucket": "b", "servers": "nats://127.0.0.1:1", "reconnect_timeout": 0}
    entry = {"BACKEND": "objstore.contrib.django.ObjectStaticStorage", "OPTIONS": options}
    with (
        override_settings(STORAGES={"staticfiles": entry}),
        pytest.raises(CommandError, match=r"not all collected: .*Connection refused"),
    ):
        collect()


def test_a_run_that_fails_says_so(
    storage: ObjectStaticStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the last files are sent after Django has counted them."""

    def refuse(*_: Any, **__: Any) -> None:
        raise objstore.StorageFullError("full")

    monkeypatch.setattr(objstore.ObjectStore, "put_many", refuse)
    with pytest.raises(objstore.StorageFullError):
        collect(post_process=False)


def test_many_files_go_together(
    storage: ObjectStaticStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No request is waited for alone: one listing looks for all, and they are sent in a few."""
    (tmp_path / "large.bin").unlink()
    for number in range(298):
        (tmp_path / f"{number}.txt").write_text(str(number))
    called: list[str] = []
    for method in ("put", "info", "resolve", "delete", "scan", "put_many"):
        own = getattr(objstore.ObjectStore, method)

        def count(*args: Any, _own: Any = own, _name: str = method, **options: Any) -> Any:
            called.append(_name)
            return _own(*args, **options)

        monkeypatch.setattr(objstore.ObjectStore, method, count)
    assert collect().startswith("300 static files copied")
    assert len(called) < 20, called
    called.clear()
    assert collect().startswith("0 static files copied, 300 unmodified")
    assert len(called) < 10, called


# --- outside of a batch, as without the app in INSTALLED_APPS


def test_one_by_one(storage: ObjectStaticStorage) -> None:
    assert storage.save("a.css", ContentFile(b"1")) == "a.css"
    assert storage.save("a.css", ContentFile(b"2")) == "a.css"
    assert storage.open("a.css").read() == b"2"
    assert storage.exists("a.css")
    assert not storage.exists("b.css")
    assert storage.get_modified_time("a.css").tzinfo is not None
    storage.delete("a.css")
    assert not storage.exists("a.css")
    storage.flush()


def test_a_batch_shows_what_it_has(storage: ObjectStaticStorage) -> None:
    storage.save("a", ContentFile(b"1"))
    with storage.batch(), storage.batch():
        storage.save("b", ContentFile("2"))
        storage.save("b", ContentFile("3"))
        assert storage.open("b").read() == b"3"
        assert storage.get_modified_time("b").tzinfo is not None
        assert storage.open("a").read() == b"1"
        storage.delete("a")
        assert not storage.exists("a")
        assert storage.store.read_bytes("static/a") == b"1"  # until its end
        storage.save("c", ContentFile(b"4"))
        storage.delete("c")
        with pytest.raises(ValueError, match="name must be given"):
            storage.delete("")
    assert storage.store.read_bytes("static/b") == b"3"
    assert names(storage) == {"static/b"}


def test_a_manifest_is_replaced_last(server: LocalServer, bucket: str) -> None:
    storage = ObjectManifestStaticStorage(bucket, server.url)
    source = ObjectStaticStorage(bucket, server.url, "source")
    source.save("a.txt", ContentFile(b"1"))
    assert list(storage.post_process({"a.txt": (source, "a.txt")})) != []
    infos = {info.name: info.revision for info in storage.store.list()}
    manifest = infos.pop("staticfiles.json")
    assert manifest > max(infos.values())
    paths = json.loads(storage.store.read_bytes("staticfiles.json"))["paths"]
    again = ObjectManifestStaticStorage(bucket, server.url)
    assert again.url("a.txt") == f"/static/{paths['a.txt']}"
    assert list(storage.post_process({}, dry_run=True)) == []
