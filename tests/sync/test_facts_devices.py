"""Devices, their names and people, groups and Wi-Fi networks as facts: what one node has, another has as well."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.caller import BY_SYSTEM
from app.homes import queries as home_queries
from app.homes.model import Room
from app.ids import new_id
from app.onboarding.network_model import WifiNetworkUnknown
from app.policy import Actor
from app.store.hub import read_hub
from app.store.tx import Tx
from pairing.messages import Hello
from tests.api.harness import Api
from tests.api.things import bind, home_of
from tests.sync.placing import (
    Entities,
    House,
    Node,
    carry,
    entities_of,
    entity_of,
    furnish,
    kinds_of,
    memory_is_disk,
    ok,
    put,
)

PLUG = {
    "product_id": "plug",
    "link": "lan",
    "trust": "first-use",
    "name": "Plug",
    "position": 0,
    "bound_at": 1_700_000_000_000,
}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A home on two nodes: what is done `here` is carried `there`."""
    async with Node(tmp_path / "here") as here, Node(tmp_path / "there") as there:
        made = House(here, there)
        await made.found()
        yield made


def plug(n: int, **fields: Any) -> dict[str, Any]:
    return {
        **PLUG,
        "hardware_id": f"plug-{n}",
        "public_key": f"{n:064x}",
        "owner_epoch": 1,
        "holder": "hub-b",
        **fields,
    }


async def events_of(api: Api) -> list[str]:
    return [row[0] for row in await api.store.read(lambda r: r.all("SELECT type FROM events ORDER BY seq"))]


async def devices_seen(house: House) -> dict[str, dict[str, Any]]:
    """Over the API of the other node."""
    listed = ok(await house.anna_there.get(f"/api/homes/{house.home_id}/devices")).json()["items"]
    return {each["id"]: each for each in listed}


# all of it


async def test_what_one_node_has_another_has_and_shows(house: House) -> None:
    made = await house.fill()
    await house.carry()
    # At most what only the hub that holds them can say is another.
    own = {"online", "last_seen_at", "version", "services"}
    for device_id in made["devices"].values():
        here = ok(await house.anna.get(f"/api/devices/{device_id}")).json()
        there = ok(await house.anna_there.get(f"/api/devices/{device_id}")).json()
        assert {k: v for k, v in here.items() if k not in own} == {k: v for k, v in there.items() if k not in own}
        assert (await devices_seen(house))[device_id] == there
    lamp = made["devices"]["lamp"]
    for path in (f"/devices/{lamp}/users", f"/devices/{lamp}/users/{made['user']}", f"/groups/{made['group']}"):
        assert ok(await house.anna_there.get(f"/api{path}")).json() == ok(await house.anna.get(f"/api{path}")).json()
    names = ok(await house.anna_there.get(f"/api/devices/{lamp}/names")).json()
    assert names["names"] == {"light": {"on": "Bulb"}}
    networks = f"/api/homes/{house.home_id}/networks"
    assert ok(await house.anna_there.get(networks)).json() == ok(await house.anna.get(networks)).json()
    in_room = await house.anna_there.get(f"/api/homes/{house.home_id}/devices", params={"room_id": house.room_id})
    assert [it["id"] for it in ok(in_room).json()["items"]] == sorted([lamp, made["devices"]["frozen"]])


async def test_what_is_the_same_already_changes_nothing(house: House) -> None:
    await house.fill()
    await house.carry()
    tables = (
        "devices",
        "bindings",
        "device_names",
        "device_users",
        "groups",
        "group_devices",
        "wifi_networks",
        "audit",
    )

    async def rows() -> list[list[tuple[Any, ...]]]:
        return await house.there.store.read(lambda r: [r.all(f"SELECT * FROM {table}") for table in (*tables, "audit")])

    before = await rows()
    await house.carry()
    assert await rows() == before
    # The same comes back to where it was made.
    seen = await entities_of(house.here, house.home_id)
    await carry(house.there, house.here, house.home_id)
    assert await entities_of(house.here, house.home_id) == seen
    await memory_is_disk(house.here)


