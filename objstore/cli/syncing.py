"""``sync check``: one side made as the other, or compared with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import click

import objstore
from objstore import FolderReport, ObjectInfo, ObjectStore, Skipped
from objstore.cli import show
from objstore.cli.copying import globs_options, open_buckets
from objstore.cli.objects import no_folder
from objstore.cli.options import NOT_FOUND, OTHER, Settings, command, pass_settings
from objstore.cli.places import Place, check_ends, place_or_path
from objstore.model.globs import Selection

__all__ = ["check", "sync"]


def _compare_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command what both have."""
    function = globs_options(function)
    function = click.option("--size-only", is_flag=True, help="Compare sizes alone.")(function)
    return click.option("--checksum", is_flag=True, help="Compare contents, by their digests.")(
        function
    )


@command()
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST")
@click.option("--delete", is_flag=True, help="Delete in DST what SRC has not.")
@click.option(
    "--max-delete", metavar="N", type=click.IntRange(0), help="Do nothing if it were more than N."
)
@click.option("-n", "--dry-run", is_flag=True, help="Only tell what would be done.")
@_compare_options
@pass_settings
def sync(
    settings: Settings,
    /,
    source: str,
    target: str,
    delete: bool,
    max_delete: int | None,
    dry_run: bool,
    **options: Any,
) -> None:
    """Make DST as SRC is: the contents of a folder or of a bucket.

    SRC and DST are folders or BUCKET:PREFIX; one of them has a bucket. Files of the same size and
    time of change are not read; where the times differ, the contents are compared. What cannot be
    there, such as an object named "docs/" in a folder, is told on stderr, the rest goes on, and
    the exit code is 4. With --json, a line of JSON for each thing done.

    A GLOB with a "/" fits paths from the folder on, another one names in any folder below. What
    is left out by globs is not deleted either.

    \b
    Examples:
      objstore sync site web:
      objstore sync site web:v2 --delete --dry-run
      objstore sync web:v2 site --exclude '*.tmp' --exclude cache/
      objstore sync photos: archive:photos          bucket to bucket
      objstore sync site web: --delete --max-delete 20
    """
    if max_delete is not None and not delete:
        raise click.UsageError("--max-delete goes together with --delete")
    job = _job(settings, source, target, options)
    with open_buckets(settings, create=None if dry_run else job.target) as bucket:
        if max_delete is not None:
            plan = job.run(bucket, delete=True, dry_run=True)
            if len(plan.deleted) > max_delete:
                show.complain(
                    f"{len(plan.deleted):,} would be deleted, more than --max-delete "
                    f"{max_delete:,}: nothing was done"
                )
                raise click.exceptions.Exit(OTHER)
        report = job.run(bucket, delete=delete, dry_run=dry_run)
    _tell(report, settings)
    if report.refused:
        raise click.exceptions.Exit(OTHER)


@command()
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST")
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
    job = _job(settings, source, target, options)
    with open_buckets(settings, create=None) as bucket:
        report = job.run(bucket, delete=True, dry_run=True)
    replaced = set(report.replaced)
    rows = [("differs", name) for name in sorted(report.replaced)]
    rows += [("only in SRC", name) for name in sorted({*report.transferred} - replaced)]
    rows += [("only in DST", name) for name in sorted(report.deleted)]
    if settings.json:
        show.lines(show.as_json({"name": name, "difference": what}) for what, name in rows)
    else:
        show.lines(f"{what:<11}  {show.shown(name)}" for what, name in rows)
        show.line(f"{len(rows):,} differ, {report.unchanged:,} are the same")
    _complain(report)
    if rows or report.refused:
        raise click.exceptions.Exit(NOT_FOUND)


# --- what is printed


def _tell(report: FolderReport, settings: Settings) -> None:
    """Print what was done: for people each thing of a plan, and a sentence."""
    done = list(_actions(report))
    if settings.json:
        for action, name in done:
            fields = {"action": action, "name": name, "reason": None}
            show.note(show.as_json({**fields, "dry_run": report.dry_run}))
        for action, each in _left(report):
            fields = {"action": action, "name": each.name, "reason": each.reason}
            show.note(show.as_json({**fields, "dry_run": report.dry_run}))
        return
    if report.dry_run:
        for action, name in done:
            show.note(f"{action:<7}  {show.shown(name)}")
    show.report(report, False)


