"""A home's mesh leaves the hub as a file, and another home takes it in: its nodes obey there."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.companion.examples import EXAMPLES
from ble.mesh.cdb.file import load
from ble.mesh.node import products
from tests.ble.mesh.node_air import NodeAir
from tests.links.mesh.house import House, house, node_of
from tests.links.mesh.test_mesh import is_on
from tests.waiting import until

(EXAMPLE,) = EXAMPLES["importMesh"].values()


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path / "data") as made:
        yield made


def mesh_of(home: House) -> str:
    return f"/api/homes/{home.home_id}/mesh"


async def exported(home: House) -> dict[str, Any]:
    got = await home.owner.get(mesh_of(home))
    assert got.status_code == 200, got.text
    assert got.headers["cache-control"] == "no-store"
    load(got.content)
    said: dict[str, Any] = got.json()
    return said


async def test_what_is_exported_is_the_network(home: House) -> None:
    node, (lamp,) = await home.add(products.dimmable)
    group = await home.group(lamp["id"])
    await home.settled()
    said = await exported(home)
    state = node_of(node).state
    assert [one["key"] for one in said["netKeys"]] == [state.net_keys[0].key.hex().upper()]
    (row,) = [one for one in said["nodes"] if one["unicastAddress"] == f"{state.address:04X}"]
    assert row["deviceKey"] == state.device_key.hex().upper()
    onoff = next(model for model in row["elements"][0]["models"] if model["modelId"] == "1000")
    assert onoff["bind"] == [0]
    (address,) = onoff["subscribe"]
    assert {one["address"]: one["name"] for one in said["groups"]}[address] == "g"
    assert group
    audit = (await home.owner.get(f"/api/homes/{home.home_id}/audit")).json()["items"]
    (told,) = [one for one in audit if one["type"] == "mesh.exported"]
    assert state.net_keys[0].key.hex().upper() not in json.dumps(told)


async def test_another_hub_takes_it_in_and_its_nodes_obey(tmp_path: Path) -> None:
    async with NodeAir() as air:
        async with House(tmp_path / "one", air) as one:
            await one.live()
            node, (lamp,) = await one.add(products.dimmable)
            await one.add(lambda: products.sockets(2))
            said = await exported(one)
        async with House(tmp_path / "other", air) as other:
            await other.live()
            done = await other.owner.post(mesh_of(other), json={"database": said})
            assert done.status_code == 201, done.text
            assert (len(done.json()["device_ids"]), done.json()["other_nodes"]) == (3, 1)
            (again,) = await other.there(node)
            assert again["product_id"] == lamp["product_id"]
            assert (await other.order(again["id"], {"on": True}))["state"] == "answered"
            assert is_on(node)
            state = other.mesh.client.state
            assert state.address >= 0x4000, "an address that no other import of the file has used"
            # The first hub is a node of the network that is not ours to reset.
            await other.settled()
            assert 1 in state.nodes
            assert len((await exported(other))["nodes"]) == 4
            refused = await other.owner.post(mesh_of(other), json={"database": said})
            assert (refused.status_code, refused.json()["code"]) == (409, "mesh_in_use")
            removed = await other.owner.delete(f"/api/devices/{again['id']}")
            assert removed.status_code == 204
            await until(lambda: node.state is None)


async def test_the_same_import_again_is_answered_alike(home: House) -> None:
    once = {"Idempotency-Key": "the phone repeats what was not answered"}
    first = await home.owner.post(mesh_of(home), json=EXAMPLE, headers=once)
    again = await home.owner.post(mesh_of(home), json=EXAMPLE, headers=once)
    assert first.status_code == again.status_code == 201, again.text
    assert first.json() == again.json()


def _without_app_key(said: dict[str, Any]) -> None:
    said["appKeys"] = []


def _two_nodes_at_one_address(said: dict[str, Any]) -> None:
    said["nodes"].append(said["nodes"][0] | {"UUID": "0C2A1B9E-2F4D-4E7A-8B11-9C0D5E6F7A82"})


def _no_key(said: dict[str, Any]) -> None:
    said["netKeys"][0]["key"] = "secret"


@pytest.mark.parametrize("spoil", [_without_app_key, _two_nodes_at_one_address, _no_key, dict.clear])
async def test_a_file_that_is_none_changes_nothing(home: House, spoil: Any) -> None:
    said = json.loads(json.dumps(EXAMPLE))
    spoil(said["database"])
    refused = await home.owner.post(mesh_of(home), json=said)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid"), refused.text
    assert (await home.owner.get(mesh_of(home))).status_code == 404


async def test_only_the_owner_may(home: House) -> None:
    await home.add(products.dimmable)
    invited = await home.owner.post(f"/api/homes/{home.home_id}/invitations", json={"role": "admin"})
    admin = await home.person("ben")
    joined = await admin.post("/api/invitations/accept", json={"code": invited.json()["code"]})
    assert joined.is_success, joined.text
    assert (await admin.get(mesh_of(home))).status_code == 403
    assert (await admin.post(mesh_of(home), json=EXAMPLE)).status_code == 403
    stranger = await home.person("carla")
    assert (await stranger.get(mesh_of(home))).status_code == 404
