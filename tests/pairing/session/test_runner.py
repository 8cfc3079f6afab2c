"""The runner with a method that needs no network: durable before told, nothing left open, resumed or ended."""

import asyncio
from collections.abc import AsyncIterator, Callable
from itertools import count

import pytest
from msgspec import structs

from pairing.errors import PairingError, ProofFailedError, StorageFailedError
from pairing.session.contexts import SessionOverError
from pairing.session.log import Entry
from pairing.session.runner import (
    InvalidPinError,
    MethodUnavailableError,
    NotNowError,
    Runner,
    TooManySessionsError,
    UnknownSessionError,
)
from pairing.session.states import Candidate, Request, SessionState, State
from pairing.testing import FakeMethod, MemoryLog, MemoryRegistrar

LAMP = Candidate(id="d-lamp", method="fake", name="Lamp", product="lamp", addresses=("192.0.2.1",), port=4000)
PINNED = structs.replace(LAMP, auth="pin")
PLUG = structs.replace(LAMP, id="d-plug", name="Plug")
PATIENCE = 20.0
NOW = 1_700_000_000_000


def ask(**more: object) -> Request:
    return structs.replace(Request(home="h-1", account="a-1", device="d-lamp"), **more)


class Hub:
    """A runner, what it stands on, and what it told; `restart` is a kill and a new start on the same log."""

    def __init__(self, *candidates: Candidate) -> None:
        self.method = FakeMethod(*candidates)
        self.log = MemoryLog()
        self.registrar = MemoryRegistrar()
        self.told: list[tuple[SessionState, Entry]] = []
        self.ids = count(1)
        self.clock: Callable[[], int] = lambda: NOW
        self.limit = 8
        self.runner = self._runner()

    def now(self) -> int:
        return self.clock()

    def _runner(self) -> Runner:
        return Runner(
            log=self.log,
            registrar=self.registrar,
            methods=[self.method],
            now=self.now,
            new_id=lambda: f"s-{next(self.ids)}",
            on_change=lambda state, entry: self.told.append((state, entry)),
            limit=self.limit,
        )

    async def kill(self) -> None:
        await self.runner.close()
        assert self.method.open == 0

    async def restart(self) -> None:
        await self.kill()
        self.runner = self._runner()
        await self.runner.resume_all()

    async def until(self, session_id: str, state: State) -> SessionState:
        """Wait for the session to be in that state, as told."""
        async with asyncio.timeout(PATIENCE):
            async for _ in self.runner.watch(session_id):
                shown = self.runner.get(session_id)
                if shown is not None and shown.state is state:
                    return shown
        raise AssertionError(f"{session_id} never was {state}")

    async def end(self, session_id: str) -> SessionState:
        async with asyncio.timeout(PATIENCE):
            return await self.runner.ended(session_id)


@pytest.fixture
async def hubs() -> AsyncIterator[Callable[..., Hub]]:
    """Makes hubs; afterwards no task of theirs may be left."""
    made: list[Hub] = []
    before = asyncio.all_tasks()

    def make(*candidates: Candidate) -> Hub:
        made.append(Hub(*candidates))
        return made[-1]

    yield make
    for hub in made:
        await hub.runner.close()
        assert hub.method.open == 0
    assert asyncio.all_tasks() - before - {asyncio.current_task()} == set()


Hubs = Callable[..., Hub]


async def test_a_device_with_a_pin_joins_and_every_step_is_told(hubs: Hubs) -> None:
    hub = hubs(PINNED)
    state = await hub.runner.start(ask(), {"pin": "1234"})
    steps = [step.key async for step in hub.runner.watch(state.id)]
    assert steps == ["preparing", "searching", "found", "connecting", "joining", "registered", "joined"]
    ended = hub.log.state(state.id)
    assert (ended.state, ended.devices, ended.failure) == (State.JOINED, ("home-d-lamp",), None)
    assert hub.told[-1][0] == ended
    assert hub.registrar.joins == 1
    assert hub.method.open == 0


async def test_what_is_told_is_on_disk_before(hubs: Hubs) -> None:
    hub = hubs(PINNED)
    seen: list[bool] = []
    hub.runner._on_change = lambda state, entry: seen.append(hub.log.state(state.id) == state)
    state = await hub.runner.start(ask(), {"pin": "1234"})
    await hub.end(state.id)
    assert len(seen) == len(hub.log.history[state.id])
    assert all(seen)


