"""What the command line prints: lines and JSON, safe on a terminal."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import io
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

import click

from objstore.readable import UNSAFE
from objstore.readable import human_size as human_size
from objstore.readable import printable as printable

if TYPE_CHECKING:
    from datetime import datetime

    from objstore import FolderReport, ObjectInfo, ObjectStoreStatus

#: Bytes of content that are read and written at a time.
BLOCK = 1 << 20


def shown(text: str) -> str:
    """Return a text as it goes to stdout: escaped on a terminal, unchanged into pipes and files."""
    return printable(text) if is_terminal() else text


def is_terminal() -> bool:
    """Tell whether what goes to stdout is seen by a person at once."""
    return sys.stdout is not None and sys.stdout.isatty()


def styled(text: str, style: str, stream: TextIO | None = None) -> str:
    """Colour a text, where its terminal has colours and its user wants them.

    Arguments:
        text: safe to print.
        style: colours and ``bold``, ``dim``, in words: ``"bold blue"``; ``""``: none.
        stream: where it goes; None: stdout.
    """
    stream = sys.stdout if stream is None else stream
    # https://no-color.org: set, and not empty.
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb"
    if not style or plain or stream is None or not stream.isatty():
        return text
    *attributes, colour = style.split()
    if colour in ("bold", "dim"):
        return click.style(text, **dict.fromkeys((*attributes, colour), True))
    return click.style(text, fg=colour, **dict.fromkeys(attributes, True))


#: Of what stands in many lines.
FOLDER, LINK, BUCKET, DETAIL, GOOD, CHANGED, BAD = (
    "bold blue", "cyan", "bold", "dim", "green", "yellow", "red",
)  # fmt: skip


def counted(number: int, what: str) -> str:
    """Return a number of things: ``1 object``, ``2,000 objects``."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def line(text: str) -> None:
    """Print a line that was asked for.

    In bytes, because ``click.echo`` takes escape sequences out of text, and because it is UTF-8
    whatever the locale says.

    Raises:
        BrokenPipeError: the reader has gone, so that printing on is pointless.
    """
    click.echo(text.encode("utf-8", "surrogateescape"))


def lines(texts: Iterable[str]) -> None:
    """Print lines that were asked for.

    Raises:
        BrokenPipeError: the reader has gone.
    """
    for text in texts:
        line(text)


def note(text: str) -> None:
    """Print a line that tells of work done; the work goes on when nobody reads it."""
    try:
        line(text)
    except BrokenPipeError:
        silence_stdout()


def complain(text: str) -> None:
    """Print one line on stderr, whatever the text holds."""
    one_line = " ".join(part.strip() for part in text.splitlines() if part.strip())
    name = styled("objstore:", BAD, sys.stderr)
    click.echo(f"{name} {printable(one_line)}".encode(), err=True)


def binary(stream: TextIO | None) -> BinaryIO:
    """Return the binary file behind stdin or stdout.

    Raises:
        OSError: it is closed.
    """
    if stream is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF), "stdin or stdout")
    return stream.buffer


def is_stdout(path: str) -> bool:
    """Tell whether a path leads where stdout does (``/dev/stdout``): nothing is said there."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(sys.stdout.fileno()))
    except (OSError, ValueError, AttributeError):  # no such file; or stdout is closed, or no file
        return False


def silence_stdout() -> None:
    """Let stdout lead nowhere: else Python would fail on what is left in it when it ends."""
    with contextlib.suppress(io.UnsupportedOperation, AttributeError):  # it is no real file
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, sys.stdout.fileno())
        finally:
            os.close(nowhere)


def silence_unless_writable() -> None:
    """Let stdout lead nowhere if what is left in it cannot be written: a full disk."""
    try:
        sys.stdout.flush()
    except (OSError, AttributeError):  # AttributeError: there is no stdout
        silence_stdout()


def as_json(fields: Mapping[str, Any]) -> str:
    r"""Write JSON on one line, in UTF-8, with what is unsafe on a terminal as ``\uXXXX``."""
    text = json.dumps(fields, ensure_ascii=False)
    return re.sub(UNSAFE, lambda found: f"\\u{ord(found[0]):04x}", text)


def local_time(time: datetime | None) -> str:
    """Write a time for people, by their own clock."""
    return "-" if time is None else time.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def object_fields(info: ObjectInfo) -> dict[str, Any]:
    """Return an object's fields as ``--json`` prints them; ``ttl`` is in seconds."""
    link = info.link
    return dict(  # noqa: C408 - the same names, not those that ADR-20's JSON happens to have
        bucket=info.bucket,
        name=info.name,
        size=info.size,
        mtime=None if info.mtime is None else info.mtime.isoformat(),
        mime=info.mime,
        digest=info.digest,
        description=info.description,
        headers={name: list(values) for name, values in info.header_values.items()},
        metadata=dict(info.metadata),
        link=None if link is None else {"bucket": link.bucket, "name": link.name},
        ttl=None if info.ttl is None else info.ttl.total_seconds(),
        deleted=info.deleted,
        chunks=info.chunks,
        chunk_size=info.options.chunk_size,
        nuid=info.nuid,
        revision=info.revision,
    )


def bucket_fields(status: ObjectStoreStatus) -> dict[str, Any]:
    """Return a bucket's fields for ``--json``: ``size`` counts objects, ``ttl`` is in seconds."""
    return {
        "bucket": status.bucket,
        "size": status.size,
        "total_size": status.total_size,
        "bytes": status.bytes,
        "description": status.description,
        "ttl": status.ttl.total_seconds() or None,
        "storage": status.storage.value,
        "replicas": status.replicas,
        "compression": status.compression.value,
        "sealed": status.sealed,
        "max_object_size": status.max_object_size,
        "metadata": dict(status.metadata),
    }


def report(done: FolderReport, as_lines_of_json: bool) -> None:
    """Print what was done for a folder: a sentence, or JSON; what was left out on stderr."""
    if as_lines_of_json:
        note(as_json(dataclasses.asdict(done)))
    else:
        would = "would be " if done.dry_run else ""
        parts = [f"{len(done.transferred):,} {would}copied ({human_size(done.bytes)})"]
        parts.append(f"{done.unchanged:,} unchanged")
        if done.updated:
            parts.append(f"{len(done.updated):,} {would}updated (time or mode)")
        if done.deleted:
            parts.append(f"{len(done.deleted):,} {would}deleted")
        note(", ".join(parts))
    for each in done.skipped:
        complain(f"left out: {each.name}: {each.reason}")
    for each in done.refused:
        complain(f"refused: {each.name}: {each.reason}")


def fields_of(report: object) -> dict[str, Any]:
    """Return the fields of a report, as ``--json`` prints them."""
    return {
        field.name: getattr(report, field.name)
        for field in dataclasses.fields(report)  # type: ignore[arg-type]
    }
