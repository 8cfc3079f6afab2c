"""Reports, wishes and conditional wishes in any order, many in one commit: none loses another, versions only grow."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct

from app.caller import BY_SYSTEM, Caller
from app.clock import Moment
from app.devices.model import ServiceView
from app.errors import VersionMismatch
from app.policy import SYSTEM
from tests.api.harness import Api, SetClock
from tests.api.things import bind, home_of

NAMES = ("on", "brightness")
VALUES: dict[str, st.SearchStrategy[Any]] = {"on": st.booleans(), "brightness": st.integers(10, 40)}


class StillClock(SetClock):
    """Time passes when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.ms = super().now().ms

    def now(self) -> Moment:
        return Moment(self.ms)

    def set(self, ms: int) -> None:
        self.ms = ms


class Report(Struct, frozen=True):
    """`ago`: how old it says it is (ms); None: it has no clock."""

    values: dict[str, Any]
    ago: int | None


class Wish(Struct, frozen=True):
    """`behind`: by how many versions what was seen is behind; None: it does not say."""

    values: dict[str, Any]
    behind: int | None


def some(*, wanted: bool) -> st.SearchStrategy[dict[str, Any]]:
    each = {name: st.one_of(st.none(), value) if wanted else value for name, value in VALUES.items()}
    return st.fixed_dictionaries({}, optional=each).filter(bool)


REPORTS = st.builds(Report, some(wanted=False), st.none() | st.integers(0, 3_000))
WISHES = st.builds(Wish, some(wanted=True), st.none() | st.integers(0, 2))
TURNS = st.lists(st.tuples(st.integers(1, 2_000), st.lists(REPORTS | WISHES, min_size=1, max_size=5)), max_size=6)


class Model:
    """What a service must be, one thing after the other."""

    def __init__(self) -> None:
        self.version = 0
        self.reported: dict[str, tuple[Any, int]] = {}
        self.desired: dict[str, tuple[Any, int]] = {}

    def report(self, report: Report, now: int) -> int:
        at = now if report.ago is None else now - report.ago
        fit = {n: v for n, v in report.values.items() if n not in self.reported or self.reported[n][1] <= at}
        self.reported |= {name: (value, at) for name, value in fit.items()}
        self.version += bool(fit)
        return self.version

    def wish(self, wish: Wish, seen: int | None, now: int) -> int | None:
        """None: it is refused."""
        if seen is not None and seen != self.version:
            return None
        for name, value in wish.values.items():
            if value is None:
                self.desired.pop(name, None)
            else:
                self.desired[name] = (value, now)
        self.version += 1
        return self.version

    def shown(self) -> dict[str, Any]:
        return {"version": self.version, "reported": self.reported, "desired": self.desired}


def shown(view: ServiceView) -> dict[str, Any]:
    plain = msgspec.json.decode(msgspec.json.encode(view), type=ServiceView)
    sides = {
        side: {n: (p.value, round(p.at.timestamp() * 1000)) for n, p in getattr(plain, side).items()}
        for side in ("reported", "desired")
    }
    return {"version": plain.version, **sides}


async def do(api: Api, device_id: str, one: Report | Wish, seen: int | None, now: int) -> int | None:
    shadows = api.services.devices.shadows
    if isinstance(one, Report):
        return await shadows.reported(device_id, "light", one.values, None if one.ago is None else now - one.ago)
    by = BY_SYSTEM if seen is None else Caller(SYSTEM, if_match=seen)
    try:
        return (await shadows.desire(by, device_id, "light", one.values)).version
    except VersionMismatch:
        return None


async def play(api: Api, device_id: str, turns: list[tuple[int, list[Report | Wish]]]) -> None:
    model, shadows = Model(), api.services.devices.shadows
    for pause, together in turns:
        api.clock.set(api.clock.now().ms + pause)
        now, begun = api.clock.now().ms, model.version
        seen = [None if isinstance(one, Report) or one.behind is None else begun - one.behind for one in together]
        expected = [
            model.report(one, now) if isinstance(one, Report) else model.wish(one, saw, now)
            for one, saw in zip(together, seen, strict=True)
        ]
        found = await asyncio.gather(
            *(do(api, device_id, one, saw, now) for one, saw in zip(together, seen, strict=True))
        )
        assert found == expected
        assert shown(shadows.service(SYSTEM, device_id, "light")) == model.shown()
    on_disk = await api.store.read(lambda reader: shadows.state_in(reader, device_id, "light").view())
    assert shown(on_disk) == model.shown()


def check(folder: Path, examples: int) -> None:
    with asyncio.Runner() as runner:
        opened = Api(folder)
        opened.clock = StillClock()
        api = runner.run(opened.__aenter__())
        try:
            client = runner.run(api.person("anna"))
            home_id = runner.run(home_of(client))
            numbers = iter(range(1_000_000))

            @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
            @given(TURNS)
            def every(turns: list[tuple[int, list[Report | Wish]]]) -> None:
                device_id = runner.run(bind(api, home_id, f"d-{next(numbers)}"))
                runner.run(play(api, device_id, turns))

            every()
        finally:
            runner.run(opened.__aexit__(None, None, None))


def test_no_order_loses_anything(tmp_path: Path) -> None:
    check(tmp_path / "data", 150)


@pytest.mark.full
def test_of_many_orders_none_loses_anything(tmp_path: Path) -> None:
    check(tmp_path / "data", 2_000)
