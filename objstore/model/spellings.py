"""The subjects that older clients stored the metadata of a name under.

ADR-20's is URL-safe base64 with padding. Before they wrote that,

* nats.js (until July 2023) left the padding out, and had ``_`` for ``.`` and blanks in the name;
  names beyond ASCII it encodes as Latin-1 to this day;
* nats.go (until August 2022) and the clients for Rust (until November 2022) put the name itself
  into the subject, with ``_`` for ``.`` and blanks;
* nats-py (until June 2023) encoded the name with ``_`` for ``.`` and blanks.

And the standard alphabet of base64 is what a client takes that does not look twice.

Pure data: nothing here talks to a server.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

from objstore.model.objects import all_meta_subject, meta_subject

__all__ = ["other_subjects"]

#: What a name itself may be, to stand in a subject.
_PLAIN = re.compile(r"[^\s.*>\x00-\x1f\x7f]+(\.[^\s.*>\x00-\x1f\x7f]+)*")


def other_subjects(bucket: str, name: str) -> tuple[str, ...]:
    """Return the subjects other than ADR-20's that a name's metadata may be stored under.

    Arguments:
        bucket: the bucket's name.
        name: the object's.

    Returns:
        Each once; the likelier ones first.
    """
    prefix = all_meta_subject(bucket)[:-1]
    others = dict.fromkeys(prefix + spelling for spelling in _spellings(name))
    # ADR-20's own is read before, and costs no second look.
    others.pop(meta_subject(bucket, name), None)
    return tuple(others)


def _spellings(name: str) -> Iterator[str]:
    plain = name.replace(".", "_").replace(" ", "_")
    # A dict keeps the order and drops what is equal, as for names without dots and blanks.
    for text in dict.fromkeys((name, plain)):
        for raw in _encodings(text):
            for encode in (base64.urlsafe_b64encode, base64.b64encode):
                padded = encode(raw).decode()
                yield padded
                yield padded.rstrip("=")
    for text in (plain, name):
        if _PLAIN.fullmatch(text):
            yield text


def _encodings(text: str) -> Iterator[bytes]:
    yield text.encode()
    if not text.isascii():
        try:
            yield text.encode("latin-1")
        except UnicodeEncodeError:
            return
