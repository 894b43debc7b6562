"""``fsck``: whether all is there and as it was stored."""

from __future__ import annotations

import click

from objstore.cli.completion import words as complete
from objstore.cli.options import OTHER, Settings, command, pass_settings, words_argument
from objstore.cli.screen import show
from objstore.cli.typed.places import bucket_or_object

__all__ = ["fsck"]


@command()
@words_argument("BUCKET[:NAME]", complete.bucket_or_words)
@pass_settings
def fsck(settings: Settings, words: tuple[str, ...]) -> None:
    """Read a whole bucket, or one object, and compare it with what was stored.

    Also BUCKET NAME. Each problem is a line on stderr; the exit code is 4 if there is any.

    \b
    Examples:
      objstore fsck photos
      objstore fsck photos:pets/cat.jpg
    """
    where = bucket_or_object(words)
    with settings.bucket(where.bucket) as store:
        report = store.verify(where.name or None)
    if settings.json:
        fields = show.fields_of(report)
        fields["problems"] = [show.fields_of(problem) for problem in report.problems]
        show.note(show.as_json({"ok": report.ok, **fields}))
    else:
        for problem in report.problems:
            show.complain(f"{problem.name!r}: {problem.message}")
        verdict = "all is well" if report.ok else show.counted(len(report.problems), "problem")
        objects = show.counted(report.objects, "object")
        show.note(f"{objects} ({show.human_size(report.bytes)}) read: {verdict}")
        if report.orphaned_chunks:
            chunks = show.counted(report.orphaned_chunks, "chunk")
            show.note(
                f"{chunks} of no object, from a put under way or left by a killed program; "
                f"objstore gc {where.bucket} removes what was left"
            )
    if not report.ok:
        raise click.exceptions.Exit(OTHER)
