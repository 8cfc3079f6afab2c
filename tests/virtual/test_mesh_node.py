"""The virtual mesh node on a virtual radio, with the hub's own client at the other end."""

import asyncio
import secrets
from pathlib import Path

from blockbuster import BlockBuster

from app.virtual.mesh_node import MeshNode, Options
from ble.mesh import pb_gatt
from ble.mesh.admission import admit
from ble.mesh.client import MeshClient, Patience
from ble.mesh.config.indexes import KeyPair
from ble.mesh.configure import Setup, configure, reset
from ble.mesh.exchange import ByApp
from ble.mesh.keys import AppKey, NetKey
from ble.mesh.models import onoff
from ble.mesh.procedures import carry_out
from ble.mesh.provisioning.choosing import Choice
from ble.mesh.provisioning.data import ProvisioningData
from ble.mesh.provisioning.provisioner import provision
from ble.mesh.provisioning.talk import Ask, Assign
from ble.mesh.state import MeshState
from ble.mesh.store import MemoryStore
from ble.virtual.air import Air
from ble.virtual.radio import VirtualRadio

WAIT = 60.0
APP = b"a" * 16
SETUP = Setup(keys=KeyPair(0, 0), app_key=APP)
PATIENCE = Patience(answer_s=4.0, tries=2, proxy_s=20.0)


class Network:
    def __init__(self) -> None:
        self.state = MeshState(device_key=bytes(16))
        self.state.net_keys[0] = NetKey(index=0, key=b"n" * 16)
        self.state.app_keys[0] = AppKey(index=0, net_index=0, key=APP)
        self.store = MemoryStore(self.state)

    async def take(self, radio: VirtualRadio, node: MeshNode, choice: Choice) -> int:
        """Provision it, once it is heard."""
        heard = asyncio.Event()

        def hear(advertisement: object) -> None:
            if pb_gatt.SERVICE in getattr(advertisement, "service_data", {}):
                heard.set()

        stop = radio.listen(hear)
        await heard.wait()
        stop()

        async def assign(wanted: Assign) -> ProvisioningData:
            data = admit(self.state, node.node.uuid, wanted)
            await self.store.save(self.state)
            return data

        async def ask(_: Ask) -> str:
            return str((await node.notices.wait("code")).details["code"])

        ready = await node.notices.wait("ready")
        async with radio.connect(ready.details["address"], services=(pb_gatt.SERVICE,)) as connection:
            talk = provision(choice, entropy=secrets.token_bytes)
            done = await pb_gatt.pump(talk, connection, on_assign=assign, on_ask=ask)
        await node.notices.wait("provisioned")
        return done.unicast


async def test_a_node_is_provisioned_switched_and_reset_over_the_virtual_radio() -> None:
    async with asyncio.timeout(WAIT), Air() as air:
        radio, network = VirtualRadio(air.port), Network()
        await radio.open()
        async with MeshNode(Options(air=air.port, product="mesh_switch", outlets=2), lambda _: None) as node:
            unicast = await network.take(radio, node, Choice())
            assert (await node.notices.wait("attention")).details["seconds"] > 0
            async with MeshClient(radio, network.store, patience=PATIENCE) as client:
                await carry_out(configure(unicast, SETUP), client)
                await client.request(unicast + 1, onoff.set_on(True, 1).message(), ByApp(0), answers=(0x8204,))
                assert (await node.notices.wait("switched")).details == {"element": 1, "on": True}
                await carry_out(reset(unicast), client)
                await node.notices.wait("reset")
        await radio.close()


async def test_what_it_keeps_survives_its_power_and_what_it_shows_is_asked_for(
    tmp_path: Path, blockbuster: BlockBuster
) -> None:
    blockbuster.deactivate()  # the node is a process of its own elsewhere: it may wait for its disk
    disk = tmp_path / "node.json"
    async with asyncio.timeout(WAIT), Air() as air:
        radio, network = VirtualRadio(air.port), Network()
        options = Options(air=air.port, state=disk, shows=True)
        await radio.open()
        async with MeshNode(options, lambda _: None) as node:
            unicast = await network.take(radio, node, Choice(person=True))
            async with MeshClient(radio, network.store, patience=PATIENCE) as client:
                await carry_out(configure(unicast, SETUP), client)
        async with MeshNode(options, lambda _: None) as again:
            assert again.node.uuid == node.node.uuid
            async with MeshClient(radio, network.store, patience=PATIENCE) as client:
                await client.request(unicast, onoff.set_on(True, 1).message(), ByApp(0), answers=(0x8204,))
                await again.notices.wait("switched")
                again.reset()
                await again.notices.wait("reset")
        await radio.close()