async def test_changes_and_ends_are_carried_and_told(house: House) -> None:
    made = await house.fill()
    devices = made["devices"]
    await house.carry()
    etag = (await devices_seen(house))[devices["lamp"]]["version"]
    told = len(await events_of(house.there))
    lamp, home = f"/api/devices/{devices['lamp']}", f"/api/homes/{house.home_id}"
    ok(await house.anna.patch(lamp, json={"name": "Night", "room_id": None}))
    ok(await house.anna.patch(f"{lamp}/names", json={"names": {"light": {"on": None, "brightness": "Glow"}}}))
    ok(await house.anna.patch(f"{lamp}/users/{made['user']}", json={"nick_name": "Benno"}))
    ok(await house.anna.post(f"/api/devices/{devices['frozen']}/unfreeze"))
    ok(await house.anna.patch(f"/api/groups/{made['group']}", json={"devices": [devices["child"], devices["lamp"]]}))
    await house.carry()
    seen = (await devices_seen(house))[devices["lamp"]]
    assert (seen["name"], seen["room_id"], seen["names"]) == ("Night", None, {"light": {"brightness": "Glow"}})
    assert seen["version"] > etag
    assert set((await events_of(house.there))[told:]) == {
        "device.updated",
        "device.moved",
        "device.names_changed",
        "device.user_changed",
        "device.unfrozen",
        "group.updated",
    }
    told = len(await events_of(house.there))
    ok(await house.anna.delete(f"{lamp}/users/{made['user']}"))
    ok(await house.anna.delete(f"/api/devices/{devices['gateway']}"))
    ok(await house.anna.delete(f"/api/groups/{made['group']}"))
    network = ok(await house.anna.get(f"{home}/networks")).json()["items"][0]["id"]
    ok(await house.anna.delete(f"{home}/networks/{network}"))
    await house.carry()
    assert devices["child"] not in await devices_seen(house)
    assert set((await events_of(house.there))[told:]) == {
        "device.user_removed",
        "device.removed",
        "group.removed",
        "wifi_network.removed",
    }


async def test_a_device_that_goes_takes_its_names_people_and_places_along(house: House) -> None:
    made = await house.fill()
    await house.carry()
    lamp = made["devices"]["lamp"]
    await put(house.there, house.home_id, "device", {lamp: None})
    left = await entities_of(house.there, house.home_id)
    assert (left["names"], left["device_user"]) == ({}, {})
    assert f"device/{lamp}" not in left["group"][made["group"]]
    assert ok(await house.anna_there.get(f"/api/groups/{made['group']}")).json()["devices"] == [
        made["devices"]["frozen"],
        made["devices"]["child"],
    ]
    await memory_is_disk(house.there)


# what refers to what


async def test_a_room_that_comes_late_is_filled_when_it_is_there(house: House) -> None:
    room = Room(new_id(1), house.home_id, "Attic", "", 9, version=1)
    fields = plug(1, room_id=room.id)
    assert list(kinds_of(house.there)["device"].refers("d", fields)) == [("room", room.id)]
    await put(house.there, house.home_id, "device", {"d": fields})
    assert (await devices_seen(house))["d"]["room_id"] is None

    def build(tx: Tx) -> None:
        home_queries.insert_room(tx, room)
        house.there.services.rooms.rooms.put(tx, room.id, room)

    await house.there.store.write(build)
    await put(house.there, house.home_id, "device", {"d": fields})
    assert (await devices_seen(house))["d"]["room_id"] == room.id
    other = await home_of(house.anna_there)
    await put(house.there, other, "device", {"e": plug(2, room_id=room.id)})
    assert await entity_of(house.there, other, "device", "e") == plug(2)


async def test_a_gateway_may_follow_what_is_behind_it_in_one_batch(house: House) -> None:
    behind = plug(1, gateway_id="g", public_key=None)
    changes = {"d": behind, "g": plug(2, product_id="gateway")}
    assert list(kinds_of(house.there)["device"].refers("d", behind)) == [("device", "g")]
    await put(house.there, house.home_id, "device", changes)
    assert (await devices_seen(house))["d"]["gateway_id"] == "g"
    await memory_is_disk(house.there)


async def test_nothing_is_ever_behind_itself(house: House) -> None:
    ring = {it: plug(n, gateway_id=to) for n, (it, to) in enumerate({"a": "b", "b": "c", "c": "a", "d": "d"}.items())}
    await put(house.there, house.home_id, "device", ring)
    for it, fields in ring.items():
        await put(house.there, house.home_id, "device", {it: fields})
    gateways = {it: device["gateway_id"] for it, device in (await devices_seen(house)).items()}
    for it in ring:
        seen = [it]
        while (above := gateways[seen[-1]]) is not None:
            assert above not in seen
            seen.append(above)
    await put(house.there, house.home_id, "device", dict.fromkeys(ring))
    assert await devices_seen(house) == {}
    await memory_is_disk(house.there)


