"""Presence by link, and the alert about a device that is gone for too long."""

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.devices.absences import ALERT_AFTER_S
from tests.api.harness import Api
from tests.api.things import bind, home_of

WAIT = 20.0
GRACE = 0.03


class Watch:
    """A lamp, its owner, and the hub's clock in both its forms."""

    def __init__(self, api: Api, anna: httpx2.AsyncClient, home_id: str, device_id: str) -> None:
        self.api = api
        self.anna = anna
        self.home_id = home_id
        self.device_id = device_id
        self.devices = api.services.devices
        self.devices.presence.grace = GRACE
        self._passed = 0.0
        self.devices.absences.monotonic = lambda: self._passed

    def forward(self, seconds: float) -> None:
        """So much time passes."""
        self._passed += seconds
        self.api.forward(round(seconds * 1000))

    async def view(self, device_id: str = "") -> Any:
        return (await self.anna.get(f"/api/devices/{device_id or self.device_id}")).json()

    async def told(self, *kinds: str) -> list[tuple[str, str]]:
        """(type, device) of the events of these types, in order."""
        marks = ",".join("?" * len(kinds))
        sql = f"SELECT type,entity_id FROM events WHERE type IN ({marks}) ORDER BY seq"
        return await self.api.store.read(lambda reader: reader.all(sql, kinds))

    async def until(self, *kinds: str, count: int = 1) -> list[tuple[str, str]]:
        """`told`, once there are so many."""
        async with asyncio.timeout(WAIT):
            while len(found := await self.told(*kinds)) < count:
                await asyncio.sleep(0.005)
        return found

    async def gone(self, device_id: str = "") -> None:
        """It comes and goes."""
        device_id = device_id or self.device_id
        self.devices.online(device_id, "lan")
        self.devices.offline(device_id, "lan")
        async with asyncio.timeout(WAIT):
            while ("device.offline", device_id) not in await self.told("device.offline"):
                await asyncio.sleep(0.005)

    async def look(self) -> list[str]:
        """Housekeeping looks; the devices alerts have been told of so far."""
        await self.api.store.housekeeping.run()
        return [device_id for _, device_id in await self.told("device.offline_alert")]


@pytest.fixture
async def watch(api: Api) -> Watch:
    anna = await api.person("anna")
    home_id = await home_of(anna)
    return Watch(api, anna, home_id, await bind(api, home_id))


async def test_it_is_there_while_any_link_says_so(watch: Watch) -> None:
    devices, device_id = watch.devices, watch.device_id
    devices.online(device_id, "lan")
    devices.online(device_id, "mqtt")
    assert devices.presence.links_of(device_id) == ("lan", "mqtt")
    devices.offline(device_id, "lan")
    await asyncio.sleep(3 * GRACE)
    assert (await watch.view())["online"] is True
    assert devices.presence.links_of(device_id) == ("mqtt",)
    # The end of a link that is down already says nothing of the other.
    devices.offline(device_id, "lan")
    await asyncio.sleep(3 * GRACE)
    assert (await watch.view())["online"] is True
    devices.offline(device_id, "mqtt")
    await watch.until("device.offline")
    assert (await watch.view())["online"] is False
    assert [kind for kind, _ in await watch.told("device.online", "device.offline")] == [
        "device.online",
        "device.offline",
    ]


async def test_it_does_not_blink_where_it_is_back_at_once_by_another_link(watch: Watch) -> None:
    devices, device_id = watch.devices, watch.device_id
    devices.online(device_id, "lan")
    for down, up in (("lan", "mqtt"), ("mqtt", "lan")):
        devices.offline(device_id, down)
        devices.online(device_id, up)
    await asyncio.sleep(3 * GRACE)
    assert (await watch.view())["online"] is True
    await watch.until("device.online")
    assert await watch.told("device.offline") == []


async def test_a_link_that_nobody_sees_end_is_up_for_its_lifetime(watch: Watch) -> None:
    devices, device_id = watch.devices, watch.device_id
    devices.online(device_id, "heartbeat", lifetime=0.3)
    devices.online(device_id, "coap", lifetime=0.01)
    async with asyncio.timeout(WAIT):
        while devices.presence.links_of(device_id) != ("heartbeat",):
            await asyncio.sleep(0.005)
    assert (await watch.view())["online"] is True
    # Another word renews it; then there is none.
    devices.online(device_id, "heartbeat", lifetime=0.05)
    await watch.until("device.offline")
    assert devices.presence.links_of(device_id) == ()


