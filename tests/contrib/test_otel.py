"""``objstore.contrib.otel``, with OpenTelemetry's own SDK at the other end."""

from __future__ import annotations

import builtins
import importlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import objstore
from objstore import LocalServer, ObjectStore
from objstore.contrib import otel
from objstore.contrib.otel import Telemetry
from objstore.events import Disconnected, PutDone, Reconnected, Retry, SlowServer

pytestmark = pytest.mark.newest_server

SECRET = "Jane Doe's letter"


class Backend:
    """Where spans and metrics go."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader])

    def telemetry(self, **options: Any) -> Telemetry:
        return Telemetry(tracer_provider=self.tracers, meter_provider=self.meters, **options)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    def metrics(self) -> dict[str, list[Any]]:
        """The data points of each metric."""
        data = self.reader.get_metrics_data()
        assert data is not None
        (resource,) = data.resource_metrics
        (scope,) = resource.scope_metrics
        assert scope.scope.name == "objstore"
        return {f"{each.name} {each.unit}": list(each.data.data_points) for each in scope.metrics}


@pytest.fixture
def backend() -> Iterator[Backend]:
    backend = Backend()
    yield backend
    backend.tracers.shutdown()
    backend.meters.shutdown()


def use(backend: Backend, server: LocalServer, store: ObjectStore, **options: Any) -> None:
    """Puts and gets, of which one fails, in a span of the application's."""
    with objstore.connect(server.url, on_event=backend.telemetry(**options)) as client:
        mine = client.object_store(store.name, create=False)
        with backend.tracers.get_tracer("app").start_as_current_span("request"):
            mine.put(SECRET, b"123")
            mine.read_bytes(SECRET)
            with pytest.raises(objstore.ObjectNotFoundError):
                mine.read_bytes(f"not {SECRET}")


def test_spans(backend: Backend, server: LocalServer, store: ObjectStore) -> None:
    """One for each, below the application's, with when it was, where, and what went wrong."""
    use(backend, server, store)
    put, got, failed, request = backend.spans
    bucket = store.name
    assert [each.name for each in backend.spans] == [
        f"put {bucket}", f"get {bucket}", f"get {bucket}", "request",
    ]  # fmt: skip
    assert {each.parent and each.parent.span_id for each in (put, got, failed)} == {
        request.context.span_id
    }
    assert {each.kind for each in (put, got, failed)} == {SpanKind.CLIENT}
    assert dict(put.attributes or {}) == {
        "objstore.operation.name": "put",
        "objstore.bucket": bucket,
        "objstore.transfer.size": 3,
        "server.address": "127.0.0.1",
        "server.port": int(server.url.rpartition(":")[2]),
    }
    assert [each.status.status_code for each in (put, got)] == [StatusCode.UNSET] * 2
    assert failed.status.status_code is StatusCode.ERROR
    assert (failed.attributes or {})["error.type"] == "objstore.errors.ObjectNotFoundError"


def test_names_are_hidden(backend: Backend, server: LocalServer, store: ObjectStore) -> None:
    """In whatever leaves the process, unless they are allowed."""
    use(backend, server, store)
    said = "".join(span.to_json() for span in backend.spans) + str(backend.metrics())
    assert "Jane" not in said
    assert store.name in said

    backend.exporter.clear()
    use(backend, server, store, names=True)
    put, _, failed, _ = backend.spans
    assert (put.attributes or {})["objstore.object.name"] == SECRET
    assert SECRET in (failed.status.description or "")
    assert "Jane" not in str(backend.metrics())


def test_metrics(backend: Backend, server: LocalServer, store: ObjectStore) -> None:
    use(backend, server, store)
    found = backend.metrics()
    durations = found["objstore.client.operation.duration s"]
    counted = {
        (each.attributes["objstore.operation.name"], each.attributes.get("error.type")): each.count
        for each in durations
    }
    assert counted == {
        ("put", None): 1,
        ("get", None): 1,
        ("get", "objstore.errors.ObjectNotFoundError"): 1,
    }
    assert {tuple(each.explicit_bounds) for each in durations} == {otel.BOUNDS}
    assert {
        each.attributes["network.io.direction"]: each.value
        for each in found["objstore.client.io By"]
    } == {"transmit": 3, "receive": 3}
    asked = {
        each.attributes["objstore.request.name"]
        for each in found["objstore.client.request.duration s"]
    }
    assert {"PUBLISH", "DIRECT.GET"} <= asked


def test_a_span_has_the_time_that_it_took(backend: Backend) -> None:
    backend.telemetry()(PutDone("b", "n", 1, 1.5))
    (span,) = backend.spans
    assert (span.end_time or 0) - (span.start_time or 0) == 1_500_000_000
    assert "server.address" not in (span.attributes or {})


def test_trouble(backend: Backend) -> None:
    """Retries and slow answers are counted, and events of the current span; outages are counted."""
    telemetry, server = backend.telemetry(), "nats://[::1]:4222"
    with backend.tracers.get_tracer("app").start_as_current_span("request"):
        telemetry(Retry("put", "b", SECRET, error=objstore.RequestTimeoutError(SECRET)))
        telemetry(SlowServer("s", 1.5))
    telemetry(Disconnected(server, OSError(SECRET)))
    telemetry(Reconnected(server, 0.3))
    (span,) = backend.spans
    retry, slow = span.events
    error = "objstore.errors.RequestTimeoutError"
    assert (retry.name, dict(retry.attributes or {})) == (
        "objstore.retry", {"objstore.retry.name": "put", "error.type": error},
    )  # fmt: skip
    assert (slow.name, dict(slow.attributes or {})) == (
        "objstore.slow_server", {"objstore.waited": 1.5},
    )  # fmt: skip
    found = backend.metrics()
    where = {"server.address": "::1", "server.port": 4222}
    (outage,) = found["objstore.client.outages {outage}"]
    assert (outage.value, dict(outage.attributes)) == (1, {**where, "error.type": "OSError"})
    (lasted,) = found["objstore.client.outage.duration s"]
    assert (lasted.sum, dict(lasted.attributes)) == (0.3, where)
    (retries,) = found["objstore.client.retries {retry}"]
    (slow_answers,) = found["objstore.client.slow_answers {answer}"]
    assert retries.value == slow_answers.value == 1
    assert "Jane" not in span.to_json() + str(found)


def test_without_opentelemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    real = builtins.__import__

    def missing(name: str, *arguments: Any) -> Any:
        if name.partition(".")[0] == "opentelemetry":
            raise ImportError(name)
        return real(name, *arguments)

    monkeypatch.delitem(sys.modules, "objstore.contrib.otel")
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match=r'pip install "nats-objstore\[otel\]"'):
        importlib.import_module("objstore.contrib.otel")
