"""All together on a radio in memory: provision over PB-GATT, then configure, use and reset through the client."""

import secrets

import pytest

from ble.mesh import pb_gatt
from ble.mesh.client import MeshClient, Patience
from ble.mesh.config.indexes import KeyPair
from ble.mesh.config.refused import ConfigRefused
from ble.mesh.configure import Enter, Phase, Setup, Unanswered, configure, refresh, reset
from ble.mesh.exchange import ByApp
from ble.mesh.keyring import revoke_old
from ble.mesh.keys import AppKey, NetKey
from ble.mesh.models import onoff
from ble.mesh.node import products
from ble.mesh.node.faults import NodeFault
from ble.mesh.procedures import carry_out
from ble.mesh.provisioning.choosing import Choice
from ble.mesh.provisioning.data import ProvisioningData
from ble.mesh.provisioning.provisioner import provision
from ble.mesh.provisioning.talk import Assign
from ble.mesh.state import MeshState, NodeRow
from ble.mesh.store import MemoryStore
from tests.ble.mesh.node_air import NodeAir

NET_KEY, APP_KEY = b"n" * 16, b"a" * 16
SETUP = Setup(keys=KeyPair(0, 0), app_key=APP_KEY)
PATIENCE = Patience(answer_s=0.5, tries=2, proxy_s=5.0)


async def joined(air: NodeAir, address: str) -> tuple[MemoryStore, int]:
    """A new network with that device as its node: its store, and the node's address."""
    state = MeshState(address=1, elements=1, device_key=bytes(16))
    state.net_keys[0] = NetKey(index=0, key=NET_KEY)
    state.app_keys[0] = AppKey(index=0, key=APP_KEY, net_index=0)
    store = MemoryStore(state)

    async def assign(wanted: Assign) -> ProvisioningData:
        unicast = state.free_address(wanted.elements)
        uuid = air.nodes[address].uuid
        state.add_node(
            NodeRow(uuid=uuid, address=unicast, elements=wanted.elements, device_key=wanted.device_key, net_keys=[0])
        )
        await store.save(state)
        return ProvisioningData(net_key=NET_KEY, net_key_index=0, flags=0, iv_index=0, unicast=unicast)

    async with air.connect(address, services=(pb_gatt.SERVICE,)) as connection:
        node = await pb_gatt.pump(provision(Choice(), entropy=secrets.token_bytes), connection, on_assign=assign)
    return store, node.unicast


async def test_a_lamp_from_its_box_to_its_reset() -> None:
    async with NodeAir() as air:
        lamp = air.add(products.dimmable)
        store, unicast = await joined(air, lamp)
        async with MeshClient(air, store, patience=PATIENCE) as client:
            done = await carry_out(configure(unicast, SETUP), client)
            assert onoff.SERVER in {one.model for one in done.bound}
            answer = await client.request(unicast, onoff.set_on(True, 1).message(), ByApp(0), answers=(0x8204,))
            assert onoff.OnOffStatus.read(answer.parameters) == onoff.OnOffStatus(1)
            with pytest.raises(ConfigRefused):
                await carry_out(configure(unicast, Setup(keys=KeyPair(0, 0), app_key=b"x" * 16)), client)
            assert await carry_out(reset(unicast), client) is True
        assert air.nodes[lamp].state is None


async def test_a_node_that_leaves_without_a_word_is_gone_where_it_is_heard_as_new() -> None:
    async with NodeAir() as air:
        lamp = air.add(products.dimmable, NodeFault.RESETS_SILENTLY)
        air.add(products.dimmable)
        store, unicast = await joined(air, lamp)

        async def is_gone(_: int) -> bool:
            return air.nodes[lamp].advertisement.service == pb_gatt.SERVICE

        quick = Patience(answer_s=0.2, tries=1, proxy_s=1.5)
        async with MeshClient(air, store, patience=quick) as client:
            await client.connected()
            assert await carry_out(reset(unicast), client, is_gone=is_gone) is False


async def test_a_node_that_says_nothing_is_not_waited_for_for_ever() -> None:
    async with NodeAir() as air:
        store, unicast = await joined(air, air.add(products.dimmable, NodeFault.SILENT))
        async with MeshClient(air, store, patience=Patience(answer_s=0.1, tries=2, proxy_s=1.5)) as client:
            with pytest.raises(Unanswered):
                await carry_out(configure(unicast, SETUP), client)
            with pytest.raises(Unanswered):
                await carry_out(reset(unicast, attempts=1), client)


async def test_the_keys_change_under_a_node() -> None:
    async with NodeAir() as air:
        lamp = air.add(products.dimmable)
        store, unicast = await joined(air, lamp)
        async with MeshClient(air, store, patience=PATIENCE) as client:
            await carry_out(configure(unicast, SETUP), client)

            async def enter(step: Enter) -> None:
                key = client.state.net_keys[0]
                if step.phase is Phase.DISTRIBUTE:
                    key.begin(b"N" * 16)
                    client.state.app_keys[0].new_key = b"A" * 16
                elif step.phase is Phase.USE_NEW:
                    key.use_new()
                else:
                    revoke_old(client.state, 0)
                await client.save()

            done = await carry_out(refresh(0, b"N" * 16, {0: b"A" * 16}, [unicast]), client, on_enter=enter)
            assert done.done == (unicast,)
            await client.request(unicast, onoff.set_on(True, 1).message(), ByApp(0), answers=(0x8204,))