async def test_names_people_and_groups_wait_for_their_devices(house: House) -> None:
    kinds = kinds_of(house.there)
    names, user = {"outlet/on": "Fan"}, {"device_id": "d", "sex": "female", "nick_name": "Eva"}
    group = {"name": "All", "least": "guest", "created_at": 5, "device/d": 4, "device/e": 2}
    assert list(kinds["names"].refers("d", names)) == [("device", "d")]
    assert list(kinds["device_user"].refers("u", user)) == [("device", "d")]
    assert list(kinds["group"].refers("g", group)) == [("device", "d"), ("device", "e")]
    wanted: Entities = {"names": {"d": names}, "device_user": {"u": user}, "group": {"g": group}}
    for kind, changes in wanted.items():
        await put(house.there, house.home_id, kind, changes)
    there = await entities_of(house.there, house.home_id)
    assert (there["names"], there["device_user"]) == ({}, {})
    assert there["group"] == {"g": {"name": "All", "least": "guest", "created_at": 5}}
    await put(house.there, house.home_id, "device", {"d": plug(1), "e": plug(2)})
    for kind, changes in wanted.items():
        await put(house.there, house.home_id, kind, changes)
    there = await entities_of(house.there, house.home_id)
    assert {kind: there[kind] for kind in wanted} == wanted
    assert ok(await house.anna_there.get("/api/groups/g")).json()["devices"] == ["e", "d"]
    await memory_is_disk(house.there)


# hardware


async def test_hardware_is_in_the_home_that_bound_it_last(house: House) -> None:
    other = await home_of(house.anna_there)
    await put(house.there, house.home_id, "device", {"old": plug(1), "behind": plug(2, gateway_id="old")})
    await put(house.there, other, "device", {"new": plug(1, owner_epoch=2)})
    assert await devices_seen(house) == {}
    assert list((await entities_of(house.there, other))["device"]) == ["new"]
    # What was said before it moved comes late.
    await put(house.there, house.home_id, "device", {"old": plug(1, name="Late")})
    assert await devices_seen(house) == {}
    # In the same home, and in the batch in which the other goes: that was refused.
    await put(house.there, other, "device", {"new": None, "newer": plug(1)})
    assert await entities_of(house.there, other) | {"device": {}} == await entities_of(house.there, house.home_id)
    assert (await entities_of(house.there, other))["device"] == {"newer": plug(1)}
    await memory_is_disk(house.there)


async def test_a_device_that_was_transferred_is_the_same_there(house: House) -> None:
    made = await house.fill()
    lamp = made["devices"]["lamp"]
    await house.carry()
    await house.there.services.devices.reported(lamp, "light", {"on": True})
    other_here = await home_of(house.anna)
    home = await house.here.store.read(lambda r: home_queries.home(r, other_here))
    assert home is not None
    await furnish(house.there, home, owner=house.anna_there)
    ok(await house.anna.post(f"/api/devices/{lamp}/transfer", json={"home_id": other_here}))
    # Of the new home it is heard before it is heard that it left the old one.
    await carry(house.here, house.there, other_here)
    await carry(house.here, house.there, house.home_id)
    for home_id in (other_here, house.home_id):
        assert await entities_of(house.there, home_id) == await entities_of(house.here, home_id)
    seen = ok(await house.anna_there.get(f"/api/devices/{lamp}")).json()
    assert (seen["home_id"], seen["services"]["light"]["reported"]["on"]["value"]) == (other_here, True)
    await memory_is_disk(house.there)


async def test_a_new_device_of_a_known_id_is_another(house: House) -> None:
    await put(house.there, house.home_id, "device", {"a": plug(1), "b": plug(2)})
    await put(house.there, house.home_id, "device", {"a": plug(2), "b": plug(1)})
    assert (await entities_of(house.there, house.home_id))["device"] == {"a": plug(2), "b": plug(1)}
    await memory_is_disk(house.there)


