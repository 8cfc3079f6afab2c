"""Mesh nodes as devices of a home: paired, switched, grouped, away, and gone."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ble.mesh.models.lightness import LightnessServer
from ble.mesh.models.onoff import OnOffServer
from ble.mesh.node import products
from ble.mesh.node.faults import NodeFault
from ble.mesh.node.peripheral import Peripheral
from tests.ble.mesh.node_air import NodeAir
from tests.links.mesh.house import WAIT, House, Sniffer, house, is_new, node_of
from tests.waiting import until


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path / "data") as made:
        yield made


def is_on(node: Peripheral, element: int = 0) -> bool:
    for model in node.product.elements[element].models:
        if isinstance(model.server, OnOffServer):
            return model.server.course.target == (1,)
    raise AssertionError


async def test_a_lamp_is_switched_and_says_so(home: House) -> None:
    node, (lamp,) = await home.add(products.dimmable, name="Desk")
    assert (lamp["product_id"], lamp["name"], lamp["link"], lamp["trust"]) == ("mesh_lamp", "Desk", "mesh", "first-use")
    done = await home.order(lamp["id"], {"on": True, "brightness": 500})
    assert done["state"] == "answered", done
    assert done["outcome"]["values"] == {"on": True, "brightness": 500}
    assert is_on(node)
    (server,) = [m.server for m in node.product.elements[0].models if isinstance(m.server, LightnessServer)]
    assert round(server.course.target[0] * 1000 / 0xFFFF) == 500
    shown = await home.until(lamp["id"], lambda it: it["services"]["light"]["reported"]["on"]["value"] is True)
    assert shown["services"]["light"]["reported"]["brightness"]["value"] == 500


async def test_every_kind_of_node_is_its_devices(home: House) -> None:
    for make, expected in (
        (products.tunable, ["mesh_white_lamp"]),
        (products.coloured, ["mesh_colour_lamp"]),
        (lambda: products.sockets(3), ["mesh_switch"] * 3),
        (products.thermometer, ["mesh_sensor"]),
    ):
        _, devices = await home.add(make)
        assert [one["product_id"] for one in devices] == expected


async def test_whites_and_colours_are_set(home: House) -> None:
    _, (white,) = await home.add(products.tunable)
    done = await home.order(white["id"], {"temperature": 400})
    assert done["outcome"]["values"] == {"temperature": 400}
    _, (colour,) = await home.add(products.coloured)
    wanted = '{"h":120,"s":800,"v":600}'
    assert (await home.order(colour["id"], {"colour": wanted}))["outcome"]["values"] == {"colour": wanted}
    failed = await home.order(colour["id"], {"colour": '{"h":999}'})
    assert (failed["state"], failed["outcome"]["error"]) == ("failed", "malformed")


async def test_a_sensor_reports(home: House) -> None:
    _, (sensor,) = await home.add(products.thermometer)
    shown = await home.until(sensor["id"], lambda it: set(it["services"]) == {"measured", "battery"})
    reported = {name: point["value"] for name, point in shown["services"]["measured"]["reported"].items()}
    assert reported == {"temperature": 21.0, "humidity": 45.0}
    assert shown["services"]["battery"]["reported"]["level"]["value"] == 90


async def test_a_group_is_one_message(home: House) -> None:
    lamps = [await home.add(products.dimmable) for _ in range(3)]
    group = await home.group(*(lamp["id"] for _, (lamp,) in lamps))
    await home.settled()
    sniffer = Sniffer(home)
    done = await home.owner.post(f"/api/groups/{group}/commands", json={"service": "light", "values": {"on": True}})
    assert done.status_code == 202, done.text
    for one in done.json()["commands"]:
        path = f"/api/devices/{one['device_id']}/commands/{one['id']}"
        async with asyncio.timeout(WAIT):
            while (ended := (await home.owner.get(path)).json())["state"] not in ("answered", "failed", "expired"):
                await asyncio.sleep(0.02)
        assert ended["state"] == "answered", ended
    assert all(is_on(node) for node, _ in lamps)
    (address,) = {group for node, _ in lamps for group in _groups(node)}
    told = [one for one in sniffer.destinations if one == address]
    assert len(told) == 1


def _groups(node: Peripheral) -> set[int]:
    return {group for element in node_of(node).product.elements for model in element.models for group in model.groups}


async def test_who_leaves_a_group_hears_it_no_more(home: House) -> None:
    (one, (first,)), (other, (second,)) = [await home.add(products.dimmable) for _ in range(2)]
    group = await home.group(first["id"], second["id"])
    await until(lambda: _groups(one) and _groups(other))
    changed = await home.owner.patch(f"/api/groups/{group}", json={"devices": [second["id"]]})
    assert changed.status_code == 200, changed.text
    await until(lambda: not _groups(one))
    assert _groups(other)
    await home.owner.delete(f"/api/groups/{group}")
    await until(lambda: not _groups(other))


async def test_one_that_does_not_answer_is_away_after_missed_polls_and_comes_back(home: House) -> None:
    node, (lamp,) = await home.add(products.dimmable)
    await home.add(products.dimmable)
    node._fault = NodeFault.SILENT
    assert (await home.device(lamp["id"]))["online"]
    await home.until(lamp["id"], lambda it: not it["online"])
    waiting = await home.owner.post(
        f"/api/devices/{lamp['id']}/commands", json={"service": "light", "values": {"on": True}}
    )
    node._fault = None
    await home.until(lamp["id"], lambda it: it["online"])
    path = f"/api/devices/{lamp['id']}/commands/{waiting.json()['id']}"
    async with asyncio.timeout(WAIT):
        while (await home.owner.get(path)).json()["state"] != "answered":
            await asyncio.sleep(0.02)
    assert is_on(node)


async def test_a_command_to_a_node_that_says_nothing_fails_with_its_cause(home: House) -> None:
    node, (lamp,) = await home.add(products.dimmable)
    await home.add(products.dimmable)
    node._fault = NodeFault.SILENT
    ended = await home.order(lamp["id"], {"on": True})
    assert (ended["state"], ended["outcome"]["error"]) == ("failed", "node_silent")


async def test_a_removed_device_forgets_and_can_be_paired_anew(home: House) -> None:
    node, (lamp,) = await home.add(products.dimmable)
    removed = await home.owner.delete(f"/api/devices/{lamp['id']}")
    assert removed.status_code == 204, removed.text
    await until(lambda: is_new(node))
    await until(lambda: home.mesh.client.state.nodes == {})
    (again,) = await home.pair(node)
    assert (await home.order(again["id"], {"on": True}))["state"] == "answered"


async def test_a_factory_reset_is_confirmed_by_the_node(home: House) -> None:
    node, (lamp,) = await home.add(products.dimmable)
    asked = await home.owner.post(f"/api/devices/{lamp['id']}/reset", json={"record": "keep"})
    assert asked.is_success, asked.text
    await until(lambda: is_new(node))
    async with asyncio.timeout(WAIT):
        while True:
            told = (await home.owner.get(f"/api/devices/{lamp['id']}/reset")).json()
            if told["state"] == "confirmed":
                break
            await asyncio.sleep(0.02)
    (again,) = await home.pair(node)
    assert again["id"] == lamp["id"]
    assert (await home.order(again["id"], {"on": True}))["state"] == "answered"


async def test_a_frozen_device_does_nothing_until_it_is_freed(home: House) -> None:
    node, (lamp,) = await home.add(products.dimmable)
    path = f"/api/devices/{lamp['id']}"
    frozen = await home.owner.post(f"{path}/freeze")
    assert frozen.is_success, frozen.text
    asked = {"service": "light", "values": {"on": True}}
    assert (await home.owner.post(f"{path}/commands", json=asked)).json()["code"] == "device_frozen"
    await home.until(lamp["id"], lambda it: not it["online"])
    assert not is_on(node)
    assert (await home.owner.post(f"{path}/unfreeze")).is_success
    await home.until(lamp["id"], lambda it: bool(it["online"]))
    assert (await home.order(lamp["id"], {"on": True}))["state"] == "answered"


async def test_a_node_moves_to_no_other_home(home: House) -> None:
    _, (lamp,) = await home.add(products.dimmable)
    other = await home.owner.post("/api/homes", json={"name": "Elsewhere", "time_zone": "Europe/Berlin"})
    asked = {"home_id": other.json()["id"]}
    refused = await home.owner.post(f"/api/devices/{lamp['id']}/transfer", json=asked)
    assert (refused.status_code, refused.json()["code"]) == (409, "mesh_stays"), refused.text


async def test_a_node_leaves_with_the_last_of_its_devices(home: House) -> None:
    node, (one, other) = await home.add(lambda: products.sockets(2))
    await home.owner.delete(f"/api/devices/{one['id']}")
    assert (await home.order(other["id"], {"on": True}, "outlet"))["state"] == "answered"
    assert node.state is not None
    await home.owner.delete(f"/api/devices/{other['id']}")
    await until(lambda: is_new(node))


async def test_one_that_does_not_forget_is_shut_out_by_new_keys(home: House) -> None:
    gone, (lamp,) = await home.add(products.dimmable, NodeFault.IGNORES_RESET)
    kept, (other,) = await home.add(products.dimmable)
    before = home.mesh.client.state.net_keys[0].key
    await home.owner.delete(f"/api/devices/{lamp['id']}")
    await until(lambda: list(home.mesh.client.state.nodes) == [node_of(kept).state.address])
    state = home.mesh.client.state
    assert state.net_keys[0].key != before
    assert state.net_keys[0].phase == 0
    assert node_of(kept).state.net_keys[0].key == state.net_keys[0].key
    assert node_of(gone).state.net_keys[0].key == before
    assert (await home.order(other["id"], {"on": True}))["state"] == "answered"


async def test_nobody_is_shut_out_for_having_no_power(home: House) -> None:
    _, (lamp,) = await home.add(products.dimmable, NodeFault.IGNORES_RESET)
    silent, (away,) = await home.add(products.dimmable)
    silent._fault = NodeFault.SILENT
    await home.until(away["id"], lambda it: not it["online"])
    before = home.mesh.client.state.net_keys[0].key
    await home.owner.delete(f"/api/devices/{lamp['id']}")
    await until(lambda: home.mesh._failed)
    assert home.mesh.client.state.net_keys[0].key == before
    silent._fault = None
    await until(lambda: home.mesh.client.state.net_keys[0].key != before)
    await until(lambda: len(home.mesh.client.state.nodes) == 1)
    assert (await home.order(away["id"], {"on": True}))["state"] == "answered"


async def test_a_failed_pairing_leaves_nothing_behind(home: House) -> None:
    node = home.air.nodes[home.air.add(products.dimmable, NodeFault.DROPS_ON_DATA)]
    ended = await home.session(node)
    assert ended["failure"]["cause"] == "connection_lost"
    await until(lambda: home.mesh.client.state.nodes == {})
    node._fault = None
    await home.pair(node)


async def test_a_hub_that_starts_again_knows_its_devices(tmp_path: Path) -> None:
    async with NodeAir() as air:
        async with House(tmp_path / "data", air) as first:
            await first.live()
            node, (lamp,) = await first.add(products.dimmable)
            token, home_id = first.owner.headers["authorization"], first.home_id
        async with House(tmp_path / "data", air) as second:
            second.owner, second.home_id = second.client(token.removeprefix("Bearer ")), home_id
            (again,) = await second.there(node)
            assert again["id"] == lamp["id"]
            assert (await second.order(lamp["id"], {"on": True}))["state"] == "answered"


async def test_a_node_of_no_home_is_told_to_forget_at_the_next_start(tmp_path: Path) -> None:
    """The hub was killed between handing over the keys and the join."""
    async with NodeAir() as air:
        async with House(tmp_path / "data", air) as first:
            await first.live()
            node, _ = await first.add(products.dimmable)
            await first.store.write(lambda tx: tx.run("DELETE FROM devices"))
            token, home_id = first.owner.headers["authorization"], first.home_id
        async with House(tmp_path / "data", air) as second:
            second.owner, second.home_id = second.client(token.removeprefix("Bearer ")), home_id
            await until(lambda: is_new(node))


async def test_a_home_that_ends_takes_its_keys_with_it(home: House) -> None:
    _, (lamp,) = await home.add(products.dimmable)
    await home.owner.delete(f"/api/devices/{lamp['id']}")
    gone = await home.owner.post(f"/api/homes/{home.home_id}/dissolve", json={"name": "Lindenweg"})
    assert gone.status_code == 204, gone.text
    left = await home.store.read(lambda reader: reader.all("SELECT row FROM secrets WHERE row LIKE 'mesh/%'"))
    assert left == []
    assert home.services.mesh.home(home.home_id) is None
