"""What strangers chose, made fit for the headers of an answer: file names and media types."""

from __future__ import annotations

import mimetypes
import re
import unicodedata
from functools import lru_cache
from urllib.parse import quote

__all__ = ["content_disposition", "is_markup", "plain_name", "safe_media_type"]

OCTETS = "application/octet-stream"

#: A media type with its parameters (RFC 9110, 8.3.1); nothing else gets into a header.
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA_TYPE = re.compile(
    rf'{_WORD}/{_WORD}(?:[ \t]*;[ \t]*{_WORD}=(?:{_WORD}|"[ !#-\[\]-~]*"))*', re.ASCII
)

#: The longest name in bytes of UTF-8, as file systems have it; a proxy's limits for headers, of 4
#: KiB by default in nginx, are three times that away.
_LONGEST = 255

#: Marks that turn the direction of writing: with one of them "exe.gpj" is shown as "jpg.exe".
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")

#: What may stand unencoded in ``filename*`` (RFC 8187, attr-char), but for letters and digits.
_ATTRIBUTE = "!#$&+-.^_`|~"


@lru_cache(1000)  # with the one below: 80 us of an answer of 700
def safe_media_type(mime: str | None, name: str = "") -> str:
    """Return an object's media type if it is fit for a header, else one for plain bytes.

    Arguments:
        mime: as stored; None: it is guessed by the name.
        name: the object's name.

    Source: RFC 9110, section 8.3.1.
    """
    if mime is None:
        # Not what stands before a colon: "data:text/html," is read as a URL, and its type believed.
        guessed, encoding = mimetypes.guess_type(re.sub(r".*[/:]", "", name, flags=re.DOTALL))
        mime = guessed if encoding is None else None
    mime = (mime or OCTETS).strip()
    return mime if len(mime) <= _LONGEST and _MEDIA_TYPE.fullmatch(mime) else OCTETS


def is_markup(media_type: str) -> bool:
    """Tell whether a browser runs scripts that stand in a document of this type: HTML, SVG, XML."""
    kind = media_type.partition(";")[0].strip().lower()
    return kind.endswith(("/html", "/xml", "+xml", "/xsl", "/xhtml"))


@lru_cache(1000)
def content_disposition(filename: str, *, attachment: bool) -> str:
    """Return the header that names a file for who saves it.

    What stands before the last slash is left out, and so are control characters, marks that turn
    the direction of writing, and what is longer than 255 bytes; the suffix stays.

    Arguments:
        filename: any text.
        attachment: it is to be saved, not shown.

    Source: RFC 6266, with appendix D for what old browsers understand; RFC 8187.
    """
    kind = "attachment" if attachment else "inline"
    name = plain_name(filename)
    if not name:
        return kind
    # Browsers differ in what a backslash quotes, and some decode what stands behind a percent.
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii")
    ascii_name = re.sub(r'["\\%]', "_", ascii_name)
    if ascii_name == name:
        return f'{kind}; filename="{name}"'
    stem = ascii_name.rpartition(".")[0] if "." in ascii_name else ascii_name
    shown = ascii_name if stem.strip() else f"download{ascii_name}"
    encoded = quote(name.encode(), safe=_ATTRIBUTE)
    return f"{kind}; filename=\"{shown}\"; filename*=UTF-8''{encoded}"


def plain_name(filename: str) -> str:
    """Return the last part of a path, without what is unfit for a file's name.

    Arguments:
        filename: any text, such as a client says.

    Returns:
        At most 255 bytes of UTF-8, without slashes, control characters and marks that turn the
        direction of writing; ``""`` where nothing is left, or only dots.
    """
    # Lone surrogates become question marks: no header can carry them.
    name = re.split(r"[/\\]", filename)[-1].encode("utf-8", "replace").decode()
    name = _BIDI.sub("", name)
    name = "".join(c for c in name if unicodedata.category(c) not in ("Cc", "Zl", "Zp")).strip()
    if set(name) <= {"."}:
        return ""
    stem, dot, suffix = name.rpartition(".")
    if not stem or len(suffix.encode()) > 32:
        # What is so long behind a dot is no suffix, but the rest of a sentence.
        stem, dot, suffix = name, "", ""
    room = _LONGEST - len((dot + suffix).encode())
    # Cut by bytes, and not within a character.
    return stem.encode()[:room].decode("utf-8", "ignore") + dot + suffix