async def test_an_owner_epoch_is_only_raised_by_who_holds_it(house: House) -> None:
    hub = (await house.there.store.read(read_hub)).hub_id
    # Of one that another hub holds it is as the log says: this one may have said too much, and was refused.
    for holder, epoch in ((hub, 5), ("hub-b", 3)):
        late = {"owner_epoch": 3, "public_key": "ff" * 32, "name": "Late"}
        await put(house.there, house.home_id, "device", {"a": plug(1, holder=holder, owner_epoch=5)})
        await put(house.there, house.home_id, "device", {"a": plug(1, holder=holder, **late)})
        now = await entity_of(house.there, house.home_id, "device", "a")
        assert now == plug(1, holder=holder, owner_epoch=epoch, name="Late")


# who holds it


async def test_what_another_hub_holds_is_here_to_be_seen_and_told_where_it_belongs(house: House) -> None:
    made = await house.fill()
    await house.carry()
    devices, lamp = house.there.services.devices, made["devices"]["lamp"]
    hub_here = (await house.here.store.read(read_hub)).hub_id
    entity = await entity_of(house.there, house.home_id, "device", lamp)
    assert entity is not None
    assert entity["holder"] == hub_here
    assert entity["public_key"]
    live = devices.memory.get(lamp)
    assert live is not None
    assert not devices.memory.holds(live.device)
    assert (devices.of_hardware("lamp-1"), devices.hardware("lamp"), devices.bond_of("lamp-1")) == (
        None,
        "lamp-1",
        None,
    )
    # With its secret it is known when it comes, and is none of this hub's.
    vault, row = house.there.store.vault, "bindings/lamp-1"
    await house.there.store.write(lambda tx: vault.keep(tx, row, bytes(32)))
    await house.there.store.write(lambda tx: devices.memory.rebond_in(tx, ["lamp-1"]))
    assert devices.bond_of("lamp-1") is not None
    assert devices.of_hardware("lamp-1") is None
    assert devices.memory.bound("lamp-1") == live.device
    assert not (await house.there.services.lan.greet("lamp-1", Hello("1.0", "lamp"))).stays
    assert devices.credentials.of(live.device) is None
    await memory_is_disk(house.there)
    # This one takes over.
    hub_there = (await house.there.store.read(read_hub)).hub_id
    await put(house.there, house.home_id, "device", {lamp: entity | {"holder": hub_there, "owner_epoch": 9}})
    bond = devices.bond_of("lamp-1")
    assert bond is not None
    assert (bond.owner_epoch, bond.removed, devices.hardware("lamp")) == (9, False, "lamp-1")
    await memory_is_disk(house.there)


async def test_a_device_that_another_hub_takes_over_is_let_go_without_being_told_to_forget(house: House) -> None:
    lamp = await bind(house.here, house.home_id, "lamp-1")
    devices = house.here.services.devices
    devices.online(lamp)
    let_go: list[str] = []
    devices.on_left.append(lambda device: let_go.append(device.id))
    entity = await entity_of(house.here, house.home_id, "device", lamp)
    assert entity is not None
    await put(house.here, house.home_id, "device", {lamp: entity | {"holder": "hub-b", "owner_epoch": 2}})
    live = devices.memory.get(lamp)
    assert live is not None
    assert (let_go, live.online, devices.of_hardware("lamp-1")) == ([lamp], False, None)
    assert devices.memory.bound("lamp-1") == live.device
    assert devices.memory.removed_hardware("lamp") is None
    assert await entity_of(house.here, house.home_id, "device", lamp) == entity | {"holder": "hub-b", "owner_epoch": 2}
    await memory_is_disk(house.here)


async def test_a_device_bound_before_there_were_holders_is_this_hubs(house: House) -> None:
    lamp = await bind(house.here, house.home_id, "lamp-1")
    entity = await entity_of(house.here, house.home_id, "device", lamp)
    await house.here.store.write(lambda tx: tx.run("UPDATE devices SET holder=NULL"))
    assert await entity_of(house.here, house.home_id, "device", lamp) == entity
    hub = (await house.here.store.read(read_hub)).hub_id
    assert entity is not None
    assert entity["holder"] == hub


