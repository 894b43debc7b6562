"""objstore: a synchronous, file-like client for NATS JetStream Object Store.

.. code-block:: python

    import pathlib
    import objstore

    with objstore.connect() as client:
        store = client.object_store("photos")
        store.put("cat.jpg", pathlib.Path("cat.jpg"))
        with store.get("cat.jpg") as photo:
            for chunk in photo.data:
                ...
"""

from typing import TYPE_CHECKING, Any

from objstore.care.garbage import GarbageReport
from objstore.care.verify import VerifyProblem, VerifyReport
from objstore.client import Client
from objstore.connecting import connect
from objstore.errors import *  # noqa: F403 - the tree is public as a whole
from objstore.errors import __all__ as _errors
from objstore.get.reader import ObjectResult
from objstore.metadata.watch import Watcher
from objstore.model.bucket_config import ObjectStoreStatus
from objstore.model.bucket_options import (
    BucketOptions,
    Placement,
    Republish,
    StorageType,
    StoreCompression,
)
from objstore.model.metrics import StoreMetrics
from objstore.model.objects import ObjectInfo, ObjectLink, ObjectMeta, ObjectMetaOptions
from objstore.model.stream_info import LostStreamData, StreamAlternate, StreamInfo, StreamState
from objstore.model.stream_sources import ExternalStream, StreamSource
from objstore.put.writer import ObjectWriter
from objstore.store.folders import FolderReport
from objstore.store.store import ObjectStore
from objstore.version import __version__
from objstore.wire.connection.connection import Connection

if TYPE_CHECKING:
    from objstore.local_server.server import LocalServer, local

__all__ = [
    "BucketOptions",
    "Client",
    "Connection",
    "ExternalStream",
    "FolderReport",
    "GarbageReport",
    "LocalServer",
    "LostStreamData",
    "ObjectInfo",
    "ObjectLink",
    "ObjectMeta",
    "ObjectMetaOptions",
    "ObjectResult",
    "ObjectStore",
    "ObjectStoreStatus",
    "ObjectWriter",
    "Placement",
    "Republish",
    "StorageType",
    "StoreCompression",
    "StoreMetrics",
    "StreamAlternate",
    "StreamInfo",
    "StreamSource",
    "StreamState",
    "VerifyProblem",
    "VerifyReport",
    "Watcher",
    "__version__",
    "connect",
    "local",
]
__all__ += [name for name in _errors if name != "api_error"]


def __getattr__(name: str) -> Any:
    """The local server, imported at its first use: what starts processes costs 30 ms."""
    if name in ("LocalServer", "local"):
        from objstore.local_server import server

        return getattr(server, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
