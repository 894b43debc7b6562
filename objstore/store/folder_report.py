"""What was done for a folder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from objstore.readable import counted

__all__ = ["FolderReport", "Skipped", "drop_refused"]


class Skipped(NamedTuple):
    """What a folder's transfer left where it is.

    Attributes:
        name: of the object that it is, or would be.
        reason: why.
    """

    name: str
    reason: str


def drop_refused(changed: dict[str, Any], refused: Iterable[Skipped]) -> None:
    """Take out of what was to be transferred what could not be."""
    for each in refused:
        changed.pop(each.name, None)


@dataclass(frozen=True)
class FolderReport:
    """What was done for a folder, or would be.

    Attributes:
        transferred: the names of the objects that were stored, or written into files.
        unchanged: how many were the same on both sides, in every respect that was asked for.
        deleted: the names of those that were only on the other side.
        skipped: what has no content: links to whole buckets or nowhere; in a folder of the disk
            also links to folders, pipes, and folders with nothing in them.
        bytes: that were transferred.
        dry_run: whether nothing was changed.
        refused: what has content and cannot be there: a name that leads out of the folder or is
            no file's, that of a file and a folder, a file that cannot be read.
        replaced: those of ``transferred`` that were there with another content.
        updated: the names of those whose content was the same on both sides, and their mtime or
            mode was not, until now.
    """

    transferred: tuple[str, ...] = ()
    unchanged: int = 0
    deleted: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    bytes: int = 0
    dry_run: bool = False
    refused: tuple[Skipped, ...] = ()
    replaced: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        """Return a small table for notebooks, with what was left out below it."""
        from objstore.notebook.html import Size, record, table

        fields = {
            "bytes": Size(self.bytes),
            "unchanged": self.unchanged,
            "transferred": self.transferred,
            "updated": self.updated,
            "deleted": self.deleted,
        }
        left = [(each.name, "skipped", each.reason) for each in self.skipped]
        left += [(each.name, "refused", each.reason) for each in self.refused]
        below = table(["name", "", "reason"], left) if left else ""
        kind = "would be transferred" if self.dry_run else "transferred"
        return record(counted(len(self.transferred), "object"), kind, fields, below)
