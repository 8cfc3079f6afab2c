"""What a hub counts, for Prometheus at `/metrics`. Labels are bounded: routes and codes, never ids or addresses."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
# From a memory read (well under a millisecond) to a request that waits for a device.
_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_BATCH: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class Metrics:
    """One hub's instruments, in a registry of their own so that two hubs in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = self._counter("requests", "Requests answered.", "method", "route", "status")
        self.request_seconds = self._histogram("request_seconds", "Time to the first byte.", _SECONDS, "route")
        self.refused = self._counter("refused", "Requests refused by a limit.", "limit")
        self.sign_ins = self._counter("sign_ins", "Attempts to sign in.", "result")
        self.streams = self._gauge("event_streams", "Event streams open now.")
        self.commits = self._counter("store_commits", "Group commits.")
        self.commit_acts = self._histogram("store_commit_acts", "Acts in one group commit.", _BATCH)
        self.commit_seconds = self._histogram("store_commit_seconds", "Time of one group commit.", _SECONDS)
        self.writes_waiting = self._gauge("store_writes_waiting", "Acts that wait for the writer.")
        self.devices_online = self._gauge("devices_online", "Devices with a link now.")
        self.reports = self._counter("device_reports", "Reports from devices.", "result")
        self.commands = self._counter("commands", "Commands by the state they ended in.", "state")
        self.command_seconds = self._histogram("command_seconds", "From queued to answered.", _SECONDS)
        self.pairing_sessions = self._counter("pairing_sessions", "Pairing sessions ended.", "method", "result")

    def render(self) -> bytes:
        """The page Prometheus reads, of `CONTENT_TYPE`."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"doorstep_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"doorstep_{name}", text, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"doorstep_{name}", text, labels, buckets=buckets, registry=self.registry)
