"""Several devices that wait for the person at once: each word is for the attempt it names."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import structs

from pairing.session.runner import Runner
from pairing.session.states import Candidate, Request, SessionState, State
from pairing.testing import FakeMethod, MemoryLog, MemoryRegistrar
from tests.pairing import virtual_time
from tests.pairing.session.sessions import NOW

OPEN = [Candidate(id=f"d-{number}", method="fake") for number in range(1, 4)]
PINNED = [structs.replace(candidate, auth="pin") for candidate in OPEN]
SEVERAL = Request(home="h-1", account="a-1", want=3)


@asynccontextmanager
async def runner_of(method: FakeMethod) -> AsyncIterator[Runner]:
    log, registrar = MemoryLog(), MemoryRegistrar()
    runner = Runner(log=log, registrar=registrar, methods=[method], now=lambda: NOW, new_id=lambda: "s-1")
    yield runner
    await runner.close()
    assert method.open == 0


async def all_are(runner: Runner, state: State) -> SessionState:
    """The session once each of the three waits like this."""
    async for _ in runner.watch("s-1"):
        shown = runner.get("s-1")
        if shown is not None and [a.state for a in shown.attempts] == [state] * 3:
            return shown
    raise AssertionError


def test_each_pin_is_for_its_own_device() -> None:
    async def pair() -> SessionState:
        method = FakeMethod(*PINNED)
        method.pins = {"d-1": "1111", "d-2": "2222", "d-3": "3333"}
        async with runner_of(method) as runner:
            await runner.start(SEVERAL)
            await all_are(runner, State.ASKING)
            await asyncio.gather(*(runner.provide("s-1", pin, number) for number, pin in [(3, "3333"), (1, "1111")]))
            await runner.provide("s-1", "2222", 2)
            return await runner.ended("s-1")

    ended = virtual_time.run(pair())
    assert (ended.state, len(ended.devices), len(ended.attempts)) == (State.JOINED, 3, 3)


def test_several_codes_are_confirmed_at_once_and_one_is_refused() -> None:
    async def pair() -> SessionState:
        async with runner_of(FakeMethod(*OPEN)) as runner:
            await runner.start(SEVERAL)
            await all_are(runner, State.CONFIRMING)
            words = [(2, True), (3, False), (1, True)]
            await asyncio.gather(*(runner.confirm("s-1", yes, number) for number, yes in words))
            await runner.finish("s-1")
            return await runner.ended("s-1")

    ended = virtual_time.run(pair())
    assert ended.devices == ("home-d-1", "home-d-2")
    assert [s.key for s in ended.steps_of(3)] == ["connecting", "confirm", "refused", "attempt_failed"]
    assert [s.key for s in ended.steps_of(1)][-2:] == ["joining", "registered"]
    assert ended.steps[-1].detail["causes"] == "refused_by_person"


def test_that_is_all_waits_for_the_codes_still_being_compared() -> None:
    async def pair() -> SessionState:
        async with runner_of(FakeMethod(*OPEN[:2])) as runner:
            await runner.start(SEVERAL)
            async for step in runner.watch("s-1"):
                if step.key == "confirm" and step.attempt == 2:
                    break
            for _ in range(2):  # said twice it is said once
                assert (await runner.finish("s-1")).finishing
            await asyncio.sleep(30)
            await runner.confirm("s-1", True, 1)
            await runner.confirm("s-1", True, 2)
            return await runner.ended("s-1")

    assert len(virtual_time.run(pair()).devices) == 2
