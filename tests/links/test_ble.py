"""Devices that are linked over Bluetooth: a whole hub and virtual devices, on a virtual air."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from app.devices.product.catalogue import built_in
from app.links import ble as links
from app.links import turns
from app.virtual.device import VirtualDevice
from app.virtual.memory import MemoryStore
from app.virtual.on_air import OnAir
from app.virtual.parts import Place
from ble.adverts import DOORSTEP_SERVICE
from ble.virtual.air import Air
from ble.virtual.peripheral import Peripheral, Service
from pairing.gatt.profile import announcement
from tests.ble.rig import rigged, state_of
from tests.e2e.living import WAIT, Living, living
from tests.waiting import until

LAMP = built_in().get("lamp")
PIN = "12345678"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that is a matter of minutes in a home."""
    monkeypatch.setattr(links, "PAUSE_S", (0.05, 0.2))
    monkeypatch.setattr(links, "CONNECT_WITHIN_S", 3.0)
    monkeypatch.setattr(turns, "LEAST_S", 0.1)


@pytest.fixture
async def air() -> AsyncIterator[Air]:
    async with Air() as made:
        yield made


@asynccontextmanager
async def hub_on(folder: Path, air: Air, *, new: bool = True) -> AsyncIterator[Living]:
    async with living(folder, bluetooth=f"virtual:{air.port}") as hub:
        hub.node.services.devices.presence.grace = 0.1
        await state_of(hub.node.radio, lambda state: state.usable)
        if new:
            await hub.claim()
        yield hub


@asynccontextmanager
async def lamp_on(air: Air, store: MemoryStore | None = None) -> AsyncIterator[VirtualDevice]:
    assert LAMP is not None
    place = Place(heartbeat=5.0)
    async with VirtualDevice(LAMP, pin=PIN, store=store, place=place, bluetooth=OnAir(air.port)) as device:
        yield device


async def paired(hub: Living, device: VirtualDevice) -> str:
    """The path of the device in the home."""
    session = await hub.start_pairing(method="ble", device_id=device.id, pin=PIN)
    ended = await hub.until(session, "joined", "failed")
    assert ended["state"] == "joined", ended
    return f"/api/devices/{ended['device_ids'][0]}"


