"""Objects and folders as a table for notebooks. Imported when one is shown."""

from __future__ import annotations

from collections.abc import Sequence

from objstore.model.objects import ObjectInfo, link_target
from objstore.notebook.html import MAX_ROWS, Size, table

__all__ = ["objects_table"]


def objects_table(objects: Sequence[ObjectInfo], folders: Sequence[str] = ()) -> str:
    """Return the first folders and objects as a table of HTML.

    Arguments:
        objects: as a listing gives them.
        folders: come before them.
    """
    # As many of each: many folders shall not hide all objects.
    first, rows = folders[:MAX_ROWS], [_row(info) for info in objects[:MAX_ROWS]]
    heads = ["name", "size", "mime", "mtime"] if rows else ["name"]
    more = len(objects) + len(folders) - len(first) - len(rows)
    return table(heads, [*((folder,) for folder in first), *rows], more=more)


def _row(info: ObjectInfo) -> Sequence[object]:
    link = info.link
    if link is not None:
        return info.name, None, f"→ {link_target(link)}", info.mtime
    if info.deleted:
        return info.name, None, "deleted", info.mtime
    return info.name, Size(info.size), info.mime, info.mtime
