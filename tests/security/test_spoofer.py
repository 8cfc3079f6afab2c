"""A flood of false announcements: a hub keeps its devices and its size, and still finds who is really there."""

import asyncio
import gc
import tracemalloc
from pathlib import Path

import pytest

from app.devices.model import Bond
from app.virtual.device import VirtualDevice
from app.virtual.parts import Place
from app.virtual.process import product_named
from pairing.announcement import Gone, device_service
from pairing.browser import MAX_HEARD
from pairing.discovery import Discovery
from pairing.ear import AT_ONCE, Ear
from pairing.inbox import MAX_KEPT, MAX_PER_SOURCE
from pairing.mdns import announcing
from tests.e2e.living import WAIT, Living, living
from tests.security.spoofer import FALSE, claims, goodbye, shout
from tests.security.test_ports import PIN, lamp, obeys, paired

MEMORY = 20 << 20
LAN = "192.0.2.66"
# What this machine says to itself is not limited before it is understood: every packet of it reaches zeroconf.
UNLIMITED = "127.0.0.66"


def ear_of(discovery: Discovery) -> Ear:
    assert discovery._browser is not None
    readers = discovery._browser._records._multicast.zeroconf.engine.readers  # type: ignore[attr-defined]
    ear = readers[0].transport.get_protocol()
    assert isinstance(ear, Ear)
    return ear


async def flood(hub: Living, source: str, count: int, known: list[str]) -> int:
    """How much memory has grown by while they were heard, octets."""
    ear, said = ear_of(hub.node.discovery), list(claims(count, known))
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number, data in enumerate(said):
        shout(ear, data, source)
        if number % 50 == 0:
            await asyncio.sleep(0)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return after - before


def bond_of(hub: Living, device: VirtualDevice) -> Bond:
    bond = hub.node.services.devices.bond_of(device.id)
    assert bond is not None
    return bond


async def still_found(hub: Living) -> None:
    """A device that is really there is in the inbox, found by a session, and paired."""
    async with lamp() as newcomer, asyncio.timeout(WAIT):
        while newcomer.id not in {each["id"] for each in (await hub.owner.get(f"{hub.pairing}/inbox")).json()}:
            await asyncio.sleep(0.05)
        assert await obeys(hub, await paired(hub, newcomer))


@pytest.mark.parametrize(
    "count", [pytest.param(6_000, id="sample"), pytest.param(50_000, id="full", marks=pytest.mark.full)]
)
@pytest.mark.parametrize("source", [LAN, UNLIMITED])
async def test_false_announcements_change_nothing(tmp_path: Path, source: str, count: int) -> None:
    async with living(tmp_path) as hub, lamp() as known:
        await hub.claim()
        device_id = await paired(hub, known)
        before, owner = bond_of(hub, known), (await hub.owner.get(f"/api/devices/{device_id}")).json()
        grown = await flood(hub, source, count, [known.id])
        assert grown < MEMORY
        inbox = (await hub.owner.get(f"{hub.pairing}/inbox")).json()
        assert known.id not in {each["id"] for each in inbox}
        assert 0 < len([each for each in inbox if each["name"].startswith(FALSE)]) <= MAX_PER_SOURCE
        assert len(inbox) <= MAX_KEPT
        assert hub.node.discovery._browser is not None
        assert len(hub.node.discovery._browser) <= MAX_HEARD
        after = (await hub.owner.get(f"/api/devices/{device_id}")).json()
        assert bond_of(hub, known) == before
        assert [after[key] for key in ("id", "home_id", "online")] == [owner["id"], owner["home_id"], True]
        assert await obeys(hub, device_id)
        await still_found(hub)


async def test_a_false_goodbye_takes_nobody_off_line(tmp_path: Path) -> None:
    async with living(tmp_path) as hub, lamp() as known:
        await hub.claim()
        device_id = await paired(hub, known)
        async with asyncio.timeout(WAIT), hub.node.discovery.browse() as browser:
            async for news in browser:
                if news.id == known.id:
                    break
            shout(ear_of(hub.node.discovery), goodbye(known.id), LAN)
            async for news in browser:
                if news == Gone(known.id):
                    break
        assert (await hub.owner.get(f"/api/devices/{device_id}")).json()["online"] is True
        assert await obeys(hub, device_id)


async def test_who_takes_the_name_of_a_dead_device_has_not_its_key(tmp_path: Path) -> None:
    async with living(tmp_path) as hub:
        await hub.claim()
        async with lamp() as known:
            await paired(hub, known)
            before = bond_of(hub, known)
        thief = VirtualDevice(product_named("lamp"), pin=PIN, place=Place(announced=False))
        async with thief:
            stolen = device_service(known.id, product="lamp", port=thief.port, paired=False, auth="pin")
            async with announcing(stolen):
                session = await hub.until(
                    await hub.start_pairing(method="wired", device_id=known.id, pin=PIN), "joined", "failed"
                )
        assert session["state"] == "failed"
        assert session["failure"]["cause"] == "proof_failed"
        assert bond_of(hub, known) == before
        assert not thief.state.paired


def test_the_flood_is_one() -> None:
    """It is more than a source may say at once, and half of the hub's own devices at that."""
    assert len(set(claims(2_500, ["d-" + "a" * 24]))) > 4 * AT_ONCE
