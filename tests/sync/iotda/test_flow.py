"""A home shown to another platform, from end to end over a real port: what goes up, comes down, and comes and goes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.sync.iotda.street import Street, street, value


@pytest_asyncio.fixture
async def street_(tmp_path: Path) -> AsyncIterator[Street]:
    async with street(tmp_path) as made:
        yield made


async def test_devices_are_added_and_their_values_told(street_: Street) -> None:
    lamp = await street_.bind("d-porch")
    await street_.report(lamp, on=True, brightness=700)
    await street_.attach()
    shown = await street_.until_there(1)
    assert (shown["state"], shown["cause"]) == ("connected", None)
    there = await street_.until_here(lamp)
    seen = await street_.until_seen(there, lambda it: value(it, "brightness") == 700)
    assert (seen["name"], value(seen, "on")) == ("d-porch", True)
    await street_.report(lamp, on=False)
    await street_.until_seen(there, lambda it: value(it, "on") is False)
