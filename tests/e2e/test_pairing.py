"""A virtual device comes into a home, obeys, survives, and leaves: every part real but the process boundary."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from app.virtual.device import VirtualDevice
from app.virtual.misbehaviour import Misbehaviour
from app.virtual.parts import Place
from app.virtual.process import product_named
from tests.e2e.living import WAIT, Living, living

ENDS = ("joined", "failed", "cancelled", "expired")


def lamp(**how: Any) -> VirtualDevice:
    return VirtualDevice(product_named("lamp"), place=Place(retry_first=0.05, retry_most=0.2), **how)


async def pair(hub: Living, device: VirtualDevice, **wanted: Any) -> str:
    """Pair over mDNS, confirming the code the device shows; returns the device's id in the home."""
    path = await hub.start_pairing(method="wired", device_id=device.id, **wanted)
    session = await hub.until(path, "confirming", *ENDS)
    if session["state"] == "confirming":
        async with asyncio.timeout(WAIT):
            shown = (await device.wait("code")).details["code"]
        assert [attempt["code"] for attempt in session["attempts"]] == [shown]
        await hub.owner.post(f"{path}/confirm", json={"accepted": True})
    session = await hub.until(path, *ENDS)
    assert session["state"] == "joined", session["failure"] or session["attempts"]
    device_id: str = session["device_ids"][0]
    return device_id


async def switch(hub: Living, device_id: str, on: bool) -> dict[str, Any]:
    command = {"service": "light", "values": {"on": on}}
    answer = await hub.owner.post(f"/api/devices/{device_id}/commands", params={"wait": 20}, json=command)
    ended: dict[str, Any] = answer.json()
    return ended


async def test_a_lamp_is_paired_on_first_use_switched_and_let_go(tmp_path: Path) -> None:
    async with living(tmp_path / "hub") as hub, lamp(name="Desk lamp") as device:
        await hub.claim()
        device_id = await pair(hub, device, name="Reading lamp")
        shown = (await hub.owner.get(f"/api/devices/{device_id}")).json()
        assert (shown["name"], shown["product_id"], shown["trust"]) == ("Reading lamp", "lamp", "first-use")
        assert (await switch(hub, device_id, on=True))["state"] == "answered"
        shown = (await hub.owner.get(f"/api/devices/{device_id}")).json()
        assert shown["services"]["light"]["reported"]["on"]["value"] is True
        assert (await hub.owner.delete(f"/api/devices/{device_id}")).status_code == 204
        async with asyncio.timeout(WAIT):
            await device.wait("reset")
        assert not device.state.paired


async def test_a_pin_needs_nobody_to_compare(tmp_path: Path) -> None:
    async with living(tmp_path / "hub") as hub, lamp(pin="12345678") as device:
        await hub.claim()
        device_id = await pair(hub, device, pin="1234-5678")
        assert (await hub.owner.get(f"/api/devices/{device_id}")).json()["trust"] == "pin"
        assert (await switch(hub, device_id, on=True))["state"] == "answered"


async def test_a_restart_of_the_hub_finds_its_devices_again(tmp_path: Path) -> None:
    async with lamp() as device:
        async with living(tmp_path / "hub") as hub:
            await hub.claim()
            device_id = await pair(hub, device)
            token = hub.owner.headers["authorization"].removeprefix("Bearer ")
        async with living(tmp_path / "hub") as hub:  # on another port: the device browses for its hub's id
            hub.owner = hub.client(token)
            assert (await switch(hub, device_id, on=True))["state"] == "answered"


async def test_a_device_paired_again_into_its_home_stays_itself(tmp_path: Path) -> None:
    async with living(tmp_path / "hub") as hub, lamp() as device:
        await hub.claim()
        first = await pair(hub, device, name="Lamp A")
        await device.reset()
        again = await pair(hub, device)
        assert first == again
        assert (await hub.owner.get(f"/api/devices/{again}")).json()["name"] == "Lamp A"
        assert (await switch(hub, again, on=True))["state"] == "answered"


@pytest.mark.parametrize(
    ("how", "cause"),
    [
        (Misbehaviour(wrong_proof=True), "proof_failed"),
        (Misbehaviour(dies_at="proving"), "connection_lost"),
    ],
)
async def test_a_bad_device_fails_with_its_cause(tmp_path: Path, how: Misbehaviour, cause: str) -> None:
    async with living(tmp_path / "hub") as hub, lamp(how=how) as device:
        await hub.claim()
        path = await hub.start_pairing(method="wired", device_id=device.id)
        session = await hub.until(path, *ENDS)
        assert session["state"] == "failed"
        failure = session["attempts"][-1]["failure"] or session["failure"]
        assert failure["cause"] == cause
        assert failure["text"]
        assert failure["hint"]
        assert (await hub.owner.get(f"/api/homes/{hub.home_id}/devices")).json()["items"] == []


async def test_a_wrong_pin_says_so(tmp_path: Path) -> None:
    async with living(tmp_path / "hub") as hub, lamp(pin="12345678") as device:
        await hub.claim()
        path = await hub.start_pairing(method="wired", device_id=device.id, pin="00000000")
        session = await hub.until(path, *ENDS)
        assert (session["state"], session["failure"]["cause"]) == ("failed", "wrong_pin")
        assert device.state.wrong_tries == 1


async def test_cancelled_it_leaves_nothing(tmp_path: Path) -> None:
    async with living(tmp_path / "hub") as hub:
        await hub.claim()
        path = await hub.start_pairing(method="wired")
        await hub.until(path, "searching")
        assert (await hub.owner.post(f"{path}/cancel")).json()["state"] == "cancelled"
        refused = await hub.owner.post(f"{path}/confirm", json={"accepted": True})
        assert (refused.status_code, refused.json()["code"]) == (409, "not_now")


async def test_a_repeat_of_its_key_starts_one_session(tmp_path: Path) -> None:
    async with living(tmp_path / "hub") as hub:
        await hub.claim()
        repeat = {"Idempotency-Key": "pair-1"}
        wanted = {"method": "wired"}
        answers = await asyncio.gather(*(hub.owner.post(hub.pairing, json=wanted, headers=repeat) for _ in range(4)))
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert len((await hub.owner.get(hub.pairing)).json()["items"]) == 1