async def test_what_was_let_go_elsewhere_is_told_to_forget_by_who_holds_it(house: House) -> None:
    lamp = await bind(house.here, house.home_id, "lamp-1")
    devices = house.here.services.devices
    entity = await entity_of(house.here, house.home_id, "device", lamp)
    await put(house.here, house.home_id, "device", {lamp: None})
    bond = devices.bond_of("lamp-1")
    assert bond is not None
    assert bond.removed
    # That was refused: it is as it was.
    await put(house.here, house.home_id, "device", {lamp: entity})
    bond = devices.bond_of("lamp-1")
    assert bond is not None
    assert not bond.removed
    assert await entity_of(house.here, house.home_id, "device", lamp) == entity
    await memory_is_disk(house.here)


async def test_what_is_frozen_or_reset_elsewhere_is_kept_out_here(house: House) -> None:
    lamp = await bind(house.here, house.home_id, "lamp-1")
    devices = house.here.services.devices
    devices.online(lamp)
    entity = await entity_of(house.here, house.home_id, "device", lamp)
    assert entity is not None
    command = {"kind": "desired", "service": "light", "values": {"on": True}}
    frozen: list[str] = []
    devices.freezing.on_frozen.append(lambda device: frozen.append(device.id))
    await put(house.here, house.home_id, "device", {lamp: entity | {"frozen_at": 1_700_000_000_000}})
    assert (frozen, devices.is_frozen(lamp)) == ([lamp], True)
    refused = await house.anna.post(f"/api/devices/{lamp}/commands", json=command)
    assert refused.status_code in (400, 409)
    await put(house.here, house.home_id, "device", {lamp: entity})
    assert not devices.is_frozen(lamp)
    await put(house.here, house.home_id, "device", {lamp: entity | {"unbound_at": 1_700_000_000_001}})
    assert devices.of_hardware("lamp-1") is None
    bond = devices.bond_of("lamp-1")
    assert bond is not None
    assert bond.removed
    # Another hub has let it in again.
    again = entity | {"holder": "hub-b", "owner_epoch": 2}
    await put(house.here, house.home_id, "device", {lamp: again})
    assert await entity_of(house.here, house.home_id, "device", lamp) == again
    bond = devices.bond_of("lamp-1")
    assert bond is not None
    assert not bond.removed
    assert {"device.frozen", "device.unfrozen", "device.unbound", "device.rebound"} <= set(await events_of(house.here))
    await memory_is_disk(house.here)


async def test_the_log_of_a_device_is_kept_by_who_holds_it(house: House) -> None:
    await put(house.there, house.home_id, "device", {"d": plug(1)})
    ok(await house.anna_there.post("/api/devices/d/freeze"))
    ok(await house.anna_there.delete("/api/devices/d"))
    assert await house.there.store.read(lambda r: r.all("SELECT type FROM journal")) == []


# what does not fit


async def test_a_product_nobody_has_a_model_of_is_shown_as_far_as_it_is_known(house: House) -> None:
    await put(house.there, house.home_id, "device", {"d": plug(1, product_id="hoverboard-9")})
    assert (await devices_seen(house))["d"]["product_id"] == "hoverboard-9"
    for path in ("", "/names", "/users", "/journal", "/commands"):
        ok(await house.anna_there.get(f"/api/devices/d{path}"))
    ok(await house.anna_there.patch("/api/devices/d", json={"name": "Board"}))
    asked = {
        "/commands": {"kind": "desired", "service": "fly", "values": {"on": True}},
        "/names": {"names": {"fly": {"on": "Up"}}},
        "/services/fly/desired": {"values": {"on": True}},
    }
    for path, body in asked.items():
        verb = "POST" if path == "/commands" else "PATCH"
        refused = await house.anna_there.request(verb, f"/api/devices/d{path}", json=body)
        assert 400 <= refused.status_code < 500, refused.text
    assert await house.there.services.devices.reported("d", "fly", {"on": True}) is None


WRONG: tuple[dict[str, Any], ...] = (
    {"hardware_id": None},
    {"hardware_id": ""},
    {"product_id": 7},
    {"name": ["x"]},
    {"position": 2**63},
    {"position": "1"},
    {"bound_at": -1},
    {"bound_at": 10**18},
    {"public_key": "zz"},
    {"public_key": "abc"},
    {"owner_epoch": 1.5},
)


async def test_what_no_device_can_be_made_of_is_passed_over(house: House) -> None:
    bad = {f"bad-{n}": plug(n + 2, **wrong) for n, wrong in enumerate(WRONG)}
    await put(house.there, house.home_id, "device", {"good": plug(1), **bad})
    assert list((await entities_of(house.there, house.home_id))["device"]) == ["good"]


