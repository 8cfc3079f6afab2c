"""A hub and a cloud as processes: enrolled, shown, renamed, left and revoked by the command."""

from pathlib import Path
from typing import Any

from app.commands.child import Child, HubProcess
from tests.e2e.verbs import command

PASSWORD = {"DOORSTEP_PASSWORD": "correct horse battery"}


async def until(state: str, at: tuple[str, Path]) -> dict[str, Any]:
    """What `cloud show` says once it is in `state`; each look is a process of its own, which takes its time."""
    for _ in range(60):
        code, shown = await command("cloud", "show", *at)
        assert code == 0
        if shown["state"] == state:
            return shown
    raise AssertionError(f"it is {shown['state']} still")


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
        await until("enrolled", at_hub)
        assert (await command("cloud", "join", code["link"], *at_hub))[0] == 6
        done, renamed = await command("hub", "rename", "Cottage", "Lake house", *at_cloud)
        assert (done, renamed["name"]) == (0, "Lake house")
        assert (await command("hub", "revoke", "Lake house", *at_cloud))[0] == 0
        assert (await command("cloud", "leave", *at_hub))[0] == 0
        assert (await command("cloud", "leave", *at_hub))[0] == 4


async def test_a_number_that_differs_and_a_code_by_hand(tmp_path: Path) -> None:
    at_hub, at_cloud = ("--data", tmp_path / "hub"), ("--data", tmp_path / "cloud")
    async with HubProcess(tmp_path / "hub"), HubProcess(tmp_path / "cloud", "--role", "cloud") as cloud:
        for at in (at_hub, at_cloud):
            assert (await command("account", "claim", "anna", *at, environ=PASSWORD))[0] == 0
        _, made = await command("hub", "enrol", "--no-wait", *at_cloud)
        where = ("--url", cloud.ready["url"], "--cloud-pin", cloud.ready["pin"])
        done, asked = await command("cloud", "join", made["code"], *where, *at_hub)
        assert (done, asked["state"]) == (0, "asked")
        wrong = f"{(int(asked['number']) + 1) % 10**6:06d}"
        done, said = await command("hub", "confirm", made["id"], "--number", wrong, *at_cloud)
        assert (done, said["error"]["code"]) == (3, "number_differs")
        assert (await command("hub", "refuse", made["id"], *at_cloud))[0] == 0
        await until("refused", at_hub)
        _, made = await command("hub", "enrol", "--no-wait", *at_cloud)
        _, asked = await command("cloud", "join", made["link"], *at_hub)
        assert (await command("hub", "confirm", made["id"], "--number", asked["number"], *at_cloud))[0] == 0
        assert (await until("enrolled", at_hub))["number"] == asked["number"]
