"""What a notebook shows of an object's content, by its media type; nothing of it is ever run.

Pictures, sound and films go into elements that only ever draw or play. All else is shown as text:
HTML and JavaScript, and SVG too, which would run no script as a picture, but whose references to
its own parts can keep a browser busy for hours, each time the notebook is opened.
"""

from __future__ import annotations

import base64
import codecs
import csv
import json
import mimetypes
import re
from html import escape
from io import SEEK_END, BufferedIOBase, StringIO

from objstore.notebook.html import MAX_ROWS, muted, preformatted, record, table
from objstore.notebook.parquet import parquet_schema
from objstore.readable import human_size, printable

__all__ = ["Preview", "preview"]

PICTURE = re.compile(r"image/(png|jpeg|gif|webp|avif|bmp|x-icon)")
MEDIA = re.compile(r"(audio|video)/[a-z0-9.+-]{1,60}")
TABLE = re.compile(r"(text|application)/csv|text/tab-separated-values")
JSON = re.compile(r"application/(.+\+)?json")
PARQUET = re.compile(r"application/(vnd\.apache\.|x-)?parquet")
#: What says nothing: the name may say more.
VAGUE = re.compile(r"|(application|binary)/(octet-stream|x-download)")

#: Encodings that a media type may name: all are fast, and none does anything but decode.
ENCODING = re.compile(
    r"utf-?(8|16|32)([-_]?[bl]e)?|(us-)?ascii|iso-8859-\d{1,2}|latin-?1|windows-125\d|koi8-[ru]"
    r"|shift_jis|euc-(jp|kr)|gbk|gb2312|gb18030|big5",
    re.IGNORECASE,
)

#: What no text has, or little of: controls that are no space, and what stands for no character.
CONTROL = re.compile("[\0-\x08\x0e-\x1a\x1c-\x1f]")
NO_TEXT = re.compile(f"{CONTROL.pattern}|\ufffd")

#: How much of a text is read, in bytes; lines of it that are shown, and characters of a line.
MAX_TEXT, MAX_LINES, MAX_LINE = 64 << 10, 200, 500
#: Columns of a table that are shown.
MAX_COLUMNS = 20


class Preview:
    """What is shown of an object: HTML in a notebook, a text elsewhere."""

    def __init__(self, html: str, text: str) -> None:
        self._html, self._text = html, text

    def __repr__(self) -> str:
        return self._text

    def _repr_html_(self) -> str:
        return self._html


def preview(
    file: BufferedIOBase, name: str, mime: str | None, limit: int, url: str | None
) -> Preview:
    """Return what is shown of a file; its position is as before.

    Arguments:
        file: can seek.
        name: the file's name, by which its type is guessed where ``mime`` says nothing.
        mime: its media type.
        limit: how many bytes of a picture, sound or film may stand in the notebook.
        url: where a browser gets the content itself, if anywhere.
    """
    position = file.tell()
    try:
        size = file.seek(0, SEEK_END)
        file.seek(0)
        kind, encoding = _type_of(name, mime)
        return _Look(file, name, kind, size).take(encoding, limit, url)
    finally:
        file.seek(position)


def _type_of(name: str, mime: str | None) -> tuple[str, str]:
    """Return a media type without its parameters, in small letters, and an encoding of text."""
    kind, _, parameters = (mime or "").partition(";")
    kind = kind.strip().lower()
    if VAGUE.fullmatch(kind):
        kind = _type_by_name(name)
    found = re.search(r"charset=[\"']?([\w-]+)", parameters, re.IGNORECASE)
    encoding = found[1] if found and ENCODING.fullmatch(found[1]) else "utf-8"
    try:
        return kind, codecs.lookup(encoding).name
    except LookupError:  # iso-8859-99
        return kind, "utf-8"


def _type_by_name(name: str) -> str:
    if name.lower().endswith((".parquet", ".pq")):
        return "application/parquet"
    kind, compression = mimetypes.guess_type(name)
    return f"application/{compression}" if compression else kind or ""


