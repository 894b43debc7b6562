"""objstore: a synchronous, file-like client for NATS JetStream Object Store.

.. code-block:: python

    import objstore

    with objstore.connect() as client:
        store = client.object_store("photos")
        store.put("cat.jpg", b"not really a cat")    # or pathlib.Path("cat.jpg"), to stream it
        with store.open("cat.jpg") as photo:
            for chunk in photo.data:
                ...
"""

from importlib import import_module
from typing import TYPE_CHECKING

from objstore.client import Client
from objstore.connecting import connect
from objstore.errors import (
    APIError,
    AuthorizationError,
    BucketConfigError,
    BucketNotFoundError,
    BucketReadOnlyError,
    BucketSealedError,
    ConnectionClosedError,
    ConnectionLostError,
    DigestMismatchError,
    IncompletePayloadError,
    InvalidNameError,
    InvalidOptionError,
    InvalidPayloadError,
    InvalidServerURLError,
    LinkError,
    MissingDependencyError,
    NoRespondersError,
    ObjectChangedError,
    ObjectCorruptError,
    ObjectExistsError,
    ObjectNotFoundError,
    ObjectTooLargeError,
    ObjStoreError,
    PayloadFileError,
    PayloadFileNotFoundError,
    PermissionDeniedError,
    ProtocolError,
    ReentrantCallError,
    RequestTimeoutError,
    RevisionMismatchError,
    ServerStartError,
    ServerVersionError,
    StorageFullError,
    TLSError,
    TLSRequiredError,
    TLSUnavailableError,
    WatcherStoppedError,
)
from objstore.model.bucket_options import BucketOptions, StorageType, StoreCompression
from objstore.model.objects import ObjectInfo, ObjectLink, ObjectMeta, ObjectMetaOptions
from objstore.store.store import ObjectStore
from objstore.version import __version__
from objstore.wire.connection.connection import Connection

# What many programs do without is imported at its first use.
if TYPE_CHECKING:
    from objstore.care.garbage import GarbageReport
    from objstore.care.verify import VerifyProblem, VerifyReport
    from objstore.get.reader import ObjectResult
    from objstore.local_server.server import LocalServer, local
    from objstore.metadata.watch import Watcher
    from objstore.model.bucket_status import ObjectStoreStatus
    from objstore.model.metrics import StoreMetrics
    from objstore.model.stream_info import LostStreamData, StreamAlternate, StreamInfo, StreamState
    from objstore.model.stream_placing import Placement, Republish
    from objstore.model.stream_sources import ExternalStream, StreamSource
    from objstore.put.options import Payload
    from objstore.put.writer import ObjectWriter
    from objstore.shared import shared_client
    from objstore.store.folder_options import FolderOptions
    from objstore.store.folder_report import FolderReport, Skipped
    from objstore.store.scan import ScanPage
else:  # checkers would take it for a sign that any name exists
    _LATER = {
        "care.garbage": ["GarbageReport"],
        "care.verify": ["VerifyProblem", "VerifyReport"],
        "get.reader": ["ObjectResult"],
        "local_server.server": ["LocalServer", "local"],
        "metadata.watch": ["Watcher"],
        "model.bucket_status": ["ObjectStoreStatus"],
        "model.metrics": ["StoreMetrics"],
        "model.stream_info": ["LostStreamData", "StreamAlternate", "StreamInfo", "StreamState"],
        "model.stream_placing": ["Placement", "Republish"],
        "model.stream_sources": ["ExternalStream", "StreamSource"],
        "notebook.magic": ["load_ipython_extension"],  # what %load_ext asks for
        "put.options": ["Payload"],
        "put.writer": ["ObjectWriter"],
        "shared": ["shared_client"],
        "store.folder_options": ["FolderOptions"],
        "store.folder_report": ["FolderReport", "Skipped"],
        "store.scan": ["ScanPage"],
    }

    def __getattr__(name: str) -> object:
        """Import what stands in the table above."""
        for module, names in _LATER.items():
            if name in names:
                return getattr(import_module(f"objstore.{module}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        """List the names that are imported later, too."""
        return sorted({*globals(), *__all__})


__all__ = [
    "APIError",
    "AuthorizationError",
    "BucketConfigError",
    "BucketNotFoundError",
    "BucketOptions",
    "BucketReadOnlyError",
    "BucketSealedError",
    "Client",
    "Connection",
    "ConnectionClosedError",
    "ConnectionLostError",
    "DigestMismatchError",
    "ExternalStream",
    "FolderOptions",
    "FolderReport",
    "GarbageReport",
    "IncompletePayloadError",
    "InvalidNameError",
    "InvalidOptionError",
    "InvalidPayloadError",
    "InvalidServerURLError",
    "LinkError",
    "LocalServer",
    "LostStreamData",
    "MissingDependencyError",
    "NoRespondersError",
    "ObjStoreError",
    "ObjectChangedError",
    "ObjectCorruptError",
    "ObjectExistsError",
    "ObjectInfo",
    "ObjectLink",
    "ObjectMeta",
    "ObjectMetaOptions",
    "ObjectNotFoundError",
    "ObjectResult",
    "ObjectStore",
    "ObjectStoreStatus",
    "ObjectTooLargeError",
    "ObjectWriter",
    "Payload",
    "PayloadFileError",
    "PayloadFileNotFoundError",
    "PermissionDeniedError",
    "Placement",
    "ProtocolError",
    "ReentrantCallError",
    "Republish",
    "RequestTimeoutError",
    "RevisionMismatchError",
    "ScanPage",
    "ServerStartError",
    "ServerVersionError",
    "Skipped",
    "StorageFullError",
    "StorageType",
    "StoreCompression",
    "StoreMetrics",
    "StreamAlternate",
    "StreamInfo",
    "StreamSource",
    "StreamState",
    "TLSError",
    "TLSRequiredError",
    "TLSUnavailableError",
    "VerifyProblem",
    "VerifyReport",
    "Watcher",
    "WatcherStoppedError",
    "__version__",
    "connect",
    "local",
    "shared_client",
]