async def test_no_secret_is_in_the_log(hubs: Hubs) -> None:
    hub = hubs(PINNED)
    hub.method.right_pin = "canary-77"
    state = await hub.runner.start(ask(), {"pin": "canary-77", "token": "canary-77"})
    await hub.end(state.id)
    assert b"canary" not in hub.log.rows[state.id]
    assert "canary" not in repr(hub.log.history)
    assert hub.log.secrets == {}


async def test_the_person_confirms_a_code(hubs: Hubs) -> None:
    hub = hubs(LAMP)
    state = await hub.runner.start(ask())
    confirming = await hub.until(state.id, State.CONFIRMING)
    assert confirming.attempts[0].code == "123456"
    await hub.runner.confirm(state.id, True)
    assert (await hub.end(state.id)).state is State.JOINED


async def test_the_person_refuses_the_code(hubs: Hubs) -> None:
    hub = hubs(LAMP)
    state = await hub.runner.start(ask())
    await hub.until(state.id, State.CONFIRMING)
    await hub.runner.confirm(state.id, False)
    ended = await hub.end(state.id)
    assert ended.failure is not None
    assert (ended.state, ended.failure.cause) == (State.FAILED, "refused_by_person")
    assert hub.registrar.joins == 0


async def test_the_person_chooses_among_several(hubs: Hubs) -> None:
    hub = hubs(PLUG, LAMP)
    state = await hub.runner.start(ask(device=None))
    found = await hub.until(state.id, State.FOUND)
    assert [c.id for c in found.candidates] == ["d-plug", "d-lamp"]
    with pytest.raises(NotNowError):
        await hub.runner.choose(state.id, "d-none")
    await hub.runner.choose(state.id, "d-lamp")
    await hub.until(state.id, State.CONFIRMING)
    await hub.runner.confirm(state.id, True)
    assert (await hub.end(state.id)).devices == ("home-d-lamp",)


async def test_the_only_device_is_taken_without_asking(hubs: Hubs) -> None:
    hub = hubs(LAMP)
    state = await hub.runner.start(ask(device=None))
    await hub.until(state.id, State.CONFIRMING)


async def test_a_pin_is_asked_for_and_asked_again_when_wrong(hubs: Hubs) -> None:
    hub = hubs(PINNED)
    state = await hub.runner.start(ask())
    await hub.until(state.id, State.ASKING)
    await hub.runner.provide(state.id, "9999")
    again = await hub.until(state.id, State.ASKING)
    while len(again.attempts) == 1:
        again = await hub.until(state.id, State.ASKING)
    assert again.attempts[0].failure is not None
    assert again.attempts[0].failure.cause == "wrong_pin"
    await hub.runner.provide(state.id, "1234")
    assert (await hub.end(state.id)).state is State.JOINED


async def test_a_wrong_pin_that_nobody_was_asked_for_fails(hubs: Hubs) -> None:
    hub = hubs(PINNED)
    state = await hub.runner.start(ask(), {"pin": "9999"})
    ended = await hub.end(state.id)
    assert ended.failure is not None
    assert (ended.failure.cause, ended.failure.retryable) == ("wrong_pin", True)


async def test_several_devices_join_in_one_session(hubs: Hubs) -> None:
    hub = hubs(PINNED, structs.replace(PINNED, id="d-plug"), structs.replace(PINNED, id="d-third"))
    state = await hub.runner.start(ask(device=None, want=3), {"pin": "1234"})
    ended = await hub.end(state.id)
    assert ended.state is State.JOINED
    assert set(ended.devices) == {"home-d-lamp", "home-d-plug", "home-d-third"}
    assert next(s.key for s in ended.steps_of(2)) == "connecting"


async def test_nothing_found(hubs: Hubs) -> None:
    hub = hubs()
    hub.method.ends = True
    state = await hub.runner.start(ask())
    ended = await hub.end(state.id)
    assert ended.failure is not None
    assert (ended.failure.cause, ended.failure.step) == ("not_found", "searching")


