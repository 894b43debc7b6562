"""The ground to measure on: a nats-server of our own, fresh buckets, data, and this machine."""

from __future__ import annotations

import contextlib
import itertools
import os
import platform
import shutil
import socket
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import objstore
from objstore import Client, LocalServer, ObjectStore

__all__ = ["Certificates", "Ground", "Scale", "cluster"]

_numbers = itertools.count(1)

MIB = 1 << 20


@dataclass(frozen=True)
class Scale:
    """How much is measured: everything, or what shows the main ratios in under a minute.

    Attributes:
        quick: the latter.
        rounds: that count, for each measurement that takes short.
        peers: other clients take part.
    """

    quick: bool = False
    rounds: int = 5
    peers: bool = True

    def pick(self, full: Any, quick: Any) -> Any:
        """One of two amounts."""
        return quick if self.quick else full


class Certificates:
    """An authority of our own, and a server's certificate by it.

    Arguments:
        folder: for the files.

    Attributes:
        authority, server: the files.
    """

    def __init__(self, folder: Path) -> None:
        import trustme  # here: one benchmark needs it

        self.authority, self.server = folder / "authority.pem", folder / "server.pem"
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.authority))
        issued = authority.issue_cert("127.0.0.1")
        issued.private_key_and_cert_chain_pem.write_to_path(str(self.server))


class Ground:
    """A nats-server with its data on disk, and a client of it.

    Arguments:
        certificates: for TLS; None: in the clear.

    Attributes:
        server: the nats-server; its process does all the work of a run.
        url: where clients connect to.
        variables: of the environment of other processes that do.
        client: objstore's client of it.
        folder: for data and temporary files; removed at the end.
    """

    def __init__(self, certificates: Certificates | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="objstore-bench-"))
        self._ending = contextlib.ExitStack()
        self._ending.callback(shutil.rmtree, self.folder, ignore_errors=True)
        try:
            self._start(certificates)
        except BaseException:
            self._ending.close()
            raise

    def _start(self, certificates: Certificates | None) -> None:
        config = context = None
        self.variables: dict[str, str] = {}
        if certificates is not None:
            pem, authority = certificates.server, str(certificates.authority)
            config = f'tls {{ cert_file: "{pem}", key_file: "{pem}" }}'
            context = ssl.create_default_context(cafile=authority)
            # Where OpenSSL looks, and so do all clients that build on it.
            self.variables["SSL_CERT_FILE"] = authority
        server = LocalServer(self.folder / "data", config=config)
        self.server = self._ending.enter_context(server)
        scheme = "nats" if certificates is None else "tls"
        self.url = self.server.url.replace("nats:", f"{scheme}:")
        self.client = self._ending.enter_context(objstore.connect(self.url, tls=context))

    def __enter__(self) -> Ground:
        return self

    def __exit__(self, *_error: object) -> None:
        self._ending.close()

    @contextlib.contextmanager
    def bucket(self, **options: Any) -> Iterator[ObjectStore]:
        """A fresh bucket, which is deleted afterwards."""
        with fresh_bucket(self.client, **options) as store:
            yield store

    @property
    def free(self) -> int:
        """Free bytes on the disk where the data are."""
        return shutil.disk_usage(self.folder).free

    def has_room(self, size: int) -> bool:
        """Whether an object of this size can be put, twice, and leave some space."""
        return self.free > 2 * size + (1 << 30)

    def machine(self) -> dict[str, Any]:
        """What a reader of the figures must know of this machine."""
        return {
            "processors": os.cpu_count(),
            "processor": _processor(),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
            "free_disk_gib": round(self.free / 2**30),
            "system": f"{platform.system()} {platform.release()}",
            "python": platform.python_version(),
            "nats_server": self.server.version,
            "objstore": objstore.__version__,
            "max_payload": self.client.connection.server_info["max_payload"],
        }


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@contextlib.contextmanager
def fresh_bucket(client: Client, **options: Any) -> Iterator[ObjectStore]:
    """A fresh bucket, which is deleted afterwards."""
    store = client.object_store(f"bench-{next(_numbers)}", **options)
    try:
        yield store
    finally:
        client.delete_store(store.name)


def _free_ports(count: int) -> list[int]:
    """Ports that are free now; a cluster's members must know each other's before they start."""
    with contextlib.ExitStack() as ending:
        sockets = [ending.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[Client]:
    """A client of three nats-servers on this machine, which keep every message three times."""
    ports = _free_ports(3)
    routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in ports)
    with contextlib.ExitStack() as ending:
        servers = []
        for number, port in enumerate(ports):
            config = f"""
                server_name: n{number}
                authorization {{ token: "bench" }}
                cluster {{ name: bench, listen: "127.0.0.1:{port}", routes: [{routes}] }}
            """
            server = LocalServer(folder / f"n{number}", config=config)
            servers.append(ending.enter_context(server))
        addresses = [f"nats://bench@127.0.0.1:{server.port}" for server in servers]
        client = ending.enter_context(objstore.connect(addresses, reconnect_timeout=60))
        yield client
