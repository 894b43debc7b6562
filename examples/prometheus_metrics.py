"""Metrics for Prometheus: puts, gets, errors, retries and outages. Needs prometheus-client."""

from __future__ import annotations

import contextlib
import urllib.request

from prometheus_client import Counter, Histogram, start_http_server

import objstore
from objstore.events import Disconnected, Event, GetDone, PutDone, Retry

SECONDS = Histogram("objstore_seconds", "Duration of puts and gets", ["operation", "bucket"])
BYTES = Counter("objstore_bytes", "Bytes of objects", ["operation", "bucket"])
ERRORS = Counter("objstore_errors", "Puts and gets that failed", ["operation", "bucket", "error"])
RETRIES = Counter("objstore_retries", "What was tried again", ["operation"])
OUTAGES = Counter("objstore_outages", "Connections that were lost")


def count(event: Event) -> None:
    """Take an event. Names of objects are no labels: each would be a time series of its own."""
    match event:
        case PutDone() | GetDone():
            labels = ("put" if isinstance(event, PutDone) else "get", event.bucket)
            SECONDS.labels(*labels).observe(event.seconds)
            BYTES.labels(*labels).inc(event.bytes)
            if event.error is not None:
                ERRORS.labels(*labels, type(event.error).__name__).inc()
        case Retry():
            RETRIES.labels(event.operation).inc()
        case Disconnected():
            OUTAGES.inc()


def main() -> None:
    """Use a bucket, and show what Prometheus would fetch of it."""
    server, thread = start_http_server(0, addr="127.0.0.1")
    with objstore.local(on_event=count) as client:
        store = client.object_store("photos")
        store.put("cat.jpg", bytes(1_000_000))
        store.read_bytes("cat.jpg")
        with contextlib.suppress(objstore.ObjectNotFoundError):
            store.read_bytes("dog.jpg")
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics") as page:
            lines = page.read().decode().splitlines()
    for line in lines:
        if line.startswith(("objstore_bytes_total", "objstore_errors_total")):
            print(line)
    server.shutdown()
    server.server_close()
    thread.join()


if __name__ == "__main__":
    main()
