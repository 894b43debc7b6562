"""URLs become objects, and objects bodies: against a web server that fails as real ones do."""

from __future__ import annotations

import gzip
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from requests_toolbelt import MultipartEncoder, StreamingIterator
from requests_toolbelt.multipart import decoder

import objstore
from objstore import Client, IncompletePayloadError, InvalidOptionError, LocalServer, ObjectStore
from objstore.contrib import download
from objstore.contrib.fsspec import ObjectFileSystem
from objstore.contrib.http import post_object, put_object, put_url
from objstore.contrib.public_addresses import is_public
from tests.support.http_server import Request, web_server
from tests.support.streams import orphans
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.newest_server

ROOT = Path(__file__).parent.parent.parent
BODY = random.Random(17).randbytes(1_000_000)
ETAG = '"one"'


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_LONGEST_WAIT", 0)


def serve(request: Request, *, sent: int | None = None, **headers: str | None) -> None:
    """Answer with BODY, or the rest of it that is asked for."""
    found = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
    validators = headers.get("ETag"), headers.get("Last_Modified")
    if found is None or request.headers.get("If-Range") not in validators:
        request.reply(200, BODY, sent=sent, **headers)
        return
    start = int(found[1])
    place = f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"
    request.reply(206, BODY[start:], sent=sent, Content_Range=place, **headers)


# --- put_url


def test_a_url(store: ObjectStore) -> None:
    def answer(request: Request) -> None:
        if request.path == "/old":
            request.reply(302, Location="/new")
        else:
            serve(request, Content_Type="image/png; q=1")

    with web_server(answer) as web:
        info = put_url(store, "x", f"{web.url}/old", description="a picture")
        assert (info.size, info.mime, info.description) == (
            1_000_000,
            "image/png; q=1",
            "a picture",
        )
        assert put_url(store, "x", f"{web.url}/new", mime="image/gif").mime == "image/gif"
    assert store.read_bytes("x") == BODY
    assert web.asked("Accept-Encoding") == ["identity"] * 3


def test_a_source_that_drops_is_gone_on_with(store: ObjectStore) -> None:
    """From where it dropped, and only if it is still the same; as often as there are tries."""
    with web_server(lambda request: serve(request, sent=300_000, ETag=ETAG)) as web:
        info = put_url(store, "x", web.url, tries=4)
    assert (info.size, store.read_bytes("x")) == (1_000_000, BODY)
    assert web.asked("Range") == [None, "bytes=300000-", "bytes=600000-", "bytes=900000-"]
    assert web.asked("If-Range") == [None, ETAG, ETAG, ETAG]


def test_by_its_time_where_it_has_no_tag(store: ObjectStore) -> None:
    """If the time tells one version from the next: Date is one second later."""
    old = {"Last_Modified": "Sun, 06 Nov 1994 08:49:37 GMT"}

    def answer(request: Request) -> None:
        first = "Range" not in request.headers
        serve(request, sent=300_000 if first else None, ETag=None, **old)

    with web_server(answer) as web:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Request, "date_time_string", lambda *_: "Sun, 06 Nov 1994 08:49:37 GMT")
            with pytest.raises(IncompletePayloadError):
                put_url(store, "x", web.url, tries=2)
        assert web.asked("Range") == [None, None]
        put_url(store, "x", web.url, tries=2)
    assert store.read_bytes("x") == BODY
    assert web.asked("If-Range")[2:] == [None, old["Last_Modified"]]


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_what_cannot_be_gone_on_with_begins_anew(store: ObjectStore, etag: str | None) -> None:
    count = iter(range(3))
    with web_server(
        lambda request: serve(request, sent=300_000 if next(count) < 2 else None, ETag=etag)
    ) as web:
        put_url(store, "x", web.url)
    assert store.read_bytes("x") == BODY
    assert web.asked("Range") == [None] * 3