@pytest.mark.parametrize(
    ("error", "cause"),
    [(ProofFailedError(), "proof_failed"), (OSError(), "connection_lost"), (RuntimeError("defect"), "pairing_failed")],
)
async def test_what_the_method_raises_becomes_the_cause(hubs: Hubs, error: Exception, cause: str) -> None:
    hub = hubs(LAMP)
    hub.method.fail["proving"] = error
    state = await hub.runner.start(ask())
    ended = await hub.end(state.id)
    assert ended.failure is not None
    assert (ended.failure.cause, ended.failure.step) == (cause, "connecting")


async def test_a_registration_that_is_refused_names_its_cause(hubs: Hubs) -> None:
    hub = hubs(PINNED)
    hub.registrar.refuses = "not_allowed"
    state = await hub.runner.start(ask(), {"pin": "1234"})
    ended = await hub.end(state.id)
    assert ended.failure is not None
    assert (ended.failure.cause, ended.failure.retryable) == ("not_allowed", False)


async def test_a_registration_that_failed_but_committed_has_joined(hubs: Hubs) -> None:
    hub = hubs(PINNED)
    hub.registrar.broken = hub.registrar.late = True
    state = await hub.runner.start(ask(), {"pin": "1234"})
    assert (await hub.end(state.id)).devices == ("home-d-lamp",)


async def test_the_connection_may_break_once_the_device_is_in(hubs: Hubs) -> None:
    hub = hubs(PINNED)
    hub.method.fail["told"] = ConnectionResetError()
    state = await hub.runner.start(ask(), {"pin": "1234"})
    assert (await hub.end(state.id)).state is State.JOINED


async def test_a_session_expires_by_itself(hubs: Hubs) -> None:
    hub = hubs()
    state = await hub.runner.start(ask(lifetime_ms=30))
    ended = await hub.end(state.id)
    assert ended.failure is not None
    assert (ended.state, ended.failure.cause) == (State.EXPIRED, "expired")
    assert hub.method.open == 0


async def test_a_clock_that_is_set_meanwhile_does_not_matter(hubs: Hubs) -> None:
    hub = hubs(PINNED)
    state = await hub.runner.start(ask())
    await hub.until(state.id, State.ASKING)
    hub.clock = lambda: NOW + 10**12
    await hub.runner.provide(state.id, "1234")
    assert (await hub.end(state.id)).state is State.JOINED


POINTS = ("search", "ready", "heard", "connect", "proving", "proven", "told")


def _holding(hub: Hub, point: str) -> None:
    # A search that is held before it hears anything never comes to an attempt.
    hub.method.hold = {point}


@pytest.mark.parametrize("point", POINTS)
async def test_cancel_at_every_point_leaves_nothing_open(hubs: Hubs, point: str) -> None:
    hub = hubs(PINNED)
    _holding(hub, point)
    state = await hub.runner.start(ask(device=None if point == "heard" else "d-lamp"), {"pin": "1234"})
    async with asyncio.timeout(PATIENCE):
        await hub.method.at(point).wait()
        ended = await hub.runner.cancel(state.id)
    # Told of its joining already, the device has joined whatever becomes of the talk.
    assert ended.state is (State.JOINED if point == "told" else State.CANCELLED)
    assert hub.method.open == 0
    assert hub.log.state(state.id) == ended


@pytest.mark.parametrize("state", [State.ASKING, State.CONFIRMING, State.FOUND])
async def test_cancel_while_the_person_is_asked(hubs: Hubs, state: State) -> None:
    hub = hubs(PINNED) if state is State.ASKING else hubs(LAMP, PLUG)
    session = await hub.runner.start(ask(device=None if state is State.FOUND else "d-lamp"))
    await hub.until(session.id, state)
    ended = await hub.runner.cancel(session.id)
    assert ended.failure is not None
    assert (ended.state, ended.failure.cause) == (State.CANCELLED, "cancelled")
    assert hub.method.open == 0


