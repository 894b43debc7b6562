"""Three nats-servers that keep every message three times, to be killed, frozen and brought back.

.. code-block:: python

    def test_it(cluster: Cluster) -> None:  # healed before the test
        with cluster.connect(cluster.others(leader)[0]) as client:
            ...
        cluster.kill(cluster.leader_of("OBJ_photos"))
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from objstore import Client, Connection, LocalServer, ObjStoreError
from tests.support.waiting import PATIENCE, eventually

__all__ = ["Cluster"]

#: Seconds for an answer that is asked for again and again; a server may be dead or frozen.
SOON = 2.0

#: A user of an account with JetStream, and one who sees all servers.
_ACCOUNTS = """
    accounts {
      APP { jetstream: enabled, users: [{ user: app, password: app }] }
      SYS { users: [{ user: sys, password: sys }] }
    }
    system_account: SYS
"""


def free_ports(count: int) -> list[int]:
    """Ports that are free now: the members must know each other's before they start."""
    with contextlib.ExitStack() as ending:
        sockets = [ending.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Cluster:
    """The servers; use it in a with-block.

    Arguments:
        folder: for their data.

    Attributes:
        servers: by name.
    """

    def __init__(self, folder: Path) -> None:
        ports = free_ports(3)
        routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in ports)
        self.servers: dict[str, LocalServer] = {}
        self._paused: set[str] = set()
        self._leaving: set[str] = set()
        self._timers: list[threading.Timer] = []
        for number, port in enumerate(ports):
            config = f"""
                server_name: n{number}
                lame_duck_duration: "30s"
                lame_duck_grace_period: "1s"
                cluster {{ name: c, listen: "127.0.0.1:{port}", routes: [{routes}] }}
                {_ACCOUNTS}
            """
            self.servers[f"n{number}"] = LocalServer(folder / f"n{number}", config=config)

    def __enter__(self) -> Cluster:
        try:
            self.heal()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop all servers: killed, since nobody needs their data."""
        for name in self.servers:
            self.kill(name)
        for server in self.servers.values():
            server.stop()

    # --- clients

    def urls(self, first: str, user: str = "app") -> list[str]:
        """All addresses, one server's first."""
        names = [first, *self.others(first)]
        return [f"nats://{user}:{user}@127.0.0.1:{self.servers[name].port}" for name in names]

    def connect(self, to: str = "n0", **options: Any) -> Client:
        """A client of one server, which knows the others too."""
        connection = Connection(self.urls(to), **options)
        connection.connect()
        return Client(connection)

    def others(self, *names: str) -> list[str]:
        """The other servers."""
        return [name for name in self.servers if name not in names]

    # --- who leads

    def leader_of(self, stream: str) -> str:
        """The server that leads a stream, once there is one that is not frozen or dead."""

        def leader() -> str:
            with contextlib.suppress(ObjStoreError):
                name = self._api(f"STREAM.INFO.{stream}").get("cluster", {}).get("leader") or ""
                if name in self.servers and self._is_up(name):
                    return str(name)
            return ""

        return eventually(leader, f"the election of {stream}'s leader")

    def step_down(self, stream: str, to: str | None = None) -> None:
        """Have a stream's leader hand over, to any other or to one by name."""
        request: dict[str, Any] = {} if to is None else {"placement": {"preferred": to}}
        answer = self._api(f"STREAM.LEADER.STEPDOWN.{stream}", request, PATIENCE)
        assert answer.get("success"), answer

    def lead(self, stream: str, by: str) -> None:
        """Have a certain server lead a stream."""
        if self.leader_of(stream) != by:
            self.step_down(stream, to=by)
            eventually(lambda: self.leader_of(stream) == by, f"{by} leading")

    def meta_leader(self) -> str:
        """The server that leads the cluster itself: creates streams and consumers."""

        def leader() -> str:
            up = next(name for name in self.servers if self._is_up(name))
            state = self._ask_system("JSZ", up, PATIENCE)
            return str(state["data"]["meta_cluster"].get("leader") or "")

        return eventually(leader, "the election of the cluster's own leader")

    def _api(
        self, name: str, request: dict[str, Any] | None = None, timeout: float = SOON
    ) -> dict[str, Any]:
        """Call JetStream's API through a server that is up."""
        up = next(name for name in self.servers if self._is_up(name))
        return self._request(up, "app", f"$JS.API.{name}", request, timeout)

    def _is_up(self, name: str) -> bool:
        return self.servers[name].running and name not in self._paused

    def _request(
        self, to: str, user: str, subject: str, request: dict[str, Any] | None, timeout: float
    ) -> dict[str, Any]:
        """Ask over a connection to just this server."""
        payload = b"" if request is None else json.dumps(request).encode()
        with Connection(self.urls(to, user)[0], timeout=timeout, reconnect_timeout=0) as connection:
            reply = connection.request(subject, payload=payload)
        answer: dict[str, Any] = json.loads(reply.payload)
        return answer

    def _ask_system(self, what: str, name: str, timeout: float = SOON) -> dict[str, Any]:
        request = {"server_name": name, "exact_match": True}
        return self._request(name, "sys", f"$SYS.REQ.SERVER.PING.{what}", request, timeout)

    # --- what happens to servers

    def kill(self, name: str) -> None:
        """End a server as a crash would."""
        self.servers[name].kill()
        self._paused.discard(name)
        self._leaving.discard(name)

    def start(self, name: str) -> None:
        """Bring a server back, with its data."""
        self.servers[name].start(timeout=30.0)

    def pause(self, name: str) -> None:
        """Freeze a server: its sockets stay open, and nothing is answered."""
        self._signal(name, signal.SIGSTOP)
        self._paused.add(name)

    def resume(self, name: str) -> None:
        """Let a frozen server go on."""
        self._paused.discard(name)
        self._signal(name, signal.SIGCONT)

    def lame_duck(self, name: str) -> None:
        """Have a server ask its clients to go, and then end."""
        self._signal(name, signal.SIGUSR2)
        self._leaving.add(name)

    def later(self, seconds: float, action: Callable[[], object]) -> None:
        """Do something in a while, at the latest before all is healed."""
        timer = threading.Timer(seconds, action)
        self._timers.append(timer)
        timer.start()

    def _signal(self, name: str, number: signal.Signals) -> None:
        pid = self.servers[name].pid
        assert pid is not None, f"{name} does not run"
        os.kill(pid, number)

    # --- all well again

    def heal(self) -> None:
        """Bring all servers back and wait until they agree that all is well."""
        while self._timers:
            self._timers.pop().join()
        for name in list(self._paused):
            self.resume(name)
        for name in list(self._leaving):
            self.kill(name)
        for name in self.servers:
            self.start(name)
        eventually(lambda: all(map(self._is_healthy, self.servers)), "the cluster being well")

    def _is_healthy(self, name: str) -> bool:
        with contextlib.suppress(ObjStoreError):
            return bool(self._ask_system("HEALTHZ", name)["data"].get("status") == "ok")
        return False
