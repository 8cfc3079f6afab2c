"""Token buckets, and the layer that asks them."""

from pathlib import Path
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from litestar.enums import ScopeType

from app.companion.limits import Buckets, LimitLayer
from app.policy import Actor
from app.settings import Limits
from tests.api.harness import Api


@given(st.lists(st.floats(0, 5), min_size=1, max_size=60), st.integers(1, 20), st.floats(0.5, 50))
def test_no_more_than_the_burst_and_what_came_back_is_ever_taken(
    gaps: list[float], burst: int, per_second: float
) -> None:
    buckets, now, taken = Buckets(per_second, burst, 10), 1000.0, 0
    for gap in gaps:
        now += gap
        taken += buckets.take("peer", now) == 0
    assert taken <= burst + (now - 1000.0) * per_second + 1e-6


@given(st.integers(1, 20), st.floats(0.5, 50))
def test_who_waits_as_told_is_answered(burst: int, per_second: float) -> None:
    buckets = Buckets(per_second, burst, 10)
    waits = [buckets.take("peer", 0.0) for _ in range(burst + 1)]
    assert waits[:-1] == [0] * burst
    assert waits[-1] > 0
    assert buckets.take("peer", waits[-1] * 1.001) == 0


def test_the_table_never_grows_beyond_its_cap() -> None:
    buckets = Buckets(1, 1, 50)
    for n in range(1000):
        buckets.take(f"peer {n}", 0.0)
    assert len(buckets) == 50


async def test_strangers_are_limited_by_address_and_people_by_their_session(tmp_path: Path) -> None:
    async with Api(tmp_path / "data", Limits(anonymous_per_minute=5)) as api:
        stranger, wrong = api.client(), api.client("wrong")
        answers = [await client.get("/api/hub") for client in (stranger, wrong) * 3]
        assert [a.status_code for a in answers] == [200] * 5 + [429]
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert answers[-1].json()["code"] == "too_many"
        anna = await api.person("anna")
        assert {(await anna.get("/api/homes")).status_code for _ in range(10)} == {200}


async def test_a_session_has_its_burst_and_then_its_rate() -> None:
    now = 0.0
    passed: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        passed.append(scope["state"]["actor"].credential_id)

    async def send(message: Any) -> None:
        """What is refused is seen by what did not pass."""

    layer = LimitLayer(app, Limits(requests_per_second=2, request_burst=3), lambda: now)
    for at, who in [(0.0, "a")] * 5 + [(0.0, "b")] + [(1.0, "a")] * 3:
        now = at
        state = {"actor": Actor("anna", who), "request_id": "r"}
        scope: Any = {"type": ScopeType.HTTP, "state": state, "client": ("127.0.0.1", 1), "headers": []}
        await layer(scope, cast("Any", None), send)
    assert passed == ["a"] * 3 + ["b"] + ["a"] * 2
