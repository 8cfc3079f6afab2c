"""The gateway method under the real runner, with gateways that are made of a queue."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import pytest

from pairing.methods.gateway import BehindGateway, JoinedChild, Left, Newcomer, News
from pairing.methods.method import MethodFailedError
from pairing.session.log import Activation
from pairing.session.runner import MethodUnavailableError, Runner
from pairing.session.states import Request, SessionState, State
from pairing.testing import MemoryLog, MemoryRegistrar

PATIENCE = 20.0
LAMP, PLUG = Newcomer("d-g/1", "lamp", "Lamp", "1.0"), Newcomer("d-g/2", "plug")


class Queued:
    """`Gateways` whose window tells what is put into `news`; None is the end of its time."""

    def __init__(self, *news: News | None, fails: str = "") -> None:
        self.news: asyncio.Queue[News | None] = asyncio.Queue()
        for each in news:
            self.news.put_nowait(each)
        self.fails = fails
        self.open: list[tuple[str, str, int]] = []
        self.opened: list[tuple[str, str, int]] = []
        self.adopted: list[str] = []

    @asynccontextmanager
    async def window(self, home: str, gateway: str, seconds: int) -> AsyncIterator[AsyncIterator[News]]:
        if self.fails:
            raise MethodFailedError(self.fails)
        self.open.append((home, gateway, seconds))
        self.opened.append((home, gateway, seconds))
        try:
            yield self._told()
        finally:
            self.open.remove((home, gateway, seconds))

    async def _told(self) -> AsyncIterator[News]:
        while (news := await self.news.get()) is not None:
            yield news

    def adopt(self, child: str) -> None:
        self.adopted.append(child)


class Registering(MemoryRegistrar):
    """Keeps what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[Activation] = []

    async def join(self, session: SessionState, attempt: int, activated: Activation) -> str:
        self.given.append(activated)
        return await super().join(session, attempt, activated)


class Hub:
    def __init__(self, gateways: Queued) -> None:
        ids = count(1)
        self.registrar = Registering()
        self.log = MemoryLog()
        self.runner = Runner(
            log=self.log,
            registrar=self.registrar,
            methods=[BehindGateway(gateways)],
            now=lambda: 1_700_000_000_000,
            new_id=lambda: f"s-{next(ids)}",
        )

    async def start(self, want: int = 1, **inputs: str) -> str:
        given = {"gateway": "g-1", **inputs}
        return (
            await self.runner.start(Request(home="h-1", account="a-1", method="gateway", want=want, inputs=given))
        ).id

    async def end(self, session_id: str) -> SessionState:
        async with asyncio.timeout(PATIENCE):
            return await self.runner.ended(session_id)


async def test_each_newcomer_is_registered_and_adopted() -> None:
    gateways = Queued(LAMP, PLUG)
    hub = Hub(gateways)
    ended = await hub.end(await hub.start(want=2, seconds="60"))
    assert ended.state is State.JOINED
    assert ended.devices == ("home-d-g/1", "home-d-g/2")
    assert sorted(gateways.adopted) == ["d-g/1", "d-g/2"]
    assert JoinedChild("d-g/1", "g-1", "lamp", "Lamp", "1.0") in hub.registrar.given
    assert [attempt.trust for attempt in ended.attempts] == ["gateway"] * 2
    assert (gateways.opened, gateways.open) == ([("h-1", "g-1", 60)], [])


@pytest.mark.parametrize(("given", "seconds"), [("0", 1), ("9999", 3600), ("-5", 180), ("soon", 180), ("", 180)])
async def test_the_time_is_kept_within_its_bounds(given: str, seconds: int) -> None:
    gateways = Queued(None)
    hub = Hub(gateways)
    await hub.end(await hub.start(seconds=given))
    assert gateways.opened == [("h-1", "g-1", seconds)]


async def test_a_window_nobody_joins_in_fails_with_its_cause() -> None:
    hub = Hub(Queued(Left("d-g/9"), None))
    ended = await hub.end(await hub.start())
    assert ended.failure is not None
    assert ended.failure.cause == "no_child_joined"


@pytest.mark.parametrize("cause", ["gateway_offline", "gateway_silent", "gateway_unfit"])
async def test_a_window_that_does_not_open_fails_with_its_cause(cause: str) -> None:
    hub = Hub(Queued(fails=cause))
    ended = await hub.end(await hub.start())
    assert ended.failure is not None
    assert ended.failure.cause == cause


async def test_fewer_than_wanted_are_what_there_is() -> None:
    hub = Hub(Queued(LAMP, None))
    ended = await hub.end(await hub.start(want=3))
    assert (ended.state, ended.devices) == (State.JOINED, ("home-d-g/1",))


@pytest.mark.parametrize("how", ["cancel", "close"])
async def test_no_window_is_left_open(how: str) -> None:
    gateways = Queued()
    hub = Hub(gateways)
    session = await hub.start()
    async with asyncio.timeout(PATIENCE):
        async for step in hub.runner.watch(session):
            if step.key == "searching":
                break
    assert len(gateways.open) == 1
    await (hub.runner.cancel(session) if how == "cancel" else hub.runner.close())
    assert gateways.open == []


async def test_without_a_gateway_it_cannot_be() -> None:
    hub = Hub(Queued())
    with pytest.raises(MethodUnavailableError):
        await hub.runner.start(Request(home="h-1", account="a-1", method="gateway"))
