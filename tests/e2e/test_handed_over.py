"""A home with two hubs and a cloud, all processes: a lamp is handed to the other hub, which is killed later."""

import asyncio
import signal
from pathlib import Path
from typing import Any

from app.admin_client import call
from app.client import Client
from app.commands.child import HubProcess
from app.virtual.device import VirtualDevice
from app.virtual.parts import Place
from app.virtual.process import product_named
from tests.e2e.test_cloud import PASSWORD, enrolled
from tests.e2e.verbs import command
from tests.waiting import until

At = tuple[str, Path]
HASTY = Place(retry_first=0.1, retry_most=0.5, astray_after=1.0)
ON = {"service": "light", "values": {"on": True}}


async def test_a_lamp_goes_to_another_hub_and_comes_back_when_that_is_gone(tmp_path: Path) -> None:
    at: dict[str, At] = {name: ("--data", tmp_path / name) for name in ("cottage", "barn", "cloud")}
    async with (
        HubProcess(tmp_path / "cottage", "--name", "Cottage") as cottage,
        HubProcess(tmp_path / "barn", "--name", "Barn") as barn,
        HubProcess(tmp_path / "cloud", "--role", "cloud", "--name", "Harbour") as cloud,
        VirtualDevice(product_named("lamp"), name="Porch", place=HASTY) as lamp,
    ):
        nodes = {"cottage": cottage, "barn": barn, "cloud": cloud}
        await settled(at, nodes, tmp_path)
        paired, _ = await command("pair", "--address", f"127.0.0.1:{lamp.port}", "--yes", *at["cottage"])
        assert paired == 0
        assert (await lamp.wait("linked")).details["hub"] == cottage.ready["hub"]
        done, held = await command("hold", "Porch", "--by", "Barn", *at["cottage"])
        assert (done, held["hub_id"], held["standby_id"]) == (0, barn.ready["hub"], cottage.ready["hub"])
        assert (await lamp.wait("linked")).details["hub"] == barn.ready["hub"]
        path = f"/api/devices/{held['device_id']}"
        async with (
            await client(cloud, tmp_path / "cloud") as at_cloud,
            await client(cottage, tmp_path / "cottage") as at_cottage,
        ):
            await until(lambda: at_cloud.get(path), lambda shown: shown["online"])
            ordered = await at_cloud.post(f"{path}/commands", ON, wait=20)
            assert ordered["state"] == "answered"
            # Its former hub shows it as the barn has it, and passes on what it is asked.
            await until(lambda: at_cottage.get(path), lambda shown: shown["online"] and is_on(shown) is True)
            asked = await at_cottage.post(f"{path}/commands", {**ON, "values": {"on": False}}, wait=20)
            assert asked["state"] == "answered"
            await until(lambda: at_cottage.get(path), lambda shown: is_on(shown) is False)
            barn.send(signal.SIGKILL)
            assert (await lamp.wait("linked")).details["hub"] == cottage.ready["hub"]
            await until(lambda: at_cloud.get(f"{path}/hubs"), lambda it: it["hub_id"] == cottage.ready["hub"])
            await until(lambda: at_cloud.get(path), lambda shown: shown["online"])
            assert (await at_cloud.post(f"{path}/commands", ON, wait=20))["state"] == "answered"
        done, held = await command("hold", "Porch", "--alone", *at["cottage"])
        assert (done, held["hub_id"], held["standby_id"]) == (0, cottage.ready["hub"], None)
        done, held = await command("hold", "Porch", "--standby", "Barn", *at["cottage"])
        assert (done, held["hub_id"], held["standby_id"]) == (0, cottage.ready["hub"], barn.ready["hub"])
        done, held = await command("hold", "Porch", *at["cloud"])
        assert (done, {it["name"] for it in held["hubs"]}) == (0, {"Barn", "Cottage"})
        assert (await command("hold", "Porch", "--alone", "--by", "Barn", *at["cottage"]))[0] == 2
        assert (await command("hold", "Porch", "--by", "Stable", *at["cottage"]))[0] == 4


def is_on(shown: dict[str, Any]) -> object:
    """Whether the lamp is, as it is shown."""
    return shown["services"].get("light", {}).get("reported", {}).get("on", {}).get("value")


async def settled(at: dict[str, At], nodes: dict[str, HubProcess], folder: Path) -> None:
    """Anna's home is Cottage's, kept by the cloud; Barn serves it too, and has been let in."""
    for where in at.values():
        assert (await command("account", "claim", "anna", *where, environ=PASSWORD))[0] == 0
    assert (await command("home", "create", "Lindenweg", *at["cottage"]))[0] == 0
    for hub in ("cottage", "barn"):
        await enrolled(at[hub], at["cloud"])
    for name in ("cloud", "barn"):
        token = (await asyncio.to_thread(call, folder / name, "token"))["token"]
        node = nodes[name]
        there = ("--to", node.ready["url"], "--to-pin", node.ready["pin"], "--to-token", token)
        assert (await command("account", "link", *there, *at["cottage"]))[0] == 0
    assert (await command("sync", "give", "Lindenweg", *at["cottage"]))[0] == 0
    assert (await command("hub", "attach", "Barn", "Lindenweg", *at["cloud"]))[0] == 0
    waiting = await until(lambda: command("home", "keys", "Lindenweg", *at["barn"]), lambda it: it[1].get("code"))
    code = waiting[1]["code"]
    await until(lambda: command("hub", "admit", "Barn", "--code", code, *at["cottage"]), lambda it: it[0] == 0)
    keys = await until(lambda: command("home", "keys", *at["barn"]), lambda it: it[1].get("state") == "in")
    assert {it["name"] for it in keys[1]["hubs"]} == {"Barn", "Cottage"}


async def client(node: HubProcess, folder: Path) -> Client:
    """Anna's, there."""
    return node.client((await asyncio.to_thread(call, folder, "token"))["token"])
