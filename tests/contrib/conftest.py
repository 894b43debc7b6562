"""What tests of the faces share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from objstore import LocalServer, shared


@pytest.fixture
def nats(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of the session's server, for shared clients that end with the test."""
    clients = shared._SharedClients()
    monkeypatch.setattr(shared, "_clients", clients)
    yield server.url
    clients.close()
