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

from objstore.bucket import ObjectStoreStatus
from objstore.client import Client
from objstore.connecting import connect
from objstore.errors import *  # noqa: F403 - the tree is public as a whole
from objstore.errors import __all__ as _errors
from objstore.folders import FolderReport
from objstore.gc import GarbageReport
from objstore.metrics import StoreMetrics
from objstore.objects import ObjectInfo, ObjectLink, ObjectMeta, ObjectMetaOptions
from objstore.options import (
    BucketOptions,
    Placement,
    Republish,
    StorageType,
    StoreCompression,
)
from objstore.reader import ObjectResult
from objstore.sourcing import ExternalStream, StreamSource
from objstore.store import ObjectStore
from objstore.stream import LostStreamData, StreamAlternate, StreamInfo, StreamState
from objstore.verify import VerifyProblem, VerifyReport
from objstore.version import __version__
from objstore.watch import Watcher
from objstore.wire.connection import Connection
from objstore.writer import ObjectWriter

if TYPE_CHECKING:
    from objstore.server import LocalServer, local

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
        from objstore import server

        return getattr(server, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
