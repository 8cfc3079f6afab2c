"""A hub and a cloud as processes: enrolled, shown, renamed, left and revoked by the command."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.admin_client import call
from app.commands.child import Child, HubProcess
from tests.e2e.living import WAIT
from tests.e2e.verbs import command

PASSWORD = {"DOORSTEP_PASSWORD": "correct horse battery"}


async def until(is_so: Callable[[dict[str, Any]], bool], at: tuple[str, Path]) -> dict[str, Any]:
    """What `cloud show` says once it is so."""
    async with asyncio.timeout(WAIT):
        while True:
            code, shown = await command("cloud", "show", *at)
            assert code == 0
            if is_so(shown):
                return shown
            await asyncio.sleep(0.05)


async def test_a_hub_joins_a_cloud_and_is_revoked_there(tmp_path: Path) -> None:
    at_hub, at_cloud = ("--data", tmp_path / "hub"), ("--data", tmp_path / "cloud")
    async with (
        HubProcess(tmp_path / "hub", "--name", "Cottage") as hub,
        HubProcess(tmp_path / "cloud", "--role", "cloud", "--name", "Harbour") as cloud,
    ):
        for at in (at_hub, at_cloud):
            assert (await command("account", "claim", "anna", *at, environ=PASSWORD))[0] == 0
        assert (await command("hub", "enrol", *at_hub))[1]["error"]["code"] == "not_a_cloud"
        assert (await command("cloud", "show", *at_hub))[1]["state"] == "none"
        assert (await command("cloud", "join", "K7QF-29MD-XW4T", *at_hub))[0] == 2
        async with Child("hub", "enrol", *at_cloud, listens=True) as enrolling:
            code = await enrolling.until(event="code")
            assert cloud.ready["pin"]
            done, asked = await command("cloud", "join", code["link"], *at_hub)
            assert (done, asked["state"], asked["name"]) == (0, "asked", "Harbour")
            seen = await enrolling.until(event="asked")
            assert (seen["hub_name"], seen["number"]) == ("Cottage", asked["number"])
            await enrolling.say("y")
            enrolled = await enrolling.until(event="enrolled")
            assert await enrolling.ended() == 0
        assert enrolled["id"] == hub.ready["hub"]
        await until(lambda shown: shown["state"] == "enrolled", at_hub)
        assert (await command("cloud", "join", code["link"], *at_hub))[0] == 6
        done, renamed = await command("hub", "rename", "Cottage", "Lake house", *at_cloud)
        assert (done, renamed["name"]) == (0, "Lake house")
        assert (await command("hub", "revoke", "Lake house", *at_cloud))[0] == 0
        assert (await command("cloud", "leave", *at_hub))[0] == 0
        assert (await command("cloud", "leave", *at_hub))[0] == 4


async def test_a_number_that_differs_and_a_code_by_hand(tmp_path: Path) -> None:
    at_hub, at_cloud = ("--data", tmp_path / "hub"), ("--data", tmp_path / "cloud")
    named = {"DOORSTEP_TLS_NAMES": "localhost"}
    async with (
        HubProcess(tmp_path / "hub"),
        HubProcess(tmp_path / "cloud", "--role", "cloud", environ=named) as cloud,
    ):
        for at in (at_hub, at_cloud):
            assert (await command("account", "claim", "anna", *at, environ=PASSWORD))[0] == 0
        _, made = await command("hub", "enrol", "--no-wait", *at_cloud)
        assert f"https%3A%2F%2Flocalhost%3A{cloud.ready['port']}&" in made["link"]
        where = ("--url", cloud.ready["url"], "--cloud-pin", cloud.ready["pin"])
        done, asked = await command("cloud", "join", made["code"], *where, *at_hub)
        assert (done, asked["state"]) == (0, "asked")
        wrong = f"{(int(asked['number']) + 1) % 10**6:06d}"
        done, said = await command("hub", "confirm", made["id"], "--number", wrong, *at_cloud)
        assert (done, said["error"]["code"]) == (3, "number_differs")
        assert (await command("hub", "refuse", made["id"], *at_cloud))[0] == 0
        await until(lambda shown: shown["state"] == "refused", at_hub)
        _, made = await command("hub", "enrol", "--no-wait", *at_cloud)
        _, asked = await command("cloud", "join", made["link"], *at_hub)
        assert (await command("hub", "confirm", made["id"], "--number", asked["number"], *at_cloud))[0] == 0
        assert (await until(lambda shown: shown["state"] == "enrolled", at_hub))["number"] == asked["number"]


async def test_a_home_is_given_to_the_cloud_and_followed(tmp_path: Path) -> None:
    at_hub, at_cloud = ("--data", tmp_path / "hub"), ("--data", tmp_path / "cloud")
    async with (
        HubProcess(tmp_path / "hub", "--name", "Cottage") as hub,
        HubProcess(tmp_path / "cloud", "--role", "cloud", "--name", "Harbour") as cloud,
    ):
        for at in (at_hub, at_cloud):
            assert (await command("account", "claim", "anna", *at, environ=PASSWORD))[0] == 0
        assert (await command("home", "create", "Lindenweg", *at_hub))[0] == 0
        assert (await command("sync", "status", "Lindenweg", *at_hub))[1]["state"] == "alone"
        done, refused = await command("sync", "give", "Lindenweg", *at_hub)
        assert (done, refused["error"]["code"]) == (6, "no_cloud")
        await enrolled(at_hub, at_cloud)
        token = (await asyncio.to_thread(call, tmp_path / "cloud", "token"))["token"]
        there = ("--to", cloud.ready["url"], "--to-pin", cloud.ready["pin"], "--to-token", token)
        assert (await command("account", "link", *there, *at_hub))[0] == 0
        async with Child("sync", "give", "Lindenweg", *at_hub) as giving:
            level = await giving.until(event="level")
            assert await giving.ended() == 0
        assert (level["state"], level["to_push"], level["to_pull"]) == ("synced", 0, 0)
        assert (await command("room", "create", "Kitchen", *at_hub))[0] == 0
        async with Child("sync", "status", "Lindenweg", "--follow", *at_hub) as following:
            await following.until(event="level")
        async with cloud.client(token) as api:
            (home,) = [home async for home in api.pages("/api/homes")]
            assert [room["name"] async for room in api.pages(f"/api/homes/{home['id']}/rooms")] == ["Kitchen"]
            assert "doorstep_sync_hubs_connected 1.0" in await api.text("/metrics")
        token = (await asyncio.to_thread(call, tmp_path / "hub", "token"))["token"]
        async with hub.client(token) as api:
            metrics = await api.text("/metrics")
        assert "doorstep_sync_connected 1.0" in metrics
        assert "doorstep_sync_operations_to_push 0.0" in metrics
        sent = next(line for line in metrics.splitlines() if line.startswith("doorstep_sync_sent_bytes "))
        assert float(sent.split()[1]) > 0
        assert (await command("sync", "status", "Lindenweg", *at_cloud))[1]["hubs"] == 1
        assert (await command("sync", "dismiss", "Lindenweg", "none", *at_hub))[0] == 4
        async with Child("doctor", *at_hub) as doctor:
            said = {it["what"]: it for it in (await doctor.line())["findings"]}
        assert said["cloud"]["state"] == "ok"
        assert "Harbour" in said["cloud"]["detail"]
        assert "by one WebSocket; its certificate is pinned" in said["cloud"]["detail"]
        assert (await command("hub", "attach", "Cottage", "Lindenweg", *at_cloud))[0] == 0
        done, gone = await command("hub", "detach", "Cottage", "Lindenweg", *at_cloud)
        assert (done, gone["hub_id"]) == (0, hub.ready["hub"])
        assert (await command("hub", "detach", "Cottage", "Lindenweg", *at_cloud))[0] == 4


async def enrolled(at_hub: tuple[str, Path], at_cloud: tuple[str, Path]) -> None:
    """The cloud takes the hub in."""
    _, made = await command("hub", "enrol", "--no-wait", *at_cloud)
    _, asked = await command("cloud", "join", made["link"], *at_hub)
    assert (await command("hub", "confirm", made["id"], "--number", asked["number"], *at_cloud))[0] == 0
    await until(lambda shown: shown["connected"] is True, at_hub)