async def test_facts_of_a_home_that_is_not_here_or_of_another_change_nothing(house: House) -> None:
    made = await house.fill()
    await house.carry()
    before = await entities_of(house.there, house.home_id)
    other = await home_of(house.anna_there)
    for kind, entities in before.items():
        for home_id in ("nowhere", other):
            await put(house.there, home_id, kind, dict.fromkeys(entities))
            if kind != "device":
                await put(house.there, home_id, kind, entities)
        await put(house.there, "nowhere", kind, entities)
        odd: list[Any] = [{"name": 7, "ssid": 7, "device_id": 7, "sex": "x", "least": "king", "device/": 1, "x/y": 2}]
        await put(house.there, house.home_id, kind, dict(zip(("odd",), odd, strict=True)))
    assert await entities_of(house.there, house.home_id) == before
    assert made["group"] in before["group"]
    await memory_is_disk(house.there)


# networks


async def test_a_home_knows_one_network_of_a_name(house: House) -> None:
    older = {"ssid": "Linden", "secured": True, "created_at": 5}
    newer = {"ssid": "Linden", "secured": True, "created_at": 6}
    for order in (("old", "new"), ("new", "old")):
        for it in order:
            await put(house.there, house.home_id, "wifi_network", {it: {"old": older, "new": newer}[it]})
        assert (await entities_of(house.there, house.home_id))["wifi_network"] == {"new": newer}
    await put(house.there, house.home_id, "wifi_network", {"new": None, "old": older | {"used_at": 9}})
    assert (await entities_of(house.there, house.home_id))["wifi_network"] == {"old": older | {"used_at": 9}}


async def test_networks_may_change_their_names_with_each_other(house: House) -> None:
    linden, ulme, eiche = ({"ssid": it, "secured": True, "created_at": 5} for it in ("Linden", "Ulme", "Eiche"))
    there = house.there, house.home_id, "wifi_network"
    await put(*there, {"a": linden | {"used_at": 9}, "b": ulme})
    swapped = {"b": linden, "a": ulme | {"used_at": 9}}
    await put(*there, swapped)
    assert (await entities_of(house.there, house.home_id))["wifi_network"] == swapped
    # A name is free that another has no longer, though that one comes later.
    moved = {"b": ulme, "a": eiche}
    for _ in range(2):
        await put(*there, moved)
        assert (await entities_of(house.there, house.home_id))["wifi_network"] == moved


async def test_a_network_whose_password_has_not_come_is_not_used_as_an_open_one(house: House) -> None:
    networks = house.there.services.networks
    await put(house.there, house.home_id, "wifi_network", {"n": {"ssid": "Linden", "secured": True, "created_at": 5}})
    with pytest.raises(WifiNetworkUnknown):
        await networks.known(house.home_id, "Linden")
    await house.there.store.write(lambda tx: house.there.store.vault.keep(tx, "wifi_network/n", b"secret-12345"))
    assert (await networks.known(house.home_id, "Linden")).password == "secret-12345"
    await put(house.there, house.home_id, "wifi_network", {"n": {"ssid": "Linden", "secured": False, "created_at": 5}})
    assert (await networks.known(house.home_id, "Linden")).password == ""


async def test_an_act_there_says_who_did_it(house: House) -> None:
    account_id = house.there.actor(str(house.anna_there.headers["authorization"]).removeprefix("Bearer ")).account_id
    by = msgspec.structs.replace(BY_SYSTEM, actor=Actor(account_id=account_id))
    await put(house.there, house.home_id, "device", {"d": plug(1)}, by)
    sql = "SELECT account_id FROM audit WHERE type='device.added'"
    assert await house.there.store.read(lambda r: r.all(sql)) == [(account_id,)]


async def test_naming_a_device_of_another_home_takes_nothing(house: House) -> None:
    mine = await bind(house.there, house.home_id, "lamp-of-anna")
    other = await home_of(house.anna_there)
    await put(house.there, other, "device", {mine: plug(7)})
    there = house.there.services.devices.memory.get(mine)
    assert there is not None
    assert (there.device.home_id, there.device.hardware_id) == (house.home_id, "lamp-of-anna")
