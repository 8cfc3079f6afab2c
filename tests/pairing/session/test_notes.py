"""Notes: kept in their order, by fewer writes than there are of them, and before whatever comes after them."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from pairing.methods.method import AttemptContext, Follows, Input, SearchContext
from pairing.session.log import Entry
from pairing.session.runner import Runner
from pairing.session.states import Candidate, Request, SessionState, State
from pairing.testing import FakeActivation, MemoryLog, MemoryRegistrar

NOTES = [f"note {n}" for n in range(30)]


class Talkative:
    """A `Method` that says thirty things to a device, and then has it joined."""

    name = "talkative"
    inputs: tuple[Input, ...] = ()
    follows: Follows | None = None

    async def search(self, context: SearchContext) -> None:
        await context.ready()
        await context.heard(Candidate(id="d-1", method=self.name))
        await asyncio.Event().wait()

    async def attempt(self, context: AttemptContext) -> None:
        for key in NOTES:
            await context.note(key)
        await context.join(FakeActivation("d-1"))


class SlowLog(MemoryLog):
    """Holds back what has a note in it until that is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let = asyncio.Event()

    async def append(self, session_id: str, entry: Entry, state: SessionState) -> None:
        if any(step.key in NOTES for step in entry.steps):
            await self.let.wait()
        await super().append(session_id, entry, state)


@pytest.fixture
async def runner() -> AsyncIterator[tuple[Runner, SlowLog]]:
    log = SlowLog()
    made = Runner(
        log=log, registrar=MemoryRegistrar(), methods=[Talkative()], now=lambda: 1_700_000_000_000, new_id=lambda: "s-1"
    )
    yield made, log
    await made.close()


async def test_they_share_a_write_and_none_is_lost(runner: tuple[Runner, SlowLog]) -> None:
    running, log = runner
    await running.start(Request(home="h", account="a", method="talkative", device="d-1"))
    log.let.set()
    async with asyncio.timeout(30):
        ended = await running.ended("s-1")
    assert ended.state is State.JOINED
    assert [step.key for step in ended.steps if step.key in NOTES] == NOTES
    assert log.state("s-1") == ended
    assert sum(bool({step.key for step in entry.steps} & set(NOTES)) for entry in log.history["s-1"]) < len(NOTES) / 2


async def test_what_comes_after_them_waits_for_them(runner: tuple[Runner, SlowLog]) -> None:
    running, log = runner
    await running.start(Request(home="h", account="a", method="talkative", device="d-1"))
    for _ in range(100):
        await asyncio.sleep(0)
    assert log.state("s-1").devices == ()
    assert log.state("s-1").state is not State.JOINING
    log.let.set()
    async with asyncio.timeout(30):
        assert (await running.ended("s-1")).devices


async def test_they_are_lost_with_the_hub_only_as_if_never_said(runner: tuple[Runner, SlowLog]) -> None:
    running, log = runner
    await running.start(Request(home="h", account="a", method="talkative", device="d-1"))
    async with asyncio.timeout(30):
        while log.state("s-1").state is not State.PROVING:
            await asyncio.sleep(0)
    await running.close()
    kept = [step.key for step in log.state("s-1").steps]
    assert not set(kept) & set(NOTES)
    assert [stored.state.id for stored in await log.open_sessions()] == ["s-1"]
