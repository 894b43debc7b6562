"""What strangers chose, in headers: file names and media types."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.contrib.filenames import content_disposition, is_markup, plain_name, safe_media_type

pytestmark = pytest.mark.newest_server


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("cat.jpg", 'inline; filename="cat.jpg"'),
        ("a b;c,d.txt", 'inline; filename="a b;c,d.txt"'),
        ("2026/summer/cat.jpg", 'inline; filename="cat.jpg"'),
        ("C:\\cats\\cat.jpg", 'inline; filename="cat.jpg"'),
        ("../../etc/passwd", 'inline; filename="passwd"'),
        ("Übung.pdf", "inline; filename=\"Ubung.pdf\"; filename*=UTF-8''%C3%9Cbung.pdf"),
        ("猫.jpg", "inline; filename=\"download.jpg\"; filename*=UTF-8''%E7%8C%AB.jpg"),
        ("猫", "inline; filename=\"download\"; filename*=UTF-8''%E7%8C%AB"),
        ('a"b.txt', "inline; filename=\"a_b.txt\"; filename*=UTF-8''a%22b.txt"),
        ("100%.txt", "inline; filename=\"100_.txt\"; filename*=UTF-8''100%25.txt"),
        ("a\r\nSet-Cookie: x=1", 'inline; filename="aSet-Cookie: x=1"'),
        ("a\x00\x7f\u2028b", 'inline; filename="ab"'),
        ("photo\u202egpj.exe", 'inline; filename="photogpj.exe"'),
        ("folder/", "inline"),
        ("..", "inline"),
        ("\ud800.txt", 'inline; filename="?.txt"'),
    ],
)
def test_names(filename: str, expected: str) -> None:
    assert content_disposition(filename, attachment=False) == expected


def test_an_attachment() -> None:
    assert content_disposition("a", attachment=True) == 'attachment; filename="a"'
    assert content_disposition("", attachment=True) == "attachment"


def test_long_names_keep_their_suffix() -> None:
    name = plain_name("猫" * 1000 + ".jpeg")
    assert len(name.encode()) <= 255
    assert name.startswith("猫" * 80)
    assert name.endswith("猫.jpeg")
    assert len(plain_name("a." + "b" * 1000)) == 255


@given(st.text(st.characters(), max_size=50) | st.text('"\\/%;\r\n.猫', max_size=20))
def test_any_name_is_one_header(filename: str) -> None:
    header = content_disposition(filename, attachment=True)
    assert re.fullmatch(r"[ -~]+", header)
    found = re.fullmatch(
        r'attachment(?:; filename="([^"\\]+)")?(?:; filename\*=UTF-8\'\'([!-~]+))?', header
    )
    assert found is not None
    name = unquote(found[2]) if found[2] else found[1] or ""
    assert name == plain_name(filename)
    assert not set(name) & set("/\\\r\n\x00")


@pytest.mark.parametrize(
    ("mime", "name", "expected"),
    [
        ("text/plain", "x", "text/plain"),
        ('text/plain; charset=utf-8; x="a b"', "x", 'text/plain; charset=utf-8; x="a b"'),
        ("image/svg+xml", "x", "image/svg+xml"),
        (None, "folder/cat.jpg", "image/jpeg"),
        (None, "a.tar.gz", "application/octet-stream"),
        (None, "data:text/html,<script>", "application/octet-stream"),
        (None, "no suffix", "application/octet-stream"),
        ("", "cat.jpg", "application/octet-stream"),
        ("text", "x", "application/octet-stream"),
        ("text/plain\r\nSet-Cookie: x=1", "x", "application/octet-stream"),
        ("text/html; charset=\x00", "x", "application/octet-stream"),
        ("text/pläin", "x", "application/octet-stream"),
        ("a/" + "b" * 300, "x", "application/octet-stream"),
    ],
)
def test_media_types(mime: str | None, name: str, expected: str) -> None:
    assert safe_media_type(mime, name) == expected


def test_markup() -> None:
    for kind in ("text/html", "TEXT/HTML; charset=utf-8", "image/svg+xml", "application/xhtml+xml",
                 "text/xml", "application/xml", "application/atom+xml", "text/xsl"):  # fmt: skip
        assert is_markup(kind), kind
    for kind in ("text/plain", "image/png", "application/pdf", "application/json", "text/css"):
        assert not is_markup(kind), kind
