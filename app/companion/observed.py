"""The outermost layer: counts every request, and answers what a machine asks: `/healthz`, `/readyz`, `/metrics`."""

import asyncio
import ipaddress
import logging
from collections.abc import Callable
from time import perf_counter
from typing import Any, Final

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send
from prometheus_client import Counter, Histogram

from app.companion.problems import send_problem
from app.errors import Refused
from app.metrics import CONTENT_TYPE, Metrics

UNMATCHED: Final = "unmatched"
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_log = structlog.stdlib.get_logger("doorstep.access")


class MetricsRefused(Refused):
    """Metrics are told on the hub's own machine, and to its owner."""

    code = "metrics_refused"
    hint = "Scrape from the hub itself, or through a tunnel to it."


class ObservedLayer:
    """`ready` says whether the hub can do its work; `/healthz` only that it answers."""

    def __init__(self, app: ASGIApp, metrics: Metrics, ready: Callable[[], bool]) -> None:
        self._app = app
        self._metrics = metrics
        self._ready = ready
        self._routes: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        if scope["path"] in ("/healthz", "/readyz", "/metrics"):
            await self._answer(scope, send)
            return
        began = perf_counter()
        status, first = 500, 0.0

        async def noted(message: Any) -> None:
            nonlocal status, first
            if message["type"] == "http.response.start":
                status, first = message["status"], perf_counter()
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            self._count(scope, status, (first or perf_counter()) - began)

    def _count(self, scope: HTTPScope, status: int, seconds: float) -> None:
        # Litestar notes the template of the route it matched; a path as it came would be a label without bound.
        method = scope["method"] if scope["method"] in METHODS else "other"
        key = (method, scope.get("path_template") or UNMATCHED, status)
        counted = self._routes.get(key)
        if counted is None:
            _, route, _ = key
            counted = (
                self._metrics.requests.labels(method, route, str(status)),
                self._metrics.request_seconds.labels(route),
            )
            self._routes[key] = counted
        counted[0].inc()
        counted[1].observe(seconds)
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("answered", method=key[0], route=key[1], status=status, ms=round(seconds * 1e3, 3))

    async def _answer(self, scope: HTTPScope, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            await _send(send, 405, b"", b"text/plain")
        elif scope["path"] == "/healthz":
            await _send(send, 200, b"ok\n", b"text/plain")
        elif scope["path"] == "/readyz":
            ready = self._ready()
            await _send(send, 200 if ready else 503, b"ready\n" if ready else b"not ready\n", b"text/plain")
        elif _from_here(scope):
            await _send(send, 200, await asyncio.to_thread(self._metrics.render), CONTENT_TYPE.encode())
        else:
            await send_problem(send, MetricsRefused(), "")


def _from_here(scope: HTTPScope) -> bool:
    client = scope.get("client")
    try:
        return client is not None and ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        return False


async def _send(send: Send, status: int, body: bytes, kind: bytes) -> None:
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