async def test_what_is_behind_a_gateway_goes_with_the_link_it_is_reached_by(watch: Watch) -> None:
    devices = watch.devices
    gateway = await bind(watch.api, watch.home_id, "d-g", product="gateway")
    one, two = [await bind(watch.api, watch.home_id, f"d-g/{n}", gateway_id=gateway) for n in (1, 2)]
    for device_id, link in ((gateway, "lan"), (gateway, "mqtt"), (one, "lan"), (two, "mqtt")):
        devices.online(device_id, link)
    devices.offline(gateway, "lan")
    assert await watch.until("device.offline") == [("device.offline", one)]
    assert [(await watch.view(each))["online"] for each in (gateway, one, two)] == [True, False, True]
    devices.offline(gateway, "mqtt")
    await watch.until("device.offline", count=3)
    assert [(await watch.view(each))["online"] for each in (gateway, one, two)] == [False, False, False]


async def test_last_seen_is_the_last_word_by_any_link(watch: Watch) -> None:
    assert (await watch.view())["last_seen_at"] is None
    watch.devices.online(watch.device_id, "lan")
    first = (await watch.view())["last_seen_at"]
    watch.forward(60)
    watch.devices.presence.seen(watch.device_id)
    assert (await watch.view())["last_seen_at"] > first


async def test_somebody_is_told_once_and_told_when_it_is_back(watch: Watch) -> None:
    await watch.gone()
    assert await watch.look() == []
    watch.forward(ALERT_AFTER_S - 60)
    assert await watch.look() == []
    watch.forward(61)
    assert await watch.look() == [watch.device_id]
    watch.forward(10 * ALERT_AFTER_S)
    assert await watch.look() == [watch.device_id]
    watch.devices.online(watch.device_id, "lan")
    await watch.until("device.offline_alert_cleared")
    log = (await watch.anna.get(f"/api/devices/{watch.device_id}/journal")).json()["items"]
    noted = {each["type"]: each["value"] for each in log}
    assert set(noted) == {"added", "online", "offline", "offline_alert", "alert_cleared"}
    assert noted["offline_alert"]["after"] == ALERT_AFTER_S
    # The next absence is another one.
    watch.devices.offline(watch.device_id, "lan")
    await watch.until("device.offline", count=2)
    watch.forward(ALERT_AFTER_S + 1)
    assert await watch.look() == [watch.device_id] * 2


async def test_one_that_is_back_in_time_alerts_nobody(watch: Watch) -> None:
    await watch.gone()
    watch.forward(ALERT_AFTER_S - 1)
    watch.devices.online(watch.device_id, "lan")
    await watch.until("device.online", count=2)
    watch.forward(60)
    assert await watch.look() == []
    assert await watch.told("device.offline_alert_cleared") == []


@pytest.mark.parametrize(
    ("home_after", "own_after", "seconds"),
    [(300, None, 300), (None, 60, 60), (300, 3600, 3600), (0, 120, 120)],
)
async def test_home_and_device_say_after_how_long(
    watch: Watch, home_after: int | None, own_after: int | None, seconds: int
) -> None:
    for path, after in ((f"/api/homes/{watch.home_id}", home_after), (f"/api/devices/{watch.device_id}", own_after)):
        changed = await watch.anna.patch(path, json={"offline_alert_after": after})
        assert (changed.status_code, changed.json()["offline_alert_after"]) == (200, after)
        assert (await watch.anna.get(path)).json()["offline_alert_after"] == after
    await watch.gone()
    watch.forward(seconds - 2)
    assert await watch.look() == []
    watch.forward(3)
    assert await watch.look() == [watch.device_id]


