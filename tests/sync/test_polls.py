"""What a cloud tells a hub that asks one by one: at once, or with the next poll (PROTOCOL.md 7)."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.sync.cloud_end import Peer
from app.sync.enrolment import queries as hub_queries
from app.sync.enrolment.model import EnrolledHub
from app.sync.wire import Answer, Attached, Done, Hello, Wait, Welcome, decode_answer
from tests.api.harness import Api
from tests.api.households import account_of, new_home
from tests.waiting import WAIT

LONG = 60.0
KEY = b"hub".ljust(32, b"0")


class Polling:
    """A hub of Anna's that asks its cloud one by one."""

    def __init__(self, cloud: Api, anna: httpx2.AsyncClient) -> None:
        self.cloud = cloud
        self.anna = anna
        self.peer = Peer("hub", "node")
        self.gone: list[Peer] = []
        self.end.on_disconnected.append(self.gone.append)

    @property
    def end(self) -> Any:
        return self.cloud.services.sync.cloud_end

    async def enrol(self) -> None:
        hub = EnrolledHub("hub", KEY, KEY, "a hub", account_of(self.anna), "node", 1, 1, 1_000, None, None)

        def act(tx: Any) -> None:
            hub_queries.put_hub(tx, hub)
            self.cloud.services.enrolment.hubs.rows.put(tx, hub.id, hub)

        await self.cloud.store.write(act)

    async def greet(self, *, again: bool) -> list[str]:
        """The homes it is told of."""
        answer: Answer = await self.end.answer(self.peer, Hello(1, 0, [], again))
        assert isinstance(answer, Welcome)
        return [home_id for home_id, *_ in answer.homes]

    async def poll(self, seconds: float = LONG) -> Done:
        answer: Answer = await self.end.answer(self.peer, Wait(2, [], seconds))
        assert isinstance(answer, Done)
        return answer

    async def open_poll(self) -> asyncio.Task[Done]:
        """One that waits."""
        task = asyncio.create_task(self.poll())
        while not self.end.is_connected(self.peer.hub_id):
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        return task

    async def attach(self) -> str:
        """Another home to the hub; its id."""
        home = await new_home(self.anna)
        attached = await self.anna.post(f"{home}/hubs", json={"hub_id": self.peer.hub_id})
        assert attached.status_code == 201, attached.text
        return home.rpartition("/")[2]


def told(answer: Done) -> list[Answer]:
    return [decode_answer(notice) for notice in answer.notices]


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Polling]:
    async with Api(tmp_path, is_cloud=True) as cloud, asyncio.timeout(WAIT):
        polling = Polling(cloud, await cloud.person("anna"))
        await polling.enrol()
        assert await polling.greet(again=False) == []
        yield polling
        cloud.services.sync.cloud_end.close()


async def test_a_home_that_comes_while_a_poll_is_open_is_told_of_at_once(hub: Polling) -> None:
    poll = await hub.open_poll()
    await hub.attach()
    assert told(await poll) == [Attached(0)]


async def test_also_where_the_hub_has_asked_anew_what_homes_there_are(hub: Polling) -> None:
    poll = await hub.open_poll()
    assert await hub.greet(again=True) == []
    home_id = await hub.attach()
    assert told(await poll) == [Attached(0)]
    assert await hub.greet(again=True) == [home_id]
    assert hub.gone == [], "it was there all the time, and its devices with it"


async def test_one_that_comes_between_two_polls_is_told_of_by_the_second(hub: Polling) -> None:
    await hub.poll(0.0)
    home_id = await hub.attach()
    assert await hub.greet(again=True) == [home_id]
    assert told(await hub.poll()) == [Attached(0)]


async def test_one_that_comes_before_the_first_poll_is_told_of_by_it(hub: Polling) -> None:
    await hub.attach()
    assert told(await hub.poll()) == [Attached(0)]
    assert told(await hub.poll(0.0)) == [], "it is told of once"


async def test_what_is_done_in_a_new_home_is_told_of_by_a_poll_that_was_open_when_the_hub_heard_of_it(
    hub: Polling,
) -> None:
    await hub.poll(0.0)
    home_id = await hub.attach()
    assert told(await hub.poll()) == [Attached(0)]
    poll = await hub.open_poll()
    await hub.greet(again=True)
    epoch, head = hub.end.heads[home_id]
    made = await hub.anna.post(f"/api/homes/{home_id}/rooms", json={"name": "Kitchen"})
    assert made.status_code == 201
    assert (await poll).heads == [(home_id, epoch, head + 1)]


async def test_a_hub_that_begins_anew_leaves_no_poll_open(hub: Polling) -> None:
    poll = await hub.open_poll()
    await hub.greet(again=False)
    assert await poll == Done(2)
    assert hub.gone == [hub.peer]