class _Look:
    """One look at a file, which stands at its beginning."""

    def __init__(self, file: BufferedIOBase, name: str, kind: str, size: int) -> None:
        self._file, self._name, self._kind, self._size = file, name, kind, size

    def take(self, encoding: str, limit: int, url: str | None) -> Preview:
        media = MEDIA.fullmatch(self._kind)
        if PICTURE.fullmatch(self._kind):
            return self._picture(limit, url)
        if media:
            return self._media(media[1], limit, url)
        if PARQUET.fullmatch(self._kind):
            return self._parquet(limit)
        return self._text(encoding)

    def _as(self, html: str, text: str = "", note: str = "") -> Preview:
        about = ", ".join(filter(None, [self._kind, human_size(self._size), note]))
        plain = f"{printable(self._name)} ({printable(about)})"
        return Preview(record(self._name, about, {}, html), f"{plain}\n{text}".rstrip())

    def _note(self, text: str) -> Preview:
        return self._as(f"<div>{muted(text)}</div>", text)

    def _picture(self, limit: int, url: str | None) -> Preview:
        style = "display:block;max-width:100%;max-height:480px;margin:4px 0"
        if url is None and self._size > limit:
            return self._note("larger than limit: show(limit=…) shows it, or show(url=…)")
        source = url or self._data(self._file.read(limit))
        return self._as(f'<img src="{escape(source)}" alt="{escape(self._name)}" style="{style}">')

    def _media(self, tag: str, limit: int, url: str | None) -> Preview:
        note, source = "", url
        if source is None:
            data = self._file.read(limit)
            if len(data) < self._size:
                # Films of MP4 play only with their index, which stands at their end or beginning.
                if data[4:8] == b"ftyp" and b"moov" not in data:
                    return self._note("too large: show(limit=…) plays it, or show(url=…)")
                note = f"its first {human_size(len(data))}"
            source = self._data(data)
        style = "display:block;max-width:100%;max-height:480px;margin:4px 0"
        html = f'<{tag} controls preload="metadata" src="{escape(source)}" style="{style}"></{tag}>'
        return self._as(html, note=note)

    def _data(self, data: bytes) -> str:
        return f"data:{self._kind};base64,{base64.b64encode(data).decode()}"

    def _parquet(self, limit: int) -> Preview:
        columns, note = parquet_schema(self._file, self._size, limit)
        text = "\n".join(f"{printable(name)}: {printable(kind)}" for name, kind in columns)
        return self._as(table(["column", "type"], columns) if columns else "", text, note)

    def _text(self, encoding: str) -> Preview:
        data = self._file.read(MAX_TEXT)
        is_whole = len(data) == self._size
        text = codecs.getincrementaldecoder(encoding)("replace").decode(data, final=is_whole)
        note = "" if is_whole else f"its first {human_size(len(data))}"
        # Text in an encoding that nobody stated has characters that cannot be decoded, too.
        odd = CONTROL if self._kind.startswith("text/") else NO_TEXT
        if len(odd.findall(text)) * 50 >= len(text):
            return self._note("no preview of this type" if text else "empty")
        rows = _rows(text, is_whole) if TABLE.fullmatch(self._kind) else []
        if JSON.fullmatch(self._kind) and is_whole:
            text = _indented(text)
        lines = text.splitlines()
        if len(lines) > MAX_LINES and not rows:
            note = note or f"its first {MAX_LINES} lines"
        plain = "\n".join(map(_cut, lines[:MAX_LINES]))
        return self._as(table(rows[0], rows[1:]) if rows else preformatted(plain), plain, note)


def _cut(line: str) -> str:
    cut = line if len(line) <= MAX_LINE else f"{line[:MAX_LINE]}…"
    return printable(cut.expandtabs(4))


def _indented(text: str) -> str:
    """Return JSON by lines; as it is, where it is none, or one that nobody can read."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def _rows(text: str, is_whole: bool) -> list[list[str]]:
    """Return the rows of a CSV file, none where it is none."""
    if not is_whole:
        text = text[: text.rfind("\n") + 1]  # the last line may not be all there
    # What stands in quotes is content: a comma in there divides nothing.
    head = re.sub('"[^"]*"', "", text.partition("\n")[0])
    delimiter = max(",;\t|", key=head.count)
    try:
        rows = [row for row in csv.reader(StringIO(text, ""), delimiter=delimiter) if row]
    except csv.Error:
        return []
    cut = [row[:MAX_COLUMNS] + ["…"] * (len(row) > MAX_COLUMNS) for row in rows]
    return cut if is_whole else cut[: MAX_ROWS + 1]  # how many there are, nobody knows
