"""Texts and sizes as people can read them, on a terminal and on a page."""

from __future__ import annotations

import re

__all__ = ["UNSAFE", "counted", "human_size", "printable"]

#: Characters that command a terminal or turn the order of the text after them: the controls
#: (C0, DEL, C1), the separators of lines, the bidirectional marks, lone surrogates. A pattern that
#: few programs need is text, here and elsewhere: re compiles it at its first use, and keeps it.
UNSAFE = "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"


def printable(text: str) -> str:
    """Return a text that does nothing but appear: what is unsafe in it stands as an escape."""
    return re.sub(UNSAFE, lambda found: ascii(found[0])[1:-1], text)


def human_size(size: int) -> str:
    """Return a number of bytes for people: ``999 B``, ``1.5 KiB``."""
    if size < 1024:
        return f"{size} B"
    value = float(size)
    for unit in ("KiB", "MiB", "GiB", "TiB", "PiB"):  # pragma: no branch - none is larger
        value /= 1024
        if value < 1023.95 or unit == "PiB":
            break
    return f"{value:.1f} {unit}"


def counted(number: int, noun: str) -> str:
    """Return a number of things for people: ``1 object``, ``1,234 objects``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
