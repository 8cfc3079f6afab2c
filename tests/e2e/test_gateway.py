"""A gateway and the devices behind it, as processes: paired, opened, two joined in one session, switched, removed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.commands.child import Child, HubProcess
from tests.e2e.claimed import hub, pair

__all__ = ["hub"]


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Child]:
    state = tmp_path / "gateway.json"
    async with Child("device", "--product", "gateway", "--children", "2", "--state", state) as process:
        yield process


async def test_two_children_join_in_one_session_and_one_is_removed(hub: HubProcess, gateway: Child) -> None:
    ready = await gateway.until(event="ready")
    code, _ = await pair(hub, "--device", ready["id"], "--yes", "--name", "Attic")
    assert code == 0
    await gateway.until(event="linked")
    code, lines = await pair(hub, "--gateway", "attic", "--want", "2", "--seconds", "60")
    (ended,) = [line for line in lines if line.get("key") == "joined"]
    assert code == 0
    joined = [await gateway.until(event="child_joined") for _ in range(2)]
    await gateway.until(event="joining_closed")
    async with hub.client(hub.ready["token"]) as api:
        lamp, plug = ended["detail"]["devices"].split()
        shown = await api.get(f"/api/devices/{lamp}")
        assert (shown["product_id"], shown["trust"]) == ("lamp", "gateway")
        asked = {"service": "light", "values": {"on": True}}
        command = await api.post(f"/api/devices/{lamp}/commands", asked, wait=20)
        assert command["state"] == "answered"
        done = await gateway.until(event="command")
        assert (done["child"], done["values"]) == (joined[0]["child"], {"on": True})
        await api.delete(f"/api/devices/{plug}")
        assert (await gateway.until(event="child_left"))["child"] == joined[1]["child"]
        (home,) = [home async for home in api.pages("/api/homes")]
        left = {device["id"] async for device in api.pages(f"/api/homes/{home['id']}/devices")}
        assert left == {lamp, shown["gateway_id"]}
    assert await hub.stop() == 0
