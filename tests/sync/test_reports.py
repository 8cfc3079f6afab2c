"""What devices are, from the hub that holds them to its cloud: newest only, and from nobody else."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.sync.cloud_end import Peer
from app.sync.wire import DeviceState, Done, Reports
from tests.api.things import bind
from tests.sync.lines import World, world
from tests.waiting import until


@pytest.fixture
async def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    async with world(tmp_path, monkeypatch) as made:
        yield made


async def _shown(it: World, device_id: str) -> dict[str, Any]:
    answer = await it.at_cloud.get(f"/api/devices/{device_id}")
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def _says(device_id: str, version: int, *, on: bool, epoch: int = 1) -> list[DeviceState]:
    return [DeviceState(device_id, epoch, True, None, [("light", version, {"on": (on, 1_000)}, {})])]


async def test_what_a_device_reports_is_seen_at_the_cloud_with_what_is_told_of_it(there: World) -> None:
    lamp = await there.lamp()
    there.hub.link.up(lamp)
    await there.hub.api.services.devices.reported(lamp, "light", {"on": True, "brightness": 40})
    await there.shows(there.cloud, lamp, {"on": True, "brightness": 40})
    shown = await _shown(there, lamp)
    assert shown["online"] is True
    assert shown["services"]["light"]["reported"]["brightness"]["value"] == 40
    # That it is online is shown at once, and told a little later, when it is written.
    await until(lambda: _told_of(there, lamp, {"device.reported", "device.online"}))


async def _told_of(it: World, device_id: str, types: set[str]) -> bool:
    events = await it.cloud.store.read(
        lambda r: r.all("SELECT DISTINCT type FROM events WHERE device_id=?", (device_id,))
    )
    return types <= {row[0] for row in events}


async def test_however_much_happens_offline_takes_a_row_a_service_and_only_the_newest_is_told(there: World) -> None:
    lamp = await there.lamp()
    await there.hub.away()
    there.hub.asked.clear()
    for level in range(10, 41):
        await there.hub.api.services.devices.reported(lamp, "light", {"brightness": level})
    rows = await there.hub.api.store.read(lambda r: r.all("SELECT device_id, service FROM sync_reports"))
    assert rows == [(lamp, "light")]
    await there.hub.back()
    await there.shows(there.cloud, lamp, {"brightness": 40})
    told = [it for it in there.hub.asked if isinstance(it, Reports) for d in it.devices if d.services]
    assert len(told) == 1
    await until(lambda: _none_marked(there))


async def _none_marked(it: World) -> bool:
    return not await it.hub.api.store.read(lambda r: r.all("SELECT 1 FROM sync_reports"))


async def test_a_report_whose_answer_was_lost_is_told_again_and_changes_nothing(there: World) -> None:
    lamp = await there.lamp()
    there.hub.lost_answers.append(Reports)
    await there.hub.api.services.devices.reported(lamp, "light", {"on": True})
    await until(lambda: _none_marked(there))
    assert await there.reported(there.cloud, lamp) == {"on": True}
    events = await there.cloud.store.read(lambda r: r.all("SELECT 1 FROM events WHERE type='device.reported'"))
    assert len(events) == 1


async def test_an_older_version_never_overwrites_and_another_life_of_the_hub_begins_anew(there: World) -> None:
    lamp = await there.lamp()
    await there.hub.away()
    end = there.cloud.services.sync.cloud_end
    await end.answer(there.hub.peer, Reports(1, there.home, _says(lamp, 9, on=True)))
    await end.answer(there.hub.peer, Reports(2, there.home, _says(lamp, 8, on=False)))
    assert await there.reported(there.cloud, lamp) == {"on": True}
    await end.answer(Peer(there.hub.id, "restored"), Reports(3, there.home, _says(lamp, 2, on=False)))
    assert await there.reported(there.cloud, lamp) == {"on": False}
    assert (await _shown(there, lamp))["services"]["light"]["version"] == 10


async def test_only_its_holder_of_the_present_epoch_tells_of_a_device(there: World) -> None:
    lamp = await there.lamp()
    other = await there.second()
    end = there.cloud.services.sync.cloud_end
    for peer, states in (
        (other.peer, _says(lamp, 5, on=True)),
        (there.hub.peer, _says(lamp, 5, on=True, epoch=2)),
        (there.hub.peer, _says("nothing", 5, on=True)),
    ):
        answer = await end.answer(peer, Reports(1, there.home, states))
        assert answer == Done(1, refused=[states[0].device_id])
    assert await there.reported(there.cloud, lamp) == {}


async def test_what_no_device_of_its_product_says_is_not_taken(there: World) -> None:
    lamp = await there.lamp()
    hostile: list[Any] = [
        ("light", 2**63, {"on": (True, 1)}, {}),
        ("light", -1, {"on": (True, 1)}, {}),
        ("nothing", 1, {"on": (True, 1)}, {}),
        ("light", 1, {"on": ("perhaps", 1), "brightness": (30, 2**60), "more": (b"x", 1)}, {"on": ([], 1)}),
    ]
    for service in hostile:
        state = DeviceState(lamp, 1, True, 2**62, [service])
        await there.cloud.services.sync.cloud_end.answer(there.hub.peer, Reports(1, there.home, [state]))
    assert await there.reported(there.cloud, lamp) == {}
    assert (await _shown(there, lamp))["services"] in ({}, {"light": {"version": 0, "reported": {}, "desired": {}}})


async def test_devices_are_gone_at_the_cloud_when_their_hub_is(there: World) -> None:
    lamp, other = await there.lamp(), await there.lamp("d-2")
    there.cloud.services.devices.presence.grace = 0.0
    there.hub.link.up(lamp)
    live = there.cloud.services.devices.memory.get(lamp)
    assert live is not None
    await until(lambda: live.online)
    await there.hub.away()
    await until(lambda: not live.online)
    await there.hub.back()
    await until(lambda: live.online)
    elsewhere = there.cloud.services.devices.memory.get(other)
    assert elsewhere is not None
    assert not elsewhere.online
    # The log of a device is its hub's: coming and going at the cloud is told, and not noted there.
    await there.cloud.services.journal.flush()
    noted = await there.cloud.store.read(lambda r: r.all("SELECT type FROM journal WHERE type='offline'"))
    assert noted == []


async def test_a_device_that_goes_offline_at_its_hub_is_offline_at_the_cloud(there: World) -> None:
    lamp = await there.lamp()
    there.hub.api.services.devices.presence.grace = 0.0
    there.hub.link.up(lamp)
    live = there.cloud.services.devices.memory.get(lamp)
    assert live is not None
    await until(lambda: live.online)
    there.hub.api.services.devices.offline(lamp, "lan")
    await until(lambda: not live.online)


async def test_a_hub_without_a_cloud_marks_nothing(there: World) -> None:
    other = (await there.at_hub.post("/api/homes", json={"name": "Alone", "time_zone": "UTC"})).json()["id"]
    lamp = await bind(there.hub.api, other, "alone")
    await there.hub.away()
    await there.hub.api.services.devices.reported(lamp, "light", {"on": True})
    assert await there.hub.api.store.read(lambda r: r.all("SELECT 1 FROM sync_reports")) == []