def _actions(report: FolderReport) -> Iterator[tuple[str, str]]:
    replaced = set(report.replaced)
    for name in sorted(report.transferred):
        yield ("replace" if name in replaced else "copy"), name
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
        selection: what of them is meant.
        compare: as of ``ObjectStore.upload_dir``.
    """

    settings: Settings
    source: Place | str
    target: Place | str
    selection: Selection
    compare: Literal["mtime", "digest", "size"]

    def run(
        self, bucket: Callable[[str], ObjectStore], *, delete: bool, dry_run: bool
    ) -> FolderReport:
        """Do it, or only find out what is to be done."""
        source, target = self.source, self.target
        options: dict[str, Any] = {
            "include": self.selection.include,
            "exclude": self.selection.exclude,
            "compare": self.compare,
            "delete": delete,
            "dry_run": dry_run,
            "progress": self.settings.bars and not dry_run,
        }
        if isinstance(source, str):
            assert isinstance(target, Place)  # noqa: S101 - _job has seen to it
            return bucket(target.bucket).upload_dir(source, target.name, **options)
        store = bucket(source.bucket)
        if source.name and next(store.list(prefix=_start(source)), None) is None:
            raise no_folder(source)  # rather than delete all of DST for a slip of the pen
        if isinstance(target, str):
            return store.download_dir(target, source.name, **options)
        return self._between(store, bucket(target.bucket), delete, dry_run)

    def _between(
        self, store: ObjectStore, into: ObjectStore, delete: bool, dry_run: bool
    ) -> FolderReport:
        """Bucket to bucket."""
        assert isinstance(self.source, Place)  # noqa: S101
        assert isinstance(self.target, Place)  # noqa: S101
        start = _start(self.target)
        found, skipped = self._contents(store, _start(self.source))
        listed = self._listed(into, start)
        changed = {
            inside: info
            for inside, info in found.items()
            if inside not in listed or not self._is_same(info, listed[inside])
        }
        gone = [start + inside for inside in listed if inside not in found] if delete else []
        unchanged = len(found) - len(changed)
        refused: list[Skipped] = []
        if not dry_run:
            for inside in list(changed):
                try:
                    store.copy(_start(self.source) + inside, start + inside, target=into)
                except objstore.ObjectNotFoundError:
                    del changed[inside]
                    refused.append(Skipped(start + inside, "was deleted meanwhile"))
            into.delete_many(gone)
        return FolderReport(
            tuple(start + inside for inside in changed),
            unchanged,
            tuple(gone),
            tuple(skipped),
            sum(info.size for info in changed.values()),
            dry_run,
            tuple(refused),
            tuple(start + inside for inside in changed if inside in listed),
        )

    def _listed(self, store: ObjectStore, start: str) -> dict[str, ObjectInfo]:
        """The objects that are meant, by their paths from a folder on."""
        found = {info.name[len(start) :]: info for info in store.list(prefix=start or None)}
        return {inside: info for inside, info in found.items() if inside in self.selection}

    def _contents(
        self, store: ObjectStore, start: str
    ) -> tuple[dict[str, ObjectInfo], list[Skipped]]:
        """What each name has, links followed; and those that have nothing."""
        found: dict[str, ObjectInfo] = {}
        skipped = []
        for inside, info in self._listed(store, start).items():
            content: ObjectInfo | None = info
            if info.link is not None:
                content = store.resolve(info.name) if info.link.name else None
            if content is None:
                skipped.append(Skipped(info.name, "a link that leads to no object"))
            else:
                found[inside] = content
        return found, skipped

    def _is_same(self, info: ObjectInfo, other: ObjectInfo) -> bool:
        """Whether two objects have the same content; both have a digest, so no time is asked."""
        if other.link is not None or info.size != other.size:
            return False
        return self.compare == "size" or (bool(info.digest) and info.sha256 == other.sha256)


def _start(place: Place) -> str:
    """What the names in a folder begin with."""
    return f"{place.name.rstrip('/')}/" if place.name else ""


def _job(settings: Settings, source: str, target: str, options: dict[str, Any]) -> _Job:
    """Read what was said.

    Raises:
        click.UsageError: it makes no sense.
    """
    if options["checksum"] and options["size_only"]:
        raise click.UsageError("--checksum and --size-only do not go together")
    if "-" in (source, target):
        raise click.UsageError("stdin and stdout (-) are no folders: see objstore cp")
    ends = place_or_path(source), place_or_path(target)
    check_ends([source, target], ends[:1], ends[1])
    one, other = ends
    if isinstance(one, Place) and isinstance(other, Place) and one.bucket == other.bucket:
        starts = _start(one), _start(other)
        if starts[0].startswith(starts[1]) or starts[1].startswith(starts[0]):
            raise click.UsageError(f"{source!r} and {target!r} are in each other")
    selection = Selection(options["include"], options["exclude"])
    compare: Literal["mtime", "digest", "size"] = "mtime"
    if options["checksum"] or options["size_only"]:
        compare = "digest" if options["checksum"] else "size"
    return _Job(settings, one, other, selection, compare)
