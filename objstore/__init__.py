"""objstore: a synchronous, file-like client for NATS JetStream Object Store."""

from objstore.version import __version__

__all__ = ["__version__"]
