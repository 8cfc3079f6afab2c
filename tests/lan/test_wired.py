"""A lamp on a cable, through whole processes on hosts of their own: found, proved, confirmed, obeying."""

from pathlib import Path

import pytest

from tests.lan.house import House, Lamp

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.full
async def test_by_its_label_pin(house: House) -> None:
    async with house.guest() as host, Lamp(host, "--pin", "48151623") as lamp:
        assert await house.fails(device_id=lamp.id, pin="48151624") == "wrong_pin"
        session = await house.finish(await house.start(device_id=lamp.id, pin="48151623"))
        assert session["state"] == "joined", session["failure"]
        await house.obeys(session["device_ids"][0])


async def test_back_at_another_address(house: House, tmp_path: Path) -> None:
    state = ("--state", tmp_path / "lamp.json")
    async with house.guest() as host:
        async with Lamp(host, *state) as lamp:
            device = await house.pair(lamp)
            await house.obeys(device)
        moved = await house.lan.move(host, 199)
        async with Lamp(moved, *state) as again:
            assert again.id == lamp.id
            await again.until(event="linked")
            await house.obeys(device)
