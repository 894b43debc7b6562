"""What a payload says of its length, and what happens when it ends before."""

from __future__ import annotations

import codecs
import gzip
import http.client
import http.server
import io
import os
import tarfile
import tempfile
import threading
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
import urllib3
from requests_toolbelt import StreamingIterator
from requests_toolbelt.multipart.encoder import FileFromURLWrapper

from objstore import (
    Client,
    IncompletePayloadError,
    InvalidPayloadError,
    ObjectMeta,
    ObjectStore,
    PayloadFileError,
)
from objstore.put.source import Source
from tests.support.streams import orphans, subjects

pytestmark = pytest.mark.newest_server

DATA = bytes(range(256)) * 5
WHOLE, CUT = 300_000, 200_000
BODY = bytes(range(250)) * (WHOLE // 250)


def all_of(payload: object, chunk_size: int = 100) -> bytes:
    with Source(payload) as source:
        return b"".join(bytes(chunk) for chunk in source.chunks(chunk_size))


# --- responses of web servers


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves ``BODY``: ``/whole``, or ``/cut`` off in the middle; ``…/gzip``: compressed."""

    def do_GET(self) -> None:
        gzipped = self.path.endswith("gzip")
        body = gzip.compress(BODY, 0) if gzipped else BODY
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if gzipped:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:CUT] if "cut" in self.path else body)

    do_HEAD = do_GET  # noqa: N815 - http.server's name

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    """The address of a web server."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def opened(url: str) -> Any:
    return urllib.request.urlopen(url)


def by_http_client(url: str) -> Any:
    host, path = url.removeprefix("http://").split("/", 1)
    connection = http.client.HTTPConnection(host)
    connection.request("GET", "/" + path)
    return connection.getresponse()


def by_urllib3(url: str) -> Any:
    pool = urllib3.PoolManager()
    return pool.request("GET", url, preload_content=False, enforce_content_length=False)


def by_requests(url: str) -> Any:
    response = requests.get(url, stream=True, timeout=20)
    response.raw.enforce_content_length = False  # as it was before urllib3 2
    return response


def raw_of_requests(url: str) -> Any:
    return by_requests(url).raw


CLIENTS = [opened, by_http_client, by_urllib3, by_requests, raw_of_requests]


@pytest.mark.parametrize("get", [*CLIENTS, FileFromURLWrapper])
def test_a_response_that_is_cut_off(
    get: Callable[[str], Any], web: str, store: ObjectStore, shared_client: Client
) -> None:
    """Nothing is stored of it, and the error has both numbers; whole, it is."""
    store.put("x", b"old")
    response = get(f"{web}/cut")
    if get is FileFromURLWrapper:
        response.raw_data.enforce_content_length = False
    with pytest.raises(IncompletePayloadError, match="200,000 of the 300,000 bytes") as caught:
        store.put("x", response)
    assert isinstance(caught.value, EOFError)
    assert (caught.value.expected, caught.value.received) == (WHOLE, CUT)
    assert (caught.value.bucket, caught.value.name) == (store.name, "x")
    assert store.read_bytes("x") == b"old"
    assert orphans(shared_client, store) == set()
    store.put("x", get(f"{web}/whole"))
    assert store.read_bytes("x") == BODY


@pytest.mark.parametrize("get", [by_urllib3, by_requests])
def test_a_response_that_is_decompressed(get: Callable[[str], Any], web: str) -> None:
    """Its announced length is that of what was sent."""
    assert all_of(get(f"{web}/whole/gzip"), 1000) == BODY
    with pytest.raises(IncompletePayloadError, match="200,000 of the 300,") as caught:
        all_of(get(f"{web}/cut/gzip"), 1000)
    assert caught.value.received == CUT


@pytest.mark.parametrize("get", [opened, by_http_client, raw_of_requests])
def test_a_response_that_is_stored_compressed(get: Callable[[str], Any], web: str) -> None:
    assert gzip.decompress(all_of(get(f"{web}/whole/gzip"), 1000)) == BODY
    with pytest.raises(IncompletePayloadError):
        all_of(get(f"{web}/cut/gzip"), 1000)


@pytest.mark.parametrize("get", [opened, by_http_client, by_urllib3, raw_of_requests])
def test_the_rest_of_a_response(get: Callable[[str], Any], web: str) -> None:
    """What was read before is not missed."""
    response = get(f"{web}/whole")
    assert response.read(1000) == BODY[:1000]
    assert Source(response).size == WHOLE - 1000
    assert all_of(response, 1000) == BODY[1000:]
    response = get(f"{web}/cut")
    response.read(1000)
    with pytest.raises(IncompletePayloadError, match="199,000 of the 299,000 bytes"):
        all_of(response, 1000)


def test_the_items_of_a_response(web: str, store: ObjectStore) -> None:
    """``iter_content`` says no length; requests itself notices an early end."""
    with requests.get(f"{web}/whole", stream=True, timeout=20) as response:
        store.put("x", response.iter_content(7000))
    assert store.read_bytes("x") == BODY
    with (
        requests.get(f"{web}/cut", stream=True, timeout=20) as response,
        pytest.raises(requests.exceptions.ChunkedEncodingError, match="200000 bytes read"),
    ):
        store.put("x", response.iter_content(7000))
    assert store.read_bytes("x") == BODY


def test_a_response_to_head_has_no_body(web: str) -> None:
    """Its Content-Length is that of another one."""
    request = urllib.request.Request(f"{web}/whole", method="HEAD")
    with urllib.request.urlopen(request) as response:
        assert all_of(response) == b""
    assert all_of(requests.head(f"{web}/whole", timeout=20)) == b""
    assert all_of(urllib3.request("HEAD", f"{web}/whole", preload_content=False)) == b""


def test_a_response_that_was_read_before(web: str) -> None:
    """requests keeps its content; of urllib3's nothing is left, which is no empty object."""
    assert all_of(requests.get(f"{web}/whole", timeout=20), 1000) == BODY
    response = urllib3.request("GET", f"{web}/whole")
    with pytest.raises(InvalidPayloadError, match=r"read before, all its 300,000 bytes.*\.data"):
        all_of(response)
    assert all_of(response.data, 1000) == BODY


def test_an_address_that_is_no_web_servers(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    with urllib.request.urlopen(path.as_uri()) as response:
        assert all_of(response) == DATA
    with urllib.request.urlopen("data:,hello") as response:
        assert all_of(response) == b"hello"


# --- whatever else tells a length


class Reads:
    """A file-like that gives some data, and has the attributes that it is told to have."""

    def __init__(self, data: bytes = DATA, **attributes: object) -> None:
        self.__dict__.update(attributes)
        self.file = io.BytesIO(data)

    def read(self, size: int) -> bytes:
        return self.file.read(size)


class Sized(Reads):
    """As it is in Django and requests: the length of the whole."""

    def __len__(self) -> int:
        return 2000


TOLD = [
    pytest.param(lambda: StreamingIterator(2000, iter([DATA])), id="requests-toolbelt"),
    pytest.param(lambda: Reads(len=2000), id="len"),
    pytest.param(lambda: Reads(length=2000), id="length"),
    pytest.param(lambda: Reads(size=2000), id="size"),
    pytest.param(lambda: Reads(content_length=2000), id="content_length"),
    pytest.param(lambda: Reads(headers={"Content-Length": "2000"}), id="header"),
    pytest.param(lambda: Reads(headers={"content-length": "2000"}), id="small header"),
    pytest.param(
        lambda: Reads(headers={"Content-Length": "2000", "Content-Encoding": "identity"}),
        id="identity",
    ),
    pytest.param(lambda: Sized(), id="__len__"),
    pytest.param(lambda: Reads(size=2100, tell=lambda: 100), id="the rest of a size"),
    pytest.param(
        lambda: Reads(tell=lambda: 5, seek=lambda _offset, _whence=0: 2005), id="seek and tell"
    ),
]


@pytest.mark.parametrize("make", TOLD)
def test_fewer_bytes_than_were_told(make: Callable[[], Any]) -> None:
    source = Source(make())
    assert source.size == 2000
    with pytest.raises(IncompletePayloadError, match="1,280 of the 2,000 bytes") as caught:
        list(source.chunks(100))
    assert (caught.value.expected, caught.value.received) == (2000, 1280)


class Items:
    """An iterable, with a length that is not the number of its items."""

    def __init__(self, **attributes: object) -> None:
        self.__dict__.update(attributes)

    def __iter__(self) -> Iterator[bytes]:
        return iter([DATA[:1000], DATA[1000:]])


@pytest.mark.parametrize(
    "told", [{"len": 2000}, {"content_length": 2000}, {"headers": {"Content-Length": "2000"}}]
)
def test_fewer_items_than_were_told(told: dict[str, Any]) -> None:
    with pytest.raises(IncompletePayloadError, match="1,280 of the 2,000 bytes"):
        all_of(Items(**told))


@pytest.mark.parametrize(
    "payload",
    [
        Reads(len=5),  # it has more than it said: a file that grows, a file of /proc
        Reads(size=0),
        Reads(len=True),
        Reads(len="2000"),
        Reads(len=2000.0),
        Reads(size=lambda: 2000),
        Reads(size=-1),
        Reads(headers={"Content-Length": "many"}),
        Reads(headers={"Content-Length": "2000", "Content-Encoding": "gzip"}),
        Reads(headers={"Content-Length": "2000", "Transfer-Encoding": "chunked"}),
        Reads(headers=None),
        Reads(headers=["Content-Length"]),
        Items(size=2000),  # of an iterable these may count items
        Items(length=2000),
        [DATA[:1], b"", b"", DATA[1:]],
        SimpleNamespace(read=io.BytesIO(DATA).read, __length_hint__=lambda: 2000),
    ],
)
def test_what_tells_no_length_in_bytes(payload: object) -> None:
    assert all_of(payload) == DATA


def test_a_list_has_more_items_than_bytes() -> None:
    assert all_of([b"a", b"", b"", b"", b"b"]) == b"ab"


# --- files


def test_a_file_that_shrinks(tmp_path: Path, store: ObjectStore, shared_client: Client) -> None:
    """While it is read: by its path, as a file, buffered or not, and among many."""
    path = tmp_path / "file"
    before = subjects(shared_client, store)

    def shrink(_done: int, _total: int | None) -> None:
        os.truncate(path, 150_000)

    for opening in (lambda: path, lambda: path.open("rb"), lambda: path.open("rb", buffering=0)):
        path.write_bytes(BODY)
        payload: Any = opening()
        with pytest.raises(IncompletePayloadError, match="of the 300,000 bytes"):
            store.put("x", payload, chunk_size=100_000, progress=shrink)
        if payload is not path:
            payload.close()
    path.write_bytes(BODY)
    with pytest.raises(PayloadFileError, match="had 300,000 bytes and has 150,000"):
        store.upload_file(path, chunk_size=100_000, progress=shrink)
    assert subjects(shared_client, store) == before


def test_many_one_of_which_ends_early(store: ObjectStore, shared_client: Client) -> None:
    """Small or large: those before it are stored, and nothing of it."""
    for size in (2000, 1_000_000):
        items: list[Any] = [("a", b"1"), (ObjectMeta("b"), Reads(len=size)), ("c", b"3")]
        with pytest.raises(IncompletePayloadError, match="1,280 of the") as caught:
            store.put_many(items)
        assert caught.value.name == "b"
        assert "a" in store
        assert "b" not in store
        assert orphans(shared_client, store) == set()


def test_a_file_that_grows(tmp_path: Path, store: ObjectStore) -> None:
    """A log: what it has when its end is reached is stored."""
    path = tmp_path / "file"
    path.write_bytes(BODY)
    grown = False

    def grow(_done: int, _total: int | None) -> None:
        nonlocal grown
        if not grown:
            with path.open("ab") as file:
                file.write(DATA)
        grown = True

    store.put("x", path, chunk_size=100_000, progress=grow)
    assert store.read_bytes("x") == BODY + DATA


@pytest.mark.parametrize("path", ["/proc/self/status", "/sys/class/net/lo/mtu"])
def test_files_of_the_kernel(path: str, store: ObjectStore) -> None:
    """Their size is none: 0 in proc, a page in sysfs."""
    if not os.path.exists(path):
        pytest.skip("not on this system")
    info = store.put("x", Path(path))
    assert info.size > 0
    with open(path, "rb") as file:
        assert store.put("x", file).size == info.size


def test_files_that_convert_are_not_measured(tmp_path: Path) -> None:
    """What they stand on has another length than what they give."""
    text = "naïve" * 100
    raw = io.BytesIO(text.encode())
    recoder = codecs.EncodedFile(raw, "latin-1", "utf-8")
    assert all_of(recoder) == text.encode("latin-1")

    class Own(gzip.GzipFile):
        """A class of a user's own."""

    path = tmp_path / "file"
    path.write_bytes(gzip.compress(DATA))
    with Own(path) as file:
        source = Source(file)
        assert source.size is None
        assert file.tell() == 0
        assert b"".join(source.chunks(100)) == DATA


def test_archives_that_are_cut_off() -> None:
    """Python's own files notice; the error is theirs."""
    packed = gzip.compress(DATA, 0)[:-100]
    with pytest.raises(EOFError):
        all_of(gzip.GzipFile(fileobj=io.BytesIO(packed)))
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w") as archive:
        member = tarfile.TarInfo("name")
        member.size = len(DATA)
        archive.addfile(member, io.BytesIO(DATA))
    cut = io.BytesIO(memory.getvalue()[:1000])
    with tarfile.open(fileobj=cut) as archive:
        content = archive.extractfile(archive.next() or "")
        assert Source(content).size == len(DATA)
        with pytest.raises(tarfile.ReadError):
            all_of(content)


# --- at its end


def written() -> Any:
    file = io.BytesIO()
    file.write(DATA)
    return file


def spooled(size: int) -> Any:
    file = tempfile.SpooledTemporaryFile(max_size=size)  # noqa: SIM115 - the test closes it
    file.write(DATA)
    return file


def temporary() -> Any:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the test closes it
    file.write(DATA)
    return file


def beyond() -> Any:
    file = io.BytesIO(DATA)
    file.seek(10_000)
    return file


@pytest.mark.parametrize(
    "make",
    [written, beyond, temporary, lambda: spooled(0), lambda: spooled(10)],
    ids=["BytesIO", "beyond", "temporary", "spooled", "spooled to a disk"],
)
def test_a_file_that_stands_at_its_end(
    make: Callable[[], Any], store: ObjectStore, shared_client: Client
) -> None:
    """It was just written; an empty object is not what is meant."""
    with make() as file:
        for act in (
            lambda: store.put("x", file),
            lambda: store.put_many([("x", file)]),
        ):
            with pytest.raises(InvalidPayloadError, match=r"stands at its end.*seek\(0\)"):
                act()
        assert subjects(shared_client, store) == {}
        file.seek(0)
        store.put("x", file)
    assert store.read_bytes("x") == DATA


def test_a_file_to_append_to(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    with path.open("a+b") as file:
        with pytest.raises(InvalidPayloadError, match=r"behind 1,280 bytes.*seek\(0\)"):
            Source(file)
        file.seek(1000)
        assert all_of(file) == DATA[1000:]  # put reads from where it stands


def test_a_compressed_file_that_stands_at_its_end() -> None:
    """Where its end is, is found out by reading."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        archive.writestr("name", DATA)
    with zipfile.ZipFile(memory) as archive, archive.open("name") as member:
        member.read()
        with pytest.raises(InvalidPayloadError, match="stands at its end"):
            all_of(member)
        member.seek(1000)
        assert all_of(member) == DATA[1000:]
    with gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(DATA))) as file:
        file.read()
        with pytest.raises(InvalidPayloadError, match="stands at its end"):
            all_of(file)


def test_an_object_that_was_read(store: ObjectStore) -> None:
    store.put("x", DATA)
    with store.open("x") as result:
        assert result.read(1000) == DATA[:1000]
        assert Source(result).size == 280
        store.put("y", result)
        with pytest.raises(InvalidPayloadError, match=r"seek\(0\)"):
            store.put("z", result)
    assert store.read_bytes("y") == DATA[1000:]


def test_empty_files_have_no_end_to_stand_at(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with path.open("a+b") as file:
        assert all_of(file) == b""
    empty = io.BytesIO()
    empty.seek(10)
    assert all_of(empty) == b""
    assert all_of(gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(b"")))) == b""
    assert all_of(path) == b""
    assert all_of(SimpleNamespace(read=lambda _size: b"", tell=lambda: 5)) == b""  # no way back


def test_a_file_that_is_only_written(tmp_path: Path, store: ObjectStore) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.write(DATA)
        with pytest.raises(InvalidPayloadError, match=r'only written.*\("rb"\)'):
            store.put("x", file)
    with pytest.raises(InvalidPayloadError), store.open("x", "wb") as writer:
        store.put("y", writer)


def test_a_file_that_cannot_go_back() -> None:
    """Asked for its end, it went there: nothing must be stored from there on."""

    def seek(_offset: int, whence: int = 0) -> int:
        if whence:
            return 2000
        raise OSError("no way back")

    with pytest.raises(OSError, match="no way back"):
        Source(Reads(tell=lambda: 0, seek=seek))