@pytest.mark.parametrize(("refuses", "end"), [(None, State.JOINED), ("not_allowed", State.CANCELLED)])
async def test_cancel_during_the_registration_awaits_its_outcome(hubs: Hubs, refuses: str | None, end: State) -> None:
    hub = hubs(PINNED)
    hub.registrar.hold.clear()
    state = await hub.runner.start(ask(), {"pin": "1234"})
    async with asyncio.timeout(PATIENCE):
        await hub.registrar.entered.wait()
        cancelling = asyncio.create_task(hub.runner.cancel(state.id))
        while hub.log.state(state.id).closing is None:
            await asyncio.sleep(0)
        assert not cancelling.done()
        hub.registrar.broken = refuses is not None
        hub.registrar.hold.set()
        assert (await cancelling).state is end
    assert hub.method.open == 0


@pytest.mark.parametrize("point", POINTS)
async def test_killed_at_every_point_it_is_resumed_and_joins_once(hubs: Hubs, point: str) -> None:
    hub = hubs(PINNED)
    _holding(hub, point)
    state = await hub.runner.start(ask(device=None if point == "heard" else "d-lamp"), {"pin": "1234"})
    async with asyncio.timeout(PATIENCE):
        await hub.method.at(point).wait()
    await hub.kill()
    hub.method.hold = set()
    await hub.restart()
    resumed = hub.log.state(state.id)
    ended = resumed if resumed.state.terminal else await hub.end(state.id)
    assert ended.devices == ("home-d-lamp",)
    assert "resumed" in [s.key for s in ended.steps]
    assert hub.registrar.joins == 1


@pytest.mark.parametrize("committed", [True, False])
async def test_killed_during_the_registration_it_joins_once(hubs: Hubs, committed: bool) -> None:
    hub = hubs(PINNED)
    hub.registrar.hold.clear()
    hub.registrar.late = committed
    state = await hub.runner.start(ask(), {"pin": "1234"})
    async with asyncio.timeout(PATIENCE):
        await hub.registrar.entered.wait()
    await hub.kill()
    assert hub.log.state(state.id).state is State.JOINING
    hub.registrar.late = False
    hub.registrar.hold.set()
    await hub.restart()
    ended = hub.log.state(state.id)
    ended = ended if ended.state.terminal else await hub.end(state.id)
    assert ended.devices == ("home-d-lamp",)
    assert len(ended.attempts) == (1 if committed else 2)
    assert hub.registrar.joins == 1


@pytest.mark.parametrize("state", [State.ASKING, State.CONFIRMING, State.FOUND])
async def test_killed_while_the_person_is_asked_it_asks_again(hubs: Hubs, state: State) -> None:
    hub = hubs(PINNED) if state is State.ASKING else hubs(LAMP, PLUG)
    session = await hub.runner.start(ask(device=None if state is State.FOUND else "d-lamp"))
    await hub.until(session.id, state)
    await hub.restart()
    assert (await hub.until(session.id, state)).id == session.id


async def test_a_session_whose_time_ran_out_while_the_hub_was_down_expires(hubs: Hubs) -> None:
    hub = hubs(PINNED)
    state = await hub.runner.start(ask())
    await hub.until(state.id, State.ASKING)
    await hub.kill()
    hub.clock = lambda: NOW + 600_001
    await hub.restart()
    assert hub.log.state(state.id).state is State.EXPIRED


async def test_a_session_whose_method_is_gone_ends_with_a_cause(hubs: Hubs) -> None:
    hub = hubs(PINNED)
    state = await hub.runner.start(ask())
    await hub.until(state.id, State.ASKING)
    await hub.kill()
    hub.runner = Runner(log=hub.log, registrar=hub.registrar, methods=[], now=hub.clock, new_id=lambda: "s-9", limit=1)
    assert await hub.runner.resume_all() == 1
    ended = hub.log.state(state.id)
    assert ended.failure is not None
    assert ended.failure.cause == "hub_stopped"


async def test_a_log_that_cannot_write_ends_the_session_and_says_so(hubs: Hubs) -> None:
    hub = hubs(PINNED)
    state = await hub.runner.start(ask())
    await hub.until(state.id, State.ASKING)
    ending = asyncio.create_task(hub.end(state.id))
    await asyncio.sleep(0)
    hub.log.broken = True
    with pytest.raises(StorageFailedError):
        await hub.runner.provide(state.id, "1234")
    ended = await ending
    assert ended.failure is not None
    assert (ended.state, ended.failure.cause) == (State.FAILED, "storage_failed")
    assert hub.method.open == 0
    # What is on disk is older, and the next start takes it up from there.
    hub.log.broken = False
    await hub.restart()
    await hub.until(state.id, State.ASKING)


