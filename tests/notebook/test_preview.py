"""``show``: an object's content in a notebook, by its media type, and never run."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import sys
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from objstore import InvalidOptionError, MissingDependencyError, ObjectStore
from objstore.notebook.preview import MAX_COLUMNS, MAX_LINES, MAX_TEXT, Preview, preview
from tests.support.pages import Page

pytestmark = pytest.mark.newest_server

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'\x1b[31m\u202e"
READABLE = HOSTILE.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")

#: A film's beginning, with its index (``moov``) and without.
FILM, WITHOUT_INDEX = b"\0\0\0\x10ftypisom" + bytes(80), b"\0\0\0\x10ftypisom" + bytes(9000)
#: With no time in it: the tests' names are made of it.
GZIPPED = gzip.compress(b"a,b\n" * 1000, mtime=0)


class Counted(io.BytesIO):
    """A file that counts what is read of it."""

    count = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.count += len(data)
        return data


def look(
    data: bytes,
    mime: str | None = None,
    *,
    name: str = "x",
    limit: int = 1 << 20,
    url: str | None = None,
) -> Preview:
    return preview(io.BytesIO(data), name, mime, limit, url)


def page(*args: Any, **options: Any) -> Page:
    return Page(look(*args, **options)._repr_html_())


def table_of_parquet() -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.table({"<b>": [1, 2], "n": ["a", "b"]}), file)
    return file.getvalue()


# --- pictures, sound and films


@pytest.mark.parametrize(
    ("mime", "element"),
    [
        ("image/png", "img"),
        ("IMAGE/JPEG; a=b", "img"),
        ("audio/mpeg", "audio"),
        ("video/mp4", "video"),
    ],
)
def test_what_draws_or_plays_is_part_of_the_notebook(mime: str, element: str) -> None:
    shown = page(b"content", mime, name=HOSTILE)
    (attributes,) = [has for tag, has in shown.elements if tag == element]
    head, _, data = str(attributes["src"]).partition(",")
    assert head == f"data:{mime.partition(';')[0].lower()};base64"
    assert base64.b64decode(data) == b"content"
    assert not {name for name in attributes if name.startswith("on")}
    assert f"{mime.partition(';')[0].lower()}, 7 B" in shown.text


def test_what_is_too_large_for_the_notebook_is_not_read() -> None:
    file = Counted(bytes(10_000_000))
    shown = Page(preview(file, "x.png", None, 1000, None)._repr_html_())
    assert shown.is_harmless
    assert "show(limit=…)" in shown.text
    assert file.count == 0


def test_the_beginning_of_long_sound_plays() -> None:
    file = Counted(bytes(10_000_000))
    shown = Page(preview(file, "x.mp3", None, 1000, None)._repr_html_())
    assert shown.elements[-1][0] == "audio"
    assert shown.text == "x.mp3 audio/mpeg, 9.5 MiB, its first 1000 B"
    assert file.count == 1000


@pytest.mark.parametrize(
    ("film", "plays"), [(FILM + b"moov" + bytes(9000), True), (WITHOUT_INDEX + b"moov", False)]
)
def test_a_long_film_plays_if_its_index_comes_first(film: bytes, plays: bool) -> None:
    shown = page(film, "video/mp4", limit=1000)
    assert (shown.elements[-1][0] == "video") is plays
    assert ("show(url=…)" in shown.text) is not plays


@pytest.mark.parametrize("kind", ["image/png", "audio/wav", "video/mp4"])
def test_an_address_in_place_of_the_content(kind: str) -> None:
    file = Counted(bytes(5000))
    url = "https://example.org/x?a=1&b=\"'><script>"
    shown = Page(preview(file, "x", kind, 1000, url)._repr_html_())
    assert shown.elements[-1][1]["src"] == url
    assert file.count == 0


# --- text


@pytest.mark.parametrize(
    "mime",
    [
        "text/html",
        "application/xhtml+xml",
        "image/svg+xml",
        "text/javascript",
        "application/javascript",
        "text/xml",
        "text/markdown",
        "text/csv",
        "application/json",
        "application/pdf",
        'image/png" onerror="alert(1)',
        "image/png'><script>",
        "video/x><script>alert(1)</script>",
        "<script>alert(1)</script>",
        HOSTILE,
        "",
        None,
    ],
)
def test_what_strangers_stored_is_only_text(mime: str | None) -> None:
    for content in (HOSTILE, f"{HOSTILE},{HOSTILE}\n" * 3, f'{{"a": "{HOSTILE[:25]}"}}'):
        found = look(content.encode(), mime, name=HOSTILE)
        shown = Page(found._repr_html_())
        assert shown.is_harmless
        assert READABLE[:25] in shown.text
        assert "\x1b" not in repr(found)
        assert "\u202e" not in repr(found)


@pytest.mark.parametrize(
    ("data", "mime", "text"),
    [
        ("Grüße".encode(), "text/plain", "Grüße"),
        ("Grüße".encode("latin-1"), "text/plain; charset=ISO-8859-1", "Grüße"),
        ("Grüße".encode("utf-16"), 'text/plain; charset="utf-16"', "Grüße"),
        ("Grüße".encode("latin-1"), "text/plain", "Gr\ufffd\ufffde"),
        ("Grüße".encode(), "text/plain; charset=hex", "Grüße"),
        ("Grüße".encode(), "text/plain; charset=iso-8859-99", "Grüße"),
        (b"a\tb", "text/plain", "a   b"),
        (b'{"b": [1, "\xc3\xa4"]}', "application/json", '{\n  "b": [\n    1,\n    "ä"\n  ]\n}'),
        (
            b'{"b": [1, "\\ud800"]}',
            "application/ld+json",
            '{\n  "b": [\n    1,\n    "\\ud800"\n  ]\n}',
        ),
        (b'{"b":', "application/json", '{"b":'),
        (b"[" * 60_000, "application/json", "[" * 500 + "…"),
        (b"9" * 6000, "application/json", "9" * 500 + "…"),
        (b"just text", None, "just text"),
        (b"just text", "application/octet-stream", "just text"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_text(data: bytes, mime: str | None, text: str) -> None:
    found = look(data, mime)
    shown = Page(found._repr_html_())
    assert shown.elements[-1][0] == "pre"
    assert shown.text.endswith(text)
    assert repr(found).partition("\n")[2] == text


@pytest.mark.parametrize("mime", ["text/plain", "text/csv", "application/json", None])
def test_of_a_long_text_its_beginning_is_read(mime: str | None) -> None:
    data = b"a" + "ä,".encode() * 1_000_000
    file = Counted(data)
    shown = Page(preview(file, "x", mime, 1, None)._repr_html_())
    assert "its first 64.0 KiB" in shown.text
    assert "\ufffd" not in shown.text  # where it is cut within a character
    assert file.count == MAX_TEXT
    assert len(shown.text) < 1000


def test_of_many_lines_the_first_are_shown() -> None:
    shown = page(b"line\n" * 10_000, "text/plain")
    assert "its first 200 lines" in shown.text
    assert shown.text.count("line\n") == MAX_LINES - 1
    assert "first" not in page(b"line\n" * MAX_LINES, "text/plain").text


@pytest.mark.parametrize(
    ("data", "mime", "name"),
    [
        (bytes(range(256)), None, "x"),
        (bytes(range(256)), "text/plain", "x"),
        (GZIPPED, None, "x.csv.gz"),
        (GZIPPED, "text/csv", "x.csv.gz"),
        (b"%PDF-1.7\n\xb5\xb5\xb5\xb5\n" + bytes(range(256)), "application/pdf", "x"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_no_text(data: bytes, mime: str | None, name: str) -> None:
    shown = page(data, mime, name=name)
    assert shown.is_harmless
    assert shown.text.endswith("no preview of this type")


def test_nothing() -> None:
    assert page(b"", "text/plain").text == "x text/plain, 0 Bempty"


# --- tables


@pytest.mark.parametrize(
    ("data", "mime", "name"),
    [
        (b'a,"b, c"\n1,"2\n3"\n\n', "text/csv", "x"),
        (b'a;"b, c"\n1;"2\n3"\n', "text/csv; charset=utf-8", "x"),
        (b'a\t"b, c"\n1\t"2\n3"\n', "text/tab-separated-values", "x"),
        (b'a|"b, c"\n1|"2\n3"\n', None, "x.csv"),
    ],
)
def test_csv_is_a_table(data: bytes, mime: str | None, name: str) -> None:
    shown = page(data, mime, name=name)
    assert shown.rows == [["a", "b, c"], ["1", "2\\n3"]]


def test_a_large_csv_shows_its_first_rows_and_columns() -> None:
    line = b",".join(b"%d" % number for number in range(100)) + b"\n"
    shown = page(line * 50, "text/csv")
    assert [len(row) for row in shown.rows] == [MAX_COLUMNS + 1] * 21
    assert shown.rows[1][-2:] == ["19", "…"]
    assert shown.text.endswith("… and 29 more")
    shown = page(line * 1000, "text/csv")
    assert "its first 64.0 KiB" in shown.text
    assert "more" not in shown.text  # nobody has counted them


def test_csv_that_cannot_be_read_is_text() -> None:
    assert page(b"a,b" * MAX_TEXT, "text/csv").elements[-1][0] == "pre"  # a line without an end
    limit = csv.field_size_limit(10)  # for a cell, which programs may set
    try:
        assert page(b"a,b\n%s,1\n" % (b"x" * 20), "text/csv").elements[-1][0] == "pre"
    finally:
        csv.field_size_limit(limit)


def test_parquet_shows_its_columns() -> None:
    found = look(table_of_parquet(), name="x.parquet")
    shown = Page(found._repr_html_())
    assert shown.rows == [["column", "type"], ["<b>", "int64"], ["n", "string"]]
    assert "2 rows, 1 row group" in shown.text
    assert repr(found).splitlines()[1:] == ["<b>: int64", "n: string"]


def test_of_parquet_only_its_end_is_read() -> None:
    columns = {f"c{number}": list(range(number, number + 20_000)) for number in range(20)}
    data = io.BytesIO()
    parquet.write_table(pa.table(columns), data)
    file = Counted(data.getvalue())
    assert "20,000 rows" in repr(preview(file, "x.parquet", None, 1 << 20, None))
    assert file.count < 100_000 < len(data.getvalue()) / 10


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda data: data[:-1], "no Parquet file"),
        (lambda _data: b"PAR1", "no Parquet file"),
        (lambda data: data[:-8] + b"\xff\xff\xff\x7fPAR1", "larger than limit"),
        (lambda data: b"\xff" * (len(data) - 8) + data[-8:], "deserialize"),
    ],
)
def test_damaged_parquet(damage: Callable[[bytes], bytes], says: str) -> None:
    shown = page(damage(table_of_parquet()), "application/vnd.apache.parquet")
    assert shown.is_harmless
    assert says in shown.text


def test_parquet_without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "pip install pyarrow" in page(table_of_parquet(), name="x.parquet").text


# --- show


def test_show_leaves_the_position(store: ObjectStore, capsys: pytest.CaptureFixture[str]) -> None:
    """Where there is no notebook, the text is printed."""
    store.put("notes", b"one\ntwo\n", mime="text/plain")
    with store.open("notes") as result:
        result.readline()
        assert result.show() is None  # type: ignore[func-returns-value]
        assert result.read() == b"two\n"
    assert capsys.readouterr().out == "notes (text/plain, 8 B)\none\ntwo\n"
    with pytest.raises(ValueError, match="closed"):
        result.show()


def test_show_of_a_part(store: ObjectStore, capsys: pytest.CaptureFixture[str]) -> None:
    store.put("notes", b"one\ntwo\n")
    result = store.get("notes", start=4)
    assert result is not None
    result.show()
    assert capsys.readouterr().out == "notes (4 B)\ntwo\n"


@pytest.mark.parametrize(
    "options", [{"limit": 0}, {"limit": "1"}, {"url": "javascript:x"}, {"url": 1}, {"url": "x y"}]
)
def test_show_refuses_what_it_cannot_use(store: ObjectStore, options: Any) -> None:
    store.put("x", b"1")
    with store.open("x") as result, pytest.raises(InvalidOptionError, match=next(iter(options))):
        result.show(**options)


def test_show_says_what_is_missing(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put("x", b"1")
    monkeypatch.setitem(sys.modules, "IPython", None)
    with (
        store.open("x") as result,
        pytest.raises(MissingDependencyError, match=r"nats-objstore\[notebook\]"),
    ):
        result.show()
