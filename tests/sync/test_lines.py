"""How a hub talks where WebSockets do not get through, and what ends a talk."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from app.sync import engine as engine_module
from app.sync import lines, polls
from app.sync.cloud_end import Peer
from app.sync.engine import Engine
from app.sync.enrolment.connecting import CloudUnreachable
from app.sync.line import Line, LineLost
from app.sync.lines import CloudLines, RequestLine, SocketLine
from app.sync.polls import Polls
from app.sync.wire import Answer, Attached, Done, Head, Wait
from tests.api.households import new_home
from tests.sync.direct import DirectDoor
from tests.sync.pair import Ends, ends
from tests.sync.together import link
from tests.waiting import WAIT, until


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long before the next try."""
    monkeypatch.setattr(engine_module, "LEAST_BACKOFF_S", 0.01)
    monkeypatch.setattr(engine_module, "MOST_BACKOFF_S", 0.02)


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Ends]:
    """Nothing but requests gets from the hub to its cloud."""
    async with ends(tmp_path) as made:
        yield made


async def test_a_home_is_kept_by_single_requests(both: Ends) -> None:
    await both.enrol()
    engine = both.hub.services.sync.engine
    assert engine is not None

    async def is_by_requests() -> bool:
        return isinstance(engine.line, RequestLine)

    await until(is_by_requests)
    await link(both.hub, both.at_hub, both.cloud, both.at_cloud)
    home = await new_home(both.at_hub)
    assert (await both.at_hub.post(f"{home}/sync")).status_code == 200

    async def is_at_cloud() -> bool:
        return (await both.at_cloud.get(home)).status_code == 200

    await until(is_at_cloud)
    made = await both.at_cloud.post(f"{home}/rooms", json={"name": "Kitchen"})
    path = f"{home}/rooms/{made.json()['id']}"

    async def is_at_hub() -> bool:
        return (await both.at_hub.get(path)).status_code == 200

    # Told by the poll that is open: nobody waits for the next look of the hub's own.
    began = asyncio.get_running_loop().time()
    await until(is_at_hub)
    assert asyncio.get_running_loop().time() - began < engine_module.LOOK_AGAIN_S / 2
    assert (await both.at_hub.patch(path, json={"name": "Bath"})).status_code == 200

    async def is_renamed() -> bool:
        return bool((await both.at_cloud.get(path)).json()["name"] == "Bath")

    await until(is_renamed)


class Dials:
    """A door that counts; `reaches`: whether requests get through, `opens`: whether WebSockets do."""

    def __init__(self) -> None:
        self.reaches, self.opens = True, False
        self.sockets = 0

    async def session(self) -> None:
        if not self.reaches:
            raise CloudUnreachable("it does not answer")

    @asynccontextmanager
    async def websocket(self, path: str) -> AsyncIterator[Any]:
        self.sockets += 1
        if not (self.reaches and self.opens):
            raise CloudUnreachable("it does not answer")
        yield Silent()


class Silent:
    """A WebSocket on which nothing is said."""

    def __aiter__(self) -> "Silent":
        return self

    async def __anext__(self) -> bytes:
        await asyncio.Event().wait()
        raise StopAsyncIteration


async def opened(door: CloudLines) -> type[Line] | None:
    try:
        async with door.line() as line:
            return type(line)
    except LineLost:
        return None


async def test_a_network_that_is_gone_is_no_reason_to_do_without_websockets() -> None:
    dials = Dials()
    door = CloudLines(dials)  # type: ignore[arg-type]
    dials.reaches = False
    assert [await opened(door) for _ in range(5)] == [None] * 5
    dials.reaches = dials.opens = True
    assert await opened(door) is SocketLine


async def test_websockets_that_do_not_get_through_are_done_without_and_tried_again() -> None:
    dials = Dials()
    door = CloudLines(dials)  # type: ignore[arg-type]
    kinds = [await opened(door) for _ in range(2 * (lines.BEFORE_REQUESTS + 1))]
    assert kinds == [None, None, RequestLine] * 2
    dials.opens = True
    assert [await opened(door) for _ in range(3)] == [SocketLine] * 3


async def test_requests_end_after_a_while_to_look_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "REQUESTS_S", 0.01)
    door = CloudLines(Dials())  # type: ignore[arg-type]
    for _ in range(lines.BEFORE_REQUESTS):
        await opened(door)
    with pytest.raises(LineLost, match="looking again"):
        async with door.line():
            await asyncio.Event().wait()


