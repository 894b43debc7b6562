"""OpenTelemetry: spans and metrics of what a client does.

.. code-block:: python

    import objstore
    from objstore.contrib.otel import Telemetry

    with objstore.connect(on_event=Telemetry()) as client:
        client.object_store("photos").put("cat.jpg", b"not really a cat")

Each put and get becomes a span, below the one that is current in its thread. Retries and slow
answers become events of that one. Providers, exporters and sampling are the application's.

========================================  =========  =============================================
metric                                    unit       attributes
========================================  =========  =============================================
``objstore.client.operation.duration``    ``s``      operation, bucket, server, ``error.type``
``objstore.client.io``                    ``By``     bucket, ``network.io.direction``
``objstore.client.request.duration``      ``s``      ``objstore.request.name``, ``error.type``
``objstore.client.retries``               {retry}    ``objstore.retry.name``, ``error.type``
``objstore.client.slow_answers``          {answer}
``objstore.client.outages``               {outage}   server, ``error.type``
``objstore.client.outage.duration``       ``s``      server
========================================  =========  =============================================

The operation is ``objstore.operation.name``, the bucket ``objstore.bucket``; the server is
``server.address`` and ``server.port``. There is no convention yet for object stores other than S3:
names and units follow the general ones, and what is of objstore alone is under ``objstore``.

It needs OpenTelemetry: ``pip install "nats-objstore[otel]"``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import objstore
from objstore.events import (
    Disconnected,
    Event,
    GetDone,
    PutDone,
    Reconnected,
    Request,
    Retry,
    SlowServer,
)

try:
    from opentelemetry import metrics, trace
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import SpanKind, Status, StatusCode, TracerProvider
except ImportError as error:
    raise objstore.MissingDependencyError(
        'objstore.contrib.otel needs OpenTelemetry: pip install "nats-objstore[otel]"'
    ) from error

__all__ = ["Telemetry"]

Attributes = dict[str, str | int]

#: Bounds of a histogram of durations, in seconds: those of the conventions for HTTP, and two below,
#: since a small get takes a third of a millisecond.
BOUNDS = (
    0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
)  # fmt: skip


class Telemetry:
    """Makes spans and metrics of events: for ``connect(on_event=...)``.

    Arguments:
        names: whether spans say the names of objects, and the text of errors, in which they
            stand. Names are often personal, and each is another one: so not unless it is asked for.
            Metrics never have them. Names of buckets are always said.
        tracer_provider, meter_provider: None: the process's own.
    """

    def __init__(
        self,
        *,
        names: bool = False,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._names = names
        version = objstore.__version__
        self._tracer = trace.get_tracer("objstore", version, tracer_provider)
        meter = metrics.get_meter("objstore", version, meter_provider)

        def seconds_of(name: str, description: str) -> metrics.Histogram:
            return meter.create_histogram(
                f"objstore.client.{name}.duration",
                "s",
                description,
                explicit_bucket_boundaries_advisory=BOUNDS,
            )

        def count(name: str, unit: str, description: str) -> metrics.Counter:
            return meter.create_counter(f"objstore.client.{name}", unit, description)

        self._operations = seconds_of("operation", "Duration of puts and gets.")
        self._requests = seconds_of("request", "Time until the server's answer.")
        self._outage = seconds_of("outage", "Time without a connection.")
        self._bytes = count("io", "By", "Bytes of objects that were put or read.")
        self._retries = count("retries", "{retry}", "What was tried again after a failure.")
        self._slow = count("slow_answers", "{answer}", "Answers that took more than a second.")
        self._outages = count("outages", "{outage}", "Connections that were lost.")
        self._handlers: dict[type[Event], Callable[[Any], None]] = {
            PutDone: self._done,
            GetDone: self._done,
            Request: self._request,
            Retry: self._retry,
            SlowServer: self._slow_server,
            Disconnected: self._disconnected,
            Reconnected: self._reconnected,
        }

    def __call__(self, event: Event) -> None:
        """Take an event."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def _done(self, event: PutDone | GetDone) -> None:
        is_put = isinstance(event, PutDone)
        operation = "put" if is_put else "get"
        bucket: Attributes = {"objstore.bucket": event.bucket}
        attributes = {
            "objstore.operation.name": operation,
            **bucket,
            **_server(event.server),
            **_type_of(event.error),
        }
        self._operations.record(event.seconds, attributes)
        if event.bytes:
            direction = "transmit" if is_put else "receive"
            self._bytes.add(event.bytes, {**bucket, "network.io.direction": direction})
        # Not by the object's name: of spans' titles there are to be few.
        self._span(f"{operation} {event.bucket}", event, attributes)

    def _span(self, title: str, event: PutDone | GetDone, attributes: Attributes) -> None:
        """Make a span of what is over by now, below the one that is current."""
        end = time.time_ns()
        span = self._tracer.start_span(
            title,
            kind=SpanKind.CLIENT,
            attributes={**attributes, "objstore.transfer.size": event.bytes},
            # Told when it is over, so that the beginning is reckoned back.
            start_time=end - int(event.seconds * 1e9),
        )
        if self._names:
            span.set_attribute("objstore.object.name", event.name)
        if event.error is not None:
            said = str(event.error) if self._names else None
            span.set_status(Status(StatusCode.ERROR, said))
        span.end(end)

    def _request(self, event: Request) -> None:
        attributes = {"objstore.request.name": event.question, **_type_of(event.error)}
        self._requests.record(event.seconds, attributes)

    def _retry(self, event: Retry) -> None:
        attributes = {"objstore.retry.name": event.operation, **_type_of(event.error)}
        self._retries.add(1, attributes)
        trace.get_current_span().add_event("objstore.retry", attributes)

    def _slow_server(self, event: SlowServer) -> None:
        self._slow.add(1)
        waited = {"objstore.waited": event.seconds}
        trace.get_current_span().add_event("objstore.slow_server", waited)

    def _disconnected(self, event: Disconnected) -> None:
        self._outages.add(1, {**_server(event.server), **_type_of(event.error)})

    def _reconnected(self, event: Reconnected) -> None:
        self._outage.record(event.seconds, _server(event.server))


def _server(url: str) -> Attributes:
    """Make the attributes for a server of its address."""
    parts = urlsplit(url)
    if parts.hostname is None or parts.port is None:
        return {}
    return {"server.address": parts.hostname, "server.port": parts.port}


def _type_of(error: BaseException | None) -> Attributes:
    """Make the attribute for an error; none where there is none."""
    if error is None:
        return {}
    kind = type(error)
    # As the conventions have it: a builtin by its name alone, others with their module.
    where = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return {"error.type": f"{where}{kind.__qualname__}"}
