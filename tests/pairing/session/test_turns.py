"""Whatever works: every method in its turn, one at a time on a radio, over a stop of the hub; in virtual time."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from itertools import count
from typing import Any

from msgspec import structs

from pairing.methods.method import Follows, MethodFailedError, SearchContext
from pairing.session.runner import Runner
from pairing.session.states import ANY, Candidate, Request, SessionState, State
from pairing.testing import FakeMethod, MemoryLog, MemoryRegistrar
from tests.pairing import virtual_time

NOW = 1_700_000_000_000
LAMP = Candidate(id="d-lamp", method="ap", name="Lamp", auth="pin")
AFTER = 45.0


class Searching(FakeMethod):
    """A method that says what is in `notes`, each after so many seconds, and fails or ends after `ends_after`."""

    def __init__(self, name: str, *candidates: Candidate, follows: Follows | None = None) -> None:
        super().__init__(*candidates, name=name, follows=follows)
        self.times: list[tuple[float, float]] = []
        self.notes: dict[str, float] = {}
        self.cannot: MethodFailedError | None = None
        self.ends_after: float | None = None
        self.raises: MethodFailedError | None = None

    async def search(self, context: SearchContext) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            if self.cannot is not None:
                raise self.cannot
            await context.ready()
            for key, seconds in self.notes.items():
                await asyncio.sleep(seconds)
                await context.note(key)
            for candidate in self.candidates:
                await context.heard(candidate)
            await asyncio.sleep(self.ends_after if self.ends_after is not None else 1e6)
            if self.raises is not None:
                raise self.raises
        finally:
            self.times.append((began, loop.time()))


class Hub:
    """Wired, EZ and AP; AP takes the place of EZ."""

    def __init__(self) -> None:
        self.wired, self.ez = Searching("wired"), Searching("ez")
        self.ap = Searching("ap", follows=Follows(methods=("ez",), after=AFTER))
        self.log, self.registrar, self.ids = MemoryLog(), MemoryRegistrar(), count(1)
        self.start_of_clock = asyncio.get_running_loop().time()
        self.runner = self._runner()

    def _runner(self) -> Runner:
        return Runner(
            log=self.log,
            registrar=self.registrar,
            methods=[self.wired, self.ez, self.ap],
            now=self.now,
            new_id=lambda: f"s-{next(self.ids)}",
        )

    def now(self) -> int:
        return NOW + int((asyncio.get_running_loop().time() - self.start_of_clock) * 1000)

    async def start(self, method: str = ANY, **more: Any) -> str:
        request = structs.replace(Request(home="h-1", account="a-1", method=method), **more)
        return (await self.runner.start(request, {"pin": "1234"})).id

    async def end(self, session_id: str) -> SessionState:
        return await self.runner.ended(session_id)

    def steps(self, session_id: str, *keys: str) -> list[tuple[int, str, dict[str, str]]]:
        """(seconds into the session, key, facts) of the steps with these keys."""
        steps = self.log.state(session_id).steps
        return [((s.at - NOW) // 1000, s.key, s.detail) for s in steps if s.key in keys]


def in_virtual_time(test: Callable[[Hub], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    async def whole() -> None:
        hub = Hub()
        await test(hub)
        await hub.runner.close()
        assert [hub.wired.open, hub.ez.open, hub.ap.open] == [0, 0, 0]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    @wraps(test)
    def run() -> None:
        virtual_time.run(whole())

    del run.__wrapped__  # pytest would take the hub for a fixture
    return run


@in_virtual_time
async def test_ap_takes_the_place_of_ez_after_45_s_without_a_sign(hub: Hub) -> None:
    hub.ap.candidates = (LAMP,)
    ended = await hub.end(session_id := await hub.start())
    assert ended.state is State.JOINED
    assert hub.steps(session_id, "starting", "switching", "still_searching") == [
        (0, "starting", {"methods": "wired ez", "later": "ap"}),
        (45, "switching", {"from": "ez", "to": "ap"}),
        (45, "still_searching", {"methods": "wired"}),
    ]
    # One radio: EZ has ended when AP begins.
    assert (hub.ez.times, hub.ap.times[0][0]) == ([(0.0, AFTER)], AFTER)
    assert hub.wired.times[0][1] > AFTER


@in_virtual_time
async def test_a_method_that_was_chosen_is_the_only_one(hub: Hub) -> None:
    await hub.end(session_id := await hub.start("ez"))
    assert (hub.wired.times, hub.ap.times, hub.ez.times) == ([], [], [(0.0, 600.0)])
    assert hub.steps(session_id, "starting", "switching") == []


@in_virtual_time
async def test_the_last_to_search_alone_starts_at_once(hub: Hub) -> None:
    hub.ap.candidates = (LAMP,)
    assert (await hub.end(await hub.start("ap"))).state is State.JOINED
    assert hub.ap.times[0][0] == 0.0


@in_virtual_time
async def test_a_sign_keeps_ez_where_it_is_until_it_gives_up(hub: Hub) -> None:
    hub.ez.notes, hub.ez.ends_after = {"decoded": 30.0}, 60.0
    hub.ez.raises = MethodFailedError("network_unavailable")
    session_id = await hub.start()
    await hub.end(session_id)
    assert hub.ez.times == [(0.0, 90.0)]
    assert hub.ap.times[0][0] == 90.0
    assert [at for at, _, _ in hub.steps(session_id, "switching")] == [90]


@in_virtual_time
async def test_a_device_in_sight_keeps_all_where_they_are(hub: Hub) -> None:
    hub.wired.candidates = (LAMP, structs.replace(LAMP, id="d-plug"))
    session_id = await hub.start()
    ended = await hub.end(session_id)
    assert ended.state is State.EXPIRED
    assert hub.ap.times == []


@in_virtual_time
async def test_a_method_that_cannot_work_here_is_a_step_and_the_next_has_its_turn(hub: Hub) -> None:
    hub.ez.cannot = MethodFailedError("network_unavailable")
    hub.ap.candidates = (LAMP,)
    ended = await hub.end(session_id := await hub.start())
    assert ended.state is State.JOINED
    assert hub.steps(session_id, "search_failed", "switching") == [
        (0, "search_failed", {"method": "ez", "cause": "network_unavailable"}),
        (0, "switching", {"from": "ez", "to": "ap"}),
    ]


@in_virtual_time
async def test_the_end_names_what_a_search_learned_not_what_cannot_work_here(hub: Hub) -> None:
    hub.wired.cannot = hub.ap.cannot = MethodFailedError("no_method")
    hub.ez.ends_after, hub.ez.raises = 10.0, MethodFailedError("device_silent")
    ended = await hub.end(await hub.start())
    assert ended.failure is not None
    assert (ended.state, ended.failure.cause) == (State.FAILED, "device_silent")


@in_virtual_time
async def test_nothing_found_by_any_is_not_found(hub: Hub) -> None:
    for method in (hub.wired, hub.ez, hub.ap):
        method.ends_after = 20.0
    ended = await hub.end(await hub.start())
    assert ended.failure is not None
    assert ended.failure.cause == "not_found"
    assert hub.ap.times == [(20.0, 40.0)]


@in_virtual_time
async def test_a_stop_of_the_hub_leaves_what_is_left_of_the_45_s(hub: Hub) -> None:
    session_id = await hub.start()
    await asyncio.sleep(20.0)
    await hub.runner.close()
    await asyncio.sleep(5.0)
    hub.runner = hub._runner()
    await hub.runner.resume_all()
    hub.ap.candidates = (LAMP,)
    assert (await hub.end(session_id)).state is State.JOINED
    assert hub.ez.times == [(0.0, 20.0), (25.0, AFTER)]
    assert hub.ap.times[0][0] == AFTER


@in_virtual_time
async def test_once_switched_a_stop_of_the_hub_switches_nothing_back(hub: Hub) -> None:
    session_id = await hub.start()
    await asyncio.sleep(50.0)
    await hub.runner.close()
    hub.runner = hub._runner()
    await hub.runner.resume_all()
    await asyncio.sleep(100.0)
    assert len(hub.ez.times) == 1
    assert [key for _, key, _ in hub.steps(session_id, "switching")] == ["switching"]
    await hub.runner.cancel(session_id)
    assert len(hub.ap.times) == 2


@in_virtual_time
async def test_off_for_longer_what_came_onto_the_network_meanwhile_is_heard_first(hub: Hub) -> None:
    session_id = await hub.start()
    await hub.runner.close()
    await asyncio.sleep(100.0)
    hub.wired.candidates = (LAMP,)
    hub.runner = hub._runner()
    await hub.runner.resume_all()
    assert (await hub.end(session_id)).state is State.JOINED
    assert hub.ap.times == []
