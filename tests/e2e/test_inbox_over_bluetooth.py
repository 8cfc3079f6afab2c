"""A running hub hears devices over its radio: they are in the inbox beside those of the network, and leave it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ble.adverts import DOORSTEP_SERVICE, IMPROV, MESH_PROVISIONING
from ble.virtual.air import Air
from ble.virtual.peripheral import Peripheral, Service
from pairing import inbox
from pairing.gatt.profile import announcement
from pairing.identity import peer_id
from tests.ble.rig import state_of
from tests.e2e.living import WAIT, Living, living

FINGERPRINT = bytes(range(15))


@pytest.fixture
async def air() -> AsyncIterator[Air]:
    async with Air() as made:
        yield made


@pytest.fixture
async def hub(tmp_path: Path, air: Air) -> AsyncIterator[Living]:
    async with living(tmp_path, bluetooth=f"virtual:{air.port}") as made:
        await made.claim()
        await state_of(made.node.radio, lambda state: state.usable)
        yield made


async def listed(hub: Living, ids: set[str]) -> list[dict[str, Any]]:
    """The inbox, once it has these ids and no other."""
    async with asyncio.timeout(WAIT):
        while True:
            found: list[dict[str, Any]] = (await hub.owner.get(f"{hub.pairing}/inbox")).json()
            if {each["id"] for each in found} == ids:
                return found
            await asyncio.sleep(0.05)


async def test_who_advertises_is_listed_until_it_is_silent(
    hub: Living, air: Air, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, improv, node = (Peripheral([Service(DOORSTEP_SERVICE, [])]) for _ in range(3))
    for device in (ours, improv, node):
        await device.join(air.port)
    try:
        free = announcement(FINGERPRINT, paired=False, pin=True)
        await ours.advertise(service_data={DOORSTEP_SERVICE: free}, name="Lamp")
        await improv.advertise(service_data={IMPROV: b"\x02\x01\0\0\0\0"}, name="Plug")
        await node.advertise(service_data={MESH_PROVISIONING: bytes(18)})
        mark = peer_id("d", FINGERPRINT)[:16]
        improv_id = f"ble-{improv.address.replace(':', '').lower()}"
        found = await listed(hub, {mark, improv_id, f"mesh-{bytes(16).hex()}"})
        by_method = {each["method"]: each for each in found}
        assert (by_method["ble"]["auth"], by_method["ble"]["address"]) == ("pin", ours.address)
        assert by_method["ble_wifi"]["auth"] == "open"
        monkeypatch.setattr(inbox, "OVERHEARD_LASTS_MS", 500)
        await ours.advertise(service_data={DOORSTEP_SERVICE: announcement(FINGERPRINT, paired=True, pin=True)})
        await improv.silence()
        await listed(hub, {f"mesh-{bytes(16).hex()}"})
    finally:
        for device in (ours, improv, node):
            await device.close()
