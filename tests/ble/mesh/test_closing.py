"""A network that is closed at any moment ends: its driver and its link wait for several things at once."""

import asyncio

from ble.mesh.client import MeshClient
from ble.mesh.exchange import ByApp
from ble.mesh.store import MemoryStore
from tests.ble.mesh.air import Air, Node
from tests.ble.mesh.pairs import NODE, hub_state

WITHIN_S = 10.0
SEGMENTED = bytes(40)


async def a_few_turns() -> None:
    """Until everybody waits who is going to."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_just_as_a_proxy_is_heard() -> None:
    air = Air(Node("AA"))
    air.absent = {"AA"}
    async with asyncio.timeout(WITHIN_S), MeshClient(air, MemoryStore(hub_state())):
        await a_few_turns()
        assert air.connects == ["AA"], "it was tried, and is to be tried again after a while"
        air.advertise()
    assert not air.listeners


async def test_just_as_there_is_something_to_say() -> None:
    async with asyncio.timeout(WITHIN_S), MeshClient(Air(), MemoryStore(hub_state())) as client:
        await client._driver.send(NODE, SEGMENTED, ByApp(0))
        await a_few_turns()
        assert client.stack.next_deadline is not None, "it is to be sent again after a while"
        client.announce()
