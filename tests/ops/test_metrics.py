"""Metrics: a page Prometheus can parse, one registry a hub, labels without ids; and health beside them."""

import asyncio
from typing import Any, cast

import httpx2
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from app.clock import Moment, SystemClock
from app.companion.layers import FrontLayer
from app.companion.observed import Counting, ObservedLayer
from app.metrics import Metrics


def families(metrics: Metrics) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(metrics.render().decode())}


def test_two_hubs_do_not_mix() -> None:
    one, two = Metrics(), Metrics()
    one.commits.inc()
    assert b"doorstep_commits_total 1.0" in one.render()
    assert b"doorstep_commits_total 0.0" in two.render()


def test_gauges_are_asked_when_somebody_looks() -> None:
    metrics, value = Metrics(), [3.0]
    metrics.follow("streams", "Open.", lambda: value[0])
    value[0] = 5.0
    assert families(metrics)["doorstep_streams"].samples[0].value == 5.0


class Nobody:
    """Recognises no token."""

    def actor_of(self, token: bytes, now: Moment) -> None:
        return None

    def holder_of(self, credential_id: str, now: Moment) -> None:
        return None


class Observed:
    """An application behind the layer, and what it said of itself."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.ready = True
        inner = FrontLayer(cast("Any", self.application), Nobody(), SystemClock(), Counting(self.metrics))
        self.layer: Any = ObservedLayer(inner, self.metrics, lambda: self.ready)

    @staticmethod
    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].startswith("/known"):
            scope["path_template"] = "/known/{id}"
        if scope["path"] == "/known/broken":
            raise RuntimeError
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x"})

    async def ask(self, method: str, path: str, client: str = "127.0.0.1") -> httpx2.Response:
        transport = httpx2.ASGITransport(self.layer, client=(client, 1))
        async with httpx2.AsyncClient(transport=transport, base_url="http://hub") as api:
            return await api.request(method, path)

    async def counted(self) -> dict[tuple[str, str, str], float]:
        samples = (await asyncio.to_thread(families, self.metrics))["doorstep_requests"].samples
        return {
            (s.labels["method"], s.labels["route"], s.labels["status"]): s.value
            for s in samples
            if s.name.endswith("_total")
        }


async def test_requests_are_counted_by_route_and_never_by_path() -> None:
    observed = Observed()
    for path in ("/known/1", "/known/2", "/somewhere/else"):
        await observed.ask("GET", path)
    await observed.ask("INVENTED", "/x")
    with pytest.raises(RuntimeError):
        await observed.ask("GET", "/known/broken")
    assert await observed.counted() == {
        ("GET", "/known/{id}", "200"): 2.0,
        ("GET", "/known/{id}", "500"): 1.0,
        ("GET", "unmatched", "200"): 1.0,
        ("other", "unmatched", "200"): 1.0,
    }


async def test_health_and_readiness() -> None:
    observed = Observed()
    assert (await observed.ask("GET", "/healthz")).status_code == 200
    assert (await observed.ask("GET", "/readyz")).status_code == 200
    observed.ready = False
    assert (await observed.ask("GET", "/healthz")).status_code == 200
    assert (await observed.ask("GET", "/readyz")).status_code == 503
    assert (await observed.ask("DELETE", "/healthz")).status_code == 405


@pytest.mark.parametrize(("client", "status"), [("127.0.0.1", 200), ("::1", 200), ("192.168.1.9", 403), ("x", 403)])
async def test_metrics_are_told_on_the_machine_only(client: str, status: int) -> None:
    assert (await Observed().ask("GET", "/metrics", client)).status_code == status
