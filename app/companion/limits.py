"""How much one peer may ask for: a token bucket per credential, and per address for who has none."""

import time
from collections.abc import Callable
from typing import Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from app.accounts.attempts import peer_of
from app.companion.layers import refuse
from app.errors import TooMany
from app.settings import Limits

SECONDS_PER_MINUTE: Final = 60.0
TRY_AGAIN_LATER: Final = 1013
_LIMITED: Final = frozenset({"http", "websocket"})


class _Bucket:
    """Tokens left, and when that was counted."""

    __slots__ = ("at", "left")

    def __init__(self, left: float, at: float) -> None:
        self.left = left
        self.at = at


class Buckets:
    """A bucket for each name: `burst` tokens at most, `per_second` of them coming back.

    At most `tracked` names are kept. Beyond that the one met longest ago gives way, and would start with a full bucket:
    coming from `tracked` other names costs more than the burst it gains.
    """

    def __init__(self, per_second: float, burst: float, tracked: int) -> None:
        self._per_second = per_second
        self._burst = burst
        self._tracked = tracked
        self._buckets: dict[str, _Bucket] = {}

    def take(self, name: str, now: float) -> float:
        """Take a token of `name` at `now` (monotonic seconds); returns 0, or the seconds until there is one."""
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._begin(name, now)
        left = min(self._burst, bucket.left + (now - bucket.at) * self._per_second)
        bucket.at = now
        if left < 1:
            bucket.left = left
            return (1 - left) / self._per_second
        bucket.left = left - 1
        return 0.0

    def _begin(self, name: str, now: float) -> _Bucket:
        if len(self._buckets) >= self._tracked:
            del self._buckets[next(iter(self._buckets))]
        bucket = self._buckets[name] = _Bucket(self._burst, now)
        return bucket

    def __len__(self) -> int:
        return len(self._buckets)


class LimitLayer:
    """Answers 429 before anything of a request is parsed. Stands inside FrontLayer, which says who asks."""

    def __init__(self, app: ASGIApp, limits: Limits, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._monotonic = monotonic
        self._by_credential = Buckets(limits.requests_per_second, limits.request_burst, limits.tracked_peers)
        per_minute = limits.anonymous_per_minute
        self._by_address = Buckets(per_minute / SECONDS_PER_MINUTE, per_minute, limits.tracked_peers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] in _LIMITED and (wait := self._wait(scope)) > 0:
            if scope["type"] == ScopeType.HTTP:
                await refuse(scope, send, refusal(wait))
            else:
                await send({"type": "websocket.close", "code": TRY_AGAIN_LATER, "reason": ""})
            return
        await self._app(scope, receive, send)

    def wait_of(self, credential_id: str) -> float:
        """Take one request of a credential; returns 0, or the seconds until it may ask again."""
        return self._by_credential.take(credential_id, self._monotonic())

    def _wait(self, scope: Scope) -> float:
        actor = scope["state"].get("actor") or scope["state"].get("speaker")
        if actor is not None and actor.credential_id is not None:
            return self.wait_of(actor.credential_id)
        client = scope.get("client")
        return self._by_address.take(peer_of(client[0]) if client else "", self._monotonic())


def refusal(wait: float) -> TooMany:
    """What is told to who has to wait so many seconds."""
    return TooMany("Too many requests.", retry_after=int(wait) + 1)
