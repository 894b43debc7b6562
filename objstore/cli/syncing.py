"""``sync check``: one side made as the other, or compared with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal

import click

import objstore
from objstore import FolderReport, ObjectStore, Skipped
from objstore.cli.changes import changes_of_bucket, changes_of_folder
from objstore.cli.completion import words as complete
from objstore.cli.copying import open_buckets
from objstore.cli.objects import no_folder
from objstore.cli.options import NOT_FOUND, OTHER, Settings, command, create_option, pass_settings
from objstore.cli.screen import show
from objstore.cli.transfer_options import globs_options, transfer_options
from objstore.cli.typed.places import Place, check_ends, place_or_path

__all__ = ["check", "sync"]


def _compare_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command what both have."""
    function = globs_options(function)
    function = click.option("--size-only", is_flag=True, help="Compare sizes alone.")(function)
    return click.option("--checksum", is_flag=True, help="Compare contents, by their digests.")(
        function
    )


@command()
@click.argument("source", metavar="SRC", shell_complete=complete.any_place)
@click.argument("target", metavar="DST", shell_complete=complete.any_place)
@click.option("--delete", is_flag=True, help="Delete in DST what SRC has not.")
@click.option(
    "--max-delete", metavar="N", type=click.IntRange(0), help="Do nothing if it were more than N."
)
@create_option
@click.option("-n", "--dry-run", is_flag=True, help="Only tell what would be done.")
@click.option("-w", "--watch", is_flag=True, help="Go on with each change of SRC, until Ctrl-C.")
@transfer_options
@_compare_options
@pass_settings
def sync(
    settings: Settings,
    /,
    source: str,
    target: str,
    max_delete: int | None,
    create: bool,
    dry_run: bool,
    watch: bool,
    **options: Any,
) -> None:
    """Make DST as SRC is: the contents of a folder or of a bucket.

    SRC and DST are folders or BUCKET:PREFIX; one of them has a bucket. Files of the same size and
    time of change are not read; where the times differ, the contents are compared. What cannot be
    there, such as an object named "docs/" in a folder, is told on stderr, the rest goes on, and
    the exit code is 4. With --json, a line of JSON for each thing done.

    A GLOB with a "/" fits paths from the folder on, another one names in any folder below. What
    is left out by globs is not deleted either.

    --watch hears of changes of a bucket as they happen. A folder on the disk is looked through
    once a second, or heard of, where watchdog is installed (pip install "nats-objstore[watch]").

    \b
    Examples:
      objstore sync site web: --create
      objstore sync site web:v2 --delete --dry-run
      objstore sync web:v2 site --exclude '*.tmp' --exclude cache/
      objstore sync photos: archive:photos          bucket to bucket
      objstore sync site web: --delete --max-delete 20
      objstore sync site web: --watch               as long as you work on it
    """
    if max_delete is not None and not options["delete"]:
        raise click.UsageError("--max-delete goes together with --delete")
    if watch and dry_run:
        raise click.UsageError("--watch goes on for ever: a plan (--dry-run) is made once")
    job = _job(settings, source, target, options)
    # A plan changes nothing, and so creates no bucket.
    made = job.target if settings.creates(asked=create) and not dry_run else None
    with open_buckets(settings, create=made) as bucket:
        if watch:
            _follow(job, bucket, max_delete)
            return
        report = job.run_within(bucket, max_delete, dry_run=dry_run)
    if report is None:
        raise click.exceptions.Exit(OTHER)
    _tell(report, settings)
    if report.refused:
        raise click.exceptions.Exit(OTHER)


