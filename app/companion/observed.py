"""What a machine asks of a hub: `/healthz`, `/readyz`, `/metrics`; and the counting behind the last."""

import asyncio
import ipaddress
import logging
from collections.abc import Callable
from typing import Final

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from app.companion.problems import send_problem
from app.errors import Refused
from app.metrics import CONTENT_TYPE, Metrics

UNMATCHED: Final = "unmatched"
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_log = structlog.stdlib.get_logger("doorstep.access")
# Asked at every request; the one above is made anew at each use.
_stdlib_log = logging.getLogger("doorstep.access")


class MetricsRefused(Refused):
    """Metrics are told on the hub's own machine, and to its owner."""

    code = "metrics_refused"
    hint = "Scrape from the hub itself, or through a tunnel to it."


class Counting:
    """Counts every answer: `FrontLayer` calls it, and the short way beside that calls `add`."""

    def __init__(self, metrics: Metrics) -> None:
        self._answers = metrics.answers

    def __call__(self, scope: HTTPScope, status: int, seconds: float) -> None:
        """`seconds` to the head of the answer."""
        # Litestar notes the template of the route it matched; a path as it came would be a label without bound.
        method = scope["method"] if scope["method"] in METHODS else "other"
        route = scope.get("path_template") or UNMATCHED
        self.add(method, route, status, seconds, scope.get("state", {}).get("request_id", ""))

    def add(self, method: str, route: str, status: int, seconds: float, request_id: str) -> None:
        """Count one; `method` and `route` are labels, of which there are few."""
        self._answers.add((method, route, status), seconds)
        if _stdlib_log.isEnabledFor(logging.DEBUG):
            _log.debug("answered", method=method, route=route, status=status, ms=seconds * 1e3, request_id=request_id)


class ObservedLayer:
    """`ready` says whether the hub can do its work; `/healthz` only that it answers."""

    def __init__(self, app: ASGIApp, metrics: Metrics, ready: Callable[[], bool]) -> None:
        self._app = app
        self._metrics = metrics
        self._ready = ready

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        if scope["path"] in ("/healthz", "/readyz", "/metrics"):
            await self._answer(scope, send)
            return
        await self._app(scope, receive, send)

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
