"""A session over the LAN, cancelled at its k-th await for every k until it completes: nothing of it is left."""

import asyncio
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pairing.activation import Offer
from pairing.device import physical_reset
from pairing.identity import Identity
from pairing.mdns import Announcement, Gone
from pairing.methods.method import Follows, Input
from pairing.methods.over_lan import OverLan
from pairing.session.runner import Runner
from pairing.session.states import Request, SessionState, State
from pairing.testing import MemoryLog, MemoryRegistrar
from pairing.token import hint_of
from tests.pairing.methods.lamp import Lamp

TOKEN = b"DSabcdefghijkm"


class Held(Generator[Any, Any, Any]):
    """Work that comes no further than its `turn`th await: `then` is called there. `turns` counts those it came to."""

    def __init__(self, work: Generator[Any, Any, Any], turn: int, then: Callable[[], object]) -> None:
        self._work = work
        self._turn = turn
        self._then = then
        self._awaited: Any = None
        self.turns = 0

    def send(self, value: Any) -> Any:
        awaited = self._work.send(value)
        self.turns += 1
        if self.turns != self._turn:
            return awaited
        self._awaited = awaited
        loop = asyncio.get_running_loop()
        loop.call_soon(self._then)
        return next(iter(loop.create_future().__await__()))

    def throw(self, *error: Any) -> Any:
        if self._awaited is not None:
            self._awaited.cancel()  # as the task would have, had it been given this to wait for
            self._awaited = None
        return self._work.throw(*error)

    def __await__(self) -> "Held":
        return self


class Told:
    """Method of a lamp that holds the token. Its `part`, search or attempt, is held at one await; then `cancel`."""

    name = "told"
    inputs: tuple[Input, ...] = ()
    follows: Follows | None = None

    def __init__(self, lamp: Lamp, part: str, turn: int) -> None:
        identity = Identity.generate(secrets.token_bytes)
        self._lan = OverLan(identity, offer, entropy=secrets.token_bytes, browse=lambda: heard(lamp))
        self._part = part
        self._turn = turn
        self.came = 0
        self.cancel: Callable[[str], object] = lambda session_id: None

    async def search(self, context: Any) -> None:
        await self._hold("search", self._lan.hear(context, self.name), context)

    async def attempt(self, context: Any) -> None:
        await self._hold("attempt", self._lan.attempt(context), context)

    async def _hold(self, part: str, work: Coroutine[Any, Any, None], context: Any) -> None:
        turn = self._turn if part == self._part else 0
        held = Held(work.__await__(), turn, lambda: self.cancel(context.session_id))
        try:
            await held
        finally:
            if part == self._part:
                self.came = held.turns


@asynccontextmanager
async def heard(lamp: Lamp) -> AsyncIterator[AsyncIterator[Announcement | Gone]]:
    async def announcements() -> AsyncIterator[Announcement | Gone]:
        yield Announcement(
            id=lamp.id,
            product="lamp",
            name="Lamp",
            addresses=("127.0.0.1",),
            port=lamp.port,
            paired=False,
            auth="open",
            hint=hint_of(TOKEN, lamp.id),
        )
        await asyncio.Event().wait()

    yield announcements()


async def offer(session_id: str, attempt: int) -> Offer:
    await asyncio.sleep(0)
    return Offer("Home", (("127.0.0.1", 8471),), secrets.token_bytes(32), f"{session_id}-{attempt}", 1)


def sockets() -> set[str]:
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(str(descriptor.readlink()))
    return {name for name in found if name.startswith("socket:")}


async def paired_but_for(lamp: Lamp, part: str, turn: int) -> tuple[bool, State]:
    """Whether the session came to that await of `part`, or to its so-manieth step; and how it ended."""
    method, ids = Told(lamp, part, turn), count(1)
    runner = Runner(
        log=MemoryLog(),
        registrar=MemoryRegistrar(),
        methods=[method],
        now=lambda: time.time_ns() // 1_000_000,
        new_id=lambda: f"s-{next(ids)}",
    )
    cancelling: list[asyncio.Task[SessionState]] = []
    method.cancel = lambda session_id: cancelling.append(asyncio.create_task(runner.cancel(session_id)))
    request = Request(home="h-1", account="a-1", method="told", device=lamp.id)
    state = await runner.start(request, {"token": TOKEN.hex()})
    person = asyncio.create_task(_confirm(runner, state.id, turn if part == "steps" else 0))
    ended = await runner.ended(state.id)
    steps = await person
    await asyncio.gather(*cancelling)
    await runner.close()
    return (steps if part == "steps" else method.came) >= turn, ended.state


async def _confirm(runner: Runner, session_id: str, cancel_at: int) -> int:
    """Say yes to the code, and cancel the session at its so-manieth step; how many steps there were."""
    steps = 0
    async for step in runner.watch(session_id):
        steps += 1
        with suppress(Exception):
            if steps == cancel_at:
                await runner.cancel(session_id)
            elif step.key == "confirm":
                await runner.confirm(session_id, True)
    return steps


def threads() -> set[threading.Thread]:
    """Those that are not the loop's own."""
    return {thread for thread in threading.enumerate() if not thread.name.startswith("asyncio_")}


async def ends_of(part: str) -> list[State]:
    """How a session ended for each await, or step, it was cancelled at, until it was not."""
    lamp, ends = Lamp(announced=False, token=TOKEN), list[State]()
    async with asyncio.timeout(120), lamp.on():
        for turn in count(1):
            before = asyncio.all_tasks(), await asyncio.to_thread(sockets), threads()
            came, end = await paired_but_for(lamp, part, turn)
            await lamp.quiet()
            lamp.state = physical_reset(lamp.state)
            assert (asyncio.all_tasks(), await asyncio.to_thread(sockets), threads()) == before, turn
            if not came:
                assert end is State.JOINED
                return ends
            ends.append(end)
    raise AssertionError


@pytest.mark.parametrize(("part", "least"), [("search", 2), ("attempt", 10), ("steps", 8)])
async def test_cancelled_at_any_point_a_session_leaves_nothing(part: str, least: int) -> None:
    ends = await ends_of(part)
    assert len(ends) >= least
    assert set(ends) <= {State.CANCELLED, State.JOINED}
    # Once the device is in the home no cancel takes it out again.
    assert ends == sorted(ends, key=[State.CANCELLED, State.JOINED].index)
