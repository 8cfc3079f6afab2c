"""What the hub keeps for a device over MQTT, and of it, ends with its stay: connection, session, retained messages."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from app.links.iotda.codec.signing import password
from app.links.iotda.farewells import Farewells
from tests.links.iotda.house import SECRET, WAIT
from tests.links.iotda.paho_device import STAMP
from tests.links.iotda.served import Served, served
from tests.links.mqtt.wire import Wire, publish, subscribe, wire

TABLES = ("mqtt_sessions", "mqtt_retained")


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as made:
        yield made


async def enter(it: Wire, wire_id: str) -> int:
    """With a session that stays; whether one was there."""
    shown = password(SECRET.encode(), STAMP).encode()
    present, _ = await it.enter(f"{wire_id}_0_0_{STAMP}", clean=False, user=wire_id, password=shown)
    return present


async def live(it: Wire, wire_id: str) -> None:
    """Subscribe, and have something retained."""
    own = f"$oc/devices/{wire_id}/user"
    await it.ask(subscribe(1, (f"{own}/down", 1)))
    assert (await it.ask(publish(f"{own}/up", b"{}", 1, 2, retain=True)))[0] == 0x40


async def kept(house: Served, device_id: str) -> list[int]:
    """On disk, of a device."""
    return await house.api.store.read(
        lambda reader: [
            reader.all(f"SELECT count(*) FROM {table} WHERE device_id=?", (device_id,))[0][0] for table in TABLES
        ]
    )


async def leave(house: Served, device_id: str, how: str) -> None:
    """By one of the ways there are."""
    path = f"/api/devices/{device_id}"
    match how:
        case "removed":
            answer = await house.client.delete(path)
        case "transferred":
            asked: dict[str, Any] = {"name": "Cabin", "time_zone": "Europe/Berlin"}
            other = (await house.client.post("/api/homes", json=asked)).json()["id"]
            answer = await house.client.post(f"{path}/transfer", json={"home_id": other})
        case _:
            answer = await house.client.post(f"{path}/reset", json={"record": how})
    assert answer.is_success, answer.text


WAYS = ("removed", "transferred", "keep", "remove")


@pytest.mark.parametrize("how", WAYS)
async def test_nothing_is_left_of_who_leaves(house: Served, how: str) -> None:
    device_id, wire_id = await house.register("lamp", "1")
    other_id, other_wire = await house.register("lamp", "2")
    async with wire(house.port) as it, wire(house.port) as other:
        await enter(it, wire_id)
        await enter(other, other_wire)
        await live(it, wire_id)
        await live(other, other_wire)
        assert await kept(house, device_id) == [1, 1]
        await leave(house, device_id, how)
        await it.closed()
        assert await other.silent()
    async with asyncio.timeout(WAIT):
        while house.endpoint.spaces.find(device_id) is not None:
            await asyncio.sleep(0.01)
    assert await kept(house, device_id) == [0, 0]
    assert await kept(house, other_id) == [1, 1]


@pytest.mark.parametrize("how", WAYS)
async def test_a_hub_that_ends_right_after_has_kept_nothing(
    house: Served, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    device_id, wire_id = await house.register("lamp", "1")
    async with wire(house.port) as it:
        await enter(it, wire_id)
        await live(it, wire_id)
    async with asyncio.timeout(WAIT):
        while house.endpoint.is_online(device_id):
            await asyncio.sleep(0.01)
    # Nothing runs after the act any more.
    monkeypatch.setattr(Farewells, "forget", lambda *_: None)
    await leave(house, device_id, how)
    assert await kept(house, device_id) == [0, 0]


async def test_who_went_to_another_home_begins_anew_there(house: Served) -> None:
    device_id, wire_id = await house.register("lamp", "1")
    async with wire(house.port) as it:
        await enter(it, wire_id)
        await live(it, wire_id)
        await leave(house, device_id, "transferred")
        await it.closed()
    async with wire(house.port) as it:
        assert await enter(it, wire_id) == 0
        await it.ask(subscribe(1, (f"$oc/devices/{wire_id}/#", 1)))
        assert await it.silent()


async def test_behind_a_gateway_the_gateways_session_is_its_own(house: Served) -> None:
    gateway_id, wire_id = await house.register("gateway", "1")
    child_id, _ = await house.register("lamp", "a", gateway_id=gateway_id)
    async with wire(house.port) as it:
        await enter(it, wire_id)
        await live(it, wire_id)
        await leave(house, child_id, "removed")
        assert await kept(house, gateway_id) == [1, 1]
        await leave(house, gateway_id, "removed")
        await it.closed()
    assert await kept(house, gateway_id) == [0, 0]