@command()
@click.argument("source", metavar="SRC", shell_complete=complete.any_place)
@click.argument("target", metavar="DST", shell_complete=complete.any_place)
@_compare_options
@pass_settings
def check(settings: Settings, /, source: str, target: str, **options: Any) -> None:
    """Tell what differs between folders or buckets, and change nothing.

    SRC and DST are as of sync. The exit code is 1 if anything differs. With --json, a line of
    JSON for each difference.

    \b
    Examples:
      objstore check site web:v2
      objstore check web:v2 site --checksum
      objstore check photos:2026 archive:2026 --exclude '*.tmp'
    """
    # Nothing is deleted by a dry run; without it what is in DST alone is not told of.
    job = _job(settings, source, target, {**options, "delete": True, "mode": False, "jobs": 1})
    with open_buckets(settings) as bucket:
        report = job.run(bucket, dry_run=True)
    replaced = set(report.replaced)
    same = report.unchanged + len(report.updated)
    rows = [("differs", name) for name in sorted(report.replaced)]
    rows += [("only in SRC", name) for name in sorted({*report.transferred} - replaced)]
    rows += [("only in DST", name) for name in sorted(report.deleted)]
    if settings.json:
        show.lines(show.as_json({"name": name, "difference": what}) for what, name in rows)
    else:
        show.lines(
            f"{show.styled(f'{what:<11}', _DIFFERENCES[what])}  {show.shown(name)}"
            for what, name in rows
        )
        show.line(f"{len(rows):,} differ, {same:,} are the same")
    _complain(report)
    if rows or report.refused:
        raise click.exceptions.Exit(NOT_FOUND)


# --- what is printed

_DIFFERENCES = {"differs": show.CHANGED, "only in SRC": show.GOOD, "only in DST": show.BAD}


def _tell(report: FolderReport, settings: Settings) -> None:
    """Print what was done: for people each thing of a plan, and a sentence."""
    if settings.json:
        _tell_each(report, settings)
        return
    if report.dry_run:
        _tell_each(report, settings)
    show.report(report, False)


def _tell_each(report: FolderReport, settings: Settings) -> None:
    """Print a line for each thing that was done, or would be."""
    for action, name in _actions(report):
        if settings.json:
            fields = {"action": action, "name": name, "reason": None}
            show.note(show.as_json({**fields, "dry_run": report.dry_run}))
        else:
            show.note(f"{show.styled(f'{action:<7}', _STYLES[action])}  {show.shown(name)}")
    for action, each in _left(report) if settings.json else ():
        fields = {"action": action, "name": each.name, "reason": each.reason}
        show.note(show.as_json({**fields, "dry_run": report.dry_run}))


_STYLES = {
    "copy": show.GOOD, "replace": show.CHANGED, "update": show.CHANGED, "delete": show.BAD
}  # fmt: skip


def _actions(report: FolderReport) -> Iterator[tuple[str, str]]:
    replaced = set(report.replaced)
    for name in sorted(report.transferred):
        yield ("replace" if name in replaced else "copy"), name
    for name in sorted(report.updated):
        yield "update", name
    for name in sorted(report.deleted):
        yield "delete", name


def _left(report: FolderReport) -> Iterator[tuple[str, Skipped]]:
    for each in report.skipped:
        yield "leave out", each
    for each in report.refused:
        yield "refuse", each


def _complain(report: FolderReport) -> None:
    """Tell on stderr what was left where it is."""
    for action, each in _left(report):
        what = "refused" if action == "refuse" else "left out"
        show.complain(f"{what}: {each.name}: {each.reason}")


# --- what is done