@pytest.mark.parametrize("where", ["home", "device"])
async def test_who_wants_no_alert_gets_none(watch: Watch, where: str) -> None:
    path = f"/api/homes/{watch.home_id}" if where == "home" else f"/api/devices/{watch.device_id}"
    assert (await watch.anna.patch(path, json={"offline_alert_after": 0})).status_code == 200
    await watch.gone()
    watch.forward(30 * 24 * 3600)
    assert await watch.look() == []
    for wrong in (-1, 2_592_001, "soon"):
        assert (await watch.anna.patch(path, json={"offline_alert_after": wrong})).status_code == 400


async def test_a_clock_that_is_set_makes_no_absence_longer(watch: Watch) -> None:
    await watch.gone()
    watch.api.forward(7 * 24 * 3600 * 1000)
    assert await watch.look() == []
    watch.forward(ALERT_AFTER_S + 1)
    watch.api.clock.trusted = False
    assert await watch.look() == []
    watch.api.clock.trusted = True
    assert await watch.look() == [watch.device_id]


async def test_of_a_gateway_and_what_is_behind_it_the_gateway_is_told(watch: Watch) -> None:
    gateway = await bind(watch.api, watch.home_id, "d-g", product="gateway")
    child = await bind(watch.api, watch.home_id, "d-g/1", gateway_id=gateway)
    watch.devices.online(child, "lan")
    await watch.gone(gateway)
    watch.forward(ALERT_AFTER_S + 1)
    assert await watch.look() == [gateway]
    # It is back without its child.
    watch.devices.online(gateway, "lan")
    await watch.until("device.offline_alert_cleared")
    assert await watch.look() == [gateway, child]


async def test_a_frozen_device_is_missed_only_once_it_may_come_again(watch: Watch) -> None:
    watch.devices.online(watch.device_id, "lan")
    path = f"/api/devices/{watch.device_id}"
    assert (await watch.anna.post(f"{path}/freeze")).status_code == 200
    await watch.until("device.offline")
    watch.forward(2 * ALERT_AFTER_S)
    assert await watch.look() == []
    assert (await watch.anna.post(f"{path}/unfreeze")).status_code == 200
    watch.forward(ALERT_AFTER_S - 1)
    assert await watch.look() == []
    watch.forward(2)
    assert await watch.look() == [watch.device_id]


async def test_another_home_is_told_in_its_own_time(watch: Watch) -> None:
    other = await home_of(watch.anna)
    path = f"/api/devices/{watch.device_id}"
    await watch.anna.patch(path, json={"offline_alert_after": 60})
    await watch.gone()
    watch.forward(61)
    assert len(await watch.look()) == 1
    assert (await watch.anna.post(f"{path}/transfer", json={"home_id": other})).status_code == 200
    assert (await watch.view())["offline_alert_after"] is None
    watch.forward(ALERT_AFTER_S - 2)
    assert len(await watch.look()) == 1
    watch.forward(3)
    assert len(await watch.look()) == 2
    homes = await watch.api.store.read(
        lambda reader: reader.all("SELECT home_id FROM events WHERE type='device.offline_alert' ORDER BY seq")
    )
    assert homes == [(watch.home_id,), (other,)]


async def test_a_restart_neither_forgets_nor_repeats(tmp_path: Path) -> None:
    async with Api(tmp_path) as api:
        anna = await api.person("anna")
        home_id = await home_of(anna)
        told, due, there = [await bind(api, home_id, f"d-{n}") for n in range(3)]
        watch = Watch(api, anna, home_id, told)
        await watch.gone(told)
        watch.forward(ALERT_AFTER_S + 1)
        assert await watch.look() == [told]
        await watch.gone(due)
        watch.devices.online(there, "lan")
        await watch.until("device.online", count=3)
    async with Api(tmp_path) as api:
        again = Watch(api, api.client(str(anna.headers["authorization"]).removeprefix("Bearer ")), home_id, told)
        await again.devices.presence.resume()
        # What was there, and is not back, is gone from now on; what was gone is so since before.
        await again.until("device.offline", count=3)
        api.forward(2 * (ALERT_AFTER_S + 1) * 1000)
        assert await again.look() == [told, due]
        again.forward(ALERT_AFTER_S + 1)
        assert await again.look() == [told, due, there]
        again.devices.online(told, "lan")
        await again.until("device.offline_alert_cleared")
