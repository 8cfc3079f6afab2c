"""The wired method whole: runner, real mDNS and real TCP on loopback, the device's own half at the other end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest
from msgspec import structs

from pairing.activation import hub as hub_side
from pairing.methods.wired import Wired
from pairing.session.causes import text
from pairing.session.states import Failure, Request, SessionState, State
from tests.pairing.methods.hub import MethodHub
from tests.pairing.methods.lamp import ALL, Lamp

PATIENCE = 30.0


def sockets() -> set[str]:
    """The sockets this process has open."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(str(descriptor.readlink()))
    return {name for name in found if name.startswith("socket:")}


class Hub(MethodHub):
    def __init__(self, *, hint_after: float = 15.0, patience: float = 120.0) -> None:
        super().__init__(lambda lan: Wired(lan, hint_after=hint_after, patience=patience), ALL)

    async def start(self, pin: str | None = None, **more: object) -> str:
        request = structs.replace(Request(home="h-1", account="a-1", method="wired"), **more)
        state = await self.runner.start(request, {"pin": pin} if pin else {})
        return state.id

    async def see(self, session_id: str, key: str, attempt: int | None = None) -> bool:
        """Whether the session, before its end, came to this step (of that attempt)."""
        async with asyncio.timeout(PATIENCE):
            async for step in self.runner.watch(session_id):
                if step.key == key and attempt in (None, step.attempt):
                    return True
        return False

    async def end(self, session_id: str) -> SessionState:
        if self.runner.get(session_id) is None:
            return self.log.state(session_id)
        async with asyncio.timeout(PATIENCE):
            return await self.runner.ended(session_id)

    async def failure(self, session_id: str) -> Failure:
        failed = (await self.end(session_id)).failure
        assert failed is not None
        return failed


Hubs = Callable[..., Hub]


@pytest.fixture
async def hubs() -> AsyncIterator[Hubs]:
    """Makes hubs; afterwards neither a task nor a socket of theirs may be left."""
    made: list[Hub] = []
    tasks = asyncio.all_tasks()
    before = await asyncio.to_thread(sockets)

    def make(**more: float) -> Hub:
        made.append(Hub(**more))
        return made[-1]

    yield make
    for hub in made:
        await hub.runner.close()
    assert asyncio.all_tasks() - tasks - {asyncio.current_task()} == set()
    assert await asyncio.to_thread(sockets) - before == set()


@pytest.fixture
async def lamps() -> AsyncIterator[Callable[[Lamp], "asyncio.Future[Lamp]"]]:
    """Switches lamps on, and all off at the end."""
    running: list[asyncio.Task[None]] = []
    off = asyncio.Event()

    async def burn(lamp: Lamp, lit: "asyncio.Future[Lamp]") -> None:
        async with lamp.on():
            lit.set_result(lamp)
            await off.wait()

    def switch_on(lamp: Lamp) -> "asyncio.Future[Lamp]":
        lit: asyncio.Future[Lamp] = asyncio.get_running_loop().create_future()
        running.append(asyncio.create_task(burn(lamp, lit)))
        return lit

    yield switch_on
    off.set()
    await asyncio.gather(*running)


SwitchOn = Callable[[Lamp], "asyncio.Future[Lamp]"]


async def test_a_lamp_with_a_pin_joins(hubs: Hubs, lamps: SwitchOn) -> None:
    hub, lamp = hubs(), await lamps(Lamp(pin="2468"))
    session = await hub.start(pin="2468", device=lamp.id)
    ended = await hub.end(session)
    assert [s.key for s in ended.steps] == [
        *("preparing", "searching", "found", "connecting", "proving"),
        *("handing_over", "joining", "registered", "joined"),
    ]
    assert ended.devices == (f"home-{lamp.id}",)
    assert ended.attempts[0].trust == "pin"
    assert lamp.state.active is not None
    assert lamp.state.active.hub_id == hub.identity.hub_id
    assert lamp.errors == []


async def test_without_a_pin_both_show_the_same_code(hubs: Hubs, lamps: SwitchOn) -> None:
    hub, lamp = hubs(), await lamps(Lamp())
    session = await hub.start()
    assert await hub.see(session, "confirm")
    shown = hub.runner.get(session)
    assert shown is not None
    assert shown.attempts[0].code == lamp.code != ""
    await hub.runner.confirm(session, True)
    ended = await hub.end(session)
    assert (ended.state, ended.attempts[0].trust) == (State.JOINED, "first-use")
    assert lamp.state.active is not None


