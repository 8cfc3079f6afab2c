"""What linked devices say reaches the services, and what people ask reaches the devices: a whole hub, real links."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from app.virtual.device import VirtualDevice
from app.virtual.memory import MemoryStore
from app.virtual.misbehaviour import Misbehaviour
from app.virtual.notices import Notice
from app.virtual.parts import Place
from app.virtual.process import product_named
from pairing.messages import Answer, Hello, Report
from tests import waiting
from tests.e2e.living import WAIT, Living, living

QUIET = Place(announced=False, retry_first=0.02, retry_most=0.2)


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Living]:
    async with living(tmp_path / "hub") as hub:
        await hub.claim()
        yield hub


def lamp(**wanted: Any) -> VirtualDevice:
    return VirtualDevice(product_named("lamp"), place=QUIET, **wanted)


async def bring_in(hub: Living, device: VirtualDevice) -> str:
    """Pair by address; returns the device's id in the home once it is linked."""
    path = await hub.start_pairing(method="wired", host="127.0.0.1", port=device.port)
    await hub.until(path, "confirming", "failed")
    await hub.owner.post(f"{path}/confirm", json={"accepted": True})
    session = await hub.until(path, "joined", "failed")
    assert session["state"] == "joined", session
    await device.wait("linked")
    device_id: str = session["device_ids"][0]
    return device_id


