"""``ObjectStorage``: what Django asks of a storage, and what is particular to this one."""

from __future__ import annotations

import io
import pickle
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation
from django.core.files.base import ContentFile, File
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile, TemporaryUploadedFile
from django.db import models
from django.db.migrations.writer import MigrationWriter
from django.test import RequestFactory, override_settings

import objstore
from objstore import LocalServer
from objstore.contrib.django import ObjectStorage, object_response

pytestmark = pytest.mark.newest_server


def test_what_is_saved_is_an_object(storage: ObjectStorage) -> None:
    assert storage.save("a/b.txt", ContentFile("hällo")) == "a/b.txt"
    info = storage.store.info("media/a/b.txt")
    assert info is not None
    assert (info.size, info.mime) == (6, "text/plain")
    assert storage.exists("a/b.txt")
    assert storage.size("a/./b.txt") == 6
    with storage.open("a/b.txt") as file:
        assert file.read() == "hällo".encode()
    storage.delete("a/b.txt")
    storage.delete("a/b.txt")
    assert not storage.exists("a/b.txt")
    with pytest.raises(FileNotFoundError):
        storage.size("a/b.txt")
    with pytest.raises(FileNotFoundError):
        storage.open("a/b.txt")


def test_it_is_the_one_of_the_settings(storage: ObjectStorage) -> None:
    name = default_storage.save("a", ContentFile(b"1"))
    assert storage.open(name).read() == b"1"
    response = object_response(RequestFactory().get("/"), default_storage, name)
    assert bytes(response).endswith(b"\r\n\r\n1")


class Taken(ContentFile):
    """While it is being read, another request takes its name."""

    def __init__(self, storage: ObjectStorage) -> None:
        super().__init__(b"mine")
        self._storage = storage

    def chunks(self, chunk_size: int | None = None) -> Any:
        """Yield the content, and store another one."""
        yield from super().chunks(chunk_size)
        if not self._storage.exists("cat.jpg"):
            self._storage.store.put("media/cat.jpg", b"theirs")

    def multiple_chunks(self, chunk_size: int | None = None) -> bool:
        """Have it sent as it is read."""
        return True


def test_nobody_is_overwritten_in_a_race(storage: ObjectStorage) -> None:
    """The name was free when it was looked at, and is not at the commit."""
    name = storage.save("cat.jpg", Taken(storage), max_length=14)
    assert name != "cat.jpg"
    assert len(name) == 14  # cut as for any other name that is taken
    assert storage.open("cat.jpg").read() == b"theirs"
    assert storage.open(name).read() == b"mine"


def test_a_stream_that_was_overtaken_is_not_stored_by_half(storage: ObjectStorage) -> None:
    """It cannot be read again: under the next name there would be what was left of it."""

    class Stream(Taken):
        def seek(self, *_: int) -> int:
            raise io.UnsupportedOperation

    with pytest.raises(objstore.ObjectExistsError, match="cannot be read again"):
        storage.save("cat.jpg", Stream(storage))
    assert storage.listdir("") == ([], ["cat.jpg"])
    assert storage.open("cat.jpg").read() == b"theirs"


