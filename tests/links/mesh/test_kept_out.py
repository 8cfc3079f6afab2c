"""A node whose device is frozen, and one that is to go to another home."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ble.mesh.node import products
from tests.links.mesh.house import WAIT, House, house
from tests.links.mesh.test_mesh import is_on

ON = {"service": "light", "values": {"on": True}}


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path / "data") as made:
        yield made


async def put(home: House, device_id: str, verb: str) -> None:
    answer = await home.owner.post(f"/api/devices/{device_id}/{verb}")
    assert answer.status_code == 200, answer.text


async def test_a_frozen_node_is_spoken_to_by_nobody_and_heard_by_nobody(home: House) -> None:
    (one, (first,)), (other, (second,)) = [await home.add(products.dimmable) for _ in range(2)]
    group = await home.group(first["id"], second["id"])
    await home.settled()
    await put(home, first["id"], "freeze")
    shown = await home.device(first["id"])
    assert (shown["online"], shown["frozen"]) == (False, True)
    refused = await home.owner.post(f"/api/devices/{first['id']}/commands", json=ON)
    assert refused.json()["code"] == "device_frozen"
    # Nor does it hear what its group is told.
    done = await home.owner.post(f"/api/groups/{group}/commands", json=ON)
    (command,) = done.json()["commands"]
    path = f"/api/devices/{second['id']}/commands/{command['id']}"
    async with asyncio.timeout(WAIT):
        while (await home.owner.get(path)).json()["state"] != "answered":
            await asyncio.sleep(0.02)
    assert (is_on(one), is_on(other)) == (False, True)
    assert (await home.device(first["id"]))["online"] is False
    await put(home, first["id"], "unfreeze")
    await home.until(first["id"], lambda it: it["online"])
    assert (await home.order(first["id"], {"on": True}))["state"] == "answered"
    assert is_on(one)


async def test_a_node_stays_in_the_mesh_of_its_home(home: House) -> None:
    _, (lamp,) = await home.add(products.dimmable)
    made = await home.owner.post("/api/homes", json={"name": "Hut", "time_zone": "Europe/Berlin"})
    refused = await home.owner.post(f"/api/devices/{lamp['id']}/transfer", json={"home_id": made.json()["id"]})
    assert (refused.status_code, refused.json()["code"]) == (409, "mesh_stays")
    assert (await home.device(lamp["id"]))["home_id"] == home.home_id
    assert (await home.order(lamp["id"], {"on": True}))["state"] == "answered"