async def order(hub: Living, device_id: str, wait: float = 0, **command: Any) -> dict[str, Any]:
    asked = {"service": "light", **command}
    answer = await hub.owner.post(f"/api/devices/{device_id}/commands", params={"wait": wait}, json=asked)
    assert answer.status_code == 202, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def until(hub: Living, path: str, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """What is at `path` once this is true of it."""
    answer = await waiting.until(lambda: hub.owner.get(path), lambda it: true(it.json()))
    return answer.json()  # type: ignore[no-any-return]


async def ended(hub: Living, command: dict[str, Any]) -> dict[str, Any]:
    path = f"/api/devices/{command['device_id']}/commands/{command['id']}"
    return await until(hub, path, lambda shown: shown.get("ended_at") is not None)


def on(shown: dict[str, Any]) -> Any:
    return shown["services"]["light"]["reported"]["on"]["value"]


async def test_what_was_asked_while_it_was_away_it_does_in_order(tmp_path: Path) -> None:
    disk, done = MemoryStore(), list[int]()

    def note(notice: Notice) -> None:
        if notice.event == "command":
            done.append(notice.details["values"]["brightness"])

    async with living(tmp_path / "hub") as hub:
        await hub.claim()
        async with lamp(store=disk) as device:
            device_id = await bring_in(hub, device)
        asked = [await order(hub, device_id, values={"brightness": n}, expires_in=600) for n in range(100, 120)]
        assert {command["state"] for command in asked} <= {"queued", "sent"}
        token = hub.owner.headers["authorization"].removeprefix("Bearer ")
    # The hub is restarted in between, on another port: what was asked is on its disk, and the device looks for it.
    announced = Place(retry_first=0.02, retry_most=0.2)
    again = VirtualDevice(product_named("lamp"), place=announced, store=disk, tell=note)
    async with living(tmp_path / "hub") as hub, again:
        hub.owner = hub.client(token)
        for command in asked:
            assert (await ended(hub, command))["state"] == "answered"
        assert done == list(range(100, 120))
        shown = (await hub.owner.get(f"/api/devices/{device_id}")).json()
        assert shown["services"]["light"]["reported"]["brightness"]["value"] == 119


async def test_removed_while_it_was_away_it_learns_so(hub: Living) -> None:
    disk = MemoryStore()
    async with lamp(store=disk) as device:
        device_id = await bring_in(hub, device)
    assert (await hub.owner.delete(f"/api/devices/{device_id}")).status_code == 204
    async with lamp(store=disk) as again:
        async with asyncio.timeout(WAIT):
            assert (await again.wait("reset")).details == {"by": "hub"}
        assert await bring_in(hub, again) != device_id


async def test_reset_while_it_is_linked_it_forgets_and_says_so(hub: Living) -> None:
    async with lamp() as device:
        device_id = await bring_in(hub, device)
        asked = await hub.owner.post(f"/api/devices/{device_id}/reset", json={})
        assert asked.json()["state"] == "queued"
        async with asyncio.timeout(WAIT):
            assert (await device.wait("reset")).details == {"by": "hub"}
        shown = await until(hub, f"/api/devices/{device_id}/reset", lambda shown: shown["state"] == "confirmed")
        assert shown["delivered_at"] is not None
        assert device.state.candidates == ()
        assert await bring_in(hub, device) == device_id


async def test_reset_while_it_was_away_it_hears_of_it_by_its_old_binding(hub: Living) -> None:
    disk = MemoryStore()
    async with lamp(store=disk) as device:
        device_id = await bring_in(hub, device)
    answer = await hub.owner.post(f"/api/devices/{device_id}/reset", json={"record": "remove"})
    assert answer.status_code == 200
    async with lamp(store=disk) as again:
        async with asyncio.timeout(WAIT):
            assert (await again.wait("reset")).details == {"by": "hub"}
        path = f"/api/homes/{hub.home_id}/resets"
        await until(hub, path, lambda shown: shown["items"][0]["state"] == "confirmed")
        assert await bring_in(hub, again) != device_id


async def test_another_home_gets_it_once_it_was_reset_by_hand(hub: Living) -> None:
    async with lamp() as device:
        first = await bring_in(hub, device)
        made = await hub.owner.post("/api/homes", json={"name": "Hut", "time_zone": "Europe/Berlin"})
        hub.home_id = made.json()["id"]
        path = await hub.start_pairing(method="wired", host="127.0.0.1", port=device.port)
        await hub.until(path, "confirming", "failed")
        await hub.owner.post(f"{path}/confirm", json={"accepted": True})
        refused = await hub.until(path, "joined", "failed")
        assert (refused["state"], refused["failure"]["cause"]) == ("failed", "device_in_another_home")
        await device.reset()
        async with asyncio.timeout(WAIT):
            while hub.node.services.lan.is_online(first):  # what it said last is on disk before its link ends
                await asyncio.sleep(0.02)
        second = await bring_in(hub, device)
        assert second != first
        assert (await hub.owner.get(f"/api/devices/{first}")).status_code == 404


async def test_it_is_offline_when_it_has_gone_and_online_when_it_is_back(hub: Living) -> None:
    hub.node.services.devices.presence.grace = 0.05
    disk = MemoryStore()
    async with lamp(store=disk) as device:
        device_id = await bring_in(hub, device)
        await until(hub, f"/api/devices/{device_id}", lambda shown: shown["online"] is True)
    await until(hub, f"/api/devices/{device_id}", lambda shown: shown["online"] is False)
    async with lamp(store=disk):
        await until(hub, f"/api/devices/{device_id}", lambda shown: shown["online"] is True)


async def test_what_happens_at_the_device_is_seen(hub: Living) -> None:
    async with lamp() as device:
        device_id = await bring_in(hub, device)
        path = f"/api/devices/{device_id}"
        await until(hub, path, lambda shown: "light" in shown["services"] and on(shown) is False)
        await device.put("light", {"on": True})
        await until(hub, path, lambda shown: on(shown) is True)


@pytest.mark.parametrize(
    ("how", "state", "error"),
    [(Misbehaviour(refuses="busy"), "failed", "busy"), (Misbehaviour(deaf=True), "expired", "expired")],
)
async def test_a_command_that_is_not_done_ends_with_its_cause(
    hub: Living, how: Misbehaviour, state: str, error: str
) -> None:
    async with lamp(how=how) as device:
        device_id = await bring_in(hub, device)
        shown = await order(hub, device_id, wait=20, values={"on": True}, expires_in=0.5)
        assert (shown["state"], shown["outcome"]["error"]) == (state, error)


async def test_a_device_answers_for_itself_only(hub: Living) -> None:
    async with lamp(how=Misbehaviour(deaf=True)) as deaf, lamp() as other:
        device_id = await bring_in(hub, deaf)
        await bring_in(hub, other)
        command = await order(hub, device_id, values={"on": True})
        await hub.node.services.lan.answered(other.id, Answer(command["id"], ok=True, values={"on": True}))
        await hub.node.services.lan.answered("d-unheard-of", Answer(command["id"], ok=True))
        shown = (await hub.owner.get(f"/api/devices/{device_id}/commands/{command['id']}")).json()
        assert shown.get("ended_at") is None
        await hub.node.services.lan.answered(deaf.id, Answer(command["id"], ok=True, values={"on": True}))
        assert (await ended(hub, command))["state"] == "answered"


async def test_nonsense_is_kept_out_and_harms_nobody(hub: Living) -> None:
    lan = hub.node.services.lan
    async with lamp() as device:
        device_id = await bring_in(hub, device)
        await until(hub, f"/api/devices/{device_id}", lambda shown: "light" in shown["services"])
        for report in (
            Report("light", {"on": "banana", "brightness": 10**6, "wings": 2}),
            Report("engine", {"on": True}),
            Report("light", {}),
            Report("light", {"on": None}, at=2**53),
        ):
            await lan.reported(device.id, report)
            await lan.reported("d-unheard-of", report)
        lan.up("d-unheard-of", Hello("1", "lamp"))
        lan.down("d-unheard-of")
        await lan.reset("d-unheard-of")
        shown = (await hub.owner.get(f"/api/devices/{device_id}")).json()
        assert on(shown) is False
        assert set(shown["services"]) == {"light"}
        assert (await order(hub, device_id, wait=20, values={"on": True}))["state"] == "answered"


async def test_what_it_says_of_its_firmware_is_fit_to_be_shown(hub: Living) -> None:
    async with lamp() as device:
        device_id = await bring_in(hub, device)
        hub.node.services.lan.up(device.id, Hello("2\x1b[31m.\u202e0", "lamp"))
        shown = await until(hub, f"/api/devices/{device_id}", lambda shown: shown["firmware"] != "1.0.0")
        assert shown["firmware"] == "2[31m.0"