async def shown(hub: Living, path: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """What is at `path`, a device or a command, once it is as wanted."""
    async with asyncio.timeout(WAIT):
        while True:
            found: dict[str, Any] = (await hub.owner.get(path)).json()
            if wanted(found):
                return found
            await asyncio.sleep(0.02)


async def switch(hub: Living, path: str, *, on: bool, wait: float = 0) -> dict[str, Any]:
    order = {"service": "light", "values": {"on": on}, "expires_in": 60}
    sent = await hub.owner.post(f"{path}/commands", params={"wait": wait}, json=order)
    assert sent.status_code == 202, sent.text
    command: dict[str, Any] = sent.json()
    return command


def is_on(device: dict[str, Any]) -> bool:
    reported = device["services"].get("light", {}).get("reported", {})
    return bool(reported.get("on", {}).get("value"))


def online(device: dict[str, Any]) -> bool:
    return bool(device["online"])


async def test_reports_and_commands_go_over_it_and_it_comes_back_from_out_of_reach(tmp_path: Path, air: Air) -> None:
    async with hub_on(tmp_path, air) as hub, lamp_on(air) as lamp:
        path = await paired(hub, lamp)
        await lamp.wait("linked")
        await shown(hub, path, online)
        await lamp.put("light", {"on": True})
        await shown(hub, path, is_on)
        assert (await switch(hub, path, on=False, wait=20))["state"] == "answered"
        address = next(iter(hub.node.radio._connections)).address  # type: ignore[attr-defined]
        air.take_away(address)
        await lamp.wait("unlinked")
        await shown(hub, path, lambda device: not online(device))
        assert (await switch(hub, path, on=True))["state"] == "queued"
        air.bring_back(address)
        await lamp.wait("linked")
        assert online(await shown(hub, path, is_on))


async def test_after_a_restart_of_the_hub_and_of_the_device_they_find_each_other(tmp_path: Path, air: Air) -> None:
    store = MemoryStore()
    async with hub_on(tmp_path, air) as hub:
        async with lamp_on(air, store) as lamp:
            path = await paired(hub, lamp)
            await lamp.wait("linked")
        token = hub.owner.headers["Authorization"].partition(" ")[2]
    async with hub_on(tmp_path, air, new=False) as hub, lamp_on(air, store) as lamp:
        hub.owner = hub.client(token)
        await lamp.wait("linked")
        assert (await switch(hub, path, on=True, wait=20))["state"] == "answered"


async def test_a_removed_device_is_told_so_even_if_it_was_away(tmp_path: Path, air: Air) -> None:
    store = MemoryStore()
    async with hub_on(tmp_path, air) as hub:
        async with lamp_on(air, store) as lamp:
            path = await paired(hub, lamp)
            await lamp.wait("linked")
        await shown(hub, path, lambda device: not online(device))
        removed = await hub.owner.delete(path)
        assert removed.status_code in (200, 204), removed.text
        async with lamp_on(air, store) as lamp:
            assert lamp.state.paired
            assert (await lamp.wait("reset")).details["by"] == "hub"
            assert not lamp.state.paired


async def test_who_only_says_that_it_is_the_device_keeps_nobody_from_it(tmp_path: Path, air: Air) -> None:
    store = MemoryStore()
    async with hub_on(tmp_path, air) as hub, AsyncExitStack() as stack:
        async with lamp_on(air, store) as lamp:
            path = await paired(hub, lamp)
            await lamp.wait("linked")
            fingerprint = lamp.state.identity.fingerprint
        for _ in range(3):
            liar = Peripheral([Service(DOORSTEP_SERVICE, [])])
            await liar.join(air.port)
            stack.push_async_callback(liar.close)
            await liar.advertise(service_data={DOORSTEP_SERVICE: announcement(fingerprint, paired=True, pin=True)})
        async with lamp_on(air, store) as lamp:
            await lamp.wait("linked")
            assert (await switch(hub, path, on=True, wait=20))["state"] == "answered"


async def test_more_devices_than_connections_take_turns_and_who_is_wanted_comes_first(
    tmp_path: Path, air: Air, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "KEPT", 1)
    monkeypatch.setattr(links.BleLinks.__init__, "__kwdefaults__", {"kept": 1})
    async with hub_on(tmp_path, air) as hub, AsyncExitStack() as stack:
        lamps = [await stack.enter_async_context(lamp_on(air)) for _ in range(3)]
        paths = [await paired(hub, lamp) for lamp in lamps]
        for path in (*paths, *reversed(paths)):
            sent = await switch(hub, path, on=True, wait=20)
            # A call over the air that is lost is given up as late as that, and made again.
            ended = await shown(hub, f"{path}/commands/{sent['id']}", lambda it: it.get("ended_at") is not None)
            assert ended["state"] == "answered"
            assert hub.node.radio.in_use <= 1
        monkeypatch.setattr(links, "TURN_S", 0.1)
        for lamp in lamps:
            await lamp.wait("linked")


async def test_one_that_is_wanted_in_the_pause_after_its_turn_is_next(
    tmp_path: Path, air: Air, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links.BleLinks.__init__, "__kwdefaults__", {"kept": 1})
    monkeypatch.setattr(links, "PAUSE_S", (1.0, 1.0))
    async with hub_on(tmp_path, air) as hub, lamp_on(air) as one, lamp_on(air) as other:
        paths = [await paired(hub, lamp) for lamp in (one, other)]
        assert (await switch(hub, paths[0], on=True, wait=20))["state"] == "answered"
        await switch(hub, paths[1], on=True)
        link = hub.node.services.lan.link
        assert link is not None
        await until(lambda: not link.is_online(one.id))
        sent = await switch(hub, paths[0], on=False)
        ended = await shown(hub, f"{paths[0]}/commands/{sent['id']}", lambda it: it.get("ended_at") is not None)
        assert ended["state"] == "answered"


async def test_a_device_that_is_reset_by_hand_leaves_its_home(tmp_path: Path, air: Air) -> None:
    async with hub_on(tmp_path, air) as hub, lamp_on(air) as lamp:
        path = await paired(hub, lamp)
        await lamp.wait("linked")
        await lamp.reset()
        await shown(hub, path, lambda device: not online(device))
        again = await hub.start_pairing(method="ble", device_id=lamp.id, pin=PIN)
        assert (await hub.until(again, "joined", "failed"))["state"] == "joined"


async def test_one_that_was_reset_hears_of_it_and_says_that_it_has_forgotten(tmp_path: Path, air: Air) -> None:
    store = MemoryStore()
    async with hub_on(tmp_path, air) as hub:
        async with lamp_on(air, store) as lamp:
            path = await paired(hub, lamp)
            await lamp.wait("linked")
        answer = await hub.owner.post(f"{path}/reset", json={})
        assert answer.json()["state"] == "queued"
        async with lamp_on(air, store) as lamp:
            assert (await lamp.wait("reset")).details["by"] == "hub"
            await shown(hub, f"{path}/reset", lambda reset: reset["state"] == "confirmed")
            assert not lamp.state.paired
            assert await paired(hub, lamp) == path


async def test_by_a_real_adapters_radio_it_is_paired_linked_and_missed_once_that_is_pulled(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig, living(tmp_path / "hub", bluetooth="on") as hub, lamp_on(rig.air) as lamp:
        await hub.claim()
        hub.node.services.devices.presence.grace = 0.1
        path = await paired(hub, lamp)
        await lamp.wait("linked")
        await lamp.put("light", {"on": True})
        await shown(hub, path, is_on)
        assert (await switch(hub, path, on=False, wait=20))["state"] == "answered"
        await rig.bluez.pull()
        await lamp.wait("unlinked")
        await shown(hub, path, lambda device: not online(device))
        await state_of(hub.node.radio, lambda state: state.reason == "no_adapter")
        assert (await switch(hub, path, on=True))["state"] == "queued"
        await rig.bluez.plug()
        await lamp.wait("linked")
        assert online(await shown(hub, path, is_on))
