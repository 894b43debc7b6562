"""Files as ``upload_dir`` and ``download_dir`` see them, for programs that copy one at a time.

``look_at`` a file before it is stored, give its ``attributes`` to ``put`` as the object's
``metadata``, and ``restore`` them to the file that comes back: the folder methods know them, too.
``read_folder`` finds the files that a folder's transfer means, ``pattern`` compiles a glob as
``include`` and ``exclude`` take it. The command line's ``cp`` and ``mv`` are made of these.
"""

from objstore.model.globs import pattern
from objstore.store.folder_files import (
    FolderContent,
    LocalFile,
    attributes,
    look_at,
    read_folder,
    restore,
)

__all__ = [
    "FolderContent",
    "LocalFile",
    "attributes",
    "look_at",
    "pattern",
    "read_folder",
    "restore",
]