def test_what_has_changed_in_between_begins_anew(store: ObjectStore, shared_client: Client) -> None:
    """No object is of two versions."""
    new = BODY[::-1]

    def answer(request: Request) -> None:
        if len(web.requests) == 1:
            request.reply(200, BODY, sent=300_000, ETag=ETAG)
        else:
            request.reply(200, new, ETag='"two"')

    with web_server(answer) as web:
        put_url(store, "x", web.url)
    assert store.read_bytes("x") == new
    assert web.asked("Range") == [None, "bytes=300000-", None]
    assert orphans(shared_client, store) == set()


def test_a_source_without_ranges_is_read_once_more(store: ObjectStore) -> None:
    """What is there already is passed over, if it is the same."""
    with web_server(
        lambda request: request.reply(
            200, BODY, sent=[300_000, 200_000, 700_000, None][len(web.requests) - 1], ETag=ETAG
        )
    ) as web:
        put_url(store, "x", web.url)
    assert store.read_bytes("x") == BODY
    assert len(web.requests) == 4


@pytest.mark.parametrize(
    "place", ["bytes 0-999999/1000000", "bytes 300000-999999/2000000", "items 300000-1/2", ""]
)
def test_a_part_that_was_not_asked_for(store: ObjectStore, place: str) -> None:
    def answer(request: Request) -> None:
        if "Range" in request.headers:
            request.reply(206, BODY, Content_Range=place, ETag=ETAG)
        else:
            request.reply(200, BODY, sent=300_000, ETag=ETAG)

    with web_server(answer) as web, pytest.raises(IncompletePayloadError) as caught:
        put_url(store, "x", web.url, tries=6)
    assert len(web.requests) == 6
    assert (caught.value.expected, caught.value.received) == (1_000_000, 300_000)
    assert "x" not in store


def test_a_source_that_is_busy_for_a_while(store: ObjectStore) -> None:
    """That counts when it was there before."""
    answers: list[Callable[[Request], object]] = [
        lambda request: serve(request, sent=1000, ETag=ETAG),
        lambda request: request.reply(503),
        lambda request: request.reply(429),
        lambda request: serve(request, ETag=ETAG),
    ]
    with web_server(lambda request: answers[len(web.requests) - 1](request)) as web:
        put_url(store, "x", web.url)
    assert store.read_bytes("x") == BODY
    answers[3] = lambda request: request.reply(404)
    with (
        web_server(lambda request: answers[len(web.requests) - 1](request)) as web,
        pytest.raises(requests.HTTPError, match="404"),
    ):
        put_url(store, "y", web.url)
    assert "y" not in store


def test_a_source_that_goes_away(store: ObjectStore) -> None:
    """What the last try failed with is said."""

    def answer(request: Request) -> None:
        if len(web.requests) == 1:
            serve(request, sent=1000, ETag=ETAG)
        request.close_connection = True

    with web_server(answer) as web, pytest.raises(requests.ConnectionError):
        put_url(store, "x", web.url, tries=3)
    assert len(web.requests) == 3
    assert "x" not in store


def test_a_session_that_does_not_count(store: ObjectStore) -> None:
    """The length is compared all the same."""

    def lenient(response: requests.Response, **_: object) -> None:
        response.raw.enforce_content_length = False

    with (
        web_server(lambda request: serve(request, sent=600_000, ETag=ETAG)) as web,
        requests.Session() as session,
    ):
        session.hooks["response"] = [lenient]
        put_url(store, "x", web.url, session=session)
    assert store.read_bytes("x") == BODY


@pytest.mark.parametrize("status", [404, 503])
def test_errors(store: ObjectStore, status: int) -> None:
    with web_server(lambda request: request.reply(status, b"a page")) as web:
        with pytest.raises(requests.HTTPError, match=str(status)):
            put_url(store, "x", web.url)
        assert len(web.requests) == 1
    with pytest.raises(requests.ConnectionError):
        put_url(store, "x", web.url)
    assert "x" not in store


