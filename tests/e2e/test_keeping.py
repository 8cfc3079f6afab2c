"""Devices frozen and given to another home with the command, on a hub that runs as a process."""

from pathlib import Path

from app.commands.child import HubProcess
from tests.e2e.verbs import command

PASSWORD = {"DOORSTEP_PASSWORD": "correct horse battery"}


async def test_a_device_is_frozen_and_goes_to_another_home(tmp_path: Path) -> None:
    at = ("--data", tmp_path / "hub")
    async with HubProcess(tmp_path / "hub") as hub:
        assert (await command("account", "claim", "anna", *at, environ=PASSWORD))[0] == 0
        for home in ("Cottage", "Hut"):
            assert (await command("home", "create", home, *at))[0] == 0
        assert (await command("room", "create", "Hall", "--home", "Hut", *at))[0] == 0
        lamp = ("credential", "register", "1", "--product", "lamp", "--name", "Porch", "--home", "Cottage")
        assert (await command(*lamp, *at))[0] == 0
        here = ("--home", "Cottage")
        code, frozen = await command("freeze", "Porch", *here, *at)
        assert (code, frozen["frozen"]) == (0, True)
        code, thawed = await command("unfreeze", "Porch", *here, *at)
        assert (code, thawed["frozen"]) == (0, False)
        assert (await command("transfer", "Porch", "Nowhere", *here, *at))[0] == 4
        code, refused = await command("transfer", "Porch", "Cottage", *here, *at)
        assert (code != 0, refused["error"]["code"]) == (True, "already_in_home")
        code, moved = await command("transfer", "Porch", "Hut", "--room", "Hall", *here, *at)
        assert (code, moved["name"]) == (0, "Porch")
        assert moved["room_id"] is not None
        assert (await command("freeze", "Porch", *here, *at))[0] == 4
        assert (await command("freeze", "Porch", "--home", "Hut", *at))[0] == 0
        assert await hub.stop() == 0