async def test_a_code_that_is_refused_binds_nothing(hubs: Hubs, lamps: SwitchOn) -> None:
    hub, lamp = hubs(), await lamps(Lamp())
    session = await hub.start(device=lamp.id)
    assert await hub.see(session, "confirm")
    await hub.runner.confirm(session, False)
    assert (await hub.failure(session)).cause == "refused_by_person"
    assert (lamp.state.active, lamp.state.pending, hub.registrar.joins) == (None, None, 0)


async def test_the_pin_is_asked_for_again_when_it_was_wrong(hubs: Hubs, lamps: SwitchOn) -> None:
    hub, lamp = hubs(), await lamps(Lamp(pin="2468"))
    session = await hub.start(device=lamp.id)
    assert await hub.see(session, "pin_needed")
    await hub.runner.provide(session, "1111")
    assert await hub.see(session, "attempt_failed")
    assert await hub.see(session, "pin_needed", attempt=2)
    await hub.runner.provide(session, "2468")
    assert (await hub.end(session)).state is State.JOINED
    assert lamp.state.wrong_tries == 0


async def test_a_wrong_pin_is_told(hubs: Hubs, lamps: SwitchOn) -> None:
    hub, lamp = hubs(), await lamps(Lamp(pin="2468"))
    failed = await hub.failure(await hub.start(pin="1111", device=lamp.id))
    assert (failed.cause, failed.step, failed.retryable) == ("wrong_pin", "proving", True)
    assert lamp.state.wrong_tries == 1


async def test_a_device_by_its_address_without_any_announcement(hubs: Hubs, lamps: SwitchOn) -> None:
    hub, lamp = hubs(), await lamps(Lamp(pin="2468", announced=False))
    session = await hub.start(host="127.0.0.1", port=lamp.port)
    assert await hub.see(session, "pin_needed")
    await hub.runner.provide(session, "2468")
    assert (await hub.end(session)).devices == (f"home-{lamp.id}",)


@pytest.mark.parametrize(("host", "port"), [("lamp.example", 80), ("127.0.0.1", 0), ("127.0.0.1", 70_000)])
async def test_an_address_that_is_none(hubs: Hubs, host: str, port: int) -> None:
    hub = hubs()
    assert (await hub.failure(await hub.start(host=host, port=port))).cause == "bad_address"


async def test_a_device_that_cannot_be_reached_is_named_by_its_address(hubs: Hubs) -> None:
    hub, lamp = hubs(), Lamp(pin="2468", announced=False)
    async with lamp.on():
        port = lamp.port
    session = await hub.start(pin="2468", host="127.0.0.1", port=port)
    failed = await hub.failure(session)
    assert (failed.cause, failed.step) == ("unreachable", "connecting")
    assert text(failed) == f"The device does not answer at 127.0.0.1, port {port}."


async def test_a_device_that_says_nothing_names_the_step(
    hubs: Hubs, lamps: SwitchOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_side, "STEP_TIMEOUT", 0.05)
    hub, lamp = hubs(), await lamps(Lamp(silent=True))
    failed = await hub.failure(await hub.start(device=lamp.id))
    assert (failed.cause, failed.step) == ("device_silent", "proving")


@pytest.mark.parametrize(("step", "cause"), [("proving", "connection_lost"), ("prepared", "connection_lost")])
async def test_a_device_whose_power_fails_names_the_step(hubs: Hubs, lamps: SwitchOn, step: str, cause: str) -> None:
    hub, lamp = hubs(), await lamps(Lamp(pin="2468", dies_at=step))
    session = await hub.start(pin="2468", device=lamp.id)
    failed = await hub.failure(session)
    assert (failed.cause, failed.step) == (cause, {"proving": "proving", "prepared": "handing_over"}[step])
    # Back on, it is paired at the next try, whatever it had kept.
    lamp.dies_at = ""
    assert (await hub.end(await hub.start(pin="2468", device=lamp.id))).state is State.JOINED


async def test_a_device_of_another_hub_says_so(hubs: Hubs, lamps: SwitchOn) -> None:
    first, second, lamp = hubs(), hubs(), Lamp(pin="2468")
    async with lamp.on():
        assert (await first.end(await first.start(pin="2468", device=lamp.id))).state is State.JOINED
    await lamps(lamp)
    failed = await second.failure(await second.start(pin="2468", device=lamp.id))
    assert (failed.cause, failed.next_step) == ("device_bound_elsewhere", "unbind_first")
    # The hub it belongs to pairs it anew.
    assert (await first.end(await first.start(pin="2468", device=lamp.id))).state is State.JOINED


async def test_a_paired_device_is_not_offered(hubs: Hubs, lamps: SwitchOn) -> None:
    hub, lamp = hubs(), Lamp(pin="2468")
    async with lamp.on():
        assert (await hub.end(await hub.start(pin="2468", device=lamp.id))).state is State.JOINED
    await lamps(lamp)
    free = await lamps(Lamp(pin="1357"))
    assert (await hub.end(await hub.start(pin="1357"))).devices == (f"home-{free.id}",)