def test_no_length(store: ObjectStore) -> None:
    """Chunks have an end that is seen; a body that ends with the connection has none."""

    def answer(request: Request) -> None:
        request.reply(200, Content_Length=None, Transfer_Encoding="chunked", ETag=ETAG)
        request.wfile.write(b"%x\r\n%b\r\n" % (len(BODY), BODY))
        if request.path == "/whole":
            request.wfile.write(b"0\r\n\r\n")
        request.close_connection = True

    with web_server(answer) as web:
        put_url(store, "x", f"{web.url}/whole")
        assert store.read_bytes("x") == BODY
        with pytest.raises(IncompletePayloadError):
            put_url(store, "x", f"{web.url}/cut", tries=2)
    assert store.read_bytes("x") == BODY


def test_what_comes_compressed_all_the_same(store: ObjectStore) -> None:
    body = gzip.compress(BODY, 0)
    with web_server(
        lambda request: request.reply(
            200, body, sent=None if "whole" in request.path else 500_000, Content_Encoding="gzip",
            ETag=ETAG,
        )
    ) as web:  # fmt: skip
        put_url(store, "x", f"{web.url}/whole")
        assert store.read_bytes("x") == BODY
        with pytest.raises(IncompletePayloadError):
            put_url(store, "x", f"{web.url}/cut", tries=2)
    assert web.asked("Range") == [None] * 3
    with (
        web_server(lambda request: request.reply(200, BODY, Content_Encoding="gzip")) as web,
        pytest.raises(requests.exceptions.ContentDecodingError),
    ):
        put_url(store, "x", web.url)


def test_too_large(store: ObjectStore, shared_client: Client) -> None:
    """By its length before anything is stored; without one when it is seen."""

    def answer(request: Request) -> None:
        length = None if request.path == "/unknown" else str(len(BODY))
        request.reply(200, BODY, Content_Length=length)
        request.close_connection = True

    with web_server(answer) as web:
        for path in ("/known", "/unknown"):
            with pytest.raises(objstore.ObjectTooLargeError, match="999,999") as caught:
                put_url(store, "x", web.url + path, max_size=999_999)
            assert caught.value.limit == 999_999
        put_url(store, "x", f"{web.url}/unknown", max_size=1_000_000)
        shared_client.update_store(store.name, max_object_size=5)
        with pytest.raises(objstore.ObjectTooLargeError):
            put_url(store, "y", f"{web.url}/known")
    assert [info.name for info in store] == ["x"]
    assert orphans(shared_client, store) == set()


def test_arguments(store: ObjectStore) -> None:
    for options in ({"tries": 0}, {"max_size": -1}, {"tries": True}):
        with pytest.raises(InvalidOptionError):
            put_url(store, "x", "http://127.0.0.1:9", **options)
    with pytest.raises(requests.exceptions.InvalidSchema):
        put_url(store, "x", "file:///etc/passwd")


# --- URLs that strangers give


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("127.0.0.1", False),
        ("0.0.0.0", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::1", False),
        ("2001:0:1::1", False),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "127.1"])
def test_private_addresses_are_refused_when_asked_to(
    store: ObjectStore, host: str, scheme: str
) -> None:
    """In every spelling, and before anything is sent there."""
    with web_server(serve) as web:
        port = web.url.rpartition(":")[2]
        with pytest.raises(InvalidOptionError, match="private address"):
            put_url(store, "x", f"{scheme}://{host}:{port}/", allow_private=False)
    assert not web.requests


