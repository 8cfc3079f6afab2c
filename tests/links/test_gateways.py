"""Devices behind a gateway: a whole hub and a virtual gateway, from the window in which they join to their end."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.links import gateways
from app.virtual.device import VirtualDevice
from app.virtual.memory import MemoryStore
from app.virtual.parts import Place
from app.virtual.process import product_named
from pairing.messages import MAX_CHILDREN, Answer, Child, ChildLeft, Joining, Report
from tests.e2e.living import WAIT, Living, living
from tests.links.test_hearing import bring_in, until

QUIET = Place(announced=False, retry_first=0.02, retry_most=0.2)
LAMP, PLUG = product_named("lamp"), product_named("plug")


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Living]:
    async with living(tmp_path / "hub") as hub:
        await hub.claim()
        yield hub


def gateway_of(**wanted: Any) -> VirtualDevice:
    return VirtualDevice(product_named("gateway"), **{"place": QUIET, **wanted})


async def join(hub: Living, gateway_id: str, want: int = 1, **more: Any) -> list[str]:
    """So many children in one session; their ids in the home."""
    path = await hub.start_pairing(method="gateway", gateway_id=gateway_id, want=want, **more)
    session = await hub.until(path, "joined", "failed")
    assert session["state"] == "joined", session
    joined: list[str] = session["device_ids"]
    return joined


async def seen(hub: Living, device_id: str) -> dict[str, Any]:
    """The device once its gateway has said all of it."""
    return await until(hub, f"/api/devices/{device_id}", lambda shown: shown["online"] and shown["services"])


async def switch(hub: Living, device_id: str, service: str, on: bool = True, wait: int = 20) -> dict[str, Any]:
    asked = {"service": service, "values": {"on": on}}
    answer = await hub.owner.post(f"/api/devices/{device_id}/commands", params={"wait": wait}, json=asked)
    shown: dict[str, Any] = answer.json()
    return shown


async def test_two_join_in_one_session_obey_and_are_let_go(hub: Living) -> None:
    async with gateway_of(waiting=[LAMP, PLUG]) as gateway:
        gateway_id = await bring_in(hub, gateway)
        lamp, plug = await join(hub, gateway_id, want=2)
        await gateway.wait("joining_closed")
        shown = await seen(hub, lamp)
        assert (shown["gateway_id"], shown["trust"], shown["product_id"]) == (gateway_id, "gateway", "lamp")
        assert (await switch(hub, lamp, "light"))["state"] == "answered"
        assert (await switch(hub, plug, "outlet"))["state"] == "answered"
        await until(hub, f"/api/devices/{plug}", lambda d: d["services"]["meter"]["reported"]["power"]["value"] > 0)
        assert (await hub.owner.delete(f"/api/devices/{plug}")).status_code == 204
        left = await gateway.wait("child_left")
        assert left.details["child"] not in gateway.children.ids
        assert len(gateway.children.ids) == 1
        assert (await hub.owner.get(f"/api/devices/{plug}")).status_code == 404
        await until(
            hub, f"/api/devices/{gateway_id}", lambda d: d["services"]["hub"]["reported"]["children"]["value"] == 1
        )


async def test_commands_arrive_in_order(hub: Living) -> None:
    async with gateway_of(waiting=[LAMP]) as gateway:
        (lamp,) = await join(hub, await bring_in(hub, gateway))
        for n in range(40):
            asked = {"service": "light", "values": {"brightness": 100 + n}}
            last = await hub.owner.post(f"/api/devices/{lamp}/commands", json=asked)
        path = f"/api/devices/{lamp}/commands/{last.json()['id']}"
        assert (await until(hub, path, lambda c: c.get("ended_at") is not None))["state"] == "answered"
        done = [(await gateway.wait("command")).details["values"]["brightness"] for _ in range(40)]
        assert done == list(range(100, 140))


async def test_the_person_chooses_where_one_is_wanted_and_the_other_waits(hub: Living) -> None:
    async with gateway_of(waiting=[LAMP, PLUG]) as gateway:
        gateway_id = await bring_in(hub, gateway)
        path = await hub.start_pairing(method="gateway", gateway_id=gateway_id, name="Reading lamp")
        found = await hub.until(path, "found")
        chosen = next(c["id"] for c in found["candidates"] if c["product"] == "lamp")
        await hub.owner.post(f"{path}/choose", json={"candidate_id": chosen})
        assert (await hub.until(path, "joined", "failed"))["state"] == "joined"
        # It is on the gateway's radio already: the next window begins with it.
        (plug,) = await join(hub, gateway_id)
        assert (await seen(hub, plug))["product_id"] == "plug"


@pytest.mark.parametrize("end", ["cancelled", "time"])
async def test_the_window_is_closed_however_the_session_ends(hub: Living, end: str) -> None:
    async with gateway_of() as gateway:
        gateway_id = await bring_in(hub, gateway)
        seconds = 1 if end == "time" else 600
        path = await hub.start_pairing(method="gateway", gateway_id=gateway_id, seconds=seconds)
        assert (await gateway.wait("joining_open")).details["seconds"] == seconds
        if end == "cancelled":
            await hub.until(path, "searching")
            await hub.owner.post(f"{path}/cancel")
        session = await hub.until(path, "failed", "cancelled")
        await gateway.wait("joining_closed")
        assert session["failure"]["cause"] == ("cancelled" if end == "cancelled" else "no_child_joined")
        with pytest.raises(ValueError, match="no device join"):
            await gateway.children.join(LAMP)


async def test_the_gateway_closes_by_its_own_clock(hub: Living) -> None:
    async with gateway_of() as gateway:
        await bring_in(hub, gateway)
        link = hub.node.services.lan
        await gateway.children.permit(1)
        await gateway.wait("joining_closed")
        assert link.link is not None


async def test_a_gateway_that_is_away_or_silent_is_told_as_such(hub: Living, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateways, "LINK_PATIENCE", 0.1)
    monkeypatch.setattr(gateways, "ANSWER_TIMEOUT", 0.1)
    async with gateway_of() as gateway:
        gateway_id = await bring_in(hub, gateway)

        async def nothing(_: int) -> None:
            """It hears, and does not answer."""

        monkeypatch.setattr(gateway.children, "permit", nothing)
        path = await hub.start_pairing(method="gateway", gateway_id=gateway_id)
        assert (await hub.until(path, "failed"))["failure"]["cause"] == "gateway_silent"
    async with asyncio.timeout(WAIT):
        while hub.node.services.lan.is_online(gateway_id):
            await asyncio.sleep(0.02)
    path = await hub.start_pairing(method="gateway", gateway_id=gateway_id)
    assert (await hub.until(path, "failed"))["failure"]["cause"] == "gateway_offline"


async def test_what_is_no_gateway_of_the_home_is_refused(hub: Living) -> None:
    async with gateway_of() as gateway, VirtualDevice(LAMP, place=QUIET) as lamp:
        gateway_id, lamp_id = await bring_in(hub, gateway), await bring_in(hub, lamp)
        for wrong in (lamp_id, "nothing"):
            answer = await hub.owner.post(hub.pairing, json={"method": "gateway", "gateway_id": wrong})
            assert (answer.status_code, answer.json()["code"]) == (409, "gateway_unfit")
        made = await hub.owner.post("/api/homes", json={"name": "Hut", "time_zone": "Europe/Berlin"})
        hub.home_id = made.json()["id"]
        answer = await hub.owner.post(hub.pairing, json={"method": "gateway", "gateway_id": gateway_id})
        assert (answer.status_code, answer.json()["code"]) == (409, "gateway_unfit")
        assert (await hub.owner.post(hub.pairing, json={"method": "gateway"})).status_code == 400


async def test_children_go_offline_with_their_gateway_and_one_by_one(hub: Living) -> None:
    hub.node.services.devices.presence.grace = 0.05
    disk = MemoryStore()
    async with gateway_of(waiting=[LAMP, PLUG], store=disk) as gateway:
        gateway_id = await bring_in(hub, gateway)
        lamp, plug = await join(hub, gateway_id, want=2)
        await seen(hub, lamp)
        await gateway.children.reach(gateway.children.ids[0], online=False)
        await until(hub, f"/api/devices/{lamp}", lambda shown: shown["online"] is False)
        waiting = await switch(hub, lamp, "light", wait=0)
        assert waiting["state"] == "queued"
        await seen(hub, plug)
        await gateway.children.reach(gateway.children.ids[0], online=True)
        path = f"/api/devices/{lamp}/commands/{waiting['id']}"
        assert (await until(hub, path, lambda c: c.get("ended_at") is not None))["state"] == "answered"
    for device_id in (gateway_id, lamp, plug):
        await until(hub, f"/api/devices/{device_id}", lambda shown: shown["online"] is False)
    async with gateway_of(store=disk):
        for device_id in (gateway_id, lamp, plug):
            await until(hub, f"/api/devices/{device_id}", lambda shown: shown["online"] is True)


async def test_one_removed_while_its_gateway_was_away_is_forgotten_at_the_next_link(hub: Living) -> None:
    disk = MemoryStore()
    async with gateway_of(waiting=[LAMP], store=disk) as gateway:
        (lamp,) = await join(hub, await bring_in(hub, gateway))
    assert (await hub.owner.delete(f"/api/devices/{lamp}")).status_code == 204
    async with gateway_of(store=disk) as again:
        await again.wait("child_left")
        assert again.children.ids == ()


async def test_one_that_is_reset_is_forgotten_by_its_gateway_and_may_join_again(hub: Living) -> None:
    async with gateway_of(waiting=[LAMP]) as gateway:
        gateway_id = await bring_in(hub, gateway)
        (lamp,) = await join(hub, gateway_id)
        answer = await hub.owner.post(f"/api/devices/{lamp}/reset", json={})
        assert answer.status_code == 200
        await gateway.wait("child_left")
        assert gateway.children.ids == ()
        await until(hub, f"/api/devices/{lamp}/reset", lambda shown: shown["state"] == "confirmed")
        shown = (await hub.owner.get(f"/api/devices/{lamp}")).json()
        assert (shown["unbound_at"] is not None, shown["online"]) == (True, False)
        refused = await hub.owner.post(
            f"/api/devices/{lamp}/commands", json={"service": "light", "values": {"on": True}}
        )
        assert refused.json()["code"] == "device_unbound"


async def test_one_reset_while_its_gateway_was_away_is_forgotten_at_the_next_link(hub: Living) -> None:
    disk = MemoryStore()
    async with gateway_of(waiting=[LAMP], store=disk) as gateway:
        (lamp,) = await join(hub, await bring_in(hub, gateway))
    await hub.owner.post(f"/api/devices/{lamp}/reset", json={})
    async with gateway_of(store=disk) as again:
        await again.wait("child_left")
        assert again.children.ids == ()
        await until(hub, f"/api/devices/{lamp}/reset", lambda shown: shown["state"] == "confirmed")


async def test_with_their_gateway_children_leave_the_home(hub: Living) -> None:
    async with gateway_of(waiting=[LAMP]) as gateway:
        gateway_id = await bring_in(hub, gateway)
        (lamp,) = await join(hub, gateway_id)
        assert (await hub.owner.delete(f"/api/devices/{gateway_id}")).status_code == 204
        await gateway.wait("reset")
        assert gateway.children.ids == ()
        assert (await hub.owner.get(f"/api/devices/{lamp}")).status_code == 404


async def test_a_stop_of_the_hub_in_the_middle_is_survived(tmp_path: Path) -> None:
    disk, announced = MemoryStore(), Place(retry_first=0.02, retry_most=0.2)
    async with gateway_of(store=disk, place=announced) as gateway:
        async with living(tmp_path / "hub") as hub:
            await hub.claim()
            gateway_id = await bring_in(hub, gateway)
            path = await hub.start_pairing(method="gateway", gateway_id=gateway_id)
            await hub.until(path, "searching")
            await gateway.wait("joining_open")
            token = hub.owner.headers["authorization"].removeprefix("Bearer ")
        async with living(tmp_path / "hub") as hub:
            hub.owner, hub.home_id = hub.client(token), path.split("/")[3]
            await gateway.wait("joining_open")
            await gateway.children.join(LAMP)
            assert (await hub.until(path, "joined", "failed"))["state"] == "joined"
            await gateway.wait("joining_closed")


async def test_a_window_nobody_wants_any_more_is_closed_at_the_next_link(tmp_path: Path) -> None:
    disk, announced = MemoryStore(), Place(retry_first=0.02, retry_most=0.2)
    async with gateway_of(store=disk, place=announced) as gateway:
        async with living(tmp_path / "hub") as hub:
            await hub.claim()
            await bring_in(hub, gateway)
        await gateway.children.permit(600)
        async with living(tmp_path / "hub"):
            await gateway.wait("joining_closed")


async def test_a_gateway_speaks_for_its_own_children_only(hub: Living) -> None:
    lan = hub.node.services.lan
    async with (
        gateway_of(waiting=[LAMP]) as gateway,
        gateway_of() as other,
        VirtualDevice(LAMP, place=QUIET) as single,
    ):
        gateway_id = await bring_in(hub, gateway)
        (lamp,) = await join(hub, gateway_id)
        await bring_in(hub, other)
        single_id = await bring_in(hub, single)
        await seen(hub, single_id)
        (child,) = gateway.children.ids
        before = [(await seen(hub, one))["services"]["light"] for one in (lamp, single_id)]
        command = await switch(hub, lamp, "light", wait=20)
        for name in (child, single.id):
            # The same name behind another gateway, or behind what is no gateway, is another device: nobody's.
            for speaker in (other.id, single.id):
                await lan.reported(speaker, Report("light", {"on": False, "brightness": 77}, child=name))
                await lan.answered(speaker, Answer(command["id"], ok=True, values={"brightness": 77}, child=name))
                await lan.of_children(speaker, Child(name, "lamp", online=False))
                await lan.of_children(speaker, Joining(3600))
        await lan.reported(gateway.id, Report("light", {"brightness": 77}, child="unheard-of"))
        after = [(await seen(hub, one))["services"]["light"] for one in (lamp, single_id)]
        assert [s["reported"]["brightness"]["value"] for s in after] == [
            s["reported"]["brightness"]["value"] for s in before
        ]
        assert lan.is_online(lamp)
        assert lan.is_online(single_id)


async def test_more_children_than_may_be_are_not_taken_in(hub: Living) -> None:
    lan = hub.node.services.lan
    async with gateway_of() as gateway:
        await bring_in(hub, gateway)
        for n in range(3 * MAX_CHILDREN):
            await lan.of_children(gateway.id, Child(f"c{n}", "lamp"))
        assert sum(lan.gateways.is_there(gateway.id, f"c{n}") for n in range(3 * MAX_CHILDREN)) == MAX_CHILDREN


async def test_a_child_of_no_known_product_is_refused_with_its_cause(hub: Living) -> None:
    lan = hub.node.services.lan
    async with gateway_of() as gateway:
        gateway_id = await bring_in(hub, gateway)
        for product, cause in (("spaceship", "unknown_product"), ("gateway", "gateway_unfit")):
            path = await hub.start_pairing(method="gateway", gateway_id=gateway_id)
            await hub.until(path, "searching")
            await lan.of_children(gateway.id, Child(f"c-{product}", product, name="x\x1b[31m"))
            session = await hub.until(path, "failed")
            assert session["attempts"][0]["failure"]["cause"] == cause
            assert session["candidates"][0]["name"] == "x[31m"
            await lan.of_children(gateway.id, ChildLeft(f"c-{product}"))
