"""Buckets for fsspec, and so for pandas, pyarrow, dask, xarray and all others that know it.

.. code-block:: python

    import pandas

    table = pandas.read_parquet("natsobj://measurements/2026/may.parquet", columns=["speed"])

``natsobj://bucket/path`` names an object by its bucket and its name. How to connect are storage
options, those of :func:`objstore.connect`: ``storage_options={"servers": "nats://…"}``; without
any, ``$NATS_URL`` counts. It needs the extra ``fsspec``.
"""

import objstore

try:
    import fsspec as _fsspec  # noqa: F401 - only whether it is there
except ImportError as error:
    raise objstore.MissingDependencyError(
        'objstore.contrib.fsspec needs fsspec: pip install "nats-objstore[fsspec]"'
    ) from error

from objstore.contrib.fsspec.filesystem import ObjectFileSystem

__all__ = ["ObjectFileSystem"]