def test_redirects_to_private_addresses_are_refused(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And names that lead elsewhere at the second look."""
    with web_server(lambda request: request.reply(302, Location="http://127.0.0.2:9/")) as web:
        monkeypatch.setattr(
            "objstore.contrib.public_addresses.is_public", lambda address: address == "127.0.0.1"
        )
        with pytest.raises(InvalidOptionError, match=r"127\.0\.0\.2, which is at"):
            put_url(store, "x", web.url, allow_private=False)
        assert len(web.requests) == 1
    with web_server(serve) as web:
        monkeypatch.setattr(
            "objstore.contrib.public_addresses.is_public", lambda address: address == "1.1.1.1"
        )
        monkeypatch.setattr("objstore.contrib.public_addresses._check_name", lambda *_: None)
        with pytest.raises(InvalidOptionError, match="at the private address"):
            put_url(store, "x", web.url, allow_private=False)
    assert not web.requests


def test_no_proxy_hides_where_a_url_leads(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with web_server(serve) as proxy, requests.Session() as session:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        session.proxies = {"http": proxy.url}
        with pytest.raises(InvalidOptionError, match="private address"):
            put_url(store, "x", "http://10.0.0.1/", session=session, allow_private=False)
    assert not proxy.requests


def test_a_session_of_ones_own(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its login counts, also where only public addresses are allowed."""
    monkeypatch.setattr("objstore.contrib.public_addresses.is_public", lambda _: True)
    with web_server(serve) as web, requests.Session() as session:
        session.auth = ("cat", "fish")
        for allow_private in (True, False):
            put_url(store, "x", web.url, session=session, allow_private=allow_private)
        put_url(store, "x", web.url, headers={"X-Key": "1"})
    assert web.asked("Authorization") == ["Basic Y2F0OmZpc2g="] * 2 + [None]
    assert web.asked("X-Key") == [None, None, "1"]


# --- objects as bodies


class Sink:
    """What a server has got."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def __call__(self, request: Request) -> None:
        self.bodies.append(request.body())
        if request.path == "/moved":
            request.reply(307, Location="/here")
        else:
            request.reply(201, b"stored")


def test_an_object_as_a_body(store: ObjectStore) -> None:
    store.put("a.png", BODY, mime="image/png")
    store.put("empty", b"")
    sink, told = Sink(), []
    with web_server(sink) as web:
        answer = put_object(store, "a.png", f"{web.url}/moved")
        assert (answer.status_code, answer.text) == (201, "stored")
        put_object(
            store, "a.png", f"{web.url}/moved", method="POST", headers={"X-Key": "1"},
            progress=lambda done, total: told.append((done, total)),
        )  # fmt: skip
        put_object(store, "empty", web.url, progress=lambda *_: None)
    assert sink.bodies == [BODY] * 4 + [b""]
    assert [method for method, _, _ in web.requests] == ["PUT"] * 2 + ["POST"] * 2 + ["PUT"]
    assert web.asked("Content-Type") == ["image/png"] * 4 + ["application/octet-stream"]
    assert web.asked("Content-Length") == ["1000000"] * 4 + ["0"]
    assert web.asked("X-Key") == [None, None, "1", "1", None]
    assert told[-1] == (1_000_000, 1_000_000)
    assert len(told) > 3


def test_an_object_in_a_form(store: ObjectStore) -> None:
    store.put("2026/cat.png", BODY, mime="image/png")
    sink, told = Sink(), []
    with web_server(sink) as web:
        post_object(
            store, "2026/cat.png", web.url, "photo", fields={"title": "a cat"},
            progress=lambda done, total: told.append((done, total)),
        )  # fmt: skip
    (body,) = sink.bodies
    (content_type,) = web.asked("Content-Type")
    title, photo = decoder.MultipartDecoder(body, content_type).parts
    assert (title.content, photo.content) == (b"a cat", BODY)
    assert photo.headers[b"Content-Disposition"] == (b'form-data; name="photo"; filename="cat.png"')
    assert photo.headers[b"Content-Type"] == b"image/png"
    assert told[-1] == (len(body), len(body))


def test_hostile_names_in_a_form(store: ObjectStore) -> None:
    """They stay in their place."""
    name = 'a"\r\nX-Header: 1\r\n\r\nb.txt'
    store.put(name, b"content", headers={"Content-Type": "text/plain; a=\x7f"})
    sink = Sink()
    with web_server(sink) as web:
        post_object(store, name, web.url, 'f"\r\nield')
    (part,) = decoder.MultipartDecoder(sink.bodies[0], web.asked("Content-Type")[0]).parts
    assert set(part.headers) == {b"Content-Disposition", b"Content-Type"}
    assert part.headers[b"Content-Type"] == b"application/octet-stream"
    assert part.content == b"content"


#: How others send what ``open`` gives, from where it stands: by requests itself, also where it is
#: sent once more after a redirect; by requests-toolbelt; in chunks by urllib3 and http.client.
SENDERS: dict[str, Callable[[str, Any], object]] = {
    "requests": lambda url, file: requests.put(url, data=file, timeout=PATIENCE),
    "redirected": lambda url, file: requests.put(f"{url}/moved", data=file, timeout=PATIENCE),
    "iterator": lambda url, file: requests.put(
        url, data=StreamingIterator(file.len, file), timeout=PATIENCE
    ),
    "form": lambda url, file: requests.put(
        url, data=MultipartEncoder({"field": ("x", file)}), timeout=PATIENCE
    ),
    "urllib3": lambda url, file: put_by_urllib3(url, file),
}


def put_by_urllib3(url: str, file: Any) -> None:
    with urllib3.PoolManager() as pool:
        pool.request("PUT", url, body=file, timeout=PATIENCE)


@pytest.mark.parametrize("sender", SENDERS)
@pytest.mark.parametrize("opened_by", ["store", "fsspec"])
def test_what_was_read_in_part_is_sent_from_there(
    store: ObjectStore, server: LocalServer, sender: str, opened_by: str
) -> None:
    """With the length of what is left: a shorter one would make a request of the rest."""
    store.put("x", BODY)
    sink, at = Sink(), 300_000
    opened: Any = store.open("x")
    if opened_by == "fsspec":
        opened = ObjectFileSystem(server.url).open(f"{store.name}/x")
    with web_server(sink) as web, opened as file:
        file.read(at)
        SENDERS[sender](web.url, file)
    if sender == "form":
        assert BODY[at:] + b"\r\n--" in sink.bodies[-1]
    else:
        assert set(sink.bodies) == {BODY[at:]}
    announced = [None if sender == "urllib3" else str(len(body)) for body in sink.bodies]
    assert web.asked("Content-Length") == announced


def test_a_bar(store: ObjectStore, capfd: pytest.CaptureFixture[str]) -> None:
    store.put("x", BODY)
    with web_server(Sink()) as web:
        put_object(store, "x", web.url, progress=True)
        post_object(store, "x", web.url, progress=True)
    assert capfd.readouterr().err.count("100%") >= 2


def test_no_object(store: ObjectStore) -> None:
    for send in (put_object, post_object):
        with pytest.raises(objstore.ObjectNotFoundError):
            send(store, "missing", "http://127.0.0.1:9")


# --- memory

MEMORY = """
import sys
import objstore
from objstore.contrib.http import post_object, put_object, put_url
from tests.support.http_server import web_server
url, bucket, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
block = bytes(1 << 20)
got = []
def answer(request):
    if request.command == "GET":
        request.reply(200, Content_Length=str(size))
        for _ in range(size >> 20):
            request.wfile.write(block)
        return
    left = int(request.headers["Content-Length"])
    got.append(left)
    while left:
        left -= len(request.rfile.read(min(left, 1 << 20)))
    request.reply(200)
def peak():  # in MiB; not ru_maxrss, which begins with the peak of the tests' process
    (line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM:")]
    return int(line.split()[1]) >> 10
with web_server(answer) as web, objstore.connect(url) as client:
    store = client.object_store(bucket, create=False)
    put_url(store, "small", web.url, max_size=size)
    post_object(store, "small", web.url)
    before = peak()
    size = int(sys.argv[4])
    assert put_url(store, "large", web.url).size == size
    post_object(store, "large", web.url)
    put_object(store, "large", web.url)
    assert got[-1] == size < got[-2] < size + 1000
    print(peak() - before)
"""


def test_memory_stays_flat(server: LocalServer, store: ObjectStore) -> None:
    """Both ways; client and web server in one process."""
    small, large = 16 << 20, 64 << 20
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, server.url, store.name, str(small), str(large)],
        capture_output=True, text=True, timeout=PATIENCE, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 30
