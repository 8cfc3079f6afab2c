"""What a hub counts, for Prometheus at `/metrics`. Labels are bounded: routes and codes, never ids or addresses."""

from collections.abc import Callable, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from app.store.tx import Event

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
# From a memory read (well under a millisecond) to a request that waits for a device.
_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """One hub's instruments, in a registry of their own so that two hubs in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = self._counter("requests", "Requests answered.", "method", "route", "status")
        self.request_seconds = self._histogram("request_seconds", "Time to the head of the answer.", "route")
        self.events = self._counter("events", "What happened, by type: joined, signed in, commanded, ...", "type")
        self.commits = self._counter("commits", "Group commits that made events.")

    def follow(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A gauge `doorstep_NAME` that asks `value` whenever somebody looks."""
        Gauge(f"doorstep_{name}", text, registry=self.registry).set_function(value)

    def committed(self, events: Sequence[Event]) -> None:
        """Count a batch of committed events; their types are the code's own, so the label is bounded."""
        self.commits.inc()
        for event in events:
            self.events.labels(event.type).inc()

    def render(self) -> bytes:
        """The page Prometheus reads, of `CONTENT_TYPE`."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"doorstep_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(f"doorstep_{name}", text, labels, buckets=_SECONDS, registry=self.registry)
