"""`doorstep pair --method ez`: a hub that speaks, and a device that overhears it, as processes."""

from app.commands.child import Child, HubProcess
from tests.e2e.claimed import hub
from tests.e2e.seeing import seeing
from tests.e2e.test_pair_codes import PASSWORD, SSID, WIFI, told, until_ended

__all__ = ["hub"]


def speaking(hub: HubProcess, password: str) -> Child:
    where = ("pair", "--data", hub.ready["data"], "--method", "ez", "--ssid", SSID, "--yes")
    return Child(*where, environ=told(password))


async def test_a_device_overhears_the_network_and_joins_the_home(hub: HubProcess) -> None:
    async with seeing(*WIFI, "--method", "ez") as lamp, speaking(hub, PASSWORD) as pairing:
        assert (await lamp.until("joined"))["ssid"] == SSID
        code, last = await until_ended(pairing)
        assert (code, last["key"]) == (0, "joined")
        await lamp.until("linked")


async def test_with_a_wrong_password_it_joins_nothing(hub: HubProcess) -> None:
    async with seeing(*WIFI, "--method", "ez") as lamp, speaking(hub, "another password"):
        assert (await lamp.until("not_joined"))["reason"] == "wrong_password"
