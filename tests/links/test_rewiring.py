"""A new router: a whole hub moves its devices to another network, over real links; none is lost, whatever happens."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from app.onboarding import rewiring_model
from app.store.tx import Reader
from app.virtual.device import VirtualDevice
from app.virtual.memory import KeptState, MemoryStore
from app.virtual.misbehaviour import Misbehaviour
from app.virtual.parts import Place
from app.virtual.process import product_named
from app.virtual.station import ListedNetworks
from pairing.messages import Wifi, WifiKeep
from pairing.wifi import Provisioned, WifiNetwork
from tests.e2e.living import WAIT, Living, living
from tests.links.test_hearing import bring_in, until
from tests.virtual.test_wifi_setup import Post

QUIET = Place(announced=False, retry_first=0.02, retry_most=0.2)
LAMP = product_named("lamp")
OLD, NEW = WifiNetwork("Old", "the old password"), WifiNetwork("New", "the new password")
BOTH = {OLD.ssid: OLD.password, NEW.ssid: NEW.password}


ON = {"service": "light", "values": {"on": True}}


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Living]:
    async with living(tmp_path / "hub") as hub:
        await hub.claim()
        yield hub


@asynccontextmanager
async def on_wifi(store: MemoryStore | None = None, **wanted: Any) -> AsyncIterator[VirtualDevice]:
    """A lamp on the old network, or on whatever its disk says."""
    post = Post()
    post.letters.put_nowait(Provisioned(OLD))
    networks = wanted.pop("networks", BOTH)
    options = {"place": QUIET, "setup": post, "station": ListedNetworks(networks), **wanted}
    async with VirtualDevice(LAMP, store=store, **options) as device:
        await device.wait("ready")
        yield device


async def change(hub: Living, network: WifiNetwork = NEW) -> str:
    """The path of a move to that network."""
    wanted = {"ssid": network.ssid, "password": network.password}
    answer = await hub.owner.post(f"/api/homes/{hub.home_id}/wifi-change", json=wanted)
    assert answer.status_code == 201, answer.text
    assert network.password not in answer.text
    return f"/api/homes/{hub.home_id}/wifi-change/{answer.json()['id']}"


async def states(hub: Living, path: str, *wanted: str) -> dict[str, Any]:
    """The move once its devices are in these states, in any order."""
    return await until(hub, path, lambda m: sorted(d["state"] for d in m["devices"]) == sorted(wanted))


def kept(reader: Reader) -> list[str]:
    return [row[0] for row in reader.all("SELECT row FROM secrets WHERE row LIKE 'wifi_change/%'")]


def network_of(device: VirtualDevice) -> WifiNetwork | None:
    assert isinstance(device.state, KeptState)
    return device.state.network


async def test_it_moves_and_stays_the_device_it_was(hub: Living) -> None:
    async with on_wifi() as lamp, VirtualDevice(LAMP, place=QUIET) as cabled:
        device_id, wired_id = await bring_in(hub, lamp), await bring_in(hub, cabled)
        room = (await hub.owner.post(f"/api/homes/{hub.home_id}/rooms", json={"name": "Attic"})).json()["id"]
        await hub.owner.patch(f"/api/devices/{device_id}", json={"name": "Reading lamp", "room_id": room})
        path = await change(hub)
        moved = await states(hub, path, "done", "wired")
        assert {d["device_id"]: d["state"] for d in moved["devices"]} == {device_id: "done", wired_id: "wired"}
        assert moved["state"] == "ended"
        assert network_of(lamp) == NEW
        assert await hub.node.store.read(kept) == []
        shown = await until(hub, f"/api/devices/{device_id}", lambda d: d["online"])
        assert (shown["name"], shown["room_id"]) == ("Reading lamp", room)
        again = await hub.owner.post(f"/api/devices/{device_id}/commands", params={"wait": 20}, json=ON)
        assert again.json()["state"] == "answered"


async def test_one_that_cannot_join_goes_back_and_says_so(hub: Living) -> None:
    async with on_wifi(networks={"Old": OLD.password, "New": "another password"}) as lamp:
        await bring_in(hub, lamp)
        path = await change(hub)
        moved = await states(hub, path, "rolled_back")
        assert (moved["state"], moved["devices"][0]["cause"]) == ("ended", "wifi_rolled_back")
        assert moved["devices"][0]["hint"]
        assert network_of(lamp) == OLD


async def test_one_that_does_not_reach_the_hub_goes_back_by_itself(
    hub: Living, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub does not tell it that it was seen."""
    tell = hub.node.services.lan.order

    def order(device_id: str, message: Wifi | WifiKeep) -> bool:
        return isinstance(message, Wifi) and tell(device_id, replace(message, rollback=1))

    monkeypatch.setattr(hub.node.services.lan, "order", order)
    async with on_wifi() as lamp:
        await bring_in(hub, lamp)
        path = await change(hub)
        await lamp.wait("wifi_rolled_back")
        moved = await states(hub, path, "rolled_back")
        assert (moved["state"], network_of(lamp)) == ("ended", OLD)


async def test_one_that_refuses_or_says_nothing_is_given_up(hub: Living, monkeypatch: pytest.MonkeyPatch) -> None:
    async with on_wifi(how=Misbehaviour(refuses="busy")) as lamp:
        await bring_in(hub, lamp)
        moved = await states(hub, await change(hub), "refused")
        assert (moved["state"], moved["devices"][0]["cause"]) == ("ended", "wifi_change_failed")
        monkeypatch.setattr(rewiring_model, "ANSWER_S", 0.1)
        monkeypatch.setattr(hub.node.services.lan, "order", lambda device_id, message: True)
        moved = await states(hub, await change(hub), "refused")
        assert (moved["state"], network_of(lamp)) == ("ended", OLD)