async def test_a_device_that_is_in_has_joined_even_if_the_log_fails_then(hubs: Hubs) -> None:
    hub = hubs(PINNED)
    hub.registrar.hold.clear()
    state = await hub.runner.start(ask(), {"pin": "1234"})
    ending = asyncio.create_task(hub.end(state.id))
    async with asyncio.timeout(PATIENCE):
        await hub.registrar.entered.wait()
    hub.log.broken = True
    hub.registrar.hold.set()
    assert (await ending).devices == ("home-d-lamp",)
    # On disk it is still joining: the next start looks it up, and says the same.
    hub.log.broken = False
    await hub.restart()
    joined = hub.log.state(state.id)
    joined = joined if joined.state.terminal else await hub.end(state.id)
    assert (joined.state, joined.devices) == (State.JOINED, ("home-d-lamp",))
    assert hub.registrar.joins == 1


async def test_one_session_that_cannot_be_resumed_does_not_keep_the_others(hubs: Hubs) -> None:
    hub = hubs(PINNED)
    first, second = await hub.runner.start(ask()), await hub.runner.start(ask())
    await hub.until(first.id, State.ASKING)
    await hub.until(second.id, State.ASKING)
    await hub.kill()
    hub.log.broken_for = {first.id}
    await hub.restart()
    await hub.until(second.id, State.ASKING)
    assert hub.runner.get(first.id) is None


async def test_a_session_that_cannot_be_created_is_not(hubs: Hubs) -> None:
    hub = hubs(PINNED)
    hub.log.broken = True
    with pytest.raises(OSError, match="disk full"):
        await hub.runner.start(ask())
    assert len(hub.runner) == 0


async def test_words_that_mean_nothing_now_are_refused(hubs: Hubs) -> None:
    hub = hubs(PINNED)
    state = await hub.runner.start(ask())
    await hub.until(state.id, State.ASKING)
    for word in (
        hub.runner.confirm(state.id, True),
        hub.runner.confirm(state.id, True, 1),
        hub.runner.choose(state.id, "d-lamp"),
        hub.runner.provide(state.id, "1234", 7),
    ):
        with pytest.raises(NotNowError):
            await word
    with pytest.raises(InvalidPinError):
        await hub.runner.provide(state.id, "x" * 65)
    with pytest.raises(InvalidPinError):
        await hub.runner.start(ask(), {"pin": ""})
    with pytest.raises(UnknownSessionError):
        await hub.runner.cancel("s-none")
    with pytest.raises(MethodUnavailableError):
        await hub.runner.start(ask(method="telepathy"))


async def test_open_sessions_are_limited(hubs: Hubs) -> None:
    hub = hubs(PINNED)
    for _ in range(hub.limit):
        await hub.runner.start(ask())
    with pytest.raises(TooManySessionsError):
        await hub.runner.start(ask())
    await hub.runner.cancel("s-1")
    await hub.runner.start(ask())


async def test_a_closed_runner_starts_nothing_and_answers_who_waits(hubs: Hubs) -> None:
    hub = hubs(PINNED)
    state = await hub.runner.start(ask())
    await hub.until(state.id, State.ASKING)
    watching = hub.runner.watch(state.id)
    await hub.runner.close()
    keys = [step.key async for step in watching]
    assert keys[-1] == "pin_needed"
    with pytest.raises(SessionOverError):
        await hub.runner.start(ask())


async def test_a_method_that_speaks_while_it_is_stopped_holds_nothing_up(hubs: Hubs) -> None:
    hub = hubs(PINNED)
    stopped: list[type[BaseException]] = []

    async def chatty(context: object) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            try:
                await context.note("closing")  # type: ignore[attr-defined]
            except PairingError as error:
                stopped.append(type(error))
                raise

    hub.method.attempt = chatty  # type: ignore[method-assign]
    state = await hub.runner.start(ask())
    await hub.until(state.id, State.PROVING)
    async with asyncio.timeout(PATIENCE):
        assert (await hub.runner.cancel(state.id)).state is State.CANCELLED
    assert stopped == [SessionOverError]