def test_threads_that_save_the_same_name(storage: ObjectStorage) -> None:
    names: list[str] = []
    start = threading.Barrier(8)

    def save(number: int) -> None:
        start.wait(30)
        names.append(storage.save("same.txt", ContentFile(b"%d" % number)))

    threads = [threading.Thread(target=save, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(set(names)) == 8
    assert "same.txt" in names
    assert {storage.open(name).read() for name in names} == {b"%d" % n for n in range(8)}


def test_overwriting(bucket: str, server: LocalServer) -> None:
    storage = ObjectStorage(bucket, server.url, file_overwrite=True)
    for content in (b"1", b"2"):
        assert storage.save("long name.tar.gz", ContentFile(content), max_length=12) == (
            "long name.gz"
        )
    assert storage.open("long name.gz").read() == b"2"
    with pytest.raises(SuspiciousFileOperation, match="max_length"):
        storage.save("name.suffix", ContentFile(b""), max_length=7)


@pytest.mark.parametrize(
    "name",
    ["../secret", "a/../../secret", "/secret", "..", "..\\secret", "a\\..\\..\\secret", "\\secret"],
)
def test_no_name_leads_out_of_the_location(storage: ObjectStorage, name: str) -> None:
    storage.store.put("secret", b"of another")
    for action in (
        storage.exists, storage.open, storage.delete, storage.size, storage.url, storage.listdir,
        storage.get_modified_time, lambda name: storage.open(name, "wb"),
        lambda name: storage.save(name, ContentFile(b"1")),
    ):  # fmt: skip
        with pytest.raises(SuspiciousFileOperation):
            action(name)
    assert storage.store.read_bytes("secret") == b"of another"


def test_a_location_must_be_in_the_bucket() -> None:
    for location in ("../a", "/a"):
        with pytest.raises(ImproperlyConfigured):
            ObjectStorage("bucket", location=location)


def test_folders(storage: ObjectStorage) -> None:
    assert storage.listdir("") == storage.listdir("none") == ([], [])
    for name in ("a.txt", "d/b.txt", "d/e/c.txt"):
        storage.save(name, ContentFile(b""))
    storage.store.put("elsewhere.txt")
    assert storage.listdir("") == (["d"], ["a.txt"])
    assert storage.listdir(Path("d")) == storage.listdir("d/") == (["e"], ["b.txt"])
    storage.delete("d/e/c.txt")
    assert storage.listdir("d") == ([], ["b.txt"])


def test_times(storage: ObjectStorage) -> None:
    storage.save("a", ContentFile(b""))
    aware = storage.get_modified_time("a")
    assert abs(datetime.now(timezone.utc) - aware) < timedelta(minutes=1)
    assert storage.get_created_time("a") == aware
    with override_settings(USE_TZ=False):
        naive = storage.get_modified_time("a")
    assert naive.tzinfo is None
    assert naive.astimezone(timezone.utc) == aware  # the system's zone
    with pytest.raises(NotImplementedError, match="when a file was read"):
        storage.get_accessed_time("a")


class Document(models.Model):
    """A model with a file; no table is made."""

    file = models.FileField(upload_to="docs")

    class Meta:
        app_label = "objstore"


def test_a_field(storage: ObjectStorage) -> None:
    document = Document()
    document.file.save("a.txt", ContentFile(b"one\ntwo\n"), save=False)
    assert document.file.name == "docs/a.txt"
    assert document.file.size == len(document.file) == 8
    with document.file.open() as file:
        assert file.read(3) == b"one"
        file.seek(-4, io.SEEK_END)
        assert file.readline() == b"two\n"
        assert list(file) == [b"one\n", b"two\n"]
    with document.file.open("wb") as file:
        file.write(b"three")
    with document.file.open("r") as file:
        assert file.read() == "three"
    document.file.delete(save=False)
    assert not storage.exists("docs/a.txt")


def test_a_block_that_raises_stores_nothing(storage: ObjectStorage) -> None:
    for mode, half in (("wb", b"half"), ("w", "half")):
        with pytest.raises(ZeroDivisionError), storage.open("a", mode) as file:  # noqa: PT012
            file.write(half)
            raise ZeroDivisionError
    assert not storage.exists("a")


def test_the_size_is_not_that_of_a_file_on_the_disk(
    storage: ObjectStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Django's File asks the disk for its name, and reopens what it finds there."""
    monkeypatch.chdir(tmp_path)
    Path("a").write_bytes(b"on the disk")
    with storage.open("a", "wb") as file:
        file.write(b"12")
        assert file.size == 2
    assert file.size == 2
    assert file.open("rb").read() == b"12"
    assert file.open().read() == b"12"
    file.close()
    assert file.open().read() == b"12"


def test_uploads(storage: ObjectStorage, tmp_path: Path) -> None:
    """Of each kind: in memory, in a temporary file, a file of the disk, one that cannot seek."""
    big = b"0123456789" * 400_000
    with TemporaryUploadedFile("big.bin", "video/mp4", len(big), None) as upload:
        upload.write(big)
        upload.seek(0)
        storage.save("big", upload)
        assert not upload.closed
    (tmp_path / "a").write_bytes(big)
    with (tmp_path / "a").open("rb") as disk:
        disk.read(7)
        storage.save("disk", File(disk))
    storage.save("memory", SimpleUploadedFile("m", b"small", "application/x-thing; a=b"))
    reader = io.BufferedReader(io.BytesIO(big))
    storage.save("stream", reader)
    storage.save("text", io.StringIO("ü"))
    assert [storage.size(n) for n in ("big", "disk", "memory", "stream", "text")] == [
        len(big), len(big), 5, len(big), 2
    ]  # fmt: skip
    assert storage.info("big").sha256 == storage.info("disk").sha256
    assert storage.info("memory").mime == "application/x-thing"
    assert storage.info("text").mime is None


def test_a_type_is_taken_from_the_name_first(storage: ObjectStorage) -> None:
    """What a browser claims of a photo may be HTML."""
    for name, claimed, stored in (
        ("a.jpg", "text/html", "image/jpeg"),
        ("a", "text/html\r\nSet-Cookie: a=b", None),
        ("a.tar.gz", "application/x-tar", "application/gzip"),
    ):
        saved = storage.save(name, SimpleUploadedFile("x", b"1", claimed))
        assert storage.info(saved).mime == stored


def test_content_that_fails_leaves_nothing(storage: ObjectStorage) -> None:
    class Failing(ContentFile):
        def chunks(self, chunk_size: int | None = None) -> Any:
            yield b"half"
            raise OSError("the disk")

    with pytest.raises(OSError, match="the disk"):
        storage.save("a", Failing(b"half"))
    assert not storage.exists("a")


def test_it_is_written_into_a_migration() -> None:
    storage = ObjectStorage("media", base_url="/m/", location="a")
    text, imports = MigrationWriter.serialize(storage)
    assert text == "objstore.contrib.django.ObjectStorage('media', base_url='/m/', location='a')"
    scope: dict[str, Any] = {}
    exec("\n".join([*imports, f"made = {text}"]), scope)
    assert scope["made"] == storage
    assert hash(scope["made"]) == hash(storage)
    assert storage != ObjectStorage("media")
    assert storage != 1


def test_a_copy_is_connected_for_itself(storage: ObjectStorage) -> None:
    storage.save("a", ContentFile(b"1"))
    assert pickle.loads(pickle.dumps(storage)).open("a").read() == b"1"


def test_nothing_is_connected_before_the_first_file() -> None:
    with objstore.LocalServer() as server:
        away = server.url
    storage = ObjectStorage("media", away, base_url="/media/", reconnect_timeout=0.1)
    assert storage.url("a b.jpg") == "/media/a%20b.jpg"
    with pytest.raises(objstore.ConnectionLostError):
        storage.exists("a")


def test_a_closed_client_is_made_anew(storage: ObjectStorage) -> None:
    storage.save("a", ContentFile(b"1"))
    assert storage._opened is not None
    storage._opened[1].close()
    assert storage.open("a").read() == b"1"


def test_the_bucket_has_the_options_given(bucket: str, server: LocalServer) -> None:
    storage = ObjectStorage(bucket, server.url, bucket_options={"max_object_size": 3})
    with pytest.raises(objstore.ObjectTooLargeError):
        storage.save("a", ContentFile(b"1234"))