async def test_power_lost_in_the_middle_it_comes_up_on_the_old_network(
    hub: Living, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, keep = MemoryStore(), hub.node.services.lan.order
    monkeypatch.setattr(hub.node.services.lan, "order", lambda d, m: isinstance(m, Wifi) and keep(d, m))
    async with on_wifi(disk) as lamp:
        await bring_in(hub, lamp)
        path = await change(hub)
        await states(hub, path, "keeping")  # seen on the new network, and not told so
    async with on_wifi(disk) as again:
        assert network_of(again) == OLD
        await states(hub, path, "rolled_back")


async def test_one_that_is_away_is_told_when_it_links(hub: Living) -> None:
    disk = MemoryStore()
    async with on_wifi(disk) as lamp:
        device_id = await bring_in(hub, lamp)
    async with asyncio.timeout(WAIT):
        while hub.node.services.lan.is_online(device_id):
            await asyncio.sleep(0.02)
    path = await change(hub)
    listed = await states(hub, path, "unreachable")
    assert (listed["state"], listed["devices"][0]["next_step"]) == ("open", "provision_again")
    async with on_wifi(disk) as lamp:
        await states(hub, path, "done")
        assert network_of(lamp) == NEW


async def test_one_brought_there_by_hand_links_again_with_its_binding(hub: Living) -> None:
    """The old router is gone: the lamp is in setup mode, and told the new network as when it was new."""
    disk, post = MemoryStore(), Post()
    async with on_wifi(disk) as lamp:
        device_id = await bring_in(hub, lamp)
    path = await change(hub)
    post.letters.put_nowait(Provisioned(NEW, b"DSabcdefghijkm"))
    station = ListedNetworks({NEW.ssid: NEW.password})
    async with VirtualDevice(LAMP, store=disk, place=QUIET, setup=post, station=station) as lamp:
        moved = await states(hub, path, "done")
        assert moved["devices"][0]["device_id"] == device_id
        assert lamp.state.paired


async def test_a_stop_of_the_hub_in_the_middle_is_survived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk, announced = MemoryStore(), Place(retry_first=0.02, retry_most=0.2)
    async with on_wifi(disk, place=announced) as lamp:
        async with living(tmp_path / "hub") as hub:
            await hub.claim()
            await bring_in(hub, lamp)
            keep = hub.node.services.lan.order
            monkeypatch.setattr(hub.node.services.lan, "order", lambda d, m: isinstance(m, Wifi) and keep(d, m))
            path = await change(hub)
            await states(hub, path, "keeping")
            token = hub.owner.headers["authorization"].removeprefix("Bearer ")
        async with living(tmp_path / "hub") as hub:
            hub.owner, hub.home_id = hub.client(token), path.split("/")[3]
            assert (await states(hub, path, "done"))["state"] == "ended"
            assert network_of(lamp) == NEW
            assert await hub.node.store.read(kept) == []


async def test_cancelled_nobody_is_told_any_more(hub: Living) -> None:
    disk = MemoryStore()
    async with on_wifi(disk) as lamp:
        await bring_in(hub, lamp)
    path = await change(hub)
    second = await hub.owner.post(f"/api/homes/{hub.home_id}/wifi-change", json={"ssid": "x", "password": ""})
    assert (second.status_code, second.json()["code"]) == (409, "wifi_change_open")
    assert path.endswith(second.json()["facts"]["id"])
    assert len(await hub.node.store.read(kept)) == 1
    cancelled = (await hub.owner.post(f"{path}/cancel")).json()
    assert (cancelled["state"], cancelled["devices"][0]["state"]) == ("cancelled", "let_be")
    assert await hub.node.store.read(kept) == []
    async with on_wifi(disk) as lamp:
        await lamp.wait("linked")
        assert (await hub.owner.get(path)).json() == cancelled
        assert network_of(lamp) == OLD


@pytest.mark.parametrize(("ssid", "password"), [("ü" * 17, "long enough"), ("x", "short"), ("x", "ü" * 32)])
async def test_what_no_device_could_join_is_refused_before_it_is_sent(hub: Living, ssid: str, password: str) -> None:
    wanted = {"ssid": ssid, "password": password}
    answer = await hub.owner.post(f"/api/homes/{hub.home_id}/wifi-change", json=wanted)
    assert answer.status_code == 400
    assert answer.json()["code"] in ("ssid_length", "wifi_password_length")


async def test_a_network_is_known_once_a_device_has_moved_there(hub: Living) -> None:
    async with on_wifi() as lamp:
        await bring_in(hub, lamp)
        wanted = {"ssid": NEW.ssid}
        unknown = await hub.owner.post(f"/api/homes/{hub.home_id}/wifi-change", json=wanted)
        assert (unknown.status_code, unknown.json()["code"]) == (400, "unknown_wifi_network")
        await states(hub, await change(hub), "done")
        known = (await hub.owner.get(f"/api/homes/{hub.home_id}/networks")).json()["items"]
        assert [network["ssid"] for network in known] == [NEW.ssid]
        again = await hub.owner.post(f"/api/homes/{hub.home_id}/wifi-change", json=wanted)
        assert again.status_code == 201
        last = await states(hub, f"/api/homes/{hub.home_id}/wifi-change/{again.json()['id']}", "done")
        moves = (await hub.owner.get(f"/api/homes/{hub.home_id}/wifi-change")).json()
        assert moves[0] == last
        assert [move["state"] for move in moves] == ["ended", "ended"]