async def test_the_person_chooses_among_two(hubs: Hubs, lamps: SwitchOn) -> None:
    hub, one, other = hubs(), await lamps(Lamp(pin="1")), await lamps(Lamp(pin="2"))
    session = await hub.start(pin="2")
    assert await hub.see(session, "choose")
    shown = hub.runner.get(session)
    assert shown is not None
    assert {c.id for c in shown.candidates} == {one.id, other.id}
    await hub.runner.choose(session, other.id)
    assert (await hub.end(session)).devices == (f"home-{other.id}",)


async def test_two_devices_join_in_one_session(hubs: Hubs, lamps: SwitchOn) -> None:
    hub, one, other = hubs(), await lamps(Lamp(pin="2")), await lamps(Lamp(pin="2"))
    ended = await hub.end(await hub.start(pin="2", want=2))
    assert set(ended.devices) == {f"home-{one.id}", f"home-{other.id}"}


async def test_nothing_announced_is_told_with_a_hint_first(hubs: Hubs) -> None:
    hub = hubs(hint_after=0.01, patience=0.2)
    ended = await hub.end(await hub.start(device="d-" + "a" * 24))
    assert ended.failure is not None
    assert ended.failure.cause == "not_found"
    assert "nothing_heard" in [s.key for s in ended.steps]


async def test_a_registration_refused_leaves_the_device_free(hubs: Hubs, lamps: SwitchOn) -> None:
    hub, lamp = hubs(), await lamps(Lamp(pin="2468"))
    hub.registrar.refuses = "not_allowed"
    failed = await hub.failure(await hub.start(pin="2468", device=lamp.id))
    assert failed.cause == "not_allowed"
    await lamp.quiet()
    assert (lamp.state.active, lamp.state.pending) == (None, None)


STEPS = ("preparing", "searching", "found", "connecting", "proving", "confirm", "handing_over", "joining", "registered")


async def _walk(hub: Hub, session: str, step: str) -> None:
    """See the session to that step, confirming the code on the way when it lies behind."""
    if STEPS.index(step) > STEPS.index("confirm"):
        assert await hub.see(session, "confirm")
        await hub.runner.confirm(session, True)
    assert await hub.see(session, step)


@pytest.mark.parametrize("step", STEPS)
async def test_cancelled_at_any_step_nothing_is_open_and_hub_and_device_agree(
    hubs: Hubs, lamps: SwitchOn, step: str
) -> None:
    hub, lamp = hubs(), await lamps(Lamp())
    session = await hub.start(device=lamp.id)
    await _walk(hub, session, step)
    if hub.runner.get(session) is not None:
        await hub.runner.cancel(session)
    ended = await hub.end(session)
    assert ended.state in (State.CANCELLED, State.JOINED)
    await lamp.quiet()
    if ended.state is State.CANCELLED:
        # At most it keeps a pending binding, which it drops when the hub refuses its link.
        assert lamp.state.active is None
        assert hub.registrar.joins == 0
    else:
        assert lamp.state.active or lamp.state.pending


@pytest.mark.parametrize("step", STEPS)
async def test_killed_at_any_step_it_goes_on_and_joins_once(hubs: Hubs, lamps: SwitchOn, step: str) -> None:
    hub, lamp = hubs(), await lamps(Lamp())
    session = await hub.start(device=lamp.id)
    await _walk(hub, session, step)
    await hub.runner.close()
    killed = hub.log.state(session)
    await hub.restart()
    if hub.registrar.joins == 0:
        assert await hub.see(session, "confirm", attempt=len(killed.attempts) + 1)
        await hub.runner.confirm(session, True)
    ended = await hub.end(session)
    assert ended.devices == (f"home-{lamp.id}",)
    assert hub.registrar.joins == 1
    assert lamp.state.active or lamp.state.pending


@pytest.mark.parametrize("turns", range(0, 60, 3))
async def test_stopped_after_any_number_of_turns_of_the_loop_nothing_is_left(
    hubs: Hubs, lamps: SwitchOn, turns: int
) -> None:
    hub, lamp = hubs(), await lamps(Lamp(pin="2468", announced=turns % 2 == 0))
    by_address: dict[str, object] = {} if lamp.announced else {"host": "127.0.0.1", "port": lamp.port}
    await hub.start(pin="2468", device=lamp.id, **by_address)
    for _ in range(turns):
        await asyncio.sleep(0)
    # What is left is looked for by the fixture.
    await hub.runner.close()
    assert len(hub.runner) in (0, 1)
