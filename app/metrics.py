"""What a hub counts, for Prometheus at `/metrics`. Labels are bounded: routes and codes, never ids or addresses."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from app.store.tx import Event

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
# From a memory read (well under a millisecond) to a request that waits for a device.
_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Tally(Collector):
    """A counter with one label, kept as plain numbers: what is counted thousands of times a second is made into metrics
    only when somebody looks.
    """

    def __init__(self, name: str, text: str, label: str) -> None:
        self._made = (name, text, label)
        self.counts: defaultdict[str, int] = defaultdict(int)

    def collect(self) -> Iterable[Metric]:
        """Called on another thread; a copy of a dict is one step of the interpreter."""
        name, text, label = self._made
        family = CounterMetricFamily(name, text, labels=[label])
        for value, count in dict(self.counts).items():
            family.add_metric([value], count)
        yield family


class Answers(Collector):
    """Requests answered by (method, route, status), and the time to the head of the answer by route."""

    def __init__(self) -> None:
        self._counts: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        self._seconds: dict[str, tuple[list[int], list[float]]] = {}

    def add(self, answer: tuple[str, str, int], seconds: float) -> None:
        """Count one."""
        self._counts[answer] += 1
        kept = self._seconds.get(answer[1])
        if kept is None:
            kept = self._seconds[answer[1]] = ([0] * (len(_SECONDS) + 1), [0.0])
        kept[0][bisect_left(_SECONDS, seconds)] += 1
        kept[1][0] += seconds

    def collect(self) -> Iterable[Metric]:
        """As `Tally.collect`."""
        requests = CounterMetricFamily("doorstep_requests", "Requests answered.", labels=["method", "route", "status"])
        for (method, route, status), count in dict(self._counts).items():
            requests.add_metric((method, route, str(status)), count)
        yield requests
        text = "Time to the head of the answer."
        seconds = HistogramMetricFamily("doorstep_request_seconds", text, labels=["route"])
        for route, (counts, total) in dict(self._seconds).items():
            edges = [*map(str, _SECONDS), "+Inf"]
            seconds.add_metric([route], list(zip(edges, accumulate(counts), strict=True)), total[0])
        yield seconds


class Metrics:
    """One hub's instruments, in a registry of their own so that two hubs in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.answers = Answers()
        self.registry.register(self.answers)
        self.events = Tally("doorstep_events", "What happened, by type: joined, signed in, commanded, ...", "type")
        self.registry.register(self.events)
        self.commits = Counter("doorstep_commits", "Group commits that made events.", registry=self.registry)

    def follow(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A gauge `doorstep_NAME` that asks `value` whenever somebody looks."""
        Gauge(f"doorstep_{name}", text, registry=self.registry).set_function(value)

    def committed(self, events: Sequence[Event]) -> None:
        """Count a batch of committed events; their types are the code's own, so the label is bounded."""
        self.commits.inc()
        for event in events:
            self.events.counts[event.type] += 1

    def render(self) -> bytes:
        """The page Prometheus reads, of `CONTENT_TYPE`."""
        return generate_latest(self.registry)
