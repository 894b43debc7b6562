"""Whole folders from a bucket into another, or elsewhere in the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from objstore.errors import InvalidOptionError, ObjectChangedError
from objstore.get.read_many import read_many
from objstore.metadata.links import follow
from objstore.model.objects import ObjectInfo
from objstore.store import write
from objstore.store.delete_many import delete_many
from objstore.store.folder_options import FolderOptions, Job
from objstore.store.folder_progress import FolderProgress
from objstore.store.folder_report import FolderReport, Skipped, drop_refused
from objstore.store.folders import SMALL, TRIES, found_in, start_progress
from objstore.store.handle import BucketHandle
from objstore.store.put_many import put_described

__all__ = ["copy_dir"]


def copy_dir(
    handle: BucketHandle, prefix: str, into: BucketHandle, new_prefix: str, options: FolderOptions
) -> FolderReport:
    """Copy all objects below a prefix that differ from what is there, and what describes them."""
    # The globs hold for both sides: what is excluded is not deleted either.
    job, there = Job(prefix, options), Job(new_prefix, options)
    if handle.name == into.name and _overlap(job.start, there.start):
        raise InvalidOptionError(f"{prefix!r} and {new_prefix!r} of one bucket are in each other")
    old, new = len(job.start), there.start
    found, skipped = found_in(handle, job)
    # By the names that they will have, so that both sides can be compared.
    wanted = {new + name[old:]: info for name, info in found.items()}
    listed = {info.name: info for info in there.objects(into)}
    changed = {
        name: info
        for name, info in wanted.items()
        if name not in listed or not _is_same(info, listed[name], options)
    }
    unchanged = len(wanted) - len(changed)
    gone = tuple(name for name in listed if name not in wanted) if options.delete else ()
    refused: list[Skipped] = []
    if not options.dry_run:
        sources = {name: job.start + name[len(new) :] for name in changed}
        with start_progress(into, there, changed) as progress:
            _Copies(handle, into, sources, progress, refused).copy_all(changed)
        drop_refused(changed, refused)
        delete_many(into, gone)
    return FolderReport(
        transferred=tuple(changed),
        unchanged=unchanged,
        deleted=gone,
        skipped=tuple(skipped),
        bytes=sum(info.size for info in changed.values()),
        dry_run=options.dry_run,
        refused=tuple(refused),
        replaced=tuple(name for name in changed if name in listed),
    )


def _overlap(start: str, other: str) -> bool:
    return start.startswith(other) or other.startswith(start)


def _is_same(info: ObjectInfo, other: ObjectInfo, options: FolderOptions) -> bool:
    """Tell whether two objects have the same content, by their digests, so that no time counts."""
    if other.link is not None or info.size != other.size:
        return False
    return options.compare == "size" or (bool(info.digest) and info.sha256 == other.sha256)


class _Copies:
    """Copies under way.

    Arguments:
        handle, into: from where to where.
        sources: each new name, and the one that is copied.
        progress: told of each.
        refused: gets what could not be copied.
    """

    def __init__(
        self,
        handle: BucketHandle,
        into: BucketHandle,
        sources: dict[str, str],
        progress: FolderProgress,
        refused: list[Skipped],
    ) -> None:
        self._handle = handle
        self._into = into
        self._sources = sources
        self._progress = progress
        self._refused = refused

    def copy_all(self, infos: dict[str, ObjectInfo]) -> None:
        """Copy objects: the small ones in one stream, the others several at once."""
        # In the record of a copy stands how long it lives, which the pipelined way does not set.
        small = [n for n, info in infos.items() if info.size <= SMALL and info.ttl is None]
        alone: list[str] = []  # filled by _contents, while that is read
        put_described(self._into, self._contents(small, alone))
        done = {*small} - {*alone}
        self._progress.run(self._copy, [name for name in infos if name not in done])

    def _contents(self, names: list[str], alone: list[str]) -> Iterator[tuple[ObjectInfo, bytes]]:
        """Yield what to store; what takes more than two requests to read is to be copied alone."""
        sources = (self._sources[name] for name in names)
        with closing(read_many(self._handle.records, sources)) as objects:
            for new_name, (_, found) in zip(names, objects, strict=True):
                if found is None or found.info.ttl is not None:
                    alone.append(new_name)
                    continue
                yield write.described_as(found.info, self._into.name, new_name), found.content
                self._progress.update(len(found.content))
                self._progress.file_done(new_name)

    def _copy(self, new_name: str) -> None:
        """Copy one object, streamed; once more, if it was overwritten meanwhile."""
        bar = self._progress.of_one()
        for attempt in range(TRIES):
            try:
                found = follow(self._handle.records, self._sources[new_name])
                if found is None:
                    self._refused.append(Skipped(new_name, "was deleted meanwhile"))
                    return
                write.take_over(self._into, *found, new_name, bar)
            except ObjectChangedError:
                if attempt == TRIES - 1:
                    raise
                bar.begin_anew()
            else:
                self._progress.file_done(new_name)
                return
