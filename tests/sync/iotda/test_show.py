"""The whole of it as two commands: fifty devices added, reported in batches, commanded, one let go; and killed -9."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from tests.sync.iotda.village import SECRET, Village
from tests.waiting import until

COUNT = 50
ROUNDS = 20
SEEDED, FULL = 2, 25


def lamps(count: int, begin: int = 0) -> list[str]:
    return [f"n{number:02}" for number in range(begin, begin + count)]


def shows(devices: dict[str, Any], wanted: dict[str, int]) -> bool:
    """Whether these lamps, and no others, are at a node, each with that brightness."""
    found = {name: brightness(it) for name, it in devices.items() if it["product_id"] == "lamp"}
    return found == wanted


def brightness(device: dict[str, Any]) -> int | None:
    reported: dict[str, Any] = device["services"].get("light", {"reported": {}})["reported"]
    return reported["brightness"]["value"] if "brightness" in reported else None


async def test_fifty_devices_are_shown_commanded_and_let_go(tmp_path: Path) -> None:
    async with Village(tmp_path) as village:
        hub, cloud, bridge = village.hub, village.cloud, village.bridge
        names = lamps(COUNT)
        await bridge.add(names)
        await bridge.there(names)
        await village.attach()
        await village.until(lambda it: it["state"] == "connected" and it["devices"]["there"] == COUNT)
        shown = await hub.verb("upstream", "show")
        assert (shown["devices"]["there"], shown["devices"]["wanted"]) == (COUNT, 0)

        for round_ in range(ROUNDS):
            await bridge.report({name: {"brightness": 100 + 10 * round_ + n} for n, name in enumerate(names)})
        wanted = {name: 100 + 10 * (ROUNDS - 1) + n for n, name in enumerate(names)}
        there = await cloud.until(lambda it: shows(it, wanted))
        assert all(it["online"] for name, it in there.items() if name in names)
        batches = await metric(hub.api, "doorstep_iotda_upstream_batches")
        print(f"{ROUNDS * COUNT} reports of {COUNT} devices in {batches:.0f} batches")
        assert 1 <= batches <= 2 * ROUNDS

        await commanded(village, there["n07"]["id"])
        await one_leaves_meanwhile(village, wanted)
        assert SECRET.encode() not in await asyncio.to_thread(hub.database)
        await hub.verb("upstream", "detach")
        await hub.stop()
        await cloud.stop()
    said = await asyncio.to_thread(village.logs)
    assert "upstream connected" in said
    assert SECRET not in said


async def commanded(village: Village, lamp_id: str) -> None:
    """At the cloud, for a lamp at the hub: set, called and read, and one that it would not do."""
    path = f"/api/devices/{lamp_id}/commands"
    asking = asyncio.create_task(village.cloud.api.post(path, {"service": "light", "values": {"on": True}}, wait=20))
    kind, request, payload = await village.bridge.told()
    assert (kind, payload["object_device_id"]) == ("sys/properties/set", "lamp_n07")
    assert payload["services"] == [{"service_id": "Light", "properties": {"on": True}}]
    await village.bridge.answer(kind, request, result_code=0)
    assert (await asking)["state"] == "answered"

    blink = {"service": "light", "kind": "call", "name": "blink", "params": {"times": 2}}
    asking = asyncio.create_task(village.cloud.api.post(path, blink, wait=20))
    kind, request, payload = await village.bridge.told()
    assert (kind, payload["command_name"], payload["paras"]) == ("sys/commands", "blink", {"times": 2})
    await village.bridge.answer(kind, request, result_code=7)
    ended = await asking
    assert (ended["state"], ended["outcome"]["error"]) == ("failed", "result_code 1")

    asking = asyncio.create_task(village.cloud.api.post(path, {"service": "light", "kind": "get"}, wait=20))
    kind, request, payload = await village.bridge.told()
    assert (kind, payload["service_id"]) == ("sys/properties/get", "Light")
    services = [{"service_id": "Light", "properties": {"brightness": 42}}]
    await village.bridge.answer(kind, request, services=services)
    ended = await asking
    assert (ended["state"], ended["outcome"]["values"]) == ("answered", {"brightness": 42})


async def one_leaves_meanwhile(village: Village, wanted: dict[str, int]) -> None:
    """The cloud is down; at home a lamp goes, another comes, and all say something new."""
    hub, cloud, bridge = village.hub, village.cloud, village.bridge
    await cloud.stop()
    await village.until(lambda it: it["state"] == "waiting")
    left = (await hub.devices())["n33"]["id"]
    await hub.api.delete(f"/api/devices/{left}")
    await bridge.add(["n99"])
    still = {name: value + 1 for name, value in wanted.items() if name != "n33"} | {"n99": 990}
    await bridge.report({name: {"brightness": value} for name, value in still.items()})
    await cloud.start()
    await cloud.until(lambda it: shows(it, still))
    shown = await village.until(lambda it: it["devices"]["there"] == COUNT)
    assert (shown["devices"]["leaving"], shown["devices"]["removed"]) == (0, 0)


@pytest.mark.parametrize("kills", [SEEDED, pytest.param(FULL, marks=pytest.mark.full)])
async def test_a_hub_killed_in_the_middle_loses_and_doubles_nothing(tmp_path: Path, kills: int) -> None:
    dice = random.Random(kills)
    async with Village(tmp_path) as village:
        hub, cloud, bridge = village.hub, village.cloud, village.bridge
        await village.attach()
        wanted: dict[str, int] = {}
        for kill in range(kills):
            new = lamps(10, kill * 10)
            await bridge.add(new)
            await bridge.there(new)
            wanted |= {name: 100 + dice.randrange(900) for name in new}
            if kill:
                gone = dice.choice(sorted(set(wanted) - set(new)))
                await hub.api.delete(f"/api/devices/{(await hub.devices())[gone]['id']}")
                del wanted[gone]
            await bridge.report({name: {"brightness": value} for name, value in wanted.items()})
            await asyncio.sleep(dice.random() * 0.1)  # anywhere in what follows from that
            await hub.kill()
            await bridge.close()
            await hub.start()
            await bridge.connect()
        await bridge.there(wanted)
        there = await cloud.until(lambda it: shows(it, wanted))
        shown = await village.until(lambda it: it["devices"]["there"] == len(wanted))
        assert shown["devices"]["leaving"] == 0
        await answered_across_a_kill(village, there[next(iter(wanted))]["id"])


async def answered_across_a_kill(village: Village, lamp_id: str) -> None:
    """The hub dies between the platform's command and the lamp's answer: it is done once, and answered."""
    hub, cloud, bridge = village.hub, village.cloud, village.bridge
    await cloud.until(lambda it: any(each["id"] == lamp_id and each["online"] for each in it.values()))
    body = {"service": "light", "values": {"on": True}, "expires_in": 60}
    made = await cloud.api.post(f"/api/devices/{lamp_id}/commands", body)
    kind, request, _ = await bridge.told()
    await hub.kill()
    await bridge.close()
    await hub.start()
    await bridge.connect()
    await bridge.answer(kind, request, result_code=0)
    path = f"/api/devices/{lamp_id}/commands/{made['id']}"
    found = await until(lambda: cloud.api.get(path), lambda it: "ended_at" in it)
    assert found["state"] == "answered"
    mine = [each async for each in hub.api.pages(f"/api/devices/{await here(village, lamp_id)}/commands")]
    assert [each["state"] for each in mine] == ["answered"]


async def here(village: Village, lamp_id: str) -> str:
    """The hub's id of what the cloud calls so."""
    (name,) = [name for name, it in (await village.cloud.devices()).items() if it["id"] == lamp_id]
    return str((await village.hub.devices())[name]["id"])


async def metric(api: Any, name: str) -> float:
    """Its value."""
    lines = (await api.text("/metrics")).splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).rpartition(" ")[2])