class Connected:
    """What a poll asks of the cloud's end."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.ended = 0

    def __call__(self, tell: Any) -> Any:
        self.told.append(tell)
        return self._end

    def _end(self) -> None:
        self.ended += 1


async def test_what_is_said_between_two_polls_is_told_by_the_second() -> None:
    cloud, there = Polls({}), Connected()
    peer = Peer("hub", "node")
    await cloud.wait(peer, Wait(1, [], 0.0), there)
    assert there.told[0](Attached(0))
    said = await cloud.wait(peer, Wait(2, [], 60.0), there)
    assert (len(said.notices), len(there.told), there.ended) == (1, 1, 0)
    assert (await cloud.wait(peer, Wait(3, [], 0.0), there)).notices == []
    cloud.close()
    assert there.ended == 1


async def test_a_hub_that_asks_no_more_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polls, "GRACE_S", 0.0)
    cloud, there = Polls({}), Connected()
    await cloud.wait(Peer("hub", "node"), Wait(1, [], 0.0), there)

    async def is_gone() -> bool:
        return there.ended == 1

    await until(is_gone)


async def test_a_poll_is_answered_by_growth_and_by_the_end_of_the_cloud() -> None:
    heads = {"home": ("epoch", 1)}
    cloud, there = Polls(heads), Connected()
    wanted = Wait(1, [("home", "epoch", 1)], 60.0)
    asked = asyncio.create_task(cloud.wait(Peer("hub", "node"), wanted, there))
    while not there.told:
        await asyncio.sleep(0)
    heads["home"] = ("epoch", 2)
    assert there.told[0](Head(0, "home", "epoch", 2))
    assert (await asked).heads == [("home", "epoch", 2)]
    waiting = asyncio.create_task(cloud.wait(Peer("hub", "node"), Wait(2, [("home", "epoch", 2)], 60.0), there))
    await asyncio.sleep(0)
    cloud.close()
    assert await waiting == Done(0)


class Odd:
    """A cloud that answers what nobody can do anything with, once; then as it should."""

    def __init__(self, door: DirectDoor) -> None:
        self._door = door
        self.tries = 0

    @asynccontextmanager
    async def line(self) -> AsyncIterator[Line]:
        self.tries += 1
        async with self._door.line() as line:
            yield line if self.tries > 1 else Raising()


class Raising:
    async def ask(self, request: Any) -> Answer:
        raise ZeroDivisionError

    async def told(self) -> AsyncIterator[Answer]:
        await asyncio.Event().wait()
        yield Done(0)


async def test_a_talk_that_fails_in_a_way_nobody_thought_of_is_begun_again(both: Ends) -> None:
    await both.enrol()
    await both.hub.services.sync.close()
    door = Odd(DirectDoor(both.cloud, both.hub))
    engine: Engine = both.hub.services.sync.join(both.cloud.services.hub.view().id, "Cloud", door)
    engine.start()

    async def is_connected() -> bool:
        return engine.talk.connected

    await until(is_connected)
    assert door.tries == 2


class Waits:
    """Stands for chance: how long a hub might have waited before each try; it never waits long."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ceilings: list[float] = []
        self.come = asyncio.Event()
        monkeypatch.setattr(random, "uniform", self._uniform)

    def _uniform(self, least: float, most: float) -> float:
        assert least == 0
        self.ceilings.append(most)
        self.come.set()
        return 0.001

    async def until(self, tries: int) -> list[float]:
        async with asyncio.timeout(WAIT):
            while len(self.ceilings) < tries:
                self.come.clear()
                await self.come.wait()
        return self.ceilings[:tries]


async def test_tries_come_further_and_further_apart_and_near_again_after_a_connection_that_stood(
    both: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    await both.enrol()
    await both.hub.services.sync.close()
    monkeypatch.undo()
    waits = Waits(monkeypatch)
    door = DirectDoor(both.cloud, both.hub)
    door.cut()
    engine: Engine = both.hub.services.sync.join(both.cloud.services.hub.view().id, "Cloud", door)
    engine.start()
    assert await waits.until(7) == [2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    now, connected = engine._time, asyncio.Event()
    engine.on_connected.append(lambda _: connected.set())
    door.up.set()
    await connected.wait()
    tried = len(waits.ceilings)
    # It has stood for a minute when it ends.
    monkeypatch.setattr(engine, "_time", lambda: now() + 60.0)
    door.cut()
    assert (await waits.until(tried + 3))[tried:] == [1.0, 2.0, 4.0]


async def test_who_waits_for_no_number_of_seconds_does_not_wait() -> None:
    cloud, there = Polls({}), Connected()
    async with asyncio.timeout(WAIT):
        await cloud.wait(Peer("hub", "node"), Wait(1, [], float("nan")), there)
    cloud.close()
