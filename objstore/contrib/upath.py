"""Objects as paths, by universal_pathlib: ``UPath("natsobj://bucket/folder/name")``.

.. code-block:: python

    from upath import UPath

    folder = UPath("natsobj://photos/2026", servers="nats://127.0.0.1:4222")
    (folder / "cat.txt").write_text("a cat")
    for path in folder.rglob("*.txt"):
        print(path.name, path.stat().st_size)

``pip install "nats-objstore[fsspec]"`` brings it; UPath finds the class here by itself.
"""

from __future__ import annotations

import fsspec

import objstore
from objstore.contrib.fsspec import ObjectFileSystem

try:
    from upath._flavour import WrappedFileSystemFlavour
    from upath.implementations.cloud import CloudPath
except ImportError as error:
    raise objstore.MissingDependencyError(
        'objstore.contrib.upath needs universal_pathlib: pip install "nats-objstore[fsspec]"'
    ) from error

__all__ = ["ObjectPath"]

# universal_pathlib warns of file systems that it has no list of and that are not imported yet.
fsspec.register_implementation(ObjectFileSystem.protocol, ObjectFileSystem, clobber=True)


class ObjectPath(CloudPath):
    """A path of ``natsobj://``, whose drive is its bucket; all that :class:`pathlib.Path` has.

    Storage options are those of :class:`objstore.contrib.fsspec.ObjectFileSystem`.
    """

    __slots__ = ()

    # universal_pathlib knows by a list of protocols where the bucket ends, and that names may have
    # empty parts; others can only say so here.
    parser = WrappedFileSystemFlavour(
        ObjectFileSystem, netloc_is_anchor=True, supports_empty_parts=True
    )
