"""A hub with a home, and a radio in memory with virtual nodes: paired, asked and told through the companion API."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from app.links.mesh.home import HomeMesh, Pace
from ble.mesh import network, pb_gatt
from ble.mesh.client import Patience
from ble.mesh.keyring import materials
from ble.mesh.node.faults import AnyFault
from ble.mesh.node.node import Node
from ble.mesh.node.peripheral import Peripheral
from ble.mesh.node.products import Product
from pairing.methods.mesh import Mesh, candidate_id
from tests.api.harness import Api
from tests.ble.mesh.node_air import NodeAir

WAIT = 30.0
PATIENCE = Patience(answer_s=0.4, tries=2, proxy_s=8.0, misses=100)
QUICK = Pace(poll_s=0.3, again_s=0.3, misses=2, rounds=1, forgets_s=0.5, patience=PATIENCE)


class House(Api):
    def __init__(self, folder: Path, air: NodeAir, pace: Pace = QUICK) -> None:
        super().__init__(folder)
        self.air, self.pace = air, pace
        self.owner: httpx2.AsyncClient
        self.home_id = ""

    async def __aenter__(self) -> "House":
        await super().__aenter__()
        self.services.devices.presence.grace = 0.05
        await self.services.mesh.open(self.air, self.pace)
        await self.services.onboarding.open([Mesh(self.services.mesh, self.air, patience=15.0)])
        return self

    async def live(self) -> None:
        self.owner = await self.person("anna")
        made = await self.owner.post("/api/homes", json={"name": "Lindenweg", "time_zone": "Europe/Berlin"})
        self.home_id = made.json()["id"]

    async def add(
        self, make: Callable[[], Product], fault: AnyFault | None = None, **wanted: Any
    ) -> tuple[Peripheral, list[dict[str, Any]]]:
        """Pair a new node of this kind; the node, and the devices it has become, once they are online."""
        node = self.air.nodes[self.air.add(make, fault)]
        return node, await self.pair(node, **wanted)

    async def pair(self, node: Peripheral, **wanted: Any) -> list[dict[str, Any]]:
        ended = await self.session(node, **wanted)
        assert ended["state"] == "joined", ended
        return await self.there(node)

    async def session(self, node: Peripheral, **wanted: Any) -> dict[str, Any]:
        asked = {"method": "mesh", "device_id": candidate_id(node.uuid), "identify": False, **wanted}
        started = await self.owner.post(f"/api/homes/{self.home_id}/pairing", json=asked)
        assert started.status_code == 201, started.text
        path = f"/api/homes/{self.home_id}/pairing/{started.json()['id']}"
        async with asyncio.timeout(WAIT):
            while True:
                session: dict[str, Any] = (await self.owner.get(path)).json()
                if session["state"] in ("joined", "failed", "cancelled", "expired"):
                    return session
                await asyncio.sleep(0.02)

    async def there(self, node: Peripheral) -> list[dict[str, Any]]:
        """Its devices, in the order of their elements, once all are online and have said how they are."""
        async with asyncio.timeout(WAIT):
            while True:
                found = [
                    await self.device(live.device.id)
                    for live in sorted(
                        self.services.devices.memory.in_place(self.home_id), key=lambda live: live.device.hardware_id
                    )
                    if node.uuid.hex() in live.device.hardware_id
                ]
                if found and all(one["online"] and one["services"] for one in found):
                    return found
                await asyncio.sleep(0.02)

    async def device(self, device_id: str) -> dict[str, Any]:
        shown: dict[str, Any] = (await self.owner.get(f"/api/devices/{device_id}")).json()
        return shown

    async def until(self, device_id: str, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        async with asyncio.timeout(WAIT):
            while not is_so(shown := await self.device(device_id)):
                await asyncio.sleep(0.02)
            return shown

    async def order(self, device_id: str, values: dict[str, Any], service: str = "light") -> dict[str, Any]:
        """A command, once it has ended."""
        asked = {"service": service, "values": values}
        done = await self.owner.post(f"/api/devices/{device_id}/commands", params={"wait": 20}, json=asked)
        assert done.is_success, done.text
        ended: dict[str, Any] = done.json()
        return ended

    async def group(self, *device_ids: str) -> str:
        made = await self.owner.post(f"/api/homes/{self.home_id}/groups", json={"name": "g", "devices": device_ids})
        assert made.status_code == 201, made.text
        return str(made.json()["id"])

    async def settled(self) -> None:
        """Return once every node knows the groups it is in."""
        async with asyncio.timeout(WAIT):
            await self.mesh.settled.wait()

    @property
    def mesh(self) -> HomeMesh:
        mesh = self.services.mesh.home(self.home_id)
        assert mesh is not None
        return mesh


class Sniffer:
    """What the hub puts on the air: the destinations of its messages under an application key."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.destinations: list[int] = []
        for node in house.air.nodes.values():
            node.on_air = self._after(node.on_air)

    def _after(self, told: Callable[[bytes], None]) -> Callable[[bytes], None]:
        def on_air(pdu: bytes) -> None:
            self._heard(pdu)
            told(pdu)

        return on_air

    def _heard(self, pdu: bytes) -> None:
        client = self._house.mesh.client
        opened = network.unseal(pdu, materials(client.state), client.state.iv.index).pdu
        if opened.src in client.state.addresses and not opened.ctl:
            self.destinations.append(opened.dst)


def node_of(peripheral: Peripheral) -> Node:
    assert peripheral.node is not None
    return peripheral.node


def is_new(peripheral: Peripheral) -> bool:
    """Whether it is as it left its factory."""
    return peripheral.state is None and peripheral.advertisement.service == pb_gatt.SERVICE


@asynccontextmanager
async def house(folder: Path, pace: Pace = QUICK) -> AsyncIterator[House]:
    async with NodeAir() as air, House(folder, air, pace) as made:
        await made.live()
        yield made