@dataclass(frozen=True)
class _Job:
    """What is compared, and how.

    Attributes:
        settings: the global options.
        source, target: the two sides.
        options: as of ``ObjectStore.upload_dir``.
    """

    settings: Settings
    source: Place | str
    target: Place | str
    options: dict[str, Any]

    def run(self, bucket: Callable[[str], ObjectStore], *, dry_run: bool) -> FolderReport:
        """Do it, or only find out what is to be done."""
        source, target = self.source, self.target
        with self.settings.bar() as bar:
            # A plan has no bar, for it transfers nothing.
            options = {**self.options, "dry_run": dry_run, **({} if dry_run else bar.of_folder)}
            if isinstance(source, str):
                assert isinstance(target, Place)  # noqa: S101 - _job has seen to it
                return bucket(target.bucket).upload_dir(source, target.name, **options)
            store = bucket(source.bucket)
            if source.name and next(store.list(prefix=source.start), None) is None:
                raise no_folder(source)  # rather than delete all of DST for a slip of the pen
            if isinstance(target, str):
                return store.download_dir(target, source.name, **options)
            into = bucket(target.bucket)
            return store.copy_dir(source.name, target.name, target=into, **options)

    def run_within(
        self, bucket: Callable[[str], ObjectStore], max_delete: int | None, *, dry_run: bool
    ) -> FolderReport | None:
        """Do it, unless more would be deleted than may be; then nothing is done."""
        if max_delete is not None:
            # How many would be deleted is known only when both sides have been compared.
            plan = self.run(bucket, dry_run=True)
            if len(plan.deleted) > max_delete:
                show.complain(
                    f"{len(plan.deleted):,} would be deleted, more than --max-delete "
                    f"{max_delete:,}: nothing was done"
                )
                return None
        return self.run(bucket, dry_run=dry_run)


def _job(settings: Settings, source: str, target: str, options: dict[str, Any]) -> _Job:
    """Read what was said.

    Raises:
        click.UsageError: it makes no sense.
    """
    checksum, size_only = options.pop("checksum"), options.pop("size_only")
    if checksum and size_only:
        raise click.UsageError("--checksum and --size-only do not go together")
    if "-" in (source, target):
        raise click.UsageError("stdin and stdout (-) are no folders: see objstore cp")
    ends = place_or_path(source), place_or_path(target)
    check_ends(ends[:1], ends[1])
    one, other = ends
    if isinstance(one, Place) and isinstance(other, Place) and one.bucket == other.bucket:
        starts = one.start, other.start
        if starts[0].startswith(starts[1]) or starts[1].startswith(starts[0]):
            raise click.UsageError(f"{source!r} and {target!r} are in each other")
    compare: Literal["mtime", "digest", "size"] = "mtime"
    if checksum or size_only:
        compare = "digest" if checksum else "size"
    objstore.FolderOptions(**options)  # refuses bad globs before anything is asked for
    return _Job(settings, one, other, {**options, "compare": compare})


# --- what goes on

#: What a server that is away is given to come back before the next try, in seconds.
_PAUSE = 1.0


def _follow(job: _Job, bucket: Callable[[str], ObjectStore], max_delete: int | None) -> None:
    """Do it now, and with each change of the source again, until Ctrl-C.

    Each time all is compared: one change that was not heard of, or could not be done, is made up
    for by the next. (10,000 files take 2 s, or what a listing and a look through a folder take.)
    """
    first = True
    # Closed at Ctrl-C, too: what watches the source ends with it.
    with closing(_changes(job, bucket)) as changes:
        for _ in changes:
            report = _until_done(job, bucket, max_delete)
            if report is not None:
                (_tell if first else _tell_change)(report, job.settings)
                first = False


def _until_done(
    job: _Job, bucket: Callable[[str], ObjectStore], max_delete: int | None
) -> FolderReport | None:
    """Do it, also if the server is away for longer than its connection waits."""
    while True:
        try:
            return job.run_within(bucket, max_delete, dry_run=False)
        except (objstore.ConnectionLostError, objstore.RequestTimeoutError) as error:
            show.complain(f"{error}; trying again")
            time.sleep(_PAUSE)


def _tell_change(report: FolderReport, settings: Settings) -> None:
    """Print what became of a change; the links and pipes that stay out were told of at first."""
    _tell_each(report, settings)
    for each in report.refused:
        show.complain(f"refused: {each.name}: {each.reason}")


def _changes(job: _Job, bucket: Callable[[str], ObjectStore]) -> Generator[None, None, None]:
    """Yield at once, and whenever the source has changed."""
    if isinstance(job.source, str):
        return changes_of_folder(job.source)
    return changes_of_bucket(bucket(job.source.bucket), job.source.start)
